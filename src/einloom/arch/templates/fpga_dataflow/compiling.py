"""From the text of tasks to what `network.play` runs: kinds become ticks, FIFOs numbers, quiet loops one delay.

Every network is timed three times: by its trips alone (a first-order bound), with the fill of loops and the latency of
accesses, and with finite FIFOs as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from einloom.arch.templates.fpga_dataflow.classes import LoopClass
from einloom.arch.templates.fpga_dataflow.network import (
    DELAY,
    END,
    LOOP,
    READ,
    WRITE,
    Compiled,
    Op,
    Played,
    play,
    play_within,
)
from einloom.arch.templates.fpga_dataflow.text import Loop, Packet, Pipeline, Sequence, evaluate, pipelines
from einloom.arch.templates.fpga_dataflow.unbounded import packets_of, play_unbounded

FEW = 60_000
"""Packets that are timed on arrays at once where FIFOs have no bound."""
PATIENCE = 3000
"""Operations after which more of them, whose rounds do not repeat, are timed on arrays as well."""


@dataclass(frozen=True, slots=True)
class Network:
    """Concurrent tasks of one phase.

    Attributes:
        tasks: By name.
        capacities: Packets that each FIFO holds; None: any number.
    """

    tasks: Mapping[str, Sequence]
    capacities: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Timing:
    """Cycles of a phase.

    Attributes:
        trips: Trips alone, FIFOs without bound.
        filled: With the fill of every loop.
        cycles: With finite FIFOs; never less than ``filled``, which is never less than ``trips``.
        ends: When each task is done, by name.
        packets: Through each FIFO, by name.
    """

    trips: Fraction
    filled: Fraction
    cycles: Fraction
    ends: Mapping[str, Fraction]
    packets: Mapping[str, int]


def ticks_of(tasks: Iterable[Sequence], kinds: Mapping[str, LoopClass]) -> int:
    """Ticks of a cycle: the least number that makes every cost of the kinds used whole."""
    used = {item.kind for task in tasks for item in pipelines(task)}
    costs = [cost for kind in used for cost in (kinds[kind].fill, kinds[kind].interval)]
    return math.lcm(1, *(cost.denominator for cost in costs))


def timing_of(network: Network, kinds: Mapping[str, LoopClass], names: Mapping[str, int]) -> Timing:
    """Cycles of concurrent tasks, at the three levels of detail.

    Raises:
        SpecError: A name that nobody has, or tasks that wait for each other for ever.
    """
    ticks = ticks_of(network.tasks.values(), kinds)
    fifos = {name: number for number, name in enumerate(network.capacities)}
    bare = {name: LoopClass(Fraction(0)) for name in kinds}

    def played(costs: Mapping[str, LoopClass], capacities: list[int | None]) -> Played:
        tasks = {n: compiled(task, costs, names, fifos, ticks) for n, task in network.tasks.items()}
        if all(capacity is None for capacity in capacities):
            few = sum(map(packets_of, tasks.values())) <= FEW
            found = None if few else play_within(tasks, capacities, ticks, PATIENCE)
            found = found or play_unbounded(tuple(tasks.values()), len(fifos), ticks)
            if found is not None:
                return found
        return play(tasks, capacities, ticks)

    free: list[int | None] = [None] * len(fifos)
    trips, filled = played(bare, free), played(kinds, free)
    bounded = list(network.capacities.values())
    full = played(kinds, bounded) if any(capacity is not None for capacity in bounded) else filled
    ends = {name: Fraction(end, ticks) for name, end in zip(network.tasks, full.ends, strict=True)}
    return Timing(
        trips=Fraction(trips.end, ticks), filled=Fraction(filled.end, ticks), cycles=Fraction(full.end, ticks),
        ends=ends, packets=dict(zip(fifos, full.packets, strict=True)),
    )  # fmt: skip


def compiled(
    task: Sequence, kinds: Mapping[str, LoopClass], names: Mapping[str, int], fifos: Mapping[str, int], ticks: int
) -> Compiled:
    """One task as operations."""
    writer = _Writer(kinds, names, fifos, ticks)
    writer.sequence(task)
    writer.flush()
    return Compiled(tuple(writer.ops), tuple(writer.trips))


@dataclass(slots=True)
class _Writer:
    kinds: Mapping[str, LoopClass]
    names: Mapping[str, int]
    fifos: Mapping[str, int]
    ticks: int
    ops: list[Op] = field(default_factory=list)
    trips: list[int] = field(default_factory=list)
    waiting: int = 0

    def sequence(self, task: Sequence) -> None:
        for item in task.items:
            if isinstance(item, Packet):
                self._packet(item.fifo, item.read)
            elif isinstance(item, Pipeline):
                self._pipeline(item)
            elif isinstance(item, Sequence):
                self.sequence(item)
            else:
                self._loop(item)

    def flush(self) -> None:
        """Delays that were put off until something happens."""
        if self.waiting:
            self.ops.append((DELAY, self.waiting, 0))
            self.waiting = 0

    def _packet(self, fifo: str, read: bool) -> None:
        self.flush()
        self.ops.append((READ if read else WRITE, self.fifos[fifo], 0))

    def _pipeline(self, item: Pipeline) -> None:
        kind, trips = self.kinds[item.kind], evaluate(item.trips, self.names)
        interval = kind.interval if item.interval is None else Fraction(evaluate(item.interval, self.names))
        beat, fill = self._whole(interval), self._whole(kind.fill)
        if not trips:
            return
        if not item.reads and not item.writes:
            self.waiting += trips * beat + fill
            return
        start = self._open(trips)
        for fifo in item.reads:
            self._packet(fifo, True)
        for fifo in item.writes:
            self._packet(fifo, False)
        self.waiting += beat
        self._close(start)
        self.waiting += fill

    def _loop(self, item: Loop) -> None:
        trips = evaluate(item.trips, self.names)
        inner = _Writer(self.kinds, self.names, self.fifos, self.ticks)
        inner.sequence(item.body)
        if not inner.ops:
            self.waiting += trips * inner.waiting
        elif trips:
            start = self._open(trips)
            self.sequence(item.body)
            self._close(start)

    def _open(self, trips: int) -> int:
        self.flush()
        self.trips.append(trips)
        self.ops.append((LOOP, len(self.trips) - 1, 0))
        return len(self.trips) - 1

    def _close(self, counter: int) -> None:
        self.flush()
        start = next(at for at, (what, number, _) in enumerate(self.ops) if what == LOOP and number == counter)
        self.ops.append((END, counter, start + 1))

    def _whole(self, cycles: Fraction) -> int:
        ticks = cycles * self.ticks
        assert ticks.denominator == 1
        return int(ticks)
