"""Exercises of lesson 10, your own network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ... import _checks
from .exercise import Exercise, close

EXERCISES: dict[str, Exercise] = {}


def _holds_statistics(f: Callable[..., Any]) -> bool:
    def network() -> nn.Sequential:
        plain = [nn.Conv1d(2, 4, 1), nn.GroupNorm(2, 4), nn.Dropout(), nn.InstanceNorm1d(4)]
        keeping = [nn.Sequential(nn.BatchNorm1d(4)), nn.InstanceNorm1d(4, track_running_stats=True)]
        return nn.Sequential(*plain, *keeping)

    model = network().eval()
    f(model)
    return [layer.training for layer in model.modules()] == [True] * 6 + [False, False]


EXERCISES["10.1"] = Exercise(
    task="write hold_statistics(model): train mode, but eval mode for every layer that keeps running statistics.",
    is_right=_holds_statistics,
    hint="model.train() first; then layer.eval() for each of model.modules() whose running_mean is there and is not None",
)

EXERCISES["10.2"] = Exercise(
    task="which c belongs to strength 200 at lr = 0.01 and momentum = 0.9?",
    is_right=lambda answer: close(answer, 20.0),
    hint="c = lr * strength / (1 - momentum); the precision comes in inside the step",
)

EXERCISES["10.3"] = Exercise(
    task='what would you ask for first: "strength", "labels", "statistics" or "momentum"?',
    is_right=lambda answer: _checks.one_of("answer", answer, ("strength", "labels", "statistics", "momentum")) == "statistics",
    hint="no weight has moved, so neither the penalty nor the optimiser can be to blame; what else does a network keep?",
)
