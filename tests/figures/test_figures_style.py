"""One style for all figures: of methods, of names that a user chooses, and whatever the user's own settings are."""

import matplotlib
import pytest
import torch
from figure_inputs import LINE, SWEEPS, TRACES, W, bowls, history, journeys, run, surface
from matplotlib.artist import getp
from matplotlib.lines import Line2D

from cl_teach import figures
from cl_teach.figures import style

POINT = torch.tensor([1.0, 0.5])
BY_METHOD = {  # method names -> a picture of them; each figure that knows methods
    "frontier": lambda *names: figures.frontier(dict.fromkeys(names, SWEEPS["EWC"])),
    "strength_frame": lambda *names: figures.strength_frame(dict.fromkeys(names, SWEEPS["EWC"]), names[0], 1e4),
    "sequence": lambda *names: figures.sequence({name: run(0.7) for name in names}),
    "landscape": lambda *names: figures.landscape(surface(), dict.fromkeys(names, TRACES["EWC"])),
    "Journeys": lambda *names: figures.Journeys(surface(), {(name, 1): TRACES["EWC"] for name in names})(names[0], 1, 20),
    "two_weight_surface": lambda *names: figures.two_weight_surface(
        W, W, bowls(), *[dict.fromkeys(names, value) for value in (POINT, POINT[None])], rings={names[0]: POINT[None]}
    ),
    "surface_3d": lambda *names: figures.surface_3d(surface(), dict.fromkeys(names, TRACES["EWC"]), "A"),
}


def drawn(figure, label: str) -> tuple[object, set[object]]:
    """Marker and colours of what has this label."""
    marks = [line for line in figure.findobj(Line2D) if line.get_label() == label]
    parts = ("color", "markeredgecolor", "markerfacecolor")
    return marks[0].get_marker(), {getp(line, part) for line in marks for part in parts if isinstance(getp(line, part), str)}


@pytest.mark.parametrize("name", BY_METHOD)
def test_a_method_that_a_user_names_is_drawn_under_its_name(name):
    mine, theirs = "my method", "their method"
    picture = BY_METHOD[name](mine, theirs)
    assert mine in picture.alt and picture.png.startswith(b"\x89PNG")
    legends = picture.figure.legends + [axis.get_legend() for axis in picture.figure.axes if axis.get_legend()]
    assert {mine, theirs} <= {text.get_text() for legend in legends for text in legend.get_texts()}
    for shown in (picture, BY_METHOD[name](theirs, mine)):  # in whatever order
        for method in (mine, theirs):
            marker, colors = drawn(shown.figure, method)
            assert marker == style.style_of(method)["marker"] and style.style_of(method)["color"] in colors


@pytest.mark.parametrize("name", BY_METHOD)
def test_a_name_is_no_formula(name):
    method = r"$\foo$, which is quite a long name for a method"
    picture = BY_METHOD[name](method, "EWC")
    assert method in picture.alt and len(picture.png) > 2_000


def test_names_of_the_user_s_have_styles_of_their_own_and_keep_them():
    names = [f"method {k}" for k in range(40)]
    styles = [style.style_of(name) for name in names]
    looks = {(s["color"], s["marker"], s["linestyle"]) for s in styles}
    assert len(looks) == len(names) and [s["label"] for s in styles] == names
    assert [style.style_of(name) for name in reversed(names)] == styles[::-1]
    known = {value for method in figures.METHODS.values() for value in (method["color"], method["marker"])}
    assert not known & {value for s in styles for value in (s["color"], s["marker"])}


def test_known_methods_differ_in_colour_and_marker_and_line():
    assert style.style_of("OnlineEWC") == style.style_of("online EWC")
    known = {name: style.style_of(name) for name in figures.METHODS if name != "OnlineEWC"}
    assert set(known) == {"none", "L2", "EWC", "online EWC", "LatestEWC", "SI", "MAS", "joint"}
    for part in ("color", "marker", "linestyle", "label"):
        assert len({method[part] for method in known.values()}) == len(known)


def test_figures_neither_take_nor_change_the_user_s_settings():
    draw = [
        lambda: figures.learning_curves(history(), 0.8),
        lambda: figures.slices({"there": LINE}),
        lambda: journeys()("L2", 10, 10),
        *(lambda name=name: BY_METHOD[name]("L2", "EWC") for name in BY_METHOD),
    ]
    usual = [picture().png for picture in draw]
    others = {"figure.constrained_layout.use": False, "figure.dpi": 50, "legend.frameon": True, "lines.linewidth": 7}
    assert others.keys() == style._RC.keys()
    with matplotlib.rc_context(others):
        before = dict(matplotlib.rcParams)
        assert [picture().png for picture in draw] == usual
        assert dict(matplotlib.rcParams) == before


def test_same_drawing_same_bytes():
    assert figures.frontier(SWEEPS).png == figures.frontier(SWEEPS).png


def test_picture_is_saved(tmp_path):
    picture = figures.frontier(SWEEPS)
    picture.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture.png


@pytest.mark.parametrize(
    ("strength", "label"), [(0, "0"), (0.03, "0.03"), (1e3, "1000"), (1e4, "10⁴"), (1e12, "10¹²"), (25_000, "25000")]
)
def test_strength_label(strength, label):
    assert figures.strength_label(strength) == label


@pytest.mark.parametrize(("lowest", "limits"), [(0.0, (0.0, 1.0)), (0.03, (0.0, 1.0)), (0.3, (0.25, 1.0)), (0.95, (0.9, 1.0))])
@pytest.mark.parametrize(("which", "other"), ["xy", "yx"])
def test_an_axis_of_accuracies_ends_at_one_and_begins_a_little_below_the_lowest(which, other, lowest, limits):
    _, (axis,) = style.canvas()
    before = getp(axis, f"{other}lim")
    style.accuracy_axis(axis, which, lowest)
    assert getp(axis, f"{which}lim") == pytest.approx(limits) and getp(axis, f"{other}lim") == before
    assert getattr(axis, f"{which}axis").get_major_formatter()(0.25) == "25 %"
