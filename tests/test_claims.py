"""Every claim of every lesson must also hold under other seeds than those that the lesson shows.

Where there is a browser, test_browser.py has run the lessons under these seeds already; here they are run where there is none.
"""

import shutil
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

import cl_teach

LESSONS = sorted((Path(__file__).parent.parent / "notebooks").glob("[0-9]*.ipynb"))
SEEDED = ("mlp", "two_weight_tasks", "permuted_mnist", "train", "learn")
OFFSET = 100
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None) if find_spec("playwright") else None


@pytest.fixture
def as_before():
    """Give back what ``cl.setup()`` changes for the whole process."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


def shift_seed(function: Callable, offset: int) -> Callable:
    return lambda *args, **options: function(*args, **{**options, "seed": options.get("seed", 0) + offset})


def shift_seeds(offset: int) -> Callable[..., cl_teach.Sweep]:
    """A sweep of other seeds, whose results go by the names of those asked for."""

    def sweep(model: nn.Module | Callable, *args, seeds: Sequence[int] = (0,), **options) -> cl_teach.Sweep:
        build = model if isinstance(model, nn.Module) else lambda seed: model(seed - offset)  # it adds the offset itself
        found = cl_teach.sweep(build, *args, seeds=[seed + offset for seed in seeds], **options)
        starts = {seed - offset: start for seed, start in found.starts.items()}
        results = {(method, strength, seed - offset): run for (method, strength, seed), run in found.results.items()}
        return replace(found, seeds=tuple(seeds), starts=starts, results=results)

    return sweep


def shifted(offset: int, claims: list[str], explorers: bool = False) -> types.SimpleNamespace:
    """cl_teach as lessons see it, every seed moved by ``offset``, claims recorded, and explorers only drawn if asked for."""
    cl = types.SimpleNamespace(**{name: getattr(cl_teach, name) for name in cl_teach.__all__})
    for name in SEEDED:
        setattr(cl, name, shift_seed(getattr(cl_teach, name), offset))
    cl.sweep = shift_seeds(offset)

    def claim(sentence, *args, **bounds):
        claims.append(sentence)
        cl_teach.claim(sentence, *args, **bounds)

    cl.claim = claim
    if not explorers:
        nothing = types.SimpleNamespace(Explorer=lambda *args, **options: None, Prediction=cl_teach.widgets.Prediction)
        cl.widgets = nothing
    return cl


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is not None, reason="run in the browser, by test_browser.py")
@pytest.mark.filterwarnings("ignore:training diverged")
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_claims_hold_under_other_seeds(lesson, as_before):
    claims: list[str] = []
    namespace = {"cl": shifted(OFFSET, claims)}
    first, *cells = [cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "code"]
    assert "import cl_teach as cl" in first  # the set-up cell: its import would undo the shift
    namespace["cl"].setup()
    for source in cells:
        exec(compile(source, str(lesson), "exec"), namespace)
    assert len(claims) >= 3


def test_a_shifted_sweep_is_that_of_the_other_seeds_under_the_names_asked_for():
    cl, calls = shifted(100, []), []
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    data = cl.Split(x, torch.arange(40) % 3)

    def network(seed: int) -> nn.Module:
        calls.append(seed)
        return cl.mlp((5,), n_inputs=4, n_classes=3, seed=seed)

    options = {"strengths": [0, 1], "methods": ["L2"], "epochs": 1, "batch_size": 10}
    found = cl.sweep(network, data, data, seeds=[0, 1], **options)
    wanted = cl_teach.sweep(
        lambda seed: cl_teach.mlp((5,), n_inputs=4, n_classes=3, seed=seed), data, data, seeds=[100, 101], **options
    )
    assert calls == [0, 1] and found.seeds == (0, 1) and list(found.starts) == [0, 1]
    for seed in (0, 1):
        torch.testing.assert_close(found.starts[seed].weights, wanted.starts[seed + 100].weights)
        torch.testing.assert_close(found["L2", 1, seed].weights, wanted["L2", 1, seed + 100].weights)
    one = cl.mlp((5,), n_inputs=4, n_classes=3)
    torch.testing.assert_close(cl.sweep(one, data, data, **options).starts[0].weights, found.starts[0].weights)
