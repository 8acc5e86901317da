import math
from dataclasses import replace

import pytest
import torch
from figure_inputs import TRACES, T, is_good, only_a, surface, trace
from matplotlib.colors import to_hex

from cl_teach import figures
from cl_teach.figures.landscapes import TRUE_LOSS
from cl_teach.landscapes import Surface


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


def test_a_path_that_diverged_leaves_the_others_their_colours():
    lost = replace(TRACES["L2"], loss={name: torch.tensor([2.0, 1e30, math.nan]).double() for name in "AB"})
    picture = figures.landscape(surface(), {"EWC": TRACES["EWC"], "L2": lost})
    alone = figures.landscape(surface(), {"EWC": TRACES["EWC"]})
    assert "true losses A nan, B nan" in picture.alt
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
        (lambda: figures.landscape(surface(), {"EWC": replace(TRACES["EWC"], loss={"A": T})}), "EWC.* must have watched A, B"),
        (lambda: figures.surface_3d(surface(), TRACES, "A", top=-1.0), "top must be"),
        (lambda: figures.surface_3d(surface(), TRACES, "C"), "name must be one of 'A', 'B', got 'C'"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
