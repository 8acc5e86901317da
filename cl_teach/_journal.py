"""A file of results that a kill at any moment leaves whole."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Sequence
from typing import Any

import torch


class Journal:
    """A file that only grows: each record is its length, its SHA-256 and a ``torch.save``; the first is the configuration.

    A kill can cut off only the last record, which then counts for nothing. Loading runs no code.

    Args:
        path: made if it is not there.
        configuration: what the results depend on; a file that was begun with another is refused.
        types: classes that records may hold besides tensors and plain types.

    Raises:
        ValueError: the file is of another configuration or kind, damaged, or in use; it stays as it is.
    """

    magic = b"cl_teach sweep 1\n"
    header = struct.Struct("<Q32s")

    def __init__(self, path: str | os.PathLike[str], configuration: dict[str, Any], types: Sequence[type]) -> None:
        self.records: list[Any] = []
        self.path, self.types = os.fspath(path), types
        self.file = open(path, "a+b", buffering=0)  # noqa: SIM115 - open until close(); a write is with the system at once
        try:
            self._lock()
            found = self._read()
            if found:
                self._compare(found[0], configuration)
                self.records = [record for group in found[1:] for record in group]
            self.file.truncate(self.end)  # what a kill has cut off
            if not found:
                self._write(self.magic)
                self.append(configuration)
        except BaseException:
            self.close()
            raise

    def append(self, content: object) -> None:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        payload = buffer.getvalue()
        self._write(self.header.pack(len(payload), hashlib.sha256(payload).digest()) + payload)
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self.file.write(left) :]

    def _read(self) -> list[Any]:
        """All whole records; ``end`` is where they end."""
        found: list[Any] = []
        size = self.file.seek(0, os.SEEK_END)
        self.end = self.file.seek(0)
        start = self.file.read(len(self.magic))
        if not self.magic.startswith(start):
            raise ValueError(f"file {self.path} is no file of a sweep; it is left as it is")
        while len(header := self.file.read(self.header.size)) == self.header.size:
            length, digest = self.header.unpack(header)
            if length > size - self.file.tell():
                break
            payload = self.file.read(length)
            if hashlib.sha256(payload).digest() != digest:
                raise ValueError(f"file {self.path} is damaged at byte {self.end}; it is left as it is")
            with torch.serialization.safe_globals([*self.types]):
                found.append(torch.load(io.BytesIO(payload), weights_only=True))
            self.end = self.file.tell()
        return found

    def _compare(self, there: dict[str, Any], here: dict[str, Any]) -> None:
        other = [name for name in here if there.get(name) != here[name]]
        if other:
            plain = [
                f"{n} {there.get(n)!r}, here {here[n]!r}" for n in other if n not in ("model", "task_a", "task_b", "watch")
            ]
            details = f" ({'; '.join(plain)})" if plain else ""
            raise ValueError(
                f"file {self.path} is of a sweep with another {', '.join(other)}{details}; it is left as it is. "
                "Give another file, or the same arguments"
            )

    def _lock(self) -> None:
        """Two sweeps would cut off each other's records. The lock ends with the process, however that ends."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"file {self.path} is in use by another sweep") from None
