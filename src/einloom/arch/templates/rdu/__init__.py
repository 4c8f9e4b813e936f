"""``rdu``: a reconfigurable dataflow unit: tiles of compute and memory units under HBM and DDR, several sockets.

Structure: ``DDR > SOCKET > HBM > SRAM > TILE > PCU``. The SRAM stands for all memory units (PMU) of a socket. The
defaults are SambaNova's SN40L: 1040 compute and 1040 memory units of 512 KiB, 638 TFLOPS in BF16, 64 GiB of HBM at
1.6 TB/s, up to 1.5 TiB of DDR a socket. What its authors do not say has no default that would count: the time of a
launch is 0 and links cost no time unless given, and both are named in the notes; copies from the DDR need
``ddr_bandwidth``. Rates are per second; ``clock`` is only the unit in which cycles are counted, as the clock is not
published.

Energies are the component library's: HBM2 3.9 pJ a bit, SRAM of the size of one memory unit, FP16 arithmetic. SN40L is
made in 5 nm, which the scaling table does not reach; 7 nm, its smallest node, stands in. Fusion: fusion.py; law and
choices: machine.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from einloom.arch.components import library
from einloom.arch.template import Parameter, Template
from einloom.arch.templates import parts
from einloom.arch.templates.rdu.machine import DDR, HBM, LAWS, SOCKET, SRAM, TILE, UNIT, RduEngine
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Compute, Fanout, Memory
from einloom.errors import SpecError

HBM_BYTES_S = 1.6e12
"""1.6 TB/s a socket: 25.6 TB/s over 16 (R. Prabhakar et al., SN40L, arXiv 2405.07518)."""
PCU_GFLOPS = 638e3 / 1040
"""638 TFLOPS in BF16 over 1040 compute units (the same)."""
KIB, GIB, TIB = 8 * 2**10, 8 * 2**30, 8 * 2**40


def build(params: Mapping[str, object]) -> Architecture:
    """The tree and its engine.

    Raises:
        SpecError: A copy from the DDR without a bandwidth, or a memory unit outside the SRAM table.
    """
    sockets, units = parts.count(params, "sockets"), parts.count(params, "pcus")
    clock = parts.number(params, "clock")
    node = parts.number(params, "technology")
    if params["switch"] and params["ddr_bandwidth"] is None:
        hint = "give `ddr_bandwidth:`, of one socket (SN40L: not published)"
        raise SpecError("a model switch copies the weights from the DDR at a rate that is not known", hint, ("switch",))
    hbm_bits = _bits(params, "hbm_bandwidth", 8 * HBM_BYTES_S / clock)
    ddr_bits = _bits(params, "ddr_bandwidth", math.inf)
    link_bits = _bits(params, "link_bandwidth", math.inf)
    memories = (
        _off_chip(DDR, str(params["ddr_part"]), parts.bits(params, "ddr") * sockets, ddr_bits * sockets),
        _off_chip(HBM, str(params["hbm_part"]), parts.bits(params, "hbm"), hbm_bits),
        _sram(params, node),
    )
    part = library().compute_part("fp16", node)
    unit = Compute(name=UNIT, energy_pj=part.energy_pj, cycles=part.cycles, source=part.source)
    launch = parts.number(params, "launch")
    notes: tuple[str, ...] = () if launch else ("launching a kernel takes no time here: `launch` is not given",)
    if sockets > 1 and math.isinf(link_bits):
        notes += ("exchanges between sockets take no time here: `link_bandwidth` is not given",)
    ddr, hbm, sram = memories
    return Architecture(
        name=f"rdu_{sockets}x{units}",
        clock_hz=clock,
        levels=(
            ddr, Fanout(name=SOCKET, axes={"X": sockets}), hbm, sram, Fanout(name=TILE, axes={"X": units}), unit,
        ),
        engine=RduEngine(
            sockets=sockets,
            units=units,
            macs=units * parts.number(params, "pcu_gflops") * 1e9 / 2 / clock,
            elementwise=parts.number(params, "elementwise"),
            hbm_bits=hbm_bits, link_bits=link_bits, ddr_bits=ddr_bits,
            sram_bits=float(sram.capacity.value),
            launch_cycles=launch * clock,
            hbm_pj=hbm.read_energy_pj, sram_pj=sram.read_energy_pj, ddr_pj=ddr.read_energy_pj,
            unit=unit,
            switch=bool(params["switch"]),
            laws=LAWS.without(parts.names(params, "without")),
            notes=notes,
        ),
    )  # fmt: skip


def _bits(params: Mapping[str, object], name: str, default: float) -> float:
    """A rate in bits a cycle."""
    return default if params[name] is None else parts.bits(params, name)


def _off_chip(name: str, component: str, bits: float, rate: float) -> Memory:
    part = library().memory_part(component, math.inf, Fraction(1))
    return Memory(
        name=name,
        capacity=UNLIMITED if math.isinf(bits) else Amount(Fraction(bits)),
        word_bits=Fraction(1),
        read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj,
        bandwidth=UNLIMITED if math.isinf(rate) else Amount(Fraction(rate)),
        area_um2=0.0,
        source=part.source,
    )


def _sram(params: Mapping[str, object], node: float) -> Memory:
    """All memory units of a socket; a bit costs what it costs in one unit."""
    bits, units = parts.bits(params, "pmu"), parts.count(params, "pmus")
    if math.isinf(bits):
        raise SpecError("'inf' is out of range", "a memory unit has a size, for example 512 KiB", ("pmu",))
    try:
        part = library().memory_part("sram", bits, Fraction(1), node)
    except SpecError as error:
        raise SpecError([problem.below("pmu") for problem in error.problems]) from error
    return Memory(
        name=SRAM,
        capacity=Amount(Fraction(bits) * units),
        word_bits=Fraction(1),
        read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj,
        area_um2=None if part.area_um2 is None else part.area_um2 * units,
        source=part.source,
    )


TEMPLATE = Template(
    name="rdu",
    summary="tiles of compute and memory units under HBM and DDR; kernels fused or one by one (SN40L)",
    parameters=(
        Parameter(name="sockets", kind="count", meaning="sockets that share every layer (tensor parallelism)",
                  default=1, high=1024),
        Parameter(name="pcus", kind="count", meaning="compute units of a socket", default=1040, high=2**20),
        Parameter(name="pcu_gflops", kind="number", meaning="peak of one compute unit in BF16, GFLOPS (2 a MAC)",
                  default=PCU_GFLOPS, low=1e-3),
        Parameter(name="elementwise", kind="number", meaning="part of the peak for all but products of two tensors",
                  default=1.0, low=1e-6, high=1.0),
        Parameter(name="pmus", kind="count", meaning="memory units of a socket", default=1040, high=2**20),
        Parameter(name="pmu", kind="size", meaning="SRAM of one memory unit", default=Amount(Fraction(512 * KIB))),
        Parameter(name="hbm", kind="size", meaning="HBM of a socket", default=Amount(Fraction(64 * GIB))),
        Parameter(name="hbm_bandwidth", kind="rate", meaning="of the HBM of a socket; by default 1.6 TB/s",
                  default=None),
        Parameter(name="ddr", kind="size", meaning="DDR of a socket", default=Amount(Fraction(3 * TIB, 2))),
        Parameter(name="ddr_bandwidth", kind="rate", meaning="of the DDR of a socket; SN40L's is not published",
                  default=None),
        Parameter(name="link_bandwidth", kind="rate", meaning="into a socket from the others; by default unlimited",
                  default=None),
        Parameter(name="launch", kind="time", meaning="from one kernel to the next; SN40L's is not published",
                  default=0.0, low=0),
        Parameter(name="switch", kind="flag", meaning="copy the weights from the DDR first, once", default=False),
        Parameter(name="clock", kind="frequency", meaning="unit in which cycles are counted; changes no time",
                  default=1e9),
        Parameter(name="hbm_part", kind="choice", meaning="component that prices the HBM", default="hbm2",
                  choices=parts.DRAMS),
        Parameter(name="ddr_part", kind="choice", meaning="component that prices the DDR", default="dram",
                  choices=parts.DRAMS),
        Parameter(name="technology", kind="length", meaning="node of the chip; 5 nm is outside the scaling table",
                  default=7.0, low=7, high=130),
        Parameter(name="without", kind="names", meaning="terms of the timing law that are left out",
                  default=(), choices=LAWS.names[1:]),
    ),
    build=build,
    sources=(
        "R. Prabhakar et al., SambaNova SN40L: Scaling the AI Memory Wall with Dataflow and Composition of Experts, "
        "arXiv 2405.07518",
        "S. Williams et al., Roofline, CACM 52(4), 2009, doi:10.1145/1498765.1498785",
    ),
)  # fmt: skip
