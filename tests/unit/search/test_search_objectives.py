import math

import pytest
from analytic import array, two_networks

from einloom.errors import SpecError
from einloom.search.metrics import METRICS, metric
from einloom.search.objectives import Objective, combine, expand, metrics_of, parse_constraint, parse_name

POINT = {"architecture.rows": 16, "architecture.cols": 16, "architecture.dataflow": "weight_stationary"}
BASE = {
    "latency_s": 0.002,
    "energy_pj": 3e9,
    "area_um2": 2.5e6,
    "power_w": 1.5,
    "cycles": 2_000_000,
    "utilization": 0.5,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("latency_s", 0.002), ("latency_ms", 2.0), ("latency_us", 2000.0), ("latency_ns", 2e6),
        ("energy_j", 0.003), ("energy_mj", 3.0), ("energy_uj", 3000.0), ("energy_nj", 3e6),
        ("energy_pj", 3e9),
        ("energy_fj", 3e12), ("area_um2", 2.5e6), ("area_mm2", 2.5), ("power_w", 1.5), ("power_mw", 1500.0),
        ("edp_js", 6e-6), ("edp_ujs", 6.0), ("cycles", 2_000_000), ("utilization", 0.5),
    ],
)  # fmt: skip
def test_a_metric_may_be_asked_for_in_any_unit(name, expected):
    assert metric(name).of(BASE) == pytest.approx(expected, rel=1e-15)


def test_power_follows_from_energy_and_latency_where_it_is_not_given():
    assert metric("power_w").of({"energy_pj": 3e12, "latency_s": 2.0}) == 1.5


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_that_cannot_be_derived_is_not_a_number(name):
    assert math.isnan(metric(name).of({}))


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "energy_kwh",
            "'energy_kwh': energy has no unit 'kwh'",
            "write one of: energy_j, energy_mj, energy_uj",
        ),
        ("energy", "'energy' names no unit", "write one of: energy_j"),
        ("latancy_s", "no metric is named 'latancy_s'", "did you mean 'latency_s'?"),
        ("utilisation", "no metric is named 'utilisation'", "did you mean 'utilization'?"),
    ],
)
def test_an_unknown_metric_is_named_with_what_there_is(name, message, hint):
    with pytest.raises(SpecError) as caught:
        metric(name)
    assert caught.value.problems[0].message == message
    assert caught.value.problems[0].hint.startswith(hint)


def test_a_network_is_named_before_the_metric():
    assert parse_name("large.energy_uj", ["small", "large"]) == ("large", metric("energy_uj"))
    with pytest.raises(SpecError, match="no network is named 'larg'"):
        parse_name("larg.energy_uj", ["small", "large"])


def test_objectives_are_one_per_network_but_for_what_belongs_to_the_design():
    objectives = [Objective(metric("latency_s"), "min"), Objective(metric("area_mm2"), "min")]
    names = [objective.name for objective in expand(objectives, ["small", "large"], None)]
    assert names == ["small.latency_s", "large.latency_s", "area_mm2"]
    assert [objective.name for objective in expand(objectives, ["small", "large"], "sum")] == [
        "latency_s",
        "area_mm2",
    ]
    assert [objective.name for objective in expand(objectives, ["small"], None)] == ["latency_s", "area_mm2"]


def test_an_objective_of_one_network_reads_the_metrics_of_that_network():
    metrics, alone = two_networks(POINT), array(POINT)
    assert Objective(metric("latency_s"), "min", "large").of(metrics) == 4 * alone["latency_s"]
    assert Objective(metric("area_um2"), "min", "large").of(metrics) == alone["area_um2"]


def test_a_sum_runs_the_networks_one_after_another():
    whole, alone = metrics_of(two_networks(POINT), aggregate="sum"), array(POINT)
    assert whole["latency_s"] == pytest.approx(5 * alone["latency_s"])
    assert whole["energy_pj"] == pytest.approx(3 * alone["energy_pj"])
    assert whole["area_um2"] == alone["area_um2"]
    assert metric("edp_js").of(whole) == pytest.approx(15 * metric("edp_js").of(alone))
    assert metric("power_w").of(whole) == pytest.approx(0.6 * metric("power_w").of(alone))


def test_a_sum_weighs_utilization_by_cycles():
    parts = [{"cycles": 100, "utilization": 1.0}, {"cycles": 300, "utilization": 0.5}]
    assert combine(parts, "sum")["utilization"] == 0.625


