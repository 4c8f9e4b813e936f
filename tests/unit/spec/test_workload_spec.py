"""``workload:`` blocks: what each key means, and what each mistake says."""

from __future__ import annotations

from fractions import Fraction

import pytest

from einloom.errors import SpecError
from einloom.spec.document import parse, read
from einloom.spec.workload import load_workload, read_workload, workload_from

GEMM = """\
version: 1
workload:
  name: gemm
  ranks: {M: 4, N: 3, K: 2}
  cascade:
    - Z[m,n] = sum{k}(A[m,k] * B[k,n])
"""


def load(text):
    return load_workload(parse(text, "w.yaml"))


def message_of(text):
    with pytest.raises(SpecError) as caught:
        load(text)
    return str(caught.value)


def test_a_kernel_is_a_workload_of_one_cascade():
    workload = load(GEMM)
    assert workload.name == "gemm"
    (cascade,) = workload.cascades
    assert dict(cascade.ranks) == {"M": 4, "N": 3, "K": 2}
    assert cascade.operations() == {"mac": 24}


def test_every_key_of_a_kernel():
    workload = load("""\
workload:
  name: all
  ranks: {M: 8, P: M, H: 8, R: 3}
  split: {M: [M1, M0: 2]}
  bits: {default: 8, W: 1.6, weights: 4}
  weights: [W]
  operators: {lut: {lookup: 2}}
  repeat: 12
  pad: {X: 0}
  shapes: {V: [8]}
  outputs: [Y]
  cascade:
    - Y[p] = sum{r}(X[H=p+r-1] * W[r])
    - {einsum: "S[m1+1] = max(S[m1], A[m1])", init: {S: -inf}}
    - Z[p] = lut(Y[p]) + S[M1] + V[p] + G[1]
    - T[m0] = exp(C[m0])
""")
    cascade = workload.cascades[0]
    assert cascade.extents["P"] == 8
    assert cascade.extents["M1"] == 4
    assert cascade.bits["W"] == Fraction(8, 5)
    assert cascade.weights == ("W",)
    assert cascade.operators["lut"] == {"lookup": 2}
    assert workload.repeat == 12
    assert cascade.pad["X"] == 0
    assert cascade.init["S"] == float("-inf")
    assert cascade.outputs == ("Y", "Z", "T")
    assert cascade.shape("V") == (8,)


def test_an_auto_split_is_left_open():
    text = GEMM.replace("K: 2}", "K: 2}\n  split: {K: [K1, K0: auto]}").replace(
        "sum{k}(A[m,k] * B[k,n])", "sum{k1,k0}(A[m,k1,k0] * B[k1,k0,n])"
    )
    cascade = load(text).cascades[0]
    assert cascade.facts.unsized == ("K0", "K1")


def test_edited_data_are_what_counts():
    document = parse(GEMM, "w.yaml")
    document.data["workload"]["ranks"]["M"] = 40
    assert load_workload(document).operations() == {"mac": 240}
    document.data["workload"]["ranks"]["M"] = "x"
    with pytest.raises(SpecError, match=r"w.yaml:4:14: workload.ranks.M: 'x' is no size of a rank"):
        load_workload(document)


def test_plain_data_are_a_workload():
    data = {"name": "g", "ranks": {"M": 2}, "cascade": ["Z[m] = exp(A[m])"]}
    assert workload_from(data).operations() == {"exp": 2}
    with pytest.raises(SpecError, match=r"workload.ranks.M"):
        workload_from({**data, "ranks": {"M": 0}})


def test_a_workload_may_stand_anywhere_in_a_document():
    document = parse(
        'version: 1\ndesign:\n  workload:\n    ranks: {M: 2}\n    cascade: ["Z[m] = exp(A[m])"]\n', "d.yaml"
    )
    workload = load_workload(document, ("design", "workload"))
    assert workload.name == "d"


# -- networks


def test_parts_inherit_ranks_bits_and_operators():
    workload = load("""\
workload:
  name: net
  ranks: {B: 2, M: 3}
  bits: {default: 8, W: 4}
  operators: {lut: {lookup: 1}}
  repeat: 2
  parts:
    - {name: first, cascade: ["Y[b,m] = lut(X[b,m])"]}
    - {name: second, repeat: 5, ranks: {M: 7}, bits: {W: 2}, cascade: ["Y[b] = X[b,m] * W[m]"]}
""")
    first, second = workload.cascades
    assert first.shape("X") == (2, 3)
    assert second.shape("X") == (2, 7)
    assert (first.repeat, second.repeat) == (2, 10)
    assert (first.bits_of("X"), second.bits_of("X"), second.bits_of("W")) == (8, 8, 2)
    assert workload.operations() == {"lookup": 12, "mac": 140}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "gemm.yaml").write_text(GEMM)

    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_part_may_be_a_file_with_other_ranks(files):
    network = files(
        "net.yaml",
        """\
version: 1
workload:
  name: net
  ranks: {M: 8}
  parts:
    - {workload: gemm.yaml, repeat: 3}
    - {workload: gemm.yaml, name: wide, ranks: {N: 30, K: M}}
""",
    )
    workload = read_workload(network)
    assert [(c.name, c.repeat, dict(c.ranks)) for c in workload.cascades] == [
        ("gemm", 3, {"M": 8, "N": 3, "K": 2}),
        ("wide", 1, {"M": 8, "N": 30, "K": 8}),
    ]


