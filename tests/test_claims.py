"""Every claim of every lesson must also hold under other seeds than those that the lesson shows."""

import types
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import torch

import cl_teach

LESSONS = sorted((Path(__file__).parent.parent / "notebooks").glob("[0-9]*.ipynb"))
SEEDED = ("mlp", "two_weight_tasks", "permuted_mnist", "train", "learn")


@pytest.fixture
def as_before():
    """Give back what ``cl.setup()`` changes for the whole process."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


def shift_seed(function: Callable, offset: int) -> Callable:
    return lambda *args, **options: function(*args, **{**options, "seed": options.get("seed", 0) + offset})


def shifted(offset: int, claims: list[str]) -> types.SimpleNamespace:
    """cl_teach as lessons see it, every seed moved by ``offset``, claims recorded, and explorers not drawn."""
    cl = types.SimpleNamespace(**{name: getattr(cl_teach, name) for name in cl_teach.__all__})
    for name in SEEDED:
        setattr(cl, name, shift_seed(getattr(cl_teach, name), offset))

    def claim(sentence, *args, **bounds):
        claims.append(sentence)
        cl_teach.claim(sentence, *args, **bounds)

    cl.claim = claim
    cl.widgets = types.SimpleNamespace(Explorer=lambda *args, **options: None, Prediction=cl_teach.widgets.Prediction)
    return cl


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:training diverged")
@pytest.mark.parametrize("offset", [100, 200])
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_claims_hold_under_other_seeds(lesson, offset, as_before):
    claims: list[str] = []
    namespace = {"cl": shifted(offset, claims)}
    first, *cells = [cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "code"]
    assert "import cl_teach as cl" in first  # the set-up cell: its import would undo the shift
    namespace["cl"].setup()
    for source in cells:
        exec(compile(source, str(lesson), "exec"), namespace)
    assert len(claims) >= 3
