"""Penalties against the sums they stand for, written out task by task."""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import cl_teach as cl
from cl_teach import penalties
from cl_teach.fast import held

KINDS: dict[str, Callable[[], cl.Penalty]] = {
    "L2": cl.L2,
    "EWC": cl.EWC,
    "LatestEWC": cl.LatestEWC,
    "OnlineEWC": lambda: cl.OnlineEWC(decay=0.7),
    "SI": cl.SI,
    "MAS": cl.MAS,
}


pytestmark = pytest.mark.usefixtures("float64")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def data(n: int = 30) -> cl.Split:
    return cl.Split(torch.randn(n, 4), torch.randint(0, 3, (n,)))


def moved(model: nn.Module, scale: float = 0.3) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.add_(scale * torch.randn_like(p))


def copies(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def a_step(model: nn.Module, penalty: cl.Penalty, split: cl.Split) -> None:
    model.zero_grad()
    nn.functional.cross_entropy(model(split.x), split.y).backward()
    penalty.observe(model)
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p.sub_(0.1 * p.grad)
    model.zero_grad()


def consolidated(kind: str, tasks: int = 3, model: nn.Module | None = None) -> tuple[cl.Penalty, nn.Module]:
    penalty, model = KINDS[kind](), model or network()
    for _ in range(tasks):
        split = data()
        for _ in range(3):
            a_step(model, penalty, split)
        penalty.consolidate(model, split)
        moved(model)
    return penalty, model


def history(decay: float | None) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]], cl.Penalty, nn.Module]:
    model = network()
    penalty = cl.EWC() if decay is None else cl.OnlineEWC(decay=decay)
    fishers, anchors = [], []
    for _ in range(4):
        split = data()
        fishers.append(cl.diagonal_fisher(model, split))
        anchors.append(copies(model))
        penalty.consolidate(model, split)
        moved(model)
    return fishers, anchors, penalty, model


def test_merged_ewc_is_the_sum_of_its_tasks_in_value_gradient_and_constant() -> None:
    fishers, anchors, penalty, model = history(None)
    theta = dict(model.named_parameters())
    total = sum((f[n] * (theta[n] - a[n]).square()).sum() for f, a in zip(fishers, anchors, strict=True) for n in theta)
    torch.testing.assert_close(penalty(model), total, rtol=1e-12, atol=0)
    wanted = torch.autograd.grad(total, list(theta.values()))
    found = torch.autograd.grad(penalty(model), list(theta.values()))
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-10, atol=1e-15)
    with torch.no_grad():
        for name, p in theta.items():
            p.copy_(penalty.anchor[name])
    lowest = sum((f[n] * (theta[n] - a[n]).square()).sum() for f, a in zip(fishers, anchors, strict=True) for n in theta)
    assert penalty.constant == pytest.approx(float(lowest), rel=1e-10)
    assert penalty.constant > 0


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_online_ewc_decays_and_sits_at_the_latest_weights(decay: float) -> None:
    fishers, anchors, penalty, _ = history(decay)
    for name in fishers[0]:
        wanted = sum(decay ** (3 - k) * f[name] for k, f in enumerate(fishers))
        torch.testing.assert_close(penalty.precision[name], wanted, rtol=1e-12, atol=1e-18)
        assert torch.equal(penalty.anchor[name], anchors[-1][name])
    assert penalty.constant == 0.0


def test_latest_anchor_ewc_adds_the_fishers_up_at_the_latest_weights() -> None:
    torch.manual_seed(0)
    fishers, anchors, online, _ = history(1.0)
    torch.manual_seed(0)
    model, latest = network(), cl.LatestEWC()
    for _ in range(4):
        latest.consolidate(model, data())
        moved(model)
    for name in fishers[0]:
        torch.testing.assert_close(latest.precision[name], sum(f[name] for f in fishers), rtol=1e-12, atol=1e-18)
        assert torch.equal(latest.anchor[name], anchors[-1][name])
        assert torch.equal(latest.precision[name], online.precision[name])


