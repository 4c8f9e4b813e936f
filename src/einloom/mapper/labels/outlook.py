"""A bound on the energy of regular holds together: by the order in which they close."""

from __future__ import annotations

from einloom.mapper.compiled import entry, kernel
from einloom.mapper.labels.record import CLOSED, IRRELEVANT, MOST_PRIMES, TILE, Job
from einloom.model.arrays import Array


@entry
def outlook(jobs: Array, most_instances: Array, prices: Array, costs: Array, at: Array, table: Array) -> None:
    """For each tile and each set of regular holds that are not closed yet: the least energy of their traffic.

    A relaxation that looks only at the order of closing: every hold closes at some tile of one growing chain, alone in
    its memory, and its words are its tensor's times the tiles outside in the ranks that it ignores. Computed from the
    whole ranks inwards.

    Args:
        most_instances: Of each region.
        prices: Shape ``(regular holds,)``: pJ per word (or whatever is counted), over all views of a hold.
        costs, at: Room of as many entries as regular holds, and ranks.
        table: Result, shape ``(tiles, 2 ** regular holds)``; tiles are numbered by their divisors, last rank fastest.
    """
    job = jobs[0]
    for tile in range(len(table) - 1, -1, -1):
        rest = tile
        for r in range(job.ranks - 1, -1, -1):
            at[r] = rest % job.divisor_counts[r]
            rest //= job.divisor_counts[r]
        for i in range(job.regulars):
            costs[i] = _cost_of_closing(job, job.regular[i], at, prices[i], most_instances)
        for open_ in range(table.shape[1]):
            table[tile, open_] = 0.0 if open_ == 0 else float("inf")
        _let_grow(job, table, tile, at)
        _let_close(job, table, tile, costs)


@kernel
def _cost_of_closing(job: Job, hold: int, at: Array, price: float, most_instances: Array) -> float:
    """Energy of a regular hold that closes at a tile; infinite where such a tile never fits."""
    tensor = job.hold_tensor[hold]
    words, held = job.elements[tensor], job.hold_width[hold]
    for r in range(job.ranks):
        size = job.divisors[r, at[r]]
        if job.relevance[tensor, r] == IRRELEVANT:
            words *= job.sizes[r] // size
        else:
            held *= size
    fits = held <= job.capacity[job.hold_memory[hold]] * most_instances[job.hold_region[hold]]
    return words * price if fits else float("inf")


@kernel
def _let_grow(job: Job, table: Array, tile: int, at: Array) -> None:
    """Nothing closes here: the least over tiles that are one prime larger."""
    stride = 1
    for r in range(job.ranks - 1, -1, -1):
        size = job.divisors[r, at[r]]
        for up in range(at[r] + 1, job.divisor_counts[r]):
            ratio = job.divisors[r, up] // size
            if job.divisors[r, up] == ratio * size and _is_prime(job, r, ratio):
                outer = tile + (up - at[r]) * stride
                for open_ in range(1, table.shape[1]):
                    table[tile, open_] = min(table[tile, open_], table[outer, open_])
        stride *= job.divisor_counts[r]


@kernel
def _let_close(job: Job, table: Array, tile: int, costs: Array) -> None:
    """One or more holds close here."""
    for open_ in range(1, table.shape[1]):
        for i in range(job.regulars):
            if (open_ >> i) & 1:
                table[tile, open_] = min(table[tile, open_], costs[i] + table[tile, open_ & ~(1 << i)])


@kernel
def _is_prime(job: Job, r: int, factor: int) -> bool:
    """Whether a factor is one of the primes of a rank."""
    found = False
    for i in range(MOST_PRIMES):
        found = found or job.primes[r, i] == factor
    return found


@kernel
def not_closed(job: Job, state: Array) -> int:
    """Column of `outlook` for a label: its open and coming regular holds."""
    holds = 0
    for i in range(job.regulars):
        if not (state[CLOSED] >> job.regular[i]) & 1:
            holds |= 1 << i
    return holds


@kernel
def tile_number(job: Job, state: Array) -> int:
    """Row of `outlook` for a label: its tile times spatial factors."""
    row = 0
    for r in range(job.ranks):
        size = state[TILE + r] * job.below[job.fanouts, r]
        low, high = 0, job.divisor_counts[r] - 1
        while low < high:
            middle = (low + high) // 2
            if job.divisors[r, middle] < size:
                low = middle + 1
            else:
                high = middle
        row = row * job.divisor_counts[r] + low
    return row
