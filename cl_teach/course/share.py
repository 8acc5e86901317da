"""Lessons for people who have no clone of the repository: notebooks that stand alone, or that install cl_teach themselves.

$ python -m cl_teach.course.share build OUT               # notebooks that carry the package's code, and OUT/mnist.zip
$ python -m cl_teach.course.share build OUT 01_catastrophic_forgetting.ipynb  # only this one
$ python -m cl_teach.course.share address                 # set-up cells and badges of notebooks/ as the address says

The address is that of the project's repository: ``Repository`` under ``[project.urls]`` in pyproject.toml, or the environment
variable CL_TEACH_ADDRESS. While there is none, set-up cells install nothing. With one, ``address`` also writes the wheel that
they will install to dist/. Publish it under the address, as the file releases/download/v<version>/<wheel>, from the tag
v<version>, which holds the notebooks as they now are. A hash in each set-up cell pins its bytes. No package index is asked,
since the name cl_teach is not ours there.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import tomllib
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import _mnist, _whole_file

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./|solutions/)?\w+\.(?:ipynb|md))(#[\w-]*)?\)")  # to a file of the course
WEB_ADDRESS = r"https://[\w.-]+(?:/[\w.-]+)+|http://127\.0\.0\.1:\d+(?:/[\w.-]+)*"  # the second for tests
EPOCH = "315619200"  # 2 January 1980: the time of every file in the wheel, so that the same files give the same bytes
Notebook = dict[str, Any]

PLAIN = """\
import importlib.util
import time

if importlib.util.find_spec("cl_teach") is None:
    time.sleep(1)  # the cells below are queued meanwhile, and stop with this one
    raise RuntimeError(
        "The package cl_teach is not here. Take a self-contained copy of this lesson "
        "(README, 'In Colab'), or install it in a clone (README, 'Open the course')."
    )
import cl_teach as cl

cl.setup()"""

INSTALLING = """\
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("cl_teach") is None:  # then install it, and nothing else
{wheel}
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", wheel]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("cl_teach could not be installed: " + done.stderr)
import cl_teach as cl

cl.setup()"""

UNPACKED = """\
import cl_teach as cl  # it was unpacked by the cell above, which is folded

