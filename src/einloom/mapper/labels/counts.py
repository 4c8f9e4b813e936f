"""Vectors of counts: their bounds, and those found so far that none beats."""

from __future__ import annotations

from einloom.mapper.compiled import kernel
from einloom.mapper.labels.bounds import bound_ports
from einloom.mapper.labels.outlook import not_closed, tile_number
from einloom.mapper.labels.record import Job, Pool
from einloom.model.arrays import Array

_SAME = 1 + 1e-12
"""Counts this close, relatively, are equal: what is left of them is rounding."""


@kernel
def bound_counts(job: Job, table: Array, state: Array, label: Array) -> float:
    """The least of every count in any nest that goes on from a label, into ``busy``; returns the energy of that."""
    bound_ports(job, state, label)
    if job.tabled:
        tile, holds = tile_number(job, state), not_closed(job, state)
        for p in range(job.ports):
            more = table[p, tile, holds] - job.regularly[p]
            if more > 0.0:
                job.busy[p] += more / job.port_used[p]
    energy = 0.0
    for p in range(job.ports):
        energy += job.busy[p] * job.port_price[p]
    return energy


@kernel
def beaten(job: Job, pool: Pool) -> bool:
    """Whether something found is as good as ``busy`` and the steps of the job everywhere."""
    if job.beater < job.found and _is_beaten_by(job, pool, job.beater):
        return True
    for i in range(job.found):
        if _is_beaten_by(job, pool, i):
            job.beater = i
            return True
    return False


@kernel
def _is_beaten_by(job: Job, pool: Pool, i: int) -> bool:
    if pool.counts[i, job.ports] > job.steps * _SAME:
        return False
    p = 0
    while p < job.ports and pool.counts[i, p] <= job.busy[p] * _SAME:
        p += 1
    return bool(p == job.ports)


@kernel
def beats(job: Job, pool: Pool, i: int) -> bool:
    """Whether ``busy`` and the steps of the job are as good as something found everywhere."""
    if job.steps > pool.counts[i, job.ports] * _SAME:
        return False
    p = 0
    while p < job.ports and job.busy[p] <= pool.counts[i, p] * _SAME:
        p += 1
    return bool(p == job.ports)
