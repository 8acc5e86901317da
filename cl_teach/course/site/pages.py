"""A notebook as one page that needs no network: our template, formulas as MathML, links that stay within the site."""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Collection
from html import escape, unescape
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from .formulas import mathml

HERE = Path(__file__).parent
FRONT, TEACHERS = "index.ipynb", "README.md"  # pages too: one that is made, one that lies beside the notebooks


class Way(NamedTuple):
    """Where a page stands in the site, all in addresses from the notebooks' folder."""

    source: str  # "05_....ipynb", "solutions/05_....ipynb", or "README.md"
    sources: Collection[str]  # of all pages
    before: tuple[str, str] | None = None  # the source and the title of a neighbour
    after: tuple[str, str] | None = None


def address(source: str) -> str:
    """The page of a notebook or a text."""
    return "teachers.html" if source == TEACHERS else str(Path(source).with_suffix(".html").as_posix())


def page(notebook: NotebookNode, title: str, way: Way, folder: Path, made_from: str = "") -> str:
    """The HTML of one page.

    Args:
        notebook: its cells, and their outputs as they are to be shown.
        title: for the browser's window.
        way: where the page stands.
        folder: of the notebooks, where pictures that texts show are found.
        made_from: kept in the page, to know one day whether it is still right.

    Raises:
        ValueError: a formula that cannot be drawn, or a picture without a file or without words.
    """
    root = posixpath.relpath(".", posixpath.dirname(way.source) or ".") + "/"
    resources = {
        "title": title,
        "root": "" if root == "./" else root,
        "made_from": made_from,
        "front": way.source == FRONT,
        "before": way.before and (_relative(address(way.before[0]), way.source), way.before[1]),
        "after": way.after and (_relative(address(way.after[0]), way.source), way.after[1]),
    }
    return str(_Exporter(way, folder).from_notebook_node(notebook, resources)[0])


def slug(heading: str) -> str:
    """The name by which links find a heading, made as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"<.*?>", "", heading).lower()).strip().replace(" ", "-")


class _Exporter(HTMLExporter):
    def __init__(self, way: Way, folder: Path) -> None:
        super().__init__(template_file=str(HERE / "page.html.j2"))  # type: ignore[no-untyped-call]
        self._way, self._folder = way, folder
        self._slugs: dict[str, int] = {}

    @pass_context
    def markdown2html(self, _context: Any, source: str) -> str:
        return str(MarkdownWithMath(renderer=_Renderer(self._way, self._folder, self._slugs)).render(source))


class _Renderer(IPythonRenderer):
    def __init__(self, way: Way, folder: Path, slugs: dict[str, int]) -> None:
        super().__init__(escape=False)
        self._way, self._folder, self._slugs = way, folder, slugs

    def block_math(self, body: str) -> str:
        return f'<div class="wide formula">{mathml(body, block=True)}</div>'

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def heading(self, text: str, level: int, **_attributes: Any) -> str:
        name = slug(text)
        again = self._slugs[name] = self._slugs.get(name, -1) + 1
        return f'<h{level} id="{name}-{again}">{text}</h{level}>\n' if again else f'<h{level} id="{name}">{text}</h{level}>\n'

    def table(self, text: str) -> str:
        return f'<div class="wide"><table>\n{text}</table></div>\n'

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        name = "th" if head and text else "td"  # an empty corner heads nothing
        return f"<{name}>{text}</{name}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """To the page of a notebook where the text has the notebook; what is not on the site stays as words."""
        if re.match(r"(https?|mailto):|#", url):
            return str(super().link(text, url, title))
        path, _, part = url.partition("#")
        source = posixpath.normpath(posixpath.join(posixpath.dirname(self._way.source), path))
        if source not in self._way.sources:
            return text
        return f'<a href="{escape(_relative(address(source), self._way.source) + (f"#{part}" if part else ""))}">{text}</a>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """With the picture in the page, as those of cells are."""
        path = self._folder / posixpath.dirname(self._way.source) / url
        if not text:
            raise ValueError(f"picture {url} needs words for those who do not see it: ![words]({url})")
        if not path.is_file():
            raise ValueError(f"picture {url} is not there: {path}")
        data = base64.b64encode(path.read_bytes()).decode()
        return f'<img src="data:image/{path.suffix.removeprefix(".")};base64,{data}" alt="{escape(unescape(text))}">'


def _relative(target: str, source: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(source) or ".")
