"""One rank whose bounds may exceed its size: chunks, transitions and idle instances by mixed-radix arithmetic.

The index of a rank variable has one digit for each of its loops, the outermost first. Descending through the digits,
the iterations split into *full* chunks (all alike) and at most one *partial* chunk that the end of the rank cuts; so
every sum below is the number of full chunks times a product, plus one walk along the cut. Instances run in lockstep:
in a step the temporal digits are common, and the last iteration of a loop is the last one that any instance needs,
which is that of the instance with all spatial digits 0.

A transition of the nest is either a *step* of one loop (of this rank or another) with all temporal loops further in
going from their last iteration to their first (*wrap*). A `Motion` has for each of these, over all values of the
digits that stay, four sums:

- ``after``, ``before``: words of the tiles after / before the transition (or active instances where the rank does not
  index the tensor);
- ``stays``: the part of ``after`` that was there before; ``stays_back``: the part of ``before`` that is there after.

Every quantity is an array of shape ``(candidates,)`` or, for one candidate, a Python integer: that is ten times faster
than an array of one entry. So the formulas use operators only, and a comparison as the factor 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from einloom.model.arrays import Count, ceil_div
from einloom.model.structure import Mode


@dataclass(frozen=True, slots=True)
class Digit:
    """One loop of the rank: how the link sees it, its bound, and the index of an instance that is singled out."""

    mode: Mode
    bound: Count
    at: Count | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of one transition over the digits that stay."""

    after: Count
    stays: Count
    before: Count
    stays_back: Count


class Motion(Protocol):
    """All transitions of one rank (or of several that share a dimension), as one link sees them.

    With all loops wrapped (``wrap(0)``) ``after`` is the first tile and ``before`` the last; with none wrapped
    ``after`` is what a compute takes in all its steps.
    """

    def wrap(self, k: int) -> Sums:
        """The first ``k`` temporal loops stay, the others wrap."""

    def step(self, k: int) -> Sums:
        """Temporal loop ``k`` steps, those outside stay, those inside wrap."""


def least(a: Count, b: Count) -> Count:
    """The smaller of two."""
    return a - (a - b) * (a > b)


