"""From an Einsum, a path of levels and its rules to the numbers of the search; or None, where it is another kind.

The family: three distinct tensors whose ranks ignore exactly one of them (the rank class of that tensor, named by its
number) or none (batch ranks); a path of an outermost memory, at most one buffer, fanouts, at most one memory of the
instances (the registers), and the compute. Ranks of one class run as one where that loses nothing: always with perfect
bounds (divisors of a product are products of divisors), with clipped ones if at most one is longer than 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from einloom.arch.rules import EinsumRules
from einloom.arch.timing import TimingLaw
from einloom.arch.tree import Architecture, Compute, Fanout, Level, Memory
from einloom.mapper.gemm.classes import visit_classes
from einloom.mapper.gemm.prices import outer_prices, register_prices
from einloom.mapper.gemm.spatial import Axis, Vectors, vectors
from einloom.mapper.gemm.tables import BUFFER, REGISTERS, Tables, floating_buffers, floating_registers, orders
from einloom.mapper.gemm.tables import register_limits as corners
from einloom.model.arrays import EXACT_FLOAT, Array
from einloom.model.cost import bit_parts
from einloom.model.structure import applies
from einloom.workloads.sized import Access, SizedEinsum

LARGEST_CLIPPED = 10_000_000
"""Longest rank whose clipped bounds are searched."""

BATCH = 3
"""Number of the class of ranks that every tensor has."""


@dataclass(frozen=True, slots=True)
class Column:
    """Ranks that share the choice of spatial factors.

    Attributes:
        rank: Number of their class.
        variables: Their names.
        extent: Product of their sizes.
    """

    rank: int
    variables: tuple[str, ...]
    extent: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The levels of the path by what they are here."""

    outer: Memory
    buffer: Memory | None
    fanouts: tuple[Fanout, ...]
    registers: Memory | None
    compute: Compute


@dataclass(frozen=True)
class Problem:
    """One search.

    Attributes:
        einsum: Flattened already.
        machine: Where it runs.
        tensors: In the order of their rank classes.
        columns: Groups of ranks.
        axes: Of all fanouts.
        factors: Spatial bounds, rows as in ``tables.vectors``. Shape ``(vectors, axes, columns)``.
        tables: The numbers.
        smallest: For each memory in which nothing fits: (least needed, capacity) in bits or words.
    """

    einsum: SizedEinsum
    machine: Machine
    tensors: tuple[Access, ...]
    columns: tuple[Column, ...]
    axes: tuple[Axis, ...]
    factors: Array
    tables: Tables
    smallest: dict[str, tuple[float, float]]


def problem_of(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, perfect: bool
) -> Problem | None:
    """The search for an Einsum (flattened already), or None where it is not of this family."""
    machine, tensors = _machine(path), _by_class(einsum)
    if machine is None or tensors is None or rules.whole or type(architecture.timing) is not TimingLaw:
        return None
    if not _one_kind_of_work(einsum, machine.compute) or not _all_share(einsum, machine.fanouts):
        return None
    if not all(rules.holding(machine.outer.name).allows(access.tensor) for access in tensors):
        return None
    columns = _columns(einsum, tensors, machine.fanouts, rules, perfect)
    if columns is None or float(einsum.points) > EXACT_FLOAT:
        return None
    axes = _axes(machine.fanouts, columns, rules)
    found = vectors(axes, [column.extent for column in columns], perfect)
    if found is None:
        return None
    return _problem(architecture, machine, einsum, tensors, columns, axes, found, rules, perfect)


def _machine(path: tuple[Level, ...]) -> Machine | None:
    """The levels by what they are: memory, memory?, fanout*, memory?, compute."""
    kinds = "".join("M" if isinstance(level, Memory) else "F" if isinstance(level, Fanout) else "C" for level in path)
    fanouts = tuple(level for level in path if isinstance(level, Fanout))
    memories = [level for level in path if isinstance(level, Memory)]
    compute = path[-1]
    middle = "F" * len(fanouts)
    shapes = {"MM" + middle + "MC": (1, 2), "MM" + middle + "C": (1, None), "M" + middle + "MC": (None, 1),
              "M" + middle + "C": (None, None)}  # fmt: skip
    if kinds not in shapes or not isinstance(compute, Compute):
        return None
    if kinds == "MMMC":  # with no array between them a hold of the inner memory may stand above one of the outer
        return None
    if len(fanouts) > 1 and any(fanout.link_energy_pj for fanout in fanouts):
        return None
    buffer, registers = (None if place is None else memories[place] for place in shapes[kinds])
    if not fanouts and buffer is None:
        buffer, registers = registers, None
    return Machine(memories[0], buffer, fanouts, registers, compute)


