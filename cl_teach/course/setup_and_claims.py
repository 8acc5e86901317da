"""How a lesson starts, and how its sentences are kept true: claims, which are measured whenever it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from .. import _checks


def setup() -> None:
    """Make a lesson give the same digits on every machine, and say where it runs.

    float64 is the default type, because float32 sums differ between processors in the last bits and training amplifies them;
    one thread, because the lessons' networks are too small to share out.
    """
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    print(f"cl_teach is ready, running on {_checks.device().type}")


def claim(
    sentence: str,
    measured: float | torch.Tensor | Iterable[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """State a sentence of the lesson as code: print it with what was measured, and raise if it is not true.

    Args:
        sentence: what the lesson says.
        measured: a number, or one a seed; all of them must obey the bounds.
        at_least, at_most: the bounds, one or both.

    Raises:
        AssertionError: a number is out of bounds, or NaN.
        ValueError: no bound, or nothing measured.
    """
    if at_least is None and at_most is None:
        raise ValueError("claim needs at_least or at_most: a claim without a bound cannot fail")
    if isinstance(measured, torch.Tensor):
        measured = measured.flatten().tolist()
    numbers = [float(v) for v in (measured if isinstance(measured, Iterable) else [measured])]
    if not numbers:
        raise ValueError("measured must hold at least one number, got none")
    low, high = min(numbers), max(numbers)
    value = _short(low) if len(numbers) == 1 else f"{_short(low)} to {_short(high)}, {len(numbers)} values"
    bounds = [f"at least {at_least:g}"] if at_least is not None else []
    bounds += [f"at most {at_most:g}"] if at_most is not None else []
    text = f"{sentence}: {value} (claimed: {' and '.join(bounds)})"
    lower = -math.inf if at_least is None else at_least
    upper = math.inf if at_most is None else at_most
    if not all(lower <= v <= upper for v in numbers):
        raise AssertionError(f"✗ {text}")
    print(f"✓ {text}")


def _short(number: float) -> str:
    return f"{number:.3g}" if abs(number) >= 1e-6 else "0.000000"  # below that, rounding differs between machines
