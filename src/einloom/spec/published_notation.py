"""The notation of ``published:``, key by key, to values; every problem is found.

    published:
      source: {id: eyeriss, title: ..., url: ...}
      cases:
        - name: conv1
          set: {workload.ranks.M: 128}
          figures:
            - {figure: ideal time, value: 13.69, unit: ms, modelled: latency_s * 1e3, class: exact, tolerance: 0.1 %}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from pydantic import Field, ValidationError

from einloom.errors import Path, Problem, SpecError
from einloom.spec.document import Document, Strict, at, problems_of, show, suggest, text_hint
from einloom.validation import Case, Expression, Figure, Published, Source, parse_expression
from einloom.validation.figures import CLASSES, OBJECTIVES, PREDICTED, RUNS, Range

LARGEST = 1e300
"""No figure of a paper."""
_PERCENT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*")


class FileSpec(Strict):
    """The keys of a file that holds published figures alone."""

    version: Any
    published: Any


class PublishedSpec(Strict):
    """The keys of ``published:``; their values are read one by one, so that every problem is found."""

    source: Any = None
    design: Any = None
    cases: Any


class CaseSpec(Strict):
    """The keys of a case."""

    name: Any
    design: Any = None
    set: Any = None
    run: Any = None
    objective: Any = None
    fusion: Any = None
    figures: Any = None


class FigureSpec(Strict):
    """The keys of a figure."""

    figure: Any
    value: Any = None
    unit: Any = None
    modelled: Any = None
    kind: Any = Field(alias="class")
    reason: Any = None
    basis: Any = None
    tolerance: Any = None
    source: Any = None
    how_seen: Any = None


class SourceSpec(Strict):
    """The keys of a source."""

    id: Any = None
    title: Any = None
    url: Any = None


def read_published(document: Document) -> Published:
    """``published:`` of a document. Raises `SpecError` with every problem."""
    reader = _Reader(document)
    published = reader.published(document.data["published"], ("published",))
    if reader.problems:
        raise SpecError(sorted(reader.problems, key=lambda p: (p.line, p.column)))
    return published


def check_alone(document: Document) -> None:
    """A file of figures has ``version: 1`` and ``published:``, nothing else."""
    reader = _Reader(document)
    data = reader.keys(FileSpec, document.data, ())
    if "version" in data and (data["version"] != 1 or isinstance(data["version"], bool)):
        reader.wrong(("version",), f"{show(data['version'])} is not a version that this einloom reads", "write 1")
    if reader.problems:
        raise SpecError(sorted(reader.problems, key=lambda p: (p.line, p.column)))


def locate(document: Document, problem: Problem) -> Problem:
    """``problem`` with its place; an offset into a text of several lines is said in words."""
    if problem.file or not problem.path or (not problem.offset and problem.length == 1):
        return document.locate(problem)
    try:
        text = at(document.data, problem.path)
    except (KeyError, IndexError, TypeError):
        return document.locate(replace(problem, offset=0))
    mark = document.marks.get(problem.path)
    lines = document.text.splitlines()
    rest = lines[mark.line - 1][mark.column - 1 :] if mark is not None and mark.line <= len(lines) else ""
    quoted = rest[:1] in ("'", '"')
    if rest[quoted:].startswith(str(text)):
        found = document.locate(replace(problem, offset=0))
        length = max(1, min(problem.length, len(found.source) - found.column - problem.offset - quoted + 1))
        return replace(found, column=found.column + problem.offset + quoted, length=length)
    part = str(text)[problem.offset : problem.offset + max(problem.length, 20)].strip()
    return document.locate(replace(problem, offset=0, length=1, message=f"{problem.message}, at '{part}'"))


class _Reader:
    """Reads one block, collecting problems as it goes."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def wrong(self, path: Path, message: str, hint: str, *, at_key: bool = False) -> None:
        self.problems.append(self._document.locate(Problem(message, hint, path), at_key))

    def keys(self, model: type[Strict], data: Any, path: Path) -> Mapping[str, Any]:
        """The keys of a block; problems for those that are not known and those that are missing."""
        try:
            model.model_validate(data)
        except ValidationError as error:
            self.problems += [self._document.locate(problem) for problem in problems_of(error, path, model)]
        return data if isinstance(data, dict) else {}

    def published(self, data: Any, path: Path) -> Published:
        given = self.keys(PublishedSpec, data, path)
        source = self._source(given.get("source"), (*path, "source"))
        design = self._text(given, "design", path)
        entries = given.get("cases")
        if "cases" in given and (not isinstance(entries, list) or not entries):
            self.wrong((*path, "cases"), f"{show(entries)} is no list of cases", "write `- name: ...` entries")
        cases: dict[str, Case] = {}
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            place = (*path, "cases", index)
            case = self._case(entry, place, source, design)
            if case.name in cases:
                first = self._document.marks[(*cases[case.name].path, "name")].line
                hint = f"give each case a name of its own; the first is on line {first}"
                self.wrong((*place, "name"), f"a case is named {show(case.name)} already", hint)
            elif case.name:
                cases[case.name] = case
        for case in cases.values():
            self._check_named(case, cases)
        return Published(cases)

    def _check_named(self, case: Case, cases: Mapping[str, Case]) -> None:
        """The cases that expressions name are there."""
        for figure in case.figures:
            for name, offset in figure.modelled.cases if figure.modelled else ():
                if name not in cases:
                    hint = suggest(name, list(cases), "cases")
                    place = (*figure.path, "modelled")
                    problem = Problem(f"there is no case {show(name)}", hint, place, offset=offset, length=len(name))
                    self.problems.append(locate(self._document, problem))

    def _case(self, data: Any, path: Path, source: Source | None, design: str) -> Case:
        given = self.keys(CaseSpec, data, path)
        run, objective, fusion = given.get("run"), given.get("objective"), given.get("fusion")
        if run is not None and run not in RUNS:
            hint = f"write one of: {', '.join(RUNS)}; what no model gives is a figure of `class: not_checkable`"
            self.wrong((*path, "run"), f"{show(run)} is no way to run a case", hint)
        if objective is not None and objective not in OBJECTIVES:
            hint = suggest(str(objective), OBJECTIVES, "objectives")
            self.wrong((*path, "objective"), f"{show(objective)} is no objective", hint)
        if fusion is not None and not isinstance(fusion, bool):
            self.wrong((*path, "fusion"), f"{show(fusion)} is not true or false", "write true or false")
        for key in ("objective", "fusion"):
            if run == "evaluate" and given.get(key) is not None:
                hint = "leave it out, or write `run: map`"
                self.wrong((*path, key), f"'{key}' is for the mapper, and this case is evaluated", hint, at_key=True)
        own = self._text(given, "design", path)
        return Case(
            name=self._text(given, "name", path),
            design=own or design,
            settings=self._settings(given.get("set"), (*path, "set")),
            run=run,
            objective=objective or "latency",
            fusion=fusion is not False,
            figures=self._figures(given.get("figures"), (*path, "figures"), source),
            path=path,
        )

    def _settings(self, data: Any, path: Path) -> Mapping[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            hint = "write `workload.ranks.M: 128`: paths as for --set, and values"
            self.wrong(path, f"{show(data)} is not a mapping", hint)
            return {}
        return data

    def _figures(self, data: Any, path: Path, source: Source | None) -> tuple[Figure, ...]:
        if data is None:
            return ()
        if not isinstance(data, list):
            self.wrong(path, f"{show(data)} is not a list", "write `- figure: ...` entries")
            return ()
        figures: dict[str, Figure] = {}
        for index, entry in enumerate(data):
            figure = self._figure(entry, (*path, index), source)
            if figure.name in figures:
                hint = "say in its name what sets it apart"
                self.wrong((*path, index, "figure"), f"this case has a figure {show(figure.name)} already", hint)
            elif figure.name:
                figures[figure.name] = figure
        return tuple(figures.values())

    def _figure(self, data: Any, path: Path, default: Source | None) -> Figure:
        given = self.keys(FigureSpec, data, path)
        kind = given.get("class", "exact")
        if kind not in CLASSES:
            self.wrong((*path, "class"), f"{show(kind)} is no class of figures", suggest(str(kind), CLASSES, "classes"))
        self._check_class(given, kind, path)
        value = self._value(given["value"], (*path, "value")) if given.get("value") is not None else None
        return Figure(
            name=self._text(given, "figure", path),
            value=value,
            unit=self._text(given, "unit", path),
            kind=kind,
            modelled=self._modelled(given.get("modelled"), (*path, "modelled")),
            reason=self._text(given, "reason", path),
            basis=self._basis(given.get("basis"), (*path, "basis")),
            tolerance=self._tolerance(given.get("tolerance"), (*path, "tolerance")),
            source=self._own_source(given.get("source"), default, path),
            how_seen=self._text(given, "how_seen", path),
            path=path,
        )

    def _check_class(self, given: Mapping[str, Any], kind: str, path: Path) -> None:
        """What is not checkable has a reason and no model; everything else has a model and a value."""
        if kind == "not_checkable":
            if given.get("reason") is None:
                self.wrong((*path, "reason"), "is missing", "say in `reason:` what is not known")
            for key in ("modelled", "tolerance"):
                if given.get(key) is not None:
                    hint = "leave it out, or give the figure the class that it has"
                    self.wrong((*path, key), f"a figure that is not checkable has no '{key}'", hint, at_key=True)
            return
        for key in ("value", "modelled"):
            if given and given.get(key) is None:
                hint = f"add `{key}:` here, or write `class: not_checkable` and a `reason:`"
                self.wrong((*path, key), "is missing", hint)

    def _value(self, value: Any, path: Path) -> float | Range:
        hint = "write a number, a fraction such as 17/32, or a range [41, 137]"
        if isinstance(value, list):
            ends = [_number(end) for end in value]
            if len(ends) != 2 or None in ends:
                self.wrong(path, "a range has two numbers", hint)
                return 0.0
            low, high = float(ends[0] or 0), float(ends[1] or 0)
            if low >= high:
                self.wrong(path, f"the range [{low:g}, {high:g}] is empty", "write the smaller end first")
            return low, high
        number = _number(value)
        if number is None:
            self.wrong(path, f"{show(value)} is not a number", hint)
            return 0.0
        return number

    def _modelled(self, value: Any, path: Path) -> Expression | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(path, f"{show(value)} is no expression", "write arithmetic over the result: latency_s * 1e3")
            return None
        try:
            return parse_expression(value)
        except SpecError as error:
            self.problems += [locate(self._document, problem.below(*path)) for problem in error.problems]
            return None

    def _basis(self, value: Any, path: Path) -> str:
        if value is None:
            return PREDICTED
        head, _, constant = value.partition(":") if isinstance(value, str) else ("", "", "")
        if head.strip() == "calibrated" and not constant.strip():
            hint = "write `basis: \"calibrated: fill class of the MLP rows\"`"
            self.wrong(path, "does not name the constant that is calibrated", hint)
        elif head.strip() not in (PREDICTED, "calibrated"):
            hint = "write predicted, or \"calibrated: the constant, and the rows it was read off\""
            self.wrong(path, f"{show(value)} is no basis", hint)
        return str(value)

    def _tolerance(self, value: Any, path: Path) -> float | None:
        if value is None:
            return None
        match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self.wrong(path, f"{show(value)} is no tolerance", "write it in per cent: 1.5 %")
            return None
        return float(Fraction(match[1].rstrip(".")) / 100)

    def _own_source(self, value: Any, default: Source | None, path: Path) -> Source:
        """A figure's source; words alone are the place in the source of the file."""
        own = self._source(value, (*path, "source"))
        if own is None:
            if default is None:
                hint = "add `source:` here, or below `published:` for all figures"
                self.wrong((*path, "source"), "the source is missing", hint)
            return default or Source()
        if isinstance(value, str) and default is not None:
            return Source(f"{default}, {value}", default.title, default.url)
        return own

    def _source(self, value: Any, path: Path) -> Source | None:
        if value is None:
            return None
        if isinstance(value, str):
            return Source(value)
        given = self.keys(SourceSpec, value, path)
        if isinstance(value, dict) and not value:
            self.wrong(path, "names nothing", "write words, or some of: id, title, url")
        return Source(**{key: self._text(given, key, path) for key in ("id", "title", "url")})

    def _text(self, given: Mapping[str, Any], key: str, path: Path) -> str:
        value = given.get(key)
        if value is None:
            if key in ("name", "figure") and key in given:
                self.wrong((*path, key), "is empty", "write a name")
            return ""
        if not isinstance(value, str):
            self.wrong((*path, key), f"{show(value)} is not text", text_hint(value) + ", in quotes")
            return ""
        if not value.strip() and key != "unit":
            self.wrong((*path, key), "is empty", "write words, or leave the key out")
        return value


def _number(value: Any) -> int | float | None:
    """A finite number, also written as a fraction; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,50}\s*/\s*\d{1,50}\s*", value):
        numerator, _, denominator = value.partition("/")
        return float(Fraction(int(numerator), int(denominator))) if int(denominator) else None
    if not isinstance(value, int | float) or not abs(value) < LARGEST:
        return None
    return value
