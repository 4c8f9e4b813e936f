"""Tasks that talk through finite FIFOs, played in order of time: exact, and fast where their behaviour repeats.

A task is a loop nest of delays, reads and writes (`Program`). A FIFO holds at most its capacity of packets; its writer
and its reader wait for each other:

    read(i) >= write(i) + 1        write(i) >= read(i - capacity) + 1        [cycles]

(the max-plus recursion of a bounded queue; F. Baccelli et al., Synchronization and Linearity, Wiley 1992, section 2.3).
One FIFO moves at most one packet a cycle each way. What these rules leave free happens as early as it can.

A design of 48 million cycles has loops of thousands of equal rounds. When the network comes back to a state in which
every task stands at the same place, at the same times relative to each other, and no more than one loop counter of each
task has moved, then the rounds between repeat until a counter reaches its end; they are skipped at once. A FIFO may
meanwhile fill or empty at a constant rate, as long as nobody waited for it and it stays away from both ends.

Times are whole ticks; `Program.ticks` of them make a cycle, so that a loop may cost half a cycle.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from einloom.errors import SpecError

DELAY, READ, WRITE, LOOP, END = range(5)
Op = tuple[int, int, int]
"""(what, number, jump): ticks of a delay, FIFO of a read or write, (counter, place of its end) of a loop."""
DONE, BLOCKED = -1, -2
WORTH = 3
"""Iterations that must be left of a loop for it to be worth the look whether they repeat."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One task as a flat list of operations.

    Attributes:
        ops: In order; a LOOP is entered with its counter at 0, an END goes back to behind its LOOP.
        trips: Iterations of each loop, by counter.
    """

    ops: tuple[Op, ...]
    trips: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """What happened.

    Attributes:
        end: Tick at which the last task ended.
        ends: Of each task.
        packets: Written to each FIFO.
        events: Operations that were executed one by one (a measure of the work, not of the design).
    """

    end: int
    ends: tuple[int, ...]
    packets: tuple[int, ...]
    events: int


@dataclass(slots=True)
class _Fifo:
    """State of one FIFO. Counts are of packets since the start; waits are how often somebody had to wait."""

    capacity: int | None
    written: int = 0
    read: int = 0
    last_write: int = -(1 << 60)
    last_read: int = -(1 << 60)
    reader: int = -1
    writer: int = -1
    waits: int = 0


@dataclass(slots=True)
class _Snapshot:
    time: int
    key: list[int]
    ages: list[int]
    counters: list[list[int]]
    moved: list[tuple[int, int, int]]
    power: int = 1
    steps: int = 0


@dataclass(slots=True)
class _Player:
    """The network in motion. ``times`` of a task is when it goes on, or DONE or BLOCKED."""

    tasks: Sequence[Compiled]
    fifos: list[_Fifo]
    tick: int
    heap: list[tuple[int, int]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    counters: list[list[int]] = field(default_factory=list)
    seen: dict[tuple[int, int], _Snapshot] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    events: int = 0

    def play(self, most: float) -> bool:
        """Until the end, or until ``most`` operations have been executed; whether it came to its end."""
        count = len(self.tasks)
        self.places, self.times, self.ends = [0] * count, [0] * count, [0] * count
        self.counters = [[0] * len(task.trips) for task in self.tasks]
        self.heap = [(0, number) for number in range(count)]
        while self.heap:
            if self.events > most:
                return False
            now, number = heapq.heappop(self.heap)
            self._go(number, now)
        return True

    def _go(self, number: int, now: int) -> None:
        """Task ``number`` goes on at ``now``, until it takes time, waits or ends."""
        ops, trips = self.tasks[number].ops, self.tasks[number].trips
        counters, place = self.counters[number], self.places[number]
        while place < len(ops):
            what, value, jump = ops[place]
            self.events += 1
            if what == DELAY:
                self.places[number], self.times[number] = place + 1, now + value
                heapq.heappush(self.heap, (now + value, number))
                return
            if what in (READ, WRITE):
                later = self._packet(number, value, what == READ, now)
                if later != now:
                    self.places[number], self.times[number] = place, later
                    if later != BLOCKED:
                        heapq.heappush(self.heap, (later, number))
                    return
            elif what == LOOP:
                counters[value] = 0
            else:
                counters[value] += 1
                if counters[value] < trips[value]:
                    place = jump
                    if trips[value] - counters[value] > WORTH:
                        self.places[number], self.times[number] = place, now
                        now += self._skip(number, value, now)
                    continue
                counters[value] = 0
            place += 1
        self.places[number], self.times[number], self.ends[number] = place, DONE, now

    def _packet(self, number: int, fifo_number: int, read: bool, now: int) -> int:
        """Moves a packet at ``now`` and returns ``now``; or returns when to try again, or BLOCKED."""
        fifo = self.fifos[fifo_number]
        mine, other = (fifo.last_read, fifo.last_write) if read else (fifo.last_write, fifo.last_read)
        if now < mine + self.tick:
            return mine + self.tick
        there = fifo.written - fifo.read
        left = there if read else (1 if fifo.capacity is None else fifo.capacity - there)
        if left <= 0:
            fifo.waits += 1
            if read:
                fifo.reader = number
            else:
                fifo.writer = number
            return BLOCKED
        if left == 1 and now < other + self.tick and not (fifo.capacity is None and not read):
            fifo.waits += 1
            return other + self.tick
        if read:
            fifo.read, fifo.last_read, waiting, fifo.writer = fifo.read + 1, now, fifo.writer, -1
        else:
            fifo.written, fifo.last_write, waiting, fifo.reader = fifo.written + 1, now, fifo.reader, -1
        if waiting >= 0:
            self.times[waiting] = now + self.tick
            heapq.heappush(self.heap, (now + self.tick, waiting))
        return now

    # -- rounds that repeat ----------------------------------------------------------------------------------------

    def _skip(self, number: int, counter: int, now: int) -> int:
        """Ticks that can be skipped, with everything moved on by them; 0 where nothing repeats yet."""
        old = self.seen.get((number, counter))
        if old is None:
            self.seen[number, counter] = self._snapshot(now)
            return 0
        key = self._key(now)
        if old.key == key:
            state = self._snapshot(now)
            rounds = self._rounds(old, state) if old.ages == state.ages else 0
            if rounds > 0:
                self._advance(old, state, rounds)
                return rounds * (now - old.time)
        old.steps += 1
        if old.steps == old.power:  # Brent's cycle detection: any period is found once the power exceeds it
            state = self._snapshot(now)
            state.power = 2 * old.power
            self.seen[number, counter] = state
        return 0

    def _key(self, now: int) -> list[int]:
        """Where every task stands, and when it goes on, seen from ``now``."""
        return self.places + [time if time < 0 else time - now for time in self.times]

    def _snapshot(self, now: int) -> _Snapshot:
        tick = self.tick
        ages = [
            age for fifo in self.fifos for age in (min(now - fifo.last_write, tick), min(now - fifo.last_read, tick))
        ]
        moved = [(fifo.written, fifo.read, fifo.waits) for fifo in self.fifos]
        return _Snapshot(now, self._key(now), ages, [list(counters) for counters in self.counters], moved)

    def _rounds(self, old: _Snapshot, new: _Snapshot) -> int:
        """How often what lies between two like states is sure to repeat."""
        rounds = 1 << 60
        for task, before, after in zip(self.tasks, old.counters, new.counters, strict=True):
            if before != after:
                (moved, *more) = [i for i, (b, a) in enumerate(zip(before, after, strict=True)) if a != b]
                if more or after[moved] < before[moved]:
                    return 0
                step = after[moved] - before[moved]
                rounds = min(rounds, (task.trips[moved] - 1 - after[moved]) // step)
        for fifo, then, since in zip(self.fifos, old.moved, new.moved, strict=True):
            written, read, waits = (a - b for a, b in zip(since, then, strict=True))
            if written != read:
                there = fifo.written - fifo.read
                if waits:
                    return 0
                if written < read:
                    rounds = min(rounds, (there - read - 2) // (read - written))
                elif fifo.capacity is not None:
                    rounds = min(rounds, (fifo.capacity - there - written - 2) // (written - read))
        return max(rounds, 0) if rounds < 1 << 60 else 0

    def _advance(self, old: _Snapshot, new: _Snapshot, rounds: int) -> None:
        shift = rounds * (new.time - old.time)
        for counters, before, after in zip(self.counters, old.counters, new.counters, strict=True):
            for i, (b, a) in enumerate(zip(before, after, strict=True)):
                counters[i] += rounds * (a - b)
        for fifo, then, since in zip(self.fifos, old.moved, new.moved, strict=True):
            fifo.written += rounds * (since[0] - then[0])
            fifo.read += rounds * (since[1] - then[1])
            fifo.last_write += shift
            fifo.last_read += shift
            fifo.waits += rounds * (since[2] - then[2])
        self.times = [time if time < 0 else time + shift for time in self.times]
        self.heap = [(time + shift, number) for time, number in self.heap]


def play(tasks: Mapping[str, Compiled], capacities: Sequence[int | None], ticks: int = 1) -> Played:
    """Runs tasks against each other.

    Args:
        tasks: By name.
        capacities: Packets that each FIFO holds, at least 1; None: any number.
        ticks: Of a cycle.

    Raises:
        SpecError: They wait for each other for ever.
    """
    found = play_within(tasks, capacities, ticks, float("inf"))
    assert found is not None
    return found


def play_within(
    tasks: Mapping[str, Compiled], capacities: Sequence[int | None], ticks: int, most: float
) -> Played | None:
    """As `play`; None where it takes more than ``most`` operations, one by one."""
    player = _Player(tuple(tasks.values()), [_Fifo(capacity) for capacity in capacities], ticks)
    if not player.play(most):
        return None
    stuck = [name for name, time in zip(tasks, player.times, strict=True) if time == BLOCKED]
    if stuck:
        raise SpecError(
            f"tasks wait for each other for ever: {', '.join(stuck)}",
            "every packet that is sent is received, and a FIFO holds what its writer sends before its reader begins",
        )
    packets = tuple(fifo.written for fifo in player.fifos)
    return Played(max(player.ends, default=0), tuple(player.ends), packets, player.events)
