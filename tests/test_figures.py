"""Every figure draws, is small, is the same twice, and its text says what it shows."""

import base64
import math
import time
from dataclasses import replace

import pytest
import torch
from matplotlib.colors import to_hex

import cl_teach as cl
from cl_teach import figures
from cl_teach.landscapes import Line, Surface, Trace
from cl_teach.training import Evaluation, History, Run

W = torch.linspace(-1, 2, 31)
A, B = cl.two_weight_tasks(n=50)
LOSSES = {task.name: cl.landscapes.two_weight_losses(task.train, W, W) for task in (A, B)}
STEPS = {"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}
SWEEPS = {"L2": {0: (0.2, 0.9), 0.1: (0.6, 0.7)}, "EWC": {0: (0.2, 0.9), 1e4: (0.85, 0.8)}}


def history() -> History:
    watched = {"A": [Evaluation(1.0, 0.9), Evaluation(2.0, 0.3)], "B": [Evaluation(2.0, 0.1), Evaluation(1.0, 0.8)]}
    return History(loss=[1.0], steps=[0, 10], watched=watched)


def run(last: float) -> Run:
    accuracy = torch.tensor([[0.9, torch.nan], [last, 0.8]], dtype=torch.float64)
    return Run(accuracy, accuracy.clone(), histories=[history(), history()])


def surface() -> Surface:
    """A's minimum at (0, 0), B's at (4, 0); lower along y for A."""
    xs, ys = torch.linspace(-2, 6, 9).double(), torch.linspace(-2, 4, 7).double()
    x, y = xs[None], ys[:, None]
    loss = {"A": 0.2 + 0.1 * x**2 + 0.01 * y**2, "B": 0.2 + 0.1 * (x - 4) ** 2 + 0.02 * y**2}
    return Surface(xs, ys, loss, {name: 1 / (1 + values) for name, values in loss.items()})


def trace(end: tuple[float, float], residual: float, a: float, b: float) -> Trace:
    """Three points from (0, 0) to ``end``; the losses at the end are ``a`` and ``b``."""
    t = torch.tensor([0.0, 0.5, 1.0]).double()
    loss = {"A": 0.2 + t * (a - 0.2), "B": 2 + t * (b - 2)}
    return Trace([0, 10, 20], t * end[0], t * end[1], t * residual, loss, {n: 1 / (1 + v) for n, v in loss.items()})


TRACES = {"none": trace((4, 0), 0, 1.8, 0.2), "L2": trace((1, 0), 2, 0.6, 0.9), "EWC": trace((1, 3), 0, 0.4, 0.45)}
T = torch.linspace(0, 1, 5).double()
LINE = Line(T, 4.0, {"A": 0.2 + T**2, "B": 2 - T}, {"A": 1 - T, "B": T}, {"A": 0.1 * T**2}, {"A": 0.9 * T**2})


def journeys() -> figures.Journeys:
    traces = {("none", 0): TRACES["none"]} | {(m, s): TRACES[m] for m in ("L2", "EWC") for s in (0, 10)}
    return figures.Journeys(surface(), traces)


def pictures() -> dict[str, tuple[figures.Picture, list[str]]]:
    """Name -> a picture and words that its text must hold."""
    digits = cl.Split(torch.rand(10, 1, 28, 28), torch.arange(10))
    task = cl.Task("upright", digits, digits, tuple(range(10)))
    return {
        "digits": (figures.digits([task, task]), ["2 rows", "upright"]),
        "curves": (figures.learning_curves(history(), 0.88), ["A from 90 % to 30 %", "B from 10 % to 80 %", "88 %"]),
        "moment": (figures.forgetting_frame(history(), 1, digits.x[:8], [1] * 8, [1, 2] * 4), ["10 steps", "A 30 %", "4 of 8"]),
        "surface": (
            figures.two_weight_surface(W, W, LOSSES, {"EWC": torch.tensor([1.0, 0.5])}, start=torch.zeros(2), title="here"),
            ["here", "A and B", "theta_A lies at (0.0, 0.0)", "EWC ends at (1.0, 0.5)"],
        ),
        "frontier": (figures.frontier(SWEEPS, (0.9, 0.88)), ["EWC is best at lambda 10000 with A 85 %, B 80 %", "A 90 %"]),
        "strength": (figures.strength_frame(SWEEPS, "L2", 0.1), ["L2 with lambda 0.1", "A 60 %", "B 70 %"]),
        "stability": (
            figures.stability({"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}, 50),
            ["10 %", "70 %", "50"],
        ),
        "terms": (figures.terms(W, W, {"log p": -LOSSES["A"] * 50}), ["log p peaks at"]),
        "laplace": (
            figures.laplace_frame(W, -((W - 0.5) ** 2), 0.5, 2.0, 2, 7),
            ["7 samples", "at 0.50", "0.71"],
        ),
        "scores": (figures.score_histogram({"w": torch.tensor([-1.0, 1.0])}), ["w has variance 2.00"]),
        "importance": (figures.importance_images({"now": torch.eye(28)}), ["now: 756 of 784 pixels matter nothing"]),
        "labels": (figures.label_choices({"late": {"exact": 1.0, "true": 0.2}}), ["late", "true 0.20"]),
        "landscape": (
            figures.landscape(surface(), TRACES, title="here"),
            [
                "here: Loss of A and B",
                "no penalty moved 4.0, true losses A 1.80, B 0.20, in B's region only",
                "L2 moved 2.2, 2.0 of it off the plane, true losses A 0.60, B 0.90, outside A and B",
                "EWC moved 3.2, true losses A 0.40, B 0.45, in both regions",
            ],
        ),
        "one task's landscape": (
            figures.landscape(
                Surface(surface().xs, surface().ys, {"A": surface().loss["A"]}, {"A": surface().loss["A"]}),
                {"EWC": TRACES["EWC"]},
                rings={"Laplace": figures.circle(torch.zeros(2), 1.0)},
            ),
            ["true losses A 0.40, in A's region", "Outline: Laplace"],
        ),
        "a region that nothing reaches": (figures.landscape(surface(), TRACES, level=0.1), ["EWC moved", "outside A and B"]),
        "journey": (journeys()("L2", 10, 10), ["L2, λ = 10, after 10 steps on B", "A 71 %", "1.0 off the plane"]),
        "truth": (
            figures.truth_meter({"there": LINE}),
            ["there, at distance 4.0: true rise 1, whole Fisher 0.9, diagonal 0.1"],
        ),
        "slices": (figures.slices({"there": LINE}, level=0.5), ["to there, A from 0.20 to 1.20", "B from 2.00 to 1.00"]),
        "mountain": (figures.surface_3d(surface(), TRACES, "A"), ["Loss on A", "EWC ends at 0.40"]),
        "sequence": (
            figures.sequence({"none": run(0.3), "EWC": run(0.7)}, 0.9),
            ["EWC 75 % (first task 70 %)"],
        ),
    }


@pytest.mark.parametrize("name", sorted(pictures()))
def test_figure(name):
    picture, words = pictures()[name]
    for word in words:
        assert word in picture.alt
    assert picture.png.startswith(b"\x89PNG") and 2_000 < len(picture.png) <= 60 * 1024
    assert all(
        text.get_fontsize() >= 10 for text in picture.figure.findobj(lambda o: hasattr(o, "get_fontsize")) if text.get_text()
    )
    bundle = picture._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == picture.png and bundle["text/plain"] == picture.alt


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


def test_colour_of_a_point_is_its_true_loss_and_it_is_hollow_off_the_plane():
    figure = figures.landscape(surface(), TRACES).figure
    ends = {line.get_label(): line for line in figure.axes[0].lines if line.get_label() in ("no penalty", "L2", "EWC")}
    assert to_hex(ends["L2"].get_markerfacecolor()) == "#ffffff"
    faces = {name: to_hex(ends[name].get_markerfacecolor()) for name in ("no penalty", "EWC")}
    top = to_hex(figures.TRUE_LOSS(1.0))
    assert faces["no penalty"] == top and faces["EWC"] not in (top, "#ffffff")
    assert figure.axes[0].get_aspect() == 1.0


def test_a_path_that_diverged_leaves_the_others_their_colours():
    lost = replace(TRACES["L2"], loss={name: torch.tensor([2.0, 1e30, math.nan]).double() for name in "AB"})
    picture = figures.landscape(surface(), {"EWC": TRACES["EWC"], "L2": lost})
    alone = figures.landscape(surface(), {"EWC": TRACES["EWC"]})
    assert "true losses A nan, B nan" in picture.alt
    for drawn, top in ((picture, 2.0), (alone, 1.0)):  # the scale ends at twice the level, or at the highest loss on the map
        (end,) = [line for line in drawn.figure.axes[0].lines if line.get_label() == "EWC"]
        assert to_hex(end.get_markerfacecolor()) == to_hex(figures.TRUE_LOSS((0.4 - 0.2) / (top - 0.2)))


def test_what_lies_outside_the_picture_is_said():
    assert "EWC moved 42.4 (not shown)" in figures.landscape(surface(), {"EWC": trace((30, 30), 0, 1, 1)}).alt


def test_names_are_shown_as_they_are():
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


def test_every_data_set_of_a_slice_is_drawn():
    more = replace(LINE, loss=dict.fromkeys("ABCD", LINE.loss["A"]))
    picture = figures.slices({"there": more})
    assert len(picture.figure.axes[0].lines) == 4 and all(f"{name} from" in picture.alt for name in "ABCD")


def test_the_frontier_joins_strengths_in_order():
    ends = {strength: trace((1, 3), 0, a, 0.5) for strength, a in ((100, 0.3), (1, 0.9), (10, 0.6))}
    frames = figures.Journeys(surface(), {("EWC", strength): t for strength, t in ends.items()})
    line = frames("EWC", 1, 20).figure.axes[2].lines[0]
    assert list(line.get_xdata()) == sorted(1 / (1 + a) for a in (0.3, 0.6, 0.9))


@pytest.mark.parametrize("precision", [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]], [[math.nan, 0.0], [0.0, 1.0]]])
def test_a_quadratic_without_an_ellipse_is_refused(precision):
    with pytest.raises(ValueError, match="precision must be positive definite"):
        figures.ellipse(torch.zeros(2), torch.tensor(precision), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.landscape(Surface(T[:1], T, {"A": T[:, None]}, {"A": T[:, None]}), TRACES), "two points or more"),
        (
            lambda: figures.Journeys(
                replace(surface(), loss={"A": surface().loss["A"]}, accuracy={"A": surface().loss["A"]}),
                {("EWC", 1): TRACES["EWC"]},
            ),
            "losses of two tasks, got A only",
        ),
        (lambda: figures.slices({"there": LINE}, level=math.nan), "level must be"),
        (lambda: figures.landscape(surface(), {}), "traces must hold at least one"),
        (lambda: figures.landscape(surface(), {"ewc": TRACES["EWC"]}), "methods of traces must be of none, L2, .*, got 'ewc'"),
        (lambda: figures.landscape(surface(), TRACES, level=0.0), "level must be"),
        (lambda: figures.landscape(surface(), {"EWC": replace(TRACES["EWC"], loss={"A": T})}), "EWC.* must have watched A, B"),
        (lambda: figures.Journeys(surface(), {}), "traces must hold at least one"),
        (
            lambda: figures.Journeys(surface(), {("L2", 0): TRACES["L2"], ("EWC", 0): replace(TRACES["EWC"], steps=[0, 1, 2])}),
            r"traces must have the same steps, got \[0, 10, 20\] and \[0, 1, 2\]",
        ),
        (lambda: journeys()("L2", 3, 10), r"no path of L2 with strength 3; there are .*10"),
        (lambda: journeys()("L2", 10, 11), r"step must be one of \[0, 10, 20\], got 11"),
        (lambda: figures.truth_meter({}), "lines must hold at least one"),
        (lambda: figures.truth_meter({"there": LINE}, "B"), "name must be one of 'A', got 'B'"),
        (lambda: figures.slices({}), "lines must hold at least one"),
        (lambda: figures.surface_3d(surface(), TRACES, "A", top=-1.0), "top must be"),
        (lambda: figures.surface_3d(surface(), TRACES, "C"), "name must be one of 'A', 'B', got 'C'"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_same_drawing_same_bytes():
    assert pictures()["frontier"][0].png == pictures()["frontier"][0].png


def test_picture_is_saved(tmp_path):
    picture = figures.frontier(SWEEPS)
    picture.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture.png


def test_losses_on_the_grid_are_the_model_s_losses():
    model = cl.two_weights().double()
    w1, w2 = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([0.5, 2.0, -0.7], dtype=torch.float64)
    grid = cl.landscapes.two_weight_losses(A.train, w1, w2)
    assert grid.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            model.linear.weight.data = torch.stack([w1[j], w2[i]])[None]
            assert grid[i, j].item() == pytest.approx(cl.evaluate(model, A.train).loss, rel=1e-12)


def test_grid_refuses_other_data():
    with pytest.raises(ValueError, match=r"data must hold inputs \(N, 2\)"):
        cl.landscapes.two_weight_losses(cl.Split(torch.zeros(3, 4), torch.tensor([0, 1, 0])), W, W)


def test_ellipse_has_its_level():
    precision = torch.tensor([[2.0, 0.3], [0.3, 0.5]])
    gap = figures.ellipse(torch.tensor([1.0, -1.0]), precision, 0.7) - torch.tensor([1.0, -1.0])
    torch.testing.assert_close(((gap @ precision) * gap).sum(1), torch.full((101,), 0.7))
    radius = (figures.circle(torch.zeros(2), 0.4)).norm(dim=1)
    torch.testing.assert_close(radius, torch.full((101,), 0.4))


@pytest.mark.parametrize(
    ("strength", "label"), [(0, "0"), (0.03, "0.03"), (1e3, "1000"), (1e4, "10⁴"), (1e12, "10¹²"), (25_000, "25000")]
)
def test_strength_label(strength, label):
    assert figures.strength_label(strength) == label
