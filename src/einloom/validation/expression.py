"""Arithmetic over a result: ``latency_s * 1e3``, ``case("one by one").cycles / cycles``, ``total("events.activate")``.

The text is parsed with `ast` and walked; nothing else of Python is reached. A name is a key of the result as
``einloom evaluate --json`` prints it, an attribute a key below it, a subscript a key that is no word
(``einsums["block.Z"].cycles``) or an index. Problems carry the offset of the character at fault.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NoReturn

from einloom.errors import Problem, SpecError

Number = int | float
Result = Mapping[str, Any]
Lookup = Callable[[str], Result]
LONGEST = 20_000
"""Characters; anything longer is no figure of a paper."""
DEEP = "write sum(a, b, ...) in place of a long a + b + ..., or use another case"
MOST_BITS = 2100
"""Of a whole number: powers beyond are not worked out."""


def _power(base: Number, exponent: Number) -> Number:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(exponent) * max(1, int(base).bit_length()) > MOST_BITS:
        raise OverflowError
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("the power of a negative number")
    return value


def _geomean(*values: Number) -> float:
    if min(values) <= 0:
        raise ValueError("the geometric mean of a number that is not above 0")
    return math.exp(fmean(math.log(value) for value in values))


OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Number]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: _power,
}
MANY: Mapping[str, Callable[..., Number]] = {
    "min": lambda *values: min(values),
    "max": lambda *values: max(values),
    "sum": lambda *values: sum(values),
    "mean": lambda *values: fmean(values),
    "geomean": _geomean,
}
ONE: Mapping[str, Callable[[Any], Number]] = {
    "sqrt": math.sqrt, "ceil": math.ceil, "floor": math.floor, "log2": math.log2, "abs": abs,
}  # fmt: skip
OF_RESULTS = ("case", "total")
FUNCTIONS = (*MANY, *ONE, *OF_RESULTS)
ALLOWED = "numbers, + - * / **, names of the result, case(\"name\"), total(\"path\") and " + ", ".join((*MANY, *ONE))


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Made by `parse_expression`.

    Attributes:
        text: As written.
        tree: Checked: only what `value` knows.
        cases: Other cases that it names, with the offset of each name.
    """

    text: str
    tree: ast.expr = field(compare=False)
    cases: tuple[tuple[str, int], ...]

    def value(self, result: Result, lookup: Lookup) -> Number:
        """Its value.

        Args:
            result: Of its own case.
            lookup: The result of another case by name.

        Raises:
            SpecError: A name that the result does not have, a value that is no number, a division by zero.
        """
        try:
            return _Evaluator(self.text, result, lookup).number(self.tree)
        except RecursionError:
            raise SpecError(Problem("is nested too deeply", DEEP)) from None


def parse_expression(text: str) -> Expression:
    """The expression that ``text`` is.

    Raises:
        SpecError: With the offset of the character that is at fault.
    """
    if len(text) > LONGEST:
        raise SpecError(Problem(f"has {len(text)} characters", f"write at most {LONGEST}"))
    line = "".join(" " if character in "\r\n\t\f" else character for character in text)
    indent = len(line) - len(line.lstrip(" "))
    try:
        tree = ast.parse(line[indent:], mode="eval").body
    except SyntaxError as error:
        offset = indent + max(0, min((error.offset or 1) - 1, len(line) - indent - 1))
        message = f"'{text.strip()}' is no arithmetic" if text.strip() else "is empty"
        raise SpecError(Problem(message, f"write {ALLOWED}", offset=offset)) from None
    except (RecursionError, MemoryError, ValueError):
        raise SpecError(Problem("is no arithmetic that can be read", f"write {ALLOWED}")) from None
    try:
        cases = tuple(_checked(tree, text))
    except RecursionError:
        raise SpecError(Problem("is nested too deeply", DEEP)) from None
    return Expression(text, tree, cases)


def _place(node: ast.expr, text: str) -> tuple[int, int]:
    """(offset, length) of a node in the text as written."""
    indent = len(text) - len(text.lstrip())
    raw = text[indent:].encode()
    start = len(raw[: node.col_offset].decode())
    return indent + start, max(1, len(raw[: node.end_col_offset].decode()) - start)


