"""Run a published table, or go on with it, and say where it agrees.

$ python -m cl_teach.reproduce hsu_2018                  # what is not done yet, on all cores
$ python -m cl_teach.reproduce hsu_2018 --seeds 1 2      # only these seeds
$ python -m cl_teach.reproduce hsu_2018 --small --results /tmp/small  # fewer images and steps: minutes, and other numbers
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from .._progress import tell
from . import RESULTS, TABLES, compare, work
from .table import Compared, Table


def shown(cell: Compared) -> str:
    """One line of the comparison, in per cent."""
    if cell.published is None:
        return ours(cell).rstrip()
    paper = f"paper {100 * cell.published.mean:6.2f} ± {100 * cell.published.error:.2f}"
    return f"{ours(cell)}   {paper}  {'agrees' if cell.agrees else 'differs'}"


def ours(cell: Compared) -> str:
    accuracy = f"{100 * cell.mean:6.2f}" + ("" if math.isnan(cell.error) else f" ± {100 * cell.error:.2f}")
    seeds = f"({cell.n} seed{'s' * (cell.n > 1)})"
    return f"{cell.column:<28} {cell.method:<14} λ = {cell.strength:<8g} {accuracy:<14} {seeds:<9}"


def helper(name: str, small: bool, folder: str, seeds: Sequence[int] | None) -> None:
    """Another process that works on the same table in the same folder."""
    torch.set_num_threads(1)
    with suppress(KeyboardInterrupt):
        work(chosen(name, small), folder, seeds, progress=False)


def chosen(name: str, small: bool) -> Table:
    return TABLES[name].small() if small else TABLES[name]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cl_teach.reproduce", description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=sorted(TABLES), help="which one")
    parser.add_argument("--seeds", type=int, nargs="+", help="of these starts only")
    parser.add_argument("--results", default=str(RESULTS), help="folder of the file of results (%(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many work (%(default)s)")
    parser.add_argument("--small", action="store_true", help="few images and steps, one seed; needs a folder of its own")
    given = parser.parse_args(arguments)
    if given.processes < 1:
        parser.error(f"--processes must be at least 1, got {given.processes}")
    if given.small and Path(given.results) == RESULTS:
        parser.error("--small needs --results with a folder of its own, as its numbers are not the paper's")
    table, spawn = chosen(given.table, given.small), multiprocessing.get_context("spawn")
    torch.set_num_threads(1)  # networks of this size gain more from a second process than from a second thread
    try:
        what = given.table, given.small, given.results, given.seeds
        helpers = [spawn.Process(target=helper, args=what, daemon=True) for _ in range(1, given.processes)]
        for process in helpers:
            process.start()
        rows = work(table, given.results, given.seeds)
        for process in helpers:
            process.join()
        if failed := [process.exitcode for process in helpers if process.exitcode]:
            print(
                f"{len(failed)} of {len(helpers)} helpers stopped early; what they had not done was done here", file=sys.stderr
            )
    except KeyboardInterrupt:
        print("interrupted; the runs that are done are kept, and the same command goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"not run: {error}", file=sys.stderr)
        return 1
    small = ", with few images and steps: not the paper's" if given.small else ""
    tell(f"{table.title}: test accuracy in per cent ± standard error" + small)
    for cell in compare(table, rows):
        tell(ours(cell).rstrip() if given.small else shown(cell))
    return 0
