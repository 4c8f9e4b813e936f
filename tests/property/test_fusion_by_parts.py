"""The mapper of cascades equals the brute force whose parts add up: optima, ties, bounds of gaps, fronts.

`brute.fusion` holds an answer against every tree of a case, up to millions; `brute.fusion_trees` evaluates each tree of
smaller ones. ``python tests/brute/fuzz_fusion.py`` runs more of them, ``pytest -m slow`` many. The mapper's trees also
run in the reference executor.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brute.fusion import Point, Space, front_of
from brute.fusion_cases import CASCADES, Case, Verdict, brute_force, drawn, judged, mapped
from einloom.arch.tree import Amount, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings.nodes import Hold, Nodes, walk
from einloom.model.fused import evaluate_tree
from einloom.workloads.cascade import Cascade

QUICK = 60
"""Parts of trees that a quick case has at most."""
THOROUGH = 400
OPERATORS = ("mul", "add", "exp", "max", "sub")


def taken(kind: str, most: int, count: int, seed: int) -> list[tuple[Case, Verdict]]:
    """The first cases of a kind that are small enough."""
    found: list[tuple[Case, Verdict]] = []
    for number in itertools.count(seed):
        case = drawn(number, kind)
        verdict = judged(case, most, samples=2)
        if verdict.taken:
            found.append((case, verdict))
        if len(found) == count:
            return found
    raise AssertionError


def check(cases: list[tuple[Case, Verdict]]) -> None:
    print(f"{len(cases)} cases, {sum(verdict.trees for _, verdict in cases)} trees")
    for case, verdict in cases:
        assert verdict.trees > 0
        assert not verdict.wrong + verdict.ties, f"{case}\n  " + "\n  ".join(verdict.wrong + verdict.ties)


@pytest.mark.parametrize("kind", CASCADES)
def test_the_mapper_equals_the_brute_force(kind: str) -> None:
    check(taken(kind, QUICK, 1, seed=1000))


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASCADES)
def test_the_mapper_equals_the_brute_force_thoroughly(kind: str) -> None:
    check(taken(kind, THOROUGH, 10, seed=2000))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(10_000, 10**9), st.sampled_from(list(CASCADES)))
def test_the_mapper_equals_the_brute_force_on_any_case(seed: int, kind: str) -> None:
    verdict = judged(drawn(seed, kind), most=250, samples=2)
    assert not verdict.wrong + verdict.ties


# -- by hand


def small(lines: list[str], ranks: dict[str, int], *inner: object, words: int = 6, **parts: object) -> Case:
    """A cascade on an outermost memory, a buffer of some words, and one unit (or what ``inner`` says)."""
    head = (
        Memory(name="O", read_energy_pj=20.0, write_energy_pj=20.0, bandwidth=Amount(Fraction(32))),
        Memory(name="B", capacity=Amount(Fraction(16 * words)), read_energy_pj=3.0, write_energy_pj=3.0),
    )
    unit = () if inner and isinstance(inner[-1], Branches) else (compute("C"),)
    machine = Architecture(name="tiny", clock_hz=1e9, levels=(*head, *inner, *unit))  # type: ignore[arg-type]
    return Case("by hand", Cascade.parse(lines, ranks, **parts), machine)


def compute(name: str, energy: float = 1.0) -> Compute:
    return Compute(name=name, energy_pj=dict.fromkeys(OPERATORS, energy))


def registers(name: str, words: int, *holds: str) -> Memory:
    return Memory(name=name, capacity=Amount(Fraction(16 * words)), holds=holds or None)


TWICE = ["T[m] = exp(A[m])", "Z[m] = exp(T[m])"]
RESIDENT = registers("R", 2, "T")
SMALL = {
    "no registers": small(["T[m] = A[m] * 2", "Z[m] = sum{k}(T[m] * B[k])"], {"M": 2, "K": 2}),
    "registers": small(TWICE, {"M": 4}, RESIDENT, words=3),
    "an array": small(
        ["T[m] = sum{k}(A[m,k])", "Z[m] = exp(T[m])"], {"M": 2, "K": 2}, Fanout(name="PE", axes={"X": 2}), words=4
    ),
    "drains": small(
        ["T[m] = sum{k}(A[m,k])", "Z[m] = exp(T[m])"], {"M": 2, "K": 2},
        Fanout(name="PE", axes={"X": 2}, hop_cycles=2), words=4,
    ),
    "a recurrence": small(["T[g] = exp(A[g])", "S[g+1] = S[g] + T[g]"], {"G": 2}, RESIDENT, words=3, init={"S": 0.0}),
    "two units": small(TWICE, {"M": 3}, Branches(((compute("C1"),), (RESIDENT, compute("C2", 0.0)))), words=3),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_parts_add_up_to_every_tree(name: str) -> None:
    """The front of all trees is that of `evaluate_tree` on each of them."""
    case = SMALL[name]
    names = tuple(einsum.name for einsum in case.cascade.sized())
    space = Space(case.cascade, case.architecture, names, most=10_000)
    front = space.front(Random(0), samples=20)
    expected, count = by_evaluation(space)
    assert space.trees == count
    assert [(p.energy, p.cycles) for p in front] == [(p.energy, p.cycles) for p in expected]


def by_evaluation(space: Space) -> tuple[list[Point], int]:
    points: list[Point] = []
    count = 0
    for nodes in every_tree(space):
        count += 1
        try:
            fused = evaluate_tree(space.cascade, space.architecture, nodes)
        except MappingError:
            continue
        energy = sum(e.energy_pj for e in fused.einsums.values()) + fused.streamed.leakage_pj
        points = front_of([*points, Point(energy, float(fused.streamed.cycles), nodes)])
    return points, count


def every_tree(space: Space) -> Iterator[Nodes]:
    """All trees of a group that is the whole cascade, on a machine without rules for the buffer."""
    schedules = ("sequential",) if len(space.units) == 1 else ("sequential", "pipelined")
    for shared in space.nests:
        depths = [[None, *range(len(shared) + 1)] for _ in space.boundary]
        tile = space.inside(shared, len(shared))
        for residents in space.resident_choices(shared):
            nests = [space.nests_below(e, tile, residents) for e in space.einsums]
            for chosen in itertools.product(*nests):
                alike = all(len({chosen[i].layout for i in cluster}) == 1 for cluster in space.clusters(residents))
                for at in itertools.product(*depths) if alike else ():
                    held = dict(zip(space.boundary, at, strict=True))
                    for schedule in schedules:
                        yield space.tree(shared, held, residents, [option.nodes for option in chosen], schedule)


def test_a_case_by_hand() -> None:
    """Z = exp(exp(A)), 4 elements, nothing but O and a buffer of 3 words that may hold what it likes.

    A is read from O once and Z is written there once (4 x 20 each); T is written and read in the buffer (4 x 3 each);
    8 operations of 1 pJ. Through the buffer A or Z would cost more. The port of O moves two words a cycle and is not
    what the 8 operations wait for. T has 4 words: it fits the buffer only below a loop over m.
    """
    case = small(TWICE, {"M": 4}, words=3)
    (best,) = brute_force(case).front
    assert (best.energy, best.cycles) == (4 * 20 * 2 + 4 * 3 * 2 + 8, 8)
    _, (tree,) = mapped(case, "energy")
    assert (tree.energy_pj, tree.cycles, tree.proof) == (best.energy, best.cycles, "optimal")


def test_residents_are_better_where_registers_cost_nothing() -> None:
    case = small(TWICE, {"M": 4}, RESIDENT)
    without = brute_force(case, residents=False).front[0]
    best = brute_force(case).front[0]
    assert (without.energy, best.energy) == (4 * 20 * 2 + 4 * 3 * 2 + 8, 4 * 20 * 2 + 8)
    _, (tree,) = mapped(case, "energy")
    assert tree.energy_pj == best.energy
    held = {t for node in walk(tree.nodes) if isinstance(node, Hold) and node.memory == "R" for t in node.tensors}
    assert held == {"T"}


# -- found by trial


def test_links_to_residents() -> None:
    """T stays in the registers; below a loop over m they can keep B too: one word fewer over the link."""
    array = Fanout(name="PE", axes={"X": 2}, link_energy_pj=1.0)
    lines = ["T[m,n] = A[m] * B[n]", "Y[m] = sum{n}(T[m,n])", "Z[n] = max{m}(T[m,n])"]
    case = small(lines, {"M": 2, "N": 1}, array, registers("R", 2))
    check([(case, judged(case, objectives=["energy"]))])


def test_products_beside_overlapped_ones() -> None:
    """Overlapped without its ramp: fewer cycles than any tree really takes, so that the real ones beside it are cut."""
    units = tuple((registers(f"R{n}", 2), compute(f"C{n}")) for n in (1, 2))
    case = small(["T[m] = exp(A[m])", "Z[] = sum{m}(T[m])"], {"M": 2}, Branches(units), words=2)
    assert [(p.energy, p.cycles) for p in brute_force(case).front] == [(76.0, 3.0), (64.0, 4.0)]
    check([(case, judged(case, objectives=["edp"]))])
