import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from figure_inputs import PATHS, TRACES, T, contours, has_points, is_good, key, labelled, only_a, says, surface, trace, valley
from matplotlib.colors import to_hex
from matplotlib.text import Annotation
from mpl_toolkits.mplot3d import Axes3D

from cl_teach import figures
from cl_teach.figures.landscapes import BOTH, far, gone, hollow, where
from cl_teach.figures.style import REGIONS, TASKS, THETA_A, style_of
from cl_teach.landscapes import Surface, Trace

WAY = Trace(  # in the plane; its loss on A is lowest at the second point
    [0, 10, 20, 30],
    torch.tensor([1.0, 2.0, 3.0, 5.0]).double(),
    torch.tensor([-1.0, 0.0, 2.0, 1.0]).double(),
    torch.zeros(4).double(),
    {"A": torch.tensor([0.6, 0.2, 0.7, 1.0]).double(), "B": torch.tensor([1.9, 1.0, 0.8, 0.4]).double()},
    {name: torch.full((4,), 0.5).double() for name in "AB"},
)


def marks(axis, method):
    """The marks of this method on the map, each alone."""
    style = style_of(method)
    ours = [line for line in axis.lines if line.get_marker() == style["marker"] and line.get_linestyle() == "None"]
    return [line for line in ours if style["color"] in (line.get_markerfacecolor(), line.get_markeredgecolor())]


def test_landscape():
    words = [
        "here: Loss of A and B",
        "no penalty moved 4.0, true losses A 1.80, B 0.20, in B's region only",
        "L2 moved 2.2, 2.0 of it off the plane, true losses A 0.60, B 0.90, outside A and B",
        "EWC moved 3.2, true losses A 0.40, B 0.45, in both regions",
    ]
    is_good(figures.landscape(surface(), TRACES, title="here"), words)


def test_landscape_of_one_task():
    rings = {"Laplace": figures.circle(torch.zeros(2), 1.0)}
    picture = figures.landscape(only_a(), {"EWC": TRACES["EWC"]}, rings=rings)
    is_good(picture, ["true losses A 0.40, in A's region", "Outline: Laplace"])


def test_a_region_that_nothing_reaches():
    is_good(figures.landscape(surface(), TRACES, level=0.1), ["EWC moved", "outside A and B"])


def test_mountain():
    is_good(
        figures.surface_3d(surface(), TRACES, "A"),
        ["Loss on A", "EWC ends at 0.40", "L2 (off the plane, not drawn) ends at 0.60"],
    )


def test_the_colour_of_a_mark_is_its_method_s_and_it_is_hollow_off_the_plane():
    axis = figures.landscape(surface(), TRACES).figure.axes[0]
    for method, path in TRACES.items():
        color = style_of(method)["color"]
        (end,) = [mark for mark in marks(axis, method) if mark.get_markersize() > 10]
        has_points(end, path.x[-1], path.y[-1])
        look = (end.get_markerfacecolor(), end.get_markeredgecolor())
        assert look == (("white", color) if method == "L2" else (color, "white"))
    assert axis.get_aspect() == 1.0


def test_lines_at_one_two_and_four_levels():
    for level in (0.3, 0.5):
        axis = figures.landscape(surface(), TRACES, level).figure.axes[0]
        drawn = contours(axis, filled=False)
        assert [list(lines.levels) for lines in drawn] == [[level, 2 * level, 4 * level]] * 2
        assert [to_hex(lines.get_edgecolor()[0]) for lines in drawn] == [style["color"].lower() for style in TASKS]


def test_regions_hold_the_points_below_the_level_and_the_hatched_one_those_of_both():
    land, level = surface(), 0.9
    figure = figures.landscape(land, TRACES, level).figure
    regions = contours(figure.axes[0], filled=True)
    inner = (slice(1, -1), slice(1, -1))  # points on the edge of the map lie on the edge of the region
    x, y = np.meshgrid(land.xs[1:-1], land.ys[1:-1])
    a, b = (land.loss[name].numpy()[inner] < level for name in "AB")
    assert 0 < (a & b).sum() < min(a.sum(), b.sum())
    for region, below in zip(regions, (a, b, a & b), strict=True):
        (path,) = region.get_paths()
        assert (path.contains_points(np.stack([x.ravel(), y.ravel()], 1)) == below.ravel()).all()
    colors = [color.lower() for color in (*REGIONS, BOTH["fc"])]
    assert [to_hex(region.get_facecolor()[0]) for region in regions] == colors
    assert [region.hatches for region in regions] == [[None], [None], ["///"]]
    legend = figure.legends[0]
    entries = [text.get_text() for text in legend.get_texts()][:3]
    assert entries == ["A: loss below 0.9", "B: loss below 0.9", "both below 0.9"]
    assert [to_hex(handle.get_facecolor()) for handle in legend.legend_handles[:3]] == colors


