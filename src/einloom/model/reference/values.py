"""What a nest computes: its points one by one, in the order in which the nest visits them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from einloom.model.reference.nest import Element, Nest
from einloom.workloads.sized import Access

Array = np.ndarray[Any, Any]
Point = dict[str, int]
"""The index of each rank variable."""


@dataclass(frozen=True)
class Arithmetic:
    """What a point does: ``combine`` makes one value of the operands, ``reduce`` adds it to the output so far."""

    combine: Callable[[Sequence[float]], float] = math.prod
    reduce: Callable[[float, float], float] = lambda so_far, value: so_far + value


def points(nest: Nest) -> Iterator[tuple[tuple[int, ...], Point]]:
    """(place, point) for every point of the iteration space, step after step, in a step place after place."""
    compute = nest.compute()
    for time in compute.times:
        for place, indices in compute.places.items():
            index = [a + b for a, b in zip(time, indices, strict=True)]
            if all(i < extent for i, extent in zip(index, nest.extents, strict=True)):
                yield place, dict(zip(nest.variables, index, strict=True))


def output(nest: Nest, inputs: Mapping[str, Array], arithmetic: Arithmetic) -> Array:
    """The output tensor, each element reduced in nest order; elements that no point writes are 0."""
    einsum = nest.einsum
    result: dict[Element, float] = {}
    for _, point in points(nest):
        operands = [inputs[access.tensor][_element(access, point)] for access in einsum.inputs]
        value = arithmetic.combine(operands)
        element = _element(einsum.output, point)
        result[element] = arithmetic.reduce(result[element], value) if element in result else value
    array = np.zeros([einsum.extent(dim) for dim in einsum.output.dims])
    for element, value in result.items():
        array[element] = value
    return array


def _element(access: Access, point: Point) -> Element:
    return tuple(sum(c * point[v] for v, c in dim) for dim in access.dims)
