"""`dram_pim` against the AiM simulator (products) and CENT (transformer blocks): rows.json, larger_models.json.

Both files say where their rows come from.
"""

import json
from pathlib import Path
from statistics import fmean

import pytest

import einloom as el

HERE = Path(__file__).parent
ROWS = json.loads((HERE / "rows.json").read_text(encoding="utf-8"))
LARGER = json.loads((HERE / "larger_models.json").read_text(encoding="utf-8"))
SIMULATOR = ["refresh", "four_activate", "standby_all_channels", "link_word_width"]
AS_CENT = {
    "accumulators": 32, "k_split": 1, "layout": "padded", "heads": "separate", "softmax": "dram", "vectors": "dram",
}  # fmt: skip
MODELS = {
    "Llama2-7B": {"D": 4096, "G": 32, "R": 1, "N": 11008, "blocks": 32},
    "Llama2-13B": {"D": 5120, "G": 40, "R": 1, "N": 13824, "blocks": 40},
    "Llama2-70B": {"D": 8192, "G": 8, "R": 8, "N": 28672, "blocks": 80},
}
COMMANDS = {
    "MAC16": "mac", "ACT16": "activate_all", "WRGB": "buffer_write", "WRMAC16": "bias_write",
    "RDMAC16": "accumulator_read", "AF16": "lookup", "RDAF16": "lookup_read",
}  # fmt: skip


def product(row):
    result = "silu(sum{k}(A[k] * B[k,n]))" if row["activation"] else "sum{k}(A[k] * B[k,n])"
    return el.load({
        "name": "gemv",
        "workload": {"name": "gemv", "ranks": {"K": row["K_input"], "N": row["N_output"]}, "bits": {"default": 16},
                     "cascade": [f"Z[n] = {result}"]},
        "architecture": {"template": "dram_pim", "companion": "none", "channels": row["channels"],
                         "accumulators": row["mac_registers"], "without": SIMULATOR, **row.get("timing_override", {})},
        "mapping": {"choices": {**AS_CENT, "accumulators": row["mac_registers"]}},
    }).evaluate()  # fmt: skip


def name_of(row):
    return "-".join(map(str, [row["K_input"], row["N_output"], row["channels"], *row.get("timing_override", {})]))


@pytest.mark.parametrize("row", ROWS["gemv"], ids=name_of)
def test_products_take_the_cycles_and_commands_of_the_simulator(row):
    found = product(row)
    assert found.cycles == row["cycles"]
    events = found.einsums["Z"].events
    theirs = row["commands_all_channels"]
    assert {ours: events.get(ours, 0) for ours in COMMANDS.values()} == {
        ours: theirs.get(command, 0) for command, ours in COMMANDS.items()
    }
    assert events["mode"] == theirs["TMOD"] - row["channels_used"]  # theirs has the first switch of each channel


@pytest.mark.parametrize("row", ROWS["gemv_timing_variants"], ids=name_of)
def test_products_take_the_cycles_of_the_simulator_with_other_timings(row):
    assert product(row).cycles == row["cycles"]


# -- CENT -----------------------------------------------------------------------------------------------------------


def blocks(row, tokens, **architecture):
    """All blocks of a model, as a design."""
    model = MODELS[row["model"]]
    ranks = {name: size for name, size in model.items() if name != "blocks"}
    tensor = row.get("mode", "model_parallel") == "model_parallel"
    return el.load({
        "name": "blocks",
        "workload": {"name": "blocks", "ranks": {"D": model["D"], "M": tokens - 1}, "bits": {"default": 16}, "parts": [
            {"workload": "workloads/llama2_block_decode.yaml", "name": "block", "repeat": model["blocks"],
             "ranks": {**ranks, "M": tokens - 1}},
        ]},
        "architecture": {"template": "dram_pim", "block_channels": row.get("ch_per_block", 32), "devices": row["tp"],
                         "parallel": "tensor" if tensor else "pipeline", "link_lanes": 144 // row["devices"],
                         "gather_width": "query", "without": SIMULATOR, **architecture},
        "mapping": {"choices": AS_CENT},
    })  # fmt: skip


