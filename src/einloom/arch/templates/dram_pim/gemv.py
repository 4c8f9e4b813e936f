"""Matrix-vector products in the banks: the law of GDDR6-AiM, exact to the cycle against its simulator.

``K`` inputs, ``N`` outputs, ``B`` banks. Output column ``n`` lies in one bank; with ``c = ceil(N / B)`` columns a
bank and ``R = ceil(K / 1024)`` DRAM rows a column, ``o_r`` column accesses in row ``r``. For each row chunk ``r``:
the chunk of the input goes to the buffers of all channels; then groups of at most ``A`` columns: a bias into each
accumulator, one row of MACs each, the accumulators out. With an activation function half of the accumulators are
left, and the last chunk ends in one lookup a column. In a group of ``n`` columns with ``o`` accesses

    P(o)       = max(tRAS, tRCD + (o-1) tCCD + tRTP) + tRP
    group(n,o) = v + w(n-1) + 1  +  tMOD + tRP + tRCD + (o-1) tCCD + (n-1) P(o)  +  tCCD + tMOD + (n-1) q
    af(n)      = tRTP + tRP + tRCD_af + n (1 + 2 tMOD) + (n-1)(tBL+1) + q - 2 tMOD - tCCD
    T          = sum over r of [ w o_r + sum over groups of ( group + [r last and activation] af ) ]

with ``w, q, v`` of `Timing.write`, `read`, `turnaround`. The first product after nothing has no row to close and
needs a switch of mode: ``+ tMOD - tRP``.

Two choices beside these: ``k_split`` parts of K in different banks (partial sums are then added outside), and the
``packed`` layout, in which the columns of a group follow each other without a gap, so that only the last row of a
group is not full. Source of the law: runs of github:arkhadem/aim_simulator 2eb1ee04, 55 of them in tests/golden/pim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from einloom.arch.engine import Array, Laws
from einloom.arch.templates.dram_pim.physical import four_activate, refresh
from einloom.arch.templates.dram_pim.timing import Machine, Timing


@dataclass(frozen=True)
class Gemv:
    """One product on one machine, for several candidates.

    Attributes:
        machine: Where it runs.
        inputs, outputs: K and N.
        banks: That share the columns.
        accumulators: At most so many of a bank in a group; shape (candidates,).
        k_split: Parts of K in different banks; shape (candidates,).
        packed: Whether columns follow each other without a gap; shape (candidates,).
        activation: Whether an activation function is looked up at the end.
        alone: Whether the rows are closed and the mode is that of registers when it begins.
        passes: How many input vectors, one after the other.
        start: Cycles to begin after host lines.
    """

    machine: Machine
    inputs: int
    outputs: int
    banks: int
    accumulators: Array
    k_split: Array
    packed: Array
    activation: bool = False
    alone: bool = False
    passes: int = 1
    start: float = 0.0

    @property
    def timing(self) -> Timing:
        return self.machine.timing

    @cached_property
    def part_inputs(self) -> Array:
        """Inputs of one part of K."""
        return -(-self.inputs // self.k_split)

    @cached_property
    def columns(self) -> Array:
        """Output columns of the fullest bank, c."""
        return -(-self.outputs * self.k_split // self.banks)

    @cached_property
    def chunks(self) -> Array:
        """Row chunks of a column, R."""
        return -(-self.part_inputs // self.machine.row_words)

    @cached_property
    def last_accesses(self) -> Array:
        """Column accesses of the last chunk of a column."""
        rest = self.part_inputs - self.machine.row_words * (self.chunks - 1)
        return np.asarray(-(-rest // self.machine.lanes))

    @cached_property
    def accesses(self) -> Array:
        """Column accesses of one output column: the sum of the o_r."""
        return (self.chunks - 1) * self.machine.row_columns + self.last_accesses

    @cached_property
    def group_limit(self) -> Array:
        """Columns of a group, at most; with an activation function half as many."""
        return np.asarray(np.maximum(1, self.accumulators // 2)) if self.activation else self.accumulators

    @cached_property
    def groups(self) -> Array:
        """Groups of a chunk, G."""
        return -(-self.columns // self.group_limit)

    @cached_property
    def last_rows(self) -> Array:
        """Rows that the last chunk opens in a bank; packed: full ones but for the last of a group."""
        size = -(-self.columns // self.groups)
        last = self.columns - size * (self.groups - 1)
        row, o = self.machine.row_columns, self.last_accesses
        packed = (self.groups - 1) * -(-size * o // row) + -(-last * o // row)
        return np.where(self.packed, packed, self.columns)

    @cached_property
    def rows(self) -> Array:
        """Rows that one pass opens in a bank, without those of the activation function."""
        return (self.chunks - 1) * self.columns + self.last_rows

    @cached_property
    def activates(self) -> Array:
        """Openings of a row in all banks of a channel."""
        return self.passes * (self.rows + (self.groups if self.activation else 0))

    @cached_property
    def channels(self) -> Array:
        """Channels of the whole machine that hold a column."""
        used_banks = -(-self.outputs * self.k_split // self.columns)
        return -(-used_banks // self.machine.banks)

    def turnover(self, accesses: Array | int) -> Array:
        """From the last column of a row to the first of the next, without the precharge: P(o) - tRP - (o-1) tCCD."""
        t = self.timing
        found: Array = np.maximum(t.nRAS - (np.asarray(accesses) - 1) * t.column, t.nRCDRDMAC + t.nRTP)
        return found


# -- terms, each summed over passes, chunks and groups ----------------------------------------------------------------


def buffer(work: Gemv) -> Array:
    """Input into the buffers of all channels at once, ``w o_r``; every part of K by itself."""
    return np.asarray(work.passes * work.k_split * work.timing.write * work.accesses)


def bias(work: Gemv) -> Array:
    """A bias into each accumulator: ``v + w (n-1) + 1`` a group."""
    t, groups = work.timing, work.chunks * work.groups
    return np.asarray(work.passes * (groups * (t.turnaround + 1) + (work.chunks * work.columns - groups) * t.write))


def mode_switch(work: Gemv) -> Array:
    """To the array and back to the registers, ``2 tMOD`` a group, and twice a lookup but for the first of a group."""
    switches = 2 * work.chunks * work.groups
    if work.activation:
        switches = switches + 2 * (work.columns - work.groups)
    return np.asarray((work.passes * switches + (1 if work.alone else 0)) * work.timing.nMODCH)


def activate(work: Gemv) -> Array:
    """Opening rows: ``tRCD`` for the first of a group, then ``P(o) - tRP`` less the columns that it covers."""
    t = work.timing
    full = work.machine.row_columns
    last_full = np.where(work.packed, full, work.last_accesses)
    later = (work.chunks - 1) * (work.columns - work.groups) * work.turnover(full)
    later = later + (work.last_rows - work.groups) * work.turnover(last_full)
    return np.asarray(work.passes * (work.chunks * work.groups * t.nRCDRDMAC + later))


def precharge(work: Gemv) -> Array:
    """Closing a row before each that is opened, ``tRP``; the very first finds the banks closed."""
    return np.asarray((work.passes * work.rows - (1 if work.alone else 0)) * work.timing.nRP)


def columns(work: Gemv) -> Array:
    """MACs in all banks: ``(o-1) tCCD`` a row and ``tCCD`` after the last of a group."""
    accesses = work.columns * work.accesses
    return np.asarray(work.passes * (accesses - work.rows + work.chunks * work.groups) * work.timing.column)


def readout(work: Gemv) -> Array:
    """Accumulators of a group out, one blocking read after the other: ``(n-1) q``."""
    return np.asarray(work.passes * work.chunks * (work.columns - work.groups) * work.timing.read)


def activation(work: Gemv) -> Array:
    """Lookup of the function: ``tRTP + tRP + tRCD_af + n + (n-1)(tBL+1) + q - tCCD`` for a group of n."""
    if not work.activation:
        return np.zeros_like(work.columns)
    t = work.timing
    opening = t.nRTP + t.nRP + t.nRCDRDAF + t.read - t.column
    return np.asarray(work.passes * (work.groups * (opening - t.nBL - 1) + work.columns * (t.nBL + 2)))


def run_start(work: Gemv) -> Array:
    """Beginning a run of products after host lines (calibrated, see `vectors.Calibrated`)."""
    return np.asarray(work.start)


GEMV_LAWS: Laws[Gemv] = Laws(
    (run_start, buffer, bias, mode_switch, activate, precharge, columns, readout, activation, four_activate), (refresh,)
)


def commands(work: Gemv) -> Mapping[str, Array]:
    """DRAM commands of one channel that holds columns, by the names of `energy.COMMANDS`."""
    results = work.chunks * work.columns
    found = {
        "mac": work.columns * work.accesses,
        "buffer_write": work.accesses,
        "activate_all": work.rows + (work.groups if work.activation else 0),
        "bias_write": results,
        "accumulator_read": results,
        "mode": 2 * work.chunks * work.groups,
    }
    if work.activation:
        found |= {"lookup": work.columns, "lookup_read": work.columns}
        found["mode"] = found["mode"] + 2 * (work.columns - work.groups)
    return {name: work.passes * count for name, count in found.items()}
