"""Words of fused trees, each number derived beside it."""

import pytest
from trees_by_hand import CHAIN, DRAM, GLB, MAC, PLAIN, REG, chained, fused, machine, words

from einloom.workloads.cascade import Cascade


def test_an_intermediate_that_is_held_above_both_never_leaves():
    found = fused(CHAIN, PLAIN, *chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T"))
    # T: 12 results of 2 terms are 24 updates, of which 12 find a partial sum; Z reads T for each of its 24 products.
    assert words(found, "GLB", "T") == (0, 24, 0, 12 + 24, 24)
    assert words(found, "DRAM", "T") == (0, 0, 0, 0, 0)
    # Nobody holds A and B further in: a read for each product. Z: 24 updates, 8 of them first touches.
    assert words(found, "DRAM", "A")[3] == words(found, "DRAM", "B")[3] == 24
    assert words(found, "DRAM", "Z") == (0, 24, 0, 24 - 8, 24)


def test_a_holder_on_one_side_drains_what_the_other_side_reads():
    nests = [
        {"T": ["GLB holds T", "for m in 4", "for n in 3", "for k in 2", "MAC"]},
        {"Z": ["for p in 2", "GLB holds T", "for m in 4", "for n in 3", "MAC"]},
    ]
    found = fused(CHAIN, PLAIN, "DRAM holds A, B, C, T, Z", {"sequential": nests})
    # Made: 24 updates, 12 partial sums, 12 drained. Used: it stays while p runs, 12 fills and 24 reads.
    assert words(found, "GLB", "T") == (12, 24, 12, 12 + 12 + 24, 24 + 12)
    assert words(found, "DRAM", "T") == (0, 12, 0, 12, 12)


def test_an_input_of_two_is_filled_once():
    cascade = Cascade.parse(["U[m] = A[m] * 2", "V[m] = A[m] * U[m]"], {"M": 6})
    nests = [{name: ["for m in 2", "MAC"]} for name in "UV"]
    found = fused(cascade, PLAIN, "DRAM holds A, V", "for m in 3", "GLB holds A, U", {"sequential": nests})
    assert words(found, "GLB", "A") == (6, 0, 0, 6 + 6, 6)
    assert words(found, "DRAM", "A")[3] == 6


def test_two_readers_that_move_differently_are_filled_apart():
    cascade = Cascade.parse(["U[m,n] = A[m] + A[n]"], {"M": 4, "N": 4})
    nest = {"U": ["for m in 2", "for n in 4", "MAC"]}
    found = fused(cascade, PLAIN, "DRAM holds A, U", "for m in 2", "GLB holds A", {"sequential": [nest]})
    assert words(found, "GLB", "A")[0] == 2 * 2 + 4  # A[m]: two tiles of two; A[n]: all of it, and it stays
    assert found.streamed.occupancy["GLB"].tensors == {"A": 2 + 4}


def test_clipped_tiles_are_counted_as_they_are():
    cascade = CHAIN.with_ranks(M=5)
    found = fused(cascade, PLAIN, *chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T", rows=3))
    # Rows 3 + 2 = 5, not 6: 5 x 3 x 2 updates, half of them on a partial sum; 5 x 2 x 3 reads.
    assert words(found, "GLB", "T") == (0, 30, 0, 15 + 30, 30)
    assert found.streamed.occupancy["GLB"].tensors["T"] == 3 * 3


def test_an_einsum_runs_once_below_a_loop_that_it_does_not_iterate():
    lines = ["S[p] = exp(X[p])", "Y[m,p] = S[p] * W[m,p]", "T[p] = sum{m}(Y[m,p])", "Z[p] = T[p] / X[p]"]
    cascade = Cascade.parse(lines, {"M": 3, "P": 4})
    nests = [{name: ["for p in 2", "MAC"]} for name in "SYTZ"]
    shared = ("DRAM holds X, W, Z", "for p in 2", "GLB holds S, T", "for m in 3", "GLB holds Y")
    found = fused(cascade, PLAIN, *shared, {"sequential": nests})
    assert {name: einsum.cycles for name, einsum in found.einsums.items()} == {"S": 4, "Y": 12, "T": 12, "Z": 4}
    assert words(found, "GLB", "S") == (0, 4, 0, 12, 4)
    assert words(found, "GLB", "T") == (0, 12, 0, (12 - 4) + 4, 12)


def test_a_part_is_held_and_the_rest_bypasses():
    found = fused(CHAIN, PLAIN, *chained("DRAM holds A, B, C, T, Z", "for m in 2", "GLB holds T 0.75"))
    whole = (0, 24, 0, 36, 24)  # as when all of it is held: its home is the one memory or the other
    assert words(found, "GLB", "T") == tuple(0.75 * n for n in whole)
    assert words(found, "DRAM", "T") == tuple(0.25 * n for n in whole)
    assert found.streamed.occupancy["GLB"].tensors["T"] == 0.75 * 6


def test_two_holds_in_part_make_four_cases():
    nests = [
        {"T": ["GLB holds T 0.5", "for m in 4", "for n in 3", "for k in 2", "MAC"]},
        {"Z": ["for p in 2", "GLB holds T 0.25", "for m in 4", "for n in 3", "MAC"]},
    ]
    found = fused(CHAIN, PLAIN, "DRAM holds A, B, C, T, Z", {"sequential": nests})
    # Made in GLB: 12 drains; bypassing: 24 updates, 12 read again. Used from GLB: 12 reads; bypassing: 24.
    assert words(found, "DRAM", "T")[1] == (12 + 24) / 2
    assert words(found, "DRAM", "T")[3] == 12 / 2 + 12 / 4 + 24 * 3 / 4
    assert words(found, "GLB", "T")[0] == 12 / 4


SOFT = Cascade.parse(["S[m] = exp(X[m])", "T[m] = S[m] * W[m]", "U[m] = S[m] + T[m]"], {"M": 4})


def test_a_tensor_that_is_only_forwarded_counts_no_words():
    nests = [{name: ["MAC"]} for name in "STU"]
    found = fused(SOFT, PLAIN, "DRAM holds X, W, U", "for m in 4", "forward S", "forward T", {"sequential": nests})
    assert {t for e in found.einsums.values() for m in e.memories.values() for t in m.tensors} == {"X", "W", "U"}
    assert found.streamed.cycles == 12


def test_a_consumer_beside_the_forward_reads_the_holder():
    inside = {"pair": ["for m in 4", "forward S", {"sequential": [{"S": ["MAC"]}, {"T": ["MAC"]}]}]}
    tail = {"U": ["for m in 4", "MAC"]}
    found = fused(SOFT, PLAIN, "DRAM holds X, W, U", "GLB holds S, T", {"sequential": [inside, tail]})
    assert words(found, "GLB", "S") == (0, 4, 0, 4, 4)  # written for U alone
    assert words(found, "GLB", "T") == (0, 4, 0, 4, 4)


def test_a_state_below_its_loop_comes_and_goes_with_every_generation():
    lines = ["T[g,m] = A[g,m] * 2", "S[g+1,m] = S[g,m] + T[g,m]", "Z[m] = S[G,m] * C[m]"]
    cascade = Cascade.parse(lines, {"G": 3, "M": 4}, init={"S": 0.0})
    nests = [{name: ["for m in 4", "MAC"]} for name in "TS"]
    loop = {"loop": ["for g in 3", "Reg holds S, T", {"sequential": nests}]}
    shared = ("DRAM holds A, C, Z", "GLB holds S", {"sequential": [loop, {"Z": ["for m in 4", "MAC"]}]})
    found = fused(cascade, machine(DRAM, GLB, REG, MAC), *shared)
    # 3 generations of 4: in, read once, written once, out; then Z reads the last one.
    assert words(found, "Reg", "S") == (12, 12, 12, 12 + 12, 12 + 12)
    assert words(found, "GLB", "S") == (0, 12, 0, 12 + 4, 12)
    assert words(found, "Reg", "T") == (0, 12, 0, 12, 12)
    assert found.streamed.occupancy["GLB"].used == 4 * 16  # one generation


def test_energy_is_the_words_and_the_operations():
    found = fused(CHAIN, PLAIN, *chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T"))
    assert sum(einsum.energy_pj for einsum in found.einsums.values()) == pytest.approx(24 + 24)  # free memories
