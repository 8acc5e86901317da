"""Tables of papers: what was published, and what came out here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from math import isfinite, isnan, nan, sqrt
from statistics import mean, stdev
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from .. import _checks
from .style import RED, Picture, canvas, literal, style_of, styled


class _Number(Protocol):
    mean: float
    error: float


class Cell(Protocol):
    """A cell of a table, as ``cl_teach.reproduce.compare`` gives it."""

    column: str
    method: str
    mean: float
    error: float
    published: _Number | None
    agrees: bool | None


@styled
def published(cells: Sequence[Cell]) -> Picture:
    """Ours beside the paper's: mean accuracies, with bars of two standard errors to both sides, a panel for each column.

    Args:
        cells: what :func:`cl_teach.reproduce.compare` gave. Where one differs from the paper, its name says so.

    Raises:
        TypeError, ValueError: no cells, or something else.
    """
    cells = _checked(cells)
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = max(sum(cell.column == column for cell in cells) for column in columns)
    figure, axes = canvas(len(columns), width=2.2 + 2.9 * len(columns), height=1.3 + 0.5 * rows)
    parts = []
    for axis, column in zip(axes, columns, strict=True):
        found = [cell for cell in cells if cell.column == column]
        for y, cell in enumerate(found):
            style = style_of(cell.method)
            _bar(axis, cell, y - 0.17, color=style["color"], marker=style["marker"])
            if cell.published is not None:
                _bar(axis, cell.published, y + 0.17, color="black", marker="d", mfc="white")
        names = [literal(cell.method) + ("\n(differs)" if cell.agrees is False else "") for cell in found]
        axis.set(yticks=range(len(found)), yticklabels=names, ylim=(len(found) - 0.5, -0.5), title=literal(column))
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axis.locator_params(axis="x", nbins=4)
        axis.grid(axis="x", alpha=0.3)
        parts.append(f"{column}: {'; '.join(map(_told, found))}")
    handles = [Line2D([], [], color="black", marker="o", label="here")]
    if with_paper := any(cell.published is not None for cell in cells):
        handles.append(Line2D([], [], color="black", marker="d", mfc="white", label="the paper"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, title="test accuracy, bars: two standard errors")
    return Picture(figure, f"Test accuracy here{' and in the paper' * with_paper}. {'. '.join(parts)}.")


@styled
def ladder(steps: Mapping[str, Sequence[float]], marks: Mapping[str, float] | None = None) -> Picture:
    """What each change of the settings gains, one after the other, from top to bottom: means with bars of two standard errors.

    Args:
        steps: what was changed -> accuracies (0 to 1); at each step those of the same seeds, in the same order. A gain is the
            mean of their differences, plus-minus its standard error.
        marks: name -> accuracy, drawn as a line from top to bottom, such as a published one; None for no line.

    Raises:
        TypeError, ValueError: no steps, other numbers of seeds from step to step, or what is no accuracy.
    """
    found, marks = _accuracies(steps), {} if marks is None else marks
    for name, value in _checks.named("marks", marks, object, "accuracy", or_empty=True).items():
        _checks.share(f"marks[{name!r}]", value)
    figure, (axis,) = canvas(width=8.5, height=1.6 + 0.55 * len(found))
    told, before = [], None
    for y, (name, accuracies) in enumerate(found.items()):
        middle, error = _mean_and_error(accuracies)
        axis.plot(accuracies, [y + 0.22] * len(accuracies), "o", color="#8C8C8C", ms=3.5)
        axis.errorbar([middle], [y], xerr=[0.0 if isnan(error) else 2 * error], ms=7, lw=1.8, capsize=3, fmt="o", color=RED)
        gain = ""
        if before is not None:
            by, by_error = _mean_and_error([a - b for a, b in zip(accuracies, before, strict=True)])
            gain = f"{100 * by:+z.1f}" + ("" if isnan(by_error) else f" ± {100 * by_error:.1f}")
            axis.annotate(gain, (1.01, y), xycoords=("axes fraction", "data"), va="center")
        told.append(f"{name} {100 * middle:.1f} %" + (f" ({gain})" if gain else ""))
        before = accuracies
    for (name, value), line in zip(marks.items(), cycle(("--", ":", "-.")), strict=False):
        axis.axvline(value, color="black", lw=1.2, ls=line, label=f"{literal(name)}: {100 * value:g} %")
    axis.set(yticks=range(len(found)), yticklabels=[literal(name) for name in found], ylim=(len(found) - 0.5, -0.5))
    axis.set_title("gain in points", loc="right", fontsize="medium")
    axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axis.set_xlabel("test accuracy, mean over all tasks; bars: two standard errors; grey: seeds")
    axis.grid(axis="x", alpha=0.3)
    if marks:
        figure.legend(loc="outside upper left", ncols=len(marks))
    lines = f" Lines: {', '.join(f'{name} {100 * value:.1f} %' for name, value in marks.items())}." if marks else ""
    return Picture(figure, f"Test accuracy as one setting after the other is changed: {'; '.join(told)}.{lines}")


def _accuracies(steps: object) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, values in _checks.named("steps", steps, Iterable, "accuracies, one a seed").items():
        found[name] = [_checks.share(f"steps[{name!r}]", value) for value in values]
        first = next(iter(found))
        if not found[name] or len(found[name]) != len(found[first]):
            given = f"{len(found[first])} for {first!r} and {len(found[name])} for {name!r}"
            raise ValueError(f"steps must hold accuracies of the same seeds at each step, at least one, got {given}")
    return found


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and its standard error; NaN with one value."""
    return mean(values), stdev(values) / sqrt(len(values)) if len(values) > 1 else nan


def _bar(axis: Axes, number: Any, y: float, **look: Any) -> None:
    error = 2 * number.error if isfinite(number.error) else 0.0
    axis.errorbar([number.mean], [y], xerr=[error], ms=6, lw=1.6, capsize=2, ls="none", **look)


def _told(cell: Cell) -> str:
    here = f"{cell.method} {100 * cell.mean:.1f} %"
    if cell.published is None:
        return here
    return f"{here}, paper {100 * cell.published.mean:.1f} %{'' if cell.agrees else ' (differs)'}"


def _checked(cells: object) -> list[Any]:
    words = "what cl_teach.reproduce.compare gave"
    found = list(cells) if isinstance(cells, Iterable) and not isinstance(cells, str) else []
    if not found:
        raise ValueError(f"cells must be {words}, got {_checks.shown(cells)}")
    for cell in found:
        if not all(hasattr(cell, name) for name in ("column", "method", "mean", "error", "published", "agrees")):
            raise TypeError(f"cells must be {words}, got {_checks.shown(cell)} among them")
    return found
