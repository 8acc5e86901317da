"""Rules that every notebook keeps, beside running with the stored outputs (which nbval compares).

A rule takes a notebook and returns what is wrong with it. A test below spoils a good notebook in one way for each rule.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import nbconvert
import nbformat
import pytest
import refresh
from PIL import Image

NOTEBOOKS = {path.relative_to(refresh.ROOT).as_posix(): path for path in refresh.notebooks()}
LESSONS = [path for path in NOTEBOOKS.values() if path.parent.name == "notebooks"]
IMAGE, TEXT = "image/png", "text/plain"


class Notebook:
    def __init__(self, text: str, is_lesson: bool) -> None:
        self.text, self.is_lesson = text, is_lesson
        self.raw: dict[str, Any] = json.loads(text)
        self.cells: list[dict[str, Any]] = self.raw["cells"]
        self.code = [cell for cell in self.cells if cell["cell_type"] == "code"]
        self.outputs = [output for cell in self.code for output in cell["outputs"]]
        self.source = "\n".join(source(cell) for cell in self.code)


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def lines(cell: dict[str, Any]) -> list[str]:
    return [line for line in source(cell).splitlines() if line.strip()]


def where(notebook: Notebook, cell: dict[str, Any]) -> str:
    return f"cell {notebook.cells.index(cell) + 1} (id {cell.get('id')})"


Rule = Callable[[Notebook], list[str]]


def every_cell_was_executed_in_order(n: Notebook) -> list[str]:
    counts = [cell["execution_count"] for cell in n.code]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


def no_error_is_stored(n: Notebook) -> list[str]:
    return [f"{o['ename']}: {o['evalue']}" for o in n.outputs if o["output_type"] == "error"]


def no_warning_is_stored(n: Notebook) -> list[str]:
    return ["".join(o["text"]) for o in n.outputs if o["output_type"] == "stream" and o["name"] == "stderr"]


def stored_by_refresh(n: Notebook) -> list[str]:
    """No widget state, no timing, no kernel of one's own; the very bytes that refresh.py would write."""
    wrong = [] if n.raw["metadata"] == refresh.METADATA else [f"metadata: {n.raw['metadata']}"]
    wrong += [
        f"{where(n, c)}: metadata {c['metadata']}" for c in n.cells if set(c["metadata"]) - set(refresh.KEPT_CELL_METADATA)
    ]
    normal = nbformat.writes(nbformat.reads(n.text, as_version=4)).rstrip("\n") + "\n"
    return wrong + ([] if n.text == normal else ["not as refresh.py writes it"])


def ids_are_fixed_and_unique(n: Notebook) -> list[str]:
    ids = [cell.get("id") for cell in n.cells]
    return ([] if None not in ids else ["a cell has no id"]) + [f"{i} twice" for i in set(ids) if ids.count(i) > 1]


def cells_are_short(n: Notebook) -> list[str]:
    wrong = [f"{where(n, cell)} has {len(lines(cell))} lines" for cell in n.code if len(lines(cell)) > 25]
    middle = median(len(lines(cell)) for cell in n.code)
    return wrong + ([f"the median cell has {middle} lines"] if middle > 6 else [])


def title_comes_first(n: Notebook) -> list[str]:
    first = n.cells[0]
    return [] if first["cell_type"] == "markdown" and source(first).startswith("# ") else ["the first cell is no title"]


def goals_and_time_are_near_the_top(n: Notebook) -> list[str]:
    top = " ".join(source(cell) for cell in n.cells[:4] if cell["cell_type"] == "markdown").lower()
    return [
        f"'{words}' is not in the first cells"
        for words in ("you will be able to", "laptop")
        if n.is_lesson and words not in top
    ]


def set_up_comes_first(n: Notebook) -> list[str]:
    return [] if any("cl.setup()" in source(cell) for cell in n.code[:2]) else ["cl.setup() is not in the first two code cells"]