def test_a_geometric_mean_goes_metric_by_metric():
    whole, alone = metrics_of(two_networks(POINT), aggregate="geomean"), array(POINT)
    assert whole["latency_s"] == pytest.approx(2 * alone["latency_s"])
    assert whole["edp_js"] == pytest.approx(math.sqrt(8) * metric("edp_js").of(alone))
    assert whole["power_w"] == pytest.approx(math.sqrt(0.5) * metric("power_w").of(alone))


def test_a_maximum_goes_metric_by_metric():
    whole, alone = metrics_of(two_networks(POINT), aggregate="max"), array(POINT)
    assert whole["power_w"] == pytest.approx(metric("power_w").of(alone))
    assert whole["latency_s"] == 4 * alone["latency_s"]


def test_a_metric_that_one_network_lacks_has_no_aggregate():
    assert "energy_pj" not in combine([{"energy_pj": 1.0}, {"latency_s": 1.0}], "sum")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("area_mm2 <= 2.5", True), ("area_mm2 < 2.5", False), ("area_mm2 >= 2.5", True),
        ("area_mm2 > 2.5", False),
        ("area_mm2 == 2.5", True), ("area_mm2<=2.4", False), ("  power_mw  <=1500 ", True),
        ("cycles == 3", False),
        ("utilization > .4", True), ("latency_us <= 1e3", False), ("area_mm2 >= -1", True),
        ("power_w > 0", True),
    ],
)  # fmt: skip
def test_a_constraint_compares_in_the_unit_that_it_names(text, kept):
    constraint = parse_constraint(text)
    assert (constraint.violation(BASE) <= 0) == kept
    assert (constraint.reason(BASE) == "") == kept


def test_a_broken_constraint_gives_both_numbers():
    assert parse_constraint("area_mm2 <= 2").reason(BASE) == "area_mm2 is 2.5, not <= 2"


def test_a_violation_is_relative_to_the_bound():
    assert parse_constraint("area_mm2 <= 2").violation(BASE) == 0.25
    assert parse_constraint("power_w >= 3").violation(BASE) == 0.5


def test_a_constraint_on_an_unknown_metric_is_not_kept():
    constraint = parse_constraint("dsp <= 100")
    assert constraint.violation(BASE) == math.inf
    assert constraint.reason(BASE) == "dsp is not known, so 'dsp <= 100' cannot be checked"


def test_a_constraint_holds_for_each_network_or_for_their_aggregate():
    metrics = {"small.latency_s": 1.0, "large.latency_s": 3.0, "area_um2": 1.0}
    assert parse_constraint("latency_s <= 2").reason(metrics) == "latency_s is 3, not <= 2"
    assert parse_constraint("latency_s <= 2").reason(metrics, "geomean") == ""
    assert parse_constraint("small.latency_s <= 2", ["small", "large"]).reason(metrics) == ""
    assert parse_constraint("area_um2 <= 1").reason(metrics) == ""


@pytest.mark.parametrize(
    ("text", "message", "offset", "length"),
    [
        ("area_mm2 =< 10", "'=<' is no comparison", 9, 2),
        ("area_mm2 10", "'area_mm2 10' has no comparison", 9, 2),
        ("area_mm2", "'area_mm2' has no comparison", 8, 1),
        ("area_mm2 <=", "'area_mm2 <=' has no number after '<='", 11, 1),
        ("area_mm2 <= ten", "'ten' is not a number", 12, 3),
        ("area_mm2 <= nan", "'nan' is not a number", 12, 3),
        ("area_mm2 <= 10 mm2", "'mm2' is too much", 15, 3),
        ("  area_m2 <= 10", "'area_m2': area has no unit 'm2'", 2, 7),
        ("<= 10", "'<= 10' does not start with a metric", 0, 2),
        ("10 >= area_mm2", "'10 >= area_mm2' does not start with a metric", 0, 2),
        ("", "'' does not start with a metric", 0, 1),
        ("big.latency_s <= 1", "no network is named 'big'", 0, 3),
        ("small.latency_m <= 1", "'latency_m': latency has no unit 'm'", 6, 9),
    ],
)
def test_a_constraint_that_is_not_one_is_marked_at_the_character(text, message, offset, length):
    with pytest.raises(SpecError) as caught:
        parse_constraint(text, ["small"])
    problem = caught.value.problems[0]
    assert (problem.message, problem.offset, problem.length) == (message, offset, length)
    assert problem.hint


def test_the_metrics_of_the_only_network_are_those_of_the_design():
    assert metrics_of({"only.latency_s": 2.0, "area_um2": 5.0}) == {"latency_s": 2.0, "area_um2": 5.0}
