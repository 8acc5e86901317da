"""Beyond the diagonal: the Fisher of each layer as a Kronecker product of two small matrices (KFAC).

The gradient of a linear layer's weight is d a^T, output gradient times input, so its Fisher block is E[d d^T (x) a a^T]. KFAC
takes the two factors apart, E[d d^T] (x) E[a a^T]: exact for a single sample, an approximation for more, and it knows what the
diagonal cannot, that weights act together (Martens & Grosse 2015, arXiv:1503.05671, section 3; for convolutions Grosse &
Martens 2016, arXiv:1602.01407, section 3; in continual learning Ritter, Botev & Barber 2018, arXiv:1805.07810).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import _checks
from ._layers import CONVOLUTIONS, by_position, layer_inputs, recorded, wide
from .fisher import Data, _Bound, _label_columns, _PerSample, _visit


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

    Arguments and errors as for :func:`cl_teach.diagonal_fisher`; all other trainable layers are left out. With several
    positions (a convolution, or a layer called more than once) inputs are summed over positions and output gradients averaged.

    Raises:
        ValueError: the model has no such layer.
    """
    _checks.trainable(model)
    layers: dict[nn.Module, str] = {}
    for name, layer in model.named_modules():
        fits = type(layer) is nn.Linear or (type(layer) in CONVOLUTIONS and layer.groups == 1)
        if fits and layer.weight.requires_grad:
            layers[layer] = name
    if not layers:
        raise ValueError(f"model has no Linear or ungrouped convolution layer with a trainable weight ({type(model).__name__})")
    sums: dict[str, KroneckerBlock] = {}

    def visit(work: _PerSample, x: Tensor, columns_of: _Bound) -> None:
        with recorded(set(layers)) as calls:
            logits = work.logits(x)
        columns = columns_of(logits)
        places = {name: [i for i, call in enumerate(calls) if layers[call.layer] == name] for name in layers.values()}
        places = {name: numbers for name, numbers in places.items() if numbers}
        for name, numbers in places.items():
            a = torch.cat([layer_inputs(calls[i].layer, calls[i].input)[:, 0] for i in numbers], dim=2).to(wide(logits.dtype))
            bias = calls[numbers[0]].layer.bias
            if isinstance(bias, Tensor) and bias.requires_grad:
                a = torch.cat([a, torch.ones_like(a[:, :1])], dim=1)  # (N, I, T)
            size = by_position(calls[numbers[0]].layer, calls[numbers[0]].output).shape[1]
            block = sums.setdefault(name, KroneckerBlock(a.new_zeros(a.shape[1], a.shape[1]), a.new_zeros(size, size)))
            block.inputs += torch.einsum("nit,njt->ij", a, a)
        for k in range(columns.shape[2]):
            outputs = [call.output for call in calls]
            found = torch.autograd.grad(logits, outputs, columns[:, :, k], retain_graph=True, materialize_grads=True)
            for name, numbers in places.items():
                d = torch.cat([by_position(calls[i].layer, found[i]) for i in numbers], dim=2).to(
                    wide(logits.dtype)
                )  # (N, O, T)
                sums[name].outputs += torch.einsum("nit,njt->ij", d, d) / d.shape[2]

    count = _visit(visit, model, data, _label_columns(labels), n, classes, seed, chunk)
    dtype = next(model.parameters()).dtype
    return {name: KroneckerBlock((b.inputs / count).to(dtype), (b.outputs / count).to(dtype)) for name, b in sums.items()}
