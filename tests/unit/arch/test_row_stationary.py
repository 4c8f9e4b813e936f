"""The rules of the row-stationary dataflow: how a plane folds onto the array, who works on what, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import einloom
from einloom.arch.templates.row_stationary import RowStationaryTiming, Set, ceil_div, fold, parts_of
from einloom.errors import SpecError

EYERISS = {"template": "systolic", "rows": 12, "cols": 14, "dataflow": "row_stationary", "bits": 16}
CONVOLUTION = "Y[b,k,p,q] = sum{c,r,s}(X[b,c,p+r,q+s] * F[k,c,r,s])"
SMALL = {"B": 1, "K": 3, "C": 2, "P": 5, "Q": 4, "R": 3, "S": 3}


def design(einsum=CONVOLUTION, ranks=SMALL, **parameters):
    workload = {"name": "layer", "ranks": ranks, "cascade": [einsum]}
    return einloom.load({"workload": workload, "architecture": {**EYERISS, **parameters}})


def parts(text, **ranks):
    workload = {"name": "layer", "ranks": ranks, "cascade": [text]}
    (einsum,) = einloom.load({"workload": workload, "architecture": EYERISS}).workload.cascades[0].sized()
    return parts_of(einsum)


@pytest.mark.parametrize(
    ("plane", "array", "expected"),
    [
        # AlexNet on Eyeriss, JSSC 2017, table III: widths 14, 27, 13; replication 1, 1, 4.
        ((11, 55), (12, 14), Set(11, 14, 1, 1, 1)),  # four strips of 55 rows, one after the other
        ((5, 27), (12, 14), Set(5, 14, 2, 1, 1)),  # two strips, one above the other
        ((3, 13), (12, 14), Set(3, 13, 1, 4, 1)),
        ((11, 6), (8, 6), Set(6, 6, 1, 1, 1)),  # a filter of 11 rows in two folds of 6 and 5
        ((3, 7), (7, 30), Set(3, 7, 1, 2, 4)),
        ((1, 112), (64, 64), Set(1, 56, 2, 32, 1)),
    ],
)
def test_a_plane_folds_onto_the_array(plane, array, expected):
    assert fold(*plane, *array) == expected


sizes = st.integers(1, 80)


@given(sizes, sizes, sizes, sizes)
def test_sets_fit_the_array_and_cover_the_plane(filter_rows, output_rows, rows, cols):
    found = fold(filter_rows, output_rows, rows, cols)
    assert found.height * found.strips * found.above <= rows
    assert found.width * found.beside <= cols
    assert found.active <= rows * cols
    assert found.height * ceil_div(filter_rows, found.height) >= filter_rows
    assert ceil_div(filter_rows, found.height) == ceil_div(filter_rows, rows)


@given(sizes, sizes, sizes, sizes, st.integers(0, 40), st.integers(0, 40))
def test_a_larger_array_needs_no_more_turns_and_has_room_for_as_many_sets(filter_rows, output_rows, rows, cols, up, on):
    def turns(found):
        return ceil_div(filter_rows, found.height) * ceil_div(output_rows, found.width * found.strips)

    less, more = fold(filter_rows, output_rows, rows, cols), fold(filter_rows, output_rows, rows + up, cols + on)
    assert turns(more) <= turns(less)
    if turns(more) == turns(less):
        assert more.above * more.beside >= less.above * less.beside


def test_ranks_are_found_by_the_part_they_play():
    assert parts(CONVOLUTION, **SMALL)[:4] == ("r", "p", "s", "q")
    depthwise = parts("Y[c,p,q] = sum{r,s}(X[c,2*p+r,2*q+s] * F[c,r,s])", C=4, P=5, Q=5, R=3, S=3)
    assert depthwise[:4] == ("r", "p", "s", "q")
    assert parts("Y[k,q] = sum{c,s}(X[c,q+s] * F[k,c,s])", K=2, C=2, Q=5, S=3)[:4] == (None, None, "s", "q")
    assert parts("Y[b,k,p,q] = sum{c}(X[b,c,p,q] * F[k,c])", B=2, K=2, C=3, P=4, Q=5)[:4] == (None, "p", None, "q")
    assert parts("Z[m,n] = sum{k}(A[m,k] * B[k,n])", M=4, N=4, K=4)[:4] == (None, None, None, "m")


def test_filters_are_waited_for_at_the_rate_given():
    free, slow = (
        design(**given).map("latency").einsums["Y"] for given in ({}, {"filter_bandwidth": "2 words/cycle"})
    )
    assert free.terms_cycles["fill"] == 0
    entered = slow.memories["Filters"].tensors["F"].fills // 5  # each row of filters goes to the five output rows
    assert slow.terms_cycles["fill"] == entered / 2 == 3 * 2 * 9 / 2
    assert slow.cycles == free.cycles + slow.terms_cycles["fill"]


def test_the_law_alone_divides_words_by_the_rate():
    class Delivers:
        steps = np.array([7, 7])

        def delivered(self, memory):
            return np.array([8, 12])

    assert RowStationaryTiming(4.0).terms(Delivers())["fill"].tolist() == [2.0, 3.0]
    assert RowStationaryTiming().terms(Delivers())["fill"].tolist() == [0.0, 0.0]


def test_depthwise_channels_lie_on_different_sets():
    depthwise = "Y[c,p,q] = sum{r,s}(X[c,p+r,q+s] * F[c,r,s])"
    ranks = {"C": 8, "P": 7, "Q": 7, "R": 3, "S": 3}
    found = design(depthwise, ranks).map("latency").einsums["Y"]
    assert found.computes["MAC"].instances_used == 168  # four sets above, two beside each other: 3 x 7 each
    assert found.cycles == 7 * 3


def test_a_channel_of_a_depthwise_layer_is_a_gemm_of_one_column_elsewhere():
    depthwise = "Y[c,p,q] = sum{r,s}(X[c,p+r,q+s] * F[c,r,s])"
    ranks = {"C": 8, "P": 7, "Q": 7, "R": 3, "S": 3}
    found = design(depthwise, ranks, dataflow="weight_stationary").map("latency").einsums["Y"]
    assert found.computes["MAC"].instances_used == 9
    assert found.cycles == 8 * (49 + 12 + 12 + 14 - 2)  # a fold of SCALE-Sim each channel


def test_groups_lie_on_sets_too():
    grouped = "Y[g,k,p,q] = sum{c,r,s}(X[g,c,p+r,q+s] * F[g,k,c,r,s])"
    ranks = {"G": 4, "K": 2, "C": 2, "P": 13, "Q": 13, "R": 3, "S": 3}
    found = design(grouped, ranks).map("latency").einsums["Y"]
    assert found.computes["MAC"].instances_used == 156
    assert found.cycles == 4 * 2 * 2 // 4 * 13 * 3


@settings(max_examples=4, deadline=None)
@given(st.integers(3, 10), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_more_rows_or_columns_never_make_a_convolution_slower(rows, cols, up, on):
    less = design(rows=rows, cols=cols).map("latency", fusion=False).cycles
    assert design(rows=rows + up, cols=cols + on).map("latency", fusion=False).cycles <= less


def test_what_is_no_convolution_uses_the_array_as_a_grid():
    found = design("Y[b,c] = max{p,q}(X[b,c,p,q])", {"B": 2, "C": 14, "P": 3, "Q": 3}).map("latency").einsums["Y"]
    assert found.computes["MAC"].instances_used == 28
    assert set(found.memories) <= {"DRAM", "GLB"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timing": "overlapped"}, "dataflow row_stationary has no timing 'overlapped'"),
        ({"dataflow": "input_stationary", "window": "8 words"}, "'window' means nothing to dataflow input_stationary"),
        ({"filters": "inf"}, "'inf' is out of range"),
        ({"sums": "0 words"}, "architecture.sums"),
        ({"filter_bandwidth": "3 GHz"}, "'3 GHz' is not a bandwidth"),
    ],
)
def test_what_means_nothing_is_refused(given, message):
    with pytest.raises(SpecError, match=message):
        design(**given)


def test_scratchpads_too_small_for_a_row_are_named():
    with pytest.raises(einloom.EinloomError, match=r"need 3 words in Window, it holds 2"):
        design(window="2 words").map("latency")
