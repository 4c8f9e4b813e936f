"""One search over four families of accelerators: every family has designs within the power budget, on the same work."""

import pytest

from einloom.api import load_study_plan

SEARCH = "search/bitnet_families.yaml"
MACHINES = {
    "arch/edge_pim.yaml": {"architecture.channels": 4, "architecture.companion_lanes": 64},
    "arch/edge_lut.yaml": {"architecture.tables": 28, "architecture.lanes": 16, "architecture.planes": 3},
    "arch/edge_dataflow.yaml": {"architecture.lanes": 256},
    "arch/edge_systolic.yaml": {"architecture.rows": 16, "architecture.cols": 32},
}
TERNARY = 679_477_248
"""Weights of the blocks (BitNet b1.58 0.7B)."""
TOKENS = 128 + 127
"""Of the prompt, and those that go through the blocks once more."""
HEAD = 32_002 * 1536 * 128


def metrics(machine):
    plan, build = load_study_plan(SEARCH)
    found = build({"architecture": machine, **MACHINES[machine]})
    for constraint in plan.constraints:
        assert constraint.violation(found) <= 0, constraint.reason(found)
    return found


@pytest.mark.parametrize("machine", list(MACHINES)[:3])
def test_a_family_has_a_design_within_the_budget(machine):
    found = metrics(machine)
    assert found["energy_pj"] > 0
    assert found["latency_s"] > 0


@pytest.mark.slow
def test_the_systolic_array_too():
    assert metrics("arch/edge_systolic.yaml")["latency_s"] > 0


def test_the_space_has_the_four_families_and_what_each_has_alone():
    plan, _ = load_study_plan(SEARCH)
    (machines,) = [d for d in plan.space.dimensions if d.path == "architecture"]
    assert set(machines.values) == set(MACHINES)
    assert {path for d in plan.space.dimensions if d.when for path, _ in d.when} == {"architecture"}


def test_the_families_run_the_same_work():
    """Multiplications of the ternary projections and of the head, on top of which attention and norms come."""
    _, build = load_study_plan(SEARCH)
    designs = [build.load({"architecture": machine, **point}) for machine, point in MACHINES.items()]
    work = {sum(design.workload.operations().values()) for design in designs}
    assert len(work) == 1
    products = designs[0].workload.operations()["mac"]
    attention = products - TERNARY * TOKENS - HEAD
    assert 0 < attention < 0.25 * products


def test_two_channels_do_not_hold_the_network_as_bf16():
    from einloom.errors import MappingError

    _, build = load_study_plan(SEARCH)
    with pytest.raises(MappingError, match="bits of DRAM"):
        build({"architecture": "arch/edge_pim.yaml", "architecture.channels": 2})
