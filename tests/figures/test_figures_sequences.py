import torch
from figure_inputs import has_points, history, is_good, labelled, run

from cl_teach import Run, figures


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
