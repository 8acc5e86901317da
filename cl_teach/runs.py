"""What is left of each task: the accuracies of a learnt sequence, and the numbers that sum them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from . import _checks
from .history import History


@dataclass
class Run:
    """A learnt sequence of T tasks.

    Attributes:
        accuracy: (T, T) float64; [i, j] is the test accuracy on task j after training on task i, NaN while j is unseen.
        loss: the same for the mean test cross-entropy.
        histories: one :class:`History` a task.
        interrupted: True if Ctrl-C ended the sequence early; rows of tasks not learnt are NaN.
        untrained: (T,) accuracy on each task before any was learnt.
        ahead: (T,) accuracy on each task just before it was learnt.
    """

    accuracy: Tensor
    loss: Tensor
    histories: list[History] = field(default_factory=list)
    interrupted: bool = False
    untrained: Tensor = field(default_factory=lambda: torch.empty(0))
    ahead: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def average_accuracy(self) -> float:
        """Mean accuracy over the tasks seen, after the last one learnt (Lopez-Paz & Ranzato 2017, arXiv:1706.08840, ACC)."""
        return float(self.accuracy[max(len(self.histories), 1) - 1].nanmean())

    @property
    def learning_accuracy(self) -> float:
        """Mean over the tasks of the accuracy just after each was learnt (Riemer et al. 2019, arXiv:1810.11910)."""
        return float(self.accuracy.diagonal().nanmean())

    @property
    def forgetting(self) -> float:
        """Mean over earlier tasks of the best accuracy there was before the last task, minus the one after it; 0 for one task.

        Source: Chaudhry et al. 2018 (arXiv:1801.10112), eq. 3.
        """
        before, last = self._earlier()
        return float((before.nan_to_num(nan=-1.0).max(dim=0).values - last).mean()) if len(last) else 0.0

    @property
    def backward_transfer(self) -> float:
        """Mean over earlier tasks of the last accuracy minus the one just after learning (BWT there); 0 for one task."""
        before, last = self._earlier()
        return float((last - before.diagonal()).mean()) if len(last) else 0.0

    @property
    def forward_transfer(self) -> float:
        """Mean over later tasks of the accuracy just before learning minus that of the untrained network (FWT there)."""
        gained = (self.ahead - self.untrained)[1 : max(len(self.histories), 1)]
        return float(gained.mean()) if len(gained) else 0.0

    def intransigence(self, joint: Sequence[float]) -> float:
        """Mean over the tasks learnt of what joint training reaches on each, minus the accuracy just after it was learnt.

        Args:
            joint: (T,) accuracy on each task of a network that has learnt all of them together, each in [0, 1].

        Raises:
            TypeError, ValueError: ``joint`` is not one share for each task.

        Source: Chaudhry et al. 2018 (arXiv:1801.10112), section 3.2, where the reference for task k has learnt tasks 1 to k.
        """
        if isinstance(joint, (str, bytes)) or not isinstance(joint, (Sequence, Tensor)):
            raise TypeError(f"joint must be accuracies, one a task, got {_checks.shown(joint)}")
        if len(joint) != len(self.accuracy):
            raise ValueError(f"joint must be {len(self.accuracy)} accuracies, one a task, got {len(joint)}")
        reached = torch.tensor([_checks.share("joint", value) for value in joint], dtype=torch.float64)
        return float((reached - self.accuracy.diagonal()).nanmean())

    def _earlier(self) -> tuple[Tensor, Tensor]:
        """Of all tasks learnt but the last one: the accuracies until then (k, k), and those at the end (k,)."""
        k = max(len(self.histories), 1) - 1
        return self.accuracy[:k, :k], self.accuracy[k, :k]
