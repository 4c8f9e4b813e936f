"""The notation of one level of an architecture: keys, units and nesting, before anything is looked up.

Each model mirrors one kind of item under ``levels:`` (``memory``, ``fanout``, ``compute``). Quantities are in
base units; bandwidths are still `Rate` values, because the clock is not known here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from einloom.arch.rules import OPERAND_ROLES, ROLES
from einloom.arch.tree import AxisRule, Share
from einloom.spec.document import Invalid, Strict, show, suggest, text_hint
from einloom.spec.quantities import EXAMPLES, Rate, parse, parse_capacity, parse_count, parse_rate

Number = Fraction | float
Size = tuple[Number, bool]
"""An amount of storage and whether it is in words (else bits)."""

_LEVEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TENSOR = re.compile(r"[A-Z][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"[a-z][A-Za-z0-9_]*")
_RESERVED = ("for", "spatial", "forward", "holds", "auto", "links", "leakage")


def check_name(value: Any) -> str:
    """The name of a level, an axis or an architecture."""
    if not isinstance(value, str):
        raise Invalid(f"{show(value)} is not a name", text_hint(value))
    if not _LEVEL.fullmatch(value):
        raise Invalid(
            f"{show(value)} is not a name", "a name is letters, digits and _, and starts with a letter"
        )
    if value in _RESERVED:
        raise Invalid(f"{show(value)} is a word of the mapping notation or of results", "take another name")
    return value


def _tensor(value: Any) -> str:
    if isinstance(value, str) and (value in ROLES or _TENSOR.fullmatch(value)):
        return value
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        hint = suggest(value, ROLES, "roles")
        raise Invalid(
            f"{show(value)} is neither a tensor nor a role", f"tensors start with a capital; {hint}"
        )
    raise Invalid(
        f"{show(value)} is not the name of a tensor", f"write tensors or roles ({', '.join(ROLES)})"
    )


def _variable(value: Any) -> str:
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return value
    if isinstance(value, str) and _TENSOR.fullmatch(value):
        hint = f"rank names are upper case ('{value}'), rank variables lower case ('{value.lower()}')"
        raise Invalid(f"{show(value)} is not a rank variable", hint)
    raise Invalid(f"{show(value)} is not a rank variable", "rank variables are lower case, for example n")


def _operator(value: Any) -> str:
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return value
    raise Invalid(
        f"{show(value)} is not an operator", "operators are lower case, for example mac, mul, add, exp"
    )


def _quantity(kind: str, zero: bool) -> Callable[[Any], Number]:
    """A parser of finite quantities of ``kind``: above 0, or at least 0."""

    def parse_quantity(value: Any) -> Number:
        amount = parse(value, kind)
        if amount < 0:
            raise Invalid(f"{show(value)} is negative", f"for example: {EXAMPLES[kind]}")
        if amount == 0 and not zero:
            raise Invalid(f"{show(value)} must be above 0", f"for example: {EXAMPLES[kind]}")
        if math.isinf(amount):
            raise Invalid(f"{show(value)} must be finite", f"for example: {EXAMPLES[kind]}")
        return amount

    return parse_quantity


def _area(value: Any) -> float | Literal["unknown"]:
    if value == "unknown":
        return "unknown"
    try:
        return float(_quantity("area", zero=True)(value))
    except Invalid as problem:
        raise Invalid(str(problem), problem.hint + "; or `unknown`") from None


def capacity(value: Any) -> Size:
    """``128 KiB``, ``131072 words``, ``inf``: above 0."""
    amount, in_words = parse_capacity(value)
    if amount < 0:
        raise Invalid(f"{show(value)} is negative", "a capacity is above 0, for example: 108 KiB")
    if amount == 0:
        raise Invalid(f"{show(value)} must be above 0", "leave a memory that stores nothing out of the tree")
    return amount, in_words


def rate(value: Any) -> Rate:
    """``16 words/cycle``, ``25.6 GB/s``, ``inf``: above 0."""
    parsed = parse_rate(value)
    if parsed.value < 0:
        raise Invalid(f"{show(value)} is negative", "a bandwidth is above 0, for example: 16 words/cycle")
    if parsed.value == 0:
        raise Invalid(f"{show(value)} must be above 0", "for example: 16 words/cycle, or inf")
    return parsed


def _cycles(value: Any) -> int:
    """``1 cycle``, ``2 cycles`` or a plain whole number, 0 included."""
    match = re.fullmatch(r"\s*(\d+)(?:\s*cycles?)?\s*", str(value)) if not isinstance(value, bool) else None
    if match is None:
        raise Invalid(
            f"{show(value)} is not a number of cycles", "write a whole number, for example: 1 cycle"
        )
    return int(match.group(1))


def _axis_size(value: Any) -> int:
    number = parse_count(value)
    if number.denominator != 1 or number < 1:
        raise Invalid(
            f"{show(value)} is not the size of an axis", "write a whole number above 0, for example 16"
        )
    if number > 2**31:
        raise Invalid(f"{show(value)} is out of range", f"an axis has at most {2**31} instances")
    return int(number)


Name = Annotated[str, BeforeValidator(check_name)]
Tensor = Annotated[str, BeforeValidator(_tensor)]
Operator = Annotated[str, BeforeValidator(_operator)]
Word = Annotated[Any, BeforeValidator(_quantity("size", zero=False))]
Energy = Annotated[Any, BeforeValidator(_quantity("energy", zero=True))]
Power = Annotated[Any, BeforeValidator(_quantity("power", zero=True))]
Length = Annotated[Any, BeforeValidator(_quantity("length", zero=False))]
Clock = Annotated[Any, BeforeValidator(_quantity("frequency", zero=False))]
Area = Annotated[Any, BeforeValidator(_area)]
Capacity = Annotated[Any, BeforeValidator(capacity)]
Bandwidth = Annotated[Any, BeforeValidator(rate)]
Cycles = Annotated[int, BeforeValidator(_cycles)]
AxisSize = Annotated[int, BeforeValidator(_axis_size)]


def _share(value: Any) -> Share:
    """``true``, ``false``, or a list of tensors."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return frozenset(_tensor(item) for item in value)
    raise Invalid(f"{show(value)} is neither true, false nor a list", "write true, false or [A, B]")


