"""Words of a fused tree, link by link: a hold node is filled once, however many Einsums below it use the tile.

Each `Link` leads from a holder to the next one further in, or to the compute of one Einsum, and is counted on the nest
of one Einsum below it by the rules of a single nest. Links between two hold nodes that move the same tile are one;
tiles that move differently are held, and counted, one beside the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from einloom.arch.tree import UNLIMITED, Amount, Fanout, Memory
from einloom.errors import Path
from einloom.mappings.nodes import Hold, Spatial
from einloom.mappings.tree import Placed
from einloom.model import counts
from einloom.model.arrays import Array
from einloom.model.fused.program import Leaf, Program, bound
from einloom.model.fused.residence import Residence
from einloom.model.structure import Holder
from einloom.model.structure import Link as Stretch
from einloom.model.traffic import Batch, Words, link_words, touched_words

Count = Fraction | int


@dataclass
class Moved:
    """Elements in and out of one memory, over all its instances."""

    reads: Count = 0
    fills: Count = 0
    updates: Count = 0
    drains: Count = 0

    @property
    def writes(self) -> Count:
        return self.fills + self.updates

    def add(self, other: Moved, weight: Count) -> None:
        self.reads += weight * other.reads
        self.fills += weight * other.fills
        self.updates += weight * other.updates
        self.drains += weight * other.drains


@dataclass(frozen=True)
class Link:
    """A stretch between two holders of one access, counted on the nest of one Einsum.

    Attributes:
        leaf: The Einsum on whose nest it is counted, and to which its words are put down.
        index: Of the access.
        outer: The hold node further out.
        inner: The hold node further in; None: the compute.
        outward: Results leave, and partial sums come back; else operands arrive.
        state: One generation is held and updated in place: whatever arrives is read, also the first time, and what
            leaves is whole. Elsewhere every generation is an element of its own.
        owner: Place of the list that the words belong to: they overlap with all below it.
        weight: Part of the tensor.
    """

    leaf: Leaf
    index: int
    outer: Placed
    inner: Placed | None
    outward: bool
    state: bool
    owner: Path
    weight: Count

    @property
    def tensor(self) -> str:
        return self.leaf.einsum.accesses[self.index].tensor

    @property
    def memories(self) -> tuple[str, ...]:
        """Names of the memories at its ends, the outer one first."""
        ends = (self.outer,) if self.inner is None else (self.outer, self.inner)
        return tuple(end.node.memory for end in ends if isinstance(end.node, Hold))

    def stretch(self, batch: Batch) -> Stretch:
        """It as the counting model of a nest sees it."""
        structure = batch.structure
        access = structure.einsum.accesses[self.index]
        outer = self.leaf.holder(self.outer)
        end = Holder(len(structure.path) - 1, len(structure.slots))
        inner = end if self.inner is None else self.leaf.holder(self.inner)
        sharing = structure.sharing(access, outer, inner, inward=not self.outward)
        return Stretch(self.index, outer, inner, structure.modes(inner), structure.modes(inner, sharing))

    @cached_property
    def moved(self) -> tuple[Moved, Moved]:
        """What it moves at its outer and at its inner end, over all instances."""
        return self.ends(self.batch)

    @property
    def batch(self) -> Batch:
        """To the compute every element counts; where a state is updated in place it keeps its one generation."""
        return self.leaf.held_batch if self.state else self.leaf.batch

    def ends(self, batch: Batch) -> tuple[Moved, Moved]:
        """What it moves at the outer and at the inner end, of the instances that ``batch`` singles out."""
        stretch = self.stretch(batch)
        merged = link_words(batch, stretch, stretch.merged)
        each = link_words(batch, stretch, stretch.each)
        if not self.outward:
            return Moved(reads=_one(merged.arrivals)), Moved(fills=_one(each.arrivals))
        if self.state:
            left = _one(each.departures)
            return Moved(updates=_one(merged.departures)), Moved(reads=left, drains=left)
        return self._results(batch, stretch, merged, each)

    def _results(self, batch: Batch, stretch: Stretch, merged: Words, each: Words) -> tuple[Moved, Moved]:
        """Rule 5: an update each; what is not touched for the first time is read; what comes back is filled."""
        structure = batch.structure
        access = structure.einsum.accesses[self.index]
        updates = _one(merged.departures)
        below = structure.modes(stretch.inner, range(stretch.outer.level + 1, stretch.inner.level))
        outer = Moved(reads=updates - _one(touched_words(batch, access, below)), updates=updates)
        if self.inner is None:
            return outer, Moved()
        arrived = _one(each.arrivals)
        fills = arrived - _one(touched_words(batch, access, stretch.each))
        return outer, Moved(reads=arrived, fills=fills, drains=arrived)


def _one(values: Array) -> int:
    return int(values[0])


def links_of(residence: Residence) -> Iterator[Link]:
    """Every link of one tensor, one for each tile that moves."""
    found: dict[object, Link] = {}
    for leaf in residence.users:
        chain = residence.chain(leaf)
        for index, access in enumerate(leaf.einsum.accesses):
            if access.tensor != residence.tensor or not chain:
                continue
            outward = access.role == "output"
            if not outward and leaf.forwarded(access.tensor) is not None:
                continue
            yield Link(leaf, index, chain[-1], None, outward, False, leaf.branch.place, residence.weight)
            for outer, inner in pairwise(chain):
                if not (residence.drains(inner) if outward else residence.fills(inner)):
                    continue
                owner = next(branch.place for branch in leaf.way if inner in branch.nodes)
                state = residence.in_place(inner)
                link = Link(leaf, index, outer, inner, outward, state, owner, residence.weight)
                key = (outer, inner, outward, motion(leaf, index, inner, state))
                found[key] = max(found.get(key, link), link, key=_arrivals)
    yield from found.values()


def motion(leaf: Leaf, index: int, inner: Placed, state: bool) -> tuple[object, ...]:
    """Equal for accesses whose tiles at a hold node move alike: per dimension, extents and loops outside.

    The first entry tells apart references of one Einsum to the same elements of a tensor (`X[p]` and `X[p+1]`).
    """
    access = leaf.held.accesses[index]
    dims = tuple(
        tuple(sorted((factor, leaf.einsum.extents[var], _moving(leaf, var, inner)) for var, factor in dim))
        for dim in access.dims
    )
    if state:
        return (0, *dims)
    twins = [
        i for i, other in enumerate(leaf.held.accesses)
        if (other.tensor, other.dims, other.role) == (access.tensor, access.dims, access.role)
    ]  # fmt: skip
    return (twins.index(index), *dims)


def _moving(leaf: Leaf, variable: str, inner: Placed) -> tuple[object, ...]:
    """What moves a tile along one rank: the loops outside its hold, and the instances over which it is spread."""
    assert isinstance(inner.node, Hold)
    above, outside = leaf.level[inner.node.memory], leaf.outside(inner)
    in_time: list[Path] = []
    in_space: list[tuple[str, str, int]] = []
    for placed in leaf.loops_of[variable]:
        node = placed.node
        if leaf.outside(placed) < outside:
            in_time.append(placed.place)
        elif isinstance(node, Spatial) and leaf.level[node.fanout] < above:
            in_space.append((node.fanout, node.axis, bound(placed)))
    return tuple(in_time), tuple(in_space)


def _arrivals(link: Link) -> Count:
    outer, inner = link.moved
    return inner.fills + inner.drains + outer.reads


@dataclass(frozen=True)
class Traffic:
    """All words of a program.

    Attributes:
        links: Every link.
        moved: By (Einsum that they are put down to, memory, tensor).
        loads: Cycles of each port of a memory, in its busiest instance: by (place of the owning list, memory, Einsum
            that they are put down to).
    """

    links: tuple[Link, ...]
    moved: Mapping[tuple[str, str, str], Moved]
    loads: Mapping[tuple[Path, str, str], tuple[Fraction, ...]]


def traffic_of(program: Program, residences: Iterable[Residence]) -> Traffic:
    """Count every link of every tensor once."""
    links = tuple(link for residence in residences for link in links_of(residence))
    total: dict[tuple[str, str, str], Moved] = defaultdict(Moved)
    for link in links:
        for memory, moved in zip(link.memories, link.moved, strict=False):
            total[link.leaf.name, memory, link.tensor].add(moved, link.weight)
    return Traffic(links, dict(total), _loads(program, links))


Port = tuple[Amount, tuple[str, ...]]


def ports(memory: Memory) -> tuple[Port, ...]:
    """The limited ports of a memory, with what goes over each."""
    every: tuple[Port, ...] = (
        (memory.bandwidth, ("reads", "writes")),
        (memory.read_bandwidth, ("reads",)),
        (memory.write_bandwidth, ("writes",)),
    )
    return tuple((rate, ways) for rate, ways in every if rate != UNLIMITED and rate.value != float("inf"))


def _loads(program: Program, links: tuple[Link, ...]) -> Mapping[tuple[Path, str, str], tuple[Fraction, ...]]:
    grouped: dict[tuple[Path, str, str], list[Link]] = defaultdict(list)
    for link in links:
        for memory in link.memories:
            if ports(program.memories[memory]):
                grouped[link.owner, memory, link.leaf.name].append(link)
    loads = {}
    for key, mine in grouped.items():
        level = program.memories[key[1]]
        loads[key] = tuple(_busiest(mine, level, *port) for port in ports(level))
    return loads


def _busiest(links: list[Link], memory: Memory, rate: Amount, ways: tuple[str, ...]) -> Fraction:
    leaf = links[0].leaf
    level = leaf.level[memory.name]
    most: Count
    if leaf.batch.divides:  # all instances that are used do the same
        used = int(counts.used(leaf.batch, level)[0])
        most = Fraction(sum(_over_port(link, memory, rate, ways, link.moved) for link in links)) / used
    else:
        most = 0
        held = counts.single_instances(leaf.held_batch, level)
        for whole, alike in zip(counts.single_instances(leaf.batch, level), held, strict=True):
            ends = ((link, link.ends(alike if link.state else whole)) for link in links)
            most = max(most, sum(_over_port(link, memory, rate, ways, moved) for link, moved in ends))
    return most / Fraction(rate.value)


def _over_port(link: Link, memory: Memory, rate: Amount, ways: tuple[str, ...], ends: tuple[Moved, Moved]) -> Count:
    """Bits of a link over one port, or words where its rate is in words."""
    access = link.leaf.einsum.accesses[link.index]
    width: Count = access.bits
    if rate.in_words:
        width = 1 if memory.word_bits is None else access.bits / memory.word_bits
    moved = (moved for name, moved in zip(link.memories, ends, strict=False) if name == memory.name)
    elements: Count = sum(getattr(end, way) for end in moved for way in ways)
    return width * link.weight * elements


def hops_pj(link: Link) -> float:
    """Energy of the fanouts that a link crosses, pJ: words times hops."""
    if not any(isinstance(level, Fanout) and level.link_energy_pj for level in link.leaf.path):
        return 0.0
    batch = link.batch
    total = 0.0
    for place, inward, outward in counts.hops(batch, link.stretch(batch)):
        fanout = batch.structure.path[place]
        assert isinstance(fanout, Fanout)
        whole = link.state and link.outward  # nothing comes back
        words = outward[0] if whole else inward[0] + outward[0]
        total += float(words) * fanout.link_energy_pj * float(link.weight)
    return total


__all__ = ["Link", "Moved", "Traffic", "hops_pj", "links_of", "motion", "ports", "traffic_of"]
