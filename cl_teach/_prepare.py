"""Data at the door: checked once, and then given to every engine in the type and on the device of the model."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from . import _checks
from ._weights import averaging, eval_mode, normal, same_buffers
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

    def steps(self, size: int) -> int:
        """How many batches of ``size`` there are in an epoch."""
        return math.ceil(len(self) / size)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) of ``size`` samples at a time, in order, as the model takes them."""
        for x, y in zip(self.x.split(size), self.y.split(size), strict=True):
            yield self._fit(x), y

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(x, y) of the samples ``indices``, as the model takes them."""
        x = self.x.index_select(0, indices.to(self.x.device))  # which may not be where the model is
        return self._fit(x), self.y.index_select(0, indices.to(self.y.device))

    def shuffled(self, size: int, epochs: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``epochs`` times all samples in batches of ``size``, each time in another order, the same on every device."""
        order = torch.Generator().manual_seed(seed)  # on the CPU, whatever the device
        for _ in range(epochs):
            for batch in torch.randperm(len(self), generator=order).to(self.y.device).split(size):
                yield self.take(batch)

    def _fit(self, x: Tensor) -> Tensor:
        return _fit(x, self.like)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A DataLoader, or another list of batches, read anew each time; to training and testing the same as :class:`Prepared`.

    Each batch is checked when it is its turn. How large batches are, and in which order, is the loader's to say.
    """

    model: nn.Module
    data: Iterable[Any]
    classes: tuple[int, ...] | None
    like: Tensor

    def steps(self, size: int) -> int:
        try:
            return len(self.data)  # type: ignore[arg-type]
        except TypeError:  # also a DataLoader over a stream
            kind = type(self.data).__name__
            raise TypeError(f"task must say how many batches it has, got a {kind} without length; list(...) has one") from None

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for ready in prepared_batches(self.model, self.data, None, self.classes):
            yield from ready.batches(size)

    def shuffled(self, size: int, epochs: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(epochs):
            yield from self.batches(sys.maxsize)


def prepare_or_load(
    model: nn.Module, data: Data, part: str, classes: Sequence[int] | None = None, *, name: str = "data"
) -> Prepared | Loaded:
    """What :func:`prepare` does, also for a DataLoader: then nothing is read yet.

    Raises:
        TypeError: ``data`` (called ``name`` in errors) is none of these, or can be read only once.
    """
    network = _checks.module(model)
    if isinstance(data, (Split, Task)):
        return prepare(network, data, part, classes)
    _batches_or_error(data, name)
    if isinstance(data, Iterator):
        raise TypeError(f"{name} must be read more than once, got a {type(data).__name__}; list(...) of it can be")
    chosen = None if classes is None else _checks.classes("classes", classes)
    return Loaded(network, data, chosen, _like(network, torch.empty(0)))


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
    network = _checks.module(model)
    if not isinstance(data, (Split, Task)):
        raise TypeError(f"data must be a cl_teach.Split such as task.train, got {type(data).__name__}; Split(x, y) makes one")
    found, own = data_and_classes(data, part)
    chosen = None if classes is None else _checks.classes("classes", classes)
    _checks.images_and_labels(found.x, found.y)  # again: what a tensor holds can change
    like = _like(network, found.x)
    n_outputs = n_outputs or _outputs(network, found.x, like)
    if chosen and chosen[-1] >= n_outputs:
        raise ValueError(f"classes must be outputs of the model, from 0 to {n_outputs - 1}, got {chosen}")
    chosen = chosen or own
    y = _within(normal(found.y), chosen, n_outputs).to(like.device)  # looked at where they are: no device is waited for
    return Prepared(found.x.to(like.device) if move else found.x, y, chosen, like, n_outputs)


def prepared_batches(model: nn.Module, data: Data, n: int | None, classes: Sequence[int] | None) -> Iterator[Prepared]:
    """The training data of a Task, or a Split, whole; a DataLoader batch by batch, as it gives them. Only ``n`` samples.

    Raises:
        TypeError, ValueError: as for :func:`prepare`, or ``n`` is more than the samples there are.
    """
    if isinstance(data, (Split, Task)):
        if n is not None:
            few = data_and_classes(data, "train")[0].first(n)
            data = replace(data, train=few) if isinstance(data, Task) else few
        yield prepare(model, data, "train", classes, move=False)
        return
    _batches_or_error(data, "data")
    wanted = None if n is None else _checks.whole_number("n", n, at_least=1)
    count, n_outputs = 0, None
    for pair in data:
        if not (isinstance(pair, Sequence) and len(pair) == 2):
            raise TypeError(f"data must give batches (x, y), got {_in_words(pair)}")
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


def check_batches(model: nn.Module, task: Data, batch_size: int, held: Sequence[nn.Module]) -> None:
    """A batch of one has no variance: batch norm that is not held cannot take it."""
    if isinstance(task, (Split, Task)):
        n = len(task.train if isinstance(task, Task) else task)
    else:  # a DataLoader says how large its last batch is, other loaders do not
        source, batch_size = getattr(task, "dataset", None), getattr(task, "batch_size", None) or 2
        n = len(source) if isinstance(source, Sized) and not getattr(task, "drop_last", False) else 0
    if n and (n % batch_size or batch_size) == 1 and len(held) < len(averaging(model)):
        raise ValueError(f"batch_size must not leave a batch of one to batch norm, got {batch_size} for {n} samples")


def _batches_or_error(data: object, name: str) -> None:
    """Whether ``data`` can be a number of batches."""
    if isinstance(data, (Tensor, str, bytes, tuple, Mapping)) or not isinstance(data, Iterable):
        raise TypeError(
            f"{name} must be a cl_teach.Split such as task.train, a Task or a DataLoader, got {type(data).__name__}; "
            "Split(x, y) makes one"
        )


def _in_words(batch: object) -> str:
    """What a batch is that is no (x, y), with the line that makes it one."""
    if isinstance(batch, Mapping) and len(batch) > 1:
        x, *_, y = batch
        return f"dicts with {', '.join(map(str, batch))}; [(b[{x!r}], b[{y!r}]) for b in data] makes pairs"
    if isinstance(batch, (Task, Split)):
        return f"a {type(batch).__name__}; learn takes several tasks in turn, joint makes them one"
    if isinstance(batch, Sequence) and not isinstance(batch, str) and len(batch) > 2:
        return f"{len(batch)} things a batch; [(b[0], b[1]) for b in data] makes pairs of the first two"
    return f"a {type(batch).__name__}; [(x, y), ...] with tensors x and labels y would do"


def _like(model: nn.Module, otherwise: Tensor) -> Tensor:
    """A tensor of the device and floating-point type of ``model``."""
    return next((t for t in [*model.parameters(), *model.buffers()] if t.is_floating_point()), otherwise)


def _fit(x: Tensor, like: Tensor) -> Tensor:
    """On the device and in the floating-point type of the model; whole numbers, such as tokens, stay what they are."""
    x = normal(x)
    return x.to(like) if x.is_floating_point() else x.to(like.device)


def _outputs(model: nn.Module, x: Tensor, like: Tensor) -> int:
    """How many outputs ``model`` has, asked on one sample."""
    with eval_mode(model), same_buffers(model), torch.no_grad():
        try:
            logits = model(_fit(x[:1], like))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"model cannot take x of shape {tuple(x.shape)} and type {x.dtype}: {reason}") from error
    if not isinstance(logits, Tensor):
        raise ValueError(f"model must give logits of shape (N, classes), got {_one_line(logits)}")
    if logits.ndim != 2 or not logits.is_floating_point():
        raise ValueError(f"model must give logits of shape (N, classes), got shape {tuple(logits.shape)} of {logits.dtype}")
    if logits.shape[1] < 2:
        raise ValueError(
            f"model must give logits of at least two classes, got shape {tuple(logits.shape)}: classification only. For two "
            "classes take two outputs (a sigmoid's z is the logits (0, z)); regression has another Fisher information"
        )
    p = logits[0].float()
    if not p.is_meta and bool((p >= 0).all()) and abs(float(p.sum()) - 1) < 1e-5:
        message = "model seems to give probabilities, as they add up to 1: logits are wanted, without a softmax at the end"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return logits.shape[1]


def _one_line(output: object) -> str:
    """What a model gave that is no tensor, with the line that makes it give logits."""
    pick = "out.logits" if hasattr(output, "logits") else "out[0]"
    if isinstance(output, Mapping) and not hasattr(output, "logits"):
        pick = f"out[{'logits' if 'logits' in output else next(iter(output), 'logits')!r}]"
    return f"a {type(output).__name__}; model.register_forward_hook(lambda m, args, out: {pick}) makes it give them"


def _within(y: Tensor, classes: tuple[int, ...] | None, n_outputs: int) -> Tensor:
    """Labels counted within ``classes``, of a model with ``n_outputs`` outputs."""
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
