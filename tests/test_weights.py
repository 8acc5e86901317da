"""Weights by name and as one vector, and other ones in a model for a while: all is afterwards as it was."""

import copy
import threading
import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import Tied, batch_normed, state, task, tiny, twice
from test_fisher import EDGES
from torch import Tensor, nn

import cl_teach as cl
from cl_teach._weights import (
    as_function,
    as_in,
    copied,
    eval_mode,
    flat,
    holding,
    own_modes,
    plain_autograd,
    same_buffers,
    serving,
    shaped,
    wide,
)
from cl_teach.fisher import plain_fisher

SHAPES = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=5)


@given(SHAPES, st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]))
def test_flat_and_shaped_are_each_other_s_inverse(shapes: list[tuple[int, ...]], dtype: torch.dtype) -> None:
    named = {f"layer {i}": torch.randn(shape).to(dtype) for i, shape in enumerate(shapes)}
    vector = flat(named)
    assert vector.shape == (sum(t.numel() for t in named.values()),) and vector.dtype == torch.float64
    torch.testing.assert_close(shaped(vector, named), named, rtol=0, atol=0)
    torch.testing.assert_close(flat(shaped(vector, named)), vector, rtol=0, atol=0)


def test_a_vector_lists_the_weights_in_order_and_each_piece_keeps_its_own_type() -> None:
    named = {"b": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "a": torch.tensor(5.0, dtype=torch.bfloat16)}
    assert flat(named).tolist() == [1, 2, 3, 4, 5]
    found = shaped(torch.tensor([6.0, 7.0, 8.0, 9.0, 10.0]), named)
    assert found["b"].tolist() == [[6, 7], [8, 9]] and found["a"].item() == 10
    assert [t.dtype for t in found.values()] == [torch.float32, torch.bfloat16]


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(RuntimeError):
        shaped(torch.zeros(5), {"a": torch.zeros(4)})


def test_copied_weights_are_the_trainable_ones_and_do_not_follow_the_model() -> None:
    model = tiny()
    model[1].weight.requires_grad_(False)
    found = copied(model)
    assert list(found) == ["1.bias", "3.weight", "3.bias"]
    before = found["1.bias"].tolist()
    with torch.no_grad():
        model[1].bias.add_(1)
    assert found["1.bias"].tolist() == before and not found["1.bias"].requires_grad


def test_weights_are_brought_into_the_order_and_type_of_a_model() -> None:
    model = nn.Linear(2, 3).double()
    found = as_in(model, {"strange": torch.ones(1), "bias": torch.ones(3), "weight": torch.zeros(3, 2)})
    assert list(found) == ["weight", "bias"] and {t.dtype for t in found.values()} == {torch.float64}
    assert found["bias"].tolist() == [1, 1, 1]
    assert list(as_in(model, {"bias": torch.ones(3)})) == ["bias"]


def test_half_precision_is_added_up_in_float32() -> None:
    assert wide(torch.bfloat16) == wide(torch.float16) == wide(torch.float32) == torch.float32
    assert wide(torch.float64) == torch.float64


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, ValueError])
def test_holding_gives_the_very_tensors_back(end: type[BaseException] | None) -> None:
    model, x = tiny(), task().train.x
    other = tiny(seed=1)
    with torch.no_grad():
        own, others = model(x), other(x)
    before = state(model)
    caught: type[BaseException] | tuple[()] = end or ()
    try:
        with holding(model, dict(other.named_parameters())), torch.no_grad():
            torch.testing.assert_close(model(x), others, rtol=0, atol=0)
            if end:
                raise end
    except caught:
        pass
    assert state(model) == before  # ids and addresses of the tensors, too
    torch.testing.assert_close(model(x), own, rtol=0, atol=0)


def test_holding_replaces_only_what_it_is_given_and_refuses_strange_names() -> None:
    model = tiny()
    before = state(model)
    with holding(model, {"3.bias": torch.full((3,), 7.0).double()}):
        assert model[3].bias.tolist() == [7, 7, 7]
        torch.testing.assert_close(model[1].weight, tiny()[1].weight, rtol=0, atol=0)
    with pytest.raises(KeyError), holding(model, {"3.bias": torch.zeros(3), "no such": torch.zeros(3)}):
        pass
    assert state(model) == before


@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
def test_buffers_are_afterwards_as_they_were(end: type[BaseException] | None) -> None:
    model = batch_normed().train()
    before, places = state(model), [buffer.data_ptr() for buffer in model.buffers()]
    with torch.random.fork_rng():
        try:
            with same_buffers(model):
                model(task(n=30).train.x)
                assert state(model) != before
                if end:
                    raise end
        except KeyboardInterrupt:
            assert end
    assert state(model) == before and [buffer.data_ptr() for buffer in model.buffers()] == places


