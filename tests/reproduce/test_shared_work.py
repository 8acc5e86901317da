"""Runs are done once, whoever does them and whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_table import TABLE

from cl_teach._store import Store
from cl_teach.reproduce import Key, read, work

HERE = Path(__file__).parent
RUN = "import sys; from small_table import TABLE; from cl_teach.reproduce import work; work(TABLE, sys.argv[1], progress=False)"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    work(TABLE, folder, progress=False)
    return folder / "small.csv"


def without_times(path: Path) -> list[str]:
    return [f"{row.key} {row.accuracies} {row.settings}" for row in read(TABLE, path.parent)]


def process(folder: Path, log: Path, wait: float = 0.0) -> subprocess.Popen:
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "SMALL_TABLE_LOG": str(log), "SMALL_TABLE_WAIT": str(wait)}
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder)], env=environment)


def test_a_file_has_a_line_a_run(whole):
    rows = read(TABLE, whole.parent)
    assert [row.key for row in rows] == sorted(
        (key for unit in TABLE.units(TABLE.seeds) for key in unit),
        key=lambda key: (list(TABLE.published).index(key[:2]), key.strength, key.seed),
    )
    assert len(whole.read_text(encoding="utf-8").splitlines()) == 13 and len(rows) == 12
    assert {row.settings for row in rows} == {TABLE.settings} and all(row.seconds >= 0 for row in rows)
    for row in rows:
        assert [len(line) for line in row.accuracies] == [1, 2, 3]
        assert row.accuracy == sum(row.accuracies[-1]) / 3 and "torch" in row.where and "cpu (" in row.where
    by_key = {row.key: row for row in rows}
    assert by_key[Key("early", "EWC", 1.0, 1)].accuracies[0] == by_key[Key("early", "none", 0.0, 1)].accuracies[0]
    assert len({row.accuracies for row in rows}) > 6
    assert [path.name for path in whole.parent.iterdir()] == ["small.csv"]  # nothing is left beside it


def test_running_twice_changes_nothing(whole, monkeypatch):
    before, log = whole.read_bytes(), whole.parent / "log"
    monkeypatch.setenv("SMALL_TABLE_LOG", str(log))
    rows = work(TABLE, whole.parent, progress=False)
    assert whole.read_bytes() == before and not log.exists() and len(rows) == 12


def test_more_seeds_are_added_to_those_there_are(whole, tmp_path):
    first = work(TABLE, tmp_path, seeds=[2], progress=False)
    assert {row.key.seed for row in first} == {2} and len(first) == 6
    kept = (tmp_path / "small.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(work(TABLE, tmp_path, seeds=[1], progress=False)) == 6
    assert without_times(tmp_path / "small.csv") == without_times(whole)
    assert set(kept) < set((tmp_path / "small.csv").read_text(encoding="utf-8").splitlines())


def test_two_processes_share_the_work_and_repeat_none(whole, tmp_path):
    log = tmp_path / "log"
    both = [process(tmp_path, log), process(tmp_path, log)]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    begun = log.read_text(encoding="utf-8").splitlines()
    assert len(begun) == 6 and len({line.split(maxsplit=1)[1] for line in begun}) == 4  # each unit once; two columns, two seeds
    assert without_times(tmp_path / "small.csv") == without_times(whole)
    assert not (tmp_path / "small.sqlite").exists()


def test_who_is_done_leaves_the_work_of_others_alone(tmp_path):
    other = Store(tmp_path / "small.sqlite", {"table": "small", "settings": TABLE.settings}, [])
    (theirs, *_) = TABLE.units([2])
    assert other.claim(theirs) == theirs
    work(TABLE, tmp_path, seeds=[1], progress=False)
    assert (tmp_path / "small.sqlite").exists() and len(read(TABLE, tmp_path)) == 6
    other.close()
    work(TABLE, tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["small.csv"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_run_goes_on(whole, tmp_path):
    log, path = tmp_path / "log", tmp_path / "small.csv"
    killed = process(tmp_path, log, wait=0.5)  # before each unit: at least one is left when the kill comes
    for _ in range(3_000):
        if path.exists() and len(path.read_text(encoding="utf-8").splitlines()) > 3:
            break
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = path.read_text(encoding="utf-8").splitlines()[1:]
    assert 3 <= len(done) < 12
    again = process(tmp_path, log)
    assert again.wait(timeout=120) == 0
    assert without_times(path) == without_times(whole)
    assert set(done) < set(path.read_text(encoding="utf-8").splitlines())  # what was done is as it was


def test_an_interrupted_run_keeps_what_is_done(whole, tmp_path, monkeypatch):
    from cl_teach.reproduce import shared_work as module

    def interrupted(table, unit):
        for row in learn(table, unit):
            yield row
            if row.key.strength == 100.0:
                raise KeyboardInterrupt

    learn = module.learn
    monkeypatch.setattr(module, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        work(TABLE, tmp_path, progress=False)
    assert len(read(TABLE, tmp_path)) == 3
    monkeypatch.undo()
    work(TABLE, tmp_path, progress=False)
    assert without_times(tmp_path / "small.csv") == without_times(whole)


def test_an_executor_does_the_work(whole, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        work(TABLE, tmp_path, executor=pool, progress=False)
    assert without_times(tmp_path / "small.csv") == without_times(whole)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("small", "small", ""),
        (TABLE.settings, "0123456789ab", "with the settings"),
        ("early,EWC", "early,other", "must hold runs of small"),
        (",1,0.", ",1,1.", "not the mean of the last accuracies"),
        ("early,none,0,1", "early,none,zero,1", "a line of results must have column, method"),
        ("strength", "lambda", "a line of results must have column, method"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left(whole, tmp_path, old, new, says):
    text = whole.read_text(encoding="utf-8").replace(old, new, 1)
    (tmp_path / "small.csv").write_text(text, encoding="utf-8")
    if not says:
        assert len(work(TABLE, tmp_path, progress=False)) == 12
        return
    with pytest.raises(ValueError, match=says):
        work(TABLE, tmp_path, progress=False)
    assert (tmp_path / "small.csv").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["small.csv"]


def test_no_file_is_no_runs(tmp_path):
    assert read(TABLE, tmp_path / "nowhere") == []
