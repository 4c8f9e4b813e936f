"""Counts of every memory and tensor: the counting rules of a chain of holders, on arrays of candidates.

For an input: a holder is *filled* with what arrives over its own link (each instance counts) and is *read* for what
the next link in needs (sharing counts). For an output the flow is turned round: results are *updates* of the
innermost holder; what leaves a holder is *drained* from it and updates the next one out; partial sums that come back
are read there and filled here. At every holder ``reads - drains = updates - first touches``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from einloom.arch.tree import Fanout
from einloom.model.arrays import EXACT_FLOAT, Array, exact, keep_freed_pages
from einloom.model.perfect import is_plain
from einloom.model.structure import Holder, Link, Mode, Slot, Structure
from einloom.model.traffic import Batch, link_words, touched_words


@dataclass(frozen=True, slots=True)
class Counts:
    """Elements in and out of one memory for one tensor, over all instances. Shape ``(candidates,)`` each."""

    reads: Array
    writes: Array
    fills: Array
    updates: Array
    drains: Array
    occupancy: Array

    def __add__(self, other: Counts) -> Counts:
        """Two references to one tensor are held, and counted, one beside the other."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def batch_of(structure: Structure, bounds: Array) -> Batch:
    """Candidates ready to be counted.

    Args:
        bounds: Shape ``(candidates, loops)``, integers of at least 1; per rank the product covers its size.
    """
    keep_freed_pages()
    columns = np.ascontiguousarray(bounds.T)
    places = [[i for i, slot in enumerate(structure.slots) if slot.variable == var] for var in structure.extents]
    covered = [math.prod((columns[i].astype(float) for i in loops), start=np.ones(len(bounds))) for loops in places]
    largest = math.prod((float(product.max(initial=1.0)) for product in covered), start=_slack(structure))
    exactly = exact(columns, largest)
    even = frozenset(
        var
        for (var, extent), product, loops in zip(structure.extents.items(), covered, places, strict=True)
        if (np.all(product == extent) if extent < EXACT_FLOAT else _multiplies_to(exactly[loops], extent))
    )
    return Batch(structure, tuple(exactly), even, {})


def _multiplies_to(bounds: Array, extent: int) -> bool:
    """Whether the bounds of one rank, one row a loop, multiply to its size in all candidates."""
    product = math.prod((row.astype(object) for row in bounds), start=np.array(1, dtype=object))
    return bool(np.all(product == extent))


def _slack(structure: Structure) -> float:
    """How far an intermediate of the sums may exceed the padded iteration space: overlapping intervals, sign, loops."""
    widest = 1.0
    for access in structure.einsum.accesses:
        coefficients = max(1, sum(abs(c) for dim in access.dims for _, c in dim))
        widest = max(widest, float(2 * coefficients) ** len(access.dims))
    return 4.0 * widest * (len(structure.slots) + 1)


def count(batch: Batch, level: int | None = None) -> Iterator[tuple[int, Holder, Counts]]:
    """(access, holder, counts) for every holder of every access (at one place of the path), outermost first."""
    structure = batch.structure
    by_outer = {(link.access, link.outer): link for link in structure.links}
    for i, chain in enumerate(structure.chains):
        incoming: Link | None = None
        for holder in chain:
            outgoing = by_outer[i, holder]
            if level is None or level == holder.level:
                yield i, holder, _holder_counts(batch, incoming, outgoing)
            incoming = outgoing


def _holder_counts(batch: Batch, incoming: Link | None, outgoing: Link) -> Counts:
    structure = batch.structure
    access = structure.einsum.accesses[outgoing.access]
    zero = batch.zero
    occupied = occupancy(batch, outgoing.access, outgoing.outer)
    inward = link_words(batch, outgoing, outgoing.merged)
    if access.role == "input":
        fills = link_words(batch, incoming, incoming.each).arrivals if incoming else zero
        return Counts(inward.arrivals, fills, fills, zero, zero, occupied)
    updates = inward.departures
    below = structure.modes(outgoing.inner, range(outgoing.outer.level + 1, outgoing.inner.level))
    first = touched_words(batch, access, below)
    if incoming is None:
        return Counts(updates - first, updates, zero, updates, zero, occupied)
    arrived = link_words(batch, incoming, incoming.each).arrivals
    fills = arrived - touched_words(batch, access, incoming.each)
    return Counts(arrived + updates - first, fills + updates, fills, updates, arrived, occupied)


