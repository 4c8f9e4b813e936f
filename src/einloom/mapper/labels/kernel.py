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

from typing import NamedTuple

import numpy as np

from einloom.mapper.gemm.compiled import entry, kernel
from einloom.mapper.labels.plan import (
    EXECUTED,
    IRRELEVANT,
    MOST_DIMS,
    MOST_DIVISORS,
    MOST_FANOUTS,
    MOST_FIXED,
    MOST_HOLDS,
    MOST_MEMORIES,
    MOST_PORTS,
    MOST_RANKS,
    MOST_TENSORS,
    MOST_VIEWS,
    PLAIN,
)
from einloom.model.arrays import Array

LOOP, HOLD, CROSS = 0, 1, 2
"""Kinds of node."""

FOUND, NOTHING, FULL = 0, 1, 2
"""How a job ended: with a mapping below the limits, without one (a proof), or out of room."""

WIDE, KINDS = 1 << 32, 1 << 8
"""Nodes are kept as one integer: kind, which, and bound."""


JOB = np.dtype([
    # the Einsum: relevance of each rank to each tensor, coefficients by dimension, the ranks that slide (-1: none)
    ("ranks", "i8"), ("tensors", "i8"), ("windows", "i8"),
    ("relevance", "i8", (MOST_TENSORS, MOST_RANKS)), ("dims", "i8", MOST_TENSORS),
    ("coefficients", "i8", (MOST_TENSORS, MOST_DIMS, MOST_RANKS)), ("windowed", "i8", MOST_TENSORS),
    ("window", "i8", (MOST_TENSORS, MOST_RANKS)), ("elements", "f8", MOST_TENSORS), ("touched", "f8", MOST_TENSORS),
    ("sizes", "i8", MOST_RANKS), ("primes", "i8", (MOST_RANKS, 16)),
    ("divisors", "i8", (MOST_RANKS, MOST_DIVISORS)), ("divisor_counts", "i8", MOST_RANKS),
    ("points", "f8"), ("operations_pj", "f8"), ("canonical", "i8"),
    # the machine
    ("fanouts", "i8"), ("memories", "i8"), ("ports", "i8"), ("leakage", "f8"), ("capacity", "f8", MOST_MEMORIES),
    ("port_region", "i8", MOST_PORTS),
    # the plan: holds, views of them, what the compute takes of sliding operands, what spatial factors alone decide
    ("holds", "i8"), ("views", "i8"), ("reads", "i8"), ("fixed", "i8"),
    ("hold_tensor", "i8", MOST_HOLDS), ("hold_memory", "i8", MOST_HOLDS), ("hold_region", "i8", MOST_HOLDS),
    ("hold_previous", "i8", MOST_HOLDS), ("hold_width", "f8", MOST_HOLDS), ("region_holds", "i8", MOST_FANOUTS + 1),
    ("view_hold", "i8", MOST_VIEWS), ("view_merged", "i8", MOST_VIEWS), ("view_price", "f8", MOST_VIEWS),
    ("view_port", "f8", (MOST_VIEWS, MOST_PORTS)),
    ("read_tensor", "i8", MOST_VIEWS), ("read_merged", "i8", MOST_VIEWS), ("read_price", "f8", MOST_VIEWS),
    ("read_port", "f8", (MOST_VIEWS, MOST_PORTS)), ("read_region", "i8", MOST_VIEWS),
    ("fixed_key", "i8", (MOST_FIXED, 3)), ("fixed_price", "f8", MOST_FIXED),
    ("fixed_port", "f8", (MOST_FIXED, MOST_PORTS)),
    # the spatial factors chosen (innermost fanout first) and what follows from them
    ("spread", "i8", (MOST_FANOUTS, MOST_RANKS)), ("left", "i8", MOST_RANKS), ("steps", "f8"),
    ("below", "i8", (MOST_FANOUTS + 1, MOST_RANKS)), ("port_used", "f8", MOST_PORTS), ("least", "f8", MOST_VIEWS),
    ("groups", "f8", MOST_VIEWS), ("least_read", "f8", MOST_VIEWS),
    # `outlook`: the regular holds that it covers
    ("regulars", "i8"), ("regular", "i8", MOST_HOLDS),
    # columns of labels and states, and the label entries that decide between two labels of one state
    ("first_port", "i8"), ("first_view", "i8"), ("placed", "i8"), ("promises", "i8"), ("state_width", "i8"),
    ("label_width", "i8"), ("comparisons", "i8"), ("all_comparisons", "i8"), ("compared", "i8", 1 + MOST_MEMORIES + MOST_PORTS + MOST_VIEWS),
    # room for one new label
    ("strides", "i8", 32), ("counts", "i8", 32), ("lengths", "i8", MOST_DIMS),
    ("moved", "i8", MOST_DIMS), ("odometer", "i8", 32), ("pairs", "i8", (32, 2)),
])  # fmt: skip
"""What the kernel knows of one choice of holders and spatial factors, by the names of `mapper.labels.plan`."""


