"""Run notebooks from top to bottom in fresh kernels, and store what they print and draw, with small and stable diffs.

$ python tests/refresh.py                       # all notebooks
$ python tests/refresh.py notebooks/01_*.ipynb  # only these
$ python tests/refresh.py --check               # change nothing, say what would change
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
from traitlets import default

from cl_teach import _whole_file

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # as in conftest.py
PICTURES = ROOT / "notebooks" / "pictures"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT_CELL_METADATA = ("tags", "jupyter", "slideshow")  # what authors set; the rest is timing and state of an editor
WIDGET = "application/vnd.jupyter.widget-view+json"


class ThisInterpreter(AsyncKernelManager):
    """Starts kernels with the Python that runs this file, as nbval does, whatever kernels are installed for the user."""

    @default("kernel_spec_manager")
    def _this_environment(self) -> NbvalKernelspecManager:
        return NbvalKernelspecManager(parent=self)


def notebooks() -> list[Path]:
    return sorted(p for p in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def refreshed(text: str, folder: Path) -> str:
    """The notebook ``text`` after running all its cells in ``folder``. Raises RuntimeError naming the cell that raised."""
    raw = json.loads(text)
    _fix_ids(raw["cells"])
    raw.update(metadata=METADATA, nbformat=4, nbformat_minor=5)
    for cell in raw["cells"]:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key in KEPT_CELL_METADATA}
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    notebook = nbformat.reads(json.dumps(raw), as_version=4)
    _execute(notebook, folder)

    notebook.metadata = nbformat.from_dict(METADATA)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        cell.outputs = _tidy(cell.outputs, count)
    return nbformat.writes(notebook).rstrip("\n") + "\n"  # indent 1, sorted keys, no escapes


def _fix_ids(cells: list[dict[str, Any]]) -> None:
    """Keep ids; a cell without one, or with one that an earlier cell has, is named after its place."""
    taken = {cell["id"] for cell in cells if "id" in cell}
    seen: set[str] = set()
    for place, cell in enumerate(cells, start=1):
        if cell.get("id") in seen or "id" not in cell:
            cell["id"] = next(name for n in range(place, 10_000) if (name := f"cell-{n:03d}") not in taken)
            taken.add(cell["id"])
        seen.add(cell["id"])


def _execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name=CURRENT_ENV_KERNEL_NAME,
        kernel_manager_class=ThisInterpreter,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
        record_timing=False,
        store_widget_state=False,
    )
    try:
        client.execute(env={**os.environ, **ENVIRONMENT})
    except (CellExecutionError, DeadKernelError) as error:
        for place, cell in enumerate(notebook.cells, start=1):
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    raise RuntimeError(f"cell {place} (id {cell.id}) raised {output.ename}: {output.evalue}") from error
        raise RuntimeError(str(error)) from error


def _tidy(outputs: list[nbformat.NotebookNode], count: int) -> list[nbformat.NotebookNode]:
    tidy: list[nbformat.NotebookNode] = []
    for output in outputs:
        output.pop("transient", None)
        if output.output_type == "execute_result":
            output.execution_count = count
        if "image/png" in output.get("data", {}):  # without a kernel, the picture is what can be shown
            output.data.pop(WIDGET, None)
        if output.output_type == "stream" and tidy and tidy[-1].get("name") == output.name:
            tidy[-1].text += output.text
        else:
            tidy.append(output)
    return tidy


def export_pictures(notebook: Path) -> None:
    """Write the picture of each cell tagged "readme" to notebooks/pictures/<cell id>.png, where the README shows it."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if "readme" in cell["metadata"].get("tags", []):
            (picture,) = [o["data"]["image/png"] for o in cell["outputs"] if "image/png" in o.get("data", {})]
            PICTURES.mkdir(exist_ok=True)
            (PICTURES / f"{cell['id']}.png").write_bytes(base64.b64decode("".join(picture)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run notebooks in fresh kernels and store their outputs.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="which ones; all below notebooks/ if none is named")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a notebook would change")
    chosen = parser.parse_args(arguments)
    failed = False
    for path in chosen.notebooks or notebooks():
        start = time.perf_counter()
        before = path.read_text(encoding="utf-8")
        try:
            after = refreshed(before, path.resolve().parent)
        except RuntimeError as error:
            print(f"{path}: FAILED, left as it was: {error}", flush=True)
            failed = True
            continue
        changed = after != before
        if changed and not chosen.check:
            _whole_file.write(path, after.encode())
            export_pictures(path)
        failed |= changed and chosen.check
        word = ("would change" if chosen.check else "refreshed") if changed else "unchanged"
        print(f"{path}: {word}, {time.perf_counter() - start:.1f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
