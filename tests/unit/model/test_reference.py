"""The reference executor on tiny nests whose counts are derived by hand, step by step, beside each number."""

from dataclasses import dataclass
from fractions import Fraction

import pytest

from einloom.arch.tree import Compute, Fanout, Level, Memory
from einloom.errors import MappingError
from einloom.mappings import Hold, parse_node, resolved
from einloom.model.reference import Counts, Execution, Link, execute
from einloom.workloads.cascade import Cascade
from einloom.workloads.sized import SizedEinsum

DRAM, BUF, LB, REG = (Memory(name=name) for name in ("DRAM", "Buf", "LB", "Reg"))
MAC = Compute(name="MAC")
GEMM = "Z[m,n] = sum{k}(A[m,k] * B[k,n])"


@dataclass(frozen=True)
class Run:
    """An execution, asked by name."""

    einsum: SizedEinsum
    execution: Execution

    def __call__(self, memory: str, tensor: str) -> Counts:
        return self.execution.counts[memory, self._number(tensor)]

    def link(self, fanout: str, tensor: str) -> Link:
        return self.execution.links[fanout, self._number(tensor)]

    def _number(self, tensor: str) -> int:
        return next(i for i, access in enumerate(self.einsum.accesses) if access.tensor == tensor)


def walk(line: str, ranks: dict[str, int], levels: tuple[Level, ...], nest: str) -> Run:
    """Execute a nest written as in a mapping file, one node a line or after a semicolon."""
    cascade = Cascade.parse([line], ranks)
    (einsum,) = cascade.sized()
    nodes = tuple(parse_node(text) for text in nest.replace("\n", ";").split(";") if text.strip())
    return Run(einsum, execute(einsum, (*levels, MAC), resolved(nodes, cascade.extents)))


def pe(x: int, **options: object) -> Fanout:
    return Fanout(name="PE", axes={"X": x}, **options)


# -- tiles in time -------------------------------------------------------------------------------------------


def test_a_compute_holds_nothing_and_reads_its_operands_on_every_operation() -> None:
    run = walk(
        GEMM, {"M": 2, "N": 3, "K": 4}, (DRAM,), "DRAM holds A,B,Z; for m in 2; for k in 4; for n in 3; MAC"
    )
    assert run("DRAM", "A").reads == 24  # also while n runs and A stays the same
    assert run("DRAM", "B").reads == 24
    assert run.execution.steps == 24
    assert run.execution.operations == {"mac": 24}


def test_a_tile_that_stays_identical_costs_nothing() -> None:
    nest = "DRAM holds A,B,Z; for k in 4; for n in 3; Buf holds A; for m in 2; MAC"
    run = walk(GEMM, {"M": 2, "N": 3, "K": 4}, (DRAM, BUF), nest)
    assert run("Buf", "A").fills == 8  # 4 columns of 2, not 12: n does not move them
    assert run("DRAM", "A").reads == 8
    assert run("Buf", "A").reads == 24
    assert run("Buf", "A").occupancy == 2


def test_a_revisited_tile_is_fetched_again() -> None:
    nest = "DRAM holds A,B,Z; for n in 3; for k in 4; Buf holds A; for m in 2; MAC"
    run = walk(GEMM, {"M": 2, "N": 3, "K": 4}, (DRAM, BUF), nest)
    assert run("Buf", "A").fills == 24  # 3 sweeps over 4 columns of 2


def test_the_last_tile_of_a_clipped_rank_is_smaller() -> None:
    nest = "DRAM holds A,B,Z; for m in 2; Buf holds A; for m in 3; for k in 2; for n in 1; MAC"
    run = walk(GEMM, {"M": 5, "N": 1, "K": 2}, (DRAM, BUF), nest)
    assert run("Buf", "A").fills == 10  # 3 rows, then 2
    assert run("Buf", "A").occupancy == 6
    assert run.execution.steps == 10


