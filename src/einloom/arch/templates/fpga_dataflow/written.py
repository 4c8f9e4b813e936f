"""Tasks that the design writes out: the phases of one pattern of its table, timed and priced."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from einloom.arch.engine import Array, Columns, Cost, Laws, Program, ProgramEinsum, Step
from einloom.arch.templates.fpga_dataflow.classes import LoopClass
from einloom.arch.templates.fpga_dataflow.compiling import Timing, timing_of
from einloom.arch.templates.fpga_dataflow.laws import PhaseWork
from einloom.arch.templates.fpga_dataflow.machine import LANES, OFF_CHIP, ON_CHIP, Machine
from einloom.arch.templates.fpga_dataflow.resources import UNITS, lane_dsp, logic
from einloom.arch.templates.fpga_dataflow.table import Pattern, Phase, read_tasks
from einloom.arch.templates.fpga_dataflow.text import evaluate
from einloom.arch.templates.fpga_dataflow.traffic import operations_of, traffic_of
from einloom.errors import MappingError, SpecError


@functools.lru_cache(maxsize=256)
def patterns_of(table: str, fifo: int | None) -> Mapping[str, Pattern]:
    """The patterns of a table that was checked before, from its text."""
    return read_tasks(json.loads(table), fifo)


@functools.lru_cache(maxsize=4096)
def _timed(
    table: str, fifo: int | None, pattern: str, phase: int, names: tuple[tuple[str, int], ...],
    kinds: tuple[tuple[str, LoopClass], ...],
) -> Timing:  # fmt: skip
    network = patterns_of(table, fifo)[pattern].phases[phase].network
    return timing_of(network, dict(kinds), dict(names))


@dataclass(frozen=True, slots=True)
class Written:
    """The phases of one pattern of a table.

    Attributes:
        machine, laws: Of the architecture.
        kinds: Kinds of loops, with the machine's access costs.
        table, fifo: The table as text, and packets of a FIFO that states no depth.
        program: What is run.
        name: Of the pattern.
    """

    machine: Machine
    laws: Laws[PhaseWork]
    kinds: tuple[tuple[str, LoopClass], ...]
    table: str
    fifo: int | None
    program: Program
    name: str

    @property
    def pattern(self) -> Pattern:
        return patterns_of(self.table, self.fifo)[self.name]

    def steps(self) -> list[Step]:
        self._check()
        return [self._step(place, phase) for place, phase in enumerate(self.pattern.phases)]

    def _check(self) -> None:
        """Every Einsum in exactly one phase."""
        phases, known = self.pattern.phases, [einsum.name for einsum in self.program.einsums]
        if len(phases) == 1 and not phases[0].einsums:
            return
        named = [name for phase in phases for name in phase.einsums]
        for name in named:
            if name not in known:
                raise MappingError(
                    f"pattern {self.name}: a phase computes '{name}', which is no Einsum of {self.program.name}",
                    f"Einsums: {', '.join(known)}",
                )
        twice = [name for name in known if named.count(name) > 1]
        missing = [name for name in known if name not in named]
        if twice or missing:
            what = f"Einsum {twice[0]} is in several phases" if twice else f"Einsum {missing[0]} is in no phase"
            raise MappingError(f"pattern {self.name}: {what}", "every Einsum is in exactly one phase (`einsums:`)")

    def _step(self, place: int, phase: Phase) -> Step:
        names = phase.einsums or tuple(
            einsum.name for einsum in self.program.einsums if len(self.pattern.phases) == 1
        )
        einsums = [einsum for einsum in self.program.einsums if einsum.name in names]
        name = einsums[-1].name if einsums else phase.name or f"phase{place + 1}"

        def cost(columns: Columns) -> Cost:
            return self._cost(place, einsums, columns, phase)

        return Step(name=name, einsums=tuple(names), compute=LANES, cost=cost, choices=dict(phase.choices))

    def _ranks(self) -> dict[str, int]:
        """Ranks by name; one that has two sizes in the cascade has none here."""
        sizes: dict[str, set[int]] = {}
        for einsum in self.program.einsums:
            for variable, extent in einsum.extents.items():
                sizes.setdefault(variable.upper(), set()).add(extent)
        found = {name: next(iter(extents)) for name, extents in sizes.items() if len(extents) == 1}
        return {**found, "lanes": self.machine.lanes}

    def _cost(self, place: int, einsums: Sequence[ProgramEinsum], columns: Columns, phase: Phase) -> Cost:
        count = len(next(iter(columns.values()), np.zeros(1)))
        ranks = self._ranks()
        rows: list[tuple[Timing, int, int]] = []
        try:
            for at in range(count):
                names = {**ranks, **{name: int(column[at]) for name, column in columns.items()}}
                rows.append((self._timing(place, names), *self._lanes(names)))
        except SpecError as error:
            where = f"pattern {self.name}, phase {place + 1}"
            said = [replace(problem, message=f"{where}: {problem.message}") for problem in error.problems]
            raise MappingError(said) from error
        timings = [timing for timing, _, _ in rows]
        lanes, dsp = (np.array([row[i] for row in rows], dtype=float) for i in (1, 2))
        work = PhaseWork(
            np.array([float(timing.trips) for timing in timings]),
            np.array([float(timing.filled) for timing in timings]),
            np.array([float(timing.cycles) for timing in timings]),
            np.zeros(count),
        )
        macs = sum(einsum.operations().get("mac", 0) for einsum in einsums)
        machine = self.machine
        cycles = self.laws.of(work)
        moved = traffic_of(einsums, self.pattern.spills, self.machine, on_chip=True)
        reads = float(sum(einsum.size(a) for einsum in einsums for a in einsum.accesses[1:]))
        energy = {
            LANES: machine.arithmetic_pj(operations_of(einsums)),
            ON_CHIP: (2 * macs if macs else reads) * machine.bits * machine.on_chip_pj,
            OFF_CHIP: moved.energy_pj,
        }
        packets = np.array([sum(t.packets.values()) for t in timings])
        return Cost(
            cycles=cycles, useful=float(macs), busy={LANES: work.trips}, energy_pj=energy, words=moved.words,
            events={"packets": packets, "trips": work.trips}, needs=self._needs(lanes, dsp),
            legal=(macs <= lanes * sum(cycles.values())) & (lanes <= machine.lanes),
            forbidden=f"the tasks of pattern {self.name}, phase {place + 1} have no lanes and cycles for {macs:,} "
            f"multiply-adds, or more lanes than the {machine.lanes} of the machine",
        )  # fmt: skip

    def _timing(self, place: int, names: Mapping[str, int]) -> Timing:
        used = tuple(sorted(names.items()))
        return _timed(self.table, self.fifo, self.name, place, used, self.kinds)

    def _lanes(self, names: Mapping[str, int]) -> tuple[int, int]:
        """Lanes of all cores, and DSP blocks of lanes and units."""
        lanes = {core: evaluate(count, names) for core, count in self.pattern.lanes.items()}
        one, intervals = self.machine.lane_dsp, self.pattern.intervals
        dsp = sum(lane_dsp(many, intervals.get(core, 1), one) for core, many in lanes.items())
        return sum(lanes.values()), dsp + sum(UNITS[unit] * many for unit, many in self.pattern.units.items())

    def _needs(self, lanes: Array, dsp: Array) -> dict[str, Array | float]:
        platform = dict(self.machine.platform)
        blocks = {kind: sum(m.blocks() for m in self.pattern.memories.values() if m.kind == kind)
                  for kind in ("bram", "uram")}  # fmt: skip
        base = logic(0, platform)
        slope = logic(1000, platform)
        return {
            "dsp": dsp,
            **{name: base[name] + (slope[name] - base[name]) / 1000 * lanes for name in ("lut", "ff")},
            "bram": blocks["bram"] + platform.get("bram", 0),
            "uram": blocks["uram"],
        }
