"""Ours beside the published: means, errors, and when the two agree."""

import math
from dataclasses import replace

import pytest
from small_table import TABLE

from cl_teach.reproduce import TABLES, Key, Published, Row, compare


def rows(column, method, strength, *accuracies):
    return [
        Row(Key(column, method, strength, seed), ((0.1,), (a - 0.1, a + 0.1)), 1.0, "", TABLE.settings)
        for seed, a in enumerate(accuracies, start=1)
    ]


def compared(published, *accuracies):
    table = replace(TABLE, published={("early", "EWC"): published})
    (cell,) = compare(table, rows("early", "EWC", 1.0, *accuracies))
    return cell


def test_a_cell_has_the_mean_of_the_last_accuracies_and_its_standard_error():
    cell = compared(Published(0.6, 0.01, 10), 0.5, 0.6, 0.7, 0.8)
    assert math.isclose(cell.mean, 0.65) and cell.n == 4 and cell.strength == 1.0
    assert math.isclose(cell.error, math.sqrt((0.15**2 + 0.05**2) * 2 / 3 / 4))
    assert cell.accuracies == (0.5, 0.6, 0.7, 0.8)
    assert compared(Published(0.6, 0.01, 10), 0.7, 0.5, 0.6).accuracies == (0.7, 0.5, 0.6)
    assert math.isnan(compared(Published(0.6, 0.01, 10), 0.5).error)
    shuffled = [row for i in (2, 0, 1) for row in [rows("early", "EWC", 1.0, 0.5, 0.6, 0.7)[i]]]
    assert compare(TABLE, shuffled)[0].accuracies == (0.5, 0.6, 0.7)  # in the order of the seeds


def test_the_best_strength_is_that_of_the_highest_mean_among_those_with_most_seeds():
    found = [*rows("early", "EWC", 1.0, 0.5, 0.9), *rows("early", "EWC", 100.0, 0.75, 0.7), *rows("early", "EWC", 1e13, 0.95)]
    found += rows("late", "L2", 0.02, 0.1)
    cells = compare(TABLE, found)
    assert [(c.column, c.method, c.strength) for c in cells] == [("early", "EWC", 100.0), ("late", "L2", 0.02)]
    assert compare(TABLE, [*rows("early", "EWC", 1.0, 0.6), *rows("early", "EWC", 100.0, 0.5)])[0].strength == 1.0
    assert math.isclose(cells[0].mean, 0.725) and cells[0].published == TABLE.published["early", "EWC"]


@pytest.mark.parametrize(
    ("published", "accuracies", "agrees"),
    [
        (Published(0.70, 0.0, 9), [0.7099, 0.7099], True),  # within a point
        (Published(0.70, 0.0, 9), [0.7101, 0.7101], False),
        (Published(0.70, 0.02, 9), [0.739, 0.739], True),  # within two errors, all of them the paper's
        (Published(0.70, 0.02, 9), [0.741, 0.741], False),
        (Published(0.70, 0.03, 9), [0.60 - 0.04, 0.60 + 0.04], True),  # error of ours .04, so 2 x .05
        (Published(0.70, 0.03, 9), [0.598 - 0.04, 0.598 + 0.04], False),
        (Published(0.70, 0.02, 9), [0.735], True),  # one seed: only the paper's error is known
        (Published(0.70, 0.02, 9), [0.745], False),
    ],
)
def test_they_agree_within_two_combined_errors_or_one_point(published, accuracies, agrees):
    assert compared(published, *accuracies).agrees is agrees


def test_a_cell_without_a_published_number_neither_agrees_nor_differs():
    cell = compared(None, 0.5, 0.6)
    assert cell.published is None and cell.agrees is None and math.isclose(cell.mean, 0.55)


def test_units_are_all_strengths_of_a_method_and_a_seed():
    units = TABLE.units([4, 2])
    assert len(units) == 6 and sum(map(len, units)) == 12
    assert units[1] == [Key("early", "EWC", s, 4) for s in (1.0, 100.0, 1e13)]
    assert {key.seed for unit in units for key in unit} == {4, 2}


def test_settings_change_with_what_the_results_depend_on():
    others = [
        replace(TABLE, n_train=7),
        replace(TABLE, name="other"),
        replace(TABLE, protocols={**TABLE.protocols, "late": replace(TABLE.protocols["late"], lr=0.02)}),
        TABLE.small(),
    ]
    assert len({table.settings for table in [TABLE, *others]}) == 5
    assert replace(TABLE, seeds=(5,), strengths={}).settings == TABLE.settings  # more runs of the same kind


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_small_table_is_the_same_with_fewer_images_and_steps(name):
    table = TABLES[name]
    small = table.small(n_train=500, steps=7, seeds=[3])
    usual = table.small()
    assert (usual.n_train, usual.seeds) == (2_000, (1,)) and {p.steps for p in usual.protocols.values()} == {100}
    assert (small.n_train, small.seeds) == (500, (3,)) and small.published == table.published
    assert small.strengths == table.strengths
    for column, protocol in small.protocols.items():
        assert protocol == replace(table.protocols[column], steps=7, double=True)


SEEDS = {"hsu_2018": 10, "van_de_ven_2025": 5}  # 3 elsewhere
RUNS = {"hsu_2018": {10}, "van_de_ven_2025": {30}, "adam_forms": {30}}  # of the published cells; elsewhere one, or unknown


@pytest.mark.parametrize("name", sorted(TABLES))
def test_each_cell_of_a_table_can_be_run(name):
    table = TABLES[name]
    assert table.name == name and len(set(table.seeds)) == len(table.seeds) == SEEDS.get(name, 3)
    assert set(table.strengths) == set(table.published)
    assert {cell.n for cell in table.published.values() if cell} == RUNS.get(name, {1} if name == "avalanche" else set())
    for (column, method), published in table.published.items():
        assert column in table.protocols
        assert published is None or (0 < published.mean < 1 and 0 <= published.error < 0.03)
        assert (table.penalty(column, method, 1) is None) == (method in ("none", "SGD"))
        assert table.strengths[column, method] and min(table.strengths[column, method]) >= 0


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            rows("late", "EWC", 7.0, 0.99),
            r"rows must hold runs of small with the settings \w+, got Key\(column='late', method='EWC'",
        ),
        ([rows("early", "EWC", 1.0, 0.5)[0]] * 2, r"each run once, got Key\(column='early', .*seed=1\) more than once"),
        ([replace(rows("early", "EWC", 1.0, 0.5)[0], settings="0123")], r"got Key\(column='early'.* with 0123$"),
    ],
)
def test_runs_of_another_table_of_other_settings_or_counted_twice_are_refused(found, words):
    with pytest.raises(ValueError, match=words):
        compare(TABLE, [*rows("early", "EWC", 100.0, 0.6), *found])
