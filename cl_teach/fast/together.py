"""K networks of one shape side by side: their K small products are one large one, and each still learns as if alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .._prepare import prepare
from .._weights import Named
from ..history import History, Recorder
from ..tasks import Split, Task
from .chain import links, loss_and_gradient
from .held import share
from .momentum import Momentum
from .pointwise import through


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
    stepper = Momentum(list(stack.values()), lr, momentum)
    learn_from = _Stack(cast(nn.Sequential, models[0]), stack, data.classes)
    total = epochs * math.ceil(len(data) / batch_size)
    with Recorder(models, watch, keep_weights, every, total, tick or (lambda n: None)) as recorder:
        recorder.look()
        for x, y in data.shuffled(batch_size, epochs, seed):
            loss = learn_from(x, y)  # (K,)
            stepper.step()
            with torch.no_grad():
                for theta, m, by in pull:
                    theta.lerp_(m, by)
            recorder(loss)
    if recorder.histories[0].interrupted:
        raise KeyboardInterrupt
    return [None if history.diverged else history for history in recorder.histories]


class _Stack:
    """What a chain is to one network (chain.py), to K: weights (K, out, in), and the loss of each, (K,).

    The first product is one for all, as they see the same inputs.
    """

    def __init__(self, model: nn.Sequential, stack: Named, classes: Sequence[int] | None) -> None:
        self.first, found = links(model)
        of = {id(p): stack[name] for name, p in model.named_parameters()}
        self.links = [(of[id(w)], None if b is None else of[id(b)], following) for w, b, following in found]
        self.classes = classes

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        for layer in self.first:
            x = layer(x)
        k, n = len(self.links[0][0]), len(x)
        inputs, ways = [], []
        for weight, bias, following in self.links:
            inputs.append(x)
            if x.ndim == 2:
                x = linear(x, weight.flatten(0, 1), None if bias is None else bias.flatten())  # (N, K out)
                x = x.view(n, k, -1).transpose(0, 1)
            else:
                x = x @ weight.mT if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)
            way = []
            for layer in following:
                x, back = through(layer, x)
                way.append(back)
            ways.append(way)
        loss, g = loss_and_gradient(x.flatten(0, 1), y.repeat(k), self.classes, n)
        g = g.view_as(x)
        for i in reversed(range(len(self.links))):
            weight, bias, _ = self.links[i]
            for back in reversed(ways[i]):
                g = back(g)
            if i:
                weight.grad = inputs[i].mT.bmm(g).mT
            else:
                weight.grad = g.transpose(0, 1).reshape(n, -1).t().mm(inputs[0]).view_as(weight)
            if bias is not None:
                bias.grad = g.sum(1)
            if i:
                g = g.bmm(weight)
        return loss.view(k, n).mean(1)
