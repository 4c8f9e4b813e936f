"""``einloom explore``, ``plot`` and ``report`` on a tiny study: run, continue, stop, start over, draw."""

import csv
import signal
import subprocess
import sys
import time

import pytest
import yaml

from einloom.cli import main
from einloom.search.study import load_study

SEARCH = """\
version: 1
search:
  design:
    workload:
      name: small
      ranks: {M: 32, N: 32, K: 32}
      bits: {default: 8}
      cascade: ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]
    architecture: {template: systolic, rows: 4, cols: 4, dataflow: weight_stationary, buffer: 16 KiB, bandwidth: 8 GB/s}
  space:
    architecture.rows: {int: [2, 16], step: powers_of_2}
    architecture.cols: [4, 8]
  objectives: {latency_s: min, energy_j: min}
  sampler: {name: grid}
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A search file of eight points; the test stands beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(SEARCH)
    return tmp_path


@pytest.fixture
def explored(run, tiny):
    assert run("explore", "tiny.yaml").status == 0
    return tiny


def test_dry_run_prints_the_sweep_and_runs_nothing(run, tiny):
    ran = run("explore", "tiny.yaml", "--dry-run")
    assert ran.status == 0
    assert "architecture.rows" in ran.out
    assert "8 points" in ran.out
    assert not (tiny / "results").exists()


def test_dry_run_as_json(run, tiny):
    data = run("explore", "tiny.yaml", "--dry-run", "--json").json
    assert data["study"] == "tiny"


def test_explore_evaluates_every_point_and_keeps_results_beside(run, tiny):
    ran = run("explore", "tiny.yaml", "--json")
    assert ran.status == 0
    data = ran.json
    assert (data["study"], data["complete"], len(data["trials"])) == ("tiny", True, 8)
    assert data["counts"] == {"feasible": 8, "infeasible": 0, "failed": 0}
    assert (tiny / "results" / "tiny" / "journal.log").is_file()
    best = min(trial["objectives"]["latency_s"] for trial in data["trials"])
    assert data["front"][0]["objectives"]["latency_s"] == best


def test_a_trial_is_what_map_says(run, explored):
    data = run("explore", "tiny.yaml", "--json").json
    trial = next(t for t in data["trials"] if t["params"] == {"architecture.rows": 8, "architecture.cols": 4})
    design = yaml.safe_load(SEARCH)["search"]["design"]
    (explored / "design.yaml").write_text(yaml.safe_dump({"version": 1, **design}))
    mapped = run("map", "design.yaml", "--set", "architecture.rows=8", "--objective", "edp", "--json").json
    assert trial["metrics"]["energy_pj"] == mapped["energy_pj"]
    assert trial["metrics"]["latency_s"] == mapped["latency_s"]


def test_the_same_command_continues_and_finds_nothing_left(run, explored):
    journal = explored / "results" / "tiny" / "journal.log"
    before = run("explore", "tiny.yaml", "--json").json
    size = journal.stat().st_size
    assert run("explore", "tiny.yaml", "--json").json == before
    assert journal.stat().st_size == size


def test_a_changed_search_is_refused_and_new_starts_over(run, explored):
    (explored / "tiny.yaml").write_text(SEARCH.replace("rows: 4,", "rows: 8,"))
    refused = run("explore", "tiny.yaml")
    assert (refused.status, refused.out) == (1, "")
    assert "--new" in refused.err
    assert run("explore", "tiny.yaml", "--new").status == 0
    assert len(list((explored / "results").iterdir())) == 2  # what was there is kept beside


def test_two_workers_find_what_one_finds(run, explored):
    alone = run("explore", "tiny.yaml", "--json").json
    together = run("explore", "tiny.yaml", "--new", "--workers", "2", "--json").json

    def points(data):
        return sorted((str(trial["params"]), str(trial["objectives"])) for trial in data["trials"])

    assert points(together) == points(alone)


def test_plot_writes_figure_and_data(run, explored):
    for suffix in ("pdf", "svg", "png"):
        ran = run("plot", "tiny", "--x", "latency_us", "--y", "energy_uj", "-o", f"out/front.{suffix}")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.split() == [f"out/front.{suffix}", "out/front.csv"]
        assert (explored / "out" / f"front.{suffix}").stat().st_size > 1000
    with (explored / "out" / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {"latency_us", "energy_uj", "architecture.rows"} <= rows[0].keys()


def test_plot_by_default_draws_the_objectives_of_a_folder(run, explored):
    assert run("plot", "results/tiny").out.split() == ["front.pdf", "front.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--x", "speed"], "speed"),
        (["--y", "energy_kg"], "energy_kg"),
        (["--by", "architecture.rowz"], "'architecture.rowz' is no parameter of this study"),
        (["-o", "front.doc"], "'.doc' is no format for a figure"),
        (["-o", "front"], "has no suffix"),
    ],
)
def test_a_wrong_plot_is_a_message(run, explored, options, message):
    ran = run("plot", "tiny", *options)
    assert (ran.status, ran.out) == (1, "")
    assert message in ran.err


def test_report_of_a_study_and_of_a_design_stand_alone(run, explored):
    for what in ("tiny", "designs/peer16_gemm.yaml"):
        ran = run("report", what, "-o", "page.html")
        assert (ran.status, ran.out) == (0, "page.html\n")
        page = (explored / "page.html").read_text()
        assert page.lower().startswith("<!doctype html>")
        assert "<script src" not in page
        assert "<link" not in page


@pytest.mark.parametrize("verb", ["plot", "report"])
def test_a_study_that_is_not_there_is_a_message(run, tiny, verb):
    ran = run(verb, "nowhere")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("nowhere: ")


def test_a_search_with_problems_names_them_all(run, tiny):
    (tiny / "tiny.yaml").write_text(SEARCH.replace("latency_s: min", "speed: min").replace("name: grid", "name: gird"))
    ran = run("explore", "tiny.yaml")
    assert (ran.status, ran.out) == (1, "")
    assert "speed" in ran.err
    assert "did you mean 'grid'?" in ran.err


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_continues(run, tiny):
    many = "cols: [2, 4, 8, 16]\n    architecture.bandwidth: [1 GB/s, 2 GB/s, 4 GB/s, 8 GB/s, inf]"
    slow = SEARCH.replace("cols: [4, 8]", many).replace("M: 32, N: 32, K: 32", "M: 128, N: 128, K: 128")
    (tiny / "tiny.yaml").write_text(slow)
    journal = tiny / "results" / "tiny" / "journal.log"
    code = "import sys; from einloom.cli import main; sys.exit(main(['explore', 'tiny.yaml']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if journal.is_file() and journal.read_text().count("\n") > 20:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "the same command continues" in err
    assert "Traceback" not in err
    finished = {t.number: t for t in load_study(journal.parent).trials}
    assert 0 < len(finished) < 80
    main(["explore", "tiny.yaml"])
    continued = load_study(journal.parent)
    assert continued.complete
    assert all(continued.trials[number] == trial for number, trial in finished.items())
