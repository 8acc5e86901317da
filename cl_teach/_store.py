"""Results in one sqlite file that several processes may share, and that a kill at any moment leaves whole."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

Key = tuple[Any, ...]  # of texts and numbers; in the file it is JSON. The configuration has the key ()

TABLES = [
    "CREATE TABLE results (key TEXT, part INTEGER, content BLOB, sha256 BLOB, PRIMARY KEY (key, part))",
    "CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL)",
]
PART = 2**28  # bytes; sqlite takes no blob of more than 10**9

_turn = threading.Lock()  # the classes that torch.load may make are one list for all threads


class Store:
    """What has been computed, by key, and what is being computed by whom.

    A claim holds as long as its owner lives: each owner keeps a lock on a small file beside the store, which the system
    ends with the process, however that ends. So no clock is asked, and slow work is not taken for dead.

    Args:
        file: made if it is not there.
        configuration: what the results depend on, in types that JSON knows; a file made with another is refused.
        types: classes that results may hold besides tensors and plain types. Loading makes no others and runs no code.

    Raises:
        TypeError: ``file`` is no path.
        OSError: ``file`` cannot be made, read or written there.
        ValueError: ``file`` was made with another configuration or for something else, or is damaged; it stays as it is.
    """

    def __init__(self, file: str | os.PathLike[str], configuration: Mapping[str, Any], types: Sequence[Any]) -> None:
        if not isinstance(file, (str, os.PathLike)):
            raise TypeError(f"file must be a path, got {file!r} of type {type(file).__name__}")
        if not os.fspath(file) or "\0" in str(file):
            raise ValueError(f"file must be a path such as 'sweep.sqlite', got {file!r}")
        self.path, self.types = os.path.realpath(file), [*types]
        self._owner = f"-owner-{secrets.token_hex(8)}"  # also the end of the name of the file beside it
        self._lock: sqlite3.Connection | None = None
        here = json.loads(json.dumps(configuration, default=float))  # float: for tensors and numpy's numbers
        with self._clear_errors():
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        self._db.text_factory = lambda text: text.decode(errors="replace")  # damaged keys do not match their digest
        try:
            self._begin(here)
        except BaseException:
            self._db.close()
            raise

    def done(self, known: Iterable[Key] = ()) -> dict[Key, Any]:
        """All results there are by now, whoever computed them, but for those that the caller knows already."""
        without = {"[]", *map(json.dumps, known)}
        with self._transaction():
            names = self._column("SELECT key FROM results WHERE part = 0")
        return dict(self._read(name) for name in names if name not in without)

    def claim(self, keys: Iterable[Key]) -> list[Key]:
        """Those of ``keys`` that are neither done nor claimed by anybody; from now on this store claims them."""
        with self._transaction():
            self._bury_the_dead()
            taken = set(self._column("SELECT key FROM results UNION SELECT key FROM claims"))
            free = [key for key in keys if json.dumps(key) not in taken]
            if free and self._lock is None:
                self._lock = sqlite3.connect(self.path + self._owner, isolation_level=None)
                self._lock.execute("PRAGMA journal_mode = MEMORY")  # no file beside it
                self._lock.execute("BEGIN EXCLUSIVE")
            self._db.executemany("INSERT INTO claims VALUES (?, ?)", [(json.dumps(key), self._owner) for key in free])
        return free

    def put(self, results: Mapping[Key, Any]) -> None:
        """Write all of ``results`` or, if killed, none, and end the claims on them. What is there already stays."""
        rows = []
        for key, value in results.items():
            torch.save(value, buffer := io.BytesIO())
            blob, name = buffer.getvalue(), json.dumps(key)
            parts = enumerate(blob[start : start + PART] for start in range(0, len(blob), PART))
            rows += [(name, part, content, _digest(name, part, content)) for part, content in parts]
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", rows)
            self._db.executemany("DELETE FROM claims WHERE key = ?", [(json.dumps(key),) for key in results])

    def close(self) -> None:
        """Give up what is claimed and not done. Nothing remains beside the file when all who used it have ended."""
        if self._lock:
            self._lock.close()
        with contextlib.closing(self._db), contextlib.suppress(OSError), self._clear_errors():  # or the next one buries
            unfinished = os.path.exists(self.path + "-journal")  # of one that was killed
            if unfinished or self._beside() or self._column("SELECT key FROM claims"):
                with self._transaction():
                    self._bury_the_dead()
                    if unfinished:  # sqlite clears it away at the end of a transaction that writes
                        self._db.execute("INSERT OR REPLACE INTO claims VALUES ('', '')")
                        self._db.execute("DELETE FROM claims WHERE key = ''")

    def _begin(self, here: dict[str, Any]) -> None:
        with self._transaction():
            tables = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
            if os.path.getsize(self.path) == 0 and not self._column(tables):
                for table in TABLES:
                    self._db.execute(table)
            if self._column(tables) != TABLES:
                raise sqlite3.DatabaseError("it has other tables")
            if (state := self._column("PRAGMA integrity_check(1)")) != ["ok"]:
                raise sqlite3.DatabaseError(state[0])
            fresh = not self._column("SELECT key FROM results")
        if fresh:
            self.put({(): here})
        there = self._read("[]")[1]
        if other := [name for name in here | there if there.get(name) != here.get(name)]:
            details = "; ".join(f"{name} {there.get(name)!r}, here {here.get(name)!r}" for name in other)
            raise ValueError(
                f"file {self.path} was made with another {', '.join(other)} ({details}); it is left as it is. "
                "Give another file, or the same arguments"
            )

    def _read(self, name: str) -> tuple[Key, Any]:
        with self._transaction():
            query = "SELECT part, content, sha256 FROM results WHERE key = ? ORDER BY part"
            rows = self._db.execute(query, (name,)).fetchall()
            try:
                if any(_digest(name, part, content) != sha256 for part, content, sha256 in rows):
                    raise ValueError("another digest")
                blob = io.BytesIO(b"".join(content for _, content, _ in rows))
                with _turn, torch.serialization.safe_globals(self.types):
                    return tuple(json.loads(name)), torch.load(blob, weights_only=True)
            except Exception as error:  # torch's own advice would be to run what is in the file
                raise sqlite3.DatabaseError(f"{name} is not what was put there") from error

    def _bury_the_dead(self) -> None:
        """End the claims of owners that have closed or been killed; one store at a time, as it is within a transaction."""
        living = set()
        for path in self._beside():
            try:
                with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as lock:
                    lock.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:  # its owner holds the lock
                living.add(path[len(self.path) :])
                continue
            with contextlib.suppress(OSError):
                os.unlink(path)
        for owner in {*self._column("SELECT owner FROM claims")} - living:
            self._db.execute("DELETE FROM claims WHERE owner = ?", (owner,))

    def _beside(self) -> list[str]:
        return glob.glob(glob.escape(self.path) + "-owner-" + 16 * "[0-9a-f]")

    def _column(self, query: str) -> list[Any]:
        return [value for (value,) in self._db.execute(query)]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, and one after the other."""
        with self._clear_errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            folder = os.path.dirname(self.path)
            reason = f"{error}" if os.path.isdir(folder) else f"there is no folder {folder}"
            reason = "it is a folder" if os.path.isdir(self.path) else reason
            raise OSError(f"file {self.path} cannot be used: {reason}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"file {self.path} is no file of results, or damaged ({error}); it is left as it is") from error


def _digest(name: str, part: int, content: bytes) -> bytes:
    return hashlib.sha256(f"{name} {part} ".encode() + content).digest()
