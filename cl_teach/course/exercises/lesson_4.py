"""Exercises of lesson 4, elastic weight consolidation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..._weights import Named
from ...penalties import EWC
from ...tasks import Split
from ...training import train
from .exercise import Exercise, Function, Wrong, numbers
from .lesson_2 import draw, normal

EXERCISES: dict[str, Exercise] = {}
RECIPE: dict[str, Any] = {"epochs": 8, "lr": 0.05, "momentum": 0.9}  # one batch an epoch


def _consolidated(generator: torch.Generator) -> list[tuple[Any, ...]]:
    """Networks that have learnt something and moved a little since: model, x, y, precision, anchor, strength."""

    def case(n: int, *widths: int) -> tuple[Any, ...]:
        first, second = (nn.Linear(*pair, dtype=torch.float64) for pair in pairwise(widths))
        model = nn.Sequential(first, nn.Tanh(), second)
        for p in model.parameters():
            p.data = normal(generator, *p.shape)
        y = torch.randint(widths[-1], (n,), generator=generator)
        penalty = EWC()
        penalty.consolidate(model, Split(normal(generator, 3 * n, widths[0]), y.repeat(3)))
        for p in model.parameters():
            p.data += 0.5 * normal(generator, *p.shape)
        return model, normal(generator, n, widths[0]), y, penalty.precision, penalty.anchor, draw(generator, 3.0, 6.0)

    return [case(12, 4, 5, 3), case(10, 3, 4, 2)]


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _with_package(
    model: nn.Module, x: Tensor, y: Tensor, precision: Named, anchor: Named, strength: float
) -> tuple[Tensor, Tensor]:
    """The loss at the start and the weights after training, as cl_teach makes them."""
    penalty = EWC()
    penalty.precision, penalty.anchor, penalty.n_tasks = precision, anchor, 1
    loss = cross_entropy(model(x), y) + strength / 2 * penalty(model)
    train(model, Split(x, y), penalty=penalty, strength=strength, step="gradient", batch_size=len(x), progress=False, **RECIPE)
    return loss.detach(), _flat(model)


def _with_loss(answer: Callable[..., Any], model: nn.Module, *rest: Any) -> tuple[Tensor, Tensor]:
    """The same with the student's loss; the model that was given stays as it is."""
    learner = copy.deepcopy(model)
    optimiser = torch.optim.SGD(learner.parameters(), RECIPE["lr"], RECIPE["momentum"])
    first = None
    with torch.enable_grad():
        for _ in range(RECIPE["epochs"]):
            loss = answer(learner, *rest)
            value = numbers(loss)
            if value.numel() != 1:
                raise Wrong("a loss is one number, and this is one for each of several weights; what becomes of them?")
            if not isinstance(loss, Tensor) or not loss.requires_grad:
                raise Wrong(
                    "the loss is a plain number from which no gradient flows back; it has to stay a tensor that knows "
                    "where it came from"
                )
            first = value if first is None else first
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
    assert first is not None
    return first, _flat(learner)


