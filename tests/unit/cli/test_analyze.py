"""``einloom analyze`` and ``einloom plot --kind ski_slope``."""

import csv

import pytest

import einloom


def test_analyze_prints_passes_live_elements_and_traffic(run):
    ran = run("analyze", "workloads/attention_1pass.yaml")
    assert (ran.status, ran.err) == (0, "")
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line.strip()}
    assert "BQK, then SLN" in ran.out
    assert "fiber [elements]" in ran.out
    assert rows["compulsory"].split()[1] == "805,306,368"


def test_analyze_as_json(run):
    (part,) = run("analyze", "workloads/attention_1pass.yaml", "--json").json["parts"]
    passes = {rank["rank"]: rank["passes"] for rank in part["ranks"]}
    assert passes == {"B": 1, "H": 1, "E": 1, "F": 1, "P": 1, "M": 1, "M0": 2}
    keys = next(rank for rank in part["ranks"] if rank["rank"] == "M")
    assert keys["footprint"]["state_elements"] == 66
    assert keys["inputs_read_in"] == {"BK": [1], "BV": [1]}
    assert part["io_bounds"]["capacity_bits"] is None


def test_a_capacity_adds_bounds_and_says_what_is_none(run):
    ran = run("analyze", "workloads/attention_3pass.yaml", "--capacity", "1MiB")
    assert "I/O lower bounds with 1 MiB of fast memory" in ran.out
    assert "no constant published" in ran.out
    bounds = run("analyze", "workloads/gemm.yaml", "--capacity", "4096 words", "--json").json["parts"][0]["io_bounds"]
    assert bounds["least_bits"] == 8 * (2 * 1024**3 / 64 - 2 * 4096)
    assert bounds["capacity_bits"] == 8 * 4096


def test_a_design_and_a_network_are_analysed_part_by_part(run):
    design = run("analyze", "designs/peer16_gemm.yaml", "--set", "workload.ranks.M=512", "--json").json
    assert [part["cascade"] for part in design["parts"]] == ["gemm"]
    network = run("analyze", "workloads/resnet18.yaml", "--json").json
    assert len(network["parts"]) > 1
    assert run("analyze", "workloads/bert_base.yaml").status == 0


def test_settings_reach_into_a_workload_file(run):
    (part,) = run("analyze", "workloads/gemm.yaml", "--set", "workload.ranks.M=2", "--json").json["parts"]
    assert part["operations"] == {"mac": 2 * 1024 * 1024}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["workloads/gemm.yaml", "--capacity", "12"], "'12' has no unit"),
        (["workloads/gemm.yaml", "--capacity", "-1 KiB"], "'-1 KiB' is no size of a memory"),
        (["workloads/gemm.yaml", "--capacity", "inf"], "'inf' is no size of a memory"),
        (["arch/peer16.yaml"], "is a file of kind 'architecture': it has no workload"),
        (["workloads/gemm.yaml", "--set", "architecture.rows=2"], "'architecture.rows' is no path into a workload"),
        (["workloads/gemm.yaml", "--set", "workload.ranks.Q=2"], "Q"),
        (["workloads/gem.yaml"], "workloads/gem.yaml"),
    ],
)
def test_what_is_at_fault_is_said(run, arguments, message):
    ran = run("analyze", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert message in ran.err


def test_the_same_from_python():
    found = einloom.analyze("workloads/attention_3pass.yaml", capacity="1 MiB", set={"workload.ranks.P": 64})
    assert found.parts[0].over("M").count == 3
    assert found.to_dict()["workload"] == "attention_3pass"


def test_plot_draws_a_ski_slope_and_its_data(run, tmp_path):
    figure = tmp_path / "slope.pdf"
    small = [f"workload.ranks.{rank}=32" for rank in "MNK"]
    ran = run("plot", "--kind", "ski_slope", "workloads/gemm.yaml", "-o", figure,
              *(word for value in small for word in ("--set", value)))  # fmt: skip
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.split() == [str(figure), str(figure.with_suffix(".csv"))]
    assert figure.stat().st_size > 1000
    with figure.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["bound_bytes"]) <= float(row["best_bytes"]) for row in rows)
    assert float(rows[-1]["best_bytes"]) == 3 * 32 * 32


def test_a_ski_slope_in_no_format_is_refused_before_any_work(run):
    ran = run("plot", "--kind", "ski_slope", "workloads/gemm.yaml", "-o", "slope.doc")
    assert ran.status == 1
    assert "is no format for a figure" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "ski_slope", "workloads/gemm.yaml", "--x", "latency_s"], "--x, --y and --by are for --kind pareto"),
        (["study", "--set", "architecture.rows=2"], "--set is for --kind ski_slope"),
    ],
)
def test_an_option_of_the_other_kind_is_a_usage_error(run, arguments, message):
    ran = run("plot", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err
