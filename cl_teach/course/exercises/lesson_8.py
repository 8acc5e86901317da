"""Exercises of lesson 8, the museum of mistakes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..._weights import Named
from ...fisher import diagonal_fisher
from ...tasks import Split
from ..pitfalls import arg_max_label, squared_batch_mean, weighted_by_probability
from ..versions import V2, V3
from .exercise import Exercise, Function
from .lesson_2 import normal
from .lesson_3 import Suspects, boxed

EXERCISES: dict[str, Exercise] = {}

# --- the detective ----------------------------------------------------------------------------------------------------

NAMES = {
    "exact": "all labels, weighted by the model's probabilities: the Fisher information",
    "sample": "one label for each image, drawn from the model",
    "true": "the label of the data, image by image",
    "predicted": "the most likely label",
    "weighted": "the label of the data, its square times its probability",
    "batch mean": "the square of each batch's mean gradient",
    "batch mean times size": "the same, times the number of images in the batch",
    "sum": "the gradients of all batches added up, and squared at the end",
}
EXPERIMENTS = {
    "exact": "Then other labels of the data would make no difference, and its sum would be that of cl.diagonal_fisher",
    "sample": "Then other labels of the data would make no difference, and its sum would be close to the right one",
    "true": "Then it would be larger with other labels than their own, and all images twice would change nothing",
    "predicted": "Then other labels of the data would make no difference, and its sum would be far below the right one",
    "weighted": "Then labels that the network holds for nearly impossible would leave next to nothing",
    "batch mean": "Then one image 128 times would give what it gives alone, and all images together a hundred times "
    "less than the right sum",
    "batch mean times size": "Then one image 128 times would give 128 times what it gives alone",
    "sum": "Then all images twice would give four times as much, for their gradients add up before the square",
}
_SUSPECTS: dict[str, tuple[str, Callable[[nn.Module, Split], Named]]] = {
    "U": ("weighted", weighted_by_probability),
    "V": ("batch mean times size", lambda model, data: V3(labels="true").importance(model, data, None)),
    "W": ("predicted", arg_max_label),
    "X": ("sum", lambda model, data: V2(mode="eval", batch_size=128).importance(model, data, None)),
    "Y": ("exact", diagonal_fisher),
    "Z": ("batch mean", squared_batch_mean),
}


def gallery() -> dict[str, Callable[[nn.Module, Split], Named]]:
    """Six functions that all say they compute a diagonal Fisher, by letter; one of them does (exercise 8.1).

    Each takes a model and a :class:`cl_teach.Split`, and gives a dict like ``cl.diagonal_fisher``. Where there are batches,
    they are of 128 images.
    """
    return {letter: boxed(inside) for letter, (_, inside) in _SUSPECTS.items()}


EXERCISES["8.1"] = Suspects(
    task='name the mistake of each of the six, such as {"U": "true", ...}.',
    truth={letter: name for letter, (name, _) in _SUSPECTS.items()},
    experiments=EXPERIMENTS,
)

# --- by hand ----------------------------------------------------------------------------------------------------------


def _gradients(generator: torch.Generator) -> list[tuple[Tensor, int]]:
    return [(normal(generator, 40, 5) + 0.7, 2 + k * 5) for k in range(3)]


EXERCISES["8.2"] = Function(
    task="write expected(g, B): what batches of B, the mean squared and times B, give on average.",
    cases=_gradients,
    right=lambda g, B: g.square().mean(0) + (B - 1) * g.mean(0).square(),
    mistakes=[
        (lambda g, B: g.square().mean(0), "this is what it should be; it is only that if the mean gradient is zero"),
        (lambda g, B: g.mean(0).square(), "this is the square of the mean of all: what is left if a batch holds everything"),
        (lambda g, B: B * g.mean(0).square(), "the mean of a batch is not the mean of all: it scatters around it"),
        (
            lambda g, B: g.square().mean(0) + B * g.mean(0).square(),
            "nearly: of the B times B products in the square of a sum, how many pair an image with another one?",
        ),
        (
            lambda g, B: g.square().mean(0) - g.mean(0).square(),
            "this is the variance of one image's gradient; the mean of a batch also has a square of its own",
        ),
        (
            lambda g, B: g.square().mean(0) / B + (B - 1) / B * g.mean(0).square(),
            "this is the square of the batch's mean; and then it is multiplied",
        ),
        (lambda g, B: B * g.square().mean(0), "this would be so if all gradients in a batch were equal"),
        (
            lambda g, B: g.square().mean(0) + (B - 1) * g.mean(0),
            "two different images are independent: what is the mean of a product then?",
        ),
    ],
    hint="write the square of a sum of B gradients as a sum of B times B products; how many are squares, and what is the "
    "mean of the others?",
)


def _slides(generator: torch.Generator) -> list[tuple[float, float, float, float, int]]:
    cases = []
    for epochs in (1, 2, 5):
        a, b, h, k = (float(v) for v in torch.rand(4, generator=generator, dtype=torch.float64) + 0.3)
        cases.append((a, b + 2, h, k, epochs))
    return cases


def _slid(a: float, b: float, h: float, k: float, epochs: int) -> float:
    return b + (a - b) * (k / (h + k)) ** epochs


EXERCISES["8.3"] = Function(
    task="write slides_to(a, b, h, k, epochs): where one weight ends whose anchor is set anew before each epoch.",
    cases=_slides,
    right=_slid,
    mistakes=[
        (lambda a, b, h, k, epochs: (h * b + k * a) / (h + k), "this is the end with a fixed anchor, whatever the epochs"),
        (lambda a, b, h, k, epochs: b, "this is where it is going; after a few epochs it has not arrived"),
        (lambda a, b, h, k, epochs: a, "this is where it starts; nothing would be learnt"),
        (
            lambda a, b, h, k, epochs: b + (a - b) * (k / (h + k)) ** (epochs - 1),
            "one epoch is missing: after the first one the weight is already at the weighted mean of a and b",
        ),
        (
            lambda a, b, h, k, epochs: b + (a - b) * (k / (h + k)) ** (epochs + 1),
            "one epoch too many: after the first one the weight is at the weighted mean of a and b",
        ),
        (
            lambda a, b, h, k, epochs: b + (a - b) * (h / (h + k)) ** epochs,
            "the parts are exchanged: with a larger k an epoch should lead less far",
        ),
        (
            lambda a, b, h, k, epochs: a + (b - a) * (h / (h + k)) ** epochs,
            "it would come back to a: what is left to go shrinks from epoch to epoch, not what has been gone",
        ),
        (
            lambda a, b, h, k, epochs: a + epochs * (b - a) * h / (h + k),
            "every epoch as far as the first? What is left to go becomes less",
        ),
    ],
    hint="where does the first epoch end? Which part of the way from a to b is left then, and after the second epoch?",
)


def _strengths(generator: torch.Generator) -> list[tuple[float, int]]:
    drawn = torch.rand(3, generator=generator, dtype=torch.float64) * 100 + 1
    return [(float(c), n) for c, n in zip(drawn, (1, 4, 20), strict=True)]


EXERCISES["8.4"] = Function(
    task="write paper_strength(c, n): the λ of the paper that this code has in effect.",
    cases=_strengths,
    right=lambda c, n: 2 * c * (n + 1) / n,
    mistakes=[
        (lambda c, n: c, "the paper has a factor in front of its λ, and the loop takes one image more than it divides by"),
        (lambda c, n: 2 * c, "the factor of the paper is there; how many images are summed, and by what is divided?"),
        (lambda c, n: c * (n + 1) / n, "the images are right; what stands in front of the λ of the paper?"),
        (lambda c, n: c / 2, "the factor of the paper is on the wrong side; and the loop takes one image too many"),
        (lambda c, n: c / 2 * (n + 1) / n, "the images are right; the factor of the paper is on the wrong side"),
        (lambda c, n: 2 * c * n / (n + 1), "too many images make their F too large, not too small"),
        (lambda c, n: 2 * c * (n + 1), "it is divided by n all the same"),
        (lambda c, n: 2 * c * (n + 2) / n, "with index > n the loop stops before which image? Count for n = 1"),
    ],
    hint="for n = 1: which images does the loop take, and by what does it divide? Then compare both penalties",
)
