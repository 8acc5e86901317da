"""Questions asked of every argument before any work is done. Each error names the argument, what it got, and what works."""

from __future__ import annotations

import math
import operator
import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ._weights import differentiable, inner

T = TypeVar("T")


_short = reprlib.Repr()
_short.maxstring = _short.maxlong = _short.maxother = 60


def shown(value: object) -> str:
    """``value`` for an error, in a few words on one line: plain things as they are, others by their type."""
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    known = (type(None), str, bytes, bool, int, float, complex, np.generic)
    inside = [*value.values()] if isinstance(value, dict) else [*value] if isinstance(value, (list, tuple, set)) else []
    if strange := [item for item in inside if not isinstance(item, known)]:
        return f"a {type(value).__name__} that holds {type(strange[0]).__name__}"
    if isinstance(value, (*known, Tensor, np.ndarray, dict, list, tuple, set)):
        return " ".join(f"{_short.repr(value)} of type {type(value).__name__}".split())
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def kind(name: str, value: object, wanted: type[T] | tuple[type[T], ...], words: str) -> T:
    """``value`` if it is of the ``wanted`` class, which the ``words`` describe."""
    if not isinstance(value, wanted):
        raise TypeError(f"{name} must be {words}, got {shown(value)}")
    return value


def named(name: str, values: object, wanted: type[T] | tuple[type[T], ...], words: str, or_empty: bool = False) -> dict[str, T]:
    """``values`` if it is a dict from texts to things of the ``wanted`` class; it must not be empty, or may."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a dict, name -> {words}, got {shown(values)}")
    if not values and not or_empty:
        raise ValueError(f"{name} must hold at least one entry, name -> {words}, got none")
    for key, value in values.items():
        if not isinstance(key, str):
            raise TypeError(f"{name} must have texts as names, got {shown(key)}")
        kind(f"{name}[{key!r}]", value, wanted, words)
    return dict(values)


def things(name: str, values: object, wanted: type[T], words: str) -> list[T]:
    """``values`` if it is a list or tuple of things of the ``wanted`` class, with at least one."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a list of {words}, got {shown(values)}; [{words}, {words}] is one")
    if not values:
        raise ValueError(f"{name} must hold at least one {words}, got none")
    for i, value in enumerate(values):
        kind(f"{name}[{i}]", value, wanted, f"a {words}")
    return list(values)


@contextmanager
def about(name: str) -> Iterator[None]:
    """What a TypeError or ValueError inside says begins with ``name``, and is one line."""
    try:
        yield
    except (TypeError, ValueError) as error:
        words = " ".join(f"{name}: {error}".split())
        raise (TypeError if isinstance(error, TypeError) else ValueError)(words[:390]) from error


def tensor(name: str, value: object, *shape: int | str, finite: bool = True) -> Tensor:
    """``value`` if it is a tensor of numbers of this shape, letters standing for lengths from 1 on; without NaN or infinity."""
    words = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    found = kind(name, value, Tensor, f"a torch.Tensor of shape {words}, as torch.as_tensor makes it")
    fits = found.ndim == len(shape) and all(isinstance(n, str) or n == m for n, m in zip(shape, found.shape, strict=True))
    if not fits or not found.numel():
        raise ValueError(f"{name} must have shape {words}, got {tuple(found.shape)}")
    if found.is_complex() or (finite and not bool(torch.isfinite(found).all())):
        bad = found.dtype if found.is_complex() else f"NaN or infinity in {int((~torch.isfinite(found)).sum())} of its values"
        raise ValueError(f"{name} must hold finite real numbers, got {bad}")
    return found


def densities(name: str, value: object, *shape: int | str) -> Tensor:
    """``value`` if it is a tensor of logarithms of densities: -infinity where there is none, but not everywhere."""
    found = tensor(name, value, *shape, finite=False)
    if not bool(torch.isfinite(found.max())):
        raise ValueError(
            f"{name} must hold logarithms of densities, finite somewhere, got a highest value of {float(found.max())}"
        )
    return found


def axis(name: str, value: object) -> Tensor:
    """``value`` if it can be one axis of a grid: a tensor of two finite numbers or more, increasing."""
    found = tensor(name, value, "N")
    if len(found) < 2 or bool((found.diff() <= 0).any()):
        some = [round(number, 3) for number in found.tolist()[:5]]
        raise ValueError(f"{name} must hold two numbers or more, increasing, such as torch.linspace(-1, 2, 31), got {some}")
    return found


