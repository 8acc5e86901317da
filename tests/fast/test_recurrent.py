"""Recurrent layers step by step: what torch gives; judged like all that is quick; and within memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cl_teach as cl
from cl_teach import fisher
from cl_teach.fast import per_sample, recurrent, sums
from cl_teach.fast.per_sample import PerSample
from cl_teach.fast.recurrent import STEPS, Unrolled, recurrent_layers, unrolled

pytestmark = pytest.mark.usefixtures("float64")


class Network(nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.layer, self.out = kind(3, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x)[0].mean(1))


def data(n: int = 9) -> cl.Split:
    return cl.Split(torch.randn(n, 6, 3), torch.arange(n) % 4)


def ways(model: nn.Module, x: Tensor) -> dict[str, str]:
    with torch.enable_grad():
        work = PerSample(model.eval(), x[[0, -1]], None, ("closed", "vmap"), fisher.plain_squares)
        return {name: work.way.get(name, "loop") for name in work.theta}


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("options", [
    {}, {"bias": False}, {"bidirectional": True, "num_layers": 2}, {"batch_first": True, "num_layers": 3}
])  # fmt: skip
@pytest.mark.parametrize("kind", STEPS)
def test_outputs_and_last_states_are_those_of_torch(kind: type, options: dict[str, Any], start: bool) -> None:
    for more in [{}, {"nonlinearity": "relu"}] if kind is nn.RNN else [{}, {"proj_size": 2}] if kind is nn.LSTM else [{}]:
        layer = kind(3, 5, **options, **more)
        x, states = torch.randn(7, 4, 3), (2 if layer.bidirectional else 1) * layer.num_layers
        samples = 7 if layer.batch_first else 4
        h, c = torch.randn(states, samples, layer.proj_size or 5), torch.randn(states, samples, 5)
        given = ((h, c) if kind is nn.LSTM else h) if start else None
        wanted, found = layer(x, given), Unrolled(layer)(x, given)
        for w, f in zip(torch.utils._pytree.tree_leaves(wanted), torch.utils._pytree.tree_leaves(found), strict=True):
            torch.testing.assert_close(f, w, rtol=1e-12, atol=1e-14)


def test_the_layer_is_torch_s_own_again_afterwards() -> None:
    model = Network(nn.LSTM)
    layers = recurrent_layers(model)
    with unrolled(layers):
        assert vars(model.layer)["forward"] is layers[0]
    assert "forward" not in vars(model.layer)
    own = vars(model.layer)["forward"] = lambda *args: nn.LSTM.forward(model.layer, *args)
    with unrolled(layers):
        pass
    assert vars(model.layer)["forward"] is own


def test_a_class_of_its_own_stays_what_it_is() -> None:
    class Own(nn.GRU):
        def forward(self, x: Tensor) -> Any:  # type: ignore[override]
            h, end = super().forward(x)
            return 2 * h, end

    model = Network(Own)
    assert not recurrent_layers(model)
    assert ways(model, data().x)["layer.weight_hh_l0"] == "loop"


def wrong_numbers(layer: Any, met: Tensor, kept: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    h, c = recurrent._gru(layer, met, kept, h, c)
    return h * 1.01, c


def wrong_derivatives(layer: Any, met: Tensor, kept: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return recurrent._gru(layer, met, kept, h.detach(), c)


@pytest.mark.parametrize(("step", "way"), [(recurrent._gru, "closed"), (wrong_numbers, "loop"), (wrong_derivatives, "loop")])
def test_steps_that_are_wrong_are_not_taken(step: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, split = Network(nn.GRU), data()
    wanted = cl.diagonal_fisher(model, split)
    monkeypatch.setitem(STEPS, nn.GRU, step)
    assert {w for name, w in ways(model, split.x).items() if name.startswith("layer")} == {way}
    for name, found in cl.diagonal_fisher(model, split).items():
        torch.testing.assert_close(found, wanted[name], rtol=1e-10, atol=1e-16)


def test_all_steps_and_columns_stay_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, split = Network(nn.LSTM), data()
    wanted, sizes, sent_back = cl.diagonal_fisher(model, split), list[int](), sums._sent_back

    def counted(source: Tensor, block: list[Tensor], *rest: Any) -> object:
        sizes.append(len(block) * len(source))
        return sent_back(source, block, *rest)

    monkeypatch.setattr(sums, "_sent_back", counted)
    for module in (sums, per_sample):
        monkeypatch.setattr(module, "STORED", 2000)
    for name, found in cl.diagonal_fisher(model, split).items():
        torch.testing.assert_close(found, wanted[name], rtol=1e-10, atol=1e-16)
    assert (
        max(sizes) * (2 * 6 * 20 + 5) <= 2000
    )  # for each sample and column: two products of 20 gates in 6 steps; below the last
    assert len(sizes) > 3
