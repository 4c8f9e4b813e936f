"""One rank whose bounds may exceed its size: chunks, transitions and idle instances by mixed-radix arithmetic.

The index of a rank variable has one digit for each of its loops, the outermost first. Descending through the digits,
the iterations split into *full* chunks (all alike) and at most one *partial* chunk that the end of the rank cuts; so
every sum below is the number of full chunks times a product, plus one walk along the cut. Instances run in lockstep:
in a step the temporal digits are common, and the last iteration of a loop is the last one that any instance needs,
which is that of the instance with all spatial digits 0.

A transition of the nest is either a *step* of one loop (of this rank or another) with all temporal loops further in
going from their last iteration to their first (*wrap*). `Motion` has for each of these, over all values of the digits
that stay, four sums:

- ``after``, ``before``: words of the tiles after / before the transition (or active instances where the rank does not
  index the tensor);
- ``stays``: the part of ``after`` that was there before; ``stays_back``: the part of ``before`` that is there after.

All arrays have shape ``(candidates,)``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from einloom.model.arrays import Array, ceil_div
from einloom.model.structure import Mode


@dataclass(frozen=True, slots=True)
class Digit:
    """One loop of the rank: how the link sees it, its bound, and the index of an instance that is singled out."""

    mode: Mode
    bound: Array
    at: Array | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of one transition over the digits that stay."""

    after: Array
    stays: Array
    before: Array
    stays_back: Array


