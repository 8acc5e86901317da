import io
import time
from dataclasses import replace

import numpy as np
import pytest
from figure_inputs import TRACES, has_points, is_good, journeys, key, labelled, only_a, says, surface, trace
from matplotlib.colors import to_hex
from PIL import Image

from cl_teach import figures
from cl_teach.figures.style import REGIONS, TASKS, style_of
from cl_teach.landscapes import Surface

RUNS = {  # all from (0.5, -1); L2 leaves the plane
    key: replace(way, x=way.x + 0.5, y=way.y - 1)
    for key, way in {
        ("none", 0): TRACES["none"],
        ("L2", 1): TRACES["L2"],
        ("EWC", 1): TRACES["EWC"],
        ("EWC", 100): trace((2, 1), 0, 0.3, 0.7),
    }.items()
}
every_frame = pytest.mark.parametrize(("method", "strength", "at"), [(*key, at) for key in RUNS for at in range(3)])


@pytest.fixture(scope="module")
def axes_of():
    """(method, strength, index of the step) -> landscape, bars and plane of accuracies of that frame."""
    frames = figures.Journeys(surface(), RUNS)
    return lambda method, strength, at: frames(method, strength, 10 * at).figure.axes


def accuracies(run, at):
    return [float(run.accuracy[name][at]) for name in "AB"]


def test_journey():
    is_good(journeys()("L2", 10, 10), ["L2, λ = 10, after 10 steps on B", "A 71 %", "1.0 off the plane"])


def test_a_journey_shows_every_run_at_every_step():
    frames = journeys()
    seen = {(m, s, step): frames(m, s, step) for m in ("none", "L2", "EWC") for s in (0, 10) for step in frames.steps}
    assert frames.steps == [0, 10, 20]
    assert len({picture.png for picture in seen.values()}) == len({picture.alt for picture in seen.values()}) == len(seen) == 18
    assert all(picture.png.startswith(b"\x89PNG") and len(picture.png) <= 60 * 1024 for picture in seen.values())
    again = frames("EWC", 10, 20)  # what other frames drew in between has left no mark
    assert again.png == seen["EWC", 10, 20].png


def test_a_frame_takes_less_than_its_figure():
    """One picture that draws only what moves against one that draws everything, in turn."""
    frames, ratios = journeys(), []
    for step in (0, 10, 20):
        start = time.perf_counter()
        figures.landscape(surface(), TRACES).png  # noqa: B018
        whole = time.perf_counter() - start
        frames("EWC", 10, step)
        ratios.append((time.perf_counter() - start - whole) / whole)
    assert sorted(ratios)[1] < 0.5


@every_frame
def test_the_way_ends_where_the_step_is_and_is_hollow_off_the_plane(axes_of, method, strength, at):
    run, style = RUNS[method, strength], style_of(method)
    start, way, point = axes_of(method, strength, at)[0].lines
    assert start.get_color() == "black"
    has_points(start, 0.5, -1)
    has_points(way, run.x[: at + 1], run.y[: at + 1])
    has_points(point, run.x[at], run.y[at])
    assert (way.get_color(), way.get_linestyle()) == (style["color"], style["linestyle"])
    assert (point.get_marker(), point.get_markeredgecolor()) == (style["marker"], style["color"])
    assert point.get_markerfacecolor() == ("white" if method == "L2" and at > 0 else style["color"])


@every_frame
def test_the_note_tells_the_step_and_the_true_losses(axes_of, method, strength, at):
    run = RUNS[method, strength]
    rule = f"{style_of(method)['label']}, λ = {strength}{' does nothing' if method == 'none' else ''}, step {10 * at}"
    off = f"; {float(at)} off the plane" if method == "L2" and at > 0 else ""
    losses = ", ".join(f"{name} {float(run.loss[name][at]):.2f}" for name in "AB")
    assert axes_of(method, strength, at)[0].texts[-1].get_text() == f"{rule}\ntrue loss: {losses}{off}"


@every_frame
def test_bars_are_as_long_as_the_accuracies(axes_of, method, strength, at):
    bars, now = axes_of(method, strength, at)[1], accuracies(RUNS[method, strength], at)
    assert [bar.get_width() for bar in bars.patches] == now
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars.patches] == list(REGIONS)
    assert [number.get_text() for number in bars.texts] == [f"{n}: {100 * a:.0f} %" for n, a in zip("AB", now, strict=True)]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in bars.patches]
    assert [middle - number.get_position()[1] for middle, number in zip(middles, bars.texts, strict=True)] == pytest.approx(
        [0.28, 0.28]  # above the bar, whose half height is 0.2
    )
    assert [bar.get_height() for bar in bars.patches] == [0.4, 0.4]
    assert bars.get_xlim() == (0, 1)


