"""Steps of an engine priced: every candidate at once, then the chosen one explained as an `EinsumResult`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from einloom.arch.engine import Array, Columns, Cost, Program, Step, Value
from einloom.arch.tree import Architecture, Memory
from einloom.errors import PluginError, code_of
from einloom.model.result import ComputeResult, EinsumResult, MemoryResult, Number, TensorCounts


@dataclass(frozen=True)
class PricedStep:
    """One step on an architecture, for some candidates. Arrays have shape ``(candidates,)``."""

    architecture: Architecture
    program: Program
    step: Step
    columns: Columns
    candidates: int

    @cached_property
    def cost(self) -> Cost:
        with code_of(f"step '{self.step.name}' of {self.architecture.origin}"):
            return self.step.cost(self.columns)

    def _column(self, values: Array | float) -> Array:
        return np.broadcast_to(np.asarray(values), (self.candidates,))

    def _sum(self, parts: Mapping[str, Array | float]) -> Array:
        return self._column(sum((np.asarray(part) for part in parts.values()), start=np.zeros(self.candidates)))

    @cached_property
    def cycles(self) -> Array:
        for name, term in self.cost.cycles.items():
            if not np.all(np.asarray(term) >= 0):  # NaN included
                what = f"the law of step '{self.step.name}' gives a term '{name}' that is not at least 0"
                raise PluginError(what, f"report this to the author of the template '{self.architecture.template}'")
        return self._sum(self.cost.cycles)

    @cached_property
    def leakage_pj(self) -> Array:
        leaked: Array = self.architecture.leakage_w() * (self.cycles / self.architecture.clock_hz) * 1e12
        return leaked

    @cached_property
    def energy_pj(self) -> Array:
        return self._sum(self.cost.energy_pj) + self.leakage_pj

    def limits(self) -> Iterator[tuple[str, Array, float, str]]:
        """(what, needed, there is, unit) of everything that may not be exceeded."""
        memories = {memory.name: memory for memory in self.architecture.memories()}
        for name, held in self.cost.held_bits.items():
            capacity = memories[name].capacity
            if not capacity.in_words:
                yield name, self._column(held), float(capacity.value), "bits"
        assert self.architecture.engine is not None
        for name, needed in self.cost.needs.items():
            if name in self.architecture.engine.budget:
                yield name, self._column(needed), self.architecture.engine.budget[name], name

    @cached_property
    def fits(self) -> Array:
        """Whether a candidate may be taken: nothing that it needs is exceeded. Shape ``(candidates,)``."""
        legal = self._column(True if self.cost.legal is None else self.cost.legal).astype(bool)
        for _, needed, limit, _ in self.limits():
            legal = legal & (needed <= limit)
        return legal

    def held(self, memory: str) -> Array:
        return self._column(self.cost.held_bits.get(memory, 0.0)).astype(float)

    def explained(self, index: int, chosen: Mapping[str, Value], repeat: int) -> EinsumResult:
        """Candidate number ``index``, whose choices are ``chosen``."""
        cost, step = self.cost, self.step

        def at(values: Array | float) -> Number:
            value = self._column(values)[index].item()
            return int(value) if float(value).is_integer() else float(value)

        busy = {name: at(cycles) for name, cycles in cost.busy.items()}
        if not busy:
            busy = {step.compute: at(cost.cycles.get("compute", self.cycles))}
        parts = {level.name for level in self.architecture.parts()}
        energy = {name: float(at(values)) for name, values in cost.energy_pj.items()}
        return EinsumResult(
            name=step.name,
            cycles=at(self.cycles),
            energy_pj=float(at(self.energy_pj)),
            binding=step.compute,
            mapping=(*(f"{name} = {value}" for name, value in chosen.items()), step.compute),
            memories=self._memories(index, busy, energy),
            computes={
                step.compute: ComputeResult(
                    self.program.operations(step.einsums),
                    busy.get(step.compute, 0),
                    energy.get(step.compute, 0.0),
                    self.architecture.instances(step.compute),
                    self.architecture.instances(step.compute) if at(cost.useful) else 0,
                )
            },
            links_energy_pj=energy.get("links", 0.0),
            leakage_pj=float(at(self.leakage_pj)),
            terms_cycles={name: at(term) for name, term in cost.cycles.items()},
            bound_by=max(busy, key=lambda name: busy[name]),
            useful_cycles=int(at(cost.useful)),
            repeat=1 if step.once else repeat,
            notes=step.notes,
            events={name: at(count) for name, count in cost.events.items()},
            events_pj={name: pj for name, pj in energy.items() if name not in parts and name != "links"},
            resources={name: at(number) for name, number in cost.needs.items()},
        )

    def _memories(self, index: int, busy: Mapping[str, Number], energy: Mapping[str, float]) -> dict[str, MemoryResult]:
        """Memories that the step touches, outermost first."""
        tensors: dict[str, dict[str, TensorCounts]] = {}
        for (memory, tensor), words in self.cost.words.items():
            reads, writes = (_number(self._column(values)[index]) for values in (words.reads, words.writes))
            tensors.setdefault(memory, {})[tensor] = TensorCounts(reads, writes, 0, 0, 0, 0)
        found: dict[str, MemoryResult] = {}
        for level in self.architecture.memories():
            touched = (tensors, busy, energy, self.cost.held_bits)
            if any(level.name in where for where in touched):
                held = _number(self._column(self.cost.held_bits.get(level.name, 0))[index])
                found[level.name] = MemoryResult(
                    busy.get(level.name, 0), energy.get(level.name, 0.0), tensors.get(level.name, {}), held,
                    _unit(level),
                )  # fmt: skip
        return found


def _unit(memory: Memory) -> str:
    return "words" if memory.capacity.in_words else "bits"


def _number(value: object) -> Number:
    number = float(value)  # type: ignore[arg-type]
    return int(number) if number.is_integer() else number
