"""Planes through weight space: where weights are seen in them, and how far from them they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import _checks
from .._weights import Named, flat, shaped, wide
from ..history import History

Weights = nn.Module | Mapping[str, Tensor]  # a model, or its trainable parameters by name


class Projection(NamedTuple):
    """Where weights are seen in a plane, and their distance from it; all three in units of weight distance."""

    x: float
    y: float
    residual: float


@dataclass(frozen=True, eq=False)
class Plane:
    """The weights origin + x first + y second; a step of 1 in x or y is a distance of 1 between weights.

    Args:
        origin, first, second: dicts like ``named_parameters()`` without the frozen ones; the two directions orthonormal.

    Raises:
        ValueError: the three differ in names or shapes, hold NaN or infinity, or the directions are not orthonormal.
    """

    origin: Named
    first: Named
    second: Named

    def __post_init__(self) -> None:
        for name in ("origin", "first", "second"):
            object.__setattr__(self, name, weights_of(name, getattr(self, name), self.origin))
        u, v = flat(self.first), flat(self.second)
        products = torch.stack([u @ u, u @ v, v @ v]).tolist()
        if any(abs(got - wanted) > 1e-3 for got, wanted in zip(products, (1, 0, 1), strict=True)):
            raise ValueError(f"first and second must be orthonormal, got products {products}; plane_through makes them so")

    def point(self, x: float, y: float) -> Named:
        """The weights at (x, y), finite numbers."""
        x, y = (_checks.real_number(name, value, at_least=-math.inf) for name, value in (("x", x), ("y", y)))
        return {name: o + x * self.first[name] + y * self.second[name] for name, o in self.origin.items()}

    def project(self, weights: Weights) -> Projection:
        """The nearest point of the plane, and the distance to it. Raises ValueError for weights of another architecture."""
        return self._project("weights", weights)

    def _project(self, name: str, weights: Weights) -> Projection:
        u, v = flat(self.first), flat(self.second)
        gap = flat(weights_of(name, weights, self.origin)) - flat(self.origin)
        x, y = gap @ u, gap @ v
        return Projection(float(x), float(y), float((gap - x * u - y * v).norm()))


def plane_through(a: Weights, b: Weights, c: Weights | None = None, *, seed: int = 0) -> Plane:
    """The plane through three solutions: ``a`` at (0, 0), ``b`` on the x axis, ``c`` above it (Gram-Schmidt).

    Args:
        a, b, c: models, or dicts of their trainable parameters. Without ``c`` the x axis goes through ``a`` and ``b``, and the
            y axis is random, filter-normalised to ``a`` (``seed``) and then made orthogonal to x.

    Raises:
        TypeError, ValueError: solutions of different architectures, with NaN or infinity, equal, or on one line.

    Source: Garipov et al. 2018 (arXiv:1802.10026), figure 1.
    """
    origin = weights_of("a", a)
    first = flat(weights_of("b", b, origin)) - flat(origin)
    if c is None:
        return _spanned(origin, first, _filter_normalised("a", origin, seed, 1)[0], ("b", "b"))
    return _spanned(origin, first, flat(weights_of("c", c, origin)) - flat(origin), ("b", "c"))


def random_plane(center: Weights, *, seed: int = 0) -> Plane:
    """A plane through ``center`` along two random directions, filter-normalised and then made orthonormal.

    The weights that enter a unit (a row of a Linear layer, a filter of a convolution) move in proportion to their norm;
    biases and other vectors stay. The coordinate 1 of Li et al. is the norm of the weights that move.

    Raises:
        TypeError, ValueError: ``center`` is not finite, or has no filter with weights other than zero.

    Source: Li et al. 2018 (arXiv:1712.09913), section 4.
    """
    origin = weights_of("center", center)
    first, second = _filter_normalised("center", origin, seed, 2)
    return _spanned(origin, first, second, ("center", "center"))


def pushed(center: Weights, among: Mapping[str, Tensor], distance: float, *, seed: int = 0) -> Named:
    """The weights ``center``, some of them moved in a random direction, normal and the same for each.

    Args:
        center: a model, or a dict of its trainable parameters.
        among: parameter name -> which of its weights move, boolean, in its shape; parameters that are not named stay.
        distance: how far in all, in units of weight distance.
        seed: draws the direction. One seed draws the same numbers whichever weights are chosen.

    Raises:
        TypeError, ValueError: ``among`` names a parameter that is not there, has another shape or type, or chooses none.
    """
    origin = weights_of("center", center)
    distance = _checks.real_number("distance", distance, at_least=0.0)
    for name, chosen in _checks.named("among", among, Tensor, "a boolean tensor of its shape").items():
        if name not in origin:
            raise ValueError(f"among must name weights of center such as {next(iter(origin))}, got {name}")
        if chosen.dtype != torch.bool or chosen.shape != origin[name].shape:
            shape = tuple(origin[name].shape)
            raise ValueError(f"among[{name!r}] must be boolean of shape {shape}, got {chosen.dtype} {tuple(chosen.shape)}")
    if not any(bool(chosen.any()) for chosen in among.values()):
        raise ValueError("among must choose at least one weight, got none")
    generator = torch.Generator().manual_seed(_checks.seed(seed))  # on the CPU: the same on every device
    moves = {name: torch.zeros_like(t) for name, t in origin.items()}
    for name, t in origin.items():
        draw = torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t)
        if name in among:
            moves[name] = draw * among[name].to(t)
    scale = distance / float(flat(moves).norm())
    return {name: t + scale * moves[name] for name, t in origin.items()}


@dataclass(frozen=True, eq=False)
class Trace:
    """The way of one training run as a plane shows it, and what was truly measured on that way.

    Attributes:
        steps: after how many training steps, n of them.
        x, y: where the weights are seen, (n,) each, in units of weight distance.
        residual: how far from the plane they were, (n,).
        loss, accuracy: name of the watched data -> measured at those weights and not at their shadow in the plane, (n,) each.
    """

    steps: list[int]
    x: Tensor
    y: Tensor
    residual: Tensor
    loss: Named
    accuracy: Named

    def __post_init__(self) -> None:
        n = len(self.steps)
        for name, value in (("x", self.x), ("y", self.y), ("residual", self.residual)):
            _checks.tensor(name, value, "n", finite=False)
        curves = [self.x, self.y, self.residual, *self.loss.values(), *self.accuracy.values()]
        if lengths := [tuple(t.shape) for t in curves if t.shape != (n,)]:
            raise ValueError(
                f"steps must be as many as there are points, losses and accuracies, got {n} and shape {lengths[0]}"
            )


def trace(plane: Plane, history: History) -> Trace:
    """Project the way that ``history`` recorded.

    Args:
        history: from :func:`cl_teach.train` or a sweep, with ``keep_weights=True``; ``watch=`` decides which losses it knows.

    Raises:
        TypeError, ValueError: no plane or history, no weights were kept, or they are of another architecture than the plane.
    """
    check_plane(plane)
    if not isinstance(history, History):
        raise TypeError(f"history must be a History, as train returns it, got {_checks.shown(history)}")
    if not history.weights:
        raise ValueError("history must hold weights, got none; train with keep_weights=True")
    counts = [len(history.steps), len(history.weights), *(len(found) for found in history.watched.values())]
    n = min(counts)  # Ctrl-C may have come in between
    if not n:
        raise ValueError("history must hold a step with all that was watched there, got none")
    seen = [plane._project("history", weights) for weights in history.weights[:n]]
    x, y, residual = torch.tensor(seen, dtype=torch.float64).T
    measured = [
        {name: torch.tensor([getattr(e, what) for e in es[:n]], dtype=torch.float64) for name, es in history.watched.items()}
        for what in ("loss", "accuracy")
    ]
    return Trace(list(history.steps[:n]), x, y, residual, *measured)


def grid_around(traces: Iterable[Trace], n: int = 41, margin: float = 0.15) -> tuple[Tensor, Tensor]:
    """Coordinates (xs, ys) of a grid of square cells that holds all ``traces`` with a margin.

    Args:
        n: points along the longer side.
        margin: on each side, as a share of the longer side.

    Raises:
        TypeError, ValueError: no trace, traces that never move, or fewer than two points.
    """
    n, margin = _checks.whole_number("n", n, at_least=2), _checks.real_number("margin", margin, at_least=0)
    if not isinstance(traces, Iterable):
        raise TypeError(f"traces must be several Trace, such as the values of a dict, got {_checks.shown(traces)}")
    found = list(traces)
    if not found:
        raise ValueError("traces must hold at least one Trace, got none")
    if strange := [t for t in found if not isinstance(t, Trace)]:
        raise TypeError(f"traces must be several Trace, such as the values of a dict, got one {_checks.shown(strange[0])}")
    places = torch.stack([torch.cat([t.x for t in found]), torch.cat([t.y for t in found])])  # (2, points)
    low, high = places.min(1).values, places.max(1).values
    longest = float((high - low).max())
    if not 0 < longest < math.inf:
        raise ValueError(f"traces must move and stay finite, got an extent of {longest:g}")
    spacing = longest * (1 + 2 * margin) / (n - 1)
    counts = (((high - low) + 2 * margin * longest) / spacing - 1e-9).ceil().int().clamp(min=1) + 1
    xs, ys = (
        c + spacing * (torch.arange(k, dtype=torch.float64) - (k - 1) / 2)
        for c, k in zip((low + high) / 2, counts.tolist(), strict=True)
    )
    return xs, ys


def check_plane(plane: object, model: nn.Module | None = None) -> None:
    """Raises an error if ``plane`` is none, or none of the weights of ``model``."""
    if not isinstance(plane, Plane):
        raise TypeError(f"plane must be a Plane such as plane_through(a, b, c), got {_checks.shown(plane)}")
    if model is not None:
        weights_of("plane", plane.origin, _checks.trainable(model))


def weights_of(name: str, given: Weights, like: Mapping[str, Tensor] | None = None) -> Named:
    """``given`` in at least float32, checked to be finite; a copy, if it has to have the names and shapes of ``like``."""
    found = _checks.trainable(given) if isinstance(given, nn.Module) else given
    if not isinstance(found, Mapping) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise TypeError(f"{name} must be a model or a dict of its trainable parameters, got {_checks.shown(given)}")
    if strange := [n for n, t in found.items() if not t.is_floating_point()]:
        raise TypeError(f"{name} must hold floating-point weights, got {found[strange[0]].dtype} in {strange[0]}")
    broken = [n for n, t in found.items() if not bool(torch.isfinite(t).all())]
    if broken:
        raise ValueError(f"{name} must hold finite weights, got NaN or infinity in {broken[0]}")
    if like is None:
        return {n: t.detach().to(dtype=wide(t.dtype)) for n, t in found.items()}
    wrong = [n for n in {**like, **found} if n not in like or n not in found or like[n].shape != found[n].shape]
    if wrong:
        one, other = (tuple(w[wrong[0]].shape) if wrong[0] in w else "no such weight" for w in (found, like))
        raise ValueError(
            f"{name} must be of the same architecture, a model or a dict of its trainable parameters; "
            f"got {one} for {wrong[0]}, wanted {other}"
        )
    return {n: found[n].detach().to(like[n].device, wide(like[n].dtype), copy=True) for n in like}


def _spanned(origin: Named, first: Tensor, second: Tensor, names: tuple[str, str]) -> Plane:
    """Gram-Schmidt. What is left of a direction must be more than the rounding of the weights."""
    rounding = 8 * max(torch.finfo(t.dtype).eps for t in origin.values()) * float(flat(origin).norm())
    length, longest = float(first.norm()), float(torch.maximum(first.norm(), second.norm()))
    if length <= rounding:
        raise ValueError(f"{names[0]} must lie away from the origin of the plane, got a distance of {length:.2g} between them")
    u = first / length
    v = second - (second @ u) * u
    v -= (v @ u) * u  # once more, for what rounding left
    height = float(v.norm())
    if height <= max(rounding, 1e-4 * longest):
        raise ValueError(
            f"{names[1]} must not lie on a line with the others, got a distance of {height:.2g} from it; "
            "plane_through(a, b) takes two solutions and a random second direction"
        )
    return Plane(origin, shaped(u, origin), shaped(v / height, origin))


def _filter_normalised(name: str, like: Named, seed: int, n: int) -> list[Tensor]:
    """``n`` random directions, flat, whose filters have the norms of those in ``like``."""
    if not any(t.ndim > 1 and bool(t.any()) for t in like.values()):
        raise ValueError(f"{name} must hold a matrix or filter with weights other than zero, got {len(like)} without")
    generator, found = torch.Generator().manual_seed(_checks.seed(seed)), []  # on the CPU: the same on every device
    for _ in range(n):
        pieces = {key: torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t.device) for key, t in like.items()}
        for key, t in like.items():
            if t.ndim > 1:
                pieces[key] = (d := pieces[key].flatten(1)) * (t.double().flatten(1).norm(dim=1) / d.norm(dim=1))[:, None]
            else:
                pieces[key].zero_()  # biases stay, as in the paper's code
        found.append(flat(pieces))
    return found
