"""Fused trees whose counts were once wrong, or where two rules meet: parts of parts, generations, rotated children."""

from __future__ import annotations

from typing import Any

import pytest

from einloom.arch.tree import Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings import Nodes, parse_nodes
from einloom.model.fused import Fused, evaluate_tree
from einloom.workloads.cascade import Cascade

PRICES = dict.fromkeys(("mac", "mul", "add", "max", "exp"), 1.0)


def machine() -> Architecture:
    """MAC below an array of four, whose results take a cycle a hop; VEC beside it: 2 cycles an `exp`, 3 a `mul`."""
    array = Fanout(name="PE", axes={"X": 4}, hop_cycles=1)
    wide = (array, Memory(name="Reg"), Compute(name="MAC", energy_pj=PRICES))
    narrow = (Compute(name="VEC", energy_pj=PRICES, cycles={"exp": 2, "mul": 3}),)
    levels = (Memory(name="DRAM"), Memory(name="GLB"), Branches((wide, narrow)))
    return Architecture(name="tiny", clock_hz=1e9, levels=levels)


def tree(*data: Any) -> Nodes:
    problems: list[Any] = []
    nodes = parse_nodes(list(data), problems)
    assert not problems, problems
    return nodes


def run(cascade: Cascade, *data: Any) -> Fused:
    return evaluate_tree(cascade, machine(), tree(*data))


def words(fused: Fused, memory: str, tensor: str) -> tuple[float, float]:
    """(reads, writes) of all Einsums together."""
    found = [e.memories[memory].tensors.get(tensor) for e in fused.einsums.values() if memory in e.memories]
    return sum(c.reads for c in found if c), sum(c.writes for c in found if c)


def elements(fused: Fused, memory: str) -> float:
    """What a memory holds, in elements of 16 bits."""
    return fused.streamed.occupancy[memory].used / 16


CHAIN = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"], {"M": 4, "K": 2, "N": 3, "P": 2}
)
FIRST = {"T": ["for m in 2", "for n in 3", "for k in 2", "MAC"]}
SECOND = {"Z": ["for m in 2", "for p in 2", "for n in 3", "MAC"]}


def test_two_parts_of_a_tensor_split_it_in_four() -> None:
    """A quarter in GLB and, on its own, a quarter in the registers: each link moves its share of A."""
    first = {"T": ["for m in 2", "for n in 3", "for k in 2", "Reg holds A 1/4", "MAC"]}
    fused = run(CHAIN, "DRAM holds A, B, C, Z", "for m in 2", "GLB holds T, A 1/4", {"sequential": [first, SECOND]})
    # The register's element changes at each of 24 steps: 24 fills for its quarter, from GLB or from DRAM.
    assert words(fused, "Reg", "A") == (24 / 4, 24 / 4)
    assert words(fused, "GLB", "A") == (24 / 4, 8 / 4)
    assert words(fused, "DRAM", "A") == (8 / 4 + 24 * 3 / 4, 0)
    assert elements(fused, "DRAM") == 8 + 6 + 6 + 8  # all of A, B, C, Z, whatever the parts further in


def test_a_state_is_one_generation_updated_in_place() -> None:
    cascade = Cascade.parse(["S[g+1,m] = S[g,m] + T[g,m]", "Z[m] = S[G,m] + C[m]"], {"G": 5, "M": 3}, init={"S": 0.0})
    nests = [{"S": ["for g in 5", "for m in 3", "VEC"]}, {"Z": ["for m in 3", "VEC"]}]
    fused = run(cascade, "DRAM holds T, C, Z", "GLB holds S", {"sequential": nests})
    assert words(fused, "GLB", "S") == (5 * 3 + 3, 5 * 3)  # a read and a write each generation, the last read by Z
    assert words(fused, "DRAM", "S") == (0, 0)
    assert elements(fused, "GLB") == 3
    assert fused.streamed.cycles == 5 * 3 + 3


