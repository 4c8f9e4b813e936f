"""Words over one link when the bounds of every rank multiply to exactly its size.

Then all instances and all tiles are translations of each other, and counting rules 2 to 4 have closed forms.

*Without windows* a tile either stays or is replaced as a whole: words are the tensor's size times the bounds of the
irrelevant loops that have a moving relevant loop further in (and times the instances that do not share).

*With windows* (a dimension indexed by several variables, or by a multiple of one) the overlap of consecutive tiles is
kept. Walking the temporal loops from the innermost outwards, with per dimension the wrap ``W`` (how far the tile has
moved when all loops seen so far stand at their last iteration) and the words ``R`` fetched after the first tile::

    D   = c * stride * [variable in dimension] - W     displacement when this loop steps and all inner ones wrap
    a   = min(|D|, f)                                  new part of an interval of length f
    new = prod U(f) - prod (U(f) - U(a))               new words over the instances that share
    R  <- b * R + (b - 1) * new ;  W <- W + c * stride * (b - 1)

where ``U(L)`` is the size of the union of intervals of length ``L`` at the offsets of the sharing instances.

Axis order everywhere: candidates. Exact for integers of any size (`model.arrays`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from einloom.errors import MappingError, Problem
from einloom.model.arrays import Array, exact
from einloom.model.structure import Mode, Modes, Slot
from einloom.workloads.sized import Access, Dim, SizedEinsum

LARGEST = 10_000_000
"""Most places of a tile in one dimension that are listed."""


def is_plain(access: Access) -> bool:
    """Whether every variable indexes at most one dimension, alone and with coefficient 1: tiles never overlap."""
    used = [var for dim in access.dims for var, _ in dim]
    return len(used) == len(set(used)) and all(
        len(dim) <= 1 and all(abs(c) == 1 for _, c in dim) for dim in access.dims
    )


def is_separable(access: Access) -> bool:
    """Whether no variable indexes two dimensions, so that the sharing instances form a product grid."""
    used = [var for dim in access.dims for var, _ in dim]
    return len(used) == len(set(used))


def moved_words(
    einsum: SizedEinsum, access: Access, slots: Sequence[Slot], modes: Modes, bounds: Sequence[Array]
) -> Array:
    """Words that enter (equally: leave) the inner end of a link, over all instances. Shape ``(candidates,)``.

    Args:
        slots: Loops of the nest, outermost first.
        modes: How the inner end sees each of them.
        bounds: One array of shape ``(candidates,)`` for each loop.
    """
    if is_plain(access):
        return _plain_words(einsum, access, slots, modes, bounds)
    return _windowed_words(access, slots, modes, bounds)


def delivered_words(
    einsum: SizedEinsum, access: Access, slots: Sequence[Slot], modes: Modes, bounds: Sequence[Array]
) -> Array:
    """Words between the innermost holder and a compute, which holds nothing: every step takes them anew."""
    relevant = access.variables
    if is_plain(access):
        words: Array | int = einsum.size(access)
        for slot, mode, bound in zip(slots, modes, bounds, strict=True):
            if slot.variable not in relevant and mode != Mode.SHARED:
                words = bound * words
        return _filled(words, bounds)
    tile, offsets = _tile_and_offsets(access, slots, modes, bounds)
    points = reduce(np.multiply, (union(tile[d] * 0 + 1, offsets[d]) for d in range(len(access.dims))))
    for mode, bound in zip(modes, bounds, strict=True):
        if mode in (Mode.TIME, Mode.EACH):
            points = points * bound
    return points


def _plain_words(
    einsum: SizedEinsum, access: Access, slots: Sequence[Slot], modes: Modes, bounds: Sequence[Array]
) -> Array:
    relevant = access.variables
    words: Array | int = einsum.size(access)
    moving = None  # whether some relevant loop further in iterates
    for slot, mode, bound in zip(reversed(slots), reversed(modes), reversed(bounds), strict=True):
        if slot.variable in relevant:
            if mode == Mode.TIME:
                moving = bound > 1 if moving is None else moving | (bound > 1)
        elif mode == Mode.EACH:
            words = bound * words
        elif mode == Mode.TIME and moving is not None:
            words = np.where(moving, bound, 1) * words
    return _filled(words, bounds)


def _filled(words: Array | int, bounds: Sequence[Array]) -> Array:
    """A count that no bound entered as an array."""
    return np.full_like(bounds[0], words) if isinstance(words, int) else words


def _windowed_words(access: Access, slots: Sequence[Slot], modes: Modes, bounds: Sequence[Array]) -> Array:
    tile, offsets = _tile_and_offsets(access, slots, modes, bounds)
    dims = range(len(access.dims))
    whole = [union(tile[d], offsets[d]) for d in dims]
    first = reduce(np.multiply, whole, np.ones_like(bounds[0]))
    later = first * 0
    wrap = [first * 0 for _ in dims]
    stride = dict.fromkeys(access.variables, first * 0 + 1)
    for slot, mode, bound in zip(reversed(slots), reversed(modes), reversed(bounds), strict=True):
        steps = {d: c * stride[slot.variable] for d in dims for var, c in access.dims[d] if var == slot.variable}
        if mode == Mode.TIME:
            displaced = [steps.get(d, 0) - wrap[d] for d in dims]
            kept = [whole[d] - union(np.minimum(np.abs(displaced[d]), tile[d]), offsets[d]) for d in dims]
            new = first - reduce(np.multiply, kept, np.ones_like(first))
            later = bound * later + (bound - 1) * new
            for d, step in steps.items():
                wrap[d] = wrap[d] + step * (bound - 1)
        if slot.variable in stride:
            stride[slot.variable] = stride[slot.variable] * bound
    words = first + later
    return _times_each(words, modes, bounds)


def _times_each(words: Array, modes: Modes, bounds: Sequence[Array]) -> Array:
    """Over all instances that do not share: they move alike."""
    for mode, bound in zip(modes, bounds, strict=True):
        if mode == Mode.EACH:
            words = words * bound
    return words


Offsets = list[tuple[Array, Array]]
"""Instances along one dimension: (count, spacing) of each sharing loop, innermost first."""


def _tile_and_offsets(
    access: Access, slots: Sequence[Slot], modes: Modes, bounds: Sequence[Array]
) -> tuple[list[Array], list[Offsets]]:
    one = np.ones_like(bounds[0])
    inside = dict.fromkeys(access.variables, one)
    stride = dict.fromkeys(access.variables, one)
    offsets: list[Offsets] = [[] for _ in access.dims]
    for slot, mode, bound in zip(reversed(slots), reversed(modes), reversed(bounds), strict=True):
        if slot.variable not in inside:
            continue
        if mode == Mode.TILE:
            inside[slot.variable] = inside[slot.variable] * bound
        elif mode == Mode.SHARED:
            for d, dim in enumerate(access.dims):
                offsets[d] += [(bound, abs(c) * stride[var]) for var, c in dim if var == slot.variable]
        stride[slot.variable] = stride[slot.variable] * bound
    return [_extent(dim, inside, one) for dim in access.dims], offsets


def _extent(dim: Dim, tile: dict[str, Array], one: Array) -> Array:
    return sum((abs(c) * (tile[var] - 1) for var, c in dim), start=one)


def union(length: Array, offsets: Offsets) -> Array:
    """Size of the union of intervals of ``length`` at all sums of ``offsets``. Shape ``(candidates,)``."""
    moving = [(count, gap) for count, gap in offsets if np.any(count > 1)]
    if not moving:
        return length
    if len(moving) == 1:
        count, gap = moving[0]
        return np.where(length > 0, length + (count - 1) * np.minimum(gap, length), 0)
    counts = np.stack([count for count, _ in moving], axis=1)
    gaps = np.stack([gap for _, gap in moving], axis=1)
    size, nested = _nested_union(length, counts, gaps)
    empty = length <= 0
    size, nested = np.where(empty, 0, size), nested | empty
    if not nested.all():
        rows = [tuple(row) for row in np.concatenate([length[:, None], counts, gaps], axis=1)[~nested].tolist()]
        sizes = {row: _union_of(row[0], row[1 : 1 + len(moving)], row[1 + len(moving) :]) for row in set(rows)}
        size[~nested] = [sizes[row] for row in rows]
    return size


def _nested_union(length: Array, counts: Array, gaps: Array) -> tuple[Array, Array]:
    """The same where each loop, by rising gap, either adds to one interval or sets copies apart; and where it does.

    Args:
        counts, gaps: Shape ``(candidates, loops)``.
    """
    order = np.argsort(np.where(counts > 1, gaps, 0), axis=1)
    counts, gaps = np.take_along_axis(counts, order, axis=1), np.take_along_axis(gaps, order, axis=1)
    copies, reach, nested = np.ones_like(length), length, np.ones(len(length), dtype=bool)
    for count, gap in zip(counts.T, gaps.T, strict=True):
        joins = (copies == 1) & (gap <= length)
        apart = gap >= reach
        nested &= joins | apart | (count == 1)
        length = length + np.where(joins, (count - 1) * gap, 0)
        copies = np.where(joins, copies, copies * count)
        reach = reach + (count - 1) * gap
    return length * copies, nested


def _union_of(length: int, counts: Sequence[int], gaps: Sequence[int]) -> int:
    """The same for one candidate with several loops in one dimension: sort the distinct offsets, add the gaps.

    Raises:
        MappingError: The offsets are too many to be listed.
    """
    if length <= 0:
        return 0
    reach = length + sum((count - 1) * gap for count, gap in zip(counts, gaps, strict=True))
    starts = exact(np.zeros(1, dtype=np.int64), float(reach))
    for count, gap in zip(counts, gaps, strict=True):
        if count * len(starts) > LARGEST:
            raise MappingError(
                Problem(f"more than {LARGEST} tiles overlap along one dimension", "put fewer instances along its ranks")
            )
        starts = np.unique((starts[:, None] + gap * np.arange(count)[None, :]).reshape(-1))
    return length + int(np.minimum(np.diff(starts), length).sum())


def touched_words(
    einsum: SizedEinsum, access: Access, slots: Sequence[Slot], modes: Modes, bounds: Sequence[Array]
) -> Array:
    """Distinct elements that the instances which share ever hold, summed over the others. Shape ``(candidates,)``."""
    each = [(slot, bound) for slot, mode, bound in zip(slots, modes, bounds, strict=True) if mode == Mode.EACH]
    if is_plain(access):
        words = np.full_like(bounds[0], einsum.size(access))
        return math.prod((bound for slot, bound in each if slot.variable not in access.variables), start=words)
    seen = tuple(Mode.SHARED if mode == Mode.TIME else mode for mode in modes)
    tile, offsets = _tile_and_offsets(access, slots, seen, bounds)
    words = reduce(np.multiply, (union(tile[d], offsets[d]) for d in range(len(access.dims))), np.ones_like(bounds[0]))
    return math.prod((bound for _, bound in each), start=words)
