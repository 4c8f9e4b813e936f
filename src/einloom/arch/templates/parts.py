"""Levels that templates share, priced by the component library, and the parameters that describe them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from einloom.arch.components import library
from einloom.arch.template import Parameter
from einloom.arch.tree import UNLIMITED, Amount, Compute, Memory
from einloom.errors import SpecError

LARGEST_ROW_BITS = 8 * 2**20
"""An unbounded buffer is priced as the largest SRAM of the table (1 MiB). Its area is unknown."""

DRAMS = ("lpddr4", "lpddr", "ddr3", "gddr5", "hbm2", "dram")
ARITHMETICS = ("int8", "int32", "fp16", "fp32", "aladdin_int32", "fusemax_2d")
_ARITHMETIC_OF = {8: "int8", 16: "fp16", 32: "fp32"}

CLOCK = Parameter(name="clock", kind="frequency", meaning="clock of the whole machine", default=1e9)
BITS = Parameter(name="bits", kind="count", meaning="bits of a word in every memory", default=8, high=4096)
TECHNOLOGY = Parameter(
    name="technology",
    kind="length",
    meaning="logic node; energies and areas are scaled to it from 40-45 nm (Stillmaker and Baas 2017)",
    default=45.0,
    low=7,
    high=130,
)
DRAM = Parameter(name="dram", kind="choice", meaning="off-chip memory", default="lpddr4", choices=DRAMS)
ARITHMETIC = Parameter(
    name="arithmetic",
    kind="choice",
    meaning="what a processing element computes with; by default int8, fp16 or fp32 for 8, 16 or 32 bits",
    default=None,
    choices=ARITHMETICS,
)
BANDWIDTH = Parameter(
    name="bandwidth", kind="rate", meaning="of the DRAM, reads and writes together", default=UNLIMITED
)
BUFFER_BANDWIDTH = Parameter(
    name="buffer_bandwidth",
    kind="rate",
    meaning="of the buffer, reads and writes together",
    default=UNLIMITED,
)


def amount(params: Mapping[str, object], name: str) -> Amount:
    """The size or rate ``name`` in bits: its words are the machine's words."""
    value = params[name]
    assert isinstance(value, Amount)
    return value.in_bits(count(params, "bits"))


def count(params: Mapping[str, object], name: str) -> int:
    value = params[name]
    assert isinstance(value, int)
    return value


def number(params: Mapping[str, object], name: str) -> float:
    value = params[name]
    assert isinstance(value, int | float)
    return float(value)


def names(params: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = params[name]
    assert isinstance(value, tuple)
    return value


def bits(params: Mapping[str, object], name: str) -> float:
    """A size in bits, or a rate in bits a cycle, on a machine whose words have no width.

    Raises:
        SpecError: It is in words.
    """
    value = params[name]
    assert isinstance(value, Amount)
    if value.in_words:
        raise SpecError(f"'{name}' is in words, which have no width here", "give it in bits or bytes", (name,))
    return float(value.value)


def dram(params: Mapping[str, object], name: str = "DRAM") -> Memory:
    """Off-chip memory: unbounded, no area."""
    word = Fraction(count(params, "bits"))
    part = library().memory_part(str(params["dram"]), math.inf, word)
    return Memory(
        name=name,
        word_bits=word,
        read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj,
        bandwidth=amount(params, "bandwidth"),
        area_um2=0.0,
        source=part.source,
    )


def buffer(params: Mapping[str, object], name: str, size: str, rate: str | None = None) -> Memory:
    """An on-chip memory whose capacity is the parameter ``size``: SRAM, or registers below 2 KiB.

    Raises:
        SpecError: The capacity is outside the table; the problem points at the parameter.
    """
    word = Fraction(count(params, "bits"))
    capacity = amount(params, size)
    bits = float(capacity.value)
    unbounded = math.isinf(bits)
    priced_bits = LARGEST_ROW_BITS if unbounded else bits
    component = library().default_memory(priced_bits)
    assert component is not None
    try:
        part = library().memory_part(component, priced_bits, word, number(params, "technology"))
    except SpecError as error:
        raise SpecError([problem.below(size) for problem in error.problems]) from error
    return Memory(
        name=name,
        capacity=capacity,
        word_bits=word,
        read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj,
        bandwidth=UNLIMITED if rate is None else amount(params, rate),
        area_um2=None if unbounded else part.area_um2,
        source=part.source,
    )


def arithmetic(params: Mapping[str, object], name: str = "MAC") -> Compute:
    """The compute of one processing element, with every operator that it can run.

    Raises:
        SpecError: No arithmetic is known for that many bits and none is named.
    """
    bits = count(params, "bits")
    component = params["arithmetic"] or _ARITHMETIC_OF.get(bits)
    if component is None:
        hint = f"add `arithmetic:` with one of: {', '.join(ARITHMETICS)}"
        raise SpecError(f"no arithmetic is the default for {bits}-bit words", hint, ("bits",))
    part = library().compute_part(str(component), number(params, "technology"))
    return Compute(
        name=name, energy_pj=part.energy_pj, cycles=part.cycles, area_um2=part.area_um2, source=part.source
    )
