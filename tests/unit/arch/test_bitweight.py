"""Digits against draws and against arithmetic; cycles by hand; the table, its lines and its ends."""

import math

import numpy as np
import pytest

import einloom
from einloom.arch.templates.bitweight import digits
from einloom.arch.templates.bitweight.arrays import LAWS, Blocks
from einloom.arch.templates.bitweight.tables import at_clock, published
from einloom.arch.templates.systolic import systolic_cycles


def product(m, n, k, batch=1, **architecture):
    ranks = {"B": batch, "M": m, "N": n, "K": k}
    workload = {"name": "g", "ranks": ranks, "bits": {"default": 8},
                "cascade": ["Z[b,m,n] = sum{k}(A[b,m,k] * W[b,k,n])"]}  # fmt: skip
    return einloom.load({"name": "d", "workload": workload, "architecture": {"template": "bitweight", **architecture}})


# -- digits -----------------------------------------------------------------------------------------------------------


def test_every_operand_is_the_sum_of_its_digits():
    for value in range(-128, 128):
        found = digits.ent_digits(value)
        assert sum(digit * 4**weight for weight, digit in enumerate(found)) == abs(value)
        assert set(found) <= {-1, 0, 1, 2}


def drawn(sigma, shape, seed=1):
    """Operands as the authors' bench draws them: rejected outside the range, then rounded."""
    generator = np.random.default_rng(seed)
    found = generator.normal(0, sigma, 3 * math.prod(shape))
    kept = found[(found >= -128) & (found <= 127)][: math.prod(shape)]
    return np.rint(kept).astype(int).reshape(shape)


def nonzero(values):
    table = np.array([[digit != 0 for digit in digits.ent_digits(value)] for value in range(-128, 128)])
    return table[values + 128]


@pytest.mark.parametrize("sigma", [10, 30, 50])
def test_partial_products_are_what_is_drawn(sigma):
    found = nonzero(drawn(sigma, (200_000,))).sum(axis=1)
    assert digits.partial_products(sigma) == pytest.approx(found.mean(), abs=4 * found.std() / math.sqrt(len(found)))


@pytest.mark.parametrize("k", [32, 30, 3])
def test_cycles_of_a_vector_are_what_is_drawn(k):
    """A group of four operands takes, for each bit weight, the digits that are not zero, at least one cycle."""
    vectors = 20_000
    bits = nonzero(drawn(30, (vectors, k)))
    groups = [bits[:, start : start + 4].sum(axis=1) for start in range(0, k, 4)]
    found = sum(np.maximum(1, group).sum(axis=1) for group in groups)
    one = digits.vector_cycles(30, k)
    mean = float(one @ np.arange(len(one)))
    assert one.sum() == pytest.approx(1)
    assert mean == pytest.approx(found.mean(), abs=5 * found.std() / math.sqrt(vectors))
    slowest = found.reshape(-1, 8).max(axis=1)
    assert digits.slowest_of(30, k, 8) == pytest.approx(slowest.mean(), abs=5 * slowest.std() / math.sqrt(vectors / 8))


def test_a_group_by_hand():
    """sigma so small that every operand is 0 or +-1: only the lowest digit can be there."""
    sigma = 0.5
    share = 1 - digits.operand_probabilities(sigma)[128]
    by_hand = sum(
        math.comb(4, n) * share**n * (1 - share) ** (4 - n) * (max(1, n) + 3) for n in range(5)
    )
    one = digits.group_cycles(sigma, 4)
    # operands of +-2 are 0.3 % of these; they too have one digit, the lowest
    assert float(one @ np.arange(len(one))) == pytest.approx(by_hand, rel=1e-3)


def test_the_bench_counts_fewer_digits_the_shorter_the_vector():
    shares = [np.divide(*digits.counted_by_test_bench(30, k)) for k in (32, 128, 10**6)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(digits.partial_products(30), rel=1e-6)


# -- cycles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "terms"),
    [
        # ceil(24/16) ceil(16/16) = 2 passes of K = 20; 16 + 16 - 2 cycles of wave each
        ({"array": "systolic_os"}, {"compute": 40, "skew": 60}),
        # ceil(20/16) ceil(16/16) = 2 passes of M = 24, 16 to load; the same wave
        ({"array": "systolic_ws"}, {"compute": 48, "fill": 32, "skew": 60}),
        # 3 x 2 x 3 passes of one cycle, 2 (8 - 1) once
        ({"array": "cube"}, {"compute": 18, "skew": 14}),
        # 2 passes of 24, 16 to load, 7 stages and 16 columns to leave
        ({"array": "adder_tree"}, {"compute": 48, "fill": 32, "skew": 46}),
        ({"array": "matrix", "variant": "opt1"}, {"compute": 40}),
    ],
)
def test_cycles_by_hand(architecture, terms):
    found = product(24, 16, 20, **architecture).map("latency").einsums["Z"].terms_cycles
    assert {name: cycles for name, cycles in found.items() if cycles} == terms


