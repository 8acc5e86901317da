"""The MNIST files: unpacked into a cache that may be damaged, shared, or impossible to write."""

import gzip
import hashlib
import lzma
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import loopback
import pytest
from torchvision.datasets import MNIST

import cl_teach as cl
from cl_teach import _mnist

LABELS = "t10k-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    _mnist.unpack(root)
    return root


@pytest.fixture
def fresh() -> Iterator[None]:
    """MNIST is read from disk again, in this test and after it."""
    _mnist.read.cache_clear()
    yield
    _mnist.read.cache_clear()


def whole(root: Path) -> bool:
    files = {path.name: path for path in (root / "MNIST" / "raw").iterdir()}
    sums = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in files.items() if not name.startswith(".")}
    return sums == _mnist._MD5


@pytest.mark.parametrize("damage", ["one byte", "truncated", "empty", "missing", "too long"])
def test_a_damaged_cache_is_rebuilt(cache: Path, damage: str) -> None:
    file = cache / "MNIST" / "raw" / LABELS
    content = bytearray(file.read_bytes())
    content[5_000] ^= 1
    good = file.read_bytes()
    damaged = {"one byte": bytes(content), "truncated": good[:5_000], "empty": b"", "too long": good + b"\0"}
    file.unlink()
    if damage in damaged:
        file.write_bytes(damaged[damage])
    assert not whole(cache)
    _mnist.unpack(cache)
    assert whole(cache)


def test_a_sound_cache_is_left_alone(cache: Path) -> None:
    files = list((cache / "MNIST" / "raw").iterdir())
    before = [(path, path.stat().st_mtime_ns, path.stat().st_ino) for path in files]
    _mnist.unpack(cache)
    assert [(path, path.stat().st_mtime_ns, path.stat().st_ino) for path in files] == before


def test_dying_halfway_leaves_nothing_under_the_final_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = cache / "MNIST" / "raw"
    (raw / LABELS).unlink()

    def killed(source: str, target: Path) -> None:
        assert (raw / source).stat().st_size == 10_008 and not target.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        _mnist.unpack(cache)
    assert sorted(path.name for path in raw.iterdir()) == sorted(set(_mnist._MD5) - {LABELS})
    (raw / f".{LABELS}-killed").write_bytes(b"half of it")  # as kill -9 would leave it
    _mnist.unpack(cache)
    assert whole(cache)
    (raw / f".{LABELS}-killed").unlink()


@pytest.mark.parametrize("content", [b"not xz at all", b"\xfd7zXZ\x00 cut off"])
def test_a_damaged_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    for name in _mnist._MD5:
        (tmp_path / f"{name}.xz").write_bytes(content)
    monkeypatch.setattr(_mnist, "_SHIPPED", tmp_path)
    with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte\.xz inside the installed package is damaged; install"):
        _mnist.unpack(tmp_path / "cache")


