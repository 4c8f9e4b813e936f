"""A YAML file with the place of every key and value, and the one way its problems are reported.

YAML is read by the 1.2 core rules (``on`` and ``NO`` are strings, ``1e3`` is a number); a duplicate key is an error.
``Document.data`` is plain Python (dict, list, str, int, float, bool, None); ``Document.locate`` gives a `Problem`
its file, line and column; ``validate`` checks a part of it against a pydantic model and reports everything at once.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, NoReturn, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from einloom.errors import Path, Problem, SpecError

MAX_BYTES = 16 * 2**20
"""A specification is text that a person wrote; anything larger is the wrong file."""


class Invalid(ValueError):
    """Raised by the validators of a field: what is wrong, what to type instead, and where inside the value."""

    def __init__(self, message: str, hint: str = "", offset: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.hint, self.offset, self.length = hint, offset, length


class Strict(BaseModel):
    """Base of all notation models: unknown keys are errors, values are not coerced, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a key and its value stand (1-based line and column), and how long the value's text is."""

    key_line: int
    key_column: int
    line: int
    column: int
    length: int
    flow: bool = False


@dataclass(frozen=True)
class Document:
    """One file as data with positions.

    Attributes:
        file: Name as the user gave it.
        text: The whole text.
        data: Its content.
        marks: Place of each value by its path.
        edits: Values that do not stand in the file (`--set`), by path: how the user wrote them.
        made: What readers made of it, by what they call it, so that a file is read once for many designs.
    """

    file: str
    text: str
    data: Any
    marks: Mapping[Path, Mark]
    edits: Mapping[Path, str] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def with_value(self, path: Path, value: Any, origin: str) -> Document:
        """The document with another value at ``path``; problems there name ``origin`` in place of the file."""
        data = copy.deepcopy(self.data)
        if not path:
            return replace(self, data=value, edits={**self.edits, (): origin}, made={})
        parent = data
        for key in path[:-1]:
            if isinstance(parent, dict) and parent.get(key) is None:
                parent[key] = {}
            parent = parent[key]
        parent[path[-1]] = value
        return replace(self, data=data, edits={**self.edits, path: origin}, made={})

    def locate(self, problem: Problem, at_key: bool = False) -> Problem:
        """``problem`` with file, line, column and source line; the nearest enclosing place if its own is unknown."""
        if problem.file:
            return problem
        path, at_key = problem.path, at_key or problem.at_key
        for edited, origin in self.edits.items():
            if path[: len(edited)] == edited:
                return replace(problem, file=origin)
        while path not in self.marks and path:
            path = path[:-1]
            at_key = True
        mark = self.marks.get(path)
        if mark is None:
            return replace(problem, file=self.file)
        line, column, length = (
            (mark.key_line, mark.key_column, len(str(path[-1])) if path else 1)
            if at_key
            else (mark.line, mark.column + problem.offset, problem.length if problem.offset else mark.length)
        )
        lines = self.text.splitlines()
        source = lines[line - 1] if line <= len(lines) else ""
        length = max(1, min(length, len(source) - column + 1))
        return replace(problem, file=self.file, line=line, column=column, source=source, length=length)

    def fail(self, problems: Iterable[Problem]) -> NoReturn:
        """Raise all problems, located, in file order."""
        located = [self.locate(problem) for problem in problems]
        raise SpecError(sorted(located, key=lambda p: (p.file != self.file, p.line, p.column)))


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalar rules of the YAML 1.2 core schema."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _construct_int(loader: yaml.SafeLoader, node: yaml.Node) -> int:
    text = str(node.value)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value.replace(".inf", "inf")
                        .replace(".Inf", "inf").replace(".INF", "inf").replace(".nan", "nan").replace(".NaN", "nan")
                        .replace(".NAN", "nan")))  # fmt: skip


