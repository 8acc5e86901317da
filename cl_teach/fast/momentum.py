"""Stochastic gradient descent with momentum: the steps of torch's own, without what that looks up at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Momentum:
    """v <- momentum v + gradient, theta <- theta - lr v: to the last bit what ``torch.optim.SGD`` does.

    Attributes:
        param_groups: one, as an optimiser of torch's has them.
    """

    def __init__(self, weights: Sequence[Tensor], lr: float, momentum: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": weights, "lr": lr, "momentum": momentum, "dampening": 0.0}]
        self._velocity: dict[Tensor, Tensor] = {}

    def zero_grad(self) -> None:
        (group,) = self.param_groups
        for p in group["params"]:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        (group,) = self.param_groups
        moving = [p for p in group["params"] if p.grad is not None]
        v = {p: p.grad for p in moving}
        if group["momentum"]:
            if known := [p for p in moving if p in self._velocity]:
                torch._foreach_mul_([self._velocity[p] for p in known], group["momentum"])
                torch._foreach_add_([self._velocity[p] for p in known], [v[p] for p in known])
            self._velocity |= {p: v[p].clone() for p in moving if p not in self._velocity}
            v = self._velocity
        if moving:
            torch._foreach_add_(moving, [v[p] for p in moving], alpha=-group["lr"])
