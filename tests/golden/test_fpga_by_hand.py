"""FPGA tasks against numbers worked out by hand, and the laws of the InTAR kernels' structure."""

import json
from pathlib import Path

import pytest
import yaml

import einloom as el
from einloom.arch.components import library
from einloom.arch.templates.fpga_dataflow.classes import CLASSES
from einloom.arch.templates.fpga_dataflow.compiling import Network, timing_of
from einloom.arch.templates.fpga_dataflow.resources import Array, dsp_of_lane, lane_dsp
from einloom.arch.templates.fpga_dataflow.text import parse_task

MLP = "designs/intar/mlp.yaml"
ATTENTION = "designs/intar/attention.yaml"


def evaluated(design, **changes):
    return el.load(design, set={key.replace("__", "."): value for key, value in changes.items()}).evaluate()


def test_mlp_reconfigurable_by_hand():
    """Layer 1 on both cores: 32 blocks of 16 outputs each, 256 trips + 6; core 0 reads 16 beats of x before, 73 + 16.
    Layer 2 on core 0: 128 x (1024 + 6), a packet at the end of each. Core 1 reads the last one a cycle later, sums
    256 + 6 and writes 16 beats, 73 + 16. Start-up 490."""
    found = evaluated(MLP, architecture__launch="0 s")
    first = 16 + 73 + 32 * (256 + 6)
    second = 128 * (1024 + 6) + 1 + 256 + 6 + 16 + 73
    assert found.einsums["H1"].cycles == first == 8473
    assert found.einsums["Y"].cycles == second == 132_192
    assert found.cycles == 490 + first + second == 141_155
    assert found.einsums["Y"].events["packets"] == 128
    assert found.einsums["Y"].terms_cycles["trips"] == 128 * 1024 + 1 + 256 + 16
    assert found.resources["dsp"] == 32
    # 256 x 1024 + 1024 x 2048 + 2048 x 256 multiply-adds; each ReLU is one addition (arch/components/operators.csv)
    assert found.operations == 2_883_584 + 1024 + 2048 + 256


def test_mlp_reconfigurable_moves_weights_and_ends_of_the_cascade_only():
    found = evaluated(MLP)
    words = {
        tensor: (counts.reads, counts.writes)
        for name in ("H1", "Y") for tensor, counts in found.einsums[name].memories["DRAM"].tensors.items()
    }  # fmt: skip
    assert words == {
        "X": (256, 0), "W1": (256 * 1024, 0), "W2": (1024 * 2048, 0), "W3": (2048 * 256, 0), "Y": (0, 256),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "access"), [("sequential", 15), ("sequential_two_loops", 2 * 11), ("sequential_one_beat", 2 * 73)]
)
def test_mlp_sequential_is_blocks_of_eight_accesses(pattern, access):
    found = evaluated(MLP, architecture__launch="0 s", mapping__choices__pattern=pattern)
    blocks = 64 * 16 + 128 * 64 + 16 * 128
    bursts = (16 + 73) + (128 + 73) + (128 + 73) + (16 + 73)
    assert found.cycles == 490 + blocks * (8 * access + 2) + bursts


def test_a_deep_fifo_from_v_lets_attention_run_as_one_pipeline():
    shallow = evaluated(ATTENTION, mapping__choices__pattern="dataflow")
    deep = evaluated(ATTENTION, mapping__choices__pattern="dataflow_deep")
    assert shallow.cycles == pytest.approx(73_143_507, rel=0.005)
    assert deep.cycles == pytest.approx(47.7e6, rel=0.005)
    assert shallow.einsums["AV"].terms_cycles["stall"] == shallow.cycles - deep.cycles
    assert shallow.einsums["AV"].terms_cycles["fill"] == deep.einsums["AV"].terms_cycles["fill"]


def test_terms_that_are_switched_off_leave_the_trips():
    full = evaluated(ATTENTION)
    bare = evaluated(ATTENTION, architecture__without=["fill", "stall"])
    trips = sum(einsum.events.get("trips", 0) for einsum in full.einsums.values())
    assert bare.cycles == trips + 490
    assert bare.cycles < full.cycles


def test_memories_of_the_kernels():
    """Banks x ceil(depth / 4096) x ceil(bits / 72) URAM; the same with 1024 and 18 for halves of a BRAM."""
    assert Array("uram", 8, 8192, 16).blocks() + Array("uram", 8, 4096, 16).blocks() == 8 * 2 + 8 * 1
    assert 3 * Array("uram", 32, 3136, 64).blocks() == 96
    assert 2 * (Array("bram", 32, 16384, 16).blocks() + Array("bram", 32, 4096, 16).blocks()) == 512 + 128
    assert Array("uram", 1, 4097, 73).blocks() == 4


def test_multipliers_of_the_kernels():
    """Lanes of int16 are one DSP block each and are shared over an interval; two int4 x int8 products share one on the
    U280, 2,048 take 768 DSP58 on the VPK180."""
    assert lane_dsp(576, 1, dsp_of_lane(16)) == 576
    assert 64 + 16 + 64 + lane_dsp(64, 6, dsp_of_lane(16)) == 155
    assert lane_dsp(2048, 1, dsp_of_lane(4)) == 1024
    assert lane_dsp(2048, 1, dsp_of_lane(8, "DSP58")) == 768
    assert lane_dsp(10, 1, dsp_of_lane(32)) == 40


