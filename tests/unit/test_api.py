"""``import einloom``: designs that evaluate and map themselves, results that are frozen values."""

import dataclasses
import json
import pickle

import pytest

import einloom as el
from einloom.api import load_study_plan

GEMM = "designs/peer16_gemm.yaml"
BERT = "designs/systolic_bert.yaml"
CONV = "workloads/conv2d.yaml"


def numbers(evaluation):
    """Everything but what only a mapper knows."""
    data = evaluation.to_dict()
    for einsum in data["einsums"].values():
        einsum |= {"proof": None, "gap": 0.0, "space": None, "search": None}
    return {**data, "proof": None, "gap": 0.0, "space": None}


def mapping_file(folder, evaluation):
    file = folder / "found.yaml"
    file.write_text(json.dumps({"version": 1, "mapping": evaluation.to_dict()["mapping"]}))
    return file


@pytest.mark.parametrize(
    ("design", "settings"),
    [
        (GEMM, {"mapping": None}),
        (BERT, {"workload": CONV}),
        (BERT, {}),
        ("designs/tpu_like_conv.yaml", {"mapping": None}),
        ("designs/peer16_attention.yaml", {}),
    ],
    ids=["gemm", "conv-flattened-on-systolic", "bert-on-systolic", "conv-with-windows", "attention"],
)
def test_the_mapping_that_map_prints_evaluates_to_the_same_numbers(tmp_path, design, settings):
    mapped = el.load(design, set=settings).map()
    again = el.load(design, set=settings, mapping=mapping_file(tmp_path, mapped)).evaluate()
    assert numbers(again) == numbers(mapped)


def test_a_convolution_on_the_systolic_array_is_flattened_and_says_so():
    conv = el.load(BERT, set={"workload": CONV}).map().to_dict()
    assert sorted(conv["mapping"]["Y"]) == ["flatten", "nodes"]
    assert conv["einsums"]["Y"]["flatten"] == conv["mapping"]["Y"]["flatten"]
    assert conv["einsums"]["Y"]["notes"]


def test_the_worked_example_of_the_notation_costs_what_its_peer_says():
    found = el.load(GEMM).evaluate()  # AccelForge 1.0.467: 1.33756 mJ, 4,194,304 cycles
    assert found.cycles == 4_194_304
    assert found.energy_pj == pytest.approx(1.33756e9, rel=1e-5)
    assert found.utilization == {"MAC": 1.0}


def test_the_best_mapping_is_never_worse_than_a_given_one():
    design = el.load(GEMM, set={"mapping": None})
    given = el.load(GEMM).evaluate()
    assert design.map("energy").energy_pj <= given.energy_pj * (1 + 1e-12)
    assert design.map("latency").cycles <= given.cycles
    assert design.map("edp").energy_pj * design.map("edp").cycles <= given.energy_pj * given.cycles * (1 + 1e-12)


def test_results_are_frozen():
    found = el.load(GEMM).evaluate()
    einsum = found.einsums["Z"]
    for value, name in ((found, "cycles"), (einsum, "energy_pj"), (einsum.memories["GLB"], "busy_cycles")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 0)


def test_a_result_goes_through_json_and_pickle_unchanged():
    found = el.load(GEMM).evaluate()
    data = found.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert pickle.loads(pickle.dumps(found)) == found


def test_the_front_is_a_value_of_evaluations():
    front = el.load(GEMM, set={"mapping": None, "workload.ranks": {"M": 96, "N": 80, "K": 112}}).map("pareto")
    assert isinstance(front, el.Front)
    assert all(isinstance(point, el.Evaluation) for point in front.points)
    data = front.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["front"][0]["cycles"] == front.points[0].cycles


def test_plain_data_is_a_design():
    design = el.load({
        "name": "tiny",
        "workload": {"ranks": {"M": 8, "N": 8}, "cascade": ["Z[m] = sum{n}(A[m,n] * B[n])"], "bits": {"default": 8}},
        "architecture": "arch/peer16.yaml",
    })  # fmt: skip
    assert design.name == "tiny"
    assert design.architecture.name == "peer16"
    assert design.map().operations == 64


