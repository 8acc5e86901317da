import pytest
import torch
from figure_inputs import has_points, history, is_good, key, labelled, run, says
from matplotlib.colors import to_hex

from cl_teach import Run, figures
from cl_teach.figures.style import STEEL, style_of


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


NAN = torch.nan
THREE = Run(
    torch.tensor([[0.9, NAN, NAN], [0.7, 0.8, NAN], [0.5, 0.65, 0.85]]).double(),
    torch.zeros(3, 3).double(),
    [history(), history(), history()],
)


def written(axis):
    """The numbers that stand in the cells of the matrix, by (row, column)."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axis.texts}


@pytest.mark.parametrize(("learnt", "mean"), [(1, "90 %"), (2, "75 %"), (3, "67 %")])
def test_a_frame_shows_the_matrix_up_to_one_task_and_the_bars_of_that_row(learnt, mean):
    picture = figures.sequence_frame(THREE, learnt, "EWC, λ = 3")
    is_good(picture, [f"EWC, λ = 3: After {learnt} of 3 tasks the mean accuracy is {mean}"])
    left, right = picture.figure.axes
    cells = {(1, 1): "90", (2, 1): "70", (2, 2): "80", (3, 1): "50", (3, 2): "65", (3, 3): "85"}
    assert written(left) == {place: text for place, text in cells.items() if place[0] <= learnt}
    drawn = torch.as_tensor(left.images[0].get_array().filled(NAN))
    expected = THREE.accuracy.clone()
    expected[learnt:] = NAN
    assert torch.equal(drawn.nan_to_num(-1), expected.nan_to_num(-1)) and left.images[0].get_clim() == (0, 1)
    (outline,) = left.patches
    assert (outline.get_xy(), outline.get_width(), outline.get_height()) == ((0.5, learnt - 0.5), learnt, 1)
    assert [bar.get_height() for bar in right.patches] == THREE.accuracy[learnt - 1, :learnt].tolist()
    assert {to_hex(bar.get_facecolor()) for bar in right.patches} == {to_hex(STEEL)}
    has_points(labelled(right, "just after it was learnt"), range(1, learnt + 1), THREE.accuracy.diagonal()[:learnt])
    assert says(left)[:3] == ("accuracy on task (%)", "after learning task", "accuracy matrix")
    assert says(right)[:3] == ("task", "test accuracy", f"after task {learnt}: mean over tasks seen {mean}")
    assert set(key(picture)) == {"now", "just after it was learnt"} and picture.figure.get_suptitle() == "EWC, λ = 3"
    assert right.get_ylim() == (0, 1) and right.get_xlim() == (0.4, 3.6)


def test_a_frame_says_task_by_task_what_is_known_and_needs_no_title():
    picture = figures.sequence_frame(THREE, 3)
    assert picture.alt == "After 3 of 3 tasks the mean accuracy is 67 %; task by task: 50 %, 65 %, 85 %."
    assert picture.figure.get_suptitle() == ""


def test_the_matrix_of_an_interrupted_run_is_white_where_nothing_was_measured():
    accuracy = torch.full((2, 2), NAN).double()
    accuracy[0, 0] = 0.9
    picture = figures.sequence_frame(Run(accuracy, accuracy.clone(), [history()]), 2)
    assert written(picture.figure.axes[0]) == {(1, 1): "90"} and "nothing measured" in picture.alt


def test_overlap_by_layer():
    picture = figures.layer_overlap({"small": [0.9, 1.0], "large": torch.tensor([0.5, 0.95]).tolist()})
    is_good(picture, ["small 0.90, 1.00; large 0.50, 0.95"])
    (axis,) = picture.figure.axes
    has_points(labelled(axis, "small"), [1, 2], [0.9, 1.0])
    has_points(labelled(axis, "large"), [1, 2], [0.5, 0.95])
    assert says(axis) == ("layer, from input to output", "overlap of the Fishers", "", [])
    assert key(picture) == ["small", "large"] and list(axis.get_xticks()) == [1, 2] and axis.get_ylim() == (0, 1.05)
