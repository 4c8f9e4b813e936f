"""What einloom knows by name: templates, catalogue files, components, operators; each with where it comes from."""

from __future__ import annotations

import re

from einloom.catalogue import catalogue_root, entries

Rows = list[tuple[str, str, str]]
"""(name, one line, source)"""


def listing(what: str) -> Rows:
    """Rows for ``templates``, ``architectures``, ``workloads``, ``designs``, ``components`` or ``operators``."""
    if what == "templates":
        return _templates()
    if what == "components":
        from einloom.arch.components import library  # noqa: PLC0415

        return [(name, kind, source) for kind, name, source in library().listing()]
    if what == "operators":
        return _operators()
    folder = {"architectures": "arch", "workloads": "workloads", "designs": "designs"}[what]
    return [(name, _first_comment(name), "") for name in entries(folder)]


def _templates() -> Rows:
    from einloom.arch.registry import entries as templates  # noqa: PLC0415

    rows = []
    for entry in templates():
        text = entry.template.summary if entry.template else entry.problem
        rows.append((entry.name, text, entry.owner))
    return rows


def _operators() -> Rows:
    from einloom.workloads.operators import operator_named, operator_names  # noqa: PLC0415

    rows = []
    for name in operator_names():
        operator = operator_named(name)
        assert operator is not None
        kinds = "map and reduction" if operator.reduction is not None else "map"
        rows.append((name, f"{kinds}, {'two or more' if operator.arity < 0 else operator.arity} operands", ""))
    return rows


def _first_comment(name: str) -> str:
    """The first sentence of the comment that opens a catalogue file."""
    lines = []
    for line in (catalogue_root() / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    text = " ".join(lines)
    return re.split(r"(?<!\b[A-Z])\. ", text)[0].rstrip(".")  # not after an initial, as in N. Jouppi
