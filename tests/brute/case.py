"""One small mapping problem in plain numbers, and what the brute force answers.

The space of nests: any temporal loops (bounds of at least 2, any order, also split) above, between and below the
fanouts; at each fanout a vector of spatial factors, several ranks on one axis; hold nodes of a memory anywhere
between the fanout above it and the fanout below it, for any tensors that it may hold and all that it must, the
holders of a tensor in the order of the memories. ``perfect``: the bounds of a rank multiply to its size. Clipped:
they cover it, and every loop runs its last iteration at least once.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from fractions import Fraction

Dim = tuple[tuple[str, int], ...]
"""A sum of (rank, coefficient)."""


@dataclass(frozen=True)
class Tensor:
    """One operand; the first tensor of a case is the output."""

    name: str
    dims: tuple[Dim, ...]
    bits: int = 1

    def __str__(self) -> str:
        inside = ",".join("+".join(r if c == 1 else f"{c}*{r}" for r, c in dim) for dim in self.dims)
        return f"{self.name}[{inside}]" + (f":{self.bits}b" if self.bits != 1 else "")


@dataclass(frozen=True)
class Store:
    """A memory. Energies are per element, integers in 0.1 pJ; capacity and bandwidth (reads and writes) in bits.

    Attributes:
        must: Tensors that it holds.
        may: Tensors that it may hold; None: any.
    """

    name: str
    read: int
    write: int
    capacity: int | None = None
    bandwidth: int | None = None
    must: frozenset[str] = frozenset()
    may: frozenset[str] | None = None

    def allows(self, tensor: str) -> bool:
        return self.may is None or tensor in self.may


@dataclass(frozen=True)
class Spread:
    """A fanout: sizes of its axes, the ranks that an axis may carry (None: any), and what is shared."""

    name: str
    axes: tuple[int, ...]
    only: tuple[frozenset[str] | None, ...] = ()
    multicast: bool = True
    reduce: bool = True

    def allowed(self, axis: int) -> frozenset[str] | None:
        return self.only[axis] if self.only else None

    def splits(self, sizes: dict[str, int]) -> dict[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Factors of every rank over all axes together, and one way to put them on the axes."""
        found = {(1,) * len(sizes): ()}
        for axis, size in enumerate(self.axes):
            mine = list(_vectors(tuple(sizes.items()), size, self.allowed(axis)))
            found = {
                tuple(map(math.prod, zip(before, vector, strict=True))): (*ways, vector)
                for before, ways in found.items()
                for vector in mine
            }
        return found


def _vectors(sizes: tuple[tuple[str, int], ...], room: int, allowed: frozenset[str] | None):
    """Factors of each rank with a product of at most ``room``."""
    if not sizes:
        yield ()
        return
    (rank, size), *rest = sizes
    most = min(room, size) if allowed is None or rank in allowed else 1
    for factor in range(1, most + 1):
        for others in _vectors(tuple(rest), room // factor, allowed):
            yield (factor, *others)


@dataclass(frozen=True)
class Case:
    """An Einsum on a machine. ``levels`` go from the outermost memory inwards; the compute is below the last."""

    sizes: dict[str, int]
    tensors: tuple[Tensor, ...]
    levels: tuple[Store | Spread, ...]
    mac: int = 1
    perfect: bool = True

    @property
    def stores(self) -> tuple[Store, ...]:
        return tuple(level for level in self.levels if isinstance(level, Store))

    @property
    def spreads(self) -> tuple[Spread, ...]:
        return tuple(level for level in self.levels if isinstance(level, Spread))

    @property
    def regions(self) -> tuple[int, ...]:
        """For each memory the number of fanouts above it."""
        fanouts = itertools.accumulate(isinstance(level, Spread) for level in self.levels)
        return tuple(n for n, level in zip(fanouts, self.levels, strict=True) if isinstance(level, Store))

    @property
    def points(self) -> int:
        return math.prod(self.sizes.values())

    def __str__(self) -> str:
        kind = "perfect" if self.perfect else "clipped"
        einsum = f"{self.tensors[0]} = " + " * ".join(map(str, self.tensors[1:]))
        return f"{einsum} {self.sizes} {kind} mac={self.mac}\n  " + "\n  ".join(map(str, self.levels))


Node = tuple[str, ...] | tuple[str, str, int] | tuple[str, str, int, str, int]
"""``("hold", memory, tensor)``, ``("for", rank, bound)`` or ``("spatial", fanout, axis, rank, bound)``."""


@dataclass(frozen=True)
class Point:
    """What one nest costs: cycles exactly, energy in 0.1 pJ, bits held in the memory that was asked for."""

    cycles: Fraction
    energy: int
    occupancy: int = 0
    nest: tuple[Node, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.energy} at {self.cycles}: " + " | ".join(map(shown, self.nest))


def shown(node: Node) -> str:
    """``GLB:A``, ``m4`` or ``PE.0 n2``."""
    if node[0] == "hold":
        return f"{node[1]}:{node[2]}"
    return f"{node[1]}{node[2]}" if node[0] == "for" else f"{node[1]}.{node[2]} {node[3]}{node[4]}"


@dataclass(frozen=True)
class Answer:
    """The front over (cycles, energy), by cycles.

    Attributes:
        sequences: Sequences of loops and spatial vectors that were executed.
        nests: With all their placements of holds.
        complete: Whether that was all of them.
    """

    front: tuple[Point, ...]
    sequences: int
    nests: int
    complete: bool

    @property
    def energy(self) -> Point:
        return min(self.front, key=lambda p: (p.energy, p.cycles, p.occupancy))

    @property
    def latency(self) -> Point:
        return min(self.front, key=lambda p: (p.cycles, p.energy, p.occupancy))

    @property
    def edp(self) -> Point:
        return min(self.front, key=lambda p: (p.energy * p.cycles, p.energy, p.occupancy))
