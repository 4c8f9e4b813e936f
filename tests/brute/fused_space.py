"""The declared space of fused groups, tree by tree: drawn at random, or all of them where they are few.

It states the space of docs/mapper.md (Cascades) anew and shares nothing with the search: one function builds a tree
from choices that it asks for; asked in every way, it enumerates.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from einloom.arch.tree import Architecture, Fanout, Memory
from einloom.mappings.nodes import Bind, Child, Group, Hold, Loop, Nodes, Spatial
from einloom.workloads.dataflow import Dataflow
from einloom.workloads.sized import SizedEinsum

Pick = Callable[[Sequence[Any]], Any]


class Impossible(Exception):
    """These choices give no tree."""


def every(build: Callable[[Pick], Nodes], most: int) -> Iterator[Nodes]:
    """What ``build`` gives for every sequence of choices, up to ``most`` sequences."""
    script: list[int] = []
    for _ in range(most):
        sizes: list[int] = []

        def pick(options: Sequence[Any], sizes: list[int] = sizes, script: list[int] = script) -> Any:
            at = len(sizes)
            sizes.append(len(options))
            if not options:
                raise Impossible
            if at == len(script):
                script.append(0)
            return options[script[at]]

        with contextlib.suppress(Impossible):
            yield build(pick)
        while script and (len(script) > len(sizes) or script[-1] + 1 >= sizes[len(script) - 1]):
            script.pop()
        if not script:
            return
        script[-1] += 1


def some(build: Callable[[Pick], Nodes], generator: np.random.Generator, count: int) -> Iterator[Nodes]:
    """What ``build`` gives for random choices."""

    def pick(options: Sequence[Any]) -> Any:
        if not options:
            raise Impossible
        return options[int(generator.integers(len(options)))]

    for _ in range(count):
        try:
            yield build(pick)
        except Impossible:
            continue


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def tree(flow: Dataflow, machine: Architecture, names: Sequence[str], pick: Pick) -> Nodes:
    """One tree that runs all of ``names`` as a group. Raises `Impossible`."""
    einsums = [flow.einsums[name] for name in names]
    outer, buffer = machine.memories()[:2]
    extents = {var: size for e in einsums for var, size in e.extents.items()}
    loops, bounds = _shared(flow, einsums, extents, pick)
    internal = _internal(flow, einsums)
    units = {name: pick([path for path in machine.paths() if _able(flow.einsums[name], path)]) for name in names}
    depths: dict[str, int] = {}
    residents: dict[str, str] = {}
    every_tensor = dict.fromkeys(a.tensor for e in einsums for a in e.accesses)
    for tensor in every_tensor:
        if tensor in internal:
            home = _home(flow, einsums, tensor, loops)
            users = [e for e in einsums if any(a.tensor == tensor for a in e.accesses)]
            path = units[users[0].name]
            registers = [level for level in path[2:] if isinstance(level, Memory)]
            alone = len({units[e.name][-1].name for e in users}) == 1 and tensor not in flow.states
            if registers and alone and home == len(loops) and pick([False, True]):
                residents[tensor] = registers[0].name
            else:
                depths[tensor] = home
        else:
            depth = pick([None, *range(len(loops) + 1)])
            if depth is not None:
                depths[tensor] = depth
    nodes: list[Any] = [Hold(outer.name, tuple(t for t in every_tensor if t not in internal))]
    for depth in range(len(loops) + 1):
        held = tuple(t for t, at in depths.items() if at == depth)
        nodes += [Hold(buffer.name, held)] if held else []
        nodes += [Loop(loops[depth], bounds[depth])] if depth < len(loops) else []
    for memory in dict.fromkeys(residents.values()):
        nodes.append(Hold(memory, tuple(t for t, at in residents.items() if at == memory)))
    tile = {
        v: n // math.prod(b for loop, b in zip(loops, bounds, strict=True) if loop == v) for v, n in extents.items()
    }
    children = tuple(Child(e.name, _nest(flow, machine, e, units[e.name], tile, set(residents), pick)) for e in einsums)
    schedule = "sequential" if len(machine.paths()) == 1 else pick(["sequential", "pipelined"])
    return (*nodes, Group(schedule, children))


def _able(einsum: SizedEinsum, path: Sequence[Any]) -> bool:
    return all(path[-1].operator_energy_pj(operator) is not None for operator in einsum.operations())


def _internal(flow: Dataflow, einsums: list[SizedEinsum]) -> set[str]:
    names = {e.name for e in einsums}
    made = {e.output.tensor: e for e in einsums}
    return {t for t, e in made.items() if not e.output.workload_output and set(flow.consumers(t)) <= names}


def _reads(flow: Dataflow, einsums: list[SizedEinsum]) -> list[Any]:
    names = {e.name for e in einsums}
    return [r for r in flow.reads if r.producer in names and r.consumer in names]


def _shared(
    flow: Dataflow, einsums: list[SizedEinsum], extents: dict[str, int], pick: Pick
) -> tuple[list[str], list[int]]:
    """Shared loops, outermost first, with their bounds."""
    by_name = {e.name: e for e in einsums}

    def streams(variable: str) -> bool:
        for read in _reads(flow, einsums):
            u, v = by_name[read.producer], by_name[read.consumer]
            if u is not v and variable in u.extents and variable in v.extents:
                there = [i for i, dim in enumerate(u.output.dims) if dim == ((variable, 1),)]
                if not any(v.accesses[read.access].dims[i] == ((variable, 1),) for i in there):
                    return False
        return sum(variable in e.extents for e in einsums) > 1

    sharable = [v for v in extents if streams(v)]
    states = {
        g.variable
        for t, g in flow.states.items()
        if any(r.tensor == t and r.producer != r.consumer for r in _reads(flow, einsums))
    }
    if not states <= set(sharable):
        raise Impossible
    batch = [
        v
        for v in sharable
        if extents[v] > 1 and v not in states and all(v in a.variables for e in einsums for a in e.accesses)
    ]
    blocked = [v for v in sharable if v not in batch and extents[v] > 1]
    most = max(3 if len(blocked) <= 3 else 2, len([s for s in states if extents[s] > 1]))
    shapes = [
        shape
        for n in range(most + 1)
        for shape in itertools.product(blocked, repeat=n)
        if all(a != b for a, b in itertools.pairwise(shape))
        and all(shape.count(s) == 1 for s in states if extents[s] > 1)
    ]
    shape = pick(shapes)
    left = dict(extents)
    bounds = []
    for variable in shape:
        options = [left[variable]] if variable in states else [d for d in divisors(left[variable]) if d > 1]
        bounds.append(pick(options))
        left[variable] //= bounds[-1]
    return [*batch, *shape], [*(extents[v] for v in batch), *bounds]


def _home(flow: Dataflow, einsums: list[SizedEinsum], tensor: str, loops: list[str]) -> int:
    users = [e for e in einsums if any(a.tensor == tensor for a in e.accesses)]
    state = flow.states.get(tensor)
    for depth, loop in enumerate(loops):
        if len({loop in e.extents for e in users}) > 1 or (state is not None and loop == state.variable):
            return depth
    return len(loops)


def _nest(
    flow: Dataflow,
    machine: Architecture,
    einsum: SizedEinsum,
    path: Sequence[Any],
    tile: dict[str, int],
    residents: set[str],
    pick: Pick,
) -> Nodes:
    rules = machine.rules_for(einsum)
    fanouts = [level for level in path[2:] if isinstance(level, Fanout)]
    registers = [level for level in path[2:] if isinstance(level, Memory)]
    generations = {g.variable for t, g in flow.states.items() if any(a.tensor == t for a in einsum.accesses)}
    left = {v: tile[v] for v in einsum.extents}
    nodes: list[Any] = []
    for fanout in fanouts:
        for axis, size in fanout.axes.items():
            ranks = [v for v in left if v not in generations and rules.axis_allows(fanout.name, axis, v)]
            options = [None, *((v, d) for v in ranks for d in divisors(left[v]) if 1 < d <= size)]
            chosen = pick(options)
            if chosen is not None:
                nodes.append(Spatial(fanout.name, axis, *chosen))
                left[chosen[0]] //= chosen[1]
    tensors = [a.tensor for a in einsum.accesses]
    free = [t for t in tensors if tensors.count(t) == 1 and t not in residents]
    sequences = [s for n in range(3 if registers else 1) for s in itertools.permutations(free, n)]
    sequence = pick(sequences)
    has = [{v for a in einsum.accesses if a.tensor == t for v in a.variables} for t in sequence]
    inner = dict.fromkeys(left, 1)
    if len(sequence) == 2:
        for v, extent in left.items():
            if v in has[0] and v not in has[1]:
                inner[v] = pick(divisors(extent))
    first = [v for v in left if not sequence or v in has[0]]
    first.sort(key=lambda v: len(sequence) == 2 and v not in has[1])  # what both have stands outside
    nodes += [Loop(v, left[v] // inner[v]) for v in first]
    for place, tensor in enumerate(sequence):
        nodes.append(Hold(registers[0].name, (tensor,)))
        if place + 1 < len(sequence):
            nodes += [Loop(v, left[v]) for v in left if v in has[1] and v not in has[0]]
    if sequence:
        nodes += [Loop(v, left[v]) for v in left if not any(v in mine for mine in has)]
        nodes += [Loop(v, inner[v]) for v in left if inner[v] > 1]
    kept = [node for node in nodes if not (isinstance(node, Loop | Spatial) and node.bound == 1)]
    return (*kept, Bind(path[-1].name))
