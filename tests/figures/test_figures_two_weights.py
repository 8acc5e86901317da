import math

import pytest
import torch
from figure_inputs import W, bowls, contours, has_points, is_good, labelled, says
from matplotlib.colors import to_hex

import cl_teach as cl
from cl_teach import figures
from cl_teach.figures.style import REGIONS, TASKS, THETA_A, style_of

A, B = cl.two_weight_tasks(n=50)
LOSSES = {task.name: cl.landscapes.two_weight_losses(task.train, W, W) for task in (A, B)}


def test_surface():
    ends = {"EWC": torch.tensor([1.0, 0.5])}
    picture = figures.two_weight_surface(W, W, LOSSES, ends, start=torch.zeros(2), title="here")
    is_good(picture, ["here: loss", "A and B", "theta_A lies at (0.0, 0.0)", "EWC ends at (1.0, 0.5)"])


def test_regions_and_lines_are_relative_to_each_task_s_own_minimum():
    w2, minima = W[:21], {"A": (0, 0), "B": (1, 0.5)}  # w2 from -1 to 1
    losses = {"A": bowls()["A"][:21] + 0.7, "B": bowls()["B"][:21] + 0.2}
    axis = figures.two_weight_surface(W, w2, losses, {}).figure.axes[0]
    regions, lines = contours(axis, filled=True), contours(axis, filled=False)
    assert [list(region.levels) for region in regions] == [[0, 0.012]] * 2
    assert [list(drawn.levels) for drawn in lines] == [[0.012, 0.1, 0.3]] * 2
    assert [drawn.zmin for drawn in regions + lines] == [0] * 4
    assert [to_hex(region.get_facecolor()[0]) for region in regions] == [color.lower() for color in REGIONS]
    assert [to_hex(drawn.get_edgecolor()[0]) for drawn in lines] == [style["color"].lower() for style in TASKS]
    for region, minimum in zip(regions, minima.values(), strict=True):
        assert [region.get_paths()[0].contains_point(place) for place in minima.values()] == [
            place == minimum for place in minima.values()
        ]


def test_start_ways_ends_and_rings_stand_where_they_are():
    path, ring = torch.tensor([[0.2, -0.1], [0.5, 0.3], [1.0, 0.6]]), figures.circle(torch.tensor([0.2, -0.1]), 0.4)
    ends = {"EWC": path[-1], "joint": torch.tensor([0.4, 0.1])}
    picture = figures.two_weight_surface(W, W, LOSSES, ends, {"EWC": path}, path[0], {"L2": ring})
    axis = picture.figure.axes[0]
    way, start = axis.lines[2:4]
    has_points(labelled(axis, "L2: same penalty\nall along this line"), *ring.T)
    has_points(way, [0.2, 0.5, 1.0], [-0.1, 0.3, 0.6])
    has_points(start, 0.2, -0.1)
    (note,) = [note for note in axis.texts if note.get_text() == THETA_A]
    assert note.xy == pytest.approx((0.2, -0.1))
    has_points(labelled(axis, "EWC"), 1.0, 0.6)
    has_points(labelled(axis, "joint training"), 0.4, 0.1)


def test_losses_on_the_grid_are_the_model_s_losses():
    model = cl.two_weights().double()
    w1, w2 = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([0.5, 2.0, -0.7], dtype=torch.float64)
    grid = cl.landscapes.two_weight_losses(A.train, w1, w2)
    assert grid.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            model.linear.weight.data = torch.stack([w1[j], w2[i]])[None]
            assert grid[i, j].item() == pytest.approx(cl.evaluate(model, A.train).loss, rel=1e-12)


def test_grid_refuses_other_data():
    with pytest.raises(ValueError, match=r"data must hold inputs \(N, 2\)"):
        cl.landscapes.two_weight_losses(cl.Split(torch.zeros(3, 4), torch.tensor([0, 1, 0])), W, W)


