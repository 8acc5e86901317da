"""The loss of networks over planes through weight space, and the ways that training took there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .. import _checks
from ..landscapes import Surface, Trace
from .style import (
    HALO,
    REGIONS,
    TASKS,
    THETA_A,
    Picture,
    array,
    canvas,
    check_title,
    literal,
    nats,
    plain,
    style_of,
    styled,
    titled,
)

TRUE_LOSS = LinearSegmentedColormap.from_list("true loss", colormaps["magma"](np.linspace(0.05, 0.8, 256)))
BOTH: dict[str, Any] = {"fc": "#D9C36F", "ec": "#8F7A3A", "hatch": "///"}  # where both tasks' regions overlap
OFF_PLANE = 0.2  # a point is drawn hollow where more than this share of its distance from the start does not lie in the plane


# --- what is asked of surfaces and traces -----------------------------------------------------------------------------


def tasks_of(surface: Surface, traces: Iterable[tuple[str, Trace]], level: float) -> list[str]:
    """The one or two tasks of the surface, after checking that every trace belongs to it."""
    _checks.real_number("level", level, at_least=1e-6)
    _checks.kind("surface", surface, Surface, "a Surface, as loss_surface gives it")
    if min(len(surface.xs), len(surface.ys)) < 2:
        raise ValueError(f"surface must have two points or more along each axis, got {len(surface.xs)} and {len(surface.ys)}")
    names, found = list(surface.loss)[:2], list(traces)
    if not found:
        raise ValueError("traces must hold at least one path, got none")
    for name in names:
        if not bool(torch.isfinite(surface.loss[name]).any()):
            raise ValueError(f"surface must hold finite losses of {name}, got none at its {surface.loss[name].numel()} points")
    for method, trace in found:
        _checks.kind(f"traces: that of {method}", trace, Trace, "a Trace, as cl_teach.landscapes.trace gives it")
        if not set(names) <= set(trace.loss):
            known = ", ".join(trace.loss) or "nothing"
            raise ValueError(f"traces: that of {method} must have watched {', '.join(names)}, got {known}; see watch= of train")
    return names


def _methods(traces: Mapping[str, Trace]) -> Iterable[tuple[str, Trace]]:
    words = "a Trace, as cl_teach.landscapes.trace gives it"
    return _checks.named("traces", traces, Trace, words, or_empty=True).items()


def gone(trace: Trace) -> Tensor:
    """How far from the start each point of a trace truly lies, (n,)."""
    return ((trace.x - trace.x[0]) ** 2 + (trace.y - trace.y[0]) ** 2 + trace.residual**2).sqrt()


def hollow(trace: Trace) -> Any:
    """Which points of a trace lie so far off the plane that what is drawn under them says little, (n,) bool."""
    way = gone(trace)
    return array((trace.residual > OFF_PLANE * way.clamp(min=1e-12)) & (way > 0))


def far(distance: float) -> str:
    """A distance between weights as text."""
    return f"{distance:.1f}" if 1 <= distance < 1000 else f"{distance:.2g}"


def where(trace: Trace, names: Sequence[str], level: float, at: int = -1) -> str:
    """In words, by true losses: in which regions these weights lie."""
    inside = [name for name in names if float(trace.loss[name][at]) <= level]
    if len(inside) == len(names):
        return "in both regions" if len(names) == 2 else f"in {names[0]}'s region"
    return f"in {inside[0]}'s region only" if inside else f"outside {' and '.join(names)}"


# --- the parts of a landscape -----------------------------------------------------------------------------------------


def draw_regions(axis: Axes, surface: Surface, level: float) -> None:
    """Where the loss of A (grey), of B (cream) and of both (hatched) is at most ``level``, with the same lines for both."""
    xs, ys = array(surface.xs), array(surface.ys)
    tasks = [(plain(name), array(loss)) for name, loss in surface.loss.items()][:2]
    regions = [(values, color, None) for (_, values), color in zip(tasks, REGIONS, strict=False)]
    if len(tasks) == 2:
        regions.append((np.maximum(tasks[0][1], tasks[1][1]), BOTH["fc"], BOTH["hatch"]))
    for values, color, hatch in regions:
        if _range(values)[0] < level:
            region = axis.contourf(xs, ys, values, levels=[0, level], colors=[color], hatches=[hatch])
            region.set(edgecolor=BOTH["ec"], linewidth=0)
    for (name, values), color, style in zip(tasks, REGIONS, TASKS, strict=False):
        lines: dict[str, Any] = {"colors": style["color"], "linestyles": style["linestyle"], "linewidths": 1.1}
        low, high = _range(values)
        shown = [v for v in (level, 2 * level, 4 * level) if low < v < high]
        if shown:
            drawn = axis.contour(xs, ys, values, levels=shown, **lines)
            axis.clabel(drawn, [v for v in shown if v > level], fmt=lambda v, name=name: f"{name} = {v:g}", fontsize=10)
        axis.fill([], [], fc=color, ec=style["color"], label=f"{name}: loss below {level:g}")
    if len(tasks) == 2:
        axis.fill([], [], label="both", **BOTH)
    axis.set(aspect="equal", xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
    axis.set(xlabel="distance between weights", ylabel="distance between weights")


def _range(values: Any) -> tuple[float, float]:
    """The lowest and the highest of those that are finite; far out on a plane a loss may be too large for a number."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)


