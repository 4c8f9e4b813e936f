import json
from dataclasses import replace

from analytic import BUFFER, CLOCK, COLS, FLOW, ROWS, make_plan

from einloom.search.plan import Plan
from einloom.search.space import Finite


def test_a_plan_goes_to_json_and_back_without_loss():
    lists = Finite("architecture.levels.Reg.holds", (("A", "B"), ("B",)))
    plan = make_plan(
        dimensions=(ROWS, COLS, FLOW, BUFFER, CLOCK, lists),
        demands=("area_mm2 <= 10", "power_w<2"),
        workloads=("small.yaml", "large.yaml"),
        networks=("small", "large"),
        aggregate="geomean",
    ).with_files({"designs/array.yaml": "version: 1"})
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_grid_has_no_more_trials_than_points():
    plan = make_plan("grid", None, dimensions=(ROWS, FLOW))
    assert plan.total == 15
    assert replace(plan, trials=100).total == 15
    assert replace(plan, trials=4).total == 4
    assert make_plan("random", 100, dimensions=(ROWS, FLOW)).total == 100


def test_the_digest_changes_with_any_file_that_results_depend_on():
    plan = make_plan().with_files({"search.yaml": "a"})
    assert plan.digest == make_plan().with_files({"search.yaml": "a"}).digest
    assert plan.digest != plan.with_files({"design.yaml": "b"}).digest
    assert plan.digest != make_plan().with_files({"search.yaml": "c"}).digest


def test_the_digest_of_a_plan_from_no_file_changes_with_the_plan():
    assert make_plan(seed=1).digest == make_plan(seed=1).digest != make_plan(seed=2).digest


def test_the_digest_does_not_depend_on_where_files_stand():
    here = make_plan().with_files({"search.yaml": "a", "design.yaml": "b"})
    there = make_plan().with_files({"/elsewhere/search.yaml": "a", "/elsewhere/design.yaml": "b"})
    assert here.digest == there.digest
