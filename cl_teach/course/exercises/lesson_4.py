"""Exercises of lesson 4, elastic weight consolidation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .exercise import Exercise, close

EXERCISES: dict[str, Exercise] = {}


def _knows_penalty(f: Callable[..., Any]) -> bool:
    importance, theta, anchor = torch.rand(3, 5, dtype=torch.float64)
    return close(f(importance, theta, anchor), (importance * (theta - anchor) ** 2).sum())


EXERCISES["4.1"] = Exercise(
    task="write penalty(importance, theta, anchor), the sum that EWC adds, without strength / 2.",
    is_right=_knows_penalty,
    hint="it is the L2 penalty with one factor more inside the sum",
)


def _knows_merged_anchor(f: Callable[..., Any]) -> bool:
    f1, f2, m1, m2 = torch.rand(4, 5, dtype=torch.float64) + 0.1
    return close(f(f1, m1, f2, m2), (f1 * m1 + f2 * m2) / (f1 + f2))


EXERCISES["4.2"] = Exercise(
    task="write merged_anchor(F1, m1, F2, m2), the anchor of the one quadratic that two EWC penalties add up to.",
    is_right=_knows_merged_anchor,
    hint="set the gradient F1 (theta - m1) + F2 (theta - m2) to zero",
)
