"""The numbers that the kernels of this package read, and the codes that they share."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from einloom.model.arrays import Array

ENERGY, LATENCY, EDP, PARETO = range(4)
"""Objectives."""

BUFFER, REGISTERS = 0, 1
"""Rows of ``width`` and ``capacity``."""

FAMILY, VECTOR, TILE, BUFFERED, REGISTERED, BUFFER_VISITS, ABOVE, INNERMOST = 0, 1, 2, 5, 6, 7, 10, 11
RECIPE = 12
"""Places of a recipe (what a candidate is made of) and their number.

family (0: ordinary, r + 1: tensor r floats), row of the spatial vector, register-side bound of each rank, row of the
buffer order and of the register order, visits that each tensor's buffer tile gets (0: not held), and of a floating
tensor its visits and the innermost bound of the last register hold.
"""

NO_HOLDER, TOGETHER, TWICE = 0, 1, 2
"""Where the buffer holds a floating tensor: nowhere, outside the hold above, or right outside the registers' hold."""


class Tables(NamedTuple):
    """One problem as arrays. A tensor has the number of the one rank that it ignores; energies in pJ, times in cycles.

    Attributes:
        extent: Size of each rank. Shape ``(3,)``, as all that is not said otherwise.
        perfect: Whether bounds must divide.
        apart: Whether a fanout parts the buffer from the registers: their tiles then span only loops below it.
        start: Place of each rank's visit classes in the next three; one more for the end. Shape ``(4,)``.
        visits, least, most: Visit classes (see `classes`). Shape ``(classes,)``.
        vectors: Instances of each rank by spatial vector, fewest steps first. Shape ``(vectors, 3)``.
        batch_tile, batch_steps: Batch points side by side, and batch steps, of each vector. Shape ``(vectors,)``.
        steps: Fewest steps of a vector. Shape ``(vectors,)``.
        widest: Most instances of each rank.
        instances: Most instances of the three ranks together.
        output: Number of the output.
        width: Of one element in the buffer and in the registers. Shape ``(2, 3)``.
        capacity: Of the two. Shape ``(2,)``.
        buffer_orders, register_orders: (how many are held, then the tensors, held ones first and outermost first)
            for each allowed order. Shape ``(orders, 4)``.
        register_limits: (row of the order, largest bound of each rank): the corners of what fits. Shape ``(, 4)``.
        floating_registers: (floating tensor, how many others, the others in order). Shape ``(, 4)``.
        floating_buffers: (floating tensor, tensor above it or -1, where the buffer holds the floating tensor itself,
            set of tensors below it, the outer one of two below it or -1). Shape ``(, 5)``.
        held, bare: `prices.OuterPrices`. Shape ``(rows, 3, 3)``.
        fill, first, in_registers, past_registers, register_ports: `prices.RegisterPrices`.
        base_pj: Energy of the operations.
        leak_pj: Static energy of a cycle.
        step_cycles: Cycles of a step.
    """

    extent: Array
    perfect: int
    apart: int
    start: Array
    visits: Array
    least: Array
    most: Array
    vectors: Array
    batch_tile: Array
    batch_steps: Array
    steps: Array
    widest: Array
    instances: int
    output: int
    width: Array
    capacity: Array
    buffer_orders: Array
    register_orders: Array
    register_limits: Array
    floating_registers: Array
    floating_buffers: Array
    held: Array
    bare: Array
    fill: Array
    first: Array
    in_registers: Array
    past_registers: Array
    register_ports: Array
    base_pj: float
    leak_pj: float
    step_cycles: float


class Scratch(NamedTuple):
    """Space of the kernels, which make no arrays.

    Attributes:
        relaxed, exact: For `outer.list_options`.
        bounds: For `inner.list_bounds` of each rank. Shape ``(3, bounds, 2)``.
        ranks: Rows of three integers, by the names below.
        steps: Steps of each rank.
        point, recipe: One candidate.
        boxes: Three boxes.
    """

    relaxed: Array
    exact: Array
    bounds: Array
    ranks: Array
    steps: Array
    point: Array
    recipe: Array
    boxes: Array


LOW, HIGH, FEWEST, MOST, W_LOW, W_HIGH, W, S, U, SERVED, HELD, NUMBERS, LOOSE, PLACED, ONES, REACH = range(16)
"""Rows of `Scratch.ranks`."""


