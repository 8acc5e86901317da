"""Lines through weight space: what the loss does along them, beside what the Fisher information had predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .. import _checks
from .._prepare import Prepared, prepare
from .._weights import Named, as_in, eval_mode, flat, holding, plain_autograd, same_buffers
from ..curvature import restricted_fisher
from ..fast.grid import table
from ..fisher import diagonal_fisher
from ..models import head
from ..tasks import Split, Task, data_and_classes
from .planes import Plane, Weights, check_plane, weights_of
from .surfaces import DataSets, by_name


@dataclass(frozen=True, eq=False)
class Line:
    """What :func:`interpolate` found at a + t (b - a), and what three terms around ``a`` had predicted.

    Attributes:
        t: from 0 to 1, shape (n,).
        distance: from ``a`` to ``b``, in units of weight distance.
        loss, accuracy: name of the data -> measured, (n,) each.
        slope: name of the data -> the gradient term, t (b - a)^T g with g the gradient of that data's mean loss at ``a``,
            (n,) each; zero only if ``a`` is a minimum of it, and Laplace's approximation leaves it out.
        diagonal, full: name of the data -> the quadratic term, t^2 / 2 (b - a)^T F (b - a), (n,) each, with F the diagonal or
            the whole of the Fisher information at ``a`` on the same samples.
    """

    t: Tensor
    distance: float
    loss: Named
    accuracy: Named
    slope: Named
    diagonal: Named
    full: Named

    def rises(self, name: str) -> Named:
        """How much the loss on the data ``name`` rises along the line, truly and as each prediction says, (n,) each."""
        _checks.one_of("name", name, list(self.loss))
        slope, full = self.slope[name], self.full[name]
        return {
            "true rise": self.loss[name] - self.loss[name][0],
            "gradient term": slope,
            "gradient + whole Fisher": slope + full,
            "whole Fisher": full,
            "diagonal": self.diagonal[name],
        }


@plain_autograd()
def interpolate(model: nn.Module, a: Weights, b: Weights, data: DataSets, n: int = 21) -> Line:
    """Loss and accuracy along the straight line from ``a`` to ``b`` in ``n`` points, beside what ``a`` predicts of them.

    The predictions are the terms of Taylor's series at ``a``, the Fisher information in the place of the second derivatives.
    Arguments and errors as for :func:`loss_surface` and :func:`plane_through`; at least two points.

    Source: Goodfellow, Vinyals & Saxe 2015 (arXiv:1412.6544); for the quadratics Kirkpatrick et al. 2017 (arXiv:1612.00796).
    """
    model = _checks.module(model)
    parameters = _checks.trainable(model)
    start, end = weights_of("a", a, parameters), weights_of("b", b, parameters)
    t = torch.linspace(0, 1, _checks.whole_number("n", n, at_least=2), dtype=torch.float64)
    step = {name: end[name] - start[name] for name in start}
    still = {name: torch.zeros_like(s) for name, s in step.items()}
    line = Line(t, float(flat(step).norm()), {}, {}, {}, {}, {})
    with same_buffers(model):
        data_sets = by_name(data)
        ready = {name: prepare(model, found, "test") for name, found in data_sets.items()}
        for name, found in data_sets.items():
            loss, accuracy = table(model, (start, step, still), ready[name], t, torch.zeros(1), progress=False)
            line.loss[name], line.accuracy[name] = loss[0], accuracy[0]
            line.slope[name] = t * _slope(model, start, step, ready[name])
            samples, classes = data_and_classes(found, "test")
            for full, predicted in ((False, line.diagonal), (True, line.full)):
                predicted[name] = t.square() / 2 * float(_curvature(model, start, [step], samples, classes, full))
    return line


@plain_autograd()
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
    """
    model = _checks.module(model)
    check_plane(plane, model)
    return _curvature(model, plane.origin, [plane.first, plane.second], data, None, full)


def _slope(model: nn.Module, at: Named, direction: Named, data: Prepared) -> float:
    """direction^T g, with g the gradient of the mean loss at the weights ``at``, in eval mode."""
    total, steps = 0.0, as_in(model, direction)
    parameters = dict(model.named_parameters())
    with holding(model, as_in(model, at)), eval_mode(model, derivatives=True):
        for x, y in data.batches(1_000):
            loss = cross_entropy(head(model(x), data.classes), y, reduction="sum")
            g = torch.autograd.grad(loss, [parameters[name] for name in steps], materialize_grads=True)
            total += float(flat({name: part.to_dense() for name, part in zip(steps, g, strict=True)}) @ flat(steps))
    return total / len(data)


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
            return restricted_fisher(model, data, basis, classes=classes).double().cpu()
        diagonal = flat(diagonal_fisher(model, data, classes=classes))
    u = torch.stack([flat(direction) for direction in basis])  # (k, P)
    return ((u * diagonal) @ u.T).cpu()
