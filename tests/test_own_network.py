"""A network of one's own: batch norm, wrappers, loaders, optimisers, heads that grow. Nothing may be silently wrong."""

import copy
import math
import os
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import cl_teach as cl
from cl_teach import _progress
from cl_teach._optimiser import adam_sizes
from cl_teach.fisher import plain_fisher
from cl_teach.penalties import proximal_factor


def make(seed: int = 0, **options: Any) -> nn.Sequential:
    return cl.mlp((6,), n_inputs=4, n_classes=3, seed=seed, device="cpu", **options)


def blobs(shift: float = 0.0, n: int = 60, seed: int = 0) -> cl.Task:
    """Three classes around three corners, all of them moved by ``shift``."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for _ in range(2):
        y = torch.arange(n) % 3
        x = 2.0 * torch.eye(4)[y] + 0.5 * torch.randn(n, 4, generator=generator) + shift
        parts.append(cl.Split(x, y))
    return cl.Task(f"shift {shift:g}", *parts, classes=(0, 1, 2))


def normed() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(one: nn.Module, other: nn.Module, **tolerance: float) -> None:
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=lambda text, name=name: f"{name}: {text}", **tolerance)


# --- batch norm


def after_two_tasks(statistics: str, strength: float = 1e9) -> tuple[nn.Module, float, float, dict[str, Tensor]]:
    """A network that learnt A and then, held by an all but infinite strength, B; its accuracies on A; statistics after A."""
    model, a, b, penalty = normed(), blobs(), blobs(shift=5.0), cl.EWC()
    cl.train(model, a, epochs=20)
    penalty.consolidate(model, a)
    before, averages = cl.evaluate(model, a).accuracy, {name: t.clone() for name, t in model.named_buffers()}
    cl.train(model, b, penalty=penalty, strength=strength, epochs=20, statistics=statistics)
    return model, before, cl.evaluate(model, a).accuracy, averages


def test_running_statistics_stay_while_a_penalty_is_in_force() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, before, after, averages = after_two_tasks("held")
    assert before > 0.9 and after == before
    for name, t in model.named_buffers():
        assert torch.equal(t, averages[name]), name
    assert all(module.training for module in model.modules())


def test_statistics_may_move_with_a_warning_and_then_the_first_task_is_lost_though_no_weight_moves() -> None:
    with pytest.warns(RuntimeWarning, match=r"the running statistics of 1 \(1 such layers\) move with the new task"):
        model, before, after, averages = after_two_tasks("moving")
    assert before > 0.9 and after < 0.6
    with torch.no_grad():
        for name, t in model.named_buffers():
            t.copy_(averages[name])
    assert cl.evaluate(model, blobs()).accuracy == before


def test_statistics_move_where_nothing_is_held() -> None:
    """With no penalty, a fresh one, or strength 0: the same as plain training."""
    for options in ({}, {"penalty": cl.EWC()}, {"penalty": cl.EWC(), "strength": 0.0}):
        model, plain, task = normed(), normed(), blobs(shift=1.0)
        if "strength" in options:
            options["penalty"].consolidate(model, task)
        cl.train(model, task, **options)
        cl.train(plain, task)
        assert torch.equal(model[1].running_mean, plain[1].running_mean) and model[1].running_mean.abs().max() > 0.1
        same(model, plain)


def test_the_rest_of_the_network_is_in_train_mode_while_statistics_are_held() -> None:
    model, task, penalty = normed(), blobs(), cl.EWC()
    penalty.consolidate(model, task)
    seen: list[tuple[bool, bool]] = []
    model[3].register_forward_hook(lambda m, args, out: seen.append((model[1].training, m.training)))
    cl.train(model, task, penalty=penalty, epochs=1, batch_size=60)
    assert (False, True) in seen and (True, True) not in seen


def test_a_sweep_passes_on_what_becomes_of_the_statistics() -> None:
    a, b, found = blobs(), blobs(shift=5.0), {}
    for statistics in ("held", "moving"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            options = {"methods": ["EWC"], "strengths": [1e9], "epochs": 20, "progress": False, "statistics": statistics}
            sweep = cl.sweep(normed(), a, b, **options)
        found[statistics] = sweep.starts[0].a.accuracy - sweep["EWC", 1e9, 0].a.accuracy
    assert found["held"] == 0.0 and found["moving"] > 0.3


def test_a_loop_of_one_s_own_is_warned_once() -> None:
    model, task, penalty = normed(), blobs(), cl.EWC()
    penalty.consolidate(model, task)
    uses: list[Callable[[], object]] = [
        lambda: penalty(model), lambda: penalty.add_gradient(model, 1.0), lambda: penalty.proximal_step(model, 1.0)
    ]  # fmt: skip
    for use in uses:
        penalty._warned = False
        model.train()
        with pytest.warns(RuntimeWarning, match="no penalty holds them") as caught:
            use()
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            use()  # once
            penalty._warned = False
            model[1].eval()
            use()  # nothing moves


def test_a_batch_of_one_is_no_trouble_for_batch_norm_that_is_held() -> None:
    model, task, penalty = normed(), blobs(n=61), cl.EWC()
    with pytest.raises(ValueError, match=r"batch_size must not leave a batch of one to batch norm, got 60 for 61 samples"):
        cl.train(model, task, batch_size=60)
    with pytest.raises(ValueError, match=r"batch_size must not leave a batch of one to batch norm, got 60 for 61 samples"):
        cl.train(model, DataLoader(TensorDataset(task.train.x, task.train.y), batch_size=60))
    penalty.consolidate(model, task)
    assert len(cl.train(model, task, penalty=penalty, batch_size=60, epochs=1).loss) == 2
    loader = DataLoader(TensorDataset(task.train.x, task.train.y), batch_size=60, drop_last=True)
    assert len(cl.train(model, loader, epochs=1).loss) == 1


# --- NaN, and numbers that no penalty has


def spoilt(value: float) -> nn.Module:
    model = make()
    with torch.no_grad():
        model[1].weight[2, 1] = value
    return model


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "use",
    [
        lambda m, t: cl.evaluate(m, t),
        lambda m, t: cl.train(m, t),
        lambda m, t: cl.learn(m, [t, t]),
        lambda m, t: cl.EWC().consolidate(m, t),
        lambda m, t: cl.L2().consolidate(m, t),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_name(use: Callable[[nn.Module, cl.Task], object], value: float) -> None:
    model = spoilt(value)
    with pytest.raises(ValueError, match=r"^model must have finite weights, got .* in 1 of the 24 values of 1.weight"):
        use(model, blobs())
    broken = normed()
    broken[1].running_var[0] = value
    with pytest.raises(ValueError, match=r"^model must have finite weights, .* 1 of the 8 values of 1.running_var"):
        use(broken, blobs())


def test_a_sequence_that_diverges_is_measured_to_the_end() -> None:
    model, penalty = make(), cl.EWC()
    with pytest.warns(RuntimeWarning, match="diverged|survives"):
        run = cl.learn(model, [blobs(), blobs(2.0)], penalty, strength=1e30, step="gradient", epochs=3, every=1)
    assert run.histories[-1].diverged and math.isnan(run.loss[1, 0]) and 0 <= run.accuracy[1, 0] <= 1


BAD_NUMBERS = [math.nan, math.inf, -1.0, "1", None]


@pytest.mark.parametrize("value", BAD_NUMBERS)
@pytest.mark.parametrize("consolidated", [False, True])
def test_the_methods_for_a_loop_of_one_s_own_refuse_what_would_destroy_the_model(value: Any, consolidated: bool) -> None:
    model, task, penalty = make(), blobs(), cl.EWC()
    if consolidated:
        penalty.consolidate(model, task)
    cl.train(model, task, epochs=1)
    before = weights(model)
    with pytest.raises((ValueError, TypeError), match=r"^c must be a "):
        penalty.proximal_step(model, value)
    with pytest.raises((ValueError, TypeError), match=r"^c must be a "):
        penalty.proximal_step(model, {"1.weight": 1.0, "1.bias": value})
    with pytest.raises((ValueError, TypeError), match=r"^strength must be a "):
        penalty.add_gradient(model, value)
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())


@pytest.mark.parametrize(
    ("entry", "name", "value", "message"),
    [
        ("precision", "1.bias", math.nan, r"^state\['precision'\] must be finite and at least 0, got nan in 1.bias"),
        ("precision", "1.bias", -1.0, r"^state\['precision'\] must be finite and at least 0, got -1.0 in 1.bias"),
        ("anchor", "3.weight", math.inf, r"^state\['anchor'\] must be finite, got inf in 3.weight"),
        ("constant", None, math.nan, r"^state\['constant'\] must be a finite number"),
        ("constant", None, -1.0, r"^state\['constant'\] must be a finite number, at least 0"),
        ("n_tasks", None, -1, r"^state\['n_tasks'\] must be at least 0"),
        ("n_tasks", None, 1.5, r"^state\['n_tasks'\] must be a whole number"),
        ("anchor", None, {"1.bias": 3.0}, r"^state\['anchor'\] must be a dict of tensors"),
        ("precision", None, [1.0], r"^state\['precision'\] must be a dict of tensors"),
    ],
)
def test_a_state_that_no_penalty_has_is_refused_and_the_penalty_stays(entry: str, name: Any, value: Any, message: str) -> None:
    model, penalty, fresh = make(), cl.EWC(), cl.EWC()
    penalty.consolidate(model, blobs())
    state = penalty.state_dict()
    if name is None:
        state[entry] = value
    else:
        state[entry][name][1] = value
    with pytest.raises((ValueError, TypeError), match=message):
        fresh.load_state_dict(state)
    assert fresh.n_tasks == 0 and not fresh.precision and not fresh.anchor and fresh.constant == 0.0


class Odd(cl.Penalty):
    """A penalty of a user's, who made a mistake."""

    def __init__(self, change: Callable[[dict[str, Tensor]], None]) -> None:
        super().__init__()
        self.change = change

    def importance(self, model: nn.Module, data: Any, classes: Any) -> dict[str, Tensor]:
        found = {name: torch.ones_like(p) for name, p in model.named_parameters()}
        self.change(found)
        return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["1.bias"].fill_(math.nan), "importance must be finite and at least 0, got nan in 1.bias"),
        (lambda f: f["1.bias"].fill_(-2.0), "importance must be finite and at least 0, got -2.0 in 1.bias"),
        (lambda f: f.update(other=torch.ones(2)), r"importance must have the names .* got other \(2,\): no such parameter"),
        (lambda f: f.update({"1.bias": torch.ones(2)}), r"got 1.bias \(2,\): shape \(6,\)"),
        (lambda f: f.update({"1.bias": 1.0}), "importance must be a dict of tensors"),
    ],
)
def test_an_importance_that_no_penalty_has_is_refused(change: Callable[[dict[str, Tensor]], None], message: str) -> None:
    penalty = Odd(change)
    with pytest.raises((ValueError, TypeError), match=message):
        penalty.consolidate(make(), blobs())
    assert penalty.n_tasks == 0 and not penalty.precision and not penalty.anchor


