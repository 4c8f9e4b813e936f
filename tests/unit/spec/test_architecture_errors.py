"""What a mistake in an architecture says: the place, the value, what to type."""

import pytest

from einloom.errors import SpecError
from einloom.spec.architecture import load_architecture
from einloom.spec.document import parse

GOOD = {
    "clock": "1 GHz",
    "dram": "{memory: DRAM, read_energy: 64 pJ, write_energy: 64 pJ}",
    "glb": "{memory: GLB, capacity: 128 KiB, read_energy: 2 pJ, write_energy: 2 pJ}",
    "pe": "{fanout: PE, axes: {X: 16, Y: 16}}",
    "mac": "{compute: MAC, energy: {mul: 0.1 pJ, add: 0.1 pJ}}",
}
BASE = """\
architecture:
  clock: %(clock)s
  levels:
    - %(dram)s
    - %(glb)s
    - %(pe)s
    - %(mac)s
"""


def problems(**changes):
    return problems_of(BASE % {**GOOD, **changes})


def problems_of(text):
    with pytest.raises(SpecError) as caught:
        load_architecture(parse(text, "machine.yaml"))
    return caught.value.problems


def test_the_good_parts_are_good():
    assert load_architecture(parse(BASE % GOOD)).name == "architecture"


@pytest.mark.parametrize(
    ("changes", "field", "message", "hint"),
    [
        ({"clock": "1"}, "clock", "'1' has no unit", "940 MHz"),
        ({"clock": "0 GHz"}, "clock", "'0 GHz' must be above 0", "940 MHz"),
        ({"clock": "1e999999999 Hz"}, "clock", "'1e999999999' is out of range", "1e100"),
        ({"clock": "inf"}, "clock", "'inf' must be finite", "940 MHz"),
        ({"clock": "1 GB"}, "clock", "the unit 'GB' is not known here", "Hz, kHz, MHz, GHz"),
        ({"glb": "{memory: GLB, capacity: 108}"}, "levels[1].capacity", "'108' has no unit", "108 KiB"),
        ({"glb": "{memory: GLB, capacity: -1 KiB}"}, "levels[1].capacity", "'-1 KiB' is negative", "above 0"),
        (
            {"glb": "{memory: GLB, capacity: 0 KiB}"},
            "levels[1].capacity",
            "must be above 0",
            "out of the tree",
        ),
        ({"glb": "{memory: GLB, capacity: [1]}"}, "levels[1].capacity", "a list is not a quantity", "KiB"),
        ({"glb": "{memory: GLB, capcity: 1 KiB}"}, "levels[1].capcity", "the key 'capcity'", "'capacity'?"),
        (
            {"glb": "{memory: GLB, bandwidth: 3 words}"},
            "levels[1].bandwidth",
            "is not a bandwidth",
            "words/cycle",
        ),
        ({"glb": "{memory: GLB, bandwidth: 0 B/s}"}, "levels[1].bandwidth", "must be above 0", "inf"),
        ({"glb": "{memory: GLB, read_energy: -1 pJ}"}, "levels[1].read_energy", "is negative", "pJ"),
        ({"glb": "{memory: GLB, read_energy: 1 KiB}"}, "levels[1].read_energy", "the unit 'KiB'", "fJ, pJ"),
        ({"glb": "{memory: GLB, area: large}"}, "levels[1].area", "'large' is not a quantity", "`unknown`"),
        ({"glb": "{memory: GLB, holds: B}"}, "levels[1].holds", "'B' is not a list", "[a, b]"),
        (
            {"glb": "{memory: GLB, holds: [wights]}"},
            "levels[1].holds[0]",
            "neither a tensor nor a role",
            "weights",
        ),
        (
            {"glb": "{memory: GLB, double_buffered: 2}"},
            "levels[1].double_buffered",
            "'2' is neither true",
            "[A, B]",
        ),
        ({"glb": "{memory: 16}"}, "levels[1].memory", "'16' is not a name", ""),
        ({"glb": "{memory: for}"}, "levels[1].memory", "is a word of the mapping notation", "another name"),
        ({"glb": "{memory: G-B}"}, "levels[1].memory", "'G-B' is not a name", "letters, digits"),
        ({"pe": "{fanout: PE}"}, "levels[2].axes", "is missing", "add `axes:`"),
        ({"pe": "{fanout: PE, axes: {}}"}, "levels[2]", "fanout 'PE' has no axis", "axes: {X: 16"),
        (
            {"pe": "{fanout: PE, axes: {X: 1.5}}"},
            "levels[2].axes.X",
            "'1.5' is not the size of an axis",
            "16",
        ),
        (
            {"pe": "{fanout: PE, axes: {X: 2}, only: {X: [N]}}"},
            "levels[2].only.X",
            "'N' is not a rank",
            "('n')",
        ),
        (
            {"pe": "{fanout: PE, axes: {X: 2}, only: {Z: [n]}}"},
            "levels[2].only.Z",
            "'Z' is not an axis",
            "axes: X",
        ),
        (
            {"pe": "{fanout: PE, axes: {X: 2}, only: {X: {shared_by: [weight]}}}"},
            "levels[2].only.X",
            "'weight' is not a role",
            "did you mean 'weights'",
        ),
        (
            {"pe": "{fanout: PE, axes: {X: 2}, only: {X: {shared: [n]}}}"},
            "levels[2].only.X",
            "a mapping is not a rule for an axis",
            "{shared_by: [weights, outputs]}",
        ),
        (
            {"pe": "{fanout: PE, axes: {X: 2}, reduce: 1}"},
            "levels[2].reduce",
            "'1' is neither",
            "{hop: 1 cycle}",
        ),
        ({"pe": "{fanout: PE, axes: {X: 2}, reduce: {hops: 1}}"}, "levels[2].reduce", "key 'hops'", "'hop'?"),
        (
            {"pe": "{fanout: PE, axes: {X: 2}, reduce: {hop: 1 s}}"},
            "levels[2].reduce",
            "number of cycles",
            "1 cycle",
        ),
        ({"mac": "{compute: MAC}"}, "levels[3]", "compute 'MAC' has no energy for any operator", "int8"),
        ({"mac": "{compute: MAC, energy: {mul: 0.1}}"}, "levels[3].energy.mul", "'0.1' has no unit", "pJ"),
        (
            {"mac": "{compute: MAC, energy: {Mul: 1 pJ}}"},
            "levels[3].energy.Mul",
            "'Mul' is not an operator",
            "lower case",
        ),
        (
            {"mac": "{compute: MAC, component: int9}"},
            "levels[3].component",
            "compute 'MAC': no compute",
            "'int8'?",
        ),
        ({"glb": "{memory: GLB, component: int8}"}, "levels[1].component", "memory 'GLB': no memory", "sram"),
        ({"glb": "{memory: GLB}"}, "levels[1]", "memory 'GLB' has no read_energy", "lpddr4"),
        (
            {"glb": "{memory: GLB, capacity: 1 TiB}"},
            "levels[1]",
            "memory 'GLB': a capacity of 1024 GiB",
            "4 MiB",
        ),
        (
            {"glb": "{memory: GLB, capacity: 9 words}"},
            "levels[1].capacity",
            "in words of unknown width",
            "`word: 8 b`",
        ),
        (
            {"glb": "{memory: GLB, capacity: 9 KiB, technology: 3 nm}"},
            "levels[1]",
            "memory 'GLB': no scaling is known for 3 nm",
            "7 nm to 130 nm",
        ),
        (
            {"glb": "{memory: GLB, energy_per_bit: 1 pJ, read_energy: 1 pJ}"},
            "levels[1].energy_per_bit",
            "cannot stand here",
            "keep one kind",
        ),
        (
            {"glb": "{memory: GLB, holds: [A], may_hold: [B], read_energy: 1 pJ, write_energy: 1 pJ}"},
            "levels[1].holds",
            "`holds` stands beside",
            "keep one kind",
        ),
        (
            {"glb": "{memory: GLB, bandwidth: 1 B/s, read_bandwidth: 1 B/s, capacity: 9 KiB}"},
            "levels[1].bandwidth",
            "`bandwidth` stands beside",
            "keep one kind",
        ),
        (
            {"glb": "{memory: GLB, capacity: 9 KiB, bandwidth: 2 words/cycle}"},
            "levels[1].bandwidth",
            "memory 'GLB' is priced per bit and does not say how wide its words are",
            "add `word: 8 b`",
        ),
        (
            {"glb": "{memory: DRAM, capacity: 9 KiB}"},
            "levels[1].memory",
            "the name 'DRAM' is used twice",
            "unique",
        ),
        (
            {"glb": "{buffer: GLB}"},
            "levels[1]",
            "does not say what it is",
            "memory, fanout, compute, branches",
        ),
        ({"glb": "GLB"}, "levels[1]", "'GLB' is not a level", "starts with one of"),
        (
            {"glb": "{memory: GLB, compute: MAC}"},
            "levels[1]",
            "one level is both `memory:` and `compute:`",
            "`-`",
        ),
        ({"glb": "{branches: []}"}, "levels[1].branches", "a list are no branches", "one list of levels"),
        ({"mac": "{branches: [[]]}"}, "levels[3].branches[0]", "has no level", "- memory: DRAM"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_to_type(changes, field, message, hint):
    found = {problem.field: problem for problem in problems(**changes)}
    problem = found[f"architecture.{field}"]
    assert message in problem.message
    assert hint in problem.hint
    assert problem.line > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dram": GOOD["pe"].replace("PE", "Q")}, "the outermost level must be a memory"),
        ({"glb": GOOD["mac"].replace("MAC", "C")}, "compute 'C' has levels below it"),
        ({"mac": GOOD["pe"].replace("PE", "Q")}, "the tree ends in fanout 'Q'"),
        ({"mac": "{branches: [[" + GOOD["pe"].replace("PE", "Q") + "]]}"}, "the tree ends in fanout 'Q'"),
    ],
)
def test_wrong_nesting_says_what_belongs_where(changes, message):
    assert message in [problem.message for problem in problems(**changes)]


def test_all_problems_are_reported_in_file_order():
    found = problems(
        clock="1", dram="{memory: DRAM}", glb="{memory: GLB, capacity: -1 B}", mac="{compute: MAC, cycle: 1}"
    )
    assert [problem.line for problem in found] == [2, 4, 5, 7]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("architecture: 4\n", "architecture", "'4' is not a mapping"),
        ("architecture: []\n", "architecture", "a list is not a mapping"),
        ("architecture: {clock: 1 GHz}\n", "architecture.levels", "is missing"),
        ("architecture: {clock: 1 GHz, levels: 3}\n", "architecture.levels", "'3' is not a list of levels"),
        ("architecture: {clock: 1 GHz, levels: []}\n", "architecture.levels", "has no level"),
        (
            "architecture: {clock: 1 GHz, levels: [{memory: A}], name: 1}\n",
            "architecture.name",
            "is not a name",
        ),
        ("- 1\n", "architecture", "is missing"),
    ],
)
def test_a_malformed_block_says_so(text, field, message):
    found = {problem.field: problem.message for problem in problems_of(text)}
    assert message in found[field]


