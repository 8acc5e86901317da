import math
from dataclasses import replace

import pytest
from figure_inputs import LINE, is_good

from cl_teach import figures


def test_truth():
    words = "there, at distance 4.0: true rise 1, whole Fisher 0.9, diagonal 0.1"
    is_good(figures.truth_meter({"there": LINE}), [words])


def test_slices():
    is_good(figures.slices({"there": LINE}, level=0.5), ["to there, A from 0.20 to 1.20", "B from 2.00 to 1.00"])
    assert figures.slices({"there": LINE}, title="up").alt.startswith("up: loss on straight lines")


def test_every_data_set_of_a_slice_is_drawn():
    more = replace(LINE, loss=dict.fromkeys("ABCD", LINE.loss["A"]))
    picture = figures.slices({"there": more})
    assert len(picture.figure.axes[0].lines) == 4 and all(f"{name} from" in picture.alt for name in "ABCD")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.slices({"there": LINE}, level=math.nan), "level must be"),
        (lambda: figures.truth_meter({}), "lines must hold at least one"),
        (lambda: figures.truth_meter({"there": LINE}, "B"), "name must be one of 'A', got 'B'"),
        (lambda: figures.slices({}), "lines must hold at least one"),
    ],
)
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
