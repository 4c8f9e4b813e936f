"""The label search of one job: a choice of holders and of spatial factors, all nests of it, inside out.

A nest is built from the compute outwards, one node at a time: a *prime* loop (a loop of bound 6 is two adjacent loops,
equal in every count), a hold, a fanout. What is still to come depends on little of what is there already: the *state*
is the tile in time, the holds placed and closed, and for open holds of sliding tensors where they were placed. A
*label* is the way to a state: energy so far, occupancy of the memories being filled, port cycles, words fetched so far
by open sliding holds. Of two labels of one state the one that is no better anywhere is dropped (Bellman): what
follows costs both the same. All paths have equally many nodes, so labels of one depth make one layer.

A hold is *open* while every loop outside it has left its tile in place (or slides it); when a loop passes that moves
the tile by whole tiles it is *closed*: from there every outer iteration repeats it, so its words are final. Holds that
stay open beyond other holds and fanouts are the reuse across levels that no fixed template has.
"""

from __future__ import annotations

import numpy as np

from einloom.mapper.compiled import entry, kernel
from einloom.mapper.labels.bounds import bound, choose, start, still_fits
from einloom.mapper.labels.counts import beaten, bound_counts
from einloom.mapper.labels.nodes import (
    close,
    cross,
    may_cross,
    may_pass,
    may_place,
    place,
    promise,
    put_loop,
    to_promise,
    turn,
)
from einloom.mapper.labels.record import (
    CLOSED,
    CROSS,
    ENERGY,
    FOUND,
    FULL,
    HOLD,
    KINDS,
    LOOP,
    MOST_BEAM,
    MOST_PRIMES,
    NOTHING,
    PLACED,
    WIDE,
    Job,
    Pool,
)
from einloom.model.arrays import Array

_SAME = 1e-13
"""Label entries this close, relatively, are equal: what is left of them is rounding."""

_TIE = 1e-12
"""The same for the energies of complete nests."""


@entry
def search(
    jobs: Array, table: Array, spreads: Array, steps: Array, row: int, pool: Pool, limits: Array, beam: int,
    costs: Array,
) -> tuple[int, int]:  # fmt: skip
    """The best nest of a job below the limits, by energy and then cycles.

    Args:
        jobs: One `record.JOB`.
        table: `outlook`, or no rows.
        spreads, steps, row: All spatial factors, the busy cycles of the compute that they leave, and which to take.
        limits: Energy and cycles must be below these.
        beam: Labels of a layer that are followed, the most promising ones; 0: all (only then is the answer a proof).
        costs: Filled with the energy and cycles found.

    Returns:
        How it ended, and the label of the last node. ``count`` of the record is the number of labels made; ``beyond``
        and ``slower``, where nothing was found, bound what wider limits would give.
    """
    job = jobs[0]
    choose(job, spreads, steps, row)
    job.limit_energy, job.limit_cycles = limits[0], limits[1]
    job.timed = int(job.leakage > 0 or job.limit_cycles < float("inf") or job.comparisons == job.all_comparisons)
    job.counting, job.beyond, job.slower = 0, float("inf"), float("inf")
    start(job, pool.states[0], pool.labels[0])
    first = grow(job, table, pool, beam)
    if job.full:
        return FULL, -1
    last = _best(job, pool, first, costs)
    return FOUND if last >= 0 else NOTHING, last


@kernel
def grow(job: Job, table: Array, pool: Pool, beam: int) -> int:
    """Make all labels from the one in row 0; returns the first that is complete (all after it are), if any."""
    job.count, job.full = 1, 0
    pool.alive[0], pool.parents[0] = True, -1
    low = job.count - 1
    for _ in range(_depth(job)):
        job.layer += 1
        high = job.count
        for parent in range(low, high):
            if pool.alive[parent] and not job.full:
                _extend(job, table, pool, parent)
        low = high
        if beam > 0:
            _narrow(job, pool, low, beam)
        if low == job.count or job.full:
            break
    return low


@kernel
def _depth(job: Job) -> int:
    """Nodes of every nest of the job."""
    nodes = job.fanouts + job.holds
    for r in range(job.ranks):
        rest = job.left[r]
        for i in range(MOST_PRIMES):
            while job.primes[r, i] > 1 and rest % job.primes[r, i] == 0:
                rest //= job.primes[r, i]
                nodes += 1
    return nodes


@kernel
def _extend(job: Job, table: Array, pool: Pool, parent: int) -> None:
    """Keep what follows a label by each node."""
    before = pool.states[parent]
    for r in range(job.ranks):
        for i in range(MOST_PRIMES):
            prime = job.primes[r, i]
            if prime == 0:
                break
            if may_pass(job, before, r, prime):
                _copy(job, pool, parent)
                put_loop(job, pool.state, pool.label, r, prime)
                _try(job, table, pool, parent, (LOOP * KINDS + r) * WIDE + prime)
    for h in range(job.holds):
        if may_place(job, before, h):
            _copy(job, pool, parent)
            if place(job, pool.state, pool.label, h):
                tensor, n = job.hold_tensor[h], to_promise(job, pool.state, h)
                more = True
                while more:
                    if promise(job, pool.state, tensor, n):
                        _try(job, table, pool, parent, (HOLD * KINDS + h) * WIDE)
                    more = turn(job, tensor, n)
    if may_cross(job, before):
        _copy(job, pool, parent)
        cross(job, pool.state, pool.label)
        _try(job, table, pool, parent, CROSS * KINDS * WIDE)


