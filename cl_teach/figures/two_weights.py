"""The exact loss of a model with two weights, where methods end on it, and where their penalties are constant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from math import isfinite
from textwrap import fill
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from torch import Tensor

from .. import _checks
from .style import (
    METHODS,
    OUTLINES,
    REGIONS,
    TASKS,
    THETA_A,
    Picture,
    array,
    check_title,
    literal,
    plain,
    style_of,
    styled,
    titled,
)
from .words import Words

LEVELS = (0.012, 0.1, 0.3)  # nats above a task's lowest loss: the region where it is content, and two lines around it


def _draw_loss(axis: Axes, w1: Tensor, w2: Tensor, losses: Mapping[str, Tensor]) -> tuple[dict[str, Any], list[ContourSet]]:
    """Regions and lines of both tasks. Returns places (n, 2) for a region's name, the best first; and the lines."""
    drawn: list[ContourSet] = []
    places, keys = {}, []
    for name, region, style in zip("AB", REGIONS, TASKS, strict=True):
        if name in losses:
            rise = array(losses[name] - losses[name].min())
            axis.contourf(array(w1), array(w2), rise, levels=[0, LEVELS[0]], colors=[region], alpha=0.85)
            look: dict[str, Any] = {"colors": style["color"], "linestyles": style["linestyle"], "linewidths": (1.8, 0.7, 0.7)}
            drawn.append(axis.contour(array(w1), array(w2), rise, levels=LEVELS, **look))
            edge: dict[str, Any] = {"ec": style["color"], "ls": style["linestyle"], "lw": 1.8}
            axis.fill([], [], fc=region, label=f"{name} content: within\n{LEVELS[0]:g} of its best loss", **edge)
            keys.append((f"{name}: {LEVELS[1]:g} and {LEVELS[2]:g} above\nits best loss", style))
            row, column = np.nonzero(rise <= LEVELS[0])
            order = np.argsort(rise[row, column])
            places[name] = np.stack([array(w1)[column], array(w2)[row]], axis=1)[order][:: 1 + len(order) // 100]
    for words, style in keys:
        axis.plot([], [], lw=0.7, label=words, **style)
    return places, drawn


@styled
def two_weight_surface(
    w1: Tensor,
    w2: Tensor,
    losses: Mapping[str, Tensor],
    ends: Mapping[str, Tensor],
    paths: Mapping[str, Tensor] | None = None,
    start: Tensor | None = None,
    rings: Mapping[str, Tensor] | None = None,
    title: str = "",
) -> Picture:
    """The exact loss surfaces of tasks A and B over two weights, and where methods end.

    Args:
        w1, w2: axes of the grid, shapes (W,) and (H,).
        losses: "A" and maybe "B" -> mean loss on the grid, shape (H, W). The shaded region lies within 0.012 nats of the
            task's own minimum; lines follow at 0.1 and 0.3 nats, the same levels for both.
        ends: method -> end point (2,).
        paths: method -> the way there, (steps, 2).
        start: task A's solution theta_A, (2,).
        rings: method -> a closed curve (points, 2), where that method's penalty is constant; or words for the key -> any such
            curve, as {"predicted by F": ...}.
        title: above the picture.

    Ends and points of paths that are not finite, as those of runs that diverged, are not drawn.

    Raises:
        TypeError, ValueError: losses of other tasks, of other shapes than the grid or with NaN; points without two coordinates.
    """
    check_title(title)
    size = len(_checks.axis("w2", w2)), len(_checks.axis("w1", w1))
    for name, values in _checks.named("losses", losses, Tensor, "a tensor of losses on the grid").items():
        _checks.one_of("losses", name, ("A", "B"))
        _checks.tensor(f"losses[{name!r}]", values, *size)
    for what, given in (("ends", ends), ("paths", paths or {}), ("rings", rings or {})):
        shape: tuple[int | str, ...] = (2,) if what == "ends" else ("N", 2)
        for key, points in _checks.named(what, given, Tensor, "a tensor of points", or_empty=True).items():
            _checks.tensor(f"{what}[{key!r}]", points, *shape, finite=what == "rings")
    if start is not None:
        _checks.tensor("start", start, 2)
    figure = Figure(figsize=(7.2, 5.0))
    figure.set_layout_engine("none")  # every frame of an explorer has its map in the same place
    axis = figure.add_axes((0.09, 0.1, 0.583, 0.84))
    regions, lines = _draw_loss(axis, w1, w2, losses)
    axis.set(xlabel="weight 1", ylabel="weight 2", aspect="equal", anchor="W")
    axis.set(xlim=(float(w1[0]), float(w1[-1])), ylim=(float(w2[0]), float(w2[-1])))
    axis.set_title(title, fontsize=11)
    axis.locator_params(nbins=6)
    places = _draw_methods(axis, ends, paths or {}, start)
    _draw_rings(axis, rings or {}, {*METHODS, *ends, *(paths or {})})
    words = Words(axis)
    if start is not None:
        words.beside((float(start[0]), float(start[1])), THETA_A, fontsize=13)
    for name, middle in regions.items():
        color = TASKS["AB".index(name)]["color"]
        words.inside(name, middle, color=color, fontsize=13)
    for drawn in lines:
        words.on_lines(drawn, {level: f"{level:g}" for level in LEVELS[1:]})
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1.01), borderaxespad=0, labelspacing=0.8)
    shown = f"loss surface of {' and '.join(losses)} over two weights"
    return Picture(figure, titled(title, ". ".join(filter(None, [shown, "; ".join(places)])) + "."))


