"""``dram_pim`` by hand: a product term by term, the parts of a cascade, what it refuses and what it says."""

import json

import pytest

import einloom as el
from einloom.arch.engine import Program
from einloom.arch.templates.dram_pim.recognise import parts_of

PLAIN = {"accumulators": 32, "k_split": 1, "layout": "padded", "heads": "separate", "softmax": "dram",
         "vectors": "dram"}  # fmt: skip


def gemv(size_k=1024, size_n=1024, choices=PLAIN, line="Z[n] = sum{k}(A[k] * B[k,n])", **architecture):
    return el.load({
        "name": "gemv",
        "workload": {"name": "gemv", "ranks": {"K": size_k, "N": size_n}, "bits": {"default": 16}, "cascade": [line]},
        "architecture": {"template": "dram_pim", **architecture},
        "mapping": {"choices": choices} if choices else None,
    })  # fmt: skip


def llm(workload, **architecture):
    return el.load({"name": "llm", "workload": f"workloads/{workload}.yaml",
                    "architecture": {"template": "dram_pim", **architecture}})  # fmt: skip


def test_a_product_of_1024_by_1024_on_32_channels_by_hand():
    """512 banks: c = 2 columns a bank in one row of 64 accesses, one group of 2 in 32 accumulators."""
    found = gemv(without=["refresh", "four_activate"]).evaluate()
    assert found.einsums["Z"].terms_cycles == {
        "run_start": 0,
        "buffer": 2 * 64,  # w = max(tBL 2, tCCD 2) for each of 64 columns of the input
        "bias": 5 + 2 * 1 + 1,  # v = tBL + 3, then one more write, then 1
        "mode_switch": 3 * 32,  # into the registers at the start, to the array, and back
        "activate": 56 + (56 + 12),  # tRCD; then tRCD + tRTP between the columns of the two rows
        "precharge": 32,  # between the two rows; the first finds the bank closed
        "columns": 2 * 63 * 2 + 2,  # 63 steps of tCCD 2 in each row, and tCCD after the last
        "readout": 3,  # q = max(tBL + 1, tCCD) for the second accumulator
        "activation": 0,
    }
    assert found.cycles == 128 + 8 + 96 + 124 + 32 + 254 + 3 == 645
    assert found.utilization["MAC"] == pytest.approx(2 * 1024 * 1024 / 256 / 32 / 645)


def test_a_physical_dram_refreshes_and_opens_four_banks_at_a_time():
    found = gemv().evaluate()
    terms = found.einsums["Z"].terms_cycles
    assert terms["four_activate"] == 2 * 3 * 48  # two rows, 16 banks in four windows: three waits
    assert terms["refresh"] == pytest.approx((645 + 288) * 240 / (3800 - 240))
    assert found.cycles == pytest.approx(645 + 288 + terms["refresh"])


def test_times_of_refresh_and_window_are_those_of_gddr6_whatever_the_clock_of_their_source():
    """Of its preset of 0.57 ns a cycle: window 42 cycles, refresh 210 every 3333 (120 ns every 1.9 us)."""
    timings = dict(gemv().architecture.parameters)
    for name, cycles in (("nFAW", 42), ("nRFC", 210), ("nREFI", 3333)):
        assert timings[name] * 0.5 == pytest.approx(cycles * 0.57, abs=0.5)


def test_a_physical_dram_stands_by_for_all_of_a_step_in_all_channels_of_all_devices():
    """Between closed and open power, its logic always on; as CENT counts them, only while banks work."""
    for devices in (1, 4):
        found = llm("llama2_block_decode", devices=devices, companion_clock="100 MHz").map("latency")
        watts = {name: found.energy_pj_by[name] * 1e-12 / found.latency_s for name in ("standby", "logic")}
        assert 0.18315 * 32 * devices <= watts["standby"] <= 0.26375 * 32 * devices
        assert watts["logic"] == pytest.approx(0.03902 * devices)
        shipped = llm("llama2_block_decode", devices=devices, companion_clock="100 MHz",
                      without=["standby_all_channels"]).map("latency")  # fmt: skip
        assert shipped.energy_pj_by["logic"] < found.energy_pj_by["logic"]


