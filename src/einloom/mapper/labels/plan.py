"""From an Einsum on a path of levels to the numbers that the label search works on.

Only perfect factors are searched here, so every count is a sum of products (`mapper.labels.kernel`). What a mapping
pays is a list of *views*: a view is the traffic of one hold as seen with some fanouts merged (multicast, reduction) or
counted one instance at a time, with a price per element and what each element takes of each limited port.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from einloom.arch.rules import EinsumRules
from einloom.arch.timing import TimingLaw
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Compute, Fanout, Level, Memory
from einloom.mapper.space import divisors
from einloom.model.arrays import EXACT_FLOAT, Array
from einloom.model.cost import bit_parts
from einloom.model.structure import applies
from einloom.workloads.sized import Access, SizedEinsum

IRRELEVANT, PLAIN, WINDOW = 0, 1, 2
"""How a rank moves a tensor: not at all, by whole tiles, or within a window."""

MOST_RANKS, MOST_TENSORS, MOST_DIMS, MOST_FANOUTS, MOST_MEMORIES, MOST_HOLDS = 9, 6, 6, 4, 6, 18
MOST_VIEWS, MOST_PORTS, MOST_DIVISORS, MOST_FIXED = 64, 18, 160, 64
"""Sizes of the record that the kernel works on; what is larger is not searched by labels."""


class Tensors(NamedTuple):
    """The operands, as arrays over ``T`` tensors, ``D`` dimensions at most, ``R`` ranks of more than one iteration.

    Attributes:
        relevance: ``(T, R)``: `IRRELEVANT`, `PLAIN` or `WINDOW`.
        dims: ``(T,)`` number of dimensions.
        coefficients: ``(T, D, R)``.
        windowed: ``(T,)`` whether some dimension slides.
        ranks: ``(T, W)`` ranks that slide, padded with -1.
        sizes: ``(T,)`` elements.
        first: ``(T,)`` offset of its window columns in the state of a search.
    """

    relevance: Array
    dims: Array
    coefficients: Array
    windowed: Array
    ranks: Array
    sizes: Array


class Plan(NamedTuple):
    """One choice of the tensors that each inner memory holds, with ``H`` holds and ``V`` views.

    Holds are listed from the innermost memory outwards. Fanouts are numbered from the innermost outwards; the *region*
    of a memory is the number of fanouts below it.

    Attributes:
        hold_tensor, hold_memory, hold_region: ``(H,)``.
        hold_previous: ``(H,)`` the hold of the same tensor further in, or -1.
        hold_width: ``(H,)`` units of capacity that one element takes.
        region_holds: ``(F + 1,)`` bits of the holds in each region.
        view_hold: ``(V,)``; views of one hold stand together.
        view_merged: ``(V,)`` bits of the fanouts over which instances share.
        view_price: ``(V,)`` pJ per element.
        view_port: ``(V, P)`` port cycles per element, times instances.
        read_tensor, read_merged, read_price, read_port: the same for what the compute reads and updates; a
            windowed tensor only.
        read_region: region of the holder that the compute reads.
        fixed: Rows of `(tensor, merged or counted fanouts, kind)` of what only the spatial factors decide.
        fixed_price, fixed_port: their prices.
    """

    hold_tensor: Array
    hold_memory: Array
    hold_region: Array
    hold_previous: Array
    hold_width: Array
    region_holds: Array
    view_hold: Array
    view_merged: Array
    view_price: Array
    view_port: Array
    read_tensor: Array
    read_merged: Array
    read_price: Array
    read_port: Array
    read_region: Array
    fixed: Array
    fixed_price: Array
    fixed_port: Array


TOUCHED, EXECUTED = 0, 1
"""Kinds of fixed traffic: first touches of an output (the fanouts named count), and operands of the compute (the
fanouts named merge)."""


@dataclass(frozen=True)
class Task:
    """An Einsum with perfect factors on one path, in numbers.

    Attributes:
        names: Rank variables of more than one iteration.
        sizes: Their sizes.
        memories: Places of the inner memories in the path, innermost first.
        fanouts: Places of the fanouts in the path, innermost first.
    """

    architecture: Architecture
    einsum: SizedEinsum
    path: tuple[Level, ...]
    rules: EinsumRules
    names: tuple[str, ...] = field(init=False)
    sizes: tuple[int, ...] = field(init=False)
    memories: tuple[int, ...] = field(init=False)
    fanouts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        ranks = {var: size for var, size in self.einsum.extents.items() if size > 1}
        inwards = range(len(self.path) - 1, 0, -1)
        object.__setattr__(self, "names", tuple(ranks))
        object.__setattr__(self, "sizes", tuple(ranks.values()))
        object.__setattr__(self, "memories", tuple(p for p in inwards if isinstance(self.path[p], Memory)))
        object.__setattr__(self, "fanouts", tuple(p for p in inwards if isinstance(self.path[p], Fanout)))

    # -- what the machine is -----------------------------------------------------------------------------------------

    def memory(self, place: int) -> Memory:
        level = self.path[place]
        assert isinstance(level, Memory)
        return level

    def fanout(self, number: int) -> Fanout:
        level = self.path[self.fanouts[number]]
        assert isinstance(level, Fanout)
        return level

    @property
    def compute(self) -> Compute:
        level = self.path[-1]
        assert isinstance(level, Compute)
        return level

    def region(self, place: int) -> int:
        """Fanouts below the level at ``place``."""
        return sum(fanout > place for fanout in self.fanouts)

    @cached_property
    def capacities(self) -> Array:
        """Units of `model.cost.bit_parts` of a bit (or of a word) that each inner memory holds."""
        parts = bit_parts(self.einsum)
        return np.array([float(self.memory(p).capacity.value) * parts for p in self.memories])

    @cached_property
    def ports(self) -> tuple[tuple[int, tuple[bool, ...], Amount], ...]:
        """(place of the memory, whether it takes (reads, writes), rate) of each limited port."""
        found = []
        for place in (0, *reversed(self.memories)):
            memory = self.memory(place)
            for rate, takes in (
                (memory.bandwidth, (True, True)),
                (memory.read_bandwidth, (True, False)),
                (memory.write_bandwidth, (False, True)),
            ):
                if rate != UNLIMITED and rate.value != math.inf:
                    found.append((place, takes, rate))
        return tuple(found)

    @cached_property
    def port_regions(self) -> Array:
        return np.array([self.region(place) for place, _, _ in self.ports], dtype=np.int64)

    @cached_property
    def leakage_pj_per_cycle(self) -> float:
        return self.architecture.leakage_w() / self.architecture.clock_hz * 1e12

    @cached_property
    def operations_pj(self) -> float:
        """Operations x energy."""
        each = self.einsum.operations().items()
        return sum(n * (self.compute.operator_energy_pj(op) or 0.0) for op, n in each)

    def steps(self, left: Sequence[int]) -> float:
        """Busy cycles of the compute where ``left`` iterations of each rank remain in time."""
        rest = dict(zip(self.names, left, strict=True))
        return float(sum(
            math.prod(rest.get(var, 1) for var in work.variables) * self.compute.operator_cycles(work.operator)
            * work.count for work in self.einsum.work
        ))  # fmt: skip

    # -- operands ----------------------------------------------------------------------------------------------------

    def dims(self, access: Access) -> tuple[tuple[tuple[int, int], ...], ...]:
        """(rank, coefficient) of each dimension, ranks of one iteration left out."""
        number = {name: i for i, name in enumerate(self.names)}
        every = (tuple((number[v], c) for v, c in dim if v in number) for dim in access.dims)
        return tuple(dim for dim in every if dim)

    @cached_property
    def tensors(self) -> Tensors:
        count, ranks = len(self.einsum.accesses), len(self.names)
        most = max([1, *(len(self.dims(access)) for access in self.einsum.accesses)])
        relevance = np.zeros((count, ranks), dtype=np.int64)
        coefficients = np.zeros((count, most, ranks), dtype=np.int64)
        dims, sizes = np.zeros(count, dtype=np.int64), np.ones(count)
        for t, access in enumerate(self.einsum.accesses):
            dims[t] = len(self.dims(access))
            sizes[t] = float(self.einsum.size(access))
            for d, dim in enumerate(self.dims(access)):
                for rank, coefficient in dim:
                    coefficients[t, d, rank] = coefficient
                    relevance[t, rank] = PLAIN if len(dim) == 1 else WINDOW
        sliding = [[r for r in range(ranks) if row[r] == WINDOW] for row in relevance]
        padded = np.full((count, max([1, *map(len, sliding)])), -1, dtype=np.int64)
        for t, own in enumerate(sliding):
            padded[t, : len(own)] = own
        windowed = np.array([
            any(len(dim) > 1 or dim[0][1] != 1 for dim in self.dims(access)) for access in self.einsum.accesses
        ])  # fmt: skip
        return Tensors(relevance, dims, coefficients, windowed, padded, sizes)

    # -- choices -----------------------------------------------------------------------------------------------------

    def plans(self) -> Iterator[tuple[tuple[frozenset[int], ...], Plan]]:
        """Every choice of the tensors that each inner memory holds, innermost memory first."""
        tensors = [access.tensor for access in self.einsum.accesses]
        each = []
        for place in self.memories:
            rule = self.rules.holding(self.memory(place).name)
            must = {t for t, name in enumerate(tensors) if name in rule.must}
            may = [t for t, name in enumerate(tensors) if t not in must and rule.allows(name)]
            free = itertools.chain.from_iterable(itertools.combinations(may, n) for n in range(len(may) + 1))
            each.append([frozenset(must.union(chosen)) for chosen in free])
        for held in itertools.product(*each):
            yield held, _Planner(self, held).plan()

    @cached_property
    def spreads(self) -> tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]:
        """Spatial factors: for each choice, for each fanout (innermost first), for each axis, for each rank."""
        choices: list[tuple[tuple[tuple[int, ...], ...], ...]] = [()]
        taken: dict[tuple[tuple[tuple[int, ...], ...], ...], tuple[int, ...]] = {(): (1,) * len(self.names)}
        for number in range(len(self.fanouts)):
            longer = []
            for choice in choices:
                left = [n // t for n, t in zip(self.sizes, taken[choice], strict=True)]
                for axes in self._axes(number, left):
                    product = tuple(math.prod(column) for column in zip(*axes, strict=True))
                    longer.append((*choice, axes))
                    taken[longer[-1]] = tuple(t * p for t, p in zip(taken[choice], product, strict=True))
            choices = longer
        return tuple(choices)

    def _axes(self, number: int, left: Sequence[int]) -> list[tuple[tuple[int, ...], ...]]:
        """Factors of each rank on each axis of one fanout; one representative of each product over the axes."""
        fanout = self.fanout(number)
        found: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {(1,) * len(self.names): ()}
        for axis, size in fanout.axes.items():
            allowed = [self.rules.axis_allows(fanout.name, axis, name) for name in self.names]
            longer: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {}
            for product, axes in found.items():
                rest = [n // p if ok else 1 for n, p, ok in zip(left, product, allowed, strict=True)]
                for vector in _vectors(rest, size):
                    longer.setdefault(tuple(p * v for p, v in zip(product, vector, strict=True)), (*axes, vector))
            found = longer
        return list(found.values())


def _vectors(sizes: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
    """A divisor of each size, with a product of at most ``most``."""
    if not sizes:
        yield ()
        return
    for first in divisors(sizes[0]):
        if first > most:
            break
        for rest in _vectors(sizes[1:], most // first):
            yield (first, *rest)


@dataclass
class _Planner:
    """Collects the holds and what moves for one choice of holders."""

    task: Task
    held: tuple[frozenset[int], ...]
    holds: list[tuple[int, int]] = field(default_factory=list)
    views: dict[tuple[int, int], list[tuple[int, bool, float, float]]] = field(default_factory=dict)

    def plan(self) -> Plan:
        task = self.task
        self.holds = [(i, t) for i, held in enumerate(self.held) for t in sorted(held)]
        self.prices: dict[tuple[str, int, int], Array] = {}
        for t in range(len(task.einsum.accesses)):
            self._tensor(t)
        width = 1 + len(task.ports)

        def rows(kind: str) -> tuple[Array, Array]:
            keys = sorted(key[1:] for key in self.prices if key[0] == kind)
            values = [self.prices[kind, *key] for key in keys]
            return (
                np.array(keys, dtype=np.int64).reshape(len(keys), 2),
                np.array(values, dtype=float).reshape(len(keys), width),
            )

        views, view_values = rows("hold")
        reads, read_values = rows("read")
        touched, touched_values = rows("touched")
        executed, executed_values = rows("executed")
        fixed = np.concatenate([np.c_[touched, np.full(len(touched), TOUCHED)],
                                np.c_[executed, np.full(len(executed), EXECUTED)]])  # fmt: skip
        fixed_values = np.concatenate([touched_values, executed_values])
        regions = [task.region(task.memories[i]) for i, _ in self.holds]
        bits = np.zeros(len(task.fanouts) + 1, dtype=np.int64)
        for h, region in enumerate(regions):
            bits[region] |= 1 << h
        return Plan(
            np.array([t for _, t in self.holds], dtype=np.int64), np.array([i for i, _ in self.holds], dtype=np.int64),
            np.array(regions, dtype=np.int64), np.array([self._previous(h) for h in range(len(self.holds))], dtype=np.int64),
            np.array([self._width(*hold) for hold in self.holds], dtype=float), bits,
            views[:, 0].copy(), views[:, 1].copy(), view_values[:, 0].copy(), view_values[:, 1:].copy(),
            reads[:, 0].copy(), reads[:, 1].copy(), read_values[:, 0].copy(), read_values[:, 1:].copy(),
            np.array([task.region(self._chain(int(t))[-1]) for t in reads[:, 0]], dtype=np.int64),
            fixed, fixed_values[:, 0].copy(), fixed_values[:, 1:].copy(),
        )  # fmt: skip

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
        for port, (at, takes, rate) in enumerate(task.ports):
            if at == place and takes[write]:
                width = words if rate.in_words else float(access.bits)
                row[1 + port] += count * width / float(rate.value)

    def _row(self, kind: str, key: int, fanouts: int) -> Array:
        return self.prices.setdefault((kind, key, fanouts), np.zeros(1 + len(self.task.ports)))

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

    def _links(self, outer: int, inner: int) -> Iterator[tuple[int, float]]:
        """(bits of the fanouts further in, energy) of each fanout between two places whose links cost energy."""
        for number, place in enumerate(self.task.fanouts):
            if outer < place < inner and self.task.fanout(number).link_energy_pj:
                yield (1 << number) - 1, self.task.fanout(number).link_energy_pj

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
        for further_in, energy in self._links(outer, inner):
            self._row("hold", hold, shared & further_in)[0] += energy

    def _output(self, hold: int, tensor: int, outer: int, inner: int) -> None:
        self._add("hold", hold, 0, inner, False, tensor)  # drained
        self._add("hold", hold, 0, inner, True, tensor)  # filled, but for
        self._add("touched", tensor, self._above(inner), inner, True, tensor, -1)  # what it touches first
        reduced = self._between(outer, inner, tensor, inward=False)
        self._add("hold", hold, reduced, outer, True, tensor)  # updates
        self._add("hold", hold, reduced, outer, False, tensor)  # partial sums that come back, but for
        self._add("touched", tensor, self._above(outer), outer, False, tensor, -1)
        shared = self._between(outer, inner, tensor, inward=True)
        for further_in, energy in self._links(outer, inner):
            self._row("hold", hold, reduced & further_in)[0] += energy
            self._row("hold", hold, shared & further_in)[0] += energy
            self._row("touched", tensor, self._above(inner) & ~(shared & further_in))[0] -= energy

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
        for further_in, energy in self._links(holder, end):
            self._row(kind, tensor, shared & further_in)[0] += energy


def supported(task: Task) -> bool:
    """Whether the closed forms of this search count a task: inputs may slide, an output may not; each tensor is read
    once, no rank indexes two dimensions of one tensor, no coefficient is negative; the default timing law; and it is
    not larger than the kernel has room for."""
    names = [access.tensor for access in task.einsum.accesses]
    if len(set(names)) < len(names) or type(task.architecture.timing) is not TimingLaw or task.rules.whole:
        return False
    for access in task.einsum.accesses:
        used = [rank for dim in task.dims(access) for rank, _ in dim]
        slides = any(len(dim) > 1 or dim[0][1] != 1 for dim in task.dims(access))
        if len(set(used)) < len(used) or any(c < 0 for dim in access.dims for _, c in dim):
            return False
        if slides and access.role == "output":
            return False
    return _has_room(task)


def _has_room(task: Task) -> bool:
    """Whether a task is within the sizes of the kernel's record, and its counts within exact floats."""
    holds = len(names := task.einsum.accesses) * len(task.memories)
    return (
        len(task.names) <= MOST_RANKS
        and len(names) <= MOST_TENSORS
        and max([0, *(len(task.dims(access)) for access in names)]) <= MOST_DIMS
        and len(task.fanouts) <= MOST_FANOUTS
        and len(task.memories) <= MOST_MEMORIES
        and holds <= MOST_HOLDS
        and len(task.ports) <= MOST_PORTS
        and all(len(divisors(size)) <= MOST_DIVISORS for size in task.sizes)
        and math.prod(float(size) for size in task.sizes) < EXACT_FLOAT
    )
