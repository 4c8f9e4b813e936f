"""Loop bounds: an integer, a quotient or product of rank names and numbers (``M/256`` rounds up), or ``auto``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from einloom.errors import MappingError, Problem

MAX_BOUND = 2**62


@dataclass(frozen=True, slots=True)
class Auto:
    """The mapper chooses."""


AUTO = Auto()


@dataclass(frozen=True, slots=True)
class Expression:
    """``first (op factor)*``, evaluated from the left; each ``/`` rounds up."""

    first: int | str
    rest: tuple[tuple[str, int | str], ...]


Bound = int | Expression | Auto

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z][A-Za-z0-9_]*)|([*/]))")


def parse_bound(text: str) -> Bound:
    """``64``, ``M/256``, ``P/n/256``, ``2*T``, ``auto``. Raises `MappingError` at the character."""
    if text.strip() == "auto":
        return AUTO
    tokens: list[tuple[int | str, int]] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _bad(text, position)
        number, name, operator = match.groups()
        tokens.append((int(number) if number else name or operator, match.start(match.lastindex or 0)))
        position = match.end()
    for i, (token, at) in enumerate(tokens):
        if (token in ("*", "/")) != (i % 2 == 1):
            raise _bad(text, at)
    if len(tokens) % 2 == 0:
        raise _bad(text, len(text))
    first = tokens[0][0]
    if len(tokens) == 1 and isinstance(first, int):
        return _checked(first)
    rest = tuple((str(tokens[i][0]), tokens[i + 1][0]) for i in range(1, len(tokens), 2))
    return Expression(first, rest)


def _bad(text: str, position: int) -> MappingError:
    hint = "a bound is a whole number, a rank or parameter name, a quotient such as M/256, or auto"
    return MappingError(Problem(f"'{text.strip()}' is not a bound", hint, offset=position))


def print_bound(bound: Bound) -> str:
    if isinstance(bound, Auto):
        return "auto"
    if isinstance(bound, Expression):
        return str(bound.first) + "".join(f"{op}{factor}" for op, factor in bound.rest)
    return str(bound)


def evaluate(bound: Bound, numbers: Mapping[str, Fraction | int]) -> int:
    """The bound as an integer of at least 1. Raises `MappingError` for an unknown name, ``auto``, or less than 1."""
    if isinstance(bound, Auto):
        raise MappingError(Problem("`auto` leaves the bound to the mapper", "run `einloom map`, or write the bound"))
    if isinstance(bound, int):
        return _checked(bound)
    value = _factor(bound.first, numbers)
    for operator, factor in bound.rest:
        operand = _factor(factor, numbers)
        if operator == "/" and operand == 0:
            raise MappingError(Problem(f"'{print_bound(bound)}' divides by zero", "a bound is at least 1"))
        value = value * operand if operator == "*" else Fraction(-((-value) // operand))
    if value.denominator != 1:
        raise MappingError(Problem(f"'{print_bound(bound)}' is {value}, not a whole number", "bounds count iterations"))
    return _checked(value.numerator)


def _factor(factor: int | str, numbers: Mapping[str, Fraction | int]) -> Fraction:
    if isinstance(factor, int):
        return Fraction(factor)
    if factor not in numbers:
        raise MappingError(Problem(f"no rank or parameter is named '{factor}'", "known: " + ", ".join(numbers)))
    return Fraction(numbers[factor])


def _checked(value: int) -> int:
    if not 1 <= value < MAX_BOUND:
        raise MappingError(Problem(f"the bound {value} is out of range", "a bound is at least 1 and below 2^62"))
    return value