def pictures_have_alt_text(n: Notebook) -> list[str]:
    texts = ["".join(o["data"].get(TEXT, "")) for o in n.outputs if IMAGE in o.get("data", {})]
    return [f"a picture has only the text {text!r}" for text in texts if len(text) < 40 or text.startswith("<")]


def widgets_have_a_picture(n: Notebook) -> list[str]:
    return ["a widget has no picture for those without a kernel" for o in n.outputs if refresh.WIDGET in o.get("data", {})]


def claims_and_a_widget(n: Notebook) -> list[str]:
    claims, widgets = n.source.count("cl.claim("), n.source.count("cl.widgets.")
    return [f"{claims} claims, {widgets} widgets"] if n.is_lesson and (claims < 3 or widgets < 1) else []


def references_at_the_end(n: Notebook) -> list[str]:
    end = "\n".join(source(cell) for cell in n.cells[-2:] if cell["cell_type"] == "markdown")
    return ["no heading 'References' in the last cells"] if n.is_lesson and not re.search(r"(?m)^#+ References", end) else []


def small_enough(n: Notebook) -> list[str]:
    sizes = [len(base64.b64decode("".join(o["data"][IMAGE]))) for o in n.outputs if IMAGE in o.get("data", {})]
    wrong = [f"a picture of {size / 1024:.0f} KiB" for size in sizes if size > 60 * 1024]
    return wrong + ([f"{len(n.text) / 1e6:.1f} MB"] if len(n.text.encode()) > 2_000_000 else [])


def nbval_can_compare_it(n: Notebook) -> list[str]:
    pattern = (
        r"\binteract(?:ive|_manual)?\(|@interact|interactive_output|\bOutput\(|clear_output|display_id|^%%?time|^[%!]\s*pip"
    )
    found = [f"{where(n, cell)}: {match.group()}" for cell in n.code for match in re.finditer(pattern, source(cell), re.M)]
    found += [f"{where(n, cell)}: ends with ;" for cell in n.code if source(cell).rstrip().endswith(";")]
    printed = json.dumps([o.get("text", o.get("data", {}).get(TEXT, "")) for o in n.outputs])
    return found + [f"a memory address {address}" for address in re.findall(r"\b0x[0-9a-f]{6,}\b", printed)]


def at_home_anywhere(n: Notebook) -> list[str]:
    """No folder of somebody's machine, no choice of where packages come from."""
    pattern = r"index-url|trusted-host|(?<![\w.~/])/(?:home|root|tmp|Users|opt|mnt)/\w+|\b[A-Z]:\\\\\w+"
    return re.findall(pattern, n.text) + ([str(refresh.ROOT)] if f"{refresh.ROOT}/" in n.text else [])


RULES: list[Rule] = [
    every_cell_was_executed_in_order, no_error_is_stored, no_warning_is_stored, stored_by_refresh, ids_are_fixed_and_unique,
    cells_are_short, title_comes_first, goals_and_time_are_near_the_top, set_up_comes_first, pictures_have_alt_text,
    widgets_have_a_picture, claims_and_a_widget, references_at_the_end, small_enough, nbval_can_compare_it, at_home_anywhere,
]  # fmt: skip


def test_the_lessons_are_there() -> None:
    lessons = [path.stem[:3] for path in NOTEBOOKS.values() if path.parent.name == "notebooks"]
    assert {"01_", "02_", "03_", "04_", "05_"} <= set(lessons) and len(set(lessons)) == len(lessons)


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS.keys())
@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_rules(path: Path, rule: Rule) -> None:
    assert rule(Notebook(path.read_text(encoding="utf-8"), is_lesson=path.parent.name == "notebooks")) == []


# The rules themselves: a good notebook, and one way to break each.


