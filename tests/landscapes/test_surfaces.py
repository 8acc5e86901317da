"""Surfaces equal to plain evaluation, of any number of data sets; the model is given back; bad input."""

import math
from collections.abc import Callable

import pytest
import torch
from small_networks import BAD_DATA, KINDS, assert_given_back, assert_refused, task, tiny, weights
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.landscapes import Plane, loss_surface, plane_through, random_plane, surfaces, two_weight_losses

THROUGH = plane_through(*(weights(tiny(seed)) for seed in range(3)))
AXIS = torch.linspace(0, 1, 3)


def test_ties_are_judged_as_evaluate_judges_them():
    model = cl.two_weights()
    data = cl.two_weight_tasks(n=30)[0].train
    plane = Plane(*({"linear.weight": torch.tensor([w])} for w in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])))
    surface = loss_surface(model, plane, data, [0.0, 1.0], [0.0])
    assert surface.accuracy["data"][0, 0] == cl.evaluate(model, data).accuracy  # all logits 0
    exact = two_weight_losses(data, torch.tensor([0.0, 1.0]), torch.tensor([0.0]))
    torch.testing.assert_close(surface.loss["data"], exact.double())


def test_any_number_of_data_sets_in_one_call():
    model, a, b = tiny(), task(), task(n=20, name="B")
    xs, ys = torch.linspace(0, 1, 3), torch.linspace(0, 1, 2)
    together = loss_surface(model, THROUGH, [a, b], xs, ys)
    assert list(together.loss) == list(together.accuracy) == ["A", "B"] and together.loss["B"].shape == (2, 3)
    named = loss_surface(model, THROUGH, {"first": a, "second": b.train}, xs, ys)
    for name, other, alone in (("A", "first", a), ("B", "second", b)):
        torch.testing.assert_close(together.loss[name], loss_surface(model, THROUGH, alone, xs, ys).loss[name])
        torch.testing.assert_close(together.accuracy[name], named.accuracy[other])


def test_of_a_task_the_test_data_are_taken():
    mixed = cl.Task("A", task().train, task(n=20).test, classes=(0, 1, 2))
    for name, found in (("task", mixed), ("split", mixed.test)):
        surface = loss_surface(tiny(), THROUGH, {name: found}, [0.0], [0.0])
        assert surface.loss[name].item() == pytest.approx(cl.evaluate(tiny(), mixed.test).loss)


class Counting(nn.Linear):
    """Remembers how often it was called."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return super().forward(x)


def test_what_a_model_counts_is_given_back():
    model = nn.Sequential(Counting(4, 5), nn.Tanh(), nn.Linear(5, 3))
    loss_surface(model, random_plane(model), task(), AXIS, AXIS)
    assert model[0].passes == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_given_back_as_it_was(kind):
    assert_given_back(kind, lambda model, plane, task: loss_surface(model, plane, task, [0.0, 1.0], [0.0]))


# --- bad input


OTHER = tiny(hidden=6)
SURFACE = {"model": tiny(), "plane": THROUGH, "data": task(), "xs": AXIS, "ys": AXIS}
Case = tuple[str, Callable[[], object], str, str, str]  # what is wrong, the call; the message: argument, given, what works
TABLE: list[Case] = [
    ("plane of another model", lambda: loss_surface(**{**SURFACE, "model": OTHER}), "plane", r"\(5, 4\)", r"\(6, 4\)"),
    ("no plane", lambda: loss_surface(**{**SURFACE, "plane": THROUGH.origin}), "plane", "dict", "plane_through"),
    *[
        (f"{axis} {what}", lambda axis=axis, values=values: loss_surface(**{**SURFACE, axis: values}), axis, given, works)
        for axis in ("xs", "ys")
        for what, values, given, works in [
            ("of size 0", [], r"\(0,\)", "at least one number"),
            ("in two dimensions", torch.zeros(2, 2), r"\(2, 2\)", "one dimension"),
            ("with NaN", [0.0, math.nan], r"\[0.0, nan\]", "finite"),
            ("with infinity", [0.0, math.inf], "inf", "finite"),
            ("not increasing", [0.0, 1.0, 1.0], r"1.0, 1.0", "increasing"),
            ("falling", [1.0, 0.0], r"\[1.0, 0.0\]", "linspace"),
            ("of words", "ab", "str", "numbers"),
            ("a number", 3.0, "3.0", "numbers"),
            ("in two dimensions", [[0.0, 1.0]], r"\(1, 2\)", "one dimension"),
        ]
    ],
    *[
        (f"data {what}", lambda data=data: loss_surface(**{**SURFACE, "data": data}), argument, given, works)
        for what, data, argument, given, works in BAD_DATA
    ],
    ("no model", lambda: loss_surface(**{**SURFACE, "model": torch.sin}), "model", "builtin_function", "torch.nn.Module"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "argument", "given", "works"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_is_refused_before_any_work(call, argument, given, works, monkeypatch):
    def work(*args: object, **options: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr(surfaces, "table", work)
    assert_refused(call, argument, given, works, SURFACE["model"], OTHER)


TABLE_23, NO_GRID = torch.zeros(2, 3), torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [
        ({"A": TABLE_23, "B": NO_GRID}, {"A": TABLE_23, "B": TABLE_23}),  # one of four
        ({"A": TABLE_23}, {"A": NO_GRID}),
        ({"A": TABLE_23}, {"B": TABLE_23}),
        ({"A": TABLE_23, "B": TABLE_23}, {"A": TABLE_23}),
    ],
)
def test_tables_that_are_not_of_the_grid_or_of_other_names_are_refused(loss, accuracy):
    with pytest.raises(ValueError, match=r"same names and the shape \(2, 3\) of the grid"):
        surfaces.Surface(torch.arange(3), torch.arange(2), loss, accuracy)


@pytest.mark.parametrize(
    ("x", "y"), [(torch.zeros(3, 3), [0, 1, 0]), (torch.zeros(3, 1, 2), [0, 1, 0]), (torch.zeros(3, 2), [0, 2, 0])]
)
def test_two_weights_take_two_features_and_two_labels(x, y):
    with pytest.raises(ValueError, match=r"data must hold inputs \(N, 2\) with labels 0 or 1"):
        two_weight_losses(cl.Split(x, torch.tensor(y)), AXIS, AXIS)


def test_one_number_along_an_axis_is_enough_and_any_numbers_will_do():
    surface = loss_surface(tiny(), THROUGH, task(), [1], torch.tensor([0, 2]))
    assert surface.xs.tolist() == [1] and surface.ys.tolist() == [0, 2] and surface.loss["A"].shape == (2, 1)
    again = loss_surface(tiny(), THROUGH, task(), [1.0], [0.0, 2.0])
    torch.testing.assert_close(surface.loss["A"], again.loss["A"])


def test_coordinates_are_float64_and_surfaces_equal_to_themselves_only():
    one, other = (loss_surface(tiny(), THROUGH, task(), [0, 1], AXIS.float()) for _ in range(2))
    assert {t.dtype for t in (one.xs, one.ys, *one.loss.values(), *one.accuracy.values())} == {torch.float64}
    assert one == one and one != other and len({one, other}) == 2
    with pytest.raises(AttributeError):
        one.xs = other.xs
