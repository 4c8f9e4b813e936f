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

ONE, ALL = "one bank or the pins", "all banks"

COMMANDS: Mapping[str, tuple[tuple[str, float, str], ...]] = {
    "activate_one": (("activate", 1, ONE),),
    "activate_all": (("activate", 16, ALL),),
    "mac": (("mac_column", 1, ALL),),
    "elementwise": (("elementwise_column", 1, ALL),),
    "buffer_write": (("transfer", 1, ONE),),
    "bias_write": (("column_write", 1, ALL), ("transfer", 1, ALL)),
    "accumulator_read": (("column_read", 1, ALL), ("transfer", 1, ALL)),
    "lookup": (("column_read", 16, ALL),),
    "lookup_read": (("column_read", 1, ALL), ("transfer", 1, ALL)),
    "copy_read": (("column_read", 1, ONE),),
    "copy_write": (("column_write", 1, ONE),),
    "line_read": (("column_read", 1, ONE), ("transfer", 1, ONE)),
    "line_write": (("column_write", 1, ONE), ("transfer", 1, ONE)),
    "write_all": (("column_write", 16, ALL), ("transfer", 1, ONE)),
    "mode": (),
    "instruction": (("instruction", 1, ONE),),
}
"""What one command takes: a unit, how often in a channel of 16 banks, and whether that grows with the banks."""

BANKS_OF_SOURCE, LANES_OF_SOURCE = 16, 16
"""The units are those of a channel of 16 banks and of columns of 256 bits, 16 words."""
WIDE = frozenset({"column_read", "column_write", "mac_column", "elementwise_column", "transfer"})
"""Units that grow with the bits of a column."""
MOVES_DATA = frozenset(COMMANDS) - {"activate_one", "activate_all", "mode", "instruction"}
"""Commands of which the controller handles data."""
CLOSED_AFTER = frozenset({"activate_one", "activate_all"})
"""Commands to which a precharge belongs."""


@dataclass
class Tally:
    """Commands of one step, over all channels of one device (or of all that share a linear layer).

    Attributes:
        banks, lanes: Banks of a channel, words of a column.
        counts: By command.
    """

    banks: int
    lanes: int
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
            for unit, times, of in COMMANDS[command]:
                banks = self.banks / BANKS_OF_SOURCE if of == ALL else 1.0
                yield unit, number * (times * banks * (self.lanes / LANES_OF_SOURCE if unit in WIDE else 1.0))
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

    def closed_pj(self, cycles: Array) -> Array:
        """Of one channel that has no row open."""
        return np.asarray(cycles * self.closed_w / self.clock_hz * 1e12)

    def logic_pj(self, cycles: Array) -> Array:
        return np.asarray(cycles * self.logic_w / self.clock_hz * 1e12)