def good() -> dict[str, Any]:
    markdown = ["# Title\n\nYou will be able to test. Five minutes on a laptop.", "## References\n\nA book."]
    code = ["import cl_teach as cl\ncl.setup()", "cl.claim(1)\ncl.claim(2)\ncl.claim(3)", "cl.widgets.explorer()"]
    picture = {
        IMAGE: base64.b64encode(b"0" * 100).decode() + "\n",
        TEXT: "A line that rises from 0 to 1 over ten steps, and stays.",
    }
    stored = [
        {"output_type": "stream", "name": "stdout", "text": ["ready\n"]},
        {"output_type": "execute_result", "execution_count": 2, "data": {TEXT: ["3"]}, "metadata": {}},
        {"output_type": "display_data", "data": picture, "metadata": {}},
    ]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": i,
            "metadata": {},
            "outputs": [output],
            "source": text,
        }
        for i, (text, output) in enumerate(zip(code, stored, strict=True), start=1)
    ]
    first, last = ({"cell_type": "markdown", "metadata": {}, "source": text} for text in markdown)
    cells = [{**cell, "id": f"cell-{i}"} for i, cell in enumerate([first, *cells, last])]
    raw = {"cells": cells, "metadata": refresh.METADATA, "nbformat": 4, "nbformat_minor": 5}
    return dict(json.loads(nbformat.writes(nbformat.from_dict(raw))))