def whole_number(name: str, value: object, at_least: int) -> int:
    """``value`` as an int, or a clear error; numpy's whole numbers and tensors of one count too.

    Booleans and floats are refused: they are mistakes more often than numbers.
    """
    truth = isinstance(value, (bool, np.bool_)) or (isinstance(value, Tensor) and value.dtype == torch.bool)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        truth = True
    if truth:
        raise TypeError(f"{name} must be a whole number (int), got {shown(value)}")
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {number}")
    return number


def sample_count(name: str, n: object, available: int) -> int:
    """How many samples ``n`` asks for, None being all that are ``available``. An error if it asks for more."""
    count = available if n is None else whole_number(name, n, at_least=1)
    if count > available:
        raise ValueError(f"{name} must be at most the {available} samples there are, got {n}")
    return count


def real_number(name: str, value: object, at_least: float, below: float = math.inf, *, at_most: float = math.inf) -> float:
    """``value`` as a finite float in [at_least, below) or up to at_most. Tensors of one element count as numbers."""
    truth = isinstance(value, Tensor) and value.dtype == torch.bool
    if truth or isinstance(value, (bool, np.bool_, str, bytes, bytearray)) or (isinstance(value, np.ndarray) and value.ndim):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        number = math.inf
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a number, got {shown(value)}") from None
    if not (math.isfinite(number) and at_least <= number < below and number <= at_most):
        limit = f" and below {below:g}" if below < math.inf else f" and at most {at_most:g}" if at_most < math.inf else ""
        low = f", at least {at_least:g}" if at_least > -math.inf else ""
        plain = _short.repr(value) if isinstance(value, int) else f"{number!r}"
        raise ValueError(f"{name} must be a finite number{low}{limit}, got {plain}")
    return number


def factors(name: str, value: object, model: nn.Module) -> dict[str, float | Tensor]:
    """What a proximal step is scaled by: parameter name -> a number, or a tensor of its shape; "" -> one number for all."""
    if not isinstance(value, Mapping):
        return {"": real_number(name, value, at_least=0.0)}
    found: dict[str, float | Tensor] = {}
    parameters = dict(model.named_parameters())
    for key, each in value.items():
        if key not in parameters:
            raise ValueError(f"{name} must name parameters of the model, got {key}")
        shape = parameters[key].shape
        if isinstance(each, Tensor) and each.shape == shape:
            found[key] = each
        elif isinstance(each, Tensor) and each.numel() != 1:
            shapes = f"{tuple(shape)}, got shape {tuple(each.shape)}"
            raise ValueError(f"{name} must be a number, or for {key} a tensor of its shape {shapes}")
        else:
            found[key] = real_number(name, each, at_least=0.0)
    return found


def positive(name: str, value: object, at_most: float = math.inf) -> float:
    """``value`` as a finite float above 0."""
    number = real_number(name, value, at_least=0.0, at_most=at_most)
    if not number:
        raise ValueError(f"{name} must be a finite number above 0, got {number!r}")
    return number


def share(name: str, value: object, or_nan: bool = False) -> float:
    """A share such as an accuracy: from 0 to 1; or NaN for what was not measured, if that may be."""
    if or_nan and isinstance(value, (float, np.floating, Tensor)) and not np.ndim(value) and math.isnan(value):
        return math.nan
    try:
        return real_number(name, value, at_least=0.0, at_most=1.0)
    except ValueError as error:
        raise ValueError(f"{error}; shares are wanted, 0.95 for 95 %") from None


def truth(name: str, value: object) -> bool:
    """True or False; other things are mistakes, such as "no", which Python takes for true."""
    return bool(kind(name, value, (bool, np.bool_), "True or False"))


