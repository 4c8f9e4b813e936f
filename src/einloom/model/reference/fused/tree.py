"""A fused tree read: who runs below which nodes, and which iterations of the shared loops there are.

A *position* is the way from the root to a node: node index, child index, node index, .. (odd length). A *list* is
named by the position of the group it hangs below and its child index (even length; the root is ``()``). The nest of
an Einsum is its path without the loops over variables that it does not iterate: it runs once per traversal of those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from einloom.arch.tree import Architecture, Compute, Level
from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Bind, Group, Hold, Loop, Node, Nodes, Schedule, Spatial
from einloom.model.reference.nest import Nest, nest_of
from einloom.workloads.cascade import Cascade
from einloom.workloads.einsum import Einsum, Generation
from einloom.workloads.expressions import Reference
from einloom.workloads.sized import Access, SizedEinsum

Position = tuple[int, ...]
Digits = Mapping[Position, int]
"""An iteration of the shared loops: the value of each, by its position."""


@dataclass(frozen=True)
class Branch:
    """One list of nodes.

    Attributes:
        at: Which list.
        label: Name of the Einsum, or of the group.
        placed: Its nodes with their positions, without the terminal.
        schedule: Of the group that ends it; None for a leaf.
        children: Of that group.
        compute: What ends a leaf; empty otherwise.
    """

    at: Position
    label: str
    placed: tuple[tuple[Position, Node], ...]
    schedule: Schedule | None
    children: tuple[Branch, ...]
    compute: str

    @property
    def loops(self) -> tuple[tuple[Position, Loop], ...]:
        """Loops in time of this list alone."""
        return tuple((at, node) for at, node in self.placed if isinstance(node, Loop))

    def below(self) -> Iterator[Branch]:
        """This list and all below it, in tree order."""
        yield self
        for child in self.children:
            yield from child.below()


@dataclass(frozen=True)
class Leaf:
    """An Einsum where it stands in the tree.

    Attributes:
        order: Place in tree order.
        line: As the cascade has it, with offsets and generations.
        einsum: The same as counting sees it.
        branch: Its own list.
        path: All nodes from the root to its compute, with positions; no groups.
        levels: Of the architecture, down to the compute.
        references: What each access of ``einsum`` reads or writes, with offsets.
    """

    order: int
    line: Einsum
    einsum: SizedEinsum
    branch: Branch
    path: tuple[tuple[Position, Node], ...]
    levels: tuple[Level, ...]

    @property
    def name(self) -> str:
        return self.einsum.name

    @property
    def compute(self) -> Compute:
        level = self.levels[-1]
        assert isinstance(level, Compute)
        return level

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.line.output, *self.line.inputs)

    @cached_property
    def shared(self) -> tuple[tuple[Position, Loop], ...]:
        """Loops in time above its own list, outermost first, whether it iterates their variable or not."""
        return tuple((at, n) for at, n in self.path if isinstance(n, Loop) and len(at) < len(self.branch.at))

    def below(self, at: Position) -> bool:
        """Whether this Einsum stands below a node, or in or below a list."""
        return at in {position for position, _ in self.path} if len(at) % 2 else self.branch.at[: len(at)] == at

    @cached_property
    def nest_positions(self) -> tuple[Position, ...]:
        """Positions of the loops of its nest, outermost first."""
        return tuple(
            at for at, node in self.path if isinstance(node, Loop | Spatial) and node.variable in self.einsum.extents
        )

    def nest(self, tensor: str = "", holds: frozenset[Position] = frozenset()) -> Nest:
        """The nest with the loops it iterates and these hold nodes, each for this tensor alone."""
        nodes: list[Node] = []
        for at, node in self.path:
            if isinstance(node, Hold) and at in holds:
                nodes.append(Hold(node.memory, (tensor,)))
            elif at in self.nest_positions or isinstance(node, Bind):
                nodes.append(node)
        return nest_of(self.einsum, self.levels, tuple(nodes))


@dataclass(frozen=True)
class Tree:
    """A fused tree on an architecture."""

    cascade: Cascade
    architecture: Architecture
    root: Branch
    leaves: Mapping[str, Leaf]

    # -- who makes and reads what

    def producers(self, tensor: str) -> list[Leaf]:
        return [leaf for leaf in self.leaves.values() if leaf.line.output.tensor == tensor]

    def readers(self, tensor: str) -> list[Leaf]:
        return [leaf for leaf in self.leaves.values() if tensor in leaf.line.tensors]

    def generation(self, tensor: str) -> Generation | None:
        """Of a state; None for any other tensor."""
        return self.cascade.facts.generations.get(tensor)

    def is_intermediate(self, tensor: str) -> bool:
        return tensor in self.cascade.intermediates

    def held(self, access: Access) -> Access:
        """The access as hold nodes see it: one generation of a state is held, updated in place."""
        generation = self.generation(access.tensor)
        if generation is None:
            return access
        d = generation.dimension
        return replace(access, dims=(*access.dims[:d], *access.dims[d + 1 :]))

    def distance(self, reader: Leaf, reference: Reference) -> int:
        """Generations between the one that is written and the one that ``reader`` reads; 0 for other tensors."""
        generation = self.generation(reference.tensor)
        if generation is None:
            return 0
        shifted = reference.indices[generation.dimension].affine.shifted
        return generation.lag - shifted[1] if shifted is not None and shifted[0] in reader.einsum.extents else 0

    # -- iterations of the shared loops

    @cached_property
    def weights(self) -> Mapping[Position, int]:
        """What one iteration of each loop adds to the index: the product of the bounds further in.

        Raises:
            MappingError: Einsums below a shared loop have different tiles of its variable, or none iterates it.
        """
        found: dict[Position, set[int]] = {}
        for leaf in self.leaves.values():
            loops = [(at, node) for at, node in leaf.path if isinstance(node, Loop | Spatial)]
            for i, (at, node) in enumerate(loops):
                tiles = found.setdefault(at, set())
                if node.variable in leaf.einsum.extents:
                    tiles.add(math.prod(bound(n) for _, n in loops[i + 1 :] if n.variable == node.variable))
        nodes = {at: node for leaf in self.leaves.values() for at, node in leaf.path}
        for at, tiles in found.items():
            if len(tiles) != 1:
                wrong = f"the Einsums below '{nodes[at]}' have tiles of {sorted(tiles)}" if tiles else (
                    f"no Einsum below '{nodes[at]}' iterates its variable"
                )  # fmt: skip
                raise MappingError(Problem(wrong, "a shared loop cuts one tile for all Einsums below it", at))
        return {at: tiles.pop() for at, tiles in found.items()}

    def exists(self, digits: Digits, loops: tuple[tuple[Position, Loop], ...]) -> bool:
        """Whether any point lies in this iteration: no variable is past its extent."""
        start: dict[str, int] = {}
        for at, loop in loops:
            start[loop.variable] = start.get(loop.variable, 0) + digits[at] * self.weights[at]
        return all(at < self.cascade.extents[v] for v, at in start.items())

    def iterations(self, loops: tuple[tuple[Position, Loop], ...]) -> Iterator[Digits]:
        """Every iteration of some loops that exists, the last loop fastest."""
        for values in product(*(range(bound(loop)) for _, loop in loops)):
            digits = {at: value for (at, _), value in zip(loops, values, strict=True)}
            if self.exists(digits, loops):
                yield digits

    def is_last(self, digits: Digits, loops: tuple[tuple[Position, Loop], ...], at: Position) -> bool:
        """Whether the loop at ``at`` is in the last iteration that exists, the loops further out given."""
        loop = dict(loops)[at]
        outer = tuple((p, n) for p, n in loops if n.variable == loop.variable and p <= at)
        return digits[at] + 1 == bound(loop) or not self.exists({**digits, at: digits[at] + 1}, outer)

    def active(self, leaf: Leaf, digits: Digits) -> bool:
        """Once rule: below a shared loop that it does not iterate, an Einsum runs in one iteration only.

        That is the last, or the first if it feeds the traversal.
        """
        for at, loop in leaf.shared:
            if loop.variable in leaf.einsum.extents or at not in digits:
                continue
            if self.feeds(leaf, at, loop):
                if digits[at] != 0:
                    return False
            elif not self.is_last(digits, leaf.shared, at):
                return False
        return True

    def feeds(self, leaf: Leaf, at: Position, loop: Loop) -> bool:
        """Whether an Einsum that iterates this loop reads from ``leaf``, directly or through others.

        The read of an earlier generation is of another traversal, if the generations are counted further out.
        """
        known, new = {leaf.name}, [leaf]
        while new:
            source = new.pop()
            for reader in self.readers(source.line.output.tensor):
                if reader.name in known or not self._in_traversal(source, reader, at):
                    continue
                if reader.below(at) and loop.variable in reader.einsum.extents:
                    return True
                known.add(reader.name)
                new.append(reader)
        return False

    def _in_traversal(self, source: Leaf, reader: Leaf, at: Position) -> bool:
        tensor = source.line.output.tensor
        generation = self.generation(tensor)
        if generation is None or source.line.generation is None:
            return True
        outside = any(p < at and n.variable == generation.variable for p, n in source.shared)
        mine = [r for r in reader.line.inputs if r.tensor == tensor]
        return not (outside and all(self.distance(reader, r) > 0 for r in mine))


def bound(node: Loop | Spatial) -> int:
    """The integer bound of a loop."""
    assert isinstance(node.bound, int), "bounds are resolved before the walk"
    return node.bound


def tree_of(cascade: Cascade, architecture: Architecture, nodes: Nodes) -> Tree:
    """The tree read, every Einsum at its place.

    Raises:
        MappingError: An Einsum stands nowhere, twice or unknown, its loops do not cover a variable, or a list does
            not end in one group or compute.
    """
    sized = {einsum.name: einsum for einsum in cascade.sized()}
    lines = {line.name: line for line in cascade.einsums}
    leaves: dict[str, Leaf] = {}
    root = _branch((), "", nodes)
    for branch, path in _leaves(root, ()):
        if branch.label not in sized or branch.label in leaves:
            wrong = f"'{branch.label}' stands twice in the tree" if branch.label in leaves else (
                f"'{branch.label}' is no Einsum"
            )  # fmt: skip
            raise MappingError(Problem(wrong, f"Einsums: {', '.join(sized)}", branch.at))
        levels = architecture.path_to(branch.compute)
        bind = ((*branch.at, len(branch.placed)), Bind(branch.compute))
        einsum = sized[branch.label]
        leaf = Leaf(len(leaves), lines[branch.label], einsum, branch, (*path, bind), levels)
        _check_cover(leaf)
        leaves[leaf.name] = leaf
    missing = [name for name in sized if name not in leaves]
    if missing:
        raise MappingError(f"the tree does not have {', '.join(missing)}", "every Einsum stands in it once")
    tree = Tree(cascade, architecture, root, leaves)
    assert tree.weights is not None  # raises where tiles differ
    return tree


def _branch(at: Position, label: str, nodes: Nodes) -> Branch:
    *front, last = nodes
    if not isinstance(last, Bind | Group) or any(isinstance(node, Bind | Group) for node in front):
        raise MappingError(Problem("a list ends in one compute or one group", "move it to the end", at))
    placed = tuple(((*at, i), node) for i, node in enumerate(front))
    if isinstance(last, Bind):
        return Branch(at, label, placed, None, (), last.compute)
    here = (*at, len(front))
    children = tuple(_branch((*here, i), child.label, child.nodes) for i, child in enumerate(last.children))
    return Branch(at, label, placed, last.schedule, children, "")


def _leaves(
    branch: Branch, above: tuple[tuple[Position, Node], ...]
) -> Iterator[tuple[Branch, tuple[tuple[Position, Node], ...]]]:
    path = (*above, *branch.placed)
    if branch.schedule is None:
        yield branch, path
    for child in branch.children:
        yield from _leaves(child, path)


def _check_cover(leaf: Leaf) -> None:
    """The loops of the nest cover every variable, and its own list has no others."""
    loops = [node for _, node in leaf.path if isinstance(node, Loop | Spatial)]
    for variable, extent in leaf.einsum.extents.items():
        covered = math.prod(bound(node) for node in loops if node.variable == variable)
        if covered < extent:
            wrong = f"{leaf.name} runs over {covered} of {variable}, which has {extent}"
            raise MappingError(Problem(wrong, "the product of all bounds is at least the extent", leaf.branch.at))
    for at, node in leaf.branch.placed:
        if isinstance(node, Loop | Spatial) and node.variable not in leaf.einsum.extents:
            raise MappingError(Problem(f"{leaf.name} does not iterate '{node.variable}'", "drop the loop", at))
    names = [level.name for level in leaf.levels]
    for at, node in leaf.path:
        if isinstance(node, Spatial) and at in leaf.nest_positions and node.fanout not in names:
            wrong = f"{node.fanout} is not on the way to {leaf.compute.name}, where {leaf.name} runs"
            raise MappingError(Problem(wrong, f"on the way: {', '.join(names)}", at))
