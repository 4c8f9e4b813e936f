"""What a cascade refuses, and what it knows."""

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest

from einloom.errors import SpecError
from einloom.workloads import Cascade, Workload


def problems_of(lines, ranks, **parts):
    with pytest.raises(SpecError) as caught:
        Cascade.parse(lines, ranks, **parts)
    return caught.value.problems


def only_problem(lines, ranks, **parts):
    (problem,) = problems_of([lines] if isinstance(lines, str) else lines, ranks, **parts)
    return problem


R = {"M": 4, "N": 3, "K": 2}


@pytest.mark.parametrize(
    ("lines", "ranks", "message", "hint"),
    [
        ("Z[m] = A[m,k] * B[k]", {"M": 4}, "the rank 'K' of the variable 'k' has no size", "ranks: M"),
        ("Z[m] = A[m,Kx]", {"M": 4}, "the rank 'Kx' has no size", "ranks: M"),
        ("Z[m] = A[m]", {"M": 4, "N": 3}, "no Einsum uses the rank 'N'", "remove it"),
        ("Z[m] = A[m]", {"M": 4, "m": 3}, "the ranks 'M' and 'm' share the variable 'm'", "rename"),
        (
            "Z[m,n] = A[m]",
            {"M": 4, "N": 3},
            "the variable 'n' of the left side does not appear",
            "leave it out",
        ),
        ("Z[m] = A[m,k] + B[m]", {"M": 4, "K": 2}, "'k' is neither on the left nor reduced", "sum{k}"),
        ("Z[m] = sum{m}(A[m])", {"M": 4}, "'m' is reduced here, but it is bound on the left", "another"),
        (
            "Z[m] = sum{k}(A[m,k] + max{k}(B[k]))",
            {"M": 4, "K": 2},
            "'k' is reduced here, but it is bound by an",
            "another",
        ),
        ("Z[m,m] = A[m]", {"M": 4}, "the variable 'm' stands twice on the left", "another"),
        ("Z[2*m] = A[m]", {"M": 4}, "the index '2*m' cannot be written to", "m1+1"),
        ("Z[m] = 3", {"M": 4}, "Z[m] reads no tensor", "X[0,p] = 0"),
        ("Z[m] = smu(A[m])", {"M": 4}, "no operator is named 'smu'", "did you mean 'sum'?"),
        ("Z[m] = exp{k}(A[m,k])", {"M": 4, "K": 2}, "'exp' cannot reduce", "max, mean, min, prod, sum"),
        ("Z[m] = sum(A[m])", {"M": 4}, "'sum' is a reduction", "sum{k}(...)"),
        ("Z[m] = exp(A[m], A[m])", {"M": 4}, "'exp' takes 1 argument, not 2", "write exp(a)"),
        ("Z[m] = sub(A[m])", {"M": 4}, "'sub' takes 2 arguments, not 1", "write sub(a, b)"),
        ("Z[m] = max(A[m])", {"M": 4}, "'max' takes two or more arguments, not 1", "max{k}(...)"),
        ("Z[m] = mean{k | k<=m}(A[k])", {"M": 4, "K": 4}, "'mean' has no identity", "guarded sum"),
        ("Z[m] = Z[m] + A[m]", {"M": 4}, "Z reads itself", "Z[m1+1,...]"),
        (["Z[m] = T[m]", "T[m] = A[m]"], {"M": 4}, "T is read before it is computed", "move the line"),
        (
            ["Z[m] = A[m]", "Z[m] = B[m]"],
            {"M": 4},
            "Z is defined twice; first by 'Z[m] = A[m]'",
            "one defining line",
        ),
        (["T[m] = A[m]", "Z[m] = T[m,m]"], {"M": 4}, "T[m,m] has 2 indices, T[m] has 1", "the same number"),
        (
            ["T[m] = A[m]", "Z[n] = T[n]"],
            {"M": 4, "N": 3},
            "index 1 of T[n] runs over 3 coordinates",
            "RANK=n",
        ),
        (
            "Z[m] = A[m,k] * A[k,m]",
            {"M": 4, "K": 2},
            "index 1 of A[k,m] runs over 2 coordinates (K), elsewhere A has 4",
            "RANK=k",
        ),
        (
            "Z[m] = A[m-1]",
            {"M": 4},
            "index 1 of A[m-1] runs from -1 to 2, A has coordinates 0 to 2",
            "`pad: {A: 0}`",
        ),
        (
            ["T[m] = A[m]", "Z[m] = T[m+1]"],
            {"M": 4},
            "index 1 of T[m+1] runs from 1 to 4, T has coordinates 0 to 3",
            "pad",
        ),
        ("Z[m] = A[H=m+1]", {"M": 4, "H": 4}, "index 1 of A[H=m+1] runs from 1 to 4", "pad"),
        (
            ["T[m] = A[m]", "Z[n] = T[N=n]"],
            {"M": 4, "N": 3},
            "index 1 of T has 4 coordinates, the rank N has 3",
            "name the rank",
        ),
        ("Z[m] = A[M=m] + A[H=m]", {"M": 4, "H": 4}, "index 1 of A has the rank M, not H", "write M=..."),
        ("S[m+1] = S[m] + A[m]", {"M": 4}, "generation 0 of S has no value", "init: {S: 0}"),
        (
            "S[m+1,n+1] = S[m,n] + A[m,n]",
            {"M": 4, "N": 3},
            "more than one index of the left side counts",
            "one rank",
        ),
        (
            ["S[0] = 0", "S[m+1] = S[m+1] + A[m]"],
            {"M": 4},
            "generation 'm+1' of S is not computed yet",
            "read S[m] here",
        ),
        (
            ["S[0] = 0", "S[1] = 0", "S[m+1] = S[m] + A[m]"],
            {"M": 4},
            "S[1] is no initial generation of S",
            "0 to 0",
        ),
        ("S[0] = 0", {}, "nothing computes the further generations of S", "S[m1+1,...]"),
        (["S[-1] = 0", "S[0] = 0", "S[m+1] = S[m] + A[m]"], {"M": 4}, "generation -1 does not exist", "0, 1"),
    ],
)
def test_a_broken_rule_is_one_message(lines, ranks, message, hint):
    lines = [lines] if isinstance(lines, str) else lines
    problems = problems_of(lines, ranks)
    assert any(problem.message.startswith(message) and hint in problem.hint for problem in problems), problems


