"""The machine as the fusion search sees it: an outermost memory, a shared buffer, and units below the buffer.

A unit is one way from the buffer to a compute: at most one fanout, at most one memory below it (registers). Machines of
another shape are not fused on; they are mapped Einsum by Einsum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einloom.arch.rules import EinsumRules
from einloom.arch.timing import TimingLaw
from einloom.arch.tree import UNLIMITED, Architecture, Compute, Fanout, Level, Memory
from einloom.model.structure import applies
from einloom.workloads.sized import SizedEinsum


@dataclass(frozen=True, eq=False)
class Unit:
    """One compute with what lies between it and the buffer.

    Attributes:
        fanout: None: a single instance.
        registers: The memory below the fanout; None: operands come from the buffer.
        compute: What executes.
    """

    fanout: Fanout | None
    registers: Memory | None
    compute: Compute

    @property
    def name(self) -> str:
        return self.compute.name

    @property
    def axes(self) -> Mapping[str, int]:
        return self.fanout.axes if self.fanout is not None else {}

    def able(self, einsum: SizedEinsum) -> bool:
        """Whether the compute can cost every operator."""
        return all(self.compute.operator_energy_pj(operator) is not None for operator in einsum.operations())

    def multicasts(self, einsum: SizedEinsum, tensor: str) -> bool:
        return self.fanout is not None and applies(self.fanout.multicast, einsum, tensor)

    def reduces(self, einsum: SizedEinsum, tensor: str) -> bool:
        return self.fanout is not None and applies(self.fanout.reduce, einsum, tensor)

    def register_choices(self, einsum: SizedEinsum, rules: EinsumRules) -> tuple[frozenset[str], frozenset[str]]:
        """(tensors that the registers must, and may, hold)."""
        if self.registers is None:
            return frozenset(), frozenset()
        holding = rules.holding(self.registers.name)
        every = frozenset(access.tensor for access in einsum.accesses)
        return holding.must, every if holding.may is None else holding.may


@dataclass(frozen=True)
class Machine:
    """An architecture that the fusion search knows.

    Attributes:
        architecture: The whole.
        outer: The outermost memory.
        buffer: The memory that the units share.
        units: In the order of the architecture.
    """

    architecture: Architecture
    outer: Memory
    buffer: Memory
    units: tuple[Unit, ...]


def machine_of(architecture: Architecture) -> Machine | str:
    """The machine, or why the fusion search does not know it."""
    if type(architecture.timing) is not TimingLaw or architecture.template:
        return f"the timing law of the template '{architecture.template}' is that of single Einsums"
    paths = architecture.paths()
    short = any(len(path) < 3 or not isinstance(path[1], Memory) for path in paths)
    if short or len({path[1].name for path in paths}) > 1:
        return "there is no buffer right below the outermost memory that all computes share"
    outer, buffer = paths[0][0], paths[0][1]
    assert isinstance(outer, Memory)
    assert isinstance(buffer, Memory)
    units = []
    for path in paths:
        unit = _unit(path[2:])
        if unit is None:
            names = ", ".join(level.name for level in path[2:])
            return f"between {buffer.name} and {path[-1].name} stand more than one fanout over one memory: {names}"
        units.append(unit)
    if outer.capacity != UNLIMITED or any(level.capacity.in_words for level in architecture.memories()):
        return "a capacity is in words, or that of the outermost memory is limited"
    return Machine(architecture, outer, buffer, tuple(units))


def _unit(levels: tuple[Level, ...]) -> Unit | None:
    *inner, compute = levels
    assert isinstance(compute, Compute)
    kinds = [type(level) for level in inner]
    if kinds == []:
        return Unit(None, None, compute)
    if kinds == [Fanout] and isinstance(inner[0], Fanout):
        return Unit(inner[0], None, compute)
    if kinds == [Fanout, Memory] and isinstance(inner[0], Fanout) and isinstance(inner[1], Memory):
        return Unit(inner[0], inner[1], compute)
    if kinds == [Memory] and isinstance(inner[0], Memory):
        return Unit(None, inner[0], compute)
    return None
