"""``published:`` to values, and the comparison of each figure with the model."""

import json
from pathlib import Path

import pytest

import einloom as el
from einloom.spec.document import parse
from einloom.spec.published import check_published, load_published
from einloom.spec.published_notation import read_published
from einloom.validating import is_mapped
from einloom.validation import Case, Published, compare, parse_expression
from einloom.validation.compare import relative_error
from einloom.validation.figures import Figure, Source
from einloom.validation.files import published_files

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
"""
PUBLISHED = """
published:
  source: {id: paper, title: A Paper, url: "https://example.org"}
  cases:
    - name: small
      figures:
        - {figure: cycles, value: 262144, unit: cycles, class: exact, modelled: cycles, tolerance: 0 %}
        - {figure: half, value: 17/32, class: ratio, modelled: "0.5", source: table 3, how_seen: read off a plot}
        - {figure: time, value: [1, 2], unit: s, class: silicon, modelled: "3", basis: "calibrated: rate, row 1"}
        - {figure: power, class: not_checkable, reason: the voltage is not given}
    - name: large
      set: {workload.ranks.M: 128, mapping: null}
      run: map
      objective: energy
      fusion: false
"""


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.fixture
def design(tmp_path):
    return written(tmp_path, "design.yaml", DESIGN + PUBLISHED)


def figure_of(value, modelled="cycles", tolerance=None):
    expression = parse_expression(modelled)
    path = ("published", "cases", 0, "figures", 0)
    return Figure("f", value, "", "exact", expression, "", "predicted", tolerance, Source("s"), "", path)


def cases_of(*cases):
    return Published({name: Case(name, "", {}, None, "latency", True, figures, ("published", "cases", i))
                      for i, (name, figures) in enumerate(cases)})  # fmt: skip


# -- reading


def test_every_key_is_read():
    published = read_published(parse(DESIGN + PUBLISHED))
    small, large = published.cases.values()
    cycles, half, time, power = small.figures
    assert (cycles.name, cycles.value, cycles.unit, cycles.kind, cycles.tolerance) == (
        "cycles", 262144, "cycles", "exact", 0.0)  # fmt: skip
    assert (half.value, half.tolerance, half.how_seen) == (17 / 32, None, "read off a plot")
    assert (time.value, time.basis) == ((1.0, 2.0), "calibrated: rate, row 1")
    assert (power.value, power.modelled, power.reason) == (None, None, "the voltage is not given")
    assert cycles.source == Source("paper", "A Paper", "https://example.org")
    assert half.source == Source("paper, table 3", "A Paper", "https://example.org")
    assert (small.run, small.objective, small.fusion, small.settings) == (None, "latency", True, {})
    assert (large.run, large.objective, large.fusion) == ("map", "energy", False)
    assert large.settings == {"workload.ranks.M": 128, "mapping": None}


@pytest.mark.parametrize(("text", "share"), [("1.5 %", 0.015), ("20%", 0.2), (" .5 % ", 0.005), ("0 %", 0.0)])
def test_a_tolerance_is_in_per_cent(text, share):
    assert read_published(parse(PUBLISHED.replace("0 %", text))).cases["small"].figures[0].tolerance == share


@pytest.mark.parametrize("value", ["9" * 400, "1e400", ".inf", "-.inf", ".nan", "true", "1/0", "1 ms", "[1, x]", "[1]"])
def test_what_is_no_published_number_is_told(value):
    with pytest.raises(el.SpecError) as caught:
        read_published(parse(PUBLISHED.replace("17/32", value)))
    (problem,) = caught.value.problems
    assert "number" in problem.message
    assert problem.hint == "write a number, a fraction such as 17/32, or a range [41, 137]"


def test_a_design_without_figures_has_none(tmp_path):
    assert load_published(written(tmp_path, "d.yaml", DESIGN)) is None
    assert load_published(written(tmp_path, "n.yaml", DESIGN + "published: null\n")) is None


def test_figures_may_stand_in_a_file_of_their_own(tmp_path):
    figures = written(tmp_path, "figures.yaml", "version: 1" + PUBLISHED)
    design = written(tmp_path, "design.yaml", DESIGN + "published: figures.yaml\n")
    loaded = load_published(design)
    assert loaded.document.file == figures
    assert loaded.design_of(loaded.published.cases["small"]) == design
    assert check_published(design) == check_published(figures) == []
    assert el.check(design) == "design"
    assert el.check(figures) == "published"
    assert el.validate(design).ok
    (problem,) = el.validate(figures).problems
    assert "names no design" in problem.message


def test_a_case_may_run_another_design(tmp_path):
    written(tmp_path, "other.yaml", DESIGN.replace("M: 64", "M: 128"))
    block = """
