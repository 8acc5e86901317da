"""The same on every device there is; and no step of training waits for the host."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from elsewhere import NAME, Elsewhere, moved
from test_fisher import EDGES
from torch import Tensor, nn

import cl_teach as cl
from cl_teach import _checks
from cl_teach.course import versions
from cl_teach.reproduce.protocol import Learner, Protocol

DEVICES = [NAME, *(["cuda"] if torch.cuda.is_available() else [])]
CLASSES = 3


def data(device: str, seed: int = 1, n: int = 12) -> cl.Split:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return cl.Split(x, torch.arange(n) % CLASSES).to(device)


def images(device: str) -> cl.Task:
    x = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    part = cl.Split(x, torch.arange(12) % 4).to(device)
    return cl.Task("images", part, part, classes=(0, 1, 2, 3))


def task(device: str, seed: int = 1) -> cl.Task:
    return cl.Task(f"task {seed}", data(device, seed), data(device, seed + 1), classes=(0, 1, 2))


def model(device: str) -> nn.Module:
    return cl.mlp((6, 5), n_inputs=4, n_classes=CLASSES, device="cpu").double().to(device)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in network.named_parameters()}


def trained(device: str, make: Callable[[], cl.Penalty], step: str = "proximal") -> list[Any]:
    """Two tasks, and what a penalty made of them: its value, its state, and the weights."""
    network, penalty = model(device), make()
    run = cl.learn(network, [task(device), task(device, 3)], penalty, 10.0, step=step, batch_size=5)
    state = penalty.state_dict()
    return [run.accuracy, run.histories[1].loss, penalty(network), state["precision"], state["anchor"], weights(network)]


def plane(device: str) -> cl.landscapes.Plane:
    return cl.landscapes.random_plane(model(device))


def direction(network: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        n: torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p)
        for n, p in network.named_parameters()
        if p.requires_grad
    }


def replayed(device: str) -> cl.Task:
    memory = cl.Replay(3)
    memory.keep(task(device))
    return memory.mixed(task(device, 3))


def looked_at(device: str) -> list[Any]:
    """A plane through networks, its surface, its curvature, the way there, a line."""
    network, room = model(device), cl.landscapes
    start = copy.deepcopy(network)
    history = cl.train(network, data(device), watch={"A": data(device)}, keep_weights=True, every=2, batch_size=5)
    cut = room.plane_through(start, network)
    xs, ys = room.grid_around([room.trace(cut, history)], n=3)
    surface = room.loss_surface(network, cut, task(device), xs, ys)
    line = room.interpolate(network, start, network, data(device), n=3)
    curved = [room.plane_curvature(network, cut, data(device), full=full) for full in (True, False)]
    pushed = room.pushed(network, {name: w > 0 for name, w in weights(network).items()}, 0.1)
    return [cut.first, xs, ys, surface.loss, surface.accuracy, line.loss, curved, pushed]


PENALTIES = {
    "EWC": cl.EWC,
    "KFAC": cl.KFAC,
    "L2": cl.L2,
    "LatestEWC": cl.LatestEWC,
    "OnlineEWC": cl.OnlineEWC,
    "MAS": cl.MAS,
    "SI": cl.SI,
}
CALLS: dict[str, Callable[[str], Any]] = {  # public name -> what it gives on a device
    **{name: lambda device, make=make: trained(device, make) for name, make in PENALTIES.items()},
    "Replay": replayed,
    "Split": lambda device: data(device).first(5),
    "Task": task,
    "article_cnn": lambda device: weights(cl.article_cnn(device=device)),
    "diagonal_fisher": lambda device: [cl.diagonal_fisher(model(device), data(device), labels) for labels in LABELS],
    "evaluate": lambda device: cl.evaluate(model(device), task(device)),
    "fisher_vector_product": lambda device: cl.fisher_vector_product(m := model(device), data(device), direction(m)),
    "full_fisher": lambda device: cl.full_fisher(model(device), data(device)),
    "joint": lambda device: cl.joint([task(device), task(device, 3)]),
    "kfac": lambda device: [[block.inputs, block.outputs] for block in cl.kfac(model(device), data(device)).values()],
    "landscapes": looked_at,
    "learn": lambda device: trained(device, cl.EWC, step="gradient"),
    "mlp": lambda device: weights(cl.mlp(device=device)),
    "output_sensitivity": lambda device: cl.output_sensitivity(model(device), data(device)),
    "permuted": lambda device: cl.permuted(images(device), 2),
    "restricted_fisher": lambda device: cl.restricted_fisher(m := model(device), data(device), [direction(m)]),
    "rotated": lambda device: cl.rotated(images(device), (0, 30)),
    "split_classes": lambda device: cl.split_classes(images(device), 2),
    "suggest_strengths": lambda device: cl.suggest_strengths(consolidated(device)),
    "sweep": lambda device: cl.sweep(model(device), task(device), task(device, 3), strengths=[0, 10]).results,
    "train": lambda device: [cl.train(m := model(device), task(device), batch_size=5).loss, weights(m)],
    "two_weights": lambda device: cl.two_weights()(data("cpu").x[:, :2].float()),
}
LABELS = ("exact", "sample", "stratified", "true", "predicted")
WITHOUT = {  # public names that meet no tensor of a device, or only as something else in the table does
    *("Evaluation", "History", "Run", "Sweep", "Penalty"),  # what others return, or build on
    *("check", "claim", "progress", "setup"),  # of a lesson
    *("figures", "widgets", "device"),  # pictures: numbers are moved to the CPU when they are drawn
    *("mnist", "permuted_mnist", "rotated_mnist", "split_mnist", "two_weight_tasks"),  # data on the CPU; `Split.to` moves them
}


def consolidated(device: str) -> cl.EWC:
    penalty = cl.EWC()
    penalty.consolidate(model(device), data(device))
    return penalty


def test_every_public_name_is_called_on_each_device_or_declared_to_meet_none() -> None:
    assert set(CALLS) | WITHOUT == set(cl.__all__) and not set(CALLS) & WITHOUT


def numbers(result: Any) -> list[tuple[str, Tensor]]:
    """All tensors and numbers in a result, each with the kind of device that it is on, in order."""
    if isinstance(result, Tensor):
        return [(result.device.type, result.detach().cpu().double())]
    if isinstance(result, (int, float)):
        return [("", torch.tensor(result, dtype=torch.float64))]
    if isinstance(result, (Mapping, list, tuple)):
        parts = result.values() if isinstance(result, Mapping) else result
        return [number for part in parts for number in numbers(part)]
    return numbers(vars(result)) if hasattr(result, "__dict__") else []


COMES_BACK = ("evaluate", "suggest_strengths", "sweep", "two_weights")  # as numbers, or to the CPU
OF_DATA = ("Replay", "Split", "Task", "joint", "permuted", "rotated", "split_classes")  # they meet no model


def compared(call: Callable[[str], Any], device: str, atol: float, stays: bool = True) -> None:
    """Whether ``call`` gives on ``device`` what it gives on the CPU; and that some of it ``stays`` there."""
    with Elsewhere() if device == NAME else nullcontext():
        wanted, found = numbers(call("cpu")), numbers(call(device))
        assert wanted and len(wanted) == len(found)
        assert {place for place, _ in found} - {"", "cpu"} == ({device} if stays else set())
        for (_, w), (_, f) in zip(wanted, found, strict=True):
            size = max(1.0, float(w.nan_to_num(0).abs().max()) if w.numel() else 1.0)
            torch.testing.assert_close(f, w, rtol=1e-6, atol=atol * size, equal_nan=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CALLS)
def test_a_device_gives_what_the_cpu_gives(name: str, device: str) -> None:
    compared(CALLS[name], device, 1e-6, name not in COMES_BACK)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [name for name in CALLS if name not in OF_DATA])
def test_data_go_where_the_model_is(name: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, with all data on the CPU, as people have them."""
    monkeypatch.setattr(cl.Split, "to", lambda split, *args: split)
    compared(CALLS[name], device, 1e-6, name not in COMES_BACK)


