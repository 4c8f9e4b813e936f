import itertools
import json
import math

import pytest
from analytic import BUFFER, CLOCK, COLS, FLOW, ROWS

from einloom.search.samplers import to_params, to_point
from einloom.search.space import Finite, Real, Space, divisors, key, powers_of_2


def test_the_grid_is_every_combination_once_the_last_dimension_fastest():
    space = Space((ROWS, FLOW))
    expected = list(itertools.product((4, 8, 16, 32, 64), FLOW.values))
    assert [tuple(point.values()) for point in space.grid()] == expected
    assert space.size == 15


def test_a_point_beyond_the_grid_is_refused():
    with pytest.raises(IndexError, match="the space has 5 points, asked for number 5"):
        Space((ROWS,)).point(5)


def test_the_size_of_a_huge_grid_is_exact():
    huge = Finite("a.b", range(1, 10**12 + 1), "integers")
    assert Space((huge, huge)).size == 10**24
    assert Space((huge, huge)).point(10**24 - 1) == {"a.b": 10**12}


def test_a_space_with_a_real_dimension_has_no_size():
    assert Space((ROWS, CLOCK)).size is None


def test_a_real_dimension_of_one_value_is_a_point():
    space = Space((Real("a.b", 2.0, 2.0),))
    assert space.size == 1
    assert space.point(0) == {"a.b": 2.0}


def test_a_unit_is_put_behind_each_number():
    assert Finite("a.b", (16, 32), "steps", "KiB").value(1) == "32 KiB"
    assert CLOCK.of(1.5) == "1.5 GHz"


def test_fractions_cover_a_dimension_evenly():
    assert [ROWS.at(fraction) for fraction in (0.0, 0.19, 0.2, 0.99, math.nextafter(1, 0))] == [
        4,
        4,
        8,
        64,
        64,
    ]
    assert Real("a.b", 1.0, 3.0).at(0.5) == 2.0
    assert Real("a.b", 1.0, 4.0, log=True).at(0.5) == pytest.approx(2.0)


def test_real_fractions_stay_inside_the_range_whatever_the_rounding():
    dimension = Real("a.b", 0.1, 0.3, log=True)
    assert 0.1 <= dimension.at(0.0) < 0.1001
    assert dimension.at(math.nextafter(1, 0)) <= 0.3


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (4, 64, (4, 8, 16, 32, 64)),
        (5, 64, (8, 16, 32, 64)),
        (1, 1, (1,)),
        (3, 3, ()),
        (1, 7, (1, 2, 4)),
        (0, 2, (1, 2)),
    ],
)
def test_powers_of_two_include_both_ends(low, high, expected):
    assert powers_of_2(low, high) == expected


@pytest.mark.parametrize("number", [1, 2, 12, 97, 4096, 36, 1000])
def test_divisors_are_all_that_divide_in_order(number):
    assert list(divisors(number)) == [d for d in range(1, number + 1) if number % d == 0]


def test_optuna_parameters_and_points_translate_both_ways():
    lists = Finite("architecture.levels.Reg.holds", (("A", "B"), ("B",)))
    space = Space((ROWS, COLS, FLOW, BUFFER, CLOCK, lists))
    for fraction in (0.0, 0.3, 0.7, 0.99):
        point = space.at([fraction] * 6)
        assert to_point(space, to_params(space, point)) == point
        assert to_point(space, json.loads(json.dumps(to_params(space, point)))) == point


def test_equal_points_have_one_key_whatever_their_order():
    assert key({"a": 1, "b": [2]}) == key({"b": [2], "a": 1}) != key({"a": 1.5, "b": [2]})


def test_a_dimension_describes_itself_in_one_line():
    assert ROWS.describe() == "4, 8, 16, 32, 64"
    assert COLS.describe() == "4, 8, 12, 16, ..., 64"
    assert CLOCK.describe() == "0.25 to 2 GHz, log scale"
