"""Weak machines and bad days: the same numbers wherever a learner's home, clock, locale or disk is not as it should be."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import mypy.api
import pytest
import torch
from small_networks import flat

import cl_teach as cl
from cl_teach import _mnist, _store

ROOT = Path(__file__).resolve().parent.parent
STRANGE = "Zoë Müller 学生 100% [1]"  # a user's name, or a folder's

DAY = """
import json, os, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module="cl_teach")  # a text in whatever encoding the system has
{prelude}
import torch
import cl_teach as cl

def part(seed):
    y = torch.arange(60) % 3
    return cl.Split(4 * torch.eye(4)[y] + torch.randn(60, 4, generator=torch.Generator().manual_seed(seed)), y)

def main():
    torch.set_default_dtype(torch.float64)
    digits = cl.mnist(n_train=30, n_test=20)
    model = cl.mlp((8,), n_inputs=4, n_classes=3, device="cpu")
    options = dict(strengths=[0.5, 1000.0], seeds=[0, 1], epochs=1, watch={{"é": part(2)}}, progress=False)
    sweep = cl.sweep(model, part(0), part(1), file="results λ.sqlite", {executor}**options)
    picture = cl.figures.frontier(sweep.accuracies(), joint=(0.75, 0.25))
    picture.save("figure λ.png")
    try:
        cl.claim("one half is more than one", 0.5, at_least=1)
        claim = "passed"
    except AssertionError as error:
        claim = str(error)
    kept = [[p.flatten().tolist() for p in run.weights.values()] for run in sweep.results.values()]
    print(json.dumps([float(digits.train.x.sum()), digits.test.y.tolist(), kept, picture.alt, claim]))

if __name__ == "__main__":
    main()
"""

SPAWN = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
"""
CLOCK = """
import time
start = time.perf_counter()
time.time = lambda: 3e7 - 3600 * (time.perf_counter() - start)  # the year 1970, and backwards
time.time_ns = lambda: int(1e9 * time.time())
"""
OPTIMISED = """
from importlib.machinery import SourceFileLoader
as_usual = SourceFileLoader.get_code
def get_code(loader, name):  # as python -O does, which would compile all of torch anew
    if not name.startswith("cl_teach"):
        return as_usual(loader, name)
    return compile(loader.get_data(loader.path), loader.path, "exec", dont_inherit=True, optimize=1)
SourceFileLoader.get_code = get_code
"""
COMMAS = """
import locale
try:
    locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
except locale.Error:  # it is not installed: at least what Python and matplotlib ask for
    locale._override_localeconv = {"decimal_point": ",", "thousands_sep": ".", "grouping": [3, 3, 0]}
if locale.format_string("%.1f", 0.5) != "0,5":
    raise SystemExit("no decimal comma")
import matplotlib
matplotlib.rcParams["axes.formatter.use_locale"] = True
"""


