"""Networks small enough to train on a laptop while you read.

Every maker takes a ``seed``: the same seed gives the same first weights, on every device. Methods that are compared start
from the same network. A head per task needs no model of its own: the heads lie side by side in one output layer, and
``Task.classes`` says which of them a task uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from . import _checks
from .tasks import Split


class TwoWeights(nn.Module):
    """Logistic regression with two weights and nothing else: (N, 2) inputs to (N, 2) logits (0, w·x)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.utils.skip_init(nn.Linear, 2, 1, bias=False)  # draws no random numbers
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        z = self.linear(x)  # (N, 1)
        return torch.cat([torch.zeros_like(z), z], dim=1)


def two_weights() -> TwoWeights:
    """The two-weight logistic model, both weights 0, on the CPU: its loss surface is a picture, not a projection."""
    return TwoWeights()


def mlp(
    hidden: Sequence[int] = (100,),
    n_inputs: int = 784,
    n_classes: int = 10,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> nn.Sequential:
    """A fully connected network with ReLU between its layers.

    Args:
        hidden: width of each hidden layer.
        n_inputs: features a sample, after flattening.
        n_classes: outputs.
        seed: of the first weights; the global random state is left alone.
        device: None takes CUDA where there is one, else the CPU.

    Returns:
        A network from (N, ...) inputs to (N, n_classes) logits.

    Raises:
        TypeError, ValueError: a width or seed that is no whole number, or a device that is not there.
    """
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise TypeError(f"hidden must be a sequence of widths such as (100,), got {hidden!r}")
    widths = [_checks.whole_number("n_inputs", n_inputs, at_least=1)]
    widths += [_checks.whole_number("hidden", width, at_least=1) for width in hidden]
    _checks.whole_number("n_classes", n_classes, at_least=2)

    def build() -> nn.Sequential:
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))

    return _seeded(build, seed, device)


def article_cnn(n_classes: int = 10, seed: int = 0, device: str | torch.device | None = None) -> nn.Sequential:
    """A small convolutional network for 28 x 28 digits: two 5 x 5 convolutions (10 and 20 channels), each pooled by 2, with
    2-d dropout after the second, then 320 -> 50 -> ``n_classes`` with dropout between.

    Arguments, result and errors as for :func:`mlp`; inputs have shape (N, 1, 28, 28).
    """
    _checks.whole_number("n_classes", n_classes, at_least=2)

    def build() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 10, kernel_size=5), nn.MaxPool2d(2), nn.ReLU(),  # (N, 10, 12, 12)
            nn.Conv2d(10, 20, kernel_size=5), nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU(),  # (N, 20, 4, 4)
            nn.Flatten(), nn.Linear(320, 50), nn.ReLU(), nn.Dropout(), nn.Linear(50, n_classes),
        )  # fmt: skip

    return _seeded(build, seed, device)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """``model`` in eval mode (no dropout, fixed batch statistics) inside the block; every module's own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def head(logits: Tensor, classes: Sequence[int] | None) -> Tensor:
    """The columns of ``logits`` (N, C) that belong to ``classes``; all of them for None."""
    if classes is None or len(classes) == logits.shape[1]:
        return logits
    return logits[:, list(classes)]


def typed(model: nn.Module, x: Tensor) -> Tensor:
    """``x`` in the floating-point type of ``model``; whole numbers, such as tokens, stay what they are."""
    return x.to(_example(model, x).dtype) if x.is_floating_point() else x


def _example(model: nn.Module, otherwise: Tensor) -> Tensor:
    return next((t for t in [*model.parameters(), *model.buffers()] if t.is_floating_point()), otherwise)


def matched(model: nn.Module, data: Split, classes: Sequence[int] | None = None) -> Split:
    """``data`` checked and on the device of ``model``, labels counted within ``classes``.

    The type of the inputs is left alone: :func:`typed` changes it batch by batch, which costs nothing, while a second copy of
    all the data would.

    Raises:
        ValueError: the model cannot take such inputs, gives no (N, C) logits, or has no output for one of the labels.
    """
    _checks.module(model)
    if not isinstance(data, Split):
        raise TypeError(f"data must be a cl_teach.Split such as task.train, got {type(data).__name__}; Split(x, y) makes one")
    _checks.images_and_labels(data.x, data.y)  # again: what a tensor holds can change
    data = data.to(_example(model, data.x).device)
    with eval_mode(model), torch.no_grad():
        try:
            logits = model(typed(model, data.x[:1]))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"model cannot take x of shape {tuple(data.x.shape)} and type {data.x.dtype}: {reason}") from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model must give logits of shape (N, classes), got {got}")
    n_outputs = logits.shape[1]
    if classes is not None and (not len(classes) or min(classes) < 0):
        raise ValueError(f"classes must be outputs of the model, from 0 to {n_outputs - 1}, got {tuple(classes)}")
    top = max(classes) if classes else int(data.y.max())
    if top >= n_outputs:
        raise ValueError(f"y must hold labels from 0 to {n_outputs - 1}, as the model has {n_outputs} outputs; got class {top}")
    if classes is None or list(classes) == list(range(n_outputs)):
        return data
    position = torch.full((n_outputs,), -1, device=data.y.device)
    position[list(classes)] = torch.arange(len(classes), device=data.y.device)
    y = position[data.y]
    if bool((y < 0).any()):
        outside = sorted(set(data.y[y < 0].tolist()))
        raise ValueError(f"y must hold labels among classes {tuple(classes)}, got {outside}")
    return Split(data.x, y)


def _seeded(build: Callable[[], nn.Sequential], seed: int, device: str | torch.device | None) -> nn.Sequential:
    target = _checks.device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_checks.seed(seed))
        return build().to(target)