def columns(found, blocks):
    """Milliseconds of one block as CENT's table has them: PIM, CXL, accelerator, all."""
    each = {name: sum(e.terms_cycles.get(name, 0) for e in found.einsums.values()) / 2e6
            for name in ("links", "accelerator", "companion")}  # fmt: skip
    whole = found.cycles / blocks / 2e6
    return whole - sum(each.values()), each["links"], each["accelerator"], whole


def cent_name(row):
    return f"{row['model']}-tp{row['tp']}-{row['ch_per_block']}ch-{row['seq']}"


@pytest.mark.parametrize("row", ROWS["cent"]["rows"] + LARGER["rows"], ids=cent_name)
def test_blocks_are_within_one_percent_and_energies_within_half(row):
    found = blocks(row, row["seq"]).evaluate()
    pim, cxl, accelerator, whole = columns(found, MODELS[row["model"]]["blocks"])
    assert pim == pytest.approx(row["pim_ms"], rel=0.0025)
    assert cxl == pytest.approx(row["cxl_ms"], rel=1e-9)
    assert accelerator == pytest.approx(row["acc_ms"], rel=1e-9)
    assert whole == pytest.approx(row["block_ms"], rel=0.0025)
    assert found.energy_pj * 1e-9 == pytest.approx(row["mJ_per_token"], rel=0.0035)


def token(row, tokens):
    """The whole model with its embedding, as CENT runs it: milliseconds."""
    size = row["model"].removeprefix("Llama2-").lower()
    design = blocks(row, tokens)
    whole = el.load({
        "name": "token", "workload": f"designs/cent/llama2_{size}_token.yaml",
        "architecture": {"template": "dram_pim", **{
            name: value for name, value in design.architecture.parameters
            if name in ("block_channels", "devices", "parallel", "link_lanes", "gather_width")}, "without": SIMULATOR},
        "mapping": {"choices": AS_CENT},
    }, set={"workload.ranks.M": tokens - 1})  # fmt: skip
    return whole.evaluate().latency_s * 1e3 + 0.15


LENGTHS = range(128, 4097, 128)


@pytest.mark.parametrize("row", [r for r in LARGER["means"] if (r["model"], r["tp"]) in {
    ("Llama2-13B", 5), ("Llama2-70B", 32)}], ids=lambda r: f"{r['model']}-tp{r['tp']}")  # fmt: skip
def test_means_of_larger_models_over_tensor_parallel_devices(row):
    """Models that no constant was read off, over all 32 lengths; embedding and head do not depend on the length."""
    found = [blocks(row, tokens).evaluate() for tokens in LENGTHS]
    beside = token(row, 128) - found[0].latency_s * 1e3
    mean_token_ms = fmean(result.latency_s * 1e3 for result in found) + beside
    assert mean_token_ms == pytest.approx(row["mean_token_ms"], rel=0.004)  # theirs: no links for the head
    assert fmean(result.energy_pj * 1e-9 for result in found) == pytest.approx(row["mean_mJ_per_token"], rel=0.003)


def test_physical_terms_add_time_and_energy():
    row = ROWS["cent"]["rows"][0]
    shipped = blocks(row, 128).evaluate()
    physical = blocks(row, 128, without=[]).evaluate()
    terms = {name for einsum in physical.einsums.values() for name in einsum.terms_cycles}
    assert {"refresh", "four_activate"} <= terms
    assert not {"refresh", "four_activate"} & {n for e in shipped.einsums.values() for n in e.terms_cycles}
    assert physical.cycles > shipped.cycles
    assert physical.energy_pj_by["standby"] > 31 * shipped.energy_pj_by["standby"]
    assert physical.energy_pj_by["links"] == pytest.approx(16 * shipped.energy_pj_by["links"])
