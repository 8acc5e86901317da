"""K networks of one shape side by side: their K small products are one large one, and each still learns as if alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from .._prepare import prepare
from .._weights import Named
from ..history import History, Recorder
from ..models import head
from ..tasks import Split, Task
from .held import share
from .pointwise import POINTWISE


def train_together(
    models: list[nn.Module],
    task: Task | Split,
    precision: Named,
    anchor: Named,
    factors: list[float],
    tick: Callable[[int], object] | None,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    every: int,
    seed: int,
    watch: Mapping[str, Task | Split],
    keep_weights: bool,
) -> list[History | None]:
    """What :func:`cl_teach.train` does with the proximal step, for K networks that start alike; None for those that diverged.

    Args:
        precision, anchor: of the penalty.
        factors: c of its proximal step, one a network.
        tick: told of every step how many networks made it.
        The others are as for :func:`cl_teach.train`.
    """
    k = len(models)
    data = prepare(models[0], task, "train")
    stack = {name: p.detach().repeat(k, *[1] * p.ndim) for name, p in models[0].named_parameters()}  # (K, ...)
    for i, model in enumerate(models):
        for name, p in model.named_parameters():
            p.data = stack[name][i]  # a view: to look at a network is to look at its part of the stack
    pull = []
    for name, f in precision.items():
        shares = torch.stack([share(f.to(stack[name]), c) for c in factors])
        pull.append((stack[name], anchor[name].to(stack[name]), shares))
    stepper = torch.optim.SGD([t.requires_grad_() for t in stack.values()], lr=lr, momentum=momentum)
    total = epochs * math.ceil(len(data) / batch_size)
    with Recorder(models, watch, keep_weights, every, total, tick or (lambda n: None)) as recorder:
        recorder.look()
        for x, y in data.shuffled(batch_size, epochs, seed):
            logits = head(_forward(models[0], stack, x).flatten(0, 1), data.classes)  # (K N, C)
            loss = cross_entropy(logits, y.repeat(k), reduction="none").view(k, -1).mean(1)  # (K,)
            stepper.zero_grad()
            loss.sum().backward()
            stepper.step()
            with torch.no_grad():
                for theta, m, by in pull:
                    theta.lerp_(m, by)
            recorder(loss)
    if recorder.histories[0].interrupted:
        raise KeyboardInterrupt
    return [None if history.diverged else history for history in recorder.histories]


def stackable(model: nn.Module) -> bool:
    """Whether it is a plain chain of Linear layers and activations, without shared or frozen weights, hooks or extras."""
    if type(model) is not nn.Sequential or not len(model):
        return False
    flat = type(model[0]) is nn.Flatten and (model[0].start_dim, model[0].end_dim) == (1, -1)
    layers = list(model)[1:] if flat else list(model)
    own = [f"{i}.{name}" for i, layer in enumerate(model) for name, _ in layer.named_parameters()]
    return (
        all(type(layer) in (nn.Linear, *POINTWISE) for layer in layers)
        and own == [name for name, p in model.named_parameters() if p.requires_grad]
        and not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    )


def _forward(model: nn.Module, stack: Named, x: Tensor) -> Tensor:
    """(N, ...) inputs to (K, N, C) logits of K networks; the first product is one for all, as they see the same inputs."""
    for name, layer in model.named_children():
        if not isinstance(layer, nn.Linear):
            x = layer(x)
            continue
        weight, bias = stack[f"{name}.weight"], stack.get(f"{name}.bias")  # (K, out, in), (K, out)
        if x.ndim == 2:
            x = linear(x, weight.flatten(0, 1), None if bias is None else bias.flatten())  # (N, K out)
            x = x.unflatten(1, weight.shape[:2]).transpose(0, 1)
        else:
            x = x @ weight.mT if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)
    return x
