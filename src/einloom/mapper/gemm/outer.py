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
from typing import NamedTuple

from einloom.mapper.gemm.compiled import kernel
from einloom.mapper.gemm.tables import BUFFER, Tables
from einloom.model.arrays import Array


class Tiles(NamedTuple):
    """What buffer tiles stand on; of one row, or of a box and then a bound of all rows in it.

    Attributes:
        least: Smallest array tile of each rank.
        visits: Its visits.
        unit, pieces: Buffer tiles are multiples of ``unit``, of which a rank has ``pieces``: the array tile and its
            visits; for a bound, any integer (1 and the rank).
        batch: Batch points side by side.
    """

    least: Array
    visits: Array
    unit: Array
    pieces: Array
    batch: float


@kernel
def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@kernel
def fewest_visits(t: Tables, r: int, tiles: Tiles, limit: float) -> int:
    """Fewest visits of a buffer tile of rank ``r`` of at most ``limit``; 0 where not even the array tile fits."""
    if not limit >= tiles.least[r]:
        return 0
    if limit >= t.extent[r]:
        return 1
    if t.perfect:
        for i in range(t.start[r], t.start[r + 1]):
            if t.least[i] <= limit and tiles.pieces[r] % t.visits[i] == 0:
                return int(t.visits[i])
        return 0
    return ceil_div(tiles.pieces[r], int(limit) // tiles.unit[r])


@kernel
def tile(t: Tables, r: int, tiles: Tiles, visits: int) -> int:
    """The smallest buffer tile of ``visits`` visits."""
    return int(max(tiles.least[r], min(t.extent[r], ceil_div(tiles.pieces[r], visits) * tiles.unit[r])))


@kernel
def list_options(t: Tables, tiles: Tiles, options: Array) -> int:
    """Fill ``options`` with rows of (row of the order, visits of each tensor's buffer tile or 0); how many.

    Args:
        options: Shape ``(orders + 6 classes, 4)``.
    """
    u, n = tiles.least, 0
    for row in range(len(t.buffer_orders)):
        held, a = t.buffer_orders[row, 0], t.buffer_orders[row, 1]
        b, c = t.buffer_orders[row, 2], t.buffer_orders[row, 3]
        width, room = t.width[BUFFER], t.capacity[BUFFER] / tiles.batch
        options[n, 0] = row
        options[n, 1:] = 0
        if held == 0:
            n += 1
        elif held == 1:
            if width[a] * u[b] * u[c] <= room:
                options[n, 1 + a] = 1
                n += 1
        elif held == 2:
            visits = fewest_visits(t, b, tiles, (room - width[b] * u[a] * u[c]) / (width[a] * u[c]))
            if visits:
                options[n, 1 + a], options[n, 1 + b] = 1, visits
                n += 1
        else:
            n = _list_edge(t, row, tiles, room - width[c] * u[a] * u[b], options, n)
    return n


@kernel
def _list_edge(t: Tables, row: int, tiles: Tiles, room: float, options: Array, n: int) -> int:
    """Pairs of visits at the edge of ``(width_a X_b + width_b u_a) X_c <= room``, from the fewest of rank b on."""
    a, b, c = t.buffer_orders[row, 1], t.buffer_orders[row, 2], t.buffer_orders[row, 3]
    first, second = t.width[BUFFER, a], t.width[BUFFER, b] * tiles.least[a]
    fewest = fewest_visits(t, b, tiles, (room / tiles.least[c] - second) / first)
    if fewest == 0:
        return n
    last = 0
    for i in range(t.start[b], t.start[b + 1]):
        visits, count = t.visits[i], tiles.pieces[b]
        if visits < fewest:
            continue
        if visits > tiles.visits[b]:
            break
        if (t.perfect and count % visits) or ceil_div(count, ceil_div(count, visits)) != visits:
            continue
        across = fewest_visits(t, c, tiles, room / (first * tile(t, b, tiles, visits) + second))
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
def occupancy(t: Tables, option: Array, tiles: Tiles) -> float:
    """What the buffer holds under an option, in its parts."""
    row, u = option[0], tiles.least
    held, a, b, c = t.buffer_orders[row, 0], t.buffer_orders[row, 1], t.buffer_orders[row, 2], t.buffer_orders[row, 3]
    x_b = tile(t, b, tiles, option[1 + b]) if held > 1 else u[b]
    x_c = tile(t, c, tiles, option[1 + c]) if held > 2 else u[c]
    result = 0.0
    if held > 0:
        result += t.width[BUFFER, a] * x_b * x_c
    if held > 1:
        result += t.width[BUFFER, b] * u[a] * x_c
    if held > 2:
        result += t.width[BUFFER, c] * u[a] * u[b]
    return result * tiles.batch
