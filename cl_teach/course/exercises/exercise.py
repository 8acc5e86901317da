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
    """Whether two numbers, or two lists or tensors of them, agree to a millionth."""
    return torch.allclose(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64), rtol=1e-6)
