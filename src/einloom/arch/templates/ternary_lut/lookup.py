"""Table lookup for ternary matrices: tables of G activations built online, read by index, summed by trees.

A block is G T activations. Each of T tables gets the sums of its G activations with all ternary weights; then each of
Q lanes looks up one entry of every table a cycle and sums them, one output a lane and cycle. TeLLMe v2 (arXiv
2510.15926): G = 3, T = 28, Q = 16, 27 entries of 10 bits, copied for each lane.

Cycles of rows x K x N in passes of P outputs (a pass keeps its sums on chip):

    rows x sum over passes, blocks of ( build + ceil(outputs / Q) II + overhead )

With fixed trip counts (``padded``, as HLS loops have) a short last block or pass takes as long as a full one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Laws

FULL, MIRRORED, SELECT = "full", "mirrored", "select_add"
FORMS = (FULL, MIRRORED, SELECT)


def index_bits(group: int) -> int:
    """Bits of the index of G ternary weights: ``ceil(log2 3^G)`` (2.0, 2.0, 1.667, 1.75, 1.6 a weight for G = 1..5)."""
    return int(3**group - 1).bit_length()


def entries(group: int, form: str) -> int:
    """Entries of a table: all ``3^G``; those of one sign, ``(3^G - 1) / 2``; none where weights select and add."""
    every: int = 3**group
    return {FULL: every, MIRRORED: (every - 1) // 2, SELECT: 0}[form]


def entry_bits(group: int, activation_bits: int) -> int:
    """Bits of an entry: a sum of G activations, ``bits + ceil(log2 G)``."""
    return activation_bits + (group - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Tables:
    """The lookup unit.

    Attributes:
        group, tables, lanes: G, T, Q.
        form: One of `FORMS`.
        copies: Of every table; each is read by one lane a cycle, so that fewer than Q stretch the interval.
        build_rate: Activations that are read, and tables that advance, a cycle while tables are built.
        build_beside: Whether the tables of the next block are built while these are read (two sets of tables).
        interval: Cycles between two lookups of a lane.
        block_overhead: Cycles of every block beyond build and lookups (calibrated; 0: the structural bound).
        accumulators: Outputs that a pass can sum up; 0: as many as there are.
        padded: Whether short last blocks and passes take as long as full ones.
        activation_bits: Of the activations in the tables.
    """

    group: int
    tables: int
    lanes: int
    form: str
    copies: int
    build_rate: int
    build_beside: bool
    interval: int
    block_overhead: float
    accumulators: int
    padded: bool
    activation_bits: int

    @property
    def block(self) -> int:
        """Activations of a block, G T."""
        return self.group * self.tables

    @property
    def word_bits(self) -> int:
        """Bits of the indices of one output and block, T x index bits."""
        return self.tables * index_bits(self.group)

    @property
    def step(self) -> int:
        """Cycles of one lookup of all lanes: Q lanes share the copies of a table."""
        return max(self.interval, -(-self.lanes // self.copies))

    def blocks(self, k: int) -> int:
        return -(-k // self.block)

    def passes(self, n: int) -> tuple[int, ...]:
        """Pass lengths worth trying for N outputs: N over 1, 2, 3, ... passes, in whole lanes, and the longest.

        Where lengths are not padded, ``ceil(N / p)`` outputs is the shortest pass that needs p of them.
        """
        most = self.accumulators or -(-n // self.lanes) * self.lanes
        found = {most}
        for parts in range(1, -(-n // self.lanes) + 1):
            length = -(-n // (parts * self.lanes)) * self.lanes
            if length <= most:
                found.add(length)
        return tuple(sorted(found, reverse=True))


@dataclass(frozen=True, slots=True)
class LookupWork:
    """One matrix product on the unit: ``rows`` tokens of K activations, N outputs, ``length`` of a pass each."""

    unit: Tables
    rows: int
    k: int
    n: int
    length: Array

    @property
    def passes(self) -> Array:
        return -(-self.n // self.length)

    @property
    def visits(self) -> Array:
        """Blocks that are built and read: rows x passes x blocks."""
        return self.rows * self.passes * self.unit.blocks(self.k)

    @property
    def lookups_a_pass(self) -> tuple[Array, Array]:
        """Cycles of the lookups of one block: in a pass of full length, and in the last one."""
        unit, last = self.unit, self.n - (self.passes - 1) * self.length
        full = -(-self.length // unit.lanes) * unit.step
        return full, full if unit.padded else -(-last // unit.lanes) * unit.step


def build(work: LookupWork) -> Array:
    """Cycles that build tables: ``G T / rate`` a block, the activations being read one after another.

    Built beside the lookups, a block adds what its build is longer than the lookups of the block before it, and the
    first one all.
    """
    unit, blocks = work.unit, work.unit.blocks(work.k)
    used = -(-work.k // unit.group) * unit.group - (blocks - 1) * unit.block  # activations of the last block
    last = -(-(unit.block if unit.padded else used) // unit.build_rate)
    first = last if blocks == 1 else -(-unit.block // unit.build_rate)
    if not unit.build_beside:
        whole = -(-unit.block // unit.build_rate)
        return np.asarray(work.rows * work.passes * ((blocks - 1) * whole + last))
    long, short = work.lookups_a_pass

    def added(lookups: Array) -> Array:
        """What builds within a pass add beyond lookups of that many cycles."""
        within = (blocks - 2) * np.maximum(0, first - lookups) + np.maximum(0, last - lookups)
        return within if blocks > 1 else np.zeros_like(lookups)

    in_a_row = (work.passes - 1) * (added(long) + np.maximum(0, first - long)) + added(short)
    return np.asarray(first + work.rows * in_a_row + (work.rows - 1) * np.maximum(0, first - short))


def lookup(work: LookupWork) -> Array:
    """Cycles that look up and sum: ``ceil(outputs / Q)`` a pass and block, each II cycles."""
    long, short = work.lookups_a_pass
    return np.asarray(work.rows * work.unit.blocks(work.k) * ((work.passes - 1) * long + short))


def block_overhead(work: LookupWork) -> Array:
    """Cycles of every block that neither build nor lookups explain (loop entry, drain, activation copies).

    TeLLMe v2: 84, calibrated on its times to first token: 6.06 ms a token are left there, against 3.40 ms bound.
    """
    return np.asarray(work.visits * work.unit.block_overhead)


LAWS: Laws[LookupWork] = Laws((build, lookup, block_overhead))


def lookups(unit: Tables, rows: int, k: int, n: int) -> int:
    """Table entries that are read and summed: one for every G weights and row."""
    return rows * math.ceil(k / unit.group) * n


def built_entries(unit: Tables, rows: int, k: int, passes: Array) -> Array:
    """Entries that are computed (each is then written once a copy): those of every table of every pass."""
    return np.asarray(rows * passes * math.ceil(k / unit.group) * entries(unit.group, unit.form))
