"""A cascade as the counting model sees it: sized Einsums, operations, compulsory traffic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from einloom.errors import Problem, SpecError
from einloom.workloads.einsum import Einsum, bounds
from einloom.workloads.expressions import Affine, Reduction, Reference, references, walk
from einloom.workloads.sized import Access, Dim, Role, SizedEinsum

if TYPE_CHECKING:
    from einloom.workloads.cascade import Cascade

MAX_POINTS = 2**24
"""Dimensions that share a rank variable (a diagonal) are enumerated up to this many points."""


@dataclass(frozen=True)
class Traffic:
    """Compulsory traffic.

    Attributes:
        elements: Distinct elements touched, by tensor: the workload's inputs and outputs.
        bits: All of them in bits, exact.
    """

    elements: Mapping[str, int]
    bits: Fraction

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", MappingProxyType(dict(self.elements)))


def sized(cascade: Cascade) -> tuple[SizedEinsum, ...]:
    """See `Cascade.sized`. A line that only starts a generation with a constant is no work and left out."""
    problems: list[Problem] = []
    result: list[SizedEinsum] = []
    extents = cascade.extents
    for line, einsum in enumerate(cascade.einsums):
        if einsum.constant:
            continue
        problem = _not_countable(einsum, line)
        if problem is not None:
            problems.append(problem)
            continue
        result.append(
            SizedEinsum(
                name=einsum.name,
                extents={variable: extents[variable] for variable in einsum.variables},
                accesses=_accesses(cascade, einsum),
                work=einsum.work(cascade.operators),
                text=einsum.text,
                notes=_notes(cascade, einsum),
            )
        )
    if problems:
        raise SpecError(problems)
    return tuple(result)


def _not_countable(einsum: Einsum, line: int) -> Problem | None:
    """An Einsum is counted as one loop nest: one reduction, around every tensor that it reads."""
    if len(einsum.reductions) > 1:
        second = einsum.reductions[1]
        return Problem(
            f"{einsum.name} has two reductions, {einsum.reductions[0].operator} and {second.operator}: "
            "that is two loop nests",
            f"split it into two Einsums, one for each, for example T[...] = {second}",
            ("cascade", line),
            offset=second.span[0],
            length=second.span[1],
        )
    if not einsum.reductions:
        return None
    inside = references(einsum.reductions[0].body)
    for reference in references(einsum.expression):
        if not any(reference is other for other in inside):
            return Problem(
                f"{einsum.name} reads {reference} outside of its reduction: that is two loop nests",
                "split it into two Einsums: the reduction first, "
                f"T[...] = {_shortened(einsum.reductions[0])}, then the rest with T[...]",
                ("cascade", line),
                offset=reference.span[0],
                length=reference.span[1],
            )
    return None


def _shortened(reduction: Reduction) -> str:
    text = str(reduction)
    return text if len(text) <= 60 else f"{reduction.operator}{{{','.join(reduction.variables)}}}(...)"


def _accesses(cascade: Cascade, einsum: Einsum) -> tuple[Access, ...]:
    """The output, then each distinct reference (tensor and indices with their offsets)."""
    found = [_access(cascade, einsum.output, "output")]
    found += [_access(cascade, reference, "input") for reference in einsum.inputs]
    return tuple(found)


def _access(cascade: Cascade, reference: Reference, role: Role) -> Access:
    tensor = reference.tensor
    return Access(
        tensor=tensor,
        dims=tuple(dim_of(index.affine) for index in reference.indices),
        role=role,
        bits=cascade.bits_of(tensor),
        weight=tensor in cascade.weight_tensors,
        workload_input=tensor in cascade.inputs,
        workload_output=tensor in cascade.outputs,
    )


def dim_of(affine: Affine) -> Dim:
    """The rank variables of an index with their coefficients; offsets and ranks drop out."""
    return tuple((name, coefficient) for coefficient, name in affine.terms if name[0].islower())


def _notes(cascade: Cascade, einsum: Einsum) -> tuple[str, ...]:
    notes = [
        f"the guard {node.guard} is counted as dense: all points of {', '.join(node.variables)}"
        for node in walk(einsum.expression)
        if isinstance(node, Reduction) and node.guard
    ]
    for reference in einsum.inputs:
        ranges = [bounds(index.affine, cascade.extents) for index in reference.indices]
        shape = cascade.shape(reference.tensor)
        outside = any(low < 0 or high >= extent for (low, high), extent in zip(ranges, shape, strict=True))
        if outside:
            notes.append(f"{reference} is counted with its padding: the bounding box of its indices")
    return tuple(notes)


def operations(cascade: Cascade) -> dict[str, int]:
    """See `Cascade.operations`. Exact for every Einsum, also those that `sized` refuses."""
    total: dict[str, int] = {}
    extents = cascade.extents
    for einsum in cascade.einsums:
        for work in einsum.work(cascade.operators):
            points = math.prod(extents[variable] for variable in work.variables)
            total[work.operator] = total.get(work.operator, 0) + work.count * points
    return total


def compulsory_traffic(cascade: Cascade) -> Traffic:
    """See `Cascade.compulsory_traffic`. A stride's gaps and padding are not touched; guards are ignored."""
    touched: dict[str, list[Reference]] = {}
    for einsum in cascade.einsums:
        if einsum.output.tensor in cascade.outputs:
            touched.setdefault(einsum.output.tensor, []).append(einsum.output)
        for reference in einsum.inputs:
            if reference.tensor in cascade.inputs:
                touched.setdefault(reference.tensor, []).append(reference)
    elements = {tensor: _distinct(cascade, tensor, dict.fromkeys(refs)) for tensor, refs in touched.items()}
    for tensor, generation in cascade.facts.generations.items():
        if tensor in elements:  # what leaves the cascade is the last generation
            shape = cascade.shape(tensor)
            elements[tensor] = math.prod(shape[: generation.dimension]) * math.prod(
                shape[generation.dimension + 1 :]
            )
    bits = sum((cascade.bits_of(tensor) * count for tensor, count in elements.items()), Fraction(0))
    return Traffic(elements, bits)


