"""Adam and a penalty: in which form does EWC give the numbers of van de Ven 2025 (arXiv:2502.11756)?

All is as in van_de_ven_2025.py, method EXACT, but for the form in which the penalty acts on a step of Adam (protocol.py), and
whether Adam is begun anew with each task (there: the gradient is added before Adam, one Adam for all tasks):

| column | the penalty | Adam |
|---|---|---|
| decoupled | its gradient moves the weights after Adam's step, by lr times it | one for all tasks |
| proximal | solved exactly after Adam's step, in Adam's metric | one for all tasks |
| before, anew | its gradient is added before Adam | a new one for each task |
| proximal, anew | solved exactly after Adam's step, in Adam's metric | a new one for each task |
"""

from __future__ import annotations

from dataclasses import replace

from . import van_de_ven_2025
from .table import Table

PAPER = van_de_ven_2025.TABLE
FORMS = {
    "decoupled": ("decoupled", False),
    "proximal": ("proximal", False),
    "before, anew": ("before", True),
    "proximal, anew": ("proximal", True),
}
CELLS = {("before, anew", "none"): (0.0,)} | {(column, "EXACT"): (1e2, 1e4, 1e6, 1e8) for column in FORMS}

TABLE = Table(
    name="adam_forms",
    title="Split MNIST, task-incremental, online EWC under Adam: forms of the penalty",
    published={(column, method): PAPER.published["task", method] for column, method in CELLS},
    strengths=CELLS,
    protocols={column: replace(PAPER.protocols["task"], form=form, reset=reset) for column, (form, reset) in FORMS.items()},
    tasks=PAPER.tasks,
    penalty=PAPER.penalty,
    seeds=(1, 2, 3),
)
