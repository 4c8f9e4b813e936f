"""What on-chip work costs in a fabric: standard cells, or the logic of an FPGA (``arch/components/fabric.csv``)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from einloom.arch.components import read_table
from einloom.catalogue import catalogue_root

FABRICS = ("fpga", "asic")


@functools.cache
def _dynamic_power() -> Mapping[str, float]:
    table = read_table(catalogue_root() / "arch" / "components" / "fabric.csv")
    return MappingProxyType({cells["fabric"]: float(cells["dynamic_power"]) for cells in table})


def dynamic_power(fabric: str) -> float:
    """Dynamic power of the same work relative to standard cells: 14 for an FPGA (Kuon and Rose, TCAD 2007).

    Example:
        >>> dynamic_power("asic")
        1.0
    """
    return _dynamic_power()[fabric]