def test_a_problem_points_at_the_line_and_the_characters():
    line = "Z[m] = sum{k}(A[m,k] * fxp(B[k]))"
    problem = only_problem(["T[m] = C[m]", line, "Y[m] = T[m] + Z[m]"], {"M": 4, "K": 2})
    assert problem.path == ("cascade", 1)
    assert line[problem.offset : problem.offset + problem.length] == "fxp"


def test_all_problems_come_at_once_in_the_order_of_the_lines():
    lines = ["T[m] = fxp(A[m])", "Z[n] = lgo(T[m])"]
    assert [problem.path for problem in problems_of(lines, {"M": 4})] == [
        ("cascade", 0),
        ("cascade", 1),
        ("cascade", 1),
        ("cascade", 1),
    ]


def test_a_recurrence_iterates_in_every_line():
    lines = ["T[p] = sum{i}(S[i,p])", "S[i+1,p] = S[i,p] + T[p]", "Z[p] = S[I,p]"]
    problems = problems_of(lines, {"I": 3, "P": 2}, init={"S": 0})
    assert any("generation 'i' of S is not computed yet" in problem.message for problem in problems)


def test_a_recurrence_reads_its_lines_at_its_own_variable():
    lines = ["T[i] = S[i] * 2", "S[i+1] = S[i] + T[0]", "Z[] = exp(S[I])"]
    (problem,) = problems_of(lines, {"I": 3}, init={"S": 0})
    assert problem.message == "'0' reaches out of the recurrence over i"


