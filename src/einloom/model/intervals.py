"""Ranks that share one dimension, with bounds that may exceed them: exact by classes of alike transitions.

Where a window slides over a clipped rank, or instances of one rank are partly shared and partly not, tiles of
neighbouring instances overlap in ways that no short formula covers. In one dimension every tile is an interval, and a
transition of the nest takes each instance from one interval to another. Seen from the first instance, most transitions
of a rank are alike: nothing is cut, so all tiles are translations of each other and the closed form of `model.perfect`
holds. The others (*frames*: values of the digits that stay) are listed by what is left of the rank there, with all that
cut the tiles in the same way as one; only for these the intervals of the sharing instances are written down and
their unions measured, all candidates at once.

A rank that does not index the tensor is a dimension of length 1 (coefficient 0): only who is active counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from einloom.errors import MappingError, Problem
from einloom.model import perfect
from einloom.model.arrays import SAFE, Array
from einloom.model.digits import Digit, Sums
from einloom.model.structure import Mode
from einloom.model.windows import Line

BLOCK = 1_000_000
"""Most intervals that are written down at a time, and most frames or instances that one transition may have."""


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames of one rank in one transition: those that nothing cuts, by candidate, and the others by class.

    Attributes:
        full, full_shift: How many are not cut, and how far the tile before lies ahead of the tile after.
        row: Candidate of a class, rising.
        times: Frames in it.
        rest: Indices from the start of the first instance's tile after the transition to the end of the rank.
        shift: How far the tile before lies ahead of the tile after.
    """

    full: Array
    full_shift: Array
    row: Array
    times: Array
    rest: Array
    shift: Array