class Pool(NamedTuple):
    """Room for labels: states and values, the bound on energy, the label each came from, the node that was added,
    whether it still counts, and the next label in its bucket of the hash table."""

    states: Array
    labels: Array
    bounds: Array
    parents: Array
    nodes: Array
    alive: Array
    next: Array


class Table(NamedTuple):
    """Hash table from states to the labels of one layer."""

    heads: Array
    stamps: Array


@kernel
def union(length, strides, counts, n):
    """Elements in the union of intervals of ``length`` at all sums of ``stride x (0 .. count - 1)``."""
    if length <= 0:
        return 0.0
    if n == 0:
        return float(length)
    if n == 1:
        return float(length + (counts[0] - 1) * min(strides[0], length))
    if n == 2:
        a, p, b, q = strides[0], counts[0], strides[1], counts[1]
        if a > b:
            a, p, b, q = b, q, a, p
        if b > (p - 1) * a:
            return float(length + q * (p - 1) * min(a, length) + (q - 1) * min(b - (p - 1) * a, length))
    total = 1
    for i in range(n):
        total *= counts[i]
    at = np.zeros(total, dtype=np.int64)
    have = 1
    for i in range(n):
        for k in range(counts[i] - 1, -1, -1):
            for j in range(have):
                at[k * have + j] = at[j] + k * strides[i]
        have *= counts[i]
    at.sort()
    words = float(length)
    for i in range(1, total):
        words += min(at[i] - at[i - 1], length)
    return words


# -- what the spatial factors decide ------------------------------------------------------------------------------------


@kernel
def _fixed_words(job, row):
    """Words of traffic that the spatial factors alone decide: first touches, operands of the compute."""
    tensor, bits, kind = job.fixed_key[row, 0], job.fixed_key[row, 1], job.fixed_key[row, 2]
    words = job.points if kind == EXECUTED else job.elements[tensor]
    for g in range(job.fanouts):
        if (bits >> g) & 1:
            for r in range(job.ranks):
                if job.relevance[tensor, r] == IRRELEVANT:
                    if kind == EXECUTED:
                        words /= job.spread[g, r]
                    else:
                        words *= job.spread[g, r]
    return words


@kernel
def _least_read_words(job, i):
    """At least as many words as the compute takes of a sliding operand: sums of n and m values are n + m - 1."""
    tensor = job.read_tensor[i]
    words = job.points
    for g in range(job.fanouts):
        if (job.read_merged[i] >> g) & 1:
            for r in range(job.ranks):
                words /= job.spread[g, r]
    for d in range(job.dims[tensor]):
        values = 1.0
        for r in range(job.ranks):
            if job.coefficients[tensor, d, r] > 0:
                many = 1.0
                for g in range(job.fanouts):
                    if (job.read_merged[i] >> g) & 1:
                        many *= job.spread[g, r]
                values += many - 1.0
        words *= values
    return words


@kernel
def _least_view_words(job, v):
    """At least as many words as a view moves: each instance (or group that shares) meets its elements once."""
    hold = job.view_hold[v]
    tensor, region = job.hold_tensor[hold], job.hold_region[hold]
    words = job.elements[tensor]
    if not job.windowed[tensor]:
        for g in range(region, job.fanouts):
            for r in range(job.ranks):
                if not (job.view_merged[v] >> g) & 1 and job.relevance[tensor, r] == IRRELEVANT:
                    words *= job.spread[g, r]
        return words
    words = job.groups[v]
    for d in range(job.dims[tensor]):
        values = 1.0
        for r in range(job.ranks):
            if job.coefficients[tensor, d, r] > 0:
                many = float(job.left[r])
                for g in range(job.fanouts):
                    if g < region or (job.view_merged[v] >> g) & 1:
                        many *= job.spread[g, r]
                values += many - 1.0
        words *= values
    return max(words, job.touched[tensor]) if job.groups[v] == 1.0 else words


@kernel
def _groups(job, v):
    """Groups of instances that do not share a view."""
    many = 1.0
    for g in range(job.hold_region[job.view_hold[v]], job.fanouts):
        if not (job.view_merged[v] >> g) & 1:
            for r in range(job.ranks):
                many *= job.spread[g, r]
    return many