Touched = list[tuple[tuple[int, ...], "np.ndarray[Any, Any]"]]
"""For each group of dimensions that vary together: the dimensions, the distinct coordinates ``(n, dims)``."""


def _distinct(cascade: Cascade, tensor: str, uses: Mapping[Reference, None]) -> int:
    """Size of the union of what the references touch, by inclusion and exclusion over equal groupings."""
    shape = cascade.shape(tensor)
    if len(uses) == 1:
        reference = next(iter(uses))
        return math.prod(_count(cascade, reference, group, shape) for group in _groups(reference))
    boxes = list(
        {
            tuple(_keyed(dims, at) for dims, at in sets): sets
            for sets in (_touched(cascade, reference, shape) for reference in uses)
        }.values()
    )
    if len(boxes) == 1:
        return math.prod(len(at) for _, at in boxes[0])
    groupings = {tuple(dims for dims, _ in box) for box in boxes}
    if len(groupings) > 1 or len(boxes) > 12:
        return _enumerated(boxes, shape)
    flat = [[set(map(tuple, at.tolist())) for _, at in box] for box in boxes]
    total = 0
    for count in range(1, len(flat) + 1):
        for some in combinations(flat, count):
            total += (-1) ** (count + 1) * math.prod(
                len(set.intersection(*column)) for column in zip(*some, strict=True)
            )
    return total


def _keyed(dims: tuple[int, ...], at: np.ndarray[Any, Any]) -> tuple[tuple[int, ...], bytes]:
    return dims, at.tobytes()


def _groups(reference: Reference) -> list[list[int]]:
    """Dimensions that share rank variables, together."""
    groups: list[list[int]] = []
    for dimension, index in enumerate(reference.indices):
        mine = set(index.affine.variables)
        linked = [g for g in groups if any(mine & set(reference.indices[d].affine.variables) for d in g)]
        joined = sorted([dimension, *(d for g in linked for d in g)])
        groups = [*(g for g in groups if g not in linked), joined]
    return sorted(groups)


