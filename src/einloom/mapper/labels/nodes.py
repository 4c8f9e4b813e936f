"""What each node outside a label does: a prime loop passes its holds, a hold is placed, a fanout is crossed.

Sliding holds need to know, while still below a fanout, where the instances above them stand, which depends on the tile
in time where that fanout will be crossed. So placing the first hold of a sliding tensor *promises* that tile for every
spatial rank that slides, all possibilities one after the other; loops and crossings that break a promise are refused.

Where no tensor slides, orders are normalized (`Job.canonical`): a loop outside a hold of a tensor that it leaves in
place belongs inside it (same words), and none stands between a fanout and the holds below it (nothing gained). With
windows that would be wrong: it changes where instances stand.
"""

from __future__ import annotations

from einloom.mapper.compiled import kernel
from einloom.mapper.labels.bounds import charge, tile_words
from einloom.mapper.labels.record import (
    CLOSED,
    FRESH,
    IRRELEVANT,
    OCCUPANCY,
    PLACED,
    PLAIN,
    POSITION,
    REST,
    TILE,
    Job,
)
from einloom.mapper.labels.sliding import first, grid, promised, slide, union
from einloom.model.arrays import Array

# -- loops -------------------------------------------------------------------------------------------------------------


@kernel
def may_pass(job: Job, state: Array, rank: int, prime: int) -> bool:
    """Whether a prime loop may stand outside a label."""
    tile = state[TILE + rank] * prime
    if job.left[rank] % tile != 0:
        return False
    position = state[POSITION]
    if job.canonical:
        if position < job.fanouts and job.region_holds[position] == 0:
            return False
        for h in range(job.holds):
            if (state[FRESH] >> h) & 1 and job.relevance[job.hold_tensor[h], rank] == IRRELEVANT:
                return False
        return True
    for t in range(job.tensors):
        k = job.window_place[t, rank]
        if k >= 0:
            for g in range(position, job.fanouts):
                if promised(job, state, t, g, k) % tile != 0:
                    return False
    return True


@kernel
def put_loop(job: Job, state: Array, label: Array, rank: int, prime: int) -> None:
    """Put a prime loop outside a label."""
    open_ = state[PLACED] & ~state[CLOSED]
    state[FRESH] = 0
    for h in range(job.holds):
        if (open_ >> h) & 1:
            tensor = job.hold_tensor[h]
            if job.relevance[tensor, rank] == PLAIN:
                close(job, state, label, h)
            elif job.windowed[tensor]:
                slide(job, state, label, h, rank, prime)
    state[TILE + rank] *= prime
    label[REST] /= prime


@kernel
def close(job: Job, state: Array, label: Array, hold: int) -> None:
    """Charge a hold at its last tile and forget where it was placed."""
    for v in range(job.hold_views[hold], job.hold_views[hold + 1]):
        charge(job, label, _final_words(job, state, label, v), job.view_price[v], job.view_port[v])
        if job.view_column[v] >= 0:
            label[job.view_column[v]] = 0.0
    state[CLOSED] |= 1 << hold
    tensor = job.hold_tensor[hold]
    if job.windowed[tensor]:
        for k in range(job.windows):
            state[job.hold_column[hold] + k] = 0
        if not _is_open(job, state, tensor, state[PLACED] & ~state[CLOSED]):
            _forget(job, state, tensor)


@kernel
def _final_words(job: Job, state: Array, label: Array, v: int) -> float:
    """Words of a view whose hold closes at this tile: everything further out repeats it."""
    tensor = job.hold_tensor[job.view_hold[v]]
    words: float
    if job.windowed[tensor]:
        words = (first(job, state, v) + label[job.view_column[v]]) * job.groups[v] * label[REST]
        return words
    words = job.least[v]
    for r in range(job.ranks):
        if job.relevance[tensor, r] == IRRELEVANT:
            words *= job.left[r] // state[TILE + r]
    return words


@kernel
def _is_open(job: Job, state: Array, tensor: int, holds: int) -> bool:
    """Whether some of these holds is of the tensor."""
    found = False
    for h in range(job.holds):
        found = found or bool((holds >> h) & 1 and job.hold_tensor[h] == tensor)
    return found


@kernel
def _forget(job: Job, state: Array, tensor: int) -> None:
    """No hold of the tensor is open any more: what was promised does not matter."""
    column = job.promise_column[tensor]
    for i in range(column, column + job.fanouts * job.windows):
        state[i] = 0


# -- holds -------------------------------------------------------------------------------------------------------------


@kernel
def may_place(job: Job, state: Array, hold: int) -> bool:
    """Whether a hold may stand outside a label: once, in its region, outside that of the same tensor further in."""
    if job.hold_region[hold] != state[POSITION] or (state[PLACED] >> hold) & 1:
        return False
    previous = job.hold_previous[hold]
    return bool(previous < 0 or (state[PLACED] >> previous) & 1)


