"""Machines for ternary weights: cases computed by hand, published structure, and whole language models."""

from fractions import Fraction

import pytest

import einloom as el
from einloom.arch.components import library
from einloom.arch.engine import Program
from einloom.arch.templates.ternary_lut.processor import calibrated
from einloom.arch.templates.ternary_lut.resources import PUBLISHED, primitive_lut

GEMM = {
    "name": "gemm", "ranks": {"M": 24, "N": 16, "K": 20}, "bits": {"default": 8, "B": 1.6},
    "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"],
}  # fmt: skip
SMALL = {"template": "ternary_lut", "group": 3, "tables": 2, "lanes": 4, "axi_bits": 32, "weight_ports": 1}
VITA = {"template": "dual_core", "ternary_macs": 12, "flexible_macs": 4, "clock": "1 GHz"}
SERIAL = "arch/tmac_agx_orin.yaml"
MACHINES = {"tables": "arch/tellme_kv260.yaml", "processor": SERIAL, "port": "arch/matmulfree_core.yaml",
            "cores": "arch/vitallm.yaml"}  # fmt: skip


def mapped(workload, architecture, mapping=None, objective="latency", **changes):
    design = {"name": "t", "workload": workload, "architecture": architecture}
    if mapping is not None:
        design["mapping"] = mapping
    return el.load(design, set=changes).map(objective)


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_table_lookup_by_hand():
    """Per row of 24: 7 groups (21 activations) are built, one a cycle; 4 blocks are looked up in 16 / 4 cycles each.

    The matrix: 7 groups x 5 bits x 16 outputs = 560 bits, 18 beats of 32.
    """
    product = mapped(GEMM, SMALL).einsums["Z"]
    assert product.terms_cycles["build"] == 24 * 21
    assert product.terms_cycles["lookup"] == 24 * 4 * 4
    assert product.terms_cycles["weight_load"] == 18
    assert product.cycles == 24 * (21 + 16) + 18
    assert product.events["lookups"] == 24 * 7 * 16
    assert product.events["table_entries"] == 24 * 7 * 27


def test_passes_build_tables_again():
    """8 sums: two passes of 8 outputs, 2 x 21 builds a row, the same lookups."""
    product = mapped(GEMM, {**SMALL, "accumulators": 8}).einsums["Z"]
    assert product.mapping == ("pass_outputs = 8", "load = serial", "Lookup")
    assert product.terms_cycles["build"] == 24 * 2 * 21
    assert product.terms_cycles["lookup"] == 24 * 4 * 4


def test_fixed_trip_counts_by_hand():
    """Padded to 4 blocks of 6 activations; planes of 5 blocks x 100 outputs, words of 10 bits, 3 in a beat."""
    machine = {**SMALL, "padded": True, "plane_blocks": 5, "plane_outputs": 100, "block_overhead": 2}
    product = mapped(GEMM, machine).einsums["Z"]
    assert product.terms_cycles["build"] == 24 * 4 * 6
    assert product.terms_cycles["block_overhead"] == 24 * 4 * 2
    assert product.terms_cycles["weight_load"] == 5 * 34


def test_the_weight_port_by_hand():
    """320 weights, four a byte: 80 accesses of 3 cycles for each of 24 rows."""
    product = mapped(GEMM, {"template": "ternary_lut", "machine": "weight_port"}).einsums["Z"]
    assert product.cycles == 24 * 80 * 3


def test_bit_serial_by_hand():
    """2 planes x 24 x 320 / (4 x 16) lookups and 24 x 5 tables of 8 entries (16 a step), at 1 a ns; 85 B at 1 GB/s."""
    machine = {"template": "ternary_lut", "machine": "bit_serial", "instruction_rate": "1 GHz", "wide_rate": "1 GHz",
               "bandwidth": "1 GB/s", "clock": "1 GHz"}  # fmt: skip
    product = mapped(GEMM, machine).einsums["Z"]
    assert product.terms_cycles["lookup"] == 2 * 24 * 320 / 64
    assert product.terms_cycles["build"] == 24 * 5 / 2
    assert product.cycles == 300
    starved = mapped(GEMM, {**machine, "bandwidth": "0.1 GB/s"}).einsums["Z"]
    assert starved.cycles == pytest.approx(320 * 2.125 / 8 / 0.1)