def test_a_network_may_be_a_part(files):
    inner = "version: 1\nworkload:\n  ranks: {M: 2}\n  parts:\n    - {workload: gemm.yaml, repeat: 3}\n"
    files("inner.yaml", inner)
    outer = (
        "version: 1\nworkload:\n  ranks: {M: 5}\n  parts:\n    - {workload: inner.yaml, name: x, repeat: 2}\n"
    )
    (cascade,) = read_workload(files("outer.yaml", outer)).cascades
    assert (cascade.name, cascade.repeat, cascade.ranks["M"]) == ("x", 6, 5)


def test_ranks_may_be_given_when_a_file_is_read(files):
    path = files("g.yaml", GEMM)
    assert read_workload(path, {"M": 40}).operations() == {"mac": 240}
    with pytest.raises(SpecError, match="the rank 'Q' is not known"):
        read_workload(path, {"Q": 40})


def test_mistakes_of_a_part_stand_in_its_file(files):
    files("bad.yaml", GEMM.replace("B[k,n]", "B[k,j]"))
    network = files(
        "net.yaml",
        "version: 1\nworkload:\n  parts:\n    - {workload: bad.yaml}\n    - {workload: none.yaml}\n"
        "    - {workload: gemm.yaml, ranks: {Q: 2}}\n    - {workload: net.yaml}\n",
    )
    with pytest.raises(SpecError) as caught:
        read_workload(network)
    places = [
        (problem.file.rsplit("/")[-1], problem.line, problem.message) for problem in caught.value.problems
    ]
    assert ("net.yaml", 6, "'gemm.yaml' has no rank 'Q'") in places
    assert ("net.yaml", 7, "'net.yaml' is read for itself") in places
    assert ("bad.yaml", 6, "the rank 'J' of the variable 'j' has no size") in places
    assert any(
        file == "net.yaml" and line == 5 and "cannot be read" in message for file, line, message in places
    )


# -- messages


def test_a_grammar_mistake_points_into_the_line():
    text = GEMM.replace("B[k,n]", "b[k,n]")
    assert (
        message_of(text)
        == """\
w.yaml:6:32: workload.cascade[0]: 'b' is lower case: tensor names begin with a capital
   6 |     - Z[m,n] = sum{k}(A[m,k] * b[k,n])
     |                                ^
  write B[...]. Rank names are upper case ('M'), rank variables lower case ('m')"""
    )


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_do_not_shift_the_caret(quote):
    text = GEMM.replace(
        "Z[m,n] = sum{k}(A[m,k] * B[k,n])", f"{quote}Z[m,n] = sum{{k}}(A[m,k] * b[k,n]){quote}"
    )
    assert "w.yaml:6:33:" in message_of(text)
    text = GEMM.replace(
        "- Z[m,n] = sum{k}(A[m,k] * B[k,n])", f"- {{einsum: {quote}Z[m,n] = A[m,k] * B[k,j]{quote}}}"
    )
    assert "w.yaml:6:39: workload.cascade[0].einsum: the rank 'J'" in message_of(text)


def test_a_folded_line_is_underlined_as_a_whole():
    text = GEMM.replace(
        "- Z[m,n] = sum{k}(A[m,k] * B[k,n])", "- >-\n      Z[m,n] = sum{k}(A[m,k]\n      * b[k,n])"
    )
    assert "w.yaml:6:7: workload.cascade[0]: 'b' is lower case" in message_of(text)


