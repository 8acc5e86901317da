"""Training: the right optimum, the same result for the same seed, what is recorded, and what an interruption leaves."""

import copy
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import cl_teach as cl
from cl_teach.history import Recorder
from cl_teach.training import Run


def vector(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def blobs(seed: int = 0, n: int = 60, classes: int = 3) -> cl.Task:
    """Points around three corners of a cube."""
    generator = torch.Generator().manual_seed(seed)

    def part() -> cl.Split:
        y = torch.arange(n) % classes
        corners = 4 * torch.eye(max(classes, 4))[:, :4]
        return cl.Split(corners[y] + torch.randn(n, 4, generator=generator), y)

    return cl.Task(f"blobs {seed}", part(), part(), classes=tuple(range(classes)))


def small(seed: int = 0, n_classes: int = 3) -> nn.Sequential:
    return cl.mlp((8,), n_inputs=4, n_classes=n_classes, seed=seed, device="cpu").double()


def learnt(task: cl.Task) -> tuple[nn.Module, cl.EWC]:
    model, penalty = small(), cl.EWC()
    cl.train(model, task)
    penalty.consolidate(model, task)
    return model, penalty


# the optimum


@pytest.mark.parametrize("step", ["proximal", "gradient"])
@pytest.mark.parametrize("strength", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_minimises_loss_plus_half_strength_times_penalty(step: str, strength: float, momentum: float) -> None:
    a, b = cl.two_weight_tasks(n=300)
    model, penalty = cl.two_weights().double(), cl.EWC()
    options: dict[str, Any] = {"epochs": 800, "batch_size": 300, "momentum": momentum, "lr": 0.5 * (1 - momentum)}
    cl.train(model, a, **options)
    penalty.consolidate(model, a)
    cl.train(model, b, penalty=penalty, strength=strength, step=step, **options)
    objective = cross_entropy(model(b.train.x.double()), b.train.y) + strength / 2 * penalty(model)
    (gradient,) = torch.autograd.grad(objective, list(model.parameters()))
    assert gradient.abs().max() < 1e-4


def test_both_steps_agree_where_the_strength_is_small() -> None:
    model, penalty = learnt(blobs(0))
    ends = []
    for step in ("proximal", "gradient"):
        other = copy.deepcopy(model)
        cl.train(other, blobs(1), penalty=penalty, strength=0.1, step=step, momentum=0.0, epochs=200)
        ends.append(vector(other))
    free = copy.deepcopy(model)
    cl.train(free, blobs(1), momentum=0.0, epochs=200)
    assert 0 < (ends[0] - ends[1]).norm() < 0.05 * (ends[1] - vector(free)).norm()


@given(st.floats(0, 1e30), st.sampled_from([torch.float32, torch.float64]))
def test_the_proximal_step_is_stable_at_every_strength(strength: float, dtype: torch.dtype) -> None:
    model, penalty = learnt(blobs(0))
    model = model.to(dtype)
    history = cl.train(model, blobs(1), penalty=penalty, strength=strength, epochs=1, batch_size=20)
    assert vector(model).isfinite().all() and not history.diverged


def test_an_enormous_strength_holds_what_matters() -> None:
    model, penalty = learnt(blobs(0))
    anchor = copy.deepcopy(model)
    cl.train(model, blobs(1), penalty=penalty, strength=1e12)
    for name, p in model.named_parameters():
        matters = penalty.precision[name] > 1e-6
        torch.testing.assert_close(p[matters], dict(anchor.named_parameters())[name][matters], atol=1e-4, rtol=0)


def test_the_gradient_step_diverges_where_it_is_said_to() -> None:
    """The bound 2 (1 + momentum) / (lr max P) of the docstring, from both sides, on the L2 penalty, where P is 1."""
    for factor, diverges in ((0.9, False), (1.1, True)):
        model, penalty = small(), cl.L2()
        penalty.consolidate(model, blobs(0))
        strength = factor * 2 * (1 + 0.9) / 0.05
        options: dict[str, Any] = {
            "penalty": penalty,
            "strength": strength,
            "step": "gradient",
            "epochs": 2_000,
            "batch_size": 60,
        }
        if diverges:
            with pytest.warns(RuntimeWarning, match=r"training diverged: the loss is (nan|inf) after step \d+"):
                history = cl.train(model, blobs(1), **options)
            assert history.diverged and not history.interrupted
            assert len(history.loss) < 2_000 and not math.isfinite(history.loss[-1]) and math.isfinite(history.loss[0])
        else:
            history = cl.train(model, blobs(1), **options)
            assert not history.diverged and vector(model).isfinite().all()


def test_without_penalty_it_is_plain_sgd() -> None:
    task, model, plain = blobs(0), small(), small()
    history = cl.train(model, task, epochs=2, batch_size=25, lr=0.1, momentum=0.5, seed=3)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.5)
    order, losses = torch.Generator().manual_seed(3), []
    for _ in range(2):
        for batch in torch.randperm(60, generator=order).split(25):
            loss = cross_entropy(plain(task.train.x[batch].double()), task.train.y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert history.loss == pytest.approx(losses, rel=1e-12)
    torch.testing.assert_close(vector(model), vector(plain))


@pytest.mark.parametrize("penalty", [None, cl.EWC(), cl.L2()])
@pytest.mark.parametrize("step", ["proximal", "gradient"])
def test_a_penalty_that_has_seen_nothing_holds_nothing(penalty: cl.Penalty | None, step: str) -> None:
    model, free = small(), small()
    cl.train(free, blobs(0))
    cl.train(model, blobs(0), penalty=penalty, strength=100.0, step=step)
    assert torch.equal(vector(model), vector(free))


# the same again, and different


def test_same_seed_same_result_whatever_else_was_random() -> None:
    ends = []
    for global_seed, seed in ((0, 5), (1, 5), (0, 6)):
        torch.manual_seed(global_seed)
        before, model = torch.get_rng_state(), small()
        ends.append((cl.train(model, blobs(0), seed=seed, batch_size=16).loss, vector(model)))
        assert torch.equal(torch.get_rng_state(), before), "the global random state is left alone"
    assert ends[0][0] == ends[1][0] and torch.equal(ends[0][1], ends[1][1])
    assert ends[0][0] != ends[2][0]


class Seen(nn.Module):
    """Remembers the samples that it sees while it is trained."""

    def __init__(self, n_outputs: int = 3) -> None:
        super().__init__()
        self.linear, self.order = nn.Linear(4, n_outputs), list[float]()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.order += x[:, 0].tolist()
        return self.linear(x)


def test_every_method_sees_the_same_samples_in_the_same_order() -> None:
    task, orders = blobs(0), []
    for penalty, step, watch in ((None, "proximal", None), (cl.EWC(), "proximal", {"t": task}), (cl.L2(), "gradient", None)):
        model = Seen()
        if penalty is not None:
            penalty.consolidate(model, task)
            model.order.clear()
        cl.train(model, task, penalty=penalty, step=step, watch=watch, every=2, epochs=2, batch_size=7)
        orders.append(model.order)
    assert orders[0] == orders[1] == orders[2] and len(orders[0]) == 120
    once = sorted(task.train.x[:, 0].tolist())
    assert sorted(orders[0][:60]) == once and sorted(orders[0][60:]) == once, "each epoch sees each sample once"
    assert orders[0][:60] != orders[0][60:]


def test_the_defaults_learn_mnist() -> None:
    task, model = cl.mnist(2_000, 500), cl.mlp()
    history = cl.train(model, task)
    assert len(history.loss) == 3 * math.ceil(2_000 / 128)
    assert cl.evaluate(model, task).accuracy > 0.8


def test_another_optimizer() -> None:
    model, penalty = learnt(blobs(0))
    adam: Callable[..., torch.optim.Optimizer] = lambda parameters: torch.optim.Adam(parameters, lr=1e-2)  # noqa: E731
    held, free = copy.deepcopy(model), copy.deepcopy(model)
    cl.train(held, blobs(1), penalty=penalty, strength=100.0, step="gradient", optimizer=adam)
    cl.train(free, blobs(1), optimizer=adam)
    assert penalty(held).item() < penalty(free).item()


# what is recorded


def test_history_watches_and_keeps_weights() -> None:
    a, b = blobs(0), blobs(1)
    model = small()
    start = copy.deepcopy(model)
    history = cl.train(
        model, b, epochs=2, batch_size=20, watch={"A": a, "B train": b.train}, every=4, keep_weights=True
    )  # fmt: skip
    assert history.steps == [0, 4, 6] and len(history.loss) == 6
    assert set(history.watched) == {"A", "B train"} and all(len(seen) == 3 for seen in history.watched.values())
    assert history.watched["A"][0] == cl.evaluate(start, a) and history.watched["A"][-1] == cl.evaluate(model, a)
    assert history.watched["B train"][-1] == cl.evaluate(model, b.train)
    assert history.accuracy("A") == [e.accuracy for e in history.watched["A"]]
    assert not history.interrupted and not history.diverged
    for weights, reference in ((history.weights[0], start), (history.weights[-1], model)):
        assert all(torch.equal(weights[name], p) for name, p in reference.named_parameters())
    replay = copy.deepcopy(start)
    replay.load_state_dict(history.weights[1])
    assert history.watched["A"][1] == cl.evaluate(replay, a)


def test_watching_changes_nothing_and_modes_and_frozen_weights_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    model[0].bias.requires_grad_(False)
    model[1].eval()
    watched = copy.deepcopy(model)
    modes, bias = [m.training for m in model.modules()], model[0].bias.clone()
    cl.train(model, blobs(0))
    cl.train(watched, blobs(0), watch={"other": blobs(1)}, every=1)
    assert torch.equal(vector(model), vector(watched)) and torch.equal(model[1].running_mean, watched[1].running_mean)
    assert [m.training for m in model.modules()] == modes and torch.equal(model[0].bias, bias)
    assert all(p.grad is None for p in model.parameters())


def test_no_epochs_no_change() -> None:
    model = small()
    history = cl.train(model, blobs(0), epochs=0, watch={"A": blobs(0)})
    assert torch.equal(vector(model), vector(small())) and history.loss == [] and history.steps == [0]


# evaluation


@pytest.mark.parametrize("classes", [None, (0, 1, 2, 3), (1, 3)])
def test_evaluate_against_the_definition(classes: tuple[int, ...] | None) -> None:
    """More samples than fit into one chunk; a mean over samples, not over chunks."""
    model, y = small(n_classes=4), torch.arange(4_500) % 4
    if classes == (1, 3):
        y = y // 2 * 2 + 1
    data = cl.Split(torch.randn(4_500, 4, dtype=torch.float64), y)
    logits = model(data.x).detach()
    if classes == (1, 3):
        logits[:, [0, 2]] = -math.inf
    result = cl.evaluate(model, data, classes)
    assert result.loss == pytest.approx(float(-logits.log_softmax(1)[torch.arange(4_500), y].mean()), rel=1e-12)
    assert result.accuracy == float((logits.argmax(1) == y).double().mean())


def test_evaluate_uses_eval_mode_test_data_and_the_task_s_classes() -> None:
    model, task = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5)), blobs(0)
    result = cl.evaluate(model, task)
    assert result == cl.evaluate(model, task.test, (0, 1, 2)) == cl.evaluate(model, task) and model.training
    assert result != cl.evaluate(model, task.train, (0, 1, 2)) and result != cl.evaluate(model, task.test)
    assert cl.evaluate(model, task, classes=(0, 1, 2, 3, 4)) == cl.evaluate(model, task.test)


