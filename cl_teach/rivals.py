"""Other answers to 'what matters': synaptic intelligence (SI) looks at training, memory-aware synapses (MAS) at the outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from . import _checks
from ._prepare import Data
from ._weights import Named, averaging, plain_autograd
from .fast.columns import Columns
from .fast.per_sample import mean_moments
from .fisher import plain_squares
from .penalties import Penalty


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
