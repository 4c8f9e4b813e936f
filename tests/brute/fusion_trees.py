"""Brute force over the declared space of fused trees, tree by tree, each costed by `evaluate_tree`.

Nothing is added up from parts and nothing is pruned: a case whose trees are too many is drawn again. It shares nothing
with ``einloom.mapper.fusion``. What a case is: ``judged(drawn(seed))``;

$ python tests/brute/fusion_trees.py --seed 0 --count 100      cases, trees, wrong
$ python tests/brute/fusion_trees.py --seed 17 --verbose       one case, written out
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from einloom.arch.tree import Amount, Architecture, AxisRule, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mapper import Mapper
from einloom.mapper.found import split_objective
from einloom.mapper.fusion import map_cascade
from einloom.mapper.tree_result import TreeResult
from einloom.mappings.nodes import Bind, Child, Group, Hold, Loop, Node, Nodes, Spatial
from einloom.mappings.text import parse_node
from einloom.model.fused import evaluate_tree
from einloom.model.reference.fused import execute_tree
from einloom.model.result import EinsumResult
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import Dataflow, dataflow
from einloom.workloads.sized import SizedEinsum

Shared = tuple[tuple[str, int], ...]
NEAR = 1 + 1e-9
WORD = 16
OBJECTIVES = ("energy", "latency", "edp", "pareto", "pareto:B")


# -- the space


@dataclass(frozen=True)
class Unit:
    """One way from the buffer to a compute."""

    fanout: Fanout | None
    registers: Memory | None
    compute: Compute


def units_of(machine: Architecture) -> list[Unit]:
    units = []
    for path in machine.paths():
        fanout = next((x for x in path[2:] if isinstance(x, Fanout)), None)
        registers = next((x for x in path[2:] if isinstance(x, Memory)), None)
        units.append(Unit(fanout, registers, path[-1]))
    return units


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


@dataclass
class Trees:
    """All trees of one group.

    Attributes:
        names: Einsums of the group, in order.
    """

    flow: Dataflow
    machine: Architecture
    names: tuple[str, ...]
    einsums: list[SizedEinsum] = field(init=False)
    extents: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.einsums = [self.flow.einsums[name] for name in self.names]
        self.extents = {v: n for e in self.einsums for v, n in e.extents.items()}
        self.outer, self.buffer = self.machine.memories()[:2]
        self.units = units_of(self.machine)
        self.tensors = list(dict.fromkeys(a.tensor for e in self.einsums for a in e.accesses))
        self.reads = [r for r in self.flow.reads if r.producer in self.names and r.consumer in self.names]
        made = {e.output.tensor: e.output for e in self.einsums}
        self.internal = [
            t for t in self.tensors
            if t in made and not made[t].workload_output and set(self.flow.consumers(t)) <= set(self.names)
        ]  # fmt: skip
        self.boundary = [t for t in self.tensors if t not in self.internal]
        carried = [r.tensor for r in self.reads if r.producer != r.consumer and r.tensor in self.flow.states]
        self.generations = list(dict.fromkeys(self.flow.states[t].variable for t in carried))

    def users(self, tensor: str) -> list[SizedEinsum]:
        return [e for e in self.einsums if any(a.tensor == tensor for a in e.accesses)]

    def ranks(self, access: Any) -> frozenset[str]:
        """That index what is accessed, the generation of a state left out."""
        state = self.flow.states.get(access.tensor)
        skip = None if state is None else state.dimension
        return frozenset(v for i, dim in enumerate(access.dims) if i != skip for v, _ in dim)

    def ranks_of(self, tensor: str) -> frozenset[str]:
        return next(self.ranks(a) for e in self.einsums for a in e.accesses if a.tensor == tensor)

    def refused(self) -> bool:
        for tensor in self.tensors:
            if len({self.ranks(a) for e in self.einsums for a in e.accesses if a.tensor == tensor}) > 1:
                return True
            everybody = {*self.flow.producers(tensor), *self.flow.consumers(tensor)}
            if tensor in self.flow.states and not everybody <= set(self.names):
                return True
        linked = {n for r in self.reads if r.producer != r.consumer for n in (r.producer, r.consumer)}
        return linked != set(self.names) or not set(self.generations) <= set(self.sharable())

    def sharable(self) -> list[str]:
        def streams(variable: str) -> bool:
            for read in self.reads:
                u, v = self.flow.einsums[read.producer], self.flow.einsums[read.consumer]
                if u is v or variable not in u.extents or variable not in v.extents:
                    continue
                pairs = zip(u.output.dims, v.accesses[read.access].dims, strict=True)
                if not any(a == b == ((variable, 1),) for a, b in pairs):
                    return False
            return True

        return [v for v in self.extents if sum(v in e.extents for e in self.einsums) > 1 and streams(v)]

    def shared(self) -> list[Shared]:
        sharable = [v for v in self.sharable() if self.extents[v] > 1]
        batch = [
            v for v in sharable
            if v not in self.generations and all(v in self.ranks(a) for e in self.einsums for a in e.accesses)
        ]  # fmt: skip
        blocked = [v for v in sharable if v not in batch]
        states = [v for v in self.generations if self.extents[v] > 1]
        found = []
        for count in range((3 if len(blocked) <= 3 else 2) + 1):
            for shape in itertools.product(blocked, repeat=count):
                if any(a == b for a, b in itertools.pairwise(shape)) or any(shape.count(s) != 1 for s in states):
                    continue
                choices = [[self.extents[v]] if v in states else divisors(self.extents[v])[1:] for v in shape]
                for bounds in itertools.product(*choices):
                    loops = tuple(zip(shape, bounds, strict=True))
                    if all(self.extents[v] % self.whole(loops, v) == 0 for v in shape):
                        found.append((*((v, self.extents[v]) for v in batch), *loops))
        return found

    @staticmethod
    def whole(loops: Sequence[tuple[str, int]], variable: str) -> int:
        return math.prod(bound for v, bound in loops if v == variable)

    def home(self, shared: Shared, tensor: str) -> int:
        users, state = self.users(tensor), self.flow.states.get(tensor)
        for depth, (v, _) in enumerate(shared):
            if not all(v in e.extents for e in users) or (state is not None and v == state.variable):
                return depth
        return len(shared)

    def rule(self, memory: Memory, tensor: str) -> tuple[bool, bool]:
        """Whether a memory must, and whether it may hold a tensor."""
        holdings = [self.machine.rules_for(e).holding(memory.name) for e in self.users(tensor)]
        return any(tensor in h.must for h in holdings), all(h.allows(tensor) for h in holdings)

    def residents(self, shared: Shared) -> Iterator[dict[str, int]]:
        """Tensors that stay in the registers of a unit (its number)."""
        choices: list[list[int | None]] = []
        for tensor in self.internal:
            must, may = self.rule(self.buffer, tensor)
            mine: list[int | None] = [None] if may else []
            if not must and tensor not in self.flow.states and self.home(shared, tensor) == len(shared):
                for number, unit in enumerate(self.units):
                    able = all(self.able(unit, e) for e in self.users(tensor))
                    if unit.registers is not None and able and self.rule(unit.registers, tensor)[1]:
                        mine.append(number)
            choices.append(mine)
        for chosen in itertools.product(*choices):
            yield {t: u for t, u in zip(self.internal, chosen, strict=True) if u is not None}

    def able(self, unit: Unit, einsum: SizedEinsum) -> bool:
        return all(unit.compute.operator_energy_pj(operator) is not None for operator in einsum.operations())

    def depths(self, shared: Shared) -> list[dict[str, int]]:
        choices = []
        for tensor in self.boundary:
            must, may = self.rule(self.buffer, tensor)
            choices.append(([] if must else [None]) + (list(range(len(shared) + 1)) if may else []))
        return [
            {t: d for t, d in zip(self.boundary, chosen, strict=True) if d is not None}
            for chosen in itertools.product(*choices)
        ]

    def nests(self, einsum: SizedEinsum, shared: Shared, residents: Mapping[str, int]) -> list[Nodes]:
        left = {v: n // self.whole(shared, v) for v, n in einsum.extents.items()}
        mine = {t: u for t, u in residents.items() if any(a.tensor == t for a in einsum.accesses)}
        found: list[Nodes] = []
        for number, unit in enumerate(self.units):
            if self.able(unit, einsum) and all(u == number for u in mine.values()):
                for spatial in self.layouts(einsum, unit, left, mine):
                    rest = dict(left)
                    for node in spatial:
                        rest[node.variable] //= node.bound
                    found += [
                        (*spatial, *inner, Bind(unit.compute.name)) for inner in self.inner(einsum, unit, rest, mine)
                    ]
        return list(dict.fromkeys(found))

    def layouts(
        self, einsum: SizedEinsum, unit: Unit, left: Mapping[str, int], mine: Mapping[str, int]
    ) -> Iterator[tuple[Spatial, ...]]:
        if unit.fanout is None:
            yield ()
            return
        rules = self.machine.rules_for(einsum)
        counting = {s.variable for t, s in self.flow.states.items() if any(a.tensor == t for a in einsum.accesses)}
        choices = []
        for axis, size in unit.fanout.axes.items():
            ranks = [
                v for v in left
                if v not in counting and rules.axis_allows(unit.fanout.name, axis, v)
                and all(v in self.ranks_of(t) for t in mine)
            ]  # fmt: skip
            some = [Spatial(unit.fanout.name, axis, v, d) for v in ranks for d in divisors(left[v]) if 1 < d <= size]
            choices.append([None, *some])
        for chosen in itertools.product(*choices):
            spatial = tuple(node for node in chosen if node is not None)
            loops = [(node.variable, node.bound) for node in spatial]
            if all(left[v] % self.whole(loops, v) == 0 for v, _ in loops):
                yield spatial

    def inner(
        self, einsum: SizedEinsum, unit: Unit, left: Mapping[str, int], mine: Mapping[str, int]
    ) -> Iterator[list[Node]]:
        tensors = [a.tensor for a in einsum.accesses]
        sequences: list[tuple[str, ...]] = [()]
        if unit.registers is not None:
            holding = self.machine.rules_for(einsum).holding(unit.registers.name)
            free = [t for t in tensors if tensors.count(t) == 1 and t not in mine and holding.allows(t)]
            sequences = [s for n in range(3) for s in itertools.permutations(free, n)]
            sequences = [s for s in sequences if holding.must & set(tensors) <= {*s, *mine}]
        has = {a.tensor: self.ranks(a) for a in einsum.accesses}
        for held in sequences:
            blocks = [has[t] for t in held]
            if len(held) < 2:
                splits: list[str] = []
            else:
                splits = [v for v in left if v in blocks[0] and v not in blocks[1]]
            for inside in itertools.product(*(divisors(left[v]) for v in splits)):
                part = dict(zip(splits, inside, strict=True))
                first = [v for v in left if (not held or v in blocks[0]) and v not in part]
                second = [v for v in left if len(held) == 2 and v in blocks[1] and v not in blocks[0]]
                last = [v for v in left if v not in first and v not in second and v not in part]
                nodes: list[Node] = [Loop(v, left[v]) for v in first]
                nodes += [Loop(v, left[v] // n) for v, n in part.items()]
                if held:
                    nodes.append(Hold(unit.registers.name, (held[0],)))
                    nodes += [Loop(v, left[v]) for v in second]
                if len(held) == 2:
                    nodes.append(Hold(unit.registers.name, (held[1],)))
                nodes += [Loop(v, left[v]) for v in last] + [Loop(v, n) for v, n in part.items()]
                yield [node for node in nodes if not (isinstance(node, Loop) and node.bound == 1)]

    def frames(self) -> Iterator[tuple[Shared, dict[str, int], list[dict[str, int]], list[list[Nodes]]]]:
        if self.refused():
            return
        for shared in self.shared():
            depths = self.depths(shared)
            for residents in self.residents(shared):
                nests = [self.nests(e, shared, residents) for e in self.einsums]
                if all(nests):
                    yield shared, residents, depths, nests

    @property
    def schedules(self) -> tuple[str, ...]:
        return ("sequential",) if len(self.units) == 1 else ("sequential", "pipelined")

    def count(self) -> int:
        """Trees, a few of which are not legal."""
        return sum(
            len(self.schedules) * len(depths) * math.prod(map(len, nests)) for _, _, depths, nests in self.frames()
        )

    def lists(self) -> Iterator[Nodes]:
        """Every tree of the group, without what the outermost memory holds."""
        for shared, residents, depths, nests in self.frames():
            kept = tuple(Hold(self.units[u].registers.name, (t,)) for t, u in residents.items())
            homes = {t: self.home(shared, t) for t in self.internal if t not in residents}
            chosen = [c for c in itertools.product(*nests) if self.alike(c, residents)]
            for at in depths:
                nodes: list[Node] = []
                for depth in range(len(shared) + 1):
                    held = tuple(t for t, d in (at | homes).items() if d == depth)
                    nodes += [Hold(self.buffer.name, held)] if held else []
                    nodes += [Loop(*shared[depth])] if depth < len(shared) else []
                for nest in chosen:
                    children = tuple(Child(n, own) for n, own in zip(self.names, nest, strict=True))
                    for schedule in self.schedules:
                        yield (*nodes, *kept, Group(schedule, children))

    def alike(self, nests: Sequence[Nodes], residents: Mapping[str, int]) -> bool:
        """Whether the users of every resident have the same spatial loops."""
        for tensor in residents:
            places = [i for i, e in enumerate(self.einsums) if any(a.tensor == tensor for a in e.accesses)]
            if len({tuple(n for n in nests[i] if isinstance(n, Spatial)) for i in places}) > 1:
                return False
        return True


def partitions(flow: Dataflow) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Every cut into consecutive pieces with at least one group."""
    names = tuple(flow.einsums)
    for cuts in itertools.product((False, True), repeat=len(names) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [len(names)]
        pieces = tuple(names[a:b] for a, b in itertools.pairwise([0, *ends]))
        if any(len(piece) > 1 for piece in pieces):
            yield pieces


def whole_trees(
    flow: Dataflow, machine: Architecture, alone: Mapping[str, Sequence[EinsumResult]]
) -> tuple[int, Iterator[Nodes]]:
    """(how many, trees of the cascade)."""
    plans = []
    count = 0
    for pieces in partitions(flow):
        groups = {piece: Trees(flow, machine, piece) for piece in pieces if len(piece) > 1}
        mine = math.prod(group.count() for group in groups.values())
        count += mine * math.prod(len(alone[p[0]]) for p in pieces if len(p) == 1)
        if mine:
            plans.append((pieces, groups))
    outer = machine.memories()[0].name
    every = list(dict.fromkeys(a.tensor for e in flow.einsums.values() for a in e.accesses))

    def listed() -> Iterator[Nodes]:
        for pieces, groups in plans:
            inside = {t for group in groups.values() for t in group.internal}
            head = Hold(outer, tuple(t for t in every if t not in inside))
            if len(pieces) == 1:
                yield from ((head, *nodes) for nodes in groups[pieces[0]].lists())
                continue
            options = [
                groups[p].lists() if p in groups else [_nest(r, outer) for r in alone[p[0]]] for p in pieces
            ]  # fmt: skip
            for chosen in itertools.product(*options):
                labels = ["_".join(p) for p in pieces]
                children = tuple(Child(label, nodes) for label, nodes in zip(labels, chosen, strict=True))
                yield (head, Group("sequential", children))

    return count, listed()


def _nest(result: EinsumResult, outer: str) -> Nodes:
    nodes = tuple(parse_node(line) for line in result.mapping)
    return tuple(n for n in nodes if not (isinstance(n, Hold) and n.memory == outer))


# -- cases

CASCADES: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "chain": (["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,l] = sum{n}(T[m,n] * C[n,l])"], "MNKL", {}),
    "vectors": (["T[m] = sum{k}(A[m,k])", "Z[m,l] = T[m] * C[l]"], "MKL", {}),
    "product, exp": (["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,n] = exp(T[m,n])"], "MNK", {}),
    "exp, sum": (["T[m,n] = exp(A[m,n])", "Z[m] = sum{n}(T[m,n])"], "MN", {}),
    "reduction": (["G[m] = max{n}(A[m,n])", "Z[m,n] = exp(A[m,n] - G[m])"], "MN", {}),
    "softmax": (["E[m,n] = exp(A[m,n])", "G[m] = sum{n}(E[m,n])", "Z[m,n] = E[m,n] * G[m]"], "MN", {}),
    "attention": (["Q[p,m] = sum{e}(X[p,e] * K[m,e])", "S[p,m] = exp(Q[p,m])", "Z[p] = sum{m}(S[p,m])"], "PME", {}),
    "three": (["T[m] = sum{k}(A[m,k])", "U[m] = exp(T[m])", "Z[m,l] = U[m] * C[l]"], "MKL", {}),
    "kept": (["T[m,n] = exp(A[m,n])", "Z[m] = sum{n}(T[m,n])"], "MN", {"outputs": ("T", "Z")}),
    "batch": (["T[b,m] = sum{k}(A[b,m,k])", "Z[b] = sum{m}(T[b,m] * C[b,m])"], "BMK", {}),
    "squares": (["T[m,n] = exp(A[m,n])", "Z[m] = sum{n}(T[m,n] * T[m,n])"], "MN", {}),
    "twice read": (["T[m,n] = exp(A[m,n])", "Y[m] = sum{n}(T[m,n])", "Z[n] = max{m}(T[m,n])"], "MN", {}),
    "running": (["R[g+1,p] = max(R[g,p], A[g,p])", "Z[g,p] = exp(R[g+1,p])"], "GP", {"init": {"R": 0.0}}),
    "running sum": (["T[g,m] = sum{k}(A[g,m,k])", "S[g+1,m] = S[g,m] + T[g,m]"], "GMK", {"init": {"S": 0.0}}),
    "last": (["S[g+1,m] = S[g,m] + A[g,m]", "Z[m] = exp(S[G,m])"], "GM", {"init": {"S": 0.0}}),
    "running max": (
        ["L[g,p] = max{n}(A[g,n,p])", "R[g+1,p] = max(R[g,p], L[g,p])", "Z[g,n,p] = A[g,n,p] * R[g+1,p]"],
        "GNP", {"init": {"R": 0.0}},
    ),
    "loop of two": (
        ["U[g,m] = exp(S[g,m])", "S[g+1,m] = max(U[g,m], A[g,m])"], "GM", {"init": {"S": 1.0}, "outputs": ("S",)},
    ),
}  # fmt: skip
OPERATORS = ("mul", "add", "max", "exp", "sub")


