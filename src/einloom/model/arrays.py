"""Integer arrays that never wrap: int64 where every intermediate fits, Python integers where it may not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAFE = 2.0**62
"""int64 up to here."""

EXACT_FLOAT = 2**53
"""Products of integers below this are exact in float64."""


def exact(values: Array, largest: float) -> Array:
    """``values`` in a type in which integers up to ``largest`` are exact: int64, or Python integers (slower)."""
    return values.astype(object) if largest >= SAFE else values.astype(np.int64, copy=False)


def ceil_div(a: Array, b: Array) -> Array:
    return -(-a // b)


def product(factors: list[Array], like: Array) -> Array:
    """Product of arrays, 1 where there are none. Shape and type of ``like``."""
    return math.prod(factors, start=np.ones_like(like))
