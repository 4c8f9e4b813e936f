"""Laws of two kinds of cores and of the element-wise lanes beside them.

Cycles of a product of M x K x N multiply-accumulates:

    compute      M K N / macs                      ternary weights, on ternary cores, the flexible one, or both
                 M K N ceil(b / 2) / macs          other operands of b bits, on the flexible core: Booth digits
    weight_stall max(0, bits / bandwidth - compute)
    nonlinear    what element-wise work adds: all of it, or with overlap over c independent pieces of the product
                 max(0, S - compute) + min(S, compute) / c: the first (or last) piece waits for it alone

Pieces are tokens and heads: those of one token depend on each other (a norm needs the whole token), so that in decode
norms are exposed and only the heads of attention overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Columns, Contraction, Cost, Engine, Laws, Program, Step, Value, Words
from einloom.arch.templates.cascade_steps import (
    Crossing,
    Group,
    UnitRun,
    crossings,
    groups,
    masked_by,
    readers,
    stream_passes,
)
from einloom.arch.templates.routing import Routing
from einloom.arch.templates.surroundings import DRAM, STREAMS, Surroundings, finished

TERNARY, FLEXIBLE, SRAM = "Ternary", "Flexible", "SRAM"


@dataclass(frozen=True, slots=True)
class Prices:
    """Energies, pJ.

    Attributes:
        add: A ternary weight that selects and adds.
        digit: A Booth digit of the flexible core: a quarter of an 8-bit multiply, and its addition.
        read, write: A bit of the SRAM.
    """

    add: float
    digit: float
    read: float
    write: float


@dataclass(frozen=True, slots=True)
class Cores:
    """The machine.

    Attributes:
        ternary, flexible: Ternary multiply-accumulates a cycle of either kind.
        outputs: Outputs that share an activation that is read.
        kept: Part of cached keys and values that the predictor keeps (K of M).
        overlap: Whether element-wise work runs beside products.
        piece_overhead: Cycles that each piece costs beyond its work (0: none known).
        activation_bits: Of activations that enter a product.
        prices, around: Energies, and what all units share.
    """

    ternary: int
    flexible: int
    outputs: int
    kept: float
    overlap: bool
    piece_overhead: float
    activation_bits: int
    prices: Prices
    around: Surroundings


@dataclass(frozen=True, slots=True)
class CoreWork:
    """One run: multiply-accumulates of ``digits`` each, at ``rate`` a cycle, in ``pieces``, with its streams."""

    cores: Cores
    digits: float
    rate: Array
    bits: Array
    pieces: Array
    streams: int


def compute(work: CoreWork) -> Array:
    """Cycles of the products: digits / digits a cycle, in whole cycles."""
    return np.asarray(np.ceil(work.digits / work.rate))


def piece_overhead(work: CoreWork) -> Array:
    """Cycles that cutting into pieces costs."""
    return np.asarray(work.pieces * work.cores.piece_overhead)


def weight_stall(work: CoreWork, cycles: Array) -> Array:
    """Cycles in which the cores wait for operands: what their bits take beyond the cycles so far."""
    return np.asarray(np.maximum(0.0, work.bits / work.cores.around.offchip.bits_per_cycle - cycles))


def nonlinear(work: CoreWork, cycles: Array) -> Array:
    """Cycles that element-wise work adds; with overlap, the part beyond the products and one piece of the rest."""
    if not work.cores.overlap:
        return np.full_like(np.asarray(cycles, dtype=float), float(work.streams))
    hidden = np.minimum(float(work.streams), cycles)
    return np.asarray(work.streams - hidden + hidden / work.pieces)


LAWS: Laws[CoreWork] = Laws((compute, piece_overhead), (weight_stall, nonlinear))


def digits_of(bits: float) -> int:
    """Radix-4 Booth digits of an operand; a ternary weight is one."""
    return max(1, int(np.ceil(bits / 2)))


@dataclass(frozen=True, slots=True)
class DualCore(Engine):
    """Steps of a cascade on the cores."""

    cores: Cores
    routing: Routing

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        """One step for each run of products, with the element-wise work that feeds it."""
        self.routing.check(program)
        found, read_by = [], readers(program)
        for group in groups(program, self.routing.unit):
            crossing = crossings(group, read_by)

            def cost(columns: Columns, group: Group = group, crossing: Sequence[Crossing] = crossing) -> Cost:
                return _cost(self.cores, group, crossing, columns)

            notes = tuple(note for einsum in group.einsums for note in getattr(einsum, "notes", ()))
            found.append(Step(name=group.name, einsums=group.names, compute=_compute_of(group), cost=cost,
                              choices=_choices(self.cores, group), notes=notes))  # fmt: skip
        return found


def _compute_of(group: Group) -> str:
    return {"projection": TERNARY, "streams": STREAMS}.get(group.unit, FLEXIBLE)


def _choices(cores: Cores, group: Group) -> Mapping[str, tuple[Value, ...]]:
    """``cores`` for ternary products, ``tokens`` that share a load of weights, ``pieces`` that overlap."""
    if not group.runs:
        return {}
    product = group.runs[-1].contraction
    found: dict[str, tuple[Value, ...]] = {"pieces": _divisors(_independent(group))}
    if group.unit == "projection":
        found["cores"] = ("both", "ternary", "flexible")
        found["tokens"] = tuple(sorted({-(-product.m // n) for n in range(1, product.m + 1)}, reverse=True))
    return found


def _independent(group: Group) -> int:
    """Pieces of a run that do not depend on each other: tokens of a projection; heads, and rows, of attention."""
    product = group.runs[-1].contraction
    return product.m if group.unit != "attention" else product.batch * product.m


def _divisors(number: int) -> tuple[int, ...]:
    small = [n for n in range(1, int(number**0.5) + 1) if number % n == 0]
    return tuple(sorted({*small, *(number // n for n in small)}, reverse=True))


def unmasked(run: UnitRun, group: Group) -> float:
    """Part of a prompt's products that the causal mask leaves: ``(1 + 1 / P) / 2`` for P queries of P keys."""
    query = masked_by(group)
    if query is None or query not in run.einsum.extents or run.unit != "attention" or len(group.runs) == 1:
        return 1.0
    queries = run.einsum.extents[query]
    keys = run.contraction.k if run is group.runs[-1] else run.contraction.n
    ends = np.clip(keys - queries + np.arange(1, queries + 1), 0, keys)
    return float(ends.sum()) / (keys * queries)


