"""A workload analysed: what each of its cascades is, and what it must move through a fast memory of a given size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from einloom.model.io_bounds import IoBounds, io_bounds
from einloom.workloads import Cascade, Workload
from einloom.workloads.analysis import Analysis, analyze_cascade


@dataclass(frozen=True)
class WorkloadAnalysis:
    """The parts of a workload, each analysed on its own and for one copy.

    Attributes:
        name: Of the workload.
        parts: Analyses of its cascades, in order.
        bounds: I/O lower bounds of the same cascades.
    """

    name: str
    parts: tuple[Analysis, ...]
    bounds: tuple[IoBounds, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what ``einloom analyze --json`` prints."""
        parts = zip(self.parts, self.bounds, strict=True)
        return {
            "version": 1,
            "workload": self.name,
            "parts": [{**part.to_dict(), "io_bounds": bounds.to_dict()} for part, bounds in parts],
        }


def analyze_workload(
    workload: Workload, capacity: Callable[[Cascade], Fraction] | None = None
) -> WorkloadAnalysis:
    """Analyse every cascade of a workload.

    Args:
        workload: With all sizes known.
        capacity: Bits of the fast memory for a cascade; None leaves out the bounds that depend on it.
    """
    return WorkloadAnalysis(
        workload.name,
        tuple(analyze_cascade(cascade) for cascade in workload.cascades),
        tuple(io_bounds(cascade, capacity(cascade) if capacity else None) for cascade in workload.cascades),
    )


def default_bits(cascade: Cascade) -> Fraction:
    """The width of a word where a size is given in words: that of the cascade's widest input or output."""
    return max(cascade.bits_of(tensor) for tensor in (*cascade.inputs, *cascade.outputs))
