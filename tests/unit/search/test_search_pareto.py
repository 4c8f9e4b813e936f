import numpy as np
import pytest

from einloom.search.pareto import non_dominated


def test_a_point_with_an_unknown_value_is_neither_kept_nor_beats_another():
    assert non_dominated([[np.nan, 0.0], [1.0, 1.0]]).tolist() == [False, True]


def test_directions_turn_the_comparison():
    points = [[1.0, 1.0], [2.0, 2.0]]
    assert non_dominated(points, ["min", "min"]).tolist() == [True, False]
    assert non_dominated(points, ["max", "max"]).tolist() == [False, True]
    assert non_dominated(points, ["min", "max"]).tolist() == [True, True]


def test_no_points_have_no_front():
    assert non_dominated(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("points", [[1.0, 2.0], [[[1.0]]]])
def test_points_need_two_axes(points):
    with pytest.raises(ValueError, match=r"points need the shape \(points, objectives\)"):
        non_dominated(points)


def test_every_objective_needs_a_direction():
    with pytest.raises(ValueError, match="1 directions for 2 objectives"):
        non_dominated([[1.0, 2.0]], ["min"])


def test_ten_thousand_points_in_three_objectives_are_filtered_in_a_moment():
    points = np.random.default_rng(0).random((10_000, 3))
    front = points[non_dominated(points)]
    assert 0 < len(front) < 500
