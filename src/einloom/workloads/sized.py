"""An Einsum with its extents: all that counting needs to know of it.

The parser keeps offsets, operators and generations; the counting model needs only how far each rank variable runs,
which affine combination of them indexes each dimension of each tensor, and how much work a point is. This module is
that interface: ``Cascade`` produces ``SizedEinsum``, ``model`` and ``mapper`` consume it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Literal

Dim = tuple[tuple[str, int], ...]
"""One tensor dimension as a sum of coefficient x variable, e.g. ``(("p", 2), ("r", 1))``; ``()`` is a constant."""

Role = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Access:
    """One reference of an Einsum to one tensor. References that differ only in a constant offset are one access each.

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
            self.name, dict(self.extents), self.accesses, self.work, self.text, self.notes, dict(self.flatten),
        )  # fmt: skip

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

    @cached_property
    def shape_key(self) -> tuple[object, ...]:
        """Equal for Einsums that differ in names only: they have the same mappings at the same cost."""
        order = {var: i for i, var in enumerate(self.extents)}
        return (
            tuple(self.extents.values()),
            tuple(
                (tuple(tuple((order[v], c) for v, c in dim) for dim in a.dims), a.role, a.bits, a.weight,
                 a.workload_input, a.workload_output)
                for a in self.accesses
            ),
            tuple((w.operator, tuple(sorted(order[v] for v in w.variables)), w.count) for w in self.work),
        )  # fmt: skip
