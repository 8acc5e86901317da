"""V1, V2 and V3: what each computes by default, and that its settings make it right."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.course import pitfalls
from cl_teach.course.versions import V1, V2, V3

Named = dict[str, Tensor]


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, cl.Split]:
    torch.set_num_threads(1)
    data = cl.mnist(n_train=300, n_test=10).train
    model = cl.mlp((12,), device="cpu").double()
    cl.train(model, data, epochs=6, progress=False)
    return model, data


def same(one: Named, other: Named) -> bool:
    return list(one) == list(other) and all(torch.allclose(one[n], other[n], rtol=1e-9, atol=1e-14) for n in one)


def total(named: Named) -> float:
    return float(sum(f.sum() for f in named.values()))


def test_v1_takes_the_first_n_images_and_the_label_that_is_asked_for(trained) -> None:
    model, data = trained
    for labels in ("predicted", "true"):
        assert same(V1(labels, n=40).importance(model, data, None), cl.diagonal_fisher(model, data, labels, n=40))
    assert same(V1().importance(model, data, None), cl.diagonal_fisher(model, data, "predicted", n=200))
    sampled = [total(V1("sampled", n=300, seed=s).importance(model, data, None)) for s in range(5)]
    assert sum(sampled) / 5 / total(cl.diagonal_fisher(model, data)) == pytest.approx(1, abs=0.1)
    assert len(set(sampled)) == 5


def test_v1_looks_at_the_images_of_all_tasks_again_at_the_latest_weights(trained) -> None:
    model, data = trained
    a, b = data.first(50), data.last(70)
    penalty, moved = V1(n=60), copy.deepcopy(model)
    penalty.consolidate(model, a)
    with torch.no_grad():
        for p in moved.parameters():
            p.mul_(1.1)
    penalty.consolidate(moved, b)
    both = cl.Split(torch.cat([a.x, b.x[:60]]), torch.cat([a.y, b.y[:60]]))
    assert same(penalty.precision, cl.diagonal_fisher(moved, both, "predicted"))
    assert all(torch.equal(penalty.anchor[n], p) for n, p in moved.named_parameters())
    assert penalty.n_tasks == 2


def test_v2_squares_the_sum_and_with_three_settings_the_samples(trained) -> None:
    model, data = trained
    assert same(V2().importance(model, data, None), pitfalls.squared_sum_in_train_mode(model, data, 256))
    assert same(V2(batch_size=64).importance(model, data, None), pitfalls.squared_sum_in_train_mode(model, data, 64))
    assert same(V2("samples", "eval").importance(model, data, None), cl.diagonal_fisher(model, data, "true"))
    right = [total(V2("samples", "eval", "sampled", seed=s).importance(model, data, None)) for s in range(5)]
    assert sum(right) / 5 / total(cl.diagonal_fisher(model, data)) == pytest.approx(1, abs=0.1)


def test_v2_has_dropout_on_unless_told_otherwise_and_leaves_the_modes_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 20), nn.Dropout(0.5), nn.Linear(20, 3)).double()
    data = cl.Split(torch.randn(30, 9), torch.arange(30) % 3)
    for mode, alike in (("train", False), ("eval", True)):
        model[2].eval()
        first, second = (V2(mode=mode).importance(model, data, None) for _ in range(2))
        assert same(first, second) is alike
        assert model.training and not model[2].training


def test_v2_keeps_a_penalty_for_each_task(trained) -> None:
    model, data = trained
    penalty, moved = V2(), copy.deepcopy(model)
    penalty.consolidate(model, data)
    with torch.no_grad():
        moved[1].bias.add_(1.0)
    penalty.consolidate(moved, data)
    expected = V2().importance(model, data, None)["1.bias"].sum()  # at `moved`, only the first anchor is away
    assert float(penalty(moved).detach()) == pytest.approx(float(expected), rel=1e-9)


def test_v3_squares_batches_times_their_size(trained) -> None:
    model, data = trained
    for labels in ("predicted", "true"):
        assert same(V3(labels=labels, batch_size=1).importance(model, data, None), cl.diagonal_fisher(model, data, labels))
    whole = V3(labels="true", batch_size=300).importance(model, data, None)
    gradients = torch.autograd.grad(nn.functional.cross_entropy(model(data.x.double()), data.y), list(model.parameters()))
    assert same(whole, {n: 300 * g.square() for n, g in zip(whole, gradients, strict=True)})
    two = V3(labels="true", batch_size=200).importance(model, data, None)  # of 200 and of 100 images, each counted half
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    wanted = {n: torch.zeros_like(f) for n, f in two.items()}
    for part in (order[:200], order[200:]):
        loss = nn.functional.cross_entropy(model(data.x[part].double()), data.y[part])
        for name, g in zip(wanted, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            wanted[name] += g.square() * len(part) / 2
    assert same(two, wanted)


def test_v3_takes_n_random_images_one_by_one(trained) -> None:
    model, data = trained
    which = torch.randperm(300, generator=torch.Generator().manual_seed(3))[:20]
    some = cl.Split(data.x[which], data.y[which])
    assert same(V3(labels="true", n=20, seed=3).importance(model, data, None), cl.diagonal_fisher(model, some, "true"))
    sampled = [total(V3(labels="sampled", n=300, seed=s).importance(model, data, None)) for s in range(5)]
    assert sum(sampled) / 5 / total(cl.diagonal_fisher(model, data)) == pytest.approx(1, abs=0.1)


def test_v3_masks_the_outputs_that_a_task_does_not_use() -> None:
    torch.manual_seed(0)
    task = cl.split_classes(cl.mnist(n_train=200, n_test=10), 2, scenario="task")[2]  # 4 and 5
    model = cl.mlp((8,), device="cpu").double()
    for penalty in (V1("true", n=len(task.train)), V2("samples", "eval"), V3(labels="true", batch_size=1)):
        found = penalty.importance(model, task, None)
        assert same(found, cl.diagonal_fisher(model, task, "true"))
        rows = found["3.weight"].sum(dim=1)
        assert all((rows[k] > 0) == (k in (4, 5)) for k in range(10))


def test_three_methods_of_v3_hold_different_things(trained) -> None:
    model, data = trained
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p in moved.parameters():
            p.mul_(1.1)
    kept = {}
    for method in ("EWC", "EWC_online", "L2"):
        kept[method] = V3(method, "true", 1)
        kept[method].consolidate(model, data)
        kept[method].consolidate(moved, data)
    f, g = (cl.diagonal_fisher(m, data, "true") for m in (model, moved))
    both = {n: f[n] + g[n] for n in f}
    assert same(kept["EWC"].precision, both) and same(kept["EWC_online"].precision, both)
    assert same(kept["L2"].precision, {n: torch.ones_like(p) for n, p in both.items()})
    latest = dict(moved.named_parameters())
    assert same(kept["EWC_online"].anchor, latest) and same(kept["L2"].anchor, latest)
    merged = cl.EWC("true")
    merged.consolidate(model, data)
    merged.consolidate(moved, data)
    assert same(kept["EWC"].anchor, merged.anchor)
    assert kept["EWC"].constant == pytest.approx(merged.constant)


def test_they_can_be_trained_under() -> None:
    tasks = cl.permuted_mnist(2, n_train=100, n_test=50)
    for make in (lambda: V1(n=50), V2, V3, lambda: V3("EWC_online"), lambda: V3("L2")):
        run = cl.learn(cl.mlp((8,), device="cpu"), tasks, make(), 1.0, epochs=1, progress=False)
        assert len(run.histories) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: V1("exact"), r"^labels must be one of 'predicted', 'true', 'sampled', got 'exact'"),
        (lambda: V1(n=0), r"^n must be"),
        (lambda: V2("mean"), r"^square must be one of 'sum', 'samples', got 'mean'"),
        (lambda: V2(mode="test"), r"^mode must be one of 'train', 'eval', got 'test'"),
        (lambda: V2(labels="exact"), r"^labels must be one of"),
        (lambda: V2(batch_size=0), r"^batch_size must be"),
        (lambda: V3("MAS"), r"^method must be one of 'EWC', 'EWC_online', 'L2', got 'MAS'"),
        (lambda: V3(labels="all"), r"^labels must be one of"),
        (lambda: V3(batch_size=0), r"^batch_size must be"),
        (lambda: V3(n=0), r"^n must be"),
    ],
)
def test_settings_that_there_are_not(make, words) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_other_data_than_whole_tensors(trained) -> None:
    model, _ = trained
    with pytest.raises(TypeError, match=r"^data must be a cl_teach.Task, or a Split such as task.train, got "):
        V1().importance(model, [1, 2], None)
