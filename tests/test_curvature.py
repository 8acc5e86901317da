"""The Kronecker factors against their definition, and against the dense Fisher where they must agree with it."""

from typing import Any

import pytest
import torch
from small_networks import flat, twice
from torch import Tensor, nn
from torch.nn.functional import unfold

import cl_teach as cl
from cl_teach._weights import shaped


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def data(n: int) -> cl.Split:
    generator = torch.Generator().manual_seed(1)
    return cl.Split(torch.randn(n, 4, generator=generator, dtype=torch.float64), torch.arange(n) % 3)


@pytest.mark.parametrize("labels", ["exact", "true", "predicted"])
def test_of_one_sample_it_is_the_dense_block(labels):
    model, split = network(), data(1)
    dense, blocks, start = cl.full_fisher(model, split, labels), cl.kfac(model, split, labels), 0
    for name, layer in (("0", model[0]), ("2", model[2])):
        size = layer.weight.numel() + layer.bias.numel()
        change = torch.randn(layer.out_features, layer.in_features + 1, dtype=torch.float64)
        vector = torch.cat([change[:, :-1].flatten(), change[:, -1]])
        block = dense[start : start + size, start : start + size]
        assert blocks[name].quadratic(change).item() == pytest.approx((vector @ block @ vector).item(), rel=1e-10)
        start += size


