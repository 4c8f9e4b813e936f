"""The least traffic of one Einsum through one buffer: the exact mapper on a machine of two memories.

DRAM, a buffer of a given size, one compute; moving a bit in or out of DRAM costs 1 pJ and everything else nothing, so
that the mapping of least energy is the one that moves the fewest bits.
"""

from __future__ import annotations

import math
from fractions import Fraction

from einloom.arch.tree import Amount, Architecture, Compute, Memory
from einloom.errors import MappingError
from einloom.mapper.mapper import Mapper
from einloom.workloads.sized import SizedEinsum


def two_level(capacity_bits: Fraction, operators: tuple[str, ...]) -> Architecture:
    """The machine: words of DRAM are one bit, each read or written at 1 pJ."""
    return Architecture(
        name="two_level",
        clock_hz=1e9,
        levels=(
            Memory(name="DRAM", word_bits=Fraction(1), read_energy_pj=1.0, write_energy_pj=1.0),
            Memory(name="Buffer", capacity=Amount(capacity_bits)),
            Compute(name="Compute", energy_pj=dict.fromkeys(operators, 0.0)),
        ),
    )


def least_traffic_bits(
    einsum: SizedEinsum, capacity_bits: Fraction, deadline_s: float | None = None
) -> tuple[float, float | None] | None:
    """Bits that the best mapping of ``einsum`` moves in and out of DRAM, reads and writes together.

    Args:
        einsum: What is mapped.
        capacity_bits: Of the buffer.
        deadline_s: Past it the best mapping found so far is given with its gap.

    Returns:
        The bits and the proven gap to the best mapping (0: none is better); None where no mapping fits.
    """
    machine = two_level(capacity_bits, tuple(dict.fromkeys(work.operator for work in einsum.work)))
    try:
        best = Mapper(machine, "energy", deadline_s=deadline_s).map(einsum).results[0]
    except MappingError:
        return None
    dram = best.memories["DRAM"].tensors
    bits = {access.tensor: access.bits for access in einsum.accesses}
    moved = sum((Fraction(count.reads + count.writes) * bits[name] for name, count in dram.items()), Fraction(0))
    return float(moved), best.gap if best.proof != "optimal" else 0.0


def capacities(least_bits: Fraction, most_bits: Fraction, per_octave: int = 1) -> tuple[Fraction, ...]:
    """Sizes of the buffer to try: powers of 2 times ``least_bits``, up to the first one from ``most_bits`` on."""
    octaves = max(1, math.ceil(math.log2(most_bits / least_bits)))
    steps = octaves * per_octave
    return tuple(Fraction(round(least_bits * 2 ** Fraction(step, per_octave))) for step in range(steps + 1))
