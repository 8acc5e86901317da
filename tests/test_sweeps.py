"""Sweeps: the same as single runs, wherever they are done, however often they are killed."""

import copy
import io
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import cl_teach as cl
from cl_teach import _progress, sweeps
from cl_teach._store import Store
from cl_teach.fast import together

STRENGTHS = [0.0, 0.1, 10.0, 1e6]
METHODS = ["L2", "EWC", "SI"]
OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "every": 3}


def blobs(seed: int, n: int = 60) -> cl.Task:
    """Points around three corners of a cube."""
    generator = torch.Generator().manual_seed(seed)

    def part() -> cl.Split:
        y = torch.arange(n) % 3
        return cl.Split(4 * torch.eye(4)[y] + torch.randn(n, 4, generator=generator), y)

    return cl.Task(f"blobs {seed}", part(), part(), classes=(0, 1, 2))


A, B = blobs(0), blobs(1)
WIDE = cl.Split(torch.zeros(3, 5), torch.tensor([0, 1, 2]))


def small(seed: int = 0) -> nn.Module:
    return cl.mlp((8, 6), n_inputs=4, n_classes=3, seed=seed, device="cpu").double()


def single(seed: int = 0) -> nn.Module:
    """Layers that are not trained together; with random dropout, and averages that are no parameters."""
    model = cl.mlp((8,), n_inputs=4, n_classes=3, seed=seed, device="cpu").double()
    return nn.Sequential(*list(model)[:2], nn.BatchNorm1d(8).double(), nn.Dropout(0.2), *list(model)[2:])


def run(model: Any = small, **changes: Any) -> cl.Sweep:
    tasks = {"task_a": A, "task_b": B}
    return cl.sweep(**{"model": model, **tasks, "methods": METHODS, "strengths": STRENGTHS, **OPTIONS, **changes})


class Client:
    """As Dask's: its futures are not those of concurrent.futures."""

    def submit(self, work: Callable[[], object]) -> object:
        return work()

    def get_executor(self) -> object:
        return self


def shut_down() -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    return pool


