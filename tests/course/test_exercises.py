"""Checks tell a right answer from a wrong one, say what is wrong without giving the answer away, and never stop a lesson."""

import math
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils import parameters_to_vector

import cl_teach as cl
from cl_teach.course import exercises, suspects
from cl_teach.course.exercises import EXERCISES, lesson_8
from cl_teach.course.exercises.exercise import Function, Number, Wrong
from cl_teach.course.exercises.lesson_3 import NAMES

# --- answers as students write them -----------------------------------------------------------------------------------


def half_life(steps, accuracy):
    middle = (accuracy[0] + accuracy[-1]) / 2
    return float(np.interp(middle, accuracy[::-1], steps[::-1]))


def first_below(steps, accuracy):
    return next(s for s, a in zip(steps, accuracy, strict=True) if a <= (accuracy[0] + accuracy[-1]) / 2)


def below(level):
    return lambda steps, accuracy: float(np.interp(level(accuracy), accuracy[::-1], steps[::-1]))


def in_place(theta, anchor, gradient, lr, strength):
    theta -= lr * (gradient + strength * (theta - anchor))
    return theta


def fisher(weights, reduce="mean", square=True, first="square"):
    """By sample and label, with ``weights`` of the two labels from p and y."""

    def my_fisher(model, x, y):
        total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for sample, label in zip(x, y, strict=True):
            p = model(sample[None]).sigmoid().item()
            for k, weight in enumerate(weights(p, int(label))):
                loss = binary_cross_entropy_with_logits(model(sample[None])[0, 0], sample.new_tensor(float(k)))
                for (name, q), g in zip(
                    model.named_parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
                ):
                    total[name] += weight * (g**2 if square and first == "square" else g).view_as(q)
        n = len(x) if reduce == "mean" else 1
        return {name: (t / n if first == "square" else (t / n) ** 2) for name, t in total.items()}

    return my_fisher


def expected(p, label):
    return 1 - p, p


def with_graph(model, x, y):
    p = model(x).sigmoid()[:, 0]
    total = {name: 0.0 for name, _ in model.named_parameters()}
    for i, sample in enumerate(x):
        for name, g in zip(total, torch.autograd.grad(model(sample[None])[0, 0], list(model.parameters())), strict=True):
            total[name] = total[name] + p[i] * (1 - p[i]) * g**2 / len(x)
    return total


def cut_off(model, x, y):
    return {name: f.detach() for name, f in with_graph(model, x, y).items()}


def ewc_loss(model, x, y, precision, anchor, strength):
    loss = cross_entropy(model(x), y)
    for name, p in model.named_parameters():
        loss = loss + strength / 2 * (precision[name] * (p - anchor[name]) ** 2).sum()
    return loss


def penalised(term, factor=0.5):
    def loss(model, x, y, precision, anchor, strength):
        total = sum(term(precision[name], p, anchor[name]) for name, p in model.named_parameters())
        return cross_entropy(model(x), y) + factor * strength * total

    return loss


def last_parameter_only(model, x, y, precision, anchor, strength):
    for name, p in model.named_parameters():
        penalty = (precision[name] * (p - anchor[name]) ** 2).sum()
    return cross_entropy(model(x), y) + strength / 2 * penalty


def merged(f1, m1, f2, m2):
    return torch.where(f1 + f2 > 0, (f1 * m1 + f2 * m2) / (f1 + f2), m1)


def project(p, o, u, v):
    gap = p - o
    return gap @ u, gap @ v, (gap - (gap @ u) * u - (gap @ v) * v).norm()


def paper(p, q):
    return math.dist(p[:2], q[:2])


def bounds(p, q):
    return math.hypot(paper(p, q), p[2] - q[2]), math.hypot(paper(p, q), p[2] + q[2])


def hold(which, start=lambda model: model.train(), over=lambda model: model.modules()):
    def hold_statistics(model):
        start(model)
        for layer in over(model):
            if which(layer):
                layer.eval()

    return hold_statistics


def keeps(layer):
    return getattr(layer, "running_mean", None) is not None


