"""Explorers: controls above a picture, and a still picture where widgets do not run. And predictions, made before measuring.

All pictures of an explorer are drawn beforehand, so that moving a control only swaps one PNG for another. Only what ipywidgets
7.7.1 (Colab) and 8 have in common is used.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import product
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import display
from torch import Tensor

from . import _checks
from .figures import Picture, strength_label
from .figures.predictions import prediction

VALUES = "the values that it can take, such as [0, 0.1, 1]"


class Explorer(ipywidgets.VBox):  # type: ignore[misc]
    """Move through pictures with one control for each argument of ``draw``.

    Args:
        draw: makes a :class:`Picture` from one value of each control.
        controls: name -> the values it can take, in order. Numbers and a few words become a slider or buttons.
        start: the values shown first, and in the still picture; the first of each by default.
        play: name of the control that a play button moves.

    Raises:
        TypeError, ValueError: a control without values or with one twice, a start value that is not among them, or a ``draw``
            that fails or makes no Picture; the error says of which values.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        controls: Mapping[str, Sequence[Any]],
        start: Mapping[str, Any] | None = None,
        play: str | None = None,
    ) -> None:
        if not callable(draw):
            raise TypeError(f"draw must be a function that makes a Picture, got {_checks.shown(draw)}")
        self._values = {name: _values(name, v) for name, v in _checks.named("controls", controls, object, VALUES).items()}
        start = _checks.named("start", {} if start is None else start, object, "the value shown first", or_empty=True)
        for name, value in start.items():
            there = self._values.get(name, list(self._values))
            if name not in self._values or value not in there:
                raise ValueError(f"start[{name!r}] must be one of {there}, got {value!r}")
        if play is not None:
            _checks.one_of("play", play, list(self._values))
        self._play = play
        indices = product(*(range(len(values)) for values in self._values.values()))
        self._pictures = {index: self._drawn(draw, index) for index in indices}
        self.controls: dict[str, Any] = {}
        rows = []
        for name, values in self._values.items():
            first = values.index(start.get(name, values[0]))
            control = self.controls[name] = _control(name, values, first)
            control.observe(self._show, names="value")
            rows.append(ipywidgets.HBox([_player(control, len(values)), control]) if name == play else control)
        self._image = ipywidgets.Image(format="png")
        self._image.layout.max_width = "100%"
        self._image.layout.align_self = "flex-start"  # or it is stretched to the width of the caption
        self._caption = ipywidgets.HTML()
        super().__init__([*rows, self._image, self._caption])
        self._show()

    def _drawn(self, draw: Callable[..., Picture], index: tuple[int, ...]) -> Picture:
        """The picture of one value of each control, drawn now, for moving a control must not wait for it."""
        chosen = {name: values[i] for i, (name, values) in zip(index, self._values.items(), strict=True)}
        at = ", ".join(f"{name} = {value!r}" for name, value in chosen.items())
        try:
            picture = draw(*chosen.values())
            if isinstance(picture, Picture):
                picture.png  # noqa: B018
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"draw must make a picture of every value, but at {at} it raised {reason}"[:390]) from error
        return _checks.kind(
            "draw", picture, Picture, f"a function that makes a Picture, as Picture(figure, alt) is one; at {at}"
        )

    @property
    def picture(self) -> Picture:
        """The picture that is shown now."""
        return self._pictures[tuple(control.index for control in self.controls.values())]

    def _show(self, _change: object = None) -> None:
        picture = self.picture
        self._image.value = picture.png
        self._caption.value = f"<p>{escape(picture.alt)}</p>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        names = ", ".join(f"{name} ({len(values)} values)" for name, values in self._values.items())
        return _bundle(self, self.picture, f"Interactive when run; controls: {names}.")

    def _ipython_display_(self, **_options: object) -> None:  # ipywidgets 7 looks for this one
        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]


def _values(name: str, values: Any) -> list[Any]:
    """The values of one control, at least one, no two alike."""
    one = isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable)
    if one or (isinstance(values, (Tensor, np.ndarray)) and not values.ndim):
        raise TypeError(f"controls[{name!r}] must be {VALUES}, got {_checks.shown(values)}")
    found = values.tolist() if isinstance(values, (Tensor, np.ndarray)) else list(values)
    if not found:
        raise ValueError(f"controls[{name!r}] must hold at least one value, got none")
    if twice := [value for i, value in enumerate(found) if value in found[:i]]:
        raise ValueError(f"controls[{name!r}] must hold values that differ, got {twice[0]!r} more than once")
    return found


