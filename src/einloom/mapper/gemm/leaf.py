"""One visit class of each rank, ordinary nests: every spatial vector, bound and option that may still improve, exactly."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from einloom.mapper.gemm import inner, outer
from einloom.mapper.gemm.best import may_improve, most_cycles, offer, score
from einloom.mapper.gemm.compiled import kernel
from einloom.mapper.gemm.tables import (
    BUFFERED,
    FAMILY,
    RECIPE,
    REGISTERED,
    TILE,
    VECTOR,
    VISITS,
    Tables,
)
from einloom.model.arrays import Array


FEW = 400
"""Spatial vectors that are looked at one by one to bound a box."""


class Best(NamedTuple):
    """What was found, and room for more.

    Attributes:
        points: See `best.may_improve`.
        recipes: What each point is made of.
        count: (points found, rows costed).
    """

    points: Array
    recipes: Array
    count: Array


class Scratch(NamedTuple):
    """Space that kernels reuse: `outer.list_options` twice, `inner.list_bounds` of each rank."""

    relaxed: Array
    exact: Array
    bounds: Array


class Row(NamedTuple):
    """One choice of spatial vector and bounds below the array.

    Attributes:
        s, w: Instances and bound of each rank.
        u, v: Array tile and its visits.
        steps: Of each rank.
        batch: Batch points side by side.
        batch_steps: Batch steps.
    """

    s: Array
    w: Array
    u: Array
    v: Array
    steps: Array
    batch: float
    batch_steps: float


@kernel
def search_leaf(t: Tables, objective: int, low: Array, high: Array, v: Array, best: Best, scratch: Scratch) -> None:
    """Offer everything in the classes whose array tiles lie in ``low .. high`` with ``v`` visits."""
    n = outer.list_options(t, low, v, 1.0, False, scratch.relaxed)
    outer_energy, outer_cycles = outer.least_outer(t, scratch.relaxed, n, v)
    w_low, w_high, w = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3, np.int64)
    for row in range(len(t.vectors)):
        s = t.vectors[row]
        cycles = max(t.steps[row] * t.step_cycles, outer_cycles)
        least = t.base_pj + outer_energy + t.leak_pj * cycles
        if not may_improve(objective, best.points, best.count[0], least, cycles):
            break  # vectors stand in the order of their steps
        possible = True
        for r in range(3):
            w_low[r], w_high[r] = inner.bounds_range(t, r, low[r], high[r], s[r])
            possible &= w_low[r] <= w_high[r]
        if not possible:
            continue
        least += inner.least_energy_on(t, w_low, w_high, w, s)
        if may_improve(objective, best.points, best.count[0], least, cycles):
            _bounds(t, objective, row, v, (w_low, w_high), (outer_energy, outer_cycles), best, scratch)


@kernel
def _bounds(
    t: Tables, objective: int, vector: int, v: Array, between: tuple[Array, Array], beyond: tuple[float, float],
    best: Best, scratch: Scratch,
) -> None:  # fmt: skip
    """All bounds below the array on one spatial vector."""
    row = Row(t.vectors[vector], np.empty(3, np.int64), np.empty(3, np.int64), v, np.empty(3),
              t.batch_tile[vector], t.batch_steps[vector])  # fmt: skip
    numbers = np.empty(3, np.int64)
    for r in range(3):
        numbers[r] = inner.list_bounds(t, r, v[r], between[0][r], between[1][r], row.s[r], scratch.bounds[r])
    fewest = [scratch.bounds[r, : numbers[r], 1].min() for r in range(3)]
    least = t.base_pj + beyond[0] + inner.least_energy_on(t, between[0], between[1], row.w, row.s)
    unit = row.batch_steps * t.step_cycles
    for i in range(numbers[0]):
        _choose(t, row, 0, i, scratch)
        cycles = max(row.steps[0] * fewest[1] * fewest[2] * unit, beyond[1])
        if not may_improve(objective, best.points, best.count[0], least + t.leak_pj * cycles, cycles):
            continue
        for j in range(numbers[1]):
            _choose(t, row, 1, j, scratch)
            cycles = max(row.steps[0] * row.steps[1] * fewest[2] * unit, beyond[1])
            if not may_improve(objective, best.points, best.count[0], least + t.leak_pj * cycles, cycles):
                continue
            for k in range(numbers[2]):
                _choose(t, row, 2, k, scratch)
                _holds(t, objective, vector, row, beyond, best, scratch)


@kernel
def _choose(t: Tables, row: Row, r: int, number: int, scratch: Scratch) -> None:
    row.w[r] = scratch.bounds[r, number, 0]
    row.steps[r] = scratch.bounds[r, number, 1]
    row.u[r] = min(t.extent[r], row.w[r] * row.s[r])


@kernel
def _holds(
    t: Tables, objective: int, vector: int, row: Row, beyond: tuple[float, float], best: Best, scratch: Scratch
) -> None:
    """All orders of holds for one row."""
    best.count[1] += 1
    n = -1
    steps_cycles = row.steps[0] * row.steps[1] * row.steps[2] * row.batch_steps * t.step_cycles
    held = np.zeros(3, np.int64)
    for order in range(len(t.register_orders)):
        if not inner.fits(t, order, row.w):
            continue
        held[:] = 0
        for i in range(t.register_orders[order, 0]):
            held[t.register_orders[order, 1 + i]] = 1
        cycles = max(steps_cycles, inner.port_cycles(t, held, row.v, row.steps, row.batch_steps))
        energy = t.base_pj + inner.energy(t, order, row.w, row.s)
        bound = max(cycles, beyond[1])
        if not may_improve(objective, best.points, best.count[0], energy + beyond[0] + t.leak_pj * bound, bound):
            continue
        if n < 0:
            n = outer.list_options(t, row.u, row.v, row.batch, True, scratch.exact)
        for i in range(n):
            _offer(t, objective, vector, order, row, scratch.exact[i], energy, cycles, best)


@kernel
def _offer(
    t: Tables, objective: int, vector: int, order: int, row: Row, option: Array, energy: float, cycles: float, best: Best
) -> None:
    """One candidate, all known."""
    busiest = max(cycles, outer.port_cycles(t, option[1:], row.v))
    price = energy + outer.total(t, 0, option[1:], row.v) + t.leak_pj * busiest
    point = np.array([
        price, busiest, outer.occupancy(t, option, row.u, row.v, row.batch), inner.occupied(t, order, row.w)
    ])  # fmt: skip
    recipe = np.zeros(RECIPE, np.int64)
    recipe[FAMILY], recipe[VECTOR], recipe[BUFFERED], recipe[REGISTERED] = 0, vector, option[0], order
    recipe[TILE : TILE + 3] = row.w
    recipe[VISITS : VISITS + 3] = option[1:]
    best.count[0] = offer(objective, best.points, best.recipes, best.count[0], point, recipe)


@kernel
def least_cost(
    t: Tables, objective: int, low: Array, high: Array, v_fewest: Array, v_most: Array, best: Best, scratch: Scratch
) -> tuple[float, float, float]:
    """Lower bounds of (score, energy, cycles) over a box: array tiles ``low .. high``; infinite where it is empty."""
    w, instances = np.empty(3, np.int64), np.empty(3, np.int64)
    inside = inner.least_energy(t, low, high, w, instances)
    if inside == math.inf:
        return math.inf, math.inf, math.inf
    n = outer.list_options(t, low, v_most, 1.0, False, scratch.relaxed)
    return combine(t, objective, inside, t.steps[0], scratch.relaxed, n, v_fewest)


@kernel
def combine(
    t: Tables, objective: int, inside: float, steps: float, options: Array, n: int, served: Array
) -> tuple[float, float, float]:
    """Least (score, energy, cycles), each by itself, over options above an inside of known least cost."""
    least = (math.inf, math.inf, math.inf)
    for i in range(n):
        cycles = max(steps * t.step_cycles, outer.port_cycles(t, options[i, 1:], served))
        energy = t.base_pj + inside + outer.total(t, 0, options[i, 1:], served) + t.leak_pj * cycles
        least = (min(least[0], score(objective, energy, cycles)), min(least[1], energy), min(least[2], cycles))
    return least


@kernel
def tighten(
    t: Tables, objective: int, low: Array, high: Array, v_fewest: Array, v_most: Array, least: tuple[float, float, float],
    best: Best, scratch: Scratch,
) -> tuple[float, float, float]:  # fmt: skip
    """`least_cost` again, with the few spatial vectors that are fast enough to improve one by one.

    Returns ``least`` where more than `FEW` of them are.
    """
    limit = most_cycles(objective, best.points, best.count[0], least[1])
    vectors = np.searchsorted(t.steps, limit / t.step_cycles, side="right")
    if vectors > FEW:
        return least
    w_low, w_high, w = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3, np.int64)
    inside, steps = math.inf, math.inf
    for row in range(vectors):
        possible = True
        for r in range(3):
            s = t.vectors[row, r]
            w_low[r] = outer.ceil_div(low[r], s)
            w_high[r] = t.extent[r] if high[r] == t.extent[r] else high[r] // s
            possible &= w_low[r] <= w_high[r]
        energy = inner.least_energy_on(t, w_low, w_high, w, t.vectors[row]) if possible else math.inf
        if energy < math.inf:
            steps = min(steps, t.steps[row])
            inside = min(inside, energy)
    if inside == math.inf:
        return math.inf, math.inf, math.inf
    n = outer.list_options(t, low, v_most, 1.0, False, scratch.relaxed)
    return combine(t, objective, inside, steps, scratch.relaxed, n, v_fewest)
