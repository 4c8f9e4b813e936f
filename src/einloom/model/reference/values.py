"""What a nest computes: the line of the Einsum, evaluated point by point in the order of the nest."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from einloom.model.reference.nest import Element, Nest, Place
from einloom.workloads.cascade import Cascade
from einloom.workloads.expressions import (
    Affine,
    Binary,
    Call,
    Expression,
    Guard,
    Negation,
    Number,
    Reduction,
    Reference,
    references,
)
from einloom.workloads.operators import Operator, operator_named

Array = np.ndarray[Any, Any]
Point = dict[str, int]
"""The index of each rank variable."""

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


def points(nest: Nest) -> Iterator[tuple[Place, Point]]:
    """(place, point) for every point of the iteration space, step after step, in a step place after place."""
    compute = nest.compute()
    for time in compute.times:
        for place, indices in compute.places.items():
            index = [a + b for a, b in zip(time, indices, strict=True)]
            if all(i < extent for i, extent in zip(index, nest.extents, strict=True)):
                yield place, dict(zip(nest.variables, index, strict=True))


def output(nest: Nest, inputs: Mapping[str, Array], cascade: Cascade) -> Array:
    """The tensor that the nest computes, as float64.

    Args:
        inputs: Arrays by tensor. One for the output itself says what is there before.
        cascade: Has the line of the Einsum, and the shapes, padding and initial generations of its tensors.
    """
    order = [_unflattened(nest, point, cascade) for _, point in points(nest)]
    evaluation = Evaluation(cascade, dict(inputs), order)
    with np.errstate(all="ignore"):  # inf and nan are values here: exp(-inf) starts a running softmax
        return evaluation.run(nest.einsum.name)


def _unflattened(nest: Nest, point: Point, cascade: Cascade) -> Point:
    """The point in the rank variables of the line: a flat variable counts its members, the last fastest."""
    members: Point = {}
    for flat, group in nest.einsum.flatten.items():
        shape = [cascade.extents[variable] for variable in group]
        members |= zip(group, map(int, np.unravel_index(point[flat], shape)), strict=True)
    return point | members


class Evaluation:
    """One line evaluated over points in a given order: what it reduces first, then its left side."""

    def __init__(self, cascade: Cascade, arrays: dict[str, Array], order: list[Point]) -> None:
        self.cascade = cascade
        self.arrays = arrays
        self.order = order
        self.results: dict[Reduction, dict[tuple[int, ...], float]] = {}

    def run(self, name: str) -> Array:
        """Evaluate the line called ``name``; a recurrence reads the generations written before."""
        line = next(einsum for einsum in self.cascade.einsums if einsum.name == name)
        target = line.output.tensor
        start = np.full(self.cascade.shape(target), self.cascade.init.get(target, 0.0))
        result = self.arrays[target] = self.arrays.get(target, start).astype(float)
        for reduction in reversed(line.reductions):  # inner ones stand behind the outer
            self.results[reduction] = self._reduce(reduction)
        for point in self.order:
            result[self._element(line.output, point)] = self._value(line.expression, point)
        return result

    def _reduce(self, node: Reduction) -> dict[tuple[int, ...], float]:
        """Each result from its values, in the order in which the nest visits them, every value once."""
        around, inside = _scope(node)
        values: dict[tuple[int, ...], dict[tuple[int, ...], float]] = {}
        for point in self.order:
            mine = values.setdefault(_at(around, point), {})
            if (here := _at(inside, point)) not in mine:
                mine[here] = self._guarded(node, point)
        fold = _known(node.operator).reduction
        assert fold is not None
        return {key: fold(np.array(list(mine.values())), (0,)).item() for key, mine in values.items()}

    def _guarded(self, node: Reduction, point: Point) -> float:
        if node.guard is None or self._holds(node.guard, point):
            return self._value(node.body, point)
        identity = _known(node.operator).identity
        assert identity is not None
        return identity

    def _holds(self, guard: Guard, point: Point) -> bool:
        return RELATIONS[guard.relation](self._affine(guard.left, point), self._affine(guard.right, point))

    def _value(self, node: Expression, point: Point) -> float:
        match node:
            case Reference():
                return self._read(node.tensor, self._element(node, point))
            case Number():
                return node.value
            case Reduction():
                around, _ = _scope(node)
                return self.results[node][_at(around, point)]
            case Call():
                return self._apply(node.operator, [self._value(part, point) for part in node.arguments])
            case Binary():
                return self._apply(node.operator, [self._value(node.left, point), self._value(node.right, point)])
            case Negation():
                return -self._value(node.argument, point)

    def _read(self, tensor: str, element: Element) -> float:
        array = self.arrays[tensor]
        if all(0 <= i < extent for i, extent in zip(element, array.shape, strict=True)):
            return float(array[element])
        return float(self.cascade.pad[tensor])

    def _apply(self, name: str, arguments: list[float]) -> float:
        known = _known(name)
        assert known.function is not None
        if known.arity >= 0:
            return float(known.function(*arguments))
        result, *others = arguments
        for other in others:
            result = float(known.function(result, other))
        return result

    def _element(self, reference: Reference, point: Point) -> Element:
        return tuple(self._affine(index.affine, point) for index in reference.indices)

    def _affine(self, affine: Affine, point: Point) -> int:
        ranks = self.cascade.extents
        return affine.constant + sum(c * (point[v] if v in point else ranks[v]) for c, v in affine.terms)


def _scope(node: Reduction) -> tuple[list[str], list[str]]:
    """The rank variables that a reduction has from around it, and those it reduces."""
    used = {v for reference in references(node.body) for v in reference.variables}
    used |= set(node.guard.variables) if node.guard else set()
    return sorted(used - set(node.variables)), sorted(node.variables)


def _at(variables: list[str], point: Point) -> tuple[int, ...]:
    return tuple(point[v] for v in variables)


def _known(name: str) -> Operator:
    known = operator_named(name)
    assert known is not None
    return known
