"""The mapper equals the brute force: energy, latency and EDP optima, ties, and whole fronts.

`brute` enumerates and executes every nest of a small case; ``python tests/brute/fuzz.py`` runs more of them. A part is
run always, ``pytest -m slow`` runs the number of cases that the mapper is held to.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import pytest

from brute import compare, draw, slowly
from brute.bridge import UNITS_PER_PJ, architecture_of, einsum_of, nest_of
from brute.case import Case, Spread, Store
from brute.force import solve
from einloom.model.evaluate import evaluate_nest
from einloom.model.reference import execute

QUICK = {"gemm": 25, "clipped": 12, "conv1d": 10, "conv2d": 3, "conv1d-clipped": 4, "conv2d-clipped": 3}
THOROUGH = {"gemm": 500, "clipped": 300, "conv1d": 300, "conv2d": 100, "conv1d-clipped": 60, "conv2d-clipped": 40}
SEQUENCES = 2_000
"""That a quick case has at most."""

KNOWN_ABOVE = 0.03
"""Part of the clipped cases in which a nest that product counts miss may be better (2 of 760 GEMMs were known)."""


def check(kind: str, cases: int, seed: int, most: int) -> None:
    """Cases of a kind against the mapper; how many clipped ones are above the best nest is printed."""
    wrong, above = [], []
    for name, case, answer in compare.drawn(kind, cases, seed, most):
        verdict = compare.judged(case, answer, compare.mapper)
        wrong += [f"{name}: {case}\n  {text}" for text in verdict.wrong]
        above += [name] if verdict.above else []
    print(f"{kind}: {cases} cases, {len(wrong)} answers wrong, {len(above)} cases above the best clipped nest: {above}")
    assert not wrong, "\n".join(wrong[:3])
    assert len(above) <= 1 + KNOWN_ABOVE * cases


@pytest.mark.parametrize("kind", QUICK)
def test_the_mapper_equals_the_brute_force(kind):
    check(kind, QUICK[kind], seed=0, most=SEQUENCES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", THOROUGH)
def test_the_mapper_equals_the_brute_force_thoroughly(kind):
    check(kind, THOROUGH[kind], seed=1, most=20_000)


# -- published cases


def gemm(sizes, glb, reg, axes, prices, rates, perfect) -> Case:
    """C = A * B; prices of DRAM, GLB, Reg and a MAC in 0.1 pJ."""
    dram, buffer, register, mac = prices
    levels = (
        Store("DRAM", dram, dram, None, rates[0]), Store("GLB", buffer, buffer, glb, rates[1]), Spread("PE", axes),
        Store("Reg", register, register, reg),
    )  # fmt: skip
    return Case(dict(zip("mnk", sizes, strict=True)), draw.GEMM, levels, mac, perfect)


STATIONARY = gemm((2, 8, 2), 3, 2, (1, 3), (100, 30, 7, 2), (1, 2), True)
"""A stays in the registers over a loop outside the GLB tile of B: 5356 at 36; ordinary templates find 5516 at 52.
Published with the reference algorithm, prices left out; these are the ones that give both numbers."""

REMAINDERS = {
    "k split around m": (gemm((2, 2, 5), 8, 2, (1, 2), (300, 1, 1, 1), (4, 2), False), 9722, 10, 10_260),
    "n split around m": (gemm((3, 3, 2), 5, 2, (1, 3), (640, 20, 1, 2), (2, 2), False), 17_778, 13.5, 17_826),
}
"""Published: energy, cycles, and the energy by product counts. A rank is split around a loop that a tensor does not
have; in its last, clipped part the tensor stays. No product of visits counts that."""


def test_a_tensor_stays_in_registers_over_a_loop_outside_a_buffer():
    best = solve(STATIONARY).energy
    assert (best.energy, best.cycles) == (5356, 36)
    (found,) = compare.mapper(einsum_of(STATIONARY), architecture_of(STATIONARY), "energy", True)
    assert (found.energy, found.cycles) == (pytest.approx(5356), 36)


@pytest.mark.parametrize("name", REMAINDERS)
def test_the_brute_force_finds_the_published_remainders(name):
    case, energy, cycles, _ = REMAINDERS[name]
    assert (energy, cycles) in {(point.energy, point.cycles) for point in solve(case).front}


@pytest.mark.parametrize("name", REMAINDERS)
def test_the_mapper_may_miss_the_published_remainders_but_nothing_else(name):
    """A known difference: at these cycles the front is at the brute force's energy, or at that of product counts."""
    case, energy, cycles, by_products = REMAINDERS[name]
    front = compare.mapper(einsum_of(case), architecture_of(case), "pareto", False)
    at_most = min(found.energy for found in front if found.cycles <= cycles * (1 + compare.CLOSE))
    assert energy * (1 - compare.CLOSE) <= at_most <= by_products * (1 + compare.CLOSE)


