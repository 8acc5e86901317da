"""Everything that is a Fisher information gives the same numbers whatever is set, wrapped or compiled around the model."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.distributed
from small_networks import flat, state, weights
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import cl_teach as cl
from cl_teach._weights import serving, shaped
from cl_teach.fast import per_sample

CLASSES = 3


class Everything(nn.Module):
    """A layer in closed form, a parameter of its own (by torch.func), and one that goes sample by sample."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.prelu = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.PReLU()
        self.shift, self.last = nn.Parameter(torch.randn(5)), nn.Linear(5, CLASSES)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.prelu(self.norm(self.first(x)) + self.shift))


def data(n: int = 9) -> cl.Split:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    return cl.Split(x, torch.arange(n) % CLASSES)


def direction(model: nn.Module, seed: int = 2) -> dict[str, Tensor]:
    size = sum(p.numel() for p in model.parameters())
    vector = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    return shaped(vector, dict(model.named_parameters()))


NAMES = Everything()
VIEWS: dict[str, Callable[[nn.Module, cl.Split], Any]] = {
    "exact": lambda model, split: cl.diagonal_fisher(model, split),
    "sample": lambda model, split: cl.diagonal_fisher(model, split, "sample"),
    "true": lambda model, split: cl.diagonal_fisher(model, split, "true"),
    "outputs": lambda model, split: cl.output_sensitivity(model, split),
    "full": lambda model, split: cl.full_fisher(model, split),
    "product": lambda model, split: cl.fisher_vector_product(model, split, direction(NAMES)),
    "restricted": lambda model, split: cl.restricted_fisher(model, split, [direction(NAMES, seed) for seed in range(2)]),
    "kfac": lambda model, split: {
        f"{name}.{part}": getattr(block, part)
        for name, block in cl.kfac(model, split).items()
        for part in ("inputs", "outputs")
    },
    "serving": lambda model, split: serving(model, split.x, (0, 1))[0],
}


def assert_same(got: Any, wanted: Any, rtol: float = 0.0) -> None:
    if isinstance(wanted, Tensor):
        got, wanted = {"": got}, {"": wanted}
    assert list(got) == list(wanted)
    for name, w in wanted.items():
        assert not got[name].is_inference() and not got[name].requires_grad
        torch.testing.assert_close(got[name], w, rtol=rtol, atol=rtol * float(w.float().abs().max()))
        assert w.any()


SETTINGS: dict[str, Callable[[], Any]] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("view", VIEWS)
def test_the_same_inside_any_setting(view: str, setting: str) -> None:
    model, split = Everything(), data()
    wanted = VIEWS[view](model, split)
    with SETTINGS[setting]():
        inside = data()  # an inference tensor, in inference mode
        assert inside.x.is_inference() == (setting == "inference_mode")
        for again in (split, inside):
            assert_same(VIEWS[view](model, again), wanted)
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_was_consolidated_in_inference_mode_may_be_trained_with() -> None:
    model, split = Everything(), data()
    with torch.inference_mode():
        found = cl.diagonal_fisher(model, split)
    sum((found[name] * p.square()).sum() for name, p in model.named_parameters()).backward()


@pytest.mark.parametrize("view", [name for name in VIEWS if name != "serving"])
def test_a_model_made_in_inference_mode_is_refused(view: str) -> None:
    with torch.inference_mode():
        model = Everything()
    with pytest.raises(ValueError, match=r"^model must be made outside torch.inference_mode.*tensor in shift;.*deepcopy"):
        VIEWS[view](model, data())
    assert_same(VIEWS[view](copy.deepcopy(model), data()), VIEWS[view](Everything(), data()))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", ["first.weight", "shift", "norm.running_var"])
@pytest.mark.parametrize("view", [name for name in VIEWS if name != "serving"])
def test_weights_that_are_no_numbers_are_refused_before_work(view: str, place: str, bad: float) -> None:
    model, calls = Everything(), []
    model.state_dict()[place].flatten()[0] = bad
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(ValueError, match=rf"^model must have finite weights, .* {place}"):
        VIEWS[view](model, data())
    assert not calls


