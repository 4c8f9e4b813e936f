"""Why no mapping is legal: which constraint excludes what, by how much, and the smallest change that helps.

With all bounds at one every tile is one element (a rank that may not be split: all of it), and nothing can be smaller:
a mapping exists exactly where the least tiles of all tensors that a memory must hold fit in it. Problems carry the
level and the key at fault as their path; who read the file adds the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Compute, Fanout, Level, Memory
from einloom.errors import Problem
from einloom.mappings import Hold, Nodes
from einloom.model.structure import applies
from einloom.workloads.sized import SizedEinsum


def cannot_execute(einsum: SizedEinsum, compute: Compute, missing: Sequence[str], alone: bool) -> Problem:
    """A compute without an energy for some operators; ``alone``: there is no other."""
    operations = einsum.operations()
    counted = ", ".join(f"{operator} ({operations[operator]:,} times)" for operator in missing)
    entries = ", ".join(f"{operator}: 0.1 pJ" for operator in _least_missing(compute, missing))
    known = ", ".join(compute.energy_pj) or "none"
    return Problem(
        f"no compute can execute {einsum.name}: {compute.name} lacks {counted}",
        f"add to its `energy:`, for example {{{entries}}}{'' if alone else ', or do so at another compute'}; "
        f"operators it knows: {known}",
        (compute.name, "energy"),
    )


def _least_missing(compute: Compute, missing: Sequence[str]) -> list[str]:
    """What to add: of a `mac`, which is a `mul` and an `add`, the half that is not there."""
    halves = {"mul": "add", "add": "mul"}
    half = next((other for one, other in halves.items() if one in compute.energy_pj), "mac")
    return [half if operator == "mac" else operator for operator in missing]


def excluded(einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules, alone: bool = True) -> list[Problem]:
    """What excludes every mapping on a path; empty where the tiles of the smallest mapping fit.

    Args:
        alone: No other compute could execute the Einsum.
    """
    problems = []
    for level in path:
        if isinstance(level, Memory):
            if level is path[0]:
                problems += _refused(einsum, level, rules)
            needs = _needs(einsum, level, path, rules)
            if sum(needs.values()) > level.capacity.value:
                problems.append(_too_small(einsum, level, needs, whole=level is path[0], alone=alone))
    return problems


Smallest = Mapping[str, tuple[float, float]]
"""For each memory that excluded a whole choice of holders: (least bits or words needed, capacity)."""


def not_found(einsum: SizedEinsum, path: tuple[Level, ...], smallest: Smallest, complete: bool) -> list[Problem]:
    """Nothing was found although single elements fit.

    Args:
        complete: Whether the search ended before its deadline.
    """
    if not complete:
        return [Problem(f"no mapping of {einsum.name} was found within the deadline", "give more time: `--deadline`")]
    return [
        Problem(
            f"no mapping of {einsum.name} fits: the least tiles need {_amount(needed)} {_unit(path, name)} in {name}, "
            f"it holds {_amount(capacity)}",
            f"raise the capacity of {name} to {_amount(needed)} {_unit(path, name)}, or hold fewer tensors there",
            (name, "capacity"),
        )
        for name, (needed, capacity) in smallest.items()
    ] or [Problem(f"no mapping of {einsum.name} can be counted here", "give bounds that divide: `--bounds perfect`")]


def too_small(einsum: SizedEinsum, path: tuple[Level, ...], nodes: Nodes, smallest: Smallest) -> list[Problem]:
    """Memories that the tiles of a given nest overflow whatever its open bounds, each at its first hold node."""
    held = {node.memory: at for at, node in reversed(list(enumerate(nodes))) if isinstance(node, Hold)}
    return [
        Problem(
            f"no `auto` bounds of {einsum.name} fit: the least tiles need {_amount(needed)} {_unit(path, name)} in "
            f"{name}, it holds {_amount(capacity)}",
            f"lower the given bounds inside this hold, raise the capacity to {_amount(needed)} {_unit(path, name)}, "
            "or hold fewer tensors",
            (held[name],) if name in held else (),
        )
        for name, (needed, capacity) in smallest.items()
    ] or [
        Problem(
            f"no `auto` bounds of {einsum.name} fit all memories and axes at once",
            "lower a given bound, or write `auto` for it",
        )
    ]


def _refused(einsum: SizedEinsum, outermost: Memory, rules: EinsumRules) -> list[Problem]:
    """Tensors that the outermost memory, where every one starts and ends, may not hold."""
    tensors = dict.fromkeys(access.tensor for access in einsum.accesses)
    refused = [tensor for tensor in tensors if not rules.holding(outermost.name).allows(tensor)]
    if not refused:
        return []
    key = "holds" if outermost.holds is not None else "may_hold"
    return [
        Problem(
            f"no mapping of {einsum.name} is legal: {outermost.name} may not hold {', '.join(refused)}, and the "
            "mapper starts every tensor in the outermost memory",
            f"add {', '.join(refused)} to its `{key}`, or leave `{key}` out",
            (outermost.name, key),
        )
    ]


def _needs(einsum: SizedEinsum, memory: Memory, path: tuple[Level, ...], rules: EinsumRules) -> dict[str, Fraction]:
    """What the least tile takes of each tensor that the memory must hold (the outermost holds all, whole)."""
    outermost = memory is path[0]
    least = einsum if outermost else replace(einsum, extents=_least_extents(einsum, memory, path, rules))
    needs: dict[str, Fraction] = {}
    for access in einsum.accesses:
        if outermost or access.tensor in rules.holding(memory.name).must:
            width = Fraction(1) if memory.capacity.in_words else access.bits
            copies = 2 if applies(memory.double_buffered, einsum, access.tensor) else 1
            needs[access.tensor] = needs.get(access.tensor, Fraction(0)) + width * copies * least.size(access)
    return needs


def _least_extents(einsum: SizedEinsum, memory: Memory, path: tuple[Level, ...], rules: EinsumRules) -> dict[str, int]:
    """One iteration of each rank, but of those that may not be split what the axes above leave."""
    above = [level for level in path[: path.index(memory)] if isinstance(level, Fanout)]
    extents = dict.fromkeys(einsum.extents, 1)
    for var in rules.whole & extents.keys():
        shared = math.prod(
            size for fanout in above for axis, size in fanout.axes.items() if rules.axis_allows(fanout.name, axis, var)
        )
        extents[var] = -(-einsum.extents[var] // shared)
    return extents


def _too_small(einsum: SizedEinsum, memory: Memory, needs: Mapping[str, Fraction], whole: bool, alone: bool) -> Problem:
    unit, short = ("words", "words") if memory.capacity.in_words else ("bits", "b")
    least, capacity = sum(needs.values(), Fraction(0)), memory.capacity.value
    tiles = ("the whole " if whole else "the least tiles of ") + _and(list(needs))
    listed = f" ({', '.join(f'{tensor} {_amount(need)}' for tensor, need in needs.items())})" if len(needs) > 1 else ""
    hints = [f"raise it to {_amount(least)} {short}"]
    if not whole:
        enough = [tensor for tensor, need in needs.items() if least - need <= capacity]
        hints += [f"let it not hold {tensor}" for tensor in enough] or ["let it hold fewer tensors"]
    if memory.double_buffered is not False:
        hints.append("switch off `double_buffered`")
    if not whole and not alone:
        hints.append("make it fit at another compute")
    return Problem(
        f"no mapping of {einsum.name} fits: {memory.name} must hold {tiles}, {_amount(least)} {unit}{listed}; "
        f"it holds {_amount(capacity)}",
        ", or ".join(hints),
        (memory.name, "capacity"),
    )


def _unit(path: tuple[Level, ...], memory: str) -> str:
    return "words" if any(isinstance(m, Memory) and m.name == memory and m.capacity.in_words for m in path) else "bits"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _amount(value: Fraction | float) -> str:
    """Whole where it is, rounded up to a tenth where not: what is typed in must be enough."""
    whole = round(value)
    return str(whole) if math.isclose(value, whole, rel_tol=1e-12) else f"{math.ceil(float(value) * 10) / 10:.1f}"
