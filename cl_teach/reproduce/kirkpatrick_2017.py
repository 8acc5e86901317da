"""J. Kirkpatrick et al., *Overcoming catastrophic forgetting in neural networks*, 2017 (arXiv:1612.00796), figure 2, A and B.

Permuted MNIST, the first task as it is. There is no code of the authors', and the figures give curves, no numbers: what is to
come out is their order. What the paper does not say is chosen here:

| setting | the paper, table 1 and "MNIST experiments" | here |
|---|---|---|
| network | A: 784-400-400-10; B: 400 to 2,000 wide | 400 wide in both |
| SGD | lr 0.001 (B: 1e-5 to 0.001), small batches; nothing of momentum | lr 0.001, momentum 0.9, 64 images a step |
| passes through a task | A: 20; B: 100 with early stopping on all tasks so far | A: 20; B: 5, no early stopping |
| dropout | A: none; B: 0.2 of the inputs, 0.5 of the hidden layers | the same; none while the Fisher is computed |
| penalty | eq. 3: lambda / 2, its gradient added to that of the loss | the same, an anchor a task |
| Fisher | not said | all labels with the model's probabilities, image by image, all images |
| lambda, strength of L2 | not said; the best of 50 random settings | the better of two |
| seeds | not said | 3 |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..penalties import EWC, L2, Penalty
from ..tasks import Task, mnist, permuted
from .protocol import Protocol
from .table import Table

SGD = Protocol(optimizer="sgd", momentum=0.9, batch_size=64, epochs=20)


def penalty(column: str, method: str, seed: int) -> Penalty | None:
    makers: dict[str, Callable[[], Penalty | None]] = {"SGD": lambda: None, "L2": L2, "EWC": EWC}
    return makers[method]()


def three(column: str, seed: int, n_train: int | None) -> list[Task]:
    return permuted(mnist(n_train, None), 3, seed)


def ten(column: str, seed: int, n_train: int | None) -> list[Task]:
    return permuted(mnist(n_train, None), 10, seed)


FIGURE_2A = Table(
    name="kirkpatrick_2017_2a",
    title="Three permutations of MNIST: SGD, L2, EWC",
    published={("2A", method): None for method in ("SGD", "L2", "EWC")},
    strengths={("2A", "SGD"): (0.0,), ("2A", "L2"): (0.01, 0.1), ("2A", "EWC"): (10.0, 100.0)},
    protocols={"2A": SGD},
    tasks=three,
    penalty=penalty,
    seeds=(1, 2, 3),
)

FIGURE_2B = Table(
    name="kirkpatrick_2017_2b",
    title="Ten permutations of MNIST, with dropout: SGD, EWC",
    published={("2B", method): None for method in ("SGD", "EWC")},
    strengths={("2B", "SGD"): (0.0,), ("2B", "EWC"): (10.0, 100.0)},
    protocols={"2B": replace(SGD, epochs=5, dropout=(0.2, 0.5))},
    tasks=ten,
    penalty=penalty,
    seeds=(1, 2, 3),
)
