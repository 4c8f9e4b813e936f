"""Pareto fronts over two or three quantities, all minimized."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Point = tuple[float, ...]


def nondominated(items: Iterable[Item], point: Callable[[Item], Point]) -> list[Item]:
    """Items that no other matches or beats in everything, in order of their points; of equal ones the first.

    Quantities count as equal where they agree in 12 digits: the same words, added in another order.

    Args:
        point: Two or three quantities of an item.
    """
    keyed = [(_rounded(point(item)), item) for item in items]
    kept: list[tuple[Point, Item]] = []
    seconds: list[float] = []  # staircase of what was kept so far: the second rises, the third falls
    thirds: list[float] = []
    for values, item in sorted(keyed, key=lambda entry: entry[0]):
        second, third = values[1], values[2] if len(values) > 2 else 0.0
        before = bisect_right(seconds, second) - 1
        if before >= 0 and thirds[before] <= third:
            continue
        at = bisect_left(seconds, second)
        after = at
        while after < len(thirds) and thirds[after] >= third:
            after += 1
        seconds[at:after], thirds[at:after] = [second], [third]
        kept.append((values, item))
    return [item for _, item in kept]


def _rounded(values: Point) -> Point:
    return tuple(float(f"{value:.12e}") for value in values)
