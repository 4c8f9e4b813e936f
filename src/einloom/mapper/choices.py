"""Maps a cascade onto a machine with an engine: every combination of the choices of every step, so that it is exact.

Steps run one after the other, so the best of a sum is the sum of the best: each step is searched by itself, for each
combination of the choices that they share. Choices that the mapping gives are kept.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from einloom.arch.engine import Array, Columns, Program, Step, Value
from einloom.arch.tree import Architecture
from einloom.errors import MappingError, Path, Problem, code_of
from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.whole import Run
from einloom.mappings import Choice, MappingPlan
from einloom.model.result import EinsumResult
from einloom.model.steps import Machine, PricedStep

BLOCK = 16_384
"""Candidates that are priced together."""
MOST_CANDIDATES = 10**7
"""Of one step; an engine with more has to cut its steps."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A choice that the mapping gives, and where in it."""

    value: Value
    path: Path


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One combination of the choices of a step, costed: the one at ``index`` of ``priced``."""

    number: int
    cycles: float
    energy_pj: float
    held: float
    priced: PricedStep
    index: int


@dataclass(frozen=True)
class EngineMapper:
    """Searches the choices of one machine.

    Attributes:
        architecture: Has an engine.
        objective: What is minimized; ``pareto`` keeps the front of every step.
        memory: Whose occupancy is a third objective.
        plan: Choices that are given.
    """

    architecture: Architecture
    objective: Objective
    memory: str | None = None
    plan: MappingPlan | None = None
    _cut: dict[object, Sequence[Step]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def machine(self) -> Machine:
        return Machine(self.architecture)

    def open_choices(self, program: Program, part: str) -> dict[str, tuple[Value, ...]]:
        """Choices that have several values and that the mapping does not give, by name."""
        found: dict[str, tuple[Value, ...]] = {}
        for shared in self._shared(program, part):
            found |= {name: values for name, values in self._shared_values(program, part).items() if len(values) > 1}
            for step in self._steps(program, part, shared):
                found |= {name: values for name, values in step.choices.items() if len(values) > 1}
        return found

    def map(self, program: Program, part: str) -> Run:
        """For each combination of the shared choices that can run: the best result, or the front, of every step.

        Args:
            part: Name of the cascade in a network, before the dot of the names of its steps; empty where it is alone.

        Raises:
            MappingError: The machine cannot run an Einsum, nothing fits, or a given choice is none.
        """
        runs: list[dict[str, _Kept]] = []
        errors: list[MappingError] = []
        for shared in self._shared(program, part):
            try:
                runs.append({
                    f"{part}.{step.name}" if part else step.name: self._best(program, step, shared)
                    for step in self._steps(program, part, shared)
                })
            except MappingError as error:
                errors.append(error)
        if not runs:
            raise errors[0]
        together = {name: values for name, values in self._shared_values(program, part).items() if len(values) > 1}
        said = f"every choice of all steps together ({_said(together)})" if together else ""
        return [
            {key: kept.explained(self._space(said, kept.space)) for key, kept in run.items()}
            for run in self._worth_explaining(runs)
        ]

    def _space(self, together: str, step: str) -> str:
        """What was looked at, in words."""
        looked_at = " and ".join(filter(None, (together, step))) or "no choice is open"
        return f"{self.architecture.template or self.architecture.name}: {looked_at}"

    def _worth_explaining(self, runs: Sequence[dict[str, _Kept]]) -> Sequence[dict[str, _Kept]]:
        """Of a sum the best run, the first of equal ones; of a front every run that may be on it."""
        if self.objective in ("energy", "latency"):
            return [min(runs, key=lambda run: key_of(self.objective, *_totals(run)))]
        return runs

    def check_choices(self, programs: Sequence[tuple[str, Program]]) -> None:
        """What the mapping gives for a whole network is a choice of some part of it, or a step of one.

        Raises:
            MappingError: No part has a choice of that name, or there is no such part.
        """
        if self.plan is None:
            return
        parts = [part for part, _ in programs]
        strange = [key for key in self.plan.nests if key.partition(".")[0] not in parts]
        if strange:
            raise MappingError([Problem(*_unknown(key.partition(".")[0], parts, "part"), (key,)) for key in strange])
        names: set[str] = set()
        for part, program in programs:
            for shared in self._shared(program, part):
                names.update(shared, *(step.choices for step in self._steps(program, part, shared)))
            if names >= self.plan.choices.keys():
                return
        problems = list(self._unknown_choices(names))
        if problems:
            raise MappingError(problems)

    def _unknown_choices(self, names: Iterable[str]) -> Iterator[Problem]:
        known = set(names)
        assert self.plan is not None
        for name in self.plan.choices:
            if name not in known:
                yield Problem(*_unknown(name, known, "choice"), ("choices", name))

    # -- choices that are given -----------------------------------------------------------------------------------

    def _given(self, part: str, step: str) -> dict[str, _Given]:
        """What the mapping says of a step: choices for all of them, then its own lines."""
        if self.plan is None:
            return {}
        key = f"{part}.{step}" if part else step
        lines = self.plan.nests[key].nodes if key in self.plan.nests else ()
        found = {name: _Given(value, ("choices", name)) for name, value in self.plan.choices.items()}
        for place, line in enumerate(lines):
            if isinstance(line, Choice):
                found[line.name] = _Given(line.value, (key, place))
        return {name: given for name, given in found.items() if given.value != "auto"}

    def _shared_values(self, program: Program, part: str) -> dict[str, tuple[Value, ...]]:
        engine = self.architecture.engine
        assert engine is not None
        values = dict(engine.shared(program))
        given = self._given(part, "")
        for key in self.plan.nests if self.plan is not None else ():
            if key.rpartition(".")[0] == part:
                given |= self._given(part, key.rpartition(".")[2])
        return {name: _kept(name, found, given) for name, found in values.items()}

    def _shared(self, program: Program, part: str) -> Iterator[dict[str, Value]]:
        values = self._shared_values(program, part)
        for chosen in itertools.product(*values.values()):
            yield dict(zip(values, chosen, strict=True))

    def _steps(self, program: Program, part: str, shared: Mapping[str, Value]) -> Sequence[Step]:
        """The steps of a cascade, with the values that the mapping leaves to their choices; cut once."""
        key = part, tuple(shared.items())
        if key not in self._cut:
            engine = self.architecture.engine
            assert engine is not None
            with code_of(f"{type(engine).__name__} of {self.architecture.origin}"):
                steps = engine.steps(program, shared)
            self._check_names(steps, part, shared)
            self._cut[key] = [self._with_given(step, part) for step in steps]
        return self._cut[key]

    def _with_given(self, step: Step, part: str) -> Step:
        if not step.choices or self.plan is None:
            return step
        given = self._given(part, step.name)
        return replace(step, choices={name: _kept(name, values, given) for name, values in step.choices.items()})

    def _check_names(self, steps: Sequence[Step], part: str, shared: Mapping[str, Value]) -> None:
        """Whatever the mapping names is there: a misspelt choice is not passed over."""
        if self.plan is None:
            return
        all_names = {*shared, *(name for step in steps for name in step.choices)}
        problems = [] if part else list(self._unknown_choices(all_names))  # a network: `check_choices` asks all parts
        by_key = {f"{part}.{step.name}" if part else step.name: step for step in steps}
        for key, nest in self.plan.nests.items():
            if part and key.partition(".")[0] != part:
                continue
            if key not in by_key:
                problems.append(Problem(*_unknown(key, by_key, "step"), (key,)))
                continue
            for place, line in enumerate(nest.nodes):
                problems += self._line_problems(line, place, len(nest.nodes), by_key[key], key, shared)
        if problems:
            raise MappingError(problems)

    def _line_problems(
        self, line: object, place: int, lines: int, step: Step, key: str, shared: Mapping[str, Value]
    ) -> list[Problem]:
        if isinstance(line, Choice):
            known = {*step.choices, *shared}
            return [] if line.name in known else [Problem(*_unknown(line.name, known, "choice"), (key, place))]
        if place == lines - 1 and str(line) == step.compute:
            return []
        what = f"'{line}' is no choice of a machine that maps by choices"
        return [Problem(what, f"lines are `NAME = VALUE`, then the compute: {step.compute}", (key, place))]

    # -- search ---------------------------------------------------------------------------------------------------

    def _best(self, program: Program, step: Step, shared: Mapping[str, Value]) -> _Kept:
        total = math.prod(len(values) for values in step.choices.values())
        if total > MOST_CANDIDATES:
            raise MappingError(
                f"step {step.name} has {total:,} combinations of choices, more than {MOST_CANDIDATES:,}",
                f"give some of them: {', '.join(step.choices)}",
            )
        best: list[_Candidate] = []
        short: dict[str, tuple[float, float, str]] = {}
        forbidden = ""
        for start in range(0, total, BLOCK):
            numbers = np.arange(start, min(start + BLOCK, total))
            priced = PricedStep(self.machine, program, step, _columns(step, numbers), len(numbers))
            best = self._kept_best(best, priced, start)
            forbidden = priced.cost.forbidden
            for what, needed, limit, unit in priced.limits():
                least = min(float(needed.min()), short.get(what, (math.inf, 0.0, ""))[0])
                short[what] = (least, limit, unit)
        if not best:
            raise MappingError([_nothing_fits(step, short, forbidden)])
        space = f"every choice of step {step.name} ({_said(step.choices)})" if total > 1 else ""
        return _Kept(tuple(best), dict(shared), space)

    def _kept_best(self, best: list[_Candidate], priced: PricedStep, start: int) -> list[_Candidate]:
        """The best of ``best`` and of a block that begins with number ``start``; of equal ones the first."""
        legal = np.flatnonzero(priced.fits)
        if not len(legal):
            return best
        cycles, energy = priced.cycles[legal], priced.energy_pj[legal]
        held = priced.held(self.memory)[legal] if self.memory is not None else np.zeros(len(legal))
        chosen = np.arange(len(legal))
        if self.objective != "pareto" and len(legal) > 1:
            primary = {"energy": energy, "latency": cycles, "edp": energy * cycles}[self.objective]
            chosen = np.lexsort((legal, energy, cycles, primary))[:1]
        found = best + [
            _Candidate(start + int(legal[i]), float(cycles[i]), float(energy[i]), float(held[i]), priced, int(legal[i]))
            for i in chosen
        ]
        if self.objective == "pareto":
            return nondominated(found, lambda c: (c.cycles, c.energy_pj, c.held))
        return [min(found, key=lambda c: (*key_of(self.objective, c.energy_pj, c.cycles), c.number))]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The best candidate of a step, or its front, with the choices that all steps share."""

    candidates: tuple[_Candidate, ...]
    shared: Mapping[str, Value]
    space: str

    def explained(self, space: str) -> tuple[EinsumResult, ...]:
        return tuple(
            replace(
                c.priced.explained(c.index, {**self.shared, **_values_at(c.priced.columns, c.index)}),
                proof="optimal", space=space,
            )
            for c in self.candidates
        )  # fmt: skip


