"""The benchmark command works without the other tools, and writes only between its markers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent / "benchmarks" / "fisher.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_fisher", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_writes_between_the_markers_and_nowhere_else(script: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{script.START}\nold\n{script.END}\nafter\n")
    for text in ("one", "two"):
        script.write(page, text)
        assert page.read_text() == f"before\n{script.START}\n{text}\n{script.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(SystemExit, match="once"):
        script.write(page, "three")
    assert page.read_text() == "no markers"


def test_the_command_runs(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- benchmark: start --><!-- benchmark: end -->")
    options = ["--samples", "32", "--rounds", "1", "--memory-samples", "64", "--classes", "10", "--write", str(page)]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith(("| MLP", "| article"))]
    by_us = [row for row in rows if row[2] == "cl_teach"]
    assert len(by_us) == 4 and all(float(row[5].rstrip(" |")) < 1e-5 for row in by_us)
    assert len([row for row in rows if row[2] == "batch size 1"]) == 4
    text = page.read_text()
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| 10 |")]
    assert [row[2] for row in table] == ["exact", "stratified, 4 + 1", "sample, mean of 5 draws", "sample", "true"]
    errors = [float(row[4].rstrip(" |")) for row in table]
    assert errors[0] == 0.0 and errors[2] < errors[3]  # five draws are better than one
