"""The engine: which unit runs which Einsum, and the steps that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from einloom.arch.engine import Columns, Contraction, Cost, Engine, Program, ProgramEinsum, Step, Value
from einloom.arch.templates.cascade_steps import Crossing, Group, crossings, groups, readers
from einloom.errors import MappingError


class Unit(Protocol):
    """A part of the machine that runs groups."""

    @property
    def compute(self) -> str: ...
    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]: ...
    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost: ...


@dataclass(frozen=True, slots=True)
class Routing:
    """Which unit runs a product.

    Attributes:
        below_bits: Weights of fewer bits are narrow: they run as projections (2 for ternary weights).
        up_to: Whether weights of exactly that many are too.
        named: Weights that are narrow whatever their bits.
        wide: Whether some unit runs wider weights.
    """

    below_bits: float
    up_to: bool
    named: frozenset[str]
    wide: bool

    def unit(self, einsum: ProgramEinsum, product: Contraction) -> str:
        """``projection``, ``wide`` or ``attention``.

        Raises:
            MappingError: Weights too wide for the machine.
        """
        if not product.given:
            return "attention"
        bits = float(product.weights.bits)
        narrow = bits < self.below_bits or (self.up_to and bits == self.below_bits)
        if narrow or product.weights.tensor in self.named:
            return "projection"
        if self.wide:
            return "wide"
        most = f"{'at most' if self.up_to else 'less than'} {self.below_bits:g} bits"
        what = f"{einsum.name}: weights {product.weights.tensor} have {bits:g} bits, this machine takes {most}"
        hint = "give them fewer in `bits:`, name them in `ternary:`, or let `wide:` say what runs them"
        raise MappingError(what, hint)


@dataclass(frozen=True, slots=True)
class LookupEngine(Engine):
    """Table lookup with its units.

    Attributes:
        routing: Which unit runs which product.
        units: By ``projection``, ``wide``, ``attention``, ``streams``; pairs, so that it hashes.
        limits: Resources of the device; pairs.
    """

    routing: Routing
    units: tuple[tuple[str, Unit], ...]
    limits: tuple[tuple[str, float], ...] = ()

    @property
    def budget(self) -> Mapping[str, float]:
        return dict(self.limits)

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        """One step for each run of a unit, with the streams beside it."""
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
