"""Do the tests see? Makes small wrong changes in the modules of cl_teach, one at a time, and runs the module's quick tests.

$ python tests/mutants/run.py                                # 100 changes, drawn from all modules
$ python tests/mutants/run.py --module fisher --count 50     # of one module, or of a folder: --module figures
$ python tests/mutants/run.py --list --module fast/held      # what could be changed
$ python tests/mutants/run.py --only "fisher.py:91 + -> -"   # these alone, as they are printed
$ python tests/mutants/run.py --count 1000 --results FILE    # keep what is known in FILE, and go on from there

A change that no test notices is printed as a survivor: write the test that sees it. If it changes nothing that anybody could
see, list it in ``equivalent.toml`` with the reason. The working tree is not touched: tests run in copies of it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib.util
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mutate import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "cl_teach"
LIMIT = 20.0  # seconds a mutant may take in any case, beside four times what its tests take without it
MEMORY = 8 * 2**30  # bytes a process may allocate: a wrong size must not stop the machine


class Job(NamedTuple):
    """Test files to run, with or without a change."""

    tests: tuple[str, ...]
    limit: float  # seconds
    mutant: Mutant | None = None


class Outcome(NamedTuple):
    job: Job
    passed: bool
    seconds: float
    words: str  # the first failing test, or what else ended it
    output: str


class Project:
    """A package with tests, and what is declared about it in ``declared`` and ``equivalent.toml``."""

    def __init__(self, root: Path, package: str, folder: Path) -> None:
        self.root, self.package = root, package
        self.sources = {p.relative_to(root / package).as_posix(): p.read_bytes() for p in (root / package).rglob("*.py")}
        self.declared = tomllib.loads((folder / "declared.toml").read_text())
        listed = tomllib.loads((folder / "equivalent.toml").read_text()).get("mutant", [])
        self.equivalent = {(e["file"], e["function"], e["line"], e["change"]): e["why"] for e in listed}

    def mutants(self, only: Iterable[str] = ()) -> list[Mutant]:
        found, only = [], [name.removesuffix(".py").strip("/") for name in only]
        for file, source in sorted(self.sources.items()):
            name, stem = file.removesuffix(".py"), Path(file).stem
            if not only or any(o in (name, stem, stem.lstrip("_")) or name.startswith(f"{o}/") for o in only):
                taste = [word for start, words in self.declared["taste"].items() if file.startswith(start) for word in words]
                found += mutants(file, source.decode(), taste, self.declared["knobs"].get(file, ()))
        return found

    def tests_of(self, file: str) -> tuple[str, ...]:
        """The test files of a module, from the root, most direct first."""
        folder, stem = Path(file).parent, Path(file).stem.lstrip("_")
        mirror = [folder / f"test_{stem}.py", folder / f"test_{folder.name}_{stem}.py"]
        there = [f"tests/{path.as_posix()}" for path in mirror if (self.root / "tests" / path).exists()]
        return tuple(f"tests/{path}" for path in self.declared["tests"].get(file, ())) or tuple(there)


def drawn(possible: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """``count`` of them; each is judged by itself, so that a change of one line of the package leaves the others drawn."""
    return sorted(possible, key=lambda m: hashlib.sha256(repr((seed, m.key)).encode()).digest())[:count]


def copied(root: Path, folder: Path) -> None:
    """What tests need, in ``folder``; what is large and only read is linked."""
    large = ("notebooks", "data")
    for path in root.iterdir():
        if path.name in large:
            (folder / path.name).symlink_to(path)
        elif path.is_file():
            shutil.copy2(path, folder)
        elif not path.name.startswith("."):
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns(*large))
    for path in root.glob("*/data"):
        (folder / path.relative_to(root)).symlink_to(path)


def outcomes(project: Project, jobs: Iterable[Job], processes: int) -> Iterator[Outcome]:
    """Run the jobs, each in a fork of this process, which has imported what takes long; in the order in which they end."""
    queue, running = iter(jobs), {}
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as top:
        free = [Path(top, str(i)) for i in range(processes)]
        for folder in free:
            folder.mkdir()
            copied(project.root, folder)
        try:
            while True:
                while free and (job := next(queue, None)):
                    folder = free.pop()
                    running[_started(project, job, folder)] = job, folder, time.monotonic()
                if not running:
                    return
                time.sleep(0.02)
                for pid, (job, folder, start) in [*running.items()]:
                    ended, status = os.waitpid(pid, os.WNOHANG)
                    late = time.monotonic() - start > job.limit
                    if not ended and not late:
                        continue
                    _ended(pid, wait=not ended)
                    del running[pid]
                    free.append(folder)
                    output = Path(f"{folder}.txt").read_text(errors="replace")
                    failed = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
                    words = failed[0] if failed else f"no end within {job.limit:.0f} s" if not ended else f"status {status}"
                    yield Outcome(job, bool(ended and status == 0), time.monotonic() - start, words[:150], output)
        finally:
            for pid in running:
                _ended(pid, wait=True)


def _ended(pid: int, wait: bool) -> None:
    """Kill the process if it runs, and in any case what it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if wait:
        os.waitpid(pid, 0)


