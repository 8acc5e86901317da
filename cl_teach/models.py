"""Networks small enough to train on a laptop while you read.

The same ``seed`` gives the same first weights, on every device. Methods that are compared start
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
from ._turns import turn


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
        device: None takes CUDA where there is one, else the CPU; in a lesson the CPU.

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


def head(logits: Tensor, classes: Sequence[int] | None) -> Tensor:
    """The columns of ``logits`` (N, outputs) that belong to ``classes``, ascending; all of them for None."""
    if classes is None or len(classes) == logits.shape[1]:
        return logits
    if logits.is_cpu:
        return logits[:, list(classes)]
    return torch.cat([logits[:, run] for run in runs(classes)], 1)  # a list would be sent there at every step


def runs(classes: Sequence[int]) -> list[slice]:
    """``classes`` as slices of consecutive ones."""
    gaps = [i for i in range(1, len(classes)) if classes[i] != classes[i - 1] + 1]
    return [slice(classes[a], classes[b - 1] + 1) for a, b in pairwise([0, *gaps, len(classes)])]


@contextmanager
def random_state(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """torch's random numbers begin with ``seed`` inside the block, and go on afterwards as if there had been none.

    Threads take turns: there is one state for all of them.
    """
    cuda = torch.device(device).type == "cuda"
    with turn(), torch.random.fork_rng([device] if cuda else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every GPU, also those not forked
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _seeded(build: Callable[[], nn.Sequential], seed: int, device: str | torch.device | None) -> nn.Sequential:
    target = _checks.device(device)
    with random_state(_checks.seed(seed)):
        return build().to(target)