@dataclass(frozen=True)
class Case:
    """A cascade, a machine, and how to draw it again."""

    seed: int
    kind: str
    cascade: Cascade
    machine: Architecture
    units: int


def cascade_of(rng: Random, kind: str) -> Cascade:
    lines, ranks, extra = CASCADES[kind]
    sizes = {rank: rng.choice((1, 2, 2, 3, 4)) for rank in ranks}
    return Cascade.parse(lines, sizes, **extra)


def machine_of(rng: Random, tensors: Sequence[str], variables: Sequence[str]) -> Architecture:
    def some(chance: float) -> tuple[str, ...]:
        return tuple(t for t in tensors if rng.random() < chance)

    def memory(name: str, words: int | None, scale: float) -> Memory:
        extra: dict[str, Any] = {} if words is None else {"capacity": Amount(Fraction(WORD * words))}
        if words is not None and rng.random() < 0.35:
            rules = [{"may_hold": some(0.5)}, {"may_hold": some(0.7)}, {"must_hold": some(0.2)}, {"holds": some(0.5)}]
            extra |= rng.choice(rules)
        if words is not None and rng.random() < 0.15:
            extra["double_buffered"] = True
        slow = rng.random()
        if slow < 0.4:
            extra["bandwidth"] = Amount(Fraction(WORD * rng.randint(1, 4)))
        elif slow < 0.5:
            extra["read_bandwidth"] = Amount(Fraction(WORD * rng.randint(1, 3)))
        prices = [scale * rng.choice((0, 1, 2, 5, 20)) for _ in range(2)]
        return Memory(name=name, read_energy_pj=prices[0], write_energy_pj=prices[1], **extra)

    def unit(number: int, known: Sequence[str]) -> tuple[Any, ...]:
        levels: list[Any] = []
        if rng.random() < 0.5:
            axes = {"X": rng.randint(1, 3)} | ({"Y": rng.randint(1, 3)} if rng.random() < 0.3 else {})
            only = {axis: AxisRule(tuple(v for v in variables if rng.random() < 0.6)) for axis in axes}
            levels.append(Fanout(
                name=f"F{number}", axes=axes, multicast=rng.random() < 0.7, reduce=rng.random() < 0.7,
                only=only if rng.random() < 0.3 else {}, link_energy_pj=rng.choice((0.0, 0.0, 0.5)),
                hop_cycles=rng.choice((0, 0, 0, 1, 2)),
            ))  # fmt: skip
        if rng.random() < 0.6:
            levels.append(memory(f"R{number}", rng.randint(1, 6), 0.1))
        cycles = {operator: rng.randint(1, 4) for operator in ("exp", "max") if rng.random() < 0.3}
        levels.append(Compute(name=f"C{number}", energy_pj=dict.fromkeys(known, float(number)), cycles=cycles))
        return tuple(levels)

    head = (memory("O", None, 1), memory("B", rng.randint(3, 30), 1))
    if rng.random() < 0.6:
        return Architecture(name="tiny", clock_hz=1e9, levels=(*head, *unit(1, OPERATORS)))
    split = rng.random() < 0.4
    known = [[o for o in OPERATORS if not split or rng.random() < 0.6] for _ in range(2)]
    known[1] += [o for o in OPERATORS if o not in known[0] and o not in known[1]]
    trees = tuple(unit(i + 1, known[i]) for i in range(2))
    return Architecture(name="tiny", clock_hz=1e9, levels=(*head, Branches(trees)))


