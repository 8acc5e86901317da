"""Per-sample gradients layer by layer, in closed form: what lets a Fisher cost two passes instead of one pass a sample.

A backward pass to the *outputs* of the layers already keeps the samples apart; only the last step to the parameters adds them
up. Every layer here is, at each of T positions, one of three simple maps of its input a with output gradient d, and a bias:

    product  a matrix times a        sum_t d_t a_t^T
    scale    a weight times a        sum_t d_t a_t
    rows     a row chosen by a       sum of d_t by index
    bias     added                   sum_t d_t

A layer that is called several times, or shares its parameter with another, simply has more positions. With one position the
square of a product is the product of the squares, and no per-sample gradient is ever formed (Goodfellow 2015,
arXiv:1510.01799; Dangel et al. 2020, BackPACK, arXiv:1912.10985).

Which layers are covered, and how, stands in the table LAYERS; a new layer is one more entry there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .recurrent import Gates, Unrolled

Moment = Callable[[Tensor], Tensor]  # square or abs: what is summed of a gradient; moment(a b) = moment(a) moment(b)


# --- the three maps -------------------------------------------------------------------------------------------------------
# ``alone``: one position, a (N, ...), d (N, features): already the sum over columns of the moments of each gradient.
# ``many``: a few samples, a (n, ..., T), d (n, K, features, T). Both return the sum of moments, in the shape of the weight.


class Product:
    """A matrix times a, (N, groups, inputs, T); the features of d are those of the groups, one group after the other."""

    def alone(self, weight: Tensor, a: Tensor, d: Tensor, moment: Moment) -> Tensor:
        a = moment(a.to(d.dtype))[..., 0]
        if a.shape[1] == 1:
            return (d.T @ a[:, 0]).view(weight.shape)
        return torch.einsum("ngo,ngi->goi", d.unflatten(1, (a.shape[1], -1)), a).reshape(weight.shape)

    def many(self, weight: Tensor, a: Tensor, d: Tensor, moment: Moment) -> Tensor:
        k, (groups, inputs) = d.shape[1], a.shape[1:3]
        d = d.unflatten(2, (groups, -1)).transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (n groups, K outputs, T)
        g = torch.bmm(d, a.to(d.dtype).flatten(0, 1).transpose(1, 2))  # (n groups, K outputs, inputs)
        g = torch.mul(g, g, out=g) if moment is torch.square else moment(g)
        return g.view(len(a), -1).sum(0).view(groups, k, -1, inputs).sum(1).view(weight.shape)

    def numbers(self, weight: Tensor, k: int, positions: int) -> int:
        """How many numbers ``many`` works on for one sample."""
        row = weight[0].numel()
        return max(k * weight.shape[0] * max(positions, row), row * positions)


class Scale:
    """A weight times a, (N, features, T), number by number."""

    def alone(self, weight: Tensor, a: Tensor, d: Tensor, moment: Moment) -> Tensor:
        return (moment(a.to(d.dtype))[..., 0] * d).sum(0).view(weight.shape)

    def many(self, weight: Tensor, a: Tensor, d: Tensor, moment: Moment) -> Tensor:
        return moment(torch.einsum("nkft,nft->nkf", d, a.to(d.dtype))).sum((0, 1)).view(weight.shape)

    def numbers(self, weight: Tensor, k: int, positions: int) -> int:
        return k * weight.numel() * positions


class Rows:
    """The rows of the weight that a, (N, T), chooses; a row that a sample meets twice is added up before the moment."""

    def __init__(self, padding: int | None) -> None:
        self.padding = padding

    def alone(self, weight: Tensor, a: Tensor, d: Tensor, moment: Moment) -> Tensor:
        return self._learning(d.new_zeros(weight.shape).index_add_(0, a[:, 0], d))

    def many(self, weight: Tensor, a: Tensor, d: Tensor, moment: Moment) -> Tensor:
        (k, features), n_rows = d.shape[1:3], len(weight)
        sample = torch.arange(len(d), device=d.device)[:, None] * n_rows
        met, where = torch.unique(sample + a, return_inverse=True)
        g = d.new_zeros(len(met), k, features).index_add_(0, where.flatten(), d.movedim(3, 1).flatten(0, 1))
        return self._learning(d.new_zeros(n_rows, features).index_add_(0, met % n_rows, moment(g).sum(1)))

    def numbers(self, weight: Tensor, k: int, positions: int) -> int:
        return k * weight.shape[1] * positions

    def _learning(self, total: Tensor) -> Tensor:
        if self.padding is not None:
            total[self.padding] = 0.0  # by definition this row learns nothing
        return total


# --- the layers -----------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """How the layers of one class meet their weight.

    Attributes:
        map: layer -> one of the three maps.
        met: layer, input -> the a of that map.
        arrange: layer, output (or its gradient) -> (N, features, T), features in the order of the weight.
        dims: layer -> dimensions of an input whose first is the samples'.
        tied: layer -> in what layers that share a weight must agree, beside their map, to be summed as one.
        covers: layer -> whether it is this simple as it is set up.
    """

    map: Callable[[Any], Product | Scale | Rows]
    met: Callable[[Any, Tensor], Tensor]
    arrange: Callable[[Any, Tensor], Tensor]
    dims: Callable[[Any], int]
    tied: Callable[[Any], object] = lambda layer: None
    covers: Callable[[Any], bool] = lambda layer: True


def _features_last(layer: Any, t: Tensor) -> Tensor:
    return t.reshape(len(t), -1, t.shape[-1]).transpose(1, 2)


def _channels_second(layer: Any, t: Tensor) -> Tensor:
    return t.flatten(2) if t.ndim > 2 else t.unsqueeze(2)


def _normalised_last(layer: nn.LayerNorm, t: Tensor) -> Tensor:
    return t.reshape(len(t), -1, math.prod(layer.normalized_shape)).transpose(1, 2)


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


def _batch_normed(layer: Any, a: Tensor) -> Tensor:
    return _channels_second(layer, functional.batch_norm(a, layer.running_mean, layer.running_var, eps=layer.eps))


_LINEAR = Kind(lambda layer: Product(), lambda layer, a: _features_last(layer, a).unsqueeze(1), _features_last, lambda layer: 2)
_CONVOLUTION = Kind(  # tied ones that differ in stride or padding are products all the same, but their groups must agree
    lambda layer: Product(), _patches, _channels_second, lambda layer: len(layer.kernel_size) + 2, lambda layer: layer.groups
)
_BATCH_NORM = Kind(lambda layer: Scale(), _batch_normed, _channels_second, lambda layer: 2)
_LAYER_NORM = Kind(
    lambda layer: Scale(),
    lambda layer, a: _normalised_last(layer, functional.layer_norm(a, layer.normalized_shape, eps=layer.eps)),
    _normalised_last,
    lambda layer: len(layer.normalized_shape) + 1,
)
_GROUP_NORM = Kind(
    lambda layer: Scale(),
    lambda layer, a: _channels_second(layer, functional.group_norm(a, layer.num_groups, eps=layer.eps)),
    _channels_second,
    lambda layer: 2,
)
_EMBEDDING = Kind(
    lambda layer: Rows(layer.padding_idx),
    lambda layer, a: a.reshape(len(a), -1),
    _features_last,
    lambda layer: 1,
    lambda layer: layer.padding_idx,
    lambda layer: layer.max_norm is None and not layer.scale_grad_by_freq,
)
LAYERS: dict[type, Kind] = {  # by the very class: a subclass may compute something else
    nn.Linear: _LINEAR,
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.Conv3d: _CONVOLUTION,
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.BatchNorm3d: _BATCH_NORM,
    nn.LayerNorm: _LAYER_NORM,
    nn.GroupNorm: _GROUP_NORM,
    nn.Embedding: _EMBEDDING,
    Gates: _LINEAR,
}


def is_product(layer: nn.Module) -> bool:
    """Whether the layer multiplies one matrix with its inputs: a Linear, or a convolution without groups."""
    kind = LAYERS.get(type(layer))
    return kind is _LINEAR or (kind is _CONVOLUTION and bool(layer.groups == 1))


# --- recording ------------------------------------------------------------------------------------------------------------


class Use(NamedTuple):
    """A parameter of a layer: "weight" or "bias"."""

    layer: nn.Module
    part: str


class Call(NamedTuple):
    """One call of a layer."""

    layer: nn.Module
    source: Tensor  # its input, as it came
    output: Tensor  # to which gradients are taken
    given: Tensor  # what the model went on with: a copy of the output

    @property
    def kind(self) -> Kind:
        return LAYERS[type(self.layer)]

    @property
    def map(self) -> Product | Scale | Rows:
        return self.kind.map(self.layer)

    def met(self, start: int = 0, stop: int | None = None) -> Tensor:
        """What the weight met in the samples start to stop."""
        return self.kind.met(self.layer, self.source.detach()[start:stop])

    def arranged(self, output: Tensor) -> Tensor:
        """The output, or its gradient, as (N, features, T)."""
        return self.kind.arrange(self.layer, output)

    def by_sample(self, n: int) -> bool:
        """Whether the first dimension is the samples'."""
        return self.source.ndim >= self.kind.dims(self.layer) and self.source.shape[0] == n


