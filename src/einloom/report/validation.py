"""The table of ``einloom validate``: published, ours, and the error of each figure, one table a design."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from einloom.report.tables import Grid

HEADER = ("case", "figure", "unit", "published", "ours", "error [%]", "class", "basis", "remark")
Row = Mapping[str, Any]
DIGITS, LARGE = 5, 15


def validation_tables(rows: Sequence[Row]) -> list[Grid]:
    """One table for each file that holds figures, from the plain data of `Validation.to_dict`."""
    files = dict.fromkeys(row["file"] for row in rows)
    return [_table(name, [row for row in rows if row["file"] == name]) for name in files]


def summary(rows: Sequence[Row]) -> str:
    """How many figures, how far off, how many cannot be checked or break their tolerance."""
    designs = len({row["design"] for row in rows})
    modelled = [row for row in rows if row["modelled"] is not None]
    parts = [f"{_count(len(rows), 'figure')} of {_count(designs, 'design')}", f"{len(modelled)} modelled"]
    for kind in dict.fromkeys(row["class"] for row in modelled):
        errors = [abs(row["error"]) for row in modelled if row["class"] == kind and row["error"] is not None]
        if errors:
            mean = math.fsum(errors) / len(errors)
            parts.append(f"{kind}: {len(errors)}, error {_percent(mean)} % mean, {_percent(max(errors))} % most")
    refused = sum(row["class"] == "not_checkable" for row in rows)
    failed = sum(row["problem"] is not None for row in rows)
    broken = sum(row["ok"] is False and row["problem"] is None for row in rows)
    parts += [f"{refused} not checkable"] if refused else []
    parts += [f"{failed} without a value"] if failed else []
    parts += [f"{broken} beyond the stated tolerance"] if broken else []
    return "; ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _table(name: str, rows: Sequence[Row]) -> Grid:
    cells = []
    last = ""
    for row in rows:
        case, last = ("" if row["case"] == last else row["case"]), row["case"]
        error = "" if row["error"] is None else _percent(row["error"])
        kind, basis = row["class"].replace("_", " "), row["basis"].partition(":")[0].strip()
        cells.append((case, row["figure"], row["unit"], _value(row["published"]), _value(row["modelled"]), error, kind,
                      "" if row["class"] == "not_checkable" else basis, _remark(row)))  # fmt: skip
    sources = dict.fromkeys(row["title"] or row["source"] for row in rows)
    return Grid(name, HEADER, tuple(cells), "; ".join(sources))


def _remark(row: Row) -> str:
    """Why there is no value, what is beyond its tolerance, or which constant is calibrated."""
    if row["problem"]:
        return f"no value: {row['problem']}"
    if row["ok"] is False:
        return f"beyond {100 * row['tolerance']:g} %"
    return str(row["reason"] or row["basis"].partition(":")[2].strip())


def _value(value: Any) -> str:
    """Whole numbers in full, others to five digits; a range by its ends; nothing for none."""
    if value is None:
        return ""
    if isinstance(value, Sequence):
        return " to ".join(map(_value, value))
    if isinstance(value, int):
        return f"{value:,}"
    if 10**DIGITS <= abs(value) < 10**LARGE:
        return f"{value:,.0f}"
    return f"{value:.{DIGITS}g}"


def _percent(share: float) -> str:
    """Three digits; what is only rounding of floating-point numbers is 0."""
    if abs(share) < 1e-12:
        return "0"
    return f"{100 * share:.3g}"
