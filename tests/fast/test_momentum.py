"""SGD with momentum is torch's own, to the last bit."""

import pytest
import torch
from torch import Tensor

from cl_teach.fast.momentum import Momentum

SHAPES = [(30, 17), (30,), (), (1, 5)]


def gradients(step: int) -> list[Tensor | None]:
    """The last weight has none before the third step, the first none in the fourth."""
    generator = torch.Generator().manual_seed(step)
    found: list[Tensor | None] = [torch.randn(shape, generator=generator) for shape in SHAPES]
    if step < 2:
        found[-1] = None
    if step == 3:
        found[0] = None
    return found


@pytest.mark.parametrize(("lr", "momentum"), [(0.05, 0.9), (0.3, 0.5), (0.1, 0.0), (0.0, 0.9)])
def test_its_steps_are_those_of_torch(lr: float, momentum: float) -> None:
    mine, his = ([torch.linspace(-1, 1, 600)[: torch.Size(s).numel()].reshape(s).clone() for s in SHAPES] for _ in range(2))
    ours, torchs = Momentum(mine, lr, momentum), torch.optim.SGD(his, lr=lr, momentum=momentum)
    for step in range(6):
        before = [p.clone() for p in mine]
        for p, q, g in zip(mine, his, gradients(step), strict=True):
            p.grad, q.grad = (None, None) if g is None else (g.clone(), g.clone())
        given = [p.grad for p in mine]
        ours.step()
        torchs.step()
        for p, q, was, g, drawn in zip(mine, his, before, given, gradients(step), strict=True):
            assert torch.equal(p, q) and torch.equal(p, was) == (g is None or not lr)
            assert g is None or (drawn is not None and torch.equal(g, drawn))  # a gradient is only read
    ours.zero_grad()
    assert all(p.grad is None for p in mine)


def test_it_keeps_no_gradient_of_others_and_heeds_a_new_learning_rate() -> None:
    mine, his, g = torch.ones(3), torch.ones(3), torch.tensor([1.0, 2.0, 3.0])
    ours, torchs = Momentum([mine], 0.1, 0.5), torch.optim.SGD([his], lr=0.1, momentum=0.5)
    for lr in (0.1, 0.1, 0.02):
        for stepper, p in ((ours, mine), (torchs, his)):
            stepper.param_groups[0]["lr"] = lr
            p.grad = g if p is mine else g.clone()
            stepper.step()
    assert torch.equal(mine, his) and g.tolist() == [1, 2, 3]


def test_no_gradient_no_step() -> None:
    weights = [torch.ones(3)]
    stepper = Momentum(weights, 0.1, 0.9)
    stepper.step()
    assert weights[0].tolist() == [1, 1, 1]
    assert stepper.param_groups == [{"params": weights, "lr": 0.1, "momentum": 0.9, "dampening": 0.0}]
