"""An Einsum with its extents: all that counting needs to know of it.

The parser keeps offsets, operators and generations; the counting model needs only how far each rank variable
runs, which affine combination of them indexes each dimension of each tensor, and how much work a point is.
This module is that interface: ``Cascade`` produces ``SizedEinsum``, ``model`` and ``mapper`` consume it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from einloom.errors import MappingError

Dim = tuple[tuple[str, int], ...]
"""One dimension as a sum of coefficient x variable, e.g. ``(("p", 2), ("r", 1))``; ``()`` is a constant."""

Role = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Access:
    """One reference of an Einsum to one tensor; references that differ in an offset are one access each.

    Attributes:
        tensor: Name of the tensor.
        dims: Index of each dimension, offsets dropped (a translation changes no count).
        role: ``"output"`` for the left-hand side, else ``"input"``.
        bits: Width of an element, an exact rational.
        weight: Whether the workload gives the tensor the role `weights`.
        workload_input: Nobody in the cascade produces it.
        workload_output: Nobody in the cascade consumes it (or it is declared an output).
    """

    tensor: str
    dims: tuple[Dim, ...]
    role: Role
    bits: Fraction
    weight: bool = False
    workload_input: bool = True
    workload_output: bool = False

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(var for dim in self.dims for var, _ in dim)


@dataclass(frozen=True, slots=True)
class Work:
    """``count`` executions of ``operator`` at each point of the space that ``variables`` span."""

    operator: str
    variables: frozenset[str]
    count: int = 1


@dataclass(frozen=True)
class SizedEinsum:
    """One Einsum, ready to be mapped and counted.

    Attributes:
        name: Name of the tensor it defines; unique in its workload.
        extents: Iterations of each rank variable, in order of appearance, each at least 1.
        accesses: The output first, then the inputs in order of appearance.
        work: Operators by the space they run over. A multiply that is summed is one ``mac``.
        text: The line as written.
        notes: What counting has to say about this Einsum (for example a guard that is counted as dense).
    """

    name: str
    extents: Mapping[str, int]
    accesses: tuple[Access, ...]
    work: tuple[Work, ...]
    text: str = ""
    notes: tuple[str, ...] = ()
    flatten: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extents", MappingProxyType(dict(self.extents)))
        object.__setattr__(self, "flatten", MappingProxyType(dict(self.flatten)))

    def __reduce__(self) -> tuple[object, ...]:
        return SizedEinsum, (
            self.name,
            dict(self.extents),
            self.accesses,
            self.work,
            self.text,
            self.notes,
            dict(self.flatten),
        )

    @property
    def output(self) -> Access:
        return self.accesses[0]

    @property
    def inputs(self) -> tuple[Access, ...]:
        return self.accesses[1:]

    @cached_property
    def points(self) -> int:
        """Points of the iteration space."""
        return math.prod(self.extents.values())

    def size(self, access: Access) -> int:
        """Elements of the bounding box of all that ``access`` touches."""
        return math.prod(self.extent(dim) for dim in access.dims)

    def extent(self, dim: Dim) -> int:
        """Length of the bounding interval of one dimension."""
        return 1 + sum(abs(c) * (self.extents[var] - 1) for var, c in dim)

    def operations(self) -> dict[str, int]:
        """Executions of each operator over the whole Einsum."""
        total: dict[str, int] = {}
        for work in self.work:
            points = math.prod(self.extents[var] for var in work.variables)
            total[work.operator] = total.get(work.operator, 0) + work.count * points
        return total

    def flattened(self, groups: Mapping[str, tuple[str, ...]]) -> SizedEinsum:
        """The same Einsum with several rank variables mapped as one: ``{"k": ("c", "r", "s")}`` is im2col.

        A tensor that has all variables of a group as dimensions of their own gets one merged dimension; one
        that has none stays. Any other tensor (a window ``p+r``) is counted in its flattened form: the
        flattened variable and one plain dimension for each other variable of the broken dimensions; a note
        says so.

        Raises:
            MappingError: An unknown, repeated or missing variable, a taken name, or a group that is partly
                reduced.
        """
        einsum = self
        for name, group in groups.items():
            einsum = _flatten(einsum, name, tuple(group))
        return einsum

    @cached_property
    def shape_key(self) -> tuple[object, ...]:
        """Equal for Einsums that differ in names only: they have the same mappings at the same cost."""
        order = {var: i for i, var in enumerate(self.extents)}
        return (
            tuple(self.extents.values()),
            tuple(
                (
                    tuple(tuple((order[v], c) for v, c in dim) for dim in a.dims),
                    a.role,
                    a.bits,
                    a.weight,
                    a.workload_input,
                    a.workload_output,
                )
                for a in self.accesses
            ),
            tuple((w.operator, tuple(sorted(order[v] for v in w.variables)), w.count) for w in self.work),
        )


def _flatten(einsum: SizedEinsum, name: str, group: tuple[str, ...]) -> SizedEinsum:
    """One group of `SizedEinsum.flattened`."""
    _check_group(einsum, name, group)
    extents: dict[str, int] = {}
    for variable, extent in einsum.extents.items():
        if variable not in group:
            extents[variable] = extent
        elif name not in extents:
            extents[name] = math.prod(einsum.extents[member] for member in group)
    members = frozenset(group)
    notes = list(einsum.notes)
    accesses: list[Access] = []
    for access in einsum.accesses:
        dims, broken = _flat_dims(access.dims, name, members)
        accesses.append(replace(access, dims=dims))
        note = f"{access.tensor} is counted in its flattened form: {name} stands for {', '.join(group)}"
        if broken and note not in notes:
            notes.append(note)
    work = tuple(
        replace(item, variables=item.variables - members | {name}) if item.variables & members else item
        for item in einsum.work
    )
    flatten = {**einsum.flatten, name: group}
    return replace(
        einsum, extents=extents, accesses=tuple(accesses), work=work, notes=tuple(notes), flatten=flatten
    )


def _check_group(einsum: SizedEinsum, name: str, group: tuple[str, ...]) -> None:
    known = f"rank variables of {einsum.name}: {', '.join(einsum.extents)}"
    if not group:
        raise MappingError(f"flatten {name} names no rank variable", known)
    for variable in group:
        if variable not in einsum.extents:
            raise MappingError(f"{einsum.name} has no rank variable '{variable}' to flatten", known)
        if group.count(variable) > 1:
            raise MappingError(f"flatten {name} names '{variable}' twice", "name each rank variable once")
    if name in einsum.extents and name not in group:
        raise MappingError(
            f"'{name}' is a rank variable of {einsum.name} already", "flatten under another name"
        )
    kept = [variable for variable in group if variable in einsum.output.variables]
    if kept and len(kept) < len(group):
        reduced = [variable for variable in group if variable not in kept]
        raise MappingError(
            f"flatten {name} joins {', '.join(kept)} of the output with the reduced {', '.join(reduced)}",
            "flatten either rank variables of the output or reduced ones",
        )


def _flat_dims(dims: tuple[Dim, ...], name: str, members: frozenset[str]) -> tuple[tuple[Dim, ...], bool]:
    """Dimensions after flattening, and whether a window or a missing variable forced the flattened form."""
    touched = [dim for dim in dims if any(variable in members for variable, _ in dim)]
    if not touched:
        return dims, False
    plain = all(len(dim) == 1 and dim[0][1] == 1 for dim in touched)
    whole = plain and len(touched) == len(members) and {dim[0][0] for dim in touched} == members
    untouched = {variable for dim in dims if dim not in touched for variable, _ in dim}
    left = dict.fromkeys(variable for dim in touched for variable, _ in dim if variable not in members)
    merged: tuple[Dim, ...] = (
        ((name, 1),),
        *(((variable, 1),) for variable in left if variable not in untouched),
    )
    result: list[Dim] = []
    for dim in dims:
        if dim not in touched:
            result.append(dim)
        elif merged[0] not in result:
            result.extend(merged)
    return tuple(result), not whole
