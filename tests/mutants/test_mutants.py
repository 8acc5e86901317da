"""The tool that asks whether tests see: what it changes, what it leaves alone, and what it says of a weak test."""

import json
import re
from pathlib import Path

import pytest
import run
from mutate import Mutant, mutants

PACKAGE = Path(run.__file__).parents[2] / "cl_teach"


def changed(source: str, **declared: list[str]) -> dict[str, str]:
    """What is changed in words -> the line of ``source`` that is then another one."""
    found: dict[str, str] = {}
    for m in mutants("m.py", source, **declared):
        lines = zip(source.splitlines(), m.mutated.decode().splitlines(), strict=True)
        (found[m.change],) = [new.strip() for old, new in lines if old != new]
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a + b * c", {"+ -> -: a + b * c": "return (a - b * c)", "* -> /: b * c": "return a + (b / c)"}),
        ("return a < b", {"< -> <=: a < b": "return (a <= b)"}),
        ("return not a", {"drop not: not a": "return (a)"}),
        ("return -a", {"drop -: -a": "return (a)"}),
        ("return a and b", {"and -> or: a and b": "return (a or b)", "drop a: a and b": "return (b)",
                            "drop b: a and b": "return (a)"}),
        ("return a if b else c", {"negate: b": "return a if (not b) else c"}),
        ("return [x for x in a if b(x)]", {"negate: b(x)": "return [x for x in a if (not b(x))]"}),
        ("return a[0], a[-1]", {"0 -> 1": "return a[(1)], a[-1]", "0 -> -1": "return a[(-1)], a[-1]",
                                "-1 -> 0": "return a[0], a[(0)]", "-1 -> -2": "return a[0], a[(-2)]"}),
        ("return 0.25, 64, True", {"0.25 -> 0.5": "return (0.5), 64, True", "64 -> 128": "return 0.25, (128), True",
                                   "True -> False": "return 0.25, 64, (False)"}),
        ("return min(a, b)", {"min -> max: min(a, b)": "return (max(a, b))", "drop b: min(a, b)": "return (min(a))"}),
        ("return f(a, b)", {"drop b: f(a, b)": "return (f(a))", "swap a and b: f(a, b)": "return (f(b, a))"}),
        ("return f(a, b=c)", {"drop b=: f(a, b=c)": "return (f(a))"}),
        ("return a.sum(0)", {"drop 0: a.sum(0)": "return (a.sum())", "sum -> mean: a.sum(0)": "return (a.mean(0))",
                             "0 -> 1": "return a.sum((1))", "0 -> -1": "return a.sum((-1))"}),
        ("f(a)", {"drop: f(a)": "pass"}),
        ("a.b = c", {"drop: a.b = c": "pass"}),
        ("a += b", {"drop: a += b": "pass", "+ -> -: a += b": "a -= b"}),
        ("raise ValueError(f'{1 + 2}')", {"drop: raise ValueError(f'{1 + 2}')": "pass"}),
        ("with a(b): c = d", {"without the block of: a(b)": "with (__import__('contextlib').nullcontext()): c = d"}),
        ("return f'é {a - b} {c}'", {"- -> +: a - b": "return f'é {a + b} {c}'"}),
        ("return 'é', 3.0", {"3.0 -> 6.0": "return 'é', (6.0)"}),
        ("return a != a != a", {"!= -> ==: a != a != a": "return (a == a != a)",
                                "!= -> ==: a != a != a (place 2)": "return (a != a == a)"}),
        ("x = y", {}),
        ("assert a == 1", {}),
        ("'a text about 1 + 1'", {}),
        ("x: Literal[1, 2] = y", {}),
        ("return plot(lw=2)", {}),
        ("return {'lw': 2, 'n': 0.5}", {"0.5 -> 1.0": "return {'lw': 2, 'n': (1.0)}"}),
        ("CHUNK = 2**20", {}),
    ],
)  # fmt: skip
def test_a_line_is_changed_as_it_should_be_and_no_further(line: str, expected: dict[str, str]) -> None:
    source = f"def g(a: Literal[1] | None, b: int | None = None, *, c) -> dict[int | str, 1]:\n    {line}\n"
    assert changed(source, taste=["lw"], knobs=["CHUNK"]) == expected


def test_what_is_assigned_to_a_knob_is_left_alone_and_not_where_it_is_used() -> None:
    source = "N, M = 64, 32\nx = 64 + N\ndef size(n): return n + 1\n"
    assert set(changed(source, knobs=["N", "size"])) == {"64 -> 128", "+ -> -: 64 + N"}


def test_names_of_types_defaults_and_what_only_checkers_read() -> None:
    source = "from a import b\nPair = tuple[int, 2] | None\n__all__ = ['a'] + ['b']\nif TYPE_CHECKING:\n    f(1)\n"
    assert changed(source) == {}
    assert changed("class A:\n    def f(n=0.5): ...\n") == {"0.5 -> 1.0": "def f(n=(1.0)): ..."}


def test_a_mutant_is_known_by_its_place_in_words_and_not_by_its_line_number() -> None:
    source = "class A:\n    def f(self, a):\n        return a + 0.5\n"
    first, moved = (mutants("m.py", before + source) for before in ("", "import math\n\n\n"))
    assert [m.key for m in first] == [m.key for m in moved]
    assert first[0].key == ("m.py", "A.f", "return a + 0.5", "+ -> -: a + 0.5")
    assert [str(m) for m in moved] == ["m.py:6 + -> -: a + 0.5", "m.py:6 0.5 -> 1.0"]


