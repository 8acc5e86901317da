"""The exact loss of a model with two weights, where methods end on it, and where their penalties are constant."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from .. import _checks
from .style import REGIONS, TASKS, THETA_A, Picture, array, canvas, check_title, plain, style_of, styled, titled


def _draw_loss(axis: Axes, w1: Tensor, w2: Tensor, losses: Mapping[str, Tensor]) -> None:
    for name, region, style, above in zip("AB", REGIONS, TASKS, (-34, 26), strict=True):
        if name in losses:
            rise = array(losses[name] - losses[name].min())
            axis.contourf(array(w1), array(w2), rise, levels=[0, 0.012], colors=[region], alpha=0.85)
            lines: dict[str, Any] = {"colors": style["color"], "linestyles": style["linestyle"], "linewidths": 1.2}
            axis.contour(array(w1), array(w2), rise, levels=[0.012, 0.1, 0.3], **lines)
            row, column = divmod(int(losses[name].argmin()), len(w1))
            place: dict[str, Any] = {"xytext": (0, above), "textcoords": "offset points", "ha": "center"}
            axis.annotate(f"task {name}", (float(w1[column]), float(w2[row])), color=style["color"], **place)


@styled
def two_weight_surface(
    w1: Tensor,
    w2: Tensor,
    losses: Mapping[str, Tensor],
    ends: Mapping[str, Tensor],
    paths: Mapping[str, Tensor] | None = None,
    start: Tensor | None = None,
    rings: Mapping[str, Tensor] | None = None,
    title: str = "",
) -> Picture:
    """The exact loss surfaces of tasks A and B over two weights, and where methods end.

    Args:
        w1, w2: axes of the grid, shapes (W,) and (H,).
        losses: "A" and maybe "B" -> mean loss on the grid, shape (H, W). The shaded region lies within 0.012 nats of the
            task's own minimum; lines follow at 0.1 and 0.3 nats, the same levels for both.
        ends: method -> end point (2,).
        paths: method -> the way there, (steps, 2).
        start: task A's solution theta_A, (2,).
        rings: method -> a closed curve (points, 2), where that method's penalty is constant.
        title: above the picture.

    Ends and points of paths that are not finite, as those of runs that diverged, are not drawn.

    Raises:
        TypeError, ValueError: losses of other tasks, of other shapes than the grid or with NaN; points without two coordinates.
    """
    check_title(title)
    size = len(_checks.axis("w2", w2)), len(_checks.axis("w1", w1))
    for name, values in _checks.named("losses", losses, Tensor, "a tensor of losses on the grid").items():
        _checks.one_of("losses", name, ("A", "B"))
        _checks.tensor(f"losses[{name!r}]", values, *size)
    for what, given in (("ends", ends), ("paths", paths or {}), ("rings", rings or {})):
        shape: tuple[int | str, ...] = (2,) if what == "ends" else ("N", 2)
        for key, points in _checks.named(what, given, Tensor, "a tensor of points", or_empty=True).items():
            _checks.tensor(f"{what}[{key!r}]", points, *shape, finite=what == "rings")
    if start is not None:
        _checks.tensor("start", start, 2)
    figure, (axis,) = canvas(width=5.6, height=5.0)
    _draw_loss(axis, w1, w2, losses)
    for method, ring in (rings or {}).items():
        axis.plot(*array(ring.T), color=style_of(method)["color"], lw=1.8, ls=style_of(method)["linestyle"])
    for method, path in (paths or {}).items():
        axis.plot(*array(path.T), color=style_of(method)["color"])
    places = []
    if start is not None:
        x, y = start.tolist()
        axis.plot(x, y, "o", ms=8, color="white", mec="black", zorder=5)
        axis.annotate(THETA_A, (x, y), xytext=(-8, -4), textcoords="offset points", ha="right", fontsize=12)
        places.append(f"theta_A lies at ({x:.1f}, {y:.1f})")
    for method, end in ends.items():
        (x, y), style = end.tolist(), style_of(method)
        mark: dict[str, Any] = {"color": style["color"], "mec": "white", "ms": 15 if method == "joint" else 11}
        axis.plot(x, y, style["marker"], label=plain(style["label"]), zorder=6, **mark)
        places.append(f"{style['label']} ends at ({x:.1f}, {y:.1f})" if isfinite(x + y) else f"{style['label']} diverged")
    axis.set(xlabel="weight 1", ylabel="weight 2", aspect="equal", title=title)
    axis.set(xlim=(float(w1[0]), float(w1[-1])), ylim=(float(w2[0]), float(w2[-1])))
    if ends:
        axis.legend(loc="lower right", frameon=True, framealpha=0.9)  # lines run below it
    shown = f"loss surface of {' and '.join(losses)} over two weights"
    return Picture(figure, titled(title, ". ".join(filter(None, [shown, "; ".join(places)])) + "."))


def circle(centre: Tensor, radius: float) -> Tensor:
    """101 points (101, 2) on the circle around ``centre``, (2,): where an L2 penalty is constant.

    Raises:
        TypeError, ValueError: no such centre, or a radius that is negative or not finite.
    """
    radius = _checks.real_number("radius", radius, at_least=0.0)
    _checks.tensor("centre", centre, 2)
    return ellipse(centre, torch.eye(2).to(centre), radius**2)


def ellipse(centre: Tensor, precision: Tensor, level: float) -> Tensor:
    """101 points w (101, 2) with (w - centre)^T precision (w - centre) = level.

    ``precision`` is (2, 2), symmetric and positive definite.

    Raises:
        TypeError, ValueError: it is not, so that these points are no closed curve; or ``level`` is negative.
    """
    _checks.tensor("centre", centre, 2)
    level = _checks.real_number("level", level, at_least=0.0)
    _checks.tensor("precision", precision, 2, 2, finite=False)
    if not torch.allclose(precision, precision.T, equal_nan=True):
        raise ValueError(f"precision must be symmetric, got {precision.tolist()}; (precision + precision.T) / 2 is")
    angle = torch.linspace(0, 2 * torch.pi, 101).to(centre)
    values, vectors = torch.linalg.eigh(precision.nan_to_num(nan=-1.0))
    if not float(values[0]) > 0:
        raise ValueError(f"precision must be positive definite, got eigenvalues {[round(v, 6) for v in values.tolist()]}")
    unit = torch.stack([angle.cos(), angle.sin()])  # (2, 101)
    points: Tensor = centre + (vectors @ ((level / values).sqrt()[:, None] * unit)).T
    return points
