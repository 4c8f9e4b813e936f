"""The architecture tree: memories, fanouts and computes, outermost first, with branches.

Base units: bits, cycles, picojoules, square micrometres, watts, hertz. Conversions happen where YAML is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from einloom.arch.engine import Engine
from einloom.arch.rules import Einsum, EinsumRules, MappingRules
from einloom.arch.timing import TimingLaw
from einloom.errors import SpecError, code_of

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T", float, "np.ndarray[Any, Any]")

Share = bool | frozenset[str]
"""All tensors, none, or exactly these."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A capacity or a rate (per cycle).

    Attributes:
        value: Bits; or elements of whatever tensor is stored or moved, when
        in_words: the level leaves the width to the tensor (a rate: only where it has no ``word_bits``).
    """

    value: Fraction | float
    in_words: bool = False

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise SpecError(f"must be above 0, got {self.value}")

    def in_bits(self, word_bits: Fraction | int) -> Amount:
        """The same amount in bits, for words of ``word_bits``."""
        return Amount(self.value * word_bits) if self.in_words else self


UNLIMITED = Amount(math.inf)

HOLDS_HINT = "`holds` means exactly these; `must_hold` at least, `may_hold` at most: keep one kind"
PORTS_HINT = "`bandwidth` is one shared port; `read_bandwidth`, `write_bandwidth` are two: keep one kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One storage level.

    Attributes:
        name: Unique within the architecture, e.g. ``"GLB"``.
        capacity: Of one instance.
        word_bits: Bits moved by one access (energies are per access); None: as wide as the tensor's element.
        read_energy_pj: Energy of reading one word, pJ.
        write_energy_pj: Energy of writing one word, pJ.
        drain_energy_pj: Energy of reading one word that leaves for the next holder out, pJ; None: as any read.
        bandwidth: Reads and writes together, per cycle and instance; or
        read_bandwidth, write_bandwidth: one port each.
        holds: Exactly these tensors or roles; None: free.
        must_hold, may_hold: At least / at most these; None: free.
        double_buffered: True, or the tensors whose tiles count twice.
        area_um2: Of one instance; None when unknown.
        leakage_w: Of one instance.
        source: Where energies and area come from, when a component library gave them.
    """

    name: str
    capacity: Amount = UNLIMITED
    word_bits: Fraction | None = None
    read_energy_pj: float = 0.0
    write_energy_pj: float = 0.0
    bandwidth: Amount = UNLIMITED
    read_bandwidth: Amount = UNLIMITED
    write_bandwidth: Amount = UNLIMITED
    holds: tuple[str, ...] | None = None
    must_hold: tuple[str, ...] | None = None
    may_hold: tuple[str, ...] | None = None
    double_buffered: Share = False
    area_um2: float | None = None
    leakage_w: float = 0.0
    source: str = ""
    drain_energy_pj: float | None = None

    def __post_init__(self) -> None:
        if self.word_bits is not None and not self.word_bits > 0:
            raise SpecError(f"word_bits of memory '{self.name}' must be above 0, got {self.word_bits}")
        for what in ("read_energy_pj", "write_energy_pj", "drain_energy_pj", "area_um2", "leakage_w"):
            _not_negative(f"{what} of memory '{self.name}'", getattr(self, what))
        if self.holds is not None and (self.must_hold is not None or self.may_hold is not None):
            raise SpecError(f"memory '{self.name}' has `holds` beside `must_hold` or `may_hold`", HOLDS_HINT)
        two_ports = self.read_bandwidth != UNLIMITED or self.write_bandwidth != UNLIMITED
        if self.bandwidth != UNLIMITED and two_ports:
            raise SpecError(
                f"memory '{self.name}' has `bandwidth` beside a read or write bandwidth", PORTS_HINT
            )


    def access_energy_pj(self, reads: T, writes: T, drains: T) -> T:
        """Energy of some words, pJ: ``drains`` are among the ``reads``."""
        free = 0.0 if self.drain_energy_pj is None else self.drain_energy_pj - self.read_energy_pj
        return reads * self.read_energy_pj + writes * self.write_energy_pj + drains * free


