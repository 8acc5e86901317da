"""The exact loss of a model with two weights, where methods end on it, and where their penalties are constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from .style import REGIONS, TASKS, THETA_A, Picture, array, canvas, plain, style_of, styled, titled


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
    """
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
        places.append(f"{style['label']} ends at ({x:.1f}, {y:.1f})")
    axis.set(xlabel="weight 1", ylabel="weight 2", aspect="equal", title=title)
    axis.set(xlim=(float(w1[0]), float(w1[-1])), ylim=(float(w2[0]), float(w2[-1])))
    if ends:
        axis.legend(loc="lower right", frameon=True, framealpha=0.9)  # lines run below it
    shown = f"loss surface of {' and '.join(losses)} over two weights"
    return Picture(figure, titled(title, f"{shown}. {'; '.join(places)}."))


def circle(centre: Tensor, radius: float) -> Tensor:
    """101 points (101, 2) on the circle around ``centre``: where an L2 penalty is constant."""
    return ellipse(centre, torch.eye(2).to(centre), radius**2)


def ellipse(centre: Tensor, precision: Tensor, level: float) -> Tensor:
    """101 points w (101, 2) with (w - centre)^T precision (w - centre) = level.

    ``precision`` is (2, 2) and positive definite.

    Raises:
        ValueError: it is not, so that these points are no closed curve; or ``level`` is negative.
    """
    angle = torch.linspace(0, 2 * torch.pi, 101).to(centre)
    values, vectors = torch.linalg.eigh(precision.nan_to_num(nan=-1.0))
    if not float(values[0]) > 0 or not level >= 0:
        found = [round(v, 6) for v in values.tolist()]
        raise ValueError(
            f"precision must be positive definite and level not negative, got eigenvalues {found} and level {level}"
        )
    unit = torch.stack([angle.cos(), angle.sin()])  # (2, 101)
    points: Tensor = centre + (vectors @ ((level / values).sqrt()[:, None] * unit)).T
    return points
