"""From Bayes to the Fisher information: log densities, Laplace's approximation, scores, importances."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from .. import _checks
from .style import RED, STEEL, TASK_B, Picture, array, canvas, literal, percent, styled


@styled
def terms(w1: Tensor, w2: Tensor, panels: Mapping[str, Tensor]) -> Picture:
    """Log densities over two weights side by side, each shaded from its own highest value; a cross marks that place.

    Args:
        w1, w2: axes of the grid, shapes (W,) and (H,).
        panels: name -> log density, (H, W).

    Raises:
        TypeError, ValueError: no panel, or one of another shape or with NaN.
    """
    size = len(_checks.axis("w2", w2)), len(_checks.axis("w1", w1))
    for name, values in _checks.named("panels", panels, Tensor, "a tensor of log densities").items():
        _checks.densities(f"panels[{name!r}]", values, *size)
    figure, axes = canvas(columns=len(panels), width=7.6, height=3.3, sharey=True)
    levels = [-200, -100, -50, -20, -8, -3, -1, 0]
    shade = colormaps["cividis"](np.linspace(0, 1, len(levels) - 1))
    peaks = []
    for axis, (name, values) in zip(axes, panels.items(), strict=True):
        relative = np.maximum(array(values - values.max()), levels[0])
        shades = axis.contourf(array(w1), array(w2), relative, levels=levels, colors=shade)
        row, column = divmod(int(values.argmax()), len(w1))
        x, y = float(w1[column]), float(w2[row])
        peaks.append(f"{name} peaks at ({x:.1f}, {y:.1f})")
        axis.plot(x, y, "X", ms=10, color="white", mec="black", label="peak", ls="none")
        axis.set_title(literal(name), fontsize=11)
        axis.set(xlabel="weight 1", aspect="equal")
    axes[0].set_ylabel("weight 2")
    figure.colorbar(shades, ax=axes, label="below the panel's peak", shrink=0.9)
    figure.legend(handles=axes[0].lines, loc="outside lower center")
    return Picture(figure, f"Log densities over two weights: {'; '.join(peaks)}.")


@styled
def laplace_frame(w: Tensor, log_density: Tensor, mode: float, precision: float, step: int, n: int) -> Picture:
    """Laplace's approximation of a density over one weight, as density (left) and log density (right).

    Args:
        w, log_density: the true curve, shape (N,), up to a constant.
        mode, precision: of the normal distribution that replaces it.
        step: 0 shows the density, 1 also its mode, 2 also the normal distribution.
        n: how many samples it stands on, for the title.

    Raises:
        TypeError, ValueError: curves of different lengths or with NaN, a precision that is not positive, or no such step.
    """
    _checks.densities("log_density", log_density, len(_checks.axis("w", w)))
    mode, precision = _checks.real_number("mode", mode, at_least=-np.inf), _checks.positive("precision", precision)
    n = _checks.whole_number("n", n, at_least=0)
    if _checks.whole_number("step", step, at_least=0) > 2:
        raise ValueError(f"step must be 0, 1 or 2, got {step}")
    figure, (left, right) = canvas(columns=2, width=7.6, height=3.5)
    spacing = float(w[1] - w[0])
    true_log = log_density - torch.logsumexp(log_density, 0) - np.log(spacing)
    normal_log = 0.5 * np.log(precision / (2 * np.pi)) - 0.5 * precision * (w - mode) ** 2
    for axis, transform in ((left, torch.exp), (right, lambda v: v)):
        axis.plot(array(w), array(transform(true_log)), color=TASK_B["color"], lw=3, label="true posterior")
        if step >= 1:
            axis.axvline(mode, color="black", lw=1, ls=":", label="mode")
        if step >= 2:
            axis.plot(array(w), array(transform(normal_log)), color=RED, ls="--", label="Laplace (normal)")
        axis.set_xlabel("weight 1")
    left.set(ylabel="density", title=f"{n} samples", ylim=(0, 1.15 * float(true_log.exp().max())))
    peak = float(true_log.max())
    right.set(ylabel="log density", title="the same, as logarithm", ylim=(peak - 12, peak + 1.5))
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    gap = 0.5 * float((true_log.exp() - normal_log.exp()).abs().sum()) * spacing
    words = [
        "the true posterior",
        f"and its mode at {mode:.2f}",
        f"and a normal density with standard deviation {precision**-0.5:.2f}",
    ]
    tail = f", which misplaces {percent(gap)} of the probability" if step == 2 else ""
    return Picture(figure, f"{n} samples: {' '.join(words[: step + 1])}{tail}.")


@styled
def score_histogram(scores: Mapping[str, Tensor]) -> Picture:
    """Distribution of the score d log p / d weight: the larger its mean square, the larger the Fisher information.

    Args:
        scores: name of the weight -> one score a sample or draw, (N,). All are counted, in bars of the same width.

    Raises:
        TypeError, ValueError: no scores, fewer than two samples, or NaN.
    """
    for name, values in _checks.named("scores", scores, Tensor, "a tensor (N,) of scores").items():
        if len(_checks.tensor(f"scores[{name!r}]", values, "N")) < 2:
            raise ValueError(f"scores[{name!r}] must hold at least two samples, for a variance, got 1")
    figure, axes = canvas(columns=len(scores), width=7, height=3.1, sharex=True, sharey=True)
    farthest = max(float(values.abs().max()) for values in scores.values()) or 1.0
    parts = []
    for axis, (name, values) in zip(axes, scores.items(), strict=True):
        axis.hist(array(values), bins=41, range=(-farthest, farthest), color=STEEL)
        variance = float(values.var())
        axis.set(xlabel=f"score of {literal(name)}", title=f"variance {variance:.3f}", yscale="log")
        parts.append(f"{name} has variance {variance:.2f}")
    axes[0].set_ylabel("scores in this bar (log scale)")
    axes[0].set_ylim(bottom=0.5)  # a single score is a bar, too
    return Picture(figure, f"Histograms of the score: {', '.join(parts)}.")


@styled
def importance_images(images: Mapping[str, Tensor]) -> Picture:
    """Importance of each input pixel, shape (H, W) each, on one common scale from 0; white means exactly zero.

    Raises:
        TypeError, ValueError: no image, another shape, NaN, negative values, or nothing but zeros.
    """
    for name, image in _checks.named("images", images, Tensor, "a tensor (H, W) of importances").items():
        if float(_checks.tensor(f"images[{name!r}]", image, "H", "W").min()) < 0:
            raise ValueError(f"images[{name!r}] must hold importances, none below 0, got {float(image.min()):g}")
    if not any(bool(image.any()) for image in images.values()):
        raise ValueError(f"images must hold an importance above 0 for the scale, got zeros only in {', '.join(images)}")
    figure, axes = canvas(columns=len(images), width=2.6 * len(images) + 0.9, height=3.0)
    top = max(float(image.max()) for image in images.values())
    zeros = []
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        shown = axis.imshow(np.ma.masked_equal(array(image), 0), cmap="cividis", vmin=0, vmax=top)
        axis.set(xticks=[], yticks=[], title=literal(name))
        zeros.append(f"{name}: {int((image == 0).sum())} of {image.numel()} pixels matter nothing")
    figure.colorbar(shown, ax=axes, label="Fisher information", shrink=0.85)
    return Picture(figure, f"Fisher information of the weights that start at each pixel. {'; '.join(zeros)}.")


@styled
def label_choices(tables: Mapping[str, Mapping[str, float]]) -> Picture:
    """Size of Fisher estimates relative to the exact one: panel -> {label choice: ratio of sums}.

    Raises:
        TypeError, ValueError: no panel, one without ratios, or ratios that are no numbers from 0 on.
    """
    for name, ratios in _checks.named("tables", tables, Mapping, "{label choice: ratio}").items():
        for label, ratio in _checks.named(f"tables[{name!r}]", ratios, object, "its ratio to the exact one").items():
            _checks.real_number(f"tables[{name!r}][{label!r}]", ratio, at_least=0.0)
    top = max(float(ratio) for ratios in tables.values() for ratio in ratios.values())
    figure, axes = canvas(columns=len(tables), width=7.4, height=3.3, sharey=True)
    parts = []
    for axis, (name, ratios) in zip(axes, tables.items(), strict=True):
        colors = ["black" if label == "exact" else STEEL for label in ratios]
        words = [f"{literal(label)}\n{ratio:.2f}" for label, ratio in ratios.items()]
        axis.bar(words, list(ratios.values()), color=colors)
        axis.axhline(1, color="black", lw=1, ls=":")
        axis.set(title=literal(name), ylim=(0, max(1.25, 1.15 * top)))
        parts.append(f"{name}: " + ", ".join(f"{label} {ratio:.2f}" for label, ratio in ratios.items()))
    axes[0].set_ylabel("sum of F, relative to exact")
    return Picture(figure, f"Size of each estimate relative to the exact Fisher information. {'; '.join(parts)}.")
