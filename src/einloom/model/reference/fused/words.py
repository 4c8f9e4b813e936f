"""Words between the holders of a tensor: rules 1 to 5, executed for a whole tree.

From a hold node to the next one further in, words are counted once however many Einsums stand below: accesses that
move alike are one tile, and the largest count of theirs stands. From the innermost hold node to a compute, every
access counts. What is counted is `Flow`, by instance: the digits of the fanouts above a memory, in physical order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from einloom.arch.rules import tensors_named
from einloom.arch.tree import Share
from einloom.mappings.nodes import Hold, Loop
from einloom.model.reference.counting import output_moves
from einloom.model.reference.fused.boxes import Instance, alike, instance_of
from einloom.model.reference.fused.holding import Alternative
from einloom.model.reference.fused.tree import Leaf, Position, Tree
from einloom.model.reference.moves import crossing, moves
from einloom.model.reference.nest import Element, Nest, Place, Site
from einloom.workloads.sized import Access

Words = Counter[Instance]


@dataclass(frozen=True)
class Flow:
    """Words of one kind of one tensor at one memory, elements.

    Attributes:
        owner: The list whose time they take: of the inner hold node, or of the Einsum.
        memory: Where they are read or written.
        kind: ``fills``, ``updates`` (written), ``drains``, ``deliveries``, ``returns`` (read; the last are partial
            sums that come back: updates - first touches).
        words: By instance.
        weight: Part of the tensor that they are counted for.
    """

    owner: Position
    memory: str
    tensor: str
    kind: str
    words: Mapping[Instance, int]
    weight: Fraction


@dataclass(frozen=True)
class Use:
    """One access of one Einsum, on the nest that has the holders of the tensor.

    Attributes:
        sites: Its hold nodes by position.
    """

    leaf: Leaf
    access: Access
    nest: Nest
    sites: Mapping[Position, Site]


def flows(tree: Tree, part: Alternative) -> Iterator[Flow]:
    """All words of one part of a tensor."""
    uses = list(uses_of(tree, part))
    for use in uses:
        yield from _compute_link(tree, part, use)
    for outer, inner in {pair: None for chain in part.chains.values() for pair in pairwise(chain)}:
        yield from _hold_link(tree, part, [use for use in uses if inner in use.sites], outer, inner)


def uses_of(tree: Tree, part: Alternative) -> Iterator[Use]:
    """The accesses that take part, as the compute sees them (a state with its generations)."""
    for name, chain in part.chains.items():
        leaf = tree.leaves[name]
        nest = leaf.nest(part.tensor, frozenset(chain))
        sites = dict(zip(chain, nest.holders(part.tensor), strict=True))
        for access in leaf.einsum.accesses:
            reads_register = access.role == "input" and name in part.forwarded
            if access.tensor == part.tensor and not reads_register:
                yield Use(leaf, access, nest, sites)


# -- from the innermost hold node to the compute


def _compute_link(tree: Tree, part: Alternative, use: Use) -> Iterator[Flow]:
    """Every operand is read on every operation, every result is an update of the innermost holder."""
    chain = part.chains[use.leaf.name]
    parent, child, owner = use.sites[chain[-1]], use.nest.compute(), use.leaf.branch.at
    if use.access.role == "input":
        _, delivered = _inward(use.nest, use.access, parent, child)
        yield Flow(owner, parent.name, part.tensor, "deliveries", delivered, part.weight)
    else:
        out = _outward(use.nest, use.access, parent, child)
        yield Flow(owner, parent.name, part.tensor, "updates", out.updates, part.weight)
        yield Flow(owner, parent.name, part.tensor, "returns", out.updates - out.first_touches, part.weight)


# -- from a hold node to the next one further in


def _hold_link(tree: Tree, part: Alternative, uses: list[Use], outer: Position, inner: Position) -> Iterator[Flow]:
    """The words of each class of accesses that move alike; the largest count stands."""
    memories = [_memory(uses[0].leaf, at) for at in (outer, inner)]
    is_filled, is_drained = _is_filled(tree, part, inner), _is_drained(tree, part, inner)
    state = _in_place(tree, part, inner)
    views = [tree.held(use.access) if state else use.access for use in uses]
    seen = [(use.leaf, view, use.nest, use.sites[inner]) for use, view in zip(uses, views, strict=True)]
    for group in alike(tree, seen, inner):
        counted: dict[tuple[str, str], list[Words]] = {}
        for i in group:
            use, access = uses[i], views[i]
            parent, child = use.sites[outer], use.sites[inner]
            if access.role == "input" and is_filled:
                fills, delivered = _inward(use.nest, access, parent, child)
                counted.setdefault((memories[1], "fills"), []).append(fills)
                counted.setdefault((memories[0], "deliveries"), []).append(delivered)
            if access.role == "output" and is_drained:
                out = _outward(use.nest, access, parent, child)
                counted.setdefault((memories[1], "drains"), []).append(out.drains)
                counted.setdefault((memories[0], "updates"), []).append(out.updates)
                if not state:  # what a state had before is filled as a whole or not at all: no partial sums
                    counted.setdefault((memories[1], "fills"), []).append(out.returned)
                    counted.setdefault((memories[0], "returns"), []).append(out.updates - out.first_touches)
        for (memory, kind), each in counted.items():
            largest = max(each, key=lambda words: words.total())
            yield Flow(inner[:-1], memory, part.tensor, kind, largest, part.weight)


def _in_place(tree: Tree, part: Alternative, at: Position) -> bool:
    """Whether a state keeps its one generation at a hold node.

    It does above the loop over its generations, and below where all its users stand below too. A hold for some of them
    below that loop gets another generation each time: there every generation is an element of its own.
    """
    generation = tree.generation(part.tensor)
    if generation is None:
        return False
    readers = [leaf for leaf in tree.readers(part.tensor) if leaf.name not in part.forwarded]
    users = [*tree.producers(part.tensor), *readers]
    above = (node for leaf in users if leaf.below(at) for p, node in leaf.path if p < at)
    inside = any(isinstance(node, Loop) and node.variable == generation.variable for node in above)
    return not inside or all(leaf.below(at) for leaf in users)


def _is_filled(tree: Tree, part: Alternative, at: Position) -> bool:
    """Inward: somebody below reads what was not made below, or an earlier generation.

    That is an input, a tensor with a producer outside, or a state whose generations are counted further out.
    """
    reading = [tree.leaves[n] for n in part.below(at) if n not in part.forwarded]
    reading = [leaf for leaf in reading if part.tensor in leaf.line.tensors]
    producers = tree.producers(part.tensor)
    if not reading or not producers:
        return bool(reading)
    if any(not leaf.below(at) for leaf in producers):
        return True
    return _counted_outside(tree, part, at) and any(
        tree.distance(leaf, reference) > 0
        for leaf in reading
        for reference in leaf.line.inputs
        if reference.tensor == part.tensor
    )


def _is_drained(tree: Tree, part: Alternative, at: Position) -> bool:
    """Outward: a producer below, and it is an output, or read outside, or a state counted further out."""
    if not any(leaf.below(at) for leaf in tree.producers(part.tensor)):
        return False
    readers = [leaf for leaf in tree.readers(part.tensor) if leaf.name not in part.forwarded]
    outside = any(not leaf.below(at) for leaf in readers)
    return not tree.is_intermediate(part.tensor) or outside or _counted_outside(tree, part, at)


def _counted_outside(tree: Tree, part: Alternative, at: Position) -> bool:
    """Whether a state's loop over generations stands above a hold node."""
    generation = tree.generation(part.tensor)
    if generation is None:
        return False
    producing = [leaf for leaf in tree.producers(part.tensor) if leaf.below(at)]
    above = (node for leaf in producing for p, node in leaf.path if p < at)
    return any(isinstance(node, Loop) and node.variable == generation.variable for node in above)


