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


def key(picture: figures.Picture) -> list[str]:
    """What the keys of the whole figure name."""
    figure = picture.figure
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def says(axis: Axes) -> tuple[str, str, str, list[str]]:
    """What stands at its axes, above it and in its legend."""
    legend = axis.get_legend()
    entries = [text.get_text() for text in legend.get_texts()] if legend else []
    return axis.get_xlabel(), axis.get_ylabel(), axis.get_title(), entries


# --- like the lessons' own ---------------------------------------------------------------------------------------------


def way(x: list[float], y: list[float], residual: list[float], a: list[float], b: list[float]) -> Trace:
    losses = {"A": torch.tensor(a).double(), "B": torch.tensor(b).double()}
    shares = {name: 1 / (1 + values / 3) for name, values in losses.items()}
    places = (torch.tensor(values).double() for values in (x, y, residual))
    return Trace([40 * k for k in range(len(x))], *places, losses, shares)


PATHS = {  # of lesson 5, rounded
    "none": way(
        [0, 5.0, 6.23, 7.21, 7.8, 8.37, 8.82, 9.14, 9.42], [0, 0.42, 0.39, 0.3, 0.24, 0.18, 0.1, 0.05, 0],
        [0, 3.87, 3.4, 2.91, 2.3, 1.72, 1.16, 0.7, 0], [0.34, 0.64, 0.8, 0.79, 0.83, 0.81, 0.88, 0.91, 1.01],
        [3.65, 0.62, 0.43, 0.39, 0.34, 0.34, 0.32, 0.32, 0.33],
    ),
    "L2": way(
        [0, 4.44, 4.89, 5.16, 5.04, 4.94, 4.9, 4.75, 4.66], [0, 0.41, 0.37, 0.39, 0.4, 0.42, 0.47, 0.48, 0.52],
        [0, 3.38, 2.54, 2.07, 1.71, 1.72, 2.0, 2.18, 2.37], [0.34, 0.59, 0.69, 0.56, 0.59, 0.61, 0.51, 0.54, 0.56],
        [3.65, 0.59, 0.45, 0.4, 0.36, 0.37, 0.4, 0.37, 0.32],
    ),
    "EWC": way(
        [0, 3.47, 3.82, 4.15, 4.29, 4.47, 4.57, 4.65, 4.75], [0, 1.93, 2.98, 3.79, 4.41, 4.95, 5.39, 5.73, 6.06],
        [0, 3.13, 2.67, 2.26, 1.81, 1.4, 0.96, 0.62, 0], [0.34, 0.36, 0.38, 0.36, 0.36, 0.36, 0.34, 0.34, 0.37],
        [3.65, 0.58, 0.48, 0.4, 0.39, 0.36, 0.34, 0.37, 0.35],
    ),
}  # fmt: skip
BENT = {  # the same as the plane through L2 shows them
    "none": way(
        [0, 5.0, 6.23, 7.21, 7.8, 8.37, 8.82, 9.14, 9.42], [0, -0.81, -0.74, -0.63, -0.44, -0.31, -0.24, -0.11, 0],
        [0, 3.8, 3.34, 2.85, 2.27, 1.7, 1.14, 0.69, 0], *[PATHS["none"].loss[name].tolist() for name in "AB"],
    ),
    "L2": way(
        [0, 4.44, 4.89, 5.16, 5.04, 4.94, 4.9, 4.75, 4.66], [0, -0.6, -0.2, 0.32, 0.85, 1.33, 1.78, 2.09, 2.42],
        [0, 3.35, 2.56, 2.09, 1.54, 1.18, 1.02, 0.79, 0], *[PATHS["L2"].loss[name].tolist() for name in "AB"],
    ),
    "EWC": way(
        [0, 3.47, 3.82, 4.15, 4.29, 4.47, 4.57, 4.65, 4.75], [0, -0.24, 0.13, 0.45, 0.67, 0.87, 1.04, 1.17, 1.31],
        [0, 3.67, 4.0, 4.39, 4.72, 5.07, 5.38, 5.65, 5.91], *[PATHS["EWC"].loss[name].tolist() for name in "AB"],
    ),
}  # fmt: skip


def valley(left: float = -1.4, right: float = 10.8, low: float = -1.5, high: float = 7.5, n: int = 31) -> Surface:
    """A's region a slanted valley, B's a wide plain to the right of it, much as in lesson 5."""
    xs, ys = torch.linspace(left, right, n).double(), torch.linspace(low, high, n).double()
    x, y = xs[None], ys[:, None]
    loss = {"A": 0.33 + 0.016 * (x - 0.8 * y) ** 2, "B": 0.3 + 3.3 * (-0.6 * (x - 0.1 * y)).exp() + 0.002 * (y - 2) ** 2}
    return Surface(xs, ys, loss, {name: 1 / (1 + values / 3) for name, values in loss.items()})


LESSON_2 = {0: (0.21, 0.9), 0.003: (0.25, 0.89), 0.01: (0.35, 0.88), 0.03: (0.47, 0.84), 0.1: (0.68, 0.75), 0.13: (0.73, 0.72),
            0.3: (0.83, 0.59), 1: (0.87, 0.31), 3: (0.88, 0.19), 10: (0.89, 0.15)}  # fmt: skip
LESSON_4 = {
    "L2": {0: (0.733, 0.903), 0.003: (0.788, 0.904), 0.01: (0.848, 0.897), 0.02: (0.863, 0.889), 0.03: (0.845, 0.859),
           0.1: (0.878, 0.785)},
    "EWC": {0: (0.733, 0.903), 10: (0.865, 0.902), 30: (0.879, 0.898), 100: (0.888, 0.888), 1e3: (0.892, 0.871),
            1e4: (0.891, 0.879), 1e6: (0.884, 0.87)},
}  # fmt: skip
STEPS = {  # of lesson 4, with points close to both sides of the limit of 880
    "gradient": {30: 0.885, 100: 0.884, 400: 0.882, 800: 0.865, 900: 0.09, 2000: 0.09, 1e4: 0.09, 1e6: 0.09},
    "proximal": {30: 0.885, 100: 0.888, 400: 0.885, 800: 0.885, 900: 0.885, 2000: 0.885, 1e4: 0.885, 1e6: 0.877},
}
