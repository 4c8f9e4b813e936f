"""What kind of file a YAML document is, by its keys."""

from __future__ import annotations

from typing import Literal

from einloom.errors import Problem
from einloom.spec.document import Document, show

Kind = Literal["search", "design", "workload", "architecture", "mapping", "published"]
KINDS: tuple[Kind, ...] = ("search", "design", "workload", "architecture", "mapping", "published")


def kind_of(document: Document) -> Kind:
    """The kind of file.

    Raises:
        SpecError: It is none that einloom knows.
    """
    data = document.data
    if not isinstance(data, dict):
        document.fail([Problem(f"{show(data)} is no einloom file", "a file starts with `version: 1`")])
    if "search" in data:
        return "search"
    if {"workload", "architecture"} <= data.keys():
        return "design"
    found: list[Kind] = [kind for kind in KINDS if kind in data]
    if len(found) == 1:
        return found[0]
    if found:
        return "design"
    hint = "it has one of: search, workload, architecture, mapping; a design has workload and architecture"
    document.fail([Problem("is none of einloom's files", hint)])
