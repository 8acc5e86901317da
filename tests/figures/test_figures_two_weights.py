import math

import pytest
import torch
from figure_inputs import W, is_good

import cl_teach as cl
from cl_teach import figures

A, B = cl.two_weight_tasks(n=50)
LOSSES = {task.name: cl.landscapes.two_weight_losses(task.train, W, W) for task in (A, B)}


def test_surface():
    ends = {"EWC": torch.tensor([1.0, 0.5])}
    picture = figures.two_weight_surface(W, W, LOSSES, ends, start=torch.zeros(2), title="here")
    is_good(picture, ["here: loss", "A and B", "theta_A lies at (0.0, 0.0)", "EWC ends at (1.0, 0.5)"])


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


@pytest.mark.parametrize("precision", [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]], [[math.nan, 0.0], [0.0, 1.0]]])
def test_a_quadratic_without_an_ellipse_is_refused(precision):
    with pytest.raises(ValueError, match="precision must be positive definite"):
        figures.ellipse(torch.zeros(2), torch.tensor(precision), 1.0)
