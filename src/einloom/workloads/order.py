"""In which order the lines of a cascade can run, and which of them form a recurrence.

A line reads only what stands above it, or an earlier generation of what stands below. Lines that depend on
each other through generations iterate together over one rank variable.
"""

from __future__ import annotations

from einloom.errors import Problem
from einloom.workloads.einsum import Einsum
from einloom.workloads.expressions import Affine, Reference, references
from einloom.workloads.facts import Facts, Parts, Step


def execution_order(parts: Parts, facts: Facts) -> list[Problem]:
    """Fill ``facts.order``; return every read of something that is not computed yet."""
    einsums = [einsum for einsum in parts.einsums if einsum is not None]
    problems = [
        problem
        for line, einsum in enumerate(einsums)
        for reference in references(einsum.statement.expression)
        if reference.tensor in facts.producers
        for problem in _too_early(line, einsum, reference, facts)
    ]
    if problems:
        return problems
    needs = [{p for tensor in einsum.tensors for p in facts.producers.get(tensor, ())} for einsum in einsums]
    groups = _recurrences(needs)
    for group in groups:
        variable = None
        if len(group) > 1 or group[0] in needs[group[0]]:
            variable = _iterated(group, einsums, facts)
            problems += _leaves_recurrence(group, variable, einsums, facts)
        facts.order += (Step(group, variable),)
    return problems


def _too_early(line: int, einsum: Einsum, reference: Reference, facts: Facts) -> list[Problem]:
    """The read of a tensor that this line or a later one defines must be of an earlier generation."""
    tensor = reference.tensor
    producer = facts.producers[tensor][-1]
    generation = facts.generations.get(tensor)
    if producer < line:
        return []
    message, hint = f"{tensor} is read before it is computed", f"move the line that defines {tensor} up"
    span = reference.span
    if generation is not None:
        affine = reference.indices[generation.dimension].affine
        shifted = affine.shifted
        iterates = generation.variable in einsum.output.variables
        if (
            shifted is not None
            and shifted[0] == generation.variable
            and iterates
            and shifted[1] < generation.lag
        ):
            return []
        if not affine.terms and affine.constant < generation.lag:
            return []
        message = f"generation '{affine}' of {tensor} is not computed yet"
        hint = (
            f"read {tensor}[{generation.variable}] here, or put this line below the one that defines {tensor}"
        )
        span = affine.span
    elif producer == line:
        message = f"{tensor} reads itself"
        hint = f"an iteration writes generations: {tensor}[m1+1,...] = f({tensor}[m1,...])"
    return [Problem(message, hint, ("cascade", line), offset=span[0], length=span[1])]


def _recurrences(needs: list[set[int]]) -> list[tuple[int, ...]]:
    """Strongly connected lines, each group after all that it needs; O(n^2) for n lines."""
    reach = [0] * len(needs)
    for line, sources in enumerate(needs):
        reach[line] = sum(1 << source for source in sources)
    for middle in range(len(needs)):
        for line in range(len(needs)):
            if reach[line] >> middle & 1:
                reach[line] |= reach[middle]
    groups: list[tuple[int, ...]] = []
    left = list(range(len(needs)))
    done = 0
    while left:
        for line in left:
            group = tuple(i for i in left if i == line or (reach[line] >> i & 1 and reach[i] >> line & 1))
            members = sum(1 << i for i in group)
            if not reach[line] & ~(done | members):
                groups.append(group)
                done |= members
                left = [i for i in left if i not in group]
                break
    return groups


def _iterated(group: tuple[int, ...], einsums: list[Einsum], facts: Facts) -> str:
    """The rank variable of the generations in a recurrence."""
    return next(
        generation.variable
        for line in group
        if (generation := facts.generations.get(einsums[line].output.tensor)) is not None
    )


def _leaves_recurrence(
    group: tuple[int, ...], variable: str, einsums: list[Einsum], facts: Facts
) -> list[Problem]:
    """Inside a recurrence every line iterates over its variable and reads the others at it."""
    problems: list[Problem] = []
    inside = {einsums[line].output.tensor for line in group}
    names = ", ".join(sorted(inside))
    for line in group:
        einsum = einsums[line]
        if variable not in einsum.output.variables:
            problems.append(
                Problem(
                    f"{einsum.output}, in the recurrence of {names}, does not iterate over {variable}",
                    f"write {variable} into its left side",
                    ("cascade", line),
                )
            )
    if problems:
        return problems
    for line in group:
        for reference in references(einsums[line].statement.expression):
            if reference.tensor not in inside:
                continue
            affine = reference.indices[_position(reference.tensor, variable, einsums, facts)].affine
            generation = facts.generations.get(reference.tensor)
            initial = generation is not None and not affine.terms and affine.constant < generation.lag
            if not _at_variable(affine, variable) and not initial:
                problems.append(
                    Problem(
                        f"'{affine}' reaches out of the recurrence over {variable}",
                        f"inside it {reference.tensor} is read at {variable} or an earlier generation",
                        ("cascade", line),
                        offset=affine.span[0],
                        length=affine.span[1],
                    )
                )
    return problems


def _position(tensor: str, variable: str, einsums: list[Einsum], facts: Facts) -> int:
    """The dimension of ``tensor`` that the recurrence iterates over."""
    output = einsums[facts.producers[tensor][-1]].output
    return next(i for i, index in enumerate(output.indices) if _at_variable(index.affine, variable))


def _at_variable(affine: Affine, variable: str) -> bool:
    return affine.shifted is not None and affine.shifted[0] == variable
