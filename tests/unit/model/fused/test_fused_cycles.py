"""Cycles of fused trees: schedules, ports, drains, lags and the ramp, each number derived beside it."""

from fractions import Fraction

import pytest
from trees_by_hand import C1, C2, CHAIN, GLB, MAC, PLAIN, TWO_COMPUTES, chained, column, fused, machine, used

from einloom.arch.tree import Amount, Branches, Memory
from einloom.errors import MappingError
from einloom.workloads.cascade import Cascade

SHARED = ("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T")
APART = ("C2", "C1")


def terms(result):
    """(compute, drain, stall, ramp)."""
    return tuple(result.streamed.terms_cycles[name] for name in ("compute", "drain", "stall", "ramp"))


def test_in_sequence_cycles_add():
    found = fused(CHAIN, TWO_COMPUTES, *chained(*SHARED, on=APART))
    assert terms(found) == (24 + 24, 0, 0, 0)
    assert found.streamed.lags == {"T": 0, "Z": 0}


def test_pipelined_the_busiest_compute_counts_and_the_pipe_fills():
    found = fused(CHAIN, TWO_COMPUTES, *chained(*SHARED, schedule="pipelined", on=APART))
    # Two slots of 12 cycles; Z works on the slot before.
    assert terms(found) == (24, 0, 0, 12)
    assert found.streamed.lags == {"T": 0, "Z": 1}
    assert found.streamed.cycles == 36


def test_pipelined_on_one_compute_the_work_adds():
    found = fused(CHAIN, PLAIN, *chained(*SHARED, schedule="pipelined"), ramp=False)
    assert found.streamed.cycles == 24 + 24


def test_a_steady_state_leaves_the_ramp_out():
    found = fused(CHAIN, TWO_COMPUTES, *chained(*SHARED, schedule="pipelined", on=APART), ramp=False)
    assert (found.streamed.cycles, found.streamed.depth) == (24, 1)
    assert found.streamed.mapping["ramp"] == "steady_state"


def test_each_phase_is_as_long_as_its_busiest_compute():
    nests = chained(on=APART)[0]["sequential"]
    apart = fused(CHAIN, TWO_COMPUTES, *SHARED, {"phases": nests})
    assert terms(apart) == (24 + 24, 0, 0, 0)
    one = fused(CHAIN, TWO_COMPUTES, *SHARED, {"phases": [{"both": [{"pipelined": nests}]}]})
    assert terms(one)[0] == 24


def test_between_barriers_a_slot_is_as_long_as_what_is_at_work_in_it():
    lines = ["S[p] = exp(X[p])", "Y[m,p] = S[p] * W[m,p]", "T[p] = sum{m}(Y[m,p])", "Z[p] = T[p] / X[p]"]
    cascade = Cascade.parse(lines, {"M": 3, "P": 4})
    nests = [{name: ["for p in 2", on]} for name, on in (("S", "C1"), ("Y", "C2"), ("T", "C2"), ("Z", "C1"))]
    shared = ("DRAM holds X, W, Z", "for p in 2", "GLB holds S, T", "for m in 3", "GLB holds Y")
    # Y and T take 4 cycles in each of 6 slots; S in the first and Z in the last of three take 2 beside them.
    assert terms(fused(cascade, TWO_COMPUTES, *shared, {"phases": [{"all": [{"pipelined": nests}]}]}))[0] == 6 * 4
    # On one compute they come on top: 6 + 4 + 6, twice.
    same = [{name: ["for p in 2", "C1"]} for name in "SYTZ"]
    found = fused(cascade, TWO_COMPUTES, *shared, {"phases": [{"all": [{"pipelined": same}]}]})
    assert terms(found)[0] == 2 * (6 + 4 + 6)


def test_clipped_tiles_take_fewer_cycles():
    shared = ("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T")
    found = fused(CHAIN.with_ranks(M=5), PLAIN, *chained(*shared, rows=3))
    assert terms(found)[0] == 5 * 6 + 5 * 6


# -- ports


def test_words_overlap_with_everything_below_the_list_that_owns_them():
    slow = machine(Memory(name="DRAM", bandwidth=Amount(Fraction(8))), GLB, MAC)  # half a word a cycle
    found = fused(CHAIN, slow, *chained("DRAM holds A, B, C, Z", "GLB holds B", "for m in 2", "GLB holds A, T, Z, C"))
    # Owned by the root: B 6, A 8, C 6, Z 8 words, 28 in 56 cycles, beside 48 of work.
    assert terms(found) == (48, 0, 56 - 48, 0)
    assert found.streamed.bound_by == "DRAM"


