"""cl_teach: understand elastic weight consolidation by running it.

The whole public surface is here, in the order in which the modules read; each name is explained where it is defined.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Five files hold the idea.
from .tasks import (
    Split,
    Task,
    joint,
    mnist,
    permuted,
    permuted_mnist,
    rotated,
    rotated_mnist,
    split_classes,
    split_mnist,
    two_weight_tasks,
)
from .models import article_cnn, mlp, two_weights
from .fisher import diagonal_fisher
from .penalties import EWC, L2, LatestEWC, OnlineEWC, Penalty
from .training import evaluate, learn, train

# Rooms of their own, each behind one door; most are opened when something in them is first asked for.
from .history import Evaluation, History
from .runs import Run

if TYPE_CHECKING:
    from .rivals import MAS, SI, Replay, output_sensitivity
    from .curvature import fisher_vector_product, full_fisher, kfac, restricted_fisher
    from .kronecker import KFAC
    from .strengths import suggest_strengths
    from .sweeps import Sweep, sweep
    from . import landscapes, figures, widgets
    from .course import check, claim, progress, setup

from ._checks import device

__version__ = "0.1.0"

__all__ = [
    "EWC",
    "KFAC",
    "L2",
    "MAS",
    "SI",
    "Evaluation",
    "History",
    "LatestEWC",
    "OnlineEWC",
    "Penalty",
    "Replay",
    "Run",
    "Split",
    "Sweep",
    "Task",
    "article_cnn",
    "check",
    "claim",
    "device",
    "diagonal_fisher",
    "evaluate",
    "figures",
    "fisher_vector_product",
    "full_fisher",
    "joint",
    "kfac",
    "landscapes",
    "learn",
    "mlp",
    "mnist",
    "output_sensitivity",
    "permuted",
    "permuted_mnist",
    "progress",
    "restricted_fisher",
    "rotated",
    "rotated_mnist",
    "setup",
    "split_classes",
    "split_mnist",
    "suggest_strengths",
    "sweep",
    "train",
    "two_weight_tasks",
    "two_weights",
    "widgets",
]


_ROOMS = {
    "rivals": ("MAS", "SI", "Replay", "output_sensitivity"),
    "curvature": ("fisher_vector_product", "full_fisher", "kfac", "restricted_fisher"),
    "kronecker": ("KFAC",),
    "strengths": ("suggest_strengths",),
    "sweeps": ("Sweep", "sweep"),
    "landscapes": (),  # these three are asked for by their own names
    "figures": (),
    "widgets": (),
    "course": ("check", "claim", "progress", "setup"),
}


def __getattr__(name: str) -> Any:
    if name == "split":  # what split_classes was called before
        return split_classes
    for room, names in _ROOMS.items():
        if name == room or name in names:
            opened = import_module(f".{room}", __name__)
            return opened if name == room else getattr(opened, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
