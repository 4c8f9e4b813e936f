"""The companion: logic beside the DRAM that runs what the banks cannot (norms, softmax, rotary embedding, additions).

Two kinds. ``cent`` is the accelerator in CENT's CXL controller (github:Yufeng98/CENT, 8c797860, power calculator):
one vector adder and exponential unit of 16 lanes a channel, fed in turn from one shared buffer, and eight RISC-V
cores. ``vector`` is a row of lanes, an operator at the cycles of arch/components/operators.csv. Both run all
operations that no law of the banks covers on their lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einloom.arch.tree import Compute
from einloom.errors import MappingError

RISCV_NORM, RISCV_CORES = 26.0, 8
RISCV_ROTARY = 3.0 / RISCV_CORES
RISCV_SOFTMAX = 16.0 + 2.0 / RISCV_CORES + 1.0
RISCV_SOFTMAX_ALONE = 16.0 + 2.0 + 1.0
"""Cycles of the RISC-V cores, CENT: a norm; an element of a rotary embedding; a row of softmax, pipelined and alone."""
LANES = 16
EXP_DEPTH = 11
POWER_MW: Mapping[str, float] = {
    "riscv": 41.0, "exp": 3.231 + 3.41e-2, "add": 1.070 + 1.44e-2, "reduce": 1.017 + 8.01e-3,
    "buffer_read": 3.207188769, "buffer_write": 3.754155771,
}  # fmt: skip
"""Power while an event takes its one cycle, CENT: ACCEL_POWER and SRAM_POWER of its power calculator."""


@dataclass(frozen=True, slots=True)
class Companion:
    """The logic beside the banks.

    Attributes:
        kind: ``none``, ``cent`` or ``vector``.
        compute: What an operation takes on one lane; its name in the tree.
        lanes: Operations at a time.
        clock_ratio: Cycles of the DRAM clock in one of its own.
        units: Channels that feed it in turn.
    """

    kind: str
    compute: Compute
    lanes: int
    clock_ratio: float
    units: int

    @property
    def exp_round(self) -> int:
        """Exponentials of one word of every unit: read in turn, 11 cycles deep, written: ``U + 12``."""
        return self.units + EXP_DEPTH + 1

    @property
    def add_round(self) -> int:
        """Sums of one word of every unit: two reads in turn, one add, written: ``2 U + 2``."""
        return 2 * self.units + 2

    def norm(self, width: int) -> float:
        """Cycles of one norm: partial sums of 16 lanes x 16 banks a unit added, reduced, and its root on a core.

        ``width / (16 * 16 U) * (2U + 2) + 3 + 26``.
        """
        return self.clock_ratio * (width / (LANES * LANES * self.units) * self.add_round + 3 + RISCV_NORM)

    def softmax(self, rows: int, tokens: int) -> float:
        """Cycles of softmax: ``rows tokens / (16 U) * ((U + 12) + (2U + 2)) + 18.25 rows``."""
        rounds = rows * tokens / (LANES * self.units)
        return self.clock_ratio * (rounds * (self.exp_round + self.add_round) + rows * (1 + RISCV_SOFTMAX))

    def rotary(self, elements: int) -> float:
        """Cycles of the rotary embedding of ``elements``: three on eight cores each."""
        return self.clock_ratio * RISCV_ROTARY * elements

    def cycles(self, operations: Mapping[str, int]) -> float:
        """DRAM cycles of operations on all lanes at once: ``ceil(operations x cycles / lanes)``."""
        work = sum(count * self.compute.operator_cycles(operator) for operator, count in operations.items())
        return self.clock_ratio * -(-work // self.lanes)

    def check(self, einsum: str, operations: Mapping[str, int]) -> None:
        """Raise `MappingError` unless every operation of ``einsum`` has a cost here; it is never taken as zero."""
        for operator in operations:
            if self.kind == "none":
                what = f"Einsum {einsum}: the banks do not run '{operator}' and there is no companion"
                raise MappingError(what, "give `companion: cent` or `companion: vector`")
            if self.compute.operator_energy_pj(operator) is None:
                known = ", ".join(sorted(self.compute.energy_pj))
                what = f"Einsum {einsum}: operator '{operator}' has no cost on the companion"
                raise MappingError(what, f"operators that it can run: {known}")

    def energy_pj(self, operations: Mapping[str, int]) -> float:
        """Of operations on its lanes."""
        return sum(count * (self.compute.operator_energy_pj(op) or 0.0) for op, count in operations.items())


def event_pj(event: str, clock_hz: float) -> float:
    """Energy of one cycle of an event of CENT's accelerator."""
    return POWER_MW[event] * 1e9 / clock_hz


def norm_pj(width: int, clock_hz: float) -> float:
    """One norm on CENT's accelerator: shared buffer, adders, one reduction, one core."""
    words = width / (LANES * LANES)
    buffer = (words + 2) * (2 * event_pj("buffer_read", clock_hz) + event_pj("buffer_write", clock_hz))
    logic = words * event_pj("add", clock_hz) + event_pj("reduce", clock_hz)
    return buffer + logic + RISCV_NORM * event_pj("riscv", clock_hz)


def softmax_pj(rows: int, tokens: int, clock_hz: float) -> float:
    """Softmax on CENT's accelerator."""
    words = rows * tokens / LANES
    buffer = (3 * words + 2 * rows) * event_pj("buffer_read", clock_hz)
    buffer += (2 * words + 2 * rows) * event_pj("buffer_write", clock_hz)
    logic = words * (event_pj("exp", clock_hz) + event_pj("add", clock_hz)) + rows * event_pj("reduce", clock_hz)
    return buffer + logic + rows * RISCV_SOFTMAX_ALONE * event_pj("riscv", clock_hz)


def rotary_pj(elements: int, clock_hz: float) -> float:
    """Rotary embedding on CENT's accelerator."""
    buffer = elements / LANES * (event_pj("buffer_read", clock_hz) + 2 * event_pj("buffer_write", clock_hz))
    return buffer + RISCV_ROTARY * elements * event_pj("riscv", clock_hz)
