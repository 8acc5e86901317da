"""What is seen of a network while it learns: losses at every step, the watched data and maybe the weights every few steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from . import _checks
from ._prepare import Data, Loaded, Prepared, prepare_or_load
from ._weights import Named, copied, eval_mode, inner
from .models import head


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats, and the share of samples classified correctly, in [0, 1]."""

    loss: float
    accuracy: float


@dataclass
class History:
    """What happened during training, filled as it goes on.

    Attributes:
        loss: mean cross-entropy of each batch, one number a step (without the penalty).
        steps: after how many steps the watched data were evaluated; the first is 0, before training.
        watched: name -> one :class:`Evaluation` for each of ``steps``.
        weights: the trainable parameters at each of ``steps``, if ``keep_weights`` was asked for.
        interrupted: True if Ctrl-C ended training early.
        diverged: True if the loss was no longer finite when it was looked at, every few steps; training ends there.
    """

    loss: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    watched: dict[str, list[Evaluation]] = field(default_factory=dict)
    weights: list[Named] = field(default_factory=list)
    interrupted: bool = False
    diverged: bool = False

    def accuracy(self, name: str) -> list[float]:
        """Accuracy on the watched data ``name``, one number for each of ``steps``."""
        return [e.accuracy for e in self.watched[_checks.one_of("name", name, list(self.watched))]]


@torch.no_grad()
def evaluation(model: nn.Module, data: Prepared | Loaded) -> Evaluation:
    """Loss and accuracy on all of ``data``, in eval mode."""
    loss, correct, count = 0.0, 0, 0
    with eval_mode(model):
        for x, y in data.batches(2_000):
            logits = head(model(x), data.classes)
            loss += float(cross_entropy(logits, y, reduction="sum"))
            correct += int((logits.argmax(1) == y).sum())
            count += len(y)
    return Evaluation(loss / count, correct / count)


class Recorder:
    """Fills the histories of networks that learn side by side, mostly of one; a context manager around their training loop.

    Ctrl-C inside the block ends it, not the program: the histories so far are kept, with ``interrupted`` set.

    Args:
        models: K networks of one kind.
        watch, keep_weights, every: as for :func:`cl_teach.train`.
        total: steps there will be.
        tick: told of every step how many networks made it.

    Attributes:
        histories: one a network.

    Raises:
        TypeError, ValueError: watched data that do not fit the networks.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        watch: Mapping[str, Data],
        keep_weights: bool,
        every: int,
        total: int,
        tick: Callable[[int], object],
    ) -> None:
        self.models, self.keep_weights, self.every, self.total, self.tick = models, keep_weights, every, total, tick
        _checks.truth("keep_weights", keep_weights)
        if not isinstance(watch, Mapping):
            raise TypeError(f"watch must be names with data such as {{'A': task}}, got {type(watch).__name__}")
        self.data = {n: prepare_or_load(models[0], data, "test", name=f"watch[{n!r}]") for n, data in watch.items()}
        self.histories = [History(watched={name: [] for name in watch}) for _ in models]
        self.losses: list[Tensor] = []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        curves = torch.stack(self.losses, 1).tolist() if self.losses else [[] for _ in self.models]
        for history, curve in zip(self.histories, curves, strict=True):
            history.loss, history.interrupted = curve, kind is KeyboardInterrupt
        return kind is KeyboardInterrupt

    def __call__(self, loss: Tensor) -> bool:
        """Take in one step with its loss, () or (K,). False if there is no reason to go on: every loss is infinite or NaN."""
        self.losses.append(loss.detach().view(-1))
        self.tick(len(self.models))
        step = len(self.losses)
        if step % self.every and step != self.total:
            return True
        for history, value in zip(self.histories, self.losses[-1].tolist(), strict=True):
            history.diverged = history.diverged or not math.isfinite(value)
        self.look()
        return not all(history.diverged for history in self.histories)

    def look(self) -> None:
        """Evaluate the watched data, and keep the weights if asked, for all networks that have not diverged."""
        for model, history in zip(self.models, self.histories, strict=True):
            if history.diverged:
                continue
            results = {name: evaluation(model, data) for name, data in self.data.items()}
            if self.keep_weights:
                history.weights.append(copied(inner(model)))
            for name, result in results.items():
                history.watched[name].append(result)
            history.steps.append(len(self.losses))
