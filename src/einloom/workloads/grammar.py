"""Text to syntax tree: one Einsum line, read by recursive descent.

The grammar is DESIGN section 3 of the project. A mistake raises `SpecError` with one `Problem` whose
``offset`` and ``length`` mark the characters at fault, counted from the start of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from einloom.errors import Problem, SpecError
from einloom.workloads.expressions import (
    Affine,
    Binary,
    Call,
    Expression,
    Guard,
    Index,
    Negation,
    Number,
    Reduction,
    Reference,
    Statement,
)

CONVENTION = "Rank names are upper case ('M'), rank variables lower case ('m')"
RELATIONS = ("<=", "<", "==", ">=", ">")
MAX_DEPTH = 60
MAX_LENGTH = 10_000

_BLANKS = " \t\n\r\f\v"
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Z][A-Za-z0-9_]*)|(?P<word>[a-z][A-Za-z0-9_]*)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<symbol><=|>=|==|[-+*/=()\[\]{},|<>])|(?P<end>$))",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the line: its kind (name, word, number, symbol, end), text and place."""

    kind: str
    text: str
    offset: int

    @property
    def shown(self) -> str:
        return f"'{self.text}'" if self.text else "the end of the line"


def fail(message: str, hint: str, offset: int, length: int = 1) -> NoReturn:
    """Raise the mistake at ``offset``."""
    raise SpecError(Problem(message, hint, offset=offset, length=max(1, length)))


