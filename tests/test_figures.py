"""Every figure draws, is small, is the same twice, and its text says what it shows."""

import base64

import pytest
import torch

import cl_teach as cl
from cl_teach import figures
from cl_teach.training import Evaluation, History, Run

W = torch.linspace(-1, 2, 31)
A, B = cl.two_weight_tasks(n=50)
LOSSES = {task.name: cl.landscapes.two_weight_losses(task.train, W, W) for task in (A, B)}
STEPS = {"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}
SWEEPS = {"L2": {0: (0.2, 0.9), 0.1: (0.6, 0.7)}, "EWC": {0: (0.2, 0.9), 1e4: (0.85, 0.8)}}


def history() -> History:
    watched = {"A": [Evaluation(1.0, 0.9), Evaluation(2.0, 0.3)], "B": [Evaluation(2.0, 0.1), Evaluation(1.0, 0.8)]}
    return History(loss=[1.0], steps=[0, 10], watched=watched)


def run(last: float) -> Run:
    accuracy = torch.tensor([[0.9, torch.nan], [last, 0.8]], dtype=torch.float64)
    return Run(accuracy, accuracy.clone(), histories=[history(), history()])


def pictures() -> dict[str, tuple[figures.Picture, list[str]]]:
    """Name -> a picture and words that its text must hold."""
    digits = cl.Split(torch.rand(10, 1, 28, 28), torch.arange(10))
    task = cl.Task("upright", digits, digits, tuple(range(10)))
    return {
        "digits": (figures.digits([task, task]), ["2 rows", "upright"]),
        "curves": (figures.learning_curves(history(), 0.88), ["A from 90 % to 30 %", "B from 10 % to 80 %", "88 %"]),
        "moment": (figures.forgetting_frame(history(), 1, digits.x[:8], [1] * 8, [1, 2] * 4), ["10 steps", "A 30 %", "4 of 8"]),
        "surface": (
            figures.two_weight_surface(W, W, LOSSES, {"EWC": torch.tensor([1.0, 0.5])}, start=torch.zeros(2), title="here"),
            ["here", "A and B", "theta_A lies at (0.0, 0.0)", "EWC ends at (1.0, 0.5)"],
        ),
        "frontier": (figures.frontier(SWEEPS, (0.9, 0.88)), ["EWC is best at lambda 10000 with A 85 %, B 80 %", "A 90 %"]),
        "strength": (figures.strength_frame(SWEEPS, "L2", 0.1), ["L2 with lambda 0.1", "A 60 %", "B 70 %"]),
        "stability": (
            figures.stability({"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}, 50),
            ["10 %", "70 %", "50"],
        ),
        "terms": (figures.terms(W, W, {"log p": -LOSSES["A"] * 50}), ["log p peaks at"]),
        "laplace": (
            figures.laplace_frame(W, -((W - 0.5) ** 2), 0.5, 2.0, 2, 7),
            ["7 samples", "at 0.50", "0.71"],
        ),
        "scores": (figures.score_histogram({"w": torch.tensor([-1.0, 1.0])}), ["w has variance 2.00"]),
        "importance": (figures.importance_images({"now": torch.eye(28)}), ["now: 756 of 784 pixels matter nothing"]),
        "labels": (figures.label_choices({"late": {"exact": 1.0, "true": 0.2}}), ["late", "true 0.20"]),
        "sequence": (
            figures.sequence({"none": run(0.3), "EWC": run(0.7)}, 0.9),
            ["EWC 75 % (first task 70 %)"],
        ),
    }


@pytest.mark.parametrize("name", sorted(pictures()))
def test_figure(name):
    picture, words = pictures()[name]
    for word in words:
        assert word in picture.alt
    assert picture.png.startswith(b"\x89PNG") and 2_000 < len(picture.png) <= 60 * 1024
    assert all(
        text.get_fontsize() >= 10 for text in picture.figure.findobj(lambda o: hasattr(o, "get_fontsize")) if text.get_text()
    )
    bundle = picture._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == picture.png and bundle["text/plain"] == picture.alt


def test_same_drawing_same_bytes():
    assert pictures()["frontier"][0].png == pictures()["frontier"][0].png


def test_picture_is_saved(tmp_path):
    picture = figures.frontier(SWEEPS)
    picture.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture.png


def test_losses_on_the_grid_are_the_model_s_losses():
    model = cl.two_weights().double()
    w1, w2 = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([0.5, 2.0, -0.7], dtype=torch.float64)
    grid = cl.landscapes.two_weight_losses(A.train, w1, w2)
    assert grid.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            model.linear.weight.data = torch.stack([w1[j], w2[i]])[None]
            assert grid[i, j].item() == pytest.approx(cl.evaluate(model, A.train).loss, rel=1e-12)


def test_grid_refuses_other_data():
    with pytest.raises(ValueError, match=r"data must hold inputs \(N, 2\)"):
        cl.landscapes.two_weight_losses(cl.Split(torch.zeros(3, 4), torch.tensor([0, 1, 0])), W, W)


def test_ellipse_has_its_level():
    precision = torch.tensor([[2.0, 0.3], [0.3, 0.5]])
    gap = figures.ellipse(torch.tensor([1.0, -1.0]), precision, 0.7) - torch.tensor([1.0, -1.0])
    torch.testing.assert_close(((gap @ precision) * gap).sum(1), torch.full((101,), 0.7))
    radius = (figures.circle(torch.zeros(2), 0.4)).norm(dim=1)
    torch.testing.assert_close(radius, torch.full((101,), 0.4))


@pytest.mark.parametrize(
    ("strength", "label"), [(0, "0"), (0.03, "0.03"), (1e3, "1000"), (1e4, "10⁴"), (1e12, "10¹²"), (25_000, "25000")]
)
def test_strength_label(strength, label):
    assert figures.strength_label(strength) == label
