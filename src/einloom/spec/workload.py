"""``workload:`` blocks and files to `Workload` values; every mistake of a file at once, at its character.

A block has ``cascade:`` (a kernel) or ``parts:`` (a network: cascades in order, each written out or taken
from another file). Ranks, bits and operators of a network hold for every part that knows them. A written-out
part's own ranks win; a part that names a file gets the network's, then those that the part gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from einloom.catalogue import find
from einloom.errors import Path, Problem, SpecError
from einloom.spec.document import Document, Invalid, problems_of, read, show, suggest
from einloom.spec.workload_notation import FilePartSpec, KernelSpec, NetworkSpec, parse_line, parse_sub_rank
from einloom.spec.workload_places import item_path, located, seen_from, value_at
from einloom.workloads import Cascade, Einsum, Workload
from einloom.workloads.checks import analyse
from einloom.workloads.facts import ROLES, Parts, Split

MAX_FILES_DEEP = 8
"""A network may name files that name files; deeper than this is a mistake."""


@dataclass(frozen=True)
class _Inherited:
    """What a network hands down to its parts.

    Attributes:
        overrides: Whether ``ranks`` go before those of the part (a part that names a file).
        used: The names that some part knew, filled while reading.
    """

    ranks: Mapping[str, int | str] = field(default_factory=dict)
    bits: Mapping[str, Fraction] = field(default_factory=dict)
    operators: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    overrides: bool = False
    used: set[tuple[str, str]] = field(default_factory=set)


def read_workload(file: str | FilePath, ranks: Mapping[str, int] | None = None) -> Workload:
    """The workload in ``file``, with other sizes for some ranks.

    Raises:
        SpecError: With every problem of the file.
    """
    document = read(file)
    _check_file(document)
    reader = _Reader(document, (), read)
    overrides = _Inherited(ranks=dict(ranks or {}), overrides=True)
    workload = reader.block(document.data["workload"], ("workload",), overrides)
    unknown = [rank for rank in overrides.ranks if ("ranks", rank) not in overrides.used]
    if unknown and not reader.problems:
        reader.add(
            f"the rank '{unknown[0]}' is not known",
            suggest(unknown[0], sorted(reader.known), "ranks"),
            ("workload", "ranks"),
        )
    return reader.finish(workload)


def load_workload(
    document: Document, path: Path = ("workload",), open_file: Callable[[str], Document] = read
) -> Workload:
    """The workload that stands at ``path`` of ``document`` (its data may have been edited since it was read).

    Paths of other files in ``parts`` are relative to the document's file.

    Args:
        open_file: Reads those files; a caller that wants to know of them gives its own.

    Raises:
        SpecError: With every problem of the block, in file order.
    """
    data = value_at(document.data, path)
    if data is None:
        document.fail([Problem("is missing", "add `workload:` with ranks and a cascade", path)])
    reader = _Reader(document, (), open_file)
    return reader.finish(reader.block(data, path, _Inherited()))


def workload_from(data: Mapping[str, Any], file: str = "<workload>") -> Workload:
    """The workload that plain data describe: what stands below ``workload:`` in a file."""
    return load_workload(Document(file, "", {"workload": dict(data)}, {}))


def _check_file(document: Document) -> None:
    """``version: 1`` and a ``workload:`` block, nothing else."""
    data = document.data
    if not isinstance(data, dict):
        document.fail(
            [
                Problem(
                    f"{show(data)} is no workload file", "a file starts with `version: 1`, then `workload:`"
                )
            ]
        )
    problems = [
        Problem(
            f"the key '{key}' is not known here",
            suggest(str(key), ["version", "workload"], "keys"),
            (key,),
            at_key=True,
        )
        for key in data
        if key not in ("version", "workload")
    ]
    version = data.get("version")
    if "version" not in data:
        problems.append(Problem("is missing", "add `version: 1` here", ("version",)))
    elif version != 1 or isinstance(version, bool):
        problems.append(
            Problem(f"{show(version)} is not a version that this einloom reads", "write 1", ("version",))
        )
    if "workload" not in data:
        problems.append(Problem("is missing", "add `workload:` with ranks and a cascade", ("workload",)))
    if problems:
        document.fail(problems)


class _Reader:
    """One document; collects problems as it goes, ``finish`` raises them."""

    def __init__(self, document: Document, above: tuple[FilePath, ...], open_file: Callable[[str], Document]) -> None:
        self.document, self.above, self.open_file = document, above, open_file
        self.problems: list[Problem] = []
        self.known: set[str] = set()

    def add(self, message: str, hint: str, path: Path) -> None:
        self.problems.append(Problem(message, hint, path))

    def finish(self, workload: Workload | None) -> Workload:
        if self.problems:
            self.document.fail(located(self.document, problem) for problem in self.problems)
        assert workload is not None
        return workload

    def block(self, data: Any, path: Path, inherited: _Inherited) -> Workload | None:
        """A kernel or a network; None if it has problems."""
        if not isinstance(data, dict):
            self.add(
                f"{show(data)} is no workload", "write `name:`, `ranks:` and `cascade:` (or `parts:`)", path
            )
            return None
        if "parts" not in data:
            cascade = self._kernel(data, path, inherited, data.get("name") or _stem(self.document))
            return None if cascade is None else self._guard(lambda: Workload(cascade.name, (cascade,)), path)
        if "cascade" in data:
            self.add(
                "the workload has both a cascade and parts",
                "keep one: a kernel has a cascade, a network has parts",
                (*path, "parts"),
            )
            return None
        return self._network(data, path, inherited)

    def _validated(self, model: Any, data: Any, path: Path) -> Any:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.problems += [item_path(problem, data, path) for problem in problems_of(error, path, model)]
            return None

    # -- networks

    def _network(self, data: dict[str, Any], path: Path, inherited: _Inherited) -> Workload | None:
        spec = self._validated(NetworkSpec, data, path)
        if spec is None:
            self._check_parts(data, path)
            return None
        mine = _Inherited(
            ranks={**spec.ranks, **{k: v for k, v in inherited.ranks.items() if k in spec.ranks}},
            bits={**spec.bits, **inherited.bits},
            operators={**spec.operators, **inherited.operators},
        )
        self.known |= set(spec.ranks)
        inherited.used.update(("ranks", rank) for rank in spec.ranks)
        cascades: list[Cascade] = []
        complete = True
        for position, part in enumerate(spec.parts):
            found = self._part(part, (*path, "parts", position), mine, position)
            complete = complete and found is not None
            cascades += [replace(cascade, repeat=cascade.repeat * spec.repeat) for cascade in found or ()]
        if not complete:
            return None
        self._unused(mine, spec, path)
        inherited.used.update(name for name in mine.used if name[0] != "ranks")
        name = spec.name or _stem(self.document)
        return self._guard(lambda: Workload(name, tuple(cascades)), (*path, "parts"))

    def _check_parts(self, data: dict[str, Any], path: Path) -> None:
        """Beside mistakes of a network's own keys, report those of its parts."""
        ranks, parts = data.get("ranks", {}), data["parts"]
        wrong = {problem.path[len(path)] for problem in self.problems if len(problem.path) > len(path)}
        if "ranks" not in wrong and isinstance(parts, list):
            for position, part in enumerate(parts):
                if isinstance(part, dict):
                    self._part(part, (*path, "parts", position), _Inherited(ranks=ranks), position)

    def _unused(self, mine: _Inherited, spec: NetworkSpec, path: Path) -> None:
        """Every name that the network hands down is known to one of its parts."""
        for kind, names in (("ranks", spec.ranks), ("bits", spec.bits), ("operators", spec.operators)):
            known = sorted(name for k, name in mine.used if k == kind)
            for name in names:
                if (kind, name) not in mine.used and name != "default" and name not in ROLES:
                    self.add(f"no part uses '{name}'", suggest(name, known, kind), (*path, kind, name))

    def _part(
        self, data: dict[str, Any], path: Path, inherited: _Inherited, position: int
    ) -> tuple[Cascade, ...] | None:
        if "workload" not in data:
            cascade = self._kernel(data, path, inherited, data.get("name") or f"part{position + 1}")
            return None if cascade is None else (cascade,)
        spec = self._validated(FilePartSpec, data, path)
        return None if spec is None else self._file_part(spec, path, inherited)

    def _file_part(self, spec: FilePartSpec, path: Path, inherited: _Inherited) -> tuple[Cascade, ...] | None:
        """The cascades of another file with this part's name, repeat and ranks."""
        beside = FilePath(self.document.file).parent / spec.workload
        file = beside if beside.is_file() or not find(spec.workload).is_file() else find(spec.workload)
        above = (*self.above, FilePath(self.document.file))
        if len(above) > MAX_FILES_DEEP or file.resolve() in [other.resolve() for other in above]:
            self.add(
                f"'{spec.workload}' is read for itself", "a part names another file", (*path, "workload")
            )
            return None
        ranks = {**inherited.ranks, **_resolved(spec.ranks, inherited.ranks)}
        handed = replace(inherited, ranks=ranks, overrides=True, used=set())
        try:
            document = self.open_file(str(file))
            _check_file(document)
            reader = _Reader(document, above, self.open_file)
            workload = reader.finish(reader.block(document.data["workload"], ("workload",), handed))
        except SpecError as error:
            self.problems += seen_from(error, (*path, "workload"))
            return None
        for rank in spec.ranks:
            if ("ranks", rank) not in handed.used:
                self.add(
                    f"'{spec.workload}' has no rank '{rank}'",
                    suggest(rank, sorted(reader.known), "ranks"),
                    (*path, "ranks", rank),
                )
        inherited.used.update(handed.used)
        name = spec.name or workload.name
        single = len(workload.cascades) == 1
        return tuple(
            replace(
                cascade,
                name=name if single else f"{name}.{cascade.name}",
                repeat=cascade.repeat * spec.repeat * spec.runs,
                runs=cascade.runs * spec.runs,
            )
            for cascade in workload.cascades
        )

    # -- kernels

    def _kernel(self, data: dict[str, Any], path: Path, inherited: _Inherited, name: Any) -> Cascade | None:
        spec = self._validated(KernelSpec, data, path)
        lines = [item.einsum for item in spec.cascade] if spec is not None else _readable_lines(data)
        ranks = self._ranks(data, spec, path, inherited, lines)
        if spec is None:
            self._check_lines(data, path, ranks, lines)
            return None
        parts = self._parts(spec, ranks, inherited, path)
        if parts is None:
            return None
        try:
            return Cascade(name=str(name), repeat=spec.repeat * spec.runs, runs=spec.runs, **parts)
        except SpecError as error:
            self.problems += [self._in_file(problem, spec, data, path) for problem in error.problems]
            return None

    def _ranks(
        self,
        data: dict[str, Any],
        spec: KernelSpec | None,
        path: Path,
        inherited: _Inherited,
        lines: Sequence[Einsum | None],
    ) -> dict[str, int] | None:
        """Sizes of the ranks, with what is handed down; a name stands for the size of that rank."""
        written = spec.ranks if spec is not None else data.get("ranks", {})
        if not isinstance(written, dict):
            return None
        self.known |= set(written)
        used = {
            name.lower()
            for line in lines
            if line is not None
            for name in (*line.variables, *_rank_names(line))
        }
        merged: dict[str, int | str] = dict(written)
        for rank, size in inherited.ranks.items():
            if rank in written or rank.lower() in used:
                inherited.used.add(("ranks", rank))
                if inherited.overrides or rank not in written:
                    merged[rank] = size
        sizes: dict[str, int] = {}
        table = {**inherited.ranks, **merged}
        for rank, value in merged.items():
            size = _follow(rank, table)
            if isinstance(size, int) and not isinstance(size, bool):
                sizes[rank] = size
            elif spec is not None:
                hint = suggest(str(value), sorted(other for other in merged if other != rank), "ranks")
                self.add(f"'{value}' is no rank with a size", hint, (*path, "ranks", rank))
            else:
                sizes[rank] = 1  # its mistake is reported already
        return sizes

    def _parts(
        self, spec: KernelSpec, ranks: dict[str, int] | None, inherited: _Inherited, path: Path
    ) -> dict[str, Any] | None:
        """Arguments of `Cascade`."""
        if ranks is None or len(ranks) < len(spec.ranks):
            return None
        einsums = tuple(item.einsum for item in spec.cascade)
        tensors = {name for einsum in einsums for name in (einsum.output.tensor, *einsum.tensors)}
        operators = {name for einsum in einsums for name in einsum.operators()}
        bits = dict(spec.bits)
        for name, width in inherited.bits.items():
            if name in tensors or name == "default" or name in ROLES:
                bits.setdefault(name, width)
                inherited.used.add(("bits", name))
        costs: dict[str, Mapping[str, int]] = dict(spec.operators)
        for name, cost in inherited.operators.items():
            if name in operators:
                costs.setdefault(name, cost)
                inherited.used.add(("operators", name))
        init: dict[str, float] = {}
        for position, item in enumerate(spec.cascade):
            for name, value in item.init.items():
                if name != item.einsum.output.tensor:
                    self.add(
                        f"this line does not define {name}",
                        f"it defines {item.einsum.output.tensor}",
                        (*path, "cascade", position, "init", name),
                    )
                init[name] = value
        return {
            "ranks": ranks,
            "einsums": einsums,
            "split": self._split(spec, ranks, path),
            "bits": bits,
            "weights": None if spec.weights is None else tuple(spec.weights),
            "operators": costs,
            "init": init,
            "pad": spec.pad,
            "shapes": {k: tuple(v) for k, v in spec.shapes.items()},
            "outputs": tuple(spec.outputs),
        }

    def _split(self, spec: KernelSpec, ranks: Mapping[str, int], path: Path) -> dict[str, Split]:
        """Sub-ranks with their sizes; a name stands for the size of that rank."""
        sizes: dict[str, Split] = {}
        for rank, subs in spec.split.items():
            for position, (sub, size) in enumerate(subs):
                if isinstance(size, str) and size not in ranks:
                    hint = suggest(size, sorted(ranks), "ranks")
                    self.add(f"'{size}' is no rank with a size", hint, (*path, "split", rank, position, sub))
            sizes[rank] = _sized(subs, ranks)
        return sizes

    def _check_lines(
        self, data: dict[str, Any], path: Path, ranks: dict[str, int] | None, lines: list[Einsum | None]
    ) -> None:
        """Beside mistakes of structure, report those of the lines that could be read."""
        split = data.get("split", {})
        operators = data.get("operators", {})
        if ranks is None or not lines or not isinstance(split, dict) or not isinstance(operators, dict):
            return
        sub_ranks: dict[str, Split] = {}
        for rank, subs in split.items():
            try:
                parsed = [parse_sub_rank(sub) for sub in subs]
            except (Invalid, TypeError):
                return
            sub_ranks[rank] = _sized(parsed, ranks)
        costs: dict[str, dict[str, int]] = {name: {} for name in operators}
        parts = Parts(ranks, sub_ranks, {}, None, costs, {}, {}, {}, (), [*lines, None])
        places = {problem.path for problem in self.problems}
        for problem in analyse(parts)[1]:
            found = item_path(replace(problem, path=(*path, *problem.path)), data, path)
            if found.path not in places:
                self.problems.append(found)

    def _in_file(self, problem: Problem, spec: KernelSpec, data: dict[str, Any], path: Path) -> Problem:
        """A problem of the cascade with its path in the file."""
        if problem.path[:1] == ("init",):
            tensor = problem.path[1]
            for position, item in enumerate(spec.cascade):
                if tensor in item.init:
                    return replace(problem, path=(*path, "cascade", position, "init", tensor))
        return item_path(replace(problem, path=(*path, *problem.path)), data, path)

    def _guard(self, build: Any, path: Path) -> Workload | None:
        try:
            workload: Workload = build()
            return workload
        except SpecError as error:
            self.problems += [replace(problem, path=path) for problem in error.problems]
            return None


