import math
from dataclasses import replace

import pytest
from figure_inputs import LINE, T, has_points, is_good, labelled

from cl_teach import figures

DIP = replace(LINE, distance=2.0, loss={"A": (T - 0.5) ** 2, "B": T})  # lowest half-way


def test_truth():
    words = "there, at distance 4.0: true rise 1, whole Fisher 0.9, diagonal 0.1"
    is_good(figures.truth_meter({"there": LINE}), [words])


def test_slices():
    is_good(figures.slices({"there": LINE}, level=0.5), ["to there, A from 0.20 to 1.20", "B from 2.00 to 1.00"])
    assert figures.slices({"there": LINE}, title="up").alt.startswith("up: loss on straight lines")


def test_the_rise_counts_from_theta_a_beside_its_predictions():
    axes = figures.truth_meter({"there": LINE, "over a dip": DIP}).figure.axes
    for axis, line in zip(axes, (LINE, DIP), strict=True):
        true, full, diagonal = axis.lines
        has_points(true, T * line.distance, line.loss["A"] - line.loss["A"][0])
        has_points(full, T * line.distance, line.full["A"])
        has_points(diagonal, T * line.distance, line.diagonal["A"])
        assert [found.get_label().split(":")[0] for found in axis.lines] == ["true rise", "whole Fisher", "diagonal"]
    assert axes[1].lines[0].get_ydata()[[0, 2, 4]].tolist() == [0, -0.25, 0]
    assert [axis.get_title() for axis in axes] == ["there", "over a dip"]


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
