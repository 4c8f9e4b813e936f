"""From parameters to the architecture: the tree that names the parts, the engine, and the resources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from einloom.arch.components import Library, library
from einloom.arch.devices import RESOURCES, device
from einloom.arch.fabric import dynamic_power
from einloom.arch.templates import parts
from einloom.arch.templates.parts import count, number
from einloom.arch.templates.routing import TERNARY_BITS, Routing, ternary_names
from einloom.arch.templates.surroundings import DRAM, STREAMS, OffChip, StreamUnit, Surroundings
from einloom.arch.templates.ternary_lut import parameters as p
from einloom.arch.templates.ternary_lut.attention import ATTENTION, AttentionUnit
from einloom.arch.templates.ternary_lut.engine import LookupEngine, Unit
from einloom.arch.templates.ternary_lut.lookup import Tables, entry_bits
from einloom.arch.templates.ternary_lut.processor import CORE, CoreUnit, Processor, calibrated
from einloom.arch.templates.ternary_lut.resources import UltraRam, calibrated_lut, primitive_lut
from einloom.arch.templates.ternary_lut.units import (
    HOST,
    LOOKUP,
    SUMS,
    WEIGHTS,
    HostUnit,
    LoneStreams,
    PortUnit,
    TablePrices,
    TableUnit,
)
from einloom.arch.templates.ternary_lut.weights import SUM_BITS, WeightPath
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Branches, Compute, Fanout, Level, Memory
from einloom.errors import SpecError

MOST_PLANES = 4.0
"""Bits of the widest weights that take a processor's tables (T-MAC runs 1 to 4)."""
LANES_OF_HOST = 8
"""16-bit lanes of an instruction of the host: 128-bit vectors (Arm Neon)."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the library says at the machine's node and fabric."""

    table: Library
    node: float
    factor: float

    def operators(self, component: str) -> dict[str, float]:
        """Energy of each operator, pJ."""
        part = self.table.compute_part(component, self.node)
        return {name: energy * self.factor for name, energy in part.energy_pj.items()}

    def steps(self, component: str) -> dict[str, int]:
        return dict(self.table.compute_part(component, self.node).cycles)

    def bit(self, component: str, capacity_bits: float) -> tuple[float, float]:
        """Energy of reading and of writing one bit, pJ."""
        part = self.table.memory_part(component, capacity_bits, Fraction(1), self.node)
        return part.read_energy_pj * self.factor, part.write_energy_pj * self.factor


def build(params: Mapping[str, object]) -> Architecture:
    """The architecture of one of the three machines."""
    values = p.of_machine(params)
    machine = str(values["machine"])
    fabric = "asic" if machine == p.BIT_SERIAL else str(values["fabric"])
    prices = _Parts(library(), number(values, "technology"), dynamic_power(fabric))
    offchip = _offchip(values)
    if machine == p.BIT_SERIAL:
        return _processor(values, prices, offchip)
    streams = StreamUnit(count(values, "stream_lanes"), bool(values["streams_beside"]),
                         tuple(sorted(prices.operators("fp16").items())))  # fmt: skip
    around = Surroundings(offchip, streams, frozenset(parts.names(values, "without")))
    attention = _attention(values, prices, around)
    units: dict[str, Unit] = {"attention": attention, "streams": LoneStreams(around)}
    levels: list[tuple[Level | Branches, ...]] = []
    resources: dict[str, float] = {}
    if machine == p.TABLE_LOOKUP:
        unit = _tables(values, prices, around)
        units["projection"] = unit
        levels.append(_table_levels(unit))
        resources = _resources(values, unit)
    else:
        units["projection"] = PortUnit(
            count(values, "access_bits"), number(values, "access_cycles"), count(values, "code_bits"),
            prices.operators("add16")["add"], around,
        )  # fmt: skip
        levels.append((Compute(name=LOOKUP),))
    levels.append((Fanout(name="AttentionLanes", axes={"R": attention.rows, "L": attention.lanes}),
                   Compute(name=ATTENTION, energy_pj={"mac": attention.mac_pj})))  # fmt: skip
    levels.append((Compute(name=STREAMS, energy_pj=dict(streams.energy_pj)),))
    if values["wide"] == "host":
        units["wide"] = _host(values, around)
        levels.append((Compute(name=HOST),))
    elif values["wide"] == "attention":
        units["wide"] = attention
    return Architecture(
        name="ternary_lut",
        clock_hz=number(values, "clock"),
        levels=(_dram(values, offchip), Branches(tuple(levels))),
        engine=LookupEngine(_routing(values, TERNARY_BITS, False), tuple(units.items())),
        resources=tuple(resources.items()),
    )


# -- parts ------------------------------------------------------------------------------------------------------------


