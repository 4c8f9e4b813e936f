"""What runs in an iteration of the shared loops: steps, busy cycles, drains; and the lags between Einsums.

A *slot group* is an outermost `sequential` or `phases` group; a *slot* is one iteration of all shared loops above it.
Every Einsum below works on the slot that began ``lag`` slots ago.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from einloom.arch.tree import Fanout
from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Spatial
from einloom.model.reference.fused.tree import Branch, Digits, Leaf, Position, Tree, bound
from einloom.workloads.sized import Work


def steps(tree: Tree, leaf: Leaf, digits: Digits, work: Work) -> int:
    """Steps of one work item in one iteration of the shared loops in which any instance has a point.

    Only loops over variables of the item count. What does not run over the variable of a shared loop, the rest of
    a line behind its reduction, runs in the last iteration.
    """
    if not tree.active(leaf, digits) or not tree.exists(digits, leaf.shared):
        return 0
    for at, loop in leaf.shared:
        mine = loop.variable in leaf.einsum.extents
        if mine and loop.variable not in work.variables and not tree.is_last(digits, leaf.shared, at):
            return 0
    own = leaf.branch.loops
    loops = (*leaf.shared, *own)
    counted = [at for at, loop in own if loop.variable in work.variables]
    return len(
        {
            tuple(inner[at] for at in counted)
            for inner in tree.iterations(own)
            if tree.exists({**digits, **inner}, loops)
        }
    )


def total_steps(tree: Tree, leaf: Leaf) -> int:
    """Steps in which at least one instance of the compute has work, in the whole run."""
    everything = Work("", frozenset(leaf.einsum.extents))
    return sum(steps(tree, leaf, digits, everything) for digits in tree.iterations(leaf.shared))


def busy(tree: Tree, leaf: Leaf, digits: Digits) -> int:
    """Busy cycles of the compute in one iteration of the shared loops: clipped steps x cycles of each operator."""
    return sum(
        steps(tree, leaf, digits, work) * work.count * leaf.compute.operator_cycles(work.operator)
        for work in leaf.einsum.work
    )


def drain(leaf: Leaf) -> int:
    """Cycles until a result has left the array: hops along the axes that reduce it."""
    cycles = 0
    for at, node in leaf.path:
        if isinstance(node, Spatial) and at in leaf.nest_positions:
            fanout = next(level for level in leaf.levels if level.name == node.fanout)
            assert isinstance(fanout, Fanout)
            if node.variable not in leaf.einsum.output.variables:
                assert isinstance(node.bound, int)
                cycles += node.bound * fanout.hop_cycles
    return cycles


# -- lags


@dataclass(frozen=True)
class Dependence:
    """``reader`` needs what ``producer`` writes, ``generations`` later."""

    producer: Leaf
    reader: Leaf
    tensor: str
    generations: int


def dependences(tree: Tree) -> Iterator[Dependence]:
    """Every read of a computed tensor."""
    for reader in tree.leaves.values():
        for reference in reader.line.inputs:
            for producer in tree.producers(reference.tensor):
                generations = tree.distance(reader, reference) if producer.line.generation else 0
                yield Dependence(producer, reader, reference.tensor, generations)


def slot_groups(branch: Branch) -> Iterator[Branch]:
    """Lists that end in an outermost `sequential` or `phases` group."""
    if branch.schedule in ("sequential", "phases"):
        yield branch
    elif branch.schedule is not None:
        for child in branch.children:
            yield from slot_groups(child)


Timeline = Mapping[str, tuple[int, int]]
"""For each Einsum, first and last cycle of its child of the slot group, within one slot."""


def lags(tree: Tree, group: Branch, timeline: Timeline, slot: int) -> dict[str, int]:
    """The smallest lags that keep every dependence, in slots: lag(v) >= lag(u) + w - d.

    Args:
        timeline: Of one slot, for the drains of `phases`; empty to leave them out.
        slot: Its length.

    Raises:
        MappingError: The dependences go around in a circle that no lag satisfies.
    """
    inside = [leaf for leaf in tree.leaves.values() if leaf.below(group.at)]
    names = {leaf.name for leaf in inside}
    edges = [
        (d, _delay(tree, group, d, timeline, slot) - _slots_between(tree, group, d))
        for d in dependences(tree)
        if d.producer.name in names and d.reader.name in names
    ]
    lag = dict.fromkeys(names, 0)
    for _ in range(len(names) + 1):  # Bellman-Ford: longest ways, at most one round for each Einsum
        late = [(d, weight) for d, weight in edges if lag[d.reader.name] < lag[d.producer.name] + weight]
        if not late:
            return {leaf.name: lag[leaf.name] for leaf in inside}
        for d, weight in late:
            lag[d.reader.name] = max(lag[d.reader.name], lag[d.producer.name] + weight)
    worst = late[0][0]
    wrong = f"no lag lets {worst.reader.name} wait for {worst.tensor}: the slots would wait for each other"
    raise MappingError(Problem(wrong, f"list {worst.producer.name} before {worst.reader.name}", group.at))


def _slots_between(tree: Tree, group: Branch, d: Dependence) -> int:
    """Slots from a generation to the one that is read later: iterations inside the innermost shared loop over it."""
    generation = tree.generation(d.tensor)
    if generation is None or d.generations == 0:
        return 0
    above = [(at, loop) for at, loop in d.producer.shared if d.reader.below(at) and at < _terminal(group)]
    innermost = max((at for at, loop in above if loop.variable == generation.variable), default=None)
    if innermost is None:
        return 0
    inner = [range(bound(loop)) for at, loop in above if at > innermost]
    return d.generations * len(list(product(*inner)))


def _terminal(group: Branch) -> Position:
    return (*group.at, len(group.placed))


def _delay(tree: Tree, group: Branch, d: Dependence, timeline: Timeline, slot: int) -> int:
    """w: 0 if the reader comes later in the slot, else 1; more where a drain of `phases` takes longer."""
    u, v = d.producer, d.reader
    if _within_slot(tree, group, d):
        return 0
    common, i, j = _common(tree, u, v)
    barrier = _barrier(tree, u, v)
    if common.schedule == "pipelined":
        delay = 0 if barrier.schedule == "sequential" or u.compute.name == v.compute.name else 1
    else:
        delay = 0 if i < j else 1
    same_child = _child(group, u) == _child(group, v)
    if group.schedule == "phases" and timeline and slot and drain(u) and not same_child:
        delay = max(delay, math.ceil((timeline[u.name][1] + drain(u) - timeline[v.name][0]) / slot))
    return delay


def _within_slot(tree: Tree, group: Branch, d: Dependence) -> bool:
    """Whether the generations are counted by a loop inside the slot that both stand below: the order decides."""
    generation = tree.generation(d.tensor)
    if generation is None or d.generations == 0:
        return False
    inside = [(at, loop) for at, loop in d.producer.shared if d.reader.below(at) and at > _terminal(group)]
    return any(loop.variable == generation.variable for _, loop in inside) or d.producer is d.reader


def _common(tree: Tree, u: Leaf, v: Leaf) -> tuple[Branch, int, int]:
    """The innermost list above both, and the children of its group that they stand in."""
    branch = tree.root
    while branch.schedule is not None:
        i, j = _child(branch, u), _child(branch, v)
        if i != j:
            return branch, i, j
        if branch.children[i].schedule is None:
            return branch, i, j
        branch = branch.children[i]
    return branch, 0, 0


def _barrier(tree: Tree, u: Leaf, v: Leaf) -> Branch:
    """The innermost list above both that ends in `sequential` or `phases`."""
    common, _, _ = _common(tree, u, v)
    above = [b for b in tree.root.below() if common.at[: len(b.at)] == b.at and b.schedule in ("sequential", "phases")]
    return above[-1]


def _child(branch: Branch, leaf: Leaf) -> int:
    return leaf.branch.at[len(branch.at) + 1]


def waits(tree: Tree, d: Dependence, lag: Mapping[str, int], digits: Digits) -> bool:
    """Whether a later child of `sequential` waits for a drain: it needs the result in the slot that both run in."""
    same_slot = d.generations == 0 and lag.get(d.producer.name, 0) == lag.get(d.reader.name, 0)
    return same_slot and all(
        tree.active(leaf, digits) and tree.exists(digits, tuple((at, n) for at, n in leaf.shared if at in digits))
        for leaf in (d.producer, d.reader)
    )
