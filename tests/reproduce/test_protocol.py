"""A run of a table is a plain loop over tasks, whatever is shared or quick about it."""

import math
from dataclasses import replace

import pytest
import torch
from small_table import PROTOCOL, tasks
from torch import nn
from torch.nn.functional import cross_entropy

import cl_teach as cl
from cl_teach.reproduce.protocol import Learner, Protocol, run_all

SGD = {"optimizer": "sgd", "lr": 0.05, "momentum": 0.8}


def plain_loop(protocol, tasks, penalty, strength, seed, steps_of=None):
    """The same in the words of the papers' code: the penalty is part of the loss, autograd does the rest."""
    model = cl.mlp(protocol.hidden, protocol.n_inputs, protocol.n_outputs, seed).float()
    kinds = {"adam": torch.optim.Adam, "sgd": lambda p, lr: torch.optim.SGD(p, lr, momentum=protocol.momentum)}
    adam = kinds[protocol.optimizer](model.parameters(), protocol.lr)
    terms = []
    for t, task in enumerate(tasks):
        if protocol.reset:
            adam = kinds[protocol.optimizer](model.parameters(), protocol.lr)
        place = {c: i for i, c in enumerate(task.classes)}
        for chosen in protocol.batches(len(task.train), 1_000 * seed + t):
            x, y = task.train.x[chosen], torch.tensor([place[int(c)] for c in task.train.y[chosen]])
            loss = cross_entropy(model(x)[:, list(task.classes)], y)
            for precision, anchor in terms:
                loss = loss + strength / 2 * sum(
                    (precision[n] * (p - anchor[n]).square()).sum() for n, p in model.named_parameters()
                )
            adam.zero_grad()
            loss.backward()
            adam.step()
        if penalty:
            fisher = cl.diagonal_fisher(model, task)
            terms.append((fisher, {n: p.detach().clone() for n, p in model.named_parameters()}))
    return model


def learnt(protocol, penalty, strength, seed=3, quick=True, n=3):
    learner = Learner(protocol, penalty, strength, seed, quick)
    for task in tasks("early", seed, None)[:n]:
        learner.learn(task)
        learner.remember(task)
    return learner


def assert_same(ours, theirs):
    """Up to rounding, and what Adam makes of it where a gradient is next to nothing: its first step there is all or none."""
    apart = (vector(ours) - vector(theirs)).abs()
    assert (apart > 2e-5 + 2e-4 * vector(theirs).abs()).float().mean() < 0.05 and apart.max() < 0.02


def vector(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    "changed", [{}, {"reset": True}, {"steps": None, "epochs": 2}, {"hidden": (5, 4), "lr": 0.003}], ids=str
)
def test_it_is_the_plain_loop_of_the_papers(changed, quick):
    protocol = replace(PROTOCOL, **changed)
    for penalty, strength in ((None, 1.0), (cl.EWC(), 30.0)):
        ours = learnt(protocol, penalty, strength, quick=quick)
        theirs = plain_loop(protocol, tasks("early", 3, None), penalty is not None, strength, 3)
        assert_same(ours.model, theirs)
    start = vector(cl.mlp(protocol.hidden, protocol.n_inputs, protocol.n_outputs, 3).float())
    assert (vector(ours.model) - start).abs().max() > 0.02  # and it has gone somewhere


def test_adam_s_memory_makes_a_difference():
    kept, anew = (learnt(replace(PROTOCOL, reset=reset), None, 0.0) for reset in (False, True))
    assert (vector(kept.model) - vector(anew.model)).abs().max() > 0.003


def test_strengths_share_the_first_task_and_differ_in_nothing_else():
    found = dict(run_all(PROTOCOL, tasks("early", 3, None), cl.EWC, [0.0, 30.0, 1e4], 3))
    assert list(found) == [0.0, 30.0, 1e4]
    for strength, accuracies in found.items():
        (alone,) = (a for _, a in run_all(PROTOCOL, tasks("early", 3, None), cl.EWC, [strength], 3))
        assert accuracies == alone
        assert [len(line) for line in accuracies] == [1, 2, 3]
        model = learnt(PROTOCOL, cl.EWC(), strength).model
        for task, accuracy in zip(tasks("early", 3, None), accuracies[-1], strict=True):
            right = (model(task.test.x)[:, list(task.classes)].argmax(1) == task.test.y - task.classes[0]).float().mean()
            assert math.isclose(accuracy, float(right), abs_tol=1e-6)
    assert found[0.0] == next(a for _, a in run_all(PROTOCOL, tasks("early", 3, None), lambda: None, [0.0], 3))
    assert found[0.0] != found[1e4]


