"""Networks as people have them: the Fisher information is that of autograd, one sample a time; and by which way it is found."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

import cl_teach as cl
from cl_teach import fisher
from cl_teach._weights import plain_autograd
from cl_teach.fast import directions
from cl_teach.fast.per_sample import PerSample

CLASSES = 4


class Block(nn.Module):
    """Of a residual network (He et al. 2016, figure 2), with a projection where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(h + self.short(x))


def resnet() -> nn.Module:
    stem = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(*stem, Block(4, 4, 1), Block(4, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))


def resnet18() -> nn.Module:
    return pytest.importorskip("torchvision.models").resnet18(num_classes=CLASSES)


def vision_transformer() -> nn.Module:
    make = pytest.importorskip("torchvision.models").VisionTransformer
    model = make(image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24, num_classes=CLASSES)
    nn.init.normal_(model.heads.head.weight)  # zeros, else
    return model


class Encoder(nn.Module):
    """A classifier of sequences of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 8), nn.Parameter(0.1 * torch.randn(6, 8))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.tokens(x) + self.places).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type, **options: Any) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.layer = kind(4, 5, **{"batch_first": True, **options})
        self.samples_first = self.layer.batch_first
        features = self.layer(torch.zeros(1, 1, 4))[0].shape[2]
        self.out = nn.Linear(features, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = self.layer(h)[0] if self.samples_first else self.layer(h.transpose(0, 1))[0].transpose(0, 1)
        return self.out(h[:, -1] + h[:, 0])


class LearntStart(nn.Module):
    """A state to begin with that is learnt, and the last states as what is made of the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(3, 5, batch_first=True), nn.Linear(10, CLASSES)
        self.h, self.c = nn.Parameter(torch.randn(1, 1, 5)), nn.Parameter(torch.randn(1, 1, 5))

    def forward(self, x: Tensor) -> Tensor:
        start = [s.expand(1, len(x), 5).contiguous() for s in (self.h, self.c)]
        return self.out(torch.cat(self.lstm(x, (start[0], start[1]))[1], dim=2)[0])


class Packed(nn.Module):
    """Sequences of their own length; torch's packed form."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(3, 5, batch_first=True), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        lengths = 2 + (x[:, 0, 0] > 0).long().cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.out(self.gru(packed)[1][0])


class LowRank(nn.Module):
    """A frozen layer and a product of two small matrices beside it (Hu et al. 2021, arXiv:2106.09685)."""

    def __init__(self, base: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.b = nn.Parameter(torch.randn(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.a.T @ self.b.T


class Bags(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(11, 5, mode=mode), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.bag(x).tanh())


class ByFrequency(nn.Module):
    """torch divides this layer's gradient by how often a token is in the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.out = nn.Embedding(11, 5, scale_grad_by_freq=True), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.tokens(x).tanh().mean(1))


