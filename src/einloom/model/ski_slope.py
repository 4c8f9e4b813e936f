"""Traffic against the size of the buffer: what nothing can avoid, and what a caller found to be achievable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from einloom.model.io_bounds import io_bounds
from einloom.workloads import Workload
from einloom.workloads.sized import SizedEinsum

OPERANDS = 3
"""Elements that a compute has at hand beside the buffer: two operands and a result may bypass it."""

Achieve = Callable[[SizedEinsum, Fraction], tuple[float, float | None] | None]
"""Bits that the best mapping of an Einsum moves with a buffer of so many bits, and its gap; None: nothing fits."""


@dataclass(frozen=True, slots=True)
class SlopePoint:
    """One size of the buffer; all traffic in bits, reads and writes of the outer memory together, every copy.

    Attributes:
        capacity_bits: Of the buffer.
        compulsory_bits: Inputs once in, outputs once out.
        bound_bits: The largest strict bound, however the Einsums are fused.
        separate_bound_bits: The sum of the largest strict bounds of the Einsums: mapped one by one they move at least
            that.
        achieved_bits: The sum of the best mappings of the Einsums, one by one; None where one does not fit.
        gap: The largest gap of those mappings to the best one of their space; 0: all are optimal.
    """

    capacity_bits: Fraction
    compulsory_bits: float
    bound_bits: float
    separate_bound_bits: float
    achieved_bits: float | None
    gap: float | None


@dataclass(frozen=True, slots=True)
class SkiSlope:
    """The curve of one workload.

    Attributes:
        workload: Its name.
        einsums: How many there are; with one, fused and separate are the same.
        points: From the smallest buffer on.
    """

    workload: str
    einsums: int
    points: tuple[SlopePoint, ...]


def ski_slope(workload: Workload, capacities: tuple[Fraction, ...], achieve: Achieve | None = None) -> SkiSlope:
    """Bounds and achievable traffic at each size of the buffer.

    Args:
        workload: With all sizes known; the parts of a network run one after the other.
        capacities: In bits, ascending.
        achieve: Best traffic of one Einsum; None: bounds only.
    """
    sized = [(cascade, cascade.sized()) for cascade in workload.cascades] if achieve else []
    points = []
    for capacity in capacities:
        bounds = [(io_bounds(c, capacity, beside=OPERANDS), c.repeat) for c in workload.cascades]
        moved, gap = _achieved([(e, c.repeat) for c, einsums in sized for e in einsums], capacity, achieve)
        points.append(
            SlopePoint(
                capacity,
                sum(found.compulsory_bits * repeat for found, repeat in bounds),
                sum(found.least_bits * repeat for found, repeat in bounds),
                sum(found.separate_bits * repeat for found, repeat in bounds),
                moved,
                gap,
            )
        )
    count = sum(not einsum.constant for cascade in workload.cascades for einsum in cascade.einsums)
    return SkiSlope(workload.name, count, tuple(points))


def _achieved(
    einsums: list[tuple[SizedEinsum, int]], capacity: Fraction, achieve: Achieve | None
) -> tuple[float | None, float | None]:
    if achieve is None:
        return None, None
    total, gaps = 0.0, [0.0]
    for einsum, repeat in einsums:
        found = achieve(einsum, capacity)
        if found is None:
            return None, None
        total += found[0] * repeat
        gaps.append(found[1] if found[1] is not None else math.inf)
    return total, max(gaps)


def all_tensors_bits(workload: Workload) -> Fraction:
    """Bits of all tensors of the largest cascade: a buffer of that size needs compulsory traffic only."""
    return max(
        sum((c.bits_of(tensor) * c.size(tensor) for tensor in c.tensors), Fraction(0)) for c in workload.cascades
    )
