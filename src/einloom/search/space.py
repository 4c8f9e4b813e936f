"""The design space: what may vary, over which values, and every point of it by its number.

A *dimension* is a path into a design (``architecture.rows``) with its values. Finite dimensions have an order
and a length, so a point is a mixed-radix number: no grid is ever written out. `Real` dimensions make a space
infinite. A dimension may count only *when* another one has a certain value (the rows of a systolic array, when the
architecture is one): elsewhere it is sampled and left out, and points that differ in it alone are one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | tuple[Scalar, ...]
Point: TypeAlias = dict[str, object]
"""Overrides of a design: path to value, as YAML would give it."""
When: TypeAlias = tuple[tuple[str, tuple[Scalar, ...]], ...]
"""Condition: for each path the values with which a dimension counts; empty: always."""


@dataclass(frozen=True, slots=True)
class Finite:
    """A dimension with countable values.

    Attributes:
        path: Path into the design, e.g. ``"architecture.rows"``.
        values: All values, distinct and in order; a `range` for plain integers.
        kind: ``choices`` have no order, ``integers`` are a `range`, ``steps`` are ordered numbers at uneven
            distances (powers of two, divisors), ``open`` has values that are not known yet.
        unit: Put behind each number, e.g. ``"KiB"``.
        source: How the file wrote it, e.g. ``"divisors of P (4096)"``.
        when: With which values of other dimensions it counts.
    """

    path: str
    values: tuple[Value, ...] | range
    kind: Literal["choices", "integers", "steps", "open"] = "choices"
    unit: str = ""
    source: str = ""
    when: When = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        return len(self.values)

    def value(self, index: int) -> object:
        """The override that the value number ``index`` stands for."""
        value = self.values[index]
        if self.unit:
            return f"{value} {self.unit}"
        return list(value) if isinstance(value, tuple) else value

    def at(self, fraction: float) -> object:
        """The value at ``fraction`` of the way through, in [0, 1)."""
        return self.value(min(int(fraction * len(self.values)), len(self.values) - 1))

    def describe(self) -> str:
        """The values in one line."""
        shown = [str(self.value(index)) for index in range(min(6, self.size))]
        if self.size > 6:
            shown = [*shown[:4], "...", str(self.value(self.size - 1))]
        values = "" if self.kind == "open" else ", ".join(shown)
        described = f"{values} ({self.source})" if self.source and values else values or self.source
        return described + _condition(self.when)


@dataclass(frozen=True, slots=True)
class Real:
    """A dimension of real numbers.

    Attributes:
        path: Path into the design.
        low: Smallest value.
        high: Largest value.
        log: Sampled evenly in its logarithm.
        unit: Put behind each number, e.g. ``"GHz"``.
        when: With which values of other dimensions it counts.
    """

    path: str
    low: float
    high: float
    log: bool = False
    unit: str = ""
    when: When = ()

    @property
    def size(self) -> float:
        return 1 if self.low == self.high else math.inf

    def of(self, number: float) -> object:
        """The override that ``number`` stands for."""
        return f"{number!r} {self.unit}" if self.unit else number

    def at(self, fraction: float) -> object:
        """The value at ``fraction`` of the way through, in [0, 1)."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return self.of(min(max(math.exp(low + fraction * (high - low)), self.low), self.high))
        return self.of(self.low + fraction * (self.high - self.low))

    def describe(self) -> str:
        """The range in one line."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.low:g} to {self.high:g}{unit}{', log scale' if self.log else ''}" + _condition(self.when)


def _condition(when: When) -> str:
    return "".join(f", when {path} is {' or '.join(map(str, values))}" for path, values in when)


Dimension: TypeAlias = Finite | Real


@dataclass(frozen=True, slots=True)
class Space:
    """Dimensions, in the order of the file.

    Attributes:
        dimensions: At least one; paths are distinct.
    """

    dimensions: tuple[Dimension, ...]

    @property
    def size(self) -> int | None:
        """Number of points; None when it is infinite."""
        if any(dimension.size == math.inf for dimension in self.dimensions):
            return None
        return math.prod(int(dimension.size) for dimension in self.dimensions)

    def point(self, number: int) -> Point:
        """Point ``number`` of a finite space; the last dimension turns fastest.

        Raises:
            IndexError: No such point.
        """
        size = self.size
        if size is None or not 0 <= number < size:
            raise IndexError(f"the space has {size} points, asked for number {number}")
        indices: list[int] = []
        for dimension in reversed(self.dimensions):
            number, index = divmod(number, int(dimension.size))
            indices.append(index)
        return {
            dim.path: dim.value(index) if isinstance(dim, Finite) else dim.of(dim.low)
            for dim, index in zip(self.dimensions, reversed(indices), strict=True)
        }

    def at(self, fractions: Sequence[float]) -> Point:
        """The point at these fractions of each dimension, each in [0, 1)."""
        return {d.path: d.at(float(f)) for d, f in zip(self.dimensions, fractions, strict=True)}

    @property
    def conditional(self) -> bool:
        """Whether some dimension counts only with certain values of another."""
        return any(dimension.when for dimension in self.dimensions)

    def counting(self, point: Mapping[str, object]) -> Point:
        """The part of a point that counts: dimensions whose condition holds, themselves of ones that count."""
        kept: Point = {}
        for dim in self.dimensions:
            if all(path in kept and kept[path] in values for path, values in dim.when):
                kept[dim.path] = point[dim.path]
        return kept

    def grid(self) -> Iterator[Point]:
        """All points of a finite space, in order."""
        for number in range(self.size or 0):
            yield self.point(number)


def key(point: Mapping[str, object]) -> str:
    """One text for equal points."""
    return json.dumps(point, sort_keys=True)


def powers_of_2(low: int, high: int) -> tuple[int, ...]:
    """The powers of two from ``low`` to ``high``, both included."""
    first = max(0, (max(1, low) - 1).bit_length())
    return tuple(2**power for power in range(first, max(0, high).bit_length()))


def divisors(number: int) -> tuple[int, ...]:
    """All divisors of a positive number, in order; O(sqrt(number))."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return tuple(small + [number // d for d in reversed(small) if d * d != number])