def test_ellipse_has_its_level():
    precision = torch.tensor([[2.0, 0.3], [0.3, 0.5]])
    gap = figures.ellipse(torch.tensor([1.0, -1.0]), precision, 0.7) - torch.tensor([1.0, -1.0])
    torch.testing.assert_close(((gap @ precision) * gap).sum(1), torch.full((101,), 0.7))
    radius = (figures.circle(torch.zeros(2), 0.4)).norm(dim=1)
    torch.testing.assert_close(radius, torch.full((101,), 0.4))


@pytest.mark.parametrize("precision", [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]], [[math.nan, 0.0], [0.0, 1.0]]])
def test_a_quadratic_without_an_ellipse_is_refused(precision):
    with pytest.raises(ValueError, match="precision must be positive definite"):
        figures.ellipse(torch.zeros(2), torch.tensor(precision), 1.0)


def test_the_map_says_what_it_shows_and_shows_all_of_the_grid_in_one_scale():
    ends = {"EWC": torch.tensor([1.0, 0.5]), "joint": torch.tensor([0.4, 0.1])}
    axis = figures.two_weight_surface(W, W[:21], {"A": bowls()["A"][:21]}, ends, title="here").figure.axes[0]
    region = ["A content: within\n0.012 of its best loss", "A: 0.1 and 0.3 above\nits best loss"]
    assert says(axis) == ("weight 1", "weight 2", "here", [*region, "EWC", "joint training"])
    assert axis.get_aspect() == 1
    assert (tuple(axis.get_xlim()), tuple(axis.get_ylim())) == (pytest.approx((-1, 2)), pytest.approx((-1, 1)))
    assert says(figures.two_weight_surface(W, W, {"A": bowls()["A"]}, {}).figure.axes[0])[3] == region
    both = says(figures.two_weight_surface(W, W, bowls(), {}).figure.axes[0])[3]
    assert both == [words.replace("A", name) for words in region for name in "AB"]


def test_ways_and_rings_have_the_style_of_their_method():
    path = torch.tensor([[0.2, -0.1], [0.5, 0.3], [1.0, 0.6]])
    picture = figures.two_weight_surface(W, W, LOSSES, {"L2": path[-1]}, {"EWC": path}, path[0], {"L2": path})
    _, _, way, start, end, ring = picture.figure.axes[0].lines
    assert (ring.get_color(), ring.get_linestyle()) == (style_of("L2")["color"], style_of("L2")["linestyle"])
    assert way.get_color() == style_of("EWC")["color"]
    assert (start.get_marker(), start.get_color(), start.get_markeredgecolor()) == ("o", "white", "black")
    assert (end.get_marker(), end.get_color()) == (style_of("L2")["marker"], style_of("L2")["color"])
    words = "theta_A lies at (0.2, -0.1); L2 ends at (1.0, 0.6)."
    assert picture.alt == f"loss surface of A and B over two weights. {words}"


def test_the_name_of_a_region_stands_in_it_where_there_is_room():
    place = torch.tensor([1.0, 0.5])
    for width, room in ((1.0, True), (0.14, True), (0.005, False)):
        losses = {"A": 0.012 * (((W[None] - 1) / width) ** 2 + (W[:, None] - 0.5) ** 2)}
        notes = {note.get_text(): note for note in figures.two_weight_surface(W, W, losses, {}).figure.axes[0].texts}
        assert ("A" in notes) == room
        if room:
            x, y = notes["A"].get_position()
            assert ((x - 1) / width) ** 2 + (y - 0.5) ** 2 < 1
    held = figures.two_weight_surface(W, W, losses | {"A": bowls()["A"]}, {"EWC": place}, start=torch.zeros(2)).figure.axes[0]
    assert THETA_A in [note.get_text() for note in held.texts]


