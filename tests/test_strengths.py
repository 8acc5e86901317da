"""Strengths to try: the formulas of the docstring, and that what the two ends promise is what networks then do."""

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

import cl_teach as cl


def with_precision(dtype: torch.dtype = torch.float32, factor: float = 1.0, **precision: list[float]) -> cl.EWC:
    """A penalty that knows one task, with the anchor at 0."""
    penalty = cl.EWC()
    penalty.precision = {name: torch.tensor(values, dtype=dtype) * factor for name, values in precision.items()}
    penalty.anchor = {name: torch.zeros_like(p) for name, p in penalty.precision.items()}
    penalty.n_tasks = 1
    return penalty


SHARES = {
    "w": [0.0, 10.0, 0.125, 30.0],
    "b": [40.0, 18.875, 1.0, 0.0],
}  # of 100: the largest two have half, those from 1 on 99 %


def test_the_ends_are_those_of_the_formulas() -> None:
    # no momentum, lr 0.1: c = lambda / 10; P(0.5) = 30, P(0.99) = 1
    found = cl.suggest_strengths(with_precision(**SHARES), lr=0.1, momentum=0.0)
    assert found[0] == 3e-5 and found[-1] == 30.0  # 0.0001 / (0.1 * 30) and 3 / (0.1 * 1), to one digit
    assert len(found) == 9 and found == sorted(found)
    ratio = (30 / (1e-3 / 30)) ** (1 / 8)
    for i, strength in enumerate(found):
        assert strength == pytest.approx(1e-3 / 30 * ratio**i, rel=0.34)  # 1.5 and 2.5 become 2
        assert strength == float(f"{strength:.0e}")


def test_the_suggestions_for_l2_are_the_same_for_every_network() -> None:
    task = cl.two_weight_tasks()[0]
    for model in (cl.two_weights(), cl.mlp((5,), n_inputs=2, n_classes=2, device="cpu").double()):
        penalty = cl.L2()
        penalty.consolidate(model, task)
        found = cl.suggest_strengths(penalty)
        assert found == [2e-4, 7e-4, 3e-3, 1e-2, 3e-2, 0.1, 0.5, 2.0, 6.0]
        assert max(found) < penalty.stability_limit(0.05, 0.9), "all of them are right for the gradient step"


def test_lr_momentum_and_the_scale_of_the_precision_enter_as_in_the_proximal_factor() -> None:
    plain = cl.suggest_strengths(with_precision(**SHARES), lr=0.1, momentum=0.0)
    for changed in (
        cl.suggest_strengths(with_precision(**SHARES), lr=0.01, momentum=0.9),  # 0.01 / (1 - 0.9)
        cl.suggest_strengths(with_precision(**SHARES, factor=0.1), lr=1.0, momentum=0.0),
        cl.suggest_strengths(with_precision(**SHARES, dtype=torch.float64), lr=0.1, momentum=0.0),
        cl.suggest_strengths(with_precision(**SHARES, dtype=torch.bfloat16), lr=torch.tensor(0.1), momentum=0.0),  # type: ignore[arg-type]
    ):
        assert changed == pytest.approx(plain, rel=1e-6)
    assert cl.suggest_strengths(with_precision(**SHARES)) == cl.suggest_strengths(with_precision(**SHARES), 0.05, 0.9)
    tiny = cl.suggest_strengths(with_precision(**SHARES, factor=1e-30), lr=0.1, momentum=0.0)
    assert all(math.isfinite(s) for s in tiny) and tiny == pytest.approx([1e30 * s for s in plain], rel=1e-6)


class Loose(nn.Module):
    """Two tensors of weights, each a distance of 1 from the anchor."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))


@pytest.mark.parametrize(("lr", "momentum"), [(0.05, 0.9), (0.3, 0.0)])
def test_what_the_ends_do_to_weights(lr: float, momentum: float) -> None:
    def distances(strength: float, steps: int) -> Tensor:
        model, penalty = Loose(), with_precision(**SHARES)
        for _ in range(steps):
            penalty.proximal_step(model, lr * strength / (1 - momentum))
        return torch.cat([model.w, model.b]).detach()

    found, precision = cl.suggest_strengths(with_precision(**SHARES), lr, momentum), torch.tensor(SHARES["w"] + SHARES["b"])
    assert 0.85 < distances(found[0], 1_000)[precision == 30.0] < 0.95, "a tenth of the way back"
    assert 0.18 < distances(found[-1], 1)[precision == 1.0] < 0.33, "three quarters of the way back"


def test_penalty_and_random_state_stay_as_they_are() -> None:
    penalty, state = with_precision(**SHARES), torch.get_rng_state()
    cl.suggest_strengths(penalty)
    assert {name: p.tolist() for name, p in penalty.precision.items()} == SHARES and penalty.n_tasks == 1
    assert torch.equal(torch.get_rng_state(), state)


def table_of_numbers(seed: int) -> cl.Task:
    """Twenty columns, four classes of two clumps each, elsewhere for every seed."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(4, 2, 20, generator=generator)

    def part() -> cl.Split:
        y, clump = torch.randint(4, (1_000,), generator=generator), torch.randint(2, (1_000,), generator=generator)
        return cl.Split(centres[y, clump] + torch.randn(1_000, 20, generator=generator), y)

    return cl.Task(str(seed), part(), part(), (0, 1, 2, 3))


def smooth(seed: int) -> nn.Sequential:
    """No unit of it is ever off: see the limits that ``suggest_strengths`` names."""
    layers = [nn.Tanh() if isinstance(layer, nn.ReLU) else layer for layer in cl.mlp((64, 64), 20, 4, seed, "cpu")]
    return nn.Sequential(*layers)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["L2", "EWC", "SI", "MAS"])
def test_the_first_does_nothing_the_last_holds_and_the_best_lies_between(method: str) -> None:
    a, b = table_of_numbers(0), table_of_numbers(1)
    watch, options = {"A, held out": a.test, "B, held out": b.test}, {"epochs": 10, "batch_size": 64}
    penalty, learner = cl.sweeps.METHODS[method](), smooth(0)
    cl.train(learner, a, penalty=penalty, **options)
    penalty.consolidate(learner, a)
    grid = cl.suggest_strengths(penalty)
    swept = cl.sweep(smooth, a, b, methods=[method], strengths=[0.0, *grid], watch=watch, **options)
    before, (free, first, last) = swept.starts[0], (swept[method, strength, 0] for strength in (0.0, grid[0], grid[-1]))
    assert abs(first.a.accuracy - free.a.accuracy) < 0.02 and abs(first.b.accuracy - free.b.accuracy) < 0.02
    assert last.a.accuracy > before.a.accuracy - 0.02 and last.b.accuracy < free.b.accuracy - 0.3
    assert free.a.accuracy < before.a.accuracy - 0.3, "or nothing needs to be held"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best = swept.best(method, on=tuple(watch))
    assert grid[2] <= best <= grid[-2]
    middle = swept[method, best, 0]
    assert all(middle.a.accuracy + middle.b.accuracy > end.a.accuracy + end.b.accuracy + 0.05 for end in (first, last))
