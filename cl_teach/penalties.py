"""What is held: quadratic penalties that pull weights back to where an earlier task left them.

Every penalty here is one quadratic, sum_i P_i (theta_i - m_i)^2 + constant: P says how much each weight matters, the anchor
m where it should stay. L2 sets P to 1. Elastic weight consolidation sets P to the Fisher information; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from . import _checks
from .fisher import LABELS, diagonal_fisher
from .tasks import Split, Task

Named = dict[str, Tensor]


class Penalty:
    """A quadratic sum_i P_i (theta_i - m_i)^2 + constant; subclasses decide how a finished task changes P, m and constant.

    Attributes:
        precision: P by parameter name, empty before the first task.
        anchor: m by parameter name.
        constant: what the sum of several quadratics has at its minimum.
        n_tasks: how many tasks have been consolidated.
    """

    def __init__(self) -> None:
        self.precision: Named = {}
        self.anchor: Named = {}
        self.constant = 0.0
        self.n_tasks = 0

    def importance(self, model: nn.Module, data: Split | Task, classes: Sequence[int] | None) -> Named:
        """How much each weight matters to a task; each subclass answers for itself."""
        raise NotImplementedError

    def merge(self, importance: Named, weights: Named) -> None:
        """Take in one task: how much each weight matters to it, and where it left them."""
        raise NotImplementedError

    def consolidate(self, model: nn.Module, data: Split | Task, classes: Sequence[int] | None = None) -> None:
        """Remember the task just learnt: hold ``model``'s present weights, as far as they matter for ``data``.

        Args:
            model: trained on the task; its trainable parameters are copied, not kept.
            data: the task, or its training data.
            classes: the outputs the task uses, as in ``Task.classes``; None takes all (or the task's).

        Raises:
            ValueError: ``model`` is not the one that earlier tasks were consolidated on (names or shapes differ).
        """
        parameters = _checks.trainable(model)
        if self.n_tasks:
            _checks.same_parameters("penalty", self.anchor, parameters)
            self._aligned(model)
        importance = self.importance(model, data, classes)
        self.merge(importance, {name: p.detach().clone() for name, p in parameters.items()})
        self.n_tasks += 1

    def check(self, model: nn.Module) -> None:
        """Raise ValueError if what was consolidated does not belong to ``model``."""
        parameters = _checks.trainable(model)
        if self.n_tasks:
            _checks.same_parameters("penalty", self.anchor, parameters)

    def __call__(self, model: nn.Module) -> Tensor:
        """sum_i P_i (theta_i - m_i)^2 + constant, a scalar that gradients flow through; 0 before the first task.

        Neither lambda nor 1/2 is in it: the loss of the paper is loss_B + strength / 2 * penalty(model). Code that writes
        loss_B + strength * penalty needs half the strength for the same result.
        """
        self.check(model)
        parameters = _checks.trainable(model)
        total = next(iter(parameters.values())).new_tensor(self.constant)
        for name, m in self.anchor.items():
            p = parameters[name]
            total = total + (self.precision[name].to(p) * (p - m.to(p)).square()).sum()
        return total

    @torch.no_grad()
    def add_gradient(self, model: nn.Module, strength: float) -> None:
        """Add the gradient of strength / 2 * penalty, strength * P (theta - m), to ``.grad``; no autograd needed."""
        if self.n_tasks and strength:
            theta, precision, anchor = self._aligned(model)
            step = torch._foreach_sub(theta, anchor)
            torch._foreach_mul_(step, precision)
            torch._foreach_add_([p.grad if p.grad is not None else _zero_grad(p) for p in theta], step, alpha=strength)

    @torch.no_grad()
    def proximal_step(self, model: nn.Module, c: float) -> None:
        """theta <- (theta + c P m) / (1 + c P): the exact minimum of |theta' - theta|^2 / 2 + c / 2 * penalty(theta').

        Whatever c, the result lies between theta and the anchor, so no strength can make it diverge
        (Parikh & Boyd 2014, "Proximal algorithms", section 1.1).
        """
        if self.n_tasks and c:
            theta, precision, anchor = self._aligned(model)
            pull = torch._foreach_mul(precision, c)
            torch._foreach_clamp_max_(pull, 1e30)  # infinity / infinity would be NaN
            torch._foreach_div_(pull, torch._foreach_add(pull, 1.0))  # c P / (1 + c P), from 0 (free) to 1 (fixed)
            torch._foreach_lerp_(theta, anchor, pull)

    def _aligned(self, model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Weights, P and m as lists in one order; P and m move once to the device and type of the model."""
        parameters = dict(model.named_parameters())
        theta: list[Tensor] = [parameters[name] for name in self.anchor]
        if any(m.device != p.device or m.dtype != p.dtype for m, p in zip(self.anchor.values(), theta, strict=True)):
            for kept in (self.precision, self.anchor):
                kept.update({name: t.to(parameters[name]) for name, t in kept.items()})
        return theta, [self.precision[name] for name in self.anchor], list(self.anchor.values())