@kernel
def _choose(job, spread, steps):
    """Set the spatial factors of a job, and what follows from them alone."""
    job.steps = steps
    for r in range(job.ranks):
        job.below[0, r] = 1
        for g in range(job.fanouts):
            job.spread[g, r] = spread[g, r]
            job.below[g + 1, r] = job.below[g, r] * spread[g, r]
        job.left[r] = job.sizes[r] // job.below[job.fanouts, r]
    for p in range(job.ports):
        job.port_used[p] = 1.0
        for g in range(job.port_region[p], job.fanouts):
            for r in range(job.ranks):
                job.port_used[p] *= spread[g, r]
    for i in range(job.reads):
        job.least_read[i] = _least_read_words(job, i)
    for v in range(job.views):
        job.groups[v] = _groups(job, v)
        job.least[v] = _least_view_words(job, v)


@kernel
def _start(job, state, label):
    """The label of the bare compute: what every nest of the job pays."""
    state[:] = 0
    state[: job.ranks] = 1
    label[:] = 0.0
    label[0] = job.operations_pj
    for row in range(job.fixed):
        _charge(job, label, _fixed_words(job, row), job.fixed_price[row], job.fixed_port[row])


@entry
def roots(jobs, table, spreads, steps, energies, cycles):
    """The bounds on energy and cycles of every choice of spatial factors."""
    job = jobs[0]
    state, label = np.zeros(job.state_width, np.int64), np.zeros(job.label_width)
    for i in range(spreads.shape[0]):
        _choose(job, spreads[i], steps[i])
        _start(job, state, label)
        energies[i], cycles[i] = np.inf, np.inf
        if _still_fits(job, state, label):
            energies[i], cycles[i] = _bound(job, table, state, label)


# -- bounds -------------------------------------------------------------------------------------------------------------


@entry
def outlook(jobs, most_instances):
    """For each tile and each set of regular holds that are not closed yet: the least energy of their traffic.

    A relaxation that looks only at the order of closing: every hold closes at some tile of one growing chain, alone in
    its memory, and its words are its tensor's times the tiles outside in the ranks that it ignores. Computed from the
    whole ranks inwards. Shape ``(tiles, 2 ** regular holds)``.
    """
    job = jobs[0]
    n, tiles = job.regulars, 1
    for r in range(job.ranks):
        tiles *= job.divisor_counts[r]
    table = np.full((tiles, 1 << n), np.inf)
    price, cost = np.zeros(n), np.zeros(n)
    for i in range(n):
        for v in range(job.views):
            if job.view_hold[v] == job.regular[i]:
                price[i] += job.view_price[v]
    at = np.zeros(job.ranks, dtype=np.int64)
    for tile in range(tiles - 1, -1, -1):
        rest = tile
        for r in range(job.ranks - 1, -1, -1):
            at[r] = rest % job.divisor_counts[r]
            rest //= job.divisor_counts[r]
        for i in range(n):
            hold = job.regular[i]
            tensor = job.hold_tensor[hold]
            words, held = job.elements[tensor], job.hold_width[hold]
            for r in range(job.ranks):
                if job.relevance[tensor, r] == IRRELEVANT:
                    words *= job.sizes[r] // job.divisors[r, at[r]]
                else:
                    held *= job.divisors[r, at[r]]
            fits = held <= job.capacity[job.hold_memory[hold]] * most_instances[job.hold_region[hold]]
            cost[i] = words * price[i] if fits else np.inf
        table[tile, 0] = 0.0
        for open_ in range(1, 1 << n):
            least = np.inf
            for i in range(n):
                if (open_ >> i) & 1:
                    least = min(least, cost[i] + table[tile, open_ & ~(1 << i)])
            table[tile, open_] = least
        stride = 1
        for r in range(job.ranks - 1, -1, -1):
            for up in range(at[r] + 1, job.divisor_counts[r]):
                ratio = job.divisors[r, up] // job.divisors[r, at[r]]
                if job.divisors[r, up] % job.divisors[r, at[r]] == 0 and _is_prime(job, r, ratio):
                    outer = tile + (up - at[r]) * stride
                    for open_ in range(1, 1 << n):
                        table[tile, open_] = min(table[tile, open_], table[outer, open_])
            stride *= job.divisor_counts[r]
        for open_ in range(1, 1 << n):
            for i in range(n):
                if (open_ >> i) & 1:
                    table[tile, open_] = min(table[tile, open_], cost[i] + table[tile, open_ & ~(1 << i)])
    return table


