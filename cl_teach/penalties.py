"""What is held: quadratic penalties that pull weights back to where an earlier task left them.

Every penalty here is one quadratic, sum_i P_i (theta_i - m_i)^2 + constant: P says how much each weight matters, the anchor
m where it should stay. L2 sets P to 1, elastic weight consolidation to the Fisher information. A new penalty is a subclass
with an ``importance`` of its own: here if it is L2 or EWC in another form, else in rivals.py. How firmly all of it is held,
the strength lambda, is said at each training step: by ``add_gradient`` or ``proximal_step``, which training.py calls.

A network may grow: parameters that a penalty has not met, and new rows of those it has, such as more outputs of a head, are
free until a task is consolidated with them. What it has met must all be there. Only weights are held: the running statistics
of batch norm are none, so such layers belong in eval mode while a penalty acts (:func:`cl_teach.train` sees to it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from . import _checks
from ._prepare import Data, prepared_batches
from ._weights import Named, copied, inner, serving, warn_of_averaging, with_rows_of
from .fast.held import Held
from .fisher import LABELS, diagonal_fisher


class Penalty:
    """A quadratic sum_i P_i (theta_i - m_i)^2 + constant; subclasses say what P a task adds.

    Attributes:
        precision: P by parameter name, empty before the first task.
        anchor: m by parameter name.
        constant: what the sum of several quadratics has at its minimum.
        n_tasks: how many tasks have been consolidated.
        n: how many samples of a task it looks at, the first ones; None for all.
        diagonal: whether the quadratic is all that holds the weights: one number P each, and nothing between two of them.
    """

    n: int | None = None
    diagonal = True

    def __init__(self) -> None:
        self.precision: Named = {}
        self.anchor: Named = {}
        self.constant = 0.0
        self.n_tasks = 0
        self._steps = Held()
        self._warned = False

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        """How much each weight matters to a task, none less than 0; each subclass answers for itself."""
        raise NotImplementedError(f"{type(self).__name__} has no importance; take EWC(), L2() or a subclass with one")

    def merge(self, importance: Named, weights: Named) -> None:
        """Take in one task: here P adds up, and the anchor moves to the latest weights."""
        for name, new in importance.items():
            self.precision[name] = self.precision[name] + new if name in self.precision else new
            self.anchor[name] = weights[name]

    def observe(self, model: nn.Module) -> None:
        """See one training step; to be called after ``backward``, before anything else touches ``.grad``. Only SI looks."""

    def consolidate(self, model: nn.Module, data: Data, classes: Sequence[int] | None = None) -> None:
        """Remember the task just learnt: hold ``model``'s present weights, as far as they matter for ``data``.

        Args:
            model: trained on the task; its trainable parameters are copied, not kept. It may have parameters that earlier
                tasks did not have; parameters frozen since stay held as they were.
            data: the task, its training data, or a DataLoader over them.
            classes: the outputs the task uses, as in ``Task.classes``; None takes all (or the task's).

        Raises:
            ValueError: ``model`` is not the one that earlier tasks were consolidated on: a parameter they had is not there,
                or has another shape; or its weights, or the importance found, are NaN or infinite.
        """
        self.check(model)
        network = inner(model)
        importance = self.importance(network, data, classes)
        _checks.importance(importance, _checks.trainable(network))
        self._held(network)
        self.merge(importance, copied(network))
        self.n_tasks += 1

    def check(self, model: nn.Module) -> None:
        """Raise ValueError if what was consolidated does not belong to ``model``, or its weights are not finite."""
        _checks.same_parameters("penalty", self.anchor, _checks.module(model))
        _checks.trainable(model)
        _checks.finite(inner(model))

    def __call__(self, model: nn.Module) -> Tensor:
        """sum_i P_i (theta_i - m_i)^2 + constant, a scalar that gradients flow through; 0 before the first task.

        Neither lambda nor 1/2 is in it: the loss of the paper is loss_B + strength / 2 * penalty(model). Code that writes
        loss_B + strength * penalty needs half the strength for the same result.
        """
        self._held(model)
        self._watch_out(model)
        parameters = dict(inner(model).named_parameters())
        total = next(iter(parameters.values())).new_tensor(self.constant)
        for name, m in self.anchor.items():
            p = parameters[name]
            total = total + (self.precision[name].to(p) * (p - m.to(p)).square()).sum()
        return total

    def add_gradient(self, model: nn.Module, strength: float) -> None:
        """Add the gradient of strength / 2 * penalty to ``.grad``, strength * P (theta - m); no autograd needed."""
        if _checks.strength(strength) and self.n_tasks:
            _, theta, precision, anchor = self._held(model)
            self._watch_out(model)
            self._steps.add_gradient(theta, precision, anchor, float(strength))

    def proximal_step(self, model: nn.Module, c: float | Mapping[str, float] | Mapping[str, Tensor]) -> None:
        """theta <- (theta + c P m) / (1 + c P): the exact minimum of |theta' - theta|^2 / 2 + c / 2 * penalty(theta').

        Args:
            c: after a step of SGD, :func:`proximal_factor`, as in :func:`cl_teach.train`. One number, or parameter name ->
                number where learning rates differ (weights not named are free; ValueError for a name that none has), or
                -> tensor of its shape, lambda times the step size of each weight, as with Adam: then |theta' - theta|^2 is
                taken in these units. (Its values, 0 or more, are not looked at: a GPU would have to wait.)

        Whatever c, the result lies between theta and the anchor, so no strength can make it diverge
        (Parikh & Boyd 2014, "Proximal algorithms", section 1.1).
        """
        each = _checks.factors("c", c, _checks.module(model))
        if self.n_tasks and any(isinstance(value, Tensor) or value for value in each.values()):
            names, theta, precision, anchor = self._held(model)
            self._watch_out(model)
            self._steps.pull(theta, precision, anchor, [each.get(n, each.get("", 0.0)) for n in names])

    def stability_limit(self, lr: float, momentum: float = 0.0) -> float:
        """The largest strength that the gradient step survives: 2 (1 + momentum) / (lr * max P); infinity before any task.

        Beyond it SGD with these settings overshoots the anchor by more at every step, along the weight that matters most. It
        is exact for the penalty alone; the curvature of the new task's loss takes some of it away.

        Raises:
            ValueError: lr is negative, momentum not in [0, 1).

        Source: Polyak 1964, heavy-ball method: stable on a quadratic of curvature h while lr h < 2 (1 + momentum).
        """
        _checks.real_number("lr", lr, at_least=0.0)
        _checks.real_number("momentum", momentum, at_least=0.0, below=1.0)
        largest = max((float(p.max()) for p in self.precision.values() if p.numel()), default=0.0)
        return 2 * (1 + momentum) / (lr * largest) if lr * largest > 0 else math.inf

    def to(self, device: torch.device | str) -> Self:
        """Move what is kept to ``device``, in place. (Using the penalty on a model does so too.)"""
        target = _checks.device(device)
        for kept in self._tensors().values():
            kept.update({name: t.to(target) for name, t in kept.items()})
        return self

    def state_dict(self) -> dict[str, Any]:
        """What was learnt (not the settings), in plain types and tensors: safe for ``torch.load(weights_only=True)``."""
        tensors = {key: {name: t.clone() for name, t in kept.items()} for key, kept in self._tensors().items()}
        return {"kind": type(self).__name__, "n_tasks": self.n_tasks, "constant": self.constant, **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` of a penalty of the same kind gave.

        Raises:
            TypeError, ValueError: ``state`` is of another kind of penalty, not complete, or holds what no penalty has: NaN,
                infinity, a precision below 0. The penalty then stays as it was.
        """
        expected = {"kind", "n_tasks", "constant", *self._tensors()}
        if not isinstance(state, Mapping) or set(state) != expected:
            got = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"state must have the entries {sorted(expected)}, got {got}")
        if state["kind"] != type(self).__name__:
            raise ValueError(f"state is of a penalty {state['kind']}, this is {type(self).__name__}")
        for key in self._tensors():
            _checks.kept(f"state[{key!r}]", state[key], at_least=0.0 if key == "precision" else -math.inf)
        shapes = [{name: t.shape for name, t in state[key].items()} for key in ("precision", "anchor")]
        if shapes[0] != shapes[1]:
            raise ValueError("state must have the same names and shapes in precision and anchor")
        n_tasks = _checks.whole_number("state['n_tasks']", state["n_tasks"], at_least=0)
        self.constant, self.n_tasks = _checks.real_number("state['constant']", state["constant"], at_least=0.0), n_tasks
        for key, kept in self._tensors().items():
            kept.clear()
            kept.update({name: t.clone() for name, t in state[key].items()})

    def _tensors(self) -> dict[str, Named]:
        """All that is kept, by name of the attribute."""
        return {"precision": self.precision, "anchor": self.anchor}

    def _watch_out(self, model: nn.Module) -> None:
        self._warned = self._warned or (self.n_tasks > 0 and warn_of_averaging(model))  # once

    def _held(self, model: nn.Module) -> tuple[list[str], list[Tensor], list[Tensor], list[Tensor]]:
        """Names and weights that are held and may move, their P, their m. P and m move to the model's device and type."""
        parameters = _checks.parameters(model)
        if any(name not in parameters or parameters[name].shape != m.shape for name, m in self.anchor.items()):
            self.check(model)  # says what is wrong; more rows are not
            for name, m in self.anchor.items():
                self.precision[name] = with_rows_of(torch.zeros_like(parameters[name]), self.precision[name])
                self.anchor[name] = with_rows_of(parameters[name].detach(), m)
        names = [name for name in self.anchor if parameters[name].requires_grad]
        theta: list[Tensor] = [parameters[name] for name in names]
        for kept in (self.precision, self.anchor):
            if any(kept[n].device != p.device or kept[n].dtype != p.dtype for n, p in zip(names, theta, strict=True)):
                kept.update({name: t.to(parameters[name]) for name, t in kept.items()})
        return names, theta, [self.precision[name] for name in names], [self.anchor[name] for name in names]


