"""The loss of networks over planes through weight space, and the ways that training took there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.lines import Line2D
from torch import Tensor

from .. import _checks
from ..landscapes import Surface, Trace
from .style import (
    HALO,
    OUTLINES,
    REGIONS,
    TASKS,
    THETA_A,
    Picture,
    array,
    canvas,
    check_title,
    key_columns,
    literal,
    nats,
    plain,
    style_of,
    styled,
    titled,
)
from .words import Words

BOTH: dict[str, Any] = {"fc": "#D9C36F", "ec": "#8F7A3A", "hatch": "///"}  # where both tasks' regions overlap
APART = 0.05  # of the width of the map: marks on ways stand no closer to each other
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
    return array(trace.residual > OFF_PLANE * gone(trace))


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


def draw_regions(axis: Axes, surface: Surface, level: float) -> list[tuple[str, ContourSet]]:
    """Where the loss of A (grey), of B (cream) and of both (hatched) is at most ``level``, with the same lines for both.

    Returns each task's name with its lines, as :func:`name_lines` takes them once all else is drawn.
    """
    xs, ys = array(surface.xs), array(surface.ys)
    tasks = [(plain(name), array(loss)) for name, loss in surface.loss.items()][:2]
    regions: list[tuple[str, Any, dict[str, Any]]] = [
        (f"{name}: loss below {level:g}", values, {"fc": color, "ec": style["color"]})
        for (name, values), color, style in zip(tasks, REGIONS, TASKS, strict=False)
    ]
    if len(tasks) == 2:
        regions.append((f"both below {level:g}", np.maximum(tasks[0][1], tasks[1][1]), BOTH))
    for words, values, look in regions:
        if _range(values)[0] < level:  # what is not there is not named
            region = axis.contourf(xs, ys, values, levels=[0, level], colors=[look["fc"]], hatches=[look.get("hatch")])
            region.set(edgecolor=BOTH["ec"], linewidth=0)
            axis.fill([], [], label=words, **look)
    drawn: list[tuple[str, ContourSet]] = []
    for (name, values), style in zip(tasks, TASKS, strict=False):
        low, high = _range(values)
        if shown := [v for v in (level, 2 * level, 4 * level) if low < v < high]:
            lines: dict[str, Any] = {"colors": style["color"], "linestyles": style["linestyle"], "linewidths": 1.1}
            drawn.append((name, axis.contour(xs, ys, values, levels=shown, **lines)))
    axis.set(aspect="equal", xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
    axis.set(xlabel="distance along the plane's first axis", ylabel="distance along its second axis")
    return drawn


def name_lines(words: Words, drawn: Iterable[tuple[str, ContourSet]], level: float) -> None:
    """Say on each line beyond the region's edge what loss it stands for."""
    for name, lines in drawn:
        words.on_lines(lines, {v: f"{name}: loss {v:g}" for v in lines.levels if v > level})


def _range(values: Any) -> tuple[float, float]:
    """The lowest and the highest of those that are finite; far out on a plane a loss may be too large for a number."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)


def mark_start(axis: Axes, trace: Trace) -> tuple[float, float]:
    """Where training on B began."""
    x, y = float(trace.x[0]), float(trace.y[0])
    axis.plot(x, y, "o", ms=10, color="black", zorder=6)
    return x, y


def _draw_ways(axis: Axes, traces: Mapping[str, Trace]) -> list[Line2D]:
    """Each way in its method's style, with a few marks on it and a large one at its end. Returns what the key shows."""
    room = float(np.diff(axis.get_xlim())[0]) * APART
    marked: list[tuple[float, float]] = []
    ends = [(float(trace.x[-1]), float(trace.y[-1])) for trace in traces.values()]
    keys = []
    for k, (method, trace) in enumerate(traces.items()):
        style, x, y = style_of(method), array(trace.x), array(trace.y)
        color, marker = style["color"], style["marker"]
        # The first lies wide below the others and shows beside them where ways are the same.
        axis.plot(x, y, color=color, lw=max(1.8, 1.7 * (len(traces) - k)), ls=style["linestyle"], zorder=4 + k / 10)
        chosen = []
        for at in range(1, len(x) - 1):
            if all(np.hypot(x[at] - px, y[at] - py) > room for px, py in [(x[0], y[0]), *ends, *marked]):
                marked.append((x[at], y[at]))
                chosen.append(at)
        off = hollow(trace)
        for at in (*chosen, -1):
            look: dict[str, Any] = {"mec": color, "mfc": "white", "mew": 1.6} if off[at] else {"mec": "white", "mfc": color}
            axis.plot(x[at], y[at], marker, ls="none", ms=12 if at == -1 else 7, zorder=6 if at == -1 else 5, **look)
        keys.append(Line2D([], [], color=color, ls=style["linestyle"], marker=marker, ms=9, label=plain(style["label"])))
    if any(hollow(trace).any() for trace in traces.values()):
        look = {"marker": "o", "ls": "none", "mec": "black", "mfc": "white", "mew": 1.6}
        keys.append(Line2D([], [], ms=8, label="hollow: off the plane", **look))
    return keys


