"""``template: NAME`` with its parameters: text with units in, an architecture out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from einloom.arch.registry import template
from einloom.arch.template import Parameter, Template
from einloom.arch.tree import UNLIMITED, Amount, Architecture
from einloom.errors import EinloomError, Path, PluginError, Problem, SpecError
from einloom.spec.document import Invalid, show, suggest
from einloom.spec.levels import capacity, check_name, rate
from einloom.spec.quantities import parse, parse_count

OWN_KEYS = ("template", "name")
"""Keys of the block that are no parameters."""


def build_template(data: Mapping[str, Any], path: Path) -> Architecture:
    """The architecture of a block with ``template:``.

    Args:
        data: The block.
        path: Where it stands.

    Raises:
        SpecError: With every problem of the block, not yet located in the file.
        PluginError: The template is broken.
    """
    chosen = _chosen(data["template"], (*path, "template"))
    values, problems = _values(chosen, data, path)
    name = ""
    try:
        name = check_name(data["name"]) if "name" in data else ""
    except Invalid as problem:
        problems.append(Problem(str(problem), problem.hint, (*path, "name")))
    try:
        checked = chosen.resolve(values)
    except SpecError as error:
        bad = {problem.path for problem in problems}
        located = (problem.below(*path) for problem in error.problems)
        problems += [problem for problem in located if problem.path not in bad]
    if problems:
        raise SpecError(problems)
    return _built(chosen, checked, name, path)


def _chosen(name: Any, path: Path) -> Template:
    if not isinstance(name, str):
        raise SpecError(
            f"{show(name)} is not the name of a template", "for example `template: systolic`", path
        )
    try:
        return template(name)
    except EinloomError as error:
        raise type(error)([problem.below(*path) for problem in error.problems]) from error


def _values(chosen: Template, data: Mapping[str, Any], path: Path) -> tuple[dict[str, object], list[Problem]]:
    """What the user gave, in base units; a wrong value is left out, so that the rest is checked too."""
    known = {parameter.name: parameter for parameter in chosen.parameters}
    clock_hz = _clock(known, data)
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for key, text in data.items():
        if key in OWN_KEYS:
            continue
        if key not in known:
            hint = suggest(key, tuple(known), "parameters")
            message = f"'{key}' is no parameter of template '{chosen.name}'"
            problems.append(Problem(message, hint, (*path, key)))
            continue
        try:
            values[key] = _value(known[key], text, clock_hz)
        except Invalid as problem:
            problems.append(Problem(str(problem), problem.hint, (*path, key)))
            if known[key].required:
                values[key] = None
    return values, problems


def _clock(known: Mapping[str, Parameter], data: Mapping[str, Any]) -> Fraction | float | None:
    """The clock, for bandwidths in bytes a second; None when there is none to be had."""
    parameter = known.get("clock")
    if parameter is None or parameter.kind != "frequency":
        return None
    if "clock" not in data:
        return Fraction(parameter.default) if isinstance(parameter.default, int | float) else None
    try:
        hertz = parse(data["clock"], "frequency")
    except Invalid:
        return None
    return hertz if 0 < hertz < math.inf else None


def _value(parameter: Parameter, text: Any, clock_hz: Fraction | float | None) -> object:
    """``text`` as what `Template.build` receives for ``parameter``."""
    if parameter.kind == "rate":
        return _rate(text, clock_hz)
    return _PARSERS[parameter.kind](text)


def _rate(text: Any, clock_hz: Fraction | float | None) -> Amount:
    parsed = rate(text)
    if math.isinf(parsed.value):
        return UNLIMITED
    if not parsed.per_second:
        return Amount(parsed.value, parsed.in_words)
    if clock_hz is None:
        raise Invalid(f"{show(text)} needs a clock", "give `clock:`, or the bandwidth per cycle")
    return Amount(Fraction(parsed.value) / Fraction(clock_hz), parsed.in_words)


def _size(text: Any) -> Amount:
    amount, in_words = capacity(text)
    return UNLIMITED if math.isinf(amount) else Amount(amount, in_words)


def _count(text: Any) -> int:
    number = parse_count(text)
    if number.denominator != 1:
        raise Invalid(f"{show(text)} is not a whole number", "write a whole number, for example 32")
    return int(number)


def _flag(text: Any) -> bool:
    if not isinstance(text, bool):
        raise Invalid(f"{show(text)} is neither true nor false", "write true or false")
    return text


def _word(text: Any) -> str:
    if not isinstance(text, str):
        raise Invalid(f"{show(text)} is not a word", "write one word")
    return text


def _quantity(kind: str) -> Callable[[Any], object]:
    return lambda text: float(parse(text, kind))


def _number(text: Any) -> float:
    return float(parse_count(text))


def _names(text: Any) -> tuple[str, ...]:
    """A list of words, or one word."""
    words = [text] if isinstance(text, str) else text
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Invalid(f"{show(text)} is not a list of words", "write words in brackets, for example [refresh]")
    return tuple(words)


def _table(text: Any) -> dict[str, Any]:
    if not isinstance(text, dict):
        raise Invalid(f"{show(text)} is not a block of keys and values", "write `key: value` lines below it")
    return text


_PARSERS: dict[str, Callable[[Any], object]] = {
    "count": _count,
    "number": _number,
    "size": _size,
    **{kind: _quantity(kind) for kind in ("frequency", "length", "time", "energy", "power")},
    "names": _names,
    "table": _table,
    "choice": _word,
    "text": _word,
    "flag": _flag,
}


def _built(chosen: Template, values: Mapping[str, object], name: str, path: Path) -> Architecture:
    """What the template makes; a refusal that names a parameter points at it."""
    try:
        return chosen.architecture(values, name)
    except SpecError as error:
        raise SpecError([problem.below(*path) for problem in error.problems]) from error
    except EinloomError:
        raise
    except Exception as error:  # a plugin's code, on parameters that it declared as valid
        what = f"the template '{chosen.name}' fails: {type(error).__name__}: {error}"
        raise PluginError(Problem(what, "report this to the author of the template", path)) from error
