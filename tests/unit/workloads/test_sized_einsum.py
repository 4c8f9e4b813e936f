"""What the counting model is handed: accesses, work, flattening."""

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest

from einloom.errors import MappingError, SpecError
from einloom.workloads import Access, Cascade, Work


def sized(line, **ranks):
    return Cascade.parse([line], ranks).sized()[0]


def work_of(line, operators=None, **ranks):
    einsum = Cascade.parse([line], ranks, operators=operators or {}).sized()[0]
    return {(item.operator, "".join(sorted(item.variables))): item.count for item in einsum.work}


def test_a_matrix_product_is_one_mac_per_point():
    einsum = sized("Z[m,n] = A[m,k] * B[k,n]", M=2, N=3, K=4)
    assert einsum.work == (Work("mac", frozenset("mnk"), 1),)
    assert dict(einsum.extents) == {"m": 2, "n": 3, "k": 4}
    assert einsum.operations() == {"mac": 24}
    assert [access.tensor for access in einsum.accesses] == ["Z", "A", "B"]


def test_an_access_carries_the_roles_of_its_tensor():
    cascade = Cascade.parse(
        ["T[m] = A[m,k] * B[k]", "Z[m] = exp(T[m])"], {"M": 2, "K": 4}, bits={"B": Fraction("1.6")}
    )
    first, second = cascade.sized()
    assert first.accesses[2] == Access("B", ((("k", 1),),), "input", Fraction(8, 5), weight=True)
    assert first.output == Access("T", ((("m", 1),),), "output", Fraction(16), workload_input=False)
    assert second.output.workload_output
    assert not second.inputs[0].workload_input


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Z[m] = relu(sum{k}(A[m,k] * B[k]))", {("mac", "km"): 1, ("relu", "m"): 1}),
        ("Z[m] = sum{k}(A[m,k] * B[k] * C[k])", {("mul", "km"): 1, ("mac", "km"): 1}),
        ("Z[m] = sum{k}(A[m,k])", {("add", "km"): 1}),
        ("Z[m] = max{k}(A[m,k])", {("max", "km"): 1}),
        ("Z[m] = mean{k}(A[m,k])", {("add", "km"): 1, ("div", "m"): 1}),
        ("Z[m] = mean{k}(A[m,k] * A[m,k])", {("mul", "km"): 1, ("add", "km"): 1, ("div", "m"): 1}),
        ("Z[m] = sum{k}(exp(A[m,k] - B[m]))", {("add", "km"): 2, ("exp", "km"): 1}),
        ("Z[m] = 0.5 * sum{k}(A[m,k] * B[k])", {("mul", "m"): 1, ("mac", "km"): 1}),
        ("Z[m] = A[m] / sqrt(64)", {("div", "m"): 1}),
        ("Z[m] = -A[m]", {("neg", "m"): 1}),
        ("Z[m] = max(A[m], B[m], 0)", {("max", "m"): 2}),
        ("Z[m] = square(A[m])", {("mul", "m"): 1}),
        ("Z[m] = A[m]", {}),
    ],
)
def test_operators_count_over_the_space_they_stand_in(line, expected):
    assert work_of(line, M=2, **({"K": 4} if "k" in line else {})) == expected


def test_a_declared_cost_replaces_the_operator():
    costs = {"gelu": {"mac": 4, "exp": 1}}
    assert work_of("Z[m] = gelu(A[m])", costs, M=2) == {("mac", "m"): 4, ("exp", "m"): 1}


def test_a_declared_cost_holds_for_reductions_and_symbols_too():
    assert work_of("Z[m] = max{k}(A[m,k])", {"max": {"cmp": 1}}, M=2, K=3) == {("cmp", "km"): 1}
    assert work_of("Z[m] = A[m] - B[m]", {"sub": {"sub": 1}}, M=2) == {("sub", "m"): 1}


def test_an_operator_without_meaning_counts_by_its_declared_cost():
    assert work_of("Z[m] = lut(A[m])", {"lut": {"lookup": 2}}, M=2) == {("lookup", "m"): 2}


def test_identical_references_are_one_access_and_shifted_ones_are_two():
    assert len(sized("Z[m] = sum{k}(A[m,k] * A[m,k])", M=2, K=3).inputs) == 1
    shifted = sized("Z[m] = A[m] - A[m+1]", M=2)
    assert [access.dims for access in shifted.inputs] == [((("m", 1),),), ((("m", 1),),)]


def test_ranks_and_offsets_drop_out_of_the_dimensions():
    lines = ["X[i+1,p] = X[i,p] + A[i,p]", "Z[p] = exp(X[I,p])"]
    first, second = Cascade.parse(lines, {"I": 3, "P": 2}, init={"X": 0}).sized()
    assert first.output.dims == ((("i", 1),), (("p", 1),))
    assert second.inputs[0].dims == ((), (("p", 1),))
    assert first.extents["i"] == 3


