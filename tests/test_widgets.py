"""Explorers without a browser: each control reaches each picture, and a still picture stands in for them."""

import numpy as np
import pytest
import torch

import cl_teach as cl
from cl_teach.figures import Picture, canvas


def draw(strength: float, method: str = "L2") -> Picture:
    figure, (axis,) = canvas(width=2, height=1)
    axis.plot([0, strength], [0, len(method)])
    return Picture(figure, f"{method} at {strength}")


def test_every_value_has_its_picture():
    explorer = cl.widgets.Explorer(draw, {"λ": [0, 0.1, 1e6], "method": ["L2", "EWC"]})
    for i, strength in enumerate([0, 0.1, 1e6]):
        for j, method in enumerate(["L2", "EWC"]):
            explorer.controls["λ"].value, explorer.controls["method"].value = i, j
            assert explorer.picture.alt == f"{method} at {strength}"
            assert explorer._image.value == draw(strength, method).png
            assert explorer.picture.alt in explorer._caption.value


def test_starts_where_asked_and_shows_a_still_picture():
    explorer = cl.widgets.Explorer(draw, {"λ": [0, 0.1, 1]}, start={"λ": 0.1}, play="λ")
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"].startswith("L2 at 0.1") and "controls: λ (3 values)" in bundle["text/plain"]
    assert set(bundle) == {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"}
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id


def test_the_play_button_and_its_slider_move_together():
    explorer = cl.widgets.Explorer(draw, {"λ": [0, 0.1, 1]}, start={"λ": 0.1}, play="λ")
    play, slider = explorer.children[0].children
    assert play.value == slider.index == 1
    play.value = 2
    assert slider.index == 2 and explorer.picture.alt == "L2 at 1"
    slider.value = 0
    assert play.value == 0


def test_moving_a_control_draws_nothing(monkeypatch):
    explorer = cl.widgets.Explorer(draw, {"λ": [0, 0.1, 1]})
    monkeypatch.setattr(cl.figures.style, "_png", lambda canvas: pytest.fail("drawn while a learner waits"))
    explorer.controls["λ"].value = 2
    assert explorer.picture.png.startswith(b"\x89PNG")


def test_pictures_are_drawn_once():
    calls = []

    def counted(strength):
        calls.append(strength)
        return draw(strength)

    explorer = cl.widgets.Explorer(counted, {"λ": [1, 2, 3]})
    for i in (2, 0, 1, 2):
        explorer.controls["λ"].value = i
    assert calls == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"controls": {"λ": []}}, "controls['λ'] must hold at least one value"),
        ({"controls": {"λ": [1, 2]}, "start": {"λ": 3}}, "start['λ'] must be one of [1, 2], got 3"),
        ({"controls": {"λ": [1, 2]}, "start": {"method": 3}}, "start['method'] must be one of"),
        ({"controls": {"λ": [1, 2]}, "play": "step"}, "play must be one of 'λ', got 'step'"),
    ],
)
def test_bad_controls(options, words):
    with pytest.raises(ValueError) as error:
        cl.widgets.Explorer(draw, **options)
    assert words in str(error.value)


def test_caption_is_escaped():
    explorer = cl.widgets.Explorer(lambda v: Picture(canvas()[0], "a < b"), {"v": torch.arange(2).tolist()})
    assert "a &lt; b" in explorer._caption.value


@pytest.mark.parametrize("values", [torch.tensor([1.0, 2.0]), np.array([1.0, 2.0]), range(1, 3), (v for v in (1.0, 2.0))])
def test_values_may_come_in_anything_that_holds_several(values):
    explorer = cl.widgets.Explorer(draw, {"λ": values}, start={"λ": 2})
    assert explorer.picture.alt in ("L2 at 2.0", "L2 at 2")


def test_a_figure_that_cannot_be_rendered_is_told_with_its_values():
    def formula(strength):
        picture = draw(strength)
        picture.figure.suptitle(r"$\frac{$" if strength == 2 else "")
        return picture

    with pytest.raises(ValueError, match="draw must make a picture of every value, but at λ = 2 it raised ValueError"):
        cl.widgets.Explorer(formula, {"λ": [1, 2]})