@kernel
def _is_prime(job, r, factor):
    for i in range(16):
        if job.primes[r, i] == factor:
            return True
    return False


@kernel
def _tile_in_table(job, state):
    """Row of `outlook`: the tile times all spatial factors."""
    row = 0
    for r in range(job.ranks):
        size = state[r] * job.below[job.fanouts, r]
        low, high = 0, job.divisor_counts[r] - 1
        while low < high:
            middle = (low + high) // 2
            if job.divisors[r, middle] < size:
                low = middle + 1
            else:
                high = middle
        row = row * job.divisor_counts[r] + low
    return row


@kernel
def _bound(job, table, state, label):
    """The least energy and cycles of any nest that goes on from a label.

    A sweep once paid is paid on every outer iteration; what is not placed yet moves its elements once; regular holds
    together at least what their order of closing costs.
    """
    placed, closed = state[job.ranks + 1], state[job.ranks + 2]
    energy, regular, rest = label[0], 0.0, 1.0
    for r in range(job.ranks):
        rest *= job.left[r] // state[r]
    for v in range(job.views):
        hold = job.view_hold[v]
        if (closed >> hold) & 1:
            continue
        words = job.least[v]
        if job.windowed[job.hold_tensor[hold]]:
            if (placed >> hold) & 1:
                words = max(words, label[job.first_view + v] * rest * job.groups[v])
            energy += words * job.view_price[v]
        else:
            regular += words * job.view_price[v]
    for i in range(job.reads):
        if state[job.ranks] < job.read_region[i]:
            energy += job.least_read[i] * job.read_price[i]
    if len(table) > 0 and job.regulars > 0:
        open_ = 0
        for i in range(job.regulars):
            if not (closed >> job.regular[i]) & 1:
                open_ |= 1 << i
        if open_:
            regular = max(regular, table[_tile_in_table(job, state), open_])
    cycles = job.steps
    for p in range(job.ports):
        busy = label[job.first_port + p] * job.port_used[p]
        for v in range(job.views):
            hold = job.view_hold[v]
            if job.view_port[v, p] > 0 and not (closed >> hold) & 1:
                words = job.least[v]
                if (placed >> hold) & 1 and job.windowed[job.hold_tensor[hold]]:
                    words = max(words, label[job.first_view + v] * rest * job.groups[v])
                busy += words * job.view_port[v, p]
        for i in range(job.reads):
            if state[job.ranks] < job.read_region[i]:
                busy += job.least_read[i] * job.read_port[i, p]
        cycles = max(cycles, busy / job.port_used[p])
    return energy + regular + job.leakage * cycles, cycles


@kernel
def _still_fits(job, state, label):
    """Whether the holds to come fit: their tiles are at least what they would be now."""
    position, placed = state[job.ranks], state[job.ranks + 1]
    for m in range(job.memories):
        if job.capacity[m] == np.inf:
            continue
        need = label[1 + m]
        for h in range(job.holds):
            if job.hold_memory[h] == m and not (placed >> h) & 1:
                at = max(position, job.hold_region[h])
                need += _tile_words(job, state, job.hold_tensor[h], at) * job.hold_width[h]
        if need > job.capacity[m]:
            return False
    return True


@kernel
def _tile_words(job, state, tensor, position):
    """Elements of a tile of a tensor held here, at one instance."""
    words = 1.0
    for d in range(job.dims[tensor]):
        length = 1
        for r in range(job.ranks):
            c = job.coefficients[tensor, d, r]
            if c > 0:
                length += c * (state[r] * job.below[position, r] - 1)
        words *= length
    return words


# -- sliding tensors ----------------------------------------------------------------------------------------------------


@kernel
def _promised(job, state, tensor, g, k):
    """Tile in time of a sliding rank where fanout ``g`` is crossed, as promised when the hold was placed."""
    return state[job.promises + (tensor * job.fanouts + g) * job.windows + k]


@kernel
def _window_place(job, tensor, r):
    for k in range(job.windows):
        if job.window[tensor, k] == r:
            return k
    return -1


@kernel
def _tile_at(job, state, hold, tensor, r):
    """Tile of a rank in an open hold of a sliding tensor, at one instance."""
    k = _window_place(job, tensor, r)
    placed = state[r] if k < 0 else state[job.placed + hold * job.windows + k]
    return placed * job.below[job.hold_region[hold], r]


