"""The best fused trees of a cascade, and what is proven of them and of the Einsums one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from einloom.arch.tree import Architecture
from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.fusion.machine import Machine, machine_of
from einloom.mapper.fusion.partition import ADDITIVE, Partition, Piece, Sum
from einloom.mapper.tree_result import TreeResult
from einloom.mappings.nodes import Bind, Child, Hold, Nodes, walk
from einloom.mappings.nodes import Group as ScheduleNode
from einloom.model.fused import evaluate_tree
from einloom.model.result import EinsumResult
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import Dataflow, dataflow

SPACE = "groups of consecutive Einsums, shared loops that divide their ranks (see docs: the mapper of cascades)"


@dataclass(frozen=True)
class Fusion:
    """What the search for fused trees found.

    Attributes:
        trees: The best, or those of the front; none where nothing is fused.
        alone: The mappings of the Einsums one by one, with what is proven of them beside all trees.
    """

    trees: tuple[TreeResult, ...]
    alone: Mapping[str, tuple[EinsumResult, ...]]


def map_cascade(
    cascade: Cascade, architecture: Architecture, objective: Objective, alone: Mapping[str, Sequence[EinsumResult]],
    deadline_s: float | None = None, memory: str | None = None,
) -> Fusion:  # fmt: skip
    """The best fused trees of a cascade; none where the machine or the cascade allows no fusion.

    Args:
        alone: The best mapping of each Einsum by itself, or its front.
        deadline_s: Past it groups are left with the best found so far, and the result with its gap.
        memory: Whose occupancy is the third objective of a front: of the buffer the front is searched for; of another
            memory the fused points are those of the front over latency and energy.
    """
    single: Mapping[str, tuple[EinsumResult, ...]] = {name: tuple(results) for name, results in alone.items()}
    machine = machine_of(architecture)
    if isinstance(machine, str):
        return Fusion((), single)
    flow = dataflow(cascade)
    deadline = None if deadline_s is None else time.monotonic() + deadline_s
    partition = Partition(cascade, flow, machine, objective, single, deadline, memory)
    partition.search()
    every = partition.sums()
    sums = [s for s in every if any(piece.fused for piece in s.pieces)]
    results = [replace(_result(cascade, flow, machine, s), space=SPACE) for s in sums]
    single = _beside_trees(partition, objective, every, _front_gap(partition, sums, results, _slowest(single)))
    if not results:
        return Fusion((), single)
    if objective != "pareto":
        best = min(results, key=lambda r: key_of(objective, r.energy_pj, float(r.cycles)))
        value = key_of(objective, best.energy_pj, float(best.cycles))[0]
        return Fusion((_proven(best, _gap(_bound(partition, objective, every), value)),), single)
    gap = _front_gap(partition, sums, results, max(float(result.cycles) for result in results))
    results = [_proven(result, gap) for result in results]
    held = (lambda r: r.occupancy(memory)) if memory is not None else (lambda _: 0.0)
    return Fusion(tuple(nondominated(results, lambda r: (float(r.cycles), r.energy_pj, held(r)))), single)


def _beside_trees(
    partition: Partition, objective: Objective, sums: Sequence[Sum], front_gap: float
) -> Mapping[str, tuple[EinsumResult, ...]]:
    """The Einsums one by one with the gap to the trees that were not looked at, or looked at without their ramps."""
    alone = partition.alone
    if not any(run.costs for run in partition.runs):
        return alone
    energy = sum(min(r.energy_pj for r in results) for results in alone.values())
    cycles = sum(min(float(r.cycles) for r in results) for results in alone.values())
    gap = front_gap
    if objective in ADDITIVE:
        gap = _gap(_bound(partition, objective, sums), key_of(objective, energy, cycles)[0])
    elif objective == "edp":
        most = sum(max(r.energy_pj for r in results) for results in alone.values()) * _slowest(alone)
        apart = (s.energy_pj * s.cycles for s in sums if not any(piece.fused for piece in s.pieces))
        gap = _gap(_bound(partition, objective, sums), min(apart, default=most))
    if gap < 1e-9:
        return {name: tuple(replace(r, space=_and(r.space)) for r in results) for name, results in alone.items()}
    floor = partition.floor

    def held(result: EinsumResult) -> EinsumResult:
        known = result.search
        if known is not None and objective not in ADDITIVE:  # what all cannot go below, shared out
            known = replace(
                known, least_energy_pj=result.energy_pj * floor.energy_pj / energy if energy else 0.0,
                least_cycles=float(result.cycles) * floor.cycles / cycles if cycles else 0.0,
            )  # fmt: skip
        return replace(result, proof="gap", gap=gap, space=_and(result.space), search=known)

    return {name: tuple(map(held, results)) for name, results in alone.items()}


def _and(space: str | None) -> str:
    return SPACE if space is None else f"{space}; {SPACE}"


def _bound(partition: Partition, objective: Objective, sums: Sequence[Sum]) -> float:
    """What nothing goes below in the objective: energies and cycles of sums leave out ramps and drains."""
    floor = partition.floor
    if objective != "edp":
        return floor.value
    exact = partition.complete and not any(piece.gap for s in sums for piece in s.pieces)
    return min(s.energy_pj * s.cycles for s in sums) if exact else floor.energy_pj * floor.cycles


def _front_gap(partition: Partition, sums: Sequence[Sum], results: Sequence[TreeResult], slowest: float) -> float:
    """By how much, of its cycles, a point of the front may be off: of the point of which least is known.

    Args:
        sums, results: What is fused.
        slowest: Cycles of the slowest point that is asked about.
    """
    if not partition.complete or any(piece.gap for s in sums for piece in s.pieces):
        return _gap(partition.floor.cycles, slowest)
    return max((_gap(s.cycles, float(r.cycles)) for s, r in zip(sums, results, strict=True)), default=0.0)


def _gap(bound: float, value: float) -> float:
    """How far a value may be above the best, as a part of it; nothing goes below 0."""
    return 1 - bound / value if value else 0.0


def _slowest(alone: Mapping[str, Sequence[EinsumResult]]) -> float:
    """Cycles of the Einsums one by one, each at the slow end of its front."""
    return sum(max(float(result.cycles) for result in results) for results in alone.values())


def _proven(result: TreeResult, gap: float) -> TreeResult:
    exact = gap < 1e-9
    return replace(result, proof="optimal" if exact else "gap", gap=0.0 if exact else gap)


def _result(cascade: Cascade, flow: Dataflow, machine: Machine, found: Sum) -> TreeResult:
    tensors = _outermost(flow, found, machine)
    head = Hold(machine.outer.name, tensors)
    if len(found.pieces) == 1:
        nodes: Nodes = (head, *found.pieces[0].nodes)
    else:
        children = tuple(Child(piece.label, piece.nodes) for piece in found.pieces)
        nodes = (head, ScheduleNode("sequential", children))
    return TreeResult(nodes, evaluate_tree(cascade, machine.architecture, nodes))


def _outermost(flow: Dataflow, found: Sum, machine: Machine) -> tuple[str, ...]:
    """Tensors that pass through the outermost memory: all that no group keeps to itself."""
    inside: set[str] = set()
    for piece in found.pieces:
        names = {node.label for node in _leaves(piece)}
        if piece.fused:
            for tensor in {einsum.output.tensor for name, einsum in flow.einsums.items() if name in names}:
                output = any(flow.einsums[name].output.workload_output for name in flow.producers(tensor))
                if not output and set(flow.consumers(tensor)) <= names:
                    inside.add(tensor)
    every = dict.fromkeys(access.tensor for einsum in flow.einsums.values() for access in einsum.accesses)
    return tuple(tensor for tensor in every if tensor not in inside)


def _leaves(piece: Piece) -> list[Child]:
    if not piece.fused:
        return [Child(piece.label, piece.nodes)]
    groups = [node for node in walk(piece.nodes) if isinstance(node, ScheduleNode)]
    return [child for group in groups for child in group.children if isinstance(child.nodes[-1], Bind)]
