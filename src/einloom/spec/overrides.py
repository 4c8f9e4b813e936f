"""Values set from outside a file: ``architecture.levels.GLB.capacity=256 KiB``, ``workload.ranks.M=512``.

A path walks the data of a design by keys; an entry of a list is named by its own name (``levels.GLB``,
``parts.encoder``) or by its index. The value is read as YAML reads a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einloom.errors import Path, Problem, SpecError
from einloom.spec.document import Document, at, parse, show, suggest

PARTS = ("workload", "architecture", "mapping")
_NAMING = ("memory", "fanout", "compute", "name")


def parse_setting(text: str) -> tuple[str, Any]:
    """``path=value`` as typed after ``--set``. Raises `SpecError`."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SpecError(Problem(f"{show(text)} is not a setting", "write path=value, e.g. architecture.rows=32",
                                file="--set"))  # fmt: skip
    if not value.strip():
        raise SpecError(Problem("has no value", "write path=value, e.g. architecture.rows=32", file=f"--set {text}"))
    return name.strip(), parse(value, f"--set {text}").data


def apply(document: Document, part: str, prefix: Path, settings: Mapping[str, Any]) -> Document:
    """``document`` with the settings of one part of the design.

    Args:
        part: ``workload``, ``architecture`` or ``mapping``.
        prefix: Where the part's data stand in this document.
        settings: By full path. Those of other parts, and those that replace the whole part, are left alone.

    Raises:
        SpecError: A path that leads nowhere.
    """
    for name, value in settings.items():
        head, *keys = name.split(".")
        if head == part and keys:
            origin = f"--set {name}={show(value).strip(chr(39))}"
            path = _resolve(document.data, prefix, keys, origin)
            document = document.with_value(path, value, origin)
    return document


def check_heads(settings: Mapping[str, Any]) -> None:
    """Every path begins with a part of a design. Raises `SpecError`."""
    for name in settings:
        head = name.split(".")[0]
        if head not in PARTS:
            raise SpecError(
                Problem(f"'{head}' is no part of a design", suggest(head, PARTS, "parts"), file=f"--set {name}")
            )


def _resolve(data: Any, prefix: Path, keys: list[str], origin: str) -> Path:
    """The path of the value; keys that are missing in mappings are made."""
    path: list[str | int] = list(prefix)
    here: Any = at(data, prefix)
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(here, dict):
            path.append(key)
            here = here.get(key)
            if here is None and not last:
                here = {}
        elif isinstance(here, list):
            inside = _entry(here, key)
            if inside is None:
                names = list(_names(here))
                raise SpecError(Problem(f"no entry is named '{key}'", suggest(key, names, "entries"), file=origin))
            path.extend(inside)
            here = at(here, inside)
        else:
            where = ".".join(map(str, path))
            raise SpecError(Problem(f"'{where}' is {show(here)}: it has no '{key}'", "shorten the path", file=origin))
    return tuple(path)


def _entry(items: list[Any], key: str) -> Path | None:
    """Where the entry named ``key`` stands in a list, also below ``branches:``."""
    if key.isdigit() and int(key) < len(items):
        return (int(key),)
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        if any(item.get(kind) == key for kind in _NAMING):
            return (i,)
        trees = item.get("branches")
        for n, tree in enumerate(trees if isinstance(trees, list) else ()):
            inside = _entry(tree, key) if isinstance(tree, list) else None
            if inside is not None:
                return (i, "branches", n, *inside)
    return None


def _names(items: list[Any]) -> list[str]:
    names = []
    for item in items:
        if isinstance(item, dict):
            names += [str(item[kind]) for kind in _NAMING if kind in item]
            for tree in item.get("branches") or []:
                names += _names(tree) if isinstance(tree, list) else []
    return names