def learning(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def matrix_numbers(accuracy):
    last = len(accuracy) - 1
    falls = [max(accuracy[j:last, j]) - accuracy[last, j] for j in range(last)]
    return sum(accuracy[last]) / (last + 1), sum(falls) / last


def online_ewc(fishers, weights, decay):
    precision, anchor = 0.0, None
    for f, w in zip(fishers, weights, strict=True):
        precision, anchor = decay * precision + f, w
    return precision, anchor


def pulled(P, m, F, theta):
    anchor = (P * m + F * theta) / (P + F)
    return torch.where(anchor.isnan(), m, anchor) - theta


def overlap_of(fisher_a, fisher_b):
    total_a, total_b = (sum(f.sum() for f in fisher.values()) for fisher in (fisher_a, fisher_b))
    return sum(((fisher_a[name] / total_a) * (fisher_b[name] / total_b)).sqrt().sum() for name in fisher_a)


def joined(fisher):
    return torch.cat([f.flatten() for f in fisher.values()])


def among(logits, seen):
    return torch.tensor(seen)[logits[:, seen].argmax(1)]


def masked(logits, seen):
    others = [c for c in range(logits.shape[1]) if c not in seen]
    return logits.index_fill(1, torch.tensor(others), -math.inf).argmax(1)


def grown(weight, bias, new_weight, new_bias):
    return torch.cat([weight, new_weight]), torch.cat([bias, new_bias])


def more(weight, bias, n):
    return grown(weight, bias, torch.zeros(n, weight.shape[1]).double(), torch.zeros(n).double())


def squares(g, B):
    return g.square().mean(0) + (B - 1) * g.mean(0).square()


def slid(a, b, h, k, epochs):
    theta = a
    for _ in range(epochs):
        theta = (h * b + k * theta) / (h + k)
    return theta


SIX = {
    "U": "weighted",
    "V": "batch mean times size",
    "W": "predicted",
    "X": "sum",
    "Y": "exact",
    "Z": "batch mean",
}


def whole_step(theta, anchor, F, c):
    return anchor + torch.linalg.solve(torch.eye(len(F)).to(F) + c * F, theta - anchor)


TRUTH = {"P": "predicted", "Q": "batch means", "R": "weighted", "S": "exact", "T": "true"}

# Each in the form of the solution and in others: other formulas, float32, numpy, plain numbers, lists.
RIGHT = {
    "1.1": [
        lambda before, after: (before - after) / (before - 0.1),
        lambda before, after: 1 - (after - 0.1) / (before - 0.1),
        lambda before, after: torch.tensor([(before - after) / (before - 0.1)], dtype=torch.float32),
        lambda before, after: np.float32((before - after) / (before - 0.1)),
    ],
    "1.2": [half_life, lambda s, a: np.float64(half_life(s, a)), lambda s, a: torch.tensor(half_life(s, a))],
    "1.3": [0.696, torch.tensor(0.696), np.float32(0.67), 0.71, torch.tensor([0.7])],
    "2.1": [
        lambda theta, anchor, gradient, lr, strength: theta - lr * (gradient + strength * (theta - anchor)),
        lambda theta, anchor, gradient, lr, strength: (1 - lr * strength) * theta + lr * (strength * anchor - gradient),
        lambda theta, anchor, gradient, lr, strength: (theta - lr * (gradient + strength * (theta - anchor))).float().numpy(),
    ],
    "2.2": [lambda c, n, k: 2 * c / (n * k), lambda c, n, k: torch.tensor(2 * c / n / k, dtype=torch.float32)],
    "2.3": [
        lambda h, b, anchor, strength: (h * b + strength * anchor) / (h + strength),
        lambda h, b, anchor, strength: (b.float() + (strength / (h + strength)) * (anchor - b)).tolist(),
    ],
    "2.4": [lambda strength, k: strength / k**2, lambda strength, k: np.float32(strength) * np.float32(k) ** -2],
    "3.1": [fisher(expected), cut_off, lambda *args: {name: f.float() for name, f in cut_off(*args).items()}],
    "3.2": [lambda n_a, n_b, batch: batch / (2 * n_b), lambda n_a, n_b, batch: torch.tensor(0.5 * batch / n_b)],
    "3.3": [TRUTH],
    "4.1": [ewc_loss, penalised(lambda f, p, m: (f * (p**2 - 2 * p * m + m**2)).sum()), lambda *args: ewc_loss(*args).float()],
    "4.2": [
        merged,
        lambda f1, m1, f2, m2: (f1 * m1 + f2 * m2) / (f1 + f2 + 1e-12),
        lambda f1, m1, f2, m2: torch.nan_to_num((f1 * m1 + f2 * m2) / (f1 + f2), nan=7.0),
        lambda f1, m1, f2, m2: merged(*(t.float() for t in (f1, m1, f2, m2))).numpy(),
    ],
    "4.3": [
        lambda lr, momentum, F, h: (2 * (1 + momentum) / lr - h) / F,
        lambda lr, momentum, F, h: torch.tensor((2 * (1 + momentum) - lr * h) / (lr * F), dtype=torch.float32),
    ],
    "5.1": [project, lambda *args: torch.stack(project(*args)), lambda *args: [float(n) for n in project(*args)]],
    "5.2": [4.284, torch.tensor(4.284), 5.14, 4.2],
    "5.3": [bounds, lambda p, q: torch.tensor(bounds(p, q)), lambda p, q: np.array(bounds(p, q), dtype=np.float32)],
    "5.4": [
        lambda F, d: (F.diagonal() * d**2).sum() / (d @ F @ d),
        lambda F, d: float((d * F.diag() * d).sum() / torch.einsum("i,ij,j", d, F, d)),
    ],
    "6.1": [matrix_numbers, lambda a: torch.stack(matrix_numbers(a)).float(), lambda a: [float(n) for n in matrix_numbers(a)]],
    "6.2": [
        online_ewc,
        lambda f, w, d: [sum(d ** (len(f) - 1 - k) * f[k] for k in range(len(f))), w[-1]],
        lambda f, w, d: tuple(t.float().numpy() for t in online_ewc(f, w, d)),
    ],
    "6.3": [pulled, lambda P, m, F, theta: (P * (m - theta)).where(P + F > 0, m - theta) / (P + F).where(P + F > 0, 1.0)],
    "6.4": [overlap_of, lambda a, b: float(((joined(a) * joined(b)) / (joined(a).sum() * joined(b).sum())).sqrt().sum())],
    "7.1": [
        among,
        masked,
        lambda z, seen: [seen[k] for k in z[:, seen].argmax(1).tolist()],
        lambda z, seen: among(z.softmax(1), seen).float(),
    ],
    "7.2": [
        lambda seen, size: min(1, size / (seen + 1)),
        lambda seen, size: 1 if seen < size else size / (1 + seen),
        lambda seen, size: torch.tensor(size / (seen + 1), dtype=torch.float32).clamp(max=1),
    ],
    "7.3": [more, lambda w, b, n: [t.float() for t in more(w, b, n)], lambda w, b, n: [t.numpy() for t in more(w, b, n)]],
    "7.4": [0.822, 0.62, torch.tensor(0.7)],
    "8.1": [SIX],
    "8.2": [
        squares,
        lambda g, B: (g.var(0, unbiased=False) / B + g.mean(0) ** 2) * B,
        lambda g, B: squares(g, B).float().numpy(),
    ],
    "8.3": [slid, lambda a, b, h, k, n: b + (a - b) / (1 + h / k) ** n, lambda *args: torch.tensor(slid(*args)).float()],
    "8.4": [lambda c, n: 2 * c * (n + 1) / n, lambda c, n: torch.tensor(2 * (c + c / n), dtype=torch.float32)],
    "9.1": [
        lambda D, R, S: R @ D @ S,
        lambda D, R, S: torch.einsum("op,pi,ij->oj", R, D, S).float(),
        lambda D, R, S: (torch.kron(R, S) @ D.flatten()).view_as(D).numpy(),
    ],
    "9.2": [
        lambda G, d: ((G @ d) ** 2).mean(),
        lambda G, d: float(d @ (G.T @ G / len(G)) @ d),
        lambda G, d: np.float32(np.mean((G.numpy() @ d.numpy()) ** 2)),
    ],
    "9.3": [
        whole_step,
        lambda theta, anchor, F, c: torch.linalg.inv(torch.eye(len(F)).double() + c * F) @ (theta + c * F @ anchor),
        lambda theta, anchor, F, c: whole_step(theta.float(), anchor.float(), F.float(), c).numpy(),
    ],
    "9.4": [0.00025, 1 / 4000, torch.tensor(3 / 12000)],
    "10.1": [hold(keeps), hold(lambda m: False, start=lambda m: [k.train(not keeps(k)) for k in m.modules()])],
    "10.2": [20.0, 20, torch.tensor(20.0), 0.01 * 200 / (1 - 0.9)],
    "10.3": ["statistics"],
    "10.4": [
        lambda model: 2 * learning(model),
        lambda model: float(sum(2 * p.numel() for p in model.parameters() if p.requires_grad)),
        lambda model: sum(
            2 * p.numel() for p in {id(p): p for p in model.state_dict(keep_vars=True).values() if p.requires_grad}.values()
        ),
    ],
    "10.5": ["when it is consolidated"],
    "11.1": [lambda deviation, n: deviation / n**0.5, lambda deviation, n: torch.tensor(deviation) / math.sqrt(n)],
    "11.2": [
        lambda ours, a, theirs, b: abs(theirs - ours) / (a * a + b * b) ** 0.5,
        lambda ours, a, theirs, b: np.abs(ours - theirs) / np.hypot(a, b),
    ],
    "11.3": [lambda c, n: c * n * 2, lambda c, n: c / 0.5 * n],
    "11.4": ["lambda = 0"],
}

# Wrong answers, and words that must be in what is said of each.
WRONG = {
    "1.1": [
        (lambda b, a: 1 - (b - a) / (b - 0.1), "share that was kept"),
        (lambda b, a: (b - a) / b, "counts from 0 %"),
        (lambda b, a: b - a, "compares them with"),
        (lambda b, a: (b - a) / (b - 0.1) * 100, "in percent"),
        (lambda b, a: (a - b) / (b - 0.1), "with a minus"),
        (lambda b, a: (b - 0.1) / (b - a), "upside down"),
        (lambda b, a: (b - a) / (1 - 0.1), "perfect network"),
        (lambda b, a: (b - 0.1 - a) / (b - 0.1), "needs no correction"),
        (lambda b, a: 0.75, "if the network falls to guessing"),
    ],
    "1.2": [
        (first_below, "first measured step"),
        (lambda s, a: s[s.index(first_below(s, a)) - 1], "last measured step"),
        (below(lambda a: a[0] / 2), "half of the first accuracy"),
        (below(lambda a: (a[0] + 0.1) / 2), "way to guessing"),
        (lambda s, a: s.index(first_below(s, a)), "a place in the list"),
        (lambda s, a: s[-1] / 2, "whatever the curve does"),
        (lambda s, a: (a[0] + a[-1]) / 2, "is the accuracy"),
        (lambda s, a: 10.0, "halfway between the first and the last"),
    ],
    "1.3": [
        (0.787, "relative to the accuracy before"),
        (0.888, "exercise 1.1"),
        (0.188, "what is left"),
        (69.6, "in percent"),
        (-0.696, "sign"),
        (0.15, "never seen"),
        (0.0, "hardly anything"),
        (0.55, "train on one"),
        (torch.tensor([0.7, 0.7]), "these are 2"),
    ],
    "2.1": [
        (lambda t, a, g, lr, s: t - lr * (g + s * t), "weight decay"),
        (lambda t, a, g, lr, s: t - lr * (g - s * (t - a)), "pushes away"),
        (lambda t, a, g, lr, s: t + lr * (g + s * (t - a)), "uphill"),
        (lambda t, a, g, lr, s: t - lr * g - s * (t - a), "shortened"),
        (lambda t, a, g, lr, s: t - lr * (g + 2 * s * (t - a)), "twice as hard"),
        (lambda t, a, g, lr, s: t - lr * (g + 0.5 * s * (t - a)), "half as hard"),
        (lambda t, a, g, lr, s: t - lr * (g + s * (t - a) / t.numel()), "a mean for a sum"),
        (lambda t, a, g, lr, s: t - lr * (g + s * (t - a).sum()), "the same pull"),
        (lambda t, a, g, lr, s: t - lr * (g + s * (t - a) ** 2), "square in it"),
        (lambda t, a, g, lr, s: g + s * (t - a), "this is the gradient"),
        (lambda t, a, g, lr, s: t - lr * g, "no difference"),
        (lambda t, a, g, lr, s: -lr * (g + s * (t - a)), "where do they arrive"),
        (lambda t, a, g, lr, s: (t - lr * (g + s * (t - a))).norm(), "one number, where the shape"),
        (lambda t, a, g, lr, s: (t - lr * (g + s * (t - a)))[None], "the result has the shape"),
        (lambda t, a, g, lr, s: -(t - lr * (g + s * (t - a))), "wrong sign"),
        (lambda t, a, g, lr, s: 3 * (t - lr * (g + s * (t - a))), "constant factor, by which it is too large"),
        (in_place, "changes the very tensors"),
    ],
    "2.2": [
        (lambda c, n, k: c / n / k, "in front of our sum"),
        (lambda c, n, k: c / (2 * n * k), "larger or the smaller"),
        (lambda c, n, k: 2 * c / k, "sum over samples, ours is a mean"),
        (lambda c, n, k: 2 * c / n, "mean over weights, ours is a sum"),
        (lambda c, n, k: 2 * c * k / n, "our sum, which is the larger"),
        (lambda c, n, k: 2 * c * n / k, "our mean, which is the larger"),
        (lambda c, n, k: 2 * c, "stand in the same places"),
        (lambda c, n, k: (n * k) / (2 * c), "upside down"),
        (lambda c, n, k: c + n, "begins as ours does"),
    ],
    "2.3": [
        (lambda h, b, a, s: (s * b + h * a) / (h + s), "nearer to b"),
        (lambda h, b, a, s: (a + b) / 2, "this is the middle"),
        (lambda h, b, a, s: (h * b + s / 2 * a) / (h + s / 2), "too weakly"),
        (lambda h, b, a, s: (h * b + 2 * s * a) / (h + 2 * s), "too hard"),
        (lambda h, b, a, s: h * b + s * a, "do not add up to one"),
        (lambda h, b, a, s: (b + s * a) / (1 + s), "curvature"),
        (lambda h, b, a, s: (h * b - s * a) / (h - s), "a sign"),
        (lambda h, b, a, s: (h * b + s * a).sum() / (h + s).sum(), "one number, where the shape"),
        (lambda h, b, a, s: (b - a) / 3, "two gradients cancel"),
    ],
    "2.4": [
        (lambda s, k: s / k, "enters the penalty not as it is"),
        (lambda s, k: s * k, "make up for it"),
        (lambda s, k: s * k**2, "larger still"),
        (lambda s, k: s, "more firmly than before"),
        (lambda s, k: s / k / 2, "not squaring"),
        (lambda s, k: s / math.sqrt(k), "another power"),
        (lambda s, k: s - k, "as a number must stay"),
    ],
    "3.1": [
        (fisher(lambda p, label: (1 - label, label)), "labels of the data"),
        (fisher(lambda p, label: (p <= 0.5, p > 0.5)), "more likely label"),
        (fisher(lambda p, label: (1 - label, label), first="mean"), "mean over samples first"),
        (fisher(lambda p, label: (1 - label, label), first="mean", reduce="sum"), "sum over samples first"),
        (fisher(expected, reduce="sum"), "with more data it would grow"),
        (fisher(lambda p, label: (1, 1)), "how often does the model expect"),
        (fisher(lambda p, label: (0.5, 0.5)), "both labels count alike"),
        (fisher(expected, square=False, first="mean"), "before the square"),
        (fisher(lambda p, label: (0, p)), "only label 1"),
        (fisher(lambda p, label: (1 - p, 0)), "only label 0"),
        (lambda *args: torch.cat([f.flatten() for f in cut_off(*args).values()]), "a dict is asked"),
        (lambda *args: list(cut_off(*args).values()), "this is a list"),
        (lambda *args: {f"layer.{name}": f for name, f in cut_off(*args).items()}, "the names are not"),
        (lambda *args: {name: f[..., None] for name, f in cut_off(*args).items()}, "the result has the shape"),
        (with_graph, "hangs on the graph"),
        (lambda *args: {name: f.sqrt() for name, f in cut_off(*args).items()}, "for each sample and each"),
        (lambda *args: {name: 2 * f for name, f in cut_off(*args).items()}, "constant factor"),
    ],
    "3.2": [
        (lambda n_a, n_b, batch: n_a / n_b, "means on both sides"),
        (lambda n_a, n_b, batch: batch * n_a / (2 * n_b), "counted twice"),
        (lambda n_a, n_b, batch: batch / n_b, "nearly"),
        (lambda n_a, n_b, batch: 1 / (2 * n_b), "mean over a batch"),
        (lambda n_a, n_b, batch: 0.5, "held all of B"),
        (lambda n_a, n_b, batch: n_b / (2 * batch), "upside down"),
        (lambda n_a, n_b, batch: batch / (2 * n_a), "not of A's"),
        (lambda n_a, n_b, batch: n_a - n_b, "minus the log posterior"),
    ],
    "3.3": [
        (TRUTH | {"P": "exact"}, "P is not 'exact'. Then labels"),
        (TRUTH | {"S": "predicted"}, "S is not 'predicted'. Then labels"),
        (TRUTH | {"Q": "true"}, "Q is not 'true'. Then other labels"),
        (TRUTH | {"T": "batch means"}, "T is not 'batch means'. Then two samples"),
        (TRUTH | {"T": "weighted"}, "T is not 'weighted'. Then a label"),
        (TRUTH | {"S": "uniform"}, "S is not 'uniform'. Then it would be large"),
        (TRUTH | {"S": "sample"}, "S is not 'sample'. Then one sample"),
        (TRUTH | {"Q": "true", "R": "true"}, "Nor is all right with R"),
        (TRUTH | {"P": "the best"}, "'the best' is none of"),
        ({"P": "predicted"}, "each of P, Q, R, S, T"),
    ],
    "4.1": [
        (lambda model, x, y, *rest: cross_entropy(model(x), y), "on B alone"),
        (penalised(lambda f, p, m: (f * (p.detach() - m) ** 2).sum()), "no gradient flows"),
        (penalised(lambda f, p, m: ((p - m) ** 2).sum()), "this is L2"),
        (penalised(lambda f, p, m: (f * p**2).sum()), "towards zero"),
        (penalised(lambda f, p, m: (f * (p - m) ** 2).sum(), 1.0), "twice too large"),
        (penalised(lambda f, p, m: (f * (p - m) ** 2).sum(), 0.25), "half of what"),
        (penalised(lambda f, p, m: (f * (p - m) ** 2).sum(), -0.5), "subtracted"),
        (penalised(lambda f, p, m: (f * (p - m) ** 2).mean()), "each tensor's mean"),
        (penalised(lambda f, p, m: (f**2 * (p - m) ** 2).sum()), "importance is squared"),
        (penalised(lambda f, p, m: (f * (p - m)).sum()), "square of the distance is missing"),
        (penalised(lambda f, p, m: (f * (p - m).abs()).sum()), "as it is, without its square"),
        (penalised(lambda f, p, m: (f.sqrt() * (p - m) ** 2).sum()), "root of the importance"),
        (penalised(lambda f, p, m: f.sum() * ((p - m) ** 2).sum()), "added up apart"),
        (lambda model, x, y, F, m, s: ewc_loss(model, x, y, F, m, 1.0), "strength makes no difference"),
        (lambda model, x, y, F, m, s: ewc_loss(model, x, y, F, m, 2.0), "no difference here, and the factor"),
        (lambda model, x, y, F, m, s: ewc_loss(model, x, y, F, m, s) - cross_entropy(model(x), y), "B is not learnt"),
        (last_parameter_only, "only the last parameter"),
        (lambda *args: ewc_loss(*args).item(), "no gradient flows back"),
        (lambda *args: ewc_loss(*args) * torch.ones(3), "a loss is one number"),
        (lambda *args: 3 * ewc_loss(*args), "the ordinary loss"),
    ],
    "4.2": [
        (lambda f1, m1, f2, m2: (f1 * m1 + f2 * m2) / (f1 + f2), "matter to neither task"),
        (lambda f1, m1, f2, m2: (m1 + m2) / 2, "halfway"),
        (lambda f1, m1, f2, m2: merged(f2, m1, f1, m2), "held less firmly"),
        (lambda f1, m1, f2, m2: f1 * m1 + f2 * m2, "do not add up to one"),
        (lambda f1, m1, f2, m2: (f1 * m1 + f2 * m2) / 2, "the number of tasks"),
        (lambda f1, m1, f2, m2: m2, "online EWC"),
        (lambda f1, m1, f2, m2: m1 + m2, "their sum"),
        (lambda f1, m1, f2, m2: merged(f1, m1, f2, m2).sum(), "one number, where the shape"),
        (lambda f1, m1, f2, m2: m1 / f1, "NaN or infinite"),
        (lambda f1, m1, f2, m2: merged(f1, m1, f2, m2) + 1, "see where it is zero"),
    ],
    "4.3": [
        (lambda lr, b, F, h: 2 * (1 + b) / (lr * F), "B's own curvature"),
        (lambda lr, b, F, h: (2 * (1 + b) / lr + h) / F, "takes some of the room"),
        (lambda lr, b, F, h: 2 * (1 + b) / (lr * F) - h, "taken off from a strength"),
        (lambda lr, b, F, h: 2 * (1 + b) / (lr * (F + h)), "only one of the two curvatures"),
        (lambda lr, b, F, h: (2 * (1 - b) / lr - h) / F, "other way"),
        (lambda lr, b, F, h: (2 / lr - h) / F, "momentum makes no difference"),
        (lambda lr, b, F, h: ((1 + b) / lr - h) / F, "half of the room"),
        (lambda lr, b, F, h: F / (2 * (1 + b) / lr - h), "upside down"),
        (lambda lr, b, F, h: 100.0, "curvature of the whole loss"),
    ],
    "5.1": [
        (lambda p, o, u, v: project(p, 0 * o, u, v), "this is measured from zero"),
        (lambda p, o, u, v: (p @ u, p @ v, project(p, o, u, v)[2]), "x and y are measured from zero"),
        (lambda p, o, u, v: project(o, p, u, v), "wrong sign"),
        (lambda p, o, u, v: project(p, o, v, u), "exchanged"),
        (lambda p, o, u, v: (*project(p, o, u, v)[:2], p - o - (p - o) @ u * u - (p - o) @ v * v), "still an arrow"),
        (lambda p, o, u, v: (*project(p, o, u, v)[:2], project(p, o, u, v)[2] ** 2), "squared"),
        (lambda p, o, u, v: (*project(p, o, u, v)[:2], (p - o).norm()), "way from the origin"),
        (lambda p, o, u, v: (*project(p, o, u, v)[:2], (p - o - (p - o) @ u * u).norm()), "along v"),
        (lambda p, o, u, v: project(p, o, u, v)[:2], "has to be 3 numbers, and these are 2"),
        (lambda p, o, u, v: {"x": 1}, "no dict"),
        (lambda p, o, u, v: (1.0, 2.0, 3.0), "how far along u"),
    ],
    "5.2": [
        (8.35, "first coordinate"),
        (0.75, "second coordinate"),
        (9.42, "how far it went in all"),
        (2.37, "L2 is off the lesson's plane"),
        (5.91, "EWC is off the plane"),
        (5.25, "how far L2 went"),
        (7.70, "how far EWC went"),
        (18.4, "squared"),
        (0.0, "not off it"),
        (cl.landscapes.Projection(8.35, 0.75, 4.284), "these are 3"),
        (6.8, "lay the plane through"),
    ],
    "5.3": [
        (lambda p, q: (paper(p, q), paper(p, q)), "distance on the paper"),
        (lambda p, q: (paper(p, q), bounds(p, q)[1]), "as small as on the paper"),
        (lambda p, q: bounds(p, q)[::-1], "comes first"),
        (lambda p, q: (bounds(p, q)[0], math.hypot(paper(p, q), p[2], q[2])), "worse than that"),
        (lambda p, q: (paper(p, q) + abs(p[2] - q[2]), paper(p, q) + p[2] + q[2]), "lengths are added"),
        (lambda p, q: tuple(b**2 for b in bounds(p, q)), "squares"),
        (lambda p, q: bounds(p, q)[0], "has to be 2 numbers, and these are 1"),
        (lambda p, q: (0.0, 1.0), "turn one arrow"),
    ],
    "5.4": [
        (lambda F, d: (d @ F @ d) / (F.diagonal() * d**2).sum(), "upside down"),
        (lambda F, d: 1 - (F.diagonal() * d**2).sum() / (d @ F @ d), "leaves out"),
        (lambda F, d: (F.diagonal() * d).sum() / (d @ F @ d), "there once"),
        (lambda F, d: F.diagonal().sum() / F.sum(), "the step makes no difference"),
        (lambda F, d: (F.diagonal() * d**2).mean() / (d @ F @ d), "a mean on one side"),
        (lambda F, d: (F.diagonal() * d**2).sum() / 2 / (d @ F @ d), "the 1/2"),
        (lambda F, d: (F.diagonal() * d**2).sum(), "compare it with"),
        (lambda F, d: F.diagonal() * d**2 / (d @ F @ d), "a share for each weight"),
        (lambda F, d: 100 * (F.diagonal() * d**2).sum() / (d @ F @ d), "in percent"),
        (lambda F, d: F @ d, "the result has the shape"),
        (lambda F, d: 0.1, "each weight with itself"),
    ],
    "6.1": [
        (lambda a: matrix_numbers(a)[::-1], "exchanged"),
        (lambda a: (a[-1].mean(), -matrix_numbers(a)[1]), "what is lost counts as positive"),
        (lambda a: (a[-1].mean(), (a.diagonal() - a[-1])[:-1].mean()), "not from its best"),
        (lambda a: (a[-1].mean(), (a[-1] - a.diagonal())[:-1].mean()), "backward transfer"),
        (lambda a: (a[-1].mean(), (a.max(dim=0).values - a[-1]).mean()), "NaN in it"),
        (lambda a: (a[-1].mean(), np.nanmax(np.nanmax(a.numpy(), 0) - a[-1].numpy())), "suffered most"),
        (lambda a: (a[-1].mean(), float(np.mean(np.nanmax(a.numpy(), 0) - a[-1].numpy()))), "the last task is counted as well"),
        (lambda a: (a[-1].mean(), matrix_numbers(a)[1] * (len(a) - 1)), "a sum over tasks, not their mean"),
        (lambda a: (a.diagonal().mean(), matrix_numbers(a)[1]), "learnt in its turn"),
        (lambda a: (a.nanmean(), matrix_numbers(a)[1]), "known at the end"),
        (lambda a: (a.nan_to_num().mean(), matrix_numbers(a)[1]), "as nothing known"),
        (lambda a: (a[:, 0].mean(), matrix_numbers(a)[1]), "rows and columns"),
        (lambda a: a[-1].mean(), "has to be 2 numbers, and these are 1"),
        (lambda a: (0.5, 0.1), "last row only"),
    ],
    "6.2": [
        (lambda f, w, d: online_ewc(f, w, d)[::-1], "exchanged"),
        (lambda f, w, d: (sum(f), sum(a * b for a, b in zip(f, w, strict=True)) / sum(f)), "the other form of EWC"),
        (lambda f, w, d: online_ewc(f, w, 1.0), "what is the decay for"),
        (lambda f, w, d: (d * online_ewc(f, w, d)[0], w[-1]), "when does the fading set in"),
        (lambda f, w, d: (online_ewc(f[::-1], w, d)[0], w[-1]), "wrong way round"),
        (lambda f, w, d: (d * sum(f[:-1]) + f[-1], w[-1]), "fades once only"),
        (lambda f, w, d: (f[-1], w[-1]), "do not vanish"),
        (lambda f, w, d: (online_ewc(f, w, d)[0], w[0]), "never moves"),
        (lambda f, w, d: (online_ewc(f, w, d)[0] / len(f), w[-1]), "here it adds up"),
        (lambda f, w, d: (online_ewc(f, w, d)[0], sum(w) / len(w)), "plain mean"),
        (lambda f, w, d: online_ewc(f, w, d)[0], "has to be 2 numbers"),
        (lambda f, w, d: (f[0], w[0]), "comes on top"),
    ],
    "6.3": [
        (lambda P, m, F, theta: (P * m + F * theta) / (P + F) - theta, "what should stand there"),
        (lambda P, m, F, theta: ((P * m + F * theta) / (P + F) - theta).nan_to_num(), "how far is that from theta"),
        (lambda P, m, F, theta: -pulled(P, m, F, theta), "from where to where"),
        (lambda P, m, F, theta: (P * m + F * theta) / (P + F), "with NaN in it"),
        (lambda P, m, F, theta: pulled(P, m, F, theta) + theta, "the merged anchor itself; how far"),
        (lambda P, m, F, theta: pulled(F, m, P, theta), "exchanged"),
        (lambda P, m, F, theta: m - theta, "the new task has moved it"),
        (lambda P, m, F, theta: (m - theta) / 2, "matter alike"),
        (lambda P, m, F, theta: P * (m - theta), "a force"),
        (lambda P, m, F, theta: pulled(P, m, F, theta).abs(), "has a direction"),
        (lambda P, m, F, theta: pulled(P, m, F, theta).norm(), "one length for all"),
        (lambda P, m, F, theta: pulled(P, m, F, theta) + 1, "weights that matter to nobody"),
    ],
    "6.4": [
        (lambda a, b: (joined(a) * joined(b)).sqrt().sum(), "neither has been scaled"),
        (lambda a, b: (joined(a) * joined(b) / joined(a).sum()).sqrt().sum(), "only one of the two"),
        (lambda a, b: (joined(a) * joined(b)).sum() / (joined(a).sum() * joined(b).sum()), "is a root missing"),
        (lambda a, b: torch.cosine_similarity(joined(a), joined(b), dim=0), "cosine"),
        (lambda a, b: (joined(a) * joined(b)).sqrt().sum() / (joined(a).norm() * joined(b).norm()).sqrt(), "length of one"),
        (lambda a, b: overlap_of(a, b) / joined(a).numel(), "mean over weights"),
        (lambda a, b: torch.minimum(joined(a) / joined(a).sum(), joined(b) / joined(b).sum()).sum(), "smaller of the two"),
        (lambda a, b: 1 - overlap_of(a, b), "how much they differ"),
        (lambda a, b: sum(overlap_of({n: a[n]}, {n: b[n]}) for n in a), "overlaps added up"),
        (lambda a, b: sum(overlap_of({n: a[n]}, {n: b[n]}) for n in a) / len(a), "scale the whole network"),
        (lambda a, b: torch.stack([overlap_of({n: a[n]}, {n: b[n]}) for n in a]), "one is asked for the whole"),
        (lambda a, b: 0.5, "one mean of both shares"),
    ],
    "7.1": [
        (lambda z, seen: z.argmax(1), "never met"),
        (lambda z, seen: z[:, seen].argmax(1), "places in the list"),
        (lambda z, seen: z[:, : len(seen)].argmax(1), "because they come first"),
        (lambda z, seen: (z * torch.zeros_like(z).index_fill(1, torch.tensor(seen), 1.0)).argmax(1), "set to zero"),
        (lambda z, seen: among(z, seen[-2:]), "latest two"),
        (lambda z, seen: among(-z, seen), "least likely"),
        (lambda z, seen: z[:, seen].max(1).values, "these are logits"),
        (lambda z, seen: z[:, seen].softmax(1).amax(1), "these are probabilities"),
        (lambda z, seen: among(z.abs(), seen), "speaks against"),
        (lambda z, seen: z[:, seen], "the result has the shape"),
        (lambda z, seen: among(z, seen)[:, None], "the result has the shape"),
        (lambda z, seen: seen[0], "one number, where the shape"),
        (lambda z, seen: torch.full((len(z),), seen[-1]), "who takes part"),
    ],
    "7.2": [
        (lambda seen, size: size / (seen + 1), "above 1"),
        (lambda seen, size: min(1, size / seen), "the new picture is one of those met"),
        (lambda seen, size: 1 / (seen + 1), "right for a memory of one picture"),
        (lambda seen, size: 1 if seen < size else 1 / (seen + 1), "once the memory is full, this is right"),
        (lambda seen, size: 1, "the early ones fade"),
        (lambda seen, size: float(seen < size), "the first ones only"),
        (lambda seen, size: 1 if seen < size else 0.5, "how many came before"),
        (lambda seen, size: (seen + 1) / size, "upside down"),
        (lambda seen, size: 1 - min(1, size / (seen + 1)), "thrown away"),
        (lambda seen, size: 1 if seen < size else 1 / size, "the size alone"),
        (lambda seen, size: 0.3, "what is that chance"),
        (lambda seen, size: 2 * min(1, size / (seen + 1)), "constant factor"),
    ],
    "7.3": [
        (lambda w, b, n: tuple(t.flip(0) for t in more(w.flip(0), b.flip(0), n)), "before the old ones"),
        (lambda w, b, n: (torch.cat([w, torch.zeros(len(w), n).double()], 1), b), "an output is a row"),
        (lambda w, b, n: (more(w, b, n)[0], b), "each output needs a bias"),
        (lambda w, b, n: (w, more(w, b, n)[1]), "the weights have not"),
        (lambda w, b, n: tuple(0 * t for t in more(w, b, n)), "is lost"),
        (lambda w, b, n: more(w, b, n - len(w)), "in all"),
        (lambda w, b, n: more(w, b, 1), "one new output"),
        (lambda w, b, n: grown(w, b, w[-1].repeat(n, 1), b[-1].repeat(n)), "copies"),
        (lambda w, b, n: grown(w, b, 0 * w[:1].repeat(n, 1), torch.ones(n).double()), "start ahead"),
        (lambda w, b, n: tuple(t[len(w) :] for t in more(w, b, n)), "where are the old ones"),
        (lambda w, b, n: more(w, b, n)[0], "has to be 2 numbers"),
        (lambda w, b, n: {"weight": w, "bias": b}, "no dict"),
        (lambda w, b, n: grown(w, b, torch.randn(n, w.shape[1]).double(), torch.randn(n).double()), "the old ones first"),
    ],
    "7.4": [
        (0.18, "with all ten outputs competing"),
        (0.521, "one of the middle tasks"),
        (0.892, "EWC's network"),
        (0.907, "the last task alone"),
        (0.963, "a head for each task"),
        (0.976, "the first task alone"),
        (82.2, "in percent"),
        (0.0, "only its own two outputs"),
    ],
    "8.1": [
        (SIX | {"U": "exact"}, "U is not 'exact'. Then other labels"),
        (SIX | {"V": "batch mean"}, "V is not 'batch mean'. Then one image 128 times"),
        (SIX | {"V": "true"}, "V is not 'true'. Then it would be larger"),
        (SIX | {"W": "sample"}, "W is not 'sample'. Then other labels"),
        (SIX | {"W": "weighted"}, "W is not 'weighted'. Then labels"),
        (SIX | {"X": "batch mean times size"}, "X is not 'batch mean times size'. Then one image"),
        (SIX | {"Y": "predicted"}, "Y is not 'predicted'. Then other labels"),
        (SIX | {"Z": "sum"}, "Z is not 'sum'. Then all images twice"),
        (SIX | {"X": "batch mean", "Z": "sum"}, "Nor is all right with Z"),
        (SIX | {"Y": "the best"}, "'the best' is none of"),
        ({"U": "weighted"}, "each of U, V, W, X, Y, Z"),
    ],
    "8.2": [
        (lambda g, B: (g**2).mean(0), "what it should be"),
        (lambda g, B: g.mean(0) ** 2, "if a batch holds everything"),
        (lambda g, B: B * g.mean(0) ** 2, "scatters around"),
        (lambda g, B: (g**2).mean(0) + B * g.mean(0) ** 2, "pair an image with another"),
        (lambda g, B: g.var(0, unbiased=False), "the variance"),
        (lambda g, B: squares(g, B) / B, "then it is multiplied"),
        (lambda g, B: B * (g**2).mean(0), "if all gradients in a batch were equal"),
        (lambda g, B: (g**2).mean(0) + (B - 1) * g.mean(0), "mean of a product"),
        (lambda g, B: 3 * squares(g, B), "constant factor"),
        (lambda g, B: squares(g, B).sum(), "one number"),
        (lambda g, B: g.abs().mean(0), "sum of B times B products"),
    ],
    "8.3": [
        (lambda a, b, h, k, n: (h * b + k * a) / (h + k), "with a fixed anchor"),
        (lambda a, b, h, k, n: b, "it has not arrived"),
        (lambda a, b, h, k, n: a, "nothing would be learnt"),
        (lambda a, b, h, k, n: slid(a, b, h, k, n - 1), "one epoch is missing"),
        (lambda a, b, h, k, n: slid(a, b, h, k, n + 1), "one epoch too many"),
        (lambda a, b, h, k, n: slid(a, b, k, h, n), "the parts are exchanged"),
        (lambda a, b, h, k, n: a + (b - a) * (h / (h + k)) ** n, "it would come back"),
        (lambda a, b, h, k, n: a + n * (b - a) * h / (h + k), "as far as the first"),
        (lambda a, b, h, k, n: a + b, "where does the first epoch end"),
    ],
    "8.4": [
        (lambda c, n: c, "one image more than it divides by"),
        (lambda c, n: 2 * c, "how many images are summed"),
        (lambda c, n: c + c / n, "what stands in front"),
        (lambda c, n: c / 2, "and the loop takes one image too many"),
        (lambda c, n: c * (n + 1) / n / 2, "the images are right; the factor of the paper is on the wrong side"),
        (lambda c, n: 2 * c * n / (n + 1), "too large, not too small"),
        (lambda c, n: 2 * c * (n + 1), "it is divided by n"),
        (lambda c, n: 2 * c * (n + 2) / n, "Count for n = 1"),
        (lambda c, n: n, "for n = 1"),
    ],
    "9.1": [
        (lambda D, R, S: R.diag()[:, None] * D * S.diag(), "as if the others had stayed"),
        (lambda D, R, S: torch.trace(D.T @ R @ D @ S), "this is the penalty"),
        (lambda D, R, S: torch.trace(D.T @ R @ D @ S) / 2, "half of the penalty"),
        (lambda D, R, S: D * (R @ D @ S), "shares of the penalty"),
        (lambda D, R, S: R @ D, "the inputs are not"),
        (lambda D, R, S: D @ S, "the outputs are not"),
        (lambda D, R, S: (R @ D) * (D @ S), "not multiplied"),
        (lambda D, R, S: R @ D + D @ S, "not added"),
        (lambda D, R, S: R.inverse() @ D @ S.inverse(), "divides by"),
        (lambda D, R, S: torch.kron(R, S), "the matrix itself"),
        (lambda D, R, S: 2 * R @ D @ S, "constant factor"),
        (lambda D, R, S: -R @ D @ S, "wrong sign"),
        (lambda D, R, S: D, "which side"),
    ],
    "9.2": [
        (lambda G, d: (G.mean(0) @ d) ** 2, "square of the mean"),
        (lambda G, d: ((G @ d) ** 2).sum(), "grows with the number"),
        (lambda G, d: ((G**2).mean(0) * d**2).sum(), "what the diagonal says"),
        (lambda G, d: (G @ d).mean(), "so their signs cancel"),
        (lambda G, d: (G @ d).abs().mean(), "only their signs"),
        (lambda G, d: (G @ d).norm() / len(G) ** 0.5, "a root too many"),
        (lambda G, d: (G @ d) ** 2, "one number a sample"),
        (lambda G, d: ((G @ d) ** 2).sum() / len(d), "number of weights"),
        (lambda G, d: (G @ d).var(), "takes their mean off"),
        (lambda G, d: ((G @ d) ** 2).mean() / 2, "constant factor"),
        (lambda G, d: (G @ d).max(), "one product"),
    ],
    "9.3": [
        (lambda t, m, F, c: m + (t - m) / (1 + c * F.diag()), "with the diagonal of F"),
        (lambda t, m, F, c: t + c * F @ (m - t), "gradient step"),
        (lambda t, m, F, c: whole_step(t, m, F, c) - m, "where is that"),
        (lambda t, m, F, c: whole_step(t, 0 * m, F, c), "towards zero"),
        (lambda t, m, F, c: t + whole_step(t, m, F, c) - m, "from the anchor, not from theta"),
        (lambda t, m, F, c: t - (whole_step(t, m, F, c) - m), "left over"),
        (lambda t, m, F, c: m + (t - m) / (1 + c), "the step of L2"),
        (lambda t, m, F, c: m + (c * F).inverse() @ (t - m), "without the 1"),
        (lambda t, m, F, c: m + (t - m) / (1 + c * F.sum(0)), "sums of rows"),
        (lambda t, m, F, c: m, "to zero"),
        (lambda t, m, F, c: torch.eye(len(F)) + c * F, "the result has the shape"),
    ],
    "9.4": [
        (3.0, "our form"),
        (1.5, "looks after the 1/2"),
        (0.0005, "where is the 1/2"),
        (0.001, "wrong side"),
        (1 / 12_000, "equal size"),
        (0.00075, "not over B's"),
        (1 / 3, "upside down"),
        (9_000, "smaller"),
        (0.7, "write both losses down"),
        (-0.00025, "sign"),
    ],
    "10.1": [
        (lambda model: model.train(), "all is in train mode"),
        (lambda model: model.eval(), "all is in eval mode"),
        (lambda model: None, "nothing has changed"),
        (hold(keeps, start=lambda model: None), "who sets the others"),
        (hold(lambda m: "BatchNorm" in type(m).__name__), "not all batch norm"),
        (hold(lambda m: hasattr(m, "running_mean")), "nothing in it"),
        (hold(keeps, over=lambda model: model.children()), "layers inside of layers"),
        (hold(lambda m: type(m).__name__ == "Dropout"), "that a penalty does not hold"),
    ],
    "10.2": [
        (2.0, "without momentum"),
        (0.2, "not shorter"),
        (2000, "learning rate is missing"),
        (10, "the 1/2"),
        (200, "the strength itself"),
        (1.8, "momentum itself"),
        (-20, "sign"),
        (7, "three numbers"),
    ],
    "10.3": [
        ("strength", "held as firmly"),
        ("labels", "how firmly each"),
        ("momentum", "moves weights"),
        ("batch norm", "answer with one of"),
    ],
    "10.4": [
        (learning, "one number a weight is not enough"),
        (lambda m: 2 * sum(p.numel() for p in m.parameters()), "cannot move are counted as well"),
        (lambda m: sum(p.numel() for p in m.parameters()), "as well, and one number a weight"),
        (lambda m: 2 * sum(p.numel() for p in m.parameters() if not p.requires_grad), "these are the weights that cannot move"),
        (lambda m: 2 * len([p for p in m.parameters() if p.requires_grad]), "tensors are counted"),
        (lambda m: 2 * sum(learning(k) for k in m.children()), "two layers share"),
        (lambda m: 2 * learning(m) + 2 * sum(b.numel() for b in m.buffers()), "what is no weight"),
        (lambda m: len(parameters_to_vector(m.state_dict().values())), "puts into a file"),
        (lambda m: learning(m) ** 2, "each pair of weights"),
        (lambda m: 3 * learning(m), "is there more than"),
        (lambda m: 2 * learning(m) + 10**6 * (m[2].weight is m[3].weight), "which weights does EWC ask about"),
        (lambda m: -2 * learning(m), "wrong sign"),
    ],
    "10.5": [
        ("the strength", "three strengths were tried"),
        ("the step", "out of bounds"),
        ("the labels", "no effect at all"),
        ("what is frozen", "the base cannot move"),
        ("the optimiser", "answer with one of"),
    ],
    "11.1": [
        (lambda d, n: d, "how far apart single runs are"),
        (lambda d, n: d / n, "not by so much"),
        (lambda d, n: d / (n - 1) ** 0.5, "one run fewer"),
        (lambda d, n: d * n**0.5, "less sure"),
        (lambda d, n: d * d / n, "squared points"),
        (lambda d, n: 2 * d / n**0.5, "bars of the figures"),
        (lambda d, n: -d / n**0.5, "wrong sign"),
    ],
    "11.2": [
        (lambda x, a, y, b: (x - y) / math.hypot(a, b), "has a sign"),
        (lambda x, a, y, b: abs(x - y) / (a + b), "do not always point the same way"),
        (lambda x, a, y, b: abs(x - y) / max(a, b), "only the larger"),
        (lambda x, a, y, b: abs(x - y) / a, "their error is not in it"),
        (lambda x, a, y, b: abs(x - y) / (a * a + b * b), "divided by the variance"),
        (lambda x, a, y, b: abs(x - y) / math.hypot(a, b) / 2, "belongs to the rule"),
        (lambda x, a, y, b: abs(x - y) / (a / 2 + b / 2), "the mean of two errors"),
        (lambda x, a, y, b: abs(x - y) / math.sqrt((a * a + b * b) / 2), "less certain than either"),
        (lambda x, a, y, b: abs(x - y), "the difference in points"),
        (lambda x, a, y, b: math.hypot(a, b), "where is the difference"),
    ],
    "11.3": [
        (lambda c, n: c * n, "in front of our sum"),
        (lambda c, n: c * n / 2, "larger or the smaller"),
        (lambda c, n: 2 * c, "sum over images, ours is a mean"),
        (lambda c, n: c, "ours a mean; and look"),
        (lambda c, n: 2 * c / n, "taken the wrong way"),
        (lambda c, n: c / n, "which is the larger? And look"),
        (lambda c, n: 2 * c * n * n, "n comes in once"),
    ],
    "11.4": [
        ("a larger network", "did anything in the smaller"),
        ("more seeds", "make the number surer"),
        ("the newest version of its library", "one change at a time"),
        ("momentum", "answer with one of"),
    ],
}

# What no message may say: the formula, spaces left out, or the number. (Of a choice the words are all known.)
GIVEN_AWAY = {
    "1.1": ["before-after", "before-0.1", "-0.1)"],
    "1.2": ["(accuracy[0]+", "first+last", "/2"],
    "2.1": ["theta-", "-anchor", "lr*", "-lr"],
    "2.2": ["2*c", "n*k", "/n", "2c"],
    "2.3": ["h*b", "h+strength", "h+s"],
    "2.4": ["k**2", "k²", "/k", "squareofk"],
    "3.1": ["p*(1-p)", "p(1-p)", "1-p"],
    "3.2": ["/n_b", "/(2", "batch/"],
    "4.1": ["strength/2", "theta-", "p-anchor", "**2"],
    "4.2": ["F1*m1", "F1+F2", "m1+m2"],
    "4.3": ["1+momentum", "/lr", "-h)", "/F"],
    "5.1": ["point-origin", "@u", "norm("],
    "5.3": ["sqrt", "**2", "r1", "hypot"],
    "5.4": ["d@F", "d**2", "diagonal()"],
    "6.1": ["a[-1]", "accuracy[-1]", "max(", "diagonal()"],
    "6.2": ["decay*", "decay**", "weights[-1]"],
    "6.3": ["P*(m", "(P+F)", "P/(P"],
    "6.4": ["sqrt", ".sum()", "f_a*f_b"],
    "7.1": ["argmax", "[:,seen]", "seen["],
    "7.2": ["size/", "min(", "seen+1"],
    "7.3": ["cat(", "torch.zeros", "new_zeros"],
    "8.2": ["(b-1)", "b-1", "g.mean", "**2"],
    "8.3": ["k/(h+k)", "(a-b)", "**"],
    "8.4": ["2*c", "2c", "(n+1)", "n+1"],
    "9.1": ["R@D", "D@S", "einsum"],
    "9.2": ["(G@d)**2", "square().mean", "mean("],
    "9.3": ["solve(", "eye(", "inv("],
    "10.1": ["running_mean", "model.train()", ".eval()"],
    "10.2": ["1-momentum", "lr*strength", "1-0.9"],
    "10.4": ["requires_grad", "numel", "2*", "precisionand"],
    "11.1": ["sqrt", "/n", "squareroot", "**0.5", "therootof"],
    "11.2": ["hypot", "sqrt", "squareroot", "abs("],
    "11.3": ["2*c", "c*n", "2cn", "twice"],
}
TABLE = [(exercise, place) for exercise, wrong in WRONG.items() for place in range(len(wrong))]


def said(exercise, answer, seed=0):
    try:
        return EXERCISES[exercise].wrong(answer, torch.Generator().manual_seed(seed))
    except Wrong as wrong:
        return str(wrong)


@cache
def told_of(exercise, place, seed=0):
    return said(exercise, WRONG[exercise][place][0], seed)


def test_every_exercise_is_tested():
    assert set(RIGHT) == set(WRONG) == set(EXERCISES)
    assert min(map(len, WRONG.values())) >= 4
    assert set(GIVEN_AWAY) >= {name for name, asked in EXERCISES.items() if isinstance(asked, Function)}


def test_every_exercise_stands_in_the_file_of_its_lesson():
    files = list(Path(exercises.__file__).parent.glob("lesson_*.py"))
    assert {file.stem for file in files} >= {f"lesson_{k}" for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)}
    for file in files:
        numbers = list(import_module(f"{exercises.__name__}.{file.stem}").EXERCISES)
        lesson = file.stem.removeprefix("lesson_")
        assert numbers == [f"{lesson}.{k + 1}" for k in range(len(numbers))] and 3 <= len(numbers) <= 5


