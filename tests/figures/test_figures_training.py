import pytest
import torch
from figure_inputs import has_points, history, is_good, is_upright_at, labelled, says

import cl_teach as cl
from cl_teach import figures
from cl_teach.figures.style import TASKS

DIGITS = cl.Split(torch.rand(10, 1, 28, 28), torch.arange(10))


def test_digits():
    task = cl.Task("upright", DIGITS, DIGITS, tuple(range(10)))
    is_good(figures.digits([task, task]), ["2 rows", "upright"])


def test_curves():
    is_good(figures.learning_curves(history(), 0.88), ["A from 90 % to 30 %", "B from 10 % to 80 %", "88 %"])


def test_a_moment():
    picture = figures.forgetting_frame(history(), 1, DIGITS.x[:8], [1] * 8, [1, 2] * 4)
    is_good(picture, ["10 steps", "A 30 %", "4 of 8"])


@pytest.mark.parametrize("n", [2, 3])
def test_a_row_holds_the_first_training_image_of_each_class(n):
    one, other = (cl.Split(torch.rand(6, 1, 5, 4), torch.tensor([2, 0, 1, 2, 0, 1])) for _ in range(2))
    tasks = [cl.Task(name, train, DIGITS, tuple(range(10))) for name, train in (("one", one), ("other", other))]
    axes = figures.digits(tasks, n).figure.axes
    assert len(axes) == 2 * n
    for row, task in enumerate(tasks):
        assert axes[row * n].get_ylabel() == task.name
        for axis, first in zip(axes[row * n : (row + 1) * n], (1, 2, 0), strict=False):
            assert (axis.images[0].get_array() == task.train.x[first, 0].numpy()).all()


def test_curves_are_the_accuracies_over_the_steps():
    axis = figures.learning_curves(history(), 0.88).figure.axes[0]
    has_points(labelled(axis, "task A"), [0, 10], [0.9, 0.3])
    has_points(labelled(axis, "task B"), [0, 10], [0.1, 0.8])
    has_points(axis.lines[2], [0, 1], [0.88, 0.88])
    assert len(axis.lines) == 3 and len(figures.learning_curves(history()).figure.axes[0].lines) == 2


def test_guessing_has_a_line_of_its_own():
    picture = figures.learning_curves(history(), 0.88, guessing=0.1)
    axis = picture.figure.axes[0]
    has_points(labelled(axis, "guessing"), [0, 1], [0.1, 0.1])
    assert says(axis)[3] == ["task A", "task B", "joint training", "guessing"] and len(axis.lines) == 4
    assert "Joint training reaches 88 %. Guessing reaches 10 %." in picture.alt
    look = [(line.get_color(), line.get_linestyle()) for line in axis.lines]
    assert len(set(look)) == 4
    assert says(figures.learning_curves(history(), guessing=0.1).figure.axes[0])[3] == ["task A", "task B", "guessing"]


@pytest.mark.parametrize(("at", "step", "a", "b"), [(0, 0, 0.9, 0.1), (1, 10, 0.3, 0.8)])
def test_a_moment_is_marked_on_the_curves(at, step, a, b):
    picture = figures.forgetting_frame(history(), at, DIGITS.x[:8], [1] * 8, [1, 2] * 4)
    curve_a, curve_b, moment, mark_a, mark_b = picture.figure.axes[0].lines
    has_points(curve_a, [0, 10], [0.9, 0.3])
    has_points(curve_b, [0, 10], [0.1, 0.8])
    is_upright_at(moment, step)
    has_points(mark_a, step, a)
    has_points(mark_b, step, b)
    assert (mark_a.get_color(), mark_b.get_color()) == (curve_a.get_color(), curve_b.get_color())
    assert f"After {step} steps on task B: task A {100 * a:.0f} %, task B {100 * b:.0f} %" in picture.alt


