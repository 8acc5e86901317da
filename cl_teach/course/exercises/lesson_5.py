"""Exercises of lesson 5, the landscape of forgetting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .exercise import Exercise, close

EXERCISES: dict[str, Exercise] = {}


def _knows_projection(f: Callable[..., Any]) -> bool:
    point, origin, noise = torch.randn(3, 7, dtype=torch.float64)
    (u, v), gap = torch.linalg.qr(torch.stack([noise, noise.roll(1)]).T)[0].T, point - origin
    off = (gap - (gap @ u) * u - (gap @ v) * v).norm()
    return close([float(n) for n in f(point, origin, u, v)], [gap @ u, gap @ v, off])


EXERCISES["5.1"] = Exercise(
    task="write project(point, origin, u, v): the coordinates x and y in the plane, and the residual.",
    is_right=_knows_projection,
    hint="x and y are inner products of point - origin with u and v; the residual is a number, the length of what is then left",
)

EXERCISES["5.2"] = Exercise(
    task="how far is the end without a penalty off the plane through theta_A and the ends of L2 and EWC?",
    is_right=lambda answer: abs(float(getattr(answer, "residual", answer)) - 4.284) < 0.02,  # as the lesson measures it
    hint="cl.landscapes.plane_through(a, b, c).project(weights) gives x, y and the residual, which is asked for",
)