def drawn(
    seed: int, most: int = 1500, kind: str | None = None
) -> tuple[Case, Mapping[str, Mapping[str, Sequence[EinsumResult]]]]:
    """(a case of at most so many trees, what its Einsums cost alone by objective)."""
    rng = Random(seed)
    while True:
        name = kind or rng.choice(list(CASCADES))
        cascade = cascade_of(rng, name)
        flow = dataflow(cascade)
        variables = list(dict.fromkeys(v for e in flow.einsums.values() for v in e.extents))
        tensors = list(dict.fromkeys(a.tensor for e in flow.einsums.values() for a in e.accesses))
        machine = machine_of(rng, tensors, variables)
        if not 4 < whole_trees(flow, machine, dict.fromkeys(flow.einsums, ((),)))[0] <= most:
            continue
        try:
            alone = {
                objective: {e.name: Mapper(machine, objective, perfect=True, reuse=False).map(e).results
                            for e in flow.einsums.values()}
                for objective in OBJECTIVES
            }  # fmt: skip
        except MappingError:
            continue
        return Case(seed, name, cascade, machine, len(machine.paths())), alone


# -- verdict


@dataclass
class Verdict:
    """What was found on a case."""

    trees: int = 0
    legal: int = 0
    fused: int = 0
    gaps: int = 0
    wrong: list[str] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Point:
    """Energy and cycles of a way to run the cascade."""

    energy: float
    cycles: float
    nodes: Nodes = ()
    bits: float = 0.0

    def key(self, objective: str) -> tuple[float, float]:
        return {
            "energy": (self.energy, self.cycles),
            "latency": (self.cycles, self.energy),
            "edp": (self.energy * self.cycles, self.energy),
        }[objective]