@kernel
def _wrap(job, state, hold, tensor, r):
    """How far the base of an open hold stands from its start when all loops so far are at their last iteration."""
    k = _window_place(job, tensor, r)
    if k < 0:
        return 0
    region = job.hold_region[hold]
    before = state[job.placed + hold * job.windows + k]
    far = 0
    for g in range(region, state[job.ranks]):
        if job.spread[g, r] > 1:
            now = _promised(job, state, tensor, g, k)
            far += job.below[g, r] * (now - before)
            before = now
    return far + job.below[state[job.ranks], r] * (state[r] - before)


@kernel
def _offsets(job, state, tensor, d, region, merged):
    """Where the instances that share stand along one dimension (in ``job``); returns the number of strides."""
    n = 0
    for r in range(job.ranks):
        c = job.coefficients[tensor, d, r]
        if c == 0:
            continue
        for g in range(region, job.fanouts):
            if (merged >> g) & 1 and job.spread[g, r] > 1:
                k = _window_place(job, tensor, r)
                tile = state[r] if k < 0 else _promised(job, state, tensor, g, k)
                job.strides[n] = c * tile * job.below[g, r]
                job.counts[n] = job.spread[g, r]
                n += 1
    return n


@kernel
def _slide(job, state, label, hold, rank, bound):
    """Let a loop pass an open hold of a sliding tensor: update the words that each view fetched after the first tile.

    The tile moves by ``moved`` when the loop steps and all further in wrap; what is new is the box less what is kept.
    """
    tensor, region = job.hold_tensor[hold], job.hold_region[hold]
    n = job.dims[tensor]
    for d in range(n):
        length, by = 1, 0
        for r in range(job.ranks):
            c = job.coefficients[tensor, d, r]
            if c > 0:
                length += c * (_tile_at(job, state, hold, tensor, r) - 1)
                by -= c * _wrap(job, state, hold, tensor, r)
                if r == rank:
                    by += c * state[r] * job.below[state[job.ranks], r]
        job.lengths[d], job.moved[d] = length, min(abs(by), length)
    for v in range(job.views):
        if job.view_hold[v] != hold:
            continue
        whole, kept = 1.0, 1.0
        for d in range(n):
            many = _offsets(job, state, tensor, d, region, job.view_merged[v])
            tile = union(job.lengths[d], job.strides, job.counts, many)
            whole *= tile
            kept *= tile - union(job.moved[d], job.strides, job.counts, many)
        fetched = label[job.first_view + v]
        label[job.first_view + v] = bound * fetched + (bound - 1) * (whole - kept)


@kernel
def _first(job, state, v):
    """Words of the first tile in a view of an open hold of a sliding tensor."""
    hold = job.view_hold[v]
    tensor, region = job.hold_tensor[hold], job.hold_region[hold]
    words = 1.0
    for d in range(job.dims[tensor]):
        length = 1
        for r in range(job.ranks):
            c = job.coefficients[tensor, d, r]
            if c > 0:
                length += c * (_tile_at(job, state, hold, tensor, r) - 1)
        words *= union(length, job.strides, job.counts, _offsets(job, state, tensor, d, region, job.view_merged[v]))
    return words


# -- nodes --------------------------------------------------------------------------------------------------------------


@kernel
def _charge(job, label, words, price, port):
    label[0] += words * price
    for p in range(job.ports):
        label[job.first_port + p] += words * port[p] / job.port_used[p]


@kernel
def _final_words(job, state, label, v):
    """Words of a view whose hold closes at this tile: everything further out repeats it."""
    tensor = job.hold_tensor[job.view_hold[v]]
    if job.windowed[tensor]:
        words = (_first(job, state, v) + label[job.first_view + v]) * job.groups[v]
        for r in range(job.ranks):
            words *= job.left[r] // state[r]
        return words
    words = job.least[v]
    for r in range(job.ranks):
        if job.relevance[tensor, r] == IRRELEVANT:
            words *= job.left[r] // state[r]
    return words


@kernel
def _close(job, state, label, hold):
    """Charge a hold at its last tile and forget where it was placed."""
    for v in range(job.views):
        if job.view_hold[v] == hold:
            _charge(job, label, _final_words(job, state, label, v), job.view_price[v], job.view_port[v])
            label[job.first_view + v] = 0.0
    state[job.ranks + 2] |= 1 << hold
    tensor = job.hold_tensor[hold]
    if job.windowed[tensor]:
        for k in range(job.windows):
            state[job.placed + hold * job.windows + k] = 0
        for other in range(job.holds):
            open_ = (state[job.ranks + 1] & ~state[job.ranks + 2]) >> other & 1
            if job.hold_tensor[other] == tensor and open_:
                return
        _forget(job, state, tensor)


