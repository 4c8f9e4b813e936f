"""All jobs of one Einsum: the best nest of each choice of holders and spatial factors, with the proof.

Jobs are taken in the order of their bounds. The incumbent comes by deepening: search all jobs below a limit just above
the best bound, then a wider one, until a mapping appears; it is the optimum, since everything below the limit was
searched. Every failed round is itself a proven lower bound, and so the gap at a deadline.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from einloom.mapper.found import Objective
from einloom.mapper.labels.jobs import Jobs, jobs_of, pool_of, spreads_of
from einloom.mapper.labels.kernel import search
from einloom.mapper.labels.nests import nest, path_to
from einloom.mapper.labels.plan import plans
from einloom.mapper.labels.record import FOUND, FULL, Pool
from einloom.mapper.labels.task import Task
from einloom.mappings import Nodes

ROOM = 1_500_000
"""Labels of one job at a time."""

EFFORT = 30_000_000
"""Labels after which a search is broken off with its gap: some minutes."""

BEAM, QUICK_JOBS, QUICK_SHARE = 128, 40, 0.2
"""For a mapping without proof: labels of a layer that are followed, jobs tried, share of the time that is left."""

LABELS_PER_SECOND, LEAST_ROOM = 80_000, 20_000
"""Labels made in a second, at least, mostly; and room for one job, however late."""

FIRST_SLACK, LAST_SLACK = 0.01, 1e6
"""Limits of deepening above the best bound: the first, and where it stops to be a limit."""

TIE = 1e-11
"""Relative difference below which two energies are one."""


@dataclass(frozen=True)
class Answer:
    """One mapping found: its costs and nest."""

    energy: float
    cycles: float
    nodes: Nodes


@dataclass
class Search:
    """The search of one task.

    Attributes:
        costed: Labels made so far.
        bound: No mapping within the limits asked for has less energy; proven so far.
        complete: Whether the last question was answered in full.
    """

    task: Task
    deadline: float | None = None
    costed: int = 0
    bound: float = 0.0
    complete: bool = True
    _layers: int = 0
    _beyond: float = 0.0
    _slower: float = 0.0
    _all_planned: bool = True
    _every: list[Jobs] = field(default_factory=list)

    def __post_init__(self) -> None:
        spreads, steps = spreads_of(self.task)
        half = math.inf if self.deadline is None else (time.monotonic() + self.deadline) / 2
        for held, plan in plans(self.task):
            self._every.append(jobs_of(self.task, held, plan, spreads, steps))
            if time.monotonic() > half:  # some choices of holders are left out: nothing is proven of them
                self.complete = self._all_planned = False
                break

    @cached_property
    def _pool(self) -> Pool:
        return pool_of(self._every, ROOM)

    # -- questions ---------------------------------------------------------------------------------------------------

    def least_energy(self, below_cycles: float = np.inf, above: float = 0.0) -> Answer | None:
        """The mapping of least energy with fewer cycles than given; of those the fastest.

        Args:
            above: No such mapping is known to have less energy than this.
        """
        start = max(above, self._least(below_cycles))
        self._slower = min(jobs.fewest(below_cycles) for jobs in self._every)
        if not np.isfinite(start):
            return None
        slack, limit, answer = FIRST_SLACK, start, None
        quick = None if self.deadline is None else self._quickly(below_cycles)
        while answer is None and self.complete:
            self.bound = limit
            limit = start * (1 + slack) if slack < LAST_SLACK else np.inf
            answer = self._round(limit, below_cycles)
            if np.inf in (limit, self._beyond):
                break
            slack *= 2
            start = max(start, self._beyond / (1 + slack / 2))
        if self.complete:
            self.bound = answer.energy if answer else np.inf
            return answer
        return min(filter(None, (answer, quick or self._quickly(below_cycles))), default=None, key=lambda a: a.energy)

    def _quickly(self, below_cycles: float) -> Answer | None:
        """A good mapping without proof: a few labels of the most promising jobs."""
        started, best = time.monotonic(), None
        left = 0.0 if self.deadline is None else (self.deadline - started) * QUICK_SHARE
        for tried, (jobs, row) in enumerate(self._open(np.inf, below_cycles)):
            cap = np.inf if best is None else best.energy * (1 - TIE)
            late = tried >= QUICK_JOBS or (self.deadline is not None and time.monotonic() - started > left)
            if jobs.energies[row] >= cap or (tried and late):
                break
            by_ports = bool(np.isfinite(below_cycles))
            best = self._search(jobs, row, cap, below_cycles, by_ports, BEAM) or best
        return best

    def front(self) -> Iterator[Answer]:
        """All mappings that no other beats in both energy and cycles, from the least energy to the fewest cycles."""
        answer = self.least_energy()
        while answer is not None:
            yield answer
            answer = self.least_energy(answer.cycles * (1 - TIE), answer.energy) if self.complete else None

    def fewest_cycles(self) -> Answer | None:
        """The fastest mapping; of those the one of least energy."""
        limit = self._least_cycles()
        slack = 0.0
        while np.isfinite(limit) and self.complete:
            answer = self.least_energy(limit * (1 + slack) * (1 + TIE))
            if answer is not None:
                break
            limit, slack = max(limit, self._slower), max(FIRST_SLACK, 2 * slack)
        else:
            return None
        while self.complete and answer.cycles > limit * (1 + TIE):
            faster = self.least_energy(answer.cycles * (1 - TIE), answer.energy)
            if faster is None:
                break
            answer = faster
        return answer

    def least_product(self) -> Answer | None:
        """The mapping of least energy x cycles; of those the one of least energy."""
        best: Answer | None = None
        for answer in self.front():
            if best is None or answer.energy * answer.cycles < best.energy * best.cycles * (1 - TIE):
                best = answer
            if answer.energy * self._least_cycles() >= best.energy * best.cycles:
                break
        return best

    def least(self, objective: Objective) -> float:
        """What no mapping can beat in the objective, as far as it is proven."""
        if not self._all_planned:
            return 0.0
        energy = max(self.bound if objective == "energy" else 0.0, self._least(np.inf))
        return {"energy": energy, "latency": self._least_cycles()}.get(objective, energy * self._least_cycles())

    @property
    def smallest(self) -> dict[str, tuple[float, float]]:
        """Memories that exclude every choice: (least that their tiles need, capacity)."""
        return {}

    @property
    def size(self) -> int:
        """Jobs: choices of holders and spatial factors; each stands for all orders and tilings."""
        return len(self._every) * len(self.task.spreads)

    def _least(self, below_cycles: float) -> float:
        return min(jobs.least(0.0, below_cycles) for jobs in self._every)

    def _least_cycles(self) -> float:
        return min(float(np.min(jobs.cycles, initial=np.inf)) for jobs in self._every)

    def _round(self, limit: float, below_cycles: float) -> Answer | None:
        """The least energy below a limit over all jobs, with fewer cycles than given; of those the fastest."""
        best: Answer | None = None
        tied: list[tuple[Jobs, int]] = []
        self._beyond = min(jobs.least(limit, below_cycles) for jobs in self._every)
        for jobs, row in self._open(limit, below_cycles):
            cap = limit if best is None else best.energy * (1 + TIE)
            if jobs.energies[row] >= cap:
                break
            if self._out_of_time():
                return best
            found = self._least_of_job(jobs, row, cap, below_cycles)
            if found is None:
                continue
            if best is None or found.energy < best.energy * (1 - TIE):
                best, tied = found, []
            elif found.cycles < best.cycles:
                best = found
            tied.append((jobs, row))
        for jobs, row in tied:
            assert best is not None
            best = self._fastest_of_job(jobs, row, best)
        return best

    def _out_of_time(self) -> bool:
        if self.costed > EFFORT or (self.deadline is not None and time.monotonic() > self.deadline):
            self.complete = False
        return not self.complete

    def _least_of_job(self, jobs: Jobs, row: int, cap: float, below_cycles: float) -> Answer | None:
        """The least energy of one job. First as if ports cost no time: mostly that is fast enough as it is."""
        found = self._search(jobs, row, cap, np.inf, by_ports=False)
        least = jobs.cycles[row] if self.task.leakage_pj_per_cycle else below_cycles * (1 - TIE)
        if found is None or found.cycles <= least * (1 + TIE):
            return found
        return self._search(jobs, row, cap, below_cycles, by_ports=True)

    def _fastest_of_job(self, jobs: Jobs, row: int, best: Answer) -> Answer:
        """Of all mappings of a job as good as ``best`` the fastest."""
        while jobs.cycles[row] < best.cycles * (1 - TIE) and not self._out_of_time():
            faster = self._search(jobs, row, best.energy * (1 + TIE), best.cycles * (1 - TIE), by_ports=True)
            if faster is None:
                break
            best = faster
        return best

    def _open(self, limit: float, below_cycles: float) -> Iterator[tuple[Jobs, int]]:
        """Jobs whose bounds leave room, best first."""
        rows = []
        for number, jobs in enumerate(self._every):
            late = self.deadline is not None and time.monotonic() > self.deadline  # the looser bounds hold, too
            if not late and np.any((jobs.energies < limit) & (jobs.cycles < below_cycles)):
                jobs.tighten()
            open_ = np.flatnonzero((jobs.energies < limit) & (jobs.cycles < below_cycles))
            rows += [(float(jobs.energies[i]), float(jobs.cycles[i]), number, int(i)) for i in open_]
        for *_, number, row in sorted(rows):
            yield self._every[number], row

    def _search(
        self, jobs: Jobs, row: int, limit: float, below_cycles: float, by_ports: bool, beam: int = 0
    ) -> Answer | None:
        costs, limits, record, pool = np.zeros(2), np.array([limit, below_cycles]), jobs.record, self._pool
        record["comparisons"] = record["all_comparisons"] - (0 if by_ports else len(self.task.ports))
        record["layer"] = self._layers
        if self.deadline is not None:  # one job must not overrun it
            room = max(LEAST_ROOM, int((self.deadline - time.monotonic()) * LABELS_PER_SECOND))
            pool = pool._replace(alive=pool.alive[:room])
        ended, last = search(record, jobs.table, jobs.spreads, jobs.steps, row, pool, limits, beam, costs)
        self._layers = int(record["layer"][0])
        self.costed += int(record["count"][0])
        self._beyond = min(self._beyond, float(record["beyond"][0]))
        self._slower = min(self._slower, float(record["slower"][0]))
        if ended == FULL:
            self.complete = self.complete and beam > 0
        if ended != FOUND:
            return None
        nodes = nest(self.task, jobs.plan, self.task.spreads[row], path_to(pool, last))
        return Answer(float(costs[0]), float(costs[1]), nodes)
