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
from cl_teach.fast import per_sample, sums
from cl_teach.fast.per_sample import PerSample
from cl_teach.models import head

LABELS = ("exact", "true", "predicted")


pytestmark = pytest.mark.usefixtures("float64")


def gradients(model: nn.Module, x: Tensor, labels: str, y: Tensor, classes: Sequence[int] | None = None):
    """(weight, flat gradient of -log p) for every sample and label that counts."""
    model = copy.deepcopy(model).eval()
    parameters = [p for p in model.parameters() if p.requires_grad]
    for i in range(len(x)):
        logits = head(model(x[i : i + 1]), classes)[0]
        log_p = logits.log_softmax(0)
        chosen = {"exact": range(len(logits)), "true": [int(y[i])], "predicted": [int(logits.argmax())]}[labels]
        for c in chosen:
            weight = float(log_p[c].detach().exp()) if labels == "exact" else 1.0
            g = torch.autograd.grad(-log_p[c], parameters, retain_graph=True, allow_unused=True)
            filled = [torch.zeros_like(p) if d is None else d.to_dense() for p, d in zip(parameters, g, strict=True)]
            yield weight, torch.cat([d.flatten() for d in filled])


def reference(model: nn.Module, x: Tensor, labels: str, y: Tensor, classes: Sequence[int] | None = None) -> dict[str, Tensor]:
    total = sum(w * g.square() for w, g in gradients(model, x, labels, y, classes)) / len(x)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    parts = total.split([p.numel() for p in named.values()])
    return {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}


def assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor], rtol: float = 1e-10, zero: float = 1e-18) -> None:
    assert list(got) == list(wanted)
    # An element that is zero but for rounding has no relative error: what is far below the largest is compared with that.
    scale = max(float(w.max()) for w in wanted.values())
    for name, w in wanted.items():
        torch.testing.assert_close(got[name], w, rtol=rtol, atol=zero * scale, msg=lambda m, name=name: f"{name}: {m}")
    assert scale > 0


def ways(model: nn.Module, x: Tensor) -> dict[str, str]:
    """Which way each parameter goes: closed, vmap or loop."""
    with torch.enable_grad():
        work = PerSample(copy.deepcopy(model).eval(), x[[0, -1]], None, ("closed", "vmap"), fisher.plain_squares)
        return {name: work.way.get(name, "loop") for name in work.theta}


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
    "embedding (N, 1)": lambda: tokens((1,)),
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
    y = torch.randint(0, 3, (len(x),))
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y), labels), reference(model, x, labels, y))
    assert set(ways(model, x).values()) == {"closed"}


class Twice(nn.Module):
    """One module called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(self.layer(x).tanh()).tanh())


class TwiceConv(nn.Module):
    """One convolution on two sizes of picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Conv2d(2, 2, 3), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(self.layer(x).tanh()).tanh().mean((2, 3)))


class Tied(nn.Module):
    """Two layers of one kind with one weight, each with its own bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.b(self.a(x).tanh()).tanh())


class TiedEmbedding(nn.Module):
    """A language model's habit: the output layer is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(5, 4), nn.Linear(4, 5)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.embedding(x).mean(1).tanh())


class Functional(nn.Module):
    """A weight that is also used outside its layer's own call."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(functional.linear(self.encode(x).tanh(), self.encode.weight.T).tanh())


class OwnParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift, self.out = nn.Parameter(torch.randn(4)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x + self.shift).sin())


class Odd(nn.Linear):
    """A subclass that computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).exp() + self.weight.sum()


class Attention(nn.Module):
    """Positions first, samples second: no first dimension is the samples'."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.norm, self.out = nn.MultiheadAttention(4, 2), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = x.transpose(0, 1)
        return self.out(self.norm(h + self.attend(h, h, h)[0]).mean(0))


class Folded(nn.Module):
    """Positions folded into the samples' dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 4), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x.reshape(-1, 4)).tanh().reshape(len(x), -1))


class Recurrent(nn.Module):
    """What torch.func cannot do."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(x)[0][:, -1])


class Branching(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.experts[int(sample.sum().item() > 0)](sample) for sample in x])


class Keyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(input=x)


class UnderNoGrad(nn.Module):
    """Parameters that the loss does not reach have no Fisher information."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.unused, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.features(x)
        return self.out(h.tanh())


def frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    model[0].weight.requires_grad_(False)
    model[2].requires_grad_(False)
    return model


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    model[0].register_forward_hook(lambda layer, args, output: output * 2)
    return model


