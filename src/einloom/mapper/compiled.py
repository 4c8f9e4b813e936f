"""How the kernels of the mapper are compiled: on first use, without the interpreter in their loops.

Kernels take numpy arrays, records, numbers, and tuples of them. Only an `entry` can be called from Python and is kept
on disk, with all that it calls. numba notices changes of an entry's own file only, so the folder that it is kept in is
named after all sources of the mapper: code of another version is never read, not even to be refused.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

from einloom.mapper.cache import user_caches
from einloom.model.arrays import Array

_F = TypeVar("_F", bound=Callable[..., object])
_njit: Any = njit  # its types leave out options that it documents
_config: Any = config
_COMMON: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
"""Kernels make no arrays (they get their space), so arrays need no counting: it halves the time of compiling."""


def kernel(function: _F) -> _F:
    """``function`` as machine code, to be called from other kernels only."""
    return cast(_F, _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_COMMON)(function))


def entry(function: _F) -> _F:
    """``function`` as machine code, to be called from Python, kept on disk where there is a place for it."""
    before = _config.CACHE_DIR  # numba looks at it here and now only
    _config.CACHE_DIR = "" if _FOLDER is None else str(_FOLDER)
    try:
        return cast(_F, _njit(cache=_FOLDER is not None, no_cfunc_wrapper=True, **_COMMON)(function))
    finally:
        _config.CACHE_DIR = before


@kernel
def copy(source: Array, target: Array) -> None:
    """``target[:] = source``, without the copy that guards against overlaps."""
    for i in range(len(source)):
        target[i] = source[i]


def _user_caches() -> Path:
    """Where the user's caches are; ``NUMBA_CACHE_DIR`` comes first."""
    return Path(_config.CACHE_DIR) if _config.CACHE_DIR else user_caches()


def _sources() -> str:
    """A digest of every source file of the mapper."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _folder() -> Path | None:
    """Where compiled kernels of this version are kept; None where nothing can be written."""
    try:
        folder = _user_caches() / "einloom" / f"kernels-{_sources()}"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # RuntimeError: no home
        return None
    return folder


_FOLDER = _folder()
