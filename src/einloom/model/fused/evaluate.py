"""A cascade on a fused tree, priced and explained: legality, words, occupancy, cycles, energy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from einloom.arch.tree import Architecture, Memory
from einloom.errors import MappingError, Problem
from einloom.mappings.legality import capacity_problem
from einloom.mappings.nodes import Hold, Loop, MappingPlan, Nodes, Spatial
from einloom.mappings.text import plan_data
from einloom.mappings.tree import grow, placed_on
from einloom.model import counts
from einloom.model.fused.legality import program_of
from einloom.model.fused.occupancy import Occupancy, occupancy_of
from einloom.model.fused.program import Leaf, Program
from einloom.model.fused.residence import all_residences
from einloom.model.fused.schedule import Schedule, schedule_of
from einloom.model.fused.words import Moved, Traffic, hops_pj, traffic_of
from einloom.model.result import ComputeResult, EinsumResult, Held, MemoryResult, Number, Streamed, TensorCounts
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import dataflow


@dataclass(frozen=True)
class Fused:
    """What a tree costs.

    Attributes:
        einsums: By name. Words of a shared hold are put down to one Einsum below it; energies are without leakage.
        streamed: Cycles and occupancy of the whole, and how they came about.
    """

    einsums: Mapping[str, EinsumResult]
    streamed: Streamed


def evaluate_tree(cascade: Cascade, architecture: Architecture, tree: Nodes, *, ramp: bool = True) -> Fused:
    """What a cascade costs on a fused tree.

    Args:
        tree: With integer bounds and numeric shares (`mappings.resolved`).
        ramp: Count the filling and emptying of overlapped schedules.

    Raises:
        MappingError: The tree is not legal, a recurrence cannot stream, or a memory overflows: every reason.
    """
    program = program_of(dataflow(cascade), architecture, grow(tree))
    residences = all_residences(program)
    traffic = traffic_of(program, residences)
    schedule = schedule_of(program, traffic)
    occupancy = occupancy_of(program, residences, schedule.lags)
    _check_capacity(program, occupancy)
    cycles = schedule.cycles + (schedule.ramp if ramp else 0)
    pricing = _Pricing(program, traffic, schedule, occupancy, cascade.repeat)
    streamed = Streamed(
        mapping=_as_file(tree, ramp),
        cycles=_number(cycles),
        repeat=cascade.repeat,
        leakage_pj=architecture.leakage_w() * float(cycles) / architecture.clock_hz * 1e12,
        bound_by=pricing.bound_by(),
        terms_cycles={
            "compute": _number(schedule.compute),
            "drain": _number(schedule.drain),
            "stall": _number(schedule.cycles - schedule.compute - schedule.drain),
            "ramp": _number(schedule.ramp if ramp else 0),
        },
        depth=schedule.depth,
        lags={name: lag for lags in schedule.lags.values() for name, lag in lags.items()},
        copies={tile.tensor: tile.copies for tile in occupancy.tiles if tile.copies > 1},
        in_place=dict(occupancy.in_place),
        occupancy={name: _held(program, occupancy, name) for name in occupancy.used},
    )
    return Fused({name: pricing.result(leaf) for name, leaf in program.leaves.items()}, streamed)


def _as_file(tree: Nodes, ramp: bool) -> dict[str, Any]:
    """What stands under ``mapping:`` in a file."""
    data = plan_data(MappingPlan(tree=tree, ramp=ramp))
    return data if isinstance(data, dict) else {"nodes": data}


def _check_capacity(program: Program, occupancy: Occupancy) -> None:
    problems: list[Problem] = []
    for name, used in occupancy.used.items():
        capacity = float(program.memories[name].capacity.value)
        if float(used) > capacity:
            tiles = _held(program, occupancy, name)
            problem = capacity_problem(name, tiles.tensors, float(used), capacity, tiles.unit, 0)
            place = next(tile.placed.place for tile in occupancy.tiles if tile.memory == name)
            problems.append(replace(problem, path=place))
    if problems:
        raise MappingError(problems)


def _held(program: Program, occupancy: Occupancy, name: str) -> Held:
    tensors: dict[str, Fraction | int] = defaultdict(int)
    for tile in occupancy.tiles:
        if tile.memory == name:
            tensors[tile.tensor] += tile.elements
    unit = "words" if program.memories[name].capacity.in_words else "bits"
    return Held(_number(occupancy.used[name]), unit, {t: _number(n) for t, n in tensors.items()})


@dataclass(frozen=True)
class _Pricing:
    """Results of the Einsums of a tree."""

    program: Program
    traffic: Traffic
    schedule: Schedule
    occupancy: Occupancy
    repeat: int

    def result(self, leaf: Leaf) -> EinsumResult:
        """What is put down to one Einsum."""
        einsum, compute = leaf.einsum, leaf.structure.compute
        memories: dict[str, MemoryResult] = {}
        for level in leaf.path:
            found = self._memory(leaf, level) if isinstance(level, Memory) else None
            if found is not None:
                memories[level.name] = found
        operations = einsum.operations()
        energies = {operator: compute.operator_energy_pj(operator) or 0.0 for operator in operations}
        busy, alone = self.schedule.busy[leaf.name], self.schedule.alone[leaf.name]
        worked = ComputeResult(
            sum(operations.values()),
            _number(busy),
            sum(count * energies[operator] for operator, count in operations.items()),
            self.program.architecture.instances(compute.name),
            int(counts.used(leaf.batch, len(leaf.path) - 1)[0]),
        )
        links_pj = sum(hops_pj(link) for link in self.traffic.links if link.leaf is leaf)
        ports = {name: float(memory.busy_cycles) for name, memory in memories.items()}
        return EinsumResult(
            name=einsum.name,
            cycles=_number(alone),
            energy_pj=worked.energy_pj + links_pj + sum(memory.energy_pj for memory in memories.values()),
            binding=compute.name,
            mapping=_lines(leaf),
            memories=memories,
            computes={compute.name: worked},
            links_energy_pj=links_pj,
            leakage_pj=0.0,
            terms_cycles={"compute": _number(busy), "stall": _number(alone - busy)},
            bound_by=max((compute.name, *ports), key=lambda name: ports.get(name, float(busy))),
            useful_cycles=sum(count * compute.operator_cycles(operator) for operator, count in operations.items()),
            repeat=self.repeat,
            notes=einsum.notes,
        )

    def _memory(self, leaf: Leaf, memory: Memory) -> MemoryResult | None:
        """Words of one memory that are put down to an Einsum; None where there are none."""
        tensors: dict[str, TensorCounts] = {}
        energy = 0.0
        for access in leaf.einsum.accesses:
            moved = self.traffic.moved.get((leaf.name, memory.name, access.tensor))
            if moved is None or access.tensor in tensors:
                continue
            words = 1 if memory.word_bits is None else access.bits / memory.word_bits
            counted = (float(count * words) for count in (moved.reads, moved.writes, moved.drains))
            energy += memory.access_energy_pj(*counted)
            tile = self.occupancy.elements(memory.name, access.tensor)
            tensors[access.tensor] = _counts(moved, tile)
        if not tensors:
            return None
        loads = [load for (_, name, who), load in self.traffic.loads.items() if (name, who) == (memory.name, leaf.name)]
        busy = max((sum(port) for port in zip(*loads, strict=True)), default=0)
        unit = "words" if memory.capacity.in_words else "bits"
        used = self.occupancy.used.get(memory.name, 0)
        return MemoryResult(_number(busy), energy, tensors, _number(used), unit)

    def bound_by(self) -> str:
        """The resource with most busy cycles over the whole tree; a compute wins a tie."""
        work: dict[str, Fraction | int] = defaultdict(int)
        for name, leaf in self.program.leaves.items():
            work[leaf.path[-1].name] += self.schedule.busy[name]
        for memory in self.program.memories:
            loads = [load for (_, name, _), load in self.traffic.loads.items() if name == memory]
            work[memory] = max((sum(port) for port in zip(*loads, strict=True)), default=0)
        return max(work, key=lambda name: work[name])


def _counts(moved: Moved, tile: Fraction | int) -> TensorCounts:
    values = (moved.reads, moved.writes, moved.fills, moved.updates, moved.drains, tile)
    return TensorCounts(*map(_number, values))


def _lines(leaf: Leaf) -> tuple[str, ...]:
    """The nest of an Einsum: what of its way concerns it."""
    touched = {access.tensor for access in leaf.einsum.accesses}
    lines = []
    for placed in placed_on(leaf.way):
        node = placed.node
        if isinstance(node, Hold):
            kept = node.only(touched)
            lines += [str(kept)] if kept is not None else []
        elif not isinstance(node, Loop | Spatial) or placed in leaf.loops:
            lines.append(str(node))
    return (*lines, str(leaf.branch.bind))


def _number(value: Fraction | int) -> Number:
    """An integer where it is one."""
    return value.numerator if value.denominator == 1 else float(value)