EDGES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "called twice": (Twice, (4,)),
    "convolution called twice": (TwiceConv, (2, 6, 6)),
    "tied": (Tied, (4,)),
    "functional use": (Functional, (4,)),
    "own parameter": (OwnParameter, (4,)),
    "subclass": (lambda: nn.Sequential(Odd(4, 5), nn.Linear(5, 3)), (4,)),
    "attention": (Attention, (5, 4)),
    "attention with as many positions as samples": (Attention, (6, 4)),
    "attention with two positions": (Attention, (2, 4)),
    "folded": (Folded, (3, 4)),
    "lstm": (Recurrent, (3, 4)),
    "branching": (Branching, (4,)),
    "keyword": (Keyword, (4,)),
    "not reached": (UnderNoGrad, (4,)),
    "frozen": (frozen, (4,)),
    "a hook that changes the output": (hooked, (4,)),
    "in place": (lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 5), nn.ELU(inplace=True),
                                       nn.Linear(5, 3)), (4,)),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 3)), (4,)),
    "weight norm": (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), nn.Tanh(), nn.Linear(3, 3)),
                    (4,)),
    "transposed convolution": (lambda: nn.Sequential(nn.ConvTranspose1d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(15, 3)),
                               (2, 4)),
    "instance norm": (lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.InstanceNorm1d(3, affine=True), nn.Tanh(), nn.Flatten(),
                                            nn.Linear(15, 3)), (2, 6)),
    "prelu": (lambda: nn.Sequential(nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 3)), (4,)),
    "article's CNN": (lambda: cl.article_cnn(device="cpu"), (1, 28, 28)),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_every_edge_case(name: str) -> None:
    build, shape = EDGES[name]
    model, x = build().double(), torch.randn(6, *shape)
    y = torch.randint(0, 3, (6,))
    for labels in ("exact", "true"):
        assert_same(cl.diagonal_fisher(model, cl.Split(x, y), labels), reference(model, x, labels, y))


def test_an_embedding_tied_to_the_output() -> None:
    x, y = torch.randint(0, 5, (6, 3)), torch.randint(0, 5, (6,))
    model = TiedEmbedding()
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y)), reference(model, x, "exact", y))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tied", {"closed"}),
        ("in place", {"closed"}),
        ("convolution called twice", {"closed"}),
        ("called twice", {"closed"}),
        ("functional use", {"closed", "vmap"}),
        ("lstm", {"closed"}),
        ("branching", {"loop"}),
    ],
)
def test_the_way_is_chosen_by_parameter(name: str, expected: set[str]) -> None:
    build, shape = EDGES[name]
    assert set(ways(build(), torch.randn(6, *shape)).values()) == expected


