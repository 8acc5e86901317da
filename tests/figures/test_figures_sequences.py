from figure_inputs import has_points, is_good, labelled, run

from cl_teach import figures


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