@kernel
def _forget(job, state, tensor):
    """No hold of the tensor is open any more: what was promised does not matter."""
    width = job.fanouts * job.windows
    for i in range(job.promises + tensor * width, job.promises + (tensor + 1) * width):
        state[i] = 0


@kernel
def _may_pass(job, state, rank, prime):
    """Whether a prime loop may stand outside a label: promised tiles stay within reach.

    Where no tensor slides, orders are normalized: a loop outside a hold of a tensor that it leaves in place belongs
    inside it (same words), and none stands between a fanout and the holds below it (nothing gained).
    """
    position = state[job.ranks]
    if job.canonical:
        if position < job.fanouts and job.region_holds[position] == 0:
            return False
        for h in range(job.holds):
            if (state[job.ranks + 3] >> h) & 1 and job.relevance[job.hold_tensor[h], rank] == IRRELEVANT:
                return False
    for t in range(job.tensors):
        if job.windowed[t]:
            k = _window_place(job, t, rank)
            if k >= 0:
                for g in range(position, job.fanouts):
                    promised = _promised(job, state, t, g, k)
                    if promised > 0 and promised % (state[rank] * prime) != 0:
                        return False
    return True


@kernel
def _pass(job, state, label, rank, prime):
    """Put a prime loop outside a label."""
    open_ = state[job.ranks + 1] & ~state[job.ranks + 2]
    state[job.ranks + 3] = 0
    for h in range(job.holds):
        if (open_ >> h) & 1:
            tensor = job.hold_tensor[h]
            if job.relevance[tensor, rank] == PLAIN:
                _close(job, state, label, h)
            elif job.windowed[tensor]:
                _slide(job, state, label, h, rank, prime)
    state[rank] *= prime


@kernel
def _place(job, state, label, hold):
    """Place a hold outside a label (promises are still open); False where it may not stand here."""
    placed = state[job.ranks + 1]
    if job.hold_region[hold] != state[job.ranks] or (placed >> hold) & 1:
        return False
    if job.hold_previous[hold] >= 0 and not (placed >> job.hold_previous[hold]) & 1:
        return False
    tensor, memory = job.hold_tensor[hold], job.hold_memory[hold]
    label[1 + memory] += _tile_words(job, state, tensor, state[job.ranks]) * job.hold_width[hold]
    if label[1 + memory] > job.capacity[memory]:
        return False
    state[job.ranks + 1] |= 1 << hold
    if job.canonical:
        state[job.ranks + 3] |= 1 << hold
    full = True
    for h in range(job.holds):
        if job.hold_memory[h] == memory and not (state[job.ranks + 1] >> h) & 1:
            full = False
    if full:
        label[1 + memory] = 0.0
    if job.windowed[tensor]:
        for k in range(job.windows):
            if job.window[tensor, k] >= 0:
                state[job.placed + hold * job.windows + k] = state[job.window[tensor, k]]
    return True


@kernel
def _to_promise(job, state, hold):
    """List in ``job.pairs`` the (place among the sliding ranks, fanout) of the tiles to promise for a new hold."""
    tensor, n = job.hold_tensor[hold], 0
    if not job.windowed[tensor]:
        return n
    open_ = state[job.ranks + 1] & ~state[job.ranks + 2] & ~(1 << hold)
    for other in range(job.holds):
        if (open_ >> other) & 1 and job.hold_tensor[other] == tensor:
            return n
    for k in range(job.windows):
        r = job.window[tensor, k]
        if r >= 0:
            for g in range(job.hold_region[hold], job.fanouts):
                if job.spread[g, r] > 1:
                    job.pairs[n, 0], job.pairs[n, 1] = k, g
                    n += 1
    return n


@kernel
def _promise(job, state, tensor, n):
    """Write the promises that the odometer shows; False where tiles would not nest."""
    for i in range(n):
        k, g = job.pairs[i, 0], job.pairs[i, 1]
        r = job.window[tensor, k]
        tile = job.divisors[r, job.odometer[i]]
        if job.left[r] % tile != 0 or tile % state[r] != 0:
            return False
        if i > 0 and job.pairs[i - 1, 0] == k and tile % job.divisors[r, job.odometer[i - 1]] != 0:
            return False
        state[job.promises + (tensor * job.fanouts + g) * job.windows + k] = tile
    return True


@kernel
def _turn(job, tensor, n):
    """The next reading of the odometer; False after the last."""
    for i in range(n):
        job.odometer[i] += 1
        if job.odometer[i] < job.divisor_counts[job.window[tensor, job.pairs[i, 0]]]:
            return True
        job.odometer[i] = 0
    return False


