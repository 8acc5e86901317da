"""What is said while work goes on. One rule for progress bars: after two seconds, if they are wanted, and gone at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm.auto import tqdm

_silent = ContextVar("_silent", default=False)
_reported = ContextVar("_reported", default=False)


@contextmanager
def silent(hush: bool = True) -> Iterator[None]:
    """No bars inside the block, where the work around it has one of its own, or none is wanted. For this thread alone."""
    token = _silent.set(hush or _silent.get())
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def reported() -> Iterator[None]:
    """How a training in the block ended is told by the work around it."""
    token = _reported.set(True)
    try:
        yield
    finally:
        _reported.reset(token)


def is_reported() -> bool:
    return _reported.get()


def bar(total: int | None, what: str, unit: str, show: bool, done: int = 0) -> Any:
    """A bar over ``total`` units (None: not known) of which ``done`` are done, as a context manager with ``update()``."""
    quiet = not show or _silent.get() or os.environ.get("TQDM_DISABLE") == "1"  # which tqdm's own notebook bar does not heed
    return tqdm(total=total, initial=done, disable=quiet, delay=2, leave=False, desc=what, unit=unit)


def tell(text: str) -> None:
    """Print; a console that lacks a sign, as that of Windows may lack the tick, shows a question mark in its place."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding))
