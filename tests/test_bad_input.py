"""Bad input: one clear error that names the argument, shows what was given and says what works, before anything happens."""

import math
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader

import cl_teach as cl
from cl_teach import _checks, _mnist, figures, landscapes, reproduce, sweeps
from cl_teach.course import pitfalls
from cl_teach.course.versions import V1, V3
from cl_teach.fast.momentum import Momentum
from cl_teach.landscapes import surfaces
from cl_teach.sweeps import Result


class World:
    """A small model with gradients of its own, a task that fits it, and things that do not fit."""

    def __init__(self) -> None:
        self.model = tiny(hidden=5)
        for i, p in enumerate(self.model.parameters()):
            p.grad = torch.full_like(p, i + 0.5)
        self.model[1].eval()  # a mode of its own
        self.task = task()
        self.penalty = cl.EWC()
        self.penalty.consolidate(self.model, self.task)
        self.other_penalty = cl.EWC()  # consolidated on another model
        self.other_penalty.consolidate(tiny(hidden=6), self.task)
        self.frozen = tiny(hidden=5).requires_grad_(False)
        self.high = task(labels=4)  # has label 3, but the model has three outputs
        self.wide = task(features=7)  # the model takes four features
        self.tasks = [self.task, task(), self.high]

    def state(self) -> dict[str, Any]:
        """All that a refused call must leave alone."""
        state: dict[str, Any] = {"random state": torch.get_rng_state(), "constant": self.penalty.constant}
        state["tasks consolidated"] = (self.penalty.n_tasks, self.other_penalty.n_tasks)
        for name, p in self.model.named_parameters():
            state[f"value of {name}"] = p.detach().clone()
            state[f"gradient of {name}"] = None if p.grad is None else p.grad.clone()
            state[f"precision of {name}"] = self.penalty.precision[name].clone()
            state[f"anchor of {name}"] = self.penalty.anchor[name].clone()
        state["modes"] = [module.training for module in self.model.modules()]
        state["frozen"] = [p.requires_grad for p in self.frozen.parameters()]
        return state


def tiny(hidden: int, **options: Any) -> nn.Sequential:
    return cl.mlp((hidden,), n_inputs=4, n_classes=3, device="cpu", **options)


def task(labels: int = 3, features: int = 4) -> cl.Task:
    x = torch.linspace(-1, 1, 12 * features).reshape(12, features)
    data = cl.Split(x, torch.arange(12) % labels)
    return cl.Task("tiny", data, data, classes=tuple(range(labels)))


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape)


LABELS = torch.zeros(3, dtype=torch.long)
NOT_A_NUMBER = torch.tensor([[0.0, math.nan], [1.0, 1.0], [math.inf, 0.0]])

# The users of a model: called with a world, a model, a task and a penalty.
USERS: dict[str, Callable[[World, nn.Module, cl.Task], object]] = {
    "diagonal_fisher": lambda w, model, task: cl.diagonal_fisher(model, task),
    "diagonal_fisher of a Split": lambda w, model, task: cl.diagonal_fisher(model, task.train),
    "EWC.consolidate": lambda w, model, task: cl.EWC().consolidate(model, task),
    "train": lambda w, model, task: cl.train(model, task),
    "train on a Split": lambda w, model, task: cl.train(model, task.train),
    "train, watching": lambda w, model, task: cl.train(model, w.task, watch={"first": w.task, "second": task}),
    "learn": lambda w, model, task: cl.learn(model, [w.task, w.task, task]),
    "evaluate": lambda w, model, task: cl.evaluate(model, task),
    "evaluate a Split": lambda w, model, task: cl.evaluate(model, task.test),
}
TRAINERS: dict[str, Callable[..., object]] = {
    "train": lambda w, **options: cl.train(w.model, w.task, **options),
    "learn": lambda w, **options: cl.learn(w.model, [w.task, w.task], **options),
}

