from fractions import Fraction

import pytest

from einloom.arch.registry import template
from einloom.arch.rules import EinsumRules, Holding, is_contraction, roles_of, shared_by, weight_operand
from einloom.arch.tree import Architecture, AxisRule, Compute, Fanout, Memory
from einloom.workloads.sized import Access, SizedEinsum, Work


def access(tensor, indices, role="input", **facts):
    """``indices`` is text: ``"n c p+r 2q+s"``, one word a dimension."""
    dims = []
    for word in indices.split():
        terms = (term for term in word.split("+"))
        dims.append(tuple((t.lstrip("0123456789"), int(t[:-1]) if t[0].isdigit() else 1) for t in terms))
    return Access(tensor=tensor, dims=tuple(dims), role=role, bits=Fraction(8), **facts)


def einsum(output, *inputs, work="mac"):
    extents = {var: 4 for operand in (output, *inputs) for dim in operand.dims for var, _ in dim}
    every = frozenset(extents)
    return SizedEinsum(
        name=output.tensor, extents=extents, accesses=(output, *inputs), work=(Work(work, every),)
    )


GEMM = einsum(access("Z", "m n", "output"), access("A", "m k"), access("B", "k n", weight=True))
CONV = einsum(
    access("O", "n m p q", "output"), access("I", "n c p+r q+s"), access("W", "m c r s", weight=True)
)
SCORES = einsum(
    access("QK", "b h m p", "output", workload_input=False),
    access("Q", "b h e p", workload_input=False),
    access("K", "b h e m", workload_input=False),
)
SOFTMAX = einsum(access("SN", "m p", "output"), access("QK", "m p"), access("GM", "p"), work="exp")
ROWMAX = einsum(access("GM", "p", "output"), access("QK", "m p"), work="max")
SQUARES = einsum(access("V", "p", "output"), access("X", "p d"), access("X", "p d"))

DATAFLOWS = ("weight_stationary", "input_stationary", "output_stationary")


def systolic(dataflow="weight_stationary", **parameters):
    return template("systolic").architecture({"rows": 4, "cols": 4, "dataflow": dataflow, **parameters})


def test_the_weight_operand_is_what_the_workload_calls_so():
    swapped = einsum(access("Z", "m n", "output"), access("A", "m k", weight=True), access("B", "k n"))
    assert weight_operand(swapped) == "A"


def test_a_product_without_weights_takes_its_last_factor():
    assert weight_operand(SCORES) == "K"
    assert roles_of(SCORES)["K"] == {"weights", "intermediates"}


def test_ranks_are_found_by_the_operands_that_share_them():
    assert shared_by(CONV, ("weights", "outputs")) == ("m",)
    assert shared_by(CONV, ("inputs", "weights")) == ("c", "r", "s")
    assert shared_by(CONV, ("inputs", "outputs")) == ("n", "p", "q")


def test_ranks_of_all_three_operands_are_shared_by_no_two():
    assert "b" not in shared_by(SCORES, ("inputs", "outputs"))


def test_an_einsum_without_weights_shares_nothing_with_them():
    assert shared_by(ROWMAX, ("weights", "outputs")) == ()


@pytest.mark.parametrize(
    ("which", "expected"),
    [(GEMM, True), (CONV, True), (SCORES, True), (SOFTMAX, False), (ROWMAX, False), (SQUARES, False)],
)
def test_a_contraction_is_a_summed_product_of_two_tensors(which, expected):
    assert is_contraction(which) is expected


@pytest.mark.parametrize(
    ("dataflow", "stationary", "rows", "cols"),
    [
        ("weight_stationary", "B", {"k"}, {"n"}),
        ("input_stationary", "A", {"k"}, {"m"}),
        ("output_stationary", "Z", {"m"}, {"n"}),
    ],
)
def test_a_gemm_lies_on_the_array_as_its_dataflow_says(dataflow, stationary, rows, cols):
    rules = systolic(dataflow).rules_for(GEMM)
    assert rules.axes == {("PE", "Y"): rows, ("PE", "X"): cols}
    assert rules.holding("Reg") == Holding.exactly([stationary])
    assert rules.flatten == {}


