"""Shared loops of a group: every order and split of the ranks that may be shared, as arrays of bounds.

A shape is a sequence of rank variables, outermost first; a candidate gives each of its loops a bound. From these follow
the tile of a slot, how often the tile of a tensor changes at any depth, and what it takes there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from einloom.mapper.fusion.group import Group, Part
from einloom.mapper.space import divisors

Floats = npt.NDArray[np.float64]
FEW = 3
"""Loops that are shared, beside those over batch ranks, where so many ranks or fewer can be blocked."""
MANY = 2
"""Loops that are shared where more ranks can be."""


@dataclass(frozen=True, eq=False)
class Nests:
    """Candidates with the same sequence of shared loops.

    Attributes:
        group: Whose loops they are.
        loops: Rank variables, outermost first: batch ranks, then the blocked ones.
        bounds: Shape ``(candidates, loops)``.
    """

    group: Group
    loops: tuple[str, ...]
    bounds: Floats

    def __len__(self) -> int:
        return len(self.bounds)

    def inside(self, variable: str, depth: int) -> Floats:
        """Extent of a rank below the first ``depth`` loops. Shape ``(candidates,)``."""
        key = variable, self.loops[:depth].count(variable)
        if key not in self._inside:
            mine = [i for i, loop in enumerate(self.loops[:depth]) if loop == variable]
            self._inside[key] = self.group.extents[variable] / self.bounds[:, mine].prod(axis=1)
        return self._inside[key]

    @cached_property
    def _inside(self) -> dict[tuple[str, int], Floats]:
        return {}

    def tiles(self, part: Part) -> Floats:
        """Extents of the ranks of an Einsum in a slot. Shape ``(candidates, ranks)``."""
        return np.stack([self.inside(rank, len(self.loops)) for rank in part.extents], axis=1)

    def visits(self, part: Part, variables: frozenset[str], depth: int) -> Floats:
        """How often a tile below ``depth`` loops changes in the nest of an Einsum, the first time included."""
        total = np.ones(len(self))
        moving = np.zeros(len(self), dtype=bool)
        for i in range(depth - 1, -1, -1):
            if self.loops[i] not in part.extents:
                continue
            bound = self.bounds[:, i]
            if self.loops[i] in variables:
                moving = moving | (bound > 1)
            total = total * np.where(moving, bound, 1.0)
        return total

    def elements(self, variables: frozenset[str], depth: int) -> Floats:
        """Elements of a tile below the first ``depth`` loops."""
        total = np.ones(len(self))
        for variable in variables:
            total = total * self.inside(variable, depth)
        return total

    @cached_property
    def slots(self) -> Floats:
        return np.asarray(self.bounds.prod(axis=1))

    def outermost(self, variables: frozenset[str] | set[str]) -> int:
        """Loops above the first one over any of some ranks: all of them where there is none."""
        return next((i for i, loop in enumerate(self.loops) if loop in variables), len(self.loops))


def nests_of(group: Group) -> Iterator[Nests]:
    """Every candidate of a group. Ranks of generations are iterated whole."""
    head = tuple(group.batch)
    head_bounds = [float(group.extents[var]) for var in head]
    states = [var for var in group.states if group.extents[var] > 1]
    for shape in _shapes(group.blocked, states):
        bounds = _bounds(group, shape, states)
        if len(bounds):
            whole = np.tile(np.array(head_bounds).reshape(1, -1), (len(bounds), 1))
            yield Nests(group, head + shape, np.concatenate([whole, bounds], axis=1))


def _shapes(blocked: tuple[str, ...], states: list[str]) -> Iterator[tuple[str, ...]]:
    """Sequences without equal neighbours, shortest first; a rank of generations stands in each, once."""
    most = max(FEW if len(blocked) <= FEW else MANY, len(states))
    for length in range(most + 1):
        for shape in itertools.product(blocked, repeat=length):
            neighbours = any(a == b for a, b in itertools.pairwise(shape))
            if not neighbours and all(shape.count(state) == 1 for state in states):
                yield shape


def _bounds(group: Group, shape: tuple[str, ...], states: list[str]) -> Floats:
    choices = []
    order: list[int] = []
    for var in dict.fromkeys(shape):
        places = [i for i, loop in enumerate(shape) if loop == var]
        order += places
        extent = group.extents[var]
        choices.append([(extent,)] if var in states else list(_chains(extent, len(places))))
    rows = [tuple(b for chain in chosen for b in chain) for chosen in itertools.product(*choices)]
    if not rows:
        return np.zeros((0, len(shape)))
    table = np.array(rows, dtype=float).reshape(len(rows), len(shape))
    back = np.argsort(np.array(order, dtype=int)) if order else np.zeros(0, dtype=int)
    return table[:, back]


def _chains(extent: int, length: int) -> Iterator[tuple[int, ...]]:
    """Bounds above 1 of some loops over a rank, whose product divides it."""
    if length == 0:
        yield ()
        return
    for first in divisors(extent):
        if first > 1:
            for rest in _chains(extent // first, length - 1):
                yield (first, *rest)
