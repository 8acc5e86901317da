"""No words of any figure lie on other words, on lines or marks, or beyond the edge: in figures like those of the lessons."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from figure_inputs import BENT, LESSON_2, LESSON_4, LINE, PATHS, STEPS, SWEEPS, TRACES, T, W, bowls, run, surface, valley
from overlaps import touching
from test_figures_tables import CELLS, MARKS, RUNGS

import cl_teach as cl
from cl_teach import figures

A, B = cl.two_weight_tasks(n=200)
ZOOM = torch.linspace(0.2, 2.6, 49), torch.linspace(-0.6, 1.8, 49)
WHOLE = torch.linspace(-0.5, 3.0, 51), torch.linspace(-1.0, 2.5, 51)
THETA_A, FREE = torch.tensor([0.98, 0.3]), torch.tensor([1.96, 0.76])
FISHER = torch.tensor([[0.23, 0.0], [0.0, 0.025]])
TURN = torch.tensor([[math.cos(0.6), -math.sin(0.6)], [math.sin(0.6), math.cos(0.6)]])
DIGITS = cl.Split(torch.rand(10, 1, 28, 28), torch.arange(10))
WIDE = torch.linspace(-2, 3, 201).double()


def losses(w, turned: bool = False):
    if turned:
        return {"A": cl.landscapes.two_weight_losses(cl.Split(A.train.x @ TURN.T.to(A.train.x), A.train.y), *w)}
    return {task.name: cl.landscapes.two_weight_losses(task.train, *w) for task in (A, B)}


MAPS = {"zoom": (*ZOOM, losses(ZOOM)), "whole": (*WHOLE, losses(WHOLE))}


def learning(n: int = 80) -> cl.History:
    """A falls from 90 % to 20 % as B rises to 90 %, as in lesson 1."""
    steps = np.arange(n)
    rise, fall = 0.9 - 0.8 * np.exp(-steps / 6), 0.2 + 0.7 * np.exp(-steps / 4)
    watched = {"A": [cl.Evaluation(1.0, float(v)) for v in fall], "B": [cl.Evaluation(1.0, float(v)) for v in rise]}
    return cl.History(loss=[1.0], steps=[3 * int(s) for s in steps], watched=watched)


def l2(way: float, where: str) -> figures.Picture:
    """Lesson 2's slider: the end of L2 at this share of the way from theta_A to the end without a penalty."""
    end = THETA_A + way * (FREE - THETA_A)
    ring = {"L2": figures.circle(THETA_A, float((end - THETA_A).norm()))}
    return figures.two_weight_surface(*MAPS[where], {"none": FREE, "L2": end}, {}, THETA_A, ring, title=f"{way}")


def arrow(method: str, way: float) -> figures.Picture:
    """Lesson 4's: with the way there and the ellipse through its end."""
    end = THETA_A + way * (FREE - THETA_A)
    path = THETA_A + torch.linspace(0, 1, 20)[:, None] * (end - THETA_A)
    precision = FISHER if method == "EWC" else torch.eye(2)
    ring = figures.ellipse(THETA_A, precision, (end - THETA_A) @ precision @ (end - THETA_A))
    return figures.two_weight_surface(
        *MAPS["whole"], {"none": FREE, method: end}, {method: path}, THETA_A, {method: ring}, title=f"{method}, λ = 100"
    )


def arrows() -> figures.Picture:
    ends = {"none": FREE, "L2": torch.tensor([1.35, 0.6]), "EWC": torch.tensor([1.12, 0.97]), "joint": torch.tensor([1.1, 1.0])}
    paths = {name: THETA_A + torch.linspace(0, 1, 20)[:, None] * (end - THETA_A) for name, end in ends.items()}
    return figures.two_weight_surface(*MAPS["whole"], ends, paths, THETA_A, title="three ways to learn B")


def predicted(turned: bool) -> figures.Picture:
    """Lesson 3's: where the loss is predicted to rise by 0.012."""
    w = torch.linspace(-1.5, 2.5, 51), torch.linspace(-1.5, 2.5, 51)
    theta, whole = (TURN @ THETA_A, TURN @ FISHER @ TURN.T) if turned else (THETA_A, FISHER)
    rings = {"predicted by the whole Fisher": whole, "predicted by the diagonal": whole.diagonal().diag()}
    rings = {name: figures.ellipse(theta, precision, 0.024) for name, precision in rings.items()}
    return figures.two_weight_surface(*w, {"A": losses(w, turned)["A"]}, {}, start=theta, rings=rings, title="predicted")


def laplace(step: int, mode: float) -> figures.Picture:
    return figures.laplace_frame(WIDE, -((WIDE - 0.5) ** 2) - 0.3 * WIDE, mode, 2.0, step, 8)


