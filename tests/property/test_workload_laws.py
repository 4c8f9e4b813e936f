"""Laws of Einsums and cascades on generated examples."""

from __future__ import annotations

import math
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from einloom.errors import SpecError
from einloom.workloads import Cascade, Einsum, parse_einsum
from einloom.workloads.expressions import (
    Affine,
    Binary,
    Call,
    Guard,
    Index,
    Negation,
    Number,
    Reduction,
    Reference,
    Statement,
)
from einloom.workloads.grammar import tokenize

VARIABLES = ("m", "n", "k0", "pQ")
RANKS = ("M", "N", "K0", "Rest_2")
TENSORS = ("A", "Bx", "C_1", "Q2")


# -- syntax: any tree, valid as a cascade or not


@st.composite
def affines(draw):
    names = draw(st.lists(st.sampled_from(VARIABLES + RANKS), unique=True, max_size=3))
    coefficients = st.integers(-9, 9).filter(bool)
    return Affine(tuple((draw(coefficients), name) for name in names), draw(st.integers(-20, 20)))


def references(max_indices=3):
    indices = st.lists(st.builds(Index, affines(), st.none() | st.sampled_from(RANKS)), max_size=max_indices)
    return st.builds(Reference, st.sampled_from(TENSORS), indices.map(tuple))


GUARDS = st.builds(Guard, affines(), st.sampled_from(("<=", "<", "==", ">=", ">")), affines())
NUMBERS = st.builds(Number, st.floats(0, allow_nan=False) | st.integers(0, 10**6).map(float))
BOUND = st.lists(st.sampled_from(VARIABLES), min_size=1, max_size=3, unique=True).map(tuple)


def composed(inner):
    return (
        st.builds(Binary, st.sampled_from(("add", "sub", "mul", "div")), inner, inner)
        | st.builds(Negation, inner)
        | st.builds(
            Call, st.sampled_from(("exp", "max", "my_op")), st.lists(inner, min_size=1, max_size=3).map(tuple)
        )
        | st.builds(Reduction, st.sampled_from(("sum", "max")), BOUND, st.none() | GUARDS, inner)
    )


EXPRESSIONS = st.recursive(references() | NUMBERS, composed, max_leaves=12)
STATEMENTS = st.builds(Statement, references(), EXPRESSIONS)


@given(STATEMENTS)
def test_printing_and_parsing_an_einsum_is_the_identity(statement):
    assert parse_einsum(str(statement)) == statement


@given(STATEMENTS, st.data())
def test_blanks_do_not_matter(statement, data):
    words = [token.text for token in tokenize(str(statement))]
    blanks = data.draw(
        st.lists(st.sampled_from(("", " ", "  ", "\t")), min_size=len(words), max_size=len(words))
    )
    assert parse_einsum("".join(word + blank for word, blank in zip(words, blanks, strict=True))) == statement


def problems_of(text):
    try:
        parse_einsum(text)
    except SpecError as error:
        return error.problems
    return ()


@given(STATEMENTS, st.data())
def test_a_damaged_line_parses_or_says_where(statement, data):
    text = str(statement)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(("", "(", "]", "+", "=", "|", "é", " x", "9.", "{k}")))
    damaged = text[:at] + other + text[at + 1 :]
    for problem in problems_of(damaged):
        assert 0 <= problem.offset <= len(damaged)
        assert problem.message
        assert problem.hint


@given(st.text(max_size=40))
def test_any_text_parses_or_says_where(text):
    for problem in problems_of(text):
        assert 0 <= problem.offset <= len(text)


# -- cascades: small, valid, executable


SIZES = {"M": 3, "N": 2, "K": 4, "R": 2}


SHAPES = {"A": "mk", "B": "kn", "C": "m", "X": "mn"}
"""Inputs with their variables; ``X`` is read through a window over ``m``."""


def read_of(tensor, variables):
    """``X[2*m+r,n]``, ``A[m,k]``"""
    indices = ["2*m+r" if tensor == "X" and variable == "m" else variable for variable in variables]
    return f"{tensor}[{','.join(indices)}]"


@st.composite
def lines(draw, name):
    """A valid line over inputs and the variables on its left: a product or a sum, perhaps reduced."""
    tensors = draw(st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=3))
    body = draw(st.sampled_from((" * ", " + ", " - "))).join(
        read_of(tensor, SHAPES[tensor]) for tensor in tensors
    )
    used = sorted(set(re.findall(r"\b[mnkr]\b", body)))
    reduced = draw(st.lists(st.sampled_from(used), unique=True))
    wrap = draw(st.sampled_from(("{}", "exp({} / 64)", "relu({})", "-({})", "max({}, 1)")))
    if reduced:
        operator = draw(st.sampled_from(("sum", "max", "mean", "min")))
        body = f"{operator}{{{','.join(reduced)}}}({wrap.format(body)})"
    kept = "".join(variable for variable in used if variable not in reduced)
    return f"{name}[{','.join(kept)}] = {wrap.format(body)}", kept


