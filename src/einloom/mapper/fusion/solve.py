"""The best shared loops, residences, bindings and schedules of one group: candidates in the order of a bound.

The bound of a candidate gives every Einsum its cheapest option and every boundary tensor its cheapest place, each for
itself. What it leaves out is that registers and layouts are shared, and what overlap costs to fill; a candidate that is
reached is solved with all of that (`slot`).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from einloom.mapper.found import Objective, key_of
from einloom.mapper.fusion.balance import balanced
from einloom.mapper.fusion.costs import BUSY, ENERGY, Costs
from einloom.mapper.fusion.group import Part
from einloom.mapper.fusion.nests import Nests, nests_of
from einloom.mapper.fusion.slot import SLACK, Place, Slot, Solution, can_reside, internal_bits, may_reside, schedules_of
from einloom.mappings.nodes import Schedule

Floats = npt.NDArray[np.float64]
MAX_CANDIDATES = 400_000
EFFORT = 60
"""Layouts of residents that are solved for a group where there is no deadline: the same on any machine."""
SCOUTED = 24
"""Candidates that are looked at briefly before any is proven, where there is no deadline."""
MAX_TOGETHER = 5
"""Boundary tensors up to which every choice of those in the buffer is bounded by itself."""
MAX_DEPTHS = 256
"""Choices of depths of all tensors in the buffer, up to which a bound keeps to its capacity."""


@dataclass(frozen=True, eq=False)
class _Told:
    """What is known of the candidates of one sequence of loops.

    Attributes:
        nests: The candidates.
        crossing: Every tensor that the buffer may hold, at every depth.
        least: The least costs of every Einsum, by which of its operands bypass the buffer.
        quick: Cycles of the busiest unit, at least.
        inside, together: Bits of intermediates in the buffer, at least, and where all are alive at once.
    """

    nests: Nests
    crossing: Mapping[str, list[Place]]
    least: Mapping[str, Mapping[frozenset[str], Floats]]
    quick: Floats
    inside: Floats
    together: Floats


@dataclass(frozen=True, eq=False)
class _Bounded:
    """Candidates of one sequence of loops with their bounds, by which boundary tensors bypass the buffer.

    Attributes:
        told: What is known of them.
        bypassing: Tensors that the buffer does not hold.
        open: Tensors of which that is open.
        energy, cycles: What a candidate cannot go below.
    """

    told: _Told
    bypassing: frozenset[str]
    open: tuple[str, ...]
    energy: Floats
    cycles: Floats


@dataclass(frozen=True, eq=False)
class _Entry:
    """One candidate with its bound in the objective."""

    bounded: _Bounded
    candidate: int
    value: float

    @property
    def energy(self) -> float:
        return float(self.bounded.energy[self.candidate])

    @property
    def cycles(self) -> float:
        return float(self.bounded.cycles[self.candidate])

    @property
    def bits(self) -> float:
        """Of the buffer, at least."""
        return float(self.bounded.told.inside[self.candidate])


@dataclass(frozen=True, eq=False)
class _Queue:
    """Candidates in the order of their bounds: the batch of each, its place there, its bound in the objective."""

    batches: Sequence[_Bounded]
    numbers: npt.NDArray[np.intp]
    places: npt.NDArray[np.intp]
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: int) -> _Entry:
        return _Entry(self.batches[self.numbers[place]], int(self.places[place]), float(self.values[place]))


@dataclass(eq=False)
class Search:
    """One group: its candidates with their bounds, and as much of the search as there was time for.

    Attributes:
        until: Of `time.monotonic`: when to give up bounding the candidates.
        bits: Whether the occupancy of the buffer is a third objective of a front.
        front: The best, or the front.
        finished: Whether `go` has nothing more to do.
        complete: Whether nothing was left out so far.
        candidates, solved: How many there were, and how many were solved.
        least_energy_pj, least_cycles: What no candidate goes below.

    Raises:
        TimeIsUp: There is no time to bound the candidates.
    """

    costs: Costs
    objective: Objective
    until: float | None = None
    bits: bool = False
    front: list[Solution] = field(default_factory=list)
    finished: bool = False
    candidates: int = 0
    solved: int = 0
    least_energy_pj: float = 0.0
    least_cycles: float = 0.0
    _limit: float = float("inf")
    _until: float | None = None
    _needed: bool = False
    _effort: int = 0
    _place: int = 0
    _scouted: int = 0
    _lost: float = float("inf")
    _passed: float = float("inf")
    _queue: _Queue = field(init=False)

    def __post_init__(self) -> None:
        batches = list(self._bounded())
        values = np.concatenate([self._value(b.energy, b.cycles) for b in batches])
        other = np.concatenate([b.cycles if self.objective == "energy" else b.energy for b in batches])
        bits = np.concatenate([b.told.together for b in batches])
        starts = np.cumsum([0, *(len(b.energy) for b in batches)])
        self.candidates = len(values)
        if self._lost > 0:  # every candidate is there
            self.least_energy_pj = float(min(b.energy.min() for b in batches))
            self.least_cycles = float(min(b.cycles.min() for b in batches))
        hopeful = np.flatnonzero(np.isfinite(values) & np.isfinite(other))
        order = hopeful[np.lexsort((bits[hopeful], _rounded(other[hopeful]), _rounded(values[hopeful])))]
        numbers = np.searchsorted(starts, order, side="right") - 1
        self._queue = _Queue(batches, numbers, order - starts[numbers], values[order])

    @property
    def bound(self) -> float:
        """What nothing in the group goes below, in the objective; of a front, the least cycles."""
        left = float(self._queue.values[self._place]) if self._place < len(self._queue) else float("inf")
        return min(self._lost, self._passed, left, *(s.key(self.objective)[0] for s in self.front))

    @property
    def complete(self) -> bool:
        return self._place == len(self._queue) and self._lost == float("inf")

    def go(self, limit: float, until: float | None, needed: bool = False) -> None:
        """Search on.

        Args:
            limit: What is not better than this, in the objective, need not be found.
            until: Of `time.monotonic`: when to stop. Without it the effort is limited, the same on any machine.
            needed: Whether to go on past that until there is a first solution.
        """
        self._limit, self._until, self._needed = limit, until, needed
        self._scout()
        self._prove()

    def _scout(self) -> None:
        """Look at promising candidates briefly, where each of them is many: a good answer early cuts the rest."""
        internal = self.costs.group.internal
        if not len(self._queue):
            return
        nests = self._queue[0].bounded.told.nests
        if not (self._needed or any(may_reside(self.costs, nests, tensor) for tensor in internal)):
            return
        most = min(SCOUTED, len(self._queue)) if self._until is None else len(self._queue)
        half = None if self._until is None else (time.monotonic() + self._until) / 2
        while self._scouted < most:
            if half is not None and time.monotonic() > half and (self.front or not self._needed):
                return
            entry = self._queue[self._scouted]
            self._scouted += 1
            if entry.value > self._limit:
                self._scouted = len(self._queue)
            elif not self._beaten(entry.energy, entry.cycles, entry.bits):
                for solution in self._solutions(entry, briefly=True):
                    self._keep(solution)

    def _prove(self) -> None:
        """Solve what may still be better, in the order of its bound."""
        while self._place < len(self._queue):
            entry = self._queue[self._place]
            if self.objective != "pareto" and entry.value > min(self._best(), self._limit) * SLACK:
                self._passed, self._place = entry.value, len(self._queue)
                break
            if self._late():
                self.finished = self._until is None
                return
            if not self._beaten(entry.energy, entry.cycles, entry.bits):
                self.solved += 1
                for solution in self._solutions(entry):
                    self._keep(solution)
                if self._late():
                    self.finished = self._until is None
                    return
            self._place += 1
        self.finished = True

    def _best(self) -> float:
        return self.front[0].key(self.objective)[0] if self.front else self._limit

    def _value(self, energy: Floats, cycles: Floats) -> Floats:
        return {"energy": energy, "latency": cycles, "edp": energy * cycles, "pareto": cycles}[self.objective]

    def _beaten(
        self, energy: Floats | float, cycles: Floats | float, bits: float = 0.0
    ) -> npt.NDArray[np.bool_]:  # fmt: skip
        """Whether nothing within some bounds is better than what is found; or the time is over."""
        energies, times = np.broadcast_arrays(energy, cycles)
        if self._late():
            return np.ones(energies.shape, dtype=bool)
        beaten = np.zeros(energies.shape, dtype=bool)
        if self.objective == "pareto":
            for known in self.front:
                if self.bits and known.occupancy > bits:
                    continue
                beaten |= (known.energy_pj <= energies * SLACK) & (known.cycles <= times * SLACK)
            return beaten
        values, others = (energies, times) if self.objective == "energy" else (times, energies)
        beaten |= values > self._limit * SLACK
        if self.front:
            best, other = key_of(self.objective, self.front[0].energy_pj, self.front[0].cycles)
            beaten |= (values >= best / SLACK) & (others >= other / SLACK)
        return beaten

    def _late(self) -> bool:
        """Whether the time is over, or without a deadline the effort."""
        if self._until is not None:
            return time.monotonic() > self._until and (bool(self.front) or not self._needed)
        return self._effort >= EFFORT

    def _keep(self, solution: Solution) -> None:
        front = self.front
        if self.objective != "pareto":
            if not front or solution.key(self.objective) < front[0].key(self.objective):
                self.front = [solution]
            return
        if any(self._dominates(s, solution) for s in front):
            return
        kept = [s for s in front if not self._dominates(solution, s)]
        self.front = sorted([*kept, solution], key=lambda s: s.cycles)

    def _dominates(self, one: Solution, other: Solution) -> bool:
        """Whether a solution is no worse than another in everything that a front is over."""
        if self.bits and one.occupancy > other.occupancy:
            return False
        return one.energy_pj <= other.energy_pj and one.cycles <= other.cycles

    # -- bounds

    def _bounded(self) -> Iterator[_Bounded]:
        costs, boundary = self.costs, self.costs.group.boundary
        must = [t for t in boundary if costs.forced(t)]
        may = [t for t in boundary if costs.allowed(t) and t not in must]
        never = frozenset(t for t in boundary if not costs.allowed(t))
        every = self._nests()
        free = [self._free(nests) for nests in every]
        lows = {part.name: self._lows(every, free, part, may, never) for part in costs.group.parts}
        for place, nests in enumerate(every):
            crossing = {t: self._crossings(nests, t) for t in (*must, *may)}
            inside = self._least_internal_bits(nests, "sequential")
            together = self._least_internal_bits(nests, schedules_of(self.costs)[-1])
            quick = balanced(np.stack([low[place][1] for low in lows.values()], axis=1))
            least = {name: low[place][0] for name, low in lows.items()}
            told = _Told(nests, crossing, least, quick, inside, together)
            alone = [t for t in may if len(costs.group.users[t]) == 1] if len(may) > MAX_TOGETHER else []
            shared = [t for t in may if t not in alone]
            for out in _subsets(shared):
                bypassing = never | set(out)
                held = [t for t in crossing if t not in bypassing and t not in alone]
                yield self._bound(told, bypassing, held, alone)

    def _bound(self, told: _Told, bypassing: frozenset[str], held: list[str], alone: list[str]) -> _Bounded:
        """Bounds where it is open whether the tensors ``alone``, each of one Einsum, are in the buffer."""
        vector = self._least_crossing([told.crossing[t] for t in held], told.inside, len(told.nests))
        for part in self.costs.group.parts:
            mine = {operand.tensor for operand in part.operands}
            options = []
            open_here = [t for t in alone if t in mine]
            for out in _subsets(open_here):
                kept = [told.crossing[t] for t in open_here if t not in out]
                within = self._least_crossing(kept, told.inside, len(told.nests))
                options.append(told.least[part.name][bypassing & mine | set(out)] + within)
            best = options[0] if len(options) == 1 else np.min(options, axis=0)
            vector = vector + best
        return _Bounded(told, bypassing, tuple(alone), *self._both(vector, told.quick))

    def _nests(self) -> list[Nests]:
        """Every candidate, or as many as are looked at."""
        every: list[Nests] = []
        total = 0
        for nests in nests_of(self.costs.group):
            total += len(nests)
            if total > MAX_CANDIDATES:
                self._lost = 0.0
                break
            every.append(nests)
        return every

    def _lows(
        self, every: Sequence[Nests], free: Sequence[frozenset[str]], part: Part, may: list[str], never: frozenset[str]
    ) -> list[tuple[Mapping[frozenset[str], Floats], Floats]]:
        """The least of each entry that an Einsum can have, by which operands bypass the buffer; cycles by unit."""
        mine = {operand.tensor for operand in part.operands}
        always = never & mine
        some = [t for t in may if t in mine]
        outs = [always | set(out) for out in _subsets(some)]
        alike: dict[frozenset[str], list[int]] = {}
        for place, tensors in enumerate(free):
            alike.setdefault(tensors & mine, []).append(place)
        found: dict[int, tuple[Mapping[frozenset[str], Floats], Floats]] = {}
        for tensors, places in alike.items():
            low, quick = self.costs.least([every[i] for i in places], part, tensors, outs, self._entries, self.until)
            start = 0
            for i in places:
                rows = slice(start, start + len(every[i]))
                found[i] = {out: vector[rows] for out, vector in low.items()}, quick[rows]
                start += len(every[i])
        return [found[i] for i in range(len(every))]

    @property
    def _entries(self) -> range:
        """Entries of cost vectors that bounds look at: loads of ports only where cycles are asked for."""
        return range(BUSY + 1 if self.objective == "energy" and not self.costs.leakage_pj else self.costs.width)

    def _crossings(self, nests: Nests, tensor: str) -> list[Place]:
        """A tensor in the buffer at every depth; below a loop that it ignores it takes as much and moves no less."""
        variables = self.costs.operand(tensor).variables
        depths = (d for d in range(len(nests.loops) + 1) if d == 0 or nests.loops[d - 1] in variables)
        return [Place(d, self.costs.crossing(nests, tensor, d), self.costs.takes(nests, tensor, d)) for d in depths]

    def _least_crossing(self, tensors: list[list[Place]], inside: Floats, count: int) -> Floats:
        """The least of each entry for tensors held in the buffer, together within its capacity where they are few."""
        capacity = self._capacity
        total = np.where((inside <= capacity)[:, None], 0.0, np.full((count, self.costs.width), np.inf))
        if not tensors:
            return total
        if math.prod(map(len, tensors)) > MAX_DEPTHS:
            for options in tensors:
                costs = [np.where((p.bits + inside <= capacity)[:, None], p.cost, np.inf) for p in options]
                total = total + np.min(costs, axis=0)
            return total
        least = np.full((count, self.costs.width), np.inf)
        for chosen in itertools.product(*tensors):
            bits = inside + sum(place.bits for place in chosen)
            cost = sum((place.cost for place in chosen), np.zeros((count, self.costs.width)))
            least = np.minimum(least, np.where((bits <= capacity)[:, None], cost, np.inf))
        return least

    def _least_internal_bits(self, nests: Nests, schedule: Schedule) -> Floats:
        """Bits that intermediates take in the buffer at least, those that registers may hold left out."""
        homes = {t: self.costs.home(nests, t) for t in self.costs.group.internal}
        elsewhere = {t: can_reside(self.costs, nests, t) for t in self._free(nests)}
        return np.broadcast_to(internal_bits(self.costs, nests, homes, schedule, elsewhere), (len(nests),))

    def _free(self, nests: Nests) -> frozenset[str]:
        """Intermediates that may stay in registers: in a bound they cost the buffer nothing."""
        return frozenset(t for t in self.costs.group.internal if may_reside(self.costs, nests, t))

    def _both(self, vector: Floats, quick: Floats) -> tuple[Floats, Floats]:
        """Energy and cycles that a candidate cannot go below."""
        cycles = quick
        if self.costs.width > BUSY + 1:
            cycles = np.maximum(cycles, vector[:, BUSY + 1 :].max(axis=1))
        return vector[:, ENERGY] + self._leakage(cycles), cycles

    def _leakage(self, cycles: Floats) -> Floats | float:
        return cycles * self.costs.leakage_pj if self.costs.leakage_pj else 0.0

    # -- one candidate

    def _solutions(self, entry: _Entry, briefly: bool = False) -> Iterator[Solution]:
        bounded, candidate = entry.bounded, entry.candidate
        every = bounded.told.nests
        nests = Nests(every.group, every.loops, every.bounds[candidate : candidate + 1])
        crossing = {t: [place.of(candidate) for place in places] for t, places in bounded.told.crossing.items()}
        for bypassing in self._closed(entry) if bounded.open else (bounded.bypassing,):
            beaten = partial(self._beaten, bits=entry.bits)
            slot = Slot(self.costs, nests, bypassing, crossing, self.objective, beaten)
            yield from slot.glance() if briefly else slot.solutions()
            self._effort += slot.effort
            if not slot.exact:
                self._lost = min(self._lost, self._value(*map(np.asarray, slot.lost)).item())

    def _closed(self, entry: _Entry) -> Iterator[frozenset[str]]:
        """Every choice of open tensors that bypass the buffer, the most promising first, while it may be the best."""
        bounded, candidate = entry.bounded, entry.candidate
        told, entries = bounded.told, []
        one = slice(candidate, candidate + 1)
        for out in _subsets(bounded.open):
            bypassing = bounded.bypassing | set(out)
            vector = np.zeros((1, self.costs.width))
            for tensor, places in told.crossing.items():
                if tensor not in bypassing:
                    fits = [place.cost[one] for place in places if place.bits[candidate] <= self._capacity]
                    vector = vector + (np.min(fits, axis=0) if fits else np.inf)
            for part in self.costs.group.parts:
                mine = {operand.tensor for operand in part.operands}
                vector = vector + told.least[part.name][bypassing & mine][one]
            energy, cycles = self._both(vector, told.quick[one])
            entries.append((float(energy[0]), float(cycles[0]), bypassing))
        for energy_pj, cycle, bypassing in sorted(entries, key=lambda e: key_of(self.objective, e[0], e[1])):
            if not self._beaten(energy_pj, cycle, entry.bits):
                yield bypassing

    @property
    def _capacity(self) -> float:
        return float(self.costs.machine.buffer.capacity.value)


def _subsets(tensors: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(tensors, n) for n in range(len(tensors) + 1))


def _rounded(values: Floats) -> Floats:
    """To 12 digits: sums of the same words in another order are equal."""
    scale = 10.0 ** (11 - np.floor(np.log10(np.maximum(values, 1e-300))))
    return np.asarray(np.round(values * scale) / scale)