def test_only_a_task_s_own_outputs_learn() -> None:
    first, second = cl.split_classes(blobs(0, classes=4), classes_per_task=2)
    model = Seen(n_outputs=4)
    before = model.linear.weight.detach().clone()
    cl.train(model, second)
    assert torch.equal(model.linear.weight[:2], before[:2]) and not torch.equal(model.linear.weight[2:], before[2:])
    assert first.classes == (0, 1) and second.classes == (2, 3)


# sequences


def test_learn_is_train_consolidate_evaluate() -> None:
    tasks = [blobs(0), blobs(1), blobs(2)]
    model, penalty = small(), cl.EWC()
    run = cl.learn(model, tasks, penalty, strength=10.0, epochs=2, seed=4)
    by_hand, own = small(), cl.EWC()
    expected = torch.full((3, 3), math.nan, dtype=torch.float64)
    for i, task in enumerate(tasks):
        cl.train(by_hand, task, penalty=own, strength=10.0, epochs=2, seed=4)
        own.consolidate(by_hand, task)
        for j in range(i + 1):
            expected[i, j] = cl.evaluate(by_hand, tasks[j]).accuracy
    torch.testing.assert_close(run.accuracy, expected, equal_nan=True, rtol=0, atol=0)
    assert torch.equal(vector(model), vector(by_hand)) and penalty.n_tasks == 3
    assert (
        run.accuracy.isnan().tolist() == run.loss.isnan().tolist() == [[False, True, True], [False, False, True], [False] * 3]
    )
    assert len(run.histories) == 3 and not run.interrupted


