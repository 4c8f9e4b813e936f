"""``einloom evaluate`` and the JSON that others build on: keys, types, streams and exit status."""

import json

import pytest

GEMM = "designs/peer16_gemm.yaml"

NUMBER = (int, float)
TOP = {
    "version": int, "design": str, "cycles": NUMBER, "latency_s": float, "energy_pj": float,
    "area_um2": (float, type(None)),
    "power_w": float, "operations": int, "utilization": dict, "bound_by": str, "proof": (str, type(None)), "gap": float,
    "space": (str, type(None)), "repeat": int, "mapping": dict, "einsums": dict, "energy_pj_by": dict,
    "streamed": dict, "resources": dict,
}  # fmt: skip
EINSUM = {
    "cycles": NUMBER, "energy_pj": float, "binding": str, "mapping": list, "flatten": dict, "memories": dict,
    "computes": dict, "links_energy_pj": float, "leakage_pj": float, "terms_cycles": dict, "bound_by": str,
    "repeat": int, "utilization": float, "reuse": dict,
    "proof": (str, type(None)), "gap": float, "space": (str, type(None)), "notes": list,
    "search": (dict, type(None)), "events": dict, "events_pj": dict, "resources": dict,
}  # fmt: skip
MEMORY = {
    "busy_cycles": NUMBER, "energy_pj": float, "tensors": dict, "occupancy": NUMBER, "occupancy_unit": str,
}  # fmt: skip
SEARCH = {"candidates": int, "costed": int, "compulsory": dict, "distance": (float, type(None)), "binds": list}
LIMIT = {"what": str, "where": str, "used": NUMBER, "limit": NUMBER, "unit": str}
COUNTS = {"reads", "writes", "fills", "updates", "drains", "occupancy_words"}
COMPUTE = {
    "operations": int, "busy_cycles": NUMBER, "energy_pj": float, "instances": int, "instances_used": int,
}  # fmt: skip


def assert_shape(data, expected):
    """Exactly these keys, each of its type."""
    assert data.keys() == expected.keys()
    wrong = [key for key, value in data.items() if not isinstance(value, expected[key]) or isinstance(value, bool)]
    assert wrong == []


def assert_result(data):
    """The object of section 'Command line and JSON' of the user guide, all the way down."""
    assert_shape(data, TOP)
    assert data["version"] == 1
    for einsum in data["einsums"].values():
        assert_shape(einsum, EINSUM)
        assert all(isinstance(line, str) for line in einsum["mapping"])
        assert all(isinstance(cycles, NUMBER) for cycles in einsum["terms_cycles"].values())
        assert {"compute", "stall"} <= einsum["terms_cycles"].keys()
        for memory in einsum["memories"].values():
            assert_shape(memory, MEMORY)
            for counts in memory["tensors"].values():
                assert_shape(counts, dict.fromkeys(COUNTS, int))
        for compute in einsum["computes"].values():
            assert_shape(compute, COMPUTE)
        if einsum["search"] is not None:
            assert_shape(einsum["search"], SEARCH)
            assert_shape(einsum["search"]["compulsory"], {"energy_pj": float, "cycles": NUMBER})
            for limit in einsum["search"]["binds"]:
                assert_shape(limit, LIMIT)


@pytest.mark.parametrize("design", [GEMM, "designs/tpu_like_conv.yaml"])
def test_json_of_evaluate_has_exactly_the_documented_keys(run, design):
    ran = run("evaluate", design, "--json")
    assert (ran.status, ran.err) == (0, "")
    assert_result(ran.json)
    assert ran.json["proof"] is None


def test_json_of_map_has_exactly_the_documented_keys(run):
    ran = run("map", "designs/peer16_attention.yaml", "--no-fusion", "--json")
    assert (ran.status, ran.err) == (0, "")
    assert_result(ran.json)
    assert ran.json["proof"] == "optimal"
    assert ran.json["streamed"] == {}


