"""Loss and accuracy over a grid of weights origin + x first + y second, without a whole forward pass at each point.

The first layer is linear in its weights, so its output at (x, y) is z0 + x z1 + y z2: its product, mostly the largest, is
done three times and not once a point. Three ways, from the quickest to the one that takes any module:

    stacked      Linear and pointwise layers in a row: many points at once, their weights stacked
    first done   any module whose first layer is Linear or Conv2d: that layer's output is put in its place
    plain        any module: its weights replaced, point by point

Which is right for a model is not guessed: on two samples and two points, a quicker way must agree with the plain one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from tqdm.auto import tqdm

from ._weights import eval_mode
from .models import head
from .tasks import Split

Named = dict[str, Tensor]
Affine = tuple[Named, Named, Named]  # origin, first and second direction
_Point = Callable[[Tensor], Tensor]  # xs (G,) -> logits (G, n, C)
_Row = Callable[[float], _Point]  # y -> what a row of the grid shares
_Way = Callable[[nn.Module, Affine, Tensor], tuple[_Row, int] | None]  # with how many numbers a sample it keeps
_CACHE = 2**20  # numbers that stay near the processor: a piece of work has about this size
_POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus)


@contextmanager
def holding(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """``model`` with other values in some parameters inside the block; its own tensors, not copies, afterwards.

    (torch.func.functional_call leaves its weights behind in a module that is registered twice.)
    """
    parameters = dict(model.named_parameters())
    own = {name: parameters[name].data for name in weights}
    try:
        for name, value in weights.items():
            parameters[name].data = value
        yield
    finally:
        for name, value in own.items():
            parameters[name].data = value


@contextmanager
def same_buffers(model: nn.Module) -> Iterator[None]:
    """What ``model`` remembers beside its parameters, such as a counter of forward passes, is afterwards as it was."""
    own = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in own:
                buffer.copy_(value)


@torch.no_grad()
def table(
    model: nn.Module, affine: Affine, data: Split, classes: Sequence[int] | None, xs: Tensor, ys: Tensor, progress: bool
) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of one data set, float64 (B, A) each: rows follow ys (B,), columns xs (A,)."""
    loss = torch.zeros(len(ys), len(xs), dtype=torch.float64, device=data.x.device)
    correct, across = torch.zeros_like(loss), xs.to(data.x.device)
    with eval_mode(model):
        way, width = _choose(model, affine, data.x, xs, ys)
        n = min(len(data), max(1, _CACHE // width))
        together = max(1, _CACHE // (n * width)) if way is _stacked else 1
        pieces = list(zip(data.x.split(n), data.y.split(n), strict=True))
        quiet = not progress or os.environ.get("TQDM_DISABLE") == "1"  # which tqdm's own notebook bar does not heed
        with tqdm(total=len(pieces) * len(ys), disable=quiet, delay=2, leave=False, desc="surface", unit="row") as bar:
            for x, y in pieces:
                found = way(model, affine, x)
                assert found is not None
                for i, height in enumerate(ys.tolist()):
                    logits_at = found[0](height)
                    for k in range(0, len(xs), together):
                        z = logits_at(across[k : k + together])  # (G, n, C)
                        z = head(z.flatten(0, 1), classes).unflatten(0, (-1, len(y)))
                        labels = y.expand(len(z), -1)
                        right = z.gather(2, labels.unsqueeze(2)).squeeze(2)
                        loss[i, k : k + together] += (z.logsumexp(2) - right).sum(1, dtype=torch.float64)
                        correct[i, k : k + together] += (z.argmax(2) == labels).sum(1)
                    bar.update()
    return (loss / len(data)).cpu(), (correct / len(data)).cpu()


def _choose(model: nn.Module, affine: Affine, x: Tensor, xs: Tensor, ys: Tensor) -> tuple[_Way, int]:
    """The quickest way that is right, and how many numbers a sample it keeps."""
    x = x[[0, -1]] if len(x) > 1 else x
    corners = [(xs[:1].to(x.device), float(ys[-1])), (xs[-1:].to(x.device), float(ys[0]))]
    plain, width = _plain(model, affine, x)
    wanted = [plain(y)(at) for at, y in corners]
    tolerance = torch.finfo(wanted[0].dtype).eps ** 0.5
    for way in (_stacked, _first_done):
        try:
            found = way(model, affine, x)
            if found and all(
                float((found[0](y)(at) - w).norm()) <= tolerance * float(w.norm())
                for (at, y), w in zip(corners, wanted, strict=True)
            ):
                return way, found[1]
        except Exception:  # whatever it is that this model does not allow, the next way takes over
            continue
    return _plain, width


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


def _first_done(model: nn.Module, affine: Affine, x: Tensor) -> tuple[_Row, int] | None:
    seen: list[tuple[nn.Module, Tensor]] = []
    layers = {m: path for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))}
    handles = [m.register_forward_pre_hook(lambda m, args: seen.append((m, *args))) for m in layers]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    layer, given = seen[0]
    names = {kind: f"{layers[layer]}.{kind}" for kind, _ in layer.named_parameters(recurse=False)}
    movable = set(names.values()) <= set(affine[0])
    if type(layer) not in (nn.Linear, nn.Conv2d) or not movable or "forward" in vars(layer):
        return None
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


def _stacked(model: nn.Module, affine: Affine, x: Tensor) -> tuple[_Row, int] | None:
    layers = [(name, m) for name, m in model.named_children() if not isinstance(m, (nn.Identity, nn.Dropout))]
    if layers and type(layers[0][1]) is nn.Flatten:
        x = layers.pop(0)[1](x)
    places = {f"{name}.{kind}" for name, layer in layers for kind, _ in layer.named_parameters()}
    known = type(model) is nn.Sequential and all(type(layer) in (nn.Linear, *_POINTWISE) for _, layer in layers)
    if not known or type(layers[0][1]) is not nn.Linear or x.ndim != 2 or places != set(affine[0]):
        return None
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
