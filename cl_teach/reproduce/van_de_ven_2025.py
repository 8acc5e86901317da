"""G. M. van de Ven, *On the computation of the Fisher information in continual learning*, 2025 (arXiv:2502.11756).

Split MNIST, task-incremental, online EWC with the Fisher information computed in five ways. Where the paper is silent we do
what its code does (github.com/GMvandeVen/continual-learning, ``ICLRblogpost/compare_FI.py``, with the online penalty):

| setting | the paper | its code; and here, where nothing else is said |
|---|---|---|
| network | 784-400-400, a softmax layer for each task | one layer of 10 outputs, of which a task uses its two |
| digits of a task | not said | drawn for each seed: ``numpy.random.seed(s)``, then ``permutation(10)`` |
| Adam | lr 0.001 | the same, one for all tasks: it is not begun anew |
| steps | 2,000 a task, 128 images each | the same; what is left of a pass is passed over |
| penalty | lambda / 2 | the same, gamma 1, anchored at the latest weights; its gradient is added before Adam |
| n = 500 | 500 images | 501 images in the code, divided by 501; here the first 500 of the task |
| Fisher's mean | over all images | divided by one less; here by all |
| BATCHED | square of the sum of a batch's gradients | square of their *mean*, over batches of 128: 128**2 times smaller |
| lambda | the best of 1, 10, ..., 1e13 | by the test accuracy that is reported |
| plus-minus | standard error of 30 seeds | the same |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from .._prepare import Data, prepare
from .._weights import Named
from ..course.pitfalls import squared_batch_mean
from ..penalties import OnlineEWC, Penalty
from ..tasks import Split, Task, mnist, split_classes
from .protocol import Protocol
from .table import Published, Table


class Batched(OnlineEWC):
    """The square of each batch's mean gradient in place of the Fisher information."""

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        assert isinstance(data, Task)
        ready = prepare(model, data, "train", classes)
        order = torch.randperm(len(ready))
        return squared_batch_mean(_Head(model, ready.classes), Split(ready.x[order], ready.y[order]), 128)


class _Head(nn.Module):
    """Only the outputs that a task uses; its parameters have the names that they have in ``model``."""

    def __init__(self, model: nn.Module, classes: Sequence[int] | None) -> None:
        super().__init__()
        self._modules.update(model._modules)
        self.whole, self.classes = [model], classes  # in a list: no submodule of its own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.whole[0](x)
        return logits if self.classes is None else logits[:, list(self.classes)]


def penalty(column: str, method: str, seed: int) -> Penalty | None:
    makers: dict[str, Callable[[], Penalty | None]] = {
        "none": lambda: None,
        "EXACT": OnlineEWC,
        "EXACT (n=500)": lambda: OnlineEWC(n=500),
        "SAMPLE": lambda: OnlineEWC(labels="sample", seed=seed),
        "EMPIRICAL": lambda: OnlineEWC(labels="true"),
        "BATCHED (128)": Batched,
    }
    return makers[method]()


def tasks(column: str, seed: int, n_train: int | None) -> list[Task]:
    """Two digits a task, drawn as the paper's code draws them for this seed."""
    label = torch.as_tensor(np.random.RandomState(seed).permutation(10))
    whole = mnist(n_train, None)
    train, test = (Split(part.x, label[part.y]) for part in (whole.train, whole.test))
    return split_classes(replace(whole, train=train, test=test), 2, "task")


TABLE = Table(
    name="van_de_ven_2025",
    title="Split MNIST, task-incremental, online EWC: five ways to compute the Fisher information",
    published={
        ("task", "none"): Published(0.8541, 0.0088, 30),
        ("task", "EXACT"): Published(0.9912, 0.0016, 30),
        ("task", "EXACT (n=500)"): Published(0.9893, 0.0015, 30),
        ("task", "SAMPLE"): Published(0.9912, 0.0012, 30),
        ("task", "EMPIRICAL"): Published(0.9912, 0.0012, 30),
        ("task", "BATCHED (128)"): Published(0.9911, 0.0016, 30),
    },
    strengths={  # every second decade, and the ones around each optimum
        ("task", "none"): (0.0,),
        ("task", "EXACT"): (1e0, 1e2, 1e4, 1e5, 1e6, 1e7, 1e8, 1e10, 1e12),
        ("task", "EXACT (n=500)"): (1e0, 1e2, 1e4, 1e5, 1e6, 1e7, 1e8, 1e10, 1e12),
        ("task", "SAMPLE"): (1e0, 1e2, 1e4, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13),
        ("task", "EMPIRICAL"): (1e0, 1e2, 1e4, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13),
        ("task", "BATCHED (128)"): (1e0, 1e2, 1e4, 1e6, 1e8, 1e10, 1e11, 1e12, 1e13),
    },
    protocols={"task": Protocol(steps=2_000, drop_last=True)},
    tasks=tasks,
    penalty=penalty,
    seeds=(1, 2, 3, 4, 5),
)
