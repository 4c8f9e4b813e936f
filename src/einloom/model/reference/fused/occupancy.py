"""What a memory holds at the same time: rule 6, list by list.

Tiles of one hold node: the largest of accesses that move alike, the sum of those that do not. In the children of
`sequential` the largest counts; an intermediate that lives between two of them counts only while it lives. An
element-wise result takes the place of an operand that dies with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from einloom.arch.rules import tensors_named
from einloom.arch.tree import Memory
from einloom.mappings.nodes import Hold, Loop
from einloom.model.reference.fused.boxes import alike
from einloom.model.reference.fused.holding import Alternative
from einloom.model.reference.fused.tree import Branch, Leaf, Position, Tree
from einloom.model.reference.fused.words import Use, uses_of
from einloom.model.reference.moves import tiles
from einloom.model.reference.nest import volume

Tiles = Mapping[tuple[Position, str], Fraction]
"""Elements of one instance and one copy, by hold node and tensor."""


def tiles_of(tree: Tree, parts: list[Alternative]) -> dict[tuple[Position, str], Fraction]:
    """The largest tile at each hold node that takes part, weighted over the parts of its tensor."""
    found: dict[tuple[Position, str], Fraction] = {}
    for part in parts:
        uses = list(uses_of(tree, part))
        for at in {at for chain in part.chains.values() for at in chain}:
            below = [use for use in uses if at in use.sites]
            views = [(use.leaf, tree.held(use.access), use.nest, use.sites[at]) for use in below]
            classes = alike(tree, views, at)
            elements = sum(max(_largest(tree, below[i], at) for i in group) for group in classes)
            key = at, part.tensor
            found[key] = found.get(key, Fraction(0)) + elements * part.weight
    return found


def _largest(tree: Tree, use: Use, at: Position) -> int:
    """Elements of the largest tile of one instance at any step."""
    steps = tiles(use.nest, tree.held(use.access), use.sites[at])
    return max(volume(box) for boxes in steps for box in boxes.values())


@dataclass(frozen=True)
class Occupancy:
    """Bits in one instance of a memory.

    Attributes:
        sizes: Elements by hold node and tensor.
        homes: Hold nodes where an intermediate has its home, by tensor.
        lags: Slots that each Einsum stays behind, where it stands below a slot group.
        groups: Positions of the lists that end in a slot group.
        forwarded: By tensor, the Einsums that read it from a result register: no tile is kept for them.
    """

    tree: Tree
    sizes: Tiles
    homes: Mapping[str, frozenset[Position]]
    lags: Mapping[str, int]
    groups: frozenset[Position]
    forwarded: Mapping[str, frozenset[str]]

    def bits(self, memory: Memory) -> Fraction:
        return self._list(self.tree.root, memory)

    def copies(self, at: Position, tensor: str) -> int:
        """Live copies of an intermediate held directly at the slot: as many as its readers stay behind, and one."""
        if not self.tree.is_intermediate(tensor) or self.tree.generation(tensor) is not None:
            return 1
        behind = [
            self.lags[reader.name] - self.lags[producer.name]
            for group in self.groups
            for producer in self.tree.producers(tensor)
            for reader in self._readers(tensor)
            if producer.below(group) and reader.below(group) and self._directly_above(at, group, producer)
        ]
        return max([0, *behind]) + 1

    def _directly_above(self, at: Position, group: Position, leaf: Leaf) -> bool:
        """Whether a hold node stands above a slot group with no loop in between."""
        between = (p for p, _ in leaf.shared if p > at and p[:-1] == group[: len(p) - 1])
        return at[:-1] == group[: len(at) - 1] and not any(between)

    # -- one list

    def _list(self, branch: Branch, memory: Memory) -> Fraction:
        places = self._places(list(self._held(branch, memory)))
        below = [self._list(child, memory) for child in branch.children]
        if branch.schedule != "sequential":
            return sum((max(map(self._size, place)) for place in places), sum(below, Fraction(0)))
        return max(
            inner + sum(max([self._size(key) for key in place if i in self._life(branch, *key)], default=Fraction(0))
                        for place in places)
            for i, inner in enumerate(below)
        )  # fmt: skip

    def _held(self, branch: Branch, memory: Memory) -> Iterator[tuple[Position, str]]:
        for at, node in branch.placed:
            if isinstance(node, Hold) and node.memory == memory.name:
                yield from ((at, tensor) for tensor in node.tensors if (at, tensor) in self.sizes)

    def _life(self, branch: Branch, at: Position, tensor: str) -> range:
        """Children of `sequential` during which a tile is there."""
        always = range(len(branch.children))
        looped = any(isinstance(node, Loop) for p, node in branch.placed if p > at)
        if looped or not self.tree.is_intermediate(tensor) or at not in self.homes.get(tensor, ()):
            return always
        producers = self.tree.producers(tensor)
        readers = [leaf for leaf in self._readers(tensor) if leaf.below(at)]
        first = min(_child(branch, leaf) for leaf in producers)
        last = max((_child(branch, leaf) for leaf in readers), default=first)
        rotated = any(_child(branch, leaf) < first for leaf in readers) or self.copies(at, tensor) > 1
        return always if rotated else range(first, last + 1)

    def _readers(self, tensor: str) -> list[Leaf]:
        return [leaf for leaf in self.tree.readers(tensor) if leaf.name not in self.forwarded.get(tensor, ())]

    def _places(self, held: list[tuple[Position, str]]) -> list[list[tuple[Position, str]]]:
        """Tiles that take each other's place, together: of each place the largest counts."""
        places: list[list[tuple[Position, str]]] = []
        for key in held:
            shared = [place for place in places if any(self._same_place(key, other) for other in place)]
            places = [place for place in places if place not in shared]
            places.append([key, *(other for place in shared for other in place)])
        return places

    def _size(self, key: tuple[Position, str]) -> Fraction:
        at, tensor = key
        leaves = [leaf for leaf in self.tree.leaves.values() if leaf.below(at)]
        memory = next(
            level
            for leaf in leaves
            for level in leaf.levels
            if isinstance(level, Memory) and level.name == self._node(at).memory
        )
        which = memory.double_buffered
        double = which if isinstance(which, bool) else any(tensor in tensors_named(x.einsum, which) for x in leaves)
        return self.sizes[key] * self.tree.cascade.bits_of(tensor) * self.copies(at, tensor) * (2 if double else 1)

    def _same_place(self, one: tuple[Position, str], other: tuple[Position, str]) -> bool:
        return self._replaces(one, other) or self._replaces(other, one)

    def _replaces(self, new: tuple[Position, str], old: tuple[Position, str]) -> bool:
        """Whether the hold of a result says that it is written over the operand (`SN in place of QK`)."""
        at, result = new
        node = self._node(at)
        return node.over[node.tensors.index(result)] == old[1] and at[:-1] == old[0][:-1]

    def _node(self, at: Position) -> Hold:
        node = dict(self._siblings(at))[at]
        assert isinstance(node, Hold)
        return node

    def _siblings(self, at: Position) -> tuple[tuple[Position, object], ...]:
        branch = next(b for b in self.tree.root.below() if b.at == at[:-1])
        return branch.placed


def _child(branch: Branch, leaf: Leaf) -> int:
    return leaf.branch.at[len(branch.at) + 1]
