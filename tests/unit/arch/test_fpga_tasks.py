"""Tasks of an FPGA: their text and table, what is refused and how it is said, and tasks derived from Einsums."""

import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import einloom as el
from einloom.arch.templates.fpga_dataflow.classes import CLASSES
from einloom.arch.templates.fpga_dataflow.derived import _shortest_longest, lane_choices
from einloom.arch.templates.fpga_dataflow.text import evaluate, parse_count, parse_task
from einloom.errors import MappingError, SpecError

TWO = {
    "name": "two", "ranks": {"M": 4, "D": 32, "N": 16, "P": 8}, "bits": {"default": 16},
    "cascade": ["H[m,n] = sum{d}(X[m,d] * W[d,n])", "Y[m,p] = sum{n}(H[m,n] * V[n,p])"],
}  # fmt: skip
TASKS = {"dataflow": {"lanes": {"a": 8, "b": 8}, "phases": [{"tasks": {
    "a": "M x (mac D*N/8 + send h)", "b": "M x (recv h + mac N*P/8)",
}}]}}  # fmt: skip


def design(tasks=None, workload=TWO, **parameters):
    architecture = {"template": "fpga_dataflow", "lanes": 16, "bits": 16, "start_up": 0, **parameters}
    if tasks is not None:
        architecture["tasks"] = tasks
    return el.load({"name": "d", "workload": workload, "architecture": architecture})


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("32", 32), ("D/16", 3), ("(D - 2)/16 * 4", 11), ("2*lanes", 32), ("D/3/4", 4), ("7 - 7", 0)],
)
def test_counts_are_exact_until_they_round_up(text, value):
    assert evaluate(parse_count(text), {"D": 44, "lanes": 16}) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("32 x", "an item is missing: 32 x>>>"),
        ("32 x stencl 3", r"no loop is of the kind 'stencl': 32 x >>>stencl 3\n  did you mean 'stencil'\? kinds"),
        ("mac 3 + ", "an item is missing"),
        ("mac", "a count is missing: mac>>>"),
        ("4 mac 3", "a count is followed by `x`, the loop that it repeats: >>>4 mac 3"),
        ("(mac 3", r"'\)' is missing: \(mac 3>>>"),
        ("mac 3)", "'[)]' is not expected here: mac 3>>>"),
        ("mac 3 <- 4", "'4' is not the name of a FIFO"),
        ("send", "a FIFO is missing"),
        ("mac 3 $ 4", "'[$]' does not belong in a task"),
        ("mac send", "'send' is no count"),
        ("-> h", "'->' is not expected here"),
    ],
)
def test_a_task_that_is_none_is_told_where(text, message):
    with pytest.raises(SpecError, match=message):
        parse_task(text, CLASSES)


@pytest.mark.parametrize(
    ("text", "message"), [("E/16", "no count is named 'E'"), ("2 - D", "a count comes to -42"), ("D/0", "divides by 0")]
)
def test_a_count_without_value_is_told(text, message):
    with pytest.raises(SpecError, match=message):
        evaluate(parse_count(text), {"D": 44})


# -- the table --------------------------------------------------------------------------------------------------------


