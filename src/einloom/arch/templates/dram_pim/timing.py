"""Timings of a DRAM with a MAC unit in every bank, in cycles of its command clock, and its organisation.

The names are those of DRAM simulators (``nRP``: cycles of a precharge). The defaults are the preset of the GDDR6-AiM
simulator that CENT uses (github:arkhadem/aim_simulator, 2eb1ee04, GDDR6_AiM_timing): cycles of 0.5 ns.

``nFAW``, ``nRFC`` and ``nREFI`` are the exception. That preset has 42, 210 and 3333, which no run of the simulator uses
(the window is marked so) and which are those of the preset that it was made from (GDDR6_2000_1250mV_double): cycles of
0.57 ns, 23.9 ns, 120 ns and 1.9 us. Here they are these times in cycles of 0.5 ns, rounded up: 48, 240, 3800.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from einloom.arch.template import Parameter

WORD_BITS = 16
"""BF16: what a column holds and what a MAC lane multiplies."""

_MEANINGS = {
    "nRP": (32, 0, "precharge of a row"),
    "nRTP": (12, 0, "from a read to a precharge"),
    "nRAS": (54, 0, "from an activate to a precharge, at least"),
    "nRCDRDMAC": (56, 1, "from an activate to a MAC column"),
    "nRCDRDAF": (86, 1, "from an activate to an activation function"),
    "nRCDEWMUL": (25, 1, "from an activate to an element-wise product"),
    "nRCDWR": (28, 1, "from an activate to a write"),
    "nRCDWRCP": (48, 1, "from an activate to a copy into a bank"),
    "nCCDS": (2, 1, "from a column to one in another bank group"),
    "nCCDL": (2, 1, "from a column to one in the same bank group"),
    "nBL": (2, 1, "burst on the data bus"),
    "nCWL": (6, 0, "from a write command to its data"),
    "nWR": (33, 0, "from written data to a precharge"),
    "nMODCH": (32, 0, "switch between registers and array"),
    "nFAW": (48, 0, "window in which at most four banks may be activated"),
    "nRFC": (240, 0, "refresh of all banks"),
    "nREFI": (3800, 1, "from one refresh to the next"),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Cycles of the command clock; the field names are explained in the parameters of the template."""

    nRP: int
    nRTP: int
    nRAS: int
    nRCDRDMAC: int
    nRCDRDAF: int
    nRCDEWMUL: int
    nRCDWR: int
    nRCDWRCP: int
    nCCDS: int
    nCCDL: int
    nBL: int
    nCWL: int
    nWR: int
    nMODCH: int
    nFAW: int
    nRFC: int
    nREFI: int

    @property
    def column(self) -> int:
        """Cadence of columns of all banks: all bank groups take part, so that the longer one holds."""
        return max(self.nCCDS, self.nCCDL)

    @property
    def write(self) -> int:
        """Cadence of writes into the buffer or the accumulators: ``max(tBL, tCCD)``."""
        return max(self.nBL, self.column)

    @property
    def read(self) -> int:
        """Cadence of blocking reads of accumulators, a round trip each: ``max(tBL + 1, tCCD)``."""
        return max(self.nBL + 1, self.column)

    @property
    def turnaround(self) -> int:
        """From the last buffer write to the first bias write: ``tBL + 3``."""
        return self.nBL + 3


TIMINGS = tuple(
    Parameter(name=name, kind="count", meaning=f"cycles: {meaning}", default=default, low=low, high=10**6)
    for name, (default, low, meaning) in _MEANINGS.items()
)


def timing_of(params: Mapping[str, object]) -> Timing:
    """The timings among the parameters of the template."""
    return Timing(**{field.name: _count(params, field.name) for field in fields(Timing)})


def _count(params: Mapping[str, object], name: str) -> int:
    value = params[name]
    assert isinstance(value, int)
    return value


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the work is laid out.

    Attributes:
        timing: Of the banks.
        channels: Of one device.
        block_channels: Channels that hold one block of the network; the others hold other blocks, which run in step.
        devices: Devices that share the linear layers of one block (tensor parallelism).
        banks: Of a channel, each with a MAC unit.
        lanes: Products of one MAC unit in one column: the bits of a column access over those of a word.
        row_words: Words of a DRAM row, and of the buffer of a channel.
        accumulators: Of a bank, at most.
    """

    timing: Timing
    channels: int
    block_channels: int
    devices: int
    banks: int
    lanes: int
    row_words: int
    accumulators: int

    @property
    def blocks(self) -> int:
        """Blocks of the network that one device runs in step."""
        return self.channels // self.block_channels

    @property
    def block_banks(self) -> int:
        """Banks of one block in one device: attention and vectors."""
        return self.banks * self.block_channels

    @property
    def linear_banks(self) -> int:
        """Banks that share a linear layer."""
        return self.block_banks * self.devices

    @property
    def row_columns(self) -> int:
        """Columns of a full row."""
        return self.row_words // self.lanes

    def columns(self, words: int) -> int:
        """Column accesses of ``words`` consecutive words."""
        return -(-words // self.lanes)

    def chunks(self, words: int) -> tuple[int, ...]:
        """``words`` cut into rows: columns of each row."""
        full, rest = divmod(words, self.row_words)
        return (self.row_columns,) * full + ((self.columns(rest),) if rest else ())

    @property
    def opening(self) -> int:
        """Cycles that the four-activate window adds when all banks of a channel open a row together.

        Banks open four at a time, ``nFAW`` apart, and a column that runs in all of them waits for the last:
        ``(ceil(banks / 4) - 1) * nFAW``. The simulator of CENT lists the window and does not enforce it.
        """
        return (math.ceil(self.banks / 4) - 1) * self.timing.nFAW