def front_of(points: Sequence[Point], bits: bool) -> list[tuple[float, ...]]:
    """Cycles, energy and perhaps bits of the buffer that no point matches or beats in all."""
    kept: list[tuple[float, ...]] = []
    told = {(round(p.cycles, 9), float(f"{p.energy:.9g}"), p.bits if bits else 0.0) for p in points}
    for point in sorted(told):
        if not any(all(a <= b for a, b in zip(other, point, strict=True)) for other in kept):
            kept.append(point)
    return kept


def sums(alone: Mapping[str, Sequence[EinsumResult]]) -> list[Point]:
    """Einsum by Einsum."""
    return [
        Point(sum(r.energy_pj for r in rs), float(sum(r.cycles for r in rs)), bits=max(r.occupancy("B") for r in rs))
        for rs in itertools.product(*alone.values())
    ]


def judged(case: Case, alone: Mapping[str, Mapping[str, Any]], objectives: Sequence[str] = OBJECTIVES) -> Verdict:
    """The mapper's answers beside the trees'."""
    verdict = Verdict()
    flow = dataflow(case.cascade)
    costs: dict[Nodes, Point | None] = {}
    for objective in objectives:
        count, trees = whole_trees(flow, case.machine, alone[objective])
        if count > 6000:
            continue
        points = sums(alone[objective])
        for nodes in trees:
            if nodes not in costs:
                costs[nodes] = None
                try:
                    result = TreeResult(nodes, evaluate_tree(case.cascade, case.machine, nodes))
                    costs[nodes] = Point(result.energy_pj, float(result.cycles), nodes, result.occupancy("B"))
                except MappingError:
                    pass
            point = costs[nodes]
            if point is not None:
                points.append(point)
        given = alone[objective]
        try:
            base, memory = split_objective(objective)
            found = map_cascade(case.cascade, case.machine, base, given, memory=memory).trees
        except MappingError as error:
            verdict.wrong.append(f"{objective}: raises {error}")
            continue
        verdict.fused += bool(found)
        verdict.gaps += any(f.proof != "optimal" for f in found)
        mine = [Point(f.energy_pj, float(f.cycles), f.nodes, f.occupancy("B")) for f in found]
        for tree in found:
            verdict.wrong += [f"{objective}: {text}" for text in walked(case, tree)]
        compare = _front if base == "pareto" else _best
        compare(verdict, objective, [*mine, *sums(alone[objective])], points, found)
    verdict.trees, verdict.legal = len(costs), sum(p is not None for p in costs.values())
    return verdict


