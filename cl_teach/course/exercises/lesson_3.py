"""Exercises of lesson 3, what matters: from Bayes to the Fisher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..._weights import Named
from ...fisher import diagonal_fisher
from ...tasks import Split
from ..pitfalls import arg_max_label, squared_batch_mean, weighted_by_probability
from .exercise import Exercise, Function, Wrong
from .lesson_2 import normal

EXERCISES: dict[str, Exercise] = {}


def _one_output(generator: torch.Generator) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Small networks whose only output is the logit of label 1, with inputs and labels."""

    def case(n: int, *widths: int) -> tuple[nn.Module, Tensor, Tensor]:
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Linear(wide, narrow, dtype=torch.float64), nn.Tanh()]
        network = nn.Sequential(*layers[:-1])
        for p in network.parameters():
            p.data = normal(generator, *p.shape)
        y = torch.randint(2, (n,), generator=generator)
        y[:2] = torch.tensor([0, 1])
        return network, normal(generator, n, widths[0]), y

    return [case(7, 3, 4, 1), case(9, 2, 3, 3, 1)]


class _TwoLogits(nn.Module):
    """The same network as a classifier of two classes: the logit of label 0 is 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.network(x)
        return torch.cat([torch.zeros_like(z), z], dim=1)


def _package_fisher(model: nn.Module, x: Tensor, y: Tensor, labels: str = "exact") -> Named:
    found = diagonal_fisher(_TwoLogits(model), Split(x, y), labels)
    return {name.removeprefix("network."): f for name, f in found.items()}


def _by_sample(combine: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[nn.Module, Tensor, Tensor], Named]:
    """A function like the one that is asked, which combines p (N, 1), y (N, 1) and dz / dtheta (N, ...) in its own way."""

    def fisher(model: nn.Module, x: Tensor, y: Tensor) -> Named:
        z = [model(sample)[0, 0] for sample in x.split(1)]
        p, theta = torch.stack(z).sigmoid().detach(), dict(model.named_parameters())
        slopes = zip(*(torch.autograd.grad(one, list(theta.values())) for one in z), strict=True)
        flat = [torch.stack(slope).flatten(1) for slope in slopes]
        found = [combine(p[:, None], y[:, None].to(p), slope) for slope in flat]
        return {name: f.view_as(t) for (name, t), f in zip(theta.items(), found, strict=True)}

    return fisher


def _without_graph(answer: Callable[..., Any], model: nn.Module, x: Tensor, y: Tensor) -> Any:
    found = answer(model, x, y)
    if isinstance(found, Mapping) and any(isinstance(f, Tensor) and f.requires_grad for f in found.values()):
        raise Wrong(
            "the result still hangs on the graph of its derivatives, and would pull it along into every loss; cut it off"
        )
    return found


EXERCISES["3.1"] = Function(
    task="write my_fisher(model, x, y), the diagonal Fisher of a network whose one output is the logit of "
    "label 1: parameter name -> tensor.",
    cases=_one_output,
    right=_package_fisher,
    used=_without_graph,
    mistakes=[
        (
            _by_sample(lambda p, y, g: ((y - p) * g).square().mean(0)),
            "this takes the labels of the data; whose labels does the Fisher ask for?",
        ),
        (
            _by_sample(lambda p, y, g: (((p > 0.5).double() - p) * g).square().mean(0)),
            "this takes the more likely label as the only one; the other has its probability, too",
        ),
        (
            _by_sample(lambda p, y, g: ((y - p) * g).mean(0).square()),
            "this takes the mean over samples first and the square after; the gradients have cancelled by then",
        ),
        (
            _by_sample(lambda p, y, g: ((y - p) * g).sum(0).square()),
            "this takes the sum over samples first and the square after; the gradients have cancelled by then",
        ),
        (
            _by_sample(lambda p, y, g: torch.zeros_like(g[0])),
            "all is zero: the mean over both labels was taken before the square, or without one",
        ),
        (
            _by_sample(lambda p, y, g: (p * (1 - p) * g**2).sum(0)),
            "a sum over samples, and a mean is asked: with more data it would grow",
        ),
        (
            _by_sample(lambda p, y, g: ((1 - p) ** 2 * g**2 + p**2 * g**2).mean(0)),
            "the squares of both labels are there, but they are just added: how often does the model expect each of them?",
        ),
        (
            _by_sample(lambda p, y, g: ((1 - p) ** 2 * g**2 + p**2 * g**2).mean(0) / 2),
            "both labels count alike here; the model does not expect both alike",
        ),
        (
            _by_sample(lambda p, y, g: (g**2).mean(0)),
            "this is the square of the output's own derivative; the probabilities of the labels are missing",
        ),
        (
            _by_sample(lambda p, y, g: (p * g**2).mean(0)),
            "one of the two labels is missing, or its gradient: each label has a gradient and a probability",
        ),
        (_by_sample(lambda p, y, g: (p * (1 - p) ** 2 * g**2).mean(0)), "only label 1 is taken; what of label 0?"),
        (_by_sample(lambda p, y, g: ((1 - p) * p**2 * g**2).mean(0)), "only label 0 is taken; what of label 1?"),
        (
            _by_sample(lambda p, y, g: (p * (1 - p) * g).square().mean(0)),
            "the probabilities are squared along with the gradients; they are weights of squares",
        ),
        (_by_sample(lambda p, y, g: (p * (1 - p) * g).mean(0)), "the square of the derivative is missing"),
        (_by_sample(lambda p, y, g: (p * (1 - p) * g.abs()).mean(0)), "a size is not a square"),
        (_by_sample(lambda p, y, g: -(p * (1 - p) * g**2).mean(0)), "a mean of squares cannot be negative"),
    ],
    hint="for each sample and each of the two labels: what is the gradient of its log-probability, and how "
    "likely does the model hold it?",
)


def _counts(generator: torch.Generator) -> list[tuple[int, int, int]]:
    drawn = torch.randint(3, 50, (4, 3), generator=generator).tolist()
    return [(batch * b + a * 7 + 1000, batch * b, batch) for a, b, batch in drawn]


EXERCISES["3.2"] = Function(
    task="other code minimises, batch by batch of B, the SUM of the losses + c * sum(S * (theta - "
    "theta_A)**2), where S SUMS the squares "
    "over A's samples; write bayes_c(n_a, n_b, batch).",
    cases=_counts,
    right=lambda n_a, n_b, batch: batch / (2 * n_b),
    mistakes=[
        (lambda n_a, n_b, batch: n_a / n_b, "this is for means on both sides; here both are sums"),
        (lambda n_a, n_b, batch: n_a / (2 * n_b), "this is for means on both sides; here both are sums"),
        (lambda n_a, n_b, batch: batch * n_a / (2 * n_b), "A's samples are counted twice: what is S already?"),
        (
            lambda n_a, n_b, batch: batch * n_a / n_b,
            "A's samples are counted twice: what is S already? And what stands in front of Laplace's quadratic?",
        ),
        (lambda n_a, n_b, batch: batch / n_b, "nearly: what stands in front of Laplace's quadratic?"),
        (
            lambda n_a, n_b, batch: 2 * batch / n_b,
            "a factor is on the wrong side: what stands in front of Laplace's quadratic?",
        ),
        (lambda n_a, n_b, batch: 1 / (2 * n_b), "this is for the mean over a batch; theirs is a sum"),
        (
            lambda n_a, n_b, batch: 1 / n_b,
            "this is for the mean over a batch; theirs is a sum. And what stands in front of Laplace's quadratic?",
        ),
        (
            lambda n_a, n_b, batch: 0.5,
            "this is right if one batch held all of B; a small batch has less to say, and the penalty is always there in full",
        ),
        (lambda n_a, n_b, batch: 1.0, "how much of B does one batch hold? And what stands in front of Laplace's quadratic?"),
        (
            lambda n_a, n_b, batch: n_b / (2 * batch),
            "upside down: the smaller the part of B in a batch, the smaller a part of A's penalty belongs to it",
        ),
        (
            lambda n_a, n_b, batch: n_b / batch,
            "upside down: the smaller the part of B in a batch, the smaller a part of A's penalty belongs to it; "
            "and the quadratic has a factor",
        ),
        (lambda n_a, n_b, batch: batch / (2 * n_a), "the batch is a part of B's data, not of A's"),
        (
            lambda n_a, n_b, batch: batch / n_a,
            "the batch is a part of B's data, not of A's; and what stands in front of Laplace's quadratic?",
        ),
        (lambda n_a, n_b, batch: batch / 2, "how large a part of B is one batch?"),
    ],
    hint="write down minus the log posterior with all its sums; which part of its first term does one batch see?",
)

# --- the saboteur -----------------------------------------------------------------------------------------------------

NAMES = {
    "exact": "all labels, weighted by the model's probabilities: the Fisher information",
    "uniform": "all labels, each counted the same",
    "sample": "one label, drawn from the model",
    "true": "the label of the data, sample by sample",
    "weighted": "the label of the data, its square times its probability",
    "predicted": "the most likely label",
    "batch means": "the label of the data, but the mean over a batch is taken before the square",
}
EXPERIMENTS = {  # what would speak for each of them
    "exact": "Then labels of the data would make no difference, and one sample alone would give the same "
    "as all its labels do: try both",
    "uniform": "Then it would be large where the network is very sure of a label: multiply its last layer by 10",
    "sample": "Then one sample alone would give the square for a single label, not always the same over "
    "different samples: compare with each label's own",
    "true": "Then other labels of the data would change it, and two samples would give the mean of what "
    "each gives alone: try both",
    "weighted": "Then a label that the network holds for nearly impossible would give next to nothing: try one",
    "predicted": "Then labels of the data would make no difference, and where the network is very sure "
    "next to nothing would be left: try both",
    "batch means": "Then two samples would not give the mean of what each gives alone: try it",
}
_SUSPECTS: dict[str, tuple[str, Callable[[nn.Module, Split], Named]]] = {
    "P": ("predicted", arg_max_label),
    "Q": ("batch means", squared_batch_mean),
    "R": ("weighted", weighted_by_probability),
    "S": ("exact", diagonal_fisher),
    "T": ("true", lambda model, data: diagonal_fisher(model, data, "true")),
}


def boxed(inside: Callable[[nn.Module, Split], Named]) -> Callable[[nn.Module, Split], Named]:
    """The same function under a name that says nothing, for data of any type and on any device."""

    def suspect(model: nn.Module, data: Split) -> Named:
        weight = next(model.parameters())
        return inside(model, data.to(weight.device, weight.dtype))

    return suspect


def suspects() -> dict[str, Callable[[nn.Module, Split], Named]]:
    """Five functions that all say they compute a diagonal Fisher, by letter; one of them does (exercise 3.3).

    Each takes a model and a :class:`cl_teach.Split`, and gives a dict like ``cl.diagonal_fisher``.
    """
    return {letter: boxed(inside) for letter, (_, inside) in _SUSPECTS.items()}


@dataclass(frozen=True)
class Suspects(Exercise):
    """A name for each suspect is asked, as a dict.

    Args:
        truth: letter -> name.
        experiments: each name that may be given -> what would speak for it.
    """

    truth: Mapping[str, str]
    experiments: Mapping[str, str]

    def wrong(self, answer: Any, generator: torch.Generator) -> str:
        if not isinstance(answer, Mapping) or set(answer) != set(self.truth):
            raise Wrong(f"answer with a dict that says something of each of {', '.join(self.truth)}")
        known = self.experiments
        if strange := [name for name in answer.values() if not isinstance(name, str) or name not in known]:
            raise Wrong(f"{strange[0]!r} is none of {', '.join(map(repr, known))}"[:300])
        wrong = [letter for letter, name in self.truth.items() if answer[letter] != name]
        if not wrong:
            return ""
        first, others = wrong[0], f" (Nor is all right with {', '.join(wrong[1:])})" if wrong[1:] else ""
        return f"{first} is not {answer[first]!r}. {known[answer[first]]}{others}"


EXERCISES["3.3"] = Suspects(
    task='name what each of suspects() computes, such as {"P": "true", ...}.',
    truth={letter: name for letter, (name, _) in _SUSPECTS.items()},
    experiments=EXPERIMENTS,
)
