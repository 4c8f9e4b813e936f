"""Nests in which the registers keep one tensor over loops outside the buffer's holds: it *floats*.

Let the floating tensor ignore rank a, and b, c be the others. Its register hold stands among the loops above the array;
below it run only loops of rank a (with tile ``x``, a multiple of the array tile ``u_a = s_a``) and buffer holds, at
least one, else it would sink into the array. So it is taken in ``ceil(N_a / x)`` times and its register tile is
``w_b w_c``; rank a has no loop below the array. One floating tensor is enough: a second one below it would need loops
of its own rank, which the first one has as an index.

The buffer holds some of the others *below* (tiles ``u_a u_b`` and ``u_a u_c``, one visit an array tile), and above it
nothing, one other tensor b (tile ``x u_c``, one visit), or the floating tensor and inside it b (tiles ``X_b u_c`` and
``x u_c``, 1 and ``ceil(N_b / X_b)`` visits). The registers may hold others as well; one that they do not hold is served
at every step.
"""

from __future__ import annotations

import math

import numpy as np

from einloom.mapper.gemm import inner, outer
from einloom.mapper.gemm.best import may_improve, offer, score
from einloom.mapper.gemm.compiled import kernel
from einloom.mapper.gemm.leaf import Best
from einloom.mapper.gemm.outer import ceil_div
from einloom.mapper.gemm.tables import (
    ABOVE,
    BUFFER,
    BUFFERED,
    FAMILY,
    INNERMOST,
    NO_HOLDER,
    RECIPE,
    REGISTERED,
    REGISTERS,
    TILE,
    TOGETHER,
    VECTOR,
    VISITS,
    Tables,
)
from einloom.model.arrays import Array


@kernel
def place(
    t: Tables, row: int, u: Array, v: Array, x: int, batch: float, exact: bool, visits: Array
) -> float:
    """Visits of each tensor's buffer tile under one row of ``floating_buffers``; returns what the tiles take.

    Args:
        u, v: Array tile of each rank and its visits, but of the rank that the floating tensor ignores the instances,
            and the visits of ``x``.
        x: Its tile at the register hold.
        exact: See `outer.fewest_visits`.
        visits: Filled; 0 where the buffer does not hold a tensor.

    Returns:
        Occupancy of the buffer, or infinity where it does not fit.
    """
    a, above, own, below = t.floating_buffers[row]
    taken = 0.0
    visits[:] = 0
    for r in range(3):
        if (below >> r) & 1:
            visits[r] = v[r]
            taken += t.width[BUFFER, r] * u[0] * u[1] * u[2] / u[r]
    if above >= 0:
        visits[above] = 1
        taken += t.width[BUFFER, above] * x * u[3 - a - above]
    if own == TOGETHER:
        c = 3 - a - above
        wide = t.width[BUFFER, a] * u[c]
        visits[a] = 1
        visits[above] = outer.fewest_visits(t, above, u[above], v[above], (t.capacity[BUFFER] / batch - taken) / wide, exact)
        if visits[above] == 0:
            return math.inf
        size = outer.tile(t, above, u[above], v[above], visits[above]) if exact else u[above]
        taken += wide * size
    elif own != NO_HOLDER:
        visits[a] = v[a]
        taken += t.width[BUFFER, a] * u[0] * u[1] * u[2] / u[a]
    return taken * batch if taken * batch <= t.capacity[BUFFER] else math.inf


@kernel
def least_floating(
    t: Tables, objective: int, a: int, low: Array, high: Array, fewest: Array, most: Array
) -> tuple[float, float, float]:
    """Lower bounds of (score, energy, cycles) over a box where tensor ``a`` floats; infinite where it is empty.

    Of rank a the box bounds the tile ``x``, of the others the array tile.
    """
    least = (math.inf, math.inf, math.inf)
    u = low.copy()
    u[a] = 1
    served, visits = np.empty(3, np.int64), np.empty(3, np.int64)
    for row in range(len(t.floating_registers)):
        if t.floating_registers[row, 0] != a:
            continue
        inside = _least_inside(t, row, low, high, fewest[a])
        if inside == math.inf:
            continue
        _least_served(t, row, fewest, served)
        for hold in range(len(t.floating_buffers)):
            if t.floating_buffers[hold, 0] != a or place(t, hold, u, most, low[a], 1.0, False, visits) == math.inf:
                continue
            for r in range(3):  # a tile that follows the array's is visited as often, at least
                visits[r] = min(visits[r], fewest[r]) if _follows(t, hold, r) else visits[r]
            cycles = max(t.steps[0] * t.step_cycles, outer.port_cycles(t, visits, served))
            energy = t.base_pj + inside + outer.total(t, 0, visits, served) + t.leak_pj * cycles
            least = (min(least[0], score(objective, energy, cycles)), min(least[1], energy), min(least[2], cycles))
    return least