@kernel
def _may_cross(job, state):
    """Whether the next fanout may stand outside a label: the holds below it are placed, promises are kept."""
    g = state[job.ranks]
    if g >= job.fanouts or job.region_holds[g] & ~state[job.ranks + 1]:
        return False
    if job.canonical and job.region_holds[g] and state[job.ranks + 3] == 0:
        return False
    for t in range(job.tensors):
        if job.windowed[t]:
            for k in range(job.windows):
                promised = _promised(job, state, t, g, k)
                if promised > 0 and promised != state[job.window[t, k]]:
                    return False
    return True


@kernel
def _cross(job, state, label):
    """Put the next fanout outside a label."""
    g = state[job.ranks]
    state[job.ranks + 3] = 0
    for i in range(job.reads):
        if job.read_region[i] > g:
            tensor = job.read_tensor[i]
            for k in range(job.windows):
                r = job.window[tensor, k]
                if r >= 0 and job.spread[g, r] > 1:
                    state[job.promises + (tensor * job.fanouts + g) * job.windows + k] = state[r]
    for i in range(job.reads):
        if job.read_region[i] == g + 1:
            _charge(job, label, _read_words(job, state, i), job.read_price[i], job.read_port[i])
    for i in range(job.reads):
        if job.read_region[i] == g + 1:
            _forget(job, state, job.read_tensor[i])
    state[job.ranks] = g + 1


@kernel
def _read_words(job, state, i):
    """What the compute takes of a sliding operand over the fanouts between it and the holder."""
    tensor, words = job.read_tensor[i], 1.0
    for r in range(job.ranks):
        words *= job.left[r]
        for g in range(job.fanouts):
            if not (job.read_merged[i] >> g) & 1:
                words *= job.spread[g, r]
    for d in range(job.dims[tensor]):
        words *= union(1, job.strides, job.counts, _offsets(job, state, tensor, d, 0, job.read_merged[i]))
    return words


# -- the search ---------------------------------------------------------------------------------------------------------


@kernel
def _keep(job, pool, hashed, layer, count, state, label):
    """Add a label to a layer unless another of its state is as good; drop those that it beats.

    Returns the new number of labels, or -1 where the pool is full.
    """
    code = np.uint64(1469598103934665603)
    for i in range(job.state_width):
        code = (code ^ np.uint64(state[i])) * np.uint64(1099511628211)
    code ^= code >> np.uint64(29)
    slot = np.int64(code & np.uint64(len(hashed.heads) - 1))
    first = hashed.heads[slot] if hashed.stamps[slot] == layer else -1
    other = first
    while other >= 0:
        if pool.alive[other] and _same(job, pool, other, state):
            worse, better = True, True
            for i in range(job.comparisons):
                mine, theirs = label[job.compared[i]], pool.labels[other, job.compared[i]]
                worse = worse and theirs <= mine * (1 + 1e-13)
                better = better and mine <= theirs * (1 + 1e-13)
            if worse:
                return count
            if better:
                pool.alive[other] = False
        other = pool.next[other]
    if count >= len(pool.alive):
        return -1
    for i in range(job.state_width):
        pool.states[count, i] = state[i]
    for i in range(job.label_width):
        pool.labels[count, i] = label[i]
    pool.alive[count] = True
    pool.next[count] = first
    hashed.heads[slot] = count
    hashed.stamps[slot] = layer
    return count + 1


@kernel
def _same(job, pool, other, state):
    for i in range(job.state_width):
        if pool.states[other, i] != state[i]:
            return False
    return True


@kernel
def _try(job, table, pool, hashed, layer, count, state, label, parent, node, limits):
    """Keep a new label if its bounds leave room. Returns the number of labels, or -1 where the pool is full."""
    if not _still_fits(job, state, label):
        return count
    energy, cycles = _bound(job, table, state, label)
    if energy >= limits[0] or cycles >= limits[1]:
        return count
    kept = _keep(job, pool, hashed, layer, count, state, label)
    if kept > count:
        pool.bounds[count] = energy
        pool.parents[count] = parent
        pool.nodes[count] = node
    return kept


@kernel
def _copy(job, pool, parent, state, label):
    for i in range(job.state_width):
        state[i] = pool.states[parent, i]
    for i in range(job.label_width):
        label[i] = pool.labels[parent, i]