def classes(name: str, values: object) -> tuple[int, ...]:
    """Class labels, ascending, each once, from anything that holds whole numbers; two of them at least."""
    words = f"{name} must hold class labels, whole numbers such as (0, 1, 2)"
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{words}, got {shown(values)}")
    try:
        found = tuple(sorted({whole_number(name, value, at_least=0) for value in values}))
    except TypeError as error:
        raise TypeError(f"{words}, got {shown(values)} ({error})") from None
    if len(found) < 2:
        raise ValueError(f"{name} must hold at least two, for there to be a choice, got {found}")
    return found


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
    scalar = isinstance(values, (Tensor, np.ndarray)) and not values.ndim
    if scalar or isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be several numbers such as [1, 10], got {shown(values)}")
    try:
        found = tuple(check(value) for value in values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must all be allowed: {error}") from None
    if not found:
        raise ValueError(f"{name} must hold at least one number, got none")
    if twice := [value for value in found if found.count(value) > 1]:
        raise ValueError(f"{name} must differ from one another, got {twice[0]} more than once")
    return found


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """``value`` if it is one of ``choices``, or an error that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {_short.repr(value)}")
    return value


def images_and_labels(x: object, y: object) -> None:
    """Whether ``x`` (N, ...) and ``y`` (N,) can be a data set: tensors, not empty, of one length, finite, whole labels."""
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}; torch.as_tensor({name}) makes one")
    assert isinstance(x, Tensor) and isinstance(y, Tensor)
    if y.is_floating_point() or y.is_complex():
        raise TypeError(
            f"y must hold class labels, whole numbers (torch.int64), got {y.dtype} of shape {tuple(y.shape)}; this package is "
            "for classification only: numbers to predict (regression), soft and multi-hot labels have another likelihood"
        )
    if y.dtype == torch.bool:
        raise TypeError(f"y must hold whole class labels (torch.int64), got {y.dtype}; y.long() makes them")
    if y.ndim != 1:
        hint = "; y.squeeze(1) takes the column" if y.ndim == 2 and y.shape[1] == 1 else ""
        raise ValueError(f"y must have shape (N,), one class label a sample, got shape {tuple(y.shape)}{hint}")
    if x.ndim < 2:
        raise ValueError(f"x must have shape (N, ...) with a row of features a sample, got shape {tuple(x.shape)}")
    if x.is_complex():
        raise TypeError(f"x must hold real numbers, got {x.dtype}; torch.view_as_real(x) makes two of each")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same length, got {len(x)} samples in x and {len(y)} labels in y")
    if x.numel() == 0:
        raise ValueError(f"x must hold at least one sample, got an empty data set of shape {tuple(x.shape)}")
    if int(y.min()) < 0:
        raise ValueError(f"y must hold class labels from 0 upwards, got {int(y.min())}")
    # The sum is the quicker question; it is not finite if one of the values is not, or if it is too large itself.
    if x.is_floating_point() and not bool(torch.isfinite(x.sum())) and not bool(torch.isfinite(x).all()):
        raise ValueError(f"x must be finite, got NaN or infinity in {int((~torch.isfinite(x)).sum())} of its values")


def length_of_dataset(dataset: Any) -> int:
    """How many samples a torchvision-style data set has, at least one."""
    if isinstance(dataset, torch.utils.data.DataLoader):
        raise TypeError("dataset must be a data set and no DataLoader, got DataLoader; loader.dataset is the one inside")
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")) or isinstance(dataset, (str, bytes, Mapping)):
        raise TypeError(f"dataset must have len(dataset) and dataset[i] -> (image, label), got {shown(dataset)}")
    if isinstance(dataset, type):
        raise TypeError(f"dataset must be a data set and no class, got {shown(dataset)}; {dataset.__name__}(...) makes one")
    if len(dataset) == 0:
        raise ValueError("dataset must hold at least one sample, got an empty one")
    return len(dataset)


def sample(pair: Any, i: int) -> tuple[Any, Any]:
    """Sample ``i`` of a data set, if it is a pair."""
    if isinstance(pair, (Tensor, np.ndarray, str)) or not isinstance(pair, Sequence) or len(pair) != 2:
        size = f"{type(pair).__name__} of {len(pair)}" if isinstance(pair, (list, tuple)) else shown(pair)
        raise TypeError(f"dataset must give pairs (image, label), got dataset[{i}] that is {size}")
    return pair[0], pair[1]


def labels(values: list[Any]) -> Tensor:
    """Class labels of a data set as one tensor."""
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        strange = next((v for v in values if not isinstance(v, (int, float, Tensor, np.generic))), values[0])
        raise TypeError(f"dataset must give class labels that are whole numbers, such as 3, got {shown(strange)}") from None


def module(model: object) -> nn.Module:
    """``model`` if it is a torch module; of a wrapped one the network inside."""
    parameters(model)
    return inner(model)  # type: ignore[arg-type]


def parameters(model: object) -> dict[str, nn.Parameter]:
    """The parameters of ``model``, or of the network inside a wrapped one, by name."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    found = dict(inner(model).named_parameters())
    if empty := [name for name, p in found.items() if p.is_meta]:
        raise ValueError(f"model must hold its weights, got {empty[0]} on the meta device; make it on the CPU or a GPU")
    return found


def finite(model: nn.Module) -> None:
    """Whether the weights of ``model``, and the statistics of its batch norms, are numbers to go on with."""
    averages = [(n, b) for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))]
    for name, p in [*model.named_parameters(), *averages]:
        t = p.detach()
        # As above, the sum is the quicker question.
        if not bool(torch.isfinite(t.sum())) and not bool(torch.isfinite(t).all()):
            bad = int((~torch.isfinite(t)).sum())
            raise ValueError(
                f"model must have finite weights, got NaN or infinity in {bad} of the {t.numel()} values of {name}; "
                "has its training diverged? A smaller lr, and weights from before, would help"
            )