def test_answers_that_are_right_have_a_tick():
    truth, answers = list(range(8)), [0, 1, 9, 3, 8, 8, 8, 8]
    picture = figures.forgetting_frame(history(), 1, DIGITS.x[:8], truth, answers)
    panels = picture.figure.axes[1:]
    assert [axis.get_title() for axis in panels] == [
        f"“{said}” {'✓' if k in (0, 1, 3) else '✗'}" for k, said in enumerate(answers)
    ]
    assert [axis.title.get_color() == "black" for axis in panels] == [k in (0, 1, 3) for k in range(8)]
    assert all((axis.images[0].get_array() == DIGITS.x[k, 0].numpy()).all() for k, axis in enumerate(panels))
    assert "3 of 8 shown digits right" in picture.alt


def test_every_watched_task_has_a_curve_and_its_own_name():
    half = [cl.Evaluation(1.0, 0.5), cl.Evaluation(1.0, 0.6)]
    watched = dict.fromkeys(("$a$ $b$", "_B", "C"), half)
    axis = figures.learning_curves(cl.History(steps=[0, 10], watched=watched)).figure.axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [r"task \$a\$ \$b\$", "task  _B", "task C"]
    assert len({(line.get_color(), line.get_linestyle()) for line in axis.lines}) == 3


def test_curves_say_what_they_show_in_the_styles_of_the_tasks():
    axis = figures.learning_curves(history(), 0.88).figure.axes[0]
    entries = ["task A", "task B", "joint training"]
    assert says(axis) == ("training steps on task B", "test accuracy", "", entries)
    assert says(figures.learning_curves(history()).figure.axes[0])[3] == entries[:2]
    assert tuple(axis.get_ylim()) == (0, 1) and axis.yaxis.get_major_formatter()(0.3) == "30 %"
    for name, style in zip("AB", TASKS, strict=True):
        line = labelled(axis, f"task {name}")
        assert (line.get_color(), line.get_linestyle()) == (style["color"], style["linestyle"])
    has_points(labelled(axis, "joint training"), [0, 1], [0.88, 0.88])
    assert axis.lines[2].is_dashed() and not axis.texts


def test_digits_are_dark_on_white_and_have_no_ticks():
    picture = figures.digits([cl.Task("upright", DIGITS, DIGITS, tuple(range(10)))])
    axes = picture.figure.axes
    assert len(axes) == 10 and picture.alt == "One picture of each digit 0 to 9 in a row; 1 rows, one a task: upright."
    assert {axis.images[0].get_cmap().name for axis in axes} == {"gray_r"}
    assert {axis.images[0].get_interpolation() for axis in axes} == {"nearest"}
    assert not any(len(axis.get_xticks()) or len(axis.get_yticks()) for axis in axes)


def test_a_moment_has_its_curves_on_the_left_and_two_rows_of_digits_on_the_right():
    picture = figures.forgetting_frame(history(), 1, DIGITS.x[:8], [1] * 8, [1, 2] * 4)
    figure = picture.figure
    curves, *panels = figure.axes
    figure.canvas.draw()
    boxes = [panel.get_position() for panel in panels]
    left, right = figure.subfigs
    assert curves in left.axes and all(panel in right.axes for panel in panels)
    assert left.bbox.x1 <= right.bbox.x0 + 1
    assert [(round(box.y0, 2) > round(boxes[-1].y0, 2)) for box in boxes] == [True] * 4 + [False] * 4
    assert right.get_suptitle() == "what the network says on task A"


def test_pictures_of_other_things_are_called_by_their_name():
    data = cl.Split(torch.rand(2, 1, 3, 3), torch.tensor([0, 1]))
    task = cl.Task("day", data, data, classes=(0, 1))
    assert figures.digits([task], n=2).alt.startswith("One picture of each digit 0 to 1 in a row; 1 rows")
    assert figures.digits([task], n=2, what="shape").alt.startswith("One picture of each shape 0 to 1 in a row")
