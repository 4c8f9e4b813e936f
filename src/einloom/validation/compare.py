"""Published against modelled: each case runs once, each figure has its error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from einloom.errors import EinloomError, Problem
from einloom.validation.expression import Number, Result
from einloom.validation.figures import Case, Figure, Published, Range

ROUNDING = 1e-12
"""Relative: what floating-point sums of exact counts may differ by."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure and what the model says.

    Attributes:
        file: Holds the figure.
        design: The design file that its case runs.
        case: Name of the case.
        figure: As published.
        modelled: None where it cannot be checked, or where the model failed.
        problem: Why the model failed; else empty.
    """

    file: str
    design: str
    case: str
    figure: Figure
    modelled: Number | None
    problem: str = ""

    @property
    def error(self) -> float | None:
        """(modelled - published) / published; of a range the distance to it, 0 inside. None: there is no ratio."""
        if self.modelled is None or self.figure.value is None:
            return None
        return relative_error(self.modelled, self.figure.value)

    @property
    def ok(self) -> bool | None:
        """Within the stated tolerance; None where none is stated, or the figure cannot be checked."""
        if self.problem:
            return False
        if self.figure.tolerance is None or self.modelled is None:
            return None
        error = self.error
        return error is not None and abs(error) <= self.figure.tolerance + ROUNDING

    def to_dict(self) -> dict[str, Any]:
        """Plain data: an entry of ``einloom validate --json``."""
        figure = self.figure
        value = list(figure.value) if isinstance(figure.value, tuple) else figure.value
        return {
            "design": self.design, "figure": figure.name, "published": value, "modelled": self.modelled,
            "error": self.error, "class": figure.kind, "basis": figure.basis, "source": str(figure.source),
            "unit": figure.unit, "case": self.case, "tolerance": figure.tolerance, "reason": figure.reason or None,
            "how_seen": figure.how_seen or None, "ok": self.ok, "title": figure.source.title or None,
            "url": figure.source.url or None, "problem": self.problem or None, "file": self.file,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Validation:
    """All figures of some designs, and what went wrong: files that do not load, models that fail, tolerances broken."""

    comparisons: tuple[Comparison, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain data: what ``einloom validate --json`` prints."""
        return [comparison.to_dict() for comparison in self.comparisons]

    def to_frame(self) -> Any:
        """One row a figure (needs pandas)."""
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame(self.to_dict())

    def _repr_html_(self) -> str:
        columns = ("design", "case", "figure", "unit", "published", "modelled", "error", "class", "basis")
        head = "".join(f"<th>{column}</th>" for column in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{_cell(row[column])}</td>" for column in columns) + "</tr>" for row in self.to_dict()
        )
        said = "".join(f"<p>{escape(str(problem.message))}</p>" for problem in self.problems)
        return f"<table><tr>{head}</tr>{rows}</table>{said}"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else escape(str(value))


def relative_error(modelled: Number, published: float | Range) -> float | None:
    """Relative to the published value, or to the end of its range that is nearer; None against 0."""
    if isinstance(published, tuple):
        low, high = published
        if low <= modelled <= high:
            return 0.0
        published = low if modelled < low else high
    if published == 0:
        return 0.0 if modelled == 0 else None
    error = (modelled - published) / abs(published)
    return error if math.isfinite(error) else None


def compare(
    published: Published, file: str, run: Callable[[Case], Result]
) -> tuple[list[Comparison], list[Problem]]:
    """Every figure of a file against the model.

    Args:
        published: The figures.
        file: How the file that holds them is named in the answer.
        run: The result of a case as plain data; called once for each case that figures ask for.

    Returns:
        A comparison for each figure, in file order; and the problems, each with its path and offset in the file: a
        case that does not run (said once), an expression that has no value, a tolerance that is broken.
    """
    results: dict[str, Result | EinloomError] = {}
    problems: list[Problem] = []

    def result_of(name: str) -> Result:
        if name not in results:
            case = published.cases[name]
            try:
                results[name] = run(case)
            except EinloomError as error:
                results[name] = error
                problems.extend(_of_case(error.problems, case))
        found = results[name]
        if isinstance(found, EinloomError):
            raise _NotRun(name)
        return found

    rows: list[Comparison] = []
    for case in published.cases.values():
        for figure in case.figures:
            row = _compared(figure, case, file, result_of, problems)
            if row.ok is False and not row.problem:
                problems.append(_broken(row))
            rows.append(row)
    return rows, problems


class _NotRun(Exception):
    """The result of a case that failed, and was said to, is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"case '{name}' does not run")


def _compared(
    figure: Figure, case: Case, file: str, result_of: Callable[[str], Result], problems: list[Problem]
) -> Comparison:
    row = Comparison(file, case.design_beside(file), case.name, figure, None)
    if figure.modelled is None:
        return row
    try:
        return replace(row, modelled=figure.modelled.value(result_of(case.name), result_of))
    except _NotRun as error:
        return replace(row, problem=str(error))
    except EinloomError as error:
        problems.extend(problem.below(*figure.path, "modelled") for problem in error.problems)
        return replace(row, problem=error.problems[0].message)


def _of_case(found: Iterable[Problem], case: Case) -> Iterable[Problem]:
    """What keeps a case from running, with its name; at the case itself where it has no place of its own."""
    for problem in found:
        said = replace(problem, message=f"{problem.message} (case '{case.name}')")
        yield said if said.file else replace(said, path=case.path)


def _broken(row: Comparison) -> Problem:
    figure, error = row.figure, row.error
    assert figure.tolerance is not None
    value = figure.value
    published = f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{value:.6g}"
    off = "no ratio to" if error is None else f"{100 * error:+.3g} % from"
    message = f"'{figure.name}' of case '{row.case}' is {row.modelled:.6g} {figure.unit}".rstrip()
    return Problem(f"{message}, {off} the published {published}",
                   f"its tolerance is {100 * figure.tolerance:g} %: the model has changed, or it never held",
                   (*figure.path, "tolerance"))  # fmt: skip
