"""Explorers: controls above a picture, and a still picture where widgets do not run.

All pictures are drawn beforehand, so that moving a control only swaps one PNG for another. Only what ipywidgets 7.7.1 (Colab)
and 8 have in common is used.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import product
from typing import Any

import ipywidgets
from IPython.display import display

from .figures import Picture, strength_label


class Explorer(ipywidgets.VBox):  # type: ignore[misc]
    """Move through pictures with one control for each argument of ``draw``.

    Args:
        draw: makes a :class:`Picture` from one value of each control.
        controls: name -> the values it can take, in order. Numbers and a few words become a slider or buttons.
        start: the values shown first, and in the still picture; the first of each by default.
        play: name of the control that a play button moves.

    Raises:
        ValueError: a control without values, or a start value that is not among them.
    """

    def __init__(
        self,
        draw: Callable[..., Picture],
        controls: Mapping[str, Sequence[Any]],
        start: Mapping[str, Any] | None = None,
        play: str | None = None,
    ) -> None:
        for name, values in controls.items():
            if not len(values):
                raise ValueError(f"controls[{name!r}] must hold at least one value, got none")
        for name, value in (start or {}).items():
            if name not in controls or value not in controls[name]:
                raise ValueError(f"start[{name!r}] must be one of {list(controls.get(name, controls))}, got {value!r}")
        if play is not None and play not in controls:
            raise ValueError(f"play must be one of {list(controls)}, got {play!r}")
        self._values = {name: list(values) for name, values in controls.items()}
        indices = product(*(range(len(values)) for values in self._values.values()))
        self._pictures = {
            index: draw(*(values[i] for i, values in zip(index, self._values.values(), strict=True))) for index in indices
        }
        for picture in self._pictures.values():
            picture.png  # noqa: B018 - drawn now, for moving a control must not wait for it
        self.controls: dict[str, Any] = {}
        rows = []
        for name, values in self._values.items():
            first = values.index((start or {}).get(name, values[0]))
            control = self.controls[name] = _control(name, values, first)
            control.observe(self._show, names="value")
            rows.append(ipywidgets.HBox([_player(control, len(values)), control]) if name == play else control)
        self._image = ipywidgets.Image(format="png")
        self._image.layout.max_width = "100%"
        self._image.layout.align_self = "flex-start"  # or it is stretched to the width of the caption
        self._caption = ipywidgets.HTML()
        super().__init__([*rows, self._image, self._caption])
        self._show()

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
        return {
            "application/vnd.jupyter.widget-view+json": {"version_major": 2, "version_minor": 0, "model_id": self.model_id},
            "image/png": base64.b64encode(self.picture.png).decode(),
            "text/plain": f"{self.picture.alt} [Interactive when run; controls: {names}.]",
        }

    def _ipython_display_(self, **_options: object) -> None:  # ipywidgets 7 looks for this one
        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]


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
