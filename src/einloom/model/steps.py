"""Steps of an engine priced: every candidate at once, then the chosen one explained as an `EinsumResult`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from einloom.arch.engine import Array, Columns, Cost, Program, Step, Value
from einloom.arch.tree import Architecture, Memory
from einloom.errors import PluginError, code_of
from einloom.model.result import ComputeResult, EinsumResult, MemoryResult, Number, TensorCounts


@dataclass(frozen=True)
class Machine:
    """What pricing asks of an architecture, looked up once."""

    architecture: Architecture

    @cached_property
    def leakage_pj_per_cycle(self) -> float:
        return self.architecture.leakage_w() / self.architecture.clock_hz * 1e12

    @cached_property
    def memories(self) -> Mapping[str, Memory]:
        return {memory.name: memory for memory in self.architecture.memories()}

    @cached_property
    def instances(self) -> Mapping[str, int]:
        return {compute.name: self.architecture.instances(compute.name) for compute in self.architecture.computes()}

    @cached_property
    def budget(self) -> Mapping[str, float]:
        assert self.architecture.engine is not None
        return self.architecture.engine.budget


@dataclass(frozen=True)
class PricedStep:
    """One step on a machine, for some candidates. Arrays have shape ``(candidates,)``."""

    machine: Machine
    program: Program
    step: Step
    columns: Columns
    candidates: int

    @property
    def repeat(self) -> int:
        return 1 if self.step.once else self.program.repeat

    @cached_property
    def cost(self) -> Cost:
        with code_of(f"step '{self.step.name}' of {self.machine.architecture.origin}"):
            return self.step.cost(self.columns)

    def _column(self, values: Array | float) -> Array:
        column = np.asarray(values)
        return column if column.shape == (self.candidates,) else np.broadcast_to(column, (self.candidates,))

    def _sum(self, parts: Mapping[str, Array | float]) -> Array:
        return self._column(sum(parts.values(), start=np.zeros(self.candidates)))

    @cached_property
    def cycles(self) -> Array:
        for name, term in self.cost.cycles.items():
            if not (np.all(term >= 0) if isinstance(term, np.ndarray) else term >= 0):  # NaN included
                what = f"the law of step '{self.step.name}' gives a term '{name}' that is not at least 0"
                template = self.machine.architecture.template
                raise PluginError(what, f"report this to the author of the template '{template}'")
        return self._sum(self.cost.cycles)

    @cached_property
    def leakage_pj(self) -> Array:
        return self.machine.leakage_pj_per_cycle * self.cycles

    @cached_property
    def energy_pj(self) -> Array:
        return self._sum(self.cost.energy_pj) + self.leakage_pj

    def limits(self) -> Iterator[tuple[str, Array, float, str]]:
        """(what, needed, there is, unit) of everything that may not be exceeded."""
        for name, held in self.cost.held_bits.items():
            capacity = self.machine.memories[name].capacity
            if not capacity.in_words:
                yield name, self._column(held), float(capacity.value), "bits"
        for name, needed in self.cost.needs.items():
            if name in self.machine.budget:
                yield name, self._column(needed), self.machine.budget[name], name

    @cached_property
    def fits(self) -> Array:
        """Whether a candidate may be taken: nothing that it needs is exceeded. Shape ``(candidates,)``."""
        legal = self._column(True if self.cost.legal is None else self.cost.legal).astype(bool)
        for _, needed, limit, _ in self.limits():
            legal = legal & (needed <= limit)
        return legal

    def held(self, memory: str) -> Array:
        return self._column(self.cost.held_bits.get(memory, 0.0)).astype(float)

    def explained(self, index: int, chosen: Mapping[str, Value]) -> EinsumResult:
        """Candidate number ``index``, whose choices are ``chosen``."""
        cost, step = self.cost, self.step

        def at(values: Array | float) -> Number:
            """The candidate's value, an integer where it is one."""
            value = values if isinstance(values, int | float) else self._column(values)[index].item()
            return int(value) if float(value).is_integer() else float(value)

        busy = {name: at(cycles) for name, cycles in cost.busy.items()}
        if not busy:
            busy = {step.compute: at(cost.cycles.get("compute", self.cycles))}
        energy = {name: float(at(values)) for name, values in cost.energy_pj.items()}
        useful, instances = at(cost.useful), self.machine.instances[step.compute]
        shown = {"links", step.compute, *self.machine.memories}
        return EinsumResult(
            name=step.name,
            cycles=at(self.cycles),
            energy_pj=float(at(self.energy_pj)),
            binding=step.compute,
            mapping=(*(f"{name} = {value}" for name, value in chosen.items()), step.compute),
            memories=self._memories(at, busy, energy),
            computes={
                step.compute: ComputeResult(
                    self.program.operations(step.einsums), busy.get(step.compute, 0), energy.get(step.compute, 0.0),
                    instances, instances if useful else 0,
                )
            },
            links_energy_pj=energy.get("links", 0.0),
            leakage_pj=float(at(self.leakage_pj)),
            terms_cycles={name: at(term) for name, term in cost.cycles.items()},
            bound_by=max(busy, key=lambda name: busy[name]),
            useful_cycles=int(useful),
            repeat=self.repeat,
            notes=step.notes,
            events={name: at(count) for name, count in cost.events.items()},
            events_pj={name: pj for name, pj in energy.items() if name not in shown},
            resources={name: at(number) for name, number in cost.needs.items()},
        )  # fmt: skip

    def _memories(
        self, at: Callable[[Array | float], Number], busy: Mapping[str, Number], energy: Mapping[str, float]
    ) -> dict[str, MemoryResult]:
        """Memories that the step touches, outermost first."""
        tensors: dict[str, dict[str, TensorCounts]] = {}
        for (memory, tensor), words in self.cost.words.items():
            tensors.setdefault(memory, {})[tensor] = TensorCounts(at(words.reads), at(words.writes), 0, 0, 0, 0)
        touched = (tensors, busy, energy, self.cost.held_bits)
        return {
            name: MemoryResult(
                busy.get(name, 0), energy.get(name, 0.0), tensors.get(name, {}), at(self.cost.held_bits.get(name, 0)),
                _unit(level),
            )
            for name, level in self.machine.memories.items()
            if any(name in where for where in touched)
        }  # fmt: skip


def _unit(memory: Memory) -> str:
    return "words" if memory.capacity.in_words else "bits"
