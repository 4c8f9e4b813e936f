"""An architecture in YAML (DESIGN section 4) to an `Architecture` value.

``levels:`` is checked item by item (`einloom.spec.levels`), then as a tree, then priced: an energy that a
level omits comes from the component library. All problems of the file are reported at once. ``template:``
builds the tree from parameters that the template declares.

Energies and areas. A level that names a ``component:`` takes every energy and area that it does not give
itself from the library, at ``technology:`` (of the level, else of the architecture, else of the component's
source). A bounded memory that omits an energy is SRAM (2 KiB and more) or registers; an unbounded memory,
or a compute, that omits its energies and names no component is an error. A level that gives its own
energies and names no component is of the user's own technology: its area is unknown unless given, for a
library value would belong to another machine. An unbounded memory without a component stands off chip: area
0. ``area: unknown`` is always allowed; one unknown area makes the total unknown (null).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from einloom.arch.components import ComputePart, MemoryPart, library
from einloom.arch.rules import ROLES
from einloom.arch.tree import (
    HOLDS_HINT,
    PORTS_HINT,
    UNLIMITED,
    Amount,
    Architecture,
    Branches,
    Compute,
    Fanout,
    Level,
    Memory,
)
from einloom.errors import Path, PluginError, Problem, SpecError
from einloom.spec.document import Document, Strict, at, problems_of, show, suggest
from einloom.spec.levels import KINDS, Clock, ComputeLevel, FanoutLevel, Length, MemoryLevel, Name, Size
from einloom.spec.quantities import Rate
from einloom.spec.templates import build_template

Tree = tuple[Level | Branches, ...]
Built = TypeVar("Built")
OFF_CHIP = "off chip"


class ArchitectureSpec(Strict):
    """The keys beside ``levels:``."""

    name: Name | None = None
    clock: Clock
    technology: Length = None
    levels: Any


def load_architecture(document: Document, path: Path = ("architecture",)) -> Architecture:
    """The architecture at ``path`` of ``document``.

    Raises:
        SpecError: With every problem of that part of the file, in file order.
    """
    data = at(document.data, path[:-1])
    if not isinstance(data, dict) or path[-1] not in data:
        document.fail([Problem("is missing", f"add `{path[-1]}:` here", path)])
    data = data[path[-1]]
    if not isinstance(data, dict):
        document.fail(
            [Problem(f"{show(data)} is not a mapping", "write `levels:` or `template:` below it", path)]
        )
    loader = _Loader(path)
    architecture = loader.template(data) if "template" in data else loader.architecture(data)
    if loader.problems or architecture is None:
        document.fail(loader.problems)
    return architecture


def level_paths(data: Any, path: Path = ("architecture",)) -> dict[str, Path]:
    """Where each level of ``levels:`` stands in the document, by name. Parts that are malformed are left out.

    Args:
        data: The architecture block.
        path: Where that block stands.
    """
    found: dict[str, Path] = {}
    if isinstance(data, dict):
        _collect(data.get("levels"), (*path, "levels"), found)
    return found


def unknown_names(
    architecture: Architecture,
    tensors: Iterable[str],
    variables: Iterable[str],
    data: Any,
    path: Path = ("architecture",),
) -> list[Problem]:
    """Tensors and rank variables that the levels name and the workload does not have.

    Args:
        architecture: As loaded.
        tensors: All tensors of the workload.
        variables: All rank variables of the workload.
        data: The architecture block, for the places.
        path: Where that block stands.
    """
    where = level_paths(data, path)
    known_tensors, known_variables = tuple(tensors), tuple(variables)
    problems: list[Problem] = []

    def check(level: str, key: Path, names: Iterable[str], known: tuple[str, ...], what: str) -> None:
        place = (*where.get(level, path), *key)
        for name in sorted(names):
            if name not in known:
                problems.append(
                    Problem(
                        f"the workload has no {what} '{name}'",
                        suggest(name, sorted(known), f"{what}s"),
                        place,
                    )
                )

    for memory in architecture.memories():
        for key in ("holds", "must_hold", "may_hold", "double_buffered"):
            named = getattr(memory, key)
            if named and not isinstance(named, bool):
                check(memory.name, (key,), set(named) - set(ROLES), known_tensors, "tensor")
    for fanout in architecture.fanouts():
        for key in ("multicast", "reduce"):
            share = getattr(fanout, key)
            if not isinstance(share, bool):
                check(fanout.name, (key,), share - set(ROLES), known_tensors, "tensor")
        for axis, rule in fanout.only.items():
            check(fanout.name, ("only", axis), rule.variables or (), known_variables, "rank variable")
    return problems


def _collect(levels: Any, path: Path, found: dict[str, Path]) -> None:
    if not isinstance(levels, list):
        return
    for index, item in enumerate(levels):
        if not isinstance(item, dict):
            continue
        here = (*path, index)
        for kind in KINDS:
            if isinstance(item.get(kind), str):
                found.setdefault(item[kind], here)
        trees = item.get("branches")
        pairs = (
            enumerate(trees) if isinstance(trees, list) else trees.items() if isinstance(trees, dict) else ()
        )
        for key, tree in pairs:
            _collect(tree, (*here, "branches", key), found)


class _Loader:
    """One pass over one architecture block; mistakes are collected in ``problems``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._names: dict[str, Path] = {}
        self._clock_hz: Fraction | float = Fraction(10**9)
        self._technology: float | None = None

    def architecture(self, data: dict[str, Any]) -> Architecture | None:
        head = self._validated(ArchitectureSpec, data, self.path)
        if head is not None:
            self._clock_hz = head.clock
            self._technology = None if head.technology is None else float(head.technology)
        tree = (
            self._levels(data["levels"], (*self.path, "levels"), outermost=True) if "levels" in data else ()
        )
        if head is None or self.problems:
            return None
        name, clock = head.name or "architecture", float(head.clock)
        return self._built(lambda: Architecture(name=name, clock_hz=clock, levels=tree), self.path)

    def template(self, data: dict[str, Any]) -> Architecture | None:
        try:
            return build_template(data, self.path)
        except (SpecError, PluginError) as error:
            self.problems.extend(error.problems)
            return None

    def _levels(self, items: Any, path: Path, outermost: bool = False) -> Tree:
        """The levels in a list; the last is a compute or branches, and the first of all is a memory."""
        if not isinstance(items, list) or not items:
            hint = "write `- memory: DRAM`, `- fanout: PE`, ... `- compute: MAC`, outermost first"
            self._problem(f"{show(items)} is not a list of levels" if items else "has no level", hint, path)
            return ()
        tree: list[Level | Branches] = []
        for index, item in enumerate(items):
            here = (*path, index)
            kind = self._kind(item, here)
            if kind is None:
                continue
            last = index == len(items) - 1
            if outermost and index == 0 and kind != "memory":
                self._problem("the outermost level must be a memory", "start with `- memory: DRAM`", here)
            if kind in ("compute", "branches") and not last:
                what = f"compute '{item[kind]}'" if kind == "compute" else "`branches:`"
                self._problem(f"{what} has levels below it", f"`{kind}:` is the last of its levels", here)
            if last and kind in ("memory", "fanout"):
                self._problem(
                    f"the tree ends in {kind} '{item[kind]}'", "add `- compute: MAC` below it", here
                )
            level = self._branches(item, here) if kind == "branches" else self._level(kind, item, here)
            if level is not None:
                tree.append(level)
        return tuple(tree)

    def _kind(self, item: Any, path: Path) -> str | None:
        kinds = (*KINDS, "branches")
        if not isinstance(item, dict):
            hint = f"a level is a mapping that starts with one of: {', '.join(kinds)}"
            self._problem(f"{show(item)} is not a level", hint, path)
            return None
        found = [kind for kind in kinds if kind in item]
        if len(found) == 1:
            return found[0]
        if found:
            hint = "start each level with a `-` of its own"
            self._problem(f"one level is both `{found[0]}:` and `{found[1]}:`", hint, path)
        else:
            hint = suggest(str(next(iter(item), "")), kinds, "a level starts with one of")
            self._problem("does not say what it is", hint, path)
        return None

    def _branches(self, item: dict[str, Any], path: Path) -> Branches | None:
        extra = [key for key in item if key != "branches"]
        if extra:
            self._problem(f"the key '{extra[0]}' is not known here", "keys: branches", (*path, extra[0]))
        trees, here = item["branches"], (*path, "branches")
        if not isinstance(trees, (list, dict)) or not trees:
            self._problem(f"{show(trees)} are no branches", "write one list of levels for each branch", here)
            return None
        pairs = list(trees.items()) if isinstance(trees, dict) else list(enumerate(trees))
        return Branches(tuple(self._levels(levels, (*here, key)) for key, levels in pairs))

    def _level(self, kind: str, item: dict[str, Any], path: Path) -> Level | None:
        name = item[kind]
        if isinstance(name, str):
            if name in self._names:
                self._problem(
                    f"the name '{name}' is used twice", "names are unique in the tree", (*path, kind)
                )
            self._names.setdefault(name, path)
        spec = self._validated(KINDS[kind], item, path)
        if isinstance(spec, MemoryLevel):
            return self._built(lambda: self._memory(spec, path), path)
        if isinstance(spec, FanoutLevel):
            return self._built(lambda: self._fanout(spec, path), path)
        if isinstance(spec, ComputeLevel):
            return self._built(lambda: self._compute(spec, path), path)
        return None

    def _memory(self, spec: MemoryLevel, path: Path) -> Memory | None:
        if spec.holds is not None and (spec.must_hold is not None or spec.may_hold is not None):
            self._problem("`holds` stands beside `must_hold` or `may_hold`", HOLDS_HINT, (*path, "holds"))
            return None
        if spec.bandwidth is not None and (spec.read_bandwidth or spec.write_bandwidth) is not None:
            what = "`bandwidth` stands beside `read_bandwidth` or `write_bandwidth`"
            self._problem(what, PORTS_HINT, (*path, "bandwidth"))
            return None
        part = self._memory_part(spec, path)
        read, write = spec.read_energy, spec.write_energy
        access: Fraction | None = spec.word
        if spec.energy_per_bit is not None:
            if spec.component is not None or read is not None or write is not None:
                hint = "it replaces `component`, `read_energy` and `write_energy`: keep one kind"
                self._problem("`energy_per_bit` cannot stand here", hint, (*path, "energy_per_bit"))
                return None
            access = spec.word or Fraction(1)
            read = write = spec.energy_per_bit * access
        elif part is not None:
            access = part.word_bits
        if access is not None and spec.word is None and self._in_words(spec, path):
            return None
        area = spec.area
        if area is None and part is not None:
            area = part.area_um2
        elif area is None and spec.capacity in (None, (math.inf, False), (math.inf, True)):
            area = 0.0
        if area is None and part is not None:
            self._problem(f"component '{spec.component}' has no area", "add `area:`", path)
        return Memory(
            name=spec.memory,
            capacity=_amount(spec.capacity, spec.word),
            word_bits=access,
            read_energy_pj=float(read) if read is not None else part.read_energy_pj if part else 0.0,
            drain_energy_pj=None if spec.drain_energy is None else float(spec.drain_energy),
            write_energy_pj=float(write) if write is not None else part.write_energy_pj if part else 0.0,
            bandwidth=self._per_cycle(spec.bandwidth, spec.word),
            read_bandwidth=self._per_cycle(spec.read_bandwidth, spec.word),
            write_bandwidth=self._per_cycle(spec.write_bandwidth, spec.word),
            holds=_names(spec.holds),
            must_hold=_names(spec.must_hold),
            may_hold=_names(spec.may_hold),
            double_buffered=spec.double_buffered,
            area_um2=None if area in (None, "unknown") else float(area),
            leakage_w=float(spec.leakage),
            source=part.source if part else OFF_CHIP if area == 0.0 and spec.area is None else "",
        )

    def _in_words(self, spec: MemoryLevel, path: Path) -> bool:
        """Whether a level that is priced per bit gives a bandwidth in words of no known width: a problem."""
        keys = ("bandwidth", "read_bandwidth", "write_bandwidth")
        wrong = [key for key in keys if (rate := getattr(spec, key)) is not None and rate.in_words]
        for key in wrong:
            what = f"memory '{spec.memory}' is priced per bit and does not say how wide its words are"
            self._problem(what, "add `word: 8 b`, or write the bandwidth in bytes", (*path, key))
        return bool(wrong)

    def _memory_part(self, spec: MemoryLevel, path: Path) -> MemoryPart | None:
        """What the library says of this memory; None when the level needs nothing from it."""
        priced = spec.energy_per_bit is not None or (
            spec.read_energy is not None and spec.write_energy is not None
        )
        if spec.component is None and priced:
            return None
        amount, in_words = spec.capacity or (math.inf, False)
        component = spec.component or library().default_memory(float(amount))
        if component is None:
            missing = "read_energy" if spec.read_energy is None else "write_energy"
            known = ", ".join(
                name for name, rows in library().memory.items() if rows[0].number("area_um2") == 0
            )
            self._problem(
                f"memory '{spec.memory}' has no {missing}, and an unbounded memory has no default component",
                f"add `{missing}: 64 pJ`, or `component:` with one of: {known}", path)  # fmt: skip
            return None
        if in_words and spec.word is None:
            what = f"memory '{spec.memory}' cannot be looked up: its capacity is in words of unknown width"
            self._problem(what, "add `word: 8 b`, or give its energies and area", (*path, "capacity"))
            return None
        if in_words:
            amount = amount * spec.word
        try:
            return library().memory_part(component, float(amount), spec.word, self._node(spec.technology))
        except SpecError as error:
            self._lookup_failed("memory", spec.memory, spec.component, error, path)
            return None

    def _fanout(self, spec: FanoutLevel, path: Path) -> Fanout | None:
        known = ", ".join(spec.axes)
        wrong = [axis for axis in spec.only if axis not in spec.axes]
        for axis in wrong:
            self._problem(
                f"'{axis}' is not an axis of '{spec.fanout}'", f"axes: {known}", (*path, "only", axis)
            )
        if wrong:
            return None
        reduce, hop = spec.reduce
        return Fanout(
            name=spec.fanout,
            axes=spec.axes,
            multicast=spec.multicast,
            reduce=reduce,
            only=spec.only,
            link_energy_pj=float(spec.link_energy),
            hop_cycles=hop,
        )

    def _compute(self, spec: ComputeLevel, path: Path) -> Compute | None:
        part: ComputePart | None = None
        if spec.component is not None:
            try:
                part = library().compute_part(spec.component, self._node(spec.technology))
            except SpecError as error:
                self._lookup_failed("compute", spec.compute, spec.component, error, path)
                return None
        elif not spec.energy:
            known = ", ".join(library().compute)
            hint = f"add `energy: {{mul: 0.2 pJ, add: 0.1 pJ}}`, or `component:` with one of: {known}"
            self._problem(f"compute '{spec.compute}' has no energy for any operator", hint, path)
            return None
        energy = dict(part.energy_pj) if part else {}
        energy.update((operator, float(value)) for operator, value in spec.energy.items())
        area = spec.area if spec.area is not None or part is None else part.area_um2
        return Compute(
            name=spec.compute,
            energy_pj=energy,
            cycles={**(part.cycles if part else {}), **spec.cycles},
            area_um2=None if area in (None, "unknown") else float(area),
            leakage_w=float(spec.leakage),
            source=part.source if part else "",
        )

    def _per_cycle(self, rate: Rate | None, word: Fraction | None) -> Amount:
        """A bandwidth in bits a cycle, or in elements a cycle where the level has no `word:`."""
        if rate is None or math.isinf(rate.value):
            return UNLIMITED
        value = Fraction(rate.value)
        if rate.per_second:
            value /= Fraction(self._clock_hz)
        if rate.in_words and word is not None:
            return Amount(value * word)
        return Amount(value, rate.in_words)

    def _node(self, technology: Fraction | None) -> float | None:
        return self._technology if technology is None else float(technology)

    def _lookup_failed(
        self, kind: str, name: str, component: str | None, error: SpecError, path: Path
    ) -> None:
        place = path if component is None else (*path, "component")
        for problem in error.problems:
            self._problem(f"{kind} '{name}': {problem.message}", problem.hint, place)

    def _validated(self, model: type[Strict], data: Any, path: Path) -> Any:
        try:
            return TypeAdapter(model).validate_python(data)
        except ValidationError as error:
            self.problems.extend(problems_of(error, path, model))
            return None

    def _built(self, build: Callable[[], Built | None], path: Path) -> Built | None:
        """What ``build`` makes; what a value object still refuses becomes a problem of this place."""
        try:
            return build()
        except SpecError as error:
            self.problems.extend(problem.below(*path) for problem in error.problems)
            return None

    def _problem(self, message: str, hint: str, path: Path) -> None:
        self.problems.append(Problem(message, hint, path))


def _amount(size: Size | None, word: Fraction | None) -> Amount:
    if size is None or math.isinf(size[0]):
        return UNLIMITED
    value, in_words = size
    if in_words and word is not None:
        return Amount(Fraction(value) * word)
    return Amount(Fraction(value), in_words)


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