class TiedWeights(nn.Module):
    """Tokens in, tokens out, one weight for both."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.out = nn.Embedding(CLASSES, 5), nn.Linear(5, CLASSES)
        self.out.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.tokens(x % CLASSES).mean(1).tanh())


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend, self.out = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = pad(x, (0, 1))
        return self.out(self.attend(h, h, h, need_weights=False)[0].mean(1))


def group_norm() -> nn.Module:
    first = [nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.AvgPool2d(4)]
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(64, CLASSES))


def weight_norm() -> nn.Module:
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 5))
    return nn.Sequential(normed, nn.Tanh(), nn.Flatten(), nn.Linear(30, CLASSES))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(18, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(196, CLASSES))


SEQUENCES, IMAGES, TOKENS = (6, 3), (3, 16, 16), None
Make = Callable[[], nn.Module]
MODELS: dict[str, tuple[Make, tuple[int, ...] | None, dict[str, int], Any]] = {  # make, inputs, parameters by way, type
    "ResNet with batch norm": (resnet, IMAGES, {"closed": 23}, None),
    "torchvision resnet18": (resnet18, (3, 32, 32), {"closed": 62}, torch.float64),
    "torchvision VisionTransformer": (vision_transformer, IMAGES, {"closed": 22, "vmap": 10}, torch.float64),
    "transformer encoder": (Encoder, TOKENS, {"closed": 19, "vmap": 9}, torch.float64),
    "RNN": (lambda: Recurrent(nn.RNN), SEQUENCES, {"closed": 8}, torch.float64),
    "RNN with relu, without bias, steps first": (
        lambda: Recurrent(nn.RNN, nonlinearity="relu", bias=False, batch_first=False), SEQUENCES, {"closed": 6}, torch.float64
    ),
    "LSTM": (lambda: Recurrent(nn.LSTM), SEQUENCES, {"closed": 8}, None),
    "GRU": (lambda: Recurrent(nn.GRU), SEQUENCES, {"closed": 8}, torch.float64),
    "GRU, three layers, steps first": (
        lambda: Recurrent(nn.GRU, num_layers=3, batch_first=False), SEQUENCES, {"closed": 16}, torch.float64
    ),
    "LSTM, bidirectional, two layers": (
        lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True, dropout=0.5), SEQUENCES, {"closed": 20}, torch.float64
    ),
    "LSTM with projections": (
        lambda: Recurrent(nn.LSTM, proj_size=2, num_layers=2, bidirectional=True), SEQUENCES, {"closed": 24}, torch.float64
    ),
    "LSTM with a learnt start": (LearntStart, SEQUENCES, {"closed": 6, "vmap": 2}, torch.float64),
    "GRU on packed sequences": (Packed, SEQUENCES, {"closed": 2, "loop": 4}, torch.float64),
    "low-rank adapter": (
        lambda: nn.Sequential(nn.Flatten(), LowRank(nn.Linear(18, 6)), nn.Tanh(), LowRank(nn.Linear(6, CLASSES))),
        SEQUENCES, {"vmap": 4}, torch.float64,
    ),
    "MLP in bfloat16": (mlp, SEQUENCES, {"closed": 4}, torch.bfloat16),
    "MLP in float16": (mlp, SEQUENCES, {"closed": 4}, torch.float16),
    "CNN in bfloat16": (cnn, IMAGES, {"closed": 4}, torch.bfloat16),
    "CNN in float16": (cnn, IMAGES, {"closed": 4}, torch.float16),
    "CNN with group norm": (group_norm, IMAGES, {"closed": 6}, None),
    "EmbeddingBag, mean": (lambda: Bags("mean"), TOKENS, {"closed": 2, "vmap": 1}, torch.float64),
    "EmbeddingBag, max": (lambda: Bags("max"), TOKENS, {"closed": 2, "vmap": 1}, torch.float64),
    "Embedding scaled by frequency": (ByFrequency, TOKENS, {"closed": 2, "vmap": 1}, torch.float64),
    "weight norm": (weight_norm, SEQUENCES, {"closed": 2, "vmap": 3}, torch.float64),
    "tied weights": (TiedWeights, TOKENS, {"closed": 1, "vmap": 1}, torch.float64),
    "MultiheadAttention": (Attends, SEQUENCES, {"closed": 2, "vmap": 4}, torch.float64),
}  # fmt: skip
SLOW = {"torchvision resnet18"}
ALL = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS]
BOUND = {torch.float64: 1e-9, torch.float32: 1e-6, torch.bfloat16: 0.03, torch.float16: 0.004}  # half types: by their rounding


def example(name: str) -> tuple[nn.Module, cl.Split]:
    torch.manual_seed(0)
    make, shape, _, dtype = MODELS[name]
    n = 3 if name in SLOW else 7
    x = torch.randint(0, 11, (n, 6)) if shape is None else torch.randn(n, *shape)
    model = make()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    dtype = dtype or torch.float32
    model = model.to(dtype)
    return model, cl.Split(x.to(dtype) if shape else x, torch.arange(n) % CLASSES)


def gradients(model: nn.Module, data: cl.Split, labels: str) -> Iterator[tuple[float, list[Tensor]]]:
    """(weight, gradient of log p) for each sample and label that counts: one sample a time, torch.autograd and nothing else."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    for x, y in zip(data.x.split(1), data.y.tolist(), strict=True):
        log_p = model(x).log_softmax(1)[0]
        for c in range(CLASSES) if labels == "exact" else [y]:
            g = torch.autograd.grad(log_p[c], parameters, retain_graph=True)
            yield (float(log_p[c].detach().exp()) if labels == "exact" else 1.0) / len(data), [d.double().flatten() for d in g]


