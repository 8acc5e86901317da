"""What an exercise is, and how an answer is told from those that people give by mistake.

Nothing here looks at the text of an answer. The answer, the right one and every known mistake are put to work on the same
inputs, which nobody has seen before; an answer that gives what a mistake gives is told the words of that mistake.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Values = dict[str, Tensor]  # what a function gave: one tensor, several, or several with names
AGREE = 1e-4  # relative to the largest number: float32 passes, and no known mistake is as near on any of the inputs

NOTHING = "the function gives nothing back; does it end with return?"
NOT_A_FUNCTION = "give the function itself, by its name and without brackets, as something to be called with other inputs"
CHANGED = "it changes the very tensors or the model that it was given, which others still need; compute into new ones"
NOT_FINITE = "there are NaN or infinite numbers in the result: is something divided by zero?"
SIGN = "every number has the wrong sign"
FACTOR = "everything is right but for one constant factor, by which it is too {}; which factor is there too much or too little?"


class Wrong(Exception):
    """Raised with the words for an answer that is not even of the right kind."""


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson; subclasses say how an answer is looked at.

    Args:
        task: what is asked; printed while there is no answer.
    """

    task: str

    def wrong(self, answer: Any, generator: torch.Generator) -> str:
        """What is wrong with an answer, in words that do not give the right one away; "" if it is right.

        It may raise whatever the student's code raises; :class:`Wrong` has the words in it.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Function(Exercise):
    """A function is asked, and tried on several inputs drawn anew at each check.

    Args:
        cases: draws the arguments of several calls.
        right: what the arguments should give.
        mistakes: wrong functions that people write, each with its words; the most specific one first.
        hint: the words for any other wrong function.
        used: how a function is tried, if it is not simply called and its result looked at.
    """

    cases: Callable[[torch.Generator], Sequence[tuple[Any, ...]]]
    right: Callable[..., Any]
    mistakes: Sequence[tuple[Callable[..., Any], str]]
    hint: str
    used: Callable[..., Any] = lambda answer, *arguments: answer(*arguments)

    def wrong(self, answer: Any, generator: torch.Generator) -> str:
        if not callable(answer):
            raise Wrong(NOT_A_FUNCTION)
        cases = self.cases(generator)
        expected = [_values(self.right(*copy.deepcopy(case))) for case in cases]
        given = [self._tried(answer, case, right) for case, right in zip(cases, expected, strict=True)]
        if _all_same(given, expected):
            return ""
        for mistake, words in self.mistakes:
            if all(
                _same(one, _values(self.used(mistake, *copy.deepcopy(case)))) for one, case in zip(given, cases, strict=True)
            ):
                return words
        return _in_general(given, expected) or self.hint

    def _tried(self, answer: Callable[..., Any], case: tuple[Any, ...], expected: Values) -> Values:
        arguments = copy.deepcopy(case)
        result = self.used(answer, *arguments)
        if not _same(_tensors(arguments), _tensors(case)):
            raise Wrong(CHANGED)
        return _values(result, expected)


@dataclass(frozen=True)
class Number(Exercise):
    """A number is asked, one that was measured or worked out.

    Args:
        low, high: between these it is right. For what was measured, the spread over random starts.
        mistakes: other numbers that people give, each as (low, high, words).
        hint: the words for any other number.
    """

    low: float
    high: float
    mistakes: Sequence[tuple[float, float, str]]
    hint: str

    def wrong(self, answer: Any, generator: torch.Generator) -> str:
        values = [v for t in _values(answer).values() for v in t.flatten().tolist()] if not callable(answer) else []
        if callable(answer):
            raise Wrong("a number is asked, and this is a function; call it")
        if len(values) != 1:
            raise Wrong(f"one number is asked, and these are {len(values)}")
        (number,) = values
        if not math.isfinite(number):
            raise Wrong("this is NaN or infinite; what came before it?")
        if self.low <= number <= self.high:
            return ""
        for low, high, words in self.mistakes:
            if low <= number <= high:
                return words
        if self.low <= -number <= self.high:
            return "the sign is wrong"
        if self.low <= number / 100 <= self.high:
            return "this is in percent, and a share of 1 is asked"
        return self.hint


@dataclass(frozen=True)
class Choice(Exercise):
    """One of a few words is asked.

    Args:
        right: the right word.
        others: wrong word -> what speaks against it.
    """

    right: str
    others: Mapping[str, str]

    def wrong(self, answer: Any, generator: torch.Generator) -> str:
        if not isinstance(answer, str) or answer not in {self.right, *self.others}:
            raise Wrong(f"answer with one of {', '.join(map(repr, sorted({self.right, *self.others})))}")
        return self.others.get(answer, "")


def _in_general(given: Sequence[Values], expected: Sequence[Values]) -> str:
    """Words for what can go wrong anywhere; "" if it is none of it."""
    pairs = [(g[name], e[name]) for g, e in zip(given, expected, strict=True) for name in e]
    for one, right in pairs:
        if _shape(one) != _shape(right):
            return f"the result has {_shape(one)}, where {_shape(right)} is asked"
    if not all(one.isfinite().all() for one, _ in pairs):
        return NOT_FINITE
    dot = sum(float((one.flatten() * right.flatten()).sum()) for one, right in pairs)
    ratio = dot / sum(float(right.square().sum()) for _, right in pairs)
    if abs(ratio) > AGREE and _all_same(given, [{name: ratio * e for name, e in right.items()} for right in expected]):
        return SIGN if abs(ratio + 1) < AGREE else FACTOR.format("large" if abs(ratio) > 1 else "small")
    return ""


def _shape(values: Tensor) -> str:
    return "one number" if values.numel() == 1 else f"the shape {tuple(values.shape)}"


def _values(result: Any, expected: Values | None = None) -> Values:
    """What was given as float64 tensors by name, in the form of what is expected. Raises Wrong for another kind of thing."""
    if result is None:
        raise Wrong(NOTHING)
    if isinstance(result, Mapping):
        found = {str(name): numbers(value) for name, value in result.items()}
        if expected is not None and list(expected) == [""]:
            raise Wrong("a number or a tensor is asked, and this is a dict")
        if expected is not None and set(found) != set(expected):
            raise Wrong(
                "the names are not the ones that are asked" if "0" not in expected else "several numbers are asked, no dict"
            )
        return found
    several = isinstance(result, tuple) or (expected is not None and "0" in expected)
    if expected is not None and not several and list(expected) != [""]:
        raise Wrong(f"a dict is asked, name -> tensor, and this is a {type(result).__name__}")
    if not several or (expected is not None and list(expected) == [""]):
        return {"": numbers(result)}
    parts = list(result) if isinstance(result, (tuple, list)) else list(numbers(result).reshape(-1))
    if expected is not None and len(parts) != len(expected):
        raise Wrong(f"the result has to be {len(expected)} numbers, and these are {len(parts)}")
    return {str(place): numbers(part) for place, part in enumerate(parts)}


def numbers(value: Any) -> Tensor:
    """A number or tensor of any kind as float64. Raises Wrong for anything else."""
    if value is None:
        raise Wrong(NOTHING)
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError
        found = torch.as_tensor(value).detach().cpu()
        if found.is_complex() or found.dtype == torch.bool:
            raise TypeError
    except Exception:
        raise Wrong(f"a number or a tensor is asked, and this is a {type(value).__name__}") from None
    return found.to(torch.float64)


def _all_same(given: Sequence[Values], others: Sequence[Values]) -> bool:
    return all(_same(one, other) for one, other in zip(given, others, strict=True))


def _same(one: Values, other: Values) -> bool:
    return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether they agree; NaN agrees with NaN, for a mistake may make some, and a number with a tensor of one."""
    if one.numel() == other.numel() == 1:
        one, other = one.reshape(1), other.reshape(1)
    if one.shape != other.shape or not one.numel():
        return False  # nothing is never right
    size = other.nan_to_num(posinf=0.0, neginf=0.0).abs().max()
    return torch.allclose(one, other, rtol=AGREE, atol=float(AGREE * size) + 1e-12, equal_nan=True)


def _tensors(arguments: Any) -> Values:
    """All tensors in what a function was given, by where they are."""
    if isinstance(arguments, Tensor):
        return {"": arguments.detach().to(torch.float64)}
    if isinstance(arguments, nn.Module):
        arguments = arguments.state_dict()
    if isinstance(arguments, (tuple, list)):
        arguments = dict(enumerate(arguments))
    if not isinstance(arguments, Mapping):
        return {}
    return {f"{place}.{name}": t for place, inner in arguments.items() for name, t in _tensors(inner).items()}
