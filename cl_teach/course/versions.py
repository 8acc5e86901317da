"""Three implementations of EWC from which most tutorials are copied, in our own words: V1, V2 and V3.

Each does by default what its original does, and has settings with which it is right. They are penalties, so that
:func:`cl_teach.train`, ``learn`` and ``sweep`` take them. But all three originals add c * sum_i F_i (theta_i - m_i)^2 to the
loss, without the 1/2 of the paper: their c is half of our strength. What each mistake does alone is in pitfalls.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .. import _checks
from .._prepare import Data
from .._weights import Named, eval_mode, own_modes
from ..penalties import EWC, Penalty
from ..tasks import Split, Task, data_and_classes

LABELS = ("predicted", "true", "sampled")  # the likeliest; that of the data; one drawn from the model


class V1(EWC):
    """One image after the other, with the label that the network holds for the likeliest.

    Before each task the Fisher information of *all* earlier ones is estimated anew at the weights of the moment, from images
    that were kept. (So this version needs old data, which EWC is meant to do without.)

    Args:
        labels: "predicted" as published, or "true"; "sampled" makes it right.
        n: how many images of each task are kept.
        seed: of the labels drawn.
    """

    def __init__(self, labels: str = "predicted", n: int = 200, seed: int = 0) -> None:
        super().__init__(n=n, seed=seed)
        self.labels = _checks.one_of("labels", labels, LABELS)
        self._kept: list[tuple[Split, Sequence[int] | None]] = []

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        images, classes = _images(model, data, classes)
        self._kept.append((images.first(min(self.n or len(images), len(images))), classes))
        generator = torch.Generator().manual_seed(self.seed)
        weights, fisher = _checks.trainable(model), _zeros(model)
        with eval_mode(model, derivatives=True):
            for kept, outputs in self._kept:
                kept = kept.to(images.x.device)
                for x, y in zip(kept.x.split(1), kept.y.split(1), strict=True):
                    for name, g in _gradient(model, weights, x, y, self.labels, outputs, generator).items():
                        fisher[name] += g.square() / sum(len(images) for images, _ in self._kept)
        return fisher

    def merge(self, importance: Named, weights: Named) -> None:
        self.precision.update(importance)
        self.anchor.update(weights)


class V2(EWC):
    """The gradients of all batches' mean losses are added up in train mode, and squared at the end; a penalty for each task.

    Args:
        square: "sum", as published: of the gradients' sum; "samples": each sample's, and their mean is taken.
        mode: "train", as published, so that dropout is on; or "eval".
        labels: "true" as published; with "sampled", "samples" and "eval" it is right.
        batch_size: of the sums.
        seed: of the labels drawn.
    """

    def __init__(
        self, square: str = "sum", mode: str = "train", labels: str = "true", batch_size: int = 256, seed: int = 0
    ) -> None:
        super().__init__(seed=seed)
        self.square = _checks.one_of("square", square, ("sum", "samples"))
        self.mode = _checks.one_of("mode", mode, ("train", "eval"))
        self.labels = _checks.one_of("labels", labels, LABELS)
        self.batch_size = _checks.whole_number("batch_size", batch_size, at_least=1)

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        images, classes = _images(model, data, classes)
        generator = torch.Generator().manual_seed(self.seed)
        size, power = (self.batch_size, 1) if self.square == "sum" else (1, 2)
        weights, total = _checks.trainable(model), _zeros(model)
        with own_modes(model):
            model.train(self.mode == "train")
            for x, y in zip(images.x.split(size), images.y.split(size), strict=True):
                for name, g in _gradient(model, weights, x, y, self.labels, classes, generator).items():
                    total[name] += g**power
        return {name: t.square() if power == 1 else t / len(images) for name, t in total.items()}


class V3(EWC):
    """L2, EWC or EWC_online; samples or mini-batches; three kinds of labels; several heads, or a mask of the classes seen.

    The square of each batch's mean gradient is multiplied by the size of the batch. Heads and the mask are the task's classes.

    Args:
        method: "EWC", a penalty for each task; "EWC_online", all Fishers added up at the latest weights, of which nothing
            fades; "L2", importance 1 for every weight, also of heads that have learnt nothing.
        labels: "predicted" as published, or "true"; "sampled" makes it right.
        batch_size: of the squares; 1 makes it right for any labels, as far as these are.
        n: how many random samples are taken, one by one; None takes all, in batches.
        seed: of the labels drawn, and of the samples.
    """

    def __init__(
        self, method: str = "EWC", labels: str = "predicted", batch_size: int = 128, n: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(n=n, seed=seed)
        self.method = _checks.one_of("method", method, ("EWC", "EWC_online", "L2"))
        self.labels = _checks.one_of("labels", labels, LABELS)
        self.batch_size = _checks.whole_number("batch_size", batch_size, at_least=1)

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        if self.method == "L2":
            return {name: torch.ones_like(f) for name, f in _zeros(model).items()}
        images, classes = _images(model, data, classes)
        generator = torch.Generator().manual_seed(self.seed)
        which = torch.randperm(len(images), generator=generator)[: self.n]
        batches = which.split(self.batch_size if self.n is None else 1)
        weights, fisher = _checks.trainable(model), _zeros(model)
        with eval_mode(model, derivatives=True):
            for batch in batches:
                x, y = images.x[batch.to(images.x.device)], images.y[batch.to(images.y.device)]
                for name, g in _gradient(model, weights, x, y, self.labels, classes, generator).items():
                    fisher[name] += g.square() * len(batch) / len(batches)
        return fisher

    def merge(self, importance: Named, weights: Named) -> None:
        if self.method == "EWC":
            super().merge(importance, weights)
        elif self.method == "EWC_online":
            Penalty.merge(self, importance, weights)
        else:
            self.precision.update(importance)
            self.anchor.update(weights)


def _images(model: nn.Module, data: Data, classes: Sequence[int] | None) -> tuple[Split, Sequence[int] | None]:
    """The training images as ``model`` takes them, and the outputs that the task uses."""
    _checks.kind("data", data, (Task, Split), "a cl_teach.Task, or a Split such as task.train")
    assert isinstance(data, (Task, Split))  # for mypy
    images, its_own = data_and_classes(data, "train")
    like = next(iter(_checks.trainable(model).values()))
    return images.to(like.device, like.dtype), its_own if classes is None else classes


def _zeros(model: nn.Module) -> Named:
    return {name: torch.zeros_like(p, requires_grad=False) for name, p in _checks.trainable(model).items()}


def _gradient(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    x: Tensor,
    y: Tensor,
    labels: str,
    classes: Sequence[int] | None,
    generator: torch.Generator,
) -> Named:
    """Of the mean cross-entropy of a batch, where only ``classes`` compete, with labels of this kind. Unused weights: zero."""
    logits = model(x)
    if classes is not None:
        outputs = torch.tensor(classes, device=y.device)
        logits, y = logits[:, outputs], (y[:, None] == outputs).int().argmax(dim=1)
    if labels == "predicted":
        y = logits.argmax(dim=1)
    elif labels == "sampled":
        y = torch.multinomial(logits.detach().softmax(dim=1).cpu(), 1, generator=generator)[:, 0].to(y.device)
    loss = cross_entropy(logits, y)
    gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True, allow_unused=True)
    return dict(zip(weights, gradients, strict=True))
