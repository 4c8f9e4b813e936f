"""Counts of sliding tensors: how far a tile moves, what is new in it, and what instances that stand near share.

Source: the closed form of perfect nests with windows. Walk the loops outside a hold from the innermost outwards. Per
dimension the tile is an interval of length ``f``; when a loop steps and all loops inside it wrap, the interval moves by
``D``, and ``a = min(|D|, f)`` of it is new. The tile is a box, so what is new of it is the box less what stays,
``prod f - prod (f - a)``. Words fetched after the first tile obey ``R <- bound R + (bound - 1) new``. Instances that
share a view stand at a grid of offsets; there ``f`` and ``a`` become the sizes of unions of intervals.
"""

from __future__ import annotations

from einloom.mapper.compiled import kernel
from einloom.mapper.labels.record import POSITION, TILE, Job
from einloom.model.arrays import Array


@kernel
def union(job: Job, length: float) -> float:
    """Elements in the union of intervals at all sums of the progressions ``stride x (0 .. count - 1)`` of the job.

    A progression that begins within the reach of one whose stride divides its own makes that one longer. What remains
    mostly begins beyond the reach of all smaller ones: then the sums stand in lexical order, and each gap between
    neighbours adds as much as fits in it.
    """
    if length <= 0.0:
        return 0.0
    _merge(job)
    words, reach, rest = length, 0.0, 1.0
    for i in range(job.progressions):
        rest *= job.counts[i]
    for i in range(job.progressions):
        gap = job.strides[i] - reach
        if gap <= 0.0:
            return _union_of_all(job, length)
        rest /= job.counts[i]
        words += (job.counts[i] - 1.0) * rest * min(gap, length)
        reach += job.strides[i] * (job.counts[i] - 1.0)
    return words


@kernel
def _merge(job: Job) -> None:
    """Sort progressions by stride, and make one of two where that is what they are."""
    for i in range(1, job.progressions):
        stride, count, j = job.strides[i], job.counts[i], i
        while j > 0 and job.strides[j - 1] > stride:
            job.strides[j], job.counts[j] = job.strides[j - 1], job.counts[j - 1]
            j -= 1
        job.strides[j], job.counts[j] = stride, count
    last = 0
    for i in range(1, job.progressions):
        times = job.strides[i] // job.strides[last]
        if job.strides[i] == times * job.strides[last] and times <= job.counts[last]:
            job.counts[last] += times * (job.counts[i] - 1)
        else:
            last += 1
            job.strides[last], job.counts[last] = job.strides[i], job.counts[i]
    job.progressions = min(job.progressions, last + 1)


@kernel
def _union_of_all(job: Job, length: float) -> float:
    """`union` by listing and sorting all offsets: for progressions that interleave."""
    many = 1
    job.offsets[0] = 0
    for i in range(job.progressions):
        for k in range(1, job.counts[i]):
            for j in range(many):
                job.offsets[k * many + j] = job.offsets[j] + k * job.strides[i]
        many *= job.counts[i]
    gap = many // 2
    while gap > 0:
        for i in range(gap, many):
            offset, j = job.offsets[i], i
            while j >= gap and job.offsets[j - gap] > offset:
                job.offsets[j] = job.offsets[j - gap]
                j -= gap
            job.offsets[j] = offset
        gap //= 2
    words = length
    for i in range(1, many):
        words += min(float(job.offsets[i] - job.offsets[i - 1]), length)
    return words


@kernel
def promised(job: Job, state: Array, tensor: int, g: int, k: int) -> int:
    """Tile in time of a sliding rank where fanout ``g`` is crossed, as promised when the hold was placed; 0: not."""
    tile: int = state[job.promise_column[tensor] + g * job.windows + k]
    return tile


@kernel
def _tile_at(job: Job, state: Array, hold: int, r: int) -> int:
    """Tile of a rank in an open hold of a sliding tensor, at one instance."""
    k = job.window_place[job.hold_tensor[hold], r]
    tile = state[TILE + r] if k < 0 else state[job.hold_column[hold] + k]
    length: int = tile * job.below[job.hold_region[hold], r]
    return length


@kernel
def _wrap(job: Job, state: Array, hold: int, r: int) -> int:
    """How far the base of an open hold stands from its start when all loops so far are at their last iteration."""
    tensor = job.hold_tensor[hold]
    k = job.window_place[tensor, r]
    if k < 0:
        return 0
    before: int = state[job.hold_column[hold] + k]
    far: int = 0
    for g in range(job.hold_region[hold], state[POSITION]):
        if job.spread[g, r] > 1:
            now = promised(job, state, tensor, g, k)
            far += job.below[g, r] * (now - before)
            before = now
    far += job.below[state[POSITION], r] * (state[TILE + r] - before)
    return far


@kernel
def grid(job: Job, state: Array, tensor: int, d: int, merged: int) -> None:
    """List in the job, as progressions, where instances that share over some fanouts stand along one dimension."""
    job.progressions = 0
    for r in range(job.ranks):
        c = job.coefficients[tensor, d, r]
        if c == 0:
            continue
        for g in range(job.fanouts):
            if (merged >> g) & 1 and job.spread[g, r] > 1:
                k = job.window_place[tensor, r]
                tile = state[TILE + r] if k < 0 else promised(job, state, tensor, g, k)
                job.strides[job.progressions] = c * tile * job.below[g, r]
                job.counts[job.progressions] = job.spread[g, r]
                job.progressions += 1


@kernel
def _length(job: Job, state: Array, hold: int, d: int) -> int:
    """Extent of the tile of an open hold along one dimension."""
    length: int = 1
    for r in range(job.ranks):
        c = job.coefficients[job.hold_tensor[hold], d, r]
        if c > 0:
            length += c * (_tile_at(job, state, hold, r) - 1)
    return length


@kernel
def slide(job: Job, state: Array, label: Array, hold: int, rank: int, bound: int) -> None:
    """Let a loop pass an open hold of a sliding tensor: update the words that each view fetched after the first."""
    tensor = job.hold_tensor[hold]
    for d in range(job.dims[tensor]):
        by = 0
        for r in range(job.ranks):
            c = job.coefficients[tensor, d, r]
            if c > 0:
                by -= c * _wrap(job, state, hold, r)
                if r == rank:
                    by += c * state[TILE + r] * job.below[state[POSITION], r]
        length = _length(job, state, hold, d)
        job.lengths[d], job.moved[d] = length, min(abs(by), length)
    for v in range(job.hold_views[hold], job.hold_views[hold + 1]):
        whole, kept = 1.0, 1.0
        for d in range(job.dims[tensor]):
            grid(job, state, tensor, d, job.view_merged[v])
            tile, new = union(job, float(job.lengths[d])), union(job, float(job.moved[d]))
            whole *= tile
            kept *= tile - new
        fetched = label[job.view_column[v]]
        label[job.view_column[v]] = bound * fetched + (bound - 1) * (whole - kept)


@kernel
def first(job: Job, state: Array, v: int) -> float:
    """Words of the first tile in a view of an open hold of a sliding tensor."""
    hold = job.view_hold[v]
    tensor, words = job.hold_tensor[hold], 1.0
    for d in range(job.dims[tensor]):
        grid(job, state, tensor, d, job.view_merged[v])
        words *= union(job, float(_length(job, state, hold, d)))
    return words
