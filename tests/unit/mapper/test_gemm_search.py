"""The search for GEMM-like Einsums: known optima, what it takes and refuses, proofs, bounds at a deadline."""

import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from einloom.arch.rules import EinsumRules
from einloom.arch.timing import TimingLaw
from einloom.arch.tree import Amount, Architecture, AxisRule, Compute, Fanout, Memory
from einloom.mapper.gemm import solve
from einloom.mapper.gemm.best import Best
from einloom.mapper.gemm.classes import visit_classes
from einloom.mapper.gemm.floats import search_floating
from einloom.mapper.gemm.leaf import search_leaf
from einloom.mapper.gemm.problem import problem_of
from einloom.mapper.gemm.tables import RECIPE, scratch_for
from einloom.mappings import Nest
from einloom.mappings.text import parse_node
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.sized import Access, SizedEinsum, Work


def memory(name, energy, capacity=None, rate=None, **more):
    limits = {} if capacity is None else {"capacity": Amount(Fraction(capacity * 8))}
    limits |= {} if rate is None else {"bandwidth": Amount(Fraction(rate * 8))}
    prices = {"read_energy_pj": energy, "write_energy_pj": energy, "word_bits": Fraction(8)}
    return Memory(name=name, **{**prices, **limits, **more})


def machine(
    glb=131072, reg=64, axes=(16, 16), prices=(64, 2, 0.1, 0.2), rates=(16, 64), only=None, glb_more=None, **more
):
    """``peer16``, or smaller; ``more`` goes to the registers."""
    sides = dict(zip("XY", axes, strict=False))
    rules = {axis: AxisRule(variables=ranks) for axis, ranks in (only or {}).items()}
    levels = (
        memory("DRAM", prices[0], rate=rates[0]),
        memory("GLB", prices[1], glb, rates[1]),
        Fanout(name="PE", axes=sides, only=rules),
        memory("Reg", prices[2], reg, **more),
        Compute(name="MAC", energy_pj={"mac": prices[3]}),
    )
    return Architecture(name="peer", clock_hz=1e9, levels=levels)


STATIONARY = {"only": {"X": ("n",), "Y": ("k",)}, "holds": ("B",)}


def product(sizes, output="mn", left="mk", right="kn"):
    def access(name, ranks, role):
        return Access(name, tuple(((rank, 1),) for rank in ranks), role, Fraction(8), workload_output=role == "output")

    tensors = (access("Z", output, "output"), access("A", left, "input"), access("B", right, "input"))
    return SizedEinsum("Z", sizes, tensors, (Work("mac", frozenset(sizes)),))


def gemm(m, n, k):
    return product({"m": m, "n": n, "k": k})


def search(architecture, einsum, objective="energy", perfect=True, deadline=None, rules=None):
    (path,) = architecture.paths()
    rules = architecture.rules_for(einsum) if rules is None else rules
    return solve(architecture, path, einsum, rules, objective, perfect, deadline)


def checked(architecture, einsum, objective="energy", perfect=True):
    """(energy in mJ, cycles) of each answer, evaluated anew."""
    found = search(architecture, einsum, objective, perfect)
    assert found.complete
    for candidate in found.front:
        result = evaluate_nest(einsum, architecture, Nest(candidate.nodes))
        assert result.energy_pj <= candidate.energy_pj * (1 + 1e-9)
        assert result.cycles <= candidate.cycles * (1 + 1e-9)
        if perfect:
            assert result.energy_pj == pytest.approx(candidate.energy_pj, rel=1e-9)
            assert result.cycles == pytest.approx(candidate.cycles, rel=1e-9)
    return [(candidate.energy_pj / 1e9, candidate.cycles) for candidate in found.front]


# -- known optima: the reference prototypes and AccelForge (perfect), the reference prototype in C (clipped)


