"""An Einsum with perfect factors on one path of levels, in numbers: ranks, operands, ports, spatial factors."""

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
from einloom.arch.tree import Amount, Architecture, Compute, Fanout, Level, Memory
from einloom.mapper.labels.record import (
    MOST_DIMS,
    MOST_DIVISORS,
    MOST_FANOUTS,
    MOST_HOLDS,
    MOST_MEMORIES,
    MOST_OFFSETS,
    MOST_PORTS,
    MOST_RANKS,
    MOST_TENSORS,
    PLAIN,
    WINDOW,
)
from einloom.mapper.space import divisors
from einloom.model.arrays import EXACT_FLOAT, Array
from einloom.model.cost import bit_parts
from einloom.workloads.sized import Access, SizedEinsum

Spread = tuple[tuple[tuple[int, ...], ...], ...]
"""Spatial factors: for each fanout (innermost first), for each axis, for each rank."""


class Tensors(NamedTuple):
    """The operands, as arrays over ``T`` tensors, ``D`` dimensions at most, ``R`` ranks of more than one iteration.

    Attributes:
        relevance: ``(T, R)``: `IRRELEVANT`, `PLAIN` or `WINDOW`.
        dims: ``(T,)`` number of dimensions.
        coefficients: ``(T, D, R)``.
        windowed: ``(T,)`` whether some dimension slides.
        ranks: ``(T, W)`` ranks that slide, padded with -1.
        sizes: ``(T,)`` elements.
    """

    relevance: Array
    dims: Array
    coefficients: Array
    windowed: Array
    ranks: Array
    sizes: Array


READS, WRITES, LINKS = 1, 2, 4
"""What a port takes: bits."""


class Port(NamedTuple):
    """What takes time for what moves at a place of the path.

    Attributes:
        takes: Bits of `READS`, `WRITES`, `LINKS`.
        rate: Per cycle and instance.
        region: Fanouts below it: what is further out has several instances.
    """

    place: int
    takes: int
    rate: Amount
    region: int


def _rates(memory: Memory) -> tuple[tuple[int, Amount], ...]:
    return (
        (READS | WRITES, memory.bandwidth), (READS, memory.read_bandwidth), (WRITES, memory.write_bandwidth),
    )  # fmt: skip


