"""Ranks that share several dimensions (a diagonal): exact by listing their digits, whatever their bounds.

Tiles of neighbouring instances then overlap in ways that no short formula covers. A *group* is the set of ranks that
must be looked at together (they index the same dimensions). Its motion is listed digit by digit; transitions that are
translations of each other are looked at once. Groups are independent of each other, so the rest of the count stays a
product. Slower than `model.intervals`, for one candidate at a time, and it refuses what is too large to list.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.errors import MappingError
from einloom.model.arrays import Array
from einloom.model.digits import Sums
from einloom.model.structure import Mode
from einloom.workloads.sized import Dim

LARGEST = 1_000_000
"""Most digit values, or elements of one tile union, that are listed before the group is refused."""


@dataclass(frozen=True, slots=True)
class IntDigit:
    """One loop of a rank of the group, for one candidate; ``loop`` is its place in the nest."""

    loop: int
    mode: Mode
    bound: int
    at: int | None = None


@dataclass(frozen=True, slots=True)
class _Moments:
    """Tiles of one rank before or after a transition: start and length by instance (length 0: idle).

    Shape ``(each instances, shared instances)``.
    """

    start: Array
    length: Array


Pairs = Array
"""Transitions as (step before, step after). Shape ``(transitions, 2)``."""
_Box = list[tuple[int, int]]


class _ListedRank:
    """Every time step and every instance of one rank, listed."""

    def __init__(self, extent: int, digits: Sequence[IntDigit]) -> None:
        self.extent = extent
        self.time = [d for d in digits if d.mode == Mode.TIME]
        weights, weight = {}, 1
        for digit in reversed(digits):
            weights[digit.loop] = weight
            weight *= digit.bound
        steps = self._values(self.time, weights)
        each = self._values([d for d in digits if d.mode == Mode.EACH], weights)
        shared = self._values([d for d in digits if d.mode == Mode.SHARED], weights)
        self._tile = 1 + sum((d.bound - 1) * weights[d.loop] for d in digits if d.mode == Mode.TILE)
        valid = steps < extent
        if int(valid.sum()) * each.size * shared.size > LARGEST:
            raise MappingError(
                f"counting this clipped nest exactly would list {int(valid.sum()) * each.size * shared.size} tiles "
                f"of one rank, more than {LARGEST}",
                "choose bounds that divide the rank",
            )
        starts = steps[valid][:, None, None] + each[None, :, None] + shared[None, None, :]
        self.lengths = np.clip(extent - starts, 0, self._tile)
        self.starts = starts
        self.index = self._indices(valid)

    @staticmethod
    def _values(digits: Sequence[IntDigit], weights: dict[int, int]) -> Array:
        values = np.zeros(1, dtype=np.int64)
        for digit in digits:
            choices = np.arange(digit.bound) if digit.at is None else np.array([digit.at])
            values = (values[:, None] + weights[digit.loop] * choices[None, :]).reshape(-1)
        return values

    def _indices(self, valid: Array) -> Array:
        """Temporal digits of each valid step. Shape ``(steps, temporal loops)``; steps are in time order."""
        bounds = [d.bound for d in self.time]
        grid = np.indices(bounds).reshape(len(bounds), -1).T if bounds else np.zeros((1, 0), dtype=np.int64)
        return np.asarray(grid[valid])

    def wraps(self, k: int) -> Pairs:
        """(step before, step after) for each period of the first ``k`` temporal loops: its last step and its first."""
        heads = self.index[:, :k]
        new = np.ones(len(heads), dtype=bool)
        new[1:] = (heads[1:] != heads[:-1]).any(axis=1)
        firsts = np.flatnonzero(new)
        lasts = np.append(firsts[1:], len(heads)) - 1
        return np.stack([lasts, firsts], axis=1)

    def moves(self, k: int) -> Pairs:
        """(step before, step after) for each step of temporal loop ``k``."""
        periods = self.wraps(k + 1)
        pairs = np.stack([periods[:-1, 0], periods[1:, 1]], axis=1)
        heads = self.index[:, :k]
        return np.asarray(pairs[(heads[pairs[:, 0]] == heads[pairs[:, 1]]).all(axis=1)])


class Group:
    """Ranks that must be looked at together, as one link sees them.

    Args:
        extents: Size of each rank.
        digits: Loops of each rank, outermost first.
        dims: Dimensions of the tensor that these ranks index.
    """

    def __init__(
        self, extents: Mapping[str, int], digits: Mapping[str, Sequence[IntDigit]], dims: Sequence[Dim]
    ) -> None:
        self._dims = tuple(dims)
        self._ranks = {var: _ListedRank(extent, digits[var]) for var, extent in extents.items()}
        loops = sorted((d.loop, var) for var, rank in self._ranks.items() for d in rank.time)
        self._loops = loops
        self._seen: dict[object, tuple[int, int, int, int]] = {}

    def wrap(self, k: int) -> Sums:
        return self._sum(self._wrap_pairs(k))

    def step(self, k: int) -> Sums:
        return self._sum(self._step_pairs(k))

    def _outer(self, k: int, var: str) -> int:
        return sum(1 for _, name in self._loops[:k] if name == var)

    def _wrap_pairs(self, k: int) -> dict[str, Pairs]:
        return {var: rank.wraps(self._outer(k, var)) for var, rank in self._ranks.items()}

    def _step_pairs(self, k: int) -> dict[str, Pairs]:
        stepping = self._loops[k][1]
        pairs = self._wrap_pairs(k)
        pairs[stepping] = self._ranks[stepping].moves(self._outer(k, stepping))
        return pairs

    def _sum(self, pairs: dict[str, Pairs]) -> Sums:
        """The four sums over all combinations of transitions, translations of each other once."""
        kinds = [self._kinds(var, pairs[var]) for var in self._ranks]
        totals = [0, 0, 0, 0]
        for combination in itertools.product(*(kind.items() for kind in kinds)):
            weight = 1
            for _, (_, times) in combination:
                weight *= times
            key = tuple(key for key, _ in combination)
            if key not in self._seen:
                self._seen[key] = self._compare([moments for _, (moments, _) in combination])
            for i, value in enumerate(self._seen[key]):
                totals[i] += weight * value
        return Sums(*(_one(total) for total in totals))

    def _kinds(self, var: str, pairs: Pairs) -> dict[object, tuple[tuple[_Moments, _Moments], int]]:
        """Transitions of one rank that are translations of each other: an example and their number."""
        if not len(pairs):
            return {}
        rank, before, after = self._ranks[var], pairs[:, 0], pairs[:, 1]
        origin = rank.starts[after].min(axis=(1, 2))[:, None, None]
        parts = (rank.starts[before] - origin, rank.lengths[before], rank.starts[after] - origin, rank.lengths[after])
        rows = np.concatenate([part.reshape(len(pairs), -1) for part in parts], axis=1)
        return {
            rows[i].tobytes(): ((_Moments(parts[0][i], parts[1][i]), _Moments(parts[2][i], parts[3][i])), int(times))
            for i, times in zip(*_distinct(rows), strict=True)
        }

    def _compare(self, moments: list[tuple[_Moments, _Moments]]) -> tuple[int, int, int, int]:
        """(after, stays, before, stays_back) of one transition, summed over the instances that do not share."""
        totals = [0, 0, 0, 0]
        befores, afters = [m[0] for m in moments], [m[1] for m in moments]
        for each in itertools.product(*(range(m.start.shape[0]) for m in befores)):
            before, after = self._boxes(befores, each), self._boxes(afters, each)
            for i, value in enumerate((*_overlap(after, before), *_overlap(before, after))):
                totals[i] += value
        return totals[0], totals[1], totals[2], totals[3]

    def _boxes(self, moments: list[_Moments], each: tuple[int, ...]) -> list[_Box | None]:
        """The tile of every sharing instance as one interval a dimension; None where the instance is idle."""
        boxes: list[_Box | None] = []
        for shared in itertools.product(*(range(m.start.shape[1]) for m in moments)):
            places = {
                var: (int(m.start[e, s]), int(m.length[e, s]))
                for var, m, e, s in zip(self._ranks, moments, each, shared, strict=True)
            }
            idle = any(length == 0 for _, length in places.values())
            boxes.append(None if idle else [_interval(dim, places) for dim in self._dims])
        return boxes

    def touched(self) -> Array:
        """Distinct elements that the instances which share ever hold, summed over the others."""
        ranks = list(self._ranks.values())
        total = 0
        for each in itertools.product(*(range(rank.starts.shape[1]) for rank in ranks)):
            lanes = []
            for rank, i in zip(ranks, each, strict=True):
                places = zip(rank.starts[:, i].reshape(-1), rank.lengths[:, i].reshape(-1), strict=True)
                lanes.append(sorted({(int(start), int(length)) for start, length in places if length}))
            boxes: list[_Box | None] = [
                [_interval(dim, dict(zip(self._ranks, places, strict=True))) for dim in self._dims]
                for places in itertools.product(*lanes)
            ]
            total += _overlap(boxes, [None] * len(boxes))[0]
        return _one(total)


def _distinct(rows: Array) -> tuple[Array, Array]:
    """The place of one row of each kind, and how many there are of it.

    Rows are told apart by a checksum, which is fast to sort, and compared; where two kinds share one, by themselves.
    """
    weights = np.random.default_rng(0).integers(1, 2**62, size=rows.shape[1])
    _, first, kind, times = np.unique(rows @ weights, return_index=True, return_inverse=True, return_counts=True)
    if not (rows == rows[first[kind]]).all():
        _, first, times = np.unique(rows, axis=0, return_index=True, return_counts=True)
    return first, times


def _one(value: int) -> Array:
    return np.array([value], dtype=object)


def _interval(dim: Dim, places: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Bounding interval ``[low, high)`` of one dimension."""
    low = sum(c * (places[var][0] + (places[var][1] - 1 if c < 0 else 0)) for var, c in dim)
    return low, low + 1 + sum(abs(c) * (places[var][1] - 1) for var, c in dim)


