"""The buffer: every way to hold tiles of tensors above the array, and what the words above it cost.

Holds of tensors a, b, c (outermost first) have between them only loops of the rank that the outer one ignores, so with
array tiles ``u`` and buffer tiles ``X`` (multiples of ``u``, cut at the rank)::

    held        visits                                   occupancy
    a           V_a = 1                                  u_b u_c
    a, b        V_a = 1, V_b = ceil(N_b / X_b)           X_b u_c + u_a u_c
    a, b, c     ..., V_c = ceil(N_c / X_c)               X_b X_c + u_a X_c + u_a u_b

Every count falls in ``X``, so the largest tile that fits is best; with three holds ``X_b`` and ``X_c`` trade, and each
pair on the edge of what fits is an option. The same listing bounds a box of tiles from below: with the smallest tiles
of the box, any integer ``X`` above them in place of multiples, and the fewest visits, each option costs no more than
any nest in the box.
"""

from __future__ import annotations

import math

from einloom.mapper.gemm.compiled import kernel
from einloom.mapper.gemm.tables import BUFFER, Tables
from einloom.model.arrays import Array

RELAXED, EXACT = 0, 1
"""How buffer tiles may nest: as any integers (for a bound), or as multiples of the array tile."""


@kernel
def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@kernel
def fewest_visits(t: Tables, r: int, u: int, v: int, limit: float, exact: int) -> int:
    """Fewest visits of a buffer tile of rank ``r`` of at most ``limit``; 0 where not even ``u`` fits.

    Args:
        u, v: Array tile and its visits.
        exact: Only nested tiles: multiples of ``u``, or divisors between ``u`` and the rank.
    """
    if not limit >= u:
        return 0
    if limit >= t.extent[r]:
        return 1
    if t.perfect:
        for i in range(t.start[r], t.start[r + 1]):
            if t.least[i] <= limit and (not exact or v % t.visits[i] == 0):
                return t.visits[i]
        return 0
    if exact:
        return ceil_div(v, int(limit) // u)
    return ceil_div(t.extent[r], int(limit))


@kernel
def tile(t: Tables, r: int, u: int, v: int, visits: int) -> int:
    """The nested tile of ``visits`` visits over an array tile ``u`` of ``v`` visits."""
    return min(t.extent[r], ceil_div(v, visits) * u)


@kernel
def list_options(t: Tables, u: Array, v: Array, batch: float, exact: int, options: Array) -> int:
    """Fill ``options`` with rows of (row of the order, visits of each tensor's buffer tile or 0); how many.

    Args:
        u, v: Array tile of each rank and its visits; for a bound the smallest tile and its visits.
        batch: Batch points side by side.
        exact: See `fewest_visits`.
        options: Shape ``(orders + 6 classes, 4)``.
    """
    n = 0
    for row in range(len(t.buffer_orders)):
        held, a, b, c = t.buffer_orders[row]
        first, second, third = t.width[BUFFER, a] * batch, t.width[BUFFER, b] * batch, t.width[BUFFER, c] * batch
        room = t.capacity[BUFFER]
        options[n, 0] = row
        options[n, 1:] = 0
        if held == 0:
            n += 1
        elif held == 1:
            if first * u[b] * u[c] <= room:
                options[n, 1 + a] = 1
                n += 1
        elif held == 2:
            visits = fewest_visits(t, b, u[b], v[b], (room - second * u[a] * u[c]) / (first * u[c]), exact)
            if visits:
                options[n, 1 + a], options[n, 1 + b] = 1, visits
                n += 1
        else:
            room -= third * u[a] * u[b]
            n = _list_edge(t, row, u, v, (first, second * u[a], room), exact, options, n)
    return n


@kernel
def _list_edge(
    t: Tables, row: int, u: Array, v: Array, fit: tuple[float, float, float], exact: int, options: Array, n: int
) -> int:
    """Pairs of visits at the edge of ``first X_b X_c + second X_c <= room``, from the fewest of rank b on."""
    _, a, b, c = t.buffer_orders[row]
    first, second, room = fit
    fewest = fewest_visits(t, b, u[b], v[b], (room / u[c] - second) / first, exact)
    if fewest == 0:
        return n
    last = 0
    for i in range(t.start[b], t.start[b + 1]):
        visits = t.visits[i]
        if visits < fewest:
            continue
        if visits > v[b]:
            break
        if exact:
            if (t.perfect and v[b] % visits) or ceil_div(v[b], ceil_div(v[b], visits)) != visits:
                continue
            size = tile(t, b, u[b], v[b], visits)
        else:
            size = max(u[b], t.least[i])
        across = fewest_visits(t, c, u[c], v[c], room / (first * size + second), exact)
        if across in (0, last):
            continue
        options[n, 0] = row
        options[n, 1 + a], options[n, 1 + b], options[n, 1 + c] = 1, visits, across
        last = across
        n += 1
        if across == 1:
            break
    return n


@kernel
def total(t: Tables, row: int, visits: Array, served: Array) -> float:
    """One row of `prices.OuterPrices` over all tensors.

    Args:
        visits: Of each tensor's buffer tile; 0 where the buffer does not hold it.
        served: Times that the array takes in each tensor.
    """
    result = 0.0
    for r in range(3):
        if visits[r]:
            result += t.held[row, r, 0] * visits[r] + t.held[row, r, 1] * served[r] - t.held[row, r, 2]
        else:
            result += t.bare[row, r, 1] * served[r] - t.bare[row, r, 2]
    return result


@kernel
def port_cycles(t: Tables, visits: Array, served: Array) -> float:
    """Cycles of the busiest limited port of the outermost memory and the buffer."""
    busiest = 0.0
    for row in range(1, len(t.held)):
        busiest = max(busiest, total(t, row, visits, served))
    return busiest


@kernel
def least_outer(t: Tables, options: Array, n: int, served: Array) -> tuple[float, float]:
    """Least energy and, independently, least port cycles of the options."""
    energy, cycles = math.inf, math.inf
    for i in range(n):
        energy = min(energy, total(t, 0, options[i, 1:], served))
        cycles = min(cycles, port_cycles(t, options[i, 1:], served))
    return energy, cycles


@kernel
def occupancy(t: Tables, option: Array, u: Array, v: Array, batch: float) -> float:
    """What the buffer holds under an exact option, in its parts."""
    held, a, b, c = t.buffer_orders[option[0]]
    x_b = tile(t, b, u[b], v[b], option[1 + b]) if held > 1 else u[b]
    x_c = tile(t, c, u[c], v[c], option[1 + c]) if held > 2 else u[c]
    result = 0.0
    if held > 0:
        result += t.width[BUFFER, a] * x_b * x_c
    if held > 1:
        result += t.width[BUFFER, b] * u[a] * x_c
    if held > 2:
        result += t.width[BUFFER, c] * u[a] * u[b]
    return result * batch