RECURRENT = {
    "rnn": (nn.RNN, {}),
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
    "two levels, both ways": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "projected": (nn.LSTM, {"proj_size": 2}),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_go_in_closed_form_to_the_end(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their state meets its weights at every step, and only there."""
    build, options = RECURRENT[kind]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = build(4, 3, batch_first=True, **options)
            self.out = nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.layer(x)[0][:, -1])

    model, x, y = Network(), torch.randn(6, 5, 4), torch.arange(6) % 3
    model(x)
    wanted = reference(model, x, "exact", y)

    def none_left(self: PerSample, names: list[str], *rest: object, **options: object) -> list[object]:
        assert not names, "another way"
        return []

    monkeypatch.setattr(per_sample.PerSample, "gradients", none_left)
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y)), wanted)


def test_a_recurrent_layer_whose_state_s_weights_are_used_elsewhere_too_does_not() -> None:
    class Twice(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + (x[:, 0, :3] @ self.lstm.weight_hh_l0.T)[:, :3]

    model, x, y = Twice(), torch.randn(6, 3, 4), torch.arange(6) % 3
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y)), reference(model, x, "exact", y))


LAYER = st.sampled_from(["linear", "twice", "conv", "norm", "batch norm", "group norm", "relu", "tanh", "pool", "dropout"])


def make(name: str, channels: int, length: int) -> nn.Module:
    if name == "twice":
        return nn.Sequential(*[nn.Linear(length, length)] * 2)
    if name == "conv":
        return nn.Conv1d(channels, 4, 3, padding=1, groups=2)
    return {
        "linear": nn.Linear(length, 5),
        "norm": nn.LayerNorm((channels, length)),
        "batch norm": nn.BatchNorm1d(channels),
        "group norm": nn.GroupNorm(2, channels),
        "relu": nn.ReLU(inplace=True),
        "tanh": nn.Tanh(),
        "pool": nn.AvgPool1d(2, stride=1),
        "dropout": nn.Dropout(0.5),
    }[name]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    layers=st.lists(LAYER, min_size=1, max_size=6),
    seed=st.integers(0, 10_000),
    chunk=st.integers(1, 7),
    labels=st.sampled_from(LABELS),
)
def test_random_architectures(layers: list[str], seed: int, chunk: int, labels: str) -> None:
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    h = x = torch.randn(5, 4, 6)
    for name in layers:
        channels, length = h.shape[1:]
        saved = [p for p in parts if not isinstance(p, nn.Dropout)][-1:]  # whose output backward needs: not to be overwritten
        if (name == "pool" and length < 2) or (name == "relu" and isinstance((saved or [None])[0], (nn.ReLU, nn.Tanh))):
            continue
        part = make(name, channels, length)
        parts.append(part.eval())
        h = part(h.clone()).detach()
    model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(h[0].numel(), 3))
    y = torch.randint(0, 3, (5,))
    assert_same(cl.diagonal_fisher(model, cl.Split(x.clone(), y), labels, chunk=chunk), reference(model, x, labels, y))


@pytest.mark.parametrize("labels", [*LABELS, "sample", "stratified"])
@pytest.mark.parametrize("name", ["attention", "prelu", "branching", "lstm", "article's CNN"])
def test_the_plain_way_is_the_definition(name: str, labels: str) -> None:
    build, shape = EDGES[name]
    model, x, y = build().double().eval(), torch.randn(4, *shape), torch.randint(0, 3, (4,))
    p = model(x).detach().softmax(1)
    uniform = torch.rand(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = fisher.plain_squares(model, x, *fisher.label_weights(p, labels, y, uniform, likeliest=1))
    if labels in LABELS:
        assert_same(plain, reference(model, x, labels, y), rtol=1e-9)
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y), labels, likeliest=1), plain, rtol=1e-9)
    whole = fisher.plain_fisher(model.train(), x, y, labels, seed=3)
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y), labels, seed=3), whole, rtol=1e-9)
    assert model.training


def test_the_plain_way_is_the_judge_of_the_quick_ones() -> None:
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), torch.randn(6, 4)
    assert set(ways(model, x).values()) == {"closed"}
    asked: list[str] = []

    def another(model: nn.Module, *arguments: object) -> dict[str, Tensor]:
        asked.append(type(model).__name__)
        found = fisher.plain_squares(model, *arguments)
        return {**found, "0.weight": 1.01 * found["0.weight"]}

    work = PerSample(model, x[:2], None, ("closed", "vmap"), another)
    assert work.way == {"0.bias": "closed", "2.weight": "closed", "2.bias": "closed"}  # 0.weight goes sample by sample
    assert asked == ["Sequential"]


def test_torch_func_is_not_believed_where_it_is_wrong() -> None:
    """torch 2.14: vmap of PReLU's gradient is another number, and no error."""
    model, x = nn.Sequential(nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 3)), torch.randn(6, 4)
    y = torch.randint(0, 3, (6,))
    for labels in ("exact", "true"):
        assert_same(cl.diagonal_fisher(model, cl.Split(x, y), labels), reference(model, x, labels, y))


def test_a_stratified_fisher_is_right_on_average_and_less_noisy_than_draws_alone() -> None:
    model, data = example(n=4)
    many = cl.Split(data.x.repeat(5000, 1, 1), data.y.repeat(5000))
    exact = cl.diagonal_fisher(model, data)
    for likeliest in (1, 2, 3):
        found = cl.diagonal_fisher(model, many, "stratified", likeliest=likeliest, chunk=2000)
        assert max(float((found[name] - f).norm() / f.norm()) for name, f in exact.items()) < 0.03  # 20,000 draws
    for enough in (4, 5, 100):  # of five classes
        assert_same(cl.diagonal_fisher(model, data, "stratified", likeliest=enough), exact, rtol=1e-12)

    def noise(labels: str, **options: int) -> float:
        draws = [cl.diagonal_fisher(model, data, labels, seed=seed, **options) for seed in range(60)]
        return sum(float((d[name] - f).square().sum()) for d in draws for name, f in exact.items())

    noises = [noise("sample"), *(noise("stratified", likeliest=k) for k in (1, 2, 3))]
    assert noises[1] < 0.8 * noises[0] and noises[2] < 0.8 * noises[1] and noises[3] < 0.8 * noises[2]


@pytest.mark.parametrize("labels", ["exact", "stratified", "sample"])
def test_many_classes_a_few_columns_at_a_time(labels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv1d(2, 3, 3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 40)]
    model, x, y = nn.Sequential(*layers), torch.randn(9, 2, 6), torch.randint(0, 40, (9,))
    data = cl.Split(x, y)
    whole = cl.diagonal_fisher(model, data, labels)
    if labels == "exact":
        assert_same(whole, reference(model, x, labels, y))
    sizes: list[int] = []
    sent_back = sums._sent_back

    def counted(source: Tensor, block: list[Tensor], *rest: object) -> object:
        sizes.append(len(block) * len(source))
        return sent_back(source, block, *rest)

    monkeypatch.setattr(sums, "_sent_back", counted)
    for module in (sums, per_sample):
        monkeypatch.setattr(module, "STORED", 500)
    assert_same(cl.diagonal_fisher(model, data, labels), whole, rtol=1e-10)
    assert max(sizes) * (12 + 5) <= 500  # numbers a sample and column: of the convolution, and below the last layer
    assert len(set(sizes)) > 1 or labels == "sample"


def test_columns_of_many_classes_do_not_fill_the_memory_for_a_small_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    class Warm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.warmth = nn.Linear(4, 40), nn.Parameter(torch.tensor(0.7))  # the warmth goes by torch.func

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) * self.warmth

    model, x, y = Warm(), torch.randn(9, 4), torch.randint(0, 40, (9,))
    assert ways(model, x)["warmth"] == "vmap"
    sizes: list[int] = []
    vmapped = PerSample._vmapped

    def counted(work: PerSample, names: Sequence[str], x: Tensor, columns: Tensor) -> dict[str, Tensor]:
        sizes.append(columns.numel())  # n samples, 40 logits, some of the 39 columns
        return vmapped(work, names, x, columns)

    monkeypatch.setattr(PerSample, "_vmapped", counted)
    monkeypatch.setattr(per_sample, "STORED", 2 * 40 * 39)
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y)), reference(model, x, "exact", y))
    assert max(sizes) == 2 * 40 * 39


