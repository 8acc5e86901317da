"""How a run of a table goes: one network learns one task after the other, and is tested on all it has seen after each.

Unlike :func:`cl_teach.learn` it can keep one optimiser for all tasks, as the papers' code does: what Adam remembers of a task
acts on in the next one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .._prepare import prepare
from ..fast.chain import Chain, is_chain
from ..fast.products import quick_product
from ..models import head, mlp, random_state
from ..penalties import Penalty
from ..tasks import Task
from ..training import choice, evaluate

FORMS = ("before", "decoupled", "proximal")


@dataclass(frozen=True)
class Protocol:
    """What the runs of a table have in common.

    Attributes:
        n_inputs, hidden, n_outputs: of the fully connected network, with ReLU.
        batch_size: samples a step, drawn without putting back until all were drawn.
        drop_last: whether the few samples that are left at the end of a pass are passed over.
        steps: of the optimiser on each task; None makes ``epochs`` passes.
        epochs: passes through each task, if ``steps`` is None.
        lr: of Adam; its other settings are torch's.
        reset: whether each task begins with a new Adam.
        form: how a penalty acts. "before": its gradient is added to that of the loss, and Adam sees the sum. "decoupled":
            the weights move by lr times its gradient after Adam's step. "proximal": after Adam's step the penalty is solved
            exactly, as far as Adam's own step sizes lr / (sqrt(v) + eps) go.
    """

    n_inputs: int = 784
    hidden: tuple[int, ...] = (400, 400)
    n_outputs: int = 10
    batch_size: int = 128
    drop_last: bool = False
    steps: int | None = None
    epochs: int = 1
    lr: float = 1e-3
    reset: bool = False
    form: str = "before"

    def batches(self, n: int, seed: int) -> Iterator[Tensor]:
        """For each step on a task of ``n`` samples, which of them it sees."""
        a_pass = max(1, n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size))
        generator = torch.Generator().manual_seed(seed)
        passes = (torch.randperm(n, generator=generator).split(self.batch_size)[:a_pass] for _ in count())
        return islice(chain.from_iterable(passes), self.epochs * a_pass if self.steps is None else self.steps)


class Learner:
    """A network on its way through the tasks, with its optimiser and its penalty.

    Args:
        penalty: a fresh one; None holds nothing.
        seed: of the first weights and of the order of the samples.
        quick: whether to take the quick way where there is one; the last bits differ.
    """

    def __init__(self, protocol: Protocol, penalty: Penalty | None, strength: float, seed: int, quick: bool = True) -> None:
        self.protocol, self.penalty, self.strength, self.seed, self.quick = protocol, penalty, strength, seed, quick
        self.model = mlp(protocol.hidden, protocol.n_inputs, protocol.n_outputs, seed).float()
        self.optimizer = self._new_optimizer()
        self.n_tasks = 0

    def with_strength(self, strength: float) -> Learner:
        """A copy of all that it has become, which goes on with another strength."""
        other = copy.deepcopy(self)
        other.strength = strength
        return other

    def learn(self, task: Task) -> None:
        """Make the protocol's steps on ``task``."""
        if self.protocol.reset:
            self.optimizer = self._new_optimizer()
        data = prepare(self.model, task, "train")
        step = self._step(task.classes)
        for chosen in self.protocol.batches(len(data), seed=1_000 * self.seed + self.n_tasks):
            self.optimizer.zero_grad()
            step(*data.take(chosen.to(data.y.device)))
            if self.penalty is not None:
                self.penalty.observe(self.model)
                if self.protocol.form == "before":
                    self.penalty.add_gradient(self.model, self.strength)
            self.optimizer.step()
            if self.penalty is not None and self.protocol.form != "before" and self.penalty.n_tasks:
                self._pull()
        self.n_tasks += 1

    def remember(self, task: Task) -> None:
        """Let the penalty hold what has been learnt of ``task``."""
        if self.penalty is not None:
            with random_state(self.seed):
                self.penalty.consolidate(self.model, task)

    @property
    def diverged(self) -> bool:
        """Whether a weight is no longer finite."""
        return not all(bool(p.isfinite().all()) for p in self.model.parameters())

    def tested(self, tasks: Sequence[Task]) -> list[float]:
        """Test accuracy on each of ``tasks``, of which it has learnt the last one latest; 0 if it has diverged."""
        if self.diverged:
            return [0.0] * len(tasks)
        return [evaluate(self.model, task.test, choice(task, tasks[-1])).accuracy for task in tasks]

    def _new_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.model.parameters(), self.protocol.lr, fused=self.quick)

    def _step(self, classes: Sequence[int]) -> Callable[[Tensor, Tensor], Tensor]:
        if self.quick and is_chain(self.model):
            return Chain(self.model, classes, quick_product(next(self.model.parameters())))

        def step(x: Tensor, y: Tensor) -> Tensor:
            loss = cross_entropy(head(self.model(x), classes), y)
            loss.backward()
            return loss

        return step

    @torch.no_grad()
    def _pull(self) -> None:
        """Let the penalty act after Adam's step."""
        assert self.penalty is not None
        lr, (_, beta), eps = self.protocol.lr, *(self.optimizer.defaults[name] for name in ("betas", "eps"))
        for name, p in self.model.named_parameters():
            by, m = self.strength * self.penalty.precision[name], self.penalty.anchor[name]
            if self.protocol.form == "decoupled":
                p.sub_(lr * by * (p - m))
            else:
                state = self.optimizer.state[p]
                size = lr / ((state["exp_avg_sq"] / (1 - beta ** float(state["step"]))).sqrt() + eps)
                p.lerp_(m, size * by / (1 + size * by))


def run_all(
    protocol: Protocol,
    tasks: Sequence[Task],
    penalty: Callable[[], Penalty | None],
    strengths: Sequence[float],
    seed: int,
    quick: bool = True,
) -> Iterator[tuple[float, list[list[float]]]]:
    """For each strength, one after the other: the strength, and the test accuracies after each task, of the tasks so far.

    All of them learn the first task as one, as no penalty acts there. (Trained side by side as one stack they would not be
    faster: products as large as theirs are as fast alone, and the weights of many networks do not fit into a cache.)
    """
    first = Learner(protocol, penalty(), 0.0, seed, quick)
    first.learn(tasks[0])
    start = first.tested(tasks[:1])
    first.remember(tasks[0])
    for strength in strengths:
        learner, accuracies = first.with_strength(strength), [start]
        for i in range(1, len(tasks)):
            if not learner.diverged:
                learner.learn(tasks[i])
            accuracies.append(learner.tested(tasks[: i + 1]))
            if not learner.diverged and i + 1 < len(tasks):
                learner.remember(tasks[i])
        yield strength, accuracies