def written(raw: dict[str, Any]) -> str:
    return json.dumps(raw, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets cells[path[0]][path[1]]... to ``value``."""

    def spoil(raw: dict[str, Any]) -> None:
        place: Any = raw["cells"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return spoil


SPOILED: list[tuple[Rule, Callable[[dict[str, Any]], None]]] = [
    (every_cell_was_executed_in_order, put(2, "execution_count", value=None)),
    (every_cell_was_executed_in_order, put(2, "execution_count", value=7)),
    (no_error_is_stored, put(1, "outputs", value=[{"output_type": "error", "ename": "E", "evalue": "e", "traceback": []}])),
    (no_warning_is_stored, put(1, "outputs", 0, "name", value="stderr")),
    (stored_by_refresh, lambda raw: raw["metadata"].update(widgets={})),
    (stored_by_refresh, lambda raw: raw["metadata"]["language_info"].update(version="3.11.7")),
    (stored_by_refresh, put(1, "metadata", value={"execution": {"iopub.execute_input": "2026"}})),
    (stored_by_refresh, put(1, "source", value="import cl_teach as cl\ncl.setup()")),
    (ids_are_fixed_and_unique, put(2, "id", value="cell-1")),
    (ids_are_fixed_and_unique, lambda raw: raw["cells"][2].pop("id")),
    (cells_are_short, put(1, "source", value=["cl.setup()\n"] * 26)),
    (cells_are_short, lambda raw: [cell["source"].extend(["\n", *["x\n"] * 6]) for cell in raw["cells"][1:4]]),
    (title_comes_first, put(0, "source", value=["You will be able to test on a laptop."])),
    (goals_and_time_are_near_the_top, put(0, "source", value=["# Title\n", "\n", "You will be able to test."])),
    (goals_and_time_are_near_the_top, put(0, "source", value=["# Title\n", "\n", "Five minutes on a laptop."])),
    (set_up_comes_first, put(1, "source", value=["import cl_teach"])),
    (pictures_have_alt_text, put(3, "outputs", 0, "data", TEXT, value=["<Figure size 640x480 with 1 Axes, and more>"])),
    (pictures_have_alt_text, put(3, "outputs", 0, "data", TEXT, value=["A line."])),
    (pictures_have_alt_text, lambda raw: raw["cells"][3]["outputs"][0]["data"].pop(TEXT)),
    (widgets_have_a_picture, put(3, "outputs", 0, "data", refresh.WIDGET, value={"model_id": "x"})),
    (claims_and_a_widget, put(2, "source", value=["cl.claim(1)\n", "cl.claim(2)"])),
    (claims_and_a_widget, put(3, "source", value=["cl.figures.curve()"])),
    (references_at_the_end, put(4, "source", value=["There are no references."])),
    (small_enough, put(3, "outputs", 0, "data", IMAGE, value=base64.b64encode(b"0" * 61 * 1024).decode())),
    (small_enough, put(0, "source", value=["# Title\n", "you will be able to, laptop " + "long " * 400_000])),
    (nbval_can_compare_it, put(2, "source", value=["interact(f)\n", *["cl.claim(1)\n"] * 3])),
    (nbval_can_compare_it, put(2, "source", value=["out = widgets.Output()\n", *["cl.claim(1)\n"] * 3])),
    (nbval_can_compare_it, put(2, "source", value=[*["cl.claim(1)\n"] * 3, "plot(x);\n"])),
    (nbval_can_compare_it, put(2, "outputs", 0, "data", TEXT, value=["<object at 0x7f29fe374c20>"])),
    (at_home_anywhere, put(4, "source", value=["## References\n", "in /home/somebody/papers"])),
    (at_home_anywhere, put(4, "source", value=["## References\n", f"{refresh.ROOT}/paper"])),
    (at_home_anywhere, put(2, "source", value=["# pip install --index-url\n", *["cl.claim(1)\n"] * 3])),
]  # fmt: skip


def test_a_good_notebook_keeps_all_rules() -> None:
    nbformat.validate(nbformat.from_dict(good()))
    notebook = Notebook(written(good()), is_lesson=True)
    assert [complaint for rule in RULES for complaint in rule(notebook)] == []


@pytest.mark.parametrize(("rule", "spoil"), SPOILED, ids=[rule.__name__ for rule, _ in SPOILED])
def test_each_rule_can_fail(rule: Rule, spoil: Callable[[dict[str, Any]], None]) -> None:
    raw = good()
    spoil(raw)
    complaints = rule(Notebook(written(raw), is_lesson=True))
    assert complaints and all(complaints)


def test_each_rule_is_tried() -> None:
    assert {rule for rule, _ in SPOILED} == set(RULES)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_explorers_are_pictures_in_the_file_and_in_its_html(path: Path) -> None:
    """Where no kernel runs: the raw notebook (as GitHub shows it) and nbconvert's page."""
    cells = [cell for cell in Notebook(path.read_text(encoding="utf-8"), True).code if "cl.widgets.Explorer(" in source(cell)]
    html = nbconvert.HTMLExporter().from_filename(str(path))[0]
    assert cells
    for cell in cells:
        (output,) = cell["outputs"]
        picture = "".join(output["data"][IMAGE])
        image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
        assert image.width > 300 and image.height > 200
        assert max(count for count, _ in image.getcolors(image.width * image.height)) < 0.95 * image.width * image.height
        assert "Interactive when run; controls:" in "".join(output["data"][TEXT])
        assert picture.strip() in html
    assert "Loading widget" not in html


def test_readme_pictures_are_outputs_of_the_lessons():
    readme = (refresh.ROOT / "README.md").read_text(encoding="utf-8")
    shown = 0
    for path in NOTEBOOKS.values():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if "readme" in cell["metadata"].get("tags", []):
                (picture,) = [o["data"]["image/png"] for o in cell["outputs"] if "image/png" in o.get("data", {})]
                file = f"notebooks/pictures/{cell['id']}.png"
                assert f"]({file})" in readme
                assert (refresh.ROOT / file).read_bytes() == base64.b64decode("".join(picture))
                shown += 1
    assert shown == readme.count("](notebooks/pictures/") >= 1


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_readme_promises_the_times_that_the_lesson_does(path: Path):
    """What a lesson took at most, in every environment it was run in, stands in its first cell and in the table."""
    first = source(json.loads(path.read_text(encoding="utf-8"))["cells"][0])
    told = re.search(r"\*Time: (\d+) minutes to read; all cells run in less than (\d+) seconds on a laptop CPU\.", first)
    assert told, "the first cell must say how long it takes to read and to run"
    (row,) = re.findall(rf"\(notebooks/{path.name}\).*", (refresh.ROOT / "README.md").read_text(encoding="utf-8"))
    assert row.endswith(f" | {told[1]} min | {told[2]} s |")
