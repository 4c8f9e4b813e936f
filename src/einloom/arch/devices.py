"""FPGA devices: how many look-up tables, flip-flops, DSP blocks and memory blocks each has, with a source on every row.

The table is ``arch/components/devices.csv`` of the catalogue. An engine states the counts of a device as its budget;
a design that needs more of anything is not legal. What the table does not know is absent, never zero.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from einloom.arch.components import read_table
from einloom.catalogue import catalogue_root
from einloom.errors import SpecError

RESOURCES = ("dsp", "lut", "ff", "bram", "uram")
"""What a device counts, as metrics of a search name it."""


@dataclass(frozen=True, slots=True)
class Device:
    """One FPGA.

    Attributes:
        name: As in ``device: NAME``.
        part: The manufacturer's name of the chip.
        resources: Number of ``lut``, ``ff``, ``dsp``, ``bram`` (36 Kb) and ``uram`` (288 Kb) that there are; one that
            the source lacks is missing.
        memory_bytes_per_s: Peak bandwidth of the off-chip memory; None when unknown.
        memory: What that memory is, in words.
        technology_nm: Node of the process.
        note: Caveats; may be empty.
        source: Where the counts come from.
    """

    name: str
    part: str
    resources: Mapping[str, int]
    memory_bytes_per_s: float | None
    memory: str
    technology_nm: float
    note: str
    source: str


@functools.cache
def devices() -> Mapping[str, Device]:
    """Every device of the table by name, read once."""
    table = read_table(catalogue_root() / "arch" / "components" / "devices.csv")
    return MappingProxyType({cells["device"]: _device(cells) for cells in table})


def device(name: str) -> Device:
    """The device ``name``.

    Raises:
        SpecError: No device of that name; the hint lists all.
    """
    known = devices()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise SpecError(f"no device is named '{name}'", f"{hint}devices: {', '.join(known)}")


def _device(cells: Mapping[str, str]) -> Device:
    bandwidth = cells["memory_gb_s"]
    return Device(
        name=cells["device"],
        part=cells["part"],
        resources=MappingProxyType({name: int(cells[name]) for name in RESOURCES if cells[name]}),
        memory_bytes_per_s=float(bandwidth) * 1e9 if bandwidth else None,
        memory=cells["memory"],
        technology_nm=float(cells["technology_nm"]),
        note=cells["note"],
        source=cells["source"],
    )
