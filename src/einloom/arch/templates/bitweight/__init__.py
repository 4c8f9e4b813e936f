"""``bitweight``: arrays of INT8 elements whose multiply-accumulate is taken apart along the bit weights.

Structure: ``DRAM > GLB > ARRAY > PE``, and with ``lanes`` a vector unit ``LANE > VEC`` beside the array. Variants:

    mac     a multiplier, an adder, an accumulator
    opt1    the accumulator keeps a sum and a carry word; they are added once, at the end
    opt2    an adder tree that compresses digits of the same bit weight before they are shifted
    opt4c   the digits that are not zero, one after the other; a column of elements shares one encoder

Area and power of an array are published ones at the clock (arch/components/bitweight.csv); between two clocks the
straight line, outside an error. Arrays of another size than a published one are priced by their elements. A column of
opt4c has an area but no published power: its energy is the component library's, and results say so. Cycles: arrays.py;
digits: digits.py; choices: machine.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from einloom.arch.components import library
from einloom.arch.template import Parameter, Template
from einloom.arch.templates import parts
from einloom.arch.templates.bitweight.arrays import LAWS
from einloom.arch.templates.bitweight.machine import (
    ARRAY,
    BUFFER,
    ELEMENT,
    LANE,
    SUM_BITS,
    VECTOR,
    BitWeightEngine,
)
from einloom.arch.templates.bitweight.tables import ARRAYS, VARIANTS, Synthesis, at_clock, published
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import SpecError

NODE_NM = 32.0
"""Of the published syntheses (SAED 32 nm)."""
SHAPES = {"systolic_os": (16, 16), "systolic_ws": (16, 16), "matrix": (16, 16), "cube": (8, 8),
          "adder_tree": (16, 16), "columns": (1, 32)}  # fmt: skip
"""Rows and columns that an array has by default: the published one (of `matrix` one element is published)."""
VARIANT_OF = {"adder_tree": "opt2", "columns": "opt4c"}
CARRY_SAVE_BITS = 26
"""Of each of the two words (sum and carry) in an element of opt4c (ACC_WIDTH of top_pe_column.v)."""


def build(params: Mapping[str, object]) -> Architecture:
    """The array, its memories and its lanes.

    Raises:
        SpecError: Nobody published that variant on that array, or at that clock.
    """
    array = str(params["array"])
    variant = str(params["variant"] or VARIANT_OF.get(array, "mac"))
    rows, cols = (
        parts.count(params, name) if params[name] is not None else shape
        for name, shape in zip(("rows", "cols"), SHAPES[array], strict=True)
    )
    if array == "cube" and rows != cols:
        raise SpecError(f"a cube has as many rows as columns, got {rows} and {cols}", f"give `cols: {rows}`", ("cols",))
    elements = rows * cols * (rows if array == "cube" else 1)
    table = published(variant, array, rows, cols)
    mhz = table[-1].mhz if params["clock"] is None else parts.number(params, "clock") / 1e6
    found = at_clock(table, mhz)
    share = elements / (found.rows * found.cols * (found.rows if array == "cube" else 1))
    cycle_pj, notes = _cycle_pj(found, elements, share)
    if share != 1 and array not in ("matrix", "columns"):
        notes += (f"area and power are those of {found.rows} x {found.cols}, by the number of elements",)
    parts.bits(params, "bandwidth")  # no words: the DRAM's are bits
    dram, buffer = parts.dram({**params, "bits": 1}), _buffer(params)
    lanes = parts.count(params, "lanes")
    vector = parts.arithmetic({**params, "bits": 32, "arithmetic": "fp32", "technology": NODE_NM}, VECTOR)
    element = Compute(
        name=ELEMENT,
        energy_pj={"mac": cycle_pj / elements},
        area_um2=_area_um2(found, str(params["area"]), share) / elements,
        source=found.source,
    )
    axes = {"X": cols, "Y": rows, **({"Z": rows} if array == "cube" else {})}
    tree: tuple[Fanout | Compute, ...] = (Fanout(name=ARRAY, axes=axes), element)
    levels: tuple[object, ...] = tree
    if lanes:
        levels = (Branches((tree, (Fanout(name=LANE, axes={"X": lanes}), vector))),)
    return Architecture(
        name=f"{variant}_{array}_{rows}x{cols}",
        clock_hz=mhz * 1e6,
        levels=(dram, buffer, *levels),  # type: ignore[arg-type]
        engine=BitWeightEngine(
            variant, array, rows, cols, elements, cycle_pj,
            parts.number(params, "sigma"),
            parts.number(params, "sigma" if params["sigma_weights"] is None else "sigma_weights"),
            lanes, vector, dram, buffer, LAWS.without(parts.names(params, "without")), notes,
        ),
    )  # fmt: skip


def _cycle_pj(found: Synthesis, elements: int, share: float) -> tuple[float, tuple[str, ...]]:
    """Energy of the whole array in one cycle: published power / clock; mW / MHz are nJ.

    Without a published power (opt4c): in every element two words of `CARRY_SAVE_BITS` are compressed (priced as an
    addition of as many bits, Horowitz) and stored (Aladdin's register bits), scaled to 32 nm.
    """
    if found.power_mw is not None:
        return found.power_mw / found.mhz * 1e3 * share, ()
    add = library().compute_part("int8", NODE_NM).energy_pj["add"] * CARRY_SAVE_BITS / SUM_BITS
    bits = 2 * CARRY_SAVE_BITS
    stored = library().memory_part("register", bits, Fraction(bits), NODE_NM).write_energy_pj
    note = "no power is published of opt4c: its energy is an adder and two registers of the component library"
    return elements * (add + stored), (note,)


def _area_um2(found: Synthesis, which: str, share: float) -> float:
    area = found.cell_um2 if which == "cell" else found.total_um2
    if area is None:
        hint = "give `area: cell`"
        what = f"no area with interconnect is published of variant '{found.variant}' on array '{found.array}'"
        raise SpecError(what, hint, ("area",))
    return area * share


def _buffer(params: Mapping[str, object]) -> Memory:
    """The buffer; without ``buffer:`` it has no limit, energy or area, as the published figures end at the array."""
    if params["buffer"] is None:
        return Memory(name=BUFFER, capacity=UNLIMITED, word_bits=Fraction(1), area_um2=0.0)
    size = params["buffer"]
    assert isinstance(size, Amount)
    if size.in_words or math.isinf(size.value):
        raise SpecError("the buffer has a size in bits or bytes", "for example 256 KiB", ("buffer",))
    return parts.buffer({**params, "bits": 1, "technology": NODE_NM}, BUFFER, "buffer")


TEMPLATE = Template(
    name="bitweight",
    summary="an INT8 array by processing element (MAC, OPT1, OPT2, OPT4C): published area and power by clock",
    parameters=(
        Parameter(name="array", kind="choice", meaning="how elements are arranged", default="systolic_os",
                  choices=ARRAYS),
        Parameter(name="variant", kind="choice", meaning="by default mac, on a tree opt2, in columns opt4c",
                  default=None, choices=VARIANTS),
        Parameter(name="rows", kind="count", meaning="along Y; of columns: how many; of a tree: what it sums",
                  default=None, high=4096),
        Parameter(name="cols", kind="count", meaning="along X; of columns: elements of each", default=None, high=4096),
        Parameter(name="clock", kind="frequency", meaning="of the array; by default the fastest published",
                  default=None),
        Parameter(name="area", kind="choice", meaning="cell: of the cells; total: with the interconnect of the nets",
                  default="cell", choices=("cell", "total")),
        Parameter(name="sigma", kind="number", meaning="of the values of inputs, a normal of mean 0 in INT8",
                  default=30.0, low=0.1, high=1000),
        Parameter(name="sigma_weights", kind="number", meaning="of the weights; by default that of the inputs",
                  default=None, low=0.1, high=1000),
        Parameter(name="buffer", kind="size", meaning="by default the buffer is no part of the machine: free, no limit",
                  default=None),
        parts.BANDWIDTH,
        Parameter(name="lanes", kind="count", meaning="of the FP32 vector unit, for all that is no INT8 product",
                  default=0, low=0, high=65536),
        parts.DRAM,
        Parameter(name="without", kind="names", meaning="terms of the timing law that are left out",
                  default=(), choices=LAWS.names[1:]),
    ),
    build=build,
    sources=(
        "Q. Wu et al., Exploring the Performance Improvement of Tensor Processing Engines through Transformation in "
        "the Bit-weight Dimension of MACs, HPCA 2025, arXiv 2503.06342",
        "github.com/fhys/High-Performance-Tensor-Processing-Engines: areas, powers (SAED 32 nm), test benches",
    ),
)  # fmt: skip