def occupancy(batch: Batch, access: int, holder: Holder) -> Array:
    """Words of the largest tile in one instance: the first tile of the first instance. Shape ``(candidates,)``."""
    structure = batch.structure
    modes = structure.modes(holder)
    what = structure.einsum.accesses[access]
    if batch.divides and is_plain(what):
        words = batch.one
        for slot, mode, bound in zip(structure.slots, modes, batch.bounds, strict=True):
            if mode == Mode.TILE and slot.variable in what.variables:
                words = words * bound
        return words
    tile = dict.fromkeys(structure.extents, batch.one)
    for slot, mode, bound in zip(structure.slots, modes, batch.bounds, strict=True):
        if mode == Mode.TILE and slot.variable in tile:
            tile[slot.variable] = tile[slot.variable] * bound
    words = batch.one
    for dim in what.dims:
        reach = (abs(c) * (np.minimum(tile[var], structure.extents[var]) - 1) for var, c in dim)
        words = words * sum(reach, start=batch.one)
    return words


def combinations(batch: Batch, variable: str, free: Callable[[int, Slot], bool]) -> Array:
    """Index combinations of some loops of one rank that exist, its other loops at 0. Shape ``(candidates,)``.

    Args:
        free: Which loops vary, by place in the nest.
    """
    slots, places, one = batch.structure.slots, batch.places[variable], batch.one
    if variable in batch.even:
        result = one
        for i in places:
            if free(i, slots[i]):
                result = result * batch.bounds[i]
        return result
    inner = math.prod((batch.bounds[i] for i in places), start=one)
    extent = batch.structure.extents[variable]
    whole, rest = np.where(inner == extent, 1, 0) * one, np.where(inner == extent, 0, extent) * one
    for i in places:
        inner = inner // batch.bounds[i]
        if free(i, slots[i]):
            whole, rest = whole * batch.bounds[i] + rest // inner, rest % inner
        else:
            full = rest >= inner
            whole, rest = whole + full, np.where(full, 0, rest)
    return whole + (rest > 0)


def steps(batch: Batch, variables: Iterable[str] | None = None) -> Array:
    """Clipped temporal steps of the space that ``variables`` span (default: all). Shape ``(candidates,)``."""
    chosen = batch.structure.extents.keys() if variables is None else variables
    each = (combinations(batch, var, lambda _, slot: not slot.fanout) for var in chosen)
    return math.prod(each, start=batch.one)


def used(batch: Batch, above: int) -> Array:
    """Instances of the level at place ``above`` that ever have work. Shape ``(candidates,)``."""
    each = (
        combinations(batch, var, lambda _, slot: bool(slot.fanout) and slot.level < above)
        for var in batch.structure.extents
    )
    return math.prod(each, start=batch.one)


def axis_used(batch: Batch, fanout: str, axis: str) -> Array:
    """Instances in use along one axis. Shape ``(candidates,)``."""
    each = (
        combinations(batch, var, lambda _, slot: (slot.fanout, slot.axis) == (fanout, axis))
        for var in batch.structure.extents
    )
    return math.prod(each, start=batch.one)


def visits(batch: Batch, reach: Mapping[str, int]) -> Array:
    """Times that a set of tiles changes, plus one. Shape ``(candidates,)``.

    Args:
        reach: For each variable that indexes one of the tiles, the loops of the nest outside the hold.
    """
    structure, one = batch.structure, batch.one
    if batch.divides:
        return _perfect_visits(batch, reach)
    total = one
    for loop, slot in enumerate(structure.slots[: max(reach.values(), default=0)]):
        if slot.fanout or slot.variable not in structure.extents:
            continue
        every, still = one, one
        for var in structure.extents:
            outside = _periods(batch, var, loop)
            if var == slot.variable:
                moves = _periods(batch, var, loop + 1) - outside
                every, still = every * moves, still * (0 if loop < reach.get(var, 0) else moves)
            else:
                every, still = every * outside, still * _still(batch, var, loop, reach.get(var, 0))
        total = total + every - still
    return total