def test_a_penalty_without_an_importance_says_what_to_take() -> None:
    with pytest.raises(NotImplementedError, match=r"Penalty has no importance; take EWC\(\), L2\(\) or a subclass"):
        cl.Penalty().consolidate(make(), blobs())


def test_decay_may_be_one_but_not_more() -> None:
    assert cl.OnlineEWC(decay=1.0).decay == 1.0
    with pytest.raises(ValueError, match=r"decay must be a finite number, at least 0 and at most 1, got 1.01"):
        cl.OnlineEWC(decay=1.01)


# --- networks that are wrapped, and modes of torch


def parallel(model: nn.Module) -> nn.Module:
    return nn.DataParallel(model)


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")  # type: ignore[return-value]


@pytest.mark.parametrize("wrap", [parallel, compiled, lambda m: parallel(compiled(m))])
@pytest.mark.parametrize("penalty", [cl.EWC, cl.L2, cl.SI, cl.MAS])
def test_a_wrapped_network_is_the_network_inside(
    wrap: Callable[[nn.Module], nn.Module], penalty: Callable[[], cl.Penalty]
) -> None:
    """Trained, consolidated, tested and kept the same, and a penalty serves both."""
    a, b = blobs(), blobs(shift=1.0)
    inside, plain = make(), make()
    wrapped, ours, theirs = wrap(inside), penalty(), penalty()
    plain.to(next(inside.parameters()).device)  # DataParallel goes to CUDA where there is one
    histories = []
    for model, held in ((wrapped, ours), (plain, theirs)):
        cl.train(model, a, penalty=held, epochs=3)
        held.consolidate(model, a)
        histories.append(cl.train(model, b, penalty=held, strength=3.0, epochs=2, watch={"A": a}, keep_weights=True))
    same(inside, plain)
    assert list(ours.anchor) == list(theirs.anchor) == [name for name, _ in plain.named_parameters()]
    for name, p in theirs.precision.items():
        torch.testing.assert_close(ours.precision[name], p)
    assert list(histories[0].weights[-1]) == list(histories[1].weights[-1])
    assert histories[0].accuracy("A") == histories[1].accuracy("A")
    assert cl.evaluate(wrapped, b) == cl.evaluate(plain, b)
    assert float(ours(wrapped)) == pytest.approx(float(theirs(plain))) == pytest.approx(float(ours(inside)))
    ours.proximal_step(inside, 2.0)
    theirs.proximal_step(plain, 2.0)
    same(inside, plain)


