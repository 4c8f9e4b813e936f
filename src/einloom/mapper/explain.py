"""What the mapper says of an answer beside its mapping: what it uses up, and how far it is from what nothing avoids."""

from __future__ import annotations

import math
from collections.abc import Iterator

from einloom.arch.rules import EinsumRules, Holding
from einloom.arch.tree import Architecture, Fanout, Level, Memory
from einloom.mapper import compulsory
from einloom.mapper.found import Objective
from einloom.mappings import Nodes, Spatial
from einloom.model.result import EinsumResult, Limit, MemoryResult, Number, Searched
from einloom.model.structure import applies
from einloom.workloads.sized import SizedEinsum


def explain(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, nodes: Nodes,
    result: EinsumResult, objective: Objective, candidates: int, costed: int,
) -> Searched:  # fmt: skip
    """What is known of ``result``, the mapping ``nodes`` of ``einsum`` (flattened where the nest flattens)."""
    energy, cycles = compulsory.energy_pj(architecture, path, einsum), compulsory.cycles(path, einsum)
    return Searched(
        candidates=candidates,
        costed=costed,
        least_energy_pj=energy,
        least_cycles=_number(cycles),
        distance=_distance(result, energy, cycles, objective),
        binds=tuple(_binds(path, einsum, rules, nodes, result)),
    )


def _distance(result: EinsumResult, energy: float, cycles: float, objective: Objective) -> float | None:
    """How far the objective is above the compulsory bound; of a point of a front, the product of both."""
    value, least = {
        "energy": (result.energy_pj, energy),
        "latency": (float(result.cycles), cycles),
    }.get(objective, (result.energy_pj * result.cycles, energy * cycles))
    return value / least - 1 if least else None


def _binds(
    path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, nodes: Nodes, result: EinsumResult
) -> Iterator[Limit]:
    """The busiest resource, then the memories without room and the fanouts without idle instances, outermost first."""
    busiest = result.memories.get(result.bound_by) or result.computes[result.bound_by]
    kind = "bandwidth" if isinstance(busiest, MemoryResult) else "compute"
    yield Limit(kind, result.bound_by, busiest.busy_cycles, result.cycles, "cycles")
    for level in path:
        if isinstance(level, Memory) and level.name in result.memories:
            held = result.memories[level.name]
            if _is_full(einsum, level, rules.holding(level.name), held):
                capacity = level.capacity.value
                yield Limit("capacity", level.name, held.occupancy, _number(float(capacity)), held.occupancy_unit)
        elif isinstance(level, Fanout) and level.instances > 1:
            bounds = [n.bound for n in nodes if isinstance(n, Spatial) and n.fanout == level.name]
            used = math.prod(bound for bound in bounds if isinstance(bound, int))
            if used == level.instances:
                yield Limit("fanout", level.name, used, level.instances, "instances")


def _is_full(einsum: SizedEinsum, memory: Memory, holding: Holding, held: MemoryResult) -> bool:
    """Whether some tile that is not its whole tensor cannot be doubled, or no element of one that is not held fits."""
    room = float(memory.capacity.value) - float(held.occupancy)
    for access in einsum.accesses:
        tile = held.tensors.get(access.tensor)
        elements = tile.occupancy_words if tile is not None else 1 if holding.allows(access.tensor) else 0
        if tile is None or elements < einsum.size(access):
            width = 1.0 if memory.capacity.in_words else float(access.bits)
            copies = 2 if applies(memory.double_buffered, einsum, access.tensor) else 1
            if elements * width * copies > room:
                return True
    return False


def _number(value: float) -> Number:
    return int(value) if value.is_integer() else value
