"""The mapper of cascades equals the brute force: optima, bounds, fronts, and its trees run step by step.

`brute.fusion_trees` costs every tree of the declared space of a tiny case, one by one, with `evaluate_tree`;
``python tests/brute/fusion_trees.py`` runs more of them.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brute.fusion_trees import CASCADES, drawn, judged, whole_trees
from einloom.workloads.dataflow import dataflow

QUICK = 6


def check(seed: int, most: int, kind: str | None = None) -> None:
    """One case, every objective."""
    case, alone = drawn(seed, most, kind)
    verdict = judged(case, alone)
    assert not verdict.wrong, f"{case}\n" + "\n".join(verdict.wrong)


@pytest.mark.parametrize("seed", range(QUICK))
def test_no_tree_of_a_small_case_is_better(seed: int) -> None:
    check(3000 + seed, most=150)


def test_the_trees_of_two_vectors_are_all_there() -> None:
    """By hand: one unit without fanout or registers, T[m] and Z[m,l] with M = 2, L = 1, K = 1.

    Shared: nothing, or the one loop over m. A, C and Z are in the buffer at each depth or not: (1 + 1)^3 + (2 + 1)^3.
    """
    from brute.fusion_trees import OPERATORS
    from einloom.arch.tree import Amount, Architecture, Compute, Memory
    from einloom.workloads.cascade import Cascade

    lines, _, extra = CASCADES["vectors"]
    cascade = Cascade.parse(lines, {"M": 2, "K": 1, "L": 1}, **extra)
    machine = Architecture(
        name="plain",
        clock_hz=1e9,
        levels=(
            Memory(name="O"),
            Memory(name="B", capacity=Amount(1000)),
            Compute(name="C", energy_pj=dict.fromkeys(OPERATORS, 1.0)),
        ),
    )
    count, trees = whole_trees(dataflow(cascade), machine, {})
    assert count == len(set(trees)) == 2**3 + 3**3


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASCADES)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_no_tree_of_any_case_is_better(kind: str, seed: int) -> None:
    check(seed, 1500, kind)
