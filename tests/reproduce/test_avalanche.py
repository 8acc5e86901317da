"""Avalanche's puzzle: the script's settings, its Fisher, and one change a step."""

from dataclasses import asdict
from itertools import pairwise

import pytest
import torch
from small_networks import flat
from torch.nn.functional import cross_entropy

import cl_teach as cl
from cl_teach.reproduce.avalanche import CHANGES, TABLE, penalty, tasks


def test_ten_tasks_all_of_them_permuted():
    whole, found, others = cl.mnist(300, None), tasks("", 1, 300), tasks("", 2, 300)
    assert len(found) == 10 and {task.classes for task in found} == {tuple(range(10))}
    raw = whole.train.x.flatten(1)
    seen = [task.train.x.flatten(1) * 0.3081 + 0.1307 for task in found]
    for x in seen:
        torch.testing.assert_close(x.sort(1).values, raw.sort(1).values, rtol=0, atol=1e-5)
        assert (x - raw).abs().max() > 0.5  # also the first one
    assert len({tuple(x[0].round(decimals=3).tolist()) for x in seen}) == 10
    assert not torch.equal(found[0].train.x, others[0].train.x)
    assert len(found[0].test) == 10_000 and torch.equal(found[3].test.y, whole.test.y)


def test_the_script_s_fisher_squares_the_mean_of_256_in_the_order_of_the_data():
    task, model = tasks("", 1, 600)[0], cl.mlp((9,), seed=1).float()
    held = penalty("as published", "batched EWC", 1)
    held.consolidate(model, task)
    wanted = 0.0
    for k in (0, 256, 512):
        model.zero_grad()
        x, y = task.train.x[k : k + 256], task.train.y[k : k + 256]
        cross_entropy(model(x), y).backward()
        wanted = wanted + flat({name: p.grad for name, p in model.named_parameters()}).square() * len(y) / 600
    torch.testing.assert_close(flat(held.precision), wanted, rtol=1e-4, atol=1e-12)
    assert isinstance(held, cl.EWC)  # an anchor a task


def test_penalties():
    for method, kind in (("EWC", cl.EWC), ("LatestEWC", cl.LatestEWC)):
        held = penalty("", method, 1)
        assert type(held) is kind and held.labels == "exact" and held.n is None
    assert penalty("", "none", 1) is None


def test_it_starts_with_the_script_s_settings():
    method, protocol, strengths = CHANGES["as published"]
    assert (method, strengths) == ("batched EWC", (2.0,))  # lambda 1, without 1/2
    assert (protocol.n_inputs, protocol.hidden, protocol.n_outputs) == (784, (512,), 10)
    assert (protocol.optimizer, protocol.lr, protocol.momentum, protocol.form) == ("sgd", 0.001, 0.0, "before")
    assert (protocol.epochs, protocol.steps, protocol.batch_size, protocol.drop_last) == (10, None, 256, False)
    cell = TABLE.published["as published", "batched EWC"]
    assert cell.mean == 0.83 and [p for p in TABLE.published.values() if p] == [cell]


def test_it_ends_with_adam_the_latest_anchor_and_a_wider_layer():
    method, protocol, strengths = CHANGES["1,000 hidden units"]
    assert (method, protocol.hidden, protocol.optimizer, strengths) == ("LatestEWC", (1_000,), "adam", (20.0, 60.0))


@pytest.mark.parametrize(("one", "other"), list(pairwise(CHANGES.values())))
def test_each_step_changes_one_thing(one, other):
    assert TABLE.strengths == {(column, method): strengths for column, (method, _, strengths) in CHANGES.items()}
    before, after = asdict(one[1]), asdict(other[1])
    changed = [name for name in before if before[name] != after[name]] + ["method"] * (one[0] != other[0])
    if not changed:
        assert one[2] != other[2]
    elif "none" in (one[0], other[0]):
        assert changed == ["method"]
    else:
        assert len(changed) == 1
