"""Notebooks for people without a clone: they stand alone, or install cl_teach from the project's address alone."""

import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loopback
import nbformat
import pytest

from cl_teach.course import share

ADDRESS = "https://github.com/owner/name"
LESSON = Path("01_catastrophic_forgetting.ipynb")
WHEEL = f"/releases/download/v{share.version()}/cl_teach-{share.version()}-py3-none-any.whl"


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CL_TEACH_ADDRESS", raising=False)
    monkeypatch.setattr(share, "_project", lambda: {"version": project["version"]})


project = share._project()


def read(path: Path) -> share.Notebook:
    return share._read(share.ROOT / "notebooks" / path)


def sources(notebook: share.Notebook) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(python: Path, source: str, folder: Path, **variables: str) -> tuple[int, str, str]:
    """What a kernel in ``folder`` would make of this code."""
    environment = loopback.clean_environment(PYTHONIOENCODING="utf-8", **variables)
    done = subprocess.run(
        [str(python), "-"], input=source, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stdout, done.stderr


def the_error(stderr: str) -> str:
    """Its last line, of one traceback: not of an error during another."""
    assert stderr.count("Traceback") == 1 and "During handling" not in stderr
    return stderr.strip().splitlines()[-1]


# The address


def test_the_address_is_that_of_the_project_or_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share.address() is None
    monkeypatch.setattr(share, "_project", lambda: {"version": "0.1.0", "urls": {"Repository": ADDRESS}})
    assert share.address() == ADDRESS
    monkeypatch.setenv("CL_TEACH_ADDRESS", "https://codeberg.org/owner/fork")
    assert share.address() == "https://codeberg.org/owner/fork"


@pytest.mark.parametrize(
    "wrong",
    ["https://host/owner/name/", "http://host/owner/name", "owner/name", 'https://host/"; import os; "', "https://host/a b",
     "https://host/name\n", "https://user:secret@host/name", "file:///tmp"],
)  # fmt: skip
def test_no_address(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CL_TEACH_ADDRESS", wrong)
    with pytest.raises(ValueError, match=r"^address must be like https://host/owner/name, without a slash"):
        share.address()


@pytest.mark.parametrize("where", [None, ADDRESS, "https://a-rather-long-host-name.example.org/a-group/a-subgroup/cl-teach"])
def test_set_up_cells_are_short(where: str | None) -> None:
    cell = share.setup_cell(where, "0" * 64)
    compile(cell, "cell", "exec")
    lines = [line for line in cell.splitlines() if line.strip()]
    assert len(lines) <= 14 and max(map(len, lines)) <= 88
    assert lines[-2:] == ["import cl_teach as cl", "cl.setup()"]
    if where:
        assert f"{where}{WHEEL}#sha256={'0' * 64}" in re.sub(r'"\n +wheel \+= "', "", cell)


def test_the_notebooks_are_as_the_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """(If this fails: python -m cl_teach.course.share address.)"""
    monkeypatch.setattr(share, "_project", lambda: project)
    where = share.address()
    hashes = {found for path in share.notebooks() for found in re.findall(r"[0-9a-f]{64}", sources(read(path))[0])}
    assert len(hashes) == (0 if where is None else 1), "all set-up cells install the same wheel"
    for path in share.notebooks():
        assert share.with_address(read(path), path, where, *hashes) == read(path), f"{path} is not as the address says"


@pytest.mark.parametrize("path", [LESSON, Path("10_your_own_network.ipynb"), Path("solutions") / LESSON], ids=str)
def test_an_address_changes_the_set_up_and_the_badges_only(path: Path) -> None:
    before = share.with_address(read(path), path, None)
    original = copy.deepcopy(before)
    after = share.with_address(before, path, ADDRESS, "1" * 64)
    assert before == original, "the argument is left alone"
    assert share.with_address(after, path, ADDRESS, "1" * 64) == after
    assert share.with_address(after, path, None) == before
    (badges,) = [cell for cell in after["cells"] if cell["id"] == "badges"]
    assert after["cells"].index(badges) == 1
    others = [(a, b) for a, b in zip([c for c in after["cells"] if c is not badges], before["cells"], strict=True) if a != b]
    ((new, old),) = others
    assert {key for key in new if new[key] != old[key]} == {"source"}, "outputs, id and count stay"
    nbformat.validate(nbformat.from_dict(after))


def test_badges_lead_to_the_tag_and_to_the_neighbours() -> None:
    colab, tag = "https://colab.research.google.com/github/owner/name/blob", f"v{share.version()}"
    lesson = share.badges(ADDRESS, Path("02_holding_still.ipynb"))
    for file in ("02_holding_still", "01_catastrophic_forgetting", "03_what_matters", "solutions/02_holding_still"):
        assert f"]({colab}/{tag}/notebooks/{file}.ipynb)" in lesson
    assert f"(https://mybinder.org/v2/gh/owner/name/{tag}?labpath=notebooks%2F02_holding_still.ipynb)" in lesson
    assert "previous" not in share.badges(ADDRESS, LESSON)
    assert "next" not in share.badges(ADDRESS, Path("11_reproducing_a_paper.ipynb"))
    solution = share.badges(ADDRESS, Path("solutions") / LESSON)
    assert f"[lesson]({colab}/{tag}/notebooks/{LESSON})" in solution and "[solutions]" not in solution
    elsewhere = share.badges("https://codeberg.org/owner/name", LESSON)
    assert "colab" not in elsewhere.lower()  # Colab opens GitHub's files only
    assert f"https://mybinder.org/v2/git/https%3A%2F%2Fcodeberg.org%2Fowner%2Fname/{tag}?labpath=" in elsewhere


def test_a_set_up_cell_that_is_not_one_is_left_alone() -> None:
    notebook = read(LESSON)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = ["x = 1\n", *cell["source"], "\n", "y = 2"]
            break
    with pytest.raises(ValueError, match=r"notebooks/01_catastrophic_forgetting\.ipynb must begin its code with a set-up cell"):
        share.with_address(notebook, LESSON, None)


# Installing from the address, with a stranger's cl_teach on the index and in a folder where pip looks


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return share.build_wheel(tmp_path_factory.mktemp("wheel")).read_bytes()


@pytest.fixture
def server() -> Iterator[loopback.Loopback]:
    with loopback.loopback() as here:
        yield here


@pytest.mark.slow
def test_the_same_files_give_the_same_wheel(wheel: bytes, tmp_path: Path) -> None:
    assert share.build_wheel(tmp_path).read_bytes() == wheel


@pytest.mark.slow
def test_the_trap_works(server: loopback.Loopback, tmp_path: Path, wheel: bytes) -> None:
    """What the lessons did once: our wheel lies there, and the stranger's is taken."""
    variables = loopback.plant(server, tmp_path / "links")
    (tmp_path / WHEEL.rsplit("/")[-1]).write_bytes(wheel)
    python = loopback.without_cl_teach(tmp_path / "venv")
    old = ["-m", "pip", "install", "--ignore-installed", "--find-links", ".", "cl_teach"]
    code = f"import subprocess, sys; subprocess.run([sys.executable, *{old}])"
    run(python, code, tmp_path, **variables)
    assert run(python, "import cl_teach; cl_teach.setup()", tmp_path)[1] == "a stranger is here\n"
    assert "/simple/cl-teach/" in server.asked


@pytest.mark.slow
def test_the_wheel_of_the_address_is_installed_and_no_index_is_asked(
    server: loopback.Loopback, tmp_path: Path, wheel: bytes
) -> None:
    variables = loopback.plant(server, tmp_path / "links")
    server.pages[WHEEL] = wheel
    python = loopback.without_cl_teach(tmp_path / "venv")
    cell = share.setup_cell(server.address, hashlib.sha256(wheel).hexdigest())
    code, printed, errors = run(python, cell, tmp_path, **variables)
    assert (code, printed) == (0, "cl_teach is ready, running on cpu\n"), errors
    assert set(server.asked) == {WHEEL}
    server.asked.clear()
    assert run(python, cell, tmp_path, **variables)[0] == 0 and server.asked == [], "what is there is not installed again"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("other bytes", "DO NOT MATCH THE HASHES"),
        ("403", "403"),
        ("404", "404"),
        ("half", "hash|HASH|incomplete|Incomplete|broken"),
    ],
)
def test_what_goes_wrong_is_said_once(fault: str, said: str, server: loopback.Loopback, tmp_path: Path, wheel: bytes) -> None:
    variables = loopback.plant(server, tmp_path / "links")
    server.pages[WHEEL] = loopback.stranger() if fault == "other bytes" else int(fault) if fault.isdigit() else wheel
    server.half = {WHEEL} if fault == "half" else set()
    python = loopback.without_cl_teach(tmp_path / "venv")
    cell = share.setup_cell(server.address, hashlib.sha256(wheel).hexdigest())
    code, printed, errors = run(python, cell, tmp_path, **variables, PIP_RETRIES="0", PIP_RESUME_RETRIES="0")
    assert code != 0 and printed == ""
    assert errors.count("Traceback") == 1 and "RuntimeError: cl_teach could not be installed: " in errors
    assert re.search(said, errors), errors
    assert set(server.asked) == {WHEEL}
    assert run(python, "import cl_teach", tmp_path)[0] != 0, "nothing is left behind"


