"""Every parameter of every built-in template, and every word of a choice or list, changes a result or is refused.

A scene is a machine on a workload; under it stand other values of parameters. A value counts where cycles, energies,
counts, areas or resources are other ones than before, or where it is refused with a message that names the parameter,
a level or a resource. What nothing reads would go unseen for ever.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pytest

import einloom as el
from einloom.arch.registry import entries, template
from einloom.arch.templates.dram_pim.timing import TIMINGS
from einloom.arch.templates.dram_pim.vectors import CALIBRATED

GEMM = {"name": "gemm", "ranks": {"M": 24, "N": 16, "K": 20}, "bits": {"default": 8},
        "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]}  # fmt: skip
SMALL = {**GEMM, "ranks": {"M": 6, "N": 4, "K": 4}}
TERNARY = {**GEMM, "bits": {"default": 8, "B": 1.6}}
WIDE_HEAD = {"name": "head", "ranks": {"M": 1, "D": 64, "N": 256}, "bits": {"default": 16, "W": 1.6},
             "cascade": ["X1[m,n] = sum{d}(X[m,d] * W[d,n])", "R[m,n] = relu(X1[m,n])",
                         "Z[m,d] = sum{n}(R[m,n] * WH[n,d])"]}  # fmt: skip
CONVOLUTION = {"name": "conv", "ranks": {"K": 8, "C": 4, "P": 6, "Q": 6, "R": 3, "S": 3}, "bits": {"default": 8},
               "cascade": ["Y[k,p,q] = sum{c,r,s}(X[c,p+r,q+s] * F[k,c,r,s])"]}  # fmt: skip
DECODE = "workloads/llama_block_decode.yaml"
GROUPED = "workloads/llama2_70b_decode.yaml"
BITNET, PROMPT = "workloads/bitnet_block_decode.yaml", "workloads/bitnet_block_prefill.yaml"
MLP = "workloads/intar_mlp.yaml"


class Scene(NamedTuple):
    """A machine, what it runs, other values of its parameters (a list: each), choices that are made, the objective."""

    machine: Mapping[str, Any]
    workload: Any
    changes: Mapping[str, Any]
    choices: Mapping[str, Any] = {}
    objective: Literal["latency", "energy"] = "latency"


def words(name: str, parameter: str, *but: str) -> list[Any]:
    """All words that a parameter may have, but some; those of a list one by one."""
    (found,) = [p for p in template(name).parameters if p.name == parameter]
    return [[word] if found.kind == "names" else word for word in found.choices if word not in but]


def tasks(core: str) -> dict[str, Any]:
    return {"sequential": {"lanes": {"core": 32}, "phases": [{"tasks": {"core": core}}]}}


QUEUE = {"dataflow": {"lanes": {"one": 16, "two": 16}, "phases": [
    {"tasks": {"one": "N x (mac D + send q) + N x mac D", "two": "N x (mac L + recv q)"}}]}}  # fmt: skip
PIM = {"channels": 4, "rows": 65536}
IN_DRAM = {"heads": "separate", "softmax": "dram", "vectors": "dram"}
BESIDE = {"heads": "separate", "softmax": "companion", "vectors": "companion"}
ARRAY = {"rows": 4, "cols": 4, "dataflow": "weight_stationary", "buffer": "4 KiB", "bandwidth": "2 B/cycle"}
ROWS = {**ARRAY, "dataflow": "row_stationary", "filters": "8 words", "window": "4 words", "sums": "4 words"}
LOOKUP = {"tables": 2, "lanes": 4, "bandwidth": "8 B/cycle", "burst_overhead": 1.0}
SERIAL = {"machine": "bit_serial", "instruction_rate": "1.1 GHz", "wide_rate": "2 GHz", "bandwidth": "1200 GB/s"}
MEASURED = {"one_thread": {2: 4.36, 4: 2.46}, "many_threads": {4: 8.09}, "weights": 6476005376, "head": 131072000}

SCENES: Mapping[str, list[Scene]] = {
    "spatial": [
        Scene({"rows": 4, "cols": 4, "buffer": "4 KiB", "bandwidth": "8 B/cycle"}, SMALL, {
            "rows": 2, "cols": 2, "levels": 2, "buffer": "8 KiB", "registers": "16 B", "bandwidth": "1 b/cycle",
            "clock": "2 GHz", "bits": 16,
            "arithmetic": words("spatial", "arithmetic", "int8"), "dram": words("spatial", "dram", "lpddr4"),
            "technology": "22 nm",
        }),
        Scene({"rows": 2, "cols": 2, "buffer": "64 B", "registers": "3 B", "levels": 4}, GEMM, {
            "levels": 3, "clusters": 2, "shared_buffer": "64 KiB", "shared_bandwidth": "1 b/cycle",
        }, objective="energy"),
        Scene({"rows": 2, "cols": 2, "buffer": "4 KiB", "registers": "3 B", "arithmetic": "fp16"}, SMALL,
              {"buffer_bandwidth": "1 b/cycle", "arithmetic": "int8"}, objective="energy"),
        Scene({"rows": 2, "cols": 2, "buffer": "64 B", "levels": 2}, SMALL, {"multicast": False, "reduce": False},
              objective="energy"),
    ],
    "systolic": [
        Scene(ARRAY, GEMM, {
            "rows": 8, "cols": 8, "dataflow": ["output_stationary", "input_stationary"], "timing": "overlapped",
            "buffer": "8 KiB", "bandwidth": "1 B/cycle", "buffer_bandwidth": "1 B/cycle", "clock": "2 GHz",
            "bits": 16, "arithmetic": words("systolic", "arithmetic", "int8"),
            "dram": words("systolic", "dram", "lpddr4"), "technology": "22 nm",
        }),
        Scene(ROWS, GEMM, {
            "filters": "16 words", "window": "16 words", "sums": "8 words", "filter_bandwidth": "1 b/cycle",
            "dataflow": "weight_stationary",
        }),
        Scene(ARRAY, CONVOLUTION, {"im2col": False}),
        Scene({**ARRAY, "arithmetic": "int32"}, GEMM, {"dataflow": "row_stationary", "arithmetic": "int8"}),
    ],
    "dual_core": [
        Scene({"ternary_macs": 256, "flexible_macs": 64, "bandwidth": "8 B/cycle"}, BITNET, {
            "clock": "2 GHz", "ternary_macs": 128, "flexible_macs": 32, "outputs": 4, "nonlinear_lanes": 4,
            "overlap": False, "piece_overhead": 5.0, "kept": 0.5, "activation_bits": 4,
            "buffer": "64 KiB", "dram": words("dual_core", "dram", "lpddr4"), "bandwidth": "2 B/cycle",
            "technology": "22 nm", "fabric": "fpga", "without": words("dual_core", "without", "piece_overhead"),
        }),
        Scene({"ternary_macs": 256, "flexible_macs": 64, "piece_overhead": 5.0}, PROMPT,
              {"without": [["piece_overhead"]]}, {"pieces": 1}),
        Scene({"ternary_macs": 256, "flexible_macs": 64}, GEMM, {"ternary": "B"}),
    ],
    "rdu": [
        Scene({"pcus": 4, "pmus": 4, "pmu": "4 KiB", "sockets": 2, "launch": "1 us", "link_bandwidth": "10 GB/s",
               "ddr_bandwidth": "10 GB/s", "switch": True, "hbm_bandwidth": "1 GB/s"}, GEMM, {
            "sockets": 1, "pcus": 8, "pcu_gflops": 1.0, "pmu": "2 KiB", "hbm": "64 B",
            "hbm_bandwidth": "1600 GB/s", "ddr": "64 B", "ddr_bandwidth": "20 GB/s", "link_bandwidth": "20 GB/s",
            "launch": "2 us", "switch": False, "clock": "2 GHz", "hbm_part": words("rdu", "hbm_part", "hbm2"),
            "ddr_part": words("rdu", "ddr_part", "dram"), "technology": "22 nm", "without": words("rdu", "without"),
        }),
        Scene({"pmus": 1}, PROMPT, {"pmus": 1040, "elementwise": 0.001}),
    ],
    "bitweight": [
        Scene({"bandwidth": "2 B/cycle", "buffer": "64 KiB"}, GEMM, {
            "array": words("bitweight", "array", "systolic_os"), "variant": words("bitweight", "variant", "mac"),
            "rows": 8, "cols": 8, "clock": "100 MHz", "area": "total", "buffer": "16 KiB", "bandwidth": "1 B/cycle",
            "dram": words("bitweight", "dram", "lpddr4"), "without": [["skew"], ["stall"]],
        }),
        Scene({"array": "columns", "rows": 2, "cols": 16, "clock": "1000 MHz"}, GEMM,
              {"sigma": 10.0, "sigma_weights": 10.0, "without": [["synchronisation"], ["restart"]]},
              {"encoded": "weights"}),
        Scene({"array": "adder_tree", "rows": 16, "cols": 8}, GEMM, {"without": [["fill"]], "variant": "mac"}),
        Scene({"lanes": 16}, BITNET, {"lanes": [0, 32]}),
    ],
    "dram_pim": [
        Scene({**PIM, "devices": 2}, DECODE, {
            "unit": "register_tiles", "channels": 8, "block_channels": 2, "devices": 4, "banks": 8, "rows": 128,
            "row": "1 KiB", "column": "128 b", "accumulators": 16, "clock": "1 GHz",
            **dict.fromkeys([p.name for p in TIMINGS], 500),
            **dict.fromkeys([p.name for p in CALIBRATED], 500.0),
            "companion": ["none", "vector"], "companion_lanes": 8, "companion_clock": "1 GHz",
            "companion_technology": "22 nm", "parallel": ["none", "pipeline"], "link_lanes": 2,
            "link_lane_rate": 1.0, "link_latency": "1 us", "energies": {"activate": 1}, "link_energy": "1 pJ",
            "standby_open": "1 W", "standby_closed": "1 W", "logic_power": "1 W", "pim_blocks": 4,
            "without": words("dram_pim", "without", "companion", "start", "register_loads", "turnaround",
                             "output_tiles", "append", "partial_sums"),
        }, IN_DRAM),
        Scene(PIM, DECODE, {"without": [["companion"]], "parallel": ["pipeline", "tensor"]}, BESIDE),
        Scene(PIM, GEMM, {"without": [["partial_sums"]]}, {**BESIDE, "k_split": 2}),
        Scene({**PIM, "devices": 2}, GROUPED, {"gather_width": "query"}, BESIDE),
        Scene({"unit": "register_tiles", "channels": 64, "companion": "vector", "nREFI": 1000}, DECODE, {
            "pim_blocks": 4, "registers": 16, "tile_start": 1.0, "tile_turnaround": 1.0, "output_tile": 1.0,
            "refresh_lead": 0.0, "energies": {"block_column": 1}, "companion_lanes": 1, "accumulators": 16,
            "without": [["start"], ["register_loads"], ["turnaround"], ["output_tiles"], ["append"], ["refresh"],
                        ["columns"], ["companion"]],
        }),
    ],
    "fpga_dataflow": [
        Scene({"lanes": 16, "bandwidth": "64 b/cycle", "buffer": "64 KiB", "launch": "1 us"}, GEMM, {
            "lanes": 32, "device": words("fpga_dataflow", "device", "u280"), "clock": "100 MHz", "start_up": 5,
            "launch": "2 us", "latency": 300, "bandwidth": "8 b/cycle", "buffer": "8 B",
            "without": words("fpga_dataflow", "without"), "fabric_factor": 7.0, "static_power": "1 W", "bits": 16,
            "arithmetic": words("fpga_dataflow", "arithmetic", "int8"), "technology": "22 nm",
            "dram": words("fpga_dataflow", "dram", "hbm2"),
        }),
        Scene({"lanes": 64, "dram": "lpddr", "bits": 16}, MLP,
              {"patterns": words("fpga_dataflow", "patterns"), "dram": "hbm2", "arithmetic": "int8"}),
        Scene({"lanes": 32, "bits": 16, "tasks": tasks("8 x write 2 + N x mac D")}, MLP,
              {"blocking_write": 5.0, "tasks": tasks("L x N x mac D")}),
        Scene({"lanes": 32, "bits": 16, "tasks": QUEUE}, MLP, {"fifo": 64}),
    ],
    "ternary_lut": [
        Scene(LOOKUP, TERNARY, {
            "machine": ["bit_serial", "weight_port"], "clock": "100 MHz", "technology": "22 nm",
            "dram": words("ternary_lut", "dram", "lpddr4"), "bandwidth": "1 B/cycle", "fabric": "asic",
            "ternary": "A", "group": 2, "tables": 4, "lanes": 8, "form": ["mirrored", "select_add"], "copies": 2,
            "build_rate": 2, "build_beside": True, "interval": 2, "block_overhead": 5.0, "accumulators": 4,
            "padded": True, "activation_bits": 4, "planes": 6, "plane_blocks": 1, "plane_outputs": 64,
            "axi_bits": 32, "burst_overhead": 0.0, "weights_beside": True, "uram_bits": 36,
            "uram_words": 128, "lut_basis": "published", "device": "zcu102",
            "others": {"lut": 5}, "access_bits": 16, "threads": 2,
            "without": [["build"], ["lookup"], ["weight_load"], ["activations"]],
        }),
        Scene({**LOOKUP, "block_overhead": 5.0, "plane_blocks": 1, "planes": 1, "weight_ports": 1, "axi_bits": 32,
               "fabric": "fpga", "form": "full", "lut_basis": "primitives"}, TERNARY, {
            "burst_beats": 1, "without": [["block_overhead"], ["spill"]], "weight_ports": 2, "port_bits": 8,
        }),
        Scene({"wide": "host", "host_bandwidth": "1 GB/s", "host_overhead": "1 us", "stream_lanes": 1}, WIDE_HEAD, {
            "wide": ["attention", "nothing"], "host_bandwidth": "2 GB/s", "host_overhead": "2 us",
            "stream_lanes": 16, "ternary": "WH", "without": [["host"], ["host_overhead"], ["streams"]],
        }),
        Scene({"key_overhead": 1.0}, PROMPT, {
            "attention_rows": 16, "attention_lanes": 8, "key_overhead": 2.0, "streams_beside": False,
            "without": [["attention"], ["key_overhead"]],
        }),
        Scene({"attention_ports": 1, "port_bits": 8}, PROMPT, {
            "attention_ports": 2, "port_bits": 16, "without": [["kv_stream"]],
        }),
        Scene({"machine": "weight_port"}, BITNET, {
            "access_bits": 32, "access_cycles": 1.0, "code_bits": 4, "without": [["weight_port"]],
        }),
        Scene(SERIAL, WIDE_HEAD, {
            "machine": "table_lookup", "threads": 4, "activations_a_table": 2, "table_lanes": 8, "mirrored": False,
            "scale_bits": 1.0, "vector_lanes": 2, "instruction_rate": "2 GHz", "wide_rate": "1 GHz",
            "measured": MEASURED, "without": [["head"]],
        }),
        Scene({**SERIAL, "bandwidth": "1 GB/s"}, WIDE_HEAD, {"without": [["weight_stall"]], "bandwidth": "2 GB/s"}),
    ],
}  # fmt: skip


def results(name: str, scene: Scene, **changes: Any) -> Any:
    """What a user sees, of the best mapping; or the message."""
    design = {"name": "scene", "workload": scene.workload,
              "architecture": {"template": name, **scene.machine, **changes},
              **({"mapping": {"choices": dict(scene.choices)}} if scene.choices else {})}  # fmt: skip
    try:
        found = el.load(design).map(scene.objective).to_dict()
    except el.EinloomError as error:
        return f"refused: {error}"
    return found


def each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", [*SCENES])
def test_every_value_changes_a_result_or_is_refused(name):
    unread = []
    for scene in SCENES[name]:
        before = results(name, scene)
        assert isinstance(before, dict), before
        for parameter, values in scene.changes.items():
            unread += [(parameter, v) for v in each(values) if results(name, scene, **{parameter: v}) == before]
    assert unread == []


@pytest.mark.parametrize("name", [*SCENES])
def test_no_parameter_and_no_word_is_left_out(name):
    tried: dict[str, set[str]] = {}
    for scene in SCENES[name]:
        for source in (scene.machine, scene.changes):
            for parameter, values in source.items():
                mine = tried.setdefault(parameter, set())
                for value in each(values):
                    mine |= {str(word) for word in each(value)}
    for parameter in template(name).parameters:
        assert parameter.name in tried, parameter.name
        left = set(parameter.choices) - tried[parameter.name] - {str(parameter.default)}
        assert not left, f"{parameter.name}: {left}"


def test_every_built_in_template_has_scenes():
    assert {entry.name for entry in entries() if entry.owner.startswith("einloom ")} == SCENES.keys()
