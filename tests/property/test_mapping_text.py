"""The text that a mapping prints is the text that reproduces it: nodes, nests, plans, fused trees."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import yaml
from hypothesis import assume
from hypothesis import strategies as st
from strategies import cases, expect, law

from einloom.errors import MappingError
from einloom.mappings import (
    AUTO,
    Bind,
    Child,
    Forward,
    Group,
    Hold,
    Loop,
    MappingPlan,
    Nest,
    Spatial,
    nest_data,
    parse_node,
    parse_nodes,
    parse_plan,
    plan_data,
    resolved,
)
from einloom.mappings.bounds import Expression, evaluate, parse_bound, print_bound
from einloom.mappings.nodes import SCHEDULES
from einloom.spec.document import parse

KEYWORDS = ("for", "spatial", "forward", "holds", "auto", *SCHEDULES, "nodes", "parameters")
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,4}", fullmatch=True).filter(lambda word: word not in KEYWORDS)
VARIABLES = WORDS.map(lambda word: word[0].lower() + word[1:]).filter(lambda word: word not in KEYWORDS)
NUMBERS = st.integers(1, 2**62 - 1)

EXPRESSIONS = st.builds(
    Expression,
    WORDS,
    st.lists(st.tuples(st.sampled_from("*/"), NUMBERS | WORDS), max_size=3).map(tuple),
) | st.builds(
    Expression, NUMBERS, st.lists(st.tuples(st.sampled_from("*/"), NUMBERS | WORDS), min_size=1, max_size=3).map(tuple)
)
BOUNDS = NUMBERS | st.just(AUTO) | EXPRESSIONS
SHARES = st.just(Fraction(1)) | st.fractions(0, 1).filter(bool) | st.decimals("0.01", 1, places=2).map(Fraction) | WORDS


@st.composite
def holds(draw):
    tensors = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    return Hold(draw(WORDS), tuple(tensors), tuple(draw(SHARES) for _ in tensors))


LOOPS = st.builds(Loop, VARIABLES, BOUNDS) | st.builds(Spatial, WORDS, WORDS, VARIABLES, BOUNDS)
LINES = holds() | LOOPS | st.builds(Forward, WORDS)
LEAVES = st.tuples(st.lists(LINES, max_size=4).map(tuple), st.builds(Bind, WORDS)).map(
    lambda parts: (*parts[0], parts[1])
)


def trees(children):
    """Lines, then a schedule node whose children are Einsums, labelled groups or schedules."""
    labelled = st.builds(Child, WORDS, children)
    groups = st.builds(Group, st.sampled_from(SCHEDULES), st.lists(labelled, min_size=1, max_size=3).map(tuple))
    nested = st.builds(lambda group: Child("", (group,)), groups)
    mixed = st.builds(Group, st.sampled_from(SCHEDULES), st.lists(labelled | nested, min_size=1, max_size=3).map(tuple))
    return st.tuples(st.lists(LINES, max_size=3).map(tuple), mixed).map(lambda parts: (*parts[0], parts[1]))


TREES = st.recursive(LEAVES, trees, max_leaves=5)
FLATTENINGS = st.dictionaries(
    VARIABLES, st.lists(VARIABLES, min_size=1, max_size=3, unique=True).map(tuple), max_size=2
)
NESTS = st.builds(Nest, LEAVES, FLATTENINGS)
PARAMETERS = st.dictionaries(
    WORDS, st.integers(1, 10**6).map(Fraction) | st.decimals("0.001", 1000, places=3).map(Fraction), max_size=3
)
PLANS = st.builds(
    MappingPlan, st.dictionaries(WORDS, NESTS, min_size=1, max_size=3), st.just(()), PARAMETERS
) | st.builds(MappingPlan, st.just({}), TREES, PARAMETERS)


@law(LINES | st.builds(Bind, WORDS), share=4)
def test_printing_and_parsing_a_node_is_the_identity(node):
    assert parse_node(str(node)) == node


@law(BOUNDS, share=4)
def test_printing_and_parsing_a_bound_is_the_identity(bound):
    assert parse_bound(print_bound(bound)) == bound


@law(LINES, st.sampled_from((" ", "  ", "\t")), share=2)
def test_blanks_between_words_do_not_matter(node, blank):
    assert parse_node(blank + str(node).replace(" ", blank) + blank) == node


@law(TREES)
def test_printing_and_parsing_a_tree_is_the_identity(nodes):
    problems = []
    assert parse_nodes(plan_data(MappingPlan(tree=nodes)), problems) == nodes
    assert not problems


@law(NESTS)
def test_printing_and_parsing_a_nest_is_the_identity(nest):
    assert parse_plan({"Z": nest_data(nest)}).nests["Z"] == nest


@law(PLANS)
def test_a_plan_survives_its_data_yaml_and_json(plan):
    data = plan_data(plan)
    assert parse_plan(data) == plan
    assert parse_plan(json.loads(json.dumps(data))) == plan
    assert parse_plan(parse(yaml.safe_dump({"mapping": data})).data["mapping"]) == plan


@law(cases())
def test_a_legal_nest_is_reproduced_by_its_lines(case):
    assert parse_plan({"Z": case.nest.lines()}).nests["Z"] == case.nest


@law(st.text(alphabet="formspatil hdX.,*/0129BKinM_\t-", max_size=30) | st.text(max_size=12), share=4)
def test_any_line_is_a_node_or_a_message(line):
    """A line that is accepted also prints as what was read."""
    try:
        node = parse_node(line)
    except MappingError as error:
        (problem,) = error.problems
        assert problem.message
        assert problem.hint
        assert 0 <= problem.offset <= len(line)
    else:
        assert parse_node(str(node)) == node


@law(st.integers(1, 10**6), st.integers(1, 1000), st.integers(1, 1000), share=2)
def test_a_quotient_rounds_up_and_goes_from_the_left(size, first, second):
    numbers = {"M": size}
    assert evaluate(parse_bound(f"M/{first}"), numbers) == -(-size // first)
    assert evaluate(parse_bound(f"M/{first}/{second}"), numbers) == -(-size // (first * second))
    assert evaluate(parse_bound(f"M*{first}/{second}"), numbers) == -(-size * first // second)


@law(NESTS, share=1)
def test_resolving_a_resolved_nest_changes_nothing(nest):
    numbers = {name: 3 for node in nest.nodes for name in _names(node)}
    assume(not any(getattr(node, "bound", None) is AUTO for node in nest.nodes))
    shares = {s: Fraction(1, 2) for node in nest.nodes for s in getattr(node, "shares", ()) if isinstance(s, str)}
    try:
        once = resolved(nest.nodes, {**numbers, **shares})
    except MappingError as error:
        expect(error, "out of range", "not a whole number")
    else:
        assert resolved(once, {}) == once
        assert resolved(parse_plan({"Z": [str(node) for node in once]}).nests["Z"].nodes, {}) == once


def _names(node):
    bound = getattr(node, "bound", None)
    if isinstance(bound, Expression):
        yield from (factor for factor in (bound.first, *(f for _, f in bound.rest)) if isinstance(factor, str))


def test_auto_is_left_to_the_mapper():
    with pytest.raises(MappingError, match="`auto` leaves the bound to the mapper"):
        resolved((Loop("m", AUTO),), {"M": 4})
