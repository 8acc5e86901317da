"""Loss surfaces: of the two-weight model exactly, of any other over a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .. import _checks
from .._prepare import prepare
from .._weights import Named, same_buffers
from ..fast.grid import table
from ..tasks import Split, Task
from .planes import Plane, check_plane

DataSets = Split | Task | Sequence[Task] | Mapping[str, Split | Task]


def two_weight_losses(data: Split, w1: Tensor, w2: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of the two-weight logistic model for every pair of weights.

    Args:
        data: inputs (N, 2), labels 0 or 1.
        w1, w2: values of the first and second weight, floating point, shapes (A,) and (B,).

    Returns:
        Losses of shape (B, A): rows follow w2, columns w1, as matplotlib's contour plots expect.

    Raises:
        TypeError, ValueError: ``data`` is not two-dimensional with labels 0 and 1, or the weights are no such tensors.
    """
    _checks.kind("data", data, Split, "a cl_teach.Split such as task.train")
    for name, w in (("w1", w1), ("w2", w2)):
        if not _checks.tensor(name, w, "N").is_floating_point():
            raise TypeError(f"{name} must hold floating-point numbers, such as torch.linspace(-1, 2, 31), got {w.dtype}")
    if data.x.ndim != 2 or data.x.shape[1] != 2 or int(data.y.max()) > 1:
        raise ValueError(
            f"data must hold inputs (N, 2) with labels 0 or 1, got {tuple(data.x.shape)} and labels up to {int(data.y.max())}"
        )
    x = data.x.to(w1)
    sign = 1.0 - 2.0 * data.y.to(w1)  # +1 for label 0, -1 for label 1
    scores = x[:, 0, None, None] * w1[None, None, :] + x[:, 1, None, None] * w2[None, :, None]  # (N, B, A)
    return softplus(sign[:, None, None] * scores).mean(0)


@dataclass(frozen=True, eq=False)
class Surface:
    """Loss and accuracy over a grid; rows follow ys, columns xs, as matplotlib's contour plots expect.

    Args:
        xs, ys: coordinates in the plane, shapes (A,) and (B,).
        loss, accuracy: name of the data -> mean cross-entropy in nats, share classified correctly; (B, A) each.

    Raises:
        TypeError, ValueError: axes that do not increase, tables of other shapes than the grid, or two dicts of other names.
    """

    xs: Tensor
    ys: Tensor
    loss: Named
    accuracy: Named

    def __post_init__(self) -> None:
        for name, axis in (("xs", self.xs), ("ys", self.ys)):
            if bool((_checks.tensor(name, axis, "N").diff() <= 0).any()):
                raise ValueError(f"{name} must increase, got {axis.tolist()[:5]}")
        shape = (len(self.ys), len(self.xs))
        for name, found in (("loss", self.loss), ("accuracy", self.accuracy)):
            _checks.named(name, found, Tensor, f"a tensor of shape {shape}")
        tables = [*self.loss.values(), *self.accuracy.values()]
        if self.loss.keys() != self.accuracy.keys() or not tables or any(t.shape != shape for t in tables):
            raise ValueError(f"loss and accuracy must have the same names and the shape {shape} of the grid")


def loss_surface(
    model: nn.Module,
    plane: Plane,
    data: DataSets,
    xs: Sequence[float] | Tensor,
    ys: Sequence[float] | Tensor,
    *,
    progress: bool = True,
) -> Surface:
    """Loss and accuracy of ``model`` on each data set, with the weights of each point of the grid, in eval mode.

    The product of the first layer is done three times and not once a point, where that gives the same as the model itself.

    Args:
        model: from (N, ...) inputs to (N, C) logits; only its architecture and frozen parts matter. Given back as it was.
        data: a :class:`Split` (called "data"); a :class:`Task` or a list of them (their test data and classes, by name);
            or a dict of either.
        xs, ys: coordinates in the plane, increasing.
        progress: show a progress bar if it takes longer than two seconds.

    Raises:
        TypeError, ValueError: a plane of another architecture, data that do not fit the model, or a grid that is empty,
            not finite or not increasing; raised before any work.
    """
    check_plane(plane, model)
    x, y = _axis("xs", xs), _axis("ys", ys)
    affine = plane.origin, plane.first, plane.second
    with same_buffers(model):
        ready = {name: prepare(model, found, "test") for name, found in by_name(data).items()}
        tables = {name: table(model, affine, found, x, y, progress) for name, found in ready.items()}
    return Surface(x, y, {n: t[0] for n, t in tables.items()}, {n: t[1] for n, t in tables.items()})


def by_name(data: DataSets) -> dict[str, Split | Task]:
    """Every data set under its name."""
    if isinstance(data, (Split, Task)):
        data = {data.name if isinstance(data, Task) else "data": data}
    if isinstance(data, Sequence) and all(isinstance(d, Task) for d in data):
        if len({d.name for d in data}) < len(data):
            raise ValueError(f"data must hold tasks of different names, got {[d.name for d in data]}; a dict names them anew")
        data = {d.name: d for d in data}
    if not isinstance(data, Mapping) or not all(isinstance(d, (Split, Task)) for d in data.values()):
        raise TypeError(f"data must be a Split, a Task, a list of Task or a dict of either, got {_checks.shown(data)}")
    if not data:
        raise ValueError("data must hold at least one Split or Task, got none")
    if len({str(name) for name in data}) < len(data):
        raise ValueError(f"data must have names that differ as texts, got {list(data)}")
    return {str(name): found for name, found in data.items()}


def _axis(name: str, values: Sequence[float] | Tensor) -> Tensor:
    refusal = TypeError(f"{name} must be a list or tensor of numbers, got {_checks.shown(values)}")
    try:
        axis = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise refusal from None
    if axis.is_complex() or axis.dtype == torch.bool or not axis.ndim:
        raise refusal
    axis = torch.as_tensor(values, dtype=torch.float64).detach().cpu()  # a list at once: float32 would round
    if axis.ndim != 1 or not len(axis):
        raise ValueError(f"{name} must hold at least one number, in one dimension, got shape {tuple(axis.shape)}")
    if not bool(torch.isfinite(axis).all()) or bool((axis.diff() <= 0).any()):
        some = [round(value, 3) for value in axis.tolist()[:5]]
        raise ValueError(f"{name} must be finite and increasing, such as torch.linspace(-1, 5, 41), got {some} ...")
    return axis