def test_a_product_costs_the_energy_of_its_commands_by_hand():
    found = gemv(without=["refresh", "four_activate", "standby_all_channels"], logic_power="0 W").evaluate()
    by = found.energy_pj_by
    assert by["activate"] == pytest.approx(2 * 16 * 32 * 2950.35)
    assert by["mac_column"] == pytest.approx(2 * 64 * 32 * 1314.45)
    assert by["transfer"] == pytest.approx((64 + 2 + 2) * 32 * 1408)
    closed = 2 * 32
    assert by["standby"] == pytest.approx(((645 - closed) * 263.75 + closed * 183.15) / 2)


def test_the_mapper_is_never_worse_than_a_given_mapping_and_splits_a_narrow_product():
    given, best = gemv(8192, 128).evaluate(), gemv(8192, 128, choices=None).map("latency")
    assert best.cycles < given.cycles
    assert best.proof == "optimal"
    assert any(line.startswith("k_split = ") and line != "k_split = 1" for line in best.einsums["Z"].mapping)


def test_packed_columns_open_fewer_rows():
    padded = gemv(256, 16384, {**PLAIN, "layout": "padded"}).evaluate().einsums["Z"].events
    packed = gemv(256, 16384, {**PLAIN, "layout": "packed"}).evaluate().einsums["Z"].events
    assert packed["mac"] == padded["mac"]
    assert packed["activate_all"] * 4 == padded["activate_all"]


def test_the_activation_function_is_looked_up_in_the_banks_or_on_the_companion():
    line = "Z[n] = silu(sum{k}(A[k] * B[k,n]))"
    banks = gemv(line=line).evaluate().einsums["Z"]
    beside = gemv(line=line, choices={**PLAIN, "vectors": "companion"}).evaluate().einsums["Z"]
    assert banks.events["lookup"] > 0
    assert "companion" not in banks.terms_cycles
    assert "lookup" not in beside.events
    assert beside.terms_cycles["companion"] > 0


# -- cascades -------------------------------------------------------------------------------------------------------


def test_a_block_of_llama_is_read_as_its_parts():
    (cascade,) = llm("llama2_block_decode").workload.cascades
    parts = parts_of(Program(cascade.name, tuple(cascade.sized()), 1))
    assert [part.kind for part in parts] == [
        "norm", "linear", "linear", "linear", "rotary", "scores", "softmax", "values", "linear", "plain",
        "norm", "linear", "linear", "gate", "linear", "plain",
    ]  # fmt: skip
    assert [name for part in parts for name in part.names] == [einsum.name for einsum in cascade.sized()]
    scores = parts[5]
    assert (scores.heads, scores.queries, scores.tokens, scores.new) == (8, 8, 2048, 1)
    gated = {part.name: (part.activation, part.gated) for part in parts if part.kind == "linear"}
    assert gated["FG"] == ("silu", False)
    assert gated["FU"] == ("", True)


@pytest.mark.parametrize("workload", ["llama_block_decode", "bitnet_0.7b_decode", "bitnet_block_prefill",
                                      "gpt2_small_decode", "attention_3pass"])  # fmt: skip
@pytest.mark.parametrize("machine", [{}, {"companion": "vector", "channels": 8}, {"unit": "register_tiles"}],
                         ids=["cent", "vector", "register_tiles"])  # fmt: skip
def test_whole_networks_run_with_every_einsum_in_one_step(workload, machine):
    design = llm(workload, **machine)
    found = design.map("latency")
    assert found.proof == "optimal"
    for cascade in design.workload.cascades:
        prefix = f"{cascade.name}." if len(design.workload.cascades) > 1 else ""
        steps = {name: e for name, e in found.einsums.items() if name.startswith(prefix)}
        assert all(e.cycles > 0 and e.energy_pj > 0 for e in steps.values())
        assert all(cycles >= 0 for e in steps.values() for cycles in e.terms_cycles.values())
    total = sum(einsum.operations()[name] * cascade.repeat for cascade in design.workload.cascades
                for einsum in cascade.sized() for name in einsum.operations())  # fmt: skip
    assert found.operations == total


