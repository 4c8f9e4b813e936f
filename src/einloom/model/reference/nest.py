"""Who stands where in a loop nest, and which part of a tensor it holds.

Every loop of the nest, in time or in space, is one *digit* of its rank variable: the index of a variable is
the mixed radix number of its digits in nest order, outermost most significant. A point whose index reaches
the extent does not exist; it is skipped.

A *site* is a hold node, or the compute at the bottom. Seen from a site, each digit plays one of three parts:

- *time*: temporal loops outside the node. Together they say which step it is.
- *place*: spatial loops of fanouts above the memory, wherever they stand in the nest. They say which instance
  it is.
- *inside*: all others. What they sweep is the tile.

All instances step in lockstep. Indices of all variables are tuples in the order of ``Nest.variables``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from einloom.arch.tree import Compute, Fanout, Level, Memory
from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Bind, Hold, Loop, Node, Spatial
from einloom.workloads.sized import Access, SizedEinsum

Indices = tuple[int, ...]
"""One number for each rank variable."""
Place = tuple[int, ...]
"""Which instance: the digits of the spatial loops above it, outermost first."""
Element = tuple[int, ...]
"""Coordinates in a tensor."""
Box = tuple[tuple[int, int], ...]
"""First and last coordinate of each dimension of a tensor."""


@dataclass(frozen=True, slots=True)
class Digit:
    """One loop of the nest.

    Attributes:
        variable: Position of its rank variable.
        bound: Iterations.
        weight: What one iteration adds to the index: the product of the bounds of the variable further in.
        node: Position in the nest.
        level: Position of its fanout in the path; None for a loop in time.
    """

    variable: int
    bound: int
    weight: int
    node: int
    level: int | None


@dataclass(frozen=True)
class Site:
    """A hold node, or the compute.

    Attributes:
        name: Of the memory or the compute.
        level: Position in the path.
        keeps: A memory keeps its tile from step to step; a compute holds nothing.
        fanouts: Position in the path of the fanout of each place digit, outermost loop first.
        times: For each step, in order, what the time digits add to the indices.
        places: For each instance that ever has work, what its place digits add to the indices.
        offsets: For each variable, all that the inside digits can add to the index, rising from 0.
    """

    name: str
    level: int
    keeps: bool
    fanouts: tuple[int, ...]
    times: tuple[Indices, ...]
    places: Mapping[Place, Indices]
    offsets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Nest:
    """One Einsum on one path of levels with integer loops. It is assumed to be legal, and asserted."""

    einsum: SizedEinsum
    path: tuple[Level, ...]
    nodes: tuple[Node, ...]
    digits: tuple[Digit, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(self.einsum.extents)

    @property
    def extents(self) -> Indices:
        return tuple(self.einsum.extents.values())

    def holders(self, tensor: str) -> list[Site]:
        """The hold nodes of a tensor, outermost first."""
        sites = [
            self._site(node.memory, position)
            for position, node in enumerate(self.nodes)
            if isinstance(node, Hold) and tensor in node.tensors
        ]
        levels = [site.level for site in sites]
        assert levels, f"{tensor} has no holder"
        assert levels == sorted(set(levels)), f"holders of {tensor} are not in the order of the levels"
        return sites

    def compute(self) -> Site:
        """The compute: temporal loops are its time, spatial loops its place, and its tile is one point."""
        return self._site(self.path[-1].name, len(self.nodes))

    def _site(self, name: str, position: int) -> Site:
        level = next(i for i, known in enumerate(self.path) if known.name == name)
        time = [d for d in self.digits if d.level is None and d.node < position]
        place = [d for d in self.digits if d.level is not None and d.level < level]
        inside = [d for d in self.digits if d not in time and d not in place]
        assert all(d.node > position for d in inside), f"a fanout below {name} is mapped outside the hold"
        return Site(
            name=name,
            level=level,
            keeps=isinstance(self.path[level], Memory),
            fanouts=tuple(d.level for d in place if d.level is not None),
            times=tuple(indices for _, indices in _counted(time, self.extents)),
            places=dict(_counted(place, self.extents)),
            offsets=tuple(_offsets(inside, variable, extent) for variable, extent in enumerate(self.extents)),
        )

    def box(self, access: Access, site: Site, time: Indices, place: Indices) -> Box | None:
        """The tile of ``access`` at one step and instance: rule 1, the bounding interval of each dimension.

        Only points that exist count. None if the instance has none and is idle: one of the variables, also
            one that the tensor does not have, is past its extent.
        """
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for variable, extent, at_time, at_place, offsets in zip(
            self.variables, self.extents, time, place, site.offsets, strict=True
        ):
            start = at_time + at_place
            if start >= extent:
                return None
            first[variable] = start
            last[variable] = start + offsets[bisect_left(offsets, extent - start) - 1]
        return tuple(
            (
                sum(c * (first if c > 0 else last)[v] for v, c in dim),
                sum(c * (last if c > 0 else first)[v] for v, c in dim),
            )
            for dim in access.dims
        )


def nest_of(einsum: SizedEinsum, path: tuple[Level, ...], nodes: tuple[Node, ...]) -> Nest:
    """Number the digits of a nest.

    Raises:
        MappingError: The nest holds parts of tensors, forwards words or has schedule nodes.
    """
    assert isinstance(path[-1], Compute)
    for node in nodes:
        partial = isinstance(node, Hold) and any(share != 1 for share in node.shares)
        if partial or not isinstance(node, Hold | Loop | Spatial | Bind):
            problem = f"the reference executor does not walk '{node}'"
            raise MappingError(Problem(problem, "it walks one nest of whole holds, loops and spatial loops"))
    variables = list(einsum.extents)
    weights = dict.fromkeys(variables, 1)
    digits = []
    for position, node in reversed(list(enumerate(nodes))):
        if isinstance(node, Loop | Spatial):
            assert isinstance(node.bound, int), "bounds are resolved before the walk"
            level = _fanout(path, node) if isinstance(node, Spatial) else None
            variable = node.variable
            digits.append(Digit(variables.index(variable), node.bound, weights[variable], position, level))
            weights[variable] *= node.bound
    short = [v for v, extent in einsum.extents.items() if weights[v] < extent]
    assert not short, f"the loops do not cover {short}"
    return Nest(einsum, path, nodes, tuple(reversed(digits)))


def _fanout(path: tuple[Level, ...], node: Spatial) -> int:
    level = next(i for i, known in enumerate(path) if known.name == node.fanout)
    assert isinstance(path[level], Fanout)
    return level


def _counted(digits: list[Digit], extents: Indices) -> list[tuple[tuple[int, ...], Indices]]:
    """All values of some digits, counted up with the last digit fastest, with what they add to the indices.

    Values that lead past an extent even while all other digits are 0 are left out: nothing ever happens
        there.
    """
    counted: list[tuple[tuple[int, ...], Indices]] = [((), (0,) * len(extents))]
    for digit in digits:
        v, weight = digit.variable, digit.weight
        counted = [
            ((*values, i), (*indices[:v], indices[v] + i * weight, *indices[v + 1 :]))
            for values, indices in counted
            for i in range(min(digit.bound, -((indices[v] - extents[v]) // weight)))
        ]
    return counted


def _offsets(inside: list[Digit], variable: int, extent: int) -> tuple[int, ...]:
    sweeps = [range(0, min(d.bound * d.weight, extent), d.weight) for d in inside if d.variable == variable]
    return tuple(sorted(sum(steps) for steps in product(*sweeps)))


@lru_cache(maxsize=1 << 16)
def elements(box: Box) -> frozenset[Element]:
    """The coordinates in a box."""
    return frozenset(product(*(range(low, high + 1) for low, high in box)))


def volume(box: Box) -> int:
    return math.prod(high - low + 1 for low, high in box)
