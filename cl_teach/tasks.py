"""Tasks: real data as whole tensors. MNIST comes with the package; rotating, permuting or splitting it makes a sequence.

A task is two data sets, one to train on and one to test on, and the classes that its labels come from. What makes
continual learning hard is not a task but the order: the data of the first are gone when the second comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import _checks, _mnist


@dataclass(frozen=True, eq=False)
class Split:
    """A labelled data set held as two tensors.

    Args:
        x: inputs, shape (N, ...); floating point for images (here in [0, 1]), whole numbers for tokens.
        y: class labels 0, 1, ..., shape (N,), any whole-number type; kept as int64.

    Raises:
        TypeError: ``x`` or ``y`` is no tensor, or ``y`` holds floats.
        ValueError: empty, of different lengths, negative labels, or NaN or infinity in ``x``.
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        _checks.images_and_labels(self.x, self.y)
        object.__setattr__(self, "y", self.y.long())

    def __len__(self) -> int:
        return len(self.y)

    def first(self, n: int | None) -> Split:
        """The first ``n`` samples (all for None). Raises ValueError if there are fewer."""
        _checks.sample_count("n", n, len(self))
        return self if n is None else Split(self.x[:n], self.y[:n])

    def last(self, n: int | None) -> Split:
        """The last ``n`` samples (all for None), such as those held out of training. Raises ValueError if there are fewer."""
        count = _checks.sample_count("n", n, len(self))
        return self if n is None else Split(self.x[-count:], self.y[-count:])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Split:
        """A copy on ``device``, its inputs as ``dtype`` if they are floating point (no copy where nothing changes)."""
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise TypeError(f"dtype must be a floating-point type such as torch.float64, got {dtype!r}")
        target = None if device is None else _checks.device(device)
        x, y = self.x.to(device=target, dtype=dtype if self.x.is_floating_point() else None), self.y.to(device=target)
        return self if x is self.x and y is self.y else Split(x, y)

    @classmethod
    def from_dataset(cls, dataset: Any, n: int | None = None) -> Split:
        """Any torchvision-style data set (``len`` and ``dataset[i] -> (image, label)``) as tensors, its first ``n`` samples.

        Images may be PIL pictures, arrays or tensors of one common shape; 8-bit values are scaled to [0, 1].
        Transforms of the data set run once per sample here, and never again during training.

        Raises:
            TypeError: it is no such data set; of a DataLoader, ``loader.dataset`` is one.
            ValueError: it is empty, or its samples cannot be one :class:`Split`.
        """
        size = _checks.sample_count("n", n, _checks.length_of_dataset(dataset))
        images, labels = [], []
        for i in range(size):
            image, label = _checks.sample(dataset[i], i)
            images.append(_as_tensor(image))
            labels.append(label)
        shapes = sorted({tuple(image.shape) for image in images})
        if len(shapes) > 1:
            raise ValueError(
                f"dataset must give images of one shape (torchvision's Resize makes them so), got {shapes[0]} and {shapes[1]}"
            )
        return cls(torch.stack(images), _checks.labels(labels))