version: 1
published:
  source: paper
  design: other.yaml
  cases:
    - {name: large}
    - {name: small, set: {workload.ranks.M: 64}}
    - name: ratio
      figures: [{figure: ratio, value: 2, class: ratio, modelled: 'case("large").cycles / case("small").cycles'}]
"""
    found = el.validate(written(tmp_path, "means.yaml", block))
    assert [row.modelled for row in found.comparisons] == [2.0]
    assert [row.file for row in found.comparisons] == [str(tmp_path / "means.yaml")]
    assert [row.design for row in found.comparisons] == [str(tmp_path / "other.yaml")]
    assert found.ok


@pytest.mark.parametrize(
    ("design", "named"),
    [("", "designs/x/p.yaml"), ("a.yaml", "designs/x/a.yaml"), ("../y/a.yaml", "designs/y/a.yaml"),
     ("designs/z/a.yaml", "designs/z/a.yaml"), ("/abs/a.yaml", "/abs/a.yaml")],
)  # fmt: skip
def test_the_design_that_runs_is_named(design, named):
    assert Case("c", design, {}, None, "latency", True, (), ()).design_beside("designs/x/p.yaml") == named


# -- comparing


@pytest.mark.parametrize(
    ("modelled", "published", "error"),
    [
        (110, 100, 0.1), (90, 100, -0.1), (100, 100, 0.0), (0, 0, 0.0), (1, 0, None), (-1, -2, 0.5),
        (50, (41, 137), 0.0), (41, (41, 137), 0.0), (20.5, (41, 137), -0.5), (274, (41, 137), 1.0),
    ],
)  # fmt: skip
def test_the_error_is_relative_to_what_was_published(modelled, published, error):
    assert relative_error(modelled, published) == error


@pytest.mark.parametrize(
    ("value", "tolerance", "ok"),
    [(1000, 0.0, True), (1000, None, None), (990, 0.0, False), (990, 0.0102, True), (0, 0.5, False), (900, None, None)],
)
def test_only_a_stated_tolerance_is_broken(value, tolerance, ok):
    rows, problems = compare(cases_of(("a", (figure_of(value, tolerance=tolerance),))), "d", lambda _: {"cycles": 1000})
    assert rows[0].ok is ok
    assert len(problems) == (ok is False)
    if problems:
        assert problems[0].path[-1] == "tolerance"


def test_each_case_runs_once_and_only_when_it_is_asked_for():
    ran = []

    def run(case):
        ran.append(case.name)
        return {"cycles": len(case.name)}

    ratio = figure_of(2, 'case("long").cycles / cycles')
    rows, problems = compare(cases_of(("long", ()), ("ab", (ratio, ratio)), ("never", ())), "d", run)
    assert [row.modelled for row in rows] == [2, 2]
    assert (ran, problems) == (["ab", "long"], [])


def test_a_case_that_does_not_run_is_told_once_and_leaves_the_others():
    def run(case):
        if case.name == "bad":
            raise el.MappingError("overflows the buffer", "make it smaller")
        return {"cycles": 7}

    bad = ("bad", (figure_of(1), figure_of(2)))
    good = ("good", (figure_of(7), figure_of(1, 'case("bad").cycles')))
    rows, problems = compare(cases_of(bad, good), "d", run)
    assert [row.modelled for row in rows] == [None, None, 7, None]
    assert [row.ok for row in rows] == [False, False, None, False]
    assert [problem.message for problem in problems] == ["overflows the buffer (case 'bad')"]
    assert problems[0].path == ("published", "cases", 0)


# -- the whole


def test_published_and_modelled_stand_side_by_side(design):
    found = el.validate(design)
    rows = found.to_dict()
    assert [row["error"] for row in rows] == [0.0, pytest.approx(-1 / 17), 0.5, None]
    assert [row["ok"] for row in rows] == [True, None, None, None]
    assert [row["class"] for row in rows] == ["exact", "ratio", "silicon", "not_checkable"]
    assert rows[3]["published"] is rows[3]["modelled"] is None
    assert rows[3]["reason"] == "the voltage is not given"
    assert json.loads(json.dumps(rows)) == rows
    assert found._repr_html_().count("<tr>") == 5
    assert "<td>cycles</td><td>cycles</td><td>262144</td><td>262144</td><td>0</td><td>exact</td>" in found._repr_html_()
    assert found.ok


def test_problems_have_their_lines(tmp_path):
    text = DESIGN + PUBLISHED.replace("modelled: cycles,", "modelled: cycle,").replace('"0.5"', '"0.6", tolerance: 2 %')
    found = el.validate(written(tmp_path, "design.yaml", text))
    lines = text.splitlines()
    first, second = found.problems
    assert "the result has no 'cycle'" in first.message
    assert first.source[first.column - 1 :].startswith("cycle, tolerance")
    assert "'half' of case 'small' is 0.6, +12.9 % from the published 0.53125" in second.message
    assert second.source == lines[second.line - 1]
    assert [row.modelled for row in found.comparisons] == [None, 0.6, 3, None]


def test_a_setting_that_leads_nowhere_stands_at_its_line(tmp_path):
    text = DESIGN + PUBLISHED.replace("workload.ranks.M: 128", "architecture.levels.L2.word: 1 b").replace(
        "fusion: false", "figures: [{figure: f, value: 1, class: exact, modelled: cycles}]"
    )
    (problem,) = el.validate(written(tmp_path, "design.yaml", text)).problems
    assert problem.message == "no entry is named 'L2' (case 'large')"
    assert problem.source[problem.column - 1 :].startswith("architecture.levels.L2.word")


def test_a_file_that_does_not_load_leaves_the_others(tmp_path, design):
    broken = written(tmp_path, "broken.yaml", DESIGN + "published: {cases: []}\n")
    plain = written(tmp_path, "plain.yaml", DESIGN)
    found = el.validate([broken, plain, tmp_path / "none.yaml", design])
    assert len(found.comparisons) == 4
    assert [problem.file for problem in found.problems] == [broken, plain, str(tmp_path / "none.yaml")]


@pytest.mark.parametrize(
    ("settings", "mapped"),
    [({}, True), ({"mapping": None}, False), ({"mapping.Z.2": "for m in auto"}, False)],
)
def test_a_design_is_evaluated_where_its_mapping_is_whole(design, settings, mapped):
    assert is_mapped(el.load(design, set=settings)) is mapped


@pytest.mark.parametrize(
    ("name", "mapped"),
    [("binding", False), ("flat", True), ("linear_baseline", True), ("binding_honest", False), ("unfused", True)],
)
def test_an_open_tree_is_mapped(name, mapped):
    assert is_mapped(el.load(f"designs/fusemax/{name}.yaml")) is mapped


def test_workers_find_the_same_and_each_case_runs_once(tmp_path):
    cases = "".join(
        f"""    - name: k{k}
      set: {{workload.ranks.K: {k}}}
      figures: [{{figure: cycles, value: {4096 * k}, class: exact, modelled: cycles, tolerance: 0 %}}]\n"""
        for k in range(1, 14)
    )
    wrong = "    - {name: bad, set: {architecture.levels.L2.word: 1 b}, figures: [{figure: f, value: 1, class: exact, "
    text = f"{DESIGN}published:\n  source: s\n  cases:\n{cases}{wrong}modelled: cycles}}]}}\n"
    file = written(tmp_path, "many.yaml", text)
    told = []
    several = el.validate(file, workers=2, progress=lambda *said: told.append(said))
    assert several == el.validate(file)
    assert [row.error for row in several.comparisons] == [0.0] * 13 + [None]
    assert [problem.message for problem in several.problems] == ["no entry is named 'L2' (case 'bad')"]
    assert [(done, of) for _, done, of in told] == [(n, 14) for n in range(1, 15)]
    assert {name for name, _, _ in told} == {f"{file}: k{k}" for k in range(1, 14)} | {f"{file}: bad"}


# -- which files


def test_a_folder_is_searched_and_the_users_file_hides_the_catalogues(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "designs/fusemax/published.yaml", DESIGN)
    written(tmp_path, "designs/mine/a.yaml", DESIGN + PUBLISHED)
    written(tmp_path, "other/b.yaml", DESIGN + PUBLISHED)
    every = published_files()
    assert "designs/mine/a.yaml" in every
    assert "designs/fusemax/means.yaml" in every
    assert "designs/fusemax/published.yaml" not in every
    assert "other/b.yaml" not in every
    assert published_files(["other", "x.yaml", "other/b.yaml"]) == ["other/b.yaml", "x.yaml"]
    assert published_files(["designs/mine"]) == ["designs/mine/a.yaml"]


def test_a_folder_of_the_catalogue_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["designs/fusemax/means.yaml", "designs/fusemax/published.yaml"]
    assert published_files(["designs/fusemax"]) == files


def test_a_folder_without_figures_is_told(tmp_path):
    with pytest.raises(el.SpecError, match="no file in this folder has published figures"):
        el.validate(tmp_path)
