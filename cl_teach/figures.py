"""Figures of the course, each with a text that says in words and rounded numbers what it shows.

One visual language throughout: task A grey, task B cream; no penalty a blue square, L2 a green triangle, EWC a red circle,
joint training a black star; task A on x. Markers and labels repeat what colours say.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image  # matplotlib's own way to PNG
from torch import Tensor

from . import _checks

if TYPE_CHECKING:
    from .landscapes import Line, Surface, Trace
    from .tasks import Task
    from .training import History, Run

METHODS: dict[str, dict[str, Any]] = {
    "none": {"color": "#0072B2", "marker": "s", "linestyle": ":", "label": "no penalty"},
    "L2": {"color": "#00795A", "marker": "^", "linestyle": "--", "label": "L2"},
    "EWC": {"color": "#C8320A", "marker": "o", "linestyle": "-", "label": "EWC"},
    "online EWC": {"color": "#E69F00", "marker": "D", "linestyle": "-.", "label": "online EWC"},
    "joint": {"color": "black", "marker": "*", "linestyle": (0, (1, 1)), "label": "joint training"},
}
TASK_A: dict[str, Any] = {"color": "#5F5F5F", "linestyle": "-"}
TASK_B: dict[str, Any] = {"color": "#B07D00", "linestyle": "--"}
TRUE_LOSS = LinearSegmentedColormap.from_list("true loss", colormaps["magma"](np.linspace(0.05, 0.8, 256)))
GREY, CREAM, BOTH = "#BDBDBD", "#F7E3A1", "#D9C36F"


class Picture:
    """A figure and the text that stands for it where it cannot be seen.

    Args:
        figure: drawn with matplotlib.
        alt: what it shows, in words and rounded numbers.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG, rendered once; the same drawing gives the same bytes."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        return _png(canvas)

    def save(self, path: str | Path) -> None:
        """Write the PNG to ``path``."""
        Path(path).write_bytes(self.png)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}


class Stage:
    """A figure whose still parts are drawn once; each picture then draws only the moving parts on top.

    Args:
        figure: finished, with the moving parts in it.
        moving: its artists made with ``animated=True``, in the order in which they are drawn.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        self._canvas, self._moving = FigureCanvasAgg(figure), list(moving)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        self._still = self._canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]

    def picture(self, alt: str) -> Picture:
        """The figure with its moving parts as they are now."""
        self._canvas.restore_region(self._still)  # type: ignore[no-untyped-call]
        for artist in self._moving:
            assert artist.axes is not None
            artist.axes.draw_artist(artist)
        picture = Picture(self._canvas.figure, alt)
        picture.png = _png(self._canvas)  # now, for the figure will move on
        return picture


def _png(canvas: FigureCanvasAgg) -> bytes:
    """What is on the canvas, in 256 colours: a third of the size, and written in a third of the time."""
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    image = Image.fromarray(np.ascontiguousarray(pixels)).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def canvas(
    columns: int = 1, width: float = 7.0, height: float = 3.9, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """An empty figure of ``width`` x ``height`` inches at 100 dots an inch, and its axes from left to right, top to bottom."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def _array(values: Tensor) -> Any:
    return values.detach().cpu().numpy()


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _accuracy_axis(axis: Axes, which: str = "y") -> None:
    (axis.set_ylim if which == "y" else axis.set_xlim)(0, 1)
    getattr(axis, which + "axis").set_major_formatter(lambda v, _: f"{100 * v:.0f} %")


# --- data -------------------------------------------------------------------------------------------------------------


