"""A design in YAML: workload, architecture and (optionally) mapping, each inline or the path of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from pathlib import PurePath
from typing import Any, cast

from einloom.arch.tree import Architecture
from einloom.catalogue import find
from einloom.errors import EinloomError, MappingError, Path, Problem, SpecError
from einloom.mappings import Choice, MappingPlan
from einloom.spec import overrides
from einloom.spec.architecture import level_paths, load_architecture, unknown_names
from einloom.spec.document import Document, Strict, at, read, show, suggest, validate
from einloom.spec.mapping import load_mapping
from einloom.spec.workload import load_workload
from einloom.workloads import Workload

PARTS = ("workload", "architecture", "mapping")
_LISTED = {"workload": ": `einloom list workloads`", "architecture": ": `einloom list architectures`"}


class DesignFile(Strict):
    """The keys of a design file; each part is checked by its own reader."""

    version: int
    name: str | None = None
    workload: Any
    architecture: Any
    mapping: Any = None
    published: Any = None


@dataclass(frozen=True)
class Part:
    """Where one part of a design stands."""

    document: Document
    path: Path


@dataclass(frozen=True)
class LoadedDesign:
    """A design as values.

    Attributes:
        name: From the file, or its stem.
        workload, architecture: As loaded.
        mapping: None when the file gives none.
        mapping_part: Where the mapping stands, to say where a nest is illegal.
        architecture_part: Where the architecture stands, to say what excludes every mapping.
        files: Text of every file that was read, by name.
    """

    name: str
    workload: Workload
    architecture: Architecture
    mapping: MappingPlan | None
    mapping_part: Part | None
    architecture_part: Part
    files: Mapping[str, str]

    def relocated(self, error: MappingError, einsum: str) -> EinloomError:
        """A legality error of the nest of ``einsum``, or (no name) of the fused tree, with file and line."""
        if self.mapping_part is None:
            return error
        document, path = self.mapping_part.document, self.mapping_part.path
        if einsum:
            path = (*path, einsum)
        data: Any = document.data
        for key in path:
            data = data.get(key) if isinstance(data, dict) else None
        below = (*path, "nodes") if isinstance(data, dict) else path
        return MappingError([document.locate(p.below(*(below if p.path else path))) for p in error.problems])

    def on_engine(self, error: MappingError) -> MappingError:
        """An error of a machine that maps by choices: its paths are the mapping's; without one, the machine's."""
        arch, plan = self.architecture_part, self.mapping_part
        return MappingError([
            plan.document.locate(problem.below(*plan.path)) if problem.path and plan is not None
            else problem if problem.line else arch.document.locate(replace(problem, path=arch.path))
            for problem in error.problems
        ])  # fmt: skip

    def on_architecture(self, error: MappingError) -> MappingError:
        """An error of the mapper, whose paths are (level, key), with file and line; in a template its own line."""
        document, path = self.architecture_part.document, self.architecture_part.path
        data = at(document.data, path)
        where = level_paths(data, path)

        def located(problem: Problem) -> Problem:
            if not problem.path:
                return problem
            level, *key = problem.path
            place = (*where[level], *key) if level in where else (*path, "template")
            return document.locate(replace(problem, path=place))

        return MappingError([located(problem) for problem in error.problems])


def load_design(
    source: str | FilePath | Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    mapping_file: str | FilePath | None = None,
    beside: FilePath | None = None,
    known: dict[str, Document] | None = None,
) -> LoadedDesign:
    """The design in a file or in plain data.

    Args:
        source: A path (the user's own, else of the catalogue), or what such a file holds.
        settings: Values by path (`spec.overrides`), applied before anything is checked.
        mapping_file: Takes the place of the design's mapping.
        beside: Folder to which paths inside plain data are relative.
        known: Files read before, by name; new ones are added. Give the same one to load many variants quickly.

    Raises:
        SpecError: With every problem of every file.
    """
    loader = _Loader(dict(settings or {}), known if known is not None else {})
    overrides.check_heads(loader.settings)
    if isinstance(source, Mapping):
        data = {"version": 1, **source}
        return loader.load(Document("<design>", "", data, {}), mapping_file, beside)
    file = find(source)
    return loader.load(loader.read(str(file)), mapping_file, file.parent)


class _Loader:
    """Reads one design, collecting problems as it goes."""

    def __init__(self, settings: dict[str, Any], known: dict[str, Document]) -> None:
        self.settings, self._known = settings, known
        self._used: dict[str, str] = {}
        self._problems: list[Problem] = []

    def read(self, file: str) -> Document:
        if file not in self._known:
            self._known[file] = read(file)
        self._used[file] = self._known[file].text
        return self._known[file]

    def _workload(self, document: Document) -> Workload:
        """The workload of a document, made once; it may name further files, whose texts count too."""
        if "workload" not in document.made:
            opened: list[str] = []

            def open_file(file: str) -> Document:
                opened.append(file)
                return self.read(file)

            document.made["workload"] = load_workload(document, open_file=open_file), opened
        workload, files = document.made["workload"]
        for file in files:
            self.read(file)
        return cast(Workload, workload)

    def load(self, document: Document, mapping_file: str | FilePath | None, beside: FilePath | None) -> LoadedDesign:
        for part in PARTS:
            if part in self.settings and isinstance(document.data, dict):
                origin = f"--set {part}={show(self.settings[part])}"
                document = document.with_value((part,), self.settings[part], origin)
        first = next((name for name in self.settings if name.startswith("mapping.")), "")
        if first and isinstance(document.data, dict) and document.data.get("mapping") is None:
            document = document.with_value(("mapping",), {}, f"--set {first}={show(self.settings[first])}")
        data = document.data if isinstance(document.data, dict) else {}
        self._try(lambda: _check_keys(document))
        workload = self._part("workload", document, beside, self._workload)
        architecture = self._part("architecture", document, beside, load_architecture)
        if mapping_file is not None:
            mapping = self._try(lambda: self._from_file("mapping", str(find(mapping_file)), load_mapping))
        else:
            mapping = self._part("mapping", document, beside, load_mapping)
        if workload and architecture:
            self._check_names(workload[0], architecture)
        if architecture and mapping:
            self._check_kind(architecture[0], mapping)
        if workload and mapping and not (architecture and architecture[0].engine is not None):
            self._check_nests(workload[0], mapping)
        if self._problems or workload is None or architecture is None:
            raise SpecError(self._in_file_order(document.file))
        return LoadedDesign(
            data.get("name") or PurePath(document.file).stem.strip("<>"),
            workload[0],
            architecture[0],
            mapping[0] if mapping else None,
            mapping[1] if mapping else None,
            architecture[1],
            dict(self._used),
        )

    def _in_file_order(self, design: str) -> list[Problem]:
        """The design's own problems first, then those of the files that it names."""
        files = list(dict.fromkeys([design, *(problem.file for problem in self._problems)]))
        return sorted(self._problems, key=lambda p: (files.index(p.file), p.line, p.column))

    def _try(self, load: Any) -> Any:
        try:
            return load()
        except SpecError as error:
            self._problems.extend(error.problems)
            return None

    def _part(self, part: str, document: Document, beside: FilePath | None, load: Any) -> Any:
        """A part and where it stands; None where the design has none or its problems are noted."""
        if not isinstance(document.data, dict) or part not in document.data:
            return None
        if part == "mapping" and document.data[part] is None:
            return None
        return self._try(lambda: self._load(part, document, beside, load))

    def _load(self, part: str, document: Document, beside: FilePath | None, load: Any) -> tuple[Any, Part]:
        """A part that stands inline, or in the file that is named in its place."""
        value = document.data[part]
        if isinstance(value, str):
            file = find(value, beside)
            if not file.exists():
                hint = "a path from here or from this file, or one of the catalogue" + _LISTED.get(part, "")
                document.fail([Problem(f"there is no file {show(value)}", hint, (part,))])
            return self._from_file(part, str(file), load)
        return self._from(part, document, load)

    def _from_file(self, part: str, file: str, load: Any) -> tuple[Any, Part]:
        document = self.read(file)
        if not isinstance(document.data, dict) or part not in document.data:
            document.fail([Problem(f"is not a file of kind '{part}'", f"such a file has `version: 1` and `{part}:`")])
        check_file(document, part)
        return self._from(part, document, load)

    def _from(self, part: str, document: Document, load: Any) -> tuple[Any, Part]:
        edited = overrides.apply(document, part, (part,), self.settings)
        return load(edited), Part(edited, (part,))

    def _check_names(self, workload: Workload, architecture: tuple[Architecture, Part]) -> None:
        tensors = {tensor for cascade in workload.cascades for tensor in cascade.tensors}
        variables = {var for cascade in workload.cascades for line in cascade.einsums for var in line.variables}
        arch, part = architecture
        data = part.document.data[part.path[0]]
        found = unknown_names(arch, tensors, variables, data, part.path)
        self._problems.extend(part.document.locate(problem) for problem in found)

    def _check_kind(self, architecture: Architecture, mapping: tuple[MappingPlan, Part]) -> None:
        """Choices are for machines with an engine, trees and parameters for the others."""
        plan, part = mapping
        what, path = "", part.path
        if architecture.engine is None and (plan.choices or _first_choice(plan)):
            path = (*path, "choices") if plan.choices else (*path, *_first_choice(plan))
            what, hint = f"'{architecture.name}' maps loop nests, not choices", "write a nest for each Einsum"
        elif architecture.engine is not None and (plan.tree or plan.parameters):
            path = (*path, "parameters" if plan.parameters else "nodes")
            what = f"the template '{architecture.template}' maps by choices, not by loop nests"
            hint = "write `choices: {NAME: VALUE}`, or lines `NAME = VALUE` for one step"
        if what:
            self._problems.append(part.document.locate(Problem(what, hint, path)))

    def _check_nests(self, workload: Workload, mapping: tuple[MappingPlan, Part]) -> None:
        """Every nest is that of an Einsum: a misspelt one must not be passed over."""
        plan, part = mapping
        known = nest_names(workload)
        parts = [cascade.name for cascade in workload.cascades] if len(workload.cascades) > 1 else []
        if plan.tree and parts:
            message = f"one fused tree stands for a workload of {len(parts)} parts"
            hint = f"give each part a tree or nests of its own: `{parts[0]}: [...]`"
            self._problems.append(part.document.locate(Problem(message, hint, part.path)))
        for name in plan.nests:
            if name not in known and name not in parts:
                path = (*part.path, name)
                problem = Problem(f"the workload has no Einsum '{name}'", suggest(name, known, "Einsums"), path)
                self._problems.append(part.document.locate(problem, at_key=True))


def _first_choice(plan: MappingPlan) -> Path:
    """Where the first choice of the nests stands, below the mapping; empty: there is none."""
    for name, nest in plan.nests.items():
        for place, node in enumerate(nest.nodes):
            if isinstance(node, Choice):
                return (name, "nodes", place) if nest.flatten else (name, place)
    return ()


def nest_names(workload: Workload) -> list[str]:
    """What nests are named by, in order: the Einsum, in a network ``part.name``."""
    several = len(workload.cascades) > 1
    return [
        f"{cascade.name}.{einsum.name}" if several else einsum.name
        for cascade in workload.cascades
        for einsum in cascade.einsums
        if not einsum.constant
    ]


def _check_keys(document: Document) -> None:
    version = validate(document, DesignFile).version
    if version != 1:
        message = f"{version} is not a version that this einloom reads"
        document.fail([Problem(message, "write 1", ("version",))])


def check_file(document: Document, part: str) -> None:
    """A file of one part has ``version: 1`` and that part (and a name), nothing else. Raises `SpecError`."""
    problems = []
    data = document.data
    if not isinstance(data, dict):
        document.fail([Problem(f"{show(data)} is no {part} file", f"a file starts with `version: 1`, then `{part}:`")])
    if "version" not in data:
        problems.append(Problem("is missing", "add `version: 1` here", ("version",)))
    elif data["version"] != 1 or isinstance(data["version"], bool):
        message = f"{show(data['version'])} is not a version that this einloom reads"
        problems.append(Problem(message, "write 1", ("version",)))
    extra = [key for key in data if key not in ("version", part)]
    problems += [
        Problem(f"the key '{key}' is not known here", f"keys: version, {part}", (key,), at_key=True) for key in extra
    ]
    if problems:
        document.fail(problems)
