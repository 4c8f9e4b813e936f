"""What a tree computes: every point of every Einsum executed in the order of the schedule.

An operand must be finished before it is read, and where hold nodes say that it lives below some loops, it must have
been made in the same iteration of those loops. Children of a `sequential` or `phases` group run in turn, each on the
slot that its lag gives it. Children of `pipelined` run side by side: whoever lacks an operand waits for the others.
When all wait, the order is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from einloom.errors import MappingError, Problem
from einloom.model.reference.fused.holding import Alternative
from einloom.model.reference.fused.tree import Branch, Digits, Leaf, Position, Tree, bound
from einloom.model.reference.nest import Element
from einloom.model.reference.values import Array, Evaluation, Point
from einloom.workloads.einsum import Einsum
from einloom.workloads.expressions import Expression, Reduction
from einloom.workloads.operators import operator_named

Where = Callable[[Leaf], Digits | None]
"""The iteration of the shared loops that an Einsum works on now; None if it has none."""


class Line(Evaluation):
    """One line of the cascade, evaluated point by point as operands become ready."""

    def __init__(self, tree: Tree, line: Einsum, arrays: dict[str, Array]) -> None:
        super().__init__(tree.cascade, arrays, [])
        self.line = line
        self.folded = math.nan
        self.values: dict[Element, dict[Element, float]] = {}
        extents = tree.cascade.extents
        self.kept = [v for v in line.variables if v in line.output.variables]
        self.reduced = [v for v in line.variables if v not in line.output.variables]
        self.needed = math.prod(extents[v] for v in self.reduced)

    def element(self, point: Point) -> Element:
        """What the point writes."""
        return self._element(self.line.output, point)

    def operands(self, point: Point) -> Iterator[tuple[str, Element]]:
        """What the point reads, inside of the tensors; nothing where a guard leaves it out."""
        for reduction in self.line.reductions:
            if reduction.guard is not None and not self._holds(reduction.guard, point):
                return
        for reference in self.line.inputs:
            element, array = self._element(reference, point), self.arrays[reference.tensor]
            if all(0 <= i < extent for i, extent in zip(element, array.shape, strict=True)):
                yield reference.tensor, element

    def take(self, point: Point) -> int:
        """Execute one point; how many of its result are missing. The result is stored with the last."""
        key, inside = (tuple(point[v] for v in some) for some in (self.kept, self.reduced))
        mine = self.values.setdefault(key, {})
        assert inside not in mine, "a point runs once"
        reduction = next(iter(self.line.reductions), None)
        mine[inside] = self._guarded(reduction, point) if reduction is not None else 0.0
        if len(mine) == self.needed:
            if reduction is not None:
                fold = self._fold(reduction)
                self.folded = fold(np.array(list(mine.values())))
            self.arrays[self.line.output.tensor][self.element(point)] = self._value(self.line.expression, point)
        return self.needed - len(mine)

    def _fold(self, reduction: Reduction) -> Callable[[Array], float]:
        known = operator_named(reduction.operator)
        assert known is not None
        assert known.reduction is not None
        fold = known.reduction
        return lambda values: float(fold(values, (0,)).item())

    def _value(self, node: Expression, point: Point) -> float:
        return self.folded if isinstance(node, Reduction) else super()._value(node, point)


@dataclass(frozen=True)
class Made:
    """When an element got its first contribution and when it was finished (None: not yet)."""

    first: Digits
    last: Digits | None
    missing: int


class Run:
    """One run of a tree."""

    def __init__(
        self,
        tree: Tree,
        parts: Mapping[str, tuple[Alternative, ...]],
        lag: Mapping[str, int],
        inputs: Mapping[str, Array],
    ) -> None:
        self.tree, self.parts, self.lag = tree, parts, lag
        self.arrays = {name: np.asarray(inputs[name], float) for name in tree.cascade.inputs}
        self.made: dict[str, dict[Element, Made]] = {}
        self.given: dict[str, set[Element]] = {}
        self.done = 0
        self.blocked = ""
        self._start()
        self.lines = {leaf.name: Line(tree, leaf.line, self.arrays) for leaf in tree.leaves.values()}

    def _start(self) -> None:
        """Nothing is computed but the generations that a number starts."""
        for tensor in self.tree.cascade.facts.producers:
            self.arrays[tensor] = np.full(self.tree.cascade.shape(tensor), math.nan)
            self.made[tensor], self.given[tensor] = {}, set()
        for tensor, value in self.tree.cascade.facts.init.items():
            generation = self.tree.generation(tensor)
            assert generation is not None
            for element in np.ndindex(*self.arrays[tensor].shape):
                if element[generation.dimension] < generation.lag:
                    self._give(tensor, element, value)
        for line in self.tree.cascade.einsums:
            if line.constant:
                constant = Line(self.tree, line, self.arrays)
                for point in _points(line.variables, self.tree.cascade.extents):
                    self._give(line.output.tensor, constant.element(point), constant._value(line.expression, point))

    def _give(self, tensor: str, element: Element, value: float) -> None:
        self.arrays[tensor][element] = value
        self.given[tensor].add(element)

    def outputs(self) -> dict[str, Array]:
        """Run to the end; every computed tensor.

        Raises:
            MappingError: All Einsums that are left wait for each other, or an operand has left its tile.
        """
        with np.errstate(all="ignore"):  # inf and nan are values here: exp(-inf) starts a running softmax
            for _ in self._list(self.tree.root, {}, None):
                raise MappingError(self.blocked, "operands are finished before they are read: change order or loops")
        points = sum(leaf.einsum.points for leaf in self.tree.leaves.values())
        assert self.done == points, f"{self.done} of {points} points have run"
        return {name: self.arrays[name] for name in self.tree.cascade.facts.producers}

    # -- the schedule: each of these runs as far as it can and yields when it must wait

    def _list(self, branch: Branch, digits: Digits, where: Where | None) -> Iterator[None]:
        """A list in one iteration of the loops above it.

        Args:
            where: Inside a slot group: which iteration of the loops above the list each Einsum works on.
        """
        if branch.schedule is None:
            leaf = self.tree.leaves[branch.label]
            now = digits if where is None else where(leaf)
            if now is not None and self.tree.exists(now, leaf.shared) and self.tree.active(leaf, now):
                yield from self._leaf(leaf, now)
            return
        inside = [
            dict(zip([at for at, _ in branch.loops], values, strict=True))
            for values in product(*(range(bound(loop)) for _, loop in branch.loops))
        ]
        if where is None and branch.schedule != "pipelined":
            yield from self._slots(branch, [{**digits, **inner} for inner in inside])
            return
        for inner in inside:
            yield from self._group(branch, {**digits, **inner}, where and _further_in(where, inner))

    def _slots(self, branch: Branch, slots: list[dict[Position, int]]) -> Iterator[None]:
        """A slot group: every Einsum works on the slot that began as many slots ago as its lag says."""
        depth = max(self.lag[leaf.name] for leaf in self.tree.leaves.values() if leaf.below(branch.at))
        loops = next(leaf.shared for leaf in self.tree.leaves.values() if leaf.below(branch.at))
        known = tuple((at, loop) for at, loop in loops if at in slots[0])
        slots = [digits for digits in slots if self.tree.exists(digits, known)]
        for now in range(len(slots) + depth):

            def where(leaf: Leaf, now: int = now) -> Digits | None:
                mine = now - self.lag[leaf.name]
                return slots[mine] if 0 <= mine < len(slots) else None

            yield from self._group(branch, {}, where)

    def _group(self, branch: Branch, digits: Digits, where: Where | None) -> Iterator[None]:
        runs = [self._list(child, digits, where) for child in branch.children]
        if branch.schedule != "pipelined":
            for run in runs:
                yield from run
            return
        while runs:
            before = self.done, len(runs)
            runs = [run for run in runs if next(run, "ended") != "ended"]
            if runs and before == (self.done, len(runs)):
                yield  # all children wait

    def _leaf(self, leaf: Leaf, digits: Digits) -> Iterator[None]:
        for point in self._points(leaf, digits):
            while (missing := self._missing(leaf, point, digits)) is not None:
                self.blocked = missing
                yield
            self._execute(leaf, point, digits)

    def _points(self, leaf: Leaf, digits: Digits) -> Iterator[Point]:
        """The points of an Einsum in one iteration of the shared loops, in the order of its nest."""
        own = [at for at in leaf.nest_positions if at not in digits]
        nodes = dict(leaf.path)
        start = dict.fromkeys(leaf.einsum.extents, 0)
        for at, loop in leaf.shared:
            if loop.variable in start:
                start[loop.variable] += digits[at] * self.tree.weights[at]
        for values in product(*(range(getattr(nodes[at], "bound", 1)) for at in own)):
            point = dict(start)
            for at, value in zip(own, values, strict=True):
                point[getattr(nodes[at], "variable", "")] += value * self.tree.weights[at]
            if all(point[v] < extent for v, extent in leaf.einsum.extents.items()):
                yield point

    # -- one point

    def _missing(self, leaf: Leaf, point: Point, digits: Digits) -> str | None:
        """What a point still waits for.

        Raises:
            MappingError: An operand was made in another iteration of the loops above where it is held.
        """
        for tensor, element in self.lines[leaf.name].operands(point):
            if tensor not in self.made or element in self.given[tensor]:
                continue
            made = self.made[tensor].get(element)
            name = f"{tensor}[{','.join(map(str, element))}]"
            if made is None:
                return f"{leaf.name} reads {name} before it is computed"
            if made.last is None:
                parts = f"the loops above have it in parts: {made.missing} missing"
                return f"{leaf.name} needs {name} finished, but {parts}"
            for at in self._sources(leaf, tensor):
                self._check_same(at, made.last, digits, f"{leaf.name} reads {name}")
        return None

    def _execute(self, leaf: Leaf, point: Point, digits: Digits) -> None:
        line, tensor = self.lines[leaf.name], leaf.line.output.tensor
        element = line.element(point)
        missing = line.take(point)
        first = self.made[tensor][element].first if element in self.made[tensor] else digits
        name = f"{tensor}[{','.join(map(str, element))}]"
        for part in self.parts[tensor]:
            if part.home is not None:
                self._check_same(part.home, first, digits, f"{leaf.name} adds to {name}")
        self.made[tensor][element] = Made(first, None if missing else digits, missing)
        self.done += 1

    def _sources(self, leaf: Leaf, tensor: str) -> Iterator[Position]:
        """The node from which a reader has a tensor as its producers left it there.

        That is the innermost hold above both, the home of a state, or the node that forwards the word.
        """
        for part in self.parts[tensor]:
            if leaf.name in part.forwarded:
                yield part.forwarded[leaf.name]
            elif self.tree.generation(tensor) is not None or not part.chains:
                yield from () if part.home is None else (part.home,)
            else:
                makers = [part.chains[maker.name] for maker in self.tree.producers(tensor)]
                yield [at for at in part.chains[leaf.name] if all(at in chain for chain in makers)][-1]

    def _check_same(self, at: Position, made: Digits, now: Digits, what: str) -> None:
        """Both happen in the same iteration of the loops above a node."""
        above = [p for p in now if p < at]
        if any(made.get(p) != now[p] for p in above):
            wrong = f"{what} in another iteration of the loops above its holder than it was made in"
            raise MappingError(Problem(wrong, "hold it further out, above the loop", at))


def _further_in(where: Where, inner: Digits) -> Where:
    def further(leaf: Leaf) -> Digits | None:
        outer = where(leaf)
        return None if outer is None else {**outer, **inner}

    return further


def _points(variables: tuple[str, ...], extents: Mapping[str, int]) -> Iterator[Point]:
    for values in product(*(range(extents[v]) for v in variables)):
        yield dict(zip(variables, values, strict=True))
