"""``fpga_dataflow``: tasks on an FPGA that talk through finite FIFOs, in three execution patterns.

Structure: ``DRAM > OnChip > Lanes > Lane``. A lane is a multiplier with its adder. A cascade runs as *phases*, one
after the other; the *tasks* of a phase run together and wait for each other at FIFOs. Sequential: one task after the
other; dataflow: all tasks at once, each with lanes of its own; reconfigurable (InTAR): phases between which lanes
change their task. The pattern is a choice of the mapper, shared by all steps; a baseline is the same description with
the choice fixed.

Tasks are written out in the parameter ``tasks`` (`table`, `text`) or derived from the Einsums (`derived`). Their time
is exact for the loops and FIFOs that are given (`network`); constants of loops and accesses are in `classes`, laws in
`laws`, resources in `resources`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import cast

from einloom.arch.components import ComputePart, library
from einloom.arch.devices import Device, device, devices
from einloom.arch.template import Parameter, Template
from einloom.arch.templates import parts
from einloom.arch.templates.fpga_dataflow.classes import CLASSES, START_UP, LoopClass
from einloom.arch.templates.fpga_dataflow.engine import FpgaEngine
from einloom.arch.templates.fpga_dataflow.laws import TERMS
from einloom.arch.templates.fpga_dataflow.machine import LANES, OFF_CHIP, ON_CHIP, Machine
from einloom.arch.templates.fpga_dataflow.resources import PLATFORMS, dsp_of_lane
from einloom.arch.templates.fpga_dataflow.table import PATTERNS, read_tasks
from einloom.arch.tree import Amount, Architecture, Compute, Fanout, Memory
from einloom.errors import SpecError

BLOCK_BITS: Mapping[str, int] = {"bram": 36 * 1024, "uram": 288 * 1024}
"""Of one block of the device."""


def build(params: Mapping[str, object]) -> Architecture:
    """The FPGA for resolved parameters."""
    chip = device(str(params["device"]))
    port = _port(params, chip)
    capacity = _capacity(params, chip)
    arithmetic = _arithmetic(params, chip)
    memory = _memory(params, chip)
    off_chip = library().memory_part(str(params["dram"] or _dram_of(chip)), math.inf, Fraction(1))
    machine = Machine(
        lanes=parts.count(params, "lanes"),
        bits=parts.count(params, "bits"),
        lane_dsp=dsp_of_lane(parts.count(params, "bits"), "DSP58" if "Versal" in chip.part else "DSP48E2"),
        port_bits=port,
        latency=parts.count(params, "latency"),
        start_up=parts.count(params, "start_up"),
        launch=parts.number(params, "launch") * parts.number(params, "clock"),
        operator_pj=tuple(arithmetic.energy_pj.items()),
        operator_cycles=tuple((name, arithmetic.cycles.get(name, 1)) for name in arithmetic.energy_pj),
        off_chip_pj=off_chip.read_energy_pj,
        on_chip_pj=memory.read_energy_pj,
        budget=tuple((name, float(number)) for name, number in chip.resources.items()),
        platform=tuple(PLATFORMS.get(chip.name, {}).items()),
    )
    fifo = parts.count(params, "fifo")
    table = ""
    if params["tasks"] is not None:
        tasks = cast("dict[str, object]", params["tasks"])
        read_tasks(tasks, fifo)
        table = json.dumps(tasks)
    engine = FpgaEngine(
        machine, cast("tuple[str, ...]", params["patterns"]) or PATTERNS, table, fifo, _kinds(params),
        cast("tuple[str, ...]", params["without"]),
    )  # fmt: skip
    return Architecture(
        name=f"fpga_{chip.name}_{machine.lanes}",
        clock_hz=parts.number(params, "clock"),
        levels=(
            Memory(name=OFF_CHIP, word_bits=Fraction(1), read_energy_pj=off_chip.read_energy_pj,
                   write_energy_pj=off_chip.write_energy_pj, bandwidth=Amount(port), area_um2=0.0,
                   source=off_chip.source),
            replace(memory, capacity=capacity, leakage_w=parts.number(params, "static_power")),
            Fanout(name="Lanes", axes={"L": machine.lanes}),
            arithmetic,
        ),
        engine=engine,
    )  # fmt: skip


def _port(params: Mapping[str, object], chip: Device) -> Fraction:
    """Bits that the off-chip memory moves in a cycle: as given, or the peak of the device's memory at this clock."""
    given = params["bandwidth"]
    if isinstance(given, Amount):
        amount = given.in_bits(parts.count(params, "bits"))
        if not amount.value > 0:
            raise SpecError("'0' is out of range", "'bandwidth' must be above 0", ("bandwidth",))
        return Fraction(10**12) if math.isinf(amount.value) else Fraction(amount.value)
    if chip.memory_bytes_per_s is None:
        raise SpecError(f"the bandwidth of the memory of '{chip.name}' is not known", "add `bandwidth:`", ("device",))
    return Fraction(8 * chip.memory_bytes_per_s) / Fraction(parts.number(params, "clock"))


def _capacity(params: Mapping[str, object], chip: Device) -> Amount:
    """Of all block memories: as given, or what the device has."""
    given = params["buffer"]
    if isinstance(given, Amount):
        return given.in_bits(parts.count(params, "bits"))
    return Amount(Fraction(sum(chip.resources.get(name, 0) * bits for name, bits in BLOCK_BITS.items())))


