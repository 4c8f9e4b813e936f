"""Laws of the motion of ranks that share one dimension: by classes of alike transitions, by closed form, and listed.

The three share no code: `intervals` sums classes, `windows` is a formula, `groups` lists every step and instance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from strategies import law

from einloom.model.digits import Digit
from einloom.model.groups import Group, IntDigit
from einloom.model.intervals import Intervals
from einloom.model.structure import Mode
from einloom.model.windows import EvenWindow, Line

KINDS = ("after", "stays", "before", "stays_back")


@dataclass(frozen=True)
class Drawn:
    """Ranks of one dimension: their sizes, coefficients, loops, and the order of their loops in the nest."""

    extents: dict[str, int]
    coefficients: dict[str, int]
    digits: dict[str, list[IntDigit]]

    @property
    def order(self) -> list[int]:
        loops = sorted((d.loop, var) for var, digits in self.digits.items() for d in digits if d.mode == Mode.TIME)
        return [list(self.extents).index(var) for _, var in loops]

    def lines(self, number) -> list[Line]:
        """Bounds as ``number`` makes them: arrays, or plain integers."""
        return [
            Line(
                extent,
                self.coefficients[var],
                tuple(Digit(d.mode, number(d.bound), None if d.at is None else number(d.at)) for d in self.digits[var]),
            )
            for var, extent in self.extents.items()
        ]

    def listed(self) -> Group:
        dim = tuple(self.coefficients.items())
        return Group(self.extents, self.digits, (dim,) if all(self.coefficients.values()) else ())


@st.composite
def ranks(draw, clipped: bool) -> Drawn:
    """One or two ranks, or one that the tensor ignores; any order of loops and modes, the tile innermost."""
    ignored = draw(st.integers(0, 5)) == 0
    names = "p" if ignored else "pr"[: draw(st.integers(1, 2))]
    places = iter(draw(st.permutations(range(12))))
    extents, coefficients, digits = {}, {}, {}
    for var in names:
        modes = draw(st.lists(st.sampled_from(list(Mode)), min_size=1, max_size=5))
        if not ignored:
            modes.sort(key=lambda mode: mode == Mode.TILE)
        loops = sorted(next(places) for _ in modes)
        digits[var] = [_digit(draw, loop, mode) for loop, mode in zip(loops, modes, strict=True)]
        size = math.prod(d.bound for d in digits[var])
        extents[var] = draw(st.integers(max(1, size // 3), size)) if clipped else size
        coefficients[var] = 0 if ignored else draw(st.sampled_from((1, 1, 2, 3, -1)))
    return Drawn(extents, coefficients, digits)


def _digit(draw, loop: int, mode: Mode) -> IntDigit:
    bound = draw(st.integers(1, 4))
    single = mode in (Mode.EACH, Mode.SHARED) and draw(st.integers(0, 5)) == 0
    return IntDigit(loop, mode, bound, draw(st.integers(0, bound - 1)) if single else None)


def sums(motion, loops: int) -> list[tuple[int, ...]]:
    found = [motion.wrap(k) for k in range(loops + 1)] + [motion.step(k) for k in range(loops)]
    return [tuple(int(np.asarray(getattr(s, kind)).reshape(-1)[0]) for kind in KINDS) for s in found]


@law(ranks(clipped=True), share=5)
def test_classes_of_alike_transitions_add_up_to_all_that_are_listed(drawn):
    motion = Intervals(drawn.lines(lambda n: np.array([n])), drawn.order, np.array([1]))
    assert sums(motion, len(drawn.order)) == sums(drawn.listed(), len(drawn.order))


@law(ranks(clipped=False), share=5)
def test_where_nothing_is_cut_the_closed_form_adds_up_to_all_that_are_listed(drawn):
    listed = sums(drawn.listed(), len(drawn.order))
    assert sums(EvenWindow(drawn.lines(int), drawn.order, 1), len(drawn.order)) == listed
    rows = EvenWindow(drawn.lines(lambda n: np.array([n, n])), drawn.order, np.array([1, 1]))
    assert sums(rows, len(drawn.order)) == listed


@law(ranks(clipped=True), st.integers(0, 2**32 - 1), share=0.3)
def test_candidates_do_not_know_of_each_other(drawn, seed):
    """Rows that differ in bounds only, beside each other and alone."""
    more = np.random.default_rng(seed).integers(0, 3, (12, 4))

    def motion(rows: list[int]) -> Intervals:
        lines = []
        for line, digits in zip(drawn.lines(int), drawn.digits.values(), strict=True):
            columns = (
                Digit(d.mode, d.bound + more[place.loop][rows], None if d.at is None else np.full(len(rows), d.at))
                for d, place in zip(line.digits, digits, strict=True)
            )
            lines.append(replace(line, digits=tuple(columns)))
        return Intervals(lines, drawn.order, np.ones(len(rows), dtype=np.int64))

    together = motion([0, 1, 2, 3])
    for row in range(4):
        alone = motion([row])
        for k in range(len(drawn.order)):
            for kind in KINDS:
                assert getattr(together.step(k), kind)[row] == getattr(alone.step(k), kind)[0]
                assert getattr(together.wrap(k), kind)[row] == getattr(alone.wrap(k), kind)[0]
