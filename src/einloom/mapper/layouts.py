"""Layouts that a template gives: several ranks on one axis, each with its bound.

The search of whole tilings (`mapper.search`) knows axes of one rank. An axis that carries several is cut into as many
(``Y`` into ``Y:0``, ``Y:1``, outermost first): instances, transfers and reductions are those of the fanout as a whole.
"""

from __future__ import annotations

import math
from dataclasses import replace

from einloom.arch.rules import Layout
from einloom.arch.tree import Fanout, Level

PART = ":"
"""Between an axis and the number of its part; no name in a file has it."""


def axis_of(part: str) -> str:
    """The axis to which a part of it belongs."""
    return part.partition(PART)[0]


def laid_out(
    path: tuple[Level, ...], layout: Layout
) -> tuple[tuple[Level, ...], dict[tuple[str, str], str], dict[tuple[str, str], int]]:
    """``path`` with axes of one rank each, the rank on each and its bound. A bound of 1 takes no part."""
    levels: list[Level] = []
    ranks: dict[tuple[str, str], str] = {}
    bounds: dict[tuple[str, str], int] = {}
    for level in path:
        if not isinstance(level, Fanout):
            levels.append(level)
            continue
        axes: dict[str, int] = {}
        for axis, size in level.axes.items():
            loops = [(var, bound) for var, bound in layout.get((level.name, axis), ()) if bound > 1]
            assert math.prod(bound for _, bound in loops) <= size, f"{loops} do not fit {size} instances"
            for turn, (var, bound) in enumerate(loops):
                key = level.name, f"{axis}{PART}{turn}"
                axes[key[1]], ranks[key], bounds[key] = bound, var, bound
        levels.append(replace(level, axes=axes or {"": 1}, only={}))
    return tuple(levels), ranks, bounds
