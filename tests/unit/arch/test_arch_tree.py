import math
import pickle
from fractions import Fraction

import pytest

from einloom.arch.tree import Amount, Architecture, AxisRule, Branches, Compute, Fanout, Memory
from einloom.errors import SpecError

DRAM = Memory(name="DRAM", area_um2=0.0)
MAC = Compute(name="MAC", energy_pj={"mul": 0.2, "add": 0.1}, area_um2=400.0, leakage_w=1e-6)


def machine(*levels):
    return Architecture(name="test", clock_hz=1e9, levels=levels)


def branched():
    pe2 = (Fanout(name="PE2", axes={"X": 4, "Y": 2}), Memory(name="Reg2", area_um2=10.0), MAC)
    pe1 = (Fanout(name="PE1", axes={"X": 4}), Compute(name="ALU", energy_pj={"exp": 1.0}, area_um2=50.0))
    return machine(DRAM, Memory(name="GLB", area_um2=1000.0), Branches((pe2, pe1)))


def test_a_mac_costs_a_multiply_and_an_add():
    assert MAC.operator_energy_pj("mac") == pytest.approx(0.3)


def test_an_operator_without_energy_has_no_cost():
    assert MAC.operator_energy_pj("exp") is None


def test_what_adds_can_subtract():
    adder = Compute(name="C", energy_pj={"add": 0.1}, cycles={"add": 2})
    assert (adder.operator_energy_pj("sub"), adder.operator_cycles("sub")) == (0.1, 2)
    assert Compute(name="C", energy_pj={"mul": 0.2}).operator_energy_pj("sub") is None
    own = Compute(name="C", energy_pj={"add": 0.1, "sub": 0.3}, cycles={"add": 2, "sub": 1})
    assert (own.operator_energy_pj("sub"), own.operator_cycles("sub")) == (0.3, 1)


def test_an_operation_folded_into_its_neighbour_takes_no_cycle_and_its_energy():
    folded = Compute(name="C", energy_pj={"add": 0.1, "exp": 1.0}, cycles={"sub": 0})
    assert (folded.operator_cycles("sub"), folded.operator_energy_pj("sub")) == (0, 0.1)


def test_instances_are_the_product_of_the_fanouts_above():
    tree = branched()
    assert [tree.instances(name) for name in ("GLB", "PE2", "Reg2", "MAC", "ALU")] == [1, 8, 8, 8, 4]


def test_every_compute_has_one_path():
    assert [[level.name for level in path] for path in branched().paths()] == [
        ["DRAM", "GLB", "PE2", "Reg2", "MAC"],
        ["DRAM", "GLB", "PE1", "ALU"],
    ]


def test_area_sums_instances():
    assert branched().area_um2() == 1000 + 8 * 10 + 8 * 400 + 4 * 50


def test_one_unknown_area_makes_the_total_unknown():
    tree = machine(DRAM, Memory(name="GLB"), MAC)
    assert tree.area_um2() is None
    assert tree.without_area() == ("GLB",)


def test_leakage_sums_instances():
    assert branched().leakage_w() == pytest.approx(8e-6)


def test_architectures_are_values():
    tree = branched()
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert hash(pickle.loads(pickle.dumps(tree))) == hash(tree)


def test_an_amount_in_words_becomes_bits():
    assert Amount(Fraction(3), in_words=True).in_bits(16) == Amount(Fraction(48))
    assert Amount(Fraction(3)).in_bits(16) == Amount(Fraction(3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Amount(0), "must be above 0, got 0"),
        (lambda: Memory(name="M", word_bits=Fraction(0)), "word_bits of memory 'M' must be above 0"),
        (lambda: Memory(name="M", read_energy_pj=-1.0), "read_energy_pj of memory 'M' must be at least 0"),
        (
            lambda: Memory(name="M", read_energy_pj=math.nan),
            "read_energy_pj of memory 'M' must be at least 0",
        ),
        (lambda: Memory(name="M", holds=("A",), may_hold=("B",)), "has `holds` beside"),
        (lambda: Memory(name="M", bandwidth=Amount(1), read_bandwidth=Amount(1)), "has `bandwidth` beside"),
        (lambda: Fanout(name="PE", axes={}), "fanout 'PE' has no axis"),
        (lambda: Fanout(name="PE", axes={"X": 0}), "axis X of fanout 'PE' must be at least 1"),
        (lambda: Fanout(name="PE", axes={"X": 2}, only={"Z": AxisRule(variables=())}), "has no axis 'Z'"),
        (AxisRule, "names rank variables or the roles"),
        (lambda: Compute(name="C", cycles={"exp": -1}), "cycles of 'exp' on compute 'C' must be at least 0"),
        (lambda: machine(DRAM, MAC, MAC), "the name 'MAC' is used twice"),
        (lambda: machine(MAC), "the outermost level must be a memory"),
        (lambda: machine(DRAM), "the tree ends in memory 'DRAM'"),
        (
            lambda: machine(DRAM, MAC, Memory(name="R"), Compute(name="C")),
            "compute 'MAC' has levels below it",
        ),
        (lambda: Architecture(name="a", clock_hz=0, levels=(DRAM, MAC)), "clock must be above 0"),
        (lambda: branched().path_to("PE2"), "no compute is named 'PE2'"),
        (lambda: branched().instances("L3"), "no level is named 'L3'"),
    ],
)
def test_what_exists_is_valid(build, message):
    with pytest.raises(SpecError, match=message):
        build()
