"""Words over one link, whatever the bounds: the closed form of the perfect case, else sums over transitions.

For each transition of the nest the tiles of all instances change together; the ranks of a tensor fall into groups
that do not know of each other, so the words of all transitions of one loop are a product over groups::

    words = prod start + sum over loops ( prod after - prod stays )

with the sums of `model.digits` (one rank, any candidates at once) or `model.groups` (listed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from einloom.model import perfect
from einloom.model.arrays import Array
from einloom.model.digits import Digit, EvenRank, Motion, Rank, Sums
from einloom.model.groups import Group, IntDigit
from einloom.model.structure import Link, Mode, Modes, Structure
from einloom.workloads.sized import Access, Dim


@dataclass(frozen=True)
class Batch:
    """Candidates: a structure with one row of bounds each.

    Attributes:
        structure: Shared by all.
        bounds: One array of shape ``(candidates,)`` for each loop.
        even: Ranks whose bounds multiply to their size in all candidates.
        instance: Index of one singled-out instance for some spatial loops, by slot; others are summed over.
    """

    structure: Structure
    bounds: tuple[Array, ...]
    even: frozenset[str]
    instance: dict[int, Array]

    @property
    def divides(self) -> bool:
        """Whether nothing is clipped."""
        return len(self.even) == len(self.structure.extents)

    @property
    def like(self) -> Array:
        return self.bounds[0]

    @cached_property
    def one(self) -> Array:
        """Ones. Never written to."""
        return np.ones_like(self.bounds[0])

    @cached_property
    def zero(self) -> Array:
        """Zeros. Never written to."""
        return np.zeros_like(self.bounds[0])

    @cached_property
    def places(self) -> dict[str, tuple[int, ...]]:
        """Slots of the loops of each rank variable, outermost first."""
        slots = enumerate(self.structure.slots)
        found: dict[str, list[int]] = {var: [] for var in self.structure.extents}
        for i, slot in slots:
            if slot.variable in found:
                found[slot.variable].append(i)
        return {var: tuple(places) for var, places in found.items()}


class Words(NamedTuple):
    """Words over a link, summed over what does not share. Shape ``(candidates,)`` each."""

    arrivals: Array
    departures: Array


def link_words(batch: Batch, link: Link, modes: Modes) -> Words:
    """Words that cross ``link`` as ``modes`` (its ``each`` or ``merged``) see it."""
    structure = batch.structure
    access = structure.einsum.accesses[link.access]
    compute = link.inner.level == len(structure.path) - 1
    if _has_closed_form(batch, access):
        count = perfect.delivered_words if compute else perfect.moved_words
        words = count(structure.einsum, access, structure.slots, modes, batch.bounds)
        return Words(words, words)
    parts = [_part(batch, access, names, dims, modes) for names, dims in _groups(structure, access)]
    one = np.ones_like(batch.like)
    if compute:
        steps = _product([part.motion.steps for part in parts], one)
        return Words(steps, steps)
    arrivals = _product([part.motion.start for part in parts], one)
    departures = _product([part.motion.end for part in parts], one)
    for loop, mode in enumerate(modes):
        if mode != Mode.TIME:
            continue
        sums = [part.sums(loop) for part in parts]
        arrivals = arrivals + _product([s.after for s in sums], one) - _product([s.stays for s in sums], one)
        departures = departures + _product([s.before for s in sums], one) - _product([s.stays_back for s in sums], one)
    return Words(arrivals, departures)


def touched_words(batch: Batch, access: Access, modes: Modes) -> Array:
    """Distinct elements that the instances which share ever hold, summed over the others. Shape ``(candidates,)``."""
    structure = batch.structure
    if _has_closed_form(batch, access):
        return perfect.touched_words(structure.einsum, access, structure.slots, modes, batch.bounds)
    factors = []
    for names, dims in _groups(structure, access):
        if _is_plain(names, dims):
            factors.append(_rank(batch, names[0], dims, modes).touched())
        else:
            factors.append(_gather([group.touched() for group in _listed(batch, names, dims, modes)], batch))
    return _product(factors, np.ones_like(batch.like))


def _has_closed_form(batch: Batch, access: Access) -> bool:
    return batch.divides and not batch.instance and perfect.is_separable(access)


def _product(factors: list[Array], one: Array) -> Array:
    result = one
    for factor in factors:
        result = result * factor
    return result


@dataclass(frozen=True)
class _Part:
    """The motion of one group and the places of its temporal loops in the nest."""

    motion: Motion
    loops: tuple[int, ...]

    def sums(self, loop: int) -> Sums:
        """What this group does when the temporal loop at place ``loop`` steps."""
        if loop in self.loops:
            return self.motion.step[self.loops.index(loop)]
        return self.motion.wrap[sum(1 for place in self.loops if place < loop)]


def _groups(structure: Structure, access: Access) -> list[tuple[tuple[str, ...], tuple[Dim, ...]]]:
    """Variables that share dimensions of ``access``, with those dimensions; the others one by one."""
    groups: list[tuple[set[str], list[Dim]]] = []
    for dim in access.dims:
        names = {var for var, _ in dim}
        if not names:
            continue
        joined = [group for group in groups if group[0] & names]
        for group in joined:
            groups.remove(group)
        groups.append((names.union(*(g[0] for g in joined)), [*(d for g in joined for d in g[1]), dim]))
    groups += [({var}, []) for var in structure.extents if var not in access.variables]
    return [(tuple(v for v in structure.extents if v in names), tuple(dims)) for names, dims in groups]


def _part(batch: Batch, access: Access, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> _Part:
    slots = batch.structure.slots
    places = [i for i, slot in enumerate(slots) if slot.variable in names]
    loops = tuple(i for i in places if modes[i] == Mode.TIME)
    spatial = {modes[i] for i in places} & {Mode.EACH, Mode.SHARED}
    if _is_plain(names, dims) and (dims or len(spatial) <= 1 or names[0] in batch.even):
        return _Part(_rank(batch, names[0], dims, modes).motion(), loops)
    motions = [group.motion() for group in _listed(batch, names, dims, modes)]
    return _Part(_stacked(motions, batch), loops)


def _is_plain(names: Sequence[str], dims: Sequence[Dim]) -> bool:
    return len(names) == 1 and len(dims) <= 1 and all(abs(c) == 1 for dim in dims for _, c in dim)


def _rank(batch: Batch, variable: str, dims: Sequence[Dim], modes: Modes) -> Rank | EvenRank:
    places = [i for i, slot in enumerate(batch.structure.slots) if slot.variable == variable]
    digits = [Digit(modes[i], batch.bounds[i], batch.instance.get(i)) for i in places]
    if variable in batch.even:
        return EvenRank(digits, bool(dims), batch.like)
    return Rank(batch.structure.extents[variable], digits, bool(dims), batch.like)


def _listed(batch: Batch, names: Sequence[str], dims: tuple[Dim, ...], modes: Modes) -> Iterator[Group]:
    """The group of each candidate."""
    slots = batch.structure.slots
    extents = {var: batch.structure.extents[var] for var in names}
    for row in range(len(batch.like)):
        digits: dict[str, list[IntDigit]] = {var: [] for var in names}
        for i, slot in enumerate(slots):
            if slot.variable in digits:
                at = batch.instance.get(i)
                index = None if at is None else int(at[row])
                digits[slot.variable].append(IntDigit(i, modes[i], int(batch.bounds[i][row]), index))
        yield Group(extents, digits, dims)


def _stacked(rows: list[Motion], batch: Batch) -> Motion:
    """Motions of single candidates as one of all."""

    def sums(values: list[Sums]) -> Sums:
        names = ("after", "stays", "before", "stays_back")
        return Sums(*(_gather([getattr(value, name) for value in values], batch) for name in names))

    return Motion(
        _gather([m.start for m in rows], batch),
        _gather([m.end for m in rows], batch),
        tuple(sums([m.wrap[k] for m in rows]) for k in range(len(rows[0].wrap))),
        tuple(sums([m.step[k] for m in rows]) for k in range(len(rows[0].step))),
        _gather([m.steps for m in rows], batch),
    )


def _gather(values: list[Array], batch: Batch) -> Array:
    return np.concatenate(values).astype(batch.like.dtype)
