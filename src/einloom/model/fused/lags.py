"""Lags of the Einsums in a schedule: who works on which slot while the others work on theirs.

A dependence u -> v asks ``lag(v) >= lag(u) + w - d``: ``w`` is 0 where v comes later in the same slot, else 1; ``d`` is
the distance in generations, in slots. The least lags follow by relaxation (Bellman-Ford); a cycle of positive length
has none: the recurrence cannot stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Loop
from einloom.mappings.tree import Branch, Way, common
from einloom.model.fused.program import Leaf, Program, bound
from einloom.workloads.dataflow import Read


@dataclass(frozen=True, slots=True)
class Need:
    """``lag(consumer) >= lag(producer) + later``, because of ``read``."""

    read: Read
    later: int


def distance(program: Program, read: Read, group: Branch) -> int:
    """Slots of ``group`` between a generation and the next, times the generations of a read."""
    if not read.distance:
        return 0
    variable = program.flow.states[read.tensor].variable
    way = program.leaves[read.consumer].way
    lists = way[: way.index(group) + 1]
    loops = [placed for branch in lists for placed in branch.nodes if isinstance(placed.node, Loop)]
    over = [i for i, placed in enumerate(loops) if isinstance(placed.node, Loop) and placed.node.variable == variable]
    if not over:
        return 0
    return read.distance * math.prod(bound(placed) for placed in loops[over[-1] + 1 :])


def comes_later(producer: Way, consumer: Way, same_compute: bool) -> bool:
    """Whether the consumer finds the result in the same slot."""
    shared = common(producer, consumer)
    group = shared[-1]
    if len(shared) == len(producer):
        return False  # the Einsum itself
    order = list(group.children)
    here, there = order.index(producer[len(shared)]), order.index(consumer[len(shared)])
    if group.schedule == "pipelined":
        chases = not any(branch.schedule == "phases" for branch in shared) and any(
            branch.schedule == "sequential" for branch in shared
        )
        return same_compute or chases
    return there > here


def solve(leaves: Iterable[Leaf], needs: Iterable[Need], where: Branch) -> Mapping[str, int]:
    """The least lags, all at least 0.

    Raises:
        MappingError: There are none: a cycle of dependences, with its members.
    """
    lags = {leaf.name: 0 for leaf in leaves}
    every = list(needs)
    last: dict[str, Need] = {}
    for _ in range(len(lags) + 1):
        changed = ""
        for need in every:
            wanted = lags[need.read.producer] + need.later
            if lags[need.read.consumer] < wanted:
                lags[need.read.consumer] = wanted
                last[need.read.consumer] = need
                changed = need.read.consumer
        if not changed:
            return lags
    raise _no_lags(changed, last, where)


def _no_lags(start: str, last: Mapping[str, Need], where: Branch) -> MappingError:
    name = start
    for _ in last:
        name = last[name].read.producer if name in last else name
    cycle = [name]
    while True:
        name = last[name].read.producer
        if name == cycle[0]:
            break
        cycle.append(name)
    chain = " -> ".join((*reversed(cycle), cycle[-1])) if len(cycle) > 1 else f"{cycle[0]} -> {cycle[0]}"
    message = f"the recurrence {chain} cannot stream: each waits for the one before, and none may start"
    hint = "list producers before their consumers, or share the loop over the generations with a tile between"
    return MappingError(Problem(message, hint, where.place))


def _counted_inside(program: Program, read: Read, group: Branch) -> bool:
    """Whether an earlier generation is read of a loop inside a slot: the order there decides, not the slots."""
    if not read.distance:
        return False
    variable = program.flow.states[read.tensor].variable
    shared = common(program.leaves[read.producer].way, program.leaves[read.consumer].way)
    inside = shared[shared.index(group) + 1 :]
    return any(isinstance(p.node, Loop) and p.node.variable == variable for branch in inside for p in branch.nodes)


def needs_of(program: Program, group: Branch, drains: Callable[[Read], Fraction] | None = None) -> tuple[Need, ...]:
    """What the dependences among the Einsums of a schedule ask of their lags.

    Args:
        drains: Slots by which a result is late where it leaves an array (``phases`` hides them behind lags).
    """
    inside = {leaf.name for leaf in program.below(group)}
    found = []
    for read in program.flow.reads:
        if read.producer not in inside or read.consumer not in inside:
            continue
        producer, consumer = program.leaves[read.producer], program.leaves[read.consumer]
        later = comes_later(producer.way, consumer.way, producer.path[-1] == consumer.path[-1])
        inside_slot = producer is consumer or _counted_inside(program, read, group)
        wait = 0 if later or inside_slot else 1
        if drains is not None and not inside_slot:
            wait = max(wait, math.ceil(drains(read)))
        found.append(Need(read, wait - distance(program, read, group)))
    return tuple(found)