def _loss(penalty: Callable[[Tensor, Tensor, Tensor], Tensor], scale: float = 0.5, on_b: float = 1.0) -> Callable[..., Tensor]:
    """A loss on B and the sum over parameters of some penalty(F, theta, anchor), times strength * scale."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, precision: Named, anchor: Named, strength: float) -> Tensor:
        total = torch.stack([penalty(precision[name], p, anchor[name]) for name, p in model.named_parameters()]).sum()
        return on_b * cross_entropy(model(x), y) + scale * strength * total

    return loss


def _right(f: Tensor, p: Tensor, m: Tensor) -> Tensor:
    return (f * (p - m) ** 2).sum()


def _last_only(model: nn.Module, x: Tensor, y: Tensor, precision: Named, anchor: Named, strength: float) -> Tensor:
    *_, (name, p) = model.named_parameters()
    return cross_entropy(model(x), y) + strength / 2 * _right(precision[name], p, anchor[name])


def _no_strength(model: nn.Module, x: Tensor, y: Tensor, precision: Named, anchor: Named, strength: float) -> Tensor:
    return _loss(_right)(model, x, y, precision, anchor, 1.0)


def _no_strength_no_half(model: nn.Module, x: Tensor, y: Tensor, precision: Named, anchor: Named, strength: float) -> Tensor:
    return _loss(_right)(model, x, y, precision, anchor, 2.0)


EXERCISES["4.1"] = Function(
    task="write ewc_loss(model, x, y, precision, anchor, strength), the whole loss of EWC on a batch of B; "
    "the check trains with it.",
    cases=_consolidated,
    right=_with_package,
    used=_with_loss,
    mistakes=[
        (lambda model, x, y, *_: cross_entropy(model(x), y), "this is the loss on B alone"),
        (
            _loss(lambda f, p, m: _right(f, p.detach(), m)),
            "the value is right, but no gradient flows through the penalty: it is cut off from the weights, and "
            "training does not feel it",
        ),
        (_loss(lambda f, p, m: ((p - m) ** 2).sum()), "all weights count alike: this is L2"),
        (_loss(lambda f, p, m: (f * p**2).sum()), "this pulls towards zero; where do the weights belong?"),
        (_loss(_right, scale=1.0), "the penalty is twice too large: how is the strength defined here?"),
        (_loss(_right, scale=0.25), "the penalty is half of what it should be"),
        (_loss(_right, scale=-0.5), "the penalty is subtracted: straying is rewarded"),
        (_loss(_right, on_b=0.0), "only the penalty is there; B is not learnt"),
        (_no_strength, "the strength makes no difference here"),
        (_no_strength_no_half, "the strength makes no difference here, and the factor in front of it is missing"),
        (
            _loss(lambda f, p, m: (f * (p - m) ** 2).mean()),
            "each tensor's mean is taken for its sum: a weight in a large tensor is held less",
        ),
        (_loss(lambda f, p, m: _right(f**2, p, m)), "the importance is squared; it is made of squares already"),
        (_loss(lambda f, p, m: _right(f.sqrt(), p, m)), "the root of the importance is taken; only the distance has a power"),
        (_loss(lambda f, p, m: (f * (p - m)).sum()), "the square of the distance is missing: straying to one side is rewarded"),
        (_loss(lambda f, p, m: (f * (p - m).abs()).sum()), "the distance enters as it is, without its square"),
        (
            _loss(lambda f, p, m: f.sum() * ((p - m) ** 2).sum()),
            "importances and distances are added up apart; each weight's own two belong together",
        ),
        (_last_only, "only the last parameter is held: is the sum begun anew for each of them?"),
    ],
    hint="it begins with the ordinary loss on the batch, and goes on with one sum over all weights of all parameters",
)


def _quadratics(generator: torch.Generator) -> list[tuple[Tensor, ...]]:
    def case(*shape: int) -> tuple[Tensor, ...]:
        f1, f2 = (0.1 + torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        f1.view(-1)[:2], f2.view(-1)[1:3] = 0.0, 0.0  # of none of them, of one of them, of both of them
        return f1, normal(generator, *shape), f2, normal(generator, *shape)

    return [case(8), case(3, 4)]


def _where_it_matters(answer: Callable[..., Any], f1: Tensor, m1: Tensor, f2: Tensor, m2: Tensor) -> Any:
    """What the answer gives; where both importances are 0 any number will do, but it must be one."""
    free = f1 + f2 == 0
    found = numbers(answer(f1, m1, f2, m2))
    return found if found.shape != free.shape else torch.where(free & found.isfinite(), 0.0, found)


def _merged(f1: Tensor, m1: Tensor, f2: Tensor, m2: Tensor) -> Tensor:
    return ((f1 * m1 + f2 * m2) / (f1 + f2)).nan_to_num()


EXERCISES["4.2"] = Function(
    task="write merged_anchor(F1, m1, F2, m2), the anchor of the one quadratic that two EWC penalties add up to.",
    cases=_quadratics,
    right=_merged,
    used=_where_it_matters,
    mistakes=[
        (
            lambda f1, m1, f2, m2: (f1 * m1 + f2 * m2) / (f1 + f2),
            "right, but for weights that matter to neither task: look at what comes out there",
        ),
        (lambda f1, m1, f2, m2: (m1 + m2) / 2, "this is halfway; it should be nearer to the one that is held more firmly"),
        (
            lambda f1, m1, f2, m2: (f2 * m1 + f1 * m2) / (f1 + f2),
            "it is nearer to the one that is held less firmly (and look at weights that matter to neither)",
        ),
        (lambda f1, m1, f2, m2: _merged(f2, m1, f1, m2), "it is nearer to the one that is held less firmly"),
        (
            lambda f1, m1, f2, m2: f1 * m1 + f2 * m2,
            "two equal anchors would not give the same anchor again: the counts of this mean do not add up to one",
        ),
        (
            lambda f1, m1, f2, m2: (f1 * m1 + f2 * m2) / 2,
            "two equal anchors would not give the same anchor again: by what has one to divide, if not by the number of tasks?",
        ),
        (
            lambda f1, m1, f2, m2: m2,
            "this is the latest anchor, as online EWC keeps it; the sum of two penalties remembers both",
        ),
        (lambda f1, m1, f2, m2: m1, "this is the first anchor; the second pulls as well"),
        (lambda f1, m1, f2, m2: m1 + m2, "a place between the two is asked; this is their sum"),
        (lambda f1, m1, f2, m2: ((f1 * m1 - f2 * m2) / (f1 - f2)).nan_to_num(), "both pull towards their anchors: a sign"),
        (
            lambda f1, m1, f2, m2: _merged(f1**2, m1, f2**2, m2),
            "the importances are squared: which of the two factors has the square in a penalty?",
        ),
        (
            lambda f1, m1, f2, m2: _merged(f1.sum() + 0 * f1, m1, f2.sum() + 0 * f2, m2),
            "all weights get the same mixture; each has importances of its own",
        ),
        (lambda f1, m1, f2, m2: torch.where(f2 > f1, m2, m1), "the more important one takes all; in a sum both pull"),
    ],
    hint="where is the sum of the two quadratics lowest? Write its gradient and see where it is zero, one weight at a time",
)


def _settings(generator: torch.Generator) -> list[tuple[float, ...]]:
    return [
        (draw(generator, 0.01, 0.1), draw(generator, 0.3, 0.95), draw(generator, 1.5, 3.0), draw(generator, 3.0, 9.0))
        for _ in range(4)
    ]


EXERCISES["4.3"] = Function(
    task="B's loss has the curvature h in the most important weight, too; write limit_with_b(lr, momentum, F, h), "
    "the largest strength that the gradient step survives.",
    cases=_settings,
    right=lambda lr, momentum, F, h: (2 * (1 + momentum) / lr - h) / F,
    mistakes=[
        (lambda lr, b, F, h: 2 * (1 + b) / (lr * F), "B's own curvature makes no difference here"),
        (
            lambda lr, b, F, h: (2 * (1 + b) / lr + h) / F,
            "a steep B would allow a larger strength here; it takes some of the room away",
        ),
        (
            lambda lr, b, F, h: 2 * (1 + b) / (lr * F) - h,
            "h is a curvature of the loss, and is taken off from a strength here: what has to be added up first?",
        ),
        (lambda lr, b, F, h: 2 * (1 + b) / (lr * (F + h)), "the strength multiplies only one of the two curvatures"),
        (lambda lr, b, F, h: (2 * (1 - b) / lr - h) / F, "momentum damps the swings: it moves the limit the other way"),
        (
            lambda lr, b, F, h: (2 / (1 - b) / lr - h) / F,
            "this is how much farther a steady pull goes with momentum; a swing back and forth is another matter",
        ),
        (lambda lr, b, F, h: (2 / lr - h) / F, "momentum makes no difference here"),
        (
            lambda lr, b, F, h: ((1 + b) / lr - h) / F,
            "this is half of the room: a step may overshoot, if only by less than the weight was away",
        ),
        (lambda lr, b, F, h: (4 * (1 + b) / lr - h) / F, "this is twice the room"),
        (
            lambda lr, b, F, h: 2 * (1 + b) / lr - h,
            "this is the largest curvature that the penalty may have; which strength has it?",
        ),
        (lambda lr, b, F, h: (2 * (1 + b) / lr - h) / F**2, "the importance is squared"),
        (lambda lr, b, F, h: (2 * (1 + b) * lr - h) / F, "a larger step would allow a larger strength here"),
        (
            lambda lr, b, F, h: F / (2 * (1 + b) / lr - h),
            "the ratio is upside down: the more important the weight, the lower the limit",
        ),
    ],
    hint="what is the curvature of the whole loss in this weight? And how large may a curvature be, at this "
    "learning rate and momentum?",
)
