"""The front over latency, energy and the occupancy of one memory: a sweep of its capacity.

The latency-energy front under a capacity holds, for every mapping that fits, one that is no worse and fits too. Let M
be the largest occupancy on that front: down to M no smaller capacity changes it. So the next capacity is half a
bit (or word) below M, until nothing fits; every point of the three-dimensional front is then among the points found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from einloom.arch.tree import Amount, Architecture, Branches, Level, Memory
from einloom.mapper.found import Found
from einloom.model.cost import bit_parts
from einloom.model.result import EinsumResult
from einloom.workloads.sized import SizedEinsum

MOST_STEPS = 200
"""Capacities that are tried; what is below the last one stays unknown, and the answer says so."""

Results = list[EinsumResult]
Search = Callable[[Architecture, tuple[Level, ...], float | None], tuple[Found, Results]]
"""The latency-energy front on a machine and a path of it within some seconds, each point evaluated."""


def sweep(
    search: Search, architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, memory: str,
    deadline_s: float | None,
) -> tuple[Found, Results]:  # fmt: skip
    """Points among which are all of the front over latency, energy and the occupancy of ``memory``.

    Returns:
        Sums over all steps, complete where each step was and nothing fits below the last; and the points.
    """
    start = time.monotonic()
    every, known = Found(), Results()
    for step in range(MOST_STEPS):
        left = None if deadline_s is None else max(0.0, deadline_s - (time.monotonic() - start))
        found, results = search(architecture, path, left)
        every.candidates = max(every.candidates, found.candidates)
        every.costed += found.costed
        every.complete = every.complete and found.complete
        if not step:
            every.smallest = found.smallest
        known += results
        smaller = _below(results, einsum, memory)
        if smaller is None:
            return every, known
        if left == 0.0:
            break
        architecture, path = with_capacity(architecture, memory, smaller), _on_path(path, memory, smaller)
    every.complete = False
    return every, known


def _below(results: Results, einsum: SizedEinsum, memory: str) -> Amount | None:
    """A capacity between the largest occupancy and the next smaller one; None where that is nothing at all."""
    holding = [result.memories[memory] for result in results if memory in result.memories]
    if not holding:
        return None
    in_words = holding[0].occupancy_unit == "words"
    parts = 1 if in_words else bit_parts(einsum)
    largest = round(max(held.occupancy for held in holding) * parts)
    return Amount(Fraction(2 * largest - 1, 2 * parts), in_words) if largest else None


def with_capacity(architecture: Architecture, memory: str, capacity: Amount) -> Architecture:
    """The same machine with another capacity of one memory."""
    return replace(architecture, levels=_in_tree(architecture.levels, memory, capacity))


def _in_tree(levels: tuple[Level | Branches, ...], memory: str, capacity: Amount) -> tuple[Level | Branches, ...]:
    return tuple(
        Branches(tuple(_in_tree(tree, memory, capacity) for tree in level.trees))
        if isinstance(level, Branches)
        else _changed(level, memory, capacity)
        for level in levels
    )


def _on_path(path: tuple[Level, ...], memory: str, capacity: Amount) -> tuple[Level, ...]:
    return tuple(_changed(level, memory, capacity) for level in path)


def _changed(level: Level, memory: str, capacity: Amount) -> Level:
    return replace(level, capacity=capacity) if isinstance(level, Memory) and level.name == memory else level
