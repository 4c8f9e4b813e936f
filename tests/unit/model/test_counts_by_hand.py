"""Counting rules on nests small enough to follow by hand; the derivation stands beside each number."""

import pytest

from einloom.arch.tree import Amount, Architecture, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings import Nest, parse_node
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.cascade import Cascade

MAC = Compute(name="MAC", energy_pj={"mul": 1.0, "add": 1.0})


def evaluated(line, ranks, nest, *levels):
    (einsum,) = Cascade.parse([line], ranks).sized()
    architecture = Architecture(name="hand", clock_hz=1e9, levels=(*levels, MAC))
    return evaluate_nest(einsum, architecture, Nest(tuple(parse_node(node) for node in nest.split("; "))))


def counts(result, memory, tensor):
    found = result.memories[memory].tensors[tensor]
    return found.reads, found.writes


DRAM, GLB = Memory(name="DRAM"), Memory(name="GLB")
GEMM = "Z[m,n] = sum{k}(A[m,k] * B[k,n])"


def test_a_tile_that_stays_identical_costs_nothing():
    """B is 3 x 2 in the GLB above the m loop: fetched once for all 5 iterations."""
    nest = "DRAM holds A, B, Z; GLB holds B; for m in 5; for n in 2; for k in 3; MAC"
    result = evaluated(GEMM, {"M": 5, "N": 2, "K": 3}, nest, DRAM, GLB)
    assert counts(result, "GLB", "B") == (30, 6)
    assert counts(result, "DRAM", "B") == (6, 0)


def test_a_tile_inside_a_loop_that_it_ignores_stays_too_but_for_a_moving_loop_further_in():
    """m outside, k inside, then B: its tile changes with k, and goes back to k = 0 with every m: 5 x 3 tiles of 2."""
    nest = "DRAM holds A, B, Z; for m in 5; for k in 3; GLB holds B; for n in 2; MAC"
    result = evaluated(GEMM, {"M": 5, "N": 2, "K": 3}, nest, DRAM, GLB)
    assert counts(result, "DRAM", "B") == (30, 0)


def test_a_sliding_window_fetches_only_what_is_new():
    """Tiles of 2 + 3 - 1 = 4 inputs move by 2: 4, then 2 new each of 4 further times: 12 = all of I."""
    nest = "DRAM holds I, W, O; for p in 5; GLB holds I; for p in 2; for r in 3; MAC"
    result = evaluated("O[p] = sum{r}(I[p+r] * W[r])", {"P": 10, "R": 3}, nest, DRAM, GLB)
    assert counts(result, "GLB", "I") == (30, 12)
    assert result.memories["GLB"].tensors["I"].occupancy_words == 4


def test_a_window_that_goes_back_is_fetched_anew():
    """Per r the inputs slide over p; with the next r the tile goes from p = 8 back to p = 0: 3 x 10 single words but
    for the overlap of nothing: [8+r] to [0+r+1] share no element."""
    nest = "DRAM holds I, W, O; for r in 3; for p in 10; GLB holds I; MAC"
    result = evaluated("O[p] = sum{r}(I[p+r] * W[r])", {"P": 10, "R": 3}, nest, DRAM, GLB)
    assert counts(result, "GLB", "I") == (30, 30)


def test_partial_sums_that_come_back_are_read_and_filled():
    """Z (2 x 2) is held below k: every k step drains 4 and, but for the first, brings 4 back."""
    nest = "DRAM holds A, B, Z; for k in 3; for m in 2; GLB holds Z; for n in 2; MAC"
    result = evaluated(GEMM, {"M": 2, "N": 2, "K": 3}, nest, DRAM, GLB)
    z = result.memories["GLB"].tensors["Z"]
    assert (z.updates, z.drains, z.fills) == (12, 12, 8)
    assert z.reads == 12 + 12 - 4  # drains, and updates but for the first touch of 4 elements
    assert counts(result, "DRAM", "Z") == (8, 12)


def test_a_memory_that_is_passed_by_is_transparent_to_multicast():
    """A goes from DRAM over both fanouts to 4 MACs that want the same word: one read a step."""
    fanouts = [Fanout(name=name, axes={"X": 2}) for name in ("F", "G")]
    nest = "DRAM holds A, B, Z; for m in 3; spatial F.X n in 2; GLB holds B; spatial G.X n in 2; MAC"
    result = evaluated("Z[m,n] = A[m] * B[n]", {"M": 3, "N": 4}, nest, DRAM, fanouts[0], GLB, fanouts[1])
    assert counts(result, "DRAM", "A") == (3, 0)
    assert counts(result, "DRAM", "B") == (4, 0)  # each tile stays over m


@pytest.mark.parametrize(
    ("sharing", "reads"), [(True, 3), (False, 12), (frozenset({"B"}), 12), (frozenset({"inputs"}), 3)]
)
def test_multicast_is_on_off_or_for_some_tensors(sharing, reads):
    nest = "DRAM holds A, B, Z; for m in 3; spatial F.X n in 4; MAC"
    result = evaluated(
        "Z[m,n] = A[m] * B[n]", {"M": 3, "N": 4}, nest, DRAM, Fanout(name="F", axes={"X": 4}, multicast=sharing)
    )
    assert result.memories["DRAM"].tensors["A"].reads == reads


