import math
from dataclasses import replace
from itertools import pairwise

import pytest
from figure_inputs import LINE, T, has_points, is_good, labelled, says

from cl_teach import figures
from cl_teach.figures.style import TASKS

DIP = replace(LINE, distance=2.0, loss={"A": (T - 0.5) ** 2, "B": T})  # lowest half-way


def test_truth():
    words = (
        "there, at distance 4.0: true rise 1, gradient term 0.2, gradient + whole Fisher 1.1, whole Fisher 0.9, diagonal 0.1"
    )
    is_good(figures.truth_meter({"there": LINE}), [words])


def test_slices():
    is_good(figures.slices({"there": LINE}, level=0.5), ["to there, A from 0.20 to 1.20", "B from 2.00 to 1.00"])
    assert figures.slices({"there": LINE}, title="up").alt.startswith("up: loss on straight lines")


def test_the_rise_counts_from_theta_a_beside_its_predictions():
    axes = figures.truth_meter({"there": LINE, "over a dip": DIP}).figure.axes
    for axis, line in zip(axes, (LINE, DIP), strict=True):
        assert len(axis.lines) == 5
        has_points(labelled(axis, "true rise"), T * line.distance, line.loss["A"] - line.loss["A"][0])
        has_points(labelled(axis, "gradient term"), T * line.distance, line.slope["A"])
        has_points(labelled(axis, "gradient + whole Fisher"), T * line.distance, line.slope["A"] + line.full["A"])
        has_points(labelled(axis, "whole Fisher"), T * line.distance, line.full["A"])
        has_points(labelled(axis, "diagonal"), T * line.distance, line.diagonal["A"])
    assert axes[1].lines[0].get_ydata()[[0, 2, 4]].tolist() == [0, -0.25, 0]
    assert [axis.get_title() for axis in axes] == ["there\n", "over a dip\n"]


def test_the_meter_says_how_much_finer_a_scale_is():
    lower = replace(LINE, **{part: {"A": getattr(LINE, part)["A"] / 20} for part in ("loss", "slope", "full", "diagonal")})
    fine = figures.truth_meter({"there": LINE, "low": lower, "half": replace(LINE, slope={"A": -2.2 * T})}).figure.axes
    assert [axis.get_title() for axis in fine] == [
        "there\n(the scale is 2 times finer)", "low\n(the scale is 40 times finer)", "half\n"
    ]  # fmt: skip
    (flat,) = figures.truth_meter({"flat": replace(LINE, loss={"A": 0 * T}, slope={"A": 0 * T}, full={"A": 0 * T},
                                                   diagonal={"A": 0 * T})}).figure.axes  # fmt: skip
    assert flat.get_title() == "flat"


def test_a_slice_is_the_loss_over_the_distance():
    axes = figures.slices({"there": LINE, "over a dip": DIP}, level=0.5).figure.axes
    for axis, line in zip(axes, (LINE, DIP), strict=True):
        for name in "AB":
            has_points(labelled(axis, f"loss on {name}"), T * line.distance, line.loss[name])
        has_points(axis.lines[-1], [0, 1], [0.5, 0.5])
    assert [axis.get_title() for axis in axes] == ["to there", "to over a dip"]


