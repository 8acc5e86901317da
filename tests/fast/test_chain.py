"""The gradient of a chain is autograd's to the last bit, and what is no chain is left to autograd."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from small_networks import task, weights
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import cl_teach as cl
from cl_teach import training
from cl_teach.fast.chain import Chain, is_chain
from cl_teach.fast.pointwise import POINTWISE
from cl_teach.models import head

TYPES = [torch.float32, torch.float64, torch.bfloat16]


def network(*layers: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
    return nn.Sequential(*layers).to(dtype)


def between(kind: Callable[[], nn.Module], bias: bool = True, sizes: Sequence[int] = (12, 9, 33, 6)) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten()]
    for i, size in enumerate(sizes[1:]):
        layers += [nn.Linear(sizes[i], size, bias=bias), kind()]
    return layers[:-1]


def batch(n: int = 7, shape: Sequence[int] = (3, 4), dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, *shape, generator=generator).to(dtype), torch.randint(3, (n,), generator=generator)


def by_autograd(model: nn.Module, x: Tensor, y: Tensor, classes: Sequence[int] | None = None) -> tuple[Tensor, list[Tensor]]:
    loss = cross_entropy(head(model(x), classes), y)
    return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))


def assert_the_same(model: nn.Sequential, x: Tensor, y: Tensor, classes: Sequence[int] | None = None) -> None:
    assert is_chain(model)
    loss, gradients = by_autograd(model, x, y, classes)
    before, given = weights(model), x.clone()
    model.zero_grad()
    found = Chain(model, classes)(x, y)
    assert torch.equal(found, loss) and not found.requires_grad and torch.equal(x, given)
    for (name, p), g in zip(model.named_parameters(), gradients, strict=True):
        assert p.grad is not None and torch.equal(p.grad, g) and p.grad.dtype == p.dtype and bool(g.any()), name
        assert torch.equal(p, before[name])


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", [*POINTWISE, lambda: nn.ReLU(inplace=True), lambda: nn.ELU(0.7, inplace=True)])
def test_loss_and_gradient_are_those_of_autograd(kind: Callable[[], nn.Module], dtype: torch.dtype, bias: bool) -> None:
    model = network(*between(kind, bias), dtype=dtype)
    for n in (1, 2, 7, 128):
        assert_the_same(model, *batch(n, dtype=dtype))


@pytest.mark.parametrize("classes", [(0, 2, 5), (1, 2, 3), (0, 1, 2, 3, 4, 5)])
def test_the_classes_that_take_part(classes: tuple[int, ...]) -> None:
    model = network(*between(nn.ReLU))
    assert_the_same(model, *batch(), classes)
    others = [c for c in range(6) if c not in classes]
    for p in (model[-1].weight, model[-1].bias):
        assert p.grad is not None and not p.grad[others].any()  # type: ignore[union-attr]


def test_the_mnist_network() -> None:
    model = cl.mlp(hidden=(100, 100), device="cpu")
    assert_the_same(model, *batch(128, (1, 28, 28)))


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Linear(12, 4)],
        lambda: [nn.Tanh(), nn.Linear(12, 5), nn.ReLU(), nn.Tanh(), nn.GELU(), nn.Linear(5, 4), nn.Sigmoid()],
        lambda: [nn.Flatten(), nn.ReLU(), nn.Linear(12, 5), nn.Linear(5, 4)],
        lambda: [nn.Linear(12, 5), (twice := nn.Tanh()), nn.Linear(5, 5), twice, nn.Linear(5, 4)],
    ],
    ids=["one layer", "several between", "before the first", "the same layer twice"],
)
def test_chains_of_other_forms(layers: Callable[[], list[nn.Module]]) -> None:
    assert_the_same(network(*layers()), *batch(shape=(12,)))


def test_a_loss_that_is_not_finite_is_given_as_it_is() -> None:
    model = network(*between(nn.ReLU))
    x, y = batch()
    assert not Chain(model, None)(1e30 * x * 1e30, y).isfinite()


def test_gradients_are_added_to_those_that_are_there() -> None:
    model, (x, y) = network(*between(nn.ReLU)), batch()
    flat = torch.full((sum(p.numel() for p in model.parameters()),), 0.5)
    pieces = flat.split([p.numel() for p in model.parameters()])
    for p, piece in zip(model.parameters(), pieces, strict=True):
        p.grad = piece.view_as(p)  # as some optimisers keep them
    _, gradients = by_autograd(model, x, y)
    Chain(model, None)(x, y)
    assert torch.equal(flat, torch.cat([0.5 + g.flatten() for g in gradients]))


def test_the_layers_that_are_known() -> None:
    known = {nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Identity}
    assert set(POINTWISE) == known


@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize(
    ("make", "options"),
    [(cl.EWC, {"strength": 20.0}), (cl.EWC, {"strength": 2.0, "step": "gradient"}), (cl.L2, {"strength": 0.1}),
     (cl.SI, {"strength": 1.0})],
)  # fmt: skip
def test_training_is_the_same_to_the_last_bit(
    make: Any, options: dict[str, Any], momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task((0, 1, 2), n=50, shape=(3, 4)), task((2, 4), n=40, shape=(3, 4))]
    ends = []
    for quick in (True, False):
        model = network(*between(nn.ReLU))
        if not quick:
            monkeypatch.setattr(training, "is_chain", lambda model: False)
            monkeypatch.setattr(training, "Chain", None)
        run = cl.learn(model, tasks, make(), momentum=momentum, batch_size=8, progress=False, **options)
        ends.append((weights(model), [h.loss for h in run.histories]))
    (one, losses), (other, others) = ends
    assert losses == others and all(torch.equal(one[name], other[name]) for name in one)


def _hooked(register: Callable[[nn.Sequential], object]) -> nn.Sequential:
    model = network(*between(nn.ReLU))
    register(model)
    return model


def _overridden(model: nn.Sequential) -> None:
    model[1].forward = lambda x: 2 * x @ model[1].weight.T  # type: ignore[method-assign, operator, union-attr, assignment]


class OtherLinear(nn.Linear):
    pass


class OtherChain(nn.Sequential):
    pass


class OtherParameter(nn.Parameter):
    pass


def _put(p: Any) -> Callable[[nn.Sequential], object]:
    return lambda m: setattr(m[1], "weight", p(m[1].weight.detach()))  # type: ignore[operator, union-attr]


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "a hook of an activation": lambda: _hooked(lambda m: m[2].register_forward_hook(lambda *_: None)),
    "a forward of an activation": lambda: _hooked(lambda m: setattr(m[2], "forward", lambda x: x)),
    "a frozen bias": lambda: _hooked(lambda m: m[1].bias.requires_grad_(False)),  # type: ignore[operator, union-attr]
    "a parameter of one's own": lambda: _hooked(_put(OtherParameter)),
    "weights column by column": lambda: _hooked(_put(lambda w: nn.Parameter(w.t().contiguous().t()))),
    "sparse weights": lambda: _hooked(_put(lambda w: nn.Parameter(w.to_sparse_csr()))),
    "a forward hook": lambda: _hooked(lambda m: m[1].register_forward_hook(lambda *_: None)),
    "a hook before": lambda: _hooked(lambda m: m[1].register_forward_pre_hook(lambda *_: None)),
    "a hook of the whole": lambda: _hooked(lambda m: m.register_forward_hook(lambda *_: None)),
    "a hook backward": lambda: _hooked(lambda m: m[1].register_full_backward_hook(lambda *_: None)),
    "a hook before it": lambda: _hooked(lambda m: m[1].register_full_backward_pre_hook(lambda *_: None)),
    "a hook of a weight": lambda: _hooked(lambda m: m[1].weight.register_hook(lambda g: 2 * g)),  # type: ignore[operator, union-attr]
    "a hook after it": lambda: _hooked(lambda m: m[1].weight.register_post_accumulate_grad_hook(lambda p: None)),  # type: ignore[operator, union-attr]
    "a forward of its own": lambda: _hooked(_overridden),
    "a frozen weight": lambda: _hooked(lambda m: m[1].weight.requires_grad_(False)),  # type: ignore[operator, union-attr]
    "weight norm": lambda: _hooked(lambda m: nn.utils.parametrizations.weight_norm(m[1])),  # type: ignore[arg-type]
    "a shared layer": lambda: nn.Sequential(layer := nn.Linear(4, 4), nn.ReLU(), layer),
    "flat from 0": lambda: nn.Sequential(nn.Flatten(0, 1), nn.Linear(4, 4)),
    "flat from 2": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(4, 4)),
    "flat to -2": lambda: nn.Sequential(nn.Flatten(1, -2), nn.Linear(4, 4)),
    "flat in the middle": lambda: nn.Sequential(nn.Linear(4, 4), nn.Flatten()),
    "dropout": lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout()),
    "a softmax": lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)),
    "a chain in a chain": lambda: nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4))),
    "a linear layer of one's own": lambda: nn.Sequential(OtherLinear(4, 4)),
    "a chain of one's own": lambda: OtherChain(nn.Linear(4, 4)),
    "a layer alone": lambda: nn.Linear(4, 4),
    "nothing": nn.Sequential,
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_chain_is_left_to_autograd(name: str) -> None:
    assert not is_chain(OTHERS[name]())


def test_settings_outside_the_network_count_too() -> None:
    model = network(*between(nn.ReLU))
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_chain(model)
    with torch.autograd.detect_anomaly(check_nan=False):
        assert not is_chain(model)
    registers = (nn.modules.module.register_module_forward_hook, nn.modules.module.register_module_full_backward_hook)
    for register in registers:
        handle = register(lambda *_: None)
        try:
            assert not is_chain(model)
        finally:
            handle.remove()
    assert is_chain(model)


@pytest.mark.parametrize("kind", [nn.Linear, nn.ReLU])
def test_a_layer_whose_class_was_changed_is_left_to_autograd(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(*between(nn.ReLU))
    monkeypatch.setattr(kind, "forward", lambda self, x: x)
    assert not is_chain(model)


class Holding(cl.EWC):
    """Looks at the network in every step, and lets its first weights learn in one step only."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def observe(self, model: nn.Module) -> None:
        first = model.get_parameter("1.weight")
        self.seen.append(first.detach().clone())
        first.requires_grad_(False)