def trainable(model: object) -> dict[str, nn.Parameter]:
    """The parameters of ``model`` that training moves, named as in ``named_parameters()``; frozen ones are left out."""
    if isinstance(module(model), torch.jit.ScriptModule):
        raise TypeError(
            f"model must be an ordinary module, got a {type(model).__name__}: take the one that was scripted or traced"
        )
    everything = dict(module(model).named_parameters())
    for name, p in everything.items():
        if isinstance(p, nn.parameter.UninitializedParameter):
            raise ValueError(f"model must know its shapes, got {name} of a lazy layer; run one batch through it first")
        if p.is_complex():
            raise TypeError(f"model must have real weights, got {p.dtype} in {name}; torch.view_as_real makes two of one")
    parameters = {name: p for name, p in everything.items() if p.requires_grad}
    differentiable(module(model))
    if not parameters:
        raise ValueError(
            f"model has no trainable parameters ({type(model).__name__}, {len(everything)} frozen); "
            "set requires_grad on those that may learn"
        )
    return parameters


def same_parameters(name: str, known: Mapping[str, Tensor], model: nn.Module) -> None:
    """Whether all that was consolidated (``known``) is in ``model`` in its shape, or with more rows and nothing else new.

    (New rows and new layers together are rather another network than a larger head.)
    """
    parameters = dict(model.named_parameters())
    new = any(p.requires_grad and n not in known for n, p in parameters.items())
    wrong = [f"{n} is missing" for n in known if n not in parameters]
    there = [(n, tuple(t.shape), tuple(parameters[n].shape)) for n, t in known.items() if n in parameters]
    wrong += [
        f"{n} had shape {before}, is now {now}"
        for n, before, now in there
        if before != now and (new or before[1:] != now[1:] or before >= now)
    ]
    if wrong:
        raise ValueError(
            f"{name} was consolidated on another model: {'; '.join(wrong[:3])}. "
            "Use it on that model or a copy of it, or make a new penalty"
        )


def kept(name: str, tensors: object, *, like: Mapping[str, Tensor] | None = None, at_least: float = -math.inf) -> None:
    """Whether ``tensors`` are finite ones by parameter name, none below ``at_least``; with the shapes of those in ``like``."""
    if not isinstance(tensors, Mapping) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise TypeError(f"{name} must be a dict of tensors by parameter name, got {type(tensors).__name__}")
    for n, t in tensors.items():
        if like is not None and (n not in like or like[n].shape != t.shape):
            wanted = f"shape {tuple(like[n].shape)}" if n in like else "no such parameter"
            raise ValueError(f"{name} must have the names and shapes of the parameters, got {n} {tuple(t.shape)}: {wanted}")
        if not bool(torch.isfinite(t).all()) or bool((t < at_least).any()):
            limit = "" if at_least == -math.inf else f" and at least {at_least:g}"
            hint = "; half precision ends at 65504: take model.float()" if t.dtype == torch.float16 else ""
            raise ValueError(f"{name} must be finite{limit}, got {float(t[~(t.isfinite() & (t >= at_least))][0])} in {n}{hint}")


def importance(found: object, parameters: Mapping[str, Tensor]) -> None:
    """Whether ``found`` can be a penalty's importance of these parameters; a warning if it holds nothing."""
    kept("importance", found, like=parameters, at_least=0.0)
    assert isinstance(found, Mapping)
    if not any(bool(t.any()) for t in found.values()):
        message = (
            "the importance of every weight is 0: this task will not be held at any strength. Is the network certain of every "
            "answer, or does its forward pass cut gradients off (detach, no_grad)?"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=4)


of_the_lesson: torch.device | None = None  # once cl_teach.setup has been called


def device(name: str | torch.device | None = None) -> torch.device:
    """The one device rule: the device asked for if this machine has it; without a wish, CUDA where there is one, else the CPU.

    In a lesson, which begins with :func:`cl_teach.setup`, it is the CPU.
    Raises ValueError if the device is not there, TypeError if it is none.
    """
    if name is None:
        return of_the_lesson or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(name, bool) or not isinstance(name, (str, int, torch.device)):
        raise TypeError(f"device must be None or a text such as 'cpu' or 'cuda:0', got {shown(name)}")
    try:
        wanted = torch.device(name)
        torch.empty(1, device=wanted).cpu()  # "meta" and devices without a driver fail here
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} is not there ({reason}); 'cpu' always works, None takes the best there is") from None
    return wanted
