"""Exercises of lesson 3, what matters: from Bayes to the Fisher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .exercise import Exercise, close

EXERCISES: dict[str, Exercise] = {}


def _knows_two_weight_fisher(f: Callable[..., Any]) -> bool:
    x, p = torch.randn(6, 2, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    return close(f(x, p), ((p * (1 - p))[:, None] * x**2).mean(0))


EXERCISES["3.1"] = Exercise(
    task="write two_weight_fisher(x, p), the diagonal Fisher of the two-weight model, inputs x (N, 2) and p(label 1) (N,).",
    is_right=_knows_two_weight_fisher,
    hint="the score of one sample is (y - p) x; its square has the mean p (1 - p) x**2 under the model; then average over N",
)

EXERCISES["3.2"] = Exercise(
    task="task A had 10,000 samples and task B has 2,500; which lambda does Bayes ask for when both losses are means?",
    is_right=lambda answer: close(answer, 4.0),
    hint="the log posterior sums over samples; divide it by the number of samples of B to turn B's sum into a mean",
)
