"""The gradient of a chain is autograd's to the last bit, and what is no chain is left to autograd."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from small_networks import task, weights
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

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


def test_all_labels_but_those_of_the_batch_are_as_large_as_they_may_be() -> None:
    """A loss that is not finite is one here too."""
    model = network(*between(nn.ReLU))
    x, y = batch()
    assert not Chain(model, None)(1e30 * x * 1e30, y).isfinite()


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


OTHERS: dict[str, Callable[[], nn.Module]] = {
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
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not is_chain(model)
    finally:
        handle.remove()
    assert is_chain(model)


def test_a_hook_is_called_in_training() -> None:
    model, seen = network(*between(nn.ReLU)), list[tuple[int, ...]]()
    model[1].weight.register_hook(lambda g: seen.append(tuple(g.shape)))  # type: ignore[operator, union-attr]
    cl.train(model, task((0, 1), n=16, shape=(3, 4)), epochs=1, batch_size=8, progress=False)
    assert seen == [(9, 12)] * 2
