"""The component library: energies and areas with a source on every row.

The tables are CSV files in ``arch/components/`` of the catalogue. Laws: an SRAM interpolates log-log over
capacity (its energy is proportional to the word); registers and DRAM are priced per bit; an operator that a
part has no unit for runs as a sequence of multiply-accumulates. A part of one technology node is moved to
another by the tables of Stillmaker and Baas (2017), at the supply voltage of its source, log-log between
their nodes. Outside a table there is no value: a lookup fails with a message. The exceptions: SRAM
capacities up to a factor of `REACH` beyond the last row, where the law of the nearest segment still holds,
and SRAM area above the last row, which grows in proportion (more banks).
"""

from __future__ import annotations

import csv
import difflib
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from einloom.catalogue import catalogue_root
from einloom.errors import SpecError

REACH = 4.0
"""How far beyond the smallest and the largest row an SRAM law is followed."""

NOMINAL_V = 0.9
"""Supply voltage at which a row without one is scaled (45 nm and 40 nm high performance: 0.9 V)."""

SMALLEST_SRAM_BITS = 8 * 2048
"""Below this, a memory without `component:` is made of registers: the smallest SRAM of the table is 2 KiB."""


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """A memory as the library prices it.

    Attributes:
        word_bits: Bits of one access; 1 when no word was asked for (every law is proportional to the word).
        read_energy_pj, write_energy_pj: Of one access, pJ.
        area_um2: Of one instance; None when the component has no area in the table.
        source: Where the values come from.
    """

    word_bits: Fraction
    read_energy_pj: float
    write_energy_pj: float
    area_um2: float | None
    source: str


