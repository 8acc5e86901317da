"""What a learner predicted beside what was measured, on one line."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from .style import STEEL, Picture, canvas, literal, styled


@styled
def prediction(what: str, low: float, high: float, predicted: float | None = None, measured: Sequence[float] = ()) -> Picture:
    """A line from ``low`` to ``high`` with the prediction above it and what was measured below, each if there is one.

    Args:
        what: the quantity, such as "accuracy on A after learning B".
        predicted: None if nothing was predicted.
        measured: one number, or one a seed; empty before anything was measured.
    """
    words = _words(what, low, high, predicted, measured)
    figure, (axis,) = canvas(height=1.7)
    axis.set_title(literal(fill(words, 85)), fontsize=10, loc="left")
    ends = [low, high, *measured]
    margin = 0.05 * (max(ends) - min(ends))
    axis.set(xlim=(min(ends) - margin, max(ends) + margin), ylim=(-1, 1), yticks=[])
    axis.spines[["left", "right", "top"]].set_visible(False)
    axis.axhline(0, color="#BDBDBD", lw=1)
    if predicted is not None:
        axis.plot([predicted], [0.25], marker="v", ms=10, color=STEEL, ls="")
        axis.text(predicted, 0.5, f"you said {predicted:.3g}", ha="center", va="bottom", color=STEEL)
    if predicted is None and not measured:
        axis.text((low + high) / 2, 0.3, "?", ha="center", color=STEEL, fontsize=14)
    if measured:
        axis.plot(measured, [-0.25] * len(measured), marker="^", ms=10, color="black", ls="")
        axis.text(sum(measured) / len(measured), -0.5, "measured", ha="center", va="top", color="black")
    return Picture(figure, words)


def _words(what: str, low: float, high: float, predicted: float | None, measured: Sequence[float]) -> str:
    if not measured:
        said = "nothing is predicted yet" if predicted is None else f"you said {predicted:.3g}"
        return f"{what}, from {low:g} to {high:g}: {said}."
    least, most = f"{min(measured):.2g}", f"{max(measured):.2g}"
    found = f"{what}: measured {least}" + (f" to {most} in {len(measured)} runs" if len(measured) > 1 else "")
    if predicted is None:
        return f"{found}. No prediction was made: move the slider above, press the button, and run this cell again."
    gap = predicted - sum(measured) / len(measured)
    if abs(gap) <= 0.05 * (high - low):
        return f"{found}; you said {predicted:.3g}, which is close."
    return f"{found}; you said {predicted:.3g}, too {'high' if gap > 0 else 'low'} by {abs(gap):.2g}."
