"""Slots of a schedule: the iterations of the loops in time above it, in classes that take the same cycles.

Along each rank a tile is the first, the last (perhaps clipped), or one between. An Einsum that does not iterate a
shared loop is at work in its last iteration, or in its first where it feeds the others; in every class the cycles of an
Einsum are an integer, so a schedule that waits at barriers is summed exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Loop, Spatial
from einloom.mappings.tree import Branch, Placed
from einloom.model.fused.program import Item, Leaf, Program, bound, tile_inside, variable_of


@dataclass(frozen=True, slots=True)
class Tile:
    """Tiles of one rank over its shared loops that behave alike: how many, how long, whether first and last."""

    count: int
    size: int
    first: bool
    last: bool


@dataclass(frozen=True, eq=False)
class Slots:
    """The slots of one schedule.

    Attributes:
        program: Of the tree.
        group: The list that ends in the schedule.
    """

    program: Program
    group: Branch

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        return tuple(self.program.below(self.group))

    @cached_property
    def shared(self) -> tuple[Placed, ...]:
        """Loops in time above the schedule, outermost first."""
        way = self.leaves[0].way
        lists = way[: way.index(self.group) + 1]
        return tuple(placed for branch in lists for placed in branch.nodes if isinstance(placed.node, Loop))

    @property
    def count(self) -> int:
        """Slots: those in which some Einsum has work."""
        return math.prod(sum(tile.count for tile in tiles) for tiles in self.tiles.values())

    @cached_property
    def tiles(self) -> Mapping[str, tuple[Tile, ...]]:
        """Classes of tiles of each rank that a shared loop iterates."""
        variables = dict.fromkeys(variable_of(placed) for placed in self.shared)
        return {variable: self._tiles(variable) for variable in variables}

    def _tiles(self, variable: str) -> tuple[Tile, ...]:
        leaf = next((leaf for leaf in self.leaves if variable in leaf.einsum.extents), None)
        mine = [placed for placed in self.shared if variable_of(placed) == variable]
        if leaf is None:  # nobody below iterates it: every Einsum runs in one iteration
            return (Tile(1, 1, True, True),)
        loops = leaf.loops_of[variable]
        size = tile_inside(leaf, mine[-1], variable)
        extent = leaf.einsum.extents[variable]
        outer = [p for p in loops[: loops.index(mine[-1])] if isinstance(p.node, Spatial)]
        whole = math.prod(bound(p) for p in loops) == extent
        if outer:
            if not whole:
                raise MappingError(
                    Problem(
                        f"`{outer[0].node}` stands above `{mine[-1].node}`, whose tiles do not divide {extent}",
                        "put the spatial loop below the loop in time, or choose bounds that divide the rank",
                        outer[0].place,
                    )
                )
            count = math.prod(bound(p) for p in mine)
            size = extent // count
        else:
            count = -(-extent // size)
        rest = extent - (count - 1) * size
        if count == 1:
            return (Tile(1, rest, True, True),)
        between = (Tile(count - 2, size, False, False),) if count > 2 else ()
        return (Tile(1, size, True, False), *between, Tile(1, rest, False, True))

    @cached_property
    def classes(self) -> tuple[tuple[int, Mapping[str, Tile]], ...]:
        """(how many slots, tile of each shared rank), for each class of slots that differ in what runs."""
        telling = {v: tiles for v, tiles in self.tiles.items() if self._tells(v, tiles)}
        others = math.prod(sum(tile.count for tile in tiles) for v, tiles in self.tiles.items() if v not in telling)
        rest = {v: tiles[0] for v, tiles in self.tiles.items() if v not in telling}
        return tuple(
            (others * math.prod(tile.count for tile in chosen), {**rest, **dict(zip(telling, chosen, strict=True))})
            for chosen in itertools.product(*telling.values())
        )

    def _tells(self, variable: str, tiles: Sequence[Tile]) -> bool:
        """Whether slots differ along a rank: a clipped tile, or work that does not run in every slot."""
        if len(tiles) == 1:
            return False
        if len({tile.size for tile in tiles}) > 1:
            return True
        return any(variable not in item.variables for leaf in self.leaves for item in leaf.items)

    def cycles(self, item: Item, tiles: Mapping[str, Tile]) -> int:
        """Cycles of some work in a slot; 0 where it does not run."""
        total = item.cycles
        for variable, tile in tiles.items():
            if variable not in item.variables and not (tile.first if self.first(item, variable) else tile.last):
                return 0
        for variable in item.variables:
            total *= self._steps(item.leaf, variable, tiles)
        return total

    def _steps(self, leaf: Leaf, variable: str, tiles: Mapping[str, Tile]) -> int:
        """Steps in time along one rank in a slot."""
        size = tiles[variable].size if variable in tiles else leaf.einsum.extents[variable]
        key = leaf.name, variable, size
        if key not in self._known_steps:
            loops = [placed for placed in leaf.loops_of[variable] if placed not in self.shared]
            self._known_steps[key] = steps_in([(bound(p), isinstance(p.node, Loop)) for p in loops], size)
        return self._known_steps[key]

    @cached_property
    def _known_steps(self) -> dict[tuple[str, str, int], int]:
        return {}

    def first(self, item: Item, variable: str) -> bool:
        """Whether work that does not iterate a shared loop runs in its first iteration, as it feeds the others."""
        if variable in item.leaf.einsum.extents:
            return False  # what is left over after a reduction: it is done when that is complete
        return self.feeds(item.leaf, variable)

    def feeds(self, leaf: Leaf, variable: str) -> bool:
        """Whether an Einsum that iterates a shared loop reads, directly or through others, what ``leaf`` writes."""
        return (leaf.name, variable) in self._feeding

    @cached_property
    def _feeding(self) -> frozenset[tuple[str, str]]:
        inside = {leaf.name: leaf for leaf in self.leaves}
        found: set[tuple[str, str]] = set()
        for variable in self.tiles:
            feeding = {name for name, leaf in inside.items() if variable in leaf.einsum.extents}
            waiting = set(inside) - feeding
            changed = True
            while changed:
                more = {
                    read.producer for read in self.program.flow.reads
                    if read.producer in waiting and read.consumer in feeding and read.distance == 0
                }  # fmt: skip
                changed = bool(more)
                feeding |= more
                waiting -= more
                found |= {(name, variable) for name in more}
        return frozenset(found)


def steps_in(loops: Iterable[tuple[int, bool]], size: int) -> int:
    """Distinct combinations of the loops in time of one rank over ``size`` indices.

    Args:
        loops: (iterations, whether in time), outermost first.
    """
    every = list(loops)
    inner = math.prod(count for count, _ in every)
    whole, rest = (1, 0) if inner == size else (0, size)
    for count, in_time in every:
        inner //= count
        if in_time:
            whole, rest = whole * count + rest // inner, rest % inner
        elif rest >= inner:
            whole, rest = whole + 1, 0
    return whole + (rest > 0)
