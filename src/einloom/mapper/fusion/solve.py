"""The best shared loops, residences, bindings and schedules of one group: candidates in order of a bound, solved exactly.

The bound of a candidate gives every Einsum its cheapest option and every boundary tensor its cheapest place, each for
itself. What it leaves out is the capacity of the buffer, that registers and layouts are shared, and what overlap costs to
fill; a candidate that is reached is solved with all of them.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from einloom.mapper.found import Objective, key_of
from einloom.mapper.fusion.costs import BUSY, ENERGY, Costs, alone
from einloom.mapper.fusion.group import Part
from einloom.mapper.fusion.interior import Options
from einloom.mapper.fusion.nests import Nests, nests_of
from einloom.mappings.nodes import Schedule

Floats = npt.NDArray[np.float64]
MAX_CANDIDATES = 400_000
MAX_TOGETHER = 5
"""Boundary tensors up to which every choice of those in the buffer is bounded by itself."""
MAX_DEPTHS = 256
"""Choices of depths of all tensors in the buffer, up to which a bound keeps to its capacity."""


@dataclass(frozen=True)
class Choice:
    """One option of one Einsum."""

    part: Part
    options: Options
    row: int


@dataclass(frozen=True)
class Solution:
    """One way to run a group.

    Attributes:
        energy_pj, cycles: Without what filling the overlap costs; leakage included.
        nests, candidate: Its shared loops.
        depths: Loops above the hold of each tensor in the buffer.
        resident: Tensors in registers while a slot runs.
        choices: One for each Einsum, in order.
        schedule: Of the slot.
        occupancy: Bits of the buffer.
    """

    energy_pj: float
    cycles: float
    nests: Nests
    candidate: int
    depths: tuple[tuple[str, int], ...]
    resident: frozenset[str]
    choices: tuple[Choice, ...]
    schedule: Schedule
    occupancy: float

    def key(self, objective: Objective) -> tuple[float, ...]:
        return (*key_of(objective, self.energy_pj, self.cycles), self.occupancy)


@dataclass
class Solved:
    """What the search of a group found.

    Attributes:
        front: The best, or the front.
        bound: What nothing that was left out can beat, in the objective.
        complete: Whether nothing was left out.
        candidates, solved: How many there were, and how many were solved.
    """

    front: list[Solution] = field(default_factory=list)
    bound: float = float("inf")
    complete: bool = True
    candidates: int = 0
    solved: int = 0


@dataclass(frozen=True, eq=False)
class _Place:
    """A tensor in the buffer below ``depth`` loops: cost of what crosses the outermost memory, bits that it takes."""

    depth: int
    cost: Floats
    bits: Floats

    def of(self, candidate: int) -> _Place:
        one = slice(candidate, candidate + 1)
        return _Place(self.depth, self.cost[one], self.bits[one])


@dataclass(frozen=True, eq=False)
class _Told:
    """What is known of the candidates of one sequence of loops.

    Attributes:
        nests: The candidates.
        crossing: Every tensor that the buffer may hold, at every depth.
        least: The least costs of every Einsum, by which of its operands bypass the buffer.
        inside, together: Bits of intermediates in the buffer, at least, and where all are alive at once.
    """

    nests: Nests
    crossing: Mapping[str, list[_Place]]
    least: Mapping[str, Mapping[frozenset[str], Floats]]
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


def solve(costs: Costs, objective: Objective, limit: float = float("inf"), deadline: float | None = None) -> Solved:
    """The best ways to run a group.

    Args:
        limit: What is not better than this, in the objective, need not be found.
        deadline: Of `time.monotonic`; past it the best found so far is given with its bound.
    """
    return _Search(costs, objective, limit, deadline).run()


@dataclass(eq=False)
class _Search:
    costs: Costs
    objective: Objective
    limit: float
    deadline: float | None
    found: Solved = field(default_factory=Solved)

    def run(self) -> Solved:
        batches = list(self._bounded())
        values = np.concatenate([self._value(b.energy, b.cycles) for b in batches])
        cycles = np.concatenate([b.cycles for b in batches])
        bits = np.concatenate([b.told.together for b in batches])
        starts = np.cumsum([0, *(len(b.energy) for b in batches)])
        self.found.candidates = len(values)
        hopeful = np.flatnonzero(values < self.limit)
        for place in hopeful[np.lexsort((bits[hopeful], _rounded(cycles[hopeful]), _rounded(values[hopeful])))]:
            number = int(np.searchsorted(starts, place, side="right")) - 1
            candidate, value = int(place - starts[number]), float(values[place])
            if self.objective != "pareto" and value > self._best() * _SLACK:
                break
            bounded = batches[number]
            if self._beaten(float(bounded.energy[candidate]), float(bounded.cycles[candidate])):
                continue
            if self.deadline is not None and time.monotonic() > self.deadline and self.found.front:
                self.found.complete = False
                self.found.bound = min(self.found.bound, value)
                break
            self.found.solved += 1
            for solution in self._solutions(bounded, candidate):
                self._keep(solution)
        return self.found

    def _best(self) -> float:
        return self.found.front[0].key(self.objective)[0] if self.found.front else self.limit

    def _value(self, energy: Floats, cycles: Floats) -> Floats:
        return {"energy": energy, "latency": cycles, "edp": energy * cycles, "pareto": cycles}[self.objective]

    def _beaten(self, energy: float, cycles: float) -> bool:
        """Whether nothing within a bound is better than what is found."""
        if self.objective == "pareto":
            return any(s.energy_pj <= energy * _SLACK and s.cycles <= cycles * _SLACK for s in self.found.front)
        if not self.found.front:
            return False
        best = self.found.front[0]
        mine = key_of(self.objective, energy, cycles)
        theirs = key_of(self.objective, best.energy_pj, best.cycles)
        return mine[0] >= theirs[0] / _SLACK and mine[1] >= theirs[1] / _SLACK

    def _keep(self, solution: Solution) -> None:
        front = self.found.front
        if self.objective != "pareto":
            if not front or solution.key(self.objective) < front[0].key(self.objective):
                self.found.front = [solution]
            return
        if any(s.energy_pj <= solution.energy_pj and s.cycles <= solution.cycles for s in front):
            return
        kept = [s for s in front if not (solution.energy_pj <= s.energy_pj and solution.cycles <= s.cycles)]
        self.found.front = sorted([*kept, solution], key=lambda s: s.cycles)

    # -- bounds

    def _bounded(self) -> Iterator[_Bounded]:
        costs, boundary = self.costs, self.costs.group.boundary
        must = [t for t in boundary if costs.forced(t)]
        may = [t for t in boundary if costs.allowed(t) and t not in must]
        never = frozenset(t for t in boundary if not costs.allowed(t))
        total = 0
        for nests in nests_of(costs.group):
            total += len(nests)
            if total > MAX_CANDIDATES:
                self.found.complete = False
                self.found.bound = 0.0
                return
            crossing = {t: self._crossings(nests, t) for t in (*must, *may)}
            inside = self._least_internal_bits(nests, "sequential")
            together = self._least_internal_bits(nests, self._schedules()[-1])
            least = {part.name: self._least(nests, part, may, never) for part in costs.group.parts}
            told = _Told(nests, crossing, least, inside, together)
            alone = [t for t in may if len(costs.group.users[t]) == 1] if len(may) > MAX_TOGETHER else []
            shared = [t for t in may if t not in alone]
            for out in itertools.chain.from_iterable(itertools.combinations(shared, n) for n in range(len(shared) + 1)):
                bypassing = never | set(out)
                yield self._bound(told, bypassing, [t for t in crossing if t not in bypassing and t not in alone], alone)

    def _bound(self, told: _Told, bypassing: frozenset[str], held: list[str], alone: list[str]) -> _Bounded:
        """Bounds where it is open whether the tensors ``alone``, each of one Einsum, are in the buffer."""
        vector = self._least_crossing([told.crossing[t] for t in held], told.inside, len(told.nests))
        busy: list[Floats] = []
        for part in self.costs.group.parts:
            mine = {operand.tensor for operand in part.operands}
            options = []
            open_here = [t for t in alone if t in mine]
            for n in range(len(open_here) + 1):
                for out in itertools.combinations(open_here, n):
                    kept = [told.crossing[t] for t in open_here if t not in out]
                    within = self._least_crossing(kept, told.inside, len(told.nests))
                    options.append(told.least[part.name][bypassing & mine | set(out)] + within)
            best = options[0] if len(options) == 1 else np.min(options, axis=0)
            vector = vector + best
            busy.append(best[:, BUSY])
        return _Bounded(told, bypassing, tuple(alone), *self._both(vector, busy))

    def _least(
        self, nests: Nests, part: Part, may: list[str], never: frozenset[str]
    ) -> Mapping[frozenset[str], Floats]:
        """The least of each entry that an Einsum can have, by which of its operands bypass the buffer."""
        mine = {operand.tensor for operand in part.operands}
        always = never & mine
        some = [t for t in may if t in mine]
        outs = [always | set(out) for n in range(len(some) + 1) for out in itertools.combinations(some, n)]
        return self.costs.least(nests, part, [frozenset()], outs, self._entries)

    @property
    def _entries(self) -> range:
        """Entries of cost vectors that bounds look at: loads of ports only where cycles are asked for."""
        return range(BUSY + 1 if self.objective == "energy" and not self._leakage_pj else self.costs.width)

    def _crossings(self, nests: Nests, tensor: str) -> list[_Place]:
        """A tensor in the buffer at every depth; below a loop that it ignores it takes as much and moves no less."""
        variables = self.costs.operand(tensor).variables
        depths = (d for d in range(len(nests.loops) + 1) if d == 0 or nests.loops[d - 1] in variables)
        return [_Place(d, self.costs.crossing(nests, tensor, d), self.costs.takes(nests, tensor, d)) for d in depths]

    def _least_crossing(self, tensors: list[list[_Place]], inside: Floats, count: int) -> Floats:
        """The least of each entry for tensors held in the buffer, together within its capacity where they are few."""
        capacity = self._capacity
        total = np.zeros((count, self.costs.width))
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
        homes = {t: at for t, at in homes.items() if at < len(nests.loops) or not self._may_reside(t)}
        return np.broadcast_to(self._internal_bits(nests, homes, schedule), (len(nests),))

    def _may_reside(self, tensor: str) -> bool:
        """Whether some unit's registers could hold an intermediate."""
        return False

    def _both(self, vector: Floats, busy: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Energy and cycles that a candidate cannot go below."""
        units = self.costs.machine.units
        cycles = np.maximum(np.sum(busy, axis=0) / len(units), np.max(busy, axis=0))
        for unit in units:  # what no other unit can execute
            bound = [b for b, able in zip(busy, self._able, strict=True) if able == {unit.name}]
            cycles = np.maximum(cycles, np.sum(bound, axis=0)) if bound else cycles
        if self.costs.width > BUSY + 1:
            cycles = np.maximum(cycles, vector[:, BUSY + 1 :].max(axis=1))
        return vector[:, ENERGY] + self._leakage(cycles), cycles

    @cached_property
    def _able(self) -> list[set[str]]:
        """Units that can execute each Einsum."""
        return [{o.unit.name for o in self.costs.interior(p, frozenset()).options} for p in self.costs.group.parts]

    def _leakage(self, cycles: Floats | float) -> Floats | float:
        return cycles * self._leakage_pj if self._leakage_pj else 0.0

    @cached_property
    def _leakage_pj(self) -> float:
        """Of a cycle."""
        architecture = self.costs.machine.architecture
        return architecture.leakage_w() / architecture.clock_hz * 1e12

    # -- one candidate

    def _solutions(self, bounded: _Bounded, candidate: int) -> Iterator[Solution]:
        every = bounded.told.nests
        nests = Nests(every.group, every.loops, every.bounds[candidate : candidate + 1])
        crossing = {t: [place.of(candidate) for place in places] for t, places in bounded.told.crossing.items()}
        if not bounded.open:
            yield from self._with(nests, bounded.bypassing, frozenset(), crossing)
            return
        for bypassing in self._closed(bounded, candidate):
            yield from self._with(nests, bypassing, frozenset(), crossing)

    def _closed(self, bounded: _Bounded, candidate: int) -> Iterator[frozenset[str]]:
        """Every choice of open tensors that bypass the buffer, the most promising first, while it may be the best."""
        told, entries = bounded.told, []
        one = slice(candidate, candidate + 1)
        for n in range(len(bounded.open) + 1):
            for out in itertools.combinations(bounded.open, n):
                bypassing = bounded.bypassing | set(out)
                vector = np.zeros((1, self.costs.width))
                for tensor, places in told.crossing.items():
                    if tensor not in bypassing:
                        fits = [place.cost[one] for place in places if place.bits[candidate] <= self._capacity]
                        vector = vector + (np.min(fits, axis=0) if fits else np.inf)
                busy = []
                for part in self.costs.group.parts:
                    mine = {operand.tensor for operand in part.operands}
                    least = told.least[part.name][bypassing & mine][one]
                    vector, busy = vector + least, [*busy, least[:, BUSY]]
                energy, cycles = self._both(vector, busy)
                entries.append((float(energy[0]), float(cycles[0]), bypassing))
        for energy_pj, cycle, bypassing in sorted(entries, key=lambda e: key_of(self.objective, e[0], e[1])):
            if not self._beaten(energy_pj, cycle):
                yield bypassing

    @property
    def _capacity(self) -> float:
        return float(self.costs.machine.buffer.capacity.value)

    def _with(
        self, nests: Nests, bypassing: frozenset[str], resident: frozenset[str],
        crossing: Mapping[str, list[_Place]],
    ) -> Iterator[Solution]:  # fmt: skip
        parts = self.costs.group.parts
        offers = []
        for part in parts:
            mine = bypassing & {operand.tensor for operand in part.operands}
            offers.append(self._offers(nests, part, resident, mine))
        if all(offers):
            for schedule in self._schedules():
                merged = self._merged(offers, schedule)
                for holding in self._holdings(nests, bypassing, resident, schedule, crossing):
                    for vector, choices in merged:
                        yield self._solution(nests, resident, schedule, holding, vector, choices)

    def _schedules(self) -> tuple[Schedule, ...]:
        return ("sequential",) if len(self.costs.machine.units) == 1 else ("sequential", "pipelined")

    def _offers(
        self, nests: Nests, part: Part, resident: frozenset[str], bypassing: frozenset[str]
    ) -> list[tuple[Floats, Choice]]:
        """The options of an Einsum that no other beats in everything."""
        found: list[tuple[Floats, Choice]] = []
        for options, vectors in self.costs.rows(nests, part, resident, bypassing):
            found += [(vector, Choice(part, options, row)) for row, vector in enumerate(vectors[0]) if vector[0] < np.inf]
        if self.objective == "energy" and not self._leakage_pj and found:
            least = min(vector[ENERGY] for vector, _ in found)
            found = [entry for entry in found if entry[0][ENERGY] <= least * _SLACK]
        keys = [_unit_key(entry[1]) for entry in found]
        return [e for name in dict.fromkeys(keys) for e in _pareto([f for f, k in zip(found, keys, strict=True) if k == name])]

    def _merged(
        self, offers: Sequence[list[tuple[Floats, Choice]]], schedule: Schedule
    ) -> list[tuple[Floats, tuple[Choice, ...]]]:
        """Sums over Einsums: energy, loads, then what the schedule composes cycles from."""
        units = [unit.name for unit in self.costs.machine.units]
        width = self.costs.width
        merged: list[tuple[Floats, tuple[Choice, ...]]] = [(np.zeros(width + len(units)), ())]
        for mine in offers:
            joined = []
            for total, choices in merged:
                for vector, choice in mine:
                    new = total.copy()
                    new[ENERGY] += vector[ENERGY]
                    new[BUSY + 1 : width] += vector[BUSY + 1 :]
                    longest = float(alone(vector))
                    if schedule == "sequential":
                        new[BUSY] += longest
                    else:
                        new[BUSY] = max(new[BUSY], longest)
                        new[width + units.index(choice.options.unit.name)] += vector[BUSY]
                    joined.append((new, (*choices, choice)))
            merged = _pareto(joined)
        return merged

    def _holdings(
        self, nests: Nests, bypassing: frozenset[str], resident: frozenset[str], schedule: Schedule,
        crossing: Mapping[str, list[_Place]],
    ) -> list[tuple[Floats, float, tuple[tuple[str, int], ...]]]:  # fmt: skip
        """(cost, bits of the buffer, depths) of every choice of depths that fits and is not beaten."""
        costs = self.costs
        inside = [t for t in costs.group.internal if t not in resident]
        if any(not costs.allowed(t) for t in inside):
            return []
        fixed = {t: costs.home(nests, t) for t in inside}
        taken = float(self._internal_bits(nests, fixed, schedule)[0])
        capacity = self._capacity
        base = tuple(fixed.items())
        front: list[tuple[Floats, tuple[float, tuple[tuple[str, int], ...]]]] = []
        if taken <= capacity:
            front = [(np.concatenate([np.zeros(costs.width), [taken]]), (taken, base))]
        for tensor, places in crossing.items():
            if tensor in bypassing:
                continue
            joined = []
            for place in places:
                cost, bits = place.cost[0], float(place.bits[0])
                for vector, (total, depths) in front:
                    if total + bits <= capacity:
                        new = vector + np.concatenate([cost, [bits]])
                        joined.append((new, (total + bits, (*depths, (tensor, place.depth)))))
            front = _pareto(joined)
        return [(vector[:-1], bits, depths) for vector, (bits, depths) in front]

    def _internal_bits(self, nests: Nests, homes: Mapping[str, int], schedule: Schedule) -> Floats:
        """Bits of intermediates in the buffer: over `sequential` those of a slot only while they live."""
        group = self.costs.group
        bits = {t: self.costs.takes(nests, t, at) for t, at in homes.items()}
        none = np.zeros(len(nests))
        if schedule != "sequential":
            return sum(bits.values(), none)
        depth = len(nests.loops)
        brief = [t for t, at in homes.items() if at == depth and t not in group.flow.states]
        order = [part.name for part in group.parts]
        spans = {t: sorted(order.index(part.name) for part, _ in group.users[t]) for t in brief}
        each = [sum((bits[t] for t, at in spans.items() if at[0] <= i <= at[-1]), none) for i in range(len(order))]
        return sum((bits[t] for t in homes if t not in brief), none) + np.max(each, axis=0)

    def _solution(
        self, nests: Nests, resident: frozenset[str], schedule: Schedule,
        holding: tuple[Floats, float, tuple[tuple[str, int], ...]], vector: Floats, choices: tuple[Choice, ...],
    ) -> Solution:  # fmt: skip
        cost, bits, depths = holding
        width = self.costs.width
        loads = cost[BUSY + 1 :] + vector[BUSY + 1 : width]
        cycles = max(float(vector[BUSY]), *map(float, loads), *map(float, vector[width:]))
        energy = float(cost[ENERGY] + vector[ENERGY] + self._leakage(cycles))
        return Solution(energy, cycles, nests, 0, depths, resident, choices, schedule, bits)


_SLACK = 1 + 1e-12
"""Sums of the same words in another order."""


def _rounded(values: Floats) -> Floats:
    """To 12 digits: sums of the same words in another order are equal."""
    scale = 10.0 ** (11 - np.floor(np.log10(np.maximum(values, 1e-300))))
    return np.asarray(np.round(values * scale) / scale)


def _unit_key(choice: Choice) -> str:
    return choice.options.unit.name


def _pareto(entries: list[tuple[Floats, object]]) -> list:  # type: ignore[type-arg]
    """Entries that no other matches or beats in everything; of equal ones the first."""
    if len(entries) < 2:
        return entries
    table = np.array([vector for vector, _ in entries])
    order = np.lexsort(table.T[::-1])
    kept: list[int] = []
    best = np.empty((0, table.shape[1]))
    for i in order:
        if not len(best) or not (best <= table[i] * _SLACK).all(axis=1).any():
            kept.append(int(i))
            best = np.vstack([best, table[i]])
    return [entries[i] for i in kept]