def read(file: str | FilePath) -> Document:
    """The document in ``file``.

    Raises:
        SpecError: Unreadable, empty, not UTF-8, not YAML, or with a duplicate key.
    """
    name = str(file)
    path = FilePath(file)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SpecError(Problem(f"is larger than {MAX_BYTES // 2**20} MiB", "this is no einloom file", file=name))
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(Problem(f"is not UTF-8 text (byte {error.start})", file=name)) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = "give the path of a file from here, or of the catalogue: `einloom list designs`"
        raise SpecError(Problem(f"cannot be read: {reason}", hint, file=name)) from None
    except ValueError as error:
        raise SpecError(Problem(f"cannot be read: {error}", file=name)) from None
    return parse(text, name)


def parse(text: str, file: str = "<text>") -> Document:
    """The document that ``text`` is. Raises `SpecError` with the place of each mistake."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise SpecError(Problem("is empty", "a file starts with `version: 1`", file=file))
            builder = _Builder(loader, file, text)
            data = builder.build(node, (), node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise SpecError(_syntax_problem(error, file, text)) from None
    except RecursionError:
        raise SpecError(Problem("is nested too deeply", file=file)) from None
    document = Document(file, text, data, builder.marks)
    if builder.problems:
        document.fail(builder.problems)
    return document


def _syntax_problem(error: yaml.YAMLError, file: str, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read as YAML"
    hint = "check indentation, brackets and quotes; inside [...] or {...} an Einsum must be quoted"
    if mark is None:
        return Problem(f"is not YAML: {what}", hint, file=file)
    lines = text.splitlines()
    source = lines[mark.line] if mark.line < len(lines) else ""
    return Problem(f"is not YAML: {what}", hint, file=file, line=mark.line + 1, column=mark.column + 1, source=source)


class _Builder:
    """Nodes to plain data, noting where each value stands and what is doubled."""

    def __init__(self, loader: yaml.SafeLoader, file: str, text: str) -> None:
        self._loader, self._file, self._text = loader, file, text
        self.marks: dict[Path, Mark] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path, key: yaml.Node) -> Any:
        start, end = node.start_mark, node.end_mark
        length = end.column - start.column if end.line == start.line else 1
        flow = bool(getattr(node, "flow_style", False))
        self.marks[path] = Mark(
            key.start_mark.line + 1, key.start_mark.column + 1, start.line + 1, start.column + 1, max(1, length), flow
        )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self.problems.append(Problem("contains itself", "write the value out in place of the alias", path))
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, i), item) for i, item in enumerate(node.value)]
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rsplit(":", 1)[1] not in (
            "null", "bool", "int", "float", "str",
        ):  # fmt: skip
            self.problems.append(Problem(f"has the tag '{node.tag}'", "einloom files are plain data: no tags", path))
            return None
        if "\0" in node.value:
            self.problems.append(Problem("has a null character", "write plain text", path))
            return None
        try:
            return self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            self.problems.append(Problem(f"'{node.value[:40]}' is not a value: {error}", "", path))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem("has a key that is no word", "keys are words or names", path))
                continue
            key = str(key_node.value)
            if key in result:
                line = key_node.start_mark.line
                source = self._text.splitlines()[line]
                self.problems.append(
                    Problem(f"the key '{key}' stands twice", f"keep one of them; the first is on line "
                            f"{self.marks[(*path, key)].key_line}", (*path, key), self._file, line + 1,
                            key_node.start_mark.column + 1, source, len(key))
                )  # fmt: skip
                continue
            result[key] = self.build(value_node, (*path, key), key_node)
        return result


Model = TypeVar("Model")


def validate(document: Document, model: type[Model] | Any, path: Path = (), data: Any = ...) -> Any:
    """The part of ``document`` at ``path`` as an instance of ``model``.

    Raises:
        SpecError: With every problem of that part, in file order.
    """
    value = at(document.data, path) if data is ... else data
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        document.fail(problems_of(error, path, model))


def at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def problems_of(error: ValidationError, prefix: Path, model: Any) -> list[Problem]:
    """A pydantic error in our words, one problem a path (the most specific of a union's attempts)."""
    problems: dict[Path, Problem] = {}
    for item in error.errors(include_url=False):
        labels = list(item["loc"])
        if item["type"] in ("extra_forbidden", "missing"):  # ends in a key, whatever it looks like
            key = labels.pop()
            path = (*prefix, *(label for label in labels if not _is_union_label(label)), key)
        else:
            path = (*prefix, *(label for label in labels if not _is_union_label(label)))
        problem = _problem(item, path, model, prefix)
        problems.setdefault(path, problem)
    return list(problems.values())


def _is_union_label(key: str | int) -> bool:
    """Pydantic puts the name of a union's branch into the path; our keys never look like one."""
    return isinstance(key, str) and ("[" in key or key in _UNION_LABELS or key.startswith("function-"))


_UNION_LABELS = {"str", "int", "float", "bool", "none", "constrained-int", "constrained-str"}


def _problem(item: Any, path: Path, model: Any, prefix: Path) -> Problem:  # noqa: PLR0911 - one case a line
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Invalid):
        return Problem(str(cause), cause.hint, path, offset=cause.offset, length=cause.length)
    if isinstance(cause, SpecError):  # pragma: no cover - a validator that forgot to convert
        return replace(cause.problems[0], path=path)
    if kind == "missing":
        return Problem("is missing", f"add `{path[-1]}:` here", path)
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, path[len(prefix) : -1]))
        message, hint = f"the key '{path[-1]}' is not known here", suggest(str(path[-1]), known, "keys")
        return Problem(message, hint, path, at_key=True)
    if kind in ("model_type", "dict_type", "mapping_type", "dataclass_type"):
        return Problem(f"{show(value)} is not a mapping", "write `key: value` lines", path)
    if kind in ("list_type", "tuple_type"):
        return Problem(f"{show(value)} is not a list", "write `- item` lines or [a, b]", path)
    if kind == "too_short":
        return Problem("is empty", "give at least one entry", path)
    if kind in ("string_type", "string_sub_type"):
        return Problem(f"{show(value)} is not text", text_hint(value), path)
    if kind.startswith(("int_", "float_", "bool_")) or kind in ("finite_number", "is_instance_of"):
        name = {"int": "a whole number", "bool": "true or false"}.get(kind.split("_")[0], "a number")
        return Problem(f"{show(value)} is not {name}", f"write {name}", path)
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        sign = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below",
                "less_than_equal": "at most"}[kind]  # fmt: skip
        bound = next(iter(v for k, v in context.items() if k in ("gt", "ge", "lt", "le")))
        return Problem(f"{show(value)} is out of range", f"must be {sign} {bound}", path)
    if kind == "literal_error":
        return Problem(f"{show(value)} is not allowed", f"write one of: {context.get('expected', '')}", path)
    return Problem(f"{show(value)}: {item['msg']}", "", path)


def _fields_at(model: Any, path: Path) -> set[str]:
    """Keys that the model at ``path`` below ``model`` knows."""
    current = [model]
    for key in path:
        following: list[Any] = []
        for candidate in current:
            stack = [candidate]
            while stack:
                kind = stack.pop()
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    for name, info in kind.model_fields.items():
                        if key in (name, info.alias):
                            following.append(info.annotation)
                else:
                    stack.extend(get_args(kind))
            if not isinstance(key, str) or not following:
                following.extend(get_args(candidate))
        current = following
    found: set[str] = set()
    stack = list(current)
    while stack:
        kind = stack.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= {info.alias or name for name, info in kind.model_fields.items()}
        else:
            stack.extend(get_args(kind))
    return found


def show(value: Any) -> str:
    """A value as the user wrote it, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = " ".join(str(value).splitlines())
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"


def text_hint(value: Any) -> str:
    if isinstance(value, dict):
        return "YAML read this line as a mapping: put the whole line in quotes"
    return "write a line of text"


def suggest(name: str, known: Sequence[str], what: str) -> str:
    """The closest known name, then all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    head = f"did you mean '{close[0]}'? " if close else ""
    return f"{head}{what}: {', '.join(known)}" if known else head.strip()