@dataclass(frozen=True, eq=False)
class Task:
    """One thing to learn.

    Args:
        name: shown in figures and tables.
        train: the data to learn from.
        test: the data to be judged on.
        classes: the labels that the task chooses between, ascending. Only these outputs of the network take part in its
            loss, accuracy and Fisher information; with different classes a task this is a multi-head network, with the
            heads side by side in one output layer.

    Raises:
        TypeError: ``name`` is no text, ``train`` or ``test`` no Split, or ``classes`` are no whole numbers.
        ValueError: ``train`` or ``test`` has a label outside ``classes``, or these are fewer than two.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        _checks.kind("name", self.name, str, "a text such as 'digits'")
        words = "a cl_teach.Split: Split(x, y) makes one of tensors, Task.from_datasets a Task of data sets"
        object.__setattr__(self, "classes", _checks.classes("classes", self.classes))
        for part in ("train", "test"):
            _checks.kind(part, getattr(self, part), Split, words)
            outside = set(getattr(self, part).y.unique().tolist()) - set(self.classes)
            if outside:
                raise ValueError(f"{part} of task {self.name!r} has labels {sorted(outside)} outside classes {self.classes}")

    @classmethod
    def from_datasets(
        cls, train: Any, test: Any, name: str = "task", n_train: int | None = None, n_test: int | None = None
    ) -> Task:
        """A task from two torchvision-style data sets; see :meth:`Split.from_dataset`."""
        parts = []
        for part, dataset, n in (("train", train, n_train), ("test", test, n_test)):
            with _checks.about(part):
                parts.append(Split.from_dataset(dataset, n))
        return cls(name, parts[0], parts[1], _checks.classes("train and test", torch.cat([part.y for part in parts]).unique()))


def data_and_classes(task: Task | Split, part: str) -> tuple[Split, tuple[int, ...] | None]:
    """The ``part`` ("train" or "test") of a task and its classes; a Split stands for itself, and names no classes."""
    return (getattr(task, part), task.classes) if isinstance(task, Task) else (task, None)


def mnist(n_train: int | None = 10_000, n_test: int | None = 2_000) -> Task:
    """The first ``n_train`` training and ``n_test`` test digits of MNIST (None: all 60,000 and 10,000), pixels in [0, 1].

    The data ship with the package; nothing is downloaded. ``x`` has shape (N, 1, 28, 28), float32.
    """
    parts = []
    for name, n, available in (("n_train", n_train, 60_000), ("n_test", n_test, 10_000)):
        _checks.sample_count(name, n, available)
    for name, n in (("train", n_train), ("test", n_test)):
        pixels, labels = _mnist.read(train=name == "train")
        parts.append(Split(pixels[:n].unsqueeze(1).float() / 255, labels[:n].clone()))
    return Task("MNIST", parts[0], parts[1], tuple(range(10)))


def rotated(task: Task, angles: Sequence[float]) -> list[Task]:
    """One task an angle: the images of ``task`` turned anticlockwise by that many degrees, labels unchanged.

    Args:
        task: its ``x`` must be images, shape (N, C, H, W).
        angles: degrees, one a task. Right angles of square images are exact; others are interpolated (bilinear).

    Raises:
        TypeError, ValueError: ``angles`` is empty or holds something that is no finite number.
    """
    if isinstance(angles, (str, bytes)) or not isinstance(angles, (Sequence, Tensor, np.ndarray)):
        raise TypeError(f"angles must be a sequence of degrees such as (0, 90), got {_checks.shown(angles)}")
    if not len(angles):
        raise ValueError("angles must hold at least one angle, got none")
    degrees = [_checks.real_number("angles", angle, at_least=-36_000, at_most=36_000) for angle in angles]
    if _is_task(task).train.x.ndim != 4 or task.test.x.ndim != 4:
        raise ValueError(f"task must hold images of shape (N, C, H, W), got {tuple(task.train.x.shape)}")
    return [_with_images(task, f"{angle:g}°", partial(_turn, angle=angle)) for angle in degrees]


def rotated_mnist(angles: Sequence[float] = (0, 90), n_train: int | None = 10_000, n_test: int | None = 2_000) -> list[Task]:
    """MNIST turned by each of ``angles`` (degrees, anticlockwise): the first task where networks visibly forget.

    See :func:`rotated` and :func:`mnist` for arguments and errors.
    """
    rotated(_TINY, angles)  # bad angles are refused before MNIST is read
    return rotated(mnist(n_train, n_test), angles)


def permuted(task: Task, n_tasks: int = 5, seed: int = 0) -> list[Task]:
    """``n_tasks`` tasks with the same images, whose pixels are shuffled by one fixed permutation a task.

    The first task is unpermuted. To a fully connected network all of them are equally hard, and share nothing but
    the output layer (Goodfellow et al. 2013, arXiv:1312.6211; Kirkpatrick et al. 2017, fig. 2).
    """
    n_tasks = _checks.whole_number("n_tasks", n_tasks, at_least=1)
    generator = torch.Generator().manual_seed(_checks.seed(seed))
    n_pixels = _is_task(task).train.x[0].numel()
    if task.test.x[0].numel() != n_pixels:
        sizes = tuple(task.train.x.shape), tuple(task.test.x.shape)
        raise ValueError(f"task must have images of one size to permute, got {sizes[0]} to train on and {sizes[1]} to test on")
    orders = [torch.arange(n_pixels)] + [torch.randperm(n_pixels, generator=generator) for _ in range(n_tasks - 1)]
    names = ["original"] + [f"permutation {i}" for i in range(1, n_tasks)]
    return [_with_images(task, name, partial(_shuffle, order=o)) for name, o in zip(names, orders, strict=True)]


def permuted_mnist(n_tasks: int = 5, seed: int = 0, n_train: int | None = 10_000, n_test: int | None = 2_000) -> list[Task]:
    """Permuted MNIST; see :func:`permuted` and :func:`mnist`."""
    permuted(_TINY, n_tasks, seed)
    return permuted(mnist(n_train, n_test), n_tasks, seed)


def split_classes(task: Task, classes_per_task: int = 2, scenario: str = "task") -> list[Task]:
    """A sequence of tasks with ``classes_per_task`` classes of ``task`` each (van de Ven, Tuytelaars & Tolias 2022).

    Args:
        scenario: what the learner is told at test time.
            "task": which task it is; each task has outputs ("a head") of its own.
            "domain": not the task, but only the position within it is asked: labels 0 .. classes_per_task - 1.
            "class": nothing; it must choose between all classes seen so far.

    Raises:
        ValueError: unknown scenario, or a number of classes that does not divide those of ``task``.
    """
    _checks.one_of("scenario", scenario, ("task", "domain", "class"))
    classes_per_task = _checks.whole_number("classes_per_task", classes_per_task, at_least=2)
    if len(_is_task(task).classes) % classes_per_task:
        raise ValueError(f"classes_per_task must divide the {len(task.classes)} classes there are, got {classes_per_task}")
    tasks = []
    for start in range(0, len(task.classes), classes_per_task):
        group = task.classes[start : start + classes_per_task]
        seen = task.classes[: start + classes_per_task]
        known = {"task": group, "domain": tuple(range(classes_per_task)), "class": seen}[scenario]
        train, test = (_members(data, group, renumber=scenario == "domain") for data in (task.train, task.test))
        tasks.append(Task(" or ".join(map(str, group)), train, test, known))
    return tasks


def split_mnist(
    classes_per_task: int = 2, scenario: str = "task", n_train: int | None = 10_000, n_test: int | None = 2_000
) -> list[Task]:
    """Split MNIST: 0 or 1, then 2 or 3, ..., from the first ``n_train`` and ``n_test`` digits, see :func:`split_classes`."""
    split_classes(_TINY, classes_per_task, scenario)
    return split_classes(mnist(n_train, n_test), classes_per_task, scenario)


def joint(tasks: Sequence[Task]) -> Task:
    """All tasks as one: what a learner could do that kept every datum. The ceiling that continual learning is held against."""
    _checks.things("tasks", tasks, Task, "Task")
    kinds = [(tuple(data.x.shape[1:]), data.x.dtype, str(data.x.device)) for t in tasks for data in (t.train, t.test)]
    if other := [k for k in kinds if k != kinds[0]]:
        raise ValueError(f"tasks must have samples of one shape, type and device to be joined, got {kinds[0]} and {other[0]}")
    train = Split(torch.cat([t.train.x for t in tasks]), torch.cat([t.train.y for t in tasks]))
    test = Split(torch.cat([t.test.x for t in tasks]), torch.cat([t.test.y for t in tasks]))
    return Task("joint", train, test, classes=tuple({c for t in tasks for c in t.classes}))


def two_weight_tasks(n: int = 1_000, seed: int = 0) -> list[Task]:
    """Tasks A and B for the two-weight model: small enough to draw their loss surfaces exactly.

    In task A the first feature varies much and the second hardly, so A pins down weight 1 and leaves weight 2 nearly free.
    In task B both features rise and fall together, so B pins down the sum of the weights and leaves their difference nearly
    free. A pair of weights that serves both exists, but it is not the one that B alone would choose.

    Returns:
        [A, B], each with ``n`` training and ``n`` test samples: inputs (n, 2), labels 0 or 1 drawn from a logistic model.
    """
    n = _checks.whole_number("n", n, at_least=10)
    generator = torch.Generator().manual_seed(_checks.seed(seed))
    independent = torch.tensor([[2.0, 0.0], [0.0, 0.4]], dtype=torch.float64)
    together = torch.tensor([[1.4, 1.4], [0.3, -0.3]], dtype=torch.float64)
    tasks = []
    for name, mixing, weights in (("A", independent, (1.0, 0.0)), ("B", together, (2.2, 0.8))):
        parts = []
        for _ in range(2):
            x = torch.randn(n, 2, generator=generator, dtype=torch.float64) @ mixing
            p = torch.sigmoid(x @ torch.tensor(weights, dtype=torch.float64))
            y = (torch.rand(n, generator=generator, dtype=torch.float64) < p).long()
            parts.append(Split(x.float(), y))
        tasks.append(Task(name, parts[0], parts[1], (0, 1)))
    return tasks


def _as_tensor(image: Any) -> Tensor:
    """One sample of a data set; 8-bit values are scaled to [0, 1]."""
    is_picture = not isinstance(image, (Tensor, np.ndarray))
    try:
        tensor = torch.as_tensor(np.array(image) if is_picture else image)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"dataset must give PIL pictures, arrays or tensors, got {_checks.shown(image)}") from None
    if is_picture:  # PIL gives (H, W) or (H, W, C); networks want (C, H, W)
        tensor = tensor[None] if tensor.ndim == 2 else tensor.movedim(-1, 0)
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


def _is_task(task: object, name: str = "task") -> Task:
    return _checks.kind(name, task, Task, "a cl_teach.Task, which Task(name, train, test, classes) or Task.from_datasets makes")


def _with_images(task: Task, name: str, change: Callable[[Tensor], Tensor]) -> Task:
    """``task`` under another name, all its images changed."""
    train, test = (Split(change(data.x), data.y) for data in (task.train, task.test))
    return replace(task, name=name, train=train, test=test)


def _turn(images: Tensor, angle: float) -> Tensor:
    if angle % 90 == 0 and images.shape[-1] == images.shape[-2]:
        return torch.rot90(images, int(angle // 90), dims=(-2, -1)).contiguous()
    from torchvision.transforms.v2.functional import InterpolationMode, rotate

    turned: Tensor = rotate(images, angle, interpolation=InterpolationMode.BILINEAR)
    return turned


def _shuffle(images: Tensor, order: Tensor) -> Tensor:
    return images.flatten(1)[:, order].view_as(images)


def _members(data: Split, group: tuple[int, ...], renumber: bool) -> Split:
    """The samples of the classes in ``group``, whose labels become 0, 1, ... if they are to be renumbered."""
    labels = torch.tensor(group, device=data.y.device)
    chosen = torch.isin(data.y, labels)
    if not chosen.any():
        raise ValueError(f"task must hold samples of every class, got none of classes {group}; take more samples")
    y = data.y[chosen]
    return Split(data.x[chosen], torch.searchsorted(labels, y) if renumber else y)


# One black picture a class: lets arguments be checked by the very function that will use them, before MNIST is read.
_BLACK = Split(torch.zeros(10, 1, 2, 2), torch.arange(10))
_TINY = Task("tiny", _BLACK, _BLACK, classes=tuple(range(10)))
