"""Ordinary nests: the bound of a box, and the exact search of one visit class of each rank."""

from __future__ import annotations

import math
from typing import NamedTuple

from einloom.mapper.gemm import inner, outer
from einloom.mapper.gemm.best import Best, may_improve, most_cycles, offer, score
from einloom.mapper.gemm.compiled import copy, entry, kernel
from einloom.mapper.gemm.tables import (
    BUFFER_VISITS,
    BUFFERED,
    FAMILY,
    HELD,
    NUMBERS,
    ONES,
    REGISTERED,
    TILE,
    VECTOR,
    W_HIGH,
    W_LOW,
    S,
    Scratch,
    Tables,
    U,
    W,
)
from einloom.model.arrays import Array

FEW = 400
"""Spatial vectors that are looked at one by one to bound a box."""

Bounds = tuple[float, float, float]
"""Lower bounds of (score, energy, cycles), each by itself; infinite where nothing is possible."""


class Row(NamedTuple):
    """One choice of spatial vector and bounds below the array.

    Attributes:
        vector: Row of the spatial vector.
        s, w: Instances and bound of each rank.
        u, v: Array tile and its visits.
        steps: Of each rank.
        energy, cycles: What all options above the array cost at least.
    """

    vector: int
    s: Array
    w: Array
    u: Array
    v: Array
    steps: Array
    energy: float
    cycles: float


@kernel
def loose(t: Tables, low: Array, most: Array, scratch: Scratch) -> outer.Tiles:
    """What buffer tiles in a box stand on, at least."""
    return outer.Tiles(low, most, scratch.ranks[ONES], t.extent, 1.0)


@kernel
def _tiles(t: Tables, row: Row) -> outer.Tiles:
    return outer.Tiles(row.u, row.v, row.u, row.v, t.batch_tile[row.vector])


@kernel
def combine(t: Tables, objective: int, inside: float, steps: float, options: Array, n: int, served: Array) -> Bounds:
    """Bounds over options above the array, for insides of known least cost."""
    least = (math.inf, math.inf, math.inf)
    for i in range(n):
        cycles = max(steps * t.step_cycles, outer.port_cycles(t, options[i, 1:], served))
        energy = t.base_pj + inside + outer.total(t, 0, options[i, 1:], served) + t.leak_pj * cycles
        least = (min(least[0], score(objective, energy, cycles)), min(least[1], energy), min(least[2], cycles))
    return least


@kernel
def least_cost(
    t: Tables, objective: int, low: Array, high: Array, fewest: Array, most: Array, scratch: Scratch
) -> Bounds:
    """Bounds over a box: array tiles ``low .. high`` with ``fewest .. most`` visits."""
    inside = inner.least_energy(t, low, high, scratch.ranks[W], scratch.ranks[S])
    if inside == math.inf:
        return math.inf, math.inf, math.inf
    n = outer.list_options(t, loose(t, low, most, scratch), scratch.relaxed)
    return combine(t, objective, inside, t.steps[0], scratch.relaxed, n, fewest)


@kernel
def tighten(
    t: Tables, objective: int, low: Array, high: Array, fewest: Array, most: Array, least: Bounds, best: Best,
    scratch: Scratch,
) -> Bounds:  # fmt: skip
    """`least_cost` again, with the spatial vectors that are fast enough to improve one by one, if they are few."""
    limit = most_cycles(objective, best.points, best.counts[0], least[1])
    inside, steps = math.inf, math.inf
    w_low, w_high = scratch.ranks[W_LOW], scratch.ranks[W_HIGH]
    for row in range(len(t.vectors)):
        if t.steps[row] * t.step_cycles > limit:
            break
        if row == FEW:
            return least
        possible = True
        for r in range(3):
            s = t.vectors[row, r]
            w_low[r] = outer.ceil_div(low[r], s)
            w_high[r] = t.extent[r] if high[r] == t.extent[r] else high[r] // s
            possible &= w_low[r] <= w_high[r]
        energy = inner.least_energy_on(t, w_low, w_high, scratch.ranks[W], t.vectors[row]) if possible else math.inf
        if energy < math.inf:
            steps = min(steps, t.steps[row])
            inside = min(inside, energy)
    if inside == math.inf:
        return math.inf, math.inf, math.inf
    n = outer.list_options(t, loose(t, low, most, scratch), scratch.relaxed)
    return combine(t, objective, inside, steps, scratch.relaxed, n, fewest)


