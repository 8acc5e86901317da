"""Exercises of lesson 1, catastrophic forgetting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .exercise import Exercise, close

EXERCISES: dict[str, Exercise] = {}


def _knows_share(f: Callable[..., Any]) -> bool:
    return close([f(0.9, 0.3), f(0.9, 0.1), f(0.8, 0.8)], [0.75, 1.0, 0.0])


EXERCISES["1.1"] = Exercise(
    task="write share_lost(before, after), the share of what could be lost that was lost, if guessing gives 10 %.",
    is_right=_knows_share,
    hint="from 90 % to 10 % everything is lost (1.0), from 90 % to 30 % three quarters (0.75)",
)

EXERCISES["1.2"] = Exercise(
    task="train 90° first and 0° second; how much accuracy on the first task is lost?",
    is_right=lambda answer: 0.5 <= float(answer) <= 0.85,
    hint="give the accuracy on the first task before minus after, as a number between 0 and 1",
)
