"""Integer arrays that never wrap: int64 where every intermediate fits, Python integers where it may not."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Count = Array | int
"""An integer for each candidate, or the integer of one candidate (ten times faster than an array of one entry)."""

SAFE = 2.0**62
"""int64 up to here."""

EXACT_FLOAT = 2**53
"""Products of integers below this are exact in float64."""


def exact(values: Array, largest: float) -> Array:
    """``values`` in a type in which integers up to ``largest`` are exact: int64, or Python integers (slower)."""
    return values.astype(object) if largest >= SAFE or values.dtype == object else values.astype(np.int64, copy=False)


@functools.cache
def keep_freed_pages() -> None:
    """Let the allocator keep what batches free, once a process: else half of their time goes into page faults.

    glibc gives freed memory back to the system above a threshold, and raises that threshold to twice the size of any
    mapped block that is freed (mallopt(3), M_MMAP_THRESHOLD). One block of 16 MB is larger than what a batch holds.
    Without glibc this does nothing. Measured: 1 M candidates of a GEMM from 0.20 to 0.08 CPU s.
    """
    np.empty(2**21).fill(0.0)


def ceil_div(a: Count, b: Count) -> Count:
    return -(-a // b)


def product(factors: list[Array], like: Array) -> Array:
    """Product of arrays, 1 where there are none. Shape and type of ``like``."""
    return math.prod(factors, start=np.ones_like(like))
