"""The judge: the first way that agrees with the plain one, name by name; a wrong way never."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cl_teach.fast.agree import agree, judge, two_of

PLAIN = {"a": torch.tensor([1.0, 2.0]).double(), "b": torch.tensor([[3.0]]).double(), "c": torch.zeros(2).double()}
Way = Callable[[Sequence[str]], Mapping[str, Tensor]]


def finds(**changes: Any) -> Way:
    """A way that finds the right thing but for ``changes``; None: it does not find that at all."""
    found = {name: changes.get(name, t) for name, t in PLAIN.items()}
    return lambda names: {name: t for name, t in found.items() if t is not None}


def fails(error: Exception) -> Way:
    def way(names: Sequence[str]) -> Mapping[str, Tensor]:
        raise error

    return way


def test_the_first_way_that_agrees_is_taken_for_each_name() -> None:
    ways = {"quickest": finds(a=PLAIN["a"] + 1, c=None), "quick": finds(b=PLAIN["b"] + 1), "slow": finds()}
    assert judge(PLAIN, ways, torch.float64) == {"a": "quick", "b": "quickest", "c": "quick"}
    assert judge(PLAIN, {"all": finds(), "more": finds()}, torch.float64) == dict.fromkeys(PLAIN, "all")


@pytest.mark.parametrize("error", [NotImplementedError(), RuntimeError("CUDA out of memory"), KeyError("a"), IndexError()])
def test_a_way_that_raises_is_skipped(error: Exception) -> None:
    assert judge(PLAIN, {"broken": fails(error), "right": finds()}, torch.float64) == dict.fromkeys(PLAIN, "right")
    assert judge(PLAIN, {"broken": fails(error)}, torch.float64) == {}


def test_an_interruption_is_not_a_way_that_failed() -> None:
    def interrupted(names: Sequence[str]) -> Mapping[str, Tensor]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(PLAIN, {"first": interrupted, "second": finds()}, torch.float64)


def test_each_way_is_asked_only_for_what_is_still_open_and_none_when_all_is_found() -> None:
    asked: dict[str, list[str]] = {}

    def noting(name: str, way: Way) -> Way:
        def noted(names: Sequence[str]) -> Mapping[str, Tensor]:
            asked[name] = list(names)
            return way(names)

        return noted

    ways = {"first": noting("first", finds(b=None)), "second": noting("second", finds()), "third": noting("third", finds())}
    judge(PLAIN, ways, torch.float64)
    assert asked == {"first": ["a", "b", "c"], "second": ["b"]}


WRONG: dict[str, Tensor] = {
    "a factor": PLAIN["a"] * 1.01,
    "the sign": -PLAIN["a"],
    "zero": torch.zeros(2).double(),
    "the other order": PLAIN["a"].flip(0),
    "another shape": PLAIN["a"][:, None],
    "of one number": PLAIN["a"][:1],
    "a number for all": torch.tensor(1.5).double(),
    "NaN": PLAIN["a"] * math.nan,
    "NaN in one": torch.tensor([1.0, math.nan]).double(),
    "infinity": torch.tensor([1.0, math.inf]).double(),
    "twice as many": PLAIN["a"].repeat(2),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_wrong_way_is_never_chosen(what: str, dtype: torch.dtype) -> None:
    ways = {"wrong": finds(a=WRONG[what].to(dtype)), "right": finds()}
    assert judge({n: t.to(dtype) for n, t in PLAIN.items()}, ways, dtype) == {"a": "right", "b": "wrong", "c": "wrong"}


def test_what_no_way_finds_is_left_out() -> None:
    assert judge(PLAIN, {"some": finds(a=None, c=torch.ones(2))}, torch.float64) == {"b": "some"}
    assert judge(PLAIN, {"nothing": lambda names: {}}, torch.float64) == {}
    assert judge(PLAIN, {}, torch.float64) == {} and judge({}, {"any": finds()}, torch.float64) == {}
    assert judge({"a": PLAIN["a"]}, {"too much": finds()}, torch.float64) == {"a": "too much"}


@pytest.mark.parametrize(("dtype", "same", "other"), [
    (torch.float64, 1e-10, 1e-7),
    (torch.float32, 1e-5, 1e-2),
    (torch.bfloat16, 1e-2, 0.5),
    (torch.float16, 1e-2, 0.5),
])  # fmt: skip
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_rounding_of_the_type_is_allowed_and_no_more(dtype, same, other, scale, seed):
    b, noise = scale * torch.randn(2, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    noise *= b.norm() / noise.norm()
    assert agree(b + same * noise, b, dtype)
    assert not agree(b + other * noise, b, dtype)


def test_what_is_tiny_beside_the_largest_may_be_rounding_of_it() -> None:
    zero, rounding = torch.zeros(2), torch.full((2,), 1e-6)
    assert not agree(rounding, zero, torch.float32) and agree(rounding, zero, torch.float32, largest=100.0)
    plain = {"large": torch.full((2,), 100.0), "nothing": zero}
    assert judge(plain, {"way": lambda names: {**plain, "nothing": rounding}}, torch.float32) == dict.fromkeys(plain, "way")


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("a", "b", "same"), [
    ([1.0, -INF], [1.0, -INF], True),  # a class that is switched off
    ([-INF, -INF], [-INF, -INF], True),
    ([1.0, NAN], [1.0, NAN], True),
    ([1.0, -INF], [2.0, -INF], False),
    ([1.0, INF], [1.0, -INF], False),
    ([1.0, 0.0], [1.0, -INF], False),
    ([1.0, -INF], [1.0, 0.0], False),
    ([1.0, NAN], [1.0, 0.0], False),
    ([1.0, 0.0], [1.0, NAN], False),
    ([1.0, NAN], [1.0, -INF], False),
    ([-INF, 1.0], [1.0, -INF], False),
    ([3e38, 1.0], [3e38, 1.0], True),  # finite, but its square is not
    ([3e38, 1.0], [-3e38, 1.0], False),
    ([3e38, 1.0], [2e38, 1.0], False),
    ([1e200, 1.0], [-1e200, 1.0], False),
])  # fmt: skip
def test_infinities_and_nan_agree_with_themselves_in_the_same_place(a, b, same, dtype):
    assert agree(torch.tensor(a, dtype=dtype), torch.tensor(b, dtype=dtype), dtype) is same


def test_an_infinity_in_one_thing_does_not_excuse_another() -> None:
    for odd in (INF, -INF, NAN):
        plain = {"odd": torch.tensor([1.0, odd]), "even": torch.tensor([1.0, 2.0])}
        wrong = {**plain, "even": torch.tensor([2.0, 1.0])}
        assert judge(plain, {"wrong": lambda names, wrong=wrong: wrong}, torch.float32) == {"odd": "wrong"}


def test_the_samples_that_are_judged_by_are_the_first_and_the_last() -> None:
    assert two_of(torch.arange(5)).tolist() == [0, 4] and two_of(torch.arange(2)).tolist() == [0, 1]
    assert two_of(torch.arange(1)).tolist() == [0] and two_of(torch.zeros(7, 3)).shape == (2, 3)


@pytest.mark.parametrize(("found", "chosen"), [(1.105, False), (1.095, True), (0.905, True), (0.895, False)])
def test_a_gap_is_judged_by_the_size_of_what_the_plain_way_found(found: float, chosen: bool) -> None:
    plain = {"a": torch.ones(1, dtype=torch.bfloat16).double()}  # of half precision a tenth is allowed
    ways = {"quick": lambda names: {"a": torch.tensor([found]).double()}}
    assert judge(plain, ways, torch.bfloat16) == ({"a": "quick"} if chosen else {})
