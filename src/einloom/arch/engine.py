"""Engines: machines that run pieces of a cascade by laws of their own, not as loop nests.

An array of processing elements runs an Einsum as a nest of loops, and the model counts that nest. A row of DRAM
banks, a table-lookup unit or a pipeline of FPGA tasks does not: its time follows from commands, table builds and
packets. The template of such a machine gives its architecture an `Engine`. The engine cuts a cascade into *steps* that
run one after the other. A step has *choices*, which are its mapping (accumulators of a group, lanes of a task, a
pattern), and a cost that prices every combination of them at once; the mapper looks at all of them, so that its answer
is exact.

Laws are values: `Laws` is a sum of named terms, each a function with its equation and source in its docstring; terms
are added with ``+`` and switched off by name. Arrays have shape ``(candidates,)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from einloom.arch.rules import OPERAND_ROLES, Operand, Work, is_contraction, shared_by, weight_operand
from einloom.errors import SpecError

Array = npt.NDArray[Any]
Value = int | str
"""One value of a choice."""
Columns = Mapping[str, Array]
"""Candidates: for each choice its value in every candidate."""

W = TypeVar("W", contravariant=True)  # noqa: PLC0105 - the letter of a formula: work


class SizedOperand(Operand, Protocol):
    """An operand with its width."""

    @property
    def bits(self) -> Fraction: ...


class ProgramEinsum(Protocol):
    """What an engine may ask about an Einsum (``workloads.sized.SizedEinsum`` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def extents(self) -> Mapping[str, int]: ...
    @property
    def accesses(self) -> Sequence[SizedOperand]: ...
    @property
    def work(self) -> Sequence[Work]: ...
    @property
    def text(self) -> str: ...
    def operations(self) -> dict[str, int]: ...
    def size(self, access: Any) -> int: ...


@dataclass(frozen=True, slots=True)
class Program:
    """What an engine runs: one cascade.

    Attributes:
        name: Of the cascade.
        einsums: In order; each is named after the tensor that it defines.
        repeat: How often it runs: copies (layers) x runs of each; laws are for one.
        runs: Of each copy (tokens), with the same weights.
    """

    name: str
    einsums: tuple[ProgramEinsum, ...]
    repeat: int = 1
    runs: int = 1

    @property
    def copies(self) -> int:
        """Equal copies, each with weights of its own."""
        return self.repeat // self.runs

    def operations(self, names: Iterable[str]) -> int:
        """Operations of some of its Einsums."""
        wanted = set(names)
        return sum(sum(e.operations().values()) for e in self.einsums if e.name in wanted)


@dataclass(frozen=True, slots=True)
class Contraction:
    """An Einsum read as a matrix product ``Z[batch, M, N] = sum{K}(A[batch, M, K] * B[batch, K, N])``.

    Attributes:
        batch, m, n, k: Extents; M is what inputs and outputs share, N weights and outputs, K inputs and weights, and
            the batch is what all three have.
        inputs, weights, outputs: The operands. Where the workload calls none of them a weight, the last factor is.
        given: Whether the workload does call it a weight: it is known before the run.
    """

    batch: int
    m: int
    n: int
    k: int
    inputs: SizedOperand
    weights: SizedOperand
    outputs: SizedOperand
    given: bool

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.batch * self.m * self.n * self.k


_GROUPS = {"batch": OPERAND_ROLES, "m": ("inputs", "outputs"), "n": ("weights", "outputs"), "k": ("inputs", "weights")}


def product_extents(einsum: ProgramEinsum) -> dict[str, int] | None:
    """Extents ``batch``, ``m``, ``n``, ``k`` of a product of two tensors, by which of its operands share a variable.

    None where a variable belongs to one operand alone.
    """
    groups = {name: shared_by(einsum, roles) for name, roles in _GROUPS.items()}
    if sum(map(len, groups.values())) != len(einsum.extents):
        return None
    return {name: math.prod(einsum.extents[var] for var in group) for name, group in groups.items()}


def contraction_of(einsum: ProgramEinsum) -> Contraction | None:
    """``einsum`` as a matrix product; None where it is none, or a variable belongs to one operand alone."""
    if not is_contraction(einsum):
        return None
    weight = weight_operand(einsum)
    output, *inputs = einsum.accesses
    (moving,) = [access for access in inputs if access.tensor != weight]
    (weights,) = [access for access in inputs if access.tensor == weight]
    sizes = product_extents(einsum)
    if sizes is None:
        return None
    return Contraction(**sizes, inputs=moving, weights=weights, outputs=output, given=weights.weight)


# -- laws -------------------------------------------------------------------------------------------------------------


class Term(Protocol[W]):
    """A named term: a function of the work, in cycles. Its name is the function's."""

    @property
    def __name__(self) -> str: ...
    def __call__(self, work: W, /) -> Array: ...


class Overhead(Protocol[W]):
    """A term that grows with the others (refresh): a function of the work and of their sum."""

    @property
    def __name__(self) -> str: ...
    def __call__(self, work: W, cycles: Array, /) -> Array: ...


@dataclass(frozen=True, slots=True)
class Laws(Generic[W]):
    """A sum of named terms over one kind of work; a value that is composed with ``+`` and trimmed by name.

    Attributes:
        terms: Each counted by itself.
        overheads: Each counted on the sum of the terms and of the overheads before it.
    """

    terms: tuple[Term[W], ...]
    overheads: tuple[Overhead[W], ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise SpecError(f"a law has a term twice: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        return (*(term.__name__ for term in self.terms), *(term.__name__ for term in self.overheads))

    def __add__(self, other: Laws[W]) -> Laws[W]:
        return Laws(self.terms + other.terms, self.overheads + other.overheads)

    def without(self, names: Iterable[str]) -> Laws[W]:
        """The same without some terms.

        Raises:
            SpecError: It has no term of that name.
        """
        off = set(names)
        unknown = off - set(self.names)
        if unknown:
            raise SpecError(f"no term is named '{min(unknown)}'", f"terms: {', '.join(self.names)}")
        return Laws(
            tuple(term for term in self.terms if term.__name__ not in off),
            tuple(term for term in self.overheads if term.__name__ not in off),
        )

    def of(self, work: W) -> dict[str, Array]:
        """Cycles by name. Shape ``(candidates,)`` each."""
        found = {term.__name__: np.asarray(term(work)) for term in self.terms}
        total: Array = np.asarray(sum(found.values(), start=np.zeros(1)))
        for overhead in self.overheads:
            found[overhead.__name__] = added = np.asarray(overhead(work, total))
            total = total + added
        return found


# -- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """Elements of one tensor in and out of one memory, over all instances; reads leave it, writes enter it."""

    reads: Array | int
    writes: Array | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one step costs, for each candidate. Plain numbers stand for every candidate.

    Attributes:
        cycles: Cycles of the architecture's clock by named term, each at least 0; the step takes their sum. A law that
            overlaps names what the longer part adds (``stall``).
        busy: Cycles for which a compute or a memory is occupied; the busiest bounds the step. Empty: the compute, in
            the term ``compute``.
        energy_pj: By memory, compute, or event (``activate``); without leakage.
        events: What was counted: commands, table builds, packets.
        words: By (memory, tensor).
        held_bits: What one instance of a memory holds at a time; above its capacity a candidate is not legal.
        needs: Resources that the step takes (``dsp``, ``lut``); above the engine's budget it is not legal.
        useful: Instance-cycles of the compute that did work.
        legal: Candidates that may be taken at all; None: all.
        forbidden: Why those are not, where ``legal`` is False.
    """

    cycles: Mapping[str, Array | float]
    useful: Array | float
    busy: Mapping[str, Array | float] = field(default_factory=dict)
    energy_pj: Mapping[str, Array | float] = field(default_factory=dict)
    events: Mapping[str, Array | float] = field(default_factory=dict)
    words: Mapping[tuple[str, str], Words] = field(default_factory=dict)
    held_bits: Mapping[str, Array | float] = field(default_factory=dict)
    needs: Mapping[str, Array | float] = field(default_factory=dict)
    legal: Array | None = None
    forbidden: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of a cascade that an engine runs by itself.

    Attributes:
        name: Of the Einsum that it ends in; or of work that is no Einsum (``launch``). Unique in its cascade.
        einsums: Those that it runs, by name.
        compute: Which compute of the tree does so.
        cost: From candidates to what they cost.
        choices: Values of each choice; no choice is one candidate.
        once: Whether it runs once for all copies of the cascade, not once a copy.
        notes: What counting has to say about it.
    """

    name: str
    einsums: tuple[str, ...]
    compute: str
    cost: Callable[[Columns], Cost]
    choices: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    once: bool = False
    notes: tuple[str, ...] = ()

    def with_choices(self, **choices: tuple[Value, ...]) -> Step:
        """The same step with other values of some choices."""
        return replace(self, choices={**self.choices, **choices})


@dataclass(frozen=True, slots=True)
class Engine(ABC):
    """How a machine runs a cascade. Subclasses are frozen dataclasses whose fields are their parameters."""

    def shared(self, program: Program) -> Mapping[str, tuple[Value, ...]]:
        """Choices that all steps of a cascade make together; the mapper tries each combination."""
        return {}

    @property
    def budget(self) -> Mapping[str, float]:
        """Resources that there are (of the device), by name; what has no entry is only reported."""
        return {}

    @abstractmethod
    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        """The steps of a cascade, in order; every Einsum is in exactly one of them.

        Raises:
            MappingError: An Einsum that this machine cannot run; it is never left out.
        """
