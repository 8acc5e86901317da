"""Loss and accuracy over a grid of weights origin + x first + y second, without a whole forward pass at each point.

The first layer is linear in its weights, so its output at (x, y) is z0 + x z1 + y z2: its product, mostly the largest, is
done three times and not once a point. Three ways, from the quickest to the one that takes any module:

    stacked      Linear and pointwise layers in a row: many points at once, their weights stacked
    first done   any module whose first layer is Linear or Conv2d: that layer's output is put in its place
    plain        any module: its weights replaced, point by point

Which is right for a model is the judge's to say: on two samples and two points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .._prepare import Prepared
from .._progress import bar
from .._weights import Named, as_in, eval_mode, holding, inner, plain_autograd
from ..models import head
from .agree import judge, two_of
from .pointwise import POINTWISE

Affine = tuple[Named, Named, Named]  # origin, first and second direction
_Point = Callable[[Tensor], Tensor]  # xs (G,) -> logits (G, n, C)
_Row = Callable[[float], _Point]  # y -> what a row of the grid shares
_Way = Callable[[nn.Module, Affine, Tensor], tuple[_Row, int]]  # with how many numbers a sample it keeps
_CACHE = 2**20  # numbers that stay near the processor: a piece of work has about this size


@plain_autograd()
@torch.no_grad()
def table(model: nn.Module, affine: Affine, data: Prepared, xs: Tensor, ys: Tensor, progress: bool) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of one data set, float64 (B, A) each: rows follow ys (B,), columns xs (A,)."""
    model = inner(model)
    origin, first, second = affine
    affine = as_in(model, origin), as_in(model, first), as_in(model, second)
    xs = xs.to(data.y.device)
    loss = torch.zeros(len(ys), len(xs), dtype=torch.float64, device=xs.device)
    correct = torch.zeros_like(loss)
    with eval_mode(model):
        way, width = _choose(model, affine, data, xs, ys)
        n = min(len(data), max(1, _CACHE // width))  # samples a piece
        g = max(1, _CACHE // (n * width)) if way is _stacked else 1  # points at once
        with bar(math.ceil(len(data) / n) * len(ys), "surface", "row", progress) as shown:
            for x, y in data.batches(n):
                row, _ = way(model, affine, x)
                for i, height in enumerate(ys.tolist()):
                    logits_at = row(height)
                    for k in range(0, len(xs), g):
                        lost, right = _score(logits_at(xs[k : k + g]), y, data.classes)
                        loss[i, k : k + g] += lost
                        correct[i, k : k + g] += right
                    shown.update()
    return (loss / len(data)).cpu(), (correct / len(data)).cpu()


def _score(logits: Tensor, y: Tensor, classes: Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy and number of correct answers at each point, (G,) each, of logits (G, n, all outputs)."""
    z = head(logits.flatten(0, 1), classes).unflatten(0, (-1, len(y)))  # (G, n, C)
    labels = y.expand(len(z), -1)
    true = z.gather(2, labels.unsqueeze(2)).squeeze(2)
    return (z.logsumexp(2) - true).sum(1, dtype=torch.float64), (z.argmax(2) == labels).sum(1)


def _choose(model: nn.Module, affine: Affine, data: Prepared, xs: Tensor, ys: Tensor) -> tuple[_Way, int]:
    """The quickest way that is right, and how many numbers a sample it keeps."""
    x, _ = data.take(two_of(torch.arange(len(data))))
    corners = [(xs[:1], float(ys[-1])), (xs[-1:], float(ys[0]))]

    def logits(way: _Way) -> Named:
        row, _ = way(model, affine, x)
        return {"logits": torch.stack([row(height)(at) for at, height in corners])}

    plain = logits(_plain)
    ways = {"stacked": lambda _: logits(_stacked), "first done": lambda _: logits(_first_done)}
    chosen = judge(plain, ways, plain["logits"].dtype).get("logits", "plain")
    way = {"stacked": _stacked, "first done": _first_done, "plain": _plain}[chosen]
    return way, way(model, affine, x)[1]


def _plain(model: nn.Module, affine: Affine, x: Tensor) -> tuple[_Row, int]:
    o, u, v = affine

    def row(y: float) -> _Point:
        here = {name: torch.add(o[name], v[name], alpha=y) for name in o}

        def logits_at(xs: Tensor) -> Tensor:
            found = []
            for a in xs.tolist():
                with holding(model, {name: torch.add(t, u[name], alpha=a) for name, t in here.items()}):
                    found.append(model(x))
            return torch.stack(found)

        return logits_at

    return row, max(1, _CACHE // 500)  # what a module keeps a sample is not known: 500 samples at a time


def _first_done(model: nn.Module, affine: Affine, x: Tensor) -> tuple[_Row, int]:
    path, layer, given = _first_layer(model, x)
    names = {kind: f"{path}.{kind}" for kind, _ in layer.named_parameters(recurse=False)}
    movable = set(names.values()) <= set(affine[0])
    if type(layer) not in (nn.Linear, nn.Conv2d) or not movable or "forward" in vars(layer):
        raise NotImplementedError("the output of the first layer is not known to be linear in its weights")
    outputs = []
    for part in affine:
        with holding(layer, {kind: part[name] for kind, name in names.items()}):
            outputs.append(layer(given))
    z0, z1, z2 = outputs
    o, u, v = ({name: t for name, t in part.items() if name not in names.values()} for part in affine)
    rest, width = _plain(model, (o, u, v), x)[0], z0.numel() // len(x)

    def row(y: float) -> _Point:
        z, after = torch.add(z0, z2, alpha=y), rest(y)

        def logits_at(xs: Tensor) -> Tensor:
            vars(layer)["forward"] = lambda *_: torch.add(z, z1, alpha=float(xs))  # seen before the method of the class
            try:
                return after(xs)
            finally:
                del vars(layer)["forward"]

        return logits_at

    return row, width


def _first_layer(model: nn.Module, x: Tensor) -> tuple[str, nn.Module, Tensor]:
    """The layer with weights that is called first: its name, itself, and its input."""
    seen: list[tuple[nn.Module, Tensor]] = []
    layers = {m: path for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))}
    handles = [m.register_forward_pre_hook(lambda m, args: seen.append((m, *args))) for m in layers]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    layer, given = seen[0]
    return layers[layer], layer, given


def _stacked(model: nn.Module, affine: Affine, x: Tensor) -> tuple[_Row, int]:
    idle = (nn.Identity, nn.Dropout)  # in eval mode
    layers = [(name, layer) for name, layer in model._modules.items() if layer is not None and type(layer) not in idle]
    if layers and type(layers[0][1]) is nn.Flatten:
        x = layers.pop(0)[1](x)
    places = {f"{name}.{kind}" for name, layer in layers for kind, _ in layer.named_parameters()}
    known = type(model) is nn.Sequential and all(type(layer) in (nn.Linear, *POINTWISE) for _, layer in layers)
    if not known or type(layers[0][1]) is not nn.Linear or x.ndim != 2 or places != set(affine[0]):
        raise NotImplementedError("not a row of Linear and pointwise layers")
    o, u, v = affine
    first = layers[0][0]
    z0, z1, z2 = (linear(x, part[f"{first}.weight"], part.get(f"{first}.bias")) for part in affine)  # (n, units) each

    def row(y: float) -> _Point:
        z = torch.add(z0, z2, alpha=y)
        here = {name: torch.add(t, v[name], alpha=y) for name, t in o.items() if not name.startswith(f"{first}.")}

        def logits_at(xs: Tensor) -> Tensor:
            a = xs.to(z.dtype)[:, None, None]
            h = torch.addcmul(z, a, z1)  # (G, n, units)
            for name, layer in layers[1:]:
                if type(layer) is nn.Linear:
                    w = torch.addcmul(here[f"{name}.weight"], a, u[f"{name}.weight"]).mT  # (G, in, out)
                    bias = f"{name}.bias"
                    h = torch.baddbmm(torch.addcmul(here[bias], a, u[bias]), h, w) if bias in here else h @ w
                else:
                    h = h.relu_() if type(layer) is nn.ReLU else layer(h)  # in place: half the traffic
            return h

        return logits_at

    return row, max(len(t) for t in o.values())
