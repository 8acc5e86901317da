"""The command."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from cl_teach.reproduce import TABLES, Published, command, read
from cl_teach.reproduce.command import main, shown
from cl_teach.reproduce.table import Compared


def test_a_line_of_the_comparison():
    cell = Compared("task", "EWC", 1e5, 0.98765, 0.00123, 5, Published(0.9912, 0.0016, 30), True)
    assert (
        shown(cell)
        == "task                         EWC            λ = 100000    98.77 ± 0.12  (5 seeds)   paper  99.12 ± 0.16  agrees"
    )
    assert (
        shown(cell._replace(published=None, agrees=None))
        == "task                         EWC            λ = 100000    98.77 ± 0.12  (5 seeds)"
    )
    one = cell._replace(error=float("nan"), n=1, agrees=False, strength=0.02)
    assert (
        shown(one)
        == "task                         EWC            λ = 0.02      98.77         (1 seed)    paper  99.12 ± 0.16  differs"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["nothing"], "invalid choice: 'nothing'"), (["hsu_2018", "--processes", "0"], "must be at least 1")],
)
def test_what_cannot_be_run(arguments, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and says in capsys.readouterr().err


def test_a_file_of_other_settings_is_said(tmp_path, capsys):
    table = TABLES["hsu_2018"]
    line = f'task,none,0,1,0.50000,0.5 | 0.5 0.5,1.0,"cpu",{table.small().settings}\n'
    head = "column,method,strength,seed,accuracy,accuracies,seconds,where,settings\n"
    (tmp_path / "hsu_2018.csv").write_text(head + line, encoding="utf-8")
    assert main(["hsu_2018", "--results", str(tmp_path), "--processes", "1"]) == 1
    assert "with the settings" in capsys.readouterr().err


def test_small_results_do_not_go_among_the_real_ones(capsys):
    with pytest.raises(SystemExit):
        main(["hsu_2018", "--small"])
    assert "--results" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "helpers"), [(["--processes", "3"], 2), (["--processes", "1"], 0), ([], 4)])
def test_so_many_processes_work_and_are_waited_for(given, helpers, tmp_path, monkeypatch):
    done = []

    class Helper:
        exitcode = 0

        def __init__(self, target, args, daemon):
            assert args == ("hsu_2018", True, str(tmp_path), [5]) and target is command.helper and daemon

        def start(self):
            done.append("start")

        def join(self):
            done.append("join")

    monkeypatch.setattr(command.multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=Helper, kind=kind))
    monkeypatch.setattr(command.os, "cpu_count", lambda: 5)
    monkeypatch.setattr(command, "work", lambda table, folder, seeds: done.append((table.settings, folder, seeds)) or [])
    assert main(["hsu_2018", "--small", "--results", str(tmp_path), "--seeds", "5", *given]) == 0
    ours = (TABLES["hsu_2018"].small().settings, str(tmp_path), [5])
    assert done == ["start"] * helpers + [ours] + ["join"] * helpers


def test_a_helper_that_fails_is_said(tmp_path, monkeypatch, capsys):
    helper = SimpleNamespace(start=lambda: None, join=lambda: None, exitcode=1)
    spawn = SimpleNamespace(Process=lambda **given: helper)
    monkeypatch.setattr(command.multiprocessing, "get_context", lambda kind: spawn)
    monkeypatch.setattr(command, "work", lambda table, folder, seeds: [])
    assert main(["hsu_2018", "--small", "--results", str(tmp_path), "--processes", "3"]) == 0
    assert "2 of 2 helpers stopped early" in capsys.readouterr().err
    helper.exitcode = 0
    assert main(["hsu_2018", "--small", "--results", str(tmp_path), "--processes", "3"]) == 0
    assert "stopped early" not in capsys.readouterr().err


def test_a_helper_does_the_same_work(monkeypatch):
    said, threads = [], []
    monkeypatch.setattr(command.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(command, "work", lambda table, *given, **more: said.append((table.settings, given, more)))
    command.helper("hsu_2018", True, "here", [5])
    assert said == [(TABLES["hsu_2018"].small().settings, ("here", [5]), {"progress": False})] and threads == [1]


def test_one_helper_that_was_killed_is_said(tmp_path, monkeypatch, capsys):
    codes = iter([0, -9])
    spawn = SimpleNamespace(Process=lambda **_: SimpleNamespace(start=lambda: None, join=lambda: None, exitcode=next(codes)))
    monkeypatch.setattr(command.multiprocessing, "get_context", lambda kind: spawn)
    monkeypatch.setattr(command, "work", lambda *_: [])
    assert main(["hsu_2018", "--small", "--results", str(tmp_path), "--processes", "3"]) == 0
    assert "1 of 2 helpers stopped early" in capsys.readouterr().err


def test_one_thread_a_process(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(command.torch, "set_num_threads", calls.append)
    monkeypatch.setattr(command, "work", lambda *_: calls.append("work") or [])
    main(["hsu_2018", "--small", "--results", str(tmp_path), "--processes", "1"])
    assert calls == [1, "work"]


@pytest.mark.slow
def test_the_command_runs_a_small_table(tmp_path):
    command = [
        sys.executable,
        "-m",
        "cl_teach.reproduce",
        "hsu_2018",
        "--small",
        "--results",
        str(tmp_path),
        "--processes",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert "Fisher information" not in done.stderr  # one bar, that of the runs
    assert "Traceback" not in done.stderr and "stopped early" not in done.stderr  # the helper has worked, too
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Split MNIST in three scenarios") and "not the paper's" in lines[0] and len(lines) == 16
    rows = read(TABLES["hsu_2018"].small(), tmp_path)
    assert len(rows) == 15
    by_cell = {row.key[:2]: row.accuracy for row in rows}
    for line in lines[1:]:
        column = line[:28].strip()
        method = line[29:43].strip()
        assert f" {100 * by_cell[column, method]:.2f} " in line
        assert not line.endswith(("agrees", "differs"))
    assert {path.name for path in tmp_path.iterdir()} == {"hsu_2018.csv"}
