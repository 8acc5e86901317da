"""A chain of Linear and pointwise layers learns without autograd, which takes half the time of a small network's step.

The numbers are autograd's to the last bit, as torch's own functions are called on the same numbers in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from ..models import head, runs
from .pointwise import POINTWISE, through
from .products import Product, product

_aten = torch.ops.aten
_NONE, _MEAN = 0, 1  # what becomes of the losses of the samples
_NO_LABEL = -100  # a label that would be passed over
_FORWARD: dict[type[nn.Module], Any] = {kind: kind.forward for kind in (nn.Linear, *POINTWISE)}  # one may be replaced
_Link = tuple[Tensor, Tensor | None, list[nn.Module]]  # weight, bias, the pointwise layers that follow


class Chain:
    """(x, y) of a batch -> its mean cross-entropy, whose gradient is added to ``.grad`` of every weight.

    Args:
        model: one that :func:`is_chain`.
        classes: the outputs that take part, None for all.
        times: the product of two matrices, see products.py; by another than the usual one the last bits differ.
    """

    def __init__(self, model: nn.Sequential, classes: Sequence[int] | None, times: Product = product) -> None:
        self.first, self.links = links(model)  # looked up once: the weights are the same tensors at every step
        self.classes, self.times = classes, times

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        for layer in self.first:
            x = layer(x)
        inputs, ways = [], []
        for weight, bias, following in self.links:
            inputs.append(x)
            x = self.times(x, weight, bias)
            way = []
            for layer in following:
                x, back = through(layer, x)
                way.append(back)
            ways.append(way)
        loss, g = loss_and_gradient(x, y, self.classes)
        for i in reversed(range(len(self.links))):
            weight, bias, _ = self.links[i]
            for back in reversed(ways[i]):
                g = back(g)
            _add(weight, self.times(g.t(), inputs[i].t(), None))
            if bias is not None:
                _add(bias, g.sum(0))
            if i:
                g = self.times(g, weight.t(), None)
        return loss


def _add(p: Tensor, g: Tensor) -> None:
    if p.grad is None:
        p.grad = g
    else:
        p.grad.add_(g)


def loss_and_gradient(logits: Tensor, y: Tensor, classes: Sequence[int] | None, of: int | None = None) -> tuple[Tensor, Tensor]:
    """Cross-entropy of ``logits`` (samples, outputs), and the gradient of its mean there: (), (samples, outputs).

    With ``of`` they are the logits of several networks, one after the other, ``of`` samples each: then the losses are given
    sample by sample, (samples,), and each network has its own mean.
    """
    log_p = torch.log_softmax(head(logits, classes), 1)
    reduction = _MEAN if of is None else _NONE
    loss, n = _aten.nll_loss_forward(log_p, y, None, reduction, _NO_LABEL)
    g = _aten.nll_loss_backward(torch.full_like(loss, 1 / (of or 1)), log_p, y, None, reduction, _NO_LABEL, n)
    g = _aten._log_softmax_backward_data(g, log_p, 1, log_p.dtype)
    if classes is not None and g.shape != logits.shape:  # the other outputs have none
        return loss, spread(g, logits, classes)
    return loss, g


def spread(g: Tensor, logits: Tensor, classes: Sequence[int]) -> Tensor:
    """``g`` in the columns ``classes`` of zeros like ``logits``."""
    of_all = torch.zeros_like(logits)
    if g.is_cpu:
        return of_all.index_copy_(1, torch.tensor(classes), g)
    places = runs(classes)
    for run, part in zip(places, g.split([run.stop - run.start for run in places], 1), strict=True):
        of_all[:, run] = part  # numbers of columns would be sent there at every step
    return of_all


def is_chain(model: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether it is a Sequential of Linear and pointwise layers, without shared or frozen weights, hooks or extras."""
    if type(model) is not nn.Sequential or not len(model):
        return False
    if nn.modules.module._has_any_global_hook() or torch.is_anomaly_enabled():
        return False
    own = [f"{i}.{name}" for i, layer in enumerate(model) for name, _ in layer.named_parameters()]
    return (
        all(type(layer) in (nn.Linear, *POINTWISE) for layer in list(model)[_is_flat(model[0]) :])
        and own == [name for name, p in model.named_parameters() if p.requires_grad]
        and not any(_has_extras(layer) for layer in model.modules())
        and not any(_is_watched(p) for p in model.parameters())
    )


def links(model: nn.Sequential) -> tuple[list[nn.Module], list[_Link]]:
    """The layers of a chain before its first Linear one; then each of these, with those that follow it."""
    first: list[nn.Module] = []
    found: list[_Link] = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            found.append((layer.weight, layer.bias, []))
        else:
            (found[-1][2] if found else first).append(layer)
    return first, found


def _is_flat(layer: nn.Module) -> bool:
    """Whether it makes one vector of each sample, and nothing else."""
    return type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)


def _has_extras(layer: nn.Module) -> bool:
    hooks = layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks
    other = type(layer).forward is not _FORWARD.get(type(layer), type(layer).forward)
    return any(hooks) or "forward" in vars(layer) or other


def _is_watched(p: nn.Parameter) -> bool:
    """Whether it is no plain tensor, somebody wants to see its gradient, or torch takes other types than its own for it."""
    hooks = p._backward_hooks, p._post_accumulate_grad_hooks
    plain = type(p) is nn.Parameter and p.layout is torch.strided and p.is_contiguous()
    return not plain or any(hooks) or torch.is_autocast_enabled(p.device.type)
