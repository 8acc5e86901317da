"""Claims stop a lesson when they are false; exercise checks never do."""

import pytest
import torch

import cl_teach as cl
from cl_teach import lessons


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


RIGHT = {
    "1.1": lambda before, after: (before - after) / (before - 0.1),
    "1.2": 0.68,
    "2.1": lambda theta, anchor, strength: strength * (theta - anchor),
    "2.2": 0.1,
    "3.1": lambda x, p: (x**2 * (p * (1 - p))[:, None]).mean(0),
    "3.2": 4,
    "4.1": lambda importance, theta, anchor: (importance * (theta - anchor) ** 2).sum(),
    "4.2": lambda f1, m1, f2, m2: (f1 * m1 + f2 * m2) / (f1 + f2),
    "5.1": lambda p, o, u, v: ((p - o) @ u, (p - o) @ v, (p - o - (p - o) @ u * u - (p - o) @ v * v).norm()),
    "5.2": cl.landscapes.Projection(8.35, 0.75, 4.284),
}
WRONG = {
    "1.1": lambda before, after: (before - after) / before,
    "1.2": 0.1,
    "2.1": lambda theta, anchor, strength: 2 * strength * (theta - anchor),
    "2.2": 0.05,
    "3.1": lambda x, p: (x * (p * (1 - p))[:, None]).mean(0),
    "3.2": 0.25,
    "4.1": lambda importance, theta, anchor: ((theta - anchor) ** 2).sum(),
    "4.2": lambda f1, m1, f2, m2: (m1 + m2) / 2,
    "5.1": lambda p, o, u, v: (p @ u, p @ v, (p - o).norm()),
    "5.2": 8.35,
}


def test_every_exercise_is_tested():
    assert set(RIGHT) == set(WRONG) == set(lessons._EXERCISES)


@pytest.mark.parametrize("exercise", sorted(RIGHT))
def test_exercises(exercise, capsys):
    cl.check(exercise, RIGHT[exercise])
    cl.check(exercise, WRONG[exercise])
    cl.check(exercise)
    cl.check(exercise, "nonsense")
    solved, wrong, to_do, nonsense = capsys.readouterr().out.splitlines()
    assert solved == f"✓ Exercise {exercise} is solved."
    assert wrong.startswith(f"✗ Exercise {exercise}, not yet")
    assert to_do.startswith(f"· Exercise {exercise} is still to do")
    assert nonsense.startswith(f"✗ Exercise {exercise}, not yet: it stopped with")


def test_unknown_exercise():
    with pytest.raises(ValueError, match=r"exercise must be one of .* got '9.9'"):
        cl.check("9.9", 1)


def test_setup_says_where_it_runs(capsys):
    cl.setup()
    assert torch.get_default_dtype() == torch.float64
    assert capsys.readouterr().out.startswith("cl_teach is ready, running on c")
