"""Every lesson in a real JupyterLab in a real browser: it opens, runs, and its explorers answer to the keyboard."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
ARTEFACTS = Path(__file__).parent.parent / ".ci" / "artefacts"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """The address of a JupyterLab that serves a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
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


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs_and_explorers_answer(lab, browser, lesson):
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    try:
        page.goto(f"{lab}/lab/tree/{lesson.name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
        page.wait_for_function("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
        assert page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')") is not False
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
        explorers = page.locator(".jp-OutputArea-output .widget-vbox:has(> img.widget-image)")
        assert explorers.count() >= 1
        for i in range(explorers.count()):
            walk_through(page, explorers.nth(i), ARTEFACTS / f"{lesson.stem}-{i}.png")
    finally:
        page.close()


def walk_through(page, explorer, screenshot: Path) -> None:
    """Move every slider of the explorer from one end to the other by keyboard; each step must change the picture."""
    image = explorer.locator("img.widget-image")
    image.scroll_into_view_if_needed()
    screenshot.parent.mkdir(parents=True, exist_ok=True)
    for slider in explorer.locator(".noUi-handle").all():
        slider.focus()
        last = int(float(slider.get_attribute("aria-valuemax")))
        slider.press("Home")
        page.wait_for_timeout(500)
        pictures = [image.get_attribute("src")]
        for _ in range(last):
            slider.press("ArrowRight")
            page.wait_for_function(
                "([image, before]) => image.src !== before", arg=[image.element_handle(), pictures[-1]], timeout=5_000
            )
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
    explorer.screenshot(path=screenshot)
