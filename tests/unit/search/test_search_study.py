import json
import sys
from dataclasses import replace

import pytest
from analytic import (
    BUFFER,
    CLOCK,
    COLS,
    FLOW,
    ROWS,
    Logged,
    Murderous,
    array,
    broken,
    make_plan,
    objectives,
    two_networks,
)

from einloom.errors import SpecError
from einloom.search.pareto import non_dominated
from einloom.search.space import Finite
from einloom.search.study import dry_run, explore, load_study

SAMPLERS = ("grid", "random", "qmc", "tpe", "nsga2", "nsga3")


def plan_for(sampler, trials=30, **changes):
    dimensions = (ROWS, COLS, FLOW) if sampler == "grid" else (ROWS, COLS, FLOW, CLOCK)
    return make_plan(sampler, trials, **{"dimensions": dimensions, "demands": ("area_mm2 <= 2",), **changes})


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_study_bit_for_bit(sampler, tmp_path):
    first = explore(plan_for(sampler), array, folder=tmp_path / "a", progress=False)
    second = explore(plan_for(sampler), array, folder=tmp_path / "b", progress=False)
    assert json.dumps(first.to_dict()) == json.dumps(second.to_dict())
    assert len(first.trials) == 30


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "nsga2", "nsga3"])
def test_another_seed_gives_another_study(sampler, tmp_path):
    first = explore(plan_for(sampler, seed=1), array, folder=tmp_path / "a", progress=False)
    second = explore(plan_for(sampler, seed=2), array, folder=tmp_path / "b", progress=False)
    assert [trial.params for trial in first.trials] != [trial.params for trial in second.trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_that_stops_after_every_trial_proposes_what_it_would_have(sampler, tmp_path):
    whole = explore(plan_for(sampler, 24), array, folder=tmp_path / "a", progress=False)
    for trials in (1, 5, 11, 12, 20, 24):  # within and at the ends of generations of 8
        parts = explore(plan_for(sampler, trials), array, folder=tmp_path / f"b{trials}", progress=False)
        assert [t.params for t in parts.trials] == [t.params for t in whole.trials[:trials]]
    plan = plan_for(sampler, 24).with_files({"search.yaml": "text"})
    for trials in (1, 5, 11, 12, 20, 24):
        parts = explore(replace(plan, trials=trials), array, folder=tmp_path / "c", progress=False)
        assert parts.trials == whole.trials[:trials]


def test_a_grid_visits_every_point_once_and_ends(tmp_path):
    plan = make_plan("grid", None, dimensions=(ROWS, FLOW, BUFFER, Finite("architecture.cols", (8,))))
    log = tmp_path / "log"
    result = explore(plan, Logged(log), folder=tmp_path / "s", progress=False)
    assert [trial.params for trial in result.trials] == list(plan.space.grid())
    assert len(log.read_text().splitlines()) == plan.space.size == 45
    assert explore(plan, Logged(log), folder=tmp_path / "s", progress=False) == result
    assert len(log.read_text().splitlines()) == 45


def test_a_point_is_evaluated_once_however_often_it_is_proposed(tmp_path):
    plan = make_plan("random", 40, dimensions=(ROWS, FLOW, Finite("architecture.cols", (64,))))
    log = tmp_path / "log"
    result = explore(plan, Logged(log), folder=tmp_path / "s", progress=False)
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) <= 15
    assert len(result.trials) == 40
    repeated = [trial for trial in result.trials if trial.same_as is not None]
    assert len(repeated) == 40 - len(lines)
    for trial in repeated:
        first = result.trials[trial.same_as]
        assert (trial.state, trial.metrics, trial.reason) == (first.state, first.metrics, first.reason)
    assert any(trial.state == "failed" for trial in repeated)
    assert len({trial.number for trial in result.front}) == len({str(trial.params) for trial in result.front})


def test_a_design_that_is_not_possible_is_a_trial_with_its_reason(tmp_path):
    result = explore(make_plan("grid", None), array, folder=tmp_path / "s", progress=False)
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert [trial.reason for trial in failed] == ["64 x 64 PEs do not fit the die"] * 3
    assert result.counts() == {"feasible": 237, "infeasible": 0, "failed": 3}