def tokenize(text: str) -> list[Token]:
    """The tokens of ``text``, the last of kind ``end``."""
    if len(text) > MAX_LENGTH:
        fail(f"the line has {len(text)} characters", f"an Einsum has at most {MAX_LENGTH}", 0)
    tokens: list[Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            position += len(text[position:]) - len(text[position:].lstrip(_BLANKS))
            fail(
                f"'{text[position]}' does not belong in an Einsum", _character_hint(text[position]), position
            )
        tokens.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        position = match.end()
    return tokens


def _character_hint(character: str) -> str:
    hints = {
        "^": "write x*x or square(x)",
        ":": "inside an index write RANK=affine, for example H=2*p+r",
        "_": "names begin with a letter",
        "×": "write * for a product",
        "·": "write * for a product",
        "−": "write - for a minus",
        "≤": "write <=",
        "≥": "write >=",
    }
    return hints.get(character, "for example: Z[m,n] = sum{k}(A[m,k] * B[k,n])")


def parse_einsum(text: str) -> Statement:
    """The statement that ``text`` writes.

    Raises:
        SpecError: With the offset of the first mistake.

    >>> str(parse_einsum("Z[m,n]=A[m,k]*B[k,n]"))
    'Z[m,n] = A[m,k] * B[k,n]'
    """
    return _Parser(text).statement()


class _Parser:
    """Recursive descent; one method per rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._at = 0
        self._depth = 0

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    @property
    def _following(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._at += 1
        return token

    def _accept(self, *symbols: str) -> Token | None:
        token = self._token
        return self._next() if token.kind == "symbol" and token.text in symbols else None

    def _expect(self, symbol: str, hint: str) -> Token:
        token = self._accept(symbol)
        if token is None:
            self._fail(f"expected '{symbol}', found {self._token.shown}", hint)
        return token

    def _fail(self, message: str, hint: str, token: Token | None = None) -> NoReturn:
        token = token or self._token
        fail(message, hint, token.offset, len(token.text))

    def _span(self, start: int) -> tuple[int, int]:
        last = self._tokens[self._at - 1]
        return start, last.offset + len(last.text) - start

    # -- rules

    def statement(self) -> Statement:
        """stmt := tensor "=" expr"""
        if self._token.kind == "end":
            self._fail("the line is empty", "for example: Z[m,n] = sum{k}(A[m,k] * B[k,n])")
        if not any(token.text == "=" and self._outside(i) for i, token in enumerate(self._tokens)):
            fail(
                "the Einsum has no output",
                f"write what it computes: Z[...] = {self._text.strip()}",
                self._token.offset,
                len(self._text.strip()),
            )
        if self._token.text == "=":
            self._fail("the Einsum has no output", f"write what it computes: Z[...] {self._text.strip()}")
        output = self._tensor()
        self._expect("=", "an Einsum is `output = expression`")
        if self._token.kind == "end":
            fail(
                "nothing follows the '='",
                "write the expression, for example sum{k}(A[m,k] * B[k,n])",
                self._tokens[self._at - 1].offset,
            )
        expression = self._expression()
        if self._token.kind != "end":
            self._fail(
                f"{self._token.shown} is left over", "join terms with + - * /, close every bracket once"
            )
        return Statement(output, expression)

    def _outside(self, index: int) -> bool:
        """Whether token ``index`` stands outside of all square brackets."""
        before = [token.text for token in self._tokens[:index]]
        return before.count("[") <= before.count("]")

    def _expression(self) -> Expression:
        """expr := term (("+"|"-") term)*"""
        start = self._token.offset
        left = self._term()
        while token := self._accept("+", "-"):
            right = self._term()
            left = Binary("add" if token.text == "+" else "sub", left, right, self._span(start))
        return left

    def _term(self) -> Expression:
        """term := unary (("*"|"/") unary)*"""
        start = self._token.offset
        left = self._unary()
        while token := self._accept("*", "/"):
            if self._token.text == "*":
                self._fail("'**' is no operator", "write x*x or square(x)")
            right = self._unary()
            left = Binary("mul" if token.text == "*" else "div", left, right, self._span(start))
        return left

    def _unary(self) -> Expression:
        """unary := "-" unary | atom"""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(
                f"the expression is nested more than {MAX_DEPTH} deep", "split it into several Einsums"
            )
        start = self._token.offset
        node: Expression
        if self._accept("-"):
            argument = self._unary()
            node = Negation(argument, self._span(start))
        else:
            node = self._atom()
        self._depth -= 1
        return node

    def _atom(self) -> Expression:
        """atom := NUMBER | "inf" | tensor | reduce | call | "(" expr ")" """
        token = self._token
        if token.kind == "number":
            self._next()
            return Number(float(token.text), (token.offset, len(token.text)))
        if token.kind == "name":
            return self._tensor()
        if token.kind == "word":
            return self._word()
        if self._accept("("):
            inner = self._expression()
            self._expect(")", f"close the bracket that opens at character {token.offset + 1}")
            return inner
        self._fail(
            f"expected a tensor, a number or an operator, found {token.shown}",
            "for example A[m,k], 0.5, exp(x)",
        )

    def _word(self) -> Expression:
        """reduce := OP "{" VAR ("," VAR)* ["|" guard] "}" "(" expr ")", call := OP "(" expr,... ")"."""
        token = self._next()
        if token.text == "inf":
            return Number(float("inf"), (token.offset, 3))
        if self._token.text == "{":
            return self._reduction(token)
        if self._token.text == "[":
            self._fail(
                f"'{token.text}' is lower case: tensor names begin with a capital",
                f"write {token.text[0].upper()}{token.text[1:]}[...]. {CONVENTION}",
                token,
            )
        if self._token.text != "(":
            self._fail(
                f"'{token.text}' is a rank variable or an operator, not a value",
                f"a value is a tensor with its index, A[{token.text}], or an operator with its argument, "
                f"{token.text}(x)",
                token,
            )
        self._next()
        arguments = [self._expression()]
        while self._accept(","):
            arguments.append(self._expression())
        self._expect(")", f"close the bracket of {token.text}(")
        return Call(token.text, tuple(arguments), self._span(token.offset))

    def _reduction(self, operator: Token) -> Reduction:
        self._next()
        variables: list[str] = []
        while True:
            variable = self._variable()
            if variable.text in variables:
                self._fail(
                    f"the variable '{variable.text}' stands twice", "name each rank variable once", variable
                )
            variables.append(variable.text)
            if not self._accept(","):
                break
        guard = self._guard() if self._accept("|") else None
        self._expect(
            "}", f"write {operator.text}{{k}}(...) or, with a guard, {operator.text}{{k | k<=m}}(...)"
        )
        self._expect("(", f"put the body into brackets: {operator.text}{{{','.join(variables)}}}(...)")
        body = self._expression()
        self._expect(")", f"close the bracket of {operator.text}{{{','.join(variables)}}}(")
        return Reduction(operator.text, tuple(variables), guard, body, self._span(operator.offset))

    def _variable(self) -> Token:
        token = self._next()
        if token.kind == "name":
            self._fail(
                f"'{token.text}' is a rank, a rank variable is meant",
                f"{CONVENTION}: write {token.text.lower()}",
                token,
            )
        if token.kind != "word":
            self._fail(
                f"expected a rank variable, found {token.shown}",
                f"for example sum{{k}}(...). {CONVENTION}",
                token,
            )
        return token

    def _guard(self) -> Guard:
        """guard := affine ("<="|"<"|"=="|">="|">") affine"""
        left = self._affine()
        relation = self._accept(*RELATIONS)
        if relation is None:
            self._fail(
                f"expected a comparison, found {self._token.shown}", f"write one of: {' '.join(RELATIONS)}"
            )
        return Guard(left, relation.text, self._affine())

    def _tensor(self) -> Reference:
        """tensor := NAME "[" [index ("," index)*] "]" """
        token = self._next()
        if token.kind == "word":
            self._fail(
                f"'{token.text}' is lower case: tensor names begin with a capital",
                f"write {token.text[0].upper()}{token.text[1:]}[...]. {CONVENTION}",
                token,
            )
        if token.kind != "name":
            self._fail(f"expected a tensor, found {token.shown}", "for example Z[m,n]", token)
        if self._token.text in ("(", "{"):
            self._fail(
                f"'{token.text}' is upper case: operators are lower case",
                f"write {token.text.lower()}{self._token.text}",
                token,
            )
        if self._token.text != "[":
            self._fail(
                f"the tensor '{token.text}' has no index",
                f"write {token.text}[m,n] with its rank variables, or {token.text}[] for a scalar",
                token,
            )
        self._next()
        indices: list[Index] = []
        if not self._accept("]"):
            indices.append(self._index())
            while self._accept(","):
                indices.append(self._index())
            self._expect("]", "separate indices by a comma and close with ]")
        return Reference(token.text, tuple(indices), self._span(token.offset))

    def _index(self) -> Index:
        """index := [RANK "="] affine"""
        if self._following.text == "=" and self._token.kind in ("name", "word"):
            rank = self._next()
            if rank.kind != "name":
                self._fail(
                    f"'{rank.text}' is no rank", f"write RANK=affine, for example H=2*p+r. {CONVENTION}", rank
                )
            self._next()
            return Index(self._affine(), rank.text)
        return Index(self._affine())

    def _affine(self) -> Affine:
        """affine := sum or difference of INT, VAR, INT "*" VAR, RANK"""
        start = self._token.offset
        terms: dict[str, int] = {}
        constant = 0
        sign = -1 if self._accept("-") else 1
        while True:
            coefficient, name = self._affine_term()
            if name is None:
                constant += sign * coefficient
            else:
                terms[name] = terms.get(name, 0) + sign * coefficient
            token = self._accept("+", "-")
            if token is None:
                break
            sign = -1 if token.text == "-" else 1
        kept = tuple((coefficient, name) for name, coefficient in terms.items() if coefficient)
        return Affine(kept, constant, self._span(start))

    def _affine_term(self) -> tuple[int, str | None]:
        token = self._next()
        if token.kind in ("name", "word"):
            if self._token.text == "*":
                self._fail(
                    f"the factor of '{token.text}' must be a whole number in front",
                    f"write 2*{token.text}; indices are sums of whole multiples of rank variables",
                )
            if self._token.text in ("[", "(", "{"):
                self._fail(
                    f"'{token.text}{self._token.text}' does not belong in an index",
                    "indices are sums of whole multiples of rank variables, for example 2*p+r",
                    token,
                )
            return 1, token.text
        if token.kind == "number":
            if not token.text.isdigit():
                self._fail(f"{token.text} is not a whole number", "indices are whole: 2*p+r", token)
            if not self._accept("*"):
                return int(token.text), None
            name = self._next()
            if name.kind not in ("name", "word"):
                self._fail(f"expected a rank variable, found {name.shown}", "write 2*p", name)
            return int(token.text), name.text
        self._fail(f"expected an index, found {token.shown}", "for example m, m1+1, 2*p+r, H=2*p+r", token)
