"""The loop nest as a value: hold, loop and spatial nodes, schedule groups, and the compute that ends a nest.

A node is frozen and hashes; a nest is a tuple of nodes, outermost first. Bounds may still be expressions or ``auto``
(`mappings.bounds`); `resolve` turns them into integers.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from einloom.errors import MappingError, Problem
from einloom.mappings.bounds import Auto, Bound, evaluate, print_bound

Schedule = Literal["sequential", "pipelined", "phases"]
SCHEDULES: tuple[Schedule, ...] = ("sequential", "pipelined", "phases")


@dataclass(frozen=True, slots=True)
class Hold:
    """``GLB holds A, B 0.25``: tiles of these tensors live in ``memory`` during the loops inside this node.

    Attributes:
        memory: Name of the storage level.
        tensors: Names of the tensors.
        shares: Part of each tensor that is held (the rest bypasses): 1, a fraction, or the name of a parameter.
        over: For each tensor the one whose place it takes (``SN in place of QK``); empty: a place of its own.
    """

    memory: str
    tensors: tuple[str, ...]
    shares: tuple[Fraction | str, ...] = ()
    over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.shares:
            object.__setattr__(self, "shares", (Fraction(1),) * len(self.tensors))
        if not self.over:
            object.__setattr__(self, "over", ("",) * len(self.tensors))

    def __str__(self) -> str:
        return f"{self.memory} holds " + ", ".join(map(_held, self.tensors, self.shares, self.over))

    def only(self, tensors: Container[str]) -> Hold | None:
        """The same hold of some tensors; None where it has none of them."""
        kept = [i for i, tensor in enumerate(self.tensors) if tensor in tensors]
        parts = ((values[i] for i in kept) for values in (self.tensors, self.shares, self.over))
        return Hold(self.memory, *map(tuple, parts)) if kept else None  # type: ignore[arg-type]


def _held(tensor: str, share: Fraction | str, over: str) -> str:
    place = f" in place of {over}" if over else ""
    if share == 1:
        return tensor + place
    if isinstance(share, str):
        return f"{tensor} {share}{place}"
    decimal = _decimal(share)
    return f"{tensor} {decimal if decimal else f'{share.numerator}/{share.denominator}'}{place}"


def _decimal(share: Fraction) -> str:
    """A terminating decimal of at most 12 places, else empty."""
    scaled = share * 10**12
    if scaled.denominator != 1:
        return ""
    whole, rest = divmod(scaled.numerator, 10**12)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Loop:
    """``for m in 4``: four iterations in time; the tile of ``m`` inside is the product of the bounds further in."""

    variable: str
    bound: Bound

    def __str__(self) -> str:
        return f"for {self.variable} in {print_bound(self.bound)}"


@dataclass(frozen=True, slots=True)
class Spatial:
    """``spatial PE.X n in 16``: sixteen iterations side by side on one axis of a fanout."""

    fanout: str
    axis: str
    variable: str
    bound: Bound

    def __str__(self) -> str:
        return f"spatial {self.fanout}.{self.axis} {self.variable} in {print_bound(self.bound)}"


@dataclass(frozen=True, slots=True)
class Forward:
    """``forward SN``: a consumer in the same step takes the word from the producer's result register."""

    tensor: str

    def __str__(self) -> str:
        return f"forward {self.tensor}"


@dataclass(frozen=True, slots=True)
class Choice:
    """``accumulators = 32``: a choice of a machine that maps by choices; ``auto`` leaves it to the mapper."""

    name: str
    value: int | str

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class Bind:
    """The last line of a nest: the compute that executes the Einsum."""

    compute: str

    def __str__(self) -> str:
        return self.compute


@dataclass(frozen=True, slots=True)
class Child:
    """One child of a schedule node: an Einsum's nest, a labelled group, or (label empty) a nested schedule."""

    label: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """``sequential:``, ``pipelined:`` or ``phases:`` over children."""

    schedule: Schedule
    children: tuple[Child, ...]