def test_a_design_that_breaks_constraints_is_kept_with_the_reasons_and_not_in_the_front(tmp_path):
    plan = make_plan("grid", None, demands=("area_mm2 <= 2", "energy_uj < 3"))
    result = explore(plan, array, folder=tmp_path / "s", progress=False)
    infeasible = [trial for trial in result.trials if trial.state == "infeasible"]
    assert infeasible
    for trial in infeasible:
        assert trial.metrics["area_um2"] > 2e6 or trial.metrics["energy_pj"] >= 3e6
        assert "not <= 2" in trial.reason or "not < 3" in trial.reason
    assert all(
        trial.metrics["area_um2"] <= 2e6 and trial.metrics["energy_pj"] < 3e6 for trial in result.front
    )
    free = explore(make_plan("grid", None), array, folder=tmp_path / "free", progress=False)
    assert {trial.number for trial in result.front} != {trial.number for trial in free.front}


def test_a_design_without_an_objective_fails_and_names_what_it_gives(tmp_path):
    plan = make_plan("grid", 1, objectives=objectives(latency_s="min", dsp="min"))
    trial = explore(plan, array, folder=tmp_path / "s", progress=False).trials[0]
    assert trial.state == "failed"
    assert trial.reason.startswith("dsp is not known; the design gives cycles, latency_s, energy_pj")


def test_the_front_is_what_no_other_feasible_design_beats(tmp_path):
    result = explore(make_plan("grid", None), array, folder=tmp_path / "s", progress=False)
    points = [[trial.metrics["latency_s"], trial.metrics["energy_pj"]] for trial in result.feasible]
    expected = {t.number for t, keep in zip(result.feasible, non_dominated(points), strict=True) if keep}
    assert {trial.number for trial in result.front} == expected
    latencies = [trial.objectives["latency_s"] for trial in result.front]
    assert latencies == sorted(latencies)


def test_an_objective_may_be_made_large(tmp_path):
    plan = make_plan("grid", None, objectives=objectives(utilization="max"))
    result = explore(plan, array, folder=tmp_path / "s", progress=False)
    best = max(trial.metrics["utilization"] for trial in result.feasible)
    assert {trial.objectives["utilization"] for trial in result.front} == {best}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_model_based_sampler_finds_better_designs_than_chance(sampler, tmp_path):
    def best(name):
        plan = make_plan(
            name, 60, dimensions=(ROWS, COLS, FLOW, BUFFER, CLOCK), objectives=objectives(edp_js="min")
        )
        return explore(plan, array, folder=tmp_path / name, progress=False).front[0].objectives["edp_js"]

    assert best(sampler) < best("random")


@pytest.mark.parametrize(
    ("aggregate", "names"),
    [(None, ["small.latency_s", "large.latency_s", "area_mm2"]), ("geomean", ["latency_s", "area_mm2"])],
)
def test_several_networks_have_an_objective_each_or_one_for_all(aggregate, names, tmp_path):
    plan = make_plan(
        "nsga2", 20, objectives=objectives(latency_s="min", area_mm2="min"), networks=("small", "large"),
        aggregate=aggregate,
    )  # fmt: skip
    result = explore(plan, two_networks, folder=tmp_path / "s", progress=False)
    assert list(result.feasible[0].objectives) == names
    assert load_study(tmp_path / "s") == result


def test_two_workers_finish_exactly_the_budget(tmp_path):
    log = tmp_path / "log"
    plan = plan_for("nsga2", 25)
    result = explore(plan, Logged(log, 0.005), folder=tmp_path / "s", workers=2, progress=False)
    assert len(result.trials) == 25
    assert [trial.number for trial in result.trials] == list(range(25))
    lines = log.read_text().splitlines()
    assert len(lines) == len({line.split(maxsplit=1)[1] for line in lines})
    assert len({line.split()[0] for line in lines}) == 2
    assert load_study(tmp_path / "s") == result


@pytest.mark.parametrize("sampler", ["grid", "random", "qmc"])
def test_workers_do_not_change_what_a_sampler_without_a_model_finds(sampler, tmp_path):
    alone = explore(plan_for(sampler, 15), array, folder=tmp_path / "a", progress=False)
    shared = explore(plan_for(sampler, 15), array, folder=tmp_path / "b", workers=2, progress=False)
    assert [(t.params, t.metrics) for t in shared.trials] == [(t.params, t.metrics) for t in alone.trials]


