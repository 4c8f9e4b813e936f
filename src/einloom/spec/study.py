"""The designs that a search file stands for, checked before the first trial; what is wrong is told at its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from einloom.errors import EinloomError, Path, Problem, SpecError
from einloom.search.space import Dimension, Finite
from einloom.spec.document import Document, at

Loaded = TypeVar("Loaded")
Load = Callable[[Mapping[str, object]], Loaded]
"""A design from overrides."""

MANY = 64
"""Values of one dimension that are tried; of more, the two ends."""


def load_designs(document: Document, workloads: Sequence[Any], load: Load[Loaded]) -> list[Loaded]:
    """The design as it stands, with each of the networks.

    Raises:
        SpecError: With every problem of the design and of the networks.
    """
    designs: list[Loaded] = []
    problems: list[Problem] = []
    for number, workload in enumerate(workloads or (None,)):
        try:
            designs.append(load({} if workload is None else {"workload": workload}))
        except EinloomError as error:
            problems += [_placed(problem, document, number) for problem in error.problems]
    if problems:
        raise SpecError(
            sorted(dict.fromkeys(problems), key=lambda p: (p.file != document.file, p.file, p.line, p.column))
        )
    return designs


def _placed(problem: Problem, document: Document, workload: int) -> Problem:
    """A problem of the inline design, or of one of the workloads, at its place in the search file."""
    path: Path
    if problem.file == "<design>":
        path = ("search", "design", *problem.path)
    elif problem.file.startswith("--set workload="):
        path = ("search", "workloads", workload, *problem.path[1:])
    else:
        return problem
    return document.locate(replace(problem, file="", path=path))


def check_space(document: Document, dimensions: Sequence[Dimension], workloads: Sequence[Any], load: Load[Any]) -> None:
    """Every value that the space names is one that its place in the design takes.

    Only what is wrong with a value by itself counts: whether values go together is known in the trial.

    Raises:
        SpecError: With every value that no design takes.
    """
    network = {"workload": workloads[0]} if workloads else {}
    problems: list[Problem] = []
    for dimension in dimensions:
        found: dict[str, Problem] = {}  # by message: what is wrong with the path is wrong with every value
        for path, value in _values(document, dimension):
            try:
                load({**network, **_where_it_counts(dimension, dimensions), dimension.path: value})
            except EinloomError as error:
                for problem in error.problems:
                    if problem.file.startswith(f"--set {dimension.path}="):
                        found.setdefault(
                            problem.message, document.locate(replace(problem, file="", path=path, offset=0))
                        )
        problems += found.values()
    if problems:
        raise SpecError(problems)


def _where_it_counts(dimension: Dimension, dimensions: Sequence[Dimension]) -> dict[str, object]:
    """Values of other dimensions with which this one counts, and with which those do."""
    found: dict[str, object] = {}
    for path, values in dimension.when:
        other = next(d for d in dimensions if d.path == path)
        found |= {**_where_it_counts(other, dimensions), path: values[0]}
    return found


def _values(document: Document, dimension: Dimension) -> Iterator[tuple[Path, object]]:
    """(place in the file, value): every value of a list, the ends of a range."""
    path: Path = ("search", "space", dimension.path)
    listed = at(document.data, path)
    if isinstance(listed, dict) and isinstance(listed.get("choices"), list):
        listed, path = listed["choices"], (*path, "choices")
    if isinstance(dimension, Finite) and isinstance(listed, list) and len(listed) == dimension.size <= MANY:
        for number in range(dimension.size):
            yield (*path, number), dimension.value(number)
    else:
        for end in (0.0, 1.0):
            yield path, dimension.at(end)
