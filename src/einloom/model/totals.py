"""The whole design: Einsums in sequence, copies multiplied in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from einloom.arch.tree import Architecture
from einloom.model.result import EinsumResult, Evaluation, Number, Streamed


def total(
    design: str, architecture: Architecture, repeat: int, einsums: Mapping[str, EinsumResult],
    streamed: Mapping[str, Streamed] | None = None,
) -> Evaluation:  # fmt: skip
    """Totals over cascades and Einsums that run one after the other; what is proven of them, the mapper adds.

    Args:
        repeat: Of a workload of one cascade, for the report; copies are taken from each Einsum's own ``repeat``.
        einsums: By name, for one copy each.
        streamed: Cascades that a fused tree maps, by the name of the part (empty where the workload has one): their
            Einsums overlap, and their cycles are those of the tree.
    """
    trees = dict(streamed or {})
    alone = [e for name, e in einsums.items() if not trees.keys() & {"", name.partition(".")[0]}]
    cycles = sum(e.cycles * e.repeat for e in alone) + sum(tree.cycles * tree.repeat for tree in trees.values())
    leakage = sum(tree.leakage_pj * tree.repeat for tree in trees.values())
    by: dict[str, float] = defaultdict(float)
    bound: dict[str, float] = defaultdict(float)
    useful = {compute.name: 0 for compute in architecture.computes()}
    operations = 0
    for einsum in einsums.values():
        for name, memory in einsum.memories.items():
            by[name] += memory.energy_pj * einsum.repeat
        for name, compute in einsum.computes.items():
            by[name] += compute.energy_pj * einsum.repeat
            operations += compute.operations * einsum.repeat
            useful[name] += einsum.useful_cycles * einsum.repeat
        for name, energy in einsum.events_pj.items():
            by[name] += energy * einsum.repeat
        by["links"] += einsum.links_energy_pj * einsum.repeat
        by["leakage"] += einsum.leakage_pj * einsum.repeat
    by["leakage"] += leakage
    runs: tuple[EinsumResult | Streamed, ...] = (*alone, *trees.values())
    for run in runs:
        bound[run.bound_by] += run.cycles * run.repeat
    return Evaluation(
        design=design,
        cycles=_number(cycles),
        latency_s=cycles / architecture.clock_hz,
        energy_pj=float(sum(e.energy_pj * e.repeat for e in einsums.values()) + leakage),
        area_um2=architecture.area_um2(),
        operations=operations,
        utilization={
            name: work / (architecture.instances(name) * cycles) if cycles else 0.0 for name, work in useful.items()
        },
        bound_by=max(bound, key=lambda name: bound[name]) if bound else "",
        proof=None,
        gap=0.0,
        repeat=repeat,
        einsums=dict(einsums),
        energy_pj_by={name: float(energy) for name, energy in by.items() if energy or name in ("links", "leakage")},
        streamed=trees,
        resources=_resources(architecture, einsums.values()),
    )


def _resources(architecture: Architecture, einsums: Iterable[EinsumResult]) -> dict[str, Number]:
    """Of each resource what the machine has built in, or the most that one step takes: steps run in turn."""
    found: dict[str, Number] = dict(architecture.resources)
    for einsum in einsums:
        for name, number in einsum.resources.items():
            found[name] = max(found.get(name, 0), number)
    return found


def _number(value: Number) -> Number:
    return int(value) if float(value).is_integer() else value
