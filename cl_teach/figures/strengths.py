"""What each strength of a penalty keeps of task A and learns of task B."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isnan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .. import _checks
from ..sweeps import Sweep
from .style import BLUE, RED, TASKS, Picture, accuracy_axis, canvas, percent, plain, strength_label, style_of, styled

Pair = tuple[float, float]  # accuracy on A, accuracy on B; NaN where there is none, which is not drawn
Sweeps = Mapping[str, Mapping[float, Pair]]  # method -> {strength: pair}


def draw_frontier(axis: Axes, sweeps: Sweeps, joint: Pair | None = None, at: tuple[str, float] | None = None) -> None:
    """Each method's accuracies on A (x) and on B (y), joined; a ring around the (method, strength) ``at``."""
    for method, sweep in sweeps.items():
        style, pairs = style_of(method), list(zip(*sweep.values(), strict=True))
        axis.plot(*pairs, color=style["color"], ls=style["linestyle"], lw=1.3)
        axis.plot(*pairs, style["marker"], color=style["color"], ms=7, label=plain(style["label"]))
    if joint is not None:
        axis.plot(*joint, "*", ms=16, color="black", label="joint training")
    if at is not None:
        method, strength = at
        axis.plot(*sweeps[method][strength], style_of(method)["marker"], ms=15, mfc="none", mec="black", mew=2)
    axis.set(xlabel="test accuracy on task A", ylabel="test accuracy on task B")
    axis.legend(loc="lower left")
    points = [pair for sweep in sweeps.values() for pair in sweep.values()]
    for which, values in zip("xy", zip(*points, strict=True), strict=True):
        accuracy_axis(axis, which, lowest=min((value for value in values if not isnan(value)), default=0.0))
        getattr(axis, f"{which}axis").set_major_locator(MaxNLocator(5))


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


@styled
def frontier(sweeps: Sweep | Sweeps, joint: Pair | None = None) -> Picture:
    """Stability against plasticity: accuracy on A (kept) against accuracy on B (learnt), one point a strength.

    Args:
        sweeps: what :func:`cl_teach.sweep` returned (the mean of its seeds is drawn), or
            method -> {strength: (accuracy on A, accuracy on B)}, NaN where there is none.
        joint: the same pair for joint training.

    Raises:
        TypeError, ValueError: no result, or accuracies that are no shares.
    """
    sweeps, joint = _tables(sweeps), None if joint is None else _pair("joint", joint)
    figure, (axis,) = canvas(width=5.6, height=4.6)
    draw_frontier(axis, sweeps, joint)
    parts = []
    for method, sweep in sweeps.items():
        measured = {strength: pair for strength, pair in sweep.items() if not isnan(sum(pair))}
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

    Arguments and errors as for :func:`frontier`; and the method and the strength must be among the results.
    """
    sweeps, joint = _tables(sweeps), None if joint is None else _pair("joint", joint)
    sweep, own = sweeps[_checks.one_of("method", method, list(sweeps))], style_of(method)
    strength = _checks.real_number("strength", strength, at_least=0.0)
    if strength not in sweep:
        there = ", ".join(f"{known:g}" for known in sweep)
        raise ValueError(f"strength must be one of {there}, those of {method}, got {strength:g}")
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.7)
    positions = list(range(len(sweep)))
    for name, marker, style, values in zip("AB", "oD", TASKS, zip(*sweep.values(), strict=True), strict=True):
        left.plot(positions, values, marker=marker, label=f"task {name}", **style)
    left.axvline(list(sweep).index(strength), color=own["color"])
    left.set(xlabel=f"strength λ of {plain(own['label'])}", ylabel="test accuracy")
    left.set_xticks(positions, [strength_label(s) for s in sweep], rotation=45, ha="right")
    left.legend(loc="lower center")
    accuracy_axis(left)
    draw_frontier(right, sweeps, joint, (method, strength))
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
    figure, (axis,) = canvas()
    styles: dict[str, dict[str, Any]] = {
        "gradient": {"color": BLUE, "marker": "X", "ls": ":"},
        "proximal": {"color": RED, "marker": "o", "ls": "-"},
    }
    for step, values in average.items():
        axis.plot(list(values), list(values.values()), ms=8, label=f"{step} step", **styles[step])
    if limit < inf:
        axis.axvline(limit, color="black", lw=1, ls="--")
        axis.annotate("2 (1 + momentum) / (lr · max F)", (limit, 0.04), xytext=(4, 0), textcoords="offset points")
    axis.set(xscale="log", xlabel="strength λ", ylabel="mean accuracy on A and B")
    axis.legend(loc="center left")
    accuracy_axis(axis)
    ends = [f"the {step} step ends at {percent([*values.values()][-1])}" for step, values in average.items()]
    seen = f"Mean accuracy over lambda up to {max(strength for values in average.values() for strength in values):g}"
    return Picture(figure, f"{seen}: {'; '.join(ends)}; its limit is {limit:.0f}.")