def as_reference(model: nn.Module, data: cl.Split) -> tuple[nn.Module, cl.Split]:
    """In eval mode and float64, which holds the numbers of the smaller types exactly: the same network, without rounding."""
    model = copy.deepcopy(model).eval().double()
    return model, cl.Split(data.x.double() if data.x.is_floating_point() else data.x, data.y)


def flat(named: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.double().flatten() for t in named.values()])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("labels", ["exact", "true"])
@pytest.mark.parametrize("name", ALL)
def test_it_is_that_of_autograd(name: str, labels: str, record_property: Callable[[str, object], None]) -> None:
    model, data = example(name)
    start = time.process_time()
    wanted = sum(w * torch.cat(g).square() for w, g in gradients(*as_reference(model, data), labels))
    loop = time.process_time() - start
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing to say about any of them
        warnings.filterwarnings("ignore", "LSTM with projections")
        found = cl.diagonal_fisher(model, data, labels)
    error = float((flat(found) - wanted).norm() / wanted.norm())
    if name not in SLOW:  # the same samples again and again, as with a few all time is the judge's
        many = cl.Split(data.x.repeat(12, *[1] * (data.x.ndim - 1)), data.y.repeat(12))
        start = time.process_time()
        cl.diagonal_fisher(model, many, labels)
        ratio = (time.process_time() - start) / loop / 12
        record_property("time / loop", ratio)
        print(f"{name}, {labels}: {ratio:.2f} of the loop's time, error {error:.1e}")
    assert list(found) == [n for n, p in model.named_parameters() if p.requires_grad]
    assert error <= BOUND[next(model.parameters()).dtype] and wanted.norm() > 0


@pytest.mark.parametrize("name", ALL)
def test_by_which_way(name: str) -> None:
    model, data = example(name)
    with torch.enable_grad():
        work = PerSample(model.eval(), data.x[[0, -1]], None, ("closed", "vmap"), fisher.plain_squares)
        shares = Counter(work.way.get(parameter, "loop") for parameter in work.theta)
    assert dict(shares) == MODELS[name][2]


DIRECTED = {  # by which way
    "transformer encoder": directions._forward,
    "EmbeddingBag, mean": None,  # by per-sample gradients
    "EmbeddingBag, max": None,
    "weight norm": directions._twice,
    "Embedding scaled by frequency": None,
    "LSTM": directions._forward,
    "GRU on packed sequences": directions._twice,
    "MultiheadAttention": directions._forward,
}


@pytest.mark.parametrize("labels", ["exact", "true"])
@pytest.mark.parametrize("name", DIRECTED)
def test_directions(name: str, labels: str) -> None:
    model, data = example(name)
    basis = [{n: torch.randn_like(p) for n, p in model.named_parameters()} for _ in range(3)]
    u = torch.stack([flat(v) for v in basis], dim=1)  # (P, 3)
    matrix = sum(w * torch.outer(torch.cat(g), torch.cat(g)) for w, g in gradients(*as_reference(model, data), labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restricted = cl.restricted_fisher(model, data, basis, labels, chunk=4)
        product = cl.fisher_vector_product(model, data, basis[0], labels, chunk=4)
    with plain_autograd():
        work = PerSample(model.eval(), data.x[[0, -1]], None, ("vmap",), fisher.plain_squares)
        assert directions.Directions(basis)._judge(work) is DIRECTED[name]
    wanted, size = u.T @ matrix @ u, BOUND[next(model.parameters()).dtype]
    assert float((restricted - wanted).norm() / wanted.norm()) <= 3 * size
    assert float((flat(product) - matrix @ u[:, 0]).norm() / (matrix @ u[:, 0]).norm()) <= 3 * size