def _draw_methods(axis: Axes, ends: Mapping[str, Tensor], paths: Mapping[str, Tensor], start: Tensor | None) -> list[str]:
    """Ways and ends, and where each lies in words."""
    places = []
    for method, path in paths.items():
        axis.plot(*array(path.T), color=style_of(method)["color"], ls=style_of(method)["linestyle"], zorder=4)
    if start is not None:
        x, y = start.tolist()
        axis.plot(x, y, "o", ms=8, color="white", mec="black", zorder=5)
        places.append(f"theta_A lies at ({x:.1f}, {y:.1f})")
    for k, (method, end) in enumerate(ends.items()):
        (x, y), style = end.tolist(), style_of(method)
        line = style["linestyle"] if method in paths else "none"
        mark: dict[str, Any] = {"marker": style["marker"], "mec": "white", "ms": 15 if method == "joint" else 12 - 2 * (k > 0)}
        axis.plot(x, y, color=style["color"], ls=line, label=plain(style["label"]), zorder=6, **mark)
        places.append(f"{style['label']} ends at ({x:.1f}, {y:.1f})" if isfinite(x + y) else f"{style['label']} diverged")
    return places


def _draw_rings(axis: Axes, rings: Mapping[str, Tensor], methods: Iterable[str]) -> None:
    """Closed curves: of a method in its style, others as outlines under their own words."""
    others = cycle(OUTLINES)
    for name, ring in rings.items():
        if name in methods:
            style = style_of(name)
            look, words = (
                {"color": style["color"], "ls": style["linestyle"]},
                f"{plain(style['label'])}: same penalty\nall along this line",
            )
        else:
            look, words = next(others), fill(literal(name), 24)  # the key is narrow
        axis.plot(*array(ring.T), lw=1.6, label=words, zorder=3, **look)


def circle(centre: Tensor, radius: float) -> Tensor:
    """101 points (101, 2) on the circle around ``centre``, (2,): where an L2 penalty is constant.

    Raises:
        TypeError, ValueError: no such centre, or a radius that is negative or not finite.
    """
    radius = _checks.real_number("radius", radius, at_least=0.0)
    _checks.tensor("centre", centre, 2)
    return ellipse(centre, torch.eye(2).to(centre), radius**2)


def ellipse(centre: Tensor, precision: Tensor, level: float) -> Tensor:
    """101 points w (101, 2) with (w - centre)^T precision (w - centre) = level.

    ``precision`` is (2, 2), symmetric and positive definite.

    Raises:
        TypeError, ValueError: it is not, so that these points are no closed curve; or ``level`` is negative.
    """
    _checks.tensor("centre", centre, 2)
    level = _checks.real_number("level", level, at_least=0.0)
    _checks.tensor("precision", precision, 2, 2, finite=False)
    if not torch.allclose(precision, precision.T, equal_nan=True):
        raise ValueError(f"precision must be symmetric, got {precision.tolist()}; (precision + precision.T) / 2 is")
    angle = torch.linspace(0, 2 * torch.pi, 101).to(centre)
    values, vectors = torch.linalg.eigh(precision.nan_to_num(nan=-1.0))
    if not float(values[0]) > 0:
        raise ValueError(f"precision must be positive definite, got eigenvalues {[round(v, 6) for v in values.tolist()]}")
    unit = torch.stack([angle.cos(), angle.sin()])  # (2, 101)
    points: Tensor = centre + (vectors @ ((level / values).sqrt()[:, None] * unit)).T
    return points
