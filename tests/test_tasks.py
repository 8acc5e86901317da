"""Real data, turned, shuffled and split."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.datasets import FakeData, VisionDataset
from torchvision.transforms.v2.functional import InterpolationMode, rotate

import cl_teach as cl


@pytest.fixture(scope="module")
def mnist() -> cl.Task:
    return cl.mnist(n_train=1_000, n_test=500)


def tiny(n: int = 8, classes: int = 4, size: int = 4) -> cl.Task:
    """Images whose pixels all differ."""
    x = torch.arange(2.0 * n * size * size).reshape(2, n, 1, size, size)
    y = torch.arange(n) % classes
    return cl.Task("tiny", cl.Split(x[0], y), cl.Split(x[1], y), classes=tuple(range(classes)))


def same(a: list[cl.Task], b: list[cl.Task]) -> bool:
    parts = [(p, q) for s, t in zip(a, b, strict=True) for p, q in ((s.train, t.train), (s.test, t.test))]
    return all(torch.equal(p.x, q.x) and torch.equal(p.y, q.y) for p, q in parts)


# MNIST


def test_mnist_is_mnist(mnist: cl.Task) -> None:
    assert mnist.train.x.shape == (1_000, 1, 28, 28) and mnist.test.x.shape == (500, 1, 28, 28)
    assert mnist.train.x.dtype == torch.float32 and mnist.train.y.dtype == torch.int64
    assert mnist.train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.classes == tuple(range(10)) and len(mnist.train) == 1_000
    assert mnist.train.x.min() == 0 and mnist.train.x.max() == 1


def test_all_of_mnist_has_its_published_mean_and_spread() -> None:
    task = cl.mnist(n_train=None, n_test=None)
    assert len(task.train) == 60_000 and len(task.test) == 10_000
    assert float(task.train.x.mean()) == pytest.approx(0.1307, abs=1e-4)
    assert float(task.train.x.std()) == pytest.approx(0.3081, abs=1e-4)
    assert task.train.y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_what_a_user_changes_stays_with_the_user() -> None:
    first = cl.mnist(10, 10)
    first.train.x.zero_()
    first.train.y.zero_()
    assert cl.mnist(10, 10).train.y.tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert cl.mnist(10, 10).train.x.max() == 1


# rotated


@pytest.mark.parametrize(
    ("angle", "turned"),
    [(0, [[1, 2], [3, 4]]), (90, [[2, 4], [1, 3]]), (180, [[4, 3], [2, 1]]), (270, [[3, 1], [4, 2]]), (-90, [[3, 1], [4, 2]]),
     (360.0, [[1, 2], [3, 4]]), (450, [[2, 4], [1, 3]])],
)  # fmt: skip
def test_right_angles_are_exact_and_anticlockwise(angle: float, turned: list[list[int]]) -> None:
    data = cl.Split(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([0]))
    (task,) = cl.rotated(cl.Task("t", data, data, (0, 1)), [angle])
    assert task.train.x.tolist() == [[turned]] and task.test.x.tolist() == [[turned]]
    assert task.name == f"{angle:g}°" and task.train.x.is_contiguous()


@pytest.mark.parametrize("angle", [30.0, 90.0, -45.0])
def test_other_angles_turn_the_same_way_as_torchvision(mnist: cl.Task, angle: float) -> None:
    (task,) = cl.rotated(mnist, [angle])
    expected = rotate(mnist.test.x, angle, interpolation=InterpolationMode.BILINEAR)
    torch.testing.assert_close(task.test.x, expected, atol=2e-3, rtol=0)
    assert torch.equal(task.test.y, mnist.test.y)
    (nearly,) = cl.rotated(mnist, [90.001])
    (exact,) = cl.rotated(mnist, [90])
    assert float((nearly.test.x - exact.test.x).abs().max()) < 0.01


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=5))
def test_right_angles_add_up(quarters: list[int]) -> None:
    task = tiny()
    turned = task
    for quarter in quarters:
        (turned,) = cl.rotated(turned, [90 * quarter])
    (at_once,) = cl.rotated(task, [90 * sum(quarters)])
    assert same([turned], [at_once])


def test_rotated_mnist_is_mnist_rotated(mnist: cl.Task) -> None:
    tasks = cl.rotated_mnist((0, 30), n_train=1_000, n_test=500)
    assert same(tasks, cl.rotated(mnist, (0, 30))) and [t.name for t in tasks] == ["0°", "30°"]
    assert same(cl.rotated_mnist(n_train=20, n_test=20), cl.rotated_mnist((0, 90), n_train=20, n_test=20))


# permuted


@given(st.integers(1, 5), st.integers(0, 2**63 - 1), st.integers(2, 5))
def test_permuted(n_tasks: int, seed: int, size: int) -> None:
    task = tiny(size=size)
    tasks = cl.permuted(task, n_tasks, seed)
    assert len(tasks) == n_tasks and same(tasks[:1], [task])
    assert same(tasks, cl.permuted(task, n_tasks, seed)), "the same seed gives the same tasks"
    assert same(tasks, cl.permuted(task, n_tasks + 1, seed)[:n_tasks]), "more tasks do not change the first ones"
    pixels = size * size
    for permuted in tasks:
        order = permuted.train.x[0].flatten()
        assert order.sort().values.tolist() == list(range(pixels)), "each pixel once"
        for part, original in ((permuted.train, task.train), (permuted.test, task.test)):
            assert torch.equal(part.x.flatten(1), original.x.flatten(1)[:, order.long()]), "one order for all images"
            assert torch.equal(part.y, original.y) and part.x.shape == original.x.shape


def test_permutations_differ() -> None:
    a, b, c = cl.permuted(tiny(size=6), 3, seed=1)
    (_, other) = cl.permuted(tiny(size=6), 2, seed=2)
    assert len({tuple(t.train.x[0].flatten().tolist()) for t in (a, b, c, other)}) == 4


def test_permuted_mnist_is_mnist_permuted(mnist: cl.Task) -> None:
    tasks = cl.permuted_mnist(3, seed=4, n_train=1_000, n_test=500)
    assert same(tasks, cl.permuted(mnist, 3, seed=4)) and not same(tasks, cl.permuted(mnist, 3, seed=5))
    assert [t.name for t in tasks] == ["original", "permutation 1", "permutation 2"]


# split


@pytest.mark.parametrize(
    ("scenario", "labels", "classes"),
    [
        ("task", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]], [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]),
        ("domain", [[0, 1]] * 5, [(0, 1)] * 5),
        ("class", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]], [tuple(range(n)) for n in (2, 4, 6, 8, 10)]),
    ],
)
def test_split_mnist(mnist: cl.Task, scenario: str, labels: list[list[int]], classes: list[tuple[int, ...]]) -> None:
    tasks = cl.split_mnist(scenario=scenario, n_train=1_000, n_test=500)
    assert [t.train.y.unique().tolist() for t in tasks] == labels and [t.classes for t in tasks] == classes
    assert [t.name for t in tasks] == ["0 or 1", "2 or 3", "4 or 5", "6 or 7", "8 or 9"]
    assert sum(len(t.train) for t in tasks) == 1_000 and sum(len(t.test) for t in tasks) == 500
    original = torch.isin(mnist.test.y, torch.tensor([6, 7]))
    assert torch.equal(tasks[3].test.x, mnist.test.x[original])
    expected = mnist.test.y[original] - (6 if scenario == "domain" else 0)
    assert torch.equal(tasks[3].test.y, expected)


def test_classes_that_do_not_begin_at_zero_are_split_too() -> None:
    task = tiny(classes=4)
    parts = [cl.Split(part.x, part.y + 3) for part in (task.train, task.test)]
    high = cl.Task("high", parts[0], parts[1], range(3, 7))
    found = {s: cl.split_classes(high, np.int64(2), s) for s in ("task", "domain", "class")}
    assert [t.classes for t in found["task"]] == [(3, 4), (5, 6)] and [t.classes for t in found["class"]] == [
        (3, 4),
        (3, 4, 5, 6),
    ]
    assert [t.train.y.unique().tolist() for t in found["domain"]] == [[0, 1], [0, 1]]
    assert [t.train.y.unique().tolist() for t in found["task"]] == [[3, 4], [5, 6]]


def test_angles_up_to_a_hundred_turns() -> None:
    task = tiny()
    assert same(cl.rotated(task, torch.tensor([36_000.0])), cl.rotated(task, np.array([0])))


def test_split_in_two_halves() -> None:
    halves = cl.split_classes(tiny(classes=4), classes_per_task=2, scenario="domain")
    assert [h.train.y.tolist() for h in halves] == [[0, 1, 0, 1], [0, 1, 0, 1]]
    assert len(cl.split_mnist(classes_per_task=5, n_train=200, n_test=200)) == 2


def test_joint_is_all_of_them() -> None:
    task = tiny(classes=4)
    together = cl.joint(cl.split_classes(task, 2))
    assert together.classes == task.classes and len(together.train) == len(task.train)
    order = together.train.x.flatten(1)[:, 0].argsort()
    assert torch.equal(together.train.x[order], task.train.x) and torch.equal(together.train.y[order], task.train.y)
    assert len(cl.joint([task, task]).test) == 2 * len(task.test)


# two weights


def test_two_weight_tasks() -> None:
    a, b = cl.two_weight_tasks(n=2_000, seed=3)
    assert (a.name, b.name, a.classes) == ("A", "B", (0, 1))
    for part in (a.train, a.test, b.train, b.test):
        assert part.x.shape == (2_000, 2) and part.x.dtype == torch.float32 and part.y.unique().tolist() == [0, 1]
    assert not torch.equal(a.train.x, a.test.x)
    spread = a.train.x.std(dim=0)
    assert spread[0] > 3 * spread[1], "A pins down weight 1 and leaves weight 2 nearly free"
    assert torch.corrcoef(b.train.x.T)[0, 1] > 0.5, "in B both features rise and fall together"
    assert same([a, b], cl.two_weight_tasks(n=2_000, seed=3)) and not same([a, b], cl.two_weight_tasks(n=2_000, seed=4))


@pytest.mark.parametrize(("which", "wanted"), [(0, (1.0, 0.0)), (1, (2.2, 0.8))])
def test_the_best_two_weights(which: int, wanted: tuple[float, float]) -> None:
    """Newton's method on the mean cross-entropy of many samples."""
    data, w = cl.two_weight_tasks(n=100_000)[which].train, torch.zeros(2, dtype=torch.float64)
    x, y = data.x.double(), data.y.double()
    for _ in range(10):
        p = torch.sigmoid(x @ w)
        w -= torch.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (p - y))
    torch.testing.assert_close(w, torch.tensor(wanted, dtype=torch.float64), atol=0.1, rtol=0)