@dataclass(frozen=True, slots=True, kw_only=True)
class Fanout:
    """N instances of everything below it, along named axes.

    Attributes:
        axes: Size of each axis, in order.
        multicast: Tensors for which one parent read serves all instances that want the word in the same step.
        reduce: Tensors whose partial sums meet on the way up (one parent write).
        only: Rank variables (or ``{"shared_by": (roles...)}``) allowed on an axis; a missing axis is free.
        link_energy_pj: Per word and hop.
        hop_cycles: Cycles per hop of a spatial reduction.
    """

    name: str
    axes: Mapping[str, int]
    multicast: Share = True
    reduce: Share = True
    only: Mapping[str, AxisRule] = field(default_factory=dict)
    link_energy_pj: float = 0.0
    hop_cycles: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", MappingProxyType(dict(self.axes)))
        object.__setattr__(self, "only", MappingProxyType(dict(self.only)))
        if not self.axes:
            raise SpecError(f"fanout '{self.name}' has no axis", "for example `axes: {X: 16, Y: 16}`")
        for axis, size in self.axes.items():
            if size < 1:
                raise SpecError(f"axis {axis} of fanout '{self.name}' must be at least 1, got {size}")
        for axis in self.only:
            if axis not in self.axes:
                known = ", ".join(self.axes)
                raise SpecError(f"fanout '{self.name}' has no axis '{axis}'", f"its axes: {known}")
        _not_negative(f"link_energy_pj of fanout '{self.name}'", self.link_energy_pj)
        _not_negative(f"hop_cycles of fanout '{self.name}'", self.hop_cycles)

    def __hash__(self) -> int:
        mappings = tuple(self.axes.items()), tuple(self.only.items())
        return hash((self.name, mappings, self.multicast, self.reduce, self.link_energy_pj, self.hop_cycles))

    def __reduce__(self) -> tuple[object, ...]:
        return _fanout, (self.name, dict(self.axes), self.multicast, self.reduce, dict(self.only),
                         self.link_energy_pj, self.hop_cycles)  # fmt: skip

    @property
    def instances(self) -> int:
        return math.prod(self.axes.values())


