"""Who does what: the runs of a table, shared by processes and executors, and kept in one small file of text.

A finished run is a line of the table's CSV file. While there is work, a file beside it (the same name, ``.sqlite``) says which
runs are done and by whom the others are being done, see ``_store.py``; it goes when all is done.
"""

from __future__ import annotations

import csv
import io
import os
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from .. import _checks, _whole_file
from .._progress import bar
from .._store import Store
from ..sweeps import POLL, one_core
from .protocol import run_all
from .table import Key, Row, Table, check

RESULTS = Path(__file__).parent / "results"  # those that come with the package
HEAD = ["column", "method", "strength", "seed", "accuracy", "accuracies", "seconds", "where", "settings"]


def work(
    table: Table,
    folder: str | os.PathLike[str] = RESULTS,
    seeds: Sequence[int] | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> list[Row]:
    """Do the runs of ``table`` that are not done yet, and return all of them.

    Args:
        folder: where ``NAME.csv`` is, or will be. Several processes may work on the same table in the same folder: none does
            what another has done or is doing, and one that was killed is taken over from.
        seeds: None takes those of the table.
        executor: does the work: processes, a cluster (Dask's ``client.get_executor()``). It is given all the work that nobody
            has begun, and its runs come in by their unit, one method and one seed. None works here, run by run.
        progress: show a progress bar.

    Raises:
        TypeError, ValueError: an argument cannot work, or the file has lines that are not of this table, or of other settings;
            it stays as it is.
        OSError: the folder cannot be written to.
    """
    check(table)
    numbers = table.seeds if seeds is None else _checks.several("seeds", seeds, _checks.seed)
    path = Path(folder) / f"{table.name}.csv"
    wanted = {key for unit in table.units(numbers) for key in unit}
    rows = {row.key: row for row in read(table, folder)}
    if wanted <= rows.keys():
        return _in_order(table, rows, wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".sqlite")
    store = Store(beside, {"table": table.name, "settings": table.settings}, [])
    try:
        with bar(len(wanted), table.name, "run", progress, len(wanted & rows.keys())) as shown:
            for new in _results(table, numbers, rows, store, executor):
                others = {Key(*key): _from_plain(Key(*key), value) for key, value in store.done(rows).items()}
                rows |= {row.key: row for row in read(table, folder)} | others | new
                _write(path, _in_order(table, rows))
                shown.update(len(wanted & rows.keys()) - shown.n)
    finally:
        store.close()
    if not any(path.parent.glob(f"{beside.name}-*")):  # nobody else is at work, on other seeds or the last runs
        with suppress(OSError):
            beside.unlink()
    return _in_order(table, rows, wanted)


def read(table: Table, folder: str | os.PathLike[str] = RESULTS) -> list[Row]:
    """The runs that are done, as ``NAME.csv`` in ``folder`` has them; none if there is no such file.

    Raises:
        TypeError, ValueError: ``table`` is not a table; the file has lines that are not of it, or of other settings.
    """
    check(table)
    path = Path(folder) / f"{table.name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    rows = [_row(line) for line in lines]
    for row in rows:
        table.check_own(row, str(path), "; it is left as it is. Take another folder")
    return rows


def learn(table: Table, unit: Sequence[Key]) -> Iterator[Row]:
    """The runs of one unit, one after the other."""
    column, method, _, seed = unit[0]
    start = time.perf_counter()
    runs = run_all(
        table.protocols[column],
        table.tasks(column, seed, table.n_train),
        lambda: table.penalty(column, method, seed),
        [key.strength for key in unit],
        seed,
    )
    for strength, accuracies in runs:
        kept = tuple(tuple(round(a, 5) for a in line) for line in accuracies)
        now = time.perf_counter()
        yield Row(Key(column, method, strength, seed), kept, round(now - start, 1), _where(), table.settings)
        start = now


def _learn(table: Table, unit: Sequence[Key], caller: int) -> list[Row]:
    one_core(caller)
    return list(learn(table, unit))


def _results(
    table: Table, seeds: Sequence[int], rows: dict[Key, Row], store: Store, executor: Executor | None
) -> Iterator[dict[Key, Row]]:
    """New rows as they come from here or the executor; none, now and then, while other processes are at the last ones."""
    pending: dict[Future[list[Row]], None] = {}
    try:
        while left := [unit for unit in table.units(seeds) if any(key not in rows for key in unit)]:
            for unit in left:
                mine = [Key(*key) for key in store.claim(key for key in unit if key not in rows)]
                if mine and executor:
                    pending[executor.submit(_learn, table, mine, os.getpid())] = None
                for row in learn(table, mine) if mine and not executor else ():
                    store.put({row.key: _plain(row)})
                    yield {row.key: row}
            for future in wait(pending, POLL, FIRST_COMPLETED).done if pending else ():
                del pending[future]
                new = {row.key: row for row in future.result()}
                store.put({key: _plain(row) for key, row in new.items()})
                yield new
            if not pending:
                yield {}
                time.sleep(POLL)
    finally:
        for future in pending:
            future.cancel()


def _plain(row: Row) -> dict[str, Any]:
    return {
        "accuracies": [list(a) for a in row.accuracies],
        "seconds": row.seconds,
        "where": row.where,
        "settings": row.settings,
    }


def _from_plain(key: Key, value: dict[str, Any]) -> Row:
    return Row(key, tuple(map(tuple, value["accuracies"])), value["seconds"], value["where"], value["settings"])


def _in_order(table: Table, rows: dict[Key, Row], wanted: Iterable[Key] | None = None) -> list[Row]:
    cells = list(table.published)
    chosen = rows.values() if wanted is None else [rows[key] for key in wanted]
    return sorted(chosen, key=lambda row: (cells.index(row.key[:2]), row.key.strength, row.key.seed))


def _write(path: Path, rows: Iterable[Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for row in rows:
        column, method, strength, seed = row.key
        accuracies = " | ".join(" ".join(map(str, line)) for line in row.accuracies)
        writer.writerow(
            [column, method, f"{strength:g}", seed, f"{row.accuracy:.5f}", accuracies, row.seconds, row.where, row.settings]
        )
    _whole_file.write(path, text.getvalue().encode())


def _row(line: dict[str, str]) -> Row:
    try:
        key = Key(line["column"], line["method"], float(line["strength"]), int(line["seed"]))
        accuracies = tuple(tuple(map(float, part.split())) for part in line["accuracies"].split("|"))
        row = Row(key, accuracies, float(line["seconds"]), line["where"], line["settings"])
        if f"{row.accuracy:.5f}" != line["accuracy"]:
            raise ValueError(f"accuracy is {line['accuracy']}, and not the mean of the last accuracies, {row.accuracy:.5f}")
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"a line of results must have {', '.join(HEAD)}, got {line} ({error})") from error
    return row


def _where() -> str:
    import cl_teach

    place = _checks.device().type
    threads = f" ({torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)})" if place == "cpu" else ""
    return f"{place}{threads}, Python {platform.python_version()}, torch {torch.__version__}, cl_teach {cl_teach.__version__}"