@pytest.mark.parametrize("objective", ["energy", "latency", "edp", "pareto"])
def test_gemm_1024_has_one_best_mapping(objective):
    assert checked(machine(), gemm(1024, 1024, 1024), objective) == [(pytest.approx(1.03704, rel=1e-5), 4_194_304)]


def test_known_perfect_optima():
    assert checked(machine(), gemm(4096, 4096, 4096)) == [(pytest.approx(63.1494, rel=1e-6), 268_435_456)]
    assert checked(machine(), gemm(1000, 768, 3072)) == [(pytest.approx(2.131093, rel=1e-6), 9_216_000)]
    scores = product({"b": 64, "h": 12, "m": 1024, "n": 1024, "e": 64}, "bhmn", "bhme", "bhne")
    assert checked(machine(), scores) == [(pytest.approx(79.669966, rel=1e-7), 201_326_592)]


def test_known_weight_stationary_optima():
    stationary = machine(**STATIONARY)
    assert checked(stationary, gemm(1024, 1024, 1024)) == [(pytest.approx(1.33756, rel=1e-5), 4_194_304)]
    assert checked(stationary, gemm(4096, 4096, 4096)) == [(pytest.approx(82.3828, rel=1e-6), 268_435_456)]
    clipped = checked(stationary, gemm(1021, 1021, 1021), perfect=False)
    assert clipped == [(pytest.approx(1.193178, rel=1e-6), 4_182_016)]


CLIPPED = {
    (1021, 1021, 1021): (1.0032452, 4_857_918, 1.0201328, 4_190_184, 7),
    (197, 768, 3072): (0.4504944, 1_843_920, 0.4505549, 1_820_280, 3),
    (1000, 768, 3072): (2.0804764, 9_934_848, 2.1310931, 9_216_000, 3),
    (4095, 4097, 127): (2.1314331, 8_517_663, 2.1325778, 8_394_753, 10),
    (49, 512, 2048): (0.0966068, 200_704, 0.0966068, 200_704, 1),
}


@pytest.mark.parametrize("sizes", CLIPPED)
def test_known_clipped_optima(sizes):
    energy, cycles, edp_energy, edp_cycles, points = CLIPPED[sizes]
    einsum = gemm(*sizes)
    assert checked(machine(), einsum, "energy", False) == [(pytest.approx(energy, rel=1e-6), cycles)]
    assert checked(machine(), einsum, "edp", False) == [(pytest.approx(edp_energy, rel=1e-6), edp_cycles)]
    front = checked(machine(), einsum, "pareto", False)
    assert len(front) == points
    assert front[-1] == (pytest.approx(energy, rel=1e-6), cycles)


def test_a_tensor_may_float_above_a_hold_of_the_buffer():
    """Energies in 0.1 pJ; 5516 at 52 without floating."""
    small = machine(3, 2, (1, 3), (10, 3, 0.7, 0.2), (1, 2))
    found = checked(small, gemm(2, 8, 2))
    assert found == [(pytest.approx(5356e-10), 36)]


# -- product counts of clipped nests may exceed the exact ones: known differences


REMAINDERS = {
    "k split around m": (
        (2, 2, 5), (8, 2, (1, 2), (30, 0.1, 0.1, 0.1), (4, 2)), 9722, 10_260, 10,
        "for k in 2; GLB holds Z; for m in 2; for k in 2; spatial PE.Y n in 2; for k in 2; Reg holds B, Z",
    ),
    "n split around m": (
        (3, 3, 2), (5, 2, (1, 3), (64, 2, 0.1, 0.2), (2, 2)), 17_778, 17_826, 14,
        "for m in 2; for n in 2; GLB holds A; for n in 2; for m in 2; spatial PE.Y k in 2; Reg holds A, B",
    ),
    "n around m around n": (
        (7, 7, 4), (24, 3, (2, 2), (64, 2, 0.1, 0.2), (2, 2)), 88_620, 88_872, math.inf,
        "for n in 2; GLB holds B; spatial PE.X k in 2; spatial PE.Y k in 2; for m in 4; Reg holds A; for n in 6; "
        "for m in 2; Reg holds B",
    ),
}  # fmt: skip
"""Sizes, machine, exact energy of the nest and least energy by product counts (0.1 pJ) at so many cycles, the nest."""


