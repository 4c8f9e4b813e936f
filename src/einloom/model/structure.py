"""What a loop nest fixes before its bounds are known: who holds what where, and which loops move which tile.

A `Structure` is shared by all candidates that differ in bounds only. It lists *links*: a stretch between a holder of
a tensor and the next one further in (or the compute). Seen from the inner end of a link every loop has one *mode*:

- ``TIME``    a temporal loop outside the hold: it moves the tile;
- ``TILE``    inside the hold: it shapes the tile;
- ``EACH``    a spatial loop above the inner memory whose instances are counted one by one;
- ``SHARED``  the same, but instances that differ only here share one transfer (multicast, spatial reduction).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from einloom.arch.rules import tensors_named
from einloom.arch.tree import Compute, Fanout, Level, Memory, Share
from einloom.errors import MappingError, Problem
from einloom.mappings import Hold, Loop, Nodes, Spatial
from einloom.model.arrays import Array
from einloom.workloads.sized import Access, SizedEinsum


def applies(which: Share, einsum: SizedEinsum, tensor: str) -> bool:
    """Whether a per-tensor switch (true, false, or names and roles) is on for ``tensor``."""
    return which if isinstance(which, bool) else tensor in tensors_named(einsum, which)


class Mode(IntEnum):
    TIME = 0
    TILE = 1
    EACH = 2
    SHARED = 3


Modes = tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One loop of the nest: temporal when ``fanout`` is empty. ``level`` is the fanout's place in the path."""

    variable: str
    fanout: str = ""
    axis: str = ""
    level: int = -1


@dataclass(frozen=True, slots=True)
class Holder:
    """One tensor in one memory.

    Attributes:
        level: Place of the memory in the path; the path's length minus one is the compute.
        position: Loops outside the hold node.
    """

    level: int
    position: int


@dataclass(frozen=True, slots=True)
class Link:
    """From a holder of ``access`` to the next one further in, which may be the compute.

    Attributes:
        access: Index into ``einsum.accesses``.
        outer, inner: The two ends.
        each: Modes when every instance of the inner end counts (what is written there).
        merged: Modes when sharing counts (what the outer end serves).
    """

    access: int
    outer: Holder
    inner: Holder
    each: Modes
    merged: Modes


@dataclass(frozen=True)
class Structure:
    """A loop nest without its bounds.

    Attributes:
        einsum: What is mapped.
        path: Levels from the outermost memory to the compute.
        slots: Its loops, outermost first; a candidate is one bound for each.
        chains: For each access its holders, outermost first.
    """

    einsum: SizedEinsum
    path: tuple[Level, ...]
    slots: tuple[Slot, ...]
    chains: tuple[tuple[Holder, ...], ...]

    @property
    def compute(self) -> Compute:
        level = self.path[-1]
        assert isinstance(level, Compute)
        return level

    def memory(self, holder: Holder) -> Memory:
        level = self.path[holder.level]
        assert isinstance(level, Memory)
        return level

    @cached_property
    def links(self) -> tuple[Link, ...]:
        end = Holder(len(self.path) - 1, len(self.slots))
        return tuple(
            self._link(i, outer, inner)
            for i, chain in enumerate(self.chains)
            for outer, inner in itertools.pairwise((*chain, end))
        )

    def _link(self, access: int, outer: Holder, inner: Holder) -> Link:
        what = self.einsum.accesses[access]
        merging = self.sharing(what, outer, inner, inward=what.role == "input")
        return Link(access, outer, inner, self.modes(inner), self.modes(inner, merging))

    def sharing(self, access: Access, outer: Holder, inner: Holder, inward: bool) -> frozenset[int]:
        """Places of the fanouts between two holders over which ``access`` shares what goes in, or what comes out."""
        return frozenset(
            place
            for place in range(outer.level + 1, inner.level)
            if isinstance(level := self.path[place], Fanout)
            and applies(level.multicast if inward else level.reduce, self.einsum, access.tensor)
        )

    def modes(self, inner: Holder, shared: Iterable[int] = ()) -> Modes:
        """How the holder ``inner`` sees each loop when the fanouts at the places ``shared`` merge transfers."""
        key = (inner, frozenset(shared))
        if key not in self._known_modes:
            self._known_modes[key] = tuple(
                (Mode.SHARED if slot.level in key[1] else Mode.EACH)
                if slot.fanout and slot.level < inner.level
                else (Mode.TIME if not slot.fanout and place < inner.position else Mode.TILE)
                for place, slot in enumerate(self.slots)
            )
        return self._known_modes[key]

    @cached_property
    def _known_modes(self) -> dict[tuple[Holder, frozenset[int]], Modes]:
        return {}

    def spatial(self, above: int) -> tuple[int, ...]:
        """Slots of the spatial loops above the level at place ``above``."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.fanout and slot.level < above)

    @cached_property
    def extents(self) -> Mapping[str, int]:
        return self.einsum.extents


def structure_of(einsum: SizedEinsum, path: tuple[Level, ...], nodes: Nodes) -> Structure:
    """The structure of a nest that `mappings.legality` accepts.

    Args:
        einsum: The Einsum, flattened already if the mapping flattens.
        path: Levels, outermost first, ending in the compute that the nest names.
        nodes: Outermost first.
    """
    place = {level.name: i for i, level in enumerate(path)}
    slots: list[Slot] = []
    chains: list[list[Holder]] = [[] for _ in einsum.accesses]
    for node in nodes:
        if isinstance(node, Loop):
            slots.append(Slot(node.variable))
        elif isinstance(node, Spatial):
            slots.append(Slot(node.variable, node.fanout, node.axis, place[node.fanout]))
        elif isinstance(node, Hold):
            for i, access in enumerate(einsum.accesses):
                if access.tensor in node.tensors:
                    chains[i].append(Holder(place[node.memory], len(slots)))
    if not slots:  # a single point: one loop of one iteration over no rank keeps every array one-dimensional
        slots.append(Slot(""))
    structure = Structure(einsum, path, tuple(slots), tuple(map(tuple, chains)))
    _refuse_split_shares(structure)
    return structure


def _refuse_split_shares(structure: Structure) -> None:
    """A hold above a temporal and then a spatial loop of one of its own ranks would have a tile with gaps."""
    for i, chain in enumerate(structure.chains):
        access = structure.einsum.accesses[i]
        for holder in chain:
            seen: set[str] = set()
            for slot, mode in zip(structure.slots, structure.modes(holder), strict=True):
                if mode == Mode.TILE:
                    seen.add(slot.variable)
                elif slot.variable in seen & access.variables:
                    memory = structure.memory(holder).name
                    raise MappingError(
                        Problem(
                            f"{memory} holds {access.tensor} above a loop over '{slot.variable}' and then "
                            f"`spatial {slot.fanout}.{slot.axis} {slot.variable}`: the share of an instance has gaps",
                            f"move the hold of {access.tensor} below the spatial loop",
                        )
                    )


def bounds_of(nodes: Nodes) -> Array:
    """The integer bounds of a nest as one candidate. Shape ``(1, loops)``, int64."""
    bounds = [node.bound for node in nodes if isinstance(node, Loop | Spatial)]
    return np.array([bounds or [1]], dtype=np.int64)