@entry
def search_leaf(
    t: Tables, objective: int, sides: tuple[Array, Array, Array], first: int, last: int, best: Best, scratch: Scratch
) -> bool:
    """Offer every nest of a leaf where it may still improve.

    Args:
        sides: Smallest and largest array tile of each rank, and their visits.
        first, last: Rows of spatial vectors, the last one left out.

    Returns:
        Whether later vectors may improve.
    """
    low, high, v = sides
    n = outer.list_options(t, loose(t, low, v, scratch), scratch.relaxed)
    outer_energy, outer_cycles = outer.least_outer(t, scratch.relaxed, n, v)
    w_low, w_high, w = scratch.ranks[W_LOW], scratch.ranks[W_HIGH], scratch.ranks[W]
    for vector in range(first, min(last, len(t.vectors))):
        s = t.vectors[vector]
        cycles = max(t.steps[vector] * t.step_cycles, outer_cycles)
        least = t.base_pj + outer_energy + t.leak_pj * cycles
        if not may_improve(objective, best.points, best.counts[0], least, cycles):
            return False  # vectors stand in the order of their steps
        possible = True
        for r in range(3):
            w_low[r], w_high[r] = inner.bounds_range(t, r, low[r], high[r], s[r])
            possible &= w_low[r] <= w_high[r]
        if not possible:
            continue
        inside = inner.least_energy_on(t, w_low, w_high, w, s)
        if may_improve(objective, best.points, best.counts[0], least + inside, cycles):
            u, steps = scratch.ranks[U], scratch.steps
            row = Row(vector, s, w, u, v, steps, t.base_pj + outer_energy, outer_cycles)
            _search_bounds(t, objective, row, inside, best, scratch)
    return last < len(t.vectors)


@kernel
def _search_bounds(t: Tables, objective: int, row: Row, inside: float, best: Best, scratch: Scratch) -> None:
    """All bounds below the array on one spatial vector."""
    numbers, choices = scratch.ranks[NUMBERS], scratch.bounds
    unit = t.batch_steps[row.vector] * t.step_cycles
    for r in range(3):
        low, high = scratch.ranks[W_LOW, r], scratch.ranks[W_HIGH, r]
        numbers[r] = inner.list_bounds(t, r, row.v[r], low, high, row.s[r], choices[r])
        row.steps[r] = choices[r, 0, 1]
        for i in range(numbers[r]):
            row.steps[r] = min(row.steps[r], choices[r, i, 1])
    fewest_1, fewest_2 = row.steps[1], row.steps[2]
    for i in range(numbers[0]):
        cycles = max(choices[0, i, 1] * fewest_1 * fewest_2 * unit, row.cycles)
        if not _worth(t, objective, row, inside, cycles, best):
            continue
        for j in range(numbers[1]):
            cycles = max(choices[0, i, 1] * choices[1, j, 1] * fewest_2 * unit, row.cycles)
            if not _worth(t, objective, row, inside, cycles, best):
                continue
            for k in range(numbers[2]):
                for r, number in enumerate((i, j, k)):
                    row.w[r], row.steps[r] = choices[r, number, 0], choices[r, number, 1]
                    row.u[r] = min(t.extent[r], row.w[r] * row.s[r])
                _search_holds(t, objective, row, best, scratch)


@kernel
def _worth(t: Tables, objective: int, row: Row, inside: float, cycles: float, best: Best) -> bool:
    """Whether a row may improve with ``inside`` below the array and at least ``cycles``."""
    energy = row.energy + inside + t.leak_pj * cycles
    return may_improve(objective, best.points, best.counts[0], energy, cycles)


@kernel
def _search_holds(t: Tables, objective: int, row: Row, best: Best, scratch: Scratch) -> None:
    """All orders of holds for one row."""
    best.counts[1] += 1
    n = -1
    batch_steps = t.batch_steps[row.vector]
    work = row.steps[0] * row.steps[1] * row.steps[2] * batch_steps * t.step_cycles
    held = scratch.ranks[HELD]
    for order in range(len(t.register_orders)):
        if not inner.fits(t, order, row.w):
            continue
        held[:] = 0
        for i in range(t.register_orders[order, 0]):
            held[t.register_orders[order, 1 + i]] = 1
        cycles = max(work, inner.port_cycles(t, held, row.v, row.steps, batch_steps))
        inside = inner.energy(t, order, row.w, row.s)
        if not _worth(t, objective, row, inside, max(cycles, row.cycles), best):
            continue
        if n < 0:
            n = outer.list_options(t, _tiles(t, row), scratch.exact)
        for i in range(n):
            _offer(t, objective, order, row, scratch.exact[i], t.base_pj + inside, cycles, best, scratch)


@kernel
def _offer(
    t: Tables, objective: int, order: int, row: Row, option: Array, energy: float, cycles: float, best: Best,
    scratch: Scratch,
) -> None:  # fmt: skip
    """One candidate, all known."""
    point, recipe = scratch.point, scratch.recipe
    point[1] = max(cycles, outer.port_cycles(t, option[1:], row.v))
    point[0] = energy + outer.total(t, 0, option[1:], row.v) + t.leak_pj * point[1]
    point[2] = outer.occupancy(t, option, _tiles(t, row))
    point[3] = inner.occupied(t, order, row.w)
    recipe[:] = 0
    recipe[FAMILY], recipe[VECTOR], recipe[BUFFERED], recipe[REGISTERED] = 0, row.vector, option[0], order
    copy(row.w, recipe[TILE:])
    copy(option[1:], recipe[BUFFER_VISITS:])
    best.counts[0] = offer(objective, best.points, best.recipes, best.counts[0], point, recipe)
