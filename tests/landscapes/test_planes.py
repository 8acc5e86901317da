"""Planes that keep distances; traces and grids; bad input."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import assert_refused, flat, task, tiny, weights, with_nan
from torch import Tensor

import cl_teach as cl
from cl_teach import landscapes
from cl_teach.landscapes import Plane, plane_through, pushed, random_plane

SOLUTIONS = [weights(tiny(seed)) for seed in range(3)]
THROUGH = plane_through(*SOLUTIONS)


def assert_orthonormal(plane: Plane, tolerance: float = 1e-12) -> None:
    u = torch.stack([flat(plane.first), flat(plane.second)])
    torch.testing.assert_close(u @ u.T, torch.eye(2, dtype=torch.float64), rtol=0, atol=tolerance)


def test_a_plane_keeps_the_distances_of_its_three_solutions():
    assert_orthonormal(THROUGH)
    seen = [THROUGH.project(solution) for solution in SOLUTIONS]
    assert seen[0] == (0, 0, 0)
    assert seen[1].y == pytest.approx(0, abs=1e-12) and seen[1].x > 0 and seen[2].y > 0
    for i, p in enumerate(seen):
        assert p.residual == pytest.approx(0, abs=1e-12)
        torch.testing.assert_close(THROUGH.point(p.x, p.y), SOLUTIONS[i])
        for j, q in enumerate(seen):
            distance = float((flat(SOLUTIONS[i]) - flat(SOLUTIONS[j])).norm())
            assert math.dist(p[:2], q[:2]) == pytest.approx(distance)


@settings(deadline=None)
@given(x=st.floats(-9, 9), y=st.floats(-9, 9), away=st.floats(0, 9), seed=st.integers(0, 99))
def test_projection_gives_the_coordinates_and_the_distance_from_the_plane(x, y, away, seed):
    normal = torch.randn(len(flat(SOLUTIONS[0])), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for direction in (flat(THROUGH.first), flat(THROUGH.second)):
        normal -= (normal @ direction) * direction
    point = flat(THROUGH.point(x, y)) + away * normal / normal.norm()
    pieces = point.split([t.numel() for t in SOLUTIONS[0].values()])
    shaped = {name: piece.view(t.shape) for (name, t), piece in zip(SOLUTIONS[0].items(), pieces, strict=True)}
    assert THROUGH.project(shaped) == pytest.approx((x, y, away), abs=1e-10)


def test_pushed_moves_the_chosen_weights_to_the_distance_and_no_others():
    model = tiny()
    among = {"1.weight": torch.zeros(5, 4, dtype=torch.bool), "3.bias": torch.tensor([True, False, True])}
    among["1.weight"][1, 2] = among["1.weight"][4] = True
    before, after = weights(model), pushed(model, among, 2.5, seed=3)
    moved = {name: after[name] != t for name, t in before.items()}
    for name in before:
        assert torch.equal(moved[name], among.get(name, torch.zeros_like(moved[name])))
    assert float((flat(after) - flat(before)).norm()) == pytest.approx(2.5)
    torch.testing.assert_close(weights(model), before, rtol=0, atol=0)
    nowhere = pushed(before, among, 0)
    torch.testing.assert_close(nowhere, before, rtol=0, atol=0)


def test_pushed_draws_normal_numbers_once_a_weight_whichever_are_chosen():
    center = {"w": torch.zeros(200, 50, dtype=torch.float64), "v": torch.zeros(7, dtype=torch.float64)}
    everything = {name: torch.ones_like(t, dtype=torch.bool) for name, t in center.items()}
    wide = pushed(center, everything, 1.0, seed=5)
    moves = wide["w"] / wide["w"].std()
    assert abs(float(moves.mean())) < 0.05 and float((moves.abs() > 1).double().mean()) == pytest.approx(0.317, abs=0.02)
    narrow = pushed(center, {"v": everything["v"]}, 1.0, seed=5)
    torch.testing.assert_close(narrow["v"] * wide["v"].norm(), wide["v"])
    assert not torch.allclose(pushed(center, everything, 1.0, seed=6)["w"], wide["w"])


def test_a_model_and_its_weights_give_the_same_plane_which_does_not_follow_the_model():
    models = [tiny(seed) for seed in range(3)]
    plane = plane_through(*models)
    with torch.no_grad():
        models[0][1].weight.add_(1)
    torch.testing.assert_close(plane.origin, THROUGH.origin, rtol=0, atol=0)
    torch.testing.assert_close(plane.second, THROUGH.second, rtol=0, atol=0)
    assert plane.project(models[0]).residual > 0.1


def test_a_plane_through_two_solutions_has_a_random_second_axis():
    plane, same, other = (plane_through(*SOLUTIONS[:2], seed=seed) for seed in (1, 1, 2))
    assert_orthonormal(plane)
    torch.testing.assert_close(plane.first, THROUGH.first)
    torch.testing.assert_close(plane.second, same.second, rtol=0, atol=0)
    assert abs(float(flat(plane.second) @ flat(other.second))) < 0.9


def test_random_directions_move_each_filter_in_proportion_to_its_norm():
    model = cl.article_cnn(device="cpu").double()
    plane = random_plane(model, seed=3)
    assert_orthonormal(plane)
    ratios = {}
    for part in ("first", "second"):
        named = getattr(plane, part)
        assert all(bool((t == 0).all()) for t in named.values() if t.ndim == 1)  # biases stay
        norms = [(named[n].flatten(1).norm(dim=1) / w.flatten(1).norm(dim=1)) for n, w in weights(model).items() if w.ndim > 1]
        ratios[part] = torch.cat(norms)
    scale = flat({n: w for n, w in weights(model).items() if w.ndim > 1}).norm()
    torch.testing.assert_close(ratios["first"], (1 / scale).expand_as(ratios["first"]))
    torch.testing.assert_close(ratios["second"], (1 / scale).expand_as(ratios["second"]), rtol=0.1, atol=0)  # Gram-Schmidt
    torch.testing.assert_close(random_plane(model, seed=3).second, plane.second, rtol=0, atol=0)
    assert abs(float(flat(random_plane(model, seed=4).first) @ flat(plane.first))) < 0.5


def history(*steps: dict[str, Tensor]) -> cl.History:
    watched = {"A": [cl.Evaluation(1.0 + i, 0.9 - i / 10) for i in range(len(steps))]}
    return cl.History(steps=[10 * i for i in range(len(steps))], watched=watched, weights=list(steps))


def test_a_trace_is_the_projection_of_each_step_with_what_was_measured_there():
    path = [weights(tiny(seed)) for seed in (0, 1, 7, 8)]
    trace = landscapes.trace(THROUGH, history(*path))
    for i, point in enumerate(path):
        assert (trace.x[i], trace.y[i], trace.residual[i]) == pytest.approx(THROUGH.project(point), abs=1e-9)
    assert trace.steps == [0, 10, 20, 30]
    assert trace.loss["A"].tolist() == [1.0, 2.0, 3.0, 4.0] and trace.accuracy["A"].tolist() == pytest.approx(
        [0.9, 0.8, 0.7, 0.6]
    )


def test_a_history_that_was_interrupted_in_between_gives_what_is_whole():
    cut = history(*SOLUTIONS)
    cut.watched["A"].pop()
    trace = landscapes.trace(THROUGH, cut)
    assert trace.steps == [0, 10] and len(trace.x) == len(trace.loss["A"]) == len(trace.accuracy["A"]) == 2


def test_training_gives_a_trace_that_starts_at_the_plane_s_origin():
    model, data = tiny(), task()
    start = weights(model)
    run = cl.train(model, data, epochs=2, batch_size=4, every=2, watch={"A": data}, keep_weights=True)
    trace = landscapes.trace(plane_through(start, model), run)
    assert (trace.x[0], trace.y[0], trace.residual[0]) == pytest.approx((0, 0, 0), abs=1e-6)
    assert trace.residual[-1] == pytest.approx(0, abs=1e-6) and trace.x[-1] > 0
    assert trace.loss["A"][-1] == cl.evaluate(model, data).loss


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("margin", [0, 0.15])
@pytest.mark.parametrize("n", [2, 3, 11, 40])
def test_a_grid_holds_all_traces_in_square_cells(n, margin, flat):
    traces = [landscapes.trace(THROUGH, history(*SOLUTIONS)), landscapes.trace(THROUGH, history(weights(tiny(9))))]
    if flat:
        traces = [replace(trace, y=torch.zeros_like(trace.y)) for trace in traces]
    xs, ys = landscapes.grid_around(traces, n=n, margin=margin)
    assert max(len(xs), len(ys)) == n and min(len(xs), len(ys)) >= 2
    steps = torch.cat([xs.diff(), ys.diff()])
    torch.testing.assert_close(steps, steps[:1].expand(len(steps)))
    for axis, values in ((xs, [t.x for t in traces]), (ys, [t.y for t in traces])):
        assert axis[0] <= torch.cat(values).min() + 1e-9 and axis[-1] >= torch.cat(values).max() - 1e-9


@given(st.integers(2, 50), st.floats(0, 1), st.floats(1e-6, 1), st.integers(0, 1000))
def test_no_trace_sticks_out_of_its_grid(n, margin, flatness, seed):
    x, y = torch.rand(2, 5, generator=torch.Generator().manual_seed(seed)).double()
    xs, ys = landscapes.grid_around([landscapes.Trace([0] * 5, x, flatness * y, x, {}, {})], n=n, margin=margin)
    for axis, values in ((xs, x), (ys, flatness * y)):
        assert axis[0] <= values.min() + 1e-6 and axis[-1] >= values.max() - 1e-6 and len(axis) >= 2


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: landscapes.trace(THROUGH, cl.History(steps=[0])), ValueError, "history must hold weights.*keep_weights=True"),
        (
            lambda: landscapes.trace(THROUGH, history(weights(tiny(hidden=6)))),
            ValueError,
            "history must be of the same architecture",
        ),
        (lambda: landscapes.trace(THROUGH, history(with_nan(SOLUTIONS[0]))), ValueError, "history must hold finite weights"),
        (lambda: landscapes.trace(tiny(), history(*SOLUTIONS)), TypeError, "plane must be a Plane"),
        (lambda: landscapes.trace(THROUGH, SOLUTIONS), TypeError, "history must be a History"),
        (lambda: landscapes.grid_around({"EWC": 1}), TypeError, "traces must be several Trace"),
        (lambda: landscapes.grid_around([]), ValueError, "traces must hold at least one"),
        (lambda: landscapes.grid_around([landscapes.trace(THROUGH, history(SOLUTIONS[0]))]), ValueError, "traces must move"),
        (lambda: landscapes.grid_around([], n=0), ValueError, "n must be at least 2, got 0"),
        (lambda: landscapes.grid_around([], margin=-1), ValueError, "margin must be"),
    ],
)
def test_paths_that_cannot_be_drawn_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# --- bad input


def single(named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.float() for name, t in named.items()}


A, B, C = SOLUTIONS
ALL = {name: torch.ones_like(t, dtype=torch.bool) for name, t in A.items()}
OTHER = tiny(hidden=6)
MIDDLE = {name: (a + B[name]) / 2 for name, a in A.items()}
Case = tuple[str, Callable[[], object], str, str, str]  # what is wrong, the call; the message: argument, given, what works
TABLE: list[Case] = [
    ("collinear", lambda: plane_through(A, B, MIDDLE), "c", r"distance of \S+e-1\d", "random second direction"),
    ("collinear in float32", lambda: plane_through(*map(single, (A, B, MIDDLE))), "c", r"distance of", "random second"),
    ("third equal to the first", lambda: plane_through(A, B, A), "c", "distance of 0", "random second"),
    ("third equal to the second", lambda: plane_through(A, B, B), "c", "distance of", "random second"),
    ("second equal to the first", lambda: plane_through(A, A, B), "b", "distance of 0", "away from the origin"),
    ("two equal", lambda: plane_through(A, A), "b", "distance of 0", "away"),
    ("architecture: b", lambda: plane_through(A, OTHER, C), "b", r"\(6, 4\) for 1.weight", r"wanted \(5, 4\)"),
    ("architecture: c", lambda: plane_through(A, B, OTHER), "c", r"\(6, 4\)", r"\(5, 4\)"),
    ("missing weights", lambda: plane_through(A, {"1.bias": B["1.bias"]}, C), "b", "no such weight for 1.weight", r"\(5, 4\)"),
    ("NaN: a", lambda: plane_through(with_nan(A), B, C), "a", "NaN or infinity in 1.weight", "finite"),
    ("NaN: c", lambda: plane_through(A, B, with_nan(C)), "c", "NaN or infinity in 1.weight", "finite"),
    ("no weights", lambda: plane_through([1.0], B, C), "a", "list", "a model or a dict"),  # type: ignore[arg-type]
    ("seed", lambda: plane_through(A, B, seed=-1), "seed", "-1", "at least 0"),
    ("NaN: random_plane", lambda: random_plane(with_nan(A)), "center", "NaN", "finite"),
    ("NaN: pushed", lambda: pushed(with_nan(A), ALL, 1), "center", "NaN", "finite"),
    ("pushed: strange name", lambda: pushed(A, {"2.weight": ALL["1.bias"]}, 1), "among", "2.weight", "such as 1.weight"),
    ("pushed: shape", lambda: pushed(A, {"1.weight": ALL["1.bias"]}, 1), "among", r"\(5,\)", r"shape \(5, 4\)"),
    ("pushed: type", lambda: pushed(A, {"1.bias": torch.ones(5)}, 1), "among", "float32", "boolean"),
    ("pushed: none chosen", lambda: pushed(A, {"1.bias": ~ALL["1.bias"]}, 1), "among", "none", "at least one"),
    ("pushed: no dict", lambda: pushed(A, ALL["1.bias"], 1), "among", "Tensor", "boolean"),
    ("pushed: distance", lambda: pushed(A, ALL, -1), "distance", "-1", "0"),
    ("pushed: seed", lambda: pushed(A, ALL, 1, seed=0.5), "seed", "0.5", "whole"),
    ("no filters", lambda: random_plane(cl.two_weights()), "center", "1 without", "other than zero"),
    ("not orthonormal", lambda: Plane(A, B, C), "first and second", r"\[\d", "plane_through"),
    ("project: architecture", lambda: THROUGH.project(OTHER), "weights", r"\(6, 4\)", r"\(5, 4\)"),
    ("project: NaN", lambda: THROUGH.project(with_nan(A)), "weights", "NaN", "finite"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "argument", "given", "works"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_is_refused(call, argument, given, works):
    assert_refused(call, argument, given, works, OTHER)


def test_without_a_seed_it_is_zero():
    for plane in (lambda **seed: plane_through(*SOLUTIONS[:2], **seed), lambda **seed: random_plane(SOLUTIONS[0], **seed)):
        torch.testing.assert_close(plane().second, plane(seed=0).second, rtol=0, atol=0)
        assert abs(float(flat(plane().second) @ flat(plane(seed=1).second))) < 0.9
    torch.testing.assert_close(pushed(A, ALL, 1), pushed(A, ALL, 1, seed=0), rtol=0, atol=0)


@pytest.mark.parametrize("n", [2, 5, 41])
def test_a_grid_has_its_margin_on_each_side_of_the_longer_one_and_the_shorter_is_in_the_middle(n):
    x, y = torch.tensor([1.0, 3.0, 5.0]).double(), torch.tensor([-1.0, 0.0, 0.0]).double()
    xs, ys = landscapes.grid_around([landscapes.Trace([0] * 3, x, y, x, {}, {})], n=n, margin=0.25)
    assert len(xs) == n and (float(xs[0]), float(xs[-1])) == pytest.approx((0.0, 6.0))
    assert float(ys[0] + ys[-1]) / 2 == pytest.approx(-0.5)
    spacing = 6.0 / (n - 1)
    assert len(ys) == max(2, math.ceil(3.0 / spacing - 1e-9) + 1)  # no more than the height and both margins ask for
    usual = landscapes.grid_around([landscapes.Trace([0] * 3, x, y, x, {}, {})])
    assert len(usual[0]) == 41 and (float(usual[0][0]), float(usual[0][-1])) == pytest.approx((0.4, 5.6))


def test_a_plane_takes_directions_that_are_orthonormal_to_a_thousandth():
    def turned(by: float) -> Plane:
        first = {"w": torch.tensor([1.0, 0.0, 0.0]).double()}
        return Plane({"w": torch.zeros(3).double()}, first, {"w": torch.tensor([by, 1.0, 0.0]).double()})

    turned(0.9e-3)
    for by in (1.1e-3, -1.1e-3):
        with pytest.raises(ValueError, match="first and second must be orthonormal"):
            turned(by)


def test_half_precision_weights_are_seen_in_float32():
    half = [{name: t.bfloat16() for name, t in solution.items()} for solution in SOLUTIONS]
    plane = plane_through(*half)
    assert {t.dtype for part in (plane.origin, plane.first, plane.second) for t in part.values()} == {torch.float32}
    assert plane.project(half[1]).residual == pytest.approx(0, abs=1e-5)


def test_planes_and_traces_are_equal_to_themselves_only_and_do_not_change():
    path = landscapes.trace(THROUGH, history(*SOLUTIONS))
    for one, other in ((THROUGH, plane_through(*SOLUTIONS)), (path, landscapes.trace(THROUGH, history(*SOLUTIONS)))):
        assert one == one and one != other and len({one, other, one}) == 2
        with pytest.raises(AttributeError):
            one.x = 0
