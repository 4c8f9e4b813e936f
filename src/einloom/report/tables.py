"""Tables for the command line: units in the headers, one unit a column, numbers to four digits.

``einloom.report.html`` shows the same tables on a page; each is first a `Grid`, plain text that both render.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from einloom.search.objectives import Objective
from einloom.search.result import StudyResult

if TYPE_CHECKING:
    from rich.console import RenderableType

    from einloom.search.study import DryRun

ENERGY = (("J", 1e12), ("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3), ("pJ", 1.0))
LATENCY = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
AREA = (("mm²", 1e6), ("um²", 1.0))
SHOWN = 20
"""Rows of a front that fit on a screen."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text.

    Attributes:
        title: What it shows; may be empty.
        header: One entry a column, with its unit in brackets.
        rows: Cells, as many as the header has.
        note: Said below; may be empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __rich__(self) -> RenderableType:
        """For `rich`: numbers to the right, words to the left."""
        from rich import box  # noqa: PLC0415 - a page needs no rich
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(title=self.title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for index, name in enumerate(self.header):
            numeric = all(is_number(row[index]) for row in self.rows)
            table.add_column(Text(name), justify="right" if numeric and self.rows else "left")
        for row in self.rows:
            table.add_row(*map(Text, row))
        if self.note:
            table.caption, table.caption_justify = Text(self.note), "left"
        return table


def is_number(text: str) -> bool:
    """Whether a cell is a number or a gap, and so stands on the right."""
    return text in ("", "-") or text.replace(",", "").replace("%", "").lstrip("-")[:1].isdigit()


def number(value: float | None, digits: int = 4) -> str:
    """A number to some digits; whole numbers in full, in groups of three; ``-`` for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, int) or (abs(value) >= 10**digits and value == int(value)):
        return f"{int(value):,}"
    return f"{value:.{digits}g}" if abs(value) < 1e6 else f"{value:.{digits - 1}e}"


def scaled(values: Iterable[float | None], units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """The unit, with its size, in which the largest value is at least 1; the smallest unit if none is."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    return next(((unit, size) for unit, size in units if largest >= size), units[-1])


def _in(value: float | None, size: float) -> str:
    return number(None if value is None else value / size)


def study_table(result: StudyResult, rows: int = SHOWN) -> Grid:
    """The front of a study: its parameters and objectives."""
    targets, dimensions = result.plan.targets, result.plan.space.dimensions
    always = [dimension.path for dimension in dimensions if not dimension.when]
    sometimes = _short([dimension.path for dimension in dimensions if dimension.when])
    header = ["trial", *_short(always), *(["where they count"] if sometimes else []), *map(_column, targets)]
    names = dict(zip((dimension.path for dimension in dimensions if dimension.when), sometimes, strict=True))
    body = [
        (
            str(trial.number),
            *(_value(trial.params[path]) for path in always),
            *([", ".join(f"{names[p]} {_value(v)}" for p, v in trial.params.items() if p in names)] if names else []),
            *(number(trial.objectives[target.name]) for target in targets),
        )
        for trial in result.front[:rows]
    ]
    counts = ", ".join(f"{count} {state}" for state, count in result.counts().items() if count)
    more = f"; {len(result.front) - rows} more designs of the front not shown" if len(result.front) > rows else ""
    done = (
        f"{len(result.trials)} of {result.plan.total} trials" if not result.complete else f"{len(result.trials)} trials"
    )
    title = f"{result.plan.name}: Pareto front, {len(result.front)} designs"
    return Grid(title, tuple(header), tuple(body), f"{done}: {counts or 'none yet'}{more}")


def _column(target: Objective) -> str:
    """``latency [s]``; ``bert_base: energy [uJ]`` for one network."""
    return target.axis.replace(target.metric.label, target.metric.label[0].lower() + target.metric.label[1:])


def _short(paths: Sequence[str]) -> list[str]:
    """Paths by their last part, where that tells them apart."""
    last = [path.rpartition(".")[2] for path in paths]
    return [tail if last.count(tail) == 1 else path for path, tail in zip(paths, last, strict=True)]


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return number(value) if isinstance(value, float) else str(value)


def dry_run_table(dry: DryRun) -> Grid:
    """What a study would try, and how long it would take."""
    rows = [(dim.path, dim.describe(), _size(dim.size)) for dim in dry.plan.space.dimensions]
    size = dry.plan.space.size
    points = "infinitely many points" if size is None else f"{size:,} points"
    sample = f"; the sample {dry.sample.state}: {dry.sample.reason}" if dry.sample.reason else ""
    note = (
        f"{points}; {dry.trials:,} trials with {dry.plan.sampler.name}, seed {dry.plan.sampler.seed}; "
        f"{number(dry.seconds_per_trial)} s a trial, about {_duration(dry.seconds)} with {dry.workers} "
        f"worker{'s' if dry.workers > 1 else ''}{sample}"
    )
    return Grid(f"{dry.plan.name}: nothing is run", ("parameter", "values", "count"), tuple(rows), note)


def _size(size: float) -> str:
    return "infinite" if math.isinf(size) else f"{int(size):,}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{number(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def evaluation_tables(result: Mapping[str, Any]) -> list[Grid]:
    """An evaluated design (the JSON object of ``evaluate`` and ``map``): totals, Einsums, memories, the search."""
    searched = {name: entry for name, entry in result.get("einsums", {}).items() if entry.get("search")}
    reused = {name: entry["reuse"] for name, entry in result.get("einsums", {}).items() if entry.get("reuse")}
    return [
        _totals(result), _einsums(result), _memories(result), *([_reuse(reused)] if reused else []),
        *([_searches(searched)] if searched else []),
    ]  # fmt: skip


def evaluation_table(result: Mapping[str, Any]) -> RenderableType:
    """The same for the command line."""
    from rich.console import Group  # noqa: PLC0415 - a page needs no rich

    return Group(*evaluation_tables(result))


def _totals(result: Mapping[str, Any]) -> Grid:
    seconds, energy, area = result.get("latency_s"), result.get("energy_pj"), result.get("area_um2")
    time_unit, time_size = scaled([seconds], LATENCY)
    energy_unit, energy_size = scaled([energy], ENERGY)
    area_unit, area_size = scaled([area], AREA)
    used = ", ".join(f"{name} {_percent(share)}" for name, share in result.get("utilization", {}).items())
    rows = [
        ("latency [cycles]", number(result.get("cycles"))),
        (f"latency [{time_unit}]", _in(seconds, time_size)),
        (f"energy [{energy_unit}]", _in(energy, energy_size)),
        (f"area [{area_unit}]", "unknown" if area is None else _in(area, area_size)),
        ("operations", number(result.get("operations"))),
        ("utilization", used or "-"),
        ("bound by", str(result.get("bound_by") or "-")),
    ]
    if result.get("resources"):
        rows.append(("resources", ", ".join(f"{name} {number(n)}" for name, n in result["resources"].items())))
    if result.get("proof"):
        rows.append(("proof", f"{_proof(result)} in {result['space']}" if result.get("space") else _proof(result)))
    if result.get("repeat", 1) != 1:
        rows.append(("repeat", f"{result['repeat']} (totals are for all, Einsums for one)"))
    return Grid(str(result.get("design", "")), ("", "total"), tuple(rows))


def _einsums(result: Mapping[str, Any]) -> Grid:
    einsums: Mapping[str, Any] = result.get("einsums", {})
    unit, size = scaled((entry.get("energy_pj") for entry in einsums.values()), ENERGY)
    rows = tuple(
        (
            name,
            str(entry.get("binding") or "-"),
            number(entry.get("cycles")),
            _in(entry.get("energy_pj"), size),
            _percent(entry["utilization"]),
            entry["bound_by"],
        )
        for name, entry in einsums.items()
    )
    header = ("Einsum", "compute", "latency [cycles]", f"energy [{unit}]", "utilization [%]", "bound by")
    notes = [f"{name}: {note}" for name, entry in einsums.items() for note in entry.get("notes", ())]
    return Grid("", header, rows, "; ".join(notes))


def _memories(result: Mapping[str, Any]) -> Grid:
    """Words and energy of each memory, over all Einsums (each once, not by its repeat count)."""
    sums: dict[str, dict[str, float]] = {}
    for entry in result.get("einsums", {}).values():
        for name, memory in entry.get("memories", {}).items():
            total = sums.setdefault(name, {"busy_cycles": 0, "energy_pj": 0, "reads": 0, "writes": 0})
            total["busy_cycles"] += memory.get("busy_cycles", 0)
            total["energy_pj"] += memory.get("energy_pj", 0)
            for tensor in memory.get("tensors", {}).values():
                total["reads"] += tensor.get("reads", 0)
                total["writes"] += tensor.get("writes", 0)
    unit, size = scaled((total["energy_pj"] for total in sums.values()), ENERGY)
    rows = tuple(
        (
            name,
            number(total["reads"]),
            number(total["writes"]),
            number(total["busy_cycles"]),
            _in(total["energy_pj"], size),
        )
        for name, total in sums.items()
    )
    header = ("memory", "reads [elements]", "writes [elements]", "busy [cycles]", f"energy [{unit}]")
    return Grid("", header, rows)


def _reuse(einsums: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Grid:
    """Operations per element that the outer two memories exchange with what is below them, tensor by tensor."""
    memories = list(dict.fromkeys(memory for reuse in einsums.values() for memory in list(reuse)[:2]))
    rows = tuple(
        (name, *(", ".join(f"{tensor} {number(each)}" for tensor, each in reuse.get(m, {}).items()) for m in memories))
        for name, reuse in einsums.items()
    )
    return Grid("", ("Einsum", *(f"{memory} reuse [operations/element]" for memory in memories)), rows)


def _searches(einsums: Mapping[str, Mapping[str, Any]]) -> Grid:
    """How each mapping was found: its proof, the space, the distance to what nothing avoids, what it uses up."""
    rows = tuple(
        (
            name,
            _proof(entry),
            _large(entry["search"]["candidates"]),
            _large(entry["search"]["costed"]),
            _percent(entry["search"]["distance"]),
            ", ".join(_limit(limit) for limit in entry["search"]["binds"]),
        )
        for name, entry in einsums.items()
    )
    by_space: dict[str, list[str]] = {}
    for name, entry in einsums.items():
        by_space.setdefault(entry.get("space") or "", []).append(name)
    usual = max(by_space, key=lambda space: len(by_space[space]))
    others = (f"of {', '.join(names)}: {space}" for space, names in by_space.items() if space != usual)
    note = "; ".join([f"map space: {usual}", *others])
    header = ("Einsum", "proof", "candidates", "costed", "above compulsory [%]", "what binds")
    return Grid("", header, rows, note)


def _proof(entry: Mapping[str, Any]) -> str:
    return f"gap {_percent(entry.get('gap') or 0.0)}" if entry["proof"] == "gap" else str(entry["proof"])


def _limit(limit: Mapping[str, Any]) -> str:
    """One resource that is used up: how much of it, where that is not all."""
    text = f"{limit['where']} {limit['what']}"
    if limit["what"] == "capacity":
        unit, size = ("KiB", 8192) if limit["unit"] == "bits" and limit["limit"] >= 8192 else (limit["unit"], 1)
        return f"{text} {number(limit['used'] / size)}/{number(limit['limit'] / size)} {unit}"
    return f"{text} {limit['used']}/{limit['limit']}" if limit["what"] == "fanout" else text


def _large(count: int) -> str:
    """A count in full up to seven digits, else its leading ones: spaces may have hundreds."""
    digits = str(count)
    return f"{count:,}" if len(digits) < 8 else f"{digits[0]}.{digits[1]}e{len(digits) - 1}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


def front_table(front: Sequence[Mapping[str, Any]]) -> Grid:
    """The front of ``map --objective pareto``, one mapping of the design a row."""
    energy_unit, energy = scaled([point["energy_pj"] for point in front], ENERGY)
    latency_unit, latency = scaled([point["latency_s"] for point in front], LATENCY)
    held = [point["occupancy"] for point in front if point.get("occupancy")]
    rows = [
        (
            f"{point['cycles']:,}",
            _in(point["latency_s"], latency),
            _in(point["energy_pj"], energy),
            *([number(point["occupancy"]["used"])] if held else []),
            point["bound_by"],
            _proof(point) if point.get("proof") else "-",
        )
        for point in front
    ]
    occupancy = [f"{held[0]['memory']} [{held[0]['unit']}]"] if held else []
    header = ("cycles", f"latency [{latency_unit}]", f"energy [{energy_unit}]", *occupancy, "bound by", "proof")
    title = f"Latency-energy-occupancy front of {held[0]['memory']}" if held else "Latency-energy front"
    spaces = dict.fromkeys(point["space"] for point in front if point.get("space"))
    return Grid(title, header, tuple(rows), f"map space: {'; '.join(spaces)}" if spaces else "")