def test_cores_by_hand():
    """24 x 320 multiply-accumulates on 12 + 4 ternary lanes; 8-bit weights take 4 digits on the flexible core."""
    assert mapped(GEMM, VITA).einsums["Z"].terms_cycles["compute"] == 24 * 320 / 16
    one = mapped(GEMM, VITA, {"choices": {"cores": "ternary"}}).einsums["Z"]
    assert one.terms_cycles["compute"] == 24 * 320 / 12
    wide = mapped({**GEMM, "bits": {"default": 8}}, VITA).einsums["Z"]
    assert wide.binding == "Flexible"
    assert wide.terms_cycles["compute"] == 24 * 320 * 4 / 4


def test_energy_by_hand():
    """DRAM: 560 bits of indices (7 groups, 16 outputs), 480 activations and 384 outputs of 8 bits at 8 pJ a bit.

    Tables: 4,536 entries of 10 bits are added up and written to 4 copies, 2,688 are read and added.
    """
    found = mapped(GEMM, {**SMALL, "technology": "45 nm"})
    assert found.energy_pj_by["DRAM"] == pytest.approx((560 + 480 * 8 + 384 * 8) * 8)
    add = 0.05  # 16 bits at 45 nm: M. Horowitz, ISSCC 2014
    bit = library().memory_part("register", 10, Fraction(1), 45).read_energy_pj
    assert bit == pytest.approx(0.009, rel=0.2)  # at 40 nm
    asic = 4536 * (add + 4 * 10 * bit) + 2688 * (10 * bit + add)
    assert found.energy_pj_by["Lookup"] == pytest.approx(14 * asic)
    other = mapped(GEMM, {**SMALL, "technology": "45 nm", "fabric": "asic"})
    assert other.energy_pj_by["Lookup"] == pytest.approx(asic)
    assert other.energy_pj_by["DRAM"] == found.energy_pj_by["DRAM"]


def test_weights_beside_their_use_hide_the_shorter_of_the_two():
    """Decode of TeLLMe, all calibrated constants in: 14.6 ms of loading hide most of 6.06 ms of lookups."""
    serial, beside = (
        mapped("workloads/bitnet_0.7b_decode.yaml", MACHINES["tables"], **{
            "workload.ranks.M": 127, "architecture.weights_beside": allowed})
        for allowed in (False, True)
    )  # fmt: skip
    assert beside.einsums["block.Q"].mapping[1] == "load = beside"
    saved = (serial.cycles - beside.cycles) / 250e3
    assert 5.3 < saved < 6.06


# -- published structure ----------------------------------------------------------------------------------------------


def test_tellme_by_its_structure():
    """arXiv 2510.15926: 850,080 cycles and 1,825,824 beats a token, 17/32 of prefill attention, 48 URAM."""
    bound = {"architecture.block_overhead": 0, "architecture.accumulators": 4096, "workload.ranks.M": 127}
    token = mapped("workloads/bitnet_0.7b_decode.yaml", MACHINES["tables"], **bound)
    rows = [e for e in token.einsums.values() if "build" in e.terms_cycles]
    assert len(rows) == 7
    assert sum(e.repeat * (e.terms_cycles["build"] + e.terms_cycles["lookup"]) for e in rows) == 850_080
    assert sum(e.repeat * e.events["weight_beats"] for e in rows) == 1_825_824
    assert token.resources["uram"] == 48 + 12
    prompt = {order: mapped("workloads/bitnet_0.7b_prefill.yaml", MACHINES["tables"], {"choices": {"order": order}})
              for order in ("reversed", "natural")}  # fmt: skip
    triangle, square = (prompt[order].einsums["block.AV"].cycles for order in ("reversed", "natural"))
    assert triangle / square == pytest.approx(17 / 32)


def test_the_mapper_finds_shorter_passes_than_tellme_takes():
    """4,096 outputs in three passes of 1,376 instead of 1,536: fixed trip counts waste less."""
    fixed = {"choices": {"pass_outputs": 1536}}
    given, found = (mapped("workloads/bitnet_0.7b_decode.yaml", MACHINES["tables"], m) for m in (fixed, None))
    assert found.einsums["block.FG"].mapping[0] == "pass_outputs = 1376"
    assert found.cycles < given.cycles