def _best(
    verdict: Verdict, objective: str, mine: list[Point], points: list[Point], found: Sequence[TreeResult]
) -> None:
    got = min(mine, key=lambda p: p.key(objective))
    best = min(points, key=lambda p: p.key(objective))
    value, least = got.key(objective)[0], best.key(objective)[0]
    gap = found[0].gap if found else 0.0
    bound = value * (1 - gap)
    above = value > least * NEAR
    if bound > least * NEAR or (objective == "energy" and above):
        verdict.wrong.append(f"{objective}: {value} (gap {gap}, bound {bound}), a tree has {least}: {best.nodes}")
    elif value < least / NEAR:
        verdict.wrong.append(f"{objective}: {value}, all trees have at least {least}: {got.nodes}")
    elif gap:
        verdict.loose.append(f"{objective}: {value}, gap {gap}, the best tree has {least}")
    second = min(p.key(objective)[1] for p in points if p.key(objective)[0] <= least * NEAR)
    if not above and got.key(objective)[1] > second * NEAR:
        verdict.ties.append(f"{objective}: {value}, then {got.key(objective)[1]}; a tree has {second}")


def _front(
    verdict: Verdict, objective: str, mine: list[Point], points: list[Point], found: Sequence[TreeResult]
) -> None:
    bits = objective == "pareto:B"
    got, best = front_of(mine, bits), front_of(points, bits)
    if got == best:
        return
    text = f"{objective}: {got}, trees {best}"
    beyond = [p for p in got if not any(q[0] <= p[0] and q[1] <= p[1] * NEAR and q[2] <= p[2] for q in best)]
    if beyond or all(f.proof == "optimal" for f in found):
        verdict.wrong.append(text)
    else:
        verdict.loose.append(f"{text}, gaps {[f.gap for f in found]}")


