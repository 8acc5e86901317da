"""What a newcomer installs: versions that agree, a wheel that holds all data, an import that is light."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DATA = sorted(path.name for path in (ROOT / "cl_teach/data/mnist").iterdir())
ON_CONDA_FORGE = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # other names there; the latter without Qt


def pins(lines: list[str]) -> dict[str, str]:
    """Name -> version of the lines ``name==version``; anything else but comments is an error."""
    found = dict(re.fullmatch(r"([\w.-]+)==([\w.+!]+)", line).groups() for line in lines)  # type: ignore[union-attr]
    return {canonicalize_name(name): exact for name, exact in found.items()}


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return pins([line for line in lines if not line.startswith("#")])


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *extras["lab"], *extras["test"]]]


def test_constraints_are_within_what_the_package_allows_and_installed() -> None:
    pinned = constraints()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} of pyproject.toml has no line in constraints.txt"
        assert pinned[name] in requirement.specifier, (
            f"{name}=={pinned[name]} of constraints.txt is not {requirement.specifier}"
        )
        assert version(name).split("+")[0] == pinned[name], f"{name} {version(name)} is installed, not {pinned[name]}"


def test_environment_has_the_versions_of_pyproject_and_constraints() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, *specs, pip, section = environment["dependencies"]
    assert python.startswith("python=3.") and int(python.removeprefix("python=3.")) >= 11 and pip == "pip"
    assert PROJECT["requires-python"] == ">=3.11"
    assert section == {"pip": ["-e ."]}, "pip adds nothing but this package: what it needs is there"
    ranges = dict(re.fullmatch(r"([a-z-]+)(>=[\d.]+,<=[\d.]+)", spec).groups() for spec in specs)  # type: ignore[union-attr]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]]):  # no test tools
        (lowest,) = (part.version for part in requirement.specifier if part.operator == ">=")
        pinned = constraints()[requirement.name]
        assert ranges.pop(ON_CONDA_FORGE.get(requirement.name, requirement.name)) == f">={lowest},<={pinned}"
    assert not ranges, "what nobody needs"


def test_the_ranges_are_those_promised() -> None:
    ranges = {requirement.name: requirement.specifier for requirement in requirements()}
    assert "2.11" in ranges["torch"] and "2.10" not in ranges["torch"]
    assert "7.7.1" in ranges["ipywidgets"] and "7.7" not in ranges["ipywidgets"]
    assert "8.1" in ranges["ipywidgets"] and "9.0" not in ranges["ipywidgets"]


@pytest.mark.slow
def test_a_wheel_holds_all_data_and_licences(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "cl_teach", source / "cl_teach", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path)]
    result = subprocess.run(build, cwd=source, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")  # nothing to compile
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        for path in (ROOT / "cl_teach").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT).as_posix()
                assert name in inside, f"{name} is not in the wheel"
                assert archive.read(name) == path.read_bytes()
        assert any(name.endswith("licenses/LICENSE") for name in inside)
        assert not any(name.startswith(("tests", "notebooks", "conftest")) for name in inside)


def test_licences() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License\n\nCopyright (c) 2026 The cl_teach authors\n")
    assert "WITHOUT WARRANTY OF ANY KIND" in licence and PROJECT["license"] == "MIT"
    notice = (ROOT / "cl_teach/data/mnist/README.md").read_text(encoding="utf-8")
    assert "Yann LeCun and Corinna Cortes" in notice and "Attribution-ShareAlike 3.0" in notice
    assert len([name for name in DATA if name.endswith("-ubyte.xz")]) == 4
    assert all(name.removesuffix(".xz") in notice for name in DATA if name.endswith(".xz"))


def test_the_reading_order_of_the_readme_is_that_of_the_imports() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [re.findall(r"\[`(\w+)(?:\.py|/)`\]", line.split(" | ")[0]) for line in page.splitlines() if line.startswith("| [`")]
    told = [name for row in rows for name in row]
    lines = (ROOT / "cl_teach/__init__.py").read_text(encoding="utf-8").splitlines()
    imported = [re.match(r" *from \.(\w*) import ([\w, ]*)", line) for line in lines]
    order = [name for found in imported if found for name in (found[1] or found[2]).split(", ") if name[0] != "_"]
    assert told == [*order, "reproduce", "fast"] and told[:5] == ["tasks", "models", "fisher", "penalties", "training"]
    there = {
        path.stem for path in (ROOT / "cl_teach").iterdir() if path.stem[0] not in "_." and path.stem not in ("data", "py")
    }
    assert set(told) == there, "each module stands in the table, and nothing else does"


def test_the_five_files_that_hold_the_idea_stay_small() -> None:
    """They are to be read in one sitting. What makes one longer may be a room of its own, or a line for the README."""
    limits = {"tasks": 320, "models": 127, "fisher": 176, "penalties": 292, "training": 300}
    for name, limit in limits.items():
        assert len((ROOT / f"cl_teach/{name}.py").read_text(encoding="utf-8").splitlines()) <= limit, name


IMPORTS = """
import json, sys, time
start = time.perf_counter()
import torch
middle = time.perf_counter()
import cl_teach
end = time.perf_counter()
heavy = [name for name in ("torchvision", "matplotlib", "ipywidgets", "IPython", "PIL", "sqlite3") if name in sys.modules]
print(json.dumps({"ratio": (end - middle) / (middle - start), "heavy": heavy}))
"""


def test_every_public_name_is_there_and_rooms_are_opened_when_asked_for() -> None:
    import cl_teach

    assert all(getattr(cl_teach, name) is not None for name in cl_teach.__all__)
    assert cl_teach.sweep.__module__ == "cl_teach.sweeps" and cl_teach.landscapes.__name__ == "cl_teach.landscapes"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cl_teach.nothing  # noqa: B018


def test_import_is_light() -> None:
    runs = []
    for _ in range(5):
        result = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
        runs.append(json.loads(result.stdout))
    assert runs[0]["heavy"] == [], "import cl_teach must not import what only pictures or MNIST need"
    ratio = sorted(run["ratio"] for run in runs)[2]
    assert ratio < 0.5, f"import cl_teach adds {ratio:.2f} of what import torch takes"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = 'python -m pip install -c constraints.txt -e ".[lab,test]" && python -m pytest\n'
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.endswith("\n" + command) and os.access(ROOT / ".ci/run", os.X_OK)
    assert "\n.ci/colab || [ $? -eq 77 ] #" in script and os.access(ROOT / ".ci/colab", os.X_OK)
    assert "set -euo pipefail" in script
    pages = [line for line in script.splitlines() if line.startswith('python -m cl_teach.course.site "$site" ')]
    built = " ".join(line.removesuffix(" &").split('"$site" ')[1] for line in pages).split()
    assert sorted(built) == [f"{number:02}" for number in range(1, 12)]  # each lesson once
    assert "\nCL_TEACH_SITE=$site python -m pytest tests/test_site_browser.py --dist=load\n" in script
    for step in ("ruff check .", "ruff format --check .", "mypy"):
        assert f"\n{step}\n" in script
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


MAKES_ONE = '[ "$1" = -c ] || { mkdir "$3" "$3/bin" && ln -s "$HOME/bin/true" "$3/bin/python"; }'  # stands in for -m venv


@pytest.mark.skipif(not shutil.which("bash"), reason="a shell script")
@pytest.mark.parametrize(
    ("programs", "ends_with", "says"),
    [
        ({}, 77, "COLAB NOT TESTED: there is no Python 3.13"),
        ({"python3.13": "exit 1"}, 77, "COLAB NOT TESTED: there is no Python 3.13"),
        (
            {"python3.13": "exit 0", "df": "echo head; echo disk 9 9 11999999 1% /"},
            77,
            "COLAB NOT TESTED: there are less than 12 GB",
        ),
        ({"python3.13": "[ $1 = -c ]", "df": "echo head; echo disk 9 9 12000000 1% /"}, 1, ""),  # no environment: fails
        ({"python3.13": MAKES_ONE, "python": "exit 3"}, 3, ""),  # the tests fail
        ({"python3.13": MAKES_ONE, "python": "exit 0"}, 0, ""),
    ],
)
def test_colab_is_left_out_only_where_it_cannot_be_tried(programs, ends_with, says, tmp_path: Path) -> None:
    if list(Path("/opt").glob("python*3.13*")):
        pytest.skip("a Python 3.13 that the stand-ins cannot hide")
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "df", "awk", "mktemp", "rm", "mkdir", "ln", "true"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    for name, text in programs.items():
        (tmp_path / "bin" / name).unlink(missing_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!{tmp_path}/bin/bash\n{text}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    place = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([shutil.which("bash"), ROOT / ".ci/colab"], env=place, capture_output=True, text=True, check=False)
    assert done.returncode == ends_with, done.stderr
    assert done.stderr.startswith(says)
    assert not list(tmp_path.glob("tmp.*"))  # and the environment is cleared away


def test_the_readme_s_code_runs_as_it_stands(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 2
    assert any(all(word in block for word in ("BatchNorm", "Adam", "DataLoader", "torch.save")) for block in blocks)
    assert all(len(block.splitlines()) <= 25 for block in blocks)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(block, namespace)
    assert (tmp_path / "figure-1.png").read_bytes().startswith(b"\x89PNG")
