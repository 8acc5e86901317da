"""Van de Ven's table: the digits, the penalties and the published numbers are those of the paper and its code."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from small_networks import flat
from torch.nn.functional import cross_entropy

import cl_teach as cl
from cl_teach.reproduce.van_de_ven_2025 import TABLE, penalty, tasks


@pytest.mark.parametrize("seed", [1, 2])
def test_digits_of_a_task_are_drawn_for_each_seed(seed):
    np.random.seed(seed)  # in the words of the paper's code
    label = np.random.permutation(range(10))
    whole, found = cl.mnist(300, None), tasks("task", seed, 300)
    assert [task.classes for task in found] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    for k, task in enumerate(found):
        digits = [d for d in range(10) if label[d] in (2 * k, 2 * k + 1)]
        assert len(task.train) == sum(int(y) in digits for y in whole.train.y)
        chosen = [i for i, y in enumerate(whole.train.y) if int(y) in digits]
        assert torch.equal(task.train.x, whole.train.x[chosen])
        assert task.train.y.tolist() == [label[int(whole.train.y[i])] for i in chosen]
    assert sum(len(task.test) for task in found) == 10_000


def test_each_method_holds_by_another_fisher():
    task = tasks("task", 1, 1_500)[0]
    model = cl.mlp((9,), seed=1).float()
    cl.train(model, task, epochs=1, progress=False)
    wanted = {
        "EXACT": cl.diagonal_fisher(model, task),
        "EXACT (n=500)": cl.diagonal_fisher(model, task),
        "SAMPLE": cl.diagonal_fisher(model, task, "sample", seed=7),
        "EMPIRICAL": cl.diagonal_fisher(model, task, "true"),
    }
    assert len(task.train) < 500 and penalty("task", "EXACT (n=500)", 7).n == 500
    wanted.pop("EXACT (n=500)")
    for method, fisher in wanted.items():
        held = penalty("task", method, 7)
        held.consolidate(model, task)
        assert torch.equal(flat(held.precision), flat(fisher)), method
        assert type(held).merge is cl.OnlineEWC.merge and held.decay == 1.0
    assert penalty("task", "none", 7) is None


def test_batched_squares_the_mean_gradient_of_each_batch():
    task = tasks("task", 1, 1_500)[0]
    model = cl.mlp((9,), seed=1).float()
    held = penalty("task", "BATCHED (128)", 7)
    torch.manual_seed(5)
    held.consolidate(model, task)
    torch.manual_seed(5)
    order = torch.randperm(len(task.train))
    wanted, n = 0.0, len(order)
    for chosen in order.split(128):
        model.zero_grad()
        cross_entropy(model(task.train.x[chosen])[:, :2], task.train.y[chosen]).backward()
        wanted = wanted + flat({name: p.grad for name, p in model.named_parameters()}).square() * len(chosen) / n
    torch.testing.assert_close(flat(held.precision), wanted, rtol=1e-4, atol=1e-12)
    assert set(held.precision) == {name for name, _ in model.named_parameters()}
    assert float(held.precision["3.weight"][2:].sum()) == 0  # of outputs that the task does not use


def test_published_numbers_and_strengths():
    assert {method: (p.mean, p.error) for (_, method), p in TABLE.published.items()} == {
        "none": (0.8541, 0.0088),
        "EXACT": (0.9912, 0.0016),
        "EXACT (n=500)": (0.9893, 0.0015),
        "SAMPLE": (0.9912, 0.0012),
        "EMPIRICAL": (0.9912, 0.0012),
        "BATCHED (128)": (0.9911, 0.0016),
    }
    for (_, method), grid in TABLE.strengths.items():
        assert list(grid) == sorted(grid)
        if method != "none":  # every second decade at least, and both neighbours of the published optimum
            assert grid[0] == 1 and max(b / a for a, b in pairwise(grid)) < 101 and grid[-1] >= 1e12
    protocol = TABLE.protocols["task"]
    assert (protocol.steps, protocol.batch_size, protocol.drop_last, protocol.reset) == (2_000, 128, True, False)
    assert (protocol.n_inputs, protocol.hidden, protocol.n_outputs, protocol.lr) == (784, (400, 400), 10, 0.001)
    assert protocol.form == "before"
