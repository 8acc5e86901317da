"""Where words of a figure touch other words, data, or the edge of the picture: measured on the finished drawing."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text

SLACK = 1.0  # pixels by which two things may share an edge


class Words(NamedTuple):
    """Words as they are drawn: the middle, the half sizes and the directions of their box, in pixels."""

    said: str
    middle: np.ndarray
    half: np.ndarray
    directions: np.ndarray  # rows: along the words, and up

    def corners(self) -> np.ndarray:
        signs = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
        return self.middle + (signs * self.half) @ self.directions


def touching(figure: Figure) -> list[str]:
    """In words, everything in the figure that is hard to read; an empty list if all can be."""
    words, data = _drawn(figure)
    found = [f"“{a.said}” and “{b.said}”" for a, b in combinations(words, 2) if _meet(a, b)]
    words += _keys(figure)  # whose lines and marks must not lie on data either
    for what, points, radius in data:
        found += [f"“{word.said}” and {what}" for word in words if _covers(word, points, radius)]
    size = figure.bbox.size
    found += [
        f"“{word.said}” and the edge"
        for word in words
        if (word.corners() < -SLACK).any() or (word.corners() > size + SLACK).any()
    ]
    return found


def _drawn(figure: Figure) -> tuple[list[Words], list[tuple[str, np.ndarray, float]]]:
    """The words that are truly drawn (ticks beyond the axes are not), and what data are drawn as lines and marks."""
    seen: dict[int, Text] = {}
    draw = Text.draw

    def noted(text: Text, *args: object, **options: object) -> object:
        if text.get_visible() and text.get_text().strip():
            seen[id(text)] = text
        return draw(text, *args, **options)

    for artist in figure.findobj(lambda found: found.get_animated()):
        artist.set_animated(False)
    canvas = FigureCanvasAgg(figure)
    Text.draw = noted
    try:
        canvas.draw()
    finally:
        Text.draw = draw
    renderer = canvas.get_renderer()
    return [_box(text, renderer) for text in seen.values()], _data(figure)


def _keys(figure: Figure) -> list[Words]:
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    boxes = [legend.get_window_extent(figure.canvas.get_renderer()) for legend in legends]
    return [Words("the key", (box.p0 + box.p1) / 2, (box.p1 - box.p0) / 2 - SLACK, np.eye(2)) for box in boxes]


def _box(text: Text, renderer: object) -> Words:
    angle = np.deg2rad(text.get_rotation())
    box = Text.get_window_extent(text, renderer)
    middle, size = (box.p0 + box.p1) / 2, np.array([box.width, box.height])
    if angle:
        c, s = abs(np.cos(angle)), abs(np.sin(angle))
        upright = Text(0, 0, text.get_text(), fontproperties=text.get_fontproperties(), figure=text.figure.figure)
        flat = upright.get_window_extent(renderer)
        size = np.array([flat.width, flat.height])
        assert np.allclose([size[0] * c + size[1] * s, size[0] * s + size[1] * c], [box.width, box.height], atol=6), text
    directions = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Words(" ".join(text.get_text().split()), middle, size / 2 - SLACK / 2, directions)


def _meet(one: Words, other: Words) -> bool:
    """Whether two boxes overlap: no direction of either keeps them apart."""
    for direction in np.concatenate([one.directions, other.directions]):
        a, b = one.corners() @ direction, other.corners() @ direction
        if a.max() <= b.min() or b.max() <= a.min():
            return False
    return True


def _covers(word: Words, points: np.ndarray, radius: float) -> bool:
    along = np.abs((points - word.middle) @ word.directions.T)
    return bool((along < word.half + max(radius - SLACK, 0)).all(axis=1).any())


def _data(figure: Figure) -> list[tuple[str, np.ndarray, float]]:
    """What lines and marks cover within their axes: a name, points (n, 2) and the radius around each, in pixels."""
    dot, found = figure.dpi / 72, []
    for axis in figure.axes:
        box = axis.bbox
        for line in axis.lines:
            if not line.get_visible():
                continue
            path = line.get_path().transformed(line.get_transform())
            name = f"the line {line.get_label()}"
            if line.get_linestyle() not in ("None", "none", "", " "):
                found.append((name, _within(_dense(path.to_polygons(closed_only=False)), box), dot * line.get_linewidth() / 2))
            if line.get_marker() not in ("None", "none", "", " ", None):
                found.append((f"the marks of {name}", _within(path.vertices, box), dot * line.get_markersize() / 2))
        for collection in axis.collections:
            if isinstance(collection, ContourSet) and not collection.filled:
                for path in collection.get_paths():
                    pieces = path.transformed(collection.get_transform()).to_polygons(closed_only=False)
                    found.append(
                        ("a line of equal loss", _within(_dense(pieces), box), dot * collection.get_linewidth()[0] / 2)
                    )
            elif isinstance(collection, PathCollection):
                points = collection.get_offset_transform().transform(np.asarray(collection.get_offsets()))
                found.append(("dots", _within(points, box), dot * float(np.sqrt(collection.get_sizes().max())) / 2))
    return [(name, points, radius) for name, points, radius in found if len(points)]


def _dense(pieces: list[np.ndarray]) -> np.ndarray:
    """Points a pixel apart on each of the pieces."""
    made = [np.empty((0, 2))]
    for piece in pieces:
        piece = piece[np.isfinite(piece).all(axis=1)]
        along = np.concatenate([[0], np.hypot(*np.diff(piece, axis=0).T).cumsum()])
        at = np.union1d(along, np.arange(0, min(along[-1], 20_000)))
        made.append(np.stack([np.interp(at, along, values) for values in piece.T], axis=1))
    return np.concatenate(made)


def _within(points: np.ndarray, box: object) -> np.ndarray:
    points = points[np.isfinite(points).all(axis=1)]
    return points[((points >= box.p0 - SLACK) & (points <= box.p1 + SLACK)).all(axis=1)]
