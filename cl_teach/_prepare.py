"""Data at the door: checked once, and then given to every engine in the type and on the device of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import _checks
from ._weights import eval_mode, same_buffers
from .tasks import Split, Task, data_and_classes

Data = Split | Task | Iterable[Any]  # the last: a DataLoader, or any other iterable of batches (x, y)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Labelled data that fit a model.

    Attributes:
        x: inputs (N, ...); their type is changed batch by batch, as a second copy of all of them would cost memory.
        y: labels (N,), int64, on the device of the model, counted within ``classes``.
        classes: the outputs that take part, None for all of them.
        like: a tensor of the device and floating-point type of the model.
        n_outputs: of the model.
    """

    x: Tensor
    y: Tensor
    classes: tuple[int, ...] | None
    like: Tensor
    n_outputs: int

    def __len__(self) -> int:
        return len(self.y)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) of ``size`` samples at a time, in order, as the model takes them."""
        for x, y in zip(self.x.split(size), self.y.split(size), strict=True):
            yield self._fit(x), y

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(x, y) of the samples ``indices``, as the model takes them."""
        return self._fit(self.x[indices]), self.y[indices]

    def shuffled(self, size: int, epochs: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``epochs`` times all samples in batches of ``size``, each time in another order, the same on every device."""
        order = torch.Generator().manual_seed(seed)  # on the CPU, whatever the device
        for _ in range(epochs):
            for batch in torch.randperm(len(self), generator=order).to(self.y.device).split(size):
                yield self.take(batch)

    def _fit(self, x: Tensor) -> Tensor:
        return _fit(x, self.like)


def prepare(
    model: nn.Module,
    data: Split | Task,
    part: str,
    classes: Sequence[int] | None = None,
    *,
    move: bool = True,
    n_outputs: int | None = None,
) -> Prepared:
    """``data`` checked against ``model``: the ``part`` ("train" or "test") of a task with its classes, or a Split.

    Args:
        classes: take the place of the task's.
        move: bring all inputs to the device of the model now; else each batch is moved when it is its turn.
        n_outputs: of the model, if they are known; None asks it on one sample.

    Raises:
        TypeError: ``data`` is neither a Split nor a Task.
        ValueError: the model cannot take such inputs, gives no (N, C) logits, or has no output for one of the labels.
    """
    _checks.module(model)
    if not isinstance(data, (Split, Task)):
        raise TypeError(f"data must be a cl_teach.Split such as task.train, got {type(data).__name__}; Split(x, y) makes one")
    found, own = data_and_classes(data, part)
    classes = classes or own
    _checks.images_and_labels(found.x, found.y)  # again: what a tensor holds can change
    like = next((t for t in [*model.parameters(), *model.buffers()] if t.is_floating_point()), found.x)
    n_outputs = n_outputs or _outputs(model, found.x, like)
    chosen = None if classes is None else tuple(sorted(set(classes)))  # one rule for all: ascending, each once
    y = _within(found.y.to(like.device), chosen, n_outputs)
    return Prepared(found.x.to(like.device) if move else found.x, y, chosen, like, n_outputs)


def prepared_batches(model: nn.Module, data: Data, n: int | None, classes: Sequence[int] | None) -> Iterator[Prepared]:
    """The training data of a Task, or a Split, whole; a DataLoader batch by batch, as it gives them. Only ``n`` samples.

    Raises:
        TypeError, ValueError: as for :func:`prepare`, or ``n`` is more than the samples there are.
    """
    if isinstance(data, (Split, Task)):
        found, own = data_and_classes(data, "train")
        yield prepare(model, found.first(n), "train", classes or own, move=False)
        return
    if isinstance(data, (Tensor, str, tuple, Mapping)) or not isinstance(data, Iterable):
        raise TypeError(
            f"data must be a cl_teach.Split such as task.train, a Task or a DataLoader, got {type(data).__name__}; "
            "Split(x, y) makes one"
        )
    wanted = None if n is None else _checks.whole_number("n", n, at_least=1)
    count, n_outputs = 0, None
    for pair in data:
        if not (isinstance(pair, Sequence) and len(pair) == 2):
            raise TypeError(f"data must give batches (x, y), got a {type(pair).__name__}")
        batch = Split(pair[0], torch.as_tensor(pair[1]))
        if wanted is not None:
            batch = batch.first(min(len(batch), wanted - count))
        ready = prepare(model, batch, "train", classes, n_outputs=n_outputs)
        n_outputs = ready.n_outputs
        yield ready
        count += len(batch)
        if count == wanted:
            return
    if wanted is not None:
        raise ValueError(f"n must be at most the {count} samples there are, got {n}")
    if not count:
        raise ValueError("data must hold at least one sample, got no batch")


def _fit(x: Tensor, like: Tensor) -> Tensor:
    """On the device and in the floating-point type of the model; whole numbers, such as tokens, stay what they are."""
    return x.to(like) if x.is_floating_point() else x.to(like.device)


def _outputs(model: nn.Module, x: Tensor, like: Tensor) -> int:
    """How many outputs ``model`` has, asked on one sample."""
    with eval_mode(model), same_buffers(model), torch.no_grad():
        try:
            logits = model(_fit(x[:1], like))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"model cannot take x of shape {tuple(x.shape)} and type {x.dtype}: {reason}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model must give logits of shape (N, classes), got {got}")
    return logits.shape[1]


def _within(y: Tensor, classes: tuple[int, ...] | None, n_outputs: int) -> Tensor:
    """Labels counted within ``classes``, of a model with ``n_outputs`` outputs."""
    if classes is not None and (not len(classes) or min(classes) < 0):
        raise ValueError(f"classes must be outputs of the model, from 0 to {n_outputs - 1}, got {tuple(classes)}")
    top = max(classes) if classes else int(y.max())
    if top >= n_outputs:
        raise ValueError(f"y must hold labels from 0 to {n_outputs - 1}, as the model has {n_outputs} outputs; got class {top}")
    if classes is None or list(classes) == list(range(n_outputs)):
        return y
    position = torch.full((n_outputs,), -1, device=y.device)
    position[list(classes)] = torch.arange(len(classes), device=y.device)
    within = position[y]
    if bool((within < 0).any()):
        raise ValueError(f"y must hold labels among classes {tuple(classes)}, got {sorted(set(y[within < 0].tolist()))}")
    return within