def test_a_fused_tree_in_json_says_how_it_runs(run):
    ranks = "workload.ranks={B: 1, H: 2, E: 64, F: 64, P: 1024, M: 1024}"
    ran = run("map", "designs/fusemax/architecture.yaml", "--set", ranks, "--json")
    assert (ran.status, ran.err) == (0, "")
    assert_result(ran.json)
    assert ran.json["mapping"].keys() == {"nodes", "ramp"}
    (tree,) = ran.json["streamed"].values()
    assert sum(tree["terms_cycles"].values()) == tree["cycles"] == ran.json["cycles"]
    assert tree["terms_cycles"]["drain"] == 256 * 2 * 4 * 4  # heads, tiles of queries, chunks of keys
    assert tree["depth"] == 1


def test_terms_sum_to_the_cycles_and_parts_to_the_energy(run):
    data = run("evaluate", "designs/tpu_like_conv.yaml", "--json").json
    einsum = data["einsums"]["Y"]
    assert sum(einsum["terms_cycles"].values()) == einsum["cycles"] == data["cycles"]
    assert sum(data["energy_pj_by"].values()) == pytest.approx(data["energy_pj"])
    assert data["latency_s"] == data["cycles"] / 700e6


def test_the_table_states_units(run):
    ran = run("evaluate", GEMM)
    assert ran.status == 0
    assert "latency [cycles]" in ran.out
    assert "4,194,304" in ran.out
    assert "energy [mJ]" in ran.out


def test_a_mapping_file_takes_the_place_of_the_designs_own(run):
    given = run("evaluate", GEMM, "--mapping", "mappings/peer16_gemm_ws.yaml", "--json")
    assert given.json == run("evaluate", GEMM, "--json").json
    other = run("evaluate", GEMM, "--set", "architecture=arch/peer16.yaml", "--mapping", "mappings/peer16_gemm_os.yaml",
                "--json")  # fmt: skip
    assert other.json["einsums"]["Z"]["memories"]["Reg"]["tensors"].keys() == {"Z"}


def test_a_mapping_that_names_another_einsum_is_refused(run, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("version: 1\nmapping:\n  Y: [DRAM holds A, MAC]\n")
    ran = run("evaluate", GEMM, "--mapping", file)
    assert (ran.status, ran.out) == (1, "")
    assert "the workload has no Einsum 'Y'" in ran.err


def test_the_mapping_that_map_prints_is_what_a_mapping_file_holds(run, tmp_path):
    mapped = run("map", "designs/tpu_like_conv.yaml", "--set", "mapping=null", "--json").json
    file = tmp_path / "found.yaml"
    file.write_text(json.dumps({"version": 1, "mapping": mapped["mapping"]}))  # JSON is YAML
    again = run("evaluate", "designs/tpu_like_conv.yaml", "--mapping", file, "--json").json
    unproven = {"proof": None, "gap": 0.0, "space": None}
    assert {**mapped, **unproven} == {**again, "einsums": mapped["einsums"]}


def test_what_the_design_lacks_is_said_once(run):
    ran = run("evaluate", "designs/systolic_bert.yaml")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "the design has no mapping\n  add `mapping:`, give --mapping FILE, or run map\n"


def test_a_missing_file_is_named(run):
    ran = run("evaluate", "nowhere.yaml")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[0] == "nowhere.yaml: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "arguments",
    [["evaluate"], ["evalute", GEMM], ["evaluate", GEMM, "--jason"], ["map", GEMM, "--objective", "speed"],
     ["map", GEMM, "--deadline", "soon"], ["explore", "x.yaml", "--workers", "0"], ["list", "machines"]],
)  # fmt: skip
def test_wrong_usage_exits_2_with_the_usage_on_stderr(run, arguments):
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Usage: ")


def test_debug_shows_the_traceback():
    from einloom.cli import main
    from einloom.errors import SpecError

    with pytest.raises(SpecError, match="cannot be read"):
        main(["--debug", "evaluate", "nowhere.yaml"])


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_help_and_version_exit_0(run, option):
    ran = run(option)
    assert (ran.status, ran.err) == (0, "")
    assert "einloom" in ran.out
