"""A file is there as a whole or not at all."""

import os
from pathlib import Path

import pytest

from cl_teach import _whole_file


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_can_be_read_by_others_and_one_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a"
    _whole_file.write(path, b"one\r\n\xff")
    assert path.read_bytes() == b"one\r\n\xff" and mode(path) == 0o644
    path.chmod(0o640)
    _whole_file.write(path, b"two")
    assert path.read_bytes() == b"two" and mode(path) == 0o640 and list(tmp_path.iterdir()) == [path]


def test_it_is_complete_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen, replace = tmp_path / "a", [], os.replace
    path.write_text("old")

    def spied(source: str, target: Path) -> None:
        seen.append((Path(source).read_bytes(), path.read_text()))
        assert Path(source).parent == tmp_path and Path(source).name.startswith(".a-")  # says whose it is, should it be left
        replace(source, target)
        raise KeyboardInterrupt  # too late to matter

    monkeypatch.setattr(os, "replace", spied)
    with pytest.raises(KeyboardInterrupt):
        _whole_file.write(path, b"new")
    assert seen == [(b"new", "old")] and path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_what_was_there_stays_when_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(type(error)):
        _whole_file.write(path, b"new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_without_its_folder_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _whole_file.write(tmp_path / "nowhere" / "a", b"")
