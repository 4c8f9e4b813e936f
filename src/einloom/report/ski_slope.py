"""The ski slope: traffic against the size of the buffer, with what no mapping can avoid. First data, then drawing.

Sizes and traffic are in bytes on both axes. What is drawn as a bound is a theorem; orders of magnitude are not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from einloom.model.ski_slope import SkiSlope
from einloom.report.figures import GREY, check_output, new_figure, save, styled, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BYTE = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the figure.

    Attributes:
        label: As in the legend.
        style: Of `matplotlib`: dash, and a marker where mappings were found.
        colour: Of `matplotlib`.
        points: (buffer in B, traffic in B), from the smallest buffer on.
    """

    label: str
    style: str
    colour: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class SlopeData:
    """Everything that the figure shows: its lines, the achievable one first where there is one."""

    lines: tuple[Line, ...]


def slope_data(slope: SkiSlope) -> SlopeData:
    """The lines of a ski slope; one that would lie on another is left out."""

    def line(label: str, style: str, colour: str, name: str) -> Line:
        found = ((float(point.capacity_bits) / BYTE, getattr(point, name)) for point in slope.points)
        return Line(label, style, colour, tuple((x, y / BYTE) for x, y in found if y is not None))

    one = slope.einsums == 1
    lines = [
        line("best mapping" if one else "best mappings, one by one", "-o", "C0", "achieved_bits"),
        line("I/O lower bound" if one else "lower bound, fused", "--", "C1", "bound_bits"),
        line("compulsory", ":", GREY, "compulsory_bits"),
    ]
    if not one:
        lines.insert(1, line("lower bound, one by one", "-.", "C2", "separate_bound_bits"))
    return SlopeData(tuple(found for found in lines if found.points))


def draw_ski_slope(data: SlopeData, ax: Axes) -> None:
    """Draw the lines; call it inside `einloom.report.figures.styled`."""
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("Buffer [B]")
    ax.set_ylabel("Traffic of the outer memory [B]")
    for found in data.lines:
        xs, ys = zip(*found.points, strict=True)
        ax.plot(xs, ys, found.style, color=found.colour, markersize=3, linewidth=1.0, label=found.label)
    ax.legend(frameon=False)


def plot_ski_slope(slope: SkiSlope, output: Path = Path("slope.pdf")) -> tuple[Path, Path]:
    """Draw a ski slope for a paper, and write its data beside it.

    Args:
        slope: The curve.
        output: Ends in ``.pdf``, ``.svg`` or ``.png``.

    Returns:
        The figure and the table (CSV) of its points.

    Raises:
        SpecError: Unknown suffix, or a file that cannot be written.
    """
    check_output(output)
    data = slope_data(slope)
    with styled():
        figure, ax = new_figure()
        draw_ski_slope(data, ax)
        save(figure, output)
    table = output.with_suffix(".csv")
    write_csv(table, *slope_rows(slope))
    return output, table


def slope_rows(slope: SkiSlope) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the figure's data, in bytes; an empty cell where no mapping fits."""
    header = ["buffer_bytes", "compulsory_bytes", "bound_bytes", "separate_bound_bytes", "best_bytes", "gap"]
    rows: list[list[object]] = []
    for point in slope.points:
        traffic = point.compulsory_bits, point.bound_bits, point.separate_bound_bits, point.achieved_bits
        cells = ["" if bits is None else repr(bits / BYTE) for bits in traffic]
        rows.append([repr(float(point.capacity_bits) / BYTE), *cells, "" if point.gap is None else repr(point.gap)])
    return header, rows