@kernel
def _copy(job: Job, pool: Pool, parent: int) -> None:
    """Begin a new label as its parent."""
    for i in range(job.state_width):
        pool.state[i] = pool.states[parent, i]
    for i in range(job.label_width):
        pool.label[i] = pool.labels[parent, i]


@kernel
def _try(job: Job, table: Array, pool: Pool, parent: int, node: int) -> None:
    """Keep the label in the making if its bounds leave room and none of its state is as good."""
    if not still_fits(job, pool.state, pool.label):
        return
    if job.counting:
        promise_pj = bound_counts(job, table, pool.state, pool.label)
        if not beaten(job, pool):
            _keep(job, pool, parent, node, promise_pj)
        return
    energy, cycles = bound(job, table, pool.state, pool.label)
    if _within_limits(job, energy, cycles):
        _keep(job, pool, parent, node, energy)


@kernel
def _within_limits(job: Job, energy: float, cycles: float) -> bool:
    """Whether both are; what is not is noted."""
    if cycles >= job.limit_cycles:
        job.slower = min(job.slower, cycles)
        return False
    if energy >= job.limit_energy:
        job.beyond = min(job.beyond, energy)
        return False
    return True


@kernel
def _keep(job: Job, pool: Pool, parent: int, node: int, energy: float) -> None:
    """Add the label in the making unless another of its state is as good; drop those that it beats."""
    code = np.uint64(1469598103934665603)
    for i in range(job.state_width):
        code = (code ^ np.uint64(pool.state[i])) * np.uint64(1099511628211)
    code ^= code >> np.uint64(29)
    slot = np.int64(code & np.uint64(len(pool.heads) - 1))
    head = pool.heads[slot] if pool.stamps[slot] == job.layer else -1
    other = head
    while other >= 0:
        if pool.alive[other] and pool.codes[other] == code and _same_state(job, pool, other):
            worse, better = True, True
            for i in range(job.comparisons):
                mine, theirs = pool.label[job.compared[i]], pool.labels[other, job.compared[i]]
                worse = worse and theirs <= mine + abs(mine) * _SAME
                better = better and mine <= theirs + abs(theirs) * _SAME
            if worse:
                return
            if better:
                pool.alive[other] = False
        other = pool.following[other]
    new = job.count
    if new >= len(pool.alive):
        job.full = 1
        return
    for i in range(job.state_width):
        pool.states[new, i] = pool.state[i]
    for i in range(job.label_width):
        pool.labels[new, i] = pool.label[i]
    pool.codes[new], pool.bounds[new], pool.parents[new], pool.nodes[new] = code, energy, parent, node
    pool.alive[new], pool.following[new] = True, head
    pool.heads[slot], pool.stamps[slot] = new, job.layer
    job.count = new + 1


@kernel
def _same_state(job: Job, pool: Pool, other: int) -> bool:
    i = 0
    while i < job.state_width and pool.states[other, i] == pool.state[i]:
        i += 1
    return bool(i == job.state_width)


@kernel
def _narrow(job: Job, pool: Pool, low: int, beam: int) -> None:
    """Give up all but the most promising labels of a layer, of each set of holds placed."""
    for begin in range(low, job.count):
        if not pool.alive[begin] or pool.codes[begin] == 0:
            continue
        placed = pool.states[begin, PLACED]
        job.near = 0
        for i in range(begin, job.count):
            if pool.alive[i] and pool.states[i, PLACED] == placed:
                pool.codes[i] = 0  # its group is done
                _into_nearest(job, pool.bounds[i], min(beam, MOST_BEAM))
        worst = job.nearest[job.near - 1]
        for i in range(begin, job.count):
            if pool.states[i, PLACED] == placed and pool.bounds[i] > worst:
                pool.alive[i] = False


@kernel
def _into_nearest(job: Job, energy: float, most: int) -> None:
    """Insert into the sorted ``nearest``, of at most so many."""
    if job.near < most:
        job.near += 1
    elif energy >= job.nearest[most - 1]:
        return
    i = job.near - 1
    while i > 0 and job.nearest[i - 1] > energy:
        job.nearest[i] = job.nearest[i - 1]
        i -= 1
    job.nearest[i] = energy


@kernel
def close_all(job: Job, pool: Pool, complete: int) -> None:
    """Close what is open in a complete label; its costs are those of ``pool.label`` then."""
    _copy(job, pool, complete)
    for h in range(job.holds):
        if not (pool.state[CLOSED] >> h) & 1:
            close(job, pool.state, pool.label, h)


@kernel
def _best(job: Job, pool: Pool, low: int, costs: Array) -> int:
    """Close what is open in the complete labels and take the best; -1 if none is below the limits."""
    last = -1
    for complete in range(low, job.count):
        if not pool.alive[complete]:
            continue
        close_all(job, pool, complete)
        cycles = job.steps
        for p in range(job.ports):
            cycles = max(cycles, pool.label[job.first_port + p])
        energy = pool.label[ENERGY] + job.leakage * cycles
        if not _within_limits(job, energy, cycles):
            continue
        near = energy <= costs[0] * (1 + _TIE)
        if last < 0 or energy < costs[0] * (1 - _TIE) or (near and cycles < costs[1]):
            last = complete
            costs[0], costs[1] = energy, cycles
    return last
