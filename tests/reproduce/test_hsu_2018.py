"""Hsu's table: images, scenarios, penalties, strengths and published numbers are those of the paper and its code."""

import math

import pytest
import torch
from small_networks import flat

import cl_teach as cl
from cl_teach.reproduce.hsu_2018 import TABLE, penalty, tasks


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_images_are_padded_and_scaled_and_tasks_are_pairs(scenario):
    found, whole = tasks(scenario, 1, 200), cl.split_mnist(scenario=scenario, n_train=200, n_test=None)
    for task, raw in zip(found, whole, strict=True):
        assert task.classes == raw.classes and torch.equal(task.train.y, raw.train.y)
        assert task.train.x.shape[1:] == task.test.x.shape[1:] == (1, 32, 32)
        torch.testing.assert_close(task.train.x[..., 2:30, 2:30] * 0.2752 + 0.1, raw.train.x)
        border = torch.cat([task.test.x[..., :2, :].flatten(), task.test.x[..., 30:].flatten()])
        torch.testing.assert_close(border, torch.full_like(border, -0.1 / 0.2752))


def test_heads_of_the_scenarios():
    outputs = {column: (protocol.n_outputs, protocol.own_heads) for column, protocol in TABLE.protocols.items()}
    assert outputs == {"task": (10, 2), "domain": (2, None), "class": (10, None)}
    assert [task.classes for task in tasks("domain", 1, 200)] == [(0, 1)] * 5
    assert tasks("class", 1, 200)[2].classes == (0, 1, 2, 3, 4, 5)
    for protocol in TABLE.protocols.values():
        assert (protocol.epochs, protocol.steps, protocol.batch_size, protocol.drop_last) == (4, None, 128, False)
        assert (protocol.n_inputs, protocol.hidden, protocol.lr, protocol.reset, protocol.form) == (
            1024,
            (400, 400),
            0.001,
            False,
            "before",
        )


def test_penalties():
    task = tasks("task", 1, 600)[1]
    model = cl.mlp((9,), 1024, seed=1).float()
    likeliest = flat(cl.diagonal_fisher(model, task, "predicted"))
    for method, kind in (("EWC", cl.EWC), ("online EWC", cl.OnlineEWC)):
        held = penalty("task", method, 1)
        held.consolidate(model, task)
        assert type(held) is kind and torch.equal(flat(held.precision), likeliest) and getattr(held, "decay", 1.0) == 1.0
    held = penalty("task", "L2", 1)
    for _ in range(2):
        held.consolidate(model, task)
    assert float(flat(held.precision).min()) == float(flat(held.precision).max()) == 1.0  # also heads still to come; not 2
    assert penalty("task", "SI", 1).damping == 0.1 and penalty("task", "none", 1) is None


def test_published_numbers_and_strengths():
    lambdas = {"none": (0, 0, 0), "L2": (0.02, 1, 200), "EWC": (200, 200, 1200)}
    lambdas |= {"online EWC": (800, 1400, 200), "SI": (600, 6000, 1200)}  # 2 c
    percents = {"none": (93.46, 55.16, 19.71), "L2": (98.18, 66.00, 22.52), "EWC": (97.70, 58.85, 19.80)}
    percents |= {"online EWC": (98.04, 57.33, 19.77), "SI": (98.56, 64.76, 19.67)}
    for i, column in enumerate(("task", "domain", "class")):
        for method in lambdas:
            assert TABLE.strengths[column, method] == (lambdas[method][i],)
            assert math.isclose(TABLE.published[column, method].mean, percents[method][i] / 100)
    deviations = {"none": (2.01, 1.38, 0.08), "L2": (0.96, 3.73, 1.08), "EWC": (0.81, 2.59, 0.05)}
    deviations |= {"online EWC": (1.10, 1.44, 0.04), "SI": (0.49, 3.09, 0.09)}
    for (column, method), cell in TABLE.published.items():
        i = ("task", "domain", "class").index(column)
        assert math.isclose(cell.error, deviations[method][i] / 100 / math.sqrt(9))
    assert len(TABLE.published) == 15
