"""Checks of exercises tell a right answer from a wrong one, and never stop a lesson."""

import math
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

import cl_teach as cl
from cl_teach.course import exercises
from cl_teach.course.exercises import EXERCISES

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
    "10.1": lambda model: [m.train(getattr(m, "running_mean", None) is None) for m in model.modules()],
    "10.2": 20.0,
    "10.3": "statistics",
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
    "10.1": lambda model: model.train(),
    "10.2": 2.0,
    "10.3": "strength",
}


def test_every_exercise_is_tested():
    assert set(RIGHT) == set(WRONG) == set(EXERCISES)


def test_every_exercise_stands_in_the_file_of_its_lesson():
    files = list(Path(exercises.__file__).parent.glob("lesson_*.py"))
    assert {file.stem for file in files} >= {f"lesson_{k}" for k in (1, 2, 3, 4, 5, 10)}
    for file in files:
        numbers = list(import_module(f"{exercises.__name__}.{file.stem}").EXERCISES)
        lesson = file.stem.removeprefix("lesson_")
        assert numbers == [f"{lesson}.{k + 1}" for k in range(len(numbers))] and numbers


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


class Evil(Exception):
    """Fails even at saying what it is."""

    def __str__(self):
        raise RuntimeError


class Stubborn:
    def __getattr__(self, name):
        raise Evil

    def __call__(self, *args, **options):
        raise Evil

    def __float__(self):
        raise Evil

    __bool__ = __array__ = __float__


def again(*args):
    return again(*args)


def lines(*args):
    raise ValueError("one\ntwo")


ANSWERS = [
    None, 0, math.nan, math.inf, 10**400, True, 1j, b"1", [], (), {}, [None], torch.zeros(0), torch.full((9,), math.nan), cl,
    int, object(), iter([]), Stubborn(), lambda *args: None, lambda *args: [], lambda *args: torch.zeros(0),
    lambda *args: sys.exit(1), again, lines,
]  # fmt: skip


@pytest.mark.parametrize("exercise", sorted(RIGHT))
def test_no_answer_of_any_kind_stops_a_lesson_or_solves_by_being_empty(exercise, capsys):
    for answer in ANSWERS:
        cl.check(exercise, answer)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(ANSWERS) and all(line.startswith(f"✗ Exercise {exercise}, not yet: ") for line in said)


def test_unknown_exercise():
    with pytest.raises(ValueError, match=r"exercise must be one of .* got '9.9'"):
        cl.check("9.9", 1)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("2.1", lambda theta, anchor, strength: strength * theta - strength * anchor),
        ("3.1", lambda x, p: ((p - p**2) * x.T**2).mean(1)),
        ("4.1", lambda importance, theta, anchor: (importance * (theta**2 - 2 * theta * anchor + anchor**2)).sum()),
        ("4.2", lambda f1, m1, f2, m2: m2 + (m1 - m2) * f1 / (f1 + f2)),
    ],
)
def test_an_answer_that_is_right_in_another_form_is_right_every_time(exercise, answer):
    for seed in range(100):
        torch.manual_seed(seed)
        assert EXERCISES[exercise].is_right(answer)
