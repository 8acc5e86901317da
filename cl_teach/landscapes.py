"""Loss surfaces: with two weights an exact picture, with more a plane through weight space, and how far off it each point lies.

Rules of the pictures: a plane goes through the solutions that are compared; its axes are orthonormal, so that a distance in
the picture is a distance between weights; what does not lie in the plane is told by its residual. Filter normalisation is
for random directions, never for those between solutions (Li et al. 2018, arXiv:1712.09913).
"""

from __future__ import annotations

import math
import os
import secrets
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from . import _checks
from ._grid import Affine, holding, same_buffers, table
from ._layers import wide
from .fisher import diagonal_fisher, restricted_fisher
from .models import matched, typed
from .tasks import Split, Task
from .training import History


class NoForwardMode(RuntimeError):
    """The whole Fisher was asked of a model whose layers have no derivatives in forward mode; its diagonal may still be had."""


Named = dict[str, Tensor]
Weights = nn.Module | Mapping[str, Tensor]
Data = Split | Task | Sequence[Task] | Mapping[str, Split | Task]
_Built = TypeVar("_Built")


def two_weight_losses(data: Split, w1: Tensor, w2: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of the two-weight logistic model for every pair of weights.

    Args:
        data: inputs (N, 2), labels 0 or 1.
        w1, w2: values of the first and second weight, shapes (A,) and (B,).

    Returns:
        Losses of shape (B, A): rows follow w2, columns w1, as matplotlib's contour plots expect.

    Raises:
        ValueError: ``data`` is not two-dimensional with labels 0 and 1.
    """
    if data.x.ndim != 2 or data.x.shape[1] != 2 or int(data.y.max()) > 1:
        raise ValueError(
            f"data must hold inputs (N, 2) with labels 0 or 1, got {tuple(data.x.shape)} and labels up to {int(data.y.max())}"
        )
    x = data.x.to(w1)
    sign = 1.0 - 2.0 * data.y.to(w1)  # +1 for label 0, -1 for label 1
    scores = x[:, 0, None, None] * w1[None, None, :] + x[:, 1, None, None] * w2[None, :, None]  # (N, B, A)
    return softplus(sign[:, None, None] * scores).mean(0)


# --- planes ---------------------------------------------------------------------------------------------------------------


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
            object.__setattr__(self, name, _weights(name, getattr(self, name), self.origin))
        u, v = _flat(self.first), _flat(self.second)
        products = torch.stack([u @ u, u @ v, v @ v]).tolist()
        if any(abs(got - wanted) > 1e-3 for got, wanted in zip(products, (1, 0, 1), strict=True)):
            raise ValueError(f"first and second must be orthonormal, got products {products}; plane_through makes them so")

    def point(self, x: float, y: float) -> Named:
        """The weights at (x, y)."""
        return {name: o + x * self.first[name] + y * self.second[name] for name, o in self.origin.items()}

    def project(self, weights: Weights) -> Projection:
        """The nearest point of the plane, and the distance to it. Raises ValueError for weights of another architecture."""
        return self._project("weights", weights)

    def _project(self, name: str, weights: Weights) -> Projection:
        u, v = _flat(self.first), _flat(self.second)
        gap = _flat(_weights(name, weights, self.origin)) - _flat(self.origin)
        x, y = gap @ u, gap @ v
        return Projection(float(x), float(y), float((gap - x * u - y * v).norm()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path`` (npz), whole or not at all."""
        parts = {"origin": self.origin, "first": self.first, "second": self.second}
        _save(path, "plane", {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plane:
        """Read what :meth:`save` wrote, to the CPU. Raises ValueError for a damaged or foreign file."""
        return _load(path, "plane", lambda arrays: cls(*(_part(arrays, name) for name in ("origin", "first", "second"))))


def plane_through(a: Weights, b: Weights, c: Weights | None = None, *, seed: int = 0) -> Plane:
    """The plane through three solutions: ``a`` at (0, 0), ``b`` on the x axis, ``c`` above it (Gram-Schmidt).

    Args:
        a, b, c: models, or dicts of their trainable parameters. Without ``c`` the x axis goes through ``a`` and ``b``, and the
            y axis is random, filter-normalised to ``a`` (``seed``) and then made orthogonal to x.

    Raises:
        TypeError, ValueError: solutions of different architectures, with NaN or infinity, equal, or on one line.

    Source: Garipov et al. 2018 (arXiv:1802.10026), figure 1.
    """
    origin = _weights("a", a)
    first = _flat(_weights("b", b, origin)) - _flat(origin)
    if c is None:
        return _plane(origin, first, _filter_normalised("a", origin, seed, 1)[0], ("b", "b"))
    return _plane(origin, first, _flat(_weights("c", c, origin)) - _flat(origin), ("b", "c"))


def random_plane(center: Weights, *, seed: int = 0) -> Plane:
    """A plane through ``center`` along two random directions, filter-normalised and then made orthonormal.

    The weights that enter a unit (a row of a Linear layer, a filter of a convolution) move in proportion to their norm;
    biases and other vectors stay. The coordinate 1 of Li et al. is the norm of the weights that move.

    Raises:
        TypeError, ValueError: ``center`` is not finite, or has no filter with weights other than zero.

    Source: Li et al. 2018 (arXiv:1712.09913), section 4.
    """
    origin = _weights("center", center)
    first, second = _filter_normalised("center", origin, seed, 2)
    return _plane(origin, first, second, ("center", "center"))


def pca_plane(path: Sequence[Weights]) -> Plane:
    """The plane through the last weights of a path that shows most of its variance.

    The other weights of the path lie off it, so that what is drawn under them is not their loss: look at their residuals,
    and prefer :func:`plane_through` where solutions are compared.

    Raises:
        TypeError, ValueError: weights that do not fit each other, or a path that lies on a line.

    Source: Li et al. 2018 (arXiv:1712.09913), section 7.2.
    """
    if not isinstance(path, Sequence) or isinstance(path, nn.Module) or len(path) < 3:
        got = f"{len(path)} of them" if isinstance(path, list) else type(path).__name__
        raise ValueError(f"path must be a list of at least three weights, such as history.weights, got {got}")
    origin = _weights("path", path[-1])
    rows = torch.stack([_flat(_weights("path", weights, origin)) for weights in path])
    rows -= rows.mean(0)
    vectors = torch.linalg.eigh(rows @ rows.T)[1]  # of size steps x steps: nothing of size P x P
    return _plane(origin, rows.T @ vectors[:, -1], rows.T @ vectors[:, -2], ("path", "path"))


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


def trace(plane: Plane, history: History) -> Trace:
    """Project the way that ``history`` recorded.

    Args:
        history: from :func:`cl_teach.train` or a sweep, with ``keep_weights=True``; ``watch=`` decides which losses it knows.

    Raises:
        TypeError, ValueError: no plane or history, no weights were kept, or they are of another architecture than the plane.
    """
    _is_plane(plane)
    if not isinstance(history, History):
        raise TypeError(f"history must be a History, as train returns it, got {type(history).__name__}")
    if not history.weights:
        raise ValueError("history must hold weights, got none; train with keep_weights=True")
    seen = [plane._project("history", weights) for weights in history.weights]
    x, y, residual = torch.tensor(seen, dtype=torch.float64).T
    measured = [
        {name: torch.tensor([getattr(e, what) for e in found], dtype=torch.float64) for name, found in history.watched.items()}
        for what in ("loss", "accuracy")
    ]
    return Trace(list(history.steps[: len(x)]), x, y, residual, *measured)


def grid_around(traces: Iterable[Trace], n: int = 41, margin: float = 0.15) -> tuple[Tensor, Tensor]:
    """Coordinates (xs, ys) of a grid of square cells that holds all ``traces`` with a margin.

    Args:
        n: points along the longer side.
        margin: on each side, as a share of the longer side.

    Raises:
        ValueError: no trace, traces that never move, or fewer than two points.
    """
    _checks.whole_number("n", n, at_least=2)
    _checks.real_number("margin", margin, at_least=0)
    found = list(traces)
    if not found:
        raise ValueError("traces must hold at least one Trace, got none")
    if strange := [t for t in found if not isinstance(t, Trace)]:
        raise TypeError(f"traces must be several Trace, such as the values of a dict, got one {type(strange[0]).__name__}")
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


def _plane(origin: Named, first: Tensor, second: Tensor, names: tuple[str, str]) -> Plane:
    """Gram-Schmidt. What is left of a direction must be more than the rounding of the weights."""
    rounding = 8 * max(torch.finfo(t.dtype).eps for t in origin.values()) * float(_flat(origin).norm())
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
    return Plane(origin, _named(u, origin), _named(v / height, origin))


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
        found.append(_flat(pieces))
    return found


def _weights(name: str, given: Weights, like: Mapping[str, Tensor] | None = None) -> Named:
    """``given`` in at least float32, checked to be finite; a copy, if it has to have the names and shapes of ``like``."""
    found = _checks.trainable(given) if isinstance(given, nn.Module) else given
    if not isinstance(found, Mapping) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise TypeError(f"{name} must be a model or a dict of its trainable parameters, got {type(given).__name__}")
    broken = [n for n, t in found.items() if not bool(torch.isfinite(t).all())]
    if broken:
        raise ValueError(f"{name} must hold finite weights, got NaN or infinity in {broken[0]}")
    if like is not None:
        wrong = [n for n in {**like, **found} if n not in like or n not in found or like[n].shape != found[n].shape]
        if wrong:
            one, other = (tuple(w[wrong[0]].shape) if wrong[0] in w else "no such weight" for w in (found, like))
            raise ValueError(
                f"{name} must be of the same architecture, a model or a dict of its trainable parameters; "
                f"got {one} for {wrong[0]}, wanted {other}"
            )
        return {n: found[n].detach().to(like[n].device, wide(like[n].dtype), copy=True) for n in like}
    return {n: t.detach().to(dtype=wide(t.dtype)) for n, t in found.items()}


def _flat(named: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([t.flatten().double() for t in named.values()])


def _named(flat: Tensor, like: Named) -> Named:
    pieces = flat.split([t.numel() for t in like.values()])
    return {name: piece.view(t.shape).to(t.dtype) for (name, t), piece in zip(like.items(), pieces, strict=True)}


# --- surfaces -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Surface:
    """Loss and accuracy over a grid; rows follow ys, columns xs, as matplotlib's contour plots expect.

    Args:
        xs, ys: coordinates in the plane, shapes (A,) and (B,).
        loss, accuracy: name of the data -> mean cross-entropy in nats, share classified correctly; (B, A) each.
    """

    xs: Tensor
    ys: Tensor
    loss: Named
    accuracy: Named

    def __post_init__(self) -> None:
        shape = (len(self.ys), len(self.xs))
        tables = [*self.loss.values(), *self.accuracy.values()]
        if self.loss.keys() != self.accuracy.keys() or not tables or any(t.shape != shape for t in tables):
            raise ValueError(f"loss and accuracy must have the same names and the shape {shape} of the grid")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path`` (npz), whole or not at all."""
        parts = {"loss": self.loss, "accuracy": self.accuracy}
        tables = {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}
        _save(path, "surface", {"xs": self.xs, "ys": self.ys, **tables})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Surface:
        """Read what :meth:`save` wrote. Raises ValueError for a damaged or foreign file."""
        return _load(path, "surface", lambda a: cls(a["xs"], a["ys"], _part(a, "loss"), _part(a, "accuracy")))


def loss_surface(
    model: nn.Module,
    plane: Plane,
    data: Data,
    xs: Sequence[float] | Tensor,
    ys: Sequence[float] | Tensor,
    *,
    progress: bool = True,
) -> Surface:
    """Loss and accuracy of ``model`` on each data set, with the weights of each point of the grid, in eval mode.

    The product of the first layer is done three times and not once a point, where that gives the same as the model itself.

    Args:
        model: from (N, ...) inputs to (N, C) logits; only its architecture and frozen parts matter. Given back as it was.
        data: a :class:`Split` (called "data"); a :class:`Task` or a list of them (their test data and classes, by name);
            or a dict of either.
        xs, ys: coordinates in the plane, increasing.
        progress: show a progress bar if it takes longer than two seconds.

    Raises:
        TypeError, ValueError: a plane of another architecture, data that do not fit the model, or a grid that is empty,
            not finite or not increasing; raised before any work.
    """
    affine = _affine(model, plane)
    x, y = _axis("xs", xs), _axis("ys", ys)
    with same_buffers(model):
        parts = _parts(model, data)
        tables = {name: table(model, affine, part.ready, part.classes, x, y, progress) for name, part in parts.items()}
    return Surface(x, y, {n: t[0] for n, t in tables.items()}, {n: t[1] for n, t in tables.items()})


@dataclass(frozen=True, eq=False)
class Line:
    """What :func:`interpolate` found at a + t (b - a), and what two quadratics around ``a`` had predicted.

    Attributes:
        t: from 0 to 1, shape (n,).
        distance: from ``a`` to ``b``, in units of weight distance.
        loss, accuracy: name of the data -> measured, (n,) each.
        diagonal, full: name of the data -> predicted rise of the loss, t^2 / 2 (b - a)^T F (b - a), (n,) each, with F the
            diagonal or the whole of the Fisher information at ``a`` on the same samples. They know curvature and no slope:
            predictions only where ``a`` is near a minimum of that data's loss. If the model has no derivatives in forward mode,
            ``full`` is NaN, with a RuntimeWarning.
    """

    t: Tensor
    distance: float
    loss: Named
    accuracy: Named
    diagonal: Named
    full: Named


def interpolate(model: nn.Module, a: Weights, b: Weights, data: Data, n: int = 21) -> Line:
    """Loss and accuracy along the straight line from ``a`` to ``b`` in ``n`` points, beside what the Fisher predicts.

    Arguments and errors as for :func:`loss_surface` and :func:`plane_through`; at least two points.

    Source: Goodfellow, Vinyals & Saxe 2015 (arXiv:1412.6544); for the quadratics Kirkpatrick et al. 2017 (arXiv:1612.00796).
    """
    parameters = _checks.trainable(model)
    start, end = _weights("a", a, parameters), _weights("b", b, parameters)
    _checks.whole_number("n", n, at_least=2)
    parts = _parts(model, data)
    step = {name: end[name] - start[name] for name in start}
    still = {name: torch.zeros_like(s) for name, s in step.items()}
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    line = Line(t, float(_flat(step).norm()), {}, {}, {}, {})
    for name, part in parts.items():
        affine = _like(parameters, start, step, still)
        with same_buffers(model):
            loss, accuracy = table(model, affine, part.ready, part.classes, t, torch.zeros(1), progress=False)
        line.loss[name], line.accuracy[name] = loss[0], accuracy[0]
        for full, curve in ((False, line.diagonal), (True, line.full)):
            try:
                curvature = float(_curvature(model, start, [step], part.raw, part.classes, full))
            except NoForwardMode as error:  # what was measured is worth having all the same
                warnings.warn(f"full is NaN: {error}", RuntimeWarning, stacklevel=2)
                curvature = math.nan
            curve[name] = t.square() / 2 * curvature
    return line


def plane_curvature(
    model: nn.Module, plane: Plane, data: Split | Task, *, full: bool = True, at: Weights | None = None
) -> Tensor:
    """U^T F U (2, 2): the Fisher information as the plane sees it, the precision of Laplace's approximation a sample.

    Args:
        data: as for :func:`cl_teach.diagonal_fisher`: of a :class:`Task` its training data and classes.
        full: with the whole of F; False: with its diagonal only, as EWC has it.
        at: the weights where F is taken; None takes the plane's origin, the first solution of :func:`plane_through`.

    Returns:
        float64, in the units 1 / distance^2: a quadratic of the loss is (p - p0)^T U^T F U (p - p0) / 2.

    Raises:
        TypeError, ValueError: a plane or weights of another architecture, or data that do not fit the model.
        NoForwardMode: a RuntimeError; ``full`` with a model that has no derivatives in forward mode, such as an LSTM.
    """
    first, second = _affine(model, plane)[1:]
    where = _weights("at", plane.origin if at is None else at, _checks.trainable(model))
    split, classes = (data.train, data.classes) if isinstance(data, Task) else (data, None)
    matched(model, split, classes)
    return _curvature(model, where, [first, second], split, classes, full)


def _curvature(
    model: nn.Module, at: Named, directions: list[Named], data: Split, classes: Sequence[int] | None, full: bool
) -> Tensor:
    with holding(model, {name: at[name].to(p) for name, p in _checks.trainable(model).items()}):
        if full:
            try:
                return restricted_fisher(model, data, directions, classes=classes).double().cpu()
            except NotImplementedError as error:  # not for running out of memory, for instance
                reason = str(error).splitlines()[0][:120]
                raise NoForwardMode(
                    f"the whole Fisher needs derivatives in forward mode, which this model does not have ({reason}); "
                    "full=False takes the diagonal"
                ) from error
        diagonal = _flat(diagonal_fisher(model, data, classes=classes))
    u = torch.stack([_flat(d) for d in directions])  # (k, P)
    return ((u * diagonal) @ u.T).cpu()


def _is_plane(plane: object) -> None:
    if not isinstance(plane, Plane):
        raise TypeError(f"plane must be a Plane such as plane_through(a, b, c), got {type(plane).__name__}")


def _affine(model: nn.Module, plane: Plane) -> Affine:
    _is_plane(plane)
    parameters = _checks.trainable(model)
    _weights("plane", plane.origin, parameters)
    return _like(parameters, plane.origin, plane.first, plane.second)


def _like(parameters: Mapping[str, Tensor], origin: Named, first: Named, second: Named) -> Affine:
    """The three on the device of the parameters, in their type and order."""
    o, u, v = ({name: part[name].to(p) for name, p in parameters.items()} for part in (origin, first, second))
    return o, u, v


class _Data(NamedTuple):
    raw: Split
    ready: Split  # as the model needs it, labels counted within the classes
    classes: tuple[int, ...] | None


def _parts(model: nn.Module, data: Data) -> dict[str, _Data]:
    """Every data set under its name, checked."""
    if isinstance(data, (Split, Task)):
        data = {data.name if isinstance(data, Task) else "data": data}
    if isinstance(data, Sequence) and all(isinstance(d, Task) for d in data):
        if len({d.name for d in data}) < len(data):
            raise ValueError(f"data must hold tasks of different names, got {[d.name for d in data]}; a dict names them anew")
        data = {d.name: d for d in data}
    if not isinstance(data, Mapping) or not all(isinstance(d, (Split, Task)) for d in data.values()):
        raise TypeError(f"data must be a Split, a Task, a list of Task or a dict of either, got {type(data).__name__}")
    if not data:
        raise ValueError("data must hold at least one Split or Task, got none")
    found = {str(name): (d.test, d.classes) if isinstance(d, Task) else (d, None) for name, d in data.items()}
    parts = {}
    for name, (split, classes) in found.items():
        fitted = matched(model, split, classes)  # typed once here, as every point of a grid meets the same data
        parts[name] = _Data(split, Split(typed(model, fitted.x), fitted.y), classes)
    return parts


def _axis(name: str, values: Sequence[float] | Tensor) -> Tensor:
    try:
        axis = torch.as_tensor(values, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a list or tensor of numbers, got {type(values).__name__}") from None
    if axis.ndim != 1 or not len(axis):
        raise ValueError(f"{name} must hold at least one number, in one dimension, got shape {tuple(axis.shape)}")
    if not bool(torch.isfinite(axis).all()) or bool((axis.diff() <= 0).any()):
        some = [round(value, 3) for value in axis.tolist()[:5]]
        raise ValueError(f"{name} must be finite and increasing, such as torch.linspace(-1, 5, 41), got {some} ...")
    return axis


# --- files ----------------------------------------------------------------------------------------------------------------


def _save(path: str | os.PathLike[str], kind: str, tensors: Mapping[str, Tensor]) -> None:
    """An npz file under a name of its own and then renamed, which is atomic: no half file under the final name."""
    target = Path(path)
    arrays: dict[str, Any] = {name: t.detach().cpu().numpy() for name, t in tensors.items()}
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            np.savez(file, kind=np.array(f"cl_teach {kind}"), **arrays)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _load(path: str | os.PathLike[str], kind: str, build: Callable[[Named], _Built]) -> _Built:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if str(arrays.pop("kind")) != f"cl_teach {kind}":
            raise ValueError("a file of another kind")
        return build({name: torch.as_tensor(array) for name, array in arrays.items()})
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # a zip file can be damaged in many ways
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"path must be a file written by {kind.capitalize()}.save, got {os.fspath(path)!r}: {reason}"
        raise ValueError(message) from error


def _part(arrays: Named, part: str) -> Named:
    return {name.removeprefix(f"{part}/"): array for name, array in arrays.items() if name.startswith(f"{part}/")}