def test_a_point_whose_worker_is_killed_is_evaluated_once_more(tmp_path):
    plan = make_plan("grid", None, dimensions=(FLOW, Finite("architecture.rows", (8,)), COLS))
    build = Murderous(tmp_path / "mark", once=True)
    result = explore(plan, build, folder=tmp_path / "s", workers=2, progress=False)
    assert result.counts() == {"feasible": 48, "infeasible": 0, "failed": 0}


def test_a_point_that_ends_two_workers_has_failed_and_the_study_goes_on(tmp_path):
    plan = make_plan("grid", None, dimensions=(FLOW, ROWS, Finite("architecture.cols", (8,))))
    build = Murderous(tmp_path / "mark", once=False)
    result = explore(plan, build, folder=tmp_path / "s", workers=2, progress=False)
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert len(result.trials) == 15
    assert {trial.params["architecture.dataflow"] for trial in failed} == {"input_stationary"}
    assert failed[0].reason == "evaluating this design ended two workers, the last by SIGKILL"


def test_a_mistake_of_ours_is_not_taken_for_a_bad_design(tmp_path):
    with pytest.raises(ZeroDivisionError):
        explore(make_plan(), broken, folder=tmp_path / "s", progress=False)


def test_a_mistake_of_ours_in_a_worker_ends_the_study(tmp_path, capfd):
    with pytest.raises(RuntimeError, match="a worker stopped with exit code 1"):
        explore(make_plan(), broken, folder=tmp_path / "s", workers=2, progress=False)
    assert "a mistake of ours" in capfd.readouterr().err


def test_a_changed_file_is_refused_by_name_and_new_starts_over(tmp_path):
    plan = make_plan().with_files({"search/arrays.yaml": "trials: 20", "designs/array.yaml": "a"})
    changed = make_plan().with_files({"search/arrays.yaml": "trials: 30", "designs/array.yaml": "a"})
    folder = tmp_path / "results" / "arrays"
    before = explore(plan, array, folder=folder, progress=False)
    with pytest.raises(SpecError, match=r"search/arrays\.yaml changed since this study began") as caught:
        explore(changed, array, folder=folder, progress=False)
    assert "--new" in caught.value.problems[0].hint
    explore(changed, array, folder=folder, new=True, progress=False)
    assert load_study(folder).plan == changed
    assert load_study(tmp_path / "results" / "arrays.1") == before


def test_new_on_an_empty_place_just_begins(tmp_path):
    explore(make_plan(), array, folder=tmp_path / "s", new=True, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_study_of_another_version_is_refused(tmp_path):
    explore(make_plan(), array, folder=tmp_path / "s", progress=False)
    spec = tmp_path / "s" / "study.json"
    spec.write_text(spec.read_text().replace('"einloom": "', '"einloom": "9.'))
    with pytest.raises(SpecError, match=r"einloom changed from 9\."):
        explore(make_plan(), array, folder=tmp_path / "s", progress=False)


def test_a_study_says_what_it_was_asked_and_by_which_version(tmp_path):
    plan = make_plan(seed=7)
    explore(plan, array, folder=tmp_path / "s", progress=False)
    spec = json.loads((tmp_path / "s" / "study.json").read_text())
    assert (spec["hash"], spec["seed"], spec["plan"]) == (
        plan.digest,
        7,
        json.loads(json.dumps(plan.to_dict())),
    )
    assert spec["einloom"]


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(tmp_path):
    whole = explore(make_plan("nsga2", 12), array, folder=tmp_path / "a", progress=False)
    plan = make_plan("nsga2", 12).with_files({"search.yaml": ""})
    explore(replace(plan, trials=6), array, folder=tmp_path / "s", progress=False)
    journal = tmp_path / "s" / "journal.log"
    journal.write_bytes(journal.read_bytes()[:-9])  # the state of the last trial, cut short
    assert len(load_study(tmp_path / "s").trials) == 5
    result = explore(plan, array, folder=tmp_path / "s", progress=False)
    assert result.trials == whole.trials


def test_a_journal_cut_anywhere_ends_in_the_same_study(tmp_path):
    plan = make_plan("nsga2", 12, demands=("area_mm2 <= 1",), population=4).with_files({"search.yaml": ""})
    whole = explore(plan, array, folder=tmp_path / "a", progress=False)
    journal = (tmp_path / "a" / "journal.log").read_bytes()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.json").write_bytes((tmp_path / "a" / "study.json").read_bytes())
    for end in range(0, len(journal), max(1, len(journal) // 40)):
        (tmp_path / "s" / "journal.log").write_bytes(journal[:end])
        assert explore(plan, array, folder=tmp_path / "s", progress=False).trials == whole.trials


@pytest.mark.skipif(sys.platform == "win32", reason="locks need fcntl")
def test_a_second_process_on_the_same_study_is_refused(tmp_path):
    class Again:
        def __call__(self, point):
            with pytest.raises(SpecError, match="another process is exploring this study"):
                explore(make_plan(), array, folder=tmp_path / "s", progress=False)
            return array(point)

    explore(make_plan(trials=1), Again(), folder=tmp_path / "s", progress=False)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "there is no study in this folder"),
        (lambda folder: (folder / "journal.log").touch(), "cannot be read as a study"),
    ],
)
def test_a_folder_without_a_study_is_named(prepare, message, tmp_path):
    prepare(tmp_path)
    with pytest.raises(SpecError, match=message) as caught:
        load_study(tmp_path)
    assert caught.value.problems[0].file.startswith(str(tmp_path))


