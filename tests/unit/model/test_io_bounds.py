"""I/O lower bounds: the published numbers, what they must never pass, and where they apply."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from einloom.catalogue import find
from einloom.mapper.two_level import least_traffic_bits
from einloom.model.io_bounds import (
    attention_order_elements,
    consumed_product_elements,
    io_bounds,
    matrix_product_elements,
    touched_elements,
)
from einloom.model.products import attentions, matrix_products
from einloom.model.ski_slope import OPERANDS, ski_slope
from einloom.spec.workload import read_workload
from einloom.workloads import Cascade, Einsum, Workload

GEMM = ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]
ATTENTION = [
    "QK[h,p,m] = sum{e}(Q[h,p,e] * K[h,m,e])",
    "SN[h,p,m] = exp(QK[h,p,m])",
    "SD[h,p] = sum{m}(SN[h,p,m])",
    "SNV[h,p,f] = sum{m}(SN[h,p,m] * V[h,m,f])",
    "AV[h,p,f] = SNV[h,p,f] / SD[h,p]",
]


def gemm(m, n, k, **parts):
    return Cascade.parse(GEMM, {"M": m, "N": n, "K": k}, **parts)


def test_the_matrix_product_bound_is_that_of_smith_et_al():
    """2 m n k / sqrt(S) - 2 S, abstract of arXiv 1702.02017v1."""
    assert matrix_product_elements(1024**3, 4096) == 2 * 1024**3 / 64 - 8192
    assert matrix_product_elements(8, 10**6) == 0


def test_a_resident_operand_beats_two_mnk_over_root_s_plus_mn():
    """Why m n is not added: A stays (100), a column of B (10) and one sum pass through; S = 111."""
    m, n, k, size = 10, 1000, 10, 111
    moved = m * k + k * n + m * n
    assert moved == 20100
    assert matrix_product_elements(m * n * k, size) <= moved < 2 * m * n * k / math.sqrt(size) + m * n


@pytest.mark.parametrize("shape", [(16, 16, 16), (7, 30, 12), (64, 2, 32), (10, 100, 10)])
@pytest.mark.parametrize("words", [2, 5, 12, 40, 111, 300])
def test_no_mapping_passes_the_bound(shape, words):
    cascade = gemm(*shape, bits={"default": Fraction(8)})
    (einsum,) = cascade.sized()
    found = least_traffic_bits(einsum, Fraction(8 * words))
    assert found is not None
    bounds = io_bounds(cascade, Fraction(8 * words), beside=OPERANDS)
    assert bounds.least_bits == bounds.separate_bits <= found[0]
    assert found[1] == 0


def test_the_best_mapping_of_a_large_product_is_near_the_bound():
    cascade = gemm(256, 256, 256)
    found = least_traffic_bits(cascade.sized()[0], Fraction(16 * 1100))
    assert found is not None
    assert found[0] / io_bounds(cascade, Fraction(16 * 1100), beside=OPERANDS).least_bits < 1.12


def test_a_batch_multiplies_the_leading_term_and_pays_two_s_once():
    cascade = Cascade.parse(["Z[h,m,n] = sum{k}(A[h,m,k] * B[h,k,n])"], {"H": 6, "M": 20, "N": 30, "K": 40})
    (product,) = matrix_products(cascade)
    assert (product.batch, product.m, product.n, product.k, product.points) == (6, 20, 30, 40, 144000)
    bound = io_bounds(cascade, 16 * 100).bounds[1]
    assert bound.elements == 2 * 144000 / 10 - 200


@pytest.mark.parametrize("size", [4, 64, 1024])
def test_a_batch_is_never_cheaper_than_what_one_buffer_can_do(size):
    cascade = Cascade.parse(["Z[h,m,n] = sum{k}(A[h,m,k] * B[h,k,n])"], {"H": 3, "M": 16, "N": 8, "K": 16})
    found = least_traffic_bits(cascade.sized()[0], Fraction(16 * size))
    assert found is not None
    assert io_bounds(cascade, 16 * size, beside=OPERANDS).least_bits <= found[0]


def test_narrow_tensors_make_the_bound_weaker_never_wrong():
    cascade = gemm(16, 16, 16, bits={"default": Fraction(16), "B": Fraction(8, 5)})
    for bits in (64, 256, 1024):
        found = least_traffic_bits(cascade.sized()[0], Fraction(bits))
        assert found is not None
        assert io_bounds(cascade, bits, beside=OPERANDS).least_bits <= found[0]


@pytest.mark.parametrize(
    "line",
    [
        "Z[m] = sum{k}(A[m,k] * A[m,k])",  # one tensor twice
        "Z[p] = sum{r}(A[p+r] * B[r])",  # a window
        "Z[m] = sum{k}(A[k,k] * B[m,k])",  # a diagonal
        "Z[m,n] = sum{k}(A[m,k] * B[k,n] * C[n])",  # three factors
        "Z[m,n] = max{k}(A[m,k] * B[k,n])",  # no sum
        "Z[m,n] = sum{k}(A[m,k] + B[k,n])",  # no product
        "Z[m] = sum{k,j}(A[m,k] * B[k,j])",  # j is summed in B alone
    ],
)
def test_what_is_no_matrix_product(line):
    variables = Einsum.parse(line).variables
    cascade = Cascade.parse([line], {variable.upper(): 4 for variable in variables})
    assert matrix_products(cascade) == ()
    assert {bound.name for bound in io_bounds(cascade, 64).bounds} == {"compulsory"}


def test_a_function_of_the_sum_is_still_a_product():
    (product,) = matrix_products(Cascade.parse(["Z[m,n] = relu(sum{k}(A[m,k] * B[k,n]))"], dict.fromkeys("MNK", 4)))
    assert (product.rows, product.columns, product.contracted) == ({"m"}, {"n"}, {"k"})


def test_a_guard_counts_its_points():
    lines = ["Z[m,n] = sum{k | k<=m}(A[m,k] * B[k,n])"]
    (product,) = matrix_products(Cascade.parse(lines, {"M": 4, "N": 3, "K": 4}))
    assert (product.points, product.guarded) == (3 * 10, True)


# -- attention


def attention(**ranks):
    sizes = {"H": 2, "P": 64, "M": 64, "E": 8, "F": 8} | ranks
    return Cascade.parse(ATTENTION, sizes)


def test_attention_is_found_with_its_queries_and_keys():
    cascade = attention(P=32)
    (chain,) = attentions(cascade, matrix_products(cascade))
    assert (chain.scores.name, chain.values.name, chain.queries, chain.keys, chain.scores.k) == ("QK", "SNV", 32, 64, 8)


@pytest.mark.parametrize("name", ["attention_1pass", "attention_2pass", "attention_3pass", "decoder_layer_prefill"])
def test_each_attention_of_the_catalogue_has_one_chain(name):
    (cascade,) = read_workload(find(f"workloads/{name}.yaml")).cascades
    found = attentions(cascade, matrix_products(cascade))
    assert len(found) == 1
    assert found[0].queries == found[0].keys == cascade.ranks["P"]


def test_the_attention_order_has_two_regimes_and_is_no_bound():
    """N^2 d^2 / S and N^2 d / sqrt(S), equal at S = d^2: Saha and Ye, arXiv 2402.07443, asymptotic."""
    assert attention_order_elements(100, 100, 8, 128) == 100 * 100 * 64 / 128
    assert attention_order_elements(100, 100, 8, 16) == 100 * 100 * 8 / 4
    assert attention_order_elements(100, 100, 8, 64) == 100 * 100
    (bound,) = (b for b in io_bounds(attention(), 16 * 256).bounds if b.name == "attention")
    assert not bound.strict
    assert "no constant published" in bound.source


def test_an_order_of_magnitude_never_enters_a_bound():
    small = io_bounds(attention(), 16 * 16)
    order = max(bound.bits for bound in small.bounds if not bound.strict)
    assert small.least_bits == max(b.bits for b in small.bounds if b.strict and b.scope == "cascade")
    assert small.least_bits < order


def test_a_consumed_product_grows_as_n_squared_d_squared_over_s():
    n, d = 10**5, 64
    for size in (10**5, 10**6):
        assert consumed_product_elements(n * n * d, d, size) == pytest.approx(n * n * d * d / size, rel=0.5)
    assert consumed_product_elements(8, 2, 10**4) == 0


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 16])
def test_a_flash_attention_schedule_is_above_the_consumed_bound(rows):
    """Row blocks of Q stay with one key: a step of the schedule moves the key; scores never leave."""
    n, d = 256, 16
    moved = n * d + n // rows * n * d  # Q once, K once for each block of rows
    fast = rows * d + d + rows  # the block, a key, its scores
    assert consumed_product_elements(n * n * d, d, fast) <= moved


def test_the_compulsory_traffic_of_an_einsum_counts_what_it_touches():
    cascade = Cascade.parse(["Z[p] = sum{r}(A[2*p+r] * B[r])"], {"P": 4, "R": 1}, shapes={"A": [9]})
    assert touched_elements(cascade, cascade.einsums[0]) == {"Z": 4, "A": 4, "B": 1}
    diagonal = Cascade.parse(["Z[m] = A[m,m] * B[m]"], {"M": 5})
    assert touched_elements(diagonal, diagonal.einsums[0])["A"] == 5


def test_without_a_capacity_there_is_the_compulsory_traffic():
    found = io_bounds(attention())
    assert found.capacity_bits is None
    assert {bound.name for bound in found.bounds} == {"compulsory"}
    assert found.least_bits == found.compulsory_bits < found.separate_bits


# -- the ski slope


def test_a_ski_slope_falls_to_compulsory_traffic_and_stays_above_its_bound():
    workload = Workload("gemm", (gemm(16, 16, 16, bits={"default": Fraction(8)}),))
    slope = ski_slope(workload, tuple(Fraction(8 * 2**k) for k in range(2, 11)), least_traffic_bits)
    best = [point.achieved_bits for point in slope.points]
    assert best == sorted(best, reverse=True)
    assert all(p.compulsory_bits <= p.bound_bits <= p.achieved_bits for p in slope.points)
    assert slope.points[-1].achieved_bits == slope.points[-1].compulsory_bits == 8 * 3 * 256


def test_a_cascade_adds_up_its_einsums():
    workload = Workload("attention", (attention(P=8, M=8),))
    slope = ski_slope(workload, (Fraction(16 * 64), Fraction(16 * 4096)), least_traffic_bits)
    assert slope.einsums == 5
    for point in slope.points:
        assert point.bound_bits <= point.separate_bound_bits <= point.achieved_bits
    assert ski_slope(workload, (Fraction(64),)).points[0].achieved_bits is None
