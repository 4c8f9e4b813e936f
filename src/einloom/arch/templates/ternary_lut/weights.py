"""Weights on their way in: planes of index words from DRAM bursts into an on-chip buffer.

TeLLMe v2 (arXiv 2510.15926; github.com/UCI-CORSA/TeLLMe_FPGA_2026): a word is the T indices of one output and block,
140 bits; a plane is 19 blocks x 1,536 outputs; 3 ports of 256 bits carry 5 words a beat; all of a linear layer is
loaded in one job, and then used: no overlap inside it. A port that is wider than the processor's own takes several
of its cycles a beat. Without fixed trip counts (``padded: false``) the indices lie in memory without a gap, and no more
than there are is moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array

SUM_BITS = 32
"""Bits of a partial sum."""


@dataclass(frozen=True, slots=True)
class WeightPath:
    """Buffer and ports of the weights.

    Attributes:
        group, tables, word_bits: Weights of an index, tables, and bits of the indices of one output and block.
        planes, plane_blocks, plane_outputs: Planes that the buffer holds, and the blocks and outputs of one.
        padded: Whether whole planes are stored and moved.
        ports, axi_bits, port_bits: Ports, their width, and the width of the memory's side of one.
        burst_beats, burst_overhead: Beats of a burst, and cycles that each costs beside them (0: none known).
        bits_per_cycle: Bandwidth of the memory.
        beside: Whether the next blocks may load while these are used.
    """

    group: int
    tables: int
    word_bits: int
    planes: int
    plane_blocks: int
    plane_outputs: int
    padded: bool
    ports: int
    axi_bits: int
    port_bits: int
    burst_beats: int
    burst_overhead: float
    bits_per_cycle: float
    beside: bool

    @property
    def beat_bits(self) -> int:
        return self.ports * self.axi_bits

    def beats_of(self, words: int) -> int:
        """Beats of ``words`` in a row: whole words in a beat, or whole beats a word."""
        if self.word_bits <= self.beat_bits:
            return -(-words // (self.beat_bits // self.word_bits))
        return words * -(-self.word_bits // self.beat_bits)

    def blocks(self, k: int) -> int:
        return -(-k // (self.group * self.tables))

    def planes_of(self, k: int, n: int) -> tuple[int, int]:
        """Planes along K and along N."""
        return -(-self.blocks(k) // self.plane_blocks), -(-n // self.plane_outputs)

    def index_bits(self, k: int, n: int) -> int:
        """Bits of the indices of a matrix, each output's K in whole groups."""
        return -(-k // self.group) * n * (self.word_bits // self.tables)

    def beats(self, k: int, n: int) -> int:
        """Beats of one matrix: ``planes x 19 x 308`` for planes of 19 blocks of 1,536 words, 5 words a beat."""
        if not self.padded:
            return -(-self.index_bits(k, n) // self.beat_bits)
        along_k, along_n = self.planes_of(k, n)
        return along_k * along_n * self.plane_blocks * self.beats_of(self.plane_outputs)

    def moved_bits(self, k: int, n: int) -> int:
        """Bits that leave the memory for one matrix: whole beats of planes, or the indices and no more."""
        return self.beats(k, n) * self.beat_bits if self.padded else self.index_bits(k, n)

    def load_cycles(self, k: int, n: int) -> float:
        """Cycles of loading one matrix: beats on the ports, or bits at the memory's bandwidth, and the bursts."""
        beats = self.beats(k, n)
        on_ports = beats * -(-self.axi_bits // self.port_bits)
        on_memory = self.moved_bits(k, n) / self.bits_per_cycle
        return max(on_ports, on_memory) + -(-beats // self.burst_beats) * self.burst_overhead

    def exposed(self, k: int, n: int, beside: Array, compute: Array) -> Array:
        """Cycles that a load adds to ``compute``: all of it, or the first block and what outlasts the use."""
        load = self.load_cycles(k, n)
        first = load / self.blocks(k)
        return np.asarray(np.where(beside, first + np.maximum(0.0, load - first - compute), load))

    def spilled_bits(self, k: int, rows: int, n: int) -> int:
        """Bits of partial sums of several tokens that leave and come back, where K does not fit the buffer at once."""
        along_k, _ = self.planes_of(k, n)
        times = -(-along_k // self.planes) - 1
        return 0 if rows == 1 else 2 * times * rows * n * SUM_BITS

    def spill_cycles(self, k: int, rows: int, n: int) -> float:
        """Cycles of those, on the ports or at the memory's bandwidth."""
        rate = min(self.ports * min(self.axi_bits, self.port_bits), self.bits_per_cycle)
        return self.spilled_bits(k, rows, n) / rate

    def held_bits(self, k: int, n: int) -> int:
        """Bits of the buffer that one matrix takes; where it does not fit, as many planes as there are, in turn."""
        along_k, along_n = self.planes_of(k, n)
        if not self.padded:
            return min(self.capacity_bits, self.index_bits(k, n))
        return min(self.capacity_bits, along_k * along_n * self.plane_blocks * self.plane_outputs * self.word_bits)

    @property
    def capacity_bits(self) -> int:
        return self.planes * self.plane_blocks * self.plane_outputs * self.word_bits
