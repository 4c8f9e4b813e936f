"""What loops and off-chip accesses cost on an FPGA: the constants, each with the rows that it was read off.

A pipelined loop of N trips that is entered once takes N x interval + o cycles, o being its fill and exit (depth of the
pipeline and one or two states of the controller). Loops that are not perfectly nested are not flattened by high-level
synthesis, so that the inner loop pays o at every entry.

Off chip, a trip is one beat of the memory port. A burst pays the latency of the memory once; a blocking access pays it
at every beat.

Source of all constants: cycle counts in the reports and logs of the InTAR repository, github.com/OswaldHe/InTAR
(Vitis HLS on the Alveo U280, FCCM 2025, arXiv:2502.08807). The `basis` of each names the rows that it was read off:
they are no test of it, the other rows are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class LoopClass:
    """A kind of loop body.

    Attributes:
        fill: Cycles at each entry beside the trips (o).
        interval: Cycles a trip, unless the loop names another.
        off_chip: Whether it uses the memory port: one beat a trip.
        computes: Whether its trips occupy the multipliers.
        basis: Where the two numbers come from.
    """

    fill: Fraction
    interval: Fraction = Fraction(1)
    off_chip: bool = False
    computes: bool = False
    basis: str = ""


def _work(fill: float, basis: str) -> LoopClass:
    return LoopClass(Fraction(fill), computes=True, basis=basis)


def _beats(fill: float, interval: float, basis: str) -> LoopClass:
    return LoopClass(Fraction(fill), Fraction(interval), off_chip=True, basis=basis)


CLASSES: Mapping[str, LoopClass] = MappingProxyType({
    "load": LoopClass(Fraction(3), basis="generated RTL of the GPT-2 design: copy or load, depth 1, 2-3 cycles"),
    "copy": LoopClass(Fraction(3), basis="as load"),
    "mac": _work(6, "MLP InTAR and MLP dataflow cycles: int16 multiply-add a lane"),
    "mul": _work(9, "MLP sequential, second version: 11 cycles for a loop of 2 trips"),
    "sum8": _work(10, "attention dataflow cycles: 8 lanes summed into one scalar"),
    "sum16": _work(13, "MLP sequential cycles: 16 lanes summed, 15 for 2 trips"),
    "stencil": _work(20.5, "CNN InTAR and CNN dataflow cycles: 3x3 stencil x 16 lanes, modulo row index"),
    "tile": _work(25, "generated RTL of the GPT-2 design, about: feeder 2, DSP58 array 4, reduction 6, drain states"),
    "map": _work(6, "as mac: one operation a lane, nothing summed across lanes"),
    "state": LoopClass(Fraction(0), basis="none: states of the controller, one cycle each"),
    "burst": _beats(73, 1, "MLP sequential, first version: 73 cycles of latency (245 ns at 298.5 MHz), once"),
    "read": _beats(0, 73, "MLP sequential, first version: 73 cycles a blocking read"),
    "write": _beats(0, 30.5, "CNN sequential on the board: 30.5 cycles a blocking write"),
    "poll": _beats(0, 4, "gating sequential: about 4 cycles a beat of a loop that is not pipelined"),
})
"""Every kind of loop by name. Counted by its trips alone, each costs one cycle a trip."""

START_UP = 490
"""Cycles before the first task and after the last one of a kernel with two ports on the board (120 in emulation).
Read off MLP InTAR and MLP dataflow. In emulation a blocking write takes 7.7 cycles (CNN sequential)."""
