"""`Cascade.run`: each construct against the same thing written in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from einloom.errors import SpecError
from einloom.workloads import Cascade, Operator, register_operator
from einloom.workloads.operators import _REGISTRY

A = np.arange(12.0).reshape(3, 4) - 5
B = np.linspace(-1, 2, 20).reshape(4, 5)


def run(line, ranks, inputs, **parts):
    lines = [line] if isinstance(line, str) else line
    return Cascade.parse(lines, ranks, **parts).run(inputs)


def test_a_product_with_a_missing_rank_is_summed():
    out = run("Z[m,n] = A[m,k] * B[k,n]", {"M": 3, "N": 5, "K": 4}, {"A": A, "B": B})
    assert np.allclose(out["Z"], A @ B)


def test_the_left_side_orders_the_dimensions():
    out = run("Z[k,m] = A[m,k]", {"M": 3, "K": 4}, {"A": A})
    assert np.array_equal(out["Z"], A.T)


def test_a_scalar_has_no_dimension():
    out = run(["S[] = sum{m,k}(A[m,k])", "Z[m] = sum{k}(A[m,k] * S[])"], {"M": 3, "K": 4}, {"A": A})
    assert out["S"].shape == ()
    assert np.allclose(out["Z"], A.sum(1) * A.sum())


@pytest.mark.parametrize(
    ("name", "fold"),
    [("sum", np.sum), ("max", np.max), ("min", np.min), ("prod", np.prod), ("mean", np.mean)],
)
def test_reductions(name, fold):
    out = run(f"Z[m] = {name}{{k}}(A[m,k])", {"M": 3, "K": 4}, {"A": A})
    assert np.allclose(out["Z"], fold(A, axis=1))


def test_a_reduction_over_what_its_body_ignores_counts_every_point():
    out = run(
        "Z[m] = sum{j}(A[m] * C[j]) + sum{k}(A[m])", {"M": 3, "J": 2, "K": 7}, {"A": A[:, 0], "C": np.ones(2)}
    )
    assert np.allclose(out["Z"], A[:, 0] * 2 + A[:, 0] * 7)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("exp(A[m,k])", np.exp(A)),
        ("relu(A[m,k])", np.where(A > 0, A, 0)),
        ("relu6(A[m,k])", np.minimum(np.where(A > 0, A, 0), 6)),
        ("sigmoid(A[m,k])", 1 / (1 + np.exp(-A))),
        ("silu(A[m,k])", A / (1 + np.exp(-A))),
        ("softplus(A[m,k])", np.log(1 + np.exp(A))),
        ("tanh(A[m,k])", np.tanh(A)),
        ("abs(A[m,k])", np.abs(A)),
        ("rsqrt(square(A[m,k]) + 1)", 1 / np.sqrt(A**2 + 1)),
        ("log(exp(A[m,k]))", A),
        ("max(A[m,k], -A[m,k], 3)", np.maximum(np.abs(A), 3)),
        ("min(A[m,k], 2)", np.minimum(A, 2)),
        ("2 - A[m,k] / 4 * -A[m,k]", 2 + A / 4 * A),
        ("add(A[m,k], div(A[m,k], 2))", A * 1.5),
    ],
)
def test_operators(call, expected):
    out = run(f"Z[m,k] = {call}", {"M": 3, "K": 4}, {"A": A})
    assert np.allclose(out["Z"], expected)


def test_gelu_is_the_normal_distribution_times_x():
    from math import erf

    x = np.linspace(-3, 3, 7)
    out = run("Z[m] = gelu(A[m])", {"M": 7}, {"A": x})
    assert np.allclose(out["Z"], [v * 0.5 * (1 + erf(v / 2**0.5)) for v in x])
    near = run("Z[m] = gelu_tanh(A[m])", {"M": 7}, {"A": x})
    assert np.allclose(out["Z"], near["Z"], atol=2e-3)


def test_affine_indices_gather_with_stride_dilation_and_offset():
    x, w = np.arange(20.0), np.array([1.0, -2.0, 3.0])
    out = run("Y[p] = X[2*p+3*r+1] * W[r]", {"P": 5, "R": 3}, {"X": x[:16], "W": w})
    assert np.allclose(out["Y"], [sum(x[2 * p + 3 * r + 1] * w[r] for r in range(3)) for p in range(5)])


def test_an_index_may_run_backwards():
    x, w = np.arange(6.0), np.array([1.0, -2.0, 3.0])
    out = run("Y[p] = X[p-r+2] * W[r]", {"P": 4, "R": 3}, {"X": x, "W": w})
    assert np.allclose(out["Y"], np.convolve(x, w, "valid"))


def test_padding_reads_the_given_value_outside():
    x, w = np.arange(1.0, 6.0), np.array([1.0, 10.0, 100.0])
    out = run("Y[p] = X[H=p+r-1] * W[r]", {"P": 5, "R": 3, "H": 5}, {"X": x, "W": w}, pad={"X": 0})
    assert np.allclose(out["Y"], np.convolve(np.pad(x, 1), w[::-1], "valid"))
    pooled = run("Y[p] = max{r}(X[H=2*p+r-1])", {"P": 3, "R": 3, "H": 5}, {"X": -x}, pad={"X": -np.inf})
    assert np.array_equal(pooled["Y"], [-1, -2, -4])


def test_a_guard_takes_only_its_points():
    out = run("Z[m] = sum{k | k<=m}(A[k])", {"M": 4, "K": 4}, {"A": np.arange(1.0, 5.0)})
    assert np.array_equal(out["Z"], [1, 3, 6, 10])


@pytest.mark.parametrize(("relation", "expected"), [("<", 1), ("<=", 3), ("==", 2), (">=", 8), (">", 6)])
def test_every_relation_of_a_guard(relation, expected):
    out = run(f"Z[m] = sum{{k | k{relation}m+1}}(A[k])", {"M": 1, "K": 4}, {"A": np.array([1.0, 2, 2, 4])})
    assert out["Z"][0] == expected


def test_a_guarded_maximum_of_nothing_is_minus_infinity():
    out = run("Z[m] = max{k | k<m}(A[k])", {"M": 2, "K": 2}, {"A": np.array([3.0, 4.0])})
    assert np.array_equal(out["Z"], [-np.inf, 3])


def test_generations_run_one_after_the_other():
    lines = ["P[i] = S[i] * 0.5", "S[i+1] = P[i] + A[i]", "Z[] = exp(S[I])"]
    a = np.array([1.0, 2.0, 3.0])
    out = run(lines, {"I": 3}, {"A": a}, init={"S": 8})
    state, states = 8.0, [8.0]
    for value in a:
        state = state * 0.5 + value
        states.append(state)
    assert np.allclose(out["S"], states)
    assert np.allclose(out["Z"], np.exp(state))


def test_two_initial_generations_may_be_lines():
    lines = ["F[0] = 0", "F[1] = 1", "F[i+2] = F[i] + F[i+1]"]
    out = run(lines, {"I": 6}, {})
    assert out["F"].tolist() == [0, 1, 1, 2, 3, 5, 8, 13]


def test_an_initial_generation_may_be_computed():
    lines = ["H[0,d] = G[d] * 2", "H[i+1,d] = H[i,d] + X[i,d]"]
    out = run(lines, {"I": 2, "D": 2}, {"G": np.array([1.0, 2.0]), "X": np.ones((2, 2))})
    assert out["H"].tolist() == [[2, 4], [3, 5], [4, 6]]


def test_a_line_that_is_no_part_of_the_recurrence_sees_all_generations():
    lines = ["S[i+1] = S[i] + A[i]", "Z[] = sum{i}(S[i] * A[i])"]
    out = run(lines, {"I": 3}, {"A": np.array([1.0, 2.0, 3.0])}, init={"S": 0})
    assert out["Z"] == 0 * 1 + 1 * 2 + 3 * 3


def test_integers_stay_exact():
    a = np.full((2, 3), 2**40, dtype=np.int64)
    out = run("Z[m] = A[m,k] * B[k]", {"M": 2, "K": 3}, {"A": a, "B": np.full(3, 3, dtype=np.int64)})
    assert out["Z"].dtype == np.int64
    assert out["Z"].tolist() == [9 * 2**40] * 2


def test_a_named_rank_cuts_a_part_of_a_tensor():
    lines = ["T[m] = exp(A[m])", "Z[k] = log(T[M=k])"]
    out = run(lines, {"M": 4, "K": 2}, {"A": np.arange(4.0)})
    assert np.allclose(out["Z"], [0, 1])


def test_inputs_are_checked():
    with pytest.raises(SpecError) as caught:
        run("Z[m] = A[m,k] * B[k]", {"M": 3, "K": 4}, {"A": A.T, "C": B})
    messages = [problem.message for problem in caught.value.problems]
    assert messages == [
        "'C' is no input of the cascade 'cascade'",
        "the input A has the shape (4, 3)",
        "the input B is missing",
    ]


def test_an_operator_without_meaning_cannot_be_executed():
    with pytest.raises(SpecError, match="'lut' has a cost but no meaning"):
        run("Z[m] = lut(A[m])", {"M": 2}, {"A": np.ones(2)}, operators={"lut": {"lookup": 1}})


def test_a_space_too_large_is_refused():
    with pytest.raises(SpecError, match="more than are executed at once"):
        run("Z[m] = sum{k}(A[m] + A[m])", {"M": 2, "K": 2**30}, {"A": np.ones(2)})


def test_a_registered_operator_has_a_meaning(monkeypatch):
    monkeypatch.setattr("einloom.workloads.operators._REGISTRY", dict(_REGISTRY))  # no other test shall know it
    register_operator(Operator("cube_for_test", lambda x: x**3))
    out = run("Z[m] = cube_for_test(A[m])", {"M": 2}, {"A": np.array([2.0, 3.0])})
    assert out["Z"].tolist() == [8, 27]
    with pytest.raises(SpecError, match="registered already"):
        register_operator(Operator("cube_for_test", lambda x: x))
    with pytest.raises(SpecError, match="is no operator name"):
        register_operator(Operator("Cube", lambda x: x))
