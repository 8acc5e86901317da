"""Words on a map of lines and marks, where they touch nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import cos, pi, sin
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import ContourSet
from matplotlib.text import Text

GAP = 3  # pixels between words and what they must not touch
# Pixels from a point to its words; from far a thin line leads to them.
NEAR, FAR = (9, 13, 18, 24), (34, 46, 60, 76, 92, 110, 135, 165)
WAYS = [(sin(turn * pi / 8), cos(turn * pi / 8)) for turn in (0, 8, 4, 12, 2, 14, 6, 10, *range(1, 16, 2))]  # above it first
Box = tuple[float, float, float, float]  # left, low, right, high


class Words:
    """Puts words beside points, into regions and onto lines of ``axis``, once all its lines and marks are drawn.

    All is measured in pixels, so what surrounds the axis (titles, keys, the labels of its axes) must be there, too.
    """

    def __init__(self, axis: Axes) -> None:
        figure: Any = axis.figure.figure  # the whole one, of which a subfigure is a part
        if layout := figure.get_layout_engine():
            layout.execute(figure)  # only now is it known where a point of the axis lies in the figure
        axis.apply_aspect()
        self._axis, self._pen = axis, FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        # each line, its level if it is one of equal loss, what it covers, and how far it reaches around that
        self._taken: list[tuple[object, int, Any, float]] = [(line, 0, *_covered(line)) for line in axis.lines]
        for lines in (found for found in axis.collections if isinstance(found, ContourSet) and not found.filled):
            self._taken += [(lines, level, *found) for level, found in enumerate(_contours(lines))]
        self._boxes = [self._box(text) for text in axis.texts]

    def avoid(self, ways: Iterable[tuple[Any, Any]]) -> None:
        """Leave free what will be drawn later along these ways, x and y of each."""
        for x, y in ways:
            self._taken.append((None, 0, _dense(self._axis.transData.transform(np.stack([x, y], axis=1))), 2.0))

    def beside(self, point: tuple[float, float], words: str, needed: bool = True, **style: Any) -> bool:
        """Words near a point: where there is room, else, if ``needed``, where they cover least. Says whether they stand."""
        note = self._axis.annotate(words, point, xytext=(0, 0), textcoords="offset points", ha="center", va="center", **style)
        (left, low, right, high), dot = self._box(note), note.figure.dpi / 72
        half, (x, y) = ((right - left) / 2, (high - low) / 2), self._axis.transData.transform(point)
        points, best, fewest = self._all(), None, np.inf
        for reach in (*NEAR, *FAR):
            for across, up in WAYS:
                dx, dy = across * (half[0] + reach), up * (half[1] + reach)
                box = x + dx - half[0], y + dy - half[1], x + dx + half[0], y + dy + half[1]
                way = _dense(np.array([(x, y), (x + dx, y + dy)])) if reach >= FAR[0] else np.empty((0, 2))
                covered = self._covered_by(box, points) + sum(_inside(way, other).sum() for other in self._boxes)
                if covered < fewest:
                    best, fewest = (dx, dy, box, way), covered
            if not fewest:
                break
        if best is None or (fewest and not needed):
            note.remove()
            return False
        dx, dy, box, way = best
        note.xyann = dx / dot, dy / dot
        self._boxes.append(box)
        if len(way):
            way = way[~_inside(way, box)]
            line: dict[str, Any] = {"arrowstyle": "-", "lw": 0.8, "color": note.get_color(), "shrinkA": 0, "shrinkB": 0}
            end = (way[-1] - (x, y)) / dot
            self._axis.annotate("", point, tuple(end), textcoords="offset points", arrowprops=line, zorder=3)
            self._taken.append((note, 0, way, 0.5))
        return True

    def inside(self, words: str, places: Any, **style: Any) -> bool:
        """Words around the first of ``places`` (n, 2) where there is room; says whether there is one."""
        note = self._axis.text(0, 0, words, ha="center", va="center", **style)
        left, low, right, high = self._box(note)
        half, points = ((right - left) / 2, (high - low) / 2), self._all()
        for place in places:
            x, y = self._axis.transData.transform(place)
            box = x - half[0], y - half[1], x + half[0], y + half[1]
            if not self._covered_by(box, points):
                note.set_position(place)
                self._boxes.append(box)
                return True
        note.remove()
        return False

    def on_lines(self, lines: ContourSet, labels: Mapping[float, str]) -> None:
        """The label of each level on its line, along it, there where least is near; none on a line without room."""
        for level, label in labels.items():
            which = list(lines.levels).index(level)
            others = self._all(but=(lines, which))
            (own,) = [points for line, k, points, _ in self._taken if (line, k) == (lines, which)]
            half = np.array([3.8 * len(label) + GAP, 8 + GAP])  # pixels along the line and across it
            best, most = None, 0.0
            for at in range(2, len(own) - 2, 4):
                place, way = own[at], own[at + 2] - own[at - 2]
                if (np.abs(place - self._axis.bbox.get_points()) < half.max()).any() or not (length := np.hypot(*way)):
                    continue
                gaps = (others[:, :2] - place) @ np.array([way, (-way[1], way[0])]).T / length
                if (np.abs(gaps) < half + others[:, 2:]).all(axis=1).any():
                    continue
                boxes = [np.hypot(*np.maximum(np.maximum([b[0], b[1]] - place, place - [b[2], b[3]]), 0)) for b in self._boxes]
                near = min([100.0, *boxes, *(np.hypot(*gaps.T) - others[:, 2])])
                if near > most and min([np.inf, *boxes]) > half.max():
                    best, most = place, near
            if best is not None:
                place = self._axis.transData.inverted().transform(best)
                lines.clabel(fmt=dict(labels), fontsize=10, manual=[tuple(place)])  # nearest level: this one
                self._boxes.append(self._box(lines.labelTexts[-1]))

    def _all(self, but: object = None) -> Any:
        """Points and radii of all that is taken, save by one line of equal loss, (n, 3)."""
        taken = [(points, radius) for line, k, points, radius in self._taken if (line, k) != but]
        return np.concatenate([np.empty((0, 3)), *(np.c_[points, np.full(len(points), radius)] for points, radius in taken)])

    def _covered_by(self, box: Box, points: Any) -> int:
        """How much a box would cover; a box that leaves the axes covers a lot."""
        left, low, right, high = box
        frame, reach = self._axis.bbox, points[:, 2] + GAP
        across = (points[:, 0] > left - reach) & (points[:, 0] < right + reach)
        near = [left < b[2] + GAP and b[0] < right + GAP and low < b[3] + GAP and b[1] < high + GAP for b in self._boxes]
        outside = left < frame.x0 or right > frame.x1 or low < frame.y0 or high > frame.y1
        return (
            int((across & (points[:, 1] > low - reach) & (points[:, 1] < high + reach)).sum())
            + 50 * sum(near)
            + 1000 * bool(outside)
        )

    def _box(self, text: Text) -> Box:
        left, low, right, high = Text.get_window_extent(text, self._pen).extents
        return left, low, right, high


def _covered(line: Any) -> tuple[Any, float]:
    """Points that a line with its marks covers, in pixels, and how far it reaches around them."""
    path, dot = line.get_path().transformed(line.get_transform()), line.figure.dpi / 72
    marked = line.get_marker() not in (None, "None", "none", "")
    radius = dot * max(line.get_linewidth(), line.get_markersize() if marked else 0) / 2
    if line.get_linestyle() == "None":
        return path.vertices[np.isfinite(path.vertices).all(axis=1)], radius
    return _dense_all(path.to_polygons(closed_only=False)), radius


def _contours(lines: ContourSet) -> list[tuple[Any, float]]:
    return [
        (_dense_all(path.transformed(lines.get_transform()).to_polygons(closed_only=False)), 1.0) for path in lines.get_paths()
    ]


def _dense_all(pieces: list[Any]) -> Any:
    return np.concatenate([np.empty((0, 2)), *map(_dense, pieces)])


def _dense(piece: Any) -> Any:
    """Points on a line through those of ``piece`` (n, 2), four pixels apart."""
    piece = piece[np.isfinite(piece).all(axis=1)]
    if len(piece) < 2:
        return piece
    along = np.concatenate([[0], np.hypot(*np.diff(piece, axis=0).T).cumsum()])
    at = np.linspace(0, along[-1], 2 + min(5000, int(along[-1] / 4)))
    return np.stack([np.interp(at, along, values) for values in piece.T], axis=1)


def _inside(points: Any, box: Box) -> Any:
    left, low, right, high = box
    return (points[:, 0] > left) & (points[:, 0] < right) & (points[:, 1] > low) & (points[:, 1] < high)
