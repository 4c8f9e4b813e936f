"""Exact search with perfect factors by labels over open holds: any tree path, any affine Einsum of `task.supported`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Level
from einloom.mapper.found import Candidate, Found, Objective, key_of
from einloom.workloads.sized import SizedEinsum

if TYPE_CHECKING:
    from einloom.mapper.labels.search import Answer


def solve(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, objective: Objective,
    deadline_s: float | None = None,
) -> Found | None:  # fmt: skip
    """The best mappings with perfect factors; None for an Einsum or machine that the closed forms do not count.

    Args:
        path: Levels, outermost memory to compute.
        deadline_s: Seconds; past it the best found so far, which may be none, and the bound proven so far.
    """
    from einloom.mapper.labels.task import Task, supported  # noqa: PLC0415

    task = Task(architecture, einsum, path, rules)
    if not supported(task):
        return None
    from einloom.mapper.labels.search import Search  # noqa: PLC0415 - numba is not on every path

    search = Search(task, None if deadline_s is None else time.monotonic() + deadline_s)
    answers: Iterator[Answer | None] = {
        "energy": lambda: iter((search.least_energy(),)),
        "latency": lambda: iter((search.fewest_cycles(),)),
        "edp": lambda: iter((search.least_product(),)),
        "pareto": search.front,
    }[objective]()
    front = [
        Candidate(key_of(objective, answer.energy, answer.cycles), answer.cycles, answer.energy, answer.nodes)
        for answer in answers
        if answer is not None
    ]
    front.sort(key=lambda candidate: candidate.key)
    return Found(
        front=tuple(front), candidates=search.size, costed=search.costed, complete=search.complete,
        bound=0.0 if search.complete else search.least(objective), smallest=search.smallest,
    )  # fmt: skip
