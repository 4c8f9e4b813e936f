from fractions import Fraction

import pytest

import einloom as el
from einloom.arch.tree import UNLIMITED, Amount, AxisRule, Branches
from einloom.catalogue import catalogue_root, entries, find
from einloom.errors import SpecError
from einloom.spec.architecture import level_paths, load_architecture, unknown_names
from einloom.spec.design import load_design
from einloom.spec.document import parse, read

DESIGN = """\
version: 1
architecture:
  name: peer16
  clock: 1 GHz
  levels:
    - memory: DRAM
      word: 8 b
      read_energy: 64 pJ
      write_energy: 64 pJ
      bandwidth: 16 words/cycle
    - memory: GLB
      capacity: 128 KiB
      bandwidth: 64 words/cycle
      read_energy: 2 pJ
      write_energy: 2 pJ
    - fanout: PE
      axes: {X: 16, Y: 16}
      multicast: true
      reduce: true
      only: {X: [n], Y: [k]}
    - memory: Reg
      capacity: 64 B
      holds: [B]
    - compute: MAC
      energy: {mul: 0.1 pJ, add: 0.1 pJ}
      cycles: {exp: 6}
"""


def load(text):
    return load_architecture(parse(text, "machine.yaml"))


def levels(*items, head="clock: 1 GHz"):
    """An architecture of one-line levels."""
    lines = "\n".join(f"    - {item}" for item in items)
    return load(f"architecture:\n  {head}\n  levels:\n{lines}\n")


DRAM = "{memory: DRAM, read_energy: 64 pJ, write_energy: 64 pJ}"
MAC = "{compute: MAC, energy: {mul: 0.2 pJ, add: 0.1 pJ}}"


def memory(text):
    return levels(DRAM, text, MAC).memories()[1]


def fanout(text):
    return levels(DRAM, text, MAC).fanouts()[0]


def test_the_machine_of_the_design_notes_loads_as_written():
    machine = load(DESIGN)
    dram, glb, reg = machine.memories()
    assert (machine.name, machine.clock_hz) == ("peer16", 1e9)
    assert (dram.capacity, dram.word_bits, dram.bandwidth) == (UNLIMITED, 8, Amount(Fraction(128)))
    assert (glb.capacity, glb.word_bits) == (Amount(Fraction(2**20)), None)
    assert glb.bandwidth == Amount(Fraction(64), in_words=True)
    assert machine.fanouts()[0].only == {"X": AxisRule(variables=("n",)), "Y": AxisRule(variables=("k",))}
    assert reg.holds == ("B",)
    assert machine.computes()[0].operator_cycles("exp") == 6


@pytest.mark.parametrize("name", entries("arch"))
def test_every_architecture_of_the_catalogue_loads(name):
    machine = load_architecture(read(catalogue_root() / name))
    assert machine.name == name.removeprefix("arch/").removesuffix(".yaml")


def test_the_catalogue_says_which_machine_each_file_is():
    for name in entries("arch"):
        first = (catalogue_root() / name).read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith(f"# {name.removeprefix('arch/').removesuffix('.yaml')}")


@pytest.mark.parametrize(
    ("text", "bits_per_cycle"),
    [
        ("32 B/cycle", 256),
        ("3 b/cycle", 3),
        ("25.6 GB/s", Fraction(256 * 8, 20)),
        ("1 GiB/s", Fraction(8 * 2**30, 2 * 10**9)),
        ("16 words/cycle", 128),
    ],
)
def test_bandwidths_become_bits_a_cycle(text, bits_per_cycle):
    machine = levels(
        f"{{memory: DRAM, word: 8 b, read_energy: 1 pJ, write_energy: 1 pJ, bandwidth: {text}}}",
        MAC,
        head="clock: 2 GHz",
    )
    assert machine.memories()[0].bandwidth == Amount(Fraction(bits_per_cycle))


def test_words_a_second_are_divided_by_the_clock():
    machine = levels("{memory: DRAM, read_energy: 1 pJ, write_energy: 1 pJ, bandwidth: 3e9 words/s}", MAC)
    assert machine.memories()[0].bandwidth == Amount(Fraction(3), in_words=True)


def test_without_a_word_an_amount_in_words_is_left_to_the_tensor():
    found = memory("{memory: GLB, capacity: 100 words, read_energy: 1 pJ, write_energy: 1 pJ}")
    assert (found.capacity, found.word_bits) == (Amount(Fraction(100), in_words=True), None)


def test_with_a_word_it_is_bits():
    found = memory("{memory: GLB, word: 16 b, capacity: 100 words, read_energy: 1 pJ, write_energy: 1 pJ}")
    assert found.capacity == Amount(Fraction(1600))


