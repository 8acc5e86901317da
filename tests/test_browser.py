"""Every lesson in a real JupyterLab in a real browser: it opens, runs, and its explorers answer to the keyboard.

It runs under other seeds than those that its stored outputs show, and its claims must hold there, too: nbval runs it as it is.
"""

import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.error import URLError

import nbconvert
import nbformat
import pytest
import refresh
from PIL import Image
from test_claims import CHROMIUM, OFFSET

REQUIRED = os.environ.get("CL_TEACH_BROWSER") == "required"  # .ci/run says so: there a missing browser is a failure
if REQUIRED:
    import playwright.sync_api as playwright
else:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
ARTEFACTS = Path(__file__).parent.parent / ".ci" / "artefacts"

EMPTY = """import ipywidgets
slider, label = ipywidgets.IntSlider(max=100), ipywidgets.Label("moved 0")
slider.observe(lambda change: setattr(label, "value", f"moved {change.new}"), names="value")
ipywidgets.VBox([slider, label])"""

OTHER_SEEDS = f"""
import sys
import warnings

sys.path.append({str(Path(__file__).parent)!r})
from test_claims import shifted

warnings.simplefilter("ignore", RuntimeWarning)  # such as of a best strength at the end of its grid
cl = shifted({OFFSET}, [], explorers=True)"""