def _end_note(trace: Trace, label: str, names: Sequence[str]) -> str:
    """What stands beside an end: the method, its true losses, and how far off the plane it lies."""
    losses = ", ".join(f"{plain(name)} {nats(float(trace.loss[name][-1]))}" for name in names)
    off = f"\n{far(float(trace.residual[-1]))} off the plane" if hollow(trace)[-1] else ""
    return f"{plain(label)}\n{losses}{off}"


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
        traces: method -> its way, which starts at theta_A and has watched the same two tasks. A few marks stand on it, hollow
            where it lies off the plane, by more than a fifth of its distance from theta_A; beside its end, its true losses.
        level: a task's region is where its loss (nats) is at most this; lines follow at twice and four times that.
        rings: words for the legend -> a closed curve (points, 2) in the plane.
        title: above the picture.

    Raises:
        ValueError: no trace, one without the surface's tasks, or a level that is not positive.

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), figure 1, which is a sketch.
    """
    check_title(title)
    names = tasks_of(surface, _methods(traces), level)
    rings = {} if rings is None else rings
    for name, ring in _checks.named("rings", rings, Tensor, "a closed curve (points, 2)", or_empty=True).items():
        _checks.tensor(f"rings[{name!r}]", ring, "points", 2)
    ratio = float(np.ptp(array(surface.ys)) / np.ptp(array(surface.xs)))
    figure, (axis,) = canvas(width=6.8, height=1.9 + min(7.0, 6.0 * ratio))
    lines = draw_regions(axis, surface, level)
    keys = _draw_ways(axis, traces)
    start = mark_start(axis, next(iter(traces.values())))
    for (name, ring), line in zip(rings.items(), cycle(OUTLINES), strict=False):
        keys += axis.plot(*array(ring.T), label=literal(name), zorder=3, **line)
    axis.set_title(title, fontsize=11)
    areas = [area for area in axis.get_legend_handles_labels()[0] if area not in keys]
    columns = min(3, key_columns([str(key.get_label()) for key in (*areas, *keys)], 6.8))
    figure.legend(
        handles=[*areas, *keys], loc="outside lower center", ncols=columns, title="numbers beside an end: its true losses"
    )
    words = Words(axis)
    words.beside(start, THETA_A, fontsize=13, path_effects=HALO, zorder=8)
    for method, trace in traces.items():
        style, end = style_of(method), (float(trace.x[-1]), float(trace.y[-1]))
        if surface.xs[0] <= end[0] <= surface.xs[-1] and surface.ys[0] <= end[1] <= surface.ys[-1]:
            note = _end_note(trace, style["label"], names)
            look: dict[str, Any] = {"color": style["color"], "path_effects": HALO, "zorder": 8}
            words.beside(end, note, needed=False, **look) or words.beside(end, plain(style["label"]), **look)
    name_lines(words, lines, level)
    seen = f"Loss of {' and '.join(names)} over a plane through weight space; regions of loss below {level:g}"
    told = "; ".join(_ending(surface, method, trace, names, level) for method, trace in traces.items())
    return Picture(figure, titled(title, f"{seen}. {told}.{''.join(f' Outline: {name}.' for name in rings)}"))


@styled
def surface_3d(surface: Surface, traces: Mapping[str, Trace], name: str, top: float = 2.0) -> Picture:
    """One task's loss as a mountain, seen from one side, with the ways of training at their true loss.

    Args:
        surface, traces: as for :func:`landscape`.
        name: the task whose loss is the height, cut off at ``top`` (nats), with a line at every eighth of it.

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
    solid.plot_surface(xs, ys, height, color="#E8E8E8", rcount=61, ccount=61, linewidth=0, antialiased=False, zorder=1)
    levels = [k * top / 8 for k in range(1, 8) if height.min() < k * top / 8 < height.max()]
    if levels:
        solid.contour(xs, ys, height, levels=levels, colors="#5F5F5F", linewidths=0.8, linestyles="-", zorder=2)
    words = []
    for method, trace in traces.items():
        style, off = style_of(method), hollow(trace)
        color, label = style["color"], plain(style["label"])
        # The surface says nothing of what lies off the plane, which is left out, and with it the way there.
        x, y, z = (np.where(off, np.nan, array(v)) for v in (trace.x, trace.y, trace.loss[name].clamp(max=top)))
        mark: dict[str, Any] = {"color": color, "marker": style["marker"], "ms": 9, "mec": "white", "zorder": 6}
        solid.plot(x, y, z, color=color, ls=style["linestyle"], zorder=5)
        if off[-1]:
            solid.plot(
                [],
                [],
                [],
                color=color,
                ls="none",
                marker=style["marker"],
                mfc="none",
                label=f"{label}: off the plane,\nnot drawn",
            )
        else:
            solid.plot(x[-1:], y[-1:], z[-1:], ls=style["linestyle"], label=label, **mark)
        words.append(
            f"{style['label']}{' (off the plane, not drawn)' if off[-1] else ''} ends at {nats(float(trace.loss[name][-1]))}"
        )
    first = next(iter(traces.values()))
    start = (float(first.x[0]), float(first.y[0]), min(float(first.loss[name][0]), top))
    solid.plot(*start, "o", ms=8, color="black", ls="none", label=THETA_A, zorder=6)
    solid.view_init(35, -125)  # elevation and azimuth in degrees: into the valley, from the side of theta_A
    solid.set(zlim=(0, top), xlabel="first axis", ylabel="second axis", zlabel=f"loss on {plain(name)}")
    solid.set_aspect("equalxy")
    axis.legend(loc="upper left")
    return Picture(figure, f"Loss on {name} over a plane, as a surface seen from one side. {'; '.join(words)}.")