def test_a_point_is_hollow_from_a_fifth_of_its_distance_off_the_plane():
    share = torch.tensor([0.0, 0.19, 0.199, 0.201, 0.21]).double()  # of a distance of 1, save at the start
    x = (share > 0) * (1 - share**2).sqrt()
    away = replace(TRACES["EWC"], steps=list(range(5)), x=x, y=0 * x, residual=share, loss={}, accuracy={})
    assert hollow(away).tolist() == [False, False, False, True, True]


def test_a_way_has_its_points_and_a_few_marks_on_it():
    axis = figures.landscape(surface(), {"EWC": WAY}).figure.axes[0]
    has_points(axis.lines[0], WAY.x, WAY.y)
    assert axis.lines[0].get_linewidth() == pytest.approx(1.8)
    assert {tuple(np.ravel(mark.get_data())) for mark in marks(axis, "EWC")} == {(2, 0), (3, 2), (5, 1)}
    has_points(axis.lines[-1], 1, -1)  # where it starts
    notes = {note.get_text(): note.xy for note in axis.texts if isinstance(note, Annotation)}
    assert notes[THETA_A] == (1, -1) and notes["EWC\nA 1.00, B 0.40"] == (5, 1)


def test_marks_on_ways_keep_their_distance_from_each_other_and_from_the_ends():
    axis = figures.landscape(valley(), PATHS).figure.axes[0]
    drawn = {tuple(np.ravel(mark.get_data())): mark for method in PATHS for mark in marks(axis, method)}
    places = np.array([*drawn, (0, 0)])
    gaps = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
    assert gaps[np.triu_indices(len(places), 1)].min() > 0.05 * 12.2  # of the width of the map
    assert {mark.get_markersize() for mark in drawn.values()} == {7, 12} and len(drawn) < 15  # of 24 points
    for method, path in PATHS.items():
        off = dict(zip(zip(path.x.tolist(), path.y.tolist(), strict=True), hollow(path), strict=True))
        for mark in marks(axis, method):
            assert (mark.get_markerfacecolor() == "white") == off[tuple(np.ravel(mark.get_data()))]


@pytest.mark.parametrize("name", ["A", "B"])
def test_the_mountain_is_as_high_as_the_loss_cut_off_at_the_top(monkeypatch, name):
    solids, plot_surface = [], Axes3D.plot_surface  # the solid itself keeps its corners to itself
    monkeypatch.setattr(
        Axes3D, "plot_surface", lambda axis, *xyz, **style: (solids.append(xyz), plot_surface(axis, *xyz, **style))
    )
    land, top = surface(), 0.8
    axis = figures.surface_3d(land, {"EWC": WAY, "L2": TRACES["L2"]}, name, top).figure.axes[0]
    ((x, y, height),) = solids
    for row in range(len(land.ys)):
        for column in range(len(land.xs)):
            assert (x[row, column], y[row, column]) == (land.xs[column], land.ys[row])
            assert height[row, column] == min(float(land.loss[name][row, column]), top)
    heights = WAY.loss[name].clamp(max=top)
    way, off_way = (line for line in axis.lines if len(line.get_data_3d()[0]) > 1)
    np.testing.assert_allclose(way.get_data_3d(), (WAY.x, WAY.y, heights))
    height = min(float(TRACES["L2"].loss[name][0]), top)
    np.testing.assert_allclose(off_way.get_data_3d()[2], [height, math.nan, math.nan])  # only its start lies in the plane
    end, start = (labelled(axis, label) for label in ("EWC", THETA_A))
    off_end = labelled(axis, "L2: off the plane,\nnot drawn")
    np.testing.assert_allclose(np.ravel(end.get_data_3d()), (5, 1, heights[-1]))
    np.testing.assert_allclose(np.ravel(start.get_data_3d()), (1, -1, heights[0]))
    assert not np.size(off_end.get_data_3d()[0]) and end.get_markerfacecolor() == style_of("EWC")["color"]