def test_si_is_the_path_integral_written_out() -> None:
    model, penalty, wanted = network(), cl.SI(damping=0.05), dict.fromkeys(copies(network()), 0.0)
    for task in range(2):
        split, start = data(), copies(model)
        path = {name: torch.zeros_like(p) for name, p in start.items()}
        for _ in range(6):
            before = copies(model)
            nn.functional.cross_entropy(model(split.x), split.y).backward()
            gradient = {name: p.grad.clone() for name, p in model.named_parameters()}
            model.zero_grad()
            a_step(model, penalty, split)
            penalty.proximal_step(model, 0.2)  # whatever moves the weights is part of the path
            for name, p in copies(model).items():
                path[name] -= gradient[name] * (p - before[name])
        for name, p in copies(model).items():
            wanted[name] = wanted[name] + path[name].clamp_min(0) / ((p - start[name]).square() + 0.05)
        penalty.consolidate(model, split)
        for name, w in wanted.items():
            torch.testing.assert_close(penalty.precision[name], w, rtol=1e-10, atol=1e-15)
            assert torch.equal(penalty.anchor[name], copies(model)[name]), task
        assert max(float(w.max()) for w in wanted.values()) > 0


def test_si_gathers_during_train_and_its_sum_is_the_loss_that_was_lost() -> None:
    torch.set_default_dtype(torch.float32)
    task = cl.mnist(400, 100)
    model, penalty = cl.mlp((20,), device="cpu"), cl.SI()
    split = task.train
    before = cl.evaluate(model, split).loss
    cl.train(model, split, penalty=penalty, lr=0.01, momentum=0.0, batch_size=400, epochs=40, progress=False)
    after = cl.evaluate(model, split).loss
    penalty._finish_step(dict(model.named_parameters()))
    assert float(sum(w.sum() for w in penalty.path.values())) == pytest.approx(before - after, rel=0.1)


def test_si_without_a_step_is_an_error_and_not_a_silent_zero() -> None:
    with pytest.raises(RuntimeError, match="no step"):
        cl.SI().consolidate(network(), data())


def test_mas_adds_up_output_sensitivities() -> None:
    model, penalty, wanted = network(), cl.MAS(), dict.fromkeys(copies(network()), 0.0)
    for _ in range(2):
        split = data()
        for name, w in cl.output_sensitivity(model, split).items():
            wanted[name] = wanted[name] + w
        penalty.consolidate(model, split)
        moved(model)
    for name, w in wanted.items():
        torch.testing.assert_close(penalty.precision[name], w)


