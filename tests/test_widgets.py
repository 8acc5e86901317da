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


# --- predictions ------------------------------------------------------------------------------------------------------


def test_a_prediction_is_what_stood_there_when_the_button_was_pressed():
    guess = cl.widgets.Prediction("accuracy on A", 0, 1)
    assert guess.value is None and guess.slider.value == 0.5
    guess.slider.value = 0.61
    assert guess.value is None  # moving it commits to nothing
    guess.button.click()
    assert guess.value == 0.61 and guess.slider.disabled and guess.button.disabled
    guess.slider.value = 0.2
    guess.button.click()  # as a kernel might still be told: what was said was said
    assert guess.value == 0.61
    assert "You said 0.61" in guess.children[-1].value


def test_the_slider_has_a_hundred_steps_from_end_to_end():
    slider = cl.widgets.Prediction("how many", 2, 12).slider
    assert (slider.min, slider.max, slider.value) == (2, 12, 7) and slider.step == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("said", "measured", "words"),
    [
        (None, 0.19, "accuracy on A: measured 0.19. No prediction was made"),
        (None, [0.25, 0.2, 0.21], "accuracy on A: measured 0.2 to 0.25 in 3 runs. No prediction was made"),
        (0.6, 0.2, "accuracy on A: measured 0.2; you said 0.6, too high by 0.4."),
        (0.1, torch.tensor([0.3, 0.5]), "accuracy on A: measured 0.3 to 0.5 in 2 runs; you said 0.1, too low by 0.3."),
        (0.25, np.float64(0.2), "accuracy on A: measured 0.2; you said 0.25, which is close."),
        (0.2, (v for v in (0.24, 0.26)), "accuracy on A: measured 0.24 to 0.26 in 2 runs; you said 0.2, which is close."),
    ],
)
def test_what_was_measured_is_set_beside_what_was_said(said, measured, words):
    guess = cl.widgets.Prediction("accuracy on A")
    if said is not None:
        guess.slider.value = said
        guess.button.click()
    picture = guess.reveal(measured)
    assert picture.alt.startswith(words) and len(picture.alt) >= 40
    assert picture.png.startswith(b"\x89PNG")


def test_run_all_without_a_prediction_gives_the_same_each_time():
    one, two = (cl.widgets.Prediction("accuracy on A") for _ in range(2))
    assert one.reveal(0.2)._repr_mimebundle_() == two.reveal(0.2)._repr_mimebundle_()
    still = [{**guess._repr_mimebundle_(), "application/vnd.jupyter.widget-view+json": None} for guess in (one, two)]
    assert still[0] == still[1]


def test_a_still_picture_stands_in_for_a_prediction():
    guess = cl.widgets.Prediction("accuracy on A")
    bundle = guess._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"}
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == guess.model_id
    assert bundle["text/plain"] == (
        "accuracy on A, from 0 to 1: nothing is predicted yet. [Interactive when run: a slider, and a button that commits.]"
    )
    guess.button.click()
    assert "you said 0.5" in guess._repr_mimebundle_()["text/plain"]


def test_what_is_predicted_is_escaped():
    assert "a &lt; b" in cl.widgets.Prediction("a < b").children[0].value


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: cl.widgets.Prediction(3), TypeError, "what must be a text"),
        (lambda: cl.widgets.Prediction("a", 1, 1), ValueError, "high must be above low, got 1 and 1"),
        (lambda: cl.widgets.Prediction("a", 2, 1), ValueError, "high must be above low, got 1 and 2"),
        (lambda: cl.widgets.Prediction("a", "0", 1), TypeError, "low must be a number"),
        (lambda: cl.widgets.Prediction("a", 0, np.inf), ValueError, "high must be"),
        (lambda: cl.widgets.Prediction("a").reveal([]), ValueError, "measured must hold at least one number, got none"),
        (lambda: cl.widgets.Prediction("a").reveal(np.nan), ValueError, "measured must be"),
        (lambda: cl.widgets.Prediction("a").reveal("0.5"), TypeError, "measured must be a number"),
        (lambda: cl.widgets.Prediction("a").reveal({"a": 0.5}), TypeError, "measured must be a number"),
    ],
)
def test_bad_predictions(call, error, words):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value).startswith(words)
