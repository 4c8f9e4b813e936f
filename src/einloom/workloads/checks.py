"""What makes a list of Einsums a cascade: every rule that needs more than one line's syntax.

``analyse`` turns the raw parts of a cascade into `Facts` (extents, shapes, producers, order of execution) and collects
every broken rule as a `Problem` whose path is relative to the workload. When a line could not be parsed (None), only
the rules that look at one line are applied, so that no consequence of that mistake is reported.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from einloom.errors import Path, Problem
from einloom.workloads.einsum import Einsum, Generation, operator_of
from einloom.workloads.expressions import (
    Affine,
    Call,
    Expression,
    Reduction,
    Reference,
    Span,
    children,
    references,
    unique,
    walk,
)
from einloom.workloads.grammar import CONVENTION
from einloom.workloads.operators import operator_named, operator_names

ROLES = ("inputs", "outputs", "weights", "intermediates")
Split = tuple[tuple[str, int | None], ...]
"""Sub-ranks of a rank, outermost first, with their sizes; None is left to the mapper (the first follows from the rest)."""


@dataclass(frozen=True)
class Parts:
    """The raw parts of a cascade, as `Cascade` has them; None in ``einsums`` is a line that did not parse."""

    ranks: Mapping[str, int]
    split: Mapping[str, Split]
    bits: Mapping[str, Any]
    weights: Sequence[str] | None
    operators: Mapping[str, Mapping[str, int]]
    init: Mapping[str, float]
    pad: Mapping[str, float]
    shapes: Mapping[str, Sequence[int | str]]
    outputs: Sequence[str]
    einsums: Sequence[Einsum | None]


@dataclass(frozen=True, slots=True)
class Step:
    """Lines that run together: one, or a recurrence over ``variable`` in the order of the text."""

    lines: tuple[int, ...]
    variable: str | None = None


@dataclass
class Facts:
    """What follows from the parts.

    Attributes:
        extents: Size of every rank and sub-rank, and of every rank variable that is used.
        unsized: Sub-ranks whose size is left to the mapper; their extents are provisional.
        producers: Lines that define each tensor, the initial generations first.
        generations: Tensors with generations.
        init: Value of the initial generations of a tensor, where it is a number.
        shapes: Coordinates of each dimension of each tensor.
        order: Lines in order of execution.
    """

    extents: dict[str, int] = field(default_factory=dict)
    unsized: tuple[str, ...] = ()
    producers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    generations: dict[str, Generation] = field(default_factory=dict)
    init: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    order: tuple[Step, ...] = ()


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """The closest known name, then all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    head = f"did you mean '{close[0]}'? " if close else ""
    return f"{head}{what}: {', '.join(names)}" if names else head.strip()


def analyse(parts: Parts) -> tuple[Facts, list[Problem]]:
    """Facts of a cascade, and every rule that it breaks."""
    checker = _Checker(parts)
    checker.run()
    return checker.facts, checker.problems


