"""The dimensions of ``space:`` in a search file: what a path may vary over.

::

    architecture.dataflow: [weight_stationary, output_stationary]
    architecture.rows: {int: [4, 64], step: powers_of_2}      # or step: 4; without a step, every integer
    architecture.buffer: {int: [16, 256], step: powers_of_2, unit: KiB}
    architecture.clock: {float: [0.5, 2], log: true, unit: GHz}
    mapping.parameters.P1: {divisors_of: P}                   # a rank of the workload, or a number
    architecture: [arch/array.yaml, arch/pim.yaml]            # whole machines, and then
    architecture.rows: {int: [4, 64], when: {architecture: arch/array.yaml}}   # what only one of them has
    architecture.lanes: {choices: [8, 16], when: {architecture: [arch/pim.yaml]}}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from einloom.errors import Path, Problem, SpecError
from einloom.search.space import Dimension, Finite, Real, Value, When, divisors, powers_of_2
from einloom.spec.document import show, suggest

LARGEST = 2**53
"""Integers beyond it are not exact in the samplers."""
MOST_DIVIDED = 10**12
"""Divisors are found by trial up to the square root."""
MOST_CHOICES = 10_000
OPTIONS = {
    "int": ("step", "unit", "when"), "float": ("log", "unit", "when"), "divisors_of": ("unit", "when"),
    "choices": ("when",),
}  # fmt: skip
EXAMPLES = "[8, 16, 32], {int: [4, 64], step: powers_of_2}, {float: [0.5, 2], log: true} or {divisors_of: P}"


def read_dimension(path: str, data: Any, ranks: Mapping[str, int] | None) -> Dimension:
    """The dimension that ``data`` describes.

    Args:
        path: Into the design.
        data: As YAML gave it.
        ranks: Sizes of the workload's ranks; None leaves ``divisors_of`` a rank open.

    Raises:
        SpecError: With every problem of it; their paths begin inside ``data``.
    """
    if isinstance(data, list):
        return _choices(path, data)
    if not isinstance(data, dict):
        raise SpecError(Problem(f"{show(data)} is no set of values", f"write one of: {EXAMPLES}"))
    kinds = [kind for kind in OPTIONS if kind in data]
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds)}, but is one of them" if kinds else "has no values"
        raise SpecError(Problem(f"'{path}' {what}", f"write one of: {EXAMPLES}"))
    kind = kinds[0]
    allowed = (kind, *OPTIONS[kind])
    problems = [
        Problem(f"the key '{key}' is not known here", suggest(key, allowed, "keys"), (key,), at_key=True)
        for key in data
        if key not in allowed
    ]
    unit = data.get("unit", "")
    if not isinstance(unit, str) or ("unit" in data and not unit.strip()):
        problems.append(
            Problem(f"{show(unit)} is no unit", "write a unit, for example KiB or GHz", ("unit",))
        )
    try:
        readers: dict[str, Callable[..., Finite | Real]]
        readers = {"int": _integers, "float": _reals, "divisors_of": _divisors, "choices": _listed}
        dimension = readers[kind](path, data, str(unit), ranks)
        dimension = replace(dimension, when=_condition(data["when"])) if "when" in data else dimension
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    return dimension


def _listed(path: str, data: Mapping[str, Any], unit: str, ranks: Mapping[str, int] | None) -> Finite:
    listed = data["choices"]
    if not isinstance(listed, list):
        raise SpecError(Problem(f"{show(listed)} is no list of choices", "for example [8, 16, 32]", ("choices",)))
    try:
        return _choices(path, listed)
    except SpecError as error:
        raise SpecError([problem.below("choices") for problem in error.problems]) from None


def _condition(data: Any) -> When:
    """``{architecture: arch/array.yaml}``, or several values in a list."""
    if not isinstance(data, dict) or not data:
        hint = "write a path of this space and its value, for example {architecture: arch/array.yaml}"
        raise SpecError(Problem(f"{show(data)} is no condition", hint, ("when",)))
    found: list[tuple[str, tuple[Any, ...]]] = []
    for path, values in data.items():
        several = values if isinstance(values, list) else [values]
        if not several or not all(map(_is_scalar, several)):
            hint = "write one value, or a list of some"
            raise SpecError(Problem(f"{show(values)} is no value", hint, ("when", path)))
        found.append((path, tuple(several)))
    return tuple(found)


def check_conditions(dimensions: Sequence[Dimension]) -> list[Problem]:
    """Each condition names a list of choices further up, and some of its values; paths begin at the dimension."""
    problems: list[Problem] = []
    before: dict[str, Dimension] = {}
    for dimension in dimensions:
        for path, values in dimension.when:
            other, where = before.get(path), (dimension.path, "when", path)
            if not isinstance(other, Finite) or other.kind != "choices":
                lists = [p for p, d in before.items() if isinstance(d, Finite) and d.kind == "choices"]
                hint = suggest(path, lists, "lists of choices above it") if lists else "put a list of choices above it"
                problems.append(Problem(f"'{path}' is no list of choices above '{dimension.path}'", hint, where))
                continue
            for value in values:
                if value not in other.values:
                    hint = suggest(str(value), [str(v) for v in other.values], "its values")
                    problems.append(Problem(f"'{path}' is never {show(value)}", hint, where))
        before[dimension.path] = dimension
    return problems


def _choices(path: str, data: list[Any]) -> Finite:
    if not data:
        raise SpecError(Problem(f"'{path}' has no choices", f"write one of: {EXAMPLES}"))
    if len(data) > MOST_CHOICES:
        hint = f"at most {MOST_CHOICES}, or a range: {{int: [4, 64]}}"
        raise SpecError(Problem(f"{len(data)} choices are too many", hint))
    problems: list[Problem] = []
    values: list[Value] = []
    for index, item in enumerate(data):
        value = tuple(item) if isinstance(item, list) else item
        if not all(map(_is_scalar, value if isinstance(value, tuple) else [value])):
            hint = "a choice is a word, a number, true, false, or a list of those"
            problems.append(Problem(f"{show(item)} is no choice", hint, (index,)))
        elif value in values:
            problems.append(Problem(f"{show(item)} stands twice", "keep one of them", (index,)))
        else:
            values.append(value)
    if problems:
        raise SpecError(problems)
    return Finite(path, tuple(values))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and not math.isnan(value))


def _bounds(data: Mapping[str, Any], kind: str) -> tuple[Any, Any]:
    """The two ends of a range, in order."""
    ends = data[kind]
    fits = is_int if kind == "int" else _is_finite
    name = "whole numbers" if kind == "int" else "numbers"
    where: Path = (kind,)
    if not isinstance(ends, list) or len(ends) != 2:
        raise SpecError(Problem(f"{show(ends)} is no range", f"write two {name}: [low, high]", where))
    wrong = [
        Problem(
            f"{show(end)} is not one of two {name}", "write [low, high], for example [4, 64]", (kind, index)
        )
        for index, end in enumerate(ends)
        if not fits(end)
    ]
    if wrong:
        raise SpecError(wrong)
    low, high = ends
    if low > high:
        raise SpecError(Problem(f"the range [{low}, {high}] is empty", f"write [{high}, {low}]", where))
    return low, high


def is_int(value: Any) -> bool:
    """A whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return (is_int(value) and abs(value) <= LARGEST) or (isinstance(value, float) and math.isfinite(value))


