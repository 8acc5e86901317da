"""Lines: what is measured, quadratics from the Fisher, curvature in a plane; the model is given back; bad input."""

from collections.abc import Callable

import pytest
import torch
from small_networks import BAD_DATA, KINDS, assert_given_back, assert_refused, flat, task, tiny, weights, with_nan
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.landscapes import Plane, interpolate, lines, plane_curvature, plane_through

SOLUTIONS = [weights(tiny(seed)) for seed in range(3)]
THROUGH = plane_through(*SOLUTIONS)
AXIS = torch.linspace(0, 1, 3)


@pytest.mark.parametrize("labels", [(0, 1, 2), (0, 2)])
def test_curvature_is_the_fisher_at_the_origin_seen_from_the_plane(labels):
    model, data = tiny(seed=7), task(labels=labels)
    at = tiny()
    at.load_state_dict(THROUGH.origin)
    u = torch.stack([flat(THROUGH.first), flat(THROUGH.second)])
    whole = cl.full_fisher(at, data)
    torch.testing.assert_close(plane_curvature(model, THROUGH, data), u @ whole @ u.T)
    torch.testing.assert_close(plane_curvature(model, THROUGH, data, full=False), (u * whole.diagonal()) @ u.T)


def test_the_line_measures_and_predicts():
    model, a, b = tiny(), SOLUTIONS[0], SOLUTIONS[1]
    data = task(labels=(0, 2))
    line = interpolate(model, a, b, {"x": data, "y": data.train}, n=5)
    step = flat(b) - flat(a)
    assert line.t.tolist() == [0, 0.25, 0.5, 0.75, 1] and line.distance == pytest.approx(float(step.norm()))
    for i, t in enumerate(line.t.tolist()):
        model.load_state_dict({name: torch.lerp(a[name], b[name], t) for name in a})
        for name, part in (("x", data), ("y", data.train)):
            found = cl.evaluate(model, part)
            assert line.loss[name][i] == pytest.approx(found.loss) and line.accuracy[name][i] == found.accuracy
    model.load_state_dict(a)
    whole = cl.full_fisher(model, data)
    torch.testing.assert_close(line.full["x"], line.t**2 / 2 * (step @ whole @ step))
    torch.testing.assert_close(line.diagonal["x"], line.t**2 / 2 * (step.square() @ whole.diagonal()))
    assert line.full["y"][-1] != line.full["x"][-1]  # three outputs against two
    for name, classes in (("x", [0, 2]), ("y", [0, 1, 2])):
        model.zero_grad()
        y = torch.tensor([classes.index(label) for label in data.train.y.tolist()])
        nn.functional.cross_entropy(model(data.train.x)[:, classes], y).backward()
        g = torch.cat([p.grad.flatten() for p in model.parameters()])
        torch.testing.assert_close(line.slope[name], line.t * (step @ g))


def test_the_rises_of_a_line_are_the_true_one_and_what_was_predicted():
    line = interpolate(tiny(), *SOLUTIONS[:2], task(), n=4)
    rises = line.rises("A")
    assert list(rises) == ["true rise", "gradient term", "gradient + whole Fisher", "whole Fisher", "diagonal"]
    torch.testing.assert_close(rises["true rise"], line.loss["A"] - line.loss["A"][0])
    assert rises["gradient term"] is line.slope["A"] and rises["diagonal"] is line.diagonal["A"]
    assert rises["whole Fisher"] is line.full["A"]
    torch.testing.assert_close(rises["gradient + whole Fisher"], line.slope["A"] + line.full["A"])
    with pytest.raises(ValueError, match="name must be one of 'A', got 'B'"):
        line.rises("B")


def test_the_gradient_term_is_the_tangent_of_the_loss():
    model, step = tiny(), {name: 1e-4 * t for name, t in weights(tiny(1)).items()}
    a = SOLUTIONS[2]
    line = interpolate(model, a, {name: t + step[name] for name, t in a.items()}, task(n=2_500), n=2)  # several batches
    rises = line.rises("A")
    assert float(rises["gradient term"][-1]) == pytest.approx(float(rises["true rise"][-1]), rel=1e-3)


class Frozen(nn.Module):
    """Batch norm and dropout on the way, a first layer that training does not move, and a last one that nothing uses."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Linear(4, 5).requires_grad_(False)
        self.norm, self.drop, self.last, self.idle = nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3), nn.Linear(2, 2)
        self.norm.running_mean.copy_(torch.rand(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.norm(self.first(x)).tanh()))


def test_the_gradient_term_is_that_of_eval_mode_and_of_the_weights_that_move():
    model, data = Frozen(0).double(), task()
    a, b = weights(model), weights(Frozen(1).double())
    line = interpolate(model, a, b, data, n=2)
    model.eval()
    nn.functional.cross_entropy(model(data.test.x), data.test.y).backward()
    moved = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    wanted = sum(float(((b[name] - a[name]) * g).sum()) for name, g in moved.items())
    assert {name.split(".")[0] for name in moved} == {"norm", "last"}
    assert float(line.slope["A"][-1]) == pytest.approx(wanted, rel=1e-6)


def test_a_line_measures_and_predicts_on_test_data_and_a_plane_s_curvature_is_that_of_training_data():
    mixed, model = cl.Task("A", task().train, task(n=20).test, classes=(0, 1, 2)), tiny()
    line = interpolate(model, *SOLUTIONS[:2], {"task": mixed, "test": mixed.test, "train": mixed.train}, n=2)
    for what in (line.loss, line.slope, line.diagonal, line.full):
        torch.testing.assert_close(what["task"], what["test"])
        assert what["task"][-1] != what["train"][-1]
    for full in (True, False):
        found, test, train = (plane_curvature(model, THROUGH, d, full=full) for d in (mixed, mixed.test, mixed.train))
        torch.testing.assert_close(found, train)
        assert (found - test).norm() > 1e-3 * found.norm()


def test_near_a_minimum_the_full_fisher_predicts_the_rise():
    data = cl.two_weight_tasks(n=200)[0].train
    model = cl.two_weights().double()
    cl.train(model, data, epochs=300, lr=0.5, batch_size=200, progress=False)
    a = weights(model)
    for direction in ([0.02, 0.01], [-0.004, 0.02]):
        line = interpolate(model, a, {name: t + torch.tensor([direction]) for name, t in a.items()}, data, n=2)
        rise = line.loss["data"] - line.loss["data"][0]
        assert float(line.full["data"][-1]) == pytest.approx(float(rise[-1]), rel=0.02)


class Bags(nn.Module):
    """What has derivatives neither in forward mode nor twice: numbers are looked up by where they lie."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.bag, self.out = nn.EmbeddingBag(7, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.bag((x * 3).abs().long() % 7).tanh())


