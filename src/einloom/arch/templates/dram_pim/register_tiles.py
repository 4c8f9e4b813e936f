"""HBM-PIM: PIM blocks of two banks each, whose registers hold a tile of inputs and of outputs (Samsung, Aquabolt-XL).

    tiles = ceil(N / (O ch)) * ceil(K / I)         O outputs and I inputs of a tile in one pseudo channel, ch of them
    T0    = start + tiles * (c tCCDL + r tCCDL + turnaround) + output_tile * (output tiles - 1)
    T     = T0 + tRFC * floor((T0 + lead) / (tREFI - tRFC))

with 8 blocks of 8 + 8 registers of 16 lanes: O = 64, I = 128, c = 64 columns, r = 8 register loads. An output shorter
than ``O ch`` costs whole tiles all the same. ``start`` 390, the 368 cycles of a tile (of which ``turnaround`` 80 is
not itemised) and ``lead`` 900 were fitted on 14 runs of github:SAITPublic/PIMSimulator b464dde0, ``output_tile`` 50
was set by hand; the fit is within 1.1 % of those runs, which is no prediction. Everything that is no product runs on
the companion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Columns, Cost, Engine, Laws, Program, Step, Value, Words
from einloom.arch.template import Parameter
from einloom.arch.templates.dram_pim.companion import Companion
from einloom.arch.templates.dram_pim.recognise import Part, Product, parts_of
from einloom.arch.templates.dram_pim.timing import WORD_BITS, Machine

DRAM, MAC, COMPANION = "DRAM", "MAC", "Companion"
_FIT = "fitted on 14 runs of PIMSimulator b464dde0"

TILE_PARAMETERS = (
    Parameter(name="pim_blocks", kind="count", default=8, high=1024,
              meaning="PIM blocks of a pseudo channel (HBM-PIM)"),
    Parameter(name="registers", kind="count", default=8, high=1024,
              meaning="registers of a PIM block for inputs, and as many for outputs (HBM-PIM)"),
    Parameter(name="tile_start", kind="number", meaning=f"cycles: to begin a product ({_FIT})", default=390.0, low=0),
    Parameter(name="tile_turnaround", kind="number", default=80.0, low=0,
              meaning=f"cycles: of a tile beside its columns and register loads ({_FIT})"),
    Parameter(name="output_tile", kind="number", default=50.0, low=0,
              meaning="cycles: to go on to the next output tile (set by hand on those runs)"),
    Parameter(name="refresh_lead", kind="number", meaning=f"cycles: into a refresh interval at the start ({_FIT})",
              default=900.0, low=0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tiling:
    """Registers of a PIM block and the cycles that no timing gives; the parameters of the template say which."""

    pim_blocks: int
    registers: int
    tile_start: float
    tile_turnaround: float
    output_tile: float
    refresh_lead: float


@dataclass(frozen=True, slots=True)
class Tiles:
    """One kind of product, ``passes`` times.

    Attributes:
        machine, tiling: Where it runs.
        inputs, outputs: K and N.
        passes: How often.
        appended: Column writes that bring new keys or values into the banks.
    """

    machine: Machine
    tiling: Tiling
    inputs: int
    outputs: int
    passes: int
    appended: int = 0

    @property
    def output_tiles(self) -> int:
        return -(-self.outputs // (self.tiling.pim_blocks * self.tiling.registers * self.machine.channels))

    @property
    def tiles(self) -> int:
        return self.output_tiles * -(-self.inputs // (self.tiling.registers * self.machine.lanes))

    @property
    def tile_columns(self) -> int:
        """Columns of a tile: every output register with every input register."""
        return self.tiling.registers**2


def start(work: Tiles) -> Array:
    """To set up the blocks (fitted)."""
    return np.array([work.passes * work.tiling.tile_start])


def columns(work: Tiles) -> Array:
    """``c tCCDL`` a tile: one column of each of the blocks' banks, 16 products."""
    return np.array([work.passes * work.tiles * work.tile_columns * work.machine.timing.nCCDL])


def register_loads(work: Tiles) -> Array:
    """Inputs into the registers: ``r tCCDL`` a tile."""
    return np.array([work.passes * work.tiles * work.tiling.registers * work.machine.timing.nCCDL])


def turnaround(work: Tiles) -> Array:
    """Barriers, turnarounds of the bus and half a change of row, a tile (fitted, not itemised)."""
    return np.array([work.passes * work.tiles * work.tiling.tile_turnaround])


def output_tiles(work: Tiles) -> Array:
    """From one output tile to the next (set by hand on the runs of the fit)."""
    return np.array([work.passes * (work.output_tiles - 1) * work.tiling.output_tile])