# one's own data


def test_split_and_task_keep_what_they_promise() -> None:
    for kind in (torch.uint8, torch.int8, torch.int32, torch.int64):
        assert cl.Split(torch.zeros(3, 2), torch.tensor([0, 1, 2], dtype=kind)).y.dtype == torch.int64
    data = cl.Split(torch.rand(5, 2), torch.arange(5))
    assert data.first(None) is data and len(data.first(2)) == 2 and torch.equal(data.first(2).x, data.x[:2])
    assert data.to("cpu") is data and data.to(dtype=torch.float64).x.dtype == torch.float64
    tokens = cl.Split(torch.ones(2, 3, dtype=torch.long), torch.tensor([0, 1]))
    assert tokens.to(dtype=torch.float64).x.dtype == torch.int64, "tokens stay whole numbers"
    for classes in ((4, 3, 2, 1, 0, 0), range(5), torch.arange(5), np.arange(5), {0, 1, 2, 3, 4}, (c for c in range(5))):
        kept = cl.Task("t", data, data, classes).classes
        assert repr(kept) == "(0, 1, 2, 3, 4)", "plain whole numbers, ascending, each once"


def test_pictures_become_tensors() -> None:
    fake = FakeData(size=6, image_size=(3, 8, 10), num_classes=4, random_offset=1)
    data = cl.Split.from_dataset(fake, n=5)
    picture, label = fake[2]
    assert data.x.shape == (5, 3, 8, 10) and data.x.dtype == torch.float32 and 0 <= data.x.min() < data.x.max() <= 1
    assert data.x[2].tolist() == (torch.tensor(np.array(picture)).permute(2, 0, 1).float() / 255).tolist()
    assert int(data.y[2]) == int(label)
    grey = cl.Split.from_dataset([(picture.convert("L"), 1)])
    assert grey.x.shape == (1, 1, 8, 10)