@dataclass(frozen=True, slots=True)
class Motion:
    """All transitions of one rank (or of several that share a dimension), as one link sees them.

    Attributes:
        start, end: First and last tile.
        wrap: Entry ``k``: the first ``k`` temporal loops stay, the others wrap.
        step: Entry ``k``: temporal loop ``k`` steps, those outside stay, those inside wrap.
        steps: Sum over all time steps of what is wanted anew in each (for a compute).
    """

    start: Array
    end: Array
    wrap: tuple[Sums, ...]
    step: tuple[Sums, ...]
    steps: Array


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Iterations at one depth: so many full chunks, and the length of the partial one (0: none)."""

    full: Array
    rest: Array

    def free(self, bound: Array, inner: Array) -> _Chunks:
        """All values of a digit."""
        return _Chunks(self.full * bound + self.rest // inner, self.rest % inner)

    def at(self, index: Array | int, inner: Array) -> _Chunks:
        """One value of a digit."""
        rest = np.minimum(np.maximum(self.rest - index * inner, 0), inner)
        whole = rest == inner
        return _Chunks(self.full + whole, np.where(whole, 0, rest))

    def count(self) -> Array:
        return self.full + (self.rest > 0)


class EvenRank:
    """A rank whose bounds multiply to its size: all chunks are full, nobody idles.

    Args:
        digits: Outermost first.
        relevant: Whether the rank indexes the tensor (alone in its dimension, coefficient 1).
        like: Gives shape and type of the arrays.
    """

    def __init__(self, digits: Sequence[Digit], relevant: bool, like: Array) -> None:
        self._relevant = relevant
        self._one = np.ones_like(like)
        self._time = [digit.bound for digit in digits if digit.mode == Mode.TIME]
        counted = {Mode.TILE, Mode.EACH, Mode.SHARED} if relevant else {Mode.EACH}
        self._at_once = self._one
        for digit in digits:
            if digit.mode in counted and digit.at is None:
                self._at_once = self._at_once * digit.bound

    def motion(self) -> Motion:
        """Every transition of this rank."""
        periods = [self._one]
        for bound in self._time:
            periods.append(periods[-1] * bound)
        words = [count * self._at_once for count in periods]
        still = [count == periods[-1] for count in periods]  # no loop further in iterates
        kept = [np.where(s, w, 0) if self._relevant else w for s, w in zip(still, words, strict=True)]
        moved = [inside - outside for outside, inside in itertools.pairwise(words)]
        stepped = [w * 0 if self._relevant else w for w in moved]
        wrap = tuple(Sums(w, k, w, k) for w, k in zip(words, kept, strict=True))
        step = tuple(Sums(w, k, w, k) for w, k in zip(moved, stepped, strict=True))
        return Motion(self._at_once, self._at_once, wrap, step, words[-1])

    def touched(self) -> Array:
        """Distinct elements (or 1) that the instances which share ever hold, summed over the others."""
        touched = self._at_once
        for bound in self._time if self._relevant else ():
            touched = touched * bound
        return touched


class Rank:
    """Digits of one rank variable as one link sees them.

    Args:
        extent: Iterations of the rank.
        digits: Outermost first; the bounds multiply to at least ``extent``.
        relevant: Whether the rank indexes the tensor (alone in its dimension, coefficient 1).
        like: Gives shape and type of the arrays.
    """

    def __init__(self, extent: int, digits: Sequence[Digit], relevant: bool, like: Array) -> None:
        self._digits = list(digits)
        self._relevant = relevant
        self._one = np.ones_like(like)
        self._extent = extent
        sizes = [self._one]
        for digit in reversed(self._digits):
            sizes.append(sizes[-1] * digit.bound)
        self._inner = sizes[-2::-1]  # indices below each digit
        self._size = sizes[-1]
        self._leaf = self._one
        for digit in self._digits:
            if digit.mode == Mode.TILE:
                self._leaf = self._leaf * digit.bound
        if not relevant:
            self._leaf = self._one
        self._time = [i for i, digit in enumerate(self._digits) if digit.mode == Mode.TIME]
        self._free, self._tight = self._descend()
        self._final = self._last(0)

    def _top(self) -> _Chunks:
        whole = self._size == self._extent
        return _Chunks(np.where(whole, 1, 0) * self._one, np.where(whole, 0, self._extent) * self._one)

    def _descend(self) -> tuple[list[_Chunks], list[Array]]:
        """Chunks with all digits free, before each digit and at the end; whether the cut passes instance 0 only."""
        states, tight = [self._top()], [self._one == 1]
        for digit, inner in zip(self._digits, self._inner, strict=True):
            state = states[-1]
            lead = tight[-1] if digit.mode == Mode.TIME else tight[-1] & (state.rest // inner == 0)
            tight.append(lead)
            states.append(self._spread(state, digit, inner))
        return states, tight

    def _spread(self, state: _Chunks, digit: Digit, inner: Array) -> _Chunks:
        """All temporal indices, all instances (or the one singled out), the tile as a whole."""
        if digit.mode == Mode.TILE:
            return state if self._relevant else state.at(0, inner)
        return state.free(digit.bound, inner) if digit.at is None else state.at(digit.at, inner)

    def _value(self, state: _Chunks) -> Array:
        """Words (or active instances) of the chunks at the depth of the tile."""
        return state.full * self._leaf + state.rest if self._relevant else state.count()

    def _last(self, depth: int) -> list[Array]:
        """Last lockstep index of every temporal digit from ``depth`` on, inside the cut chunk (else in a full one)."""
        size = self._inner[depth - 1] if depth else self._size
        rest = self._free[depth].rest
        tight = self._tight[depth] & (rest > 0)
        rest = np.where(tight, rest, size)
        if depth == 0:
            rest = self._extent * self._one
        last = []
        for digit, inner in zip(self._digits[depth:], self._inner[depth:], strict=True):
            if digit.mode == Mode.TIME:
                index = ceil_div(rest, inner) - 1
                last.append(index)
                rest = rest - index * inner
            else:
                rest = np.minimum(rest, inner)
        return last

    def _down(self, state: _Chunks, depth: int, last: Sequence[Array] | None) -> _Chunks:
        """From ``depth`` to the tile with temporal digits at 0, or at ``last``."""
        turn = 0
        for digit, inner in zip(self._digits[depth:], self._inner[depth:], strict=True):
            if digit.mode == Mode.TIME:
                state = state.at(0 if last is None else last[turn], inner)
                turn += 1
            else:
                state = self._spread(state, digit, inner)
        return state

    def _first_sum(self, depth: int) -> Array:
        """Tiles after a wrap at ``depth``: outer digits free, temporal digits further in at 0."""
        return self._value(self._down(self._free[depth], depth, None))

    def _last_sum(self, depth: int) -> Array:
        """Tiles before a wrap at ``depth``: temporal digits further in at their last lockstep index."""
        return self._value(self._down(self._free[depth], depth, self._last(depth)))

    def _depth(self, k: int) -> int:
        """Place just inside temporal digit ``k - 1`` (0: the top)."""
        return self._time[k - 1] + 1 if k else 0

    def _periods(self, k: int) -> Array:
        """Lockstep values of the first ``k`` temporal digits."""
        state, depth = self._top(), self._depth(k)
        for digit, inner in zip(self._digits[:depth], self._inner[:depth], strict=True):
            state = state.free(digit.bound, inner) if digit.mode == Mode.TIME else state.at(0, inner)
        return state.count()

    def _trip(self, k: int) -> tuple[Array, Array]:
        """Iterations of the temporal digits from ``k`` on: in a full period, and in the last one."""
        full, final = self._one, self._one
        for turn, place in enumerate(self._time):
            if turn >= k:
                full = full * self._digits[place].bound
                final = final * (self._final[turn] + 1)
        return full, final

    def motion(self) -> Motion:
        """Every transition of this rank."""
        loops = range(len(self._time))
        merged = not self._relevant and any(digit.mode == Mode.SHARED for digit in self._digits)
        wrap = [self._merged_wrap(k) if merged else self._wrap(k) for k in range(len(self._time) + 1)]
        step = [self._merged_step(k) if merged else self._step(k) for k in loops]
        top, last = self._top(), self._final
        first, final = self._value(self._down(top, 0, None)), self._value(self._down(top, 0, last))
        steps = self._periods(len(self._time)) if merged else self._value(self._free[-1])
        if merged:
            first, final = self._one, self._one
        return Motion(first, final, tuple(wrap), tuple(step), steps)

    def touched(self) -> Array:
        """Distinct elements (or 1) that the instances which share ever hold, summed over the others."""
        if self._relevant:
            return self._value(self._free[-1])
        state = self._top()
        for digit, inner in zip(self._digits, self._inner, strict=True):
            state = self._spread(state, digit, inner) if digit.mode == Mode.EACH else state.at(0, inner)
        return state.count()

    def _wrap(self, k: int) -> Sums:
        depth = self._depth(k)
        after, before = self._first_sum(depth), self._last_sum(depth)
        if not self._relevant:  # what is active at the last index is active at the first
            return Sums(after, before, before, before)
        full, final = self._trip(k)
        last = self._final[:k]
        cut = self._value(self._down_mixed(depth, last))
        stays = np.where(full == 1, after, np.where(final == 1, cut, 0))
        return Sums(after, stays, before, stays)

    def _down_mixed(self, depth: int, last: Sequence[Array]) -> _Chunks:
        """Outer temporal digits at ``last``, the others at 0, all instances."""
        state, turn = self._top(), 0
        for i, (digit, inner) in enumerate(zip(self._digits, self._inner, strict=True)):
            if digit.mode == Mode.TIME:
                state = state.at(last[turn] if i < depth else 0, inner)
                turn += 1
            else:
                state = self._spread(state, digit, inner)
        return state

    def _step(self, k: int) -> Sums:
        outside, inside = self._depth(k), self._depth(k + 1)
        after = self._first_sum(inside) - self._first_sum(outside)
        before = self._last_sum(inside) - self._last_sum(outside)
        if self._relevant:
            return Sums(after, self._one * 0, before, self._one * 0)
        return Sums(after, after, before, after)  # what is active after the step was active before it

    def _merged_wrap(self, k: int) -> Sums:
        """Irrelevant rank, instances share: a period counts once, and stays unless an instance wakes up in it."""
        depth, periods = self._depth(k), self._periods(k)
        state = self._free[depth]
        cut = _Chunks(self._one * 0, state.rest)
        awake = self._value(self._down(cut, depth, None)) > self._value(self._down(cut, depth, self._last(depth)))
        return Sums(periods, periods - awake, periods, periods)

    def _merged_step(self, k: int) -> Sums:
        """Irrelevant rank, instances share: backwards, a step stays unless an instance falls idle in it."""
        count = self._periods(k + 1) - self._periods(k)
        place = self._time[k]
        digit, inner = self._digits[place], self._inner[place]
        rest, tight = self._free[place].rest, self._tight[place]
        index = np.maximum(ceil_div(rest, inner) - 1, 0)
        inside = _Chunks(self._one * 0, rest).at(index, inner)
        full = _Chunks(self._one, self._one * 0)
        everyone = self._value(self._down(full, place + 1, None))
        first = self._value(self._down(inside, place + 1, None))
        loose = [d.bound - 1 for d in self._digits[place + 1 :] if d.mode == Mode.TIME]
        final = self._value(self._down(inside, place + 1, loose))
        falls = ((rest > 0) & (index >= 1) & (first < everyone)).astype(count.dtype)
        falls = falls + ((rest > 0) & ~tight & (index + 1 < digit.bound) & (final > 0))
        return Sums(count, count, count, count - falls)
