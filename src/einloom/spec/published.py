"""``published:`` of a design file, or of a file of its own: where it stands, what it runs, what is wrong with it.

Its keys are read by `einloom.spec.published_notation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath

from einloom.catalogue import find
from einloom.errors import EinloomError, Problem, SpecError
from einloom.spec.design import load_design
from einloom.spec.document import Document, at, read, show
from einloom.spec.published_notation import check_alone, locate, read_published
from einloom.validation import Case, Published


@dataclass(frozen=True)
class LoadedPublished:
    """Figures with the file in which they stand.

    Attributes:
        file: The design file, as it was found.
        document: Where the figures stand: the design file, or the one that it names.
        alone: The file is no design.
    """

    file: FilePath
    document: Document
    published: Published
    alone: bool = False

    def design_of(self, case: Case) -> str:
        """The design file that a case runs."""
        if not case.design:
            return str(self.file)
        return str(find(case.design, FilePath(self.document.file).parent))

    @property
    def of_another(self) -> bool:
        """Whether this file is for a design to name: some case runs the design that has the figures."""
        return self.alone and any(not case.design for case in self.published.cases.values())

    def located(self, problem: Problem) -> Problem:
        """A problem of a case or a figure with file, line and character."""
        return locate(self.document, problem)

    def of_settings(self, case: Case, error: EinloomError) -> list[Problem]:
        """Problems of the design with a case's settings; those of a setting stand where it is written."""
        return [self._of_setting(case, problem) for problem in error.problems]

    def _of_setting(self, case: Case, problem: Problem) -> Problem:
        for name in sorted(case.settings, key=len, reverse=True):
            if problem.file == f"--set {name}" or problem.file.startswith(f"--set {name}="):
                place = (*case.path, "set", name)  # without a path it is the setting's own that leads nowhere
                return self.located(Problem(problem.message, problem.hint, place, at_key=not problem.path))
        return problem


def load_published(source: str | FilePath, known: dict[str, Document] | None = None) -> LoadedPublished | None:
    """The published figures of a design file, or of a file of their own; None where it has none.

    Args:
        source: A path: the user's own, else of the catalogue.
        known: Files read before, by name; new ones are added.

    Raises:
        SpecError: With every problem of the figures, in file order.
    """
    known = known if known is not None else {}
    file = find(source)
    document = _read(str(file), known)
    data = document.data
    if not isinstance(data, dict) or data.get("published") is None:
        return None
    alone = not {"workload", "architecture"} & data.keys()
    if isinstance(data["published"], str):
        document = _named(document, file, known)
        alone = False
    elif alone:
        check_alone(document)
    return LoadedPublished(file, document, read_published(document), alone)


def check_published(source: str | FilePath, known: dict[str, Document] | None = None) -> list[Problem]:
    """What is wrong with the figures of a file, and with its designs as the cases set them; nothing is run.

    Where the design that a case runs does not load by itself, its own problems are left to whoever loads it.
    """
    known = known if known is not None else {}
    try:
        loaded = load_published(source, known)
    except SpecError as error:
        return list(error.problems)
    problems: list[Problem] = []
    loads: dict[str, bool] = {}
    for case in loaded.published.cases.values() if loaded is not None else ():
        assert loaded is not None
        design = loaded.design_of(case)
        if loaded.alone and not case.design:
            continue  # run by the design that names this file
        if design not in loads:
            loads[design], found = _loads(design, known)
            problems += [_at_design(loaded, case, problem) for problem in found if case.design]
        if loads[design]:
            try:
                load_design(design, case.settings, known=known)
            except EinloomError as error:
                problems += loaded.of_settings(case, error)
    return list(dict.fromkeys(problems))


def _at_design(loaded: LoadedPublished, case: Case, problem: Problem) -> Problem:
    """A file that cannot be read is told where it is named."""
    if problem.line:
        return problem
    key = "design" if "design" in at(loaded.document.data, case.path) else ""
    place = (*case.path, key) if key else ("published", "design")
    return loaded.located(Problem(f"{problem.file} {problem.message}", problem.hint, place))


def _loads(design: str, known: dict[str, Document]) -> tuple[bool, tuple[Problem, ...]]:
    try:
        load_design(design, known=known)
    except EinloomError as error:
        return False, error.problems
    return True, ()


def _read(file: str, known: dict[str, Document]) -> Document:
    if file not in known:
        known[file] = read(file)
    return known[file]


def _named(document: Document, file: FilePath, known: dict[str, Document]) -> Document:
    """The document that a design names in place of its figures."""
    name = document.data["published"]
    other = find(name, file.parent)
    if not other.exists():
        hint = "a path from here or from this file, or one of the catalogue"
        document.fail([Problem(f"there is no file {show(name)}", hint, ("published",))])
    held = _read(str(other), known)
    if not isinstance(held.data, dict) or "published" not in held.data:
        hint = "such a file has `version: 1` and `published:`"
        held.fail([Problem("is not a file of kind 'published'", hint)])
    check_alone(held)
    return held
