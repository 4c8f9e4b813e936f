# ruff: noqa: E501 - in a table of mistakes, a mistake is a line

from pathlib import Path

import pytest

from einloom.errors import SpecError
from einloom.search.plan import SamplerChoice
from einloom.search.space import Finite, Real
from einloom.spec.document import parse
from einloom.spec.search import load_search, parts_of

GOOD = """\
version: 1
search:
  design: designs/edge_systolic.yaml
  space:
    architecture.rows: {int: [4, 64], step: powers_of_2}
    architecture.cols: {int: [4, 30], step: 8}
    architecture.dataflow: [weight_stationary, output_stationary]
    architecture.buffer: [64 KiB, 128 KiB, 256 KiB]
    architecture.clock: {float: [0.5, 2], log: true, unit: GHz}
    mapping.parameters.P1: {divisors_of: P}
  workloads: [workloads/bert_base.yaml, workloads/resnet50.yaml]
  objectives: {latency_s: min, energy_j: min, area_mm2: min}
  constraints: ["area_mm2 <= 10", "bert_base.power_w <= 2"]
  sampler: {name: nsga2, seed: 3, population: 20}
  trials: 500
"""
RANKS = {"P": 12, "M": 4}
SMALL = """\
version: 1
search:
  design: d.yaml
  space: {architecture.rows: [4, 8]}
  objectives: {latency_s: min}
  trials: 5
"""


def load(text, ranks=RANKS):
    return load_search(parse(text, "search/edge.yaml"), ranks)


def problems(text, ranks=RANKS):
    with pytest.raises(SpecError) as caught:
        load(text, ranks)
    return caught.value.problems


def changed(old, new, text=SMALL):
    assert old in text
    return text.replace(old, new)


def test_a_search_file_becomes_a_plan():
    plan = load(GOOD)
    assert plan.name == "edge"
    assert plan.design == "designs/edge_systolic.yaml"
    assert plan.workloads == ("workloads/bert_base.yaml", "workloads/resnet50.yaml")
    assert plan.networks == ("bert_base", "resnet50")
    assert plan.trials == plan.total == 500
    assert plan.sampler == SamplerChoice("nsga2", 3, 20)
    assert [(objective.name, objective.direction) for objective in plan.objectives] == [
        ("latency_s", "min"), ("energy_j", "min"), ("area_mm2", "min"),
    ]  # fmt: skip
    assert [constraint.text for constraint in plan.constraints] == [
        "area_mm2 <= 10",
        "bert_base.power_w <= 2",
    ]
    assert plan.constraints[1].network == "bert_base"
    assert plan.files[0][0] == "search/edge.yaml"


def test_every_kind_of_dimension_is_read():
    rows, cols, flow, buffer, clock, p1 = load(GOOD).space.dimensions
    assert rows == Finite("architecture.rows", (4, 8, 16, 32, 64), "steps", "", "powers of 2")
    assert cols == Finite("architecture.cols", range(4, 31, 8), "integers")
    assert flow == Finite("architecture.dataflow", ("weight_stationary", "output_stationary"))
    assert buffer.value(2) == "256 KiB"
    assert clock == Real("architecture.clock", 0.5, 2.0, log=True, unit="GHz")
    assert p1 == Finite("mapping.parameters.P1", (1, 2, 3, 4, 6, 12), "steps", "", "divisors of P = 12")


def test_divisors_stay_open_until_the_ranks_are_known():
    assert load(GOOD, None).space.dimensions[-1].describe() == "divisors of P"
    assert parts_of(parse(GOOD)) == (
        "designs/edge_systolic.yaml",
        ("workloads/bert_base.yaml", "workloads/resnet50.yaml"),
    )


def test_divisors_of_a_number_need_no_rank():
    plan = load(changed("[4, 8]", "{divisors_of: 6}"), None)
    assert plan.space.dimensions[0].values == (1, 2, 3, 6)


def test_a_range_of_powers_of_two_may_have_a_unit():
    plan = load(changed("[4, 8]", "{int: [16, 64], step: powers_of_2, unit: KiB}"))
    assert [point["architecture.rows"] for point in plan.space.grid()] == ["16 KiB", "32 KiB", "64 KiB"]


def test_a_choice_may_be_a_list():
    plan = load(changed("[4, 8]", "[[A, B], [B], true, 1.5]"))
    assert [point["architecture.rows"] for point in plan.space.grid()] == [["A", "B"], ["B"], True, 1.5]


def test_the_sampler_has_a_default_by_the_number_of_objectives():
    assert load(SMALL).sampler == SamplerChoice("tpe")
    assert load(changed("{latency_s: min}", "{latency_s: min, energy_j: min}")).sampler == SamplerChoice(
        "nsga2"
    )
    assert load(SMALL + "  sampler: random\n").sampler == SamplerChoice("random")


