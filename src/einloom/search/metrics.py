"""Names of what a design costs, in any unit: ``energy_pj``, ``energy_uj``, ``area_mm2``, ``cycles``.

An evaluation gives *base metrics* (`BASE`); ``Metric.of`` converts them to the unit that a file, an axis or a
constraint asks for, and derives the energy-delay product and, where it is missing, the power.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from einloom.errors import Problem, SpecError


@dataclass(frozen=True, slots=True)
class Quantity:
    """One physical quantity.

    Attributes:
        stem: First part of its names, e.g. ``"energy"``.
        base: Key of the base metric, e.g. ``"energy_pj"``.
        label: For an axis.
        units: For each unit: its symbol, and the factor from the base as numerator and denominator.
        best: Direction in which it improves.
        of_design: The same for every workload of a design.
    """

    stem: str
    base: str
    label: str
    units: Mapping[str, tuple[str, int, int]]
    best: str = "min"
    of_design: bool = False


QUANTITIES = (
    Quantity("latency", "latency_s", "Latency",
             {"s": ("s", 1, 1), "ms": ("ms", 10**3, 1), "us": ("us", 10**6, 1), "ns": ("ns", 10**9, 1)}),
    Quantity("energy", "energy_pj", "Energy",
             {"j": ("J", 1, 10**12), "mj": ("mJ", 1, 10**9), "uj": ("uJ", 1, 10**6), "nj": ("nJ", 1, 10**3),
              "pj": ("pJ", 1, 1), "fj": ("fJ", 10**3, 1)}),
    Quantity("area", "area_um2", "Area", {"um2": ("um²", 1, 1), "mm2": ("mm²", 1, 10**6)}, of_design=True),
    Quantity("power", "power_w", "Power",
             {"w": ("W", 1, 1), "mw": ("mW", 10**3, 1), "uw": ("uW", 10**6, 1), "nw": ("nW", 10**9, 1)}),
    Quantity("edp", "edp_js", "Energy-delay product",
             {"js": ("J s", 1, 1), "mjs": ("mJ s", 10**3, 1), "ujs": ("uJ s", 10**6, 1),
              "njs": ("nJ s", 10**9, 1), "pjs": ("pJ s", 10**12, 1)}),
)  # fmt: skip

COUNTS: dict[str, tuple[str, str, bool]] = {
    "cycles": ("Latency", "min", False),
    "utilization": ("Utilization", "max", False),
    "operations": ("Operations", "min", False),
    "dsp": ("DSP slices", "min", True),
    "lut": ("LUTs", "min", True),
    "ff": ("Flip-flops", "min", True),
    "bram": ("Block RAMs", "min", True),
    "uram": ("UltraRAMs", "min", True),
}
"""Metrics without a unit: label, direction in which they improve, whether they belong to the design alone."""

BASE = (*(quantity.base for quantity in QUANTITIES), *COUNTS)
"""Keys of the base metrics."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric in one unit.

    Attributes:
        name: As it was asked for, e.g. ``"energy_uj"``.
        base: Key of the base metric.
        label: For an axis, e.g. ``"Energy"``.
        symbol: Unit for an axis, e.g. ``"uJ"``; empty for a plain number.
        numerator: A base value times this, divided by ``denominator``, is in the unit of ``name``.
        denominator: See ``numerator``.
        best: Direction in which the quantity improves.
        of_design: The same for every workload of a design.
    """

    name: str
    base: str
    label: str
    symbol: str = ""
    numerator: int = 1
    denominator: int = 1
    best: str = "min"
    of_design: bool = False

    @property
    def axis(self) -> str:
        """Quantity and unit, e.g. ``Energy [uJ]``."""
        return f"{self.label} [{self.symbol}]" if self.symbol else self.label

    def of(self, base: Mapping[str, float]) -> float:
        """The value in this unit; NaN where ``base`` has nothing to derive it from."""
        return base_value(base, self.base) * self.numerator / self.denominator


def _table() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for q in QUANTITIES:
        for unit, (symbol, up, down) in q.units.items():
            name = f"{q.stem}_{unit}"
            found[name] = Metric(name, q.base, q.label, symbol, up, down, q.best, q.of_design)
    for name, (label, best, of_design) in COUNTS.items():
        symbol = "cycles" if name == "cycles" else ""
        found[name] = Metric(name, name, label, symbol, best=best, of_design=of_design)
    return found


METRICS: dict[str, Metric] = _table()
"""Every metric that can be named."""

OF_DESIGN = frozenset(metric.base for metric in METRICS.values() if metric.of_design)
"""Base metrics that are the same for every workload of a design."""


def metric(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        SpecError: No such metric; the hint has the units of the quantity, or the metrics that there are.
    """
    if name in METRICS:
        return METRICS[name]
    raise SpecError(_unknown(name))


def _unknown(name: str) -> Problem:
    stem, _, unit = name.partition("_")
    for quantity in QUANTITIES:
        if quantity.stem == stem:
            names = ", ".join(f"{stem}_{known}" for known in quantity.units)
            message = f"'{name}': {stem} has no unit '{unit}'" if unit else f"'{name}' names no unit"
            return Problem(message, f"write one of: {names}", length=len(name))
    known = ", ".join((*(f"{q.stem}_{next(iter(q.units))}" for q in QUANTITIES), *COUNTS))
    close = difflib.get_close_matches(name, METRICS, n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    hint = f"{meant}metrics: {known}; each in any unit"
    return Problem(f"no metric is named '{name}'", hint, length=max(1, len(name)))


def base_value(base: Mapping[str, float], name: str) -> float:
    """A base metric, derived from the others where it follows from them; NaN where it does not."""
    if name in base:
        return float(base[name])
    energy_j, latency_s = base.get("energy_pj", math.nan) / 1e12, base.get("latency_s", math.nan)
    if name == "edp_js":
        return energy_j * latency_s
    if name == "power_w" and latency_s > 0:
        return energy_j / latency_s
    return math.nan
