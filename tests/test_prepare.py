"""Data at the door: in the type and on the device of the model, labels within the classes, or one clear error."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_networks import assert_refused, batch_normed, state, task, tiny
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import cl_teach as cl
from cl_teach._prepare import prepare, prepared_batches

N = 5
X, Y = torch.linspace(0, 1, 2 * N).view(N, 2), torch.tensor([3, 1, 1, 3, 1])


def network(n_classes: int = 4, n_inputs: int = 2) -> nn.Sequential:
    return cl.mlp((3,), n_inputs=n_inputs, n_classes=n_classes, device="cpu")


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(7, 3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.words(x).mean(1))


# --- what comes in


def test_inputs_take_the_type_of_the_model_batch_by_batch() -> None:
    data = cl.Split(X, Y)
    ready = prepare(network().double(), data, "train")
    assert ready.x.dtype == torch.float32 and ready.x.data_ptr() == X.data_ptr()  # no second copy of all inputs
    batches = list(ready.batches(2))
    assert [(len(x), x.dtype) for x, _ in batches] == [(2, torch.float64), (2, torch.float64), (1, torch.float64)]
    torch.testing.assert_close(torch.cat([x for x, _ in batches]), X.double())
    assert torch.cat([y for _, y in batches]).tolist() == Y.tolist() and len(ready) == N
    x, y = ready.take(torch.tensor([4, 0]))
    torch.testing.assert_close(x, X[[4, 0]].double())
    assert y.tolist() == [1, 3] and data.x.dtype == torch.float32


def test_whole_number_inputs_stay_what_they_are() -> None:
    tokens = torch.arange(10).view(5, 2) % 7
    ready = prepare(Tokens().double(), cl.Split(tokens, Y), "train")
    for x in (next(ready.batches(5))[0], ready.take(torch.arange(5))[0]):
        assert x.dtype == torch.int64 and x.tolist() == tokens.tolist()


def test_a_model_that_holds_no_numbers_takes_inputs_as_they_are() -> None:
    ready = prepare(nn.Flatten(), cl.Split(X.double(), Y % 2), "train")
    assert next(ready.batches(5))[0].dtype == torch.float64


class Elsewhere(nn.Module):
    """A stand-in for a model on another device: the buffer is there, and an answer of the right shape."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones((), device="meta"))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.scale).sum(1, keepdim=True).expand(len(x), 4)


@pytest.mark.parametrize("move", [True, False])
def test_inputs_go_to_the_device_of_the_model_at_once_or_batch_by_batch(move: bool) -> None:
    ready = prepare(Elsewhere(), cl.Split(X, Y), "train", (0, 1, 2, 3), move=move)
    assert ready.x.device.type == ("meta" if move else "cpu") and ready.y.device.type == "meta"
    assert {x.device.type for x, _ in ready.batches(2)} == {"meta"}


def test_a_task_gives_the_part_that_is_asked_for_and_its_classes() -> None:
    both = cl.Task("both", cl.Split(X, Y), cl.Split(X[:2], Y[:2]), classes=(1, 3))
    train, test = (prepare(network(), both, part) for part in ("train", "test"))
    assert (len(train), len(test)) == (5, 2) and train.classes == test.classes == (1, 3)
    assert train.y.tolist() == [1, 0, 0, 1, 0]
    assert prepare(network(), both, "train", (0, 1, 3)).y.tolist() == [2, 1, 1, 2, 1]  # in place of the task's
    assert prepare(network(), both.train, "test").classes is None


def test_labels_are_counted_within_the_classes() -> None:
    data = cl.Split(X, Y)
    assert prepare(network(), data, "train").y.tolist() == Y.tolist()
    assert prepare(network(), data, "train", (0, 1, 2, 3)).y.tolist() == Y.tolist()
    found = prepare(network(), data, "train", (1, 3))
    assert found.y.tolist() == [1, 0, 0, 1, 0] and found.y.dtype == torch.int64 and found.classes == (1, 3)
    assert data.y.tolist() == Y.tolist()


@pytest.mark.parametrize("classes", [(3, 1), [3, 1, 3], (1, 1, 3)])
def test_classes_without_order_or_given_twice_are_the_same_classes(classes: Any) -> None:
    found = prepare(network(), cl.Split(X, Y), "train", classes)
    assert found.classes == (1, 3) and found.y.tolist() == [1, 0, 0, 1, 0]
    (batch,) = prepared_batches(network(), cl.Split(X, Y), None, classes)
    assert batch.classes == (1, 3) and batch.y.tolist() == [1, 0, 0, 1, 0]


