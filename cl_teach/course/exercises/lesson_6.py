"""Exercises of lesson 6, many tasks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..._weights import Named
from .exercise import Exercise, Function
from .lesson_2 import draw, normal

EXERCISES: dict[str, Exercise] = {}


def _matrices(generator: torch.Generator) -> list[tuple[Tensor]]:
    """Accuracies as a run has them; each task is at its best some time after it was learnt, and none at a multiple of 0.1."""

    def case(n: int) -> tuple[Tensor]:
        matrix = torch.full((n, n), math.nan, dtype=torch.float64)
        for j in range(n):
            matrix[j, j] = draw(generator, 0.7, 0.8)
            for i in range(j + 1, n):
                later = draw(generator, 0.82, 0.95) if i == j + 1 and i < n - 1 else draw(generator, 0.3, 0.6)
                matrix[i, j] = later
        return (matrix,)

    return [case(4), case(5), case(3)]


def _best(a: Tensor) -> Tensor:
    """Of each task but the last, the best accuracy before the last task was learnt."""
    return a[:-1, :-1].nan_to_num(nan=-1.0).amax(dim=0)


def _average(a: Tensor) -> Tensor:
    return a[-1].mean()


def _forgetting(a: Tensor) -> Tensor:
    return (_best(a) - a[-1, :-1]).mean()


EXERCISES["6.1"] = Function(
    task="write summed_up(accuracy): the average accuracy and the forgetting of a finished sequence.",
    cases=_matrices,
    right=lambda a: (_average(a), _forgetting(a)),
    mistakes=[
        (lambda a: (_forgetting(a), _average(a)), "both are right, but exchanged"),
        (lambda a: (_average(a), -_forgetting(a)), "the forgetting has the wrong sign: what is lost counts as positive"),
        (
            lambda a: (_average(a), (a.diagonal() - a[-1])[:-1].mean()),
            "the second falls from where each task began, not from its best",
        ),
        (lambda a: (_average(a), (a[-1] - a.diagonal())[:-1].mean()), "the second is the backward transfer"),
        (
            lambda a: (_average(a), (a.nan_to_num(nan=-1.0).amax(dim=0) - a[-1]).mean()),
            "the last task is counted as well, which nothing could be forgotten of yet",
        ),
        (lambda a: (_average(a), (_best(a) - a[-1, :-1]).sum()), "the forgetting is a sum over tasks, not their mean"),
        (lambda a: (_average(a), (_best(a) - a[-1, :-1]).max()), "this is the forgetting of the task that suffered most"),
        (lambda a: (_average(a), a[0, 0] - a[-1, 0]), "this looks at the first task only"),
        (lambda a: (a.diagonal().mean(), _forgetting(a)), "the first number is how well each task was learnt in its turn"),
        (
            lambda a: (a.nanmean(), _forgetting(a)),
            "the first number is taken over all moments; what is known at the end?",
        ),
        (lambda a: (a.nan_to_num().mean(), _forgetting(a)), "the first number counts tasks not seen yet as nothing known"),
        (
            lambda a: (a[:, 0].mean(), _forgetting(a)),
            "the first number follows one task over time; rows and columns are exchanged",
        ),
        (lambda a: (a[-1, :-1].mean(), _forgetting(a)), "the first number leaves out the last task"),
        (lambda a: (a[-1].sum(), _forgetting(a)), "the first number is a sum over tasks, not their mean"),
        (lambda a: (_average(a), (a.amax(dim=0) - a[-1]).mean()), "the maximum over a column with NaN in it is NaN"),
    ],
    hint="the average needs the matrix's last row only; for the forgetting, take of each earlier task its best moment before "
    "the last task, and see how far the last row is below it",
)


def _sequences(generator: torch.Generator) -> list[tuple[list[Tensor], list[Tensor], float]]:
    def case(n_tasks: int, n: int) -> tuple[list[Tensor], list[Tensor], float]:
        fishers = [0.2 + torch.rand(n, generator=generator, dtype=torch.float64) for _ in range(n_tasks)]
        return fishers, [normal(generator, n) for _ in range(n_tasks)], draw(generator, 0.5, 0.8)

    return [case(3, 4), case(4, 3), case(5, 2)]


def _faded(powers: Callable[[int, int], int]) -> Callable[[list[Tensor], list[Tensor], float], tuple[Tensor, Tensor]]:
    """Online EWC with a decay to the power of powers(k, K) on task k of K."""

    def online(fishers: list[Tensor], weights: list[Tensor], decay: float) -> tuple[Tensor, Tensor]:
        total = torch.stack([decay ** powers(k, len(fishers)) * f for k, f in enumerate(fishers)]).sum(dim=0)
        return total, weights[-1]

    return online


_online = _faded(lambda k, n: n - 1 - k)


def _per_task(fishers: list[Tensor], weights: list[Tensor], decay: float) -> tuple[Tensor, Tensor]:
    total = torch.stack(fishers).sum(dim=0)
    return total, (torch.stack(fishers) * torch.stack(weights)).sum(dim=0) / total


def _faded_mean(fishers: list[Tensor], weights: list[Tensor], decay: float) -> tuple[Tensor, Tensor]:
    share = torch.stack([decay ** (len(fishers) - 1 - k) * f for k, f in enumerate(fishers)])
    return share.sum(dim=0), (share * torch.stack(weights)).sum(dim=0) / share.sum(dim=0)


def _moving(fishers: list[Tensor], weights: list[Tensor], decay: float) -> tuple[Tensor, Tensor]:
    total = fishers[0]
    for f in fishers[1:]:
        total = decay * total + (1 - decay) * f
    return total, weights[-1]


def _decayed_after(fishers: list[Tensor], weights: list[Tensor], decay: float) -> tuple[Tensor, Tensor]:
    return _faded(lambda k, n: n - k)(fishers, weights, decay)


EXERCISES["6.2"] = Function(
    task="write online_ewc(fishers, weights, decay): precision and anchor after the last task.",
    cases=_sequences,
    right=_online,
    mistakes=[
        (lambda f, w, d: _online(f, w, d)[::-1], "both are right, but exchanged"),
        (_per_task, "nothing fades here, and the anchor is a mean over all tasks: this is the other form of EWC"),
        (_faded_mean, "the precision is right, but the anchor is a mean over all tasks"),
        (_faded(lambda k, n: 0), "nothing fades here; what is the decay for?"),
        (_decayed_after, "even the newest task has faded already; when does the fading set in?"),
        (_faded(lambda k, n: k), "it fades the wrong way round: the oldest task counts most"),
        (_faded(lambda k, n: 0 if k == n - 1 else 1), "each old task fades once only, however long ago it was"),
        (_moving, "the newest task is scaled down as well; only what is old should fade"),
        (lambda f, w, d: (f[-1], w[-1]), "only the newest task is left; the old ones fade, they do not vanish"),
        (lambda f, w, d: (_online(f, w, d)[0], w[0]), "the precision is right; but the anchor never moves from the first task"),
        (lambda f, w, d: (_online(f, w, d)[0] / len(f), w[-1]), "the precision is a mean over tasks; here it adds up"),
        (
            lambda f, w, d: (_online(f, w, d)[0], torch.stack(w).mean(dim=0)),
            "the precision is right, but the anchor is the plain mean of all weights",
        ),
    ],
    hint="go from task to task: what there was fades by one factor, what is new comes on top; and where does training stand "
    "now?",
)


def _two_tasks(generator: torch.Generator) -> list[tuple[Tensor, ...]]:
    def case(*shape: int) -> tuple[Tensor, ...]:
        p, f = (0.2 + torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        p.view(-1)[0] = f.view(-1)[0] = 0.0
        f.view(-1)[1] = 0.0
        return p, normal(generator, *shape), f, normal(generator, *shape)

    return [case(5), case(2, 3), case(7)]


def _pulled(P: Tensor, m: Tensor, F: Tensor, theta: Tensor) -> Tensor:
    return torch.where(P + F > 0, P * (m - theta) / (P + F), m - theta)


def _naively(P: Tensor, m: Tensor, F: Tensor, theta: Tensor) -> Tensor:
    return P * (m - theta) / (P + F)


EXERCISES["6.3"] = Function(
    task="write pulled(P, m, F, theta): how far from theta the merged anchor lies, weight by weight.",
    cases=_two_tasks,
    right=_pulled,
    mistakes=[
        (_naively, "where nothing matters to either task there is NaN; what should stand there?"),
        (
            lambda P, m, F, theta: _naively(P, m, F, theta).nan_to_num(),
            "where nothing matters to any task, the anchor stays where it was; how far is that from theta?",
        ),
        (lambda P, m, F, theta: -_pulled(P, m, F, theta), "the sign is wrong: from where to where does the arrow go?"),
        (
            lambda P, m, F, theta: torch.where(P + F > 0, F * (theta - m) / (P + F), 0.0),
            "this is how far the anchor has moved from where it was before",
        ),
        (
            lambda P, m, F, theta: torch.where(P + F > 0, F * (m - theta) / (P + F), m - theta),
            "the shares are exchanged: what mattered before should pull more, the more it mattered",
        ),
        (
            lambda P, m, F, theta: torch.where(P + F > 0, (P * m + F * theta) / (P + F), m),
            "this is the merged anchor itself; how far is it from theta?",
        ),
        (
            lambda P, m, F, theta: (P * m + F * theta) / (P + F),
            "this is the merged anchor itself, with NaN in it; how far is it from theta?",
        ),
        (lambda P, m, F, theta: m - theta, "this is how far the old anchor is; the new task has moved it"),
        (lambda P, m, F, theta: (m - theta) / 2, "this takes both tasks to matter alike for every weight"),
        (lambda P, m, F, theta: P * (m - theta), "this is a force, not a distance: what are both precisions together?"),
        (
            lambda P, m, F, theta: torch.where(P + F > 0, P * (m - theta).abs() / (P + F), (m - theta).abs()),
            "the sizes are right; each has a direction, too",
        ),
        (lambda P, m, F, theta: _pulled(P, m, F, theta).norm(), "this is one length for all; it is asked weight by weight"),
    ],
    hint="write down the merged anchor, subtract theta, and simplify; then look at weights that matter to nobody",
)


def _fishers(generator: torch.Generator) -> list[tuple[Named, Named]]:
    def fisher(scale: float, *widths: int) -> Named:
        names = [f"{k}.{kind}" for k in range(len(widths) - 1) for kind in ("weight", "bias")]
        shapes = [s for a, b in pairwise(widths) for s in ((b, a), (b,))]
        values = [scale * torch.rand(s, generator=generator, dtype=torch.float64) ** 3 for s in shapes]
        return dict(zip(names, values, strict=True))

    return [
        (fisher(draw(generator, 2.0, 3.0), *widths), fisher(draw(generator, 5.0, 9.0), *widths))
        for widths in ((4, 3, 2), (3, 5, 2), (2, 2, 2))
    ]


def _flat(fisher: Named) -> Tensor:
    return torch.cat([f.flatten() for f in fisher.values()])


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    return (a / a.sum() * b / b.sum()).sqrt().sum()


def _layers(a: Named, b: Named) -> Tensor:
    return torch.stack([_overlap(a[name].flatten(), b[name].flatten()) for name in a])


EXERCISES["6.4"] = Function(
    task="write overlap_of(fisher_a, fisher_b): the overlap of two Fishers over all weights of a network, one number.",
    cases=_fishers,
    right=lambda a, b: _overlap(_flat(a), _flat(b)),
    mistakes=[
        (
            lambda a, b: (_flat(a) * _flat(b)).sqrt().sum(),
            "neither has been scaled: twice as large a Fisher must change nothing",
        ),
        (lambda a, b: _overlap(_flat(a), _flat(b)) * _flat(b).sum().sqrt(), "only one of the two has been scaled"),
        (lambda a, b: _overlap(_flat(a), _flat(b)) * _flat(a).sum().sqrt(), "only one of the two has been scaled"),
        (
            lambda a, b: (_flat(a) / _flat(a).sum() * _flat(b) / _flat(b).sum()).sum(),
            "two equal Fishers must have an overlap of 1: is a root missing?",
        ),
        (
            lambda a, b: (_flat(a) * _flat(b)).sum() / (_flat(a).norm() * _flat(b).norm()),
            "this is the cosine of the angle between the two; the overlap is another measure",
        ),
        (
            lambda a, b: (_flat(a) / _flat(a).norm() * _flat(b) / _flat(b).norm()).sqrt().sum(),
            "they are scaled to a length of one; which other quantity should be one?",
        ),
        (
            lambda a, b: (_flat(a) / _flat(a).max() * _flat(b) / _flat(b).max()).sqrt().sum(),
            "they are scaled by their largest value; which other quantity should be one?",
        ),
        (lambda a, b: (_flat(a) / _flat(a).sum() * _flat(b) / _flat(b).sum()).sqrt().mean(), "this is a mean over weights"),
        (
            lambda a, b: torch.minimum(_flat(a) / _flat(a).sum(), _flat(b) / _flat(b).sum()).sum(),
            "the smaller of the two shares is taken; the overlap of the lesson takes another mean of them",
        ),
        (lambda a, b: 1 - _overlap(_flat(a), _flat(b)), "this is how much they differ"),
        (lambda a, b: _layers(a, b).sum(), "each tensor has been scaled for itself, and their overlaps added up"),
        (lambda a, b: _layers(a, b).mean(), "each tensor has been scaled for itself: scale the whole network"),
        (lambda a, b: _layers(a, b), "there is one overlap for each tensor; one is asked for the whole network"),
    ],
    hint="scale each of the two over the whole network, then add up one mean of both shares for every weight",
)
