"""What matters: the Fisher information of a classifier, its diagonal first of all.

F_i = E_x E_{y ~ p(y|x, theta)} [ (d log p(y|x, theta) / d theta_i)^2 ]

The square stands inside both means: gradients are squared sample by sample, never after summing over a batch. The label y
comes from the model's own distribution ("exact", or drawn from it: "sample"). Squares with the labels of the data ("true",
the so-called empirical Fisher) or with the arg-max label ("predicted") are other quantities; they are offered because people
use them (Kunstner, Balles & Hennig 2019, arXiv:1905.12558; van de Ven 2025, arXiv:2502.11756).

The diagonal is one view of the matrix F = E[g g^T]. Three more are here: the whole matrix of a small model, its product with
a vector, and its restriction to a subspace; they agree with the diagonal, label for label.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from . import _checks
from ._layers import closed_sums, closed_uses, recorded, stored_per_sample, wide
from .models import eval_mode, head, matched, typed
from .tasks import Split, Task

LABELS = ("exact", "sample", "true", "predicted")
Data = Split | Task | Iterable[Any]  # the last: a DataLoader, or any other iterable of batches (x, y)
Named = dict[str, Tensor]
_Columns = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits (N, C), labels, uniform numbers -> (N, C, K)
_Bound = Callable[[Tensor], Tensor]  # the same with labels and uniform numbers filled in
_Moment = Callable[[Tensor], Tensor]
_INFLUENCE = "the Fisher information needs samples that do not influence each other, and a forward pass without chance"
_STORED = 2**23  # numbers kept at once for layers with many positions: 32 MB in float32


def diagonal_fisher(
    model: nn.Module,
    data: Data,
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int | torch.Generator = 0,
    chunk: int = 1024,
) -> Named:
    """The diagonal Fisher information of ``model`` on ``data``: a mean over samples of squared per-sample gradients.

    Linear, convolution, embedding and normalisation layers are done in closed form, everything else by per-sample gradients
    (``torch.func``; sample by sample where that fails). Which way is right for a parameter is not guessed: both are compared
    on two samples before the work begins.

    Args:
        model: any classifier from (N, ...) to (N, C) logits whose samples do not influence each other. It is used in eval
            mode (no dropout) and given back as it was, modes and gradients included.
        data: a :class:`Split`; a :class:`Task` (its training data and classes); or a DataLoader or other iterable of batches
            (x, y), which is read once, batch by batch.
        labels: where the label of each squared gradient comes from.
            "exact": the expectation over all classes under the model. "sample": one label drawn from the model.
            "true": the data's label (empirical Fisher). "predicted": the most likely label.
        n: use only the first ``n`` samples (shuffle first if their order means something).
        classes: the outputs that take part, as in ``Task.classes``; None takes all (or the task's).
        seed: of the labels drawn by "sample"; a ``torch.Generator`` is used, and moved on, as it is.
        chunk: samples handled at once, at most; memory grows with it, the result changes by rounding only.

    Returns:
        A dict like ``named_parameters()`` without the frozen ones, tensors of each parameter's shape and type.
        F_i has the unit 1 / theta_i^2.

    Raises:
        TypeError, ValueError: unknown ``labels``, ``n`` larger than the data, labels outside the model's outputs, a model
            without trainable parameters, or one whose output for a sample depends on the others in the batch.

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), section 2; Martens 2020 (arXiv:1412.1193), section 5.
    """
    columns_of = _label_columns(labels)
    return _mean_moments(model, data, columns_of, torch.square, n=n, classes=classes, seed=seed, chunk=chunk)


def output_sensitivity(
    model: nn.Module,
    data: Data,
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    chunk: int = 1024,
) -> Named:
    """Mean over samples of | d |z|^2 / d theta_i |, z the logits: the importance of memory-aware synapses. No label is used.

    Arguments, result and errors as for :func:`diagonal_fisher`. The unit is 1 / theta_i.

    Source: Aljundi et al. 2018 (arXiv:1711.09601), section 4.1.
    """

    def columns_of(logits: Tensor, y: Tensor, uniform: Tensor) -> Tensor:
        return 2 * logits.unsqueeze(2)

    return _mean_moments(model, data, columns_of, torch.abs, n=n, classes=classes, seed=0, chunk=chunk)


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
    Arguments and errors as for :func:`diagonal_fisher`; a matrix of more than 10,000 rows is refused with ValueError.

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

    def visit(work: _PerSample, x: Tensor, columns_of: _Bound) -> None:
        for gradients in work.gradients(list(parameters), x, columns_of(work.logits(x))):
            g = torch.cat([g.flatten(2) for g in gradients.values()], dim=2).flatten(0, 1).to(total.dtype)
            total.addmm_(g.T, g)

    count = _visit(visit, model, data, _label_columns(labels), n, classes, seed, chunk, ways=("vmap",))
    return (total / count).to(first.dtype)


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
        The others are as for :func:`diagonal_fisher`.

    Returns:
        F v as such a dict.

    Raises:
        ValueError: ``vector`` does not have the names and shapes of the trainable parameters. Others as in diagonal_fisher.

    Source: Schraudolph 2002, "Fast curvature matrix-vector products", section 3; Pearlmutter 1994.
    """
    parameters = _checks.trainable(model)
    (v,) = _directions(parameters, [vector])
    total = {name: torch.zeros_like(p, dtype=wide(p.dtype), requires_grad=False) for name, p in parameters.items()}

    def visit(work: _PerSample, x: Tensor, columns_of: _Bound) -> None:
        logits, pull_back = vjp(lambda theta: work.logits(x, theta), work.theta)[:2]
        columns = columns_of(logits)
        dz = work.along(x, v)  # (N, C)
        (product,) = pull_back(torch.einsum("nck,nk->nc", columns, torch.einsum("nck,nc->nk", columns, dz)))
        for name, g in product.items():
            total[name] += g

    count = _visit(visit, model, data, _label_columns(labels), n, classes, seed, chunk)
    return {name: (t / count).to(parameters[name].dtype) for name, t in total.items()}


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
        The others are as for :func:`diagonal_fisher`.

    Returns:
        (k, k), symmetric and positive semi-definite. In the coordinates a of theta + U a, the quadratic a^T U^T F U a / 2 is
        what the loss rises by, as far as the Fisher knows.

    Raises:
        ValueError: a direction does not have the names and shapes of the trainable parameters. Others as in diagonal_fisher.

    Source: Martens 2020 (arXiv:1412.1193), section 6: F is the curvature of the Kullback-Leibler divergence.
    """
    parameters = _checks.trainable(model)
    first = next(iter(parameters.values()))
    basis = _directions(parameters, directions)
    total = torch.zeros(len(basis), len(basis), dtype=wide(first.dtype), device=first.device)

    def visit(work: _PerSample, x: Tensor, columns_of: _Bound) -> None:
        columns = columns_of(work.logits(x))
        dz = torch.stack([work.along(x, v) for v in basis], dim=2)  # (N, C, k)
        scores = torch.einsum("nck,ncj->nkj", columns, dz).flatten(0, 1).to(total.dtype)
        total.addmm_(scores.T, scores)

    count = _visit(visit, model, data, _label_columns(labels), n, classes, seed, chunk)
    return (total / count).to(first.dtype)


def score_columns(logits: Tensor, labels: str, y: Tensor, uniform: Tensor) -> Tensor:
    """Gradients of -log p with respect to the logits, whose squares are to be averaged: (N, C) logits to (N, C, K).

    One label gives one column, p - onehot(label). The expectation over all labels needs no more than C - 1: the columns
    are a factor L of the covariance of the one-hot label, L L^T = diag(p) - p p^T, of rank C - 1 (its Cholesky factor in
    closed form: Tanabe & Sagae 1992). Classes are taken in ascending order of p and the remainders are tail sums, so
    nothing is subtracted and nothing goes negative.
    """
    p = logits.softmax(1)
    if labels != "exact":
        if labels == "predicted":
            y = p.argmax(1)
        elif labels == "sample":
            cumulative = p.double().cumsum(1)
            y = (uniform[:, None] * cumulative[:, -1:] >= cumulative).sum(1)
        others = p.scatter(1, y[:, None], 0.0)  # for the label itself p - 1 is minus the sum of the others, never a difference
        return others.scatter(1, y[:, None], -others.sum(1, keepdim=True)).unsqueeze(2)
    p, order = p.sort(dim=1)
    tail = p.flip(1).cumsum(1).flip(1)  # tail[:, j] = p_j + ... + p_C > 0, as the largest p comes last
    ratio = p[:, :-1] / tail[:, :-1] / tail[:, 1:]  # (N, C - 1)
    below = -p[:, :, None] * ratio.sqrt()[:, None, :]
    factor = below.tril(-1)
    factor.diagonal(dim1=1, dim2=2).copy_((p[:, :-1] * tail[:, 1:] / tail[:, :-1]).sqrt())
    return torch.empty_like(factor).scatter_(1, order[:, :, None].expand_as(factor), factor)


def _label_columns(labels: str) -> _Columns:
    _checks.one_of("labels", labels, LABELS)
    return lambda logits, y, uniform: score_columns(logits, labels, y, uniform)


def _mean_moments(
    model: nn.Module,
    data: Data,
    columns_of: _Columns,
    moment: _Moment,
    *,
    n: int | None,
    classes: Sequence[int] | None,
    seed: int | torch.Generator,
    chunk: int,
) -> Named:
    """Mean over samples of the sums over columns of ``moment`` (square or abs) of per-sample gradients."""
    parameters = _checks.trainable(model)
    totals = {name: torch.zeros_like(p, dtype=wide(p.dtype), requires_grad=False) for name, p in parameters.items()}

    def visit(work: _PerSample, x: Tensor, columns_of: _Bound) -> None:
        for name, total in work.sums(x, columns_of, moment).items():
            totals[name] += total

    count = _visit(visit, model, data, columns_of, n, classes, seed, chunk, ways=("closed", "vmap"))
    return {name: (t / count).to(parameters[name].dtype) for name, t in totals.items()}


def _visit(
    visit: Callable[[_PerSample, Tensor, _Bound], None],
    model: nn.Module,
    data: Data,
    columns_of: _Columns,
    n: int | None,
    classes: Sequence[int] | None,
    seed: int | torch.Generator,
    chunk: int,
    ways: Sequence[str] = (),
) -> int:
    """Call ``visit`` for each chunk of the data, with the model in eval mode; returns the number of samples."""
    _checks.trainable(model)
    _checks.whole_number("chunk", chunk, at_least=1)
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(_checks.seed(seed))
    if isinstance(data, Task):
        classes, data = classes or data.classes, data.train
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ValueError(f"model has a batch norm without running statistics ({name}): {_INFLUENCE}")
    count, work = 0, None
    with eval_mode(model), torch.enable_grad():
        for batch in _batches(model, data, classes, n, chunk):
            work = work or _PerSample(model, batch.x, classes, columns_of, ways)
            piece = min(chunk, work.at_once)
            for x, y in zip(batch.x.split(piece), batch.y.split(piece), strict=True):
                # One number a sample, in order: which labels are drawn does not depend on the chunks.
                uniform = torch.rand(len(y), generator=generator, dtype=torch.float64, device=generator.device).to(y.device)
                visit(work, typed(model, x), lambda logits, y=y, uniform=uniform: columns_of(logits.detach(), y, uniform))  # type: ignore[misc]
            count += len(batch)
    return count


def _batches(
    model: nn.Module, data: Split | Iterable[Any], classes: Sequence[int] | None, n: int | None, chunk: int
) -> Iterator[Split]:
    """The data as the model needs them, checked, in batches; what must be moved is moved a batch at a time."""
    if isinstance(data, Split):
        data = data.first(n)
        here = data.x.device == next(model.parameters()).device
        size = len(data) if here else max(chunk, 4096)
        for x, y in zip(data.x.split(size), data.y.split(size), strict=True):
            yield matched(model, Split(x, y) if size < len(data) else data, classes)
        return
    if isinstance(data, (Tensor, str, tuple, Mapping)) or not isinstance(data, Iterable):
        raise TypeError(
            f"data must be a cl_teach.Split such as task.train, a Task or a DataLoader, got {type(data).__name__}; "
            "Split(x, y) makes one"
        )
    wanted = None if n is None else _checks.whole_number("n", n, at_least=1)
    count = 0
    for pair in data:
        if not (isinstance(pair, Sequence) and len(pair) == 2):
            raise TypeError(f"data must give batches (x, y), got a {type(pair).__name__}")
        batch = Split(pair[0], torch.as_tensor(pair[1]))
        if wanted is not None:
            batch = batch.first(min(len(batch), wanted - count))
        yield matched(model, batch, classes)
        count += len(batch)
        if count == wanted:
            return
    if wanted is not None:
        raise ValueError(f"n must be at most the {count} samples there are, got {n}")
    if not count:
        raise ValueError("data must hold at least one sample, got no batch")


def _directions(
    parameters: Mapping[str, Tensor], directions: Sequence[Mapping[str, Tensor]] | Tensor
) -> list[dict[str, Tensor]]:
    """Directions in weight space as dicts, each checked against the parameters."""
    if isinstance(directions, Tensor):
        size = sum(p.numel() for p in parameters.values())
        if directions.ndim != 2 or len(directions) != size:
            raise ValueError(f"directions must have shape ({size}, k), a column each, got {tuple(directions.shape)}")
        pieces = directions.split([p.numel() for p in parameters.values()])
        shaped = [piece.T.reshape(-1, *p.shape) for piece, p in zip(pieces, parameters.values(), strict=True)]
        directions = [dict(zip(parameters, column, strict=True)) for column in zip(*shaped, strict=True)]
    wanted = {name: tuple(p.shape) for name, p in parameters.items()}
    for direction in directions:
        got = {name: tuple(t.shape) for name, t in direction.items()}
        if got != wanted:
            wrong = sorted(name for name in {*got, *wanted} if got.get(name) != wanted.get(name))
            name = wrong[0]
            raise ValueError(
                f"a direction must have the names and shapes of the trainable parameters; {name} has shape {got.get(name)}, "
                f"wanted {wanted.get(name)} (None: not there)"
            )
    return [{name: direction[name].detach().to(p) for name, p in parameters.items()} for direction in directions]


class _PerSample:
    """Per-sample gradients of one model: in closed form, by ``torch.func``, or sample by sample.

    The last way is slow and, if the samples do not influence each other, always right. So it is the judge: on two samples
    the quicker ways must agree with it, parameter by parameter, or they are not used. That finds weights that are used
    outside their layer's own call, layers that see their samples in another order, hooks that change an output, and all else
    that a list of layers does not tell.
    """

    def __init__(
        self, model: nn.Module, x: Tensor, classes: Sequence[int] | None, columns_of: _Columns, ways: Sequence[str]
    ) -> None:
        self.model, self.classes = model, classes
        self.fixed = {name: p.detach() for name, p in model.named_parameters()}
        self.theta = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        # Every place in a module that holds a parameter, once. (With tie_weights=True, functional_call would visit a module
        # that is registered twice twice, and leave the detached weights in it.)
        names = {id(p): name for name, p in model.named_parameters()}
        self.places = {
            f"{path}.{kind}" if path else kind: names[id(p)]
            for path, module in model.named_modules()
            for kind, p in module.named_parameters(recurse=False, remove_duplicate=False)
        }
        self.uses = closed_uses(model, list(self.theta))
        self.way = dict.fromkeys(self.theta, "loop")
        two = typed(model, x[[0, -1]] if len(x) > 1 else x)
        logits = self._independent(two)
        k = columns_of(logits, torch.zeros(len(two), dtype=torch.long, device=x.device), logits.new_zeros(len(two))).shape[2]
        self.at_once = len(x)
        if ways:
            stored = self._choose(two, logits, ways)
            self.at_once = max(1, _STORED // max(1, stored * k))

    def logits(self, x: Tensor, theta: Mapping[str, Tensor] | None = None) -> Tensor:
        """(N, C), of the active classes."""
        values = {**self.fixed, **(theta or {})}
        placed = {place: values[name] for place, name in self.places.items()}
        logits: Tensor = functional_call(self.model, placed, (x,), tie_weights=False)
        return head(logits, self.classes)

    def along(self, x: Tensor, direction: Mapping[str, Tensor]) -> Tensor:
        """The derivative of the logits along a direction of the weights, (N, C)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's first jvp warns of what torch itself uses
            derivative: Tensor = jvp(lambda theta: self.logits(x, theta), (self.theta,), (dict(direction),))[1]
        return derivative

    def sums(self, x: Tensor, columns_of: _Bound, moment: _Moment) -> Named:
        """For each parameter the sum over samples and columns of ``moment`` of its per-sample gradients."""
        closed = {name: uses for name, uses in self.uses.items() if self.way[name] == "closed"}
        with recorded({use.layer for uses in closed.values() for use in uses}) as calls:
            logits = self.logits(x)
        columns = columns_of(logits)
        sums = closed_sums(closed, calls, logits, columns, moment)
        del calls, logits  # and with them the graph
        rest = [name for name in self.theta if name not in sums]
        sums |= {name: torch.zeros_like(self.theta[name], dtype=wide(self.theta[name].dtype)) for name in rest}
        for gradients in self.gradients(rest, x, columns):
            for name, g in gradients.items():
                sums[name] += moment(g.to(sums[name].dtype)).sum((0, 1))
        return sums

    def gradients(self, names: Sequence[str], x: Tensor, columns: Tensor) -> Iterator[Named]:
        """Per-sample gradients themselves, name -> (n, K, *shape), for as many samples at a time as fit in about 32 MB."""
        if not names:
            return
        quick = all(self.way[name] == "vmap" for name in names)
        size = sum(self.theta[name].numel() for name in names) * max(1, columns.shape[2])
        at_once = max(1, _STORED // size) if quick else 1
        for piece, column in zip(x.split(at_once), columns.split(at_once), strict=True):
            yield self._vmapped(names, piece, column) if quick else self._looped(names, piece, column)

    def _independent(self, x: Tensor) -> Tensor:
        """The logits of ``x``, or an error if they depend on what else is in the batch."""
        with torch.no_grad():
            logits, alone = self.logits(x), torch.cat([self.logits(sample) for sample in x.split(1)])
        if logits.shape != alone.shape or not _agree(logits, alone, logits.dtype):
            raise ValueError(f"model gives other logits for a sample alone than in a batch: {_INFLUENCE}")
        return logits

    def _choose(self, x: Tensor, logits: Tensor, ways: Sequence[str]) -> int:
        """Settle which way is right for which parameter; returns how many numbers a sample the closed forms keep.

        The columns are random, because the true ones may be zero.
        """
        noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        columns, names, stored = noise.to(logits).unsqueeze(2), list(self.theta), 0
        truth: Named = {}
        for sample, column in zip(x.split(1), columns.split(1), strict=True):
            for name, (g,) in zip(names, self._autograd(names, sample, column), strict=True):
                square = torch.zeros_like(self.theta[name]) if g is None else g.to(wide(g.dtype)).square()
                truth[name] = truth[name] + square if name in truth else square
        largest = max(float(t.norm()) for t in truth.values())
        for way in ways:
            open_names = [name for name in names if self.way[name] == "loop"]
            try:
                if way == "closed":
                    with recorded({use.layer for uses in self.uses.values() for use in uses}) as calls:
                        z = self.logits(x)
                    found = closed_sums(self.uses, calls, z, columns, torch.square)
                    stored = stored_per_sample(calls, len(x))
                else:
                    quick = self._vmapped(open_names, x, columns) if open_names else {}
                    found = {name: g.to(wide(g.dtype)).square().sum((0, 1)) for name, g in quick.items()}
            except Exception:  # whatever it is that this model does not allow, the next way takes over
                continue
            self.way |= {
                name: way for name in open_names if name in found and _agree(found[name], truth[name], logits.dtype, largest)
            }
        return stored

    def _vmapped(self, names: Sequence[str], x: Tensor, columns: Tensor) -> Named:
        theta = {name: self.theta[name] for name in names}

        def pulled(sample: Tensor, column: Tensor) -> Named:
            pull_back = vjp(lambda theta: self.logits(sample[None], theta)[0], theta)[1]
            gradients: Named = vmap(lambda c: pull_back(c)[0])(column.T)
            return gradients

        gradients: Named = vmap(pulled)(x, columns)
        return gradients

    def _looped(self, names: Sequence[str], x: Tensor, columns: Tensor) -> Named:
        """Plain autograd for one sample, x (1, ...), columns (1, C, K)."""
        found = {}
        for name, gradients in zip(names, self._autograd(names, x, columns), strict=True):
            zero = torch.zeros_like(self.theta[name])
            found[name] = (
                torch.stack([zero if g is None else g for g in gradients])[None] if gradients else zero[None, None][:, :0]
            )
        return found

    def _autograd(self, names: Sequence[str], x: Tensor, columns: Tensor) -> list[tuple[Tensor | None, ...]]:
        """The gradients of each parameter, one a column; None where the logits do not depend on it."""
        theta = [self.theta[name].detach().requires_grad_() for name in names]
        logits = self.logits(x, dict(zip(names, theta, strict=True)))
        found: list[list[Tensor | None]] = [[] for _ in names]
        for column in columns.unbind(2):
            gradients: Sequence[Tensor | None] = [None] * len(names)
            if logits.requires_grad:
                gradients = torch.autograd.grad(logits, theta, column, retain_graph=True, allow_unused=True)
            for kept, g in zip(found, gradients, strict=True):
                kept.append(None if g is None else g.detach().to_dense())
        return [tuple(kept) for kept in found]


def _agree(a: Tensor, b: Tensor, dtype: torch.dtype, largest: float = 0.0) -> bool:
    """Whether two ways of computing one thing differ by rounding in ``dtype`` only; ``largest``: the largest such thing."""
    tolerance = {torch.float64: 1e-8, torch.float32: 1e-3}.get(dtype, 0.1)
    gap, size = float((a - b).norm()), float(b.norm())
    if not math.isfinite(gap + size):  # infinite logits are a way to switch a class off: equal ones agree
        a, b = a.double().nan_to_num(), b.double().nan_to_num()
        gap, size = float((a - b).norm()), float(b.norm())
    return gap <= tolerance * size + 1e-7 * largest
