"""What arrives at a site and what leaves it, step by step: rule 2.

At each step only the elements that are not in the tile held just before are fetched: a tile that stays
identical costs nothing, and any overlap (sliding windows) is kept. A compute holds nothing: it reads its
operands on every operation. Instances that idle in a clipped remainder drop their tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from einloom.arch.tree import Fanout
from einloom.model.reference.nest import Box, Element, Nest, Place, Site, elements
from einloom.workloads.sized import Access

Tiles = dict[Place, Box]
"""The tile of each instance that is not idle."""
Moved = dict[Place, frozenset[Element]]
"""Elements by the instance they arrive at or leave from; instances without any are left out."""
Words = dict[tuple[Place, Place], set[Element]]
"""Elements by (instance of a level, lane): each is one word, and they add over lanes."""


def tiles(nest: Nest, access: Access, site: Site) -> Iterator[Tiles]:
    """The tiles at each step."""
    for time in site.times:
        boxes = ((place, nest.box(access, site, time, indices)) for place, indices in site.places.items())
        yield {place: box for place, box in boxes if box is not None}


def moves(nest: Nest, access: Access, site: Site) -> Iterator[tuple[Moved, Moved]]:
    """What arrives and what leaves at each change of step; at the end the last tiles leave."""
    if site.keeps:
        for before, now in pairwise(chain([{}], tiles(nest, access, site), [{}])):
            yield _minus(now, before), _minus(before, now)
    else:
        for now in tiles(nest, access, site):
            operands = {place: elements(box) for place, box in now.items()}
            yield operands, operands


def _minus(tiles: Tiles, others: Tiles) -> Moved:
    """The elements in ``tiles`` that the same instance does not have in ``others``."""
    moved: Moved = {}
    for place, box in tiles.items():
        other = others.get(place)
        if box != other:
            rest = elements(box) - elements(other) if other is not None else elements(box)
            if rest:
                moved[place] = rest
    return moved


@dataclass(frozen=True)
class Crossing:
    """The way between a site and a level further out: rules 3 and 4.

    Multicast: an element that several instances want in the same step is one read of the parent (off: one
    each). Spatial reduction: partial sums of several instances meet on the way up and are one write of the
    parent (off: one each). A memory in between that the tensor bypasses is transparent: all fanouts on the
    way take part.

    Attributes:
        outer: Which digits of a place say the instance of the level further out.
        lanes: Which digits tell apart words that do not meet: those of fanouts further in that do not share.
    """

    outer: tuple[int, ...]
    lanes: tuple[int, ...]

    def meet(self, moved: Moved) -> Words:
        """What crosses because of what moves at the site in one step: elements by outer instance and lane."""
        met: Words = {}
        for place, arrivals in moved.items():
            instance = tuple(place[i] for i in self.outer)
            lane = tuple(place[i] for i in self.lanes)
            met.setdefault((instance, lane), set()).update(arrivals)
        return met


def crossing(nest: Nest, site: Site, level: int, shares: Callable[[Fanout], bool]) -> Crossing:
    """The way from ``site`` out to ``level``, the position in the path of a memory or of a fanout on the way.

    Args:
        shares: Whether words meet in a fanout (multicast on the way in, reduce on the way out).
    """
    outer = tuple(i for i, fanout in enumerate(site.fanouts) if fanout <= level)
    inner = ((i, nest.path[fanout]) for i, fanout in enumerate(site.fanouts) if fanout > level)
    lanes = tuple(i for i, fanout in inner if isinstance(fanout, Fanout) and not shares(fanout))
    return Crossing(outer, lanes)
