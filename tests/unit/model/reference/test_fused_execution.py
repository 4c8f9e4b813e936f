"""The reference executor of fused trees on tiny trees whose counts are derived by hand beside each number."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from einloom.arch.tree import Amount, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings import Nodes, parse_nodes
from einloom.model.reference import execute
from einloom.model.reference.fused import TreeExecution, execute_tree
from einloom.workloads.cascade import Cascade

COUNTED = ("fills", "updates", "drains", "reads", "writes")


def tree(*data: Any) -> Nodes:
    """A tree written as in a mapping file."""
    problems: list[Any] = []
    nodes = parse_nodes(list(data), problems)
    assert not problems, problems
    return nodes


def machine(*levels: Any) -> Architecture:
    return Architecture(name="tiny", clock_hz=1e9, levels=levels)


DRAM, GLB, REG, MAC = Memory(name="DRAM"), Memory(name="GLB"), Memory(name="Reg"), Compute(name="MAC")
PLAIN = machine(DRAM, GLB, MAC)


def inputs_of(cascade: Cascade) -> dict[str, Any]:
    generator = np.random.default_rng(7)
    return {name: generator.normal(size=cascade.shape(name)) for name in cascade.inputs}


def walk(cascade: Cascade, architecture: Architecture, nodes: Nodes) -> TreeExecution:
    """Execute, and check that what is computed is what the cascade means."""
    inputs = inputs_of(cascade)
    run = execute_tree(cascade, architecture, nodes, inputs)
    assert run.outputs is not None
    for name, expected in cascade.run(inputs).items():
        np.testing.assert_allclose(run.outputs[name], expected, rtol=1e-12)
    return run


def words(run: TreeExecution, memory: str, tensor: str) -> tuple[Fraction, ...]:
    """(fills, updates, drains, reads, writes)."""
    counts = run.counts[memory, tensor]
    return tuple(getattr(counts, name) for name in COUNTED)


# -- separate nests -------------------------------------------------------------------------------------------

GEMMS = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"], {"M": 5, "K": 3, "N": 4, "P": 3}
)
ARRAY = machine(DRAM, GLB, Fanout(name="PE", axes={"X": 2, "Y": 2}), REG, MAC)
FIRST = ["for m in 2", "GLB holds A, T", "for k in 2", "GLB holds B", "for n in 2", "spatial PE.X n in 2",
         "spatial PE.Y k in 2", "Reg holds B", "for m in 3", "MAC"]  # fmt: skip
SECOND = ["for p in 2", "GLB holds C", "for n in 4", "GLB holds T", "for m in 2", "spatial PE.X p in 2",
          "spatial PE.Y m in 2", "Reg holds Z", "for m in 2", "MAC"]  # fmt: skip


def test_separate_nests_in_sequence_count_as_each_alone() -> None:
    run = walk(GEMMS, ARRAY, tree("DRAM holds A, B, C, T, Z", {"sequential": [{"T": FIRST}, {"Z": SECOND}]}))
    expected: Counter[tuple[str, str, str]] = Counter()
    steps = {}
    for einsum, nest in zip(GEMMS.sized(), (FIRST, SECOND), strict=True):
        alone = execute(einsum, ARRAY.path_to("MAC"), tree("DRAM holds A, B, C, T, Z", *nest))
        steps[einsum.name] = alone.steps
        for (memory, number), counts in alone.counts.items():
            for name in COUNTED:
                expected[memory, einsum.accesses[number].tensor, name] += getattr(counts, name)
    found = {(m, t, name): getattr(counts, name) for (m, t), counts in run.counts.items() for name in COUNTED}
    assert found == {key: expected[key] for key in found}
    assert {name: einsum.steps for name, einsum in run.einsums.items()} == steps
    assert run.compute_cycles == sum(steps.values())  # one mac a step, one cycle each, in turn


# -- a held intermediate ----------------------------------------------------------------------------------------

CHAIN = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"], {"M": 4, "K": 2, "N": 3, "P": 2}
)


def chained(*shared: Any, schedule: str = "sequential", rows: int = 2) -> Nodes:
    nests = [
        {"T": [f"for m in {rows}", "for n in 3", "for k in 2", "MAC"]},
        {"Z": [f"for m in {rows}", "for p in 2", "for n in 3", "MAC"]},
    ]
    return tree(*shared, {schedule: nests})


def test_an_intermediate_held_above_both_never_leaves() -> None:
    run = walk(CHAIN, PLAIN, chained("DRAM holds A, B, C, T, Z", "for m in 2", "GLB holds T"))
    assert ("DRAM", "T") not in run.counts  # its home is GLB
    # 4x3 results of 2 terms: 24 updates, of which 12 find a partial sum; Z reads 4x2x3.
    assert words(run, "GLB", "T") == (0, 24, 0, 24 + 12, 24)
    assert words(run, "DRAM", "A") == (0, 0, 0, 24, 0)  # no holder further in: every operation
    assert words(run, "DRAM", "Z") == (0, 24, 0, 24 - 8, 24)
    assert run.counts["GLB", "T"].occupancy == 6  # 2 rows of 3
    assert run.occupancy_bits["GLB"] == 6 * 16
    assert run.compute_cycles == 24 + 24


def test_a_holder_on_one_side_drains_what_the_other_side_reads() -> None:
    nests = [
        {"T": ["GLB holds T", "for m in 4", "for n in 3", "for k in 2", "MAC"]},
        {"Z": ["for p in 2", "GLB holds T", "for m in 4", "for n in 3", "MAC"]},
    ]
    run = walk(CHAIN, PLAIN, tree("DRAM holds A, B, C, T, Z", {"sequential": nests}))
    # In: 24 updates, 12 partial sums read, 12 drained. Out: the whole T stays while p runs: 12 fills, 24 reads.
    assert words(run, "GLB", "T") == (12, 24, 12, 12 + 12 + 24, 24 + 12)
    assert words(run, "DRAM", "T") == (0, 12, 0, 12, 12)


def test_readers_that_move_alike_share_one_tile() -> None:
    cascade = Cascade.parse(["U[m] = A[m] + A[m]", "V[m] = A[m] * U[m]"], {"M": 6})
    nests = [{"U": ["for m in 2", "MAC"]}, {"V": ["for m in 2", "MAC"]}]
    nodes = tree("DRAM holds A, U, V", "for m in 3", "GLB holds A, U", {"sequential": nests})
    run = walk(cascade, PLAIN, nodes)
    assert words(run, "GLB", "A") == (6, 0, 0, 6 + 6, 6)  # filled once, read by each
    assert run.occupancy_bits["GLB"] == (2 + 2) * 16


def test_readers_that_move_differently_hold_two_tiles() -> None:
    cascade = Cascade.parse(["U[m,n] = A[m] + A[n]"], {"M": 4, "N": 4})
    nest = {"U": ["for m in 2", "for n in 4", "MAC"]}
    run = walk(cascade, PLAIN, tree("DRAM holds A, U", "for m in 2", "GLB holds A", {"sequential": [nest]}))
    assert words(run, "GLB", "A")[0] == 4 + 4  # two tiles of 2, and the whole
    assert run.counts["GLB", "A"].occupancy == 2 + 4


def test_a_clipped_shared_tile_is_smaller() -> None:
    cascade = CHAIN.with_ranks(M=5)
    run = walk(cascade, PLAIN, chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T", rows=3))
    assert words(run, "GLB", "T") == (0, 30, 0, 30 + 15, 30)
    assert run.counts["GLB", "T"].occupancy == 9  # 3 rows, then 2
    (group,) = run.groups.values()
    assert group.slots == (3 * 6 + 3 * 6, 2 * 6 + 2 * 6)
    assert run.compute_cycles == 60


# -- ports ------------------------------------------------------------------------------------------------------


def test_words_overlap_with_everything_below_the_list_that_owns_them() -> None:
    slow = machine(Memory(name="DRAM", bandwidth=Amount(Fraction(8))), GLB, MAC)  # half a word a cycle
    shared = ("DRAM holds A, B, C, Z", "GLB holds B", "for m in 2", "GLB holds A, T, Z, C")
    run = walk(CHAIN, slow, chained(*shared))
    # The root owns B 6, A 8, C 6, Z 8 (drained to DRAM): 28 words at half a word a cycle, over 48 busy cycles.
    assert run.list_cycles[()] == run.cycles == 56
    leaf = walk(CHAIN, slow, chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T"))
    # T owns A 24 + B 24 words: 96 cycles; Z owns C 24 + its 24 updates + 16 partial sums: 128. They add up.
    assert leaf.list_cycles[3, 0] == 96
    assert leaf.cycles == 96 + 128


# -- the once rule ----------------------------------------------------------------------------------------------

NORMALISED = Cascade.parse(
    ["S[p] = exp(X[p])", "Y[m,p] = S[p] * W[m,p]", "T[p] = sum{m}(Y[m,p])", "Z[p] = T[p] / X[p]"], {"M": 3, "P": 4}
)


def normalised(*children: Any, schedule: str = "sequential") -> Nodes:
    return tree(
        "DRAM holds X, W, Z", "for p in 2", "GLB holds S, T", "for m in 3", "GLB holds Y", {schedule: list(children)}
    )  # fmt: skip


S, Y, T, Z = ({name: ["for p in 2", "MAC"]} for name in "SYTZ")


def test_an_einsum_runs_first_if_it_feeds_the_traversal_and_last_if_not() -> None:
    run = walk(NORMALISED, PLAIN, normalised(S, Y, T, Z))
    assert {name: einsum.steps for name, einsum in run.einsums.items()} == {"S": 4, "Y": 12, "T": 12, "Z": 4}
    (group,) = run.groups.values()
    assert group.slots == (2 + 4, 4, 4 + 2) * 2  # S in the first of 3, Z in the last
    assert words(run, "GLB", "S") == (0, 4, 0, 12, 4)
    assert words(run, "GLB", "T") == (0, 12, 0, 12 - 4 + 4, 12)


def test_pipelined_below_a_barrier_adds_the_busiest_compute_of_each_slot() -> None:
    inner = [{"a": [{"pipelined": [S, Y, T, Z]}]}]
    assert walk(NORMALISED, PLAIN, normalised(*inner)).compute_cycles == 2 * (6 + 4 + 6)
    assert walk(NORMALISED, PLAIN, normalised(S, Y, T, Z, schedule="pipelined")).compute_cycles == 32


# -- one pass attention on a 4 x 4 array beside 4 lanes ---------------------------------------------------------

ONE_PASS = Cascade.parse(
    [
        "BQK[m1,m0,p] = sum{e}(Q[e,p] * BK[e,m1,m0])",
        "LM[m1,p] = max{m0}(BQK[m1,m0,p])",
        "RM[m1+1,p] = max(RM[m1,p], LM[m1,p])",
        "SLN[m1,m0,p] = exp(BQK[m1,m0,p] - RM[m1+1,p])",
        "SLD[m1,p] = sum{m0}(SLN[m1,m0,p])",
        "SLNV[m1,f,p] = sum{m0}(SLN[m1,m0,p] * BV[f,m1,m0])",
        "PRM[m1,p] = exp(RM[m1,p] - RM[m1+1,p])",
        "SPD[m1,p] = RD[m1,p] * PRM[m1,p]",
        "RD[m1+1,p] = SLD[m1,p] + SPD[m1,p]",
        "SPNV[m1,f,p] = RNV[m1,f,p] * PRM[m1,p]",
        "RNV[m1+1,f,p] = SLNV[m1,f,p] + SPNV[m1,f,p]",
        "AV[f,p] = RNV[M1,f,p] / RD[M1,p]",
    ],
    {"E": 2, "F": 2, "P": 8, "M": 8},
    split={"M": (("M1", None), ("M0", 4))},
    init={"RM": -np.inf, "RD": 0.0, "RNV": 0.0},
    weights=(),
)


def fusemax(hop: int) -> Architecture:
    array = (
        Fanout(name="PE2", axes={"X": 4, "Y": 4}, hop_cycles=hop),
        Compute(name="C2", cycles={"exp": 6}),
    )
    lanes = (Fanout(name="PE1", axes={"X": 4}), Compute(name="C1", cycles={"exp": 6}))
    return machine(DRAM, GLB, Memory(name="RF"), Branches((array, lanes)))


def on_array(name: str, *more: str) -> Mapping[str, Any]:
    return {name: ["spatial PE2.Y m0 in 4", "spatial PE2.X p in 4", *more, "C2"]}


def on_lanes(name: str, *more: str) -> Mapping[str, Any]:
    return {name: ["spatial PE1.X p in 4", *more, "C1"]}


SHARED = (
    "DRAM holds Q, BK, BV, AV", "for p in 1", "GLB holds Q, RNV, RM, RD", "for m1 in 2", "GLB holds BK, BV",
    "for p in 2", "RF holds RM, BQK, LM, SLN, SLD, SLNV, PRM, SPD, SPNV",
)  # fmt: skip
BQK, LM = on_array("BQK", "for e in 2"), on_array("LM")
SLN, SLD, SLNV = on_array("SLN"), on_array("SLD"), on_array("SLNV", "for f in 2")
RM, PRM, SPD, RD = (on_lanes(name) for name in ("RM", "PRM", "SPD", "RD"))
SPNV, RNV = on_lanes("SPNV", "for f in 2"), on_lanes("RNV", "for f in 2")
AV = {"AV": ["RF holds RD", "spatial PE1.X p in 4", "for f in 2", "C1"]}


def group(*children: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"pipelined": list(children)}


def binding(schedule: str = "phases") -> Nodes:
    children = [group(BQK, LM, RD, RNV, AV), RM, group(SLN, SLD, PRM, SPD), group(SLNV, SPNV)]
    return tree(*SHARED, {schedule: children})


def architecture_tree() -> Nodes:
    children = [group(BQK, LM, RD, AV), RM, group(SLN, SLD, PRM, SPD), group(SLNV, SPNV, RNV)]
    return tree(*SHARED, {"sequential": children})


def test_the_phases_of_fusemax() -> None:
    run = walk(ONE_PASS, fusemax(hop=0), binding())
    # fusemax.md 1.3 with M1 = 2, E = F = 2, c = P/4 = 2: c{max[M1(E+1), M1(1+F)+F] + M1 + 8 M1 + M1 F}.
    assert run.compute_cycles == 2 * (max(6, 8) + 2 + 16 + 4)
    (slots,) = run.groups.values()
    assert slots.slots == (14, 14, 16, 16)  # two query tiles for each m1: 3 + 1 + 8 + 2; AV adds 2 to 1 + 2
    busy = {name: einsum.busy for name, einsum in run.einsums.items()}
    # Each once per slot (4 slots): BQK E, LM 1, SLN 7, SLD 1, SLNV F | RM 1, PRM 7, SPD 1, SPNV F, RD 1, RNV F; AV 2 F.
    assert busy == {
        "BQK": 8, "LM": 4, "SLN": 28, "SLD": 4, "SLNV": 8, "RM": 4, "PRM": 28, "SPD": 4, "SPNV": 8, "RD": 4,
        "RNV": 8, "AV": 4,
    }  # fmt: skip


def test_the_phases_of_fusemax_on_a_longer_sequence() -> None:
    cascade = ONE_PASS.with_ranks(E=4, F=4, M=16)
    deep = {name: on(name, f"for {v} in 4") for name, on, v in (
        ("BQK", on_array, "e"), ("SLNV", on_array, "f"), ("SPNV", on_lanes, "f"), ("RNV", on_lanes, "f"),
        ("AV", on_lanes, "f"))}  # fmt: skip
    children = [group(deep["BQK"], LM, RD, deep["RNV"], deep["AV"]), RM, group(SLN, SLD, PRM, SPD),
                group(deep["SLNV"], deep["SPNV"])]  # fmt: skip
    shared = [line.replace("for m1 in 2", "for m1 in 4") for line in SHARED]
    run = walk(cascade, fusemax(hop=0), tree(*shared, {"phases": children}))
    # c{max[M1(E+1), M1(1+F)+F] + M1 + 8 M1 + M1 F} reads the first phase as a whole. Slot by slot, AV lengthens the
    # last slot of a query tile alone: 3 x 5 + 9, here the same.
    assert run.compute_cycles == 2 * (max(4 * 5, 4 * 5 + 4) + 4 + 32 + 16)


def test_the_words_of_fusemax() -> None:
    run = walk(ONE_PASS, fusemax(hop=0), binding())
    m1, m0, p, e, f = 2, 4, 8, 2, 2
    # fusemax.md 1.4: reads M1 P E + M P (E+F)/M0 + 2 M1 P + M1 P F + P F + P, writes P E + M (E+F) + 2 M1 P + M1 P F.
    reads = {
        "Q": m1 * p * e, "BK": m1 * m0 * p * e // m0, "BV": m1 * m0 * p * f // m0, "RM": m1 * p, "RD": m1 * p + p,
        "RNV": m1 * p * f + p * f,
    }  # fmt: skip
    writes = {"Q": p * e, "BK": m1 * m0 * e, "BV": m1 * m0 * f, "RM": m1 * p, "RD": m1 * p, "RNV": m1 * p * f}
    glb = {tensor: counts for (memory, tensor), counts in run.counts.items() if memory == "GLB"}
    assert {tensor: counts.reads for tensor, counts in glb.items()} == reads
    assert {tensor: counts.writes for tensor, counts in glb.items()} == writes
    assert words(run, "RF", "RM")[:3] == (16, 16, 16)  # in and out once per slot of 4 lanes
    # Of a generation: 4 p x (Q 2 + RNV 2 + RM 1 + RD 1), twice; BK and BV 4 x 2 each.
    assert run.occupancy_bits["GLB"] == (8 * (2 + 2 + 1 + 1) + 16) * 16


def test_drains_lengthen_lags_in_phases_and_nothing_else() -> None:
    free, slow = walk(ONE_PASS, fusemax(hop=0), binding()), walk(ONE_PASS, fusemax(hop=1), binding())
    assert slow.compute_cycles == free.compute_cycles
    behind = {"RD", "RNV", "AV"}
    # Without drains all but those in the first phase that need the last phases keep up with the slot.
    assert free.lags == {name: int(name in behind) for name in free.lags}
    # The slot is 5 + 1 + 8 + 2 = 16. LM drains 4 cycles past its phase: RM is one slot behind, and all after it.
    # SLD ends at 14, drains until 18: RD starts 2 slots behind SLD; SLNV ends at 16, drains until 20: so does RNV.
    assert slow.lags == {name: 3 if name in behind else int(name not in ("BQK", "LM")) for name in free.lags}
    (slots,) = slow.groups.values()
    assert (slots.depth, slots.ramp) == (3, 48)
    copies = {tensor: count for ((at, *_), tensor), count in slow.copies.items() if at == 6}
    # Readers behind their producers: LM, BQK by 1; SLD, SPD by RD 2; SLNV, SPNV by RNV 2. A state stays one.
    assert copies == {"RM": 1, "BQK": 2, "LM": 2, "SLN": 1, "SLD": 3, "SLNV": 3, "PRM": 1, "SPD": 3, "SPNV": 3}


def test_sequential_exposes_the_one_drain_that_a_later_child_waits_for() -> None:
    run = walk(ONE_PASS, fusemax(hop=1), architecture_tree())
    # fusemax.md 1.3: c{max(M1(E+1), M1+F) + M0 M1 + M1 + 8 M1 + M1 max(F, 2F)}; the drain of LM is M0 = 4.
    assert run.compute_cycles == 2 * (max(6, 4) + 4 * 2 + 2 + 16 + 2 * 4)
    assert run.lags == {name: int(name in ("RD", "AV")) for name in run.lags}  # listed before what they need


# -- three pass attention with scores held in part, forwarded words ---------------------------------------------

THREE_PASS = Cascade.parse(
    [
        "QK[m,p] = sum{e}(Q[e,p] * K[e,m])",
        "GM[p] = max{m}(QK[m,p])",
        "SN[m,p] = exp(QK[m,p] - GM[p])",
        "SD[p] = sum{m}(SN[m,p])",
        "A[m,p] = SN[m,p] / SD[p]",
        "AV[f,p] = sum{m}(A[m,p] * V[f,m])",
    ],
    {"E": 2, "F": 2, "P": 4, "M": 6},
)
TWO_COMPUTES = machine(DRAM, GLB, Branches(((Compute(name="C2"),), (Compute(name="C1"),))))


def flat(
    share: str = "", exp: Any = ({"SN": ["C1"]}, {"SD": ["C1"]}), forward: str = "SN", order: str = "pipelined"
) -> Nodes:
    softmax = [
        "for p in 2",
        {"sequential": [
            {"GM": ["for m in 6", "C1"]},
            {"exp": ["for m in 6", f"forward {forward}", {"sequential": list(exp)}]},
            {"A": ["for m in 6", "C1"]},
        ]},
    ]  # fmt: skip
    nests = [
        {"QK": ["for p in 2", "for m in 6", "for e in 2", "C2"]},
        {"softmax": softmax},
        {"AV": ["for p in 2", "for f in 2", "for m in 6", "C2"]},
    ]
    holds = f"GLB holds QK{share}, SN{share} in place of QK, A{share} in place of SN"
    return tree("DRAM holds Q, K, V, AV, QK, SN, A", "for p in 2", holds, "GLB holds GM, SD", {order: nests})


def test_scores_held_whole_never_leave_and_forwarded_words_are_not_read() -> None:
    run = walk(THREE_PASS, TWO_COMPUTES, flat())
    assert not {("DRAM", tensor) for tensor in ("QK", "SN", "A")} & run.counts.keys()
    # 24 scores of 2 terms: 48 updates, 24 partial sums; GM and SN read them. SD takes SN from its register, A reads.
    assert words(run, "GLB", "QK") == (0, 48, 0, 24 + 24 + 24, 48)
    assert words(run, "GLB", "SN") == (0, 24, 0, 24, 24)
    assert words(run, "GLB", "A") == (0, 24, 0, 2 * 24, 24)
    # C2: QK 48 + AV 48. C1: GM, SN (sub, exp: 2 cycles), SD, A: 5 x 24. They overlap.
    assert run.compute_cycles == max(96, 24 + 48 + 24 + 24)
    assert run.einsums["SN"].busy == 48


def test_part_of_the_scores_is_held() -> None:
    run = walk(THREE_PASS, TWO_COMPUTES, flat(" 0.75"))
    assert words(run, "GLB", "QK") == tuple(Fraction(3, 4) * n for n in (0, 48, 0, 72, 48))
    assert words(run, "DRAM", "QK") == tuple(Fraction(1, 4) * n for n in (0, 48, 0, 72, 48))
    # A tile is 2 rows of 6; SN is written over QK and A over SN.
    scores, rows = Fraction(3, 4) * 12, 2 * 2
    assert run.tiles[(2,), "SN"] == scores
    assert run.occupancy_bits["GLB"] == (scores + rows) * 16


def test_two_holds_in_part_split_a_tensor_in_four() -> None:
    nests = [{"T": ["GLB holds T 0.5", "for m in 4", "for n in 3", "for k in 2", "MAC"]},
             {"Z": ["for p in 2", "GLB holds T 0.25", "for m in 4", "for n in 3", "MAC"]}]  # fmt: skip
    run = walk(CHAIN, PLAIN, tree("DRAM holds A, B, C, T, Z", {"sequential": nests}))
    # Held by T: 12 updates in DRAM; bypassing: 24 updates, 12 read again. Held by Z: 12 reads; bypassing: 24.
    assert words(run, "DRAM", "T")[1] == Fraction(12 + 24, 2)
    assert words(run, "DRAM", "T")[3] == Fraction(12, 2) + Fraction(12, 4) + 24 * Fraction(3, 4)
    assert words(run, "GLB", "T")[0] == Fraction(12, 4)


def test_a_tensor_that_is_only_forwarded_counts_no_words() -> None:
    cascade = Cascade.parse(["S[m] = exp(X[m])", "T[m] = S[m] * W[m]"], {"M": 4})
    nodes = tree("DRAM holds X, W, T", "for m in 4", "forward S", {"sequential": [{"S": ["MAC"]}, {"T": ["MAC"]}]})
    run = walk(cascade, PLAIN, nodes)
    assert {tensor for _, tensor in run.counts} == {"X", "W", "T"}
    assert run.compute_cycles == 8


# -- occupancy over time -----------------------------------------------------------------------------------------


def test_in_sequence_an_intermediate_counts_while_it_lives() -> None:
    cascade = Cascade.parse(["S[m] = sum{k}(X[m,k])", "T[m] = sum{k}(W[m,k] + S[m])", "U[m] = sum{k}(V[m,k] + T[m])"],
                            {"M": 4, "K": 2})  # fmt: skip
    nests = [{name: ["for m in 4", "for k in 2", "MAC"]} for name in "STU"]
    holds = ("DRAM holds X, W, V, U", "GLB holds S, T")
    assert walk(cascade, PLAIN, tree(*holds, {"sequential": nests})).occupancy_bits["GLB"] == (4 + 4) * 16
    longer = Cascade.parse(["S[m] = sum{k}(X[m,k])", "T[m] = sum{k}(W[m,k] + S[m])", "U[m] = sum{k}(V[m,k] + T[m])",
                            "R[m] = sum{k}(V[m,k] + U[m])"], {"M": 4, "K": 2})  # fmt: skip
    nests = [*nests, {"R": ["for m in 4", "for k in 2", "MAC"]}]
    holds = ("DRAM holds X, W, V, R", "GLB holds S, T, U")
    # S lives in children 1-2, T in 2-3, U in 3-4: two at a time. Overlapped, all three.
    assert walk(longer, PLAIN, tree(*holds, {"sequential": nests})).occupancy_bits["GLB"] == 8 * 16
    assert walk(longer, PLAIN, tree(*holds, {"pipelined": nests})).occupancy_bits["GLB"] == 12 * 16


def test_double_buffering_counts_twice() -> None:
    double = machine(DRAM, Memory(name="GLB", double_buffered=True), MAC)
    run = walk(CHAIN, double, chained("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T"))
    assert run.occupancy_bits["GLB"] == 2 * 6 * 16


# -- what is not legal ------------------------------------------------------------------------------------------


def refused(cascade: Cascade, architecture: Architecture, nodes: Nodes) -> str:
    with pytest.raises(MappingError) as caught:
        execute_tree(cascade, architecture, nodes, inputs_of(cascade))
    return str(caught.value)


def test_a_reduction_over_a_shared_loop_is_not_read_in_parts() -> None:
    cascade = Cascade.parse(["T[m] = sum{k}(A[m,k])", "Z[m,k] = T[m] * A[m,k]"], {"M": 2, "K": 4})
    nests = [{"T": ["for m in 2", "for k in 2", "MAC"]}, {"Z": ["for m in 2", "for k in 2", "MAC"]}]
    nodes = tree("DRAM holds A, Z", "GLB holds T", "for k in 2", {"sequential": nests})
    wrong = "Z needs T[0] finished, but the loops above have it in parts: 2 missing"
    assert wrong in refused(cascade, PLAIN, nodes)


def test_a_child_before_its_producer_works_on_the_previous_slot() -> None:
    cascade = CHAIN.with_ranks(M=4)
    nests = [
        {"Z": ["for m in 2", "for p in 2", "for n in 3", "MAC"]},
        {"T": ["for m in 2", "for n in 3", "for k in 2", "MAC"]},
    ]
    run = walk(cascade, PLAIN, tree("DRAM holds A, B, C, Z", "for m in 2", "GLB holds T", {"sequential": nests}))
    assert run.lags == {"Z": 1, "T": 0}
    assert run.copies[(2,), "T"] == 2
    assert run.occupancy_bits["GLB"] == 2 * 6 * 16
    assert run.ramp == 24


def test_a_circle_of_slots_has_no_lag() -> None:
    lines = ["U[t,m] = X[t,m] * W[m]", "V[t,m] = U[t,m] * W[m]", "X[t+1,m] = V[t,m] + W[m]"]
    cascade = Cascade.parse(lines, {"T": 3, "M": 2}, init={"X": 1.0}, outputs=("X",))
    u, v, x = ({name: ["for m in 2", "MAC"]} for name in "UVX")
    shared = ("DRAM holds W, X", "GLB holds U, V", "for t in 3")
    assert set(walk(cascade, PLAIN, tree(*shared, {"sequential": [u, v, x]})).lags.values()) == {0}
    # X waits one slot for V, and U reads the X of one slot ago: still in time, if X comes first.
    assert walk(cascade, PLAIN, tree(*shared, {"sequential": [x, u, v]})).lags == {"X": 1, "U": 0, "V": 0}
    # X one slot after V, V one after U, U one before X: around once, a slot is missing.
    assert "the slots would wait for each other" in refused(cascade, PLAIN, tree(*shared, {"sequential": [x, v, u]}))
    # Inside one slot there is no slot to be late by.
    inner = {"sequential": [{"all": ["for t in 3", {"sequential": [x, u, v]}]}]}
    assert "the slots would wait for each other" in refused(cascade, PLAIN, tree(*shared[:2], inner))


def test_a_tile_that_has_moved_on_is_not_read() -> None:
    cascade = Cascade.parse(["S[m] = exp(X[m])", "T[n] = sum{k}(S[k] * W[k,n])"], {"M": 4, "N": 2, "K": 4})
    nests = [{"S": ["for m in 2", "MAC"]}, {"T": ["for n in 2", "for k in 4", "MAC"]}]
    walk(cascade, PLAIN, tree("DRAM holds X, W, T", "GLB holds S", "for m in 2", {"sequential": nests}))
    moved = tree("DRAM holds X, W, T", "for m in 2", "GLB holds S", {"sequential": nests})
    assert "T reads S[0] in another iteration of the loops above its holder" in refused(cascade, PLAIN, moved)


@pytest.mark.parametrize(
    ("nodes", "wrong"),
    [
        (chained("DRAM holds A, B, C, Z", "for m in 2"), "T has no home that Z could read"),
        (chained("DRAM holds A, B, C", "for m in 2", "GLB holds T"), "Z has no home"),
        (chained("DRAM holds A, B, C, Z", "for m in 3", "GLB holds T", rows=1), "T runs over 3 of m, which has 4"),
        (chained("GLB holds T", "DRAM holds A, B, C, T, Z", "for m in 2"), "DRAM holds T below a hold of GLB"),
        (chained("DRAM holds A, B, C, T, Z", "for q in 2", rows=4), "no Einsum below 'for q in 2' iterates"),
        (tree("DRAM holds A", {"sequential": [{"T": ["for m in 4", "for n in 3", "for k in 2", "MAC"]}]}),
         "the tree does not have Z"),
        (tree("DRAM holds A, B, C, T, Z", "for m in 2", {"sequential": [
            {"T": ["for m in 2", "for n in 3", "for k in 2", "MAC"]},
            {"Z": ["for m in 3", "for p in 2", "for n in 3", "MAC"]}]}),
         "the Einsums below 'for m in 2' have tiles of [2, 3]"),
    ],
)  # fmt: skip
def test_a_tree_that_is_no_mapping_says_why(nodes: Nodes, wrong: str) -> None:
    assert wrong in refused(CHAIN, PLAIN, nodes)
