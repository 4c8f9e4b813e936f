"""Words over one link, whatever the bounds: the closed form of the perfect case, else sums over transitions.

For each transition of the nest the tiles of all instances change together; the ranks of a tensor fall into groups
that do not know of each other, so the words of all transitions of one loop are a product over groups::

    words = prod start + sum over loops ( prod after - prod stays )

with the sums of `model.digits` (one rank), `model.intervals` (ranks that share a dimension) or `model.groups` (ranks
that share several dimensions). Each is asked once for each distinct row of bounds of its ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from einloom.model import perfect
from einloom.model.arrays import Array, Count
from einloom.model.chains import Chains
from einloom.model.digits import Digit, EvenRank, Motion, Rank, Sums
from einloom.model.groups import Group, IntDigit
from einloom.model.intervals import Intervals
from einloom.model.structure import Link, Mode, Modes, Structure
from einloom.model.windows import EvenWindow, Line
from einloom.workloads.sized import Access, Dim

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """Candidates: a structure with one row of bounds each.

    Attributes:
        structure: Shared by all.
        bounds: One array of shape ``(candidates,)`` for each loop.
        even: Ranks whose bounds multiply to their size in all candidates.
        instance: Index of one singled-out instance for some spatial loops, by slot; others are summed over.
        known: What has been counted, for all batches that differ in ``instance`` only.
    """

    structure: Structure
    bounds: tuple[Array, ...]
    even: frozenset[str]
    instance: Mapping[int, Array]
    known: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

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
    def iterates(self) -> tuple[bool, ...]:
        """For each loop whether it has more than one iteration in some candidate."""
        return tuple(bool((bound > 1).any()) for bound in self.bounds)

    @cached_property
    def places(self) -> dict[str, tuple[int, ...]]:
        """Slots of the loops of each rank variable, outermost first."""
        slots = enumerate(self.structure.slots)
        found: dict[str, list[int]] = {var: [] for var in self.structure.extents}
        for i, slot in slots:
            if slot.variable in found:
                found[slot.variable].append(i)
        return {var: tuple(places) for var, places in found.items()}

    def pins(self, places: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """What tells apart the singled-out instances along some loops, for as long as ``known`` lives."""
        if not self.instance:
            return ()
        pinned = [(i, self.instance[i]) for i in places if i in self.instance]
        for _, at in pinned:
            self.known.setdefault(("pin", id(at)), at)  # else another array might get its id
        return tuple((i, id(at)) for i, at in pinned)

    def once(self, key: Hashable, count: Callable[[], T]) -> T:
        """What ``count`` says, asked once for each ``key``."""
        if key not in self.known:
            self.known[key] = count()
        found: T = self.known[key]
        return found


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
    key = ("words", link.access, modes, compute, batch.pins(range(len(modes))))
    return batch.once(key, lambda: _moved(batch, access, modes, compute))


def _moved(batch: Batch, access: Access, modes: Modes, compute: bool) -> Words:
    parts = [_part(batch, names, dims, modes) for names, dims in _groups(batch, access)]
    if compute:
        steps = _column(_product(part.wrap(len(part.loops), "after") for part in parts), batch)
        return Words(steps, steps)

    def over_time(first: str, moved: str, kept: str) -> Array:
        words = _product(part.wrap(0, first) for part in parts)
        for loop, mode in enumerate(modes):
            if mode == Mode.TIME and batch.iterates[loop]:
                words = words + _product(part.at(loop, moved) for part in parts)
                words = words - _product(part.at(loop, kept) for part in parts)
        return _column(words, batch)

    arrivals = over_time("after", "after", "stays")
    return Words(arrivals, arrivals if access.role == "input" else over_time("before", "before", "stays_back"))


def touched_words(batch: Batch, access: Access, modes: Modes) -> Array:
    """Distinct elements that the instances which share ever hold, summed over the others. Shape ``(candidates,)``."""
    structure = batch.structure
    if _has_closed_form(batch, access):
        return perfect.touched_words(structure.einsum, access, structure.slots, modes, batch.bounds)
    key = ("touched", access.dims, modes, batch.pins(range(len(modes))))
    return batch.once(
        key, lambda: _column(_product(_touched(batch, *group, modes) for group in _groups(batch, access)), batch)
    )


def _touched(batch: Batch, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> Count:
    chains = _chains(batch, names)
    if _is_plain(names, dims):
        return chains.everywhere(_rank(batch, chains, names[0], bool(dims), modes).touched())
    if len(dims) <= 1:
        return chains.everywhere(_one_dimension(batch, chains, names, dims, _timeless(modes)).wrap(0).after)
    return chains.everywhere(np.concatenate([group.touched() for group in _listed(batch, chains, names, dims, modes)]))


def _timeless(modes: Modes) -> Modes:
    """All tiles of an instance as tiles of instances that share."""
    return tuple(Mode.SHARED if mode == Mode.TIME else mode for mode in modes)


def _has_closed_form(batch: Batch, access: Access) -> bool:
    return batch.divides and not batch.instance and perfect.is_separable(access)


def _product(factors: Iterable[Count]) -> Count:
    return math.prod(factors, start=1)


def _column(values: Count, batch: Batch) -> Array:
    """As an array of the type of the batch, also what is an integer."""
    return np.asarray(values * batch.one, dtype=batch.like.dtype)


@dataclass(frozen=True)
class _Part:
    """The motion of one group for each distinct row of its bounds, and its temporal loops in the nest."""

    motion: Motion
    chains: Chains
    loops: tuple[int, ...]
    _known: dict[tuple[int, bool], Sums] = field(default_factory=dict)

    def _sums(self, k: int, steps: bool) -> Sums:
        if (k, steps) not in self._known:
            self._known[k, steps] = self.motion.step(k) if steps else self.motion.wrap(k)
        return self._known[k, steps]

    def wrap(self, k: int, kind: str) -> Count:
        return self.chains.everywhere(getattr(self._sums(k, steps=False), kind))

    def at(self, loop: int, kind: str) -> Count:
        """What this group does when the temporal loop at place ``loop`` steps."""
        if loop in self.loops:
            return self.chains.everywhere(getattr(self._sums(self.loops.index(loop), steps=True), kind))
        return self.wrap(sum(1 for place in self.loops if place < loop), kind)


_Group = tuple[tuple[str, ...], tuple[Dim, ...]]


def _groups(batch: Batch, access: Access) -> list[_Group]:
    """Variables that share dimensions of ``access``, with those dimensions; the others one by one."""
    return batch.once(("groups", access.dims), lambda: _joined(access, batch.structure.extents))


def _joined(access: Access, variables: Iterable[str]) -> list[_Group]:
    groups: list[tuple[set[str], list[Dim]]] = []
    for dim in access.dims:
        names = {var for var, _ in dim}
        if not names:
            continue
        joined = [group for group in groups if group[0] & names]
        for group in joined:
            groups.remove(group)
        groups.append((names.union(*(g[0] for g in joined)), [*(d for g in joined for d in g[1]), dim]))
    groups += [({var}, []) for var in variables if var not in access.variables]
    return [(tuple(v for v in variables if v in names), tuple(dims)) for names, dims in groups]


def _places(batch: Batch, names: tuple[str, ...]) -> list[int]:
    """Slots of the loops of some variables, outermost first."""
    return batch.once(("places", names), lambda: sorted(i for name in names for i in batch.places[name]))


def _chains(batch: Batch, names: tuple[str, ...]) -> Chains:
    """Distinct rows of the bounds of some variables, and of the instances singled out along their loops."""
    places = _places(batch, names)
    columns = {("bound", i): batch.bounds[i] for i in places}
    columns |= {("at", i): batch.instance[i] for i in places if i in batch.instance}
    return batch.once(("chains", names, batch.pins(places)), lambda: Chains.of(columns))


def _part(batch: Batch, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> _Part:
    places = _places(batch, names)
    seen = tuple(modes[i] for i in places)

    def part() -> _Part:
        chains = _chains(batch, names)
        return _Part(
            _motion(batch, chains, names, dims, modes),
            chains,
            tuple(i for i, mode in zip(places, seen, strict=True) if mode == Mode.TIME),
        )

    return batch.once(("motion", names, dims, seen, batch.pins(places)), part)


def _motion(batch: Batch, chains: Chains, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> Motion:
    spatial = {modes[i] for i in _places(batch, names)} & {Mode.EACH, Mode.SHARED}
    if _is_plain(names, dims) and (dims or len(spatial) <= 1 or names[0] in batch.even):
        return _rank(batch, chains, names[0], bool(dims), modes)
    if len(dims) <= 1:
        return _one_dimension(batch, chains, names, dims, modes)
    return _Stacked(_listed(batch, chains, names, dims, modes), batch.like.dtype)


def _is_plain(names: Sequence[str], dims: Sequence[Dim]) -> bool:
    return len(names) == 1 and len(dims) <= 1 and all(abs(c) == 1 for dim in dims for _, c in dim)


def _rank(batch: Batch, chains: Chains, variable: str, relevant: bool, modes: Modes) -> Rank | EvenRank:
    digits, one = _digits(batch, variable, modes, chains.count), _one(batch, chains)
    if variable in batch.even:
        return EvenRank(digits, relevant, one)
    return Rank(batch.structure.extents[variable], digits, relevant, one)


def _one_dimension(batch: Batch, chains: Chains, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> Motion:
    """Ranks that share a dimension, or a rank that indexes none."""
    coefficients = dict(dims[0]) if dims else {}
    order = [names.index(batch.structure.slots[i].variable) for i in _places(batch, names) if modes[i] == Mode.TIME]

    def lines(column: Callable[[str, int], Count]) -> list[Line]:
        return [
            Line(batch.structure.extents[var], coefficients.get(var, 0), _digits(batch, var, modes, column))
            for var in names
        ]

    if batch.even.issuperset(names):
        return EvenWindow(lines(chains.count), order, _one(batch, chains))
    motions = [
        Intervals(lines(part.column), order, np.ones(part.rows, dtype=batch.like.dtype)) for part in chains.blocks()
    ]
    return motions[0] if len(motions) == 1 else _Stacked(motions, batch.like.dtype)


def _digits(batch: Batch, variable: str, modes: Modes, column: Callable[[str, int], Count]) -> tuple[Digit, ...]:
    return tuple(
        Digit(modes[i], column("bound", i), column("at", i) if i in batch.instance else None)
        for i in batch.places[variable]
    )


def _one(batch: Batch, chains: Chains) -> Count:
    return 1 if chains.rows == 1 else np.ones(chains.rows, dtype=batch.like.dtype)


def _listed(batch: Batch, chains: Chains, names: tuple[str, ...], dims: tuple[Dim, ...], modes: Modes) -> list[Group]:
    """The group of each distinct row."""
    extents = {var: batch.structure.extents[var] for var in names}
    return [
        Group(
            extents,
            {
                var: [
                    IntDigit(
                        i,
                        modes[i],
                        int(chains.column("bound", i)[row]),
                        int(chains.column("at", i)[row]) if i in batch.instance else None,
                    )
                    for i in batch.places[var]
                ]
                for var in names
            },
            dims,
        )
        for row in range(chains.rows)
    ]


class _Stacked:
    """Motions of some candidates each as one of all."""

    def __init__(self, motions: Sequence[Motion], dtype: np.dtype[Any]) -> None:
        self._motions, self._dtype = motions, dtype

    def wrap(self, k: int) -> Sums:
        return self._joined([motion.wrap(k) for motion in self._motions])

    def step(self, k: int) -> Sums:
        return self._joined([motion.step(k) for motion in self._motions])

    def _joined(self, sums: Sequence[Sums]) -> Sums:
        kinds = ("after", "stays", "before", "stays_back")
        joined = (np.concatenate([getattr(s, kind) for s in sums]).astype(self._dtype) for kind in kinds)
        return Sums(*joined)
