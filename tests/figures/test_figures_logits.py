import math

import pytest
import torch
from figure_inputs import is_good, key, says

from cl_teach import figures
from cl_teach.figures.style import RED

NAN = math.nan
MEANS = torch.tensor([[3.0, -2.0, NAN, NAN], [2.5, -2.0, 6.0, 4.0]])


def colours(axis):
    return [(bar.get_facecolor(), bar.get_hatch()) for bar in axis.patches]


def test_logits():
    picture = figures.logits(MEANS, 0, "EWC")
    is_good(picture, [
        "EWC: Mean logits on images of 0: after task 1 output 0 is highest (3.0)",
        "after task 2 output 2 is highest (6.0; output 0: 2.5).",
    ])  # fmt: skip


def test_a_bar_for_each_output_that_competes_as_high_as_its_logit():
    first, second = figures.logits(MEANS, 0).figure.axes
    for axis, heights in ((first, [3.0, -2.0]), (second, [2.5, -2.0, 6.0, 4.0])):
        assert [bar.get_height() for bar in axis.patches] == heights
        assert [bar.get_x() + bar.get_width() / 2 for bar in axis.patches] == pytest.approx(range(len(heights)))
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xlim() == second.get_xlim()


def test_only_the_highest_of_the_others_is_marked_and_only_if_it_is_above_the_right_one():
    first, second = figures.logits(MEANS, 0).figure.axes
    assert [hatch is not None for _, hatch in colours(first)] == [False, False]
    assert [hatch is not None for _, hatch in colours(second)] == [False, False, True, False]
    assert second.patches[2].get_edgecolor() == pytest.approx([int(RED[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1])
    right, other = colours(first)
    assert right != other and colours(second)[0] == right and colours(second)[3] == other


def test_it_says_what_it_shows():
    picture = figures.logits(MEANS, 1)
    assert key(picture) == ["output 1, the right one", "another output", "another, and the highest"]
    first, second = picture.figure.axes
    assert says(first) == ("", "mean logit", "after task 1", [])
    assert says(second) == ("output", "", "after task 2", [])
    assert list(second.get_xticks()) == [0, 1, 2, 3]
    assert picture.alt.startswith("Mean logits on images of 1: after task 1 output 0 is highest (3.0; output 1: -2.0)")


def test_an_output_that_does_not_compete_yet_has_no_number():
    alt = figures.logits(MEANS, 3).alt
    assert alt.endswith("after task 1 output 0 is highest (3.0), after task 2 output 2 is highest (6.0; output 3: 4.0).")


def test_many_outputs_have_ticks_that_can_be_read():
    (axis,) = figures.logits(torch.arange(30.0)[None], 29).figure.axes
    assert list(axis.get_xticks()) == [0, 6, 12, 18, 24]


@pytest.mark.parametrize(
    ("means", "right", "words"),
    [
        (MEANS[0], 0, r"means must have shape \(T, C\), got \(4,\)"),
        (torch.tensor([[1.0, math.inf]]), 0, "means must hold finite logits"),
        (torch.full((2, 3), NAN), 0, "means must hold finite logits, one at least a row.* got 2 other rows"),
        (MEANS, 4, "right must be below the 4 outputs that there are, got 4"),
        (MEANS, -1, "right must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(means, right, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        figures.logits(means, right)


def test_what_is_no_tensor_no_class_or_no_title_is_refused():
    with pytest.raises(TypeError, match=r"^means must be a torch\.Tensor"):
        figures.logits([[1.0]], 0)
    with pytest.raises(TypeError, match=r"^right must be a whole number"):
        figures.logits(MEANS, 0.0)
    with pytest.raises(TypeError, match=r"^title must be a text"):
        figures.logits(MEANS, 0, None)