def test_a_column_by_hand():
    """Two columns of 16, M = 3, N = 17, K = 4: two widths, a pair of vectors and one alone, four cycles after each."""
    found = product(3, 17, 4, array="columns", rows=2, cols=16, clock="1000 MHz", sigma=20)
    terms = found.map("latency").einsums["Z"].terms_cycles
    one = digits.vector_cycles(20, 4)
    mean = float(one @ np.arange(len(one)))
    assert terms["compute"] == pytest.approx(2 * 2 * mean)
    assert terms["synchronisation"] == pytest.approx(2 * (digits.slowest_of(20, 4, 2) - mean))
    assert terms["restart"] == 2 * 2 * 4


@pytest.mark.parametrize("array", ["systolic_os", "systolic_ws"])
@pytest.mark.parametrize(("m", "n", "k"), [(64, 64, 64), (17, 33, 5), (1, 100, 40)])
def test_systolic_arrays_take_the_cycles_of_the_systolic_template(array, m, n, k):
    whole = Blocks(array, 16, 8, m, n, k, np.array([m]), np.array([n]), 1, 30.0)
    dataflow = {"systolic_os": "output_stationary", "systolic_ws": "weight_stationary"}[array]
    expected = systolic_cycles(m, n, k, 16, 8, dataflow, "scalesim")
    found = {name: int(cycles[0]) for name, cycles in LAWS.of(whole).items()}
    assert {name: found[name] for name in expected} == expected


def test_dram_words_by_hand():
    """Blocks of 16 x 16 on 40 x 50 x 20: three block rows, four block columns."""
    words = {}
    for keep in ("outputs", "inputs", "weights"):
        found = mapped_with(["encoded = inputs", f"keep = {keep}", "rows = 1", "cols = 1", "PE"], 40, 50, 20)
        tensors = found.einsums["Z"].memories["DRAM"].tensors
        words[keep] = (tensors["A"].reads, tensors["W"].reads, tensors["Z"].writes)
    assert words == {"outputs": (4 * 800, 3 * 1000, 2000), "inputs": (800, 3 * 1000, 2000),
                     "weights": (4 * 800, 1000, 2000)}  # fmt: skip


def mapped_with(lines, m, n, k, **architecture):
    workload = {"name": "g", "ranks": {"B": 1, "M": m, "N": n, "K": k}, "bits": {"default": 8},
                "cascade": ["Z[b,m,n] = sum{k}(A[b,m,k] * W[b,k,n])"]}  # fmt: skip
    return einloom.load({"name": "d", "workload": workload, "mapping": {"Z": lines},
                         "architecture": {"template": "bitweight", **architecture}}).evaluate()  # fmt: skip


# -- energy, area, the table ------------------------------------------------------------------------------------------


def test_energy_of_the_array_is_its_power_over_its_clock():
    """27.6 mW at 154 MHz: 179.2 pJ a cycle; 100 cycles."""
    found = product(24, 16, 20).map("latency")
    assert found.energy_pj_by["PE"] == pytest.approx(100 * 27.6e-3 / 154e6 * 1e12)
    assert found.area_um2 == 376683


def test_between_two_clocks_lies_the_straight_line():
    rows = published("opt1", "systolic_os", 16, 16)
    assert at_clock(rows, 250).cell_um2 == 326586
    middle = at_clock(rows, 225)
    assert middle.cell_um2 == pytest.approx((324494 + 326586) / 2)
    assert middle.power_mw == pytest.approx((31.71 + 38.55) / 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"array": "matrix", "clock": "666 MHz"}, "666 MHz is outside .*\n.*from 500 to 600 MHz.*violated from 666"),
        ({"array": "matrix", "variant": "opt1", "clock": "911 MHz"}, "911 MHz is outside .*\n.*from 666 to 900 MHz"),
        ({"clock": "153.9 MHz"}, "153.9 MHz is outside .*\n.*16 x 16 was synthesized at 154 MHz"),
        ({"variant": "opt2"}, "no area or power is published of variant 'opt2' on array 'systolic_os'\n.*adder_tree"),
        ({"array": "cube", "rows": 4}, "a cube has as many rows as columns"),
        ({"array": "matrix", "area": "total"}, "no area with interconnect"),
        ({"without": ["fil"]}, "no entry of 'without' is named 'fil'\n.*did you mean 'fill'"),
        ({"sigma": 0}, "'0' is out of range\n.*at least 0.1"),
    ],
)
def test_what_is_not_published_is_an_error_with_the_range(given, message):
    with pytest.raises(einloom.EinloomError, match=message):
        product(4, 4, 4, **given)


