"""Exercises and their checks: those of lesson k are in ``lesson_k.py``, and are found there by the name of the file.

Worked solutions are notebooks, in ``notebooks/solutions``.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ... import _checks
from .exercise import Exercise

EXERCISES: dict[str, Exercise] = {}  # "1.1", "1.2", ...
for _file in iter_modules(__path__):
    if _file.name.startswith("lesson_"):
        EXERCISES |= import_module(f"{__name__}.{_file.name}").EXERCISES


def check(exercise: str, answer: object = ...) -> None:
    """Say whether an exercise is solved. Nothing is raised by a wrong or missing answer, so that Run All always runs through.

    Args:
        exercise: its number, such as "1.1".
        answer: the student's number or function; ``...`` means "not yet".

    Raises:
        ValueError: there is no such exercise.
    """
    asked = EXERCISES[_checks.one_of("exercise", exercise, sorted(EXERCISES))]
    if answer is ...:
        print(f"· Exercise {exercise} is still to do: {asked.task}")
        return
    hint = asked.hint
    try:
        right = bool(asked.is_right(answer))
    except (Exception, SystemExit) as error:  # whatever a student's code raises is told to the student
        hint, right = f"it stopped with {type(error).__name__}{_told(error)}", False
    print(f"✓ Exercise {exercise} is solved." if right else f"✗ Exercise {exercise}, not yet: {hint}.")


def _told(error: BaseException) -> str:
    """What an error says, on one line; a student's own may fail even at that."""
    try:
        return f": {' '.join(str(error).split())[:300]}"
    except Exception:
        return ""