Node = Hold | Loop | Spatial | Forward | Choice | Bind | Group
Nodes = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Nest:
    """The mapping of one Einsum.

    Attributes:
        nodes: Outermost first, ending in a `Bind`.
        flatten: Rank variables that this mapping iterates as one, by the name of the flat variable (im2col).
    """

    nodes: Nodes
    flatten: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flatten", MappingProxyType(dict(self.flatten)))

    def __reduce__(self) -> tuple[object, ...]:
        return Nest, (self.nodes, dict(self.flatten))

    def __hash__(self) -> int:
        return hash((self.nodes, tuple(self.flatten.items())))

    @property
    def compute(self) -> str:
        last = self.nodes[-1] if self.nodes else None
        if not isinstance(last, Bind):
            raise MappingError("the nest does not end in a compute", "the last line names the compute, e.g. `- MAC`")
        return last.compute

    def lines(self) -> list[str]:
        """One text line a node: the text that reproduces it."""
        return [str(node) for node in self.nodes]


@dataclass(frozen=True)
class MappingPlan:
    """What a mapping file holds: a nest for each Einsum, or one fused tree.

    Attributes:
        nests: By Einsum; empty for a fused tree.
        tree: The shared nodes, outermost first; empty unless fused.
        parameters: Numbers that bounds and shares may use.
        ramp: Whether filling and emptying the overlap of a fused tree counts; False: as in the steady state.
        choices: Of a machine that maps by choices: values for every step that has the choice.
    """

    nests: Mapping[str, Nest] = field(default_factory=dict)
    tree: Nodes = ()
    parameters: Mapping[str, Fraction] = field(default_factory=dict)
    ramp: bool = True
    choices: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nests", MappingProxyType(dict(self.nests)))
        object.__setattr__(self, "choices", MappingProxyType(dict(self.choices)))
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def __reduce__(self) -> tuple[object, ...]:
        return MappingPlan, (dict(self.nests), self.tree, dict(self.parameters), self.ramp, dict(self.choices))


def walk(nodes: Nodes) -> Iterator[Node]:
    """Every node once, groups before their children."""
    for node in nodes:
        yield node
        if isinstance(node, Group):
            for child in node.children:
                yield from walk(child.nodes)


def resolved(nodes: Nodes, numbers: Mapping[str, Fraction | int], *, keep_auto: bool = False) -> Nodes:
    """The same nest or tree with integer bounds and numeric shares.

    Args:
        numbers: Value of each rank name and parameter that an expression may use.
        keep_auto: Leave ``auto`` bounds to the mapper.

    Raises:
        MappingError: An unknown name, a share outside (0, 1], or an ``auto`` that only the mapper can fill.
    """
    result: list[Node] = []
    problems: list[Problem] = []
    for i, node in enumerate(nodes):
        try:
            if isinstance(node, Loop | Spatial) and not (keep_auto and isinstance(node.bound, Auto)):
                result.append(replace(node, bound=evaluate(node.bound, numbers)))
            elif isinstance(node, Hold):
                result.append(replace(node, shares=tuple(_share(s, numbers) for s in node.shares)))
            elif isinstance(node, Group):
                result.append(_resolved_group(node, numbers, keep_auto))
            else:
                result.append(node)
        except MappingError as error:
            problems += [problem.below(i) for problem in error.problems]
    if problems:
        raise MappingError(problems)
    return tuple(result)


def _resolved_group(group: Group, numbers: Mapping[str, Fraction | int], keep_auto: bool) -> Group:
    children: list[Child] = []
    problems: list[Problem] = []
    for i, child in enumerate(group.children):
        try:
            children.append(replace(child, nodes=resolved(child.nodes, numbers, keep_auto=keep_auto)))
        except MappingError as error:
            here = (group.schedule, i, child.label) if child.label else (group.schedule, i)
            problems += [problem.below(*here) for problem in error.problems]
    if problems:
        raise MappingError(problems)
    return replace(group, children=tuple(children))


def _share(share: Fraction | str, numbers: Mapping[str, Fraction | int]) -> Fraction:
    value = share if isinstance(share, Fraction) else numbers.get(share)
    if value is None:
        hint = (
            f"separate tensors by commas; a name after a tensor is the part that is held, one of: {', '.join(numbers)}"
        )
        raise MappingError(Problem(f"no parameter is named '{share}'", hint))
    if not 0 < value <= 1:
        raise MappingError(Problem(f"the share {value} is out of range", "a held part is above 0 and at most 1"))
    return Fraction(value)