@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
@pytest.mark.parametrize("block", [eval_mode, own_modes])
def test_every_module_gets_its_own_mode_back(block: Callable[..., object], end: type[BaseException] | None) -> None:
    model = batch_normed().train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    assert modes == [True, True, False, True, True, True]
    try:
        with block(model):  # type: ignore[attr-defined]
            if block is eval_mode:
                assert not any(module.training for module in model.modules())
            else:
                assert [module.training for module in model.modules()] == modes
                model.eval()[0].train()
            if end:
                raise end
    except KeyboardInterrupt:
        assert end
    assert [module.training for module in model.modules()] == modes


class SharedWeight(nn.Module):
    """One tensor, a parameter of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).tanh()))


class TwoNames(nn.Module):
    """One tensor, two parameters of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.there = nn.Parameter(torch.randn(4, 3))
        self.back = self.there

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.there).tanh() @ self.back.T


@pytest.mark.parametrize("make", [tiny, twice, Tied, SharedWeight, TwoNames, batch_normed, lambda: nn.Linear(4, 3)])
def test_a_model_as_a_function_of_its_weights(make: Callable[[], nn.Module]) -> None:
    model, x = make().double().eval(), task().train.x
    model(x).sum().backward()
    f, before = as_function(model), state(model)
    theta = {name: p.detach() + 0.1 for name, p in model.named_parameters()}
    reference = copy.deepcopy(model)
    with torch.no_grad():
        for p in reference.parameters():
            p.add_(0.1)
        torch.testing.assert_close(f(theta, x), reference(x), rtol=0, atol=0)
        torch.testing.assert_close(f({}, x), model(x), rtol=0, atol=0)
    assert state(model) == before  # the parameters themselves, their gradients, and that they require them
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("make", [twice, SharedWeight, TwoNames])
def test_a_gradient_flows_to_shared_weights_from_all_their_places(make: Callable[[], nn.Module]) -> None:
    model, x = make().double(), task().train.x
    theta = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    found = torch.autograd.grad(as_function(model)(theta, x).square().sum(), list(theta.values()))
    wanted = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    torch.testing.assert_close(found, wanted)


def test_weights_that_are_not_named_stay_as_they_are() -> None:
    model, x = tiny(), task().train.x
    theta = {"3.bias": (model[3].bias + 1).detach().requires_grad_()}
    output = as_function(model)(theta, x)
    torch.testing.assert_close(output, model(x) + 1)
    output.sum().backward()
    assert theta["3.bias"].grad is not None and all(p.grad is None for p in model.parameters())


def test_threads_take_turns_where_derivatives_are_taken() -> None:
    """What is switched off meanwhile is off for all threads, and on again afterwards."""
    assert torch.backends.mha.get_fastpath_enabled()
    first, seen = threading.Event(), list[bool]()

    def one() -> None:
        with plain_autograd():
            first.set()
            time.sleep(0.2)

    def other() -> None:
        first.wait(60)
        with plain_autograd():
            for _ in range(40):
                seen.append(torch.backends.mha.get_fastpath_enabled())
                time.sleep(0.01)

    threads = [threading.Thread(target=run) for run in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [False] * 40 and torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("recurrent", [True, False])
def test_recurrent_layers_run_without_cudnn_where_derivatives_are_taken_in_eval_mode(recurrent: bool) -> None:
    """It has none for them there; for all others it stays on."""
    build, shape = EDGES["lstm"] if recurrent else EDGES["article's CNN"]
    network, seen = build().double(), set[tuple[bool, bool]]()
    x = torch.randn(6, *shape, dtype=torch.float64)
    part = cl.Split(x, torch.arange(6) % 2)
    network.register_forward_hook(lambda *call: seen.add((torch.backends.cudnn.enabled, torch.is_grad_enabled())))
    calls: list[Callable[[], object]] = [
        lambda: cl.diagonal_fisher(network, part),
        lambda: plain_fisher(network, x, part.y),
        lambda: serving(network, x, (0, 1)),
        lambda: cl.landscapes.interpolate(network, network, network, part, n=2),
    ]
    for call in calls:
        seen.clear()
        call()
        assert {enabled for enabled, derived in seen if derived} == {not recurrent}
        assert torch.backends.cudnn.enabled
    for call in (lambda: cl.evaluate(network, part), lambda: cl.train(network, part, epochs=1)):
        seen.clear()
        call()
        assert {enabled for enabled, _ in seen} == {True}
