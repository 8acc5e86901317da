"""What an exercise is, and what the files of the lessons share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    Args:
        task: what is asked; printed while there is no answer.
        is_right: called with the student's number or function. It may raise: the student is told what.
        hint: printed after a wrong answer.
    """

    task: str
    is_right: Callable[[Any], bool]
    hint: str


def close(a: Any, b: Any) -> bool:
    """Whether two numbers, or two lists or tensors of as many of them, agree to a millionth."""
    one, other = (torch.as_tensor(values, dtype=torch.float64).flatten() for values in (a, b))
    return len(one) == len(other) and torch.allclose(one, other, rtol=1e-6)  # which would take an empty one for equal to any