class Logs(nn.Module):
    """Logits that are no numbers for some x."""

    def __init__(self, switch_off: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.off = nn.Linear(4, CLASSES), switch_off

    def forward(self, x: Tensor) -> Tensor:
        z = self.last(x) + x[:, :1].log()
        return torch.cat([z[:, :2], torch.full_like(z[:, 2:], -torch.inf)], dim=1) if self.off else z


@pytest.mark.parametrize(
    ("value", "got"), [(-1.0, "NaN"), (torch.finfo(torch.float32).max, "infinity"), (0.0, "-infinity for all classes")]
)
@pytest.mark.parametrize("where", [0, 4])  # the first is judged by, the other is not
@pytest.mark.parametrize("view", ["exact", "true", "outputs", "full", "product", "restricted", "kfac"])
def test_logits_that_are_no_numbers_are_refused(view: str, where: int, value: float, got: str) -> None:
    model, split = Logs(), data()
    x = split.x.abs() + 0.1
    x[where] = value
    v = {name: torch.ones_like(t) for name, t in weights(model).items()}
    call = {
        "product": lambda: cl.fisher_vector_product(model, cl.Split(x, split.y), v),
        "restricted": lambda: cl.restricted_fisher(model, cl.Split(x, split.y), [v]),
    }.get(view, lambda: VIEWS[view](model, cl.Split(x, split.y)))
    if value > 1:
        model.last.weight.data.fill_(2.0)  # overflows
    before = state(model)
    with pytest.raises(ValueError, match=rf"^model must give logits that are numbers, got {got} for 1 of "):
        call()
    assert state(model) == before


def test_a_class_that_is_switched_off_is_none_of_the_classes() -> None:
    x, y = data().x.abs() + 0.1, torch.arange(9) % 2
    found = cl.diagonal_fisher(Logs(switch_off=True), cl.Split(x, y))
    wanted = cl.diagonal_fisher(Logs(), cl.Split(x, y), classes=(0, 1))
    assert_same(found, wanted, rtol=1e-6)
    with pytest.raises(ValueError, match=r"^model must give finite logits, got -infinity; classes= leaves out"):
        cl.output_sensitivity(Logs(switch_off=True), cl.Split(x, y))
    assert_same(
        cl.output_sensitivity(Logs(switch_off=True), cl.Split(x, y), classes=(0, 1)),
        cl.output_sensitivity(Logs(), cl.Split(x, y), classes=(0, 1)),
    )


@contextmanager
def one_process() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["torch.compile", "compile in place", "a part compiled", "DataParallel", "distributed"])
def test_a_wrapped_network_gives_what_the_one_inside_gives(kind: str) -> None:
    wanted = {view: call(Everything(), data()) for view, call in VIEWS.items()}
    model: nn.Module = Everything()
    seen: list[int] = []

    def backend(graph: Any, example: Any) -> Any:
        seen.append(1)
        return graph.forward

    with one_process():
        if kind == "torch.compile":
            model = torch.compile(model, backend=backend)  # type: ignore[assignment]
        elif kind == "compile in place":
            model.compile(backend=backend)
        elif kind == "a part compiled":
            model.first.compile(backend=backend)
        elif kind == "DataParallel":
            model = nn.DataParallel(model)
        else:
            model = nn.parallel.DistributedDataParallel(model)
        for view, call in VIEWS.items():
            found = call(model, data())
            there = kind == "DataParallel" and torch.cuda.is_available()  # it went to CUDA
            found = {n: t.cpu() for n, t in found.items()} if isinstance(found, dict) else found.cpu()
            assert_same(found, wanted[view], rtol=1e-5 * there)
        assert not seen  # nothing was compiled anew for the shapes of a Fisher
        model(data().x)
        older = torch.__version__ < "2.12" and kind == "a part compiled"  # which did not compile a single layer
        assert seen or "ompile" not in kind or older


# --- what takes long


class Shown:
    """In place of a progress bar: what it is told."""

    def __init__(self, total: int | None, what: str, unit: str, show: bool) -> None:
        self.total, self.unit, self.show, self.n, self.steps = total, unit, show, 0, list[int]()

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def update(self, samples: int) -> None:
        self.n += samples
        self.steps += [samples] if samples else []


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    bars: list[Shown] = []
    monkeypatch.setattr(per_sample, "bar", lambda *args: bars.append(Shown(*args)) or bars[-1])
    return bars


