"""The rules of one line: what may stand on the left, which variables are bound, which operators exist."""

from __future__ import annotations

from einloom.errors import Problem
from einloom.workloads.einsum import Einsum
from einloom.workloads.expressions import (
    Affine,
    Call,
    Expression,
    Reduction,
    Reference,
    Span,
    children,
    walk,
)
from einloom.workloads.facts import Parts, did_you_mean
from einloom.workloads.operators import Operator, operator_named, operator_names


def check_line(line: int, einsum: Einsum, parts: Parts) -> list[Problem]:
    """Every rule that ``einsum``, line ``line`` of the cascade, breaks on its own."""
    rules = _Line(line, einsum, parts)
    rules.left_side()
    rules.scopes(einsum.expression, frozenset(einsum.output.variables))
    for node in walk(einsum.expression):
        if isinstance(node, (Call, Reduction)):
            rules.operator(node)
    return rules.problems


class _Line:
    """One method a rule."""

    def __init__(self, line: int, einsum: Einsum, parts: Parts) -> None:
        self.line, self.einsum, self.parts = line, einsum, parts
        self.problems: list[Problem] = []

    def add(self, message: str, hint: str, span: Span) -> None:
        self.problems.append(Problem(message, hint, ("cascade", self.line), offset=span[0], length=span[1]))

    def left_side(self) -> None:
        """Plain variables, at most one of them a generation, or one fixed generation; something is read."""
        output = self.einsum.output
        seen: set[str] = set()
        special = 0
        for index in output.indices:
            shifted = index.affine.shifted
            special += shifted is None or shifted[1] > 0
            if shifted is None or shifted[1] < 0:
                self._fixed_index(index.affine)
            elif shifted[0] in seen:
                self.add(
                    f"the variable '{shifted[0]}' stands twice on the left",
                    "use another rank variable",
                    index.affine.span,
                )
            else:
                seen.add(shifted[0])
                self._written_variable(index.affine, *shifted)
        if special > 1:
            self.add(
                "more than one index of the left side counts generations",
                "an Einsum iterates over one rank",
                output.span,
            )
        if self.einsum.constant and self.einsum.initial is None:
            self.add(
                f"{output} reads no tensor",
                "an Einsum computes from tensors; a constant may start a generation: X[0,p] = 0",
                output.span,
            )

    def _fixed_index(self, affine: Affine) -> None:
        """An index on the left that is no variable is an initial generation: 0, 1, ..."""
        if affine.terms:
            self.add(
                f"the index '{affine}' cannot be written to",
                "the left side has rank variables (m), the next generation (m1+1) or an initial one (0)",
                affine.span,
            )
        elif affine.constant < 0:
            self.add(
                f"generation {affine.constant} does not exist",
                "initial generations are 0, 1, ...",
                affine.span,
            )

    def _written_variable(self, affine: Affine, variable: str, lag: int) -> None:
        """What the left side iterates over, the right side uses."""
        starts = self.einsum.constant and self.einsum.initial is not None
        if lag == 0 and not starts and variable not in _right_variables(self.einsum):
            self.add(
                f"the variable '{variable}' of the left side does not appear on the right",
                f"use {variable} in an index on the right, or leave it out on the left",
                affine.span,
            )

    def scopes(self, node: Expression, scope: frozenset[str]) -> None:
        """Each variable of the right side is on the left or is reduced around the place where it stands."""
        if isinstance(node, Reduction):
            for variable in node.variables:
                if variable in scope:
                    left = variable in self.einsum.output.variables
                    where = "on the left" if left else "by an outer reduction"
                    self.add(
                        f"'{variable}' is reduced here, but it is bound {where}",
                        "use another rank variable",
                        node.span,
                    )
            scope |= frozenset(node.variables)
            if node.guard:
                self._bound(node.guard.left, scope)
                self._bound(node.guard.right, scope)
        if isinstance(node, Reference):
            for index in node.indices:
                self._bound(index.affine, scope)
        for child in children(node):
            self.scopes(child, scope)

    def _bound(self, affine: Affine, scope: frozenset[str]) -> None:
        for variable in affine.variables:
            if variable not in scope:
                self.add(
                    f"'{variable}' is neither on the left nor reduced",
                    f"write sum{{{variable}}}(...) around the part to reduce, or add {variable} to "
                    f"{self.einsum.output}; only a pure product is summed without saying so",
                    affine.span,
                )

    def operator(self, node: Call | Reduction) -> None:
        """The operator is registered or has a declared cost, and is used as what it is."""
        name = node.operator
        span = (node.span[0], len(name))
        operator = operator_named(name)
        if operator is None:
            if name not in self.parts.operators:
                known = sorted({*operator_names(), *self.parts.operators})
                self.add(
                    f"no operator is named '{name}'",
                    f"{did_you_mean(name, known, 'operators')}; a new one needs a cost: "
                    f"operators: {{{name}: {{mac: 1}}}}",
                    span,
                )
        elif isinstance(node, Call):
            self._arity(node, operator, span)
        elif operator.reduction is None:
            names = ((other, operator_named(other)) for other in operator_names())
            reducing = ", ".join(other for other, meaning in names if meaning and meaning.reduction)
            self.add(f"'{name}' cannot reduce", f"reductions: {reducing}", span)
        elif node.guard and operator.identity is None:
            self.add(
                f"'{name}' has no identity, so it takes no guard", "write a guarded sum and divide", span
            )

    def _arity(self, node: Call, operator: Operator, span: Span) -> None:
        name, count, arity = operator.name, len(node.arguments), operator.arity
        named = f"{name}{{k}}(...)"
        if operator.function is None:
            self.add(f"'{name}' is a reduction", f"name what it reduces: {named}", span)
        elif arity < 0 and count < 2:
            hint = f"write {name}(a, b); a reduction names its variables: {named}"
            self.add(f"'{name}' takes two or more arguments, not {count}", hint, span)
        elif arity >= 0 and count != arity:
            plural = "argument" if arity == 1 else "arguments"
            self.add(
                f"'{name}' takes {arity} {plural}, not {count}",
                f"write {name}({', '.join('ab'[:arity])})",
                span,
            )


def _right_variables(einsum: Einsum) -> set[str]:
    """Variables that the right side uses in an index or a guard."""
    names: set[str] = set()
    for node in walk(einsum.statement.expression):
        if isinstance(node, Reference):
            names |= set(node.variables)
        elif isinstance(node, Reduction) and node.guard:
            names |= set(node.guard.variables)
    return names
