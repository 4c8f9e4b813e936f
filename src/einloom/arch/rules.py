"""Mapping rules: what an architecture lets a mapping do with one Einsum.

Two sources, one answer. A tree states ``only``, ``holds``, ``must_hold`` and ``may_hold`` on its levels; a
template may add what depends on the Einsum (which operand is stationary, which ranks run as one).
``Architecture.rules_for(einsum)`` gives both as an `EinsumRules`, with every role resolved to tensors.

Roles of an operand, seen from one Einsum: its left-hand side is ``outputs``; of its right-hand side, the
tensors that the workload calls weights are ``weights``, the others ``inputs``. A product of two operands
neither of which is a weight (the scores of attention) still has a weight operand: its last factor.
``intermediates`` are tensors that the cascade both makes and uses up, whatever other role they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from einloom.arch.tree import Architecture, AxisRule

ROLES = ("inputs", "outputs", "weights", "intermediates")
OPERAND_ROLES = ("inputs", "weights", "outputs")


class Operand(Protocol):
    """What rules ask about one tensor of an Einsum (``workloads.sized.Access`` is one)."""

    @property
    def tensor(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def dims(self) -> Sequence[Sequence[tuple[str, int]]]: ...
    @property
    def weight(self) -> bool: ...
    @property
    def workload_input(self) -> bool: ...
    @property
    def workload_output(self) -> bool: ...
    @property
    def variables(self) -> frozenset[str]: ...


class Work(Protocol):
    """One operator and the rank variables that it runs over."""

    @property
    def operator(self) -> str: ...
    @property
    def variables(self) -> frozenset[str]: ...


class Einsum(Protocol):
    """What rules ask about an Einsum (``workloads.sized.SizedEinsum`` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def extents(self) -> Mapping[str, int]: ...
    @property
    def accesses(self) -> Sequence[Operand]: ...
    @property
    def work(self) -> Sequence[Work]: ...


@dataclass(frozen=True, slots=True)
class Holding:
    """Which tensors of an Einsum a memory holds.

    Attributes:
        must: At least these.
        may: At most these; None: any.
    """

    must: frozenset[str] = frozenset()
    may: frozenset[str] | None = None

    @classmethod
    def exactly(cls, tensors: Iterable[str]) -> Holding:
        chosen = frozenset(tensors)
        return cls(chosen, chosen)

    def allows(self, tensor: str) -> bool:
        return self.may is None or tensor in self.may


Layout = Mapping[tuple[str, str], tuple[tuple[str, int], ...]]
"""Spatial loops by (fanout, axis), outermost first: rank variable and bound."""


@dataclass(frozen=True)
class EinsumRules:
    """What one architecture allows for one Einsum. Names are those after ``flatten``.

    Attributes:
        axes: Rank variables allowed on an axis, by (fanout, axis); an axis that is missing takes any.
        holds: Tensors by memory; a memory that is missing is free.
        flatten: Ranks that run as one (im2col): the name of the flattened variable and what it replaces,
            outermost first. Empty: none.
        whole: Ranks that the mapper does not split: what is left of them runs below the innermost memory.
        layouts: The ways in which the mapper may lay the Einsum out on the axes; empty: any that ``axes`` allow.
        blocks: By rank, the memories below which its loops may stand; a rank that is missing may stand anywhere.
            Where there are any, the mapper tries one loop order a stationary tensor.
    """

    axes: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    holds: Mapping[str, Holding] = field(default_factory=dict)
    flatten: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    layouts: tuple[Layout, ...] = ()
    blocks: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("axes", "holds", "flatten", "blocks"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[object, ...]:
        return EinsumRules, (
            dict(self.axes), dict(self.holds), dict(self.flatten), self.whole, self.layouts, dict(self.blocks),
        )  # fmt: skip

    def axis_allows(self, fanout: str, axis: str, variable: str) -> bool:
        allowed = self.axes.get((fanout, axis))
        return allowed is None or variable in allowed

    def holding(self, memory: str) -> Holding:
        return self.holds.get(memory, Holding())


@dataclass(frozen=True, slots=True)
class MappingRules:
    """The rules that the tree itself states. A template subclasses this and adds its own in :meth:`of`."""

    def of(self, architecture: Architecture, einsum: Einsum) -> EinsumRules:
        """The rules for ``einsum``."""
        return tree_rules(architecture, einsum)


def weight_operand(einsum: Einsum) -> str | None:
    """The weight operand of a product of two tensors: the one the workload calls so, else the last factor.

    None when the Einsum has not exactly two right-hand operands.
    """
    inputs = [access for access in einsum.accesses if access.role != "output"]
    if len(inputs) != 2:
        return None
    weights = [access.tensor for access in inputs if access.weight]
    return weights[-1] if weights else inputs[-1].tensor


def is_contraction(einsum: Einsum) -> bool:
    """Whether ``einsum`` can run as a GEMM: it sums the product of two tensors over its whole space."""
    inputs = [access for access in einsum.accesses if access.role != "output"]
    if len(inputs) != 2 or inputs[0].tensor == inputs[1].tensor:
        return False
    space = frozenset(einsum.extents)
    if not any(work.operator == "mac" and work.variables == space for work in einsum.work):
        return False
    return bool(shared_by(einsum, ("inputs", "outputs")) or shared_by(einsum, ("weights", "outputs")))


def roles_of(einsum: Einsum) -> dict[str, frozenset[str]]:
    """Roles of every tensor of ``einsum``, as the module docstring defines them."""
    fallback = weight_operand(einsum)
    roles: dict[str, frozenset[str]] = {}
    for access in einsum.accesses:
        if access.role == "output":
            mine = {"outputs"}
        else:
            mine = {"weights" if access.weight or access.tensor == fallback else "inputs"}
        if not access.workload_input and not access.workload_output:
            mine.add("intermediates")
        roles[access.tensor] = roles.get(access.tensor, frozenset()) | mine
    return roles


def tensors_named(einsum: Einsum, names: Iterable[str]) -> frozenset[str]:
    """Tensors of ``einsum`` that ``names`` (tensors or roles) mean; names it does not touch are ignored."""
    wanted = set(names)
    return frozenset(t for t, roles in roles_of(einsum).items() if t in wanted or roles & wanted)


def shared_by(einsum: Einsum, roles: Iterable[str]) -> tuple[str, ...]:
    """Rank variables that index all operands of ``roles`` and none of the others, in order of appearance.

    Example: in ``Z[m,n] = sum{k}(A[m,k] * B[k,n])`` with weights B, ``("inputs", "weights")`` share ``k``. A
    role that the Einsum has no operand for shares nothing.
    """
    wanted = set(roles)
    assigned = roles_of(einsum)
    inside = [access for access in einsum.accesses if assigned[access.tensor] & wanted]
    outside = [access for access in einsum.accesses if not assigned[access.tensor] & wanted]
    present = frozenset().union(*(assigned[access.tensor] for access in einsum.accesses))
    if not wanted <= present:
        return ()
    return tuple(
        var
        for var in einsum.extents
        if all(var in access.variables for access in inside)
        and not any(var in access.variables for access in outside)
    )


def tree_rules(architecture: Architecture, einsum: Einsum) -> EinsumRules:
    """What the levels of ``architecture`` state about ``einsum``."""
    axes: dict[tuple[str, str], frozenset[str]] = {}
    holds: dict[str, Holding] = {}
    for fanout in architecture.fanouts():
        for axis, rule in fanout.only.items():
            axes[fanout.name, axis] = _allowed(rule, einsum)
    for memory in architecture.memories():
        if memory.holds is not None:
            holds[memory.name] = Holding.exactly(tensors_named(einsum, memory.holds))
        elif memory.must_hold is not None or memory.may_hold is not None:
            must = tensors_named(einsum, memory.must_hold or ())
            may = None if memory.may_hold is None else tensors_named(einsum, memory.may_hold) | must
            holds[memory.name] = Holding(must, may)
    return EinsumRules(axes, holds)


def _allowed(rule: AxisRule, einsum: Einsum) -> frozenset[str]:
    if rule.variables is not None:
        return frozenset(rule.variables) & frozenset(einsum.extents)
    assert rule.shared_by is not None
    return frozenset(shared_by(einsum, rule.shared_by))
