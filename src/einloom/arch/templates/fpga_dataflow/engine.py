"""The engine: a cascade as phases of tasks, written out in the design or derived from its Einsums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from einloom.arch.engine import Cost, Engine, Laws, Program, Step, Value
from einloom.arch.templates.fpga_dataflow.classes import CLASSES, LoopClass
from einloom.arch.templates.fpga_dataflow.laws import LAWS, PhaseWork
from einloom.arch.templates.fpga_dataflow.machine import LANES, Machine
from einloom.arch.templates.fpga_dataflow.priced import dataflow, one_by_one
from einloom.arch.templates.fpga_dataflow.table import PATTERNS
from einloom.arch.templates.fpga_dataflow.written import Written, patterns_of


@dataclass(frozen=True, slots=True)
class FpgaEngine(Engine):
    """Runs phases of concurrent tasks.

    Attributes:
        machine: The FPGA.
        patterns: Patterns that the mapper may choose, where tasks are derived.
        table: Text (JSON) of the tasks that the design gives; empty: they are derived.
        fifo: Packets of a FIFO that states no depth.
        kinds: Kinds of loops, with the machine's own access costs.
        without: Terms that are switched off.
    """

    machine: Machine
    patterns: tuple[str, ...] = PATTERNS
    table: str = ""
    fifo: int | None = 2
    kinds: tuple[tuple[str, LoopClass], ...] = tuple(CLASSES.items())
    without: tuple[str, ...] = ()

    @property
    def laws(self) -> Laws[PhaseWork]:
        return LAWS.without(self.without)

    @property
    def budget(self) -> Mapping[str, float]:
        return dict(self.machine.budget)

    def shared(self, program: Program) -> Mapping[str, tuple[Value, ...]]:
        names = tuple(patterns_of(self.table, self.fifo)) if self.table else self.patterns
        return {"pattern": names}

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        pattern = str(shared["pattern"])
        if self.table:
            steps = Written(self.machine, self.laws, self.kinds, self.table, self.fifo, program, pattern).steps()
        elif pattern == "dataflow":
            steps = [dataflow(self.machine, self.laws, program)]
        else:
            steps = one_by_one(self.machine, self.laws, program, pattern == "reconfigurable")
        return [*_start_up(self.machine), *steps]


def _start_up(machine: Machine) -> list[Step]:
    """Cycles of every call: of the kernel, and of the host that launches it."""
    cycles = {"start_up": float(machine.start_up), "launch": machine.launch}
    if not any(cycles.values()):
        return []
    return [Step(name="start_up", einsums=(), compute=LANES, cost=lambda _: Cost(cycles=cycles, useful=0))]
