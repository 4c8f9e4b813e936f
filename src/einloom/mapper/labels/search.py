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
from einloom.mapper.labels import kernel
from einloom.mapper.labels.kernel import Pool, Table
from einloom.mapper.labels.plan import Plan, Task
from einloom.mapper.space import divisors
from einloom.mappings import Bind, Hold, Loop, Nodes, Spatial
from einloom.model.arrays import Array

ROOM = 1_500_000
"""Labels of one job at a time."""

TABLE_CELLS = 3_000_000
"""A larger `kernel.outlook` costs more than it saves."""

EFFORT = 30_000_000
"""Labels after which a search is broken off with its gap: some minutes."""

BEAM, QUICK_JOBS, QUICK_SHARE = 128, 40, 0.2
"""For a mapping without proof: labels of a layer that are followed, jobs tried, share of the time that is left."""

LABELS_PER_SECOND = 120_000
"""At least; keeps one job from overrunning a deadline."""

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
class _Planned:
    """One choice of holders with its job and the bounds of every choice of spatial factors."""

    held: tuple[frozenset[int], ...]
    plan: Plan
    job: Array
    energies: Array
    cycles: Array
    tabled: bool = False
    table: Array = field(default_factory=lambda: np.zeros((0, 1)))


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
    _plans: list[_Planned] = field(default_factory=list)

    def __post_init__(self) -> None:
        for held, plan in self.task.plans():
            job = self._job(plan)
            planned = _Planned(held, plan, job, np.empty(len(self.spreads)), np.empty(len(self.spreads)))
            kernel.roots(job, planned.table, self.spreads, self._steps, planned.energies, planned.cycles)
            self._plans.append(planned)

    # -- what is fixed -----------------------------------------------------------------------------------------------

    @cached_property
    def spreads(self) -> Array:
        """``(choices, F, R)`` spatial factors."""
        ranks, fanouts = len(self.task.names), len(self.task.fanouts)
        rows = [np.array([np.prod(axes, axis=0) for axes in choice], dtype=np.int64) for choice in self.task.spreads]
        return np.array(rows, dtype=np.int64).reshape(len(rows), fanouts, ranks)

    @cached_property
    def _steps(self) -> Array:
        used = self.spreads.prod(axis=1) if len(self.task.fanouts) else np.ones((1, len(self.task.names)), np.int64)
        return np.array([self.task.steps(row) for row in (np.array(self.task.sizes) // used).tolist()])

    @cached_property
    def _divisors(self) -> tuple[Array, Array, Array]:
        """(divisors of each rank, their number, distinct primes), padded with 0."""
        every = [divisors(size) for size in self.task.sizes]
        prime = [[d for d in row if d > 1 and len(divisors(d)) == 2] for row in every]
        return _padded(every), np.array([len(row) for row in every], dtype=np.int64), _padded(prime)

    def _job(self, plan: Plan) -> Array:
        """The record that the kernel works on."""
        task, tensors = self.task, self.task.tensors
        job = np.zeros(1, dtype=kernel.JOB)
        values, counts, primes = self._divisors
        for name, value in {
            "relevance": tensors.relevance, "dims": tensors.dims, "coefficients": tensors.coefficients,
            "windowed": tensors.windowed, "window": tensors.ranks, "elements": tensors.sizes, "touched": self._touched,
            "sizes": task.sizes, "primes": primes, "divisors": values, "divisor_counts": counts,
            "capacity": task.capacities, "port_region": task.port_regions, "fixed_key": plan.fixed,
            **{name: getattr(plan, name) for name in plan._fields if name != "fixed"},
        }.items():  # fmt: skip
            _fill(job[name][0], np.asarray(value))
        memories, ports, views = len(task.memories), len(task.ports), len(plan.view_hold)
        first_port, first_view = 1 + memories, 1 + memories + ports
        slides = [v for v in range(views) if tensors.windowed[plan.hold_tensor[plan.view_hold[v]]]]
        compared = [*range(first_port), *(first_view + v for v in slides), *range(first_port, first_view)]
        _fill(job["compared"][0], np.array(compared, dtype=np.int64))
        windows, placed = tensors.ranks.shape[1], len(task.names) + 4
        promises = placed + len(plan.hold_tensor) * windows
        for name, value in {
            "ranks": len(task.names), "tensors": len(task.einsum.accesses), "windows": windows,
            "points": float(task.einsum.points), "operations_pj": task.operations_pj,
            "canonical": not tensors.windowed.any(), "fanouts": len(task.fanouts), "memories": memories, "ports": ports,
            "leakage": task.leakage_pj_per_cycle, "holds": len(plan.hold_tensor), "views": views,
            "reads": len(plan.read_tensor), "fixed": len(plan.fixed), "first_port": first_port,
            "first_view": first_view, "placed": placed, "promises": promises,
            "state_width": promises + len(task.einsum.accesses) * len(task.fanouts) * windows,
            "label_width": first_view + views, "all_comparisons": len(compared),
        }.items():  # fmt: skip
            job[name] = value
        return job

    @cached_property
    def _touched(self) -> Array:
        from einloom.mapper.compulsory import touched  # noqa: PLC0415

        return np.array([float(touched(self.task.einsum, access)) for access in self.task.einsum.accesses])

    @cached_property
    def _pool(self) -> Pool:
        states = max(int(planned.job["state_width"][0]) for planned in self._plans)
        labels = max(int(planned.job["label_width"][0]) for planned in self._plans)
        return Pool(
            np.empty((ROOM, states), np.int64), np.empty((ROOM, labels)), np.empty(ROOM), np.empty(ROOM, np.int64),
            np.empty(ROOM, np.int64), np.empty(ROOM, np.bool_), np.empty(ROOM, np.int64),
        )  # fmt: skip

    @cached_property
    def _table(self) -> Table:
        return Table(np.empty(1 << 18, np.int64), np.full(1 << 18, -1, dtype=np.int64))

    # -- questions ---------------------------------------------------------------------------------------------------

    def least_energy(self, below_cycles: float = np.inf, above: float = 0.0) -> Answer | None:
        """The mapping of least energy with fewer cycles than given; of those the fastest.

        Args:
            above: No such mapping is known to have less energy than this.
        """
        start = max(above, self._least(below_cycles))
        if not np.isfinite(start):
            return None
        slack, limit, answer = FIRST_SLACK, start, None
        quick = None if self.deadline is None else self._quickly(below_cycles)
        while answer is None and self.complete:
            self.bound = limit
            limit = start * (1 + slack) if slack < LAST_SLACK else np.inf
            answer = self._round(limit, below_cycles)
            if limit == np.inf:
                break
            slack *= 2
        if self.complete:
            self.bound = answer.energy if answer else np.inf
            return answer
        return min(filter(None, (answer, quick or self._quickly(below_cycles))), default=None, key=lambda a: a.energy)

    def _quickly(self, below_cycles: float) -> Answer | None:
        """A good mapping without proof: a few labels of the most promising jobs."""
        started, best = time.monotonic(), None
        left = 0.0 if self.deadline is None else (self.deadline - started) * QUICK_SHARE
        for tried, (planned, spread) in enumerate(self._jobs(np.inf, below_cycles)):
            cap = np.inf if best is None else best.energy * (1 - TIE)
            late = tried >= QUICK_JOBS or (self.deadline is not None and time.monotonic() - started > left)
            if planned.energies[spread] >= cap or (best is not None and late):
                break
            by_ports = bool(np.isfinite(below_cycles))
            best = self._search(planned, spread, cap, below_cycles, by_ports, BEAM) or best
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
            slack = max(FIRST_SLACK, 2 * slack)
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
        energy = max(self.bound if objective == "energy" else 0.0, self._least(np.inf))
        return {"energy": energy, "latency": self._least_cycles()}.get(objective, energy * self._least_cycles())

    @property
    def smallest(self) -> dict[str, tuple[float, float]]:
        """Memories that exclude every choice: (least that their tiles need, capacity)."""
        return {}

    @property
    def size(self) -> int:
        """Jobs: choices of holders and spatial factors; each stands for all orders and tilings."""
        return len(self._plans) * len(self.spreads)

    def _least(self, below_cycles: float) -> float:
        return min(float(np.min(p.energies[p.cycles < below_cycles], initial=np.inf)) for p in self._plans)

    def _least_cycles(self) -> float:
        return min(float(np.min(p.cycles, initial=np.inf)) for p in self._plans)

    def _round(self, limit: float, below_cycles: float) -> Answer | None:
        """The least energy below a limit over all jobs, with fewer cycles than given; of those the fastest."""
        best: Answer | None = None
        tied: list[tuple[_Planned, int]] = []
        for planned, spread in self._jobs(limit, below_cycles):
            cap = limit if best is None else best.energy * (1 + TIE)
            if planned.energies[spread] >= cap:
                break
            if self._out_of_time():
                return best
            found = self._least_of_job(planned, spread, cap, below_cycles)
            if found is None:
                continue
            if best is None or found.energy < best.energy * (1 - TIE):
                best, tied = found, []
            elif found.cycles < best.cycles:
                best = found
            tied.append((planned, spread))
        for planned, spread in tied:
            assert best is not None
            best = self._fastest_of_job(planned, spread, best)
        return best

    def _out_of_time(self) -> bool:
        if self.costed > EFFORT or (self.deadline is not None and time.monotonic() > self.deadline):
            self.complete = False
        return not self.complete

    def _least_of_job(self, planned: _Planned, spread: int, cap: float, below_cycles: float) -> Answer | None:
        """The least energy of one job. First as if ports cost no time: mostly that is fast enough as it is."""
        found = self._search(planned, spread, cap, np.inf, by_ports=False)
        least = planned.cycles[spread] if self.task.leakage_pj_per_cycle else below_cycles * (1 - TIE)
        if found is None or found.cycles <= least * (1 + TIE):
            return found
        return self._search(planned, spread, cap, below_cycles, by_ports=True)

    def _fastest_of_job(self, planned: _Planned, spread: int, best: Answer) -> Answer:
        """Of all mappings of a job as good as ``best`` the fastest."""
        while planned.cycles[spread] < best.cycles * (1 - TIE) and not self._out_of_time():
            faster = self._search(planned, spread, best.energy * (1 + TIE), best.cycles * (1 - TIE), by_ports=True)
            if faster is None:
                break
            best = faster
        return best

    def _jobs(self, limit: float, below_cycles: float) -> Iterator[tuple[_Planned, int]]:
        """Jobs whose bounds leave room, best first."""
        rows = []
        for number, planned in enumerate(self._plans):
            if not planned.tabled and np.any((planned.energies < limit) & (planned.cycles < below_cycles)):
                self._look_out(planned)
            open_ = np.flatnonzero((planned.energies < limit) & (planned.cycles < below_cycles))
            rows += [(float(planned.energies[i]), float(planned.cycles[i]), number, int(i)) for i in open_]
        for *_, number, spread in sorted(rows):
            yield self._plans[number], spread

    def _look_out(self, planned: _Planned) -> None:
        """Tighten the bounds of a plan by the order in which regular holds close."""
        planned.tabled = True
        task = self.task
        slides = task.tensors.windowed
        regular = np.array([h for h, t in enumerate(planned.plan.hold_tensor) if not slides[t]], np.int64)
        cells = math.prod(len(divisors(size)) for size in task.sizes) * 2 ** len(regular)
        if not len(regular) or cells > TABLE_CELLS:
            return
        most = np.ones(len(task.fanouts) + 1)
        for region in range(len(task.fanouts) - 1, -1, -1):
            most[region] = most[region + 1] * task.fanout(region).instances
        planned.job["regulars"] = len(regular)
        _fill(planned.job["regular"][0], regular)
        planned.table = kernel.outlook(planned.job, most)
        kernel.roots(planned.job, planned.table, self.spreads, self._steps, planned.energies, planned.cycles)

    def _search(
        self, planned: _Planned, spread: int, limit: float, below_cycles: float, by_ports: bool, beam: int = 0
    ) -> Answer | None:
        costs, limits = np.zeros(2), np.array([limit, below_cycles])
        pool = self._pool
        planned.job["comparisons"] = planned.job["all_comparisons"] - (0 if by_ports else len(self.task.ports))
        ended, last, made, layers = kernel.search(
            planned.job, planned.table, self.spreads[spread], self._steps[spread], pool, self._table, self._layers,
            limits, beam, costs,
        )  # fmt: skip
        self._layers += layers
        self.costed += made
        if ended == kernel.FULL:
            self.complete = self.complete and beam > 0
            return None
        if ended == kernel.NOTHING:
            return None
        return Answer(float(costs[0]), float(costs[1]), self._nodes(planned, spread, pool, int(last)))

    # -- nests -------------------------------------------------------------------------------------------------------

    def _nodes(self, planned: _Planned, spread: int, pool: Pool, last: int) -> Nodes:
        """The nest that leads to a label: its path, from the last node to the first, is outermost first."""
        task = self.task
        tensors = [access.tensor for access in task.einsum.accesses]
        nodes: list[Hold | Loop | Spatial | Bind] = [Hold(task.path[0].name, tuple(dict.fromkeys(tensors)))]
        crossed = len(task.fanouts)
        while pool.parents[last] >= 0:
            code, bound = divmod(int(pool.nodes[last]), kernel.WIDE)
            kind, which = divmod(code, kernel.KINDS)
            if kind == kernel.LOOP:
                _append_loop(nodes, task.names[which], bound)
            elif kind == kernel.HOLD:
                plan = planned.plan
                memory = task.memory(task.memories[plan.hold_memory[which]]).name
                _append_hold(nodes, memory, tensors[plan.hold_tensor[which]])
            else:
                crossed -= 1
                nodes += self._spatial(crossed, self.task.spreads[spread][crossed])
            last = int(pool.parents[last])
        return (*nodes, Bind(task.compute.name))

    def _spatial(self, number: int, axes: tuple[tuple[int, ...], ...]) -> Iterator[Spatial]:
        fanout = self.task.fanout(number)
        for axis, vector in zip(fanout.axes, axes, strict=True):
            for name, bound in zip(self.task.names, vector, strict=True):
                if bound > 1:
                    yield Spatial(fanout.name, axis, name, bound)


def _append_loop(nodes: list[Hold | Loop | Spatial | Bind], variable: str, bound: int) -> None:
    before = nodes[-1]
    if isinstance(before, Loop) and before.variable == variable:
        assert isinstance(before.bound, int)
        nodes[-1] = Loop(variable, before.bound * bound)
    else:
        nodes.append(Loop(variable, bound))


def _append_hold(nodes: list[Hold | Loop | Spatial | Bind], memory: str, tensor: str) -> None:
    before = nodes[-1]
    if isinstance(before, Hold) and before.memory == memory and len(nodes) > 1:
        nodes[-1] = Hold(memory, (*before.tensors, tensor))
    else:
        nodes.append(Hold(memory, (tensor,)))


def _fill(target: Array, values: Array) -> None:
    """Write ``values`` into the corner of a larger array."""
    target[tuple(slice(n) for n in values.shape)] = values


def _padded(rows: list[list[int]] | list[tuple[int, ...]]) -> Array:
    table = np.zeros((len(rows), max([1, *map(len, rows)])), dtype=np.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table
