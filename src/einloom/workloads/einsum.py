"""One Einsum: its line, its syntax tree, and what can be said of it without knowing any extent.

An Einsum whose left side writes ``X[m1+1,p]`` defines the next generation of ``X``; one that writes
``X[0,p]`` defines an initial generation. A rank variable that is missing on the left of a pure product is
summed (``reduced`` has it, ``expression`` has the explicit ``sum``, ``statement`` is as written).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from einloom.workloads.expressions import (
    Affine,
    Binary,
    Call,
    Expression,
    Negation,
    Number,
    Reduction,
    Reference,
    Statement,
    references,
    unique,
    walk,
)
from einloom.workloads.grammar import parse_einsum
from einloom.workloads.operators import operator_named
from einloom.workloads.sized import Work

Costs = Mapping[str, Mapping[str, int]]
"""Operations of an operator by elementary operator, as ``workload.operators`` declares them."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Where an Einsum counts generations: ``X[m1+1,p]`` has dimension 0, variable ``m1``, lag 1."""

    dimension: int
    variable: str
    lag: int


@dataclass(frozen=True)
class Einsum:
    """One line of a cascade.

    Attributes:
        text: The line as written.
        statement: Its syntax tree.
    """

    text: str
    statement: Statement

    @classmethod
    def parse(cls, text: str) -> Einsum:
        """The Einsum that ``text`` writes. Raises `SpecError` at the character of a mistake."""
        return cls(text, parse_einsum(text))

    @property
    def output(self) -> Reference:
        return self.statement.output

    @cached_property
    def name(self) -> str:
        """The tensor it defines; with ``_init`` behind it for an initial generation."""
        return self.output.tensor if self.initial is None else f"{self.output.tensor}_init"

    @cached_property
    def generation(self) -> Generation | None:
        for dimension, index in enumerate(self.output.indices):
            shifted = index.affine.shifted
            if shifted is not None and shifted[1] > 0:
                return Generation(dimension, shifted[0], shifted[1])
        return None

    @cached_property
    def initial(self) -> tuple[int, int] | None:
        """(dimension, generation) if the left side writes a fixed generation, ``X[0,p]``."""
        for dimension, index in enumerate(self.output.indices):
            if not index.affine.terms:
                return dimension, index.affine.constant
        return None

    @cached_property
    def constant(self) -> bool:
        """Whether no tensor is read."""
        return not references(self.statement.expression)

    @cached_property
    def inputs(self) -> tuple[Reference, ...]:
        """Distinct references of the right side (tensor and indices), in order of appearance."""
        return tuple(dict.fromkeys(references(self.statement.expression)))

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Tensors of the right side, in order of appearance."""
        return unique(ref.tensor for ref in self.inputs)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Every rank variable, in order of appearance: the iteration space."""
        return unique(iter((*self.output.variables, *_variables(self.statement.expression))))

    @cached_property
    def expression(self) -> Expression:
        """The right side with the implicit sum of a pure product written out."""
        written = self.statement.expression
        missing = tuple(v for v in _variables(written) if v not in self.output.variables)
        return Reduction("sum", missing, None, written) if missing and is_product(written) else written

    @cached_property
    def reductions(self) -> tuple[Reduction, ...]:
        """Every reduction, in the order of the text, the implicit one included."""
        return tuple(node for node in walk(self.expression) if isinstance(node, Reduction))

    @cached_property
    def reduced(self) -> tuple[str, ...]:
        """Rank variables that are reduced."""
        return unique(var for node in self.reductions for var in node.variables)

    @cached_property
    def last_factors(self) -> tuple[str, ...]:
        """The tensor that stands last in each product, if one does."""
        found: list[str] = []
        self._collect_last_factors(self.expression, inside=False, found=found)
        return unique(iter(found))

    def _collect_last_factors(self, node: Expression, inside: bool, found: list[str]) -> None:
        product = isinstance(node, Binary) and node.operator == "mul"
        if isinstance(node, Binary) and product and not inside and isinstance(node.right, Reference):
            found.append(node.right.tensor)
        match node:
            case Binary():
                self._collect_last_factors(node.left, product, found)
                self._collect_last_factors(node.right, False, found)
            case Reduction():
                self._collect_last_factors(node.body, False, found)
            case Call():
                for argument in node.arguments:
                    self._collect_last_factors(argument, False, found)
            case Negation():
                self._collect_last_factors(node.argument, False, found)

    def operators(self) -> tuple[str, ...]:
        """Every operator that the line applies, by the names of the registry."""
        return unique(name for name in map(operator_of, walk(self.expression)) if name)

    def work(self, costs: Costs) -> tuple[Work, ...]:
        """Operations by the space they run over.

        Operators inside a reduction run at every point of its variables; those outside at every point of the
        left side. The last multiply of a summed product and its addition are one ``mac``. Constants cost
        nothing.
        """
        counts: dict[tuple[str, frozenset[str]], int] = {}
        for operator, scope, count in _operations(self.expression, frozenset(self.output.variables), costs):
            counts[operator, scope] = counts.get((operator, scope), 0) + count
        return tuple(Work(operator, scope, count) for (operator, scope), count in counts.items() if count)

    def __str__(self) -> str:
        return str(self.statement)


