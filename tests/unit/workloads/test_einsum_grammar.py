"""The grammar of one line: what parses to what, and where a mistake is."""

from __future__ import annotations

import pytest

from einloom.errors import SpecError
from einloom.workloads import parse_einsum
from einloom.workloads.expressions import Affine, Binary, Call, Index, Negation, Number, Reduction, Reference


def problem_of(line):
    with pytest.raises(SpecError) as caught:
        parse_einsum(line)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("Z[m,n]=A[m,k]*B[k,n]", "Z[m,n] = A[m,k] * B[k,n]"),
        ("Z[] = sum{k}(A[k])", "Z[] = sum{k}(A[k])"),
        ("Y[p] = X[r + 2*p - 1] * W[r]", "Y[p] = X[r+2*p-1] * W[r]"),
        ("Y[p] = X[H=2*p+r-3] * W[r]", "Y[p] = X[H=2*p+r-3] * W[r]"),
        ("RM[m1+1,p] = max(RM[m1,p], LM[m1,p])", "RM[m1+1,p] = max(RM[m1,p], LM[m1,p])"),
        ("AV[f,p] = RNV[M1,f,p] / RD[M1,p]", "AV[f,p] = RNV[M1,f,p] / RD[M1,p]"),
        ("X[0,p] = -inf", "X[0,p] = -inf"),
        ("Z[m] = sum{ k,j | k<=m-1 }( A[k,j] )", "Z[m] = sum{k,j | k<=m-1}(A[k,j])"),
        ("Z[m] = ((A[m]))", "Z[m] = A[m]"),
        ("Z[m] = A[m] - (B[m] - C[m])", "Z[m] = A[m] - (B[m] - C[m])"),
        ("Z[m] = (A[m] - B[m]) - C[m]", "Z[m] = A[m] - B[m] - C[m]"),
        ("Z[m] = (A[m] + 1e-5) * 0.5", "Z[m] = (A[m] + 1e-05) * 0.5"),
        ("Z[m] = A[m] / (B[m] * C[m])", "Z[m] = A[m] / (B[m] * C[m])"),
        ("Z[m] = -(A[m] + B[m])", "Z[m] = -(A[m] + B[m])"),
        ("Z[m] = --A[m] * B[m]", "Z[m] = --A[m] * B[m]"),
        ("Z[m] = A[m,-k+3] * B[k]", "Z[m] = A[m,-k+3] * B[k]"),
    ],
)
def test_a_line_prints_in_canonical_form_and_parses_back(line, printed):
    statement = parse_einsum(line)
    assert str(statement) == printed
    assert parse_einsum(printed) == statement


def test_products_bind_before_sums_and_associate_to_the_left():
    a, b, c = (Reference(name, ()) for name in "ABC")
    assert parse_einsum("Z[] = A[] - B[] * C[]").expression == Binary("sub", a, Binary("mul", b, c))
    assert parse_einsum("Z[] = A[] / B[] * C[]").expression == Binary("mul", Binary("div", a, b), c)


def test_a_minus_binds_closer_than_a_product():
    expression = parse_einsum("Z[] = -A[] * 2").expression
    assert expression == Binary("mul", Negation(Reference("A", ())), Number(2))


def test_an_index_collects_equal_variables():
    index = parse_einsum("Z[] = A[p+p-q+1+q+2]").expression.indices[0]
    assert index == Index(Affine(((2, "p"),), 3))


def test_calls_and_reductions_are_told_apart_by_their_bracket():
    expression = parse_einsum("Z[] = max(max{k}(A[k]), B[])").expression
    assert expression == Call(
        "max",
        (Reduction("max", ("k",), None, Reference("A", (Index(Affine(((1, "k"),))),))), Reference("B", ())),
    )


def test_nodes_know_where_they_stand():
    line = "Z[m] = exp(A[m,2*k])"
    reference = parse_einsum(line).expression.arguments[0]
    assert line[slice(reference.span[0], sum(reference.span))] == "A[m,2*k]"
    affine = reference.indices[1].affine
    assert line[slice(affine.span[0], sum(affine.span))] == "2*k"