def _started(project: Project, job: Job, folder: Path) -> int:
    wanted = project.sources | ({job.mutant.file: job.mutant.mutated} if job.mutant else {})
    for file, source in wanted.items():
        place = folder / project.package / file
        if place.read_bytes() != source:
            place.write_bytes(source)
            Path(importlib.util.cache_from_source(str(place))).unlink(missing_ok=True)
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        sys.stdout = sys.stderr = open(f"{folder}.txt", "w")  # noqa: SIM115
        for stream in (1, 2):
            os.dup2(sys.stdout.fileno(), stream)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with contextlib.suppress(ValueError, OSError):  # not every system can
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        os.environ.update(PYTHONPATH=str(folder), XDG_CACHE_HOME=f"{folder}.cache", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        import pytest

        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-o", "addopts=", f"--basetemp={folder}.tmp"]
        code = int(pytest.main([*options, "--tb=line", *job.tests]))
        if code == 0 and not str(sys.modules[project.package].__file__).startswith(str(folder)):
            code = 1
            raise RuntimeError(f"the copy was not tested, but {sys.modules[project.package]}")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def tested(project: Project, chosen: Sequence[Mutant], processes: int) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """The chosen mutants and what became of each, after all of their tests have passed on what is not mutated."""
    without = {m.file for m in chosen if not project.tests_of(m.file)}
    if without:
        raise SystemExit(f"no tests are known for {', '.join(sorted(without))}; name them in declared.toml")
    files = {test for m in chosen for test in project.tests_of(m.file)}
    took = {}
    for outcome in outcomes(project, [Job((test,), 600) for test in sorted(files)], processes):
        if not outcome.passed:
            raise SystemExit(f"{outcome.job.tests[0]} fails on what is not mutated: {outcome.words}\n{outcome.output[-3000:]}")
        took[outcome.job.tests[0]] = outcome.seconds
    print(f"all {len(files)} test files pass on what is not mutated", flush=True)
    jobs = [Job(tests := project.tests_of(m.file), LIMIT + 4 * sum(took[t] for t in tests), m) for m in chosen]
    for outcome in outcomes(project, jobs, processes):
        assert outcome.job.mutant
        by = "" if outcome.passed else outcome.words
        yield outcome.job.mutant, {"survived": outcome.passed, "by": by, "seconds": round(outcome.seconds, 1)}


def main(arguments: Sequence[str] | None = None, project: Project | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="how many changes to try")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--module", action="append", default=[], help="only of this module or folder; may be repeated")
    parser.add_argument("--only", metavar="TEXT", help="all changes whose printed name contains this")
    parser.add_argument("--list", action="store_true", help="print the changes and try none")
    parser.add_argument("--results", type=Path, help="JSON lines: read what is known, add what is found")
    parser.add_argument("--again", action="store_true", help="try again what has survived, for tests that are new")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--at-least", type=int, default=0, help="fail if fewer are caught")
    options = parser.parse_args(arguments)
    project = project or Project(ROOT, PACKAGE, Path(__file__).parent)

    every = project.mutants(options.module)
    real = [m for m in every if m.key not in project.equivalent]
    stale = project.equivalent.keys() - {m.key for m in every}
    stale = {key for key in stale if not options.module or key[0] in {m.file for m in every}}
    chosen = [m for m in real if options.only in str(m)] if options.only else drawn(real, options.count, options.seed)
    print(
        f"{len(every)} changes are possible, {len(every) - len(real)} of them equivalent; {len(chosen)} are chosen", flush=True
    )
    for key in sorted(stale):
        print(f"equivalent.toml lists what is there no more: {' | '.join(key)}")
    if options.list:
        print(*chosen, sep="\n")
        return 0

    known: dict[tuple[str, ...], dict[str, Any]] = {}
    if options.results and options.results.exists():
        for record in map(json.loads, options.results.read_text().splitlines()):
            known[tuple(record["key"])] = record
    if options.again:
        known = {key: record for key, record in known.items() if not record["survived"]}
    interrupted = False
    try:
        todo = [m for m in chosen if m.key not in known]
        _import_what_takes_long()
        for mutant, found in tested(project, todo, options.processes) if todo else ():
            known[mutant.key] = found
            print(f"{'SURVIVED' if found['survived'] else 'caught'} {mutant} ({found['seconds']} s)", flush=True)
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps({"key": mutant.key, **found, "place": str(mutant)}) + "\n")
    except KeyboardInterrupt:
        interrupted = True
    caught = report([(m, known[m.key]["survived"]) for m in chosen if m.key in known])
    if stale:
        print(f"\nThis is a failure whatever was caught: {len(stale)} in equivalent.toml that are there no more, named above.")
    return 130 if interrupted else int(caught < options.at_least or bool(stale))


def report(tried: Sequence[tuple[Mutant, bool]]) -> int:
    """Print the share caught, by module, and the survivors; how many were caught."""
    survivors = [m for m, survived in tried if survived]
    caught = len(tried) - len(survivors)
    print(f"\n{caught} of {len(tried)} caught ({caught / max(1, len(tried)):.0%})")
    for file in sorted({m.file for m, _ in tried}):
        mine = [survived for m, survived in tried if m.file == file]
        print(f"    {file}: {mine.count(False)} of {len(mine)}")
    for m in sorted(survivors, key=str):
        quoted = {"file": m.file, "function": m.function, "line": m.source, "change": m.change}
        print(
            f"\nsurvived: {m}", *(f"{name} = {json.dumps(text, ensure_ascii=False)}" for name, text in quoted.items()), sep="\n"
        )
    return caught


def _import_what_takes_long() -> None:
    os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")  # as conftest.py does, before torch is imported
    import hypothesis.strategies  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pytest  # noqa: F401
    import torch.func
    import torchvision.datasets  # noqa: F401

    torch.set_num_threads(1)
    gc.freeze()  # or every child would collect, and so copy, all of this again


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as with Ctrl-C
    sys.exit(main())