@kernel
def _expand(job, table, pool, hashed, layer, count, parent, state, label, limits):
    """Keep what follows a label by each node. Returns the number of labels, or -1 where the pool is full."""
    _copy(job, pool, parent, state, label)
    move, moves = 0, job.ranks * 16 + job.holds + 1
    while move < moves and count >= 0:
        node, n, tensor = -1, 0, 0
        if move < job.ranks * 16:
            r, prime = move // 16, job.primes[move // 16, move % 16]
            if prime == 0:
                move = (r + 1) * 16
                continue
            if job.left[r] // state[r] % prime == 0 and _may_pass(job, state, r, prime):
                _pass(job, state, label, r, prime)
                node = (LOOP * KINDS + r) * WIDE + prime
        elif move < moves - 1:
            h = move - job.ranks * 16
            if _place(job, state, label, h):
                n, tensor = _to_promise(job, state, h), job.hold_tensor[h]
                node = (HOLD * KINDS + h) * WIDE
        elif _may_cross(job, state):
            _cross(job, state, label)
            node = CROSS * KINDS * WIDE
        move += 1
        if node >= 0:
            for i in range(n):
                job.odometer[i] = 0
            while count >= 0:
                if _promise(job, state, tensor, n):
                    count = _try(job, table, pool, hashed, layer, count, state, label, parent, node, limits)
                if not _turn(job, tensor, n):
                    break
        _copy(job, pool, parent, state, label)
    return count


@entry
def search(jobs, table, spread, steps, pool, hashed, first_layer, limits, beam, costs):
    """The best nest of a job below the limits, by energy and then cycles.

    Args:
        jobs: One `JOB` record.
        table: `outlook`, or no rows.
        spread, steps: The spatial factors and the busy cycles of the compute that they leave.
        first_layer: A number above all layers of earlier searches that used ``hashed``.
        limits: Energy and cycles must be below these.
        beam: Labels of a layer that are followed, the most promising ones; 0: all (only then is the answer a proof).
        costs: Filled with the energy and cycles found.

    Returns:
        ``(how it ended, label of the last node, labels made, layers)``.
    """
    job = jobs[0]
    _choose(job, spread, steps)
    state, label = np.zeros(job.state_width, np.int64), np.zeros(job.label_width)
    _start(job, pool.states[0], pool.labels[0])
    pool.alive[0] = True
    pool.parents[0] = -1
    layers = job.fanouts + job.holds
    for r in range(job.ranks):
        rest = job.left[r]
        for i in range(16):
            while job.primes[r, i] > 1 and rest % job.primes[r, i] == 0:
                rest //= job.primes[r, i]
                layers += 1
    low, high = 0, 1
    for layer in range(layers):
        count = high
        for parent in range(low, high):
            if pool.alive[parent]:
                count = _expand(job, table, pool, hashed, first_layer + layer, count, parent, state, label, limits)
                if count < 0:
                    return FULL, -1, len(pool.alive), layers
        low, high = high, count
        if beam > 0:
            _narrow(job, pool, low, high, beam)
        if low == high:
            return NOTHING, -1, high, layers
    ended, last = _best(job, pool, low, high, state, label, limits, costs)
    return ended, last, high, layers


@kernel
def _narrow(job, pool, low, high, beam):
    """Give up all but the most promising labels of a layer, of each set of holds placed."""
    done = np.zeros(high - low, np.bool_)
    for first in range(low, high):
        if done[first - low] or not pool.alive[first]:
            continue
        placed = pool.states[first, job.ranks + 1]
        bounds, n = np.empty(high - first), 0
        for i in range(first, high):
            if pool.alive[i] and pool.states[i, job.ranks + 1] == placed:
                bounds[n] = pool.bounds[i]
                done[i - low] = True
                n += 1
        if n > beam:
            worst = np.sort(bounds[:n])[beam - 1]
            for i in range(first, high):
                if pool.states[i, job.ranks + 1] == placed and pool.bounds[i] > worst:
                    pool.alive[i] = False


@kernel
def _best(job, pool, low, high, state, label, limits, costs):
    """Close what is open in the complete labels and take the best."""
    last = -1
    for complete in range(low, high):
        if not pool.alive[complete]:
            continue
        _copy(job, pool, complete, state, label)
        for h in range(job.holds):
            if not (state[job.ranks + 2] >> h) & 1:
                _close(job, state, label, h)
        cycles = job.steps
        for p in range(job.ports):
            cycles = max(cycles, label[job.first_port + p])
        energy = label[0] + job.leakage * cycles
        if energy >= limits[0] or cycles >= limits[1]:
            continue
        near = energy <= costs[0] * (1 + 1e-12)
        if last < 0 or energy < costs[0] * (1 - 1e-12) or (near and cycles < costs[1]):
            last = complete
            costs[0], costs[1] = energy, cycles
    return FOUND if last >= 0 else NOTHING, last