@pytest.mark.parametrize("kind", KINDS)
def test_closed_form_gradient_is_autograds(kind: str) -> None:
    penalty, model = consolidated(kind)
    before = [torch.randn_like(p) for p in model.parameters()]
    for p, g in zip(model.parameters(), before, strict=True):
        p.grad = g.clone()
    wanted = torch.autograd.grad(17.0 / 2 * penalty(model), list(model.parameters()))
    penalty.add_gradient(model, 17.0)
    for p, g, w in zip(model.parameters(), before, wanted, strict=True):
        torch.testing.assert_close(p.grad, g + w, rtol=1e-10, atol=1e-12)
    assert max(float(w.abs().max()) for w in wanted) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_proximal_step_is_the_minimum_it_claims(kind: str) -> None:
    penalty, model = consolidated(kind)
    theta = copies(model)
    for c in (0.3, 0.3, 40.0, 0.3):  # the second uses what the first has kept
        start = copies(model)
        penalty.proximal_step(model, c)
        loss = sum((p - start[n]).square().sum() / 2 for n, p in model.named_parameters()) + c / 2 * penalty(model)
        assert max(float(g.abs().max()) for g in torch.autograd.grad(loss, list(model.parameters()))) < 1e-12
    assert any(not torch.equal(p, theta[n]) for n, p in model.named_parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_proximal_step_after_consolidation_uses_the_new_precision(kind: str) -> None:
    penalty, model = consolidated(kind, tasks=1)
    penalty.proximal_step(model, 0.5)
    split = data()
    a_step(model, penalty, split)
    penalty.consolidate(model, split)
    moved(model)
    before = copies(model)
    penalty.proximal_step(model, 0.5)
    for name, p in model.named_parameters():
        weight, m = 0.5 * penalty.precision[name], penalty.anchor[name]
        torch.testing.assert_close(p.detach(), (before[name] + weight * m) / (1 + weight))


@pytest.mark.parametrize("kind", KINDS)
def test_state_survives_a_file(kind: str) -> None:
    penalty, model = consolidated(kind)
    split = data()
    a_step(model, penalty, split)  # in the middle of a task
    file = io.BytesIO()
    torch.save(penalty.state_dict(), file)
    file.seek(0)
    loaded = KINDS[kind]()
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert loaded.n_tasks == penalty.n_tasks == 3
    assert torch.equal(loaded(model), penalty(model))
    for each in (penalty, loaded):
        twin = copy.deepcopy(model)
        a_step(twin, each, split)
        each.consolidate(twin, split)
    for name, p in penalty.precision.items():
        assert torch.equal(loaded.precision[name], p)


def test_a_state_is_a_copy() -> None:
    penalty, model = consolidated("EWC")
    state = penalty.state_dict()
    value = float(penalty(model))
    penalty.consolidate(model, data())
    other = cl.EWC()
    other.load_state_dict(state)
    other.consolidate(model, data())
    again = cl.EWC()
    again.load_state_dict(state)
    assert float(again(model)) == value


def test_a_wrong_state_gets_a_clear_error() -> None:
    penalty, _ = consolidated("EWC")
    with pytest.raises(ValueError, match=r"EWC, this is L2"):
        cl.L2().load_state_dict(penalty.state_dict())
    with pytest.raises(ValueError, match="entries"):
        cl.EWC().load_state_dict({"precision": {}})
    with pytest.raises(ValueError, match="entries"):
        cl.EWC().load_state_dict(3)
    broken = penalty.state_dict()
    del broken["anchor"]["0.bias"]
    with pytest.raises(ValueError, match="precision and anchor"):
        cl.EWC().load_state_dict(broken)


@pytest.mark.parametrize("kind", KINDS)
def test_it_follows_the_model_to_another_type_and_device(kind: str) -> None:
    penalty, model = consolidated(kind)
    wanted = copies(model)
    assert penalty.to("cpu") is penalty
    half = copy.deepcopy(model).float()
    penalty.proximal_step(half, 1.0)
    twin, _ = penalty, penalty.proximal_step(model, 1.0)
    for name, p in half.named_parameters():
        assert p.dtype == torch.float32
        torch.testing.assert_close(p, dict(model.named_parameters())[name].float(), rtol=1e-4, atol=1e-5)
    assert any(not torch.equal(p, wanted[n]) for n, p in model.named_parameters()), twin
    with pytest.raises(ValueError, match="device"):
        penalty.to("nowhere")


class Growing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.heads = nn.Linear(4, 5), nn.ModuleList([nn.Linear(5, 3)])

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[-1](self.body(x).tanh())


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_head_is_free_until_it_is_consolidated(kind: str) -> None:
    model, penalty = Growing(), KINDS[kind]()
    penalty, model = consolidated(kind, tasks=2, model=model)
    model.heads.append(nn.Linear(5, 3))
    new = copies(model.heads[1])
    value = float(penalty(model))
    moved(model.heads[1])
    assert float(penalty(model)) == value
    moved(model.heads[1])
    free = copies(model.heads[1])
    penalty.proximal_step(model, 1e6)
    assert all(torch.equal(p, free[n]) for n, p in model.heads[1].named_parameters())
    assert any(not torch.equal(p, new[n]) for n, p in model.heads[1].named_parameters())
    model.zero_grad()
    penalty.add_gradient(model, 5.0)
    assert model.heads[1].weight.grad is None and model.body.weight.grad is not None
    split = data()
    for _ in range(3):
        a_step(model, penalty, split)
    penalty.consolidate(model, split)
    kept, precision = copies(model), penalty.precision
    assert float(precision["heads.1.weight"].max()) > 0
    moved(model)
    penalty.proximal_step(model, 1e12)
    important = precision["heads.1.weight"] > 1e-9
    torch.testing.assert_close(model.heads[1].weight[important], kept["heads.1.weight"][important], atol=1e-6, rtol=0)
    penalty.load_state_dict(penalty.state_dict())
    model.heads.append(nn.Linear(5, 3))
    cl.train(model, data(), penalty=penalty, strength=1e3, epochs=2, progress=False)


def test_growing_ewc_is_still_the_sum_of_its_tasks() -> None:
    model, penalty, tasks = Growing(), cl.EWC(), []
    for _ in range(3):
        split = data()
        tasks.append((cl.diagonal_fisher(model, split), copies(model)))
        penalty.consolidate(model, split)
        model.heads.append(nn.Linear(5, 3))
        moved(model)
    theta = dict(model.named_parameters())
    total = sum((f[n] * (theta[n] - a[n]).square()).sum() for f, a in tasks for n in f)
    torch.testing.assert_close(penalty(model), total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_later_stays_held_and_does_not_move(kind: str) -> None:
    penalty, model = consolidated(kind, tasks=2)
    model[0].requires_grad_(False)
    value, before = float(penalty(model)), copies(model)
    precision = penalty.precision["0.weight"].clone()
    penalty.proximal_step(model, 10.0)
    assert torch.equal(model[0].weight, before["0.weight"]) and not torch.equal(model[2].weight, before["2.weight"])
    split = data()
    a_step(model, penalty, split)
    penalty.consolidate(model, split)
    assert torch.equal(penalty.precision["0.weight"], precision)
    assert value > 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: cl.mlp((100,), device="cpu"), lambda: cl.mlp((50,), device="cpu")),
        (lambda: cl.mlp((100,), device="cpu"), lambda: cl.mlp((100, 100), device="cpu")),
        (lambda: cl.mlp((100, 100), device="cpu"), lambda: cl.mlp((100,), device="cpu")),
        (lambda: cl.mlp((100,), device="cpu"), lambda: cl.article_cnn(device="cpu")),
        (lambda: cl.article_cnn(device="cpu"), lambda: cl.mlp((100,), device="cpu")),
        (lambda: cl.mlp((100,), device="cpu"), lambda: cl.mlp((100,), n_classes=9, device="cpu")),
    ],
)
def test_another_model_is_refused(one: Callable[[], nn.Module], other: Callable[[], nn.Module]) -> None:
    penalty, split = cl.EWC(), cl.mnist(20, 10).train
    penalty.consolidate(one(), split)
    uses = [
        lambda m: penalty(m),
        lambda m: penalty.consolidate(m, split),
        lambda m: penalty.add_gradient(m, 1.0),
        lambda m: penalty.proximal_step(m, 1.0),
        lambda m: cl.train(m, split, penalty=penalty, epochs=1, progress=False),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="consolidated on another model"):
            use(other())
    assert penalty.n_tasks == 1


