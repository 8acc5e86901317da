"""What the notebooks call: ``cl.setup()`` once, ``cl.claim()`` for what a lesson says, ``cl.check()`` for its exercises.

The exercises stand in ``exercises``, one file a lesson. The museum of mistakes of public code is ``pitfalls``.
"""

from .exercises import check
from .exercises.lesson_3 import suspects
from .setup_and_claims import claim, setup

__all__ = ["check", "claim", "setup", "suspects"]
