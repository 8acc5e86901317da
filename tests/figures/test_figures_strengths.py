from figure_inputs import SWEEPS, is_good

from cl_teach import figures


def test_frontier():
    is_good(figures.frontier(SWEEPS, (0.9, 0.88)), ["EWC is best at lambda 10000 with A 85 %, B 80 %", "A 90 %"])


def test_one_strength():
    is_good(figures.strength_frame(SWEEPS, "L2", 0.1), ["L2 with lambda 0.1", "A 60 %", "B 70 %"])


def test_stability():
    steps = {"gradient": {10: 0.8, 99: 0.1}, "proximal": {10: 0.8, 99: 0.7}}
    is_good(figures.stability(steps, 50), ["10 %", "70 %", "50"])


def test_accuracies_below_the_lowest_take_no_room():
    axis = figures.frontier({"EWC": {0: (0.3, 0.9), 1: (0.8, 0.7)}}).figure.axes[0]
    assert (axis.get_xlim(), axis.get_ylim()) == ((0.25, 1.0), (0.7 - 0.05, 1.0))