class _Checker:
    """One step a rule; each adds its problems and fills its part of the facts."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.facts = parts, Facts()
        self.problems: list[Problem] = []
        self.einsums = [(i, einsum) for i, einsum in enumerate(parts.einsums) if einsum is not None]
        self.reads = unique(t for _, einsum in self.einsums for t in einsum.tensors)

    def run(self) -> None:
        self._extents()
        for line, einsum in self.einsums:
            self._left_side(line, einsum)
            self._scopes(line, einsum.expression, frozenset(einsum.output.variables), einsum)
            self._operators(line, einsum)
            self._known_ranks(line, einsum)
        if len(self.einsums) < len(self.parts.einsums):
            return
        self._unused_ranks()
        self._names()
        self._producers()
        if self.problems:
            return  # shapes and order would only repeat these
        from einloom.workloads.order import execution_order
        from einloom.workloads.shapes import infer_shapes

        self.problems += infer_shapes(self.parts, self.facts)
        self.problems += execution_order(self.parts, self.facts)

    def add(self, message: str, hint: str, path: Path, span: Span | None = None) -> None:
        offset, length = span or (0, 1)
        self.problems.append(Problem(message, hint, path, offset=offset, length=length))

    # -- ranks -------------------------------------------------------------------------------------------------------

    def _extents(self) -> None:
        extents = self.facts.extents
        extents.update(self.parts.ranks)
        unsized: list[str] = []
        for rank, split in self.parts.split.items():
            if rank not in self.parts.ranks:
                self.add(f"the rank '{rank}' has no size", did_you_mean(rank, self.parts.ranks, "ranks"), ("split", rank))
                continue
            for sub, size in self._split_sizes(rank, split, unsized):
                if sub in extents:
                    self.add(f"the rank '{sub}' is named twice", "a sub-rank needs a name of its own", ("split", rank))
                extents[sub] = size
        self.facts.unsized = tuple(unsized)
        folded: dict[str, str] = {}
        for rank in list(extents):
            other = folded.setdefault(rank.lower(), rank)
            if other != rank:
                self.add(f"the ranks '{other}' and '{rank}' share the variable '{rank.lower()}'", "rename one of them",
                         ("ranks", rank))  # fmt: skip
        for _, einsum in self.einsums:
            for variable in einsum.variables:
                if variable.lower() in folded:
                    extents[variable] = extents[folded[variable.lower()]]

    def _split_sizes(self, rank: str, split: Split, unsized: list[str]) -> list[tuple[str, int]]:
        """Sizes of the sub-ranks; the first is what the others leave over."""
        total = self.parts.ranks[rank]
        inner = [(sub, size) for sub, size in split[1:] if size is not None]
        product = math.prod(size for _, size in inner)
        first, first_size = split[0]
        if len(inner) < len(split) - 1:
            unsized += [sub for sub, size in split[1:] if size is None] + [first]
            rest = iter([total // product] + [1] * len(split)) if total % product == 0 else iter([1] * len(split))
            return [(first, 1), *((sub, size if size is not None else next(rest)) for sub, size in split[1:])]
        outer = first_size if first_size is not None else max(1, total // product)
        if outer * product != total:
            sizes = " x ".join(str(size) for size in ([first_size] if first_size else []) + [s for _, s in inner])
            near = [d for d in range(1, min(total, 10**6) + 1) if total % d == 0][-8:] if total <= 10**6 else []
            self.add(f"{rank} = {total} does not split into {sizes}",
                     f"the sizes must multiply to {rank}" + (f"; divisors: {', '.join(map(str, near))}" if near else ""),
                     ("split", rank))  # fmt: skip
        return [(first, outer), *inner]

    def _known_ranks(self, line: int, einsum: Einsum) -> None:
        """Every variable and every rank of the line has a size."""
        known = [rank for rank in self.facts.extents if rank[0].isupper()]
        seen: set[str] = set()
        for name, span in _names_with_place(einsum):
            if name in self.facts.extents or name in seen:
                continue
            seen.add(name)
            rank = name if name[0].isupper() else name[0].upper() + name[1:]
            what = f"the rank '{rank}'" if name[0].isupper() else f"the rank '{rank}' of the variable '{name}'"
            self.add(f"{what} has no size",
                     f"add `{rank}: ...` to ranks; {did_you_mean(rank, known, 'ranks')}. {CONVENTION}",
                     ("cascade", line), (span[0], span[1]))  # fmt: skip

    def _unused_ranks(self) -> None:
        used: set[str] = set()
        for _, einsum in self.einsums:
            names = [name for name, _ in _names_with_place(einsum)]
            used |= {rank for rank in self.facts.extents if rank in names or rank.lower() in {n.lower() for n in names}}
        used |= {str(size) for shape in self.parts.shapes.values() for size in shape}
        for rank, split in self.parts.split.items():
            if any(sub in used for sub, _ in split):
                used.add(rank)
        known = sorted(rank for rank in used if rank[0].isupper())
        for rank in self.parts.ranks:
            if rank not in used:
                self.add(f"no Einsum uses the rank '{rank}'", f"remove it; {did_you_mean(rank, known, 'ranks used')}",
                         ("ranks", rank))  # fmt: skip

    # -- one line ----------------------------------------------------------------------------------------------------

    def _left_side(self, line: int, einsum: Einsum) -> None:
        """Plain variables, at most one of them a generation, or one fixed generation."""
        seen: set[str] = set()
        special = 0
        right = {v for v in _right_variables(einsum)}
        for index in einsum.output.indices:
            affine, path = index.affine, ("cascade", line)
            shifted = affine.shifted
            if affine.terms and (shifted is None or shifted[1] < 0):
                self.add(f"the index '{affine}' cannot be written to",
                         "the left side has rank variables (m), the next generation (m1+1) or an initial one (0)",
                         path, affine.span)  # fmt: skip
                continue
            if shifted is None and affine.constant < 0:
                self.add(f"generation {affine.constant} does not exist", "initial generations are 0, 1, ...", path, affine.span)
            special += shifted is None or shifted[1] > 0
            if shifted is None:
                continue
            variable = shifted[0]
            if variable in seen:
                self.add(f"the variable '{variable}' stands twice on the left", "use another rank variable", path, affine.span)
            seen.add(variable)
            if variable not in right and shifted[1] == 0 and not (einsum.constant and einsum.initial is not None):
                self.add(f"the variable '{variable}' of the left side does not appear on the right",
                         f"use {variable} in an index on the right, or leave it out on the left", path, affine.span)  # fmt: skip
        if special > 1:
            self.add("more than one index of the left side counts generations", "an Einsum iterates over one rank",
                     ("cascade", line), einsum.output.span)  # fmt: skip
        if einsum.constant and einsum.initial is None:
            self.add(f"{einsum.output} reads no tensor", "an Einsum computes from tensors; a constant may start a "
                     "generation: X[0,p] = 0", ("cascade", line))  # fmt: skip

    def _scopes(self, line: int, node: Expression, scope: frozenset[str], einsum: Einsum) -> None:
        """Each variable of the right side is on the left or is reduced around the place where it stands."""
        path = ("cascade", line)
        if isinstance(node, Reduction):
            for variable in node.variables:
                if variable in scope:
                    where = "on the left" if variable in einsum.output.variables else "by an outer reduction"
                    self.add(f"'{variable}' is reduced here, but it is bound {where}", "use another rank variable", path, node.span)
            scope |= frozenset(node.variables)
            if node.guard:
                for affine in (node.guard.left, node.guard.right):
                    self._bound(line, affine, scope, einsum)
        if isinstance(node, Reference):
            for index in node.indices:
                self._bound(line, index.affine, scope, einsum)
        for child in children(node):
            self._scopes(line, child, scope, einsum)

    def _bound(self, line: int, affine: Affine, scope: frozenset[str], einsum: Einsum) -> None:
        for variable in affine.variables:
            if variable not in scope:
                self.add(f"'{variable}' is neither on the left nor reduced",
                         f"write sum{{{variable}}}(...) around the part to reduce, or add {variable} to {einsum.output}; only "
                         "a pure product is summed without saying so", ("cascade", line), affine.span)  # fmt: skip

    def _operators(self, line: int, einsum: Einsum) -> None:
        declared = self.parts.operators
        known = (*operator_names(), *(name for name in declared if operator_named(name) is None))
        for node in walk(einsum.expression):
            name = operator_of(node)
            if name is None or not isinstance(node, (Call, Reduction)):
                continue
            span = (node.span[0], len(name))
            operator = operator_named(name)
            if operator is None:
                if name not in declared:
                    self.add(f"no operator is named '{name}'",
                             f"{did_you_mean(name, known, 'operators')}; a new one needs a cost: operators: {{{name}: {{mac: 1}}}}",
                             ("cascade", line), span)  # fmt: skip
            elif isinstance(node, Reduction) and operator.reduction is None:
                reducing = [n for n in operator_names() if (o := operator_named(n)) is not None and o.reduction]
                self.add(f"'{name}' cannot reduce", f"reductions: {', '.join(reducing)}", ("cascade", line), span)
            elif isinstance(node, Reduction) and node.guard and operator.identity is None:
                self.add(f"'{name}' has no identity, so it takes no guard", "write a guarded sum and divide", ("cascade", line), span)
            elif isinstance(node, Call):
                self._arity(line, node, operator.function is not None, operator.arity, span)

    def _arity(self, line: int, node: Call, callable_: bool, arity: int, span: Span) -> None:
        count = len(node.arguments)
        if not callable_:
            self.add(f"'{node.operator}' is a reduction", f"name what it reduces: {node.operator}{{k}}(...)", ("cascade", line), span)
        elif (arity >= 0 and count != arity) or (arity < 0 and count < 2):
            wanted = "two or more" if arity < 0 else str(arity)
            hint = f"write {node.operator}({', '.join('ab'[:max(arity, 1)]) if arity > 0 else 'a, b'})"
            if operator_named(node.operator) is not None and arity < 0:
                hint += f"; a reduction names its variables: {node.operator}{{k}}(...)"
            self.add(f"'{node.operator}' takes {wanted} argument{'s' if wanted != '1' else ''}, not {count}", hint,
                     ("cascade", line), span)  # fmt: skip

    # -- names outside of the lines ----------------------------------------------------------------------------------

    def _names(self) -> None:
        """bits, weights, pad, init, shapes and outputs name tensors; operators names operators in use."""
        produced = unique(einsum.output.tensor for _, einsum in self.einsums)
        tensors = unique((*self.reads, *produced))
        inputs = tuple(name for name in self.reads if name not in produced)
        used = unique(name for _, einsum in self.einsums for name in einsum.operators())
        weights = self.parts.weights or ()
        for names, known, what, where in (
            ([n for n in self.parts.bits if n != "default" and n not in ROLES], tensors, "tensor", "bits"),
            (list(weights), self.reads, "tensor that is read", "weights"),
            (list(self.parts.pad), self.reads, "tensor that is read", "pad"),
            (list(self.parts.init), produced, "tensor that the cascade computes", "init"),
            (list(self.parts.shapes), inputs, "input", "shapes"),
            (list(self.parts.outputs), produced, "tensor that the cascade computes", "outputs"),
            (list(self.parts.operators), used, "operator in use", "operators"),
        ):
            for position, name in enumerate(names):
                if name not in known:
                    key: str | int = position if where in ("weights", "outputs") else name
                    self.add(f"'{name}' is no {what}", did_you_mean(name, known, f"{what.split()[0]}s"), (where, key))

    def _producers(self) -> None:
        """Single assignment, or one assignment per generation."""
        producers: dict[str, list[int]] = {}
        for line, einsum in self.einsums:
            producers.setdefault(einsum.output.tensor, []).append(line)
        for tensor, lines in producers.items():
            einsums = {line: self.parts.einsums[line] for line in lines}
            initial = [line for line, e in einsums.items() if e is not None and e.initial is not None]
            others = [line for line in lines if line not in initial]
            for line in others[1:]:
                self.add(f"{tensor} is defined twice; first by '{self._text(others[0])}'",
                         f"each tensor has one defining line; an iteration writes generations: {tensor}[m1+1,...]",
                         ("cascade", line))  # fmt: skip
            self._generations(tensor, others, initial)
            self.facts.producers[tensor] = (*initial, *others)
        for tensor in self.parts.init:
            if tensor in producers and tensor not in self.facts.generations:
                self.add(f"{tensor} has no generations", f"init belongs to a line that defines {tensor}[m1+1,...]", ("init", tensor))

    def _generations(self, tensor: str, others: list[int], initial: list[int]) -> None:
        """Generations 0 .. lag-1 have a value: a number, or one line each."""
        main = self.parts.einsums[others[0]] if others else None
        generation = main.generation if main is not None else None
        if generation is None:
            for line in initial:
                self.add(f"nothing computes the further generations of {tensor}", f"add a line that defines {tensor}[m1+1,...]",
                         ("cascade", line))  # fmt: skip
            return
        self.facts.generations[tensor] = generation
        given: set[int] = set()
        for line in initial:
            einsum = self.parts.einsums[line]
            assert einsum is not None
            assert einsum.initial is not None
            dimension, number = einsum.initial
            if dimension != generation.dimension or number >= generation.lag or number in given:
                self.add(f"{einsum.output} is no initial generation of {tensor}",
                         f"generations 0 to {generation.lag - 1} at index {generation.dimension + 1} start it, one line each",
                         ("cascade", line))  # fmt: skip
            given.add(number)
        if tensor in self.parts.init:
            if given:
                self.add(f"{tensor} is started twice", "keep init, or the lines that define its first generations", ("init", tensor))
            self.facts.init[tensor] = float(self.parts.init[tensor])
        elif len(given) < generation.lag:
            self.add(f"generation {min(set(range(generation.lag)) - given)} of {tensor} has no value",
                     f'write {{einsum: "{main}", init: {{{tensor}: 0}}}}', ("cascade", others[0]))  # fmt: skip

    def _text(self, line: int) -> str:
        einsum = self.parts.einsums[line]
        return "" if einsum is None else str(einsum)


def _names_with_place(einsum: Einsum) -> list[tuple[str, Span]]:
    """Every rank variable and rank of a line with its index expression's place."""
    found: list[tuple[str, Span]] = []
    for reference in (einsum.output, *references(einsum.statement.expression)):
        for index in reference.indices:
            if index.rank is not None:
                found.append((index.rank, (index.affine.span[0] - len(index.rank) - 1, len(index.rank))))
            found += [(name, index.affine.span) for _, name in index.affine.terms]
    for node in walk(einsum.statement.expression):
        if isinstance(node, Reduction):
            guards = (node.guard.left, node.guard.right) if node.guard else ()
            found += [(name, affine.span) for affine in guards for _, name in affine.terms]
            found += [(name, node.span) for name in node.variables]
    return found


def _right_variables(einsum: Einsum) -> set[str]:
    """Variables that the right side uses in an index or a guard."""
    names: set[str] = set()
    for node in walk(einsum.statement.expression):
        if isinstance(node, Reference):
            names |= set(node.variables)
        elif isinstance(node, Reduction) and node.guard:
            names |= set(node.guard.variables)
    return names