def test_l2_does_not_hold_the_heads_of_tasks_to_come() -> None:
    model, penalty, split = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6)), cl.L2(), data()
    penalty.consolidate(model, split, classes=(0, 1, 2))
    assert penalty.precision["2.weight"].tolist() == [[1.0] * 5] * 3 + [[0.0] * 5] * 3
    assert penalty.precision["2.bias"].tolist() == [1.0] * 3 + [0.0] * 3
    assert bool((penalty.precision["0.weight"] == 1).all())
    later = cl.Split(split.x, split.y + 3)
    penalty.consolidate(model, later, classes=(3, 4, 5))
    assert penalty.precision["2.bias"].tolist()[3:] == [1.0] * 3


@pytest.mark.parametrize("kind", ["EWC", "OnlineEWC", "MAS", "L2"])
def test_a_loader_consolidates_as_its_tensors_do(kind: str) -> None:
    model, split = network(), data()
    one, two = KINDS[kind](), KINDS[kind]()
    one.consolidate(model, split)
    two.consolidate(model, DataLoader(TensorDataset(split.x, split.y), batch_size=7))
    for name, p in one.precision.items():
        torch.testing.assert_close(two.precision[name], p, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_stability_limit_is_where_the_gradient_step_breaks(momentum: float) -> None:
    penalty, model = consolidated("EWC", tasks=1)
    lr = 0.05
    limit = penalty.stability_limit(lr, momentum)
    largest = max(float(p.max()) for p in penalty.precision.values())
    assert limit == pytest.approx(2 * (1 + momentum) / (lr * largest), rel=1e-12)
    ends = {}
    for factor in (0.98, 1.02):
        twin = copy.deepcopy(model)
        optimizer = torch.optim.SGD(twin.parameters(), lr=lr, momentum=momentum)
        start = float(penalty(twin))
        for _ in range(3000):
            optimizer.zero_grad()
            penalty.add_gradient(twin, factor * limit)
            optimizer.step()
        ends[factor] = float(penalty(twin)) / start
    assert ends[0.98] < 1 < ends[1.02]


def test_the_limit_before_any_task_and_of_nonsense() -> None:
    assert cl.EWC().stability_limit(0.1, 0.9) == math.inf
    penalty, _ = consolidated("EWC", tasks=1)
    assert penalty.stability_limit(0.0) == math.inf
    for lr, momentum in ((-1.0, 0.0), (0.1, 1.0), (math.nan, 0.0)):
        with pytest.raises(ValueError, match=r"lr|momentum"):
            penalty.stability_limit(lr, momentum)


def test_train_warns_before_it_starts_if_the_strength_is_too_large() -> None:
    penalty, model = consolidated("EWC", tasks=1)
    limit = penalty.stability_limit(0.05, 0.9)
    before = copies(model)
    options = {"penalty": penalty, "step": "gradient", "progress": False}
    with pytest.warns(RuntimeWarning, match="survives") as caught:
        cl.train(model, data(), strength=1.01 * limit, epochs=0, **options)
    assert caught[0].filename == __file__
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.train(model, data(), strength=0.99 * limit, epochs=0, **options)
        cl.train(model, data(), strength=1e9, epochs=1, penalty=penalty, progress=False)
        cl.train(model, data(), strength=1.01 * limit, epochs=0, optimizer=lambda p: torch.optim.Adam(p), **options)
    with pytest.warns(RuntimeWarning, match="survives"):
        own = lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9)  # noqa: E731
        cl.train(model, data(), strength=0.99 * limit, epochs=0, optimizer=own, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strength_1e12_is_finite_and_holds_what_matters(dtype: torch.dtype) -> None:
    first, second = cl.permuted_mnist(n_tasks=2, n_train=1000, n_test=100)
    model, penalty = cl.mlp((50,), device="cpu").to(dtype), cl.EWC()
    cl.train(model, first, epochs=2, progress=False)
    penalty.consolidate(model, first)
    run = cl.train(model, second, penalty=penalty, strength=1e12, epochs=2, progress=False)
    assert all(math.isfinite(x) for x in run.loss) and not run.diverged
    freedom = 0.0
    for name, p in model.named_parameters():
        assert bool(torch.isfinite(p).all())
        f, gap = penalty.precision[name], (p - penalty.anchor[name]).abs()
        freedom = max(freedom, float(gap.max()))
        # A pull of strength * F moves the balance with the loss's gradient (below 1 here) to within 1 / (strength * F).
        assert bool((gap <= 1 / (1e12 * f) + 1e-6)[f > 0].all())
        assert float(gap[f > 1e-9].max()) < 1e-3
    assert freedom > 1e-3  # where F = 0 the weights are free


def test_memory_and_state_do_not_grow_with_the_tasks() -> None:
    penalty, model = consolidated("EWC", tasks=1)

    def size() -> int:
        return sum(t.numel() for kept in penalty._tensors().values() for t in kept.values())

    one = size()
    for _ in range(49):
        penalty.consolidate(model, data(10))
        moved(model, 0.05)
    assert penalty.n_tasks == 50 and size() == one == 2 * sum(p.numel() for p in model.parameters())


def test_a_penalty_whose_precision_is_changed_by_hand_acts_as_it_now_is() -> None:
    model, anchor = cl.mlp((3,), n_inputs=2, n_classes=2, device="cpu"), None
    penalty = cl.L2()
    penalty.consolidate(model, cl.Split(torch.randn(6, 2), torch.tensor([0, 1] * 3)))
    anchor = {name: t.clone() for name, t in penalty.anchor.items()}

    def pulled() -> dict[str, torch.Tensor]:
        """Where weights that lie 1 above the anchor are after one step with c = 1."""
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(anchor[name] + 1.0)
        penalty.proximal_step(model, 1.0)
        return {name: p.detach() - anchor[name] for name, p in model.named_parameters()}

    assert all(torch.allclose(gap, torch.tensor(0.5)) for gap in pulled().values())  # 1 / (1 + c P)
    penalty.precision = {name: torch.zeros_like(t) for name, t in penalty.precision.items()}
    assert all(torch.allclose(gap, torch.tensor(1.0)) for gap in pulled().values())
    for t in penalty.precision.values():
        t.fill_(3.0)  # in place
    assert all(torch.allclose(gap, torch.tensor(0.25)) for gap in pulled().values())
    penalty.load_state_dict({**penalty.state_dict(), "precision": {n: t / 3 for n, t in penalty.precision.items()}})
    assert all(torch.allclose(gap, torch.tensor(0.5)) for gap in pulled().values())


def test_l2_holds_the_same_weights_whether_it_is_given_a_task_or_a_loader() -> None:
    task = cl.split_classes(cl.mnist(n_train=200, n_test=100))[0]
    model = cl.mlp((5,), device="cpu")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(task.train.x, task.train.y), batch_size=40)
    held = []
    for data, classes in ((task, None), (loader, task.classes), (task.train, task.classes)):
        penalty = cl.L2()
        penalty.consolidate(model, data, classes)
        held.append(penalty.precision)
    assert held[0]["3.bias"].tolist() == [1.0, 1.0] + 8 * [0.0]
    assert all(torch.equal(other[name], t) for other in held[1:] for name, t in held[0].items())
    with pytest.raises(TypeError, match="data must be"):
        cl.L2().consolidate(model, 5)