def test_ternary_weights_are_stored_as_words_of_16_bits():
    found = llm("bitnet_block_decode").map("latency")
    notes = [note for einsum in found.einsums.values() for note in einsum.notes]
    assert "WQ has 1.6 bits a word and takes 16 in the DRAM, like every word" in notes


def test_several_vectors_are_several_passes():
    one = gemv(line="Z[n] = sum{k}(A[k] * B[k,n])", without=["refresh"]).evaluate().cycles
    many = el.load({
        "name": "gemm", "architecture": {"template": "dram_pim", "without": ["refresh"]},
        "workload": {"name": "gemm", "ranks": {"M": 5, "K": 1024, "N": 1024}, "bits": {"default": 16},
                     "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]},
        "mapping": {"choices": PLAIN},
    }).evaluate().cycles  # fmt: skip
    assert many == 5 * one  # the first of five needs a switch of mode (32) and closes no row (32)


def test_heads_together_save_switches_of_mode():
    mappings = ({"choices": {**PLAIN, "heads": heads}} for heads in ("separate", "concatenated"))
    apart, together = (
        el.load({"name": "x", "workload": "workloads/llama2_block_decode.yaml",
                 "architecture": {"template": "dram_pim"}, "mapping": mapping}).evaluate()
        for mapping in mappings
    )  # fmt: skip
    switches = [found.einsums["QKN"].terms_cycles["mode_switch"] for found in (apart, together)]
    assert switches[0] == 8 * switches[1]
    assert llm("llama2_block_decode").map("latency").cycles < together.cycles < apart.cycles


# -- what it refuses ------------------------------------------------------------------------------------------------


REFUSED = [
    ({"block_channels": 33}, "block_channels: a block has 33 channels of 32", "at most `channels`"),
    ({"nREFI": 200}, "nREFI: a refresh of 240 cycles every 200 leaves no time", "nREFI must be above nRFC"),
    ({"row": "2 KiB", "column": "96 b"}, "column: a row of 1024 words is no whole number of columns of 6", ""),
    ({"column": "24 b"}, "column: 'column' is no whole number of words of 16 bits", ""),
    ({"devices": 2, "parallel": "pipeline"}, "parallel: 2 devices share a block, but the links are 'pipeline'",
     "`parallel: tensor`, or `devices: 1`"),
    ({"energies": {"activte": 3}}, "energies.activte: no event is named 'activte'", "events: activate, "),
    ({"energies": {"activate": -3}}, "energies.activate: the energy of 'activate' is -3", "a number of pJ, at least 0"),
    ({"without": ["refrsh"]}, "without: no entry of 'without' is named 'refrsh'", "did you mean 'refresh'?"),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "message", "hint"), REFUSED, ids=lambda value: str(value)[:30])
def test_wrong_parameters_are_told(architecture, message, hint):
    with pytest.raises(el.SpecError) as caught:
        gemv(**architecture)
    (problem,) = caught.value.problems
    assert f"architecture.{message}" in str(problem)
    assert hint in problem.hint


def test_what_the_banks_do_not_run_needs_a_companion():
    with pytest.raises(el.MappingError, match="Einsum L1: the banks do not run 'add' and there is no companion"):
        llm("llama2_block_decode", companion="none").map("latency")


def test_its_results_are_plain_json():
    found = gemv().evaluate()
    assert json.loads(json.dumps(found.to_dict()))["cycles"] == found.cycles


def test_a_model_that_the_device_does_not_hold_is_told():
    """70 billion weights of 16 bits do not fit one device of 16 GiB; the blocks of a pipeline are spread over many."""
    told = r"step Q needs at least 1\.09\d+e\+12 bits of DRAM, there are 1\.374389535e\+11"
    with pytest.raises(el.MappingError, match=told):
        llm("llama2_70b_decode").map("latency")
    assert llm("llama2_70b_decode", parallel="pipeline", block_channels=10).map("latency").proof == "optimal"