def test_wide_operands_and_plain_work_without_lanes_are_errors():
    workload = {"name": "g", "ranks": {"M": 4, "N": 4, "K": 4}, "bits": {"default": 16},
                "cascade": ["Z[m,n] = sum{k}(A[m,k] * W[k,n])"]}  # fmt: skip
    with pytest.raises(einloom.EinloomError, match="A has 16 bits, the array multiplies INT8"):
        einloom.load({"name": "d", "workload": workload, "architecture": {"template": "bitweight"}}).map()
    workload = {"name": "g", "ranks": {"M": 4}, "bits": {"default": 8}, "cascade": ["Z[m] = exp(A[m])"]}
    with pytest.raises(einloom.EinloomError, match=r"Einsum Z is no matrix product.*\n.*lanes"):
        einloom.load({"name": "d", "workload": workload, "architecture": {"template": "bitweight"}}).map()


def test_wide_products_run_on_the_lanes():
    """4 x 4 x 4 multiply-accumulates on 16 lanes, operands from the DRAM."""
    workload = {"name": "g", "ranks": {"M": 4, "N": 4, "K": 4}, "bits": {"default": 16},
                "cascade": ["Z[m,n] = sum{k}(A[m,k] * W[k,n])"]}  # fmt: skip
    design = {"name": "d", "workload": workload, "architecture": {"template": "bitweight", "lanes": 16}}
    found = einloom.load(design).map().einsums["Z"]
    assert (found.binding, found.cycles) == ("VEC", 4)
    assert found.notes == ("on the vector unit: A has 16 bits, the array multiplies INT8",)


def test_ternary_operands_have_at_most_one_digit():
    """1.6 bits are -1, 0 and 1; a wide normal truncated to [-1, 1] rounds to 0 half of the time."""
    assert digits.bounds(1.6) == (-1, 1)
    assert digits.partial_products(1000, 1.6) == pytest.approx(0.5, rel=1e-6)
    assert digits.partial_products(30) == digits.partial_products(30, 8)
    workload = {"name": "g", "ranks": {"M": 4, "N": 4, "K": 4}, "bits": {"default": 8, "W": 1.6}, "weights": ["W"],
                "cascade": ["Z[m,n] = sum{k}(A[m,k] * W[k,n])"]}  # fmt: skip
    design = {"name": "d", "workload": workload, "architecture": {"template": "bitweight", "array": "columns"}}
    found = einloom.load(design).map("latency")
    assert found.mapping["Z"][0] == "encoded = weights"


def test_a_buffer_that_is_too_small_says_by_how_much():
    with pytest.raises(einloom.EinloomError, match=r"step Z needs at least [\d,]+ bits of GLB, there are 16,384"):
        product(64, 64, 64, array="cube", rows=64, cols=64, buffer="2 KiB").map()


def test_opt4c_says_that_its_power_is_not_published():
    (note,) = product(4, 4, 4, array="columns").map().einsums["Z"].notes
    assert note.startswith("no power is published of opt4c")


@pytest.mark.parametrize(
    ("array", "rows", "workload", "settings"),
    [
        ("systolic_ws", 16, "llama_block_decode", {"workload.bits.default": 8, "workload.ranks.M": 127}),
        ("columns", 4, "bitnet_block_decode", {}),
        ("adder_tree", 16, "bitnet_block_prefill", {}),
    ],
)
def test_a_whole_block_of_a_language_model_runs(array, rows, workload, settings):
    design = einloom.load({
        "name": "d", "workload": f"workloads/{workload}.yaml",
        "architecture": {"template": "bitweight", "array": array, "rows": rows, "lanes": 16, "buffer": "1 MiB"},
    }, set=settings)  # fmt: skip
    found = design.map("latency")
    assert all(einsum.energy_pj > 0 for einsum in found.einsums.values())
    assert {e.binding for e in found.einsums.values()} == {"PE", "VEC"}
    assert found.operations == sum(e.computes[e.binding].operations for e in found.einsums.values())


def test_the_terms_are_named_and_can_be_left_out():
    for off in LAWS.names[1:]:
        found = product(40, 20, 40, array="columns", without=[off]).map("latency").einsums["Z"].terms_cycles
        assert off not in found
        assert "compute" in found