def changed(**changes):
    phase = {**TASKS["dataflow"]["phases"][0], **changes.pop("phase", {})}
    return {"dataflow": {**TASKS["dataflow"], "phases": [phase], **changes}}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({}, "architecture.tasks: there is no pattern"),
        ({"dataflow": 3}, "architecture.tasks.dataflow: 3 is not a pattern"),
        ({"dataflow": {"phases": []}}, "a pattern needs a list of phases"),
        (changed(lane={"a": 8}), "tasks.dataflow.lane: 'lane' is no key of a pattern\n  did you mean 'lanes'"),
        (changed(lanes={"a": "8 +"}), r"tasks.dataflow.lanes.a: '\+' is not expected here"),
        (changed(lanes={"a": [8]}), r"tasks.dataflow.lanes.a: \[8\] is no count"),
        (changed(units={"softmx": 1}), "units.softmx: 'softmx' is no unit\n  did you mean 'softmax'"),
        (changed(units={"softmax": 0}), "units.softmax: 0 is out of range"),
        (changed(memories={"m": {"kind": "lram"}}), "memories.m: 'lram' is no kind of memory\n  kinds: uram, bram"),
        (changed(memories={"m": {"kind": "uram", "banks": 1, "depth": 4}}), "memories.m.bits: None is out of range"),
        (changed(spills=3), "tasks.dataflow.spills: 3 is not a list of Einsums"),
        (changed(phase={"tasks": {}}), r"phases\[0\]: a phase needs tasks"),
        (changed(phase={"tasks": {"a": 3}}), r"phases\[0\].tasks.a: 3 is no task"),
        (changed(phase={"tasks": {"a": "mac D + send h"}}), "no task reads FIFO 'h'"),
        (changed(phase={"tasks": {"a": "send h", "b": "recv h", "c": "recv h"}}), "b, c reads FIFO 'h'"),
        (changed(phase={"fifos": {"g": 2}}), r"phases\[0\].fifos.g: 'g' is no FIFO of these tasks\n  known: h"),
        (changed(phase={"fifos": {"h": 0}}), r"phases\[0\].fifos.h: a FIFO cannot hold 0 packets"),
        (changed(phase={"choices": {"c": 3}}), r"phases\[0\].choices.c: 3 are no values of a choice"),
        (changed(phase={"einsum": ["H"]}), r"phases\[0\].einsum: 'einsum' is no key of a phase"),
    ],
)
def test_a_table_that_is_wrong_is_told_with_its_place(tasks, message):
    with pytest.raises(SpecError, match=message):
        design(tasks)


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({"einsums": ["H"]}, "pattern dataflow: Einsum Y is in no phase"),
        ({"einsums": ["H", "Y", "Z"]}, "a phase computes 'Z', which is no Einsum of two\n  Einsums: H, Y"),
        ({"einsums": ["H", "Y", "H"]}, "Einsum H is in several phases"),
        ({"tasks": {"a": "Q x mac 4"}}, "pattern dataflow, phase 1: no count is named 'Q'\n  known: D, M, N, P, lanes"),
        ({"tasks": {"a": "send h + recv g", "b": "send g", "c": "2 x recv h"}}, "wait for each other for ever: c"),
        ({"tasks": {"a": "mac 3"}}, "no lanes and cycles for 2,560 multiply-adds"),
    ],
)
def test_tasks_that_do_not_run_the_cascade_are_told(phase, message):
    with pytest.raises(MappingError, match=message):
        design(changed(phase=phase)).map("latency")


def test_a_pattern_that_is_not_there_is_told():
    with pytest.raises(MappingError, match="'pattern = sequential' is not possible\n  pattern is one of: dataflow"):
        el.load({
            "name": "d", "workload": TWO, "mapping": {"choices": {"pattern": "sequential"}},
            "architecture": {"template": "fpga_dataflow", "lanes": 16, "tasks": TASKS},
        }).evaluate()  # fmt: skip


def test_given_tasks_name_ranks_and_count_packets():
    found = design(TASKS).map("latency")
    assert found.cycles == 4 * (32 * 2 + 6) + 1 + (16 + 6)
    assert found.einsums["Y"].events["packets"] == 4
    assert found.resources["dsp"] == 16


def test_open_counts_are_chosen_by_the_mapper():
    tasks = {"dataflow": {"lanes": {"a": "c", "b": "16 - c"}, "phases": [{
        "choices": {"c": [4, 8, 12]},
        "tasks": {"a": "M x (mac D*N/c + send h)", "b": "M x (recv h + mac N*P/(16 - c))"},
    }]}}  # fmt: skip
    found = design(tasks).map("latency")
    given = {c: el.load({
        "name": "d", "workload": TWO, "mapping": {"choices": {"c": c}},
        "architecture": {"template": "fpga_dataflow", "lanes": 16, "bits": 16, "start_up": 0, "tasks": tasks},
    }).evaluate().cycles for c in (4, 8, 12)}  # fmt: skip
    assert found.proof == "optimal"
    assert found.cycles == min(given.values()) == given[12]
    assert "c = 12" in found.einsums["Y"].mapping


def test_a_machine_with_tasks_travels_to_worker_processes():
    architecture = design(TASKS).loaded.architecture
    arrived = pickle.loads(pickle.dumps(architecture))
    assert arrived == architecture
    assert arrived.engine == architecture.engine


def test_the_mapper_takes_the_pattern_that_is_fastest():
    found = el.load("designs/intar/mlp.yaml", set={"mapping": None}).map("latency")
    assert found.proof == "optimal"
    assert "pattern = reconfigurable" in found.einsums["Y"].mapping


# -- devices and budgets ----------------------------------------------------------------------------------------------


