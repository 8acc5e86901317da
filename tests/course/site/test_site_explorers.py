"""Explorers in HTML: for each place of the controls the very pixels and words of the notebook's explorer."""

import base64
import io
import json
from html import escape
from itertools import product

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

import cl_teach as cl
from cl_teach.course.site import explorers
from cl_teach.figures import Picture, canvas


def draw(strength: float, method: str = "L2", when: str = "before") -> Picture:
    figure, (axis,) = canvas(width=2, height=1)
    axis.plot([0, strength], [0, len(method)], lw=1 if when == "before" else 3)
    return Picture(figure, f"{method} & at {strength} </script> {when}")


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def decoded(address: str) -> np.ndarray:
    kind, data = address.split(",")
    assert kind == "data:image/webp;base64"
    return pixels(base64.b64decode(data))


def parsed(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, features="html.parser")


@pytest.fixture(scope="module")
def explorer():
    controls = {"strength λ": [0, 0.1, 1e6], "method": ["L2", "EWC"], "when": ["before", "after"]}
    return cl.widgets.Explorer(draw, controls, start={"strength λ": 0.1, "method": "EWC"}, play="strength λ")


@pytest.fixture(scope="module")
def figure(explorer):
    return parsed(explorers.explorer(explorer)).find("figure", class_="explorer")


def test_every_combination_has_its_picture_and_its_words(explorer, figure):
    data = json.loads(figure.find("script", type="application/json").string)
    assert data["labels"] == [["0", "0.1", "10⁶"], ["L2", "EWC"], ["before", "after"]]
    combinations = list(product(range(3), range(2), range(2)))
    assert len(data["shown"]) == len(data["alts"]) == 12
    for at, places in enumerate(combinations):
        for control, place in zip(explorer.controls.values(), places, strict=True):
            control.value = place
        assert (decoded(data["frames"][data["shown"][at]]) == pixels(explorer.picture.png)).all()
        assert data["alts"][at] == explorer.picture.alt


def test_equal_pictures_are_kept_once():
    shown = cl.widgets.Explorer(lambda a: Picture(draw(a // 2).figure, f"at {a}"), {"a": [0, 1, 2, 3]})
    data = json.loads(parsed(explorers.explorer(shown)).find("script").string)
    assert data["shown"] == [0, 0, 1, 1] and len(data["frames"]) == 2
    assert data["alts"] == ["at 0", "at 1", "at 2", "at 3"]


def test_controls_are_native_and_start_where_the_explorer_does(explorer):
    for name, place in (("strength λ", 1), ("method", 1), ("when", 0)):
        explorer.controls[name].value = place
    figure = parsed(explorers.explorer(explorer)).find("figure")
    slider, (method, when) = figure.find("input", type="range"), figure.find_all("fieldset")
    assert (slider["min"], slider["max"], slider["value"], slider["aria-valuetext"]) == ("0", "2", "1", "0.1")
    assert figure.find("label", attrs={"for": slider["id"]}).text == "strength λ"
    assert figure.find("output", attrs={"for": slider["id"]}).text == "0.1"
    assert method.legend.text == "method" and [label.text for label in method.find_all("label")] == ["L2", "EWC"]
    assert [i["value"] for i in method.find_all("input")] == ["0", "1"]
    assert [i.has_attr("checked") for i in method.find_all("input")] == [False, True]
    assert [i.has_attr("checked") for i in when.find_all("input")] == [True, False]
    assert len({i["name"] for i in method.find_all("input")} | {i["name"] for i in when.find_all("input")}) == 2
    (button,) = figure.find_all("button")
    assert button["aria-label"] == "Play strength λ" and button["class"] == ["play"] and button.parent.find("input") == slider

    image, caption = figure.find("img"), figure.find("figcaption")
    assert image["alt"] == caption.text == explorer.picture.alt and caption["aria-live"] == "polite"
    assert (decoded(image["src"]) == pixels(explorer.picture.png)).all()
    assert not image.has_attr("width") and not image.has_attr("height")  # pictures of an explorer may differ in size


def test_only_what_plays_has_a_button():
    figure = parsed(explorers.explorer(cl.widgets.Explorer(draw, {"λ": [0, 0.1]})))
    assert figure.find_all("button") == [] and len(figure.find_all("input", type="range")) == 1


def test_five_words_make_a_slider_as_in_the_notebook():
    shown = cl.widgets.Explorer(lambda m: draw(1, m), {"<m>": list("abcde")}, start={"<m>": "c"})
    figure = parsed(explorers.explorer(shown))
    assert figure.find("input")["aria-valuetext"] == figure.find("output").text == "c"
    assert figure.find("label").text == "<m>"


def test_ids_differ_within_a_page(explorer):
    page = parsed("".join([explorers.explorer(explorer), explorers.explorer(explorer), explorers.prediction(PREDICTION)]))
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids)) == 3
    assert len({i["name"] for i in page.find_all("input", type="radio")}) == 4


PREDICTION = cl.widgets.Prediction("accuracy <of> A", 0.2, 0.6)


def test_a_prediction_is_a_slider_and_a_button():
    box = parsed(explorers.prediction(PREDICTION)).find("fieldset", class_="prediction")
    slider = box.find("input", type="range")
    assert box.legend.text == "accuracy <of> A" and box.button.text == "I commit"
    assert [float(slider[name]) for name in ("min", "max", "value", "step")] == pytest.approx([0.2, 0.6, 0.4, 0.004])
    assert slider["aria-valuetext"] == box.output.text == "0.4"
    assert [box.label["for"]] == box.output["for"] == [slider["id"]] and box.p["aria-live"] == "polite"


def test_lossless_is_smaller_and_has_the_same_pixels():
    png = draw(2).png
    assert (decoded(explorers.webp(png)) == pixels(png)).all()
    assert len(base64.b64decode(explorers.webp(png).split(",")[1])) < len(png)


def test_in_a_kernel_they_show_themselves_as_html_and_words(monkeypatch, explorer):
    for kind in (cl.widgets.Explorer, cl.widgets.Prediction):
        monkeypatch.setattr(kind, "_repr_mimebundle_", kind._repr_mimebundle_)  # given back afterwards
    explorers.show_as_html()
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"} and bundle["text/plain"] == explorer.picture.alt
    assert escape(explorer.picture.alt) in bundle["text/html"]
    bundle = PREDICTION._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/html", "text/plain"} and bundle["text/plain"] == "accuracy <of> A"
    assert 'class="prediction"' in bundle["text/html"]