class L2(Penalty):
    """Hold every weight equally: P = 1, at the weights of the latest task.

    This is not weight decay: weight decay pulls towards zero, this pulls towards what was learnt. Weights that serve only
    the outputs of tasks still to come (another head) have learnt nothing yet, and are not held.
    """

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        first = next(prepared_batches(model, data, None, classes))
        here, elsewhere = serving(model, next(first.batches(256))[0], first.classes)
        return {name: (here[name] | ~elsewhere[name]).to(p.dtype) for name, p in _checks.trainable(model).items()}

    def merge(self, importance: Named, weights: Named) -> None:
        for name, new in importance.items():
            self.precision[name] = torch.maximum(self.precision[name], new) if name in self.precision else new
            self.anchor[name] = weights[name]


class EWC(Penalty):
    """Elastic weight consolidation: hold each weight as firmly as its Fisher information says (Kirkpatrick et al. 2017).

    One quadratic is kept for each task; K of them add up to a single one, with P = sum_k F_k and m = sum_k F_k theta_k / P,
    so fifty tasks cost what one costs, and the value is still the sum.

    Args:
        labels, n, seed, likeliest: how the Fisher information is computed, see :func:`cl_teach.diagonal_fisher`.
    """

    def __init__(self, labels: str = "exact", n: int | None = None, seed: int = 0, likeliest: int = 4) -> None:
        super().__init__()
        self.labels = _checks.one_of("labels", labels, LABELS)
        self.n = None if n is None else _checks.whole_number("n", n, at_least=1)
        self.seed = _checks.seed(seed)
        self.likeliest = _checks.whole_number("likeliest", likeliest, at_least=1)

    def importance(self, model: nn.Module, data: Data, classes: Sequence[int] | None) -> Named:
        return diagonal_fisher(model, data, self.labels, n=self.n, classes=classes, seed=self.seed, likeliest=self.likeliest)

    def merge(self, importance: Named, weights: Named) -> None:
        for name, f in importance.items():
            if name not in self.precision:
                self.precision[name], self.anchor[name] = f, weights[name]
                continue
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
        labels, n, seed, likeliest: as in :class:`EWC`.
    """

    def __init__(
        self, decay: float = 1.0, labels: str = "exact", n: int | None = None, seed: int = 0, likeliest: int = 4
    ) -> None:
        super().__init__(labels, n, seed, likeliest)
        self.decay = _checks.real_number("decay", decay, at_least=0.0, at_most=1.0)

    def merge(self, importance: Named, weights: Named) -> None:
        self.precision |= {name: self.decay * p for name, p in self.precision.items() if name in importance}
        Penalty.merge(self, importance, weights)


class LatestEWC(OnlineEWC):
    """EWC with all Fishers added up, at the weights of the latest task only (Huszar 2018, arXiv:1712.03847, eq. 8).

    The latest weights were already held to the earlier tasks, so earlier anchors count in them. It is OnlineEWC with decay 1.

    Args:
        labels, n, seed, likeliest: as in :class:`EWC`.
    """

    def __init__(self, labels: str = "exact", n: int | None = None, seed: int = 0, likeliest: int = 4) -> None:
        super().__init__(1.0, labels, n, seed, likeliest)


def proximal_factor(strength: float, lr: float, momentum: float) -> float:
    """The c of :meth:`Penalty.proximal_step` that gives the proximal step of SGD the fixed point of its gradient step."""
    return lr * strength / (1 - momentum)