def mark_start(axis: Axes, trace: Trace, color: Any = "black") -> None:
    """Where training on B began."""
    x, y = float(trace.x[0]), float(trace.y[0])
    axis.plot(x, y, "o", ms=10, color=color, mec="black", mew=1.6, zorder=6)
    place: dict[str, Any] = {"xytext": (-9, -9), "textcoords": "offset points", "ha": "right", "zorder": 8}
    axis.annotate(THETA_A, (x, y), fontsize=13, path_effects=HALO, **place)


def _loss_scale(highest: float, losses: Tensor, level: float) -> Normalize:
    """From true loss to colour; small differences look small, and a path that diverged does not take the whole scale."""
    losses = losses[losses <= highest]
    low, high = (float(losses.min()), float(losses.max())) if len(losses) else (0.0, 0.0)
    return Normalize(low, max(high, 2 * level))


def _draw_way(axis: Axes, method: str, trace: Trace, shades: Any, width: float) -> None:
    """A line of its method's style; dots and a large end in the ``shades`` (n, 4) of their true loss, or hollow."""
    style, x, y = style_of(method), array(trace.x), array(trace.y)
    axis.plot(x, y, color=style["color"], lw=width, ls=style["linestyle"], zorder=4)
    faces = np.where(hollow(trace)[:, None], 1.0, shades)
    dots: dict[str, Any] = {"c": faces[1:-1], "edgecolors": shades[1:-1], "linewidths": 1.5}
    axis.scatter(x[1:-1], y[1:-1], s=32, marker=style["marker"], zorder=5, **dots)
    end: dict[str, Any] = {"marker": style["marker"], "ls": "none", "mec": style["color"], "mew": 2.6, "mfc": faces[-1]}
    axis.plot(x[-1], y[-1], ms=13, label=plain(style["label"]), zorder=7, **end)


def _name_end(axis: Axes, surface: Surface, method: str, traces: Mapping[str, Trace]) -> None:
    trace, style = traces[method], style_of(method)
    off = f"\n({far(float(trace.residual[-1]))} off the plane)" if hollow(trace)[-1] else ""
    note, end = plain(style["label"]) + off, (float(trace.x[-1]), float(trace.y[-1]))
    place = _free_place(surface, end, note, traces.values())
    axis.annotate(note, end, color=style["color"], path_effects=HALO, textcoords="offset points", zorder=8, **place)