Case = tuple[str, Callable[[World], object], str, str, str]  # what is wrong, the call, and what the message holds:
TABLE: list[Case] = [  # the argument's name, what was given, what would work (regular expressions)
    # unknown label choice
    ("unknown labels: diagonal_fisher", lambda w: cl.diagonal_fisher(w.model, w.task, "fisher"), "labels", "'fisher'", "'exact'"),
    ("unknown labels: EWC", lambda w: cl.EWC(labels="exakt"), "labels", "'exakt'", "'exact', 'sample', 'true', 'predicted'"),
    ("unknown labels: OnlineEWC", lambda w: cl.OnlineEWC(labels=None), "labels", "None", "'predicted'"),  # type: ignore[arg-type]
    # an empty task
    ("empty: Split", lambda w: cl.Split(zeros(0, 4), torch.zeros(0, dtype=torch.long)), "x", r"\(0, 4\)", "at least one sample"),
    ("empty: Split without features", lambda w: cl.Split(zeros(3, 0), LABELS), "x", r"\(3, 0\)", "at least one"),
    ("empty: Split.from_dataset", lambda w: cl.Split.from_dataset([]), "dataset", "empty", "at least one sample"),
    ("empty: learn", lambda w: cl.learn(w.model, []), "tasks", "none", "at least one task"),
    ("empty: joint", lambda w: cl.joint([]), "tasks", "none", "at least one Task"),
    ("empty: split_mnist", lambda w: cl.split_mnist(n_train=5, n_test=2_000), "task", r"none of classes \(\d, \d\)", "more samples"),
    ("empty: split", lambda w: cl.split_classes(empty_class(), 2), "task", r"\(2, 3\)", "more samples"),
    # x and y of different length, or of the wrong kind
    ("lengths: Split", lambda w: cl.Split(zeros(4, 2), LABELS), "x and y", "4 .* 3", "same length"),
    ("labels in two columns: Split", lambda w: cl.Split(zeros(3, 2), LABELS[:, None]), "y", r"\(3, 1\)", r"\(N,\)"),
    ("features in no column: Split", lambda w: cl.Split(zeros(3), LABELS), "x", r"\(3,\)", r"\(N, \.\.\.\)"),
    ("no tensor: Split", lambda w: cl.Split([[0.0]], LABELS[:1]), "x", "list", "torch.as_tensor"),  # type: ignore[arg-type]
    ("float labels: Split", lambda w: cl.Split(zeros(3, 2), zeros(3)), "y", r"torch.float32 of shape \(3,\)", "torch.int64.*classification only.*regression"),
    ("true or false: Split", lambda w: cl.Split(zeros(3, 2), LABELS == 0), "y", "torch.bool", "torch.int64"),
    ("float labels: from_dataset", lambda w: cl.Split.from_dataset([(zeros(2), 0.5)]), "y", "torch.float", "torch.int64"),
    ("NaN: Split", lambda w: cl.Split(NOT_A_NUMBER, LABELS), "x", "2 of its values", "finite"),
    ("NaN: Split.from_dataset", lambda w: cl.Split.from_dataset([(NOT_A_NUMBER, 0)]), "x", "NaN or infinity in 2", "finite"),
    ("negative label: Split", lambda w: cl.Split(zeros(3, 2), LABELS - 1), "y", "-1", "from 0"),
    ("label outside the task: Task", lambda w: cl.Task("t", w.high.train, w.task.test, (0, 1, 2)), "train", r"\[3\]", r"\(0, 1, 2\)"),
    # labels out of the model's range
    *[(f"labels: {name}", lambda w, f=f: f(w, w.model, w.high), "y", "class 3", "0 to 2") for name, f in USERS.items()],
    ("labels: evaluate with classes", lambda w: cl.evaluate(w.model, w.task.test, (0, 1)), "y", r"\[2\]", r"\(0, 1\)"),
    # what the model cannot take
    *[(f"x: {name}", lambda w, f=f: f(w, w.model, w.wide), "model", r"x of shape \(12, 7\)", "4x5") for name, f in USERS.items()],
    ("x of the test data: learn", lambda w: cl.learn(w.model, [w.task, mixed(w)]), "model", r"x of shape \(12, 7\)", "4x5"),
    ("no data: train", lambda w: cl.train(w.model, zeros(3, 4)), "task", "Tensor", r"Split\(x, y\)"),  # type: ignore[arg-type]
    ("no data: evaluate", lambda w: cl.evaluate(w.model, zeros(3, 4)), "data", "Tensor", r"Split\(x, y\)"),  # type: ignore[arg-type]
    ("one task: learn", lambda w: cl.learn(w.model, w.task), "tasks", "Task", "sequence"),  # type: ignore[arg-type]
    ("data as tasks: learn", lambda w: cl.learn(w.model, [w.task, w.task.train]), "tasks", "Split", "Task"),  # type: ignore[list-item]
    # a model without trainable parameters, or none at all
    *[
        (f"frozen: {name}", lambda w, f=f: f(w, w.frozen, w.task), "model", "4 frozen", "requires_grad")
        for name, f in USERS.items()
        if "evaluate" not in name
    ],
    *[
        (f"no model: {name}", lambda w, f=f: f(w, torch.sin, w.task), "model", "builtin_function", "torch.nn.Module")
        for name, f in USERS.items()
    ],
    # a penalty consolidated on one model and used on another
    *[
        (f"penalty: {name}", lambda w, f=f: f(w, penalty=w.other_penalty), "penalty", r"\(6, 4\).*\(5, 4\)", "copy|new penalty")
        for name, f in TRAINERS.items()
    ],
    *[
        (f"no penalty: {name}", lambda w, f=f: f(w, penalty=cl.EWC), "penalty", "type", r"EWC\(\)") for name, f in TRAINERS.items()
    ],
    ("penalty: called", lambda w: w.other_penalty(w.model), "penalty", r"\(6, 4\).*\(5, 4\)", "copy|new penalty"),
    ("penalty: consolidate", lambda w: w.other_penalty.consolidate(w.model, w.task), "penalty", r"\(6, 4\)", "copy|new penalty"),
    ("penalty: L2", lambda w: wrong_l2(w), "penalty", "1.weight", "copy|new penalty"),
    # n larger than the data
    ("n: diagonal_fisher", lambda w: cl.diagonal_fisher(w.model, w.task, n=13), "n", "13", "at most the 12"),
    ("n: EWC.consolidate", lambda w: cl.EWC(n=13).consolidate(w.model, w.task), "n", "13", "at most the 12"),
    ("n: learn", lambda w: cl.learn(w.model, [w.task], penalty=cl.EWC(n=13)), "n", "13", "at most the 12"),
    ("shapes: from_dataset", lambda w: cl.Split.from_dataset([(zeros(2), 0), (zeros(3), 0)]), "dataset", r"\(2,\) and \(3,\)", "one shape"),
    ("n: from_dataset", lambda w: cl.Split.from_dataset([(zeros(2), 0)], n=2), "n", "2", "at most the 1"),
    ("n: first", lambda w: w.task.train.first(13), "n", "13", "at most the 12"),
    ("n: last", lambda w: w.task.train.last(13), "n", "13", "at most the 12"),
    ("n zero: last", lambda w: w.task.train.last(0), "n", "0", "at least 1"),
    ("n zero: EWC", lambda w: cl.EWC(n=0), "n", "0", "at least 1"),
    ("n: mnist", lambda w: cl.mnist(n_train=60_001), "n_train", "60001", "at most the 60000"),
    ("n: rotated_mnist", lambda w: cl.rotated_mnist(n_test=10_001), "n_test", "10001", "at most the 10000"),
    ("n: permuted_mnist", lambda w: cl.permuted_mnist(n_train=10**6), "n_train", "1000000", "at most the 60000"),
    ("n: split_mnist", lambda w: cl.split_mnist(n_train=1.5), "n_train", "1.5", "whole number"),  # type: ignore[arg-type]
    ("n zero: mnist", lambda w: cl.mnist(n_test=0), "n_test", "0", "at least 1"),
    # a device that is not there
    *[
        (f"device {name}: {maker.__name__}", lambda w, m=maker, name=name: m(device=name), "device", re.escape(repr(name)), "'cpu'")
        for name in ("cuda:99", "gpu", "meta", 3.5)
        for maker in (cl.mlp, cl.article_cnn)
    ],
    ("device: cl.device", lambda w: cl.device("cuda:99"), "device", "'cuda:99'", "'cpu'"),
    # angles and seeds of the wrong kind
    *[
        (f"angles {angles!r}: rotated_mnist", lambda w, a=angles: cl.rotated_mnist(a), "angles", given, works)
        for angles, given, works in [
            ("0, 90", "'0, 90'", r"\(0, 90\)"), (90, "90", r"\(0, 90\)"), ((), "none", "at least one"), ((0, None), "None", "number"),
            ((0, "90"), "'90'", "number"), ((0, math.nan), "nan", "finite"), ((0, math.inf), "inf", "finite"),
            ((0, True), "True", "number"), ({0, 90}, r"\{", "sequence"),
        ]
    ],
    ("angles: rotated", lambda w: cl.rotated(images(), (0, "90")), "angles", "'90'", "number"),  # type: ignore[arg-type]
    ("no images: rotated", lambda w: cl.rotated(w.task, (0, 90)), "task", r"\(12, 4\)", r"\(N, C, H, W\)"),
    *[
        (f"seed {seed!r}: {name}", lambda w, f=f, seed=seed: f(w, seed), "seed", given, works)
        for seed, given, works in [
            (1.0, "1.0", "whole number"), ("0", "'0'", "whole number"), (None, "None", "whole number"), (True, "True", "whole number"),
            (-1, "-1", "at least 0"), (2**63, str(2**63), "below"),
        ]
        for name, f in {
            "permuted_mnist": lambda w, seed: cl.permuted_mnist(seed=seed),
            "permuted": lambda w, seed: cl.permuted(w.task, seed=seed),
            "two_weight_tasks": lambda w, seed: cl.two_weight_tasks(seed=seed),
            "mlp": lambda w, seed: cl.mlp(seed=seed),
            "article_cnn": lambda w, seed: cl.article_cnn(seed=seed),
            "EWC": lambda w, seed: cl.EWC(seed=seed),
            "diagonal_fisher": lambda w, seed: cl.diagonal_fisher(w.model, w.task, seed=seed),
            "train": lambda w, seed: cl.train(w.model, w.task, seed=seed),
            "learn": lambda w, seed: cl.learn(w.model, [w.task], seed=seed),
        }.items()
    ],
    # strength, and the other numbers of training
    *[
        (f"{argument}={value!r}: {name}", lambda w, f=f, o={argument: value}: f(w, penalty=w.penalty, **o), argument, given, works)
        for name, f in TRAINERS.items()
        for argument, value, given, works in [
            ("strength", -1.0, "-1.0", "at least 0"), ("strength", math.nan, "nan", "finite"), ("strength", math.inf, "inf", "finite"),
            ("strength", -math.inf, "-inf", "finite"), ("strength", "100", "'100'", "number"), ("strength", None, "None", "number"),
            ("strength", True, "True", "number"), ("strength", torch.ones(2), "Tensor of shape", "number"),
            ("step", "newton", "'newton'", "'proximal', 'gradient'"), ("epochs", -1, "-1", "at least 0"),
            ("epochs", 1.5, "1.5", "whole number"), ("batch_size", 0, "0", "at least 1"), ("every", 0, "0", "at least 1"),
            ("lr", -0.1, "-0.1", "at least 0"), ("lr", math.nan, "nan", "finite"), ("momentum", 1.0, "1.0", "below 1"),
        ]
    ],
    *[
        (f"own optimizer: {name}", lambda w, f=f: f(w, penalty=w.penalty, optimizer=torch.optim.RMSprop), "step", "RMSprop", "'gradient'")
        for name, f in TRAINERS.items()
    ],
    # strengths to try
    ("no penalty: suggest_strengths", lambda w: cl.suggest_strengths(cl.EWC), "penalty", "type", r"EWC\(\)"),  # type: ignore[arg-type]
    ("no task: suggest_strengths", lambda w: cl.suggest_strengths(cl.L2()), "penalty", "has not", r"penalty\.consolidate\(model, task\)"),
    ("all zero: suggest_strengths", lambda w: cl.suggest_strengths(held(0.0)), "penalty", "0 everywhere", "at least one weight"),
    *[
        (f"{value}: suggest_strengths", lambda w, v=value: cl.suggest_strengths(held(v)), "penalty", "2 such values of 4 in a", "finite")
        for value in (math.nan, math.inf, -1.0)
    ],
    *[
        (f"{argument}={value!r}: suggest_strengths", lambda w, o={argument: value}: cl.suggest_strengths(w.penalty, **o), argument, given, works)
        for argument, value, given, works in [
            ("lr", 0.0, "0.0", "at least 1e-12"), ("lr", -0.1, "-0.1", "at least"), ("lr", math.nan, "nan", "finite"), ("lr", "1", "'1'", "number"),
            ("momentum", 1.0, "1.0", "below 1"), ("momentum", -0.1, "-0.1", "at least 0"), ("momentum", None, "None", "number"),
        ]
    ],
    # sequences and networks of an impossible shape
    ("scenario: split_mnist", lambda w: cl.split_mnist(scenario="tasks"), "scenario", "'tasks'", "'task', 'domain', 'class'"),
    ("classes_per_task: split_mnist", lambda w: cl.split_mnist(3), "classes_per_task", "3", "divide the 10"),
    ("n_tasks: permuted_mnist", lambda w: cl.permuted_mnist(n_tasks=0), "n_tasks", "0", "at least 1"),
    ("n: two_weight_tasks", lambda w: cl.two_weight_tasks(n=3), "n", "3", "at least 10"),
    ("hidden: mlp", lambda w: cl.mlp(hidden=100), "hidden", "100", r"\(100,\)"),  # type: ignore[arg-type]
    ("hidden width: mlp", lambda w: cl.mlp(hidden=(10, 0)), "hidden", "0", "at least 1"),
    ("n_classes: mlp", lambda w: cl.mlp(n_classes=1), "n_classes", "1", "at least 2"),
    ("decay: OnlineEWC", lambda w: cl.OnlineEWC(decay=1.5), "decay", "1.5", "at most 1"),
]  # fmt: skip