def _fail(node: ast.expr, text: str, message: str, hint: str) -> NoReturn:
    offset, length = _place(node, text)
    raise SpecError(Problem(message, hint, offset=offset, length=length))


def suggested(name: str, known: Iterable[str], what: str) -> str:
    """The closest known name, then all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    head = f"did you mean '{close[0]}'? " if close else ""
    return f"{head}{what}: {', '.join(names)}" if names else f"{head}{what}: none"


def _checked(node: ast.expr, text: str) -> Iterator[tuple[str, int]]:
    """Refuse what is no arithmetic; the cases that are named, with their offsets."""
    match node:
        case ast.Constant(value=bool()) | ast.Constant(value=complex()):
            _fail(node, text, f"'{ast.unparse(node)}' is no number", f"write {ALLOWED}")
        case ast.Constant(value=int() | float()) | ast.Name():
            return
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            yield from _checked(operand, text)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            yield from _checked(left, text)
            yield from _checked(right, text)
        case ast.Attribute(value=inner):
            yield from _checked(inner, text)
        case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int())):
            yield from _checked(inner, text)
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            yield from _checked_call(node, function, arguments, text)
        case ast.Constant(value=str(word)):
            _fail(node, text, f"'{word}' is text where a number was meant", f"write {ALLOWED}")
        case _:
            part = ast.get_source_segment(text[len(text) - len(text.lstrip()) :], node) or "this"
            _fail(node, text, f"'{part}' is no arithmetic", f"write {ALLOWED}")


def _checked_call(
    node: ast.expr, function: str, arguments: Sequence[ast.expr], text: str
) -> Iterator[tuple[str, int]]:
    if function not in FUNCTIONS:
        _fail(node, text, f"the function '{function}' is not known here", suggested(function, FUNCTIONS, "functions"))
    if function in OF_RESULTS:
        match arguments:
            case [ast.Constant(value=str(name))]:
                if function == "case":
                    yield name, _place(arguments[0], text)[0] + 1
                return
            case [ast.Constant(value=str()), other] if function == "total":
                yield from _checked(other, text)
                return
        example = {"case": 'case("name").cycles', "total": 'total("memories.DRAM.tensors.*.reads")'}[function]
        _fail(node, text, f"{function} takes a text in quotes", f"write for example {example}")
    if not arguments or (function in ONE and len(arguments) != 1):
        count = "one argument" if function in ONE else "at least one argument"
        _fail(node, text, f"{function} has {len(arguments)} arguments", f"{function} takes {count}")
    for argument in arguments:
        yield from _checked(argument, text)


@dataclass(frozen=True)
class _Evaluator:
    """Walks one tree over one result."""

    text: str
    result: Result
    lookup: Lookup

    def number(self, node: ast.expr) -> Number:
        """The number that a node is worth. Raises `SpecError` at its place."""
        try:
            value = self._number(node)
            finite = math.isfinite(value)
        except ZeroDivisionError:
            _fail(node, self.text, "divides by zero", "look at the divisor: is it what was meant?")
        except OverflowError:
            _fail(node, self.text, "is too large for a number", "look at the units and powers")
        except ValueError as error:
            _fail(node, self.text, f"has no value: {error}", "look at what it is taken of")
        if not finite:
            _fail(node, self.text, f"is {value}", "a figure is a finite number")
        return value

    def _number(self, node: ast.expr) -> Number:  # noqa: PLR0911 - one kind of node a line
        match node:
            case ast.Constant(value=int(value)) | ast.Constant(value=float(value)):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.number(operand)
            case ast.UnaryOp(operand=operand):
                return self.number(operand)
            case ast.BinOp(left=left, op=operator, right=right):
                return OPERATORS[type(operator)](self.number(left), self.number(right))
            case ast.Call(func=ast.Name(id=function), args=arguments) if function in MANY:
                return MANY[function](*map(self.number, arguments))
            case ast.Call(func=ast.Name(id=function), args=[argument]) if function in ONE:
                return ONE[function](self.number(argument))
            case ast.Call(func=ast.Name(id="total"), args=[ast.Constant(value=str(path)), *other]):
                return self._total(node, path, self._found(other[0]) if other else self.result)
        return self._as_number(node, self._found(node))

    def _as_number(self, node: ast.expr, value: Any) -> Number:
        name = ast.unparse(node)
        if value is None:
            _fail(node, self.text, f"'{name}' is unknown for this design", "give the design what it takes, or leave "
                  "the figure `class: not_checkable` with its `reason:`")  # fmt: skip
        if isinstance(value, Mapping):
            _fail(node, self.text, f"'{name}' is no number", suggested("", map(str, value), "it has"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            _fail(node, self.text, f"'{name}' is no number", "a figure is arithmetic over numbers of the result")
        return value

    def _found(self, node: ast.expr) -> Any:
        """What stands at a path of the result."""
        match node:
            case ast.Name(id=name):
                return self._below(node, self.result, name, "")
            case ast.Attribute(value=inner, attr=name):
                return self._below(node, self._found(inner), name, ast.unparse(inner))
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                return self._below(node, self._found(inner), key, ast.unparse(inner))
            case ast.Call(func=ast.Name(id="case"), args=[ast.Constant(value=str(name))]):
                return self.lookup(name)
        return self.number(node)

    def _below(self, node: ast.expr, data: Any, key: Any, where: str) -> Any:
        holder = f"'{where}'" if where else "the result"
        if isinstance(data, Mapping):
            if key not in data:
                hint = suggested(str(key), map(str, data), "it has" if where else "names")
                _fail(node, self.text, f"{holder} has no '{key}'", hint)
            return data[key]
        if isinstance(data, Sequence) and not isinstance(data, str):
            if isinstance(key, int) and -len(data) <= key < len(data):
                return data[key]
            _fail(node, self.text, f"{holder} has no '{key}'", f"it is a list of {len(data)}: write an index")
        _fail(node, self.text, f"{holder} has no '{key}'", f"{holder} is a single value: shorten the path")

    def _total(self, node: ast.expr, path: str, result: Any) -> Number:
        """Sum over all Einsums, times the copies of each; those that have nothing at this path add nothing."""
        einsums = result.get("einsums") if isinstance(result, Mapping) else None
        if not isinstance(einsums, Mapping):
            _fail(node, self.text, "total is taken of a result", 'write total("events.activate", case("name"))')
        keys = path.split(".")
        found = [(value, entry.get("repeat", 1)) for entry in einsums.values() for value in _values(entry, keys)]
        if not found:
            ends = [end for entry in einsums.values() for end in _ends(entry, keys)]
            deepest = max((depth for depth, _ in ends), default=0)
            names = {name for depth, name in ends if depth == deepest}
            where = ".".join(keys[:deepest])
            hint = suggested(keys[deepest], names, f"below '{where}'" if where else "an Einsum has")
            hint = hint if names else "there is nothing below a single value: shorten the path"
            _fail(node, self.text, f"no Einsum has '{path}'", hint)
        total: int | float = sum(self._as_number(node, value) * repeat for value, repeat in found)
        return total


def _values(data: Any, keys: Sequence[str]) -> Iterator[Any]:
    """What stands at a path below ``data``; ``*`` is every key."""
    if not keys:
        yield data
    elif isinstance(data, Mapping):
        for key in data if keys[0] == "*" else (keys[0],):
            if key in data:
                yield from _values(data[key], keys[1:])


def _ends(data: Any, keys: Sequence[str], depth: int = 0) -> Iterator[tuple[int, str]]:
    """(depth, key) of what there is where a path ends that leads nowhere."""
    if not isinstance(data, Mapping) or not keys:
        return
    below = [data[key] for key in (data if keys[0] == "*" else (keys[0],)) if key in data]
    if not below:
        yield from ((depth, str(key)) for key in data)
    for inner in below:
        yield from _ends(inner, keys[1:], depth + 1)
