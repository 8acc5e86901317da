"""What the notebooks call: ``cl.setup()`` once, ``cl.progress()`` around a loop that takes long, ``cl.claim()`` for what a
lesson says, ``cl.check()`` for its exercises.

The exercises stand in ``exercises``, one file a lesson. Mistakes of public code are in ``pitfalls``, each alone, and in
``versions``, three implementations as wholes.
"""

from .exercises import check
from .exercises.lesson_3 import suspects
from .setup_and_claims import claim, progress, setup

__all__ = ["check", "claim", "progress", "setup", "suspects"]
