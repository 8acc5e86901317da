"""Each public mistake, and how far it is from the right value."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.course import pitfalls

Named = dict[str, Tensor]


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, cl.Split, Named]:
    """A digit network after training, its data and their exact Fisher information, in float64."""
    torch.set_num_threads(1)
    task = cl.mnist(n_train=2000, n_test=100)
    data = cl.Split(task.train.x.double(), task.train.y)
    model = cl.mlp((40,), device="cpu").double()
    cl.train(model, data, epochs=8, progress=False)
    return model, data, cl.diagonal_fisher(model, data)


def flat(named: Named) -> Tensor:
    return torch.cat([t.flatten() for t in named.values()])


def error(found: Named, wanted: Named) -> float:
    return float((flat(found) - flat(wanted)).norm() / flat(wanted).norm())


def ratio(found: Named, wanted: Named) -> float:
    return float(flat(found).sum() / flat(wanted).sum())


def test_squared_batch_mean(trained) -> None:
    model, data, exact = trained
    true = cl.diagonal_fisher(model, data, "true")
    found = pitfalls.squared_batch_mean(model, data)
    assert error(found, exact) > 0.95 and ratio(found, exact) < 0.05
    assert error(found, true) > 0.9
    single = cl.Split(data.x[:50], data.y[:50])
    assert error(pitfalls.squared_batch_mean(model, single, 1), cl.diagonal_fisher(model, single, "true")) < 1e-12


def test_squared_batch_mean_times_size(trained) -> None:
    model, data, _ = trained
    untrained = cl.mlp((40,), device="cpu").double()
    found = pitfalls.squared_batch_mean_times_size(untrained, data)
    assert ratio(found, cl.diagonal_fisher(untrained, data, "true")) > 1.5  # the mean gradient is large: squared, times B
    drawn = torch.multinomial(model(data.x).softmax(1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    sampled = cl.Split(data.x, drawn)
    assert ratio(pitfalls.squared_batch_mean_times_size(model, sampled), cl.diagonal_fisher(model, sampled, "true")) == (
        pytest.approx(1, abs=0.5)
    )


def test_squared_sum_in_train_mode() -> None:
    torch.manual_seed(0)
    data = cl.mnist(n_train=600, n_test=10).train
    model = cl.article_cnn(device="cpu")
    before = cl.diagonal_fisher(model, data)
    found = pitfalls.squared_sum_in_train_mode(model, data)
    assert error(found, before) > 0.9
    again = pitfalls.squared_sum_in_train_mode(model, data)
    assert error(again, found) > 0.01  # dropout is on: it is not even the same twice
    assert all(m.training for m in model.modules())


def test_arg_max_label(trained) -> None:
    model, data, exact = trained
    found = pitfalls.arg_max_label(model, data)
    assert 0.5 < error(found, exact) < 1.0 and 0.05 < ratio(found, exact) < 0.5


def test_weighted_by_probability(trained) -> None:
    model, data, exact = trained
    found = pitfalls.weighted_by_probability(model, data)
    assert 0.5 < error(found, exact) < 1.0 and 0.02 < ratio(found, exact) < 0.5


def test_last_sample_dropped(trained) -> None:
    model, data, _ = trained
    for n, lost in ((256, 0.0), (257, 1 / 257)):
        some = data.first(n)
        exact, found = cl.diagonal_fisher(model, some, "true"), pitfalls.last_sample_dropped(model, some)
        last = cl.diagonal_fisher(model, cl.Split(some.x[-1:], some.y[-1:]), "true")
        missing = {name: exact[name] - lost * last[name] for name in exact}
        assert error(found, missing) < 1e-10
    one = data.first(1)
    assert error(pitfalls.last_sample_dropped(model, one), cl.diagonal_fisher(model, one, "true")) == pytest.approx(1.0)


def test_one_sample_too_many(trained) -> None:
    model, data, _ = trained
    for n in (1, 10):
        same = cl.Split(data.x[:1].expand(20, -1, -1, -1), data.y[:1].expand(20))  # so that only the count matters
        found = pitfalls.one_sample_too_many(model, same, n)
        assert ratio(found, cl.diagonal_fisher(model, same, n=n)) == pytest.approx((n + 1) / n, rel=1e-6)
        assert error(found, cl.diagonal_fisher(model, same, n=n)) == pytest.approx(1 / n, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_train_with_sliding_anchor(seed: int) -> None:
    torch.set_num_threads(1)
    a, b = cl.rotated_mnist(angles=(0, 90), n_train=2000, n_test=500)
    model, penalty = cl.mlp((40,), seed=seed, device="cpu"), cl.EWC()
    cl.train(model, a, epochs=4, seed=seed, progress=False)
    penalty.consolidate(model, a)
    fixed, sliding = copy.deepcopy(model), copy.deepcopy(model)
    for epoch in range(6):
        cl.train(fixed, b.train, penalty=penalty, strength=300.0, epochs=1, seed=epoch, progress=False)
    left = float(penalty(fixed))
    pitfalls.train_with_sliding_anchor(sliding, b.train, copy.deepcopy(penalty), strength=300.0, epochs=6)
    assert float(penalty(sliding)) > 2 * left
    assert cl.evaluate(sliding, a).loss > cl.evaluate(fixed, a).loss


def test_silently_zero_penalty(trained) -> None:
    model, data, _ = trained
    penalty = cl.EWC()
    penalty.consolidate(model, data)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p in moved.parameters():
            p.add_(0.1)
    right = float(penalty(moved))
    assert right > 0
    kept = penalty.precision, penalty.anchor
    assert float(pitfalls.silently_zero_penalty(moved, *kept)) == pytest.approx(right, rel=1e-12)
    wrapped = nn.Sequential(moved)
    assert float(pitfalls.silently_zero_penalty(wrapped, *kept)) == 0.0
    with pytest.raises(ValueError, match="another model"):
        penalty(wrapped)


def test_a_smaller_last_batch_counts_by_its_size(trained) -> None:
    model, data, _ = trained
    some, wanted = data.first(130), {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for batch, share in ((slice(0, 128), 128 / 130), (slice(128, 130), 2 / 130)):
        loss = nn.functional.cross_entropy(model(some.x[batch]), some.y[batch])
        for name, g in zip(wanted, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            wanted[name] += share * g.square()
    assert error(pitfalls.squared_batch_mean(model, some), wanted) < 1e-10


def test_weighted_by_probability_is_one_term_of_the_sum(trained) -> None:
    model, data, _ = trained
    some, wanted = data.first(20), {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    p = model(some.x).detach().softmax(1)[torch.arange(20), some.y]
    for i in range(20):
        single = cl.Split(some.x[i : i + 1], some.y[i : i + 1])
        for name, f in cl.diagonal_fisher(model, single, "true").items():
            wanted[name] += p[i] * f / 20
    assert error(pitfalls.weighted_by_probability(model, some), wanted) < 1e-10


def test_a_sliding_anchor_is_training_epoch_by_epoch_from_where_the_last_one_ended() -> None:
    data = cl.Split(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3)
    model, penalty = cl.mlp((5,), n_inputs=4, n_classes=3, device="cpu"), cl.EWC()
    penalty.consolidate(model, data)
    by_hand, anew = copy.deepcopy(model), copy.deepcopy(penalty)
    for epoch in range(3):
        anew.anchor = {name: p.detach().clone() for name, p in by_hand.named_parameters()}
        cl.train(by_hand, data, penalty=anew, strength=2.0, epochs=1, lr=0.05, seed=epoch, progress=False)
    pitfalls.train_with_sliding_anchor(model, data, penalty, strength=2.0, epochs=3)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p, by_hand.get_parameter(name), rtol=0, atol=0)