def _cost(cores: Cores, group: Group, crossing: Sequence[Crossing], columns: Columns) -> Cost:
    streams = stream_passes(group, cores.around.streams.lanes)
    if not group.runs:
        return finished(cores.around, group, crossing, {"nonlinear": float(streams)},
                        busy={STREAMS: streams}, useful=float(streams))  # fmt: skip
    loads = _loads(group, columns)
    kept = {run.einsum.name: _kept(cores, run) * unmasked(run, group) for run in group.runs}
    narrow = group.unit == "projection"
    macs = sum(kept[run.einsum.name] * run.contraction.macs for run in group.runs)
    digits = sum(kept[run.einsum.name] * run.contraction.macs * _digits(run) for run in group.runs)
    bits = sum(_operand_bits(cores, run) for run in group.runs) * loads
    rate = _rate(cores, columns) if narrow else np.array([cores.flexible])
    work = CoreWork(cores, digits, rate, np.asarray(bits, dtype=float), np.asarray(columns["pieces"]), streams)
    terms = LAWS.without(cores.around.off & set(LAWS.names)).of(work)
    busy = terms.get("compute", np.zeros(1))
    compute_of = _compute_of(group)
    prices, offchip = cores.prices, cores.around.offchip
    operands = {run.contraction.weights.tensor: _kept(cores, run) for run in group.runs}
    rest = [c for c in crossing if c.tensor not in operands]
    words = {(DRAM, c.tensor): Words(np.asarray(c.reads * operands.get(c.tensor, 1.0) * (loads if c.weight else 1)),
                                     c.writes) for c in crossing}  # fmt: skip
    activations = sum(_activation_reads(cores, run.contraction) for run in group.runs) * cores.activation_bits
    used = np.minimum(digits / rate * _instances(cores, compute_of, columns), busy * getattr(cores, compute_of.lower()))
    on_bus = np.asarray(bits / offchip.bits_per_cycle)
    energy = {
        DRAM: bits * offchip.read_pj,
        SRAM: bits * (prices.write + prices.read) + activations * prices.read,
        **_multiply_pj(cores, columns, macs if narrow else digits, narrow),
    }
    return finished(
        cores.around, group, rest, terms, words=words, energy_pj=energy, useful=used,
        busy={**_busy(columns, busy, narrow), DRAM: on_bus},
        waited=0.0 if "weight_stall" in cores.around.off else on_bus,
        events={"multiply_accumulates": macs, "booth_digits": 0 if narrow else digits},
        held_bits={SRAM: _held(cores, group, columns)},
    )  # fmt: skip


