"""A fused mapping tree with its places: lists of nodes, each ending in a compute or in a schedule over further lists.

`grow` turns the nodes of a plan into `Branch` values that know where each node stands in the text, so that an error
can be shown at its line, and that are the identity of a node: two equal lines at two places are two nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from einloom.errors import MappingError, Path, Problem
from einloom.mappings.nodes import Bind, Group, Hold, Loop, Node, Nodes, Schedule, Spatial


@dataclass(frozen=True, slots=True)
class Placed:
    """A node and where it stands below ``mapping:``, which is its identity."""

    place: Path
    node: Node = field(compare=False)


@dataclass(frozen=True, slots=True)
class Branch:
    """One list of nodes.

    Attributes:
        place: Of the list.
        label: Name of the Einsum where the list ends in a compute; else any name.
        nodes: All before the last.
        bind: The compute in which the list ends; None: it ends in a schedule.
        schedule: Of the children.
        children: Empty for a leaf.
    """

    place: Path
    label: str = field(compare=False)
    nodes: tuple[Placed, ...] = field(compare=False)
    bind: Bind | None = field(compare=False)
    schedule: Schedule | None = field(compare=False)
    children: tuple[Branch, ...] = field(compare=False)

    @property
    def is_leaf(self) -> bool:
        return self.bind is not None

    def loops(self) -> Iterator[Placed]:
        """Its own loops in time and in space, outermost first."""
        return (placed for placed in self.nodes if isinstance(placed.node, Loop | Spatial))

    def holds(self) -> Iterator[tuple[Placed, Hold]]:
        """Its own holds."""
        for placed in self.nodes:
            if isinstance(placed.node, Hold):
                yield placed, placed.node

    def walk(self) -> Iterator[Branch]:
        """This list and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


Way = tuple[Branch, ...]
"""The lists from the root to one of them."""


def grow(nodes: Nodes) -> Branch:
    """The tree of a plan.

    Raises:
        MappingError: A list does not end in a compute or one schedule; every such list.
    """
    problems: list[Problem] = []
    root = _branch(nodes, (), "", problems)
    if problems:
        raise MappingError(problems)
    return root


def _branch(nodes: Nodes, place: Path, label: str, problems: list[Problem]) -> Branch:
    last = nodes[-1] if nodes else None
    for i, node in enumerate(nodes[:-1]):
        if isinstance(node, Bind | Group):
            what = f"'{node.compute}'" if isinstance(node, Bind) else f"`{node.schedule}:`"
            hint = "a list ends in a compute, or in one schedule; put what follows into its children"
            problems.append(Problem(f"{what} stands before the end of its list", hint, (*place, i)))
    placed = tuple(Placed((*place, i), node) for i, node in enumerate(nodes[:-1]))
    if isinstance(last, Bind):
        return Branch(place, label, placed, last, None, ())
    if not isinstance(last, Group):
        name = label or "the mapping"
        hint = "the last line names the compute, or is `sequential:`, `pipelined:` or `phases:`"
        problems.append(Problem(f"{name} does not end in a compute or a schedule", hint, place))
        return Branch(place, label, placed, None, "sequential", ())
    here: Path = (*place, len(nodes) - 1, last.schedule)
    children = tuple(
        _branch(child.nodes, (*here, i, child.label) if child.label else (*here, i), child.label, problems)
        for i, child in enumerate(last.children)
    )
    return Branch(place, label, placed, None, last.schedule, children)


def ways(root: Branch) -> Iterator[Way]:
    """The way to every leaf, in the order of the text."""

    def below(way: Way) -> Iterator[Way]:
        if way[-1].is_leaf:
            yield way
        for child in way[-1].children:
            yield from below((*way, child))

    return below((root,))


def common(one: Way, other: Way) -> Way:
    """The lists that two ways share."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return one[:shared]


def placed_on(way: Sequence[Branch]) -> Iterator[Placed]:
    """Every node on a way, outermost first."""
    for branch in way:
        yield from branch.nodes