def test_arrays_and_tensors_become_tensors() -> None:
    bytes_ = np.array([[[0, 51], [102, 255]]], dtype=np.uint8)
    expected = torch.tensor([[[0.0, 0.2], [0.4, 1.0]]])
    for image in (bytes_, torch.tensor(bytes_), expected, expected.numpy()):
        data = cl.Split.from_dataset([(image, np.int64(3)), (image, torch.tensor(1))])
        assert data.x.dtype == torch.float32 and data.y.tolist() == [3, 1]
        torch.testing.assert_close(data.x, torch.stack([expected, expected]))
    tokens = cl.Split.from_dataset([(torch.tensor([5, 700]), 0)])
    assert tokens.x.dtype == torch.int64 and tokens.x.tolist() == [[5, 700]]


class Twice(VisionDataset):
    """A data set with a transform, which counts how often it runs."""

    def __init__(self) -> None:
        super().__init__(root="", transform=lambda x: x * 2)
        self.calls = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        self.calls += 1
        return self.transform(torch.full((1, 2, 2), float(i))), 10 + i


def test_any_data_set_can_replace_mnist() -> None:
    train, test = Twice(), Twice()
    task = cl.Task.from_datasets(train, test, name="mine", n_train=3)
    assert task.name == "mine" and task.classes == (10, 11, 12, 13) and len(task.train) == 3
    assert task.train.x[:, 0, 0, 0].tolist() == [0.0, 2.0, 4.0]
    assert (train.calls, test.calls) == (3, 4), "transforms run once a sample"
    assert [t.train.x.shape for t in cl.rotated(task, (0, 45))] == [(3, 1, 2, 2)] * 2