def scratch_for(tables: Tables) -> Scratch:
    longest = int(np.diff(tables.start).max())
    ranks = np.zeros((16, 3), np.int64)
    ranks[ONES] = 1
    bounds = 4 if tables.perfect else int(tables.extent.max()) // 4 + 4 * longest
    return Scratch(
        relaxed=np.zeros((16 + 6 * longest, 4), np.int64),
        exact=np.zeros((16 + 6 * longest, 4), np.int64),
        bounds=np.zeros((3, bounds, 2), np.int64),
        ranks=ranks,
        steps=np.zeros(3),
        point=np.zeros(4),
        recipe=np.zeros(RECIPE, np.int64),
        boxes=np.zeros((3, 7), np.int64),
    )


def orders(must: frozenset[int], may: frozenset[int]) -> Array:
    """Every order of every allowed set of held tensors, as rows of `Tables.buffer_orders`. Shape ``(orders, 4)``."""
    rows = []
    for held in range(4):
        for chosen in itertools.permutations(range(3), held):
            if must <= frozenset(chosen) <= may:
                rows.append((held, *chosen, *(r for r in range(3) if r not in chosen)))
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def register_limits(register_orders: Array, width: Array, capacity: float, extent: Array) -> Array:
    """Corners of the bounds that fit the registers under each order, as rows of `Tables.register_limits`.

    With holds of tensors a, b, c (outermost first; each lets its own rank run below it) the tiles have ``w_b w_c``,
    ``w_c`` and 1 elements; a rank whose tensor is not held has no loop below the array, and ``w_a`` is free.
    """
    rows: list[list[int]] = []
    for row, (held, *abc) in enumerate(register_orders.tolist()):
        a, b, c = abc
        corner = [row, 1, 1, 1]
        if held:
            corner[1 + a] = int(extent[a])
        if held < 2:
            if held == 0 or width[a] <= capacity:
                rows.append(corner)
        elif held == 2:
            corner[1 + b] = int(min((capacity - width[b]) // width[a], extent[b]))
            if corner[1 + b] >= 1:
                rows.append(corner)
        else:
            rows += _corners(corner, (b, c), (width[a], width[b], capacity - width[c]), extent)
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def _corners(
    corner: list[int], ranks: tuple[int, int], room: tuple[float, float, float], extent: Array
) -> list[list[int]]:
    """Maximal ``(w_b, w_c)`` with ``first w_b w_c + second w_c <= room``."""
    (b, c), (first, second, left) = ranks, room
    rows = []
    w_c = 1
    while w_c <= extent[c]:
        w_b = int(min((left - second * w_c) // (first * w_c), extent[b]))
        if w_b < 1:
            break
        w_c = int(min(left // (first * w_b + second), extent[c]))
        corner = list(corner)
        corner[1 + b], corner[1 + c] = w_b, w_c
        rows.append(corner)
        w_c += 1
    return rows


def floating_registers(must: frozenset[int], may: frozenset[int]) -> Array:
    """Register holds beside a floating tensor, as rows of `Tables.floating_registers`. Shape ``(, 4)``."""
    rows = []
    for a in range(3):
        b, c = (r for r in range(3) if r != a)
        for others in ((), (b,), (c,), (b, c), (c, b)):
            if must <= frozenset((a, *others)) <= may:
                rows.append((a, len(others), *others, *(r for r in (b, c) if r not in others)))
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def floating_buffers(must: frozenset[int], may: frozenset[int]) -> Array:
    """Buffer holds around a floating tensor, as rows of `Tables.floating_buffers`. Shape ``(, 5)``.

    At least one stands below it (else the tensor sinks into the array: an ordinary nest). The buffer's own hold of
    the floating tensor right outside that of the registers never pays, so it stands there only where it must.
    """
    rows = []
    for a in range(3):
        b, c = (r for r in range(3) if r != a)
        own = (NO_HOLDER, TWICE) if a in must else (NO_HOLDER,)
        choices = [(-1, where, tail) for where in own for tail in ((b,), (c,), (b, c), (c, b))]
        choices += [(s, where, (r,)) for where in (*own, TOGETHER) for s, r in ((b, c), (c, b))]
        for above, where, tail in choices:
            chosen = frozenset(tail) | ({above} - {-1}) | (set() if where == NO_HOLDER else {a})
            if must <= chosen <= may:
                rows.append((a, above, where, sum(1 << r for r in tail), tail[0] if len(tail) > 1 else -1))
    return np.array(rows, dtype=np.int64).reshape(-1, 5)