@pytest.mark.parametrize("name", REMAINDERS)
def test_a_tile_that_stays_in_a_last_part_is_a_known_difference(name):
    sizes, parts, exact, by_products, limit, nest = REMAINDERS[name]
    einsum, architecture = gemm(*sizes), machine(*parts)
    nodes = tuple(parse_node(line) for line in f"DRAM holds Z, A, B; {nest}; MAC".split("; "))
    assert evaluate_nest(einsum, architecture, Nest(nodes)).energy_pj == pytest.approx(exact / 10)
    front = search(architecture, einsum, "pareto", False).front
    assert min(c.energy_pj for c in front if c.cycles <= limit) == pytest.approx(by_products / 10)


# -- the same kernels without any box


@pytest.mark.parametrize("seed", range(12))
def test_boxes_leave_out_nothing(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 14, 3).tolist()
    small = machine(int(rng.integers(3, 60)), int(rng.integers(1, 9)), rng.integers(1, 5, 2).tolist(), rates=(1, 2))
    einsum = gemm(*sizes)
    for perfect, objective in itertools.product((True, False), ("energy", "latency", "edp")):
        (path,) = small.paths()
        problem = problem_of(small, path, einsum, small.rules_for(einsum), perfect)
        (found,) = search(small, einsum, objective, perfect).front
        number = ("energy", "latency", "edp").index(objective)
        points = list(points_of_all_leaves(problem.tables, number))
        key = (lambda e, c: e, lambda e, c: c, lambda e, c: e * c)[number]
        assert key(found.energy_pj, found.cycles) == pytest.approx(min(key(*point) for point in points), rel=1e-9)


def points_of_all_leaves(tables, objective):
    """The best point of every leaf, each searched by itself."""
    scratch = scratch_for(tables)
    classes = [range(tables.start[r], tables.start[r + 1]) for r in range(3)]
    for family, *chosen in itertools.product(range(4), *classes):
        best = Best(np.zeros((1, 4)), np.zeros((1, RECIPE), np.int64), np.zeros(2, np.int64))
        sides = tuple(np.array([side[i] for i in chosen]) for side in (tables.least, tables.most, tables.visits))
        if family:
            search_floating(tables, objective, family - 1, sides, 0, len(tables.vectors), best, scratch)
        else:
            search_leaf(tables, objective, sides, 0, len(tables.vectors), best, scratch)
        if best.counts[0]:
            yield tuple(best.points[0, :2])


# -- what it takes


def test_missing_levels_and_missing_ranks_are_fine():
    full = machine(12, 4, (2, 2))
    outer, glb, array, reg, mac = full.levels
    vector, outer_product = product({"m": 6, "k": 8}, "m", "mk", "k"), product({"m": 6, "n": 4}, "mn", "m", "n")
    elementwise = product({"m": 9}, "m", "m", "m")
    for levels in ((outer, glb, array, mac), (outer, array, reg, mac), (outer, glb, mac)):
        architecture = Architecture(name="less", clock_hz=1e9, levels=levels)
        for einsum in (gemm(6, 4, 8), vector, outer_product, elementwise):
            for perfect in (True, False):
                assert checked(architecture, einsum, "energy", perfect)


def test_two_inner_memories_with_no_array_between_are_for_the_label_search():
    """A hold of the inner may stand above one of the outer there, which visit classes do not know."""
    outer, glb, _, reg, mac = machine(12, 4, (2, 2)).levels
    architecture = Architecture(name="stacked", clock_hz=1e9, levels=(outer, glb, reg, mac))
    assert search(architecture, gemm(6, 4, 8), "energy", True) is None


