"""What is worth keeping between processes: JSON objects in one folder, a file a key, the oldest out.

Nothing here fails: what cannot be written is not kept, and a file that is damaged, cut short or somebody else's is as
good as none and is written anew. Files appear whole (written beside, then renamed), so processes share the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

HEAD = b"einloom 1 "
"""Of every file, followed by a digest of the rest and a line end."""

MOST_BYTES = 64 * 2**20
LEFT_AFTER = 0.75
"""Part of `MOST_BYTES` that is left when the oldest files went."""

LOOK_EVERY = 256
"""Writes of one process between two looks at how much there is."""


def user_caches() -> Path:
    """The user's folder for files that can be made again; ``XDG_CACHE_HOME`` where that is set.

    Raises:
        RuntimeError: There is no home.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


class Files:
    """JSON objects by name, in ``einloom/mappings`` of the user's caches."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._written = 0

    def read(self, name: str) -> dict[str, Any] | None:
        """What was kept under ``name``; None where there is nothing or it is not what was written."""
        try:
            data = (_folder() / name).read_bytes()
        except (OSError, RuntimeError):
            return None
        head, _, packed = data.partition(b"\n")
        if head != HEAD + _digest(packed):
            return None
        found: dict[str, Any] = json.loads(zlib.decompress(packed))
        return found

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Keep ``value`` under ``name``, if there is a place for it."""
        packed = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)
        try:
            folder = _folder()
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(folder / name, HEAD + _digest(packed) + b"\n" + packed)
            if self._written % LOOK_EVERY == 0:
                _trim(folder, self._most_bytes)
            self._written += 1
        except (OSError, RuntimeError):
            return


def _folder() -> Path:
    return user_caches() / "einloom" / "mappings"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).hexdigest().encode()


def _write_whole(file: Path, data: bytes) -> None:
    """Write beside ``file``, then rename: nobody sees a part of it."""
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(data)
        os.replace(beside, file)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise


def _trim(folder: Path, most_bytes: int) -> None:
    """Remove the oldest files where there is more than ``most_bytes``; others may do the same at the same time."""
    files = []
    for entry in os.scandir(folder):
        try:
            known = entry.stat()
        except FileNotFoundError:
            continue
        files.append((known.st_mtime_ns, known.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    if total <= most_bytes:
        return
    for _, size, path in sorted(files):
        Path(path).unlink(missing_ok=True)
        total -= size
        if total <= most_bytes * LEFT_AFTER:
            return
