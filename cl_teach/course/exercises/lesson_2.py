"""Exercises of lesson 2, holding still: the L2 penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .exercise import Exercise, close

EXERCISES: dict[str, Exercise] = {}


def _knows_l2_gradient(f: Callable[..., Any]) -> bool:
    theta, anchor = torch.randn(2, 5, dtype=torch.float64)
    return close(f(theta, anchor, 0.7), 0.7 * (theta - anchor))


EXERCISES["2.1"] = Exercise(
    task="write l2_gradient(theta, anchor, strength), the gradient of strength / 2 * sum((theta - anchor)**2).",
    is_right=_knows_l2_gradient,
    hint="differentiate with respect to theta; the 2 of the square and the 1/2 cancel",
)

EXERCISES["2.2"] = Exercise(
    task="other code minimises loss + 0.05 * sum((theta - anchor)**2); which strength is that here?",
    is_right=lambda answer: close(answer, 0.1),
    hint="here the same sum is multiplied by strength / 2",
)
