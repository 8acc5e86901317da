"""How a lesson starts, shows how long it takes, and keeps its sentences true: claims, which are measured whenever it runs."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import torch

from .. import _checks
from .._progress import bar, tell

T = TypeVar("T")
NEEDS = {"torch": "2.11", "torchvision": "0.26", "matplotlib": "3.9", "ipywidgets": "7.7.1", "tqdm": "4.66"}  # pyproject.toml


def setup() -> None:
    """Make a lesson give the same digits on every machine, and say where it runs.

    float64 is the default type, because float32 sums differ between processors in the last bits and training amplifies them;
    one thread, because the lessons' networks are too small to share out; and models lie on the CPU where no device is asked
    for, because networks this small gain little on a GPU, and what learners write meets no tensors of another device.
    In a notebook a name that no cell has made is told with what to do. Where cl_teach came without pip, or with ``--no-deps``
    (a self-contained notebook, Colab), nothing else has looked whether what it needs is there.

    Raises:
        RuntimeError: a package that the lessons need is not there. One that is too old is only named.
    """
    _look_for_packages()
    _checks.of_the_lesson = torch.device("cpu")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and not shell.custom_exceptions:  # else somebody has set a handler of their own
        shell.set_custom_exc((NameError,), _explain_name)
    print(f"cl_teach is ready, running on {_checks.device().type}")


def progress(things: Iterable[T], total: int | None = None) -> Iterator[T]:
    """The same ``things`` one by one, with a bar of how many are done and how long the rest takes.

    It appears after two seconds, unless TQDM_DISABLE=1 is set, and is gone at the end.

    Args:
        total: how many there are, if ``things`` has no length.

    Raises:
        TypeError, ValueError: nothing to go through, or a total below 0; raised when it is called.
    """
    if not (isinstance(things, Iterable) or hasattr(things, "__getitem__")):
        raise TypeError(f"things must be what a for loop can go through, such as range(5), got {_checks.shown(things)}")
    if total is not None:
        total = _checks.whole_number("total", total, at_least=0)
    else:
        with suppress(TypeError):  # a DataLoader over a stream has a length only by name
            total = len(things)  # type: ignore[arg-type]
    return _shown(things, total)


def _shown(things: Iterable[T], total: int | None) -> Iterator[T]:
    with bar(total, "runs", "run", True) as shown:
        for thing in things:
            yield thing
            shown.update()


def _look_for_packages() -> None:
    """(A RuntimeError, because to an ImportError Colab adds the advice to install the missing name from the index.)"""
    for name, oldest in NEEDS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            raise RuntimeError(
                f"{name} is not installed, and the lessons need it: python -m pip install '{name}>={oldest}', "
                "then restart the kernel"
            ) from None
        if _number(found) < _number(oldest):
            print(f"{name} is {found} here; the lessons are tested with {oldest} and newer, and may fail or show other numbers")


def _number(version: str) -> list[int]:
    """The release: 2.11.0+cu130 is [2, 11, 0]."""
    return [int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3]]


def _explain_name(
    shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None, tb_offset: int | None = None
) -> None:
    """Show ``error`` as IPython does, with a sentence more if the lesson was started in the middle, as after a restart."""
    innermost = trace
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    in_a_cell = innermost is not None and innermost.tb_frame.f_globals is shell.user_ns
    if in_a_cell and kind is NameError:  # not one inside the package, nor an UnboundLocalError
        name = getattr(error, "name", None) or "it"
        error.args = (
            f"{error}. If a cell above makes {name}, that cell has not run yet: choose Run > Run All Above Selected Cell "
            "(in Colab Runtime > Run before), then run this cell again",
        )
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def claim(
    sentence: str,
    measured: float | torch.Tensor | Iterable[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """State a sentence of the lesson as code: print it with what was measured, and raise if it is not true.

    Args:
        sentence: what the lesson says.
        measured: a number, or one a seed; all of them must obey the bounds.
        at_least, at_most: the bounds, one or both.

    Raises:
        AssertionError: a number is out of bounds, NaN or infinite (what diverged proves nothing).
        TypeError, ValueError: no bound, or bounds that nothing can obey; nothing measured, or no numbers.
    """
    _checks.kind("sentence", sentence, str, "a text, what the lesson says")
    if at_least is None and at_most is None:
        raise ValueError("at_least or at_most must be given, got none: a claim without a bound cannot fail")
    lower = -math.inf if at_least is None else _checks.real_number("at_least", at_least, at_least=-math.inf)
    upper = math.inf if at_most is None else _checks.real_number("at_most", at_most, at_least=-math.inf)
    if lower > upper:
        raise ValueError(f"at_least must not be above at_most, got {lower:g} and {upper:g}")
    numbers = _numbers(measured)
    known = [v for v in numbers if not math.isnan(v)] or [math.nan]
    low, high = min(known), max(known)
    value = _short(low) if len(numbers) == 1 else f"{_short(low)} to {_short(high)}, {len(numbers)} values"
    value += f", {sum(map(math.isnan, numbers))} of them nan" if len(numbers) > 1 and any(map(math.isnan, numbers)) else ""
    bounds = [f"at least {lower:g}"] if at_least is not None else []
    bounds += [f"at most {upper:g}"] if at_most is not None else []
    text = f"{sentence}: {value} (claimed: {' and '.join(bounds)})"
    if not all(math.isfinite(v) and lower <= v <= upper for v in numbers):
        raise AssertionError(f"✗ {text}")
    tell(f"✓ {text}")


def _numbers(measured: Any) -> list[float]:
    """One number or several as floats; NaN and infinity may be among them, and the claim then fails."""
    if isinstance(measured, (torch.Tensor, np.ndarray)):
        measured = measured.flatten().tolist()
    try:
        several = [*measured] if isinstance(measured, Iterable) else [measured]
        if isinstance(measured, (str, bytes, Mapping)) or any(isinstance(v, (str, bytes)) for v in several):
            raise TypeError
        numbers = [float(v) for v in several]
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"measured must be a number, or one a seed, got {_checks.shown(measured)}") from None
    if not numbers:
        raise ValueError("measured must hold at least one number, got none")
    return numbers


def _short(number: float) -> str:
    return "0.000000" if abs(number) < 1e-6 else f"{number:.3g}"  # below that, rounding differs between machines
