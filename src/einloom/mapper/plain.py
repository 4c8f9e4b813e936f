"""The nest that is legal wherever any is: every tile one element, all loops outside all inner memories."""

from __future__ import annotations

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Level, Memory
from einloom.errors import MappingError
from einloom.mapper.found import Candidate, Found, Objective, key_of
from einloom.mappings import Bind, Hold, Loop, Nest, Nodes
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.sized import SizedEinsum


def at_least_one(
    found: Found, architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules,
    objective: Objective,
) -> Found:  # fmt: skip
    """``found``, with the plain nest where a search was broken off before it had any mapping."""
    if found.front or found.complete:
        return found
    nodes = _nodes(path, einsum, rules)
    try:
        result = evaluate_nest(einsum, architecture, Nest(nodes))
    except MappingError:  # single elements do not fit: nothing does
        return found
    energy, cycles = result.energy_pj, float(result.cycles)
    found.front = (Candidate(key_of(objective, energy, cycles), cycles, energy, nodes),)
    return found


def _nodes(path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules) -> Nodes:
    tensors = tuple(dict.fromkeys(access.tensor for access in einsum.accesses))
    loops = [Loop(variable, size) for variable, size in einsum.extents.items() if size > 1]
    memories = [level for level in path[1:] if isinstance(level, Memory)]
    must = [(memory.name, tuple(t for t in tensors if t in rules.holding(memory.name).must)) for memory in memories]
    holds = [Hold(name, held) for name, held in must if held]
    return (Hold(path[0].name, tensors), *loops, *holds, Bind(path[-1].name))
