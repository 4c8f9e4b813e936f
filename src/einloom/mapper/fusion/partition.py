"""Cuts a cascade into groups: the best sum of consecutive groups, each solved once.

Groups run one after the other and meet in the outermost memory, so energy and cycles add up; what is best of the whole
is found from the left, group by group (a front of sums, where a product or a front is asked for).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.fusion.costs import Costs, TimeIsUp
from einloom.mapper.fusion.group import Group, part_of
from einloom.mapper.fusion.machine import Machine
from einloom.mapper.fusion.slot import SLACK
from einloom.mapper.fusion.solve import Search
from einloom.mapper.fusion.trees import tree_of
from einloom.mappings.nodes import Hold, Nodes
from einloom.mappings.text import parse_node
from einloom.model.result import EinsumResult
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import Dataflow

ADDITIVE = ("energy", "latency")
LITTLE = 0.1
"""Seconds that a group is looked at when its turn comes, at least."""


@dataclass(frozen=True)
class Piece:
    """One way to run consecutive Einsums.

    Attributes:
        energy_pj, cycles: What it costs.
        bits: Of the memory whose occupancy is asked for.
        nodes: Its list in the tree.
        label: The Einsum, or a name for the group.
        fused: Whether it is a group.
        gap: Of the mapping of a single Einsum.
    """

    energy_pj: float
    cycles: float
    bits: float
    nodes: Nodes
    label: str
    fused: bool
    gap: float = 0.0


@dataclass(frozen=True)
class Floor:
    """What the first Einsums cannot go below, however they are cut: the objective where it adds up, energy, cycles."""

    value: float
    energy_pj: float
    cycles: float

    def plus(self, other: Floor) -> Floor:
        return Floor(self.value + other.value, self.energy_pj + other.energy_pj, self.cycles + other.cycles)

    @classmethod
    def least(cls, floors: Sequence[Floor]) -> Floor:
        """Of several ways to cut."""
        inf = float("inf")
        return cls(
            min((floor.value for floor in floors), default=inf),
            min((floor.energy_pj for floor in floors), default=inf),
            min((floor.cycles for floor in floors), default=inf),
        )


@dataclass(frozen=True)
class Sum:
    """Pieces that cover the first Einsums."""

    energy_pj: float
    cycles: float
    bits: float
    pieces: tuple[Piece, ...]

    def plus(self, piece: Piece) -> Sum:
        energy, cycles = self.energy_pj + piece.energy_pj, self.cycles + piece.cycles
        return Sum(energy, cycles, max(self.bits, piece.bits), (*self.pieces, piece))


@dataclass(eq=False)
class Run:
    """Consecutive Einsums, from ``start`` to the one before ``end``.

    Attributes:
        floor: What no way to run them goes below.
        pieces: The ways that are known.
        costs: Of a group.
        search: Once it is begun.
    """

    start: int
    end: int
    floor: Floor
    pieces: list[Piece]
    costs: Costs | None = None
    search: Search | None = None

    @property
    def waits(self) -> bool:
        return self.costs is not None and (self.search is None or not self.search.finished)


@dataclass(eq=False)
class Partition:
    cascade: Cascade
    flow: Dataflow
    machine: Machine
    objective: Objective
    alone: Mapping[str, tuple[EinsumResult, ...]]
    deadline: float | None
    memory: str | None = None
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        einsums = list(self.flow.einsums.values())
        recurrent = self._recurrent()
        for place, einsum in enumerate(einsums):
            if einsum.name not in recurrent and (pieces := self._alone(self.alone.get(einsum.name, ()))):
                self.runs.append(Run(place, place + 1, self._floor(pieces), pieces))
        parts = [part_of(self.flow, einsum) for einsum in einsums]
        for start, end in itertools.combinations(range(len(parts) + 1), 2):
            chosen = tuple(part for part in parts[start:end] if part is not None)
            if 1 < len(chosen) == end - start and not (group := Group(self.flow, chosen)).refusal:
                rules = {part.name: self.machine.architecture.rules_for(part.einsum) for part in chosen}
                costs = Costs(group, self.machine, rules)
                energy, cycles = costs.compulsory()
                floor = Floor(key_of(self.objective, energy, cycles)[0], energy, cycles)
                self.runs.append(Run(start, end, floor, [], costs))
        count = len(einsums)
        self._from = [[run for run in self.runs if run.start == place] for place in range(count + 1)]
        self._to = [[run for run in self.runs if run.end == place] for place in range(count + 1)]

    @property
    def complete(self) -> bool:
        """Whether every group that a way to run the whole cascade can have has been searched to its end."""
        before, after = self._before(), self._after()
        return all(
            run.costs is None or (run.search is not None and run.search.complete)
            for run in self.runs if before[run.start].value + after[run.end].value < float("inf")
        )  # fmt: skip

    @property
    def floor(self) -> Floor:
        """What nothing goes below."""
        return self._before()[-1]

    def search(self) -> None:
        """Search the groups: small ones first, a little each; then those of the least bound, while there is time."""
        if self.deadline is not None:
            until = time.monotonic() + (self.deadline - time.monotonic()) / 3
            self._round(until, lambda run: run.end - run.start)
        self._round(self.deadline, lambda run: 0)
        # past the deadline, and nothing is known: a first piece of one group after the other
        while not self.sums() and (todo := [run for run in self._of_use() if not run.pieces]):
            if todo[0].search is None:
                self._begin(todo[0], None)
            else:
                self._go(todo[0], self.deadline, needed=True)

    def _round(self, until: float | None, first: Callable[[Run], int]) -> None:
        """Every group that may be of use, once, with its share of the time; of those ``first`` the least bound."""
        done: set[int] = set()
        while todo := [run for run in self._of_use() if id(run) not in done]:
            if until is not None and time.monotonic() > until:
                return
            run = min(todo, key=first)
            share = None if until is None else _share(until, len(todo))
            if run.search is not None:
                self._go(run, share)
                done.add(id(run))
            elif not self._begin(run, share):  # else its place among the others may be another one now
                done.add(id(run))

    @property
    def _held(self) -> bool:
        """Whether what the buffer holds is a third objective."""
        return self.memory == self.machine.buffer.name

    def _begin(self, run: Run, until: float | None) -> bool:
        """Bounds the candidates of a group, if there is time for it."""
        assert run.costs is not None
        try:
            objective: Objective = "pareto" if self.objective == "edp" else self.objective
            run.search = Search(run.costs, objective, until, self._held)
        except TimeIsUp:
            return False
        run.floor = self._floor_of(run.search)
        return True

    def _go(self, run: Run, until: float | None, needed: bool = False) -> None:
        assert run.search is not None
        run.search.go(self._limit(run), until, needed)
        run.floor = self._floor_of(run.search)
        costs, label = run.search.costs, "_".join(part.name for part in run.search.costs.group.parts)
        run.pieces = [
            Piece(s.energy_pj, s.cycles, s.occupancy if self._held else 0.0, tree_of(costs, s), label, True)
            for s in run.search.front
        ]

    def _of_use(self) -> list[Run]:
        """Groups that may be part of something better, the most promising first."""
        before, after, value = self._before(), self._after(), self._value()
        least = {id(run): before[run.start].value + run.floor.value + after[run.end].value for run in self.runs}
        mine = [run for run in self.runs if run.waits and least[id(run)] < float("inf")]
        if self.objective in ADDITIVE:
            mine = [run for run in mine if least[id(run)] <= value * SLACK]
        return sorted(mine, key=lambda run: (least[id(run)], run.start - run.end))

    def _limit(self, run: Run) -> float:
        """What a group must beat to be of use, in a quantity that adds up; infinite for the others."""
        value = self._value()
        if value == float("inf") or self.objective not in ADDITIVE:
            return float("inf")
        return value * SLACK - self._before()[run.start].value - self._after()[run.end].value

    def _value(self) -> float:
        """The best that is known, in a quantity that adds up."""
        if self.objective not in ADDITIVE:
            return float("inf")
        return min((s.energy_pj if self.objective == "energy" else s.cycles for s in self.sums()), default=float("inf"))

    def _before(self) -> list[Floor]:
        """What the first Einsums do not go below, for each number of them."""
        floors = [Floor(0.0, 0.0, 0.0)]
        for end in range(1, len(self.flow.einsums) + 1):
            floors.append(Floor.least([floors[run.start].plus(run.floor) for run in self._to[end]]))
        return floors

    def _after(self) -> list[Floor]:
        """What the Einsums from each on do not go below."""
        count = len(self.flow.einsums)
        floors = {count: Floor(0.0, 0.0, 0.0)}
        for start in range(count - 1, -1, -1):
            mine = [floors[run.end].plus(run.floor) for run in self._from[start]]
            floors[start] = Floor.least(mine)
        return [floors[start] for start in range(count + 1)]

    def sums(self) -> list[Sum]:
        """The best ways that are known to run the whole cascade."""
        best: list[list[Sum]] = [[Sum(0.0, 0.0, 0.0, ())]]
        for end in range(1, len(self.flow.einsums) + 1):
            best.append(
                self._best([
                    total.plus(piece)
                    for run in self._to[end] for piece in run.pieces for total in best[run.start]
                ])
            )  # fmt: skip
        return best[-1]

    def _floor(self, pieces: Sequence[Piece]) -> Floor:
        """What an Einsum by itself cannot go below."""
        values = [key_of(self.objective, piece.energy_pj, piece.cycles)[0] * (1 - piece.gap) for piece in pieces]
        known = [(1 - piece.gap, piece) for piece in pieces]
        return Floor(
            min(values), min(part * p.energy_pj for part, p in known), min(part * p.cycles for part, p in known)
        )

    def _best(self, sums: list[Sum]) -> list[Sum]:
        if not sums:
            return []
        if self.objective in ("edp", "pareto"):
            return nondominated(sums, lambda s: (s.cycles, s.energy_pj, s.bits))
        return [min(sums, key=lambda s: key_of(self.objective, s.energy_pj, s.cycles))]

    def _alone(self, results: Sequence[EinsumResult]) -> list[Piece]:
        pieces = []
        for result in results:
            nodes = tuple(parse_node(line) for line in result.mapping)
            outer = self.machine.outer.name
            kept = tuple(node for node in nodes if not (isinstance(node, Hold) and node.memory == outer))
            bits = 0.0 if self.memory is None else result.occupancy(self.memory)
            pieces.append(Piece(result.energy_pj, float(result.cycles), bits, kept, result.name, False, result.gap))
        return pieces

    @staticmethod
    def _floor_of(search: Search) -> Floor:
        return Floor(search.bound, search.least_energy_pj, search.least_cycles)

    def _recurrent(self) -> frozenset[str]:
        """Einsums between which a state is carried: cut apart, its generations would all have to be kept."""
        names: set[str] = set()
        for tensor in self.flow.states:
            users = {*self.flow.producers(tensor), *self.flow.consumers(tensor)}
            names |= users if len(users) > 1 else set()
        return frozenset(names)


def _share(until: float, count: int) -> float:
    """When the first of so many has had its part of the time that is left, or a little."""
    now = time.monotonic()
    return now + max(LITTLE, (until - now) / count)
