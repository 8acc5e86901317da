"""cl_teach: understand elastic weight consolidation by running it.

The whole public surface is here; each name is explained where it is defined, and the modules read in this order:
tasks, models, fisher, penalties, training, sweeps, landscapes, figures, widgets, course.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ._checks import device
from .course import check, claim, setup
from .curvature import fisher_vector_product, full_fisher, kfac, restricted_fisher
from .fisher import diagonal_fisher
from .history import Evaluation, History
from .models import article_cnn, mlp, two_weights
from .penalties import EWC, L2, LatestEWC, OnlineEWC, Penalty
from .rivals import MAS, SI, output_sensitivity
from .sweeps import Sweep, sweep
from .tasks import (
    Split,
    Task,
    joint,
    mnist,
    permuted,
    permuted_mnist,
    rotated,
    rotated_mnist,
    split,
    split_mnist,
    two_weight_tasks,
)
from .training import Run, evaluate, learn, train

if TYPE_CHECKING:
    from . import figures, landscapes, widgets

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
    "split",
    "split_mnist",
    "sweep",
    "train",
    "two_weight_tasks",
    "two_weights",
    "widgets",
]


def __getattr__(name: str) -> ModuleType:
    # Matplotlib and ipywidgets are imported when a picture is first asked for: training on a server needs neither.
    if name in ("figures", "landscapes", "widgets"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