def _reduce(value: Any) -> tuple[Share, int]:
    """`_share`, or ``{hop: 1 cycle}`` with ``tensors: [...]`` if not all are reduced."""
    if not isinstance(value, dict):
        try:
            return _share(value), 0
        except Invalid as problem:
            raise Invalid(str(problem), "write true, false, [A, B] or {hop: 1 cycle}") from None
    unknown = [key for key in value if key not in ("hop", "tensors")]
    if unknown:
        raise Invalid(
            f"the key '{unknown[0]}' is not known here", suggest(unknown[0], ("hop", "tensors"), "keys")
        )
    return _share(value.get("tensors", True)), _cycles(value.get("hop", 0))


def _axis_rule(value: Any) -> AxisRule:
    """``[n, k]``, or ``{shared_by: [weights, outputs]}``."""
    if isinstance(value, list):
        return AxisRule(variables=tuple(_variable(item) for item in value))
    if isinstance(value, dict) and list(value) == ["shared_by"] and isinstance(value["shared_by"], list):
        for role in value["shared_by"]:
            if role not in OPERAND_ROLES:
                raise Invalid(
                    f"{show(role)} is not a role of an operand", suggest(str(role), OPERAND_ROLES, "roles")
                )
        if value["shared_by"]:
            return AxisRule(shared_by=tuple(value["shared_by"]))
    raise Invalid(
        f"{show(value)} is not a rule for an axis",
        "write rank variables [n, k] or {shared_by: [weights, outputs]}",
    )


class MemoryLevel(Strict):
    """An item ``- memory: NAME``."""

    memory: Name
    capacity: Capacity = None
    word: Word = None
    component: str | None = None
    technology: Length = None
    read_energy: Energy = None
    write_energy: Energy = None
    drain_energy: Energy = None
    energy_per_bit: Energy = None
    bandwidth: Bandwidth = None
    read_bandwidth: Bandwidth = None
    write_bandwidth: Bandwidth = None
    holds: list[Tensor] | None = None
    must_hold: list[Tensor] | None = None
    may_hold: list[Tensor] | None = None
    double_buffered: Annotated[Any, BeforeValidator(_share)] = False
    area: Area = None
    leakage: Power = Fraction(0)


class FanoutLevel(Strict):
    """An item ``- fanout: NAME``."""

    fanout: Name
    axes: Mapping[Name, AxisSize]
    multicast: Annotated[Any, BeforeValidator(_share)] = True
    reduce: Annotated[Any, BeforeValidator(_reduce)] = (True, 0)
    only: Mapping[Name, Annotated[Any, BeforeValidator(_axis_rule)]] = {}
    link_energy: Energy = Fraction(0)


class ComputeLevel(Strict):
    """An item ``- compute: NAME``."""

    compute: Name
    component: str | None = None
    technology: Length = None
    energy: Mapping[Operator, Energy] = {}
    cycles: Mapping[Operator, Cycles] = {}
    area: Area = None
    leakage: Power = Fraction(0)


KINDS: dict[str, type[Strict]] = {"memory": MemoryLevel, "fanout": FanoutLevel, "compute": ComputeLevel}