@pytest.mark.parametrize(("length", "cycles"), [(32, 89_528), (128, 198_320), (512, 706_304), (1024, 1_559_232)])
def test_gpt2_medium_layer_is_its_tasks(length, cycles):
    """A layer of GPT-2 medium on the VPK180 (repository of InTAR): tiles of 16 x 16 outputs with a fill of 25, heads in
    four rounds, weights streamed beside nothing else. Expected values: the closed form

        4 [16 x 130 + 4n(128 + o) + 8 x 130 + 2n(136 + o) + max(sum_i i(24 + o), sum_i (16 i + 4(2i + 2 + o)))]
        + 260 n + 64 x 130 + 32n(48 + o) + 256 x 130 + 64n(144 + o),    i = 1 .. n = L / 16, o = 25

    evaluated at these lengths. Sums over i are written as n(n + 1) / 2 trips."""
    n = length // 16
    triangle = n * (n + 1) // 2
    head = "16 x state 130 + 4*n x tile 128 + 8 x state 130 + 2*n x tile 136"
    tasks = {
        "scores": f"4 x ({head} + t x tile 24 + pad x state 1)",
        "rest": "n x state 260 + 64 x state 130 + 32*n x tile 48 + 256 x state 130 + 64*n x tile 144",
    }
    values = 16 * triangle + sum(4 * (2 * i + 2 + 25) for i in range(1, n + 1))
    names = {"n": n, "t": triangle, "pad": max(0, values - triangle * 49)}
    found = [timing_of(Network({k: parse_task(v, CLASSES)}, {}), CLASSES, names).cycles for k, v in tasks.items()]
    assert sum(found) == cycles


def test_energy_by_hand():
    """An int8 product of 4 x 4 x 4 at the U280's node. Fabric: 64 macs x (0.2 + 0.1) pJ x 14, scaled from 45 to 16 nm
    at 0.9 V by Stillmaker and Baas; off chip: 3 x 16 elements x 8 bits x 3.9 pJ (HBM2)."""
    workload = {
        "name": "g", "ranks": {"M": 4, "N": 4, "K": 4}, "bits": {"default": 8},
        "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"],
    }  # fmt: skip
    found = el.load(
        {"name": "g", "workload": workload, "architecture": {"template": "fpga_dataflow", "lanes": 4}}
    ).map("latency")
    scale = (0.2958 * 0.81 - 0.1241 * 0.9 + 0.03024) / (1.103 * 0.81 - 0.362 * 0.9 + 0.2767)
    assert found.energy_pj_by["Lane"] == pytest.approx(64 * 0.3 * 14 * scale)
    assert found.energy_pj_by["DRAM"] == pytest.approx(3 * 16 * 8 * 3.9)
    assert found.energy_pj_by["leakage"] == 0
    # two rows at a time on two lanes each: 2 blocks x (load 4 + 3, then 2 x (4 + 6)); three bursts of a beat, 73 + 1
    assert found.einsums["Z"].mapping == ("pattern = sequential", "lanes = 4", "rows = 2", "inputs = held", "Lane")
    assert found.einsums["Z"].terms_cycles == {"trips": 24, "fill": 30, "stall": 0, "off_chip": 3 * 74 - 54}
    # 8 trips of 4 x 4 macs on 4 lanes; each reads a word for each of 2 rows and one of weights for each of 2 columns
    word = library().memory_part("sram", 36 * 1024, 8, 16).read_energy_pj
    assert found.energy_pj_by["OnChip"] == pytest.approx(16 * (2 + 2) * word)
    assert json.dumps(found.to_dict())


def test_static_power_is_what_is_given():
    workload = {"name": "g", "ranks": {"M": 64}, "bits": {"default": 8}, "cascade": ["Z[m] = A[m] + B[m]"]}
    architecture = {"template": "fpga_dataflow", "lanes": 4, "static_power": "5 W"}
    found = el.load({"name": "g", "workload": workload, "architecture": architecture}).map("energy")
    assert found.energy_pj_by["leakage"] == pytest.approx(5 * found.latency_s * 1e12)


@pytest.mark.parametrize("kernel", ["attention", "mlp", "cnn", "vae", "gating", "gpt2_medium", "means"])
def test_published_figures_of_intar_hold(kernel):
    """Published: the table of github.com/OswaldHe/InTAR; tolerances stand beside the figures."""
    found = el.validate(f"designs/intar/{kernel}.yaml")
    assert found.comparisons
    assert found.problems == ()
    held = [row for row in found.comparisons if row.figure.tolerance is not None]
    assert len(held) >= 3


def test_the_example_of_the_guide_is_mapped():
    page = (Path(__file__).resolve().parents[2] / "docs" / "templates" / "fpga_dataflow.md").read_text(encoding="utf-8")
    text = page.split("```yaml\n")[1].split("```")[0]
    found = el.load(yaml.safe_load(text)).map("latency")
    assert found.proof == "optimal"
    # reconfigured: two phases on all 32 lanes, 16 beats with their latency before and after
    assert found.cycles == 490 + (89 + 32 * (256 + 6)) + (8 * (1024 + 6) + 89)
