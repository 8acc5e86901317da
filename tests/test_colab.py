"""All lessons as they are met in Colab: its versions of everything, an empty folder, no cl_teach, and a classic front end.

.ci/colab makes that environment and runs this. A stranger's cl_teach lies wherever pip could look, and no request leaves the
machine. (Colab itself is not at hand: its own front end and its GPUs are not tested.)
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import loopback
import pytest
import refresh
from test_browser import FLAGS
from test_claims import CHROMIUM

from cl_teach.course import share

PYTHON = os.environ.get("CL_TEACH_COLAB", "")
LESSONS = [path for path in share.notebooks() if path.parent == Path()]
IDS = [path.stem for path in LESSONS]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="run by .ci/colab, in an environment of Colab's versions"),
]


@dataclass
class Place:
    """Of one learner: an empty folder, a Python without cl_teach, the variables that lead pip to the stranger's."""

    folder: Path
    python: Path
    environment: dict[str, str]
    server: loopback.Loopback

    def nbval(self, name: str) -> None:
        """Run a notebook of the folder and compare its outputs."""
        command = [str(self.python), "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
        command += ["-q", "-W", "ignore", name]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        cells = json.loads((self.folder / name).read_text(encoding="utf-8"))["cells"]
        n = sum(cell["cell_type"] == "code" for cell in cells)
        if done.returncode != 0 or f"{n} passed" not in done.stdout:
            pytest.fail(done.stdout[-8_000:] + done.stderr[-2_000:], pytrace=False)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with loopback.loopback() as server:
        trap = loopback.plant(server, tmp_path / "links")
        share_of_venv = Path(PYTHON).parent.parent
        environment = loopback.clean_environment(
            **trap,
            **refresh.ENVIRONMENT,
            CL_TEACH_CACHE=str(tmp_path / "cache"),
            JUPYTER_PATH=str(share_of_venv / "share/jupyter"),
            JUPYTER_CONFIG_PATH=str(share_of_venv / "etc/jupyter"),
            JUPYTER_CONFIG_DIR=str(tmp_path / "config"),
            JUPYTER_DATA_DIR=str(tmp_path / "data"),
        )
        (tmp_path / "empty").mkdir()
        python = loopback.without_cl_teach(tmp_path / "venv", like=PYTHON)
        yield Place(tmp_path / "empty", python, environment, server)
        assert not [path for path in server.asked if "cl-teach" in path or "99.0" in path], "an index was asked for cl_teach"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return share.build_wheel(tmp_path_factory.mktemp("wheel")).read_bytes()


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    share.build(folder, share.notebooks())
    return folder


def with_the_address(lesson: Path, place: Place, wheel: bytes) -> str:
    """Put the lesson into the folder as it is in a repository that has an address, and the wheel where it says."""
    address, sha256 = place.server.address, hashlib.sha256(wheel).hexdigest()
    place.server.pages[f"/releases/download/v{share.version()}/cl_teach-{share.version()}-py3-none-any.whl"] = wheel
    notebook = share._read(share.ROOT / "notebooks" / lesson)
    share._write(place.folder / lesson, share.with_address(notebook, lesson, address, sha256))
    return lesson.name


def test_these_are_colab_s_versions() -> None:
    query = "import sys, importlib.metadata as m; print(sys.version_info[1]); [print(m.version(n)) for n in sys.argv[1:]]"
    lines = (refresh.ROOT / "tests/colab_constraints.txt").read_text(encoding="utf-8").splitlines()
    names, versions = zip(*(line.split("==") for line in lines if not line.startswith("#")), strict=True)
    found = subprocess.run([PYTHON, "-c", query, *names], capture_output=True, text=True, check=True).stdout.split()
    assert [version.split("+")[0] for version in found] == ["13", *versions]


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_self_contained_lessons_run_alone(lesson: Path, place: Place, copies: Path) -> None:
    shutil.copy(copies / lesson, place.folder)
    shutil.copy(copies / "mnist.zip", place.folder)
    place.nbval(lesson.name)
    if lesson == LESSONS[0]:  # and once more: with what the first time left
        place.nbval(lesson.name)
    assert place.server.asked == []


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_lesson_installs_what_it_needs(which: str, place: Place, wheel: bytes) -> None:
    """And nothing else: the rest of the environment is untouched. Twice, each time from nothing."""
    before = installed(place)
    place.nbval(with_the_address(LESSONS[0], place, wheel))
    assert installed(place) - before == {f"cl_teach=={share.version()}"} and before <= installed(place)
    assert len(place.server.asked) == 1


def installed(place: Place) -> set[str]:
    query = "import importlib.metadata as m; [print(f'{d.name}=={d.version}') for d in m.distributions()]"
    command = [
        str(place.python),
        "-c",
        query,
    ]  # in the learner's folder: in this one `pip install -e .` leaves metadata of ours
    done = subprocess.run(command, cwd=place.folder, env=place.environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


# The classic front end


@pytest.fixture
def classic(place: Place) -> Iterator[str]:
    """The address of a classic notebook server in the learner's folder, whose kernels are the learner's Python."""
    port = loopback.free_port()
    command = [str(place.python), "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--NotebookApp.token=", "--NotebookApp.password=", f"--notebook-dir={place.folder}"]
    log = place.folder.parent / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(command, cwd=place.folder, env=place.environment, stdout=file, stderr=file)
    try:
        for _ in range(240):
            try:
                urlopen(f"http://127.0.0.1:{port}/api").read()
                break
            except URLError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    import playwright.sync_api as playwright

    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


IDLE = """() => Jupyter.notebook && Jupyter.notebook.kernel && Jupyter.notebook.kernel.is_connected()
    && Jupyter.notebook.get_cells().length > 0"""
DONE = """() => !Jupyter.notebook.kernel_busy && !Jupyter.notebook.get_cells().some(
    cell => cell.cell_type === "code" && cell.input_prompt_number === "*")"""
ERRORS = """() => Jupyter.notebook.get_cells().filter(cell => cell.cell_type === "code").flatMap(
    cell => cell.output_area.outputs.filter(output => output.output_type === "error").map(
        output => `In [${cell.input_prompt_number}] ${output.ename}: ${output.evalue} ${output.traceback}`))"""
COUNTS = (
    """() => Jupyter.notebook.get_cells().filter(cell => cell.cell_type === "code").map(cell => cell.input_prompt_number)"""
)


def run_all(browser, classic: str, name: str):
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    page.goto(f"{classic}/notebooks/{name}")
    page.wait_for_function(IDLE, timeout=120_000)
    page.wait_for_timeout(2_000)  # the extension for widgets is loaded
    page.evaluate("Jupyter.notebook.clear_all_output()")
    page.evaluate("Jupyter.notebook.execute_all_cells()")
    page.wait_for_timeout(1_000)
    page.wait_for_function(DONE, timeout=600_000)
    return page


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_explorers_move_in_the_classic_front_end(lesson: Path, place: Place, classic: str, browser, wheel: bytes) -> None:
    page = run_all(browser, classic, with_the_address(lesson, place, wheel))
    try:
        errors = page.evaluate(ERRORS)
        assert errors == [], errors[0]
        counts = page.evaluate(COUNTS)
        assert counts == list(range(1, len(counts) + 1))
        explorers = page.locator(".output_area .widget-vbox:has(> img.widget-image)")
        assert explorers.count() == (place.folder / lesson).read_text(encoding="utf-8").count("cl.widgets.Explorer(") >= 1
        for i in range(explorers.count()):
            image = explorers.nth(i).locator("img.widget-image")
            image.scroll_into_view_if_needed()
            before = image.get_attribute("src")
            sliders, buttons = (
                explorers.nth(i).locator(".ui-slider-handle"),
                explorers.nth(i).locator(".widget-toggle-buttons button:not(.mod-active)"),
            )
            if sliders.count():
                at_the_end = "Home" if sliders.first.evaluate("handle => parseFloat(handle.style.left) > 99") else "ArrowRight"
                sliders.first.press(at_the_end)
            else:
                buttons.last.press("Enter")
            page.wait_for_function(
                "([image, before]) => image.src !== before", arg=[image.element_handle(), before], timeout=10_000
            )
            assert image.evaluate("i => i.complete && i.naturalWidth") > 300
    finally:
        page.close()


def test_a_lesson_without_an_address_stops_at_its_first_cell(place: Place, classic: str, browser) -> None:
    """One message, and no cascade of errors from the cells below."""
    lesson = LESSONS[0]
    notebook = share.with_address(share._read(share.ROOT / "notebooks" / lesson), lesson, None)
    share._write(place.folder / lesson, notebook)
    page = run_all(browser, classic, lesson.name)
    try:
        (said,) = page.evaluate(ERRORS)
        assert "self-contained copy" in said
        assert [count for count in page.evaluate(COUNTS) if count] == [1]
        assert len(re.findall(r"\n", page.locator(".output_error").inner_text().strip())) < 20
    finally:
        page.close()
