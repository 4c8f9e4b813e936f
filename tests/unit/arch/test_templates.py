import math
from fractions import Fraction

import pytest

from einloom.arch.registry import template
from einloom.arch.template import show_value
from einloom.arch.tree import UNLIMITED, Amount
from einloom.errors import SpecError

CATALOGUE_OPERATORS = (
    *("mac", "mul", "add", "sub", "div", "neg", "max", "min", "exp", "sqrt", "rsqrt"),
    *("relu", "relu6", "gelu", "silu", "sigmoid", "tanh", "abs", "round", "sign"),
)


def systolic(**parameters):
    return template("systolic").architecture({"rows": 8, "cols": 4, **parameters})


def spatial(**parameters):
    return template("spatial").architecture({"rows": 8, "cols": 4, **parameters})


def names(machine):
    return [level.name for level in machine.walk()]


def test_systolic_has_the_levels_it_documents():
    machine = systolic()
    assert names(machine) == ["DRAM", "GLB", "PE", "Reg", "MAC"]
    assert dict(machine.fanouts()[0].axes) == {"X": 4, "Y": 8}
    assert machine.memories()[-1].capacity == Amount(Fraction(1), in_words=True)


def test_the_architecture_remembers_its_template_and_parameters():
    machine = systolic(dataflow="input_stationary")
    assert machine.template == "systolic"
    assert dict(machine.parameters)["dataflow"] == "input_stationary"


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_its_elements_run_every_operator_of_the_catalogue(bits):
    compute = systolic(bits=bits).computes()[0]
    assert [op for op in CATALOGUE_OPERATORS if compute.operator_energy_pj(op) is None] == []


def test_unlimited_buffer_and_bandwidths_are_allowed():
    machine = systolic(buffer=UNLIMITED, bandwidth=UNLIMITED, buffer_bandwidth=UNLIMITED)
    assert machine.memories()[1].capacity == UNLIMITED
    assert machine.area_um2() is None


def test_words_of_a_template_are_its_bits_wide():
    machine = systolic(bits=16, bandwidth=Amount(Fraction(4), in_words=True))
    assert machine.memories()[0].bandwidth == Amount(Fraction(64))


def test_a_second_register_for_overlap_takes_area():
    once, twice = systolic(timing="scalesim"), systolic(timing="overlapped")
    assert twice.memories()[-1].area_um2 == pytest.approx(2 * once.memories()[-1].area_um2)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"levels": 2}, ["DRAM", "GLB", "PE", "MAC"]),
        ({}, ["DRAM", "GLB", "PE", "Reg", "MAC"]),
        ({"clusters": 3}, ["DRAM", "Cluster", "GLB", "PE", "Reg", "MAC"]),
        ({"levels": 4, "clusters": 3}, ["DRAM", "L2", "Cluster", "GLB", "PE", "Reg", "MAC"]),
    ],
)
def test_spatial_builds_the_levels_asked_for(parameters, expected):
    assert names(spatial(**parameters)) == expected


def test_spatial_multicast_and_reduction_can_be_off():
    fanout = spatial(multicast=False, reduce=False).fanouts()[0]
    assert (fanout.multicast, fanout.reduce) == (False, False)


def test_smaller_nodes_make_smaller_machines():
    assert systolic(technology=22.0).area_um2() < systolic(technology=45.0).area_um2()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rows": 0}, r"'0' is out of range\n  must be at least 1 and at most 1048576"),
        ({"rows": 2.0}, "parameter 'rows' is 2.0"),
        ({"rows": True}, "parameter 'rows' is True"),
        ({"dataflow": "weight"}, r"no dataflow is named 'weight'\n.*weight_stationary"),
        (
            {"buffer": Amount(Fraction(8 * 2**33))},
            r"buffer: a capacity of 8 GiB is outside the table of 'sram'",
        ),
        ({"technology": 3.0}, r"'3' is out of range\n  must be at least 7 and at most 130"),
        ({"bits": 7}, r"bits: no arithmetic is the default for 7-bit words"),
        ({"colls": 3}, r"no parameter of template 'systolic' is named 'colls'\n  did you mean 'cols'"),
    ],
)
def test_a_wrong_parameter_says_what_is_allowed(parameters, message):
    with pytest.raises(SpecError, match=message):
        systolic(**parameters)


def test_all_wrong_parameters_are_reported_at_once():
    with pytest.raises(SpecError) as caught:
        template("systolic").architecture({"rows": 0, "dataflow": "none", "depth": 1})
    assert [problem.path for problem in caught.value.problems] == [("depth",), ("rows",), (), ("dataflow",)]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("size", Amount(Fraction(8 * 256 * 1024)), "256 KiB"),
        ("size", Amount(Fraction(12)), "12 b"),
        ("rate", Amount(Fraction(16), in_words=True), "16 words/cycle"),
        ("rate", Amount(Fraction(128)), "16 B/cycle"),
        ("rate", Amount(math.inf), "inf"),
        ("frequency", 9.4e8, "0.94 GHz"),
        ("length", 22.0, "22 nm"),
        ("flag", True, "true"),
        ("count", 32, "32"),
    ],
)
def test_defaults_are_shown_as_yaml_writes_them(kind, value, text):
    assert show_value(kind, value) == text