def closed_uses(model: nn.Module, names: Iterable[str], recurrent: Sequence[Unrolled] = ()) -> dict[str, list[Use]]:
    """Those of the parameters ``names`` that belong to layers of the table only: name -> every layer that holds it.

    The layers of ``recurrent`` ones are their gates.
    """
    owners: dict[int, list[Use]] = {}
    gates: dict[tuple[nn.Module, str], Use] = {
        (each.layer, name): Use(g, part) for each in recurrent for g in each.gates() for part, name in g.names.items()
    }
    for module in model.modules():
        for part, p in module.named_parameters(recurse=False, remove_duplicate=False):
            owners.setdefault(id(p), []).append(gates.get((module, part), Use(module, part)))
    parameters = dict(model.named_parameters())
    uses = {name: owners[id(parameters[name])] for name in names}
    roles = {name: {_role(use) for use in found} for name, found in uses.items()}
    return {name: found for name, found in uses.items() if len(roles[name]) == 1 and () not in roles[name]}


def _role(use: Use) -> tuple[object, ...]:
    """What the parameter does in that layer; empty if that is in no table."""
    kind = LAYERS.get(type(use.layer))
    if kind is None or use.part not in ("weight", "bias") or not kind.covers(use.layer):
        return ()
    return ("bias",) if use.part == "bias" else (kind.map, kind.tied(use.layer))


@contextmanager
def recorded(layers: Iterable[nn.Module]) -> Iterator[list[Call]]:
    """Collect the calls of ``layers``; their outputs begin a graph, so that no parameter needs a gradient."""
    layers, calls = set(layers), list[Call]()

    def hook(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor) -> Tensor:
        output = output if output.requires_grad else output.requires_grad_()
        given = output.clone()  # an in-place activation may overwrite the copy, not what is recorded
        calls.append(Call(layer, args[0] if args else kwargs["input"], output, given))
        return given

    stepwise = [layer for layer in layers if isinstance(layer, Gates) and layer.kind != "ih"]
    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer in layers.difference(stepwise)]
    try:
        for layer in stepwise:
            layer.record = lambda met, output, layer=layer: calls.append(Call(layer, met, output, output))
        yield calls
    finally:
        for handle in handles:
            handle.remove()
        for layer in stepwise:
            layer.record = None
