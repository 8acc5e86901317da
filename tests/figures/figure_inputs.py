"""Small made-up results that the figures are drawn from, and what is asked of each picture."""

import base64

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.lines import Line2D

from cl_teach import figures
from cl_teach.landscapes import Line, Surface, Trace
from cl_teach.training import Evaluation, History, Run

W = torch.linspace(-1, 2, 31)
SWEEPS = {"L2": {0: (0.2, 0.9), 0.1: (0.6, 0.7)}, "EWC": {0: (0.2, 0.9), 1e4: (0.85, 0.8)}}


def history() -> History:
    watched = {"A": [Evaluation(1.0, 0.9), Evaluation(2.0, 0.3)], "B": [Evaluation(2.0, 0.1), Evaluation(1.0, 0.8)]}
    return History(loss=[1.0], steps=[0, 10], watched=watched)


def run(last: float) -> Run:
    accuracy = torch.tensor([[0.9, torch.nan], [last, 0.8]], dtype=torch.float64)
    return Run(accuracy, accuracy.clone(), histories=[history(), history()])


def bowls() -> dict[str, torch.Tensor]:
    """Losses over two weights: A's minimum at (0, 0), B's at (1, 0.5)."""
    x, y = W[None], W[:, None]
    return {"A": x**2 + 0.2 * y**2, "B": (x - 1) ** 2 + (y - 0.5) ** 2}


def surface() -> Surface:
    """A's minimum at (0, 0), B's at (4, 0); lower along y for A."""
    xs, ys = torch.linspace(-2, 6, 9).double(), torch.linspace(-2, 4, 7).double()
    x, y = xs[None], ys[:, None]
    loss = {"A": 0.2 + 0.1 * x**2 + 0.01 * y**2, "B": 0.2 + 0.1 * (x - 4) ** 2 + 0.02 * y**2}
    return Surface(xs, ys, loss, {name: 1 / (1 + values) for name, values in loss.items()})


def only_a() -> Surface:
    both = surface()
    return Surface(both.xs, both.ys, {"A": both.loss["A"]}, {"A": both.accuracy["A"]})


def trace(end: tuple[float, float], residual: float, a: float, b: float) -> Trace:
    """Three points from (0, 0) to ``end``; the losses at the end are ``a`` and ``b``."""
    t = torch.tensor([0.0, 0.5, 1.0]).double()
    loss = {"A": 0.2 + t * (a - 0.2), "B": 2 + t * (b - 2)}
    return Trace([0, 10, 20], t * end[0], t * end[1], t * residual, loss, {n: 1 / (1 + v) for n, v in loss.items()})


TRACES = {"none": trace((4, 0), 0, 1.8, 0.2), "L2": trace((1, 0), 2, 0.6, 0.9), "EWC": trace((1, 3), 0, 0.4, 0.45)}
T = torch.linspace(0, 1, 5).double()
LINE = Line(T, 4.0, {"A": 0.2 + T**2, "B": 2 - T}, {"A": 1 - T, "B": T}, {"A": 0.2 * T}, {"A": 0.1 * T**2}, {"A": 0.9 * T**2})


def journeys() -> figures.Journeys:
    traces = {("none", 0): TRACES["none"]} | {(m, s): TRACES[m] for m in ("L2", "EWC") for s in (0, 10)}
    return figures.Journeys(surface(), traces)


def is_good(picture: figures.Picture, words: list[str]) -> None:
    """It draws, is small and legible, is what a notebook shows, and its text holds the ``words``."""
    for word in words:
        assert word in picture.alt
    assert picture.png.startswith(b"\x89PNG") and 2_000 < len(picture.png) <= 60 * 1024
    texts = picture.figure.findobj(lambda o: hasattr(o, "get_fontsize"))
    assert all(text.get_fontsize() >= 10 for text in texts if text.get_text())
    bundle = picture._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == picture.png and bundle["text/plain"] == picture.alt


def labelled(axis: Axes, label: str) -> Line2D:
    """The one line with this label."""
    (line,) = [line for line in axis.lines if line.get_label() == label]
    return line


def has_points(line: Line2D, x, y) -> None:
    """The line joins, or the marks stand at, exactly these points in this order; one point or as many as there are."""
    np.testing.assert_allclose(line.get_data(), (np.atleast_1d(x), np.atleast_1d(y)), rtol=1e-6, atol=1e-7)


def is_upright_at(line: Line2D, x: float) -> None:
    """From the bottom to the top of the axes."""
    has_points(line, [x, x], [0, 1])


def contours(axis: Axes, filled: bool) -> list[ContourSet]:
    """The areas or the lines of equal height, in the order in which they were drawn."""
    return [found for found in axis.collections if isinstance(found, ContourSet) and found.filled is filled]


def says(axis: Axes) -> tuple[str, str, str, list[str]]:
    """What stands at its axes, above it and in its legend."""
    legend = axis.get_legend()
    entries = [text.get_text() for text in legend.get_texts()] if legend else []
    return axis.get_xlabel(), axis.get_ylabel(), axis.get_title(), entries