def test_infinity_is_a_capacity_and_a_bandwidth():
    found = memory("{memory: GLB, capacity: inf, bandwidth: inf, read_energy: 1 pJ, write_energy: 1 pJ}")
    assert (found.capacity, found.bandwidth) == (UNLIMITED, UNLIMITED)


def test_reads_and_writes_may_have_a_port_each():
    found = memory(
        "{memory: GLB, read_energy: 1 pJ, write_energy: 1 pJ, "
        "read_bandwidth: 1 B/cycle, write_bandwidth: 2 B/cycle}"
    )
    ports = (found.bandwidth, found.read_bandwidth, found.write_bandwidth)
    assert ports == (UNLIMITED, Amount(Fraction(8)), Amount(Fraction(16)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("false", False), ("[A, outputs]", frozenset({"A", "outputs"}))],
)
def test_double_buffering_multicast_and_reduction_are_all_none_or_some_tensors(text, expected):
    found = memory(f"{{memory: GLB, double_buffered: {text}, read_energy: 1 pJ, write_energy: 1 pJ}}")
    assert found.double_buffered == expected
    assert fanout(f"{{fanout: PE, axes: {{X: 2}}, multicast: {text}}}").multicast == expected
    assert fanout(f"{{fanout: PE, axes: {{X: 2}}, reduce: {text}}}").reduce == expected


@pytest.mark.parametrize(
    ("text", "reduce", "hop"),
    [
        ("{hop: 1 cycle}", True, 1),
        ("{hop: 2 cycles, tensors: [Z]}", frozenset("Z"), 2),
        ("{hop: 3}", True, 3),
    ],
)
def test_a_reduction_may_cost_cycles_per_hop(text, reduce, hop):
    found = fanout(f"{{fanout: PE, axes: {{X: 2}}, reduce: {text}}}")
    assert (found.reduce, found.hop_cycles) == (reduce, hop)


def test_an_axis_may_be_bound_by_roles():
    found = fanout("{fanout: PE, axes: {X: 2}, only: {X: {shared_by: [weights, outputs]}}}")
    assert found.only == {"X": AxisRule(shared_by=("weights", "outputs"))}


def test_what_a_memory_must_and_may_hold():
    found = memory(
        "{memory: GLB, must_hold: [A], may_hold: [A, weights], read_energy: 1 pJ, write_energy: 1 pJ}"
    )
    assert (found.holds, found.must_hold, found.may_hold) == (None, ("A",), ("A", "weights"))


def test_branches_end_the_levels():
    machine = levels(
        DRAM, f"branches: [[{{fanout: PE, axes: {{X: 4}}}}, {MAC}], [{MAC.replace('MAC', 'ALU')}]]"
    )
    assert isinstance(machine.levels[1], Branches)
    assert [compute.name for compute in machine.computes()] == ["MAC", "ALU"]


def test_branches_may_have_names():
    machine = levels(DRAM, f"branches: {{array: [{MAC}], vector: [{MAC.replace('MAC', 'ALU')}]}}")
    assert [compute.name for compute in machine.computes()] == ["MAC", "ALU"]


def test_an_explicit_zero_is_free():
    found = memory("{memory: GLB, read_energy: 0 pJ, write_energy: 0 pJ}")
    assert (found.read_energy_pj, found.write_energy_pj) == (0, 0)


def test_a_component_prices_a_level():
    found = memory("{memory: GLB, component: sram, word: 64 b, capacity: 32 KiB}")
    assert (found.read_energy_pj, found.area_um2) == (20, 121849)
    assert "Horowitz" in found.source


def test_what_the_level_says_itself_stands():
    found = memory(
        "{memory: GLB, component: sram, word: 64 b, capacity: 32 KiB, read_energy: 1 pJ, area: 1 mm2}"
    )
    assert (found.read_energy_pj, found.write_energy_pj, found.area_um2) == (1, 20, 1e6)


def test_a_bounded_memory_without_energies_is_sram_or_registers():
    assert memory("{memory: GLB, capacity: 32 KiB}").source.startswith("sram")
    assert memory("{memory: Reg, capacity: 64 B}").source.startswith("register")


def test_technology_may_stand_on_the_architecture_or_the_level():
    text = "{memory: GLB, capacity: 32 KiB}"
    everywhere = levels(DRAM, text, MAC, head="clock: 1 GHz\n  technology: 22 nm").memories()[1]
    here = memory("{memory: GLB, capacity: 32 KiB, technology: 22 nm}")
    assert everywhere.read_energy_pj == here.read_energy_pj < memory(text).read_energy_pj


def test_energy_per_bit_needs_no_word():
    found = memory("{memory: HBM, energy_per_bit: 3.9 pJ}")
    assert (found.word_bits, found.read_energy_pj) == (1, 3.9)
    found = memory("{memory: HBM, energy_per_bit: 3.9 pJ, word: 64 b}")
    assert (found.word_bits, found.read_energy_pj) == (64, pytest.approx(249.6))


