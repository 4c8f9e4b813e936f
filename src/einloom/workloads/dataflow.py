"""Who reads what of whom: the dependences between the Einsums of a cascade, with the generations between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einloom.workloads.cascade import Cascade
from einloom.workloads.einsum import Einsum, Generation
from einloom.workloads.expressions import Reference
from einloom.workloads.sized import SizedEinsum


@dataclass(frozen=True, slots=True)
class Read:
    """One reference of an Einsum to a tensor that another (or it itself) computes.

    Attributes:
        producer: Name of the Einsum that writes the tensor.
        consumer: Name of the Einsum that reads it.
        tensor: What is read.
        access: Index of the reference in the consumer's ``accesses``.
        distance: Generations between: a read of ``X[g]`` while ``X[g+1]`` is written is 1 away. 0: the same
            generation, the last one, or no generations at all.
    """

    producer: str
    consumer: str
    tensor: str
    access: int
    distance: int = 0


@dataclass(frozen=True)
class Dataflow:
    """A cascade as the Einsums that do work, and what passes between them.

    Attributes:
        einsums: By name, in the order of the text.
        reads: Every read of a computed tensor.
        states: Tensors of which one generation is alive at a time: every line reads them at the variable of
            their generations, or a fixed generation. By tensor; others keep all their generations.
    """

    einsums: Mapping[str, SizedEinsum]
    reads: tuple[Read, ...]
    states: Mapping[str, Generation]

    def producers(self, tensor: str) -> tuple[str, ...]:
        """Einsums that write ``tensor``."""
        return tuple(name for name, einsum in self.einsums.items() if einsum.output.tensor == tensor)

    def consumers(self, tensor: str) -> tuple[str, ...]:
        """Einsums that read ``tensor``."""
        return tuple(name for name, einsum in self.einsums.items() if any(a.tensor == tensor for a in einsum.inputs))


def dataflow(cascade: Cascade) -> Dataflow:
    """The dataflow of ``cascade``.

    Raises:
        SpecError: A sub-rank has no size, or an Einsum cannot be counted (`Cascade.sized`).
    """
    einsums = {einsum.name: einsum for einsum in cascade.sized()}
    lines = {line.name: line for line in cascade.einsums if line.name in einsums}
    states = {t: g for t, g in cascade.facts.generations.items() if _is_state(t, g, lines.values())}
    writers: dict[str, list[str]] = {}
    for name, line in lines.items():
        writers.setdefault(line.output.tensor, []).append(name)
    reads = [
        Read(producer, name, reference.tensor, position, _distance(reference, states.get(reference.tensor)))
        for name, line in lines.items()
        for position, reference in enumerate(line.inputs, start=1)
        for producer in writers.get(reference.tensor, ())
        if _reads_from(reference, lines[producer], cascade.facts.generations.get(reference.tensor))
    ]
    return Dataflow(einsums, tuple(reads), states)


def _is_state(tensor: str, generation: Generation, lines: object) -> bool:
    assert hasattr(lines, "__iter__")
    for line in lines:
        for reference in line.inputs:
            if reference.tensor == tensor:
                affine = reference.indices[generation.dimension].affine
                shifted = affine.shifted
                if affine.variables and (shifted is None or shifted[0] != generation.variable):
                    return False
    return True


def _distance(reference: Reference, generation: Generation | None) -> int:
    if generation is None:
        return 0
    shifted = reference.indices[generation.dimension].affine.shifted
    return generation.lag - shifted[1] if shifted is not None else 0


def _reads_from(reference: Reference, producer: Einsum, generation: Generation | None) -> bool:
    """Whether a reference can touch what ``producer`` writes: an initial generation, or all the later ones."""
    if generation is None:
        return True
    affine = reference.indices[generation.dimension].affine
    if affine.variables or affine.ranks:
        return True if producer.initial is None else bool(affine.variables)
    return (affine.constant < generation.lag) == (producer.initial is not None)