@pytest.mark.parametrize("exercise", sorted(RIGHT))
def test_a_right_answer_in_any_form_is_right_every_time(exercise):
    for answer in RIGHT[exercise]:
        for seed in range(5 if exercise in ("3.1", "4.1") else 50):
            assert said(exercise, answer, seed) == ""


@pytest.mark.parametrize(("exercise", "place"), TABLE)
def test_a_wrong_answer_is_told_what_is_wrong_every_time(exercise, place):
    for seed in range(2 if exercise in ("3.1", "4.1") else 20):
        assert WRONG[exercise][place][1] in told_of(exercise, place, seed)


@pytest.mark.parametrize("exercise", sorted(WRONG))
def test_different_mistakes_are_told_different_things(exercise):
    told = [told_of(exercise, place) for place in range(len(WRONG[exercise]))]
    assert len(set(told)) == len(told)
    assert all(words and words[-1] not in ".!" for words in told)  # check() ends the sentence


def messages(exercise):
    asked = EXERCISES[exercise]
    mistakes = getattr(asked, "mistakes", ())
    return (
        {mistake[-1] for mistake in mistakes}
        | {getattr(asked, "hint", "")}
        | {told_of(exercise, k) for k in range(len(WRONG[exercise]))}
    )


@pytest.mark.parametrize("exercise", sorted(GIVEN_AWAY))
def test_no_message_gives_the_answer_away(exercise):
    for words in messages(exercise):
        assert not [part for part in GIVEN_AWAY[exercise] if part.lower() in words.replace(" ", "").lower()], words