def test_a_chosen_cache_is_used(cache: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CL_TEACH_CACHE", str(cache))
    monkeypatch.setattr(_mnist, "_SHIPPED", cache / "nothing")  # so that only the cache can answer
    assert cl.mnist(10, 10).test.y[:3].tolist() == [7, 2, 1]
    monkeypatch.delenv("CL_TEACH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert _mnist._cache_folder() == cache / "cl_teach"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(cache))
    assert _mnist._cache_folder() == cache / ".cache" / "cl_teach"


def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_no_folder_to_write_falls_back(tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CL_TEACH_CACHE", str(tmp_path / "file" / "cache"))
    folder = temporary(tmp_path / "temporary", monkeypatch)
    assert cl.mnist(10, 10).train.y[:3].tolist() == [5, 0, 4]
    assert list(folder.iterdir()) == [], "what was unpacked there is removed"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_read_only_folder_falls_back(tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o500)
    monkeypatch.setenv("CL_TEACH_CACHE", str(tmp_path / "cache"))
    temporary(tmp_path / "temporary", monkeypatch)
    assert cl.mnist(10, 10).train.y[:3].tolist() == [5, 0, 4]
    assert list((tmp_path / "cache").iterdir()) == []


FIRST_USE = """
import sys, cl_teach as cl
sys.stdin.readline()  # all start at once
task = cl.mnist(n_train=2_000, n_test=2_000)
print(float(task.train.x.mean()), int(task.train.y.sum()), float(task.test.x.mean()))
"""


@pytest.mark.slow
def test_several_processes_may_be_the_first(tmp_path: Path) -> None:
    environment = {**os.environ, "CL_TEACH_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", FIRST_USE]
    pipe = subprocess.PIPE
    users = [subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for user in users:
        assert user.stdin is not None
        user.stdin.write("go\n")
        user.stdin.flush()
    answers = [user.communicate() for user in users]
    assert all(user.returncode == 0 for user in users), answers
    assert len({answer for answer, _ in answers}) == 1
    assert whole(tmp_path) and len(list((tmp_path / "MNIST" / "raw").iterdir())) == 4


def test_an_interruption_after_the_file_has_its_name_is_told_as_it_is(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "MNIST" / "raw" / LABELS).unlink()
    replace = os.replace

    def interrupted(source: str, target: Path) -> None:
        replace(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupted)
        _mnist.unpack(cache)
    assert whole(cache)


# A self-contained notebook has no shipped files.


@pytest.fixture
def alone(tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the notebook lies; nothing is shipped, nothing in the cache, and no mirror known."""
    monkeypatch.setattr(_mnist, "_SHIPPED", tmp_path / "nothing")
    monkeypatch.setattr(MNIST, "mirrors", [])
    monkeypatch.setenv("CL_TEACH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "notebook").mkdir()
    monkeypatch.chdir(tmp_path / "notebook")
    return tmp_path / "notebook"


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in (Path(_mnist.__file__).parent / "data/mnist").iterdir():
            archive.write(file, file.name)


@pytest.mark.parametrize("place", [".", ".."])
def test_a_zip_beside_the_notebook_serves(place: str, alone: Path, cache: Path) -> None:
    make_zip(alone / place / "mnist.zip")
    assert cl.mnist(10, 10).test.y[:3].tolist() == [7, 2, 1]
    assert whole(alone.parent / "cache")


@pytest.mark.parametrize("damage", ["half", "empty", "another zip", "one byte"])
def test_a_damaged_zip_is_refused(damage: str, alone: Path) -> None:
    file = alone / "mnist.zip"
    make_zip(file)
    content = bytearray(file.read_bytes())
    content[5_000] ^= 1
    if damage == "another zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme", "nothing")
    else:
        file.write_bytes({"half": content[: len(content) // 2], "empty": b"", "one byte": content}[damage])
    with pytest.raises(RuntimeError, match=r"^mnist\.zip in .*notebook is damaged \(.*-ubyte\): half uploaded\? Delete it"):
        cl.mnist(10, 10)
    assert not (alone.parent / "cache").exists() or not list((alone.parent / "cache").rglob("*ubyte"))


@pytest.fixture
def mirror(alone: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback.Loopback]:
    """Torchvision's only mirror is a server here, with the whole of MNIST as .gz files; the notebook lies alone."""
    files = {f"{name}.gz": gzip.compress((cache / "MNIST/raw" / name).read_bytes(), 1, mtime=0) for name in _mnist._MD5}
    with loopback.loopback() as server:
        server.pages = {f"/mnist/{name}": content for name, content in files.items()}
        monkeypatch.setattr(MNIST, "mirrors", [f"{server.address}/mnist/"])
        sums = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
        monkeypatch.setattr(MNIST, "resources", sums)  # our own gzip gives other bytes than the original's
        yield server


def test_the_download_gives_what_is_shipped(mirror: loopback.Loopback, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloaded = [tensor.clone() for train in (True, False) for tensor in _mnist.read(train)]
    assert set(mirror.asked) == set(mirror.pages) and whole(alone.parent / "cache")
    mirror.asked.clear()
    _mnist.read.cache_clear()
    _mnist.read(True)
    assert mirror.asked == [], "the second time it is in the cache"
    _mnist.read.cache_clear()
    monkeypatch.undo()
    shipped = [tensor for train in (True, False) for tensor in _mnist.read(train)]
    assert all(a.dtype == b.dtype and a.equal(b) for a, b in zip(downloaded, shipped, strict=True))


IMAGES = "/mnist/train-images-idx3-ubyte.gz"


@pytest.mark.parametrize("fault", ["403", "half", "others", "nobody answers", "no gzip"])
def test_a_failed_download_says_which_file_to_put_where(
    fault: str, mirror: loopback.Loopback, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "403":
        mirror.pages[IMAGES] = 403
    elif fault == "half":
        mirror.half = {IMAGES}
    elif fault == "others":  # whole, and with the hash that torchvision expects, but not MNIST
        content = bytearray(lzma.decompress((Path(_mnist.__file__).parent / "data/mnist" / f"{LABELS}.xz").read_bytes()))
        content[5_000] ^= 1
        mirror.pages[f"/mnist/{LABELS}.gz"] = other = gzip.compress(bytes(content), mtime=0)
        sums = {**dict(MNIST.resources), f"{LABELS}.gz": hashlib.md5(other).hexdigest()}
        monkeypatch.setattr(MNIST, "resources", list(sums.items()))
    elif fault == "no gzip":
        mirror.pages[IMAGES] = b"<html>please log in</html>"
    else:
        monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/mnist/"])
    with pytest.raises(RuntimeError) as raised:
        cl.mnist(10, 10)
    told = str(raised.value)
    assert f"mnist.zip, which comes with the notebooks, into {alone}" in told and "\n" not in told
    assert len(told) - len(str(alone)) < 400 and (fault != "403" or "403" in told)
    assert not list((alone.parent / "cache").rglob("*ubyte")), "nothing half is kept"
    assert raised.value.__cause__ is None
    make_zip(alone / "mnist.zip")  # as it says
    assert cl.mnist(10, 10).test.y[:3].tolist() == [7, 2, 1]


def test_no_home_falls_back(tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CL_TEACH_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where there is neither $HOME nor such a user
    monkeypatch.chdir(tmp_path)
    folder = temporary(tmp_path / "temporary", monkeypatch)
    assert cl.mnist(10, 10).train.y[:3].tolist() == [5, 0, 4]
    assert list(folder.iterdir()) == [] and not (tmp_path / "~").exists()


def test_the_cache_folder_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CL_TEACH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert _mnist._cache_folder() == tmp_path / "cl_teach"
