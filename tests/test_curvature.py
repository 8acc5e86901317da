"""The Kronecker factors against their definition, and against the dense Fisher where they must agree with it."""

import pytest
import torch
from torch import nn

import cl_teach as cl


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
