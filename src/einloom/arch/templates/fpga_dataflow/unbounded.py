"""Tasks with FIFOs without bound: nobody waits to write, so that tasks can be timed one after the other, on arrays.

With e_j the time of the j-th packet of a task, d_j the delay before it and w_j when a packet to be read was written,

    e_j = max(e_(j-1) + d_j, w_j + 1)   =   D_j + max over i <= j of (w_i + 1 - D_i),   D_j = d_1 + ... + d_j

Where this form does not hold (tasks in a circle, packets of one FIFO less than a cycle apart, millions of packets),
the answer is None, and `network.play` has it.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array
from einloom.arch.templates.fpga_dataflow.network import DELAY, END, LOOP, READ, WRITE, Compiled, Op, Played

MOST_PACKETS = 1_000_000
"""Of one task; more take longer on arrays than where rounds that repeat are skipped."""


@dataclass(frozen=True, slots=True)
class _Packets:
    """Packets of a piece of a task: delay before each, its FIFO; and the delay behind the last."""

    delays: Array
    fifos: Array
    tail: int


def play_unbounded(tasks: Sequence[Compiled], fifos: int, tick: int) -> Played | None:
    """What `network.play` says of tasks whose FIFOs hold any number of packets; None where that is to be asked.

    Args:
        tasks: In any order.
        fifos: How many there are.
        tick: Ticks of a cycle.
    """
    pieces = [_unrolled(task) for task in tasks]
    order = _order(tasks)
    if order is None or any(piece is None for piece in pieces):
        return None
    written: dict[int, Array] = {}
    ends = [0] * len(tasks)
    for number in order:
        piece = pieces[number]
        assert piece is not None
        places = {(what, fifo): np.flatnonzero(piece.fifos == fifo)
                  for what, fifo, _ in tasks[number].ops if what in (READ, WRITE)}  # fmt: skip
        inputs = {fifo: mine for (what, fifo), mine in places.items() if what == READ}
        times = _times(piece, inputs, written, tick)
        if times is None:
            return None
        for (what, fifo), mine in places.items():
            here = times if len(mine) == len(times) else times[mine]
            if len(here) > 1 and np.diff(here).min() < tick:
                return None
            if what == WRITE:
                written[fifo] = here
        ends[number] = int(times[-1]) + piece.tail if len(times) else piece.tail
    packets = tuple(len(written.get(fifo, ())) for fifo in range(fifos))
    return Played(max(ends, default=0), tuple(ends), packets, 0)


def packets_of(task: Compiled) -> int:
    """Packets that a task moves."""
    total, many, open_loops = 0, 1, [1]
    for what, value, _ in task.ops:
        if what in (READ, WRITE):
            total += many
        elif what == LOOP:
            open_loops.append(task.trips[value])
            many *= task.trips[value]
        elif what == END:
            many //= open_loops.pop()
    return total


def _times(piece: _Packets, inputs: Mapping[int, Array], written: Mapping[int, Array], tick: int) -> Array | None:
    """When each packet is moved; None where one that is read is never written. ``inputs``: places of what is read."""
    behind: Array = np.cumsum(piece.delays)
    if not inputs:
        return behind
    ready = np.zeros(len(behind), dtype=np.int64)
    for fifo, mine in inputs.items():
        there = written.get(fifo, np.zeros(0, dtype=np.int64))
        if len(there) < len(mine):
            return None
        ready[mine] = there[: len(mine)] + tick
    times: Array = behind + np.maximum(np.maximum.accumulate(ready - behind), 0)
    return times


def _unrolled(task: Compiled) -> _Packets | None:
    piece, _ = _piece(task.ops, 0, task.trips)
    return piece


def _piece(ops: Sequence[Op], at: int, trips: Sequence[int]) -> tuple[_Packets | None, int]:
    """The packets from ``at`` to the end of the loop that is open there, and the place of that end."""
    parts: list[_Packets] = []
    delays: list[int] = []
    fifos: list[int] = []
    waiting, total = 0, 0

    def close() -> None:
        if delays:
            parts.append(_Packets(np.array(delays, dtype=np.int64), np.array(fifos), 0))
            delays.clear()
            fifos.clear()

    while at < len(ops):
        what, value, _ = ops[at]
        if what == DELAY:
            waiting += value
        elif what in (READ, WRITE):
            delays.append(waiting)
            fifos.append(value)
            waiting = 0
        elif what == LOOP:
            inner, at = _piece(ops, at + 1, trips)
            total += 0 if inner is None else len(inner.delays) * trips[value]
            if inner is None or total > MOST_PACKETS:
                return None, at
            close()
            if len(inner.delays):
                parts.append(_repeated(inner, trips[value], waiting))
                waiting = inner.tail
            else:
                waiting += inner.tail * trips[value]
        else:
            break
        at += 1
    close()
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return _Packets(none, none, waiting), at
    if len(parts) == 1:
        return _Packets(parts[0].delays, parts[0].fifos, waiting), at
    delays_of, fifos_of = ([part.delays for part in parts], [part.fifos for part in parts])
    return _Packets(np.concatenate(delays_of), np.concatenate(fifos_of), waiting), at


def _repeated(inner: _Packets, trips: int, before: int) -> _Packets:
    """A loop of packets, ``before`` ticks after the last packet in front of it."""
    delays = np.tile(inner.delays, trips)
    delays[len(inner.delays) :: len(inner.delays)] += inner.tail
    delays[0] += before
    return _Packets(delays, np.tile(inner.fifos, trips), 0)


def _order(tasks: Sequence[Compiled]) -> list[int] | None:
    """Writers before readers; None where tasks feed each other in a circle."""
    writers = {value: n for n, task in enumerate(tasks) for what, value, _ in task.ops if what == WRITE}
    graph = {
        number: {writers[value] for what, value, _ in task.ops if what == READ and value in writers}
        for number, task in enumerate(tasks)
    }
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError:
        return None