def held(value: float) -> cl.Penalty:
    """A penalty with a precision of 0 and, twice, of ``value``."""
    penalty = cl.L2()
    penalty.precision, penalty.n_tasks = {"b": zeros(1), "a": torch.tensor([0.0, value, value, 0.0])}, 1
    return penalty


def mixed(world: World) -> cl.Task:
    return cl.Task("mixed", world.task.train, world.wide.test, classes=(0, 1, 2))


def empty_class() -> cl.Task:
    data = cl.Split(zeros(3, 2), torch.tensor([0, 1, 0]))
    return cl.Task("no twos", data, data, classes=(0, 1, 2, 3))


def images() -> cl.Task:
    data = cl.Split(zeros(3, 1, 4, 4), LABELS)
    return cl.Task("black", data, data, classes=(0, 1))


def wrong_l2(world: World) -> None:
    penalty = cl.L2()
    penalty.consolidate(tiny(hidden=6), world.task)
    cl.train(world.model, world.task, penalty=penalty)


@pytest.mark.parametrize(("call", "argument", "given", "works"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_is_refused_before_anything_happens(
    call: Callable[[World], object], argument: str, given: str, works: str
) -> None:
    world = World()
    before = world.state()
    with pytest.raises((ValueError, TypeError)) as caught:
        call(world)
    message = str(caught.value)
    assert re.match(rf"{argument}\b", message), f"the message does not begin with {argument}: {message}"
    assert re.search(given, message), f"the message does not show what was given: {message}"
    assert re.search(works, message), f"the message does not say what works: {message}"
    assert "\n" not in message and len(message) < 400
    after = world.state()
    assert before.keys() == after.keys()
    for what, value in before.items():
        now = after[what]
        same = isinstance(now, Tensor) and torch.equal(value, now) if isinstance(value, Tensor) else value == now
        assert same, f"{what} has changed"


# --- what people who are new to it give, and what makes errors come from inside or pictures of nothing


class Room(World):
    """A world with small made-up results of every kind."""

    def __init__(self) -> None:
        super().__init__()
        half = cl.Evaluation(1.0, 0.5)
        self.history = cl.History(loss=[1.0], steps=[0, 10], watched={"A": [half, half], "B": [half, half]})
        self.run = cl.Run(zeros(2, 2).double() + 0.5, zeros(2, 2).double(), [self.history, self.history])
        self.longer = cl.Run(zeros(3, 3).double(), zeros(3, 3).double(), [self.history])
        result = Result(half, half, 1.0, {}, {}, self.history)
        self.sweep = cl.Sweep(("EWC",), {"EWC": (1.0,)}, (0,), results={("EWC", 1.0, 0): result})
        self.table = {"EWC": {1.0: (0.5, 0.5)}}
        self.w = torch.linspace(-1, 1, 3)
        self.bowl = self.w[:, None] ** 2 + self.w**2
        both = {"A": self.bowl, "B": self.bowl}
        self.surface = landscapes.Surface(self.w, self.w, both, both)
        ends = {"A": self.w[:2], "B": self.w[:2]}
        self.trace = landscapes.Trace([0, 10], self.w[:2], self.w[:2], zeros(2), ends, ends)
        line = {"A": self.w}
        self.line = landscapes.Line(self.w, 2.0, line, line, line, line, line)
        self.plane = landscapes.plane_through(*(tiny(5, seed=seed) for seed in range(3)))
        self.pictures = images()
        self.objects = {name: repr(value) for name, value in vars(self).items()}

    def state(self) -> dict[str, Any]:
        found = super().state() | {f"what {name} holds": repr(getattr(self, name)) for name in self.objects}
        return found | {"numpy": repr(np.random.get_state()), "type": torch.get_default_dtype()}


def swept(w: Room, **changes: Any) -> object:
    return cl.sweep(**{"model": w.model, "task_a": w.task, "task_b": w.task, "strengths": [1.0], "epochs": 1, **changes})


def explorer(draw: Any = lambda value: value, controls: Any = None, **options: Any) -> object:
    return cl.widgets.Explorer(draw, {"λ": [1, 2]} if controls is None else controls, **options)


def drawn(w: Room, ends: Any = None, **changes: Any) -> object:
    given = {"w1": w.w, "w2": w.w, "losses": {"A": w.bowl}, "ends": {} if ends is None else ends}
    return figures.two_weight_surface(**{**given, **changes})


def laplace(room: Room, **changes: Any) -> object:
    given = {"w": room.w, "log_density": -room.w.square(), "mode": 0.0, "precision": 2.0, "step": 2, "n": 10}
    return figures.laplace_frame(**{**given, **changes})


def moment(w: Room, **changes: Any) -> object:
    given = {"history": w.history, "at": 0, "images": zeros(2, 1, 3, 3), "truth": [0, 1], "answers": [0, 1]}
    return figures.forgetting_frame(**{**given, **changes})


def labelled(w: Room, labels: Tensor) -> object:
    return cl.Split(zeros(3, 4), labels)


SIZED = [(zeros(2), 0), (zeros(2), 1)]
T, V = TypeError, ValueError
NewCase = tuple[str, Callable[[Room], object], type[Exception], str, str, str]
NEW: list[NewCase] = [  # what is wrong, the call, the class of the error; and of the message as above: argument, given, works
    # tasks
    ("Task of tensors", lambda w: cl.Task("t", zeros(3, 2), LABELS, (0, 1)), T, "train", r"Tensor of shape \(3, 2\)", "Task.from_datasets"),
    ("Task, test of a list", lambda w: cl.Task("t", w.task.train, [1], (0, 1, 2)), T, "test", r"\[1\] of type list", r"Split\(x, y\)"),
    ("Task, name a number", lambda w: cl.Task(3, w.task.train, w.task.test, (0, 1, 2)), T, "name", "3 of type int", "text"),
    *[
        (f"Task, classes {c!r}", lambda w, c=c: cl.Task("t", w.task.train, w.task.test, c), kind, "classes", given, works)
        for c, kind, given, works in [
            (3, T, "3 of type int", r"\(0, 1, 2\)"), ("012", T, "'012'", r"\(0, 1, 2\)"), ([0.0, 1.0, 2.0], T, "0.0 of type float", "whole"),
            (None, T, "None", r"\(0, 1, 2\)"), ([True, False], T, "True", "whole"), ((0,), V, r"\(0,\)", "at least two"),
            ((1, 1), V, r"\(1,\)", "at least two"), ((-1, 0, 1), V, "-1", "at least 0"), ({0: 1}, T, "dict", "whole"),
            (torch.tensor(3), T, "tensor", "whole"),
        ]
    ],
    ("from_datasets of one class", lambda w: cl.Task.from_datasets(SIZED[:1], SIZED[:1]), V, "train and test", r"\(0,\)", "at least two"),
    ("from_datasets of a loader", lambda w: cl.Task.from_datasets(SIZED, DataLoader(SIZED)), T, "test", "DataLoader", "loader.dataset"),
    ("from_datasets, n", lambda w: cl.Task.from_datasets(SIZED, SIZED, n_train=9), V, "train", "9", "at most the 2"),
    *[
        (f"from_dataset: {name}", lambda w, data=data: cl.Split.from_dataset(data), T, "dataset", given, works)
        for name, data, given, works in [
            ("None", None, "None", "len"), ("a generator", (pair for pair in SIZED), "generator", "len"), ("a text", "MNIST", "'MNIST'", "len"),
            ("a class", DataLoader, "the class DataLoader", "len|no class"), ("a dict", {0: SIZED[0]}, "dict", r"dataset\[i\]"),
            ("images only", zeros(3, 4), r"dataset\[0\] that is Tensor of shape \(4,\)", "pairs"),
            ("triples", [(1, 2, 3)], r"dataset\[0\] that is tuple of 3", "pairs"),
            ("labels in words", [(zeros(2), "cat")], "'cat'", "whole numbers"), ("no labels", [(zeros(2), None)], "None", "whole numbers"),
            ("files", [("one.png", 1)], "'one.png'", "PIL"),
        ]
    ],
    ("regression", lambda w: labelled(w, zeros(3)), T, "y", r"torch.float32 of shape \(3,\)", "classification only"),
    ("soft labels", lambda w: labelled(w, zeros(3, 2)), T, "y", r"torch.float32 of shape \(3, 2\)", "soft and multi-hot"),
    ("one column", lambda w: labelled(w, LABELS[:, None]), V, "y", r"\(3, 1\)", r"y.squeeze\(1\)"),
    ("complex inputs", lambda w: cl.Split(zeros(3, 2).to(torch.complex64), LABELS), T, "x", "torch.complex64", "real"),
    ("Split.to, device", lambda w: w.task.train.to("cuda:99"), V, "device", "'cuda:99'", "'cpu'"),
    ("Split.to, type", lambda w: w.task.train.to(dtype=torch.int64), T, "dtype", "torch.int64", "torch.float64"),
    ("Split.first", lambda w: w.task.train.first(2.0), T, "n", "2.0", "whole number"),
    *[
        (f"{name}: {of}", lambda w, f=f, data=data: f(data(w)), T, "task", given, "Task.from_datasets")
        for name, f in {"rotated": lambda d: cl.rotated(d, (0,)), "permuted": cl.permuted, "split_classes": cl.split_classes}.items()
        for of, data, given in [
            ("a Split", lambda w: w.task.train, "got Split"), ("a list", lambda w: [w.task], "a list that holds Task"),
            ("None", lambda w: None, "got None"),
        ]
    ],
    ("joint of a task", lambda w: cl.joint(w.task), T, "tasks", "got Task", r"\[Task, Task\]"),
    ("joint of a generator", lambda w: cl.joint(task for task in w.tasks), T, "tasks", "generator", "list"),
    ("joint of a Split", lambda w: cl.joint([w.task, w.task.train]), T, r"tasks\[1\]", "got Split", "a Task"),
    ("joint of shapes", lambda w: cl.joint([w.task, w.wide]), V, "tasks", r"\(4,\).*\(7,\)", "one shape"),
    ("joint of types", lambda w: cl.joint([w.task, double(w.task)]), V, "tasks", "float32.* torch.float64", "one shape, type"),
    ("permuted, sizes", lambda w: cl.permuted(mixed(w)), V, "task", r"\(12, 4\).*\(12, 7\)", "one size"),
    ("permuted, n_tasks", lambda w: cl.permuted(w.task, n_tasks="3"), T, "n_tasks", "'3'", "whole number"),
    ("two_weight_tasks, n", lambda w: cl.two_weight_tasks(n="x"), T, "n", "'x'", "whole number"),
    ("rotated, bound", lambda w: cl.rotated(w.pictures, [36_000.5]), V, "angles", "36000.5", "at most 36000"),
    ("rotated, complex", lambda w: cl.rotated(w.pictures, [1j]), T, "angles", "1j of type complex", "number"),
    ("a long list in one line", lambda w: cl.mnist(n_train=list(range(999))), T, "n_train", r"\[0, 1, 2.* of type list", "whole number"),
    ("KFAC, labels", lambda w: cl.KFAC("exakt"), V, "labels", "'exakt'", "exact"),
    ("KFAC, n", lambda w: cl.KFAC(n=2.5), T, "n", "2.5", "whole number"),
    ("KFAC, seed", lambda w: cl.KFAC(seed=-1), V, "seed", "-1", "at least 0"),
    ("Replay, n", lambda w: cl.Replay(n=0), V, "n", "0", "at least 1"),
    ("Replay, n a float", lambda w: cl.Replay(n=5.0), T, "n", "5.0", "whole number"),
    ("Replay, seed", lambda w: cl.Replay(5, seed=-1), V, "seed", "-1", "at least 0"),
    ("Replay of a Split", lambda w: cl.Replay(5).keep(w.task.train), T, "task", "got Split", r"Task\(name"),
    ("Replay mixed with tensors", lambda w: cl.Replay(5).mixed(w.task.train.x), T, "task", "Tensor of shape", r"Task\(name"),
    ("Replay of too few", lambda w: cl.Replay(99).keep(w.task), V, "n", "99", "at most the 12"),
    # sweeps; more of them in test_sweeps.py
    ("sweep, task a loader", lambda w: swept(w, task_b=DataLoader(SIZED)), T, "task_b", "DataLoader", "loader.dataset"),
    ("sweep, task of two tensors", lambda w: swept(w, task_a=(zeros(3, 4), LABELS)), T, "task_a", "a tuple that holds Tensor", r"Split\(x, y\)"),
    ("sweep, watching a list", lambda w: swept(w, watch=[w.task]), T, "watch", "a list that holds Task", "dict, name -> a Task"),
    ("sweep, watching a number", lambda w: swept(w, watch={"A": 3}), T, r"watch\['A'\]", "3 of type int", "Task or Split"),
    ("sweep, seeds", lambda w: swept(w, seeds=3), T, "seeds", "3 of type int", r"\[1, 10\]"),
    ("sweep, strengths in words", lambda w: swept(w, strengths=["1"]), T, "strengths", "'1'", "number"),
    ("sweep, model without weights", lambda w: swept(w, model=tiny(5).to("meta")), V, "model", "1.weight", "CPU"),
    ("sweep, model that takes no seed", lambda w: swept(w, model=lambda: tiny(5)), T, "model", "0 positional", "lambda seed"),
    ("sweep, no model", lambda w: swept(w, model=lambda seed: None), T, "model", "None", "lambda seed"),
    ("sweep, executor a class", lambda w: swept(w, executor=ThreadPoolExecutor), T, "executor", "the class ThreadPool", r"Executor\(4\)"),
    ("sweep, a name that is drawn as nothing", lambda w: swept(w, methods={"none": cl.L2}), V, "methods", "'none'", "must not have the name"),
    ("sweep, lr", lambda w: swept(w, lr="0.1"), T, "lr", "'0.1'", "number"),
    ("accuracies of an unknown seed", lambda w: w.sweep.accuracies(9), V, "seed", "9", r"\(0,\)"),
    # figures
    ("digits of nothing", lambda w: figures.digits([]), V, "tasks", "none", "at least one"),
    ("digits of a task", lambda w: figures.digits(w.task), T, "tasks", "got Task", "list of Task"),
    ("digits of a table", lambda w: figures.digits([w.task], 3), V, r"tasks\[0\]", r"\(12, 4\)", r"\(N, C, H, W\)"),
    ("digits that are not there", lambda w: figures.digits([w.pictures], 2), V, "tasks", "'black' without 1", "every class 0 to 1"),
    ("digits, n", lambda w: figures.digits([w.pictures], 0), V, "n", "0", "at least 1"),
    ("curves of nothing watched", lambda w: figures.learning_curves(cl.History(steps=[0])), V, "history", "none", "watch="),
    ("curves of a run", lambda w: figures.learning_curves(w.run), T, "history", "got Run", "train returns"),
    ("curves, per cent", lambda w: figures.learning_curves(w.history, ceiling=95), V, "ceiling", "95", "0.95 for 95 %"),
    ("guessing, per cent", lambda w: figures.learning_curves(w.history, guessing=10), V, "guessing", "10", "shares are wanted"),
    ("moment, step", lambda w: moment(w, at=2), V, "at", "2", "at most 1"),
    ("moment, odd", lambda w: moment(w, images=zeros(3, 1, 3, 3)), V, "images", "3 images, 2 and 2", "even"),
    ("moment, answers", lambda w: moment(w, answers=[0]), V, "images", "2 images, 2 and 1", "as many labels"),
    ("logits of a list", lambda w: figures.logits([[1.0]], 0), T, "means", "a list that|of type list", r"shape \(T, C\)"),
    ("logits, infinite", lambda w: figures.logits(torch.tensor([[math.inf]]), 0), V, "means", "got 1 other rows", "one at least a row"),
    ("logits, right", lambda w: figures.logits(zeros(2, 3), 3), V, "right", "3", "below the 3"),
    ("sequence of nothing", lambda w: figures.sequence({}), V, "runs", "none", "name -> a Run"),
    ("sequence of one Run", lambda w: figures.sequence(w.run), T, "runs", "got Run", "dict, name -> a Run"),
    ("sequence of matrices", lambda w: figures.sequence({"a": w.run.accuracy}), T, r"runs\['a'\]", r"Tensor of shape \(2, 2\)", "a Run"),
    ("sequence, lengths", lambda w: figures.sequence({"a": w.run, "b": w.longer}), V, "runs", "'a': 2, 'b': 3", "same number"),
    ("sequence, joint NaN", lambda w: figures.sequence({"a": w.run}, math.nan), V, "joint", "nan", "at most 1"),
    ("frame of a matrix", lambda w: figures.sequence_frame(w.run.accuracy, 1), T, "run", "Tensor", "a Run"),
    ("frame of no task", lambda w: figures.sequence_frame(w.run, 0), V, "learnt", "got 0", "at least 1"),
    ("frame too far", lambda w: figures.sequence_frame(w.run, 3), V, "learnt", "got 3", "at most 2"),
    ("frame, title", lambda w: figures.sequence_frame(w.run, 1, 3), T, "title", "3", "text"),  # type: ignore[arg-type]
    ("overlap of nothing", lambda w: figures.layer_overlap({}), V, "overlaps", "none", "one a layer"),
    ("overlap, lengths", lambda w: figures.layer_overlap({"a": [0.5], "b": [0.5, 1]}), V, "overlaps", "'a': 1, 'b': 2", "same number"),
    ("overlap, above 1", lambda w: figures.layer_overlap({"a": [1.5]}), V, r"overlaps\['a'\]", "1.5", "at most 1"),
    ("intransigence, one", lambda w: w.run.intransigence([0.9]), V, "joint", "got 1", "2 accuracies"),
    ("intransigence, a number", lambda w: w.run.intransigence(0.9), T, "joint", "0.9", "one a task"),
    ("intransigence, percent", lambda w: w.run.intransigence([90, 80]), V, "joint", "90", "at most 1"),
    *[
        (f"frontier: {name}", lambda w, data=data: figures.frontier(data), kind, argument, given, works)
        for name, data, kind, argument, given, works in [
            ("empty", {}, V, "sweeps", "none", "strength: "), ("None", None, T, "sweeps", "None", "strength: "),
            ("of no results", {"L2": {}}, V, "sweeps", "none of L2", "at least one result"),
            ("one number", {"L2": {1.0: 0.5}}, T, r"sweeps\['L2'\]\[1.0\]", "0.5", "two numbers"),
            ("three numbers", {"L2": {1.0: (0.1, 0.2, 0.3)}}, T, r"sweeps\['L2'\]\[1.0\]", r"0.1, 0.2, 0.3", "two numbers"),
            ("per cent", {"L2": {1.0: (95, 80)}}, V, r"sweeps\['L2'\]\[1.0\]", "95", "0.95 for 95 %"),
            ("infinity", {"L2": {1.0: (math.inf, 0.5)}}, V, r"sweeps\['L2'\]\[1.0\]", "inf", "at most 1"),
            ("a list", {"L2": [(0.1, 0.2)]}, T, r"sweeps\['L2'\]", "a list that holds tuple", "strength: "),
            ("without methods", {1.0: (0.1, 0.2)}, T, "sweeps", "1.0", "texts as names"),
            ("strengths in words", {"L2": {"1": (0.1, 0.2)}}, T, r"sweeps\['L2'\]", "'1'", "number"),
        ]
    ],
    ("frontier, joint", lambda w: figures.frontier(w.table, 0.9), T, "joint", "0.9", "two numbers"),
    ("strength_frame, method", lambda w: figures.strength_frame(w.table, "ewc", 1.0), V, "method", "'ewc'", "'EWC'"),
    ("strength_frame, strength", lambda w: figures.strength_frame(w.sweep, "EWC", 5), V, "strength", "5", "one of 1"),
    ("stability of another step", lambda w: figures.stability({"newton": {1.0: 0.5}}, 3.0), V, "average", "'newton'", "'gradient'"),
    ("stability of nothing", lambda w: figures.stability({"gradient": {}}, 3.0), V, "average", "none", "at least one strength"),
    ("stability at 0", lambda w: figures.stability({"gradient": {0.0: 0.5}}, 3.0), V, "average", "0.0", "above 0"),
    ("stability, limit", lambda w: figures.stability({"gradient": {1.0: 0.5}}, math.nan), V, "limit", "nan", "finite"),
    ("terms of nothing", lambda w: figures.terms(w.w, w.w, {}), V, "panels", "none", "name -> a tensor"),
    ("terms, shape", lambda w: figures.terms(w.w, w.w, {"a": zeros(2, 3)}), V, r"panels\['a'\]", r"\(2, 3\)", r"\(3, 3\)"),
    ("terms, NaN", lambda w: figures.terms(w.w, w.w, {"a": w.bowl * math.nan}), V, r"panels\['a'\]", "nan", "finite somewhere"),
    ("terms, axis", lambda w: figures.terms([0, 1], w.w, {"a": w.bowl}), T, "w1", r"\[0, 1\]", "torch.Tensor"),
    ("laplace, precision", lambda w: laplace(w, precision=0.0), V, "precision", "0.0", "above 0"),
    ("laplace, step", lambda w: laplace(w, step=3), V, "step", "3", "0, 1 or 2"),
    ("laplace, lengths", lambda w: laplace(w, log_density=zeros(2)), V, "log_density", r"\(2,\)", r"\(3,\)"),
    ("laplace, one weight", lambda w: laplace(w, w=zeros(1), log_density=zeros(1)), V, "w", r"\[0.0\]", "two numbers"),
    ("scores of nothing", lambda w: figures.score_histogram({}), V, "scores", "none", "name -> a tensor"),
    ("scores, NaN", lambda w: figures.score_histogram({"a": w.w * math.nan}), V, r"scores\['a'\]", "NaN or infinity in 3", "finite"),
    ("scores of one sample", lambda w: figures.score_histogram({"a": zeros(1)}), V, r"scores\['a'\]", "1", "at least two"),
    ("importance of nothing", lambda w: figures.importance_images({"a": zeros(2, 2)}), V, "images", "zeros only in a", "above 0"),
    ("importance below 0", lambda w: figures.importance_images({"a": -w.bowl}), V, r"images\['a'\]", "-2", "none below 0"),
    ("importance of a row", lambda w: figures.importance_images({"a": w.w}), V, r"images\['a'\]", r"\(3,\)", r"\(H, W\)"),
    ("label choices, flat", lambda w: figures.label_choices({"x": 1.0}), T, r"tables\['x'\]", "1.0", "label choice: ratio"),
    ("label choices, NaN", lambda w: figures.label_choices({"a": {"x": math.nan}}), V, r"tables\['a'\]\['x'\]", "nan", "finite"),
    ("losses of others", lambda w: drawn(w, losses={"C": w.bowl}), V, "losses", "'C'", "'A', 'B'"),
    ("losses, NaN", lambda w: drawn(w, losses={"A": w.bowl * math.nan}), V, r"losses\['A'\]", "NaN or infinity in 9", "finite"),
    ("ends in space", lambda w: drawn(w, {"EWC": zeros(3)}), V, r"ends\['EWC'\]", r"\(3,\)", r"\(2,\)"),
    ("ends in a list", lambda w: drawn(w, {"EWC": [0, 0]}), T, r"ends\['EWC'\]", r"\[0, 0\]", "tensor"),
    ("a path of one number", lambda w: drawn(w, paths={"EWC": zeros(3)}), V, r"paths\['EWC'\]", r"\(3,\)", r"\(N, 2\)"),
    ("a start in a tuple", lambda w: drawn(w, start=(0, 0)), T, "start", r"\(0, 0\)", "torch.Tensor"),
    ("an axis backwards", lambda w: drawn(w, w1=w.w.flip(0)), V, "w1", r"\[1.0, 0.0, -1.0\]", "increasing"),
    ("a title", lambda w: drawn(w, title=None), T, "title", "None", "text"),
    ("circle, radius", lambda w: figures.circle(zeros(2), -1), V, "radius", "-1", "at least 0"),
    ("circle, centre", lambda w: figures.circle((0, 0), 1), T, "centre", r"\(0, 0\)", "torch.Tensor"),
    ("ellipse, not symmetric", lambda w: figures.ellipse(zeros(2), w.bowl[:2, :2].triu() + 1, 1), V, "precision", r"\[\[", "symmetric"),
    ("meter of nothing", lambda w: figures.truth_meter({}), V, "lines", "none", "interpolate"),
    ("meter of a line", lambda w: figures.truth_meter(w.line), T, "lines", "got Line", "dict, name -> a Line"),
    ("slices of a number", lambda w: figures.slices({"a": 3}), T, r"lines\['a'\]", "3 of type int", "a Line"),
    ("slices of no data", lambda w: figures.slices({"a": replace(w.line, loss={})}), V, r"lines\['a'\]", "none", "at least one data set"),
    ("landscape of a model", lambda w: figures.landscape(w.model, {}), T, "surface", "Sequential", "loss_surface"),
    ("landscape of histories", lambda w: figures.landscape(w.surface, {"a": w.history}), T, r"traces\['a'\]", "got History", "a Trace"),
    ("landscape of a trace", lambda w: figures.landscape(w.surface, w.trace), T, "traces", "got Trace", "dict, name -> a Trace"),
    ("landscape of NaN", lambda w: figures.landscape(flooded(w), {"a": w.trace}), V, "surface", "none at its 9 points", "finite losses of A"),
    ("landscape, rings", lambda w: figures.landscape(w.surface, {"a": w.trace}, rings={"r": w.w}), V, r"rings\['r'\]", r"\(3,\)", "points, 2"),
    ("mountain of nothing", lambda w: figures.surface_3d(3, {}, "A"), T, "surface", "3 of type int", "loss_surface"),
    ("journeys without strengths", lambda w: figures.Journeys(w.surface, {"EWC": w.trace}), T, "traces", "'EWC'", r"\(method, strength\)"),
    ("canvas, columns", lambda w: figures.canvas(0), V, "columns", "0", "at least 1"),
    ("canvas, width", lambda w: figures.canvas(width=math.nan), V, "width", "nan", "finite"),
    ("Picture of a text", lambda w: figures.Picture("a.png", "a"), T, "figure", "'a.png'", r"canvas\(\)"),
    ("strength_label", lambda w: figures.strength_label("1"), T, "strength", "'1'", "number"),
    # planes and surfaces
    ("plane of whole numbers", lambda w: plane_of(LABELS, LABELS + 1), T, "a", "torch.int64 in w", "floating-point"),
    ("plane, point", lambda w: w.plane.point(math.nan, 0), V, "x", "nan", "finite"),
    ("plane, point in words", lambda w: w.plane.point(0, "1"), T, "y", "'1'", "number"),
    ("plane of a lazy layer", lambda w: landscapes.random_plane(nn.LazyLinear(3)), V, "model", "weight of a lazy layer", "one batch"),
    ("trace of nothing", lambda w: landscapes.trace(w.plane, None), T, "history", "None", "a History"),
    ("grid around a number", lambda w: landscapes.grid_around(3), T, "traces", "3 of type int", "several Trace"),
    ("grid around one trace", lambda w: landscapes.grid_around(w.trace), T, "traces", "got Trace", "several Trace"),
    ("grid around nothing", lambda w: landscapes.grid_around([]), V, "traces", "none", "at least one"),
    ("Trace of no step", lambda w: replace(w.trace, steps=[]), V, "steps", "0 and", "as many as"),
    ("Surface backwards", lambda w: replace(w.surface, xs=w.w.flip(0)), V, "xs", r"\[1.0, 0.0, -1.0\]", "increase"),
    ("Surface of lists", lambda w: replace(w.surface, loss={"A": [1]}), T, r"loss\['A'\]", r"\[1\]", r"\(3, 3\)"),
    *[
        (f"loss_surface, xs {xs!r}", lambda w, xs=xs: landscapes.loss_surface(w.model, w.plane, w.task, xs, [0, 1]), T, "xs", given, "numbers")
        for xs, given in [(3, "3 of type int"), (None, "None"), ([0, 1j], "1j"), (["0", "1"], "'0'"), ([[0], [1, 2]], "list that holds list")]
    ],
    ("loss_surface, names", lambda w: surface_of(w, {1: w.task, "1": w.task}), V, "data", r"\[1, '1'\]", "differ"),
    ("loss_surface of Splits", lambda w: surface_of(w, [w.task.train]), T, "data", "a list that holds Split", "a dict of either"),
    ("two weights of a Task", lambda w: landscapes.two_weight_losses(w.task, w.w, w.w), T, "data", "got Task", "task.train"),
    ("two weights, lists", lambda w: landscapes.two_weight_losses(w.task.train, [0, 1], w.w), T, "w1", r"\[0, 1\]", "torch.Tensor"),
    ("two weights, whole", lambda w: landscapes.two_weight_losses(w.task.train, w.w, LABELS), T, "w2", "torch.int64", "floating-point"),
    # explorers
    ("controls in a list", lambda w: explorer(controls=[1, 2]), T, "controls", r"\[1, 2\]", "dict, name -> "),
    ("no controls", lambda w: explorer(controls={}), V, "controls", "none", "at least one"),
    ("a control of one text", lambda w: explorer(controls={"λ": "abc"}), T, r"controls\['λ'\]", "'abc'", r"\[0, 0.1, 1\]"),
    ("a control with a value twice", lambda w: explorer(controls={"λ": [1, 2, 1.0]}), V, r"controls\['λ'\]", "1.0", "differ"),
    ("an explorer of nothing", lambda w: explorer(lambda value: None), T, "draw", "at λ = 1, got None", "makes a Picture"),
    ("an explorer that fails", lambda w: explorer(lambda value: {}[value]), V, "draw", "at λ = 1 it raised KeyError: 1", "picture of every"),
    ("an explorer of a number", lambda w: explorer(3), T, "draw", "3 of type int", "function"),
    ("start in a list", lambda w: explorer(start=[1]), T, "start", r"\[1\]", "dict, name -> "),
    ("play of a number", lambda w: explorer(play=3), V, "play", "3", "'λ'"),
    # the course
    ("progress, a number", lambda w: cl.progress(5), T, "things", "5", "range"),
    ("progress, a total in words", lambda w: cl.progress(range(5), "five"), T, "total", "'five'", "whole number"),
    ("progress, a negative total", lambda w: cl.progress(range(5), -1), V, "total", "-1", "0"),
    ("claim, bound NaN", lambda w: cl.claim("c", 1.0, at_least=math.nan), V, "at_least", "nan", "finite"),
    ("claim, bound infinite", lambda w: cl.claim("c", 1.0, at_most=math.inf), V, "at_most", "inf", "finite"),
    ("claim, bounds reversed", lambda w: cl.claim("c", 1.0, at_least=2, at_most=1), V, "at_least", "2 and 1", "not be above"),
    ("claim, bound in words", lambda w: cl.claim("c", 1.0, at_least="0"), T, "at_least", "'0'", "number"),
    ("claim, measured in words", lambda w: cl.claim("c", "0.9", at_least=0), T, "measured", "'0.9'", "number"),
    ("claim, measured nothing", lambda w: cl.claim("c", None, at_least=0), T, "measured", "None", "number"),
    ("claim, measured in a dict", lambda w: cl.claim("c", {0: 1.0}, at_least=0), T, "measured", "dict", "one a seed"),
    ("claim, no sentence", lambda w: cl.claim(3, 1.0, at_least=0), T, "sentence", "3", "text"),
    ("check, a number", lambda w: cl.check(4.1, 1), V, "exercise", "4.1", "'4.1'"),
    ("pitfalls of a Task", lambda w: pitfalls.squared_batch_mean(w.model, w.task), T, "data", "got Task", "task.train"),
    ("pitfalls, batch_size", lambda w: pitfalls.squared_batch_mean(w.model, w.task.train, 0), V, "batch_size", "0", "at least 1"),
    ("versions of a loader", lambda w: V1(n=2).importance(w.model, [1], None), T, "data", "list", "task.train"),
    ("versions, labels", lambda w: V1("exact"), V, "labels", "'exact'", "'predicted', 'true', 'sampled'"),
    ("versions, method", lambda w: V3("SI"), V, "method", "'SI'", "'EWC', 'EWC_online', 'L2'"),
    ("exhibit of one", lambda w: figures.exhibit({"a": {"w": zeros(2)}}, {"a": {1: 0.5}}, "a"), V, "importances and average", r"\['a'\]", "two names"),
    ("exhibit, shown", lambda w: figures.exhibit({k: {"w": zeros(2)} for k in "ab"}, {k: {1: 0.5} for k in "ab"}, "c"), V, "shown", "'c'", "'a', 'b'"),
    ("exhibit, per cent", lambda w: figures.exhibit({k: {"w": zeros(2)} for k in "ab"}, {k: {1: 50} for k in "ab"}, "a"), V, r"average\['a'\]\[1\]", "50", "share"),
    ("published, nothing", lambda w: figures.published([]), V, "cells", r"\[\]", "reproduce.compare gave"),
    ("published, rows", lambda w: figures.published([(1, 2)]), T, "cells", "tuple", "reproduce.compare gave"),
    ("ladder, nothing", lambda w: figures.ladder({}, {}), V, "steps", "none", "accuracies"),
    ("ladder, no seeds", lambda w: figures.ladder({"a": []}, {}), V, "steps", "0 for 'a'", "at least one"),
    ("ladder, other seeds", lambda w: figures.ladder({"a": [0.5], "b": [0.5, 0.6]}, {}), V, "steps", "1 for 'a' and 2 for 'b'", "same seeds"),
    ("ladder, per cent", lambda w: figures.ladder({"a": [83.0]}, {}), V, r"steps\['a'\]", "83", "0.95 for 95 %"),
    ("ladder, a number", lambda w: figures.ladder({"a": 0.5}, {}), T, r"steps\['a'\]", "0.5", "accuracies"),
    ("ladder, a mark in per cent", lambda w: figures.ladder({"a": [0.5]}, {"m": 94.0}), V, r"marks\['m'\]", "94", "0.95 for 95 %"),
    ("reproduce, a name", lambda w: reproduce.work("hsu_2018", "nowhere"), T, "table", "'hsu_2018'", r"TABLES\['hsu_2018'\]"),
    ("reproduce, no seeds", lambda w: reproduce.work(reproduce.TABLES["hsu_2018"], "nowhere", []), V, "seeds", r"\[\]|none", "at least one"),
    ("reproduce, read a name", lambda w: reproduce.read("hsu_2018"), T, "table", "'hsu_2018'", r"TABLES\['hsu_2018'\]"),
    ("compare a name", lambda w: reproduce.compare("hsu_2018", []), T, "table", "'hsu_2018'", r"TABLES\['hsu_2018'\]"),
    ("compare numbers", lambda w: reproduce.compare(reproduce.TABLES["hsu_2018"], [0.5]), T, "rows", "0.5", "reproduce.read or work"),
    # what users of a model hold already
    ("seed of a text", lambda w: tiny(5, seed="1"), T, "seed", "'1'", "whole number"),
    ("true as a number", lambda w: cl.train(w.model, w.task, lr=np.True_), T, "lr", "True", "number"),
    ("bytes as a number", lambda w: cl.train(w.model, w.task, lr=b"3"), T, "lr", "b'3'", "number"),
    ("a true tensor as a number", lambda w: cl.EWC(n=torch.tensor(True)), T, "n", r"tensor\(True\)", "whole number"),
    ("a number of numpy that is none", lambda w: cl.EWC(n=np.float64(3)), T, "n", "3.0", "whole number"),
    ("a model without weights", lambda w: cl.train(tiny(5).to("meta"), w.task), V, "model", "1.weight on the meta", "CPU"),
]  # fmt: skip


def double(task: cl.Task) -> cl.Task:
    parts = [part.to(dtype=torch.float64) for part in (task.train, task.test)]
    return cl.Task("double", parts[0], parts[1], task.classes)


def flooded(w: Room) -> landscapes.Surface:
    return replace(w.surface, loss={name: loss * math.nan for name, loss in w.surface.loss.items()})


def plane_of(*weights: Tensor) -> object:
    return landscapes.plane_through(*({"w": t} for t in weights))


def surface_of(w: Room, data: Any) -> object:
    return landscapes.loss_surface(w.model, w.plane, data, [0, 1], [0, 1])


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done from now on: steps of training, evaluations of many weights, reading MNIST, and drawing."""
    done: list[str] = []
    places = [
        (Momentum, "step"), (sweeps, "_learn_a"), (surfaces, "table"), (_mnist, "read"), (Figure, "add_subplot"),
        (Figure, "subplots"), (Figure, "add_gridspec"), (torch.autograd, "grad"),
    ]  # fmt: skip
    for owner, name in places:
        usual = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, f=usual, name=name, **kw: (done.append(name), f(*args, **kw))[1])
    return done


def test_the_spy_sees_work(work: list[str]) -> None:
    world = Room()
    cl.train(world.model, world.task, epochs=1)
    figures.frontier(world.sweep)
    surface_of(world, world.task)
    assert {"step", "subplots", "table"} <= set(work)


@pytest.mark.parametrize("row", NEW, ids=[row[0] for row in NEW])
def test_one_clear_error_before_any_work(row: NewCase, work: list[str]) -> None:
    _, call, kind, argument, given, works = row
    world = Room()
    before, _ = world.state(), work.clear()
    with warnings.catch_warnings(), pytest.raises((ValueError, TypeError)) as caught:
        warnings.simplefilter("error")
        call(world)
    message = str(caught.value)
    assert caught.type is kind, f"a {caught.type.__name__}: {message}"
    assert re.match(rf"{argument}(?!\w)", message), f"the message does not begin with {argument}: {message}"
    assert re.search(given, message), f"the message does not show what was given: {message}"
    assert re.search(works, message), f"the message does not say what works: {message}"
    assert "\n" not in message and len(message) < 400
    assert work == []
    for what, value in world.state().items():
        same = torch.equal(value, before[what]) if isinstance(value, Tensor) else value == before[what]
        assert same, f"{what} has changed"


def test_numbers_of_numpy_and_tensors_of_one_are_numbers() -> None:
    for three in (3, np.int64(3), np.uint8(3), torch.tensor(3), torch.tensor([3])):
        assert repr(_checks.whole_number("n", three, at_least=0)) == "3"
        assert repr(_checks.real_number("n", three, at_least=0)) == "3.0"
    for half in (0.5, np.float32(0.5), torch.tensor(0.5), torch.tensor([0.5], dtype=torch.float64)):
        assert repr(_checks.real_number("n", half, at_least=0, at_most=0.5)) == "0.5"
    model = cl.mlp((np.int64(5),), n_inputs=np.int32(4), n_classes=np.int64(3), seed=np.uint8(0), device="cpu")
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), tiny(5).parameters(), strict=True))
    assert len(cl.two_weight_tasks(n=np.int64(10))[0].train) == 10 and len(cl.permuted(task(), n_tasks=np.int8(2))) == 2


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.ones(2, 3), "Tensor of shape (2, 3)"), (np.ones(2), "ndarray of shape (2,)"), (torch.tensor(2), "tensor(2) of type Tensor"),
        ("a\nb", r"'a\nb' of type str"), ([torch.ones(2)], "a list that holds Tensor"), ({"a": task()}, "a dict that holds Task"),
        (cl.Task, "the class Task"), (None, "None of type NoneType"), (tiny(5), "Sequential"),
    ],
    ids=str,
)  # fmt: skip
def test_what_was_given_is_shown_in_a_few_words(value: object, words: str) -> None:
    assert _checks.shown(value) == words
    assert len(_checks.shown([value] * 1000)) < 200 > len(_checks.shown("x" * 10_000))
