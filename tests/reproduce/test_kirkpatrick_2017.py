"""The paper's figures 2A and 2B: what it says of them, and what is ours."""

import torch

import cl_teach as cl
from cl_teach.reproduce.kirkpatrick_2017 import FIGURE_2A, FIGURE_2B, penalty


def test_tasks_are_permutations_and_the_first_is_none():
    whole = cl.mnist(200, None)
    for table, n in ((FIGURE_2A, 3), (FIGURE_2B, 10)):
        (column,) = table.protocols
        found, others = table.tasks(column, 1, 200), table.tasks(column, 2, 200)
        assert len(found) == n and torch.equal(found[0].train.x, whole.train.x)
        assert not torch.equal(found[1].train.x, others[1].train.x)
        for task in found[1:]:
            assert not torch.equal(task.train.x, whole.train.x) and len(task.test) == 10_000
            torch.testing.assert_close(task.train.x.flatten(1).sort(1).values, whole.train.x.flatten(1).sort(1).values)


def test_settings_of_the_paper_where_it_says_them():
    a, b = FIGURE_2A.protocols["2A"], FIGURE_2B.protocols["2B"]
    for protocol in (a, b):
        assert (protocol.optimizer, protocol.lr, protocol.hidden, protocol.n_inputs) == ("sgd", 0.001, (400, 400), 784)
        assert (protocol.momentum, protocol.batch_size, protocol.form) == (0.9, 64, "before")  # ours
    assert (a.epochs, a.dropout) == (20, None) and (b.epochs, b.dropout) == (5, (0.2, 0.5))
    assert set(FIGURE_2A.published.values()) == set(FIGURE_2B.published.values()) == {None}
    assert [method for _, method in FIGURE_2A.published] == ["SGD", "L2", "EWC"]


def test_strengths_and_seeds():
    assert FIGURE_2A.strengths == {("2A", "SGD"): (0.0,), ("2A", "L2"): (0.01, 0.1), ("2A", "EWC"): (10.0, 100.0)}
    assert FIGURE_2B.strengths == {("2B", "SGD"): (0.0,), ("2B", "EWC"): (10.0, 100.0)}


def test_penalties():
    assert penalty("2A", "SGD", 1) is None
    assert type(penalty("2A", "L2", 1)) is cl.L2
    held = penalty("2A", "EWC", 1)
    assert type(held) is cl.EWC and held.labels == "exact" and held.n is None
