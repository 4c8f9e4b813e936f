"""The best found so far: one point, or the front; lexicographic, with ties within rounding."""

from __future__ import annotations

import math
from typing import NamedTuple

from einloom.mapper.gemm.compiled import copy, kernel
from einloom.mapper.gemm.tables import EDP, ENERGY, LATENCY, PARETO
from einloom.model.arrays import Array

TOLERANCE = 1e-12
"""Sums in another order differ by less; real differences are larger (integers below 2^53)."""


class Best(NamedTuple):
    """What was found, and room for more.

    Attributes:
        points: Rows of (energy, cycles, occupancy of the buffer, of the registers).
        recipes: What each point is made of (see `tables`).
        counts: (points found, rows costed).
    """

    points: Array
    recipes: Array
    counts: Array


@kernel
def score(objective: int, energy: float, cycles: float) -> float:
    """What the objective minimizes first; for a front, energy."""
    if objective == LATENCY:
        return cycles
    return energy * cycles if objective == EDP else energy


@kernel
def second(objective: int, energy: float, cycles: float) -> float:
    """What breaks a tie."""
    return cycles if objective in (ENERGY, PARETO) else energy


@kernel
def compare(a: float, b: float) -> int:
    """-1, 0, 1 as ``a`` is below, within rounding of, or above ``b``."""
    slack = TOLERANCE * abs(b)
    return -1 if a < b - slack else (1 if a > b + slack else 0)


@kernel
def may_improve(objective: int, points: Array, n: int, energy: float, cycles: float) -> bool:
    """Whether a point no better than (energy, cycles) could replace a point or join the front.

    Args:
        points: Rows of (energy, cycles, occupancy of the buffer, of the registers); ``n`` of them are filled.
    """
    if energy == math.inf:
        return False
    if objective == PARETO:
        dominated = False
        for i in range(n):
            dominated |= compare(energy, points[i, 0]) >= 0 and compare(cycles, points[i, 1]) >= 0
        return not dominated
    if n == 0:
        return True
    order = compare(score(objective, energy, cycles), score(objective, points[0, 0], points[0, 1]))
    if order == 0:
        order = compare(second(objective, energy, cycles), second(objective, points[0, 0], points[0, 1]))
    return order < 0


@kernel
def most_cycles(objective: int, points: Array, n: int, energy: float) -> float:
    """Cycles above which a point of at least ``energy`` cannot improve."""
    limit = math.inf
    for i in range(n):
        if objective == LATENCY:
            limit = points[i, 1]
        elif objective == EDP:
            limit = points[i, 0] * points[i, 1] / max(energy, 1e-300)
        elif compare(energy, points[i, 0]) >= 0:
            limit = min(limit, points[i, 1])
    return limit * (1 + 2 * TOLERANCE)


@kernel
def _smaller(points: Array, i: int, point: Array) -> bool:
    """Whether ``point`` takes less room than point ``i``, the buffer first."""
    return bool(point[2] < points[i, 2] or (point[2] == points[i, 2] and point[3] < points[i, 3]))


@kernel
def offer(objective: int, points: Array, recipes: Array, n: int, point: Array, recipe: Array) -> int:
    """Keep a point if it improves; how many points there are then. A full front takes no more.

    Args:
        recipes: What each point is made of. Shape ``(points, RECIPE)``.
    """
    energy, cycles = point[0], point[1]
    if not may_improve(objective, points, n, energy, cycles):
        for i in range(n):
            ties = compare(energy, points[i, 0]) == 0 and compare(cycles, points[i, 1]) == 0
            if ties and _smaller(points, i, point):
                copy(point, points[i])
                copy(recipe, recipes[i])
        return n
    kept = 0
    for i in range(n):
        if objective == PARETO and (compare(points[i, 0], energy) < 0 or compare(points[i, 1], cycles) < 0):
            copy(points[i], points[kept])
            copy(recipes[i], recipes[kept])
            kept += 1
    if kept == len(points):
        return kept
    copy(point, points[kept])
    copy(recipe, recipes[kept])
    return kept + 1
