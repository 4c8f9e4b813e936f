"""Quantities with units, as YAML writes them, in einloom's base units: bits, Hz, pJ, um2, W, nm, s.

``parse(text, kind)`` raises `Invalid` with the units that are allowed. A capacity or a rate in words stays in words
(the level or the tensor says how wide a word is).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from einloom.spec.document import Invalid, show

_SIZES: dict[str, Fraction | int] = {
    "b": 1, "kb": 10**3, "Mb": 10**6, "Gb": 10**9, "Kib": 2**10, "Mib": 2**20, "Gib": 2**30,
    "B": 8, "kB": 8 * 10**3, "MB": 8 * 10**6, "GB": 8 * 10**9, "TB": 8 * 10**12,
    "KiB": 8 * 2**10, "MiB": 8 * 2**20, "GiB": 8 * 2**30, "TiB": 8 * 2**40,
}  # fmt: skip

_MILLI, _MICRO, _NANO, _PICO = (Fraction(1, 10**power) for power in (3, 6, 9, 12))

UNITS: dict[str, Mapping[str, Fraction | int]] = {
    "size": _SIZES,
    "frequency": {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9},
    "energy": {"fJ": Fraction(1, 1000), "pJ": 1, "nJ": 10**3, "uJ": 10**6, "mJ": 10**9, "J": 10**12},
    "area": {"um2": 1, "mm2": 10**6},
    "power": {"pW": _PICO, "nW": _NANO, "uW": _MICRO, "mW": _MILLI, "W": 1},
    "length": {"nm": 1, "um": 1000},
    "time": {"ps": _PICO, "ns": _NANO, "us": _MICRO, "ms": _MILLI, "s": 1},
}  # fmt: skip

EXAMPLES = {
    "size": "108 KiB", "frequency": "940 MHz", "energy": "0.1 pJ", "area": "1.5 mm2", "power": "2 mW",
    "length": "22 nm", "time": "10 ns", "rate": "16 words/cycle",
}  # fmt: skip

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf)\s*(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Rate:
    """A bandwidth before the clock is known: bits or words, per cycle or per second."""

    value: Fraction | float
    in_words: bool
    per_second: bool


def number_and_unit(text: Any, kind: str, units: str) -> tuple[Fraction | float, str]:
    """Split ``"108 KiB"``. The number is exact."""
    example = EXAMPLES[kind]
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise Invalid(f"{show(text)} is not a quantity", f"write a number and one of: {units} - for example: {example}")
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise Invalid(f"{show(text)} is not a quantity", f"write a number and one of: {units} - for example: {example}")
    digits, unit = match.groups()
    value: Fraction | float = math.inf if digits == "inf" else _exact(digits)
    return value, unit


def _exact(digits: str) -> Fraction:
    """The number as written; beyond 1e100 or a hundred digits it is no quantity of this world."""
    exponent = digits.lower().partition("e")[2] or "0"
    if len(digits) > 100 or len(exponent) > 4 or abs(int(exponent)) > 100:
        raise Invalid(f"{show(digits)} is out of range", "write a number between 1e-100 and 1e100")
    return Fraction(digits)


def parse(text: Any, kind: str) -> Fraction | float:
    """``text`` in the base unit of ``kind`` (a key of `UNITS`); an exact fraction, or ``inf``."""
    table = UNITS[kind]
    units = ", ".join(table)
    value, unit = number_and_unit(text, kind, units)
    if value == math.inf and not unit:
        return math.inf
    if not unit:
        hint = f"write a number and one of: {units} - for example: {EXAMPLES[kind]}"
        raise Invalid(f"{show(text)} has no unit", hint)
    if unit not in table:
        raise Invalid(f"{show(text)}: the unit '{unit}' is not known here",
                      f"write a number and one of: {units} - for example: {EXAMPLES[kind]}")  # fmt: skip
    return value * table[unit]


def parse_rate(text: Any) -> Rate:
    """``16 words/cycle``, ``32 B/cycle``, ``25.6 GB/s``, ``inf``."""
    units = "words/cycle, b/cycle, B/cycle, B/s, GB/s, GiB/s"
    value, unit = number_and_unit(text, "rate", units)
    if value == math.inf and not unit:
        return Rate(math.inf, in_words=False, per_second=False)
    amount, slash, per = (part.strip() for part in unit.partition("/"))
    if not slash or per not in ("cycle", "s") or (amount not in _SIZES and amount not in ("word", "words")):
        hint = f"write a number and one of: {units} - for example: 16 words/cycle"
        raise Invalid(f"{show(text)} is not a bandwidth", hint)
    if amount in ("word", "words"):
        return Rate(value, in_words=True, per_second=per == "s")
    return Rate(value * _SIZES[amount], in_words=False, per_second=per == "s")


def parse_capacity(text: Any) -> tuple[Fraction | float, bool]:
    """``128 KiB`` or ``131072 words``: the amount, and whether it is in words."""
    units = "words, " + ", ".join(_SIZES)
    value, unit = number_and_unit(text, "size", units)
    if unit in ("word", "words"):
        return value, True
    return parse(text, "size"), False


def parse_count(text: Any) -> Fraction:
    """A plain positive rational: ``16``, ``1.6``."""
    if isinstance(text, bool) or not isinstance(text, (int, float, str)):
        raise Invalid(f"{show(text)} is not a number", "write a number, for example 16 or 1.6")
    try:
        value = _exact(str(text)) if "/" not in str(text) else Fraction(str(text))
    except Invalid:
        raise
    except (ValueError, ZeroDivisionError):
        raise Invalid(f"{show(text)} is not a number", "write a number, for example 16 or 1.6") from None
    return value
