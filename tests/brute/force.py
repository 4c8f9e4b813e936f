"""The brute force, compiled: every sequence of loops is executed, every placement of holds priced.

What a hold node moves depends on the loops around it, on its memory and on the memory that fills it, not on the
other tensors. So a sequence of loops is executed once for every (tensor, place of a hold), and the placements of all
tensors are priced from that, one after the other. Bounds are primes: a loop of bound 6 executes exactly as one of
bound 2 around one of 3 (``composite`` tries all bounds and must say the same).

Two short cuts, switched off by ``plain``: of two placements of one tensor that hold as much everywhere, one that
is not better in anything is dropped; placements that cannot improve the front are not added up.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numba import njit

from brute.case import Answer, Case, Node, Point, Spread

DIMS = 4
NONE = 1 << 60


class Numbers(NamedTuple):
    """A case as arrays. R ranks, T tensors, M memories, F fanouts, V vectors of spatial factors."""

    sizes: np.ndarray  # (R,)
    coefficient: np.ndarray  # (T, DIMS, R)
    extent: np.ndarray  # (T, DIMS)
    bits: np.ndarray  # (T,)
    region: np.ndarray  # (M,) fanouts above
    read: np.ndarray  # (M,)
    write: np.ndarray  # (M,)
    capacity: np.ndarray  # (M,) bits
    slowness: np.ndarray  # (M,) time units per bit; 0 where the bandwidth is free
    scale: int  # time units per cycle
    must: np.ndarray  # (M, T)
    may: np.ndarray  # (M, T)
    multicast: np.ndarray  # (F, T)
    reduce: np.ndarray  # (F, T)
    vectors: np.ndarray  # (F, V, R)
    count: np.ndarray  # (F,) vectors of each
    bounds: np.ndarray
    constant: int  # energy of the operations
    perfect: bool
    watched: int  # memory whose occupancy counts; -1
    plain: bool


class Nest(NamedTuple):
    """One sequence, outermost first, and who stands where."""

    rank: np.ndarray  # (L,)
    bound: np.ndarray  # (L,)
    stride: np.ndarray  # (L,)
    first: np.ndarray  # (F + 2,) first loop of each region
    tile: np.ndarray  # (F + 1, L + 1, R) product of the bounds further in, by region and gap
    site: np.ndarray  # (F + 1, L + 1) number of the site, -1
    used: np.ndarray  # (F + 1,) places of each region
    offset: np.ndarray  # (F + 1, P, R)
    digit: np.ndarray  # (F + 1, P, F)
    around: np.ndarray  # (F,) instances of each fanout


class Front(NamedTuple):
    """What is not beaten so far, and how to build it again."""

    size: np.ndarray  # (1,)
    value: np.ndarray  # (K, 3) time units, energy, bits in the watched memory
    depth: np.ndarray  # (K,)
    kind: np.ndarray  # (K, N)
    bound: np.ndarray  # (K, N)
    choice: np.ndarray  # (K, T, M)


class Walks(NamedTuple):
    """What moves: by tensor, site, (region of the parent) and instance."""

    fills: np.ndarray  # (T, S, P)
    drains: np.ndarray  # (T, S, P)
    moved: np.ndarray  # (T, S, F + 1, P) read by children, or updated
    first: np.ndarray  # (T, S, F + 1, P)
    volume: np.ndarray  # (T, S)


@njit(cache=True)
def _clear(array, value):
    flat = array.ravel()
    for i in range(len(flat)):
        flat[i] = value


@njit(cache=True)
def _copy(target, source):
    """Both contiguous and of one shape: cheaper to compile than a slice."""
    a, b = target.ravel(), source.ravel()
    for i in range(len(a)):
        a[i] = b[i]


@njit(cache=True)
def _same(a, b):
    for i in range(len(a)):  # noqa: SIM110 - compiles faster than a generator
        if a[i] != b[i]:
            return False
    return True


@njit(cache=True)
def _none_above(a, b):
    for i in range(len(a)):  # noqa: SIM110 - compiles faster than a generator
        if a[i] > b[i]:
            return False
    return True


@njit(cache=True)
def _count_up(x, nest, gap, index, start):
    """The next step of the loops above a gap, the innermost fastest, past no rank; False after the last."""
    for at in range(gap - 1, -1, -1):
        r = nest.rank[at]
        start[r] += nest.stride[at]
        index[at] += 1
        if index[at] < nest.bound[at] and start[r] < x.sizes[r]:
            return True
        start[r] -= index[at] * nest.stride[at]
        index[at] = 0
    return False


@njit(cache=True)
def _tile(x, nest, t, g, gap, place, start, low, high):
    """The box of an instance that works in this step, and its size; an empty box and 0 where it idles."""
    size = 1
    for d in range(DIMS):
        low[d] = 0
        high[d] = 0
    for r in range(len(x.sizes)):
        begin = start[r] + nest.offset[g, place, r]
        end = min(begin + nest.tile[g, gap, r], x.sizes[r]) - 1
        if end < begin:
            size = 0
        for d in range(DIMS):
            c = x.coefficient[t, d, r]
            if c:
                low[d] += c * begin
                high[d] += c * end
    for d in range(DIMS):
        if size == 0:
            low[d] = 0
            high[d] = -1
        size *= high[d] - low[d] + 1
    return size


@njit(cache=True)
def _walk(x, nest, site, compute, t, g, gap, walks, scratch, stamps):
    """Execute the loops around one site for one tensor, step by step (rules 1 to 6).

    A memory keeps its tiles: an input arrives where it was not before, an output leaves where it is no more. A
    compute keeps nothing. After the last step everything leaves.
    """
    old_low, old_high, low, high, had, met, touched, index, start, nothing = scratch
    _clear(walks.fills[t, site], 0)
    _clear(walks.drains[t, site], 0)
    _clear(walks.moved[t, site], 0)
    _clear(walks.first[t, site], 0)
    _clear(old_low, 0)
    _clear(old_high, -1)
    _clear(index, 0)
    _clear(start, 0)
    stamps[0] += 1  # one for every walk
    volume, going, working = 0, True, True
    while going:
        stamps[1] += 1  # one for every step
        for place in range(nest.used[g]):
            a_low, a_high, b_low, b_high = low[place], high[place], old_low[place], old_high[place]
            if working:
                volume = max(volume, _tile(x, nest, t, g, gap, place, start, a_low, a_high))
            else:
                _clear(a_low, 0)
                _clear(a_high, -1)
            if site == compute:
                _move(x, nest, walks, site, t, g, place, t == 0, a_low, a_high, nothing, nothing, had, met, touched,
                      stamps)  # fmt: skip
                continue
            if _same(a_low, b_low) and _same(a_high, b_high):
                continue
            _move(x, nest, walks, site, t, g, place, False, a_low, a_high, b_low, b_high, had, met, touched, stamps)
            if t == 0:
                _move(x, nest, walks, site, t, g, place, True, b_low, b_high, a_low, a_high, had, met, touched, stamps)
            _copy(b_low, a_low)
            _copy(b_high, a_high)
        going = working and site != compute
        if working:
            working = _count_up(x, nest, gap, index, start)
            going = going or working
    walks.volume[t, site] = volume


@njit(cache=True)
def _move(x, nest, walks, site, t, g, place, leaving, low, high, kept_low, kept_high, had, met, touched, stamps):
    """What is in one box and not in the other arrives at an instance, or leaves it.

    Of an output only what the instance had before comes back.
    """
    e1, e2, e3 = x.extent[t, 1], x.extent[t, 2], x.extent[t, 3]
    elements = x.extent[t, 0] * e1 * e2 * e3
    for i0 in range(low[0], high[0] + 1):
        in0 = kept_low[0] <= i0 <= kept_high[0]
        for i1 in range(low[1], high[1] + 1):
            in1 = in0 and kept_low[1] <= i1 <= kept_high[1]
            for i2 in range(low[2], high[2] + 1):
                in2 = in1 and kept_low[2] <= i2 <= kept_high[2]
                for i3 in range(low[3], high[3] + 1):
                    if in2 and kept_low[3] <= i3 <= kept_high[3]:
                        continue
                    e = ((i0 * e1 + i1) * e2 + i2) * e3 + i3
                    if leaving:
                        walks.drains[t, site, place] += 1
                    elif t > 0 or had[place * elements + e] == stamps[0]:
                        walks.fills[t, site, place] += 1
                    if t == 0 and not leaving:
                        had[place * elements + e] = stamps[0]
                    else:
                        _cross(x, nest, t, g, place, e, elements, stamps, walks.moved[t, site], walks.first[t, site],
                               met, touched)  # fmt: skip


@njit(cache=True)
def _cross(x, nest, t, g, place, e, elements, stamps, moved, first, met, touched):
    """One element over the fanouts between a site and its parent, for every region that the parent may stand in."""
    outer = 0
    for parent in range(g + 1):
        if parent > 0:
            outer = outer * nest.around[parent - 1] + nest.digit[g, place, parent - 1]
        lane = outer
        for f in range(parent, g):
            shares = x.multicast[f, t] if t > 0 else x.reduce[f, t]
            if not shares:
                lane = lane * nest.around[f] + nest.digit[g, place, f]
        if met[parent, lane * elements + e] != stamps[1]:
            met[parent, lane * elements + e] = stamps[1]
            moved[parent, outer] += 1
            if t == 0 and touched[parent, outer * elements + e] != stamps[0]:
                touched[parent, outer * elements + e] = stamps[0]
                first[parent, outer] += 1


@njit(cache=True)
def _steps(x, nest):
    """Clipped steps of the compute."""
    start, index = np.zeros(len(x.sizes), np.int64), np.zeros(nest.first[-1], np.int64)
    steps = 1
    while _count_up(x, nest, nest.first[-1], index, start):
        steps += 1
    return steps


@njit(cache=True)
def _lay_out(x, kind, bound, stride, depth, nest):
    """The sequence found inside out, ``kind`` a rank or -1 - vector of a fanout, as a nest from outside in."""
    fanouts = len(nest.around)
    loops, region = 0, 0
    nest.first[0] = 0
    nest.used[0] = 1
    _clear(nest.offset[0, 0], 0)
    tile = np.ones((depth + 1, len(x.sizes)), np.int64)  # by number of nodes further in
    for i in range(depth):
        _copy(tile[i + 1], tile[i])
        if kind[i] >= 0:
            tile[i + 1, kind[i]] *= bound[i]
        else:
            f = _fanout_at(kind, i, fanouts)
            for r in range(tile.shape[1]):
                tile[i + 1, r] *= x.vectors[f, -1 - kind[i], r]
    sites = 0
    _clear(nest.site, -1)
    for i in range(depth, -1, -1):
        _copy(nest.tile[region, loops], tile[i])
        nest.site[region, loops] = sites
        sites += 1
        if i == 0:
            break
        if kind[i - 1] >= 0:
            nest.rank[loops], nest.bound[loops], nest.stride[loops] = kind[i - 1], bound[i - 1], stride[i - 1]
            loops += 1
            continue
        vector = x.vectors[region, -1 - kind[i - 1]]
        nest.around[region] = 1
        for factor in vector:
            nest.around[region] *= factor
        used = 0
        for place in range(nest.used[region]):
            for number in range(nest.around[region]):
                rest, works = number, True
                for r in range(len(vector)):
                    at = nest.offset[region, place, r] + rest % vector[r] * tile[i - 1, r]
                    rest //= vector[r]
                    works = works and at < x.sizes[r]
                    nest.offset[region + 1, used, r] = at
                if works:
                    _copy(nest.digit[region + 1, used], nest.digit[region, place])
                    nest.digit[region + 1, used, region] = number
                    used += 1
        region += 1
        nest.used[region] = used
        nest.first[region] = loops
    nest.first[region + 1] = loops
    return sites + 1  # the compute comes last


@njit(cache=True)
def _fanout_at(kind, position, fanouts):
    """Which fanout stands at a position of the sequence that counts inside out."""
    f = fanouts - 1
    for i in range(position):
        if kind[i] < 0:
            f -= 1
    return f


@njit(cache=True)
def _instance(nest, g, place):
    """The number of a place, digits of the fanouts above it."""
    number = 0
    for f in range(g):
        number = number * nest.around[f] + nest.digit[g, place, f]
    return number


@njit(cache=True)
def _options(x, nest, walks, t, sites, resource, energy, held, load, choice):
    """Every chain of holders of one tensor: energy, bits by memory, time by resource, and the places."""
    memories = len(x.region)
    places = np.zeros(memories, np.int64)  # 1 + loops above the hold; 0: bypassed
    found = 0
    while True:
        if _in_order(x, nest, t, places):
            _clear(held[found], 0)
            _clear(load[found], 0)
            energy[found] = 0
            parent = np.int64(0)  # no literal: it would compile everything a second time
            held[found, 0] = x.bits[t] * walks.volume[t, 0]
            for m in range(1, memories + 1):
                if m == memories:
                    child = sites - 1
                elif places[m]:
                    child = nest.site[x.region[m], _gap(nest, x.region[m], places[m])]
                    held[found, m] = x.bits[t] * walks.volume[t, child]
                else:
                    continue
                energy[found] += _edge(x, nest, walks, t, parent, m, child, resource, load[found])
                parent = m
            if _none_above(held[found], x.capacity):
                _copy(choice[found], places)
                found += 1
        m = memories - 1
        while m > 0:
            places[m] += 1
            if places[m] <= nest.first[x.region[m] + 1] - nest.first[x.region[m]] + 1:
                break
            places[m] = 0
            m -= 1
        if m <= 0:
            return found


@njit(cache=True)
def _in_order(x, nest, t, places):
    """Whether the memories may hold the tensor, those that must do, and outer ones stand outside inner ones."""
    outer = 0
    for m in range(1, len(places)):
        if not (x.may[m, t] if places[m] else not x.must[m, t]):
            return False
        if places[m]:
            gap = _gap(nest, x.region[m], places[m])
            if gap < outer:
                return False
            outer = gap
    return True


@njit(cache=True)
def _gap(nest, region, place):
    return nest.first[region] + place - 1


@njit(cache=True)
def _edge(x, nest, walks, t, parent, memory, child, resource, load):
    """Energy of what moves between a holder and the next; the time it takes at both is added to ``load``."""
    total = 0
    if memory < len(x.region):
        for place in range(nest.used[x.region[memory]]):
            writes, reads = walks.fills[t, child, place], walks.drains[t, child, place]
            total += reads * x.read[memory] + writes * x.write[memory]
            if x.slowness[memory]:
                number = _instance(nest, x.region[memory], place)
                load[resource[memory] + number] += (reads + writes) * x.bits[t] * x.slowness[memory]
    g = x.region[parent]
    for place in range(nest.used[g]):
        number = _instance(nest, g, place)
        moved = walks.moved[t, child, g, number]
        reads, writes = (moved, 0) if t > 0 else (moved - walks.first[t, child, g, number], moved)
        total += reads * x.read[parent] + writes * x.write[parent]
        if x.slowness[parent]:
            load[resource[parent] + number] += (reads + writes) * x.bits[t] * x.slowness[parent]
    return total


@njit(cache=True)
def _useful(count, energy, held, load, choice):
    """Drop what another option beats or equals in everything; the number that stay."""
    kept = 0
    for i in range(count):
        dropped = False
        for j in range(count):
            if i == j or energy[j] > energy[i]:
                continue
            better, worse = energy[j] < energy[i], False
            for m in range(1, held.shape[1]):
                better |= held[j, m] < held[i, m]
                worse |= held[j, m] > held[i, m]
            for r in range(load.shape[1]):
                better |= load[j, r] < load[i, r]
                worse |= load[j, r] > load[i, r]
            if not worse and (better or j < i):
                dropped = True
                break
        choice[i, 0] = 0 if dropped else 1
        kept += not dropped
    at = 0
    for i in range(count):
        if choice[i, 0]:
            energy[at] = energy[i]
            _copy(held[at], held[i])
            _copy(load[at], load[i])
            _copy(choice[at], choice[i])
            at += 1
    return kept


@njit(cache=True)
def _beaten(front, time, energy, bits):
    for i in range(front.size[0]):
        if front.value[i, 0] <= time and front.value[i, 1] <= energy and front.value[i, 2] <= bits:
            return True
    return False


@njit(cache=True)
def _enter(front, time, energy, bits, depth, kind, bound, choice, chosen):
    """Put a nest on the front and take off what it beats."""
    kept = 0
    for i in range(front.size[0]):
        if not (time <= front.value[i, 0] and energy <= front.value[i, 1] and bits <= front.value[i, 2]):
            if kept < i:
                _copy(front.value[kept], front.value[i])
                _copy(front.kind[kept], front.kind[i])
                _copy(front.bound[kept], front.bound[i])
                _copy(front.choice[kept], front.choice[i])
                front.depth[kept] = front.depth[i]
            kept += 1
    front.value[kept, 0], front.value[kept, 1], front.value[kept, 2] = time, energy, bits
    front.depth[kept] = depth
    _copy(front.kind[kept], kind)
    _copy(front.bound[kept], bound)
    for t in range(len(chosen)):
        _copy(front.choice[kept, t], choice[t, chosen[t]])
    front.size[0] = kept + 1


@njit(cache=True)
def _combine(x, steps, count, energy, held, load, choice, front, depth, kind, bound):
    """Add up the options of all tensors, every combination that fits, and keep the front."""
    tensors, resources, memories = len(count), load.shape[2], held.shape[2]
    least = np.zeros(tensors + 1, np.int64)
    quickest = np.zeros((tensors + 1, resources), np.int64)
    for t in range(tensors - 1, -1, -1):
        least[t] = NONE
        _clear(quickest[t], NONE)
        for i in range(count[t]):
            least[t] = min(least[t], least[t + 1] + energy[t, i])
            for r in range(resources):
                quickest[t, r] = min(quickest[t, r], quickest[t + 1, r] + load[t, i, r])
    chosen = np.full(tensors, -1, np.int64)
    spent = np.full(tensors + 1, x.constant, np.int64)
    bits = np.zeros((tensors + 1, memories), np.int64)
    busy = np.zeros((tensors + 1, resources), np.int64)
    t = 0
    while t >= 0:
        chosen[t] += 1
        if chosen[t] == count[t]:
            chosen[t] = -1
            t -= 1
            continue
        i, fits = chosen[t], True
        spent[t + 1] = spent[t] + energy[t, i]
        for m in range(memories):
            bits[t + 1, m] = bits[t, m] + held[t, i, m]
            fits = fits and bits[t + 1, m] <= x.capacity[m]
        time = steps * x.scale
        for r in range(resources):
            busy[t + 1, r] = busy[t, r] + load[t, i, r]
            time = max(time, busy[t + 1, r] + quickest[t + 1, r])
        if not fits:
            continue
        last = t == tensors - 1
        watched = bits[t + 1, x.watched] if x.watched >= 0 else 0
        if (last or not x.plain) and _beaten(front, time, spent[t + 1] + least[t + 1], watched):
            continue
        if last:
            _enter(front, time, spent[t + 1], watched, depth, kind, bound, choice, chosen)
        else:
            t += 1


@njit(cache=True)
def _divides(x, f, vector, reached):
    for r in range(len(reached)):  # noqa: SIM110 - compiles faster than a generator
        if x.sizes[r] % (reached[r] * x.vectors[f, vector, r]) != 0:
            return False
    return True


@njit(cache=True)
def _new_split(x, f, vector, reached):
    """Whether no vector before this one has the same factors that do work."""
    for other in range(vector):
        same = True
        for r in range(len(reached)):
            room = -(-x.sizes[r] // reached[r])
            if min(x.vectors[f, other, r], room) != min(x.vectors[f, vector, r], room):
                same = False
        if same:
            return False
    return True


@njit(cache=True)
def _allowed(x, action, region, reached):
    """Whether a loop (actions rank by rank, bound by bound) or a spatial vector may come next, further out."""
    bounds, ranks = len(x.bounds), len(x.sizes)
    if action < ranks * bounds:
        r, b = action // bounds, x.bounds[action % bounds]
        if x.perfect:
            return x.sizes[r] % (reached[r] * b) == 0
        return reached[r] < x.sizes[r] and (b - 1) * reached[r] < x.sizes[r]
    vector = action - ranks * bounds
    if x.perfect:
        return _divides(x, region - 1, vector, reached)
    return _new_split(x, region - 1, vector, reached)


@njit(cache=True)
def _covered(x, reached):
    return _none_above(x.sizes, reached)


@njit(cache=True)
def _run(x, nest, walks, scratch, front, longest, most):
    """All sequences, from the compute outwards; the sequences and nests executed, and whether that was all."""
    fanouts, ranks, bounds, tensors = len(nest.around), len(x.sizes), len(x.bounds), len(x.bits)
    memories = len(x.region)
    kind = np.zeros(longest + 1, np.int64)
    bound, stride = kind.copy(), kind.copy()
    action = np.full(longest + 1, -1, np.int64)
    reached = np.ones((longest + 2, ranks), np.int64)
    region = np.full(longest + 2, fanouts, np.int64)
    resource, resources = np.zeros(memories, np.int64), 0
    for m in range(memories):
        resource[m] = resources
        if x.slowness[m]:
            resources += len(walks.fills[0, 0]) if x.region[m] else 1
    options = 1
    for _ in range(1, memories):
        options *= longest + 2
    count = np.zeros(tensors, np.int64)
    energy = np.zeros((tensors, options), np.int64)
    held = np.zeros((tensors, options, memories), np.int64)
    load = np.zeros((tensors, options, resources), np.int64)
    choice = np.zeros((tensors, options, memories), np.int64)
    stamps = np.zeros(2, np.int64)
    sequences, nests, depth = 0, 0, np.int64(0)
    while depth >= 0:
        if action[depth] < 0 and region[depth] == 0 and _covered(x, reached[depth]):
            if sequences == most:
                return sequences, nests, False
            sequences += 1
            nests += _price(x, nest, walks, scratch, stamps, kind, bound, stride, depth, resource,
                            count, energy, held, load, choice, front)  # fmt: skip
            depth -= 1
            continue
        action[depth] += 1
        if action[depth] >= ranks * bounds + (x.count[region[depth] - 1] if region[depth] else 0):
            action[depth] = -1
            depth -= 1
            continue
        if not _allowed(x, action[depth], region[depth], reached[depth]):
            continue
        _copy(reached[depth + 1], reached[depth])
        region[depth + 1] = region[depth]
        if action[depth] < ranks * bounds:
            r = action[depth] // bounds
            kind[depth], bound[depth] = r, x.bounds[action[depth] % bounds]
            stride[depth] = reached[depth, r]
            reached[depth + 1, r] *= bound[depth]
        else:
            vector = action[depth] - ranks * bounds
            kind[depth], bound[depth] = -1 - vector, 0
            for r in range(ranks):
                reached[depth + 1, r] *= x.vectors[region[depth] - 1, vector, r]
            region[depth + 1] -= 1
        depth += 1
    return sequences, nests, True


@njit(cache=True)
def _price(x, nest, walks, scratch, stamps, kind, bound, stride, depth, resource,
           count, energy, held, load, choice, front):  # fmt: skip
    """Execute one sequence and price every placement of holds on it; how many there are."""
    sites = _lay_out(x, kind, bound, stride, depth, nest)
    regions, nests = len(nest.around) + 1, 1
    for t in range(len(count)):
        for g in range(regions):
            for gap in range(nest.first[g], nest.first[g + 1] + 1):
                _walk(x, nest, nest.site[g, gap], sites - 1, t, g, gap, walks, scratch, stamps)
        _walk(x, nest, sites - 1, sites - 1, t, regions - 1, nest.first[regions], walks, scratch, stamps)
        count[t] = _options(x, nest, walks, t, sites, resource, energy[t], held[t], load[t], choice[t])
        nests *= count[t]
        if not x.plain:
            count[t] = _useful(count[t], energy[t], held[t], load[t], choice[t])
    if nests:
        steps = _steps(x, nest)
        _combine(x, steps, count, energy, held, load, choice, front, depth, kind, bound)
    return nests


def _numbers(case: Case, watched: str | None, composite: bool, plain: bool) -> Numbers:
    ranks = list(case.sizes)
    sizes = np.array([case.sizes[r] for r in ranks], dtype=np.int64)
    coefficient = np.zeros((len(case.tensors), DIMS, len(ranks)), dtype=np.int64)
    for t, tensor in enumerate(case.tensors):
        assert len(tensor.dims) <= DIMS
        for d, dim in enumerate(tensor.dims):
            for rank, c in dim:
                assert c > 0
                coefficient[t, d, ranks.index(rank)] += c
    names = [tensor.name for tensor in case.tensors]
    stores, spreads = case.stores, case.spreads
    rates = [store.bandwidth for store in stores if store.bandwidth is not None]
    scale = math.lcm(*rates)
    splits = [list(spread.splits(case.sizes)) for spread in spreads]
    vectors = np.ones((len(spreads), max(map(len, splits), default=0), len(ranks)), dtype=np.int64)
    for f, found in enumerate(splits):
        vectors[f, : len(found)] = found
    largest = max(case.sizes.values())
    every = range(2, largest + 1)
    bounds = [b for b in every if composite or all(b % p for p in range(2, b))]
    shared = (len(spreads), len(names))
    return Numbers(
        sizes, coefficient, 1 + (coefficient * (sizes - 1)).sum(axis=2), np.array([t.bits for t in case.tensors]),
        np.array(case.regions), np.array([s.read for s in stores]), np.array([s.write for s in stores]),
        np.array([NONE if s is stores[0] or s.capacity is None else s.capacity for s in stores]),
        np.array([0 if s.bandwidth is None else scale // s.bandwidth for s in stores]), scale,
        np.array([[name in s.must for name in names] for s in stores]),
        np.array([[s.allows(name) for name in names] for s in stores]),
        np.array([[s.multicast for _ in names] for s in spreads], dtype=bool).reshape(shared),
        np.array([[s.reduce for _ in names] for s in spreads], dtype=bool).reshape(shared),
        vectors, np.array([len(found) for found in splits], dtype=np.int64), np.array(bounds, dtype=np.int64),
        case.mac * case.points, case.perfect, -1 if watched is None else [s.name for s in stores].index(watched), plain,
    )  # fmt: skip


def solve(
    case: Case, *, watched: str | None = None, most: int = -1, composite: bool = False, plain: bool = False
) -> Answer:
    """The front of all nests of a case.

    Args:
        watched: A memory whose occupancy is the third objective.
        most: Sequences to execute at most; -1: all.
        composite: Try bounds that are no primes, too.
        plain: Without the short cuts.
    """
    x = _numbers(case, watched, composite, plain)
    fanouts, ranks, tensors, memories = len(case.spreads), len(x.sizes), len(x.bits), len(x.region)
    loops = sum(int(size - 1).bit_length() for size in x.sizes)
    longest = loops + fanouts
    places = math.prod(max(map(math.prod, spread.splits(case.sizes)), default=1) for spread in case.spreads)
    sites, elements = longest + 2, int(x.extent.prod(axis=1).max())

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype=np.int64)

    nest = Nest(
        zeros(loops + 1), zeros(loops + 1), zeros(loops + 1), zeros(fanouts + 2), zeros(fanouts + 1, loops + 1, ranks),
        zeros(fanouts + 1, loops + 1), zeros(fanouts + 1), zeros(fanouts + 1, places, ranks),
        zeros(fanouts + 1, places, fanouts), zeros(fanouts),
    )  # fmt: skip
    walks = Walks(
        zeros(tensors, sites, places), zeros(tensors, sites, places), zeros(tensors, sites, fanouts + 1, places),
        zeros(tensors, sites, fanouts + 1, places), zeros(tensors, sites),
    )  # fmt: skip
    corners = (zeros(places, DIMS) for _ in range(4))
    marks = (zeros(places * elements), zeros(fanouts + 1, places * elements), zeros(fanouts + 1, places * elements))
    front = Front(
        zeros(1), zeros(4096, 3), zeros(4096), zeros(4096, longest + 1), zeros(4096, longest + 1),
        zeros(4096, tensors, memories),
    )  # fmt: skip
    scratch = (*corners, *marks, zeros(loops + 1), zeros(ranks), np.full(DIMS, -1, dtype=np.int64))
    sequences, nests, complete = _run(x, nest, walks, scratch, front, longest, most)
    points = [_point(case, x, front, i) for i in range(front.size[0])]
    points.sort(key=lambda p: (p.cycles, p.energy, p.occupancy))
    return Answer(tuple(points), int(sequences), int(nests), bool(complete))


def _point(case: Case, x: Numbers, front: Front, at: int) -> Point:
    time, energy, bits = map(int, front.value[at])
    return Point(Fraction(time, x.scale), energy, bits, tuple(_nodes(case, x, front, at)))


def _nodes(case: Case, x: Numbers, front: Front, at: int) -> list[Node]:
    """The nest of a point of the front, outermost node first."""
    ranks, nodes = list(case.sizes), [("hold", case.stores[0].name, t.name) for t in case.tensors]
    region, place = 0, 1
    nodes += _held(case, front, at, region, place)
    for i in range(int(front.depth[at]) - 1, -1, -1):
        kind = int(front.kind[at, i])
        if kind >= 0:
            nodes.append(("for", ranks[kind], int(front.bound[at, i])))
            place += 1
        else:
            nodes += _spatial(case.spreads[region], case, tuple(map(int, x.vectors[region, -1 - kind])))
            region, place = region + 1, 1
        nodes += _held(case, front, at, region, place)
    return nodes


def _spatial(spread: Spread, case: Case, vector: tuple[int, ...]) -> list[Node]:
    return [
        ("spatial", spread.name, "XYZ"[axis], rank, factor)
        for axis, factors in enumerate(spread.splits(case.sizes)[vector])
        for rank, factor in zip(case.sizes, factors, strict=True)
        if factor > 1
    ]


def _held(case: Case, front: Front, at: int, region: int, place: int) -> list[Node]:
    return [
        ("hold", store.name, tensor.name)
        for m, store in enumerate(case.stores)
        for t, tensor in enumerate(case.tensors)
        if m and case.regions[m] == region and front.choice[at, t, m] == place
    ]
