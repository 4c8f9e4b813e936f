"""Spatial vectors: how many instances each rank gets, over all axes together.

Counts depend on the product of a rank's factors over the axes only, so vectors with equal products are one. In a
clipped space a factor product above the rank acts as the rank itself (``min(N, s)``: the rest of the instances idle);
in a perfect one it divides the rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from einloom.model.arrays import Array

MOST_PAIRS = 6_000_000
"""Pairs of vectors of two axes that are formed at most (about 0.3 GB)."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a fanout: its size and which columns (groups of ranks) it may carry."""

    fanout: str
    name: str
    size: int
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Distinct spatial vectors.

    Attributes:
        factors: Bound on each axis of each column. Shape ``(vectors, axes, columns)``.
        instances: Of each column, cut at its size. Shape ``(vectors, columns)``.
    """

    factors: Array
    instances: Array


def vectors(axes: Sequence[Axis], extents: Sequence[int], perfect: bool) -> Vectors | None:
    """All distinct spatial vectors; None where there are too many to list."""
    limits = np.array(extents, dtype=np.int64)
    factors = np.ones((1, 0, len(extents)), dtype=np.int64)
    instances = np.ones((1, len(extents)), dtype=np.int64)
    for axis in axes:
        rows = _on_axis(axis, extents, perfect)
        if len(rows) * len(instances) > MOST_PAIRS:
            return None
        old, new = (index.reshape(-1) for index in np.indices((len(instances), len(rows))))
        together = instances[old] * rows[new]
        if perfect:
            divides = (limits % together == 0).all(axis=1)
            old, new, together = old[divides], new[divides], together[divides]
        kept = _distinct(np.minimum(together, limits), together.prod(axis=1))
        instances = np.minimum(together[kept], limits)
        factors = np.concatenate([factors[old[kept]], rows[new[kept]][:, None, :]], axis=1)
    return Vectors(factors, instances)


def _on_axis(axis: Axis, extents: Sequence[int], perfect: bool) -> Array:
    """Factors that fit one axis. Shape ``(vectors, columns)``."""
    rows = np.ones((1, len(extents)), dtype=np.int64)
    for column in axis.columns:
        extent = extents[column]
        grown = [rows]
        for factor in range(2, min(axis.size, extent) + 1):
            if perfect and extent % factor:
                continue
            wider = rows[rows.prod(axis=1) * factor <= axis.size].copy()
            wider[:, column] = factor
            grown.append(wider)
        rows = np.concatenate(grown)
    return rows


def _distinct(instances: Array, cost: Array) -> Array:
    """One place of each distinct row, that of the least ``cost``."""
    keys, most = np.zeros(len(instances), dtype=np.int64), 1.0
    for column in (*instances.T, cost):
        size = int(column.max(initial=1)) + 1
        keys, most = keys * size + column, most * size
    last = int(cost.max(initial=1)) + 1
    order = np.argsort(keys) if most < 2**62 else np.lexsort((cost, *instances.T))
    rows = keys[order] // last if most < 2**62 else instances[order]
    first = np.ones(len(order), dtype=bool)
    changes = rows[1:] != rows[:-1]
    first[1:] = changes if changes.ndim == 1 else changes.any(axis=1)
    return np.asarray(order[first])