cl.setup()"""


def address() -> str | None:
    """Of the project's repository, or None if none is set.

    Raises:
        ValueError: it cannot be an address.
    """
    found = os.environ.get("CL_TEACH_ADDRESS") or _project().get("urls", {}).get("Repository")
    if found and not re.fullmatch(WEB_ADDRESS, found):
        raise ValueError(f"address must be like https://host/owner/name, without a slash at the end, got {found!r}")
    return str(found) if found else None


def version() -> str:
    return str(_project()["version"])


def _project() -> dict[str, Any]:
    if not (ROOT / "pyproject.toml").is_file():
        raise ValueError("this command needs a clone of the repository: here are no notebooks")
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def notebooks() -> list[Path]:
    found = sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "notebooks/solutions").glob("*.ipynb"))
    return [path.relative_to(ROOT / "notebooks") for path in found]


def setup_cell(where: str | None, sha256: str = "") -> str:
    """The first code cell of every notebook of the repository."""
    if where is None:
        return PLAIN
    url = f"{where}/releases/download/v{version()}/"
    pieces = [*textwrap.wrap(url, 70, break_on_hyphens=False), f"cl_teach-{version()}-py3-none-any.whl#sha256=", sha256]
    lines = [f'    wheel {"=" if i == 0 else "+="} "{piece}"' for i, piece in enumerate(pieces)]
    return INSTALLING.format(wheel="\n".join(lines))


def badges(where: str, path: Path) -> str:
    """A line of buttons that open this notebook elsewhere, and of links to its neighbours there."""
    binder = re.sub(r"^https://github\.com/", "gh/", where)
    binder = binder if binder.startswith("gh/") else f"git/{quote(where, safe='')}"
    target = f"https://mybinder.org/v2/{binder}/v{version()}?labpath={quote(f'notebooks/{path.as_posix()}', safe='')}"
    line = f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({target})"
    if not where.startswith("https://github.com/"):
        return line
    lessons = [name for name in notebooks() if name.parent == Path()]
    place = lessons.index(Path(path.name))
    near = {"lesson": lessons[place], "solutions": Path("solutions") / path.name}
    near |= {"previous lesson": lessons[place - 1]} if place > 0 else {}
    near |= {"next lesson": lessons[place + 1]} if place + 1 < len(lessons) else {}
    links = [f"[{words}]({online(where, name)})" for words, name in near.items() if name != path]
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({online(where, path)})"
    return f"{badge} {line}\n\nIn Colab: {', '.join(links)}."


def online(where: str, path: Path) -> str:
    """Where this file of notebooks/ is opened: notebooks in Colab if it can, else as a page of the repository."""
    blob = f"{where}/blob/v{version()}/{os.path.normpath(f'notebooks/{path.as_posix()}')}".replace(os.sep, "/")
    if path.suffix == ".ipynb" and where.startswith("https://github.com/"):
        return blob.replace("https://github.com/", "https://colab.research.google.com/github/")
    return blob


def with_address(notebook: Notebook, path: Path, where: str | None, sha256: str = "") -> Notebook:
    """The notebook with the set-up cell and the badges that belong to this address; everything else as it was."""
    cells = [cell for cell in notebook["cells"] if cell.get("id") != "badges"]
    place = _place_of_setup(cells, path)
    cells[place] = {**cells[place], "source": _lines(setup_cell(where, sha256))}
    if where is not None:
        source = _lines(badges(where, path))
        cells.insert(1, {"cell_type": "markdown", "id": "badges", "metadata": {}, "source": source})
    return {**notebook, "cells": cells}


def self_contained(notebook: Notebook, path: Path, archive: bytes, where: str | None, built: set[Path]) -> Notebook:
    """The notebook with the package in a folded cell; links to what was not built lead to the address, or become words."""
    cells = [cell for cell in notebook["cells"] if cell.get("id") != "badges"]
    for i, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            cells[i] = {**cell, "source": _lines(LINK.sub(lambda found: _relinked(found, path, where, built), _text(cell)))}
    place = _place_of_setup(cells, path)
    cells[place] = {**cells[place], "source": _lines(UNPACKED)}
    cells.insert(place, _package_cell(archive))
    return {**notebook, "cells": cells}


def _relinked(found: re.Match[str], path: Path, where: str | None, built: set[Path]) -> str:
    words, target, anchor = found.groups()
    name = Path(os.path.normpath(path.parent / target))
    if where is not None:
        return f"[{words}]({online(where, name)}{anchor or ''})"
    return found[0] if name in built else words


def _package_cell(archive: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(archive).hexdigest()
    text = base64.b85encode(archive).decode()  # without quotes and backslashes
    packed = "\n".join(text[i : i + 88] for i in range(0, len(text), 88))
    title = '# @title The package cl_teach, packed { display-mode: "form" }'
    call = f'SHA256 = "{sha256}"\nunpack_cl_teach("cl_teach-{version()}-{sha256[:8]}", PACKED, SHA256)'
    source = f'{title}\n{inspect.getsource(unpack_cl_teach)}\n\nPACKED = """\n{packed}\n"""\n{call}\n'
    metadata = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["nbval-ignore-output"]}
    return {
        "cell_type": "code", "execution_count": None, "id": "package", "metadata": metadata, "outputs": [],
        "source": _lines(source.rstrip("\n")),
    }  # fmt: skip


# As it stands, this function is the first cell of a self-contained notebook: it can use nothing from outside, and its lines
# are short.
def unpack_cl_teach(name: str, packed: str, sha256: str) -> None:
    """Unpack the package into a folder beside this notebook, unless it is there."""
    import base64
    import hashlib
    import io
    import sys
    import tarfile
    import tempfile
    from pathlib import Path

    archive = base64.b85decode("".join(packed.split()))
    if hashlib.sha256(archive).hexdigest() != sha256:
        raise RuntimeError("This cell is damaged. Please get the notebook once more.")
    folder = Path.cwd() / name
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        if not folder.exists():
            try:  # under another name first: what has the final name is whole
                with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".new-") as new:
                    tar.extractall(Path(new, name), filter="data")
                    Path(new, name).rename(folder)
            except OSError:  # it cannot be made here, or another notebook was first
                if not folder.exists():
                    folder = Path(tempfile.mkdtemp(prefix="cl_teach-")) / name
                    tar.extractall(folder, filter="data")
        for member in tar.getmembers():
            file, content = folder / member.name, tar.extractfile(member)
            if content and not (file.is_file() and file.read_bytes() == content.read()):
                raise RuntimeError(
                    f"{file} is not what this notebook unpacks. Rename the folder "
                    f"{name} to keep it, or delete it; then run this cell again."
                )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    print(f"The code of cl_teach is in the folder {folder.name}, to be read.")


def packed_code() -> bytes:
    """The package without MNIST, and its licence, as tar.xz; the same files give the same bytes."""
    files = {f"cl_teach/{path.relative_to(PACKAGE).as_posix()}": path for path in sorted(PACKAGE.rglob("*.py"))}
    files |= {f"cl_teach/{path.relative_to(PACKAGE).as_posix()}": path for path in sorted(PACKAGE.rglob("results/*.csv"))}
    files |= {"cl_teach/py.typed": PACKAGE / "py.typed", "LICENSE": ROOT / "LICENSE"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as tar:
        for name, path in files.items():
            content = path.read_bytes()
            member = tarfile.TarInfo(name)  # dated 1970, of nobody
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def build(folder: Path, chosen: list[Path]) -> list[Path]:
    """Write self-contained copies of these notebooks of notebooks/, and the data as mnist.zip, into ``folder``.

    Raises:
        ValueError: ``folder`` holds something else under one of these names.
    """
    archive, where, built = packed_code(), address(), set(chosen)
    for target in (folder / path for path in chosen):
        if target.exists() and '"id": "package"' not in target.read_text(encoding="utf-8"):
            raise ValueError(f"OUT must be a folder for copies, but {target} is not one that this command wrote")
    written = [folder / path for path in chosen] + [folder / _mnist.ZIP]
    for path in chosen:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / path, self_contained(_read(ROOT / "notebooks" / path), path, archive, where, built))
    with zipfile.ZipFile(folder / _mnist.ZIP, "w") as data:  # its files are compressed
        for path in sorted((PACKAGE / "data/mnist").iterdir()):
            data.write(path, path.name)
    return written


def build_wheel(folder: Path) -> Path:
    """The package as a wheel; the same files and the same setuptools give the same bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        for path in [*PACKAGE.rglob("*"), *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))]:
            if path.is_file() and "__pycache__" not in path.parts:
                copy = source / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                copy.chmod(0o644)
        pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", temporary, "."]
        done = subprocess.run(
            pip, cwd=source, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"the wheel could not be built: {done.stderr}")
        (wheel,) = Path(temporary).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(wheel, folder / wheel.name))


