"""The MNIST files: unpacked into a cache that may be damaged, shared, or impossible to write."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