class Recurrent(nn.Module):
    """In float32 torch's own LSTM has no derivatives in forward mode."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.lstm, self.out = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(x[:, None])[0][:, -1])


@pytest.mark.parametrize("kind", [Bags, Recurrent])
def test_the_whole_fisher_predicts_for_networks_without_forward_mode_too(kind):
    a, b, data = kind(0), kind(1), task()
    step = flat(weights(b)) - flat(weights(a))
    wanted = float(step @ cl.full_fisher(a, data).double() @ step)
    line = interpolate(a, a, b, data, n=2)
    assert float(line.full["A"][-1]) == pytest.approx(wanted / 2, rel=1e-4)
    nn.functional.cross_entropy(a(data.test.x.float()), data.test.y).backward()
    g = flat({name: p.grad for name, p in a.named_parameters()})
    assert float(line.slope["A"][-1]) == pytest.approx(float(g @ step), rel=1e-4)
    plane = plane_through(a, b, kind(2))
    found = plane_curvature(a, plane, data)
    assert float(found[0, 0]) == pytest.approx(wanted / float(step.square().sum()), rel=1e-4)


@pytest.mark.parametrize("outside", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_lines_and_curvature_are_the_same_inside_inference_mode_and_autocast(outside):
    model = tiny().float()
    a, b = (weights(tiny(seed).float()) for seed in range(2))
    wanted, curvature = interpolate(model, a, b, task(), n=3), plane_curvature(model, THROUGH, task())
    with outside():
        a, b = ({name: t.clone() for name, t in each.items()} for each in (a, b))
        line, found = interpolate(model, a, b, task(), n=3), plane_curvature(model, THROUGH, task())
    for what in ("loss", "accuracy", "slope", "diagonal", "full"):
        torch.testing.assert_close(getattr(line, what), getattr(wanted, what), rtol=1e-6, atol=0)
    torch.testing.assert_close(found, curvature, rtol=1e-6, atol=1e-12)


USERS: dict[str, Callable[[nn.Module, Plane, cl.Task], object]] = {
    "interpolate": lambda model, plane, task: interpolate(model, plane.origin, plane.point(1, 1), task, n=3),
    "full curvature": lambda model, plane, task: plane_curvature(model, plane, task),
    "diagonal curvature": lambda model, plane, task: plane_curvature(model, plane, task, full=False),
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_given_back_as_it_was(user, kind):
    assert_given_back(kind, USERS[user])


# --- bad input


A, B, C = SOLUTIONS
OTHER = tiny(hidden=6)
WIDE = task(shape=(7,))
LINE = {"model": tiny(), "a": A, "b": B, "data": task()}
CURVATURE = {"model": tiny(), "plane": THROUGH, "data": task()}
Case = tuple[str, Callable[[], object], str, str, str]  # what is wrong, the call; the message: argument, given, what works
TABLE: list[Case] = [
    ("plane of another model", lambda: plane_curvature(**{**CURVATURE, "model": OTHER}), "plane", r"\(5, 4\)", r"\(6, 4\)"),
    ("no plane", lambda: plane_curvature(**{**CURVATURE, "plane": A}), "plane", "dict", "plane_through"),
    ("architecture: interpolate", lambda: interpolate(**{**LINE, "b": OTHER}), "b", r"\(6, 4\)", r"\(5, 4\)"),
    ("NaN: interpolate", lambda: interpolate(**{**LINE, "a": with_nan(A)}), "a", "NaN", "finite"),
    ("one point: interpolate", lambda: interpolate(**LINE, n=1), "n", "1", "at least 2"),
    *[
        (f"data {what}", lambda data=data: interpolate(**{**LINE, "data": data}), argument, given, works)
        for what, data, argument, given, works in BAD_DATA
    ],
    ("no model", lambda: interpolate(**{**LINE, "model": torch.sin}), "model", "builtin_function", "torch.nn.Module"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "argument", "given", "works"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_is_refused_before_any_work(call, argument, given, works, monkeypatch):
    def work(*args: object, **options: object) -> None:
        raise AssertionError("work was begun")

    for name in ("table", "_slope", "diagonal_fisher", "restricted_fisher"):
        monkeypatch.setattr(lines, name, work)
    assert_refused(call, argument, given, works, LINE["model"], CURVATURE["model"], OTHER)


@pytest.mark.parametrize("full", [False, True])
def test_curvature_passes_on_what_the_fisher_says_of_data_that_do_not_fit(full):
    def call() -> object:
        return plane_curvature(**{**CURVATURE, "data": WIDE}, full=full)

    assert_refused(call, "model", r"\(12, 7\)", "4x5", CURVATURE["model"])
