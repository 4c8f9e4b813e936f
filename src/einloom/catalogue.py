"""Where the files that ship with einloom are: architectures, workloads, mappings, searches, designs.

An installed wheel carries them as package data in ``einloom/_catalogue``; a source tree has them at its
top. A path that the user gives is first looked for where the user stands.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
FOLDERS = ("arch", "workloads", "mappings", "search", "designs")


def catalogue_root() -> Path:
    """The folder that holds ``arch/``, ``workloads/``, ``mappings/``, ``search/`` and ``designs/``."""
    installed = PACKAGE / "_catalogue"
    return installed if installed.is_dir() else PACKAGE.parents[1]


def find(path: str | Path, beside: Path | None = None) -> Path:
    """The file that ``path`` means: as it stands, next to ``beside``, or in the catalogue.

    Args:
        path: As the user wrote it. An absolute path is taken as it is.
        beside: Folder of the file that mentions ``path``.

    Returns:
        The first of these that exists, or ``path`` itself when none does (reading it then says so).
    """
    wanted = Path(path)
    if wanted.is_absolute():
        return wanted
    places = [wanted]
    if beside is not None:
        places.append(beside / wanted)
    if wanted.parts and wanted.parts[0] in FOLDERS:
        places.append(catalogue_root() / wanted)
    for place in places:
        if place.is_file():
            return place
    return wanted


def entries(folder: str) -> tuple[str, ...]:
    """Catalogue paths (``arch/peer16.yaml``) of the YAML files in ``folder``, sorted."""
    root = catalogue_root()
    found = (file.relative_to(root).as_posix() for file in (root / folder).rglob("*.yaml"))
    return tuple(sorted(found))