@pytest.mark.parametrize("exercise", [name for name, asked in EXERCISES.items() if isinstance(asked, Number)])
def test_no_message_holds_the_number(exercise):
    asked = EXERCISES[exercise]
    for words in messages(exercise):
        assert not [n for n in re.findall(r"\d+(?:\.\d+)?", words) if asked.low <= float(n) <= asked.high], words


@pytest.mark.parametrize("letter", TRUTH)
def test_the_saboteur_is_told_without_his_name(letter):
    for name in set(NAMES) - {TRUTH[letter]}:
        words = said("3.3", TRUTH | {letter: name})
        assert words.startswith(f"{letter} is not '{name}'") and f"'{TRUTH[letter]}'" not in words


@pytest.mark.parametrize("letter", SIX)
def test_the_six_of_the_museum_are_told_without_their_names(letter):
    for name in set(lesson_8.NAMES) - {SIX[letter]}:
        words = said("8.1", SIX | {letter: name})
        assert words.startswith(f"{letter} is not '{name}'") and f"'{SIX[letter]}'" not in words


@pytest.mark.parametrize("exercise", [name for name, asked in EXERCISES.items() if isinstance(asked, Function)])
def test_each_known_mistake_is_recognised_as_itself(exercise):
    asked = EXERCISES[exercise]
    words = [mistake[-1] for mistake in asked.mistakes]
    for seed in range(1 if exercise in ("3.1", "4.1") else 10):
        assert [said(exercise, wrong, seed) for wrong, _ in asked.mistakes] == words


