"""Parameters of ``dual_core``, and the architecture that they give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from einloom.arch.components import library
from einloom.arch.fabric import FABRICS, dynamic_power
from einloom.arch.template import Parameter
from einloom.arch.templates import parts
from einloom.arch.templates.dual_core.cores import FLEXIBLE, LAWS, SRAM, TERNARY, Cores, DualCore, Prices
from einloom.arch.templates.routing import TERNARY_BITS, Routing, ternary_names
from einloom.arch.templates.surroundings import DRAM, STREAMS, OffChip, StreamUnit, Surroundings
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import SpecError

TERMS = (*LAWS.names, "activations")

PARAMETERS = (
    parts.CLOCK,
    Parameter(name="ternary_macs", kind="count", meaning="ternary multiply-accumulates a cycle of the ternary cores",
              high=1 << 24),
    Parameter(name="flexible_macs", kind="count", meaning="ternary multiply-accumulates, or Booth digits, a cycle of "
              "the flexible core", high=1 << 24),
    Parameter(name="outputs", kind="count", meaning="outputs that share an activation that is read", default=16,
              high=1 << 16),
    Parameter(name="nonlinear_lanes", kind="count", meaning="elements a cycle of element-wise work", default=16,
              high=1 << 16),
    Parameter(name="overlap", kind="flag", meaning="whether element-wise work runs beside products, as far as "
              "dependences allow", default=True),
    Parameter(name="piece_overhead", kind="number", meaning="cycles that every overlapped piece costs", default=0.0,
              low=0),
    Parameter(name="kept", kind="number", meaning="part of the cached keys and values that pruning keeps (K of M; "
              "given, not predicted)", default=1.0, low=0, high=1),
    Parameter(name="activation_bits", kind="count", meaning="bits of activations that enter a product", default=8,
              high=64),
    Parameter(name="buffer", kind="size", meaning="on-chip SRAM", default=Amount(120 * 8192), unlimited=False),
    Parameter(name="ternary", kind="text", meaning="weights that are ternary whatever bits they have: names, parted by "
              "commas", default="none"),
    parts.DRAM,
    Parameter(name="bandwidth", kind="rate", meaning="of the DRAM, reads and writes together", default=UNLIMITED),
    Parameter(name="technology", kind="length", meaning=parts.TECHNOLOGY.meaning, default=16.0, low=7, high=130),
    Parameter(name="fabric", kind="choice", meaning="what on-chip work runs in: an FPGA takes 14 times the dynamic "
              "power of standard cells (Kuon and Rose 2007)", choices=FABRICS, default="asic"),
    Parameter(name="without", kind="names", meaning="terms of the timing laws to leave out", default=(),
              choices=TERMS),
)  # fmt: skip


def build(params: Mapping[str, object]) -> Architecture:
    """``DRAM > SRAM > ternary lanes | flexible lanes | element-wise lanes``."""
    table, node = library(), parts.number(params, "technology")
    factor = dynamic_power(str(params["fabric"]))
    capacity = params["buffer"]
    assert isinstance(capacity, Amount)
    bits = float(capacity.in_bits(parts.count(params, "activation_bits")).value)
    try:
        sram = table.memory_part(table.default_memory(bits) or "sram", bits, Fraction(1), node)
    except SpecError as error:
        raise SpecError([problem.below("buffer") for problem in error.problems]) from error
    dram = table.memory_part(str(params["dram"]), math.inf, Fraction(1))
    int8, fp16 = table.compute_part("int8", node), table.compute_part("fp16", node)
    add, digit = int8.energy_pj["add"], int8.energy_pj["mul"] / 4 + int8.energy_pj["add"]
    own = {operator: energy * factor for operator, energy in fp16.energy_pj.items()}
    rate = parts.bits(params, "bandwidth")
    streams = StreamUnit(parts.count(params, "nonlinear_lanes"), bool(params["overlap"]), tuple(sorted(own.items())))
    cores = Cores(
        ternary=parts.count(params, "ternary_macs"), flexible=parts.count(params, "flexible_macs"),
        outputs=parts.count(params, "outputs"), kept=_kept(params), overlap=bool(params["overlap"]),
        piece_overhead=parts.number(params, "piece_overhead"), activation_bits=parts.count(params, "activation_bits"),
        prices=Prices(add * factor, digit * factor, sram.read_energy_pj * factor, sram.write_energy_pj * factor),
        around=Surroundings(OffChip(dram.read_energy_pj, dram.write_energy_pj, rate), streams,
                            frozenset(parts.names(params, "without"))),
    )  # fmt: skip
    return Architecture(
        name="dual_core",
        clock_hz=parts.number(params, "clock"),
        levels=(
            Memory(name=DRAM, word_bits=Fraction(1), read_energy_pj=dram.read_energy_pj, area_um2=0.0,
                   write_energy_pj=dram.write_energy_pj, bandwidth=Amount(rate), source=dram.source),
            Memory(name=SRAM, capacity=Amount(bits), word_bits=Fraction(1), area_um2=sram.area_um2, source=sram.source,
                   read_energy_pj=cores.prices.read, write_energy_pj=cores.prices.write),
            Branches((
                (Fanout(name="TernaryLanes", axes={"T": cores.ternary}),
                 Compute(name=TERNARY, energy_pj={"mac": cores.prices.add}, source=int8.source)),
                (Fanout(name="FlexibleLanes", axes={"L": cores.flexible}),
                 Compute(name=FLEXIBLE, energy_pj={"mac": cores.prices.digit}, source=int8.source)),
                (Compute(name=STREAMS, energy_pj=own, source=fp16.source),),
            )),
        ),
        engine=DualCore(cores, Routing(TERNARY_BITS, False, ternary_names(params), True)),
    )  # fmt: skip


def _kept(params: Mapping[str, object]) -> float:
    kept = parts.number(params, "kept")
    if not kept > 0:
        raise SpecError("'0' is out of range", "must be above 0 and at most 1", ("kept",))
    return kept
