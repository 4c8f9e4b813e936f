"""The ``tasks:`` table of an architecture: patterns, their phases, and what they take of the device.

    tasks:
      reconfigurable:                        # a pattern: sequential, dataflow, reconfigurable, or any name
        lanes: {core0: 16, core1: 16}        # multipliers of each core
        units: {softmax: 1}                  # what else takes DSP blocks
        memories: {score: {kind: uram, banks: 8, depth: 8192, bits: 64}}
        spills: [H2]                         # intermediates that go off chip and back
        phases:
          - einsums: [H1]                    # what the phase computes; each Einsum in exactly one phase
            fifos: {h: 2}                    # packets; `inf` is unbounded; the default is the template's `fifo`
            choices: {c: [8, 16]}            # open counts, which the mapper chooses
            tasks: {core0: 32 x mac 256, core1: 32 x mac 256}

Phases run one after the other; the tasks of a phase run together, and a phase ends when all of them have ended.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from einloom.arch.templates.fpga_dataflow.classes import CLASSES
from einloom.arch.templates.fpga_dataflow.compiling import Network
from einloom.arch.templates.fpga_dataflow.resources import UNITS, Array
from einloom.arch.templates.fpga_dataflow.text import Count, Sequence, parse_count, parse_task, ports
from einloom.errors import Path, Problem, SpecError

PATTERNS = ("sequential", "dataflow", "reconfigurable")
"""The usual names, in the order in which they are shown: one task after the other; all tasks at once; phases."""

_PATTERN_KEYS = ("lanes", "interval", "units", "memories", "spills", "phases")
_PHASE_KEYS = ("name", "einsums", "fifos", "choices", "tasks")


@dataclass(frozen=True, slots=True)
class Phase:
    """Tasks that run together.

    Attributes:
        name: Of the phase; empty where it is named after its last Einsum.
        einsums: What it computes; empty: everything.
        network: Tasks and FIFOs.
        choices: Values of open counts.
    """

    name: str
    einsums: tuple[str, ...]
    network: Network
    choices: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to run a whole cascade.

    Attributes:
        lanes: Multipliers by core.
        intervals: Of the loops of a core, where its multipliers are shared by several trips; else 1.
        units: How many of each of `UNITS`.
        memories: Arrays in block memory, by name.
        spills: Intermediates that leave the chip.
        phases: In order.
    """

    lanes: Mapping[str, Count]
    intervals: Mapping[str, int]
    units: Mapping[str, int]
    memories: Mapping[str, Array]
    spills: tuple[str, ...]
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a table; problems carry their place in it."""

    fifo: int | None
    problems: list[Problem]

    def pattern(self, data: Any, path: Path) -> Pattern | None:
        if not self._block(data, path, _PATTERN_KEYS, "a pattern"):
            return None
        phases = data.get("phases")
        if not isinstance(phases, list) or not phases:
            self._wrong("a pattern needs a list of phases", "add `phases:`, each with `tasks:`", path)
            return None
        found = [self._phase(phase, (*path, "phases", place)) for place, phase in enumerate(phases)]
        return Pattern(
            MappingProxyType(dict(self._counts(data.get("lanes", {}), (*path, "lanes")))),
            MappingProxyType(dict(self._whole(data.get("interval", {}), (*path, "interval"), "interval"))),
            MappingProxyType(dict(self._units(data.get("units", {}), (*path, "units")))),
            MappingProxyType(dict(self._memories(data.get("memories", {}), (*path, "memories")))),
            self._names(data.get("spills", []), (*path, "spills")),
            tuple(phase for phase in found if phase is not None),
        )

    def _phase(self, data: Any, path: Path) -> Phase | None:
        if not self._block(data, path, _PHASE_KEYS, "a phase"):
            return None
        given = data.get("tasks")
        if not isinstance(given, dict) or not given:
            self._wrong("a phase needs tasks", "add `tasks: {core0: 32 x mac 256}`", path)
            return None
        tasks: dict[str, Sequence] = {}
        for name, text in given.items():
            try:
                if not isinstance(text, str):
                    raise SpecError(f"{text!r} is no task", "write loops, for example `32 x mac 256`")
                tasks[str(name)] = parse_task(text, CLASSES)
            except SpecError as error:
                self.problems.extend(problem.below(*path, "tasks", name) for problem in error.problems)
        name = data.get("name", "")
        if not isinstance(name, str):
            self._wrong(f"{name!r} is not the name of a phase", "write one word", (*path, "name"))
            name = ""
        network = Network(MappingProxyType(tasks), MappingProxyType(self._fifos(tasks, data, path)))
        choices = MappingProxyType(dict(self._choices(data.get("choices", {}), (*path, "choices"))))
        return Phase(name, self._names(data.get("einsums", []), (*path, "einsums")), network, choices)

    def _fifos(self, tasks: Mapping[str, Sequence], data: Mapping[str, Any], path: Path) -> dict[str, int | None]:
        """Capacity of every FIFO that the tasks use; each has one writer and one reader."""
        reads: dict[str, list[str]] = {}
        writes: dict[str, list[str]] = {}
        for name, task in tasks.items():
            for found, where in zip(ports(task), (reads, writes), strict=True):
                for fifo in found:
                    where.setdefault(fifo, []).append(name)
        for fifo in sorted({*reads, *writes}):
            for where, verb in ((writes, "writes to"), (reads, "reads")):
                users = where.get(fifo, [])
                if len(users) != 1:
                    who = ", ".join(users) or "no task"
                    self._wrong(f"{who} {verb} FIFO '{fifo}'", "a FIFO has one writer and one reader", (*path, "tasks"))
        given = data.get("fifos", {})
        if not isinstance(given, dict):
            self._wrong(f"{given!r} is no block of FIFOs", "write `fifos: {h: 2}`", (*path, "fifos"))
            given = {}
        capacities: dict[str, int | None] = dict.fromkeys(sorted({*reads, *writes}), self.fifo)
        for fifo, depth in given.items():
            if fifo not in capacities:
                self._unknown(fifo, capacities, "FIFO of these tasks", (*path, "fifos", fifo))
            elif depth in ("inf", float("inf")):
                capacities[fifo] = None
            elif isinstance(depth, int) and not isinstance(depth, bool) and depth >= 1:
                capacities[fifo] = depth
            else:
                self._wrong(f"a FIFO cannot hold {depth!r} packets", "at least 1, or inf", (*path, "fifos", fifo))
        return capacities

    def _counts(self, data: Any, path: Path) -> Iterator[tuple[str, Count]]:
        for name, value in self._items(data, path, "lanes: {core0: 16}"):
            try:
                yield name, parse_count(value)
            except SpecError as error:
                self.problems.extend(problem.below(*path, name) for problem in error.problems)

    def _whole(self, data: Any, path: Path, what: str) -> Iterator[tuple[str, int]]:
        for name, value in self._items(data, path, f"{what}: {{core0: 1}}"):
            if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
                yield name, value
            else:
                self._wrong(f"{value!r} is out of range", "write a whole number, at least 1", (*path, name))

    def _units(self, data: Any, path: Path) -> Iterator[tuple[str, int]]:
        for name, value in self._whole(data, path, "units"):
            if name in UNITS:
                yield name, value
            else:
                self._unknown(name, UNITS, "unit", (*path, name))

    def _memories(self, data: Any, path: Path) -> Iterator[tuple[str, Array]]:
        for name, value in self._items(data, path, "memories: {x: {kind: uram, banks: 8, depth: 4096, bits: 72}}"):
            here = (*path, name)
            if not self._block(value, here, ("kind", "banks", "depth", "bits"), "a memory"):
                continue
            if value.get("kind") not in ("uram", "bram"):
                self._wrong(f"{value.get('kind')!r} is no kind of memory", "kinds: uram, bram", here)
                continue
            numbers = dict(self._whole({key: value.get(key) for key in ("banks", "depth", "bits")}, here, "memory"))
            if len(numbers) == 3:
                yield name, Array(value["kind"], **numbers)

    def _choices(self, data: Any, path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
        for name, values in self._items(data, path, "choices: {c: [8, 16]}"):
            whole = isinstance(values, list) and values and all(type(v) is int and v >= 1 for v in values)
            if whole:
                yield name, tuple(values)
            else:
                self._wrong(f"{values!r} are no values of a choice", "write whole numbers, [8, 16]", (*path, name))

    def _names(self, data: Any, path: Path) -> tuple[str, ...]:
        names = [data] if isinstance(data, str) else data
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
        self._wrong(f"{data!r} is not a list of Einsums", "write names in brackets, for example [Q, K]", path)
        return ()

    def _items(self, data: Any, path: Path, example: str) -> Iterator[tuple[str, Any]]:
        if isinstance(data, dict):
            yield from ((str(name), value) for name, value in data.items())
        else:
            self._wrong(f"{data!r} is no block of keys and values", f"write `{example}`", path)

    def _block(self, data: Any, path: Path, keys: tuple[str, ...], what: str) -> bool:
        if not isinstance(data, dict):
            self._wrong(f"{data!r} is not {what}", f"keys: {', '.join(keys)}", path)
            return False
        for key in data:
            if key not in keys:
                self._unknown(str(key), keys, f"key of {what}", (*path, key))
        return True

    def _unknown(self, name: str, known: Any, what: str, path: Path) -> None:
        close = difflib.get_close_matches(name, list(known), n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        self.problems.append(
            Problem(f"'{name}' is no {what}", f"{hint}known: {', '.join(known) or 'none'}", path, at_key=True)
        )

    def _wrong(self, message: str, hint: str, path: Path) -> None:
        self.problems.append(Problem(message, hint, path))


def read_tasks(table: Mapping[str, Any], fifo: int | None) -> Mapping[str, Pattern]:
    """The patterns of a table, by name.

    Args:
        table: As YAML gave it.
        fifo: Packets of a FIFO that states no depth.

    Raises:
        SpecError: With every problem of the table, each with its path below ``tasks``.
    """
    problems: list[Problem] = []
    reader = _Reader(fifo, problems)
    if not table:
        problems.append(Problem("there is no pattern", "add one: `dataflow: {phases: [...]}`", ("tasks",)))
    found = {str(name): reader.pattern(data, ("tasks", name)) for name, data in table.items()}
    if problems:
        raise SpecError(problems)
    return MappingProxyType({name: pattern for name, pattern in found.items() if pattern is not None})
