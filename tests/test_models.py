"""Networks: what they compute, and that a seed fixes their first weights and nothing else."""

import os
import signal
import threading
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

import cl_teach as cl
from cl_teach._turns import turn
from cl_teach.models import head


def weights(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_mlp_is_what_it_says() -> None:
    model = cl.mlp(hidden=(7, 5), n_inputs=12, n_classes=3, device="cpu")
    x = torch.randn(4, 3, 2, 2)
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(12, 7), (7, 5), (5, 3)]
    expected = x.flatten(1)
    for layer in layers[:-1]:
        expected = (expected @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(model(x), expected @ layers[-1].weight.T + layers[-1].bias)
    assert sum(p.numel() for p in cl.mlp().parameters()) == 784 * 100 + 100 + 100 * 10 + 10
    assert [type(layer) for layer in cl.mlp(hidden=())] == [nn.Flatten, nn.Linear]


def test_article_cnn() -> None:
    model = cl.article_cnn(device="cpu")
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) == 260 + 5_020 + 16_050 + 510
    assert sum(isinstance(layer, (nn.Dropout, nn.Dropout2d)) for layer in model) == 2
    assert cl.article_cnn(n_classes=4, device="cpu")(torch.rand(2, 1, 28, 28)).shape == (2, 4)


def test_two_weights_are_logistic_regression() -> None:
    model = cl.two_weights()
    assert weights(model).tolist() == [0.0, 0.0]
    nn.init.constant_(model.linear.weight, 2.0)
    x = torch.randn(5, 2)
    torch.testing.assert_close(model(x).softmax(1)[:, 1], torch.sigmoid(2 * x.sum(1)))


@pytest.mark.parametrize("make", [cl.mlp, cl.article_cnn, lambda **o: cl.two_weights()])
def test_a_seed_fixes_the_weights_and_leaves_the_global_random_state_alone(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(weights(first), weights(make(seed=3)))
    if not isinstance(first, type(cl.two_weights())):
        assert not torch.equal(weights(first), weights(make(seed=4)))


def test_making_a_network_for_the_cpu_leaves_the_random_numbers_of_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", asked.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", asked.append)
    cl.mlp(seed=3, device="cpu")
    assert asked == []


def test_the_default_type_is_the_model_s() -> None:
    torch.set_default_dtype(torch.float64)
    assert {p.dtype for model in (cl.mlp(), cl.two_weights()) for p in model.parameters()} == {torch.float64}


def test_the_device_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cl.device("cpu") == torch.device("cpu") and cl.device(torch.device("cpu")) == torch.device("cpu")
    assert next(cl.mlp().parameters()).device.type == cl.device().type
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cl.device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert cl.device() == torch.device("cuda")


def test_head_takes_the_outputs_of_the_classes() -> None:
    logits = torch.arange(8.0).reshape(2, 4)
    assert head(logits, None) is logits and head(logits, (0, 1, 2, 3)) is logits
    assert head(logits, (1, 3)).tolist() == [[1.0, 3.0], [5.0, 7.0]]


@pytest.mark.parametrize(
    ("forward", "got"),
    [(lambda x: x.sum(), r"shape \(\)"), (lambda x: (x, x), "a tuple"), (lambda x: x.argmax(1), r"shape \(1,\)")],
)
def test_a_model_without_logits_is_told(forward: Callable[[torch.Tensor], object], got: str) -> None:
    model = cl.mlp(n_inputs=2, device="cpu")
    model.register_forward_hook(lambda module, inputs, output: forward(output))
    with pytest.raises(ValueError, match=rf"model must give logits of shape \(N, classes\), got {got}"):
        cl.evaluate(model, cl.Split(torch.rand(4, 2), torch.arange(4)))


def test_the_article_s_cnn_layer_by_layer() -> None:
    model = cl.article_cnn(device="cpu").double()
    kinds = [nn.Conv2d, nn.MaxPool2d, nn.ReLU, nn.Conv2d, nn.Dropout2d, nn.MaxPool2d, nn.ReLU]
    assert [type(layer) for layer in model] == [*kinds, nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    first, second, third, fourth = (layer for layer in model if hasattr(layer, "weight"))
    a = nn.functional.max_pool2d(nn.functional.conv2d(x, first.weight, first.bias), 2).clamp(min=0)
    a = nn.functional.max_pool2d(nn.functional.conv2d(a, second.weight, second.bias), 2).clamp(min=0)
    assert a.shape == (3, 20, 4, 4)
    hidden = (a.flatten(1) @ third.weight.T + third.bias).clamp(min=0)
    torch.testing.assert_close(model.eval()(x), hidden @ fourth.weight.T + fourth.bias)
    assert [layer.p for layer in model if isinstance(layer, (nn.Dropout, nn.Dropout2d))] == [0.5, 0.5]


@pytest.mark.parametrize("make", [cl.mlp, cl.article_cnn])
def test_without_a_seed_it_is_zero(make: Callable[..., nn.Module]) -> None:
    assert torch.equal(weights(make(device="cpu")), weights(make(device="cpu", seed=0)))


@pytest.mark.parametrize("make", [cl.mlp, cl.article_cnn])
def test_two_classes_are_enough_and_one_is_refused(make: Callable[..., nn.Module]) -> None:
    assert make(n_classes=2, device="cpu")[-1].out_features == 2
    with pytest.raises(ValueError, match="n_classes must be at least 2, got 1"):
        make(n_classes=1, device="cpu")
    narrow = cl.mlp(hidden=(1,), n_inputs=1, device="cpu")
    assert [tuple(p.shape) for p in narrow.parameters()] == [(1, 1), (1,), (10, 1), (10,)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_forked_while_a_thread_has_its_turn_makes_networks() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def busy() -> None:
        with turn():
            begun.set()
            go_on.wait(60)

    thread = threading.Thread(target=busy)
    thread.start()
    begun.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        child = os.fork()
    if not child:
        signal.alarm(30)  # rather than wait for ever
        cl.mlp((3,), device="cpu")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    go_on.set()
    thread.join()
    assert status == 0