def test_metrics_by_hand() -> None:
    nan = math.nan
    run = Run(torch.tensor([[0.95, nan, nan], [0.9, 0.8, nan], [0.5, 0.9, 0.7]]).double(), torch.zeros(3, 3))
    run.histories = [cl.History()] * 3
    assert run.average_accuracy == pytest.approx((0.5 + 0.9 + 0.7) / 3)
    assert run.forgetting == pytest.approx(((0.95 - 0.5) + (0.8 - 0.9)) / 2)
    run.histories = [cl.History()] * 2  # interrupted after the second task
    assert run.average_accuracy == pytest.approx((0.9 + 0.8) / 2) and run.forgetting == pytest.approx(0.95 - 0.9)
    run.histories = [cl.History()]
    assert run.average_accuracy == pytest.approx(0.95) and run.forgetting == 0.0


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_scenarios_are_evaluated_by_what_is_known(scenario: str) -> None:
    tasks = cl.split_classes(blobs(0, classes=4, n=200), 2, scenario=scenario)
    model = small(n_classes=4)
    run = cl.learn(model, tasks, epochs=10)
    known = {"task": (0, 1), "domain": (0, 1), "class": (0, 1, 2, 3)}[scenario]
    assert run.accuracy[1, 0] == cl.evaluate(model, tasks[0].test, known).accuracy
    assert run.accuracy[0, 0] > 0.8 and run.accuracy[1, 1] > 0.8
    if scenario == "class":  # choosing between all four, the network answers with the classes it saw last
        assert run.accuracy[1, 0] < 0.2 < cl.evaluate(model, tasks[0].test, (0, 1)).accuracy