def _free_place(surface: Surface, point: tuple[float, float], words: str, traces: Iterable[Trace]) -> dict[str, Any]:
    """Above, below, left or right of ``point``: where words cover least of the paths and stay on the map."""
    left, right, low, high = (float(v) for v in (surface.xs[0], surface.xs[-1], surface.ys[0], surface.ys[-1]))
    unit = (right - left) / 500  # about one dot
    half = 3.4 * unit * max(map(len, words.split("\n"))), 9.0 * unit * (1 + words.count("\n"))
    xs, ys = (np.concatenate([array(v) for v in values]) for values in zip(*((t.x, t.y) for t in traces), strict=True))
    best, fewest = {}, np.inf
    for dx, dy in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        x, y = point[0] + dx * (half[0] + 14 * unit), point[1] + dy * (half[1] + 14 * unit)
        covered = float(((abs(xs - x) < half[0]) & (abs(ys - y) < half[1])).sum())
        covered += 100 * (x - half[0] < left or x + half[0] > right or y - half[1] < low or y + half[1] > high)
        if covered < fewest:
            ha, va = ("left", "center", "right")[1 - dx], ("bottom", "center", "top")[1 - dy]
            best, fewest = {"xytext": (13 * dx, 12 * dy), "ha": ha, "va": va}, covered
    return best


def _ending(surface: Surface, method: str, trace: Trace, names: Sequence[str], level: float) -> str:
    """In words: how far a method went, and where that is."""
    x, y, away = (float(values[-1]) for values in (trace.x, trace.y, trace.residual))
    off = f", {far(away)} of it off the plane" if hollow(trace)[-1] else ""
    inside = surface.xs[0] <= x <= surface.xs[-1] and surface.ys[0] <= y <= surface.ys[-1]
    losses = ", ".join(f"{name} {nats(float(trace.loss[name][-1]))}" for name in names)
    moved = f"{style_of(method)['label']} moved {far(float(gone(trace)[-1]))}{off}{'' if inside else ' (not shown)'}"
    return f"{moved}, true losses {losses}, {where(trace, names, level)}"


# --- two views of it --------------------------------------------------------------------------------------------------


@styled
def landscape(
    surface: Surface,
    traces: Mapping[str, Trace],
    level: float = 0.5,
    rings: Mapping[str, Tensor] | None = None,
    title: str = "",
) -> Picture:
    """Kirkpatrick's figure 1, measured: two tasks' loss over a plane, and the ways that training took from theta_A.

    Args:
        surface: loss over the plane of two tasks, A first.
        traces: method -> its way, which starts at theta_A and has watched the same two tasks. Dots and ends are coloured by
            the true loss on A, and hollow where they lie off the plane.
        level: a task's region is where its loss (nats) is at most this; lines follow at twice and four times that.
        rings: words for the legend -> a closed curve (points, 2) in the plane.
        title: above the picture.

    Raises:
        ValueError: no trace, one without the surface's tasks, or a level that is not positive.

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), figure 1, which is a sketch.
    """
    check_title(title)
    names = tasks_of(surface, _methods(traces), level)
    first, rings = names[0], {} if rings is None else rings
    for name, ring in _checks.named("rings", rings, Tensor, "a closed curve (points, 2)", or_empty=True).items():
        _checks.tensor(f"rings[{name!r}]", ring, "points", 2)
    ratio = float(np.ptp(array(surface.ys)) / np.ptp(array(surface.xs)))
    figure, (axis,) = canvas(width=6.8, height=1.7 + min(7.0, 5.0 * ratio))
    draw_regions(axis, surface, level)
    norm = _loss_scale(_range(array(surface.loss[first]))[1], torch.cat([t.loss[first] for t in traces.values()]), level)
    for k, (method, trace) in enumerate(traces.items()):
        shades = TRUE_LOSS(norm(np.nan_to_num(array(trace.loss[first]), nan=np.inf, posinf=np.finfo(float).max)))
        # The first lies below the others and shows beside them where ways are the same.
        _draw_way(axis, method, trace, shades, width=max(1.6, 4.2 - 1.3 * k))
        _name_end(axis, surface, method, traces)
    start = next(iter(traces.values()))
    mark_start(axis, start, TRUE_LOSS(norm(float(start.loss[first][0]))))
    for (name, ring), line in zip(rings.items(), cycle(("-", ":", "--", "-.")), strict=False):
        axis.plot(*array(ring.T), color="#7A1FA2", ls=line, label=literal(name), zorder=3)
    axis.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=3)
    scale: dict[str, Any] = {"label": f"true loss on {plain(first)}", "ticks": MaxNLocator(5)}
    figure.colorbar(ScalarMappable(norm, TRUE_LOSS), ax=axis, shrink=0.9, **scale)
    seen = f"Loss of {' and '.join(names)} over a plane through weight space; regions of loss below {level:g}"
    words = "; ".join(_ending(surface, method, trace, names, level) for method, trace in traces.items())
    return Picture(figure, titled(title, f"{seen}. {words}.{''.join(f' Outline: {name}.' for name in rings)}"))


