"""A group of Einsums that may share loops: which ranks they can share, and what passes between them and outside.

An Einsum is taken as accesses with plain indices; where an index is a window (``p+r``) or a tensor is held in two
shapes, the group is not fused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from einloom.model.fused.program import without_generations
from einloom.workloads.dataflow import Dataflow, Read
from einloom.workloads.sized import SizedEinsum


@dataclass(frozen=True)
class Operand:
    """One access of an Einsum.

    Attributes:
        tensor: Its name.
        variables: That index it, the generation of a state left out.
        moving: That index it, generations too: in a hold of its own an Einsum has another one each time.
        output: Whether it is written.
        state: Whether one generation is held.
        bits: Width of an element.
        elements: Distinct elements over the whole run, all generations counted.
    """

    tensor: str
    variables: frozenset[str]
    moving: frozenset[str]
    output: bool
    state: bool
    bits: Fraction
    elements: int


@dataclass(frozen=True, eq=False)
class Part:
    """One Einsum of a group.

    Attributes:
        einsum: As counted.
        operands: The output first.
    """

    einsum: SizedEinsum
    operands: tuple[Operand, ...]

    @property
    def name(self) -> str:
        return self.einsum.name

    @property
    def extents(self) -> Mapping[str, int]:
        return self.einsum.extents

    @property
    def points(self) -> int:
        return self.einsum.points

    @cached_property
    def generations(self) -> frozenset[str]:
        """Ranks that count generations of a state: no instance works on another one than the others."""
        exact = {v for access in self.einsum.accesses for v in access.variables if self._state(access.tensor)}
        return frozenset(exact - {v for operand in self.operands if operand.state for v in operand.variables})

    def _state(self, tensor: str) -> bool:
        return any(operand.state for operand in self.operands if operand.tensor == tensor)


def part_of(flow: Dataflow, einsum: SizedEinsum) -> Part | None:
    """The Einsum as the search takes it; None where an index is not one rank variable or a constant."""
    held = without_generations(einsum, flow)
    operands = []
    for exact, access in zip(einsum.accesses, held.accesses, strict=True):
        if any(len(dim) > 1 or any(c != 1 for _, c in dim) for dim in exact.dims):
            return None
        variables = [var for dim in access.dims for var, _ in dim]
        if len(set(variables)) < len(variables):
            return None
        elements = math.prod(einsum.extents[var] for dim in exact.dims for var, _ in dim)
        state = access.tensor in flow.states
        output = access.role == "output"
        moving = exact.variables
        operands.append(Operand(access.tensor, frozenset(variables), moving, output, state, access.bits, elements))
    return Part(einsum, tuple(operands))


@dataclass(frozen=True, eq=False)
class Group:
    """Consecutive Einsums of a cascade.

    Attributes:
        flow: Of the whole cascade.
        parts: In order.
    """

    flow: Dataflow
    parts: tuple[Part, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(part.name for part in self.parts)

    @cached_property
    def extents(self) -> Mapping[str, int]:
        return {var: size for part in self.parts for var, size in part.extents.items()}

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """Dependences inside the group."""
        return tuple(r for r in self.flow.reads if r.producer in self.names and r.consumer in self.names)

    @cached_property
    def users(self) -> Mapping[str, tuple[tuple[Part, int], ...]]:
        """(Einsum, index of the operand) of every tensor."""
        found: dict[str, list[tuple[Part, int]]] = {}
        for part in self.parts:
            for index, operand in enumerate(part.operands):
                found.setdefault(operand.tensor, []).append((part, index))
        return {tensor: tuple(users) for tensor, users in found.items()}

    @cached_property
    def internal(self) -> tuple[str, ...]:
        """Tensors that are made and used up inside."""
        return tuple(t for t in self.users if self._made(t) and not self._wanted_outside(t))

    @cached_property
    def boundary(self) -> tuple[str, ...]:
        """Tensors that come from outside or are wanted there."""
        return tuple(t for t in self.users if t not in self.internal)

    def _made(self, tensor: str) -> bool:
        return any(part.operands[index].output for part, index in self.users[tensor])

    def is_made(self, tensor: str) -> bool:
        """Whether the group writes the tensor."""
        return self._made(tensor)

    def _wanted_outside(self, tensor: str) -> bool:
        output = any(part.einsum.output.workload_output for part, i in self.users[tensor] if part.operands[i].output)
        return output or any(name not in self.names for name in self.flow.consumers(tensor))

    @cached_property
    def refusal(self) -> str:
        """Why the Einsums cannot be one group; empty: they can."""
        for tensor, users in self.users.items():
            if len({part.operands[index].variables for part, index in users}) > 1:
                return f"{tensor} is indexed by different ranks"
            if any(part.operands[index].state for part, index in users):
                everybody = {*self.flow.producers(tensor), *self.flow.consumers(tensor)}
                if not everybody <= self.names:
                    return f"the recurrence of {tensor} would be cut"
        for state in self.states:
            if state not in self.sharable:
                return f"the recurrence over '{state}' cannot be shared"
        if any(self._backward(read) for read in self.reads):
            return "a recurrence of one generation has no earlier slot"
        if not all(self._connected(part) for part in self.parts):
            return "nothing passes between its Einsums"
        return ""

    def _backward(self, read: Read) -> bool:
        """Whether an Einsum needs what a later one made an iteration ago, and there is one iteration."""
        order = [part.name for part in self.parts]
        if not read.distance or order.index(read.producer) <= order.index(read.consumer):
            return False
        return self.extents[self.flow.states[read.tensor].variable] == 1

    def _connected(self, part: Part) -> bool:
        pairs = ((read.producer, read.consumer) for read in self.reads if read.producer != read.consumer)
        return any(part.name in pair for pair in pairs)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Variables of the generations of states that are carried from one Einsum to another."""
        found = dict.fromkeys(
            self.flow.states[read.tensor].variable for read in self.reads
            if read.tensor in self.flow.states and read.producer != read.consumer
        )  # fmt: skip
        return tuple(found)

    @cached_property
    def sharable(self) -> tuple[str, ...]:
        """Rank variables over which the group may share a loop: iterated by two Einsums, and every result streams."""
        counts: dict[str, int] = {}
        for part in self.parts:
            for var in part.extents:
                counts[var] = counts.get(var, 0) + 1
        return tuple(
            var for var, count in counts.items()
            if count > 1 and all(self._streams(read, var) for read in self.reads) and not self._torn(var)
        )  # fmt: skip

    def _torn(self, variable: str) -> bool:
        """Whether an Einsum without a rank waits for the end of a loop over it, and is waited for inside that loop."""
        names = {part.name for part in self.parts if variable not in part.extents}
        now = [(read.producer, read.consumer) for read in self.reads if not read.distance]
        late = {consumer for producer, consumer in now if producer not in names and consumer in names}
        while more := {c for p, c in now if p in late and c in names} - late:
            late |= more
        return any(producer in late and consumer not in names for producer, consumer in now)

    def _streams(self, read: Read, variable: str) -> bool:
        by_name = {part.name: part for part in self.parts}
        producer, consumer = by_name[read.producer], by_name[read.consumer]
        if read.producer == read.consumer or not (variable in producer.extents and variable in consumer.extents):
            return True
        exact, access = producer.einsum.output, consumer.einsum.accesses[read.access]
        dims = [i for i, dim in enumerate(exact.dims) if dim == ((variable, 1),)]
        return any(access.dims[i] == ((variable, 1),) for i in dims)

    @cached_property
    def batch(self) -> tuple[str, ...]:
        """Ranks of every tensor: no word is used twice along them, so they run outermost, one by one."""
        return tuple(
            var for var in self.sharable
            if self.extents[var] > 1 and var not in self.states
            and all(var in operand.variables for part in self.parts for operand in part.operands)
        )  # fmt: skip

    @cached_property
    def blocked(self) -> tuple[str, ...]:
        """Ranks over which loops may be shared in any order and split: the states' first."""
        rest = [v for v in self.sharable if v not in self.batch and v not in self.states and self.extents[v] > 1]
        return (*(v for v in self.states if self.extents[v] > 1), *rest)

    def size(self, part: Part, index: int) -> int:
        """Elements of one generation of an operand."""
        return math.prod(part.extents[v] for v in part.operands[index].variables)
