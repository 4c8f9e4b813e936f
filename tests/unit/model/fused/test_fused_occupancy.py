"""What memories hold under fused trees: lifetimes, copies, in place, and what is too much."""

from dataclasses import replace
from fractions import Fraction

import pytest
from trees_by_hand import CHAIN, DRAM, GLB, MAC, PLAIN, TWO_COMPUTES, chained, fused, machine, used

from einloom.arch.tree import Amount
from einloom.errors import MappingError
from einloom.workloads.cascade import Cascade

LINE = Cascade.parse(
    ["S[m] = sum{k}(X[m,k])", "T[m] = sum{k}(W[m,k] + S[m])", "U[m] = sum{k}(V[m,k] + T[m])",
     "R[m] = sum{k}(V[m,k] + U[m])"], {"M": 4, "K": 2},
)  # fmt: skip
NESTS = [{name: ["for m in 4", "for k in 2", "MAC"]} for name in "STUR"]
HOLDS = ("DRAM holds X, W, V, R", "GLB holds S, T, U")


def test_in_sequence_an_intermediate_counts_while_it_lives():
    # S lives in children 1-2, T in 2-3, U in 3-4: two of 4 elements at a time.
    assert used(fused(LINE, PLAIN, *HOLDS, {"sequential": NESTS})) == (4 + 4) * 16


@pytest.mark.parametrize("schedule", ["pipelined", "phases"])
def test_overlapped_all_count_at_once(schedule):
    assert used(fused(LINE, PLAIN, *HOLDS, {schedule: NESTS})) == 3 * 4 * 16


def test_a_copy_is_kept_for_who_reads_later():
    cascade = Cascade.parse(["S[m] = A[m] * 2", "T[m,n] = S[m] * B[n]", "Z[m] = sum{n}(T[m,n])"], {"M": 4, "N": 2})
    late = [{name: ["for m in 4", "MAC"]} for name in "ZTS"]  # each a slot behind the one that is listed after it
    shared = ["DRAM holds A, B, Z, S", "for n in 2", "GLB holds T"]
    read = fused(cascade, PLAIN, *shared, {"sequential": late})
    assert (used(read), read.streamed.copies) == (2 * 4 * 16, {"T": 2})


def test_double_buffers_take_twice_the_room():
    double = machine(DRAM, replace(GLB, double_buffered=True), MAC)
    shared = ("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T")
    assert used(fused(CHAIN, double, *chained(*shared))) == 2 * used(fused(CHAIN, PLAIN, *chained(*shared))) == 2 * 96


SOFT = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "E[m,n] = exp(T[m,n])", "Z[m] = sum{n}(E[m,n] * C[n])"],
    {"M": 4, "N": 3, "K": 2}, bits={"E": 24},
)  # fmt: skip
SOFTLY = [
    {"T": ["for m in 2", "for n in 3", "for k in 2", "MAC"]},
    {"E": ["for m in 2", "for n in 3", "MAC"]},
    {"Z": ["for m in 2", "for n in 3", "MAC"]},
]


def test_what_is_written_over_its_input_takes_the_larger_of_two_places():
    found = fused(SOFT, PLAIN, "DRAM holds A, B, C, Z", "for m in 2", "GLB holds T, E in place of T",
                  {"pipelined": SOFTLY})  # fmt: skip
    assert used(found) == 6 * 24  # 2 rows of 3 at 24 bits; T needs 16
    assert found.streamed.in_place == {"E": "T"}


def test_a_part_held_is_a_part_of_the_room():
    shared = ("DRAM holds A, B, C, T, Z", "for m in 2", "GLB holds T 0.25")
    assert Fraction(used(fused(CHAIN, TWO_COMPUTES, *chained(*shared, on=("C1", "C2"))))) == Fraction(6 * 16, 4)


def test_too_much_is_refused_with_both_numbers():
    small = machine(DRAM, replace(GLB, capacity=Amount(Fraction(95))), MAC)
    with pytest.raises(MappingError, match="the tiles need 96 bits, GLB holds 95") as caught:
        fused(CHAIN, small, *chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T"))
    assert caught.value.problems[0].path == (2,)
    exact = machine(DRAM, replace(GLB, capacity=Amount(Fraction(96))), MAC)
    assert used(fused(CHAIN, exact, *chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T"))) == 96
