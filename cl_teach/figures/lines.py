"""Loss along straight lines from theta_A: as it is, and as the Fisher information had predicted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _checks
from ..landscapes import Line
from .style import (
    BLUE,
    DOTTED,
    RED,
    THETA_A,
    Picture,
    array,
    canvas,
    check_title,
    literal,
    nats,
    plain,
    styled,
    task_styles,
    titled,
)

AWAY = f"distance from {THETA_A}"


def _check(lines: Mapping[str, Line]) -> None:
    for name, line in _checks.named("lines", lines, Line, "a Line, as interpolate gives it").items():
        if not line.loss:
            raise ValueError(f"lines[{name!r}] must hold losses of at least one data set, got none; see data of interpolate")


@styled
def truth_meter(lines: Mapping[str, Line], name: str = "A") -> Picture:
    """How much the loss truly rises on the way from theta_A, and how much the Fisher information had predicted.

    Args:
        lines: words for the direction -> what :func:`cl_teach.landscapes.interpolate` found there.
        name: of the data whose loss is shown.

    Raises:
        ValueError: no line, or one without this data.
    """
    _check(lines)
    for line in lines.values():
        _checks.one_of("name", name, [known for known in line.loss if known in line.full])
    figure, axes = canvas(columns=len(lines), width=max(5.0, min(3.8 * len(lines), 10.2)), height=3.7)
    words = []
    for axis, (direction, line) in zip(axes, lines.items(), strict=True):
        away, rise = array(line.t * line.distance), line.loss[name] - line.loss[name][0]
        curves: dict[str, tuple[Any, dict[str, Any]]] = {
            "true rise": (rise, {"color": "black", "lw": 3}),
            "whole Fisher": (line.full[name], {"color": BLUE, "ls": "--"}),
            "diagonal": (line.diagonal[name], {"color": RED, "ls": ":"}),
        }
        for what, (values, style) in curves.items():
            axis.plot(away, array(values), label=f"{what}: {float(values[-1]):.2g}", **style)
        axis.set(xlabel=AWAY, title=literal(direction))
        axis.legend(loc="upper left")
        ends = ", ".join(f"{what} {float(values[-1]):.2g}" for what, (values, _) in curves.items())
        words.append(f"{direction}, at distance {line.distance:.1f}: {ends}")
    axes[0].set_ylabel(f"rise of the loss on {plain(name)} (nats)")
    return Picture(figure, f"Rise of the loss on {name} and two predictions. {'; '.join(words)}.")


@styled
def slices(lines: Mapping[str, Line], level: float | None = None, title: str = "") -> Picture:
    """Loss on the straight line between two solutions, for every data set that was measured there.

    Args:
        lines: words for where the line leads to -> what :func:`cl_teach.landscapes.interpolate` found.
        level: a line at this loss (nats).
        title: above the picture.

    Raises:
        ValueError: no line.
    """
    _check(lines)
    check_title(title)
    if level is not None:
        _checks.real_number("level", level, at_least=0)
    figure, axes = canvas(columns=len(lines), width=max(5.0, 3.8 * len(lines)), height=3.6, sharey=True)
    words = []
    for axis, (end, line) in zip(axes, lines.items(), strict=True):
        for name, style in task_styles(line.loss):
            losses = line.loss[name]
            axis.plot(array(line.t * line.distance), array(losses), lw=2.4, label=f"loss on {plain(name)}", **style)
            first, last, top = (
                float(losses[0]),
                float(losses[-1]),
                float(np.fmax.reduce(array(losses))),
            )  # of those that are numbers
            words.append(f"to {end}, {name} from {nats(first)} to {nats(last)}, at most {nats(top)}")
        if level is not None:
            axis.axhline(level, **DOTTED)
        axis.set(xlabel=AWAY, title=f"to {literal(end)}")
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("loss (nats)")
    axes[0].legend(loc="upper left")
    figure.suptitle(title, fontsize=11)
    return Picture(figure, titled(title, f"loss on straight lines from theta_A: {'; '.join(words)}."))
