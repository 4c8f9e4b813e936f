"""Published areas and powers of bit-weight arrays by clock; between two clocks the straight line, outside an error."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from einloom.arch.components import read_table
from einloom.catalogue import catalogue_root
from einloom.errors import SpecError

VARIANTS = ("mac", "opt1", "opt2", "opt4c")
ARRAYS = ("systolic_os", "systolic_ws", "matrix", "cube", "adder_tree", "columns")


@dataclass(frozen=True, slots=True)
class Synthesis:
    """One synthesized array at one clock.

    Attributes:
        rows, cols: Its shape; a cube of ``rows`` has as many layers; ``matrix`` is one element, ``columns`` one column.
        cell_um2, total_um2: Area of the cells, and with the interconnect of the nets; None where not published.
        power_mw: None where not published.
        fails_mhz: Clock from which timing is known to be violated; 0 where none was tried.
    """

    variant: str
    array: str
    rows: int
    cols: int
    mhz: float
    cell_um2: float | None
    total_um2: float | None
    power_mw: float | None
    fails_mhz: float
    source: str


@functools.cache
def syntheses() -> tuple[Synthesis, ...]:
    """Every row of the table, as published."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    return tuple(
        Synthesis(
            row["variant"], row["array"], int(row["rows"]), int(row["cols"]), float(row["mhz"]),
            number(row["cell_um2"]), number(row["total_um2"]), number(row["mw"]), number(row["fails_mhz"]) or 0.0,
            row["source"],
        )
        for row in read_table(catalogue_root() / "arch" / "components" / "bitweight.csv")
    )  # fmt: skip


def published(variant: str, array: str, rows: int, cols: int) -> tuple[Synthesis, ...]:
    """Rows of the table for an array, by clock, from the nearest published shape.

    An array of another size than a published one is priced by the number of its elements, from the largest published
    one that is not larger, else from the smallest.

    Raises:
        SpecError: Nobody published that variant on that array.
    """
    found = [row for row in syntheses() if (row.variant, row.array) == (variant, array)]
    if not found:
        pairs = sorted({(row.array, row.variant) for row in syntheses() if row.variant == variant})
        hint = f"published for {variant}: {', '.join(name for name, _ in pairs)}"
        raise SpecError(f"no area or power is published of variant '{variant}' on array '{array}'", hint, ("array",))
    shapes = sorted({(row.rows, row.cols) for row in found})
    fitting = [shape for shape in shapes if shape[0] <= rows and shape[1] <= cols]
    shape = fitting[-1] if fitting else shapes[0]
    return tuple(sorted((row for row in found if (row.rows, row.cols) == shape), key=lambda row: row.mhz))


def at_clock(rows: Sequence[Synthesis], mhz: float) -> Synthesis:
    """The array at a clock: a published row, or the straight line between the two around it.

    Raises:
        SpecError: The clock is outside what was synthesized.
    """
    low, high = rows[0], rows[-1]
    if not low.mhz - 1e-9 <= mhz <= high.mhz + 1e-9:
        fails = f"; its timing is violated from {low.fails_mhz:g} MHz" if low.fails_mhz else ""
        one = {"matrix": "one element", "columns": f"a column of {low.cols}"}
        what = one.get(low.array, f"{low.rows} x {low.cols}")
        at = f"at {low.mhz:g} MHz" if low is high else f"from {low.mhz:g} to {high.mhz:g} MHz"
        raise SpecError(
            f"{mhz:.10g} MHz is outside what is published of variant '{low.variant}' on array '{low.array}'",
            f"{what} was synthesized {at}{fails}", ("clock",),
        )  # fmt: skip
    for before, after in itertools.pairwise(rows):
        if before.mhz <= mhz <= after.mhz:
            share = (mhz - before.mhz) / (after.mhz - before.mhz)

            def between(one: float | None, other: float | None, share: float = share) -> float | None:
                return None if one is None or other is None else one + share * (other - one)

            return replace(
                before, mhz=mhz,
                cell_um2=between(before.cell_um2, after.cell_um2),
                total_um2=between(before.total_um2, after.total_um2),
                power_mw=between(before.power_mw, after.power_mw),
            )  # fmt: skip
    return low
