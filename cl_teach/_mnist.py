"""The MNIST files that come with the package, compressed: unpacked once into a cache folder, then read from there."""

from __future__ import annotations

import hashlib
import lzma
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from torch import Tensor

_SHIPPED = Path(__file__).parent / "data" / "mnist"
_MD5 = {  # of the decompressed files, as torchvision expects them in <root>/MNIST/raw
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@lru_cache(maxsize=2)
def read(train: bool) -> tuple[Tensor, Tensor]:
    """Pixels (N, 28, 28) uint8 and labels (N,) of the training or test images, read once a process: do not change them."""
    try:
        return _read_from(_cache_folder(), train)
    except OSError:  # a read-only or full disk: unpack where nothing is kept
        with tempfile.TemporaryDirectory(prefix="cl_teach-") as folder:
            return _read_from(Path(folder), train)


def _read_from(root: Path, train: bool) -> tuple[Tensor, Tensor]:
    from torchvision.datasets import MNIST  # here, because importing torchvision takes as long as torch itself

    unpack(root)
    data = MNIST(str(root), train=train, download=False)
    return data.data, data.targets


def _cache_folder() -> Path:
    """``$CL_TEACH_CACHE``, else ``cl_teach`` in the user's cache folder."""
    chosen = os.environ.get("CL_TEACH_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "cl_teach"


def unpack(root: Path) -> None:
    """Put the four decompressed files into ``root``/MNIST/raw, where they are not there or their MD5 is wrong.

    Raises:
        OSError: ``root`` cannot be written.
        RuntimeError: a file of the installed package is damaged.
    """
    raw = root / "MNIST" / "raw"
    for name, md5 in _MD5.items():
        target = raw / name
        if target.is_file() and _md5(target.read_bytes()) == md5:
            continue
        try:
            content = lzma.decompress((_SHIPPED / f"{name}.xz").read_bytes())
        except lzma.LZMAError:
            content = b""
        if _md5(content) != md5:
            raise RuntimeError(f"{name}.xz inside the installed package is damaged; install cl_teach again")
        raw.mkdir(parents=True, exist_ok=True)
        _write(target, content)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _write(target: Path, content: bytes) -> None:
    """Under a name of its own and then renamed, which is atomic: several processes may do this at once, and one that dies
    halfway leaves no half file under the final name."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