def test_a_named_part_must_exist():
    problems = problems_of(
        ["Z[m] = A[m]"],
        {"M": 4},
        bits={"B": Fraction(8)},
        weights=("Z",),
        pad={"C": 0},
        init={"A": 0},
        shapes={"Z": (4,)},
        outputs=("A",),
        operators={"exp": {"mac": 6}},
    )
    assert {(problem.path, problem.message) for problem in problems} == {
        (("bits", "B"), "'B' is no tensor"),
        (("weights", 0), "'Z' is no tensor that is read"),
        (("pad", "C"), "'C' is no tensor that is read"),
        (("init", "A"), "'A' is no tensor that the cascade computes"),
        (("shapes", "Z"), "'Z' is no input"),
        (("outputs", 0), "'A' is no tensor that the cascade computes"),
        (("operators", "exp"), "'exp' is no operator in use"),
    }


def test_init_needs_generations():
    problem = only_problem("Z[m] = A[m]", {"M": 4}, init={"Z": 0})
    assert problem.message == "Z has no generations"


def test_a_generation_starts_once():
    lines = ["S[0] = 1", "S[m+1] = S[m] + A[m]"]
    assert only_problem(lines, {"M": 4}, init={"S": 0}).message == "S is started twice"


def test_a_padded_input_needs_a_size():
    problem = only_problem("Y[p] = X[p+r-1] * W[r]", {"P": 4, "R": 3}, pad={"X": 0})
    assert problem.message == "X is padded: 'p+r-1' does not say the size of its index 1"
    given = Cascade.parse(["Y[p] = X[p+r-1] * W[r]"], {"P": 4, "R": 3}, pad={"X": 0}, shapes={"X": ("P",)})
    assert given.shape("X") == (4,)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 4), "the shape of X has 2 sizes, X[p+r] has 1 indices"), (("Q",), "the rank 'Q' has no size")],
)
def test_a_given_shape_fits(shape, message):
    assert only_problem("Y[p] = X[p+r] * W[r]", {"P": 4, "R": 3}, shapes={"X": shape}).message == message


def test_sizes_widths_and_repeats_are_positive():
    problems = problems_of(
        ["Z[m] = A[m]"], {"M": 0}, bits={"A": Fraction(-1)}, repeat=0, split={"M": (("M1", None), ("M0", 0))}
    )
    assert [problem.path for problem in problems] == [
        ("ranks", "M"),
        ("split", "M"),
        ("bits", "A"),
        ("repeat",),
    ]


def test_a_cascade_has_a_line_and_an_output():
    assert problems_of([], {})[0].message == "the cascade is empty"
    lines = ["T[i] = S[i] * 2", "S[i+1] = T[i] + A[i]"]
    assert "has no output" in only_problem(lines, {"I": 3}, init={"S": 0}).message
    assert Cascade.parse(lines, {"I": 3}, init={"S": 0}, outputs=("S",)).outputs == ("S",)


# -- split ranks


def split(total, *parts):
    return Cascade.parse(["Z[m1] = sum{m0}(A[m1,m0])"], {"M": total}, split={"M": parts})


def test_the_first_sub_rank_is_what_the_others_leave():
    assert split(12, ("M1", None), ("M0", 4)).extents["M1"] == 3


def test_sub_ranks_must_multiply_to_the_rank():
    with pytest.raises(SpecError, match="M = 12 does not split into 5"):
        split(12, ("M1", None), ("M0", 5))
    with pytest.raises(SpecError, match="M = 12 does not split into 2 x 4"):
        split(12, ("M1", 2), ("M0", 4))


def test_a_split_names_a_rank_and_new_sub_ranks():
    with pytest.raises(SpecError, match="the rank 'N' has no size"):
        Cascade.parse(["Z[m] = A[m]"], {"M": 4}, split={"N": (("N1", None), ("N0", 2))})
    with pytest.raises(SpecError, match="the rank 'M' is named twice"):
        Cascade.parse(["Z[m] = A[m]"], {"M": 4}, split={"M": (("M", None), ("M0", 2))})


