"""Exercises of lesson 10, your own network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .exercise import Choice, Exercise, Function, Number

EXERCISES: dict[str, Exercise] = {}


def _networks(generator: torch.Generator) -> list[tuple[nn.Module]]:
    """Layers with and without statistics, some of them deeper, in a drawn order; one network in each mode."""

    def network() -> nn.Sequential:
        batch, instance = nn.BatchNorm1d(4), nn.InstanceNorm1d(4, track_running_stats=True)
        plain = [nn.Conv1d(2, 4, 1), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.BatchNorm1d(4, track_running_stats=False)]
        layers = [*plain, nn.Dropout(), nn.Sequential(batch, nn.ReLU()), instance, nn.BatchNorm1d(4)]
        return nn.Sequential(*(layers[i] for i in torch.randperm(len(layers), generator=generator)))

    return [(network().eval(),), (network().train(),)]


def _keeps(layer: nn.Module) -> bool:
    return getattr(layer, "running_mean", None) is not None


def _modes(model: nn.Module) -> Tensor:
    return torch.tensor([float(layer.training) for layer in model.modules()])


def _modes_after(f: Callable[[nn.Module], object], model: nn.Module) -> Tensor:
    f(model)
    return _modes(model)


def _train_then_eval(which: Callable[[nn.Module], bool], children: bool = False) -> Callable[[nn.Module], None]:
    def hold(model: nn.Module) -> None:
        model.train()
        for layer in model.children() if children else model.modules():
            if which(layer):
                layer.eval()

    return hold


def _eval_only(model: nn.Module) -> None:
    for layer in model.modules():
        if _keeps(layer):
            layer.eval()


def _eval_then_train(model: nn.Module) -> None:
    _train_then_eval(_keeps)(model)
    model.train()


def _is_batch_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.batchnorm._BatchNorm)


EXERCISES["10.1"] = Function(
    task="write hold_statistics(model): train mode, but eval mode for every layer that keeps running statistics.",
    cases=_networks,
    right=lambda model: torch.tensor([float(not _keeps(layer)) for layer in model.modules()]),
    used=_modes_after,
    mistakes=[
        (lambda model: None, "nothing has changed"),
        (
            lambda model: model.train(),
            "all is in train mode; the layers with statistics have to be told (or were told too early)",
        ),
        (lambda model: model.eval(), "all is in eval mode: dropout and the like would no longer work"),
        (_eval_only, "the layers with statistics are held, but who sets the others to train mode?"),
        (_train_then_eval(_is_batch_norm), "not only batch norm keeps statistics, and not all batch norm does"),
        (
            _train_then_eval(lambda m: _is_batch_norm(m) and _keeps(m)),
            "not only layers that are called batch norm keep statistics",
        ),
        (
            _train_then_eval(lambda m: hasattr(m, "running_mean")),
            "some layers have the name and nothing in it: they keep no statistics",
        ),
        (_train_then_eval(_keeps, children=True), "layers inside of layers are left out"),
        (
            _train_then_eval(lambda m: any(map(_keeps, m.modules())), children=True),
            "a layer that only contains one with statistics is put into eval mode as well",
        ),
    ],
    hint="which of all the layers keep something that a penalty does not hold, and how can you tell from the layer itself?",
)

EXERCISES["10.2"] = Number(
    task="which c belongs to strength 200 at lr = 0.01 and momentum = 0.9?",
    low=20 - 1e-6,
    high=20 + 1e-6,
    mistakes=[
        (1.99, 2.01, "this is right without momentum; how much farther does a steady gradient get with it?"),
        (0.19, 0.21, "momentum makes the step longer, not shorter"),
        (1.04, 1.06, "momentum makes the step longer, not shorter: a sign in the denominator"),
        (1.7, 1.9, "momentum itself is not the factor; how much farther does a steady gradient get with it?"),
        (2.2, 2.3, "the denominator is not momentum itself, but what is left of it"),
        (1999, 2001, "the learning rate is missing"),
        (199, 201, "this is the strength itself; the step has a length as well"),
        (9.9, 10.1, "the 1/2 of the loss cancels against the square"),
        (39.9, 40.1, "a 2 is there too much: the 1/2 of the loss cancels against the square"),
    ],
    hint="three numbers take part: how long a step is, how strong the penalty is, and what momentum makes of a steady gradient",
)

EXERCISES["10.3"] = Choice(
    task='what would you ask for first: "strength", "labels", "statistics" or "momentum"?',
    right="statistics",
    others={
        "strength": "the weights are where they were, so the penalty has held as firmly as it could; what "
        "else is in a network?",
        "labels": "the label choice says how firmly each weight is held, and none has moved; what else is in a network?",
        "momentum": "momentum moves weights, and none has moved; what else is in a network?",
    },
)


def _partly_frozen(generator: torch.Generator) -> list[tuple[nn.Module]]:
    """Networks of drawn widths with a frozen layer, running statistics, and, in the second, a weight that two layers share."""

    def network(shared: bool) -> nn.Sequential:
        a, b, c = (torch.randperm(5, generator=generator)[:3] + 4).tolist()
        layers = [nn.Linear(a, b), nn.BatchNorm1d(b), nn.Linear(b, b), nn.Linear(b, b), nn.Linear(b, c)]
        layers[0].requires_grad_(False)
        if shared:
            layers[3].weight = layers[2].weight
        return nn.Sequential(*layers)

    return [(network(False),), (network(True),)]


def _count(model: nn.Module, learns: bool | None = True) -> int:
    return sum(p.numel() for p in model.parameters() if learns is None or p.requires_grad == learns)


def _by_layer(model: nn.Module) -> int:
    return sum(p.numel() for m in model.modules() for p in m.parameters(recurse=False) if p.requires_grad)


EXERCISES["10.4"] = Function(
    task="write numbers_kept(model): how many numbers EWC keeps of a model that it has consolidated.",
    cases=_partly_frozen,
    right=lambda model: 2 * _count(model),
    mistakes=[
        (_count, "one number a weight is not enough: what does the penalty have to know of each to say how far it has moved?"),
        (lambda m: 2 * _count(m, None), "weights that cannot move are counted as well"),
        (lambda m: _count(m, None), "weights that cannot move are counted as well, and one number a weight is not enough"),
        (lambda m: 2 * _count(m, False), "these are the weights that cannot move"),
        (lambda m: _count(m, False), "these are the weights that cannot move, and one number of each"),
        (lambda m: 2 * sum(p.requires_grad for p in m.parameters()), "tensors are counted, and not the numbers in them"),
        (
            lambda m: sum(p.requires_grad for p in m.parameters()),
            "tensors are counted, and not the numbers in them, and each once",
        ),
        (lambda m: 2 * _by_layer(m), "a weight that two layers share is one weight, and is counted with each of them"),
        (
            lambda m: 2 * (_count(m) + sum(b.numel() for b in m.buffers())),
            "what is no weight is counted, and no penalty holds it",
        ),
        (lambda m: sum(t.numel() for t in m.state_dict().values()), "this is what the model itself puts into a file"),
        (
            lambda m: _count(m) ** 2,
            "one number for each pair of weights would be the whole Fisher matrix; EWC has its diagonal",
        ),
        (lambda m: 3 * _count(m), "is there more than the importance of a weight and its anchor?"),
    ],
    hint="which weights does EWC ask about, and what does the penalty need to know of each of them?",
)

EXERCISES["10.5"] = Choice(
    task='what would you change first: "the strength", "the step", "when it is consolidated", "the labels", "what is frozen"?',
    right="when it is consolidated",
    others={
        "the strength": "three strengths were tried, from small to huge; what is pulled where at the largest?",
        "the step": "every loss is finite, so nothing has swung out of bounds",
        "the labels": "the label choice changes how large F is, but for one part it is exactly 0; where does a weight have no "
        "effect at all?",
        "what is frozen": "the base cannot move and need not be held; which weights should be held, and at which values?",
    },
)
