"""The declared map space of one Einsum on one path of levels.

In the order of the levels, every memory has one block of temporal loops below it (one loop a rank, in some order) and
every fanout its spatial loops (one rank an axis). A mapping chooses

- for each tensor, which of the inner memories hold it (bypass of any, as the rules allow); the outermost holds all;
- for each axis, a rank that the rules allow, which takes all instances it can: clipped where the size does not divide
  the rank, unless a window slides over that rank or only perfect bounds are wanted, then the largest divisor that fits;
- for each rank, how what is left is split over the blocks: every ordered factorization;
- for each block a loop order. Orders in which every tensor ignores the same innermost loops cost the same, so one of
  them stands for all.

Where that takes more than `LARGEST` effort, the space is narrowed in steps that the result names.

A template may lay an Einsum out itself (``rules.layouts``) and say below which memories a rank may loop
(``rules.blocks``): then the space is those layouts and blocks, with one loop order a stationary tensor.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Fanout, Level, Memory
from einloom.mapper.layouts import axis_of, laid_out
from einloom.mappings import Bind, Hold, Loop, Nodes, Spatial
from einloom.model.arrays import Array
from einloom.workloads.sized import Access, SizedEinsum

LARGEST = 100_000_000
"""Effort (see `Space.effort`) that one Einsum may take before its space is narrowed: some seconds."""

Axis = tuple[str, str]
Order = tuple[str, ...]
Holding = frozenset[int]
"""Places of the inner memories that hold one tensor."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a smaller space leaves out.

    Attributes:
        text: For the user.
        whole_below: Ranks of at most this size are not split, and stand in the innermost block.
        stationary: Only one loop order a tensor and block: that tensor's irrelevant ranks innermost.
        blocks: Ranks are split over the outermost and innermost of this many blocks at most.
    """

    text: str
    whole_below: int = 0
    stationary: bool = False
    blocks: int = 99


LAID_OUT = Narrowing("the template's layouts and blocks, tile sizes, bypass, one loop order a stationary tensor")

NARROWINGS = (
    Narrowing("per-memory loop orders, tile sizes, bypass and spatial choices"),
    Narrowing("ranks up to 11 unsplit in the innermost block", whole_below=11),
    Narrowing("ranks up to 11 unsplit, one loop order a stationary tensor", whole_below=11, stationary=True),
    Narrowing("ranks up to 11 unsplit, one order a stationary tensor, ranks split over two blocks", 11, True, 2),
)


@dataclass(frozen=True)
class Space:
    """Mappings with the same ranks on the axes.

    Attributes:
        einsum: What is mapped.
        path: Levels, outermost first.
        axes: Rank variable on each used axis.
        chains: For each rank its candidate bounds, one row a candidate, one column a loop (outermost first).
        orders: Loop orders worth costing, for each block.
        holdings: For each tensor, the sets of inner memories that may hold it.
        places: For each block, the ranks that may loop there.
    """

    einsum: SizedEinsum
    path: tuple[Level, ...]
    axes: Mapping[Axis, str]
    chains: Mapping[str, Array]
    orders: tuple[tuple[Order, ...], ...]
    holdings: Mapping[str, tuple[Holding, ...]]
    places: tuple[frozenset[str], ...]

    def stationary(self, access: Access) -> tuple[Order, ...]:
        """For each block the loop order in which ``access`` moves least."""
        order = stationary_order(self.einsum, access)
        return tuple(tuple(var for var in order if var in ranks) for ranks in self.places)

    @cached_property
    def memories(self) -> tuple[int, ...]:
        """Places of the memories, outermost first: one block of loops below each."""
        return tuple(place for place, level in enumerate(self.path) if isinstance(level, Memory))

    @property
    def tilings(self) -> int:
        return math.prod(len(rows) for rows in self.chains.values())

    @property
    def size(self) -> int:
        holds = math.prod(len(choices) for choices in self.holdings.values())
        return self.tilings * holds * math.prod(len(orders) for orders in self.orders)

    @property
    def effort(self) -> int:
        """Array elements that the search touches: to bound a tiling about ten a tensor and set of holders and one a
        combination; where windows leave the bounds weak, also a hundred to cost it in each order."""
        choices = [len(holdings) for holdings in self.holdings.values()]
        bounding = self.tilings * (10 * sum(choices) + math.prod(choices))
        return bounding + (100 * self.size if has_windows(self.einsum) else 0)

    def nodes(
        self, order: Sequence[Order], holding: Mapping[str, Holding], bounds: Mapping[str, Sequence[int]]
    ) -> Nodes:
        """The nest for one loop order a block, what holds each tensor, and the bounds of each rank's loops."""
        left = {var: iter(row) for var, row in bounds.items()}
        nodes: list[Hold | Loop | Spatial | Bind] = []
        for place, level in enumerate(self.path):
            if isinstance(level, Memory):
                held = tuple(t for t, places in holding.items() if place in places or place == self.memories[0])
                nodes += [Hold(level.name, held)] if held else []
                block = order[self.memories.index(place)]
                nodes += [Loop(var, int(next(left[var]))) for var in block]
            elif isinstance(level, Fanout):
                for axis in level.axes:
                    if (level.name, axis) in self.axes:
                        var = self.axes[level.name, axis]
                        nodes.append(Spatial(level.name, axis_of(axis), var, int(next(left[var]))))
        return (*nodes, Bind(self.path[-1].name))


