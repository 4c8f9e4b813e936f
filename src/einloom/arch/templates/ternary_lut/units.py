"""Units of the machine in programmable logic: table lookup, the narrow weight port, the host, streams alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Columns, Contraction, Cost, Value, Words
from einloom.arch.templates.cascade_steps import Crossing, Group
from einloom.arch.templates.surroundings import DRAM, STREAMS, Surroundings, finished
from einloom.arch.templates.ternary_lut.lookup import LAWS, MIRRORED, SELECT, LookupWork, Tables, built_entries, lookups
from einloom.arch.templates.ternary_lut.weights import WeightPath

LOOKUP, HOST, WEIGHTS, SUMS = "Lookup", "Host", "Weights", "Sums"
SERIAL, BESIDE = "serial", "beside"


@dataclass(frozen=True, slots=True)
class TablePrices:
    """Energies of table lookup, pJ.

    Attributes:
        entry_read, entry_write: Of one entry, all its bits.
        add: Of one 16-bit addition: a node of the tree, an entry that is built, a weight that selects and adds.
        index_read, index_write: Of one bit of the weight buffer.
    """

    entry_read: float
    entry_write: float
    add: float
    index_read: float
    index_write: float


@dataclass(frozen=True, slots=True)
class TableUnit:
    """Table lookup and the path of its weights."""

    tables: Tables
    path: WeightPath
    prices: TablePrices
    around: Surroundings

    compute = LOOKUP

    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]:
        """Outputs of a pass; whether weights load beside their use, where the hardware allows it."""
        loads = (BESIDE, SERIAL) if self.path.beside else (SERIAL,)
        return {"pass_outputs": self.tables.passes(group.runs[0].contraction.n), "load": loads}

    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        product, off, path = group.runs[0].contraction, self.around.off, self.path
        rows, k, n = product.batch * product.m, product.k, product.n
        matrices = product.batch
        work = LookupWork(self.tables, rows, k, n, np.asarray(columns["pass_outputs"]))
        terms: dict[str, Array | float] = {name: t for name, t in LAWS.of(work).items() if name not in off}
        compute = np.asarray(sum((np.asarray(t) for t in terms.values()), start=np.zeros(1)))
        if "streams" not in off:
            terms["streams"] = self.around.streams.exposed(group, compute)
        terms["spill"] = spill = matrices * path.spill_cycles(k, product.m, n)
        load = matrices * path.load_cycles(k, n)
        beside = np.asarray(columns["load"] == BESIDE)
        terms["weight_load"] = matrices * path.exposed(k, n, beside, compute / matrices)
        moved_bits = matrices * path.moved_bits(k, n)
        spilled = matrices * path.spilled_bits(k, product.m, n)
        offchip = self.around.offchip
        return finished(
            self.around, group, crossings, terms,
            energy_pj={
                DRAM: moved_bits * offchip.read_pj + spilled / 2 * (offchip.read_pj + offchip.write_pj),
                WEIGHTS: moved_bits * self.prices.index_write + self._indices_read(rows, k, n) * self.prices.index_read,
                LOOKUP: self._lookup_pj(work, matrices),
            },
            busy={LOOKUP: compute, DRAM: load + spill},
            waited=(0.0 if "weight_load" in off else load) + (0.0 if "spill" in off else spill),
            useful=np.minimum(lookups(self.tables, rows, k, n), compute * self.tables.tables * self.tables.lanes),
            events={"lookups": lookups(self.tables, rows, k, n), "weight_beats": matrices * path.beats(k, n),
                    "table_entries": built_entries(self.tables, rows, k, work.passes)},
            held_bits={WEIGHTS: path.held_bits(k, n), SUMS: np.minimum(work.length, n) * 32.0},
        )  # fmt: skip

    def _indices_read(self, rows: int, k: int, n: int) -> int:
        """Bits of indices that lanes read: once a row."""
        return rows * self.path.index_bits(k, n)

    def _lookup_pj(self, work: LookupWork, matrices: int) -> Array:
        """Entries built and written, read and summed; or selected and summed where there are no tables."""
        unit, prices = self.tables, self.prices
        if unit.form == SELECT:
            return np.asarray(work.rows * work.k * work.n * prices.add)
        built = built_entries(unit, work.rows, work.k, work.passes)
        read = lookups(unit, work.rows, work.k, work.n)
        writes = built * unit.copies
        adds = 2 if unit.form == MIRRORED else 1  # the sign of a mirrored entry is one more
        a_read = prices.entry_read + adds * prices.add
        return np.asarray(built * prices.add + writes * prices.entry_write + read * a_read)


def _streamed(product: Contraction, times: int) -> Mapping[tuple[str, str], Words]:
    """Weights that are read once for every row."""
    return {(DRAM, product.weights.tensor): Words(times * product.batch * product.n * product.k, 0)}


@dataclass(frozen=True, slots=True)
class PortUnit:
    """A core whose weights come through a narrow port, a few cycles an access (MatMul-free core, arXiv 2406.02528).

    Attributes:
        access_bits, access_cycles: Of the port.
        code_bits: Bits of one ternary weight on the port; an access holds ``floor(access / code)`` of them.
        mac_pj: Energy of one weight that selects and adds, pJ.
    """

    access_bits: int
    access_cycles: float
    code_bits: int
    mac_pj: float
    around: Surroundings

    compute = LOOKUP

    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]:
        return {}

    def accesses(self, product: Contraction) -> int:
        """Accesses of one token: ``ceil(K N / weights an access)``."""
        weights = product.batch * product.k * product.n
        if self.code_bits > self.access_bits:
            return weights * -(-self.code_bits // self.access_bits)
        return -(-weights // (self.access_bits // self.code_bits))

    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        """``weight_port``: every token takes all accesses, each ``access_cycles``; sums keep up with the port.

        ``weight_stall``: what the memory takes longer than the port.
        """
        product = group.runs[0].contraction
        rows, accesses = product.m, self.accesses(product)
        port = float(rows * accesses * self.access_cycles)
        macs = product.macs
        terms: dict[str, Array | float] = {"weight_port": port}
        if "streams" not in self.around.off:
            terms["streams"] = self.around.streams.exposed(group, np.array([port]))
        bits = rows * accesses * self.access_bits
        weights = self.around.offchip.cycles(bits)
        terms["weight_stall"] = max(0.0, weights - port)
        return finished(
            self.around, group, crossings, terms,
            energy_pj={DRAM: bits * self.around.offchip.read_pj, LOOKUP: macs * self.mac_pj},
            busy={LOOKUP: port, DRAM: weights}, useful=port,
            waited=0.0 if "weight_stall" in self.around.off else weights,
            events={"weight_accesses": rows * accesses}, words=_streamed(product, rows),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostUnit:
    """A processor beside the logic, for weights too wide for tables (the head): bound by the bytes of the weights.

    Attributes:
        bits_per_cycle: Rate at which it streams weights, in bits a cycle of the machine's clock.
        overhead: Cycles of each use (hand-over, cache write-back, control; calibrated, 0: none known).
        lanes: 16-bit lanes of an instruction.
        instruction_pj: Energy of an instruction, pJ.
        mac_pj: Of one 16-bit multiply-add, pJ.
    """

    bits_per_cycle: float
    overhead: float
    lanes: int
    instruction_pj: float
    mac_pj: float
    around: Surroundings

    compute = HOST

    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]:
        return {}

    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        """``host``: weight bytes / bandwidth for each row, a vector at a time; the streams wait for nothing.

        ``weight_stall``: what the memory takes longer than the host asks for.
        """
        product = group.runs[0].contraction
        macs = product.macs
        bits = macs * float(product.weights.bits)
        host = bits / self.bits_per_cycle
        terms: dict[str, Array | float] = {"host": host, "host_overhead": self.overhead}
        if "streams" not in self.around.off:
            terms["streams"] = self.around.streams.exposed(group, np.zeros(1))
        vectors = -(-macs // self.lanes)
        weights = self.around.offchip.cycles(bits)
        terms["weight_stall"] = max(0.0, weights - host)
        return finished(
            self.around, group, crossings, terms,
            energy_pj={DRAM: bits * self.around.offchip.read_pj,
                       HOST: vectors * self.instruction_pj + macs * self.mac_pj},
            busy={HOST: host, DRAM: weights}, useful=host,
            waited=0.0 if "weight_stall" in self.around.off else weights,
            events={"host_instructions": vectors}, words=_streamed(product, product.m),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoneStreams:
    """Streams that no product follows or precedes: the stream unit runs them by itself."""

    around: Surroundings

    compute = STREAMS

    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]:
        return {}

    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        cycles = self.around.streams.exposed(group, np.zeros(1))
        terms: dict[str, Array | float] = {"streams": cycles}
        return finished(self.around, group, crossings, terms, busy={STREAMS: cycles}, useful=cycles)
