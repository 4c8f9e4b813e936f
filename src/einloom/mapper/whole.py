"""A whole design from the answers for its Einsums, which run one after the other: cycles and energy add up.

What is best in a sum is the sum of what is best. The best product of two sums is not: it lies on the front of the
sums, and that comes from the fronts of the Einsums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.tree_result import TreeResult
from einloom.model.result import EinsumResult

Result = EinsumResult | TreeResult
Results = Mapping[str, Sequence[Result]]
"""Found for each Einsum, or each cascade on a fused tree, by name: the best mapping, or a front."""
Run = Sequence[Results]
"""One cascade: Einsum by Einsum, or on a fused tree."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What is proven of a whole design; None where every nest was given."""

    proof: str | None
    gap: float
    space: str | None


@dataclass(frozen=True, slots=True)
class _Choice:
    """One result of each Einsum so far, and what they come to."""

    cycles: float
    energy_pj: float
    occupancy: float
    chosen: Mapping[str, Result]


def combined_front(runs: Results | Sequence[Run], memory: str | None = None) -> list[Mapping[str, Result]]:
    """One result an Einsum, so that no other choice has both fewer total cycles and less total energy.

    Args:
        runs: Results of every Einsum; or cascades that run one after the other, each with its alternatives.
        memory: Whose largest occupancy is a third total; None: there are two.
    """
    choices = [_Choice(0.0, 0.0, 0.0, {})]
    for run in [(runs,)] if isinstance(runs, Mapping) else runs:
        joined: list[_Choice] = []
        for alternative in run:
            some = choices
            for key, results in alternative.items():
                some = _front([_joined(choice, key, result, memory) for choice in some for result in results])
            joined += some
        choices = _front(joined)
    return [choice.chosen for choice in choices]


def _front(choices: list[_Choice]) -> list[_Choice]:
    return nondominated(choices, lambda choice: (choice.cycles, choice.energy_pj, choice.occupancy))


def _joined(choice: _Choice, key: str, result: Result, memory: str | None) -> _Choice:
    held = result.occupancy(memory) if memory is not None else 0.0
    return _Choice(
        choice.cycles + result.cycles * result.repeat,
        choice.energy_pj + result.energy_pj * result.repeat,
        max(choice.occupancy, held),
        {**choice.chosen, key: result},
    )


def least_product(fronts: Results | Sequence[Run]) -> Mapping[str, Result]:
    """One result an Einsum with the least product of total cycles and total energy; of equal ones least energy."""

    def key(chosen: Mapping[str, Result]) -> tuple[float, float]:
        energy = _energy(chosen)
        return energy * sum(r.cycles * r.repeat for r in chosen.values()), energy

    return min(combined_front(fronts), key=key)


def least_sum(runs: Sequence[Run], objective: Objective) -> Mapping[str, Result]:
    """The first result of every Einsum, of the alternatives of each cascade the best in a quantity that adds up."""
    chosen: dict[str, Result] = {}
    for run in runs:
        firsts: list[dict[str, Result]] = [{key: results[0] for key, results in found.items()} for found in run]
        best = min(firsts, key=lambda first: key_of(objective, _energy(first), _cycles(first)))
        chosen |= best
    return chosen


def _cycles(chosen: Mapping[str, Result]) -> float:
    return float(sum(r.cycles * r.repeat for r in chosen.values()))


def proven(chosen: Mapping[str, Result], mapped: Results, objective: Objective) -> Proven:
    """What is proven of a choice: optimal where the answer for every Einsum that was mapped is.

    Args:
        mapped: All results of each Einsum, of which ``chosen`` has one.
    """
    searched = {key: result for key, result in chosen.items() if result.proof is not None}
    if not searched:
        return Proven(None, 0.0, None)
    spaces = (space for result in searched.values() if result.space for space in result.space.split("; "))
    space = "; ".join(dict.fromkeys(spaces))
    if all(result.proof == "optimal" for result in searched.values()):
        return Proven("optimal", 0.0, space)
    return Proven("gap", _gap(chosen, mapped, objective), space)


def _gap(chosen: Mapping[str, Result], mapped: Results, objective: Objective) -> float:
    """1 - bound / value of the totals, at most."""
    if objective == "pareto":
        return max(result.gap for result in chosen.values())
    energy, cycles = _energy(chosen), sum(r.cycles * r.repeat for r in chosen.values())
    if objective == "energy":
        missing = sum(r.gap * r.energy_pj * r.repeat for r in chosen.values())
        return missing / energy if energy else 0.0
    if objective == "latency":
        missing = sum(r.gap * r.cycles * r.repeat for r in chosen.values())
        return missing / cycles if cycles else 0.0
    if len(chosen) == 1:
        return next(iter(chosen.values())).gap
    least = [_least(results) for results in mapped.values()]
    bound = sum(least_energy for least_energy, _ in least) * sum(least_cycles for _, least_cycles in least)
    return max(0.0, 1 - bound / (energy * cycles)) if energy * cycles else 0.0


def _least(front: Sequence[Result]) -> tuple[float, float]:
    """Energy and cycles of all copies that no mapping goes below: ends of a proven front, or the compulsory bound."""
    first = front[0]
    if first.proof == "gap" and first.search is not None:
        energy, cycles = first.search.least_energy_pj, float(first.search.least_cycles)
    else:
        energy, cycles = min(r.energy_pj for r in front), float(min(r.cycles for r in front))
    return energy * first.repeat, cycles * first.repeat


def _energy(chosen: Mapping[str, Result]) -> float:
    return sum(r.energy_pj * r.repeat for r in chosen.values())
