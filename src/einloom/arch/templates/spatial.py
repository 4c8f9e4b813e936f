"""``spatial``: a memory hierarchy above a grid of processing elements, from a few numbers.

    levels: 2    DRAM > GLB > PE {X: cols, Y: rows} > MAC
    levels: 3    DRAM > GLB > PE {X: cols, Y: rows} > Reg > MAC
    levels: 4    DRAM > L2 > Cluster {C: clusters} > GLB > PE {X: cols, Y: rows} > Reg > MAC

It imposes no mapping rules and no timing law: any rank variable on either axis, any tensor anywhere. A tree
that this does not reach is written out under ``levels:`` of an architecture file.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from einloom.arch.template import Parameter, Template
from einloom.arch.templates import parts
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Fanout, Level


def build(params: Mapping[str, object]) -> Architecture:
    """The tree for resolved parameters."""
    depth = parts.count(params, "levels")
    clusters = parts.count(params, "clusters")
    multicast, reduce = bool(params["multicast"]), bool(params["reduce"])
    levels: list[Level] = [parts.dram(params)]
    if depth == 4:
        levels.append(parts.buffer(params, "L2", "shared_buffer", "shared_bandwidth"))
    if depth == 4 or clusters > 1:
        levels.append(Fanout(name="Cluster", axes={"C": clusters}, multicast=multicast, reduce=reduce))
    levels.append(parts.buffer(params, "GLB", "buffer", "buffer_bandwidth"))
    axes = {"X": parts.count(params, "cols"), "Y": parts.count(params, "rows")}
    levels.append(Fanout(name="PE", axes=axes, multicast=multicast, reduce=reduce))
    if depth >= 3:
        levels.append(parts.buffer(params, "Reg", "registers"))
    levels.append(parts.arithmetic(params))
    return Architecture(name="spatial", clock_hz=parts.number(params, "clock"), levels=tuple(levels))


TEMPLATE = Template(
    name="spatial",
    summary="a memory hierarchy above a grid of processing elements",
    parameters=(
        Parameter(name="rows", kind="count", meaning="processing elements along Y", high=2**20),
        Parameter(name="cols", kind="count", meaning="processing elements along X", high=2**20),
        Parameter(
            name="levels",
            kind="count",
            meaning="memories: 2 is DRAM and buffer, 3 adds registers, 4 adds a buffer shared by clusters",
            default=3,
            low=2,
            high=4,
        ),
        Parameter(name="clusters", kind="count", meaning="copies of buffer and grid", default=1, high=2**20),
        Parameter(
            name="shared_buffer",
            kind="size",
            meaning="capacity of the buffer above the clusters (levels: 4)",
            default=Amount(Fraction(8 * 2**20)),
        ),
        Parameter(
            name="buffer",
            kind="size",
            meaning="capacity of the buffer",
            default=Amount(Fraction(8 * 128 * 2**10)),
        ),
        Parameter(
            name="registers",
            kind="size",
            meaning="capacity of the registers of one processing element",
            default=Amount(Fraction(8 * 64)),
            unlimited=False,
        ),
        parts.BANDWIDTH,
        Parameter(
            name="shared_bandwidth",
            kind="rate",
            meaning="of the shared buffer, reads and writes together",
            default=UNLIMITED,
        ),
        parts.BUFFER_BANDWIDTH,
        Parameter(
            name="multicast",
            kind="flag",
            meaning="one read serves every element that wants the word",
            default=True,
        ),
        Parameter(
            name="reduce",
            kind="flag",
            meaning="partial sums of the elements meet on the way up",
            default=True,
        ),
        parts.CLOCK,
        parts.BITS,
        parts.ARITHMETIC,
        parts.DRAM,
        parts.TECHNOLOGY,
    ),
    build=build,
    sources=("the machines of Timeloop and AccelForge: P. Kwon, A. Parashar et al., ISPASS 2019",),
)
