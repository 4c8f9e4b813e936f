"""Tasks as text: ``64 x (load 1024 + 256 x (mac 1024 + send K))``.

    task   := item ("+" item)*
    item   := COUNT "x" item | "(" task ")" | "send" FIFO | "recv" FIFO | KIND COUNT ["@" COUNT] port*
    port   := "->" FIFO | "<-" FIFO              one packet a trip: a trip reads, then writes
    COUNT  := whole number, name, or an expression of them with * / - and parentheses; it rounds up

``KIND COUNT`` is a pipelined loop: COUNT trips, one every ``@`` cycles (else as its kind says), then its fill. ``send``
and ``recv`` move one packet at that place and take no cycle of their own. Names of counts are ranks of the workload,
``lanes``, ``cores``, and the choices of the phase.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from einloom.arch.templates.fpga_dataflow.classes import LoopClass
from einloom.errors import SpecError

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>->|<-|[()+*/@-])|(?P<wrong>\S))")
EXAMPLE = "for example `64 x (load 1024 + 256 x (mac 1024 + send K))`"


@dataclass(frozen=True, slots=True)
class Number:
    value: int


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Binary:
    mark: str
    left: Count
    right: Count


Count = Number | Name | Binary


@dataclass(frozen=True, slots=True)
class Loop:
    """``trips x body``."""

    trips: Count
    body: Sequence


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A loop of one kind. ``interval`` is None where the kind says it."""

    kind: str
    trips: Count
    interval: Count | None
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet received (``read``) or sent."""

    fifo: str
    read: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Loop | Pipeline | Packet | Sequence, ...]


def evaluate(count: Count, names: Mapping[str, int]) -> int:
    """The value of a count, rounded up.

    Raises:
        SpecError: An unknown name, or a value below 0.
    """
    value = math.ceil(_exact(count, names))
    if value < 0:
        raise SpecError(f"a count comes to {value}", "counts are at least 0")
    return value


def _exact(count: Count, names: Mapping[str, int]) -> Fraction:
    if isinstance(count, Number):
        return Fraction(count.value)
    if isinstance(count, Name):
        if count.name not in names:
            close = difflib.get_close_matches(count.name, names, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise SpecError(f"no count is named '{count.name}'", f"{hint}known: {', '.join(sorted(names))}")
        return Fraction(names[count.name])
    left, right = _exact(count.left, names), _exact(count.right, names)
    if count.mark == "*":
        return left * right
    if count.mark == "-":
        return left - right
    if right == 0:
        raise SpecError("a count divides by 0", "divide by a count that is at least 1")
    return left / right


def parse_task(text: str, kinds: Mapping[str, LoopClass]) -> Sequence:
    """A task.

    Raises:
        SpecError: Not a task; the problem says where in the text (``offset``) and what is allowed there.
    """
    parser = _Parser(text, kinds)
    task = parser.task()
    parser.end()
    return task


def parse_count(text: str | int) -> Count:
    """A count by itself, as in ``lanes: {core: D/16}``."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return Number(text)
    if not isinstance(text, str):
        raise SpecError(f"{text!r} is no count", "write a whole number, or an expression such as `D/16`")
    parser = _Parser(text, {})
    count = parser.count()
    parser.end()
    return count


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, kinds: Mapping[str, LoopClass]) -> None:
        self.text, self.kinds, self.place = text, kinds, 0
        self.tokens: list[tuple[str, str, int]] = []
        for match in _TOKEN.finditer(text):
            kind = match.lastgroup
            assert kind is not None
            if kind == "wrong":
                self._fail(match.start(kind), f"'{match.group(kind)}' does not belong in a task", EXAMPLE)
            self.tokens.append((kind, match.group(kind), match.start(kind)))

    def task(self) -> Sequence:
        items = [self._item()]
        while self._take("+"):
            items.append(self._item())
        return Sequence(tuple(items))

    def end(self) -> None:
        if self.place < len(self.tokens):
            _, word, at = self.tokens[self.place]
            self._fail(at, f"'{word}' is not expected here", f"items are joined by `+`; {EXAMPLE}")

    def count(self) -> Count:
        left = self._factor()
        while (mark := self._peek()) in ("*", "/", "-"):
            self.place += 1
            left = Binary(mark, left, self._factor())
        return left

    def _item(self) -> Loop | Pipeline | Packet | Sequence:
        kind, word, at = self._token("an item is missing")
        if kind == "name" and word in ("send", "recv"):
            self.place += 1
            return Packet(self._word("a FIFO"), word == "recv")
        if kind == "name" and word in self.kinds and self._next() != "x":
            self.place += 1
            return self._pipeline(word)
        if word == "(" and not self._is_count():
            self.place += 1
            task = self.task()
            self._expect(")")
            return task
        if kind == "mark" and word != "(":
            self._fail(at, f"'{word}' is not expected here", EXAMPLE)
        before = self.place
        trips = self.count()
        if self._take("x"):
            return Loop(trips, Sequence((self._item(),)))
        if kind == "name" and self.place == before + 1:
            close = difflib.get_close_matches(word, self.kinds, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            self._fail(at, f"no loop is of the kind '{word}'", f"{hint}kinds: {', '.join(self.kinds)}, send, recv")
        self._fail(at, "a count is followed by `x`, the loop that it repeats", EXAMPLE)
        raise AssertionError

    def _pipeline(self, kind: str) -> Pipeline:
        trips = self.count()
        interval = self.count() if self._take("@") else None
        ports: dict[str, list[str]] = {"<-": [], "->": []}
        while (mark := self._peek()) in ports:
            self.place += 1
            ports[mark].append(self._word("a FIFO"))
        return Pipeline(kind, trips, interval, tuple(ports["<-"]), tuple(ports["->"]))

    def _factor(self) -> Count:
        kind, word, at = self._token("a count is missing")
        self.place += 1
        if kind == "number":
            return Number(int(word))
        if kind == "name" and word not in ("x", "send", "recv"):
            return Name(word)
        if word == "(":
            inner = self.count()
            self._expect(")")
            return inner
        self._fail(at, f"'{word}' is no count", "a count is a whole number, a name, or an expression such as `D/16`")
        raise AssertionError

    def _is_count(self) -> bool:
        """Whether the bracket that opens here holds a count: what follows it is an operator or ``x``."""
        depth = 0
        for at in range(self.place, len(self.tokens)):
            depth += {"(": 1, ")": -1}.get(self.tokens[at][1], 0)
            if depth == 0:
                after = self.tokens[at + 1][1] if at + 1 < len(self.tokens) else ""
                return after in ("x", "*", "/", "-")
        return False

    def _word(self, what: str) -> str:
        kind, word, at = self._token(f"{what} is missing")
        if kind != "name":
            self._fail(at, f"'{word}' is not the name of {what}", EXAMPLE)
        self.place += 1
        return word

    def _token(self, missing: str) -> tuple[str, str, int]:
        if self.place >= len(self.tokens):
            self._fail(len(self.text), missing, EXAMPLE)
        return self.tokens[self.place]

    def _peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def _next(self) -> str:
        return self.tokens[self.place + 1][1] if self.place + 1 < len(self.tokens) else ""

    def _take(self, word: str) -> bool:
        found = self._peek() == word
        self.place += found
        return found

    def _expect(self, word: str) -> None:
        if not self._take(word):
            at = self.tokens[self.place][2] if self.place < len(self.tokens) else len(self.text)
            self._fail(at, f"'{word}' is missing", EXAMPLE)

    def _fail(self, at: int, message: str, hint: str) -> None:
        shown = f"{self.text[:at]}>>>{self.text[at:]}"
        raise SpecError(f"{message}: {shown}", hint)


def pipelines(task: Sequence) -> Iterator[Pipeline]:
    """Every pipelined loop of a task."""
    for item in task.items:
        if isinstance(item, Pipeline):
            yield item
        elif isinstance(item, Loop):
            yield from pipelines(item.body)
        elif isinstance(item, Sequence):
            yield from pipelines(item)


def ports(task: Sequence) -> tuple[frozenset[str], frozenset[str]]:
    """FIFOs that a task reads and writes."""
    reads, writes = set(_packets(task, True)), set(_packets(task, False))
    return frozenset(reads), frozenset(writes)


def _packets(task: Sequence, read: bool) -> Iterable[str]:
    for item in task.items:
        if isinstance(item, Packet) and item.read == read:
            yield item.fifo
        elif isinstance(item, Pipeline):
            yield from item.reads if read else item.writes
        elif isinstance(item, Loop):
            yield from _packets(item.body, read)
        elif isinstance(item, Sequence):
            yield from _packets(item, read)