def test_a_parameter_that_is_absent_is_missing_also_in_a_wrapped_network() -> None:
    penalty = cl.EWC()
    penalty.consolidate(make(), blobs())
    with pytest.raises(ValueError, match=r"penalty was consolidated on another model: 1.weight is missing"):
        penalty.proximal_step(parallel(nn.Linear(4, 3)), 1.0)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_training_and_testing_do_not_depend_on_the_mode_they_are_called_in(mode: Callable[[], Any]) -> None:
    a, b = blobs(), blobs(shift=1.0)
    results = []
    for around in (torch.enable_grad, mode):
        model, penalty = make(), cl.EWC()
        with around():
            found = [cl.Split(part.x + 0, part.y + 0) for part in (a.train, b.train)]  # made in that mode
            cl.train(model, found[0], penalty=penalty)
            penalty.consolidate(model, found[0])
            cl.train(model, found[1], penalty=penalty, step="gradient", strength=0.5)
            results.append((weights(model), penalty.precision, cl.evaluate(model, b), float(penalty(model).detach())))
    for kept in range(2):
        for name, t in results[0][kept].items():
            torch.testing.assert_close(results[1][kept][name], t, msg=name)
    assert results[0][2:] == results[1][2:]
    assert float(results[0][1]["1.weight"].max()) > 0


def test_a_network_made_in_inference_mode_cannot_learn() -> None:
    with torch.inference_mode():
        model = make()
    with pytest.raises(ValueError, match=r"^model must be made outside torch.inference_mode to have derivatives"):
        cl.train(model, blobs())
    with pytest.raises(ValueError, match=r"^model must be made outside torch.inference_mode to have derivatives"):
        cl.EWC().consolidate(model, blobs())
    assert 0 <= cl.evaluate(model, blobs()).accuracy <= 1


# --- loaders


def loader(task: cl.Task, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(task.train.x, task.train.y), batch_size=16, **options)


def test_training_on_a_loader_is_the_loop_one_would_write() -> None:
    a, b = blobs(), blobs(shift=1.0)
    model, penalty = make(), cl.EWC()
    cl.train(model, a)
    penalty.consolidate(model, a)
    twin = copy.deepcopy(model)
    order = {"shuffle": True}
    history = cl.train(
        model, loader(b, **order, generator=torch.Generator().manual_seed(3)), penalty=penalty, strength=2.0, epochs=3, lr=0.1
    )
    stepper, batches = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9), loader(b, **order)
    batches = loader(b, **order, generator=torch.Generator().manual_seed(3))
    for _ in range(3):
        for x, y in batches:
            stepper.zero_grad()
            cross_entropy(twin(x), y).backward()
            stepper.step()
            penalty.proximal_step(twin, 0.1 * 2.0 / (1 - 0.9))
    same(model, twin)
    assert len(history.loss) == 3 * 4 == history.steps[-1]