def _stem(document: Document) -> str:
    return FilePath(document.file).stem or "workload"


def _rank_names(einsum: Einsum) -> Iterable[str]:
    """Ranks that a line names in capitals."""
    for reference in (einsum.output, *einsum.inputs):
        for index in reference.indices:
            yield from index.affine.ranks
            if index.rank:
                yield index.rank


def _follow(rank: str, table: Mapping[str, Any]) -> Any:
    """The size of ``rank``, through names of other ranks; None if they lead nowhere."""
    seen: set[str] = set()
    size: Any = rank
    while isinstance(size, str):
        if size in seen or size not in table:
            return None
        seen.add(size)
        size = table[size]
    return size


def _sized(subs: Iterable[tuple[str, int | str | None]], ranks: Mapping[str, int]) -> Split:
    """Sub-ranks with numbers for names of ranks."""
    return tuple((sub, ranks.get(size) if isinstance(size, str) else size) for sub, size in subs)


def _resolved(ranks: Mapping[str, int | str], above: Mapping[str, int | str]) -> dict[str, int | str]:
    """A part's ranks; a name stands for the network's rank of that name, if it has one."""
    return {
        rank: _follow(size, above) or size if isinstance(size, str) else size for rank, size in ranks.items()
    }


def _readable_lines(data: Mapping[str, Any]) -> list[Einsum | None]:
    """The Einsums of a block whose structure is wrong somewhere; None where a line does not parse."""
    items = data.get("cascade")
    lines: list[Einsum | None] = []
    for item in items if isinstance(items, list) else ():
        try:
            lines.append(parse_line(item["einsum"] if isinstance(item, dict) and "einsum" in item else item))
        except Invalid:
            lines.append(None)
    return lines
