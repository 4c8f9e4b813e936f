"""Ranks that share one dimension, with bounds that multiply to their sizes: the closed form of `perfect` as a motion.

All tiles are intervals of one length, and in a transition all of them move by the same distance. What is new is then
the end of each that sticks out, again intervals of one length: both unions have a closed form, and their difference
stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from einloom.model import perfect
from einloom.model.arrays import Count
from einloom.model.digits import Digit, Sums, choose, least
from einloom.model.structure import Mode


@dataclass(frozen=True, slots=True)
class Line:
    """One rank of the dimension.

    Attributes:
        extent: Its size.
        coefficient: Of its variable in the index; 0: the rank does not index the tensor.
        digits: Its loops, outermost first.
    """

    extent: int
    coefficient: int
    digits: tuple[Digit, ...]


class EvenWindow:
    """Ranks that share one dimension, none of them clipped, as one link sees them.

    Args:
        lines: The ranks.
        order: For each of their temporal loops, outermost first, the place of its rank among ``lines``.
        one: The number 1 of each candidate.
    """

    def __init__(self, lines: Sequence[Line], order: Sequence[int], one: Count) -> None:
        self._length = one
        self._offsets: list[tuple[Count, Count]] = []
        self._periods = [one]
        loops = []
        for line in lines:
            stride = one
            mine: list[tuple[Count, Count]] = []
            for digit in reversed(line.digits):
                gap = abs(line.coefficient) * stride
                if digit.mode == Mode.TILE:
                    self._length = self._length + gap * (digit.bound - 1)
                elif digit.mode == Mode.TIME:
                    mine.append((digit.bound, line.coefficient * stride))
                elif digit.at is None and digit.mode == Mode.SHARED:
                    self._offsets.append((digit.bound, gap))
                elif digit.at is None:
                    self._periods[0] = self._periods[0] * digit.bound
                stride = stride * digit.bound
            loops.append(mine)
        self._loops = [loops[place].pop() for place in order]
        for bound, _ in self._loops:
            self._periods.append(self._periods[-1] * bound)
        self._wrapped = [one * 0]  # how far the tile has moved with the last k loops at their last iterations
        for bound, width in reversed(self._loops):
            self._wrapped.append(self._wrapped[-1] + (bound - 1) * width)
        self._whole = _union(self._length, self._offsets)

    def wrap(self, k: int) -> Sums:
        return self._sums(self._periods[k], self._wrapped[len(self._loops) - k])

    def step(self, k: int) -> Sums:
        _, width = self._loops[k]
        return self._sums(self._periods[k + 1] - self._periods[k], width - self._wrapped[len(self._loops) - k - 1])

    def _sums(self, periods: Count, moved: Count) -> Sums:
        new = _union(least(choose(moved < 0, -moved, moved), self._length), self._offsets)
        words, kept = periods * self._whole, periods * (self._whole - new)
        return Sums(words, kept, words, kept)


def _union(length: Count, offsets: Sequence[tuple[Count, Count]]) -> Count:
    """Size of the union of intervals of ``length`` at all sums of ``offsets``."""
    if not isinstance(length, int):
        return perfect.union(length, [(np.asarray(count), np.asarray(gap)) for count, gap in offsets])
    moving = [(count, gap) for count, gap in offsets if count != 1]
    if len(moving) > 1:
        columns = [(np.array([count]), np.array([gap])) for count, gap in moving]
        return int(perfect.union(np.array([length]), columns)[0])
    return length + sum((count - 1) * least(gap, length) for count, gap in moving)
