"""Exercises and their checks: those of lesson k are in ``lesson_k.py``, and are found there by the name of the file.

Worked solutions are notebooks, in ``notebooks/solutions``.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import torch

from ... import _checks
from ..._progress import tell
from .exercise import Exercise, Wrong

EXERCISES: dict[str, Exercise] = {}  # "1.1", "1.2", ...
for _file in iter_modules(__path__):
    if _file.name.startswith("lesson_"):
        EXERCISES |= import_module(f"{__name__}.{_file.name}").EXERCISES


def check(exercise: str, answer: object = ...) -> None:
    """Say whether an exercise is solved, or what is wrong; raise nothing, so that Run All always runs through.

    Args:
        exercise: its number, such as "1.1".
        answer: the student's number or function; ``...`` means "not yet".

    Raises:
        ValueError: there is no such exercise.
    """
    asked = EXERCISES[_checks.one_of("exercise", exercise, sorted(EXERCISES))]
    if answer is ...:
        tell(f"· Exercise {exercise} is still to do: {asked.task}")
        return
    generator = torch.Generator()
    generator.seed()  # new inputs each time; the random numbers of the lesson stay as they are
    try:
        words = asked.wrong(answer, generator)
    except Wrong as wrong:
        words = str(wrong)
    except (Exception, SystemExit) as error:  # whatever a student's code raises is told to the student
        words = f"it stopped with {type(error).__name__}{_told(error)}"
    tell(f"✗ Exercise {exercise}, not yet: {words}." if words else f"✓ Exercise {exercise} is solved.")


def _told(error: BaseException) -> str:
    """What an error says, on one line; a student's own may fail even at that."""
    try:
        return f": {' '.join(str(error).split())[:300]}"
    except Exception:
        return ""
