"""A cascade cut into the units of a machine: projections, attention, and the streams beside them.

An accelerator for transformers has a unit for products with known weights, a unit for products of two activations,
and a stream unit for everything else (norms, softmax, rotary embedding, residuals). A *group* is one run of one unit
with the stream Einsums that feed it: they run beside it, so that they need no step of their own. What passes from
one group to another crosses the outermost memory; what is born and used up inside a group does not.

- Streams join the next unit of the cascade; those after the last unit join that one.
- The scores of a prompt (a product of two activations with several rows) and the values that use them are one run of
  the attention unit (online softmax: T. Dao et al., FlashAttention, arXiv 2205.14135), so the scores close no group.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from einloom.arch.engine import Contraction, Program, ProgramEinsum, Words, contraction_of
from einloom.arch.rules import is_contraction
from einloom.errors import MappingError


@dataclass(frozen=True, slots=True)
class UnitRun:
    """One product that a unit of the machine runs."""

    einsum: ProgramEinsum
    contraction: Contraction
    unit: str


@dataclass(frozen=True, slots=True)
class Group:
    """One run of a unit and its streams.

    Attributes:
        einsums: All of them, in order; the step is named after the last one.
        runs: The products among them, in order; the last one decides the unit. Empty: streams alone.
        streams: The others.
    """

    einsums: tuple[ProgramEinsum, ...]
    runs: tuple[UnitRun, ...]

    @property
    def name(self) -> str:
        return self.einsums[-1].name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(einsum.name for einsum in self.einsums)

    @property
    def unit(self) -> str:
        return self.runs[-1].unit if self.runs else "streams"

    @property
    def streams(self) -> tuple[ProgramEinsum, ...]:
        products = {run.einsum.name for run in self.runs}
        return tuple(einsum for einsum in self.einsums if einsum.name not in products)


def groups(program: Program, unit_of: Callable[[ProgramEinsum, Contraction], str]) -> tuple[Group, ...]:
    """``program`` cut into runs of units, in order; every Einsum is in exactly one of them.

    Args:
        unit_of: The unit that runs a product; ``attention`` is the one for two activations.

    Raises:
        MappingError: A product that is no matrix product, or that no unit runs.
    """
    products = [_run(einsum, unit_of) for einsum in program.einsums]
    held = _scores_of_prompts(program, products)
    found: list[Group] = []
    waiting: list[ProgramEinsum] = []
    runs: list[UnitRun] = []
    for einsum, run in zip(program.einsums, products, strict=True):
        waiting.append(einsum)
        if run is None:
            continue
        runs.append(run)
        if einsum.name in held:
            continue
        found += _closed(waiting, runs)
        waiting, runs = [], []
    if waiting and found and not runs:
        last = found.pop()
        found.append(Group((*last.einsums, *waiting), last.runs))
    elif waiting:
        found.append(Group(tuple(waiting), tuple(runs)))
    return tuple(found)


def _closed(waiting: Sequence[ProgramEinsum], runs: Sequence[UnitRun]) -> list[Group]:
    """A group; one for each unit where products of several units came together."""
    if len({run.unit for run in runs}) == 1:
        return [Group(tuple(waiting), tuple(runs))]
    found: list[Group] = []
    part: list[ProgramEinsum] = []
    by_name = {run.einsum.name: run for run in runs}
    for einsum in waiting:
        part.append(einsum)
        if einsum.name in by_name:
            found.append(Group(tuple(part), (by_name[einsum.name],)))
            part = []
    return found


def _run(einsum: ProgramEinsum, unit_of: Callable[[ProgramEinsum, Contraction], str]) -> UnitRun | None:
    if not any(work.operator == "mac" for work in einsum.work) or not is_contraction(einsum):
        return None
    product = contraction_of(einsum)
    if product is None:
        hint = "it runs matrix products, reductions and element-wise Einsums"
        raise MappingError(f"{einsum.name} is a product that this machine cannot run: {einsum.text}", hint)
    return UnitRun(einsum, product, unit_of(einsum, product))


def _scores_of_prompts(program: Program, products: Sequence[UnitRun | None]) -> frozenset[str]:
    """Products of two activations with several rows that another such product needs: scores of a fused attention."""
    attention = {
        run.einsum.name for run in products if run is not None and run.unit == "attention" and run.contraction.m > 1
    }
    needs: dict[str, frozenset[str]] = {}
    for einsum in program.einsums:
        inputs = [access.tensor for access in einsum.accesses if access.role == "input"]
        needs[einsum.name] = frozenset(inputs).union(*(needs.get(name, frozenset()) for name in inputs))
    return frozenset(name for name in attention if any(name in needs[other] for other in attention - {name}))


_GUARD = re.compile(r"\|\s*(?P<key>[a-z]\w*)\s*<=\s*(?P<query>[a-z]\w*)\s*\}")


def masked_by(group: Group) -> str | None:
    """The rank variable of the queries, where a guard ``m <= p`` in the group cuts off the keys of later tokens."""
    for einsum in group.einsums:
        guard = _GUARD.search(einsum.text)
        if guard:
            return guard["query"]
    return None


# -- what crosses the outermost memory --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crossing:
    """One tensor that crosses the outermost memory in a group, once.

    Attributes:
        reads, writes: Elements out of and into that memory.
        bits: Of an element.
        weight: Whether it is a known operand of a product.
    """

    tensor: str
    reads: int
    writes: int
    bits: Fraction
    weight: bool

    @property
    def words(self) -> Words:
        return Words(self.reads, self.writes)

    @property
    def total_bits(self) -> float:
        return float((self.reads + self.writes) * self.bits)


Readers = Mapping[str, frozenset[str]]
"""Names of the Einsums that read a tensor."""


def readers(program: Program) -> Readers:
    """Who reads each tensor of a cascade."""
    found: dict[str, set[str]] = {}
    for einsum in program.einsums:
        for access in einsum.accesses:
            if access.role == "input":
                found.setdefault(access.tensor, set()).add(einsum.name)
    return {tensor: frozenset(names) for tensor, names in found.items()}


def crossings(group: Group, readers: Readers) -> tuple[Crossing, ...]:
    """Every tensor that a group reads from or leaves for the rest: inputs first."""
    inside = frozenset(group.names)
    weights = {run.contraction.weights.tensor for run in group.runs if run.contraction.given}
    reads: dict[str, tuple[int, Fraction]] = {}
    for einsum in group.einsums:
        for access in einsum.accesses:
            if access.role == "input" and access.tensor not in inside:
                size = einsum.size(access)
                before = reads.get(access.tensor, (0, access.bits))[0]
                reads[access.tensor] = (max(size, before), access.bits)
    found = [Crossing(name, size, 0, bits, name in weights) for name, (size, bits) in reads.items()]
    for einsum in group.einsums:
        output = einsum.accesses[0]
        if output.workload_output or readers.get(output.tensor, frozenset()) - inside:
            found.append(Crossing(output.tensor, 0, einsum.size(output), output.bits, False))
    return tuple(found)


# -- streams ----------------------------------------------------------------------------------------------------------


def points(einsum: ProgramEinsum) -> int:
    """Points of the iteration space."""
    return math.prod(einsum.extents.values())


def reduces(einsum: ProgramEinsum) -> bool:
    """Whether a rank of the Einsum is missing in its output: a maximum, a mean, a sum."""
    return bool(set(einsum.extents) - einsum.accesses[0].variables)


def element_operations(einsum: ProgramEinsum, product: bool) -> dict[str, int]:
    """Operators of an Einsum that the stream unit runs; of a product, those beside its multiply-accumulates."""
    if not product:
        return einsum.operations()
    found: dict[str, int] = {}
    space = frozenset(einsum.extents)
    for work in einsum.work:
        if work.operator != "mac" or work.variables != space:
            count = math.prod(einsum.extents[variable] for variable in work.variables)
            found[work.operator] = found.get(work.operator, 0) + count * getattr(work, "count", 1)
    return found


def stream_operations(group: Group) -> dict[str, int]:
    """Operators that the stream unit runs in a group."""
    products = {run.einsum.name for run in group.runs}
    total: dict[str, int] = {}
    for einsum in group.einsums:
        for operator, count in element_operations(einsum, einsum.name in products).items():
            total[operator] = total.get(operator, 0) + count
    return total


def stream_passes(group: Group, lanes: int) -> int:
    """Cycles of a pipelined stream unit of ``lanes`` elements a cycle.

    Element-wise Einsums of a group follow each other in one pipeline: one pass over the largest of them. A reduction
    needs all elements before its result is there: a pass of its own (finding the maximum of 1,536 elements with 16
    lanes takes 96 cycles: TeLLMe v2, arXiv 2510.15926).
    """
    products = {run.einsum.name for run in group.runs}
    through = [math.prod(e.extents[v] for v in e.accesses[0].variables) for e in group.einsums
               if e.name in products and element_operations(e, True)]  # fmt: skip
    once = [points(einsum) for einsum in group.streams if not reduces(einsum)]
    again = [points(einsum) for einsum in group.streams if reduces(einsum)]
    return -(-max([*once, *through], default=0) // lanes) + sum(-(-size // lanes) for size in again)


def totals(found: Sequence[Crossing], *, weights: bool) -> float:
    """Bits that cross, of the weights or of all else."""
    return sum(crossing.total_bits for crossing in found if crossing.weight is weights)


def words_of(found: Sequence[Crossing], memory: str) -> Mapping[tuple[str, str], Words]:
    """Words by (memory, tensor), as a cost states them."""
    merged: dict[tuple[str, str], Words] = {}
    for crossing in found:
        key = (memory, crossing.tensor)
        merged[key] = crossing.words
    return merged
