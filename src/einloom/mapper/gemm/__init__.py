"""Exact search for GEMM-like Einsums: three tensors, each of which ignores one class of ranks.

`solve` is the whole interface. It needs numba, which is imported with this package only.
"""

from einloom.mapper.gemm.solve import solve

__all__ = ["solve"]
