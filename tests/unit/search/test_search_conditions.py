"""Dimensions that count only with certain values of another: whole machines, and what only one of them has."""

import pytest

import einloom as el
from einloom.api import load_study_plan
from einloom.search.plan import Plan
from einloom.search.samplers import to_params, to_point
from einloom.search.space import Finite, Real, Space, key
from einloom.search.study import dry_run

MACHINE = Finite("architecture", ("array.yaml", "pim.yaml"))
ROWS = Finite("architecture.rows", (8, 16), when=(("architecture", ("array.yaml",)),))
CLOCK = Real("architecture.clock", 1.0, 2.0, unit="GHz", when=(("architecture", ("pim.yaml",)),))
DEPTH = Finite("architecture.depth", (1, 2), when=(("architecture.rows", (16,)),))
SPACE = Space((MACHINE, ROWS, CLOCK, DEPTH))

FILE = """
version: 1
search:
  design: designs/peer16_gemm.yaml
  space:
    architecture: [arch/peer16.yaml, arch/peer16_ws.yaml]
    architecture.levels.GLB.capacity: {choices: [64 KiB, 128 KiB], when: {architecture: arch/peer16.yaml}}
  objectives: {latency_s: min, energy_j: min}
  sampler: {name: random, seed: 0}
  trials: 6
"""


def full(machine, rows=8, depth=1):
    return {"architecture": machine, "architecture.rows": rows, "architecture.clock": "1.5 GHz",
            "architecture.depth": depth}  # fmt: skip


def test_only_what_counts_is_kept_also_through_others():
    assert SPACE.counting(full("pim.yaml")) == {"architecture": "pim.yaml", "architecture.clock": "1.5 GHz"}
    assert SPACE.counting(full("array.yaml")) == {"architecture": "array.yaml", "architecture.rows": 8}
    assert SPACE.counting(full("array.yaml", 16, 2)) == {
        "architecture": "array.yaml", "architecture.rows": 16, "architecture.depth": 2,
    }  # fmt: skip


def test_points_that_differ_in_what_does_not_count_are_one():
    points = [to_point(SPACE, to_params(SPACE, full("pim.yaml", rows, depth))) for rows in (8, 16) for depth in (1, 2)]
    assert len({key(point) for point in points}) == 1


def test_a_condition_is_said():
    assert ROWS.describe() == "8, 16, when architecture is array.yaml"
    assert CLOCK.describe() == "1 to 2 GHz, when architecture is pim.yaml"


def test_a_plan_keeps_its_conditions(tmp_path):
    (tmp_path / "s.yaml").write_text(FILE, encoding="utf-8")
    plan, build = load_study_plan(tmp_path / "s.yaml")
    assert Plan.from_dict(plan.to_dict()) == plan
    assert dry_run(plan, build).sample.state == "feasible"


def test_a_study_over_machines_runs_each_with_what_it_has(tmp_path):
    (tmp_path / "s.yaml").write_text(FILE.replace("designs/peer16_gemm.yaml", """
    workload: {name: g, ranks: {M: 8, N: 8, K: 8}, bits: {default: 8}, cascade: ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]}
    architecture: arch/peer16.yaml"""), encoding="utf-8")  # fmt: skip
    result = el.explore(tmp_path / "s.yaml", folder=tmp_path / "results", progress=False)
    by_machine = {}
    for trial in result.trials:
        assert trial.state == "feasible", trial.reason
        by_machine.setdefault(trial.params["architecture"], set()).add(frozenset(trial.params))
    both = frozenset({"architecture", "architecture.levels.GLB.capacity"})
    assert by_machine == {"arch/peer16.yaml": {both}, "arch/peer16_ws.yaml": {frozenset({"architecture"})}}
    assert result._repr_html_().count("<td>") == len(result.front) * 4


@pytest.mark.parametrize(("old", "new", "message"), [
    ("arch/peer16.yaml}}", "arch/peer.yaml}}", "'architecture' is never 'arch/peer.yaml'"),
    ("when: {architecture:", "when: {architecure:", "'architecure' is no list of choices above"),
    ("when: {architecture: arch/peer16.yaml}", "when: peer16", "'peer16' is no condition"),
    ("when: {architecture: arch/peer16.yaml}", "when: {architecture: []}", "a list is no value"),
    ("choices: [64 KiB, 128 KiB]", "choices: 3", "'3' is no list of choices"),
    ("choices: [64 KiB, 128 KiB]", "choices: [64 KiB, 64 kg]", "the unit 'kg' is not known here"),
    ("name: random", "name: grid", "a grid would visit what does not count"),
])  # fmt: skip
def test_a_condition_that_cannot_hold_is_told_at_its_line(tmp_path, old, new, message):
    assert old in FILE
    (tmp_path / "s.yaml").write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(el.SpecError, match=message):
        load_study_plan(tmp_path / "s.yaml")
