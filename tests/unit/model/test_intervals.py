"""Unions of intervals against sets of integers: the closed form of `union`, the sorted one of `united`; chains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from einloom.errors import MappingError
from einloom.model.chains import Chains
from einloom.model.intervals import united
from einloom.model.perfect import union


def covered(intervals) -> int:
    return len({x for low, high in intervals for x in range(low, high)})


def test_the_union_of_tiles_at_all_sums_of_offsets_is_that_of_the_sets():
    """Nested, interleaved, overlapping and equal offsets; bounds of 1; no tile at all."""
    rng = np.random.default_rng(0)
    rows = 400
    length, counts, gaps = rng.integers(0, 6, rows), rng.integers(1, 5, (3, rows)), rng.integers(0, 9, (3, rows))
    found = union(length, list(zip(counts, gaps, strict=True)))
    for row in range(rows):
        steps = itertools.product(*(range(count) for count in counts[:, row]))
        starts = [sum(i * gap for i, gap in zip(at, gaps[:, row], strict=True)) for at in steps]
        assert found[row] == covered((start, start + length[row]) for start in starts)


def test_the_union_of_any_intervals_of_a_group_is_that_of_the_sets():
    rng = np.random.default_rng(1)
    group, low = np.sort(rng.integers(0, 50, 400)), rng.integers(-20, 20, 400)
    high = low + rng.integers(-2, 8, 400)
    found = united(group, low, high, 51)
    for g in range(51):
        assert found[g] == covered(zip(low[group == g], high[group == g], strict=True))


def test_offsets_too_many_to_be_listed_are_refused_before_memory_runs_out():
    many, one = np.array([10**5]), np.array([1])
    with pytest.raises(MappingError, match="more than 10000000 tiles overlap along one dimension"):
        union(one, [(many, 2 * one), (many, 3 * one)])


def test_nested_offsets_are_never_listed():
    many, one = np.array([10**6]), np.array([1])
    assert union(one, [(many, 2 * one), (many, 2 * 10**6 * one)]) == [10**12]


def test_equal_rows_are_counted_once_and_given_back_to_every_candidate():
    bounds = np.array([4, 2, 4, 4, 2, 4]), np.array([1, 2, 1, 1, 2, 1])
    chains = Chains.of({("bound", i): column for i, column in enumerate(bounds)})
    assert chains.rows == 2
    for i, column in enumerate(bounds):
        assert chains.everywhere(chains.column("bound", i)).tolist() == column.tolist()


def test_rows_of_bounds_whose_product_passes_int64_are_told_apart():
    bounds = [np.array([2**40 + i, 2**40 + i, 5, 5]) for i in range(3)]
    chains = Chains.of({("bound", i): column for i, column in enumerate(bounds)})
    assert chains.rows == 2
    assert all(chains.everywhere(chains.column("bound", i)).tolist() == bounds[i].tolist() for i in range(3))
