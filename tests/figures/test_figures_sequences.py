from figure_inputs import is_good, run

from cl_teach import figures


def test_sequence():
    picture = figures.sequence({"none": run(0.3), "EWC": run(0.7)}, 0.9)
    is_good(picture, ["no penalty 55 % (first task 30 %)", "EWC 75 % (first task 70 %)", "joint training 90 %"])
