"""``--set path=value`` on every kind of path, and what a wrong path or value is told."""

import pytest

GEMM = "designs/peer16_gemm.yaml"
BERT = "designs/systolic_bert.yaml"

BRANCHES = """\
version: 1
workload:
  name: two
  ranks: {M: 8, N: 8, K: 8}
  bits: {default: 8}
  cascade: ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]
architecture:
  name: two_arrays
  clock: 1 GHz
  levels:
    - {memory: DRAM, word: 8 b, read_energy: 64 pJ, write_energy: 64 pJ, bandwidth: 16 words/cycle}
    - branches:
        - - {fanout: PE2, axes: {X: 4, Y: 4}}
          - {compute: MAC2, energy: {mul: 1 pJ, add: 1 pJ}}
        - - {fanout: PE1, axes: {X: 4}}
          - {compute: MAC1, energy: {mul: 2 pJ, add: 2 pJ}}
mapping:
  Z: [DRAM holds A B Z, for m in 8, for n in 8, for k in 8, MAC1]
""".replace("A B Z", "A, B, Z").replace("[DRAM holds A, B, Z,", '["DRAM holds A, B, Z",')


@pytest.fixture
def branches(tmp_path):
    file = tmp_path / "branches.yaml"
    file.write_text(BRANCHES)
    return file


def settings(*texts):
    return [word for text in texts for word in ("--set", text)]


def evaluated(run, design, *texts):
    ran = run("evaluate", design, *settings(*texts), "--json")
    assert (ran.status, ran.err) == (0, "")
    return ran.json


def mapped(run, design, *texts):
    ran = run("map", design, *settings(*texts), "--json")
    assert (ran.status, ran.err) == (0, "")
    return ran.json


def refused(run, design, *texts, verb="evaluate"):
    ran = run(verb, design, *settings(*texts))
    assert (ran.status, ran.out) == (1, "")
    return ran.err


# -- paths that lead somewhere


def test_a_level_by_its_name(run):
    message = refused(run, GEMM, "architecture.levels.GLB.capacity=64KiB")
    assert "the tiles need 557056 bits, GLB holds 524288" in message


def test_a_level_by_its_place(run):
    assert refused(run, GEMM, "architecture.levels.1.capacity=64KiB") == refused(
        run, GEMM, "architecture.levels.GLB.capacity=64KiB"
    )


def test_a_key_below_a_level(run):
    plain, dear = evaluated(run, GEMM), evaluated(run, GEMM, "architecture.levels.MAC.energy.mul=0.2 pJ")
    assert dear["energy_pj_by"]["MAC"] == pytest.approx(1.5 * plain["energy_pj_by"]["MAC"])


def test_an_axis_of_a_fanout(run):
    wide = evaluated(run, GEMM, "architecture.levels.PE.axes.X=32")
    assert wide["einsums"]["Z"]["computes"]["MAC"]["instances"] == 512
    assert wide["utilization"] == {"MAC": 0.5}


def test_a_level_inside_a_branch(run, branches):
    plain = evaluated(run, branches)
    dear = evaluated(run, branches, "architecture.levels.MAC1.energy.mul=4 pJ")
    assert dear["energy_pj"] - plain["energy_pj"] == pytest.approx(2 * 512)
    assert evaluated(run, branches, "architecture.levels.MAC2.energy.mul=4 pJ") == plain


def test_a_key_of_the_architecture(run):
    assert evaluated(run, GEMM, "architecture.clock=2 GHz")["latency_s"] == 4194304 / 2e9


def test_a_parameter_of_a_template(run):
    data = mapped(run, BERT, "architecture.rows=64", "workload=workloads/gemm.yaml")
    assert data["einsums"]["Z"]["computes"]["MAC"]["instances"] == 64 * 32


def test_a_parameter_of_a_template_that_the_file_leaves_out(run):
    data = mapped(run, BERT, "architecture.arithmetic=fp32", "workload=workloads/gemm.yaml")
    assert data["energy_pj_by"]["MAC"] == pytest.approx(2**30 * (3.7 + 0.9))  # Horowitz, ISSCC 2014: multiply, add


def test_the_size_of_a_rank(run):
    assert evaluated(run, GEMM, "workload.ranks.M=512")["operations"] == 2**29


def test_a_rank_of_a_part_of_a_network(run):
    whole = mapped(run, "designs/peer16_attention.yaml")
    half = mapped(run, "designs/peer16_attention.yaml", "workload.parts.head.ranks.P=128")
    assert half["operations"] * 2 == whole["operations"]


def test_the_bits_of_a_tensor(run):
    plain, narrow = evaluated(run, GEMM), evaluated(run, GEMM, "workload.bits.B=1.6")
    assert narrow["energy_pj_by"]["Reg"] == pytest.approx(plain["energy_pj_by"]["Reg"] / 5)


