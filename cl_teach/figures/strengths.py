"""What each strength of a penalty keeps of task A and learns of task B."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isnan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .. import _checks
from ..sweeps import Sweep
from .style import (
    BLUE,
    RED,
    TASKS,
    Picture,
    accuracy_axis,
    canvas,
    key_columns,
    percent,
    plain,
    strength_label,
    style_of,
    styled,
)
from .words import Words

Pair = tuple[float, float]  # accuracy on A, accuracy on B; NaN where there is none, which is not drawn
Sweeps = Mapping[str, Mapping[float, Pair]]  # method -> {strength: pair}


def draw_frontier(axis: Axes, sweeps: Sweeps, joint: Pair | None = None) -> None:
    """Each method's accuracies on A (x) and on B (y), joined, on axes of one scale."""
    for method, sweep in sweeps.items():
        style = style_of(method)
        look = {"color": style["color"], "ls": style["linestyle"], "marker": style["marker"], "label": plain(style["label"])}
        axis.plot(*zip(*sweep.values(), strict=True), lw=1.2, ms=6, **look)
    if joint is not None:
        axis.plot(*joint, "*", ms=14, color="black", label="joint training")
    axis.set(xlabel="test accuracy on task A", ylabel="test accuracy on task B", aspect="equal")
    values = [value for sweep in sweeps.values() for pair in sweep.values() for value in pair if not isnan(value)]
    for which in "xy":
        accuracy_axis(axis, which, lowest=min(values, default=0.0))
        getattr(axis, f"{which}axis").set_major_locator(MaxNLocator(5))


def mark_spot(axis: Axes, **options: Any) -> list[Line2D]:
    """A mark for one point of a frontier, and a ring around it that hides none of its neighbours; not yet at any place."""
    return [
        axis.plot([], [], ms=8, mec="black", mew=1.2, ls="none", zorder=6, **options)[0],
        axis.plot([], [], "o", ms=16, mfc="none", mec="black", mew=1.2, ls="none", zorder=6, **options)[0],
    ]


def move_spot(spot: list[Line2D], method: str, pair: Pair) -> None:
    """Put a spot of :func:`mark_spot` where the ``method`` has these accuracies."""
    mark, ring = spot
    style = style_of(method)
    mark.set(data=([pair[0]], [pair[1]]), marker=style["marker"], mfc=style["color"])
    ring.set(data=([pair[0]], [pair[1]]))


def _tables(sweeps: Sweep | Sweeps) -> Sweeps:
    """What is drawn of a sweep, or of what was given in its place; methods without any result are left out."""
    if isinstance(sweeps, Sweep):
        sweeps = sweeps.accuracies()
    words = "{strength: (accuracy on A, accuracy on B)}"
    tables = {
        method: {
            _checks.real_number(f"sweeps[{method!r}], each strength,", strength, at_least=0.0): _pair(
                f"sweeps[{method!r}][{strength!r}]", pair
            )
            for strength, pair in sweep.items()
        }
        for method, sweep in _checks.named("sweeps", sweeps, Mapping, words).items()
    }
    if not any(tables.values()):
        raise ValueError(f"sweeps must hold at least one result, method -> {words}, got none of {', '.join(tables)}")
    return {method: table for method, table in tables.items() if table}


def _pair(name: str, pair: Any) -> Pair:
    if isinstance(pair, (Tensor, np.ndarray)):
        pair = pair.tolist()
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name} must be two numbers, the accuracies on A and on B, got {_checks.shown(pair)}")
    a, b = (_checks.share(name, value, or_nan=True) for value in pair)
    return a, b


def _name_strengths(words: Words, sweep: Mapping[float, Pair], **look: Any) -> Mapping[float, Pair]:
    """Each strength beside its point of a frontier, where there is room. Returns the points that there are."""
    measured = {strength: pair for strength, pair in sweep.items() if not isnan(sum(pair))}
    for strength, pair in measured.items():
        words.beside(pair, strength_label(strength), needed=False, **look)
    return measured


@styled
def frontier(sweeps: Sweep | Sweeps, joint: Pair | None = None) -> Picture:
    """Stability against plasticity: accuracy on A (kept) against accuracy on B (learnt), one point a strength.

    Its strength stands beside each point, save where there is no room.

    Args:
        sweeps: what :func:`cl_teach.sweep` returned (the mean of its seeds is drawn), or
            method -> {strength: (accuracy on A, accuracy on B)}, NaN where there is none.
        joint: the same pair for joint training.

    Raises:
        TypeError, ValueError: no result, or accuracies that are no shares.
    """
    sweeps, joint = _tables(sweeps), None if joint is None else _pair("joint", joint)
    figure, (axis,) = canvas(width=5.6, height=5.6)
    draw_frontier(axis, sweeps, joint)
    names = axis.get_legend_handles_labels()[1]
    figure.legend(loc="outside lower center", ncols=key_columns(names, 5.6), title="numbers: λ")
    words = Words(axis)
    parts = []
    for method, sweep in sweeps.items():
        measured = _name_strengths(words, sweep, color=style_of(method)["color"])
        if not measured:
            parts.append(f"{method} was not measured")
            continue
        best, (a, b) = max(measured.items(), key=lambda point: sum(point[1]))
        parts.append(f"{method} is best at lambda {best:g} with A {percent(a)}, B {percent(b)}")
    top = "" if joint is None else f"; joint training reaches A {percent(joint[0])}, B {percent(joint[1])}"
    seen = "Accuracy on task A against accuracy on task B, one point a strength"
    return Picture(figure, f"{seen}: {'; '.join(parts)}{top}.")


