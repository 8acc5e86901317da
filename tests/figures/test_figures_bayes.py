import torch
from figure_inputs import W, bowls, is_good

from cl_teach import figures


def test_terms():
    is_good(figures.terms(W, W, {"log p": -50 * bowls()["B"]}), ["log p peaks at (1.0, 0.5)"])


def test_laplace():
    is_good(figures.laplace_frame(W, -((W - 0.5) ** 2), 0.5, 2.0, 2, 7), ["7 samples", "at 0.50", "0.71"])


def test_scores():
    is_good(figures.score_histogram({"w": torch.tensor([-1.0, 1.0])}), ["w has variance 2.00"])


def test_importance():
    is_good(figures.importance_images({"now": torch.eye(28)}), ["now: 756 of 784 pixels matter nothing"])


def test_label_choices():
    is_good(figures.label_choices({"late": {"exact": 1.0, "true": 0.2}}), ["late", "true 0.20"])