def _integers(path: str, data: Mapping[str, Any], unit: str, ranks: Mapping[str, int] | None) -> Finite:
    low, high = _bounds(data, "int")
    step = data.get("step", 1)
    if max(abs(low), abs(high)) > LARGEST:
        raise SpecError(Problem(f"[{low}, {high}] is too far out", f"at most {LARGEST}", ("int",)))
    if step == "powers_of_2":
        values = powers_of_2(low, high)
        if not values:
            raise SpecError(Problem(f"no power of 2 lies in [{low}, {high}]", "widen the range", ("int",)))
        return Finite(path, values, "steps", unit, "powers of 2")
    if not is_int(step) or step < 1:
        hint = "write a whole number of at least 1, or powers_of_2"
        raise SpecError(Problem(f"{show(step)} is no step", hint, ("step",)))
    return Finite(path, range(low, high + 1, step), "integers", unit)


def _reals(path: str, data: Mapping[str, Any], unit: str, ranks: Mapping[str, int] | None) -> Real:
    low, high = _bounds(data, "float")
    log = data.get("log", False)
    if not isinstance(log, bool):
        raise SpecError(
            Problem(f"{show(log)} is not true or false", "write log: true, or leave it out", ("log",))
        )
    if log and low <= 0:
        hint = "on a logarithmic scale, both ends are above 0"
        raise SpecError(Problem(f"the range [{low}, {high}] has no logarithm", hint, ("float",)))
    return Real(path, float(low), float(high), log, unit)


def _divisors(path: str, data: Mapping[str, Any], unit: str, ranks: Mapping[str, int] | None) -> Finite:
    of, where = data["divisors_of"], ("divisors_of",)
    if isinstance(of, str) and of:
        if ranks is None:
            return Finite(path, (1,), "open", unit, f"divisors of {of}")
        if of not in ranks:
            raise SpecError(
                Problem(f"the workload has no rank '{of}'", suggest(of, sorted(ranks), "ranks"), where)
            )
        number, source = ranks[of], f"divisors of {of} = {ranks[of]}"
    elif is_int(of):
        number, source = of, f"divisors of {of}"
    else:
        hint = "write a rank of the workload, for example P, or a whole number"
        raise SpecError(Problem(f"{show(of)} has no divisors", hint, where))
    if not 1 <= number <= MOST_DIVIDED:
        raise SpecError(Problem(f"{number} has no divisors to list", f"from 1 to {MOST_DIVIDED}", where))
    return Finite(path, divisors(number), "steps", unit, source)