def test_learn_stops_at_a_task_that_diverges() -> None:
    tasks, penalty = [blobs(0), blobs(1), blobs(2)], cl.L2()
    with pytest.warns(RuntimeWarning, match="diverged"):
        run = cl.learn(small(), tasks, penalty, strength=1e6, step="gradient", epochs=300)
    assert [h.diverged for h in run.histories] == [False, True] and penalty.n_tasks == 1
    assert run.accuracy[2].isnan().all() and not run.interrupted


# one's own network


class Words(nn.Module):
    """Token inputs: an embedding, a mean over positions, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.output = nn.Embedding(20, 6), nn.Linear(6, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.embedding(tokens).mean(1))


def test_tokens_and_one_s_own_module() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(0, 20, (80, 5))
    data = cl.Split(tokens, (tokens.float().mean(1) > 9.5).long())
    model, penalty = Words(), cl.EWC()
    cl.train(model, data, epochs=60, batch_size=20)
    assert cl.evaluate(model, data).accuracy > 0.9
    penalty.consolidate(model, data)
    assert set(penalty.precision) == {"embedding.weight", "output.weight", "output.bias"}
    other = cl.Split(data.x, 1 - data.y)
    free = copy.deepcopy(model)
    cl.train(model, other, penalty=penalty, strength=1e4, epochs=60)
    cl.train(free, other, epochs=60)
    assert cl.evaluate(model, data).accuracy > 0.9 > cl.evaluate(free, data).accuracy


# Ctrl-C


class Interrupted(Seen):
    """Ctrl-C arrives in the ``at``-th forward pass, counted from the time when ``at`` is set."""

    at = -1

    def forward(self, x: Tensor) -> Tensor:
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt
        return super().forward(x)


@pytest.mark.parametrize("every", [1, 1_000])
@pytest.mark.parametrize("after", range(3, 12))
def test_an_interruption_anywhere_leaves_model_and_history_usable(after: int, every: int) -> None:
    """In a training step or while the watched data are evaluated (after the two passes that check the data)."""
    model, task = Interrupted(), blobs(0)
    model.linear.eval()
    model.at = after
    modes = [module.training for module in model.modules()]
    with pytest.warns(RuntimeWarning, match=r"interrupted after \d+ of 20000 steps; the history so far is returned"):
        history = cl.train(model, task, epochs=10_000, batch_size=30, watch={"A": task}, every=every, keep_weights=True)
    assert history.interrupted and not history.diverged
    assert [module.training for module in model.modules()] == modes
    assert all(p.isfinite().all() and p.grad is None for p in model.parameters())
    assert len(history.steps) == len(history.watched["A"]) == len(history.weights) == len(history.accuracy("A"))
    assert all(math.isfinite(loss) for loss in history.loss)
    expected = after - 4 if every > 1 else (after - 3) // 2
    assert len(history.loss) == max(expected, 0)
    assert len(cl.train(model, task, epochs=1, batch_size=30).loss) == 2, "training can go on"


@pytest.mark.parametrize("where", ["training", "testing", "consolidating"])
def test_an_interrupted_sequence_returns_what_was_measured(where: str) -> None:
    tasks, model = [blobs(0), blobs(1), blobs(2)], Interrupted()

    class Slow(cl.EWC):
        def importance(self, model: nn.Module, data: Any, classes: Any) -> dict[str, Tensor]:
            if where == "consolidating" and self.n_tasks == 1:
                raise KeyboardInterrupt
            if (
                where != "consolidating" and self.n_tasks == 0
            ):  # then a look at the second task (2 passes) and 1 check, 2 steps, 1 check
                assert isinstance(model, Interrupted)
                result = super().importance(model, data, classes)
                model.at = 5 if where == "training" else 7
                return result
            return super().importance(model, data, classes)

    penalty = Slow()
    with pytest.warns(RuntimeWarning, match="interrupted"):
        run = cl.learn(model, tasks, penalty, epochs=1, batch_size=30)
    assert run.interrupted and penalty.n_tasks == 1
    assert len(run.histories) == 2 and run.accuracy[2].isnan().all() and run.accuracy[0, 0].isfinite()
    if where == "testing":
        assert run.accuracy[1].isnan().all()
    else:
        assert run.accuracy[1, :2].isfinite().all() and math.isfinite(run.average_accuracy) and math.isfinite(run.forgetting)


CTRL_C = """
import json, signal, sys, torch, cl_teach as cl
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start background programs without it
model = cl.mlp((50,), n_inputs=4, n_classes=3, device="cpu")
model[1].eval()
data = cl.Split(torch.randn(200, 4), torch.arange(200) % 3)
penalty = cl.EWC()
penalty.consolidate(model, data)
seen = []