class Noisy(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step()
        for group in self.param_groups:
            for p in group["params"]:
                p.data += 0.1 * torch.randn_like(p)


def test_what_others_do_in_a_step_is_seen() -> None:
    data, penalty, ends = task((0, 1), n=32, shape=(3, 4)), Holding(), list[Any]()
    options: dict[str, Any] = {"epochs": 1, "batch_size": 8, "progress": False}
    cl.train(network(*between(nn.ReLU)), data, penalty=penalty, **options)
    first, second, third, fourth = penalty.seen
    assert not torch.equal(first, second) and torch.equal(second, third) and torch.equal(third, fourth)
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = network(*between(nn.ReLU))
        state = torch.get_rng_state()
        cl.train(model, data, optimizer=lambda p: Noisy(p, lr=0.1), **options)
        assert torch.equal(torch.get_rng_state(), state)
        ends.append(weights(model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_watching_a_shuffled_loader_leaves_the_random_state_alone() -> None:
    x, y = batch(8)
    model, loader = network(*between(nn.ReLU)), DataLoader(TensorDataset(x, y), batch_size=2, shuffle=True)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    cl.train(model, cl.Split(x, y), epochs=1, watch={"w": loader}, progress=False)
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_learn_what_one_learns_alone() -> None:
    tasks = [task((0, 1, 2), n=60, shape=(3, 4)), task((1, 2, 3), n=60, shape=(3, 4))]

    def learnt(seed: int) -> Tensor:
        model = cl.mlp((9,), n_inputs=12, n_classes=6, seed=seed, device="cpu")
        x, y = tasks[0].train.x.float(), tasks[0].train.y
        loader: Any = DataLoader(TensorDataset(x, y), batch_size=20, shuffle=True)
        cl.train(model, loader if seed % 2 else [(x, y)] * 9, seed=seed, progress=False)
        for other in range(20):  # while others draw the order of a loader
            cl.mlp((50,), n_inputs=12, n_classes=6, seed=other, device="cpu")
        again = cl.mlp((9,), n_inputs=12, n_classes=6, seed=seed, device="cpu")
        cl.train(again, tasks[1], epochs=1, progress=False)
        with torch.no_grad():
            for p, q in zip(model.parameters(), again.parameters(), strict=True):
                p.add_(q)
        cl.learn(model, tasks, cl.EWC(labels="sample"), 10.0, batch_size=8, progress=False, step="gradient")
        return torch.cat([t.flatten() for t in weights(model).values()])

    with ThreadPoolExecutor(4) as threads:
        together = [*threads.map(learnt, range(8))]
    assert all(torch.equal(one, learnt(seed)) for seed, one in enumerate(together))


def test_a_hook_is_called_in_training() -> None:
    model, seen = network(*between(nn.ReLU)), list[tuple[int, ...]]()
    model[1].weight.register_hook(lambda g: seen.append(tuple(g.shape)))  # type: ignore[operator, union-attr]
    cl.train(model, task((0, 1), n=16, shape=(3, 4)), epochs=1, batch_size=8, progress=False)
    assert seen == [(9, 12)] * 2
