"""Resources of the lookup unit in an FPGA: look-up tables counted from primitives, UltraRAM from the buffer's shape.

Look-up tables (LUT) of the unit with T tables and Q lanes, per token of primitives, times `ROUTING`:

    table RAM    per port: ceil(entries / 32) x bits / 2 (a LUT6 is a RAM of 32 x 2) + 1 for its write port
    sign         per port, mirrored only: a conditional negation (bits) and 4 that recode the index
    tree         per lane: an adder of as many LUT as its result has bits, for every node, and a 32-bit accumulator
    precompute   per table: an adder of entry bits for every entry but zero
    select       per product, without tables: a multiplexer of x, -x, 0 (bits + 1)

Held to three synthesized designs of 448 ports (third-party report on TeLLMe v2, arXiv 2510.15926): see `PUBLISHED`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from einloom.arch.templates.ternary_lut.lookup import FULL, MIRRORED, SELECT, Tables, entries, entry_bits
from einloom.arch.templates.ternary_lut.weights import WeightPath

ROUTING = 1.5
"""LUT of a placed design over those of its primitives: pipeline and routing (inferred over the three designs)."""
ACCUMULATOR_BITS = 32
RECODE_LUT = 4

PUBLISHED = {SELECT: 43_176, MIRRORED: 35_200, FULL: 23_082}
"""LUT of the table engine at G = 3, T = 28, Q = 16 by form (third-party report on TeLLMe v2)."""
PRODUCTS = 3 * 28 * 16
"""Ternary products a cycle of those designs."""


def tree_lut(inputs: int, bits: int) -> int:
    """LUT of a tree that adds ``inputs`` numbers of ``bits``: the result bits of each of its adders."""
    total = 0
    while inputs > 1:
        bits += 1
        total += inputs // 2 * bits
        inputs = -(-inputs // 2)
    return total


def primitive_lut(tables: Tables) -> int:
    """LUT of the lookup unit, counted from primitives."""
    group, lanes = tables.group, tables.lanes
    bits = entry_bits(group, tables.activation_bits)
    if tables.form == SELECT:
        products = group * tables.tables
        a_lane = products * (tables.activation_bits + 1) + tree_lut(products, tables.activation_bits + 1)
        return round(ROUTING * lanes * (a_lane + ACCUMULATOR_BITS))
    held = entries(group, tables.form)
    ram = -(-held // 32) * -(-bits // 2) + 1
    sign = bits + RECODE_LUT if tables.form == MIRRORED else 0
    a_lane = tables.tables * sign + tree_lut(tables.tables, bits) + ACCUMULATOR_BITS
    nonzero = held - (tables.form == FULL)
    precompute = tables.tables * nonzero * bits
    return round(ROUTING * (tables.tables * tables.copies * ram + lanes * a_lane + precompute))


def calibrated_lut(tables: Tables) -> int:
    """LUT by the published figure of the form per product and cycle: 32.1, 26.2, 17.2 (calibrated on `PUBLISHED`)."""
    a_product = round(PUBLISHED[tables.form] / PRODUCTS, 1)
    return round(a_product * tables.group * tables.tables * tables.lanes)


@dataclass(frozen=True, slots=True)
class UltraRam:
    """The geometry of a block: 72 bits x 4,096 words and two ports on UltraScale+."""

    bits: int
    words: int
    ports: int = 2

    def blocks(self, path: WeightPath, lanes: int) -> int:
        """``planes x ceil(word / 72) x banks x ceil(depth / 4096)``; Q words a cycle from Q / 2 banks of two ports.

        TeLLMe v2: 3 x ceil(140 / 72) x 8 x ceil(19 x 1536 / 8 / 4096) = 48.
        """
        banks = -(-lanes // self.ports)
        depth = -(-path.plane_blocks * path.plane_outputs // banks)
        return path.planes * math.ceil(path.word_bits / self.bits) * banks * math.ceil(depth / self.words)
