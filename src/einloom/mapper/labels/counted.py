"""All counts that may ever be the best: what `mapper.sets` prices on new machines in microseconds.

A nest may be left out if another is as good in *every* quantity that a price or a bandwidth can multiply: reads and
writes of each memory, words over links, steps of the compute, what the busiest instance of each limited port takes.
Prices and times per access are at least 0, so whatever they are, the set holds a nest that is best in energy, in
cycles, and in anything that grows with both. New capacities, fanouts or rules need a new set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Level
from einloom.mapper.labels.counting import Nests, count
from einloom.mapper.labels.jobs import Jobs, jobs_of, pool_of, spreads_of
from einloom.mapper.labels.nests import nest
from einloom.mapper.labels.plan import plans
from einloom.mapper.labels.record import MOST_DEPTH, Pool
from einloom.mapper.labels.task import LINKS, READS, Port, Task, supported
from einloom.mappings import Nodes
from einloom.model.arrays import Array
from einloom.workloads.sized import SizedEinsum

BEAM = 8
"""Labels of a layer that are followed in a first sweep over all jobs: what it finds beats most of the rest."""

ROOM = 1_500_000
"""Labels of one job at a time."""

MOST_FOUND = 50_000
"""Nests that may be the best."""


@dataclass(frozen=True)
class Counted:
    """``n`` nests of one Einsum on one path, none of which another beats in every count.

    Attributes:
        quantities: (level, "read", "write" or "link") of each column of ``counts``, all of which have a price.
        ports: (memory, which of `task.READS` and `task.WRITES` it takes) of each column of ``loads``.
        counts: ``(n, quantities)`` accesses (or words over links), over all instances.
        loads: ``(n, ports)`` bits (or words, where its rate is in words) through the busiest instance of each port.
        steps: ``(n,)`` busy cycles of the compute.
        nests: Of each row.
        labels: How many the search made.
    """

    quantities: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...]
    counts: Array
    loads: Array
    steps: Array
    nests: tuple[Nodes, ...]
    labels: int


def count_front(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, limit: int = 2_000_000
) -> Counted | None:
    """All nests with perfect factors that may be the best for some prices and bandwidths.

    Args:
        path: Levels, outermost memory to compute.
        limit: Labels to make at most.

    Returns:
        None for what `task.supported` does not count, and past the limit.
    """
    task = Task(architecture, einsum, path, rules, counting=True)
    if not supported(task):
        return None
    spreads, steps = spreads_of(task)
    every = [jobs_of(task, held, plan, spreads, steps) for held, plan in plans(task)]
    pool = pool_of(every, min(limit, ROOM), MOST_FOUND)
    room = len(pool.counts)
    nests = Nests(np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, MOST_DEPTH), np.int64))
    found = _Counting(every, pool, nests, limit)
    if not found.run():
        return None
    return found.answer(task)


@dataclass
class _Counting:
    """The counts found so far."""

    every: list[Jobs]
    pool: Pool
    nests: Nests
    limit: int
    made: int = 0
    found: int = 0
    layer: int = 0

    def run(self) -> bool:
        """Whether all jobs were searched within the limit."""
        for jobs in self.every:
            jobs.tighten()
        order = np.argsort([np.min(jobs.energies) for jobs in self.every], kind="stable")
        for beam in (BEAM, 0):
            for number in order:
                jobs = self.every[number]
                rows = np.argsort(jobs.energies, kind="stable")
                if not self._count(int(number), rows[np.isfinite(jobs.energies[rows])], beam):
                    return False
        return True

    def _count(self, number: int, rows: Array, beam: int) -> bool:
        jobs = self.every[number]
        jobs.record["found"], jobs.record["layer"] = self.found, self.layer
        made = count(
            jobs.record, jobs.table, jobs.spreads, jobs.steps, rows, number, self.pool, self.nests, beam,
            self.limit - self.made,
        )  # fmt: skip
        self.found, self.layer = int(jobs.record["found"][0]), int(jobs.record["layer"][0])
        self.made += made
        return self.made <= self.limit

    def answer(self, task: Task) -> Counted:
        steps = len(task.ports)
        vectors = self.pool.counts[: self.found]
        priced = len(task.quantities)
        return Counted(
            quantities=tuple(_name(task, port) for port in task.quantities),
            ports=tuple((task.path[port.place].name, port.takes) for port in task.ports[priced:]),
            counts=vectors[:, :priced].copy(), loads=vectors[:, priced:steps].copy(),
            steps=vectors[:, steps].copy(),
            nests=tuple(self._nest(task, i) for i in range(self.found)), labels=self.made,
        )  # fmt: skip

    def _nest(self, task: Task, i: int) -> Nodes:
        plan, spread = self.every[self.nests.plans[i]].plan, task.spreads[self.nests.rows[i]]
        nodes = self.nests.nodes[i].tolist()
        return nest(task, plan, spread, nodes[: nodes.index(-1)])


def _name(task: Task, port: Port) -> tuple[str, str]:
    kind = "link" if port.takes == LINKS else "read" if port.takes == READS else "write"
    return task.path[port.place].name, kind
