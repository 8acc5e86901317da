"""The whole site from small notebooks: what runs, what does not run again, what goes wrong, and what is refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from small_site import CELLS, draw, write_notebooks

from cl_teach.course.site import build as building
from cl_teach.course.site.__main__ import main
from cl_teach.course.site.build import build

ROOT = Path(__file__).parents[3]


def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), features="html.parser")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Path, list[str], Path]:
    """The site of the small course, what went wrong, and its notebooks."""
    folder = tmp_path_factory.mktemp("course with blanks")
    notebooks = write_notebooks(folder)
    before = {path: path.read_bytes() for path in notebooks.rglob("*.*")}
    wrong = build(folder / "site", notebooks)
    assert {path: path.read_bytes() for path in notebooks.rglob("*.*")} == before
    return folder / "site", wrong, notebooks


def test_a_lesson_runs_and_moves(site):
    folder, _, _ = site
    page = read(folder / "01_tiny.html")
    assert page.title.text == page.h1.text == "1. Tiny"
    (figure,) = page.find_all("figure", class_="explorer")
    assert figure.img["alt"] == "L2 at 0.1" and figure.script.string.count("data:image/webp") == 6
    assert len(page.find_all("fieldset", class_="prediction")) == 1
    assert [pre.text for pre in page.find_all("pre", class_="printed")] == ["ran in notebooks\nand on\n"]
    assert [image["alt"] for image in page.find_all("img", class_="still")] == [draw(2).alt]
    assert len(page.find_all(class_="cell")) == len(CELLS)  # and none of ours
    assert page.footer.find("a", rel="next")["href"] == "02_broken.html"


def test_an_error_stops_its_page_and_no_other(site):
    folder, wrong, _ = site
    assert wrong == ["02_broken.ipynb: cell a-bad-cell raised ZeroDivisionError: division by zero"]
    assert not (folder / "02_broken.html").exists() and (folder / "03_still.html").is_file()


def test_what_has_nothing_to_move_is_shown_as_stored(site):
    folder, _, _ = site
    assert read(folder / "03_still.html").find(class_="printed").text == "stored\n"
    assert read(folder / "solutions" / "01_tiny.html").find("a", string="lesson")["href"] == "../01_tiny.html"


def test_the_front_page_says_what_is_in_each_lesson(site):
    folder, _, _ = site
    page = read(folder / "index.html")
    rows = [[cell.text for cell in row.find_all("td")] for row in page.table.find_all("tr")[1:]]
    assert rows == [
        ["1. Tiny", "a slider", "1 min", "solutions"],
        ["2. Broken", "", "", ""],
        ["3. Still", "", "", ""],
    ]
    assert [a["href"] for a in page.main.find_all("a")] == [
        "01_tiny.html", "solutions/01_tiny.html", "02_broken.html", "03_still.html", "teachers.html",
    ]  # fmt: skip
    assert read(folder / "teachers.html").find("h2")["id"] == "5-symbols"


def test_the_files_of_a_site(site):
    folder, _, _ = site
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == sorted(
        ["01_tiny.html", "03_still.html", "index.html", "page.css", "page.js", "solutions/01_tiny.html", "teachers.html"]
    )
    for name in ("page.css", "page.js"):
        assert (folder / name).read_bytes() == (ROOT / "cl_teach/course/site" / name).read_bytes()
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in folder.rglob("*.html"))


@pytest.fixture
def quick(tmp_path, monkeypatch) -> tuple[Path, Counter]:
    """A folder with notebooks, and a count of runs: no kernel starts, and cells give nothing."""
    runs: Counter = Counter()

    def run(notebook, folder, tick):
        runs[building._title(notebook)] += 1
        if any(cell.id == "a-bad-cell" for cell in notebook.cells):
            raise RuntimeError("cell a-bad-cell raised")

    monkeypatch.setattr(building, "_run", run)
    write_notebooks(tmp_path)
    return tmp_path, runs


def test_a_page_that_is_right_is_not_made_again(quick, monkeypatch):
    folder, runs = quick
    build(folder / "site", folder / "notebooks")
    assert runs == {"1. Tiny": 1, "2. Broken": 1}
    build(folder / "site", folder / "notebooks")
    assert runs == {"1. Tiny": 1, "2. Broken": 2}

    lesson = folder / "notebooks" / "01_tiny.ipynb"
    lesson.write_text(lesson.read_text(encoding="utf-8").replace("in this one", "in that one"), encoding="utf-8")
    build(folder / "site", folder / "notebooks")
    assert runs["1. Tiny"] == 2 and "in that one" in (folder / "site" / "01_tiny.html").read_text(encoding="utf-8")

    other = folder / "notebooks" / "02_broken.ipynb"  # the title of a neighbour, which the page shows
    other.write_text(other.read_text(encoding="utf-8").replace("# 2. Broken", "# 2. Mended"), encoding="utf-8")
    build(folder / "site", folder / "notebooks")
    assert runs["1. Tiny"] == 3 and "2. Mended" in (folder / "site" / "01_tiny.html").read_text(encoding="utf-8")

    monkeypatch.setattr(building, "version", lambda name: "0.0")
    build(folder / "site", folder / "notebooks")
    assert runs["1. Tiny"] == 4


def test_the_package_is_part_of_what_a_page_is_made_from(quick, monkeypatch):
    folder, _ = quick
    copy = folder / "cl_teach"
    shutil.copytree(ROOT / "cl_teach" / "course", copy / "course")
    monkeypatch.setattr(building, "__file__", str(copy / "course" / "site" / "build.py"))
    monkeypatch.setattr(building, "HERE", copy / "course" / "site")
    path = folder / "notebooks" / "01_tiny.ipynb"
    before = building._fingerprint(path, None)
    assert building._fingerprint(path, None) == before
    for name in ("course/setup_and_claims.py", "course/site/page.html.j2"):
        (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
        assert building._fingerprint(path, None) != before
        before = building._fingerprint(path, None)
    (copy / "course/site/page.css").write_bytes(b"")  # copied anew each time, and no reason to run a lesson
    assert building._fingerprint(path, None) == before


def test_lessons_can_be_named(quick):
    folder, runs = quick
    build(folder / "site", folder / "notebooks", ["01"])
    pages = {path.relative_to(folder / "site").as_posix() for path in (folder / "site").rglob("*.html")}
    assert pages == {"index.html", "teachers.html", "01_tiny.html", "solutions/01_tiny.html"} and set(runs) == {"1. Tiny"}
    build(folder / "site", folder / "notebooks", ["03_still.ipynb"])
    assert (folder / "site" / "03_still.html").is_file() and set(runs) == {"1. Tiny"}


def test_what_was_written_stays_when_a_page_cannot_be_written(quick, monkeypatch):
    folder, _ = quick
    (folder / "site.html").write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        building._write(folder / "site.html", "new")
    assert (folder / "site.html").read_text() == "old" and not list(folder.glob(".site*"))


@pytest.mark.parametrize(
    ("folder", "notebooks", "lessons", "words"),
    [
        ("site", "nowhere", [], "notebooks must be a folder with lessons such as 01_....ipynb, got "),
        ("site", ".", [], "notebooks must be a folder with lessons"),
        ("file", "notebooks", [], "folder must be a folder to write the site to, got "),
        ("notebooks", "notebooks", [], "folder must be new, empty, or hold a site written before; "),
        ("site", "notebooks", ["07"], "lessons must be beginnings of 01_tiny.ipynb, 02_broken.ipynb, 03_still.ipynb; got '07'"),
        ("site", "notebooks", [""], "lessons must be beginnings of"),
    ],
)
def test_bad_input_is_refused_before_any_work(quick, monkeypatch, capsys, folder, notebooks, lessons, words):
    root, runs = quick
    monkeypatch.chdir(root)
    (root / "file").write_text("x")
    before = sorted(root.rglob("*"))
    with pytest.raises(ValueError) as error:
        build(folder, notebooks, lessons)
    assert str(error.value).startswith(words) and "\n" not in str(error.value) and len(str(error.value)) < 400
    with pytest.raises(SystemExit) as end:
        main([folder, *lessons, "--notebooks", notebooks])
    assert end.value.code == 2 and words in capsys.readouterr().err
    assert not runs and sorted(root.rglob("*")) == before


def test_without_nbconvert_one_sentence_says_what_to_do(quick, monkeypatch, capsys):
    monkeypatch.setattr("cl_teach.course.site.__main__.find_spec", lambda name: None if name == "nbconvert" else "there")
    with pytest.raises(SystemExit) as end:
        main(["site"])
    assert end.value.code == 2
    assert 'pages need nbconvert, which JupyterLab brings: python -m pip install -e ".[lab]"' in capsys.readouterr().err


def test_the_exit_status_says_whether_all_pages_were_made(quick, capsys):
    folder, _ = quick
    arguments = [str(folder / "site"), "--notebooks", str(folder / "notebooks")]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.err == "not made: 02_broken.ipynb: cell a-bad-cell raised\n"
    assert "01_tiny.html: 0.0 MiB" in said.out and "02_broken.html: NOT MADE: cell a-bad-cell raised" in said.out
    assert main([*arguments, "01"]) == 0
    assert "01_tiny.html: as it was" in capsys.readouterr().out


def test_a_formula_that_cannot_be_drawn_stops_its_page_only(quick):
    folder, _ = quick
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 4. Odd\n\n$\\foo$")]),
        folder / "notebooks" / "04_odd.ipynb",
    )
    wrong = build(folder / "site", folder / "notebooks")
    assert wrong[1:] == [r"04_odd.ipynb: formula has \foo, which formulas.py does not know: \foo"]
    assert (folder / "site" / "03_still.html").is_file()


COMMAND = """import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background hand on that it is ignored
from cl_teach.course.site.__main__ import main
sys.exit(main())"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent by os.kill")
def test_it_can_be_interrupted_and_goes_on(tmp_path):
    notebooks = write_notebooks(tmp_path)
    waiting = nbformat.v4.new_code_cell("import os, time\nopen('started', 'w').write(str(os.getpid()))\ntime.sleep(600)")
    cells = [nbformat.v4.new_markdown_cell("# 2. Waiting for cl.widgets."), waiting]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / "02_broken.ipynb")
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "site"), "--notebooks", str(notebooks)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started = notebooks / "started"
    try:
        while not (started.is_file() and started.read_text()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130 and "interrupted; the pages that are written stay" in err and "Traceback" not in err
    assert (tmp_path / "site" / "01_tiny.html").is_file() and not (tmp_path / "site" / "03_still.html").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)  # its kernel ended with it


@pytest.mark.slow
def test_links_of_the_real_course_lead_somewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_run", lambda *_: None)  # the texts alone
    assert build(tmp_path / "site", ROOT / "notebooks") == []
    pages = {path.resolve(): read(path) for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) == 2 + len(list((ROOT / "notebooks").rglob("[0-9]*.ipynb")))
    followed = 0
    for path, page in pages.items():
        assert len(page.find_all("h1")) == 1 and page.find("h1").find_parent("main") is not None
        for link in page.find_all("a"):
            if not link["href"].startswith("https://"):
                file, _, part = link["href"].partition("#")
                target = (path.parent / file).resolve() if file else path
                assert target in pages, f"{path.name}: {link['href']}"
                assert not part or pages[target].find(id=part), f"{path.name}: {link['href']}"
                followed += 1
    assert followed > 200
