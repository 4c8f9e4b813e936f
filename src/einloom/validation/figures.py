"""Published figures as values: a file has cases, a case settings of the design and figures, a figure its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from posixpath import normpath
from typing import Any, Literal, get_args

from einloom.catalogue import FOLDERS
from einloom.errors import Path
from einloom.validation.expression import Expression

Class = Literal["exact", "simulator", "silicon", "ratio", "not_checkable"]
"""What a published figure is: exact arithmetic of its authors, a simulator's, measured on silicon, a ratio of two
figures; or nothing that can be checked, because inputs are unknown."""
CLASSES: tuple[Class, ...] = get_args(Class)
Run = Literal["evaluate", "map"]
RUNS: tuple[Run, ...] = get_args(Run)
OBJECTIVES = ("energy", "latency", "edp")
PREDICTED = "predicted"
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure was published: a short name, or words; title and address where given."""

    id: str = ""
    title: str = ""
    url: str = ""

    def __str__(self) -> str:
        return self.id or self.title or self.url


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number and what the model says in its place.

    Attributes:
        name: What it is, in the words of the paper.
        value: As published; a range where only that is known; None where a figure cannot be checked and has no number.
        unit: Of ``value`` and of ``modelled``.
        kind: Its class.
        modelled: Arithmetic over the result of its case; None where it cannot be checked.
        reason: Why it cannot be checked.
        basis: ``predicted``, or ``calibrated: ...`` with the constant that was read off published rows.
        tolerance: Largest relative error that is accepted; None: the error is shown, whatever it is.
        source: With the place in it.
        how_seen: Table, plot, abstract, ...
        path: Where it stands in its file.
    """

    name: str
    value: float | Range | None
    unit: str
    kind: Class
    modelled: Expression | None
    reason: str
    basis: str
    tolerance: float | None
    source: Source
    how_seen: str
    path: Path


@dataclass(frozen=True, slots=True)
class Case:
    """One state of a design: what is set, how it runs, and the figures that are held to it.

    Attributes:
        design: Another design file than the one that holds the figures; empty: that one.
        settings: Values by path, as for ``--set``.
        run: None: evaluated where the design gives a whole mapping, else mapped.
        objective: What the mapper minimizes.
        fusion: Whether the mapper looks for fused trees.
        path: Where it stands in its file.
    """

    name: str
    design: str
    settings: Mapping[str, Any]
    run: Run | None
    objective: str
    fusion: bool
    figures: tuple[Figure, ...]
    path: Path

    def design_beside(self, file: str) -> str:
        """The design file that runs, as one names it who names the file that holds the figures ``file``."""
        if not self.design:
            return file
        if PurePath(self.design).is_absolute() or PurePath(self.design).parts[0] in FOLDERS:
            return self.design
        return normpath((PurePath(file).parent / self.design).as_posix())


@dataclass(frozen=True, slots=True)
class Published:
    """All figures of one file.

    Attributes:
        cases: By name, in file order.
    """

    cases: Mapping[str, Case] = field(default_factory=dict)

    def needed(self) -> list[Case]:
        """Cases whose results the figures ask for, in file order."""
        asked = [(case, figure.modelled) for case in self.cases.values() for figure in case.figures if figure.modelled]
        names = {case.name for case, _ in asked} | {name for _, modelled in asked for name, _ in modelled.cases}
        return [case for case in self.cases.values() if case.name in names]
