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
from .training import Run, evaluate, learn, train

# Rooms of their own, each behind one door.
from .history import Evaluation, History
from .rivals import MAS, SI, output_sensitivity
from .curvature import fisher_vector_product, full_fisher, kfac, restricted_fisher
from .sweeps import Sweep, sweep

if TYPE_CHECKING:  # matplotlib and ipywidgets are imported when a picture is first asked for: a server needs neither
    from . import landscapes, figures, widgets

from .course import check, claim, setup
from ._checks import device

__version__ = "0.1.0"

__all__ = [
    "EWC",
    "L2",
    "MAS",
    "SI",
    "Evaluation",
    "History",
    "LatestEWC",
    "OnlineEWC",
    "Penalty",
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
    "restricted_fisher",
    "rotated",
    "rotated_mnist",
    "setup",
    "split_classes",
    "split_mnist",
    "sweep",
    "train",
    "two_weight_tasks",
    "two_weights",
    "widgets",
]


def __getattr__(name: str) -> Any:
    if name in ("figures", "landscapes", "widgets"):
        return import_module(f".{name}", __name__)
    if name == "split":  # what split_classes was called before
        return split_classes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
