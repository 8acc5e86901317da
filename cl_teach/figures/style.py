"""The one visual language of all figures, and what a finished figure is.

Task A grey, task B cream; no penalty a blue square, L2 a green triangle, EWC a red circle, joint training a black star; task A
on x. Markers, lines and labels repeat what colours say.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, wraps
from itertools import chain, cycle
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image  # matplotlib's own way to PNG
from torch import Tensor

from .. import _checks

P = ParamSpec("P")
T = TypeVar("T")

# --- colours, markers, lines ------------------------------------------------------------------------------------------

BLUE, RED, STEEL = "#0072B2", "#C8320A", "#56789A"
TASK_A: dict[str, Any] = {"color": "#5F5F5F", "linestyle": "-"}
TASK_B: dict[str, Any] = {"color": "#B07D00", "linestyle": "--"}
TASKS, REGIONS = (TASK_A, TASK_B), ("#BDBDBD", "#F7E3A1")  # lines, and areas behind them
DOTTED: dict[str, Any] = {"color": "black", "lw": 1, "ls": (0, (1, 1))}
OUTLINES: list[dict[str, Any]] = [{"color": "#7A1FA2", "ls": line} for line in ("-", ":", "--", "-.")]  # what is predicted

# The colours keep apart for colour-blind eyes; where they are close, marker and line are not.
METHODS: dict[str, dict[str, Any]] = {
    "none": {"color": BLUE, "marker": "s", "linestyle": ":", "label": "no penalty"},
    "L2": {"color": "#00795A", "marker": "^", "linestyle": "--", "label": "L2"},
    "EWC": {"color": RED, "marker": "o", "linestyle": "-", "label": "EWC"},
    "online EWC": {"color": "#E69F00", "marker": "D", "linestyle": "-.", "label": "online EWC"},
    "LatestEWC": {"color": "#CC79A7", "marker": "P", "linestyle": (0, (6, 1, 1, 1, 1, 1)), "label": "latest EWC"},
    "SI": {"color": "#56B4E9", "marker": "v", "linestyle": (0, (8, 2)), "label": "SI"},
    "MAS": {"color": "#332288", "marker": "X", "linestyle": (0, (3, 1, 3, 1, 1, 1)), "label": "MAS"},
    "joint": {"color": "black", "marker": "*", "linestyle": (0, (1, 1)), "label": "joint training"},
}
METHODS["OnlineEWC"] = METHODS["online EWC"]

# For names of the user's: four colours, five markers and three lines make sixty styles before one comes back.
_spare = zip(cycle(("#5E2A00", "#0F5F5F", "#999933", "#EE99AA")), cycle("<p>hd"), cycle(("--", "-.", "-")), strict=False)
_others: dict[str, dict[str, Any]] = {}


def style_of(method: str) -> dict[str, Any]:
    """How ``method`` is drawn: color, marker, linestyle and label, as ``Axes.plot`` takes them.

    A name that is not in ``METHODS`` is given a style when it is first seen, and keeps it while Python runs.
    """
    if method in METHODS:
        return METHODS[method]
    if method not in _others:
        color, marker, line = next(_spare)
        _others[method] = {"color": color, "marker": marker, "linestyle": line, "label": method}
    return _others[method]


# All of these are read while a figure is made, none when it is drawn.
_RC: Any = {"figure.constrained_layout.use": True, "figure.dpi": 100, "legend.frameon": False, "lines.linewidth": 2}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """``draw`` under the settings that all figures share; the user's own settings of matplotlib stay as they are."""

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> T:
        with rc_context(_RC):
            return draw(*args, **options)

    return drawn


# --- a finished figure ------------------------------------------------------------------------------------------------


class Picture:
    """A figure and the text that stands for it where it cannot be seen.

    Args:
        figure: drawn with matplotlib.
        alt: what it shows, in words and rounded numbers.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = _checks.kind("figure", figure, Figure, "a matplotlib Figure, as canvas() gives it")
        self.alt = _checks.kind("alt", alt, str, "a text that says what the figure shows")

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG, rendered once; the same drawing gives the same bytes."""
        agg = FigureCanvasAgg(self.figure)
        agg.draw()  # type: ignore[no-untyped-call]
        return _png(agg)

    def save(self, path: str | Path) -> None:
        """Write the PNG to ``path``."""
        _checks.kind("path", path, (str, Path), "a path such as 'figure.png'")
        Path(path).write_bytes(self.png)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}


