"""How a run of a table goes: one network learns one task after the other, and is tested on all it has seen after each.

Unlike :func:`cl_teach.learn` it keeps one optimiser for all tasks, as the papers' code does: what Adam remembers of a task acts
on in the next one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, count, islice

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .._optimiser import factors
from .._prepare import prepare
from .._progress import silent
from ..fast.chain import Chain, is_chain
from ..fast.products import quick_product
from ..models import head, mlp, random_state
from ..penalties import Penalty
from ..tasks import Task
from ..training import choice, evaluate


@dataclass(frozen=True)
class Protocol:
    """What the runs of a table have in common.

    Attributes:
        n_inputs, hidden, n_outputs: of the fully connected network, with ReLU.
        batch_size: samples a step, drawn without putting back until all were drawn.
        drop_last: whether the few samples that are left at the end of a pass are passed over.
        steps: of the optimiser on each task; None makes ``epochs`` passes.
        epochs: passes through each task, if ``steps`` is None.
        optimizer: "adam", with torch's settings, or "sgd".
        lr, momentum: of the optimiser; momentum is SGD's.
        reset: whether each task begins with a new optimiser.
        form: how a penalty acts. "before": its gradient is added to that of the loss, and the optimiser sees the sum.
            "decoupled": the weights move by lr times its gradient after the optimiser's step. "proximal": after that step the
            penalty is solved exactly, in the metric of the optimiser: Adam's step sizes are lr / (sqrt(v) + eps), one a weight.
        dropout: of the inputs and of the hidden layers; None for none.
        own_heads: None for one layer of outputs; a number makes one layer for each task, with so many outputs.
        double: True for double precision, whose results are the same on every processor; None for single, as in the papers.
    """

    n_inputs: int = 784
    hidden: tuple[int, ...] = (400, 400)
    n_outputs: int = 10
    batch_size: int = 128
    drop_last: bool = False
    steps: int | None = None
    epochs: int = 1
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    reset: bool = False
    form: str = "before"
    dropout: tuple[float, float] | None = None
    own_heads: int | None = None
    double: bool | None = None

    def network(self, seed: int) -> nn.Module:
        """A new one."""
        model = mlp(self.hidden, self.n_inputs, self.n_outputs, seed).to(torch.float64 if self.double else torch.float32)
        if self.own_heads is not None:
            assert self.dropout is None, "no table has both"
            return OwnHeads(model, self.own_heads)
        if self.dropout is None:
            return model
        flatten, *layers, last = model
        inputs, hidden = self.dropout
        with_dropout = [
            new for layer in layers for new in ((layer, nn.Dropout(hidden)) if isinstance(layer, nn.ReLU) else (layer,))
        ]
        return nn.Sequential(flatten, nn.Dropout(inputs), *with_dropout, last)

    def stepper(self, model: nn.Module, quick: bool) -> torch.optim.Optimizer:
        """A new optimiser of ``model``."""
        if self.optimizer == "adam":
            return torch.optim.Adam(model.parameters(), self.lr, fused=quick)
        return torch.optim.SGD(model.parameters(), self.lr, self.momentum, fused=quick)

    def batches(self, n: int, seed: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
        """For each step on a task of ``n`` samples, which of them it sees; a pass is sent to the device as one."""
        a_pass = max(1, n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size))
        generator = torch.Generator().manual_seed(seed)
        passes = (torch.randperm(n, generator=generator).to(device).split(self.batch_size)[:a_pass] for _ in count())
        return islice(chain.from_iterable(passes), self.epochs * a_pass if self.steps is None else self.steps)


class OwnHeads(nn.Module):
    """A network whose last layer is in pieces, one for each task; what comes out is that of all of them, side by side.

    Adam counts its steps for each tensor, so that a piece of its own makes a beginner's steps when its task begins.
    """

    def __init__(self, whole: nn.Sequential, size: int) -> None:
        super().__init__()
        last = whole[-1]
        assert isinstance(last, nn.Linear)
        self.trunk, self.heads, self.size = whole[:-1], nn.ModuleList(), size
        for weight, bias in zip(last.weight.detach().split(size), last.bias.detach().split(size), strict=True):
            piece = nn.Linear(last.in_features, len(bias), device="meta")  # draws no random numbers
            piece.weight, piece.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
            self.heads.append(piece)

    def forward(self, x: Tensor) -> Tensor:
        found = self.trunk(x)
        return torch.cat([piece(found) for piece in self.heads], 1)

    def of(self, classes: Sequence[int]) -> nn.Sequential:
        """The part, with the same weights, that a task with these classes uses."""
        return nn.Sequential(*self.trunk, self.heads[classes[0] // self.size])


class Learner:
    """A network on its way through the tasks, with its optimiser and its penalty.

    Args:
        penalty: a fresh one; None holds nothing.
        seed: of the first weights and of the order of the samples.
        quick: whether to take the quick way where there is one; the last bits differ.
    """

    def __init__(self, protocol: Protocol, penalty: Penalty | None, strength: float, seed: int, quick: bool = True) -> None:
        self.protocol, self.penalty, self.strength, self.seed, self.quick = protocol, penalty, strength, seed, quick
        self.model = protocol.network(seed)
        self.optimizer = protocol.stepper(self.model, quick)
        self.n_tasks = 0

    def with_strength(self, strength: float) -> Learner:
        """A copy of all that it has become, which goes on with another strength."""
        other = copy.deepcopy(self)
        other.strength = strength
        return other

    def learn(self, task: Task) -> None:
        """Make the protocol's steps on ``task``."""
        if self.protocol.reset:
            self.optimizer = self.protocol.stepper(self.model, self.quick)
        data = prepare(self.model, task, "train")
        step, number = self._step(data.classes), 1_000 * self.seed + self.n_tasks
        with random_state(number, data.y.device) if self.protocol.dropout else nullcontext():
            self.model.train()
            for chosen in self.protocol.batches(len(data), number, data.y.device):
                self.optimizer.zero_grad(set_to_none=self.protocol.own_heads is None)  # zero, not none: Adam moves on
                step(*data.take(chosen))
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
            with random_state(self.seed), silent():
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

    def _step(self, classes: Sequence[int] | None) -> Callable[[Tensor, Tensor], Tensor]:
        model = self.model
        if isinstance(model, OwnHeads) and classes is not None:
            model, classes = model.of(classes), None
        if self.quick and is_chain(model):
            return Chain(model, classes, quick_product(next(model.parameters())))

        def step(x: Tensor, y: Tensor) -> Tensor:
            loss = cross_entropy(head(model(x), classes), y)
            loss.backward()
            return loss

        return step

    @torch.no_grad()
    def _pull(self) -> None:
        """Let the penalty act after the optimiser's step."""
        assert self.penalty is not None
        if self.protocol.form == "proximal":
            self.penalty.proximal_step(self.model, factors(self.model, self.optimizer, self.strength))
            return
        for name, p in self.model.named_parameters():
            p.sub_(self.protocol.lr * self.strength * self.penalty.precision[name] * (p - self.penalty.anchor[name]))


def run_all(
    protocol: Protocol,
    tasks: Sequence[Task],
    penalty: Callable[[], Penalty | None],
    strengths: Sequence[float],
    seed: int,
    quick: bool = True,
) -> Iterator[tuple[float, list[list[float]]]]:
    """For each strength, one after the other: the strength, and the test accuracies after each task, of the tasks so far.

    All of them learn the first task as one, as no penalty acts there. (Side by side as one stack, as in ``fast/together.py``,
    they would be no faster on a CPU: products as large as theirs are as fast one by one.)
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
