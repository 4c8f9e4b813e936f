"""Why no mapping is legal: which constraint excludes what, by how much, and the smallest change that helps.

With all bounds at one every tile is one element, and nothing can be smaller: a mapping exists exactly where one element
of every tensor that a memory must hold fits in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Level, Memory
from einloom.errors import Problem
from einloom.model.structure import applies
from einloom.workloads.sized import SizedEinsum


def nothing_fits(einsum: SizedEinsum, paths: Sequence[tuple[Level, ...]], rules: EinsumRules) -> list[Problem]:
    """One problem for each memory that cannot hold one element of each tensor that it must hold."""
    problems = {}
    for path in paths:
        for level in path:
            if isinstance(level, Memory) and level.name not in problems:
                needs = _needs(einsum, level, path, rules)
                if sum(needs.values()) > level.capacity.value:
                    problems[level.name] = _problem(einsum, level, needs)
    return list(problems.values()) or [
        Problem(f"no mapping of {einsum.name} was found here", "raise the deadline, or check `only` and the capacities")
    ]


def too_small(einsum: SizedEinsum, smallest: Mapping[str, tuple[float, float]]) -> list[Problem]:
    """One problem for each memory that the tiles of a given nest overflow whatever its open bounds."""
    return [
        Problem(
            f"no mapping of {einsum.name} fits: {name} holds {capacity:.0f} and the smallest tiles need {needed:.0f}",
            "lower the given bounds inside its hold, raise the capacity, or hold fewer tensors",
        )
        for name, (needed, capacity) in smallest.items()
    ] or [Problem(f"no mapping of {einsum.name} is legal here", "check `only`, `holds` and the capacities")]


def _needs(
    einsum: SizedEinsum, memory: Memory, path: tuple[Level, ...], rules: EinsumRules
) -> dict[str, Fraction]:
    """What one element of each tensor takes that the memory must hold (the outermost holds all, whole)."""
    outermost = memory == path[0]
    needs: dict[str, Fraction] = {}
    for access in einsum.accesses:
        if outermost or access.tensor in rules.holding(memory.name).must:
            width = Fraction(1) if memory.capacity.in_words else access.bits
            copies = 2 if applies(memory.double_buffered, einsum, access.tensor) else 1
            elements = einsum.size(access) if outermost else 1
            needs[access.tensor] = needs.get(access.tensor, Fraction(0)) + width * copies * elements
    return needs


def _problem(einsum: SizedEinsum, memory: Memory, needs: Mapping[str, Fraction]) -> Problem:
    unit = "words" if memory.capacity.in_words else "bits"
    least = float(sum(needs.values()))
    listed = ", ".join(f"{tensor} {float(need):g}" for tensor, need in needs.items())
    largest = max(needs, key=lambda tensor: needs[tensor])
    return Problem(
        f"no mapping of {einsum.name} fits: {memory.name} must hold {', '.join(needs)}, which takes {least:g} {unit} "
        f"at least ({listed}); it holds {float(memory.capacity.value):g}",
        f"raise its capacity to {least:g} {unit}, or do not make it hold {largest}",
    )