def of_ones_own(name: str, device: str, forward: bool) -> list[Any]:
    """What Fishers, a penalty and training make of one of the networks that people bring; with ``forward`` derivatives too."""
    build, shape = EDGES[name]
    torch.manual_seed(0)
    network = moved(build().double(), device)
    x = torch.randn(6, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    part = cl.Split(x, torch.arange(6) % CLASSES).to(device)
    found = [cl.diagonal_fisher(network, part, labels) for labels in LABELS]
    found.append(cl.output_sensitivity(network, part))
    if forward:
        found.append(cl.fisher_vector_product(network, part, direction(network)))
        found.append(cl.landscapes.interpolate(network, network, network, part, n=2))
    found.append(cl.evaluate(network, part))
    for step in ("proximal", "gradient"):
        learner, penalty = copy.deepcopy(network), cl.EWC()
        penalty.consolidate(learner, part)
        cl.train(learner, part, penalty=penalty, strength=1.0, step=step, batch_size=3, lr=0.01)
        found.append(weights(learner))
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [name for name in EDGES if name != "dropout"])  # a device draws its own random numbers there
def test_a_network_of_ones_own_gives_on_a_device_what_it_gives_on_the_cpu(name: str, device: str) -> None:
    forward = device != NAME  # torch can break down on forward derivatives of what has no driver
    compared(lambda place: of_ones_own(name, place, forward), device, 1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dropout", [None, (0.2, 0.5)])
def test_a_run_of_a_table_is_the_same(
    dropout: tuple[float, float] | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same, and the same again, dropout included, though a device draws numbers of its own for that."""
    protocol = Protocol(4, (6,), 6, batch_size=4, steps=6, lr=0.01, double=True, dropout=dropout)
    part = [cl.Split(data("cpu", seed).x, torch.arange(12) % 2 + first) for seed, first in ((1, 0), (2, 2))]
    tasks = [cl.Task(f"{i}", split, split, (2 * i, 2 * i + 1)) for i, split in enumerate(part)]

    def run(place: str) -> list[Any]:
        monkeypatch.setattr(_checks, "of_the_lesson", torch.device(place))
        learner = Learner(protocol, cl.EWC(), 10.0, seed=1, quick=device != NAME)
        for task in tasks:
            learner.learn(task)
            learner.remember(task)
        return [weights(learner.model), learner.tested(tasks)]

    if dropout is None:
        compared(run, device, 1e-6)
    with Elsewhere() if device == NAME else nullcontext():
        one, two = numbers(run(device)), numbers(run(device))
        assert {where for where, _ in one} == {device, ""}
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(one, two, strict=True))


# round trips: where a device hands a number to Python, it and Python wait for one another


def trips(penalty: str, step: str, what: str, *, epochs: int, batch_size: int) -> tuple[int, int]:
    """How often training on 12 samples waits for the device, and how often it sends something there."""
    with Elsewhere() as there:
        network = cl.mlp((6,), n_inputs=4, n_classes=5, device="cpu").to(NAME)
        held = None if penalty == "none" else PENALTIES[penalty]()
        classes = (0, 1, 3) if what == "some classes" else tuple(range(5))
        part = cl.Split(torch.randn(12, 4), torch.tensor(classes)[torch.arange(12) % len(classes)])
        data: Any = cl.Task("A", part, part, classes)
        if what == "a loader":
            data = [*zip(part.x.split(batch_size), part.y.split(batch_size), strict=True)]
        if what == "by autograd":
            network[0].register_forward_hook(lambda layer, args, output: None)
        if held is not None:
            cl.train(network, part if what == "a loader" else data, penalty=held, epochs=1)
            held.consolidate(network, part if what == "a loader" else data)
        there.waits.clear()
        options: dict[str, Any] = {"step": step, "epochs": epochs, "batch_size": batch_size, "every": 10**6}
        cl.train(network, data, penalty=held, strength=1.0, **options)
        return there.waits["read"], there.waits["sent"]


@pytest.mark.parametrize("step", ["proximal", "gradient"])
@pytest.mark.parametrize("penalty", ["none", "EWC", "KFAC", "SI"])  # the others take EWC's steps
@pytest.mark.parametrize("what", ["all classes", "some classes", "by autograd", "a loader"])
def test_no_step_of_training_waits_for_the_device(penalty: str, step: str, what: str) -> None:
    """What is read is read before the first step and after the last. An epoch sends its order, a loader its batches."""
    few = trips(penalty, step, what, epochs=1, batch_size=4)
    many = trips(penalty, step, what, epochs=1 if what == "a loader" else 4, batch_size=2)
    assert few[0] == many[0] > 0
    assert many[1] - few[1] == (2 * 3 if what == "a loader" else 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_no_step_of_training_waits_for_cuda() -> None:
    """As CUDA itself tells: what is more in three epochs than in one is the order of each, not the six steps."""

    def waits(epochs: int, classes: tuple[int, ...]) -> int:
        network, penalty = model("cuda"), consolidated("cuda")
        part = cl.Split(data("cuda").x, torch.tensor(classes)[torch.arange(12) % len(classes)])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                cl.train(network, cl.Task("A", part, part, classes), penalty=penalty, epochs=epochs, batch_size=2, every=10**6)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in told)

    for classes in ((0, 1, 2), (0, 2)):
        assert 0 < waits(1, classes) <= waits(3, classes) <= waits(1, classes) + 2


def test_what_is_on_another_device_is_an_error_there() -> None:
    """So that the tests above cannot pass by mixing devices, and count what they are to count."""
    with Elsewhere() as there:
        network, x = nn.Linear(4, 3).to(NAME), torch.randn(5, 4)
        with pytest.raises(RuntimeError, match="same device"):
            network(x)
        there.waits.clear()
        found = network(x.to(NAME)).sum(0)
        assert there.waits["sent"] == 1 and not there.waits["read"]
        assert found[0].item() == found.tolist()[0] == found.cpu()[0]
        assert there.waits["read"] == 3
        found[[0, 1]].add_(torch.tensor(1.0, device=NAME))  # indices, and a number
        assert there.waits["sent"] == 3
        with pytest.raises(RuntimeError, match="same device"):
            x[found.long().abs()]
        with pytest.raises(RuntimeError, match="same device"):
            found[[0, 1]] = torch.ones(2)
        with pytest.raises(RuntimeError, match="same device"):
            torch.stack([found[0], torch.tensor(1.0)])
        there.waits.clear()
        assert len(found[found == found]) == 3 and there.waits["read"] == 1  # a shape by values


def test_penalties_follow_whatever_of_them_was_left_elsewhere() -> None:
    with Elsewhere():
        network, part = model(NAME), data("cpu")
        for change in ("precision", "anchor"):
            penalty = consolidated(NAME)
            vars(penalty)[change] = {name: t.to("cpu") for name, t in vars(penalty)[change].items()}
            with torch.no_grad():
                network[1].weight.add_(1.0)
            penalty.proximal_step(network, 1.0)
            penalty.consolidate(network, part)
            assert {t.device.type for t in (*penalty.precision.values(), *penalty.anchor.values())} == {NAME}
        v1 = versions.V1(n=3)
        v1.consolidate(network, part.to(NAME))
        v1.consolidate(model("cpu"), part)
        assert {t.device.type for t in v1.precision.values()} == {"cpu"}