def test_the_factor_of_the_proximal_step() -> None:
    assert penalties.proximal_factor(strength=100.0, lr=0.05, momentum=0.9) == pytest.approx(50.0)


def test_l2_goes_on_holding_a_head_that_has_learnt() -> None:
    tasks = cl.split_classes(cl.mnist(n_train=300, n_test=100))
    model, penalty = cl.mlp((5,), device="cpu"), cl.L2()
    for task in tasks[:2]:
        penalty.consolidate(model, task)
    assert penalty.precision["3.bias"].tolist() == 4 * [1.0] + 6 * [0.0]


def test_where_nothing_matters_the_first_anchor_stays_and_all_is_finite() -> None:
    model, penalty = network(), cl.EWC()
    first = copies(model)
    for _ in range(2):
        split = data()
        split.x[:, 2] = 0.0
        penalty.consolidate(model, split)
        moved(model)
    assert bool((penalty.precision["0.weight"][:, 2] == 0).all())
    assert torch.equal(penalty.anchor["0.weight"][:, 2], first["0.weight"][:, 2])
    assert math.isfinite(penalty.constant) and penalty.constant > 0
    assert all(bool(m.isfinite().all()) for m in penalty.anchor.values())


@pytest.mark.parametrize("kind", [cl.EWC, cl.OnlineEWC, cl.LatestEWC])
def test_ewc_computes_the_fisher_that_it_is_asked_for(kind: type[cl.EWC]) -> None:
    model, classes = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6)), (0, 1, 2, 4)
    split = cl.Split(2 * torch.randn(30, 4), torch.tensor(classes)[torch.randint(0, 4, (30,))])
    for options in ({"labels": "stratified", "n": 20, "seed": 5, "likeliest": 1}, {"labels": "true"}):
        penalty = kind(**options)
        penalty.consolidate(model, split, classes)
        for name, f in cl.diagonal_fisher(model, split, classes=classes, **options).items():
            assert torch.equal(penalty.precision[name], f)


