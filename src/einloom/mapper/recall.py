"""Searches once, answers again: complete answers by their full key, sets of counts for new prices.

An answer that a search gave is kept, in memory and in the user's caches, under everything that it depends on. Where
only prices change, a set of counts answers without a search. A set costs more than one search, so it is made where
searches of one topology at different prices have taken about as long as making it may: then what is spent on sets is
never more than a small multiple of what searching takes anyway, and a long study gets nearly all answers from them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Level
from einloom.mapper import routes
from einloom.mapper.cache import Files
from einloom.mapper.found import Candidate, Found, Objective
from einloom.mapper.keys import Key, key_of
from einloom.mapper.routes import PERFECT, Answered
from einloom.mapper.sets import CountSet, from_data, named, positional, to_data
from einloom.workloads.sized import SizedEinsum

SHARE = 1.0
"""Labels that a set may take, of those that searching took so far: effort, not time, so that a study is repeatable."""

FIRST_TRY = 200_000
"""Labels of searching before a set is tried; each next try waits for twice as many."""

MOST_LABELS = 4_000_000
MOST_ROWS = 20_000
MOST_KNOWN = 4096
"""Answers, sets and histories that a process remembers, of each."""


@dataclass
class _History:
    """Searches of one topology in this process."""

    prices: set[str] = field(default_factory=set)
    labels: int = 0
    next_try: float = field(default_factory=lambda: FIRST_TRY)


@dataclass
class Memory:
    """What this process knows; every mapper shares `MEMORY`."""

    files: Files = field(default_factory=Files)
    answers: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    sets: OrderedDict[str, CountSet] = field(default_factory=OrderedDict)
    histories: OrderedDict[str, _History] = field(default_factory=OrderedDict)

    def answer(self, name: str) -> dict[str, Any] | None:
        """An answer that was kept, here or by another process."""
        if name not in self.answers:
            kept = self.files.read(name)
            if kept is None:
                return None
            _keep(self.answers, name, kept)
        return self.answers[name]

    def add_answer(self, name: str, answer: dict[str, Any]) -> None:
        _keep(self.answers, name, answer)
        self.files.write(name, answer)

    def set_of(self, name: str) -> CountSet | None:
        """A set that was made, here or by another process."""
        if name not in self.sets:
            kept = self.files.read(name)
            if kept is None:
                return None
            _keep(self.sets, name, from_data(kept))
        return self.sets[name]

    def add_set(self, name: str, counts: CountSet) -> None:
        _keep(self.sets, name, counts)
        self.files.write(name, to_data(counts))

    def history(self, topology: str) -> _History:
        if topology not in self.histories:
            _keep(self.histories, topology, _History())
        return self.histories[topology]

    def forget(self) -> None:
        """Forget what this process knows; files stay."""
        for known in (self.answers, self.sets, self.histories):
            known.clear()


MEMORY = Memory()


def answer(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, objective: Objective,
    perfect: bool, deadline_s: float | None, reuse: bool = True,
) -> Answered:  # fmt: skip
    """What `routes.answer` gives, without a search where the answer or its counts are known.

    Args:
        reuse: False: search.
    """
    key = key_of(architecture, path, einsum, rules) if reuse else None
    if key is None:
        return routes.answer(architecture, path, einsum, rules, objective, perfect, deadline_s)
    name = key.answer(f"{objective} {perfect}")
    known = MEMORY.answer(name)
    if known is not None:
        return _from_data(known, einsum)
    counts = MEMORY.set_of(key.counts()) if perfect else None
    if counts is not None:
        return Answered(counts.answer(counts.prices(architecture, path, einsum), objective, einsum), PERFECT)
    found = routes.answer(architecture, path, einsum, rules, objective, perfect, deadline_s)
    if found.found.complete or deadline_s is None:
        MEMORY.add_answer(name, _to_data(found, einsum))
    if found.space == PERFECT and found.found.front and deadline_s is None:
        labels = _labels_due(key, found.found.costed)
        if labels:
            _make_set(key, architecture, path, einsum, rules, labels, found.found.candidates)
    return found


def _labels_due(key: Key, labels: int) -> int:
    """Note a search; how many labels a set may take now, 0 where it is not yet time to try, or no longer."""
    history = MEMORY.history(key.topology)
    history.prices.add(key.prices)
    history.labels += labels
    if len(history.prices) < 2 or history.labels < history.next_try:
        return 0
    due = int(history.labels * SHARE)
    history.next_try = 2 * history.labels if due < MOST_LABELS else float("inf")
    return min(due, MOST_LABELS)


def _make_set(
    key: Key, architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, labels: int,
    candidates: int,
) -> None:  # fmt: skip
    from einloom.mapper.labels.counted import count_front  # noqa: PLC0415 - numba is not on every path

    counted = count_front(architecture, path, einsum, rules, labels)
    if counted is not None and len(counted.nests) <= MOST_ROWS:
        MEMORY.add_set(key.counts(), CountSet.of(counted, einsum, candidates))


def _to_data(answered: Answered, einsum: SizedEinsum) -> dict[str, Any]:
    found = answered.found
    return {
        "space": answered.space,
        "front": [
            [[float(part) for part in c.key], float(c.cycles), float(c.energy_pj), positional(c.nodes, einsum)]
            for c in found.front
        ],
        "candidates": int(found.candidates), "costed": int(found.costed), "complete": bool(found.complete),
        "bound": float(found.bound),
        "smallest": {name: [float(least), float(most)] for name, (least, most) in found.smallest.items()},
    }  # fmt: skip


def _from_data(data: dict[str, Any], einsum: SizedEinsum) -> Answered:
    front = tuple(
        Candidate(tuple(key), cycles, energy, named(lines, einsum)) for key, cycles, energy, lines in data["front"]
    )
    smallest = {name: (least, most) for name, (least, most) in data["smallest"].items()}
    found = Found(front, data["candidates"], data["costed"], data["complete"], data["bound"], smallest)
    return Answered(found, data["space"])


def _keep(known: OrderedDict[str, Any], name: str, value: Any) -> None:
    """Remember ``value``, and forget what has been known longest where there is too much."""
    known[name] = value
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)
