"""What an analysis is about: the workload of a workload file or of a design, and a size of memory as typed."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from einloom.catalogue import find
from einloom.errors import Problem, SpecError
from einloom.spec import overrides
from einloom.spec.design import check_file, load_design
from einloom.spec.document import Invalid, read
from einloom.spec.files import kind_of
from einloom.spec.quantities import parse_capacity
from einloom.spec.workload import load_workload
from einloom.workloads import Workload


def load_subject(source: str | Path | Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Workload:
    """The workload in a workload file or in a design; the user's own path, else the catalogue's.

    Args:
        source: A path, or what a design file holds.
        settings: Values by path (`spec.overrides`); ``workload.ranks.M`` in a file of either kind.

    Raises:
        SpecError: With every problem of the file; or it is neither.
    """
    settings = dict(settings or {})
    if isinstance(source, Mapping):
        return load_design(source, settings).workload
    overrides.check_heads(settings)
    document = read(find(source))
    kind = kind_of(document)
    if kind == "design":
        return load_design(source, settings).workload
    if kind != "workload":
        hint = "give a workload file or a design: `einloom list workloads`, `einloom list designs`"
        document.fail([Problem(f"is a file of kind '{kind}': it has no workload", hint)])
    check_file(document, "workload")
    for name in settings:
        head, dot, _ = name.partition(".")
        if head != "workload" or not dot:
            hint = "a workload file takes paths below workload, e.g. workload.ranks.M=512"
            raise SpecError(Problem(f"'{name}' is no path into a workload file", hint, file=f"--set {name}"))
    return load_workload(overrides.apply(document, "workload", ("workload",), settings))


def parse_size(text: str, origin: str = "--capacity") -> tuple[Fraction, bool]:
    """``128 KiB`` or ``4096 words``: the amount, and whether it is in words.

    Raises:
        SpecError: No size, not finite, or not above 0.
    """
    try:
        value, in_words = parse_capacity(text)
    except Invalid as error:
        raise SpecError(Problem(str(error), error.hint, file=f"{origin} {text}")) from None
    if not isinstance(value, Fraction | int) or value <= 0:
        hint = "write a number above 0 and a unit, for example 128 KiB or 4096 words"
        raise SpecError(Problem(f"'{text}' is no size of a memory", hint, file=f"{origin} {text}"))
    return Fraction(value), in_words
