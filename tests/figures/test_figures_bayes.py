import math

import numpy as np
import pytest
import torch
from figure_inputs import W, bowls, contours, has_points, is_good, is_upright_at, key, labelled, says
from matplotlib.colors import Normalize, to_hex

from cl_teach import figures
from cl_teach.figures.style import STEEL

WIDE = torch.linspace(-10, 10, 4001, dtype=torch.float64)


def test_terms():
    is_good(figures.terms(W, W, {"log p": -50 * bowls()["B"]}), ["log p peaks at (1.0, 0.5)"])


def test_a_cross_marks_each_peak_and_shades_lie_below_it():
    w2 = W[:21]  # -1 to 1
    panels = {"A": 7 - bowls()["A"][:21], "B": -3 - 100 * bowls()["B"][:21]}
    axes = figures.terms(W, w2, panels).figure.axes
    for axis, name, peak in zip(axes, "AB", ((0, 0), (1, 0.5)), strict=False):
        (cross,), (shades,) = axis.lines, contours(axis, filled=True)
        has_points(cross, *peak)
        assert (cross.get_label(), cross.get_marker()) == ("peak", "X")
        assert axis.get_title() == name and shades.zmax == 0
    assert contours(axes[0], filled=True)[0].zmin == pytest.approx(-4.2) and shades.zmin == -200  # cut off


def test_laplace():
    is_good(figures.laplace_frame(W, -((W - 0.5) ** 2), 0.5, 2.0, 2, 7), ["7 samples", "at 0.50", "0.71"])


@pytest.mark.parametrize("precision", [0.5, 4.0])
def test_both_densities_integrate_to_one_and_the_right_panel_is_their_logarithm(precision):
    mode = 1.0
    left, right = figures.laplace_frame(WIDE, 5 - 0.5 * WIDE**2, mode, precision, 2, 7).figure.axes
    for label in ("true posterior", "Laplace (normal)"):
        density = labelled(left, label).get_ydata()
        assert (labelled(left, label).get_xdata() == WIDE.numpy()).all()
        assert density.sum() * 20 / 4000 == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(density, np.exp(labelled(right, label).get_ydata()))
    true, normal = (labelled(left, label).get_ydata() for label in ("true posterior", "Laplace (normal)"))
    assert true.max() == pytest.approx((2 * math.pi) ** -0.5) and WIDE[true.argmax()] == pytest.approx(0)
    assert normal.max() == pytest.approx((precision / (2 * math.pi)) ** 0.5) and WIDE[normal.argmax()] == pytest.approx(mode)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_the_misplaced_share_is_half_the_area_between_the_curves(shift):
    share = math.erf(shift / 8**0.5)  # between two normals of standard deviation 1
    alt = figures.laplace_frame(WIDE, 5 - 0.5 * WIDE**2, shift, 1.0, 2, 7).alt
    assert alt.endswith(f"misplaces {100 * share:.0f} % of the probability.")


@pytest.mark.parametrize("step", [0, 1, 2])
def test_each_step_adds_one_thing(step):
    picture = figures.laplace_frame(WIDE, -0.5 * WIDE**2, 0.25, 1.0, step, 7)
    for axis in picture.figure.axes:
        assert [line.get_label() for line in axis.lines] == ["true posterior", "mode", "Laplace (normal)"][: step + 1]
        if step >= 1:
            is_upright_at(labelled(axis, "mode"), 0.25)
    said = ("mode at 0.25" in picture.alt, "standard deviation" in picture.alt, "misplaces" in picture.alt)
    assert said == (step >= 1, step == 2, step == 2)


def test_scores():
    is_good(figures.score_histogram({"w": torch.tensor([-1.0, 1.0])}), ["w has variance 2.00"])


def test_every_score_is_counted_where_it_lies():
    axes = figures.score_histogram({"v": torch.tensor([-2.0, 0.0, 0.0]), "w": torch.tensor([2.0, 2.0])}).figure.axes
    for axis, counts in zip(axes, ({-2: 1, 0: 2}, {2: 2}), strict=True):
        bars = [bar for bar in axis.patches if bar.get_height()]
        assert {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars} == counts
        assert axis.get_ylim()[0] == 0.5  # on a logarithmic scale one that starts at 1 would hide a single score


def test_importance():
    is_good(figures.importance_images({"now": torch.eye(28)}), ["now: 756 of 784 pixels matter nothing"])


def test_importances_share_one_scale():
    images = {"now": 0.01 * torch.eye(28), "later": torch.eye(28).cumsum(0)}
    axes = figures.importance_images(images).figure.axes
    for axis, (name, image) in zip(axes, images.items(), strict=False):
        shown = axis.images[0]
        assert (shown.norm.vmin, shown.norm.vmax) == pytest.approx((0, 1)) and type(shown.norm) is Normalize
        assert axis.get_title() == name and (shown.get_array().mask == (image == 0).numpy()).all()
        assert (shown.get_array().filled(0) == image.numpy()).all()


def test_label_choices():
    is_good(figures.label_choices({"late": {"exact": 1.0, "true": 0.2}}), ["late", "true 0.20"])


