"""The course without a kernel, opened from disk in a real browser: everything moves, by keyboard and by mouse, and can be read.

Always with the small course that is built here; with a whole site too if CL_TEACH_SITE names its folder, as .ci/run does.
"""

import base64
import io
import json
import os
from itertools import pairwise, product
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image
from small_site import VALUES, draw, write_notebooks
from test_browser import ARTEFACTS, REQUIRED, browser  # noqa: F401
from test_claims import CHROMIUM

from cl_teach.course.site.build import build

if REQUIRED:
    from axe_playwright_python.sync_playwright import Axe
else:
    Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe

SITE = Path(os.environ["CL_TEACH_SITE"]) if "CL_TEACH_SITE" in os.environ else None
PAGES = sorted(SITE.resolve().rglob("*.html")) if SITE else []
LIMIT = 6 * 2**20  # bytes of a page, with all that it shows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ein Köfferchen")  # blanks and letters that an address must escape
    assert build(folder / "site", write_notebooks(folder), ["01", "03"]) == []
    return folder / "site"


class Opened:
    """A page from disk, and what it complained of or asked for."""

    def __init__(self, chromium, path: Path, width: int = 1280) -> None:
        self.page = chromium.new_page(viewport={"width": width, "height": 900})
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else self.said.append(r.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()


WATCH = """figure => {  // whether the first frame after a key shows a whole new picture
    window.answers = [];
    figure.addEventListener("keydown", event => {
        const image = figure.querySelector("img"), before = image.src, start = event.timeStamp;
        requestAnimationFrame(() => answers.push([image.src !== before && image.complete, performance.now() - start]));
    }, true);
}"""

ANSWERS = "new Promise(give => requestAnimationFrame(() => give(answers)))"  # frames come in order: the last key has its answer


STATE = """async figure => {  // what can be seen of an explorer
    const image = figure.querySelector("img"), controls = [...figure.querySelectorAll(".controls > *")];
    const data = figure.data ??= JSON.parse(figure.querySelector("script").textContent);
    await image.decode();
    return {
        places: controls.map(c => Number((c.querySelector("input:checked") ?? c.querySelector("input[type=range]")).value)),
        words: controls.map(c => [c.querySelector("output")?.textContent, c.querySelector("[type=range]")?.ariaValueText]),
        frame: data.frames.indexOf(image.src),
        alts: [image.alt, figure.querySelector("figcaption").textContent],
        sizes: [image.naturalWidth, image.naturalHeight, image.clientWidth, image.clientHeight],
    };
}"""


class Moving:
    """An explorer in a page, moved as people move it."""

    def __init__(self, page, figure) -> None:
        self.page, self.figure = page, figure
        self.data = json.loads(figure.locator("script").text_content())
        self.controls = figure.locator(".controls > *").all()
        self.image = figure.locator("img")
        self.element = figure.element_handle()
        self.keys = 0  # that were pressed
        page.evaluate(WATCH, self.element)

    def is_choice(self, i: int) -> bool:
        return self.controls[i].evaluate("c => c.matches('fieldset')")

    def places(self) -> list[int]:
        return self.page.evaluate(STATE, self.element)["places"]

    def is_right(self) -> int:
        """Whether picture and words are those of the places where the controls stand; which frame it is."""
        state, labels = self.page.evaluate(STATE, self.element), self.data["labels"]
        at = int(np.ravel_multi_index(state["places"], [len(names) for names in labels]))
        assert state["frame"] == self.data["shown"][at]
        assert state["alts"] == 2 * [self.data["alts"][at]]
        width, height, *drawn = state["sizes"]
        assert drawn[0] <= width and drawn[0] / width == pytest.approx(drawn[1] / height, rel=0.01)  # not stretched
        for i, (place, names) in enumerate(zip(state["places"], labels, strict=True)):
            assert state["words"][i] in ([None, None], [names[place]] * 2) and (state["words"][i][0] or self.is_choice(i))
        return state["frame"]

    def go(self, i: int, place: int) -> None:
        """Move one control there by arrow keys."""
        moved = self.controls[i].locator("input:checked" if self.is_choice(i) else "input[type=range]")
        moved.focus()
        while (now := self.places()[i]) != place:
            self.page.keyboard.press("ArrowRight" if place > now else "ArrowLeft")
            self.keys += 1
            assert self.places()[i] == now + (1 if place > now else -1)

    def click(self, i: int, last: bool) -> None:
        """Move one control to its beginning or its end by mouse."""
        if self.is_choice(i):
            labels = self.controls[i].locator("label")
            (labels.last if last else labels.first).click()
        else:
            slider = self.controls[i].locator("input[type=range]")
            box = slider.bounding_box()
            slider.click(position={"x": box["width"] - 2 if last else 2, "y": box["height"] / 2})
        assert self.places()[i] == (len(self.data["labels"][i]) - 1 if last else 0)

    def walk(self) -> list[list]:
        """Every combination by keyboard, every end by mouse. Gives for each key whether it was answered at once, and in ms."""
        self.figure.scroll_into_view_if_needed()
        self.is_right()
        *others, last = [range(len(names)) for names in self.data["labels"]]
        seen = []
        for before in product(*others):
            for i, place in enumerate(before):
                self.go(i, place)
            for place in last if self.places()[-1] == 0 else reversed(last):
                self.go(len(others), place)
                seen.append(self.is_right())
        assert set(seen) == set(range(len(self.data["frames"]))) and len(seen) == len(self.data["shown"])
        assert len(set(seen)) > 1
        answers = self.page.evaluate(ANSWERS)
        assert len(answers) == self.keys
        for i in range(len(self.controls)):
            for end in (False, True, False):
                self.click(i, end)
                self.is_right()
        return answers


def accessible(page) -> None:
    """Whether axe-core finds nothing wrong; with what is folded opened."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    found = Axe().run(page, options={"preload": False}).response["violations"]  # it would ask for the style sheet a second time
    assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in found] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(SITE.resolve()).as_posix())
def test_a_page_of_the_real_course(browser, path, record_property):  # noqa: F811
    assert path.stat().st_size + sum((SITE / name).stat().st_size for name in ("page.css", "page.js")) <= LIMIT
    with Opened(browser, path) as opened:
        figures = opened.page.locator("figure.explorer").all()
        expected = opened.page.locator(".highlight").all_inner_texts()
        assert len(figures) == sum(text.count("cl.widgets.Explorer(") for text in expected)
        for i, figure in enumerate(figures):
            answers = Moving(opened.page, figure).walk()
            figure.screenshot(path=ARTEFACTS / f"page-{path.stem}-{i}.png")
            assert [changed for changed, _ in answers] == [True] * len(answers)
            line = f"page {path.stem}, explorer {i + 1}: {len(answers)} keys, each answered in the next frame"
            record_property("latency", f"{line}, median {median(ms for _, ms in answers):.0f} ms")
        assert opened.said == []
        accessible(opened.page)
    with Opened(browser, path, width=390) as opened:  # a phone
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert opened.said == []
        accessible(opened.page)


@pytest.mark.skipif(SITE is None, reason="CL_TEACH_SITE names no folder")
def test_the_real_course_is_there():
    names = {path.relative_to(SITE.resolve()).as_posix() for path in PAGES}
    lessons = {path.with_suffix(".html").name for path in (Path(__file__).parent.parent / "notebooks").glob("[0-9]*.ipynb")}
    assert {"index.html", "teachers.html"} <= names and names & lessons  # which are missing, the command that made it has said


@pytest.mark.parametrize("name", ["index.html", "teachers.html", "01_tiny.html", "03_still.html", "solutions/01_tiny.html"])
def test_pages_of_the_small_course_are_accessible_and_ask_for_nothing(browser, small, name):  # noqa: F811
    for width in (1280, 390):
        with Opened(browser, small / name, width) as opened:
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
            assert opened.said == []
            accessible(opened.page)


def test_every_key_shows_the_pixels_of_the_notebook(browser, small):  # noqa: F811
    with Opened(browser, small / "01_tiny.html") as opened:
        explorer = Moving(opened.page, opened.page.locator("figure.explorer"))
        assert explorer.places() == [1, 0]
        answers = explorer.walk()
        assert [changed for changed, _ in answers] == [True] * 6
        for places in product(range(3), range(2)):
            for i, place in enumerate(places):
                explorer.go(i, place)
            picture = draw(*(values[place] for values, place in zip(VALUES, places, strict=True)))
            shown = explorer.image.evaluate("""async i => {
                await i.decode();
                const c = document.createElement("canvas");
                [c.width, c.height] = [i.naturalWidth, i.naturalHeight];
                c.getContext("2d").drawImage(i, 0, 0);
                return c.toDataURL("image/png");
            }""")
            same = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.split(",")[1]))).convert("RGB"))
            assert (same == np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))).all()
            assert explorer.image.get_attribute("alt") == picture.alt
        assert opened.said == []


def test_play_goes_to_the_end_and_stops(browser, small):  # noqa: F811
    with Opened(browser, small / "01_tiny.html") as opened:
        clock = opened.page.clock  # the page's own, which we move on
        clock.install(time=0)
        clock.pause_at(1_000)
        explorer = Moving(opened.page, opened.page.locator("figure.explorer"))
        button, caption = explorer.figure.locator("button.play"), explorer.figure.locator("figcaption")

        def playing() -> bool:
            said = button.get_attribute("aria-label"), caption.get_attribute("aria-live")
            assert said in (("Pause λ", "off"), ("Play λ", "polite"))
            explorer.is_right()
            return said[0] == "Pause λ"

        explorer.go(0, 2)
        assert not playing()
        button.press("Enter")  # from the end it starts anew
        for at in range(2):
            assert explorer.places() == [at, 0] and playing()
            clock.run_for(250)
        assert explorer.places() == [2, 0] and not playing()
        clock.run_for(2_000)
        assert explorer.places() == [2, 0] and not playing()
        button.click()
        clock.run_for(250)
        assert explorer.places() == [1, 0] and playing()
        button.click()  # pause
        clock.run_for(2_000)
        assert explorer.places() == [1, 0] and not playing()
        button.click()  # and on from there
        clock.run_for(250)
        assert explorer.places() == [2, 0] and not playing()


def test_a_prediction_locks_when_it_is_made(browser, small):  # noqa: F811
    with Opened(browser, small / "01_tiny.html") as opened:
        box = opened.page.locator("fieldset.prediction")
        slider = box.locator("input")
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        assert box.locator("output").text_content() == slider.get_attribute("aria-valuetext") == "0.52"
        opened.page.keyboard.press("Tab")
        opened.page.keyboard.press("Enter")
        assert box.locator("p").text_content() == "You said 0.52. Now read on, and compare it with what was measured."
        assert slider.is_disabled() and box.locator("button").is_disabled()


def test_keyboard_users_can_skip_and_see_where_they_are(browser, small):  # noqa: F811
    with Opened(browser, small / "01_tiny.html") as opened:
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert opened.page.locator("a.skip").bounding_box()["x"] >= 0
        opened.page.keyboard.press("Enter")
        assert opened.page.evaluate("document.activeElement.localName") == "main"
        levels = [int(h[1]) for h in opened.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(h => h.localName)")]
        assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
