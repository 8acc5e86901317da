from math import nan

import numpy as np
import pytest
import torch
from figure_inputs import is_good

from cl_teach import figures
from cl_teach.reproduce import Compared, Published

CELLS = [
    Compared("task", "none", 0.0, 0.852, 0.02, 5, Published(0.8541, 0.0088, 30), True),
    Compared("task", "EWC", 10.0, 0.9, 0.001, 5, Published(0.9912, 0.0016, 30), False),
    Compared("class", "$EWC$", 10.0, 0.2, nan, 1, None, None),
]


def test_published():
    is_good(figures.published(CELLS), [
        "task: none 85.2 %, paper 85.4 %; EWC 90.0 %, paper 99.1 % (differs).",
        "class: $EWC$ 20.0 %.",
    ])  # fmt: skip


@pytest.mark.parametrize(("cells", "named"), [(CELLS, ["here", "the paper"]), (CELLS[-1:], ["here"])])
def test_the_paper_is_named_where_it_has_a_number(cells, named):
    picture = figures.published(cells)
    (legend,) = picture.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == named
    assert ("in the paper" in picture.alt) is (len(named) == 2)


def test_each_cell_has_its_mean_and_two_errors_and_the_paper_s_below():
    task, other = figures.published(CELLS).figure.axes
    bars = [
        (line.get_marker(), float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in task.lines
        if len(line.get_xdata())
    ]
    marks = [bar for bar in bars if bar[0] in ("s", "o", "d")]
    assert marks == [("s", 0.852, -0.17), ("d", 0.8541, 0.17), ("o", 0.9, 0.83), ("d", 0.9912, 1.17)]
    reach = [sorted(x for x, _ in path.vertices) for line in task.collections for path in line.get_paths()]
    wanted = [(0.812, 0.892), (0.8365, 0.8717), (0.898, 0.902), (0.988, 0.9944)]
    assert [tuple(x) for x in reach] == [pytest.approx(pair) for pair in wanted]
    assert [label.get_text() for label in task.get_yticklabels()] == ["none", "EWC\n(differs)"]
    assert [label.get_text() for label in other.get_yticklabels()] == [r"\$EWC\$"]
    assert [axis.get_title() for axis in (task, other)] == ["task", "class"]
    assert task.get_ylim() == (1.5, -0.5)  # the first one on top
    assert task.xaxis.get_major_formatter()(0.925, 0) == "92.5 %"


@pytest.mark.parametrize(("cells", "kind"), [([], ValueError), (3, ValueError), ("none", ValueError), ([*CELLS, 1], TypeError)])
def test_only_what_compare_gave_is_drawn(cells, kind):
    with pytest.raises(kind, match=r"cells must be what cl_teach\.reproduce\.compare gave, got"):
        figures.published(cells)


RUNGS = {"as published": [0.82, 0.83, 0.84], "$another$ Fisher": [0.85, 0.87, 0.86], "wider": [0.93, 0.95, 0.94]}
MARKS = {"Avalanche": 0.83, "the paper": 0.94}


def test_ladder():
    is_good(figures.ladder(RUNGS, MARKS), [
        "as published 83.0 %; $another$ Fisher 86.0 % (+3.0 ± 0.6); wider 94.0 % (+8.0 ± 0.0).",
        "Lines: Avalanche 83.0 %, the paper 94.0 %.",
    ])  # fmt: skip


def test_a_step_of_the_ladder_has_its_seeds_its_mean_two_errors_and_what_it_gains_seed_by_seed():
    (axis,) = figures.ladder(RUNGS, MARKS).figure.axes
    seeds = [(list(line.get_xdata()), set(line.get_ydata())) for line in axis.lines if line.get_color() == "#8C8C8C"]
    assert seeds == [(a, {y + 0.22}) for y, a in enumerate(RUNGS.values())]
    dots = [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    means = [(float(line.get_xdata()[0]), line.get_ydata()[0]) for line in dots]
    wanted = [(pytest.approx(m), y) for y, m in enumerate((0.83, 0.86, 0.94))]
    assert means == wanted
    reach = [sorted(x for x, _ in path.vertices) for bars in axis.collections for path in bars.get_paths()]
    wide = 2 * 0.01 / 3**0.5
    assert [tuple(x) for x in reach] == [pytest.approx((m - wide, m + wide)) for m in (0.83, 0.86, 0.94)]
    assert [(text.get_text(), text.xy[1]) for text in axis.texts] == [("+3.0 ± 0.6", 1), ("+8.0 ± 0.0", 2)]  # of differences
    places = [text.get_window_extent().x0 / axis.get_window_extent().x1 for text in axis.texts]
    assert all(1 < place < 1.1 for place in places)  # right of the axis
    assert axis.xaxis.get_major_formatter()(0.925, 0) == "92.5 %"
    assert [label.get_text() for label in axis.get_yticklabels()] == ["as published", r"\$another\$ Fisher", "wider"]
    assert axis.get_ylim() == (2.5, -0.5)
    lines = {line.get_label(): set(line.get_xdata()) for line in axis.lines if ": " in str(line.get_label())}
    assert lines == {"Avalanche: 83 %": {0.83}, "the paper: 94 %": {0.94}}
    (legend,) = axis.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(lines)


def test_a_ladder_of_one_seed_has_no_errors():
    assert "b 50.0 % (+0.0)" in figures.ladder({"a": [0.5001], "b": [0.5]}, {}).alt  # no minus nothing
    picture = figures.ladder({"a": [0.5], "b": [0.6]})
    assert figures.ladder({"a": np.array([0.5]), "b": torch.tensor([0.6])}, {}).alt == picture.alt
    assert "a 50.0 %; b 60.0 % (+10.0)." in picture.alt and "Lines" not in picture.alt
    assert [text.get_text() for text in picture.figure.axes[0].texts] == ["+10.0"]
    assert not picture.figure.legends


def test_every_mark_has_its_line():
    (axis,) = figures.ladder({"a": [0.5]}, dict.fromkeys("abcd", 0.5)).figure.axes
    assert sum(": 50 %" in str(line.get_label()) for line in axis.lines) == 4
