"""What each strength of a penalty keeps of task A and learns of task B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .style import BLUE, RED, TASKS, Picture, accuracy_axis, canvas, percent, plain, strength_label, style_of, styled

Pair = tuple[float, float]  # accuracy on A, accuracy on B
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
        accuracy_axis(axis, which, lowest=min(values))
        getattr(axis, f"{which}axis").set_major_locator(MaxNLocator(5))


@styled
def frontier(sweeps: Sweeps, joint: Pair | None = None) -> Picture:
    """Stability against plasticity: accuracy on A (kept) against accuracy on B (learnt), one point a strength.

    Args:
        sweeps: method -> {strength: (accuracy on A, accuracy on B)}.
        joint: the same pair for joint training.
    """
    figure, (axis,) = canvas(width=5.6, height=4.6)
    draw_frontier(axis, sweeps, joint)
    parts = []
    for method, sweep in sweeps.items():
        best, (a, b) = max(sweep.items(), key=lambda point: sum(point[1]))
        parts.append(f"{method} is best at lambda {best:g} with A {percent(a)}, B {percent(b)}")
    top = "" if joint is None else f"; joint training reaches A {percent(joint[0])}, B {percent(joint[1])}"
    seen = "Accuracy on task A against accuracy on task B, one point a strength"
    return Picture(figure, f"{seen}: {'; '.join(parts)}{top}.")


@styled
def strength_frame(sweeps: Sweeps, method: str, strength: float, joint: Pair | None = None) -> Picture:
    """One strength of one method: both accuracies over lambda with a mark, and the same point on the frontier."""
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.7)
    sweep, own = sweeps[method], style_of(method)
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
    """Mean accuracy over strengths for the two kinds of step ("gradient", "proximal"), with the gradient step's limit."""
    figure, (axis,) = canvas()
    styles: dict[str, dict[str, Any]] = {
        "gradient": {"color": BLUE, "marker": "X", "ls": ":"},
        "proximal": {"color": RED, "marker": "o", "ls": "-"},
    }
    for step, values in average.items():
        axis.plot(list(values), list(values.values()), ms=8, label=f"{step} step", **styles[step])
    axis.axvline(limit, color="black", lw=1, ls="--")
    axis.annotate("2 (1 + momentum) / (lr · max F)", (limit, 0.04), xytext=(4, 0), textcoords="offset points")
    axis.set(xscale="log", xlabel="strength λ", ylabel="mean accuracy on A and B")
    axis.legend(loc="center left")
    accuracy_axis(axis)
    ends = [f"the {step} step ends at {percent(list(values.values())[-1])}" for step, values in average.items()]
    seen = f"Mean accuracy over lambda up to {max(average['proximal']):g}"
    return Picture(figure, f"{seen}: {'; '.join(ends)}; its limit is {limit:.0f}.")