def _perfect_visits(batch: Batch, reach: Mapping[str, int]) -> Array:
    """The bounds of the loops that move a tile, and of the others that have a moving one further in."""
    total, moving = batch.one, batch.one > 1
    for loop in range(max(reach.values(), default=0) - 1, -1, -1):
        slot, bound = batch.structure.slots[loop], batch.bounds[loop]
        if slot.fanout:
            continue
        moves = loop < reach.get(slot.variable, 0)
        total = total * (bound if moves else np.where(moving, bound, 1))
        if moves:
            moving = moving | (bound > 1)
    return total


def _periods(batch: Batch, variable: str, cut: int) -> Array:
    """Lockstep indices of the temporal loops of one rank among the first ``cut`` loops of the nest."""
    return combinations(batch, variable, lambda i, slot: i < cut and not slot.fanout)


def _still(batch: Batch, variable: str, loop: int, reach: int) -> Array:
    """Periods outside ``loop`` in which the loops of one rank up to ``reach`` make one iteration in all."""
    outside = _periods(batch, variable, loop)
    if reach <= loop:
        return outside
    inside = _periods(batch, variable, reach)
    full = batch.one
    for place in range(loop, reach):
        slot = batch.structure.slots[place]
        if slot.variable == variable and not slot.fanout:
            full = full * batch.bounds[place]
    last = inside - (outside - 1) * full
    return np.where(full == 1, outside, np.where(last == 1, 1, 0))


def single_instances(batch: Batch, above: int) -> Iterator[Batch]:
    """One batch for each kind of instance of the level at place ``above``: first, cut, and idle at the end.

    Instances whose spatial digit is below, at, or above that of the last index behave alike, digit by digit.
    """
    choices = [
        [(i, kind) for kind in batch.once(("kinds", i), partial(_kinds, batch, i))]
        for i in batch.structure.spatial(above)
    ]
    for combination in itertools.product(*choices):
        yield replace(batch, instance=dict(combination))


def _kinds(batch: Batch, loop: int) -> list[Array]:
    """Indices along one spatial loop that stand for all."""
    variable, bound = batch.structure.slots[loop].variable, batch.bounds[loop]
    inner = math.prod((batch.bounds[later] for later in batch.places[variable] if later > loop), start=batch.one)
    cut = ((batch.structure.extents[variable] - 1) // inner) % bound
    kinds = [batch.zero, cut, np.minimum(cut + 1, bound - 1)]
    return [kind for n, kind in enumerate(kinds) if not any(np.array_equal(kind, k) for k in kinds[:n])]


def hops(batch: Batch, link: Link) -> Iterator[tuple[int, Array, Array]]:
    """(place, words in, words out) of each fanout that ``link`` crosses; every child that a word passes is one hop.

    In: deliveries to the children of the fanout (those that share further in are one), of an output the partial sums
    that come back. Out: results and drained partial sums that leave the children.
    """
    structure = batch.structure
    access = structure.einsum.accesses[link.access]
    zero = np.zeros_like(batch.like)
    inward, outward = (structure.sharing(access, link.outer, link.inner, way_in) for way_in in (True, False))
    for place in range(link.outer.level + 1, link.inner.level):
        if not isinstance(structure.path[place], Fanout):
            continue
        modes = structure.modes(link.inner, [other for other in inward if other > place])
        if access.role == "input":
            yield place, link_words(batch, link, modes).arrivals, zero
            continue
        leaving = structure.modes(link.inner, [other for other in outward if other > place])
        back = zero
        if link.inner.level < len(structure.path) - 1:
            back = link_words(batch, link, modes).arrivals - touched_words(batch, access, modes)
        yield place, back, link_words(batch, link, leaving).departures
