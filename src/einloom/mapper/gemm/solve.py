"""The best nests of one Einsum of the family, proven, or with a bound at the deadline."""

from __future__ import annotations

import math
import time

import numpy as np

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Level
from einloom.mapper.found import OBJECTIVES, Candidate, Found, Objective
from einloom.mapper.gemm.best import Best
from einloom.mapper.gemm.floats import search_floating
from einloom.mapper.gemm.leaf import search_leaf
from einloom.mapper.gemm.nests import nodes_of
from einloom.mapper.gemm.problem import Problem, problem_of
from einloom.mapper.gemm.search import DONE, FAMILIES, MORE, MOST_POINTS, Queue, run, whole_space
from einloom.mapper.gemm.tables import EDP, FEWEST, HIGH, LATENCY, LOW, PARETO, RECIPE, Tables, scratch_for
from einloom.model.arrays import Array
from einloom.workloads.sized import SizedEinsum

NODES = 16
"""Nodes between two looks at the clock."""

VECTORS = 4096
"""Spatial vectors of a leaf between two looks at the clock."""


def solve(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules,
    objective: Objective, perfect: bool, deadline_s: float | None,
) -> Found | None:  # fmt: skip
    """The best nests of an Einsum on one path of levels.

    The space is that of canonical nests: every order of holds in the buffer and in the registers, every temporal bound,
    every spatial vector, one floating tensor at most. With clipped bounds the words of a nest are products over ranks
    of rounded-up visits, which may exceed the exact count of that nest by what rule 2 saves in last tiles.

    Args:
        perfect: Only bounds that multiply to the size of each rank.
        deadline_s: Seconds after which the best so far is given with its bound; None: until the proof.

    Returns:
        None where the Einsum, the path or the rules are not of this family (see `problem`).
    """
    start = time.monotonic()
    if rules.flatten and not einsum.flatten:
        einsum = einsum.flattened(rules.flatten)
    problem = problem_of(architecture, path, einsum, rules, perfect)
    if problem is None:
        return None
    if problem.smallest:
        return Found(smallest=dict(problem.smallest))
    search = _Search(problem.tables, OBJECTIVES.index(objective))
    over = search.run(None if deadline_s is None else start + deadline_s)
    points, recipes, costed = search.found()
    return Found(
        front=_candidates(problem, search.objective, points, recipes),
        candidates=space_size(problem),
        costed=costed,
        complete=over,
        bound=0.0 if over else search.bound(),
    )


class _Search:
    """The queue, the incumbents and the scratch space of one run."""

    def __init__(self, tables: Tables, objective: int) -> None:
        self.objective = objective
        self._tables = tables
        points = MOST_POINTS if objective == PARETO else 1
        self._best = Best(np.zeros((points, 4)), np.zeros((points, RECIPE), np.int64), np.zeros(2, np.int64))
        self._scratch = scratch_for(tables)
        self._queue = whole_space(tables)
        self._floor = 0.0

    def run(self, deadline: float | None) -> bool:
        """Search until the proof (True) or the deadline."""
        while True:
            nodes = NODES if self._queue.counts[1] else FAMILIES  # which have no bound yet
            self._floor = float(self._queue.keys[0, 0])
            reason = run(self._tables, self.objective, self._queue, self._best, self._scratch, nodes)
            if reason == DONE or not (reason == MORE or self._search_leaf(deadline)):
                return reason == DONE
            if self._late(deadline) and self._queue.counts[0]:
                self._floor = float(self._queue.keys[0, 0])
                return False
            self._grow()

    def _search_leaf(self, deadline: float | None) -> bool:
        """Everything in the leaf that `search.run` stopped at; False where the deadline came first."""
        ranks, family = self._scratch.ranks, int(self._scratch.boxes[0, 0])
        sides = ranks[LOW], ranks[HIGH], ranks[FEWEST]
        first, more = 0, True
        while more:
            task = (sides, first, first + VECTORS, self._best, self._scratch)
            if family:
                more = search_floating(self._tables, self.objective, family - 1, *task)
            else:
                more = search_leaf(self._tables, self.objective, *task)
            if more and self._late(deadline):
                return False
            first += VECTORS
        return True

    def _late(self, deadline: float | None) -> bool:
        """Whether to stop here: not before there is an answer."""
        return deadline is not None and time.monotonic() > deadline and bool(self._best.counts[0])

    def _grow(self) -> None:
        """Room for the nodes of one more call: each, diving, may leave one a split."""
        room = len(self._queue.keys)
        if self._queue.counts[0] + NODES * 100 > room:
            keys, boxes = np.zeros((2 * room + NODES * 100, 3)), np.zeros((2 * room + NODES * 100, 7), np.int64)
            keys[:room], boxes[:room] = self._queue.keys, self._queue.boxes
            self._queue = Queue(keys, boxes, self._queue.counts)

    def bound(self) -> float:
        """A lower bound of the objective over all that is open; of a front, of the energy of what is missing."""
        return self._floor

    def found(self) -> tuple[Array, Array, int]:
        n = int(self._best.counts[0])
        return self._best.points[:n], self._best.recipes[:n], int(self._best.counts[1])


def _candidates(problem: Problem, objective: int, points: Array, recipes: Array) -> tuple[Candidate, ...]:
    """The points as candidates, fewest cycles first."""
    found = []
    for i in np.lexsort((points[:, 0], points[:, 1])):
        energy, cycles, *occupancy = points[i].tolist()
        second = energy if objective in (LATENCY, EDP) else cycles
        first = cycles if objective == LATENCY else energy * cycles if objective == EDP else energy
        found.append(Candidate((first, second, *occupancy), cycles, energy, nodes_of(problem, recipes[i].tolist())))
    return tuple(found)


def space_size(problem: Problem) -> int:
    """Nests of the space, roughly: spatial vectors x nested tiles of each rank above the array x orders of the holds.

    A rank with ``n`` visit classes has ``n (n + 1) / 2`` nested pairs of tiles (buffer and array).
    """
    t = problem.tables
    tiles = math.prod(n * (n + 1) // 2 for n in np.diff(t.start).tolist())
    ordinary = len(t.buffer_orders) * len(t.register_orders)
    return len(t.vectors) * int(tiles) * (ordinary + len(t.floating_buffers) * len(t.floating_registers) // 3)
