"""Bad input: one clear error that names the argument, shows what was given and says what works, before anything happens."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cl_teach as cl


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
        (f"own optimizer: {name}", lambda w, f=f: f(w, penalty=w.penalty, optimizer=torch.optim.Adam), "step", "proximal", "'gradient'")
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
