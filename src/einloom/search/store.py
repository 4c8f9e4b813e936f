"""Where a study lives: ``results/<study>/study.json`` is what was asked, ``journal.log`` what was found.

Exactly one process writes a study; it holds a lock on the journal that the operating system drops when the
process ends, however it ends. So nothing is left behind by a kill but, at worst, half a line at the end of
the journal, which the next writer cuts off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from einloom.errors import Problem, SpecError
from einloom.search.plan import Plan

SPEC = "study.json"
JOURNAL = "journal.log"


@contextmanager
def opened(folder: Path, plan: Plan, *, new: bool = False) -> Iterator[Path]:
    """The journal of a study to write to, made if it is not there, locked while the context is open.

    Args:
        folder: Of the study.
        plan: What is asked; must be what the stored study was begun with.
        new: Start over; the study that was there is kept beside, as ``<folder>.1`` and so on.

    Raises:
        SpecError: Another process writes this study, or it was begun with other files or another einloom.
    """
    while True:
        _make(folder)
        with open(folder / JOURNAL, "a+b") as journal:
            _lock(journal, folder)
            if not new:
                _check_or_write(folder, plan)
                _cut_half_line(journal)
                yield folder / JOURNAL
                return
            if (folder / SPEC).exists():
                folder.rename(_free_name(folder))
        new = False


def read_plan(folder: Path) -> Plan:
    """What a stored study was begun with.

    Raises:
        SpecError: No study there, or one that cannot be read.
    """
    return Plan.from_dict(_read_spec(folder)["plan"])


def _read_spec(folder: Path) -> dict[str, Any]:
    if not (folder / JOURNAL).exists():
        hint = "give the folder that `einloom explore` wrote, for example results/bert_systolic"
        raise SpecError(Problem("there is no study in this folder", hint, file=str(folder)))
    try:
        found: dict[str, Any] = json.loads((folder / SPEC).read_text(encoding="utf-8"))
        if {"version", "hash", "plan"} <= found.keys():
            return found
    except (OSError, ValueError, AttributeError):
        pass
    hint = "the study was damaged or is not einloom's; `einloom explore --new` starts over"
    raise SpecError(Problem("cannot be read as a study", hint, file=str(folder / SPEC)))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(Problem(f"cannot be made: {error.strerror}", file=str(folder))) from None


def _lock(journal: IO[bytes], folder: Path) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:  # pragma: no cover - Windows
        return
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        hint = "wait for it or stop it; a copy of the search file under another name is a study of its own"
        raise SpecError(Problem("another process is exploring this study", hint, file=str(folder))) from None


def _check_or_write(folder: Path, plan: Plan) -> None:
    if (folder / SPEC).exists():
        stored = _read_spec(folder)
        if changed := _changes(stored, plan):
            hint = "`--new` starts over (what was found is kept beside); or change it back to continue"
            raise SpecError(Problem(f"{changed} since this study began", hint, file=str(folder)))
        if Plan.from_dict(stored["plan"]) == plan:
            return
    content = {
        "version": 1,
        "einloom": version("einloom"),
        "hash": plan.digest,
        "seed": plan.sampler.seed,
        "plan": plan.to_dict(),
    }
    half = folder / (SPEC + ".half")
    half.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(half, folder / SPEC)


def _changes(stored: dict[str, Any], plan: Plan) -> str:
    """What differs from the stored study, as the start of a sentence; empty if nothing does."""
    if stored["einloom"] != version("einloom"):
        return f"einloom changed from {stored['einloom']} to {version('einloom')}"
    if stored["hash"] == plan.digest:
        return ""
    before = stored["plan"]["files"]
    known, wanted = {digest for _, digest in before}, {digest for _, digest in plan.files}
    names = [name for name, digest in plan.files if digest not in known]
    names = names or [name for name, digest in before if digest not in wanted]
    return f"{', '.join(names)} changed" if names else "the search changed"


def _cut_half_line(journal: IO[bytes]) -> None:
    """Drop what follows the last line end: a record that a kill cut short."""
    size = end = journal.seek(0, os.SEEK_END)
    block = 4096
    while end:
        start = max(0, end - block)
        journal.seek(start)
        cut = journal.read(end - start).rfind(b"\n")
        if cut >= 0:
            end = start + cut + 1
            break
        end = start
    if end < size:
        journal.truncate(end)


def _free_name(folder: Path) -> Path:
    number = 1
    while (name := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    return name
