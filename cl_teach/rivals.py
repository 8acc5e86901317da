"""Other answers to 'what matters': synaptic intelligence (SI) looks at training, memory-aware synapses (MAS) at the outputs.

And one to 'what is held': a small memory (replay) holds no weights, but some of the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from . import _checks
from ._prepare import Data
from ._weights import Named, averaging, plain_autograd
from .fast.columns import Columns
from .fast.per_sample import mean_moments
from .fisher import plain_squares
from .penalties import Penalty
from .tasks import Split, Task


@plain_autograd()
def output_sensitivity(
    model: nn.Module,
    data: Data,
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    chunk: int = 1024,
) -> Named:
    """Mean over samples of | d |z|^2 / d theta_i |, z the logits: the importance of memory-aware synapses. No label is used.

    Arguments, result and errors as for :func:`cl_teach.diagonal_fisher`, without what is about labels. The unit is 1 / theta_i.

    Source: Aljundi et al. 2018 (arXiv:1711.09601), section 4.1.
    """

    def columns_of(logits: Tensor, y: Tensor, uniform: Tensor) -> Columns:
        if not bool(logits.isfinite().all()):
            raise ValueError("model must give finite logits, got -infinity; classes= leaves out what is switched off")
        return Columns(2 * logits.unsqueeze(2))

    return mean_moments(model, data, columns_of, torch.abs, plain_squares, n=n, classes=classes, seed=0, chunk=chunk)


class SI(Penalty):
    """Synaptic intelligence: a weight matters as much as its movements lowered the loss (Zenke et al. 2017, arXiv:1703.04200).

    P adds up max(w, 0) / (D^2 + damping), with w the sum over steps of -gradient * movement (eq. 3) and D the whole movement
    during the task (eq. 5); m is the latest weights. The data are not looked at again: the importance is gathered in training,
    by :func:`cl_teach.train`, or in a loop of your own by one call of :meth:`observe` a step. With batch norm it goes wrong, as
    a warning says: biases that have no effect in train mode are left free, and act in eval mode.

    Args:
        damping: xi of eq. 5, keeps weights that hardly moved from getting huge importance; in units of theta^2.
    """

    def __init__(self, damping: float = 0.1) -> None:
        super().__init__()
        self.damping = _checks.real_number("damping", damping, at_least=1e-12)
        self.path: Named = {}  # w
        self.start: Named = {}  # the weights before the task's first step
        self.weights: Named = {}  # at the latest step, before it was made
        self.gradient: Named = {}  # at the latest step

    @torch.no_grad()
    def observe(self, model: nn.Module) -> None:
        """Take in the step before, now that its movement is known, and this step's gradient of the task's loss."""
        parameters = dict(_checks.module(model).named_parameters())
        moved = {name: p for name, p in parameters.items() if p.requires_grad and p.grad is not None}
        self._finish_step(parameters)
        for name, p in moved.items():
            assert p.grad is not None
            self.weights[name], self.gradient[name] = p.detach().clone(), p.grad.detach().clone()
            self.start.setdefault(name, self.weights[name])
            self.path.setdefault(name, torch.zeros_like(self.weights[name]))

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        if not self.start:
            raise RuntimeError(
                "SI has seen no step of this task; train with cl_teach.train(penalty=...) or call observe each step"
            )
        parameters = _checks.trainable(model)
        if norms := averaging(model):
            message = (
                f"SI watched while batch norm ({norms[0][0]}) was in train mode, where a bias before it has no effect. In eval "
                "mode, as train holds it next, it has one, and SI leaves it free: take EWC or MAS, or no such bias"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=3)
        self._finish_step(parameters)
        found = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
        for name, w in self.path.items():
            if name in found:
                moved = parameters[name].detach() - self.start[name].to(found[name])
                found[name] = w.to(moved).clamp_min(0.0) / (moved.square() + self.damping)
        for kept in (self.path, self.start, self.weights, self.gradient):
            kept.clear()
        return found

    @torch.no_grad()
    def _finish_step(self, parameters: Mapping[str, Tensor]) -> None:
        for name, g in self.gradient.items():
            if name in parameters:
                p = parameters[name]
                self.path[name] = self.path[name].to(p) - g.to(p) * (p - self.weights[name].to(p))
        self.gradient.clear()

    def _tensors(self) -> dict[str, Named]:
        gathered = {"path": self.path, "start": self.start, "weights": self.weights, "gradient": self.gradient}
        return {**super()._tensors(), **gathered}


class MAS(Penalty):
    """Memory-aware synapses: a weight matters as much as the outputs change with it (Aljundi et al. 2018, arXiv:1711.09601).

    P adds up the mean over samples of | d |z|^2 / d theta |, z the logits; m is the latest weights. No labels are needed.

    Args:
        n: use only the first ``n`` samples.
    """

    def __init__(self, n: int | None = None) -> None:
        super().__init__()
        self.n = None if n is None else _checks.whole_number("n", n, at_least=1)

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        return output_sensitivity(model, data, n=self.n, classes=classes)


class Replay:
    """A small memory of ``n`` training samples a task, to be learnt again beside those of the next (Chaudhry et al. 2019,
    "On tiny episodic memories in continual learning", arXiv:1902.10486). Call ``keep`` when a task has been learnt, and train
    on what ``mixed`` makes of the next one, with a penalty or without.

    Args:
        n: samples kept of each task, drawn at random.
        seed: of this draw.

    Attributes:
        kept: one :class:`Split` of ``n`` samples a task.
        classes: those of all tasks kept.
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        self.n = _checks.whole_number("n", n, at_least=1)
        self.kept: list[Split] = []
        self.classes: set[int] = set()
        self._generator = torch.Generator().manual_seed(_checks.seed(seed))

    def keep(self, task: Task) -> None:
        """Remember some of the task's training samples. ValueError if it has too few, or of another kind than those kept."""
        data = self._training_data(task)
        _checks.sample_count("n", self.n, len(data))
        chosen = torch.randperm(len(data), generator=self._generator)[: self.n]
        self.kept.append(Split(data.x[chosen], data.y[chosen]))
        self.classes |= set(task.classes)

    def mixed(self, task: Task) -> Task:
        """``task`` with all that is kept among its training data, as often as it takes for old and new to be about as many.

        Its classes become those of all tasks met: training chooses between them, also where each task has a head of its own.
        With nothing kept yet it is ``task`` itself. ValueError for samples of another kind than those kept.
        """
        new = self._training_data(task)
        if not self.kept:
            return task
        parts = [new, *self.kept * max(1, round(len(new) / (self.n * len(self.kept))))]
        both = Split(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))
        return replace(task, train=both, classes=tuple(self.classes | set(task.classes)))

    def _training_data(self, task: Task) -> Split:
        data = _checks.kind("task", task, Task, "a cl_teach.Task, as Task(name, train, test, classes) makes one").train
        new, old = ((tuple(part.x.shape[1:]), part.x.dtype, str(part.x.device)) for part in (data, (self.kept or [data])[0]))
        if new != old:
            raise ValueError(f"task must have samples of the shape, type and device that are kept, {old}, got {new}")
        return data
