"""The text form of mappings: what is read, what is printed, where a mistake is."""

from fractions import Fraction

import pytest

from einloom.errors import MappingError
from einloom.mappings import (
    AUTO,
    Bind,
    Forward,
    Group,
    Hold,
    Loop,
    MappingPlan,
    Nest,
    Spatial,
    parse_node,
    parse_plan,
    plan_data,
    resolved,
    walk,
)
from einloom.mappings.bounds import evaluate, parse_bound


@pytest.mark.parametrize(
    ("line", "node"),
    [
        ("GLB holds A, B", Hold("GLB", ("A", "B"))),
        ("GLB holds A 0.25, B 1/3, C s", Hold("GLB", ("A", "B", "C"), (Fraction(1, 4), Fraction(1, 3), "s"))),
        ("for m in 4", Loop("m", 4)),
        ("for m1 in auto", Loop("m1", AUTO)),
        ("spatial PE.X n in 16", Spatial("PE", "X", "n", 16)),
        ("forward SN", Forward("SN")),
        ("MAC", Bind("MAC")),
        ("holdsome", Bind("holdsome")),
    ],
)
def test_a_line_is_a_node(line, node):
    assert parse_node(line) == node
    assert str(node) == line


@pytest.mark.parametrize(
    ("line", "message", "offset"),
    [
        ("for m in 0", "the bound 0 is out of range", 9),
        ("for m in 4611686018427387904", "the bound 4611686018427387904 is out of range", 9),
        ("for m in M/", "'M/' is not a bound", 11),
        ("for m in *2", "'[*]2' is not a bound", 9),
        ("for m in -2", "'-2' is not a bound", 9),
        ("for M in 2", "'M' is no rank variable", 4),
        ("spatial PE.X N in 2", "'N' is no rank variable", 13),
        ("GLB holds A,", "'' is not a tensor", 12),
        ("GLB holds A 2", "the share 2 is out of range", 0),
        ("GLB holds A 0", "the share 0 is out of range", 0),
        ("GLB holds A 1/0", "'1/0' divides by zero", 0),
        ("GLB holds A, A", "names a tensor twice", 0),
        ("spatial", "'spatial' alone is not a mapping node", 0),
        ("for m 4", "'for m 4' is not a mapping node", 0),
    ],
)
def test_a_mistake_in_a_line_is_at_its_character(line, message, offset):
    with pytest.raises(MappingError, match=message) as caught:
        parse_node(line)
    assert caught.value.problems[0].offset == offset


@pytest.mark.parametrize(
    ("text", "numbers", "value"),
    [
        ("M/256", {"M": 1000}, 4),
        ("M/256", {"M": 1024}, 4),
        ("2*T", {"T": 8}, 16),
        ("M/2/3", {"M": 10}, 2),  # (10 / 2) / 3, each rounded up
        ("10*F", {"F": Fraction(1, 2)}, 5),
    ],
)
def test_a_bound_is_evaluated_from_the_left_and_quotients_round_up(text, numbers, value):
    assert evaluate(parse_bound(text), numbers) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("M", "no rank or parameter is named 'M'"),
        ("3*F", "'3[*]F' is 3/2, not a whole number"),
        ("4/Z", "'4/Z' divides by zero"),
        ("Z", "the bound 0 is out of range"),
        ("auto", "`auto` leaves the bound to the mapper"),
    ],
)
def test_a_bound_that_is_no_count_says_why(text, message):
    with pytest.raises(MappingError, match=message):
        evaluate(parse_bound(text), {"F": Fraction(1, 2), "Z": 0})


def test_a_plan_has_nests_parameters_and_flattenings():
    plan = parse_plan(
        {
            "parameters": {"T": 8, "half": 0.5, "most": "128/129"},
            "O": {"flatten": {"x": ["c", "r"]}, "nodes": ["DRAM holds O", "for x in T", "MAC"]},
        }
    )
    assert plan.parameters == {"T": 8, "half": Fraction(1, 2), "most": Fraction(128, 129)}
    assert plan_data(plan)["parameters"] == {"T": 8, "half": 0.5, "most": "128/129"}
    assert plan.nests["O"].flatten == {"x": ("c", "r")}
    assert parse_plan(plan_data(plan)) == plan