@kernel
def _follows(t: Tables, hold: int, r: int) -> bool:
    """Whether the buffer's visits of tensor ``r`` are those of the tile that the box bounds."""
    a, _, own, below = t.floating_buffers[hold]
    return bool((below >> r) & 1) or (r == a and own != TOGETHER)


@kernel
def _least_served(t: Tables, row: int, fewest: Array, served: Array) -> None:
    """Least times that the array takes in each tensor: once a visit, or, past the registers, once a step."""
    a, others, p, q = t.floating_registers[row]
    served[a] = fewest[a]
    served[p] = fewest[p] if others > 0 else max(fewest[p], ceil_div(t.extent[p], t.widest[p]))
    served[q] = fewest[q] if others > 1 else max(fewest[q], ceil_div(t.extent[q], t.widest[q]))


@kernel
def _room(t: Tables, row: int) -> float:
    """Largest ``w_b w_c`` of the floating tensor's tile when the other holds are one element each."""
    a, others, p, q = t.floating_registers[row]
    room = t.capacity[REGISTERS]
    if others > 0:
        room -= t.width[REGISTERS, p]
    if others > 1:
        room -= t.width[REGISTERS, q]
    return room // t.width[REGISTERS, a]


@kernel
def _least_inside(t: Tables, row: int, low: Array, high: Array, visits: int) -> float:
    """Least energy of registers and links: over the corners of ``w_p w_q <= room`` that the array can complete.

    The floating tensor is copied to at least one instance a visit; ``fill F - first f`` rises in both, so one is least.
    """
    a, others, p, q = t.floating_registers[row]
    room = _room(t, row)
    fixed = t.in_registers[a] + t.fill[a] * visits - t.first[a]
    for i, r in ((1, p), (2, q)):
        if i > others:
            fixed += t.past_registers[r]
    best = math.inf
    w_p = 1
    while w_p <= room and w_p <= t.extent[p]:
        w_q = int(min(room // w_p, t.extent[q]))
        w_p = int(min(room // w_q, t.extent[p]))
        s_p, s_q = ceil_div(low[p], min(w_p, high[p])), ceil_div(low[q], min(w_q, high[q]))
        if s_p <= t.widest[p] and s_q <= t.widest[q] and s_p * s_q <= t.instances:
            energy = fixed
            if others > 0:
                energy += _filled(t, p, min(w_p, high[p]), t.widest[p])
            if others > 1:
                energy += _filled(t, q, min(w_q, high[q]), t.widest[q])
            best = min(best, energy)
        w_p += 1
    return best


@kernel
def _filled(t: Tables, r: int, w: int, s: int) -> float:
    """Energy of a tensor that is held in the registers inside the floating one, with bound ``w`` of its own rank."""
    fills = ceil_div(t.extent[r], w)
    return t.in_registers[r] + t.fill[r] * fills - t.first[r] * min(s, fills)


@kernel
def search_floating(t: Tables, objective: int, a: int, low: Array, high: Array, v: Array, best: Best) -> None:
    """Offer every nest of single classes where tensor ``a`` floats: all bounds, spatial vectors, and holds."""
    b, c = (a + 1) % 3, (a + 2) % 3
    least = least_floating(t, objective, a, low, high, v, v)
    w = np.ones(3, np.int64)
    u, steps = np.empty(3, np.int64), np.empty(3)
    for vector in range(len(t.vectors)):
        s = t.vectors[vector]
        cycles = max(least[2], t.steps[vector] * t.step_cycles)
        if not may_improve(objective, best.points, best.count[0], least[1], cycles):
            break
        across = ceil_div(t.extent[a], s[a])  # array tiles of rank a
        if (t.perfect and across % v[a]) or ceil_div(across, ceil_div(across, v[a])) != v[a]:
            continue
        x = min(t.extent[a], ceil_div(across, v[a]) * s[a])
        u[a], steps[a] = s[a], across
        b_low, b_high = inner.bounds_range(t, b, low[b], high[b], s[b])
        c_low, c_high = inner.bounds_range(t, c, low[c], high[c], s[c])
        room = t.capacity[REGISTERS] // t.width[REGISTERS, a]
        for w_b in range(b_low, int(min(b_high, room // max(1, c_low))) + 1):
            w[b], u[b] = w_b, min(t.extent[b], w_b * s[b])
            steps[b] = inner.steps_of(t.extent[b], v[b], w_b, s[b])
            for w_c in range(c_low, int(min(c_high, room // w_b)) + 1):
                w[c], u[c] = w_c, min(t.extent[c], w_c * s[c])
                steps[c] = inner.steps_of(t.extent[c], v[c], w_c, s[c])
                _beside(t, objective, a, vector, (w, u, v), steps, x, best)


@kernel
def _beside(
    t: Tables, objective: int, a: int, vector: int, tiles: tuple[Array, Array, Array], steps: Array, x: int, best: Best
) -> None:
    """All register holds beside the floating tensor; the innermost of three may split its rank in two loops."""
    w = tiles[0]
    for row in range(len(t.floating_registers)):
        if t.floating_registers[row, 0] != a:
            continue
        others, q = t.floating_registers[row, 1], t.floating_registers[row, 3]
        for innermost in range(1, (w[q] if others == 2 else 1) + 1):
            if w[q] % innermost == 0 or others < 2:
                _around(t, objective, row, vector, tiles, steps, x, innermost, best)


@kernel
def _around(
    t: Tables, objective: int, row: int, vector: int, tiles: tuple[Array, Array, Array], steps: Array, x: int,
    innermost: int, best: Best,
) -> None:  # fmt: skip
    """All buffer holds around the floating tensor, for one choice of everything else."""
    w, u, v = tiles
    a, others, p, q = t.floating_registers[row]
    taken = t.width[REGISTERS, a] * w[p] * w[q]
    taken += t.width[REGISTERS, p] * innermost if others > 0 else 0.0
    taken += t.width[REGISTERS, q] if others > 1 else 0.0
    if taken > t.capacity[REGISTERS]:
        return
    best.count[1] += 1
    s = t.vectors[vector]
    served = _served(t, row, w, v, s, steps, innermost)
    energy = t.base_pj + _inside(t, row, w, v, s, x, innermost)
    held = np.zeros(3, np.int64)
    held[a] = 1
    held[p], held[q] = min(others, 1), others // 2
    work = steps[0] * steps[1] * steps[2] * t.batch_steps[vector]
    cycles = max(work * t.step_cycles, inner.port_cycles(t, held, served, steps, t.batch_steps[vector]))
    if not may_improve(objective, best.points, best.count[0], energy + t.leak_pj * cycles, cycles):
        return
    visits = np.empty(3, np.int64)
    for hold in range(len(t.floating_buffers)):
        if t.floating_buffers[hold, 0] != a:
            continue
        room = place(t, hold, u, v, x, t.batch_tile[vector], True, visits)
        if room == math.inf:
            continue
        busiest = max(cycles, outer.port_cycles(t, visits, served))
        price = energy + outer.total(t, 0, visits, served) + t.leak_pj * busiest
        if may_improve(objective, best.points, best.count[0], price, busiest):
            recipe = np.empty(RECIPE, np.int64)
            recipe[FAMILY], recipe[VECTOR], recipe[BUFFERED], recipe[REGISTERED] = a + 1, vector, hold, row
            recipe[ABOVE], recipe[INNERMOST] = v[a], innermost
            recipe[TILE : TILE + 3] = w
            recipe[VISITS : VISITS + 3] = visits
            point = np.array([price, busiest, room, taken])
            best.count[0] = offer(objective, best.points, best.recipes, best.count[0], point, recipe)


@kernel
def _served(t: Tables, row: int, w: Array, v: Array, s: Array, steps: Array, innermost: int) -> Array:
    """Times that the array takes in each tensor."""
    a, others, p, q = t.floating_registers[row]
    served = np.empty(3, np.int64)
    served[a] = v[a]
    served[p] = v[p] if others > 0 else int(steps[p])
    served[q] = int(steps[q])
    if others > 1:  # the loop outside its hold, and in the last visit as much of it as is left
        left = t.extent[q] - (v[q] - 1) * min(t.extent[q], w[q] * s[q])
        served[q] = (v[q] - 1) * (w[q] // innermost) + ceil_div(min(w[q], left), innermost)
    return served


@kernel
def _inside(t: Tables, row: int, w: Array, v: Array, s: Array, x: int, innermost: int) -> float:
    """Energy of registers and links, pJ."""
    a, others, p, q = t.floating_registers[row]
    copies = (v[a] - 1) * s[a] + min(s[a], t.extent[a] - (v[a] - 1) * x)
    energy = t.in_registers[a] + t.fill[a] * copies - t.first[a] * s[a]
    energy += _filled(t, p, w[p], s[p]) if others > 0 else t.past_registers[p]
    if others > 1:
        first = min(s[q], ceil_div(t.extent[q], w[q]))
        energy += t.in_registers[q] + t.fill[q] * ceil_div(t.extent[q], innermost) - t.first[q] * first
    else:
        energy += t.past_registers[q]
    return energy