def is_product(node: Expression) -> bool:
    """Whether ``node`` is tensors and numbers joined by ``*`` alone."""
    if isinstance(node, Binary):
        return node.operator == "mul" and is_product(node.left) and is_product(node.right)
    return isinstance(node, (Reference, Number))


def _variables(node: Expression) -> tuple[str, ...]:
    """Rank variables of ``node`` in the order of the text, those of reductions and guards included."""
    found: list[str] = []
    for item in walk(node):
        if isinstance(item, Reference):
            found.extend(item.variables)
        elif isinstance(item, Reduction):
            found.extend(item.variables)
            found.extend(item.guard.variables if item.guard else ())
    return unique(iter(found))


def operator_of(node: Expression) -> str | None:
    """The operator that ``node`` applies."""
    if isinstance(node, (Binary, Call, Reduction)):
        return node.operator
    return "neg" if isinstance(node, Negation) else None


def _operations(
    node: Expression, scope: frozenset[str], costs: Costs
) -> Iterator[tuple[str, frozenset[str], int]]:
    """(elementary operator, variables it runs over, count) of ``node`` and all below it."""
    if not references(node):
        return
    match node:
        case Reduction():
            yield from _reduction_operations(node, scope, costs)
        case Call():
            for argument in node.arguments:
                yield from _operations(argument, scope, costs)
            operator = operator_named(node.operator)
            times = len(node.arguments) - 1 if operator is not None and operator.arity < 0 else 1
            yield from _charge(_cost(node.operator, costs), scope, times)
        case Binary():
            yield from _operations(node.left, scope, costs)
            yield from _operations(node.right, scope, costs)
            yield from _charge(_cost(node.operator, costs), scope)
        case Negation():
            yield from _operations(node.argument, scope, costs)
            yield from _charge(_cost("neg", costs), scope)


def _reduction_operations(
    node: Reduction, scope: frozenset[str], costs: Costs
) -> Iterator[tuple[str, frozenset[str], int]]:
    inner = scope | frozenset(node.variables)
    body = node.body
    if node.operator == "sum" and "sum" not in costs and isinstance(body, Binary) and body.operator == "mul":
        yield from _operations(body.left, inner, costs)
        yield from _operations(body.right, inner, costs)
        yield from _charge({"mac": 1}, inner)
        return
    yield from _operations(body, inner, costs)
    yield from _charge(_cost(node.operator, costs), inner)
    operator = operator_named(node.operator)
    if operator is not None and node.operator not in costs:
        yield from _charge(operator.cost_per_result, scope)


def _charge(
    cost: Mapping[str, int], scope: frozenset[str], times: int = 1
) -> Iterator[tuple[str, frozenset[str], int]]:
    for operator, count in cost.items():
        yield operator, scope, count * times


def _cost(name: str, costs: Costs) -> Mapping[str, int]:
    """What one application costs: as the workload declares, else as the registry says, else itself."""
    if name in costs:
        return costs[name]
    operator = operator_named(name)
    return operator.cost if operator is not None else {name: 1}


def bounds(affine: Affine, extents: Mapping[str, int]) -> tuple[int, int]:
    """Smallest and largest value of ``affine``; ``extents`` by variable and by rank."""
    low = high = affine.constant
    for coefficient, name in affine.terms:
        last = coefficient * (extents[name] - 1 if name[0].islower() else extents[name])
        first = 0 if name[0].islower() else last
        low += min(first, last)
        high += max(first, last)
    return low, high
