"""New prices: a set of counts says what a search would, for any energies, bandwidths, clock and leakage."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from strategies import law
from test_mapper_laws import CLOSE, Problem, problems

from einloom.arch.tree import UNLIMITED, Amount, Architecture, AxisRule, Compute, Fanout, Memory
from einloom.mapper import OBJECTIVES, labels, routes
from einloom.mapper.labels.counted import count_front
from einloom.mapper.sets import CountSet, from_data, to_data
from einloom.mappings import Nest
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.cascade import Cascade

MOST_LABELS = 2_000_000


def repriced(architecture: Architecture, draw: random.Random) -> Architecture:
    """The same machine at other prices: energies from nothing to much, rates from starving to plenty."""

    def energy() -> float:
        return draw.choice((0.0, 1.0)) if draw.random() < 0.1 else 10 ** draw.uniform(-2, 2)

    def rate(amount: Amount) -> Amount:
        return amount if amount == UNLIMITED else Amount(Fraction(2 ** draw.uniform(-2, 11)), amount.in_words)

    def level(each):
        if isinstance(each, Memory):
            return replace(
                each, read_energy_pj=energy(), write_energy_pj=energy(), bandwidth=rate(each.bandwidth),
                read_bandwidth=rate(each.read_bandwidth), write_bandwidth=rate(each.write_bandwidth),
                leakage_w=draw.choice((0.0, 1e-4, 1e-2)),
            )  # fmt: skip
        if isinstance(each, Fanout):
            return replace(each, link_energy_pj=energy() + 1e-3 if each.link_energy_pj else 0.0)
        assert isinstance(each, Compute)
        return replace(each, energy_pj={operator: energy() for operator in each.energy_pj})

    levels = tuple(level(each) for each in architecture.levels)
    return replace(architecture, levels=levels, clock_hz=10 ** draw.uniform(6, 10))


def set_for(problem: Problem) -> CountSet | None:
    """The set of counts, as a file would give it back."""
    architecture, einsum = problem.architecture, problem.einsum
    counted = count_front(architecture, architecture.paths()[0], einsum, architecture.rules_for(einsum), MOST_LABELS)
    return counted and from_data(json.loads(json.dumps(to_data(CountSet.of(counted, einsum, 1)))))


def assert_alike(
    counts: CountSet, problem: Problem, machine: Architecture, objective: str, search=labels.solve
) -> None:
    """What the set says is what a search finds, and what its nests cost."""
    path, rules = machine.paths()[0], machine.rules_for(problem.einsum)
    mine = counts.answer(counts.prices(machine, path, problem.einsum), objective, problem.einsum).front
    fresh = search(machine, path, problem.einsum, rules, objective).front
    fresh = [point for point, after in zip(fresh, [*fresh[1:], None], strict=True) if not _equal(point, after)]
    assert [point.cycles for point in mine] == pytest.approx([point.cycles for point in fresh], rel=CLOSE)
    assert [point.energy_pj for point in mine] == pytest.approx([point.energy_pj for point in fresh], rel=CLOSE)
    for point in mine:
        result = evaluate_nest(problem.einsum, machine, Nest(point.nodes))
        assert result.cycles == pytest.approx(point.cycles, rel=CLOSE)
        assert result.energy_pj == pytest.approx(point.energy_pj, rel=CLOSE)


def _equal(point, other) -> bool:
    """Whether two neighbours on a front differ by rounding only."""
    return other is not None and other.cycles == pytest.approx(point.cycles, rel=1e-12)


@law(problems(most=6), st.sampled_from(OBJECTIVES), st.integers(0, 2**32), share=0.5)
def test_a_set_says_what_a_search_finds(problem, objective, seed):
    counts = set_for(problem)
    assume(counts is not None and len(counts.nests))
    draw = random.Random(seed)
    for _ in range(4):
        assert_alike(counts, problem, repriced(problem.architecture, draw), objective)


@law(problems(most=6), st.integers(0, 2**32), share=0.5)
def test_no_nest_of_a_set_beats_another_in_every_count(problem, seed):
    counts = set_for(problem)
    assume(counts is not None and len(counts.nests) > 1)
    rows = [(*c, *load, step) for c, load, step in zip(counts.counts, counts.loads, counts.steps, strict=True)]
    chosen = random.Random(seed).choice(rows)
    assert sum(all(mine <= its for mine, its in zip(row, chosen, strict=True)) for row in rows) == 1


# -- the machine of the reference table, many prices


def weight_stationary(columns: str, rows: str, weight: str) -> Architecture:
    """256 PEs that hold a weight each, with 16 and 64 words a cycle from DRAM and buffer."""
    word = Fraction(8)
    return Architecture(name="ws", clock_hz=1e9, levels=(
        Memory(name="DRAM", word_bits=word, read_energy_pj=64.0, write_energy_pj=64.0, bandwidth=Amount(16 * word)),
        Memory(name="GLB", word_bits=word, capacity=Amount(131072 * word), read_energy_pj=2.0, write_energy_pj=2.0,
               bandwidth=Amount(64 * word)),
        Fanout(name="PE", axes={"X": 16, "Y": 16}, only={"X": AxisRule((columns,)), "Y": AxisRule((rows,))}),
        Memory(name="Reg", word_bits=word, capacity=Amount(64 * word), read_energy_pj=0.1, write_energy_pj=0.1,
               holds=(weight,)),
        Compute(name="MAC", energy_pj={"mul": 0.1, "add": 0.1}),
    ))  # fmt: skip


def problem_of(line: str, architecture: Architecture, **ranks: int) -> Problem:
    (einsum,) = Cascade.parse([line], ranks, bits={"default": Fraction(8)}).sized()
    return Problem(einsum, architecture)


def gemm(size: int) -> Problem:
    line = "Z[m,n] = sum{k}(A[m,k] * B[k,n])"
    return problem_of(line, weight_stationary("n", "k", "B"), M=size, N=size, K=size)


def convolution() -> Problem:
    line = "O[k,p,q] = sum{c,r,s}(I[c,p+r,q+s] * F[k,c,r,s])"
    return problem_of(line, weight_stationary("k", "c", "F"), K=128, C=128, P=28, Q=28, R=3, S=3)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_gemm_is_priced_on_some_machines(objective):
    hold(gemm(64), objective, 10)


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("problem", [gemm(1024), convolution()], ids=["gemm", "convolution"])
def test_a_thousand_machines_are_priced_from_one_set(problem, objective):
    hold(problem, objective, 1000)


def routed(architecture, path, einsum, rules, objective):
    """The search that a user gets."""
    return routes.answer(architecture, path, einsum, rules, objective, True, None).found


def hold(problem: Problem, objective: str, times: int) -> None:
    counts = set_for(problem)
    assert counts is not None
    draw = random.Random(0)
    for _ in range(times):
        assert_alike(counts, problem, repriced(problem.architecture, draw), objective, routed)


@pytest.mark.slow
def test_a_set_says_what_a_search_finds_thoroughly():
    test_a_set_says_what_a_search_finds.thorough()