def test_all_mistakes_of_a_file_come_at_once_in_file_order():
    message = message_of("""\
workload:
  ranks: {M: 4, N: -3}
  bits: {A: zero}
  colour: red
  cascade:
    - Z[m] = exp(A[m]
    - Y[m] = sum{n}(B[m,n] * C[m,q])
    - X[m]: exp(Z[m])
""")
    places = [line.split(": ")[:2] for line in message.splitlines() if line.startswith("w.yaml")]
    assert places == [
        ["w.yaml:2:20", "workload.ranks.N"],
        ["w.yaml:3:13", "workload.bits.A"],
        ["w.yaml:4:3", "workload.colour"],
        ["w.yaml:6:22", "workload.cascade[0]"],
        ["w.yaml:7:34", "workload.cascade[1]"],
        ["w.yaml:8:7", "workload.cascade[2]"],
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("- Z[m,n] = sum", "- Z[m,n]: sum"), "YAML read this line as a mapping, not as text"),
        (("- Z[m,n] = sum{k}(A[m,k] * B[k,n])", "- [Z, A]"), "YAML read this line as a list, not as text"),
        (("- Z[m,n] = sum{k}(A[m,k] * B[k,n])", "- 3"), "'3' is no Einsum"),
        (("K: 2}", "K: 2, Q: 5}"), "w.yaml:4:32: workload.ranks.Q: no Einsum uses the rank 'Q'"),
        (("K: 2}", "K: 2.5}"), "w.yaml:4:26: workload.ranks.K: '2.5' is no size of a rank"),
        (("K: 2}", "K: true}"), "true is no size of a rank"),
        (("K: 2}", "K: Q}"), "workload.ranks.K: 'Q' is no rank with a size"),
        (("K: 2}", "K: K}"), "workload.ranks.K: 'K' is no rank with a size"),
        (("K: 2}", "K: 1000000000000000}"), "is too large for a rank"),
        (("K: 2}", "k: 2}"), "'k' is no rank name"),
        (("K: 2}", "K: 2}\n  bits: {Zz: 8}"), "workload.bits.Zz: 'Zz' is no tensor\n"),
        (("K: 2}", "K: 2}\n  bits: {A: 0}"), "'0' is no width in bits"),
        (("K: 2}", "K: 2}\n  bits: 8"), "'8' is not a mapping"),
        (("K: 2}", "K: 2}\n  weights: [C]"), "workload.weights[0]: 'C' is no tensor that is read"),
        (
            ("K: 2}", "K: 2}\n  operators: {exp: {mac: 6}}"),
            "workload.operators.exp: 'exp' is no operator in use",
        ),
        (("K: 2}", "K: 2}\n  operators: {sum: {mac: -6}}"), "'-6' is out of range"),
        (("K: 2}", "K: 2}\n  repeat: 0"), "'0' is out of range"),
        (("K: 2}", "K: 2}\n  pad: {A: nothing}"), "'nothing' is not a number"),
        (
            ("K: 2}", "K: 2}\n  outputs: [A]"),
            "workload.outputs[0]: 'A' is no tensor that the cascade computes",
        ),
        (("K: 2}", "K: 2}\n  split: {K: [K1, K0: 3]}"), "workload.split.K: K = 2 does not split into 3"),
        (("K: 2}", "K: 2}\n  split: {K: [{K1: 1, K0: 3}]}"), "a mapping is no sub-rank"),
        (("K: 2}", "K: 2}\n  split: {K: [K1, K0: many]}"), "'many' is no size of the sub-rank K0"),
        (("K: 2}", "K: 2}\n  parts: []"), "the workload has both a cascade and parts"),
        (("cascade:\n", "cascades:\n"), "did you mean 'cascade'?"),
        (("    - Z[m,n] = sum{k}(A[m,k] * B[k,n])", "    []"), "workload.cascade"),
    ],
)
def test_a_mistake_in_a_key_says_so(change, expected):
    old, new = change
    assert old in GEMM
    assert expected in message_of(GEMM.replace(old, new))


def test_an_initial_value_stands_on_the_line_that_defines_the_tensor():
    line = '- {einsum: "Z[m,n] = sum{k}(A[m,k] * B[k,n])", init: {A: 0}}'
    message = message_of(GEMM.replace("- Z[m,n] = sum{k}(A[m,k] * B[k,n])", line))
    assert "workload.cascade[0].init.A: this line does not define A" in message
    message = message_of(GEMM.replace("- Z[m,n] = sum{k}(A[m,k] * B[k,n])", line.replace("{A: 0}", "{Z: 0}")))
    assert "workload.cascade[0].init.Z: Z has no generations" in message


def test_a_network_says_what_no_part_uses():
    message = message_of(
        'workload:\n  ranks: {M: 2, Q: 3}\n  bits: {W: 8}\n  parts:\n    - cascade: ["Z[m] = exp(A[m])"]\n'
    )
    assert "workload.ranks.Q: no part uses 'Q'" in message
    assert "workload.bits.W: no part uses 'W'" in message


def test_mistakes_of_parts_are_reported_beside_those_of_the_network():
    message = message_of(
        'workload:\n  ranks: {M: 2}\n  colour: red\n  parts:\n    - cascade: ["Z[m] = axp(A[m])"]\n'
    )
    assert "workload.colour" in message
    assert "workload.parts[0].cascade[0]: no operator is named 'axp'" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1\n", "is no workload file"),
        ("workload: {}\n", "version: is missing"),
        ("version: 2\nworkload: {}\n", "'2' is not a version that this einloom reads"),
        ("version: 1\n", "workload: is missing"),
        ("version: 1\nworkload: {}\ncolour: red\n", "the key 'colour' is not known here"),
        ("version: 1\nworkload: 3\n", "'3' is no workload"),
        ("version: 1\nworkload: {}\n", "cascade: is missing"),
    ],
)
def test_a_workload_file_has_a_version_and_a_workload(files, text, expected):
    with pytest.raises(SpecError) as caught:
        read_workload(files("w.yaml", text))
    assert expected in str(caught.value)


def test_a_file_reads_as_its_document(files):
    path = files("w.yaml", GEMM)
    assert read_workload(path) == load_workload(read(path))