@pytest.mark.parametrize(
    "line",
    [
        "Z[m] = sum{k}(A[m,k] * B[k]) + C[m]",
        "Z[m] = sum{k}(A[m,k]) * sum{j}(B[m,j])",
        "Z[m] = sum{k}(max{j}(A[m,k,j]))",
    ],
)
def test_two_loop_nests_in_one_line_are_refused(line):
    ranks = {"M": 2, "K": 3, **({"J": 4} if "j" in line else {})}
    cascade = Cascade.parse([line], ranks)
    with pytest.raises(SpecError, match="split it into two Einsums"):
        cascade.sized()
    assert cascade.operations()  # but they can be counted and run


def test_a_guard_is_counted_as_dense_and_says_so():
    einsum = sized("Z[m] = sum{k | k<=m}(A[k])", M=4, K=4)
    assert einsum.operations() == {"add": 16}
    assert einsum.notes == ("the guard k<=m is counted as dense: all points of k",)


def test_padding_is_counted_and_says_so():
    cascade = Cascade.parse(["Y[p] = X[H=p+r-1] * W[r]"], {"P": 4, "R": 3, "H": 4}, pad={"X": 0})
    einsum = cascade.sized()[0]
    assert einsum.size(einsum.inputs[0]) == 6
    assert "counted with its padding" in einsum.notes[0]


def test_an_auto_split_has_no_size_yet():
    cascade = Cascade.parse(
        ["Z[m1] = sum{m0}(A[m1,m0])"], {"M": 8}, split={"M": (("M1", None), ("M0", None))}
    )
    with pytest.raises(SpecError, match="sub-ranks M0, M1"):
        cascade.sized()
    assert cascade.with_ranks(M0=2).sized()[0].operations() == {"add": 8}


def test_a_sized_einsum_survives_pickling():
    einsum = sized("Z[m,n] = A[m,k] * B[k,n]", M=2, N=3, K=4)
    assert pickle.loads(pickle.dumps(einsum)) == einsum


# -- flattening


CONV = "Y[k,p,q] = X[c,2*p+r,q+s] * W[k,c,r,s]"
EXTENTS = {"K": 4, "P": 3, "Q": 5, "C": 2, "R": 3, "S": 3}


def dims(einsum, tensor):
    return next(access.dims for access in einsum.accesses if access.tensor == tensor)


def test_flattening_merges_plain_dimensions_and_unrolls_windows():
    einsum = sized(CONV, **EXTENTS).flattened({"x": ("c", "r", "s")})
    assert dict(einsum.extents) == {"k": 4, "p": 3, "q": 5, "x": 18}
    assert dims(einsum, "W") == ((("k", 1),), (("x", 1),))
    assert dims(einsum, "Y") == ((("k", 1),), (("p", 1),), (("q", 1),))
    assert dims(einsum, "X") == ((("x", 1),), (("p", 1),), (("q", 1),))
    assert einsum.notes == ("X is counted in its flattened form: x stands for c, r, s",)


def test_flattening_keeps_the_work():
    einsum = sized(CONV, **EXTENTS)
    flat = einsum.flattened({"x": ("c", "r", "s"), "y": ("p", "q")})
    assert flat.operations() == einsum.operations()
    assert flat.points == einsum.points
    assert dict(flat.flatten) == {"x": ("c", "r", "s"), "y": ("p", "q")}


def test_flattening_two_groups_gives_the_matrix_product():
    flat = sized(CONV, **EXTENTS).flattened({"x": ("c", "r", "s"), "y": ("p", "q")})
    assert [access.dims for access in flat.accesses] == [
        ((("k", 1),), (("y", 1),)),
        ((("x", 1),), (("y", 1),)),
        ((("k", 1),), (("x", 1),)),
    ]


def test_a_tensor_with_a_part_of_the_group_is_counted_flattened():
    einsum = sized("Z[m] = A[m,k,j] * B[k]", M=2, K=3, J=4).flattened({"x": ("k", "j")})
    assert dims(einsum, "A") == ((("m", 1),), (("x", 1),))
    assert dims(einsum, "B") == ((("x", 1),),)
    assert einsum.notes == ("B is counted in its flattened form: x stands for k, j",)


def test_a_group_may_take_the_name_of_one_of_its_variables():
    einsum = sized("Z[m] = A[m,k,j] * B[k,j]", M=2, K=3, J=4).flattened({"k": ("k", "j")})
    assert dict(einsum.extents) == {"m": 2, "k": 12}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"x": ()}, "flatten x names no rank variable"),
        ({"x": ("k", "z")}, "Y has no rank variable 'z' to flatten"),
        ({"x": ("c", "c")}, "flatten x names 'c' twice"),
        ({"p": ("c", "r")}, "'p' is a rank variable of Y already"),
        ({"x": ("p", "r")}, "flatten x joins p of the output with the reduced r"),
    ],
)
def test_an_impossible_group_is_refused(groups, message):
    with pytest.raises(MappingError, match=message):
        sized(CONV, **EXTENTS).flattened(groups)