def test_the_model_is_given_back_as_it_was() -> None:
    model = batch_normed().train()
    model[1].eval()
    before = state(model)
    prepare(model, task(), "train")
    assert state(model) == before


# --- batches for the Fisher information


def loader(batch_size: int = 2) -> DataLoader:
    return DataLoader(TensorDataset(X, Y), batch_size=batch_size)


def test_a_split_or_the_training_data_of_a_task_comes_whole() -> None:
    data = cl.Task("A", cl.Split(X, Y), cl.Split(X[:1], Y[:1]), classes=(1, 3))
    (whole,) = prepared_batches(network(), data, None, None)
    (part,) = prepared_batches(network(), data.train, 3, None)
    assert len(whole) == N and whole.y.tolist() == [1, 0, 0, 1, 0] and whole.classes == (1, 3)
    assert len(part) == 3 and part.y.tolist() == [3, 1, 1] and part.classes is None


def test_a_loader_comes_batch_by_batch() -> None:
    found = list(prepared_batches(network().double(), loader(), None, (1, 3)))
    assert [len(ready) for ready in found] == [2, 2, 1]
    torch.testing.assert_close(torch.cat([next(ready.batches(9))[0] for ready in found]), X.double())
    assert torch.cat([ready.y for ready in found]).tolist() == [1, 0, 0, 1, 0]


@pytest.mark.parametrize(("n", "sizes", "read"), [(1, [1], 1), (2, [2], 1), (3, [2, 1], 2), (5, [2, 2, 1], 3)])
def test_a_loader_is_read_only_as_far_as_n_needs(n: int, sizes: list[int], read: int) -> None:
    given = 0

    def counted() -> Iterator[Any]:
        nonlocal given
        for batch in loader():
            given += 1
            yield batch

    assert [len(ready) for ready in prepared_batches(network(), counted(), n, None)] == sizes
    assert given == read


def test_nothing_is_read_before_it_is_asked_for() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield X, Y

    batches = prepared_batches(network(), endless(), None, None)
    assert len(next(batches)) == len(next(batches)) == N


def test_labels_of_a_loader_may_be_a_list() -> None:
    (found,) = prepared_batches(network(), [(X, Y.tolist())], None, None)
    assert found.y.tolist() == Y.tolist()


# --- what is refused


MODEL = network()
SPLIT = cl.Split(X, Y)
Case = tuple[str, Callable[[], object], str, str, str]  # what is wrong, the call; the message: argument, given, what works


def logits(forward: Callable[[Tensor], object]) -> nn.Module:
    model = network()
    model.register_forward_hook(lambda module, inputs, output: forward(output))
    return model


def broken() -> cl.Split:
    data = cl.Split(X.clone(), Y)
    data.x[0, 0] = torch.nan  # a tensor can change after it was checked
    return data