@pytest.mark.parametrize(
    ("index", "ranks", "fills", "occupancy", "touched_box"),
    [
        ("p+r", {"P": 6, "R": 3}, 8, 3, 8),  # 3, then one new element each for 5 moves
        ("2*p+r", {"P": 4, "R": 3}, 9, 3, 9),  # 3, then 2 new ones each for 3 moves
        ("3*p+r", {"P": 3, "R": 2}, 6, 2, 8),  # nothing overlaps; the gaps lie between tiles, not in them
        ("p+2*r", {"P": 4, "R": 2}, 6, 3, 6),  # elements 0 and 2, so the interval of 3; then one new each
    ],
)
def test_a_sliding_window_fetches_only_what_is_new(
    index: str, ranks: dict[str, int], fills: int, occupancy: int, touched_box: int
) -> None:
    nest = f"DRAM holds I,W,O; for p in {ranks['P']}; Buf holds I; for r in {ranks['R']}; MAC"
    run = walk(f"O[p] = sum{{r}}(I[{index}] * W[r])", ranks, (DRAM, BUF), nest)
    assert run("Buf", "I").fills == fills
    assert run("DRAM", "I").reads == fills
    assert run("Buf", "I").occupancy == occupancy
    assert run("DRAM", "I").occupancy == touched_box


def test_a_window_that_jumps_back_keeps_its_overlap() -> None:
    nest = "DRAM holds I,W,O; for q in 2; for p in 2; Buf holds I; for r in 3; MAC"
    run = walk("O[p,q] = sum{r}(I[p+r] * W[r,q])", {"P": 2, "Q": 2, "R": 3}, (DRAM, BUF), nest)
    assert run("Buf", "I").fills == 6  # 0..2 fetched; 3 new; back: 0 new; 3 new again


def test_two_references_to_one_tensor_are_counted_apart() -> None:
    nest = "DRAM holds A,Z; for m in 3; Buf holds A; for n in 3; for k in 2; MAC"
    run = walk("Z[m,n] = sum{k}(A[m,k] * A[n,k])", {"M": 3, "N": 3, "K": 2}, (DRAM, BUF), nest)
    by_row, whole = run.execution.counts["Buf", 1], run.execution.counts["Buf", 2]
    assert (by_row.fills, by_row.occupancy) == (6, 2)
    assert (whole.fills, whole.occupancy) == (6, 6)


# -- instances -----------------------------------------------------------------------------------------------


def test_a_clipped_gemm_takes_whole_steps_on_the_array() -> None:
    array = Fanout(name="PE", axes={"X": 4, "Y": 4})
    nest = """DRAM holds A,B,Z; for m in 2; for n in 2; for k in 5
        spatial PE.X n in 4; spatial PE.Y m in 4; MAC"""
    run = walk(GEMM, {"M": 5, "N": 5, "K": 5}, (DRAM, array), nest)
    assert run.execution.steps == 2 * 2 * 5
    assert run.execution.operations == {"mac": 125}
    assert run.execution.instances_used == 16
    assert run("DRAM", "A").reads == (4 + 1) * 2 * 5  # rows of both m blocks, for 2 n blocks and 5 k
    assert run("DRAM", "B").reads == (4 + 1) * 2 * 5
    assert run("DRAM", "Z").updates == 125
    assert run("DRAM", "Z").reads == 125 - 25


@pytest.mark.parametrize(
    ("multicast", "reads_a", "reads_b"),
    [(True, 6, 24), (False, 24, 24), (frozenset({"B"}), 24, 24), (frozenset({"inputs"}), 6, 24)],
)
def test_multicast_makes_one_read_of_what_several_instances_want(
    multicast: bool | frozenset[str], reads_a: int, reads_b: int
) -> None:
    nest = "DRAM holds A,B,Z; for m in 2; for k in 3; spatial PE.X n in 4; MAC"
    run = walk(GEMM, {"M": 2, "N": 4, "K": 3}, (DRAM, pe(4, multicast=multicast)), nest)
    assert run("DRAM", "A").reads == reads_a  # 6 steps, one element for 4 instances
    assert run("DRAM", "B").reads == reads_b  # each instance has a column of its own


def test_the_write_of_each_instance_counts() -> None:
    nest = "DRAM holds A,B,Z; for m in 2; for k in 3; spatial PE.X n in 4; Reg holds A; MAC"
    run = walk(GEMM, {"M": 2, "N": 4, "K": 3}, (DRAM, pe(4), REG), nest)
    assert run("DRAM", "A").reads == 6
    assert run("Reg", "A").fills == 24
    assert run("Reg", "A").busiest_writes == 6


