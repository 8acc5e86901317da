"""The small memory, beside a training loop. (SI and MAS are tested as the penalties they are, in test_penalties.py.)"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import cl_teach as cl


def task(first: int = 0, n: int = 12, classes: tuple[int, ...] = (0, 1)) -> cl.Task:
    """Sample i is (first + i, 0), so that it can be told from all others; labels in turn."""
    x = torch.stack([torch.arange(first, first + n).float(), torch.zeros(n)], dim=1)
    data = cl.Split(x, torch.tensor(classes)[torch.arange(n) % len(classes)])
    return cl.Task("numbers", data, data, classes)


def names(x: Tensor) -> list[int]:
    return [int(name) for name in x[:, 0].tolist()]


def test_it_keeps_n_samples_of_each_task_with_their_labels() -> None:
    memory = cl.Replay(n=3)
    for first in (0, 100):
        memory.keep(task(first))
    assert [len(split) for split in memory.kept] == [3, 3]
    for first, split in zip((0, 100), memory.kept, strict=True):
        assert len(set(names(split.x))) == 3  # no sample twice
        assert all(first <= name < first + 12 for name in names(split.x))
        assert split.y.tolist() == [name % 2 for name in names(split.x)]


def test_which_ones_is_drawn_by_the_seed_and_differs_between_tasks() -> None:
    def drawn(seed: int) -> list[list[int]]:
        memory = cl.Replay(n=4, seed=seed)
        for _ in range(2):
            memory.keep(task(n=50))
        return [names(split.x) for split in memory.kept]

    state = torch.get_rng_state()
    assert drawn(1) == drawn(1) and drawn(1) != drawn(2)
    one, other = drawn(1)
    assert one != other and one != [0, 1, 2, 3]
    assert torch.equal(state, torch.get_rng_state())


def test_before_the_first_task_there_is_nothing_to_mix() -> None:
    first = task()
    assert cl.Replay(n=3).mixed(first) is first


@pytest.mark.parametrize(("n", "tasks", "often"), [(3, 1, 4), (3, 2, 2), (12, 1, 1), (12, 4, 1), (5, 1, 2), (7, 1, 2)])
def test_old_and_new_are_about_as_many(n: int, tasks: int, often: int) -> None:
    memory = cl.Replay(n)
    for k in range(tasks):
        memory.keep(task(100 * (k + 1)))
    new = task()
    mixed = memory.mixed(new)
    old = [name for split in memory.kept for name in names(split.x)]
    assert names(mixed.train.x) == names(new.train.x) + old * often
    assert mixed.train.y.tolist() == [name % 2 for name in names(mixed.train.x)]
    assert torch.equal(mixed.test.x, new.test.x) and mixed.name == new.name


def test_the_task_and_the_memory_stay_as_they_are() -> None:
    memory, new = cl.Replay(n=3), task()
    memory.keep(task(100))
    kept = memory.kept[0].x.clone()
    memory.mixed(new)
    assert len(new.train) == 12 and torch.equal(memory.kept[0].x, kept) and len(memory.kept) == 1


def test_all_classes_met_compete_even_those_of_which_no_sample_was_kept() -> None:
    memory = cl.Replay(n=1)
    memory.keep(task(100, classes=(2, 3)))
    memory.keep(task(200, classes=(6, 7)))
    assert memory.classes == {2, 3, 6, 7}
    assert memory.mixed(task(classes=(0, 1))).classes == (0, 1, 2, 3, 6, 7)


def test_what_was_forgotten_without_it_is_kept_with_it() -> None:
    corners = {0: (3.0, 0.0), 1: (0.0, 3.0), 2: (-3.0, 0.0), 3: (0.0, -3.0)}
    generator = torch.Generator().manual_seed(0)

    def pair(classes: tuple[int, int], seen: tuple[int, ...]) -> cl.Task:
        y = torch.tensor(classes)[torch.arange(80) % 2]
        x = torch.tensor([corners[c] for c in y.tolist()]) + 0.5 * torch.randn(80, 2, generator=generator)
        data = cl.Split(x, y)
        return cl.Task("corners", data, data, seen)

    first, second = pair((0, 1), (0, 1)), pair((2, 3), (0, 1, 2, 3))

    def learnt(memory: cl.Replay | None) -> float:
        model = cl.mlp((10,), n_inputs=2, n_classes=4, device="cpu")
        cl.train(model, first, epochs=20, batch_size=20)
        if memory:
            memory.keep(first)
        cl.train(model, memory.mixed(second) if memory else second, epochs=20, batch_size=20)
        return cl.evaluate(model, first.test, second.classes).accuracy

    assert learnt(None) < 0.5 and learnt(cl.Replay(n=4)) > 0.9


def test_too_few_samples_and_other_kinds_of_samples_are_refused_before_anything_is_kept() -> None:
    memory = cl.Replay(n=3)
    with pytest.raises(ValueError, match=r"^n must be at most the 2 samples there are, got 3"):
        memory.keep(task(n=2))
    assert memory.kept == [] and memory.classes == set()
    memory.keep(task())
    long = task()
    wide = replace(long, train=cl.Split(torch.zeros(4, 3), torch.zeros(4).long()))
    double = replace(long, train=cl.Split(long.train.x.double(), long.train.y))
    for strange, got in ((wide, r"\(3,\)"), (double, "float64")):
        for use in (memory.keep, memory.mixed):
            with pytest.raises(ValueError, match=f"^task must have samples of the shape.* that are kept, .*got .*{got}"):
                use(strange)
    assert len(memory.kept) == 1
