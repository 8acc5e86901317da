"""Many tasks, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .style import Picture, accuracy_axis, array, canvas, percent, plain, style_of, styled

if TYPE_CHECKING:
    from ..training import Run


@styled
def sequence(runs: Mapping[str, Run], joint: float | None = None) -> Picture:
    """Learning one task after another: mean accuracy over the tasks seen (left), and on the first task (right).

    Args:
        runs: method -> what :func:`cl_teach.learn` returned, the same number of tasks each.
        joint: mean accuracy of joint training on all of them.
    """
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.7, sharey=True)
    parts = []
    for method, run in runs.items():
        style, n = style_of(method), len(run.accuracy)
        seen, drawn = range(1, n + 1), style | {"label": plain(style["label"]), "ms": 8}
        left.plot(seen, array(run.accuracy.nanmean(dim=1)), **drawn)
        right.plot(seen, array(run.accuracy[:, 0]), **drawn)
        first = percent(float(run.accuracy[-1, 0]))
        parts.append(f"{style['label']} {percent(run.average_accuracy)} (first task {first})")
    if joint is not None:
        left.plot(n, joint, "*", ms=16, color="black", label="joint training")
        parts.append(f"joint training {percent(joint)}")
    left.set(xlabel="tasks learnt", ylabel="test accuracy", title="mean over tasks seen", xticks=list(seen))
    right.set(xlabel="tasks learnt", title="first task", xticks=list(seen))
    left.legend(loc="lower left")
    accuracy_axis(left)
    return Picture(figure, f"Mean accuracy after {n} tasks: {', '.join(parts)}.")
