"""The label search for counts instead of costs: of many jobs, all nests that no other beats in every count."""

from __future__ import annotations

from typing import NamedTuple

from einloom.mapper.compiled import entry, kernel
from einloom.mapper.labels.bounds import choose, start
from einloom.mapper.labels.counts import beaten, beats, bound_counts
from einloom.mapper.labels.kernel import close_all, grow
from einloom.mapper.labels.record import Job, Pool
from einloom.model.arrays import Array


class Nests(NamedTuple):
    """The nests whose counts are in ``Pool.counts``: their job, and nodes from the last to the first, ending in -1."""

    plans: Array
    rows: Array
    nodes: Array


@entry
def count(
    jobs: Array, table: Array, spreads: Array, steps: Array, rows: Array, plan: int, pool: Pool, nests: Nests,
    beam: int, most: int,
) -> int:  # fmt: skip
    """Add what no other beats in every count, of several choices of spatial factors.

    Args:
        jobs: One `record.JOB`; ``found`` of it is the number of counts that the pool has, before and after.
        table: `outlook` of each port, or no rows.
        rows: Which spatial factors.
        plan: Number of the choice of holders, to be noted.
        beam: Labels of a layer that are followed; 0: all.
        most: Labels to make before giving up.

    Returns:
        Labels made; more than ``most`` where it gave up, or where there was no room.
    """
    job = jobs[0]
    job.counting, job.timed, job.beater = 1, 1, 0
    job.tabled = int(len(table) > 0)
    job.comparisons = job.all_comparisons
    made: int = job.found - job.found
    for row in rows:
        choose(job, spreads, steps, row)
        start(job, pool.states[0], pool.labels[0])
        bound_counts(job, table, pool.states[0], pool.labels[0])
        if beaten(job, pool):
            continue
        first = grow(job, table, pool, beam)
        made += job.count
        if job.full or made > most:
            return most + 1
        for complete in range(first, job.count):
            if pool.alive[complete]:
                close_all(job, pool, complete)
                if not _add(job, pool, nests, plan, row, complete):
                    return most + 1
    return made


@kernel
def _add(job: Job, pool: Pool, nests: Nests, plan: int, row: int, complete: int) -> bool:
    """Note a complete nest, whose counts are in ``pool.label``, unless it is beaten; False where there is no room."""
    for p in range(job.ports):
        job.busy[p] = pool.label[job.first_port + p]
    if beaten(job, pool):
        return True
    i = job.found - job.found
    while i < job.found:
        if beats(job, pool, i):
            job.found -= 1
            _move(job, pool, nests, job.found, i)
        else:
            i += 1
    if job.found == len(pool.counts):
        return False
    for p in range(job.ports):
        pool.counts[job.found, p] = job.busy[p]
    pool.counts[job.found, job.ports] = job.steps
    nests.plans[job.found], nests.rows[job.found] = plan, row
    depth, label = 0, complete
    while pool.parents[label] >= 0:
        nests.nodes[job.found, depth] = pool.nodes[label]
        label = pool.parents[label]
        depth += 1
    nests.nodes[job.found, depth] = -1
    job.found += 1
    return True


@kernel
def _move(job: Job, pool: Pool, nests: Nests, source: int, target: int) -> None:
    """Put one of the nests found where another was."""
    for p in range(job.ports + 1):
        pool.counts[target, p] = pool.counts[source, p]
    nests.plans[target], nests.rows[target] = nests.plans[source], nests.rows[source]
    for i in range(nests.nodes.shape[1]):
        nests.nodes[target, i] = nests.nodes[source, i]