def walked(case: Case, found: TreeResult) -> list[str]:
    """What the walk of a tree contradicts."""
    rng = np.random.default_rng(case.seed)
    inputs = {name: rng.normal(size=case.cascade.shape(name)) for name in case.cascade.inputs}
    wrong = []
    run = execute_tree(case.cascade, case.machine, found.nodes, inputs)
    expected = case.cascade.run(inputs)
    for name in case.cascade.outputs:
        if not np.allclose(run.outputs[name], expected[name], rtol=1e-9, atol=1e-12):
            wrong.append(f"values of {name} differ: {found.nodes}")
    counted: Counter[tuple[str, str, str]] = Counter()
    for einsum in found.fused.einsums.values():
        for memory, result in einsum.memories.items():
            for tensor, counts in result.tensors.items():
                for what in ("reads", "writes", "fills", "updates", "drains"):
                    counted[memory, tensor, what] += Fraction(getattr(counts, what))
    executed = {
        (*at, what): getattr(counts, what)
        for at, counts in run.counts.items()
        for what in ("reads", "writes", "fills", "updates", "drains")
    }
    for key in {*counted, *executed}:
        if counted.get(key, 0) != executed.get(key, 0):
            wrong.append(f"{key}: evaluate_tree {counted.get(key, 0)}, walk {executed.get(key, 0)}: {found.nodes}")
    cycles = float(run.cycles) + float(found.fused.streamed.terms_cycles["ramp"])
    if not math.isclose(cycles, float(found.cycles), rel_tol=1e-9):
        wrong.append(f"cycles: evaluate_tree {found.cycles}, walk {cycles}: {found.nodes}")
    used = {name: held.used for name, held in found.fused.streamed.occupancy.items() if held.used}
    walk = {name: float(bits) for name, bits in run.occupancy_bits.items() if bits}
    if used != walk:
        wrong.append(f"occupancy: evaluate_tree {used}, walk {walk}: {found.nodes}")
    return wrong