def test_without_an_address_one_sentence_says_what_to_do(server: loopback.Loopback, tmp_path: Path) -> None:
    variables = loopback.plant(server, tmp_path / "links")
    python = loopback.without_cl_teach(tmp_path / "venv")
    code, printed, errors = run(python, share.setup_cell(None), tmp_path, **variables)
    assert code != 0 and printed == "" and server.asked == []
    assert "self-contained copy" in the_error(errors) and "install it in a clone" in the_error(errors)
    assert the_error(errors).startswith("RuntimeError: ")  # to an ImportError Colab adds the advice to pip install the name
    readme = (share.ROOT / "README.md").read_text(encoding="utf-8")
    for heading in re.findall(r"README, '([^']+)'", share.setup_cell(None)):
        assert re.search(rf"(?m)^#+ {heading}$", readme), f"README.md has no heading {heading}"


# Notebooks that stand alone


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    share.build(folder, share.notebooks())
    return folder


def package_cell(out: Path) -> str:
    return sources(json.loads((out / LESSON).read_text(encoding="utf-8")))[0]


@pytest.mark.slow
@pytest.mark.parametrize("path", [LESSON, Path("solutions/02_holding_still.ipynb")], ids=str)
def test_a_self_contained_notebook_runs_alone(path: Path, out: Path, server: loopback.Loopback, tmp_path: Path) -> None:
    """Its first cells do, which are those that could fail; all of them: test_colab.py."""
    folder = tmp_path / "nothing else, and blanks, é"
    folder.mkdir()
    (folder / "mnist.zip").write_bytes((out / "mnist.zip").read_bytes())
    variables = loopback.plant(server, tmp_path / "links") | {"CL_TEACH_CACHE": str(tmp_path / "cache")}
    python = loopback.without_cl_teach(tmp_path / "venv")
    cells = sources(json.loads((out / path).read_text(encoding="utf-8")))
    last = next(i for i, cell in enumerate(cells) if i > 1 and "cl." in cell)
    check = "\nimport json, sys\nprint(json.dumps([cl.__file__, cl.mnist(10, 10).train.y.tolist()]))"
    code, printed, errors = run(python, "\n".join(cells[: last + 1]) + check, folder, **variables)
    assert code == 0, errors
    (unpacked,) = folder.glob(f"cl_teach-{share.version()}-*")
    assert json.loads(printed.splitlines()[-1]) == [str(unpacked / "cl_teach/__init__.py"), [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]]
    assert printed.startswith(f"The code of cl_teach is in the folder {unpacked.name}, to be read.\ncl_teach is ready")
    assert (unpacked / "LICENSE").read_bytes() == (share.ROOT / "LICENSE").read_bytes()
    for original in share.PACKAGE.rglob("*.py"):
        assert (unpacked / "cl_teach" / original.relative_to(share.PACKAGE)).read_bytes() == original.read_bytes()
    assert {entry.name for entry in folder.iterdir()} == {"mnist.zip", unpacked.name} and server.asked == []


