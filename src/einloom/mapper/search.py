"""The best candidates of a declared space, exact: bounded tiling by tiling, costed where the bound leaves room.

Tilings go by in blocks that fit the cache. For each block and each choice of holders a lower bound on energy and
cycles (`mapper.bounds`) and the exact occupancy decide which tilings could still win; those are costed in every
loop order. Ties are broken by the other objectives (energy: then latency; latency and EDP: then energy; then
occupancy, outermost memory first), so the answer is deterministic.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.tree import Architecture, Memory
from einloom.errors import MappingError
from einloom.mapper.bounds import Share, bounds_in, structure_for, tensor_shares
from einloom.mapper.found import Candidate, Found, Objective
from einloom.mapper.space import Holding, Order, Space
from einloom.mappings import Nodes
from einloom.model import counts
from einloom.model.arrays import Array
from einloom.model.cost import Priced, bit_parts

BLOCK = 16_384
"""Tilings at a time: arrays of this length stay in the second-level cache."""

SLACK = 1 - 1e-9
"""Bounds are sums in another order than costs: a bound counts as below where it is within rounding."""


def search(
    architecture: Architecture, spaces: Sequence[Space], objective: Objective, deadline_s: float | None = None
) -> Found:
    """The best of all ``spaces``; past the deadline, the best found by then (at least one, if any fits).

    A first pass bounds every tiling; a second costs blocks in the order of their bounds and stops when the next bound
    cannot win any more, which is the proof.
    """
    start = time.monotonic()
    keep = keeper(objective)
    found = Found(candidates=sum(space.size for space in spaces))
    blocks = [_Block(architecture, space, rows, keep, found) for space in spaces for rows in _tilings(space)]
    outlooks = [(promise, n) for n, block in enumerate(blocks) for promise in block.outlook()]
    outlooks.sort(key=lambda entry: (entry[0].score, entry[1]))
    by_block: dict[int, list[Promise]] = {}
    for promise, n in outlooks:
        by_block.setdefault(n, []).append(promise)
    for n, promises in by_block.items():
        if deadline_s is not None and time.monotonic() - start > deadline_s and keep.found():
            found.complete, found.bound = False, promises[0].score
            break
        if any(keep.may_improve(*promise.bounds)[0] for promise in promises):
            blocks[n].search(promises)
    found.front = keep.found()
    return found


def _tilings(space: Space) -> Iterator[Array]:
    """Row numbers of each rank's chains, in blocks. Shape ``(tilings, ranks)``."""
    shape = tuple(len(rows) for rows in space.chains.values())
    for start in range(0, space.tilings, BLOCK):
        flat = np.arange(start, min(start + BLOCK, space.tilings))
        yield np.stack(np.unravel_index(flat, shape), axis=1) if shape else np.zeros((1, 0), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Promise:
    """The least that one choice of holders can cost in one block of tilings.

    Attributes:
        score: In the objective.
        bounds: Least energy and least cycles, shape ``(1,)`` each.
        chosen: Number of the choice for each tensor.
    """

    score: float
    bounds: tuple[Array, Array]
    chosen: tuple[int, ...]


@dataclass
class _Block:
    """One block of tilings of one space."""

    architecture: Architecture
    space: Space
    rows: Array
    keep: _Best | _Front
    found: Found

    def outlook(self) -> list[Promise]:
        """The least that each choice of holders can cost here; choices that overflow a memory are left out."""
        promises = []
        for chosen, _, energy, cycles, fits in self._choices():
            if fits.any():
                least = energy[fits] * SLACK, cycles[fits] * SLACK
                bounds = least[0].min(keepdims=True), least[1].min(keepdims=True)
                promises.append(Promise(float(self.keep.score(*least).min()), bounds, chosen))
        return promises

    def search(self, promises: Sequence[Promise]) -> None:
        """Cost the tilings that may still win, for the choices of holders that were promised, the best first."""
        open_ = {promise.chosen: i for i, promise in enumerate(promises)}
        choices = sorted((c for c in self._choices() if c[0] in open_), key=lambda c: open_[c[0]])
        for _, holding, energy, cycles, fits in choices:
            self._cost_best_first(holding, energy, cycles, fits)

    def _choices(self) -> Iterator[tuple[tuple[int, ...], dict[str, Holding], Array, Array, Array]]:
        """(number, holders of each tensor, least energy, least cycles, fits) for each choice of holders."""
        tensors = list(self.space.holdings)
        tables = [tensor_shares(self.architecture, self.space, tensor, self.rows) for tensor in tensors]
        steps = self._compute_cycles()
        for chosen in itertools.product(*(range(len(table)) for table in tables)):
            shares = [table[i] for table, i in zip(tables, chosen, strict=True)]
            holding = {t: self.space.holdings[t][i] for t, i in zip(tensors, chosen, strict=True)}
            energy, cycles = self._bound(shares, steps)
            yield chosen, holding, energy, cycles, self._fits(shares)

    def _compute_cycles(self) -> Array:
        everywhere: dict[str, Holding] = dict.fromkeys(self.space.holdings, frozenset())
        structure = structure_for(self.space, [orders[0] for orders in self.space.orders], everywhere)
        batch = counts.batch_of(structure, bounds_in(self.space, structure, self.rows))
        return Priced(self.architecture, batch).compute_cycles.astype(float)

    def _fits(self, shares: Sequence[Share]) -> Array:
        fits = np.ones(len(self.rows), dtype=bool)
        parts = bit_parts(self.space.einsum)
        for place in self.space.memories:
            memory = self.space.path[place]
            assert isinstance(memory, Memory)
            capacity = float(memory.capacity.value)
            if math.isinf(capacity):
                continue
            occupied = sum((s.occupancy[place] for s in shares if place in s.occupancy), start=np.zeros(len(self.rows)))
            occupied = occupied / parts
            fits &= occupied <= capacity
            least = float(occupied.min())
            if least > capacity:
                known = self.found.smallest.get(memory.name, (math.inf, 0.0))[0]
                self.found.smallest[memory.name] = (min(least, known), capacity)
        return fits

    def _bound(self, shares: Sequence[Share], steps: Array) -> tuple[Array, Array]:
        cycles = steps
        for place in self.space.memories:
            for port in range(3):
                loads = [s.port_cycles[place][port] for s in shares if place in s.port_cycles]
                if loads:
                    cycles = np.maximum(cycles, np.add.reduce(loads))
        leakage = self.architecture.leakage_w() / self.architecture.clock_hz * 1e12
        energy = sum((s.energy_pj for s in shares), start=cycles * leakage + self._operations_pj())
        return energy, cycles

    def _operations_pj(self) -> float:
        """Operations x energy; an operator without one is refused before a space is declared."""
        from einloom.arch.tree import Compute  # noqa: PLC0415

        compute = self.space.path[-1]
        assert isinstance(compute, Compute)
        return sum(n * (compute.operator_energy_pj(op) or 0.0) for op, n in self.space.einsum.operations().items())

    def _cost_best_first(self, holding: Mapping[str, Holding], energy: Array, cycles: Array, fits: Array) -> None:
        """Cost the most promising tiling first: it excludes most of the others."""
        open_ = np.flatnonzero(fits & self.keep.may_improve(energy * SLACK, cycles * SLACK))
        if not open_.size:
            return
        first = open_[np.argmin(self.keep.score(energy[open_], cycles[open_]))]
        self._cost(holding, np.array([first]))
        rest = open_[(open_ != first) & self.keep.may_improve(energy[open_] * SLACK, cycles[open_] * SLACK)]
        if rest.size:
            self._cost(holding, rest)

    def _cost(self, holding: Mapping[str, Holding], chosen: Array) -> None:
        for order in itertools.product(*self.space.orders):
            self._cost_order(order, holding, self.rows[chosen])

    def _cost_order(self, order: Sequence[Order], holding: Mapping[str, Holding], rows: Array) -> None:
        structure = structure_for(self.space, order, holding)
        try:
            priced = Priced(self.architecture, counts.batch_of(structure, bounds_in(self.space, structure, rows)))
            cycles, energy = priced.cycles, priced.energy_pj
        except MappingError:  # no exact timing: look at the candidates one by one, and leave out those
            if len(rows) > 1:
                for part in np.array_split(rows, 2):
                    self._cost_order(order, holding, part)
            return
        self.found.costed += len(rows)

        def nodes(row: int) -> Nodes:
            bounds = {var: chain[rows[row, i]].tolist() for i, (var, chain) in enumerate(self.space.chains.items())}
            return self.space.nodes(order, holding, bounds)

        for row in self.keep.leading(energy, cycles, priced):
            self.keep.add(float(energy[row]), float(cycles[row]), _occupancy(priced, row), nodes(row))


def keeper(objective: Objective) -> _Best | _Front:
    """What keeps the winners of a search."""
    return _Front() if objective == "pareto" else _Best(objective)


def _occupancy(priced: Priced, row: int) -> tuple[float, ...]:
    return tuple(float(priced.occupancy(level)[row]) for level in priced.memories)


class _Best:
    """Keeps the candidate with the least key."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._best: Candidate | None = None

    def score(self, energy: Array, cycles: Array) -> Array:
        return {"energy": energy, "latency": cycles, "edp": energy * cycles}[self._objective]

    def may_improve(self, energy: Array, cycles: Array) -> Array:
        if self._best is None:
            return np.ones(len(energy), dtype=bool)
        score, other = self.score(energy, cycles), cycles if self._objective == "energy" else energy
        return (score < self._best.key[0] * SLACK) | (
            (score <= self._best.key[0]) & (other < self._best.key[1] * SLACK)
        )

    def leading(self, energy: Array, cycles: Array, priced: Priced) -> list[int]:
        """The one row of a batch that could be the best."""
        score, other = self.score(energy, cycles), cycles if self._objective == "energy" else energy
        least = score.min()
        if self._best is not None and least > self._best.key[0]:
            return []
        tied = np.flatnonzero(score == least)
        tied = tied[other[tied] == other[tied].min()]
        occupied = np.stack([priced.occupancy(level)[tied] for level in priced.memories], axis=1)
        return [int(tied[np.lexsort(occupied.T[::-1])[0]])]

    def add(self, energy: float, cycles: float, occupancy: tuple[float, ...], nodes: Nodes) -> None:
        values = {"energy": (energy, cycles), "latency": (cycles, energy), "edp": (energy * cycles, energy)}
        key = (*values[self._objective], *occupancy)
        if self._best is None or key < self._best.key:
            self._best = Candidate(key, cycles, energy, nodes)

    def found(self) -> tuple[Candidate, ...]:
        return (self._best,) if self._best else ()


class _Front:
    """Keeps the candidates that no other beats in both cycles and energy."""

    def __init__(self) -> None:
        self._front: list[Candidate] = []

    def score(self, energy: Array, cycles: Array) -> Array:
        return energy * cycles

    def may_improve(self, energy: Array, cycles: Array) -> Array:
        open_ = np.ones(len(energy), dtype=bool)
        for point in self._front:
            open_ &= (energy < point.energy_pj * SLACK) | (cycles < point.cycles * SLACK)
        return open_

    def leading(self, energy: Array, cycles: Array, priced: Priced) -> list[int]:
        """Rows of a batch that no other row of it beats."""
        order = np.lexsort((energy, cycles))
        lowest = np.minimum.accumulate(energy[order])
        leads = np.concatenate([[True], lowest[1:] < lowest[:-1]])
        return [int(row) for row in order[leads]]

    def add(self, energy: float, cycles: float, occupancy: tuple[float, ...], nodes: Nodes) -> None:
        if not any(other.cycles <= cycles and other.energy_pj <= energy for other in self._front):
            self._front = [o for o in self._front if not (o.cycles >= cycles and o.energy_pj >= energy)]
            self._front.append(Candidate((cycles, energy, *occupancy), cycles, energy, nodes))

    def found(self) -> tuple[Candidate, ...]:
        return tuple(sorted(self._front, key=lambda candidate: candidate.key))