def test_a_convolution_runs_as_a_gemm():
    rules = systolic().rules_for(CONV)
    assert rules.flatten == {"npq": ("n", "p", "q"), "crs": ("c", "r", "s")}
    assert rules.axes == {("PE", "Y"): {"crs"}, ("PE", "X"): {"m"}}


def test_batch_ranks_run_as_one_outside_the_array():
    rules = systolic().rules_for(SCORES)
    assert rules.flatten == {"bh": ("b", "h")}
    assert rules.axes == {("PE", "Y"): {"e"}, ("PE", "X"): {"m"}}


def test_ranks_of_an_element_wise_einsum_that_index_the_same_tensors_run_as_one():
    scaled = einsum(access("Y", "b p d", "output"), access("X", "b p d"), access("G", "d"), work="mul")
    rules = systolic().rules_for(scaled)
    assert rules.flatten == {"bp": ("b", "p")}
    assert rules.axes["PE", "X"] == {"bp", "d"}


def test_a_window_of_an_element_wise_einsum_stays_as_it_is():
    pooling = einsum(access("Y", "b k u v", "output"), access("T", "b k 2u+i 2v+j"), work="max")
    assert systolic().rules_for(pooling).flatten == {"bk": ("b", "k")}


def test_without_im2col_every_rank_of_a_group_may_lie_on_the_axis():
    rules = systolic(im2col=False).rules_for(CONV)
    assert rules.flatten == {}
    assert rules.axes["PE", "Y"] == {"c", "r", "s"}


def test_a_flattened_name_is_free():
    taken = einsum(access("Z", "m n", "output"), access("A", "m j k jk"), access("B", "j k n", weight=True))
    assert list(systolic().rules_for(taken).flatten) == ["jk_"]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("which", [SOFTMAX, ROWMAX, SQUARES])
def test_other_einsums_use_the_array_as_a_grid(which, dataflow):
    rules = systolic(dataflow).rules_for(which)
    outputs = which.output.variables
    assert rules.axes == {("PE", "Y"): outputs, ("PE", "X"): outputs}
    assert rules.holding("Reg") == Holding.exactly([])


def tree(**reg):
    only = {"X": AxisRule(shared_by=("weights", "outputs")), "Y": AxisRule(variables=("k", "z"))}
    return Architecture(
        name="tree",
        clock_hz=1e9,
        levels=(
            Memory(name="DRAM"),
            Fanout(name="PE", axes={"X": 4, "Y": 4, "W": 2}, only=only),
            Memory(name="Reg", **reg),
            Compute(name="MAC", energy_pj={"mac": 1.0}),
        ),
    )


def test_the_levels_of_a_tree_state_its_rules():
    rules = tree(holds=("weights", "Other")).rules_for(GEMM)
    assert rules == EinsumRules(
        axes={("PE", "X"): frozenset("n"), ("PE", "Y"): frozenset("k")}, holds={"Reg": Holding.exactly(["B"])}
    )
    assert rules.axis_allows("PE", "W", "m")
    assert not rules.axis_allows("PE", "X", "m")
    assert rules.holding("DRAM").allows("Z")


def test_what_must_be_held_may_be_held():
    holding = tree(must_hold=("Z",), may_hold=("weights",)).rules_for(GEMM).holding("Reg")
    assert holding == Holding(must=frozenset("Z"), may=frozenset("ZB"))
    assert not holding.allows("A")


def test_intermediates_are_made_and_used_by_the_cascade():
    holding = tree(may_hold=("intermediates",)).rules_for(SCORES).holding("Reg")
    assert holding.may == {"Q", "K", "QK"}
