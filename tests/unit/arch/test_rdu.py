"""Kernels of `rdu` by hand: what crosses the HBM, what stays, how long it takes, what sockets and switches add."""

import math

import pytest

import einloom

GEMMS = {
    "name": "chain", "ranks": {"M": 4, "K": 8, "N": 16, "P": 8}, "bits": {"default": 16}, "weights": ["B", "C"],
    "cascade": ["Y[m,n] = sum{k}(A[m,k] * B[k,n])", "R[m,n] = relu(Y[m,n])", "Z[m,p] = sum{n}(R[m,n] * C[n,p])"],
}  # fmt: skip
SMALL = {"template": "rdu", "pcus": 4, "pcu_gflops": 8, "pmus": 1, "pmu": "4 KiB", "hbm_bandwidth": "2 B/cycle"}
"""4 units of 4 MACs a cycle at 1 GHz; 16 bits of HBM a cycle."""


def run(execution="fused", workload=GEMMS, mapping=None, set=None, **architecture):
    mapping = {"choices": {"execution": execution}} if mapping is None else mapping
    design = {"name": "d", "workload": workload, "architecture": {**SMALL, **architecture}}
    return einloom.load(design | ({"mapping": mapping} if mapping else {}), set=set).map("latency")


def test_one_by_one_by_hand():
    """Y: 4 x 8 x 16 = 512 MACs, 32 cycles; A 32, B 128, Y 64 words through 1 word a cycle: 224."""
    found = run("kernel_by_kernel").einsums
    assert list(found) == ["Y", "R", "Z"]
    assert found["Y"].terms_cycles == {"compute": 32, "stall": 224 - 32, "exchange": 0, "launch": 0}
    assert found["R"].terms_cycles == {"compute": 4, "stall": 128 - 4, "exchange": 0, "launch": 0}
    assert found["Z"].cycles == 64 + 128 + 32
    assert {name: (c.reads, c.writes) for name, c in found["Y"].memories["HBM"].tensors.items()} == {
        "A": (32, 0), "B": (128, 0), "Y": (0, 64)}  # fmt: skip


def test_fused_by_hand():
    """Y and R stay: 68 cycles of work, A, B, C and Z through the HBM."""
    found = run("fused")
    (kernel,) = found.einsums.values()
    assert kernel.name == "Z"
    moved, worked = 32 + 128 + 128 + 32, 32 + 4 + 32
    assert kernel.terms_cycles == {"compute": worked, "stall": moved - worked, "exchange": 0, "launch": 0}
    assert set(kernel.memories["HBM"].tensors) == {"A", "B", "C", "Z"}
    assert kernel.events == {"kernels": 1, "fused_einsums": 3}
    assert found.operations == 512 + 64 + 512


def test_energy_by_hand():
    """HBM2 costs 3.9 pJ a bit (O'Connor 2017); 320 words of 16 bits cross it fused, 576 do one by one."""
    assert run("fused").energy_pj_by["HBM"] == pytest.approx(320 * 16 * 3.9)
    assert run("kernel_by_kernel").energy_pj_by["HBM"] == pytest.approx((224 + 128 + 224) * 16 * 3.9)


def test_a_kernel_ends_where_the_sram_is_full():
    """64 rows: Y and R have 16,384 bits each, B, the smaller operand of the first product, 2048.

    One unit of 2 KiB, 16,384 bits: R before Z fits (16,384), Y before R does not (18,432). Two: Y and R fit, all three
    do not (34,816). Three: all.
    """
    rows = {"workload.ranks.M": 64}
    found = [list(run("fused", pmu="2 KiB", pmus=units, set=rows).einsums) for units in (1, 2, 3)]
    assert found == [["Y", "Z"], ["R", "Z"], ["Z"]]


def test_a_product_larger_than_the_sram_runs_in_passes():
    """A 512 x 8 and B 8 x 512, 65,536 bits each; 16,384 of SRAM: four passes over one of them."""
    ranks = {"workload.ranks.M": 512, "workload.ranks.N": 512}
    found = run("kernel_by_kernel", pmu="2 KiB", set=ranks).einsums["Y"].memories["HBM"].tensors
    assert sorted((found["A"].reads, found["B"].reads)) == [4096, 4 * 4096]
    assert found["Y"].writes == 512 * 512


def test_of_a_batch_one_product_is_held_at_a_time():
    """Six products 16 x 64 by 64 x 64, 98,304 bits the smaller operands of all, 16,384 each: one pass."""
    workload = {
        "name": "batch", "ranks": {"B": 6, "M": 16, "N": 64, "K": 64}, "bits": {"default": 16},
        "cascade": ["Z[b,m,n] = sum{k}(A[b,m,k] * C[b,k,n])"],
    }  # fmt: skip
    found = run(workload=workload, mapping={}, pmu="2 KiB").einsums["Z"].memories["HBM"].tensors
    assert (found["A"].reads, found["C"].reads) == (6 * 16 * 64, 6 * 64 * 64)


def test_outputs_leave_and_tensors_used_later_cross():
    """Y is an output too; with two Einsums a kernel, R crosses between the kernels."""
    workload = GEMMS | {"outputs": ["Y"]}
    (kernel,) = run("fused", workload).einsums.values()
    assert kernel.memories["HBM"].tensors["Y"].writes == 64
    found = run("fused", mapping={"choices": {"execution": "fused", "fused_einsums": 2}}).einsums
    assert list(found) == ["R", "Z"]
    assert found["R"].memories["HBM"].tensors["R"].writes == 64
    assert found["Z"].memories["HBM"].tensors["R"].reads == 64