@pytest.mark.parametrize(
    ("line", "at", "message", "hint"),
    [
        ("", 0, "the line is empty", "for example"),
        ("A[m,k] * B[k,n]", 0, "the Einsum has no output", "Z[...] = A[m,k] * B[k,n]"),
        ("= A[m]", 0, "the Einsum has no output", "Z[...] = A[m]"),
        ("Z[m] =", 5, "nothing follows the '='", "write the expression"),
        ("Z = A[m]", 0, "the tensor 'Z' has no index", "Z[] for a scalar"),
        ("Z[m] = A", 7, "the tensor 'A' has no index", "A[] for a scalar"),
        (
            "z[m] = A[m]",
            0,
            "'z' is lower case",
            "Rank names are upper case ('M'), rank variables lower case ('m')",
        ),
        ("Z[m] = a[m]", 7, "'a' is lower case", "write A[...]"),
        ("Z[m] = Exp(A[m])", 7, "'Exp' is upper case: operators are lower case", "write exp("),
        ("Z[m] = sum{K}(A[m,k])", 11, "'K' is a rank, a rank variable is meant", "write k"),
        ("Z[m] = sum{k,k}(A[m,k])", 13, "the variable 'k' stands twice", "once"),
        ("Z[m] = sum{k}A[m,k]", 13, "expected '(', found 'A'", "sum{k}(...)"),
        ("Z[m] = sum{k | k}(A[m,k])", 16, "expected a comparison, found '}'", "<="),
        ("Z[m] = k", 7, "'k' is a rank variable or an operator, not a value", "A[k]"),
        ("Z[m] = A[m", 10, "expected ']', found the end of the line", "close with ]"),
        ("Z[m] = (A[m]", 12, "expected ')', found the end of the line", "character 8"),
        ("Z[m] = A[m])", 11, "')' is left over", "close every bracket once"),
        ("Z[m] = A[m] B[m]", 12, "'B' is left over", "join terms"),
        ("Z[m] = A[m] ** 2", 13, "'**' is no operator", "square"),
        ("Z[m] = A[m*2]", 10, "the factor of 'm' must be a whole number in front", "2*m"),
        ("Z[m] = A[1.5*m]", 9, "1.5 is not a whole number", "whole"),
        ("Z[m] = A[B[m]]", 9, "'B[' does not belong in an index", "whole multiples"),
        ("Z[m] = A[m=k]", 9, "'m' is no rank", "RANK=affine"),
        ("Z[m] = A[m] ^ 2", 12, "'^' does not belong in an Einsum", "square(x)"),
        ("Z[m] = A[m] × B[m]", 12, "'×' does not belong in an Einsum", "write *"),
        ("Z[m] = A[]]", 10, "']' is left over", "close every bracket once"),
        ("Z[m,] = A[m]", 4, "expected an index, found ']'", "for example m"),
        ("Z[m] = * A[m]", 7, "expected a tensor, a number or an operator, found '*'", "A[m,k]"),
        ("Z[m] = A[m] = B[m]", 12, "'=' is left over", "join terms"),
        ("Z[m] = exp()", 11, "expected a tensor, a number or an operator, found ')'", "exp(x)"),
    ],
)
def test_a_mistake_is_shown_at_its_character(line, at, message, hint):
    problem = problem_of(line)
    assert problem.message.startswith(message)
    assert hint in problem.hint
    assert problem.offset == at


def test_the_caret_covers_the_whole_word():
    problem = problem_of("Z[m] = Softmax(A[m])")
    assert (problem.offset, problem.length) == (7, len("Softmax"))


def test_deep_nesting_is_refused_not_crashed():
    assert "nested more than" in problem_of("Z[] = " + "(" * 5000 + "A[]").message
    assert "nested more than" in problem_of("Z[] = " + "-" * 5000 + "A[]").message


def test_a_line_of_a_million_characters_is_refused():
    assert "1000006 characters" in problem_of("Z[] = " + "A" * 10**6).message
