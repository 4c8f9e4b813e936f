"""Clipped bounds where no exact search of them is known: good mappings with a proven gap.

Clipping pays where a rank has no divisor near what the machine offers. So ranks are padded to sizes that do, the exact
search with perfect factors maps the padded Einsum, and its nest is run clipped: every bound stays, the last tiles are
smaller, and the model counts exactly that. The gap is against what no mapping at all can avoid.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Fanout, Level
from einloom.errors import MappingError
from einloom.mapper import compulsory, labels
from einloom.mapper.found import Candidate, Found, Objective, key_of
from einloom.mapper.labels.task import Task, supported
from einloom.mapper.space import divisors
from einloom.mappings import Nest, Nodes
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.sized import SizedEinsum

SAME = 1 + 1e-12
"""Bounds and costs are sums in different orders."""

SMOOTH = 7
"""Sizes whose prime factors are at most this have tiles of nearly any size."""


def solve(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, objective: Objective,
    deadline_s: float | None = None,
) -> Found | None:  # fmt: skip
    """The best mappings found, clipped ones among them; None where `labels` does not count the Einsum.

    ``bound`` holds for every clipped nest (`mapper.clipped_bound`). Where a mapping meets it, it is optimal.
    """
    start = time.monotonic()
    if not supported(Task(architecture, einsum, path, rules)):
        return None
    energy, cycles, product = _least(architecture, path, einsum, rules)

    def left() -> float | None:
        return None if deadline_s is None else max(0.0, deadline_s - (time.monotonic() - start))

    whole = labels.solve(architecture, path, einsum, rules, objective, left())
    assert whole is not None
    known = list(whole.front)
    for sizes in _paddings(einsum, path, rules):
        seconds = left()
        if seconds == 0:
            break
        padded = labels.solve(architecture, path, replace(einsum, extents=sizes), rules, objective, seconds)
        if padded is None:
            continue
        whole.costed += padded.costed
        known += [c for candidate in padded.front if (c := _clipped(architecture, einsum, candidate.nodes, objective))]
    whole.front = _front(known, objective)
    whole.bound = {"energy": energy, "latency": cycles, "edp": product, "pareto": 0.0}[objective]
    whole.complete = len(whole.front) == 1 and _meets(whole.front[0], objective, energy, cycles, product)
    return whole


def _least(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules
) -> tuple[float, float, float]:
    """Least energy, cycles, and their product of any clipped nest."""
    from einloom.mapper.clipped_bound import least  # noqa: PLC0415 - numba comes with it

    energy, cycles = compulsory.energy_pj(architecture, path, einsum), compulsory.cycles(path, einsum)
    tighter = least(Task(architecture, einsum, path, rules))
    if tighter is None:
        return energy, cycles, energy * cycles
    return max(energy, tighter[0]), cycles, max(energy * cycles, tighter[0] * cycles, tighter[1])


def _clipped(
    architecture: Architecture, einsum: SizedEinsum, nodes: Nodes, objective: Objective
) -> Candidate | None:
    """The nest of a padded Einsum run clipped; None where the clipped counts have no closed form within limits."""
    try:
        result = evaluate_nest(einsum, architecture, Nest(nodes))
    except MappingError:
        return None
    energy, cycles = result.energy_pj, float(result.cycles)
    return Candidate(key_of(objective, energy, cycles), cycles, energy, nodes)


def _meets(candidate: Candidate, objective: Objective, energy: float, cycles: float, product: float) -> bool:
    """Whether nothing can be better in the objective."""
    least = candidate.energy_pj <= energy * SAME, candidate.cycles <= cycles * SAME
    if objective == "edp":
        return candidate.energy_pj * candidate.cycles <= product * SAME
    return {"energy": least[0], "latency": least[1]}.get(objective, all(least))


def _front(known: list[Candidate], objective: Objective) -> tuple[Candidate, ...]:
    """The best, or for ``pareto`` those that no other beats."""
    ordered = sorted(known, key=lambda candidate: candidate.key)
    if objective != "pareto":
        return tuple(ordered[:1])
    front: list[Candidate] = []
    for candidate in ordered:
        if not front or candidate.energy_pj < front[-1].energy_pj:
            front.append(candidate)
    return tuple(front)


def _paddings(einsum: SizedEinsum, path: tuple[Level, ...], rules: EinsumRules) -> Iterator[Mapping[str, int]]:
    """Sizes to try: one rank padded at a time, then all at once to their first padding."""
    every = {var: _sizes(var, size, path, rules) for var, size in einsum.extents.items()}
    for var, sizes in every.items():
        for size in sizes:
            yield {**einsum.extents, var: size}
    first = {var: sizes[0] for var, sizes in every.items() if sizes}
    if len(first) > 1:
        yield {**einsum.extents, **first}


def _sizes(variable: str, size: int, path: tuple[Level, ...], rules: EinsumRules) -> list[int]:
    """Paddings of one rank: the smallest that lets each set of axes take it in fewest steps, and the next size with
    small prime factors."""
    found = set()
    if not _smooth(size):
        found.add(next(larger for larger in range(size + 1, 2 * size + 2) if _smooth(larger)))
    axes = [
        instances
        for level in path
        if isinstance(level, Fanout)
        for axis, instances in level.axes.items()
        if rules.axis_allows(level.name, axis, variable)
    ]
    for chosen in itertools.chain.from_iterable(itertools.combinations(axes, n) for n in range(1, len(axes) + 1)):
        instances = math.prod(chosen)
        steps = -(-size // instances)
        if steps < size // max(divisor for divisor in divisors(size) if divisor <= instances):
            found.add(-(-size // steps) * steps)
    return sorted(larger for larger in found if larger > size)


def _smooth(size: int) -> bool:
    for prime in (2, 3, 5, SMOOTH):
        while size % prime == 0:
            size //= prime
    return size == 1
