"""Which pages there are, and their making: a lesson runs in a kernel of its own, and its page is written as soon as it ran."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from traitlets import default

from ... import _progress, _whole_file
from .pages import FRONT, HERE, TEACHERS, Way, address, page

SHARED = ("page.css", "page.js")
FIRST = "from cl_teach.course.site.explorers import show_as_html\nshow_as_html()"
QUIET = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
WORDS = """# Elastic weight consolidation, a course

Why does a network that learns task B forget task A, and why does it help to hold the important weights still? Ten lessons whose
figures move under your fingers, here without a kernel and without a network. The code stands beside what it printed when these
pages were made; to run it, and to do the exercises, open the notebooks of the same names.
"""


def build(folder: str | Path, notebooks: str | Path = "notebooks", lessons: Sequence[str] = ()) -> list[str]:
    """Write the site; lessons whose page is still right do not run again.

    Args:
        folder: where; new, empty, or with a site in it that was written before.
        notebooks: the folder of the lessons; beside it, if there is one, the README whose table says what is in each.
        lessons: beginnings of names, such as "05"; only these and their solutions are made, and the front page.

    Returns:
        What went wrong, a line for each page that could not be made: the lesson, the cell, and its error. The others are there.

    Raises:
        ValueError: another kind of folder, no notebooks, or a lesson that is not among them.
    """
    source, target = Path(notebooks), Path(folder)
    titles = {name: _title(_read(source / name)) for name in _checked(target, source, lessons)}
    texts = [TEACHERS] if (source / TEACHERS).is_file() else []
    everything = (*titles, *texts)
    ways = [way for way in _ways(titles, everything) if Path(way.source).name.startswith(tuple(lessons) or "")]

    target.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        shutil.copyfile(HERE / name, target / name)
    front = _front(source.resolve().parent / "README.md", titles, texts)
    for name, text in [(FRONT, front), *[(name, (source / name).read_text(encoding="utf-8")) for name in texts]]:
        cells = [nbformat.v4.new_markdown_cell(text)]  # type: ignore[no-untyped-call]
        notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]
        _write(target / address(name), page(notebook, _title(notebook), Way(name, everything), source))

    wrong = []
    steps = [_code_cells(_read(source / way.source)) for way in ways]
    with _progress.bar(sum(steps), "pages", "cell", show=True) as bar:
        for way, step in zip(ways, steps, strict=True):
            start, file, done = time.perf_counter(), target / address(way.source), bar.n
            try:
                made = _made(way, titles[way.source], source, file, bar.update)
                words = f"{file.stat().st_size / 2**20:.1f} MiB, {time.perf_counter() - start:.0f} s" if made else "as it was"
            except (RuntimeError, ValueError) as error:
                wrong.append(f"{way.source}: {error}")
                words = f"NOT MADE: {error}"
            bar.update(done + step - bar.n)  # what did not run counts as done
            bar.write(f"{file}: {words}")
    return wrong


def _checked(target: Path, source: Path, lessons: Sequence[str]) -> list[str]:
    """The lessons and then their solutions, if this is a place for a site and there are such lessons."""
    found = sorted(path.name for path in source.glob("[0-9]*.ipynb"))
    if not found:
        raise ValueError(f"notebooks must be a folder with lessons such as 01_....ipynb, got {str(source)!r}")
    if target.exists() and not target.is_dir():
        raise ValueError(f"folder must be a folder to write the site to, got {str(target)!r}, which is a file")
    if target.is_dir() and any(target.iterdir()) and not (target / "page.css").is_file():
        raise ValueError(f"folder must be new, empty, or hold a site written before; {str(target)!r} holds other files")
    for name in lessons:
        if not name or not any(lesson.startswith(name) for lesson in found):
            raise ValueError(f"lessons must be beginnings of {', '.join(found)}; got {name!r}"[:390])
    return found + [f"solutions/{name}" for name in found if (source / "solutions" / name).is_file()]


def _ways(titles: Mapping[str, str], everything: Collection[str]) -> list[Way]:
    """Where each notebook's page stands, lessons between lessons, solutions between solutions."""
    solutions = [name for name in titles if "/" in name]
    ways = []
    for names in ([name for name in titles if "/" not in name], solutions):
        around = [None, *[(name, titles[name]) for name in names], None]
        ways += [Way(name, everything, around[i], around[i + 2]) for i, name in enumerate(names)]
    return ways


