"""Who reads and writes what moves: rules 1 to 6, executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from einloom.arch.rules import tensors_named
from einloom.arch.tree import Fanout, Share
from einloom.model.reference.moves import Crossing, Moved, Words, crossing, moves, tiles
from einloom.model.reference.nest import Element, Nest, Place, Site, volume
from einloom.workloads.sized import Access


@dataclass(frozen=True, slots=True)
class Counts:
    """Elements of one access at one memory, over all instances and the whole run.

    Attributes:
        fills: Written into it from the next holder further out, by each instance.
        updates: Results and drained partial sums written into it from inside (outputs only).
        drains: Read from it because they leave for the next holder further out (outputs only).
        first_touches: Updates of an element that the instance never had before (outputs only).
        reads: Elements leaving it.
        writes: Elements entering it.
        occupancy: Most elements that one instance holds at a time.
        reads_by_instance: The same reads, by instance (the digits of the spatial loops above it).
        writes_by_instance: The same writes.
    """

    fills: int
    updates: int
    drains: int
    first_touches: int
    occupancy: int
    reads_by_instance: Mapping[Place, int]
    writes_by_instance: Mapping[Place, int]

    @property
    def reads(self) -> int:
        return sum(self.reads_by_instance.values())

    @property
    def writes(self) -> int:
        return sum(self.writes_by_instance.values())

    @property
    def busiest_reads(self) -> int:
        """Reads of the instance that has most of them."""
        return max(self.reads_by_instance.values(), default=0)

    @property
    def busiest_writes(self) -> int:
        """Writes of the instance that has most of them."""
        return max(self.writes_by_instance.values(), default=0)


@dataclass
class Tally:
    """Events at one holder while the walk goes on, by instance."""

    fills: Counter[Place] = field(default_factory=Counter)
    updates: Counter[Place] = field(default_factory=Counter)
    drains: Counter[Place] = field(default_factory=Counter)
    delivered: Counter[Place] = field(default_factory=Counter)
    updated: dict[Place, set[Element]] = field(default_factory=dict)

    def counts(self, occupancy: int) -> Counts:
        """writes = fills + updates; reads = words delivered inward, or drains + (updates - first touches)."""
        first_touches = Counter({place: len(elements) for place, elements in self.updated.items()})
        reads = self.delivered + self.drains + (self.updates - first_touches)
        return Counts(
            fills=self.fills.total(),
            updates=self.updates.total(),
            drains=self.drains.total(),
            first_touches=first_touches.total(),
            occupancy=occupancy,
            reads_by_instance=dict(reads),
            writes_by_instance=dict(self.fills + self.updates),
        )


def count(nest: Nest, access: Access) -> dict[str, Counts]:
    """Counts of one access at each of its holders, outermost first."""
    chain = [*nest.holders(access.tensor), nest.compute()]
    tallies = {site.name: Tally() for site in chain}
    move = _move_output if access.role == "output" else _move_input
    for parent, child in pairwise(chain):
        move(nest, access, parent, child, tallies)
    return {site.name: tallies[site.name].counts(_occupancy(nest, access, site)) for site in chain[:-1]}


def _occupancy(nest: Nest, access: Access, site: Site) -> int:
    """Rule 6: the largest tile of one instance."""
    return max(volume(box) for boxes in tiles(nest, access, site) for box in boxes.values())


def _move_input(nest: Nest, access: Access, parent: Site, child: Site, tallies: Mapping[str, Tally]) -> None:
    """Rule 3: a distinct delivery is one read of the parent; the write of each instance counts."""
    way_in = _way_in(nest, access, child, parent.level)
    for arrived, _ in moves(nest, access, child):
        for place, elements in arrived.items():
            tallies[child.name].fills[place] += len(elements)
        for (instance, _), words in way_in.meet(arrived).items():
            tallies[parent.name].delivered[instance] += len(words)


def _move_output(nest: Nest, access: Access, parent: Site, child: Site, tallies: Mapping[str, Tally]) -> None:
    """Rule 5: what leaves a tile is drained there and updates the parent; what comes back is filled.

    A first touch, of an element by an instance, reads and fills nothing.
    """
    way_out = _way_out(nest, access, child, parent.level)
    for returned, left in output_moves(nest, access, child):
        for place, again in returned.items():
            tallies[child.name].fills[place] += len(again)
        for place, partial in left.items():
            tallies[child.name].drains[place] += len(partial)
        for (instance, _), results in way_out.meet(left).items():
            tallies[parent.name].updates[instance] += len(results)
            tallies[parent.name].updated.setdefault(instance, set()).update(results)


def output_moves(nest: Nest, access: Access, site: Site) -> Iterator[tuple[Moved, Moved]]:
    """What comes back to a site and what leaves it, step by step.

    An element that an instance never had before is not brought in: its sum starts there. Nothing comes back
    to the compute; each of its steps leaves new results.
    """
    had: dict[Place, set[Element]] = {}
    for arrived, left in moves(nest, access, site):
        returned: Moved = {}
        for place, elements in arrived.items() if site.keeps else ():
            known = had.setdefault(place, set())
            if not known.isdisjoint(elements):
                returned[place] = elements.intersection(known)
            known.update(elements)
        yield returned, left


@dataclass(frozen=True, slots=True)
class Link:
    """Words of one access over one fanout, over the whole run.

    In a step: distinct (instance on the inner side of the fanout, element, indices along the fanouts further
    in that do not share).

    Attributes:
        inward: Operands, or partial sums that come back.
        outward: Results and drained partial sums.
    """

    inward: int
    outward: int


def links(nest: Nest, access: Access) -> dict[str, Link]:
    """Words of one access over each fanout between two of its holders, or the innermost and the compute."""
    found: dict[str, Link] = {}
    for parent, child in pairwise([*nest.holders(access.tensor), nest.compute()]):
        for level in range(parent.level + 1, child.level):
            fanout = nest.path[level]
            if isinstance(fanout, Fanout):
                found[fanout.name] = _link(nest, access, child, level)
    return found


def _link(nest: Nest, access: Access, child: Site, level: int) -> Link:
    way_in, way_out = _way_in(nest, access, child, level), _way_out(nest, access, child, level)
    if access.role == "input":
        return Link(sum(_words(way_in.meet(arrived)) for arrived, _ in moves(nest, access, child)), 0)
    inward = outward = 0
    for returned, left in output_moves(nest, access, child):
        inward += _words(way_in.meet(returned))
        outward += _words(way_out.meet(left))
    return Link(inward, outward)


def _words(met: Words) -> int:
    return sum(len(elements) for elements in met.values())


def _way_in(nest: Nest, access: Access, child: Site, level: int) -> Crossing:
    return crossing(nest, child, level, lambda fanout: _shares(fanout.multicast, nest, access))


def _way_out(nest: Nest, access: Access, child: Site, level: int) -> Crossing:
    return crossing(nest, child, level, lambda fanout: _shares(fanout.reduce, nest, access))


def _shares(which: Share, nest: Nest, access: Access) -> bool:
    """Whether a list of tensors and roles means this one."""
    return which if isinstance(which, bool) else access.tensor in tensors_named(nest.einsum, which)