DOOR: dict[str, Callable[..., object]] = {
    "prepare": lambda model, data, classes=None: prepare(model, data, "train", classes),
    "prepared_batches": lambda model, data, classes=None: list(prepared_batches(model, data, None, classes)),
}
TABLE: list[Case] = [
    *[
        (f"{what}: {door}", lambda call=call, arguments=arguments: call(*arguments), argument, given, works)
        for door, call in DOOR.items()
        for what, arguments, argument, given, works in [
            ("no module", (torch.sin, SPLIT), "model", "builtin_function", "torch.nn.Module"),
            ("a tensor", (MODEL, X), "data", "got Tensor", r"Split\(x, y\) makes one"),
            ("a pair", (MODEL, (X, Y)), "data", "got tuple", r"Split\(x, y\) makes one"),
            ("a dict", (MODEL, {"A": SPLIT}), "data", "got dict", r"Split\(x, y\) makes one"),
            ("a word", (MODEL, "mnist"), "data", "got str", r"Split\(x, y\) makes one"),
            ("none", (MODEL, None), "data", "got NoneType", r"Split\(x, y\) makes one"),
            ("too wide", (MODEL, task(shape=(7,))), "model", r"\(12, 7\)", "cannot take x of shape"),
            ("tokens for numbers", (MODEL, cl.Split(X.long(), Y)), "model", "int64", "cannot take x"),
            ("no longer finite", (MODEL, broken()), "x", "NaN or infinity in 1", "finite"),
            ("a number for a sample", (logits(lambda z: z.sum(1)), SPLIT), "model", r"got shape \(1,\)", r"\(N, classes\)"),
            ("a scalar", (logits(torch.sum), SPLIT), "model", r"got shape \(\)", r"\(N, classes\)"),
            ("a map for a sample", (logits(lambda z: z[..., None]), SPLIT), "model", r"\(1, 4, 1\)", r"\(N, classes\)"),
            ("two answers", (logits(lambda z: (z, z)), SPLIT), "model", "got a tuple", r"lambda m, args, out: out\[0\]"),
            ("whole numbers", (logits(lambda z: z.long()), SPLIT), "model", r"got shape \(1, 4\)", r"\(N, classes\)"),
            ("too few outputs", (network(3), SPLIT), "y", "got class 3", "from 0 to 2"),
            ("classes without output", (MODEL, SPLIT, (1, 3, 4)), "classes", r"got \(1, 3, 4\)", "from 0 to 3"),
            ("label outside", (MODEL, SPLIT, (0, 3)), "y", r"got \[1\]", r"among classes \(0, 3\)"),
            ("negative class", (MODEL, SPLIT, (-1, 1, 3)), "classes", "got -1", "at least 0"),
            ("one class", (MODEL, SPLIT, (1,)), "classes", r"got \(1,\)", "at least two"),
            ("no class", (MODEL, SPLIT, ()), "classes", r"got \(\)", "at least two"),
            ("a number of classes", (MODEL, SPLIT, 3), "classes", "got 3", r"\(0, 1, 2\)"),
            ("classes in words", (MODEL, SPLIT, "012"), "classes", "'012'", r"\(0, 1, 2\)"),
            ("classes of floats", (MODEL, SPLIT, (0.0, 1.0)), "classes", "0.0", "whole number"),
            ("one output", (nn.Linear(2, 1), SPLIT), "model", r"\(1, 1\)", "two outputs"),
            ("a dict", (logits(lambda z: {"logits": z}), SPLIT), "model", "a dict", r"out\['logits'\]"),
            ("an object", (logits(lambda z: SimpleNamespace(logits=z)), SPLIT), "model", "SimpleNamespace", r"out\.logits"),
        ]
    ],
    *[
        (f"{what}: batches", lambda data=data, n=n: list(prepared_batches(MODEL, data, n, None)), argument, given, works)
        for what, data, n, argument, given, works in [
            ("n above a Split", SPLIT, 6, "n", "got 6", "at most the 5 samples"),
            ("n above a loader", [(X, Y), (X, Y)], 11, "n", "got 11", "at most the 10 samples"),
            ("n below 1", SPLIT, 0, "n", "got 0", "at least 1"),
            ("n below 1, loader", [(X, Y)], 0, "n", "got 0", "at least 1"),
            ("n no whole number", [(X, Y)], 2.0, "n", "got 2.0", "whole number"),
            ("an empty loader", [], None, "data", "no batch", "at least one sample"),
            ("a loader of inputs", [X], None, "data", "got a Tensor", r"batches \(x, y\)"),
            ("a loader of triples", [(X, Y, Y)], None, "data", "3 things", r"\[\(b\[0\], b\[1\]\) for b in data\]"),
            ("a loader of dicts", [{"x": X, "y": Y}], None, "data", "dicts with x, y", r"b\['x'\], b\['y'\]\) for b in data\]"),
            ("a loader of arrays", [(X.numpy(), Y)], None, "x", "got ndarray", "torch.as_tensor"),
            ("a label outside, later", [(X, Y), (X, Y + 1)], None, "y", "class 4", "from 0 to 3"),
        ]
    ],
]  # fmt: skip


@pytest.mark.parametrize(("call", "argument", "given", "works"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_does_not_fit_is_refused(call, argument, given, works):
    assert_refused(call, argument, given, works, MODEL)


def test_the_reason_of_the_model_is_kept():
    with pytest.raises(ValueError, match="4x5") as caught:
        prepare(tiny(), task(shape=(7,)), "train")
    assert isinstance(caught.value.__cause__, RuntimeError)
