"""Beyond the diagonal: the whole Fisher matrix F = E[g g^T], its product with a vector, its restriction to a subspace, KFAC.

They are views of the matrix whose diagonal :func:`cl_teach.diagonal_fisher` gives, and agree with it, label for label. KFAC
approximates a layer's block E[d d^T (x) a a^T], output gradients times inputs, by the product of two small means,
E[d d^T] (x) E[a a^T]: exact for a single sample, and it knows what the diagonal cannot, that weights act together (Martens &
Grosse 2015, arXiv:1503.05671, section 3; for convolutions Grosse & Martens 2016, arXiv:1602.01407, section 3; in continual
learning Ritter, Botev & Barber 2018, arXiv:1805.07810).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import _checks
from ._prepare import Data
from ._weights import Named, normal, plain_autograd, shaped, wide
from .fast.directions import Directions
from .fast.layers import is_product, recorded
from .fast.per_sample import Bound, PerSample, visit_chunks
from .fisher import label_columns, plain_squares


@plain_autograd()
def full_fisher(
    model: nn.Module,
    data: Data,
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int | torch.Generator = 0,
    chunk: int = 1024,
) -> Tensor:
    """The whole Fisher matrix of a small model: mean over samples of g g^T, shape (P, P).

    Rows and columns are the trainable parameters in the order of ``named_parameters()``, each flattened.
    Arguments and errors as for :func:`cl_teach.diagonal_fisher`, but for ``likeliest``, which is 4; a matrix of more than
    10,000 rows is refused with ValueError.

    Source: Martens 2020 (arXiv:1412.1193), section 5.
    """
    parameters = _checks.trainable(model)
    size = sum(p.numel() for p in parameters.values())
    if size > 10_000:
        raise ValueError(
            f"model has {size} trainable parameters, too many for a dense matrix (at most 10000); "
            "use fisher_vector_product or restricted_fisher"
        )
    first = next(iter(parameters.values()))
    total = torch.zeros(size, size, dtype=wide(first.dtype), device=first.device)

    def visit(work: PerSample, x: Tensor, columns_of: Bound) -> None:
        for gradients in work.gradients(list(parameters), x, columns_of(work.logits(x))):
            flat = [g.reshape(*g.shape[:2], -1) for g in gradients.values()]  # (n, K, size) each
            g = torch.cat(flat, dim=2).flatten(0, 1).to(total.dtype)
            total.addmm_(g.T, g)

    columns = label_columns(labels)
    count = visit_chunks(visit, model, data, columns, n, classes, seed, chunk, ("vmap",), plain_squares)
    return (total / count).to(first.dtype)


@plain_autograd()
def fisher_vector_product(
    model: nn.Module,
    data: Data,
    vector: Mapping[str, Tensor],
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int | torch.Generator = 0,
    chunk: int = 1024,
) -> Named:
    """F v without forming F: forwards along v to the logits, through their own small Fisher, and back. Two passes a chunk.

    Args:
        vector: v, a dict like ``named_parameters()`` without the frozen ones.
        The others are as for :func:`cl_teach.diagonal_fisher`, but for ``likeliest``, which is 4.

    Returns:
        F v as such a dict.

    Raises:
        TypeError, ValueError: ``vector`` does not have the names and shapes of the trainable parameters, or is not finite.
            Others as in diagonal_fisher.

    Source: Schraudolph 2002, "Fast curvature matrix-vector products", section 3; Pearlmutter 1994.
    """
    parameters = _checks.trainable(model)
    view = Directions([_direction("vector", parameters, vector)])
    total = {name: torch.zeros_like(p, dtype=wide(p.dtype), requires_grad=False) for name, p in parameters.items()}

    def visit(work: PerSample, x: Tensor, columns_of: Bound) -> None:
        for name, g in view.product(work, x, columns_of).items():
            total[name] += g

    count = visit_chunks(visit, model, data, label_columns(labels), n, classes, seed, chunk, ("vmap",), plain_squares)
    return {name: (t / count).to(parameters[name].dtype) for name, t in total.items()}


@plain_autograd()
def restricted_fisher(
    model: nn.Module,
    data: Data,
    directions: Sequence[Mapping[str, Tensor]] | Tensor,
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int | torch.Generator = 0,
    chunk: int = 1024,
) -> Tensor:
    """U^T F U, the Fisher seen from a plane or any other small subspace: k forward passes, nothing of size P x P.

    Args:
        directions: the k columns of U, each a dict like ``named_parameters()`` without the frozen ones; or U itself, a tensor
            of shape (P, k) with the parameters in that order, flattened.
        The others are as for :func:`cl_teach.diagonal_fisher`, but for ``likeliest``, which is 4.

    Returns:
        (k, k), symmetric and positive semi-definite. In the coordinates a of theta + U a, the quadratic a^T U^T F U a / 2 is
        what the loss rises by, as far as the Fisher knows.

    Raises:
        TypeError, ValueError: a direction does not have the names and shapes of the trainable parameters, is not finite, or
            there is none. Others as in diagonal_fisher.

    Source: Martens 2020 (arXiv:1412.1193), section 6: F is the curvature of the Kullback-Leibler divergence.
    """
    parameters = _checks.trainable(model)
    first = next(iter(parameters.values()))
    view = Directions(_directions(parameters, directions))
    total = torch.zeros(len(view.basis), len(view.basis), dtype=wide(first.dtype), device=first.device)

    def visit(work: PerSample, x: Tensor, columns_of: Bound) -> None:
        total.add_(view.restricted(work, x, columns_of))

    count = visit_chunks(visit, model, data, label_columns(labels), n, classes, seed, chunk, ("vmap",), plain_squares)
    return (total / count).to(first.dtype)


def _directions(parameters: Mapping[str, Tensor], directions: Sequence[Mapping[str, Tensor]] | Tensor) -> list[Named]:
    """Several directions in weight space as dicts, each checked against the parameters."""
    if isinstance(directions, Tensor):
        size = sum(p.numel() for p in parameters.values())
        if directions.ndim != 2 or len(directions) != size or not directions.shape[1]:
            raise ValueError(f"directions must have shape ({size}, k), a column each, got {tuple(directions.shape)}")
        directions = [shaped(column, parameters) for column in directions.T]
    elif isinstance(directions, Mapping) or not isinstance(directions, Sequence) or isinstance(directions, str):
        raise TypeError(
            f"directions must be a sequence of dicts, or a tensor of shape (P, k), got a {type(directions).__name__}; "
            "[direction] makes a sequence of one"
        )
    if not len(directions):
        raise ValueError("directions must hold at least one direction, got none")
    return [_direction(f"directions[{i}]", parameters, direction) for i, direction in enumerate(directions)]


def _direction(what: str, parameters: Mapping[str, Tensor], direction: object) -> Named:
    """One direction in weight space, checked, in the order, type and place of the parameters."""
    if not isinstance(direction, Mapping) or not all(isinstance(t, Tensor) for t in direction.values()):
        odd = (
            next((f"{type(t).__name__} for {name}" for name, t in direction.items() if not isinstance(t, Tensor)), "")
            if (isinstance(direction, Mapping))
            else f"a {type(direction).__name__}"
        )
        raise TypeError(f"{what} must be a dict of tensors like named_parameters() without the frozen ones, got {odd}")
    got = {name: tuple(t.shape) for name, t in direction.items()}
    wanted = {name: tuple(p.shape) for name, p in parameters.items()}
    if got != wanted:
        name = min(name for name in {*got, *wanted} if got.get(name) != wanted.get(name))
        raise ValueError(
            f"{what} must have the names and shapes of the trainable parameters; {name} has shape {got.get(name)}, "
            f"wanted {wanted.get(name)} (None: not there)"
        )
    found = {name: normal(direction[name].detach().to(p)) for name, p in parameters.items()}
    for name, t in found.items():
        if not bool(t.isfinite().all()):
            raise ValueError(f"{what} must be finite, got NaN or infinity in {int((~t.isfinite()).sum())} values of {name}")
    return found


@dataclass
class KroneckerBlock:
    """One layer's Fisher block, outputs (x) inputs.

    Attributes:
        inputs: A = E[a a^T], (I, I): I is the size of a row of the flattened weight, plus 1 if there is a trainable bias.
        outputs: G = E[d d^T], (O, O), the expectation also over labels.
    """

    inputs: Tensor
    outputs: Tensor

    def quadratic(self, change: Tensor) -> Tensor:
        """v^T (G (x) A) v for a ``change`` of the layer, (O, I): the weight's flattened to rows, the bias's as last column."""
        return (change * (self.outputs @ change @ self.inputs)).sum()


@plain_autograd()
def kfac(
    model: nn.Module,
    data: Data,
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int | torch.Generator = 0,
    chunk: int = 512,
) -> dict[str, KroneckerBlock]:
    """A :class:`KroneckerBlock` for each Linear and (ungrouped) convolution layer with a trainable weight, by layer name.

    Arguments and errors as for :func:`full_fisher`; all other trainable layers are left out. With several
    positions (a convolution, or a layer called more than once) inputs are summed over positions and output gradients averaged.

    Raises:
        ValueError: the model has no such layer.
    """
    model = _checks.module(model)
    _checks.trainable(model)
    layers = {m: name for name, m in model.named_modules() if is_product(m) and m.weight.requires_grad}
    if not layers:
        raise ValueError(f"model has no Linear or ungrouped convolution layer with a trainable weight ({type(model).__name__})")
    sums: dict[str, KroneckerBlock] = {}

    def visit(work: PerSample, x: Tensor, columns_of: Bound) -> None:
        with recorded(layers) as calls:
            logits = work.logits(x)
        dtype = wide(logits.dtype)
        mine = {name: [i for i, call in enumerate(calls) if call.layer is layer] for layer, name in layers.items()}
        mine = {name: numbers for name, numbers in mine.items() if numbers}
        for name, numbers in mine.items():
            a = torch.cat([calls[i].met()[:, 0] for i in numbers], dim=2).to(dtype)  # (N, I, T)
            if getattr(calls[numbers[0]].layer.bias, "requires_grad", False):
                a = torch.cat([a, torch.ones_like(a[:, :1])], dim=1)
            size = calls[numbers[0]].arranged(calls[numbers[0]].output).shape[1]
            block = sums.setdefault(name, KroneckerBlock(a.new_zeros(a.shape[1], a.shape[1]), a.new_zeros(size, size)))
            block.inputs += torch.einsum("nit,njt->ij", a, a)
        for column in columns_of(logits):
            found = torch.autograd.grad(
                logits, [call.output for call in calls], column, retain_graph=True, materialize_grads=True
            )
            for name, numbers in mine.items():
                d = torch.cat([calls[i].arranged(found[i]) for i in numbers], dim=2).to(dtype)  # (N, O, T)
                sums[name].outputs += torch.einsum("nit,njt->ij", d, d) / d.shape[2]

    count = visit_chunks(visit, model, data, label_columns(labels), n, classes, seed, chunk)
    dtype = next(model.parameters()).dtype
    return {name: KroneckerBlock((b.inputs / count).to(dtype), (b.outputs / count).to(dtype)) for name, b in sums.items()}