@styled
def strength_frame(sweeps: Sweep | Sweeps, method: str, strength: float, joint: Pair | None = None) -> Picture:
    """One strength of one method: both accuracies over lambda with a mark, and the same point on the frontier.

    Beside the method's points of the frontier stand their strengths, save where there is no room. Arguments and errors as for
    :func:`frontier`; and the method and the strength must be among the results.
    """
    sweeps, joint = _tables(sweeps), None if joint is None else _pair("joint", joint)
    sweep, own = sweeps[_checks.one_of("method", method, list(sweeps))], style_of(method)
    strength = _checks.real_number("strength", strength, at_least=0.0)
    if strength not in sweep:
        there = ", ".join(f"{known:g}" for known in sweep)
        raise ValueError(f"strength must be one of {there}, those of {method}, got {strength:g}")
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.9)
    positions = list(range(len(sweep)))
    for name, marker, style, values in zip("AB", "oD", TASKS, zip(*sweep.values(), strict=True), strict=True):
        left.plot(positions, values, marker=marker, label=f"task {name}", **style)
    left.axvline(list(sweep).index(strength), color=own["color"])
    left.set(xlabel=f"strength λ of {plain(own['label'])}", ylabel="test accuracy")
    left.set_xticks(positions, [strength_label(s) for s in sweep], rotation=45, ha="right")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    accuracy_axis(left)
    draw_frontier(right, sweeps, joint)
    move_spot(mark_spot(right), method, sweep[strength])
    right.set_title(f"in the ring: {plain(own['label'])}, λ = {strength_label(strength)}", fontsize=10)
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=key_columns(names, 7.6), title="numbers: λ")
    _name_strengths(Words(right), sweep, color=own["color"], fontsize=10)
    a, b = sweep[strength]
    return Picture(figure, f"{method} with lambda {strength:g}: task A {percent(a)}, task B {percent(b)}.")


@styled
def stability(average: Mapping[str, Mapping[float, float]], limit: float) -> Picture:
    """Mean accuracy over strengths for the two kinds of step ("gradient", "proximal"), with the gradient step's limit.

    Args:
        average: step -> {strength above 0: accuracy}, NaN where there is none.
        limit: as :meth:`cl_teach.Penalty.stability_limit` gives it; infinity if there is none.

    Raises:
        TypeError, ValueError: other steps, no strength, or numbers that are none.
    """
    for step, values in _checks.named("average", average, Mapping, "{strength: accuracy}").items():
        _checks.one_of("average, each step,", step, ("gradient", "proximal"))
        if not values:
            raise ValueError(f"average[{step!r}] must hold at least one strength: accuracy, got none")
        for strength, value in values.items():
            _checks.positive(f"average[{step!r}], each strength,", strength)
            _checks.share(f"average[{step!r}][{strength!r}]", value, or_nan=True)
    limit = limit if isinstance(limit, float) and limit == inf else _checks.positive("limit", limit)
    figure, (axis,) = canvas(height=4.4)
    styles: dict[str, dict[str, Any]] = {
        "gradient": {"color": "black", "marker": "X", "ls": "--"},
        "proximal": {"color": RED, "marker": "o", "ls": "-"},
    }
    for step, values in average.items():
        axis.plot(list(values), list(values.values()), ms=8, label=f"{step} step", **styles[step])
    if limit < inf:
        axis.axvline(
            limit,
            color=BLUE,
            lw=1.5,
            ls=":",
            label=f"limit of the gradient step, 2 (1 + momentum) / (lr · max F) = {limit:.0f}",
        )
    axis.set(xscale="log", xlabel="strength λ (log scale)", ylabel="mean accuracy on A and B")
    axis.xaxis.set_major_formatter(lambda value, _: strength_label(value))
    accuracy_axis(axis)
    figure.legend(loc="outside upper left", ncols=2)
    words, falling = Words(axis), average.get("gradient", {})
    for near in (max((s for s in falling if s <= limit), default=None), min((s for s in falling if s > limit), default=None)):
        if near is not None and not isnan(falling[near]) and limit < inf:
            words.beside((near, falling[near]), f"λ = {strength_label(near)}: {percent(falling[near])}", needed=False)
    ends = [f"the {step} step ends at {percent([*values.values()][-1])}" for step, values in average.items()]
    seen = f"Mean accuracy over lambda up to {max(strength for values in average.values() for strength in values):g}"
    return Picture(figure, f"{seen}: {'; '.join(ends)}; its limit is {limit:.0f}.")