def equal(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return list(some) == list(others) and all(torch.equal(some[name], others[name]) for name in some)


def assert_same(one: cl.Sweep, other: cl.Sweep) -> None:
    assert one.results.keys() == other.results.keys() and one.starts.keys() == other.starts.keys()
    for key, result in one.results.items():
        assert equal(result.weights, other[key].weights) and equal(result.buffers, other[key].buffers), key
        assert (result.a, result.b, result.distance) == (other[key].a, other[key].b, other[key].distance)
        assert result.history.loss == other[key].history.loss and result.history.watched == other[key].history.watched
        for kept, expected in zip(result.history.weights, other[key].history.weights, strict=True):
            assert equal(kept, expected)


def count_work(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is done from now on, one entry a unit of work: (seed,) for A, (method, strength, seed) for B."""
    done: list[tuple[Any, ...]] = []
    learn_a, learn_b = sweeps._learn_a, sweeps._learn_b

    def spy_a(job: Any, *rest: Any) -> Any:
        done.append((job.seed,))
        return learn_a(job, *rest)

    def spy_b(job: Any, start: Any, method: str, strengths: list[float], *rest: Any) -> Any:
        done.extend((method, strength, job.seed) for strength in strengths)
        return learn_b(job, start, method, strengths, *rest)

    monkeypatch.setattr(sweeps, "_learn_a", spy_a)
    monkeypatch.setattr(sweeps, "_learn_b", spy_b)
    return done


# the same as single runs


@pytest.mark.parametrize(
    ("model", "options", "stacked"),
    [
        (small, {}, True),
        (small, {"momentum": 0.0, "lr": 0.3}, True),
        (lambda seed: small(seed).float(), {}, True),
        (single, {}, False),
        (small, {"step": "gradient", "strengths": [0.0, 0.1, 0.2]}, False),
    ],
    ids=["float64", "no momentum", "float32", "batch norm and dropout", "gradient step"],
)
def test_results_are_those_of_single_runs(
    model: Callable[[int], nn.Module], options: dict[str, Any], stacked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    train_together = sweeps.train_together
    monkeypatch.setattr(sweeps, "train_together", lambda *a, **k: used.append(1) or train_together(*a, **k))
    strengths = options.pop("strengths", STRENGTHS)
    swept = run(model, seeds=[0, 3], watch={"A": A}, keep_weights=True, together=3, strengths=strengths, **options)
    assert bool(used) == stacked
    tolerance = 1e-4 if next(model(0).parameters()).dtype == torch.float32 else 1e-9
    assert set(swept.results) == {(m, s, seed) for m in METHODS for s in strengths for seed in (0, 3)}
    for seed in (0, 3):
        for method in METHODS:
            start, penalty = model(seed), getattr(cl, method)()
            cl.train(start, A, penalty=penalty, seed=seed, **OPTIONS, **options)
            penalty.consolidate(start, A)
            assert equal(swept.starts[seed].weights, {name: p.detach() for name, p in start.named_parameters()})
            assert swept.starts[seed].a == cl.evaluate(start, A) and swept.starts[seed].b == cl.evaluate(start, B)
            assert equal(swept.starts[seed].penalties[method].precision, penalty.precision)
            for strength in strengths:
                end, held = copy.deepcopy((start, penalty))
                options_b = {"seed": seed, "watch": {"A": A}, "keep_weights": True, **OPTIONS, **options}
                history = cl.train(end, B, penalty=held, strength=strength, **options_b)
                result = swept[method, strength, seed]
                for name, p in end.named_parameters():
                    assert (result.weights[name] - p).norm() <= tolerance * p.norm()
                for name, t in end.named_buffers():
                    assert torch.equal(result.buffers[name], t)
                moved = nn.utils.parameters_to_vector(end.parameters()) - nn.utils.parameters_to_vector(start.parameters())
                assert result.distance == pytest.approx(float(moved.detach().norm()), rel=tolerance, abs=tolerance)
                for mine, his in zip((result.a, result.b), (cl.evaluate(end, A), cl.evaluate(end, B)), strict=True):
                    assert mine.accuracy == his.accuracy and mine.loss == pytest.approx(his.loss, rel=tolerance)
                assert result.history.loss == pytest.approx(history.loss, rel=10 * tolerance)
                assert result.history.steps == history.steps == [0, 3, 6, 8]
                assert result.history.accuracy("A") == history.accuracy("A")
                for kept, expected in zip(result.history.weights, history.weights, strict=True):
                    assert all((kept[name] - t).norm() <= tolerance * t.norm() for name, t in expected.items())


def test_heads_of_their_own_and_plain_splits_are_trained_together_as_well() -> None:
    def part(low: int) -> cl.Split:
        return cl.Split(A.train.x, A.train.y % 2 + low)

    tasks = [cl.Task(str(low), part(low), part(low), classes=(low, low + 1)) for low in (0, 1)]
    for first, second in (tasks, (A.train, B.train)):
        swept = cl.sweep(small, first, second, methods=["EWC"], strengths=[0.1, 3.0], **OPTIONS)
        penalty, model = cl.EWC(), small(0)
        cl.train(model, first, **OPTIONS)
        penalty.consolidate(model, first)
        cl.train(model, second, penalty=penalty, strength=3.0, **OPTIONS)
        for name, p in model.named_parameters():
            assert (swept["EWC", 3.0, 0].weights[name] - p).norm() < 1e-9
        assert swept["EWC", 3.0, 0].a.accuracy == cl.evaluate(model, first).accuracy


def test_in_class_incremental_learning_a_is_tested_among_all_classes() -> None:
    whole = cl.Task("four", *(cl.Split(x, torch.arange(60) % 4) for x in (A.train.x, A.test.x)), classes=(0, 1, 2, 3))
    a, b = cl.split_classes(whole, 2, "class")
    model = cl.mlp((8, 6), n_inputs=4, n_classes=4, device="cpu").double()
    swept = cl.sweep(model, a, b, methods=["L2"], strengths=[0.1, 10.0], **OPTIONS)
    for end in (swept.starts[0], *swept.results.values()):
        model.load_state_dict(end.weights)
        expected = cl.evaluate(model, a, b.classes)
        assert end.a.accuracy == expected.accuracy and end.a.loss == pytest.approx(expected.loss)
        assert end.a.loss > 1.001 * cl.evaluate(model, a).loss  # between its own two classes


def test_runs_leave_the_penalties_of_the_start_as_they_were() -> None:
    swept = run(single, methods=["SI"], strengths=[0.0, 10.0])
    model, penalty = single(), cl.SI()
    cl.train(model, A, penalty=penalty, **OPTIONS)
    penalty.consolidate(model, A)
    found, expected = swept.starts[0].penalties["SI"].state_dict(), penalty.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert equal(found[name], value) if isinstance(value, dict) else found[name] == value, name


def test_a_penalty_with_a_step_of_its_own_is_not_stacked() -> None:
    class Own(cl.L2):
        def proximal_step(self, model: nn.Module, c: float) -> None:
            super().proximal_step(model, c)

    settings = {"step": "proximal"}
    assert sweeps._side_by_side(small(), cl.L2(), settings) and not sweeps._side_by_side(small(), Own(), settings)
    assert not sweeps._side_by_side(small(), cl.L2(), {"step": "gradient"})


@pytest.mark.parametrize("make", [small, single])
def test_a_wrapped_network_is_the_one_inside(make: Callable[[int], nn.Module]) -> None:
    plain = run(make, seeds=[0, 1])
    assert_same(run(lambda seed: torch.compile(make(seed)), seeds=[0, 1]), plain)
    assert_same(run(lambda seed: nn.DataParallel(make(seed)), seeds=[0, 1]), plain)
    assert next(iter(plain.starts[0].weights)) == "1.weight"


def test_a_function_may_give_the_same_network_again_with_other_weights() -> None:
    only = small()

    def again(seed: int) -> nn.Module:
        only.load_state_dict(small(seed).state_dict())
        return only

    assert_same(run(again, seeds=[0, 1]), run(small, seeds=[0, 1]))


def test_numbers_of_numpy_are_numbers() -> None:
    given = {"strengths": np.array([0.0, 10.0]), "seeds": np.arange(2), "together": np.int64(8), "batch_size": np.int64(16)}
    expected = run(strengths=[0.0, 10.0], seeds=[0, 1])
    found = run(**given, every=np.int32(3), epochs=np.int64(2))
    assert_same(found, expected)
    assert repr(found.seeds) == "(0, 1)"


def test_a_method_that_holds_nothing_may_be_called_so() -> None:
    assert run(methods={"none": cl.L2}, strengths=[0.0])["none", 0, 0].history.loss


def test_results_that_are_not_there_are_not_given() -> None:
    swept = run(methods=["L2"], strengths=[1.0])
    for key in ("L2", ["L2", 1.0, 0], ("L2", [1.0], 0), ("L2", 1.0, 1)):
        with pytest.raises(KeyError, match=r"no result for .* methods .*'L2'.* seeds"):
            swept[key]  # type: ignore[index]
    with pytest.raises(ValueError, match=r"seed must be one of \(0,\), .* got 9"):
        swept.accuracies(9)


def test_one_network_for_all_seeds_stays_as_it_is() -> None:
    model = small()
    before = copy.deepcopy(model.state_dict())
    swept = run(model, seeds=[0, 1])
    assert equal(before, model.state_dict())
    assert not equal(swept.starts[0].weights, swept.starts[1].weights)  # another order of the samples


def test_the_table_is_what_the_figures_take() -> None:
    swept = run(methods=["L2", "EWC"], seeds=[0, 1])
    table = swept.accuracies()
    assert list(table) == ["L2", "EWC"] and list(table["EWC"]) == STRENGTHS
    pair = [swept["EWC", 10.0, seed] for seed in (0, 1)]
    assert table["EWC"][10.0] == ((pair[0].a.accuracy + pair[1].a.accuracy) / 2, (pair[0].b.accuracy + pair[1].b.accuracy) / 2)
    assert swept.accuracies(seed=1)["EWC"][10.0] == (pair[1].a.accuracy, pair[1].b.accuracy)
    assert "EWC is best at lambda" in cl.figures.frontier(table).alt
    assert "lambda 10" in cl.figures.strength_frame(table, "EWC", 10.0).alt
    with pytest.raises(KeyError, match=r"no result for \('EWC', 5.0, 0\)"):
        swept["EWC", 5.0, 0]


def test_diverged_runs_are_counted_and_end_as_in_train() -> None:
    options: dict[str, Any] = {"methods": {"hold": cl.L2}, "step": "gradient", "strengths": [0.0, 1e30]}
    with pytest.warns(RuntimeWarning) as caught:
        swept = run(**options, epochs=20)
    assert len([w for w in caught if "1 of 2 runs diverged" in str(w.message)]) == 1
    assert swept["hold", 1e30, 0].history.diverged and not swept["hold", 0.0, 0].history.diverged
    huge = cl.Task("huge", cl.Split(1e200 * B.train.x.double(), B.train.y), B.test, B.classes)
    with pytest.warns(RuntimeWarning, match="2 of 4 runs diverged"):  # trained together; 1e300 and 1e308 hold all
        swept = cl.sweep(small, A, huge, methods=["L2"], strengths=[0.0, 1.0, 1e300, 1e308], **OPTIONS)
    diverged = [swept["L2", s, 0].history.diverged for s in swept.strengths["L2"]]
    assert diverged == [True, True, False, False]
    with pytest.raises(RuntimeError, match="diverged on A with seed 0"):
        cl.sweep(small, huge, B, strengths=[1.0], **OPTIONS)


def test_diverged_runs_trained_together_are_those_of_train() -> None:
    huge = cl.Task("huge", cl.Split(1e200 * B.train.x.double(), B.train.y), B.test, B.classes)
    with pytest.warns(RuntimeWarning, match="2 of 4 runs diverged"):
        swept = cl.sweep(small, A, huge, methods=["L2"], strengths=[0.0, 1.0, 1e300, 1e308], **OPTIONS)
    penalty, start = cl.L2(), small(0)
    cl.train(start, A, **OPTIONS)
    penalty.consolidate(start, A)
    for strength in (0.0, 1.0):
        model, result = copy.deepcopy(start), swept["L2", strength, 0]
        with pytest.warns(RuntimeWarning, match="training diverged"):
            history = cl.train(model, huge, penalty=copy.deepcopy(penalty), strength=strength, **OPTIONS)
        assert repr(result.history) == repr(history) and len(history.loss) == 3 and history.steps == [0]  # nan is not nan
        expected = {name: p.detach() for name, p in model.named_parameters()}
        torch.testing.assert_close(result.weights, expected, rtol=0, atol=0, equal_nan=True)


# executors


def test_threads() -> None:
    state = torch.random.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        assert_same(run(executor=pool, seeds=[0, 1], together=2), run(seeds=[0, 1], together=2))
        assert_same(run(single, executor=pool, seeds=[0, 1]), run(single, seeds=[0, 1]))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.slow
def test_processes(tmp_path: Path) -> None:
    watched: dict[str, Any] = {"watch": {"A": A}, "keep_weights": True, "seeds": [0, 1], "together": 2}
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        elsewhere = run(executor=pool, file=tmp_path / "sweep", **watched)
    assert_same(elsewhere, run(**watched))
    assert_same(elsewhere, run(file=tmp_path / "sweep", **watched))


@pytest.mark.slow
def test_a_dask_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'cl_teach[cluster]'")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert_same(run(executor=client.get_executor(), together=2, file=tmp_path / "sweep"), run(together=2))
    assert_same(run(file=tmp_path / "sweep"), run(together=2))


@pytest.mark.slow
def test_each_process_of_a_pool_uses_one_core_and_the_caller_as_many_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(methods=["L2"])
        with ThreadPoolExecutor(1) as pool:
            run(methods=["L2"], executor=pool)
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=torch.set_num_threads, initargs=(2,)) as processes:
            assert processes.submit(torch.get_num_threads).result() == 2
            run(methods=["L2"], executor=processes)
            assert processes.submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# the file


def test_a_finished_sweep_is_read_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(file=tmp_path / "sweep", watch={"A": A}, keep_weights=True)
    content = (tmp_path / "sweep").read_bytes()
    done = count_work(monkeypatch)
    again = run(file=tmp_path / "sweep", watch={"A": A}, keep_weights=True)
    assert done == [] and (tmp_path / "sweep").read_bytes() == content
    assert_same(first, again)
    assert type(again.starts[0].penalties["SI"]) is cl.SI
    assert equal(again.starts[0].penalties["EWC"].precision, first.starts[0].penalties["EWC"].precision)


def test_a_file_continues_after_any_unit_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep"
    whole = run(file=path, together=2)
    content = path.read_bytes()
    done = count_work(monkeypatch)
    counts = []
    path.write_bytes(b"")  # a kill came before anything else
    assert_same(whole, run(file=path, together=2))
    assert len(done) == 13
    for rows in (1, 2, 4, 8, 12):  # the configuration, A, the runs of B by twos
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM results WHERE rowid > ?", (rows,))
        done.clear()
        assert_same(whole, run(file=path, together=2))
        assert len(set(done)) == len(done)
        counts.append(len(done))
        assert os.listdir(tmp_path) == ["sweep"]
    assert counts == [13, 12, 10, 6, 2]


KILL = """
import json, os, random, signal, sys, time
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_sweeps as t
path, log, random_ = sys.argv[2], sys.argv[3], random.Random(int(sys.argv[4]))

def wide(seed):
    return t.cl.mlp((200,), n_inputs=4, n_classes=3, seed=seed, device="cpu").double()

def sweep(path):
    learn_b = t.sweeps._learn_b
    def logged(job, start, method, strengths, *rest):
        with open(log, "a") as f:
            f.write(json.dumps([[method, s, job.seed] for s in strengths]) + "\\n")
        return learn_b(job, start, method, strengths, *rest)
    t.sweeps._learn_b = logged
    return t.run(wide, file=path, seeds=[0, 1], together=2, keep_weights=True, watch={"A": t.A}, progress=False)

def undisturbed():
    return t.run(wide, seeds=[0, 1], together=2, keep_weights=True, watch={"A": t.A}, progress=False)

undisturbed()
begun = time.perf_counter()
undisturbed()
whole = time.perf_counter() - begun  # on this machine

rounds = []
while True:
    open(log, "w").close()
    child = os.fork()
    if child == 0:
        sweep(path)
        os._exit(7)
    time.sleep(random_.uniform(0.0, 0.12 * whole * (1 + len(rounds))))  # longer each time, so that it ends
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    started = [key for line in open(log) for key in json.loads(line)]
    rounds.append([os.path.getsize(path) if os.path.exists(path) else 0, started])
    if os.WIFEXITED(status) or len(rounds) > 60:
        break
same = True
try:
    t.assert_same(t.run(wide, file=path, seeds=[0, 1], together=2, keep_weights=True, watch={"A": t.A}), undisturbed())
except AssertionError:
    same = False
print(json.dumps({"rounds": rounds, "exit": os.waitstatus_to_exitcode(status), "same": same}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL and fork")
def test_killed_at_random_moments_it_continues_where_it_was(tmp_path: Path) -> None:
    path, log = tmp_path / "sweep", tmp_path / "log"
    arguments = [str(Path(__file__).parent), str(path), str(log), "1"]
    done = subprocess.run([sys.executable, "-c", KILL, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    print(f"killed {len(report['rounds']) - 1} times")
    assert report["exit"] == 7 and len(report["rounds"]) > 4, "the child must have been killed several times before it finished"
    assert report["same"]
    # A unit of work is started again only if the kill came before it was in the file: never more than one a round.
    rounds = [started for _, started in report["rounds"]]
    for i, started in enumerate(rounds):
        assert len({tuple(key) for key in started}) == len(started)
        finished = {tuple(key) for key in started[:-2]}  # all but the unit that the kill hit
        later = {tuple(key) for following in rounds[i + 1 :] for key in following}
        assert not finished & later


def test_each_method_may_have_strengths_of_its_own() -> None:
    own = {"L2": [0.1], "EWC": [10.0, 100.0]}
    swept = cl.sweep(small, A, B, strengths=own, **OPTIONS)
    assert list(swept.results) == [("L2", 0.1, 0), ("EWC", 10.0, 0), ("EWC", 100.0, 0)]
    assert {method: list(points) for method, points in swept.accuracies().items()} == own
    alone = cl.sweep(small, A, B, methods=["EWC"], strengths=[10.0], **OPTIONS)
    assert swept["EWC", 10.0, 0].a.loss == pytest.approx(alone["EWC", 10.0, 0].a.loss)


def test_a_file_of_another_sweep_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep"
    run(file=path)
    content = path.read_bytes()
    done = count_work(monkeypatch)
    other: list[tuple[dict[str, Any], str]] = [
        ({"strengths": [0.0, 1.0]}, r"strengths \(strengths .*\[0.0, 0.1, 10.0, 1000000.0\].*, here .*\[0.0, 1.0\]"),
        ({"seeds": [1]}, "model, seeds"),
        ({"methods": {"L2": cl.L2, "EWC": cl.EWC(labels="true"), "SI": cl.SI}}, "labels='true'"),
        ({"lr": 0.1}, r"lr \(lr 0.05, here 0.1\)"),
        ({"watch": {"A": A}}, "watch"),
        ({"keep_weights": True}, "keep_weights"),
        ({"model": lambda seed: small(seed + 1)}, "model"),
    ]
    for changes, message in other:
        with pytest.raises(ValueError, match=f"was made with another {message}" if "=" not in message else message):
            run(file=path, **changes)
    with pytest.raises(ValueError, match="another task_b"):
        cl.sweep(small, A, blobs(2), methods=METHODS, strengths=STRENGTHS, file=path, **OPTIONS)
    assert path.read_bytes() == content
    place = content.rindex(b"weights")  # within a result
    damaged_bytes = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    for damaged in (damaged_bytes, content[:-500], b"a,b\n1,2\n", b"x", b"cl_teach sweep 1\n" + content):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="it is left as it is"):
            run(file=path)
        assert path.read_bytes() == damaged
    assert done == []


def test_any_change_of_the_data_makes_another_sweep(tmp_path: Path) -> None:
    def two_classes(seed: int) -> cl.Task:
        parts = [cl.Split(part.x, part.y % 2) for part in (blobs(seed).train, blobs(seed).test)]
        return cl.Task("two", *parts, classes=(0, 1))

    def others(task: cl.Task) -> Iterator[cl.Task]:
        for name in ("train", "test"):
            part = getattr(task, name)
            for x, y in ((part.x + 1e-3, part.y), (part.x, part.y.roll(1)), (part.x.double(), part.y)):
                yield replace(task, **{name: cl.Split(x, y)})
        yield replace(task, classes=(0, 1, 2))

    def sweep(**data: cl.Task) -> cl.Sweep:
        return cl.sweep(small, **data, methods=["L2"], strengths=[1.0], file=tmp_path / "sweep", **OPTIONS)

    tasks = {"task_a": two_classes(0), "task_b": two_classes(1)}
    sweep(**tasks)
    for name, task in tasks.items():
        for other in others(task):
            with pytest.raises(ValueError, match=rf"made with another {name} \("):
                sweep(**{**tasks, name: other})
    assert len(sweep(**{name: replace(task, name="a new name") for name, task in tasks.items()}).results) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("step", "gradient"),
        ("epochs", 1),
        ("batch_size", 20),
        ("lr", 0.1),
        ("momentum", 0.5),
        ("statistics", "moving"),
        ("every", 2),
    ],
)
def test_each_option_of_train_makes_another_sweep(option: str, value: Any, tmp_path: Path) -> None:
    few: dict[str, Any] = {"methods": ["L2"], "strengths": [1.0], "file": tmp_path / "sweep"}
    assert option in sweeps.OPTIONS and len(sweeps.OPTIONS) == 7
    run(**few)
    with pytest.raises(ValueError, match=rf"made with another {option} \({option} .*, here {value!r}\);"):
        run(**few, **{option: value})


def test_each_setting_of_a_penalty_makes_another_sweep(tmp_path: Path) -> None:
    few: dict[str, Any] = {"strengths": [1.0], "file": tmp_path / "sweep"}
    known: dict[str, cl.Penalty] = {"one": cl.EWC(n=20), "two": cl.OnlineEWC(), "three": cl.SI(), "four": cl.MAS(n=20)}
    run(methods=known, **few)
    for name, other, before, after in (
        ("one", cl.EWC(n=30), "n=20", "n=30"),
        ("one", cl.EWC(), "n=20", "n=None"),
        ("one", cl.EWC(n=20, seed=1), "seed=0", "seed=1"),
        ("one", cl.EWC(n=20, likeliest=3), "likeliest=4", "likeliest=3"),
        ("two", cl.LatestEWC(), "OnlineEWC", "LatestEWC"),
        ("two", cl.OnlineEWC(0.5), "decay=1.0", "decay=0.5"),
        ("three", cl.SI(0.2), "damping=0.1", "damping=0.2"),
        ("four", cl.MAS(n=30), r"MAS\(n=20", r"MAS\(n=30"),
    ):
        with pytest.raises(ValueError, match=rf"made with another methods \(methods .*({before}).*, here .*{after}"):
            run(methods={**known, name: other}, **few)
    assert len(run(methods=known, **few).results) == 4


def test_another_network_of_any_seed_makes_another_sweep(tmp_path: Path) -> None:
    def hyperbolic(seed: int) -> nn.Module:
        return nn.Sequential(*(nn.Tanh() if type(layer) is nn.ReLU else layer for layer in small(seed).children()))

    few: dict[str, Any] = {"methods": ["L2"], "strengths": [1.0], "seeds": [0, 1], "file": tmp_path / "sweep"}
    run(**few)
    assert equal(small().state_dict(), hyperbolic(0).state_dict())
    for model in (hyperbolic, lambda seed: small(5 * seed), lambda seed: small(abs(seed - 1) + 1)):
        with pytest.raises(ValueError, match=r"made with another model \("):
            run(model, **few)
    assert len(run(**few).results) == 2


SHARE = """
import json, os, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_sweeps as t
path, log = sys.argv[2:4]
learn_a, learn_b = t.sweeps._learn_a, t.sweeps._learn_b

def note(*keys):
    with open(log, "a") as f:
        f.write(json.dumps([os.getpid(), keys]) + "\\n")

def logged_a(job):
    note(["", 0.0, job.seed])
    return learn_a(job)

def logged_b(job, start, method, strengths, *rest):
    note(*[[method, s, job.seed] for s in strengths])
    return learn_b(job, start, method, strengths, *rest)

t.sweeps._learn_a, t.sweeps._learn_b = logged_a, logged_b
print("ready", flush=True)
input()
swept = t.shared(path)
torch.save([[list(key), run.weights, run.history.loss] for key, run in swept.results.items()], sys.argv[4])
print(len(swept.starts), swept.interrupted, flush=True)
"""


def shared(path: Path | None) -> cl.Sweep:
    return run(file=path, seeds=[0, 1], together=2, epochs=10, every=100)


@pytest.mark.slow
def test_two_processes_share_the_work_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    path, log, folder = tmp_path / "results" / "sweep", tmp_path / "log", str(Path(__file__).parent)
    workers = [
        subprocess.Popen([sys.executable, "-c", SHARE, folder, path, log, tmp_path / str(i)], stdin=-1, stdout=-1, text=True)
        for i in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in workers:
        out, _ = worker.communicate(timeout=120)
        assert (out, worker.returncode) == ("2 False\n", 0)
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    keys = [tuple(key) for _, unit in entries for key in unit]
    expected = {(m, s, seed) for m in METHODS for s in STRENGTHS for seed in (0, 1)} | {("", 0.0, seed) for seed in (0, 1)}
    assert len(keys) == len(expected) and set(keys) == expected  # each once
    assert {worker for worker, _ in entries} == {worker.pid for worker in workers}  # by both of them
    assert os.listdir(tmp_path / "results") == ["sweep"]
    whole = shared(None)
    for i in range(2):
        results = torch.load(tmp_path / str(i))
        assert [tuple(key) for key, _, _ in results] == list(whole.results)
        for key, weights, loss in results:
            assert equal(weights, whole[tuple(key)].weights) and loss == whole[tuple(key)].history.loss


HANG = """
import sys, time
sys.path.insert(0, sys.argv[1])
import test_sweeps as t
calls, learn_b = [], t.sweeps._learn_b

def hanging(*args):
    calls.append(args)
    if len(calls) == 2:
        print("at work", flush=True)
        time.sleep(600)
    return learn_b(*args)

t.sweeps._learn_b = hanging
t.run(file=sys.argv[2], together=2)
"""


@pytest.mark.slow
def test_the_work_of_a_killed_process_is_done_by_one_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    path, waits, seen = tmp_path / "results" / "sweep", list[int](), list[Any]()
    done = count_work(monkeypatch)
    with subprocess.Popen([sys.executable, "-c", HANG, Path(__file__).parent, path], stdout=-1, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "at work\n"

        def sleep(seconds: float) -> None:
            waits.append(len(done))
            if len(waits) == 3:
                seen.extend(done)
                other.kill()
                other.wait()

        monkeypatch.setattr(sweeps.time, "sleep", sleep)
        swept = run(file=path, together=2)
    first, hung = [("L2", s, 0) for s in STRENGTHS[:2]], [("L2", s, 0) for s in STRENGTHS[2:]]
    assert seen == [(m, s, 0) for m in METHODS[1:] for s in STRENGTHS]  # all but what the other has done or works on
    assert waits == [len(seen)] * 3 and done == seen + hung
    assert set(swept.results) == {*first, *hung, *seen} and list(swept.results)[:4] == first + hung
    monkeypatch.undo()
    assert_same(swept, run(together=2))
    assert os.listdir(tmp_path / "results") == ["sweep"]


def test_an_executor_does_not_start_what_another_is_doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, arguments, counts = tmp_path / "sweep", list[Any](), list[int]()
    done = count_work(monkeypatch)
    monkeypatch.setattr(sweeps, "Store", lambda *given: arguments.append(given) or Store(*given))
    whole = run(file=path, together=2)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM results WHERE key LIKE '%EWC%' OR key LIKE '%SI%'")
    other = Store(*arguments[0])
    assert len(other.claim([("EWC", 10.0, 0), ("SI", 0.0, 0)])) == 2

    def sleep(seconds: float) -> None:
        counts.append(len(done))
        other.close()

    monkeypatch.setattr(sweeps.time, "sleep", sleep)
    done.clear()
    with ThreadPoolExecutor(2) as pool:
        swept = run(file=path, together=2, executor=pool)
    assert counts == [6] and set(done[6:]) == {("EWC", 10.0, 0), ("SI", 0.0, 0)}
    assert list(swept.results) == list(whole.results)
    assert os.listdir(tmp_path) == ["sweep"]


def test_an_executor_takes_up_what_is_given_up_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, arguments, in_time, begun = tmp_path / "sweep", list[Any](), list[bool](), threading.Event()
    monkeypatch.setattr(sweeps, "POLL", 0.01)
    monkeypatch.setattr(sweeps, "Store", lambda *given: arguments.append(given) or Store(*given))
    whole = run(file=path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM results WHERE key LIKE '%EWC%' OR key LIKE '%SI%'")
    others = [Store(*arguments[0])]
    assert len(others[0].claim([("SI", strength, 0) for strength in STRENGTHS])) == 4
    learn_b, wait = sweeps._learn_b, sweeps.wait

    def learn(job: Any, start: Any, method: str, *rest: Any) -> Any:
        if method == "SI":
            begun.set()
        else:
            in_time.append(begun.wait(10))  # EWC takes long
        return learn_b(job, start, method, *rest)

    def waiting(*args: Any) -> Any:
        if others:  # EWC has begun, and SI was another's
            others.pop().close()
        return wait(*args)

    monkeypatch.setattr(sweeps, "_learn_b", learn)
    monkeypatch.setattr(sweeps, "wait", waiting)
    with ThreadPoolExecutor(2) as pool:
        assert_same(run(file=path, executor=pool), whole)
    assert in_time == [True]


def test_results_come_in_the_order_asked_for(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"methods": ["SI", "L2"], "strengths": [10.0, 0.1], "seeds": [1, 0], "file": tmp_path / "sweep"}
    run(**asked)
    with closing(sqlite3.connect(tmp_path / "sweep")) as db, db:
        assert db.execute("DELETE FROM results WHERE key LIKE '%SI%, 1]' OR key LIKE '%L2%10.0, 0]'").rowcount == 3
    swept = run(**asked)
    assert list(swept.results) == [(m, s, seed) for seed in (1, 0) for m in ("SI", "L2") for s in (10.0, 0.1)]
    assert list(swept.accuracies()) == ["SI", "L2"] and list(swept.accuracies()["L2"]) == [10.0, 0.1]


# the best strength


def finished(runs: dict[tuple[float, int], dict[str, tuple[float, float]] | None], seeds: tuple[int, ...] = (0,)) -> cl.Sweep:
    """A sweep of EWC: (strength, seed) -> name of watched data -> (accuracy, loss) at the end, or None for a diverged run.

    On the test data and at the start every run looks the better the larger its strength is: that must not count.
    """
    results = {}
    for (strength, seed), ends in runs.items():
        test = cl.Evaluation(-strength, strength)
        watched = {name: [test, cl.Evaluation(loss, accuracy)] for name, (accuracy, loss) in (ends or {}).items()}
        history = cl.History([0.5], [0, 1], watched or {"A": [test], "B": [test]}, diverged=ends is None)
        results["EWC", strength, seed] = sweeps.Result(test, test, 0.0, {}, {}, history)
    grid = tuple(dict.fromkeys(strength for strength, _ in runs))
    return cl.Sweep(("EWC",), {"EWC": grid}, seeds, {}, results)


def one_seed(*accuracies: float, loss: tuple[float, ...] = ()) -> cl.Sweep:
    """Strengths 1, 10, 100, ..., watched on A."""
    losses = loss or (1.0,) * len(accuracies)
    return finished({(10.0**i, 0): {"A": pair} for i, pair in enumerate(zip(accuracies, losses, strict=True))})


def test_the_best_strength_has_the_highest_mean_accuracy_over_seeds_and_watched_data() -> None:
    runs = {
        (1.0, 0): {"A": (0.1, 1.0), "B": (0.9, 1.0), "C": (1.0, 1.0)},
        (10.0, 0): {"A": (0.6, 9.0), "B": (0.7, 9.0), "C": (0.0, 9.0)},
        (100.0, 0): {"A": (0.8, 1.0), "B": (0.4, 1.0), "C": (0.1, 1.0)},
        (1.0, 7): {"A": (0.1, 1.0), "B": (0.9, 1.0), "C": (1.0, 1.0)},
        (10.0, 7): {"A": (0.6, 9.0), "B": (0.7, 9.0), "C": (0.0, 9.0)},
        (100.0, 7): {"A": (0.9, 1.0), "B": (0.4, 1.0), "C": (0.1, 1.0)},
    }
    swept = finished(runs, seeds=(0, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best = swept.best("EWC", on=("A", "B"))  # sums 2, 2.6 and 2.5
    assert best == 10.0 and swept["EWC", best, 7].history.watched["A"][-1].accuracy == 0.6
    with pytest.warns(RuntimeWarning, match="the best strength of EWC, 1, is the smallest of its grid; a wider grid may"):
        assert swept.best("EWC", on=["B"]) == 1.0
    with pytest.warns(RuntimeWarning, match="the best strength of EWC, 100, is the largest of its grid; a wider grid may"):
        assert swept.best("EWC", on="A") == 100.0
    del swept.results["EWC", 100.0, 7]  # interrupted: seed 7 does not have all
    with pytest.warns(RuntimeWarning, match="the smallest"):
        assert swept.best("EWC", on=("B", "C")) == 1.0
    swept.results["EWC", 1.0, 7].history.watched["B"][-1] = cl.Evaluation(1.0, -9.0)
    with pytest.warns(RuntimeWarning, match="the smallest"):
        assert swept.best("EWC", on="B") == 1.0


def test_among_equally_accurate_strengths_the_lowest_loss_decides() -> None:
    assert one_seed(0.1, 0.5, 0.5, 0.1, loss=(1.0, 3.0, 2.0, 0.0)).best("EWC", "A") == 100.0
    assert one_seed(0.1, 0.5, 0.5, 0.1, loss=(1.0, 2.0, 3.0, 0.0)).best("EWC", "A") == 10.0
    thirds = {(0.1, 0.8): 1.0, (0.3, 0.6): 2.0, (0.2, 0.7): 0.5, (0.0, 0.0): 0.0}  # equal but for rounding
    runs = {
        (10.0**i, 0): {n: (a, loss) for n, a in zip("AB", pair, strict=True)} for i, (pair, loss) in enumerate(thirds.items())
    }
    assert finished(runs).best("EWC", ("A", "B")) == 100.0


def test_a_strength_that_diverged_with_any_seed_is_never_the_best() -> None:
    good = {"A": (0.5, 1.0)}
    runs = {(s, seed): good for seed in (0, 1) for s in (1.0, 10.0)} | {(10.0, 0): {"A": (0.9, 1.0)}, (10.0, 1): None}
    assert finished(runs | {(0.1, 0): None, (0.1, 1): None}, seeds=(0, 1)).best("EWC", "A") == 1.0
    with pytest.raises(ValueError, match=r"method 'EWC' must have strengths at which no run diverged, got none among \(1.0,\)"):
        finished({(1.0, 0): None}).best("EWC", "A")


def test_no_penalty_can_be_the_best_without_a_wider_grid() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert finished({(0.0, 0): {"A": (0.9, 1.0)}, (1.0, 0): {"A": (0.5, 1.0)}}).best("EWC", "A") == 0.0


@pytest.mark.parametrize(
    ("method", "on", "message"),
    [
        ("L2", "A", "method must be one of 'EWC', got 'L2'"),
        ("EWC", ("A", "B"), r"on must name watched data, got \('A', 'B'\); watched were 'A'"),
        ("EWC", (), r"on must name watched data, got \(\); watched were 'A'"),
        ("EWC", None, "on must name watched data, got None; watched were 'A'"),
        ("EWC", [["A"]], r"on must name watched data, got \[\['A'\]\]; watched were 'A'"),
    ],
)
def test_the_best_of_what_is_not_there_is_refused(method: str, on: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one_seed(0.1, 0.5, 0.3).best(method, on)


def test_the_best_needs_watched_data_and_results() -> None:
    swept = run(single, methods=["L2"], strengths=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"on must name watched data, got 'A'; nothing was; give sweep watch="):
        swept.best("L2", on="A")
    swept.results.clear()
    with pytest.raises(ValueError, match="method 'L2' must have results of all its 2 strengths, got no seed that has them"):
        swept.best("L2", on="A")


def test_the_best_of_a_real_sweep() -> None:
    swept = run(seeds=[0, 3], watch={"A": A, "B": B, "both": cl.joint([A, B])})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for method in METHODS:
            table = swept.accuracies()[method]
            best = swept.best(method, on=("A", "B"))
            assert sum(table[best]) == pytest.approx(max(map(sum, table.values()))) and best == swept.best(method, on="both")


# Ctrl-C, progress, bad input


@pytest.mark.parametrize("model", [small, single])
def test_ctrl_c_returns_what_is_done(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(model, together=2)
    learn_b, calls = sweeps._learn_b, []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return learn_b(*args)

    monkeypatch.setattr(sweeps, "_learn_b", interrupted)
    with pytest.warns(RuntimeWarning) as caught:
        part = run(model, file=tmp_path / "sweep", together=2)
    (message,) = [str(w.message) for w in caught if "SI watched" not in str(w.message)]  # one of them has batch norm
    done = 4 if model is small else 2
    assert message == f"interrupted after {done} of 12 runs; what is done is returned and kept in {tmp_path / 'sweep'}"
    assert part.interrupted and list(part.results) == list(whole.results)[:done]
    assert list(part.accuracies()["L2"]) == STRENGTHS[:done] and part.accuracies()["SI"] == {}
    assert os.listdir(tmp_path) == ["sweep"]
    with closing(sqlite3.connect(tmp_path / "sweep")) as db:
        assert db.execute("SELECT * FROM claims").fetchall() == []
    monkeypatch.setattr(sweeps, "_learn_b", learn_b)
    assert_same(run(model, file=tmp_path / "sweep", together=2), whole)


def test_ctrl_c_within_a_single_run(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    class Counting(cl.L2):
        def proximal_step(self, model: nn.Module, c: float) -> None:
            steps.append(1)
            if len(steps) == 12:  # in the second run: each has 8 steps
                signal.raise_signal(signal.SIGINT)
            super().proximal_step(model, c)

    with pytest.warns(RuntimeWarning) as caught:
        part = run(methods={"counting": Counting})
    assert [str(w.message) for w in caught] == ["interrupted after 1 of 4 runs; what is done is returned"]
    assert list(part.results) == [("counting", 0.0, 0)]


def test_ctrl_c_within_networks_trained_together_keeps_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, usual = list[int](), together.loss_and_gradient

    def interrupted(*args: Any, **options: Any) -> Any:
        steps.append(1)
        if len(steps) == 8 + 5:  # in the fifth step of the second unit of work
            signal.raise_signal(signal.SIGINT)
        return usual(*args, **options)

    monkeypatch.setattr(together, "loss_and_gradient", interrupted)
    with pytest.warns(RuntimeWarning, match="interrupted after 2 of 12 runs"):
        part = run(file=tmp_path / "sweep", together=2)
    done = {("L2", strength, 0) for strength in STRENGTHS[:2]}
    assert len(steps) == 8 + 5 and part.interrupted and set(part.results) == done
    with closing(sqlite3.connect(tmp_path / "sweep")) as db:
        assert {tuple(json.loads(key)) for (key,) in db.execute("SELECT key FROM results")} == {(), ("", 0.0, 0), *done}
    monkeypatch.undo()
    assert_same(run(file=tmp_path / "sweep", together=2), run(together=2))


def test_the_bar_counts_every_step_once_and_is_silent_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Any] = []

    class Bar(_progress.tqdm):  # type: ignore[misc, name-defined]
        def __init__(self, **settings: Any) -> None:
            self.known: dict[str, Any] = settings
            if settings["desc"] == "sweep":  # each run has one of its own, which is silent
                bars.append(settings)
            else:
                assert settings["disable"]
            super().__init__(**{**settings, "delay": 0, "file": io.StringIO()})

        def update(self, n: float = 1) -> Any:
            result = super().update(n)
            self.known["n"] = self.n
            return result

    monkeypatch.setattr(_progress, "tqdm", Bar)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for model in (small, single):
        run(model, file=tmp_path / model.__name__)
        assert bars[-1]["n"] == bars[-1]["total"] == 13 * 8 and bars[-1]["initial"] == 0
        assert bars[-1]["leave"] is False and bars[-1]["delay"] == 2 and not bars[-1]["disable"]
    run(small, file=tmp_path / "small", progress=False)
    assert bars[-1]["disable"] and bars[-1]["initial"] == bars[-1]["total"]
    with closing(sqlite3.connect(tmp_path / "small")) as db, db:
        assert db.execute("DELETE FROM results WHERE key LIKE '%EWC%' OR key LIKE '%SI%'").rowcount == 8
    run(small, file=tmp_path / "small")
    assert bars[-1]["initial"] == (1 + 4) * 8 and bars[-1]["n"] == bars[-1]["total"] == 13 * 8
    monkeypatch.setenv("TQDM_DISABLE", "1")
    run(small)
    assert bars[-1]["disable"]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"strengths": []}, ValueError, "strengths must hold at least one number"),
        ({"strengths": {"L2": [1.0]}}, ValueError, "strengths must have the methods .*, got L2"),
        (
            {"strengths": {**{method: [1.0] for method in METHODS}, "EWC": []}},
            ValueError,
            r"strengths\['EWC'\] must hold at least one number",
        ),
        ({"strengths": 3.0}, TypeError, "strengths must be several numbers"),
        ({"strengths": "12"}, TypeError, "strengths must be several numbers"),
        ({"strengths": [1.0, -1.0]}, ValueError, "strengths must all be allowed: .* at least 0, got -1.0"),
        ({"strengths": [float("nan")]}, ValueError, "strengths must all be allowed: .* got nan"),
        ({"strengths": [float("inf")]}, ValueError, "strengths must all be allowed: .* got inf"),
        ({"strengths": [1, 2, 1.0]}, ValueError, "strengths must differ .* 1.0 more than once"),
        ({"seeds": []}, ValueError, "seeds must hold at least one"),
        ({"seeds": 3}, TypeError, "seeds must be several numbers"),
        ({"seeds": [0.5]}, TypeError, "seeds must all be allowed: .* whole number"),
        ({"seeds": [-1]}, ValueError, "seeds must all be allowed: .* at least 0"),
        ({"seeds": [0, 0]}, ValueError, "seeds must differ"),
        ({"methods": ["ewc"]}, ValueError, "'EWC'.* got 'ewc'"),
        ({"methods": "EWC"}, TypeError, r"methods must be names such as \['L2', 'EWC'\]"),
        ({"methods": []}, ValueError, "at least one"),
        ({"methods": ["L2", "L2"]}, ValueError, "methods must differ"),
        ({"methods": {"EWC": 3}}, TypeError, "must be or make a cl_teach penalty"),
        ({"methods": {"EWC": cl.EWC(n=61)}}, ValueError, "n must be at most the 60 samples"),
        ({"optimizer": torch.optim.Adam}, TypeError, "sweep does not take optimizer"),
        ({"epochs": -1}, ValueError, "epochs must be at least 0"),
        ({"lr": -1.0}, ValueError, "lr must be"),
        ({"together": 0}, ValueError, "together must be at least 1"),
        ({"methods": [cl.EWC]}, ValueError, "methods must be one of 'L2', .* got <class"),
        ({"methods": {3: cl.EWC}}, TypeError, "methods must have texts as names, such as 'EWC', got 3"),
        ({"methods": {"": cl.EWC}}, TypeError, "methods must have texts as names"),
        ({"methods": {"none": cl.L2}}, ValueError, "methods must not have the name 'none', which figures draw as no penalty"),
        ({"methods": {"joint": cl.L2}}, ValueError, "methods must not have the name 'joint', .* joint training"),
        ({"methods": {"P": cl.Penalty}}, TypeError, r"methods\['P'\] must .* with an importance of its own, got Penalty"),
        ({"methods": {"P": lambda seed: cl.EWC()}}, TypeError, r"methods\['P'\] must .* missing 1 required"),
        ({"methods": {"P": lambda: None}}, TypeError, r"methods\['P'\] must be or make .* got None"),
        ({"strengths": {**{method: [1.0] for method in METHODS}, "EWC": 1}}, TypeError, r"strengths\['EWC'\] must be several"),
        ({"strengths": torch.tensor(1.0)}, TypeError, r"strengths must be several numbers .* got tensor\(1.\)"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be a whole number"),
        ({"keep_weights": "no"}, TypeError, "keep_weights must be True or False, got 'no'"),
        ({"executor": 2}, TypeError, "executor must be a concurrent.futures.Executor .* got 2 of type int"),
        ({"executor": ThreadPoolExecutor}, TypeError, "executor must be .* got the class ThreadPoolExecutor"),
        ({"executor": ThreadPool(1)}, TypeError, "executor must be .* got ThreadPool"),
        ({"executor": Client()}, TypeError, r"executor must be .* Dask client client.get_executor\(\), got Client"),
        ({"executor": shut_down()}, ValueError, r"executor must still take work, got one .*\(cannot schedule new futures"),
        ({"watch": {"A": 3}}, TypeError, r"watch\['A'\] must be a Task or Split.* got 3 of type int"),
        ({"watch": {3: A}}, TypeError, "watch must have texts as names, got 3"),
        ({"watch": [A]}, TypeError, "watch must be a dict.* got a list that holds Task"),
        ({"watch": A}, TypeError, "watch must be a dict.* got Task"),
        ({"watch": {"wide": WIDE}}, ValueError, r"watch\['wide'\]: model cannot take x of shape \(3, 5\)"),
        ({"task_a": [(A.train.x, A.train.y)]}, TypeError, "task_a must be a Task or Split.* got a list that holds tuple"),
        (
            {"task_b": DataLoader([(torch.zeros(4), 0)])},
            TypeError,
            r"task_b must be .*\(of a DataLoader: loader.dataset\).* got DataLoader",
        ),
        ({"model": None}, TypeError, "model must be a network, or a function seed -> network .* got None"),
        ({"model": lambda seed: 3}, TypeError, r"model must be a network, .*; from model\(0\), got 3"),
        (
            {"model": lambda: small()},
            TypeError,
            "model must be a network, or a function .* 0 positional arguments but 1 was given",
        ),
        ({"model": cl.mlp}, TypeError, r"model must be a network, .* model\(0\) says: hidden must be a sequence"),
        ({"model": small().to("meta")}, ValueError, "model must hold its weights, got 1.weight on the meta device"),
        (
            {"model": nn.Sequential(nn.LazyLinear(3))},
            ValueError,
            "model must know its shapes, got 0.weight of a lazy layer",
        ),
        ({"model": cl.mlp((8,), n_inputs=5, n_classes=3)}, ValueError, "model cannot take x"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",  # no addresses: they differ between processes
)
def test_bad_input_is_refused_before_any_work(
    changes: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = count_work(monkeypatch)
    with warnings.catch_warnings(), pytest.raises(kind, match=message):
        warnings.simplefilter("error")
        run(file=tmp_path / "sweep", **changes)
    assert done == [] and not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("file", ["", "a\0b"])
def test_a_file_without_a_name_is_refused_before_any_work(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = count_work(monkeypatch)
    with pytest.raises(ValueError, match="file must be a path such as"):
        run(file=file)
    assert done == []


@pytest.mark.parametrize("which", ["task_a", "task_b"])
def test_test_data_that_do_not_fit_are_refused_before_any_work(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = count_work(monkeypatch)
    wide = replace(B, test=cl.Split(torch.zeros(60, 5), B.test.y))
    with pytest.raises(ValueError, match=r"model cannot take x of shape \(60, 5\)"):
        cl.sweep(small, **{"task_a": A, "task_b": B, which: wide}, strengths=[1.0], file=tmp_path / "sweep", **OPTIONS)
    assert done == [] and not (tmp_path / "sweep").exists()


def test_a_file_that_cannot_be_made_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = count_work(monkeypatch)
    for file, kind, message in (
        (tmp_path / "no" / "sweep", OSError, "file .*sweep cannot be used: there is no folder"),
        (tmp_path, OSError, "file .* cannot be used: it is a folder"),
        (3, TypeError, "file must be a path, got 3 of type int"),
    ):
        with pytest.raises(kind, match=message):
            run(file=file)
    assert done == [] and os.listdir(tmp_path) == []


def test_a_penalty_in_use_is_refused() -> None:
    model, penalty = small(), cl.EWC()
    penalty.consolidate(model, A)
    with pytest.raises(ValueError, match="must be a fresh penalty, got one that has consolidated 1 tasks"):
        run(methods={"EWC": penalty})