def test_a_grid_needs_no_number_of_trials():
    plan = load(changed("  trials: 5\n", "  sampler: grid\n"))
    assert (plan.trials, plan.total) == (None, 2)


def test_a_study_may_have_a_name_of_its_own():
    assert load(SMALL + "  name: edge-2.1\n").name == "edge-2.1"


def test_a_changed_comment_changes_the_hash():
    assert load(SMALL).digest == load(SMALL).digest != load(SMALL + "# more\n").digest


def test_a_design_and_a_workload_may_stand_in_the_file():
    text = changed("design: d.yaml", "design: {workload: a.yaml, architecture: b.yaml}")
    plan = load(text + "  workloads: [{name: tiny, ranks: {M: 4}}, w.yaml]\n")
    assert plan.design == {"workload": "a.yaml", "architecture": "b.yaml"}
    assert plan.networks == ("tiny", "w")


def test_all_problems_of_a_file_are_reported_in_its_order():
    found = problems(
        """\
version: 2
search:
  desing: d.yaml
  space:
    archtecture.rows: [4, 8]
    architecture.cols: {int: [64, 4]}
    architecture.clock: {float: [0, 2], log: true, units: GHz}
    architecture.dataflow: []
  workloads: [a.yaml, b/a.yaml]
  objectives: {latancy_s: min, energy_j: small}
  constraints: ["area_mm2 =< 10", power_w <= 2 W]
  sampler: {name: nsga4, sead: 3}
  trials: 0
"""
    )
    assert [(problem.line, problem.message) for problem in found] == [
        (1, "'2' is not a known version"),
        (2, "is missing"),
        (3, "the key 'desing' is not known here"),
        (5, "'archtecture.rows' is no path into a design"),
        (6, "the range [64, 4] is empty"),
        (7, "the range [0, 2] has no logarithm"),
        (7, "the key 'units' is not known here"),
        (8, "'architecture.dataflow' has no choices"),
        (9, "a second workload is called 'a'"),
        (10, "no metric is named 'latancy_s'"),
        (10, "'small' is no direction"),
        (11, "'=<' is no comparison"),
        (11, "'W' is too much"),
        (12, "no sampler is named 'nsga4'"),
        (12, "the key 'sead' is not known here"),
        (13, "'0' is no number of trials"),
    ]
    assert all(problem.hint for problem in found)


def test_a_bad_constraint_is_marked_at_its_character():
    (problem,) = problems(SMALL + '  constraints: ["area_mm2 =< 10"]\n')
    assert str(problem) == (
        "search/edge.yaml:7:27: search.constraints[0]: '=<' is no comparison\n"
        '   7 |   constraints: ["area_mm2 =< 10"]\n'
        "     |                           ^^\n"
        "  comparisons: <=, >=, ==, <, >"
    )


