"""Many tasks, one after another."""

from __future__ import annotations

from collections.abc import Mapping

from .. import _checks
from ..training import Run
from .style import Picture, accuracy_axis, array, canvas, key_columns, percent, plain, style_of, styled


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
