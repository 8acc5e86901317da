"""The results that come with the package: whole, of the tables' settings, and what the README says of them."""

import math
import statistics
from pathlib import Path

import pytest

from cl_teach.reproduce import RESULTS, TABLES, compare, read

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_run_of_a_table_is_there(name):
    table = TABLES[name]
    rows = read(table)
    assert {row.key for row in rows} == {key for unit in table.units(table.seeds) for key in unit}
    assert len({row.key for row in rows}) == len(rows)
    for row in rows:
        assert [len(line) for line in row.accuracies] == list(range(1, len(row.accuracies) + 1))
        assert row.seconds > 0 and row.where.startswith("cpu (1 thread), Python 3.")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_readme_says_what_came_out(name):
    table = TABLES[name]
    rows = read(table)
    cells = [cell for cell in compare(table, rows) if cell.published]
    agree = f"{sum(bool(cell.agrees) for cell in cells)} of {len(cells)}" if cells else "no numbers published"
    seconds = statistics.median(row.seconds for row in rows)
    (line,) = [line for line in README.splitlines() if line.startswith(f"| [`{name}`]")]
    assert line.endswith(f"| {len(rows)} | {len(table.seeds)} | {agree} | {seconds:.0f} s |")


def test_of_the_two_tables_nine_cells_in_ten_agree():
    cells = [cell for name in ("van_de_ven_2025", "hsu_2018") for cell in compare(TABLES[name], read(TABLES[name]))]
    assert len(cells) == 21 and min(cell.n for cell in cells) >= 5
    assert sum(bool(cell.agrees) for cell in cells) >= 0.9 * 21


def test_around_each_best_strength_of_the_first_table_the_decades_were_tried():
    table = TABLES["van_de_ven_2025"]
    for cell in compare(table, read(table)):
        grid = table.strengths[cell.column, cell.method]
        if cell.method != "none":
            assert {round(math.log10(s / cell.strength)) for s in grid if s != cell.strength} >= {-1, 1}, cell


def test_at_a_strength_that_suits_the_exact_fisher_three_others_hold_as_little_as_the_readme_says():
    table = TABLES["van_de_ven_2025"]
    at = {cell.method: cell.mean for cell in compare(table, [row for row in read(table) if row.key.strength in (0, 1e4)])}
    assert f"{at['EXACT']:.0%}" == "98%" and at["none"] == pytest.approx(0.85, abs=0.01)
    assert [at[method] for method in ("SAMPLE", "EMPIRICAL", "BATCHED (128)")] == [pytest.approx(0.85, abs=0.01)] * 3
    assert "At λ = 10⁴, where EWC with the exact Fisher has 98 %" in README and "about what no penalty has, 85 %" in README


def test_nothing_else_lies_among_the_results():
    assert {path.name for path in RESULTS.iterdir()} - {".gitignore"} == {f"{name}.csv" for name in TABLES}
