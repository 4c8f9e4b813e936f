"""Words over one link, whatever the bounds: the closed form of the perfect case, else sums over transitions.

For each transition of the nest the tiles of all instances change together; the ranks of a tensor fall into groups
that do not know of each other, so the words of all transitions of one loop are a product over groups::

    words = prod start + sum over loops ( prod after - prod stays )

with the sums of `model.digits` (one rank, any candidates at once) or `model.groups` (listed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from einloom.model import perfect
from einloom.model.arrays import Array
from einloom.model.digits import Digit, Motion, Rank, Sums
from einloom.model.groups import Group, IntDigit
from einloom.model.structure import Link, Mode, Modes, Structure
from einloom.workloads.sized import Access, Dim


@dataclass(frozen=True)
class Batch:
    """Candidates: a structure with one row of bounds each.

    Attributes:
        structure: Shared by all.
        bounds: One array of shape ``(candidates,)`` for each loop.
        divides: Whether the bounds of every rank multiply to its size, in all candidates.
        instance: Index of one singled-out instance for some spatial loops, by slot; others are summed over.
    """

    structure: Structure
    bounds: tuple[Array, ...]
    divides: bool
    instance: dict[int, Array]

    @property
    def like(self) -> Array:
        return self.bounds[0]


class Words(NamedTuple):
    """Words over a link, summed over what does not share. Shape ``(candidates,)`` each."""

    arrivals: Array
    departures: Array
    touched: Array


def link_words(batch: Batch, link: Link, modes: Modes) -> Words:
    """Words that cross ``link`` as ``modes`` (its ``each`` or ``merged``) see it."""
    structure = batch.structure
    access = structure.einsum.accesses[link.access]
    compute = link.inner.level == len(structure.path) - 1
    if batch.divides and not batch.instance and perfect.is_separable(access):
        arguments = (structure.einsum, access, structure.slots, modes, batch.bounds)
        if compute:
            words = perfect.delivered_words(*arguments)
            return Words(words, words, words)
        words = perfect.moved_words(*arguments)
        touched = perfect.first_touches(*arguments) if access.role == "output" else words
        return Words(words, words, touched)
    return _summed(batch, access, modes, compute)


def _summed(batch: Batch, access: Access, modes: Modes, compute: bool) -> Words:
    parts = [_part(batch, access, names, dims, modes) for names, dims in _groups(batch.structure, access)]
    one = np.ones_like(batch.like)
    if compute:
        steps = _product([part.motion.steps for part in parts], one)
        return Words(steps, steps, steps)
    touched = _product([part.motion.touched for part in parts], one)
    arrivals = _product([part.motion.start for part in parts], one)
    departures = _product([part.motion.end for part in parts], one)
    for loop, mode in enumerate(modes):
        if mode != Mode.TIME:
            continue
        sums = [part.sums(loop) for part in parts]
        arrivals = arrivals + _product([s.after for s in sums], one) - _product([s.stays for s in sums], one)
        departures = departures + _product([s.before for s in sums], one) - _product([s.stays_back for s in sums], one)
    return Words(arrivals, departures, touched)


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
    rest = [({var}, []) for var in structure.extents if var not in access.variables]
    return [(tuple(v for v in structure.extents if v in names), tuple(dims)) for names, dims in [*groups, *rest]]


def _part(batch: Batch, access: Access, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> _Part:
    structure = batch.structure
    places = {var: [i for i, slot in enumerate(structure.slots) if slot.variable == var] for var in names}
    loops = tuple(i for var in names for i in places[var] if modes[i] == Mode.TIME)
    spatial = {modes[i] for var in names for i in places[var]} & {Mode.EACH, Mode.SHARED}
    plain = len(names) == 1 and len(dims) <= 1 and all(abs(c) == 1 for dim in dims for _, c in dim)
    if plain and (dims or len(spatial) <= 1):
        (var,) = names
        digits = [Digit(modes[i], batch.bounds[i], batch.instance.get(i)) for i in places[var]]
        return _Part(Rank(structure.extents[var], digits, bool(dims), batch.like).motion(), loops)
    return _Part(_listed(batch, names, dims, places, modes), tuple(sorted(loops)))


def _listed(
    batch: Batch, names: Sequence[str], dims: tuple[Dim, ...], places: dict[str, list[int]], modes: Modes
) -> Motion:
    """The motion of a listed group, candidate by candidate."""
    rows = []
    for row in range(len(batch.like)):
        digits = {
            var: [
                IntDigit(i, modes[i], int(batch.bounds[i][row]), int(at[row]) if (at := batch.instance.get(i)) is not None else None)
                for i in places[var]
            ]
            for var in names
        }
        rows.append(Group({var: batch.structure.extents[var] for var in names}, digits, dims).motion())
    kind = batch.like.dtype

    def gather(values: list[Array]) -> Array:
        return np.concatenate(values).astype(kind)

    def sums(values: list[Sums]) -> Sums:
        return Sums(*(gather([getattr(v, name) for v in values]) for name in ("after", "stays", "before", "stays_back")))

    return Motion(
        gather([m.start for m in rows]),
        gather([m.end for m in rows]),
        tuple(sums([m.wrap[k] for m in rows]) for k in range(len(rows[0].wrap))),
        tuple(sums([m.step[k] for m in rows]) for k in range(len(rows[0].step))),
        gather([m.steps for m in rows]),
        gather([m.touched for m in rows]),
    )