def test_batches_are_passes():
    counted = Protocol(batch_size=4, steps=7)
    drawn = list(counted.batches(10, 5))
    assert [len(chosen) for chosen in drawn] == [4, 4, 2, 4, 4, 2, 4]
    assert sorted(torch.cat(drawn[:3]).tolist()) == sorted(torch.cat(drawn[3:6]).tolist()) == list(range(10))
    assert not torch.equal(torch.cat(drawn[:3]), torch.cat(drawn[3:6]))
    assert all(torch.equal(a, b) for a, b in zip(drawn, counted.batches(10, 5), strict=True))
    assert not torch.equal(drawn[0], next(counted.batches(10, 6)))
    dropped = list(Protocol(batch_size=4, steps=5, drop_last=True).batches(10, 5))
    assert [len(chosen) for chosen in dropped] == [4] * 5
    assert torch.equal(dropped[2], drawn[3])  # the next pass
    assert len(list(Protocol(batch_size=4, epochs=3).batches(10, 5))) == 9
    assert len(list(Protocol(batch_size=4, epochs=3, drop_last=True).batches(10, 5))) == 6
    assert [len(chosen) for chosen in Protocol(batch_size=16, steps=2, drop_last=True).batches(10, 5)] == [10, 10]


@pytest.mark.parametrize("form", ["decoupled", "proximal"])
def test_forms_that_act_after_adam_s_step(form):
    strength, seed, protocol = 40.0, 3, replace(PROTOCOL, form=form)
    ours = learnt(protocol, cl.LatestEWC(), strength, n=2)
    first, second = tasks("early", seed, None)[:2]
    other = Learner(PROTOCOL, None, 0.0, seed, quick=False)
    other.learn(first)
    fisher = cl.diagonal_fisher(other.model, first)
    anchor = {n: p.detach().clone() for n, p in other.model.named_parameters()}
    for chosen in PROTOCOL.batches(len(second.train), 1_000 * seed + 1):
        loss = cross_entropy(other.model(second.train.x[chosen])[:, [2, 3]], second.train.y[chosen] - 2)
        other.optimizer.zero_grad()
        loss.backward()
        other.optimizer.step()
        with torch.no_grad():
            for n, p in other.model.named_parameters():
                state = other.optimizer.state[p]
                size = 0.01 / ((state["exp_avg_sq"] / (1 - 0.999 ** state["step"])).sqrt() + 1e-8)
                if form == "decoupled":
                    p -= 0.01 * strength * fisher[n] * (p - anchor[n])
                else:  # the minimum of (p' - p)^2 / (2 size) + strength / 2 * F (p' - m)^2
                    p.copy_((p / size + strength * fisher[n] * anchor[n]) / (1 / size + strength * fisher[n]))
    assert_same(ours.model, other.model)
    free = learnt(PROTOCOL, None, 0.0, n=2)
    assert (vector(ours.model) - vector(free.model)).abs().max() > 0.01


def test_only_the_proximal_form_is_stable_at_any_strength():
    last = {}
    for form in ("decoupled", "proximal"):
        protocol = replace(PROTOCOL, form=form)
        ((_, accuracies),) = run_all(protocol, tasks("early", 3, None), cl.LatestEWC, [1e13], 3)
        last[form] = accuracies[-1]
    assert last["decoupled"] == [0.0, 0.0, 0.0]  # no finite weights are left
    learner = Learner(replace(PROTOCOL, form="proximal"), cl.LatestEWC(), 1e13, 3)
    learner.learn(tasks("early", 3, None)[0])
    learner.remember(tasks("early", 3, None)[0])
    learner.learn(tasks("early", 3, None)[1])
    for n, p in learner.model.named_parameters():
        held = learner.penalty.precision[n] > 1e-6
        torch.testing.assert_close(p[held], learner.penalty.anchor[n][held], rtol=0, atol=1e-4)