def test_a_loader_without_a_generator_is_read_in_an_order_that_the_seed_decides() -> None:
    found = []
    for seed in (0, 0, 1):
        model = make()
        cl.train(model, loader(blobs(), shuffle=True), seed=seed)
        found.append(model[1].weight.detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_evaluation_on_a_loader_is_that_on_all_its_samples() -> None:
    model, task = make(), blobs()
    cl.train(model, task, epochs=1)
    data = DataLoader(TensorDataset(task.test.x, task.test.y), batch_size=7)
    whole, read = cl.evaluate(model, task.test), cl.evaluate(model, data)
    assert read.accuracy == whole.accuracy and read.loss == pytest.approx(whole.loss, rel=1e-6)
    history = cl.train(model, task, epochs=1, watch={"loader": data, "split": task.test})
    assert history.accuracy("loader") == history.accuracy("split")
    two = [(x[y < 2], y[y < 2]) for x, y in data]
    kept = task.test.y < 2
    narrow = cl.evaluate(model, cl.Split(task.test.x[kept], task.test.y[kept]), classes=(0, 1))
    assert cl.evaluate(model, two, classes=(0, 1)).accuracy == narrow.accuracy


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.zeros(4), 1), (torch.ones(4), 2)])


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (lambda: iter([(torch.zeros(2, 4), torch.tensor([0, 1]))]), TypeError, r"^task must be read more than once"),
        (lambda: DataLoader(Stream(), batch_size=2), TypeError, r"^task must say how many batches it has, got a DataLoader"),
        (lambda: [(torch.zeros(2, 4), torch.tensor([0, 3]))], ValueError, r"^y must hold labels from 0 to 2"),
        (lambda: [{"input_ids": 1, "mask": 2, "labels": 3}], TypeError, r"b\['input_ids'\], b\['labels'\]\) for b in data"),
        (lambda: [(1, 2, 3)], TypeError, r"\[\(b\[0\], b\[1\]\) for b in data\]"),
        (lambda: [], ValueError, r"at least one"),
        (lambda: 5, TypeError, r"^task must be a cl_teach.Split such as task.train, a Task or a DataLoader, got int"),
        (lambda: {"A": blobs()}, TypeError, r"^task must be .* got dict"),
    ],
)  # fmt: skip
def test_what_is_no_loader_is_refused_before_a_step(data: Callable[[], Any], kind: type[Exception], message: str) -> None:
    model = make()
    before = weights(model)
    with pytest.raises(kind, match=message):
        cl.train(model, data())
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_the_line_that_the_error_shows_makes_pairs_of_dicts() -> None:
    task = blobs()
    rows = [{"x": x, "mask": 0, "label": int(y)} for x, y in zip(task.train.x, task.train.y, strict=True)]
    data = DataLoader(rows, batch_size=16)  # type: ignore[arg-type]
    with pytest.raises(TypeError) as caught:
        cl.train(make(), data)
    line = str(caught.value).split("; ")[1].removesuffix(" makes pairs")
    model, plain = make(), make()
    cl.train(model, eval(line, {"data": data}))
    cl.train(plain, loader(task))
    same(model, plain)
    assert cl.diagonal_fisher(model, eval(line, {"data": data})).keys() == weights(model).keys()


# --- outputs that are no logits


class Answers(nn.Module):
    """A network in the manner of libraries of language models: tokens in, an object with ``logits`` out."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.words, self.head, self.answer = nn.Embedding(9, 5), nn.Linear(5, 3), answer

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
        return self.answer(self.head(self.words(input_ids).mean(1)))


@pytest.mark.parametrize(
    "answer", [lambda z: SimpleNamespace(logits=z, loss=None), lambda z: (z, None), lambda z: {"loss": None, "logits": z}]
)
def test_the_line_that_the_error_shows_makes_a_model_give_logits(answer: Callable[[Tensor], Any]) -> None:
    tokens = cl.Split(torch.arange(60).view(12, 5) % 9, torch.arange(12) % 3)
    model = Answers(answer)
    for use in (cl.train, cl.evaluate, cl.diagonal_fisher, cl.EWC().consolidate):
        with pytest.raises(
            ValueError, match=r"^model must give logits of shape \(N, classes\), got a .*; model.register"
        ) as caught:
            use(model, tokens)
    line = str(caught.value).split("; ")[1].removesuffix(" makes it give them")
    eval(line, {"model": model})
    plain = Answers(lambda z: z)
    plain.load_state_dict(model.state_dict())
    for network in (model, plain):
        penalty = cl.EWC()
        cl.train(network, tokens)
        penalty.consolidate(network, tokens)
        cl.train(network, tokens, penalty=penalty, strength=2.0)
    same(model, plain)


# --- heads that grow


@pytest.mark.parametrize("kind", [cl.EWC, cl.L2, cl.OnlineEWC, cl.SI, cl.MAS])
def test_a_head_may_grow_under_its_name_and_only_its_old_rows_are_held(kind: Callable[[], cl.Penalty]) -> None:
    model, penalty, task = make().double(), kind(), blobs()
    cl.train(model, task, penalty=penalty)
    penalty.consolidate(model, task)
    anchor, precision = penalty.anchor["3.weight"].clone(), penalty.precision["3.weight"].clone()
    larger = nn.Linear(6, 5).double()
    with torch.no_grad():
        larger.weight[:3], larger.bias[:3] = model[3].weight, model[3].bias
    model[3] = larger
    assert float(penalty(model)) == pytest.approx(penalty.constant, abs=1e-12)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1)
    before = weights(model)
    penalty.proximal_step(model, 2.0)
    cp = 2.0 * precision
    torch.testing.assert_close(model[3].weight[:3].detach(), (before["3.weight"][:3] + cp * anchor) / (1 + cp))
    assert torch.equal(model[3].weight[3:], before["3.weight"][3:]) and torch.equal(model[3].bias[3:], before["3.bias"][3:])
    assert float(penalty(model)) > penalty.constant
    more = cl.Split(task.train.x, task.train.y + 2)
    cl.train(model, more, penalty=penalty, epochs=1)
    penalty.consolidate(model, more)  # and now all of them are met
    assert penalty.precision["3.weight"].shape == (5, 6) and penalty.n_tasks == 2
    assert float(penalty.precision["3.weight"][4].max()) > 0
    saved, loaded = penalty.state_dict(), kind()
    loaded.load_state_dict(saved)
    assert float(loaded(model)) == pytest.approx(float(penalty(model)))


def test_what_became_smaller_or_of_another_width_is_another_model() -> None:
    penalty = cl.EWC()
    penalty.consolidate(make(), blobs())
    for other in (nn.Linear(6, 2), nn.Linear(7, 3)):
        model = make()
        model[3] = other
        with pytest.raises(ValueError, match=r"penalty was consolidated on another model: 3.weight had shape \(3, 6\), is now"):
            penalty.proximal_step(model, 1.0)
    model = make()
    model[3] = nn.Linear(6, 4)
    model.append(nn.Linear(4, 4))  # more rows and a new layer: a deeper network, not a larger head
    with pytest.raises(ValueError, match=r"3.weight had shape \(3, 6\), is now \(4, 6\)"):
        penalty.proximal_step(model, 1.0)


# --- optimisers

SGDS: dict[str, Callable[[Any], torch.optim.SGD]] = {
    "Nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    "weight decay": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.5, weight_decay=0.1),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.5, dampening=0.3),
    "plain": lambda p: torch.optim.SGD(p, lr=0.05),
    "a learning rate a group": lambda p: torch.optim.SGD(
        [{"params": p[:2]}, {"params": p[2:], "lr": 0.01}], lr=0.05, momentum=0.5
    ),
}


@pytest.mark.parametrize("name", SGDS)
def test_the_proximal_step_of_every_sgd_ends_where_its_gradient_step_ends(name: str) -> None:
    """Full batches until nothing moves: with any momentum, decay or learning rates both steps have one fixed point."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)).double()
    a, b, penalty, ends = blobs(), blobs(shift=1.0), cl.EWC(), []
    cl.train(model, a, epochs=5)
    penalty.consolidate(model, a)
    penalty.precision = {n: p + 0.3 for n, p in penalty.precision.items()}  # so that there is one end
    start = model.state_dict()
    for step in ("proximal", "gradient"):
        twin = copy.deepcopy(model)
        twin.load_state_dict(start)
        options = {"penalty": penalty, "strength": 3.0, "epochs": 1_500, "batch_size": 60, "every": 500}
        cl.train(twin, b, step=step, optimizer=SGDS[name], **options)
        ends.append(twin)
    same(*ends, rtol=1e-5, atol=1e-6)
    assert max(float((p - q).abs().max()) for p, q in zip(ends[0].parameters(), model.parameters(), strict=True)) > 0.05