@pytest.mark.parametrize(
    ("reduce", "updates"), [(True, 8), (False, 32), (frozenset({"A"}), 32), (frozenset({"outputs"}), 8)]
)
def test_reduction_makes_one_write_of_partial_sums_that_meet(
    reduce: bool | frozenset[str], updates: int
) -> None:
    nest = "DRAM holds A,B,Z; for m in 2; for n in 2; for k in 2; spatial PE.X k in 4; MAC"
    run = walk(GEMM, {"M": 2, "N": 2, "K": 8}, (DRAM, pe(4, reduce=reduce)), nest)
    assert run("DRAM", "Z").updates == updates  # 8 steps, 4 partial sums in each
    assert run("DRAM", "Z").first_touches == 4
    assert run("DRAM", "Z").reads == updates - 4


@pytest.mark.parametrize(
    ("outer", "inner", "reads", "outer_link"),
    [(True, True, 6, 12), (False, True, 12, 12), (True, False, 12, 24), (False, False, 24, 24)],
)
def test_a_bypassed_memory_is_transparent_to_multicast(
    outer: bool, inner: bool, reads: int, outer_link: int
) -> None:
    levels = (
        DRAM,
        Fanout(name="F", axes={"X": 2}, multicast=outer),
        LB,
        Fanout(name="G", axes={"X": 2}, multicast=inner),
    )
    nest = "DRAM holds A,B,Z; for m in 2; for k in 3; spatial F.X n in 2; LB holds B; spatial G.X n in 2; MAC"
    run = walk(GEMM, {"M": 2, "N": 4, "K": 3}, levels, nest)
    assert run("DRAM", "A").reads == reads  # 6 steps, times the instances of each fanout that does not share
    assert run.link("F", "A") == Link(outer_link, 0)  # to 2 groups; to 4 instances apart if G does not share
    assert run.link("G", "A") == Link(24, 0)  # to each of 4 instances


def test_results_on_their_way_out_are_link_words_until_they_meet() -> None:
    levels = (DRAM, Fanout(name="F", axes={"X": 2}), LB, Fanout(name="G", axes={"X": 2}))
    nest = "DRAM holds A,B,Z; for m in 3; spatial F.X k in 2; spatial G.X k in 2; MAC"
    run = walk(GEMM, {"M": 3, "N": 1, "K": 4}, levels, nest)
    assert run.link("G", "Z") == Link(0, 12)  # from each of 4 computes in 3 steps
    assert run.link("F", "Z") == Link(0, 6)  # two have met in each half
    assert run("DRAM", "Z").updates == 3


def test_a_hold_above_the_spatial_loops_gives_each_instance_its_share() -> None:
    ranks = {"M": 2, "N": 4, "K": 3}
    above = "DRAM holds A,B,Z; for m in 2; Reg holds B; for k in 3; spatial PE.X n in 4; MAC"
    below = "DRAM holds A,B,Z; for m in 2; for k in 3; spatial PE.X n in 4; Reg holds B; MAC"
    kept = walk(GEMM, ranks, (DRAM, pe(4), REG), above)("Reg", "B")
    streamed = walk(GEMM, ranks, (DRAM, pe(4), REG), below)("Reg", "B")
    assert (kept.occupancy, kept.fills) == (3, 12)  # a column each, fetched once for both m
    assert (streamed.occupancy, streamed.fills) == (1, 24)


def test_instances_that_idle_drop_their_tile() -> None:
    nest = """DRAM holds A,B,Z; for q in 2; for m in 2; spatial PE.X m in 2
        Reg holds B; for n in 2; MAC"""
    run = walk("Z[m,n,q] = A[m,q] * B[n]", {"M": 3, "N": 2, "Q": 2}, (DRAM, pe(2), REG), nest)
    assert run("Reg", "B").writes_by_instance == {
        (0,): 2,
        (1,): 4,
    }  # instance 1 idles at m = 3, then fetches again
    assert run("DRAM", "B").reads == 4  # first both together, later instance 1 alone


def test_partial_sums_of_an_instance_that_idles_leave_and_come_back() -> None:
    nest = """DRAM holds A,B,Z; for q in 2; for m in 2; spatial PE.X m in 2
        Reg holds Z; for n in 2; MAC"""
    run = walk("Z[n] = sum{m,q}(A[m,q] * B[n])", {"M": 3, "N": 2, "Q": 2}, (DRAM, pe(2), REG), nest)
    assert run("Reg", "Z").drains == 2 + 4  # instance 0 at the end, instance 1 whenever it idles
    assert run("Reg", "Z").fills == 2
    assert run("DRAM", "Z").updates == 6  # in three different steps: nothing meets
    assert run("DRAM", "Z").reads == 4