def test_a_path_that_diverged_is_told_as_such():
    lost = replace(TRACES["L2"], loss={name: torch.tensor([2.0, 1e30, math.nan]).double() for name in "AB"})
    assert "true losses A not finite, B not finite" in figures.landscape(surface(), {"EWC": WAY, "L2": lost}).alt


def test_what_lies_outside_the_picture_is_said():
    assert "EWC moved 42.4 (not shown)" in figures.landscape(surface(), {"EWC": trace((30, 30), 0, 1, 1)}).alt


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.landscape(Surface(T[:1], T, {"A": T[:, None]}, {"A": T[:, None]}), TRACES), "two points or more"),
        (lambda: figures.landscape(surface(), {}), "traces must hold at least one"),
        (lambda: figures.landscape(surface(), TRACES, level=0.0), "level must be"),
        (
            lambda: figures.landscape(surface(), {"EWC": replace(TRACES["EWC"], loss={"A": T[:3]})}),
            "EWC must have watched A, B, got A",
        ),
        (lambda: figures.surface_3d(surface(), TRACES, "A", top=-1.0), "top must be"),
        (lambda: figures.surface_3d(surface(), TRACES, "C"), "name must be one of 'A', 'B', got 'C'"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_map_says_what_it_shows():
    picture = figures.landscape(surface(), TRACES, title="here", rings={"Laplace": figures.circle(torch.zeros(2), 1.0)})
    (axis,) = picture.figure.axes  # no colour bar: numbers tell the losses
    assert says(axis) == ("distance along the plane's first axis", "distance along its second axis", "here", [])
    regions = ["A: loss below 0.5", "B: loss below 0.5"]  # which do not overlap
    assert key(picture) == [*regions, "no penalty", "L2", "EWC", "hollow: off the plane", "Laplace"]
    assert picture.figure.legends[0].get_title().get_text() == "numbers beside an end: its true losses"
    assert (tuple(axis.get_xlim()), tuple(axis.get_ylim())) == ((-2, 6), (-2, 4))


def test_a_key_shows_line_and_mark_and_names_only_what_is_there():
    handles = figures.landscape(surface(), TRACES).figure.legends[0].legend_handles
    shown = {handle.get_label(): handle for handle in handles if handle.get_label()}
    for method in TRACES:
        style, handle = style_of(method), shown[style_of(method)["label"]]
        assert (handle.get_color(), handle.get_marker()) == (style["color"], style["marker"])
        assert handle.get_linestyle() == style["linestyle"]
    within = {"EWC": TRACES["EWC"]}
    assert key(figures.landscape(surface(), within)) == ["A: loss below 0.5", "B: loss below 0.5", "EWC"]  # none is hollow
    assert key(figures.landscape(surface(), within, level=0.1)) == ["EWC"]  # no region
    assert key(figures.landscape(only_a(), within)) == ["A: loss below 0.5", "EWC"]


def test_beside_an_end_stand_its_true_losses_and_how_far_off_the_plane_it_lies():
    axis = figures.landscape(valley(), PATHS, level=50.0).figure.axes[0]  # no lines in the way
    notes = {note.get_text(): (note.xy, note.get_color()) for note in axis.texts if note.get_text()}
    assert notes == {
        THETA_A: ((0, 0), "black"),
        "no penalty\nA 1.01, B 0.33": (pytest.approx((9.42, 0)), style_of("none")["color"]),
        "L2\nA 0.56, B 0.32\n2.4 off the plane": (pytest.approx((4.66, 0.52)), style_of("L2")["color"]),
        "EWC\nA 0.37, B 0.35": (pytest.approx((4.75, 6.06)), style_of("EWC")["color"]),
    }
    crowded = figures.landscape(valley(), PATHS).figure.axes[0]  # too many lines around L2's end for more than its name
    assert {"L2", "EWC\nA 0.37, B 0.35"} < {note.get_text() for note in crowded.texts}


def test_each_line_of_equal_loss_says_what_it_stands_for():
    axis = figures.landscape(valley(), PATHS).figure.axes[0]
    labels = {note.get_text() for note in axis.texts if "loss" in note.get_text()}
    assert labels == {"A: loss 1", "A: loss 2", "B: loss 1", "B: loss 2"}


def test_an_end_beyond_the_map_has_no_words_on_it():
    axis = figures.landscape(surface(), {"EWC": trace((30, 30), 0, 1, 1)}).figure.axes[0]
    assert not [note for note in axis.texts if "EWC" in note.get_text()]


def test_ways_rings_and_ends_have_their_styles():
    rings = {"one": figures.circle(torch.zeros(2), 1.0), "two": figures.circle(torch.zeros(2), 2.0)}
    axis = figures.landscape(surface(), TRACES, rings=rings).figure.axes[0]
    ways = [line for line in axis.lines if len(line.get_xdata()) == 3]
    for way, (method, path) in zip(ways, TRACES.items(), strict=True):
        style = style_of(method)
        has_points(way, path.x, path.y)
        assert (way.get_color(), way.get_linestyle()) == (style["color"], style["linestyle"])
        assert {mark.get_marker() for mark in marks(axis, method)} == {style["marker"]}
    assert [way.get_linewidth() for way in ways] == pytest.approx([5.1, 3.4, 1.8])  # the first shows beside the later
    *_, start, one, two = axis.lines
    drawn = one, two
    assert (start.get_marker(), start.get_markeredgecolor()) == ("o", "black")
    for line, (name, ring) in zip(drawn, rings.items(), strict=True):
        has_points(line, *ring.T)
        assert line.get_label() == name
    assert [line.get_linestyle() for line in drawn] == ["-", ":"] and len({line.get_color() for line in drawn}) == 1


def test_the_way_gone_counts_from_the_start_wherever_that_is():
    moved = replace(TRACES["L2"], x=TRACES["L2"].x + 30, y=TRACES["L2"].y - 40)
    assert gone(moved).tolist() == pytest.approx([0, 1.25**0.5, 5**0.5])
    assert hollow(moved).tolist() == [False, True, True]
    diagonal = replace(TRACES["EWC"], x=T[:3] * 4 + 1, y=T[:3] * 8 - 5, residual=T[:3])
    assert gone(diagonal).tolist() == pytest.approx([0, 81**0.5 / 4, 81**0.5 / 2])


def test_distances_are_told_to_two_digits():
    assert [far(d) for d in (0.0123, 0.999, 1.0, 12.34, 999.94, 1000.0)] == ["0.012", "1", "1.0", "12.3", "999.9", "1e+03"]


def test_where_weights_lie_is_told_by_their_true_losses_at_that_step():
    assert [where(WAY, "AB", 0.9, at) for at in range(4)] == [
        "in A's region only", "in A's region only", "in both regions", "in B's region only",
    ]  # fmt: skip
    assert where(WAY, "AB", 0.9) == "in B's region only" and where(WAY, "AB", 0.3) == "outside A and B"
    assert where(WAY, "A", 1.0) == "in A's region" and where(WAY, "A", 0.99) == "outside A"  # at most the level is inside


@pytest.mark.parametrize("end", [(-2, 1), (6, 1), (1, -2), (1, 4)])
def test_an_end_on_the_edge_of_the_map_is_shown(end):
    assert "(not shown)" not in figures.landscape(surface(), {"EWC": trace(end, 0, 1, 1)}).alt
    beyond = tuple(v + (0.01 if v in (6, 4) else -0.01 if v == -2 else 0) for v in end)
    assert "(not shown)" in figures.landscape(surface(), {"EWC": trace(beyond, 0, 1, 1)}).alt


def test_two_points_along_each_axis_are_enough():
    small = Surface(T[:2], T[:2], *[{name: torch.tensor([[0.1, 0.6], [0.7, 0.9]]) for name in "AB"}] * 2)
    is_good(figures.landscape(small, {"EWC": TRACES["EWC"]}), ["EWC moved"])
    with pytest.raises(ValueError, match="two points or more along each axis, got 2 and 1"):
        figures.landscape(Surface(T[:2], T[:1], *[{"A": torch.zeros(1, 2)}] * 2), TRACES)


def test_the_mountain_has_a_line_at_every_eighth_of_its_top(monkeypatch):
    drawn = []
    monkeypatch.setattr(Axes3D, "contour", lambda axis, *xyz, levels, **style: drawn.append((xyz, levels)))
    land = surface()
    figures.surface_3d(land, TRACES, "B", top=1.6)
    (((_, _, height), levels),) = drawn
    low, high = height.min(), height.max()
    assert high <= 1.6 and levels == pytest.approx([k * 0.2 for k in range(1, 8) if low < k * 0.2 < high]) and levels
    figures.surface_3d(replace(land, loss={**land.loss, "B": torch.ones_like(land.loss["B"])}), {"EWC": WAY}, "B")
    assert len(drawn) == 1  # a plain has no lines


def test_the_mountain_says_what_it_shows():
    axis = figures.surface_3d(surface(), TRACES, "B", top=1.5).figure.axes[0]
    entries = ["no penalty", "L2: off the plane,\nnot drawn", "EWC", THETA_A]
    assert says(axis) == ("first axis", "second axis", "", entries)
    assert axis.get_zlabel() == "loss on B" and tuple(axis.get_zlim()) == pytest.approx((0, 1.5), abs=0.05)
    assert (axis.elev, axis.azim) == (35, -125)
    ways, ends = axis.lines[0:6:2], axis.lines[1:6:2]
    for way, end, (method, path) in zip(ways, ends, TRACES.items(), strict=True):
        style = style_of(method)
        assert (way.get_color(), way.get_linestyle()) == (style["color"], style["linestyle"])
        assert end.get_marker() == style["marker"]
        if method == "L2":  # it ends off the plane
            assert end.get_markerfacecolor() == "none" and end.get_color() == style["color"]
            continue
        assert (end.get_markerfacecolor(), end.get_markeredgecolor()) == (style["color"], "white")
        assert end.get_linestyle() == style["linestyle"]  # the key shows line and mark
        np.testing.assert_allclose([v[0] for v in end.get_data_3d()], [path.x[-1], path.y[-1], min(path.loss["B"][-1], 1.5)])
    assert [v[0] for v in axis.lines[-1].get_data_3d()] == [0, 0, 1.5]  # the loss on B is 2 there


def test_the_figure_is_as_high_as_the_map():
    wide = figures.landscape(surface(), TRACES).figure
    assert wide.get_figheight() == pytest.approx(1.9 + 6 * 6 / 8)
    high = Surface(surface().xs, 4 * surface().ys, surface().loss, surface().accuracy)
    assert figures.landscape(high, TRACES).figure.get_figheight() == pytest.approx(1.9 + 7)


@pytest.mark.parametrize("smallest", [1e-6, 1.5e-6])
def test_the_smallest_level_and_top(smallest):
    assert (
        figures.landscape(surface(), TRACES, level=smallest).alt
        and figures.surface_3d(surface(), TRACES, "A", top=smallest).alt
    )
    for call in (
        lambda v: figures.landscape(surface(), TRACES, level=v),
        lambda v: figures.surface_3d(surface(), TRACES, "A", v),
    ):
        with pytest.raises(ValueError, match="must be a finite number, at least 1e-06"):
            call(0.9e-6)


def test_where_a_loss_is_too_large_for_a_number_the_regions_are_those_without_it():
    far = surface()
    for loss in far.loss.values():
        loss[0, 0], loss[0, 1] = math.nan, math.inf
    axis = figures.landscape(far, TRACES).figure.axes[0]
    usual = figures.landscape(surface(), TRACES).figure.axes[0]
    for filled in (True, False):
        found, expected = contours(axis, filled), contours(usual, filled)
        assert [c.levels.tolist() for c in found] == [c.levels.tolist() for c in expected] and len(found) == 2
    lost = replace(TRACES["EWC"], loss={name: torch.full((3,), math.nan).double() for name in "AB"})
    assert "EWC ends at not finite" in figures.surface_3d(far, {"EWC": lost}, "A").alt


def test_of_three_tasks_the_first_two_are_shown():
    both = surface()
    three = Surface(both.xs, both.ys, *({**named, "C": named["A"]} for named in (both.loss, both.accuracy)))
    picture, usual = figures.landscape(three, TRACES), figures.landscape(both, TRACES)  # no trace has watched C
    assert picture.alt == usual.alt and "Loss of A and B over" in picture.alt
    regions, expected = (len(contours(drawn.figure.axes[0], filled=True)) for drawn in (picture, usual))
    assert regions == expected == 2  # they do not overlap at this level


def test_a_way_that_leaves_the_map_does_not_stretch_it():
    axis = figures.landscape(surface(), {"EWC": trace((30, -30), 0, 1, 1)}).figure.axes[0]
    assert (tuple(axis.get_xlim()), tuple(axis.get_ylim())) == ((-2, 6), (-2, 4))
