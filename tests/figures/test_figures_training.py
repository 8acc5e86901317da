import torch
from figure_inputs import history, is_good

import cl_teach as cl
from cl_teach import figures

DIGITS = cl.Split(torch.rand(10, 1, 28, 28), torch.arange(10))


def test_digits():
    task = cl.Task("upright", DIGITS, DIGITS, tuple(range(10)))
    is_good(figures.digits([task, task]), ["2 rows", "upright"])


def test_curves():
    is_good(figures.learning_curves(history(), 0.88), ["A from 90 % to 30 %", "B from 10 % to 80 %", "88 %"])


def test_a_moment():
    picture = figures.forgetting_frame(history(), 1, DIGITS.x[:8], [1] * 8, [1, 2] * 4)
    is_good(picture, ["10 steps", "A 30 %", "4 of 8"])