def _by_class(einsum: SizedEinsum) -> tuple[Access, ...] | None:
    """The three tensors, each indexed by plain ranks, where no rank is missing in two of them."""
    accesses = einsum.accesses
    if len(accesses) != 3 or len({a.tensor for a in accesses}) != 3 or [a.role for a in accesses].count("output") != 1:
        return None
    for access in accesses:
        names = [var for dim in access.dims for var, _ in dim]
        plain = all(len(dim) <= 1 and all(coefficient == 1 for _, coefficient in dim) for dim in access.dims)
        if not plain or len(names) != len(set(names)):
            return None
    missing = (sum(var not in a.variables for a in accesses) for var, extent in einsum.extents.items() if extent > 1)
    return accesses if all(number <= 1 for number in missing) else None


def _one_kind_of_work(einsum: SizedEinsum, compute: Compute) -> bool:
    """Whether every operator runs over the whole space and can be costed."""
    space = {var for var, extent in einsum.extents.items() if extent > 1}
    return all(
        space <= work.variables and compute.operator_energy_pj(work.operator) is not None for work in einsum.work
    )


def _all_share(einsum: SizedEinsum, fanouts: Sequence[Fanout]) -> bool:
    """Whether every input is multicast and every output reduced wherever there are several instances."""
    return all(
        applies(fanout.multicast if access.role == "input" else fanout.reduce, einsum, access.tensor)
        for fanout in fanouts
        if fanout.instances > 1
        for access in einsum.accesses
    )


def _columns(
    einsum: SizedEinsum, tensors: Sequence[Access], fanouts: Sequence[Fanout], rules: EinsumRules, perfect: bool
) -> tuple[Column, ...] | None:
    """Ranks longer than 1, those of one class and the same allowed axes together; None where that loses mappings."""
    groups: dict[tuple[object, ...], list[str]] = {}
    ranks: dict[tuple[object, ...], int] = {}
    for var, extent in einsum.extents.items():
        if extent == 1:
            continue
        rank = next((i for i, access in enumerate(tensors) if var not in access.variables), BATCH)
        allowed = tuple(rules.axis_allows(f.name, axis, var) for f in fanouts for axis in f.axes)
        key = (rank, allowed, None if perfect else var)
        groups.setdefault(key, []).append(var)
        ranks[key] = rank
    columns = tuple(
        Column(ranks[key], tuple(names), math.prod(einsum.extents[var] for var in names))
        for key, names in groups.items()
    )
    if not perfect:
        longest = max((column.extent for column in columns), default=1)
        if longest > LARGEST_CLIPPED or any(sum(c.rank == rank for c in columns) > 1 for rank in range(3)):
            return None
    return columns


def _axes(fanouts: Sequence[Fanout], columns: Sequence[Column], rules: EinsumRules) -> tuple[Axis, ...]:
    return tuple(
        Axis(
            fanout.name, axis, size,
            tuple(i for i, c in enumerate(columns) if rules.axis_allows(fanout.name, axis, c.variables[0])),
        )
        for fanout in fanouts
        for axis, size in fanout.axes.items()
    )  # fmt: skip


def _problem(
    architecture: Architecture, machine: Machine, einsum: SizedEinsum, tensors: tuple[Access, ...],
    columns: tuple[Column, ...], axes: tuple[Axis, ...], found: Vectors, rules: EinsumRules, perfect: bool,
) -> Problem:  # fmt: skip
    extent = np.array([_extent(columns, rank) for rank in range(3)], dtype=np.int64)
    instances, batch, batch_steps = _by_rank(columns, found.instances)
    steps = np.ceil(extent / instances).prod(axis=1) * batch_steps
    order = np.lexsort((*instances.T, batch, steps))
    instances, batch, batch_steps, steps = instances[order], batch[order], batch_steps[order], steps[order]
    sizes = [float(einsum.size(access)) for access in tensors]
    points = float(einsum.points)
    classes = [visit_classes(int(n), perfect) for n in extent]
    outer = outer_prices(machine.outer, machine.buffer, tensors, sizes)
    link = machine.fanouts[0].link_energy_pj if machine.fanouts else 0.0
    inner = register_prices(machine.registers, link, tensors, sizes, points)
    room = [_room(memory, einsum, tensors) for memory in (machine.buffer, machine.registers)]
    buffer_sets, register_sets = (
        _sets(memory, tensors, rules, capacity) for memory, (_, capacity, _) in zip(
            (machine.buffer, machine.registers), room, strict=True)
    )  # fmt: skip
    register_orders = orders(*register_sets)
    width = np.array([widths for widths, _, _ in room])
    tables = Tables(
        extent=extent,
        perfect=int(perfect),
        apart=int(bool(machine.fanouts)),
        start=np.cumsum([0, *(len(c.visits) for c in classes)]),
        visits=np.concatenate([c.visits for c in classes]),
        least=np.concatenate([c.least for c in classes]),
        most=np.concatenate([c.most for c in classes]),
        vectors=np.ascontiguousarray(instances),
        batch_tile=batch,
        batch_steps=batch_steps,
        steps=steps,
        widest=instances.max(axis=0),
        instances=int(instances.prod(axis=1).max()),
        output=next(i for i, access in enumerate(tensors) if access.role == "output"),
        width=width,
        capacity=np.array([capacity for _, capacity, _ in room]),
        buffer_orders=orders(*buffer_sets),
        register_orders=register_orders,
        register_limits=corners(register_orders, width[REGISTERS], room[REGISTERS][1], extent),
        floating_registers=floating_registers(*register_sets),
        floating_buffers=floating_buffers(*buffer_sets),
        held=outer.held,
        bare=outer.bare,
        fill=inner.fill,
        first=inner.first,
        in_registers=inner.held,
        past_registers=inner.bare,
        register_ports=inner.ports,
        base_pj=_operation_energy(einsum, machine.compute),
        leak_pj=architecture.leakage_w() / architecture.clock_hz * 1e12,
        step_cycles=float(sum(machine.compute.operator_cycles(w.operator) * w.count for w in einsum.work)),
    )
    smallest = _too_small(machine, einsum, tensors, rules, room)
    return Problem(einsum, machine, tensors, columns, axes, found.factors[order], tables, smallest)


