"""An answer of a mapper held against the brute force."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from brute import draw
from brute.bridge import UNITS_PER_PJ, architecture_of, einsum_of
from brute.case import Answer, Case
from brute.force import solve
from einloom.arch.tree import Architecture
from einloom.workloads.sized import SizedEinsum

CLOSE = 1e-9
OBJECTIVES = ("energy", "latency", "edp", "pareto")


@dataclass(frozen=True)
class Found:
    """One mapping as a mapper reports it.

    Attributes:
        energy: In 0.1 pJ.
        proof: ``optimal`` or ``gap``.
        gap: By how much the best may be better at most, as a part of this.
        mapping: To be shown.
    """

    cycles: float
    energy: float
    proof: str = "optimal"
    gap: float = 0.0
    mapping: tuple[str, ...] = ()


Solver = Callable[[SizedEinsum, Architecture, str, bool], Iterable[Found] | None]
"""(Einsum, machine, objective, perfect) -> the best or, for ``pareto``, the front; nothing where nothing fits.

None: the solver does not take such a case.
"""


@dataclass(frozen=True)
class Verdict:
    """What a comparison says: ``wrong`` breaks a promise; ``above`` is a clipped nest that product counts miss."""

    wrong: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    skipped: bool = False


def judged(case: Case, answer: Answer, solver: Solver, objectives: Iterable[str] = OBJECTIVES) -> Verdict:
    """Compare a solver with the brute force on one case."""
    einsum, architecture = einsum_of(case), architecture_of(case)
    wrong: list[str] = []
    above: list[str] = []
    for objective in objectives:
        answers = solver(einsum, architecture, objective, case.perfect)
        if answers is None:
            return Verdict(skipped=True)
        found = tuple(answers)
        if bool(found) != bool(answer.front):
            wrong.append(f"{objective}: {len(found)} mappings, brute force {len(answer.front)}")
        elif found:
            verdict = _front(found, answer) if objective == "pareto" else _best(found[0], answer, objective)
            if verdict:
                missed = verdict.startswith("above") and not case.perfect
                (above if missed else wrong).append(f"{objective}: {verdict}")
    return Verdict(tuple(wrong), tuple(above))


def _best(found: Found, answer: Answer, objective: str) -> str:
    """Empty where the answer is right."""
    best = getattr(answer, objective)
    values = {"energy": (found.energy, found.cycles), "latency": (found.cycles, found.energy),
              "edp": (found.energy * found.cycles, found.energy)}[objective]  # fmt: skip
    cycles, energy = float(best.cycles), best.energy
    truths = {"energy": (energy, cycles), "latency": (cycles, energy), "edp": (energy * cycles, energy)}[objective]
    says = f"{found.energy:g} at {found.cycles:g} ({found.proof} {found.gap:.3g}), brute force {best}"
    if values[0] < truths[0] * (1 - CLOSE):
        return f"below: {says}"
    if truths[0] < values[0] * (1 - found.gap) * (1 - CLOSE):
        return f"above: {says}; mapped {' | '.join(found.mapping)}"
    tied = values[0] <= truths[0] * (1 + CLOSE)
    if found.proof == "optimal" and tied and values[1] > truths[1] * (1 + CLOSE):
        return f"above in the tie: {says}; mapped {' | '.join(found.mapping)}"
    if tied and values[1] < truths[1] * (1 - CLOSE):
        return f"below in the tie: {says}"
    return ""


def _front(found: tuple[Found, ...], answer: Answer) -> str:
    points = [(float(p.cycles), float(p.energy)) for p in answer.front]
    mine = [(f.cycles, f.energy) for f in found]
    says = f"{mine}, brute force " + "; ".join(map(str, answer.front))
    if not all(any(_no_worse(point, other, 0) for point in points) for other in mine):
        return f"below: {says}"
    slack = max(f.gap for f in found)
    if not all(any(_no_worse(other, point, slack) for other in mine) for point in points):
        return f"above: {says}"
    if any(_no_worse(a, b, 0) for a, b in itertools.permutations(mine, 2)):
        return f"a point of the front is beaten: {says}"
    return ""


def _no_worse(point: tuple[float, float], other: tuple[float, float], slack: float) -> bool:
    return all(a * (1 - slack) <= b * (1 + CLOSE) for a, b in zip(point, other, strict=True))


def mapper(einsum: SizedEinsum, architecture: Architecture, objective: str, perfect: bool) -> list[Found]:
    """`einloom.mapper.Mapper` as a solver."""
    from einloom.errors import MappingError
    from einloom.mapper import Mapper

    try:
        results = Mapper(architecture, objective, perfect).map(einsum).results
    except MappingError as error:
        if "no mapping of" not in str(error):
            raise
        return []
    return [Found(float(r.cycles), r.energy_pj * UNITS_PER_PJ, r.proof, r.gap, r.mapping) for r in results]


def drawn(kind: str, cases: int, seed: int, most: int) -> Iterable[tuple[str, Case, Answer]]:
    """``cases`` random cases of a kind that have at most ``most`` sequences: how to draw it again, case, answer."""
    number = taken = 0
    while taken < cases:
        name = f"{kind} {seed}:{number}"
        case = named(name)
        number += 1
        answer = solve(case, most=most)
        if answer.complete:
            taken += 1
            yield name, case, answer


def named(name: str) -> Case:
    """The case that `drawn` calls so."""
    kind, number = name.split(" ")
    return draw.KINDS[kind](Random(f"{kind} {number}"))
