"""Exercises of lesson 11, reproducing a paper: errors, agreement, and the lambda of other code."""

from __future__ import annotations

from math import hypot, sqrt
from typing import Any

import torch

from .exercise import Choice, Exercise, Function
from .lesson_2 import draw

EXERCISES: dict[str, Exercise] = {}


def _runs(generator: torch.Generator) -> list[tuple[float, int]]:
    return [(draw(generator, 0.5, 4.0), n) for n in (5, 12, 30)]


EXERCISES["11.1"] = Function(
    task="write standard_error(deviation, n): of the mean of n runs, whose standard deviation (with n - 1) is given.",
    cases=_runs,
    right=lambda deviation, n: deviation / sqrt(n),
    mistakes=[
        (lambda d, n: d, "this is how far apart single runs are; their mean varies less"),
        (
            lambda d, n: d / n,
            "the mean of more runs is surer, but not by so much: which of the two adds up, variance or deviation?",
        ),
        (
            lambda d, n: d / sqrt(n - 1),
            "the deviation has been estimated already; here it is made that of a mean of one run fewer",
        ),
        (lambda d, n: d * sqrt(n), "with more runs the mean would become less sure"),
        (lambda d, n: d**2 / n, "this is the variance of the mean, in squared points"),
        (lambda d, n: 2 * d / sqrt(n), "twice as much as asked: that is what the bars of the figures show"),
    ],
    hint="what is the variance of a sum of n runs that know nothing of each other, and what of their mean?",
)


def _cells(generator: torch.Generator) -> list[tuple[float, float, float, float]]:
    def case(sign: int) -> tuple[float, float, float, float]:
        theirs = draw(generator, 80.0, 90.0)
        return theirs + sign * draw(generator, 1.0, 6.0), draw(generator, 0.2, 0.8), theirs, draw(generator, 1.0, 2.0)

    return [case(1), case(-1), case(1)]


EXERCISES["11.2"] = Function(
    task="write errors_apart(ours, our_error, theirs, their_error): how many combined standard errors two means are apart, "
    "0 or more.",
    cases=_cells,
    right=lambda ours, a, theirs, b: abs(ours - theirs) / hypot(a, b),
    mistakes=[
        (lambda x, a, y, b: (x - y) / hypot(a, b), "this one has a sign; a difference in either direction counts"),
        (lambda x, a, y, b: (y - x) / hypot(a, b), "this one has a sign; a difference in either direction counts"),
        (
            lambda x, a, y, b: abs(x - y) / (a + b),
            "the two errors do not always point the same way, so together they are less than this",
        ),
        (lambda x, a, y, b: abs(x - y) / max(a, b), "only the larger of the two errors counts here"),
        (lambda x, a, y, b: abs(x - y) / a, "their error is not in it"),
        (
            lambda x, a, y, b: abs(x - y) / (a**2 + b**2),
            "this is divided by the variance of the difference, and not by its error",
        ),
        (lambda x, a, y, b: abs(x - y) / hypot(a, b) / 2, "half of it: the 2 belongs to the rule, not to this number"),
        (lambda x, a, y, b: abs(x - y) / ((a + b) / 2), "the mean of two errors is not the error of a difference"),
        (
            lambda x, a, y, b: abs(x - y) / sqrt((a**2 + b**2) / 2),
            "the difference of two uncertain numbers is less certain than either",
        ),
        (lambda x, a, y, b: abs(x - y), "this is the difference in points; in how many errors?"),
        (lambda x, a, y, b: hypot(a, b), "this is the error of the difference; where is the difference?"),
    ],
    hint="the two means know nothing of each other, so the variance of their difference is the sum of two variances",
)


def _codes(generator: torch.Generator) -> list[tuple[Any, ...]]:
    return [(draw(generator, 3.0, 9.0), n) for n in torch.randint(5, 400, (4,), generator=generator).tolist()]


EXERCISES["11.3"] = Function(
    task="other code adds c * sum(F * (theta - anchor)**2) to the mean loss, and its F is a SUM over n images; "
    "write our_lambda(c, n).",
    cases=_codes,
    right=lambda c, n: 2 * c * n,
    mistakes=[
        (lambda c, n: c * n, "F is right now; look at what stands in front of our sum"),
        (lambda c, n: c * n / 2, "F is right now; is our λ the larger or the smaller of the two numbers?"),
        (lambda c, n: 2 * c, "their F is a sum over images, ours is a mean"),
        (lambda c, n: c, "their F is a sum over images, ours a mean; and look at what stands in front of our sum"),
        (lambda c, n: 2 * c / n, "of their sum over images and our mean, which is the larger? Here it is taken the wrong way"),
        (
            lambda c, n: c / n,
            "of their sum over images and our mean, which is the larger? And look at what stands in front of our sum",
        ),
        (lambda c, n: 2 * c * n**2, "F is a mean of squares, n comes in once"),
    ],
    hint="write both penalties with the same F, one below the other, and compare what stands in front",
)

EXERCISES["11.4"] = Choice(
    task='what would you run first: "a larger network", "more seeds", "lambda = 0", "the newest version of its library"?',
    right="lambda = 0",
    others={
        "a larger network": "it may be better, and you would still not know whether the method did anything in the smaller one",
        "more seeds": "they make the number surer; they do not say what it is a number of",
        "the newest version of its library": "it may give another number, and you would not know why; one change at a time",
    },
)
