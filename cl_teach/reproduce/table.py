"""A table of a paper: what was published, what we run for it, and whether the two agree."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import stdev
from typing import NamedTuple

from .. import _checks
from ..penalties import Penalty
from ..tasks import Task
from .protocol import Protocol

POINTS = 0.01  # a difference below one point of accuracy is none


class Published(NamedTuple):
    """A cell of the paper: mean accuracy (0 to 1) and its standard error, over ``n`` runs."""

    mean: float
    error: float
    n: int


class Key(NamedTuple):
    """Which run it is."""

    column: str
    method: str
    strength: float
    seed: int


@dataclass(frozen=True)
class Row:
    """What came out of one run.

    Attributes:
        accuracies: after each task, the test accuracy on each task so far.
        seconds: wall time of this run, with its share of what it had in common with others.
        where: device, processor's threads and versions, as text.
        settings: a digest of all that the table says; rows of other settings are not of this table.
    """

    key: Key
    accuracies: tuple[tuple[float, ...], ...]
    seconds: float
    where: str
    settings: str

    @property
    def accuracy(self) -> float:
        """The table's number: mean over all tasks, at the end."""
        return sum(self.accuracies[-1]) / len(self.accuracies[-1])


class Compared(NamedTuple):
    """A cell of ours beside the published one, if there is one.

    Attributes:
        column, method, strength: which cell, and its best strength.
        mean, error: of the accuracies, and its standard error, NaN with one seed.
        n: how many seeds.
        published, agrees: None where the paper has no number.
        accuracies: one a seed, in the order of the seeds.
    """

    column: str
    method: str
    strength: float
    mean: float
    error: float
    n: int
    published: Published | None
    agrees: bool | None
    accuracies: tuple[float, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: data, network, methods and strengths as the paper and its code have them.

    Attributes:
        name: of the command and of the file of results.
        title: for people.
        published: (column, method) -> what the paper reports, None for no number, in the order in which it is shown.
        strengths: (column, method) -> the lambdas to run, in this package's convention.
        protocols: column -> how its runs go.
        tasks: (column, seed, how many training images of MNIST, None for all) -> the tasks.
        penalty: (column, method, seed) -> a fresh penalty, None for none.
        seeds: those of the committed results.
        n_train: how many training images; None for all 60,000.
    """

    name: str
    title: str
    published: Mapping[tuple[str, str], Published | None]
    strengths: Mapping[tuple[str, str], tuple[float, ...]]
    protocols: Mapping[str, Protocol]
    tasks: Callable[[str, int, int | None], list[Task]] = field(repr=False)
    penalty: Callable[[str, str, int], Penalty | None] = field(repr=False)
    seeds: tuple[int, ...]
    n_train: int | None = None

    @property
    def settings(self) -> str:
        """A short digest of what a run's result depends on, besides its key. What is None in a protocol has no part in it."""
        parts = {
            column: {name: value for name, value in asdict(protocol).items() if value is not None}
            for column, protocol in self.protocols.items()
        }
        return hashlib.sha256(repr((self.name, sorted(parts.items()), self.n_train)).encode()).hexdigest()[:12]

    def units(self, seeds: Iterable[int]) -> list[list[Key]]:
        """All runs; those that differ in the strength alone are one unit of work."""
        return [
            [Key(column, method, strength, seed) for strength in self.strengths[column, method]]
            for seed in seeds
            for column, method in self.published
        ]

    def check_own(self, row: Row, where: str, advice: str = "") -> None:
        """Raise ValueError, which ends with ``advice``, for a row in ``where`` of another table or of other settings."""
        if row.key[:2] not in self.published or row.settings != self.settings:
            got = f"{row.key} with {row.settings}{advice}"
            raise ValueError(f"{where} must hold runs of {self.name} with the settings {self.settings}, got {got}")

    def small(self, n_train: int = 2_000, steps: int = 100, seeds: Sequence[int] = (1,)) -> Table:
        """The same table in minutes, not hours: fewer images, fewer steps on each task. Its numbers are not the paper's.

        They are in double precision, and so the same on every processor.
        """
        protocols = {column: replace(protocol, steps=steps, double=True) for column, protocol in self.protocols.items()}
        return replace(self, protocols=protocols, n_train=n_train, seeds=tuple(seeds))


def compare(table: Table, rows: Iterable[Row]) -> list[Compared]:
    """For each cell of the table ours, at the strength whose mean accuracy is the highest, as in the papers.

    They agree if they differ by at most two combined standard errors, or by at most one point. A cell without runs is left out;
    of several strengths those count that have the most seeds.

    Raises:
        TypeError, ValueError: ``table`` is not a table; a row is of another table or of other settings, or is there twice.
    """
    check(table)
    rows, found = list(rows), []
    for row in rows:
        _checks.kind("rows", row, Row, "rows that cl_teach.reproduce.read or work gave")
        table.check_own(row, "rows")
    if twice := [key for key, n in Counter(row.key for row in rows).items() if n > 1]:
        raise ValueError(f"rows must hold each run once, got {twice[0]} more than once")
    for (column, method), published in table.published.items():
        by_strength: dict[float, list[float]] = {}
        for row in sorted(rows, key=lambda row: row.key.seed):
            if (row.key.column, row.key.method) == (column, method):
                by_strength.setdefault(row.key.strength, []).append(row.accuracy)
        if not by_strength:
            continue
        most = max(map(len, by_strength.values()))
        means = {strength: sum(a) / len(a) for strength, a in by_strength.items() if len(a) == most}
        best = max(means, key=lambda strength: means[strength])
        mean, n, ours = means[best], most, by_strength[best]
        error = stdev(ours) / math.sqrt(n) if n > 1 else math.nan
        agrees = None
        if published:
            apart = abs(mean - published.mean)
            agrees = apart <= POINTS or apart <= 2 * math.hypot(0 if n == 1 else error, published.error)
        found.append(Compared(column, method, best, mean, error, n, published, agrees, tuple(ours)))
    return found


def check(table: object) -> None:
    """Raise TypeError for what is not a table."""
    _checks.kind("table", table, Table, "a Table such as cl_teach.reproduce.TABLES['hsu_2018']")