def _made(way: Way, title: str, source: Path, file: Path, tick: Callable[[], Any]) -> bool:
    """Whether the page had to be made; what has nothing to move is shown as it is stored, and does not run."""
    made_from = _fingerprint(source / way.source, way)
    if file.is_file() and f'content="{made_from}"' in file.read_text(encoding="utf-8")[:2000]:
        return False
    notebook = _read(source / way.source)
    if any("cl.widgets." in cell.source for cell in notebook.cells):
        _run(notebook, (source / way.source).parent, tick)
    _write(file, page(notebook, title, way, source, made_from))
    return True


def _read(path: Path) -> NotebookNode:
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call, no-any-return]


def _title(notebook: NotebookNode) -> str:
    """The first heading."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"(?m)^# +(.+)$", text)
    return heading[1].strip() if heading else "Untitled"


def _front(readme: Path, titles: dict[str, str], texts: Sequence[str]) -> str:
    """The front page: a row for each lesson, with what the README's table says of it if it has one."""
    table = readme.read_text(encoding="utf-8").splitlines() if readme.is_file() else []
    found = [re.match(r"\| \[[^]]*\]\(notebooks/([^)]*)\) \| (.*?) \| (.*?) \|", line) for line in table]
    told = {row[1]: (row[2], row[3]) for row in found if row}
    rows = [WORDS, "| lesson | what you will see | time to read | exercises |", "|---|---|---|---|"]
    for name in titles:
        if "/" not in name:
            solution = f"[solutions](solutions/{name})" if f"solutions/{name}" in titles else ""
            what, minutes = told.get(name, ("", ""))
            rows.append(f"| [{titles[name]}]({name}) | {what} | {minutes} | {solution} |")
    return "\n".join([*rows, *[f"\nFor teachers: [syllabi, symbols and a glossary]({text})." for text in texts]])


def _code_cells(notebook: NotebookNode) -> int:
    return sum(cell.cell_type == "code" for cell in notebook.cells)


def _fingerprint(path: Path, way: Way) -> str:
    """Of all that a page is made from: the notebook, its place, this package, and what computes and draws."""
    package = Path(__file__).parents[2]
    files = [path, *sorted(package.rglob("*.py")), HERE / "page.html.j2"]
    versions = [f"{name} {version(name)}" for name in ("torch", "matplotlib", "pillow", "nbconvert")]
    seen = hashlib.sha256(repr((versions, way)).encode())
    for file in files:
        seen.update(file.read_bytes())
    return seen.hexdigest()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _whole_file.write(path, text.encode())


class _ThisPython(KernelSpecManager):
    """Knows one kernel: the Python that runs this file, whatever kernels are installed for the user."""

    def get_kernel_spec(self, _name: str) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


class _Kernels(AsyncKernelManager):
    @default("kernel_spec_manager")
    def _only_this(self) -> KernelSpecManager:
        return _ThisPython(parent=self)


def _run(notebook: NotebookNode, folder: Path, tick: Callable[[], Any]) -> None:
    """Run all cells in ``folder``, explorers showing themselves as HTML. Raises RuntimeError naming the cell that raised."""
    hidden = nbformat.v4.new_code_cell(FIRST, id="show-as-html")  # type: ignore[no-untyped-call]
    notebook.cells.insert(0, hidden)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        kernel_manager_class=_Kernels,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
        coalesce_streams=True,  # what is printed piece by piece is one thing to read
        record_timing=False,
        store_widget_state=False,
        on_cell_executed=lambda cell, **_: None if cell is hidden else tick(),
    )
    try:
        with ThreadPoolExecutor(1) as thread:  # in the main one, nbclient takes Ctrl-C for itself, and the next would start
            running = thread.submit(client.execute, env={**os.environ, **QUIET})
            try:
                running.result()
            except KeyboardInterrupt:
                _kill(client)
                raise
    except (CellExecutionError, DeadKernelError) as error:
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    raise RuntimeError(f"cell {cell.id} raised {output.ename}: {output.evalue}") from error
        raise RuntimeError(str(error)) from error
    finally:
        notebook.cells.remove(hidden)


def _kill(client: NotebookClient) -> None:
    """End the kernel, which ends the thread that waits for it."""
    process = getattr(getattr(client.km, "provisioner", None), "process", None)
    if process is not None:
        process.kill()