def test_more_multipliers_than_the_device_has_do_not_fit():
    tasks = {"dataflow": {**TASKS["dataflow"], "lanes": {"a": 700, "b": 700}}}
    with pytest.raises(MappingError, match="step Y needs at least 1,400 dsp of dsp, there are 1,248"):
        design(tasks, lanes=1400, device="kv260").map("latency")
    assert design(tasks, lanes=1400, device="u280").map("latency").resources["dsp"] == 1400


def test_a_device_whose_memory_is_not_known_asks_for_a_bandwidth():
    with pytest.raises(SpecError, match=r"architecture\.device: the bandwidth of the memory of 'vpk180' is not known"):
        design(device="vpk180")
    assert design(device="vpk180", bandwidth="51 GB/s").map("latency").cycles > 0


# -- derived tasks ----------------------------------------------------------------------------------------------------


def test_an_operator_without_cost_is_an_error():
    workload = {"name": "w", "ranks": {"M": 4}, "bits": {"default": 16}, "cascade": ["Z[m] = erf(A[m])"]}
    with pytest.raises(el.EinloomError, match="erf"):
        design(workload=workload).map("latency")


@pytest.mark.parametrize("pattern", ["sequential", "dataflow", "reconfigurable"])
@pytest.mark.parametrize("name", ["llama_block_decode", "bitnet_block_decode", "encoder_layer"])
def test_a_whole_block_runs_with_every_einsum_in_one_step(name, pattern):
    loaded = el.load({
        "name": "d", "workload": f"workloads/{name}.yaml",
        "architecture": {"template": "fpga_dataflow", "lanes": 4096, "bits": 8, "patterns": [pattern]},
    })  # fmt: skip
    found = loaded.map("latency")
    assert found.proof == "optimal"
    assert found.operations == sum(c.operations for e in found.einsums.values() for c in e.computes.values())
    assert all(e.energy_pj > 0 for name, e in found.einsums.items() if not name.endswith("start_up"))
    assert all(0 < share <= 1 for share in found.utilization.values())


def test_reconfigurable_keeps_intermediates_on_chip_and_sequential_does_not():
    results = {p: design(patterns=[p]).map("latency") for p in ("sequential", "reconfigurable")}
    tensors = {p: set(r.einsums["Y"].memories["DRAM"].tensors) for p, r in results.items()}
    assert tensors == {"sequential": {"H", "V", "Y"}, "reconfigurable": {"V", "Y"}}
    assert results["reconfigurable"].energy_pj < results["sequential"].energy_pj


def test_an_operand_of_a_stream_that_is_used_again_is_held():
    workload = {**TWO, "ranks": {"M": 4, "N": 16}, "cascade": ["Z[m,n] = A[m,n] * S[n]"]}
    found = design(workload=workload, patterns=["sequential"]).map("latency")
    assert found.einsums["Z"].memories["OnChip"].occupancy == 16 * 16
    with pytest.raises(MappingError, match="needs at least 256 bits of OnChip, there are 248"):
        design(workload=workload, patterns=["sequential"], buffer="31 B").map("latency")


def test_a_buffer_that_does_not_hold_the_intermediates_says_so():
    with pytest.raises(MappingError, match="bits of OnChip"):
        design(patterns=["reconfigurable"], buffer="64 B").map("latency")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=4), st.integers(1, 16))
def test_lanes_of_a_dataflow_make_the_longest_task_shortest(work, total):
    choices = lane_choices(16)
    times = [[-(-one // lanes) for lanes in choices] for one in work]
    picked = _shortest_longest(times, choices, total)
    every = itertools.product(range(len(choices)), repeat=len(work))
    splits = [split for split in every if sum(choices[i] for i in split) <= total]
    if picked is None:
        assert not splits
        return
    assert sum(choices[i] for i in picked) <= total
    longest = max(one[i] for one, i in zip(times, picked, strict=True))
    assert longest == min(max(one[i] for one, i in zip(times, split, strict=True)) for split in splits)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 64))
def test_more_lanes_are_never_slower(m, n, k, lanes):
    workload = {**TWO, "ranks": {"M": m, "D": k, "N": n, "P": 3}}
    for pattern in ("sequential", "dataflow", "reconfigurable"):
        if pattern == "dataflow" and lanes < 2:
            continue
        cycles = [design(workload=workload, patterns=[pattern], lanes=many).map("latency").cycles
                  for many in (lanes, 2 * lanes)]  # fmt: skip
        assert cycles[1] <= cycles[0]