ADAMS = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.003),
    "other betas, fused": lambda p: torch.optim.Adam(p, lr=0.003, betas=(0.5, 0.99), fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.003, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.003, weight_decay=0.0),
    "a learning rate a group": lambda p: torch.optim.Adam([{"params": p[:2]}, {"params": p[2:], "lr": 0.001}], lr=0.003),
}


@pytest.mark.parametrize("name", ADAMS)
def test_the_proximal_step_of_adam_ends_where_sgd_ends(name: str) -> None:
    """Full batches until nothing moves: in Adam's metric, too, the end is the minimum of loss + strength / 2 * penalty."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)).double()
    a, b, penalty = blobs(), blobs(shift=1.0), cl.EWC()
    cl.train(model, a, epochs=5)
    penalty.consolidate(model, a)
    penalty.precision = {n: p + 0.3 for n, p in penalty.precision.items()}
    options = {"penalty": penalty, "strength": 3.0, "epochs": 4_000, "batch_size": 60, "every": 2_000, "progress": False}
    ours, sgd = copy.deepcopy(model), copy.deepcopy(model)
    cl.train(ours, b, step="proximal", optimizer=ADAMS[name], **options)
    cl.train(sgd, b, step="proximal", **options)
    ends = [parameters_to_vector(network.parameters()).detach() for network in (ours, sgd, model)]
    gap, way = (ends[0] - ends[1]).abs().max(), (ends[1] - ends[2]).abs().max()
    assert gap < 0.02 * way, (gap, way)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_proximal_step_of_adam_is_the_minimum_in_its_metric(amsgrad: bool) -> None:
    """|theta' - theta|^2 over Adam's step sizes, written out; after steps whose gradients shrink, so that amsgrad differs."""
    model, task = make(), blobs()
    penalty = cl.EWC()
    penalty.consolidate(model, task)
    for name, p in model.named_parameters():
        penalty.precision[name] = penalty.precision[name] + 0.1
        p.data += 1.0
    gradients = [3.0, 2.0, 1.0]

    def scaled(parameters: Any) -> torch.optim.Adam:
        """Sees these gradients, whatever the loss."""
        adam, left = torch.optim.Adam(parameters, lr=0.05, betas=(0.0, 0.5), amsgrad=amsgrad), iter(gradients)

        def replace_gradients(*_: object) -> None:
            g = next(left)
            for p in parameters:
                p.grad = torch.full_like(p, g)

        adam.register_step_pre_hook(replace_gradients)
        return adam

    theta = weights(model)
    cl.train(model, task, penalty=penalty, strength=7.0, epochs=3, batch_size=60, optimizer=scaled)
    v, most = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        v = 0.5 * v + 0.5 * g * g
        most = max(most, v)
        size = 0.05 / (math.sqrt((most if amsgrad else v) / (1 - 0.5**t)) + 1e-8)
        for name, f in penalty.precision.items():
            stepped = theta[name] - size * g
            theta[name] = (stepped / size + 7 * f * penalty.anchor[name]) / (1 / size + 7 * f)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), theta[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_proximal_step_of_adam_is_stable_at_every_strength(dtype: torch.dtype) -> None:
    model, penalty = make().to(dtype), cl.EWC()
    cl.train(model, blobs(), epochs=5, progress=False)
    penalty.consolidate(model, blobs())
    for strength in (1e3, 1e13, 1e38):
        twin = copy.deepcopy(model)
        options = {"penalty": penalty, "strength": strength, "epochs": 50, "optimizer": lambda p: torch.optim.Adam(p, lr=0.05)}
        history = cl.train(twin, blobs(shift=1.0), **options)
        assert not history.diverged
        for name, p in twin.named_parameters():
            held = penalty.precision[name] > 1e-3
            assert held.any() or name.endswith("bias")
            torch.testing.assert_close(p[held], penalty.anchor[name][held], rtol=0, atol=1e-2 if strength == 1e3 else 1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_adam_s_proximal_step_in_half_precision(dtype: torch.dtype) -> None:
    model, penalty = make().to(dtype), cl.L2()
    penalty.consolidate(model, blobs())
    for p in model.parameters():
        p.data += 0.5
    cl.train(model, blobs(), penalty=penalty, strength=1e12, epochs=2, optimizer=lambda p: torch.optim.Adam(p, eps=1e-4))
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), penalty.anchor[name], rtol=0, atol=0.01)


def test_at_strength_0_adam_s_proximal_step_does_nothing_and_says_nothing() -> None:
    def network() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))

    held, free, penalty = network(), network(), cl.EWC()
    penalty.consolidate(held, blobs())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.train(held, blobs(1.0), penalty=penalty, strength=0.0, optimizer=lambda p: torch.optim.Adam(p))
    cl.train(free, blobs(1.0), optimizer=lambda p: torch.optim.Adam(p))
    assert all(torch.equal(p, q) for p, q in zip(held.parameters(), free.parameters(), strict=True))


def test_under_adam_a_weight_without_a_gradient_rests() -> None:
    """Adam has no step size for it yet."""
    model, task, penalty = make(), blobs(), cl.L2()
    model[3].register_parameter("unused", nn.Parameter(torch.ones(2)))
    model[1].bias.requires_grad_(False)
    penalty.consolidate(model, task)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.5)
    before = weights(model)
    cl.train(model, task, penalty=penalty, strength=1e9, epochs=1, optimizer=lambda p: torch.optim.Adam(p))
    after = weights(model)
    assert torch.equal(after["3.unused"], before["3.unused"]) and torch.equal(after["1.bias"], before["1.bias"])
    torch.testing.assert_close(after["3.weight"], penalty.anchor["3.weight"], rtol=0, atol=1e-4)


def test_adam_s_eps_is_outside_the_root() -> None:
    group = {"amsgrad": False, "lr": 0.1, "betas": (0.9, 0.999), "eps": 0.5}
    state = {"exp_avg_sq": torch.tensor([0.0, 4.0]), "step": torch.tensor(1e9)}
    torch.testing.assert_close(adam_sizes(state, group), torch.tensor([0.1 / 0.5, 0.1 / 2.5]))


def test_a_changed_factor_of_one_parameter_acts() -> None:
    model, penalty = make(), cl.L2()
    penalty.consolidate(model, blobs())
    for last in (1.0, 3.0):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(1.0)
        theta, c = weights(model), {"1.weight": 0.5, "1.bias": 0.5, "3.weight": 0.5, "3.bias": last}
        penalty.proximal_step(model, c)
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.detach(), (theta[name] + c[name] * penalty.anchor[name]) / (1 + c[name]), msg=name)


def test_a_tensor_of_factors_is_a_factor_for_each_weight() -> None:
    model, task, penalty = make(), blobs(), cl.L2()
    penalty.consolidate(model, task)
    for p in model.parameters():
        p.data += 1.0
    theta = weights(model)
    each = {name: torch.rand_like(p) for name, p in model.named_parameters()}
    c = {**each, "3.bias": 2.0, "3.weight": torch.tensor(0.5)}
    penalty.proximal_step(model, c)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), (theta[name] + c[name] * penalty.anchor[name]) / (1 + c[name]), msg=name)
    again = {name: 2 * value for name, value in each.items()}
    theta = weights(model)
    penalty.proximal_step(model, again)  # nothing of the first is kept
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), (theta[name] + again[name] * penalty.anchor[name]) / (1 + again[name]), msg=name)
    with pytest.raises(
        ValueError, match=r"c must be a number, or for 1.weight a tensor of its shape \(6, 4\), got shape \(2,\)"
    ):
        penalty.proximal_step(model, {"1.weight": torch.ones(2)})
    with pytest.raises(ValueError, match=r"of its shape \(6, 4\), got shape \(4, 6\)"):
        penalty.proximal_step(model, {"1.weight": torch.ones(4, 6)})
    with pytest.raises(ValueError, match=r"c must name parameters of the model, got wieght"):
        penalty.proximal_step(model, {"wieght": torch.ones(6, 4)})
    kfac = cl.KFAC()
    kfac.consolidate(model, task)
    with pytest.raises(ValueError, match=r"c must be a number for each parameter.* got a tensor for 1.weight"):
        kfac.proximal_step(model, each)


def test_each_group_has_its_own_factor() -> None:
    task, penalty = blobs(), cl.L2()
    model = make()
    penalty.consolidate(model, task)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    moved = weights(model)

    def frozen_sgd(parameters: Any) -> torch.optim.SGD:
        """No gradient acts: what moves, the penalty has moved."""
        for p in parameters:
            p.register_hook(torch.zeros_like)
        return torch.optim.SGD([{"params": parameters[:2], "momentum": 0.5}, {"params": parameters[2:3], "lr": 0.3}], lr=0.1)

    cl.train(model, task, penalty=penalty, strength=2.0, epochs=1, batch_size=60, optimizer=frozen_sgd)
    factors = {
        "1.weight": 0.1 * 2 / 0.5,
        "1.bias": 0.1 * 2 / 0.5,
        "3.weight": 0.3 * 2,
        "3.bias": 0.0,
    }
    for name, p in model.named_parameters():
        c = factors[name]
        torch.testing.assert_close(p.detach(), (moved[name] + c * penalty.anchor[name]) / (1 + c), msg=name)
    assert proximal_factor(2.0, 0.1, 0.5) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("optimizer", "kind", "message"),
    [
        (lambda m: torch.optim.Adam(m.parameters()), TypeError, r"^optimizer must be a function .* lambda .*, got Adam"),
        (lambda m: "adam", TypeError, r"^optimizer must be a function of the parameters such as lambda"),
        (lambda m: lambda p: None, TypeError, r"^optimizer must make an optimiser .* got None"),
        (lambda m: lambda p: torch.optim.LBFGS(p), TypeError, r"^optimizer must make an optimiser whose step needs"),
        (lambda m: lambda p: torch.optim.Adam(make().parameters()), ValueError, r"^optimizer must be of this model's"),
        (lambda m: lambda p: torch.optim.RMSprop(p), ValueError, r"^step must be 'gradient' with RMSprop: .* SGD, Adam and A"),
        (lambda m: lambda p: torch.optim.SGD(p, lr=0.1, maximize=True), ValueError, r"^optimizer must minimise the loss"),
    ],
)  # fmt: skip
def test_an_optimiser_that_cannot_work_is_refused_before_a_step(optimizer: Any, kind: type[Exception], message: str) -> None:
    model, task, penalty = make(), blobs(), cl.EWC()
    before = weights(model)
    for tasks in ([task], [task, task]):
        with pytest.raises(kind, match=message):
            cl.learn(model, tasks, penalty, optimizer=optimizer(model))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_adam_s_proximal_step_needs_a_diagonal() -> None:
    model, task, penalty = make(), blobs(), cl.KFAC()
    before = weights(model)
    with pytest.raises(
        ValueError, match=r"^step must be 'gradient' with Adam: .* SGD with a penalty that holds whole matrices"
    ):
        cl.train(model, task, penalty=penalty, optimizer=lambda p: torch.optim.Adam(p))
    with pytest.raises(
        ValueError, match=r"^step must be 'gradient' with Adam: .* SGD with a penalty that holds whole matrices"
    ):
        cl.learn(model, [task, task], penalty, optimizer=lambda p: torch.optim.Adam(p))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    cl.train(model, task, penalty=penalty, step="gradient", optimizer=lambda p: torch.optim.Adam(p), epochs=1)


def test_learn_names_an_option_that_is_none() -> None:
    with pytest.raises(TypeError, match=r"^learn does not take epohcs; of train it passes on penalty, strength, step, epochs"):
        cl.learn(make(), [blobs()], epohcs=3)


def test_statistics_is_checked() -> None:
    with pytest.raises(ValueError, match="statistics must be one of 'held', 'moving', got 'fixed'"):
        cl.train(normed(), blobs(), statistics="fixed")


@pytest.mark.parametrize("watch", [[blobs()], blobs(), "A"])
def test_watch_must_have_names(watch: Any) -> None:
    with pytest.raises(TypeError, match=r"^watch must be names with data such as \{'A': task\}, got "):
        cl.train(make(), blobs(), watch=watch)


def test_what_is_watched_must_be_data() -> None:
    with pytest.raises(TypeError, match=r"^watch\['A'\] must be a cl_teach.Split .*, got int"):
        cl.train(make(), blobs(), watch={"A": 3})
    with pytest.raises(TypeError, match=r"^watch\['A'\] must be read more than once, got a generator"):
        cl.train(make(), blobs(), watch={"A": (batch for batch in [(torch.zeros(1, 4), torch.tensor([1]))])})


# --- what is transferred


def test_transfer_is_computed_as_it_is_defined() -> None:
    nan = math.nan
    accuracy = torch.tensor([[0.9, nan, nan], [0.7, 0.95, nan], [0.75, 0.85, 0.8]], dtype=torch.float64)
    run = cl.Run(accuracy, accuracy.clone(), [cl.History()] * 3)
    run.untrained, run.ahead = torch.tensor([0.1, 0.2, 0.3]).double(), torch.tensor([0.1, 0.5, 0.25]).double()
    assert run.learning_accuracy == pytest.approx((0.9 + 0.95 + 0.8) / 3)
    assert run.average_accuracy == pytest.approx((0.75 + 0.85 + 0.8) / 3)
    assert run.backward_transfer == pytest.approx(((0.75 - 0.9) + (0.85 - 0.95)) / 2)
    assert run.forward_transfer == pytest.approx(((0.5 - 0.2) + (0.25 - 0.3)) / 2)
    assert run.forgetting == pytest.approx(((0.9 - 0.75) + (0.95 - 0.85)) / 2)
    assert run.intransigence([0.96, 0.9, 0.9]) == pytest.approx(((0.96 - 0.9) + (0.9 - 0.95) + (0.9 - 0.8)) / 3, abs=1e-12)
    short = cl.Run(accuracy, accuracy, [cl.History()] * 2, untrained=run.untrained, ahead=run.ahead)  # interrupted after two
    assert short.backward_transfer == pytest.approx(0.7 - 0.9) and short.forward_transfer == pytest.approx(0.5 - 0.2)
    first = cl.Run(accuracy, accuracy, [cl.History()], untrained=run.untrained, ahead=run.ahead)
    assert first.forward_transfer == 0.0
    unlearnt = cl.Run(accuracy.clone(), accuracy, [cl.History()] * 2)
    unlearnt.accuracy[2] = nan
    assert unlearnt.intransigence(torch.tensor([0.96, 0.9, 0.9], dtype=torch.float64)) == pytest.approx(
        ((0.96 - 0.9) + (0.9 - 0.95)) / 2
    )
    one = cl.Run(accuracy[:1, :1], accuracy[:1, :1], [cl.History()])
    assert (one.forgetting, one.backward_transfer, one.forward_transfer) == (0.0, 0.0, 0.0)


def test_what_learn_measures_before_each_task_is_the_accuracy_there() -> None:
    tasks, model = [blobs(), blobs(shift=1.0), blobs(shift=-1.0)], make()
    untrained = [cl.evaluate(model, task).accuracy for task in tasks]
    twin, ahead = make(), []
    for task in tasks:
        ahead.append(cl.evaluate(twin, task).accuracy)
        cl.train(twin, task, epochs=2)
    run = cl.learn(model, tasks, epochs=2)
    assert run.untrained.tolist() == untrained and run.ahead.tolist() == ahead
    assert run.ahead[0] == run.untrained[0] and run.ahead[1] != run.untrained[1]
    assert run.forward_transfer == pytest.approx(sum(a - u for a, u in zip(ahead[1:], untrained[1:], strict=True)) / 2)


# --- numbers of numpy, and things that are no network


def test_whole_numbers_of_numpy_count() -> None:
    model, plain, one = make(), make(), np.int64(1)
    first = cl.train(model, blobs(), epochs=2 * one, batch_size=20 * one, seed=3 * one, every=2 * one, watch={"A": blobs()})
    second = cl.train(plain, blobs(), epochs=2, batch_size=20, seed=3, every=2, watch={"A": blobs()})
    same(model, plain)
    assert first.steps == second.steps == [0, 2, 4, 6] and cl.EWC(n=np.int64(3)).n == 3


@pytest.mark.parametrize("kind", [cl.EWC, cl.SI])
def test_what_is_no_network_is_said_to_be_none(kind: Callable[[], cl.Penalty]) -> None:
    penalty, model = kind(), make()
    cl.train(model, blobs(), penalty=penalty, epochs=1)
    penalty.consolidate(model, blobs())
    uses: list[Callable[[Any], object]] = [
        lambda m: penalty(m), lambda m: penalty.proximal_step(m, 1.0), lambda m: penalty.add_gradient(m, 1.0),
        lambda m: penalty.consolidate(m, blobs()), lambda m: cl.SI().observe(m), lambda m: cl.evaluate(m, blobs()),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got int"):
            use(3)


def test_what_was_not_watched_and_what_is_no_yes_or_no() -> None:
    history = cl.train(make(), blobs(), epochs=1, watch={"A": blobs()})
    with pytest.raises(ValueError, match="name must be one of 'A', got 'C'"):
        history.accuracy("C")
    with pytest.raises(TypeError, match="keep_weights must be"):
        cl.train(make(), blobs(), keep_weights="no")


# --- what no penalty holds, and what says nothing


class Averaging(nn.Module):
    """A layer of a user's that remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(4))
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * x.detach().mean(0)
        return self.out(x - self.centre)


