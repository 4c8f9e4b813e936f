"""A fused tree bound to its cascade and its machine: for every Einsum the nest that its way through the tree gives.

The nest of an Einsum is its way without the loops that it does not iterate: below a shared loop over another rank it
runs once per traversal. From there on the counting rules of a single nest apply (`model.counts`), link by link.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from einloom.arch.tree import Architecture, Fanout, Level, Memory
from einloom.mappings.nodes import Forward, Hold, Loop, Spatial
from einloom.mappings.tree import Branch, Placed, Way, placed_on
from einloom.model import counts
from einloom.model.structure import Holder, Slot, Structure, structure_of
from einloom.model.traffic import Batch
from einloom.workloads.dataflow import Dataflow
from einloom.workloads.sized import Access, SizedEinsum


@dataclass(frozen=True, eq=False)
class Leaf:
    """One Einsum in the tree.

    Attributes:
        einsum: What it computes.
        held: The same with the generations of states left out: how tiles in memories look.
        way: The lists from the root to its own.
        path: Levels of its compute, outermost first.
    """

    einsum: SizedEinsum
    held: SizedEinsum
    way: Way
    path: tuple[Level, ...]

    @property
    def name(self) -> str:
        return self.einsum.name

    @property
    def branch(self) -> Branch:
        return self.way[-1]

    @cached_property
    def loops(self) -> tuple[Placed, ...]:
        """The loops of its nest, outermost first: those over its own rank variables."""
        return tuple(
            placed
            for placed in placed_on(self.way)
            if isinstance(placed.node, Loop | Spatial) and placed.node.variable in self.einsum.extents
        )

    @cached_property
    def level(self) -> Mapping[str, int]:
        """Place of each level in the path."""
        return {level.name: i for i, level in enumerate(self.path)}

    def outside(self, placed: Placed) -> int:
        """How many loops of the nest stand outside a node on the way."""
        count = 0
        for other in placed_on(self.way):
            if other == placed:
                return count
            count += other in self._own
        raise KeyError(placed.place)

    @cached_property
    def _own(self) -> frozenset[Placed]:
        return frozenset(self.loops)

    def holder(self, placed: Placed) -> Holder:
        """A hold node on the way as the counting model sees it."""
        assert isinstance(placed.node, Hold)
        return Holder(self.level[placed.node.memory], self.outside(placed))

    def holds_of(self, tensor: str) -> tuple[Placed, ...]:
        """The hold nodes of a tensor on the way, outermost first."""
        return tuple(
            placed for placed in placed_on(self.way)
            if isinstance(placed.node, Hold) and tensor in placed.node.tensors and placed.node.memory in self.level
        )  # fmt: skip

    def forwarded(self, tensor: str) -> Placed | None:
        """The node that forwards a tensor to this Einsum."""
        for placed in placed_on(self.way):
            if isinstance(placed.node, Forward) and placed.node.tensor == tensor:
                return placed
        return None

    # -- counting

    @cached_property
    def structure(self) -> Structure:
        """Its nest, with every access of the Einsum as it is."""
        return self._structure(self.einsum)

    @cached_property
    def batch(self) -> Batch:
        return counts.batch_of(self.structure, self._bounds)

    @cached_property
    def held_batch(self) -> Batch:
        """Its nest with states as memories hold them."""
        return self.batch if self.held is self.einsum else counts.batch_of(self._structure(self.held), self._bounds)

    @property
    def _bounds(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        return np.array([[bound(placed) for placed in self.loops] or [1]], dtype=np.int64)

    def _structure(self, einsum: SizedEinsum) -> Structure:
        nodes = tuple(
            placed.node
            for placed in placed_on(self.way)
            if placed in self._own or (isinstance(placed.node, Hold) and placed.node.memory in self.level)
        )
        return structure_of(einsum, self.path, nodes)


def bound(placed: Placed) -> int:
    """The iterations of a loop whose bound is a number."""
    assert isinstance(placed.node, Loop | Spatial)
    assert isinstance(placed.node.bound, int)
    return placed.node.bound


@dataclass(frozen=True, eq=False)
class Program:
    """A cascade, a machine, and the tree that maps one onto the other; legal (`model.fused.legality`).

    Attributes:
        flow: The Einsums and what passes between them.
        architecture: The machine.
        root: The tree.
        leaves: By Einsum, in the order of the tree.
    """

    flow: Dataflow
    architecture: Architecture
    root: Branch
    leaves: Mapping[str, Leaf]

    def below(self, branch: Branch) -> Iterator[Leaf]:
        """The leaves of a list, in the order of the tree."""
        for leaf in self.leaves.values():
            if branch in leaf.way:
                yield leaf

    @cached_property
    def memories(self) -> Mapping[str, Memory]:
        return {memory.name: memory for memory in self.architecture.memories()}

    def accesses(self, tensor: str) -> Iterator[tuple[Leaf, int, Access]]:
        """(leaf, index, access) of every reference to a tensor, as memories hold it."""
        for leaf in self.leaves.values():
            for index, access in enumerate(leaf.held.accesses):
                if access.tensor == tensor:
                    yield leaf, index, access

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor, in the order of the tree."""
        return tuple(dict.fromkeys(a.tensor for leaf in self.leaves.values() for a in leaf.einsum.accesses))


def without_generations(einsum: SizedEinsum, flow: Dataflow) -> SizedEinsum:
    """The same Einsum with one generation of every state: the index of its generations is a constant."""
    if not any(access.tensor in flow.states for access in einsum.accesses):
        return einsum
    accesses = []
    for access in einsum.accesses:
        state = flow.states.get(access.tensor)
        if state is not None:
            dims = tuple(() if i == state.dimension else dim for i, dim in enumerate(access.dims))
            access = replace(access, dims=dims)  # noqa: PLW2901 - the same access, seen otherwise
        accesses.append(access)
    return replace(einsum, accesses=tuple(accesses))


def tile_inside(leaf: Leaf, placed: Placed, variable: str) -> int:
    """The tile of a rank inside a loop of the nest: the product of its bounds further in."""
    position = leaf.loops.index(placed)
    inner = (bound(other) for other in leaf.loops[position + 1 :] if _variable(other) == variable)
    return math.prod(inner)


def _variable(placed: Placed) -> str:
    assert isinstance(placed.node, Loop | Spatial)
    return placed.node.variable


def loops_between(way: Way, outer: Placed | None, group: Branch) -> tuple[Placed, ...]:
    """Loops in time on a way that stand inside ``outer`` (None: all) and in the lists down to ``group``."""
    found: list[Placed] = []
    inside = outer is None
    for branch in way:
        for placed in branch.nodes:
            if inside and isinstance(placed.node, Loop):
                found.append(placed)
            inside = inside or placed == outer
        if branch == group:
            return tuple(found)
    return tuple(found)


def fanouts_above(leaf: Leaf, memory: str) -> frozenset[str]:
    """Fanouts between the root and a memory of the path."""
    levels = leaf.path[: leaf.level[memory]]
    return frozenset(level.name for level in levels if isinstance(level, Fanout))


def slots_of(leaf: Leaf) -> tuple[Slot, ...]:
    """The loops of a nest as slots of the counting model."""
    return leaf.structure.slots