def _touched(cascade: Cascade, reference: Reference, shape: tuple[int, ...]) -> Touched:
    """Distinct coordinates inside of the tensor, by groups of dimensions that share no rank variable."""
    return [(tuple(group), _coordinates(cascade, reference, group, shape)) for group in _groups(reference)]


def _count(cascade: Cascade, reference: Reference, group: list[int], shape: tuple[int, ...]) -> int:
    """Distinct coordinates of a group; closed form for an index of one variable."""
    affine = reference.indices[group[0]].affine
    if len(group) > 1 or len(affine.variables) > 1:
        return len(_coordinates(cascade, reference, group, shape))
    low, high = bounds(affine, cascade.extents)
    step = next((abs(c) for c, name in affine.terms if name[0].islower()), 1)
    extent = shape[group[0]]
    first = low if low >= 0 else low % step
    last = min(high, extent - 1)
    return max(0, (last - first) // step + 1)


def _coordinates(
    cascade: Cascade, reference: Reference, group: list[int], shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    extents = cascade.extents
    affines = [reference.indices[d].affine for d in group]
    if len(group) == 1:
        values = _values(affines[0], extents)[:, None]
    else:
        names = list(dict.fromkeys(v for a in affines for v in a.variables))
        if math.prod(extents[v] for v in names) > MAX_POINTS:
            raise SpecError(
                f"the elements that {reference} touches are too many to count exactly", "scale the ranks down"
            )
        grid = dict(
            zip(
                names,
                np.meshgrid(*(np.arange(extents[v]) for v in names), indexing="ij", sparse=True),
                strict=True,
            )
        )
        shape_of_grid = np.broadcast_shapes(*(axis.shape for axis in grid.values()))
        columns = [np.broadcast_to(_linear(a, grid, extents), shape_of_grid).ravel() for a in affines]
        values = np.unique(np.stack(columns, axis=1), axis=0)
    inside = np.all((values >= 0) & (values < np.array([shape[d] for d in group])), axis=1)
    return np.ascontiguousarray(values[inside])


def _linear(affine: Affine, grid: Mapping[str, Any], extents: Mapping[str, int]) -> Any:
    total: Any = affine.constant
    for coefficient, name in affine.terms:
        total = total + coefficient * (grid[name] if name[0].islower() else extents[name])
    return total


def _values(affine: Affine, extents: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """Distinct values of an index, sorted: a mask over its range, shifted once per step of each variable."""
    low, high = bounds(affine, extents)
    if high - low > MAX_POINTS * 4:
        raise SpecError(
            f"the index '{affine}' runs over {high - low + 1} values, too many to count exactly",
            "scale the ranks down",
        )
    mask = np.ones(1, dtype=bool)
    for coefficient, name in sorted(affine.terms, key=lambda term: -extents[term[1]]):
        if name[0].isupper():
            continue
        step, count = abs(coefficient), extents[name]
        wider = np.zeros(len(mask) + step * (count - 1), dtype=bool)
        if len(mask) == 1:
            wider[::step] = True
        else:
            for shift in range(count):
                wider[shift * step : shift * step + len(mask)] |= mask
        mask = wider
    return np.flatnonzero(mask) + low


def _enumerated(boxes: list[Touched], shape: tuple[int, ...]) -> int:
    if math.prod(shape) > MAX_POINTS:
        raise SpecError(
            f"a tensor of shape {shape} is read in too many ways to count exactly", "scale the ranks down"
        )
    mask = np.zeros(shape, dtype=bool)
    for box in boxes:
        index: list[Any] = [None] * len(shape)
        for axis, (dims, at) in enumerate(box):
            for column, dimension in enumerate(dims):
                view = [1] * len(box)
                view[axis] = len(at)
                index[dimension] = at[:, column].reshape(view)
        mask[tuple(index)] = True
    return int(mask.sum())