def test_lines_of_equal_loss_say_their_level_there_where_the_loss_is_that_high():
    losses = bowls()
    colors = {style["color"].lower(): name for name, style in zip("AB", TASKS, strict=True)}
    for names in ("A", "AB"):
        axis = figures.two_weight_surface(W, W, {name: losses[name] for name in names}, {}).figure.axes[0]
        notes = [(note, *note.get_position()) for note in axis.texts if note.get_text() not in "AB"]
        rises = {"A": lambda x, y: x**2 + 0.2 * y**2, "B": lambda x, y: (x - 1) ** 2 + (y - 0.5) ** 2}
        found = []
        for note, x, y in notes:
            name = colors[to_hex(note.get_color())]
            found.append((name, note.get_text()))
            assert rises[name](x, y) == pytest.approx(float(note.get_text()), rel=0.05)
        assert sorted(found) == [(name, level) for name in names for level in ("0.1", "0.3")]


def test_outlines_that_are_no_method_s_stand_in_the_key_under_their_own_words():
    rings = {"predicted by F": figures.circle(torch.zeros(2), 0.5), "its diagonal": figures.circle(torch.zeros(2), 0.7)}
    axis = figures.two_weight_surface(W, W, LOSSES, {}, rings=rings).figure.axes[0]
    assert says(axis)[3][-2:] == list(rings)
    long = {"a rise of 0.012, predicted by F": rings["predicted by F"]}
    words = says(figures.two_weight_surface(W, W, LOSSES, {}, rings=long).figure.axes[0])[3][-1]
    assert words == "a rise of 0.012,\npredicted by F"  # the key is narrow
    one, other = (labelled(axis, name) for name in rings)
    has_points(one, *rings["predicted by F"].T)
    assert (one.get_linestyle(), other.get_linestyle()) == ("-", ":") and one.get_color() == other.get_color()
    assert one.get_color() not in {style["color"] for style in figures.METHODS.values()}


def test_a_way_and_its_end_have_one_entry_with_line_and_mark():
    path = torch.tensor([[0.2, -0.1], [0.5, 0.3], [1.0, 0.6]])
    axis = figures.two_weight_surface(W, W, LOSSES, {"L2": path[-1], "EWC": path[0]}, {"EWC": path}).figure.axes[0]
    look = [(labelled(axis, name).get_marker(), labelled(axis, name).get_linestyle()) for name in ("L2", "EWC")]
    assert look == [("^", "None"), ("o", "-")]  # of L2 no way is shown


def test_lines_of_equal_loss_have_the_style_of_their_task():
    axis = figures.two_weight_surface(W, W, LOSSES, {}).figure.axes[0]
    dashed = [drawn.get_linestyle()[0][1] is not None for drawn in contours(axis, filled=False)]
    assert dashed == [False, True]
    assert [(note.get_text(), note.get_color()) for note in axis.texts if note.get_text() in "AB"] == [
        (name, style["color"]) for name, style in zip("AB", TASKS, strict=True)
    ]
    for name, style in zip("AB", TASKS, strict=True):
        entry = labelled(axis, f"{name}: 0.1 and 0.3 above\nits best loss")
        assert (entry.get_color(), entry.get_linestyle()) == (style["color"], style["linestyle"])


def test_a_circle_and_an_ellipse_are_closed_and_of_the_centre_s_type():
    centre = torch.tensor([3.0, -1.0], dtype=torch.float64)
    for points in (figures.circle(centre, 0.5), figures.ellipse(centre, torch.eye(2).double(), 0.25)):
        assert points.shape == (101, 2) and points.dtype == torch.float64
        torch.testing.assert_close(points[0], points[-1])
        torch.testing.assert_close(points[:-1].mean(0), centre)
        assert len({tuple(p) for p in points[:-1].round(decimals=6).tolist()}) == 100
    torch.testing.assert_close(figures.ellipse(centre, torch.eye(2).double(), 0.0), centre.expand(101, 2))
    with pytest.raises(ValueError, match=r"level must be a finite number, at least 0, got -0.5"):
        figures.ellipse(torch.zeros(2), torch.eye(2), -0.5)
