"""What no mapping can avoid: every operand read once and every result written once at the outermost memory.

A bound over all mappings, whatever the inner memories hold; with it a search that ran out of time states a gap that
is proven.
"""

from __future__ import annotations

import math

from einloom.arch.tree import UNLIMITED, Architecture, Compute, Fanout, Level, Memory
from einloom.mapper.found import Objective
from einloom.model.result import EinsumResult
from einloom.workloads.sized import Access, SizedEinsum


def touched(einsum: SizedEinsum, access: Access) -> int:
    """Elements that an access touches at least: in each dimension, a sumset of its ranks' values."""
    return math.prod(1 + sum(einsum.extents[var] - 1 for var, c in dim if c) for dim in access.dims)


def energy_pj(architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum) -> float:
    """Least energy: operations, and compulsory words at the outermost memory."""
    outermost, compute = path[0], path[-1]
    assert isinstance(outermost, Memory)
    assert isinstance(compute, Compute)
    total = sum(n * (compute.operator_energy_pj(op) or 0.0) for op, n in einsum.operations().items())
    for access in einsum.accesses:
        words = touched(einsum, access) * (
            1.0 if outermost.word_bits is None else float(access.bits / outermost.word_bits)
        )
        total += words * (outermost.write_energy_pj if access.role == "output" else outermost.read_energy_pj)
    return total + architecture.leakage_w() / architecture.clock_hz * 1e12 * cycles(path, einsum)


def cycles(path: tuple[Level, ...], einsum: SizedEinsum) -> float:
    """Least cycles: all instances busy all the time, or compulsory bits through the outermost memory's port."""
    outermost, compute = path[0], path[-1]
    assert isinstance(outermost, Memory)
    assert isinstance(compute, Compute)
    instances = math.prod(level.instances for level in path if isinstance(level, Fanout))
    busy = sum(n * compute.operator_cycles(op) for op, n in einsum.operations().items()) / instances
    if outermost.bandwidth != UNLIMITED and not outermost.bandwidth.in_words:
        bits = sum(touched(einsum, access) * float(access.bits) for access in einsum.accesses)
        busy = max(busy, bits / float(outermost.bandwidth.value))
    return busy


def gap_to_compulsory(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, result: EinsumResult, objective: Objective
) -> float:
    """How far, at most, ``result`` is above the best mapping of its path: 1 - bound / value."""
    energy, least = energy_pj(architecture, path, einsum), cycles(path, einsum)
    gaps = {
        "energy": 1 - energy / result.energy_pj if result.energy_pj else 0.0,
        "latency": 1 - least / result.cycles if result.cycles else 0.0,
    }
    gaps["edp"] = 1 - (1 - gaps["energy"]) * (1 - gaps["latency"])
    gaps["pareto"] = max(gaps["energy"], gaps["latency"])
    return max(0.0, gaps[objective])
