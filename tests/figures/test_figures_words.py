"""Words find room beside points, in regions and on lines; what is covered is measured apart, by ``overlaps``."""

import pytest
import torch
from matplotlib.text import Annotation
from overlaps import touching

from cl_teach import figures
from cl_teach.figures.words import Words


def empty(**limits):
    figure, (axis,) = figures.canvas(width=5, height=4)
    axis.set(**({"xlim": (0, 10), "ylim": (0, 10)} | limits))
    return figure, axis


def side(axis) -> tuple[int, int]:
    """Where the last words stand, seen from their point: left or right, below or above, in signs."""
    (note,) = [text for text in axis.texts if isinstance(text, Annotation) and text.get_text()]
    return tuple(0 if abs(offset) < 1e-6 else int(offset > 0) - int(offset < 0) for offset in note.xyann)


@pytest.mark.parametrize(
    ("point", "blocked", "expected"),
    [  # the first free one of above, below, right and left
        ((5, 5), [], (0, 1)),
        ((5, 5), [(4, 6, 5.7)], (0, -1)),
        ((5, 5), [(4, 6, 5.7), (4, 6, 4.3)], (1, 0)),
        ((5, 5), [(4, 6, 5.7), (4, 6, 4.3), (5.5, 5.8, 5)], (-1, 0)),
        ((5, 9.9), [], (0, -1)),  # or it would leave the axes
        ((9.9, 5), [(9, 10, 5.7), (9, 10, 4.3)], (-1, 0)),
    ],
)
def test_words_stand_above_below_right_or_left_of_their_point_where_there_is_room(point, blocked, expected):
    figure, axis = empty()
    axis.plot(*point, "o", ms=4)
    for left, right, y in blocked:
        axis.plot([left, right], [y, y])
    assert Words(axis).beside(point, "EWC") and side(axis) == expected
    assert touching(figure) == []


def test_words_that_are_not_needed_are_left_out_where_there_is_no_room():
    for needed in (True, False):
        _, axis = empty()
        for y in torch.linspace(0, 10, 40).tolist():
            axis.plot([0, 10], [y, y])
        stands = Words(axis).beside((5, 5), "a long word", needed)
        assert stands is needed and len(axis.texts) == needed


def test_words_that_stand_far_from_their_point_have_a_line_to_it():
    figure, axis = empty()
    axis.plot([4, 6, 6, 4, 4], [4, 4, 6, 6, 4])
    axis.plot(torch.linspace(4, 6, 20), torch.full((20,), 5.0), "s", ms=25)
    Words(axis).beside((5, 5), "EWC")
    words, line = axis.texts
    assert words.get_text() == "EWC" and line.get_text() == "" and line.arrow_patch is not None
    assert line.xy == words.xy == (5, 5)
    assert [0 <= abs(short) <= abs(whole) for short, whole in zip(line.xyann, words.xyann, strict=True)] == [True, True]
    assert touching(figure) == []


def test_words_keep_off_words_and_off_what_is_to_come():
    figure, axis = empty()
    words = Words(axis)
    for _ in range(12):
        words.beside((5, 5), "EWC")
    assert touching(figure) == []
    figure, axis = empty()
    words = Words(axis)
    words.avoid([(torch.tensor([4.0, 6.0]), torch.tensor([5.7, 5.7]))])
    words.beside((5, 5), "EWC")
    assert side(axis) == (0, -1)


def test_words_stand_at_the_first_place_with_room_or_nowhere():
    figure, axis = empty()
    axis.plot([0, 10], [5, 5])
    words = Words(axis)
    assert words.inside("A", [(5, 5), (9.99, 8), (5, 7), (5, 2)]) and axis.texts[0].get_position() == (5, 7)
    assert not words.inside("A", [(5, 5), (5, 7)]) and len(axis.texts) == 1  # the first stands there
    assert touching(figure) == []


def test_a_line_of_equal_loss_has_its_label_where_least_is_near():
    figure, axis = empty()
    x = torch.linspace(0, 10, 41)
    lines = axis.contour(x, x, x.expand(41, 41), levels=[2, 7])  # upright lines at 2 and at 7
    axis.plot([0, 10], [2, 2])
    Words(axis).on_lines(lines, {7: "A: loss 7"})
    (label,) = lines.labelTexts
    assert label.get_text() == "A: loss 7" and label.get_position()[0] == pytest.approx(7, abs=0.1)
    assert label.get_position()[1] > 5 and label.get_rotation() % 180 == pytest.approx(90, abs=1)
    assert touching(figure) == []


def test_a_line_without_room_has_no_label():
    _, axis = empty()
    x = torch.linspace(0, 10, 41)
    lines = axis.contour(x, x, x.expand(41, 41), levels=[6.9, 7, 7.1])
    Words(axis).on_lines(lines, {7: "A: loss 7"})
    assert not lines.labelTexts
