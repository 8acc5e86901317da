"""Per-sample gradients layer by layer, in closed form: what lets a Fisher cost two passes instead of one pass a sample.

A backward pass to the *outputs* of the layers already keeps the samples apart; only the last step to the parameters adds them
up. Every layer here is, at each of T positions, one of four simple maps of its input a with output gradient d:

    product  a matrix times a        Linear, Conv1d, Conv2d, Conv3d (a: the patches)   sum_t d_t a_t^T
    scale    a weight times a        LayerNorm, GroupNorm, BatchNorm (a: normalised)   sum_t d_t a_t
    rows     a row chosen by a       Embedding (a: indices)                            sum of d_t by index
    sum      a bias added            all of them                                       sum_t d_t

A layer that is called several times, or shares its parameter with another, simply has more positions. With one position the
square of a product is the product of the squares, and no per-sample gradient is ever formed (Goodfellow 2015,
arXiv:1510.01799; Dangel et al. 2020, BackPACK, arXiv:1912.10985).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
SUPPORTED = (nn.Linear, *CONVOLUTIONS, nn.Embedding, nn.LayerNorm, nn.GroupNorm, *BATCH_NORMS)
_CACHE = 2**18  # numbers that stay near the processor: a piece of work has about this size


class Use(NamedTuple):
    """A parameter of a layer: its name in the model, and "weight" or "bias"."""

    layer: nn.Module
    kind: str


class Call(NamedTuple):
    """One call of a layer: its input, and its output, to which gradients are taken."""

    layer: nn.Module
    input: Tensor
    output: Tensor


def closed_uses(model: nn.Module, names: Sequence[str]) -> dict[str, list[Use]]:
    """Those of the parameters ``names`` that belong to supported layers only: name -> every layer that holds it."""
    owners: dict[int, list[Use]] = {}
    for module in model.modules():
        for kind, p in module.named_parameters(recurse=False, remove_duplicate=False):
            owners.setdefault(id(p), []).append(Use(module, kind))
    parameters = dict(model.named_parameters())
    uses = {name: owners[id(parameters[name])] for name in names}
    forms = {name: {_form(use) for use in found} for name, found in uses.items()}
    return {name: uses[name] for name in names if len(forms[name]) == 1 and "" not in forms[name]}


@contextmanager
def recorded(layers: set[nn.Module]) -> Iterator[list[Call]]:
    """Collect the calls of ``layers``; their outputs begin a graph, so that no parameter needs a gradient."""
    calls: list[Call] = []

    def hook(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor) -> Tensor:
        output = output if output.requires_grad else output.requires_grad_()
        calls.append(Call(layer, (args[0] if args else kwargs["input"]).detach(), output))
        return output.clone()  # an in-place activation may overwrite the clone, not what is recorded

    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer in layers]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def closed_sums(
    uses: Mapping[str, list[Use]],
    calls: list[Call],
    logits: Tensor,
    columns: Tensor,
    moment: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Sums over samples and columns of ``moment`` (square or abs) of per-sample gradients.

    Args:
        uses: name -> the layers that hold this parameter.
        calls: the calls of these layers on a batch of N samples, in any order.
        logits: (N, C), computed from the calls' outputs.
        columns: (N, C, K), the gradients with respect to the logits that are sent back.
        moment: must obey moment(a b) = moment(a) moment(b).

    Returns:
        name -> tensor of the parameter's shape. A name is missing if the first dimension of a call is not the samples'.
    """
    n = len(logits)
    mine: dict[str, list[int]] = {
        name: [i for i, call in enumerate(calls) for use in found if use.layer is call.layer] for name, found in uses.items()
    }
    mine = {name: numbers for name, numbers in mine.items() if all(_by_sample(calls[i], n) for i in numbers)}
    # With one position in one call, the sum over columns of moment(d) is all that is needed of d.
    alone = {i for i, call in enumerate(calls) if _by_sample(call, n) and by_position(call.layer, call.output).shape[2] == 1}
    alone -= {i for numbers in mine.values() if len(numbers) > 1 for i in numbers}
    gradients, added = _output_gradients(calls, alone, logits, columns, moment)
    sums = {}
    for name, numbers in mine.items():
        layer, kind = uses[name][0]
        shape = getattr(layer, kind).shape
        if not numbers:
            sums[name] = torch.zeros(shape, dtype=wide(logits.dtype), device=logits.device)
        elif numbers[0] in alone:
            sums[name] = _alone(uses[name][0], calls[numbers[0]], gradients[numbers[0]], moment).view(shape)
        elif kind == "bias":
            total = sum((added[i] for i in numbers[1:]), start=added[numbers[0]])
            sums[name] = moment(total).sum((0, 1)).view(shape)
        else:
            sums[name] = _many(uses[name][0], [calls[i] for i in numbers], [gradients[i] for i in numbers], moment).view(shape)
    return sums