@st.composite
def cascades(draw):
    """One to four lines; a line may add an earlier result whose variables it has."""
    text, shapes = [], {}
    for number in range(draw(st.integers(1, 4))):
        line, kept = draw(lines(f"T{number}"))
        for other, variables in shapes.items():
            if set(variables) <= set(kept) and draw(st.booleans()):
                line += f" + {read_of(other, variables)}"
        text.append(line)
        shapes[f"T{number}"] = kept
    used = {rank for rank in SIZES if re.search(rf"\b{rank.lower()}\b", " ".join(text))}
    return Cascade.parse(text, {rank: size for rank, size in SIZES.items() if rank in used})


def inputs_of(cascade):
    generator = np.random.default_rng(0)
    return {name: generator.integers(-4, 5, size=cascade.shape(name)) for name in cascade.inputs}


def renamed(cascade, table):
    """The cascade with other rank names; ``table`` by old name."""

    def change(match):
        known = table[match[0].upper()]
        return known[0].lower() + known[1:]

    text = [re.sub(r"\b[mnkr]\b", change, str(einsum)) for einsum in cascade.einsums]
    return Cascade.parse(text, {table[rank]: size for rank, size in cascade.ranks.items()})


@given(cascades(), st.permutations(("M", "N", "K", "R", "Batch", "H_2", "Z9")))
@settings(deadline=None)
def test_renaming_ranks_changes_nothing(cascade, names):
    table = dict(zip(SIZES, names, strict=False))
    other = renamed(cascade, table)
    inputs = inputs_of(cascade)
    ours, theirs = cascade.run(inputs), other.run(inputs)
    assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)
    assert cascade.operations() == other.operations()
    assert dict(cascade.compulsory_traffic().elements) == dict(other.compulsory_traffic().elements)
    try:
        sized = cascade.sized()
    except SpecError:
        return
    assert [einsum.shape_key for einsum in sized] == [einsum.shape_key for einsum in other.sized()]


@given(cascades())
@settings(deadline=None)
def test_compulsory_traffic_is_at_most_the_bounding_boxes(cascade):
    elements = cascade.compulsory_traffic().elements
    assert set(elements) == {*cascade.inputs, *cascade.outputs}
    assert all(1 <= count <= cascade.size(tensor) for tensor, count in elements.items())


@given(cascades())
@settings(deadline=None)
def test_touched_elements_are_those_whose_change_is_seen(cascade):
    """Reading an input as an index tells which elements the lines gather."""
    for tensor in cascade.inputs:
        shape = cascade.shape(tensor)
        seen = np.zeros(shape, dtype=bool)
        for einsum in cascade.einsums:
            for reference in einsum.inputs:
                if reference.tensor == tensor:
                    for point in np.ndindex(*(cascade.extents[v] for v in reference.variables)):
                        values = dict(zip(reference.variables, point, strict=True))
                        seen[tuple(value_of(index.affine, values) for index in reference.indices)] = True
        assert cascade.compulsory_traffic().elements[tensor] == seen.sum()


def value_of(affine, values):
    return affine.constant + sum(coefficient * values[name] for coefficient, name in affine.terms)


@given(cascades())
@settings(deadline=None)
def test_sized_operations_are_the_operations_of_the_cascade(cascade):
    try:
        sized = cascade.sized()
    except SpecError:
        return
    total: dict[str, int] = {}
    for einsum in sized:
        for operator, count in einsum.operations().items():
            total[operator] = total.get(operator, 0) + count
    assert total == cascade.operations()


@given(st.permutations(("p", "q", "c", "r", "s")), st.integers(2, 5))
def test_flattening_keeps_points_and_operations_whatever_the_group(order, count):
    conv = "Y[k,p,q] = X[c,2*p+r,q+s] * W[k,c,r,s]"
    einsum = Cascade.parse([conv], {"K": 2, "P": 3, "Q": 4, "C": 2, "R": 3, "S": 2}).sized()[0]
    kept = tuple(v for v in order[:count] if v in "pq")
    reduced = tuple(v for v in order[:count] if v in "crs")
    groups = {name: group for name, group in (("x", kept), ("y", reduced)) if group}
    flat = einsum.flattened(groups)
    assert flat.points == einsum.points
    assert flat.operations() == einsum.operations()
    assert all(
        flat.size(new) >= einsum.size(old) for new, old in zip(flat.accesses, einsum.accesses, strict=True)
    )
    assert flat.extents.get("x", 1) == math.prod(einsum.extents[v] for v in kept)


@given(STATEMENTS)
def test_an_einsum_prints_as_its_statement(statement):
    assert str(Einsum.parse(str(statement))) == str(statement)