def test_outputs_that_are_named_twice_or_in_another_order_are_the_same_outputs() -> None:
    model, data = example()
    data = cl.Split(data.x, data.y % 3)
    wanted = cl.diagonal_fisher(model, data, classes=(0, 1, 2))
    for classes in ((0, 0, 1, 2), (2, 1, 0), [1, 2, 0, 2]):
        assert_same(cl.diagonal_fisher(model, data, classes=classes), wanted, rtol=0)
        assert cl.evaluate(model, data, classes) == cl.evaluate(model, data, (0, 1, 2))


class Residual(nn.Module):
    """What meets the last layer goes elsewhere too; the output is, or is not, that layer's own."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.a, self.b, self.out, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), last

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).tanh()
        return self.out(h + self.b(h).tanh()) if self.last else h + self.out(self.b(h).tanh())


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("classes", [None, (1, 3)])
def test_backward_passes_that_begin_below_the_last_layer(last: bool, classes: tuple[int, ...] | None, labels: str) -> None:
    model, x = Residual(last), torch.randn(6, 4)
    y = torch.randint(0, 4, (6,)) if classes is None else torch.tensor(classes)[torch.randint(0, 2, (6,))]
    places = y if classes is None else (y == 3).long()
    got = cl.diagonal_fisher(model, cl.Split(x, y), labels, classes=classes)
    assert_same(got, reference(model, x, labels, places, classes))


@pytest.mark.parametrize("last", [True, False])
def test_the_closed_form_is_taken_for_some_of_the_outputs_too(last: bool) -> None:
    """A wrong one would be found out by the judge, and replaced by a slow way without a word."""
    for model in (Residual(last), cl.mlp((5,), n_inputs=4, n_classes=4, device="cpu").double()):
        with torch.enable_grad():
            work = PerSample(model.eval(), torch.randn(2, 4), (1, 3), ("closed", "vmap"), fisher.plain_squares)
        assert work.way == {name: "closed" for name, _ in model.named_parameters()}


def example(n: int = 40, seed: int = 0) -> tuple[nn.Module, cl.Split]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(12, 5))
    return model, cl.Split(torch.randn(n, 2, 6), torch.randint(0, 5, (n,)))


@pytest.mark.parametrize("labels", [*LABELS, "sample"])
def test_chunks_change_rounding_only(labels: str) -> None:
    model, split = example()
    whole = cl.diagonal_fisher(model, split, labels, chunk=1000)
    for chunk in (1, 7, 16, 40):
        assert_same(cl.diagonal_fisher(model, split, labels, chunk=chunk), whole, rtol=1e-12)


@pytest.mark.parametrize("labels", [*LABELS, "sample"])
def test_a_loader_gives_what_the_tensors_give(labels: str) -> None:
    model, split = example()
    whole = cl.diagonal_fisher(model, split, labels)
    loader = DataLoader(TensorDataset(split.x, split.y), batch_size=9)
    assert_same(cl.diagonal_fisher(model, loader, labels), whole, rtol=1e-12)
    assert_same(cl.diagonal_fisher(model, iter(loader), labels, chunk=4), whole, rtol=1e-12)
    assert_same(cl.diagonal_fisher(model, loader, labels, n=17), cl.diagonal_fisher(model, split, labels, n=17), rtol=1e-12)


def test_a_loader_is_read_once_and_only_as_far_as_needed() -> None:
    model, split = example()
    read = []

    def stream():
        for i in range(4):
            read.append(i)
            yield split.x[10 * i : 10 * i + 10], split.y[10 * i : 10 * i + 10]

    cl.diagonal_fisher(model, stream())
    assert read == [0, 1, 2, 3]
    read.clear()
    cl.diagonal_fisher(model, stream(), n=20)
    assert read == [0, 1]


def test_a_loader_s_model_is_asked_for_its_outputs_once() -> None:
    model, data = example()
    calls: list[int] = []
    model.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    for batch in (10, 5):
        calls.clear()
        cl.diagonal_fisher(model, DataLoader(TensorDataset(data.x, data.y), batch_size=batch), "true")
        assert calls.count(batch) == 40 // batch and len(calls) < 40 // batch + 12  # the rest is the judge's


def test_a_parameter_that_goes_sample_by_sample_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(OwnParameter(), nn.PReLU())  # the shift by torch.func; the slope of the PReLU as it may
    looped: list[list[str]] = []
    plainly = PerSample._looped
    monkeypatch.setattr(PerSample, "_looped", lambda work, names, *rest: looped.append([*names]) or plainly(work, names, *rest))
    x, y = torch.randn(6, 4), torch.randint(0, 3, (6,))
    way = ways(nn.Sequential(OwnParameter(), nn.Tanh()), x)
    assert way["0.shift"] == "vmap"
    slow = [name for name, how in ways(model, x).items() if how == "loop"]
    looped.clear()
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y), "true"), reference(model, x, "true", y))
    assert all(names == slow for names in looped)


@pytest.mark.parametrize(
    ("data", "n", "error", "words"),
    [
        (lambda s: [], None, ValueError, "got no batch"),
        (lambda s: iter([]), None, ValueError, "at least one sample"),
        (lambda s: iter([(s.x, s.y)]), 41, ValueError, "at most the 40"),
        (lambda s: iter([s.x[:3]]), None, TypeError, r"\(x, y\)"),
        (lambda s: iter([(s.x, s.y + 3)]), None, ValueError, "5 outputs"),
        (lambda s: (s.x, s.y), None, TypeError, "Split"),
        (lambda s: s.x, None, TypeError, "Split"),
        (lambda s: 3, None, TypeError, "Split"),
    ],
)
def test_wrong_data_get_a_clear_error(data: Callable, n: int | None, error: type[Exception], words: str) -> None:
    model, split = example()
    with pytest.raises(error, match=words):
        cl.diagonal_fisher(model, data(split), n=n)


def test_sampled_labels_follow_the_seed_or_the_generator() -> None:
    model, split = example()
    first = cl.diagonal_fisher(model, split, "sample", seed=3)
    assert_same(cl.diagonal_fisher(model, split, "sample", seed=3), first, rtol=0)
    generator = torch.Generator().manual_seed(3)
    assert_same(cl.diagonal_fisher(model, split, "sample", seed=generator), first, rtol=0)
    second = cl.diagonal_fisher(model, split, "sample", seed=generator)
    assert any(not torch.allclose(second[name], first[name]) for name in first)


def test_sampled_labels_average_to_the_exact_fisher() -> None:
    model, split = example(n=4)
    many = cl.Split(split.x.repeat(5000, 1, 1), split.y.repeat(5000))
    exact, sampled = cl.diagonal_fisher(model, split), cl.diagonal_fisher(model, many, "sample", chunk=2000)
    for name in exact:
        assert float((sampled[name] - exact[name]).norm() / exact[name].norm()) < 0.05  # 20,000 draws: about 1 %


@pytest.mark.parametrize("labels", LABELS)
def test_only_active_classes_take_part(labels: str) -> None:
    model, split = example()
    classes = (1, 3, 4)
    split = cl.Split(split.x, torch.tensor(classes)[split.y % 3])
    got = cl.diagonal_fisher(model, split, labels, classes=classes)
    places = torch.tensor([-1, 0, -1, 1, 2])[split.y]
    assert_same(got, reference(model, split.x, labels, places, classes))
    assert got["4.weight"][[0, 2]].abs().max() == 0


def test_the_model_is_given_back_as_it_was() -> None:
    model, split = example()
    model.train()
    model[2].eval()
    modes = [m.training for m in model.modules()]
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    before = [p.grad.clone() for p in model.parameters()]
    weights = [p.detach().clone() for p in model.parameters()]
    cl.diagonal_fisher(model, split)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))
    assert all(
        torch.equal(p, w) and p.requires_grad and isinstance(p, nn.Parameter)
        for p, w in zip(model.parameters(), weights, strict=True)
    )
    assert not any(m._forward_hooks for m in model.modules())


def test_what_a_model_remembers_is_given_back_as_it_was() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("latest", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1  # in place
            self.latest = self.calls + 1  # another tensor
            return self.layer(x)

    model = Counts()
    before = [model.calls, model.latest]
    cl.diagonal_fisher(model, cl.Split(torch.randn(6, 4), torch.zeros(6, dtype=torch.long)))
    assert [model.calls, model.latest] == before and [float(b) for b in before] == [0.0, 0.0]
    assert model.calls is before[0] and model.latest is before[1]


def test_a_module_registered_twice_keeps_its_parameters() -> None:
    layer = nn.Linear(4, 4)
    model, before = nn.Sequential(layer, nn.Tanh(), layer), list(layer.parameters())
    split = cl.Split(torch.randn(6, 4), torch.zeros(6, dtype=torch.long))
    cl.diagonal_fisher(model, split)
    cl.full_fisher(model, split)
    assert all(p is b for p, b in zip(layer.parameters(), before, strict=True))


def test_hooks_and_modes_are_restored_after_an_exception() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(4, 3), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 12:
                raise RuntimeError("broken on purpose")
            return self.layer(x)

    model = Breaks().train()
    with pytest.raises(RuntimeError, match="on purpose"):
        cl.diagonal_fisher(model, cl.Split(torch.randn(40, 4), torch.zeros(40, dtype=torch.long)), chunk=1)
    assert model.training and model.layer.training
    assert not model.layer._forward_hooks
    assert not model.layer._forward_hooks_with_kwargs


def test_it_works_inside_no_grad() -> None:
    model, split = example()
    wanted = cl.diagonal_fisher(model, split)
    with torch.no_grad():
        assert_same(cl.diagonal_fisher(model, split), wanted, rtol=0)


def test_random_numbers_elsewhere_are_left_alone() -> None:
    model, split = example()
    state = torch.get_rng_state()
    cl.diagonal_fisher(model, split, "sample")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(4, track_running_stats=False),
        type("Centred", (nn.Module,), {"forward": lambda self, x: x - x.mean(0)})(),
        type("Chance", (nn.Module,), {"forward": lambda self, x: functional.dropout(x)})(),
    ],
)
def test_samples_that_influence_each_other_are_refused(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(4, 4), layer, nn.Linear(4, 3))
    split = cl.Split(torch.randn(8, 4), torch.zeros(8, dtype=torch.long))
    with pytest.raises(ValueError, match="influence"):
        cl.diagonal_fisher(model, split, chunk=1)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturated_logits_stay_finite(scale: float, dtype: torch.dtype) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            z = self.layer(x)
            return z / z.detach().abs().amax(1, keepdim=True) * scale

    model, x, y = Scaled().to(dtype), torch.randn(20, 4, dtype=dtype), torch.randint(0, 5, (20,))
    for labels in (*LABELS, "sample"):
        found = cl.diagonal_fisher(model, cl.Split(x, y), labels)
        assert all(torch.isfinite(f).all() and (f >= 0).all() for f in found.values())
    if scale < 1e4:
        wanted = reference(copy.deepcopy(model).double(), x.double(), "exact", y)
        found = cl.diagonal_fisher(model, cl.Split(x, y))
        assert_same({k: f.double() for k, f in found.items()}, wanted, rtol=1e-10 if dtype == torch.float64 else 1e-3)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("build", [lambda: cl.mlp((40, 30), device="cpu"), lambda: cl.article_cnn(device="cpu")])
def test_float32_is_right_to_1e_5(build: Callable[[], nn.Module], labels: str) -> None:
    task = cl.mnist(n_train=60, n_test=10)
    model = build().float()
    found = cl.diagonal_fisher(model, task.train, labels)
    x, y = task.train.x.double(), task.train.y
    wanted = reference(copy.deepcopy(model).double(), x, labels, y)
    for name, w in wanted.items():
        assert found[name].dtype == torch.float32
        assert float((found[name] - w).norm() / w.norm()) < 1e-5, name


def test_bfloat16_models_and_inputs() -> None:
    model, split = example(n=30)
    wanted = cl.diagonal_fisher(model, split)
    inputs = cl.Split(split.x.bfloat16(), split.y)
    found = cl.diagonal_fisher(model, inputs)  # the inputs are rounded, nothing else is
    rounded = cl.diagonal_fisher(model, cl.Split(inputs.x.double(), split.y))
    assert_same(found, rounded, rtol=1e-12)
    assert set(ways(copy.deepcopy(model).bfloat16(), split.x.bfloat16()).values()) == {"closed"}
    half = cl.diagonal_fisher(copy.deepcopy(model).bfloat16(), split, chunk=7)
    for name, f in half.items():
        assert f.dtype == torch.bfloat16
        assert float((f.double() - wanted[name]).norm() / wanted[name].norm()) < 0.05


def test_many_chunks_of_bfloat16_are_added_up_in_float32() -> None:
    model, split = example(n=4)
    model = model.bfloat16()
    once = cl.diagonal_fisher(model, split)
    many = cl.diagonal_fisher(model, cl.Split(split.x.repeat(300, 1, 1), split.y.repeat(300)), chunk=1)
    for name in once:
        torch.testing.assert_close(many[name], once[name], rtol=0.02, atol=1e-6)


def test_memory_is_bounded_by_the_chunk() -> None:
    class Counting(nn.Module):
        """Notes the largest batch that the model is ever given."""

        def __init__(self) -> None:
            super().__init__()
            self.layer, self.largest = nn.Linear(4, 3), 0

        def forward(self, x: Tensor) -> Tensor:
            self.largest = max(self.largest, len(x))
            return self.layer(x)

    model = Counting()
    cl.diagonal_fisher(model, cl.Split(torch.randn(1000, 4), torch.zeros(1000, dtype=torch.long)), chunk=64)
    assert model.largest == 64


@pytest.mark.parametrize("labels", [*LABELS, "sample"])
def test_the_views_of_one_matrix_agree(labels: str) -> None:
    model, split = example(n=12)
    full = cl.full_fisher(model, split, labels, chunk=5)
    names = dict(model.named_parameters())
    size = sum(p.numel() for p in names.values())
    assert full.shape == (size, size)
    diagonal = cl.diagonal_fisher(model, split, labels)
    torch.testing.assert_close(full.diagonal(), torch.cat([d.flatten() for d in diagonal.values()]), rtol=1e-10, atol=1e-15)
    u = torch.randn(size, 3)
    torch.testing.assert_close(cl.restricted_fisher(model, split, u, labels, chunk=5), u.T @ full @ u, rtol=1e-10, atol=1e-14)
    parts = [c.split([p.numel() for p in names.values()]) for c in u.T]
    columns = [{n: t.view(p.shape) for (n, p), t in zip(names.items(), part, strict=True)} for part in parts]
    torch.testing.assert_close(cl.restricted_fisher(model, split, columns, labels), u.T @ full @ u, rtol=1e-10, atol=1e-14)
    product = cl.fisher_vector_product(model, split, columns[0], labels, chunk=5)
    assert list(product) == list(names)
    torch.testing.assert_close(torch.cat([p.flatten() for p in product.values()]), full @ u[:, 0], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("labels", LABELS)
def test_the_full_fisher_against_plain_autograd(labels: str) -> None:
    model, split = example(n=6)
    wanted = sum(w * torch.outer(g, g) for w, g in gradients(model, split.x, labels, split.y)) / 6
    torch.testing.assert_close(cl.full_fisher(model, split, labels), wanted, rtol=1e-10, atol=1e-15)


def test_the_full_fisher_of_what_torch_func_cannot_do() -> None:
    model, x, y = Recurrent(), torch.randn(4, 3, 4), torch.randint(0, 3, (4,))
    wanted = sum(w * torch.outer(g, g) for w, g in gradients(model, x, "exact", y)) / 4
    torch.testing.assert_close(cl.full_fisher(model, cl.Split(x, y)), wanted, rtol=1e-10, atol=1e-15)


def test_errors_of_the_other_views() -> None:
    model, split = example()
    with pytest.raises(ValueError, match="too many for a dense matrix"):
        cl.full_fisher(cl.mlp((100,), device="cpu"), cl.mnist(10, 10))
    with pytest.raises(ValueError, match=r"shape \(86, k\)"):
        cl.restricted_fisher(model, split, torch.randn(5, 2))
    good = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    for bad in (
        {k: v for k, v in good.items() if k != "4.bias"},
        {**good, "4.bias": torch.randn(4)},
        {**good, "x": torch.ones(1)},
    ):
        with pytest.raises(ValueError, match="names and shapes"):
            cl.fisher_vector_product(model, split, bad)
        with pytest.raises(ValueError, match="names and shapes"):
            cl.restricted_fisher(model, split, [good, bad])


@pytest.mark.parametrize("name", ["called twice", "functional use", "attention", "article's CNN", "lstm"])
def test_output_sensitivity(name: str) -> None:
    build, shape = EDGES[name]
    model, x = build().double().eval(), torch.randn(4, *shape)
    wanted = dict.fromkeys(dict(model.named_parameters()), 0.0)
    for sample in x.split(1):
        for key, g in zip(wanted, torch.autograd.grad(model(sample).square().sum(), list(model.parameters())), strict=True):
            wanted[key] = wanted[key] + g.abs() / 4
    assert_same(cl.output_sensitivity(model, cl.Split(x, torch.zeros(4, dtype=torch.long))), wanted, zero=1e-14)


class Uncalled(nn.Module):
    """A layer that is never called, before and after one that is."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.called, self.after = nn.Linear(3, 2), nn.Conv1d(2, 3, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.called(x).sum(2)


