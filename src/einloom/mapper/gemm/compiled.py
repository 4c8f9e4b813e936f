"""How kernels of this package are compiled: once, kept on disk, without the interpreter in their loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba  # type: ignore[import-untyped]

_F = TypeVar("_F", bound=Callable[..., object])


def kernel(function: _F) -> _F:
    """``function`` as machine code on first use; its arguments are numpy arrays, numbers, and tuples of them."""
    return cast(_F, numba.njit(cache=True, nogil=True)(function))
