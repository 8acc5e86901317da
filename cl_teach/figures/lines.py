"""Loss along straight lines from theta_A: as it is, and as the Fisher information had predicted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

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
    key_columns,
    literal,
    nats,
    plain,
    styled,
    task_styles,
    titled,
)

AWAY = f"distance from {THETA_A}"
RISES: dict[str, dict[str, Any]] = {  # as Line.rises names them
    "true rise": {"color": "black", "ls": "-", "lw": 3},
    "gradient + whole Fisher": {"color": "#AA3377", "ls": (0, (5, 1)), "lw": 2},
    "gradient term": {"color": "#8C510A", "ls": "-.", "lw": 2},
    "whole Fisher": {"color": BLUE, "ls": "--", "lw": 2},
    "diagonal": {"color": RED, "ls": ":", "lw": 2.4},
}


def _check(lines: Mapping[str, Line]) -> None:
    for name, line in _checks.named("lines", lines, Line, "a Line, as interpolate gives it").items():
        if not line.loss:
            raise ValueError(f"lines[{name!r}] must hold losses of at least one data set, got none; see data of interpolate")


@styled
def truth_meter(lines: Mapping[str, Line], name: str = "A") -> Picture:
    """How much the loss truly rises on the way from theta_A, and how much was predicted there: by the gradient, by F, by both.

    Args:
        lines: words for the direction -> what :func:`cl_teach.landscapes.interpolate` found there.
        name: of the data whose loss is shown.

    Raises:
        ValueError: no line, or one without this data.
    """
    _check(lines)
    for line in lines.values():
        _checks.one_of("name", name, [known for known in line.loss if known in line.full])
    figure, axes = canvas(columns=len(lines), width=max(5.0, min(3.8 * len(lines), 10.2)), height=4.1)
    words, heights = [], {direction: _height(line, name) for direction, line in lines.items()}
    for axis, (direction, line) in zip(axes, lines.items(), strict=True):
        away, rises = array(line.t * line.distance), line.rises(name)
        finer = max(heights.values()) / heights[direction]
        scale = f"\n(the scale is {finer:.0f} times finer)" if finer >= 1.5 else "\n" if len(lines) > 1 else ""
        for what, style in RISES.items():
            axis.plot(away, array(rises[what]), label=what, **style)
        _ends(axis, {what: float(rises[what][-1]) for what in RISES})
        axis.set(xlabel=AWAY)
        axis.set_title(literal(direction) + scale, fontsize=11)
        ends = ", ".join(f"{what} {float(rise[-1]):.2g}" for what, rise in rises.items())
        words.append(f"{direction}, at distance {line.distance:.1f}: {ends}")
    axes[0].set_ylabel(f"rise of the loss on {plain(name)} (nats)")
    figure.legend(handles=axes[0].lines[: len(RISES)], loc="outside lower center", ncols=3 if len(lines) > 1 else 2)
    return Picture(figure, f"Rise of the loss on {name}, true and predicted. {'; '.join(words)}.")


def _height(line: Line, name: str) -> float:
    """The largest rise or fall there is to draw, 1 if there is none."""
    sizes = np.concatenate([np.abs(array(rise)) for rise in line.rises(name).values()])
    return float(np.max(sizes[np.isfinite(sizes)], initial=0.0)) or 1.0


def _ends(axis: Axes, ends: Mapping[str, float]) -> None:
    """Each curve's last value beside its end, moved up where it would lie on another, but not out of the picture."""
    low, high = axis.get_ylim()
    apart, order = 0.07 * (high - low), sorted((what for what in ends if np.isfinite(ends[what])), key=lambda what: ends[what])
    places: dict[str, float] = {}
    for what in order:
        places[what] = max(ends[what], *(place + apart for place in places.values())) if places else ends[what]
    top = high
    for what in reversed(order):
        places[what] = top = min(places[what], top)
        top -= apart
    words: dict[str, Any] = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    for what, place in places.items():
        axis.annotate(f"{ends[what]:.2g}", (1, place), (4, 0), fontsize=10, color=RISES[what]["color"], **words)


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
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=key_columns(names, 5.0))
    figure.suptitle(title, fontsize=11)
    return Picture(figure, titled(title, f"loss on straight lines from theta_A: {'; '.join(words)}."))
