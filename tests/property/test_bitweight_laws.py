"""Laws of `bitweight`: more of anything is never slower at the same clock, zeros are never slower, blocks add up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from einloom.arch.templates.bitweight import digits
from einloom.arch.templates.bitweight.arrays import LAWS, Blocks, buffer_words, compute

EXTENT = st.integers(1, 200)
SMALL = st.integers(1, 24)
SIGMA = st.floats(1, 80)


def whole(array, rows, cols, m, n, k, sigma=30.0, batch=1):
    return Blocks(array, rows, cols, m, n, k, np.array([m]), np.array([n]), batch, sigma)


def cycles(work):
    return float(sum(term[0] for term in LAWS.of(work).values()))


@given(SMALL, SMALL, EXTENT, EXTENT, EXTENT, st.integers(2, 4))
def test_more_elements_that_broadcast_are_never_slower(rows, cols, m, n, k, times):
    once = cycles(whole("matrix", rows, cols, m, n, k))
    assert cycles(whole("matrix", rows * times, cols, m, n, k)) <= once
    assert cycles(whole("matrix", rows, cols * times, m, n, k)) <= once


@given(st.integers(1, 8), SMALL, st.integers(1, 60), EXTENT, st.integers(1, 60), SIGMA, st.integers(2, 3))
def test_more_columns_are_never_slower(rows, cols, m, n, k, sigma, times):
    """Waiting for the slowest never costs more than what the columns save."""
    once = cycles(whole("columns", rows, cols, m, n, k, sigma))
    assert cycles(whole("columns", rows * times, cols, m, n, k, sigma)) <= once * (1 + 1e-9)
    assert cycles(whole("columns", rows, cols * times, m, n, k, sigma)) <= once * (1 + 1e-9)


@given(SIGMA, st.floats(1.01, 3), st.integers(1, 100))
def test_smaller_values_have_fewer_partial_products(sigma, times, k):
    wider = sigma * times
    assert digits.partial_products(sigma) <= digits.partial_products(wider) + 1e-9
    assert 0 < digits.partial_products(sigma) < digits.DIGITS
    assert digits.slowest_of(sigma, k, 4) <= digits.slowest_of(wider, k, 4) + 1e-6


@given(SIGMA, st.integers(1, 100), st.integers(1, 30))
def test_the_slowest_of_several_lies_between_one_and_the_worst(sigma, k, columns):
    one = digits.vector_cycles(sigma, k)
    mean = float(one @ np.arange(len(one)))
    groups = -(-k // digits.LANES)
    assert digits.DIGITS * groups - 1e-6 <= mean
    assert mean - 1e-6 <= digits.slowest_of(sigma, k, columns) <= len(one) - 1 + 1e-6


ARRAYS = st.sampled_from(["systolic_os", "systolic_ws", "matrix", "adder_tree", "cube"])


@given(ARRAYS, SMALL, SMALL, EXTENT, EXTENT, EXTENT, EXTENT, EXTENT, st.integers(1, 3))
def test_blocks_hold_the_work_of_the_whole(array, rows, cols, m, n, k, block_m, block_n, batch):
    """Every product fits into the passes, and no cut into blocks makes the array faster."""
    if array == "cube":
        cols = rows
    cut = Blocks(
        array, rows, cols, m, n, k, np.array([min(m, block_m)]), np.array([min(n, block_n)]), batch, 30.0
    )
    one = whole(array, rows, cols, m, n, k, batch=batch)
    elements = rows * cols * (rows if array == "cube" else 1)
    assert compute(one)[0] * elements >= batch * m * n * k
    assert cycles(cut) >= cycles(one)
    words, least = buffer_words(cut), buffer_words(one)
    assert words.encoded[0] >= least.encoded[0] >= batch * m * k
    assert words.others[0] >= least.others[0] >= batch * n * k
    assert words.sums_out[0] == least.sums_out[0] >= batch * m * n
