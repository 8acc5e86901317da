"""Small networks and data that several tests share, what everybody writes first, and what must not be left changed."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.landscapes import Plane

Named = dict[str, Tensor]


def weights(model: nn.Module) -> Named:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def flat(named: Named) -> Tensor:
    return torch.cat([t.flatten().double() for t in named.values()])


def tiny(seed: int = 0, hidden: int = 5, **options: Any) -> nn.Sequential:
    return cl.mlp((hidden,), n_inputs=4, n_classes=3, seed=seed, device="cpu", **options).double()


def task(labels: tuple[int, ...] = (0, 1, 2), n: int = 12, shape: tuple[int, ...] = (4,), name: str = "A") -> cl.Task:
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    data = cl.Split(x, torch.tensor(labels)[torch.arange(n) % len(labels)])
    return cl.Task(name, data, data, classes=labels)


def perturbed(model: nn.Module, seed: int, size: float = 0.3) -> Named:
    generator = torch.Generator().manual_seed(seed)
    return {
        n: p + size * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for n, p in weights(model).items()
    }


def with_nan(named: Named) -> Named:
    return {name: t.clone().index_fill_(0, torch.tensor([0]), torch.nan) for name, t in named.items()}


class Tied(nn.Module):
    """The first weights are used once more, outside the call of their layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh() @ self.first.weight)


def twice() -> nn.Module:
    """One layer in two places."""
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.ReLU(), nn.Linear(4, 3))


def batch_normed() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3))
    model.double()(task().train.x)  # running statistics that are not 0 and 1
    return model


def conv(**options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3, **options), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


IMAGES = {"shape": (1, 5, 5)}
KINDS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {  # name -> model, its task
    "MLP": (tiny, {}),
    "CNN": (conv, IMAGES),
    "batch norm": (batch_normed, {}),
    "tied weights": (Tied, {}),
}


def naive(model: nn.Module, plane: Plane, data: cl.Split | cl.Task, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """What everybody writes first: set the weights, evaluate, for each point."""
    model = copy.deepcopy(model)
    loss, accuracy = torch.zeros(2, len(ys), len(xs), dtype=torch.float64)
    for i, y in enumerate(ys.tolist()):
        for j, x in enumerate(xs.tolist()):
            with torch.no_grad():
                for name, value in plane.point(x, y).items():
                    model.get_parameter(name).copy_(value)
            found = cl.evaluate(model, data)
            loss[i, j], accuracy[i, j] = found.loss, found.accuracy
    return loss, accuracy


def state(model: nn.Module) -> list[Any]:
    """All of a model that could be left changed."""
    found: list[Any] = [torch.get_rng_state().tolist()]
    for module in model.modules():
        found += [module.training, sorted(vars(module)), len(module._forward_hooks), len(module._forward_pre_hooks)]
    for name, p in model.named_parameters():
        found += [name, id(p), p.data_ptr(), p.requires_grad, p.tolist(), None if p.grad is None else p.grad.tolist()]
    return found + [b.tolist() for b in model.buffers()]


def assert_given_back(kind: str, use: Callable[[nn.Module, Plane, cl.Task], object]) -> None:
    """Whether the model is as it was after ``use``, and after a ``use`` that was interrupted."""
    make, options = KINDS[kind]
    model, data = make().double(), task(**options)
    model(data.train.x).sum().backward()
    next(model.children()).eval()  # a mode of its own
    plane = cl.landscapes.plane_through(*(perturbed(model, seed) for seed in range(3)))
    before = state(model)
    use(model, plane, data)
    assert state(model) == before
    calls = 0

    def interrupt(module: nn.Module, args: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 9:
            raise KeyboardInterrupt

    list(model.children())[-1].register_forward_pre_hook(interrupt)
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        for _ in range(10):
            use(model, plane, data)
    assert state(model) == before


def assert_refused(call: Callable[[], object], argument: str, given: str, works: str, *models: nn.Module) -> None:
    """Whether ``call`` gets one clear error, and leaves ``models`` as they were."""
    before = [state(model) for model in models]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert re.match(rf"{argument}\b", message), f"the message does not begin with {argument}: {message}"
    assert re.search(given, message), f"the message does not show what was given: {message}"
    assert re.search(works, message), f"the message does not say what works: {message}"
    assert "\n" not in message and len(message) < 400
    assert [state(model) for model in models] == before


BAD_DATA = [  # what is wrong, data for ``tiny()``, and what the error names, shows and says: argument, given, works
    ("none", [], "data", "none", "at least one"),
    ("a tensor", torch.linspace(0, 1, 3), "data", "Tensor", "a list of Task"),
    ("of one name", [task(), task()], "data", r"\['A', 'A'\]", "different names"),
    ("too wide", task(shape=(7,)), "model", r"\(12, 7\)", "4x5"),
    ("with too many labels", task((0, 3)), "y", "class 3", "0 to 2"),
]
