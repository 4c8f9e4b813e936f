"""Cycles of a fused tree: schedules composed from the inside out, transfers beside them.

``cycles(list) = max(its schedule, words owned in it / bandwidth)`` at every list:

- ``sequential``: children one after the other, and the drains that a later child waits for;
- ``phases``: the same in each slot, but every Einsum has its own lag, so that drains are hidden;
- ``pipelined``: the busiest compute, never less than any child; between barriers (inside the other two) slot by slot.

The ramp is what filling and emptying the overlap costs: the largest lag times the length of a slot.

Source:
    The rules are those of DESIGN section 8; they reproduce every row of the FuseMax artifact (N. Nayak et al., FuseMax,
    MICRO 2024, arXiv 2406.10491), see ``designs/fusemax``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate

import numpy as np

from einloom.arch.tree import Fanout
from einloom.errors import Path
from einloom.mappings.nodes import Spatial
from einloom.mappings.tree import Branch
from einloom.model import counts
from einloom.model.activity import CountedActivity
from einloom.model.fused.lags import comes_later, needs_of, solve
from einloom.model.fused.program import Item, Leaf, Program, bound
from einloom.model.fused.slots import Slots, Tile
from einloom.model.fused.words import Traffic
from einloom.workloads.dataflow import Read

Cycles = Fraction | int


@dataclass(frozen=True)
class Schedule:
    """What the composition found.

    Attributes:
        cycles: Of the whole tree, without the ramp.
        compute: What it would be without any transfer and without drains.
        drain: Cycles for which a later child waits for results to leave an array.
        ramp: Largest lag x slot of every schedule.
        depth: Largest lag, in slots.
        lags: By place of the list that ends in a schedule: lag of each Einsum below, in its slots.
        busy: Cycles of each Einsum on its compute.
        alone: Cycles of each Einsum with its own transfers.
    """

    cycles: Cycles
    compute: Cycles
    drain: Cycles
    ramp: Cycles
    depth: int
    lags: Mapping[Path, Mapping[str, int]]
    busy: Mapping[str, int]
    alone: Mapping[str, Cycles]


@dataclass
class _Composer:
    program: Program
    traffic: Traffic | None
    busy: Mapping[str, int]
    law: Mapping[str, Cycles]
    slots: Mapping[Path, Slots]
    drain: Cycles = 0
    ramp: Cycles = 0
    lags: dict[Path, Mapping[str, int]] = field(default_factory=dict)
    alone: dict[str, Cycles] = field(default_factory=dict)

    def of(self, branch: Branch, barrier: bool) -> Cycles:
        """Cycles of a list over the whole run.

        Args:
            barrier: Whether it stands inside `sequential` or `phases`: nothing runs into the next slot.
        """
        if branch.is_leaf:
            found = self.busy[branch.label] + self.law[branch.label]
        else:
            inside = barrier or branch.schedule != "pipelined"
            children = [self.of(child, inside) for child in branch.children]
            slots = self.slots[branch.place]
            if branch.schedule == "pipelined":
                found = self._pipelined(slots, children, barrier)
            else:
                found = sum(children)
                if branch.schedule == "sequential":
                    exposed = self._exposed(slots)
                    self.drain += exposed
                    found += exposed
            self._lags(slots, found, barrier)
        found = max(found, self._transfers(branch))
        if branch.is_leaf:
            self.alone[branch.label] = found
        return found

    def _transfers(self, branch: Branch) -> Cycles:
        """Cycles of the busiest port for the words that a list and those below it own."""
        if self.traffic is None:
            return 0
        total: dict[tuple[str, int], Cycles] = defaultdict(int)
        for (owner, memory, _), loads in self.traffic.loads.items():
            if owner[: len(branch.place)] == branch.place:
                for port, load in enumerate(loads):
                    total[memory, port] += load
        return max(total.values(), default=0)

    def _pipelined(self, slots: Slots, children: list[Cycles], barrier: bool) -> Cycles:
        total: Cycles
        extra: dict[str, Cycles] = defaultdict(int)
        for leaf in slots.leaves:
            extra[leaf.path[-1].name] += self.law[leaf.name]
        if barrier:
            items = [item for leaf in slots.leaves for item in leaf.items]
            total = sum(many * max(_by_compute(slots, items, tiles).values()) for many, tiles in slots.classes)
            total += max(extra.values())
        else:
            work: dict[str, int] = defaultdict(int)
            for leaf in slots.leaves:
                work[leaf.path[-1].name] += self.busy[leaf.name]
            total = max(work[name] + extra[name] for name in work)
        return max(total, *children)

    # -- drains

    def _exposed(self, slots: Slots) -> int:
        """Cycles for which a child of `sequential` waits for what an earlier one lets out of its array."""
        waits = _waits(self.program, slots)
        if not waits:
            return 0
        return sum(many * self._exposed_in(slots, waits, tiles) for many, tiles in slots.classes)

    def _exposed_in(self, slots: Slots, waits: Mapping[int, Mapping[int, int]], tiles: Mapping[str, Tile]) -> int:
        """The same in one slot: an earlier child that does not run in it is not waited for."""
        late, now = 0, 0
        end: dict[int, int] = {}
        for child, branch in enumerate(slots.group.children):
            length = self._length(slots, branch, tiles)
            if not length:
                continue
            needed = waits.get(child, {})
            ready = max((end[before] + drain for before, drain in needed.items() if before in end), default=0)
            late += max(0, ready - now)
            now = max(now, ready) + length
            end[child] = now
        return late

    def _length(self, slots: Slots, branch: Branch, tiles: Mapping[str, Tile]) -> int:
        """Cycles of a child in one slot of the schedule above it."""
        if branch.is_leaf:
            leaf = self.program.leaves[branch.label]
            return sum(slots.cycles(item, tiles) for item in leaf.items)
        lengths = [self._length(slots, child, tiles) for child in branch.children]
        if branch.schedule != "pipelined":
            return sum(lengths)
        items = [item for leaf in self.program.below(branch) for item in leaf.items]
        return max(*lengths, *_by_compute(slots, items, tiles).values())

    # -- lags

    def _lags(self, slots: Slots, total: Cycles, barrier: bool) -> None:
        """Solve the lags of a schedule and add its ramp; one inside another with the same slots is part of it."""
        outer = self.slots[_enclosing(slots).place] if barrier else None
        if outer is not None and len(slots.shared) == len(outer.shared):
            return
        each = Fraction(total) / slots.count
        late = self._late(slots) if slots.group.schedule == "phases" else None
        lags = solve(slots.leaves, needs_of(self.program, slots.group, late), slots.group)
        self.lags[slots.group.place] = lags
        traversals = 1 if outer is None else outer.count
        self.ramp += max(lags.values(), default=0) * each * traversals

    def _late(self, slots: Slots) -> Callable[[Read], Fraction]:
        """Slots by which a result is too late for its consumer, as it still drains; of the slots that most are like."""
        _, tiles = max(slots.classes, key=lambda alike: alike[0])
        lengths = (self._length(slots, child, tiles) for child in slots.group.children)
        begin = list(accumulate(lengths, initial=0))

        def late(read: Read) -> Fraction:
            producer, consumer = self.program.leaves[read.producer], self.program.leaves[read.consumer]
            drain = drain_of(producer)
            depth = producer.way.index(slots.group) + 1
            order = slots.group.children
            here, there = order.index(producer.way[depth]), order.index(consumer.way[depth])
            if not drain or here == there or not begin[-1]:
                return Fraction(0)
            return Fraction(begin[here + 1] + drain - begin[there], begin[-1])

        return late


def _by_compute(slots: Slots, items: list[Item], tiles: Mapping[str, Tile]) -> Mapping[str, int]:
    work: dict[str, int] = defaultdict(int)
    for item in items:
        work[item.compute] += slots.cycles(item, tiles)
    return work


def _enclosing(slots: Slots) -> Branch:
    """The next list further out that ends in a schedule."""
    way = slots.leaves[0].way
    return way[way.index(slots.group) - 1]


def _waits(program: Program, slots: Slots) -> Mapping[int, Mapping[int, int]]:
    """For each child, the earlier children whose results it needs in the same slot, and how long those drain."""
    depth = slots.leaves[0].way.index(slots.group) + 1
    order = slots.group.children
    inside = {leaf.name for leaf in slots.leaves}
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for read in program.flow.reads:
        if read.producer not in inside or read.consumer not in inside or read.distance:
            continue
        producer, consumer = program.leaves[read.producer], program.leaves[read.consumer]
        here, there = order.index(producer.way[depth]), order.index(consumer.way[depth])
        drain = drain_of(producer)
        if drain and there > here and comes_later(producer.way, consumer.way, same_compute=False):
            found[there][here] = max(found[there].get(here, 0), drain)
    return found


def drain_of(leaf: Leaf) -> int:
    """Cycles that a spatially reduced result takes to leave the array: hops x instances it passes, axis by axis."""
    total = 0
    for placed in leaf.loops:
        node = placed.node
        if isinstance(node, Spatial) and node.variable not in leaf.einsum.output.variables:
            fanout = leaf.path[leaf.level[node.fanout]]
            assert isinstance(fanout, Fanout)
            total += bound(placed) * fanout.hop_cycles
    return total


def busy_of(leaf: Leaf) -> int:
    """Cycles of an Einsum on its compute over the whole run: clipped steps x cycles of each operator."""
    return sum(int(counts.steps(leaf.batch, item.variables)[0]) * item.cycles for item in leaf.items)


def law_of(program: Program, leaf: Leaf) -> Cycles:
    """Cycles that the timing law of the architecture adds to an Einsum."""
    terms = program.architecture.timing.terms(CountedActivity(leaf.batch))
    return sum(Fraction(float(np.asarray(term)[0])) for term in terms.values())


def schedule_of(program: Program, traffic: Traffic) -> Schedule:
    """Cycles of the whole tree.

    Raises:
        MappingError: A recurrence that cannot stream, or an Einsum before its producer without a slot in between.
    """
    busy = {name: busy_of(leaf) for name, leaf in program.leaves.items()}
    law = {name: law_of(program, leaf) for name, leaf in program.leaves.items()}
    slots = {branch.place: Slots(program, branch) for branch in program.root.walk() if not branch.is_leaf}
    timed = _Composer(program, traffic, busy, law, slots)
    cycles = timed.of(program.root, barrier=False)
    bare = _Composer(program, None, busy, law, slots)
    compute = bare.of(program.root, barrier=False) - bare.drain
    depth = max((lag for lags in timed.lags.values() for lag in lags.values()), default=0)
    return Schedule(cycles, compute, timed.drain, timed.ramp, depth, timed.lags, busy, timed.alone)
