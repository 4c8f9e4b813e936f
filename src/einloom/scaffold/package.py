"""Write the package of a new template: checks its name, renders the files, and leaves nothing half done."""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template as Text

from einloom.arch.registry import entries
from einloom.errors import SpecError

FILES: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
    "src/$package/__init__.py": "init.py.txt",
    "src/$package/$name.py": "module.py.txt",
    "src/$package/py.typed": "",
    "designs/${name}_gemm.yaml": "design.yaml.txt",
    "search/$name.yaml": "search.yaml.txt",
    "tests/test_${name}_contract.py": "test_contract.py.txt",
    "tests/test_${name}_by_hand.py": "test_by_hand.py.txt",
    "tests/test_${name}_laws.py": "test_laws.py.txt",
}
"""What is written, and the text in ``files/`` that it is rendered from; an empty file has none."""

LONGEST = 30
"""Characters of a name: the generated lines stay within 120."""

_NAME = re.compile(r"[a-z](?:[a-z0-9_]*[a-z0-9])?")


def new_template(name: str, into: str | Path = ".") -> tuple[Path, ...]:
    """Write the package of the template ``name`` into the new folder ``into/name``.

    Args:
        name: Of the template, of its module and of the folder.
        into: Where that folder is made; made too where it is missing.

    Returns:
        The files, the folder's own path first in each.

    Raises:
        SpecError: The name is no identifier or is taken, the folder exists, or it cannot be written.
    """
    check_name(name)
    parent = Path(into)
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise SpecError(f"the folder '{folder}' exists", "choose another name, or another folder with `--into FOLDER`")
    rendered = {Path(path): text for path, text in render(name).items()}
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=parent) as scratch:
            made = Path(scratch) / name
            for path, text in rendered.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            shutil.move(made, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError(f"'{folder}' cannot be written: {reason}", "choose a folder with `--into FOLDER`") from error
    return tuple(folder / path for path in rendered)


def check_name(name: str) -> None:
    """Raise `SpecError` unless a new template may be called ``name``."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        close = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f", for example: {close}" if _NAME.fullmatch(close) and not keyword.iskeyword(close) else ""
        what = "is a word of Python" if keyword.iskeyword(name) or keyword.issoftkeyword(name) else "is not one"
        hint = "" if hint == f", for example: {name}" else hint
        raise SpecError(
            f"a template needs the name of a Python module, and '{name}' {what}",
            f"write small letters, digits and '_', a letter first{hint}",
        )
    if len(name) > LONGEST:
        raise SpecError(f"the name '{name}' has {len(name)} characters", f"write at most {LONGEST}")
    for entry in entries():
        if entry.name == name:
            known = ", ".join(dict.fromkeys(entry.name for entry in entries()))
            raise SpecError(f"a template '{name}' is installed, from {entry.owner}", f"these names are taken: {known}")


def render(name: str) -> dict[str, str]:
    """Text of every file of the package, by its path in it."""
    words = {"name": name, "package": f"einloom_{name}", "distribution": f"einloom-{name.replace('_', '-')}"}
    texts = files("einloom.scaffold") / "files"
    return {
        Text(path).substitute(words): Text((texts / source).read_text(encoding="utf-8")).substitute(words)
        if source
        else ""
        for path, source in FILES.items()
    }