@dataclass(frozen=True)
class Task:
    """An Einsum with perfect factors on one path, in numbers.

    Attributes:
        counting: Whether accesses are counted, not priced: each kind of access is a port then.
        names: Rank variables of more than one iteration.
        sizes: Their sizes.
        memories: Places of the inner memories in the path, innermost first.
        fanouts: Places of the fanouts in the path, innermost first.
    """

    architecture: Architecture
    einsum: SizedEinsum
    path: tuple[Level, ...]
    rules: EinsumRules
    counting: bool = False
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
    def ports(self) -> tuple[Port, ...]:
        """Each limited port; when counting, first every kind of access at a rate of 1."""
        limited = [
            Port(place, takes, Amount(1, rate.in_words) if self.counting else rate, self.region(place))
            for place in (0, *reversed(self.memories))
            for takes, rate in _rates(self.memory(place))
            if rate.value != math.inf
        ]
        return (*self.quantities, *limited)

    @cached_property
    def quantities(self) -> tuple[Port, ...]:
        """When counting: reads and writes of each memory, in accesses; words over links that cost energy."""
        if not self.counting:
            return ()
        once, everywhere = Amount(1, in_words=True), len(self.fanouts)
        links = [place for number, place in enumerate(self.fanouts) if self.fanout(number).link_energy_pj]
        accesses = [(place, takes) for place in (0, *reversed(self.memories)) for takes in (READS, WRITES)]
        return tuple(Port(*kind, once, everywhere) for kind in (*accesses, *((place, LINKS) for place in links)))

    def price_pj(self, quantity: Port) -> float:
        """Energy of one of what is counted."""
        if quantity.takes == LINKS:
            return self.fanout(self.fanouts.index(quantity.place)).link_energy_pj
        memory = self.memory(quantity.place)
        return memory.read_energy_pj if quantity.takes == READS else memory.write_energy_pj

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

    @cached_property
    def spreads(self) -> tuple[Spread, ...]:
        """Every choice of spatial factors; of choices that are mirror images (`mirrors`) one."""
        choices: list[Spread] = [()]
        taken: dict[Spread, tuple[int, ...]] = {(): (1,) * len(self.names)}
        for number in range(len(self.fanouts)):
            longer = []
            for choice in choices:
                left = [n // t for n, t in zip(self.sizes, taken[choice], strict=True)]
                for axes in self._axes(number, left):
                    longer.append((*choice, axes))
                    taken[longer[-1]] = tuple(t * p for t, p in zip(taken[choice], _product(axes), strict=True))
            choices = longer
        return tuple(choice for choice in choices if self._is_representative(choice))

    def _is_representative(self, choice: Spread) -> bool:
        """Whether no mirror image of a choice comes before it."""
        factors = [_product(axes) for axes in choice]
        return all([tuple(row[r] for r in mirror) for row in factors] >= factors for mirror in self.mirrors)

    @cached_property
    def mirrors(self) -> tuple[tuple[int, ...], ...]:
        """Exchanges of one or two pairs of ranks that change nothing: of p, r for q, s in a square window."""
        ranks = range(len(self.names))
        swaps = [pair for pair in itertools.combinations(ranks, 2) if self._alike(*pair)]
        pairs = [pair for pair in itertools.combinations(swaps, 2) if len({*pair[0], *pair[1]}) == 4]
        found = []
        for exchange in (*((swap,) for swap in swaps), *pairs):
            mirror = list(ranks)
            for a, b in exchange:
                mirror[a], mirror[b] = b, a
            if all(self._keeps(mirror, access) for access in self.einsum.accesses):
                found.append(tuple(mirror))
        return tuple(found)

    def _alike(self, a: int, b: int) -> bool:
        """Whether two ranks have one size, cost the compute the same, and may go to the same axes."""
        one, other = self.names[a], self.names[b]
        axes = [(level.name, axis) for level in self.path if isinstance(level, Fanout) for axis in level.axes]
        return (
            self.sizes[a] == self.sizes[b]
            and all((one in work.variables) == (other in work.variables) for work in self.einsum.work)
            and all(self.rules.axis_allows(*axis, one) == self.rules.axis_allows(*axis, other) for axis in axes)
        )

    def _keeps(self, mirror: Sequence[int], access: Access) -> bool:
        """Whether a tensor has the same dimensions, in whatever order, after an exchange of ranks."""
        dims = sorted(sorted(dim) for dim in self.dims(access))
        return dims == sorted(sorted((mirror[rank], c) for rank, c in dim) for dim in self.dims(access))

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


def _product(axes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Factors of each rank over all axes of a fanout."""
    return tuple(math.prod(column) for column in zip(*axes, strict=True))


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
    accesses, memories = task.einsum.accesses, len(task.memories)
    dims = [dim for access in accesses for dim in task.dims(access)]
    return (
        len(task.names) <= MOST_RANKS
        and len(accesses) <= MOST_TENSORS
        and max([0, *(len(task.dims(access)) for access in accesses)]) <= MOST_DIMS
        and len(task.fanouts) <= MOST_FANOUTS
        and memories <= MOST_MEMORIES
        and len(accesses) * memories <= MOST_HOLDS
        and len(task.ports) <= MOST_PORTS
        and all(len(divisors(size)) <= MOST_DIVISORS for size in task.sizes)
        and all(_offsets(task, dim) <= MOST_OFFSETS for dim in dims if len(dim) > 1)
        and math.prod(float(size) for size in task.sizes) < EXACT_FLOAT
    )


def _offsets(task: Task, dim: Sequence[tuple[int, int]]) -> int:
    """At most so many places at which instances can stand along a dimension."""
    instances = math.prod(task.fanout(number).instances for number in range(len(task.fanouts)))
    return min(instances, math.prod(task.sizes[rank] for rank, _ in dim))
