"""An answer as a nest: the nodes of a recipe, merged ranks split again, loops of one iteration left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from einloom.mapper.gemm.problem import BATCH, Column, Problem
from einloom.mapper.gemm.tables import (
    ABOVE,
    BUFFER_VISITS,
    BUFFERED,
    FAMILY,
    INNERMOST,
    NO_HOLDER,
    REGISTERED,
    TILE,
    TOGETHER,
    VECTOR,
)
from einloom.mappings import Bind, Hold, Loop, Node, Nodes, Spatial

Step = tuple[str, int, int]
"""("loop", rank, bound), ("buffer" or "registers", tensor, 0), or ("array", 0, 0)."""


def nodes_of(problem: Problem, recipe: Sequence[int]) -> Nodes:
    """The nest of a recipe (see `tables`)."""
    steps = _floating(problem, recipe) if recipe[FAMILY] else _ordinary(problem, recipe)
    return _Writer(problem, recipe[VECTOR]).write(steps)


def _ordinary(problem: Problem, recipe: Sequence[int]) -> list[Step]:
    t = problem.tables
    w, visits = recipe[TILE : TILE + 3], list(recipe[BUFFER_VISITS : BUFFER_VISITS + 3])
    v = _array_visits(problem, recipe)
    held, *order = t.buffer_orders[recipe[BUFFERED]].tolist()
    around = [v[r] for r in range(3)]  # iterations outside all buffer holds
    below = [1, 1, 1]  # iterations right below the hold of the tensor that ignores the rank
    for place, r in enumerate(order[:held]):
        around[r] = 1 if place == 0 else visits[r]
        below[r] = math.ceil(v[r] / around[r])
    steps: list[Step] = [("loop", r, around[r]) for r in range(3)]
    for r in order[:held]:
        steps += [("buffer", r, 0), ("loop", r, below[r])]
    steps.append(("array", 0, 0))
    held, *order = t.register_orders[recipe[REGISTERED]].tolist()
    for r in order[:held]:
        steps += [("registers", r, 0), ("loop", r, w[r])]
    return steps + [("loop", r, w[r]) for r in order[held:]]


def _floating(problem: Problem, recipe: Sequence[int]) -> list[Step]:
    t = problem.tables
    w, visits = recipe[TILE : TILE + 3], recipe[BUFFER_VISITS : BUFFER_VISITS + 3]
    v = _array_visits(problem, recipe)
    a, above, own, below, first = t.floating_buffers[recipe[BUFFERED]].tolist()
    _, others, p, q = t.floating_registers[recipe[REGISTERED]].tolist()
    outside = [v[r] for r in range(3)]
    outside[a] = recipe[ABOVE]
    if first >= 0:
        outside[first] = visits[first]
    steps: list[Step] = []
    if above >= 0:
        outside[above] = visits[above] if own == TOGETHER else 1
        steps += [("loop", r, outside[r]) for r in range(3) if r != a]
        steps += [("buffer", a, 0)] if own == TOGETHER else []
        steps += [("loop", a, outside[a]), ("buffer", above, 0)]
        steps += [("loop", above, math.ceil(v[above] / outside[above]))]
    else:
        steps += [("loop", r, outside[r]) for r in range(3)]
    if own not in (NO_HOLDER, TOGETHER):
        steps.append(("buffer", a, 0))
    steps += [("registers", a, 0), ("loop", a, math.ceil(v[a] / outside[a]))]
    if first >= 0:
        steps += [("buffer", first, 0), ("loop", first, math.ceil(v[first] / outside[first]))]
    steps += [("buffer", r, 0) for r in range(3) if below >> r & 1 and r != first]
    steps.append(("array", 0, 0))
    if others == 0:
        return [*steps, ("loop", p, w[p]), ("loop", q, w[q])]
    innermost = recipe[INNERMOST] if others == 2 else 1
    steps += [("loop", q, w[q] // innermost), ("registers", p, 0), ("loop", p, w[p])]
    return [*steps, ("registers", q, 0), ("loop", q, innermost)] if others == 2 else steps


def _array_visits(problem: Problem, recipe: Sequence[int]) -> list[int]:
    """Iterations of each rank above the array."""
    t = problem.tables
    s = t.vectors[recipe[VECTOR]].tolist()
    return [math.ceil(int(n) / (w * i)) for n, w, i in zip(t.extent, recipe[TILE : TILE + 3], s, strict=True)]


class _Writer:
    """Turns steps over rank classes into nodes over ranks.

    With perfect bounds a factor of a merged rank is split by greatest common divisors: what the first rank cannot
    take divides the product of the others.
    """

    def __init__(self, problem: Problem, vector: int) -> None:
        self._problem = problem
        self._left = {var: problem.einsum.extents[var] for column in problem.columns for var in column.variables}
        self._spatial = self._array(vector)

    def write(self, steps: Sequence[Step]) -> Nodes:
        machine = self._problem.machine
        nodes: list[Node] = [Hold(machine.outer.name, tuple(a.tensor for a in self._problem.tensors))]
        nodes += [Loop(var, bound) for var, bound in self._batch()]
        for kind, which, bound in steps:
            if kind == "loop":
                nodes += [Loop(var, part) for var, part in self._split(self._ranks(which), bound)]
            elif kind == "array":
                nodes += self._spatial
            else:
                memory = machine.buffer if kind == "buffer" else machine.registers
                assert memory is not None
                self._hold(nodes, memory.name, self._problem.tensors[which].tensor)
        return (*nodes, Bind(machine.compute.name))

    @staticmethod
    def _hold(nodes: list[Node], memory: str, tensor: str) -> None:
        """Add a hold, to the one before it where that is of the same memory."""
        last = nodes[-1]
        if isinstance(last, Hold) and last.memory == memory:
            nodes[-1] = Hold(memory, (*last.tensors, tensor))
        else:
            nodes.append(Hold(memory, (tensor,)))

    def _array(self, vector: int) -> list[Node]:
        """The spatial loops; what they take is no longer left of their ranks."""
        nodes: list[Node] = []
        for axis, factors in zip(self._problem.axes, self._problem.factors[vector].tolist(), strict=True):
            for column, factor in zip(self._problem.columns, factors, strict=True):
                nodes += [Spatial(axis.fanout, axis.name, var, part) for var, part in self._split((column,), factor)]
        return nodes

    def _batch(self) -> list[tuple[str, int]]:
        """All that is left of the batch ranks."""
        return [(var, self._left[var]) for c in self._ranks(BATCH) for var in c.variables if self._left[var] > 1]

    def _ranks(self, rank: int) -> tuple[Column, ...]:
        return tuple(column for column in self._problem.columns if column.rank == rank)

    def _split(self, columns: Sequence[Column], bound: int) -> list[tuple[str, int]]:
        """Loops of ``bound`` iterations over some ranks; only a rank that stands alone may be clipped."""
        variables = [var for column in columns for var in column.variables]
        if bound == 1 or not variables:
            return []
        if len(variables) == 1:
            self._left[variables[0]] = math.ceil(self._left[variables[0]] / bound)
            return [(variables[0], bound)]
        loops = []
        for var in variables:
            part = math.gcd(bound, self._left[var])
            bound //= part
            self._left[var] //= part
            loops += [(var, part)] if part > 1 else []
        return loops