def declare(
    einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules, perfect: bool
) -> tuple[list[Space], Narrowing]:
    """The largest declared space of at most `LARGEST` effort (or the smallest there is), by ranks on the axes."""
    if rules.layouts or rules.blocks:
        return list(_spaces(einsum, path, rules, perfect, LAID_OUT)), LAID_OUT
    for narrowing in NARROWINGS:
        spaces = list(_spaces(einsum, path, rules, perfect, narrowing))
        if sum(space.effort for space in spaces) <= LARGEST:
            break
    return spaces, narrowing


def _spaces(
    einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules, perfect: bool, narrowing: Narrowing
) -> Iterator[Space]:
    memories = [place for place, level in enumerate(path) if isinstance(level, Memory)]
    places = tuple(
        frozenset(var for var in einsum.extents if path[place].name in rules.blocks.get(var, {path[place].name}))
        for place in memories
    )
    orders = [_orders(einsum, narrowing.stationary or bool(rules.blocks), ranks) for ranks in places[:-1]]
    last = (tuple(var for var in einsum.extents if var in places[-1]),)  # only the compute is left: it holds nothing
    holdings = _holdings(einsum, path, rules, memories)
    limits = {
        var: 1 if var in rules.whole or extent <= narrowing.whole_below else narrowing.blocks
        for var, extent in einsum.extents.items()
    }
    seen = set()
    for levels, axes, sizes in _layouts(einsum, path, rules, perfect):
        alike = _alike(levels, axes, sizes)
        if alike in seen:
            continue
        seen.add(alike)
        chains = {}
        for var in einsum.extents:
            blocks = [place for place, ranks in zip(memories, places, strict=True) if var in ranks]
            chain = _chain(einsum, var, levels, axes, sizes, limits[var], blocks)
            chains[var] = _that_fit(einsum, var, levels, axes, holdings, chain, blocks)
        yield Space(einsum, levels, axes, chains, (*orders, last), holdings, places)


def _layouts(
    einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules, perfect: bool
) -> Iterator[tuple[tuple[Level, ...], dict[Axis, str], dict[Axis, int]]]:
    """Levels, the rank on each axis and its bound: those of the template, or one rank on each axis that takes any."""
    if rules.layouts:
        yield from (laid_out(path, layout) for layout in rules.layouts)
        return
    for axes in _axis_choices(einsum, path, rules):
        for sizes in _axis_sizes(einsum, path, axes, perfect):
            yield path, axes, sizes


def _holdings(
    einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules, memories: Sequence[int]
) -> dict[str, tuple[Holding, ...]]:
    found = {}
    for tensor in dict.fromkeys(access.tensor for access in einsum.accesses):
        must = {place for place in memories[1:] if tensor in rules.holding(path[place].name).must}
        may = [p for p in memories[1:] if p not in must and rules.holding(path[p].name).allows(tensor)]
        chosen = itertools.chain.from_iterable(itertools.combinations(may, n) for n in range(len(may), -1, -1))
        found[tensor] = tuple(frozenset(must.union(free)) for free in chosen)
    return found


