"""Many tasks, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .. import _checks
from ..runs import Run
from .style import (
    STEEL,
    Picture,
    accuracy_axis,
    array,
    canvas,
    check_title,
    key_columns,
    literal,
    percent,
    plain,
    style_of,
    styled,
    titled,
)


@styled
def sequence(runs: Mapping[str, Run], joint: float | None = None) -> Picture:
    """Learning one task after another: mean accuracy over the tasks seen (left), and on the first task (right).

    Args:
        runs: method -> what :func:`cl_teach.learn` returned, the same number of tasks each.
        joint: mean accuracy of joint training on all of them.

    What a run has not learnt, as it was interrupted or diverged, is not drawn.

    Raises:
        TypeError, ValueError: no run, runs of different numbers of tasks, or a joint accuracy that is no share.
    """
    _checks.named("runs", runs, Run, "a Run, as learn returns it")
    joint = None if joint is None else _checks.share("joint", joint)
    lengths = {method: len(run.accuracy) for method, run in runs.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"runs must have the same number of tasks each, got {lengths}")
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.7, sharey=True)
    parts = []
    for method, run in runs.items():
        style, n = style_of(method), len(run.accuracy)
        seen, drawn = range(1, n + 1), style | {"label": plain(style["label"]), "ms": 8}
        left.plot(seen, array(run.accuracy.nanmean(dim=1)), **drawn)
        right.plot(seen, array(run.accuracy[:, 0]), **drawn)
        first = percent(float(run.accuracy[max(len(run.histories), 1) - 1, 0]))  # after the last task that was learnt
        parts.append(f"{style['label']} {percent(run.average_accuracy)} (first task {first})")
    if joint is not None:
        left.plot(n, joint, "*", ms=16, color="black", label="joint training")
        parts.append(f"joint training {percent(joint)}")
    left.set(xlabel="tasks learnt", ylabel="test accuracy", title="mean over tasks seen", xticks=list(seen))
    right.set(xlabel="tasks learnt", title="first task", xticks=list(seen))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=key_columns(names, 7.6))
    accuracy_axis(left)
    return Picture(figure, f"Mean accuracy after {n} tasks: {', '.join(parts)}.")


@styled
def sequence_frame(run: Run, learnt: int, title: str = "") -> Picture:
    """One moment of a sequence: the accuracy matrix so far (left), and every task seen, now and when it was new (right).

    Args:
        run: of T tasks, as :func:`cl_teach.learn` returned it.
        learnt: after how many tasks, from 1 to T. What was not measured by then is left white.
        title: stands above both.

    Raises:
        TypeError, ValueError: no run, or a number of tasks that there was not.
    """
    _checks.kind("run", run, Run, "a Run, as learn returns it")
    check_title(title)
    learnt, n = _checks.whole_number("learnt", learnt, at_least=1), len(run.accuracy)
    if learnt > n:
        raise ValueError(f"learnt must be at most {n}, the number of tasks, got {learnt}")
    figure = Figure(figsize=(9.0, 4.6))
    figure.set_layout_engine("none")  # an explorer draws many of these; this takes half the time
    axes: Any = figure.subplots(1, 2, gridspec_kw={"left": 0.06, "right": 0.98, "bottom": 0.2, "top": 0.86, "wspace": 0.2})
    left, right = axes
    shown = array(run.accuracy).copy()
    shown[learnt:] = float("nan")
    left.imshow(shown, vmin=0, vmax=1, cmap="cividis", extent=(0.5, n + 0.5, n + 0.5, 0.5))
    for i in range(learnt):
        for j in range(i + 1):
            if not isnan(value := shown[i, j]):
                color = "white" if value < 0.6 else "black"
                left.text(j + 1, i + 1, f"{100 * value:.0f}", ha="center", va="center", fontsize=10, color=color)
    left.add_patch(Rectangle((0.5, learnt - 0.5), learnt, 1, fill=False, ec="black", lw=2.5, clip_on=False))
    ticks = list(range(1, n + 1))
    left.set(xlabel="accuracy on task (%)", ylabel="after learning task", xticks=ticks, yticks=ticks, title="accuracy matrix")
    seen, now, new = ticks[:learnt], shown[learnt - 1, :learnt], shown.diagonal()[:learnt]
    right.bar(seen, now, color=STEEL, label="now")
    right.plot(seen, new, "_", ms=18, mew=2.5, color="black", label="just after it was learnt")
    mean = float(run.accuracy[learnt - 1].nanmean())
    right.set(xlabel="task", ylabel="test accuracy", xlim=(0.4, n + 0.6), xticks=ticks)
    right.set_title(f"after task {learnt}: mean over tasks seen {percent(mean)}")
    accuracy_axis(right)
    figure.legend(*right.get_legend_handles_labels(), loc="lower right", ncols=2)
    if title:
        figure.suptitle(literal(title))
    row = ", ".join(percent(value) for value in now.tolist())
    alt = f"After {learnt} of {n} tasks the mean accuracy is {percent(mean)}; task by task: {row}."
    return Picture(figure, titled(title, alt))


@styled
def layer_overlap(overlaps: Mapping[str, Sequence[float]]) -> Picture:
    """How much of their important weights two tasks share, layer by layer (Kirkpatrick et al. 2017, figure 2C).

    Args:
        overlaps: what is compared -> one overlap a layer, from the input to the output, each in [0, 1].

    Raises:
        TypeError, ValueError: nothing to draw, different numbers of layers, or what is no share.
    """
    _checks.named("overlaps", overlaps, Sequence, "a sequence of shares, one a layer")
    lines = {name: [_checks.share(f"overlaps[{name!r}]", v) for v in values] for name, values in overlaps.items()}
    depths = {name: len(values) for name, values in lines.items()}
    if len(set(depths.values())) > 1 or not all(depths.values()):
        raise ValueError(f"overlaps must have the same number of layers each, at least one, got {depths}")
    figure, (axis,) = canvas(width=5.6, height=3.9)
    for name, values in lines.items():
        style = style_of(name)
        axis.plot(range(1, len(values) + 1), values, **style | {"label": plain(style["label"]), "ms": 8})
    layers = list(range(1, max(depths.values()) + 1))
    axis.set(xlabel="layer, from input to output", ylabel="overlap of the Fishers", xticks=layers, ylim=(0, 1.05))
    names = axis.get_legend_handles_labels()[1]
    figure.legend(loc="outside lower center", ncols=key_columns(names, 5.6))
    parts = (f"{name} " + ", ".join(f"{value:.2f}" for value in values) for name, values in lines.items())
    return Picture(figure, f"Overlap of the Fishers of two tasks by layer, from input to output: {'; '.join(parts)}.")