@kernel
def place(job: Job, state: Array, label: Array, hold: int) -> bool:
    """Place a hold outside a label (promises are still open); False where it does not fit."""
    tensor, memory = job.hold_tensor[hold], job.hold_memory[hold]
    occupied = label[OCCUPANCY + memory] + tile_words(job, state, tensor, state[POSITION]) * job.hold_width[hold]
    if occupied > job.capacity[memory]:
        return False
    state[PLACED] |= 1 << hold
    full = job.memory_holds[memory] & ~state[PLACED] == 0
    label[OCCUPANCY + memory] = 0.0 if full else occupied  # of a memory that is filled it does not matter any more
    if job.canonical:
        state[FRESH] |= 1 << hold
    if job.windowed[tensor]:
        for k in range(job.windows):
            if job.window[tensor, k] >= 0:
                state[job.hold_column[hold] + k] = state[TILE + job.window[tensor, k]]
    return True


@kernel
def to_promise(job: Job, state: Array, hold: int) -> int:
    """List in the job the (sliding rank, fanout) whose tiles a new hold promises; returns how many."""
    tensor, n = job.hold_tensor[hold], 0
    if not job.windowed[tensor] or _is_open(job, state, tensor, state[PLACED] & ~state[CLOSED] & ~(1 << hold)):
        return n
    for k in range(job.windows):
        r = job.window[tensor, k]
        if r >= 0:
            for g in range(job.hold_region[hold], job.fanouts):
                if job.spread[g, r] > 1:
                    job.promised_rank[n], job.promised_fanout[n], job.odometer[n] = k, g, 0
                    n += 1
    return n


@kernel
def promise(job: Job, state: Array, tensor: int, n: int) -> bool:
    """Write the promises that the odometer shows; False where tiles would not nest."""
    for i in range(n):
        k, g = job.promised_rank[i], job.promised_fanout[i]
        r = job.window[tensor, k]
        tile = job.divisors[r, job.odometer[i]]
        if job.left[r] % tile != 0 or tile % state[TILE + r] != 0:
            return False
        if i > 0 and job.promised_rank[i - 1] == k and tile % job.divisors[r, job.odometer[i - 1]] != 0:
            return False
        state[job.promise_column[tensor] + g * job.windows + k] = tile
    return True


@kernel
def turn(job: Job, tensor: int, n: int) -> bool:
    """The next reading of the odometer; False after the last."""
    for i in range(n):
        job.odometer[i] += 1
        if job.odometer[i] < job.divisor_counts[job.window[tensor, job.promised_rank[i]]]:
            return True
        job.odometer[i] = 0
    return False


# -- fanouts -----------------------------------------------------------------------------------------------------------


@kernel
def may_cross(job: Job, state: Array) -> bool:
    """Whether the next fanout may stand outside a label: the holds below it are placed, promises are kept."""
    g = state[POSITION]
    if g >= job.fanouts or job.region_holds[g] & ~state[PLACED]:
        return False
    if job.canonical:
        return bool(job.region_holds[g] == 0 or state[FRESH] != 0)
    for t in range(job.tensors):
        if job.windowed[t]:
            for k in range(job.windows):
                tile = promised(job, state, t, g, k)
                if tile > 0 and tile != state[TILE + job.window[t, k]]:
                    return False
    return True


@kernel
def cross(job: Job, state: Array, label: Array) -> None:
    """Put the next fanout outside a label."""
    g = state[POSITION]
    state[FRESH] = 0
    for i in range(job.reads):
        if job.read_region[i] > g:
            tensor = job.read_tensor[i]
            for k in range(job.windows):
                r = job.window[tensor, k]
                if r >= 0 and job.spread[g, r] > 1:
                    state[job.promise_column[tensor] + g * job.windows + k] = state[TILE + r]
    for i in range(job.reads):
        if job.read_region[i] == g + 1:
            charge(job, label, _read_words(job, state, i), job.read_price[i], job.read_port[i])
    for i in range(job.reads):
        if job.read_region[i] == g + 1:
            _forget(job, state, job.read_tensor[i])
    state[POSITION] = g + 1


@kernel
def _read_words(job: Job, state: Array, i: int) -> float:
    """What the compute takes of a sliding operand over the fanouts between it and the holder."""
    tensor, words = job.read_tensor[i], 1.0
    for r in range(job.ranks):
        words *= job.left[r]
        for g in range(job.fanouts):
            if not (job.read_merged[i] >> g) & 1:
                words *= job.spread[g, r]
    for d in range(job.dims[tensor]):
        grid(job, state, tensor, d, job.read_merged[i])
        words *= union(job, 1.0)
    return words
