"""Tiles of several accesses at one hold node: which instance is which, and who moves alike.

Two accesses are alike if their boxes are equal at every step of the loops above the node, wherever both have one.
"""

from __future__ import annotations

from collections.abc import Iterator

from einloom.mappings.nodes import Loop, Spatial
from einloom.model.reference.fused.tree import Digits, Leaf, Position, Tree
from einloom.model.reference.nest import Box, Nest, Place, Site
from einloom.workloads.sized import Access

Instance = tuple[tuple[str, str, int], ...]
"""Which instance of a level: (fanout, axis, coordinate) where the coordinate is not 0."""
Viewed = tuple[Leaf, Access, Nest, Site]
"""An access as it stands at a hold node."""


def instance_of(nest: Nest, site: Site, place: Place) -> Instance:
    """The physical instance: the loops on one axis count its coordinate, the outermost most significant."""
    digits = [d for d in nest.digits if d.level is not None and d.level < site.level]
    at: dict[tuple[str, str], int] = {}
    for digit, value in zip(digits, place, strict=True):
        node = nest.nodes[digit.node]
        assert isinstance(node, Spatial)
        at[node.fanout, node.axis] = at.get((node.fanout, node.axis), 0) * digit.bound + value
    return tuple(sorted((fanout, axis, value) for (fanout, axis), value in at.items() if value))


def alike(tree: Tree, viewed: list[Viewed], at: Position) -> list[list[int]]:
    """Numbers of the accesses in classes that move alike."""
    classes: list[list[int]] = []
    trails = [list(_trail(tree, view, at)) for view in viewed]
    for i, trail in enumerate(trails):
        mine = next((c for c in classes if _equal(trails[c[0]], trail)), None)
        if mine is None:
            classes.append([i])
        else:
            mine.append(i)
    return classes


def _equal(some: list[dict[Instance, Box]], others: list[dict[Instance, Box]]) -> bool:
    """Whether every instance has equal boxes, step by step, wherever both have one."""
    return all(a[k] == b[k] for a, b in zip(some, others, strict=True) for k in a.keys() & b.keys())


def _trail(tree: Tree, view: Viewed, at: Position) -> Iterator[dict[Instance, Box]]:
    """The boxes by instance at every step of the loops in time above the node, iterated or not."""
    leaf, access, nest, site = view
    above = tuple((p, node) for p, node in leaf.path if isinstance(node, Loop) and p < at)
    for digits in tree.iterations(above):
        time = _indices(tree, leaf, above, digits)
        boxes = {place: nest.box(access, site, time, indices) for place, indices in site.places.items()}
        yield {instance_of(nest, site, place): box for place, box in boxes.items() if box is not None}


def _indices(tree: Tree, leaf: Leaf, loops: tuple[tuple[Position, Loop], ...], digits: Digits) -> tuple[int, ...]:
    index = dict.fromkeys(leaf.einsum.extents, 0)
    for at, loop in loops:
        if loop.variable in index:
            index[loop.variable] += digits[at] * tree.weights[at]
    return tuple(index.values())
