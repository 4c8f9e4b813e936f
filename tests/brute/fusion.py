"""Brute force over the declared space of fused trees: every tree of a tiny cascade, counted, and the best of them.

The space is written down anew and shares nothing with ``einloom.mapper.fusion``. `Space` lists the trees of one group:
shared loops, depths of holds, residents, schedules, and the nests of every Einsum. There are far more trees (thousands
to billions) than `evaluate_tree` can be asked for, so each *part* of a tree is evaluated once, in some legal tree: an
Einsum's nest below given loops, and a tensor's hold at a given depth. Parts add up: energy, port loads, cycles on the
compute and bits are sums (or maxima) over parts, as ``/docs`` and DESIGN section 8 say. `Space.front` costs every
combination so, keeps the front of energy and cycles, and then asks `evaluate_tree` for every tree of it: a difference
is an error of the brute force itself (`Broken`), and so is one on trees drawn at random (`Space.sampled`).

Nothing is cut off but parts that another matches or beats in all that costs are made of.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from random import Random

import numpy as np

from einloom.arch.tree import UNLIMITED, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings.nodes import Bind, Child, Group, Hold, Loop, Node, Nodes, Spatial
from einloom.model.fused import Fused, evaluate_tree
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import Dataflow, dataflow
from einloom.workloads.sized import SizedEinsum

Shared = tuple[tuple[str, int], ...]
Layout = tuple[tuple[str, str, int], ...]
NEAR = 1e-9


class Broken(AssertionError):
    """The brute force contradicts itself: parts do not add up to what their tree costs."""


class TooLarge(Exception):
    """More parts than a case may have."""


@dataclass(frozen=True)
class Point:
    """One tree, or pieces one after the other."""

    energy: float
    cycles: float
    nodes: Nodes = ()

    def beats(self, other: Point) -> bool:
        """Whether it is no worse in either."""
        return self.energy <= other.energy * (1 + 1e-12) and self.cycles <= other.cycles * (1 + 1e-12)


def front_of(points: Sequence[Point]) -> list[Point]:
    """Points that no other matches or beats, fewest cycles first; of equal ones the first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cycles, p.energy)):
        if not kept or point.energy < kept[-1].energy * (1 - 1e-12):
            if kept and point.cycles <= kept[-1].cycles * (1 + 1e-12):  # sums in another order
                kept.pop()
            kept.append(point)
    return kept


def cost_of(fused: Fused, names: Sequence[str] = ()) -> float:
    """Energy without leakage, of some Einsums (none named: of all)."""
    return sum(result.energy_pj for name, result in fused.einsums.items() if not names or name in names)


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


# -- machine


@dataclass(frozen=True)
class Unit:
    fanout: Fanout | None
    registers: Memory | None
    compute: Compute

    @property
    def name(self) -> str:
        return self.compute.name


def units_of(architecture: Architecture) -> tuple[Unit, ...]:
    found = []
    for path in architecture.paths():
        kinds = {Fanout: None, Memory: None} | {type(level): level for level in path[2:-1]}
        found.append(Unit(kinds[Fanout], kinds[Memory], path[-1]))
    return tuple(found)


def unbounded(architecture: Architecture) -> Architecture:
    """The same machine with room for everything, on which parts are evaluated."""

    def loosened(level: object) -> object:
        if isinstance(level, Branches):
            return Branches(tuple(tuple(loosened(inner) for inner in tree) for tree in level.trees))
        if isinstance(level, Memory):
            return replace(level, capacity=UNLIMITED, holds=None, must_hold=None, may_hold=None)
        return level

    return replace(architecture, levels=tuple(loosened(level) for level in architecture.levels))


# -- parts


@dataclass(frozen=True)
class Words:
    """Reads and writes of one tensor, elements."""

    reads: float
    writes: float


@dataclass(frozen=True)
class Option:
    """A nest of one Einsum below the shared loops, as evaluated.

    Attributes:
        energy: Of registers, links and operations.
        words: Out of and into the memory that feeds it, by tensor.
        register_load: Cycles of the port of its registers.
        register_bits: That its own holds take in one instance.
        drain: Cycles that its results take to leave the array.
    """

    unit: Unit
    layout: Layout
    nodes: Nodes
    energy: float = 0.0
    busy: int = 0
    words: Mapping[str, Words] = field(default_factory=dict)
    register_load: float = 0.0
    register_bits: float = 0.0
    drain: int = 0


@dataclass(frozen=True)
class Depths:
    """One choice of depths of all boundary tensors; None: not in the buffer."""

    at: tuple[tuple[str, int | None], ...]
    vector: np.ndarray
    bits: float

    @property
    def outside(self) -> frozenset[str]:
        return frozenset(tensor for tensor, depth in self.at if depth is None)