@pytest.mark.parametrize(
    ("text", "field", "message", "hint"),
    [
        ("template: systolc", "template", "no template is named 'systolc'", "did you mean 'systolic'?"),
        ("template: [systolic]", "template", "a list is not the name of a template", "template: systolic"),
        (
            "template: systolic, cols: 4",
            "",
            "parameter 'rows' of template 'systolic' is missing",
            "add `rows:`",
        ),
        (
            "template: systolic, rows: 4, cols: 4, clok: 1 GHz",
            "clok",
            "is no parameter",
            "did you mean 'clock'?",
        ),
        ("template: systolic, rows: 0, cols: 4", "rows", "'0' is out of range", "at least 1"),
        ("template: systolic, rows: 1.5, cols: 4", "rows", "'1.5' is not a whole number", "32"),
        ("template: systolic, rows: many, cols: 4", "rows", "'many' is not a number", "16"),
        ("template: systolic, rows: 4, cols: ", "cols", "nothing is not a number", "16"),
        (
            "template: systolic, rows: 4, cols: 4, dataflow: ws",
            "dataflow",
            "no dataflow is named 'ws'",
            "weight_sta",
        ),
        ("template: systolic, rows: 4, cols: 4, buffer: 4", "buffer", "'4' has no unit", "108 KiB"),
        ("template: systolic, rows: 4, cols: 4, buffer: -4 B", "buffer", "'-4 B' is negative", "above 0"),
        (
            "template: systolic, rows: 4, cols: 4, buffer: 1 GiB",
            "buffer",
            "outside the table of 'sram'",
            "4 MiB",
        ),
        (
            "template: systolic, rows: 4, cols: 4, bandwidth: 4 B",
            "bandwidth",
            "is not a bandwidth",
            "words/cycle",
        ),
        (
            "template: systolic, rows: 4, cols: 4, technology: 3 nm",
            "technology",
            "'3' is out of range",
            "least 7",
        ),
        ("template: systolic, rows: 4, cols: 4, im2col: 1", "im2col", "neither true nor false", "true"),
        ("template: systolic, rows: 4, cols: 4, name: 4", "name", "'4' is not a name", ""),
        ("template: systolic, rows: 4, cols: 4, levels: []", "levels", "is no parameter", "parameters: rows"),
        (
            "template: spatial, rows: 4, cols: 4, registers: inf",
            "registers",
            "'inf' is out of range",
            "finite",
        ),
    ],
)
def test_a_wrong_template_block_says_where_and_what_to_type(text, field, message, hint):
    found = {problem.field: problem for problem in problems_of(f"architecture: {{{text}}}\n")}
    problem = found[f"architecture.{field}".rstrip(".")]
    assert message in problem.message
    assert hint in problem.hint


def test_the_display_has_file_line_field_value_and_what_is_allowed():
    text = "version: 1\narchitecture:\n  clock: 1 GHz\n  levels:\n    - memory: GLB\n      capacity: 108\n"
    with pytest.raises(SpecError) as caught:
        load_architecture(parse(text, "machine.yaml"))
    assert str(caught.value) == (
        "machine.yaml:5:7: architecture.levels[0]: the tree ends in memory 'GLB'\n"
        "   5 |     - memory: GLB\n"
        "     |       ^\n"
        "  add `- compute: MAC` below it\n"
        "machine.yaml:6:17: architecture.levels[0].capacity: '108' has no unit\n"
        "   6 |       capacity: 108\n"
        "     |                 ^^^\n"
        "  write a number and one of: b, kb, Mb, Gb, Kib, Mib, Gib, B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"
        " - for example: 108 KiB"
    )
