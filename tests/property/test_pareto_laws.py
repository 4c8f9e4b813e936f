"""Laws of the non-dominated filter."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from einloom.search.pareto import non_dominated

VALUES = st.one_of(
    st.integers(-3, 3).map(float), st.floats(allow_nan=False), st.sampled_from([float("inf"), float("-inf")])
)


@st.composite
def fronts(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    """Points with many ties, and a direction for each objective."""
    objectives = draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(VALUES, min_size=objectives, max_size=objectives), max_size=25))
    directions = draw(st.lists(st.sampled_from(["min", "max"]), min_size=objectives, max_size=objectives))
    return np.array(rows, dtype=float).reshape(len(rows), objectives), directions


def dominates(a: np.ndarray, b: np.ndarray, directions: list[str]) -> bool:
    """The definition, one objective at a time."""
    pairs = [(x, y) if way == "min" else (y, x) for x, y, way in zip(a, b, directions, strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@given(fronts())
def test_the_filter_equals_its_definition(case):
    points, directions = case
    expected = [not any(dominates(other, point, directions) for other in points) for point in points]
    assert non_dominated(points, directions).tolist() == expected


@given(fronts())
def test_filtering_twice_changes_nothing(case):
    points, directions = case
    front = points[non_dominated(points, directions)]
    assert non_dominated(front, directions).all()


@given(fronts(), st.randoms())
def test_the_order_of_points_does_not_matter(case, random):
    points, directions = case
    order = list(range(len(points)))
    random.shuffle(order)
    assert (non_dominated(points[order], directions) == non_dominated(points, directions)[order]).all()


@given(fronts())
def test_a_dropped_point_is_dominated_by_a_kept_one(case):
    points, directions = case
    kept = non_dominated(points, directions)
    for point in points[~kept]:
        assert any(dominates(other, point, directions) for other in points[kept])


@given(fronts())
def test_equal_points_are_kept_or_dropped_together(case):
    points, directions = case
    twice = np.concatenate([points, points])
    mask = non_dominated(twice, directions)
    assert (mask[: len(points)] == mask[len(points) :]).all()


@given(fronts())
def test_there_is_a_front_wherever_there_are_points(case):
    points, directions = case
    assert non_dominated(points, directions).any() == (len(points) > 0)