def test_launches_and_links_by_hand():
    """Two sockets: half the columns each; the other half of Y (4 x 8 words) comes over the link at 8 bits a cycle."""
    found = run("kernel_by_kernel", sockets=2, launch="10 ns", link_bandwidth="1 B/cycle").einsums["Y"]
    assert found.terms_cycles["compute"] == 16
    assert found.terms_cycles["exchange"] == 4 * 8 * 16 / 8
    assert found.terms_cycles["launch"] == 10
    # A whole, half of B, Y whole
    assert found.terms_cycles["stall"] == 32 + 64 + 64 - 16
    assert found.memories["HBM"].tensors["A"].reads == 2 * 32
    assert found.memories["HBM"].tensors["B"].reads == 128


def test_odd_columns_make_one_socket_busier():
    found = run("kernel_by_kernel", sockets=3, set={"workload.ranks.N": 16}).einsums["Y"]
    assert found.terms_cycles["compute"] == pytest.approx(32 * 6 / 16)


def test_a_model_switch_moves_all_weights_once():
    """B and C, 256 words of 16 bits a copy, twelve copies, over 8 bits a cycle."""
    workload = GEMMS | {"repeat": 12}
    found = run("fused", workload, switch=True, ddr_bandwidth="1 B/cycle")
    assert found.einsums["switch"].cycles == 256 * 16 * 12 / 8
    without = run("fused", workload)
    assert found.cycles == pytest.approx(without.cycles + 256 * 16 * 12 / 8)
    assert found.energy_pj_by["DDR"] == pytest.approx(256 * 16 * 12 * 20.3125)


def test_a_switch_needs_a_bandwidth():
    with pytest.raises(einloom.EinloomError, match=r"architecture.switch: a model switch copies .*\n.*ddr_bandwidth"):
        run(switch=True)


def test_a_model_larger_than_the_hbm_is_an_error_with_both_numbers():
    # A 32, B 128, C 128, Z 32 words of 16 bits
    with pytest.raises(einloom.EinloomError, match="step Z needs at least 5,120 bits of HBM, there are 4,096"):
        run(hbm="512 B")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pmu": "1 KiB"}, r"architecture.pmu: a capacity of 1 KiB is outside the table"),
        ({"pmu": "inf"}, r"architecture.pmu: 'inf' is out of range"),
        ({"hbm_bandwidth": "3 words/cycle"}, r"'hbm_bandwidth' is in words, which have no width here"),
        ({"technology": "5 nm"}, r"technology: '5' is out of range\n.*at least 7"),
        ({"elementwise": 1.5}, r"elementwise: '1.5' is out of range\n.*at most 1"),
        ({"without": ["stal"]}, r"no entry of 'without' is named 'stal'\n.*did you mean 'stall'"),
    ],
)
def test_what_is_out_of_range_is_named(given, message):
    with pytest.raises(einloom.EinloomError, match=message):
        run(**given)


def test_wide_operands_have_no_rate():
    with pytest.raises(einloom.EinloomError, match="Y has 32 bits, the peak is of BF16"):
        run(set={"workload.bits.default": 32}, workload=GEMMS | {"bits": {"default": 16, "Y": 32}})


def test_what_is_not_published_is_said():
    notes = run("fused", sockets=2).einsums["Z"].notes
    assert any("launching a kernel takes no time here" in note for note in notes)
    assert any("exchanges between sockets take no time here" in note for note in notes)
    assert run("fused", launch="1 us").einsums["Z"].notes == ()


def test_element_wise_work_may_be_slower():
    quarter = run("kernel_by_kernel", elementwise=0.25).einsums
    assert quarter["R"].terms_cycles["compute"] == 4 * 4
    assert quarter["Y"].terms_cycles["compute"] == 32


def test_the_clock_changes_no_time():
    rates = {"hbm_bandwidth": "2 GB/s", "launch": "7 ns"}
    once, twice = run(**rates, clock="1 GHz"), run(**rates, clock="2 GHz")
    assert twice.cycles == pytest.approx(2 * once.cycles)
    assert twice.latency_s == pytest.approx(once.latency_s)


def test_the_catalogue_file_is_one_socket_of_sn40l():
    """520 MiB of SRAM, 638 TFLOPS, 64 GiB: arXiv 2405.07518."""
    design = einloom.load({"name": "d", "workload": GEMMS, "architecture": "arch/sn40l.yaml"})
    machine = design.architecture
    sizes = {memory.name: float(memory.capacity.value) for memory in machine.memories()}
    assert sizes == {"DDR": 1.5 * 8 * 2**40, "HBM": 64 * 8 * 2**30, "SRAM": 520 * 8 * 2**20}
    assert machine.instances("PCU") == 1040
    assert math.isclose(2 * machine.engine.macs * machine.clock_hz, 638e12)


@pytest.mark.parametrize("workload", ["llama_block_decode", "llama_block_prefill", "bitnet_block_decode"])
@pytest.mark.parametrize("execution", ["fused", "kernel_by_kernel"])
def test_whole_blocks_run_and_every_einsum_in_one_kernel(workload, execution):
    design = einloom.load({
        "name": "d", "workload": f"workloads/{workload}.yaml", "architecture": "arch/sn40l.yaml",
        "mapping": {"choices": {"execution": execution}},
    })  # fmt: skip
    found = design.map("latency")
    total = sum(kernel.events["fused_einsums"] for kernel in found.einsums.values())
    alone = einloom.load({
        "name": "d", "workload": f"workloads/{workload}.yaml", "architecture": "arch/sn40l.yaml",
        "mapping": {"choices": {"execution": "kernel_by_kernel"}},
    }).map("latency")  # fmt: skip
    assert total == len(alone.einsums)
    assert found.operations == alone.operations
    assert all(kernel.energy_pj > 0 for kernel in found.einsums.values())
    assert found.latency_s <= alone.latency_s
