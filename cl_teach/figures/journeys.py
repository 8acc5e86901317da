"""Any run at any of its steps, in a few milliseconds: what an explorer of landscapes shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import _checks
from ..landscapes import Surface, Trace
from .landscapes import draw_regions, far, hollow, mark_start, name_lines, tasks_of, where
from .strengths import draw_frontier, mark_spot, move_spot
from .style import (
    HALO,
    METHODS,
    REGIONS,
    TASKS,
    THETA_A,
    Picture,
    Stage,
    accuracy_axis,
    array,
    key_columns,
    nats,
    percent,
    plain,
    strength_label,
    style_of,
    styled,
)
from .words import Words


class Journeys:
    """Any run at any of its steps: on the landscape, as two accuracies, and beside the frontier of all strengths.

    What stands still is drawn once; a frame then takes some ten milliseconds.

    Args:
        surface: loss over the plane of two tasks, A first.
        traces: (method, strength) -> its way from theta_A, all of the same steps; of "none" one will do.
        level: as for :func:`landscape`.

    Raises:
        ValueError: as for :func:`landscape`; or traces of different steps.
    """

    @styled
    def __init__(self, surface: Surface, traces: Mapping[tuple[str, float], Trace], level: float = 0.5) -> None:
        words = "traces must be a dict, (method, strength) -> a Trace"
        if not isinstance(traces, Mapping):
            raise TypeError(f"{words}, got {_checks.shown(traces)}")
        for key in traces:
            if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str)):
                raise TypeError(f"{words}, got the key {_checks.shown(key)}")
            _checks.real_number(f"traces[{key!r}], the strength,", key[1], at_least=0.0)
        self.names = tasks_of(surface, ((method, trace) for (method, _), trace in traces.items()), level)
        self.traces, self.level = dict(traces), level
        self.steps = next(iter(self.traces.values())).steps
        if len(self.names) < 2:
            raise ValueError(f"surface must hold the losses of two tasks, got {', '.join(self.names)} only")
        if other := [trace.steps for trace in self.traces.values() if trace.steps != self.steps]:
            raise ValueError(f"traces must have the same steps, got {self.steps} and {other[0]}")
        self._free = next((trace for (method, _), trace in self.traces.items() if method == "none"), None)
        figure = Figure(figsize=(8.4, 5.0))
        grid = figure.add_gridspec(2, 2, width_ratios=(1.2, 1), height_ratios=(1, 3.2))
        land, bars, plane = (figure.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))
        lines = draw_regions(land, surface, level)
        start = mark_start(land, next(iter(self.traces.values())))
        land.set_title(" \n ", fontsize=11)  # room for what changes
        bars.set(ylim=(1.3, -0.9), yticks=[], title="test accuracy now")
        accuracy_axis(bars, "x")
        self._draw_ends(plane)
        for axis, place in ((land, "outside lower left"), (plane, "outside lower right")):
            handles, names = axis.get_legend_handles_labels()
            look: Any = {"loc": place, "ncols": min(2, key_columns(names, 4.2))}
            figure.legend(handles, names, **look)
        free = Words(land)
        free.avoid((array(trace.x), array(trace.y)) for trace in self.traces.values())
        free.beside(start, THETA_A, fontsize=13, path_effects=HALO)
        name_lines(free, lines, level)
        self._stage = Stage(figure, self._moving(land, bars, plane))

    def _draw_ends(self, plane: Axes) -> None:
        order = [*METHODS, *(method for method, _ in self.traces)]
        lasts: dict[str, dict[float, tuple[float, float]]] = {}
        for method, strength in sorted(self.traces, key=lambda key: (order.index(key[0]), key[1])):
            lasts.setdefault(method, {})[strength] = self._accuracies(self.traces[method, strength], -1)
        draw_frontier(plane, lasts)
        a, b = map(plain, self.names)
        lowest = min(float(trace.accuracy[self.names[0]].min()) for trace in self.traces.values())
        accuracy_axis(plane, "x", lowest)  # with room for every step
        begins = percent(plane.get_xlim()[0])
        plane.set(xlabel=f"accuracy on {a} (from {begins} on)", ylabel=f"accuracy on {b}", ylim=(0, 1), aspect="auto")
        plane.set_title("ends for all λ; in the ring: this step", fontsize=10)

    def _moving(self, land: Axes, bars: Axes, plane: Axes) -> Sequence[Artist]:
        """What each frame moves, empty so far, in the order in which it is drawn."""
        edges = [style["color"] for style in TASKS]
        self._way = land.plot([], [], lw=2.4, animated=True)[0]
        self._point = land.plot([], [], ms=14, mew=2.6, ls="none", animated=True)[0]
        self._note = land.text(0.5, 1.02, "", transform=land.transAxes, ha="center", va="bottom", animated=True, fontsize=11)
        self._bars = bars.barh([0, 1], [1, 1], height=0.4, color=REGIONS, ec=edges, animated=True)
        self._numbers = [bars.text(0.01, place - 0.28, "", va="bottom", animated=True) for place in (0, 1)]  # above the bar
        self._spot = mark_spot(plane, animated=True)
        return [self._way, self._point, self._note, *self._bars, *self._numbers, *self._spot]

    def _accuracies(self, trace: Trace, at: int) -> tuple[float, float]:
        a, b = (float(trace.accuracy[name][at]) for name in self.names)
        return a, b

    def __call__(self, method: str, strength: float, step: int) -> Picture:
        """The frame of this method and strength after ``step`` training steps on B. Raises ValueError if there is none."""
        _checks.kind("method", method, str, "a text such as 'EWC'")
        strength = _checks.real_number("strength", strength, at_least=0.0)
        trace = self._free if method == "none" else self.traces.get((method, strength))
        if trace is None:
            there = ", ".join(f"{m} {strength_label(s)}" for m, s in self.traces)
            raise ValueError(f"method and strength: there is no path of {method} with strength {strength:g}; there are {there}")
        if step not in self.steps:
            raise ValueError(f"step must be one of {self.steps}, got {step}")
        at, label = self.steps.index(step), style_of(method)["label"]
        rule = f", λ = {strength_label(strength)}{' does nothing' if method == 'none' else ''}"
        off = f"; {far(float(trace.residual[at]))} off the plane" if hollow(trace)[at] else ""
        losses = {name: nats(float(trace.loss[name][at])) for name in self.names}
        self._move(method, trace, at)
        short = ", ".join(f"{plain(name)} {loss}" for name, loss in losses.items())
        self._note.set_text(f"{plain(label)}{rule}, step {step}\ntrue loss: {short}{off}")
        pairs = zip(self.names, self._accuracies(trace, at), strict=True)
        shown = ", ".join(f"{name} {percent(value)}" for name, value in pairs)
        true = ", ".join(f"{name} {loss}" for name, loss in losses.items())
        seen = f"{label}{rule}, after {step} steps on {self.names[1]}: accuracy {shown}; true losses {true}"
        return self._stage.picture(f"{seen}, {where(trace, self.names, self.level, at)}{off}.")

    def _move(self, method: str, trace: Trace, at: int) -> None:
        style, (a, b) = style_of(method), self._accuracies(trace, at)
        color, marker = style["color"], style["marker"]
        x, y = array(trace.x[: at + 1]), array(trace.y[: at + 1])
        self._way.set(data=(x, y), color=color, ls=style["linestyle"])
        self._point.set(data=(x[-1:], y[-1:]), marker=marker, mec=color, mfc="white" if hollow(trace)[at] else color)
        for name, bar, number, value in zip(self.names, self._bars, self._numbers, (a, b), strict=True):
            bar.set_width(value)
            number.set_text(f"{plain(name)}: {percent(value)}")
        move_spot(self._spot, method, (a, b))