@every_frame
def test_the_spot_stands_at_accuracy_on_a_and_on_b_beside_all_ends(axes_of, method, strength, at):
    plane = axes_of(method, strength, at)[2]
    mark, ring = plane.lines[-2:]
    for part in (mark, ring):
        has_points(part, *accuracies(RUNS[method, strength], at))
    style = style_of(method)
    assert (mark.get_marker(), mark.get_markerfacecolor(), ring.get_marker()) == (style["marker"], style["color"], "o")
    assert ring.get_markersize() > mark.get_markersize() + 6  # or it would hide what it points at
    ends = [accuracies(RUNS["EWC", strength], -1) for strength in (1, 100)]
    has_points(labelled(plane, "EWC"), *zip(*ends, strict=True))
    has_points(labelled(plane, "no penalty"), *accuracies(RUNS["none", 0], -1))


def test_names_of_tasks_are_shown_as_they_are():
    name = r"$\foo$, which is quite a long name for a task"
    both = surface()
    renamed = Surface(
        both.xs, both.ys, {name: both.loss["A"], "B": both.loss["B"]}, {name: both.loss["A"], "B": both.loss["B"]}
    )
    loss = {name: TRACES["EWC"].loss["A"], "B": TRACES["EWC"].loss["B"]}
    path = replace(TRACES["EWC"], loss=loss, accuracy=loss)
    assert name in figures.landscape(renamed, {"EWC": path}).alt
    picture = figures.Journeys(renamed, {("EWC", 1): path})("EWC", 1, 20)
    assert name in picture.alt and len(picture.png) > 2_000


def test_the_frontier_joins_strengths_in_order():
    ends = {strength: trace((1, 3), 0, a, 0.5) for strength, a in ((100, 0.3), (1, 0.9), (10, 0.6))}
    frames = figures.Journeys(surface(), {("EWC", strength): t for strength, t in ends.items()})
    line = frames("EWC", 1, 20).figure.axes[2].lines[0]
    assert (line.get_marker(), line.get_linestyle()) == ("o", "-")
    assert list(line.get_xdata()) == sorted(1 / (1 + a) for a in (0.3, 0.6, 0.9))


