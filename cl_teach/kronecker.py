"""EWC with a better matrix: each layer's Fisher block as a Kronecker product, in the place of its diagonal.

A layer that has moved by D (outputs, inputs) from where a task left it pays sum(D * (R D S)), with S = E[a a^T] of its inputs
and R = E[d d^T] of the gradients at its outputs, as :func:`cl_teach.kfac` gives them: how one weight is pulled depends on how
all weights of its layer have moved. What lies between two layers is left out. Several such products do not add up to one, so
each task has a slot of its own: memory and time grow with the tasks, where those of :class:`cl_teach.EWC` do not.

Source: Ritter, Botev & Barber 2018, arXiv:1805.07810; the factors are those of Martens & Grosse 2015, arXiv:1503.05671.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import _checks
from ._prepare import Data
from ._weights import Named, inner
from .curvature import kfac
from .fast.layers import is_product
from .fisher import LABELS
from .penalties import Penalty

TOLERANCE, MOST = 1e-6, 50  # of conjugate gradients: where they end, relative to their start, and how many at most
ROUNDING = 1e-3  # they take c times the largest eigenvalue up to this, over the type's precision: beyond, rounding errors count


class KFAC(Penalty):
    """EWC with a Kronecker-factored Fisher: the sum over tasks and layers of v^T (R (x) S) v, v a layer's way from its anchor.

    It holds Linear and ungrouped convolution layers. Its proximal step is exact: with one task in the eigenvectors of R and S,
    where the matrix is diagonal; with several by conjugate gradients on their sum. No strength makes it diverge, as each of
    these lowers what the step minimises.

    Args:
        labels, n, seed: how the factors are computed, see :func:`cl_teach.kfac`.

    Attributes:
        inputs, outputs, anchors: "task layer", such as "1 body.conv" -> S (I, I); R (O, O); the layer's weights after that
            task (O, I), each row flattened, and with the bias (if trainable) as its last number.
        precision, anchor: the diagonal of the sum, and the latest weights, by parameter name.
    """

    diagonal = False

    def __init__(self, labels: str = "exact", n: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self.labels = _checks.one_of("labels", labels, LABELS)
        self.n = None if n is None else _checks.whole_number("n", n, at_least=1)
        self.seed = _checks.seed(seed)
        self.inputs: Named = {}
        self.outputs: Named = {}
        self.anchors: Named = {}
        self._solvers: dict[str, tuple[object, Callable[[Tensor], Tensor]]] = {}

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        """The diagonal of each R (x) S. ValueError if a trainable weight is in a layer of another kind, or in two."""
        trainable = _checks.trainable(model)
        layers = [(name, m) for name, m in model.named_modules() if is_product(m) and m.weight.requires_grad]
        own = {f"{layer}.{kind}".lstrip(".") for layer, m in layers for kind, p in m.named_parameters() if p.requires_grad}
        if layers and (other := sorted(own ^ set(trainable))):
            raise ValueError(
                "model must have its trainable weights in Linear or ungrouped convolution layers for KFAC, each in one, got "
                f"{other[0]} ({len(other)} such); freeze what is not with requires_grad_(False), or take EWC()"
            )
        found = kfac(model, data, self.labels, n=self.n, classes=classes, seed=self.seed)
        diagonal = {name: torch.zeros_like(p, requires_grad=False) for name, p in trainable.items()}
        for layer, block in found.items():
            slot = f"{self.n_tasks + 1} {layer}"
            self.inputs[slot], self.outputs[slot] = block.inputs, block.outputs
            self.anchors[slot] = _Layer(trainable, layer).rows().detach()
            diagonal |= _Layer(trainable, layer).pieces(torch.outer(block.outputs.diagonal(), block.inputs.diagonal()))
        self._solvers.clear()
        return diagonal

    def __call__(self, model: nn.Module) -> Tensor:
        value = next(inner(model).parameters()).new_tensor(0.0)
        for layer in self._layers(model):
            theta = layer.rows()
            for s, r, m in layer.slots:
                change = theta[: len(r)] - m
                value = value + (change * (r @ change @ s)).sum()
        return value

    @torch.no_grad()
    def add_gradient(self, model: nn.Module, strength: float) -> None:
        for layer in self._layers(model) if _checks.strength(strength) else ():
            for name, g in layer.pieces(strength * layer.product(layer.rows(), away=1.0)).items():
                if (p := layer.parts[name]).requires_grad:
                    p.grad = g if p.grad is None else p.grad + g

    @torch.no_grad()
    def proximal_step(self, model: nn.Module, c: float | Mapping[str, float] | Mapping[str, Tensor]) -> None:
        """theta <- the minimum of |theta' - theta|^2 / 2 + c / 2 * penalty(theta'); arguments and errors as for EWC."""
        Penalty().proximal_step(model, c)  # it holds nothing, and looks at the arguments
        if isinstance(c, Mapping) and (
            many := [n for n, value in c.items() if isinstance(value, Tensor) and value.numel() > 1]
        ):
            raise ValueError(f"c must be a number for each parameter, as a whole matrix holds them, got a tensor for {many[0]}")
        each = c if isinstance(c, Mapping) else dict.fromkeys(self.anchor, c)
        for layer in self._layers(model):
            factors = [min(float(each.get(n, 0.0)), 1e30) * p.requires_grad for n, p in layer.parts.items()]
            if len(layer.slots) > 1 or len(set(factors)) > 1:
                most = ROUNDING / torch.finfo(layer.slots[0][0].dtype).eps / max(layer.trace(), 1e-30)
                factors = [min(f, most) for f in factors]
            scale = torch.cat([torch.full_like(p[0].flatten(), f) for f, p in zip(factors, layer.parts.values(), strict=True)])
            state = (factors, scale.dtype, scale.device, len(layer.rows()))
            if layer.name not in self._solvers or self._solvers[layer.name][0] != state:
                self._solvers[layer.name] = state, _mean_solver(layer, scale.sqrt())
            moved = layer.rows() + _solved(layer, scale.sqrt(), len(set(factors)) == 1, self._solvers[layer.name][1])
            for name, new in layer.pieces(moved).items():
                layer.parts[name].copy_(new)

    def stability_limit(self, lr: float, momentum: float = 0.0) -> float:
        """A strength that the gradient step survives: 2 (1 + momentum) / (lr * h); infinity before any task.

        With one task h is the largest eigenvalue, with several at least that. Errors and source as for EWC.
        """
        layers: dict[str, float] = {}
        for slot, s in self.inputs.items():
            layer = slot.partition(" ")[2]
            layers[layer] = layers.get(layer, 0.0) + _largest(s) * _largest(self.outputs[slot])
        diagonal = Penalty()
        diagonal.precision = {layer: torch.tensor([h], dtype=torch.float64) for layer, h in layers.items()}
        return diagonal.stability_limit(lr, momentum)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        own = self.state_dict()
        super().load_state_dict(state)
        self._solvers.clear()
        s, r, m = ({slot: tuple(t.shape) for slot, t in kept.items()} for kept in (self.inputs, self.outputs, self.anchors))
        if s.keys() != m.keys() or r.keys() != m.keys() or any((*r[n], *s[n]) != (*m[n][:1] * 2, *m[n][1:] * 2) for n in m):
            super().load_state_dict(own)
            raise ValueError("state must have inputs (I, I), outputs (O, O) and anchors (O, I) for each task and layer")

    def _tensors(self) -> dict[str, Named]:
        return {**super()._tensors(), "inputs": self.inputs, "outputs": self.outputs, "anchors": self.anchors}

    def _layers(self, model: nn.Module) -> list[_Layer]:
        """The layers of ``model`` that are held, each with its slots, which move to its device and type."""
        self._held(model)  # an error if it is another model; rows that have grown are free
        self._watch_out(model)
        parameters = dict(inner(model).named_parameters())
        layers: dict[str, _Layer] = {}
        for slot in self.inputs:
            name = slot.partition(" ")[2]
            layer = layers.setdefault(name, _Layer({n: parameters[n] for n in self.anchor}, name))
            for kept in (self.inputs, self.outputs, self.anchors):
                kept[slot] = kept[slot].to(next(iter(layer.parts.values())))
            layer.slots.append((self.inputs[slot], self.outputs[slot], self.anchors[slot]))
        return list(layers.values())


class _Layer:
    """A layer's weights as rows (O, I), the bias as the last column, and for each task S (I, I), R (O, O), anchor (O, I)."""

    def __init__(self, parameters: Mapping[str, Tensor], name: str) -> None:
        names = [f"{name}.{kind}".lstrip(".") for kind in ("weight", "bias")]
        self.name, self.parts = name, {n: parameters[n] for n in names if n in parameters}
        self.slots: list[tuple[Tensor, Tensor, Tensor]] = []

    def rows(self) -> Tensor:
        return torch.cat([p.reshape(len(p), -1) for p in self.parts.values()], dim=1)

    def pieces(self, rows: Tensor) -> Named:
        """The other way: (O, I) by parameter name, in its shape."""
        widths = [p[0].numel() for p in self.parts.values()]
        split = rows.split(widths, dim=1)
        return {n: piece.reshape(p.shape) for (n, p), piece in zip(self.parts.items(), split, strict=True)}

    def product(self, rows: Tensor, away: float = 0.0) -> Tensor:
        """Sum over tasks of R (rows - away * anchor) S, (O, I); rows that a task did not have are free."""
        total = torch.zeros_like(rows)
        for s, r, m in self.slots:
            total[: len(r)] += r @ (rows[: len(r)] - away * m) @ s
        return total

    def trace(self) -> float:
        """Of the sum over tasks; no eigenvalue is larger."""
        return sum(float(s.trace() * r.trace()) for s, r, _ in self.slots)


