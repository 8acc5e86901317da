"""The digits of each task, and what training does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .. import _checks
from ..history import History
from ..tasks import Task
from .style import BLUE, DOTTED, RED, Picture, accuracy_axis, array, canvas, literal, percent, plain, styled, task_styles

GUESSING: dict[str, Any] = {"color": BLUE, "lw": 1, "ls": (0, (6, 3))}


def _draw_digit(axis: Axes, image: Tensor) -> None:
    axis.imshow(array(image[0]), cmap="gray_r", interpolation="nearest")
    axis.set(xticks=[], yticks=[])


@styled
def digits(tasks: Sequence[Task], n: int = 10, what: str = "digit") -> Picture:
    """The first training image of each of ``n`` classes, one row a task; ``what`` it shows, in one word.

    Raises:
        TypeError, ValueError: no tasks, or some without images (N, C, H, W) of every class from 0 to n - 1.
    """
    n = _checks.whole_number("n", n, at_least=1)
    for i, task in enumerate(_checks.things("tasks", tasks, Task, "Task")):
        _checks.tensor(f"tasks[{i}].train.x, the images,", task.train.x, "N", "C", "H", "W")
        if missing := set(range(n)) - set(task.train.y.tolist()):
            raise ValueError(
                f"tasks must have training images of every class 0 to {n - 1}, got {task.name!r} without {min(missing)}"
            )
    figure, axes = canvas(columns=n, rows=len(tasks), width=7, height=0.8 * len(tasks) + 0.2)
    for row, task in enumerate(tasks):
        for label in range(n):
            index = int((task.train.y == label).nonzero()[0])
            _draw_digit(axes[row * n + label], task.train.x[index])
        axes[row * n].set_ylabel(literal(task.name), rotation=0, ha="right", va="center")
    names = ", ".join(task.name for task in tasks)
    return Picture(figure, f"One picture of each {what} 0 to {n - 1} in a row; {len(tasks)} rows, one a task: {names}.")


def _check_history(history: History) -> None:
    """Whether there is something to draw."""
    _checks.kind("history", history, History, "a History, as train returns it")
    if not history.watched or not history.steps or any(len(e) != len(history.steps) for e in history.watched.values()):
        raise ValueError(
            f"history must have watched data at all its steps, got {', '.join(history.watched) or 'none'} at {history.steps}; "
            "train with watch={'A': task_a, 'B': task_b}"
        )


def _draw_curves(
    axis: Axes, history: History, at: int | None = None, ceiling: float | None = None, guessing: float | None = None
) -> None:
    for name, style in task_styles(history.watched):
        axis.plot(history.steps, history.accuracy(name), lw=2.2, label=f"task {plain(name)}", **style)
    if ceiling is not None:
        axis.axhline(ceiling, label="joint training", **DOTTED)
    if guessing is not None:
        axis.axhline(guessing, label="guessing", **GUESSING)
    if at is not None:
        axis.axvline(history.steps[at], color=BLUE, lw=1.5)
        for name, style in task_styles(history.watched):
            axis.plot(history.steps[at], history.accuracy(name)[at], "o", ms=9, color=style["color"], mec="black")
    axis.set(xlabel="training steps on task B", ylabel="test accuracy")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)  # above, where no curve runs
    accuracy_axis(axis)


@styled
def learning_curves(history: History, ceiling: float | None = None, guessing: float | None = None) -> Picture:
    """Test accuracy of each watched task while training goes on, with lines at what joint training and guessing reach.

    Args:
        history: of a training that has watched the tasks.
        ceiling: the accuracy of joint training.
        guessing: that of a network that guesses: 0.1 for ten classes.

    Raises:
        TypeError, ValueError: no history, or one that has watched nothing; a ceiling or guessing that is no share.
    """
    _check_history(history)
    ceiling = None if ceiling is None else _checks.share("ceiling", ceiling)
    guessing = None if guessing is None else _checks.share("guessing", guessing)
    figure, (axis,) = canvas()
    _draw_curves(axis, history, ceiling=ceiling, guessing=guessing)
    ways = {name: history.accuracy(name) for name in history.watched}
    parts = [f"task {name} from {percent(way[0])} to {percent(way[-1])}" for name, way in ways.items()]
    top = "" if ceiling is None else f" Joint training reaches {percent(ceiling)}."
    top += "" if guessing is None else f" Guessing reaches {percent(guessing)}."
    return Picture(figure, f"Test accuracy over {history.steps[-1]} training steps: {'; '.join(parts)}.{top}")


@styled
def forgetting_frame(history: History, at: int, images: Tensor, truth: Sequence[int], answers: Sequence[int]) -> Picture:
    """One moment of training: the curves with a mark at ``history.steps[at]``, and what the network then says of ``images``.

    Args:
        at: index into ``history.steps``.
        images: (N, 1, H, W), N even; ``truth`` and ``answers`` one label each.

    Raises:
        TypeError, ValueError: as for :func:`learning_curves`; a step that is not there; images and labels of other numbers.
    """
    _check_history(history)
    at, last = _checks.whole_number("at", at, at_least=-len(history.steps)), len(history.steps) - 1
    if at > last:
        raise ValueError(f"at must be at most {last}, an index into history.steps, got {at}")
    _checks.tensor("images", images, "N", "C", "H", "W")
    if len(images) % 2 or not len(images) == len(truth) == len(answers):
        counts = f"{len(images)} images, {len(truth)} and {len(answers)}"
        raise ValueError(f"images must be even in number, with as many labels in truth and in answers, got {counts}")
    figure = Figure(figsize=(7.4, 3.6))
    figure.set_layout_engine("none")  # an explorer draws many of these; this takes half the time
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    left, right = halves
    _draw_curves(left.subplots(gridspec_kw={"left": 0.2, "right": 0.97, "bottom": 0.14, "top": 0.9}), history, at)
    panels: Any = right.subplots(2, len(truth) // 2, gridspec_kw={"left": 0.03, "right": 0.97, "bottom": 0.06, "top": 0.8})
    for axis, image, true, said in zip(panels.flat, images, truth, answers, strict=True):
        _draw_digit(axis, image)
        mark, color = ("✓", "black") if true == said else ("✗", RED)
        axis.set_title(f"“{said}” {mark}", color=color)
    right.suptitle(f"what the network says on task {literal(next(iter(history.watched)))}", fontsize=10)
    correct = sum(t == s for t, s in zip(truth, answers, strict=True))
    state = ", ".join(f"task {name} {percent(history.accuracy(name)[at])}" for name in history.watched)
    alt = f"After {history.steps[at]} steps on task B: {state}; {correct} of {len(truth)} shown digits right."
    return Picture(figure, alt)