@pytest.mark.parametrize(("reduce", "updates"), [(True, 3), (False, 12)])
def test_spatial_sums_meet_on_the_way_up_or_arrive_one_by_one(reduce, updates):
    nest = "DRAM holds A, B, Z; for m in 3; spatial F.X k in 4; MAC"
    fanout = Fanout(name="F", axes={"X": 4}, reduce=reduce)
    result = evaluated("Z[m] = sum{k}(A[m,k] * B[k])", {"M": 3, "K": 4}, nest, DRAM, fanout)
    assert result.memories["DRAM"].tensors["Z"].updates == updates
    assert result.memories["DRAM"].tensors["Z"].reads == updates - 3


def test_idle_instances_of_a_clipped_remainder_take_nothing():
    """10 over 4 lanes: 3 steps, the last one with 2 lanes."""
    nest = "DRAM holds A, B, Z; for m in 3; spatial F.X m in 4; MAC"
    result = evaluated("Z[m] = A[m] * B[m]", {"M": 10}, nest, DRAM, Fanout(name="F", axes={"X": 4}))
    assert (result.cycles, result.computes["MAC"].operations) == (3, 10)
    assert counts(result, "DRAM", "A") == (10, 0)


def test_the_busiest_instance_sets_the_pace():
    """5 words in two registers, 3 and 2; at one word a cycle the first takes 3 to fill and 3 to read: 6 cycles."""
    register = Memory(name="Reg", bandwidth=Amount(1, in_words=True))
    nest = "DRAM holds A, B, Z; spatial F.X m in 2; Reg holds A; for m in 3; MAC"
    result = evaluated("Z[m] = A[m] * B[m]", {"M": 5}, nest, DRAM, Fanout(name="F", axes={"X": 2}), register)
    assert result.memories["Reg"].busy_cycles == 6
    assert result.bound_by == "Reg"


def test_a_hold_above_its_spatial_loops_is_the_share_of_an_instance():
    nest = "DRAM holds A, B, Z; GLB holds A; spatial F.X m in 2; for m in 4; MAC"
    result = evaluated("Z[m] = A[m] * B[m]", {"M": 8}, nest, DRAM, Fanout(name="F", axes={"X": 2}), GLB)
    assert result.memories["GLB"].tensors["A"].occupancy_words == 4
    assert counts(result, "GLB", "A") == (8, 8)


def test_two_references_to_a_tensor_add_up():
    nest = "DRAM holds S, A; GLB holds A; for m in 2; for n in 2; for k in 3; MAC"
    result = evaluated("S[m,n] = sum{k}(A[m,k] * A[n,k])", {"M": 2, "N": 2, "K": 3}, nest, DRAM, GLB)
    assert counts(result, "GLB", "A") == (24, 12)
    assert result.memories["GLB"].tensors["A"].occupancy_words == 12


def test_a_scalar_einsum_is_one_step():
    result = evaluated("Z[] = A[] * B[]", {}, "DRAM holds Z, A, B; MAC", DRAM)
    assert (result.cycles, counts(result, "DRAM", "Z"), counts(result, "DRAM", "A")) == (1, (0, 1), (1, 0))


def test_an_overflow_names_tiles_and_both_numbers():
    nest = "DRAM holds S, A; GLB holds A; for m in 2; for n in 2; for k in 3; MAC"
    small = Memory(name="GLB", capacity=Amount(191))
    with pytest.raises(MappingError, match=r"the tiles need 192 bits, GLB holds 191\n.*A 12;"):
        evaluated("S[m,n] = sum{k}(A[m,k] * A[n,k])", {"M": 2, "N": 2, "K": 3}, nest, DRAM, small)


def test_a_clipped_window_that_slides_takes_every_element_once_however_long():
    nest = "DRAM holds I, W, O; for p in 1000001; GLB holds I; for p in 2; for r in 2; MAC"
    result = evaluated("O[p] = sum{r}(I[p+r] * W[r])", {"P": 2000001, "R": 2}, nest, DRAM, GLB)
    assert counts(result, "DRAM", "I") == (2000002, 0)
    assert counts(result, "GLB", "I") == (4000002, 2000002)


def test_a_clipped_window_too_large_to_list_is_refused_not_estimated():
    """Two lanes that share: how much of the second is cut differs from step to step."""
    nest = "DRAM holds I, W, O; spatial F.X p in 2; for p in 1500001; Reg holds I; for r in 2; MAC"
    levels = DRAM, Fanout(name="F", axes={"X": 2}), Memory(name="Reg")
    with pytest.raises(MappingError, match="counting this clipped nest exactly would list more than 1000000"):
        evaluated("O[p] = sum{r}(I[p+r] * W[r])", {"P": 3000001, "R": 2}, nest, *levels)


def test_an_instance_that_falls_idle_gives_its_sums_back_by_itself():
    """k = 0, 1 on the first lane, 2 on the second, which idles in the second step and drops its sum: it alone leaves
    then, and the sum of the first lane at the end. Together they would be one update."""
    nest = "DRAM holds A, Z; spatial F.X k in 2; for k in 2; Reg holds Z; MAC"
    register = Memory(name="Reg")
    for size, updates in ((3, 2), (4, 1)):
        result = evaluated("Z[] = sum{k}(A[k])", {"K": size}, nest, DRAM, Fanout(name="F", axes={"X": 2}), register)
        z = result.memories["DRAM"].tensors["Z"]
        assert (z.updates, z.reads) == (updates, updates - 1)
        assert result.memories["Reg"].tensors["Z"].drains == 2