def test_a_grid_over_real_numbers_is_refused(tmp_path):
    plan = make_plan("grid", 10, dimensions=(ROWS, CLOCK))
    with pytest.raises(SpecError, match="a grid needs a finite space"):
        explore(plan, array, folder=tmp_path / "s", progress=False)


def test_a_gaussian_process_without_torch_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("einloom.search.samplers.find_spec", lambda name: None)
    with pytest.raises(SpecError, match="the sampler 'gp' needs the package torch"):
        explore(make_plan("gp"), array, folder=tmp_path / "s", progress=False)


def test_any_metric_of_a_trial_is_given_in_any_unit(tmp_path):
    result = explore(make_plan("grid", 3), array, folder=tmp_path / "s", progress=False)
    trial = result.trials[0]
    assert result.value(trial, "area_mm2") == trial.metrics["area_um2"] / 1e6
    assert result.value(trial, "edp_js") == pytest.approx(
        trial.metrics["energy_pj"] / 1e12 * trial.metrics["latency_s"]
    )


def test_a_result_is_a_table_for_notebooks(tmp_path):
    pandas = pytest.importorskip("pandas")
    result = explore(make_plan("grid", None), array, folder=tmp_path / "s", progress=False)
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 240
    assert frame["front"].sum() == len(result.front)
    assert result._repr_html_().count("<tr>") == len(result.front) + 1


def test_a_dry_run_evaluates_one_point_and_writes_nothing(tmp_path):
    log = tmp_path / "log"
    plan = make_plan("random", 100, dimensions=(ROWS, COLS, FLOW, CLOCK))
    dry = dry_run(plan, Logged(log, 0.02), workers=2)
    assert len(log.read_text().splitlines()) == 1
    assert dry.seconds_per_trial >= 0.02
    assert dry.seconds == 50 * dry.seconds_per_trial
    assert dry.to_dict()["size"] is None
    assert dry.to_dict()["sweep"]["architecture.rows"] == "4, 8, 16, 32, 64"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_study_needs_a_worker_and_a_plan_that_is_resolved(tmp_path):
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        explore(make_plan(), array, folder=tmp_path / "s", workers=0, progress=False)
    unresolved = make_plan(
        dimensions=(Finite("mapping.parameters.P1", (1,), "open", source="divisors of P"),)
    )
    with pytest.raises(
        ValueError, match=r"load the plan with ranks: mapping\.parameters\.P1 takes divisors of P"
    ):
        explore(unresolved, array, folder=tmp_path / "s", progress=False)
    assert not (tmp_path / "s").exists()


def test_a_design_that_never_ends_fails_and_can_be_written_as_json(tmp_path):
    def endless(point):
        return {**array(point), "latency_s": float("inf")}

    result = explore(make_plan("grid", 2), endless, folder=tmp_path / "s", progress=False)
    assert result.trials[0].reason.startswith("latency_s is infinite")
    assert (
        json.loads(json.dumps(result.to_dict(), allow_nan=False))["trials"][0]["metrics"]["latency_s"] is None
    )
    assert load_study(tmp_path / "s") == result
