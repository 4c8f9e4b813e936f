"""Books of machines that map by choices: every pJ has a place, and no memory carries more than its bandwidth."""

import pytest

import einloom as el

LOOKUP = {"template": "ternary_lut", "machine": "table_lookup"}
MACHINES = {
    "tables": LOOKUP,
    "tables, weights beside": {**LOOKUP, "weights_beside": True, "build_beside": True},
    "tables and host": {**LOOKUP, "host_bandwidth": "5 GB/s"},
    "weight port": {"template": "ternary_lut", "machine": "weight_port"},
    "cores": {"template": "dual_core", "ternary_macs": 192, "flexible_macs": 64, "clock": "1 GHz"},
    "cores without overlap": {"template": "dual_core", "ternary_macs": 9, "flexible_macs": 4, "clock": "1 GHz",
                              "overlap": False},
    "dataflow unit": {"template": "rdu", "switch": True, "ddr_bandwidth": "5000 GB/s"},
}  # fmt: skip
WORKLOADS = ("bitnet_block_decode", "bitnet_block_prefill", "llama_block_decode", "encoder_layer", "attention_1pass")
BANDWIDTHS = {"fast": None, "slow": "0.4 GB/s", "a trickle": "0.005 GB/s"}


def mapped(architecture, workload):
    return el.load({"name": "books", "workload": f"workloads/{workload}.yaml", "architecture": architecture}).map(
        "latency"
    )


@pytest.mark.parametrize("bandwidth", BANDWIDTHS.values(), ids=BANDWIDTHS)
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_energies_add_up_and_no_memory_is_busy_for_longer_than_the_step_takes(machine, bandwidth):
    architecture = dict(machine)
    if bandwidth is not None:
        architecture["hbm_bandwidth" if machine["template"] == "rdu" else "bandwidth"] = bandwidth
    for workload in WORKLOADS:
        found = mapped(architecture, workload)
        assert sum(found.energy_pj_by.values()) == pytest.approx(found.energy_pj, rel=1e-9)
        for name, einsum in found.einsums.items():
            for memory in einsum.memories.values():
                assert memory.busy_cycles <= einsum.cycles * (1 + 1e-9), (workload, name)


def test_the_books_name_every_compute_that_takes_part():
    """The streams of a group take energy beside the tables or lanes that their step is bound to."""
    by = mapped(LOOKUP, "bitnet_block_prefill").energy_pj_by
    assert by["Streams"] > 0
    assert by["Lookup"] > 0
    assert by["Attention"] > 0


@pytest.mark.parametrize("machine", [LOOKUP, MACHINES["weight port"]], ids=["tables", "weight port"])
def test_attention_in_blocks_of_keys_takes_as_long_as_at_once(machine):
    """The same scores and values, cut into blocks of M0 keys (one pass) or not (three passes)."""
    assert mapped(machine, "attention_1pass").cycles == mapped(machine, "attention_3pass").cycles


def test_a_switch_of_models_is_bound_by_the_slower_memory():
    weights = 8192 * 28672 * 3 + 8192 * 8192 * 2 + 2 * 8192 * 1024 + 2 * 8192  # llama_block_decode, 16 bits each
    slow = {"template": "rdu", "switch": True, "ddr_bandwidth": "200 GB/s", "hbm_bandwidth": "1600 GB/s"}
    for ddr, hbm in (("200 GB/s", "1600 GB/s"), ("1600 GB/s", "200 GB/s")):
        found = mapped({**slow, "ddr_bandwidth": ddr, "hbm_bandwidth": hbm}, "llama_block_decode")
        (switch,) = [e for name, e in found.einsums.items() if name.endswith("switch")]
        assert switch.cycles == pytest.approx(weights * 2 / 200e9 * 1e9, rel=1e-9)


def test_ternary_weights_on_the_flexible_core_cost_its_digits():
    """Both cores share a product by their rates; each pays what it is: an addition, or a digit and an addition."""
    workload = {"name": "g", "ranks": {"M": 8, "N": 64, "K": 64}, "bits": {"default": 8, "B": 1.6}, "weights": ["B"],
                "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]}  # fmt: skip
    machine = {"template": "dual_core", "ternary_macs": 24, "flexible_macs": 8, "technology": "45 nm"}

    def run(cores):
        choices = {"cores": cores, "tokens": 8, "pieces": 1}
        return el.load({"name": "g", "workload": workload, "architecture": machine,
                        "mapping": {"choices": choices}}).evaluate()  # fmt: skip

    macs, add, digit = 8 * 64 * 64, 0.1, 0.2 / 4 + 0.1  # int8 at 45 nm: add 0.1 pJ, multiply 0.2 pJ of four digits
    assert run("ternary").energy_pj_by["Ternary"] == pytest.approx(macs * add)
    assert run("flexible").energy_pj_by["Flexible"] == pytest.approx(macs * digit)
    both = run("both").energy_pj_by
    assert both["Ternary"] == pytest.approx(macs * add * 24 / 32)
    assert both["Flexible"] == pytest.approx(macs * digit * 8 / 32)


@pytest.mark.parametrize("wider", [{"axi_bits": 512}, {"axi_bits": 768}, {"weight_ports": 4}, {"weight_ports": 9}])
def test_wider_ports_of_gapless_weights_are_never_slower(wider):
    """Indices without a gap: the memory moves as many bits, whatever the beats of the ports."""
    for bandwidth in ("1 GB/s", "5 GB/s", "100 GB/s"):
        narrow = mapped({**LOOKUP, "bandwidth": bandwidth}, "bitnet_block_decode")
        assert mapped({**LOOKUP, "bandwidth": bandwidth, **wider}, "bitnet_block_decode").cycles <= narrow.cycles
