"""``einloom validate``: every published figure of some designs beside what the model says.

The facade of `einloom.validation`: finds the files, runs each case once, and gives every problem its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
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


def validate(designs: Iterable[str | Path] | str | Path = (), *, progress: Progress | None = None) -> Validation:
    """Published figures against the model.

    Args:
        designs: Files with ``published:`` and folders; nothing: every one of the catalogue, and those in ``designs``
            of the folder where you stand.
        progress: Told (file and case, number of files done, number in all).

    Returns:
        A comparison for each figure. What kept a figure from being compared, and each tolerance that is broken, are in
        its ``problems``: a file that does not load leaves the others standing.

    Raises:
        SpecError: A folder that holds no figures.
    """
    wanted = [designs] if isinstance(designs, str | Path) else list(designs)
    names = published_files(wanted)
    runner = _Runner()
    rows: list[Comparison] = []
    problems: list[Problem] = []
    for done, name in enumerate(names):
        try:
            loaded = load_published(name, runner.known)
        except SpecError as error:
            problems += error.problems
            continue
        if loaded is None:
            hint = "add `published:`, or leave the file out"
            problems.append(Problem("has no published figures", hint, file=str(name)))
            continue
        if loaded.of_another:
            if wanted:  # else shown where a design names it
                hint = "validate the design that names this file, or add `design:` below `published:`"
                problems.append(Problem("names no design to run", hint, file=str(name)))
            continue
        told = _told(progress, name, done, len(names))
        found, wrong = compare(loaded.published, name, partial(runner.run, loaded), told)
        rows += found
        problems += map(loaded.located, wrong)
    return Validation(tuple(rows), tuple(dict.fromkeys(problems)))


def _told(progress: Progress | None, name: str, done: int, total: int) -> Callable[[str], None] | None:
    return None if progress is None else lambda case: progress(f"{name}: {case}", done, total)


class _Runner:
    """Runs cases; files are read once, and what two files ask for runs once."""

    def __init__(self) -> None:
        self.known: dict[str, Document] = {}
        self._results: dict[tuple[Any, ...], Result] = {}

    def run(self, loaded: LoadedPublished, case: Case) -> Result:
        """The result of a case. Raises `EinloomError`, what is wrong with a setting where it is written."""
        file = loaded.design_of(case)
        key = (file, case.run, case.objective, case.fusion, repr(case.settings))
        if key not in self._results:
            try:
                design = Design(load_design(file, case.settings, known=self.known))
            except EinloomError as error:
                raise SpecError(loaded.of_settings(case, error)) from None
            self._results[key] = _result(design, case)
        return self._results[key]


def _result(design: Design, case: Case) -> Result:
    run = case.run or ("evaluate" if is_mapped(design) else "map")
    found = design.evaluate() if run == "evaluate" else design.map(case.objective, fusion=case.fusion)
    return found.to_dict()


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