@pytest.mark.parametrize("exercise", sorted(RIGHT))
def test_a_check_says_one_line(exercise, capsys):
    cl.check(exercise, RIGHT[exercise][0])
    cl.check(exercise, WRONG[exercise][0][0])
    cl.check(exercise)
    solved, wrong, to_do = capsys.readouterr().out.splitlines()
    assert solved == f"✓ Exercise {exercise} is solved."
    assert wrong.startswith(f"✗ Exercise {exercise}, not yet: ") and wrong.endswith(".")
    assert to_do.startswith(f"· Exercise {exercise} is still to do: {EXERCISES[exercise].task}")


def test_inputs_are_new_each_time_and_the_lesson_keeps_its_random_numbers():
    seen = []
    torch.manual_seed(0)
    for _ in range(2):
        cl.check("2.2", lambda c, n, k: seen.append((c, n, k)) or 0.0)
    assert len(set(seen)) == len(seen) >= 8
    after = torch.rand(3)
    assert torch.equal(after, torch.rand(3, generator=torch.Generator().manual_seed(0)))


def test_suspects_do_what_their_names_say():
    from cl_teach.course import pitfalls

    task = cl.two_weight_tasks(n=40)[0].train
    model = cl.two_weights()
    cl.train(model, task, epochs=20)
    functions = {
        "predicted": pitfalls.arg_max_label,
        "batch means": pitfalls.squared_batch_mean,
        "weighted": pitfalls.weighted_by_probability,
        "exact": cl.diagonal_fisher,
        "true": lambda m, d: cl.diagonal_fisher(m, d, "true"),
    }
    for letter, suspect in suspects().items():
        (one,), (other,) = suspect(model, task).values(), functions[TRUTH[letter]](model, task).values()
        assert torch.equal(one, other)
        assert not any(word in suspect.__name__ for word in ("true", "mean", "max", "fisher", "weight"))