def loader(split: cl.Split) -> DataLoader:
    return DataLoader(TensorDataset(split.x, split.y), batch_size=4)


COUNTED: dict[str, tuple[Callable[[nn.Module], object], int | None, list[int]]] = {  # call, total, steps
    "a split": (lambda model: cl.diagonal_fisher(model, data(), chunk=4), 9, [4, 4, 1]),
    "the first n": (lambda model: cl.diagonal_fisher(model, data(), n=5), 5, [5]),
    "a loader": (lambda model: cl.diagonal_fisher(model, loader(data())), 9, [4, 4, 1]),
    "the first n of a loader": (lambda model: cl.diagonal_fisher(model, loader(data()), n=5), 5, [4, 1]),
    "batches": (lambda model: cl.diagonal_fisher(model, list(loader(data()))), None, [4, 4, 1]),
    "outputs": (lambda model: cl.output_sensitivity(model, data(), chunk=4), 9, [4, 4, 1]),
    "full": (lambda model: cl.full_fisher(model, data(), chunk=4), 9, [4, 4, 1]),
    "product": (lambda model: cl.fisher_vector_product(model, data(), weights(model), chunk=4), 9, [4, 4, 1]),
    "restricted": (lambda model: cl.restricted_fisher(model, data(), [weights(model)], chunk=4), 9, [4, 4, 1]),
    "kfac": (lambda model: cl.kfac(model, data(), chunk=4), 9, [4, 4, 1]),
    "EWC": (lambda model: cl.EWC(n=6).consolidate(model, data()), 6, [6]),
}


@pytest.mark.parametrize("what", COUNTED)
def test_a_bar_counts_the_samples(what: str, shown: list[Shown]) -> None:
    call, total, steps = COUNTED[what]
    call(nn.Sequential(nn.Linear(4, CLASSES)))
    (bar,) = shown
    assert (bar.total, bar.unit, bar.show, bar.steps, bar.closed) == (total, "sample", True, steps, True)


