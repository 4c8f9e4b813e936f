"""A fused tree bound to its cascade and its machine: for every Einsum the nest that its way through the tree gives.

The nest of an Einsum is its way without the loops that it does not iterate: below a shared loop over another rank it
runs once per traversal. From there on the counting rules of a single nest apply (`model.counts`), link by link.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from einloom.arch.tree import Architecture, Level, Memory
from einloom.mappings.nodes import Forward, Hold, Loop, Spatial
from einloom.mappings.tree import Branch, Placed, Way, placed_on
from einloom.model import counts
from einloom.model.structure import Holder, Structure, structure_of
from einloom.model.traffic import Batch
from einloom.workloads.dataflow import Dataflow
from einloom.workloads.sized import SizedEinsum


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
    def nodes(self) -> tuple[Placed, ...]:
        """Every node on the way, outermost first."""
        return tuple(placed_on(self.way))

    @cached_property
    def loops(self) -> tuple[Placed, ...]:
        """The loops of its nest, outermost first: those over its own rank variables."""
        return tuple(
            placed
            for placed in self.nodes
            if isinstance(placed.node, Loop | Spatial) and placed.node.variable in self.einsum.extents
        )

    @cached_property
    def loops_of(self) -> Mapping[str, tuple[Placed, ...]]:
        """The loops of its nest over each rank variable, outermost first."""
        found: dict[str, list[Placed]] = {variable: [] for variable in self.einsum.extents}
        for placed in self.loops:
            found[variable_of(placed)].append(placed)
        return {variable: tuple(loops) for variable, loops in found.items()}

    @cached_property
    def level(self) -> Mapping[str, int]:
        """Place of each level in the path."""
        return {level.name: i for i, level in enumerate(self.path)}

    def outside(self, placed: Placed) -> int:
        """How many loops of the nest stand outside a node on the way."""
        return self._outside[placed]

    @cached_property
    def _outside(self) -> Mapping[Placed, int]:
        own = set(self.loops)
        before = accumulate((placed in own for placed in self.nodes), initial=0)
        return dict(zip(self.nodes, before, strict=False))

    def holder(self, placed: Placed) -> Holder:
        """A hold node on the way as the counting model sees it."""
        assert isinstance(placed.node, Hold)
        return Holder(self.level[placed.node.memory], self.outside(placed))

    def holds_of(self, tensor: str) -> tuple[Placed, ...]:
        """The hold nodes of a tensor on the way, outermost first."""
        return self._holds.get(tensor, ())

    @cached_property
    def _holds(self) -> Mapping[str, tuple[Placed, ...]]:
        found: dict[str, tuple[Placed, ...]] = {}
        for placed in self.nodes:
            if isinstance(placed.node, Hold) and placed.node.memory in self.level:
                for tensor in placed.node.tensors:
                    found[tensor] = (*found.get(tensor, ()), placed)
        return found

    def forwarded(self, tensor: str) -> Placed | None:
        """The node that forwards a tensor to this Einsum."""
        return self._forwards.get(tensor)

    @cached_property
    def _forwards(self) -> Mapping[str, Placed]:
        return {placed.node.tensor: placed for placed in reversed(self.nodes) if isinstance(placed.node, Forward)}

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Its work by the space it runs over."""
        cycles: dict[frozenset[str], int] = {}
        for work in self.einsum.work:
            each = work.count * self.structure.compute.operator_cycles(work.operator)
            cycles[work.variables] = cycles.get(work.variables, 0) + each
        return tuple(Item(self, variables, total) for variables, total in cycles.items())

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
        own = set(self.loops)
        nodes = tuple(
            placed.node
            for placed in self.nodes
            if placed in own or (isinstance(placed.node, Hold) and placed.node.memory in self.level)
        )
        return structure_of(einsum, self.path, nodes)


@dataclass(frozen=True, slots=True)
class Item:
    """Work of one Einsum that runs over the same rank variables.

    Attributes:
        leaf: The Einsum.
        variables: Of the space it runs over.
        cycles: Of all operators at one point.
    """

    leaf: Leaf
    variables: frozenset[str]
    cycles: int

    @property
    def compute(self) -> str:
        return self.leaf.path[-1].name


def variable_of(placed: Placed) -> str:
    """The rank variable of a loop."""
    assert isinstance(placed.node, Loop | Spatial)
    return placed.node.variable


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

    def below(self, branch: Branch) -> tuple[Leaf, ...]:
        """The leaves of a list, in the order of the tree."""
        return self._below[branch]

    @cached_property
    def _below(self) -> Mapping[Branch, tuple[Leaf, ...]]:
        found: dict[Branch, list[Leaf]] = {branch: [] for branch in self.root.walk()}
        for leaf in self.leaves.values():
            for branch in leaf.way:
                found[branch].append(leaf)
        return {branch: tuple(leaves) for branch, leaves in found.items()}

    @cached_property
    def memories(self) -> Mapping[str, Memory]:
        return {memory.name: memory for memory in self.architecture.memories()}

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
    loops = leaf.loops_of[variable]
    return math.prod(bound(other) for other in loops[loops.index(placed) + 1 :])