def choose(where: Count, a: Count, b: Count) -> Count:
    """``a`` where a comparison holds, else ``b``."""
    return b + (a - b) * where


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Iterations at one depth: so many full chunks, and the length of the partial one (0: none)."""

    full: Count
    rest: Count

    def free(self, bound: Count, inner: Count) -> _Chunks:
        """All values of a digit."""
        return _Chunks(self.full * bound + self.rest // inner, self.rest % inner)

    def at(self, index: Count, inner: Count) -> _Chunks:
        """One value of a digit."""
        rest = self.rest - index * inner
        return _Chunks(self.full + (rest >= inner), rest * ((rest > 0) & (rest < inner)))

    def first(self, inner: Count) -> _Chunks:
        """The value 0 of a digit."""
        return _Chunks(self.full + (self.rest >= inner), self.rest * (self.rest < inner))

    def count(self) -> Count:
        return self.full + (self.rest > 0)


class EvenRank:
    """A rank whose bounds multiply to its size: all chunks are full, nobody idles.

    Args:
        digits: Outermost first.
        relevant: Whether the rank indexes the tensor (alone in its dimension, coefficient 1).
        one: The number 1 of each candidate.
    """

    def __init__(self, digits: Sequence[Digit], relevant: bool, one: Count) -> None:
        self._relevant = relevant
        counted = {Mode.TILE, Mode.EACH, Mode.SHARED} if relevant else {Mode.EACH}
        self._at_once = one
        self._periods = [one]
        for digit in digits:
            if digit.mode == Mode.TIME:
                self._periods.append(self._periods[-1] * digit.bound)
            elif digit.mode in counted and digit.at is None:
                self._at_once = self._at_once * digit.bound

    def wrap(self, k: int) -> Sums:
        words = self._periods[k] * self._at_once
        still = self._periods[k] == self._periods[-1]  # no loop further in iterates
        kept = words * still if self._relevant else words
        return Sums(words, kept, words, kept)

    def step(self, k: int) -> Sums:
        words = (self._periods[k + 1] - self._periods[k]) * self._at_once
        kept = words * 0 if self._relevant else words
        return Sums(words, kept, words, kept)

    def touched(self) -> Count:
        """Distinct elements (or 1) that the instances which share ever hold, summed over the others."""
        return self._at_once * self._periods[-1] if self._relevant else self._at_once


class Rank:
    """Digits of one rank variable as one link sees them.

    Args:
        extent: Iterations of the rank.
        digits: Outermost first; the bounds multiply to at least ``extent``.
        relevant: Whether the rank indexes the tensor (alone in its dimension, coefficient 1).
        one: The number 1 of each candidate.
    """

    def __init__(self, extent: int, digits: Sequence[Digit], relevant: bool, one: Count) -> None:
        self._digits = list(digits)
        self._relevant = relevant
        self._merged = not relevant and any(digit.mode == Mode.SHARED for digit in digits)
        self._one = one
        self._extent = extent
        sizes = [one]
        for digit in reversed(self._digits):
            sizes.append(sizes[-1] * digit.bound)
        self._inner = sizes[-2::-1]  # indices below each digit
        self._size = sizes[-1]
        self._leaf = one
        for digit in self._digits:
            if digit.mode == Mode.TILE and relevant:
                self._leaf = self._leaf * digit.bound
        self._time = [i for i, digit in enumerate(self._digits) if digit.mode == Mode.TIME]
        self._top = _Chunks((self._size == extent) * one, (self._size != extent) * (one * extent))
        self._free, self._tight = self._descend()
        self._final = self._last(0)
        self._first_sums: dict[int, Count] = {}
        self._last_sums: dict[int, Count] = {}

    def _descend(self) -> tuple[list[_Chunks], list[Count]]:
        """Chunks with all digits free, before each digit and at the end; whether the cut passes instance 0 only."""
        states, tight = [self._top], [self._one == 1]
        for digit, inner in zip(self._digits, self._inner, strict=True):
            state = states[-1]
            lead = tight[-1] if digit.mode == Mode.TIME else tight[-1] & (state.rest < inner)
            tight.append(lead)
            states.append(self._spread(state, digit, inner))
        return states, tight

    def _spread(self, state: _Chunks, digit: Digit, inner: Count) -> _Chunks:
        """All temporal indices, all instances (or the one singled out), the tile as a whole."""
        if digit.mode == Mode.TILE:
            return state if self._relevant else state.first(inner)
        return state.free(digit.bound, inner) if digit.at is None else state.at(digit.at, inner)

    def _value(self, state: _Chunks) -> Count:
        """Words (or active instances) of the chunks at the depth of the tile."""
        return state.full * self._leaf + state.rest if self._relevant else state.count()

    def _last(self, depth: int) -> list[Count]:
        """Last lockstep index of every temporal digit from ``depth`` on, inside the cut chunk (else in a full one)."""
        rest = self._free[depth].rest
        tight = self._tight[depth] & (rest > 0)
        rest = choose(tight, rest, self._inner[depth - 1]) if depth else self._one * self._extent
        last = []
        for digit, inner in zip(self._digits[depth:], self._inner[depth:], strict=True):
            if digit.mode == Mode.TIME:
                index = ceil_div(rest, inner) - 1
                last.append(index)
                rest = rest - index * inner
            else:
                rest = least(rest, inner)
        return last

    def _down(self, state: _Chunks, depth: int, last: Sequence[Count] | None) -> _Chunks:
        """From ``depth`` to the tile with temporal digits at 0, or at ``last``."""
        turn = 0
        for digit, inner in zip(self._digits[depth:], self._inner[depth:], strict=True):
            if digit.mode == Mode.TIME:
                state = state.first(inner) if last is None else state.at(last[turn], inner)
                turn += 1
            else:
                state = self._spread(state, digit, inner)
        return state

    def _first_sum(self, depth: int) -> Count:
        """Tiles after a wrap at ``depth``: outer digits free, temporal digits further in at 0."""
        if depth not in self._first_sums:
            self._first_sums[depth] = self._value(self._down(self._free[depth], depth, None))
        return self._first_sums[depth]

    def _last_sum(self, depth: int) -> Count:
        """Tiles before a wrap at ``depth``: temporal digits further in at their last lockstep index."""
        if depth not in self._last_sums:
            self._last_sums[depth] = self._value(self._down(self._free[depth], depth, self._last(depth)))
        return self._last_sums[depth]

    def _depth(self, k: int) -> int:
        """Place just inside temporal digit ``k - 1`` (0: the top)."""
        return self._time[k - 1] + 1 if k else 0

    def _periods(self, k: int) -> Count:
        """Lockstep values of the first ``k`` temporal digits."""
        state, depth = self._top, self._depth(k)
        for digit, inner in zip(self._digits[:depth], self._inner[:depth], strict=True):
            state = state.free(digit.bound, inner) if digit.mode == Mode.TIME else state.first(inner)
        return state.count()

    def _trip(self, k: int) -> tuple[Count, Count]:
        """Iterations of the temporal digits from ``k`` on: in a full period, and in the last one."""
        full, final = self._one, self._one
        for turn, place in enumerate(self._time):
            if turn >= k:
                full = full * self._digits[place].bound
                final = final * (self._final[turn] + 1)
        return full, final

    def touched(self) -> Count:
        """Distinct elements (or 1) that the instances which share ever hold, summed over the others."""
        if self._relevant:
            return self._value(self._free[-1])
        state = self._top
        for digit, inner in zip(self._digits, self._inner, strict=True):
            state = self._spread(state, digit, inner) if digit.mode == Mode.EACH else state.first(inner)
        return state.count()

    def wrap(self, k: int) -> Sums:
        if self._merged:
            return self._merged_wrap(k)
        depth = self._depth(k)
        after, before = self._first_sum(depth), self._last_sum(depth)
        if not self._relevant:  # what is active at the last index is active at the first
            return Sums(after, before, before, before)
        full, final = self._trip(k)
        cut = self._value(self._down_mixed(depth, self._final[:k]))
        stays = choose(full == 1, after, (final == 1) * cut)
        return Sums(after, stays, before, stays)

    def _down_mixed(self, depth: int, last: Sequence[Count]) -> _Chunks:
        """Outer temporal digits at ``last``, the others at 0, all instances."""
        state, turn = self._top, 0
        for i, (digit, inner) in enumerate(zip(self._digits, self._inner, strict=True)):
            if digit.mode == Mode.TIME:
                state = state.at(last[turn], inner) if i < depth else state.first(inner)
                turn += 1
            else:
                state = self._spread(state, digit, inner)
        return state

    def step(self, k: int) -> Sums:
        if self._merged:
            return self._merged_step(k)
        outside, inside = self._depth(k), self._depth(k + 1)
        after = self._first_sum(inside) - self._first_sum(outside)
        before = self._last_sum(inside) - self._last_sum(outside)
        if self._relevant:
            return Sums(after, self._one * 0, before, self._one * 0)
        return Sums(after, after, before, after)  # what is active after the step was active before it

    def _merged_wrap(self, k: int) -> Sums:
        """Irrelevant rank, instances share: a period counts once, and stays unless an instance wakes up in it."""
        depth, periods = self._depth(k), self._periods(k)
        cut = _Chunks(self._one * 0, self._free[depth].rest)
        awake = self._value(self._down(cut, depth, None)) > self._value(self._down(cut, depth, self._last(depth)))
        return Sums(periods, periods - 1 * awake, periods, periods)

    def _merged_step(self, k: int) -> Sums:
        """Irrelevant rank, instances share: backwards, a step stays unless an instance falls idle in it."""
        count = self._periods(k + 1) - self._periods(k)
        place = self._time[k]
        digit, inner = self._digits[place], self._inner[place]
        rest, tight = self._free[place].rest, self._tight[place]
        cut = rest > 0
        index = ceil_div(rest, inner) - 1 * cut
        inside = _Chunks(self._one * 0, rest).at(index, inner)
        full = _Chunks(self._one, self._one * 0)
        everyone = self._value(self._down(full, place + 1, None))
        first = self._value(self._down(inside, place + 1, None))
        loose = [d.bound - 1 for d in self._digits[place + 1 :] if d.mode == Mode.TIME]
        final = self._value(self._down(inside, place + 1, loose))
        falls = 1 * (cut & (index >= 1) & (first < everyone))
        falls = falls + 1 * (cut & (tight == 0) & (index + 1 < digit.bound) & (final > 0))
        return Sums(count, count, count, count - falls)
