"""Tiny machines, cascades and trees, small enough to be counted by hand."""

from typing import Any

from einloom.arch.tree import Architecture, Branches, Compute, Fanout, Memory
from einloom.mappings import Nodes, parse_nodes
from einloom.model.fused import Fused, evaluate_tree
from einloom.workloads.cascade import Cascade

PRICES = dict.fromkeys(("mac", "mul", "add", "sub", "div", "max", "exp"), 1.0)
DRAM, GLB, REG = Memory(name="DRAM"), Memory(name="GLB"), Memory(name="Reg")
MAC, C1, C2 = (Compute(name=name, energy_pj=PRICES) for name in ("MAC", "C1", "C2"))

CHAIN = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"], {"M": 4, "K": 2, "N": 3, "P": 2}
)
"""24 products each; T has 12 elements, Z 8."""


def machine(*levels: Any) -> Architecture:
    return Architecture(name="tiny", clock_hz=1e9, levels=levels)


PLAIN = machine(DRAM, GLB, MAC)
TWO_COMPUTES = machine(DRAM, GLB, Branches(((C2,), (C1,))))


def column(hop: int) -> Architecture:
    """An array of two rows that a sum crosses with ``hop`` cycles a row, and a compute beside it."""
    array = (Fanout(name="PE", axes={"Y": 2}, hop_cycles=hop), C2)
    return machine(DRAM, GLB, Branches((array, (C1,))))


def tree(*data: Any) -> Nodes:
    """A tree written as in a mapping file."""
    problems: list[Any] = []
    nodes = parse_nodes(list(data), problems)
    assert not problems, problems
    return nodes


def fused(cascade: Cascade, architecture: Architecture, *data: Any, ramp: bool = True) -> Fused:
    return evaluate_tree(cascade, architecture, tree(*data), ramp=ramp)


def words(result: Fused, memory: str, tensor: str) -> tuple[float, ...]:
    """(fills, updates, drains, reads, writes) of all Einsums."""
    found = [
        einsum.memories[memory].tensors[tensor]
        for einsum in result.einsums.values()
        if memory in einsum.memories and tensor in einsum.memories[memory].tensors
    ]
    return tuple(sum(getattr(c, n) for c in found) for n in ("fills", "updates", "drains", "reads", "writes"))


def used(result: Fused, memory: str = "GLB") -> float:
    return result.streamed.occupancy[memory].used


def chained(*shared: Any, schedule: str = "sequential", rows: int = 2, on: tuple[str, str] = ("MAC", "MAC")) -> list:
    """`CHAIN` below shared nodes."""
    nests = [
        {"T": [f"for m in {rows}", "for n in 3", "for k in 2", on[0]]},
        {"Z": [f"for m in {rows}", "for p in 2", "for n in 3", on[1]]},
    ]
    return [*shared, {schedule: nests}]
