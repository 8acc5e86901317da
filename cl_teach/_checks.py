"""Questions asked of every argument before any work is done. Each error names the argument, what it got, and what works."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ._weights import inner

T = TypeVar("T")


def whole_number(name: str, value: object, at_least: int) -> int:
    """``value`` as an int, or a clear error. Booleans and floats are refused: they are mistakes more often than numbers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number (int), got {value!r} of type {type(value).__name__}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return value


def sample_count(name: str, n: object, available: int) -> int:
    """How many samples ``n`` asks for, None being all that are ``available``. An error if it asks for more."""
    count = available if n is None else whole_number(name, n, at_least=1)
    if count > available:
        raise ValueError(f"{name} must be at most the {available} samples there are, got {n}")
    return count


def real_number(name: str, value: object, at_least: float, below: float = math.inf, *, at_most: float = math.inf) -> float:
    """``value`` as a finite float in [at_least, below) or up to at_most. Tensors of one element count as numbers."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        number = math.inf
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
        if not isinstance(value, float):
            raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}") from None
    if isinstance(value, (bool, str)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not (math.isfinite(number) and at_least <= number < below and number <= at_most):
        limit = f" and below {below:g}" if below < math.inf else f" and at most {at_most:g}" if at_most < math.inf else ""
        raise ValueError(f"{name} must be a finite number, at least {at_least:g}{limit}, got {value!r}")
    return number


def strength(value: object) -> float:
    """A penalty strength lambda: finite and not negative."""
    return real_number("strength", value, at_least=0.0)


def seed(value: object) -> int:
    """A random seed: a whole number from 0 to 2**63 - 1."""
    number = whole_number("seed", value, at_least=0)
    if number >= 2**63:
        raise ValueError(f"seed must be below 2**63, got {number}")
    return number


def several(name: str, values: Iterable[Any], check: Callable[[object], T]) -> tuple[T, ...]:
    """Several numbers, each of which ``check`` accepts, no two alike."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be several numbers such as [1, 10], got {values!r}")
    try:
        found = tuple(check(value) for value in values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"in {name}: {error}") from None
    if not found:
        raise ValueError(f"{name} must hold at least one number, got none")
    if twice := [value for value in found if found.count(value) > 1]:
        raise ValueError(f"{name} must differ from one another, got {twice[0]} more than once")
    return found


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """``value`` if it is one of ``choices``, or an error that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def images_and_labels(x: object, y: object) -> None:
    """Whether ``x`` (N, ...) and ``y`` (N,) can be a data set: tensors, not empty, of one length, finite, whole labels."""
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}; torch.as_tensor({name}) makes one")
    assert isinstance(x, Tensor) and isinstance(y, Tensor)
    if y.ndim != 1:
        raise ValueError(f"y must have shape (N,), one class label a sample, got shape {tuple(y.shape)}")
    if y.dtype == torch.bool or y.is_floating_point() or y.is_complex():
        raise TypeError(f"y must hold whole class labels (torch.int64), got {y.dtype}; y.long() makes them")
    if x.ndim < 2:
        raise ValueError(f"x must have shape (N, ...) with a row of features a sample, got shape {tuple(x.shape)}")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same length, got {len(x)} samples in x and {len(y)} labels in y")
    if x.numel() == 0:
        raise ValueError(f"x must hold at least one sample, got an empty data set of shape {tuple(x.shape)}")
    if int(y.min()) < 0:
        raise ValueError(f"y must hold class labels from 0 upwards, got {int(y.min())}")
    # The sum is the quicker question; it is not finite if one of the values is not, or if it is too large itself.
    if x.is_floating_point() and not bool(torch.isfinite(x.sum())) and not bool(torch.isfinite(x).all()):
        raise ValueError(f"x must be finite, got NaN or infinity in {int((~torch.isfinite(x)).sum())} of its values")


def module(model: object) -> nn.Module:
    """``model`` if it is a torch module; of a wrapped one the network inside."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    return inner(model)


def finite(model: nn.Module) -> None:
    """Whether the weights of ``model``, and the statistics of its batch norms, are numbers to go on with."""
    averages = [(n, b) for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))]
    for name, t in [*model.named_parameters(), *averages]:
        # As above, the sum is the quicker question.
        if not bool(torch.isfinite(t.detach().sum())) and not bool(torch.isfinite(t).all()):
            bad = int((~torch.isfinite(t)).sum())
            raise ValueError(
                f"model must have finite weights, got NaN or infinity in {bad} of the {t.numel()} values of {name}; "
                "has its training diverged? A smaller lr, and weights from before, would help"
            )


def trainable(model: object) -> dict[str, nn.Parameter]:
    """The parameters of ``model`` that training moves, named as in ``named_parameters()``; frozen ones are left out."""
    everything = dict(module(model).named_parameters())
    parameters = {name: p for name, p in everything.items() if p.requires_grad}
    if not parameters:
        raise ValueError(
            f"model has no trainable parameters ({type(model).__name__}, {len(everything)} frozen); "
            "set requires_grad on those that may learn"
        )
    return parameters


def same_parameters(name: str, known: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
    """Whether all that was consolidated (``known``) is among the ``parameters`` of a model, in the shape it had."""
    wrong = [f"{n} is missing" for n in known if n not in parameters]
    there = [(n, tuple(t.shape), tuple(parameters[n].shape)) for n, t in known.items() if n in parameters]
    wrong += [f"{n} had shape {before}, is now {now}" for n, before, now in there if before != now]
    if wrong:
        raise ValueError(
            f"{name} was consolidated on another model: {'; '.join(wrong[:3])}. "
            "Use it on that model or a copy of it, or make a new penalty"
        )


def device(name: str | torch.device | None = None) -> torch.device:
    """The one device rule: the device asked for if this machine has it; without a wish, CUDA where there is one, else the CPU.

    Raises ValueError if the device is not there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(name)
        torch.empty(1, device=wanted).cpu()  # "meta" and devices without a driver fail here
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} is not there ({reason}); 'cpu' always works, None takes the best there is") from None
    return wanted
