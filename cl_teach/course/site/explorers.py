"""Explorers and predictions in HTML: native controls above a picture, and all pictures in the page. ``page.js`` moves them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from itertools import count, product

from ipywidgets import ToggleButtons
from PIL import Image

from ...widgets import Explorer, Prediction

_numbers = count(1)  # ids of what is in one page


def show_as_html() -> None:
    """In this process, explorers and predictions show themselves as what a page can move. For the kernel that makes a page."""

    def an_explorer(self: Explorer, **_: object) -> dict[str, str]:
        return {"text/html": explorer(self), "text/plain": self.picture.alt}

    def a_prediction(self: Prediction, **_: object) -> dict[str, str]:
        return {"text/html": prediction(self), "text/plain": self.what}

    Explorer._repr_mimebundle_ = an_explorer  # type: ignore[method-assign, assignment]
    Prediction._repr_mimebundle_ = a_prediction  # type: ignore[method-assign, assignment]


def explorer(shown: Explorer) -> str:
    """A figure with a slider or radio buttons for each control, a picture, its caption, and all pictures as data.

    The data are ``labels``, a list for each control; ``frames``, the pictures that differ; and for each combination of
    controls, the last one fastest, which frame it shows (``shown``) and what that is in words (``alts``).
    """
    labels = [[label for label, _ in control.options] for control in shown.controls.values()]
    pictures = [shown._pictures[index] for index in product(*(range(len(names)) for names in labels))]
    frames = {png: webp(png) for png in dict.fromkeys(picture.png for picture in pictures)}
    numbers = {png: i for i, png in enumerate(frames)}
    data = {
        "labels": labels,
        "frames": list(frames.values()),
        "shown": [numbers[picture.png] for picture in pictures],
        "alts": [picture.alt for picture in pictures],
    }
    controls = []
    for (name, control), names in zip(shown.controls.items(), labels, strict=True):
        few = isinstance(control, ToggleButtons)
        controls.append((_choice if few else _slider)(name, names, control.index, name == shown._play))
    alt = escape(shown.picture.alt)
    script = json.dumps(data, ensure_ascii=False).replace("</", r"<\/")
    return f"""<figure class="explorer">
<div class="controls">{"".join(controls)}</div>
<img src="{frames[shown.picture.png]}" alt="{alt}" decoding="sync">
<figcaption aria-live="polite">{alt}</figcaption>
<script type="application/json">{script}</script>
</figure>"""


def webp(png: bytes) -> str:
    """The same pixels as lossless WebP, about three quarters of the size, as an address that holds the picture itself."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _slider(name: str, labels: Sequence[str], first: int, can_play: bool) -> str:
    """A slider over the places of ``labels``; what is read aloud is the label, not the place."""
    number, title, label = next(_numbers), escape(name), escape(labels[first])
    play = f'<button type="button" class="play" aria-label="Play {title}">▶</button>' if can_play else ""
    return f"""<div class="slider">{play}<label for="control-{number}">{title}</label>
<input type="range" id="control-{number}" min="0" max="{len(labels) - 1}" value="{first}" aria-valuetext="{label}">
<output for="control-{number}">{label}</output></div>"""


def _choice(name: str, labels: Sequence[str], first: int, _can_play: bool) -> str:
    number = next(_numbers)
    buttons = [
        f'<label><input type="radio" name="control-{number}" value="{i}"{" checked" * (i == first)}>{escape(label)}</label>'
        for i, label in enumerate(labels)
    ]
    return f'<fieldset class="choice"><legend>{escape(name)}</legend>{"".join(buttons)}</fieldset>'


def prediction(shown: Prediction) -> str:
    """A slider, and a button that commits to its value. (The picture that reveals what was measured was drawn without it.)"""
    number, middle = next(_numbers), (shown.low + shown.high) / 2
    return f"""<fieldset class="prediction"><legend>{escape(shown.what)}</legend>
<div class="slider"><label for="control-{number}">your guess</label>
<input type="range" id="control-{number}" min="{shown.low!r}" max="{shown.high!r}" value="{middle!r}" \
step="{(shown.high - shown.low) / 100!r}" aria-valuetext="{middle:.3g}">
<output for="control-{number}">{middle:.3g}</output><button type="button">I commit</button></div>
<p aria-live="polite">Move the slider, by mouse or arrow keys, then press the button.</p></fieldset>"""