def test_the_package_stands_in_one_folded_cell(out: Path) -> None:
    for path in share.notebooks():
        copied, original = json.loads((out / path).read_text(encoding="utf-8")), read(path)
        nbformat.validate(nbformat.from_dict(copied))
        (package,) = [cell for cell in copied["cells"] if cell["id"] == "package"]
        assert package["metadata"]["cellView"] == "form" and package["metadata"]["jupyter"] == {"source_hidden": True}
        assert "".join(package["source"]).startswith("# @title ")
        assert max(map(len, "".join(package["source"]).splitlines())) <= 88
        setup = copied["cells"][copied["cells"].index(package) + 1]
        assert "".join(setup["source"]) == share.UNPACKED
        kept = [cell for cell in copied["cells"] if cell is not package and cell is not setup and cell["cell_type"] == "code"]
        assert kept == [cell for cell in original["cells"] if cell["cell_type"] == "code"][1:]
        assert (out / path).stat().st_size < 1_000_000


def test_packing_gives_the_same_bytes_again() -> None:
    assert share.packed_code() == share.packed_code()


def test_a_folder_that_is_not_ours_is_left_alone(out: Path, tmp_path: Path) -> None:
    cell = package_cell(out)
    (name,) = re.findall(r'unpack_cl_teach\("([^"]+)"', cell)
    (tmp_path / name / "cl_teach").mkdir(parents=True)
    (tmp_path / name / "cl_teach/__init__.py").write_text("print('somebody else')")
    code, printed, errors = run(Path(sys.executable), f"{cell}\nimport cl_teach", tmp_path)
    assert code != 0 and printed == ""
    assert re.search(rf"^RuntimeError: .*is not what this notebook unpacks\. Rename the folder {name} ", the_error(errors))
    assert [path.name for path in (tmp_path / name).rglob("*")] == ["cl_teach", "__init__.py"]


