"""Layers that treat each number alone and hold no weights: they take the numbers of many networks at once as they are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Identity)

_aten = torch.ops.aten
# For those whose gradient can be told from their output: input -> output; and (output, gradient there) -> gradient before.
_QUICK: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    nn.ReLU: (torch.relu, lambda out, g: _aten.threshold_backward(g, out, 0)),
    nn.Tanh: (torch.tanh, lambda out, g: _aten.tanh_backward(g, out)),
    nn.Sigmoid: (torch.sigmoid, lambda out, g: _aten.sigmoid_backward(g, out)),
}


def through(layer: nn.Module, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What ``layer`` makes of ``z``; and the way back, from the gradient at its output to that at its input."""
    if type(layer) in _QUICK:
        forth, back = _QUICK[type(layer)]
        out = forth(z)
        return out, lambda g: back(out, g)
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        out = layer(leaf.clone())  # it may work in place
    return out.detach(), lambda g: torch.autograd.grad(out, leaf, g)[0]
