"""Shapes of all tensors of a cascade, and the check that no index leaves them.

A computed tensor has the shape of its left side (plus the lag, for generations). An input has the shape that
``shapes:`` gives, or the rank that ``RANK=affine`` names, or the bounding box of all its indices. With
``pad`` an index may leave the tensor; then the extent must be given or follow from an index that does not
leave it.
"""

from __future__ import annotations

from collections.abc import Sequence

from einloom.errors import Problem
from einloom.workloads.einsum import bounds
from einloom.workloads.expressions import Index, Reference, Span, references
from einloom.workloads.facts import Facts, Parts, did_you_mean

Use = tuple[int, Reference]
"""A reference and the line that it stands in."""


def infer_shapes(parts: Parts, facts: Facts) -> list[Problem]:
    """Fill ``facts.shapes``; return every index that does not fit."""
    problems: list[Problem] = []
    uses: dict[str, list[Use]] = {}
    for line, einsum in enumerate(parts.einsums):
        if einsum is not None:
            for reference in references(einsum.statement.expression):
                uses.setdefault(reference.tensor, []).append((line, reference))
    for tensor, lines in facts.producers.items():
        main = parts.einsums[lines[-1]]
        assert main is not None
        facts.shapes[tensor] = tuple(_written(index, facts) for index in main.output.indices)
    for tensor in dict.fromkeys((*facts.producers, *uses)):
        problems += _Tensor(tensor, uses.get(tensor, []), parts, facts).check()
    return problems


def _written(index: Index, facts: Facts) -> int:
    """Coordinates of a dimension that the left side ``index`` writes: 0 .. extent + lag - 1."""
    shifted = index.affine.shifted
    assert shifted is not None
    return facts.extents[shifted[0]] + shifted[1]


class _Tensor:
    """All references to one tensor."""

    def __init__(self, name: str, uses: Sequence[Use], parts: Parts, facts: Facts) -> None:
        self.name, self.parts, self.facts = name, parts, facts
        self.produced = name in facts.producers
        lines = reversed(facts.producers.get(name, ()))
        written = [(line, einsum.output) for line in lines if (einsum := parts.einsums[line]) is not None]
        self.uses = [*written, *uses]
        self.padded = name in parts.pad
        self.problems: list[Problem] = []

    def add(self, line: int, span: Span, message: str, hint: str) -> None:
        self.problems.append(Problem(message, hint, ("cascade", line), offset=span[0], length=span[1]))

    def check(self) -> list[Problem]:
        """Fix the shape of an input; compare every use with the shape."""
        first = self.uses[0][1]
        rank = len(first.indices)
        for line, reference in self.uses[1:]:
            if len(reference.indices) != rank:
                self.add(
                    line,
                    reference.span,
                    f"{reference} has {len(reference.indices)} indices, {first} has {rank}",
                    f"give {self.name} the same number of indices everywhere",
                )
        given = self.parts.shapes.get(self.name)
        if given is not None and len(given) != rank:
            self.problems.append(
                Problem(
                    f"the shape of {self.name} has {len(given)} sizes, {first} has {rank} indices",
                    f"write one size or rank for each index of {first}",
                    ("shapes", self.name),
                )
            )
        if self.problems:
            return self.problems
        self._labels(rank)
        if not self.produced:
            extents = [self._input_extent(dimension, given) for dimension in range(rank)]
            if self.problems:
                return self.problems
            self.facts.shapes[self.name] = tuple(extents)
        for line, reference in self.uses:
            for dimension, index in enumerate(reference.indices):
                self._fits(line, reference, dimension, index)
        return self.problems

    def _labels(self, rank: int) -> None:
        """A dimension is given one rank name only, whose size is the size of the dimension."""
        for dimension in range(rank):
            name: str | None = None
            for line, reference in self.uses:
                label = reference.indices[dimension].rank
                if label is None:
                    continue
                name = name or label
                if label != name:
                    self.add(
                        line,
                        reference.indices[dimension].affine.span,
                        f"index {dimension + 1} of {self.name} has the rank {name}, not {label}",
                        f"write {name}=... in each {self.name}[...]",
                    )
                elif self.produced and self.facts.extents[label] != self.facts.shapes[self.name][dimension]:
                    self.add(
                        line,
                        reference.indices[dimension].affine.span,
                        f"index {dimension + 1} of {self.name} has {self.facts.shapes[self.name][dimension]} "
                        f"coordinates, the rank {label} has {self.facts.extents[label]}",
                        f"name the rank that the line which defines {self.name} has there",
                    )

    def _input_extent(self, dimension: int, given: Sequence[int | str] | None) -> int:
        if given is not None:
            return self._given_extent(dimension, given[dimension])
        indices = [reference.indices[dimension] for _, reference in self.uses]
        for index in indices:
            if index.rank is not None:
                return self.facts.extents[index.rank]
        ranges = [bounds(index.affine, self.facts.extents) for index in indices]
        if not self.padded:
            return max(high for _, high in ranges) + 1
        inside = [
            high + 1
            for index, (_, high) in zip(indices, ranges, strict=True)
            if index.affine.plain is not None
        ]
        if not inside:
            line, reference = self.uses[0]
            self.add(
                line,
                reference.indices[dimension].affine.span,
                f"{self.name} is padded: '{indices[0]}' does not say the size of its index {dimension + 1}",
                f"name its rank, H={indices[0].affine}, or give `shapes: {{{self.name}: [...]}}`",
            )
            return 1
        return max(inside)

    def _given_extent(self, dimension: int, size: int | str) -> int:
        if isinstance(size, int):
            return size
        if size not in self.facts.extents:
            ranks = [rank for rank in self.facts.extents if rank[:1].isupper()]
            hint = did_you_mean(size, ranks, "ranks")
            path = ("shapes", self.name, dimension)
            self.problems.append(Problem(f"the rank '{size}' has no size", hint, path))
        return self.facts.extents.get(size, 1)

    def _fits(self, line: int, reference: Reference, dimension: int, index: Index) -> None:
        """The index stays inside; a plain variable runs over the whole dimension unless it names its rank."""
        extent = self.facts.shapes[self.name][dimension]
        low, high = bounds(index.affine, self.facts.extents)
        where = f"index {dimension + 1} of {reference}"
        span = index.affine.span
        if (low < 0 or high >= extent) and not self.padded:
            self.add(
                line,
                span,
                f"{where} runs from {low} to {high}, {self.name} has coordinates 0 to {extent - 1}",
                f"change the index or a rank, or give a value outside: `pad: {{{self.name}: 0}}`",
            )
            return
        plain = index.affine.plain
        if plain is None or index.rank is not None or self._counts_generations(dimension):
            return
        expected = (
            extent if self.produced or self.parts.shapes.get(self.name) else self._first_plain(dimension)
        )
        if self.facts.extents[plain] != expected:
            rank = plain.upper()
            self.add(
                line,
                span,
                f"{where} runs over {self.facts.extents[plain]} coordinates ({rank}), elsewhere "
                f"{self.name} has {expected} there",
                f"make the ranks equal; if a part is meant, name the rank of the dimension: RANK={plain}",
            )

    def _counts_generations(self, dimension: int) -> bool:
        generation = self.facts.generations.get(self.name)
        return generation is not None and generation.dimension == dimension

    def _first_plain(self, dimension: int) -> int:
        for _, reference in self.uses:
            index = reference.indices[dimension]
            if index.affine.plain is not None and index.rank is None:
                return self.facts.extents[index.affine.plain]
        return self.facts.shapes[self.name][dimension]
