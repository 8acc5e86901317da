"""What a wrong importance looks like beside the right one, and what it does at each strength."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from .. import _checks
from .._weights import flat
from .style import (
    RED,
    TASK_A,
    Picture,
    accuracy_axis,
    canvas,
    check_title,
    literal,
    percent,
    plain,
    strength_label,
    styled,
    titled,
)

BINS = np.arange(-12, 2.01, 0.5)  # powers of ten
RIGHT: dict[str, Any] = {"color": TASK_A["color"], "ls": "-", "marker": "o"}
OTHER: dict[str, Any] = {"color": RED, "ls": "--", "marker": "X"}


@styled
def exhibit(
    importances: Mapping[str, Mapping[str, Tensor]],
    average: Mapping[str, Mapping[float, float]],
    shown: str,
    title: str = "",
) -> Picture:
    """Two importances of the same weights: how large they are (left), and the mean accuracy at each strength (right).

    Args:
        importances: what is compared -> importance by parameter name, none below 0; the right one comes first.
        average: the same names -> {strength above 0: mean accuracy}.
        shown: one of the names; it is drawn in full, the other thinly.
        title: stands above both.

    Raises:
        TypeError, ValueError: other than two importances, names that differ, nothing to draw, a negative importance or
            strength, an accuracy that is no share.
    """
    values, curves = _checked(importances, average)
    shown = _checks.one_of("shown", shown, list(values))
    check_title(title)
    figure, (left, right) = canvas(columns=2, width=7.6, height=4.0)
    parts = []
    for (name, sizes), look in zip(values.items(), (RIGHT, OTHER), strict=True):
        full = name == shown
        logs = np.log10(np.clip(sizes[sizes > 0], 10.0 ** BINS[0], 10.0 ** BINS[-1]))
        share = np.histogram(logs, BINS)[0] / len(sizes)
        left.stairs(share, BINS, color=look["color"], ls=look["ls"], lw=2.5 if full else 1)
        if full:
            left.stairs(share, BINS, color=look["color"], fill=True, alpha=0.35)
        curve = curves[name]
        best = max(curve, key=lambda s: (curve[s], -s))
        right.plot(list(curve), list(curve.values()), **look, lw=2.5 if full else 1, ms=8 if full else 5, label=plain(name))
        right.plot(best, curve[best], "o", ms=17, mfc="none", mec="black", mew=1.5 if full else 0.5)
        parts.append(
            f"{name} adds up to {sizes.sum():.3g}, {percent(float((sizes == 0).mean()))} of it exactly 0; "
            f"best mean accuracy {percent(curve[best])} at lambda {best:g}"
        )
    left.set(xlabel="importance (power of ten)", ylabel="share of the weights", ylim=(0, None))
    first, zeros = next(iter(values)), percent(float((values[shown] == 0).mean()))
    beside = "" if shown == first else f" ({plain(first)}: {values[first].sum():.2g})"
    left.set_title(f"sum: {values[shown].sum():.2g}{beside}; exactly 0: {zeros}", fontsize=10)
    best = max(curves[shown], key=lambda s: (curves[shown][s], -s))
    right.set(xscale="log", xlabel="strength λ (log scale)", ylabel="mean accuracy on A and B")
    right.minorticks_off()  # over six powers of ten they are most of the time that it takes to draw
    right.xaxis.set_major_formatter(lambda value, _: strength_label(value))  # plain text: formulas take their time, too
    right.set_title(f"best: {100 * curves[shown][best]:.1f} % at λ = {strength_label(best)}", fontsize=10)
    accuracies = [value for curve in curves.values() for value in curve.values()]
    accuracy_axis(right, lowest=min(accuracies))
    right.set_ylim(top=min(1.0, max(accuracies) + 0.05))
    figure.legend(loc="outside lower center", ncols=2)
    if title:
        figure.suptitle(literal(title))
    return Picture(figure, titled(title, f"{'. '.join(parts)}. In full: {shown}."))


def _checked(importances: object, average: object) -> tuple[dict[str, Any], dict[str, dict[float, float]]]:
    """All importances as one array a name, and the curves, or the error that says what is wrong with them."""
    tables = _checks.named("importances", importances, Mapping, "{parameter name: importance}")
    averages = _checks.named("average", average, Mapping, "{strength: accuracy}")
    if len(tables) != 2 or list(tables) != list(averages):
        raise ValueError(f"importances and average must have the same two names, got {list(tables)} and {list(averages)}")
    values: dict[str, Any] = {}
    for name, table in tables.items():
        tensors = _checks.named(f"importances[{name!r}]", table, Tensor, "an importance for each weight")
        values[name] = flat(tensors).detach().cpu().double().numpy()
        if not np.isfinite(values[name]).all() or (values[name] < 0).any():
            raise ValueError(f"importances[{name!r}] must be finite and not below 0, got other values")
        if not averages[name]:
            raise ValueError(f"average[{name!r}] must hold at least one strength: accuracy, got none")
    curves = {
        name: {
            _checks.positive(f"average[{name!r}], each strength,", s): _checks.share(f"average[{name!r}][{s!r}]", value)
            for s, value in curve.items()
        }
        for name, curve in averages.items()
    }
    return values, curves