def test_mas_and_output_sensitivity_look_at_the_samples_and_outputs_they_are_told() -> None:
    model, classes = network(), (0, 2)
    split = cl.Split(torch.randn(20, 4), torch.tensor([0, 2]).repeat(10))
    wanted = {name: torch.zeros_like(p) for name, p in copies(model).items()}
    for sample in split.x[:7].split(1):
        z = model(sample)[:, list(classes)]
        for name, g in zip(wanted, torch.autograd.grad(z.square().sum(), list(model.parameters())), strict=True):
            wanted[name] += g.abs() / 7
    penalty = cl.MAS(n=7)
    penalty.consolidate(model, split, classes)
    for name, found in cl.output_sensitivity(model, split, n=7, classes=classes).items():
        torch.testing.assert_close(found, wanted[name], rtol=1e-10, atol=1e-15)
        torch.testing.assert_close(penalty.precision[name], wanted[name], rtol=1e-10, atol=1e-15)


def assert_pulled_and_pushed(penalty: cl.Penalty, model: nn.Module) -> None:
    """Whether one step of each kind, with c = 30 and strength 30, is what its formula says; the frozen do not move."""
    before = copies(model)
    penalty.proximal_step(model, 30.0)
    for name, p in model.named_parameters():
        weight, m = 30.0 * penalty.precision[name], penalty.anchor[name]
        wanted = (before[name] + weight * m) / (1 + weight) if p.requires_grad else before[name]
        torch.testing.assert_close(p.detach(), wanted)
    model.zero_grad()
    penalty.add_gradient(model, 30.0)
    for name, p in model.named_parameters():
        assert (p.grad is not None) == p.requires_grad
        if p.grad is not None:
            torch.testing.assert_close(p.grad, 30.0 * penalty.precision[name] * (p.detach() - penalty.anchor[name]))