@pytest.mark.slow
def test_the_third_published_remainder_is_the_best_energy():
    """88620 where product counts have 88872; too large to enumerate: a part, and the published nest by hand."""
    case = gemm((7, 7, 4), 24, 3, (2, 2), (640, 20, 1, 2), (2, 2), False)
    nest = "n2|GLB:B|X.k2|Y.k2|m4|Reg:A|n6|m2|Reg:B"
    assert slowly.walk(case, written(nest)).energy == 88_620
    assert solve(case, most=20_000).energy.energy == 88_620
    (found,) = compare.mapper(einsum_of(case), architecture_of(case), "energy", False)
    assert 88_620 * (1 - compare.CLOSE) <= found.energy <= 88_872 * (1 + compare.CLOSE)


def written(nest: str):
    """``n2|GLB:B|X.k2``: what the reference pages write."""
    nodes = [("hold", "DRAM", name) for name in "ZAB"]
    for text in nest.split("|"):
        if ":" in text:
            nodes.append(("hold", *text.split(":")))
        elif "." in text:
            nodes.append(("spatial", "PE", text[0], text[2], int(text[3:])))
        else:
            nodes.append(("for", text[0], int(text[1:])))
    return tuple(nodes)


# -- the brute force itself


def small(seed: int, most: int, points: int) -> Case:
    """Kinds in turn, perfect and clipped, windows or none."""
    rng = Random(seed)
    products = draw.GEMM if rng.random() < 0.5 else rng.choice(draw.OTHERS)
    tensors = (products, draw.line(rng), draw.plane(rng))[seed % 3]
    return draw.case_of(rng, tensors, most, points, perfect=seed % 2 == 0)


def tiny_cases(count: int, nests: int):
    numbered = ((seed, small(seed, 4, 8)) for seed in itertools.count())
    return list(itertools.islice((case for _, case in numbered if solve(case, composite=True).nests <= nests), count))


def costs(answer):
    return [(point.cycles, point.energy) for point in answer.front]


def agree_with_the_slow_walk(count: int, nests: int) -> None:
    for case in tiny_cases(count, nests):
        assert costs(solve(case)) == slowly.front(case), str(case)


def test_the_compiled_brute_force_equals_the_slow_one():
    agree_with_the_slow_walk(count=10, nests=120)


@pytest.mark.slow
def test_the_compiled_brute_force_equals_the_slow_one_thoroughly():
    agree_with_the_slow_walk(count=60, nests=3000)


def test_short_cuts_and_prime_bounds_leave_out_nothing():
    for seed in range(30):
        case = small(seed, 5, 16)
        whole = solve(case, composite=True, plain=True, most=200)
        if whole.complete:
            assert costs(solve(case)) == costs(whole), str(case)


def roomy(case: Case) -> Case:
    levels = (replace(x, capacity=None) if isinstance(x, Store) else x for x in case.levels)
    return replace(case, levels=tuple(levels))


def test_a_nest_costs_in_the_brute_force_what_it_costs_in_the_model():
    """Also in the reference executor, which walks it with sets of coordinates of its own."""
    for seed in range(36):
        case = roomy(small(seed, 4, 24))
        nodes = slowly.any_nest(case, Random(seed))
        walked = slowly.walk(case, nodes)
        einsum, architecture, nest = einsum_of(case), architecture_of(case), nest_of(nodes)
        result = evaluate_nest(einsum, architecture, nest)
        assert float(result.cycles) == pytest.approx(float(walked.cycles)), str(case)
        assert result.energy_pj * UNITS_PER_PJ == pytest.approx(walked.energy), str(case)
        executed = execute(einsum, architecture.path_to("MAC"), nest.nodes)
        prices = {store.name: store for store in case.stores}
        moved = sum(
            count.reads * prices[memory].read + count.writes * prices[memory].write
            for (memory, _), count in executed.counts.items()
        )
        assert moved + case.mac * case.points == walked.energy, str(case)


def test_the_best_nests_cost_in_the_model_what_they_cost_in_the_brute_force():
    for kind in draw.KINDS:
        for name, case, answer in compare.drawn(kind, 4, seed=2, most=SEQUENCES):
            for point in answer.front:
                result = evaluate_nest(einsum_of(case), architecture_of(case), nest_of(point.nest))
                assert float(result.cycles) == pytest.approx(float(point.cycles)), name
                assert result.energy_pj * UNITS_PER_PJ == pytest.approx(point.energy), name