def test_every_data_set_of_a_slice_is_drawn():
    more = replace(LINE, loss=dict.fromkeys("ABCD", LINE.loss["A"]))
    picture = figures.slices({"there": more})
    assert len(picture.figure.axes[0].lines) == 4 and all(f"{name} from" in picture.alt for name in "ABCD")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.slices({"there": LINE}, level=math.nan), "level must be"),
        (lambda: figures.truth_meter({}), "lines must hold at least one"),
        (lambda: figures.truth_meter({"there": LINE}, "B"), "name must be one of 'A', got 'B'"),
        (lambda: figures.slices({}), "lines must hold at least one"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_axis_says_what_it_shows():
    away = r"distance from $\theta_A$"
    figure = figures.truth_meter({"there": LINE, "over a dip": DIP}).figure
    one, other = figure.axes
    assert says(one) == (away, "rise of the loss on A (nats)", "there\n", [])
    assert (other.get_xlabel(), other.get_ylabel()) == (away, "")
    (key,) = figure.legends
    assert {text.get_text() for text in key.get_texts()} == set(LINE.rises("A")) and len(key.get_texts()) == 5
    assert [len(figure.legends[0].get_lines()), len(one.get_legend_handles_labels()[0])] == [5, 5]
    figure = figures.slices({"there": LINE, "over a dip": DIP}, title="up").figure
    one, other = figure.axes
    assert says(one) == (away, "loss (nats)", "to there", [])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["loss on A", "loss on B"]
    assert says(other) == (away, "", "to over a dip", []) and figure.get_suptitle() == "up"
    assert one.get_ylim() == other.get_ylim() and one.get_ylim()[0] == 0


def test_predictions_and_data_sets_differ_in_colour_and_line():
    (axis,) = figures.truth_meter({"there": LINE}).figure.axes
    assert len({line.get_color() for line in axis.lines}) == 5
    assert len({str(line._dash_pattern) for line in axis.lines}) == 5
    more = replace(LINE, loss=dict.fromkeys("ABCD", LINE.loss["A"]))
    (axis,) = figures.slices({"there": more}, level=0.5).figure.axes
    *lines, level = axis.lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 4 and level.is_dashed()
    assert [line.get_color() for line in lines[:2]] == [style["color"] for style in TASKS]


def test_the_words_of_a_slice_are_its_ends_and_its_top():
    picture = figures.slices({"over a dip": DIP, "back": replace(LINE, loss={"A": 1 - (T - 0.5) ** 2})})
    words = "to over a dip, A from 0.25 to 0.25, at most 0.25; to over a dip, B from 0.00 to 1.00, at most 1.00"
    assert picture.alt == f"loss on straight lines from theta_A: {words}; to back, A from 0.75 to 0.75, at most 1.00."


@pytest.mark.parametrize(("n", "truth", "slice_"), [(1, 5.0, 5.0), (2, 7.6, 7.6), (3, 10.2, 11.4)])
def test_a_panel_more_makes_a_wider_figure(n, truth, slice_):
    lines = {str(k): LINE for k in range(n)}
    assert figures.truth_meter(lines).figure.get_figwidth() == pytest.approx(truth)
    assert figures.slices(lines).figure.get_figwidth() == pytest.approx(slice_)


def test_a_level_of_zero_is_drawn_and_a_negative_one_refused():
    assert len(figures.slices({"there": LINE}, level=0).figure.axes[0].lines) == 3
    assert len(figures.slices({"there": LINE}).figure.axes[0].lines) == 2
    with pytest.raises(ValueError, match="level must be"):
        figures.slices({"there": LINE}, level=-0.1)


def test_every_curve_of_the_truth_meter_has_its_last_value_at_its_end_and_none_lies_on_another():
    close = replace(LINE, slope={"A": 0.1 * T}, full={"A": 0.11 * T**2}, diagonal={"A": 0.12 * T**2})
    broken = replace(LINE, full={"A": LINE.full["A"] / 0})
    for line, values in (
        (LINE, ["0.1", "0.2", "0.9", "1", "1.1"]), (close, ["0.1", "0.11", "0.12", "0.21", "1"]), (broken, ["0.1", "0.2", "1"])
    ):  # fmt: skip
        picture = figures.truth_meter({"there": line})
        (axis,) = picture.figure.axes
        assert picture.png and [text.get_text() for text in axis.texts] == values
        boxes = [text.get_window_extent() for text in axis.texts]
        assert all(lower.y1 <= upper.y0 + 1 for lower, upper in pairwise(boxes))
        assert axis.get_ylim()[0] <= axis.texts[0].xy[1] and axis.texts[-1].xy[1] <= axis.get_ylim()[1]
        colours = {line.get_color() for line in axis.lines}
        assert {text.get_color() for text in axis.texts} <= colours
        at = dict(zip(values, axis.texts, strict=True))["1"]
        assert at.xy[1] == pytest.approx(1, abs=0.1) and at.get_color() == labelled(axis, "true rise").get_color()