def test_ranks_can_be_changed():
    cascade = split(12, ("M1", None), ("M0", 4)).with_ranks(M=24, M0=6)
    assert (cascade.extents["M1"], cascade.extents["M0"]) == (4, 6)
    with pytest.raises(SpecError, match="has no rank 'Q'"):
        cascade.with_ranks(Q=3)


# -- what it knows


MLP = ["H[b,n] = relu(sum{d}(X[b,d] * W1[d,n]))", "Y[b,e] = H[b,n] * W2[n,e]", "Z[b,e] = Y[b,e] + B[e]"]
MLP_RANKS = {"B": 2, "D": 3, "N": 5, "E": 7}


def test_roles():
    cascade = Cascade.parse(MLP, MLP_RANKS)
    assert cascade.inputs == ("X", "W1", "W2", "B")
    assert cascade.outputs == ("Z",)
    assert cascade.intermediates == ("H", "Y")
    assert cascade.weight_tensors == ("W1", "W2")
    assert cascade.roles("W1") == ("weights", "inputs")
    assert Cascade.parse(MLP, MLP_RANKS, weights=("W1", "W2", "B")).weight_tensors == ("W1", "W2", "B")


def test_the_last_factor_of_a_product_is_a_weight_only_if_it_comes_from_outside():
    cascade = Cascade.parse(["T[m] = A[m] * C[m]", "Z[m] = (B[m] + D[m]) * (A[m] * T[m]) * E[m]"], {"M": 2})
    assert cascade.weight_tensors == ("C", "E")


def test_a_declared_output_may_be_read():
    cascade = Cascade.parse(MLP, MLP_RANKS, outputs=("H",))
    assert cascade.outputs == ("H", "Z")
    assert cascade.sized()[0].output.workload_output


def test_bits_go_by_name_then_role_then_default():
    bits = {
        "W1": Fraction("1.6"),
        "weights": Fraction(4),
        "intermediates": Fraction(32),
        "default": Fraction(8),
    }
    cascade = Cascade.parse(MLP, MLP_RANKS, bits=bits)
    widths = {name: cascade.bits_of(name) for name in ("W1", "W2", "H", "X")}
    assert widths == {"W1": Fraction(8, 5), "W2": 4, "H": 32, "X": 8}
    assert Cascade.parse(MLP, MLP_RANKS).bits_of("X") == 16


def test_the_graph_leads_from_inputs_to_outputs():
    graph = Cascade.parse(MLP, MLP_RANKS).graph()
    assert set(graph.edges) == {("X", "H"), ("W1", "H"), ("H", "Y"), ("W2", "Y"), ("Y", "Z"), ("B", "Z")}
    assert graph.nodes["W1"]["role"] == "weights"


def test_reads_of_earlier_generations_are_marked_in_the_graph():
    graph = Cascade.parse(
        ["P[i] = S[i] * 2", "S[i+1] = P[i] + A[i]", "Z[] = exp(S[I])"], {"I": 3}, init={"S": 0}
    ).graph()
    assert graph.edges["S", "P"]["generation"]
    assert not graph.edges["P", "S"]["generation"]
    assert not graph.edges["S", "Z"]["generation"]


def test_shapes_of_windows_and_generations():
    cascade = Cascade.parse(["Y[p] = X[2*p+r] * W[r]"], {"P": 4, "R": 3})
    assert cascade.shape("X") == (9,)
    lines = ["S[i+2] = S[i] + A[i]"]
    assert Cascade.parse(lines, {"I": 3}, init={"S": 0}).shape("S") == (5,)


def test_operations_and_intensity_of_a_matrix_product():
    cascade = Cascade.parse(
        ["Z[m,n] = A[m,k] * B[k,n]"], {"M": 4, "N": 3, "K": 2}, bits={"default": Fraction(8)}
    )
    traffic = cascade.compulsory_traffic()
    assert dict(traffic.elements) == {"Z": 12, "A": 8, "B": 6}
    assert traffic.bits == 8 * 26
    assert cascade.operational_intensity() == 24 / 26