def _arithmetic(params: Mapping[str, object], chip: Device) -> Compute:
    """A lane: every operator of the component, at the device's node, times what the fabric costs over an ASIC."""
    factor = parts.number(params, "fabric_factor")
    node = _node(params, chip)
    given = params["arithmetic"]
    part = _integers(parts.count(params, "bits"), node) if given is None else library().compute_part(str(given), node)
    return Compute(
        name=LANES,
        energy_pj={name: energy * factor for name, energy in part.energy_pj.items()},
        cycles=part.cycles,
        source=f"{part.source}; x {factor:g} (fabric_factor)",
    )


def _integers(bits: int, node: float) -> ComputePart:
    """Integers of any width up to 32 bits, from the library's rows for 8 and 32.

    A multiply follows the power law through the two rows (energy of a multiplier grows nearly with the square of its
    width: exponent 1.98); sums are of 32 bits throughout. Every other operator is a number of multiplies and of adds,
    so that its energy lies between the rows as that of the multiply does.
    """
    if bits > 32:
        raise SpecError(f"no arithmetic is known for {bits} bits", "at most 32, or give `arithmetic:`", ("bits",))
    narrow, wide = (library().compute_part(name, node) for name in ("int8", "int32"))
    low, high = narrow.energy_pj["mul"], wide.energy_pj["mul"]
    multiply = low * (high / low) ** (math.log(bits / 8) / math.log(4))
    share = (multiply - low) / (high - low)
    energy = {name: pj + (wide.energy_pj[name] - pj) * share for name, pj in narrow.energy_pj.items()}
    return ComputePart(energy, narrow.cycles, 0.0, f"{bits} bits between {narrow.source} and {wide.source}")


def _memory(params: Mapping[str, object], chip: Device) -> Memory:
    """Block memory, priced a bit as one block of 36 Kb: hard blocks pay no fabric factor."""
    part = library().memory_part("sram", BLOCK_BITS["bram"], Fraction(1), _node(params, chip))
    return Memory(
        name=ON_CHIP, word_bits=Fraction(1), read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj, source=part.source,
    )  # fmt: skip


def _node(params: Mapping[str, object], chip: Device) -> float:
    return chip.technology_nm if params["technology"] is None else parts.number(params, "technology")


def _dram_of(chip: Device) -> str:
    """What the library has for the memory of a device: HBM2, LPDDR4, or DRAM in general (no row for DDR4)."""
    return "hbm2" if "HBM" in chip.memory else "lpddr4" if "LPDDR4" in chip.memory else "dram"


def _kinds(params: Mapping[str, object]) -> tuple[tuple[str, LoopClass], ...]:
    """Kinds of loops with the access costs of this machine."""
    latency = Fraction(parts.count(params, "latency"))
    write = Fraction(str(parts.number(params, "blocking_write")))
    own = {
        "burst": replace(CLASSES["burst"], fill=latency),
        "read": replace(CLASSES["read"], interval=latency),
        "write": replace(CLASSES["write"], interval=write),
    }
    return tuple({**CLASSES, **own}.items())


TEMPLATE = Template(
    name="fpga_dataflow",
    summary="tasks on an FPGA with finite FIFOs: sequential, dataflow, or reconfigured between phases (InTAR)",
    parameters=(
        Parameter(name="lanes", kind="count", meaning="multipliers that tasks may use", high=2**20),
        Parameter(name="device", kind="choice", meaning="FPGA whose resources are the budget", default="u280",
                  choices=tuple(devices())),
        Parameter(name="tasks", kind="table", meaning="patterns, phases and tasks; by default derived from the Einsums",
                  default=None),
        Parameter(name="patterns", kind="names", meaning="what the mapper may choose where tasks are derived",
                  default=PATTERNS, choices=PATTERNS),
        Parameter(name="fifo", kind="count", meaning="packets of a FIFO that states no depth", default=2),
        Parameter(name="clock", kind="frequency", meaning="clock of the design", default=300e6),
        Parameter(name="start_up", kind="count", meaning="cycles before the first task and after the last one",
                  default=START_UP, low=0),
        Parameter(name="launch", kind="time", meaning="of a call by the host", default=0.0, low=0),
        Parameter(name="latency", kind="count", meaning="cycles to the first beat of a burst, or of a blocking read",
                  default=73, low=0),
        Parameter(name="blocking_write", kind="number", meaning="cycles of a write that waits for its answer",
                  default=30.5, low=0),
        Parameter(name="bandwidth", kind="rate", meaning="of the off-chip memory; by default the device's peak",
                  default=None),
        Parameter(name="buffer", kind="size", meaning="block memory; by default all that the device has",
                  default=None),
        Parameter(name="without", kind="names", meaning="terms of the time that are left out", default=(),
                  choices=TERMS),
        Parameter(name="fabric_factor", kind="number", meaning="dynamic energy of FPGA logic over that of an ASIC",
                  default=14.0),
        Parameter(name="static_power", kind="power", meaning="of the device; 0: not counted", default=0.0, low=0),
        parts.BITS,
        replace(parts.ARITHMETIC, meaning="what a lane computes with; by default integers of `bits`"),
        replace(parts.DRAM, default=None),
        replace(parts.TECHNOLOGY, default=None, meaning="logic node; by default the device's"),
    ),
    build=build,
    sources=(
        "Z. He et al., InTAR: inter-task auto-reconfigurable accelerator, FCCM 2025, arXiv:2502.08807, and the reports "
        "of github.com/OswaldHe/InTAR: cycles, patterns, utilization",
        "F. Baccelli et al., Synchronization and Linearity, Wiley 1992: bounded queues as max-plus recursions",
        "I. Kuon, J. Rose, Measuring the Gap Between FPGAs and ASICs, IEEE TCAD 26(2), 2007, "
        "doi:10.1109/TCAD.2006.884574: dynamic power of logic about 14 times that of an ASIC; hard blocks less",
    ),
)  # fmt: skip
