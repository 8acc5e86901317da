"""What matters: the diagonal of the Fisher information of a classifier.

F_i = E_x E_{y ~ p(y|x, theta)} [ (d log p(y|x, theta) / d theta_i)^2 ]

The square stands inside both means: gradients are squared sample by sample, never after summing over a batch. The label y
comes from the model's own distribution ("exact", or drawn from it: "sample"). Squares with the labels of the data ("true",
the so-called empirical Fisher) or with the arg-max label ("predicted") are other quantities; they are offered because people
use them (Kunstner, Balles & Hennig 2019, arXiv:1905.12558; van de Ven 2025, arXiv:2502.11756).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from . import _checks
from .models import eval_mode, head, matched
from .tasks import Split, Task

LABELS = ("exact", "sample", "true", "predicted")
_Record = list[tuple[Tensor, Tensor]]  # (input, output) of each call of one layer


def diagonal_fisher(
    model: nn.Module,
    data: Split | Task,
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int = 0,
    chunk: int = 256,
) -> dict[str, Tensor]:
    """The diagonal Fisher information of ``model`` on ``data``: a mean over samples of squared per-sample gradients.

    Args:
        model: any classifier from (N, ...) to (N, C) logits whose samples do not influence each other. It is used in eval
            mode (no dropout) and given back as it was, modes and gradients included.
        data: a :class:`Split`, or a :class:`Task` (its training data and classes).
        labels: where the label of each squared gradient comes from.
            "exact": the expectation over all classes under the model. "sample": one label drawn from the model.
            "true": the data's label (empirical Fisher). "predicted": the most likely label.
        n: use only the first ``n`` samples.
        classes: the outputs that take part, as in ``Task.classes``; None takes all (or the task's).
        seed: of the labels drawn by "sample".
        chunk: samples handled at once; memory grows with it, the result changes by rounding only.

    Returns:
        A dict like ``named_parameters()`` without the frozen ones, tensors of each parameter's shape.
        F_i has the unit 1 / theta_i^2.

    Raises:
        TypeError, ValueError: unknown ``labels``, ``n`` larger than the data, labels outside the model's outputs, a model
            without trainable parameters.

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), section 2.1; Martens 2020 (arXiv:1412.1193), section 5.
    """
    _checks.one_of("labels", labels, LABELS)
    parameters = _checks.trainable(model)
    _checks.whole_number("chunk", chunk, at_least=1)
    generator = torch.Generator().manual_seed(_checks.seed(seed))
    if isinstance(data, Task):
        classes = classes or data.classes
    split = matched(model, data.train if isinstance(data, Task) else data, classes).first(n)

    linear = _linear_layers(model, parameters)
    fixed = {name: p.detach() for name, p in model.named_parameters()}
    fisher = {name: torch.zeros_like(p) for name, p in parameters.items()}
    with eval_mode(model):
        for x, y in zip(split.x.split(chunk), split.y.split(chunk), strict=True):
            with _recorded(linear) as records:
                logits = head(functional_call(model, fixed, (x,)), classes)
            uniform = torch.rand(len(y), generator=generator, dtype=torch.float64).to(x.device)
            columns = score_columns(logits.detach(), labels, y, uniform)
            rest = dict(parameters)
            # A linear layer called once on (N, in) has per-sample gradients d a^T: squared and summed, (d^2)^T (a^2).
            once = {layer: record[0] for layer, record in records.items() if len(record) == 1 and record[0][0].ndim == 2}
            squares = _squared_output_gradients(logits, [output for _, output in once.values()], columns)
            for (layer, (inputs, _)), square in zip(once.items(), squares, strict=True):
                for kind, name in linear[layer].items():
                    fisher[name] += square.T @ inputs.detach().square() if kind == "weight" else square.sum(0)
                    del rest[name]
            for name, square in _squared_per_sample(model, fixed, rest, x, classes, columns).items():
                fisher[name] += square
    return {name: f / len(split) for name, f in fisher.items()}


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
        return (p - torch.nn.functional.one_hot(y, p.shape[1]).to(p.dtype)).unsqueeze(2)
    p, order = p.sort(dim=1)
    tail = p.flip(1).cumsum(1).flip(1)  # tail[:, j] = p_j + ... + p_C > 0, as the largest p comes last
    ratio = p[:, :-1] / tail[:, :-1] / tail[:, 1:]  # (N, C - 1)
    below = -p[:, :, None] * ratio.sqrt()[:, None, :]
    factor = below.tril(-1)
    factor.diagonal(dim1=1, dim2=2).copy_((p[:, :-1] * tail[:, 1:] / tail[:, :-1]).sqrt())
    return torch.empty_like(factor).scatter_(1, order[:, :, None].expand_as(factor), factor)


def _linear_layers(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> dict[nn.Module, dict[str, str]]:
    """Linear layer -> {"weight": its name, "bias": ...} for trainable parameters that belong to this one module alone."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for p in module.parameters(recurse=False):
            owners[id(p)] = owners.get(id(p), 0) + 1
    names = {id(p): name for name, p in parameters.items() if owners[id(p)] == 1}
    layers = [module for module in model.modules() if type(module) is nn.Linear]
    return {
        layer: {kind: names[id(p)] for kind, p in layer.named_parameters(recurse=False) if id(p) in names} for layer in layers
    }