class L2(Penalty):
    """Hold every weight equally: P = 1, at the weights of the latest task.

    This is not weight decay: weight decay pulls towards zero, this pulls towards what was learnt.
    """

    def importance(self, model: nn.Module, data: Split | Task, classes: Sequence[int] | None) -> Named:
        return {name: torch.ones_like(p) for name, p in _checks.trainable(model).items()}

    def merge(self, importance: Named, weights: Named) -> None:
        self.precision, self.anchor = importance, weights


class EWC(Penalty):
    """Elastic weight consolidation: hold each weight as firmly as its Fisher information says (Kirkpatrick et al. 2017).

    One quadratic is kept for each task; K of them add up to a single one, with P = sum_k F_k and m = sum_k F_k theta_k / P,
    so fifty tasks cost what one costs, and the value is still the sum.

    Args:
        labels, n, seed: how the Fisher information is computed, see :func:`cl_teach.diagonal_fisher`.
    """

    def __init__(self, labels: str = "exact", n: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self.labels = _checks.one_of("labels", labels, LABELS)
        self.n = None if n is None else _checks.whole_number("n", n, at_least=1)
        self.seed = _checks.seed(seed)

    def importance(self, model: nn.Module, data: Split | Task, classes: Sequence[int] | None) -> Named:
        return diagonal_fisher(model, data, self.labels, n=self.n, classes=classes, seed=self.seed)

    def merge(self, importance: Named, weights: Named) -> None:
        if not self.n_tasks:
            self.precision, self.anchor = importance, weights
            return
        for name, f in importance.items():
            p, m = self.precision[name], self.anchor[name]
            total = p + f
            share = torch.where(total > 0, f / total, 0.0)  # where nothing matters, the anchor stays
            gap = weights[name] - m
            self.constant += float((p * share * gap.square()).sum())
            self.precision[name], self.anchor[name] = total, m + share * gap


class OnlineEWC(EWC):
    """EWC with one running Fisher: P <- decay * P + F, anchored at the weights of the latest task only.

    Args:
        decay: gamma of Schwarz et al. 2018 (arXiv:1805.06370), section 3.2, from 0 (only the latest task counts) to 1.
        labels, n, seed: as in :class:`EWC`.
    """

    def __init__(self, decay: float = 1.0, labels: str = "exact", n: int | None = None, seed: int = 0) -> None:
        super().__init__(labels, n, seed)
        self.decay = _checks.real_number("decay", decay, at_least=0.0, below=1.0 + 1e-12)

    def merge(self, importance: Named, weights: Named) -> None:
        if self.n_tasks:
            importance = {name: self.decay * self.precision[name] + f for name, f in importance.items()}
        self.precision, self.anchor = importance, weights


def _zero_grad(p: Tensor) -> Tensor:
    p.grad = torch.zeros_like(p)
    return p.grad
