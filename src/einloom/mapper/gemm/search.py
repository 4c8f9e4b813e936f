"""Best-first branch and bound over boxes of visit classes.

A node is a family of nests (ordinary, or with one tensor floating) and an interval of visit classes for each rank. It
is split where the interval is widest; a node of single classes is searched exactly. Every `DIVE` nodes the search
follows the better half down to a leaf, for an incumbent early on. The least key in the queue is a lower bound of all
that is open: when it cannot improve any more, the answer is proven.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from einloom.mapper.gemm.best import Best, may_improve, score
from einloom.mapper.gemm.compiled import copy, entry, kernel
from einloom.mapper.gemm.floats import least_floating
from einloom.mapper.gemm.leaf import Bounds, least_cost, tighten
from einloom.mapper.gemm.tables import ENERGY, FEWEST, HIGH, LOW, MOST, Scratch, Tables
from einloom.model.arrays import Array

DIVE = 50
"""Nodes between two dives."""

FAMILIES = 4
"""Ordinary nests, and those in which one tensor floats."""

DONE, MORE, LEAF = range(3)
"""Why a run ends."""

MOST_POINTS = 4096
"""Longest front."""


class Queue(NamedTuple):
    """A binary heap of nodes.

    Attributes:
        keys: Lower bounds (score, energy, cycles) of each node.
        boxes: (family, first and last class of each rank) of each node.
        counts: (nodes in the queue, nodes taken out so far).
    """

    keys: Array
    boxes: Array
    counts: Array


def whole_space(t: Tables) -> Queue:
    """A queue of one node for each family, without bounds yet."""
    queue = Queue(np.zeros((1024, 3)), np.zeros((1024, 7), np.int64), np.array([FAMILIES, 0]))
    last = np.diff(t.start) - 1
    for family in range(FAMILIES):
        queue.boxes[family] = family, 0, last[0], 0, last[1], 0, last[2]
    return queue


@kernel
def _before(queue: Queue, i: int, j: int) -> bool:
    """Whether node ``i`` comes out before node ``j``: the smaller score, then energy, then cycles."""
    for k in range(3):
        if queue.keys[i, k] != queue.keys[j, k]:
            return bool(queue.keys[i, k] < queue.keys[j, k])
    return False


@kernel
def _swap(queue: Queue, i: int, j: int) -> None:
    for k in range(3):
        key = queue.keys[i, k]
        queue.keys[i, k] = queue.keys[j, k]
        queue.keys[j, k] = key
    for k in range(7):
        place = queue.boxes[i, k]
        queue.boxes[i, k] = queue.boxes[j, k]
        queue.boxes[j, k] = place


@kernel
def _push(queue: Queue, key: Bounds, box: Array) -> None:
    i = queue.counts[0]
    queue.counts[0] += 1
    queue.keys[i, 0], queue.keys[i, 1], queue.keys[i, 2] = key
    copy(box, queue.boxes[i])
    while i > 0 and _before(queue, i, (i - 1) // 2):
        _swap(queue, i, (i - 1) // 2)
        i = (i - 1) // 2


@kernel
def _pop(queue: Queue, box: Array) -> Bounds:
    """Take out the first node: its box goes to ``box``."""
    key = (queue.keys[0, 0], queue.keys[0, 1], queue.keys[0, 2])
    copy(queue.boxes[0], box)
    queue.counts[0] -= 1
    queue.counts[1] += 1
    n = queue.counts[0]
    _swap(queue, 0, n)
    i = 0
    while True:
        first = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < n and _before(queue, child, first):
                first = child
        if first == i:
            return key
        _swap(queue, i, first)
        i = first


@kernel
def _sides(t: Tables, box: Array, low: Array, high: Array, fewest: Array, most: Array) -> None:
    """Smallest and largest tile and fewest and most visits of each rank in a box."""
    for r in range(3):
        first, last = t.start[r] + box[1 + 2 * r], t.start[r] + box[2 + 2 * r]
        low[r], high[r] = t.least[last], t.most[first]
        fewest[r], most[r] = t.visits[first], t.visits[last]


@kernel
def bound(t: Tables, objective: int, box: Array, best: Best, scratch: Scratch) -> Bounds:
    """Lower bounds of (score, energy, cycles) in a box."""
    ranks = scratch.ranks
    low, high, fewest, most = ranks[LOW], ranks[HIGH], ranks[FEWEST], ranks[MOST]
    _sides(t, box, low, high, fewest, most)
    if box[0]:
        return least_floating(t, objective, box[0] - 1, low, high, fewest, most, scratch)
    least = least_cost(t, objective, low, high, fewest, most, scratch)
    if objective != ENERGY and may_improve(objective, best.points, best.counts[0], least[1], least[2]):
        return tighten(t, objective, low, high, fewest, most, least, best, scratch)
    return least


@kernel
def _widest(t: Tables, box: Array) -> int:
    """The rank with the largest ratio of most to fewest visits; -1 for a leaf."""
    widest, ratio = -1, 0.0
    for r in range(3):
        first, last = t.start[r] + box[1 + 2 * r], t.start[r] + box[2 + 2 * r]
        if last > first and t.visits[last] / t.visits[first] > ratio:
            widest, ratio = r, t.visits[last] / t.visits[first]
    return widest


@kernel
def _halves(t: Tables, box: Array, rank: int, lower: Array, upper: Array) -> None:
    """Split a box at the geometric mean of the visits of a rank."""
    first, last = box[1 + 2 * rank], box[2 + 2 * rank]
    mean = math.sqrt(t.visits[t.start[rank] + first] * t.visits[t.start[rank] + last])
    cut = first
    while cut + 1 < last and t.visits[t.start[rank] + cut + 1] <= mean:
        cut += 1
    copy(box, lower)
    copy(box, upper)
    lower[2 + 2 * rank] = cut
    upper[1 + 2 * rank] = cut + 1


@entry
def run(t: Tables, objective: int, queue: Queue, best: Best, scratch: Scratch, nodes: int) -> int:
    """Take up to ``nodes`` nodes out of the queue, up to the first leaf.

    Returns:
        `DONE` when the queue is empty; `LEAF` when `Scratch.boxes` starts with a leaf, its sides in `Scratch.ranks`,
        to be searched before the next call; else `MORE`.
    """
    box, lower, upper = scratch.boxes[0], scratch.boxes[1], scratch.boxes[2]
    for _ in range(nodes):
        if queue.counts[0] == 0:
            return DONE
        dive = queue.counts[1] % DIVE == FAMILIES
        key = _pop(queue, box)
        while may_improve(objective, best.points, best.counts[0], key[1], key[2]) and _promises(objective, key, best):
            if objective != ENERGY:
                key = bound(t, objective, box, best, scratch)
                if not may_improve(objective, best.points, best.counts[0], key[1], key[2]):
                    break
            rank = _widest(t, box)
            if rank < 0:
                copy(box, scratch.boxes[0])
                _sides(t, box, scratch.ranks[LOW], scratch.ranks[HIGH], scratch.ranks[FEWEST], scratch.ranks[MOST])
                return LEAF
            _halves(t, box, rank, lower, upper)
            first = bound(t, objective, lower, best, scratch)
            second = bound(t, objective, upper, best, scratch)
            if first > second:
                lower, upper = upper, lower
                first, second = second, first
            if may_improve(objective, best.points, best.counts[0], second[1], second[2]):
                _push(queue, second, upper)
            if not dive:
                if may_improve(objective, best.points, best.counts[0], first[1], first[2]):
                    _push(queue, first, lower)
                break
            key, box, lower = first, lower, box
    return MORE


@kernel
def _promises(objective: int, key: Bounds, best: Best) -> bool:
    """Whether the score alone (tighter than energy times cycles) leaves room."""
    if best.counts[0] == 0 or len(best.points) > 1:
        return True
    return key[0] <= score(objective, best.points[0, 0], best.points[0, 1]) * (1 + 1e-12)
