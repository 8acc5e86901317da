"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write ``content`` under a name of its own, and then rename it, which is atomic.

    Several processes may do this at once, and one that dies halfway leaves what was there before under the final name.

    Raises:
        OSError: the folder is not there or cannot be written to, or the disk is full.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if path.exists():
            shutil.copymode(path, temporary)
        else:
            os.chmod(temporary, 0o644)  # a web server, or another account that shares the folder, must be able to read it
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
