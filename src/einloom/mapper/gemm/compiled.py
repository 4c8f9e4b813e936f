"""How kernels of this package are compiled: as all kernels of the mapper."""

from __future__ import annotations

from einloom.mapper.compiled import copy, entry, kernel

__all__ = ["copy", "entry", "kernel"]
