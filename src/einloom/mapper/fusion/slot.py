"""One candidate of shared loops solved: residents, layouts, bindings, registers, depths and schedules, exactly.

Einsums that share a tensor in the registers of a unit run on it with one layout; given that, each Einsum chooses among
its options by itself, and costs add up: what is best is found by joining fronts, Einsum by Einsum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from einloom.mapper.found import Objective, key_of
from einloom.mapper.fusion.balance import balanced
from einloom.mapper.fusion.costs import BUSY, ENERGY, Costs, alone
from einloom.mapper.fusion.group import Part
from einloom.mapper.fusion.interior import Layout, Options
from einloom.mapper.fusion.machine import Unit
from einloom.mapper.fusion.nests import Nests
from einloom.mappings.nodes import Schedule
from einloom.model.structure import applies
from einloom.workloads.dataflow import Read

Floats = npt.NDArray[np.float64]
SLACK = 1 + 1e-12
"""Sums of the same words in another order."""
GLANCED = 3
"""Layouts that a glance looks at."""
BEAM = 32
"""Ways for the first Einsums that a glance goes on with."""
Residents = Mapping[str, str]
"""Tensors in registers while a slot runs, with the unit whose registers."""
Chosen = TypeVar("Chosen")
Beaten = Callable[[Floats | float, Floats | float], npt.NDArray[np.bool_] | bool]
"""Whether energies (pJ) and cycles that nothing goes below are no better than what is known."""


@dataclass(frozen=True, eq=False)
class Place:
    """A tensor in the buffer below ``depth`` loops: cost of what crosses the outermost memory, bits that it takes."""

    depth: int
    cost: Floats
    bits: Floats

    def of(self, candidate: int) -> Place:
        """The same for one candidate."""
        one = slice(candidate, candidate + 1)
        return Place(self.depth, self.cost[one], self.bits[one])


@dataclass(frozen=True)
class Choice:
    """One option of one Einsum."""

    part: Part
    options: Options
    row: int

    @property
    def unit(self) -> Unit:
        return self.options.unit

    @property
    def layout(self) -> Layout:
        return self.options.layouts[self.row]


@dataclass(frozen=True)
class Offer:
    """An option with its cost vector, and the bits of registers that it takes for itself."""

    vector: Floats
    registers: float
    choice: Choice


@dataclass(frozen=True, eq=False)
class Lowest:
    """What nothing goes below: energy, and cycles of each Einsum on each unit. Shape of ``busy``: (Einsums, units)."""

    energy_pj: float
    busy: Floats


@dataclass(frozen=True)
class Joined:
    """Ways for the first Einsums, one offer each.

    Attributes:
        table: Energy, what cycles are composed of, loads; then work and register bits by unit. Shape ``(ways, ...)``.
        picks: The offer of each Einsum. Shape ``(ways, Einsums)``.
    """

    table: Floats
    picks: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.table)

    def of(self, ways: npt.NDArray[np.intp] | Sequence[int]) -> Joined:
        return Joined(self.table[ways], self.picks[ways])


@dataclass(frozen=True)
class Solution:
    """One way to run a group.

    Attributes:
        energy_pj, cycles: Without what filling the overlap costs; leakage included.
        nests: Its shared loops, one candidate.
        depths: Loops above the hold of each tensor in the buffer.
        resident: Tensors in registers while a slot runs.
        choices: One for each Einsum, in order.
        schedule: Of the slot.
        occupancy: Bits of the buffer.
    """

    energy_pj: float
    cycles: float
    nests: Nests
    depths: tuple[tuple[str, int], ...]
    resident: frozenset[str]
    choices: tuple[Choice, ...]
    schedule: Schedule
    occupancy: float

    def key(self, objective: Objective) -> tuple[float, ...]:
        """Orders solutions: the objective, what breaks ties, bits of the buffer."""
        return (*key_of(objective, self.energy_pj, self.cycles), self.occupancy)


def schedules_of(costs: Costs) -> tuple[Schedule, ...]:
    """Schedules of a slot: with one unit nothing overlaps."""
    return ("sequential",) if len(costs.machine.units) == 1 else ("sequential", "pipelined")


def may_reside(costs: Costs, nests: Nests, tensor: str) -> tuple[str, ...]:
    """Units in whose registers an intermediate may stay while a slot runs."""
    group = costs.group
    if tensor not in group.internal or tensor in group.flow.states or costs.forced(tensor):
        return ()
    if costs.home(nests, tensor) < len(nests.loops):
        return ()
    parts = dict.fromkeys(part for part, _ in group.users[tensor])
    return tuple(
        unit.name
        for unit in costs.machine.units
        if unit.registers is not None
        and all(unit.able(part.einsum) for part in parts)
        and all(costs.rules[part.name].holding(unit.registers.name).allows(tensor) for part in parts)
    )


def can_reside(costs: Costs, nests: Nests, tensor: str) -> npt.NDArray[np.bool_]:
    """Whether an intermediate, spread over a whole array, fits its registers. Shape ``(candidates,)``."""
    operand = costs.operand(tensor)
    bits = nests.elements(operand.variables, len(nests.loops)) * float(operand.bits)
    names = may_reside(costs, nests, tensor)
    most = max(
        (float(unit.registers.capacity.value) * math.prod(unit.axes.values())
         for unit in costs.machine.units if unit.registers is not None and unit.name in names), default=0.0,
    )  # fmt: skip
    return np.asarray(bits <= most)


def internal_bits(
    costs: Costs, nests: Nests, homes: Mapping[str, int], schedule: Schedule,
    elsewhere: Mapping[str, npt.NDArray[np.bool_]] = MappingProxyType({}),
) -> Floats:  # fmt: skip
    """Bits of intermediates in the buffer: over `sequential` those of a slot only while they live.

    Args:
        elsewhere: Of some intermediates, in which candidates they may be in registers instead.
    """
    group = costs.group
    bits = {t: np.where(elsewhere.get(t, False), 0.0, costs.takes(nests, t, at)) for t, at in homes.items()}
    none = np.zeros(len(nests))
    if schedule != "sequential":
        return sum(bits.values(), none)
    depth = len(nests.loops)
    brief = [t for t, at in homes.items() if at == depth and t not in group.flow.states]
    each = [sum((bits[t] for t in brief if _lives(costs, t, i)), none) for i in range(len(group.parts))]
    return np.asarray(sum((bits[t] for t in homes if t not in brief), none) + np.max(each, axis=0))


def _lives(costs: Costs, tensor: str, child: int) -> bool:
    """Whether an intermediate of a slot is alive during a child of `sequential`."""
    order = [part.name for part in costs.group.parts]
    places = [order.index(part.name) for part, _ in costs.group.users[tensor]]
    return min(places) <= child <= max(places)


@dataclass(eq=False)
class Slot:
    """One candidate.

    Attributes:
        costs: Of the group.
        nests: The candidate.
        bypassing: Boundary tensors that the buffer does not hold.
        crossing: Every boundary tensor that it may hold, at every depth.
        objective: What is asked for.
        beaten: What is known already.
        misses: Energy and cycles of ways that cannot stream, which may have stood before others that can.
        effort: Layouts of residents that were solved.
    """

    costs: Costs
    nests: Nests
    bypassing: frozenset[str]
    crossing: Mapping[str, Sequence[Place]]
    objective: Objective
    beaten: Beaten

    misses: list[tuple[float, float]] = field(default_factory=list)
    effort: int = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.costs.group.parts

    @property
    def exact(self) -> bool:
        """Whether nothing better can have been passed over for a recurrence that cannot stream."""
        return not any(not self.beaten(*miss) for miss in self.misses)

    @property
    def lost(self) -> tuple[float, float]:
        """Energy and cycles that nothing which was passed over goes below."""
        return min(energy for energy, _ in self.misses), min(cycles for _, cycles in self.misses)

    def _streams(self, choices: Sequence[Choice]) -> bool:
        """Whether the recurrences can run overlapped: no cycle of Einsums each of which waits for the one before.

        On one unit a result is there at once, from one unit to another it takes a slot (`model.fused.lags`).
        """
        unit = {choice.part.name: choice.unit.name for choice in choices}
        lags = dict.fromkeys(unit, 0.0)
        for _ in range(len(lags) + 1):
            changed = False
            for read in self.costs.group.reads:
                wait = 1.0 if unit[read.producer] != unit[read.consumer] or read.producer == read.consumer else 0.0
                wanted = lags[read.producer] + wait - self._distance(read)
                if lags[read.consumer] < wanted:
                    lags[read.consumer], changed = wanted, True
            if not changed:
                return True
        return False

    def _distance(self, read: Read) -> float:
        """Slots between a generation and the next, times the generations of a read."""
        if not read.distance:
            return 0.0
        variable = self.costs.group.flow.states[read.tensor].variable
        inside = self.nests.outermost({variable}) + 1
        return read.distance * float(self.nests.bounds[0, inside:].prod())

    @cached_property
    def units(self) -> tuple[str, ...]:
        return tuple(unit.name for unit in self.costs.machine.units)

    def solutions(self) -> Iterator[Solution]:
        """Every way that may be best, the most promising residents first."""
        for residents in self._residents():
            yield from self._solve(residents)

    def glance(self) -> Iterator[Solution]:
        """A few good ways: residents chosen one by one for the least bound, with their most promising layouts."""
        residents: dict[str, str] = {}
        choices = {t: may_reside(self.costs, self.nests, t) for t in self.costs.group.internal}
        for _ in range(2):
            for tensor, units in choices.items():
                rest = {t: unit for t, unit in residents.items() if t != tensor}
                options = [rest, *({**rest, tensor: unit} for unit in units)]
                bounds = [(bound, option) for option in options if (bound := self._bound(option)) is not None]
                if bounds:
                    residents = dict(min(bounds, key=lambda entry: key_of(self.objective, *entry[0]))[1])
        yield from self._solve(residents, GLANCED, BEAM)

    # -- residents

    def _residents(self) -> Iterator[Residents]:
        choices = {t: ("", *may_reside(self.costs, self.nests, t)) for t in self.costs.group.internal}
        choices = {t: units for t, units in choices.items() if len(units) > 1}
        if not choices:
            yield {}
            return
        entries = []
        for chosen in itertools.product(*choices.values()):
            residents = {t: unit for t, unit in zip(choices, chosen, strict=True) if unit}
            lowest = [self._lowest(part, residents) for part in self.parts]
            known = [low for low in lowest if low is not None]
            if len(known) == len(lowest):
                entries.append((residents, known))
        yield from self._ordered([(residents, self._total(known)) for residents, known in entries])

    def _ordered(self, entries: Sequence[tuple[Chosen, Lowest]]) -> Iterator[Chosen]:
        """What may be better than what is known, the most promising first."""
        if not entries:
            return
        busy = balanced(np.array([low.busy for _, low in entries]))
        bounds = [(low.energy_pj, float(cycles)) for (_, low), cycles in zip(entries, busy, strict=True)]
        for place in sorted(range(len(entries)), key=lambda i: key_of(self.objective, *bounds[i])):
            if not self.beaten(*bounds[place]):
                yield entries[place][0]

    def _total(self, lowest: Sequence[Lowest]) -> Lowest:
        """Of all Einsums, with what crosses the outermost memory."""
        energy = self._least_crossing + sum(low.energy_pj for low in lowest)
        return Lowest(energy, np.concatenate([low.busy for low in lowest]))

    def _bound(self, residents: Residents) -> tuple[float, float] | None:
        """Energy and cycles that some residents cannot go below; None: they cannot be."""
        lowest = [self._lowest(part, residents) for part in self.parts]
        known = [low for low in lowest if low is not None]
        if len(known) < len(lowest):
            return None
        total = self._total(known)
        return total.energy_pj, float(balanced(total.busy))

    @cached_property
    def _least_crossing(self) -> float:
        return sum(
            float(min(place.cost[0, ENERGY] for place in places))
            for tensor, places in self.crossing.items() if tensor not in self.bypassing
        )  # fmt: skip

    def _lowest(self, part: Part, residents: Residents) -> Lowest | None:
        own = self._own(part, residents)
        if own is None:
            return None
        key = (part.name, *own)
        if key not in self._known_lowest:
            offers = self._offers(part, residents)
            self._known_lowest[key] = self._lowest_of([offers]) if offers else None
        return self._known_lowest[key]

    @cached_property
    def _known_lowest(self) -> dict[tuple[str, frozenset[str], str], Lowest | None]:
        return {}

    def _lowest_of(self, offers: Sequence[Sequence[Offer]]) -> Lowest:
        """What some Einsums cannot go below, each by itself."""
        busy = np.full((len(offers), len(self.units)), np.inf)
        energy = 0.0
        for row, mine in enumerate(offers):
            energy += min(float(offer.vector[ENERGY]) for offer in mine)
            for offer in mine:
                unit = self.units.index(offer.choice.unit.name)
                busy[row, unit] = min(busy[row, unit], offer.vector[BUSY])
        return Lowest(energy, busy)

    def _own(self, part: Part, residents: Residents) -> tuple[frozenset[str], str] | None:
        """(residents of an Einsum, the unit that they ask for); None where they ask for two."""
        mine = frozenset(o.tensor for o in part.operands if o.tensor in residents)
        units = {residents[tensor] for tensor in mine}
        return None if len(units) > 1 else (mine, units.pop() if units else "")

    def _offers(self, part: Part, residents: Residents) -> tuple[Offer, ...]:
        """Options of an Einsum that no other of the same unit (with residents: of the same layout) beats."""
        own = self._own(part, residents)
        if own is None:
            return ()
        key = (part.name, *own)
        if key not in self._known:
            self._known[key] = tuple(self._priced(part, *own))
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[str, frozenset[str], str], tuple[Offer, ...]]:
        return {}

    def _priced(self, part: Part, mine: frozenset[str], unit: str) -> Iterator[Offer]:
        bypassing = self.bypassing & {operand.tensor for operand in part.operands}
        found: dict[object, list[Offer]] = {}
        for options, vectors, registers in self.costs.rows(self.nests, part, mine, bypassing):
            if unit in ("", options.unit.name):
                for row in np.flatnonzero(np.isfinite(vectors[0, :, ENERGY])):
                    choice = Choice(part, options, int(row))
                    group = (choice.unit.name, choice.layout if mine else None)
                    found.setdefault(group, []).append(Offer(vectors[0, row], float(registers[0, row]), choice))
        for offers in found.values():
            yield from _front(offers)

    # -- some residents

    def _solve(self, residents: Residents, most: int | None = None, beam: int | None = None) -> Iterator[Solution]:
        if any(not self.costs.allowed(t) for t in self.costs.group.internal if t not in residents):
            return
        for offers, layouts in itertools.islice(self._laid_out(residents), most):
            self.effort += 1 if residents else 0
            bits = {tensor: self._resident_bits(tensor, unit, layouts[tensor]) for tensor, unit in residents.items()}
            for schedule in schedules_of(self.costs):
                joined = self._joined(offers, residents, bits, schedule, beam)
                for holding in self._holdings(residents, schedule) if len(joined) else ():
                    energies, cycles = self._totals(holding[0], joined.table)
                    for way in np.flatnonzero(~self._beaten(energies, cycles)):
                        energy, cycle = float(energies[way]), float(cycles[way])
                        choices = tuple(mine[pick].choice for mine, pick in zip(offers, joined.picks[way], strict=True))
                        if schedule == "pipelined" and not self._streams(choices):
                            self.misses.append((energy, cycle))  # what it beat while costs were joined may be legal
                            continue
                        chosen = frozenset(residents)
                        yield Solution(energy, cycle, self.nests, holding[2], chosen, choices, schedule, holding[1])

    def _beaten(self, energies: Floats, cycles: Floats) -> npt.NDArray[np.bool_]:
        return np.broadcast_to(np.asarray(self.beaten(energies, cycles)), np.shape(energies))

    def _totals(self, held: Floats, table: Floats) -> tuple[Floats, Floats]:
        """Energy and cycles of joined ways, with what the buffer holds."""
        width, count = self.costs.width, len(self.units)
        loads = held[BUSY + 1 :] + table[:, BUSY + 1 : width]
        slowest = np.concatenate([table[:, [BUSY]], loads, table[:, width : width + count]], axis=1)
        cycles: Floats = slowest.max(axis=1)
        return held[ENERGY] + table[:, ENERGY] + cycles * self.costs.leakage_pj, cycles

    def _laid_out(self, residents: Residents) -> Iterator[tuple[list[tuple[Offer, ...]], Mapping[str, Layout]]]:
        """Offers of every Einsum, for every layout of those that share registers; the most promising first."""
        every = [self._offers(part, residents) for part in self.parts]
        clusters = self._clusters(residents)
        layouts = [self._common([every[i] for i in cluster]) for cluster in clusters]
        if not all(every) or not all(layouts):
            return
        alone = [i for i in range(len(every)) if not any(i in cluster for cluster in clusters)]
        base = self._lowest_of([every[i] for i in alone])
        tables = [
            {layout: self._lowest_of([_of_layout(every[i], layout) for i in cluster]) for layout in mine}
            for cluster, mine in zip(clusters, layouts, strict=True)
        ]
        entries = []
        for chosen in itertools.product(*layouts):
            parts = [base, *(table[layout] for table, layout in zip(tables, chosen, strict=True))]
            entries.append((chosen, self._total(parts)))
        for chosen in self._ordered(entries):
            offers = list(every)
            for cluster, layout in zip(clusters, chosen, strict=True):
                for i in cluster:
                    offers[i] = _of_layout(every[i], layout)
            laid = {
                tensor: layout
                for cluster, layout in zip(clusters, chosen, strict=True)
                for tensor in residents
                if any(o.tensor == tensor for i in cluster for o in self.parts[i].operands)
            }
            yield offers, laid

    def _clusters(self, residents: Residents) -> list[list[int]]:
        """Einsums that share registers, by index."""
        clusters: list[set[int]] = []
        for tensor in residents:
            users = {i for i, part in enumerate(self.parts) if any(o.tensor == tensor for o in part.operands)}
            touching = [cluster for cluster in clusters if cluster & users]
            clusters = [cluster for cluster in clusters if cluster not in touching]
            clusters.append(users.union(*touching))
        return [sorted(cluster) for cluster in clusters]

    def _common(self, offers: Sequence[Sequence[Offer]]) -> list[Layout]:
        """Layouts that every Einsum of a cluster has."""
        sets = [dict.fromkeys(offer.choice.layout for offer in mine) for mine in offers]
        return [layout for layout in sets[0] if all(layout in other for other in sets[1:])]

    # -- joining

    def _joined(
        self, offers: Sequence[tuple[Offer, ...]], residents: Residents, bits: Mapping[str, float], schedule: Schedule,
        beam: int | None,
    ) -> Joined:  # fmt: skip
        """Ways for all Einsums that no other matches or beats in everything, and that may be better than what is known.

        Args:
            beam: So many of the most promising ways for the first Einsums are gone on with; None: all.
        """
        width, count = self.costs.width, len(self.units)
        joined = Joined(np.zeros((1, width + 2 * count)), np.zeros((1, 0), dtype=np.int64))
        for child, mine in enumerate(offers):
            alive = child if schedule == "sequential" else None
            new = joined.table.repeat(len(mine), axis=0)
            pick = np.tile(np.arange(len(mine)), len(joined))
            vectors = np.array([offer.vector for offer in mine])[pick]
            unit = np.array([self.units.index(offer.choice.unit.name) for offer in mine])[pick]
            held = np.array([offer.registers + self._alive(offer, residents, bits, alive) for offer in mine])[pick]
            rows = np.arange(len(new))
            new[:, ENERGY] += vectors[:, ENERGY]
            new[:, BUSY + 1 : width] += vectors[:, BUSY + 1 :]
            longest = alone(vectors)
            if schedule == "sequential":
                new[:, BUSY] += longest
                new[rows, width + count + unit] = np.maximum(new[rows, width + count + unit], held)
            else:
                new[:, BUSY] = np.maximum(new[:, BUSY], longest)
                new[rows, width + unit] += vectors[:, BUSY]
                new[rows, width + count + unit] += held
            joined = Joined(new, np.column_stack([joined.picks.repeat(len(mine), axis=0), pick]))
            joined = joined.of(np.flatnonzero((new[:, width + count :] <= self._registers).all(axis=1)))
            energies, cycles = self._least(joined.table, offers[child + 1 :], schedule)
            kept = np.flatnonzero(np.isfinite(energies) & ~self._beaten(energies, cycles))
            if beam is not None and len(kept) > beam:
                first, second = (energies, cycles) if self.objective == "energy" else (cycles, energies)
                kept = kept[np.lexsort((second[kept], first[kept]))[:beam]]
            joined = joined.of(kept)
            joined = joined.of(undominated(joined.table))
        return joined

    def _least(
        self, table: Floats, rest: Sequence[tuple[Offer, ...]], schedule: Schedule
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Energy and cycles that ways for the first Einsums cannot go below, with the others at their best."""
        width, count = self.costs.width, len(self.units)
        lowest = self._lowest_of(rest)
        loads = table[:, BUSY:width].max(axis=1)
        if schedule == "sequential":
            cycles = np.maximum(loads, table[:, BUSY] + lowest.busy.min(axis=1).sum())
        else:
            done = np.full((len(table), count, count), np.inf)
            for unit in range(count):
                done[:, unit, unit] = table[:, width + unit]
            open_ = np.broadcast_to(lowest.busy, (len(table), *lowest.busy.shape))
            cycles = np.maximum(loads, balanced(np.concatenate([done, open_], axis=1)))
        energies = table[:, ENERGY] + lowest.energy_pj + self._least_crossing + cycles * self.costs.leakage_pj
        return energies, cycles

    @cached_property
    def _registers(self) -> Floats:
        """Bits of the registers of one instance of each unit."""
        memories = [unit.registers for unit in self.costs.machine.units]
        return np.array([math.inf if memory is None else float(memory.capacity.value) for memory in memories])

    def _alive(self, offer: Offer, residents: Residents, bits: Mapping[str, float], child: int | None) -> float:
        """Bits of residents in one instance: alive during a child; or (None) those that this Einsum makes."""
        total = 0.0
        for tensor, unit in residents.items():
            users = self.costs.group.users[tensor]
            if child is None:
                counted = any(part is offer.choice.part and part.operands[i].output for part, i in users)
            else:
                counted = unit == offer.choice.unit.name and _lives(self.costs, tensor, child)
            total += bits[tensor] if counted else 0.0
        return total

    def _resident_bits(self, tensor: str, name: str, layout: Layout) -> float:
        """Bits of a resident in one instance."""
        part, index = self.costs.group.users[tensor][0]
        operand = part.operands[index]
        registers = next(unit.registers for unit in self.costs.machine.units if unit.name == name)
        assert registers is not None
        spread = math.prod(count for _, rank, count in layout if rank in operand.variables)
        elements = float(self.nests.elements(operand.variables, len(self.nests.loops))[0])
        doubled = 2.0 if applies(registers.double_buffered, part.einsum, tensor) else 1.0
        return elements / spread * float(operand.bits) * doubled

    def _holdings(
        self, residents: Residents, schedule: Schedule
    ) -> list[tuple[Floats, float, tuple[tuple[str, int], ...]]]:
        """(cost, bits of the buffer, depths) of every choice of depths that fits and is not beaten."""
        costs = self.costs
        homes = {t: costs.home(self.nests, t) for t in costs.group.internal if t not in residents}
        taken = float(internal_bits(costs, self.nests, homes, schedule)[0])
        capacity = float(costs.machine.buffer.capacity.value)
        front: list[tuple[Floats, tuple[float, tuple[tuple[str, int], ...]]]] = []
        if taken <= capacity:
            front = [(np.concatenate([np.zeros(costs.width), [taken]]), (taken, tuple(homes.items())))]
        for tensor, places in self.crossing.items():
            if tensor in self.bypassing:
                continue
            joined = []
            for place in places:
                cost, bits = place.cost[0], float(place.bits[0])
                for vector, (total, depths) in front:
                    if total + bits <= capacity:
                        new = vector + np.concatenate([cost, [bits]])
                        joined.append((new, (total + bits, (*depths, (tensor, place.depth)))))
            front = pareto(joined)
        return [(vector[:-1], bits, depths) for vector, (bits, depths) in front]


def _of_layout(offers: Sequence[Offer], layout: Layout) -> tuple[Offer, ...]:
    return tuple(offer for offer in offers if offer.choice.layout == layout)


def pareto(entries: list) -> list:  # type: ignore[type-arg]
    """Entries (vector, what for) that no other matches or beats in everything; of equal ones the first."""
    if len(entries) < 2:
        return entries
    kept = undominated(np.array([vector for vector, _ in entries]))
    return [entries[i] for i in kept]


def _front(offers: Sequence[Offer]) -> Iterator[Offer]:
    table = np.array([(*offer.vector, offer.registers) for offer in offers])
    return (offers[i] for i in undominated(table))


def undominated(table: Floats) -> list[int]:
    """Rows that no other matches or beats in everything; of equal ones the first. O(rows x kept)."""
    order = np.lexsort(table.T[::-1])
    kept: list[int] = []
    best = np.empty_like(table)
    for i in order:
        if not (best[: len(kept)] <= table[i] * SLACK).all(axis=1).any():
            best[len(kept)] = table[i]
            kept.append(int(i))
    return kept