def test_table_engines_from_primitives():
    """LUT of three table engines (third-party report on TeLLMe v2): -6, -22, +1 % from primitives."""
    errors = {}
    for form, published in PUBLISHED.items():
        design = el.load({"name": "t", "workload": GEMM, "architecture": {"template": "ternary_lut", "form": form}})
        unit = dict(design.architecture.engine.units)["projection"].tables
        assert design.architecture.resources[0] == ("lut", primitive_lut(unit))
        errors[form] = primitive_lut(unit) / published - 1
    assert errors == pytest.approx({"select_add": -0.057, "mirrored": -0.223, "full": 0.0138}, abs=1e-3)


# tokens/s of github.com/microsoft/T-MAC (Llama-2-7B at 2 and 4 bits, one thread; 4 bits, many threads)
ROWS = {
    "m2_ultra": (16.68, 8.97, 35.65, (3.93, 8, 128.4)),
    "agx_orin": (4.36, 2.46, 8.09, (1.14, 52, 29.1)),
    "raspberry_pi_5": (4.40, 2.42, 3.35, (1.09, 41, 12.1)),
    "surface_book_3": (6.77, 3.74, 9.34, (1.69, 28, 33.6)),
}


@pytest.mark.parametrize("name", ROWS)
def test_processors_read_off_three_rows(name):
    """Giga-instructions/s, ms of the head, GB/s."""
    two, four, many, expected = ROWS[name]
    found = calibrated({2: two, 4: four}, {4: many}, 6_476_005_376, 131_072_000, 0.125, 64)
    got = found.instruction_hz / 1e9, found.head_s * 1e3, found.bytes_per_s / 1e9
    assert got == pytest.approx(expected, rel=0.06)
    architecture = el.load({"name": "t", "workload": GEMM, "architecture": f"arch/tmac_{name}.yaml"}).architecture
    assert dict(architecture.engine.units)["projection"].core.instruction_hz == found.instruction_hz


# -- whole models -----------------------------------------------------------------------------------------------------

MODELS = ("bitnet_block_decode", "bitnet_block_prefill", "llama_block_decode", "llama_block_prefill",
          "gpt_block_decode", "decoder_layer_prefill", "matmulfree_block")  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("machine", MACHINES)
def test_a_whole_block_runs_and_every_step_costs_energy(machine, model):
    design = el.load({"name": "t", "workload": f"workloads/{model}.yaml", "architecture": MACHINES[machine]})
    (cascade,) = design.workload.cascades
    program = Program(cascade.name, tuple(cascade.sized()))
    steps = design.architecture.engine.steps(program, {})
    assert sorted(name for step in steps for name in step.einsums) == sorted(e.name for e in program.einsums)
    found = design.map("latency")
    assert found.operations == sum(sum(e.operations().values()) for e in program.einsums)
    assert all(e.energy_pj > 0 and e.cycles > 0 for e in found.einsums.values())


@pytest.mark.parametrize(
    ("machine", "workload"),
    [("tables", "bitnet_block_prefill"), ("processor", "bitnet_0.7b_decode"), ("port", "matmulfree_370m"),
     ("cores", "bitnet_block_prefill")],
)  # fmt: skip
def test_every_term_can_be_left_out_by_name(machine, workload):
    whole = mapped(f"workloads/{workload}.yaml", MACHINES[machine])
    for term in {term for einsum in whole.einsums.values() for term in einsum.terms_cycles}:
        left = mapped(f"workloads/{workload}.yaml", MACHINES[machine], **{"architecture.without": [term]})
        assert all(term not in einsum.terms_cycles for einsum in left.einsums.values())
        assert left.cycles <= whole.cycles * (1 + 1e-12)


