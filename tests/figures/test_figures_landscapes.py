import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from figure_inputs import TRACES, T, contours, has_points, is_good, labelled, only_a, surface, trace
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.text import Annotation
from mpl_toolkits.mplot3d import Axes3D

from cl_teach import figures
from cl_teach.figures.landscapes import BOTH, TRUE_LOSS, hollow
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
    is_good(figures.surface_3d(surface(), TRACES, "A"), ["Loss on A", "EWC ends at 0.40", "L2 (off the plane) ends at 0.60"])


def test_colour_of_a_point_is_its_true_loss_and_it_is_hollow_off_the_plane():
    figure = figures.landscape(surface(), TRACES).figure
    ends = {line.get_label(): line for line in figure.axes[0].lines if line.get_label() in ("no penalty", "L2", "EWC")}
    assert to_hex(ends["L2"].get_markerfacecolor()) == "#ffffff"
    faces = {name: to_hex(ends[name].get_markerfacecolor()) for name in ("no penalty", "EWC")}
    top = to_hex(TRUE_LOSS(1.0))
    assert faces["no penalty"] == top and faces["EWC"] not in (top, "#ffffff")
    assert figure.axes[0].get_aspect() == 1.0


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
    assert [text.get_text() for text in legend.get_texts()][:3] == ["A: loss below 0.9", "B: loss below 0.9", "both"]
    assert [to_hex(handle.get_facecolor()) for handle in legend.legend_handles[:3]] == colors


def test_a_point_is_hollow_from_a_fifth_of_its_distance_off_the_plane():
    share = torch.tensor([0.0, 0.19, 0.199, 0.201, 0.21]).double()  # of a distance of 1, save at the start
    x = (share > 0) * (1 - share**2).sqrt()
    away = replace(TRACES["EWC"], steps=list(range(5)), x=x, y=0 * x, residual=share, loss={}, accuracy={})
    assert hollow(away).tolist() == [False, False, False, True, True]


def test_a_way_has_its_points_and_each_the_colour_of_its_true_loss():
    axis = figures.landscape(surface(), {"EWC": WAY}).figure.axes[0]
    way, end, start = axis.lines
    (dots,) = [found for found in axis.collections if isinstance(found, PathCollection)]
    has_points(way, WAY.x, WAY.y)
    has_points(end, 5, 1)
    has_points(start, 1, -1)
    assert dots.get_offsets().tolist() == [[2, 0], [3, 2]]
    of_loss = [to_hex(TRUE_LOSS((loss - 0.2) / (1.0 - 0.2))) for loss in WAY.loss["A"].tolist()]
    faces = [start.get_markerfacecolor(), *dots.get_facecolor(), end.get_markerfacecolor()]
    assert [to_hex(face) for face in faces] == of_loss
    assert {(note.get_text(), note.xy) for note in axis.texts if isinstance(note, Annotation)} == {
        (THETA_A, (1, -1)),
        ("EWC", (5, 1)),
    }


def test_dots_off_the_plane_are_hollow_with_an_edge_of_the_colour_of_their_loss():
    axis = figures.landscape(surface(), {"L2": TRACES["L2"]}).figure.axes[0]
    (dots,) = [found for found in axis.collections if isinstance(found, PathCollection)]
    assert to_hex(dots.get_facecolor()[0]) == "#ffffff"
    assert to_hex(dots.get_edgecolor()[0]) == to_hex(TRUE_LOSS((0.4 - 0.2) / (1.0 - 0.2)))


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
    np.testing.assert_allclose(off_way.get_data_3d()[2], TRACES["L2"].loss[name].clamp(max=top))
    end, off_end, start = (labelled(axis, label) for label in ("EWC", "L2 (off the plane)", THETA_A))
    np.testing.assert_allclose(np.ravel(end.get_data_3d()), (5, 1, heights[-1]))
    np.testing.assert_allclose(np.ravel(start.get_data_3d()), (1, -1, heights[0]))
    assert off_end.get_markerfacecolor() == "white" and end.get_markerfacecolor() == style_of("EWC")["color"]


def test_a_path_that_diverged_leaves_the_others_their_colours():
    lost = replace(TRACES["L2"], loss={name: torch.tensor([2.0, 1e30, math.nan]).double() for name in "AB"})
    picture = figures.landscape(surface(), {"EWC": TRACES["EWC"], "L2": lost})
    alone = figures.landscape(surface(), {"EWC": TRACES["EWC"]})
    assert "true losses A not finite, B not finite" in picture.alt
    for drawn, top in ((picture, 2.0), (alone, 1.0)):  # the scale ends at twice the level, or at the highest loss on the map
        (end,) = [line for line in drawn.figure.axes[0].lines if line.get_label() == "EWC"]
        assert to_hex(end.get_markerfacecolor()) == to_hex(TRUE_LOSS((0.4 - 0.2) / (top - 0.2)))


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
