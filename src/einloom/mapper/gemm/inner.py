"""The registers: what their fills cost, exactly and from below.

Holds of tensors a, b, c (outermost first) each let their own rank run below them, so a held tensor is filled
``ceil(N_r / w_r)`` times, and the array takes in every tensor, held or not, once for each visit of the array tile.
"""

from __future__ import annotations

import math

from einloom.mapper.gemm.compiled import kernel
from einloom.mapper.gemm.outer import ceil_div
from einloom.mapper.gemm.tables import REGISTERS, Tables
from einloom.model.arrays import Array


@kernel
def fits(t: Tables, row: int, w: Array) -> bool:
    """Whether the bounds ``w`` below the array fit the registers under an order (see `tables.register_limits`)."""
    held, a, b, c = t.register_orders[row]
    if (held == 0 and w[a] > 1) or (held < 2 and w[b] > 1) or (held < 3 and w[c] > 1):
        return False
    return bool(occupied(t, row, w) <= t.capacity[REGISTERS])


@kernel
def occupied(t: Tables, row: int, w: Array) -> float:
    """What one instance's registers hold, in their parts."""
    held, a, b, c = t.register_orders[row]
    result = 0.0
    if held > 0:
        result += t.width[REGISTERS, a] * w[b] * w[c]
    if held > 1:
        result += t.width[REGISTERS, b] * w[c]
    if held > 2:
        result += t.width[REGISTERS, c]
    return result


@kernel
def energy(t: Tables, row: int, w: Array, instances: Array) -> float:
    """Energy of registers and links under an order, with ``instances`` of each rank side by side, pJ."""
    held = t.register_orders[row, 0]
    result = 0.0
    for i in range(3):
        r = t.register_orders[row, 1 + i]
        if i < held:
            fills = ceil_div(t.extent[r], w[r])
            result += t.in_registers[r] + t.fill[r] * fills - t.first[r] * min(instances[r], fills)
        else:
            result += t.past_registers[r]
    return result


@kernel
def least_energy(t: Tables, low: Array, high: Array, w: Array, instances: Array) -> float:
    """A lower bound of `energy` over array tiles between ``low`` and ``high``; infinite where none is possible.

    With the largest bounds that fit, the array must supply the rest of the smallest tile: at most all its instances.

    Args:
        w, instances: Space for three integers each.
    """
    best = math.inf
    for i in range(len(t.register_limits)):
        product = 1.0
        possible = True
        for r in range(3):
            w[r] = min(high[r], t.register_limits[i, 1 + r])
            instances[r] = ceil_div(low[r], w[r])
            product *= instances[r]
            possible &= instances[r] <= t.widest[r]
        if possible and product <= t.instances:
            for r in range(3):  # a first touch saves: as many as the other two ranks leave room for
                instances[r] = min(t.widest[r], int(t.instances // (product / instances[r])))
            best = min(best, energy(t, t.register_limits[i, 0], w, instances))
    return best


@kernel
def least_energy_on(t: Tables, low: Array, high: Array, w: Array, instances: Array) -> float:
    """The same for known ``instances``: bounds between ``low`` and ``high``."""
    best = math.inf
    for i in range(len(t.register_limits)):
        possible = True
        for r in range(3):
            w[r] = min(high[r], t.register_limits[i, 1 + r])
            possible &= w[r] >= low[r]
        if possible:
            best = min(best, energy(t, t.register_limits[i, 0], w, instances))
    return best


@kernel
def port_cycles(t: Tables, held: Array, served: Array, steps: Array, batch_steps: float) -> float:
    """Cycles of the busiest limited port of the first instance, which has most to do.

    Args:
        held: Whether the registers hold each tensor.
        served: Times that an instance takes in each tensor.
        steps: Of each rank.
    """
    busiest = 0.0
    product = steps[0] * steps[1] * steps[2] * batch_steps
    for port in range(len(t.register_ports)):
        cycles = 0.0
        for r in range(3):
            if held[r]:
                share = product / steps[r]
                use = t.register_ports[port, r]
                cycles += use[0] * product + use[1] * served[r] * share - use[2] * share
        busiest = max(busiest, cycles)
    return busiest


@kernel
def bounds_range(t: Tables, r: int, least: int, most: int, s: int) -> tuple[int, int]:
    """Smallest and largest bound below the array whose array tile lies in a class, on ``s`` instances."""
    if t.perfect:
        return (1, 0) if least % s else (least // s, least // s)
    high = t.extent[r] if most == t.extent[r] else most // s
    return ceil_div(least, s), high


@kernel
def list_bounds(t: Tables, r: int, v: int, low: int, high: int, s: int, found: Array) -> int:
    """Bounds ``w`` in ``low .. high`` that no smaller one replaces, as rows of (w, steps); how many.

    All have ``v`` visits. A larger bound costs room, so it stays only where it has fewer fills ``ceil(N / w)``, or,
    among equal fills, fewer steps ``(v-1) w + min(w, N - (v-1) w s)``: these fall in ``w`` once the last tile is
    shorter than ``w``, from ``(N - steps) / ((v-1)(s-1))`` on.

    Args:
        found: Shape ``(bounds, 2)``.
    """
    extent = t.extent[r]
    n = 0
    w = low
    while w <= high:
        fills = ceil_div(extent, w)
        last = high if fills == 1 else min(high, ceil_div(extent, fills - 1) - 1)
        steps = steps_of(extent, v, w, s)
        found[n, 0], found[n, 1] = w, steps
        n += 1
        if v > 1 and s > 1:
            for wider in range(max(w + 1, (extent - steps) // ((v - 1) * (s - 1))), last + 1):
                fewer = steps_of(extent, v, wider, s)
                if fewer < steps:
                    steps = fewer
                    found[n, 0], found[n, 1] = wider, steps
                    n += 1
        w = last + 1
    return n


@kernel
def steps_of(extent: int, v: int, w: int, s: int) -> int:
    """Steps of one rank in time: full visits take ``w``, the last one what is left."""
    return (v - 1) * w + min(w, extent - (v - 1) * w * s)
