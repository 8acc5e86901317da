"""What torch and Python have once a process, for all its threads: the random state, switches, warning filters."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import AbstractContextManager

_lock = threading.RLock()


def turn() -> AbstractContextManager[bool]:
    """To be held by who sets such a thing for a while: ``with turn(): ...``. The same thread may enter again."""
    return _lock


def _renew() -> None:
    """A process that was forked while another thread had its turn would wait for it for ever."""
    global _lock
    _lock = threading.RLock()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew)
