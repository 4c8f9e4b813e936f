"""Which files hold published figures: those that are named, those of a folder, or all of the catalogue and the user."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from einloom.catalogue import catalogue_root, entries, find
from einloom.errors import Problem, SpecError

HELD = re.compile(r"^published\s*:", re.MULTILINE)
"""A top-level key, as every file of the catalogue writes it."""


def published_files(wanted: Iterable[str | Path] = ()) -> list[str]:
    """Names of the files with figures, sorted within each folder.

    Args:
        wanted: Files, taken as they are, and folders, searched through; nothing: the ``designs`` of the catalogue and
            of the folder where the user stands. A user's file hides the one of the catalogue with the same path.

    Raises:
        SpecError: A folder without figures.
    """
    found: list[str] = []
    for name in map(str, wanted):
        folder = _folder(name)
        if folder is None:
            found.append(name)
            continue
        inside = _holders(folder, name)
        if not inside:
            hint = "name a design with `published:`: `einloom validate` alone shows all of them"
            raise SpecError(Problem("no file in this folder has published figures", hint, file=name))
        found += inside
    if not wanted:
        own = Path("designs")
        names = {*entries("designs"), *(file.as_posix() for file in own.rglob("*.yaml"))}
        found = sorted(name for name in names if _holds(find(name)))
    return list(dict.fromkeys(found))


def _folder(name: str) -> Path | None:
    """The folder that ``name`` means: the user's own, else of the catalogue; None where it is none."""
    places = [Path(name), catalogue_root() / name]
    return next((place for place in places if place.is_dir()), None)


def _holders(folder: Path, name: str) -> list[str]:
    return [(Path(name) / file.relative_to(folder)).as_posix() for file in sorted(folder.rglob("*.yaml"))
            if _holds(file)]  # fmt: skip


def _holds(file: Path) -> bool:
    try:
        return HELD.search(file.read_text(encoding="utf-8-sig")) is not None
    except (OSError, UnicodeDecodeError):
        return False
