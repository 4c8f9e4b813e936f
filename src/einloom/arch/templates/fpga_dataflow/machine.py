"""The FPGA as the laws see it: its constants in one value, and what words and operations cost in energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from einloom.errors import MappingError

OFF_CHIP, ON_CHIP, LANES = "DRAM", "OnChip", "Lane"
"""Names of the memories and of the compute."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Constants of one FPGA.

    Attributes:
        lanes: Multipliers that there are.
        bits: Of an operand of a lane.
        lane_dsp: DSP blocks of a lane.
        port_bits: That the off-chip memory moves in a cycle.
        latency: Cycles until the first beat of a burst.
        start_up: Cycles before the first task and after the last.
        launch: Cycles of a call by the host.
        operator_pj: Energy of one operation, the fabric's factor included.
        operator_cycles: Operations of a lane that an operator takes.
        off_chip_pj, on_chip_pj: Of one bit.
        budget: Resources of the device, by name; without a device there is none.
        platform: What the shell takes of them.
    """

    lanes: int
    bits: int
    lane_dsp: float
    port_bits: Fraction
    latency: int
    start_up: int
    launch: float
    operator_pj: tuple[tuple[str, float], ...]
    operator_cycles: tuple[tuple[str, int], ...]
    off_chip_pj: float
    on_chip_pj: float
    budget: tuple[tuple[str, float], ...]
    platform: tuple[tuple[str, int], ...]

    def arithmetic_pj(self, operations: Mapping[str, int]) -> float:
        """Energy of operations: ``sum(count x energy of the operator x fabric factor)``.

        Raises:
            MappingError: An operator that has no cost here; it is never zero.
        """
        known = dict(self.operator_pj)
        self._check(operations, known)
        return sum(count * known[name] for name, count in operations.items())

    def lane_operations(self, operations: Mapping[str, int]) -> int:
        """Lane-cycles of operations: an operator without a unit of its own is a sequence of multiply-adds."""
        known = dict(self.operator_cycles)
        self._check(operations, known)
        return sum(count * known[name] for name, count in operations.items())

    def _check(self, operations: Mapping[str, int], known: Mapping[str, object]) -> None:
        unknown = [name for name in operations if name not in known]
        if unknown:
            raise MappingError(
                f"a lane has no cost for the operator '{unknown[0]}'",
                f"give its cost in the workload's `operators:`; operators: {', '.join(sorted(known))}",
            )