def test_other_buffers_that_change_under_a_penalty_are_said_to() -> None:
    model, task, penalty = Averaging(), blobs(), cl.EWC()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.train(model, task, penalty=penalty)
        penalty.consolidate(model, task)
        cl.train(model, task, penalty=penalty, strength=0.0)
    with pytest.warns(RuntimeWarning, match=r"^centre \(1 such buffers\) changed while a penalty was in force"):
        cl.train(model, task, penalty=penalty)
    normal, held = normed(), cl.EWC()
    held.consolidate(normal, task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.train(normal, task, penalty=held)


def test_si_says_that_batch_norm_misleads_it() -> None:
    """A bias before batch norm has no effect in train mode, where SI watches, but has one in eval mode."""
    model, task, penalty = normed(), blobs(), cl.SI()
    cl.train(model, task, penalty=penalty)
    with pytest.warns(RuntimeWarning, match=r"SI watched while batch norm \(1\) was in train mode"):
        penalty.consolidate(model, task)
    assert float(penalty.precision["0.bias"].max()) < 1e-6 < float(penalty.precision["0.weight"].max())


def test_an_importance_of_zero_everywhere_is_said() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(x).detach()

    penalty = cl.EWC()
    with pytest.warns(RuntimeWarning, match="the importance of every weight is 0"):
        penalty.consolidate(Cut(), blobs())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.EWC().consolidate(make(), blobs())


def test_a_factor_of_no_parameter_is_refused() -> None:
    model, penalty = make(), cl.EWC()
    penalty.consolidate(model, blobs())
    with pytest.raises(ValueError, match=r"c must name parameters of the model, got 1.wieght"):
        penalty.proximal_step(model, {"1.wieght": 1e9})


def test_probabilities_are_noticed() -> None:
    with pytest.warns(RuntimeWarning, match="model seems to give probabilities"):
        cl.evaluate(nn.Sequential(make(), nn.Softmax(1)), blobs())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.evaluate(make(), blobs())
        cl.evaluate(nn.Sequential(make(), nn.LogSoftmax(1)), blobs())


@pytest.mark.parametrize("use", [cl.train, cl.diagonal_fisher, lambda m, t: cl.EWC().consolidate(m, t)])
def test_networks_that_cannot_be_seen_into_are_refused(use: Callable[[nn.Module, cl.Task], object]) -> None:
    with pytest.raises(TypeError, match="model must be an ordinary module, got a RecursiveScriptModule"):
        use(torch.jit.script(make()), blobs())
    with pytest.raises(ValueError, match=r"model must know its shapes, got 0.weight of a lazy layer"):
        use(nn.Sequential(nn.LazyLinear(3)), blobs())
    with pytest.raises(TypeError, match=r"model must have real weights, got torch.complex64 in weight"):
        use(nn.Linear(4, 3, dtype=torch.complex64), blobs())


def test_several_tasks_for_one_are_told_where_to_go() -> None:
    with pytest.raises(TypeError, match="got a Task; learn takes several tasks in turn, joint makes them one"):
        cl.train(make(), [blobs(), blobs()])


# --- ways that only some samples take


class SometimesTwice(nn.Module):
    """A weight that is used outside its layer too, for samples whose first feature is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, again = self.layer(x).tanh(), x[:, 0] > 0
        if again.any():
            h = torch.where(again[:, None], (h @ self.layer.weight.T + self.layer.bias).tanh(), h)
        return self.out(h)


@pytest.mark.parametrize("labels", ["exact", "true"])
@pytest.mark.parametrize("chunk", [7, 1024])
def test_a_weight_that_only_some_samples_use_twice_is_seen(labels: str, chunk: int) -> None:
    """Neither the first nor the last sample, which the judge looks at, takes that way."""
    model = SometimesTwice().double()
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).double()
    x[[0, -1], 0] = -1.0
    data = cl.Split(x, torch.arange(30) % 3)
    found, wanted = cl.diagonal_fisher(model, data, labels, chunk=chunk), plain_fisher(model, x, data.y, labels)
    for name, f in wanted.items():
        torch.testing.assert_close(found[name], f, msg=name)


def test_bars_inside_other_work_are_silent() -> None:
    assert not _progress.bar(3, "a", "b", True).disable or os.environ.get("TQDM_DISABLE") == "1"
    with _progress.silent():
        assert _progress.bar(3, "a", "b", True).disable
        with _progress.silent(False):  # still inside
            assert _progress.bar(3, "a", "b", True).disable


def test_numbers_in_tensors_and_numpy_are_numbers() -> None:
    ends = []
    for number in (float, lambda v: torch.tensor([v]), np.float64):
        model = make()
        cl.train(model, blobs(), lr=number(0.125), momentum=number(0.5), epochs=1, progress=False)
        ends.append(weights(model))
    for end in ends[1:]:
        assert all(torch.equal(end[name], t) for name, t in ends[0].items())