def write_address() -> list[str]:
    """Bring all notebooks in line with the address; returns what was done, a line each."""
    where, sha256, said = address(), "", []
    if where is None:
        said.append("No address is set ([project.urls] Repository in pyproject.toml): set-up cells will install nothing.")
    else:
        wheel = build_wheel(ROOT / "dist")
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        said.append(f"Publish dist/{wheel.name} as {where}/releases/download/v{version()}/{wheel.name}")
    for path in notebooks():
        before = _read(ROOT / "notebooks" / path)
        after = with_address(before, path, where, sha256)
        if after != before:
            _write(ROOT / "notebooks" / path, after)
            said.append(f"notebooks/{path.as_posix()} changed")
    return said


def _place_of_setup(cells: list[dict[str, Any]], path: Path) -> int:
    for place, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            if _text(cell).startswith(("import", "try:")) and _text(cell).endswith("\ncl.setup()"):
                return place
            break
    raise ValueError(f"notebooks/{path.as_posix()} must begin its code with a set-up cell that ends with cl.setup()")


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _read(path: Path) -> Notebook:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, notebook: Notebook) -> None:
    """As tests/refresh.py does."""
    text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    _whole_file.write(path, text.encode())


def main(arguments: list[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m cl_teach.course.share", description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build")
    builder.add_argument("out", type=Path)
    builder.add_argument("names", nargs="*", type=Path)
    commands.add_parser("address")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "build":
            unknown = [str(name) for name in chosen.names if name not in notebooks()]
            if unknown:
                raise ValueError(f"names must be of files in notebooks/, got {unknown}")
            done = [f"{path} ({path.stat().st_size / 1e3:.0f} kB)" for path in build(chosen.out, chosen.names or notebooks())]
        else:
            done = write_address()
    except (ValueError, RuntimeError) as error:
        sys.exit(str(error))
    print("\n".join(done))


if __name__ == "__main__":
    main()
