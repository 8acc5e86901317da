import pytest
from figure_inputs import has_points, is_good

from cl_teach.figures.predictions import prediction


def test_prediction():
    is_good(prediction("accuracy", 0, 1, 0.6, [0.2, 0.3]), ["accuracy: measured 0.2 to 0.3 in 2 runs; you said 0.6"])
    is_good(prediction("accuracy", 0, 1), ["accuracy, from 0 to 1: nothing is predicted yet."])


def test_the_prediction_stands_above_the_line_and_what_was_measured_below():
    (axis,) = prediction("accuracy", 0, 1, 0.6, [0.2, 0.3]).figure.axes
    line, said, measured = axis.lines
    has_points(line, [0, 1], [0, 0])
    has_points(said, 0.6, 0.25)
    has_points(measured, [0.2, 0.3], [-0.25, -0.25])
    assert {text.get_text(): text.get_position()[0] for text in axis.texts} == {"you said 0.6": 0.6, "measured": 0.25}


def test_what_is_not_there_is_not_drawn():
    (axis,) = prediction("accuracy", 0, 1).figure.axes
    assert len(axis.lines) == 1 and [text.get_text() for text in axis.texts] == ["?"]
    (axis,) = prediction("accuracy", 0, 1, measured=[0.2]).figure.axes
    assert len(axis.lines) == 2 and [text.get_text() for text in axis.texts] == ["measured"]


def test_the_line_reaches_as_far_as_what_was_measured():
    (axis,) = prediction("how many times", 0, 3, 1, [5.0]).figure.axes
    low, high = axis.get_xlim()
    assert low == pytest.approx(-0.25) and high == pytest.approx(5.25)


def test_a_name_that_looks_like_a_formula_is_no_formula():
    picture = prediction("what $\\frac{$ costs", 0, 1, 0.5)
    assert picture.png.startswith(b"\x89PNG")
