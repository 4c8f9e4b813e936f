"""What a cascade means: every Einsum executed with numpy over its whole iteration space.

One axis for each rank variable of the line, in order of appearance; an index expression becomes a broadcast
array of coordinates, a reference a gather, a reduction a fold over axes. A recurrence runs its lines once per
generation. Written to be right, not fast: scale the ranks down before running a network layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from einloom.errors import Problem, SpecError
from einloom.workloads.einsum import Einsum
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
)
from einloom.workloads.facts import Step, did_you_mean
from einloom.workloads.operators import Operator, operator_named

if TYPE_CHECKING:
    from einloom.workloads.cascade import Cascade

Array = np.ndarray[Any, Any]
MAX_POINTS = 2**27
"""Points of one Einsum that are executed at once (1 GiB of float64)."""

_RELATIONS = {"<=": np.less_equal, "<": np.less, "==": np.equal, ">=": np.greater_equal, ">": np.greater}
_ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}


def run(cascade: Cascade, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every computed tensor of ``cascade``.

    Args:
        cascade: With all sizes given.
        inputs: An array of shape ``cascade.shape(name)`` for each input.

    Returns:
        The computed tensors by name. A tensor with generations has all of them: its first axis is one longer.

    Raises:
        SpecError: An input is missing, unknown or of another shape; an operator has no meaning; the space is
            too large.
    """
    values = _checked_inputs(cascade, inputs)
    for name in cascade.facts.generations:
        values[name] = np.full(cascade.shape(name), cascade.facts.init.get(name, 0.0))
    with np.errstate(all="ignore"):  # inf and nan are values here: exp(-inf) starts a running softmax
        for step in cascade.facts.order:
            _run_step(cascade, step, values)
    return {name: values[name] for name in cascade.tensors if name in cascade.facts.producers}


def _checked_inputs(cascade: Cascade, inputs: Mapping[str, Array]) -> dict[str, Array]:
    problems = [
        Problem(
            f"'{name}' is no input of the cascade '{cascade.name}'",
            did_you_mean(name, cascade.inputs, "inputs"),
        )
        for name in inputs
        if name not in cascade.inputs
    ]
    values: dict[str, Array] = {}
    for name in cascade.inputs:
        shape = cascade.shape(name)
        if name not in inputs:
            problems.append(Problem(f"the input {name} is missing", f"give an array of shape {shape}"))
            continue
        values[name] = np.asarray(inputs[name])
        if values[name].shape != shape:
            problems.append(
                Problem(f"the input {name} has the shape {values[name].shape}", f"its shape is {shape}")
            )
    if problems:
        raise SpecError(problems)
    return values


def _run_step(cascade: Cascade, step: Step, values: dict[str, Array]) -> None:
    """One line at once, or the lines of a recurrence generation by generation."""
    if step.variable is None:
        for line in step.lines:
            _assign(cascade, cascade.einsums[line], {}, values)
        return
    for generation in range(cascade.extents[step.variable]):
        for line in step.lines:
            _assign(cascade, cascade.einsums[line], {step.variable: generation}, values)


def _assign(cascade: Cascade, einsum: Einsum, fixed: Mapping[str, int], values: dict[str, Array]) -> None:
    """Evaluate one line, with some rank variables at one coordinate, and store its result."""
    evaluation = _Evaluation(cascade, einsum, fixed, values)
    result = evaluation.value(einsum.expression)
    name = einsum.output.tensor
    shape = cascade.shape(name)
    if name not in values:
        values[name] = np.zeros(shape, dtype=np.result_type(result, np.float64) if fixed else result.dtype)
    target = [evaluation.coordinates(index.affine) for index in einsum.output.indices]
    sizes = [evaluation.extent(v) if v in einsum.output.variables else 1 for v in einsum.variables]
    where = tuple(np.broadcast_to(axis, sizes) for axis in target)
    values[name][where] = np.broadcast_to(result, sizes) if where else result.item()