def test_bars_of_label_choices_stand_in_the_order_given():
    tables = {"late": {"exact": 1.0, "true": 0.2, "drawn": 0.9}, "early": {"exact": 1.0, "true": 0.6, "drawn": 1.1}}
    axes = figures.label_choices(tables).figure.axes
    for axis, (name, ratios) in zip(axes, tables.items(), strict=True):
        assert axis.get_title() == name
        assert [bar.get_height() for bar in axis.patches] == list(ratios.values())
        assert [bar.get_x() + bar.get_width() / 2 for bar in axis.patches] == pytest.approx([0, 1, 2])
        words = [f"{label}\n{ratio:.2f}" for label, ratio in ratios.items()]  # below the bars, where no line runs
        assert [text.get_text() for text in axis.get_xticklabels()] == words
        has_points(axis.lines[0], [0, 1], [1, 1])


def test_an_estimate_that_is_too_large_is_seen_as_large_as_it_is():
    for ratio, top in ((1.0, 1.25), (4.0, 4.6)):
        axis = figures.label_choices({"a": {"exact": 1.0, "true": ratio}}).figure.axes[0]
        assert axis.get_ylim()[1] == pytest.approx(top)


def test_every_axis_says_what_it_shows():
    picture = figures.laplace_frame(W, -((W - 0.5) ** 2), 0.5, 2.0, 2, 7)
    left, right = picture.figure.axes
    assert key(picture) == ["true posterior", "mode", "Laplace (normal)"]
    assert says(left) == ("weight 1", "density", "7 samples", [])
    assert says(right) == ("weight 1", "log density", "the same, as logarithm", [])
    picture = figures.terms(W, W, {"p": -bowls()["A"], "q": -bowls()["B"]})
    one, other, scale = picture.figure.axes
    assert key(picture) == ["peak"]
    assert (says(one), says(other)) == (("weight 1", "weight 2", "p", []), ("weight 1", "", "q", []))
    assert scale.get_ylabel() == "below the panel's peak"
    one, other = figures.score_histogram({"v": torch.tensor([-2.0, 1.0]), "w": torch.tensor([2.0, 2.0])}).figure.axes
    assert says(one) == ("score of v", "scores in this bar (log scale)", "variance 4.500", [])
    assert says(other) == ("score of w", "", "variance 0.000", [])
    *_, scale = figures.importance_images({"now": torch.eye(28)}).figure.axes
    assert scale.get_ylabel() == "Fisher information"
    one, other = figures.label_choices({"late": {"exact": 1.0}, "early": {"exact": 1.0}}).figure.axes
    assert (one.get_ylabel(), other.get_ylabel()) == ("sum of F, relative to exact", "")


def test_both_weights_have_one_scale_and_shades_end_at_the_peak():
    figure = figures.terms(W, W, {"p": -bowls()["A"], "q": -bowls()["B"]}).figure
    for axis in figure.axes[:2]:
        (shades,) = contours(axis, filled=True)
        assert list(shades.levels) == [-200, -100, -50, -20, -8, -3, -1, 0] and axis.get_aspect() == 1
        faces = shades.get_facecolor()
        assert len({tuple(face) for face in faces}) == 7 and (faces[-1][:2] > faces[0][:2]).all()  # the peak is lightest
        assert tuple(axis.get_ylim()) == (-1, 2)


def test_the_panels_of_laplace_hold_the_peak_and_twelve_nats_below_it():
    left, right = figures.laplace_frame(WIDE, 5 - 0.5 * WIDE**2, 0.0, 1.0, 2, 7).figure.axes
    peak = -0.5 * math.log(2 * math.pi)
    assert left.get_ylim() == pytest.approx((0, 1.15 * math.exp(peak)))
    assert right.get_ylim() == pytest.approx((peak - 12, peak + 1.5))
    for axis in (left, right):
        true, normal = (labelled(axis, label) for label in ("true posterior", "Laplace (normal)"))
        assert true.get_color() != normal.get_color() and true.get_linestyle() != normal.get_linestyle()
        assert labelled(axis, "mode").get_linestyle() == ":"


def test_no_score_lies_outside_the_bars_which_are_the_same_for_all_weights():
    one, other = figures.score_histogram({"v": torch.tensor([-5.0, -2.9, 2.9, 4.0]), "w": torch.zeros(9)}).figure.axes
    for axis, count in ((one, 4), (other, 9)):
        edges = [bar.get_x() for bar in axis.patches] + [axis.patches[-1].get_x() + axis.patches[-1].get_width()]
        assert len(axis.patches) == 41 and (edges[0], edges[-1]) == pytest.approx((-5, 5))
        assert sum(bar.get_height() for bar in axis.patches) == count
    assert one.get_yscale() == other.get_yscale() == "log"
    assert one.get_ylim() == other.get_ylim() and one.get_xlim() == other.get_xlim()


def test_scores_that_are_all_zero_are_counted_too():
    (axis,) = figures.score_histogram({"w": torch.zeros(9)}).figure.axes
    assert max(bar.get_height() for bar in axis.patches) == 9


def test_pixels_have_no_ticks_and_bars_room_above_one():
    (image, _) = figures.importance_images({"now": torch.eye(28)}).figure.axes
    assert len(image.get_xticks()) == len(image.get_yticks()) == 0
    tables = {"late": {"exact": 1.0, "true": 0.2, "sampled": 0.9, "predicted": 0.1}, "early": {"exact": 1.0}}
    one, other = figures.label_choices(tables).figure.axes
    assert one.get_ylim() == other.get_ylim() == (0, 1.25)
    assert [to_hex(bar.get_facecolor()) for bar in one.patches] == ["#000000", *[STEEL.lower()] * 3]  # exact stands out