def digits(tasks: Sequence[Task], n: int = 10) -> Picture:
    """The first training image of each of ``n`` classes, one row a task."""
    figure, axes = canvas(columns=n, rows=len(tasks), width=7, height=0.8 * len(tasks) + 0.2)
    for row, task in enumerate(tasks):
        for column, label in enumerate(range(n)):
            axis = axes[row * n + column]
            index = int((task.train.y == label).nonzero()[0])
            axis.imshow(_array(task.train.x[index, 0]), cmap="gray_r", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        axes[row * n].set_ylabel(task.name, rotation=0, ha="right", va="center")
    names = ", ".join(task.name for task in tasks)
    return Picture(figure, f"One picture of each digit 0 to {n - 1} in a row; {len(tasks)} rows, one a task: {names}.")


# --- training one task ----------------------------------------------------------------------------------------------------


def _draw_curves(axis: Axes, history: History, at: int | None, ceiling: float | None) -> None:
    for name, style in zip(history.watched, (TASK_A, TASK_B), strict=False):
        axis.plot(history.steps, history.accuracy(name), lw=2.2, label=f"task {name}", **style)
    if ceiling is not None:
        axis.axhline(ceiling, color="black", lw=1, ls=(0, (1, 1)))
        axis.annotate("joint training", (history.steps[len(history.steps) // 2], ceiling - 0.06), ha="center", fontsize=10)
    if at is not None:
        axis.axvline(history.steps[at], color="#0072B2", lw=1.5)
        for name, style in zip(history.watched, (TASK_A, TASK_B), strict=False):
            axis.plot(history.steps[at], history.accuracy(name)[at], "o", ms=9, color=style["color"], mec="black")
    axis.set(xlabel="training steps on task B", ylabel="test accuracy")
    axis.legend(loc="center right", frameon=False)
    _accuracy_axis(axis)


def learning_curves(history: History, ceiling: float | None = None) -> Picture:
    """Test accuracy of each watched task while training goes on; ``ceiling`` is what joint training reaches."""
    figure, (axis,) = canvas()
    _draw_curves(axis, history, None, ceiling)
    parts = [
        f"task {n} from {_percent(history.accuracy(n)[0])} to {_percent(history.accuracy(n)[-1])}" for n in history.watched
    ]
    top = "" if ceiling is None else f" Joint training reaches {_percent(ceiling)}."
    return Picture(figure, f"Test accuracy over {history.steps[-1]} training steps: {'; '.join(parts)}.{top}")


def forgetting_frame(history: History, at: int, images: Tensor, truth: Sequence[int], answers: Sequence[int]) -> Picture:
    """One moment of training: the curves with a mark at ``history.steps[at]``, and what the network then says of ``images``.

    Args:
        at: index into ``history.steps``.
        images: (N, 1, H, W), N even; ``truth`` and ``answers`` one label each.
    """
    columns = len(truth) // 2
    figure = Figure(figsize=(7.4, 3.6), dpi=100, layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    left, right = halves
    _draw_curves(left.subplots(), history, at, None)
    panels: Any = right.subplots(2, columns)
    for axis, image, true, said in zip(panels.flat, images, truth, answers, strict=True):
        right_answer = true == said
        axis.imshow(_array(image[0]), cmap="gray_r", interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"“{said}” {'✓' if right_answer else '✗'}", fontsize=12, color="black" if right_answer else "#C8320A")
    first, *others = history.watched
    right.suptitle(f"what the network says on task {first}", fontsize=10)
    correct = sum(t == s for t, s in zip(truth, answers, strict=True))
    state = ", ".join(f"task {n} {_percent(history.accuracy(n)[at])}" for n in (first, *others))
    return Picture(figure, f"After {history.steps[at]} steps on task B: {state}; {correct} of {len(truth)} shown digits right.")


# --- two weights ----------------------------------------------------------------------------------------------------------


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
        ends: method (a key of ``METHODS``) -> end point (2,).
        paths: method -> the way there, (steps, 2).
        start: task A's solution theta_A, (2,).
        rings: method -> a closed curve (points, 2), where that method's penalty is constant.
    """
    figure, (axis,) = canvas(width=5.6, height=5.0)
    for name, region, style in (("A", GREY, TASK_A), ("B", CREAM, TASK_B)):
        if name in losses:
            rise = _array(losses[name] - losses[name].min())
            axis.contourf(_array(w1), _array(w2), rise, levels=[0, 0.012], colors=[region], alpha=0.85)
            axis.contour(
                w1, w2, rise, levels=[0.012, 0.1, 0.3], colors=style["color"], linestyles=style["linestyle"], linewidths=1.2
            )
            row, column = divmod(int(losses[name].argmin()), len(w1))
            place: dict[str, Any] = {"xytext": (0, 26 if name == "B" else -34), "textcoords": "offset points"}
            axis.annotate(f"task {name}", (float(w1[column]), float(w2[row])), ha="center", color=style["color"], **place)
    for method, ring in (rings or {}).items():
        style = METHODS[method]
        axis.plot(*_array(ring.T), color=style["color"], lw=1.8, ls=style["linestyle"])
    for method, path in (paths or {}).items():
        axis.plot(*_array(path.T), color=METHODS[method]["color"], lw=2)
    if start is not None:
        axis.plot(*start.tolist(), "o", ms=8, color="white", mec="black", zorder=5)
        axis.annotate(
            r"$\theta_A$", tuple(start.tolist()), xytext=(-8, -4), textcoords="offset points", ha="right", fontsize=12
        )
    for method, end in ends.items():
        style = METHODS[method]
        axis.plot(
            *end,
            style["marker"],
            ms=15 if method == "joint" else 11,
            color=style["color"],
            mec="white",
            label=style["label"],
            zorder=6,
        )
    axis.set(xlabel="weight 1", ylabel="weight 2", aspect="equal", title=title)
    axis.set(xlim=(float(w1[0]), float(w1[-1])), ylim=(float(w2[0]), float(w2[-1])))
    if ends:
        axis.legend(loc="lower right", framealpha=0.9)
    places = [f"{METHODS[m]['label']} ends at ({float(e[0]):.1f}, {float(e[1]):.1f})" for m, e in ends.items()]
    if start is not None:
        places.insert(0, f"theta_A lies at ({float(start[0]):.1f}, {float(start[1]):.1f})")
    shown = " and ".join(losses)
    return Picture(figure, f"{title + ': ' if title else ''}loss surface of {shown} over two weights. {'; '.join(places)}.")


def circle(centre: Tensor, radius: float) -> Tensor:
    """101 points (101, 2) on the circle around ``centre``: where an L2 penalty is constant."""
    return ellipse(centre, torch.eye(2).to(centre), radius**2)


def ellipse(centre: Tensor, precision: Tensor, level: float) -> Tensor:
    """101 points w (101, 2) with (w - centre)^T precision (w - centre) = level; ``precision`` is (2, 2), positive definite.

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


# --- strengths ------------------------------------------------------------------------------------------------------------

Sweep = Mapping[float, tuple[float, float]]  # strength -> (accuracy on A, accuracy on B)


def _draw_frontier(
    axis: Axes, sweeps: Mapping[str, Sweep], joint: tuple[float, float] | None, at: tuple[str, float] | None
) -> None:
    for method, sweep in sweeps.items():
        style, points = METHODS[method], np.array(list(sweep.values()))
        axis.plot(points[:, 0], points[:, 1], color=style["color"], ls=style["linestyle"], lw=1.3)
        axis.plot(points[:, 0], points[:, 1], style["marker"], color=style["color"], ms=7, label=style["label"])
    if joint is not None:
        axis.plot(*joint, "*", ms=16, color="black", label="joint training")
    if at is not None:
        method, strength = at
        axis.plot(*sweeps[method][strength], METHODS[method]["marker"], ms=15, mfc="none", mec="black", mew=2)
    axis.set(xlabel="test accuracy on task A", ylabel="test accuracy on task B")
    axis.legend(loc="lower left", frameon=False)
    for which in "xy":
        _accuracy_axis(axis, which)
        getattr(axis, f"{which}axis").set_major_locator(_ticks())


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    return max(0.0, min(values) - 0.05), 1.0


def frontier(sweeps: Mapping[str, Sweep], joint: tuple[float, float] | None = None) -> Picture:
    """Stability against plasticity: accuracy on A (kept) against accuracy on B (learnt), one point a strength.

    Args:
        sweeps: method -> {strength: (accuracy on A, accuracy on B)}.
        joint: the same pair for joint training.
    """
    figure, (axis,) = canvas(width=5.6, height=4.6)
    _draw_frontier(axis, sweeps, joint, None)
    points = [p for sweep in sweeps.values() for p in sweep.values()]
    axis.set(xlim=_limits([p[0] for p in points]), ylim=_limits([p[1] for p in points]))
    parts = []
    for method, sweep in sweeps.items():
        best = max(sweep, key=lambda s, sweep=sweep: sum(sweep[s]))  # type: ignore[misc]
        a, b = sweep[best]
        parts.append(f"{method} is best at lambda {best:g} with A {_percent(a)}, B {_percent(b)}")
    top = "" if joint is None else f"; joint training reaches A {_percent(joint[0])}, B {_percent(joint[1])}"
    return Picture(figure, f"Accuracy on task A against accuracy on task B, one point a strength: {'; '.join(parts)}{top}.")


def strength_frame(
    sweeps: Mapping[str, Sweep], method: str, strength: float, joint: tuple[float, float] | None = None
) -> Picture:
    """One strength of one method: both accuracies over lambda with a mark, and the same point on the frontier."""
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.7)
    sweep = sweeps[method]
    positions, labels = range(len(sweep)), [strength_label(s) for s in sweep]
    for name, index, style, marker in (("A", 0, TASK_A, "o"), ("B", 1, TASK_B, "D")):
        left.plot(positions, [p[index] for p in sweep.values()], marker=marker, lw=2, label=f"task {name}", **style)
    left.axvline(list(sweep).index(strength), color=METHODS[method]["color"], lw=2)
    left.set(xlabel=f"strength λ of {METHODS[method]['label']}", ylabel="test accuracy")
    left.set_xticks(list(positions), labels, rotation=45, ha="right")
    left.legend(loc="lower center", frameon=False)
    _accuracy_axis(left)
    _draw_frontier(right, sweeps, joint, (method, strength))
    points = [p for s in sweeps.values() for p in s.values()]
    right.set(xlim=_limits([p[0] for p in points]), ylim=_limits([p[1] for p in points]))
    a, b = sweep[strength]
    return Picture(figure, f"{method} with lambda {strength:g}: task A {_percent(a)}, task B {_percent(b)}.")


def strength_label(strength: float) -> str:
    """A strength as a short label: 0, 0.03, 100, 10⁴."""
    if 1e4 <= strength < np.inf and abs(np.log10(strength) - round(np.log10(strength))) < 1e-9:
        return "10" + str(round(np.log10(strength))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{strength:g}"


def stability(average: Mapping[str, Mapping[float, float]], limit: float) -> Picture:
    """Mean accuracy over strengths for the two kinds of step ("gradient", "proximal"), with the gradient step's limit."""
    figure, (axis,) = canvas()
    styles: dict[str, dict[str, Any]] = {
        "gradient": {"color": "#0072B2", "marker": "X", "ls": ":"},
        "proximal": {"color": "#C8320A", "marker": "o", "ls": "-"},
    }
    for step, values in average.items():
        axis.plot(list(values), list(values.values()), lw=2, ms=8, label=f"{step} step", **styles[step])
    axis.axvline(limit, color="black", lw=1, ls="--")
    axis.annotate("2 (1 + momentum) / (lr · max F)", (limit, 0.04), xytext=(4, 0), textcoords="offset points", fontsize=10)
    axis.set(xscale="log", xlabel="strength λ", ylabel="mean accuracy on A and B")
    axis.legend(loc="center left", frameon=False)
    _accuracy_axis(axis)
    ends = [f"the {step} step ends at {_percent(list(v.values())[-1])}" for step, v in average.items()]
    return Picture(
        figure, f"Mean accuracy over lambda up to {max(average['proximal']):g}: {'; '.join(ends)}; its limit is {limit:.0f}."
    )


# --- from Bayes to the Fisher ---------------------------------------------------------------------------------------------


def terms(w1: Tensor, w2: Tensor, panels: Mapping[str, Tensor]) -> Picture:
    """Log densities over two weights side by side, each relative to its highest value; a cross marks that place."""
    figure, axes = canvas(columns=len(panels), width=7.6, height=3.0, sharey=True)
    levels = [-200, -100, -50, -20, -8, -3, -1, 0]
    shade = colormaps["cividis"](np.linspace(0, 1, len(levels) - 1))
    peaks = []
    for axis, (name, values) in zip(axes, panels.items(), strict=True):
        relative = _array(values - values.max())
        shades = axis.contourf(_array(w1), _array(w2), np.maximum(relative, levels[0]), levels=levels, colors=shade)
        row, column = divmod(int(values.argmax()), len(w1))
        peaks.append(f"{name} peaks at ({float(w1[column]):.1f}, {float(w2[row]):.1f})")
        axis.plot(float(w1[column]), float(w2[row]), "X", ms=10, color="white", mec="black")
        axis.set_title(name, fontsize=11)
        axis.set(xlabel="weight 1", aspect="equal")
    axes[0].set_ylabel("weight 2")
    figure.colorbar(shades, ax=axes, label="log density below its peak", shrink=0.9)
    return Picture(figure, f"Log densities over two weights: {'; '.join(peaks)}.")


def laplace_frame(w: Tensor, log_density: Tensor, mode: float, precision: float, step: int, n: int) -> Picture:
    """Laplace's approximation of a density over one weight, as density (left) and log density (right).

    Args:
        w, log_density: the true curve, shape (N,), up to a constant.
        mode, precision: of the normal distribution that replaces it.
        step: 0 shows the density, 1 also its mode, 2 also the normal distribution.
        n: how many samples it stands on, for the title.
    """
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.5)
    spacing = float(w[1] - w[0])
    true_log = log_density - torch.logsumexp(log_density, 0) - np.log(spacing)
    normal_log = 0.5 * np.log(precision / (2 * np.pi)) - 0.5 * precision * (w - mode) ** 2
    for axis, transform in ((left, torch.exp), (right, lambda v: v)):
        axis.plot(_array(w), _array(transform(true_log)), color="#B07D00", lw=3, label="true posterior")
        if step >= 1:
            axis.axvline(mode, color="black", lw=1, ls=":", label="mode")
        if step >= 2:
            axis.plot(_array(w), _array(transform(normal_log)), color="#C8320A", lw=2, ls="--", label="Laplace (normal)")
        axis.set_xlabel("weight 1")
    left.set(ylabel="density", title=f"{n} samples", ylim=(0, 1.15 * float(true_log.exp().max())))
    peak = float(true_log.max())
    right.set(ylabel="log density", title="the same, as logarithm", ylim=(peak - 12, peak + 1.5))
    right.legend(loc="lower center", frameon=False)
    gap = 0.5 * float((true_log.exp() - normal_log.exp()).abs().sum()) * spacing
    words = [
        "the true posterior",
        f"and its mode at {mode:.2f}",
        f"and a normal density with standard deviation {precision**-0.5:.2f}",
    ]
    tail = f", which misplaces {_percent(gap)} of the probability" if step == 2 else ""
    return Picture(figure, f"{n} samples: {' '.join(words[: step + 1])}{tail}.")


def score_histogram(scores: Mapping[str, Tensor]) -> Picture:
    """Distribution of the per-sample score d log p / d weight: the wider, the larger the Fisher information."""
    figure, axes = canvas(columns=len(scores), width=7, height=3.1, sharex=True, sharey=True)
    parts = []
    for axis, (name, values) in zip(axes, scores.items(), strict=True):
        axis.hist(_array(values), bins=41, range=(-3, 3), color="#56789A")
        variance = float(values.var())
        axis.set(xlabel=f"score of {name}", title=f"variance {variance:.3f}", yscale="log")
        parts.append(f"{name} has variance {variance:.2f}")
    axes[0].set_ylabel("samples")
    return Picture(figure, f"Histograms of the score: {', '.join(parts)}.")


def importance_images(images: Mapping[str, Tensor]) -> Picture:
    """Importance of each input pixel, shape (28, 28) each, on one common log scale; white means exactly zero."""
    figure, axes = canvas(columns=len(images), width=2.6 * len(images) + 0.9, height=3.0)
    top = max(float(image.max()) for image in images.values())
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        shown = axis.imshow(np.ma.masked_equal(_array(image), 0), cmap="cividis", norm=LogNorm(top * 1e-4, top))
        axis.set(xticks=[], yticks=[], title=name)
    figure.colorbar(shown, ax=axes, label="Fisher information", shrink=0.85)
    zeros = [f"{name}: {int((image == 0).sum())} of {image.numel()} pixels matter nothing" for name, image in images.items()]
    return Picture(figure, f"Fisher information of the weights that leave each pixel. {'; '.join(zeros)}.")


def label_choices(tables: Mapping[str, Mapping[str, float]]) -> Picture:
    """Size of Fisher estimates relative to the exact one: panel -> {label choice: ratio of sums}."""
    figure, axes = canvas(columns=len(tables), width=7.4, height=3.3, sharey=True)
    parts = []
    for axis, (name, ratios) in zip(axes, tables.items(), strict=True):
        bars = axis.bar(list(ratios), list(ratios.values()), color=["black", "#56789A", "#E69F00", "#C8320A"][: len(ratios)])
        axis.bar_label(bars, fmt="%.2f", padding=2)
        axis.axhline(1, color="black", lw=1, ls=":")
        axis.set(title=name, ylim=(0, 1.25))
        parts.append(f"{name}: " + ", ".join(f"{k} {v:.2f}" for k, v in ratios.items()))
    axes[0].set_ylabel("sum of F, relative to exact")
    return Picture(figure, f"Size of each estimate relative to the exact Fisher information. {'; '.join(parts)}.")


# --- sequences ------------------------------------------------------------------------------------------------------------


def sequence(runs: Mapping[str, Run], joint: float | None = None) -> Picture:
    """Learning one task after another: mean accuracy over the tasks seen (left), and on the first task (right)."""
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.7, sharey=True)
    parts = []
    for method, run in runs.items():
        style, n = METHODS[method], len(run.accuracy)
        seen, marks = range(1, n + 1), {k: METHODS[method][k] for k in ("color", "marker", "linestyle")}
        left.plot(seen, _array(run.accuracy.nanmean(dim=1)), lw=2, ms=8, label=style["label"], **marks)
        right.plot(seen, _array(run.accuracy[:, 0]), lw=2, ms=8, **marks)
        parts.append(f"{style['label']} {_percent(run.average_accuracy)} (first task {_percent(float(run.accuracy[-1, 0]))})")
    if joint is not None:
        left.plot(n, joint, "*", ms=16, color="black", label="joint training")
        parts.append(f"joint training {_percent(joint)}")
    left.set(xlabel="tasks learnt", ylabel="test accuracy", title="mean over tasks seen", xticks=list(seen))
    right.set(xlabel="tasks learnt", title="first task", xticks=list(seen))
    left.legend(loc="lower left", frameon=False)
    _accuracy_axis(left)
    return Picture(figure, f"Mean accuracy after {n} tasks: {', '.join(parts)}.")


# --- landscapes of networks -----------------------------------------------------------------------------------------------

OFF_PLANE = 0.2  # a point is drawn hollow where more than this share of its distance from the start does not lie in the plane


def _levels(level: float) -> list[float]:
    return [level, 2 * level, 4 * level]


def _draw_regions(axis: Axes, surface: Surface, level: float) -> None:
    """Where the loss of A (grey), of B (cream) and of both (hatched) is at most ``level``, with the same lines for both."""
    xs, ys = _array(surface.xs), _array(surface.ys)
    losses = [_array(loss) for loss in surface.loss.values()]
    regions: list[tuple[Any, str, str | None]] = [(losses[0], GREY, None), *((loss, CREAM, None) for loss in losses[1:2])]
    if len(losses) > 1:
        regions.append((np.maximum(*losses[:2]), BOTH, "///"))
    for values, color, hatch in regions:
        if values.min() < level:
            region = axis.contourf(xs, ys, values, levels=[0, level], colors=[color], hatches=[hatch])
            region.set(edgecolor="#8F7A3A", linewidth=0)
    for (name, style), values in zip(zip(surface.loss, (TASK_A, TASK_B), strict=False), losses, strict=False):
        lines: dict[str, Any] = {"colors": style["color"], "linestyles": style["linestyle"], "linewidths": 1.1}
        shown = [v for v in _levels(level) if values.min() < v < values.max()]
        if shown:
            drawn = axis.contour(xs, ys, values, levels=shown, **lines)
            axis.clabel(drawn, [v for v in shown if v > level], fmt=lambda v, name=name: f"{_plain(name)} = {v:g}", fontsize=10)
        axis.fill(
            [], [], fc=GREY if style is TASK_A else CREAM, ec=style["color"], label=f"{_plain(name)}: loss below {level:g}"
        )
    if len(losses) > 1:
        axis.fill([], [], fc=BOTH, ec="#8F7A3A", hatch="///", label="both")
    axis.set(aspect="equal", xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
    axis.set(xlabel="distance between weights", ylabel="distance between weights")


def _names(surface: Surface, traces: Iterable[tuple[str, Trace]], level: float) -> list[str]:
    """The one or two tasks of the surface, after checking that every trace belongs to it."""
    _checks.real_number("level", level, at_least=1e-6)
    if min(len(surface.xs), len(surface.ys)) < 2:
        raise ValueError(f"surface must have two points or more along each axis, got {len(surface.xs)} and {len(surface.ys)}")
    names, found = list(surface.loss)[:2], list(traces)
    if not found:
        raise ValueError("traces must hold at least one path, got none")
    for method, trace in found:
        if method not in METHODS:
            raise ValueError(f"the methods of traces must be of {', '.join(METHODS)}, got {method!r}")
        if not set(names) <= set(trace.loss):
            known = ", ".join(trace.loss) or "nothing"
            raise ValueError(f"the trace of {method} must have watched {', '.join(names)}, got {known}; see watch= of train")
    return names


def _hollow(trace: Trace) -> Any:
    """Which points of a trace lie so far off the plane that what is drawn under them says little, (n,) bool."""
    gone = ((trace.x - trace.x[0]) ** 2 + (trace.y - trace.y[0]) ** 2 + trace.residual**2).sqrt()
    return _array(trace.residual > OFF_PLANE * gone.clamp(min=1e-12)) & _array(gone > 0)


def _far(distance: float) -> str:
    return f"{distance:.1f}" if 1 <= distance < 1000 else f"{distance:.2g}"


def _plain(name: str) -> str:
    """A name of the user's as it stands: not as a formula, and short enough for a legend."""
    return (name if len(name) <= 24 else name[:23] + "…").replace("$", r"\$")


def _halo() -> list[Any]:
    return [withStroke(linewidth=3, foreground="white")]


def _where(trace: Trace, names: Sequence[str], level: float, at: int = -1) -> str:
    """In words, by true losses: in which regions these weights lie."""
    inside = [name for name in names if float(trace.loss[name][at]) <= level]
    if len(inside) == len(names):
        return "in both regions" if len(names) == 2 else f"in {names[0]}'s region"
    return f"in {inside[0]}'s region only" if inside else f"outside {' and '.join(names)}"


def landscape(
    surface: Surface,
    traces: Mapping[str, Trace],
    level: float = 0.5,
    rings: Mapping[str, Tensor] | None = None,
    title: str = "",
) -> Picture:
    """Kirkpatrick's figure 1, measured: two tasks' loss over a plane, and the ways that training took from theta_A.

    Args:
        surface: loss over the plane of two tasks, A first.
        traces: method (a key of ``METHODS``) -> its way, which starts at theta_A and has watched the same two tasks. Dots and
            ends are coloured by the true loss on A, and hollow where they lie off the plane.
        level: a task's region is where its loss (nats) is at most this; lines follow at twice and four times that.
        rings: words for the legend -> a closed curve (points, 2) in the plane.
        title: above the picture.

    Raises:
        ValueError: no trace, one of an unknown method or without the surface's tasks, or a level that is not positive.

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), figure 1, which is a sketch.
    """
    names = _names(surface, traces.items(), level)
    figure, (axis,) = canvas(
        width=6.8, height=1.7 + min(7.0, 5.0 * float(np.ptp(_array(surface.ys)) / np.ptp(_array(surface.xs))))
    )
    _draw_regions(axis, surface, level)
    losses = torch.cat([trace.loss[names[0]] for trace in traces.values()])
    losses = losses[losses <= float(surface.loss[names[0]].max())]  # a path that diverged must not take the whole scale
    low, high = (float(losses.min()), float(losses.max())) if len(losses) else (0.0, 0.0)
    norm = Normalize(low, max(high, 2 * level))  # so that small differences look small
    words = []
    for k, (method, trace) in enumerate(traces.items()):
        style, hollow, x, y = METHODS[method], _hollow(trace), _array(trace.x), _array(trace.y)
        shades = TRUE_LOSS(norm(np.nan_to_num(_array(trace.loss[names[0]]), nan=np.inf, posinf=np.finfo(float).max)))
        width = max(1.6, 4.2 - 1.3 * k)  # the first lies below the others and shows beside them where ways are the same
        axis.plot(x, y, color=style["color"], lw=width, ls=style["linestyle"], zorder=4)
        faces = np.where(hollow[:, None], 1.0, shades)
        dots: dict[str, Any] = {"c": faces[1:-1], "edgecolors": shades[1:-1], "linewidths": 1.5}
        axis.scatter(x[1:-1], y[1:-1], s=32, marker=style["marker"], zorder=5, **dots)
        end: dict[str, Any] = {"marker": style["marker"], "zorder": 7, "ls": "none", "mec": style["color"], "mew": 2.6}
        axis.plot(x[-1], y[-1], ms=13, mfc=faces[-1], label=style["label"], **end)
        away = float(trace.residual[-1])
        note = f"{style['label']}\n({_far(away)} off the plane)" if hollow[-1] else str(style["label"])
        place = _free_place(surface, (x[-1], y[-1]), note, traces.values())
        axis.annotate(
            note, (x[-1], y[-1]), color=style["color"], path_effects=_halo(), textcoords="offset points", zorder=8, **place
        )
        moved = float(((trace.x[-1] - trace.x[0]) ** 2 + (trace.y[-1] - trace.y[0]) ** 2 + trace.residual[-1] ** 2).sqrt())
        off = f", {_far(away)} of it off the plane" if hollow[-1] else ""
        values = ", ".join(f"{name} {float(trace.loss[name][-1]):.2f}" for name in names)
        outside = (
            "" if surface.xs[0] <= x[-1] <= surface.xs[-1] and surface.ys[0] <= y[-1] <= surface.ys[-1] else " (not shown)"
        )
        words.append(f"{style['label']} moved {_far(moved)}{off}{outside}, true losses {values}, {_where(trace, names, level)}")
    first = next(iter(traces.values()))
    _mark_start(axis, first, TRUE_LOSS(norm(float(first.loss[names[0]][0]))))
    for (name, ring), line in zip((rings or {}).items(), cycle(("-", ":", "--", "-.")), strict=False):
        axis.plot(*_array(ring.T), color="#7A1FA2", lw=2, ls=line, label=name, zorder=3)
    axis.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.colorbar(
        ScalarMappable(norm, TRUE_LOSS), ax=axis, shrink=0.9, label=f"true loss on {_plain(names[0])}", ticks=_ticks()
    )
    seen = f"Loss of {' and '.join(names)} over a plane through weight space; regions of loss below {level:g}"
    extra = "".join(f" Outline: {name}." for name in rings or {})
    return Picture(figure, f"{title + ': ' if title else ''}{seen}. {'; '.join(words)}.{extra}")


def _free_place(surface: Surface, point: tuple[float, float], words: str, traces: Iterable[Trace]) -> dict[str, Any]:
    """Above, below, left or right of ``point``: where words cover least of the paths and stay on the map."""
    left, right, low, high = (float(v) for v in (surface.xs[0], surface.xs[-1], surface.ys[0], surface.ys[-1]))
    unit = (right - left) / 500  # about one dot
    half = 3.4 * unit * max(map(len, words.split("\n"))), 9.0 * unit * (1 + words.count("\n"))
    xs, ys = (np.concatenate([_array(v) for v in values]) for values in zip(*((t.x, t.y) for t in traces), strict=True))
    best, fewest = {}, np.inf
    for dx, dy in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        x, y = point[0] + dx * (half[0] + 14 * unit), point[1] + dy * (half[1] + 14 * unit)
        covered = float(((abs(xs - x) < half[0]) & (abs(ys - y) < half[1])).sum())
        covered += 100 * (x - half[0] < left or x + half[0] > right or y - half[1] < low or y + half[1] > high)
        if covered < fewest:
            ha, va = ("left", "center", "right")[1 - dx], ("bottom", "center", "top")[1 - dy]
            best, fewest = {"xytext": (13 * dx, 12 * dy), "ha": ha, "va": va}, covered
    return best


def _mark_start(axis: Axes, trace: Trace, color: Any = "black") -> None:
    x, y = float(trace.x[0]), float(trace.y[0])
    axis.plot(x, y, "o", ms=10, color=color, mec="black", mew=1.6, zorder=6)
    place: dict[str, Any] = {"xytext": (-9, -9), "textcoords": "offset points", "ha": "right", "zorder": 8}
    axis.annotate(r"$\theta_A$", (x, y), fontsize=13, path_effects=_halo(), **place)


class Journeys:
    """Any run at any of its steps: on the landscape, as two accuracies, and beside the frontier of all strengths.

    What stands still is drawn once; a frame then takes some ten milliseconds.

    Args:
        surface: loss over the plane of two tasks, A first.
        traces: (method, strength) -> its way from theta_A, all of the same steps; of "none" one will do.
        level: as for :func:`landscape`.

    Raises:
        ValueError: as for :func:`landscape`; or traces of different steps.
    """

    def __init__(self, surface: Surface, traces: Mapping[tuple[str, float], Trace], level: float = 0.5) -> None:
        self.names = _names(surface, ((method, trace) for (method, _), trace in traces.items()), level)
        self.traces, self.level = dict(traces), level
        self.steps = next(iter(self.traces.values())).steps
        if len(self.names) < 2:
            raise ValueError(f"surface must hold the losses of two tasks, got {', '.join(self.names)} only")
        if other := [trace.steps for trace in self.traces.values() if trace.steps != self.steps]:
            raise ValueError(f"traces must have the same steps, got {self.steps} and {other[0]}")
        self._free = next((trace for (method, _), trace in self.traces.items() if method == "none"), None)
        figure = Figure(figsize=(8.0, 4.5), dpi=100, layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.55, 1), height_ratios=(1, 1.7))
        land, bars, plane = (figure.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))
        _draw_regions(land, surface, level)
        _mark_start(land, next(iter(self.traces.values())))
        figure.legend(*land.get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False)
        land.set_title(" \n ", fontsize=11)  # room for what changes
        bars.set(xlim=(0, 1), ylim=(1.6, -0.6), title="test accuracy now")
        bars.set_yticks([])
        bars.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
        lasts: dict[str, dict[float, tuple[float, float]]] = {}
        for method, strength in sorted(self.traces, key=lambda key: (list(METHODS).index(key[0]), key[1])):
            trace = self.traces[method, strength]
            lasts.setdefault(method, {})[strength] = self._accuracies(trace, -1)
        _draw_frontier(plane, lasts, None, None)
        plane.set(xlabel=f"accuracy on {_plain(self.names[0])}", ylabel=f"accuracy on {_plain(self.names[1])}", ylim=(0, 1))
        plane.set_xlim(_limits([float(trace.accuracy[self.names[0]].min()) for trace in self.traces.values()]))
        plane.set_title("and where training ends, for all λ", fontsize=10)
        self._way = land.plot([], [], lw=2.4, animated=True)[0]
        self._point = land.plot([], [], ms=14, mew=2.6, ls="none", animated=True)[0]
        self._note = land.text(0.5, 1.02, "", transform=land.transAxes, ha="center", va="bottom", animated=True, fontsize=11)
        self._bars = bars.barh([0, 1], [1, 1], color=[GREY, CREAM], ec=[TASK_A["color"], TASK_B["color"]], animated=True)
        self._numbers = [bars.text(0.02, place, "", va="center", animated=True, fontsize=11) for place in (0, 1)]
        self._spot = plane.plot([], [], ms=15, mfc="none", mec="black", mew=2, ls="none", animated=True)[0]
        self._stage = Stage(figure, [self._way, self._point, self._note, *self._bars, *self._numbers, self._spot])

    def _accuracies(self, trace: Trace, at: int) -> tuple[float, float]:
        a, b = (float(trace.accuracy[name][at]) for name in self.names)
        return a, b

    def __call__(self, method: str, strength: float, step: int) -> Picture:
        """The frame of this method and strength after ``step`` training steps on B. Raises ValueError if there is none."""
        trace = self._free if method == "none" else self.traces.get((method, strength))
        if trace is None:
            there = ", ".join(f"{m} {strength_label(s)}" for m, s in self.traces)
            raise ValueError(f"there is no path of {method} with strength {strength:g}; there are {there}")
        if step not in self.steps:
            raise ValueError(f"step must be one of {self.steps}, got {step}")
        at, style = self.steps.index(step), METHODS[method]
        hollow, losses, pair = _hollow(trace)[at], [float(trace.loss[n][at]) for n in self.names], self._accuracies(trace, at)
        self._way.set(data=(_array(trace.x[: at + 1]), _array(trace.y[: at + 1])), color=style["color"], ls=style["linestyle"])
        face = "white" if hollow else style["color"]
        self._point.set(data=([float(trace.x[at])], [float(trace.y[at])]), marker=style["marker"], mec=style["color"], mfc=face)
        off = f"; {_far(float(trace.residual[at]))} off the plane" if hollow else ""
        ruled = f"{style['label']}, λ = {strength_label(strength)}{' does nothing' if method == 'none' else ''}"
        true = [f"{name} {loss:.2f}" for name, loss in zip(self.names, losses, strict=True)]
        short = [f"{_plain(name)} {loss:.2f}" for name, loss in zip(self.names, losses, strict=True)]
        self._note.set_text(f"{ruled}, step {step}\ntrue loss: {', '.join(short)}{off}")
        for name, bar, number, value in zip(self.names, self._bars, self._numbers, pair, strict=True):
            bar.set_width(value)
            number.set_text(f"{_plain(name)}: {_percent(value)}")
        self._spot.set(data=([pair[0]], [pair[1]]), marker=style["marker"])
        shown = ", ".join(f"{name} {_percent(value)}" for name, value in zip(self.names, pair, strict=True))
        alt = f"{ruled}, after {step} steps on {self.names[1]}: accuracy {shown}; true losses {', '.join(true)}, "
        return self._stage.picture(f"{alt}{_where(trace, self.names, self.level, at)}{off}.")


def _check_lines(lines: Mapping[str, Line], name: str | None) -> None:
    if not lines:
        raise ValueError("lines must hold at least one Line, as interpolate gives it, got none")
    for line in lines.values() if name is not None else ():
        _checks.one_of("name", name, [known for known in line.loss if known in line.full])


def truth_meter(lines: Mapping[str, Line], name: str = "A") -> Picture:
    """How much the loss truly rises on the way from theta_A, and how much the Fisher information had predicted.

    Args:
        lines: words for the direction -> what :func:`cl_teach.landscapes.interpolate` found there.
        name: of the data whose loss is shown.

    Raises:
        ValueError: no line, or one without this data.
    """
    _check_lines(lines, name)
    figure, axes = canvas(columns=len(lines), width=max(5.0, min(3.8 * len(lines), 10.2)), height=3.7)
    words = []
    for axis, (direction, line) in zip(axes, lines.items(), strict=True):
        away, rise = _array(line.t * line.distance), line.loss[name] - line.loss[name][0]
        curves = {"true rise": rise, "whole Fisher": line.full[name], "diagonal": line.diagonal[name]}
        styles: Sequence[dict[str, Any]] = (
            {"color": "black", "lw": 3},
            {"color": "#0072B2", "lw": 2, "ls": "--"},
            {"color": "#C8320A", "lw": 2, "ls": ":"},
        )
        for (what, values), style in zip(curves.items(), styles, strict=True):
            axis.plot(away, _array(values), label=f"{what}: {float(values[-1]):.2g}", **style)
        axis.set(xlabel=r"distance from $\theta_A$", title=direction)
        axis.legend(loc="upper left", frameon=False)
        ends = ", ".join(f"{what} {float(values[-1]):.2g}" for what, values in curves.items())
        words.append(f"{direction}, at distance {line.distance:.1f}: {ends}")
    axes[0].set_ylabel(f"rise of the loss on {_plain(name)} (nats)")
    return Picture(figure, f"Rise of the loss on {name} and two predictions. {'; '.join(words)}.")


def slices(lines: Mapping[str, Line], level: float | None = None, title: str = "") -> Picture:
    """Loss on the straight line between two solutions, for every data set that was measured there.

    Args:
        lines: words for where the line leads to -> what :func:`cl_teach.landscapes.interpolate` found.
        level: a line at this loss (nats).
        title: above the picture.

    Raises:
        ValueError: no line.
    """
    _check_lines(lines, None)
    if level is not None:
        _checks.real_number("level", level, at_least=0)
    figure, axes = canvas(columns=len(lines), width=max(5.0, 3.8 * len(lines)), height=3.6, sharey=True)
    words = []
    for axis, (end, line) in zip(axes, lines.items(), strict=True):
        others = cycle(({"color": "#0072B2", "linestyle": ":"}, {"color": "#C8320A", "linestyle": "-."}))
        for (name, losses), style in zip(line.loss.items(), chain((TASK_A, TASK_B), others), strict=False):
            axis.plot(_array(line.t * line.distance), _array(losses), lw=2.4, label=f"loss on {_plain(name)}", **style)
            first, last, top = float(losses[0]), float(losses[-1]), float(losses.max())
            words.append(f"to {end}, {name} from {first:.2f} to {last:.2f}, at most {top:.2f}")
        if level is not None:
            axis.axhline(level, color="black", lw=1, ls=(0, (1, 1)))
        axis.set(xlabel=r"distance from $\theta_A$", title=f"to {end}")
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("loss (nats)")
    axes[0].legend(loc="upper left", frameon=False)
    figure.suptitle(title, fontsize=11)
    return Picture(figure, f"{title + ': ' if title else ''}loss on straight lines from theta_A: {'; '.join(words)}.")


def surface_3d(surface: Surface, traces: Mapping[str, Trace], name: str, top: float = 2.0) -> Picture:
    """One task's loss as a mountain, seen from one side, with the ways of training at their true loss.

    Args:
        surface, traces: as for :func:`landscape`.
        name: the task whose loss is the height, cut off at ``top`` (nats).

    Raises:
        ValueError: the surface has no such task, or traces do not belong to it.
    """
    _checks.one_of("name", name, list(surface.loss))
    _names(replace(surface, loss={name: surface.loss[name]}, accuracy={name: surface.accuracy[name]}), traces.items(), 1.0)
    _checks.real_number("top", top, at_least=1e-6)
    figure, (axis,) = canvas(width=6.0, height=4.8, subplot_kw={"projection": "3d", "computed_zorder": False})
    xs, ys = np.meshgrid(_array(surface.xs), _array(surface.ys))
    height = np.minimum(_array(surface.loss[name]), top)
    solid: Any = axis
    solid.plot_surface(xs, ys, height, color="#D0D0D0", rcount=31, ccount=31, linewidth=0.3, edgecolor="#8A8A8A", zorder=1)
    words = []
    for method, trace in traces.items():
        style, true = METHODS[method], np.minimum(_array(trace.loss[name]), top)
        solid.plot(_array(trace.x), _array(trace.y), true, color=style["color"], lw=2, ls=style["linestyle"], zorder=5)
        end, off = ([float(trace.x[-1])], [float(trace.y[-1])], [true[-1]]), _hollow(trace)[-1]
        label = f"{style['label']}{' (off the plane)' if off else ''}"
        fill = {"mfc": "white", "mec": style["color"], "mew": 2} if off else {"mfc": style["color"], "mec": "white"}
        solid.plot(*end, style["marker"], ms=10, ls="none", label=label, zorder=6, **fill)
        words.append(f"{label} ends at {float(trace.loss[name][-1]):.2f}")
    first = next(iter(traces.values()))
    start = ([float(first.x[0])], [float(first.y[0])], [min(float(first.loss[name][0]), top)])
    solid.plot(*start, "o", ms=8, color="black", ls="none", label=r"$\theta_A$", zorder=6)
    solid.view_init(35, -125)  # elevation and azimuth in degrees: into the valley, from the side of theta_A
    solid.set(zlim=(0, top), xlabel="distance", ylabel="distance", zlabel=f"loss on {_plain(name)}")
    solid.set_aspect("equalxy")
    axis.legend(loc="upper left", frameon=False)
    return Picture(figure, f"Loss on {name} over a plane, as a surface seen from one side. {'; '.join(words)}.")
