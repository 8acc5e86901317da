"""Sums of squared per-sample gradients from the recorded calls of layers, a few columns at a time."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._weights import Named, wide
from .chain import spread
from .columns import Columns
from .layers import Call, Moment, Use
from .recurrent import Gates

_CACHE = 2**18  # numbers that stay near the processor: a piece of work has about this size
STORED = 2**23  # numbers kept at once for layers with many positions: 32 MB in float32


class Kept(NamedTuple):
    """The gradients at the output of one call with many positions."""

    each: Tensor  # (N, K, features, T)
    added: Tensor  # (N, K, features), the sum over positions


def closed_sums(
    uses: Mapping[str, list[Use]],
    calls: list[Call],
    output: Tensor,
    classes: Sequence[int] | None,
    columns: Columns,
    moment: Moment,
) -> Named:
    """Sums over samples and columns of ``moment`` of per-sample gradients.

    Args:
        uses: name -> the layers that hold this parameter.
        calls: the calls of these layers on a batch of N samples, in any order.
        output: of the model, (N, outputs), computed from the calls' outputs.
        classes: its outputs that are the logits, None for all.
        columns: what is sent back from the logits.

    Returns:
        name -> tensor of the parameter's shape. A name is missing if the first dimension of a call is not the samples'.
    """
    n = len(output)
    mine = {name: [i for i, call in enumerate(calls) for use in found if use.layer is call.layer]
            for name, found in uses.items()}  # fmt: skip
    mine = {name: numbers for name, numbers in mine.items() if all(calls[i].by_sample(n) for i in numbers)}
    alone = _alone(mine, calls, n)
    many = sorted({i for numbers in mine.values() for i in numbers if i not in alone})
    dtype, device = wide(output.dtype), output.device
    totals = {i: torch.zeros(calls[i].arranged(calls[i].output).shape[:2], dtype=dtype, device=device) for i in alone}
    source, sent, last = _source(calls, alone, output, classes, columns)
    if last is not None:
        totals[last][:, slice(None) if classes is None else list(classes)] = columns.total(moment).to(dtype)
    targets = [i for i in (*alone, *many) if i != last]

    sums: Named = {}
    if targets and source.requires_grad:
        at_once = max(1, STORED // (n * (stored_per_sample(calls, n) + source[0].numel())))  # columns
        while block := list(islice(sent, at_once)):
            kept = _sent_back(source, block, calls, targets, totals, moment)
            for name, numbers in mine.items():
                if numbers and numbers[0] in kept:
                    found = _many(uses[name][0], [calls[i] for i in numbers], [kept[i] for i in numbers], moment)
                    sums[name] = sums[name] + found if name in sums else found
    for name, numbers in mine.items():
        if numbers and numbers[0] in totals:
            sums[name] = _alone_sum(uses[name][0], calls[numbers[0]], totals[numbers[0]], moment)
        elif name not in sums:  # not called, or not reached
            sums[name] = torch.zeros_like(_parameter(uses[name][0]), dtype=dtype, requires_grad=False)
    return sums


def stored_per_sample(calls: Sequence[Call], n: int) -> int:
    """How many numbers a sample and column :func:`closed_sums` keeps of layers with many positions, on ``n`` samples."""
    times = Counter(call.layer for call in calls)
    many = [call for call in calls if call.by_sample(n) and (times[call.layer] > 1 or not _one_position(call))]
    return sum(call.output.numel() // n for call in many)


def _one_position(call: Call) -> bool:
    return call.arranged(call.output).shape[2] == 1


def _parameter(use: Use) -> Tensor:
    found: Tensor = getattr(use.layer, use.part)
    return found


def _alone(mine: Mapping[str, list[int]], calls: list[Call], n: int) -> list[int]:
    """Calls with one position whose parameters meet no other call: the sum over columns is all that is needed of d."""
    shared = {i for numbers in mine.values() if len(numbers) > 1 for i in numbers}
    used = {i for numbers in mine.values() for i in numbers}
    return [i for i in sorted(used - shared) if _one_position(calls[i])]


def _source(
    calls: list[Call], alone: list[int], output: Tensor, classes: Sequence[int] | None, columns: Columns
) -> tuple[Tensor, Iterator[Tensor], int | None]:
    """Where the backward passes begin and with what: below a last Linear layer, if there is one, else at the output."""
    for i in alone:
        layer = calls[i].layer
        if calls[i].given is output and type(layer) is nn.Linear:
            weight = layer.weight.detach() if classes is None else layer.weight.detach()[list(classes)]
            return calls[i].source, columns.through(weight), i
    return output, (column if classes is None else spread(column, output, classes) for column in columns), None


def _sent_back(
    source: Tensor, block: list[Tensor], calls: list[Call], targets: list[int], totals: dict[int, Tensor], moment: Moment
) -> dict[int, Kept]:
    """Send the columns of ``block`` back: those ``alone`` are added to ``totals``, of the others all gradients are kept."""
    kept: dict[int, Kept] = {}
    outputs = [calls[i].output for i in targets]
    stepwise = any(isinstance(call.layer, Gates) for call in calls)
    for k, found in enumerate(_together(source, outputs, block) if stepwise else _in_turn(source, outputs, block)):
        for i, d in zip(targets, found, strict=True):
            if i in totals:
                if d is not None:  # None: the logits do not use this output
                    d = calls[i].arranged(d)[:, :, 0].to(totals[i].dtype)
                    totals[i].addcmul_(d, d) if moment is torch.square else totals[i].add_(moment(d))
                continue
            if i not in kept:
                size = (len(source), len(block), *calls[i].arranged(calls[i].output).shape[1:])
                each = torch.empty(size, dtype=wide(source.dtype), device=source.device)
                kept[i] = Kept(each, each.new_empty(size[:3]))
            arranged = None if d is None else calls[i].arranged(d)
            kept[i].each[:, k] = 0.0 if arranged is None else arranged
            kept[i].added[:, k] = 0.0 if arranged is None else arranged.sum(2)  # now, while it is near the processor
    return kept


def _in_turn(source: Tensor, outputs: list[Tensor], block: list[Tensor]) -> Iterator[Sequence[Tensor | None]]:
    for column in block:
        yield torch.autograd.grad(source, outputs, column, retain_graph=True, allow_unused=True)


def _together(source: Tensor, outputs: list[Tensor], block: list[Tensor]) -> Iterator[Sequence[Tensor | None]]:
    """All columns in one pass, for networks that take many small steps."""
    with quiet():
        found = torch.autograd.grad(
            source, outputs, torch.stack(block), retain_graph=True, allow_unused=True, is_grads_batched=True
        )
    return zip(*([None] * len(block) if d is None else d.unbind(0) for d in found), strict=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Torch's remarks on what it has not made quick yet, and on its own use of what it gives up, are not heard inside."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
        yield


def _alone_sum(use: Use, call: Call, d: Tensor, moment: Moment) -> Tensor:
    """One position: the moment of a product is the product of the moments. ``d``: (N, features), summed moments."""
    parameter = _parameter(use)
    return d.sum(0).view(parameter.shape) if use.part == "bias" else call.map.alone(parameter, call.met(), d, moment)


def _many(use: Use, calls: list[Call], kept: list[Kept], moment: Moment) -> Tensor:
    """Many positions: per-sample gradients of a few samples at a time, each (K, parameter), then moments and sums."""
    if use.part == "bias":
        added = sum((k.added for k in kept[1:]), start=kept[0].added)
        return moment(added).sum((0, 1)).view(_parameter(use).shape)
    weight, first = _parameter(use), kept[0].each
    numbers = calls[0].map.numbers(weight, first.shape[1], sum(k.each.shape[3] for k in kept))
    at_once = max(1, _CACHE // max(1, numbers))
    total = torch.zeros_like(weight, dtype=first.dtype, requires_grad=False)
    for start in range(0, len(first), at_once):
        d = _joined([k.each[start : start + at_once] for k in kept])  # (n', K, features, T)
        a = _joined([call.met(start, start + at_once) for call in calls])
        total += calls[0].map.many(weight, a, d, moment)
    return total


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
