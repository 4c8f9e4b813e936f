"""``einloom validate``: every published figure of some designs beside what the model says.

The facade of `einloom.validation`: finds the files, runs each case once, and gives every problem its line.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from einloom.api import Design
from einloom.errors import EinloomError, Problem, SpecError
from einloom.mapper import has_auto
from einloom.spec.design import load_design
from einloom.spec.document import Document
from einloom.spec.published import LoadedPublished, load_published
from einloom.validation import Case, Comparison, Validation, compare
from einloom.validation.expression import Result
from einloom.validation.files import published_files

Progress = Callable[[str, int, int], None]
WORTH_IT = 12
"""Cases for which it is quicker to start processes than to run them here."""


def validate(
    designs: Iterable[str | Path] | str | Path = (), *, workers: int = 1, progress: Progress | None = None
) -> Validation:
    """Published figures against the model.

    Args:
        designs: Files with ``published:`` and folders; nothing: every one of the catalogue, and those in ``designs``
            of the folder where you stand.
        workers: Processes that run cases; the result is the same.
        progress: Told (file and case, number of cases done, number in all).

    Returns:
        A comparison for each figure. What kept a figure from being compared, and each tolerance that is broken, are in
        its ``problems``: a file that does not load leaves the others standing.

    Raises:
        SpecError: A folder that holds no figures.
    """
    wanted = [designs] if isinstance(designs, str | Path) else list(designs)
    known: dict[str, Document] = {}
    problems: list[Problem] = []
    files: dict[str, LoadedPublished] = {}
    for name in published_files(wanted):
        try:
            loaded = _loaded(name, known, named=bool(wanted))
        except SpecError as error:
            problems += error.problems
        else:
            files |= {name: loaded} if loaded is not None else {}
    tasks = {_task(of, case): f"{name}: {case.name}" for name, of in files.items() for case in of.published.needed()}
    outcomes: dict[_Task, _Outcome] = {}
    for task, outcome in _ran(list(tasks), workers, known):
        outcomes[task] = outcome
        if progress:
            progress(tasks[task], len(outcomes), len(tasks))
    rows: list[Comparison] = []
    for name, of in files.items():
        found, wrong = compare(of.published, name, partial(_result, of, outcomes))
        rows += found
        problems += map(of.located, wrong)
    return Validation(tuple(rows), tuple(dict.fromkeys(problems)))


def _loaded(name: str, known: dict[str, Document], *, named: bool) -> LoadedPublished | None:
    """The figures of a file; None where it is for a design to name, and was not asked for by its name."""
    loaded = load_published(name, known)
    if loaded is None:
        raise SpecError(Problem("has no published figures", "add `published:`, or leave the file out", file=name))
    if loaded.of_another and named:
        hint = "validate the design that names this file, or add `design:` below `published:`"
        raise SpecError(Problem("names no design to run", hint, file=name))
    return None if loaded.of_another else loaded


@dataclass(frozen=True)
class _Task:
    """What a case runs; cases that run the same are one task.

    Attributes:
        key: The settings as text, which tells tasks apart.
    """

    file: str
    key: str
    run: str | None
    objective: str
    fusion: bool
    settings: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True)
class _Outcome:
    """The result of a task; or why there is none, and whether the design loaded."""

    result: Result | None = None
    error: EinloomError | None = None
    loaded: bool = True


def _task(of: LoadedPublished, case: Case) -> _Task:
    return _Task(of.design_of(case), repr(case.settings), case.run, case.objective, case.fusion, case.settings)


def _result(of: LoadedPublished, outcomes: Mapping[_Task, _Outcome], case: Case) -> Result:
    """The result of a case. Raises `EinloomError`, what is wrong with a setting where it is written."""
    outcome = outcomes[_task(of, case)]
    if outcome.error is not None:
        raise outcome.error if outcome.loaded else SpecError(of.of_settings(case, outcome.error))
    assert outcome.result is not None
    return outcome.result


def _ran(tasks: Sequence[_Task], workers: int, known: dict[str, Document]) -> Iterator[tuple[_Task, _Outcome]]:
    """Tasks with their outcomes, as they end."""
    if workers == 1 or len(tasks) < WORTH_IT:
        yield from ((task, _outcome(task, known)) for task in tasks)
        return
    fresh = multiprocessing.get_context("spawn")  # a copy of this process would carry its threads' locks
    pool = ProcessPoolExecutor(min(workers, len(tasks)), fresh, _left_alone)
    try:
        with _uninterrupted():
            running = {pool.submit(_outcome_there, task): task for task in tasks}
        yield from ((running[future], future.result()) for future in as_completed(running))
    except BrokenProcessPool:
        message = "a process that ran cases has died"
        raise EinloomError(message, "is there memory for several? --workers 1 runs them here") from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that start meanwhile do not hear Ctrl-C, not even before `_left_alone`: it is passed on."""
    if current_thread() is not main_thread():
        yield  # which has no say in signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _left_alone() -> None:
    """Ctrl-C is for the process that has the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome_there(task: _Task) -> _Outcome:
    return _outcome(task, _documents())


@cache
def _documents() -> dict[str, Document]:
    """Files that this worker has read."""
    return {}


def _outcome(task: _Task, known: dict[str, Document]) -> _Outcome:
    try:
        design = Design(load_design(task.file, task.settings, known=known))
    except EinloomError as error:
        return _Outcome(error=error, loaded=False)
    try:
        run = task.run or ("evaluate" if is_mapped(design) else "map")
        found = design.evaluate() if run == "evaluate" else design.map(task.objective, fusion=task.fusion)
    except EinloomError as error:
        return _Outcome(error=error)
    return _Outcome(found.to_dict())


def is_mapped(design: Design) -> bool:
    """Whether a design gives a whole mapping: nothing is left to the mapper."""
    if design.architecture.engine is not None:
        return not design.has_open_choices
    plan = design.loaded.mapping
    if plan is None or design.has_open_tree:
        return False
    names = [cascade.name for cascade in design.workload.cascades]
    in_tree = set(names) & plan.nests.keys() if len(names) > 1 else set(names) if plan.tree else set()
    alone = [key for key, cascade, _ in design.einsums() if cascade.name not in in_tree]
    return all(key in plan.nests and not has_auto(plan.nests[key].nodes) for key in alone)