def test_the_six_of_the_museum_do_what_their_names_say():
    from cl_teach.course import pitfalls
    from cl_teach.course.versions import V2, V3

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    data = cl.Split(torch.randn(300, 3), torch.arange(300) % 3)  # float32, on purpose
    functions = {
        "weighted": pitfalls.weighted_by_probability,
        "batch mean times size": lambda m, d: V3(labels="true", batch_size=128).importance(m, d, None),
        "predicted": lambda m, d: cl.diagonal_fisher(m, d, "predicted"),
        "sum": lambda m, d: V2(batch_size=128).importance(m, d, None),
        "exact": cl.diagonal_fisher,
        "batch mean": lambda m, d: pitfalls.squared_batch_mean(m, d, 128),
    }
    six = lesson_8.gallery()
    assert list(six) == list(SIX) and set(lesson_8.NAMES) == set(lesson_8.EXPERIMENTS) > set(SIX.values())
    for letter, suspect in six.items():
        found, wanted = suspect(model, data), functions[SIX[letter]](model, cl.Split(data.x.double(), data.y))
        assert all(torch.allclose(found[name], wanted[name], rtol=1e-9) for name in wanted)
        assert not any(word in suspect.__name__ for word in ("true", "mean", "max", "fisher", "weight", "sum"))