def _tables(values: Mapping[str, object], prices: _Parts, around: Surroundings) -> TableUnit:
    tables = Tables(
        group=count(values, "group"), tables=count(values, "tables"), lanes=count(values, "lanes"),
        form=str(values["form"]), copies=count(values, "copies"), build_rate=count(values, "build_rate"),
        build_beside=bool(values["build_beside"]), interval=count(values, "interval"),
        block_overhead=number(values, "block_overhead"), accumulators=count(values, "accumulators"),
        padded=bool(values["padded"]), activation_bits=count(values, "activation_bits"),
    )  # fmt: skip
    path = WeightPath(
        group=tables.group, tables=tables.tables, word_bits=tables.word_bits, planes=count(values, "planes"),
        plane_blocks=count(values, "plane_blocks"), plane_outputs=count(values, "plane_outputs"),
        padded=tables.padded, ports=count(values, "weight_ports"), axi_bits=count(values, "axi_bits"),
        port_bits=min(count(values, "axi_bits"), count(values, "port_bits")),
        burst_beats=count(values, "burst_beats"), burst_overhead=number(values, "burst_overhead"),
        bits_per_cycle=around.offchip.bits_per_cycle, beside=bool(values["weights_beside"]),
    )  # fmt: skip
    bits = entry_bits(tables.group, tables.activation_bits)
    read, write = prices.bit("register", bits)
    try:
        index = prices.bit("sram", count(values, "uram_bits") * count(values, "uram_words"))
    except SpecError as error:
        raise SpecError([problem.below("uram_words") for problem in error.problems]) from error
    return TableUnit(tables, path, TablePrices(read * bits, write * bits, prices.operators("add16")["add"], *index),
                     around)  # fmt: skip


def _table_levels(unit: TableUnit) -> tuple[Level, ...]:
    """Weight buffer and sums once, the lookup of T tables for each of Q lanes."""
    tables, path = unit.tables, unit.path
    sums = Amount(SUM_BITS * tables.accumulators) if tables.accumulators else UNLIMITED
    return (
        Memory(name=WEIGHTS, capacity=Amount(path.capacity_bits), word_bits=Fraction(path.word_bits),
               read_energy_pj=path.word_bits * unit.prices.index_read,
               write_energy_pj=path.word_bits * unit.prices.index_write),
        Memory(name=SUMS, capacity=sums),
        Fanout(name="Tables", axes={"Q": tables.lanes, "T": tables.tables}),
        Compute(name=LOOKUP, energy_pj={"add": unit.prices.add}),
    )  # fmt: skip


def _attention(values: Mapping[str, object], prices: _Parts, around: Surroundings) -> AttentionUnit:
    return AttentionUnit(
        rows=count(values, "attention_rows"), lanes=count(values, "attention_lanes"),
        key_overhead=number(values, "key_overhead"),
        stream_bits=float(count(values, "attention_ports") * count(values, "port_bits")),
        mac_pj=prices.operators("fp16")["mac"], around=around,
    )  # fmt: skip


def _host(values: Mapping[str, object], around: Surroundings) -> HostUnit:
    """The host: a processor, so that the fabric's factor is not its own."""
    if values["host_bandwidth"] is None:
        raise SpecError("`wide: host` needs `host_bandwidth`", "the rate at which the host streams weights, in GB/s",
                        ("wide",))  # fmt: skip
    own = _Parts(library(), number(values, "technology"), 1.0)
    return HostUnit(
        bits_per_cycle=parts.bits(values, "host_bandwidth"),
        overhead=number(values, "host_overhead") * number(values, "clock"), lanes=LANES_OF_HOST,
        instruction_pj=own.operators("cpu")["instruction"], mac_pj=own.operators("fp16")["mac"], around=around,
    )  # fmt: skip


def _offchip(values: Mapping[str, object]) -> OffChip:
    part = library().memory_part(str(values["dram"]), math.inf, Fraction(1))
    return OffChip(part.read_energy_pj, part.write_energy_pj, parts.bits(values, "bandwidth"))


def _dram(values: Mapping[str, object], offchip: OffChip) -> Memory:
    part = library().memory_part(str(values["dram"]), math.inf, Fraction(1))
    bandwidth = UNLIMITED if math.isinf(offchip.bits_per_cycle) else Amount(offchip.bits_per_cycle)
    return Memory(name=DRAM, word_bits=Fraction(1), read_energy_pj=part.read_energy_pj,
                  write_energy_pj=part.write_energy_pj, bandwidth=bandwidth, source=part.source)  # fmt: skip


def _processor(values: Mapping[str, object], prices: _Parts, offchip: OffChip) -> Architecture:
    """The machine of `processor`: cores and their memory."""
    core = _core(values, prices)
    offchip = replace(offchip, bits_per_cycle=core.bytes_per_s * 8 / core.clock_hz)
    own = StreamUnit(core.lanes, False, core.operator_pj)
    unit = CoreUnit(core, Surroundings(offchip, own, frozenset(parts.names(values, "without"))))
    kinds: tuple[tuple[str, Unit], ...] = tuple((k, unit) for k in ("projection", "wide", "attention", "streams"))
    cores = Fanout(name="Threads", axes={"threads": core.threads})
    return Architecture(
        name="ternary_lut",
        clock_hz=core.clock_hz,
        levels=(_dram(values, offchip), cores, Compute(name=CORE, energy_pj=dict(core.operator_pj))),
        engine=LookupEngine(_routing(values, MOST_PLANES, True), kinds),
    )


