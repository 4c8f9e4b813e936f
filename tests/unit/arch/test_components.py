import math
from fractions import Fraction

import pytest

from einloom.arch.components import library, read_table
from einloom.arch.templates import parts
from einloom.catalogue import catalogue_root
from einloom.errors import SpecError

TABLES = sorted((catalogue_root() / "arch" / "components").glob("*.csv"))
KIB = 8 * 1024


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.name)
def test_every_row_has_a_source(file):
    assert all(len(cells["source"]) > 10 for cells in read_table(file))


@pytest.mark.parametrize(("capacity", "energy"), [(8 * KIB, 10), (32 * KIB, 20), (1024 * KIB, 100)])
def test_sram_energies_are_horowitz_at_his_sizes(capacity, energy):
    part = library().memory_part("sram", capacity, Fraction(64))
    assert (part.read_energy_pj, part.write_energy_pj) == (energy, energy)


def test_sram_interpolates_log_log():
    """By hand: 16 KiB lies halfway between 8 and 32 KiB in the logarithm: sqrt(10 x 20)."""
    part = library().memory_part("sram", 16 * KIB, Fraction(64))
    assert part.read_energy_pj == pytest.approx(math.sqrt(200))


def test_sram_energy_is_proportional_to_the_word():
    wide, narrow = (library().memory_part("sram", 64 * KIB, Fraction(bits)) for bits in (64, 8))
    assert wide.read_energy_pj == pytest.approx(8 * narrow.read_energy_pj)


def test_without_a_word_an_access_moves_one_bit():
    assert library().memory_part("lpddr4", math.inf) == library().memory_part("lpddr4", math.inf, Fraction(1))


def test_larger_srams_cost_more_energy_and_area():
    parts_ = [
        library().memory_part("sram", size * KIB) for size in (2, 3, 8, 20, 32, 100, 128, 500, 1024, 4096)
    ]
    for what in ("read_energy_pj", "write_energy_pj", "area_um2"):
        values = [getattr(part, what) for part in parts_]
        assert values == sorted(values)
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("size", [1.99, 4097])
def test_an_sram_far_outside_the_table_is_refused(size):
    with pytest.raises(SpecError, match=r"is outside the table of 'sram'\n.*from 2 KiB to 4 MiB"):
        library().memory_part("sram", size * KIB)


def test_hbm2_costs_what_fusemax_charges():
    assert library().memory_part("hbm2", math.inf, Fraction(64)).read_energy_pj == pytest.approx(249.6)


def test_dram_has_no_area_on_the_chip():
    assert {library().memory_part(name, math.inf, Fraction(8)).area_um2 for name in parts.DRAMS} == {0.0}


def test_registers_are_priced_per_bit():
    part = library().memory_part("register", 64, Fraction(8))
    assert (part.read_energy_pj, part.area_um2) == (pytest.approx(0.072), pytest.approx(382.72))


def test_registers_without_a_capacity_have_no_area():
    with pytest.raises(SpecError, match="'register' has no area without a capacity"):
        library().memory_part("register", math.inf, Fraction(8))


def test_an_sram_without_a_capacity_is_refused():
    with pytest.raises(SpecError, match="'sram' needs a capacity"):
        library().memory_part("sram", math.inf)


def test_an_operator_without_a_unit_runs_as_multiply_accumulates():
    part = library().compute_part("int8")
    assert part.energy_pj["exp"] == pytest.approx(6 * 0.3)
    assert part.cycles["exp"] == 6


def test_an_operator_with_a_unit_is_priced_by_it():
    part = library().compute_part("flat_1d")
    assert (part.energy_pj["exp"], part.cycles["exp"]) == (94.6475, 1)


def test_area_of_a_part_is_that_of_its_units():
    assert library().compute_part("int8").area_um2 == 282 + 137


def test_smaller_nodes_cost_less():
    nodes = (130, 90, 65, 45, 40, 32, 22, 16, 14, 10, 7)
    found = [library().compute_part("int8", node) for node in nodes]
    assert [part.area_um2 for part in found] == sorted((part.area_um2 for part in found), reverse=True)
    energies = [part.energy_pj["mul"] for part in found]
    assert energies == sorted(energies, reverse=True)


def test_scaling_follows_stillmaker_and_baas():
    """By hand at 0.9 V: (0.9559 x 0.81 - 0.7823 x 0.9 + 0.471) / (1.103 x 0.81 - 0.362 x 0.9 + 0.2767)."""
    at_45, at_32 = library().compute_part("int8", 45), library().compute_part("int8", 32)
    assert at_32.energy_pj["mul"] / at_45.energy_pj["mul"] == pytest.approx(0.541209 / 0.84433, rel=1e-5)
    assert at_32.area_um2 / at_45.area_um2 == pytest.approx(0.46)


def test_dram_is_not_scaled_with_the_logic():
    assert library().memory_part("ddr3", math.inf, Fraction(1), 7).read_energy_pj == 70


@pytest.mark.parametrize("node", [5, 180])
def test_a_node_without_a_table_is_refused(node):
    with pytest.raises(SpecError, match=f"no scaling is known for {node} nm"):
        library().compute_part("int8", node)


def test_an_unknown_component_is_suggested():
    with pytest.raises(SpecError, match=r"no memory component is named 'sarm'\n  did you mean 'sram'"):
        library().memory_part("sarm", KIB)


@pytest.mark.parametrize(
    ("bits", "component"), [(math.inf, None), (2 * KIB, "sram"), (2 * KIB - 1, "register")]
)
def test_a_memory_has_a_default_component_by_its_capacity(bits, component):
    assert library().default_memory(bits) == component


def test_the_listing_names_every_component_with_its_source():
    listing = library().listing()
    assert {name for kind, name, _ in listing if kind == "compute"} == set(library().compute)
    assert all(source for _, _, source in listing)


def test_parameters_of_templates_name_components_that_exist():
    assert set(parts.DRAMS) <= set(library().memory)
    assert set(parts.ARITHMETICS) <= set(library().compute)


def test_a_row_without_a_source_is_refused(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("component,energy_pj,source\nsram,10,\n")
    with pytest.raises(SpecError, match=r"table\.csv: data line 2 has no source"):
        read_table(file)


def test_a_row_with_missing_cells_is_refused(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("component,energy_pj,source\nsram,10\n")
    with pytest.raises(SpecError, match=r"table\.csv: data line 2 has not as many cells"):
        read_table(file)
