"""The Fisher information against the plainest code there is: autograd, one sample, one label at a time, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import cl_teach as cl
from cl_teach import fisher
from cl_teach.models import head

LABELS = ("exact", "true", "predicted")


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])


def gradients(model: nn.Module, x: Tensor, labels: str, y: Tensor, classes: Sequence[int] | None = None):
    """(weight, flat gradient of -log p) for every sample and label that counts."""
    model = copy.deepcopy(model).eval()
    parameters = [p for p in model.parameters() if p.requires_grad]
    for i in range(len(x)):
        logits = head(model(x[i : i + 1]), classes)[0]
        log_p = logits.log_softmax(0)
        chosen = {"exact": range(len(logits)), "true": [int(y[i])], "predicted": [int(logits.argmax())]}[labels]
        for c in chosen:
            weight = float(log_p[c].exp()) if labels == "exact" else 1.0
            g = torch.autograd.grad(-log_p[c], parameters, retain_graph=True, allow_unused=True)
            filled = [torch.zeros_like(p) if d is None else d.to_dense() for p, d in zip(parameters, g, strict=True)]
            yield weight, torch.cat([d.flatten() for d in filled])


def reference(model: nn.Module, x: Tensor, labels: str, y: Tensor, classes: Sequence[int] | None = None) -> dict[str, Tensor]:
    total = sum(w * g.square() for w, g in gradients(model, x, labels, y, classes)) / len(x)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    parts = total.split([p.numel() for p in named.values()])
    return {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}


def assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor], rtol: float = 1e-10) -> None:
    assert list(got) == list(wanted)
    # An element that is zero but for rounding has no relative error: what is far below the largest is compared with that.
    scale = max(float(w.max()) for w in wanted.values())
    for name, w in wanted.items():
        torch.testing.assert_close(got[name], w, rtol=rtol, atol=1e-18 * scale, msg=lambda m, name=name: f"{name}: {m}")
    assert scale > 0


def ways(model: nn.Module, x: Tensor) -> dict[str, str]:
    """Which way each parameter goes: closed, vmap or loop."""
    with torch.enable_grad():
        columns = fisher._label_columns("true")
        return fisher._PerSample(copy.deepcopy(model).eval(), x, None, columns, ("closed", "vmap")).way


class Reshape(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


def conv(kind: type, *args: object, shape: tuple[int, ...], **options: object) -> Callable[[], tuple[nn.Module, Tensor]]:
    def build() -> tuple[nn.Module, Tensor]:
        layer = kind(*args, **options)
        x = torch.randn(5, *shape)
        features = layer(x)[0].numel()
        return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(features, 3)), x

    return build


def norm(layer: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, Tensor]:
    for p in layer.parameters():
        nn.init.normal_(p)
    for name, b in layer.named_buffers():
        if b.is_floating_point():
            nn.init.uniform_(b, 0.5, 2.0) if "var" in name else nn.init.normal_(b)
    features = torch.Size(shape).numel()
    x = torch.randn(6, *shape)
    return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(features, 4)), x


class Tokens(nn.Module):
    def __init__(self, **options: object) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4, **options)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.embedding(x).tanh().flatten(1, -2).sum(1))


def tokens(shape: tuple[int, ...], **options: object) -> tuple[nn.Module, Tensor]:
    return Tokens(**options), torch.randint(0, 7, (6, *shape))


LAYERS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "linear": lambda: (cl.mlp((6, 5), n_inputs=4, n_classes=3).double(), torch.randn(7, 4)),
    "linear without bias": lambda: (nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)), torch.randn(7, 4)),
    "linear on (N, T, F)": lambda: (
        nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2), nn.Flatten(), nn.Linear(6, 3)),
        torch.randn(7, 3, 4),
    ),
    "linear on (N, S, T, F)": lambda: (
        nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(30, 3)),
        torch.randn(7, 2, 3, 4),
    ),
    "conv1d": conv(nn.Conv1d, 2, 3, 3, shape=(2, 9)),
    "conv1d stride, padding, dilation, groups": conv(
        nn.Conv1d, 4, 6, 3, stride=2, padding=2, dilation=2, groups=2, shape=(4, 11)
    ),
    "conv2d": conv(nn.Conv2d, 2, 4, 3, shape=(2, 7, 6)),
    "conv2d without bias": conv(nn.Conv2d, 2, 4, 3, bias=False, shape=(2, 7, 6)),
    "conv2d stride, padding, dilation": conv(
        nn.Conv2d, 2, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), shape=(2, 8, 7)
    ),
    "conv2d groups": conv(nn.Conv2d, 4, 6, 3, groups=2, shape=(4, 6, 6)),
    "conv2d depthwise": conv(nn.Conv2d, 4, 8, 3, groups=4, padding=1, shape=(4, 5, 5)),
    "conv2d same": conv(nn.Conv2d, 2, 3, (4, 3), padding="same", shape=(2, 6, 5)),
    "conv2d valid": conv(nn.Conv2d, 2, 3, 3, padding="valid", shape=(2, 6, 5)),
    "conv2d reflect": conv(nn.Conv2d, 2, 3, 3, padding=1, padding_mode="reflect", shape=(2, 6, 5)),
    "conv2d replicate": conv(nn.Conv2d, 2, 3, 3, padding=(2, 1), padding_mode="replicate", shape=(2, 6, 5)),
    "conv2d circular": conv(nn.Conv2d, 2, 3, 3, padding=1, padding_mode="circular", shape=(2, 6, 5)),
    "conv2d with one output position": conv(nn.Conv2d, 2, 3, 4, shape=(2, 4, 4)),
    "conv2d groups with one output position": conv(nn.Conv2d, 4, 6, 4, groups=2, shape=(4, 4, 4)),
    "conv3d": conv(nn.Conv3d, 2, 3, 2, stride=(1, 2, 1), padding=1, shape=(2, 3, 4, 3)),
    "conv3d groups, dilation, circular": conv(
        nn.Conv3d, 2, 4, 2, groups=2, dilation=2, padding=1, padding_mode="circular", shape=(2, 4, 4, 4)
    ),
    "embedding (N,)": lambda: tokens(()) if False else (nn.Sequential(nn.Embedding(7, 4), nn.Tanh(), nn.Linear(4, 3)),
                                                       torch.arange(12).reshape(6, 2)[:, :1] % 7),
    "embedding (N, T)": lambda: tokens((5,)),
    "embedding (N, S, T)": lambda: tokens((2, 3)),
    "embedding with padding": lambda: tokens((5,), padding_idx=2),
    "layer norm": lambda: norm(nn.LayerNorm(5), (5,)),
    "layer norm on (N, T, F)": lambda: norm(nn.LayerNorm(5), (3, 5)),
    "layer norm over two dimensions": lambda: norm(nn.LayerNorm((3, 5)), (2, 3, 5)),
    "group norm": lambda: norm(nn.GroupNorm(2, 4), (4, 3, 3)),
    "group norm on (N, C)": lambda: norm(nn.GroupNorm(2, 4), (4,)),
    "batch norm 1d": lambda: norm(nn.BatchNorm1d(5), (5,)),
    "batch norm 1d on (N, C, L)": lambda: norm(nn.BatchNorm1d(3), (3, 4)),
    "batch norm 2d": lambda: norm(nn.BatchNorm2d(3), (3, 4, 2)),
    "batch norm 3d": lambda: norm(nn.BatchNorm3d(2), (2, 2, 3, 2)),
}  # fmt: skip


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_kind_in_closed_form(name: str, labels: str) -> None:
    model, x = LAYERS[name]()
    if model(x).ndim == 3:
        model = nn.Sequential(model, nn.Flatten())
    y = torch.randint(0, 3, (len(x),))
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y), labels), reference(model, x, labels, y))
    assert set(ways(model, x).values()) == {"closed"}