class _Evaluation:
    """One Einsum over its iteration space; axis i of every array belongs to variable i."""

    def __init__(
        self, cascade: Cascade, einsum: Einsum, fixed: Mapping[str, int], values: Mapping[str, Array]
    ) -> None:
        self.cascade, self.fixed, self.values = cascade, fixed, values
        self.axis = {variable: i for i, variable in enumerate(einsum.variables)}
        points = math.prod(self.extent(variable) for variable in einsum.variables)
        if points > MAX_POINTS:
            raise SpecError(
                f"{einsum.name} has {points} points, more than are executed at once ({MAX_POINTS})",
                "scale its ranks down: cascade.with_ranks(M=8, ...)",
            )

    def extent(self, variable: str) -> int:
        return 1 if variable in self.fixed else self.cascade.extents[variable]

    def coordinates(self, affine: Affine) -> Array:
        """Values of an index expression, with one axis per rank variable of the line."""
        total: Array = np.full((1,) * len(self.axis), affine.constant, dtype=np.int64)
        for coefficient, name in affine.terms:
            total = total + coefficient * self._points(name)
        return total

    def _points(self, name: str) -> Array:
        if name[0].isupper():
            return np.array(self.cascade.extents[name])
        shape = [1] * len(self.axis)
        shape[self.axis[name]] = self.extent(name)
        points = np.array([self.fixed[name]]) if name in self.fixed else np.arange(self.extent(name))
        return points.reshape(shape)

    def value(self, node: Expression) -> Array:
        """The value of ``node``; axes that it does not depend on have length 1."""
        match node:
            case Number():
                number = int(node.value) if node.value.is_integer() else node.value
                return np.full((1,) * len(self.axis), number)
            case Reference():
                return self._gather(node)
            case Negation():
                return np.asarray(np.negative(self.value(node.argument)))
            case Binary():
                return np.asarray(_ARITHMETIC[node.operator](self.value(node.left), self.value(node.right)))
            case Call():
                return self._call(node)
            case Reduction():
                return self._reduce(node)

    def _gather(self, reference: Reference) -> Array:
        array = self.values[reference.tensor]
        at = [self.coordinates(index.affine) for index in reference.indices]
        if not at:
            return array.reshape((1,) * len(self.axis))
        pad = self.cascade.pad.get(reference.tensor)
        if pad is None:
            return np.asarray(array[tuple(np.broadcast_arrays(*at))])
        inside: Array = np.array(True)
        for axis, extent in zip(at, array.shape, strict=True):
            inside = inside & (axis >= 0) & (axis < extent)
        clipped = [np.clip(axis, 0, extent - 1) for axis, extent in zip(at, array.shape, strict=True)]
        value = int(pad) if math.isfinite(pad) and float(pad).is_integer() else pad
        return np.where(inside, array[tuple(np.broadcast_arrays(*clipped))], value)

    def _call(self, node: Call) -> Array:
        operator = _meaning(node.operator)
        assert operator.function is not None
        arguments = [self.value(argument) for argument in node.arguments]
        if operator.arity >= 0:
            return np.asarray(operator.function(*arguments))
        result = arguments[0]
        for argument in arguments[1:]:
            result = np.asarray(operator.function(result, argument))
        return result

    def _reduce(self, node: Reduction) -> Array:
        operator = _meaning(node.operator)
        assert operator.reduction is not None
        body = self.value(node.body)
        if node.guard is not None:
            assert operator.identity is not None
            body = np.where(self._selected(node.guard), body, operator.identity)
        axes = tuple(self.axis[variable] for variable in node.variables)
        shape = list(body.shape)
        for variable in node.variables:
            shape[self.axis[variable]] = self.extent(variable)
        return operator.reduction(np.broadcast_to(body, shape), axes)

    def _selected(self, guard: Guard) -> Array:
        relation = _RELATIONS[guard.relation]
        return np.asarray(relation(self.coordinates(guard.left), self.coordinates(guard.right)))


def _meaning(name: str) -> Operator:
    operator = operator_named(name)
    if operator is None:
        raise SpecError(
            f"the operator '{name}' has a cost but no meaning, so it cannot be executed",
            f"register_operator(Operator('{name}', function))",
        )
    return operator
