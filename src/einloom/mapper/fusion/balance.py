"""The least time in which some units can share some work, each piece of it on any unit and in any fractions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def balanced(busy: Floats) -> Floats:
    """A bound of the busiest unit from below, whatever runs where.

    For two units it is the optimum over fractions: pieces go to the unit on which they are comparatively quick, until
    both are busy for as long (a continuous knapsack: Dantzig, Oper. Res. 5(2), 1957, doi:10.1287/opre.5.2.266).
    For more, the work is spread evenly at the least time of each piece.

    Args:
        busy: Cycles of each piece on each unit, infinite where it cannot run. Shape ``(..., pieces, units)``.

    Returns:
        Cycles. Shape ``(...)``; infinite where some piece can run nowhere.
    """
    least = busy.min(axis=-1)
    longest = np.maximum(least.sum(axis=-1) / busy.shape[-1], least.max(axis=-1))
    if busy.shape[-1] != 2:
        return np.asarray(longest)
    one, two = busy[..., 0], busy[..., 1]
    with np.errstate(invalid="ignore"):  # infinite over infinite: it runs nowhere
        ratio = np.minimum(one / np.maximum(two, 1e-300), 1e300)
    quick = np.where(np.isinf(one), np.inf, np.where(np.isinf(two), -np.inf, ratio))
    order = np.argsort(quick, axis=-1, kind="stable")
    first = np.take_along_axis(np.where(np.isinf(one), 0.0, one), order, axis=-1)
    second = np.take_along_axis(np.where(np.isinf(two), 0.0, two), order, axis=-1)
    zero = np.zeros((*first.shape[:-1], 1))
    on_first = np.concatenate([zero, np.cumsum(first, axis=-1)], axis=-1)
    on_second = np.concatenate([np.cumsum(second[..., ::-1], axis=-1)[..., ::-1], zero], axis=-1)
    must_first = np.isinf(two).sum(axis=-1, keepdims=True)  # they stand first
    must_second = np.isinf(one).sum(axis=-1, keepdims=True)  # they stand last
    cut = np.arange(on_first.shape[-1])
    legal = (cut >= must_first) & (cut <= on_first.shape[-1] - 1 - must_second)
    low = np.where(legal, np.maximum(on_first, on_second), np.inf).min(axis=-1)
    # between two cuts one piece is divided: there both units are busy for as long
    share_first, share_second = on_first[..., :-1], on_second[..., 1:]
    piece_first, piece_second = first, second
    whole = piece_first + piece_second
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((share_second + piece_second - share_first) / whole, 0.0, 1.0)
    part = np.where(whole > 0, part, 0.0)
    divided = np.maximum(share_first + part * piece_first, share_second + (1 - part) * piece_second)
    inside = legal[..., :-1] & legal[..., 1:]
    low = np.minimum(low, np.where(inside, divided, np.inf).min(axis=-1, initial=np.inf))
    return np.where(np.isinf(least).any(axis=-1), np.inf, np.maximum(low, 0.0))
