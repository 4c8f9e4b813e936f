"""One nest priced and explained: legality, counts, occupancy, cycles, energy as an `EinsumResult`."""

from __future__ import annotations

from collections.abc import Mapping

from einloom.arch.tree import Architecture
from einloom.errors import MappingError, Problem
from einloom.mappings import Hold, Nest, Nodes
from einloom.mappings.legality import capacity_problem, check
from einloom.model import counts
from einloom.model.arrays import Array
from einloom.model.cost import Priced
from einloom.model.result import ComputeResult, EinsumResult, MemoryResult, Number, TensorCounts
from einloom.model.structure import bounds_of, structure_of
from einloom.workloads.sized import SizedEinsum


def evaluate_nest(einsum: SizedEinsum, architecture: Architecture, nest: Nest, *, repeat: int = 1) -> EinsumResult:
    """What one Einsum costs on one mapping.

    Args:
        einsum: As the cascade gives it; flattened here if the nest flattens.
        nest: Integer bounds (`mappings.resolved`).
        repeat: Equal copies of it in the design; carried along, not multiplied in.

    Raises:
        MappingError: The nest is not legal, with every reason; or it overflows a memory.
    """
    flat = einsum.flattened(nest.flatten) if nest.flatten else einsum
    path = check(flat, architecture, nest.nodes)
    structure = structure_of(flat, path, nest.nodes)
    priced = Priced(architecture, counts.batch_of(structure, bounds_of(nest.nodes)))
    _check_capacity(priced, nest.nodes)
    return _explained(priced, nest, repeat)


def _check_capacity(priced: Priced, nodes: Nodes) -> None:
    problems: list[Problem] = []
    for level in priced.memories:
        memory = priced.memory(level)
        needed, capacity = float(priced.occupancy(level)[0]), float(memory.capacity.value)
        if needed > capacity:
            tiles = {tensor: counted.occupancy_words for tensor, counted in _tensors(priced, level).items()}
            at = next(i for i, node in enumerate(nodes) if isinstance(node, Hold) and node.memory == memory.name)
            unit = "words" if memory.capacity.in_words else "bits"
            problems.append(capacity_problem(memory.name, tiles, needed, capacity, unit, at))
    if problems:
        raise MappingError(problems)


def _explained(priced: Priced, nest: Nest, repeat: int) -> EinsumResult:
    einsum, compute = priced.batch.structure.einsum, priced.batch.structure.compute
    busy = {priced.memory(level).name: float(cycles[0]) for level, cycles in priced.port_cycles.items()}
    compute_cycles = int(priced.compute_cycles[0])
    return EinsumResult(
        name=einsum.name,
        cycles=_cycles(priced, compute_cycles),
        energy_pj=float(priced.energy_pj[0]),
        binding=compute.name,
        mapping=tuple(nest.lines()),
        flatten=dict(nest.flatten),
        memories={
            priced.memory(level).name: MemoryResult(
                _number(priced.port_cycles[level]),
                float(priced.memory_energy_pj[level][0]),
                _tensors(priced, level),
                _number(priced.occupancy(level)),
                "words" if priced.memory(level).capacity.in_words else "bits",
            )
            for level in priced.memories
        },
        computes={
            compute.name: ComputeResult(
                sum(einsum.operations().values()),
                compute_cycles,
                priced.compute_energy_pj,
                priced.architecture.instances(compute.name),
                int(counts.used(priced.batch, len(priced.batch.structure.path) - 1)[0]),
            )
        },
        links_energy_pj=float(priced.link_energy_pj[0]),
        leakage_pj=float(priced.leakage_pj[0]),
        terms_cycles={**{name: _number(term) for name, term in priced.terms.items()}, "compute": compute_cycles},
        bound_by=_busiest({compute.name: float(compute_cycles), **busy}),
        useful_cycles=_useful_cycles(priced),
        repeat=repeat,
        notes=einsum.notes,
    )


def _tensors(priced: Priced, level: int) -> dict[str, TensorCounts]:
    """Counts by tensor; references to the same tensor add up."""
    found: dict[str, counts.Counts] = {}
    for (place, index), counted in priced.usage.items():
        if place == level:
            name = priced.access(index).tensor
            found[name] = found[name] + counted if name in found else counted
    return {
        name: TensorCounts(int(c.reads[0]), int(c.writes[0]), int(c.fills[0]), int(c.updates[0]), int(c.drains[0]),
                           int(c.occupancy[0]))
        for name, c in found.items()
    }  # fmt: skip


def _useful_cycles(priced: Priced) -> int:
    """Operations x cycles of each: instance-cycles that did work."""
    compute = priced.batch.structure.compute
    operations = priced.batch.structure.einsum.operations()
    return sum(count * compute.operator_cycles(operator) for operator, count in operations.items())


def _busiest(busy: Mapping[str, float]) -> str:
    """The resource with most busy cycles; the compute, then the outermost memory, wins a tie."""
    return max(busy, key=lambda name: busy[name])


def _cycles(priced: Priced, compute_cycles: int) -> Number:
    """Those of the compute, an exact integer however large, where nothing is added to them."""
    added = any(term[0] for name, term in priced.terms.items() if name != "compute")
    return _number(priced.cycles) if added else compute_cycles


def _number(values: Array) -> Number:
    """The first entry, as an integer where it is one."""
    value = float(values[0])
    return int(value) if value.is_integer() else value
