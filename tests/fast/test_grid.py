"""Every way through the grid gives what plain evaluation gives; memory; speed."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_networks import IMAGES, Tied, batch_normed, conv, flat, naive, perturbed, task, tiny, twice, weights
from torch import Tensor, nn

import cl_teach as cl
from cl_teach._prepare import prepare
from cl_teach.fast import grid
from cl_teach.landscapes import Plane, loss_surface, plane_through, random_plane


class Own(nn.Module):
    """A module of one's own around a network, with a first layer that is not its first child."""

    def __init__(self, first: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        self.rest, self.first = rest, first

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.first(2 * x))


def switched_off() -> nn.Module:
    """One class is impossible: its logit is minus infinity, which must not make a wrong way look right."""
    model = Tied()
    model.last.register_forward_hook(lambda module, args, output: output.index_fill(1, torch.tensor([2]), -torch.inf))
    return model


def hooked() -> nn.Module:
    model = tiny()
    model[1].register_forward_hook(lambda module, args, output: output**2)
    return model


def frozen() -> nn.Module:
    model = tiny()
    model[1].requires_grad_(False)
    return model


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
    "tied weights, a class switched off": (switched_off, "plain", {"labels": (0, 1)}),
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
    monkeypatch.setattr(grid, "_CACHE", 40)  # several pieces, and several points at once
    plane = plane_through(*(perturbed(model, seed) for seed in range(3)))
    xs, ys = torch.linspace(-1, 2, 5), torch.linspace(-0.5, 1, 3)
    affine = plane.origin, plane.first, plane.second
    with torch.no_grad():
        chosen = grid._choose(model.eval(), affine, prepare(model, data, "test"), xs, ys)[0].__name__
    assert chosen == f"_{way}"
    surface = loss_surface(model, plane, data, xs, ys)
    loss, accuracy = naive(model, plane, data, xs.double(), ys.double())
    torch.testing.assert_close(surface.loss["A"], loss, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(surface.accuracy["A"], accuracy, rtol=0, atol=1e-12)
    assert loss.std() > 1e-3  # a surface, not a floor


def test_memory_does_not_grow_with_the_data_or_thegrid():
    seen: list[int] = []
    cnn = cl.article_cnn(device="cpu")
    cnn[3].register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    images = cl.Split(torch.rand(400, 1, 28, 28), torch.arange(400) % 10)
    loss_surface(cnn, random_plane(cnn), images, [0.0, 1.0], [0.0])
    assert max(seen) * 5_760 <= grid._CACHE  # numbers after the first layer
    model = nn.Sequential(nn.Linear(4, 50), nn.Tanh(), nn.Linear(50, 3))
    seen.clear()
    model[1].register_forward_pre_hook(lambda module, args: seen.append(args[0].numel()))
    many = cl.Split(torch.rand(30_000, 4), torch.arange(30_000) % 3)
    loss_surface(model, random_plane(model), many, torch.linspace(0, 1, 30), [0.0])
    assert grid._CACHE / 2 < max(seen) <= grid._CACHE


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


@pytest.mark.parametrize("swapped", [False, True])
def test_the_judge_looks_where_a_wrong_direction_shows(swapped: bool) -> None:
    """At (0, 0) the weights are the model's own, and along one axis only the last layer moves: what forgets to move the
    tied weights is right there, and wrong along the other axis."""
    torch.manual_seed(0)
    model, data, axis = Tied().double(), task(), torch.tensor([0.0, 1.0])
    directions = []
    for layer in ("last", "first"):
        moved = {name: torch.randn_like(p) * name.startswith(layer) for name, p in weights(model).items()}
        directions.append({name: t / flat(moved).norm() for name, t in moved.items()})
    plane = Plane(weights(model), *(directions[::-1] if swapped else directions))
    surface = loss_surface(model, plane, data, axis, axis)
    loss, accuracy = naive(model, plane, data, axis, axis)
    torch.testing.assert_close(surface.loss["A"], loss, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(surface.accuracy["A"], accuracy, rtol=0, atol=1e-12)