@pytest.mark.parametrize(
    ("line", "ranks", "parts", "tensor", "touched"),
    [
        ("Y[p] = X[2*p] * W[p]", {"P": 4}, {}, "X", 4),  # a stride skips elements
        ("Y[p] = X[3*p+r] * W[r]", {"P": 4, "R": 2}, {}, "X", 8),
        ("Y[p] = X[2*p+r] * W[r]", {"P": 4, "R": 3}, {}, "X", 9),
        ("Y[p] = X[H=p+r-1] * W[r]", {"P": 4, "R": 3, "H": 4}, {"pad": {"X": 0}}, "X", 4),
        ("Y[p] = X[H=2*p-1] * W[p]", {"P": 4, "H": 9}, {"pad": {"X": 0}}, "X", 3),
        ("Y[p] = X[p,p] * W[p]", {"P": 4}, {}, "X", 4),  # a diagonal
        ("Y[p] = X[p+r,p] * W[r]", {"P": 4, "R": 3}, {}, "X", 12),
        ("Y[p] = X[p] + X[p+2]", {"P": 4}, {}, "X", 6),  # a union
        ("Y[p,q] = X[2*p,q] + X[p,2*q]", {"P": 3, "Q": 3}, {}, "X", 3 * 3 + 3 * 3 - 2 * 2),
        ("Y[p] = X[p,p] + X[p,M=0]", {"P": 3, "M": 3}, {}, "X", 5),
        ("Y[p] = X[p,P] * W[p]", {"P": 3}, {}, "X", 3),
    ],
)
def test_compulsory_traffic_counts_what_is_touched(line, ranks, parts, tensor, touched):
    assert Cascade.parse([line], ranks, **parts).compulsory_traffic().elements[tensor] == touched


def test_only_the_last_generation_leaves():
    cascade = Cascade.parse(["S[i+1,p] = S[i,p] + A[i,p]"], {"I": 3, "P": 2}, init={"S": 0})
    assert dict(cascade.compulsory_traffic().elements) == {"S": 2, "A": 6}


def test_a_huge_plain_tensor_is_counted_in_closed_form():
    cascade = Cascade.parse(["Z[m] = A[m] * B[2*m]"], {"M": 2**40})
    assert cascade.compulsory_traffic().elements["B"] == 2**40


def test_a_cascade_is_a_value():
    cascade = Cascade.parse(MLP, MLP_RANKS)
    copy = pickle.loads(pickle.dumps(cascade))
    assert copy == cascade
    assert hash(copy) == hash(cascade)
    assert cascade != cascade.with_ranks(B=3)
    with pytest.raises(AttributeError):
        cascade.repeat = 3
    with pytest.raises(TypeError):
        cascade.ranks["B"] = 3


def test_a_workload_multiplies_by_the_repeats():
    one = Cascade.parse(MLP, MLP_RANKS, name="a", repeat=3)
    two = Cascade.parse(MLP, MLP_RANKS, name="b")
    network = Workload("net", (one, two))
    assert network.operations() == {name: 4 * count for name, count in two.operations().items()}
    assert network.compulsory_bits() == 4 * two.compulsory_traffic().bits
    assert network.cascade("b") is two
    assert (network.repeat, Workload("one", (one,)).repeat) == (1, 3)


def test_parts_of_a_workload_have_names_of_their_own():
    one = Cascade.parse(MLP, MLP_RANKS, name="a")
    with pytest.raises(SpecError, match="two parts of the workload 'net' are named 'a'"):
        Workload("net", (one, one))
    with pytest.raises(SpecError, match="has no cascade"):
        Workload("net", ())
    with pytest.raises(SpecError, match="has no part 'b'"):
        Workload("net", (one,)).cascade("b")