def test_a_level_of_the_users_own_technology_has_no_area_from_the_library():
    assert memory("{memory: GLB, capacity: 32 KiB, read_energy: 1 pJ, write_energy: 1 pJ}").area_um2 is None


def test_unbounded_memory_stands_off_chip():
    dram = levels(DRAM, MAC).memories()[0]
    assert (dram.area_um2, dram.source) == (0, "off chip")


def test_an_area_may_be_unknown():
    machine = levels(DRAM, "{compute: MAC, component: int8, area: unknown}")
    assert machine.area_um2() is None


def test_a_compute_from_the_library_takes_the_users_energies_first():
    found = levels(DRAM, "{compute: MAC, component: int8, energy: {exp: 9 pJ}, cycles: {exp: 2}}").computes()[
        0
    ]
    assert (found.energy_pj["exp"], found.cycles["exp"], found.energy_pj["mul"]) == (9, 2, 0.2)


def test_a_template_is_an_architecture():
    machine = load(
        "architecture: {template: systolic, rows: 32, cols: 32, dataflow: weight_stationary, buffer: 256 KiB,"
        " bandwidth: 25.6 GB/s, clock: 800 MHz, technology: 22 nm, name: edge}"
    )
    assert (machine.name, machine.template, machine.clock_hz) == ("edge", "systolic", 8e8)
    assert machine.memories()[0].bandwidth == Amount(Fraction(256))
    assert machine.area_um2() > 0


def test_edited_data_loads_without_its_place():
    document = parse(DESIGN, "machine.yaml")
    document.data["architecture"]["levels"][1]["capacity"] = "1 MiB"
    assert load_architecture(document).memories()[1].capacity == Amount(Fraction(2**23))


def test_levels_are_found_by_name():
    data = parse(f"levels: [{DRAM}, {{branches: [[{MAC}], [{MAC.replace('MAC', 'ALU')}]]}}]").data
    assert level_paths(data, ("architecture",)) == {
        "DRAM": ("architecture", "levels", 0),
        "MAC": ("architecture", "levels", 1, "branches", 0, 0),
        "ALU": ("architecture", "levels", 1, "branches", 1, 0),
    }


def test_names_that_the_workload_does_not_have_are_reported():
    document = parse(DESIGN, "machine.yaml")
    problems = unknown_names(
        load_architecture(document), ["A", "W", "Z"], ["m", "n"], document.data["architecture"]
    )
    assert [(problem.message, problem.field) for problem in problems] == [
        ("the workload has no tensor 'B'", "architecture.levels[3].holds"),
        ("the workload has no rank variable 'k'", "architecture.levels[2].only.Y"),
    ]


def test_roles_are_names_that_every_workload_has():
    text = (
        DESIGN.replace("[B]", "[weights]")
        .replace(", Y: [k]", "")
        .replace("[n]", "{shared_by: [weights, outputs]}")
    )
    assert unknown_names(load(text), ["Z"], ["m"], parse(text).data["architecture"]) == []


def test_tpu_like_holds_weights_in_its_registers_and_activations_in_its_buffer():
    machine = load_architecture(read(find("arch/tpu_like.yaml")))
    glb, reg = machine.memories()[1:]
    assert (glb.may_hold, reg.holds) == (("inputs", "outputs"), ("weights",))
    assert machine.instances("MAC") == 1024


def of_the_catalogue(name):
    return load_architecture(read(find(f"arch/{name}.yaml")))


@pytest.mark.parametrize("name", ["fusemax", "fusemax_honest", "flat", "fusemax_cascade"])
def test_the_machines_of_fusemax_have_the_published_sizes(name):
    """Published: FuseMax artifact @f543beb: 256 x 256 and 256 elements, 940 MHz, 400 GiB/s, rows of 4096 bits."""
    machine = of_the_catalogue(name)
    dram, glb = machine.memories()[:2]
    assert (machine.instances("MAC2D"), machine.instances("VEC1D"), machine.clock_hz) == (65536, 256, 940e6)
    assert float(dram.bandwidth.value) == pytest.approx(8 * 400 * 2**30 / 940e6, rel=1e-12)
    assert (dram.read_energy_pj, dram.word_bits, glb.word_bits) == (62.4, 16, 4096)
    assert glb.capacity.value == 8 * 2**20 * (16 if name in ("fusemax", "fusemax_honest") else 32)


