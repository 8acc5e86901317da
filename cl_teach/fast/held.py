"""The two ways in which a penalty acts in a training step: without autograd, and without making anything anew at every step."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from .._weights import wide


class Held:
    """Weights theta that are held to m as firmly as P says; three lists of tensors in one order.

    What takes time to make is kept from one step to the next, while P, m and the strength stay what they were.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[list[float], list[Tensor], list[Tensor]]] = {}

    @torch.no_grad()
    def add_gradient(self, theta: list[Tensor], precision: list[Tensor], anchor: list[Tensor], strength: float) -> None:
        """grad += strength P (theta - m)."""
        gaps = self._once("gap", anchor, [], lambda: [torch.empty_like(m) for m in anchor])  # fresh memory costs time
        for p, f, m, gap in zip(theta, precision, anchor, gaps, strict=True):
            torch.sub(p, m, out=gap)
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            p.grad.addcmul_(gap, f, value=strength)

    @torch.no_grad()
    def pull(self, theta: list[Tensor], precision: list[Tensor], anchor: list[Tensor], factors: list[float | Tensor]) -> None:
        """theta += share (m - theta), with :func:`share` of P and the factor c of each."""
        numbers = [c for c in factors if not isinstance(c, Tensor)]
        if len(numbers) < len(factors):  # these change at every step
            shares = [share(f, c) for f, c in zip(precision, factors, strict=True)]
        else:
            shares = self._once(
                "share", precision, numbers, lambda: [share(f, c) for f, c in zip(precision, numbers, strict=True)]
            )
        torch._foreach_lerp_(theta, anchor, shares)

    def _once(self, what: str, of: list[Tensor], settings: list[float], make: Callable[[], list[Tensor]]) -> list[Tensor]:
        what = f"{what} {threading.get_ident()}"  # threads may hold different networks by one penalty
        versions = [0 if t.is_inference() else t._version for t in of]  # which count changes in place
        state, known = [*settings, *versions], self._kept.get(what)
        if known is None or known[0] != state or list(map(id, known[1])) != list(map(id, of)):
            self._kept[what] = known = (state, list(of), make())
        return known[2]


def share(precision: Tensor, c: float | Tensor) -> Tensor:
    """c P / (1 + c P), from 0 (free) to 1 (fixed)."""
    dtype = wide(precision.dtype)
    most = c.to(dtype).clamp(max=1e30) if isinstance(c, Tensor) else min(c, 1e30)
    cp = (precision.to(dtype) * most).clamp_max_(1e30)  # infinity / infinity and 0 times it are NaN
    return cp.div_(cp + 1.0).to(precision.dtype)