def _digits(run: UnitRun) -> int:
    return 1 if run.unit == "projection" else digits_of(float(run.contraction.weights.bits))


def _rate(cores: Cores, columns: Columns) -> Array:
    """Ternary multiply-accumulates a cycle of the cores that work."""
    chosen = columns["cores"]
    return np.where(chosen == "flexible", 0, cores.ternary) + np.where(chosen == "ternary", 0, cores.flexible)


def _instances(cores: Cores, compute_of: str, columns: Columns) -> Array | float:
    """Multiply-accumulates a cycle that the named compute does of all that work."""
    if compute_of == FLEXIBLE:
        return float(cores.flexible)
    return np.where(columns["cores"] == "flexible", 0, cores.ternary)


def _multiply_pj(cores: Cores, columns: Columns, digits: float, narrow: bool) -> dict[str, Array | float]:
    """Energy by core: a ternary weight is an addition of the ternary cores, a Booth digit of the flexible one.

    Where both work at a product, they share it in proportion to their rates.
    """
    if not narrow:
        return {FLEXIBLE: digits * cores.prices.digit}
    on_flexible = np.where(columns["cores"] == "ternary", 0, cores.flexible) / _rate(cores, columns)
    return {TERNARY: digits * (1 - on_flexible) * cores.prices.add, FLEXIBLE: digits * on_flexible * cores.prices.digit}


def _busy(columns: Columns, cycles: Array, narrow: bool) -> dict[str, Array]:
    """Cycles of the cores that work."""
    if not narrow:
        return {FLEXIBLE: cycles}
    chosen = columns["cores"]
    return {TERNARY: np.where(chosen == "flexible", 0, cycles), FLEXIBLE: np.where(chosen == "ternary", 0, cycles)}


def _kept(cores: Cores, run: UnitRun) -> float:
    """Part of an operand that is fetched and used: pruned where it is a cache of keys or values."""
    cached = run.unit == "attention" and run.contraction.weights.workload_input
    return cores.kept if cached else 1.0


def _operand_bits(cores: Cores, run: UnitRun) -> float:
    product = run.contraction
    return product.batch * product.n * product.k * float(product.weights.bits) * _kept(cores, run)


def _loads(group: Group, columns: Columns) -> Array | int:
    """Times that weights are loaded: once for each set of tokens that the SRAM holds."""
    if group.unit != "projection":
        return 1
    return np.asarray(-(-group.runs[-1].contraction.m // np.asarray(columns["tokens"])))


def _held(cores: Cores, group: Group, columns: Columns) -> Array | float:
    """Bits of the SRAM: activations of the tokens (or of the rows of a piece) of a product."""
    product = group.runs[-1].contraction
    a_row = product.k * cores.activation_bits
    if group.unit == "projection":
        return np.asarray(columns["tokens"]) * float(a_row)
    return float(a_row)


def _activation_reads(cores: Cores, product: Contraction) -> int:
    """Activations that are read: each once for every set of outputs that shares it."""
    return product.batch * product.m * product.k * -(-product.n // cores.outputs)