def _core(values: Mapping[str, object], prices: _Parts) -> Processor:
    clock = number(values, "clock")
    bandwidth = parts.bits(values, "bandwidth") / 8 * clock
    rates = values["instruction_rate"], values["wide_rate"]
    if values["measured"] is not None:
        if rates != (None, None) or not math.isinf(bandwidth):
            raise SpecError("`measured` stands beside `instruction_rate`, `wide_rate` or `bandwidth`",
                            "keep the rows, or what they say", ("measured",))  # fmt: skip
        rates, bandwidth = _measured(values)
    if None in rates:
        missing = "instruction_rate" if rates[0] is None else "wide_rate"
        raise SpecError(f"'{missing}' is missing", "give `instruction_rate` and `wide_rate`, or `measured` rows",
                        (missing,))  # fmt: skip
    instruction_hz, wide_hz = rates
    assert isinstance(instruction_hz, int | float)
    assert isinstance(wide_hz, int | float)
    return Processor(
        clock_hz=clock, instruction_hz=instruction_hz, wide_hz=wide_hz, bytes_per_s=bandwidth,
        threads=count(values, "threads"), group=count(values, "activations_a_table"),
        table_lanes=count(values, "table_lanes"), mirrored=bool(values["mirrored"]),
        scale_bits=number(values, "scale_bits"), lanes=count(values, "vector_lanes"),
        cycles_of=tuple(sorted(prices.steps("fp16").items())), instruction_pj=prices.operators("cpu")["instruction"],
        operator_pj=tuple(sorted(prices.operators("fp16").items())),
    )  # fmt: skip


def _measured(values: Mapping[str, object]) -> tuple[tuple[float, float], float]:
    """Rates and bandwidth (bytes/s) that the rows of ``measured`` say."""
    table = values["measured"]
    assert isinstance(table, dict)
    p.known_keys(table, "measured", ("one_thread", "many_threads", "weights", "head", "scale_bits"))
    one = p.table_rows(values, "measured", "one_thread", 2)
    many = p.table_rows(values, "measured", "many_threads", 1)
    sizes: list[int] = []
    for key in ("weights", "head"):
        size = table.get(key)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            hint = "the number of weights of the measured model: in the blocks, and in the head"
            raise SpecError(f"'{key}' of 'measured' is {size!r}", hint, ("measured", key))
        sizes.append(size)
    scale = table.get("scale_bits", 0.125)
    if not isinstance(scale, int | float) or isinstance(scale, bool) or scale < 0:
        raise SpecError(f"'scale_bits' of 'measured' is {scale!r}", "bits of scales beside each weight, for example "
                        "0.125", ("measured", "scale_bits"))  # fmt: skip
    lookups = count(values, "activations_a_table") * count(values, "table_lanes")
    weights, head = sizes
    found = calibrated(one, many, weights, head, float(scale), lookups)
    if not (found.instruction_hz > 0 and found.head_s > 0):
        raise SpecError("the one-thread rows of 'measured' give no rate", "more bits must take longer, and less than "
                        "in proportion", ("measured", "one_thread"))  # fmt: skip
    return (found.instruction_hz, found.wide_hz), found.bytes_per_s


# -- resources --------------------------------------------------------------------------------------------------------


def _resources(values: Mapping[str, object], unit: TableUnit) -> dict[str, float]:
    """What the lookup unit takes, and what is given of all else.

    Raises:
        SpecError: The device has less.
    """
    law = calibrated_lut if values["lut_basis"] == "published" else primitive_lut
    uram = UltraRam(count(values, "uram_bits"), count(values, "uram_words"))
    found: dict[str, float] = {"lut": law(unit.tables), "uram": uram.blocks(unit.path, unit.tables.lanes)}
    others = values["others"] or {}
    assert isinstance(others, dict)
    p.known_keys(others, "others", RESOURCES)
    for name, used in others.items():
        if not isinstance(used, int | float) or isinstance(used, bool) or used < 0:
            raise SpecError(f"'{name}' of 'others' is {used!r}", "a number of at least 0", ("others", name))
        found[name] = found.get(name, 0) + used
    if values["device"] is not None:
        there = _device(values)
        short = [name for name, needed in found.items() if needed > there.get(name, math.inf)]
        if short:
            what = "; ".join(f"{found[name]:,.10g} {name} of {there[name]:,.10g}" for name in short)
            hint = "fewer tables, lanes or planes, another form of tables, or a larger device"
            raise SpecError(f"the design needs {what} on {values['device']}", hint, ("device",))
    return found


def _device(values: Mapping[str, object]) -> Mapping[str, float]:
    try:
        return device(str(values["device"])).resources
    except SpecError as error:
        raise SpecError([problem.below("device") for problem in error.problems]) from error


# -- shared -----------------------------------------------------------------------------------------------------------


def _routing(values: Mapping[str, object], bits: float, up_to: bool) -> Routing:
    """Ternary weights (fewer than 2 bits) take tables in logic, weights of 1 to 4 bits those of a processor."""
    return Routing(bits, up_to, ternary_names(values), values["wide"] != "nothing")