def test_code_that_a_learner_changed_is_kept_and_said(out: Path, tmp_path: Path) -> None:
    cell = package_cell(out)
    assert run(Path(sys.executable), cell, tmp_path)[0] == 0
    assert run(Path(sys.executable), cell, tmp_path)[0] == 0, "a second notebook takes what is there"
    (folder,) = tmp_path.iterdir()
    (folder / "cl_teach/penalties.py").write_text("mine")
    code, _, errors = run(Path(sys.executable), cell, tmp_path)
    assert code != 0 and "penalties.py is not what this notebook unpacks" in the_error(errors)
    assert (folder / "cl_teach/penalties.py").read_text() == "mine"


def test_where_nothing_can_be_written_a_temporary_folder_serves(out: Path, tmp_path: Path) -> None:
    cell = package_cell(out)
    code = f"import os\nos.chdir('/proc')\n{cell}\nimport cl_teach\nprint(cl_teach.__file__)"
    if not Path("/proc/self").exists():
        pytest.skip("no folder here that nobody can write to")
    status, printed, errors = run(Path(sys.executable), code, tmp_path, TMPDIR=str(tmp_path))
    assert status == 0, errors
    assert printed.splitlines()[-1].startswith(str(tmp_path))


def test_a_damaged_cell_is_refused(out: Path, tmp_path: Path) -> None:
    cell = package_cell(out)
    place = cell.index('PACKED = """\n') + 5_000
    other = "0" if cell[place] != "0" else "1"
    code, _, errors = run(Path(sys.executable), cell[:place] + other + cell[place + 1 :], tmp_path)
    assert code != 0 and the_error(errors) == "RuntimeError: This cell is damaged. Please get the notebook once more."
    assert list(tmp_path.iterdir()) == []


