"""Cuts a cascade into groups: the best sum of consecutive groups, each solved once.

Groups run one after the other and meet in the outermost memory, so energy and cycles add up; what is best of the whole
is found from the left, group by group (a front of sums, where a product or a front is asked for).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from einloom.arch.tree import Architecture
from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.fusion.costs import Costs
from einloom.mapper.fusion.group import Group, part_of
from einloom.mapper.fusion.machine import Machine, machine_of
from einloom.mapper.fusion.solve import solve
from einloom.mapper.fusion.trees import tree_of
from einloom.mapper.tree_result import TreeResult
from einloom.mappings.nodes import Bind, Child, Hold, Nodes, walk
from einloom.mappings.nodes import Group as ScheduleNode
from einloom.mappings.text import parse_node
from einloom.model.fused import evaluate_tree
from einloom.model.result import EinsumResult
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import Dataflow, dataflow
from einloom.workloads.sized import SizedEinsum

SPACE = "groups of consecutive Einsums, shared loops that divide their ranks (see docs: the mapper of cascades)"
Alone = Callable[[SizedEinsum], Sequence[EinsumResult]]
"""The best mapping of one Einsum, or its front."""


@dataclass(frozen=True)
class Piece:
    """One way to run consecutive Einsums.

    Attributes:
        energy_pj, cycles: What it costs.
        nodes: Its list in the tree.
        label: The Einsum, or a name for the group.
        fused: Whether it is a group.
        gap: Of the mapping of a single Einsum.
    """

    energy_pj: float
    cycles: float
    nodes: Nodes
    label: str
    fused: bool
    gap: float = 0.0


@dataclass(frozen=True)
class _Floor:
    """What the first Einsums cannot go below, however they are cut: the objective where it adds up, energy, cycles."""

    value: float
    energy_pj: float
    cycles: float

    def plus(self, other: _Floor) -> _Floor:
        return _Floor(self.value + other.value, self.energy_pj + other.energy_pj, self.cycles + other.cycles)

    @classmethod
    def least(cls, floors: Sequence[_Floor]) -> _Floor:
        """Of several ways to cut."""
        inf = float("inf")
        return cls(
            min((floor.value for floor in floors), default=inf),
            min((floor.energy_pj for floor in floors), default=inf),
            min((floor.cycles for floor in floors), default=inf),
        )


@dataclass(frozen=True)
class _Sum:
    """Pieces that cover the first Einsums."""

    energy_pj: float
    cycles: float
    pieces: tuple[Piece, ...]

    def plus(self, piece: Piece) -> _Sum:
        return _Sum(self.energy_pj + piece.energy_pj, self.cycles + piece.cycles, (*self.pieces, piece))


@dataclass(eq=False)
class _Partition:
    cascade: Cascade
    flow: Dataflow
    machine: Machine
    objective: Objective
    deadline: float | None
    complete: bool = True
    candidates: int = 0
    solved: int = 0
    floors: list[_Floor] = field(default_factory=list)

    def sums(self, alone: Alone) -> list[_Sum]:
        """The best ways to run the whole cascade with at least one group."""
        einsums = list(self.flow.einsums.values())
        parts = [part_of(self.flow, einsum) for einsum in einsums]
        recurrent = self._recurrent()
        single = [[] if e.name in recurrent else self._alone(alone(e)) for e in einsums]
        best: list[list[_Sum]] = [[_Sum(0.0, 0.0, ())]]
        self.floors = [_Floor(0.0, 0.0, 0.0)]
        for end in range(1, len(einsums) + 1):
            found = [total.plus(piece) for total in best[end - 1] for piece in single[end - 1]]
            floors = [self.floors[end - 1].plus(self._floor(found)) for found in (single[end - 1],) if found]
            for start in range(end - 2, -1, -1):
                chosen = parts[start:end]
                if not best[start] or any(part is None for part in chosen):
                    continue
                group = Group(self.flow, tuple(part for part in chosen if part is not None))
                if group.refusal:
                    continue
                pieces, floor = self._group(group, self._limit(best[start], found))
                floors.append(self.floors[start].plus(floor))
                found += [total.plus(piece) for total in best[start] for piece in pieces]
            best.append(self._best(found))
            self.floors.append(_Floor.least(floors))
        return best[-1]

    def _floor(self, pieces: Sequence[Piece]) -> _Floor:
        """What an Einsum by itself cannot go below."""
        values = [key_of(self.objective, piece.energy_pj, piece.cycles)[0] * (1 - piece.gap) for piece in pieces]
        known = [(1 - piece.gap, piece) for piece in pieces]
        return _Floor(
            min(values), min(part * p.energy_pj for part, p in known), min(part * p.cycles for part, p in known)
        )

    def _limit(self, before: list[_Sum], found: list[_Sum]) -> float:
        """What a group must beat to be of use, in a quantity that adds up; infinite for the others."""
        if self.objective not in ("energy", "latency") or not found:
            return float("inf")
        values = [s.energy_pj if self.objective == "energy" else s.cycles for s in found]
        base = min(s.energy_pj if self.objective == "energy" else s.cycles for s in before)
        return (min(values) - base) * (1 + 1e-12)

    def _best(self, sums: list[_Sum]) -> list[_Sum]:
        if not sums:
            return []
        if self.objective in ("edp", "pareto"):
            return nondominated(sums, lambda s: (s.cycles, s.energy_pj, 0.0))
        return [min(sums, key=lambda s: key_of(self.objective, s.energy_pj, s.cycles))]

    def _alone(self, results: Sequence[EinsumResult]) -> list[Piece]:
        pieces = []
        for result in results:
            nodes = tuple(parse_node(line) for line in result.mapping)
            outer = self.machine.outer.name
            kept = tuple(node for node in nodes if not (isinstance(node, Hold) and node.memory == outer))
            pieces.append(Piece(result.energy_pj, float(result.cycles), kept, result.name, False, result.gap))
        return pieces

    def _group(self, group: Group, limit: float) -> tuple[list[Piece], _Floor]:
        rules = {part.name: self.machine.architecture.rules_for(part.einsum) for part in group.parts}
        costs = Costs(group, self.machine, rules)
        objective: Objective = "pareto" if self.objective == "edp" else self.objective
        solved = solve(costs, objective, limit, self.deadline)
        self.candidates += solved.candidates
        self.solved += solved.solved
        self.complete &= solved.complete
        value = min((s.key(objective)[0] for s in solved.front), default=limit)
        floor = _Floor(min(value, solved.bound), solved.least_energy_pj, solved.least_cycles)
        label = "_".join(part.name for part in group.parts)
        return [Piece(s.energy_pj, s.cycles, tree_of(costs, s), label, True) for s in solved.front], floor

    def _recurrent(self) -> frozenset[str]:
        """Einsums between which a state is carried: cut apart, its generations would all have to be kept."""
        names: set[str] = set()
        for tensor in self.flow.states:
            users = {*self.flow.producers(tensor), *self.flow.consumers(tensor)}
            names |= users if len(users) > 1 else set()
        return frozenset(names)


def map_cascade(
    cascade: Cascade, architecture: Architecture, objective: Objective, alone: Alone, deadline_s: float | None = None,
    memory: str | None = None,
) -> tuple[TreeResult, ...]:  # fmt: skip
    """The best fused trees of a cascade; empty where the machine or the cascade allows no fusion.

    Args:
        alone: What the Einsums cost one by one.
        deadline_s: Past it groups are left with the best found so far, and the result with its gap.
        memory: Whose occupancy is the third objective of a front.

    Raises:
        MappingError: A single Einsum has no mapping.
    """
    machine = machine_of(architecture)
    if isinstance(machine, str):
        return ()
    flow = dataflow(cascade)
    deadline = None if deadline_s is None else time.monotonic() + deadline_s
    partition = _Partition(cascade, flow, machine, objective, deadline)
    every = partition.sums(alone)
    sums = [s for s in every if any(piece.fused for piece in s.pieces)]
    results = [replace(_result(cascade, flow, machine, s), space=SPACE) for s in sums]
    if not results:
        return ()
    if objective != "pareto":
        best = min(results, key=lambda r: key_of(objective, r.energy_pj, float(r.cycles)))
        value = key_of(objective, best.energy_pj, float(best.cycles))[0]
        return (_proven(best, 1 - _bound(partition, objective, every) / value if value else 0.0),)
    gap = _front_gap(partition, sums, results)
    results = [_proven(result, gap) for result in results]
    held = (lambda r: r.occupancy(memory)) if memory is not None else (lambda _: 0.0)
    return tuple(nondominated(results, lambda r: (float(r.cycles), r.energy_pj, held(r))))


def _bound(partition: _Partition, objective: Objective, sums: Sequence[_Sum]) -> float:
    """What nothing goes below in the objective: energies and cycles of sums leave out ramps and drains."""
    floor = partition.floors[-1]
    if objective != "edp":
        return floor.value
    exact = partition.complete and not any(piece.gap for s in sums for piece in s.pieces)
    return min(s.energy_pj * s.cycles for s in sums) if exact else floor.energy_pj * floor.cycles


def _front_gap(partition: _Partition, sums: Sequence[_Sum], results: Sequence[TreeResult]) -> float:
    """By how much, of its cycles, a point of the front may be off: of the point of which least is known."""
    if not partition.complete or any(piece.gap for s in sums for piece in s.pieces):
        return max(1 - partition.floors[-1].cycles / float(result.cycles) for result in results)
    return max(1 - s.cycles / float(result.cycles) for s, result in zip(sums, results, strict=True))


def _proven(result: TreeResult, gap: float) -> TreeResult:
    exact = gap < 1e-9
    return replace(result, proof="optimal" if exact else "gap", gap=0.0 if exact else gap)


def _result(cascade: Cascade, flow: Dataflow, machine: Machine, found: _Sum) -> TreeResult:
    tensors = _outermost(flow, found, machine)
    head = Hold(machine.outer.name, tensors)
    if len(found.pieces) == 1:
        nodes: Nodes = (head, *found.pieces[0].nodes)
    else:
        children = tuple(Child(piece.label, piece.nodes) for piece in found.pieces)
        nodes = (head, ScheduleNode("sequential", children))
    return TreeResult(nodes, evaluate_tree(cascade, machine.architecture, nodes))


def _outermost(flow: Dataflow, found: _Sum, machine: Machine) -> tuple[str, ...]:
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