# --- answers of any kind ----------------------------------------------------------------------------------------------


class Evil(Exception):
    """Fails even at saying what it is."""

    def __str__(self):
        raise RuntimeError


class Stubborn:
    def __getattr__(self, name):
        raise Evil

    def __call__(self, *args, **options):
        raise Evil

    def __float__(self):
        raise Evil

    __bool__ = __array__ = __float__


def again(*args):
    return again(*args)


def lines(*args):
    raise ValueError("one\ntwo")


ANSWERS = [
    None, math.nan, math.inf, 10**400, True, 1j, b"1", "nonsense", [], (), {}, [None], torch.zeros(0),
    torch.full((9,), math.nan), cl, int, object(), iter([]), Stubborn(), lambda *args: [], lambda *args: torch.zeros(0),
    lambda *args: "1", lambda *args: 1j, lambda *args: {}, lambda *args: [None], lambda *args: Stubborn(),
    lambda *args: sys.exit(1), lambda: 1, again, lines,
]  # fmt: skip


@pytest.mark.parametrize("exercise", sorted(RIGHT))
def test_no_answer_of_any_kind_stops_a_lesson_or_solves_by_being_empty(exercise, capsys):
    for answer in ANSWERS:
        cl.check(exercise, answer)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(ANSWERS) and all(line.startswith(f"✗ Exercise {exercise}, not yet: ") for line in said)


@pytest.mark.parametrize(
    "exercise", [name for name, asked in EXERCISES.items() if isinstance(asked, Function) and name != "10.1"]
)
def test_what_is_no_answer_is_told_so(exercise):
    assert "end with return" in said(exercise, lambda *args: None)
    assert "the function itself" in said(exercise, 1.0)
    assert "this is a str" in said(exercise, lambda *args: "1")


def test_what_a_student_raises_is_told(capsys):
    cl.check("2.2", lines)
    cl.check("2.2", lambda c: 1)
    one, two = capsys.readouterr().out.splitlines()
    assert one == "✗ Exercise 2.2, not yet: it stopped with ValueError: one two."
    assert "it stopped with TypeError: " in two and "1 positional argument but 3 were given" in two


def test_unknown_exercise():
    with pytest.raises(ValueError, match=r"exercise must be one of .* got '9.9'"):
        cl.check("9.9", 1)