def main() -> int:
    """Cases, trees, wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--most", type=int, default=1500, help="trees of a case")
    parser.add_argument("--kind", choices=CASCADES)
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    told: Counter[str] = Counter()
    for seed in range(args.seed, args.seed + args.count):
        begin = time.process_time()
        case, alone = drawn(seed, args.most, args.kind)
        try:
            verdict = judged(case, alone, args.objectives.split(","))
        except Exception:  # a crash is a finding like any other
            verdict = Verdict(wrong=[traceback.format_exc(limit=-4)])
        told["cases"] += 1
        for name in ("wrong", "ties", "loose"):
            told[name] += bool(getattr(verdict, name))
        for name in ("trees", "legal", "fused", "gaps"):
            told[name] += getattr(verdict, name)
        if verdict.wrong or args.verbose:
            sizes, seconds = dict(case.cascade.ranks), time.process_time() - begin
            print(f"seed {seed} {case.kind} {sizes} {seconds:.1f} s {verdict.trees} trees", flush=True)
            for name in ("wrong", "ties", "loose"):
                for text in getattr(verdict, name):
                    print(f"  {name}: {text}", flush=True)
        if verdict.wrong:
            print(f"  {case.machine}", flush=True)
    print(", ".join(f"{number} {name}" for name, number in told.items()))
    return int(told["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
