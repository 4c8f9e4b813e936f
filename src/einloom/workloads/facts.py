"""The raw parts of a cascade and the facts that follow from them: what the checks read and what they fill."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from einloom.workloads.einsum import Einsum, Generation

ROLES = ("inputs", "outputs", "weights", "intermediates")
Split = tuple[tuple[str, int | None], ...]
"""Sub-ranks of a rank, outermost first, with sizes; None: the mapper chooses (the first: what is left)."""


@dataclass(frozen=True)
class Parts:
    """The raw parts of a cascade, as `Cascade` has them; None in ``einsums`` is a line that did not parse."""

    ranks: Mapping[str, int]
    split: Mapping[str, Split]
    bits: Mapping[str, Any]
    weights: Sequence[str] | None
    operators: Mapping[str, Mapping[str, int]]
    init: Mapping[str, float]
    pad: Mapping[str, float]
    shapes: Mapping[str, Sequence[int | str]]
    outputs: Sequence[str]
    einsums: Sequence[Einsum | None]


@dataclass(frozen=True, slots=True)
class Step:
    """Lines that run together: one, or a recurrence over ``variable`` in the order of the text."""

    lines: tuple[int, ...]
    variable: str | None = None


@dataclass
class Facts:
    """What follows from the parts.

    Attributes:
        extents: Size of every rank and sub-rank, and of every rank variable that is used.
        unsized: Sub-ranks whose size is left to the mapper; their extents are provisional.
        producers: Lines that define each tensor, the initial generations first.
        generations: Tensors with generations.
        init: Value of the initial generations of a tensor, where it is a number.
        shapes: Coordinates of each dimension of each tensor.
        order: Lines in order of execution.
    """

    extents: dict[str, int] = field(default_factory=dict)
    unsized: tuple[str, ...] = ()
    producers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    generations: dict[str, Generation] = field(default_factory=dict)
    init: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    order: tuple[Step, ...] = ()


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """The closest known name, then all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    head = f"did you mean '{close[0]}'? " if close else ""
    return f"{head}{what}: {', '.join(names)}" if names else head.strip()
