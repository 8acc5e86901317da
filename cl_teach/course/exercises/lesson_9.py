"""Exercises of lesson 9, beyond the diagonal."""

from __future__ import annotations

import torch
from torch import Tensor

from .exercise import Exercise, Function, Number
from .lesson_2 import normal

EXERCISES: dict[str, Exercise] = {}


def _square(generator: torch.Generator, n: int) -> Tensor:
    """A symmetric, positive matrix, with much off its diagonal."""
    rows = normal(generator, 2 * n, n) + 1.0
    return rows.T @ rows / (2 * n)


def _layers(generator: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    sizes = ((3, 5), (4, 2), (6, 3))
    return [(normal(generator, o, i), _square(generator, o), _square(generator, i)) for o, i in sizes]


EXERCISES["9.1"] = Function(
    task="write pull(D, R, S): the gradient of half of KFAC's penalty with respect to a layer's change D.",
    cases=_layers,
    right=lambda D, R, S: R @ D @ S,
    mistakes=[
        (
            lambda D, R, S: R.diagonal()[:, None] * D * S.diagonal(),
            "this keeps the diagonal only, and pulls each weight as if the others had stayed where they were",
        ),
        (lambda D, R, S: (D * (R @ D @ S)).sum(), "this is the penalty, one number; its gradient has a number for each weight"),
        (lambda D, R, S: (D * (R @ D @ S)).sum() / 2, "this is half of the penalty; what is its gradient?"),
        (lambda D, R, S: D * (R @ D @ S), "these are each weight's shares of the penalty, and not yet its gradient"),
        (lambda D, R, S: R @ D, "the outputs are in it, the inputs are not"),
        (lambda D, R, S: D @ S, "the inputs are in it, the outputs are not"),
        (lambda D, R, S: (R @ D) * (D @ S), "outputs and inputs act on D one after the other; they are not multiplied"),
        (lambda D, R, S: (R @ D) + (D @ S), "outputs and inputs act on D one after the other; they are not added"),
        (lambda D, R, S: torch.linalg.solve(R, D) @ torch.linalg.inv(S), "this divides by the factors"),
        (lambda D, R, S: torch.kron(R, S), "this is the matrix itself; what does it make of D?"),
    ],
    hint="R has a row and a column for each output, S for each input: on which side of D does each of them fit?",
)


def _scores(generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    return [(normal(generator, n, p) + 0.3, normal(generator, p) + 0.2) for n, p in ((5, 3), (4, 7), (30, 6))]


EXERCISES["9.2"] = Function(
    task="write rise(G, d): what n scores say of d^T F d, without ever making F.",
    cases=_scores,
    right=lambda G, d: (G @ d).square().mean(),
    mistakes=[
        (
            lambda G, d: (G @ d).mean() ** 2,
            "this is the square of the mean: scores of opposite signs cancel in it before they are squared",
        ),
        (lambda G, d: (G @ d).square().sum(), "this grows with the number of samples; F is a mean over them"),
        (lambda G, d: (G.square().mean(dim=0) * d.square()).sum(), "this is what the diagonal says"),
        (lambda G, d: (G @ d).mean(), "the scores are not squared, so their signs cancel"),
        (lambda G, d: (G @ d).abs().mean(), "the scores are not squared, only their signs are gone"),
        (lambda G, d: (G @ d).square().mean().sqrt(), "a root too many: this has the unit of a score times d"),
        (lambda G, d: (G @ d).square(), "there is one number a sample; what is their mean?"),
        (lambda G, d: (G @ d).square().sum() / len(d), "divided by the number of weights; F is a mean over samples"),
        (
            lambda G, d: (G @ d).var(),
            "this takes their mean off first; the mean over the model's labels is zero, that of n draws is not",
        ),
    ],
    hint="each score says something of d by one product; what is done with these n numbers?",
)


def _steps(generator: torch.Generator) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    return [(normal(generator, n), normal(generator, n), _square(generator, n), c) for n, c in ((3, 0.5), (5, 2.0), (4, 7.0))]


def _solve(F: Tensor, c: float, d: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve(torch.eye(len(F), dtype=F.dtype) + c * F, d)
    return solved


EXERCISES["9.3"] = Function(
    task="write proximal(theta, anchor, F, c): the proximal step with a whole matrix F.",
    cases=_steps,
    right=lambda theta, anchor, F, c: anchor + _solve(F, c, theta - anchor),
    mistakes=[
        (
            lambda theta, anchor, F, c: (theta + c * F.diagonal() * anchor) / (1 + c * F.diagonal()),
            "this is the step with the diagonal of F",
        ),
        (
            lambda theta, anchor, F, c: theta - c * F @ (theta - anchor),
            "this is a gradient step, which overshoots where c F is large",
        ),
        (lambda theta, anchor, F, c: _solve(F, c, theta - anchor), "this is how far from the anchor it ends; where is that?"),
        (lambda theta, anchor, F, c: _solve(F, c, theta), "this pulls towards zero, and not towards the anchor"),
        (lambda theta, anchor, F, c: theta + _solve(F, c, theta - anchor), "it starts from the anchor, not from theta"),
        (lambda theta, anchor, F, c: theta - _solve(F, c, theta - anchor), "this is the way that is left over, taken off"),
        (
            lambda theta, anchor, F, c: (theta + c * anchor) / (1 + c),
            "F is not in it: this is the step of L2",
        ),
        (
            lambda theta, anchor, F, c: anchor + torch.linalg.solve(c * F, theta - anchor),
            "without the 1 beside c F, a small c would throw it far away from theta",
        ),
        (
            lambda theta, anchor, F, c: anchor + (theta - anchor) / (1 + c * F.sum(dim=1)),
            "these are sums of rows; the system has to be solved for all weights together",
        ),
    ],
    hint="set the gradient of |theta' - theta|^2 / 2 + c / 2 (theta' - anchor)^T F (theta' - anchor) to zero",
)

EXERCISES["9.4"] = Number(
    task="which number has to stand for lam in their code?",
    low=0.0002499,
    high=0.0002501,
    mistakes=[
        (2.99, 3.01, "this is Bayes' λ in our form of the loss; what else differs in theirs?"),
        (1.49, 1.51, "this looks after the 1/2; their F is a sum, and ours a mean"),
        (0.000499, 0.000501, "this looks after the sum; where is the 1/2?"),
        (0.000999, 0.001001, "the 1/2 is on the wrong side"),
        (0.000083, 0.0000834, "this would be right for two tasks of equal size"),
        (0.000749, 0.000751, "their F is a sum over task A's samples, not over B's"),
        (0.33, 0.34, "this is upside down: the more samples A has, the more it counts"),
        (8_999, 18_001, "a sum is larger than a mean, so lam has to be smaller"),
    ],
    hint="write both losses down, put F_sum = N_A F_mean into theirs, and compare what stands before F_mean d^2",
)