def test_a_parameter_of_the_mapping(run):
    arguments = ["evaluate", GEMM, "--mapping", "mappings/peer16_gemm_os.yaml", "--json"]
    arch = "architecture=arch/peer16.yaml"
    small = run(*arguments, *settings(arch, "mapping.parameters.TM=32")).json
    assert small["einsums"]["Z"]["mapping"][1] == "for m in 32"
    assert run(*arguments, *settings(arch)).json["einsums"]["Z"]["mapping"][1] == "for m in 16"


def test_a_line_of_the_mapping(run):
    changed = evaluated(run, GEMM, "mapping.Z.1=for m in 8")
    assert changed["einsums"]["Z"]["mapping"][1] == "for m in 8"
    assert changed["cycles"] == 4194304  # 8 x 256 covers 1024 twice over: the surplus is clipped


@pytest.mark.parametrize("value", ["arch/peer16.yaml", "{template: systolic, rows: 4, cols: 4}"])
def test_a_whole_part_by_a_path_or_in_place(run, value):
    data = mapped(run, GEMM, f"architecture={value}", "mapping=null")
    assert data["proof"] == "optimal"


def test_several_settings_hold_together(run):
    data = evaluated(run, GEMM, "workload.ranks.M=512", "architecture.clock=500 MHz")
    assert (data["operations"], data["latency_s"]) == (2**29, 2097152 / 500e6)


def test_the_file_itself_does_not_change(run, branches):
    evaluated(run, branches, "architecture.levels.MAC1.energy.mul=4 pJ")
    assert branches.read_text() == BRANCHES


# -- paths and values that do not


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("architecture.levels.GLBB.capacity=64KiB", "no entry is named 'GLBB'", "did you mean 'GLB'?"),
        ("architecture.levels.GLB.capacty=64KiB", "the key 'capacty' is not known here", "did you mean 'capacity'?"),
        ("architecture.levels.GLB.capacity=64", "architecture.levels[1].capacity: '64' has no unit", "108 KiB"),
        ("architecture.levels.GLB.capacity=-64KiB", "architecture.levels[1].capacity: '-64KiB'", ""),
        ("architecture.levels.MAC.energy.mul=0.2 pK", "the unit 'pK' is not known here", "pJ"),
        ("architecture.levels.PE.axes.X=0", "architecture.levels[2].axes.X", "1"),
        ("architecture.clock.x=2", "'architecture.clock' is '1 GHz': it has no 'x'", "shorten the path"),
        ("workload.ranks.Q=512", "no Einsum uses the rank 'Q'", "ranks used: K, M, N"),
        ("workload.ranks.M=many", "workload.ranks.M", ""),
        ("workload.bits.W=4", "'W' is no tensor", "tensors: A, B, Z"),
        ("workload.bits.B=0", "workload.bits.B", ""),
        ("mapping.Z.1=four m in 4", "'four m in 4' is not a mapping node", "a line is one of"),
        ("mapping.parameters.P1=many", "'many' is not a number", "parameters are numbers"),
        ("werkload.ranks.M=2", "'werkload' is no part of a design", "did you mean 'workload'?"),
        ("architecture=arch/nowhere.yaml", "there is no file 'arch/nowhere.yaml'", "einloom list architectures"),
        ("architecture=workloads/gemm.yaml", "is not a file of kind 'architecture'", "such a file has"),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_itself_and_what_is_allowed(run, setting, message, hint):
    said = refused(run, GEMM, setting)
    assert message in said
    assert hint in said
    assert said.startswith("--set") or "yaml" in said.split(":")[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("architecture.rows=0", "--set architecture.rows=0: architecture.rows: '0' is out of range"),
        ("architecture.row=8", "'row' is no parameter of template 'systolic'\n  did you mean 'rows'?"),
        ("architecture.dataflow=weight", "no dataflow is named 'weight'"),
        ("architecture.template=sistolic", "no template is named 'sistolic'"),
        ("architecture.levels.GLB.capacity=8KiB", "'levels' is no parameter of template 'systolic'"),
        ("workload.parts.encodr.ranks.N=1", "no entry is named 'encodr'\n  did you mean 'encoder'?"),
    ],
)
def test_a_wrong_parameter_of_a_template_is_told_what_there_is(run, setting, message):
    assert message in refused(run, BERT, setting, verb="map")


@pytest.mark.parametrize(
    "text", ["workload.ranks.M", "=3", "workload.ranks.M=", "workload.ranks.M=[1", "workload.ranks.M={a: 1, a: 2}"]
)
def test_a_text_that_is_no_setting_is_told_the_form(run, text):
    assert refused(run, GEMM, text).startswith("--set")


def test_all_wrong_settings_of_the_parts_are_reported_at_once(run):
    said = refused(run, GEMM, "architecture.levels.GLB.capacity=64", "workload.ranks.Q=4")
    assert "'64' has no unit" in said
    assert "no Einsum uses the rank 'Q'" in said
