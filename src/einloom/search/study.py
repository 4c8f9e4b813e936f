"""Explore a design space: one Optuna trial is one design point, stored the moment it is known.

The loop asks Optuna for a point, has it evaluated (here, or by worker processes), and tells the outcome; a
point that was evaluated before gets its stored outcome. Nothing that a design does ends a study: what cannot
be built or breaks a constraint is a trial with a reason. Trials that ran when a study was killed are still
marked as running in the journal; the next run of the same command evaluates these very trials before it asks
for new ones.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from einloom.errors import Problem, SpecError
from einloom.search import store
from einloom.search.plan import Plan
from einloom.search.progress import Progress, Silent, on_stderr, watched
from einloom.search.result import StudyResult, Trial
from einloom.search.samplers import make_sampler, note_violations, resume, suggest, to_point
from einloom.search.space import Finite, key
from einloom.search.workers import Build, Evaluator, InProcess, Outcome, Processes, evaluate

METRICS, REASON, SAME_AS = "metrics", "reason", "same_as"
"""User attributes of an Optuna trial."""


def explore(
    plan: Plan,
    build: Build,
    *,
    folder: Path,
    workers: int = 1,
    new: bool = False,
    progress: Progress | bool = True,
) -> StudyResult:
    """Run or continue a study until its budget is used up.

    Args:
        plan: What to search; see ``einloom.spec.search``.
        build: Overrides to base metrics (`einloom.search.metrics.BASE`; with several networks, each key is
            ``<network>.<metric>``). Raises `EinloomError` where the design is not possible. Picklable if
            ``workers`` is more than 1.
        folder: Of the study, e.g. ``Path("results") / plan.name``.
        workers: Processes that evaluate. With one, equal plans give equal results, bit for bit, interrupted
            or not.
        new: Start over. What was there is kept beside the folder.
        progress: Shown on stderr; False for none, or an object that is told.

    Raises:
        SpecError: The stored study was begun with other files, another process runs it, or the sampler
            cannot run.
        ValueError: No worker, or a plan that was loaded without the ranks that it asks for.
        KeyboardInterrupt: Stopped; finished trials are kept, the same call continues.
    """
    if workers < 1:
        raise ValueError(f"a study needs at least 1 worker, got {workers}")
    for dimension in plan.space.dimensions:
        if isinstance(dimension, Finite) and dimension.kind == "open":
            raise ValueError(f"load the plan with ranks: {dimension.path} takes {dimension.source}")
    shown: Progress = (on_stderr() if progress else Silent()) if isinstance(progress, bool) else progress
    with _quiet(), store.opened(folder, plan, new=new) as journal:
        run = _Run(plan, _open_study(plan, journal, write=True))
        evaluator: Evaluator = InProcess(build) if workers == 1 else Processes(build, workers)
        with watched(shown, plan, run.result().trials), evaluator:
            run.finish(evaluator, shown)
        return run.result()


def load_study(folder: Path) -> StudyResult:
    """A stored study, also while another process writes it.

    Raises:
        SpecError: No study there, or one that cannot be read.
    """
    plan = store.read_plan(folder)
    with _quiet():
        return _Run(plan, _open_study(plan, folder / store.JOURNAL, write=False)).result()


class _Run:
    """One process's work on a study."""

    def __init__(self, plan: Plan, study: optuna.Study) -> None:
        self._plan, self._study = plan, study
        self._trials: dict[int, Trial] = {}
        self._first: dict[str, Trial] = {}  # first finished trial at each point
        self._running: dict[str, list[_Asked]] = {}  # trials at each point that is under evaluation
        self._stale: list[optuna.trial.FrozenTrial] = []  # trials that an earlier process left unfinished
        for frozen in study.get_trials(deepcopy=False):
            if frozen.state.is_finished():
                self._keep(_read(plan, frozen))
            else:
                self._stale.append(frozen)

    def result(self) -> StudyResult:
        return StudyResult(self._plan, tuple(self._trials[number] for number in sorted(self._trials)))

    def finish(self, evaluator: Evaluator, progress: Progress) -> None:
        """Ask, evaluate and tell until the budget is used up."""
        while len(self._trials) < self._plan.total:
            while evaluator.free > 0 and self._may_ask(2 * evaluator.size):
                self._ask(evaluator, progress)
            for number, outcome in evaluator.results():
                self._tell(number, outcome, progress)

    def _may_ask(self, at_once: int) -> bool:
        in_flight = sum(map(len, self._running.values()))
        return in_flight < min(at_once, self._plan.total - len(self._trials))

    def _ask(self, evaluator: Evaluator, progress: Progress) -> None:
        """Start the next trial.

        One at a known point ends at once, one at a point under evaluation waits for it.
        """
        asked = self._next()
        same = key(asked.point)
        if same in self._first:
            first = self._first[same]
            outcome = Outcome(first.metrics, first.reason if first.state == "failed" else "")
            self._conclude(asked, outcome, first.number, progress)
        elif same in self._running:
            self._running[same].append(asked)
        else:
            self._running[same] = [asked]
            evaluator.submit(asked.trial.number, asked.point)

    def _next(self) -> _Asked:
        trial = resume(self._study, self._stale.pop(0)) if self._stale else self._study.ask()
        return _Asked(trial, suggest(trial, self._plan.space))

    def _tell(self, number: int, outcome: Outcome, progress: Progress) -> None:
        same = next(same for same, waiting in self._running.items() if waiting[0].trial.number == number)
        first, *others = self._running.pop(same)
        self._conclude(first, outcome, None, progress)
        for asked in others:
            self._conclude(asked, outcome, number, progress)

    def _conclude(self, asked: _Asked, outcome: Outcome, same_as: int | None, progress: Progress) -> None:
        """Store a trial; it counts from the last line on."""
        plan, trial = self._plan, judge(self._plan, asked.trial.number, asked.point, outcome, same_as)
        notes = {METRICS: dict(outcome.metrics), REASON: trial.reason, SAME_AS: same_as}
        for name, value in notes.items():
            if value not in (None, "", {}):
                asked.trial.set_user_attr(name, value)
        if trial.state == "failed":
            self._study.tell(asked.trial, state=TrialState.FAIL)
        else:
            if plan.constraints:
                misses = [c.violation(outcome.metrics, plan.aggregate) for c in plan.constraints]
                note_violations(asked.trial, misses)
            self._study.tell(asked.trial, list(trial.objectives.values()))
        self._keep(trial)
        progress.note(trial)

    def _keep(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        self._first.setdefault(key(trial.params), trial)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An Optuna trial whose point is known and whose values are not."""

    trial: optuna.Trial
    point: Mapping[str, object]


def judge(
    plan: Plan, number: int, point: Mapping[str, object], outcome: Outcome, same_as: int | None
) -> Trial:
    """What an outcome means for a plan: feasible, infeasible by a constraint, or failed."""
    trial = Trial(number=number, params=point, state="failed", metrics=outcome.metrics, same_as=same_as)
    if outcome.reason:
        return replace(trial, reason=outcome.reason)
    values = {target.name: target.of(outcome.metrics, plan.aggregate) for target in plan.targets}
    wrong = [f"{name} is {_wrong(value)}" for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        return replace(
            trial, reason=f"{'; '.join(wrong)}; the design gives {', '.join(outcome.metrics) or 'nothing'}"
        )
    broken = [constraint.reason(outcome.metrics, plan.aggregate) for constraint in plan.constraints]
    reason = "; ".join(filter(None, broken))
    return replace(trial, state="infeasible" if reason else "feasible", objectives=values, reason=reason)


def _wrong(value: float) -> str:
    return "not known" if math.isnan(value) else "infinite"


def _read(plan: Plan, frozen: optuna.trial.FrozenTrial) -> Trial:
    """A finished Optuna trial as ours."""
    notes = frozen.user_attrs
    failed = frozen.state.name != "COMPLETE"
    outcome = Outcome(notes.get(METRICS, {}), notes.get(REASON, "") if failed else "")
    return judge(plan, frozen.number, to_point(plan.space, frozen.params), outcome, notes.get(SAME_AS))


class _SoleWriter:
    """The journal's lock for a process that is known to be its only writer (see `store.opened`)."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _open_study(plan: Plan, journal: Path, *, write: bool) -> optuna.Study:
    """The Optuna study in a journal; made if it is to be written and is not there."""
    storage = optuna.storages.JournalStorage(
        JournalFileBackend(str(journal), lock_obj=cast(Any, _SoleWriter()))
    )
    names = optuna.get_all_study_names(storage)
    if write and plan.name not in names:
        kinds = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
        directions = [kinds[target.direction] for target in plan.targets]
        optuna.create_study(storage=storage, study_name=plan.name, directions=directions)
    elif plan.name not in names:
        raise SpecError(Problem("this study has not begun", "`einloom explore` begins it", file=str(journal)))
    sampler = make_sampler(plan) if write else optuna.samplers.RandomSampler()
    return optuna.load_study(study_name=plan.name, storage=storage, sampler=sampler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna speaks of errors only; what it calls experimental we test."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a study would do.

    Attributes:
        plan: What is asked.
        trials: To be finished.
        seconds_per_trial: Measured on ``sample``.
        workers: Processes that share the work.
        sample: One evaluated point, as trial number 0.
    """

    plan: Plan
    trials: int
    seconds_per_trial: float
    workers: int
    sample: Trial

    @property
    def seconds(self) -> float:
        """Estimated time of the whole study; the first evaluation fills caches, so rather too long."""
        return self.seconds_per_trial * math.ceil(self.trials / self.workers)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "version": 1,
            "study": self.plan.name,
            "plan": self.plan.to_dict(),
            "sweep": {dimension.path: dimension.describe() for dimension in self.plan.space.dimensions},
            "size": self.plan.space.size,
            "trials": self.trials,
            "workers": self.workers,
            "seconds_per_trial": self.seconds_per_trial,
            "seconds": self.seconds,
            "sample": self.sample.to_dict(),
        }


def dry_run(plan: Plan, build: Build, *, workers: int = 1) -> DryRun:
    """The resolved sweep, its size, and an estimate of its time from evaluating its middle point."""
    point = plan.space.counting(plan.space.at([0.5] * len(plan.space.dimensions)))
    start = time.perf_counter()
    outcome = evaluate(build, point)
    seconds = time.perf_counter() - start
    sample = judge(plan, 0, point, outcome, None)
    return DryRun(plan=plan, trials=plan.total, seconds_per_trial=seconds, workers=workers, sample=sample)