@contextmanager
def _recorded(layers: Mapping[nn.Module, object]) -> Iterator[dict[nn.Module, _Record]]:
    """Collect input and output of each call of ``layers``; outputs begin a graph, so that no parameter needs a gradient."""
    records: dict[nn.Module, _Record] = {}

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output if output.requires_grad else output.requires_grad_()
        records.setdefault(layer, []).append((inputs[0], output))
        return output.clone()  # an in-place activation may overwrite the clone, not what is recorded

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


def _squared_output_gradients(logits: Tensor, outputs: list[Tensor], columns: Tensor) -> list[Tensor]:
    """For each layer output (N, out): the squares of its gradient, summed over the K columns (N, C, K)."""
    totals = [torch.zeros_like(output) for output in outputs]
    if not outputs:
        return totals
    for k in range(columns.shape[2]):
        gradients = torch.autograd.grad(
            logits, outputs, columns[:, :, k], retain_graph=k + 1 < columns.shape[2], allow_unused=True
        )
        for total, gradient in zip(totals, gradients, strict=True):
            if gradient is not None:
                total.addcmul_(gradient, gradient)
    return totals


def _squared_per_sample(
    model: nn.Module,
    fixed: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    x: Tensor,
    classes: Sequence[int] | None,
    columns: Tensor,
) -> dict[str, Tensor]:
    """The same sums for any ``parameters``, through per-sample gradients of the whole model."""
    if not parameters:
        return {}
    theta = {name: p.detach() for name, p in parameters.items()}

    def squares(sample: Tensor, column: Tensor) -> dict[str, Tensor]:
        def logits_of(theta: dict[str, Tensor]) -> Tensor:
            return head(functional_call(model, {**fixed, **theta}, (sample[None],)), classes)[0]

        pull_back = vjp(logits_of, theta)[1]
        gradients = vmap(lambda c: pull_back(c)[0])(column.T)  # (K, *shape)
        return {name: g.square().sum(0) for name, g in gradients.items()}

    size = sum(p.numel() for p in theta.values()) * columns.shape[2]
    at_once = max(1, min(len(x), 4_000_000 // size))  # the per-sample gradients of a piece stay near 32 MB
    totals = {name: torch.zeros_like(p) for name, p in theta.items()}
    for piece, column in zip(x.split(at_once), columns.split(at_once), strict=True):
        for name, square in vmap(squares)(piece, column).items():
            totals[name] += square.sum(0)
    return totals
