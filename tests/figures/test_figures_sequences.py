import torch
from figure_inputs import has_points, history, is_good, key, labelled, run, says

from cl_teach import Run, figures
from cl_teach.figures.style import style_of


def test_sequence():
    picture = figures.sequence({"none": run(0.3), "EWC": run(0.7)}, 0.9)
    is_good(picture, ["no penalty 55 % (first task 30 %)", "EWC 75 % (first task 70 %)", "joint training 90 %"])


def test_left_is_the_mean_over_tasks_seen_and_right_the_first_task():
    left, right = figures.sequence({"none": run(0.3), "EWC": run(0.7)}, 0.85).figure.axes
    for label, last in (("no penalty", 0.3), ("EWC", 0.7)):
        has_points(labelled(left, label), [1, 2], [0.9, (last + 0.8) / 2])
        has_points(labelled(right, label), [1, 2], [0.9, last])
    has_points(labelled(left, "joint training"), 2, 0.85)
    assert (left.get_title(), right.get_title()) == ("mean over tasks seen", "first task")


def test_a_run_that_was_interrupted_is_drawn_as_far_as_it_came():
    accuracy = torch.full((2, 2), torch.nan).double()
    accuracy[0, 0] = 0.9
    picture = figures.sequence({"EWC": Run(accuracy, accuracy.clone(), [history()])})
    assert "EWC 90 % (first task 90 %)" in picture.alt
    left, _ = picture.figure.axes
    has_points(labelled(left, "EWC"), [1, 2], [0.9, torch.nan])
    assert left.get_ylim() == (0.0, 1.0)


def test_a_sequence_says_what_it_shows_in_the_styles_of_the_methods():
    picture = figures.sequence({"none": run(0.3), "EWC": run(0.7)}, 0.85)
    left, right = picture.figure.axes
    assert key(picture) == ["no penalty", "EWC", "joint training"]
    assert says(left) == ("tasks learnt", "test accuracy", "mean over tasks seen", [])
    assert says(right) == ("tasks learnt", "", "first task", [])
    assert list(left.get_xticks()) == list(right.get_xticks()) == [1, 2]
    assert tuple(left.get_ylim()) == tuple(right.get_ylim()) == (0, 1)
    assert left.yaxis.get_major_formatter()(0.3) == "30 %"
    for axis in (left, right):
        for method, label in (("none", "no penalty"), ("EWC", "EWC")):
            line, style = labelled(axis, label), style_of(method)
            assert (line.get_color(), line.get_marker(), line.get_linestyle()) == (
                style["color"], style["marker"], style["linestyle"],
            )  # fmt: skip
    star = labelled(left, "joint training")
    assert (star.get_marker(), star.get_color()) == ("*", "black")


def test_without_joint_training_there_is_no_star():
    picture = figures.sequence({"EWC": run(0.7)})
    assert [len(axis.lines) for axis in picture.figure.axes] == [1, 1]
    assert picture.alt == "Mean accuracy after 2 tasks: EWC 75 % (first task 70 %)."
