"""Lines through weight space: what the loss does along them, beside what the Fisher information had predicted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .. import _checks
from .._prepare import prepare
from .._weights import Named, as_in, flat, holding, same_buffers
from ..curvature import restricted_fisher
from ..fast.grid import table
from ..fisher import diagonal_fisher
from ..tasks import Split, Task, data_and_classes
from .planes import Plane, Weights, check_plane, weights_of
from .surfaces import DataSets, by_name


class NoForwardMode(RuntimeError):
    """The whole Fisher was asked of a model whose layers have no derivatives in forward mode; its diagonal may still be had."""


@dataclass(frozen=True, eq=False)
class Line:
    """What :func:`interpolate` found at a + t (b - a), and what two quadratics around ``a`` had predicted.

    Attributes:
        t: from 0 to 1, shape (n,).
        distance: from ``a`` to ``b``, in units of weight distance.
        loss, accuracy: name of the data -> measured, (n,) each.
        diagonal, full: name of the data -> predicted rise of the loss, t^2 / 2 (b - a)^T F (b - a), (n,) each, with F the
            diagonal or the whole of the Fisher information at ``a`` on the same samples. They know curvature and no slope:
            predictions only where ``a`` is near a minimum of that data's loss. If the model has no derivatives in forward mode,
            ``full`` is NaN, with a RuntimeWarning.
    """

    t: Tensor
    distance: float
    loss: Named
    accuracy: Named
    diagonal: Named
    full: Named


def interpolate(model: nn.Module, a: Weights, b: Weights, data: DataSets, n: int = 21) -> Line:
    """Loss and accuracy along the straight line from ``a`` to ``b`` in ``n`` points, beside what the Fisher predicts.

    Arguments and errors as for :func:`loss_surface` and :func:`plane_through`; at least two points.

    Source: Goodfellow, Vinyals & Saxe 2015 (arXiv:1412.6544); for the quadratics Kirkpatrick et al. 2017 (arXiv:1612.00796).
    """
    parameters = _checks.trainable(model)
    start, end = weights_of("a", a, parameters), weights_of("b", b, parameters)
    t = torch.linspace(0, 1, _checks.whole_number("n", n, at_least=2), dtype=torch.float64)
    step = {name: end[name] - start[name] for name in start}
    still = {name: torch.zeros_like(s) for name, s in step.items()}
    line = Line(t, float(flat(step).norm()), {}, {}, {}, {})
    with same_buffers(model):
        data_sets = by_name(data)
        ready = {name: prepare(model, found, "test") for name, found in data_sets.items()}
        for name, found in data_sets.items():
            loss, accuracy = table(model, (start, step, still), ready[name], t, torch.zeros(1), progress=False)
            line.loss[name], line.accuracy[name] = loss[0], accuracy[0]
            samples, classes = data_and_classes(found, "test")
            for full, predicted in ((False, line.diagonal), (True, line.full)):
                try:
                    curvature = float(_curvature(model, start, [step], samples, classes, full))
                except NoForwardMode as error:  # what was measured is worth having all the same
                    warnings.warn(f"full is NaN: {error}", RuntimeWarning, stacklevel=2)
                    curvature = math.nan
                predicted[name] = t.square() / 2 * curvature
    return line


def plane_curvature(model: nn.Module, plane: Plane, data: Split | Task, *, full: bool = True) -> Tensor:
    """U^T F U (2, 2): the Fisher information as the plane sees it, the precision of Laplace's approximation a sample.

    F is taken at the plane's origin, the first solution of :func:`plane_through`.

    Args:
        data: as for :func:`cl_teach.diagonal_fisher`: of a :class:`Task` its training data and classes.
        full: with the whole of F; False: with its diagonal only, as EWC has it.

    Returns:
        float64, in the units 1 / distance^2: a quadratic of the loss is p^T U^T F U p / 2.

    Raises:
        TypeError, ValueError: a plane of another architecture, or data that do not fit the model.
        NoForwardMode: a RuntimeError; ``full`` with a model that has no derivatives in forward mode, such as an LSTM.
    """
    check_plane(plane, model)
    return _curvature(model, plane.origin, [plane.first, plane.second], data, None, full)


def _curvature(
    model: nn.Module,
    at: Named,
    directions: Sequence[Mapping[str, Tensor]],
    data: Split | Task,
    classes: Sequence[int] | None,
    full: bool,
) -> Tensor:
    """U^T F U (k, k), float64 on the CPU, for k directions; F at the weights ``at``."""
    basis = [as_in(model, direction) for direction in directions]
    with holding(model, as_in(model, at)):
        if full:
            try:
                return restricted_fisher(model, data, basis, classes=classes).double().cpu()
            except NotImplementedError as error:  # not for running out of memory, for instance
                reason = str(error).splitlines()[0][:120]
                raise NoForwardMode(
                    f"the whole Fisher needs derivatives in forward mode, which this model does not have ({reason}); "
                    "full=False takes the diagonal"
                ) from error
        diagonal = flat(diagonal_fisher(model, data, classes=classes))
    u = torch.stack([flat(direction) for direction in basis])  # (k, P)
    return ((u * diagonal) @ u.T).cpu()