@pytest.mark.parametrize(
    ("name", "compute", "cycles", "energy_pj"),
    [
        ("fusemax", "MAC2D", 7, 6 * 17.1645 + 8.3395),
        ("fusemax", "VEC1D", 7, 6 * 17.1645 + 8.3395),
        ("fusemax_honest", "VEC1D", 7, 6 * 17.1645 + 8.3395),
        ("fusemax_cascade", "VEC1D", 2, 94.6475 + 8.3395),
        ("flat", "VEC1D", 1, 94.6475 + 8.3395),
    ],
)
def test_an_exponential_of_a_difference_on_the_machines_of_fusemax(name, compute, cycles, energy_pj):
    """Published: FuseMax artifact @f543beb."""
    (unit,) = [unit for unit in of_the_catalogue(name).computes() if unit.name == compute]
    assert sum(unit.operator_cycles(operator) for operator in ("sub", "exp")) == cycles
    assert sum(unit.operator_energy_pj(operator) for operator in ("sub", "exp")) == pytest.approx(energy_pj)


@pytest.mark.parametrize(
    ("side", "changes", "array_um2", "chip_um2"),
    [
        (256, {"GLB": 2141037.7136}, 1207951209.6768, 1220894441.8412402),
        (64, {"GLB": 268850.46356, "MAC2D": 18408.614745, "VEC1D": 42172.81021}, 75401685.99552, 78369596.31228),
    ],
)
def test_the_areas_of_fusemax(side, changes, array_um2, chip_um2):
    """Published: FuseMax artifact @f543beb, pareto.csv, BERT at 256K; the buffer's area is what a row leaves."""
    sizes = {"PE2.axes": {"X": side, "Y": side}, "PE1.axes": {"X": side}}
    areas = {f"{level}.area": f"{area} um2" for level, area in changes.items()}
    settings = {f"architecture.levels.{key}": value for key, value in {**sizes, **areas}.items()}
    design = {"workload": "workloads/two_gemms.yaml", "architecture": "arch/fusemax.yaml"}
    machine = load_design(design, settings).architecture
    (array,) = [unit for unit in machine.computes() if unit.name == "MAC2D"]
    assert array.area_um2 * side**2 == pytest.approx(array_um2, rel=1e-8)
    assert machine.area_um2() == pytest.approx(chip_um2, rel=1e-8)


def test_peer16_of_the_attention_case_holds_keys_and_values_and_exponentiates_on_one_element():
    machine = of_the_catalogue("peer16_attention")
    assert machine.memories()[2].holds == ("weights",)
    assert (machine.instances("MAC"), machine.instances("SFU")) == (256, 1)


def test_gpu_like_has_the_published_peaks():
    """Published: NVIDIA A100 white paper: 312 TFLOPS dense FP16, 19.5 TFLOPS FP32, 1555 GB/s."""
    machine = of_the_catalogue("gpu_like")
    tflops = {name: 2 * machine.instances(name) * machine.clock_hz / 1e12 for name in ("TENSOR", "FP32")}
    assert tflops == {"TENSOR": pytest.approx(312, abs=0.2), "FP32": pytest.approx(19.5, abs=0.02)}
    assert float(machine.memories()[0].bandwidth.value) * machine.clock_hz == pytest.approx(8 * 1555e9)


@pytest.mark.parametrize(("cycles", "busy"), [("{sub: 0}", 8), ("{}", 16), ("{sub: 3}", 32)])
def test_an_operation_may_take_no_cycle_and_still_costs_its_energy(cycles, busy):
    design = {
        "workload": {
            "ranks": {"P": 8},
            "bits": {"default": 8},
            "operators": {"sub": {"sub": 1}},
            "cascade": ["Y[p] = exp(X[p] - M[p])"],
        },
        "architecture": parse(
            f"{{clock: 1 GHz, levels: [{DRAM}, "
            f"{{compute: VEC, energy: {{add: 1 pJ, exp: 5 pJ}}, cycles: {cycles}}}]}}"
        ).data,
        "mapping": {"Y": ["DRAM holds X, M, Y", "for p in 8", "VEC"]},
    }
    found = el.load(design).evaluate()
    assert (found.cycles, found.einsums["Y"].computes["VEC"].energy_pj) == (busy, 8 * (1 + 5))


def test_a_users_own_file_wins_over_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("arch/peer16.yaml") == catalogue_root() / "arch/peer16.yaml"
    (tmp_path / "arch").mkdir()
    (tmp_path / "arch" / "peer16.yaml").write_text(DESIGN)
    assert find("arch/peer16.yaml").resolve() == (tmp_path / "arch/peer16.yaml").resolve()


def test_a_file_may_stand_beside_the_one_that_mentions_it(tmp_path):
    (tmp_path / "machine.yaml").write_text(DESIGN)
    assert find("machine.yaml", beside=tmp_path) == tmp_path / "machine.yaml"
    assert find("nowhere.yaml").name == "nowhere.yaml"


def test_a_document_without_an_architecture_says_so():
    with pytest.raises(SpecError, match=r"machine.yaml:1:1: architecture: is missing"):
        load("version: 1\n")