PREDICTION = ["import cl_teach as cl", 'guess = cl.widgets.Prediction("accuracy on A")\nguess', "guess.reveal(0.2)"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """The address of a JupyterLab that serves a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    for lesson in LESSONS:
        notebook = nbformat.read(lesson, as_version=4)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source += OTHER_SEEDS
        nbformat.write(notebook, folder / "notebooks" / lesson.name)
    empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(EMPTY)], metadata=refresh.METADATA)
    nbformat.write(empty, folder / "notebooks" / "empty.ipynb")
    cells = [nbformat.v4.new_code_cell(source) for source in PREDICTION]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=refresh.METADATA), folder / "notebooks" / "prediction.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)  # draw all cells, also those outside the window
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder / 'notebooks'}", "--expose-app-in-browser"]
    command += [f"--LabApp.user_settings_dir={folder / 'settings'}", f"--LabApp.workspaces_dir={folder / 'workspaces'}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "JUPYTER_CONFIG_DIR": str(folder)})
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api").read()
                break
            except URLError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


def opened(lab: str, browser, name: str):
    """A page with this notebook, all its cells run."""
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    page.goto(f"{lab}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    page.wait_for_function("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    assert page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')") is not False
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert (
        page.locator(".jp-Notebook .jp-CodeCell").count() == page.locator(".jp-InputPrompt", has_text=re.compile(r"\d")).count()
    )
    return page


@pytest.fixture(scope="module")
def empty_slider(lab, browser) -> list[float]:
    """Milliseconds from a key press on a slider to what an empty callback in the kernel writes beside it."""
    page = opened(lab, browser, "empty.ipynb")
    try:
        handle = page.locator(".noUi-handle")
        page.evaluate(WATCH, [page.locator(".widget-label:not(.jp-mod-empty)", has_text="moved").element_handle(), "text"])
        return [press(page, handle, "ArrowRight") for _ in range(30)]
    finally:
        page.close()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs_and_explorers_answer(lab, browser, empty_slider, lesson, record_property):
    page = opened(lab, browser, lesson.name)
    try:
        outputs = page.locator(".jp-Notebook .jp-OutputArea-output").all_inner_texts()
        assert sum(text.count("(claimed: ") for text in outputs) >= 3  # one that does not hold is an error, see opened
        explorers = page.locator(".jp-OutputArea-output .widget-vbox:has(> img.widget-image)")
        assert explorers.count() == lesson.read_text(encoding="utf-8").count("cl.widgets.Explorer(") >= 1
        for i in range(explorers.count()):
            screenshot = ARTEFACTS / f"{lesson.stem}-{i}.png"
            moves = walk_through(page, explorers.nth(i), screenshot)
            assert not_empty(screenshot)
            report(f"{lesson.stem}, explorer {i + 1}", moves, empty_slider, record_property)
            # A picture takes longer to travel than a word. The bound only catches frames that are drawn slowly on each move.
            assert median(moves) <= 6 * median(empty_slider) + 5
    finally:
        page.close()


def test_a_prediction_is_made_by_keyboard_and_revealed(lab, browser):
    page = opened(lab, browser, "prediction.ipynb")
    try:
        shown = page.locator(".jp-OutputArea-output img[src^='data:image/png']").last
        before = shown.get_attribute("src")  # no prediction was made
        handle = page.locator(".widget-slider .noUi-handle")
        button = page.locator("button.widget-button", has_text="I commit")
        handle.press("ArrowRight")
        handle.press("ArrowRight")
        page.locator(".widget-readout", has_text="0.52").wait_for(timeout=5_000)
        page.keyboard.press("Tab")  # the number beside the slider, which may be typed
        page.keyboard.press("Tab")
        assert button.evaluate("b => b === document.activeElement")
        page.keyboard.press("Enter")
        page.locator(".widget-html", has_text="You said 0.52").wait_for(timeout=5_000)
        assert button.is_disabled() and page.locator(".noUi-target[disabled]").count() == 1
        page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-editor").last.click()
        assert page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')") is not False
        page.wait_for_function(
            "before => [...document.querySelectorAll('.jp-OutputArea-output img')].at(-1)?.src !== before", arg=before
        )
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        page.locator(".jp-Notebook").first.screenshot(path=ARTEFACTS / "prediction.png")
    finally:
        page.close()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_explorers_are_pictures_without_a_kernel(browser, lesson, tmp_path):
    (tmp_path / "lesson.html").write_text(nbconvert.HTMLExporter().from_filename(str(lesson))[0], encoding="utf-8")
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    try:
        page.goto((tmp_path / "lesson.html").as_uri())
        cells = page.locator(".jp-CodeCell", has=page.locator(".jp-InputArea", has_text="cl.widgets.Explorer("))
        assert cells.count() >= 1
        for i in range(cells.count()):
            image = cells.nth(i).locator(".jp-OutputArea img")
            assert image.evaluate("i => i.complete && i.naturalWidth") > 300
            image.screenshot(path=tmp_path / f"{i}.png")
            assert not_empty(tmp_path / f"{i}.png")
    finally:
        page.close()


# In the page: when a key went down, and when what it changed could be seen.
WATCH = """([target, kind]) => {
    window.changed = 0;
    const now = () => { window.changed = performance.now() };
    if (kind === "image") target.addEventListener("load", now);
    else new MutationObserver(now).observe(target, {childList: true, characterData: true, subtree: true});
    window.addEventListener("keydown", () => { window.pressed = performance.now(); window.changed = 0 }, true);
}"""


def press(page, target, key: str) -> float:
    """Press ``key`` on ``target``; milliseconds until the watched thing has changed. Not faster than a person presses keys."""
    page.wait_for_timeout(100)
    target.press(key)
    page.wait_for_function("window.changed > 0", timeout=5_000)
    return page.evaluate("window.changed - window.pressed")


def walk_through(page, explorer, screenshot: Path) -> list[float]:
    """Move every control through its whole range by keyboard, sliders once for each button; every move changes the picture.

    Returns the milliseconds that each move took.
    """
    image = explorer.locator("img.widget-image")
    image.scroll_into_view_if_needed()
    page.evaluate(WATCH, [image.element_handle(), "image"])
    groups = [group.locator("button").all() for group in explorer.locator(".widget-toggle-buttons").all()]
    sliders, moves = explorer.locator(".noUi-handle").all(), []
    for buttons in groups:
        buttons[-1].press("Enter")  # so that the first one, too, is a move
        page.wait_for_timeout(500)
    for button in [button for buttons in groups for button in (buttons if sliders else 5 * buttons)] or [None]:
        if button is not None:
            moves.append(press(page, button, "Enter"))
        for slider in sliders:
            last = int(float(slider.get_attribute("aria-valuemax")))
            slider.press("Home")
            page.wait_for_timeout(500)
            pictures = [image.get_attribute("src")]
            for _ in range(last):
                moves.append(press(page, slider, "ArrowRight"))
                pictures.append(image.get_attribute("src"))
            assert len(set(pictures)) == last + 1
            assert image.evaluate("i => i.naturalWidth") > 300
    if explorer.locator(".widget-play").count():
        slider.press("Home")
        page.wait_for_timeout(500)
        before = image.get_attribute("src")
        explorer.locator(".widget-play button").first.click()
        page.wait_for_function("([image, before]) => image.src !== before", arg=[image.element_handle(), before], timeout=5_000)
        explorer.locator(".widget-play button").first.click()  # pause
    screenshot.parent.mkdir(parents=True, exist_ok=True)
    explorer.screenshot(path=screenshot)
    return moves


def not_empty(screenshot: Path) -> bool:
    """Whether at least a twentieth of the picture differs from its most frequent colour."""
    image = Image.open(screenshot).convert("RGB")
    counts = [count for count, _ in image.getcolors(maxcolors=image.width * image.height)]
    return max(counts) <= 0.95 * image.width * image.height


def report(name: str, moves: list[float], empty: list[float], record_property) -> None:
    """One line of latencies for people, shown at the end of the tests (conftest.py)."""
    high = sorted(moves)[math.ceil(0.95 * len(moves)) - 1]
    line = f"{name}: {len(moves)} moves, key to picture median {median(moves):.0f} ms, 95th percentile {high:.0f} ms; "
    line += f"an empty slider {median(empty):.0f} ms; ratio {median(moves) / median(empty):.2f}"
    record_property("latency", line)


def test_an_empty_picture_is_noticed(tmp_path):
    Image.new("RGB", (700, 400), "white").save(tmp_path / "white.png")
    assert not not_empty(tmp_path / "white.png")
