"""``einloom validate``: keys of the JSON, the table, the exit status."""

import pytest

KEYS = {"design", "figure", "published", "modelled", "error", "class", "basis", "source", "unit", "case", "tolerance",
        "reason", "how_seen", "ok", "title", "url", "problem", "file"}  # fmt: skip
DESIGN = """
version: 1
workload:
  ranks: {M: 64, N: 64, K: 64}
  bits: {default: 8}
  cascade: ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]
architecture:
  name: plain
  clock: 1 GHz
  levels:
    - {memory: DRAM, word: 8 b, read_energy: 64 pJ, write_energy: 64 pJ}
    - {memory: GLB, capacity: 64 KiB, read_energy: 2 pJ, write_energy: 2 pJ}
    - {compute: MAC, energy: {mul: 0.1 pJ, add: 0.1 pJ}}
mapping:
  Z: ["DRAM holds A, B, Z", "GLB holds A, B, Z", for m in M, for n in N, for k in K, MAC]
published:
  source: paper
  cases:
    - name: gemm
      figures:
        - {figure: cycles, value: 262144, class: exact, modelled: cycles, tolerance: 0 %}
        - {figure: time, value: [0.2, 0.25], unit: ms, class: silicon, modelled: latency_s*1e3, basis: "calibrated: c"}
        - {figure: power, value: 2, unit: W, class: not_checkable, reason: the voltage is not given}
"""


@pytest.fixture
def design(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "design.yaml").write_text(DESIGN)
    return "design.yaml"


def test_json_is_a_list_of_figures(run, design):
    ran = run("validate", design, "--json")
    assert (ran.status, ran.err) == (0, "")
    assert [row.keys() for row in ran.json] == [KEYS] * 3
    cycles, time, power = ran.json
    assert (cycles["published"], cycles["modelled"], cycles["error"], cycles["ok"]) == (262144, 262144, 0.0, True)
    assert (time["published"], time["basis"], time["ok"]) == ([0.2, 0.25], "calibrated: c", None)
    assert (power["class"], power["modelled"], power["error"]) == ("not_checkable", None, None)
    assert {row["design"] for row in ran.json} == {design}
    assert {row["source"] for row in ran.json} == {"paper"}


def test_the_table_has_each_figure_on_a_line(run, design):
    ran = run("validate", design)
    assert (ran.status, ran.err) == (0, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == "design.yaml"
    assert "gemm cycles 262,144 262,144 0 exact predicted" in lines
    assert "power W 2 not checkable the voltage is not given" in lines
    assert lines[-1].startswith("3 figures of 1 design; 2 modelled; exact: 1, error 0 % mean, 0 % most; silicon: 1")
    assert lines[-1].endswith("1 not checkable")


def test_an_error_without_a_tolerance_is_shown_and_no_failure(run, design, tmp_path):
    (tmp_path / design).write_text(DESIGN.replace(", tolerance: 0 %", "").replace("value: 262144", "value: 131072"))
    ran = run("validate", design)
    assert (ran.status, ran.err) == (0, "")
    assert "gemm cycles 131,072 262,144 100 exact predicted" in [" ".join(x.split()) for x in ran.out.splitlines()]


def test_a_broken_tolerance_fails_after_the_table(run, design, tmp_path):
    (tmp_path / design).write_text(DESIGN.replace("value: 262144", "value: 262143"))
    ran = run("validate", design)
    assert ran.status == 1
    assert "beyond 0 %" in ran.out
    where, what = "design.yaml:21:86: published.cases[0].figures[0].tolerance", "'cycles' of case 'gemm' is 262144"
    assert ran.err.startswith(f"{where}: {what}, +0.000381 % from the published 262143\n")
    assert run("validate", design, "--json").json[0]["ok"] is False


def test_a_file_without_figures_is_told(run):
    ran = run("validate", "designs/peer16_gemm.yaml")
    assert ran.status == 1
    assert ran.err == "designs/peer16_gemm.yaml: has no published figures\n  add `published:`, or leave the file out\n"