def test_the_same_value_by_file_and_by_setting_is_the_same_design():
    by_setting = el.load(GEMM, set={"architecture": "arch/peer16.yaml"}).evaluate()
    by_path = el.load(GEMM, set={"architecture.levels.PE.only": {}, "architecture.levels.Reg.holds": None}).evaluate()
    assert by_setting.to_dict() == by_path.to_dict()


def test_repeated_layers_multiply_totals_and_not_their_einsums():
    encoder = el.load(BERT).map()
    assert encoder.repeat == 12
    assert encoder.cycles == 12 * sum(einsum.cycles for einsum in encoder.einsums.values())
    assert encoder.energy_pj == pytest.approx(12 * sum(einsum.energy_pj for einsum in encoder.einsums.values()))


def test_metrics_are_those_that_a_study_names():
    metrics = el.load(BERT, set={"workload": "workloads/gemm.yaml"}).map().metrics()
    assert metrics.keys() == {"latency_s", "energy_pj", "power_w", "cycles", "utilization", "area_um2"}
    assert metrics["power_w"] == pytest.approx(metrics["energy_pj"] * 1e-12 / metrics["latency_s"])


def test_progress_is_told_before_each_einsum():
    told = []
    el.load("designs/peer16_attention.yaml").map(progress=lambda *what: told.append(what))
    assert [name for name, _, _ in told] == ["QK", "GM", "SN", "SD", "A", "AV"]
    assert [(done, total) for _, done, total in told] == [(i, 6) for i in range(6)]


def test_errors_carry_their_problems_and_are_all_one_family():
    with pytest.raises(el.EinloomError) as caught:
        el.load(GEMM, set={"architecture.levels.GLB.capacity": 64, "workload.ranks.Q": 3})
    assert isinstance(caught.value, el.SpecError)
    assert len(caught.value.problems) == 2
    assert {problem.field for problem in caught.value.problems} == {
        "architecture.levels[1].capacity", "workload.ranks.Q",
    }  # fmt: skip
    with pytest.raises(el.MappingError):
        el.load(GEMM, set={"architecture.levels.GLB.capacity": "64 KiB"}).evaluate()


def test_check_says_what_a_file_is():
    names = ("arch/peer16.yaml", "workloads/gemm.yaml", GEMM, "mappings/peer16_gemm_ws.yaml")
    assert [el.check(name) for name in names] == ["architecture", "workload", "design", "mapping"]


def test_a_frame_has_a_row_for_each_tensor_in_each_memory():
    pytest.importorskip("pandas")
    frame = el.load(GEMM).evaluate().to_frame()
    assert len(frame) == 6
    row = frame[(frame.memory == "GLB") & (frame.tensor == "A")].iloc[0]
    assert (row.reads, row.writes, row.occupancy_words) == (67_108_864, 4_194_304, 4096)


def test_a_notebook_shows_a_table():
    page = el.load(GEMM).evaluate()._repr_html_()
    assert "4,194,304" in page
    assert page.count("<tr>") == 2


def test_a_study_from_python_is_the_study_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(
        "version: 1\nsearch:\n  design: designs/systolic_bert.yaml\n"
        "  space: {architecture.rows: [8, 16]}\n  workloads: [workloads/gemm.yaml]\n"
        "  objectives: {latency_s: min, energy_j: min}\n  sampler: {name: grid}\n"
    )
    found = el.explore("tiny.yaml", progress=False)
    assert isinstance(found, el.StudyResult)
    assert found.complete
    assert el.load_study(tmp_path / "results" / "tiny") == found
    figure, table = el.plot(found, "latency_s", "energy_j", tmp_path / "front.pdf")
    assert figure.is_file()
    assert table.is_file()


def test_a_study_depends_on_the_files_that_a_network_names():
    plan, _ = load_study_plan("search/bert_systolic.yaml")
    names = [name for name, _ in plan.files]
    assert any(name.endswith("workloads/encoder_layer.yaml") for name in names), names
