"""Where a problem of a workload stands: from the path in the cascade to the character in the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from einloom.errors import Path, Problem, SpecError
from einloom.spec.document import Document, at


def item_path(problem: Problem, data: Any, prefix: Path) -> Problem:
    """Paths of cascade items as they stand in the file: ``einsum`` only where the file has that key."""
    path = problem.path[len(prefix) :]
    if len(path) < 2 or path[0] != "cascade" or not isinstance(path[1], int):
        return problem
    item = data["cascade"][path[1]] if path[1] < len(data["cascade"]) else None
    keyed = isinstance(item, dict) and "einsum" in item
    rest = path[2:]
    if keyed and not rest:
        rest = ("einsum",)
    elif not keyed and rest[:1] == ("einsum",):
        rest = rest[1:]
    return replace(problem, path=(*prefix, *path[:2], *rest))


def seen_from(error: SpecError, path: Path) -> list[Problem]:
    """Problems of another file: they keep their place there, or get this one."""
    return [
        problem
        if problem.line
        else replace(problem, path=path, message=f"{problem.file}: {problem.message}", file="")
        for problem in error.problems
    ]


def located(document: Document, problem: Problem) -> Problem:
    """``problem`` at its character, if it stands inside a scalar of one line; quotes are skipped."""
    mark = document.marks.get(problem.path)
    lines = document.text.splitlines()
    value = value_at(document.data, problem.path)
    if (
        problem.file
        or mark is None
        or not isinstance(value, str)
        or mark.line > len(lines)
        or problem.path[-2:-1] == ("ranks",)
    ):
        return problem
    source = lines[mark.line - 1]
    start = mark.column - 1
    if source[start : start + 1] in ("'", '"'):
        start += 1
    if not source[start:].startswith(value):
        return replace(problem, offset=0)
    if problem.offset == 0 and problem.length == 1:
        return problem  # the whole value
    column = start + problem.offset + 1
    return replace(
        problem, file=document.file, line=mark.line, column=column, source=source, length=problem.length
    )


def value_at(data: Any, path: Path) -> Any:
    try:
        return at(data, path)
    except (KeyError, IndexError, TypeError):
        return None