DOTS = Cascade.parse(["R[m] = sum{k}(A[m,k] * B[k])", "E[m] = exp(R[m])"], {"M": 3, "K": 4})
DOT = {"R": ["spatial PE.X k in 4", "MAC"]}
EXP = {"E": ["VEC"]}
SLOTS = ("DRAM holds A, B, E", "for m in 3", "GLB holds R")


def test_a_child_before_its_producer_works_on_the_slot_before() -> None:
    fused = run(DOTS, *SLOTS, {"sequential": [EXP, DOT]})
    assert fused.streamed.lags == {"R": 0, "E": 1}
    assert fused.streamed.terms_cycles == {"compute": 9, "drain": 0, "stall": 0, "ramp": 3}
    assert elements(fused, "GLB") == 2


RECURRENCE = Cascade.parse(
    ["P[g,m] = A[g,m] + S[g,m]", "S[g+1,m] = S[g,m] + P[g,m]"], {"G": 3, "M": 2}, init={"S": 1.0}, outputs=("P",)
)
HELD = ("DRAM holds A, P", "GLB holds S")


def test_a_recurrence_lets_its_reader_come_first() -> None:
    """S of a slot takes the P of the slot before, then P takes that S: one generation, one slot."""
    fused = run(RECURRENCE, *HELD, "for m in 2", "for g in 3", {"sequential": [{"S": ["VEC"]}, {"P": ["VEC"]}]})
    assert fused.streamed.lags == {"S": 1, "P": 0}


def test_a_recurrence_without_a_tile_between_cannot_stream() -> None:
    """Side by side on two computes each is a slot behind the other: two slots around, and a generation is one."""
    side_by_side = {"phases": [{"both": [{"pipelined": [{"P": ["MAC"]}, {"S": ["VEC"]}]}]}]}
    with pytest.raises(MappingError, match=r"the recurrence (P -> S -> P|S -> P -> S) cannot stream"):
        run(RECURRENCE, *HELD, "for m in 2", "for g in 3", side_by_side)
    # With the two rows inside, a generation is two slots away.
    assert run(RECURRENCE, *HELD, "for g in 3", "for m in 2", side_by_side).streamed.lags == {"P": 0, "S": 1}


WISE = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "E[m,n] = exp(T[m,n])", "Z[m] = sum{n}(E[m,n] * C[n])"],
    {"M": 4, "N": 3, "K": 2},
)
WISE_NESTS = [
    {"T": ["for n in 3", "for k in 2", "MAC"]}, {"E": ["for n in 3", "VEC"]}, {"Z": ["for n in 3", "MAC"]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "holds", "most"),
    [
        ("sequential", ("GLB holds T, E",), 6),  # a row each, together while E runs
        ("sequential", ("GLB holds T", "GLB holds E in place of T"), 3),
        ("sequential", ("GLB holds C, T, E",), 3 + 6),  # an input stays
        ("phases", ("GLB holds T, E",), 6),
        ("phases", ("GLB holds T", "GLB holds E in place of T"), 3),
    ],
)
def test_an_intermediate_counts_while_it_lives(schedule: str, holds: tuple[str, ...], most: int) -> None:
    fused = run(WISE, "DRAM holds A, B, C, Z", "for m in 4", *holds, {schedule: WISE_NESTS})
    assert elements(fused, "GLB") == most
    assert fused.streamed.in_place == ({"E": "T"} if "in place" in holds[-1] else {})


def test_lifetimes_that_do_not_meet_share_the_room() -> None:
    """T lives while T and E run, E while E and Z do: with F behind, T and F are never there together."""
    cascade = Cascade.parse(["T[m] = exp(A[m])", "E[m] = exp(T[m])", "F[m] = exp(E[m])", "Z[m] = exp(F[m])"], {"M": 4})
    nests = [{name: ["for m in 4", "VEC"]} for name in "TEFZ"]
    assert elements(run(cascade, "DRAM holds A, Z", "GLB holds T, E, F", {"sequential": nests}), "GLB") == 2 * 4
