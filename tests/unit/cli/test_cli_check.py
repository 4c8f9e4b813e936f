"""``einloom check`` and ``einloom list``: all problems of all files; everything that einloom knows by name."""

import pytest

from einloom.catalogue import FOLDERS, entries
from einloom.listing import listing

CATALOGUE = [name for folder in FOLDERS for name in entries(folder)]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_file_of_the_catalogue_is_without_problems(run, name):
    ran = run("check", name)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"{name}: ")
    assert ran.out.endswith(", no problems\n")


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_file_of_the_catalogue_begins_with_what_it_models(name):
    from einloom.catalogue import find

    assert find(name).read_text(encoding="utf-8").startswith("# ")


def test_all_problems_of_all_files_come_in_file_order(run, tmp_path):
    first, good, last = (tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml"))
    first.write_text("version: 1\nworkload:\n  ranks: {M: 0}\n  cascade: ['Z[m] = A[m] +']\n")
    good.write_text("version: 1\nworkload: {ranks: {M: 4}, cascade: ['Z[m] = A[m] + B[m]']}\n")
    last.write_text("version: 1\nmapping:\n  Z: [DRAM hold A, for M in 3, MAC]\n")
    ran = run("check", first, good, last)
    assert ran.status == 1
    assert ran.out == f"{good}: workload, no problems\n"
    heads = [line for line in ran.err.splitlines() if line.startswith(str(tmp_path))]
    assert [head.split(":")[0] for head in heads] == [str(first)] * 2 + [str(last)] * 2
    assert [head.split(":")[1] for head in heads] == ["3", "4", "3", "3"]


def test_a_problem_has_file_line_column_field_source_and_hint(run, tmp_path):
    file = tmp_path / "edge.yaml"
    file.write_text(
        "version: 1\narchitecture:\n  clock: 1 GHz\n  levels:\n"
        "    - {memory: DRAM, word: 8 b, read_energy: 1 pJ, write_energy: 1 pJ, bandwidth: 108}\n"
        "    - {compute: MAC, energy: {mul: 1 pJ, add: 1 pJ}}\n"
    )
    ran = run("check", file)
    lines = ran.err.splitlines()
    assert lines[0] == f"{file}:5:83: architecture.levels[0].bandwidth: '108' is not a bandwidth"
    assert lines[1].startswith("   5 |     - {memory: DRAM")
    assert lines[2].index("^") == lines[1].index("108")
    assert lines[3].startswith("  write a number and one of: ")


def test_a_design_is_evaluated_with_its_mapping(run, tmp_path):
    file = tmp_path / "design.yaml"
    file.write_text(
        "version: 1\nworkload: workloads/gemm.yaml\narchitecture: arch/peer16.yaml\n"
        "mapping:\n  Z: ['DRAM holds A, B', for m in 1024, for n in 1024, for k in 1024, MAC]\n"
    )
    ran = run("check", file)
    assert ran.status == 1
    assert "Z" in ran.err


@pytest.mark.parametrize(
    "text", ["", "   \n", "# nothing\n", "42\n", "- 1\n", "version: 1\n", "\x00", "version: 2\nmapping: {}\n"]
)
def test_a_file_that_is_none_of_ours_is_a_message(run, tmp_path, text):
    file = tmp_path / "other.yaml"
    file.write_text(text)
    ran = run("check", file)
    assert (ran.status, ran.out) == (1, "")
    assert str(file) in ran.err


def test_a_folder_is_a_message(run, tmp_path):
    assert run("check", tmp_path).status == 1


WHAT = ("templates", "architectures", "workloads", "designs", "components", "operators")


@pytest.mark.parametrize("what", WHAT)
def test_list_shows_every_name_once_with_what_it_is(run, what):
    rows = listing(what)
    ran = run("list", what)
    assert (ran.status, ran.err) == (0, "")
    assert [line.split()[0] for line in ran.out.splitlines()] == [name for name, _, _ in rows]
    assert len({name for name, _, _ in rows}) == len(rows) > 0
    assert all(text for _, text, _ in rows)


@pytest.mark.parametrize("what", WHAT)
def test_list_as_json(run, what):
    data = run("list", what, "--json").json
    assert data["version"] == 1
    assert [entry.keys() for entry in data[what]] == [{"name", "what", "from"}] * len(listing(what))


def test_list_names_the_distribution_of_a_template(run):
    templates = {entry["name"]: entry["from"] for entry in run("list", "templates", "--json").json["templates"]}
    assert templates.keys() >= {"spatial", "systolic"}
    assert all(templates[name].startswith("einloom ") for name in ("spatial", "systolic"))


def test_a_listed_design_can_be_mapped_by_the_name_that_is_listed(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run("map", "designs/peer16_gemm.yaml").status == 0


def test_a_summary_does_not_end_at_an_initial():
    summaries = {name: text for name, text, _ in listing("architectures")}
    assert "N. Jouppi" in summaries["arch/tpu_like.yaml"]
    assert summaries["arch/tpu_like.yaml"].endswith("weights straight from DRAM")
