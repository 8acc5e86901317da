"""Tables of papers: what was published, and what came out here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from .. import _checks
from .style import Picture, canvas, literal, style_of, styled


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
    handles = [
        Line2D([], [], color="black", marker="o", label="here"),
        Line2D([], [], color="black", marker="d", mfc="white", label="the paper"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, title="test accuracy, bars: two standard errors")
    return Picture(figure, f"Test accuracy here and in the paper. {'. '.join(parts)}.")


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
