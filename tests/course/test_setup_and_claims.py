"""Claims stop a lesson when they are false."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch

import cl_teach as cl
from cl_teach.course import setup_and_claims


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


def test_setup_says_where_it_runs(capsys):
    cl.setup()
    assert torch.get_default_dtype() == torch.float64
    assert capsys.readouterr().out.startswith("cl_teach is ready, running on c")


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
