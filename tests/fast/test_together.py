"""Networks side by side learn what each of them learns alone."""

import copy
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from small_networks import flat, perturbed, task, weights
from torch import nn

import cl_teach as cl
from cl_teach.fast.pointwise import POINTWISE
from cl_teach.fast.together import train_together
from cl_teach.penalties import proximal_factor

STRENGTHS = [0.0, 0.5, 20.0, 1e6]
FIRST, SECOND = task((1, 3), n=14, shape=(2, 2)), task((0, 2, 4), n=20, shape=(2, 2))
OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.1, "momentum": 0.8, "every": 4, "seed": 3}
OPTIONS |= {"watch": {"first": FIRST, "all outputs": SECOND.train}, "keep_weights": True}


def network(kind: type[nn.Module] = nn.Tanh, bias: bool = True) -> nn.Module:
    layers = [nn.Linear(4, 6, bias=bias), kind(), nn.Linear(6, 5, bias=bias), kind(), nn.Linear(5, 5, bias=bias)]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for layer in layers[::2]:
            layer.reset_parameters()  # type: ignore[operator]
    return nn.Sequential(nn.Flatten(), *layers).double()


def held(model: nn.Module) -> cl.Penalty:
    """By a first task, whose weights are not those that the second begins with."""
    penalty = cl.EWC()
    penalty.consolidate(model, FIRST)
    model.load_state_dict(perturbed(model, seed=2))
    return penalty


def together(
    models: list[nn.Module], penalty: cl.Penalty, data: cl.Task | cl.Split = SECOND, strengths: Any = STRENGTHS, **changes: Any
) -> Any:
    factors = [proximal_factor(strength, OPTIONS["lr"], OPTIONS["momentum"]) for strength in strengths]
    settings = {"tick": None, **OPTIONS, **changes}
    return train_together(models, data, penalty.precision, penalty.anchor, factors, **settings)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", POINTWISE)
def test_each_learns_as_if_alone(kind: type[nn.Module], bias: bool) -> None:
    start, ticks = network(kind, bias), list[int]()
    penalty = held(start)
    models, others = ([copy.deepcopy(start) for _ in STRENGTHS] for _ in range(2))
    histories = together(models, penalty, tick=ticks.append)
    assert ticks == [4] * 6
    for model, alone, strength, history in zip(models, others, STRENGTHS, histories, strict=True):
        expected = cl.train(alone, SECOND, penalty=penalty, strength=strength, **OPTIONS)
        assert history.steps == expected.steps == [0, 4, 6] and not history.diverged and not history.interrupted
        assert history.loss == pytest.approx(expected.loss, rel=1e-9) and len(history.loss) == 6
        for name, curve in expected.watched.items():
            assert history.accuracy(name) == expected.accuracy(name)
            assert [e.loss for e in history.watched[name]] == pytest.approx([e.loss for e in curve], rel=1e-9)
        pairs = [*zip(history.weights, expected.weights, strict=True), (weights(model), weights(alone))]
        assert len(pairs) == 4
        for mine, his in pairs:
            assert list(mine) == list(his)
            torch.testing.assert_close(mine, his, rtol=1e-9, atol=1e-12)
    ends = [flat(weights(model)) for model in models]
    assert all(float((one - other).norm()) > 1e-4 for one, other in pairwise(ends))


def test_a_layer_that_stands_twice_acts_twice() -> None:
    twice = nn.ReLU()
    start = network()
    start[2] = start[4] = twice  # type: ignore[index]
    penalty = held(start)
    models, others = ([copy.deepcopy(start) for _ in STRENGTHS] for _ in range(2))
    together(models, penalty)
    for model, alone, strength in zip(models, others, STRENGTHS, strict=True):
        cl.train(alone, SECOND, penalty=penalty, strength=strength, **OPTIONS)
        torch.testing.assert_close(weights(model), weights(alone), rtol=1e-9, atol=1e-12)


def test_what_diverges_has_no_history_and_the_others_go_on() -> None:
    start, penalty = network(nn.ReLU), cl.L2()
    penalty.consolidate(start, SECOND.train)
    huge = cl.Split(1e200 * SECOND.train.x, SECOND.train.y)
    models = [copy.deepcopy(start) for _ in range(3)]
    first, second, last = together(models, penalty, huge, strengths=[0.0, 1.0, 1e300], watch={})
    assert first is None and second is None
    assert len(last.loss) == 6 and all(math.isfinite(loss) for loss in last.loss) and not last.diverged
    torch.testing.assert_close(weights(models[2]), weights(start), rtol=0, atol=0)  # held fast


def test_ctrl_c_leaves_no_half_trained_networks_for_finished_ones() -> None:
    start, ticks = network(), list[int]()
    penalty = held(start)

    def tick(n: int) -> None:
        ticks.append(n)
        if len(ticks) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together([copy.deepcopy(start) for _ in STRENGTHS], penalty, tick=tick)
    assert ticks == [4] * 5
