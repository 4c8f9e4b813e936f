"""The architecture tree: memories, fanouts and computes, outermost first, with branches.

Base units: bits, cycles, picojoules, square micrometres, watts, hertz. Conversions happen where YAML is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from einloom.arch.timing import TimingLaw
from einloom.errors import Problem, SpecError

Share = bool | frozenset[str]
"""All tensors, none, or exactly these."""


def shares(which: Share, tensor: str) -> bool:
    return which if isinstance(which, bool) else tensor in which


@dataclass(frozen=True, slots=True)
class Amount:
    """A capacity or a rate: a number of bits, or of words where the level leaves the word to the tensor."""

    value: Fraction | float
    in_words: bool = False

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise SpecError(f"must be above 0, got {self.value}")


UNLIMITED = Amount(math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One storage level.

    Attributes:
        name: Unique within the architecture, e.g. ``"GLB"``.
        capacity: Of one instance.
        word_bits: Bits moved by one access; None: as wide as the tensor's element.
        read_energy_pj: Energy of reading one word, pJ.
        write_energy_pj: Energy of writing one word, pJ.
        bandwidth: Reads and writes together, per cycle and instance; or
        read_bandwidth, write_bandwidth: one port each.
        holds: Exactly these tensors or roles; None: free.
        must_hold, may_hold: At least / at most these; None: free.
        double_buffered: True, or the tensors whose tiles count twice.
        area_um2: Of one instance; None when unknown.
        leakage_w: Of one instance.
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
    """Which rank variables an axis may carry: these by name, or those that index all of ``shared_by`` and no other.

    Attributes:
        variables: Names; None when the rule is by role.
        shared_by: Operand roles of a product (``inputs``, ``weights``, ``outputs``) whose tensors the variable must
            index, while it indexes no tensor of the other roles. None when the rule is by name.
    """

    variables: tuple[str, ...] | None = None
    shared_by: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What executes operations.

    Attributes:
        energy_pj: Per operator. ``mac`` defaults to ``mul + add``.
        cycles: Per operator, default 1.
        area_um2: Of one instance; None when unknown.
        leakage_w: Of one instance.
    """

    name: str
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    cycles: Mapping[str, int] = field(default_factory=dict)
    area_um2: float | None = None
    leakage_w: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "energy_pj", MappingProxyType(dict(self.energy_pj)))
        object.__setattr__(self, "cycles", MappingProxyType(dict(self.cycles)))

    def __reduce__(self) -> tuple[object, ...]:
        return _compute, (self.name, dict(self.energy_pj), dict(self.cycles), self.area_um2, self.leakage_w)

    def operator_energy_pj(self, operator: str) -> float | None:
        """Energy of one operation; None when this compute cannot cost it (an error for whoever asks, never zero)."""
        if operator in self.energy_pj:
            return self.energy_pj[operator]
        if operator == "mac" and {"mul", "add"} <= self.energy_pj.keys():
            return self.energy_pj["mul"] + self.energy_pj["add"]
        return None

    def operator_cycles(self, operator: str) -> int:
        return self.cycles.get(operator, 1)


def _compute(*args: object) -> Compute:
    names = ("name", "energy_pj", "cycles", "area_um2", "leakage_w")
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
        template: Name of the template that built it; empty for a tree written out.
        parameters: The template's parameters as resolved.
    """

    name: str
    clock_hz: float
    levels: tuple[Level | Branches, ...]
    timing: TimingLaw = field(default_factory=TimingLaw)
    template: str = ""
    parameters: tuple[tuple[str, object], ...] = ()

    def __post_init__(self) -> None:
        if not self.clock_hz > 0 or math.isinf(self.clock_hz):
            raise SpecError(f"clock must be above 0 and finite, got {self.clock_hz}")
        if not self.levels or not isinstance(self.levels[0], Memory):
            raise SpecError("the outermost level must be a memory", "start the tree with `- memory: DRAM`")
        seen: set[str] = set()
        for level in self.walk():
            if level.name in seen:
                raise SpecError(Problem(f"the name '{level.name}' is used twice", "names are unique in the tree"))
            seen.add(level.name)
        for path in self.paths():
            if not isinstance(path[-1], Compute):
                raise SpecError(
                    f"the tree ends in {type(path[-1]).__name__.lower()} '{path[-1].name}'",
                    "every branch ends in a compute",
                )
            misplaced = [level.name for level in path[:-1] if isinstance(level, Compute)]
            if misplaced:
                raise SpecError(f"compute '{misplaced[0]}' has levels below it", "a compute is the last of its levels")

    def walk(self) -> Iterator[Level]:
        """Every level once, depth first."""
        yield from _walk(self.levels)

    def paths(self) -> tuple[tuple[Level, ...], ...]:
        """One tuple of levels, outermost first, for each compute."""
        return tuple(_paths(self.levels))

    def path_to(self, compute: str) -> tuple[Level, ...]:
        for path in self.paths():
            if path[-1].name == compute:
                return path
        known = ", ".join(path[-1].name for path in self.paths())
        raise SpecError(f"no compute is named '{compute}'", f"computes of {self.name}: {known}")

    def instances(self, name: str) -> int:
        """Instances of the level ``name``: the product of the fanouts above it (of a fanout: its own included)."""
        for path in self.paths():
            count = 1
            for level in path:
                if isinstance(level, Fanout):
                    count *= level.instances
                if level.name == name:
                    return count
        raise SpecError(f"no level is named '{name}'")


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
