"""How kernels of this package are compiled: on first use, without the interpreter in their loops.

Kernels take numpy arrays, numbers, and tuples of them. Only an `entry` can be called from Python and is kept on disk,
with all that it calls; numba compares the time stamp of its own file only, so after an edit of a kernel elsewhere its
module (`search`) must be touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from einloom.model.arrays import Array

_F = TypeVar("_F", bound=Callable[..., object])
_COMMON: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
"""Kernels make no arrays (they get their space), so arrays need no counting: it halves the time of compiling."""


def _compile(function: Callable[..., object], **options: bool) -> object:
    njit: Any = numba.njit
    return njit(**_COMMON, **options)(function)


def kernel(function: _F) -> _F:
    """``function`` as machine code, to be called from other kernels only."""
    return cast(_F, _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True))


def entry(function: _F) -> _F:
    """``function`` as machine code, to be called from Python."""
    return cast(_F, _compile(function, cache=True))


@kernel
def copy(source: Array, target: Array) -> None:
    """``target[:] = source``, without the copy that guards against overlaps."""
    for i in range(len(source)):
        target[i] = source[i]
