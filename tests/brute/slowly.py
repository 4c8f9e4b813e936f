"""One nest at a time, with sets of elements, and every nest of a tiny case: what `force` is held to.

Nothing is shared with `force`, and nothing is clever: each axis has its own loops, bounds are any numbers, a tile is
the box around all that the loops inside reach, and whatever moves is a set.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from random import Random
from typing import NamedTuple

from brute.case import Case, Node, Point, Spread, Store, Tensor


class Loop(NamedTuple):
    """A node of the nest that counts. ``level``: of its fanout; None: in time."""

    rank: str
    bound: int
    stride: int
    level: int | None


class Traffic(NamedTuple):
    """Elements by (memory, its instance)."""

    reads: Counter
    writes: Counter


def walk(case: Case, nest: tuple[Node, ...]) -> Point | None:
    """What a nest costs; None where it does not fit. The occupancies are those of all memories but the first."""
    reads, writes, held = Counter(), Counter(), Counter()
    for tensor in case.tensors:
        traffic = Traffic(Counter(), Counter())
        chain = [i for i, node in enumerate(nest) if node[0] == "hold" and node[2] == tensor.name]
        for outer, inner in itertools.pairwise([*chain, len(nest)]):
            _edge(case, nest, tensor, outer, inner, traffic)
        for at in chain:
            _, tiles = _site(case, nest, tensor, at)
            held[nest[at][1]] += tensor.bits * max(len(tile) for step in tiles for tile in step.values())
        for count, one in ((reads, traffic.reads), (writes, traffic.writes)):
            count.update({(key, tensor): number for key, number in one.items()})
    if any(store.capacity is not None and held[store.name] > store.capacity for store in case.stores[1:]):
        return None
    energy = case.mac * case.points
    busy: Counter = Counter()
    for store in case.stores:
        for price, count in ((store.read, reads), (store.write, writes)):
            for ((name, instance), tensor), number in count.items():
                if name == store.name:
                    energy += price * number
                    busy[store, instance] += tensor.bits * number
    steps = len(_site(case, nest, case.tensors[0], len(nest))[1])
    loads = (Fraction(bits, store.bandwidth) for (store, _), bits in busy.items() if store.bandwidth is not None)
    return Point(max([Fraction(steps), *loads]), energy, nest=nest)


def _loops(case: Case, nest: tuple[Node, ...]) -> list[tuple[int, Loop]]:
    """All loops with their places in the nest, outermost first."""
    levels = [level.name for level in case.levels]
    strides, found = dict.fromkeys(case.sizes, 1), []
    for at, node in reversed(list(enumerate(nest))):
        if node[0] != "hold":
            rank, bound = node[-2:]
            level = levels.index(node[1]) if node[0] == "spatial" else None
            found.append((at, Loop(rank, bound, strides[rank], level)))
            strides[rank] *= bound
    return found[::-1]


def _site(case: Case, nest: tuple[Node, ...], tensor: Tensor, at: int) -> tuple[list[Loop], list[dict]]:
    """The spatial loops above a node, and step by step the tile of each instance that has one."""
    loops = _loops(case, nest)
    time = [loop for place, loop in loops if place < at and loop.level is None]
    place = [loop for number, loop in loops if number < at and loop.level is not None]
    inside = [loop for number, loop in loops if number > at]
    steps = []
    for now in itertools.product(*(range(loop.bound) for loop in time)):
        tiles = {}
        for here in itertools.product(*(range(loop.bound) for loop in place)):
            tile = _tile(case, tensor, _reach((*time, *place), (*now, *here)), inside)
            if tile:
                tiles[here] = tile
        if tiles:
            steps.append(tiles)
    return place, steps


def _reach(loops: tuple[Loop, ...] | list[Loop], digits: tuple[int, ...]) -> Counter:
    start: Counter = Counter()
    for loop, digit in zip(loops, digits, strict=True):
        start[loop.rank] += loop.stride * digit
    return start


def _tile(case: Case, tensor: Tensor, start: Counter, inside: list[Loop]) -> frozenset | None:
    """The box around all elements that the loops inside reach; None where they reach no point."""
    reached = []
    for digits in itertools.product(*(range(loop.bound) for loop in inside)):
        index = start + _reach(inside, digits)
        if all(index[rank] < size for rank, size in case.sizes.items()):
            reached.append(tuple(sum(c * index[rank] for rank, c in dim) for dim in tensor.dims))
    if not reached:
        return None
    sides = (range(min(side), max(side) + 1) for side in zip(*reached, strict=True))
    return frozenset(itertools.product(*sides))


def _edge(case: Case, nest: tuple[Node, ...], tensor: Tensor, outer: int, inner: int, traffic: Traffic) -> None:
    """What moves between a holder and the next, or the compute."""
    fanouts, steps = _site(case, nest, tensor, inner)
    parent, child = nest[outer][1], nest[inner][1] if inner < len(nest) else None
    output = tensor is case.tensors[0]
    before: dict = {}
    had: dict = {}
    updated: dict = {}
    for now in [*steps, {}]:
        into = {i: tile - before.get(i, frozenset()) for i, tile in now.items()}
        out = {i: tile - now.get(i, frozenset()) for i, tile in before.items()}
        if child is None:
            into, out = now, now
        for i, elements in into.items():
            known = had.setdefault(i, set())
            traffic.writes[child, i] += len(elements & known if output else elements)
            known |= elements
        if output:
            for i, elements in out.items():
                traffic.reads[child, i] += len(elements)
            for instance, elements in _met(case, tensor, fanouts, parent, out):
                known = updated.setdefault(instance, set())
                traffic.writes[parent, instance] += len(elements)
                traffic.reads[parent, instance] += len(elements & known)
                known |= elements
        else:
            for instance, elements in _met(case, tensor, fanouts, parent, into):
                traffic.reads[parent, instance] += len(elements)
        before = now if child is not None else {}


def _met(case: Case, tensor: Tensor, fanouts: list[Loop], parent: str, moved: dict) -> Iterator[tuple[tuple, set]]:
    """The words of one step at the parent: an element once for all instances that share it."""
    at = next(i for i, level in enumerate(case.levels) if level.name == parent)
    met: dict[tuple, set] = {}
    for digits, elements in moved.items():
        instance = tuple(d for d, loop in zip(digits, fanouts, strict=True) if loop.level < at)
        lane = tuple(d for d, loop in zip(digits, fanouts, strict=True) if not _shared(case, tensor, loop, at))
        met.setdefault((instance, lane), set()).update(elements)
    # lanes that do not meet are words of their own, also where the parent knows the element from another lane
    for (instance, _), elements in sorted(met.items()):
        yield instance, elements


def _shared(case: Case, tensor: Tensor, loop: Loop, parent: int) -> bool:
    level = case.levels[loop.level]
    assert isinstance(level, Spread)
    return loop.level > parent and (level.reduce if tensor is case.tensors[0] else level.multicast)


# -- every nest of a tiny case


def nests(case: Case) -> Iterator[tuple[Node, ...]]:
    """All of them, each axis with its own loops."""
    fanouts = case.spreads
    ways = [list(itertools.product(*(_axis(case, spread, axis) for axis in range(len(spread.axes)))))
            for spread in fanouts]  # fmt: skip
    for vectors in itertools.product(*ways):
        spatial = [_spatial(case, spread, way) for spread, way in zip(fanouts, vectors, strict=True)]
        chains = [list(_chains(case, rank, spatial)) for rank in case.sizes]
        for chosen in itertools.product(*chains):
            regions = [list(_interleaved([chain[g] for chain in chosen])) for g in range(len(fanouts) + 1)]
            for loops in itertools.product(*regions):
                yield from _with_holds(case, loops, spatial)


def _spatial(case: Case, spread: Spread, way: Sequence[tuple[int, ...]]) -> list[Node]:
    """The loops of a fanout, axis by axis."""
    return [
        ("spatial", spread.name, "XYZ"[axis], rank, factor)
        for axis, factors in enumerate(way)
        for rank, factor in zip(case.sizes, factors, strict=True)
        if factor > 1
    ]


def _axis(case: Case, spread: Spread, axis: int) -> list[tuple[int, ...]]:
    allowed, size = spread.allowed(axis), spread.axes[axis]
    most = [min(size, case.sizes[rank]) if allowed is None or rank in allowed else 1 for rank in case.sizes]
    return [v for v in itertools.product(*(range(1, m + 1) for m in most)) if math.prod(v) <= size]


def _chains(case: Case, rank: str, spatial: list[list[Node]]) -> Iterator[tuple[tuple[Node, ...], ...]]:
    """Loops of one rank, region by region, that cover it and are all of use."""
    size, regions = case.sizes[rank], len(spatial) + 1
    longest = max(1, (size - 1).bit_length())
    lists = [b for n in range(longest + 1) for b in itertools.product(range(2, size + 1), repeat=n)]
    for bounds in itertools.product(lists, repeat=regions):
        nest = []
        for g in range(regions):
            nest += [("for", b) for b in bounds[g]]
            nest += [("spatial", node[4]) for node in spatial[g] if node[3] == rank] if g < regions - 1 else []
        reached, useful = 1, True
        for kind, bound in reversed(nest):
            if kind == "for" and reached * (bound - 1) >= size:
                useful = False
            reached *= bound
        if useful and (reached == size if case.perfect else reached >= size):
            yield tuple(tuple(("for", rank, b) for b in some) for some in bounds)


def _interleaved(chains: list[tuple[Node, ...]]) -> Iterator[tuple[Node, ...]]:
    if not any(chains):
        yield ()
    for i, chain in enumerate(chains):
        if chain:
            for rest in _interleaved([*chains[:i], chain[1:], *chains[i + 1 :]]):
                yield (chain[0], *rest)


def any_nest(case: Case, rng: Random) -> tuple[Node, ...]:
    """One of `nests`, drawn; sizes are small."""
    ways = [[rng.choice(_axis(case, spread, axis)) for axis in range(len(spread.axes))] for spread in case.spreads]
    spatial = [_spatial(case, spread, way) for spread, way in zip(case.spreads, ways, strict=True)]
    chains = [list(_chains(case, rank, spatial)) for rank in case.sizes]
    if not all(chains):
        return any_nest(case, rng)
    chosen = [rng.choice(some) for some in chains]
    loops = []
    for region in range(len(spatial) + 1):
        rest = [list(chain[region]) for chain in chosen]
        order = [i for i, chain in enumerate(rest) for _ in chain]
        rng.shuffle(order)
        loops.append(tuple(rest[i].pop(0) for i in order))
    holders = [rng.choice(list(_holders(case, tensor, [len(r) for r in loops]))) for tensor in case.tensors]
    return _nest(case, tuple(loops), spatial, tuple(holders))


def _with_holds(case: Case, loops: tuple[tuple[Node, ...], ...], spatial: list[list[Node]]) -> Iterator[tuple]:
    """Every placement of hold nodes in one sequence of loops."""
    choices = [list(_holders(case, tensor, [len(region) for region in loops])) for tensor in case.tensors]
    for chosen in itertools.product(*choices):
        yield _nest(case, loops, spatial, chosen)


def _nest(
    case: Case, loops: tuple[tuple[Node, ...], ...], spatial: list[list[Node]], holders: tuple[dict, ...]
) -> tuple[Node, ...]:
    """Loops region by region and, tensor by tensor, the (region, gap) of each memory that holds it."""
    nest: list[Node] = [("hold", case.stores[0].name, tensor.name) for tensor in case.tensors]
    for g, region in enumerate(loops):
        for gap in range(len(region) + 1):
            nest += [
                ("hold", store.name, tensor.name)
                for store in case.stores[1:]
                for tensor, places in zip(case.tensors, holders, strict=True)
                if places.get(store) == (g, gap)
            ]
            nest += region[gap : gap + 1]
        nest += spatial[g] if g < len(spatial) else []
    return tuple(nest)


def _holders(case: Case, tensor: Tensor, lengths: list[int]) -> Iterator[dict[Store, tuple[int, int]]]:
    options = []
    for store, region in list(zip(case.stores, case.regions, strict=True))[1:]:
        places = [(region, gap) for gap in range(lengths[region] + 1)] if store.allows(tensor.name) else []
        options.append([(store, place) for place in ([] if tensor.name in store.must else [None]) + places])
    for chosen in itertools.product(*options):
        places = {store: place for store, place in chosen if place is not None}
        if list(places.values()) == sorted(places.values()):
            yield places


def front(case: Case) -> list[tuple[Fraction, int]]:
    """(cycles, energy) of what is best of every nest."""
    points = sorted({(p.cycles, p.energy) for p in (walk(case, nest) for nest in nests(case)) if p})
    return [p for i, p in enumerate(points) if all(p[1] < other[1] for other in points[:i])]
