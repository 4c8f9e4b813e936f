"""From a choice of holders to what moves: the holds of a plan, and views of their traffic with prices.

Only perfect factors are searched here, so every count is a sum of products (`mapper.labels.kernel`). What a mapping
pays is a list of *views*: a view is the traffic of one hold as seen with some fanouts merged (multicast, reduction) or
counted one instance at a time, with a price per element and what each element takes of each limited port.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from einloom.mapper.labels.record import EXECUTED, TOUCHED
from einloom.mapper.labels.task import LINKS, READS, WRITES, Task
from einloom.model.arrays import Array
from einloom.model.cost import bit_parts
from einloom.model.structure import applies


class Plan(NamedTuple):
    """One choice of the tensors that each inner memory holds, with ``H`` holds and ``V`` views.

    Holds are listed from the innermost memory outwards. Fanouts are numbered from the innermost outwards; the *region*
    of a memory is the number of fanouts below it.

    Attributes:
        hold_tensor, hold_memory, hold_region: ``(H,)``.
        hold_previous: ``(H,)`` the hold of the same tensor further in, or -1.
        hold_width: ``(H,)`` units of capacity that one element takes.
        hold_views: ``(H + 1,)`` where the views of each hold begin.
        region_holds: ``(F + 1,)`` bits of the holds in each region.
        memory_holds: ``(M,)`` bits of the holds in each memory.
        view_hold: ``(V,)``; views of one hold stand together.
        view_merged: ``(V,)`` bits of the fanouts over which instances share.
        view_price: ``(V,)`` pJ per element.
        view_port: ``(V, P)`` port cycles per element, times instances.
        read_tensor, read_merged, read_price, read_port: the same for what the compute reads and updates; a
            windowed tensor only.
        read_region: region of the holder that the compute reads.
        fixed_key: Rows of `(tensor, merged or counted fanouts, kind)` of what only the spatial factors decide.
        fixed_price, fixed_port: their prices.
    """

    hold_tensor: Array
    hold_memory: Array
    hold_region: Array
    hold_previous: Array
    hold_width: Array
    hold_views: Array
    region_holds: Array
    memory_holds: Array
    view_hold: Array
    view_merged: Array
    view_price: Array
    view_port: Array
    read_tensor: Array
    read_merged: Array
    read_price: Array
    read_port: Array
    read_region: Array
    fixed_key: Array
    fixed_price: Array
    fixed_port: Array


def plans(task: Task) -> Iterator[tuple[tuple[frozenset[int], ...], Plan]]:
    """Every choice of the tensors that each inner memory holds, innermost memory first."""
    tensors = [access.tensor for access in task.einsum.accesses]
    each = []
    for place in task.memories:
        rule = task.rules.holding(task.memory(place).name)
        must = {t for t, name in enumerate(tensors) if name in rule.must}
        may = [t for t, name in enumerate(tensors) if t not in must and rule.allows(name)]
        free = itertools.chain.from_iterable(itertools.combinations(may, n) for n in range(len(may) + 1))
        each.append([frozenset(must.union(chosen)) for chosen in free])
    for held in itertools.product(*each):
        yield held, _Planner(task, held).plan()


@dataclass
class _Planner:
    """Collects the holds and what moves for one choice of holders.

    Attributes:
        holds: (memory, tensor), innermost memory first.
        prices: By (kind of traffic, hold or tensor, bits of fanouts): pJ, then cycles of each port, per element.
    """

    task: Task
    held: tuple[frozenset[int], ...]
    holds: list[tuple[int, int]] = field(default_factory=list)
    prices: dict[tuple[str, int, int], Array] = field(default_factory=dict)

    def plan(self) -> Plan:
        task = self.task
        self.holds = [(i, t) for i, held in enumerate(self.held) for t in sorted(held)]
        for t in range(len(task.einsum.accesses)):
            self._tensor(t)
        views, view_values = self._rows("hold")
        reads, read_values = self._rows("read")
        fixed = [np.c_[keys, np.full(len(keys), kind)] for keys, kind in (
            (self._rows("touched")[0], TOUCHED), (self._rows("executed")[0], EXECUTED))]  # fmt: skip
        fixed_values = np.concatenate([self._rows("touched")[1], self._rows("executed")[1]])
        regions = [task.region(task.memories[i]) for i, _ in self.holds]
        return Plan(
            hold_tensor=_whole([t for _, t in self.holds]), hold_memory=_whole([i for i, _ in self.holds]),
            hold_region=_whole(regions), hold_previous=_whole([self._previous(h) for h in range(len(self.holds))]),
            hold_width=np.array([self._width(*hold) for hold in self.holds], dtype=float),
            hold_views=np.searchsorted(views[:, 0], np.arange(len(self.holds) + 1)),
            region_holds=_bits(regions, len(task.fanouts) + 1),
            memory_holds=_bits([i for i, _ in self.holds], len(task.memories)),
            view_hold=views[:, 0], view_merged=views[:, 1], view_price=view_values[:, 0], view_port=view_values[:, 1:],
            read_tensor=reads[:, 0], read_merged=reads[:, 1],
            read_price=read_values[:, 0], read_port=read_values[:, 1:],
            read_region=_whole([task.region(self._chain(int(t))[-1]) for t in reads[:, 0]]),
            fixed_key=np.concatenate(fixed), fixed_price=fixed_values[:, 0], fixed_port=fixed_values[:, 1:],
        )  # fmt: skip

    def _rows(self, kind: str) -> tuple[Array, Array]:
        """What is paid for one kind of traffic: ``(n, 2)`` of (hold or tensor, fanouts), ``(n, 1 + P)`` prices."""
        keys = sorted(key[1:] for key in self.prices if key[0] == kind)
        values = [self.prices[kind, *key] for key in keys]
        return _whole(keys).reshape(len(keys), 2), np.array(values, dtype=float).reshape(len(keys), self._columns)

    @property
    def _columns(self) -> int:
        return 1 + len(self.task.ports)

    def _previous(self, hold: int) -> int:
        mine = [h for h in range(hold) if self.holds[h][1] == self.holds[hold][1]]
        return mine[-1] if mine else -1

    def _width(self, memory: int, tensor: int) -> float:
        level = self.task.memory(self.task.memories[memory])
        access = self.task.einsum.accesses[tensor]
        copies = 2 if applies(level.double_buffered, self.task.einsum, access.tensor) else 1
        return float((1 if level.capacity.in_words else access.bits) * bit_parts(self.task.einsum) * copies)

    def _chain(self, tensor: int) -> list[int]:
        """Places of the holders of a tensor, outermost first."""
        return [0, *(p for i, p in reversed(list(enumerate(self.task.memories))) if tensor in self.held[i])]

    def _add(self, kind: str, key: int, fanouts: int, place: int, write: bool, tensor: int, count: float = 1) -> None:
        """``count`` reads or writes at a memory for each element of a kind of traffic."""
        task = self.task
        access, memory = task.einsum.accesses[tensor], task.memory(place)
        words = 1.0 if memory.word_bits is None else float(access.bits / memory.word_bits)
        energy = memory.write_energy_pj if write else memory.read_energy_pj
        row = self._row(kind, key, fanouts)
        row[0] += count * words * energy
        for number, port in enumerate(task.ports):
            if port.place == place and port.takes & (WRITES if write else READS):
                width = words if port.rate.in_words else float(access.bits)
                row[1 + number] += count * width / float(port.rate.value)

    def _row(self, kind: str, key: int, fanouts: int) -> Array:
        return self.prices.setdefault((kind, key, fanouts), np.zeros(self._columns))

    def _between(self, outer: int, inner: int, tensor: int, inward: bool) -> int:
        """Bits of the fanouts between two places over which a tensor is shared."""
        name = self.task.einsum.accesses[tensor].tensor
        bits = 0
        for number, place in enumerate(self.task.fanouts):
            fanout = self.task.fanout(number)
            which = fanout.multicast if inward else fanout.reduce
            if outer < place < inner and applies(which, self.task.einsum, name):
                bits |= 1 << number
        return bits

    def _above(self, place: int) -> int:
        """Bits of the fanouts above a place."""
        return sum(1 << number for number, at in enumerate(self.task.fanouts) if at < place)

    def _links(self, outer: int, inner: int) -> Iterator[tuple[int, int]]:
        """(fanout, bits of the fanouts further in) of each fanout between two places whose links cost energy."""
        for number, place in enumerate(self.task.fanouts):
            if outer < place < inner and self.task.fanout(number).link_energy_pj:
                yield number, (1 << number) - 1

    def _add_link(self, kind: str, key: int, fanouts: int, number: int, count: float = 1) -> None:
        """``count`` words over the links of a fanout for each element of a kind of traffic."""
        row = self._row(kind, key, fanouts)
        row[0] += count * self.task.fanout(number).link_energy_pj
        for column, port in enumerate(self.task.ports):
            if port.place == self.task.fanouts[number] and port.takes & LINKS:
                row[1 + column] += count

    def _tensor(self, tensor: int) -> None:
        """Everything that moves for one tensor (counting rule 5)."""
        chain = self._chain(tensor)
        output = self.task.einsum.accesses[tensor].role == "output"
        for outer, inner in itertools.pairwise(chain):
            hold = self.holds.index((self.task.memories.index(inner), tensor))
            if output:
                self._output(hold, tensor, outer, inner)
            else:
                self._input(hold, tensor, outer, inner)
        self._operand(tensor, chain[-1], output)

    def _input(self, hold: int, tensor: int, outer: int, inner: int) -> None:
        shared = self._between(outer, inner, tensor, inward=True)
        self._add("hold", hold, 0, inner, True, tensor)
        self._add("hold", hold, shared, outer, False, tensor)
        for number, further_in in self._links(outer, inner):
            self._add_link("hold", hold, shared & further_in, number)

    def _output(self, hold: int, tensor: int, outer: int, inner: int) -> None:
        self._add("hold", hold, 0, inner, False, tensor)  # drained
        self._add("hold", hold, 0, inner, True, tensor)  # filled, but for
        self._add("touched", tensor, self._above(inner), inner, True, tensor, -1)  # what it touches first
        reduced = self._between(outer, inner, tensor, inward=False)
        self._add("hold", hold, reduced, outer, True, tensor)  # updates
        self._add("hold", hold, reduced, outer, False, tensor)  # partial sums that come back, but for
        self._add("touched", tensor, self._above(outer), outer, False, tensor, -1)
        shared = self._between(outer, inner, tensor, inward=True)
        for number, further_in in self._links(outer, inner):
            self._add_link("hold", hold, reduced & further_in, number)
            self._add_link("hold", hold, shared & further_in, number)
            self._add_link("touched", tensor, self._above(inner) & ~(shared & further_in), number, -1)

    def _operand(self, tensor: int, holder: int, output: bool) -> None:
        """What the compute reads from, or updates in, the innermost holder."""
        end = len(self.task.path) - 1
        shared = self._between(holder, end, tensor, inward=not output)
        slides = bool(self.task.tensors.windowed[tensor]) and self.task.region(holder) > 0
        kind = "read" if slides else "executed"
        self._add(kind, tensor, shared, holder, output, tensor)
        if output:
            self._add(kind, tensor, shared, holder, False, tensor)
            self._add("touched", tensor, self._above(holder), holder, False, tensor, -1)
        for number, further_in in self._links(holder, end):
            self._add_link(kind, tensor, shared & further_in, number)


def _whole(values: Sequence[Any]) -> Array:
    return np.array(values, dtype=np.int64)


def _bits(places: Sequence[int], n: int) -> Array:
    """For each of ``n`` places the bits of the holds in it."""
    return _whole([sum(1 << h for h, place in enumerate(places) if place == at) for at in range(n)])
