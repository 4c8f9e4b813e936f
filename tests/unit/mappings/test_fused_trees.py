"""A mapping tree with its places: how lists grow, what is said of lists that do not end, text that reads back."""

from fractions import Fraction

import pytest

from einloom.errors import MappingError
from einloom.mappings import AUTO, Bind, Child, Group, Hold, Loop, MappingPlan, parse_nodes, parse_plan, plan_data
from einloom.mappings.tree import common, grow, placed_on, ways

LINES = [
    "DRAM holds A, Z",
    "for m in 4",
    {"sequential": [
        {"T": ["for k in 2", "MAC"]},
        {"rest": ["GLB holds R", {"pipelined": [{"R": ["MAC"]}, {"Z": ["for n in 2", "MAC"]}]}]},
    ]},
]  # fmt: skip


def tree(data):
    problems = []
    nodes = parse_nodes(data, problems)
    assert not problems
    return nodes


def test_every_node_knows_where_it_stands():
    root = grow(tree(LINES))
    assert (root.schedule, root.is_leaf, [child.label for child in root.children]) == (
        "sequential",
        False,
        ["T", "rest"],
    )
    first, rest = root.children
    assert first.place == (2, "sequential", 0, "T")
    assert first.bind == Bind("MAC")
    assert [placed.place for placed in first.nodes] == [(2, "sequential", 0, "T", 0)]
    assert rest.children[1].nodes[0].place == (2, "sequential", 1, "rest", 1, "pipelined", 1, "Z", 0)


def test_equal_lines_at_two_places_are_two_nodes():
    children = [{"T": ["for k in 2", "MAC"]}, {"Z": ["for k in 2", "MAC"]}]
    one, other = (child.nodes[0] for child in grow(tree([{"sequential": children}])).children)
    assert one.node == other.node
    assert one != other


def test_ways_go_from_the_root_to_the_leaves_in_the_order_of_the_text():
    found = list(ways(grow(tree(LINES))))
    assert [way[-1].label for way in found] == ["T", "R", "Z"]
    assert [str(placed.node) for placed in placed_on(found[2])] == [*LINES[:2], "GLB holds R", "for n in 2"]
    assert [branch.label for branch in common(found[1], found[2])] == ["", "rest"]
    assert [branch.label for branch in common(found[0], found[2])] == [""]


def test_a_list_knows_its_own_loops_and_holds():
    root = grow(tree(LINES))
    assert [placed.node for placed in root.loops()] == [Loop("m", 4)]
    assert [hold for _, hold in root.holds()] == [Hold("DRAM", ("A", "Z"))]
    assert [branch.label for branch in root.walk()] == ["", "T", "rest", "R", "Z"]


def test_a_schedule_right_below_a_schedule_has_no_label():
    root = grow(tree([{"sequential": [{"pipelined": [{"T": ["MAC"]}]}, {"Z": ["MAC"]}]}]))
    assert root.children[0].label == ""
    assert root.children[0].children[0].place == (0, "sequential", 0, 0, "pipelined", 0, "T")


def test_all_lists_that_do_not_end_are_named_at_once():
    data = [{"sequential": [{"T": ["for k in 2"]}, {"R": ["MAC", "for m in 2", "MAC"]}, {"Z": ["MAC"]}]}]
    with pytest.raises(MappingError) as caught:
        grow(tree(data))
    assert [problem.message for problem in caught.value.problems] == [
        "T does not end in a compute or a schedule",
        "'MAC' stands before the end of its list",
    ]


def test_what_follows_a_schedule_is_refused():
    with pytest.raises(MappingError, match="`sequential:` stands before the end of its list"):
        grow((Group("sequential", (Child("T", (Bind("MAC"),)),)), Bind("MAC")))


def test_no_lines_are_no_tree():
    with pytest.raises(MappingError, match="the mapping does not end in a compute or a schedule"):
        grow(())


# -- text

TREES = [
    LINES,
    ["GLB holds QK 0.25, SN 1/3 in place of QK, A s in place of SN", "forward SN", {"phases": [{"Z": ["MAC"]}]}],
    ["for m in M/256", "spatial PE.X n in auto", {"pipelined": [{"sequential": [{"T": ["C1"]}]}, {"Z": ["C2"]}]}],
]


@pytest.mark.parametrize("lines", TREES)
def test_a_tree_prints_what_was_written(lines):
    plan = parse_plan(lines)
    assert plan_data(plan) == lines
    assert parse_plan(plan_data(plan)) == plan


def test_what_stands_in_place_of_another_is_read():
    hold = tree(TREES[1])[0]
    assert hold.over == ("", "QK", "SN")
    assert hold.shares == (Fraction(1, 4), Fraction(1, 3), "s")
    assert hold.only({"SN"}) == Hold("GLB", ("SN",), (Fraction(1, 3),), ("QK",))


def test_a_tree_with_its_ramp_and_parameters_stands_below_nodes():
    data = {"parameters": {"s": "1/3"}, "ramp": "steady_state", "nodes": TREES[1]}
    plan = parse_plan(data)
    assert plan == MappingPlan(tree=tree(TREES[1]), parameters={"s": Fraction(1, 3)}, ramp=False)
    assert plan_data(plan) == data
    assert parse_plan({"ramp": "counted", "nodes": LINES}) == parse_plan(LINES)


def test_auto_bounds_stay_open():
    assert tree(TREES[2])[1].bound == AUTO
