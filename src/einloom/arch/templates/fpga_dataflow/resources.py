"""What a design takes of a device: multipliers, memories and logic.

Source of the laws and constants: utilization reports of the InTAR repository, github.com/OswaldHe/InTAR (Alveo U280).
The memory and multiplier laws are exact where the structure is known; the logic law is an estimate from five designs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

UNITS: Mapping[str, int] = MappingProxyType({"softmax": 11, "sampler": 14, "address": 3, "platform": 4})
"""DSP blocks of what is no lane: exp and float scaling of a softmax; one exp in a sampler; address multiplies of a
loop nest (3-6 seen, 3 counted); the platform, which the rows of the InTAR baselines count and those of InTAR do not."""

LANE_DSP: Mapping[str, Mapping[int, float]] = MappingProxyType({
    "DSP48E2": MappingProxyType({4: 0.5}),
    "DSP58": MappingProxyType({4: 768 / 2048, 8: 768 / 2048}),
})
"""DSP blocks of a narrow multiplier by block and operand bits: two int4 x int8 products share a DSP48E2 (GPT-2 on the
U280); three-way int8 dot products of DSP58 give 2,048 products in 768 blocks, the ninth of each three unused (GPT-2 on
the VPK180). Any other lane of up to 16 bits is one block, wider ones are whole pieces of 16 bits: (bits / 16)^2."""

TASK_LUT = 30_000
"""Look-up tables of a TAPA design beside its lanes (floorplan, memory ports, controllers)."""
LANE_LUT = 50
"""Look-up tables of a lane; multiplexers of fully split arrays come on top and are not counted."""
FF_PER_LUT = 1.22
"""Flip-flops for each look-up table of kernel logic: taken as in the U280 platform (128,746 / 105,683)."""

PLATFORMS: Mapping[str, Mapping[str, int]] = MappingProxyType({
    "u280": MappingProxyType({"lut": 105_683, "ff": 128_746, "bram": 198, "dsp": 4}),
})
"""What the vendor's shell takes by itself. A Zynq has none; that of the other cards is not known and not counted."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array in block memory.

    Attributes:
        kind: ``uram`` (4096 x 72 bits) or ``bram`` (1024 x 18 bits, half a block of 36 Kb).
        banks: Copies or partitions that are addressed at the same time.
        depth, bits: Words of one bank, and how wide they are.
    """

    kind: str
    banks: int
    depth: int
    bits: int

    def blocks(self) -> float:
        """Blocks of the device: ``banks x ceil(depth / 4096) x ceil(bits / 72)`` URAM, or
        ``banks x ceil(depth / 1024) x ceil(bits / 18)`` halves of a BRAM."""
        if self.kind == "uram":
            return self.banks * math.ceil(self.depth / 4096) * math.ceil(self.bits / 72)
        return self.banks * math.ceil(self.depth / 1024) * math.ceil(self.bits / 18) / 2


def dsp_of_lane(bits: int, block: str = "DSP48E2") -> float:
    """DSP blocks of one multiplier."""
    return LANE_DSP[block].get(bits, max(1.0, bits / 16) ** 2)


def lane_dsp(lanes: int, interval: int, one: float) -> int:
    """DSP blocks of ``lanes`` multipliers of ``one`` block each that a loop starts every ``interval`` cycles: they are
    shared. ``ceil(ceil(lanes / interval) x one)``.
    """
    return math.ceil(math.ceil(lanes / interval) * one)


def logic(lanes: int, platform: Mapping[str, int]) -> dict[str, float]:
    """Look-up tables and flip-flops: ``30,000 + 50 lanes`` LUT, and the platform's."""
    lut = TASK_LUT + LANE_LUT * lanes
    return {"lut": lut + platform.get("lut", 0), "ff": round(lut * FF_PER_LUT) + platform.get("ff", 0)}
