"""Attention in the banks: scores and values against a growing cache of keys and values.

The key of a token fills whole rows of one bank, head after head (``heads_of_row`` heads a row); tokens go round the
banks. Values are transposed: a bank holds dimensions of a head, its row consecutive tokens. CENT runs every head by
itself (``separate``): a switch of mode on both sides of eight columns. Concatenated heads (PIM-GPT) run as one group:
one accumulator a head, one switch a row. Sources: CENT's trace generator (github:Yufeng98/CENT, 8c797860), simulated
by github:arkhadem/aim_simulator 2eb1ee04; concatenation: PIM-GPT, arXiv 2310.09385.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from einloom.arch.engine import Array, Laws
from einloom.arch.templates.dram_pim.gemv import Gemv
from einloom.arch.templates.dram_pim.physical import four_activate, refresh
from einloom.arch.templates.dram_pim.timing import Machine


@dataclass(frozen=True)
class Heads:
    """Attention of some queries against some tokens.

    Attributes:
        machine: Where it runs.
        heads: Key-value heads (times the batch).
        queries: Query vectors that use one key-value head.
        tokens: In the cache, new ones included.
        new: Of those, the ones that are appended now.
        width: Of a head.
        concatenated: Whether the heads of a row run as one group.
        accumulators: Of a bank.
    """

    machine: Machine
    heads: int
    queries: int
    tokens: int
    new: int
    width: int
    concatenated: bool
    accumulators: int

    @property
    def head_columns(self) -> int:
        """Column accesses of one head's key."""
        return self.machine.columns(self.width)

    @cached_property
    def heads_of_row(self) -> int:
        """Heads whose keys share a row."""
        return max(1, min(self.heads, self.machine.row_columns // self.head_columns))

    @cached_property
    def rows_of_token(self) -> int:
        """Rows of one token's keys: ``ceil(heads / heads of a row)``; a head wider than a row takes several."""
        rows_of_head = -(-self.head_columns // self.machine.row_columns)
        return -(-self.heads // self.heads_of_row) * rows_of_head

    @property
    def score_rounds(self) -> int:
        """Tokens of the fullest bank."""
        return -(-self.tokens // self.machine.linear_banks)

    @property
    def activates(self) -> Array:
        """Openings of a row in all banks, for the scores; queries that share a row find it open."""
        return np.asarray(self.rows_of_token * self.score_rounds)

    @cached_property
    def score_groups(self) -> int:
        """Groups of MACs of all scores: one a head, or one a row (or as many as its accumulators allow)."""
        if not self.concatenated:
            return self.score_rounds * self.queries * max(self.heads, self.rows_of_token)
        full, rest = divmod(self.heads, self.heads_of_row)
        rows_of_head = self.rows_of_token // -(-self.heads // self.heads_of_row)
        of_token = full * -(-self.heads_of_row // self.accumulators) + -(-rest // self.accumulators)
        return self.score_rounds * self.queries * rows_of_head * of_token

    @property
    def score_results(self) -> int:
        """Accumulators that are written and read for all scores."""
        return max(self.score_groups, self.score_rounds * self.queries * self.heads)

    @property
    def score_columns(self) -> int:
        """Column accesses of a bank for all scores."""
        return self.score_rounds * self.queries * self.heads * self.head_columns

    @property
    def value_rounds(self) -> int:
        """Heads of the fullest channel; where there are fewer heads than channels, the others idle."""
        return -(-self.heads // self.machine.block_channels)

    @property
    def value_sets(self) -> int:
        """Dimensions of a head in one bank: concatenated, a head spreads over the channels that are left."""
        spread = max(1, self.machine.block_channels // self.heads) if self.concatenated else 1
        return -(-self.width // (self.machine.banks * spread))

    def value_append(self) -> ValueAppend:
        """The values of the new tokens, for the heads of the fullest channel."""
        return ValueAppend(self.machine, self.new * self.value_rounds * self.value_sets)

    def values(self) -> Gemv:
        """Probabilities times values: a product of ``tokens`` inputs for `value_sets` columns of every bank."""
        group = self.accumulators if self.concatenated else 1
        return Gemv(
            self.machine, self.tokens, self.value_sets, 1, np.array([group]), np.array([1]), np.array([False]),
            passes=self.value_rounds * self.queries,
        )  # fmt: skip


# -- scores: one outer step for each row of keys, round of tokens and query -------------------------------------------


def buffer(work: Heads) -> Array:
    """The query into the buffers, again for every round of tokens: ``w`` a column."""
    return np.asarray(work.machine.timing.write * work.score_columns)


def bias(work: Heads) -> Array:
    """A bias into each accumulator: ``v + 1 + w (n-1)`` for a group of n heads."""
    t, groups = work.machine.timing, work.score_groups
    return np.asarray(groups * (t.turnaround + 1) + (work.score_results - groups) * t.write)


def mode_switch(work: Heads) -> Array:
    """To the array and back, ``2 tMOD`` a group: with single heads this is most of the time."""
    return np.asarray(2 * work.score_groups * work.machine.timing.nMODCH)


def activate(work: Heads) -> Array:
    """Opening a row of keys, ``tRCD``."""
    return np.asarray(work.activates * work.machine.timing.nRCDRDMAC)


def precharge(work: Heads) -> Array:
    """Closing the row before, ``tRP``."""
    return np.asarray(work.activates * work.machine.timing.nRP)


def columns(work: Heads) -> Array:
    """MACs of all heads, ``tCCD`` a column."""
    return np.asarray(work.score_columns * work.machine.timing.column)


def readout(work: Heads) -> Array:
    """Scores of a group out: ``(n-1) q``."""
    return np.asarray((work.score_results - work.score_groups) * work.machine.timing.read)


def key_append(work: Heads) -> Array:
    """New keys written line by line into one bank a token, row after row.

    First row ``tRP + tRCD_wr + L`` (L lines of it), further ones ``tRCD_wr + (L-1) tCCD + tCWL + tBL + tWR + tRP``;
    with several blocks in a device the queue alternates between them and pays the first form for every row.
    """
    t, rows, blocks = work.machine.timing, work.rows_of_token, work.machine.blocks
    lines = min(work.heads_of_row * work.head_columns, work.machine.row_columns)
    first = t.nRP + t.nRCDWR + lines
    further = t.nRCDWR + (lines - 1) * t.column + t.nCWL + t.nBL + t.nWR + t.nRP
    return np.asarray(work.new * (blocks * rows * first if blocks > 1 else first + (rows - 1) * further))


SCORE_LAWS: Laws[Heads] = Laws(
    (buffer, bias, mode_switch, activate, precharge, columns, readout, key_append, four_activate), (refresh,)
)


@dataclass(frozen=True, slots=True)
class ValueAppend:
    """Values of new tokens: ``writes`` one after the other, each in all banks of a channel."""

    machine: Machine
    writes: int

    @property
    def activates(self) -> Array:
        return np.asarray(self.writes)


def value_append(work: ValueAppend) -> Array:
    """One write in all banks a set of dimensions, ``tRCD_wr + tCWL + tBL + tWR + tRP`` each."""
    t = work.machine.timing
    return np.asarray(work.writes * (t.nRCDWR + t.nCWL + t.nBL + t.nWR + t.nRP))


APPEND_LAWS: Laws[ValueAppend] = Laws((value_append, four_activate), (refresh,))


def score_commands(work: Heads) -> Mapping[str, int]:
    """DRAM commands of one channel for the scores."""
    rows = work.rows_of_token * work.score_rounds
    return {
        "mac": work.score_columns,
        "buffer_write": work.score_columns,
        "activate_all": rows,
        "bias_write": work.score_results,
        "accumulator_read": work.score_results,
        "mode": 2 * work.score_groups,
    }


def key_commands(work: Heads) -> Mapping[str, int]:
    """DRAM commands of one block for the new keys."""
    rows = work.new * work.rows_of_token
    return {"line_write": work.new * work.heads * work.head_columns, "activate_one": rows}


def value_commands(work: Heads) -> Mapping[str, int]:
    """DRAM commands of one device for the new values, which CENT writes for the first of its blocks only."""
    writes = work.new * work.heads * work.value_sets
    return {"write_all": writes, "activate_all": writes}
