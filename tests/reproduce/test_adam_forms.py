"""Forms of a penalty under Adam: all else is van de Ven's."""

from dataclasses import replace

from cl_teach.reproduce.adam_forms import TABLE
from cl_teach.reproduce.van_de_ven_2025 import TABLE as PAPER


def test_only_the_form_and_adam_s_memory_differ():
    found = {column: (protocol.form, protocol.reset) for column, protocol in TABLE.protocols.items()}
    assert found == {
        "decoupled": ("decoupled", False),
        "proximal": ("proximal", False),
        "before, anew": ("before", True),
        "proximal, anew": ("proximal", True),
    }
    for protocol in TABLE.protocols.values():
        assert replace(protocol, form="before", reset=False) == PAPER.protocols["task"]
    assert TABLE.tasks is PAPER.tasks and TABLE.penalty is PAPER.penalty


def test_cells_are_compared_with_the_paper_s():
    assert TABLE.published == {
        ("before, anew", "none"): PAPER.published["task", "none"],
        **{(column, "EXACT"): PAPER.published["task", "EXACT"] for column in TABLE.protocols},
    }
    grids = {strengths for (_, method), strengths in TABLE.strengths.items() if method == "EXACT"}
    assert grids == {(1e2, 1e4, 1e6, 1e8)} and set(*grids) <= set(PAPER.strengths["task", "EXACT"])