def _axis_choices(einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules) -> Iterator[dict[Axis, str]]:
    """One rank (of more than one iteration) on each axis that may carry one."""
    axes = [
        (level.name, axis) for level in path if isinstance(level, Fanout) for axis in level.axes if level.axes[axis] > 1
    ]
    options = []
    for fanout, axis in axes:
        allowed = [v for v, n in einsum.extents.items() if n > 1 and rules.axis_allows(fanout, axis, v)]
        options.append(allowed or [""])
    for combination in itertools.product(*options):
        yield {axis: var for axis, var in zip(axes, combination, strict=True) if var}


def _axis_sizes(
    einsum: SizedEinsum, path: tuple[Level, ...], axes: Mapping[Axis, str], perfect: bool
) -> Iterator[dict[Axis, int]]:
    """The bound on each axis: all instances that the rank can use, or the largest divisor of what is left of it."""
    sizes: list[tuple[dict[Axis, int], dict[str, int]]] = [({}, dict(einsum.extents))]
    for (fanout, axis), var in axes.items():
        size = next(level.axes[axis] for level in path if isinstance(level, Fanout) and level.name == fanout)
        sizes = [
            ({**chosen, (fanout, axis): bound}, {**left, var: -(-left[var] // bound)})
            for chosen, left in sizes
            for bound in _bounds_on_axis(size, left[var], perfect or _slides(einsum, var))
        ]
    for chosen, _ in sizes:
        yield chosen


def _bounds_on_axis(size: int, left: int, divides: bool) -> tuple[int, ...]:
    divisor, clipped = max(d for d in divisors(left) if d <= size), min(size, left)
    return (divisor,) if divides or divisor == clipped else (divisor, clipped)


def _alike(path: tuple[Level, ...], axes: Mapping[Axis, str], sizes: Mapping[Axis, int]) -> object:
    """Equal for choices that differ only in which of two axes of a fanout carries what."""
    return tuple(
        frozenset((axes[key], sizes[key], n) for n, key in _numbered(level, axes, sizes))
        for level in path
        if isinstance(level, Fanout)
    )


def _numbered(level: Fanout, axes: Mapping[Axis, str], sizes: Mapping[Axis, int]) -> Iterator[tuple[int, Axis]]:
    """Axes in use, numbered among those that carry the same rank with the same bound."""
    count: dict[tuple[str, int], int] = {}
    for axis in level.axes:
        key = (level.name, axis)
        if key in axes:
            what = (axes[key], sizes[key])
            count[what] = count.get(what, 0) + 1
            yield count[what], key


def _slides(einsum: SizedEinsum, variable: str) -> bool:
    """Whether the rank indexes a dimension together with another, or by a multiple."""
    return any(
        variable in dict(dim) and (len(dim) > 1 or abs(dict(dim)[variable]) != 1)
        for access in einsum.accesses
        for dim in access.dims
    )


def _chain(
    einsum: SizedEinsum, variable: str, path: tuple[Level, ...], axes: Mapping[Axis, str], sizes: Mapping[Axis, int],
    limit: int, below: Sequence[int],
) -> Array:  # fmt: skip
    """Bounds of one rank: a column for each block and each axis that it runs on, in nest order.

    Args:
        limit: Blocks over which it may be split: 1 is the innermost, 2 the outermost and the innermost, ...
        below: Places of the memories below which it may loop.
    """
    taken = math.prod(sizes[axis] for axis, var in axes.items() if var == variable)
    rest = -(-einsum.extents[variable] // taken)
    blocks = len(below)
    splits = _splits(rest, min(limit, blocks))
    if limit < blocks:
        middle = np.ones((len(splits), blocks - limit), dtype=np.int64)
        splits = np.concatenate([splits[:, : limit - 1], middle, splits[:, limit - 1 :]], axis=1)
    columns, turn = [], 0
    for place, level in enumerate(path):
        if place in below:
            columns.append(splits[:, turn])
            turn += 1
        elif isinstance(level, Fanout):
            columns += [
                np.full(len(splits), sizes[level.name, axis])
                for axis in level.axes
                if axes.get((level.name, axis)) == variable
            ]
    return np.stack(columns, axis=1)


def _that_fit(
    einsum: SizedEinsum, variable: str, path: tuple[Level, ...], axes: Mapping[Axis, str],
    holdings: Mapping[str, tuple[Holding, ...]], chain: Array, below: Sequence[int],
) -> Array:  # fmt: skip
    """Rows of one rank's chain that fit every memory which must hold a tensor of it, all other ranks at one."""
    fits = np.ones(len(chain), dtype=bool)
    tile = np.ones(len(chain), dtype=np.int64)
    column = chain.shape[1]
    for place in range(len(path) - 1, -1, -1):
        level = path[place]
        if isinstance(level, Fanout):
            for axis in reversed(tuple(level.axes)):
                if axes.get((level.name, axis)) == variable:
                    column -= 1
                    tile = tile * chain[:, column]
        elif isinstance(level, Memory):
            if place in below:
                column -= 1
                tile = tile * chain[:, column]
            length = np.minimum(tile, einsum.extents[variable])
            for access in einsum.accesses:
                if all(place in holding for holding in holdings[access.tensor]):
                    needed = _product_of_extents(access, variable, length)
                    width = Fraction(1) if level.capacity.in_words else access.bits
                    fits &= needed * width.numerator / width.denominator <= float(level.capacity.value)
    return chain[fits] if fits.any() else chain


def _product_of_extents(access: Access, variable: str, length: Array) -> Array:
    """Words of a tile of ``length`` in one rank and 1 in the others."""
    words = np.ones(len(length))
    for dim in access.dims:
        words = words * (1 + sum(abs(c) * (length - 1) for var, c in dim if var == variable))
    return words


@lru_cache(maxsize=4096)
def divisors(number: int) -> tuple[int, ...]:
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


@lru_cache(maxsize=4096)
def _splits(number: int, parts: int) -> Array:
    """All ordered factorizations of ``number`` into ``parts`` factors. Shape ``(factorizations, parts)``."""
    if parts == 1:
        return np.array([[number]], dtype=np.int64)
    rows = []
    for first in divisors(number):
        rest = _splits(number // first, parts - 1)
        rows.append(np.concatenate([np.full((len(rest), 1), first, dtype=np.int64), rest], axis=1))
    return np.concatenate(rows)


def has_windows(einsum: SizedEinsum) -> bool:
    """Whether some dimension is indexed by several variables."""
    return any(len(dim) > 1 for access in einsum.accesses for dim in access.dims)


def stationary_order(einsum: SizedEinsum, access: Access) -> Order:
    """The loop order in which ``access`` moves least: the ranks that it ignores innermost."""
    return tuple(sorted(einsum.extents, key=lambda var: var not in access.variables))


def _orders(einsum: SizedEinsum, stationary: bool, allowed: frozenset[str]) -> tuple[Order, ...]:
    """One loop order for each way in which the tensors can ignore the innermost loops of a block.

    Args:
        allowed: Ranks that may loop in the block.
    """
    ranks = tuple(var for var, extent in einsum.extents.items() if extent > 1 and var in allowed)
    others = tuple(v for v in einsum.extents if v not in ranks and v in allowed)
    if stationary or len(ranks) > 7:  # 7! orders can be told apart in a moment
        stationed = {stationary_order(einsum, access) for access in einsum.accesses}
        return tuple(sorted({tuple(var for var in order if var in allowed) for order in stationed}))
    found: dict[object, Order] = {}
    for order in itertools.permutations(ranks):
        found.setdefault(tuple(_ignored(access, order) for access in einsum.accesses), order)
    return tuple(others + order for order in found.values())


def _ignored(access: Access, order: Order) -> object:
    """What a tensor sees of a loop order: the innermost ranks that it ignores; everything where a window slides."""
    if any(len(dim) > 1 for dim in access.dims):
        return order
    return frozenset(itertools.takewhile(lambda v: v not in access.variables, reversed(order)))