def links(notebook: share.Notebook) -> list[str]:
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    return re.findall(r"\]\(((?!https?:)[^)\s]*\.(?:ipynb|md)[^)\s]*)\)", text)


def test_links_lead_to_what_lies_there_or_become_words(out: Path, tmp_path: Path) -> None:
    for path in share.notebooks():
        for link in links(json.loads((out / path).read_text(encoding="utf-8"))):
            assert (out / path.parent / link).is_file(), f"{link} in {path}"
    assert links(json.loads((out / LESSON).read_text(encoding="utf-8"))), "some are left"
    share.build(tmp_path, [LESSON])
    alone = json.loads((tmp_path / LESSON).read_text(encoding="utf-8"))
    assert links(alone) == [] and links(read(LESSON)) != []


def test_with_an_address_links_lead_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CL_TEACH_ADDRESS", ADDRESS)
    path = Path("10_your_own_network.ipynb")
    share.build(tmp_path, [path])
    text = (tmp_path / path).read_text(encoding="utf-8")
    assert links(json.loads(text)) == []
    tag = f"v{share.version()}"
    assert f"(https://colab.research.google.com/github/owner/name/blob/{tag}/notebooks/solutions/{path})" in text
    assert f"({ADDRESS}/blob/{tag}/README.md#use-it-on-your-own-network)" in text
    assert f"({ADDRESS}/blob/{tag}/notebooks/README.md#5-symbols)" in text


def test_only_copies_are_overwritten(tmp_path: Path) -> None:
    share.build(tmp_path, [LESSON])
    share.build(tmp_path, [LESSON])
    (tmp_path / LESSON).write_text("mine")
    with pytest.raises(ValueError, match=r"^OUT must be a folder for copies, but .*01_catastrophic_forgetting\.ipynb is not"):
        share.build(tmp_path, [LESSON])
    assert (tmp_path / LESSON).read_text() == "mine"
    shutil.copy(share.ROOT / "notebooks" / LESSON, tmp_path)  # as if OUT were notebooks/
    with pytest.raises(ValueError, match=r"^OUT must be a folder for copies"):
        share.build(tmp_path, [LESSON])
    assert read(LESSON) == share._read(tmp_path / LESSON)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    share.main(["build", str(tmp_path), str(LESSON)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [LESSON.name, "mnist.zip"]
    assert LESSON.name in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^names must be of files in notebooks/, got"):
        share.main(["build", str(tmp_path), "11_nothing.ipynb"])
    written: dict[str, Any] = {}
    monkeypatch.setattr(share, "_write", lambda path, notebook: written.update({path.name: notebook}))
    monkeypatch.setattr(share, "build_wheel", lambda folder: share.ROOT / "LICENSE")  # some file
    monkeypatch.setenv("CL_TEACH_ADDRESS", ADDRESS)
    share.main(["address"])
    assert len(written) == len(list((share.ROOT / "notebooks").glob("*.ipynb")))  # solutions have the names of their lessons
    assert hashlib.sha256((share.ROOT / "LICENSE").read_bytes()).hexdigest() in sources(written[LESSON.name])[0]
    said = capsys.readouterr().out
    assert f"as {ADDRESS}/releases/download/v{share.version()}/" in said and f"notebooks/solutions/{LESSON} changed" in said


def test_the_zip_holds_the_data_and_where_they_are_from(out: Path) -> None:
    with zipfile.ZipFile(out / "mnist.zip") as data:
        for path in (share.PACKAGE / "data/mnist").iterdir():
            assert data.read(path.name) == path.read_bytes()
