"""Nests in which the registers keep one tensor over loops outside the buffer's holds: it *floats*.

Let the floating tensor ignore rank a, and b, c be the others. Its register hold stands among the loops above the array;
below it run only loops of rank a (with tile ``x``, a multiple of the array tile ``u_a = s_a``) and buffer holds, at
least one, else it would sink into the array. So it is taken in ``ceil(N_a / x)`` times and its register tile is
``w_b w_c``; rank a has no loop below the array. One floating tensor is enough: a second one below it would need loops
of its own rank, which the first one has as an index.

The buffer holds one or both of the others *below* (tiles ``u_a u_b`` and ``u_a u_c``, one visit an array tile), and
*above* nothing, one other tensor b (tile ``x u_c``, one visit), or the floating tensor and inside it b (tiles
``X_b u_c`` and ``x u_c``, 1 and ``ceil(N_b / X_b)`` visits). The registers may hold others as well; one that they do
not hold is served at every step.

Where no fanout parts the two memories, a register tile may also span loops between holds of the buffer: of two below,
the outer one, b, stays over a loop of its rank between them, as far as the floating tensor's register tile reaches.
(If the registers hold b too, it floats as well, which is not searched: it takes registers larger than the buffer.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from einloom.mapper.gemm import inner, outer
from einloom.mapper.gemm.best import Best, may_improve, offer
from einloom.mapper.gemm.compiled import copy, entry, kernel
from einloom.mapper.gemm.leaf import Bounds, combine, loose
from einloom.mapper.gemm.outer import Tiles, ceil_div
from einloom.mapper.gemm.tables import (
    ABOVE,
    BUFFER,
    BUFFER_VISITS,
    BUFFERED,
    FAMILY,
    HELD,
    INNERMOST,
    LOOSE,
    PLACED,
    REACH,
    REGISTERED,
    REGISTERS,
    SERVED,
    TILE,
    TOGETHER,
    TWICE,
    VECTOR,
    Scratch,
    Tables,
    U,
    W,
)
from einloom.model.arrays import Array


class Floating(NamedTuple):
    """One choice of spatial vector, bounds and tile of the rank that the floating tensor ignores.

    Attributes:
        vector: Row of the spatial vector.
        s, w, u, v: Instances, bound below the array, array tile and its visits, of each rank; of the floating
            tensor's own rank ``w`` is 1 and ``v`` the visits of ``x``.
        steps: Of each rank.
        x: Tile of the floating tensor's own rank at its register hold.
        options: How many rows of `Scratch.relaxed` list the buffer's holds.
    """

    vector: int
    s: Array
    w: Array
    u: Array
    v: Array
    steps: Array
    x: int
    options: int


@kernel
def place(t: Tables, row: int, tiles: Tiles, x: int, reach: Array, visits: Array) -> float:
    """Visits of each tensor's buffer tile under one row of ``floating_buffers``; returns what the tiles take.

    Args:
        tiles: Of the rank that the floating tensor ignores ``least`` are the instances, ``visits`` those of ``x``.
        x: Its tile at the register hold.
        reach: Largest tile of each rank at the register hold where a loop of it runs below, outside the array.
        visits: Filled; 0 where the buffer does not hold a tensor.

    Returns:
        Occupancy of the buffer, or infinity where it does not fit.
    """
    a, above = t.floating_buffers[row, 0], t.floating_buffers[row, 1]
    own, below = t.floating_buffers[row, 2], t.floating_buffers[row, 3]
    u, v = tiles.least, tiles.visits
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
        limit = (t.capacity[BUFFER] / tiles.batch - taken) / wide
        visits[above] = outer.fewest_visits(t, above, tiles, limit)
        if visits[above] == 0:
            return math.inf
        taken += wide * outer.tile(t, above, tiles, visits[above])
    first, limit = t.floating_buffers[row, 4], math.inf
    if own == TWICE:
        visits[a] = v[a]
        wide = t.width[BUFFER, a] * (u[0] * u[1] * u[2] / u[a])
        if first >= 0:
            limit = (t.capacity[BUFFER] / tiles.batch - taken) / (wide / u[first])
        else:
            taken += wide
    if first >= 0:
        between = outer.fewest_visits(t, first, tiles, min(limit, float(reach[first])))
        visits[first] = between if between else v[first]
        if own == TWICE:
            taken += wide / u[first] * outer.tile(t, first, tiles, visits[first])
    taken *= tiles.batch
    return taken if taken <= t.capacity[BUFFER] else math.inf


@kernel
def least_floating(
    t: Tables, objective: int, a: int, low: Array, high: Array, fewest: Array, most: Array, scratch: Scratch
) -> Bounds:
    """Bounds over a box where tensor ``a`` floats. Of rank a the box bounds the tile ``x``, else the array tile."""
    n = _list_places(t, a, low, fewest, most, scratch)
    least = (math.inf, math.inf, math.inf)
    for row in range(len(t.floating_registers)):
        if t.floating_registers[row, 0] != a:
            continue
        p, q = t.floating_registers[row, 2], t.floating_registers[row, 3]
        s_p = 1
        while n and s_p <= t.widest[p]:  # corners of the instances that two ranks can have together
            s_q = min(t.widest[q], t.instances // s_p)
            s_p = min(t.widest[p], t.instances // s_q)
            here = _least_beside(t, objective, row, (s_p, s_q), (low, high), fewest, n, scratch)
            least = (min(least[0], here[0]), min(least[1], here[1]), min(least[2], here[2]))
            s_p += 1
    return least


@kernel
def _list_places(t: Tables, a: int, low: Array, fewest: Array, most: Array, scratch: Scratch) -> int:
    """Buffer holds that fit the smallest tiles of a box, with the fewest visits; how many."""
    u, visits = scratch.ranks[LOOSE], scratch.ranks[PLACED]
    copy(low, u)
    u[a] = 1
    tiles = loose(t, u, most, scratch)
    scratch.ranks[REACH, :] = 0 if t.apart else int(min(t.capacity[REGISTERS] // t.width[REGISTERS, a], 2.0**62))
    n = 0
    for hold in range(len(t.floating_buffers)):
        if t.floating_buffers[hold, 0] != a or place(t, hold, tiles, low[a], scratch.ranks[REACH], visits) == math.inf:
            continue
        own, below = t.floating_buffers[hold, 2], t.floating_buffers[hold, 3]
        scratch.relaxed[n, 0] = hold
        for r in range(3):  # a tile that follows the array's (or ``x``) is visited as often
            follows = (below >> r) & 1 or (r == a and own == TWICE)
            scratch.relaxed[n, 1 + r] = min(fewest[r], visits[r]) if follows else visits[r]
        n += 1
    return n


@kernel
def _least_beside(
    t: Tables, objective: int, row: int, instances: tuple[int, int], between: tuple[Array, Array], fewest: Array,
    n: int, scratch: Scratch,
) -> Bounds:  # fmt: skip
    """Bounds for one choice of register holds, with at most these instances of the two ranks it has as indices.

    The floating tensor is copied to at least one instance a visit: ``fill F - first f`` rises in both.
    """
    a, others = t.floating_registers[row, 0], t.floating_registers[row, 1]
    p, q = t.floating_registers[row, 2], t.floating_registers[row, 3]
    low_p, low_q = ceil_div(between[0][p], instances[0]), ceil_div(between[0][q], instances[1])
    room = t.capacity[REGISTERS]
    room -= t.width[REGISTERS, p] if others > 0 else 0.0
    room -= t.width[REGISTERS, q] if others > 1 else 0.0
    room = room // t.width[REGISTERS, a]
    if low_p * low_q > room:
        return math.inf, math.inf, math.inf
    energy = t.in_registers[a] + t.fill[a] * fewest[a] - t.first[a]
    served = scratch.ranks[SERVED]
    served[a], served[p], served[q] = fewest[a], fewest[p], fewest[q]
    if others > 0:
        energy += _filled(t, p, int(min(between[1][p], room // low_q)), instances[0])
    else:
        energy += t.past_registers[p]
        served[p] = max(ceil_div(t.extent[p], instances[0]), (fewest[p] - 1) * low_p + 1)
    if others > 1:
        energy += _filled(t, q, int(min(between[1][q], room // low_p)), instances[1])
    else:
        energy += t.past_registers[q]
        served[q] = max(ceil_div(t.extent[q], instances[1]), (fewest[q] - 1) * low_q + 1)
    return combine(t, objective, energy, t.steps[0], scratch.relaxed, n, served)


@kernel
def _filled(t: Tables, r: int, w: int, s: int) -> float:
    """Energy of a tensor that is held in the registers inside the floating one, with bound ``w`` of its own rank."""
    fills = ceil_div(t.extent[r], w)
    return float(t.in_registers[r] + t.fill[r] * fills - t.first[r] * min(s, fills))


@entry
def search_floating(
    t: Tables, objective: int, a: int, sides: tuple[Array, Array, Array], first: int, last: int, best: Best,
    scratch: Scratch,
) -> bool:  # fmt: skip
    """`leaf.search_leaf` where tensor ``a`` floats."""
    low, high, v = sides
    b, c = (a + 1) % 3, (a + 2) % 3
    least = least_floating(t, objective, a, low, high, v, v, scratch)
    n = _list_places(t, a, low, v, v, scratch)
    w, u, steps = scratch.ranks[W], scratch.ranks[U], scratch.steps
    w[a] = 1
    room = t.capacity[REGISTERS] // t.width[REGISTERS, a]
    for vector in range(first, min(last, len(t.vectors))):
        s = t.vectors[vector]
        cycles = max(least[2], t.steps[vector] * t.step_cycles)
        if not may_improve(objective, best.points, best.counts[0], least[1], cycles):
            return False
        across = ceil_div(t.extent[a], s[a])  # array tiles of rank a
        if (t.perfect and across % v[a]) or ceil_div(across, ceil_div(across, v[a])) != v[a]:
            continue
        x = min(t.extent[a], ceil_div(across, v[a]) * s[a])
        u[a], steps[a] = s[a], across
        b_low, b_high = inner.bounds_range(t, b, low[b], high[b], s[b])
        c_low, c_high = inner.bounds_range(t, c, low[c], high[c], s[c])
        if b_low > b_high or c_low > c_high or not _worth(t, objective, a, s, (low, high), v, n, best, scratch):
            continue
        row = Floating(vector, s, w, u, v, steps, x, n)
        for w_b in range(b_low, int(min(b_high, room // c_low)) + 1):
            w[b], u[b] = w_b, min(t.extent[b], w_b * s[b])
            steps[b] = inner.steps_of(t.extent[b], v[b], w_b, s[b])
            for w_c in range(c_low, int(min(c_high, room // w_b)) + 1):
                w[c], u[c] = w_c, min(t.extent[c], w_c * s[c])
                steps[c] = inner.steps_of(t.extent[c], v[c], w_c, s[c])
                _search_beside(t, objective, a, row, best, scratch)
    return last < len(t.vectors)


@kernel
def _worth(
    t: Tables, objective: int, a: int, s: Array, between: tuple[Array, Array], v: Array, n: int, best: Best,
    scratch: Scratch,
) -> bool:  # fmt: skip
    """Whether anything on these instances may improve."""
    for row in range(len(t.floating_registers)):
        if t.floating_registers[row, 0] == a:
            instances = (s[t.floating_registers[row, 2]], s[t.floating_registers[row, 3]])
            here = _least_beside(t, objective, row, instances, between, v, n, scratch)
            if may_improve(objective, best.points, best.counts[0], here[1], here[2]):
                return True
    return False


@kernel
def _search_beside(t: Tables, objective: int, a: int, row: Floating, best: Best, scratch: Scratch) -> None:
    """All register holds beside the floating tensor; the innermost of three may split its rank in two loops."""
    for holds in range(len(t.floating_registers)):
        if t.floating_registers[holds, 0] != a:
            continue
        whole = row.w[t.floating_registers[holds, 3]]
        if t.floating_registers[holds, 1] < 2:
            _search_around(t, objective, holds, row, 1, best, scratch)
            continue
        for innermost in range(1, whole + 1):
            if whole % innermost == 0:
                _search_around(t, objective, holds, row, innermost, best, scratch)


@kernel
def _search_around(
    t: Tables, objective: int, holds: int, row: Floating, innermost: int, best: Best, scratch: Scratch
) -> None:
    """All buffer holds around the floating tensor, for one choice of everything else."""
    a, others = t.floating_registers[holds, 0], t.floating_registers[holds, 1]
    p, q = t.floating_registers[holds, 2], t.floating_registers[holds, 3]
    taken = t.width[REGISTERS, a] * row.w[p] * row.w[q]
    taken += t.width[REGISTERS, p] * innermost if others > 0 else 0.0
    taken += t.width[REGISTERS, q] if others > 1 else 0.0
    if taken > t.capacity[REGISTERS]:
        return
    best.counts[1] += 1
    batch_steps = t.batch_steps[row.vector]
    served, held, visits = scratch.ranks[SERVED], scratch.ranks[HELD], scratch.ranks[PLACED]
    _serve(t, holds, row, innermost, served)
    held[a], held[p], held[q] = 1, min(others, 1), others // 2
    energy = t.base_pj + _inside(t, holds, row, innermost)
    work = row.steps[0] * row.steps[1] * row.steps[2] * batch_steps * t.step_cycles
    cycles = max(work, inner.port_cycles(t, held, served, row.steps, batch_steps))
    for i in range(row.options):
        price = energy + outer.total(t, 0, scratch.relaxed[i, 1:], served) + t.leak_pj * cycles
        if not may_improve(objective, best.points, best.counts[0], price, cycles):
            continue
        hold = scratch.relaxed[i, 0]
        _reach(t, holds, row, scratch.ranks[REACH])
        tiles = Tiles(row.u, row.v, row.u, row.v, t.batch_tile[row.vector])
        room = place(t, hold, tiles, row.x, scratch.ranks[REACH], visits)
        if room == math.inf:
            continue
        point, recipe = scratch.point, scratch.recipe
        point[1] = max(cycles, outer.port_cycles(t, visits, served))
        point[0] = energy + outer.total(t, 0, visits, served) + t.leak_pj * point[1]
        point[2], point[3] = room, taken
        recipe[FAMILY], recipe[VECTOR], recipe[BUFFERED], recipe[REGISTERED] = a + 1, row.vector, hold, holds
        recipe[ABOVE], recipe[INNERMOST] = row.v[a], innermost
        copy(row.w, recipe[TILE:])
        copy(visits, recipe[BUFFER_VISITS:])
        best.counts[0] = offer(objective, best.points, best.recipes, best.counts[0], point, recipe)


@kernel
def _reach(t: Tables, holds: int, row: Floating, reach: Array) -> None:
    """How far the floating tensor's register tile may reach in each rank whose tensor the registers do not hold."""
    a, others = t.floating_registers[holds, 0], t.floating_registers[holds, 1]
    p, q = t.floating_registers[holds, 2], t.floating_registers[holds, 3]
    room = t.capacity[REGISTERS] - (t.width[REGISTERS, p] if others else 0.0)
    for i, r, other in ((0, p, q), (1, q, p)):
        alone = not t.apart and others <= i
        reach[r] = int(min(room // (t.width[REGISTERS, a] * row.w[other]), 2.0**62)) if alone else 0


@kernel
def _serve(t: Tables, holds: int, row: Floating, innermost: int, served: Array) -> None:
    """Times that the array takes in each tensor."""
    others, q = t.floating_registers[holds, 1], t.floating_registers[holds, 3]
    a, p = t.floating_registers[holds, 0], t.floating_registers[holds, 2]
    w, s, v = row.w[q], row.s[q], row.v[q]
    served[a] = row.v[a]
    served[p] = row.v[p] if others > 0 else int(row.steps[p])
    served[q] = int(row.steps[q])
    if others > 1:  # the loop outside its hold, and in the last visit as much of it as is left
        left = t.extent[q] - (v - 1) * min(t.extent[q], w * s)
        served[q] = (v - 1) * (w // innermost) + ceil_div(min(w, left), innermost)


@kernel
def _inside(t: Tables, holds: int, row: Floating, innermost: int) -> float:
    """Energy of registers and links, pJ."""
    a, others = t.floating_registers[holds, 0], t.floating_registers[holds, 1]
    p, q = t.floating_registers[holds, 2], t.floating_registers[holds, 3]
    w, s, v = row.w, row.s, row.v[a]
    copies = (v - 1) * s[a] + min(s[a], t.extent[a] - (v - 1) * row.x)
    energy = t.in_registers[a] + t.fill[a] * copies - t.first[a] * s[a]
    energy += _filled(t, p, w[p], s[p]) if others > 0 else t.past_registers[p]
    if others > 1:
        first = min(s[q], ceil_div(t.extent[q], w[q]))
        energy += t.in_registers[q] + t.fill[q] * ceil_div(t.extent[q], innermost) - t.first[q] * first
    else:
        energy += t.past_registers[q]
    return float(energy)