def test_a_constraint_without_quotes_is_marked_at_its_character():
    (problem,) = problems(SMALL + "  constraints:\n    - area_mm3 <= 10\n")
    assert (problem.line, problem.column, problem.message) == (8, 7, "'area_mm3': area has no unit 'mm3'")


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("[4, 8]", "4", "'4' is no set of values", "write one of: [8, 16, 32]"),
        ("[4, 8]", "{}", "'architecture.rows' has no values", "write one of: [8, 16, 32]"),
        ("[4, 8]", "{int: [4, 8], float: [1, 2]}", "'architecture.rows' has int and float, but is one of them", "write"),
        ("[4, 8]", "{int: 4}", "'4' is no range", "write two whole numbers: [low, high]"),
        ("[4, 8]", "{int: [4, 8.5]}", "'8.5' is not one of two whole numbers", "write [low, high]"),
        ("[4, 8]", "{int: [4, true]}", "true is not one of two whole numbers", "write [low, high]"),
        ("[4, 8]", "{int: [4, 99999999999999999999]}", "[4, 99999999999999999999] is too far out", "at most"),
        ("[4, 8]", "{int: [5, 7], step: powers_of_2}", "no power of 2 lies in [5, 7]", "widen the range"),
        ("[4, 8]", "{int: [5, 7], step: 0}", "'0' is no step", "write a whole number of at least 1, or powers_of_2"),
        ("[4, 8]", "{int: [5, 7], step: power_of_2}", "'power_of_2' is no step", "write a whole number"),
        ("[4, 8]", "{int: [5, 7], log: true}", "the key 'log' is not known here", "keys: int, step, unit"),
        ("[4, 8]", "{float: [1, .inf]}", "'inf' is not one of two numbers", "write [low, high]"),
        ("[4, 8]", "{float: [1, 2], log: 10}", "'10' is not true or false", "write log: true"),
        ("[4, 8]", "{float: [1, 2], unit: 3}", "'3' is no unit", "write a unit"),
        ("[4, 8]", "{divisors_of: Q}", "the workload has no rank 'Q'", "ranks: M, P"),
        ("[4, 8]", "{divisors_of: 0}", "0 has no divisors to list", "from 1 to"),
        ("[4, 8]", "{divisors_of: [P]}", "a list has no divisors", "write a rank of the workload"),
        ("[4, 8]", "[4, 8, 4]", "'4' stands twice", "keep one of them"),
        ("[4, 8]", "[1, true]", "true stands twice", "keep one of them"),
        ("[4, 8]", "[{rows: 4}, 8]", "a mapping is no choice", "a choice is a word"),
        ("[4, 8]", "[.nan, 8]", "'nan' is no choice", "a choice is a word"),
        ("[4, 8]", "[null, 8]", "nothing is no choice", "a choice is a word"),
        ("{architecture.rows: [4, 8]}", "[4, 8]", "a list is no space", "write paths into the design"),
        ("architecture.rows", "architecture..rows", "'architecture..rows' is no path into a design", "write names"),
        ("d.yaml", "7", "'7' is no design", "write the path of a design file"),
        ("d.yaml", "", "nothing is no design", "write the path of a design file"),
        ("{latency_s: min}", "latency_s", "'latency_s' names no objective", "write metrics and their directions"),
        ("{latency_s: min}", "{latency: min}", "'latency' names no unit", "write one of: latency_s, latency_ms"),
        ("{latency_s: min}", "{cycles: }", "nothing is no direction", "write min or max; latency improves by: min"),
        ("{latency_s: min}", "{bert.cycles: min}", "no network is named 'bert'", "one workload has no network to name"),
        ("trials: 5", "trials: many", "'many' is no number of trials", "write a whole number from 1 to 10000000"),
        ("trials: 5", "trials: 5.0", "'5.0' is no number of trials", "write a whole number"),
        ("trials: 5", "trials: true", "true is no number of trials", "write a whole number"),
        ("  trials: 5\n", "", "is missing", "add `trials:`"),
        ("trials: 5", "trials: 5\n  aggregate: mean", "no aggregate is named 'mean'", "did you mean 'geomean'?"),
        ("trials: 5", "trials: 5\n  sampler: 3", "no sampler is named '3'", "samplers: grid, random, qmc, tpe"),
        ("trials: 5", "trials: 5\n  sampler: {seed: -1}", "'-1' is no seed", "write a whole number from 0 to"),
        ("trials: 5", "trials: 5\n  sampler: {name: nsga2, population: 1}", "'1' is no size of a population", "write"),
        ("trials: 5", "trials: 5\n  sampler: {name: tpe, population: 9}", "the sampler 'tpe' has no population", "samplers"),
        ("trials: 5", "trials: 5\n  workloads: a.yaml", "'a.yaml' is not a list of workloads", "write [workloads/"),
        ("trials: 5", "trials: 5\n  workloads: [3]", "'3' is no workload", "write the path of a workload file"),
        ("trials: 5", "trials: 5\n  constraints: area_mm2 <= 1", "'area_mm2 <= 1' is not a list", "write ["),
        ("trials: 5", "trials: 5\n  constraints: [3]", "'3' is no constraint", "write"),
        ("trials: 5", "trials: 5\n  name: ../up", "'../up' is no name", "the study's folder is called by it"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_what_to_type(old, new, message, hint):
    (problem,) = problems(changed(old, new))
    assert problem.message == message
    assert problem.hint.startswith(hint)
    assert problem.line > 0


def test_a_grid_over_real_numbers_is_marked_at_the_dimension():
    (problem,) = problems(changed("[4, 8]", "{float: [1, 2]}") + "  sampler: grid\n")
    assert problem.message == "a grid cannot visit every real number"
    assert problem.field == "search.space.architecture.rows"


def test_the_same_objective_twice_is_an_error():
    text = SMALL + "  workloads: [a.yaml, b.yaml]\n"
    (problem,) = problems(changed("{latency_s: min}", "{latency_s: min, b.latency_s: min}", text))
    assert problem.message == "'b.latency_s' is an objective already"


@pytest.mark.parametrize(
    "text", ["3", "[]", "version: 1", "version: 1\nsearch:", "version: 1\nsearch: [a]", "search: {}"]
)
def test_a_file_without_a_search_is_refused(text):
    assert problems(text)


def test_the_name_of_a_study_is_the_stem_of_its_file():
    assert load_search(parse(SMALL, str(Path("a") / "b.c.yaml"))).name == "b.c"


@pytest.mark.parametrize("key", ["desi[gn", "int", "str", "function-x"])
def test_an_unknown_key_is_named_whatever_it_looks_like(key):
    (problem,) = problems(SMALL + f"  {key}: 3\n")
    assert (problem.message, problem.line) == (f"the key '{key}' is not known here", 7)
