"""The structure of a ``workload:`` block: what each key may hold. Lines come out as `Einsum`, bits exact."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from einloom.errors import SpecError
from einloom.spec.document import Invalid, Strict, show, text_hint
from einloom.workloads import Einsum
from einloom.workloads.facts import ROLES

MAX_SIZE = 2**48
"""Largest extent of a rank."""

RANK_HINT = "write a whole number of at least 1, or the name of another rank"


def _word(value: Any, what: str, capital: bool) -> str:
    shape = "begins with a capital: 'M'" if capital else "begins with a small letter: 'gelu'"
    fits = isinstance(value, str) and value.isidentifier() and value.isascii()
    if not fits or value[0].isupper() != capital or value[0] == "_":
        raise Invalid(
            f"{show(value)} is no {what} name", f"a {what} name {shape} and has letters, digits and _"
        )
    return str(value)


def _rank_name(value: Any) -> str:
    return _word(value, "rank", capital=True)


def _tensor_name(value: Any) -> str:
    return _word(value, "tensor", capital=True)


def _bits_key(value: Any) -> str:
    return value if value == "default" or value in ROLES else _tensor_name(value)


def _operator_name(value: Any) -> str:
    return _word(value, "operator", capital=False)


def _size(value: Any, what: str, hint: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Invalid(f"{show(value)} is no size of {what}", hint)
    if value > MAX_SIZE:
        raise Invalid(f"{show(value)} is too large for {what}", f"at most {MAX_SIZE}")
    return value


def _rank_size(value: Any) -> int | str:
    if isinstance(value, str) and value[:1].isupper():
        return _rank_name(value)
    return _size(value, "a rank", RANK_HINT)


def parse_sub_rank(value: Any) -> tuple[str, int | str | None]:
    """``M1``, ``{M0: 256}``, ``{M0: G}`` (as long as the rank G) or ``{M0: auto}``."""
    if isinstance(value, str):
        return _rank_name(value), None
    if not isinstance(value, dict) or len(value) != 1:
        raise Invalid(f"{show(value)} is no sub-rank", "write a name (M1), a size (M0: 256) or M0: auto")
    name, size = next(iter(value.items()))
    if size == "auto":
        return _rank_name(name), None
    if isinstance(size, str) and size[:1].isupper():
        return _rank_name(name), _rank_name(size)
    hint = "write a whole number above 0, the name of a rank, or auto"
    return _rank_name(name), _size(size, f"the sub-rank {name}", hint)


def _number(value: Any) -> float:
    """A finite number, ``inf`` or ``-inf``."""
    if value in ("inf", "-inf"):
        return float(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or math.isnan(value)
        or abs(value) > 1e308
    ):
        raise Invalid(f"{show(value)} is not a number", "write a number, inf or -inf")
    return float(value)


def _bits(value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 2**20:
        raise Invalid(f"{show(value)} is no width in bits", "write a number above 0, for example 8 or 1.6")
    return Fraction(str(value))


def parse_line(value: Any) -> Einsum:
    """One Einsum, parsed; its grammar error keeps its offset."""
    if isinstance(value, dict):
        raise Invalid("YAML read this line as a mapping, not as text", f'{text_hint(value)}: - "Z[m] = ..."')
    if isinstance(value, list):
        raise Invalid(
            "YAML read this line as a list, not as text", 'put the whole line in quotes: - "Z[m] = ..."'
        )
    if not isinstance(value, str):
        raise Invalid(f"{show(value)} is no Einsum", "write a line of text: Z[m,n] = sum{k}(A[m,k] * B[k,n])")
    try:
        return Einsum.parse(value)
    except SpecError as error:
        problem = error.problems[0]
        raise Invalid(problem.message, problem.hint, problem.offset, problem.length) from None


RankName = Annotated[str, BeforeValidator(_rank_name)]
TensorName = Annotated[str, BeforeValidator(_tensor_name)]
RankSize = Annotated[int | str, BeforeValidator(_rank_size)]
Ranks = dict[RankName, RankSize]
Numbers = dict[TensorName, Annotated[float, BeforeValidator(_number)]]
Bits = dict[Annotated[str, BeforeValidator(_bits_key)], Annotated[Fraction, BeforeValidator(_bits)]]
OperatorName = Annotated[str, BeforeValidator(_operator_name)]
Operators = dict[OperatorName, dict[OperatorName, Annotated[int, Field(ge=0, le=10**9)]]]
Splits = dict[
    RankName,
    Annotated[list[Annotated[tuple[str, int | str | None], BeforeValidator(parse_sub_rank)]], Field(min_length=1)],
]
Line = Annotated[Einsum, BeforeValidator(parse_line)]
Repeat = Annotated[int, Field(ge=1, le=10**9)]


class ItemSpec(Strict):
    """``{einsum: "...", init: {RM: -inf}}``"""

    einsum: Line
    init: Numbers = Field(default_factory=dict)


def _item(value: Any) -> Any:
    """A cascade item is a line, or a mapping with ``einsum:``; any other mapping is a misread line."""
    if isinstance(value, dict) and ("einsum" in value or set(value) <= {"init"}):
        return value
    return {"einsum": value}


class KernelSpec(Strict):
    """A cascade and all that belongs to it."""

    name: str = ""
    ranks: Ranks = Field(default_factory=dict)
    split: Splits = Field(default_factory=dict)
    bits: Bits = Field(default_factory=dict)
    weights: list[TensorName] | None = None
    operators: Operators = Field(default_factory=dict)
    repeat: Repeat = 1
    runs: Repeat = 1
    pad: Numbers = Field(default_factory=dict)
    shapes: dict[TensorName, list[RankSize]] = Field(default_factory=dict)
    outputs: list[TensorName] = Field(default_factory=list)
    cascade: Annotated[list[Annotated[ItemSpec, BeforeValidator(_item)]], Field(min_length=1)]


class FilePartSpec(Strict):
    """A part that another file describes."""

    workload: str
    name: str = ""
    repeat: Repeat = 1
    runs: Repeat = 1
    ranks: Ranks = Field(default_factory=dict)


class NetworkSpec(Strict):
    """What a network says for all its parts; the parts are read one by one."""

    name: str = ""
    ranks: Ranks = Field(default_factory=dict)
    bits: Bits = Field(default_factory=dict)
    operators: Operators = Field(default_factory=dict)
    repeat: Repeat = 1
    parts: Annotated[list[dict[str, Any]], Field(min_length=1)]
