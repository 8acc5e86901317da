"""What goes wrong in public code, reproduced on purpose: each function computes, honestly and briefly, the wrong thing.

None of these raises, prints a warning or looks wrong in a review; each gives numbers of the right shape. How far they are
from the right ones is measured in the tests. Use :func:`cl_teach.diagonal_fisher` and :class:`cl_teach.EWC` instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .. import _checks
from .._weights import Named, copied, eval_mode, own_modes
from ..fisher import diagonal_fisher
from ..penalties import Penalty
from ..tasks import Split
from ..training import train


def squared_batch_mean(model: nn.Module, data: Split, batch_size: int = 128) -> Named:
    """Squares the gradient of the *batch mean* loss, and averages over batches.

    Gradients of different samples cancel before they are squared, so the result is smaller by up to the batch size, and by
    more the better the model fits. Only with ``batch_size=1`` is it the Fisher information with true labels.
    """
    total, data = _begun(model, data, batch_size)
    with eval_mode(model, derivatives=True):
        for x, y in zip(data.x.split(batch_size), data.y.split(batch_size), strict=True):
            for name, g in _gradient(model, x, y).items():
                total[name] += g.square() * len(y) / len(data)
    return total


def squared_batch_mean_times_size(model: nn.Module, data: Split, batch_size: int = 128) -> Named:
    """The repair that suggests itself: the same, times the batch size.

    The mean square of a sum of B gradients is B times the mean square *plus* B (B - 1) times the square of the mean. So this
    is right only while the mean gradient is zero, as it is on average with labels drawn from the model.
    """
    return {name: f * batch_size for name, f in squared_batch_mean(model, data, batch_size).items()}


def squared_sum_in_train_mode(model: nn.Module, data: Split, batch_size: int = 256) -> Named:
    """Adds up the gradients of all batches and squares at the end, with dropout on.

    At a minimum the sum is zero whatever matters to the model: what is left is noise, of the batches' order and of dropout.
    """
    total, data = _begun(model, data, batch_size)
    with own_modes(model):
        model.train()
        for x, y in zip(data.x.split(batch_size), data.y.split(batch_size), strict=True):
            for name, g in _gradient(model, x, y).items():
                total[name] += g
    return {name: g.square() for name, g in total.items()}


def arg_max_label(model: nn.Module, data: Split) -> Named:
    """Takes the model's best guess for *the* label, instead of all labels with the model's probabilities.

    The best guess has the smallest gradient of all labels: a confident model then seems not to need its weights.
    """
    return diagonal_fisher(model, data, "predicted")


def weighted_by_probability(model: nn.Module, data: Split) -> Named:
    """Squares the true label's gradient and multiplies by its probability p(y|x): one term of the sum over labels.

    Where the model is right the other labels' terms are missing, and they are the large ones; where it is wrong the weight
    is small. The expectation needs every label, or a label drawn from the model and no weight.
    """
    total, data = _begun(model, data)
    weights = _checks.trainable(model)
    with eval_mode(model, derivatives=True):
        for x, y in zip(data.x.split(1), data.y.split(1), strict=True):
            loss = cross_entropy(model(x), y)
            probability = loss.detach().neg().exp()  # of this label: the loss is -log of it
            for name, g in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
                total[name] += probability * g.square() / len(data)
    return total


def last_sample_dropped(model: nn.Module, data: Split, batch_size: int = 256) -> Named:
    """Walks over ``range(0, N - 1, batch_size)``: if a last batch of one sample is left, it is never seen.

    Harmless for most N, which is why it stays; at N = 1 nothing is seen at all.
    """
    total, data = _begun(model, data, batch_size)
    for start in range(0, len(data) - 1, batch_size):
        batch = Split(data.x[start : start + batch_size], data.y[start : start + batch_size])
        for name, f in diagonal_fisher(model, batch, "true").items():
            total[name] += f * len(batch) / len(data)
    return total


def one_sample_too_many(model: nn.Module, data: Split, n: int) -> Named:
    """Stops *after* the counter has passed ``n``: n + 1 samples are added up and divided by n.

    The result is too large by about 1 / n: a factor of two at n = 1.
    """
    total, data = _begun(model, data)
    _checks.sample_count("n", n, len(data))
    for i in range(len(data)):
        if i > n:
            break
        for name, f in diagonal_fisher(model, Split(data.x[i : i + 1], data.y[i : i + 1])).items():
            total[name] += f / n
    return total


def train_with_sliding_anchor(
    model: nn.Module, data: Split, penalty: Penalty, strength: float, epochs: int, lr: float = 0.05
) -> None:
    """Trains under a penalty that is built anew before every epoch, at the weights as they are then.

    Each epoch is held to where the last one ended, not to the old task: the weights walk away in steps.
    """
    _checks.kind("penalty", penalty, Penalty, "a cl_teach penalty such as EWC()")
    for epoch in range(_checks.whole_number("epochs", epochs, at_least=0)):
        weights = copied(model)
        penalty.anchor = {name: weights[name] for name in penalty.anchor}
        train(model, data, penalty=penalty, strength=strength, epochs=1, lr=lr, seed=epoch, progress=False)


def silently_zero_penalty(model: nn.Module, precision: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> Tensor:
    """Sums the quadratic over those parameters whose names it happens to know, and skips the rest.

    Wrap the model once, and every name has a prefix: the penalty is 0, the loss looks fine, and the old task is forgotten as
    if there were no method at all. (The penalties of cl_teach raise an error.)
    """
    total = next(model.parameters()).new_zeros(())
    for name, p in model.named_parameters():
        if name in precision:
            total = total + (precision[name] * (p - anchor[name]).square()).sum()
    return total


def _begun(model: nn.Module, data: Split, batch_size: int = 1) -> tuple[Named, Split]:
    """What is added to, and the data as the model takes them, once the arguments are what they should be."""
    _checks.kind("data", data, Split, "a cl_teach.Split such as task.train")
    _checks.whole_number("batch_size", batch_size, at_least=1)
    parameters = _checks.trainable(model)
    like = next(iter(parameters.values()))
    return {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}, data.to(like.device, like.dtype)


def _gradient(model: nn.Module, x: Tensor, y: Tensor) -> Named:
    """Of the mean cross-entropy of a batch."""
    parameters = _checks.trainable(model)
    return dict(zip(parameters, torch.autograd.grad(cross_entropy(model(x), y), list(parameters.values())), strict=True))
