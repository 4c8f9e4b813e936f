"""A search in YAML (DESIGN section 9) to a `Plan`; all problems of the file at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, cast, get_args

from pydantic import ValidationError

from einloom.errors import Path, Problem, SpecError
from einloom.search.objectives import (
    Aggregate,
    Constraint,
    Direction,
    Objective,
    expand,
    parse_constraint,
    parse_name,
)
from einloom.search.plan import SAMPLERS, Plan, SamplerChoice, sha256
from einloom.search.space import Dimension, Real, Space
from einloom.spec.document import Document, Strict, problems_of, show, suggest
from einloom.spec.search_space import check_conditions, is_int, read_dimension

__all__ = ["Plan", "load_search", "parts_of"]

HEADS = ("architecture", "workload", "mapping")
"""Parts of a design that a path may begin with."""
MOST_TRIALS = 10**7
POPULATION = (2, 10_000)


class SearchSpec(Strict):
    """The keys of ``search:``; their values are read one by one, so that every problem is found."""

    name: Any = None
    design: Any
    space: Any
    workloads: Any = None
    aggregate: Any = None
    objectives: Any
    constraints: Any = None
    sampler: Any = None
    trials: Any = None


class FileSpec(Strict):
    """The keys of a search file."""

    version: Any
    search: Any


def load_search(document: Document, ranks: Mapping[str, int] | None = None) -> Plan:
    """The search of a file.

    Args:
        document: The file.
        ranks: Sizes of the workload's ranks, for ``divisors_of``. None leaves those dimensions open: the
            plan can be looked at, but not explored.

    Raises:
        SpecError: With every problem of the file, in file order.
    """
    loader = _Loader(document, ranks)
    plan = loader.plan()
    if loader.problems or plan is None:
        document.fail(loader.problems)
    return plan


def parts_of(document: Document) -> tuple[Any, tuple[Any, ...]]:
    """``design:`` and ``workloads:`` as the file has them, unchecked: to be loaded before ranks are known."""
    search = document.data.get("search") if isinstance(document.data, dict) else None
    search = search if isinstance(search, dict) else {}
    workloads = search.get("workloads")
    return search.get("design"), tuple(workloads) if isinstance(workloads, list) else ()


class _Loader:
    """Reads one file, collecting problems as it goes."""

    def __init__(self, document: Document, ranks: Mapping[str, int] | None) -> None:
        self._document, self._ranks = document, ranks
        self.problems: list[Problem] = []

    def _wrong(self, path: Path, message: str, hint: str, *, at_key: bool = False, offset: int = 0) -> None:
        self.problems.append(self._document.locate(Problem(message, hint, path, offset=offset), at_key))

    def _keys(self, model: type[Strict], data: Any, path: Path) -> Mapping[str, Any]:
        """The keys of a block that are known; problems for the others and for missing ones."""
        try:
            model.model_validate(data)
        except ValidationError as error:
            for problem in problems_of(error, path, model):
                extra = isinstance(data, dict) and problem.path[-1:] and problem.path[-1] in data
                self.problems.append(self._document.locate(problem, at_key=bool(extra)))
        return data if isinstance(data, dict) else {}

    def plan(self) -> Plan | None:
        top = self._keys(FileSpec, self._document.data, ())
        version = top.get("version", 1)
        if version != 1 or isinstance(version, bool):
            self._wrong(("version",), f"{show(version)} is not a known version", "write `version: 1`")
        if "search" not in top:
            return None
        given = self._keys(SearchSpec, top["search"], ("search",))
        networks = self._networks(given.get("workloads"))
        aggregate = self._aggregate(given.get("aggregate"))
        objectives = self._objectives(given.get("objectives", ...), networks, aggregate)
        sampler = self._sampler(given.get("sampler"), len(objectives))
        dimensions = self._space(given.get("space", ...))
        if sampler.name == "grid":
            self._check_grid(dimensions)
        parts: dict[str, Any] = {
            "name": self._name(given.get("name")),
            "design": self._design(given.get("design", ...)),
            "constraints": self._constraints(given.get("constraints"), networks),
            "trials": self._trials(given.get("trials"), sampler),
        }
        if self.problems:
            return None
        return Plan(
            **parts,
            space=Space(dimensions),
            objectives=objectives,
            sampler=sampler,
            workloads=tuple(given.get("workloads") or ()),
            networks=networks,
            aggregate=aggregate,
            files=((self._document.file, sha256(self._document.text)),),
        )

    def _name(self, value: Any) -> str:
        if value is None:
            return PurePath(self._document.file).stem or "study"
        if not isinstance(value, str) or not re.fullmatch(r"[\w][\w.\-]*", value):
            hint = "the study's folder is called by it: letters, digits, _, - and ."
            self._wrong(("search", "name"), f"{show(value)} is no name", hint)
        return str(value)

    def _design(self, value: Any) -> str | Mapping[str, Any]:
        if value is ...:  # missing, and said so
            return ""
        if isinstance(value, dict) and value:
            return value
        if not isinstance(value, str) or not value:
            hint = "write the path of a design file, or the design itself: workload:, architecture:, mapping:"
            self._wrong(("search", "design"), f"{show(value)} is no design", hint)
        return str(value)

    def _networks(self, value: Any) -> tuple[str, ...]:
        """A name for each workload: of the block, or the stem of its file."""
        path: Path = ("search", "workloads")
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            self._wrong(path, f"{show(value)} is not a list of workloads", "write [workloads/bert_base.yaml]")
            return ()
        names: list[str] = []
        for index, item in enumerate(value):
            block = item.get("workload", item) if isinstance(item, dict) else None
            given = block.get("name") if isinstance(block, dict) else PurePath(str(item)).stem
            name = str(given).replace(".", "_")
            if not isinstance(item, str | dict) or not isinstance(given, str) or not given:
                hint = "write the path of a workload file, or a workload with a name"
                self._wrong((*path, index), f"{show(item)} is no workload", hint)
            elif name in names:
                hint = "results are told apart by the name of the file: rename one of them"
                self._wrong((*path, index), f"a second workload is called '{name}'", hint)
            names.append(name)
        return tuple(names)

    def _aggregate(self, value: Any) -> Aggregate | None:
        known = get_args(Aggregate)
        if value is not None and value not in known:
            message = f"no aggregate is named {show(value)}"
            self._wrong(("search", "aggregate"), message, suggest(str(value), known, "aggregates"))
        return cast("Aggregate", value) if value in known else None

    def _objectives(
        self, value: Any, networks: Sequence[str], aggregate: Aggregate | None
    ) -> tuple[Objective, ...]:
        path: Path = ("search", "objectives")
        if value is ...:  # missing, and said so
            return ()
        if not isinstance(value, dict) or not value:
            hint = "write metrics and their directions, for example {latency_s: min, energy_j: min}"
            self._wrong(path, f"{show(value)} names no objective", hint)
            return ()
        found: list[Objective] = []
        for name, direction in value.items():
            try:
                network, metric = parse_name(name, networks)
            except SpecError as error:
                self._wrong((*path, name), error.problems[0].message, error.problems[0].hint, at_key=True)
                continue
            if direction not in get_args(Direction):
                hint = f"write min or max; {metric.label.lower()} improves by: {metric.best}"
                self._wrong((*path, name), f"{show(direction)} is no direction", hint)
                continue
            objective = Objective(metric, direction, network)
            taken = {target.name for target in expand(found, networks, aggregate)}
            if taken & {target.name for target in expand([objective], networks, aggregate)}:
                hint = "a metric without a network stands for every network"
                self._wrong((*path, name), f"'{name}' is an objective already", hint, at_key=True)
            found.append(objective)
        return tuple(found)

    def _constraints(self, value: Any, networks: Sequence[str]) -> tuple[Constraint, ...]:
        path: Path = ("search", "constraints")
        if value is None:
            return ()
        if not isinstance(value, list):
            self._wrong(path, f"{show(value)} is not a list", 'write ["area_mm2 <= 10", "power_w <= 2"]')
            return ()
        found: list[Constraint] = []
        for index, text in enumerate(value):
            if not isinstance(text, str):
                self._wrong((*path, index), f"{show(text)} is no constraint", 'write "area_mm2 <= 10"')
                continue
            try:
                found.append(parse_constraint(text, networks))
            except SpecError as error:
                problem, place = error.problems[0], (*path, index)
                offset = problem.offset + self._quote(place)
                self.problems.append(self._document.locate(replace(problem, path=place, offset=offset)))
        return tuple(found)

    def _quote(self, path: Path) -> int:
        """1 where the text at ``path`` stands in quotes, else 0."""
        mark = self._document.marks[path]
        return int(
            self._document.text.splitlines()[mark.line - 1][mark.column - 1 : mark.column] in ("'", '"')
        )

    def _sampler(self, value: Any, objectives: int) -> SamplerChoice:
        path: Path = ("search", "sampler")
        default = "tpe" if objectives == 1 else "nsga2"
        if value is None:
            return SamplerChoice(default)
        if not isinstance(value, dict):
            return SamplerChoice(self._sampler_name(value, path))
        for key in value:
            if key not in ("name", "seed", "population"):
                hint = suggest(key, ("name", "seed", "population"), "keys")
                self._wrong((*path, key), f"the key '{key}' is not known here", hint, at_key=True)
        name = self._sampler_name(value.get("name", default), (*path, "name"))
        seed, population = value.get("seed", 0), value.get("population", 50)
        if not is_int(seed) or not 0 <= seed < 2**32:
            self._wrong(
                (*path, "seed"), f"{show(seed)} is no seed", "write a whole number from 0 to 4294967295"
            )
        low, high = POPULATION
        if not is_int(population) or not low <= population <= high:
            message = f"{show(population)} is no size of a population"
            self._wrong((*path, "population"), message, f"write a whole number from {low} to {high}")
        elif "population" in value and name not in ("nsga2", "nsga3"):
            hint = "samplers with a population: nsga2, nsga3"
            self._wrong((*path, "population"), f"the sampler '{name}' has no population", hint, at_key=True)
        return SamplerChoice(name, seed, population)

    def _sampler_name(self, value: Any, path: Path) -> str:
        if value not in SAMPLERS:
            self._wrong(path, f"no sampler is named {show(value)}", suggest(str(value), SAMPLERS, "samplers"))
        return str(value)

    def _trials(self, value: Any, sampler: SamplerChoice) -> int | None:
        path: Path = ("search", "trials")
        if value is None:
            if sampler.name != "grid":
                hint = "add `trials:`, the number of designs to try; only a grid ends by itself"
                self._wrong(path, "is missing", hint)
            return None
        if not is_int(value) or not 1 <= value <= MOST_TRIALS:
            hint = f"write a whole number from 1 to {MOST_TRIALS}"
            self._wrong(path, f"{show(value)} is no number of trials", hint)
        return cast("int", value)

    def _check_grid(self, dimensions: Sequence[Dimension]) -> None:
        for dimension in dimensions:
            if dimension.when:
                hint = "choose a sampler: random, qmc, tpe, nsga2; points that differ in it alone are one"
                where = ("search", "space", dimension.path)
                self._wrong(where, "a grid would visit what does not count, again and again", hint)
            if isinstance(dimension, Real) and dimension.size == math.inf:
                hint = "give a list of choices, or choose a sampler: random, qmc, tpe, nsga2"
                message = "a grid cannot visit every real number"
                self._wrong(("search", "space", dimension.path), message, hint)

    def _space(self, value: Any) -> tuple[Dimension, ...]:
        path: Path = ("search", "space")
        if value is ...:  # missing, and said so
            return ()
        if not isinstance(value, dict) or not value:
            hint = "write paths into the design and their values, for example architecture.rows: [8, 16, 32]"
            self._wrong(path, f"{show(value)} is no space", hint)
            return ()
        found: list[Dimension] = []
        for name, values in value.items():
            head = name.partition(".")[0]
            if head not in HEADS:
                hint = suggest(head, HEADS, "a path begins with one of")
                self._wrong((*path, name), f"'{name}' is no path into a design", hint, at_key=True)
            elif not all(name.split(".")):
                hint = "write names with one dot between them, for example architecture.rows"
                self._wrong((*path, name), f"'{name}' is no path into a design", hint, at_key=True)
            try:
                found.append(read_dimension(name, values, self._ranks))
            except SpecError as error:
                for problem in error.problems:
                    unknown_key = problem.message.startswith("the key ")
                    self.problems.append(self._document.locate(problem.below(*path, name), unknown_key))
        for problem in check_conditions(found):
            self.problems.append(self._document.locate(problem.below(*path)))
        return tuple(found)
