"""What every unit of the machine shares: the off-chip memory, the stream unit, and what on-chip events cost.

Energies: DRAM per bit and arithmetic per operator from the component library; arithmetic and on-chip memories are
those of an ASIC, times the factor of the fabric (I. Kuon, J. Rose, TCAD 26(2) 2007: an FPGA takes 14 times the
dynamic power of standard cells). Static power is not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from einloom.arch.engine import Array, Cost, Words
from einloom.arch.templates.cascade_steps import Crossing, Group, stream_operations, stream_passes, words_of
from einloom.errors import MappingError

DRAM, STREAMS = "DRAM", "Streams"


@dataclass(frozen=True, slots=True)
class OffChip:
    """The off-chip memory.

    Attributes:
        read_pj, write_pj: Energy of a bit, pJ.
        bits_per_cycle: Bandwidth, reads and writes together; infinite when it is not known.
    """

    read_pj: float
    write_pj: float
    bits_per_cycle: float

    def cycles(self, bits: float) -> float:
        """Cycles that moving ``bits`` takes."""
        return bits / self.bits_per_cycle

    def energy_pj(self, crossings: Sequence[Crossing]) -> float:
        """Energy of what crosses, each element in its own width."""
        return sum(float(c.bits) * (c.reads * self.read_pj + c.writes * self.write_pj) for c in crossings)


@dataclass(frozen=True, slots=True)
class StreamUnit:
    """The unit for element-wise work and reductions: a pipeline of ``lanes`` elements a cycle.

    Attributes:
        lanes: Elements a cycle.
        beside: Whether it runs beside the unit that its results feed (hidden), or before it.
        energy_pj: Of one operation, by operator; pairs, so that it hashes.
    """

    lanes: int
    beside: bool
    energy_pj: tuple[tuple[str, float], ...]

    def exposed(self, group: Group, cycles: Array) -> Array:
        """Cycles that the streams of a group add to ``cycles`` of its unit.

        ``max(0, streams - cycles)`` beside it: 96 cycles per 1,536 elements against 3,420 or more of a linear layer
        are hidden (TeLLMe v2, arXiv 2510.15926); all of them before it.
        """
        streams = stream_passes(group, self.lanes)
        if not self.beside:
            return np.full_like(np.asarray(cycles, dtype=float), float(streams))
        return np.asarray(np.maximum(0.0, streams - np.asarray(cycles, dtype=float)))

    def operator_pj(self, group: Group) -> float:
        """Energy of the element-wise operators of a group, pJ.

        Raises:
            MappingError: An operator without a cost; it is never taken for free.
        """
        prices = dict(self.energy_pj)
        total = 0.0
        for operator, count in stream_operations(group).items():
            if operator not in prices:
                hint = f"the stream unit runs: {', '.join(sorted(prices))}"
                raise MappingError(f"no cost is known for the operator '{operator}' of {group.name}", hint)
            total += count * prices[operator]
        return total


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a unit prices its run with.

    Attributes:
        offchip, streams: The memory and the stream unit.
        off: Terms that are switched off, by name.
    """

    offchip: OffChip
    streams: StreamUnit
    off: frozenset[str] = frozenset()


def finished(
    around: Surroundings,
    group: Group,
    crossings: Sequence[Crossing],
    terms: Mapping[str, Array | float],
    *,
    stream_unit: bool = True,
    waited: Array | float = 0.0,
    **parts: Any,
) -> Cost:
    """The cost of a run: its terms without those switched off, and the streams and words that all units share.

    ``activations`` is the time by which the memory's traffic outlasts everything else: it has one bus, so that what
    the unit's own terms wait for (weights, keys and values) and the activations follow each other.

    Args:
        stream_unit: Whether the stream unit runs them; else the unit has run, and priced, them itself.
        waited: Cycles of the memory that the unit's own terms have counted.
    """
    found = {name: np.asarray(term, dtype=float) for name, term in terms.items() if name not in around.off}
    total = np.asarray(sum(found.values(), start=np.zeros(1)))
    moved = around.offchip.cycles(sum(c.total_bits for c in crossings if not c.weight))
    busy = dict(parts.pop("busy", {}))
    busy[DRAM] = busy.get(DRAM, 0.0) + moved
    if "activations" not in around.off:
        found["activations"] = np.maximum(0.0, waited + moved - total)
    energy: dict[str, Array | float] = dict(parts.pop("energy_pj", {}))
    energy[DRAM] = energy.get(DRAM, 0.0) + around.offchip.energy_pj([c for c in crossings if not c.weight])
    if stream_unit and stream_operations(group):
        energy[STREAMS] = energy.get(STREAMS, 0.0) + around.streams.operator_pj(group)
    words: dict[tuple[str, str], Words] = {**words_of(crossings, DRAM), **parts.pop("words", {})}
    return Cost(cycles=found, energy_pj=energy, words=words, busy=busy, **parts)