def test_ranks_of_one_class_are_split_again_when_printed():
    einsum = product({"a": 4, "b": 6, "n": 4, "k": 6}, "abn", "abk", "kn")
    assert checked(machine(40, 8, (3, 4)), einsum, "pareto", True)
    assert search(machine(40, 8, (3, 4)), einsum, perfect=False) is None


@pytest.mark.parametrize(
    "einsum",
    [
        product({"m": 4, "k": 4, "n": 4}, "m", "mk", "kn"),  # n is in one tensor only
        SizedEinsum("Z", {"m": 4, "r": 2}, (
            Access("Z", ((("m", 1),),), "output", Fraction(8)),
            Access("A", ((("m", 1), ("r", 1)),), "input", Fraction(8)),
            Access("B", ((("r", 1),),), "input", Fraction(8)),
        ), (Work("mac", frozenset("mr")),)),  # a window
        SizedEinsum("Z", {"m": 4, "k": 4}, gemm(4, 4, 4).accesses[:2], (Work("mac", frozenset("mk")),)),
        SizedEinsum("Z", {"m": 4, "n": 4, "k": 4}, gemm(4, 4, 4).accesses, (Work("mac", frozenset("mk")),)),
    ],
)  # fmt: skip
def test_other_einsums_are_refused(einsum):
    assert search(machine(), einsum) is None


def test_other_machines_are_refused():
    class Slow(TimingLaw):
        pass

    outer, glb, array, reg, mac = machine().levels
    alone = Fanout(name="PE", axes={"X": 4}, multicast=False)
    for levels in ((outer, array, glb, reg, mac), (outer, glb, alone, reg, mac), (outer, glb, reg, array, mac)):
        assert search(Architecture(name="other", clock_hz=1e9, levels=levels), gemm(4, 4, 4)) is None
    law = Architecture(name="law", clock_hz=1e9, levels=machine().levels, timing=Slow())
    assert search(law, gemm(4, 4, 4)) is None
    assert search(machine(), gemm(4, 4, 4), rules=EinsumRules(whole=frozenset("m"))) is None


# -- what it says


def test_where_nothing_fits_the_memory_is_named():
    found = search(machine(reg=2, holds=("A", "B", "Z")), gemm(4, 4, 4))
    assert not found.front
    assert found.smallest == {"Reg": (24.0, 16.0)}


def test_the_bound_at_a_deadline_is_below_the_optimum():
    einsum = gemm(16381, 16381, 16381)
    found = search(machine(), einsum, perfect=False, deadline=0.0)
    best = search(machine(), einsum, perfect=False)
    assert found.front
    assert not found.complete
    assert best.complete
    assert 0 < found.bound <= best.front[0].energy_pj <= found.front[0].energy_pj
    assert found.costed <= found.candidates


def test_leakage_makes_fast_mappings_cheap():
    einsum = gemm(1021, 1021, 1021)
    leaking = machine(leakage_w=1e-3)
    (slow,), (fast,) = (search(m, einsum, perfect=False).front for m in (machine(), leaking))
    assert fast.cycles < slow.cycles
    result = evaluate_nest(einsum, leaking, Nest(fast.nodes))
    assert result.energy_pj == pytest.approx(fast.energy_pj)


@pytest.mark.parametrize("perfect", [True, False])
def test_visit_classes_partition_the_tiles(perfect):
    for extent in (1, 2, 3, 12, 97, 360):
        classes = visit_classes(extent, perfect)
        tiles = [u for u in range(1, extent + 1) if not perfect or extent % u == 0]
        assert classes.visits.tolist() == sorted({math.ceil(extent / u) for u in tiles})
        for visits, least, most in zip(classes.visits, classes.least, classes.most, strict=True):
            inside = [u for u in tiles if math.ceil(extent / u) == visits]
            assert (least, most) == (inside[0], inside[-1])


def test_the_command_line_does_not_import_numba():
    code = "import sys, einloom.cli; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