class OneByOne(nn.Module):
    """Control flow that depends on the data, which only plain autograd follows; and a layer that any way is right for."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.stack([(self.a if float(sample.sum()) > 0 else self.b)(sample) for sample in x]).tanh())


def test_the_bar_moves_with_each_sample_that_goes_alone(shown: list[Shown]) -> None:
    cl.diagonal_fisher(OneByOne(), data())
    assert shown[0].steps == [1] * 9


def test_what_goes_sample_by_sample_is_said_with_the_time_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, split = OneByOne(), data()
    clock = iter(range(10_000))
    monkeypatch.setattr(per_sample.time, "perf_counter", lambda: next(clock))  # every sample takes a second
    for samples, options in ((9, {}), (8, {"n": 8})):
        monkeypatch.setattr(per_sample, "_PATIENCE", samples - 0.5)
        words = rf"^a.weight, a.bias, b.weight and 1 more must go sample by sample.* about {samples} s for {samples} samples"
        with pytest.warns(UserWarning, match=words) as caught:
            cl.diagonal_fisher(model, split, chunk=2, **options)
        assert len(caught) == 1 and re.search("n=.*labels='sample'.*requires_grad_", str(caught[0].message))
    monkeypatch.setattr(per_sample, "_PATIENCE", 9.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.diagonal_fisher(model, split)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("after", [3, 14, 20])
@pytest.mark.parametrize("view", VIEWS)
def test_ctrl_c_leaves_the_model_as_it_was(view: str, after: int) -> None:
    model, calls = Everything(), 0

    def interrupt(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt

    model.first.register_forward_pre_hook(interrupt)
    before = state(model)
    with pytest.raises(KeyboardInterrupt), torch.inference_mode():
        for _ in range(after + 1):
            VIEWS[view](model, data())
    assert state(model) == before
    assert torch.backends.mha.get_fastpath_enabled() and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_ctrl_c_leaves_a_recurrent_layer_as_it_was() -> None:
    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.out = nn.GRU(1, 3, batch_first=True), nn.Linear(3, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            h = self.layer(x[:, :, None])[0]
            if "forward" in vars(self.layer):  # unrolled
                raise KeyboardInterrupt
            return self.out(h[:, -1])

    model = Sequences()
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        cl.diagonal_fisher(model, data())
    assert state(model) == before


# --- directions


V = direction(NAMES)
SIZE = len(flat(V))
BAD: dict[str, tuple[Any, str, str, str]] = {  # vector, or the only direction; got, what works
    "NaN": ({**V, "shift": torch.full((5,), torch.nan)}, "NaN or infinity in 5 values of shift", "finite", "ValueError"),
    "infinity": ({**V, "last.bias": V["last.bias"] / 0}, "3 values of last.bias", "finite", "ValueError"),
    "a tensor": (flat(V), "Tensor", "dict", "TypeError"),
    "numbers": ({**V, "shift": 3.0}, "float for shift", "dict of tensors", "TypeError"),
    "nothing": (None, "NoneType", "dict", "TypeError"),
    "a name too few": ({k: V[k] for k in V if k != "shift"}, r"shift has shape None, wanted \(5,\)", "names", "ValueError"),
    "another shape": ({**V, "shift": torch.ones(4)}, r"shift has shape \(4,\), wanted \(5,\)", "shapes", "ValueError"),
}  # fmt: skip
NO_DIRECTIONS: dict[str, tuple[Any, str, str, str]] = {
    "none": ([], "none", "at least one", "ValueError"),
    "none as a tensor": (torch.ones(SIZE, 0), rf"\({SIZE}, 0\)", rf"\({SIZE}, k\)", "ValueError"),
    "a flat one": (flat(V), rf"\({SIZE},\)", rf"\({SIZE}, k\)", "ValueError"),
    "a dict": (V, "dict", r"\[direction\]", "TypeError"),
    "a generator": ((v for v in [V]), "generator", "sequence", "TypeError"),
    "text": ("shift", "str", "sequence", "TypeError"),
    "NaN in a tensor": (torch.full((SIZE, 2), torch.nan), "NaN", "finite", "ValueError"),
}


def assert_refused(call: Callable[[], object], begins: str, got: str, works: str, kind: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value).__name__ == kind and message.startswith(begins) and "\n" not in message and len(message) < 400
    assert re.search(got, message) and re.search(works, message), message


@pytest.mark.parametrize("what", BAD)
def test_bad_directions_get_a_clear_error(what: str) -> None:
    bad, *rest = BAD[what]
    model, calls = Everything(), []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    assert_refused(lambda: cl.fisher_vector_product(model, data(), bad), "vector must", *rest)
    assert_refused(lambda: cl.restricted_fisher(model, data(), [V, bad]), "directions[1] must", *rest)
    assert not calls


@pytest.mark.parametrize("what", NO_DIRECTIONS)
def test_what_is_no_sequence_of_directions_gets_a_clear_error(what: str) -> None:
    bad, *rest = NO_DIRECTIONS[what]
    begins = "directions[0] must" if what == "NaN in a tensor" else "directions must"
    assert_refused(lambda: cl.restricted_fisher(Everything(), data(), bad), begins, *rest)


def test_a_direction_that_changes_nothing_is_no_direction_in_which_something_is_wrong() -> None:
    """Its scores are rounding only; forward mode is right all the same, and is taken."""
    model, split = nn.Sequential(nn.Linear(2, 3, bias=False)), cl.Split(torch.randn(6, 1).repeat(1, 2), torch.arange(6) % 3)
    looped: list[int] = []
    model.register_forward_pre_hook(lambda module, args: looped.append(len(args[0])))
    v = {"0.weight": torch.tensor([[1.0, -1.0]] * 3)}
    found = cl.restricted_fisher(model, split, [v])
    assert abs(float(found)) < 1e-10
    assert looped.count(1) <= 1 + 2 + 2  # by the door, as to independence, by the judge; not one by one


def test_silence() -> None:
    """Torch's remarks on what it has not done yet are not for the users of this package."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3))
    v = {name: torch.ones_like(p) for name, p in model.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.diagonal_fisher(model, data())
        cl.full_fisher(model, data())
        cl.restricted_fisher(model, data(), [v])