def test_the_busiest_instance_is_the_one_with_the_remainder() -> None:
    nest = "DRAM holds A,B,Z; for m in 2; spatial PE.X m in 4; Reg holds A; for k in 3; MAC"
    run = walk(GEMM, {"M": 5, "N": 1, "K": 3}, (DRAM, pe(4), REG), nest)
    assert run("Reg", "A").writes == 15
    assert run("Reg", "A").busiest_writes == 6
    assert run("Reg", "A").busiest_reads == 6
    assert run.execution.instances_used == 4


# -- outputs -------------------------------------------------------------------------------------------------


def test_partial_sums_that_leave_are_drained_and_come_back_as_fills() -> None:
    nest = "DRAM holds A,B,Z; for k in 2; for m in 3; Buf holds Z; for k in 4; MAC"
    run = walk(GEMM, {"M": 3, "N": 1, "K": 8}, (DRAM, BUF), nest)
    buf, dram = run("Buf", "Z"), run("DRAM", "Z")
    assert buf.updates == 24
    assert buf.drains == 6  # 3 elements, twice
    assert buf.fills == 3  # only the second time
    assert buf.first_touches == 3
    assert buf.reads == 6 + (24 - 3)
    assert buf.writes == 3 + 24
    assert (dram.updates, dram.first_touches, dram.reads, dram.drains, dram.fills) == (6, 3, 3, 0, 0)


def test_an_output_that_stays_until_it_is_done_is_written_once() -> None:
    nest = "DRAM holds A,B,Z; for m in 3; Buf holds Z; for k in 8; MAC"
    run = walk(GEMM, {"M": 3, "N": 1, "K": 8}, (DRAM, BUF), nest)
    assert run("Buf", "Z").fills == 0
    assert (run("DRAM", "Z").updates, run("DRAM", "Z").reads) == (3, 0)


def test_below_a_reducing_fanout_a_returning_sum_fills_every_child() -> None:
    nest = "DRAM holds A,B,Z; for k in 2; for m in 3; spatial PE.X k in 4; Reg holds Z; MAC"
    run = walk(GEMM, {"M": 3, "N": 1, "K": 8}, (DRAM, pe(4), REG), nest)
    assert run("Reg", "Z").fills == 3 * 4
    assert run("Reg", "Z").drains == 6 * 4
    assert run("DRAM", "Z").updates == 6  # four meet on the way
    assert run("DRAM", "Z").reads == 3
    assert run.link("PE", "Z") == Link(12, 24)


def test_reads_minus_drains_is_updates_minus_first_touches_at_every_holder() -> None:
    nest = """DRAM holds A,B,Z; for k in 2; for m in 2; Buf holds Z; for n in 2; spatial PE.X k in 2
        Reg holds Z; for k in 2; for m in 2; MAC"""
    run = walk(GEMM, {"M": 4, "N": 2, "K": 7}, (DRAM, BUF, pe(2), REG), nest)
    for memory in ("DRAM", "Buf", "Reg"):
        z = run(memory, "Z")
        assert z.reads - z.drains == z.updates - z.first_touches
        assert z.writes == z.fills + z.updates


# -- what it refuses -----------------------------------------------------------------------------------------


def test_too_many_points_are_refused() -> None:
    with pytest.raises(MappingError, match="Z has 8000000 points, too many to walk one by one"):
        walk(GEMM, {"M": 200, "N": 200, "K": 200}, (DRAM,), "DRAM holds A,B,Z; for m in 200; MAC")


def test_a_partly_held_tensor_is_refused() -> None:
    (einsum,) = Cascade.parse([GEMM], {"M": 1, "N": 1, "K": 1}).sized()
    part = Hold("Buf", ("A",), (Fraction(1, 4),))
    with pytest.raises(MappingError, match=r"does not walk 'Buf holds A 0.25'"):
        execute(einsum, (DRAM, BUF, MAC), (Hold("DRAM", ("A", "B", "Z")), part))