def _overlap(now: list[_Box | None], then: list[_Box | None]) -> tuple[int, int]:
    """Size of the union of the boxes ``now``, and the part of it that every instance wanting it had ``then``."""
    active = [(box, other) for box, other in zip(now, then, strict=True) if box is not None]
    if not active:
        return 0, 0
    dims = range(len(active[0][0]))
    low = [min(box[d][0] for box, _ in active) for d in dims]
    shape = tuple(max(box[d][1] for box, _ in active) - low[d] for d in dims)
    if np.prod(shape, dtype=float) > LARGEST:
        raise MappingError(
            f"counting this clipped nest exactly would list a tile of {np.prod(shape, dtype=float):.0f} elements",
            "choose bounds that divide the rank",
        )
    wanted, missing = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for box, other in active:
        here = tuple(slice(box[d][0] - low[d], box[d][1] - low[d]) for d in dims)
        wanted[here] = True
        lacks = np.ones(wanted[here].shape, dtype=bool)
        if other is not None:
            kept = [(max(box[d][0], other[d][0]), min(box[d][1], other[d][1])) for d in dims]
            if all(start < stop for start, stop in kept):
                lacks[tuple(slice(kept[d][0] - box[d][0], kept[d][1] - box[d][0]) for d in dims)] = False
        missing[here] |= lacks
    return int(wanted.sum()), int((wanted & ~missing).sum())
