"""Which designs no other design beats: the exact non-dominated filter.

A point *dominates* another when it is at least as good in every objective and better in one. Equal points do
not dominate each other, so ties are all kept, whatever their order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIGN = {"min": 1.0, "max": -1.0}
"""Factor that turns an objective of this direction into one to minimise."""


def non_dominated(points: ArrayLike, directions: Sequence[str] | None = None) -> NDArray[np.bool_]:
    """Mask of the points that no other point dominates.

    Args:
        points: Objective values. Shape ``(points, objectives)``; infinities are allowed.
        directions: ``"min"`` or ``"max"`` for each objective; all ``"min"`` by default.

    Returns:
        Shape ``(points,)``. A point with a NaN is never in the front and dominates nothing.

    Raises:
        ValueError: ``points`` has not two axes, or ``directions`` another length.

    Cost:
        O(n log n) for two objectives; O(n x front) for more, one array operation per distinct front point.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"points need the shape (points, objectives), got {values.shape}")
    directions = ("min",) * values.shape[1] if directions is None else directions
    if len(directions) != values.shape[1]:
        raise ValueError(f"{len(directions)} directions for {values.shape[1]} objectives")
    if not len(values):
        return np.zeros(0, dtype=bool)
    values = values * np.array([SIGN[direction] for direction in directions])
    comparable = ~np.isnan(values).any(axis=1)
    kept = np.zeros(len(values), dtype=bool)
    if comparable.any():
        # Distinct rows, in lexicographic order.
        distinct, place = np.unique(values[comparable], axis=0, return_inverse=True)
        kept[comparable] = _minimal(distinct)[place.reshape(-1)]
    return kept


def _minimal(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the minimal rows among distinct rows in lexicographic order. Shape ``(rows,)``."""
    if rows.shape[1] <= 2:
        last = rows[:, -1]
        best_before = np.concatenate(([np.inf], np.minimum.accumulate(last)[:-1]))
        minimal: NDArray[np.bool_] = last < best_before
        minimal[0] = True  # nothing stands before it, even when it is infinite
        return minimal
    minimal = np.zeros(len(rows), dtype=bool)
    left = np.arange(len(rows))
    while len(left):
        first = left[0]  # lexicographically smallest of the rest: no row of the rest dominates it
        minimal[first] = True
        left = left[~(rows[left] >= rows[first]).all(axis=1)]
    return minimal