def test_the_draw_is_the_same_every_time_and_a_larger_one_holds_the_smaller() -> None:
    every = [Mutant("m.py", i, "f", f"line {i}", "drop", b"") for i in range(300)]
    few, more = run.drawn(every, 20, seed=0), run.drawn(every[::-1], 40, seed=0)
    assert more[:20] == few and run.drawn(every, 20, seed=1) != few
    gone = few[3]
    left = run.drawn([m for m in every if m != gone], 20, seed=0)
    assert left == [m for m in more if m != gone][:20]


def test_every_module_has_quick_tests() -> None:
    project = run.Project(run.ROOT, run.PACKAGE, Path(run.__file__).parent)
    files = {m.file for m in project.mutants()}
    without = [file for file in files if not project.tests_of(file)]
    assert files and not without, f"name the tests of {without} in declared.toml"
    missing = {test for file in files for test in project.tests_of(file) if not (run.ROOT / test).is_file()}
    assert not missing
    assert {*project.declared["tests"]} <= {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert {m.file for m in project.mutants(["figures"])} == {file for file in files if file.startswith("figures/")}
    assert {m.file for m in project.mutants(["fisher", "fast/held.py"])} == {"fisher.py", "fast/held.py"}


def test_what_is_listed_as_equivalent_is_in_the_code_as_it_is_now() -> None:
    project = run.Project(run.ROOT, run.PACKAGE, Path(run.__file__).parent)
    assert project.equivalent.keys() <= {m.key for m in project.mutants()}


SOURCE = """
def share(right, n):
    if n == 0:
        return 0.0
    while right > n:
        right = n
    return right / n
"""
WEAK = """
from tiny import share

def test_share():
    assert 0 <= share(1, 4) <= 1 and share(6, 4) == 1.0
"""
EQUIVALENT = """[[mutant]]
file = "__init__.py"
function = "share"
line = "while right > n:"
change = "> -> >=: right > n"
why = "where they are equal, nothing is changed, but without an end: an example, and a wrong one"
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one function and one weak test."""
    monkeypatch.setattr(run, "LIMIT", 4.0)
    for name, text in {
        "tiny/__init__.py": SOURCE,
        "tests/test_tiny.py": WEAK,
        "tests/mutants/declared.toml": '[tests]\n"__init__.py" = ["test_tiny.py"]\n[knobs]\n[taste]\n',
        "tests/mutants/equivalent.toml": EQUIVALENT,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def ran(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = run.main(options, run.Project(root, "tiny", root / "tests" / "mutants"))
    return code, capsys.readouterr().out


def test_what_a_weak_test_misses_is_reported_and_what_it_sees_is_counted(
    tiny: Path, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    results = tmp_path_factory.mktemp("results") / "results"
    code, said = ran(tiny, capsys, "--results", str(results))
    survivors = re.findall("^SURVIVED (.*) \\(", said, re.MULTILINE)
    assert code == 0 and "are possible, 1 of them equivalent;" in said
    assert "__init__.py:3 == -> !=: n == 0" not in survivors  # share(1, 4) is 0 then, but share(6, 4) too
    assert "__init__.py:7 / -> *: right / n" not in survivors
    assert "__init__.py:4 0.0 -> 1.0" in survivors  # nobody asks for n == 0
    assert f"{len(re.findall('^caught', said, re.MULTILINE))} of {len(results.read_text().splitlines())} caught" in said
    assert 'line = "return 0.0"\nchange = "0.0 -> 1.0"' in said  # ready for the list of equivalents

    again, known = ran(tiny, capsys, "--results", str(results))  # all is known now
    assert (
        again == 0 and "pass on what is not mutated" not in known and said[said.index("\n\n") :] == known[known.index("\n\n") :]
    )
    assert (tiny / "tiny/__init__.py").read_text() == SOURCE and not list(tiny.rglob("__pycache__"))

    (tiny / "tests/test_tiny.py").write_text(WEAK + "    assert share(0, 0) == 0\n")
    _, said = ran(tiny, capsys, "--results", str(results), "--again")
    assert "caught __init__.py:4 0.0 -> 1.0" in said and "SURVIVED __init__.py:4 0.0 -> 1.0" not in said
    assert len(re.findall("^(?:caught|SURVIVED)", said, re.MULTILINE)) == len(survivors)
    assert not [r for r in map(json.loads, results.read_text().splitlines()[-1:]) if r["key"][0] != "__init__.py"]


def test_an_endless_mutant_is_caught(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ran(tiny, capsys, "--only", "negate: right > n", "--at-least", "1")
    assert code == 0 and "1 of 1 caught" in said


def test_too_few_caught_a_stale_entry_and_a_failing_test_are_failures(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(tiny, capsys, "--only", "4 0.0 -> 1.0", "--at-least", "1")[0] == 1
    (tiny / "tests/mutants/equivalent.toml").write_text(EQUIVALENT.replace("while right > n", "while right > 7"))
    _, said = ran(tiny, capsys, "--list")
    assert "lists what is there no more: __init__.py | share | while right > 7: | > -> >=: right > n" in said
    code, said = ran(tiny, capsys, "--only", "7 / -> *")
    assert code == 1 and "1 of 1 caught" in said and "This is a failure whatever was caught: 1 in equivalent.toml" in said
    (tiny / "tests/test_tiny.py").write_text("def test_tiny():\n    assert False\n")
    with pytest.raises(SystemExit, match=r"tests/test_tiny\.py fails on what is not mutated"):
        ran(tiny, capsys, "--only", "7 / -> *")