def lived_through(folder: Path, prelude: str = "", executor: str = "", without: tuple[str, ...] = (), **set_to: object) -> Any:
    """What ``DAY`` prints in ``folder``, which it must leave with its two files in it, and no others."""
    folder.mkdir()
    script = folder.parent / f"{folder.name}.py"
    script.write_text(DAY.format(prelude=prelude, executor=executor), encoding="utf-8")
    ours = {"PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8", "PYTHONWARNDEFAULTENCODING": 1, **set_to}
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment |= {name: str(value) for name, value in ours.items()}
    result = subprocess.run([sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["figure λ.png", "results λ.sqlite"], result.stderr
    assert (folder / "figure λ.png").read_bytes().startswith(b"\x89PNG")
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def good_day(tmp_path_factory: pytest.TempPathFactory) -> Any:
    day = lived_through(tmp_path_factory.mktemp("good") / "day")
    assert day[1][:4] == [7, 2, 1, 0] and len(day[2]) == 8  # two methods, strengths and seeds
    assert "EWC is best at lambda 0.5 with A 62 %" in day[3]
    assert day[4] == "✗ one half is more than one: 0.5 (claimed: at least 1)"
    return day


PLACES = ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "CL_TEACH_CACHE", "MPLCONFIGDIR")


def no_home(folder: Path) -> dict[str, Any]:
    return {"without": (*PLACES, "USER", "LOGNAME"), "prelude": CLOCK + OPTIMISED}


def a_home_that_cannot_be_written(folder: Path) -> dict[str, Any]:
    (folder / "file").write_text("nobody can make a folder in a file, not even root")
    home = folder / "file" / "home"
    commas: dict[str, Any] = {"prelude": COMMAS}
    if shutil.which("localedef"):  # anybody may make a locale for oneself; if its sources are not there, it is simulated
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")], capture_output=True)
        commas |= {"LOCPATH": folder} if (folder / "de_DE.UTF-8").exists() else {}
    return {"without": PLACES, "HOME": home, "USERPROFILE": home, **commas}


def strange_names(folder: Path) -> dict[str, Any]:
    home, temporary = folder / f"home of {STRANGE}", folder.parent / "tëmp 学 %"  # short: a socket's path has 108 bytes at most
    home.mkdir()
    temporary.mkdir()
    places = {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    return {"without": PLACES, "USER": STRANGE, **places, "prelude": SPAWN, "executor": "executor=ProcessPoolExecutor(1), "}


BAD_DAYS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "no home, a clock in the wrong year, no assertions": no_home,
    "a home that cannot be written, decimal commas": a_home_that_cannot_be_written,
    "letters that are not ASCII and blanks in every path, processes started afresh": strange_names,
}


@pytest.mark.slow
@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_bad_day_gives_the_numbers_of_a_good_one(day: str, good_day: Any, tmp_path: Path) -> None:
    settings = BAD_DAYS[day](tmp_path)
    assert lived_through(tmp_path / STRANGE, **settings) == good_day


# a full disk


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """Inside, no file grows beyond ``at`` bytes."""
    resource = pytest.importorskip("resource", reason="no limit can be set here")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_file_of_mnist(tmp_path: Path) -> None:
    with full_disk(at=1_000_000), pytest.raises(OSError):
        _mnist.unpack(tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(_mnist._md5(path.read_bytes()) == _mnist._MD5[path.name] for path in left)
    _mnist.unpack(tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == set(_mnist._MD5)


@pytest.mark.parametrize("kind", ["no file grows", "sqlite has no more pages"])
def test_a_disk_that_fills_up_under_results_is_said_and_nothing_is_lost(tmp_path: Path, kind: str) -> None:
    file, large = tmp_path / "results.sqlite", torch.arange(100_000)
    store = _store.Store(file, {}, [])
    store.put({(1,): torch.arange(3)})
    with pytest.raises(OSError, match=rf"^file {re.escape(str(file))} cannot be used: .*(full|I/O)"):
        if kind == "no file grows":
            with full_disk(at=file.stat().st_size + 10_000):
                store.put({(2,): large, (3,): 0})
        else:  # as sqlite says it where the disk itself is full, on every system
            store._db.execute("PRAGMA max_page_count = 1")
            store.put({(2,): large, (3,): 0})
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert [*store.done([()])] == [(1,)]
    store.put({(2,): large})  # there is room again
    store.close()
    again = _store.Store(file, {}, [])
    assert torch.equal(again.done([()])[2,], large)
    again.close()
    assert os.listdir(tmp_path) == ["results.sqlite"]


def test_a_sweep_goes_on_where_the_disk_was_full(tmp_path: Path) -> None:
    y = torch.arange(60) % 3
    data = cl.Split(torch.eye(40)[y], y)
    model = cl.mlp((40,), n_inputs=40, n_classes=3, device="cpu")
    file = tmp_path / "results.sqlite"

    def sweep(file: Path | None) -> cl.Sweep:
        return cl.sweep(model, data, data, strengths=[0.0, 10.0], file=file, together=1, epochs=1, progress=False)

    with full_disk(at=100_000), pytest.raises(OSError, match=rf"^file {re.escape(str(file))} cannot be used: "):
        sweep(file)
    assert os.listdir(tmp_path) == ["results.sqlite"]
    with closing(sqlite3.connect(file)) as db:
        ((n,),) = db.execute("SELECT count(DISTINCT key) FROM results WHERE key <> '[]'")
    assert 1 <= n < 5, "some of it was kept, and not all"
    wanted = sweep(None)
    for key, run in sweep(file).results.items():
        assert torch.equal(flat(run.weights), flat(wanted[key].weights))


SAYS = "import cl_teach as cl; cl.claim('2 ≥ 1', 2, at_least=1); cl.check('1.1'); cl.check('1.1', 'no'); print('and on')"


@pytest.mark.parametrize(
    ("encoding", "tick", "cross"), [("cp1252", "?", "?"), ("ascii", "?", "?"), ("utf-8", "✓", "✗"), ("cp1253", "?", "?")]
)
def test_a_console_without_ticks_shows_the_rest(encoding: str, tick: str, cross: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", SAYS], env=environment, capture_output=True, check=True)
    said = done.stdout.decode(encoding).splitlines()
    assert said[0] == f"{tick} 2 {'≥' if encoding == 'utf-8' else '?'} 1: 2 (claimed: at least 1)"
    assert "Exercise 1.1 is still to do" in said[1] and said[2].startswith(f"{cross} Exercise 1.1, not yet: ")
    assert said[-1] == "and on"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_picture_that_cannot_be_written_says_so() -> None:
    picture = cl.figures.frontier({"EWC": {1.0: (0.5, 0.5), 10.0: (0.75, 0.25)}})
    with pytest.raises(OSError, match="No space left"):
        picture.save("/dev/full")


# other systems


def test_no_call_that_windows_lacks(tmp_path: Path) -> None:
    """Asked of mypy, which knows what the standard library has on each system; and whether it says so."""
    (tmp_path / "unix.py").write_text("import os, signal\nprint(os.fork(), signal.SIGKILL)\n", encoding="utf-8")
    settings = ["--platform=win32", "--follow-imports=skip", "--ignore-missing-imports", "--config-file="]
    said, trouble, _ = mypy.api.run([*settings, f"--cache-dir={os.devnull}", str(ROOT / "cl_teach"), str(tmp_path / "unix.py")])
    missing = [line for line in said.splitlines() if "has no attribute" in line]
    assert not trouble and len(missing) == 2 and all("unix.py" in line for line in missing), said


RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


def windows_cannot_hold(names: list[str]) -> list[str]:
    """Those of the relative paths that no folder on Windows can hold beside the others."""
    folded = [name.casefold() for name in names]
    return [
        name
        for name in names
        if folded.count(name.casefold()) > 1
        or len(name) > 120  # of 260, the rest is for where the learner puts the folder
        or any(
            re.search(r'[<>:"\\|?*\x00-\x1f]|[ .]$', part) or part.split(".")[0].casefold() in RESERVED
            for part in name.split("/")
        )
    ]


def test_windows_can_hold_every_file() -> None:
    folders = ("cl_teach", "notebooks", "tests", ".ci")
    files = [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*")]
    files += [path.name for path in ROOT.iterdir()]
    assert len(files) > 100 and windows_cannot_hold(files) == []
    bad = ["a/Aux.txt", "a/b:c", "a /b", "a/b.", "x" * 121, "Twice", "twice"]
    assert windows_cannot_hold(["a/good name.txt", "b/.hidden", "ü.py", *bad]) == bad