def _extent(columns: Sequence[Column], rank: int) -> int:
    return math.prod(column.extent for column in columns if column.rank == rank)


def _by_rank(columns: Sequence[Column], instances: Array) -> tuple[Array, Array, Array]:
    """Instances of the three ranks, batch points side by side, and batch steps of each vector."""
    ranks = np.ones((len(instances), 3), dtype=np.int64)
    tile, steps = np.ones(len(instances)), np.ones(len(instances))
    for i, column in enumerate(columns):
        if column.rank == BATCH:
            tile *= instances[:, i]
            steps *= np.ceil(column.extent / instances[:, i])
        else:
            ranks[:, column.rank] *= instances[:, i]
    return ranks, tile, steps


def _room(memory: Memory | None, einsum: SizedEinsum, tensors: Sequence[Access]) -> tuple[list[float], float, float]:
    """Width of an element of each tensor and capacity, in parts of a bit (or of a word) that make all of them whole;
    and how many of those parts are one bit or word."""
    if memory is None:
        return [1.0] * len(tensors), 0.0, 1.0
    parts = 1 if memory.capacity.in_words else bit_parts(einsum)
    widths = [
        float((1 if memory.capacity.in_words else access.bits * parts)
              * (2 if applies(memory.double_buffered, einsum, access.tensor) else 1))
        for access in tensors
    ]  # fmt: skip
    value = memory.capacity.value
    capacity = math.inf if value == math.inf else float(math.floor(Fraction(value) * parts))
    return widths, capacity, float(parts)


def _sets(
    memory: Memory | None, tensors: Sequence[Access], rules: EinsumRules, capacity: float
) -> tuple[frozenset[int], frozenset[int]]:
    """Numbers of the tensors that ``memory`` must and may hold."""
    if memory is None or capacity < 1:
        must = frozenset() if memory is None else rules.holding(memory.name).must
        return frozenset(i for i, a in enumerate(tensors) if a.tensor in must), frozenset()
    holding = rules.holding(memory.name)
    return (
        frozenset(i for i, access in enumerate(tensors) if access.tensor in holding.must),
        frozenset(i for i, access in enumerate(tensors) if holding.allows(access.tensor)),
    )


def _operation_energy(einsum: SizedEinsum, compute: Compute) -> float:
    operations = einsum.operations().items()
    return sum(number * (compute.operator_energy_pj(operator) or 0.0) for operator, number in operations)


def _too_small(
    machine: Machine, einsum: SizedEinsum, tensors: Sequence[Access], rules: EinsumRules,
    room: Sequence[tuple[list[float], float, float]],
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Memories that overflow whatever the tiles: the outermost by whole tensors, the others by one element of each
    tensor that they must hold."""
    found = {}
    for memory, place in ((machine.buffer, BUFFER), (machine.registers, REGISTERS)):
        if memory is None:
            continue
        widths, capacity, parts = room[place]
        must = rules.holding(memory.name).must
        needed = sum(width for width, access in zip(widths, tensors, strict=True) if access.tensor in must)
        if needed > capacity:
            found[memory.name] = needed / parts, capacity / parts
    widths, capacity, parts = _room(machine.outer, einsum, tensors)
    needed = sum(width * einsum.size(access) for width, access in zip(widths, tensors, strict=True))
    if needed > capacity:
        found[machine.outer.name] = needed / parts, capacity / parts
    return found
