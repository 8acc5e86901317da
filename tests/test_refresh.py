"""refresh.py on a small notebook: stable, tidy, and harmless when a cell fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import refresh as refresh_module

REFRESH = Path(__file__).parent / "refresh.py"
CODE = [
    "import sys\nprint('one')\nprint('two')",
    "print('first', flush=True)\nprint('second')",
    "import os\n(os.getcwd() == FOLDER, os.environ['TQDM_DISABLE'], os.environ['OMP_NUM_THREADS'])",
    "import ipywidgets\nslider = ipywidgets.IntSlider()\nslider",
    "from IPython.display import display\n"
    "data = slider._repr_mimebundle_()\n"
    "display({**data, 'image/png': 'iVBORw0KGgo=', 'text/plain': 'a picture'}, raw=True)",
]


def notebook(folder: Path, sources: list[str]) -> Path:
    """As an editor might leave it: no ids, old outputs, timings, widget state, metadata of its own."""
    cells = [{"cell_type": "markdown", "metadata": {"collapsed": False}, "source": "# Title"}]
    for i, source in enumerate(sources):
        timing = {"execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"}, "tags": ["kept"]}
        old = [{"output_type": "stream", "name": "stdout", "text": "old"}]
        code = source.replace("FOLDER", repr(str(folder)))
        cells.append({"cell_type": "code", "metadata": timing, "source": code, "outputs": old, "execution_count": 40 - i})
    cells[-1]["id"] = "own-id"
    kernel = {"name": "some-kernel", "display_name": "My kernel", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python", "version": "3.99"}, "widgets": {}}
    path = folder / "lesson.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    return path


def refresh(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REFRESH), *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent.parent)


@pytest.mark.slow
def test_outputs_are_stored_tidily_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = notebook(tmp_path, CODE)
    os.chmod(path, 0o640)
    before = path.read_text(encoding="utf-8")
    checked = refresh(path, "--check")
    assert checked.returncode == 1 and "would change" in checked.stdout, checked.stdout + checked.stderr
    assert path.read_text(encoding="utf-8") == before

    first = refresh(path)
    assert first.returncode == 0 and "refreshed" in first.stdout, first.stdout + first.stderr
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o640
    assert text.endswith("}\n") and text.startswith('{\n "cells": [')
    assert os.listdir(tmp_path) == ["lesson.ipynb"]

    stored = nbformat.reads(text, as_version=4)
    nbformat.validate(stored)
    assert stored.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell.id for cell in stored.cells] == ["cell-001", "cell-002", "cell-003", "cell-004", "cell-005", "own-id"]
    code = stored.cells[1:]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5]
    assert all(cell.metadata == {"tags": ["kept"]} for cell in code)
    assert [[o.output_type for o in cell.outputs] for cell in code] == [
        ["stream"], ["stream"], ["execute_result"], ["execute_result"], ["display_data"],
    ]  # fmt: skip
    assert code[1].outputs[0].text == "first\nsecond\n"
    assert code[2].outputs[0].data["text/plain"] == "(True, '1', '1')"
    assert "application/vnd.jupyter.widget-view+json" in code[3].outputs[0].data  # nothing else could be shown
    assert set(code[4].outputs[0].data) == {"image/png", "text/plain"}

    # The id of a widget without a picture is new in each kernel; without that cell nothing may change.
    path = notebook(tmp_path, [*CODE[:3], CODE[3].removesuffix("\nslider"), CODE[4]])
    assert refresh(path).returncode == 0
    text = path.read_text(encoding="utf-8")
    again = refresh(path)
    assert again.returncode == 0 and "unchanged" in again.stdout, again.stdout + again.stderr
    assert path.read_text(encoding="utf-8") == text
    assert refresh(path, "--check").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "words"), [("value = 0\n1 / value", "ZeroDivisionError"), ("import os\nos._exit(1)", "Kernel died")]
)
def test_a_failing_cell_is_named_and_the_file_left_alone(tmp_path: Path, source: str, words: str) -> None:
    path = notebook(tmp_path, [CODE[0], source, CODE[1]])
    before = path.read_text(encoding="utf-8")
    result = refresh(path)
    assert result.returncode == 1
    assert "lesson.ipynb: FAILED" in result.stdout and words in result.stdout
    if words != "Kernel died":
        assert "cell 3 (id cell-003)" in result.stdout
    assert path.read_text(encoding="utf-8") == before and os.listdir(tmp_path) == ["lesson.ipynb"]


def test_double_ids_are_told_apart() -> None:
    cells = [{"id": "a"}, {"id": "a"}, {}, {"id": "cell-003"}, {"id": "b"}]
    refresh_module._fix_ids(cells)
    assert [cell["id"] for cell in cells] == ["a", "cell-002", "cell-004", "cell-003", "b"]
