"""EWC with a Kronecker-factored Fisher, against the dense matrix that it stands for."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_networks import flat, task, tiny
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import cl_teach as cl
from cl_teach import kronecker


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(2, 3, bias=False)).double()


SHAPES: dict[str, tuple[Any, tuple[int, ...]]] = {"linear": (tiny, (4,)), "convolutional": (convolutional, (1, 2, 2))}


def dense(model: nn.Module, data: cl.Task, **options: Any) -> Tensor:
    """R (x) S of each layer on the diagonal of one matrix, in the order of named_parameters()."""
    total, places, start = [], [], 0
    for layer, block in cl.kfac(model, data, **options).items():
        module = model.get_submodule(layer)
        o, i = len(block.outputs), module.weight[0].numel()
        total.append(torch.kron(block.outputs, block.inputs))
        columns = torch.arange(start, start + o * len(block.inputs)).view(o, -1)
        places.append(torch.cat([columns[:, :i].flatten(), columns[:, i:].flatten()]))
        start += columns.numel()
    order = torch.cat(places)
    return torch.block_diag(*total)[order][:, order]


def consolidated(
    kind: str, tasks: int, start: int = 0, **options: Any
) -> tuple[cl.KFAC, nn.Module, list[tuple[Tensor, Tensor]]]:
    """A penalty, its model away from every anchor, and the dense matrix and the anchor of each task; from several starts."""
    make, shape = SHAPES[kind]
    model, penalty, held = make(), cl.KFAC(**options), []
    if start:
        move(model, 100 + start)
    for k in range(tasks):
        data = task(n=9 + k, shape=shape)
        held.append((dense(model, data, **options), parameters_to_vector(model.parameters()).detach()))
        penalty.consolidate(model, data)
        move(model, k)
    return penalty, model, held


def move(model: nn.Module, seed: int = 0) -> None:
    theta = parameters_to_vector(model.parameters()).detach()
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    vector_to_parameters(theta + 0.5 * noise.to(theta), model.parameters())


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("kind", SHAPES)
def test_value_and_gradients_are_those_of_the_dense_quadratics(kind: str, tasks: int) -> None:
    penalty, model, held = consolidated(kind, tasks)
    theta = parameters_to_vector(model.parameters()).detach()
    value = sum(float((theta - m) @ f @ (theta - m)) for f, m in held)
    slope = torch.stack([f @ (theta - m) for f, m in held]).sum(0)
    assert penalty(model).item() == pytest.approx(value, rel=1e-10) and value > 1e-3
    through = torch.autograd.grad(penalty(model), list(model.parameters()))
    torch.testing.assert_close(torch.cat([g.flatten() for g in through]), 2 * slope, rtol=1e-9, atol=1e-12)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    penalty.add_gradient(model, 0.3)
    grown = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(grown, 1 + 0.3 * slope, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(flat(penalty.precision), torch.stack([f.diagonal() for f, _ in held]).sum(0), rtol=1e-9, atol=0)
    torch.testing.assert_close(flat(penalty.anchor), held[-1][1])


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("c", [0.05, 3.0, 1e4])
def test_the_proximal_step_solves_the_dense_system(kind: str, tasks: int, c: float) -> None:
    penalty, model, held = consolidated(kind, tasks)
    for _ in range(2):  # the second one with what the first has kept
        theta = parameters_to_vector(model.parameters()).detach()
        matrix = torch.eye(len(theta), dtype=torch.float64) + c * torch.stack([f for f, _ in held]).sum(0)
        wanted = torch.linalg.solve(matrix, theta + c * torch.stack([f @ m for f, m in held]).sum(0))
        penalty.proximal_step(model, c)
        torch.testing.assert_close(parameters_to_vector(model.parameters()).detach(), wanted, rtol=1e-4, atol=1e-5)
        move(model)


def test_another_strength_another_task_and_another_type_are_solved_anew() -> None:
    penalty, model, held = consolidated("linear", 1)
    penalty.proximal_step(model, 1.0)
    first = copy.deepcopy(model).float()
    move(first)
    before = parameters_to_vector(first.parameters()).detach().double()
    penalty.proximal_step(first, 2.0)
    (f, m) = held[0]
    wanted = m + torch.linalg.solve(torch.eye(len(m), dtype=torch.float64) + 2.0 * f, before - m)
    torch.testing.assert_close(parameters_to_vector(first.parameters()).detach().double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tasks", [1, 2])
def test_frozen_weights_stay_and_the_others_take_their_own_strengths(tasks: int) -> None:
    """The minimum over what may move, each with its own c: (1 + C F) d = ..., solved densely."""
    penalty, model, held = consolidated("linear", tasks)
    model[1].bias.requires_grad_(False)
    model[-1].weight.requires_grad_(False)
    theta = parameters_to_vector(model.parameters()).detach()
    each = dict(zip([name for name, _ in model.named_parameters()], (0.7, 5.0, 5.0, 2.0), strict=True))
    cs = torch.cat([torch.full((p.numel(),), each[n] * p.requires_grad) for n, p in model.named_parameters()]).double()
    matrix = torch.eye(len(theta), dtype=torch.float64) + cs[:, None] * torch.stack([f for f, _ in held]).sum(0)
    wanted = torch.linalg.solve(matrix, theta + cs * torch.stack([f @ m for f, m in held]).sum(0))
    penalty.proximal_step(model, each)
    torch.testing.assert_close(parameters_to_vector(model.parameters()).detach(), wanted, rtol=1e-4, atol=1e-5)
    penalty.add_gradient(model, 1.0)
    assert model[1].bias.grad is None and model[-1].weight.grad is None and model[1].weight.grad is not None


def test_no_strength_makes_it_diverge_and_none_raises_the_penalty() -> None:
    for tasks in (1, 3):
        penalty, model, _ = consolidated("linear", tasks)
        before = penalty(model).item()
        for c in (1e-12, 1.0, 1e8, 1e300):
            penalty.proximal_step(model, c)
            assert penalty(model).item() <= before * (1 + 1e-9) + 1e-20
            before = penalty(model).item()
        assert all(p.isfinite().all() for p in model.parameters())


def test_before_any_task_and_without_strength_it_does_nothing() -> None:
    model, penalty = tiny(), cl.KFAC()
    theta = parameters_to_vector(model.parameters()).detach()
    penalty.proximal_step(model, 1.0)
    penalty.add_gradient(model, 1.0)
    assert penalty(model).item() == 0 and penalty.stability_limit(0.1) == float("inf")
    penalty, model, _ = consolidated("linear", 2)
    theta = parameters_to_vector(model.parameters()).detach()
    penalty.proximal_step(model, 0.0)
    penalty.add_gradient(model, 0.0)
    assert torch.equal(theta, parameters_to_vector(model.parameters()).detach())
    assert all(p.grad is None for p in model.parameters())


def test_the_stability_limit_is_that_of_the_largest_eigenvalue() -> None:
    penalty, _, held = consolidated("linear", 1)
    largest = float(torch.linalg.eigvalsh(held[0][0])[-1])
    assert penalty.stability_limit(0.1, 0.5) == pytest.approx(2 * 1.5 / (0.1 * largest), rel=1e-9)
    penalty, _, held = consolidated("linear", 3)
    largest = float(torch.linalg.eigvalsh(torch.stack([f for f, _ in held]).sum(0))[-1])
    assert 0.3 < penalty.stability_limit(0.1) / (2 / (0.1 * largest)) <= 1


@pytest.mark.parametrize("labels", ["true", "sample"])
def test_options_reach_the_factors(labels: str) -> None:
    model, data = tiny(), task(n=12)
    penalty = cl.KFAC(labels, n=5, seed=3)
    penalty.consolidate(model, data)
    wanted = cl.kfac(model, data, labels, n=5, seed=3)
    other = cl.kfac(model, data)
    for layer, block in wanted.items():
        assert torch.equal(penalty.outputs[f"1 {layer}"], block.outputs)
        assert torch.equal(penalty.inputs[f"1 {layer}"], block.inputs)
        assert not torch.allclose(block.outputs, other[layer].outputs, rtol=0.01)


def test_classes_are_those_of_the_task() -> None:
    model, data = tiny(), task((0, 2))
    penalty = cl.KFAC()
    penalty.consolidate(model, data)
    assert not penalty.precision[[*penalty.precision][-1]][1].any() and penalty.precision[[*penalty.precision][-1]][0].any()


@pytest.mark.parametrize("tasks", [1, 2])
def test_state_survives_a_file(tasks: int) -> None:
    penalty, model, _ = consolidated("linear", tasks)
    torch.save(penalty.state_dict(), file := io.BytesIO())
    file.seek(0)
    loaded, twin = cl.KFAC(), copy.deepcopy(model)
    loaded.consolidate(tiny(seed=5), task())
    loaded.proximal_step(tiny(seed=6), 2.0)  # what it keeps of this must not outlive the loading
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert loaded.n_tasks == tasks and loaded(model).item() == penalty(model).item()
    for each, network in ((penalty, model), (loaded, twin)):
        each.proximal_step(network, 2.0)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_state_that_does_not_fit_together_is_refused_and_changes_nothing() -> None:
    penalty, model, _ = consolidated("linear", 1)
    value = penalty(model).item()
    for key in ("inputs", "outputs", "anchors"):
        broken = penalty.state_dict()
        name = next(iter(broken[key]))
        broken[key][name] = broken[key][name][:-1]
        with pytest.raises(ValueError, match=r"^state must have inputs \(I, I\), outputs"):
            penalty.load_state_dict(broken)
        broken[key].pop(name)
        with pytest.raises(ValueError, match=r"^state must have inputs"):
            penalty.load_state_dict(broken)
    assert penalty(model).item() == value
    with pytest.raises(ValueError, match="of a penalty EWC"):
        penalty.load_state_dict({**penalty.state_dict(), "kind": "EWC"})


def test_a_head_that_grows_is_free_until_it_is_consolidated() -> None:
    penalty, model, _ = consolidated("linear", 2)
    last = model[-1]
    wide = nn.Linear(last.in_features, 5).double()
    with torch.no_grad():
        wide.weight[:3], wide.bias[:3] = last.weight, last.bias
    twin, one = copy.deepcopy(model), cl.KFAC()
    one.consolidate(twin, task())
    pairs = [(held, copy.deepcopy(held)) for held in (penalty, one)]  # conjugate gradients, and one task alone
    model[-1] = wide
    new = wide.weight[3:].detach().clone()
    for held, narrow in pairs:
        move(twin)
        with torch.no_grad():
            for p, q in zip(model.parameters(), twin.parameters(), strict=True):
                p[: len(q)] = q
        assert held(model).item() == pytest.approx(narrow(twin).item(), rel=1e-12)
        held.proximal_step(model, 2.0)
        narrow.proximal_step(twin, 2.0)
        torch.testing.assert_close(wide.weight[:3], twin[-1].weight, rtol=1e-4, atol=1e-5)
    assert torch.equal(wide.weight[3:], new)
    penalty.consolidate(model, task((0, 4)))
    move(model)
    moved = wide.weight[3:].detach().clone()
    penalty.proximal_step(model, 2.0)
    assert not torch.equal(wide.weight[4], moved[1])


def test_learn_holds_three_tasks_that_a_free_network_forgets() -> None:
    digits = cl.mnist(n_train=300, n_test=300)
    train, test = (cl.Split(nn.functional.avg_pool2d(part.x, 4), part.y) for part in (digits.train, digits.test))
    tasks = cl.permuted(replace(digits, train=train, test=test), 3)
    options: dict[str, Any] = {"epochs": 10, "batch_size": 50, "progress": False}
    runs = {}
    for name, penalty in (("none", None), ("KFAC", cl.KFAC(n=100))):
        model = cl.mlp((20,), n_inputs=49, device="cpu")
        runs[name] = cl.learn(model, tasks, penalty, 3.0, **options)
    assert penalty is not None and penalty.n_tasks == 3 and len(penalty.inputs) == 6
    assert runs["KFAC"].accuracy[2, 0] > runs["none"].accuracy[2, 0] + 0.05


def test_the_gradient_step_works_in_train_and_warns_beyond_its_limit() -> None:
    data = task(n=40)
    model, penalty = tiny(), cl.KFAC()
    cl.train(model, data, epochs=5, progress=False)
    penalty.consolidate(model, data)
    limit = penalty.stability_limit(0.05, 0.9)
    with pytest.warns(RuntimeWarning, match="strength"):
        cl.train(copy.deepcopy(model), data, penalty=penalty, strength=1.1 * limit, step="gradient", epochs=1, progress=False)
    cl.train(model, data, penalty=penalty, strength=0.5 * limit, step="gradient", epochs=1, progress=False)
    assert all(p.isfinite().all() for p in model.parameters())


def test_what_it_cannot_hold_is_refused_by_one_clear_error() -> None:
    data = task(n=12)
    norm = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3)).double()
    shared = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)).double()
    shared[1].weight = shared[0].weight
    bias = tiny()
    bias[-1].weight.requires_grad_(False)
    for model, name in ((norm, r"1\.bias \(2"), (shared, r"1\.weight \(1"), (bias, r"\d\.bias \(1")):
        penalty = cl.KFAC()
        with pytest.raises(ValueError, match=rf"^model must have its trainable weights in Linear.* got {name} such\)") as error:
            penalty.consolidate(model, data)
        assert len(str(error.value)) < 400 and "\n" not in str(error.value) and penalty.n_tasks == 0 and not penalty.inputs
    norm[1].requires_grad_(False)
    cl.KFAC().consolidate(norm, data)
    with pytest.raises(ValueError, match="no Linear or ungrouped convolution layer"):
        cl.KFAC().consolidate(
            nn.Sequential(nn.Embedding(5, 3), nn.Flatten()), cl.Split(torch.zeros(2, 1).long(), torch.arange(2))
        )
    penalty, model, _ = consolidated("linear", 1)
    with pytest.raises(ValueError, match=r"^c must name parameters"):
        penalty.proximal_step(model, {"nothing": 1.0})
    with pytest.raises(ValueError, match=r"^c "):
        penalty.proximal_step(model, -1.0)
    with pytest.raises(ValueError, match="consolidated on another model"):
        penalty.proximal_step(tiny(hidden=6), 1.0)
    for options in ({"labels": "none"}, {"n": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))}"):
            cl.KFAC(**options)  # type: ignore[arg-type]


def test_conjugate_gradients_end_at_most_where_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them is not enough for three tasks, and lowers the penalty all the same."""
    penalty, model, _ = consolidated("linear", 3)
    twin = copy.deepcopy(model)
    penalty.proximal_step(twin, 3.0)
    monkeypatch.setattr(kronecker, "MOST", 1)
    before = penalty(model).item()
    penalty.proximal_step(model, 3.0)
    assert penalty(model).item() < before
    gap = parameters_to_vector(model.parameters()) - parameters_to_vector(twin.parameters())
    assert gap.abs().max() > 1e-4


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))  # whether rounding makes a small number of a 0 is chance
def test_a_huge_strength_leads_to_the_nearest_minimum_and_does_not_act_on_rounding_errors(tasks: int, seed: int) -> None:
    penalty, model, held = consolidated("linear", tasks, seed)
    theta = parameters_to_vector(model.parameters()).detach()
    pull = torch.stack([f @ (theta - m) for f, m in held]).sum(0)
    way = torch.linalg.pinv(torch.stack([f for f, _ in held]).sum(0), rtol=1e-12, hermitian=True) @ pull
    penalty.proximal_step(model, 1e300)
    assert (parameters_to_vector(model.parameters()) - theta).norm() <= 1.01 * way.norm()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize(("dtype", "smallest"), [(torch.float64, 1e-7), (torch.float32, 1e-3), (torch.bfloat16, 1e-1)])
@pytest.mark.parametrize("seed", range(3))
def test_eigenvalues_that_may_be_rounding_are_zero_at_any_scale(
    scale: float, dtype: torch.dtype, smallest: float, seed: int
) -> None:
    """All that are 0 in the single and double types that factors are added up in; what is larger is kept in every type."""
    turn = torch.linalg.qr(torch.randn(60, 60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).Q
    values = scale * torch.cat([torch.zeros(30), torch.logspace(math.log10(smallest), 1, 30)]).double()
    matrix = (turn @ values.diag() @ turn.T).to(dtype)
    found, vectors = (t.double() for t in kronecker._eigen(matrix))
    if dtype is not torch.bfloat16:
        assert not found[:30].any()
    torch.testing.assert_close(found[30:], values[30:], rtol=0.3 if dtype is torch.bfloat16 else 1e-3, atol=0.0)
    close = {"rtol": 0.0, "atol": 20 * torch.finfo(dtype).eps}
    torch.testing.assert_close(vectors @ found.diag() @ vectors.T / scale / 10, matrix.double() / scale / 10, **close)