def outlines() -> figures.Picture:
    """Lesson 5's: A alone on a wide map, with where it is predicted to lie below 0.5."""
    land = valley(-11, 20, -11, 18, 21)
    only_a = cl.landscapes.Surface(land.xs, land.ys, {"A": land.loss["A"]}, {"A": land.accuracy["A"]})
    precision = torch.tensor([[0.03, -0.025], [-0.025, 0.024]])
    rings = {"A: loss 0.5, by the whole Fisher": precision, "A: loss 0.5, by its diagonal": 0.2 * precision}
    rings = {name: figures.ellipse(torch.zeros(2), matrix, 0.3) for name, matrix in rings.items()}
    return figures.landscape(
        only_a, {"EWC": PATHS["EWC"]}, rings=rings, title="where A's loss is below 0.5: true, and predicted"
    )


@cache
def journeys() -> figures.Journeys:
    traces = {("none", 0): PATHS["none"], **{(m, s): PATHS[m] for m in ("L2", "EWC") for s in (0.0, 1.0, 1e6)}}
    return figures.Journeys(valley(), traces)


LOSS = {"A": 0.34 + 4 * T**2, "B": 5.4 * (-3 * T).exp() + 0.3}
SLICE = replace(LINE, distance=9.4, loss=LOSS)
POSTERIORS = {
    "log p(D_B | θ)": -50 * bowls()["B"],
    "log p(θ | D_A)": -90 * bowls()["A"],
    "log p(θ | D_A, D_B)": -80 * bowls()["A"],
}
SCORES = torch.linspace(-2.9, 0.4, 400)
CHOICES = {"exact": 1.0, "sample": 0.96, "true": 0.24, "predicted": 0.18}
RUNS = {"none": run(0.1), "L2": run(0.5), "EWC": run(0.7)}
POWERS = (10, 100, 1e3, 1e4, 1e5)
EXHIBITS = (
    {"as it should be": {"w": torch.logspace(-9, 0, 900)}, "as published": {"w": torch.logspace(-16, -3, 900)}},
    {"as it should be": dict(zip(POWERS, (0.78, 0.82, 0.81, 0.8, 0.79), strict=True)),
     "as published": dict(zip(POWERS, (0.77, 0.775, 0.78, 0.81, 0.82), strict=True))},
)  # fmt: skip
STAIRCASE = torch.tensor(
    [[7.0 * (c // 2) - 6 * (c % 2) + 3 if c < 2 * i else math.nan for c in range(10)] for i in range(1, 6)]
)
MANY = {f"a long name of method {k}": LESSON_4["EWC"] for k in range(3)}

TEN = torch.rand(10, 10, generator=torch.Generator().manual_seed(0)).double().tril()
TEN = cl.Run(TEN.masked_fill(torch.ones(10, 10).triu(1) > 0, torch.nan), TEN)
PICTURES = {
    "digits": lambda: figures.digits([cl.Task(name, DIGITS, DIGITS, tuple(range(10))) for name in ("0°", "permuted")]),
    "learning curves": lambda: figures.learning_curves(learning()),
    "learning curves, ceiling": lambda: figures.learning_curves(learning(), 0.88),
    "learning curves, ceiling and guessing": lambda: figures.learning_curves(learning(), 0.88, 0.1),
    **{
        f"a moment, {at}": lambda at=at: figures.forgetting_frame(learning(), at, DIGITS.x[:8], [1] * 8, [1, 2] * 4)
        for at in (0, 1, 40, 79)
    },
    **{f"L2, {where}, {way}": lambda way=way, where=where: l2(way, where)
       for where in MAPS for way in (0.0, 0.05, 0.3, 0.38, 0.7, 1.0)},
    **{f"an arrow, {m}, {way}": lambda m=m, way=way: arrow(m, way) for m in ("L2", "EWC") for way in (0.0, 0.01, 0.4, 1.0)},
    "three arrows": arrows,
    "predicted": lambda: predicted(turned=False),
    "predicted, turned": lambda: predicted(turned=True),
    "A alone": lambda: figures.two_weight_surface(*WHOLE, {"A": MAPS["whole"][2]["A"]}, {}, start=THETA_A, title="A"),
    "frontier of one": lambda: figures.frontier({"L2": LESSON_2}, (0.88, 0.89)),
    "frontier of two": lambda: figures.frontier(LESSON_4, (0.912, 0.916)),
    "frontier of three alike": lambda: figures.frontier(MANY),
    "frontier, wide": lambda: figures.frontier(SWEEPS, (0.9, 0.88)),
    "frontier with a failure": lambda: figures.frontier({"EWC": {0: (0.73, 0.9), 100: (0.88, 0.89), 1e6: (0.09, 0.1)}}),
    **{f"a strength of L2, {s}": lambda s=s: figures.strength_frame({"L2": LESSON_2}, "L2", s, (0.88, 0.89))
       for s in (0, 0.1, 10)},
    **{f"a strength of EWC, {s}": lambda s=s: figures.strength_frame(LESSON_4, "EWC", s, (0.912, 0.916))
       for s in (0, 1e3, 1e6)},
    "stability": lambda: figures.stability(STEPS, 880.0),
    "stability without a cliff": lambda: figures.stability({"proximal": STEPS["proximal"]}, math.inf),
    "stability of few": lambda: figures.stability({"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.75, 99: 0.7}}, 50),
    "terms": lambda: figures.terms(W, W, POSTERIORS),
    **{f"Laplace, {step}, {mode}": lambda step=step, mode=mode: laplace(step, mode)
       for step in range(3) for mode in (-1.5, 0.35, 2.5)},
    "scores": lambda: figures.score_histogram({"weight 1": SCORES, "weight 2": 0.3 * SCORES}),
    "importances": lambda: figures.importance_images({f"learnt at {angle}°": torch.rand(28, 28) for angle in (0, 90)}),
    "label choices": lambda: figures.label_choices({"after 3 epochs": CHOICES, "after 18 epochs": CHOICES}),
    "sequence": lambda: figures.sequence(RUNS, 0.9),
    "sequence of many": lambda: figures.sequence({f"a long name of method {k}": run(0.1 * k) for k in range(6)}),
    **{f"frame {k}": lambda k=k: figures.sequence_frame(TEN, k, "online EWC, γ = 0.5, λ = 100") for k in (1, 9, 10)},
    "overlap by layer": lambda: figures.layer_overlap({"8 × 8 permuted": [0.99, 1, 1], "26 × 26 permuted": [0.5, 0.9, 1]}),
    "logits": lambda: figures.logits(STAIRCASE, 0, "pictures of a 0, EWC with λ = 10⁶"),
    "logits, all below zero": lambda: figures.logits(-STAIRCASE - 4, 8),
    "logits of one task": lambda: figures.logits(STAIRCASE[:1], 1, "pictures of a 1"),
    "logits of many outputs": lambda: figures.logits(torch.linspace(-300, 900, 60).view(2, 30), 12),
    "exhibit": lambda: figures.exhibit(*EXHIBITS, "as published", "4 square of the mean"),
    "exhibit, the right one": lambda: figures.exhibit(*EXHIBITS, "as it should be", "2 square of a sum (V2)"),
    "published": lambda: figures.published(CELLS),
    "ladder": lambda: figures.ladder(RUNGS, MARKS),
    "published, three columns": lambda: figures.published([c._replace(column=f"column {k}") for k in range(3) for c in CELLS]),
    "truth meter": lambda: figures.truth_meter(dict.fromkeys(("to no penalty", "to EWC, λ = 100", "a random direction"), LINE)),
    "slices": lambda: figures.slices({"no penalty": SLICE, "EWC": SLICE}, level=0.5),
    "slice": lambda: figures.slices({"the end without a penalty": SLICE}),
    "landscape": lambda: figures.landscape(valley(), PATHS, title="three ways to learn B: a network with 89,610 weights"),
    "landscape, through L2": lambda: figures.landscape(valley(low=-2.3, high=3.9, n=21), BENT, title="plane through L2"),
    "landscape, small": lambda: figures.landscape(surface(), TRACES),
    "landscape, outlines": outlines,
    "mountain": lambda: figures.surface_3d(valley(), PATHS, "A"),
    "mountain, all in the plane": lambda: figures.surface_3d(surface(), {"EWC": TRACES["EWC"]}, "B"),
    **{
        f"journey, {m}, {step}": lambda m=m, step=step: journeys()(m, 1.0 if m != "none" else 0.0, step)
        for m in ("none", "L2", "EWC")
        for step in (0, 40, 320)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_words_touch_neither_each_other_nor_data(name):
    assert touching(PICTURES[name]().figure) == []


@pytest.mark.parametrize(
    ("draw", "found"),
    [
        (lambda axis: [axis.text(0.5, 0.5, "one"), axis.text(0.52, 0.5, "two")], ["“one” and “two”"]),
        (lambda axis: [axis.text(0.3, 0.3, "one"), axis.plot([0, 1], [0, 1], label="way")], ["“one” and the line way"]),
        (lambda axis: [axis.text(0.3, 0.3, "one"), axis.plot(0.31, 0.31, "o", label="end")],
         ["“one” and the marks of the line end"]),
        (lambda axis: axis.text(0.5, 0.5, "a long word", rotation=45) and axis.plot([0.5, 0.54], [0.7, 0.75]), []),  # beside it
        (lambda axis: axis.text(0.4, 0.4, "a long word", rotation=45) and axis.plot([0.4, 0.7], [0.7, 0.4], label="way"),
         ["“a long word” and the line way"]),
        (lambda axis: [axis.plot([0, 1], [0, 1], label="way"), axis.legend(loc="center")],
         ["“way” and the line way", "“the key” and the line way"]),
        (lambda axis: axis.text(0.97, 0.5, "out of the picture"), ["“out of the picture” and the edge"]),
        (lambda axis: [axis.text(0.5, 0.5, "one"), axis.contour([[0, 1], [0, 1]], [0.55], extent=(0, 1, 0, 1))],
         ["“one” and a line of equal loss"]),
        (lambda axis: [axis.text(0.5, 0.5, "one"), axis.scatter([0.53], [0.52])], ["“one” and dots"]),
        (lambda axis: [axis.text(0.5, 0.5, "one"), axis.text(0.52, 0.5, "two", visible=False)], []),
    ],
)  # fmt: skip
def test_the_measure_sees_what_touches(draw, found):
    figure, (axis,) = figures.canvas(width=4, height=3)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    draw(axis)
    figure.set_layout_engine("none")
    assert touching(figure) == found
