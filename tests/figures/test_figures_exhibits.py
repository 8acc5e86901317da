import math

import pytest
import torch
from figure_inputs import is_good, key

from cl_teach import figures

RIGHT = {"w": torch.tensor([[1.5, 0.15], [0.15, 0.0]]), "b": torch.tensor([1.5e-3, 1.5e-3])}
WRONG = {"w": torch.tensor([[1.5e-2, 1.5e-3], [0.0, 0.0]]), "b": torch.tensor([1e-30, 0.0])}
BOTH = {"right": RIGHT, "wrong": WRONG}
CURVES = {"right": {1: 0.8, 10: 0.9, 100: 0.7}, "wrong": {1: 0.6, 10: 0.65, 100: 0.85}}


def test_exhibit():
    is_good(figures.exhibit(BOTH, CURVES, "wrong", "room 4"), [
        "room 4: right adds up to 1.8, 17 % of it exactly 0; best mean accuracy 90 % at lambda 10.",
        "wrong adds up to 0.0165, 50 % of it exactly 0; best mean accuracy 85 % at lambda 100.",
        "In full: wrong.",
    ])  # fmt: skip


def test_each_bar_is_the_share_of_all_weights_in_its_half_power_of_ten():
    left, _ = figures.exhibit(BOTH, CURVES, "right").figure.axes
    right, filled, wrong = (patch.get_data() for patch in left.patches)
    edges = right.edges.tolist()
    assert edges == [-12 + k / 2 for k in range(29)]
    assert right.values.tolist() == filled.values.tolist()
    found = {edges[k]: v for k, v in enumerate(right.values) if v}
    assert found == pytest.approx({0.0: 1 / 6, -1.0: 2 / 6, -3.0: 2 / 6})
    assert {edges[k]: v for k, v in enumerate(wrong.values) if v} == pytest.approx({-2.0: 1 / 6, -3.0: 1 / 6, -12.0: 1 / 6})


@pytest.mark.parametrize(("shown", "place"), [("right", 0), ("wrong", 1)])
def test_the_one_that_is_shown_is_filled_and_drawn_thickly(shown, place):
    left, right = figures.exhibit(BOTH, CURVES, shown).figure.axes
    outlines = [patch for patch in left.patches if not patch.get_fill()]
    filled = [patch for patch in left.patches if patch.get_fill()]
    assert len(filled) == 1 and filled[0].get_data().values.tolist() == outlines[place].get_data().values.tolist()
    assert outlines[place].get_linewidth() > outlines[1 - place].get_linewidth()
    curves = [line for line in right.lines if len(line.get_xdata()) == 3]
    assert curves[place].get_linewidth() > curves[1 - place].get_linewidth()
    total, zeros = {"right": ("1.8", "17 %"), "wrong": ("0.016", "50 %")}[shown]
    beside = "" if shown == "right" else " (right: 1.8)"
    assert left.get_title() == f"sum: {total}{beside}; exactly 0: {zeros}"
    assert right.get_title() == {"right": "best: 90.0 % at λ = 10", "wrong": "best: 85.0 % at λ = 100"}[shown]


def test_each_curve_has_its_points_and_a_ring_around_the_best():
    picture = figures.exhibit(BOTH, CURVES, "right")
    _, axis = picture.figure.axes
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines]
    right, best, wrong, other = drawn
    assert right == ([1, 10, 100], [0.8, 0.9, 0.7]) and wrong == ([1, 10, 100], [0.6, 0.65, 0.85])
    assert best == ([10], [0.9]) and other == ([100], [0.85])
    assert axis.get_xscale() == "log" and key(picture) == ["right", "wrong"]
    assert axis.get_ylim() == pytest.approx((0.55, 0.95))


def test_of_equal_strengths_the_smallest_is_the_best():
    even = {"right": {1: 0.8, 10: 0.8}, "wrong": {1: 0.8, 10: 0.8}}
    assert figures.exhibit(BOTH, even, "right").figure.axes[1].get_title() == "best: 80.0 % at λ = 1"


@pytest.mark.parametrize(
    ("importances", "average", "shown", "words"),
    [
        ({"right": RIGHT}, {"right": {1: 0.5}}, "right", "importances and average must have the same two names"),
        (BOTH, {"right": {1: 0.5}, "other": {1: 0.5}}, "right", "importances and average must have the same two names"),
        (BOTH, CURVES, "other", "shown must be one of 'right', 'wrong', got 'other'"),
        (
            BOTH | {"wrong": {"w": torch.tensor([-1.0])}},
            CURVES,
            "right",
            r"importances\['wrong'\] must be finite and not below 0",
        ),
        (BOTH | {"wrong": {"w": torch.tensor([math.nan])}}, CURVES, "right", r"importances\['wrong'\] must be finite"),
        (BOTH, CURVES | {"wrong": {}}, "right", r"average\['wrong'\] must hold at least one strength"),
        (BOTH, CURVES | {"wrong": {0: 0.5}}, "right", r"average\['wrong'\], each strength, must be"),
        (BOTH, CURVES | {"wrong": {1: 1.5}}, "right", r"average\['wrong'\]\[1\] must be"),
    ],
)
def test_what_cannot_be_drawn(importances, average, shown, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        figures.exhibit(importances, average, shown)


def test_what_is_of_another_kind():
    with pytest.raises(TypeError, match=r"^importances must be a dict"):
        figures.exhibit([RIGHT, WRONG], CURVES, "right")
    with pytest.raises(TypeError, match=r"^title"):
        figures.exhibit(BOTH, CURVES, "right", None)