def _mean_solver(layer: _Layer, scale: Tensor) -> Callable[[Tensor], Tensor]:
    """v -> (1 + scale F scale)^-1 v for F = (sum of R) (x) (mean of S), which is all of F if there is one task."""
    s = torch.stack([slot[0] for slot in layer.slots]).mean(dim=0)
    r = s.new_zeros(len(layer.rows()), len(layer.rows()))
    for _, each, _ in layer.slots:
        r[: len(each), : len(each)] += each
    (h, u), (k, w) = (_eigen(matrix) for matrix in (r, scale[:, None] * s * scale))
    divisor = 1 + torch.outer(h, k)
    return lambda v: u @ (u.T @ v @ w / divisor) @ w.T


def _solved(layer: _Layer, scale: Tensor, equal: bool, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """How far the proximal step goes, (O, I): scale v, with (1 + scale F scale) v = -scale F (theta - anchor).

    ``equal``: whether ``scale`` is one number everywhere, which a device would have to be asked.
    """
    theta = layer.rows()
    if len(layer.slots) == 1 and equal:
        away, m = torch.zeros_like(theta), layer.slots[0][2]
        away[: len(m)] = theta[: len(m)] - m
        return solve(away) - away
    rest = -scale * layer.product(theta, away=1.0)
    way = solve(rest)
    v, size = torch.zeros_like(rest), (rest * way).sum()
    end = TOLERANCE**2 * size
    for _ in range(MOST):
        if size <= end:
            break
        product = way + scale * layer.product(scale * way)
        length = size / (way * product).sum()
        v, rest = v + length * way, rest - length * product
        solved, before = solve(rest), size
        size = (rest * solved).sum()
        way = solved + size / before * way
    return scale * v


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and -vectors; in float64, as LAPACK's float32 fails where pixels are always dark. Rounding errors are 0."""
    values, vectors = torch.linalg.eigh(matrix.cpu().double())
    own = min(torch.finfo(matrix.dtype).eps, torch.finfo(torch.float32).eps)  # half precision's would let too much go
    precision = len(matrix) * torch.finfo(values.dtype).eps + own
    return torch.where(values > precision * values[-1], values, 0.0).to(matrix), vectors.to(matrix)


def _largest(matrix: Tensor) -> float:
    return float(_eigen(matrix)[0][-1])
