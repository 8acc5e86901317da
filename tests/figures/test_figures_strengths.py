import math

import pytest
from figure_inputs import LESSON_2, STEPS, SWEEPS, has_points, is_good, is_upright_at, key, labelled, says

import cl_teach as cl
from cl_teach import figures
from cl_teach.figures.style import TASKS, style_of
from cl_teach.sweeps import Result


def test_frontier():
    is_good(figures.frontier(SWEEPS, (0.9, 0.88)), ["EWC is best at lambda 10000 with A 85 %, B 80 %", "A 90 %"])


def test_one_strength():
    is_good(figures.strength_frame(SWEEPS, "L2", 0.1), ["L2 with lambda 0.1", "A 60 %", "B 70 %"])


def test_stability():
    steps = {"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}
    is_good(figures.stability(steps, 50), ["10 %", "70 %", "50"])


def test_accuracies_below_the_lowest_take_no_room():
    axis = figures.frontier({"EWC": {0: (0.3, 0.9), 1: (0.8, 0.7)}}).figure.axes[0]
    assert (axis.get_xlim(), axis.get_ylim()) == ((0.25, 1.0), (0.25, 1.0)) and axis.get_aspect() == 1  # one scale for both


def test_a_frontier_has_a_on_x_and_b_on_y_in_the_order_of_strengths():
    axis = figures.frontier(SWEEPS, (0.9, 0.88)).figure.axes[0]
    for k, (method, x, y) in enumerate([("L2", (0.2, 0.6), (0.9, 0.7)), ("EWC", (0.2, 0.85), (0.9, 0.8))]):
        has_points(axis.lines[k], x, y)
        assert (axis.lines[k].get_label(), axis.lines[k].get_marker()) == (method, style_of(method)["marker"])
    has_points(labelled(axis, "joint training"), 0.9, 0.88)


def test_the_best_strength_has_the_highest_sum_of_both():
    sweep = {0: (0.3, 0.95), 1: (0.8, 0.7), 10: (0.99, 0.2)}
    assert "EWC is best at lambda 1 with A 80 %, B 70 %" in figures.frontier({"EWC": sweep}).alt


@pytest.mark.parametrize(("method", "strength", "place"), [("L2", 0, 0), ("L2", 0.1, 1), ("EWC", 1e4, 1)])
def test_one_strength_is_marked_in_both_panels(method, strength, place):
    left, right = figures.strength_frame(SWEEPS, method, strength).figure.axes
    a, b = zip(*SWEEPS[method].values(), strict=True)
    has_points(labelled(left, "task A"), [0, 1], a)
    has_points(labelled(left, "task B"), [0, 1], b)
    is_upright_at(left.lines[-1], place)
    assert [text.get_text() for text in left.get_xticklabels()] == [figures.strength_label(s) for s in SWEEPS[method]]
    mark, ring = right.lines[-2:]
    has_points(mark, *SWEEPS[method][strength])
    has_points(ring, *SWEEPS[method][strength])
    assert (mark.get_marker(), ring.get_marker()) == (style_of(method)["marker"], "o")
    assert right.get_title() == f"in the ring: {method}, λ = {figures.strength_label(strength)}"
    has_points(labelled(right, method), a, b)


def test_both_kinds_of_step_and_the_limit_of_one():
    axis = figures.stability({"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.75, 99: 0.7}}, 50).figure.axes[0]
    has_points(labelled(axis, "gradient step"), [10, 99], [0.8, 0.1])
    has_points(labelled(axis, "proximal step"), [10, 99], [0.75, 0.7])
    is_upright_at(axis.lines[-1], 50)
    assert {(note.get_text(), note.xy) for note in axis.texts} == {("λ = 10: 80 %", (10, 0.8)), ("λ = 99: 10 %", (99, 0.1))}


def swept(methods: tuple[str, ...] = ("L2", "EWC")) -> cl.Sweep:
    """The results of ``SWEEPS`` of these methods; of two seeds, 0.02 apart."""
    sweep = cl.Sweep(("L2", "EWC"), {method: tuple(map(float, SWEEPS[method])) for method in SWEEPS}, (0, 1))
    for method in methods:
        for strength, pair in SWEEPS[method].items():
            for seed, gap in ((0, 0.01), (1, -0.01)):
                a, b = (cl.Evaluation(1.0, value + gap) for value in pair)
                sweep.results[method, float(strength), seed] = Result(a, b, 1.0, {}, {}, cl.History())
    return sweep


def test_a_sweep_is_drawn_as_it_is():
    for draw in (figures.frontier, lambda given: figures.strength_frame(given, "L2", 0.1)):
        picture = draw(swept())
        assert picture.png == draw(SWEEPS).png and picture.alt == draw(SWEEPS).alt


def test_of_an_interrupted_sweep_what_is_done_is_drawn():
    picture = figures.frontier(swept(methods=("EWC",)))
    assert [line.get_label() for line in picture.figure.axes[0].lines if line.get_label()[0] != "_"] == ["EWC"]
    with pytest.raises(ValueError, match=r"sweeps must hold at least one result.* got none of L2, EWC"):
        figures.frontier(swept(methods=()))


def test_what_was_not_measured_is_a_gap_and_the_limits_stay():
    gaps = {"EWC": {1.0: (0.5, 0.6), 2.0: (math.nan, 0.9), 3.0: (0.7, math.nan)}, "L2": {1.0: (math.nan, math.nan)}}
    picture = figures.frontier(gaps)
    axis = picture.figure.axes[0]
    assert (*axis.get_xlim(), *axis.get_ylim()) == pytest.approx((0.45, 1.0, 0.45, 1.0))
    assert "EWC is best at lambda 1 with A 50 %, B 60 %; L2 was not measured" in picture.alt
    has_points(labelled(axis, "EWC"), [0.5, math.nan, 0.7], [0.6, 0.9, math.nan])
    assert "task A nothing measured, task B 90 %" in figures.strength_frame(gaps, "EWC", 2.0).alt
    lost = figures.frontier({"L2": gaps["L2"]}).figure.axes[0]
    assert (lost.get_xlim(), lost.get_ylim()) == ((0.0, 1.0), (0.0, 1.0))


def test_a_name_that_begins_with_a_dash_is_in_the_legend_all_the_same():
    assert key(figures.frontier({"_mine": SWEEPS["EWC"], "$x$": SWEEPS["L2"]})) == [" _mine", r"\$x\$"]


def test_one_kind_of_step_and_no_limit():
    axis = figures.stability({"gradient": {10: 0.8, 99: math.nan}}, math.inf).figure.axes[0]
    assert len(axis.lines) == 1 and not axis.texts


def test_every_axis_says_what_it_shows():
    on_a, on_b, methods = "test accuracy on task A", "test accuracy on task B", ["L2", "EWC", "joint training"]
    picture = figures.frontier(SWEEPS, (0.9, 0.88))
    assert says(picture.figure.axes[0]) == (on_a, on_b, "", []) and key(picture) == methods
    assert picture.figure.legends[0].get_title().get_text() == "numbers: λ"
    frame = figures.strength_frame(SWEEPS, "L2", 0.1, joint=(0.9, 0.88))
    left, right = frame.figure.axes
    assert says(left) == ("strength λ of L2", "test accuracy", "", ["task A", "task B"])
    assert frame.figure.legends[0].get_title().get_text() == "numbers: λ"
    assert says(right) == (on_a, on_b, "in the ring: L2, λ = 0.1", []) and key(frame) == [*methods, "task A", "task B"]
    steps = {"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}
    picture = figures.stability(steps, 50)
    axis = picture.figure.axes[0]
    assert says(axis) == ("strength λ (log scale)", "mean accuracy on A and B", "", [])
    limit = "limit of the gradient step, 2 (1 + momentum) / (lr · max F) = 50"
    assert key(picture) == ["gradient step", "proximal step", limit]
    assert axis.get_xscale() == "log" and tuple(axis.get_ylim()) == (0, 1)
    assert axis.lines[-1].get_linestyle() == ":"
    assert [(line.get_marker(), line.get_linestyle()) for line in axis.lines[:2]] == [("X", "--"), ("o", "-")]


def test_a_frame_names_the_strengths_of_its_method_beside_its_points():
    apart = {"L2": {0: (0.4, 0.9), 0.1: (0.6, 0.6), 10: (0.9, 0.4)}, "EWC": {1: (0.8, 0.8)}}
    right = figures.strength_frame(apart, "L2", 0.1).figure.axes[1]
    assert {text.get_text(): text.xy for text in right.texts} == {"0": (0.4, 0.9), "0.1": (0.6, 0.6), "10": (0.9, 0.4)}
    assert {text.get_color() for text in right.texts} == {style_of("L2")["color"]}


def test_a_frontier_joins_its_marks_in_the_style_of_the_method():
    axis = figures.frontier(SWEEPS, (0.9, 0.88)).figure.axes[0]
    for k, method in enumerate(SWEEPS):
        line, style = axis.lines[k], style_of(method)
        assert (line.get_color(), line.get_linestyle(), line.get_marker()) == (
            style["color"], style["linestyle"], style["marker"],
        )  # fmt: skip
    star = labelled(axis, "joint training")
    assert (star.get_marker(), star.get_color()) == ("*", "black")
    for which, other in ((axis.xaxis, 0.15), (axis.yaxis, 0.15)):
        ticks = [tick for tick in which.get_majorticklocs() if other <= tick <= 1]
        assert 3 <= len(ticks) <= 6 and which.get_major_formatter()(0.5) == "50 %"


def test_one_strength_is_a_ring_on_the_frontier_and_a_line_of_the_method_s_colour():
    left, right = figures.strength_frame(SWEEPS, "EWC", 1e4, joint=(0.9, 0.88)).figure.axes
    mark, ring = right.lines[-2:]
    assert (mark.get_markerfacecolor(), mark.get_markeredgecolor()) == (style_of("EWC")["color"], "black")
    assert ring.get_markersize() > mark.get_markersize() + 6  # or it would hide what it points at
    assert (ring.get_markerfacecolor(), ring.get_markeredgecolor()) == ("none", "black")
    assert left.lines[-1].get_color() == style_of("EWC")["color"] and tuple(left.get_ylim()) == (0, 1)
    assert [labelled(left, f"task {name}").get_marker() for name in "AB"] == ["o", "D"]
    for name, style in zip("AB", TASKS, strict=True):
        line = labelled(left, f"task {name}")
        assert (line.get_color(), line.get_linestyle()) == (style["color"], style["linestyle"])


def test_without_joint_training_nothing_is_said_of_it():
    alt = figures.frontier({"EWC": {0: (0.3, 0.95), 10: (0.99, 0.2)}}).alt
    assert alt.endswith("EWC is best at lambda 0 with A 30 %, B 95 %.")
    steps = {"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}
    ends = "the gradient step ends at 10 %; the proximal step ends at 70 %; its limit is 50."
    assert figures.stability(steps, 50).alt == f"Mean accuracy over lambda up to 99: {ends}"


def test_accuracies_of_the_two_kinds_of_step_are_told_in_percent():
    axis = figures.stability({"gradient": {10: 0.8}, "proximal": {10: 0.8}}, 50).figure.axes[0]
    assert axis.yaxis.get_major_formatter()(0.8) == "80 %"


def test_joint_training_is_told_with_both_accuracies():
    assert figures.frontier(SWEEPS, (0.9, 0.88)).alt.endswith("; joint training reaches A 90 %, B 88 %.")


def test_its_strength_stands_beside_each_point_of_a_frontier():
    axis = figures.frontier({"L2": LESSON_2}, (0.88, 0.89)).figure.axes[0]
    notes = {note.get_text(): note.xy for note in axis.texts if note.get_text()}
    assert notes == {figures.strength_label(strength): pair for strength, pair in LESSON_2.items()}
    assert {note.get_color() for note in axis.texts} == {style_of("L2")["color"]}


def test_where_there_is_no_room_for_a_strength_it_is_left_out():
    crowd = {10.0**k: (0.88 + 0.0004 * k, 0.88) for k in range(60)}
    picture = figures.frontier({"EWC": crowd})
    assert 5 < len([note for note in picture.figure.axes[0].texts if note.get_text()]) < 60


def test_the_points_beside_the_limit_say_where_the_cliff_is():
    axis = figures.stability(STEPS, 880.0).figure.axes[0]
    assert {(note.get_text(), note.xy) for note in axis.texts if note.get_text()} == {
        ("λ = 800: 86 %", (800, 0.865)), ("λ = 900: 9 %", (900, 0.09)),
    }  # fmt: skip
    at_limit = figures.stability({"gradient": {10: 0.8, 50: 0.7, 99: 0.1}}, 50).figure.axes[0]
    assert {note.xy[0] for note in at_limit.texts if note.get_text()} == {50, 99}  # the limit itself is still stable
    above = figures.stability({"gradient": {99: 0.1}}, 50).figure.axes[0]
    assert [note.xy[0] for note in above.texts if note.get_text()] == [99]