def _totals(run: Mapping[str, _Kept]) -> tuple[float, float]:
    """Energy and cycles of the first candidates of all steps, with all copies."""
    firsts = [kept.candidates[0] for kept in run.values()]
    energy = sum(c.energy_pj * c.priced.repeat for c in firsts)
    return energy, sum(c.cycles * c.priced.repeat for c in firsts)


def _values_at(columns: Columns, index: int) -> dict[str, Value]:
    return {name: _plain(column[index]) for name, column in columns.items()}


def _kept(name: str, values: tuple[Value, ...], given: Mapping[str, _Given]) -> tuple[Value, ...]:
    """The values of a choice, or the one that the mapping gives."""
    if name not in given:
        return values
    value, path = given[name].value, given[name].path
    if value not in values:
        hint = f"{name} is one of: {_values(values)}, or auto"
        raise MappingError(Problem(f"'{name} = {value}' is not possible", hint, path))
    return (value,)


def _columns(step: Step, numbers: Array) -> Columns:
    """Candidates by number: the last choice turns fastest."""
    sizes = [len(values) for values in step.choices.values()]
    columns: dict[str, Array] = {}
    rest = numbers
    for (name, values), size in reversed(list(zip(step.choices.items(), sizes, strict=True))):
        rest, index = np.divmod(rest, size)
        columns[name] = np.asarray(values)[index]
    return dict(reversed(columns.items()))


def _plain(value: object) -> Value:
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]


def _nothing_fits(step: Step, short: Mapping[str, tuple[float, float, str]], forbidden: str) -> Problem:
    for what, (least, limit, unit) in short.items():
        if least > limit:
            return Problem(f"step {step.name} needs at least {least:,.10g} {unit} of {what}, there are {limit:,.10g}",
                           "make the machine larger, or leave more choices open")  # fmt: skip
    hint = "leave more choices open, or make the machine larger"
    return Problem(forbidden or f"no choice of step {step.name} is legal", hint)


def _said(choices: Mapping[str, tuple[Value, ...]]) -> str:
    return "; ".join(f"{name}: {_values(values)}" for name, values in choices.items())


def _values(values: Sequence[Value]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:4], "...", shown[-1]])


def _unknown(name: str, known: object, what: str) -> tuple[str, str]:
    names = sorted(map(str, known))  # type: ignore[call-overload]
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    return f"no {what} is named '{name}'", f"{meant}known: {', '.join(names) or 'none'}"
