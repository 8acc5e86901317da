"""Exercises of lesson 5, the landscape of forgetting."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .exercise import Exercise, Function, Number
from .lesson_2 import draw, normal

EXERCISES: dict[str, Exercise] = {}


def _planes(generator: torch.Generator) -> list[tuple[Tensor, ...]]:
    def case(n: int) -> tuple[Tensor, ...]:
        u, v = torch.linalg.qr(normal(generator, n, 2))[0].T
        across = normal(generator, n)
        across -= (across @ u) * u + (across @ v) * v
        x, y = draw(generator, 1.0, 2.0), -draw(generator, 3.0, 4.0)
        origin = normal(generator, n)
        return origin + x * u + y * v + draw(generator, 1.5, 2.5) * across / across.norm(), origin, u.clone(), v.clone()

    return [case(7), case(4), case(9)]


def _project(point: Tensor, origin: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    gap = point - origin
    x, y = gap @ u, gap @ v
    return x, y, (gap - x * u - y * v).norm()


def _rest(p: Tensor, o: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return p - o - (p - o) @ u * u - (p - o) @ v * v


EXERCISES["5.1"] = Function(
    task="write project(point, origin, u, v): the coordinates x and y in the plane, and the residual.",
    cases=_planes,
    right=_project,
    mistakes=[
        (lambda p, o, u, v: _project(p, torch.zeros_like(o), u, v), "this is measured from zero; where is the plane's origin?"),
        (
            lambda p, o, u, v: (*_project(p, torch.zeros_like(o), u, v)[:2], _rest(p, o, u, v).norm()),
            "x and y are measured from zero; where is the plane's origin?",
        ),
        (lambda p, o, u, v: _project(o, p, u, v), "x and y have the wrong sign: from where to where does the arrow go?"),
        (lambda p, o, u, v: tuple(_project(p, o, u, v)[i] for i in (1, 0, 2)), "x and y are exchanged"),
        (lambda p, o, u, v: (*_project(p, o, u, v)[:2], _rest(p, o, u, v)), "the residual is still an arrow; how long is it?"),
        (lambda p, o, u, v: (*_project(p, o, u, v)[:2], _rest(p, o, u, v).square().sum()), "the residual is squared"),
        (
            lambda p, o, u, v: (*_project(p, o, u, v)[:2], _rest(p, o, u, v).abs().sum()),
            "lengths do not add up like this in space: what did Pythagoras say?",
        ),
        (
            lambda p, o, u, v: (*_project(p, o, u, v)[:2], (p - o).norm()),
            "this is the way from the origin; the residual is what the plane leaves over of it",
        ),
        (
            lambda p, o, u, v: (*_project(p, o, u, v)[:2], (p - o - (p - o) @ u * u).norm()),
            "the residual still holds what lies along v",
        ),
        (
            lambda p, o, u, v: (*_project(p, o, u, v)[:2], (p - (p - o) @ u * u - (p - o) @ v * v).norm()),
            "the residual is measured from zero; x and y are not",
        ),
        (
            lambda p, o, u, v: (*_project(p, o, u, v)[:2], _rest(p, o, u, v).sum()),
            "the parts of an arrow added up are not its length: they cancel",
        ),
    ],
    hint="how far along u, how far along v, and what of the way is then left over? The last one is a length",
)

# Over 12 random starts 4.19 to 5.15. Of other numbers that may be taken for it: x 8.01 to 8.39, y 0.60 to 0.97; without a
# penalty the weights move by 9.07 to 9.66, with L2 by 5.15 to 5.69 (5.25 in the lesson), with EWC by 7.57 to 7.94; L2 is 2.37
# to 2.77 off the plane through EWC, EWC 5.75 to 6.16 off the one through L2.
EXERCISES["5.2"] = Number(
    task="how far is the end without a penalty off the plane through theta_A and the ends of L2 and EWC?",
    low=4.0,
    high=5.2,
    mistakes=[
        (0.4, 1.1, "this is its second coordinate in the plane"),
        (
            2.2,
            2.9,
            "this is how far L2 is off the lesson's plane; lay the plane through L2, and project the end without a penalty",
        ),
        (5.2, 5.72, "this is how far L2 went; which point is projected, and on which plane?"),
        (5.72, 6.3, "this is how far EWC is off the plane through the other three"),
        (7.4, 7.96, "this is how far EWC went; which point is projected, and on which plane?"),
        (7.96, 8.6, "this is its first coordinate in the plane"),
        (8.9, 9.9, "this is how far it went in all; most of the way lies in the plane"),
        (16.0, 27.0, "this is squared"),
        (-0.01, 0.01, "a point through which the plane was laid is not off it; project the other one"),
    ],
    hint="lay the plane through the three, then project the fourth; which of the three numbers says how far off it is?",
)


def _points(generator: torch.Generator) -> list[tuple[Any, ...]]:
    def case(near: float) -> tuple[Any, ...]:
        p = tuple(normal(generator, 2).tolist())
        q = (p[0] + draw(generator, 1.0, 3.0), p[1] - draw(generator, 1.0, 3.0))
        return (*p, near), (*q, near + draw(generator, 1.0, 2.0))

    return [case(draw(generator, 1.0, 2.0)) for _ in range(4)]


def _distance(p: Any, q: Any, off: float) -> float:
    return math.sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + off**2)


EXERCISES["5.3"] = Function(
    task="write between(p, q), each (x, y, residual) on a map: the smallest and the largest distance that the "
    "two can truly have.",
    cases=_points,
    right=lambda p, q: (_distance(p, q, p[2] - q[2]), _distance(p, q, p[2] + q[2])),
    mistakes=[
        (lambda p, q: (_distance(p, q, 0), _distance(p, q, 0)), "this is the distance on the paper"),
        (
            lambda p, q: (_distance(p, q, 0), _distance(p, q, p[2] + q[2])),
            "can the distance be as small as on the paper, when one is farther off it than the other?",
        ),
        (
            lambda p, q: (_distance(p, q, 0), _distance(p, q, p[2] - q[2])),
            "these are two small ones: what if the two lie on opposite sides of the plane?",
        ),
        (lambda p, q: (_distance(p, q, p[2] + q[2]), _distance(p, q, p[2] - q[2])), "the larger one comes first here"),
        (
            lambda p, q: (_distance(p, q, p[2] - q[2]), _distance(p, q, math.hypot(p[2], q[2]))),
            "the largest one takes the two ways off the plane to be at a right angle; they can be worse than that",
        ),
        (
            lambda p, q: (_distance(p, q, 0), _distance(p, q, math.hypot(p[2], q[2]))),
            "one takes the residuals for nothing, the other for ways at a right angle: what are the extremes?",
        ),
        (
            lambda p, q: (_distance(p, q, 0) + abs(p[2] - q[2]), _distance(p, q, 0) + p[2] + q[2]),
            "lengths are added that stand at a right angle",
        ),
        (
            lambda p, q: (_distance(p, q, 0) - p[2] - q[2], _distance(p, q, 0) + p[2] + q[2]),
            "the way on the paper and the ways off it stand at a right angle; they do not add up, nor cancel",
        ),
        (lambda p, q: (_distance(p, q, p[2] - q[2]) ** 2, _distance(p, q, p[2] + q[2]) ** 2), "these are squares"),
        (
            lambda p, q: (abs(p[2] - q[2]), p[2] + q[2]),
            "this is what can lie between them off the plane; they also differ on the paper",
        ),
    ],
    hint="one part of the way lies in the plane and is known; of the other only both lengths are known: turn one arrow about",
)


def _matrices(generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    def case(n: int) -> tuple[Tensor, Tensor]:
        scores = normal(generator, 2 * n, n) + 2 * normal(generator, 2 * n, 1)  # weights that act together
        return scores.T @ scores / len(scores), normal(generator, n) + 1.0

    return [case(4), case(6), case(3)]


EXERCISES["5.4"] = Function(
    task="write diagonal_share(F, d): what the diagonal of F predicts for a step d, as a share of what all of F predicts.",
    cases=_matrices,
    right=lambda F, d: (F.diagonal() * d**2).sum() / (d @ F @ d),
    mistakes=[
        (lambda F, d: (d @ F @ d) / (F.diagonal() * d**2).sum(), "the ratio is upside down"),
        (lambda F, d: 1 - (F.diagonal() * d**2).sum() / (d @ F @ d), "this is the share that the diagonal leaves out"),
        (
            lambda F, d: (F.diagonal() * d).sum() / (d @ F @ d),
            "on one side of the ratio the step is there once, on the other twice",
        ),
        (lambda F, d: (F.diagonal() * d).sum() / (F @ d).sum(), "these are slopes; a rise has the step in it twice"),
        (lambda F, d: F.trace() / F.sum(), "the step makes no difference here"),
        (lambda F, d: (F.diagonal() * d**2).mean() / (d @ F @ d), "a mean on one side, a sum on the other"),
        (lambda F, d: (F.diagonal() * d**2).sum() / 2 / (d @ F @ d), "the 1/2 belongs to both sides, or to none"),
        (
            lambda F, d: (F.diagonal() * d**2).sum(),
            "this is what the diagonal predicts; compare it with what all of F predicts",
        ),
        (lambda F, d: (F.diagonal() * d**2).sum() / 2, "this is what the diagonal predicts; compare it, as a share"),
        (lambda F, d: (F.diagonal() * d).norm() / (F @ d).norm(), "these are lengths of gradients, not rises of the loss"),
        (lambda F, d: F.diagonal() * d**2 / (d @ F @ d), "this has a share for each weight; together they are one"),
        (lambda F, d: 100 * (F.diagonal() * d**2).sum() / (d @ F @ d), "this is in percent"),
    ],
    hint="both predictions are one number: all pairs of weights take part in the one, each weight with itself in the other",
)
