"""One nest walked from beginning to end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from einloom.arch.tree import Level
from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Node
from einloom.model.reference.counting import Counts, Link, count, links
from einloom.model.reference.nest import Nest, nest_of
from einloom.model.reference.values import Array, output, points
from einloom.workloads.cascade import Cascade
from einloom.workloads.sized import SizedEinsum

MAX_POINTS = 2_000_000
"""Points that are walked in a minute or so."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What happened while a nest ran.

    Attributes:
        counts: By (memory, position of the access in ``einsum.accesses``), where it holds the tensor.
        links: By (fanout, position of the access): words of the access over the fanout.
        steps: Steps in which at least one instance of the compute had work.
        operations: Executions by operator.
        instances_used: Instances of the compute that ever had work.
        output: The output tensor; None without inputs and cascade.
    """

    counts: Mapping[tuple[str, int], Counts]
    links: Mapping[tuple[str, int], Link]
    steps: int
    operations: Mapping[str, int]
    instances_used: int
    output: Array | None


def execute(
    einsum: SizedEinsum,
    path: tuple[Level, ...],
    nodes: tuple[Node, ...],
    inputs: Mapping[str, Array] | None = None,
    cascade: Cascade | None = None,
) -> Execution:
    """Walk a legal nest step by step.

    Args:
        einsum: What is computed.
        path: Levels, outermost first, ending in the compute (``Architecture.path_to``).
        nodes: Holds and loops with integer bounds, outermost first.
        inputs: Arrays by tensor, for all that the Einsum reads. One for the output itself says what is there
            before, such as initial generations.
        cascade: Where the Einsum stands. With it and the inputs, the output is computed.

    Raises:
        MappingError: More than `MAX_POINTS` points, or a node that the walk does not know.
    """
    if einsum.points > MAX_POINTS:
        problem = f"{einsum.name} has {einsum.points} points, too many to walk one by one"
        raise MappingError(Problem(problem, f"the reference executor takes at most {MAX_POINTS} points"))
    nest = nest_of(einsum, path, nodes)
    visited = [place for place, _ in points(nest)]
    assert len(visited) == einsum.points
    return Execution(
        counts={
            (memory, number): counts
            for number, access in enumerate(einsum.accesses)
            for memory, counts in count(nest, access).items()
        },
        links={
            (fanout, number): link
            for number, access in enumerate(einsum.accesses)
            for fanout, link in links(nest, access).items()
        },
        steps=len(nest.compute().times),
        operations=_operations(nest),
        instances_used=len(set(visited)),
        output=None if inputs is None or cascade is None else output(nest, inputs, cascade),
    )


def _operations(nest: Nest) -> dict[str, int]:
    """Each operator runs once at every point of its space, however often the nest passes there."""
    total: Counter[str] = Counter()
    for work in nest.einsum.work:
        total[work.operator] += work.count * len(
            {tuple(point[v] for v in sorted(work.variables)) for _, point in points(nest)}
        )
    return dict(total)
