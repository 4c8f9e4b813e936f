"""Energy by event: commands of the DRAM, counted, times what one costs; and stand-by for the time in the banks.

Units are a component of the library (arch/components/compute.csv, `gddr6_aim`), with their sources: currents of GDDR6
at 1.25 V as CENT's power calculator has them. Events of one channel are multiplied by the channels that take part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from einloom.arch.engine import Array

Counts = Mapping[str, Array | int]

COMMANDS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "activate_one": (("activate", 1),),
    "activate_all": (("activate", 16),),
    "mac": (("mac_column", 1),),
    "elementwise": (("elementwise_column", 1),),
    "buffer_write": (("transfer", 1),),
    "bias_write": (("column_write", 1), ("transfer", 1)),
    "accumulator_read": (("column_read", 1), ("transfer", 1)),
    "lookup": (("column_read", 16),),
    "lookup_read": (("column_read", 1), ("transfer", 1)),
    "copy_read": (("column_read", 1),),
    "copy_write": (("column_write", 1),),
    "line_read": (("column_read", 1), ("transfer", 1)),
    "line_write": (("column_write", 1), ("transfer", 1)),
    "write_all": (("column_write", 16), ("transfer", 1)),
    "mode": (),
    "instruction": (("instruction", 1),),
}
"""What one command takes, in units; 16 stands for the banks of a channel. ``transfer``: 256 bits over the pins."""

MOVES_DATA = frozenset(COMMANDS) - {"activate_one", "activate_all", "mode", "instruction"}
"""Commands of which the controller handles data."""
CLOSED_AFTER = frozenset({"activate_one", "activate_all"})
"""Commands to which a precharge belongs."""
BANKS_OF_SOURCE = 16


@dataclass
class Tally:
    """Commands of one step, over all channels of one device (or of all that share a linear layer).

    Attributes:
        banks: Of a channel.
        counts: By command.
    """

    banks: int
    counts: dict[str, Array | float] = field(default_factory=dict)

    def add(self, counts: Counts, times: Array | float = 1) -> None:
        for name, count in counts.items():
            if isinstance(count, np.ndarray) or count:
                self.counts[name] = self.counts.get(name, 0) + count * times

    def events(self) -> dict[str, Array | float]:
        return dict(self.counts)

    def energy_pj(self, units: Mapping[str, float]) -> dict[str, Array | float]:
        """By unit: activates, columns, transfers, and the controller."""
        found: dict[str, Array | float] = {}
        for unit, amount in self._used():
            found[unit] = found.get(unit, 0.0) + amount * units[unit]
        return found

    def _used(self) -> Iterator[tuple[str, Array | float]]:
        for command, count in self.counts.items():
            number = count * 1.0
            for unit, times in COMMANDS[command]:
                yield unit, number * (times if times < BANKS_OF_SOURCE else times * self.banks / BANKS_OF_SOURCE)
            if command != "instruction":
                yield "controller_command", number * (2 if command in CLOSED_AFTER else 1)
            if command in MOVES_DATA:
                yield "controller_data", number


@dataclass(frozen=True, slots=True)
class Standby:
    """Power of banks that wait.

    Attributes:
        open_w, closed_w: Of one channel with a row open, and with all closed.
        logic_w: Of one device: buffers and controllers that are always on.
        clock_hz: Of the DRAM.
        precharge: Cycles for which a channel is closed at each opening.
    """

    open_w: float
    closed_w: float
    logic_w: float
    clock_hz: float
    precharge: int

    def channel_pj(self, cycles: Array, activates: Array) -> Array:
        """Of one channel: open but for ``tRP`` at each opening."""
        closed = np.minimum(cycles, activates * self.precharge)
        return np.asarray((cycles - closed) * self.open_w + closed * self.closed_w) / self.clock_hz * 1e12

    def logic_pj(self, cycles: Array) -> Array:
        return np.asarray(cycles * self.logic_w / self.clock_hz * 1e12)