def test_the_proximal_form_of_sgd_is_that_of_the_penalty():
    protocol = replace(PROTOCOL, form="proximal", **SGD)
    learner, other = (Learner(protocol, cl.LatestEWC(), 50.0, 3) for _ in range(2))
    first, second = tasks("early", 3, None)[:2]
    for each in (learner, other):
        each.learn(first)
        each.remember(first)
    learner.learn(second)
    for chosen in protocol.batches(len(second.train), 3_001):
        other.optimizer.zero_grad()
        cross_entropy(other.model(second.train.x[chosen])[:, [2, 3]], second.train.y[chosen] - 2).backward()
        other.optimizer.step()
        other.penalty.proximal_step(other.model, 0.05 * 50.0 / (1 - 0.8))
    torch.testing.assert_close(vector(learner.model), vector(other.model))


def test_heads_of_their_own():
    """In the words of Hsu's code, whose torch set gradients to zero where they had been something."""
    protocol = replace(PROTOCOL, own_heads=2)
    whole = cl.mlp(protocol.hidden, 6, 4, 3).float()
    heads = [(whole[-1].weight.detach()[i : i + 2].clone(), whole[-1].bias.detach()[i : i + 2].clone()) for i in (0, 2)]
    flat_heads = [t.requires_grad_() for head in heads for t in head]
    adam = torch.optim.Adam([*whole[:-1].parameters(), *flat_heads], protocol.lr)
    state = torch.get_rng_state()
    learner, quick = (Learner(protocol, None, 0.0, 3, quick=quick) for quick in (False, True))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(learner.model(torch.ones(1, 6)), whole(torch.ones(1, 6)))
    found = tasks("early", 3, None)
    for t, task in enumerate(found):
        old = flat_heads[0].detach().clone()
        for chosen in protocol.batches(len(task.train), 3_000 + t):
            weight, bias = heads[t % 2]
            adam.zero_grad(set_to_none=False)
            logits = whole[:-1](task.train.x[chosen]) @ weight.T + bias
            cross_entropy(logits, task.train.y[chosen] - task.classes[0]).backward()
            adam.step()
        assert not torch.equal(old, flat_heads[0].detach())  # also while the second task is learnt
        learner.learn(task)
        quick.learn(task)
    for model in (learner.model, quick.model):
        assert_same(model, nn.ParameterList([*whole[:-1].parameters(), *flat_heads]))
    wanted = [float((whole[:-1](t.test.x) @ w.T + b).argmax(1).eq(t.test.y - t.classes[0]).float().mean())
              for t, (w, b) in zip(found, [*heads, heads[0]], strict=True)]  # fmt: skip
    assert learner.tested(found) == pytest.approx(wanted, abs=0.026)
    one_layer = learnt(PROTOCOL, None, 0.0)
    assert (vector(one_layer.model) - vector(learner.model)).abs().max() > 0.01


def test_sgd_is_the_plain_loop_too():
    protocol = replace(PROTOCOL, **SGD)
    ours, theirs = learnt(protocol, cl.EWC(), 3.0), plain_loop(protocol, tasks("early", 3, None), True, 3.0, 3)
    assert_same(ours.model, theirs)


def test_double_precision():
    assert next(replace(PROTOCOL, double=False).network(1).parameters()).dtype == torch.float32
    for double, dtype in ((None, torch.float32), (True, torch.float64)):
        learner = learnt(replace(PROTOCOL, double=double), cl.EWC(), 3.0)
        assert {p.dtype for p in learner.model.parameters()} == {dtype}
    start = cl.mlp(PROTOCOL.hidden, 6, 4, 3)
    assert_same(replace(PROTOCOL, double=True).network(3), start)
    assert_same(learner.model, learnt(PROTOCOL, cl.EWC(), 3.0).model)


def test_dropout():
    protocol = replace(PROTOCOL, hidden=(5, 4), dropout=(0.2, 0.5))
    kinds = [(type(layer).__name__, getattr(layer, "p", None)) for layer in protocol.network(3)]
    hidden = [("Linear", None), ("ReLU", None), ("Dropout", 0.5)]
    assert kinds == [("Flatten", None), ("Dropout", 0.2), *hidden, *hidden, ("Linear", None)]
    plain = replace(protocol, dropout=None).network(3)
    assert torch.equal(vector(protocol.network(3)), vector(plain))
    torch.manual_seed(8)
    state = torch.get_rng_state()
    one, two = (learnt(protocol, None, 0.0) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(vector(one.model), vector(two.model))
    without = learnt(replace(protocol, dropout=None), None, 0.0)
    assert (vector(one.model) - vector(without.model)).abs().max() > 0.01
    found = tasks("early", 3, None)
    assert one.tested(found) == two.tested(found) == one.tested(found)  # nothing is dropped in a test
