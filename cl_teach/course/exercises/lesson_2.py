"""Exercises of lesson 2, holding still: the L2 penalty."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .exercise import Exercise, Function

EXERCISES: dict[str, Exercise] = {}


def draw(generator: torch.Generator, low: float, high: float) -> float:
    """A number between two, no nearer to either than a tenth of the way."""
    return low + (high - low) * (0.1 + 0.8 * float(torch.rand(1, generator=generator, dtype=torch.float64)))


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _steps(generator: torch.Generator) -> list[tuple[Any, ...]]:
    def case(*shape: int) -> tuple[Any, ...]:
        return (*(normal(generator, *shape) for _ in range(3)), draw(generator, 0.1, 0.5), draw(generator, 1.5, 4.0))

    return [case(5), case(3, 4), case(2)]


EXERCISES["2.1"] = Function(
    task="write l2_step(theta, anchor, gradient, lr, strength): the weights after one step of gradient "
    "descent with the penalty.",
    cases=_steps,
    right=lambda theta, anchor, gradient, lr, strength: theta - lr * (gradient + strength * (theta - anchor)),
    mistakes=[
        (lambda t, a, g, lr, s: t - lr * g, "the strength makes no difference here"),
        (
            lambda t, a, g, lr, s: t - lr * (g + s * t),
            "this pulls towards zero: it is weight decay, and nothing of task A is in it",
        ),
        (lambda t, a, g, lr, s: t - lr * (g + s * (a - t)), "the penalty pushes away from the anchor: a sign"),
        (lambda t, a, g, lr, s: t + lr * (g + s * (t - a)), "this walks uphill"),
        (
            lambda t, a, g, lr, s: t - lr * g - s * (t - a),
            "the pull of the penalty takes part in the step, so it is shortened like the rest",
        ),
        (
            lambda t, a, g, lr, s: t - lr * (g + 2 * s * (t - a)),
            "the penalty pulls twice as hard as it should: what stands in front of its sum?",
        ),
        (
            lambda t, a, g, lr, s: t - lr * (g + s / 2 * (t - a)),
            "the penalty pulls half as hard as it should: what does a square become?",
        ),
        (
            lambda t, a, g, lr, s: t - lr * (g + s * (t - a) / t.numel()),
            "the pull on a weight depends on how many there are: a mean for a sum",
        ),
        (
            lambda t, a, g, lr, s: t - lr * (g + s * (t - a).sum()),
            "all weights get the same pull; each of them has a distance of its own",
        ),
        (
            lambda t, a, g, lr, s: t - lr * (g + s * (t - a) ** 2),
            "the pull still has the square in it, so it goes one way on both sides of the anchor",
        ),
        (
            lambda t, a, g, lr, s: t - lr * (g + s / 2 * (t - a) ** 2),
            "it adds the penalty itself to the gradient; its derivative is wanted",
        ),
        (lambda t, a, g, lr, s: g + s * (t - a), "this is the gradient; where do the weights go with it?"),
        (lambda t, a, g, lr, s: s * (t - a), "this is the pull of the penalty alone; what is a step?"),
        (lambda t, a, g, lr, s: -lr * (g + s * (t - a)), "this is how far the weights go; where do they arrive?"),
    ],
    hint="take the gradient of the whole loss, then the step: what does the penalty add to the gradient of the loss on B?",
)


def _conventions(generator: torch.Generator) -> list[tuple[float, int, int]]:
    counts = torch.randint(5, 200, (4, 2), generator=generator).tolist()
    return [(draw(generator, 3.0, 9.0), n, n + k) for n, k in counts]


EXERCISES["2.2"] = Function(
    task="other code minimises the SUM of the losses of n samples + c * the MEAN of (theta - anchor)**2 over "
    "k weights; write our_strength(c, n, k).",
    cases=_conventions,
    right=lambda c, n, k: 2 * c / (n * k),
    mistakes=[
        (lambda c, n, k: c / (n * k), "both means are right; now look at what stands in front of our sum"),
        (lambda c, n, k: c / (2 * n * k), "both means are right; is our λ the larger or the smaller of the two numbers?"),
        (lambda c, n, k: 2 * c / k, "their loss is a sum over samples, ours is a mean"),
        (lambda c, n, k: c / k, "their loss is a sum over samples, ours a mean; and look at what stands in front of our sum"),
        (lambda c, n, k: 2 * c / n, "their distance is a mean over weights, ours is a sum"),
        (lambda c, n, k: c / n, "their distance is a mean over weights, ours a sum; and look at what stands in front of it"),
        (
            lambda c, n, k: 2 * c * k / n,
            "of their mean over weights and our sum, which is the larger? Here it is taken the wrong way",
        ),
        (
            lambda c, n, k: 2 * c * n / k,
            "of their sum over samples and our mean, which is the larger? Here it is taken the wrong way",
        ),
        (lambda c, n, k: 2 * c * n * k, "sum and mean are exchanged in both places"),
        (lambda c, n, k: 2 * c, "this is right if sums and means stand in the same places, and here they do not"),
        (lambda c, n, k: n * k / (2 * c), "the ratio is upside down: a larger c holds more firmly"),
    ],
    hint="multiply the whole of their loss by one number, so that it begins as ours does; then compare what "
    "stands before the sum",
)


def _parabolas(generator: torch.Generator) -> list[tuple[Any, ...]]:
    def case(n: int) -> tuple[Any, ...]:
        curvature = 0.3 + 2 * torch.rand(n, generator=generator, dtype=torch.float64)
        return curvature, normal(generator, n), normal(generator, n), draw(generator, 3.0, 6.0)

    return [case(4), case(6), case(3)]


EXERCISES["2.3"] = Function(
    task="write resting_place(h, b, anchor, strength): where training ends if B's loss is sum(h / 2 * (theta "
    "- b)**2), with the L2 penalty.",
    cases=_parabolas,
    right=lambda h, b, anchor, strength: (h * b + strength * anchor) / (h + strength),
    mistakes=[
        (
            lambda h, b, a, s: (s * b + h * a) / (h + s),
            "a larger strength must bring the end nearer to the anchor; here it brings it nearer to b",
        ),
        (lambda h, b, a, s: (a + b) / 2, "this is the middle, whoever pulls more"),
        (lambda h, b, a, s: b, "this is where B alone would end"),
        (lambda h, b, a, s: a, "this is where an endless strength would end"),
        (
            lambda h, b, a, s: (h * b + s / 2 * a) / (h + s / 2),
            "the penalty pulls too weakly: do the two squares have the same number before them?",
        ),
        (
            lambda h, b, a, s: (h * b + 2 * s * a) / (h + 2 * s),
            "the penalty pulls too hard: do the two squares have the same number before them?",
        ),
        (lambda h, b, a, s: (b + s * a) / (1 + s), "the curvature of B's loss makes no difference here"),
        (
            lambda h, b, a, s: h * b + s * a,
            "the two counts of this mean do not add up to one: if b and the anchor are one place, where does training end?",
        ),
        (
            lambda h, b, a, s: (h * b - s * a) / (h - s),
            "the two forces have to cancel where they pull in opposite directions: a sign",
        ),
        (lambda h, b, a, s: (h * b).sum() / h.sum(), "each weight has an end of its own, and the penalty is missing"),
        (
            lambda h, b, a, s: (h * b + s * a) / (h.sum() + s),
            "each weight is a matter between its own h and the strength; here the h of all are added",
        ),
    ],
    hint="training ends where the two gradients cancel; write down both, set their sum to zero, and solve for theta",
)


def _units(generator: torch.Generator) -> list[tuple[float, float]]:
    return [(draw(generator, 0.5, 5.0), draw(generator, 3.0, 9.0)) for _ in range(4)]


EXERCISES["2.4"] = Function(
    task="in new units all weights are numbers k times as large; write same_hold(strength, k), the strength "
    "that holds as firmly as before.",
    cases=_units,
    right=lambda strength, k: strength / k**2,
    mistakes=[
        (lambda s, k: s / k, "the distance enters the penalty not as it is"),
        (
            lambda s, k: s * k,
            "in the new units the penalty has grown, so the strength must make up for it; and the distance enters not as it is",
        ),
        (lambda s, k: s * k**2, "in the new units the penalty has grown, and this makes it larger still"),
        (lambda s, k: s, "this would hold more firmly than before: what has become of the distances?"),
        (lambda s, k: s / (2 * k), "doubling is not squaring"),
        (lambda s, k: s / k**0.5, "the distance enters the penalty with another power than this"),
        (lambda s, k: 2 * s / k**2, "the 1/2 in front of the sum is there before and after"),
        (lambda s, k: s / 2 / k**2, "the 1/2 in front of the sum stood there before, too"),
    ],
    hint="what becomes of one distance, what of the sum? The penalty as a number must stay what it was",
)
