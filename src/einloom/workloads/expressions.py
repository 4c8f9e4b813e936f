"""The abstract syntax of one Einsum line: frozen nodes that print as the text that parses back to them.

A node knows where it stood in its line (``span``), so that a semantic mistake is shown at the character; the
span takes no part in equality. ``str(statement)`` is canonical: parsing it gives an equal statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Span = tuple[int, int]
"""First character and number of characters, in the line."""

NOWHERE: Span = (0, 1)


@dataclass(frozen=True, slots=True)
class Affine:
    """A sum of integer multiples of rank variables and ranks, and an integer.

    Attributes:
        terms: (coefficient, name) in order of appearance, each name once, no coefficient 0. A name in
            capitals is a rank and stands for its extent.
        constant: What is added.
        span: Where it stands in the line.
    """

    terms: tuple[tuple[int, str], ...]
    constant: int = 0
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.terms if name[0].islower())

    @property
    def ranks(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.terms if name[0].isupper())

    @property
    def plain(self) -> str | None:
        """The variable, if the expression is one variable and nothing else."""
        shifted = self.shifted
        return shifted[0] if shifted is not None and shifted[1] == 0 else None

    @property
    def shifted(self) -> tuple[str, int] | None:
        """(variable, offset), if the expression is one variable plus an integer."""
        if len(self.terms) == 1 and self.terms[0][0] == 1 and self.terms[0][1][0].islower():
            return self.terms[0][1], self.constant
        return None

    def __str__(self) -> str:
        text = ""
        for coefficient, name in self.terms:
            sign = "-" if coefficient < 0 else "+" if text else ""
            text += sign + (f"{abs(coefficient)}*{name}" if abs(coefficient) != 1 else name)
        if self.constant or not text:
            text += f"{self.constant:+d}" if text else str(self.constant)
        return text


@dataclass(frozen=True, slots=True)
class Index:
    """The index of one dimension: ``2*p+r``, or ``H=2*p+r`` where ``H`` is the rank of the dimension."""

    affine: Affine
    rank: str | None = None

    def __str__(self) -> str:
        return f"{self.rank}={self.affine}" if self.rank else str(self.affine)


@dataclass(frozen=True, slots=True)
class Reference:
    """A tensor with its indices: ``A[m,k]``; ``Z[]`` is a scalar."""

    tensor: str
    indices: tuple[Index, ...]
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def variables(self) -> tuple[str, ...]:
        return unique(name for index in self.indices for name in index.affine.variables)

    def __str__(self) -> str:
        return f"{self.tensor}[{','.join(map(str, self.indices))}]"


@dataclass(frozen=True, slots=True)
class Number:
    """A constant, at least 0 (a minus in front is a `Negation`)."""

    value: float
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        if self.value == float("inf"):
            return "inf"
        return (
            str(int(self.value))
            if self.value == int(self.value) and self.value < 10**15
            else repr(self.value)
        )


@dataclass(frozen=True, slots=True)
class Guard:
    """The points that a reduction takes: ``k<=m``."""

    left: Affine
    relation: str
    right: Affine

    @property
    def variables(self) -> tuple[str, ...]:
        return unique((*self.left.variables, *self.right.variables))

    def __str__(self) -> str:
        return f"{self.left}{self.relation}{self.right}"


@dataclass(frozen=True, slots=True)
class Reduction:
    """``sum{r,s}(body)``, with a guard ``sum{k | k<=m}(body)``."""

    operator: str
    variables: tuple[str, ...]
    guard: Guard | None
    body: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        guard = f" | {self.guard}" if self.guard else ""
        return f"{self.operator}{{{','.join(self.variables)}{guard}}}({self.body})"


@dataclass(frozen=True, slots=True)
class Call:
    """``exp(x)``, ``max(a, b)``, a user operator."""

    operator: str
    arguments: tuple[Expression, ...]
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"{self.operator}({', '.join(map(str, self.arguments))})"


SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_STRENGTH = {"add": 1, "sub": 1, "mul": 2, "div": 2}


@dataclass(frozen=True, slots=True)
class Binary:
    """``a + b``, ``a - b``, ``a * b``, ``a / b``; ``operator`` is add, sub, mul or div."""

    operator: str
    left: Expression
    right: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        mine = _STRENGTH[self.operator]
        left, right = str(self.left), str(self.right)
        if isinstance(self.left, Binary) and _STRENGTH[self.left.operator] < mine:
            left = f"({left})"
        if isinstance(self.right, Binary) and _STRENGTH[self.right.operator] <= mine:
            right = f"({right})"
        return f"{left} {SYMBOLS[self.operator]} {right}"


@dataclass(frozen=True, slots=True)
class Negation:
    """``-x``."""

    argument: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"-({self.argument})" if isinstance(self.argument, Binary) else f"-{self.argument}"


Expression = Reference | Number | Reduction | Call | Binary | Negation


@dataclass(frozen=True, slots=True)
class Statement:
    """``output = expression``."""

    output: Reference
    expression: Expression

    def __str__(self) -> str:
        return f"{self.output} = {self.expression}"


def children(node: Expression) -> tuple[Expression, ...]:
    """The operands of ``node``, left to right."""
    match node:
        case Reduction():
            return (node.body,)
        case Call():
            return node.arguments
        case Binary():
            return (node.left, node.right)
        case Negation():
            return (node.argument,)
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """``node`` and all below it, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)


def references(node: Expression) -> tuple[Reference, ...]:
    """Every tensor reference below ``node``, in the order of the text, repeated ones included."""
    return tuple(item for item in walk(node) if isinstance(item, Reference))


def unique(names: Iterator[str] | tuple[str, ...]) -> tuple[str, ...]:
    """``names`` in order of first appearance."""
    return tuple(dict.fromkeys(names))
