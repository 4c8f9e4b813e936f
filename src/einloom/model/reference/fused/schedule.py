"""Cycles of a tree: every iteration of the shared loops enumerated, its children timed one by one.

Inside a slot group children are timed iteration by iteration. In `sequential` they run in turn, and one that needs
a result waits until it has drained; in `phases` they run in turn and drains are hidden; in `pipelined` they overlap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product

from einloom.arch.tree import UNLIMITED, Amount, Memory
from einloom.model.reference.fused.boxes import Instance
from einloom.model.reference.fused.slots import (
    Timeline,
    busy,
    dependences,
    drain,
    lags,
    slot_groups,
    waits,
)
from einloom.model.reference.fused.tree import Branch, Digits, Leaf, Position, Tree, bound
from einloom.model.reference.fused.words import Flow

Cycles = int | Fraction
READS = ("drains", "deliveries", "returns")
WRITES = ("fills", "updates")


@dataclass(frozen=True, slots=True)
class SlotGroup:
    """How the Einsums below an outermost `sequential` or `phases` group stand to each other.

    Attributes:
        lags: Slots that each Einsum stays behind.
        slot: Cycles of the longest slot, computes alone.
        slots: Cycles of each slot, in order.
    """

    lags: Mapping[str, int]
    slot: int
    slots: tuple[int, ...]

    @property
    def depth(self) -> int:
        return max(self.lags.values())

    @property
    def ramp(self) -> int:
        """Cycles until the last Einsum has begun."""
        return self.depth * self.slot


@dataclass
class Schedule:
    """The timing of one tree; ``groups`` fills as slot groups are solved, outermost lists first."""

    tree: Tree
    groups: dict[Position, SlotGroup] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)
    _busy: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group in slot_groups(self.tree.root):
            self._solve(group)

    def _solve(self, group: Branch) -> None:
        """Lags; in `phases` once more with the drains, which need to know when in a slot a child runs."""
        self.lag |= lags(self.tree, group, {}, 0)
        if group.schedule == "phases":
            longest = max(self._iterations(group), key=lambda digits: self.iteration(group, digits))
            self.lag |= lags(self.tree, group, self._timeline(group, longest), self.iteration(group, longest))
        slots = [self.iteration(group, digits) for digits in self._iterations(group)]
        mine = {leaf.name: self.lag[leaf.name] for leaf in self._leaves(group)}
        self.groups[group.at] = SlotGroup(mine, max(slots), tuple(slots))

    def _timeline(self, group: Branch, digits: Digits) -> Timeline:
        """When each child of the group runs in one slot, by Einsum."""
        now = 0
        found: dict[str, tuple[int, int]] = {}
        for child in group.children:
            end = now + self.length(child, digits)
            found |= {leaf.name: (now, end) for leaf in self._leaves(child)}
            now = end
        return found

    # -- one iteration

    def length(self, branch: Branch, digits: Digits) -> int:
        """Cycles of a list in one iteration of the loops above it."""
        if branch.schedule is None:
            return self.busy(self.tree.leaves[branch.label], digits)
        inside = [{**digits, **inner} for inner in _counted(branch)]
        if branch.schedule == "pipelined":
            alone = [sum(self.length(child, full) for full in inside) for child in branch.children]
            return max(self.busiest(branch, digits), *alone)
        return sum(self.iteration(branch, full) for full in inside)

    def iteration(self, branch: Branch, digits: Digits) -> int:
        """Cycles of the group that ends a list in one iteration of all loops above the group."""
        cycles = sum(self.length(child, digits) for child in branch.children)
        return cycles + (self.exposed(branch, digits) if branch.schedule == "sequential" else 0)

    def exposed(self, branch: Branch, digits: Digits) -> int:
        """Cycles for which children of `sequential` wait for drains that nothing in between covers."""
        now = waited = 0
        ends: list[int] = []
        for i, child in enumerate(branch.children):
            start = now
            for d in dependences(self.tree):
                if d.producer.below(branch.at) and d.reader.below(child.at):
                    made_in = d.producer.branch.at[len(branch.at) + 1]
                    if made_in < i and waits(self.tree, d, self.lag, digits):
                        start = max(start, ends[made_in] + drain(d.producer))
            waited += start - now
            now = start + self.length(child, digits)
            ends.append(now)
        return waited

    def busiest(self, branch: Branch, digits: Digits) -> int:
        """Busy cycles of the busiest compute, all Einsums below a list added, in an iteration of some outer loops."""
        loads: dict[str, int] = {}
        for leaf in self._leaves(branch):
            loads[leaf.compute.name] = loads.get(leaf.compute.name, 0) + self.load(leaf, digits)
        return max(loads.values())

    def busy(self, leaf: Leaf, digits: Digits) -> int:
        key = leaf.name, tuple(digits[at] for at, _ in leaf.shared)
        if key not in self._busy:
            self._busy[key] = busy(self.tree, leaf, digits)
        return self._busy[key]

    def load(self, leaf: Leaf, digits: Digits) -> int:
        """Busy cycles of an Einsum in an iteration of some outer loops, all inner shared loops enumerated."""
        inner = [(at, loop) for at, loop in leaf.shared if at not in digits]
        return sum(
            self.busy(leaf, {**digits, **dict(zip([at for at, _ in inner], values, strict=True))})
            for values in product(*(range(bound(loop)) for _, loop in inner))
        )

    # -- the whole run

    def cycles(self, branch: Branch, ports: Mapping[Position, Cycles], inside: bool = False) -> Cycles:
        """L of a list: its schedule, or the words owned in it or below at the busiest port.

        Args:
            ports: Cycles of the busiest port by list; empty to ask for the computes alone.
            inside: Whether the list stands below a slot group.
        """
        return max(self._scheduled(branch, ports, inside), ports.get(branch.at, 0))

    def _scheduled(self, branch: Branch, ports: Mapping[Position, Cycles], inside: bool) -> Cycles:
        if branch.schedule is None:
            return self.load(self.tree.leaves[branch.label], {})
        below = inside or branch.schedule != "pipelined"
        children = [self.cycles(child, ports, below) for child in branch.children]
        if branch.schedule == "pipelined":
            if inside:
                return max(sum(self.length(branch, digits) for digits in self._above(branch)), *children)
            return max(self.busiest(branch, {}), *children)
        exposed = 0
        if branch.schedule == "sequential":
            exposed = sum(self.exposed(branch, digits) for digits in self._iterations(branch))
        return sum(children) + exposed

    def by_list(self, ports: Mapping[Position, Cycles]) -> dict[Position, Cycles]:
        """L of every list, by its position."""
        groups = self.groups
        return {
            branch.at: self.cycles(branch, ports, any(branch.at != g and branch.at[: len(g)] == g for g in groups))
            for branch in self.tree.root.below()
        }

    def _leaves(self, branch: Branch) -> list[Leaf]:
        return [leaf for leaf in self.tree.leaves.values() if leaf.below(branch.at)]

    def _iterations(self, branch: Branch) -> Iterable[Digits]:
        """Every iteration of the loops above the group that ends a list."""
        own = {at for at, _ in branch.loops}
        shared = self._leaves(branch)[0].shared
        return self.tree.iterations(tuple((at, n) for at, n in shared if at in own or at < branch.at))

    def _above(self, branch: Branch) -> Iterable[Digits]:
        """Every iteration of the loops above a list."""
        return self.tree.iterations(tuple((at, n) for at, n in self._leaves(branch)[0].shared if at < branch.at))


def _counted(branch: Branch) -> list[Digits]:
    """All values of the loops of a list, also those past an extent: there nobody has work."""
    ranges = (range(bound(loop)) for _, loop in branch.loops)
    return [dict(zip([at for at, _ in branch.loops], values, strict=True)) for values in product(*ranges)]


def port_cycles(tree: Tree, flows: list[Flow]) -> dict[Position, Cycles]:
    """Cycles of the busiest port of the busiest instance, for the words owned in each list or below."""
    found: dict[Position, Cycles] = {}
    for branch in tree.root.below():
        owned = [flow for flow in flows if flow.owner[: len(branch.at)] == branch.at]
        for memory in tree.architecture.memories():
            mine = [flow for flow in owned if flow.memory == memory.name]
            for rate, kinds in _ports(memory):
                if rate != UNLIMITED and not math.isinf(rate.value):
                    load = _busiest(tree, memory, rate, [flow for flow in mine if flow.kind in kinds])
                    found[branch.at] = max(found.get(branch.at, 0), load / Fraction(rate.value))
    return found


def _ports(memory: Memory) -> tuple[tuple[Amount, tuple[str, ...]], ...]:
    """One port for reads and writes, or one for each."""
    return (
        (memory.bandwidth, (*READS, *WRITES)),
        (memory.read_bandwidth, READS),
        (memory.write_bandwidth, WRITES),
    )


def _busiest(tree: Tree, memory: Memory, rate: Amount, flows: list[Flow]) -> Fraction:
    """Bits, or words where the rate is in words, of the instance that moves most."""
    load: dict[Instance, Fraction] = {}
    for flow in flows:
        bits = tree.cascade.bits_of(flow.tensor)
        width = bits if not rate.in_words else Fraction(1) if memory.word_bits is None else bits / memory.word_bits
        for instance, words in flow.words.items():
            load[instance] = load.get(instance, Fraction(0)) + words * width * flow.weight
    return max(load.values(), default=Fraction(0))
