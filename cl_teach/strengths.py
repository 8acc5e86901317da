"""Which lambda to try: strengths from one that does nothing to one that holds everything, read off a penalty's precision.

Strengths of different methods and networks cannot be compared, as their precisions differ by powers of ten. What can be is the
share of its way back to the anchor that a weight is taken after each step of SGD, c P / (1 + c P) with
c = lr * lambda / (1 - momentum): see ``Penalty.proximal_step``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import _checks
from .penalties import Penalty, proximal_factor

VALUES = 9
NOTHING = 1e-4  # c P of the weights that hold half of the precision: 1,000 steps take them a tenth of the way back
EVERYTHING = 3.0  # c P of the least weight of those that hold 99 % of it: each step takes it three quarters of the way back


def suggest_strengths(penalty: Penalty, lr: float = 0.05, momentum: float = 0.9) -> list[float]:
    """Nine strengths lambda to try with ``penalty``, ascending, in equal ratios, rounded to one digit.

    The first does nothing, the last holds nearly everything, and the best lies between them. With c = lr * lambda /
    (1 - momentum), and P(q) the smallest precision among the most important weights that together have the share q of it all,

        c P(0.5) = 0.0001 at the first: 1,000 steps take such a weight a tenth of the way back to its anchor
        c P(0.99) = 3 at the last: each step takes it three quarters of the way back

    so that the last is 30,000 P(0.5) / P(0.99) times the first: 4.5 decades for L2, about 6 for EWC. ``cl.sweep`` tries them
    and :meth:`Sweep.best` tells the best, around which a second sweep may look closer.

    Args:
        penalty: has consolidated at least one task; what several tasks have left in it counts as one.
        lr, momentum: of SGD, as :func:`cl_teach.train` will be given them.

    Limits: weights that A does not need (P = 0: pixels it leaves dark, hidden units it does not wake) are held by no lambda,
    those it hardly needs only by one beyond the last. With them B may be learnt, or A forgotten, at the last strength too; this
    is common in ReLU networks. With ``step="gradient"`` only values below ``penalty.stability_limit(lr, momentum)`` work: with
    momentum 0.9 all of them for L2, the lower two thirds or so for EWC. For other optimisers than SGD the ends say nothing.

    Raises:
        TypeError: ``penalty`` is no penalty.
        ValueError: it has consolidated no task, its precision is zero everywhere, negative, infinite or NaN; lr is not above 0,
            momentum not in [0, 1).
    """
    if not isinstance(penalty, Penalty):
        raise TypeError(f"penalty must be a cl_teach penalty such as EWC(), got {type(penalty).__name__}")
    _checks.real_number("lr", lr, at_least=1e-12)
    _checks.real_number("momentum", momentum, at_least=0.0, below=1.0)
    c = proximal_factor(1.0, float(lr), float(momentum))
    precision = _descending(penalty)
    shares = precision.cumsum(0) / precision.sum()
    first = NOTHING / (c * float(precision[shares >= 0.5][0]))
    last = EVERYTHING / (c * float(precision[shares >= 0.99][0]))
    ratio = (last / first) ** (1 / (VALUES - 1))
    return [float(f"{first * ratio**i:.0e}") for i in range(VALUES)]


def _descending(penalty: Penalty) -> Tensor:
    """The precision of all weights in one vector, (P,), float64, the largest first; an error if it says nothing."""
    if not penalty.n_tasks:
        raise ValueError(
            "penalty must have consolidated a task, got one that has not; call penalty.consolidate(model, task) first"
        )
    for name, p in penalty.precision.items():
        if bad := int((~torch.isfinite(p) | (p < 0)).sum()):
            raise ValueError(
                f"penalty must have a finite precision, none below 0, got {bad} such values of {p.numel()} in {name}"
            )
    precision = torch.cat([p.detach().flatten().cpu().double() for p in penalty.precision.values()])
    if not precision.any():
        raise ValueError(
            "penalty must hold at least one weight, got a precision of 0 everywhere; does the network learn at all?"
        )
    return precision.sort(descending=True).values