def count(*_):
    seen.append(1)
    if len(seen) == 50:
        print("running", flush=True)

model.register_forward_hook(count)
run = cl.learn(model, [cl.Task("t", data, data, (0, 1, 2))] * 3, penalty, epochs=10**6, watch={"t": data})
history = run.histories[0]
print(json.dumps({
    "interrupted": run.interrupted and history.interrupted, "losses": len(history.loss), "tasks": len(run.histories),
    "looks": [len(history.steps), len(history.watched["t"])], "modes": [m.training for m in model.modules()],
    "finite": all(bool(p.isfinite().all()) for p in model.parameters()), "accuracy": float(run.accuracy[0, 0]),
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals work in another way there")
def test_ctrl_c() -> None:
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", CTRL_C], stdout=pipe, stderr=pipe, text=True)
    assert child.stdout is not None
    first = child.stdout.readline()
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate()
    assert first == "running\n" and child.returncode == 0, errors
    result = json.loads(output)
    assert result["interrupted"] and result["tasks"] == 1 and result["losses"] > 10 and result["finite"]
    assert result["looks"][0] == result["looks"][1] > 1 and 0 <= result["accuracy"] <= 1
    assert result["modes"] == [True, True, False, True, True]
    assert "RuntimeWarning: interrupted after" in errors and "Traceback" not in errors


def test_an_interruption_before_the_first_task_is_one_of_the_program() -> None:
    model = Interrupted()
    model.at = 3  # after two checks, while the watched data are first looked at
    before = vector(model)
    with pytest.raises(KeyboardInterrupt), pytest.warns(RuntimeWarning, match="interrupted after 0 of 0 steps"):
        cl.learn(model, [blobs(0), blobs(1)], watch={"A": blobs(0)})
    assert torch.equal(vector(model), before)


def test_dropout_follows_the_seed_and_leaves_the_callers_randomness_alone():
    task = cl.mnist(n_train=200, n_test=50)
    before = torch.get_rng_state()
    losses = [cl.train(cl.article_cnn(), task, epochs=1, seed=seed).loss for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_lone_last_sample_is_refused_where_batch_norm_cannot_take_it():
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    split = cl.Split(torch.randn(9, 2), torch.arange(9) % 2)
    with pytest.raises(ValueError, match="batch_size must not leave a batch of one to batch norm, got 4 for 9 samples"):
        cl.train(model, split, batch_size=4)
    cl.train(model, split, batch_size=5)


def test_negative_classes_are_refused():
    model, split = nn.Linear(2, 3), cl.Split(torch.randn(4, 2), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="classes must be at least 0, got -1"):
        cl.evaluate(model, split, classes=(-1, 0))


def test_observe_sees_the_gradient_of_the_task_s_loss_alone() -> None:
    """SI's path under a penalty whose gradient is added to the loss's, against a loop by hand."""
    a, b, model, penalty = blobs(0), blobs(1), small(), cl.SI()
    cl.train(model, a, penalty=penalty, batch_size=25)
    penalty.consolidate(model, a)
    hand, precision, anchor = copy.deepcopy(model), dict(penalty.precision), dict(penalty.anchor)
    cl.train(model, b, penalty=penalty, strength=2.0, step="gradient", epochs=2, batch_size=25, seed=3)
    penalty.consolidate(model, b)

    def now() -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in hand.named_parameters()}

    optimizer = torch.optim.SGD(hand.parameters(), lr=0.05, momentum=0.9)
    start, path, order = now(), dict.fromkeys(anchor, 0.0), torch.Generator().manual_seed(3)
    for _ in range(2):
        for batch in torch.randperm(60, generator=order).split(25):
            optimizer.zero_grad()
            cross_entropy(hand(b.train.x[batch].double()), b.train.y[batch]).backward()
            before, own = now(), {name: p.grad.clone() for name, p in hand.named_parameters()}
            for name, p in hand.named_parameters():
                p.grad += 2.0 * precision[name] * (before[name] - anchor[name])
            optimizer.step()
            path = {name: path[name] - own[name] * (p - before[name]) for name, p in now().items()}
    for name, p in now().items():
        torch.testing.assert_close(model.get_parameter(name).detach(), p, rtol=1e-8, atol=1e-12)
        wanted = precision[name] + path[name].clamp_min(0.0) / ((p - start[name]).square() + 0.1)
        torch.testing.assert_close(penalty.precision[name], wanted, rtol=1e-8, atol=1e-12)


def test_dropout_follows_the_seed_where_the_order_of_the_samples_does_not_matter() -> None:
    same = cl.Split(torch.ones(40, 4), torch.zeros(40, dtype=torch.long))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 20), nn.Dropout(), nn.Linear(20, 3))
    losses = [cl.train(copy.deepcopy(model), same, epochs=1, batch_size=40, seed=seed).loss[0] for seed in (3, 3, 4)]
    assert losses[0] == losses[1] and abs(losses[0] - losses[2]) > 1e-4


@pytest.mark.parametrize("rates", [(0.05, 0.5), (0.5, 0.05)])
def test_the_smallest_limit_of_all_groups_counts(rates: tuple[float, float]) -> None:
    model, penalty = small(), cl.L2()
    penalty.consolidate(model, blobs(0))

    def groups(parameters: Any) -> torch.optim.Optimizer:
        first, *rest = parameters
        return torch.optim.SGD([{"params": [first], "lr": rates[0]}, {"params": rest, "lr": rates[1]}], momentum=0.9)

    with pytest.warns(RuntimeWarning, match=r"strength 50 is above 7\.6, "):  # 2 (1 + 0.9) / 0.5; for 0.05 it is 76
        cl.train(model, blobs(1), penalty=penalty, strength=50.0, step="gradient", optimizer=groups, epochs=0)


def test_warnings_point_at_the_line_that_called() -> None:
    class Stopped(cl.EWC):
        def importance(self, model: nn.Module, data: Any, classes: Any) -> dict[str, Tensor]:
            raise KeyboardInterrupt

    penalty, model = cl.L2(), Interrupted()
    penalty.consolidate(small(), blobs(0))
    model.at = 3  # one pass checks the data
    calls: dict[str, Callable[[], object]] = {
        "interrupted after 1 of": lambda: cl.train(model, blobs(0), epochs=10, batch_size=30),
        "is above .* training diverged": lambda: cl.train(
            small(), blobs(1), penalty=penalty, strength=1e6, step="gradient", epochs=300
        ),
        "interrupted after training 1 of 2 tasks": lambda: cl.learn(small(), [blobs(0), blobs(1)], Stopped(), epochs=1),
    }
    for message, call in calls.items():
        with pytest.warns(RuntimeWarning) as caught:
            call()
        assert re.search(message, " ".join(str(one.message) for one in caught))
        assert {one.filename for one in caught} == {__file__}


def test_learn_measures_the_test_loss() -> None:
    a, b = blobs(0), blobs(1)
    model = small()
    run = cl.learn(model, [a, b], epochs=2)
    first = small()
    cl.train(first, a, epochs=2)
    assert run.loss[0, 0] == cl.evaluate(first, a).loss
    assert run.loss[1].tolist() == [cl.evaluate(model, task).loss for task in (a, b)]


def stepped(losses: Tensor) -> tuple[Recorder, list[bool], list[int]]:
    """A recorder of K networks that make one step for each column of ``losses``, (K, steps); step i sets all weights to i."""
    models, ticks, on = [nn.Linear(2, 3).double() for _ in losses], list[int](), list[bool]()
    recorder = Recorder(models, {"A": cl.Split(torch.eye(2), torch.tensor([0, 1]))}, True, 3, losses.shape[1], ticks.append)
    with recorder:
        for i in range(losses.shape[1] + 1):
            for p in (p for model in models for p in model.parameters()):
                nn.init.constant_(p, float(i))
            if i == 0:
                recorder.look()
            else:
                on.append(recorder(losses[:, i - 1]))
            if on and not on[-1]:
                break
    return recorder, on, ticks


def test_a_recorder_looks_every_few_steps_and_at_the_last() -> None:
    losses = torch.rand(2, 8, dtype=torch.float64)
    recorder, on, ticks = stepped(losses)
    assert all(on) and ticks == [2] * 8
    for history, loss in zip(recorder.histories, losses.tolist(), strict=True):
        assert history.loss == loss and history.steps == [0, 3, 6, 8] and not history.diverged
        assert [kept["weight"].unique().tolist() for kept in history.weights] == [[0.0], [3.0], [6.0], [8.0]]  # copies
        assert len(history.watched["A"]) == 4 and history.watched["A"][0].loss == pytest.approx(math.log(3))


def test_divergence_is_found_at_the_next_look_and_ends_what_has_diverged() -> None:
    nan, inf = math.nan, math.inf
    recorder, on, _ = stepped(torch.tensor([[1.0, 1.0, 1.0, nan, nan, nan, nan, nan]]))
    (history,) = recorder.histories
    assert on == [True] * 5 + [False] and history.diverged and history.steps == [0, 3] and len(history.loss) == 6
    recorder, on, _ = stepped(torch.tensor([[1.0] * 8, [1.0, inf] + [inf] * 6]))
    assert all(on) and [h.diverged for h in recorder.histories] == [False, True]
    assert [h.steps for h in recorder.histories] == [[0, 3, 6, 8], [0]]


def test_a_training_inside_of_consolidating_says_that_it_diverged_with_or_without_bars() -> None:
    class Inner(cl.EWC):
        def importance(self, model: nn.Module, data: Any, classes: Any) -> Any:
            cl.train(
                cl.mlp((3,), n_inputs=2, n_classes=3, device="cpu"), cl.Split(torch.randn(8, 2), torch.arange(8) % 3), lr=1e30
            )
            return super().importance(model, data, classes)

    for progress in (True, False):
        with pytest.warns(RuntimeWarning, match="training diverged"):
            cl.learn(small(), [blobs(1)], Inner(), epochs=1, progress=progress)
