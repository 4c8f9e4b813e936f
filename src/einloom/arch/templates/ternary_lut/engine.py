"""The engine: which unit runs which Einsum, and the steps that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from einloom.arch.engine import Columns, Cost, Engine, Program, Step, Value
from einloom.arch.templates.cascade_steps import Crossing, Group, crossings, groups, readers
from einloom.arch.templates.routing import Routing


class Unit(Protocol):
    """A part of the machine that runs groups."""

    @property
    def compute(self) -> str: ...
    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]: ...
    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost: ...


@dataclass(frozen=True, slots=True)
class LookupEngine(Engine):
    """Table lookup with its units.

    Attributes:
        routing: Which unit runs which product.
        units: By ``projection``, ``wide``, ``attention``, ``streams``; pairs, so that it hashes.
    """

    routing: Routing
    units: tuple[tuple[str, Unit], ...]

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        """One step for each run of a unit, with the streams beside it."""
        self.routing.check(program)
        units = dict(self.units)
        found, read_by = [], readers(program)
        for group in groups(program, self.routing.unit):
            unit = units[group.unit]
            crossing = crossings(group, read_by)
            found.append(
                Step(
                    name=group.name,
                    einsums=group.names,
                    compute=unit.compute,
                    cost=partial(unit.cost, group, crossing),
                    choices=unit.choices(group),
                    notes=tuple(n for e in group.einsums for n in getattr(e, "notes", ())),
                )
            )
        return found
