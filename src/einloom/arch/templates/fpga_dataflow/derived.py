"""Tasks for any cascade, derived from its Einsums, where a design gives none.

A product of inputs [M,K] and weights [K,N] runs on L lanes, each of which sums one output:

    M > 1   ceil(N / L) x (load K + M x mac K)       a block of L columns of weights is loaded, all rows pass it
    M = 1   ceil(N / L) x mac K                      weights stream past the lanes, each used once

once for every member of the batch. R rows (of M, or members of the batch where M is 1) may run at a time, each on
L / R lanes: ``ceil(N / (L / R))`` blocks and ``ceil(M / R)`` rows. Everything else (softmax pieces, norms, element-wise
work) is one flattened pipeline of ``ceil(lane operations / L)`` trips.

- ``sequential``: an Einsum after the other, every tensor comes from and goes to the off-chip memory. The inputs of a
  product pass once for every block of columns: they are held on chip, or they come from outside again each time.
- ``reconfigurable``: the same on chip; intermediates stay in block memory from their producer to their last consumer.
- ``dataflow``: all Einsums at once, each with lanes of its own. They are given so that the longest task is as short as
  can be (the smallest T for which the fewest lanes that meet T are at most all; exact). A product takes row after row
  there, ``M x ceil(N / L) x mac K``, with all its weights on chip (as many trips as above). A consumer that uses rows
  of an intermediate in the order in which they are made begins behind the first one; any other waits for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Contraction, Program, ProgramEinsum, contraction_of
from einloom.arch.templates.fpga_dataflow.classes import CLASSES
from einloom.arch.templates.fpga_dataflow.machine import Machine


@dataclass(frozen=True, slots=True)
class Loops:
    """One Einsum on some numbers of lanes. Shape ``(candidates,)``.

    Attributes:
        trips: Of all its loops.
        filled: With their fill.
        reads: Elements that lanes read from block memory.
        resident_bits: Weights that stand at the lanes.
        passes: How often the inputs pass, once for each block of columns.
        inputs: Which tensor does; empty: none passes twice.
    """

    trips: Array
    filled: Array
    reads: Array
    resident_bits: Array
    passes: Array
    inputs: str = ""


def lane_choices(lanes: int) -> tuple[int, ...]:
    """Powers of two below the number of lanes, and all of them."""
    return (*(2**power for power in range(lanes.bit_length()) if 2**power < lanes), lanes)


def loops_of(einsum: ProgramEinsum, lanes: Array, rows: Array, machine: Machine, by_rows: bool = False) -> Loops:
    """``einsum`` on each number of ``lanes``.

    Args:
        rows: Rows that a product takes at a time, each on ``lanes / rows`` lanes; at most the lanes.
        by_rows: Whether rows of outputs are made one after the other, with all weights on chip.

    Raises:
        MappingError: It has an operator without cost.
    """
    product = contraction_of(einsum)
    operations = machine.lane_operations(einsum.operations())
    if product is None:
        return _stream(einsum, lanes, operations)
    beside = operations - product.batch * product.m * product.n * product.k
    return _product(product, lanes, rows, max(0, beside), by_rows)


def _product(product: Contraction, lanes: Array, rows: Array, beside: int, by_rows: bool) -> Loops:
    """``beside``: lane operations on the sums (an activation), a pipeline of its own behind them.

    A trip reads a word of inputs for each row, and one of weights for each lane, which rows of one product share;
    weights that stream from outside are not read on chip.
    """
    mac, load, other = (int(CLASSES[kind].fill) for kind in ("mac", "load", "map"))
    many = product.m > 1
    m, batch = (-(-product.m // rows), product.batch) if many else (1, -(-product.batch // rows))
    columns = lanes // rows
    passes = -(-product.n // columns)
    blocks, rest = batch * passes, -(-beside // lanes)
    sums = blocks * m * product.k
    loads = blocks * product.k if many else 0
    fills = blocks * (m * mac + (load if many else 0)) + (other if beside else 0)
    standing = product.n if by_rows else np.minimum(columns, product.n)
    return Loops(
        trips=sums + loads + rest,
        filled=sums + loads + rest + fills,
        reads=sums * (rows + (np.minimum(columns, product.n) if many else 0)) + beside,
        resident_bits=product.k * standing * float(product.weights.bits) * np.full_like(lanes, many),
        passes=passes,
        inputs=product.inputs.tensor,
    )


def _stream(einsum: ProgramEinsum, lanes: Array, operations: int) -> Loops:
    trips = -(-operations // lanes)
    reads = sum(einsum.size(access) for access in einsum.accesses[1:])
    ones = np.ones_like(lanes)
    return Loops(trips, trips + int(CLASSES["map"].fill), reads * ones, 0 * ones, ones)


def fastest_loops(einsum: ProgramEinsum, choices: Sequence[int], machine: Machine) -> Loops:
    """``einsum`` by rows, on each number of lanes with the number of rows at a time that is fastest."""
    lanes = np.array(choices)
    tried = [loops_of(einsum, lanes, np.minimum(rows, lanes), machine, by_rows=True) for rows in choices]
    best = np.argmin([one.filled for one in tried], axis=0)
    picked = {
        name: np.choose(best, [np.asarray(getattr(one, name)) for one in tried])
        for name in ("trips", "filled", "reads", "resident_bits", "passes")
    }
    return Loops(**picked, inputs=tried[0].inputs)


# -- all at once ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shared:
    """A cascade in dataflow on a number of lanes.

    Attributes:
        trips, filled: Cycles until the last Einsum has ended.
        lanes: Of each Einsum.
    """

    trips: int
    filled: int
    lanes: tuple[int, ...]


def dataflow(program: Program, loops: Sequence[Loops], choices: Sequence[int], total: int) -> Shared | None:
    """All Einsums at once on ``total`` lanes; None where there are fewer lanes than Einsums.

    Args:
        loops: Of each Einsum, on each number of lanes in ``choices`` (ascending).
    """
    picked = _shortest_longest([[int(t) for t in one.filled] for one in loops], choices, total)
    if picked is None:
        return None
    trips, filled = (
        _chained(program, [int(part[at]) for part, at in zip(parts, picked, strict=True)])
        for parts in ([one.trips for one in loops], [one.filled for one in loops])
    )
    return Shared(trips, filled, tuple(choices[at] for at in picked))


def _shortest_longest(times: Sequence[Sequence[int]], lanes: Sequence[int], total: int) -> list[int] | None:
    """For each task the index of its lanes, so that the longest takes as little as ``total`` lanes allow."""

    def fewest(limit: int) -> list[int] | None:
        picked = [next((at for at, t in enumerate(one) if t <= limit), None) for one in times]
        return None if None in picked else [at for at in picked if at is not None]

    def fits(limit: int) -> bool:
        picked = fewest(limit)
        return picked is not None and sum(lanes[at] for at in picked) <= total

    limits = sorted({t for one in times for t in one})
    low, high = 0, len(limits)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(limits[middle]) else (middle + 1, high)
    return fewest(limits[low]) if low < len(limits) else None


def _chained(program: Program, times: Sequence[int]) -> int:
    """When the last of concurrent Einsums has ended, FIFOs without bound.

        start(f) = max over e before f of  start(e) + time(e) / rows   or  end(e)
        end(f)   = max(start(f) + time(f), max over streamed e of end(e) + time(f) / rows)
    """
    made = {einsum.name: at for at, einsum in enumerate(program.einsums)}
    starts, ends = [0] * len(times), [0] * len(times)
    for at, einsum in enumerate(program.einsums):
        start, end = 0, 0
        for access in einsum.accesses[1:]:
            producer = made.get(access.tensor)
            if producer is None or producer >= at:
                continue
            rows = streamed_rows(program.einsums[producer], einsum, access.tensor)
            if rows > 1:
                start = max(start, starts[producer] + -(-times[producer] // rows))
                end = max(end, ends[producer] + -(-times[at] // rows))
            else:
                start = max(start, ends[producer])
        starts[at], ends[at] = start, max(start + times[at], end)
    return max(ends, default=0)


def streamed_rows(producer: ProgramEinsum, consumer: ProgramEinsum, tensor: str) -> int:
    """Rows of ``tensor`` in which it can be handed on while it is made; 1 where it has to be whole.

    The first dimension is handed on row by row if it is a plain variable of both Einsums and indexes the output of
    the consumer, whose rows then follow those of the producer.
    """
    made, uses = producer.accesses[0], [access for access in consumer.accesses[1:] if access.tensor == tensor]
    firsts = {access.dims[0] if access.dims else () for access in uses}
    if not made.dims or len(firsts) != 1:
        return 1
    (first,) = firsts
    if len(first) != 1 or first[0][1] != 1 or len(made.dims[0]) != 1 or made.dims[0][0][1] != 1:
        return 1
    variable, _ = first[0]
    outputs = consumer.accesses[0].dims
    first_out = outputs[0] if outputs else ()
    return consumer.extents[variable] if first_out == first else 1
