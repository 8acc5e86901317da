"""Claims stop a lesson when they are false; a lesson that is started in the middle says what to do."""

import os
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import refresh
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from torch.utils.data import DataLoader, IterableDataset

import cl_teach as cl
from cl_teach import _progress
from cl_teach.course import setup_and_claims


@pytest.fixture
def bars(monkeypatch):
    """The settings and counts of each bar that is made."""
    made = []

    class Bar(_progress.tqdm):
        def __init__(self, **settings):
            self.counts, self.ended = [], False
            made.append((settings, self))
            super().__init__(**{**settings, "disable": True})

        def update(self, n=1):
            self.counts.append(n)

        def close(self):
            self.ended = True

    monkeypatch.setattr(_progress, "tqdm", Bar)
    return made


class Stream(IterableDataset):
    def __iter__(self):
        return iter([0, 1])


class Indexed:
    def __getitem__(self, i):
        return [5, 6][i]


def test_progress_gives_the_same_things_and_counts_what_is_done(bars, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    seen = []
    for thing in cl.progress("abc"):
        seen.append((thing, len(bars[0][1].counts)))
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    ((settings, shown),) = bars
    assert shown.counts == [1, 1, 1] and shown.ended
    assert (settings["total"], settings["delay"], settings["leave"], settings["disable"]) == (3, 2, False, False)


def test_progress_of_what_has_no_length(bars):
    assert list(cl.progress((n for n in range(4)), total=4)) == list(cl.progress(n for n in range(4))) == [0, 1, 2, 3]
    assert list(cl.progress(iter(()), total=0)) == [] and list(cl.progress("ab", total=7)) == ["a", "b"]
    stream = cl.progress(DataLoader(Stream(), batch_size=None))  # has a __len__, which raises TypeError
    assert list(stream) == list(cl.progress([0, 1])) == [0, 1]
    assert list(cl.progress(Indexed())) == [5, 6]  # what a for loop takes without being an Iterable
    assert [settings["total"] for settings, _ in bars] == [4, None, 0, 7, None, 2, None]


def test_progress_ends_with_the_loop(bars):
    for n in cl.progress(range(10)):
        if n == 2:
            break
    del n
    assert bars[0][1].ended and bars[0][1].counts == [1, 1]


def test_true_claims_print_what_was_measured(capsys):
    cl.claim("one", 0.6667, at_least=0.4)
    cl.claim("many", [0.5, 0.7], at_least=0.4, at_most=0.8)
    cl.claim("tensor", torch.tensor(0.25), at_most=0.3)
    cl.claim("rounding", 3e-14, at_most=1e-9)
    assert capsys.readouterr().out.splitlines() == [
        "✓ one: 0.667 (claimed: at least 0.4)",
        "✓ many: 0.5 to 0.7, 2 values (claimed: at least 0.4 and at most 0.8)",
        "✓ tensor: 0.25 (claimed: at most 0.3)",
        "✓ rounding: 0.000000 (claimed: at most 1e-09)",
    ]


@pytest.mark.parametrize("measured", [0.39, [0.9, 0.39], float("nan"), [0.9, float("nan")], torch.tensor([0.1, 0.9])])
def test_false_claims_raise(measured):
    with pytest.raises(AssertionError, match=r"at least 0\.4"):
        cl.claim("false", measured, at_least=0.4)


def test_claims_that_cannot_fail_are_refused():
    with pytest.raises(ValueError, match="at_least or at_most"):
        cl.claim("anything", 1.0)
    with pytest.raises(ValueError, match="measured must hold at least one number"):
        cl.claim("nothing", [], at_least=0.0)


def test_setup_says_where_it_runs(capsys, monkeypatch):
    """On the CPU, whatever else there is, so that what learners write themselves meets no other device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert cl.device() == torch.device("cuda")
    cl.setup()
    assert torch.get_default_dtype() == torch.float64
    assert capsys.readouterr().out == "cl_teach is ready, running on cpu\n"
    assert cl.device() == next(cl.mlp().parameters()).device == torch.device("cpu")


def test_setup_looks_for_what_the_lessons_need(capsys, monkeypatch):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = dict(re.match(r"(\w+)>=([\d.]+)", line).groups() for line in project["dependencies"])
    assert oldest == setup_and_claims.NEEDS
    found = {
        "torch": "2.10.1+cu130",
        "torchvision": "0.26.0+cpu",
        "matplotlib": "3.10",
        "ipywidgets": "7.7.1",
        "tqdm": "4.66.0",
    }
    monkeypatch.setattr(setup_and_claims, "version", found.__getitem__)
    cl.setup()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("torch is 2.10.1+cu130 here; the lessons are tested with 2.11 and newer")
    assert second.startswith("cl_teach is ready")

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(setup_and_claims, "version", missing)
    with pytest.raises(
        RuntimeError, match=r"^torch is not installed, and the lessons need it: python -m pip install 'torch>=2\.11'"
    ):
        cl.setup()


def test_what_is_no_number_fails_and_is_printed_as_it_is():
    nan, inf = float("nan"), float("inf")
    for measured, words in (
        (nan, "c: nan (claimed"),
        ([nan, 0.9, 0.7], "c: 0.7 to 0.9, 3 values, 1 of them nan"),
        (inf, "c: inf ("),
    ):
        with pytest.raises(AssertionError) as caught:
            cl.claim("c", measured, at_least=0.4)
        assert words in str(caught.value)


def test_numbers_of_numpy_and_tensors_are_measured(capsys):
    for measured in (np.float32(0.5), np.array([[0.5]]), [torch.tensor(0.5)], iter([0.5]), {"a": 0.5}.values()):
        cl.claim("c", measured, at_least=np.float64(0.5), at_most=torch.tensor(1))
    assert capsys.readouterr().out == 5 * "✓ c: 0.5 (claimed: at least 0.5 and at most 1)\n"


def test_setup_takes_one_thread():
    torch.set_num_threads(2)
    try:
        cl.setup()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)


def test_a_number_on_the_bound_is_allowed_and_tiny_ones_are_not_told(capsys):
    cl.claim("on it", [0.5, -0.25], at_least=-0.25, at_most=0.5)
    cl.claim("small", [1e-6, -9e-7, 9e-7], at_most=1)
    assert capsys.readouterr().out.splitlines() == [
        "✓ on it: -0.25 to 0.5, 2 values (claimed: at least -0.25 and at most 0.5)",
        "✓ small: 0.000000 to 1e-06, 3 values (claimed: at most 1)",
    ]
    for bounds in ({"at_least": 0.51}, {"at_most": 0.49}):
        with pytest.raises(AssertionError, match=r"^✗ off it: 0\.5 "):
            cl.claim("off it", 0.5, **bounds)


AFTER_A_RESTART = {  # a cell -> the beginning of the error's words, and whether what to do is said
    "first = tasks[0]": ("name 'tasks' is not defined", "tasks"),
    "def loss_of(x):\n    return x + model_a\nloss_of(1)": ("name 'model_a' is not defined", "model_a"),
    "def count():\n    print(n)\n    n = 1\ncount()": ("cannot access local variable 'n'", None),
    "cl.models.__dict__.pop('_seeded')\ncl.mlp()": ("name '_seeded' is not defined", None),  # a fault of the package
    "tasks": ("name 'tasks' is not defined", "tasks"),  # and again
}


@pytest.mark.slow
def test_in_the_middle_after_a_restart_a_lesson_says_what_to_do():
    cells = ["import cl_teach as cl\ncl.setup()", *AFTER_A_RESTART, "print(tasks)", "print('never')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    for cell in notebook.cells[1:-2]:
        cell.metadata["tags"] = ["raises-exception"]
    client = NotebookClient(
        notebook,
        kernel_name=refresh.CURRENT_ENV_KERNEL_NAME,
        kernel_manager_class=refresh.ThisInterpreter,
        extra_arguments=["--log-level=ERROR"],
    )
    with pytest.raises(CellExecutionError):  # the kernel's answer is an error, so Run All goes no further
        client.execute(env={**os.environ, **refresh.ENVIRONMENT})
    assert notebook.cells[-1].outputs == [] and notebook.cells[-2].outputs
    for cell, (words, name) in zip(notebook.cells[1:-2], AFTER_A_RESTART.values(), strict=True):
        (error,) = cell.outputs
        assert error.output_type == "error" and error.evalue.startswith(words)
        advice = f". If a cell above makes {name}, that cell has not run yet: choose Run > Run All Above Selected Cell "
        assert error.evalue.count(advice) == (name is not None), error.evalue
        assert ("Run >" in error.evalue) == (name is not None)
        assert error.evalue in error.traceback[-1]


def test_a_handler_of_somebody_else_stays(monkeypatch):
    handled = []
    shell = SimpleNamespace(custom_exceptions=(), set_custom_exc=lambda *args: handled.append(args))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    cl.setup()
    assert [kinds for kinds, _ in handled] == [(NameError,)]
    shell.custom_exceptions = (NameError,)
    cl.setup()
    assert len(handled) == 1
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))  # imported, but not running
    cl.setup()