def _control(name: str, values: list[Any], first: int) -> Any:
    labels = [strength_label(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else str(v) for v in values]
    options = list(zip(labels, range(len(values)), strict=True))
    kind = ipywidgets.ToggleButtons if isinstance(values[0], str) and len(values) <= 4 else ipywidgets.SelectionSlider
    control = kind(options=options, value=first, description=name)
    control.style.description_width = "initial"
    if kind is ipywidgets.SelectionSlider:
        control.layout.width = "460px"
        control.continuous_update = True
    return control


def _player(control: Any, n: int) -> Any:
    play = ipywidgets.Play(min=0, max=n - 1, value=control.index, interval=250)
    # Through Python: a link in the browser would send a message more for each key press, before the one that counts.
    play.observe(lambda change: control.set_trait("index", change["new"]), names="value")
    control.observe(lambda change: play.set_trait("value", change["new"]), names="index")
    return play


class Prediction(ipywidgets.VBox):  # type: ignore[misc]
    """Say what you expect before it is measured: a slider, and a button that commits to it, once and for all.

    Args:
        what: the quantity, such as "accuracy on A after learning B".
        low, high: the ends of the slider; it starts in the middle.

    Raises:
        TypeError, ValueError: no text, or no two numbers in order.
    """

    def __init__(self, what: str, low: float = 0.0, high: float = 1.0) -> None:
        self.what = _checks.kind("what", what, str, "a text that says what is predicted")
        self.low = _checks.real_number("low", low, at_least=-math.inf)
        self.high = _checks.real_number("high", high, at_least=-math.inf)
        if not self.low < self.high:
            raise ValueError(f"high must be above low, got {self.high:g} and {self.low:g}")
        self.value: float | None = None  # what was committed
        middle, step = (self.low + self.high) / 2, (self.high - self.low) / 100
        self.slider = ipywidgets.FloatSlider(middle, min=self.low, max=self.high, step=step, readout_format=".3g")
        self.slider.layout.width = "460px"
        self.button = ipywidgets.Button(description="I commit", tooltip="Locks the slider")
        self.button.on_click(self._commit)
        self._said = ipywidgets.HTML("Move the slider, by mouse or arrow keys, then press the button.")
        super().__init__([ipywidgets.HTML(f"<b>{escape(what)}</b>"), ipywidgets.HBox([self.slider, self.button]), self._said])

    def _commit(self, _button: object = None) -> None:
        if self.value is not None:
            return
        self.value = float(self.slider.value)
        self.slider.disabled = self.button.disabled = True
        self._said.value = f"You said {self.value:.3g}. Now run on, and see."

    def reveal(self, measured: float | Tensor | Iterable[float]) -> Picture:
        """The prediction beside what was measured: a number, or one a seed. Says so if no prediction was made."""
        if isinstance(measured, (Tensor, np.ndarray)):
            measured = measured.flatten().tolist()
        several = (
            [*measured] if isinstance(measured, Iterable) and not isinstance(measured, (str, bytes, Mapping)) else [measured]
        )
        numbers = [_checks.real_number("measured", number, at_least=-math.inf) for number in several]
        if not numbers:
            raise ValueError("measured must hold at least one number, got none")
        return prediction(self.what, self.low, self.high, self.value, numbers)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        still = prediction(self.what, self.low, self.high, self.value)
        return _bundle(self, still, "Interactive when run: a slider, and a button that commits.")

    def _ipython_display_(self, **_options: object) -> None:  # ipywidgets 7 looks for this one
        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]


def _bundle(widget: Any, still: Picture, controls: str) -> dict[str, Any]:
    """A widget for those with a kernel, a still picture for the others, and a text for screen readers."""
    return {
        "application/vnd.jupyter.widget-view+json": {"version_major": 2, "version_minor": 0, "model_id": widget.model_id},
        "image/png": base64.b64encode(still.png).decode(),
        "text/plain": f"{still.alt} [{controls}]",
    }
