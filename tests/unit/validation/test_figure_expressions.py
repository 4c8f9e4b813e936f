"""Arithmetic over results: what is worked out, what is refused, and where a message points."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einloom.errors import SpecError
from einloom.validation import parse_expression

RESULT = {
    "cycles": 1000,
    "latency_s": 2e-3,
    "area_um2": None,
    "bound_by": "GLB",
    "utilization": {"MAC": 0.5},
    "einsums": {
        "Z": {"cycles": 400, "repeat": 2, "events": {"activate": 3}, "flags": [7, 8],
              "memories": {"DRAM": {"tensors": {"A": {"reads": 5}, "B": {"reads": 7}}}}},
        "block.Y": {"cycles": 200, "repeat": 10, "events": {},
                    "memories": {"DRAM": {"tensors": {"A": {"reads": 1}}}}},
    },
}  # fmt: skip
OTHER = {"cycles": 4000, "einsums": {"Z": {"events": {"activate": 1}}}}


def value(text):
    return parse_expression(text).value(RESULT, {"other": OTHER}.__getitem__)


def refused(text, run=True):
    with pytest.raises(SpecError) as caught:
        value(text) if run else parse_expression(text)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cycles", 1000),
        ("latency_s * 1e3", 2.0),
        ("-cycles + 2 * 3 ** 2 / 4", -995.5),
        ("(cycles - 1) / (+3)", 333),
        ("utilization.MAC * 100", 50.0),
        ("einsums.Z.cycles", 400),
        ('einsums["block.Y"].cycles', 200),
        ("einsums.Z.flags[1]", 8),
        ("min(3, 2, 5) + max(1, 2) + sum(1, 2, 3)", 10),
        ("mean(1, 2, 6)", 3.0),
        ("geomean(1, 4)", 2.0),
        ("sqrt(16) + ceil(1.2) + floor(1.8) + log2(8) + abs(-1)", 11.0),
        ('case("other").cycles / cycles', 4.0),
        ('total("events.activate")', 6),
        ('total("memories.DRAM.tensors.*.reads")', 2 * 12 + 10),
        ('total("cycles")', 2800),
        ('total("events.activate", case("other"))', 1),
        ("  cycles\n  + 1", 1001),
    ],
)
def test_an_expression_has_its_value(text, expected):
    assert value(text) == pytest.approx(expected, rel=1e-15)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_whole_numbers_stay_exact(a, b, c):
    assert value(f"{a} + {b} * {c} - {b}") == a + b * c - b
    assert value(f"({a}) / {c}") == a / c


@pytest.mark.parametrize(
    ("text", "message", "hint", "part"),
    [
        ("2 * cycle", "the result has no 'cycle'", "did you mean 'cycles'?", "cycle"),
        ("1 + einsums.Z.cycle", "'einsums.Z' has no 'cycle'", "did you mean 'cycles'?", "einsums.Z.cycle"),
        ("einsums.Y.cycles", "'einsums' has no 'Y'", "it has: Z, block.Y", "einsums.Y"),
        ("cycles.total", "'cycles' has no 'total'", "shorten the path", "cycles.total"),
        ("einsums.Z.flags[2]", "'einsums.Z.flags' has no '2'", "a list of 2", "einsums.Z.flags[2]"),
        ("utilization + 1", "'utilization' is no number", "it has: MAC", "utilization"),
        ("area_um2 / 1e6", "'area_um2' is unknown for this design", "not_checkable", "area_um2"),
        ("bound_by * 2", "'bound_by' is no number", "numbers of the result", "bound_by"),
        ("1 + cycles / (cycles - 1000)", "divides by zero", "divisor", "cycles / (cycles - 1000)"),
        ("1e308 * 10", "is inf", "finite", "1e308 * 10"),
        ("10.0 ** 999", "is too large for a number", "powers", "10.0 ** 999"),
        ("1 + " + "9" * 400, "is too large for a number", "powers", "9" * 400),
        ("2 ** 1023 * 2 ** 1023", "is too large for a number", "powers", "2 ** 1023 * 2 ** 1023"),
        ("9 ** 9 ** 9", "is too large for a number", "powers", "9 ** 9 ** 9"),
        ("(-2) ** 0.5", "the power of a negative number", "taken of", "(-2) ** 0.5"),
        ("1 + sqrt(0 - cycles)", "has no value", "taken of", "sqrt(0 - cycles)"),
        ("geomean(1, 0)", "the geometric mean of a number that is not above 0", "taken of", "geomean(1, 0)"),
        ('total("events.activat")', "no Einsum has 'events.activat'", "did you mean 'activate'?", None),
        ('total("memory.DRAM.busy")', "no Einsum has 'memory.DRAM.busy'", "did you mean 'memories'?", None),
        ('total("memories.DRAM.tensors.C.reads")', "no Einsum has", "below 'memories.DRAM.tensors': A, B", None),
        ('total("cycles.of.it")', "no Einsum has 'cycles.of.it'", "shorten the path", None),
        ("+".join("1" * 700), "is nested too deeply", "sum(a, b, ...)", "1"),
        ('case("other")', "is no number", "it has: cycles, einsums", None),
    ],
)
def test_what_has_no_value_is_told_with_its_place(text, message, hint, part):
    problem = refused(text)
    assert message in problem.message
    assert hint in problem.hint
    part = text if part is None else part
    assert text[problem.offset : problem.offset + problem.length].strip("()") == part.strip("()")


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "cycles +", "__import__('os').system('true')", "cycles.real.__class__", "[1, 2]", "(lambda: 1)()",
        "cycles if cycles else 0", "1 < 2", "f'{cycles}'", "max(*einsums)", "max(key=1)", "True", "1j", "'a' + 'b'",
        "cycles := 3", "total(einsums)", "case(cycles)", "total('a', 'b', 'c')", "min()", "sqrt(1, 2)", "open('x')",
        "x" * 30_000, "(" * 4000 + "1" + ")" * 4000, "-" * 5000 + "1", "1\0", "cycles[0:1]", "einsums[cycles]",
        "~1", "not 1", "1 // 2", "1 % 2", "1 @ 2", "{}", "...", "None", "cycles; 1", "é +",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text):
    problem = refused(text)
    assert problem.message
    assert problem.hint
    assert 0 <= problem.offset <= max(0, len(text))


@given(st.text(alphabet="cyles12 +-*/().,\"'[]é{}", max_size=25))
def test_any_text_ends_in_a_number_or_a_message(text):
    with contextlib.suppress(SpecError, KeyError):  # KeyError: our lookup of a case that is not there
        assert math.isfinite(value(text))


def test_the_cases_that_are_named_are_known_with_their_places():
    text = ' case("a").cycles / case("other b").cycles'
    expression = parse_expression(text)
    assert [name for name, _ in expression.cases] == ["a", "other b"]
    assert [text[offset : offset + len(name)] for name, offset in expression.cases] == ["a", "other b"]
