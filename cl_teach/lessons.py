"""What the notebooks call: the set-up, claims that are measured, and checks of exercises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from . import _checks


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


def check(exercise: str, answer: object = ...) -> None:
    """Say whether an exercise is solved. Nothing is raised by a wrong or missing answer, so that Run All always runs through.

    Args:
        exercise: its number, such as "1.1".
        answer: the student's number or function; ``...`` means "not yet".

    Raises:
        ValueError: there is no such exercise.
    """
    _checks.one_of("exercise", exercise, sorted(_EXERCISES))
    task, is_right, hint = _EXERCISES[exercise]
    if answer is ...:
        print(f"· Exercise {exercise} is still to do: {task}")
        return
    try:
        right = bool(is_right(answer))
    except Exception as error:  # whatever a student's code raises is told to the student
        hint, right = f"it stopped with {type(error).__name__}: {error}", False
    print(f"✓ Exercise {exercise} is solved." if right else f"✗ Exercise {exercise}, not yet: {hint}.")


def _close(a: Any, b: Any) -> bool:
    return torch.allclose(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64), rtol=1e-6)


def _knows_share(f: Callable[..., Any]) -> bool:
    return _close([f(0.9, 0.3), f(0.9, 0.1), f(0.8, 0.8)], [0.75, 1.0, 0.0])


def _knows_l2_gradient(f: Callable[..., Any]) -> bool:
    theta, anchor = torch.randn(2, 5, dtype=torch.float64)
    return _close(f(theta, anchor, 0.7), 0.7 * (theta - anchor))


def _knows_two_weight_fisher(f: Callable[..., Any]) -> bool:
    x, p = torch.randn(6, 2, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    return _close(f(x, p), ((p * (1 - p))[:, None] * x**2).mean(0))


def _knows_penalty(f: Callable[..., Any]) -> bool:
    importance, theta, anchor = torch.rand(3, 5, dtype=torch.float64)
    return _close(f(importance, theta, anchor), (importance * (theta - anchor) ** 2).sum())


def _knows_merged_anchor(f: Callable[..., Any]) -> bool:
    f1, f2, m1, m2 = torch.rand(4, 5, dtype=torch.float64) + 0.1
    return _close(f(f1, m1, f2, m2), (f1 * m1 + f2 * m2) / (f1 + f2))


def _knows_projection(f: Callable[..., Any]) -> bool:
    point, origin, noise = torch.randn(3, 7, dtype=torch.float64)
    (u, v), gap = torch.linalg.qr(torch.stack([noise, noise.roll(1)]).T)[0].T, point - origin
    off = (gap - (gap @ u) * u - (gap @ v) * v).norm()
    return _close([float(n) for n in f(point, origin, u, v)], [gap @ u, gap @ v, off])


_EXERCISES: dict[str, tuple[str, Callable[[Any], bool], str]] = {
    "1.1": (
        "write share_lost(before, after), the share of what could be lost that was lost, if guessing gives 10 %.",
        _knows_share,
        "from 90 % to 10 % everything is lost (1.0), from 90 % to 30 % three quarters (0.75)",
    ),
    "1.2": (
        "train 90° first and 0° second; how much accuracy on the first task is lost?",
        lambda answer: 0.5 <= float(answer) <= 0.85,
        "give the accuracy on the first task before minus after, as a number between 0 and 1",
    ),
    "2.1": (
        "write l2_gradient(theta, anchor, strength), the gradient of strength / 2 * sum((theta - anchor)**2).",
        _knows_l2_gradient,
        "differentiate with respect to theta; the 2 of the square and the 1/2 cancel",
    ),
    "2.2": (
        "other code minimises loss + 0.05 * sum((theta - anchor)**2); which strength is that here?",
        lambda answer: _close(answer, 0.1),
        "here the same sum is multiplied by strength / 2",
    ),
    "3.1": (
        "write two_weight_fisher(x, p), the diagonal Fisher of the two-weight model, inputs x (N, 2) and p(label 1) (N,).",
        _knows_two_weight_fisher,
        "the score of one sample is (y - p) x; its square has the mean p (1 - p) x**2 under the model; then average over N",
    ),
    "3.2": (
        "task A had 10,000 samples and task B has 2,500; which lambda does Bayes ask for when both losses are means?",
        lambda answer: _close(answer, 4.0),
        "the log posterior sums over samples; divide it by the number of samples of B to turn B's sum into a mean",
    ),
    "4.1": (
        "write penalty(importance, theta, anchor), the sum that EWC adds, without strength / 2.",
        _knows_penalty,
        "it is the L2 penalty with one factor more inside the sum",
    ),
    "4.2": (
        "write merged_anchor(F1, m1, F2, m2), the anchor of the one quadratic that two EWC penalties add up to.",
        _knows_merged_anchor,
        "set the gradient F1 (theta - m1) + F2 (theta - m2) to zero",
    ),
    "5.1": (
        "write project(point, origin, u, v): the coordinates x and y in the plane, and the residual.",
        _knows_projection,
        "x and y are inner products of point - origin with u and v; the residual is a number, the length of what is then left",
    ),
    "5.2": (
        "how far is the end without a penalty off the plane through theta_A and the ends of L2 and EWC?",
        lambda answer: abs(float(getattr(answer, "residual", answer)) - 4.284) < 0.02,
        "cl.landscapes.plane_through(a, b, c).project(weights) gives x, y and the residual, which is asked for",
    ),
}