@styled
def surface_3d(surface: Surface, traces: Mapping[str, Trace], name: str, top: float = 2.0) -> Picture:
    """One task's loss as a mountain, seen from one side, with the ways of training at their true loss.

    Args:
        surface, traces: as for :func:`landscape`.
        name: the task whose loss is the height, cut off at ``top`` (nats).

    Raises:
        ValueError: the surface has no such task, or traces do not belong to it.
    """
    _checks.kind("surface", surface, Surface, "a Surface, as loss_surface gives it")
    _checks.one_of("name", name, list(surface.loss))
    only = replace(surface, loss={name: surface.loss[name]}, accuracy={name: surface.accuracy[name]})
    tasks_of(only, _methods(traces), level=1.0)
    _checks.real_number("top", top, at_least=1e-6)
    figure, (axis,) = canvas(width=6.0, height=4.8, subplot_kw={"projection": "3d", "computed_zorder": False})
    xs, ys = np.meshgrid(array(surface.xs), array(surface.ys))
    height = np.minimum(array(surface.loss[name]), top)
    solid: Any = axis
    solid.plot_surface(xs, ys, height, color="#D0D0D0", rcount=31, ccount=31, linewidth=0.3, edgecolor="#8A8A8A", zorder=1)
    words = []
    for method, trace in traces.items():
        style, off = style_of(method), " (off the plane)" if hollow(trace)[-1] else ""
        color, way = style["color"], (array(trace.x), array(trace.y), np.minimum(array(trace.loss[name]), top))
        solid.plot(*way, color=color, ls=style["linestyle"], zorder=5)
        fill = {"mfc": "white", "mec": color, "mew": 2} if off else {"mfc": color, "mec": "white"}
        mark: dict[str, Any] = {"ms": 10, "ls": "none", "label": plain(style["label"]) + off, "zorder": 6}
        solid.plot(*(values[-1:] for values in way), style["marker"], **mark, **fill)
        words.append(f"{style['label']}{off} ends at {nats(float(trace.loss[name][-1]))}")
    first = next(iter(traces.values()))
    start = (float(first.x[0]), float(first.y[0]), min(float(first.loss[name][0]), top))
    solid.plot(*start, "o", ms=8, color="black", ls="none", label=THETA_A, zorder=6)
    solid.view_init(35, -125)  # elevation and azimuth in degrees: into the valley, from the side of theta_A
    solid.set(zlim=(0, top), xlabel="distance", ylabel="distance", zlabel=f"loss on {plain(name)}")
    solid.set_aspect("equalxy")
    axis.legend(loc="upper left")
    return Picture(figure, f"Loss on {name} over a plane, as a surface seen from one side. {'; '.join(words)}.")
