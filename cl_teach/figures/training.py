"""The digits of each task, and what training does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .style import BLUE, DOTTED, RED, TASKS, Picture, accuracy_axis, array, canvas, percent, styled

if TYPE_CHECKING:
    from ..history import History
    from ..tasks import Task


def _draw_digit(axis: Axes, image: Tensor) -> None:
    axis.imshow(array(image[0]), cmap="gray_r", interpolation="nearest")
    axis.set(xticks=[], yticks=[])


@styled
def digits(tasks: Sequence[Task], n: int = 10) -> Picture:
    """The first training image of each of ``n`` classes, one row a task."""
    figure, axes = canvas(columns=n, rows=len(tasks), width=7, height=0.8 * len(tasks) + 0.2)
    for row, task in enumerate(tasks):
        for label in range(n):
            index = int((task.train.y == label).nonzero()[0])
            _draw_digit(axes[row * n + label], task.train.x[index])
        axes[row * n].set_ylabel(task.name, rotation=0, ha="right", va="center")
    names = ", ".join(task.name for task in tasks)
    return Picture(figure, f"One picture of each digit 0 to {n - 1} in a row; {len(tasks)} rows, one a task: {names}.")


def _draw_curves(axis: Axes, history: History, at: int | None = None, ceiling: float | None = None) -> None:
    for name, style in zip(history.watched, TASKS, strict=False):
        axis.plot(history.steps, history.accuracy(name), lw=2.2, label=f"task {name}", **style)
    if ceiling is not None:
        axis.axhline(ceiling, **DOTTED)
        axis.annotate("joint training", (history.steps[len(history.steps) // 2], ceiling - 0.06), ha="center")
    if at is not None:
        axis.axvline(history.steps[at], color=BLUE, lw=1.5)
        for name, style in zip(history.watched, TASKS, strict=False):
            axis.plot(history.steps[at], history.accuracy(name)[at], "o", ms=9, color=style["color"], mec="black")
    axis.set(xlabel="training steps on task B", ylabel="test accuracy")
    axis.legend(loc="center right")
    accuracy_axis(axis)


@styled
def learning_curves(history: History, ceiling: float | None = None) -> Picture:
    """Test accuracy of each watched task while training goes on; ``ceiling`` is what joint training reaches."""
    figure, (axis,) = canvas()
    _draw_curves(axis, history, ceiling=ceiling)
    ways = {name: history.accuracy(name) for name in history.watched}
    parts = [f"task {name} from {percent(way[0])} to {percent(way[-1])}" for name, way in ways.items()]
    top = "" if ceiling is None else f" Joint training reaches {percent(ceiling)}."
    return Picture(figure, f"Test accuracy over {history.steps[-1]} training steps: {'; '.join(parts)}.{top}")


@styled
def forgetting_frame(history: History, at: int, images: Tensor, truth: Sequence[int], answers: Sequence[int]) -> Picture:
    """One moment of training: the curves with a mark at ``history.steps[at]``, and what the network then says of ``images``.

    Args:
        at: index into ``history.steps``.
        images: (N, 1, H, W), N even; ``truth`` and ``answers`` one label each.
    """
    figure = Figure(figsize=(7.4, 3.6))
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    left, right = halves
    _draw_curves(left.subplots(), history, at)
    panels: Any = right.subplots(2, len(truth) // 2)
    for axis, image, true, said in zip(panels.flat, images, truth, answers, strict=True):
        _draw_digit(axis, image)
        mark, color = ("✓", "black") if true == said else ("✗", RED)
        axis.set_title(f"“{said}” {mark}", color=color)
    right.suptitle(f"what the network says on task {next(iter(history.watched))}", fontsize=10)
    correct = sum(t == s for t, s in zip(truth, answers, strict=True))
    state = ", ".join(f"task {name} {percent(history.accuracy(name)[at])}" for name in history.watched)
    alt = f"After {history.steps[at]} steps on task B: {state}; {correct} of {len(truth)} shown digits right."
    return Picture(figure, alt)