def append(work: Tiles) -> Array:
    """New keys or values, column by column through one channel: ``tCCDL`` each."""
    return np.array([work.appended * work.machine.timing.nCCDL])


def refresh(work: Tiles, cycles: Array) -> Array:
    """``tRFC floor((T + lead) / (tREFI - tRFC))``, each pass by itself."""
    t = work.machine.timing
    each = np.floor((cycles / work.passes + work.tiling.refresh_lead) / (t.nREFI - t.nRFC))
    return np.asarray(work.passes * t.nRFC * each)


TILE_LAWS: Laws[Tiles] = Laws((start, columns, register_loads, turnaround, output_tiles, append), (refresh,))


@dataclass(frozen=True, slots=True)
class RegisterTiles(Engine):
    """An HBM with PIM blocks.

    Attributes:
        machine: Its channels are pseudo channels.
        tiling: Of its blocks.
        companion: Runs what is no product.
        units: Energy by unit, pJ.
        without: Terms that are off.
    """

    machine: Machine
    tiling: Tiling
    companion: Companion
    units: tuple[tuple[str, float], ...]
    without: frozenset[str]

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        parts = parts_of(program)
        resident = program.copies * sum(p.batch * p.n * p.k for part in parts for p in part.products) * WORD_BITS
        return [self._step(part, resident) for part in parts]

    def _step(self, part: Part, resident: int) -> Step:
        compute = MAC if part.products else COMPANION

        def cost(_: Columns) -> Cost:
            return self._cost(part, resident)

        return Step(name=part.name, einsums=part.names, compute=compute, cost=cost)

    def _cost(self, part: Part, resident: int) -> Cost:
        cycles: dict[str, Array | float] = {}
        events: dict[str, float] = {}
        laws = TILE_LAWS.without(self.without & set(TILE_LAWS.names))
        for product in part.products:
            work = self._tiles(part, product)
            for name, term in laws.of(work).items():
                cycles[name] = cycles.get(name, 0.0) + term
            for name, count in self._events(work).items():
                events[name] = events.get(name, 0.0) + count
        operations = self._left(part)
        self.companion.check(part.name, operations)
        beside = self.companion.cycles(operations)
        in_banks = sum((np.asarray(term) for term in cycles.values()), start=np.zeros(1))
        units = dict(self.units)
        energy: dict[str, Array | float] = {name: count * units[name] for name, count in events.items()}
        products = sum(p.macs for p in part.products)
        if operations:
            if "companion" not in self.without:
                cycles["companion"] = beside
            energy["companion"] = self.companion.energy_pj(operations)
        return Cost(
            cycles=cycles,
            useful=products / self.machine.lanes * self.machine.timing.nCCDL if part.products else beside,
            busy={MAC: in_banks} if part.products else {COMPANION: beside},
            energy_pj=energy,
            events=dict(events),
            words=_words(part),
            held_bits={DRAM: resident} if part.products else {},
        )

    def _tiles(self, part: Part, product: Product) -> Tiles:
        fresh = part.kind != "linear" and not product.matrix.workload_input
        lines = -(-product.batch * product.n * product.k // self.machine.lanes) if fresh else 0
        return Tiles(self.machine, self.tiling, product.k, product.n, product.batch * product.m, lines)

    def _left(self, part: Part) -> dict[str, int]:
        """Operations of the companion: all but the MACs of products."""
        found: dict[str, int] = {}
        products = {einsum.name for einsum in part.einsums if "mac" in einsum.operations()} if part.products else set()
        for einsum in part.einsums:
            for operator, count in einsum.operations().items():
                if operator != "mac" or einsum.name not in products:
                    found[operator] = found.get(operator, 0) + count
        return found

    def _events(self, work: Tiles) -> dict[str, float]:
        """Of all channels that hold an output: blocks' columns, loads of registers, and results read."""
        tile, machine = self.tiling, self.machine
        channels = min(machine.channels, -(-work.outputs // (tile.pim_blocks * tile.registers)))
        runs = work.passes * channels
        return {
            "block_column": float(runs * work.tiles * work.tile_columns * tile.pim_blocks),
            "outside_column": float(
                runs * (work.tiles * tile.registers + work.output_tiles * tile.registers * tile.pim_blocks)
                + work.appended
            ),
        }


def _words(part: Part) -> dict[tuple[str, str], Words]:
    made, found = set(part.names), {}
    times = {product.matrix.tensor: product.m for product in part.products}
    for einsum in part.einsums:
        for access in einsum.accesses:
            size = einsum.size(access)
            if access.role == "output":
                found[DRAM, access.tensor] = Words(0, size)
            elif access.tensor not in made:
                found[DRAM, access.tensor] = Words(size * times.get(access.tensor, 1), 0)
    return found
