"""Templates: named, parameterized generators of architectures.

A template is one module that ends in a `Template` value: typed parameters, a function that builds the
architecture from them, and the sources of its constants. The architecture that it builds carries the
mapping rules it imposes (``Architecture.rules``) and its timing law (``Architecture.timing``).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

from einloom.arch.tree import Amount, Architecture
from einloom.errors import PluginError, Problem, SpecError

Kind = Literal[
    "count", "number", "size", "rate", "frequency", "length", "time", "energy", "power", "choice", "names", "flag",
    "text", "table",
]  # fmt: skip
"""What a parameter is, and what ``build`` receives for it:

count: an ``int``; number: a ``float``; size: an `Amount` of storage; rate: an `Amount` a cycle; frequency: Hz, length:
nm, time: s, energy: pJ, power: W, each a ``float``; choice and text: a ``str``; names: a ``tuple`` of words among the
choices; flag: a ``bool``; table: a ``dict`` as YAML gave it, which ``build`` checks (`SpecError` with its path).
"""

_NUMBERS = ("count", "number", "frequency", "length", "time", "energy", "power")

_TYPES: dict[str, tuple[type, ...]] = {
    "count": (int,),
    "size": (Amount,),
    "rate": (Amount,),
    "frequency": (float, int),
    "length": (float, int),
    "number": (float, int),
    "time": (float, int),
    "energy": (float, int),
    "power": (float, int),
    "choice": (str,),
    "names": (tuple,),
    "table": (dict,),
    "flag": (bool,),
    "text": (str,),
}

_UNITS = {"frequency": (1e9, "GHz"), "length": (1, "nm"), "time": (1e-9, "ns"), "energy": (1, "pJ"), "power": (1, "W")}


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()
"""Default of a parameter that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One typed parameter of a template.

    Attributes: name: As in YAML. kind: Its type and unit. meaning: One line. default: Value in base units;
        None when the template derives it; `REQUIRED` when the user must give it. low: Smallest number of any
        kind (1; give 0 where that is allowed). high: Largest one. choices: Values of a choice, or the names that a
        list may have. unlimited: Whether ``inf`` is allowed (sizes and rates).
    """

    name: str
    kind: Kind
    meaning: str
    default: object = REQUIRED
    low: float = 1
    high: float = math.inf
    choices: tuple[str, ...] = ()
    unlimited: bool = True

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise PluginError(f"parameter '{self.name}' has the kind '{self.kind}'", f"kinds: {kinds}")
        if not self.meaning:
            raise PluginError(f"parameter '{self.name}' does not say what it means")

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def check(self, value: object) -> None:
        """Raise `SpecError` unless ``value`` is one that this parameter takes."""
        expected = _TYPES[self.kind]
        if not isinstance(value, expected) or (isinstance(value, bool) and self.kind != "flag"):
            raise SpecError(f"parameter '{self.name}' is {value!r}", f"expected: {self.kind}", (self.name,))
        if self.kind == "choice" and value not in self.choices:
            raise SpecError(*unknown_name(str(value), self.choices, self.name), (self.name,))
        if self.kind == "names":
            assert isinstance(value, tuple)
            for word in value:
                if word not in self.choices:
                    raise SpecError(*unknown_name(str(word), self.choices, f"entry of '{self.name}'"), (self.name,))
        if self.kind in _NUMBERS:
            assert isinstance(value, int | float)
            if not self.low <= value <= self.high or math.isinf(value):
                raise SpecError(f"'{value:.10g}' is out of range", self._range(), (self.name,))
        if isinstance(value, Amount) and math.isinf(value.value) and not self.unlimited:
            raise SpecError("'inf' is out of range", f"'{self.name}' must be finite", (self.name,))

    def _range(self) -> str:
        upper = "" if math.isinf(self.high) else f" and at most {self.high:.10g}"
        return f"must be at least {self.low:.10g}{upper}"

    def default_text(self) -> str:
        """The default as YAML would write it."""
        return "derived" if self.default is None else show_value(self.kind, self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A generator of architectures.

    Attributes: name: As in ``template: NAME``; the name of its entry point. summary: One line. parameters:
        In the order in which a user should read them. build: From resolved parameters to an architecture.
        Every parameter is present and has been checked; one whose default is derived is None when the user
        gave none. sources: Papers and tools whose structure and constants it follows.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    build: Callable[[Mapping[str, object]], Architecture]
    sources: tuple[str, ...] = ()

    def resolve(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """``given`` with defaults, checked.

        Raises:
            SpecError: With every unknown, missing or wrong parameter.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        problems: list[Problem] = []
        for name in given:
            if name not in known:
                message, hint = unknown_name(name, tuple(known), f"parameter of template '{self.name}'")
                problems.append(Problem(message, hint, (name,)))
        values: dict[str, object] = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is REQUIRED:
                hint = f"add `{parameter.name}:` - {parameter.meaning}"
                what = f"parameter '{parameter.name}' of template '{self.name}' is missing"
                problems.append(Problem(what, hint))
            elif value is not None or parameter.default is not None:
                try:
                    parameter.check(value)
                except SpecError as error:
                    problems.extend(error.problems)
            values[parameter.name] = value
        if problems:
            raise SpecError(problems)
        return MappingProxyType(values)

    def architecture(self, given: Mapping[str, object], name: str = "") -> Architecture:
        """The architecture for the parameters that are ``given`` (base units), defaults for the others.

        Raises:
            SpecError: A parameter is unknown, missing or out of range, or a part cannot be priced.
        """
        values = self.resolve(given)
        built = self.build(values)
        if not isinstance(built, Architecture):
            what = f"the template '{self.name}' builds {type(built).__name__}, not an Architecture"
            raise PluginError(what, "tell its author: `build` ends in `return Architecture(...)`")
        return replace(built, name=name or built.name, template=self.name, parameters=tuple(values.items()))


def show_value(kind: Kind, value: object) -> str:
    """A parameter's value as YAML would write it."""
    if isinstance(value, Amount):
        return _show_amount(value) + ("/cycle" if kind == "rate" and not math.isinf(value.value) else "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, int | float) and kind in _UNITS:
        size, unit = _UNITS[kind]
        return f"{value / size:g} {unit}"
    return str(value)


def _show_amount(amount: Amount) -> str:
    if math.isinf(amount.value):
        return "inf"
    if amount.in_words:
        return f"{float(amount.value):g} words"
    units = ((8 * 2**20, "MiB"), (8 * 2**10, "KiB"), (8, "B"))
    bits, unit = next(((bits, unit) for bits, unit in units if amount.value % bits == 0), (1, "b"))
    return f"{float(amount.value / bits):g} {unit}"


def unknown_name(name: str, known: tuple[str, ...], what: str) -> tuple[str, str]:
    """Message and hint for a name that nobody has."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"no {what} is named '{name}'", f"{hint}known: {', '.join(known)}"