def test_methods_stand_in_the_order_of_the_table_and_names_of_the_user_s_behind_them():
    frames = figures.Journeys(surface(), {(method, 1): TRACES["EWC"] for method in ("mine", "EWC", "theirs", "L2")})
    assert key(frames("mine", 1, 20))[-4:] == ["L2", "EWC", "mine", "theirs"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.Journeys(only_a(), {("EWC", 1): TRACES["EWC"]}), "losses of two tasks, got A only"),
        (lambda: figures.Journeys(surface(), {}), "traces must hold at least one"),
        (
            lambda: figures.Journeys(surface(), {("L2", 0): TRACES["L2"], ("EWC", 0): replace(TRACES["EWC"], steps=[0, 1, 2])}),
            r"traces must have the same steps, got \[0, 10, 20\] and \[0, 1, 2\]",
        ),
        (lambda: journeys()("L2", 3, 10), r"no path of L2 with strength 3; there are .*10"),
        (lambda: journeys()("L2", 10, 11), r"step must be one of \[0, 10, 20\], got 11"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_landscape_stands_beside_the_bars_which_stand_above_the_plane():
    figure = journeys()("L2", 10, 10).figure
    land, bars, plane = (axis.get_subplotspec() for axis in figure.axes)
    assert (list(land.rowspan), list(land.colspan)) == ([0, 1], [0])
    assert (list(bars.rowspan), list(bars.colspan)) == ([0], [1])
    assert (list(plane.rowspan), list(plane.colspan)) == ([1], [1])


def test_every_axis_says_what_it_shows():
    frames = figures.Journeys(surface(), RUNS)
    frame = frames("EWC", 100, 20)
    land, bars, plane = frame.figure.axes
    assert (land.get_xlabel(), land.get_ylabel()) == ("distance along the plane's first axis", "distance along its second axis")
    assert says(bars) == ("", "", "test accuracy now", [])
    assert says(plane) == ("accuracy on A (from 31 % on)", "accuracy on B", "ends for all λ; in the ring: this step", [])
    assert plane.get_xlim()[0] == pytest.approx(1 / 2.8 - 0.05)
    assert key(frame) == ["A: loss below 0.5", "B: loss below 0.5", "no penalty", "L2", "EWC"]  # no point lies in both
    assert land.get_title() == " \n "  # room for the note of two lines
    note = land.texts[-1]
    assert note.get_transform() == land.transAxes and note.get_position()[0] == 0.5 and note.get_position()[1] > 1


def test_the_plane_of_accuracies_has_room_for_every_step_of_every_run():
    early = replace(
        RUNS["EWC", 100], accuracy={name: RUNS["EWC", 100].accuracy[name] - lower for name, lower in (("A", 0.4), ("B", 0.0))}
    )
    plane = figures.Journeys(surface(), RUNS | {("EWC", 100): early})("EWC", 1, 0).figure.axes[2]
    lowest = min(float(run.accuracy["A"].min()) for run in (*RUNS.values(), early))
    assert tuple(plane.get_xlim()) == pytest.approx((max(0, lowest - 0.05), 1)) and tuple(plane.get_ylim()) == (0, 1)


def test_a_is_the_upper_bar_with_the_edge_of_its_lines_and_the_spot_is_a_ring():
    _, bars, plane = figures.Journeys(surface(), RUNS)("EWC", 1, 20).figure.axes
    low, high = bars.get_ylim()
    upper, lower = bars.patches
    middles = [bar.get_y() + bar.get_height() / 2 for bar in (upper, lower)]
    assert middles == pytest.approx([0, 1]) and high < -0.6 and low > 1.2  # A above B, and both whole
    assert len(bars.get_yticks()) == 0
    assert [to_hex(bar.get_edgecolor()).upper() for bar in bars.patches] == [style["color"] for style in TASKS]
    assert all(0 < number.get_position()[0] < 0.1 for number in bars.texts)
    ring = plane.lines[-1]
    assert (ring.get_markerfacecolor(), ring.get_markeredgecolor(), ring.get_linestyle()) == ("none", "black", "None")


def test_the_end_of_the_way_is_told_in_words():
    frames = figures.Journeys(surface(), RUNS, level=0.5)
    words = "accuracy A 71 %, B 69 %; true losses A 0.40, B 0.45, in both regions."
    assert frames("EWC", 1, 20).alt == f"EWC, λ = 1, after 20 steps on B: {words}"
    words = "accuracy A 36 %, B 83 %; true losses A 1.80, B 0.20, in B's region only."
    assert frames("none", 7, 20).alt == f"no penalty, λ = 7 does nothing, after 20 steps on B: {words}"
    assert frames("L2", 1, 20).alt.endswith("outside A and B; 2.0 off the plane.")
    strict = figures.Journeys(surface(), RUNS, level=0.42)
    assert strict("EWC", 1, 20).alt.endswith("in A's region only.")


def test_without_a_run_of_none_there_is_no_path_of_none():
    frames = figures.Journeys(surface(), {("EWC", 1): TRACES["EWC"], ("EWC", 1e4): TRACES["EWC"]})
    with pytest.raises(ValueError, match=r"there is no path of none with strength 0; there are EWC 1, EWC 10⁴$"):
        frames("none", 0, 10)
    assert frames("EWC", 1, 10).figure.axes[2].lines[0].get_label() == "EWC"


@pytest.mark.parametrize("first", [("EWC", 1, 20), ("L2", 1, 0)])
def test_a_frame_of_the_bars_is_what_a_whole_drawing_gives(first):
    frames = figures.Journeys(surface(), RUNS)
    frames(*first)
    shown = frames("EWC", 100, 10)
    figure, bars = shown.figure, shown.figure.axes[1]
    for artist in figure.findobj(lambda found: found.get_animated()):
        artist.set_animated(False)
    whole = figures.Picture(figure, "").png
    frame, expected = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int) for png in (shown.png, whole))
    left, low, right, high = (round(v) for v in bars.get_window_extent().extents)
    part = slice(len(frame) - high + 2, len(frame) - low - 2), slice(left + 2, right - 2)
    assert np.abs(frame[part] - expected[part]).max() < 30 and np.ptp(expected[part]) > 100