def test_pruned_keys_and_values_are_neither_fetched_nor_multiplied():
    whole, half = (mapped("workloads/bitnet_block_decode.yaml", MACHINES["cores"], **{"architecture.kept": kept})
                   for kept in (1, 0.5))  # fmt: skip
    for name in ("QKC", "CV"):
        assert half.einsums[name].terms_cycles["compute"] * 2 == whole.einsums[name].terms_cycles["compute"]
    cache = [r.einsums["QKC"].memories["DRAM"].tensors["KC"].reads for r in (whole, half)]
    assert cache == [1023 * 1536, 1023 * 1536 / 2]
    assert half.einsums["O"].cycles == whole.einsums["O"].cycles


def test_norms_of_one_token_are_exposed_and_those_of_a_prompt_are_not():
    """Dependences: a norm needs its whole token, so that only other tokens can run beside it."""
    token = mapped("workloads/bitnet_block_decode.yaml", MACHINES["cores"]).einsums["O"]
    assert token.terms_cycles["nonlinear"] == 3 * 1536 / 16  # a mean, a maximum, and one pass through the pipeline
    prompt = mapped("workloads/bitnet_block_prefill.yaml", MACHINES["cores"]).einsums["O"]
    assert prompt.terms_cycles["nonlinear"] == token.terms_cycles["nonlinear"]  # that of the first of 128 tokens
    serial = mapped("workloads/bitnet_block_prefill.yaml", MACHINES["cores"], **{"architecture.overlap": False})
    assert serial.einsums["O"].terms_cycles["nonlinear"] == 128 * token.terms_cycles["nonlinear"]


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"template": "ternary_lut", "threads": 4}, "'threads' is no parameter of `machine: table_lookup`"),
        ({"template": "ternary_lut", "machine": "bit_serial"}, "'instruction_rate' is missing"),
        (
            {"template": "ternary_lut", "machine": "bit_serial", "bandwidth": "9 GB/s", "measured": {
                "one_thread": {2: 4.0, 4: 2.1}, "many_threads": {4: 8}, "weights": 10, "head": 1}},
            "keep the rows, or what they say",
        ),
        ({"template": "ternary_lut", "wide": "host"}, "needs `host_bandwidth`"),
        ({"template": "ternary_lut", "lanes": 64, "tables": 128, "device": "kv260"}, "lut of 117,120"),
        ({"template": "ternary_lut", "device": "kv261"}, "did you mean 'kv260'"),
        ({"template": "ternary_lut", "others": {"luts": 3}}, "did you mean 'lut'"),
        ({"template": "ternary_lut", "others": {"lut": -3}}, "a number of at least 0"),
        ({"template": "ternary_lut", "bandwidth": "4 words/cycle"}, "in words, which have no width here"),
        ({"template": "ternary_lut", "machine": "bit_serial", "measured": {"one_thread": {2: 4.0}}}, "give 2 rows"),
        (
            {"template": "ternary_lut", "machine": "bit_serial", "measured": {
                "one_thread": {2: 2.0, 4: 2.5}, "many_threads": {4: 8}, "weights": 10, "head": 1}},
            "more bits must take longer",
        ),
        ({**VITA, "kept": 0}, "must be above 0"),
        ({**VITA, "bandwidth": "4 words/cycle"}, "in words, which have no width here"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(architecture, words):
    with pytest.raises(el.EinloomError) as caught:
        mapped(GEMM, architecture)
    assert words in str(caught.value)


def test_weights_too_wide_and_products_that_are_none_are_refused():
    with pytest.raises(el.MappingError, match="weights B have 8 bits, this machine takes less than 2 bits"):
        mapped({**GEMM, "bits": {"default": 8}}, {"template": "ternary_lut", "wide": "nothing"})
    named = mapped({**GEMM, "bits": {"default": 8}}, {"template": "ternary_lut", "wide": "nothing", "ternary": "B"})
    assert named.einsums["Z"].binding == "Lookup"
    lonely = {**GEMM, "ranks": {**GEMM["ranks"], "J": 2}, "cascade": ["Z[m,n] = sum{k,j}(A[m,k,j] * B[k,n])"]}
    with pytest.raises(el.MappingError, match="a product that this machine cannot run"):
        mapped(lonely, VITA)


def test_a_buffer_too_small_for_one_token_is_said():
    with pytest.raises(el.MappingError, match="of SRAM"):
        mapped("workloads/bitnet_block_decode.yaml", {**VITA, "buffer": "3 KiB"})