@dataclass
class Space:
    """All trees of a group of consecutive Einsums of a cascade.

    Attributes:
        names: The group, in order.
        others: Nests (without the outermost hold) of the other Einsums of the cascade, each a piece of its own.
        others_cycles: That these take.
        most: Parts to evaluate, above which it is `TooLarge`.
        residents: Whether tensors may stay in registers.
    """

    cascade: Cascade
    architecture: Architecture
    names: tuple[str, ...]
    others: Mapping[str, Nodes] = field(default_factory=dict)
    others_cycles: float = 0.0
    most: int = 2000
    residents: bool = True
    trees: int = 0
    evaluated: int = 0

    # -- what there is

    @cached_property
    def flow(self) -> Dataflow:
        return dataflow(self.cascade)

    @cached_property
    def einsums(self) -> tuple[SizedEinsum, ...]:
        return tuple(self.flow.einsums[name] for name in self.names)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        return units_of(self.architecture)

    @cached_property
    def roomy(self) -> Architecture:
        return unbounded(self.architecture)

    @cached_property
    def outer(self) -> Memory:
        return self.architecture.memories()[0]

    @cached_property
    def buffer(self) -> Memory:
        return self.architecture.memories()[1]

    @cached_property
    def extents(self) -> dict[str, int]:
        return {v: n for einsum in self.einsums for v, n in einsum.extents.items()}

    @cached_property
    def reads(self):
        return [r for r in self.flow.reads if r.producer in self.names and r.consumer in self.names]

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(a.tensor for e in self.einsums for a in e.accesses))

    def users(self, tensor: str) -> list[SizedEinsum]:
        return [e for e in self.einsums if any(a.tensor == tensor for a in e.accesses)]

    def place(self, einsum: str) -> int:
        return self.names.index(einsum)

    def dims(self, access) -> tuple[str, ...]:
        """Rank variables of one generation of what is accessed."""
        state = self.flow.states.get(access.tensor)
        return tuple(
            v for i, dim in enumerate(access.dims) if state is None or i != state.dimension for v, _ in dim
        )  # fmt: skip

    def ranks(self, tensor: str) -> frozenset[str]:
        access = next(a for e in self.einsums for a in e.accesses if a.tensor == tensor)
        return frozenset(self.dims(access))

    def bits(self, tensor: str) -> float:
        return float(next(a.bits for e in self.einsums for a in e.accesses if a.tensor == tensor))

    def outgoing(self, tensor: str) -> bool:
        """Whether a tensor is wanted outside."""
        output = any(e.output.workload_output for e in self.einsums if e.output.tensor == tensor)
        return output or any(name not in self.names for name in self.flow.consumers(tensor))

    @cached_property
    def internal(self) -> tuple[str, ...]:
        made = {e.output.tensor for e in self.einsums}
        return tuple(t for t in self.tensors if t in made and not self.outgoing(t))

    @cached_property
    def boundary(self) -> tuple[str, ...]:
        return tuple(t for t in self.tensors if t not in self.internal)

    # -- shared loops

    @cached_property
    def sharable(self) -> tuple[str, ...]:
        def streams(read, variable: str) -> bool:
            producer, consumer = self.flow.einsums[read.producer], self.flow.einsums[read.consumer]
            if producer is consumer or variable not in producer.extents or variable not in consumer.extents:
                return True
            written, found = producer.output.dims, consumer.accesses[read.access].dims
            return any(w == f == ((variable, 1),) for w, f in zip(written, found, strict=True))

        return tuple(
            v for v in self.extents
            if sum(v in e.extents for e in self.einsums) > 1 and all(streams(r, v) for r in self.reads)
        )  # fmt: skip

    @cached_property
    def generations(self) -> tuple[str, ...]:
        """Of states carried between Einsums."""
        carried = [r.tensor for r in self.reads if r.producer != r.consumer and r.tensor in self.flow.states]
        return tuple(dict.fromkeys(self.flow.states[t].variable for t in carried))

    @property
    def refused(self) -> bool:
        for tensor in self.tensors:
            accesses = [a for e in self.einsums for a in e.accesses if a.tensor == tensor]
            if len({frozenset(self.dims(a)) for a in accesses}) > 1:
                return True
            touching = {*self.flow.producers(tensor), *self.flow.consumers(tensor)}
            if tensor in self.flow.states and not touching <= set(self.names):
                return True
        linked = {n for r in self.reads if r.producer != r.consumer for n in (r.producer, r.consumer)}
        return not set(self.generations) <= set(self.sharable) or linked != set(self.names)

    @cached_property
    def nests(self) -> list[Shared]:
        """Shared loops in every order, with every bound."""
        long = [v for v in self.sharable if self.extents[v] > 1]
        batch = [
            v for v in long
            if v not in self.generations
            and all(v in self.dims(a) for e in self.einsums for a in e.accesses)
        ]  # fmt: skip
        blocked = [v for v in long if v not in batch]
        states = [v for v in self.generations if self.extents[v] > 1]
        most = max(3 if len(blocked) <= 3 else 2, len(states))
        found: list[Shared] = []

        def grow(loops: Shared, left: Mapping[str, int]) -> None:
            if all(sum(v == s for v, _ in loops) == 1 for s in states):
                found.append((*((v, self.extents[v]) for v in batch), *loops))
            if len(loops) == most:
                return
            for v in blocked:
                if loops and loops[-1][0] == v:
                    continue
                for bound in [left[v]] if v in states else divisors(left[v]):
                    if bound > 1:
                        grow((*loops, (v, bound)), {**left, v: left[v] // bound})

        grow((), {v: self.extents[v] for v in blocked})
        return found

    def inside(self, shared: Shared, depth: int) -> dict[str, int]:
        """Extents below the first ``depth`` shared loops."""
        left = dict(self.extents)
        for v, bound in shared[:depth]:
            left[v] //= bound
        return left

    def home(self, shared: Shared, tensor: str) -> int:
        state = self.flow.states.get(tensor)
        for depth, (v, _) in enumerate(shared):
            if len({v in e.extents for e in self.users(tensor)}) > 1 or (state is not None and state.variable == v):
                return depth
        return len(shared)

    # -- nests of an Einsum

    def own_generations(self, einsum: SizedEinsum) -> set[str]:
        found = set()
        for access in einsum.accesses:
            state = self.flow.states.get(access.tensor)
            if state is not None and state.variable in access.variables and state.variable not in self.dims(access):
                found.add(state.variable)
        return found

    def nests_below(self, einsum: SizedEinsum, tile: Mapping[str, int], residents: Mapping[str, str]) -> list[Option]:
        """Every nest of an Einsum on every unit; of equal ones the first."""
        found: dict[tuple[object, ...], Option] = {}
        rules = self.architecture.rules_for(einsum)
        tensors = [a.tensor for a in einsum.accesses]
        mine = {t: u for t, u in residents.items() if t in tensors}
        has = {a.tensor: set(self.dims(a)) for a in einsum.accesses}
        for unit in self.units:
            if not self.able(unit, einsum) or any(name != unit.name for name in mine.values()):
                continue
            sequences: list[tuple[str, ...]] = [()]
            if unit.registers is not None:
                holding = rules.holding(unit.registers.name)
                free = [t for t in tensors if tensors.count(t) == 1 and t not in mine and holding.allows(t)]
                sequences = [s for n in range(3) for s in itertools.permutations(free, n)]
                sequences = [s for s in sequences if holding.must & set(tensors) <= {*s, *mine}]
            for layout in self._layouts(einsum, unit, tile, [has[t] for t in mine]):
                left = {v: tile[v] for v in einsum.extents}
                for _, v, count in layout:
                    left[v] //= count
                for sequence in sequences:
                    for nodes in _inner(unit, left, sequence, has):
                        spatial = tuple(Spatial(unit.fanout.name, *entry) for entry in layout)
                        key = (unit.name, layout if mine else sorted_product(layout), nodes)
                        option = Option(unit, layout, (*spatial, *nodes, Bind(unit.name)))
                        found.setdefault(key, option)
        return list(found.values())

    def able(self, unit: Unit, einsum: SizedEinsum) -> bool:
        return all(unit.compute.operator_energy_pj(operator) is not None for operator in einsum.operations())

    def _layouts(
        self, einsum: SizedEinsum, unit: Unit, tile: Mapping[str, int], only: Sequence[set[str]]
    ) -> Iterator[Layout]:
        if unit.fanout is None:
            yield ()
            return
        rules = self.architecture.rules_for(einsum)
        fixed = self.own_generations(einsum)
        choices = []
        for axis, size in unit.fanout.axes.items():
            ranks = [
                v for v in einsum.extents
                if v not in fixed and all(v in ranks for ranks in only)
                and rules.axis_allows(unit.fanout.name, axis, v)
            ]  # fmt: skip
            choices.append([None, *((axis, v, d) for v in ranks for d in divisors(tile[v]) if 1 < d <= size)])
        for chosen in itertools.product(*choices):
            layout = tuple(entry for entry in chosen if entry is not None)
            if all(tile[v] % n == 0 for v, n in sorted_product(layout)):
                yield layout

    # -- trees

    def tree(
        self, shared: Shared, at: Mapping[str, int | None], residents: Mapping[str, str],
        nests: Sequence[Nodes], schedule: str,
    ) -> Nodes:  # fmt: skip
        """The tree of the whole cascade."""
        depths = {t: d for t, d in at.items() if d is not None}
        depths |= {t: self.home(shared, t) for t in self.internal if t not in residents}
        nodes: list[Node] = []
        for depth in range(len(shared) + 1):
            nodes += [Hold(self.buffer.name, (t,)) for t in self.tensors if depths.get(t) == depth]
            nodes += [Loop(*shared[depth])] if depth < len(shared) else []
        registers = {u.name: u.registers for u in self.units}
        nodes += [Hold(registers[unit].name, (tensor,)) for tensor, unit in residents.items()]
        children = tuple(Child(name, nest) for name, nest in zip(self.names, nests, strict=True))
        group = (*nodes, Group(schedule, children))
        every = dict.fromkeys(a.tensor for e in self.flow.einsums.values() for a in e.accesses)
        head = Hold(self.outer.name, tuple(t for t in every if t not in self.internal))
        if not self.others:
            return (head, *group)
        pieces = [Child(name, nest) for name, nest in self.others.items()]
        before = [p for p in pieces if list(self.flow.einsums).index(p.label) < self._first]
        after = [p for p in pieces if p not in before]
        return (head, Group("sequential", (*before, Child("group", group), *after)))

    @cached_property
    def _first(self) -> int:
        return list(self.flow.einsums).index(self.names[0])

    def evaluate(self, nodes: Nodes, roomy: bool = False) -> Fused:
        self.evaluated += 1
        if self.evaluated > self.most:
            raise TooLarge
        return evaluate_tree(self.cascade, self.roomy if roomy else self.architecture, nodes)

    # -- parts as evaluated

    def ports(self) -> list[tuple[Memory, Fraction, bool, bool]]:
        """(memory, bits per cycle, whether reads use it, whether writes do) of the limited ports of O and B."""
        found = []
        for memory in (self.outer, self.buffer):
            limits = ((memory.bandwidth, True, True), (memory.read_bandwidth, True, False),
                      (memory.write_bandwidth, False, True))  # fmt: skip
            found += [(memory, rate.value, r, w) for rate, r, w in limits if rate != UNLIMITED]
        return found

    def priced(self, memory: Memory, tensor: str, reads: float, writes: float) -> np.ndarray:
        """Energy, then the load of every port."""
        bits = self.bits(tensor)
        share = 1.0 if memory.word_bits is None else bits / float(memory.word_bits)
        energy = share * (reads * memory.read_energy_pj + writes * memory.write_energy_pj)
        loads = [
            (reads * r + writes * w) * bits / float(rate) if owner is memory else 0.0
            for owner, rate, r, w in self.ports()
        ]
        return np.array([energy, *loads])

    @cached_property
    def _options(self) -> dict[tuple[object, ...], list[Option]]:
        return {}

    def _key(self, einsum: SizedEinsum, shared: Shared, residents: Mapping[str, str]) -> tuple[object, ...]:
        own = tuple((v, b) for v, b in shared if v in einsum.extents)
        mine = tuple((t, u) for t, u in residents.items() if any(a.tensor == t for a in einsum.accesses))
        return einsum.name, own, mine

    def options(self, shared: Shared, residents: Mapping[str, str]) -> list[list[Option]] | None:
        """Nests of every Einsum, evaluated; None: one has none."""
        tile = self.inside(shared, len(shared))
        keys = [self._key(e, shared, residents) for e in self.einsums]
        listed = []
        for einsum, key in zip(self.einsums, keys, strict=True):
            if key not in self._options:
                listed.append(self.nests_below(einsum, tile, residents))
            else:
                listed.append([])
        new = [i for i, key in enumerate(keys) if key not in self._options]
        if any(not listed[i] for i in new):
            return None
        bare = [self._bare(e, tile, residents) for e in self.einsums]
        measured: dict[int, list[Option]] = {i: [] for i in new}
        # several Einsums at a time where no layout is shared: an Einsum's words do not depend on the others' nests
        for turn in range(max((len(listed[i]) for i in new), default=0)):
            todo = [i for i in new if turn < len(listed[i])]
            groups = [[i] for i in todo] if residents else [todo]
            for group in groups:
                chosen = {i: listed[i][turn] for i in group}
                for i, option in self._measured(shared, residents, bare, chosen):
                    measured[i].append(option)
        for i in new:
            self._options[keys[i]] = measured[i]
        found = [self._options[key] for key in keys]
        return found if all(found) else None

    def _bare(self, einsum: SizedEinsum, tile: Mapping[str, int], residents: Mapping[str, str]) -> Option:
        mine = {u for t, u in residents.items() if any(a.tensor == t for a in einsum.accesses)}
        unit = next(u for u in self.units if self.able(u, einsum) and mine <= {u.name})
        loops = tuple(Loop(v, tile[v]) for v in einsum.extents if tile[v] > 1)
        return Option(unit, (), (*loops, Bind(unit.name)))

    def _measured(
        self, shared: Shared, residents: Mapping[str, str], bare: Sequence[Option], chosen: Mapping[int, Option]
    ) -> Iterator[tuple[int, Option]]:
        nests = list(bare)
        for i, option in chosen.items():
            nests[i] = option
            for j, other in enumerate(self.einsums):  # users of a resident have one layout
                if residents and j != i and self._cluster(residents, i, j):
                    nests[j] = self._laid(other, shared, residents, option)
        at = dict.fromkeys(self.boundary, self.base(shared))
        try:
            fused = self.evaluate(self.tree(shared, at, residents, [o.nodes for o in nests], "sequential"), roomy=True)
        except MappingError:
            if len(chosen) > 1:
                for i, option in chosen.items():
                    yield from self._measured(shared, residents, bare, {i: option})
            return
        for i, option in chosen.items():
            einsum = self.einsums[i]
            result = fused.einsums[einsum.name]
            registers = option.unit.registers
            own = result.memories.get(registers.name) if registers is not None else None
            words: dict[str, Words] = {}
            for tensor in dict.fromkeys(a.tensor for a in einsum.accesses):
                if tensor in residents:
                    continue
                inside = tensor in self.internal or at[tensor] is not None
                memory = self.buffer if inside else self.outer
                counts = result.memories[memory.name].tensors[tensor]
                shell = (counts.drains, counts.fills) if inside else (0, 0)
                words[tensor] = Words(float(counts.reads - shell[0]), float(counts.writes - shell[1]))
            work = result.computes[option.unit.name]
            yield (
                i,
                replace(
                    option,
                    energy=work.energy_pj + result.links_energy_pj + (own.energy_pj if own else 0.0),
                    busy=work.busy_cycles,
                    words=words,
                    register_load=float(own.busy_cycles) if own else 0.0,
                    register_bits=self._register_bits(einsum, option),
                    drain=self._drain(einsum, option),
                ),
            )

    def _cluster(self, residents: Mapping[str, str], i: int, j: int) -> bool:
        return any(i in cluster and j in cluster for cluster in self.clusters(residents))

    def clusters(self, residents: Mapping[str, str]) -> list[set[int]]:
        """Einsums, by place, that share residents."""
        clusters: list[set[int]] = []
        for tensor in residents:
            users = {self.place(e.name) for e in self.users(tensor)}
            joined = users.union(*(c for c in clusters if c & users))
            clusters = [c for c in clusters if not c & users] + [joined]
        return clusters

    def _laid(self, einsum: SizedEinsum, shared: Shared, residents: Mapping[str, str], like: Option) -> Option:
        """A bare nest with the layout of another."""
        left = {v: self.inside(shared, len(shared))[v] for v in einsum.extents}
        for _, v, count in like.layout:
            left[v] = left.get(v, 1) // count
        spatial = tuple(Spatial(like.unit.fanout.name, *entry) for entry in like.layout)
        loops = tuple(Loop(v, n) for v, n in left.items() if n > 1)
        return Option(like.unit, like.layout, (*spatial, *loops, Bind(like.unit.name)))

    def base(self, shared: Shared) -> int | None:
        """Depth of all boundary tensors in trees in which nests are evaluated."""
        return 0

    def _register_bits(self, einsum: SizedEinsum, option: Option) -> float:
        total = 0.0
        for place, node in enumerate(option.nodes):
            if isinstance(node, Hold):
                tensor = node.tensors[0]
                inside = [n for n in option.nodes[place:] if isinstance(n, Loop) and n.variable in self.ranks(tensor)]
                doubled = 2 if option.unit.registers.double_buffered else 1
                total += math.prod(n.bound for n in inside) * self.bits(tensor) * doubled
        return total

    def _drain(self, einsum: SizedEinsum, option: Option) -> int:
        hop = option.unit.fanout.hop_cycles if option.unit.fanout is not None else 0
        return sum(count * hop for _, v, count in option.layout if v not in einsum.output.variables)

    def crossings(self, shared: Shared) -> dict[str, dict[int | None, np.ndarray]]:
        """Energy and loads of every boundary tensor at every depth that is legal."""
        tile = self.inside(shared, len(shared))
        nests = [self._bare(e, tile, {}).nodes for e in self.einsums]
        found: dict[str, dict[int | None, np.ndarray]] = {t: {None: self._nothing} for t in self.boundary}

        def measure(at: Mapping[str, int | None], tensors: Sequence[str], depth: int) -> bool:
            try:
                fused = self.evaluate(self.tree(shared, at, {}, nests, "sequential"), roomy=True)
            except MappingError:
                return False
            for tensor in tensors:
                vector = self._nothing
                for name in self.names:
                    memories = fused.einsums[name].memories
                    if self.outer.name in memories and tensor in memories[self.outer.name].tensors:
                        far = memories[self.outer.name].tensors[tensor]
                        vector = vector + self.priced(self.outer, tensor, far.reads, far.writes)
                    if self.buffer.name in memories and tensor in memories[self.buffer.name].tensors:
                        near = memories[self.buffer.name].tensors[tensor]
                        vector = vector + self.priced(self.buffer, tensor, near.drains, near.fills)
                found[tensor][depth] = vector
            return True

        for depth in range(len(shared) + 1):
            if not measure(dict.fromkeys(self.boundary, depth), self.boundary, depth):
                for tensor in self.boundary:
                    measure({**dict.fromkeys(self.boundary, 0), tensor: depth}, [tensor], depth)
        return found

    @cached_property
    def _nothing(self) -> np.ndarray:
        return np.zeros(1 + len(self.ports()))

    # -- frames

    def resident_choices(self, shared: Shared) -> Iterator[dict[str, str]]:
        choices: list[list[str | None]] = []
        for tensor in self.internal:
            users = self.users(tensor)
            stays = self._buffer_rule(tensor)
            mine: list[str | None] = [None] if stays[1] else []
            free = tensor not in self.flow.states and self.home(shared, tensor) == len(shared) and not stays[0]
            for unit in self.units if self.residents and free else ():
                if unit.registers is not None and all(
                    self.able(unit, e) and self.architecture.rules_for(e).holding(unit.registers.name).allows(tensor)
                    for e in users
                ):
                    mine.append(unit.name)
            choices.append(mine)
        for chosen in itertools.product(*choices):
            yield {t: u for t, u in zip(self.internal, chosen, strict=True) if u is not None}

    def _buffer_rule(self, tensor: str) -> tuple[bool, bool]:
        """Whether the buffer must, and whether it may hold a tensor."""
        holding = [self.architecture.rules_for(e).holding(self.buffer.name) for e in self.users(tensor)]
        return any(tensor in h.must for h in holding), all(h.allows(tensor) for h in holding)

    def depths(self, shared: Shared) -> list[Depths]:
        """Every choice of depths of the boundary tensors."""
        choices = []
        for tensor, known in self.crossings(shared).items():
            must, may = self._buffer_rule(tensor)
            choices.append([
                (tensor, depth, vector, 0.0 if depth is None else self._tile_bits(shared, tensor, depth))
                for depth, vector in known.items() if (may if depth is not None else not must)
            ])  # fmt: skip
        return [
            Depths(tuple((t, d) for t, d, _, _ in chosen), sum((v for _, _, v, _ in chosen), self._nothing),
                   sum(b for _, _, _, b in chosen))
            for chosen in itertools.product(*choices)
        ]  # fmt: skip

    def _tile_bits(self, shared: Shared, tensor: str, depth: int) -> float:
        left = self.inside(shared, depth)
        doubled = 2 if self.buffer.double_buffered else 1
        return math.prod(left[v] for v in self.ranks(tensor)) * self.bits(tensor) * doubled

    def lags(self, shared: Shared, schedule: str, units: Sequence[str]) -> dict[str, int] | None:
        """Slots that each Einsum stays behind; None: the recurrence cannot stream."""
        lag = dict.fromkeys(self.names, 0)
        for _ in range(len(lag) + 1):
            changed = False
            for read in self.reads:
                u, v = self.place(read.producer), self.place(read.consumer)
                same = units[u] == units[v] or bool(self.others)  # inside `sequential` a slot is waited for
                wait = 0 if u == v else int(not (v > u if schedule == "sequential" else same))
                if read.distance:
                    variable = self.flow.states[read.tensor].variable
                    at = [i for i, (loop, _) in enumerate(shared) if loop == variable]
                    slots = math.prod(b for _, b in shared[at[-1] + 1 :]) if at else 0
                    wait -= read.distance * slots
                if lag[read.consumer] < lag[read.producer] + wait:
                    lag[read.consumer], changed = lag[read.producer] + wait, True
            if not changed:
                return lag
        return None

    def internal_bits(
        self, shared: Shared, residents: Mapping[str, str], schedule: str, layouts: Mapping[int, Layout]
    ) -> tuple[float, dict[str, list[float]]]:
        """Bits of the buffer for intermediates; and of the registers of each unit for residents, child by child."""
        brief = [0.0] * len(self.names)
        kept = {unit.name: [0.0] * len(self.names) for unit in self.units}
        for tensor in self.internal:
            depth = self.home(shared, tensor)
            users = [self.place(e.name) for e in self.users(tensor)]
            made = [self.place(n) for n in self.flow.producers(tensor)]
            used = [self.place(n) for n in self.flow.consumers(tensor)]
            slot = tensor not in self.flow.states and depth == len(shared)
            alive = range(len(self.names))
            if slot and schedule == "sequential" and min(used) >= min(made):
                alive = range(min(made), max(used) + 1)
            if tensor in residents:
                unit = next(u for u in self.units if u.name == residents[tensor])
                spread = math.prod(n for _, v, n in layouts[users[0]] if v in self.ranks(tensor))
                doubled = 2 if unit.registers.double_buffered else 1
                left = self.inside(shared, len(shared))
                bits = math.prod(left[v] for v in self.ranks(tensor)) / spread * self.bits(tensor) * doubled
                for child in alive:
                    kept[unit.name][child] += bits
            else:
                for child in alive:
                    brief[child] += self._tile_bits(shared, tensor, depth)
        return max(brief), kept

    # -- all trees

    def parts(self) -> int:
        """Parts of trees to be evaluated, about."""
        if self.refused:
            return 0
        seen: dict[tuple[object, ...], int] = {}
        for shared in self.nests:
            tile = self.inside(shared, len(shared))
            for residents in self.resident_choices(shared):
                for einsum in self.einsums:
                    key = self._key(einsum, shared, residents)
                    if key not in seen:
                        seen[key] = len(self.nests_below(einsum, tile, residents))
        return sum(seen.values()) + sum(len(shared) + 1 for shared in self.nests)

    def front(self, rng: Random | None = None, samples: int = 0) -> list[Point]:
        """The best trees in energy and cycles, each confirmed by `evaluate_tree`."""
        candidates: list[tuple[float, float, tuple]] = []
        if not self.refused:
            for shared in self.nests:
                try:
                    depths = self.depths(shared)
                except MappingError:  # a loop that cannot be shared, whatever is held
                    continue
                for residents in self.resident_choices(shared):
                    options = self.options(shared, residents)
                    if options is None:
                        continue
                    for part in self._parts(shared, residents, options):
                        candidates += self._combined(shared, residents, part, depths)
                        candidates = _front(candidates)
        if rng is not None:
            for frame in rng.sample(self._frames, min(samples, len(self._frames))):
                self._sample(rng, *frame)
        return self._confirmed(candidates)

    @cached_property
    def _frames(self) -> list[tuple]:
        return []

    def _parts(
        self, shared: Shared, residents: Mapping[str, str], options: Sequence[Sequence[Option]]
    ) -> Iterator[list[list[Option]]]:
        """Options by unit, and by layout where residents ask for one."""
        clusters = self.clusters(residents)
        bound = [i for cluster in clusters for i in cluster]
        keys = [
            list(dict.fromkeys((o.unit.name, o.layout if i in bound else None) for o in mine))
            for i, mine in enumerate(options)
        ]
        for chosen in itertools.product(*keys):
            if all(len({chosen[i] for i in cluster}) == 1 for cluster in clusters):
                yield [
                    [o for o in mine if (o.unit.name, o.layout if i in bound else None) == chosen[i]]
                    for i, mine in enumerate(options)
                ]

    def _combined(
        self, shared: Shared, residents: Mapping[str, str], options: list[list[Option]], depths: list[Depths]
    ) -> list[tuple[float, float, tuple]]:
        """(energy, cycles, tree) of the best combinations with each Einsum on one unit."""
        found: list[tuple[float, float, tuple]] = []
        units = [mine[0].unit.name for mine in options]
        layouts = {i: mine[0].layout for i, mine in enumerate(options)}
        for schedule in ("sequential",) if len(self.units) == 1 else ("sequential", "pipelined"):
            lag = self.lags(shared, schedule, units)
            if lag is None:
                continue
            self.trees += len(depths) * math.prod(map(len, options))
            bits, kept = self.internal_bits(shared, residents, schedule, layouts)
            limit = float(self.buffer.capacity.value) - bits
            for outside in {d.outside for d in depths}:
                fitting = [d for d in depths if d.outside == outside and d.bits <= limit * (1 + 1e-12)]
                if not fitting:
                    continue
                few = [fitting[i] for i in _kept(np.array([d.vector for d in fitting]))]
                tables = [self._table(mine, outside) for mine in options]
                chosen = [self._best(table) for table in tables]
                grids = [g.ravel() for g in np.meshgrid(*chosen, indexing="ij")]
                rows = [table[grid] for table, grid in zip(tables, grids, strict=True)]
                fits = self._fits(rows, units, kept, schedule)
                self._frames.append((shared, residents, options, depths, outside, schedule, lag))
                if not fits.any():
                    continue
                rows = [row[fits] for row in rows]
                grids = [grid[fits] for grid in grids]
                for depth in few:
                    energy, cycles = self._costs(rows, depth.vector, shared, schedule, units, lag)
                    for i in _kept(np.stack([energy, cycles], axis=1)):
                        nests = tuple(mine[grid[i]] for mine, grid in zip(options, grids, strict=True))
                        tree = (shared, depth, residents, nests, schedule)
                        found.append((float(energy[i]), float(cycles[i]), tree))
                found = _front(found)
        return found

    ENERGY, BUSY, ALONE, REGISTER, BITS, DRAIN, LOADS = range(7)

    def _table(self, options: Sequence[Option], outside: frozenset[str]) -> np.ndarray:
        """Energy, busy cycles, cycles alone, load and bits of registers, drain, loads of the ports."""
        rows = []
        for option in options:
            vector = self._nothing
            for tensor, words in option.words.items():
                memory = self.outer if tensor in outside else self.buffer
                vector = vector + self.priced(memory, tensor, words.reads, words.writes)
            alone = max(option.busy, option.register_load, *vector[1:], 0.0)
            rows.append([option.energy + vector[0], option.busy, alone, option.register_load, option.register_bits,
                         option.drain, *vector[1:]])  # fmt: skip
        return np.array(rows, dtype=float)

    def _best(self, table: np.ndarray) -> np.ndarray:
        """Rows that may be part of a best tree: none equal; without drains none that another beats in everything."""
        if table[:, self.DRAIN].any():
            return np.sort(np.unique(table, axis=0, return_index=True)[1])
        return np.array(_kept(table))

    def _fits(
        self, rows: Sequence[np.ndarray], units: Sequence[str], kept: Mapping[str, list[float]], schedule: str
    ) -> np.ndarray:
        fits = np.ones(len(rows[0]), dtype=bool)
        for unit in self.units:
            if unit.registers is None:
                continue
            own = [row[:, self.BITS] * (name == unit.name) for row, name in zip(rows, units, strict=True)]
            if schedule == "sequential":
                used = np.max([mine + held for mine, held in zip(own, kept[unit.name], strict=True)], axis=0)
            else:
                used = np.sum(own, axis=0) + max(kept[unit.name])
            fits &= used <= float(unit.registers.capacity.value) * (1 + 1e-12)
        return fits

    def _costs(
        self, rows: Sequence[np.ndarray], crossing: np.ndarray, shared: Shared, schedule: str, units: Sequence[str],
        lag: Mapping[str, int],
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Energy with leakage, and cycles."""
        busy = [row[:, self.BUSY] for row in rows]
        alone = [row[:, self.ALONE] for row in rows]
        if schedule == "sequential":
            found = np.sum(alone, axis=0) + self._exposed(rows, shared)
        else:
            found = np.max([*alone, self._overlapped(busy, shared, units)], axis=0)
        deep = max(lag.values())
        slots = math.prod(b for _, b in shared)
        ramp = found * (deep / slots) if not self.others or shared else 0.0 * found
        loads = [crossing[1 + port] + sum(row[:, self.LOADS + port] for row in rows)
                 for port in range(len(self.ports()))]  # fmt: skip
        for unit in self.units:
            loads.append(sum(row[:, self.REGISTER] * (n == unit.name) for row, n in zip(rows, units, strict=True)))
        cycles = np.max([found, *loads], axis=0) + ramp
        energy = crossing[0] + sum(row[:, self.ENERGY] for row in rows) + cycles * self.leakage
        return energy, cycles

    @cached_property
    def leakage(self) -> float:
        return self.architecture.leakage_w() / self.architecture.clock_hz * 1e12

    def _overlapped(self, busy: Sequence[np.ndarray], shared: Shared, units: Sequence[str]) -> np.ndarray:
        """Cycles of the busiest unit; inside `sequential` slot by slot."""
        if not self.others:
            return np.max(
                [sum(b for b, n in zip(busy, units, strict=True) if n == name) for name in set(units)], axis=0
            )
        total = np.zeros(len(busy[0]))
        for runs in self._slots(shared):
            now: dict[str, np.ndarray] = {}
            for i, times in runs.items():
                now[units[i]] = now.get(units[i], 0.0) + busy[i] / times
            total = total + np.max([*now.values(), 0.0 * total], axis=0)
        return total

    def _exposed(self, rows: Sequence[np.ndarray], shared: Shared) -> np.ndarray:
        """Cycles for which a child of `sequential` waits for what an earlier one lets out of its array."""
        total = np.zeros(len(rows[0]))
        if not any(row[:, self.DRAIN].any() for row in rows):
            return total
        needed = {(self.place(r.producer), self.place(r.consumer)) for r in self.reads if not r.distance}
        for runs in self._slots(shared):
            late, now, end = 0.0 * total, 0.0 * total, {}
            for i in sorted(runs):
                ready = [
                    np.where(rows[u][:, self.DRAIN] > 0, end[u] + rows[u][:, self.DRAIN], 0.0)
                    for u, v in needed if v == i and u in end and u < v
                ]  # fmt: skip
                begin = np.max([now, *ready], axis=0)
                late = late + begin - now
                now = end[i] = begin + rows[i][:, self.BUSY] / runs[i]
            total = total + late
        return total

    def _slots(self, shared: Shared) -> Iterator[dict[int, int]]:
        """For every slot the Einsums that run in it, by place, and in how many slots each runs."""
        for slot in itertools.product(*(range(b) for _, b in shared)):
            found: dict[int, int] = {}
            for i, einsum in enumerate(self.einsums):
                runs, active = 1, True
                for (v, bound), index in zip(shared, slot, strict=True):
                    if v in einsum.extents:
                        runs *= bound
                    else:
                        active &= index == (0 if self._feeds(einsum.name, v) else bound - 1)
                if active:
                    found[i] = runs
            yield found

    def _feeds(self, name: str, variable: str) -> bool:
        """Whether an Einsum that iterates a rank needs what this one makes, in this slot."""
        reached = {name}
        while more := {r.consumer for r in self.reads if r.producer in reached} - reached:
            reached |= more
        return any(variable in self.flow.einsums[n].extents for n in reached - {name})

    # -- confirmation

    def nodes(self, tree: tuple) -> Nodes:
        shared, depth, residents, nests, schedule = tree
        return self.tree(shared, dict(depth.at), residents, [option.nodes for option in nests], schedule)

    def point(self, nodes: Nodes) -> Point:
        """What the group of a tree costs."""
        fused = self.evaluate(nodes)
        cycles = float(fused.streamed.cycles) - self.others_cycles
        return Point(cost_of(fused, self.names) + cycles * self.leakage, cycles, nodes)

    def _confirmed(self, candidates: list[tuple[float, float, tuple]]) -> list[Point]:
        points: list[Point] = []
        for energy, cycles, tree in sorted(candidates, key=lambda c: c[:2]):
            nodes = self.nodes(tree)
            self.most += 1
            try:
                point = self.point(nodes)
            except MappingError as error:
                raise Broken(f"a best tree is not legal: {error}\n{_text(nodes)}") from error
            self._same("energy", energy, point.energy, nodes)
            self._same("cycles", cycles, point.cycles, nodes)
            points.append(point)
        return front_of(points)

    def _same(self, what: str, summed: float, real: float, nodes: Nodes) -> None:
        if abs(summed - real) > NEAR * max(1.0, abs(real)):
            raise Broken(f"{what}: parts add up to {summed}, the tree has {real}\n{_text(nodes)}")

    def _sample(
        self, rng: Random, shared: Shared, residents: Mapping[str, str], options: list[list[Option]],
        depths: list[Depths], outside: frozenset[str], schedule: str, lag: Mapping[str, int],
    ) -> None:  # fmt: skip
        """One tree at random: its parts add up, also to bits of the memories, and capacities decide as they should."""
        nests = tuple(rng.choice(mine) for mine in options)
        depth = rng.choice([d for d in depths if d.outside == outside])
        units = [o.unit.name for o in nests]
        rows = [self._table([o], outside) for o in nests]
        energy, cycles = self._costs(rows, depth.vector, shared, schedule, units, lag)
        nodes = self.nodes((shared, depth, residents, nests, schedule))
        self.most += 2
        fused = self.evaluate(nodes, roomy=True)
        real = float(fused.streamed.cycles) - self.others_cycles
        self._same("sampled cycles", float(cycles[0]), real, nodes)
        self._same("sampled energy", float(energy[0] - cycles[0] * self.leakage), cost_of(fused, self.names), nodes)
        bits, kept = self.internal_bits(shared, residents, schedule, {i: o.layout for i, o in enumerate(nests)})
        fits = bits + depth.bits <= float(self.buffer.capacity.value) and bool(
            self._fits(rows, units, kept, schedule)[0]
        )
        try:
            evaluate_tree(self.cascade, self.architecture, nodes)
            legal = True
        except MappingError:
            legal = False
        if legal != fits:
            raise Broken(f"fits: {fits}, legal: {legal}\n{_text(nodes)}")


def _inner(
    unit: Unit, left: Mapping[str, int], sequence: Sequence[str], has: Mapping[str, set[str]]
) -> Iterator[Nodes]:
    """Loops and holds of the registers below the spatial loops; loops of one iteration are left out."""
    first = [v for v in left if not sequence or v in has[sequence[0]]]
    second = [v for v in left if len(sequence) == 2 and v in has[sequence[1]]]
    cut = [v for v in first if len(sequence) == 2 and v not in second]
    for inner in itertools.product(*(divisors(left[v]) for v in cut)):
        part = dict(zip(cut, inner, strict=True))
        nodes: list[Node] = [Loop(v, left[v]) for v in first if v not in part]
        nodes += [Loop(v, left[v] // part[v]) for v in part]
        if sequence:
            nodes.append(Hold(unit.registers.name, (sequence[0],)))
        if len(sequence) == 2:
            nodes += [Loop(v, left[v]) for v in second if v not in first]
            nodes.append(Hold(unit.registers.name, (sequence[1],)))
        nodes += [Loop(v, left[v]) for v in left if v not in first and v not in second]
        nodes += [Loop(v, part[v]) for v in part]
        yield tuple(n for n in nodes if not (isinstance(n, Loop) and n.bound == 1))


def sorted_product(layout: Layout) -> tuple[tuple[str, int], ...]:
    """Instances along every rank, whatever the axes."""
    ranks = sorted({v for _, v, _ in layout})
    return tuple((v, math.prod(n for _, rank, n in layout if rank == v)) for v in ranks)


def _kept(table: np.ndarray) -> list[int]:
    """Rows that no other matches or beats in everything; of equal ones the first."""
    kept: list[int] = []
    for i in np.lexsort(table.T[::-1]):
        if not kept or not (table[kept] <= table[i] + 1e-12 * np.abs(table[i])).all(axis=1).any():
            kept.append(int(i))
    return kept


def _front(candidates: list[tuple[float, float, tuple]]) -> list[tuple[float, float, tuple]]:
    table = np.array([(c, e) for e, c, _ in candidates]).reshape(-1, 2)
    return [candidates[i] for i in _kept(table)]


def _text(nodes: Nodes, indent: int = 0) -> str:
    lines = ""
    for node in nodes:
        if isinstance(node, Group):
            lines += " " * indent + node.schedule + ":\n"
            for child in node.children:
                lines += " " * (indent + 2) + child.label + ":\n" + _text(child.nodes, indent + 4)
        else:
            lines += " " * indent + str(node) + "\n"
    return lines