CHANGES: dict[str, Callable[[cl.Penalty, nn.Module], object]] = {
    "another state": lambda penalty, model: penalty.load_state_dict(consolidated("EWC", tasks=1)[0].state_dict()),
    "another type": lambda penalty, model: model.float(),
    "the first layer frozen": lambda penalty, model: model[0].requires_grad_(False),
    "the last layer frozen": lambda penalty, model: model[2].requires_grad_(False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_between_two_steps_is_seen(what: str) -> None:
    penalty, model = consolidated("EWC", tasks=1)
    penalty.load_state_dict(penalty.state_dict())  # its tensors are as new as those that may come
    assert_pulled_and_pushed(penalty, model)
    moved(model, 1.0)
    CHANGES[what](penalty, model)
    assert_pulled_and_pushed(penalty, model)


def test_a_factor_beyond_float32_is_finite_and_puts_weights_on_their_anchor() -> None:
    penalty, model = consolidated("L2", tasks=1)
    model.float()
    penalty.precision["0.weight"][:, 0] = 1e-3
    penalty.proximal_step(model, 1e39)
    for name, p in model.named_parameters():
        assert torch.equal(p.detach(), penalty.anchor[name])


@pytest.mark.parametrize("classes", [None, (0, 1)])
def test_l2_holds_a_dead_unit_too(classes: tuple[int, ...] | None) -> None:
    model, penalty = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), cl.L2()
    nn.init.constant_(model[0].bias[2:3], -1e3)
    penalty.consolidate(model, cl.Split(torch.randn(30, 4), torch.arange(30) % 2), classes)
    assert bool((penalty.precision["0.weight"] == 1).all()) and bool((penalty.precision["0.bias"] == 1).all())
    assert bool((penalty.precision["2.weight"][:, 2] == 1).all())


def test_weights_that_matter_nothing_stay_where_they_are_at_any_strength() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        precision = torch.tensor([0.0, 1e-3, 1.0], dtype=dtype)
        for c in (1e12, 1e39, 1e300):
            share = held.share(precision, c)
            assert share.dtype == dtype and share.tolist() == [0.0, pytest.approx(1.0, abs=1e-8), pytest.approx(1.0, abs=1e-8)]


def test_threads_may_hold_different_networks_by_one_penalty() -> None:
    penalty = cl.EWC()
    start = cl.mlp((300,), n_inputs=4, n_classes=3, device="cpu")
    penalty.consolidate(start, cl.Split(torch.randn(20, 4), torch.arange(20) % 3))

    def wrong(seed: int) -> int:
        model = cl.mlp((300,), n_inputs=4, n_classes=3, seed=seed, device="cpu")
        penalty.add_gradient(model, 3.0)
        right = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        count = 0
        for _ in range(400):
            model.zero_grad()
            penalty.add_gradient(model, 3.0)
            count += any(
                not torch.equal(p.grad, g) for p, g in zip(model.parameters(), right, strict=True) if p.grad is not None
            )
        return count

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(wrong, range(4))] == [0] * 4
