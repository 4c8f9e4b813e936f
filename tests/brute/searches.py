"""The searches of the mapper one by one, as solvers: ``--solver brute.searches:labels``.

What a search gives is evaluated anew; where it says other numbers than the model, that is an error.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from brute.bridge import UNITS_PER_PJ
from brute.compare import Found
from einloom.arch.tree import Architecture
from einloom.mapper.found import Found as Answer
from einloom.mappings import Nest
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.sized import SizedEinsum


def gemm(einsum: SizedEinsum, architecture: Architecture, objective: str, perfect: bool) -> list[Found] | None:
    from einloom.mapper.gemm import solve

    return _found(einsum, architecture, lambda *task: solve(*task, objective, perfect, None), perfect)


def labels(einsum: SizedEinsum, architecture: Architecture, objective: str, perfect: bool) -> list[Found] | None:
    from einloom.mapper.labels import solve

    return _found(einsum, architecture, lambda *task: solve(*task, objective), perfect) if perfect else None


def _found(
    einsum: SizedEinsum, architecture: Architecture, solve: Callable[..., Answer | None], exact: bool
) -> list[Found] | None:
    (path,) = architecture.paths()
    answer = solve(architecture, path, einsum, architecture.rules_for(einsum))
    if answer is None:
        return None
    found = []
    for candidate in answer.front:
        result = evaluate_nest(einsum, architecture, Nest(candidate.nodes))
        if exact:
            assert result.energy_pj == pytest.approx(candidate.energy_pj, rel=1e-9), result.mapping
            assert float(result.cycles) == pytest.approx(candidate.cycles, rel=1e-9), result.mapping
        energy = result.energy_pj * UNITS_PER_PJ
        found.append(Found(float(result.cycles), energy, "optimal", 0.0, tuple(result.mapping)))
    return found