def _memory(leaf: Leaf, at: Position) -> str:
    node = dict(leaf.path)[at]
    assert isinstance(node, Hold)
    return node.memory


# -- one link of one access


def _inward(nest: Nest, access: Access, parent: Site, child: Site) -> tuple[Words, Words]:
    """(fills of the child, deliveries of the parent): rules 2 and 3."""
    fills: Words = Counter()
    delivered: Words = Counter()
    way = crossing(nest, child, parent.level, lambda fanout: _shares(fanout.multicast, nest, access))
    for arrived, _ in moves(nest, access, child):
        for place, elements in arrived.items():
            fills[instance_of(nest, child, place)] += len(elements)
        for (place, _), words in way.meet(arrived).items():
            delivered[instance_of(nest, parent, place)] += len(words)
    return fills, delivered


@dataclass
class Outward:
    """Words of an output on one link: rules 4 and 5.

    Attributes:
        drains, returned: Leave the child; partial sums that come back to it.
        updates, first_touches: Of the parent.
    """

    drains: Words
    returned: Words
    updates: Words
    first_touches: Words


def _outward(nest: Nest, access: Access, parent: Site, child: Site) -> Outward:
    out = Outward(Counter(), Counter(), Counter(), Counter())
    touched: dict[Place, set[Element]] = {}
    way = crossing(nest, child, parent.level, lambda fanout: _shares(fanout.reduce, nest, access))
    for returned, left in output_moves(nest, access, child):
        for place, again in returned.items():
            out.returned[instance_of(nest, child, place)] += len(again)
        for place, partial in left.items():
            out.drains[instance_of(nest, child, place)] += len(partial)
        for (place, _), results in way.meet(left).items():
            out.updates[instance_of(nest, parent, place)] += len(results)
            touched.setdefault(place, set()).update(results)
    for place, elements in touched.items():
        out.first_touches[instance_of(nest, parent, place)] += len(elements)
    return out


def _shares(which: Share, nest: Nest, access: Access) -> bool:
    return which if isinstance(which, bool) else access.tensor in tensors_named(nest.einsum, which)
