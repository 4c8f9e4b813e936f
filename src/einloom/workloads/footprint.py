"""What a fiber leaves behind: the elements that stay live while a cascade streams over a rank.

The unit is one fiber of the family, for one coordinate of the variables that every Einsum along the fiber iterates
(their loops can stand outside). Time is counted in traversals of the outermost variable; they are the passes, and for
a split rank the sweeps over summaries between them. What is produced and consumed in one step is not counted here: it
is the business of the inner family.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from einloom.workloads.einsum import Einsum
from einloom.workloads.expressions import Reference
from einloom.workloads.facts import Step
from einloom.workloads.passes import Family, Passes, carried_dimension, generations, passes

Kind = Literal["fiber", "state", "result"]


@dataclass(frozen=True, slots=True)
class Live:
    """What one tensor keeps live.

    Attributes:
        tensor: An intermediate, or an output while it accumulates.
        kind: ``fiber``: whole, from the traversal that computes it to the last that reads it (or spilled, or computed
            again); ``state``: some steps of it, while its traversal runs; ``result``: a reduction of the whole fiber.
        elements: Of one fiber.
        first, last: Traversals during which it is live, the first is 1.
    """

    tensor: str
    kind: Kind
    elements: int
    first: int
    last: int


@dataclass(frozen=True)
class Footprint:
    """Live elements of a family.

    Attributes:
        family: The rank.
        shared: Variables whose loops can stand outside: elements are for one coordinate of each.
        traversals: Of the outermost variable: passes and sweeps.
        live: By tensor, in order of definition.
    """

    family: Family
    shared: tuple[str, ...]
    traversals: int
    live: tuple[Live, ...] = field(default_factory=tuple)

    def between(self, traversal: int) -> int:
        """Elements that stay live from one traversal to the next."""
        return sum(entry.elements for entry in self.live if entry.first <= traversal < entry.last)

    @property
    def fiber(self) -> int:
        """The most elements of whole fibers that stay live from one traversal to the next."""
        whole = [entry for entry in self.live if entry.kind == "fiber"]
        steps = range(1, self.traversals)
        return max((sum(e.elements for e in whole if e.first <= step < e.last) for step in steps), default=0)

    @property
    def state(self) -> int:
        """The most elements of running state, results included, in one traversal."""
        running = [entry for entry in self.live if entry.kind != "fiber"]
        steps = range(1, self.traversals + 1)
        return max((sum(e.elements for e in running if e.first <= step <= e.last) for step in steps), default=0)


def footprint(einsums: Sequence[Einsum], family: Family, extents: Mapping[str, int]) -> Footprint | None:
    """Live elements of each tensor while the cascade streams over ``family``; None where no order streams it.

    Args:
        einsums: The cascade.
        family: See `einloom.workloads.passes.families`.
        extents: Size of every rank variable and rank.
    """
    timing = passes(einsums, (family.outer,), extents)
    if timing.count is None:
        return None
    along = [e for e in einsums if any(variable in e.variables for variable in family.variables)]
    common = set.intersection(*(set(einsum.variables) for einsum in along)) - set(family.variables)
    shared = tuple(variable for variable in along[0].variables if variable in common)
    carried = carried_dimension(einsums, family)
    entries = (
        _live(einsum, einsums, timing, carried[einsum.output.tensor], common, extents)
        for einsum in einsums
        if einsum.initial is None
    )
    return Footprint(family, shared, timing.count, tuple(entry for entry in entries if entry is not None))


def _live(
    producer: Einsum, einsums: Sequence[Einsum], timing: Passes, dimension: int | None, shared: set[str],
    extents: Mapping[str, int],
) -> Live | None:  # fmt: skip
    tensor = producer.output.tensor
    written = timing.pass_of.get(producer.name, timing.labels[tensor].passes)
    readers = [e for e in einsums if tensor in e.tensors]
    if written == 0:  # nothing of the fiber is in it
        return None
    if dimension is None:  # accumulated during its traversal, or made of what was; read after it
        last = max((_when(reader, timing) for reader in readers), default=written)
        along = any(timing.pass_of.get(reader.name, 0) > written for reader in readers)
        if producer.name not in timing.pass_of and not along:
            return None  # computed where it is needed
        elements = _elements(producer, shared, extents, without=None)
        return Live(tensor, "result", elements, written, max(last, written))
    references = [(e, r) for e in readers for r in e.inputs if r.tensor == tensor]
    later = [
        _when(e, timing) for e, r in references if _whole(r, dimension, timing.family) and _when(e, timing) > written
    ]
    whole = _elements(producer, shared, extents, without=None)
    if later:
        return Live(tensor, "fiber", whole, written, max(later))
    step = _elements(producer, shared, extents, without=dimension)
    kept = _steps_kept(producer, references, dimension, timing)
    ends = [_when(e, timing) for e, _ in references]
    return Live(tensor, "state", step * kept, written, max([written, *ends])) if kept else None


def _when(einsum: Einsum, timing: Passes) -> int:
    """The traversal in which an Einsum runs; what does not iterate the rank runs after the latest that it reads."""
    if einsum.name in timing.pass_of:
        return timing.pass_of[einsum.name]
    return max((timing.labels[tensor].passes for tensor in einsum.tensors if tensor in timing.labels), default=0)


def _whole(reference: Reference, dimension: int, family: Family) -> bool:
    """Whether the read runs over the fiber: one at a fixed coordinate needs that coordinate only."""
    return bool(reference.indices[dimension].affine.variables)


def _elements(einsum: Einsum, shared: set[str], extents: Mapping[str, int], without: int | None) -> int:
    """Elements of the output, shared variables and the dimension ``without`` left out."""
    return math.prod(
        extents[variable]
        for dimension, index in enumerate(einsum.output.indices)
        if dimension != without
        for variable in index.affine.variables
        if variable not in shared
    )


def _steps_kept(
    producer: Einsum, references: Iterable[tuple[Einsum, Reference]], dimension: int, timing: Passes
) -> int:
    """Coordinates that stay live from one step of the traversal to the next."""
    born = timing.lags[producer.name] - generations(producer, timing.family)
    kept = 0
    for einsum, reference in references:
        affine = reference.indices[dimension].affine
        if affine.ranks or not affine.terms:  # the last generation, or a fixed one: it stays until it is read
            kept = max(kept, 1)
        elif einsum.name in timing.lags:
            # a window m+r with offset c begins c ahead of the step of its reader: r starts at 0
            kept = max(kept, timing.lags[einsum.name] - affine.constant - born)
    return kept


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Einsums that iterate together.

    Attributes:
        variable: Rank variable of the generations.
        einsums: Names, in the order of the text.
        lag: Generations that an element looks back: the longest.
    """

    variable: str
    einsums: tuple[str, ...]
    lag: int


def recurrences(einsums: Sequence[Einsum], order: Sequence[Step]) -> tuple[Recurrence, ...]:
    """The recurrences of a cascade (``cascade.facts.order`` knows them)."""
    found = []
    for step in order:
        if step.variable is not None:
            members = [einsums[line] for line in step.lines]
            lags = [e.generation.lag for e in members if e.generation is not None]
            found.append(Recurrence(step.variable, tuple(e.name for e in members), max(lags)))
    return tuple(found)
