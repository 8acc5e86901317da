"""The MNIST files that come with the package, compressed: unpacked once into a cache folder, then read from there.

A self-contained notebook (course/share.py) brings the code without the data: then they are taken from a ``mnist.zip`` beside
the notebook, or downloaded.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import tempfile
import zipfile
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from . import _whole_file

_SHIPPED = Path(__file__).parent / "data" / "mnist"
ZIP = "mnist.zip"  # the same compressed files, for notebooks that stand alone
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
    except OSError:  # no home, or a read-only or full disk: unpack where nothing is kept
        with tempfile.TemporaryDirectory(prefix="cl_teach-") as folder:
            return _read_from(Path(folder), train)


def _read_from(root: Path, train: bool) -> tuple[Tensor, Tensor]:
    unpack(root)
    name = "train" if train else "t10k"
    images, labels = (
        # Behind a header, which is the known one, as the file is. (torchvision reads them too, once it is imported: 2 s.)
        torch.frombuffer(
            bytearray((root / "MNIST" / "raw" / f"{name}-{what}-ubyte").read_bytes()), dtype=torch.uint8, offset=at
        )
        for what, at in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return images.view(-1, 28, 28), labels.long()


def _cache_folder() -> Path:
    """``$CL_TEACH_CACHE``, else ``cl_teach`` in the user's cache folder. OSError if there is no such user."""
    chosen = os.environ.get("CL_TEACH_CACHE")
    if chosen:
        return Path(chosen)
    caches = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/.cache")
    if caches.startswith("~"):
        raise OSError("no home folder")
    return Path(caches) / "cl_teach"


def unpack(root: Path) -> None:
    """Put the four decompressed files into ``root``/MNIST/raw, where they are not there or their MD5 is wrong.

    Raises:
        OSError: ``root`` cannot be written.
        RuntimeError: a file of the installed package, or the zip beside the notebook, is damaged; or the download failed.
    """
    raw = root / "MNIST" / "raw"
    missing = [name for name, md5 in _MD5.items() if not ((raw / name).is_file() and _md5((raw / name).read_bytes()) == md5)]
    if not missing:
        return
    raw.mkdir(parents=True, exist_ok=True)  # before anything is downloaded
    for name, content in _contents(missing).items():
        _whole_file.write(raw / name, content)  # several processes may do this at once


def _contents(names: list[str]) -> dict[str, bytes]:
    """The decompressed files: from the package, else from the zip beside the notebook, else downloaded; MD5 checked."""
    beside = [folder / ZIP for folder in (Path.cwd(), Path.cwd().parent) if (folder / ZIP).is_file()]
    if _SHIPPED.is_dir():
        found = {name: _decompressed((_SHIPPED / f"{name}.xz").read_bytes()) for name in names}
        damage = "{}.xz inside the installed package is damaged; install cl_teach again"
    elif beside:
        found = {name: _decompressed(_from_zip(beside[0], f"{name}.xz")) for name in names}
        damage = f"{ZIP} in {beside[0].parent} is damaged ({{}}): half uploaded? Delete it, and put it there again"
    else:
        found = _downloaded(names)
        damage = f"{{}} was downloaded damaged; try again, or put {ZIP}, which comes with the notebooks, into {Path.cwd()}"
    for name, content in found.items():
        if _md5(content) != _MD5[name]:
            raise RuntimeError(damage.format(name))
    return found


def _decompressed(content: bytes) -> bytes:
    try:
        return lzma.LZMADecompressor().decompress(content, max_length=50_000_000)  # all of it: the largest has 47,040,016
    except (lzma.LZMAError, EOFError):
        return b""


def _from_zip(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return file.read(10_000_000)  # all of it: the largest has 7,819,804
    except (zipfile.BadZipFile, KeyError, EOFError):
        return b""


def _downloaded(names: list[str]) -> dict[str, bytes]:
    """By torchvision, from its mirrors and with its checks, into a folder of its own: no half file is kept."""
    from torchvision.datasets import MNIST  # here, because importing it takes as long as torch itself

    with tempfile.TemporaryDirectory(prefix="cl_teach-") as folder:
        try:
            MNIST(folder, download=True)
            return {name: (Path(folder) / "MNIST" / "raw" / name).read_bytes() for name in names}
        except (OSError, EOFError, RuntimeError, HTTPException) as error:
            reason = " ".join(str(error).split())[-150:]
    raise RuntimeError(
        f"MNIST could not be downloaded ({reason}). Put {ZIP}, which comes with the notebooks, into {Path.cwd()} "
        "(in Colab: the folder symbol on the left, then upload), and run this cell again"
    )


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
