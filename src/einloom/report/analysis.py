"""An analysed workload as tables: ranks with their passes, what stays live, recurrences, traffic and its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from einloom.report.tables import Grid, number, scaled

if TYPE_CHECKING:
    from rich.console import RenderableType

BYTES = (("GiB", 8 * 2.0**30), ("MiB", 8 * 2.0**20), ("KiB", 8 * 2.0**10), ("B", 8.0))


def analysis_tables(result: Mapping[str, Any]) -> list[Grid]:
    """Tables of the JSON object of ``einloom analyze``: for each part its ranks, live elements and traffic."""
    found: list[Grid] = []
    for part in result["parts"]:
        several = len(result["parts"]) > 1
        name = f"{result['workload']}.{part['cascade']}" if several else str(result["workload"])
        copies = f" ({part['repeat']} copies; numbers are for one)" if part["repeat"] != 1 else ""
        found += [_ranks(part, name + copies), _live(part), _recurrences(part), _traffic(part)]
    return [grid for grid in found if grid.rows]


def analysis_table(result: Mapping[str, Any]) -> RenderableType:
    """The same for the command line."""
    from rich.console import Group  # noqa: PLC0415 - a page needs no rich

    return Group(*analysis_tables(result))


def _ranks(part: Mapping[str, Any], name: str) -> Grid:
    """One row a family: passes, who starts them, and what one fiber keeps live."""
    rows = []
    for rank in part["ranks"]:
        live = rank["footprint"] or {}
        starts = ", then ".join(", ".join(names) for names in rank["starts"].values())
        rows.append(
            (
                rank["rank"],
                ", ".join(rank["variables"]),
                "none" if rank["passes"] is None else str(rank["passes"]),
                starts if rank["passes"] is not None else rank["obstacle"],
                number(live.get("fiber_elements")),
                number(live.get("state_elements")),
                ", ".join(live.get("for_one_of", ())) or "-",
            )
        )
    header = ("rank", "variables", "passes", "started by", "fiber [elements]", "state [elements]", "for one of")
    return Grid(f"{name}: passes", header, tuple(rows), "; ".join(_rank_notes(part)))


def _rank_notes(part: Mapping[str, Any]) -> list[str]:
    notes = []
    for rank in part["ranks"]:
        for after, names in rank["sweeps"].items():
            notes.append(f"{', '.join(names)} sweep the summaries of {rank['rank']} after pass {after}")
        for tensor, variable in rank["aliases"]:
            notes.append(f"{tensor} is read along {rank['rank']} through {variable}: complete before that")
        if rank["lags"]:
            lags = ", ".join(f"{name} {lag}" for name, lag in rank["lags"].items())
            notes.append(f"steps of {rank['variables'][0]} behind the first: {lags}")
    return notes


def _live(part: Mapping[str, Any]) -> Grid:
    rows = [
        (
            rank["rank"], entry["tensor"], entry["kind"], number(entry["elements"]),
            str(entry["first"]) if entry["first"] == entry["last"] else f"{entry['first']} to {entry['last']}",
        )
        for rank in part["ranks"]
        if rank["footprint"]
        for entry in rank["footprint"]["live"]
    ]  # fmt: skip
    header = ("rank", "tensor", "live as", "size [elements]", "during traversal")
    return Grid("live while streaming", header, tuple(rows))


def _recurrences(part: Mapping[str, Any]) -> Grid:
    rows = [(r["variable"], ", ".join(r["einsums"]), str(r["lag"])) for r in part["recurrences"]]
    return Grid("recurrences", ("variable", "Einsums", "lag [steps]"), tuple(rows))


def _traffic(part: Mapping[str, Any]) -> Grid:
    bounds = part["io_bounds"]
    of_cascade = [bound for bound in bounds["bounds"] if bound["scope"] == "cascade"]
    unit, size = scaled([bound["bits"] for bound in of_cascade], BYTES)
    rows = [
        (
            bound["name"] + (f" ({', '.join(bound['einsums'])})" if bound["einsums"] else ""),
            number(bound["elements"]),
            number(bound["bits"] / size),
            "bound" if bound["strict"] else "order",
            bound["source"],
        )
        for bound in of_cascade
    ]
    header = ("traffic, at least", "elements", f"traffic [{unit}]", "is a", "source")
    return Grid(_traffic_title(bounds), header, tuple(rows), _traffic_note(part, unit, size))


def _traffic_title(bounds: Mapping[str, Any]) -> str:
    if bounds["capacity_bits"] is None:
        return "compulsory traffic (give --capacity for bounds that depend on it)"
    unit, size = scaled([bounds["capacity_bits"]], BYTES)
    return f"I/O lower bounds with {number(bounds['capacity_bits'] / size)} {unit} of fast memory"


def _traffic_note(part: Mapping[str, Any], unit: str, size: float) -> str:
    bounds = part["io_bounds"]
    intensity = number(part["operational_intensity"])
    least = f"{number(bounds['least_bits'] / size)} {unit}"
    separate = f"{number(bounds['separate_bits'] / size)} {unit}"
    operations = ", ".join(f"{name} {number(count)}" for name, count in part["operations"].items())
    return (
        f"at least {least} however it is fused, {separate} Einsum by Einsum; "
        f"intensity {intensity} operations/B of compulsory traffic; operations: {operations}"
    )