class Stage:
    """A figure whose still parts are drawn once; each picture then draws only the moving parts on top.

    Args:
        figure: finished, with the moving parts in it.
        moving: its artists made with ``animated=True``, in the order in which they are drawn.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        _checks.kind("figure", figure, Figure, "a matplotlib Figure, as canvas() gives it")
        self._moving = _checks.things("moving", moving, Artist, "Artist")
        self._agg = FigureCanvasAgg(figure)
        self._agg.draw()  # type: ignore[no-untyped-call]
        self._still = self._agg.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]

    def picture(self, alt: str) -> Picture:
        """The figure with its moving parts as they are now."""
        self._agg.restore_region(self._still)  # type: ignore[no-untyped-call]
        for artist in self._moving:
            assert artist.axes is not None
            artist.axes.draw_artist(artist)
        picture = Picture(self._agg.figure, alt)
        picture.png = _png(self._agg)  # now, for the figure will move on
        return picture


def _png(agg: FigureCanvasAgg) -> bytes:
    """What is on the canvas, in 256 colours: a third of the size, and written in a third of the time."""
    pixels = np.ascontiguousarray(np.asarray(agg.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]
    image = Image.fromarray(pixels).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@styled
def canvas(
    columns: int = 1, width: float = 7.0, height: float = 3.9, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """An empty figure of ``width`` x ``height`` inches at 100 dots an inch, and its axes from left to right, top to bottom."""
    for name, number in (("columns", columns), ("rows", rows)):
        _checks.whole_number(name, number, at_least=1)
    size = _checks.positive("width", width, at_most=200), _checks.positive("height", height, at_most=200)
    figure = Figure(figsize=size)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


# --- what several figures say -----------------------------------------------------------------------------------------

THETA_A = r"$\theta_A$"
HALO = [withStroke(linewidth=3, foreground="white")]  # around words that lie on a map


def array(values: Tensor) -> Any:
    """What matplotlib draws: the same numbers in numpy."""
    return values.detach().cpu().numpy()


def percent(value: float) -> str:
    """A share as text: 0.254 is 25 %; NaN is one that was not measured."""
    return "nothing measured" if np.isnan(value) else f"{100 * value:.0f} %"


def nats(loss: float) -> str:
    """A loss as text."""
    return f"{loss:.2f}" if np.isfinite(loss) else "not finite"


def strength_label(strength: float) -> str:
    """A strength as a short label: 0, 0.03, 100, 10⁴."""
    if isinstance(strength, bool) or not isinstance(strength, (int, float, np.number)):
        raise TypeError(f"strength must be a number, got {_checks.shown(strength)}")
    if 1e4 <= strength < np.inf and abs(np.log10(strength) - round(np.log10(strength))) < 1e-9:
        return "10" + str(round(np.log10(strength))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{strength:g}"


def literal(name: str) -> str:
    """A name of the user's as it stands, not as a formula."""
    return name.replace("$", r"\$")


def plain(name: str) -> str:
    """A name of the user's as it stands and short enough for a legend, which leaves out those that begin with "_"."""
    return (" " if name.startswith("_") else "") + literal(name if len(name) <= 24 else name[:23] + "…")


def task_styles(names: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each name with the style of its line: A and B first, then others in turn."""
    others = cycle(({"color": BLUE, "linestyle": ":"}, {"color": RED, "linestyle": "-."}))
    return list(zip(names, chain(TASKS, others), strict=False))


def key_columns(names: Iterable[str], width: float) -> int:
    """In how many columns a key of these ``names`` fits below a figure of ``width`` inches."""
    widest = max((len(line) for name in names for line in name.split("\n")), default=0)
    return max(1, min(4, int(100 * width / (55 + 8 * widest))))


def titled(title: str, alt: str) -> str:
    """The text of a picture with a title, or without."""
    return f"{title}: {alt}" if title else alt


def check_title(title: object) -> None:
    """An error for what is no text, before anything is drawn."""
    _checks.kind("title", title, str, "a text, shown above the picture")


def accuracy_axis(axis: Axes, which: str = "y", lowest: float = 0.0) -> None:
    """Up to 100 %, from 0 % or from a little below the ``lowest`` value."""
    axis.set(**{f"{which}lim": (max(0.0, min(lowest, 0.95) - 0.05), 1.0)})
    getattr(axis, f"{which}axis").set_major_formatter(lambda value, _: percent(value))