def test_a_layer_that_is_never_called_has_zeros_and_does_not_hold_up_the_others(float64: None) -> None:
    model, x, y = Uncalled(), torch.randn(6, 2, 4), torch.randint(0, 3, (6,))
    assert set(ways(model, x).values()) == {"closed"}
    found = cl.diagonal_fisher(model, cl.Split(x, y))
    assert_same(found, reference(model, x, "exact", y))
    assert not any(bool(found[f"{layer}.{part}"].any()) for layer in ("before", "after") for part in ("weight", "bias"))


def test_an_embedding_whose_gradient_is_scaled_by_frequency_is_not_taken_for_a_usual_one(float64: None) -> None:
    model, (_, x) = Tokens(scale_grad_by_freq=True), tokens((5,))
    x[0], x[-1] = torch.arange(5), torch.arange(1, 6)  # the samples that are judged by meet no word twice
    x[1:-1, 0] = x[1:-1, 1]  # others do
    y = torch.randint(0, 3, (len(x),))
    assert ways(model, x)["embedding.weight"] != "closed"
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y)), reference(model, x, "exact", y))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.LayerNorm(5, eps=0.3), (3, 5)),
        (nn.GroupNorm(2, 4, eps=0.3), (4, 3)),
        (nn.BatchNorm1d(4, eps=0.3), (4, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_norm_s_own_epsilon_is_known_to_the_closed_form(float64: None, layer: nn.Module, shape: tuple[int, ...]) -> None:
    model, x = norm(layer.double(), shape)
    y = torch.randint(0, 4, (len(x),))
    assert set(ways(model, x).values()) == {"closed"}
    assert_same(cl.diagonal_fisher(model, cl.Split(x, y)), reference(model, x, "exact", y))


def test_plain_squares_are_zero_where_no_weight_that_learns_has_a_part() -> None:
    class Off(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(4, 3).requires_grad_(False)
            self.adapter = nn.Parameter(torch.ones(3, 4))

        def forward(self, x: Tensor) -> Tensor:
            return self.base(x)

    (found,) = fisher.plain_fisher(Off(), torch.randn(5, 4), torch.zeros(5).long()).values()
    assert found.shape == (3, 4) and not found.any()
