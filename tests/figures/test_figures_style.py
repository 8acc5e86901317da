"""One style for all figures: of methods, of names that a user chooses, and whatever the user's own settings are."""

import io

import matplotlib
import numpy as np
import pytest
import torch
from figure_inputs import LINE, SWEEPS, TRACES, W, bowls, history, journeys, run, surface
from matplotlib.artist import getp
from matplotlib.lines import Line2D
from PIL import Image

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


@pytest.mark.parametrize("length", [1, 23, 24])
def test_a_name_of_up_to_24_signs_is_shown_whole_and_a_longer_one_cut(length):
    assert style.plain("n" * length) == "n" * length and style.plain("n" * 23 + "mo") == "n" * 23 + "…"
    assert style.plain("a$b$") == r"a\$b\$"


@pytest.mark.parametrize(("strength", "label"), [(9_999, "9999"), (1e5, "10⁵"), (1.1e4, "11000"), (float("inf"), "inf")])
def test_only_powers_of_ten_from_ten_thousand_on_are_written_as_such(strength, label):
    assert figures.strength_label(strength) == label


def test_a_title_stands_before_the_text():
    assert style.titled("here", "it falls") == "here: it falls" and style.titled("", "it falls") == "it falls"


def test_a_canvas_has_its_axes_from_left_to_right_and_top_to_bottom():
    figure, axes = style.canvas(columns=3, rows=2, width=6, height=4, sharey=True)
    assert (figure.get_figwidth(), figure.get_figheight(), figure.dpi) == (6, 4, 100)
    places = [(a.get_subplotspec().rowspan[0], a.get_subplotspec().colspan[0]) for a in axes]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    axes[0].set_ylim(3, 5)
    assert axes[-1].get_ylim() == (3, 5)
    assert len(style.canvas()[1]) == 1


def test_a_stage_draws_what_moves_on_what_stands_still():
    figure, (axis,) = style.canvas(width=2, height=2)
    axis.axvline(0.5, color="red", lw=3)
    point = axis.plot([], [], "o", ms=30, color="blue", animated=True)[0]
    axis.set(xlim=(0, 1), ylim=(0, 1))
    stage = style.Stage(figure, [point])
    empty = stage.picture("nothing")
    point.set_data([0.2], [0.5])
    left = stage.picture("left")
    point.set_data([], [])
    again = stage.picture("nothing")
    assert again.png == empty.png != left.png and (left.alt, left.figure) == ("left", figure)
    before, after = (np.asarray(Image.open(io.BytesIO(p.png)).convert("RGB")).astype(int) for p in (empty, left))
    assert before.shape == (200, 200, 3)
    red, blue = (lambda a, k=k: (a[..., k] > 200) & (a.sum(-1) < 300) for k in (0, 2))
    assert red(before).any() and red(after).any()  # what stands still is there in both
    assert not blue(before).any() and blue(after)[:, :100].any() and not blue(after)[:, 120:].any()


def test_a_picture_shows_its_figure_with_its_colours():
    figure, (axis,) = style.canvas(width=3, height=2)
    axis.set_facecolor("#0072B2")
    pixels = np.asarray(Image.open(io.BytesIO(style.Picture(figure, "blue").png)).convert("RGB")).astype(int)
    assert pixels.shape == (200, 300, 3)
    assert np.abs(pixels[100, 150] - (0x00, 0x72, 0xB2)).max() < 20 and (pixels[0, 0] > 250).all()


@pytest.mark.parametrize(
    ("names", "width", "columns"),
    [
        ([], 7.0, 4),
        (["A", "B"], 7.0, 4),
        (["n" * 24, "A"], 7.0, 2),
        (["n" * 24 + "\n" + "n" * 30], 7.0, 2),
        (["n" * 60], 3.0, 1),
    ],
)
def test_a_key_has_as_many_columns_as_its_longest_line_leaves_room_for(names, width, columns):
    assert style.key_columns(names, width) == columns
