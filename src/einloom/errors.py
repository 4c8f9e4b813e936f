"""Every error that einloom raises on purpose, on one screen.

Low-level code raises what it knows: a ``Problem`` says what is wrong, *where inside its own object*, and what is
allowed. The edge that read the file (``einloom.spec``) adds file, line and column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file.

    Attributes:
        message: What is wrong, with the offending value in it.
        hint: What to type instead, or what is allowed. May be empty.
        path: Keys and indices from the top of the file, e.g. ``("architecture", "levels", 1, "capacity")``.
        file: As the user named it; empty for text that came from no file.
        line: 1-based; 0 when unknown.
        column: 1-based; 0 when unknown.
        source: The text of that line, for the caret display.
        length: How many characters the caret underlines.
        at_key: The mistake is the last key of ``path`` itself, not its value.
        offset: Characters from the start of the value at ``path`` to the mistake (a grammar error inside a line).
    """

    message: str
    hint: str = ""
    path: Path = ()
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""
    length: int = 1
    offset: int = 0
    at_key: bool = False

    @property
    def field(self) -> str:
        """Dotted path, e.g. ``architecture.levels[1].capacity``."""
        text = ""
        for key in self.path:
            text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
        return text

    def __str__(self) -> str:
        where = self.file
        if self.line:
            where += f":{self.line}:{self.column}"
        head = ": ".join(part for part in (where, self.field, self.message) if part)
        lines = [head]
        if self.line and self.source:
            number = f"{self.line:>4} | "
            lines.append(number + self.source)
            lines.append(" " * (len(number) - 2) + "| " + " " * (self.column - 1) + "^" * max(1, self.length))
        if self.hint:
            lines.append("  " + self.hint)
        return "\n".join(lines)

    def below(self, *prefix: str | int) -> Problem:
        """The same problem, seen from an enclosing object."""
        return replace(self, path=(*prefix, *self.path))


class EinloomError(Exception):
    """Base of all errors that a user can cause. Carries one or more problems, in file order."""

    def __init__(self, problems: str | Problem | Sequence[Problem], hint: str = "", path: Path = ()) -> None:
        if isinstance(problems, str):
            problems = Problem(problems, hint, path)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[EinloomError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class SpecError(EinloomError):
    """A file, a workload, an architecture or a search says something that einloom does not accept."""


class MappingError(EinloomError):
    """A mapping that is not legal for this Einsum on this architecture."""


class PluginError(EinloomError):
    """A third-party template or component that does not load or does not keep its contract."""


@contextmanager
def code_of(who: str) -> Iterator[None]:
    """Around code of a template: whatever it raises that is no message for the user becomes one, with its name."""
    try:
        yield
    except EinloomError:
        raise
    except Exception as error:  # code of others
        what = f"{who} fails: {type(error).__name__}: {error}"
        raise PluginError(what, "report this to the author of the template") from error