@dataclass(frozen=True, slots=True)
class ComputePart:
    """A compute as the library prices it: energies (pJ) and cycles by operator, and its area."""

    energy_pj: Mapping[str, float]
    cycles: Mapping[str, int]
    area_um2: float
    source: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. Empty cells are None."""

    component: str
    key: str
    cells: Mapping[str, str]
    source: str

    def number(self, column: str) -> float | None:
        text = self.cells.get(column, "")
        return float(text) if text else None


@dataclass(frozen=True, slots=True)
class Node:
    """One technology node: area relative to 45 nm, and energy as a polynomial of the supply voltage."""

    nm: float
    area: float
    energy: tuple[float, float, float]

    def energy_at(self, volt: float) -> float:
        a, b, c = self.energy
        return a * volt * volt + b * volt + c


@dataclass(frozen=True)
class Library:
    """All tables.

    Attributes:
        memory: Rows by component.
        compute: Rows by component.
        operators: ``(base, steps)`` of each operator that a part without a unit for it can run.
        nodes: Technology nodes, largest first.
    """

    memory: Mapping[str, tuple[Row, ...]]
    compute: Mapping[str, tuple[Row, ...]]
    operators: Mapping[str, tuple[str, int]]
    nodes: tuple[Node, ...]

    def memory_part(
        self,
        component: str,
        capacity_bits: float,
        word_bits: Fraction | None = None,
        technology_nm: float | None = None,
    ) -> MemoryPart:
        """The memory ``component`` of that capacity and word, at a technology node (None: its source's).

        Raises:
            SpecError: Unknown component, a capacity outside its table, or a node outside the table.
        """
        rows = self._rows(self.memory, component, "memory")
        if rows[0].key == "per_bit":
            return self._per_bit(rows[0], capacity_bits, word_bits, technology_nm)
        return self._by_size(rows, capacity_bits, word_bits, technology_nm)

    def compute_part(self, component: str, technology_nm: float | None = None) -> ComputePart:
        """The compute ``component`` with every operator that it can run.

        Raises:
            SpecError: Unknown component, or a node outside the table.
        """
        rows = self._rows(self.compute, component, "compute")
        energy: dict[str, float] = {}
        cycles: dict[str, int] = {}
        area = 0.0
        for row in rows:
            energy[row.key] = (row.number("energy_pj") or 0.0) * self._energy_factor(row, technology_nm)
            cycles[row.key] = int(row.number("cycles") or 1)
            area += (row.number("area_um2") or 0.0) * self._area_factor(row, technology_nm)
        for operator, (base, steps) in self.operators.items():
            parts = base.split("+")
            if operator not in energy and all(part in energy for part in parts):
                energy[operator] = steps * sum(energy[part] for part in parts)
                cycles[operator] = steps
        node = "" if technology_nm is None else f" at {technology_nm:g} nm"
        source = f"{component}{node}: {_sources(rows)}"
        return ComputePart(MappingProxyType(energy), MappingProxyType(cycles), area, source)

    def listing(self) -> tuple[tuple[str, str, str], ...]:
        """Every component as (kind, name, where its values come from)."""
        tables = (("memory", self.memory), ("compute", self.compute))
        return tuple((kind, name, _sources(rows)) for kind, table in tables for name, rows in table.items())

    def default_memory(self, capacity_bits: float) -> str | None:
        """What a memory without ``component:`` is made of; None when it is unbounded."""
        if math.isinf(capacity_bits):
            return None
        return "sram" if capacity_bits >= SMALLEST_SRAM_BITS else "register"

    def _rows(self, table: Mapping[str, tuple[Row, ...]], component: str, kind: str) -> tuple[Row, ...]:
        if component in table:
            return table[component]
        close = difflib.get_close_matches(component, table, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise SpecError(
            f"no {kind} component is named '{component}'", f"{hint}components: {', '.join(table)}"
        )

    def _per_bit(
        self, row: Row, capacity_bits: float, word_bits: Fraction | None, technology_nm: float | None
    ) -> MemoryPart:
        word = Fraction(1) if word_bits is None else word_bits
        energy = self._energy_factor(row, technology_nm) * float(word)
        area = row.number("area_um2")
        if area:
            if math.isinf(capacity_bits):
                raise SpecError(
                    f"'{row.component}' has no area without a capacity", "add `capacity:` or `area:`"
                )
            area *= capacity_bits * self._area_factor(row, technology_nm)
        read, write = row.number("read_pj") or 0.0, row.number("write_pj") or 0.0
        return MemoryPart(word, read * energy, write * energy, area, f"{row.component}: {row.source}")

    def _by_size(
        self,
        rows: Sequence[Row],
        capacity_bits: float,
        word_bits: Fraction | None,
        technology_nm: float | None,
    ) -> MemoryPart:
        component = rows[0].component
        if math.isinf(capacity_bits):
            raise SpecError(
                f"'{component}' needs a capacity", "add `capacity:`, for example `capacity: 108 KiB`"
            )
        priced = [row for row in rows if row.cells["read_pj"]]
        native = Fraction(priced[0].cells["word_bits"])
        word = Fraction(1) if word_bits is None else word_bits
        scale = self._energy_factor(priced[0], technology_nm) * float(word / native)
        read = _interpolate(_points(priced, "read_pj"), capacity_bits, component)
        write = _interpolate(_points(priced, "write_pj"), capacity_bits, component)
        sized = [row for row in rows if row.cells["area_um2"]]
        points = _points(sized, "area_um2")
        if capacity_bits > points[-1][0]:
            area = points[-1][1] * capacity_bits / points[-1][0]
        else:
            area = _interpolate(points, capacity_bits, component)
        area *= self._area_factor(sized[0], technology_nm)
        return MemoryPart(word, read * scale, write * scale, area, f"{component}: {_sources(rows)}")

    def _energy_factor(self, row: Row, technology_nm: float | None) -> float:
        """Energy at a node relative to the row's own, at the row's supply voltage."""
        own = row.number("technology_nm")
        if technology_nm is None or own is None or own == technology_nm:
            return 1.0
        volt = row.number("voltage_v") or NOMINAL_V
        points = [(node.nm, node.energy_at(volt)) for node in reversed(self.nodes)]
        return self._at_node(points, technology_nm) / self._at_node(points, own)

    def _area_factor(self, row: Row, technology_nm: float | None) -> float:
        own = row.number("technology_nm")
        if technology_nm is None or own is None or own == technology_nm:
            return 1.0
        points = [(node.nm, node.area) for node in reversed(self.nodes)]
        return self._at_node(points, technology_nm) / self._at_node(points, own)

    def _at_node(self, points: Sequence[tuple[float, float]], nm: float) -> float:
        if not points[0][0] <= nm <= points[-1][0]:
            low, high = points[0][0], points[-1][0]
            raise SpecError(
                f"no scaling is known for {nm:g} nm",
                f"the table of Stillmaker and Baas (2017) reaches from {low:g} nm to {high:g} nm",
            )
        return _log_log(points, nm)


def _points(rows: Iterable[Row], column: str) -> list[tuple[float, float]]:
    return sorted((float(row.cells["capacity_bits"]), float(row.cells[column])) for row in rows)


def _interpolate(points: Sequence[tuple[float, float]], bits: float, component: str) -> float:
    low, high = points[0][0] / REACH, points[-1][0] * REACH
    if not low <= bits <= high:
        raise SpecError(
            f"a capacity of {_size_text(bits)} is outside the table of '{component}'",
            f"it reaches from {_size_text(low)} to {_size_text(high)}; or give it energies and `area:`",
        )
    return _log_log(points, bits)


def _size_text(bits: float) -> str:
    unit, name = next(
        ((u, n) for u, n in ((2**33, "GiB"), (2**23, "MiB"), (2**13, "KiB")) if bits >= u), (8, "B")
    )
    return f"{bits / unit:.6g} {name}"


def _log_log(points: Sequence[tuple[float, float]], x: float) -> float:
    """Power law through the two points around ``x`` (beyond the ends: through the two nearest)."""
    for px, py in points:
        if px == x:
            return py
    at = next((i for i in range(1, len(points) - 1) if x < points[i][0]), len(points) - 1)
    (x0, y0), (x1, y1) = points[at - 1], points[at]
    slope = math.log(y1 / y0) / math.log(x1 / x0)
    return y0 * math.exp(slope * math.log(x / x0))


def _sources(rows: Iterable[Row]) -> str:
    return "; ".join(dict.fromkeys(row.source for row in rows))


def read_table(file: Path) -> list[dict[str, str]]:
    """The lines of a CSV file by column; lines that start with ``#`` are comments.

    Raises:
        SpecError: A line has no source, or another number of cells than the header.
    """
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    table = list(csv.DictReader(lines))
    for number, cells in enumerate(table, 2):
        if None in cells or None in cells.values():
            raise SpecError(f"{file.name}: data line {number} has not as many cells as the header")
        if not cells.get("source"):
            raise SpecError(
                f"{file.name}: data line {number} has no source", "every constant has its source beside it"
            )
    return table


def _by_component(table: Iterable[dict[str, str]], key: str) -> Mapping[str, tuple[Row, ...]]:
    grouped: dict[str, list[Row]] = {}
    for cells in table:
        row = Row(cells["component"], cells[key], MappingProxyType(cells), cells["source"])
        grouped.setdefault(row.component, []).append(row)
    return MappingProxyType({name: tuple(rows) for name, rows in grouped.items()})


@functools.cache
def library() -> Library:
    """The tables that ship with einloom, read once."""
    folder = catalogue_root() / "arch" / "components"
    operators = {
        cells["operator"]: (cells["base"], int(cells["steps"]))
        for cells in read_table(folder / "operators.csv")
    }
    nodes = [
        Node(
            float(cells["technology_nm"]),
            float(cells["area"]),
            (float(cells["energy_a"]), float(cells["energy_b"]), float(cells["energy_c"])),
        )
        for cells in read_table(folder / "scaling.csv")
    ]
    return Library(
        _by_component(read_table(folder / "memory.csv"), "law"),
        _by_component(read_table(folder / "compute.csv"), "operator"),
        MappingProxyType(operators),
        tuple(sorted(nodes, key=lambda node: -node.nm)),
    )
