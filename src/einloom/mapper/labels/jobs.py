"""The jobs of a task: a record for each choice of holders, with the bounds of every choice of spatial factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from einloom.mapper.labels.bounds import roots
from einloom.mapper.labels.outlook import outlook
from einloom.mapper.labels.plan import Plan
from einloom.mapper.labels.record import ENERGY, JOB, MOST_PORTS, OCCUPANCY, TILE, Pool
from einloom.mapper.labels.task import Task
from einloom.mapper.space import divisors
from einloom.model.arrays import Array

TABLE_CELLS = 3_000_000
"""A larger `outlook` costs more than it saves."""

SLOTS = 1 << 18
"""Of the hash table; a power of two."""


@dataclass
class Jobs:
    """All choices of spatial factors of one choice of holders.

    Attributes:
        held: Tensors of each inner memory, innermost first.
        record: One `record.JOB`.
        spreads: ``(choices, F, R)``, and ``steps`` ``(choices,)`` of the compute.
        energies, cycles: ``(choices,)`` lower bounds; infinite where nothing fits.
    """

    task: Task
    held: tuple[frozenset[int], ...]
    plan: Plan
    record: Array
    spreads: Array
    steps: Array
    energies: Array
    cycles: Array
    table: Array = field(default_factory=lambda: np.zeros((0, 1, 1)))
    tightened: bool = False

    def bound(self) -> None:
        """Compute the bounds."""
        state, label = np.zeros(self.record["state_width"][0], np.int64), np.zeros(self.record["label_width"][0])
        roots(self.record, self.table, self.spreads, self.steps, state, label, self.energies, self.cycles)

    def least(self, energy: float, below_cycles: float) -> float:
        """The least bound on energy that is at least as given, of what may take fewer cycles than given."""
        return float(np.min(self.energies[(self.energies >= energy) & (self.cycles < below_cycles)], initial=np.inf))

    def fewest(self, cycles: float) -> float:
        """The least bound on cycles that is at least as given."""
        return float(np.min(self.cycles[self.cycles >= cycles], initial=np.inf))

    def tighten(self) -> None:
        """Compute them again, by the order in which regular holds close."""
        if self.tightened:
            return
        self.tightened = True
        task, slides = self.task, self.task.tensors.windowed
        regular = np.array([h for h, t in enumerate(self.plan.hold_tensor) if not slides[t]], np.int64)
        tiles = math.prod(len(divisors(size)) for size in task.sizes)
        if not len(regular) or tiles << len(regular) > TABLE_CELLS:
            return
        most = np.ones(len(task.fanouts) + 1)
        for region in range(len(task.fanouts) - 1, -1, -1):
            most[region] = most[region + 1] * task.fanout(region).instances
        fill(self.record, {"regulars": len(regular), "regular": regular})
        each = self.plan.view_port if task.counting else self.plan.view_price[:, None]
        prices = np.array([each[self.plan.view_hold == h].sum(axis=0) for h in regular]).T.copy()
        self.table = np.empty((len(prices), tiles, 1 << len(regular)))
        room = np.zeros(len(regular)), np.zeros(len(task.names), np.int64)
        for row, table in zip(prices, self.table, strict=True):
            outlook(self.record, most, row, *room, table)
        self.bound()


def jobs_of(task: Task, held: tuple[frozenset[int], ...], plan: Plan, spreads: Array, steps: Array) -> Jobs:
    """The jobs of one choice of holders, bounded."""
    record = np.zeros(1, dtype=JOB)
    fill(record, _einsum_fields(task) | _machine_fields(task) | plan._asdict() | _columns(task, plan))
    bounds = np.empty(len(spreads)), np.empty(len(spreads))
    jobs = Jobs(task, held, plan, record, spreads, steps, *bounds)
    jobs.bound()
    return jobs


def spreads_of(task: Task) -> tuple[Array, Array]:
    """All spatial factors ``(choices, F, R)``, and the busy cycles of the compute ``(choices,)`` that they leave."""
    ranks, fanouts = len(task.names), len(task.fanouts)
    rows = [np.array([np.prod(axes, axis=0) for axes in choice], dtype=np.int64) for choice in task.spreads]
    spreads = np.array(rows, dtype=np.int64).reshape(len(rows), fanouts, ranks)
    left = np.array(task.sizes, np.int64) // spreads.prod(axis=1)
    return spreads, np.array([task.steps(row) for row in left.tolist()])


def _einsum_fields(task: Task) -> dict[str, object]:
    tensors = task.tensors
    every = [divisors(size) for size in task.sizes]
    primes = [[d for d in row if d > 1 and len(divisors(d)) == 2] for row in every]
    place = np.full((len(tensors.dims), len(task.names)), -1, dtype=np.int64)
    for t, ranks in enumerate(tensors.ranks):
        for k, rank in enumerate(ranks):
            if rank >= 0:
                place[t, rank] = k
    return {
        "ranks": len(task.names), "tensors": len(tensors.dims), "windows": tensors.ranks.shape[1],
        "relevance": tensors.relevance, "dims": tensors.dims, "coefficients": tensors.coefficients,
        "windowed": tensors.windowed, "window": tensors.ranks, "window_place": place, "elements": tensors.sizes,
        "sizes": task.sizes, "primes": _padded(primes), "divisors": _padded(every),
        "divisor_counts": [len(row) for row in every], "points": float(task.einsum.points),
        "operations_pj": task.operations_pj, "canonical": not tensors.windowed.any(),
    }  # fmt: skip


def _machine_fields(task: Task) -> dict[str, object]:
    return {
        "fanouts": len(task.fanouts), "memories": len(task.memories), "ports": len(task.ports),
        "leakage": 0.0 if task.counting else task.leakage_pj_per_cycle, "capacity": task.capacities,
        "port_price": [task.price_pj(port) for port in task.quantities],
        "port_region": [port.region for port in task.ports],
    }  # fmt: skip


def _columns(task: Task, plan: Plan) -> dict[str, object]:
    """How many holds and views there are, and the columns of states and labels."""
    windowed, windows = task.tensors.windowed, task.tensors.ranks.shape[1]
    holds = np.full(len(plan.hold_tensor), -1, dtype=np.int64)
    views = np.full(len(plan.view_hold), -1, dtype=np.int64)
    promises = np.full(len(windowed), -1, dtype=np.int64)
    first_port = OCCUPANCY + len(task.memories)
    state, label = TILE + len(task.names), first_port + len(task.ports)
    for h, tensor in enumerate(plan.hold_tensor):
        if windowed[tensor]:
            holds[h], state = state, state + windows
    for t in np.flatnonzero(windowed):
        promises[t], state = state, state + windows * len(task.fanouts)
    for v, hold in enumerate(plan.view_hold):
        if windowed[plan.hold_tensor[hold]]:
            views[v], label = label, label + 1
    ports = range(first_port, first_port + len(task.ports))
    compared = [ENERGY, *range(OCCUPANCY, first_port), *views[views >= 0], *ports]
    return {
        "holds": len(holds), "views": len(views), "reads": len(plan.read_tensor), "fixed": len(plan.fixed_key),
        "first_port": first_port, "hold_column": holds, "view_column": views, "promise_column": promises,
        "state_width": state, "label_width": label, "compared": compared, "all_comparisons": len(compared),
    }  # fmt: skip


def pool_of(jobs: list[Jobs], room: int, counts: int = 0) -> Pool:
    """Room for so many labels of any of the jobs, and vectors of counts."""
    states = max(int(each.record["state_width"][0]) for each in jobs)
    labels = max(int(each.record["label_width"][0]) for each in jobs)
    return Pool(
        states=np.empty((room, states), np.int64), labels=np.empty((room, labels)), codes=np.empty(room, np.uint64),
        bounds=np.empty(room), parents=np.empty(room, np.int64), nodes=np.empty(room, np.int64),
        alive=np.empty(room, np.bool_), following=np.empty(room, np.int64), heads=np.empty(SLOTS, np.int64),
        stamps=np.full(SLOTS, -1, dtype=np.int64), state=np.empty(states, np.int64), label=np.empty(labels),
        counts=np.empty((counts, MOST_PORTS + 1)),
    )  # fmt: skip


def fill(record: Array, fields: Mapping[str, object]) -> None:
    """Write fields of a record; arrays go into the corner of larger ones."""
    for name, value in fields.items():
        values = np.asarray(value)
        if values.ndim:
            record[name][0][tuple(slice(n) for n in values.shape)] = values
        else:
            record[name] = value


def _padded(rows: list[list[int]] | list[tuple[int, ...]]) -> Array:
    """Rows of different lengths, filled up with 0."""
    table = np.zeros((len(rows), max([1, *map(len, rows)])), dtype=np.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table
