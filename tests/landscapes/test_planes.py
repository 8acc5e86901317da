"""Landscapes: planes that keep distances, surfaces equal to plain evaluation, quadratics from the Fisher, files, bad input."""

import copy
import math
import os
import pickle
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import cl_teach as cl
from cl_teach import _grid, landscapes
from cl_teach.landscapes import (
    Plane,
    Surface,
    interpolate,
    loss_surface,
    pca_plane,
    plane_curvature,
    plane_through,
    random_plane,
)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def flat(named: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.flatten().double() for t in named.values()])


def tiny(seed: int = 0, hidden: int = 5, **options: Any) -> nn.Sequential:
    return cl.mlp((hidden,), n_inputs=4, n_classes=3, seed=seed, device="cpu", **options).double()


def task(labels: tuple[int, ...] = (0, 1, 2), n: int = 12, shape: tuple[int, ...] = (4,), name: str = "A") -> cl.Task:
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    data = cl.Split(x, torch.tensor(labels)[torch.arange(n) % len(labels)])
    return cl.Task(name, data, data, classes=labels)


def perturbed(model: nn.Module, seed: int, size: float = 0.3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        n: p + size * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for n, p in weights(model).items()
    }


def naive(model: nn.Module, plane: Plane, data: cl.Split | cl.Task, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """What everybody writes first: set the weights, evaluate, for each point."""
    model = copy.deepcopy(model)
    loss, accuracy = torch.zeros(2, len(ys), len(xs), dtype=torch.float64)
    for i, y in enumerate(ys.tolist()):
        for j, x in enumerate(xs.tolist()):
            with torch.no_grad():
                for name, value in plane.point(x, y).items():
                    model.get_parameter(name).copy_(value)
            found = cl.evaluate(model, data)
            loss[i, j], accuracy[i, j] = found.loss, found.accuracy
    return loss, accuracy


# --- planes


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


def test_pca_finds_the_directions_of_most_variance_and_passes_through_the_end():
    along = [(0, 0), (5, 1), (10, -1), (16, 0.5)]
    path = [THROUGH.point(x, y) for x, y in along]
    plane = pca_plane(path)
    assert_orthonormal(plane)
    assert plane.project(path[-1]) == pytest.approx((0, 0, 0), abs=1e-12)
    assert all(plane.project(p).residual == pytest.approx(0, abs=1e-10) for p in path)
    wanted = torch.linalg.svd(torch.tensor(along, dtype=torch.float64) - torch.tensor(along, dtype=torch.float64).mean(0))[2][0]
    found = torch.stack([flat(THROUGH.first), flat(THROUGH.second)]) @ flat(plane.first)
    assert abs(float(found @ wanted)) == pytest.approx(1, abs=1e-9)


# --- surfaces


class Recurrent(nn.Module):
    """An LSTM has no derivatives in forward mode."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.lstm, self.out = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(x[:, None])[0][:, -1])


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_without_forward_mode_the_diagonal_and_what_was_measured_remain():
    a, b, data = Recurrent(0), Recurrent(1), task()
    frozen = cl.Split(data.test.x, data.test.y)
    plane = plane_through(a, b)
    with pytest.raises(landscapes.NoForwardMode, match="full=False takes the diagonal"):
        plane_curvature(a, plane, frozen)
    with pytest.warns(RuntimeWarning, match="full is NaN: the whole Fisher needs derivatives in forward mode"):
        line = interpolate(a, a, b, frozen, n=3)
    assert line.full["data"].isnan().all() and (line.diagonal["data"][1:] > 0).all()
    assert line.loss["data"][-1].item() == pytest.approx(cl.evaluate(b, frozen).loss, rel=1e-5)


def test_what_a_model_counts_is_given_back():
    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.passes += 1
            return super().forward(x)

    model = nn.Sequential(Counting(4, 5), nn.Tanh(), nn.Linear(5, 3))
    model[0].register_buffer("passes", torch.zeros(()))
    loss_surface(model, random_plane(model), task(), AXIS, AXIS)
    assert model[0].passes == 0


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


class Own(nn.Module):
    """A module of one's own around a network, with a first layer that is not its first child."""

    def __init__(self, first: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        self.rest, self.first = rest, first

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.first(2 * x))


class Tied(nn.Module):
    """The first weights are used once more, outside the call of their layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh() @ self.first.weight)


def hooked() -> nn.Module:
    model = tiny()
    model[1].register_forward_hook(lambda module, args, output: output**2)
    return model


def frozen() -> nn.Module:
    model = tiny()
    model[1].requires_grad_(False)
    return model


def twice() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.ReLU(), nn.Linear(4, 3))


def batch_normed() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3))
    model.double()(task().train.x)  # running statistics that are not 0 and 1
    return model


def conv(**options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3, **options), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


IMAGES = {"shape": (1, 5, 5)}
MODELS: dict[str, tuple[Callable[[], nn.Module], str, dict[str, Any]]] = {  # name -> model, the way it goes, its task
    "MLP": (tiny, "stacked", {}),
    "two hidden layers": (lambda: cl.mlp((6, 5), 4, 3, device="cpu"), "stacked", {"shape": (2, 2)}),
    "linear": (lambda: nn.Sequential(nn.Linear(4, 3)), "stacked", {}),
    "no biases": (
        lambda: nn.Sequential(nn.Linear(4, 5, bias=False), nn.GELU(), nn.Dropout(), nn.Linear(5, 3, bias=False)),
        "stacked",
        {},
    ),
    "some outputs": (lambda: cl.mlp((5,), 4, 6, device="cpu"), "stacked", {"labels": (1, 4)}),
    "two weights": (lambda: Own(nn.Linear(2, 3), nn.ReLU()), "first_done", {"shape": (2,)}),
    "CNN": (conv, "first_done", IMAGES),
    "CNN, some outputs": (conv, "first_done", {**IMAGES, "labels": (0, 2)}),
    "CNN, padded": (lambda: conv(padding=1, padding_mode="circular", bias=False), "first_done", IMAGES),
    "module of one's own": (lambda: Own(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 3))), "first_done", {}),
    "batch norm": (batch_normed, "first_done", {}),
    "layer norm first": (lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3)), "plain", {}),
    "tied weights": (Tied, "plain", {}),
    "a layer called twice": (twice, "plain", {}),
    "frozen first layer": (frozen, "plain", {}),
    "a hook on a layer": (hooked, "plain", {}),
    "bare layer": (lambda: nn.Linear(4, 3), "plain", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_way_gives_what_plain_evaluation_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, way, options = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, data = make().double(), task(**options)
        model(data.train.x)  # lazy layers
    model.train()
    monkeypatch.setattr(_grid, "_CACHE", 40)  # several pieces, and several points at once
    plane = plane_through(*(perturbed(model, seed) for seed in range(3)))
    xs, ys = torch.linspace(-1, 2, 5), torch.linspace(-0.5, 1, 3)
    affine = landscapes._affine(model, plane)
    with torch.no_grad():
        chosen = _grid._choose(model.eval(), affine, data.test.x, xs.double(), ys.double())[0].__name__
    assert chosen == f"_{way}"
    surface = loss_surface(model, plane, data, xs, ys)
    loss, accuracy = naive(model, plane, data, xs.double(), ys.double())
    torch.testing.assert_close(surface.loss["A"], loss, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(surface.accuracy["A"], accuracy, rtol=0, atol=1e-12)
    assert loss.std() > 1e-3  # a surface, not a floor


def test_ties_are_judged_as_evaluate_judges_them():
    model = cl.two_weights()
    data = cl.two_weight_tasks(n=30)[0].train
    plane = Plane(*({"linear.weight": torch.tensor([w])} for w in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])))
    surface = loss_surface(model, plane, data, [0.0, 1.0], [0.0])
    assert surface.accuracy["data"][0, 0] == cl.evaluate(model, data).accuracy  # all logits 0
    exact = landscapes.two_weight_losses(data, torch.tensor([0.0, 1.0]), torch.tensor([0.0]))
    torch.testing.assert_close(surface.loss["data"], exact.double())


def test_any_number_of_data_sets_in_one_call():
    model, a, b = tiny(), task(), task(n=20, name="B")
    xs, ys = torch.linspace(0, 1, 3), torch.linspace(0, 1, 2)
    together = loss_surface(model, THROUGH, [a, b], xs, ys)
    assert list(together.loss) == list(together.accuracy) == ["A", "B"] and together.loss["B"].shape == (2, 3)
    named = loss_surface(model, THROUGH, {"first": a, "second": b.train}, xs, ys)
    for name, other, alone in (("A", "first", a), ("B", "second", b)):
        torch.testing.assert_close(together.loss[name], loss_surface(model, THROUGH, alone, xs, ys).loss[name])
        torch.testing.assert_close(together.accuracy[name], named.accuracy[other])


def test_memory_does_not_grow_with_the_data_or_the_grid():
    seen: list[int] = []
    cnn = cl.article_cnn(device="cpu")
    cnn[3].register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    images = cl.Split(torch.rand(400, 1, 28, 28), torch.arange(400) % 10)
    loss_surface(cnn, random_plane(cnn), images, [0.0, 1.0], [0.0])
    assert max(seen) * 5_760 <= _grid._CACHE  # numbers after the first layer
    model = nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 3))
    seen.clear()
    model[1].register_forward_pre_hook(lambda module, args: seen.append(args[0].numel()))
    many = cl.Split(torch.rand(30_000, 4), torch.arange(30_000) % 3)
    loss_surface(model, random_plane(model), many, torch.linspace(0, 1, 30), [0.0])
    assert _grid._CACHE / 2 < max(seen) <= _grid._CACHE


def state(model: nn.Module) -> list[Any]:
    """All of a model that could be left changed."""
    found: list[Any] = [torch.get_rng_state().tolist()]
    for module in model.modules():
        found += [module.training, sorted(vars(module)), len(module._forward_hooks), len(module._forward_pre_hooks)]
    for name, p in model.named_parameters():
        found += [name, id(p), p.data_ptr(), p.requires_grad, p.tolist(), None if p.grad is None else p.grad.tolist()]
    return found + [b.tolist() for b in model.buffers()]


USERS: dict[str, Callable[[nn.Module, Plane, cl.Task], object]] = {
    "loss_surface": lambda model, plane, task: loss_surface(model, plane, task, [0.0, 1.0], [0.0]),
    "interpolate": lambda model, plane, task: interpolate(model, plane.origin, plane.point(1, 1), task, n=3),
    "full curvature": lambda model, plane, task: plane_curvature(model, plane, task),
    "diagonal curvature": lambda model, plane, task: plane_curvature(model, plane, task, full=False),
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kind", ["MLP", "CNN", "batch norm", "tied weights"])
def test_the_model_is_given_back_as_it_was(user: str, kind: str) -> None:
    make, _, options = MODELS[kind]
    model, data = make().double(), task(**options)
    model(data.train.x).sum().backward()
    next(model.children()).eval()  # a mode of its own
    plane = plane_through(*(perturbed(model, seed) for seed in range(3)))
    before = state(model)
    USERS[user](model, plane, data)
    assert state(model) == before
    calls = 0

    def interrupt(module: nn.Module, args: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 9:
            raise KeyboardInterrupt

    list(model.children())[-1].register_forward_pre_hook(interrupt)
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        for _ in range(10):
            USERS[user](model, plane, data)
    assert state(model) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "points", "n", "at_least"),
    [
        (lambda seed: cl.mlp(seed=seed, device="cpu"), 11, 2_000, 3.0),
        (lambda seed: cl.article_cnn(seed=seed, device="cpu"), 3, 1_000, 0.7),
    ],
    ids=["MLP", "CNN"],
)
def test_the_grid_is_faster_than_the_naive_loop(make, points, n, at_least):
    data = cl.mnist(n_train=1, n_test=n).test
    models = [make(seed) for seed in range(3)]
    plane, axis = plane_through(*models), torch.linspace(-5, 10, points)
    ratios = []
    for _ in range(3):  # interleaved, so that what else the machine does falls on both
        start = time.perf_counter()
        loss, accuracy = naive(models[0], plane, data, axis, axis)
        middle = time.perf_counter()
        surface = loss_surface(models[0], plane, data, axis, axis)
        ratios.append((middle - start) / (time.perf_counter() - middle))
    torch.testing.assert_close(surface.loss["data"], loss, rtol=1e-5, atol=1e-5)
    assert (surface.accuracy["data"] - accuracy).abs().max() <= 1 / n + 1e-12  # float32: one sample may stand on the edge
    assert statistics.median(ratios) >= at_least


# --- curvature and lines


@pytest.mark.parametrize("labels", [(0, 1, 2), (0, 2)])
def test_curvature_is_the_fisher_at_the_origin_seen_from_the_plane(labels):
    model, data = tiny(seed=7), task(labels=labels)
    at = tiny()
    at.load_state_dict(THROUGH.origin)
    u = torch.stack([flat(THROUGH.first), flat(THROUGH.second)])
    whole = cl.full_fisher(at, data)
    torch.testing.assert_close(plane_curvature(model, THROUGH, data), u @ whole @ u.T)
    torch.testing.assert_close(plane_curvature(model, THROUGH, data, full=False), (u * whole.diagonal()) @ u.T)
    elsewhere = plane_curvature(model, THROUGH, data, at=model)
    torch.testing.assert_close(elsewhere, u @ cl.full_fisher(model, data) @ u.T)


def test_the_line_measures_and_predicts():
    model, a, b = tiny(), SOLUTIONS[0], SOLUTIONS[1]
    data = task(labels=(0, 2))
    line = interpolate(model, a, b, {"x": data, "y": data.train}, n=5)
    step = flat(b) - flat(a)
    assert line.t.tolist() == [0, 0.25, 0.5, 0.75, 1] and line.distance == pytest.approx(float(step.norm()))
    for i, t in enumerate(line.t.tolist()):
        model.load_state_dict({name: torch.lerp(a[name], b[name], t) for name in a})
        for name, part in (("x", data), ("y", data.train)):
            found = cl.evaluate(model, part)
            assert line.loss[name][i] == pytest.approx(found.loss) and line.accuracy[name][i] == found.accuracy
    model.load_state_dict(a)
    whole = cl.full_fisher(model, data)
    torch.testing.assert_close(line.full["x"], line.t**2 / 2 * (step @ whole @ step))
    torch.testing.assert_close(line.diagonal["x"], line.t**2 / 2 * (step.square() @ whole.diagonal()))
    assert line.full["y"][-1] != line.full["x"][-1]  # three outputs against two


def test_near_a_minimum_the_full_fisher_predicts_the_rise():
    data = cl.two_weight_tasks(n=200)[0].train
    model = cl.two_weights().double()
    cl.train(model, data, epochs=300, lr=0.5, batch_size=200, progress=False)
    a = weights(model)
    for direction in ([0.02, 0.01], [-0.004, 0.02]):
        line = interpolate(model, a, {name: t + torch.tensor([direction]) for name, t in a.items()}, data, n=2)
        rise = line.loss["data"] - line.loss["data"][0]
        assert float(line.full["data"][-1]) == pytest.approx(float(rise[-1]), rel=0.02)


# --- files


def saved(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object], Plane | Surface]]:
    surface = loss_surface(tiny(), THROUGH, [task(), task(n=20, name="B/../ö")], [0.0, 1.0, 2.0], [0.5, 1.0])
    found: dict[str, tuple[Path, Callable[[Path], object], Plane | Surface]] = {}
    for thing in (THROUGH, surface):
        path = folder / f"{type(thing).__name__}.npz"
        thing.save(path)
        found[type(thing).__name__] = (path, type(thing).load, thing)
    return found


def test_what_is_saved_is_loaded(tmp_path):
    for path, load, thing in saved(tmp_path).values():
        torch.testing.assert_close(vars(load(path)), vars(thing), rtol=0, atol=0)
    assert sorted(os.listdir(tmp_path)) == ["Plane.npz", "Surface.npz"]


@pytest.mark.parametrize("kind", ["Plane", "Surface"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(kind, tmp_path, monkeypatch):
    path, _, thing = saved(tmp_path)[kind]
    before = path.read_bytes()

    def full_disk(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        thing.save(path)
    assert path.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["Plane.npz", "Surface.npz"]


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trap",)


def npz(**arrays: Any) -> Callable[[Path, bytes], None]:
    return lambda path, whole: np.savez(path, **arrays)


FOREIGN: dict[str, Callable[[Path, bytes], object]] = {
    "empty": lambda path, whole: path.write_bytes(b""),
    "text": lambda path, whole: path.write_text("loss,accuracy\n"),
    "first half": lambda path, whole: path.write_bytes(whole[: len(whole) // 2]),
    "all but the last byte": lambda path, whole: path.write_bytes(whole[:-1]),
    "another npz": npz(a=np.zeros(3)),
    "the other kind": npz(kind=np.array("cl_teach sweep"), a=np.zeros(3)),
    "nothing but the kind": npz(kind=np.array("cl_teach plane")),
    "nothing but the kind of surface": npz(kind=np.array("cl_teach surface")),
    "an array": lambda path, whole: np.save(path.open("wb"), np.zeros(3)),
    "a pickle": lambda path, whole: path.write_bytes(pickle.dumps(Trap())),
    "a pickle inside": npz(kind=np.array(Trap(), dtype=object)),
}


@pytest.mark.parametrize("kind", ["Plane", "Surface"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_damaged_or_foreign_file_gets_one_clear_error(kind, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, load, _ = saved(tmp_path)[kind]
    FOREIGN[name](path, path.read_bytes())
    there = path.read_bytes()
    with pytest.raises(ValueError, match=rf"^path must be a file written by {kind}.save, got '.*{kind}.npz': ") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == there and sorted(os.listdir(tmp_path)) == ["Plane.npz", "Surface.npz"]


def test_a_plane_is_no_surface_and_a_missing_file_is_missing(tmp_path):
    files = saved(tmp_path)
    with pytest.raises(ValueError, match="another kind"):
        Plane.load(files["Surface"][0])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        Surface.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("kind", ["Plane", "Surface"])
def test_no_flipped_byte_goes_unnoticed(kind, tmp_path):
    path, load, thing = saved(tmp_path)[kind]
    whole, refused = path.read_bytes(), 0
    for i in range(0, len(whole), 17):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            found = load(path)
        except ValueError as error:
            assert str(error).startswith("path must be")
            refused += 1
        else:  # a byte of the archive that means nothing here, such as a date
            torch.testing.assert_close(vars(found), vars(thing), rtol=0, atol=0)
    assert refused > len(whole) / 17 / 3


# --- bad input


def with_nan(named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.clone().index_fill_(0, torch.tensor([0]), math.nan) for name, t in named.items()}


A, B, C = SOLUTIONS
OTHER = tiny(hidden=6)
WIDE = task(shape=(7,))
AXIS = torch.linspace(0, 1, 3)
SURFACE = {"model": tiny(), "plane": THROUGH, "data": task(), "xs": AXIS, "ys": AXIS}
LINE = {"model": tiny(), "a": A, "b": B, "data": task()}
CURVATURE = {"model": tiny(), "plane": THROUGH, "data": task()}
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
    ("no filters", lambda: random_plane(cl.two_weights()), "center", "1 without", "other than zero"),
    ("short path", lambda: pca_plane([A, B]), "path", "2 of them", "at least three"),
    ("no path", lambda: pca_plane(tiny()), "path", "Sequential", "a list"),  # type: ignore[arg-type]
    ("straight path", lambda: pca_plane([A, MIDDLE, B]), "path", "distance of", "not lie on a line"),
    ("path that stays", lambda: pca_plane([A, A, A]), "path", "distance of", "away"),
    ("path of others", lambda: pca_plane([OTHER, A, B]), "path", r"\(6, 4\)", r"\(5, 4\)"),
    ("not orthonormal", lambda: Plane(A, B, C), "first and second", r"\[\d", "plane_through"),
    ("project: architecture", lambda: THROUGH.project(OTHER), "weights", r"\(6, 4\)", r"\(5, 4\)"),
    ("project: NaN", lambda: THROUGH.project(with_nan(A)), "weights", "NaN", "finite"),
    *[
        (f"plane: {f.__name__}", lambda f=f, o=o: f(**{**o, "model": OTHER}), "plane", r"\(5, 4\)", r"\(6, 4\)")
        for f, o in ((loss_surface, SURFACE), (plane_curvature, CURVATURE))
    ],
    ("architecture: interpolate", lambda: interpolate(**{**LINE, "b": OTHER}), "b", r"\(6, 4\)", r"\(5, 4\)"),
    ("architecture: at", lambda: plane_curvature(**CURVATURE, at=OTHER), "at", r"\(6, 4\)", r"\(5, 4\)"),
    ("no plane", lambda: loss_surface(**{**SURFACE, "plane": A}), "plane", "dict", "plane_through"),
    ("NaN: interpolate", lambda: interpolate(**{**LINE, "a": with_nan(A)}), "a", "NaN", "finite"),
    ("one point: interpolate", lambda: interpolate(**LINE, n=1), "n", "1", "at least 2"),
    *[
        (f"{axis} {what}", lambda axis=axis, values=values: loss_surface(**{**SURFACE, axis: values}), axis, given, works)
        for axis in ("xs", "ys")
        for what, values, given, works in [
            ("of size 0", [], r"\(0,\)", "at least one number"),
            ("in two dimensions", torch.zeros(2, 2), r"\(2, 2\)", "one dimension"),
            ("with NaN", [0.0, math.nan], r"\[0.0, nan\]", "finite"),
            ("with infinity", [0.0, math.inf], "inf", "finite"),
            ("not increasing", [0.0, 1.0, 1.0], r"1.0, 1.0", "increasing"),
            ("falling", [1.0, 0.0], r"\[1.0, 0.0\]", "linspace"),
            ("of words", "ab", "str", "numbers"),
            ("a number", 3.0, r"\(\)", "one dimension"),
        ]
    ],
    *[
        (f"data {what}: {f.__name__}", lambda f=f, o=o, data=data: f(**{**o, "data": data}), argument, given, works)
        for f, o in ((loss_surface, SURFACE), (interpolate, LINE))
        for what, data, argument, given, works in [
            ("none", [], "data", "none", "at least one"),
            ("a tensor", AXIS, "data", "Tensor", "a list of Task"),
            ("of one name", [task(), task()], "data", r"\['A', 'A'\]", "different names"),
            ("too wide", WIDE, "model", r"\(12, 7\)", "4x5"),
            ("with too many labels", task((0, 3)), "y", "class 3", "0 to 2"),
        ]
    ],
    ("too wide: plane_curvature", lambda: plane_curvature(**{**CURVATURE, "data": WIDE}), "model", r"\(12, 7\)", "4x5"),
    ("no model", lambda: loss_surface(**{**SURFACE, "model": torch.sin}), "model", "builtin_function", "torch.nn.Module"),
]  # fmt: skip


def single(named: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.float() for name, t in named.items()}


@pytest.mark.parametrize(("call", "argument", "given", "works"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_is_refused_before_any_work(call, argument, given, works, monkeypatch):
    def work(*args: object, **options: object) -> None:
        raise AssertionError("work was begun")

    for name in ("table", "diagonal_fisher", "restricted_fisher"):
        monkeypatch.setattr(landscapes, name, work)
    before = [state(thing["model"]) for thing in (SURFACE, LINE, CURVATURE)] + [state(OTHER)]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert re.match(rf"{argument}\b", message), f"the message does not begin with {argument}: {message}"
    assert re.search(given, message), f"the message does not show what was given: {message}"
    assert re.search(works, message), f"the message does not say what works: {message}"
    assert "\n" not in message and len(message) < 400
    assert [state(thing["model"]) for thing in (SURFACE, LINE, CURVATURE)] + [state(OTHER)] == before