def test_factors_follow_their_definition():
    model, split = network(), data(40)
    block = cl.kfac(model, split, "true", chunk=7)["2"]
    hidden = torch.cat([model[:2](split.x), torch.ones(40, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(block.inputs, hidden.T @ hidden / 40, rtol=1e-12, atol=1e-14)
    d = model(split.x).softmax(1) - torch.nn.functional.one_hot(split.y, 3)
    torch.testing.assert_close(block.outputs, d.T @ d / 40, rtol=1e-12, atol=1e-14)


def test_it_sees_what_the_diagonal_does_not():
    """Two weights with the same input: moved against each other nothing changes, and only the block knows."""
    model = nn.Sequential(nn.Linear(2, 3, bias=False)).double()
    x = torch.randn(50, 1, dtype=torch.float64).repeat(1, 2)
    split = cl.Split(x, torch.arange(50) % 3)
    change = torch.tensor([[1.0, -1.0]] * 3, dtype=torch.float64)
    block, fisher = cl.kfac(model, split)["0"], cl.diagonal_fisher(model, split)["0.weight"]
    assert abs(block.quadratic(change).item()) < 1e-12
    assert (fisher * change**2).sum() > 0.1
    assert cl.restricted_fisher(model, split, [{"0.weight": change}]).item() == pytest.approx(0.0, abs=1e-12)


def test_convolutions_frozen_biases_and_state():
    model = cl.article_cnn(device="cpu").train()
    model[0].bias.requires_grad_(False)
    blocks = cl.kfac(model, cl.mnist(20, 10).train, chunk=8)
    shapes = {name: (len(b.outputs), len(b.inputs)) for name, b in blocks.items()}
    assert shapes == {"0": (10, 25), "3": (20, 251), "8": (50, 321), "11": (10, 51)}
    for block in blocks.values():
        for factor in (block.inputs, block.outputs):
            assert torch.equal(factor, factor.T) or torch.allclose(factor, factor.T, rtol=1e-4)
            assert torch.linalg.eigvalsh(factor.double()).min() > -1e-6
    assert model.training and all(p.grad is None for p in model.parameters())


def test_of_one_image_with_one_position_a_convolution_is_exact():
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten()).double()
    split = cl.Split(torch.randn(1, 1, 2, 2, dtype=torch.float64), torch.tensor([1]))
    change = torch.randn(3, 5, dtype=torch.float64)
    dense = cl.full_fisher(model, split)
    vector = torch.cat([change[:, :-1].flatten(), change[:, -1]])
    assert cl.kfac(model, split)["0"].quadratic(change).item() == pytest.approx((vector @ dense @ vector).item(), rel=1e-10)


def test_a_model_without_such_layers_is_refused():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten())
    with pytest.raises(ValueError, match="model has no Linear or ungrouped convolution layer"):
        cl.kfac(model, cl.Split(torch.zeros(2, 1, dtype=torch.long), torch.tensor([0, 1])))


def test_a_parameter_that_is_one_number_has_a_row_like_any_other() -> None:
    class Temperature(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.warmth = nn.Linear(3, 4), nn.Parameter(torch.tensor(0.7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * self.warmth

    model, data = Temperature(), cl.Split(torch.randn(6, 3), torch.randint(0, 4, (6,)))
    full, diagonal = cl.full_fisher(model, data), cl.diagonal_fisher(model, data)
    assert full.shape == (17, 17)
    torch.testing.assert_close(full.diagonal(), torch.cat([diagonal[name].flatten() for name, _ in model.named_parameters()]))


def by_hand(model: nn.Module, layer: nn.Module, x: Tensor, classes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """E[a a^T] and E[d d^T] one sample and label at a time; positions, also of several calls, are columns."""
    calls: list[tuple[Tensor, Tensor]] = []
    handle = layer.register_forward_hook(lambda module, args, output: calls.append((*args, output)))
    inputs, outputs = 0.0, 0.0
    for sample in x.split(1):
        calls.clear()
        log_p = model(sample)[0, list(classes)].log_softmax(0)
        met = [unfold(a, 2, padding=1)[0] if isinstance(layer, nn.Conv2d) else a.T for a, _ in calls]
        a = torch.cat(met, dim=1).detach()  # (I, T)
        a = torch.cat([a, torch.ones_like(a[:1])])
        inputs = inputs + a @ a.T / len(x)
        for one in log_p:
            found = torch.autograd.grad(one, [z for _, z in calls], retain_graph=True)
            d = torch.cat([g[0].reshape(g.shape[1], -1) for g in found], dim=1)  # (O, T)
            outputs = outputs + one.detach().exp() * d @ d.T / (len(x) * a.shape[1])
    handle.remove()
    return inputs, outputs


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3))


@pytest.mark.parametrize("classes", [(0, 1, 2), (0, 2)])
@pytest.mark.parametrize(("make", "shape"), [(convolution, (2, 3, 3)), (twice, (4,))])
def test_factors_of_many_positions_follow_their_definition(make, shape, classes) -> None:
    """Inputs are summed over positions, output gradients averaged: those of a convolution, and those of two calls."""
    torch.manual_seed(0)
    model, x = make().double(), torch.randn(6, *shape, dtype=torch.float64)
    split = cl.Split(x, torch.tensor([0, 2]).repeat(3))
    for name, block in cl.kfac(model, split, classes=classes, chunk=4).items():
        inputs, outputs = by_hand(model, model.get_submodule(name), x, classes)
        torch.testing.assert_close(block.inputs, inputs, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(block.outputs, outputs, rtol=1e-10, atol=1e-14)


OPTIONS: dict[str, dict[str, Any]] = {
    "n": {"n": 7},
    "classes": {"classes": (0, 2)},
    "seed": {"labels": "sample", "seed": 3},
    "all": {"n": 7, "classes": (2, 0), "labels": "sample", "seed": 3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_view_is_of_the_fisher_with_the_same_options(name: str) -> None:
    options, model = OPTIONS[name], network()
    split = cl.Split(data(20).x, torch.tensor([0, 2]).repeat(10))
    diagonal, full = cl.diagonal_fisher(model, split, **options), cl.full_fisher(model, split, **options)
    other = cl.diagonal_fisher(model, split, options.get("labels", "exact"))
    assert (flat(other) - flat(diagonal)).norm() > 0.05 * flat(diagonal).norm()  # or nothing is seen here
    torch.testing.assert_close(full.diagonal(), flat(diagonal), rtol=1e-10, atol=1e-15)
    u = torch.randn(len(full), 2, dtype=torch.float64)
    torch.testing.assert_close(cl.restricted_fisher(model, split, u, **options), u.T @ full @ u, rtol=1e-10, atol=1e-13)
    product = cl.fisher_vector_product(model, split, shaped(u[:, 0], diagonal), **options)
    torch.testing.assert_close(flat(product), full @ u[:, 0], rtol=1e-10, atol=1e-13)
    for layer, block in cl.kfac(model, split, **options).items():  # a bias meets a 1: its diagonal is that of its layer's G
        torch.testing.assert_close(block.outputs.diagonal(), diagonal[f"{layer}.bias"], rtol=1e-10, atol=1e-15)


def test_of_the_first_samples_only() -> None:
    model = network()
    few, wanted = cl.kfac(model, data(20), n=5), cl.kfac(model, data(20).first(5))
    for name, block in wanted.items():
        assert torch.equal(few[name].inputs, block.inputs) and torch.equal(few[name].outputs, block.outputs)