def test_a_list_is_a_fused_tree():
    data = ["DRAM holds Q", {"pipelined": [{"QK": ["PE"]}, {"soft": [{"sequential": [{"SN": ["PE"]}]}]}]}]
    plan = parse_plan(data)
    assert plan_data(plan) == data
    kinds = [node.schedule for node in walk(plan.tree) if isinstance(node, Group)]
    assert kinds == ["pipelined", "sequential"]
    assert [node for node in walk(plan.tree) if isinstance(node, Bind)] == [Bind("PE"), Bind("PE")]


@pytest.mark.parametrize(
    ("data", "message", "path"),
    [
        (7, "is not a mapping", ()),
        ({}, "maps nothing", ()),
        ({"Z": 7}, "is not a nest", ("Z",)),
        ({"Z": {"nodes": ["MAC"], "flat": {}}}, "is not a nest", ("Z",)),
        ({"Z": {"nodes": ["MAC"], "flatten": {"k": []}}}, "is not a flattening", ("Z", "flatten")),
        ({"nodes": ["MAC"], "Z": ["MAC"]}, "a fused tree stands alone", ("Z",)),
        ({"parameters": [], "Z": ["MAC"]}, "is not a mapping", ("parameters",)),
        ({"parameters": {"T": True}, "Z": ["MAC"]}, "'True' is not a number", ("parameters", "T")),
        ({"parameters": {"T": float("nan")}, "Z": ["MAC"]}, "'nan' is not a number", ("parameters", "T")),
        ({"parameters": {"T": "1/0"}, "Z": ["MAC"]}, "'1/0' is not a number", ("parameters", "T")),
        ({"parameters": {"T": "-1/2"}, "Z": ["MAC"]}, "'-1/2' is not a number", ("parameters", "T")),
        ({"parameters": {"2T": 2}, "Z": ["MAC"]}, "'2T' is not a name", ("parameters", "2T")),
        ([{"sequential": []}], "has no children", (0, "sequential")),
        ([{"sequential": ["MAC"]}], "is not one Einsum or group", (0, "sequential", 0)),
        ([{"parallel": []}], "'parallel' is not a schedule", (0,)),
        ([{"parallel": 1}], "YAML read this line as a mapping", (0,)),
        ([["MAC"]], "YAML read this line as a list", (0,)),
        ([None], "'null' is not a mapping node", (0,)),
    ],
)
def test_a_mistake_in_a_plan_is_at_its_place(data, message, path):
    with pytest.raises(MappingError, match=message) as caught:
        parse_plan(data)
    assert caught.value.problems[0].path == path
    assert caught.value.problems[0].hint


def test_all_mistakes_of_a_plan_are_told_at_once():
    with pytest.raises(MappingError) as caught:
        parse_plan({"Z": ["for m in 0", "MAC", "for"], "Y": 3})
    assert [problem.path for problem in caught.value.problems] == [("Z", 0), ("Z", 2), ("Y",)]


def test_all_bounds_that_do_not_resolve_are_told_at_once():
    nodes = (Loop("m", parse_bound("P/2")), Loop("n", 4), Hold("GLB", ("A",), ("s",)), Loop("k", AUTO))
    with pytest.raises(MappingError) as caught:
        resolved(nodes, {"M": 4})
    assert [problem.path for problem in caught.value.problems] == [(0,), (2,), (3,)]


def test_a_nest_hashes_and_names_its_compute():
    nest = Nest((Loop("m", 4), Bind("MAC")), {"k": ("c", "r")})
    assert nest.compute == "MAC"
    assert hash(nest) == hash(Nest((Loop("m", 4), Bind("MAC")), {"k": ("c", "r")}))
    assert MappingPlan({"Z": nest}) == MappingPlan({"Z": nest})
    with pytest.raises(MappingError, match="does not end in a compute"):
        _ = Nest((Loop("m", 4),)).compute
