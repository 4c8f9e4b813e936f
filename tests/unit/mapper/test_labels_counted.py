"""Sets of counts hold the best mapping for any prices and bandwidths: what a fresh search finds."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest

import einloom
from einloom.arch.tree import Memory
from einloom.mapper.found import OBJECTIVES
from einloom.mapper.labels import solve
from einloom.mapper.labels.counted import count_front
from einloom.mapper.sets import CountSet
from einloom.mappings import Nest
from einloom.model.evaluate import evaluate_nest

CASES = {
    "GEMM": ("Z[m,n] = sum{k}(A[m,k] * B[k,n])", {"M": 4, "N": 6, "K": 4}),
    "convolution": ("O[k,p] = sum{c,r}(I[c,2*p+r] * F[k,c,r])", {"K": 2, "C": 2, "P": 4, "R": 3}),
    "elementwise": ("Z[m,n] = A[m,n] + B[m,n]", {"M": 4, "N": 6}),
}
ARCHITECTURE = {
    "name": "small", "clock": "1 GHz",
    "levels": [
        {"memory": "DRAM", "read_energy": "8 pJ", "write_energy": "9 pJ", "bandwidth": "2 words/cycle", "word": "8 b"},
        {"memory": "GLB", "capacity": "12 B", "read_energy": "1 pJ", "write_energy": "1 pJ", "word": "8 b",
         "read_bandwidth": "32 b/cycle", "write_bandwidth": "24 b/cycle"},
        {"fanout": "PE", "axes": {"X": 4}, "link_energy": "0.5 pJ"},
        {"memory": "Reg", "capacity": "3 B", "read_energy": "0.1 pJ", "write_energy": "0.1 pJ", "word": "8 b"},
        {"compute": "MAC", "energy": {"mul": "0.2 pJ", "add": "0.1 pJ"}},
    ],
}  # fmt: skip


def loaded(case):
    line, ranks = CASES[case]
    workload = {"name": "w", "ranks": ranks, "bits": {"default": 8}, "cascade": [line]}
    design = einloom.load({"version": 1, "workload": workload, "architecture": ARCHITECTURE})
    (einsum,) = design.workload.cascades[0].sized()
    return einsum, design.architecture


def with_other_prices(architecture, draw):
    """The same levels at other energies and rates."""
    levels = (priced(level, draw) if isinstance(level, Memory) else level for level in architecture.levels)
    return replace(architecture, levels=tuple(levels))


def priced(memory, draw):
    energies = {f"{kind}_energy_pj": draw.choice([0, 0.1, 1, 10]) * draw.random() for kind in ("read", "write")}
    rates = {
        name: replace(rate, value=Fraction(draw.randint(1, 99), 7))
        for name in ("bandwidth", "read_bandwidth", "write_bandwidth")
        if (rate := getattr(memory, name)).value != float("inf")
    }
    return replace(memory, **energies, **rates)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
def test_the_best_of_a_set_is_the_best_there_is(case, objective):
    einsum, architecture = loaded(case)
    (path,) = architecture.paths()
    rules = architecture.rules_for(einsum)
    counted = count_front(architecture, path, einsum, rules)
    counts = CountSet.of(counted, einsum, 0)
    draw = random.Random(7)
    for _ in range(4):
        other = with_other_prices(architecture, draw)
        (path,) = other.paths()

        fresh = solve(other, path, einsum, rules, objective).front
        again = counts.best(counts.prices(other, path, einsum), objective)

        assert [values for _, *values in again] == [
            pytest.approx([candidate.energy_pj, candidate.cycles], rel=1e-9) for candidate in fresh
        ]


@pytest.mark.parametrize("case", CASES)
def test_every_nest_of_a_set_has_its_counts(case):
    einsum, architecture = loaded(case)
    (path,) = architecture.paths()
    counted = count_front(architecture, path, einsum, architecture.rules_for(einsum))
    counts = CountSet.of(counted, einsum, 0)
    energy, cycles = counts.costs(counts.prices(architecture, path, einsum))

    for nodes, pj, took in zip(counted.nests, energy, cycles, strict=True):
        result = evaluate_nest(einsum, architecture, Nest(nodes))
        assert (result.energy_pj, float(result.cycles)) == pytest.approx((pj, took), rel=1e-9)


def test_past_its_limit_the_count_gives_up():
    einsum, architecture = loaded("GEMM")
    (path,) = architecture.paths()

    assert count_front(architecture, path, einsum, architecture.rules_for(einsum), limit=50) is None