def stored_per_sample(calls: list[Call], n: int) -> int:
    """How many numbers a sample and column :func:`closed_sums` keeps for these calls on ``n`` samples."""
    return sum(call.output.numel() // n for call in calls if _by_sample(call, n))


def _form(use: Use) -> str:
    """Which of the four maps the parameter takes part in; "" if it is none of them."""
    layer, kind = use
    if type(layer) not in SUPPORTED or kind not in ("weight", "bias"):
        return ""  # not isinstance: a subclass may compute something else
    if kind == "bias":
        return "sum"
    if isinstance(layer, nn.Embedding):
        plain = layer.max_norm is None and not layer.scale_grad_by_freq
        return f"rows {layer.padding_idx}" if plain else ""
    if isinstance(layer, nn.Linear):
        return "product"
    # Tied convolutions that differ in stride or padding are products all the same, but their groups must agree.
    return f"product of {layer.groups}" if isinstance(layer, CONVOLUTIONS) else "scale"


def _by_sample(call: Call, n: int) -> bool:
    """Whether the first dimension of the call is the samples'."""
    layer, a, _ = call
    dims = 2
    if isinstance(layer, CONVOLUTIONS):
        dims = len(layer.kernel_size) + 2  # without a batch dimension a convolution takes one fewer
    elif isinstance(layer, nn.Embedding):
        dims = 1
    elif isinstance(layer, nn.LayerNorm):
        dims = len(layer.normalized_shape) + 1
    return a.ndim >= dims and a.shape[0] == n


def by_position(layer: nn.Module, d: Tensor) -> Tensor:
    """An output, or its gradient, as (N, features, T): features in the order of the parameter, T positions."""
    if isinstance(layer, (nn.Linear, nn.Embedding, nn.LayerNorm)):
        features = math.prod(layer.normalized_shape) if isinstance(layer, nn.LayerNorm) else d.shape[-1]
        return d.reshape(len(d), -1, features).transpose(1, 2)
    return d.flatten(2) if d.ndim > 2 else d.unsqueeze(2)  # channels stand second


def layer_inputs(layer: nn.Module, a: Tensor) -> Tensor:
    """What a weight meets: (N, groups, inputs, T) for products, (N, features, T) for scales, (N, T) for rows."""
    if isinstance(layer, nn.Linear):
        return by_position(layer, a).unsqueeze(1)
    if isinstance(layer, CONVOLUTIONS):
        return _patches(layer, a)
    if isinstance(layer, nn.Embedding):
        return a.reshape(len(a), -1)
    if isinstance(layer, nn.LayerNorm):
        return by_position(layer, functional.layer_norm(a, layer.normalized_shape, eps=layer.eps))
    if isinstance(layer, nn.GroupNorm):
        return by_position(layer, functional.group_norm(a, layer.num_groups, eps=layer.eps))
    assert isinstance(layer, BATCH_NORMS)
    return by_position(layer, functional.batch_norm(a, layer.running_mean, layer.running_var, eps=layer.eps))


def _patches(layer: Any, a: Tensor) -> Tensor:
    """The inputs that each output position of a convolution sees: (N, C, ...) to (N, groups, C / groups * kernel, T)."""
    if any(layer._reversed_padding_repeated_twice):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        a = functional.pad(a, layer._reversed_padding_repeated_twice, mode)
    size, step, spread = layer.kernel_size, layer.stride, layer.dilation
    places = [(length - gap * (k - 1) - 1) // s + 1 for length, k, s, gap in zip(a.shape[2:], size, step, spread, strict=True)]
    strides = a.stride()
    moves = [s * jump for s, jump in zip(strides[2:], step, strict=True)]
    offsets = [s * gap for s, gap in zip(strides[2:], spread, strict=True)]
    windows = a.as_strided((*a.shape[:2], *size, *places), (*strides[:2], *offsets, *moves), a.storage_offset())
    return windows.reshape(len(a), layer.groups, -1, math.prod(places))


def _output_gradients(
    calls: list[Call], alone: set[int], logits: Tensor, columns: Tensor, moment: Callable[[Tensor], Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients at the calls' outputs: for those ``alone`` summed moments, (N, features, 1); for the others all of them,
    (N, K, features, T), and what they add up to over T."""
    n, k_all = len(logits), columns.shape[2]
    kept: list[Tensor] = []
    added: list[Tensor] = []  # over the positions, while they are at hand
    for i, call in enumerate(calls):
        shape = by_position(call.layer, call.output).shape if _by_sample(call, n) else torch.Size((n, 0, 0))
        size = shape if i in alone else torch.Size((n, k_all, *shape[1:]))
        make = torch.zeros if i in alone else torch.empty
        kept.append(make(size, dtype=wide(logits.dtype), device=logits.device))
        added.append(kept[-1].new_empty(size[:3] if i not in alone else 0))
    outputs = [call.output for call in calls]
    for k in range(k_all):
        found: Sequence[Tensor | None] = [None] * len(calls)
        if calls and logits.requires_grad:
            found = torch.autograd.grad(logits, outputs, columns[:, :, k], retain_graph=k + 1 < k_all, allow_unused=True)
        for i, (call, d) in enumerate(zip(calls, found, strict=True)):
            if kept[i].numel() == 0:
                continue
            arranged = None if d is None else by_position(call.layer, d).to(kept[i].dtype)
            if i not in alone:
                kept[i][:, k] = 0.0 if arranged is None else arranged
                added[i][:, k] = 0.0 if arranged is None else arranged.sum(2)
            elif arranged is not None and moment is torch.square:
                kept[i].addcmul_(arranged, arranged)
            elif arranged is not None:  # None: the logits do not use this output
                kept[i] += moment(arranged)
    return kept, added


def _alone(use: Use, call: Call, d: Tensor, moment: Callable[[Tensor], Tensor]) -> Tensor:
    """One position: the moment of a product is the product of the moments. ``d``: (N, features, 1), summed moments."""
    form, d = _form(use), d[:, :, 0]
    if form == "sum":
        return d.sum(0)
    a = layer_inputs(call.layer, call.input)
    if form.startswith("rows"):
        total = d.new_zeros(use.layer.weight.shape)  # type: ignore[arg-type]
        return _no_padding(use, total.index_add_(0, a[:, 0], d))
    a = moment(a.to(d.dtype))[..., 0]
    if form == "scale":
        return (a * d).sum(0)
    if a.shape[1] == 1:
        return d.T @ a[:, 0]
    return torch.einsum("ngo,ngi->goi", d.unflatten(1, (a.shape[1], -1)), a)


def _many(use: Use, calls: list[Call], gradients: list[Tensor], moment: Callable[[Tensor], Tensor]) -> Tensor:
    """Many positions: per-sample gradients of a few samples at a time, each (K, parameter), then moments and sums."""
    form = _form(use)
    n, k, features = gradients[0].shape[:3]
    positions = sum(d.shape[3] for d in gradients)
    weight: Tensor = use.layer.weight  # type: ignore[assignment]
    each = k * features * positions
    if form.startswith("product"):
        row = weight[0].numel()
        each = max(each, k * features * row, row * positions)
    at_once = max(1, _CACHE // max(each, 1))
    total: Tensor | float = 0.0
    for start in range(0, n, at_once):
        d = _joined([g[start : start + at_once] for g in gradients])  # (n', K, features, T)
        a = _joined([layer_inputs(call.layer, call.input[start : start + at_once]) for call in calls])
        if form.startswith("rows"):
            total = total + _no_padding(use, _rows(a, d, len(weight), moment))
            continue
        a = a.to(d.dtype)
        if form == "scale":
            total = total + moment(torch.einsum("nkft,nft->nkf", d, a)).sum((0, 1))
            continue
        groups, inputs = a.shape[1:3]
        d = d.unflatten(2, (groups, -1)).transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (n' groups, K outputs, T)
        g = torch.bmm(d, a.flatten(0, 1).transpose(1, 2))
        g = torch.mul(g, g, out=g) if moment is torch.square else moment(g)
        total = total + g.view(len(a), -1).sum(0).view(groups, k, -1, inputs).sum(1)
    assert isinstance(total, Tensor)
    return total


def _rows(indices: Tensor, d: Tensor, n_rows: int, moment: Callable[[Tensor], Tensor]) -> Tensor:
    """Embedding: ``indices`` (N, T), ``d`` (N, K, features, T); a row that a sample meets twice is added up first."""
    k, features = d.shape[1:3]
    sample = torch.arange(len(d), device=d.device)[:, None] * n_rows
    met, where = torch.unique(sample + indices, return_inverse=True)
    g = d.new_zeros(len(met), k, features).index_add_(0, where.flatten(), d.movedim(3, 1).flatten(0, 1))
    return d.new_zeros(n_rows, features).index_add_(0, met % n_rows, moment(g).sum(1))


def _no_padding(use: Use, total: Tensor) -> Tensor:
    padding = getattr(use.layer, "padding_idx", None)
    if padding is not None:
        total[padding] = 0.0  # by definition this row learns nothing
    return total


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type to add up in: half-precision numbers are added up in float32."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