def _fanout(*args: object) -> Fanout:
    names = ("name", "axes", "multicast", "reduce", "only", "link_energy_pj", "hop_cycles")
    return Fanout(**dict(zip(names, args, strict=True)))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class AxisRule:
    """Which rank variables an axis may carry: by name, or by the operands that they index.

    Exactly one of the two is given.

    Attributes:
        variables: Names; None when the rule is by role.
        shared_by: Operand roles (``inputs``, ``weights``, ``outputs``) whose tensors the variable must index,
            while it indexes no tensor of the other roles. None when the rule is by name.
    """

    variables: tuple[str, ...] | None = None
    shared_by: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.variables is None) == (self.shared_by is None):
            raise SpecError("an axis rule names rank variables or the roles that share them: one of the two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What executes operations.

    Attributes:
        energy_pj: Per operator. ``mac`` defaults to ``mul + add``, ``sub`` to ``add`` (in energy and in cycles).
        cycles: Per operator, default 1; 0 is an operation that is folded into its neighbour.
        area_um2: Of one instance; None when unknown.
        leakage_w: Of one instance.
        source: Where energies and area come from, when a component library gave them.
    """

    name: str
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    cycles: Mapping[str, int] = field(default_factory=dict)
    area_um2: float | None = None
    leakage_w: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "energy_pj", MappingProxyType(dict(self.energy_pj)))
        object.__setattr__(self, "cycles", MappingProxyType(dict(self.cycles)))
        for operator, energy in self.energy_pj.items():
            _not_negative(f"energy of '{operator}' on compute '{self.name}'", energy)
        for operator, cycles in self.cycles.items():
            _not_negative(f"cycles of '{operator}' on compute '{self.name}'", cycles)
        _not_negative(f"area_um2 of compute '{self.name}'", self.area_um2)
        _not_negative(f"leakage_w of compute '{self.name}'", self.leakage_w)

    def __hash__(self) -> int:
        mappings = tuple(self.energy_pj.items()), tuple(self.cycles.items())
        return hash((self.name, mappings, self.area_um2, self.leakage_w, self.source))

    def __reduce__(self) -> tuple[object, ...]:
        return _compute, (self.name, dict(self.energy_pj), dict(self.cycles), self.area_um2,
                          self.leakage_w, self.source)  # fmt: skip

    def operator_energy_pj(self, operator: str) -> float | None:
        """Energy of one operation; None when this compute cannot cost it (an error, never zero)."""
        if operator in self.energy_pj:
            return self.energy_pj[operator]
        if operator == "mac" and {"mul", "add"} <= self.energy_pj.keys():
            return self.energy_pj["mul"] + self.energy_pj["add"]
        if operator == "sub":
            return self.energy_pj.get("add")
        return None

    def operator_cycles(self, operator: str) -> int:
        if operator == "sub" and "sub" not in self.cycles:
            return self.operator_cycles("add")
        return self.cycles.get(operator, 1)


def _compute(*args: object) -> Compute:
    names = ("name", "energy_pj", "cycles", "area_um2", "leakage_w", "source")
    return Compute(**dict(zip(names, args, strict=True)))  # type: ignore[arg-type]


Level = Memory | Fanout | Compute


@dataclass(frozen=True, slots=True)
class Branches:
    """Several sub-trees below one point; each ends in computes."""

    trees: tuple[tuple[Level | Branches, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A tree of levels, outermost first, with its clock and timing law.

    Attributes:
        levels: Memories and fanouts, ending in a `Compute` or in `Branches`. The first level is a memory.
        timing: Extra named cycle terms (fill, drain, skew, ...); the default law adds none.
        rules: What mappings may do; by default what the levels state (``only``, ``holds``, ...).
        engine: How it runs cascades, where that is not as loop nests; None: as loop nests.
        resources: Of a device, by name (``dsp``, ``lut``, ...): what is there whatever is mapped.
        template: Name of the template that built it; empty for a tree written out.
        parameters: The template's parameters as resolved.
    """

    name: str
    clock_hz: float
    levels: tuple[Level | Branches, ...]
    timing: TimingLaw = field(default_factory=TimingLaw)
    rules: MappingRules = field(default_factory=MappingRules)
    template: str = ""
    parameters: tuple[tuple[str, object], ...] = ()
    engine: Engine | None = None
    resources: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.clock_hz > 0 or math.isinf(self.clock_hz):
            raise SpecError(f"clock must be above 0 and finite, got {self.clock_hz}")
        if not self.levels or not isinstance(self.levels[0], Memory):
            raise SpecError("the outermost level must be a memory", "start the tree with `- memory: DRAM`")
        seen: set[str] = set()
        for level in self.walk():
            if level.name in seen:
                raise SpecError(f"the name '{level.name}' is used twice", "names are unique in the tree")
            seen.add(level.name)
        for path in self.paths():
            if not isinstance(path[-1], Compute):
                raise SpecError(
                    f"the tree ends in {type(path[-1]).__name__.lower()} '{path[-1].name}'",
                    "every branch ends in a compute",
                )
            misplaced = [level.name for level in path[:-1] if isinstance(level, Compute)]
            if misplaced:
                raise SpecError(f"compute '{misplaced[0]}' has levels below it", "a compute comes last")

    def walk(self) -> Iterator[Level]:
        """Every level once, depth first."""
        yield from _walk(self.levels)

    def paths(self) -> tuple[tuple[Level, ...], ...]:
        """One tuple of levels, outermost first, for each compute."""
        return tuple(_paths(self.levels))

    def memories(self) -> tuple[Memory, ...]:
        """Every memory once, outermost first."""
        return tuple(level for level in self.walk() if isinstance(level, Memory))

    def fanouts(self) -> tuple[Fanout, ...]:
        """Every fanout once, outermost first."""
        return tuple(level for level in self.walk() if isinstance(level, Fanout))

    def computes(self) -> tuple[Compute, ...]:
        """Every compute once."""
        return tuple(level for level in self.walk() if isinstance(level, Compute))

    def rules_for(self, einsum: Einsum) -> EinsumRules:
        """What a mapping of ``einsum`` may do here, with roles resolved to its tensors."""
        with code_of(f"{type(self.rules).__name__} of {self.origin}"):
            return self.rules.of(self, einsum)

    @property
    def origin(self) -> str:
        """Whose code it brings along, for a message."""
        return f"the template '{self.template}'" if self.template else f"the architecture '{self.name}'"

    def parts(self) -> tuple[Memory | Compute, ...]:
        """Every level that has an area and leaks."""
        return tuple(level for level in self.walk() if not isinstance(level, Fanout))

    def area_um2(self) -> float | None:
        """Area of all instances of all parts; None while the area of one of them is unknown."""
        total = 0.0
        for part in self.parts():
            if part.area_um2 is None:
                return None
            total += part.area_um2 * self.instances(part.name)
        return total

    def without_area(self) -> tuple[str, ...]:
        """Parts whose area is unknown, for a message."""
        return tuple(part.name for part in self.parts() if part.area_um2 is None)

    def leakage_w(self) -> float:
        """Static power of all instances of all parts, W."""
        return sum(part.leakage_w * self.instances(part.name) for part in self.parts() if part.leakage_w)

    def path_to(self, compute: str) -> tuple[Level, ...]:
        for path in self.paths():
            if path[-1].name == compute:
                return path
        known = ", ".join(path[-1].name for path in self.paths())
        raise SpecError(f"no compute is named '{compute}'", f"computes of {self.name}: {known}")

    def instances(self, name: str) -> int:
        """Instances of the level ``name``: the product of the fanouts above it (a fanout's own included)."""
        for path in self.paths():
            count = 1
            for level in path:
                if isinstance(level, Fanout):
                    count *= level.instances
                if level.name == name:
                    return count
        raise SpecError(f"no level is named '{name}'")


def _not_negative(what: str, value: float | None) -> None:
    if value is not None and not (value >= 0 and math.isfinite(value)):
        raise SpecError(f"{what} must be at least 0 and finite, got {value}")


def _walk(levels: tuple[Level | Branches, ...]) -> Iterator[Level]:
    for level in levels:
        if isinstance(level, Branches):
            for tree in level.trees:
                yield from _walk(tree)
        else:
            yield level


def _paths(levels: tuple[Level | Branches, ...]) -> Iterator[tuple[Level, ...]]:
    head: tuple[Level, ...] = ()
    for level in levels:
        if isinstance(level, Branches):
            for tree in level.trees:
                for tail in _paths(tree):
                    yield head + tail
            return
        head = (*head, level)
    yield head
