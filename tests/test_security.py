"""What SECURITY.md promises, each promise with a test that can fail."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)

DANGEROUS_MODULES = {
    *(
        "pickle",
        "_pickle",
        "cPickle",
        "marshal",
        "shelve",
        "dill",
        "cloudpickle",
        "joblib",
        "dbm",
        "copyreg",
    ),  # run what they read
    *("code", "codeop", "runpy", "pty", "ctypes", "importlib", "pip", "subprocess"),  # run other things
    *("tarfile", "zipfile", "yaml", "xml"),  # write outside their folder, or build what a text asks for
    *("socket", "http", "urllib", "requests", "httpx", "ftplib", "smtplib", "ssl", "webbrowser"),  # reach the network
}
DANGEROUS_CALLS = {
    *("eval", "exec", "compile", "__import__", "breakpoint", "input", "os.system", "os.popen", "tempfile.mktemp"),
    *("import_module", "importlib.import_module", "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter"),
    *("torch.serialization.add_safe_globals", "shutil.unpack_archive", "torch.utils.cpp_extension.load"),
}
DANGEROUS_STARTS = ("os.exec", "os.spawn", "os.posix_spawn", "subprocess.", "pickle.", "marshal.", "urllib.", "requests.")

ALLOWED = {  # (file, what): why it is no danger
    ("cl_teach/__init__.py", "import importlib"): "opens rooms, whose names stand in a table beside it",
    ("cl_teach/__init__.py", "import_module"): "the same",
    ("cl_teach/course/exercises/__init__.py", "import importlib"): "finds the files of exercises in its own folder",
    ("cl_teach/course/exercises/__init__.py", "import_module"): "the same",
    ("cl_teach/_mnist.py", "import http"): "for the name of an error; torchvision downloads",
    (
        "cl_teach/_mnist.py",
        "import zipfile",
    ): "reads four members by name, so much of each at most, and writes none by its name",
    ("cl_teach/course/setup_and_claims.py", "import importlib"): "asks for versions",
    ("cl_teach/course/share.py", "import subprocess"): "builds the wheel, with arguments of its own, not through a shell",
    ("cl_teach/course/share.py", "subprocess.run"): "the same",
    ("cl_teach/course/share.py", "import tarfile"): "unpacks what it packed, of a known SHA-256, with the filter 'data'",
    ("cl_teach/course/share.py", "import urllib"): "quotes a path; opens nothing",
    ("cl_teach/course/share.py", "import zipfile"): "writes one",
    ("cl_teach/course/site/__main__.py", "import importlib"): "asks whether a package is there",
    ("cl_teach/course/site/build.py", "import importlib"): "asks for versions",
    ("cl_teach/_mnist.py", "hashlib.md5"): "the digests that MNIST is known by; who can write the cache can write the package",
}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an expression that is such a name, else something that no name is."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def dangers(text: str, strict: bool = True) -> Iterator[str]:
    """What a program does that could run, write or send what it should not; each in a word or two.

    Lessons need not be ``strict``: they may leave out weights_only, as True is the default of every torch that we allow.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import {name.split('.')[0]}" for name in names if name.split(".")[0] in DANGEROUS_MODULES)
        if isinstance(node, ast.Call):
            name, options = dotted(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
            if name in DANGEROUS_CALLS or name.startswith(DANGEROUS_STARTS):
                yield name
            for option in ("shell", "allow_pickle", "trust_remote_code"):
                if option in options and not is_constant(options[option], False):
                    yield f"{name}({option}=)"
            if (
                name == "torch.load"
                and (strict or "weights_only" in options)
                and not is_constant(options.get("weights_only"), True)
            ):
                yield "torch.load without weights_only=True"
            if name in ("hashlib.md5", "hashlib.sha1"):
                yield name


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_the_package_does_nothing_dangerous() -> None:
    found = {}
    for path in sorted((ROOT / "cl_teach").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        found |= {(name, what): True for what in dangers(path.read_text(encoding="utf-8"))}
    assert set(found) == set(ALLOWED), "what is new needs another way or, with its reason, a line; what is gone needs none"
    assert any("torch.load(" in path.read_text(encoding="utf-8") for path in (ROOT / "cl_teach").rglob("*.py"))


DANGERS = {
    "import pickle": "import pickle",
    "from pickle import loads": "import pickle",
    "import urllib.request as r": "import urllib",
    "torch.load(f)": "torch.load without weights_only=True",
    "torch.load(f, weights_only=False)": "torch.load without weights_only=True",
    "torch.load(f, weights_only=safe)": "torch.load without weights_only=True",
    "torch.jit.load(f)": "torch.jit.load",
    "np.load(f, allow_pickle=True)": "np.load(allow_pickle=)",
    "eval('1')": "eval",
    "x = [exec(c) for c in texts]": "exec",
    "os.system('ls ' + name)": "os.system",
    "os.execv(a, b)": "os.execv",
    "subprocess.run(text, shell=True)": "subprocess.run(shell=)",
    "run(text, shell=yes)": "run(shell=)",
    "def f():\n    import socket": "import socket",
    "tempfile.mktemp()": "tempfile.mktemp",
}


@pytest.mark.parametrize("text", DANGERS)
def test_each_danger_is_seen(text: str) -> None:
    assert DANGERS[text] in dangers(text)


def test_what_is_no_danger_is_none() -> None:
    harmless = (
        "model.eval()\ntorch.load(f, weights_only=True)\nnp.load(f)\njson.load(f)\npenalty.load_state_dict(s)\nre.compile('a')"
    )
    assert [*dangers(harmless)] == []
    assert [*dangers("torch.load(f)", strict=False)] == [] != [*dangers("torch.load(f, weights_only=False)", strict=False)]


def test_torch_refuses_pickles_by_itself_as_lessons_rely_on(tmp_path: Path) -> None:
    torch.save(Path("a class that is no plain type"), tmp_path / "file")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(tmp_path / "file")


# notebooks


def code_cells(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def without_magics(cell: str) -> str:
    """As Python alone can read it; a magic becomes ``pass``."""
    return re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", cell)


def installations(cell: str) -> Iterator[list[str]]:
    """What each line that calls pip gives it, word by word: magics, shell lines, and lists or texts in calls."""
    for line in re.findall(r"(?m)^[ \t]*[%!](.*)$", cell):
        if "pip" in line:
            yield line.split()
    for node in ast.walk(ast.parse(without_magics(cell))):
        if isinstance(node, ast.Call) and not re.search(r"print|Error|Warning|warn|Exception", dotted(node.func)):
            texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            words = [word for text in texts for word in text.split()]
            if "install" in words:
                yield words


def wrong_with(cell: str) -> Iterator[str]:
    """What in a cell's installations could bring in something else than what stands there."""
    for words in installations(cell):
        if "install" not in words:
            continue
        for word, following in zip(words, [*words[1:], ""], strict=True):
            bare = re.fullmatch(r"['\"]?cl[-_.]+teach(\[.*\])?([=<>!~].*)?['\"]?", word, re.I)
            if bare and following != "@":
                yield f"{word}: an index would be asked for it"
            if re.match(
                r"(-f$|-i$|--(find-links|index-url|extra-index-url|pre|upgrade|trusted-host|process-dependency)|-U$)", word
            ):
                yield f"{word}: another place, or another version of what is there"
            if "://" in word and not re.search(r"https://.*(#sha256=[0-9a-f]{64}|@[0-9a-f]{40}\b)", word):
                yield f"{word}: neither https nor pinned"
            if re.search(r"[{$`;|&]", word):
                yield f"{word}: put together by the shell"


def test_set_up_cells_install_from_the_address_shown() -> None:
    assert {path.name: wrong for path in NOTEBOOKS for cell in code_cells(path) if (wrong := [*wrong_with(cell)])} == {}


WRONG = [
    "%pip install --quiet --find-links . cl_teach",
    "if True:\n    %pip install cl_teach",
    "!pip install cl-teach==0.1.0",
    "!python -m pip install 'CL.teach[lab]>=0.1'",
    "%pip install -U cl_teach@https://host/cl_teach.whl#sha256=" + 64 * "0",
    "%pip install https://host/cl_teach-0.1.0-py3-none-any.whl",
    "%pip install http://host/a.whl#sha256=" + 64 * "0",
    "%pip install git+https://host/a/cl_teach@main",
    "%pip install {address}",
    "!pip install a; rm -r b",
    "subprocess.run([sys.executable, '-m', 'pip', 'install', 'cl_teach'])",
    "get_ipython().run_line_magic('pip', 'install -q cl_teach')",
    "os.system('pip install cl_teach')",
]
RIGHT = [
    "%pip install --quiet --no-deps https://host/cl_teach-0.1.0-py3-none-any.whl#sha256=" + 64 * "0",
    "%pip install --no-deps 'cl_teach @ https://host/archive.zip#sha256=" + 64 * "a" + "'",
    "%pip install --no-deps git+https://host/a/cl_teach@" + 40 * "a",
    "%pip install ./cl_teach-0.1.0-py3-none-any.whl",
    "subprocess.run([sys.executable, '-m', 'pip', 'install', '--no-deps', ADDRESS], check=True)",
    "import cl_teach as cl\nprint('install cl_teach by hand')\nraise ImportError('please install cl_teach')",
]


@pytest.mark.parametrize("cell", WRONG)
def test_each_wrong_installation_is_seen(cell: str) -> None:
    assert [*wrong_with(cell)]


@pytest.mark.parametrize("cell", RIGHT)
def test_right_installations_are_let_through(cell: str) -> None:
    assert [*wrong_with(cell)] == []


SETTING_UP = {"import subprocess", "import pip", "import importlib", "subprocess.run", "subprocess.check_call"}


def test_cells_do_nothing_dangerous() -> None:
    """What a learner runs by Run All; in lesson 8 mistakes of public code, but none of this kind. Only set-up may call pip."""
    for path in NOTEBOOKS:
        for i, cell in enumerate(code_cells(path)):
            found = set(dangers(without_magics(cell), strict=False))
            assert found <= (SETTING_UP if i == 0 else set()), f"{path.name}: {cell}"
            shell = re.findall(r"(?m)^[ \t]*(!.*|%%(?:bash|sh|script|system).*|%s(?:ystem|x)\b.*)$", cell)
            assert not shell, f"{path.name}: {shell}"


# the page itself


def test_the_page_is_short_and_each_promise_has_its_test() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = [line for line in page.splitlines() if line.startswith("- ")]
    assert len(promises) >= 5 and len(page.splitlines()) <= 16
    for promise in promises:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", promise)
        assert tests, promise
        for file, name in tests:
            assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"
