"""A notebook as a page: links, headings, formulas, pictures, and the frame around them."""

import base64
import io
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from cl_teach.course.site.pages import Way, address, page, slug

SOURCES = ("01_one.ipynb", "02_two.ipynb", "solutions/01_one.ipynb", "README.md")
NOWHERE = Path("nowhere")
CODE, TEXT = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell


def made(*cells, source: str = "01_one.ipynb", folder: Path = NOWHERE, **way) -> BeautifulSoup:
    notebook = nbformat.v4.new_notebook(cells=[TEXT(cell) if isinstance(cell, str) else cell for cell in cells])
    html = page(notebook, "1. One & only", Way(source, SOURCES, **way), folder, made_from="abc")
    return BeautifulSoup(html, features="html.parser")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("01_one.ipynb", "02_two.ipynb", "02_two.html"),
        ("01_one.ipynb", "02_two.ipynb#how-fast", "02_two.html#how-fast"),
        ("01_one.ipynb", "README.md#5-symbols", "teachers.html#5-symbols"),
        ("01_one.ipynb", "solutions/01_one.ipynb", "solutions/01_one.html"),
        ("solutions/01_one.ipynb", "../02_two.ipynb", "../02_two.html"),
        ("solutions/01_one.ipynb", "01_one.ipynb", "01_one.html"),
        ("README.md", "01_one.ipynb", "01_one.html"),
        ("01_one.ipynb", "#here", "#here"),
        ("01_one.ipynb", "https://arxiv.org/abs/1612.00796", "https://arxiv.org/abs/1612.00796"),
    ],
)
def test_links_lead_to_pages(source, link, expected):
    (found,) = made(f"see [there]({link})", source=source).main.find_all("a")
    assert found["href"] == expected and found.text == "there"


@pytest.mark.parametrize("link", ["../README.md#open-the-course", "../cl_teach/penalties.py", "solutions", "03_three.ipynb"])
def test_what_is_not_on_the_site_stays_as_words(link):
    paragraph = made(f"see [there]({link}).").main.p
    assert paragraph.text == "see there." and paragraph.find("a") is None


def test_headings_are_found_as_on_github():
    assert slug("5. Symbols & <em>Words</em>, a_b: what’s λ-dash") == "5-symbols--words-a_b-whats-λ-dash"
    ids = [h["id"] for h in made("# 1. One\n\n## How *fast*?\n\n## How fast?", "## How fast?").main.find_all(["h1", "h2"])]
    assert ids == ["1-one", "how-fast", "how-fast-1", "how-fast-2"]


def test_formulas_are_mathml():
    main = made("where $d_t$ is\n\n$$ \\frac{a}{b} $$\n\nin all").main
    inline, block = main.find_all("math")
    assert inline["display"] == "inline" and inline.parent.name == "p" and inline.msub.text == "dt"
    assert block["display"] == "block" and block.mfrac.text == "ab" and "wide" in block.parent["class"]
    assert "$" not in main.text
    with pytest.raises(ValueError, match=r"formula has \\foo"):
        made(r"a $\foo$")


def test_tables_scroll_and_an_empty_corner_heads_nothing():
    table = made("| | L2 |\n|---|---|\n| A | 1 |").main.table
    assert table.parent["class"] == ["wide"]
    assert [cell.name for cell in table.find_all(["th", "td"])] == ["td", "th", "td", "td"]


def test_pictures_of_texts_are_in_the_page(tmp_path):
    (tmp_path / "solutions").mkdir()
    (tmp_path / "red.png").write_bytes(png())
    image = made('![a "red" field](../red.png)', source="solutions/01_one.ipynb", folder=tmp_path).main.img
    assert image["alt"] == 'a "red" field' and base64.b64decode(image["src"].split(",")[1]) == png()
    assert image["src"].startswith("data:image/png;base64,")
    with pytest.raises(ValueError, match=r"picture red.png needs words"):
        made("![](red.png)", folder=tmp_path)
    with pytest.raises(ValueError, match=r"picture blue.png is not there"):
        made("![blue](blue.png)", folder=tmp_path)


def test_what_cells_gave_is_shown_once():
    picture = {"image/png": base64.encodebytes(png()).decode(), "text/plain": 'A <small> "red" field.'}
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="printed <b>\n"),
        nbformat.v4.new_output("display_data", picture),
        nbformat.v4.new_output("execute_result", {**picture}),
        nbformat.v4.new_output("execute_result", {"text/plain": "42"}),
        nbformat.v4.new_output("display_data", {"text/html": '<figure class="explorer"></figure>', "text/plain": "words"}),
    ]
    main = made(CODE("x = 1  # <i>", id="the-cell", outputs=outputs)).main
    assert main.find(id="the-cell") is not None and main.find(class_="highlight").pre.text.strip() == "x = 1  # <i>"
    assert [pre.text for pre in main.find_all("pre", class_="printed")] == ["printed <b>\n", "42"]
    assert [(i["alt"], base64.b64decode(i["src"].split(",")[1])) for i in main.find_all("img")] == [
        ('A <small> "red" field.', png())
    ] * 2
    assert len(main.find_all("figure")) == 1 and "words" not in main.text


def test_the_set_up_is_folded_and_nothing_else():
    main = made(CODE("cl.setup()", outputs=[nbformat.v4.new_output("stream", text="ready")]), CODE("cl.train()")).main
    assert [d.pre.text.strip() for d in main.find_all("details")] == ["cl.setup()"]
    assert main.find(class_="printed").find_parent("details") is None


def test_the_frame_of_a_page():
    whole = made("# One", before=("README.md", "Before"), after=("solutions/01_one.ipynb", "A & B"))
    assert whole.html["lang"] == "en" and whole.title.text == "1. One & only"
    assert whole.find("meta", attrs={"name": "made-from"})["content"] == "abc"
    assert whole.find("meta", attrs={"name": "viewport"})["content"] == "width=device-width, initial-scale=1"
    assert len(whole.find_all("main")) == 1 and whole.find("a", class_="skip")["href"] == f"#{whole.main['id']}"
    assert [nav["aria-label"] for nav in whole.find_all("nav")] == ["Course", "Lessons before and after"]
    assert [(a["href"], a.text) for a in whole.footer.find_all("a")] == [
        ("teachers.html", "← Before"),
        ("solutions/01_one.html", "A & B →"),
    ]
    assert whole.header.a["href"] == "index.html"
    assert made("# First").footer is None
    assert made("# Front", source="index.ipynb").header is None
    inner = made("# One", source="solutions/01_one.ipynb", before=("01_one.ipynb", "Before"))
    assert inner.header.a["href"] == "../index.html" and inner.footer.a["href"] == "../01_one.html"


@pytest.mark.parametrize(("source", "root"), [("01_one.ipynb", ""), ("solutions/01_one.ipynb", "../")])
def test_nothing_comes_from_elsewhere(source, root):
    whole = made("# One\n\n$x$\n\n```python\nx = 1\n```", CODE("x = 1"), source=source)
    loaded = [tag.get("src") or tag.get("href") for tag in whole.find_all(["script", "link", "img", "iframe"])]
    assert loaded == ["data:,", f"{root}page.css", f"{root}page.js"]


def test_addresses():
    assert [address(s) for s in SOURCES] == ["01_one.html", "02_two.html", "solutions/01_one.html", "teachers.html"]
    assert address("index.ipynb") == "index.html"
