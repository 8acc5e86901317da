"""The file of results: whole after any kill, shared by several processes, and never changed where it is refused."""

import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl_teach import _store
from cl_teach._store import Store


@dataclass
class Value:
    tensor: torch.Tensor
    name: str


CONFIGURATION: dict[str, Any] = {"lr": 0.1, "strengths": {"EWC": (0.0, 1e6)}, "watch": {}}
VALUES: dict[Any, Any] = {
    ("EWC", 0.1, 3): Value(torch.arange(2_000.0), "α"),
    ("", 0.0, 2**62): {"list": [1, None, "x"], "empty": torch.empty(0)},
    (1e-300, 'a "key"', "\n"): Value(torch.tensor(float("nan")), ""),
}


def opened(path: Path, configuration: dict[str, Any] = CONFIGURATION) -> Any:
    return closing(Store(path, configuration, [Value]))


def assert_values(found: dict[Any, Any], expected: dict[Any, Any] = VALUES) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, Value):
            assert found[key].name == value.name and torch.equal(found[key].tensor.nan_to_num(7), value.tensor.nan_to_num(7))
        else:
            assert repr(found[key]) == repr(value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with opened(tmp_path / "store") as store:
        store.put(VALUES)
    return tmp_path / "store"


def test_what_is_put_is_read_and_reading_writes_nothing(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    with opened(path) as store:
        assert_values(store.done())
        known = list(VALUES)[:2]
        assert list(store.done(known)) == list(VALUES)[2:]
        assert store.done(VALUES) == {}
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert os.listdir(path.parent) == ["store"]


def test_what_is_there_already_stays(path: Path) -> None:
    with opened(path) as store:
        store.put(dict.fromkeys(VALUES, 0))
        assert_values(store.done())


def test_large_results_are_kept_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "PART", 1_000)
    with opened(tmp_path / "store") as store:
        store.put(VALUES)
    with closing(sqlite3.connect(tmp_path / "store")) as db:
        assert db.execute("SELECT max(length(content)), max(part) > 5 FROM results").fetchone() == (1_000, 1)
    with opened(tmp_path / "store") as store:
        assert_values(store.done())
    with closing(sqlite3.connect(tmp_path / "store")) as db, db:
        db.execute("DELETE FROM results WHERE part = 4")
    with opened(tmp_path / "store") as store, pytest.raises(ValueError, match="damaged"):
        store.done()


@pytest.mark.parametrize(("column", "one", "other"), [("part", 3, 4), ("key", "[1]", "[2]")])
def test_parts_that_have_changed_places_are_damage(
    column: str, one: Any, other: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "PART", 1_000)
    with opened(tmp_path / "store") as store:
        store.put({(i,): i * torch.arange(2_000.0) for i in (1, 2)})
        assert [float(t[-1]) for t in store.done().values()] == [1_999.0, 3_998.0]
    with closing(sqlite3.connect(tmp_path / "store")) as db, db:
        for old, new in ((one, "x"), (other, one), ("x", other)):
            assert db.execute(f"UPDATE results SET {column} = ? WHERE {column} = ?", (new, old)).rowcount > 1
    with opened(tmp_path / "store") as store, pytest.raises(ValueError, match=r"damaged \(\[1\] is not what was put there\)"):
        store.done()


def test_numbers_of_numpy_and_torch_are_numbers_in_a_configuration(tmp_path: Path) -> None:
    for lr in (0.5, np.float32(0.5), torch.tensor(0.5), 0.5):
        with opened(tmp_path / "store", {"lr": lr}) as store:
            assert store.done() == {}
    with pytest.raises(ValueError, match=r"another lr \(lr 0.5, here 0.25\)"):
        opened(tmp_path / "store", {"lr": torch.tensor(0.25)})


# claims


def test_a_claim_is_of_one_store_until_it_is_done_or_given_up(tmp_path: Path) -> None:
    keys = [("EWC", 0.1 * i, 0) for i in range(6)]
    one = opened(tmp_path / "store").thing
    with opened(tmp_path / "store") as other:
        assert one.claim(keys[:3]) == keys[:3]
        assert one.claim(keys[:3]) == [] and other.claim(keys[:3]) == []
        assert other.claim(keys[2:5]) == keys[3:5]
        one.put({keys[0]: 0})
        assert other.claim(keys[:3]) == one.claim(keys[:3]) == []
        assert other.done() == {keys[0]: 0}
        assert len(os.listdir(tmp_path)) == 3  # an owner has a lock of its own beside the file
        one.close()
        assert sorted(os.listdir(tmp_path)) == sorted(["store", "store" + other._owner])
        assert other.claim(keys) == [*keys[1:3], keys[5]]
    assert os.listdir(tmp_path) == ["store"]
    with opened(tmp_path / "store") as third:
        assert third.claim(keys) == keys[1:]
    assert os.listdir(tmp_path) == ["store"]


def test_what_is_put_is_no_longer_claimed(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, closing(sqlite3.connect(tmp_path / "store")) as db:
        store.claim([(1,), (2,), (3,)])
        store.put({(1,): 0, (3,): 0})
        assert db.execute("SELECT * FROM claims").fetchall() == [("[2]", store._owner)]


def test_only_its_own_locks_are_cleared_away(tmp_path: Path) -> None:
    others = ["store-owner-of-it", "store-journal.txt", "storey", "sto"]
    for name in others:
        (tmp_path / name).touch()
    with opened(tmp_path / "store") as store:
        store.claim([(1,)])
        with closing(sqlite3.connect(tmp_path / "store")) as db, db:
            db.execute("INSERT INTO claims VALUES ('[2]', 'y')")  # of nobody: it must not lead to another file
        assert store.claim([(1,), (2,)]) == [(2,)]
    assert sorted(os.listdir(tmp_path)) == sorted(["store", *others])


def test_a_file_that_is_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    try:
        (tmp_path / "folder" / "link").symlink_to(tmp_path / "store")
    except OSError:
        pytest.skip("no links here")
    with opened(tmp_path / "store") as one, opened(tmp_path / "folder" / "link") as other:
        assert one.claim([(1,)]) == [(1,)] and other.claim([(1,), (2,)]) == [(2,)] and one.claim([(2,)]) == []


def test_many_at_once_divide_the_work(tmp_path: Path) -> None:
    keys = [(i,) for i in range(60)]
    claimed: list[Any] = []
    results: list[Any] = []

    def work(seed: int) -> None:
        mixed = random.Random(seed).sample(keys, len(keys))
        with opened(tmp_path / "store") as store:  # which is not there yet: all make it
            for i in range(0, len(keys), 3):
                mine = store.claim(mixed[i : i + 3])
                claimed.extend(mine)
                store.put(dict.fromkeys(mine, seed))
        with opened(tmp_path / "store") as store:
            results.append(store)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6 and sorted(claimed) == keys
    with opened(tmp_path / "store") as store:
        assert store.done().keys() == set(keys)
    assert os.listdir(tmp_path) == ["store"]


HOLD = """
import sys
from cl_teach._store import Store
store = Store(sys.argv[1], {}, [])
print(store.claim([(i,) for i in range(3)]), flush=True)
store.put({(0,): "done"})
for line in sys.stdin:
    print(line, flush=True)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has done (0,) and claims (1,) and (2,)."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "[(0,), (1,), (2,)]\n"
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "\n"
        yield process
        process.kill()


def test_claims_end_with_their_process_not_before(tmp_path: Path) -> None:
    keys = [(i,) for i in range(4)]
    with holder(tmp_path / "store") as process, opened(tmp_path / "store", {}) as store:
        assert store.claim(keys) == [(3,)]
        if hasattr(signal, "SIGSTOP"):  # however slow it is
            process.send_signal(signal.SIGSTOP)
            assert store.claim(keys) == []
        process.kill()
        process.wait()
        assert len(os.listdir(tmp_path)) == 3
        assert store.claim(keys) == [(1,), (2,)]
        assert len(os.listdir(tmp_path)) == 2
        assert store.done() == {(0,): "done"}
    assert os.listdir(tmp_path) == ["store"]


def test_what_a_killed_process_leaves_is_cleared_by_the_next_that_only_reads(tmp_path: Path) -> None:
    with holder(tmp_path / "store"):
        pass
    assert len(os.listdir(tmp_path)) == 2
    with opened(tmp_path / "store", {}) as store:
        assert store.done() == {(0,): "done"}
    assert os.listdir(tmp_path) == ["store"]


KILL = """
import json, os, random, signal, sys, time
import torch
from cl_teach._store import Store
path, random_ = sys.argv[1], random.Random(1)
torch.set_num_threads(1)
kills = 0
for k in range(19):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        store = Store(path, {"seed": 0}, [])
        os.write(tell, b"o")
        for i in range(1_000):
            mine = store.claim([(k, i, half) for half in (0, 1)])
            assert len(mine) == 2
            store.put({key: torch.full((random_.choice([10, 100_000]),), float(i)) for key in mine})
            os.write(tell, b"p")
        os._exit(0)
    os.close(tell)
    wanted, seen = random_.randint(0, k), b""  # writes, and then a little: no clock tells a slow machine from a quick one
    while seen.count(b"p") < wanted:
        seen += os.read(told, 1)
    time.sleep(random_.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    written = (seen + b"".join(iter(lambda: os.read(told, 4096), b""))).count(b"p")
    os.close(told)
    if k % 3 == 0:  # some kills come on top of another's rollback
        store = Store(path, {"seed": 0}, [])
        done = store.done()
        assert all(bool((value == i).all()) for (_, i, _), value in done.items())
        assert all((*key[:2], 1 - key[2]) in done for key in done)  # both of a pair or none
        assert written <= len([key for key in done if key[0] == k]) / 2 <= written + 1
        store.close()
        kills += written
print(kills, sorted(os.listdir(os.path.dirname(path))))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL and fork")
def test_killed_at_random_moments_it_holds_all_that_was_put_and_no_half(tmp_path: Path) -> None:
    path = tmp_path / "store"
    done = subprocess.run([sys.executable, "-c", KILL, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    writes, _, left = done.stdout.partition(" ")
    assert int(writes) > 10 and left.strip() == "['store']"


# refused, and left as it is


def test_a_damaged_file_is_refused_or_nothing_is_lost(path: Path) -> None:
    content, random_ = path.read_bytes(), random.Random(0)
    places = [*range(0, 110, 3), *random_.sample(range(len(content)), 250)]
    refused = 0
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << random_.randrange(8)
        path.write_bytes(damaged)
        try:
            with opened(path) as store:
                assert_values(store.done())
        except ValueError as error:
            assert "it is left as it is" in str(error) and str(path) in str(error), place
            refused += 1
            assert path.read_bytes() == damaged
        except OSError as error:
            assert place == 18 and "readonly" in str(error)  # this byte tells sqlite not to write
    assert len(places) // 3 < refused
    for length in (1, 15, 16, 99, 100, 511, 512, *range(1_000, len(content), 1_500), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="it is left as it is"), opened(path) as store:
            store.done()
        assert path.read_bytes() == content[:length]
    with closing(sqlite3.connect(path)) as db:  # damage where no result is read, but where the next claim would be written
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'claims'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    damaged = bytearray(content)
    damaged[(page - 1) * size + 3] ^= 1  # how many rows the page holds
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="it is left as it is"):
        opened(path)
    assert path.read_bytes() == damaged
    path.write_bytes(b"")  # as a kill leaves it that comes at once
    with opened(path) as store:
        assert store.done() == {}


def other_database(path: Path, *tables: str) -> bytes:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        for table in tables:
            db.execute(table)
    return path.read_bytes()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    contents = [
        b"cl_teach sweep 1\n" + bytes(2_000),
        b"x",
        b"a,b\n1,2\n",
        b"SQLite format 3\0",
        other_database(path, "CREATE TABLE results (key TEXT)"),
        other_database(path, *_store.TABLES, "CREATE TRIGGER t AFTER INSERT ON claims BEGIN DELETE FROM results; END"),
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"store is no file of results, or damaged .*; it is left as it is"):
            opened(path)
        assert path.read_bytes() == content and os.listdir(tmp_path) == ["store"]


def test_another_configuration_is_refused_and_named(path: Path) -> None:
    content = path.read_bytes()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"lr": 0.2}, r"made with another lr \(lr 0.1, here 0.2\); it is left as it is. Give another file"),
        ({"strengths": {"EWC": (0.0,)}, "watch": None}, r"another strengths, watch \(strengths .*1000000.0.*; watch {}, here"),
        ({"new": 1}, r"another new \(new None, here 1\)"),
    ]
    for change, message in changes:
        with pytest.raises(ValueError, match=message):
            opened(path, CONFIGURATION | change)
    with pytest.raises(ValueError, match="another lr"):
        opened(path, {name: value for name, value in CONFIGURATION.items() if name != "lr"})
    assert path.read_bytes() == content


class Harmful:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def test_a_result_that_would_run_code_is_refused(path: Path, tmp_path: Path) -> None:
    torch.save(Harmful(tmp_path / "harm"), buffer := io.BytesIO())
    content, name = buffer.getvalue(), json.dumps(["EWC", 1.0, 0])
    digest = hashlib.sha256(f"{name} 0 ".encode() + content).digest()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO results VALUES (?, 0, ?, ?)", (name, content, digest))
    before = path.read_bytes()
    with opened(path) as store, pytest.raises(ValueError, match=r'damaged \(\["EWC", 1.0, 0\] is not what was put there\)'):
        store.done()
    with closing(Store(path, CONFIGURATION, [])) as store, pytest.raises(ValueError, match=r"EWC.* is not what"):
        store.done()  # classes that are not asked for neither
    assert not (tmp_path / "harm").exists() and path.read_bytes() == before


def test_a_file_that_cannot_be_made_or_written_is_named(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "no" / "store", f"file {tmp_path}/no/store cannot be used: there is no folder {tmp_path}/no"),
        (tmp_path, f"file {tmp_path} cannot be used: it is a folder"),
    ):
        with pytest.raises(OSError) as caught:
            opened(path)
        assert str(caught.value).replace("\\", "/") == message.replace("\\", "/")
    for strange in (3, b"store", None):
        with pytest.raises(TypeError, match=f"file must be a path, got {strange!r} of type {type(strange).__name__}"):
            opened(strange)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission(path: Path) -> None:
    path.chmod(0o400)
    with opened(path) as store:
        assert_values(store.done())
        with pytest.raises(OSError, match=r"cannot be used: .*readonly"):
            store.claim([(1,)])


def test_who_gets_no_claim_puts_no_lock_beside_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as one, opened(tmp_path / "store") as other:
        assert one.claim([]) == [] and os.listdir(tmp_path) == ["store"]
        one.put({(1,): 0})
        assert one.claim([(1,)]) == [] and os.listdir(tmp_path) == ["store"]
        assert one.claim([(2,)]) == [(2,)] and other.claim([(2,)]) == []
        assert sorted(os.listdir(tmp_path)) == ["store", "store" + one._owner]