def test_words_owned_by_the_children_add_with_them():
    slow = machine(Memory(name="DRAM", bandwidth=Amount(Fraction(8))), GLB, MAC)
    found = fused(CHAIN, slow, *chained(*SHARED))
    # T: A 24 + B 24 words in 96 cycles; Z: C 24, 24 updates, 16 partial sums: 64 words in 128.
    assert {name: einsum.cycles for name, einsum in found.einsums.items()} == {"T": 96, "Z": 128}
    assert found.streamed.cycles == 96 + 128


# -- drains

SUMS = Cascade.parse(["T[m] = sum{k}(A[m,k] * 2)", "R[m] = A2[m] * 2", "Z[m] = T[m] * R[m]"], {"M": 4, "K": 4})
SUM = {"T": ["for k in 2", "spatial PE.Y k in 2", "C2"]}
BESIDE, AFTER = {"R": ["C1"]}, {"Z": ["C1"]}
ROWS = ("DRAM holds A, A2, Z", "for m in 4", "GLB holds T, R")


def test_a_child_that_needs_a_sum_waits_until_it_has_left_the_array():
    found = fused(SUMS, column(hop=3), *ROWS, {"sequential": [BESIDE, SUM, AFTER]})
    # A slot: R 1, T 2, Z 1. The sum passes 2 rows at 3 cycles, in each of 4 slots.
    assert terms(found) == (4 * (1 + 2 + 1), 4 * 6, 0, 0)


def test_what_stands_between_covers_part_of_the_drain():
    found = fused(SUMS, column(hop=3), *ROWS, {"sequential": [SUM, BESIDE, AFTER]})
    assert terms(found) == (16, 4 * (6 - 1), 0, 0)


def test_phases_hide_drains_behind_lags():
    found = fused(SUMS, column(hop=3), *ROWS, {"phases": [BESIDE, SUM, AFTER]})
    # A slot of 4: T ends at 3 and drains until 9, Z starts at 3: 6 cycles too early, which is two slots.
    assert found.streamed.lags == {"R": 0, "T": 0, "Z": 2}
    assert terms(found) == (16, 0, 0, 2 * 4)
    # Three slots of T and of R are alive: that of Z, one in between, and the one that is made.
    assert found.streamed.copies == {"T": 3, "R": 3}
    assert used(found) == (3 + 3) * 16


# -- lags


RUNNING = Cascade.parse(
    ["U[t,m] = X[t,m] * W[m]", "V[t,m] = U[t,m] * W[m]", "X[t+1,m] = V[t,m] + W[m]"],
    {"T": 3, "M": 2}, init={"X": 1.0}, outputs=("X",),
)  # fmt: skip
U, V, X = ({name: ["for m in 2", "MAC"]} for name in "UVX")
STEPS = ("DRAM holds W, X", "GLB holds U, V", "for t in 3")


def test_a_recurrence_lets_a_child_be_listed_before_its_producer():
    assert set(fused(RUNNING, PLAIN, *STEPS, {"sequential": [U, V, X]}).streamed.lags.values()) == {0}
    # X waits one slot for V, and U reads the X of one slot ago: still in time, if X comes first.
    found = fused(RUNNING, PLAIN, *STEPS, {"sequential": [X, U, V]})
    assert found.streamed.lags == {"X": 1, "U": 0, "V": 0}
    assert terms(found) == (18, 0, 0, 6)  # three slots of 6, one more to empty


def test_a_recurrence_that_lacks_a_slot_is_refused():
    with pytest.raises(MappingError, match="cannot stream"):
        fused(RUNNING, PLAIN, *STEPS, {"sequential": [X, V, U]})


def test_a_compute_of_no_cycles_is_free():
    free = C1.__class__(name="C1", energy_pj=dict(C1.energy_pj), cycles={"mac": 0})
    found = fused(CHAIN, machine(*TWO_COMPUTES.levels[:2], Branches(((C2,), (free,)))), *chained(*SHARED, on=APART))
    assert terms(found)[0] == 24
