"""How the kernels of the mapper are compiled: on first use, without the interpreter in their loops.

Kernels take numpy arrays, records, numbers, and tuples of them. Only an `entry` can be called from Python and is kept
on disk, with all that it calls. numba notices changes of an entry's own file only, so the folder that it is kept in is
named after all sources that it is made of: code of another version is never read, not even to be refused.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import shutil
import tempfile
import time
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

UNUSED_S = 30 * 24 * 3600
"""Compiled kernels of other versions are kept this long after their last use."""


def kernel(function: _F) -> _F:
    """``function`` as machine code, to be called from other kernels only."""
    return cast(_F, _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_COMMON)(function))


def entry(function: _F) -> _F:
    """``function`` as machine code, to be called from Python, kept on disk where there is a place for it.

    All that it calls must be in its own folder of sources, or here.
    """
    folder = _folder(Path(inspect.getfile(function)).parent)
    before = _config.CACHE_DIR  # numba looks at it here and now only
    _config.CACHE_DIR = "" if folder is None else str(folder)
    try:
        return cast(_F, _njit(cache=folder is not None, no_cfunc_wrapper=True, **_COMMON)(function))
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


def _digest(sources: Path) -> str:
    """Of every source file in a folder, and of this one."""
    digest = hashlib.blake2b(digest_size=8)
    for source in (*sorted(sources.glob("*.py")), Path(__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


@functools.cache
def _folder(sources: Path) -> Path | None:
    """Where the compiled kernels of a folder of sources are kept; None where nothing can be written.

    Those of other versions that have not been used for `UNUSED_S` are thrown away.
    """
    try:
        kept = _user_caches() / "einloom" / "kernels"
        folder = kept / f"{sources.name}-{_digest(sources)}"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # which is a sign of use, too
        for other in kept.glob(f"{sources.name}-*"):
            if other.stat().st_mtime < time.time() - UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return None
    return folder