class _Walk:
    """Frames of one rank, digit by digit from the outermost.

    As long as only digits that stay have passed, the chunks are full but for one, which the end of the rank cuts.
    After that every value of a digit is an entry of its own. ``lock`` is what is left to the instance with all
    spatial digits 0, which says where temporal loops end.
    """

    def __init__(self, whole: Array, extent: int, one: Array) -> None:
        self.full = whole * one
        self.full_shift = np.zeros(len(one), dtype=np.int64)
        self.row = np.flatnonzero(~whole)
        self.times = one[self.row]
        self.rest = np.full(len(self.row), extent, dtype=np.int64)
        self.lock = self.rest.copy()
        self.shift = np.zeros_like(self.rest)
        self._chunked = True

    def _keep(self, which: Array) -> None:
        if not which.all():
            for name in ("row", "times", "rest", "lock", "shift"):
                setattr(self, name, getattr(self, name)[which])

    def _list(self, many: Array) -> Array:
        """``many`` entries for each, and the number of each among its own."""
        parent, number = listed(many)
        for name in ("row", "times", "rest", "lock", "shift"):
            setattr(self, name, getattr(self, name)[parent])
        return number

    def _cut_chunk(self, inner: Array) -> None:
        """All values of a digit: full ones, and what is left of the last one."""
        whole = self.rest // inner
        self.full[self.row] += whole
        self.rest = self.rest - whole * inner

    def stay(self, bound: Array, inner: Array) -> None:
        """A temporal loop that keeps its index."""
        self.full = self.full * bound
        width = inner[self.row]
        if self._chunked:
            self.lock = np.minimum(self.lock - self.rest // width * width, width)
            self._cut_chunk(width)
            self._keep(self.rest > 0)
            return
        index = self._list(-(-self.lock // width))
        width = inner[self.row]
        self.rest, self.lock = self.rest - index * width, np.minimum(self.lock - index * width, width)

    def each(self, bound: Array, inner: Array) -> None:
        """A spatial loop whose instances count one by one."""
        self.full = self.full * bound
        if self._chunked:
            width = inner[self.row]
            self._cut_chunk(width)
            self.lock = np.minimum(self.lock, width)
            self._keep(self.rest > 0)
            return
        index = self._list(bound[self.row])
        width = inner[self.row]
        self.rest, self.lock = self.rest - index * width, np.minimum(self.lock, width)

    def single(self, at: Array, inner: Array) -> None:
        """A spatial loop of which one instance is looked at."""
        width = inner[self.row]
        self.rest, self.lock = self.rest - at[self.row] * width, np.minimum(self.lock, width)
        if self._chunked:
            self.full[self.row] += self.rest >= width
            self._keep((self.rest > 0) & (self.rest < width))

    def step(self, bound: Array, inner: Array) -> None:
        """The temporal loop that steps: frames are its indices after the step. The chunk before is always full."""
        self.full, self.full_shift = self.full * (bound - 1), self.full_shift - inner
        width = inner[self.row]
        steps, first = -(-self.lock // width) - 1, np.ones_like(self.lock)
        if self._chunked:
            whole = self.rest // width
            self.full[self.row] += np.maximum(whole - 1, 0)
            first, steps = np.maximum(whole, 1), np.minimum(whole + 1, steps)
        first = first.repeat(many := np.maximum(steps - first + 1, 0))
        index = first + self._list(many)
        width = inner[self.row]
        self.rest, self.shift, self.lock = self.rest - index * width, self.shift - width, width
        self._chunked = False

    def wrap(self, bound: Array, inner: Array) -> None:
        """A temporal loop that goes from its last index to 0."""
        self.full_shift = self.full_shift + (bound - 1) * inner
        width = inner[self.row]
        ahead = (-(-self.lock // width) - 1) * width
        self.shift, self.lock = self.shift + ahead, self.lock - ahead
        self._chunked = False

    def share(self, inner: Array) -> None:
        """A spatial loop whose instances are looked at together, or one that the tile ignores."""
        self.lock = np.minimum(self.lock, inner[self.row])
        self._chunked = False


class _Column(NamedTuple):
    """A digit of all candidates, in int64."""

    mode: Mode
    bound: Array
    at: Array | None

    @classmethod
    def of(cls, digit: Digit) -> _Column:
        at = None if digit.at is None else np.asarray(digit.at, dtype=np.int64)
        return cls(digit.mode, np.asarray(digit.bound, dtype=np.int64), at)


class _ListedLine:
    """One rank of the dimension as one link sees it."""

    def __init__(self, line: Line, one: Array) -> None:
        self._one, self._extent = one, line.extent
        self.coefficient = line.coefficient
        widest = math.prod((float(np.max(d.bound)) for d in line.digits), start=float(line.extent))
        if widest * (1 + abs(line.coefficient)) >= SAFE:
            raise MappingError(Problem("the tiles of a rank lie 2^62 elements apart", "choose smaller bounds"))
        self._digits = [_Column.of(digit) for digit in line.digits]
        inner = [np.ones(len(one), dtype=np.int64)]
        for column in reversed(self._digits):
            inner.append(inner[-1] * column.bound)
        self._size = inner.pop()
        self._inner = inner[::-1]
        self.tile = np.ones_like(self._size)
        for column in self._digits:
            if column.mode == Mode.TILE and self.coefficient:
                self.tile = self.tile * column.bound
        pairs = zip(self._digits, self._inner, strict=True)
        self.shared = [(c.bound, width) for c, width in pairs if c.mode == Mode.SHARED and c.at is None]
        self.instances: Array = math.prod((bound for bound, _ in self.shared), start=np.ones_like(self._size))
        self._last = max((i for i, c in enumerate(self._digits) if c.mode != Mode.TILE), default=-1)
        self._known: dict[tuple[int, bool], _Frames] = {}

    def frames(self, stay: int, steps: bool) -> _Frames:
        """Frames in which the first ``stay`` temporal loops stay, the next one steps or not, the others wrap."""
        if (stay, steps) not in self._known:
            self._known[stay, steps] = self._classes(self._walked(stay, steps))
        return self._known[stay, steps]

    def _walked(self, stay: int, steps: bool) -> _Walk:
        walk, turn = _Walk(self._size == self._extent, self._extent, self._one), 0
        for column, inner in zip(self._digits[: self._last + 1], self._inner, strict=False):
            if column.mode == Mode.TIME:
                move = walk.stay if turn < stay else walk.step if steps and turn == stay else walk.wrap
                move(column.bound, inner)
                turn += 1
            elif column.at is not None:
                walk.single(column.at, inner)
            elif column.mode == Mode.EACH:
                walk.each(column.bound, inner)
            else:
                walk.share(inner)
            if len(walk.row) > BLOCK:
                raise _too_large("transitions of one rank")
        return walk

    def _classes(self, walk: _Walk) -> _Frames:
        """Frames that cut every tile alike as one: what counts of the rest is where the last tile ends in it."""
        row, shift = walk.row, walk.shift
        ends = np.stack([self._end(row, walk.rest), self._end(row, walk.rest - shift) + shift])
        active = np.stack([walk.rest > 0, walk.rest > shift])
        rest = np.where(active, ends, np.iinfo(np.int64).min).max(axis=0)
        uncut = (rest == self.reach(row, shift)) & (shift == walk.full_shift[row])
        np.add.at(walk.full, row[uncut], walk.times[uncut])
        kept = active.any(axis=0) & ~uncut
        row, times, rest, shift = row[kept], walk.times[kept], rest[kept], shift[kept]
        order = np.lexsort((shift, rest, row))
        row, times, rest, shift = row[order], times[order], rest[order], shift[order]
        if len(row) > 1:
            new = (np.diff(row) != 0) | (np.diff(rest) != 0) | (np.diff(shift) != 0)
            first = np.flatnonzero(np.concatenate([[True], new]))
            row, times, rest, shift = row[first], np.add.reduceat(times, first), rest[first], shift[first]
        return _Frames(walk.full, walk.full_shift, row, times, rest, shift)

    def _end(self, row: Array, rest: Array) -> Array:
        """End of the last sharing tile that starts before ``rest``, cut there."""
        start, left = np.zeros_like(rest), rest - 1
        for bound, width in self.shared:
            index = np.minimum(bound[row] - 1, left // width[row])
            start, left = start + index * width[row], left - index * width[row]
        return np.minimum(rest, start + self.tile[row])

    def reach(self, row: Array, shift: Array) -> Array:
        """The rest from which on nothing is cut."""
        ends = sum(((bound[row] - 1) * width[row] for bound, width in self.shared), start=self.tile[row])
        return np.asarray(ends + np.maximum(shift, 0))

    def place(self, row: Array, number: Array) -> Array:
        """Offset of a sharing instance."""
        offset = np.zeros_like(number)
        for bound, width in reversed(self.shared):
            offset, number = offset + number % bound[row] * width[row], number // bound[row]
        return offset


class Intervals:
    """Ranks that share one dimension, as one link sees them.

    Args:
        lines: The ranks.
        order: For each of their temporal loops, outermost first, the place of its rank among ``lines``.
        one: Ones, in the type of the counts. Shape ``(candidates,)``.

    Raises:
        MappingError: Cut transitions or their instances are too many to be listed.
    """

    def __init__(self, lines: Sequence[Line], order: Sequence[int], one: Array) -> None:
        self._lines = [_ListedLine(line, one) for line in lines]
        self._order = list(order)
        self._one = one
        tiles = (abs(line.coefficient) * (line.tile - 1) for line in self._lines)
        self._tile: Array = sum(tiles, start=np.ones(len(one), dtype=np.int64))
        self._offsets = [
            (bound, abs(line.coefficient) * width) for line in self._lines for bound, width in reversed(line.shared)
        ]
        self._whole = perfect.union(self._tile, self._offsets)

    def wrap(self, k: int) -> Sums:
        return self._sums(k, steps=False)

    def step(self, k: int) -> Sums:
        return self._sums(k, steps=True)

    def _sums(self, k: int, steps: bool) -> Sums:
        return self._total(
            [line.frames(self._order[:k].count(i), steps and self._order[k] == i) for i, line in enumerate(self._lines)]
        )

    def _total(self, frames: Sequence[_Frames]) -> Sums:
        many = math.prod((f.full for f in frames), start=self._one)
        moved: Array = sum(
            (line.coefficient * f.full_shift for line, f in zip(self._lines, frames, strict=True)),
            start=np.zeros_like(self._tile),
        )
        new = perfect.union(np.minimum(np.abs(moved), self._tile), self._offsets)
        totals = [many * self._whole, many * (self._whole - new), many * self._whole, many * (self._whole - new)]
        if any(len(f.row) for f in frames):
            row, times, rests, shifts = self._combined(frames)
            for total, words in zip(totals, self._measured(row, rests, shifts), strict=True):
                np.add.at(total, row, times * words)
        return Sums(*totals)

    def _combined(self, frames: Sequence[_Frames]) -> tuple[Array, Array, list[Array], list[Array]]:
        """Combinations of frames in which some rank is cut: candidate, how often, rest and shift of each rank."""
        row = np.unique(np.concatenate([f.row for f in frames]))
        times, cut = self._one[row], np.zeros(len(row), dtype=bool)
        rests: list[Array] = []
        shifts: list[Array] = []
        for line, f in zip(self._lines, frames, strict=True):
            full = np.flatnonzero(f.full)
            rows = np.concatenate([full, f.row])
            order = np.argsort(rows, kind="stable")
            rows = rows[order]
            ahead = f.full_shift[full]
            rest = np.concatenate([line.reach(full, ahead), f.rest])[order]
            shift = np.concatenate([ahead, f.shift])[order]
            first, end = np.searchsorted(rows, row, "left"), np.searchsorted(rows, row, "right")
            parent, number = listed(end - first)
            mine = first[parent] + number
            row, times, cut = row[parent], times[parent], cut[parent] | (order[mine] >= len(full))
            times = times * np.concatenate([f.full[full], f.times])[order][mine]
            rests, shifts = [r[parent] for r in rests], [s[parent] for s in shifts]
            rests.append(rest[mine])
            shifts.append(shift[mine])
        return row[cut], times[cut], [r[cut] for r in rests], [s[cut] for s in shifts]

    def _measured(self, row: Array, rests: list[Array], shifts: list[Array]) -> list[Array]:
        """(after, stays, before, stays_back) of each combination, over its sharing instances."""
        if math.prod(float(line.instances.max(initial=1)) for line in self._lines) > BLOCK:
            raise _too_large("instances that share a tile")
        instances: Array = math.prod((line.instances[row] for line in self._lines), start=np.ones_like(row))
        ends = np.cumsum(instances)
        cuts = np.searchsorted(ends, np.arange(BLOCK, int(ends[-1]) if len(ends) else 0, BLOCK))
        parts = [
            self._moves(row[part], instances[part], [r[part] for r in rests], [s[part] for s in shifts])
            for part in np.split(np.arange(len(row)), cuts)
        ]
        return [np.concatenate(found) for found in zip(*parts, strict=True)]

    def _moves(
        self, row: Array, instances: Array, rests: list[Array], shifts: list[Array]
    ) -> tuple[Array, Array, Array, Array]:
        parent, number = listed(instances)
        owner = row[parent]
        now, then = _Tiles(len(parent)), _Tiles(len(parent))
        for line, rest, shift in zip(self._lines, rests, shifts, strict=True):
            offset = line.place(owner, number)
            number = number // line.instances[owner]
            left, ahead, tile = rest[parent] - offset, shift[parent], line.tile[owner]
            now.add(line.coefficient, offset, np.minimum(left, tile))
            then.add(line.coefficient, offset + ahead, np.minimum(left - ahead, tile))
        if int(instances.max(initial=1)) == 1:
            return *now.alone(then), *then.alone(now)
        return *now.together(then, parent, len(row)), *then.together(now, parent, len(row))


class _Tiles:
    """The tile of each instance as an interval; empty where it is idle."""

    def __init__(self, many: int) -> None:
        self.low, self.high = np.zeros(many, dtype=np.int64), np.ones(many, dtype=np.int64)
        self._active = np.ones(many, dtype=bool)

    def add(self, coefficient: int, start: Array, length: Array) -> None:
        """One more rank of the dimension."""
        self.low += coefficient * start + min(coefficient, 0) * (length - 1)
        self.high += coefficient * start + max(coefficient, 0) * (length - 1)
        self._active &= length > 0

    def _closed(self) -> tuple[Array, Array]:
        return self.low, np.where(self._active, self.high, self.low)

    def alone(self, other: _Tiles) -> tuple[Array, Array]:
        """Size of each tile, and the part that it had in ``other``."""
        low, high = self._closed()
        before, after = other._closed()
        return high - low, np.maximum(np.minimum(high, after) - np.maximum(low, before), 0)

    def together(self, other: _Tiles, group: Array, groups: int) -> tuple[Array, Array]:
        """Size of the union of the tiles of each group, and the part that every tile wanting it had in ``other``."""
        low, high = self._closed()
        before, after = other._closed()
        empty = before == after
        left = np.where(empty, high, np.minimum(high, before))
        right = np.where(empty, high, np.maximum(low, after))
        size = united(group, low, high, groups)
        two = np.concatenate([group, group])
        missing = united(two, np.concatenate([low, right]), np.concatenate([left, high]), groups)
        return size, size - missing


def united(group: Array, low: Array, high: Array, groups: int) -> Array:
    """Size of the union of the intervals ``[low, high)`` of each group. Shape ``(groups,)``."""
    size = np.zeros(groups, dtype=np.int64)
    full = high > low
    if not full.any():
        return size
    group, low, high = group[full], low[full], high[full]
    base = low.min()
    span = int(high.max() - base) + 1
    if float(span) * groups >= SAFE:
        raise MappingError(Problem("the tiles of a rank lie 2^62 elements apart", "choose smaller bounds"))
    start, end = group * span + (low - base), group * span + (high - base)
    order = np.argsort(start)
    start, end, group = start[order], end[order], group[order]
    covered = np.maximum.accumulate(end)
    start[1:] = np.maximum(start[1:], covered[:-1])
    np.add.at(size, group, np.maximum(end - start, 0))
    return size


def listed(many: Array) -> tuple[Array, Array]:
    """For each of ``many[i]`` entries of ``i``: the place ``i``, and its number among them."""
    total = int(many.sum())
    if total > 8 * BLOCK:
        raise _too_large("transitions")
    parent = np.repeat(np.arange(len(many)), many)
    return parent, np.arange(total) - np.repeat(np.cumsum(many) - many, many)


def _too_large(what: str) -> MappingError:
    return MappingError(
        Problem(
            f"counting this clipped nest exactly would list more than {BLOCK} {what}",
            "choose bounds that divide the rank",
        )
    )
