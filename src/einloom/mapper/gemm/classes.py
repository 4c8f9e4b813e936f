"""Visit classes of a rank: all tile sizes that need the same number of visits.

Words depend on a tile ``u`` only through its visits ``ceil(N / u)``, which take about ``2 sqrt(N)`` values. Perfect
bounds leave the divisors of the rank, one tile a class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from einloom.model.arrays import Array


@dataclass(frozen=True, slots=True)
class Classes:
    """Visit classes of one rank, fewest visits first. Shape ``(classes,)`` each.

    Attributes:
        visits: Times that a tile of the class is visited.
        least, most: Smallest and largest tile of the class.
    """

    visits: Array
    least: Array
    most: Array


def visit_classes(extent: int, perfect: bool) -> Classes:
    """The classes of a rank of ``extent`` iterations."""
    root = np.arange(1, math.isqrt(extent) + 2, dtype=np.int64)
    if perfect:
        small = root[extent % root == 0]
        visits = np.unique(np.concatenate([small, extent // small]))
        return Classes(visits, extent // visits, extent // visits)
    tiles = np.minimum(np.concatenate([root, -(-extent // root)]), extent)
    visits = np.unique(-(-extent // tiles))
    most = np.concatenate([[extent], -(-extent // (visits[1:] - 1)) - 1])
    return Classes(visits, -(-extent // visits), most)
