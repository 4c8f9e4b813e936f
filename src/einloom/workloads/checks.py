"""What makes a list of Einsums a cascade: every rule that needs more than one line's syntax.

``analyse`` turns the raw parts of a cascade into `Facts` (extents, shapes, producers, order of execution) and
collects every broken rule as a `Problem` whose path is relative to the workload. When a line could not be
parsed (None), only the rules that look at one line are applied, so that no consequence of that mistake is
reported.
"""

from __future__ import annotations

import math

from einloom.errors import Path, Problem
from einloom.workloads.einsum import Einsum
from einloom.workloads.expressions import Reduction, Span, references, unique, walk
from einloom.workloads.facts import ROLES, Facts, Parts, Split, did_you_mean
from einloom.workloads.grammar import CONVENTION
from einloom.workloads.line_checks import check_line
from einloom.workloads.order import execution_order
from einloom.workloads.shapes import infer_shapes


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
            self._known_ranks(line, einsum)
            reported = {(problem.path, problem.offset) for problem in self.problems}
            found = check_line(line, einsum, self.parts)
            self.problems += [problem for problem in found if (problem.path, problem.offset) not in reported]
        if len(self.einsums) < len(self.parts.einsums):
            return
        self._unused_ranks()
        self._names()
        self._producers()
        if self.problems:
            return  # shapes and order would only repeat these
        self.problems += infer_shapes(self.parts, self.facts)
        self.problems += execution_order(self.parts, self.facts)

    def add(self, message: str, hint: str, path: Path, span: Span | None = None) -> None:
        offset, length = span or (0, 1)
        self.problems.append(Problem(message, hint, path, offset=offset, length=length))

    # -- ranks

    def _extents(self) -> None:
        extents = self.facts.extents
        extents.update(self.parts.ranks)
        unsized: list[str] = []
        for rank, split in self.parts.split.items():
            if rank not in self.parts.ranks:
                self.add(
                    f"the rank '{rank}' has no size",
                    did_you_mean(rank, self.parts.ranks, "ranks"),
                    ("split", rank),
                )
                continue
            if not split:
                self.add(f"{rank} splits into nothing", f"list sub-ranks: `[{rank}1, {rank}0: 32]`", ("split", rank))
                continue
            for sub, size in self._split_sizes(rank, split, unsized):
                if sub in extents:
                    self.add(
                        f"the rank '{sub}' is named twice",
                        "a sub-rank needs a name of its own",
                        ("split", rank),
                    )
                extents[sub] = size
        self.facts.unsized = tuple(unsized)
        folded: dict[str, str] = {}
        for rank in list(extents):
            other = folded.setdefault(rank.lower(), rank)
            if other != rank:
                self.add(
                    f"the ranks '{other}' and '{rank}' share the variable '{rank.lower()}'",
                    "rename one of them",
                    ("ranks", rank),
                )
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
            rest = (
                iter([total // product] + [1] * len(split))
                if total % product == 0
                else iter([1] * len(split))
            )
            return [(first, 1), *((sub, size if size is not None else next(rest)) for sub, size in split[1:])]
        outer = first_size if first_size is not None else max(1, total // product)
        if outer * product != total:
            sizes = " x ".join(
                str(size) for size in ([first_size] if first_size else []) + [s for _, s in inner]
            )
            near = (
                [d for d in range(1, min(total, 10**6) + 1) if total % d == 0][-8:] if total <= 10**6 else []
            )
            self.add(
                f"{rank} = {total} does not split into {sizes}",
                f"the sizes must multiply to {rank}"
                + (f"; divisors: {', '.join(map(str, near))}" if near else ""),
                ("split", rank),
            )
        return [(first, outer), *inner]

    def _known_ranks(self, line: int, einsum: Einsum) -> None:
        """Every variable and every rank of the line has a size."""
        known = [rank for rank in self.facts.extents if rank[:1].isupper()]
        seen: set[str] = set()
        for name, span in _names_with_place(einsum):
            if name in self.facts.extents or name in seen:
                continue
            seen.add(name)
            rank = name if name[0].isupper() else name[0].upper() + name[1:]
            what = (
                f"the rank '{rank}'" if name[0].isupper() else f"the rank '{rank}' of the variable '{name}'"
            )
            self.add(
                f"{what} has no size",
                f"add `{rank}: ...` to ranks; {did_you_mean(rank, known, 'ranks')}. {CONVENTION}",
                ("cascade", line),
                (span[0], span[1]),
            )

    def _unused_ranks(self) -> None:
        used: set[str] = set()
        for _, einsum in self.einsums:
            names = [name for name, _ in _names_with_place(einsum)]
            used |= {
                rank
                for rank in self.facts.extents
                if rank in names or rank.lower() in {n.lower() for n in names}
            }
        used |= {str(size) for shape in self.parts.shapes.values() for size in shape}
        for rank, split in self.parts.split.items():
            if any(sub in used for sub, _ in split):
                used.add(rank)
        known = sorted(rank for rank in used if rank[0].isupper())
        for rank in self.parts.ranks:
            if rank not in used:
                self.add(
                    f"no Einsum uses the rank '{rank}'",
                    f"remove it; {did_you_mean(rank, known, 'ranks used')}",
                    ("ranks", rank),
                )

    # -- names outside of the lines

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
                    self.add(
                        f"'{name}' is no {what}",
                        did_you_mean(name, known, f"{what.split()[0]}s"),
                        (where, key),
                    )

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
                self.add(
                    f"{tensor} is defined twice; first by '{self._text(others[0])}'",
                    f"each tensor has one defining line; an iteration writes generations: {tensor}[m1+1,...]",
                    ("cascade", line),
                )
            self._generations(tensor, others, initial)
            self.facts.producers[tensor] = (*initial, *others)
        for tensor in self.parts.init:
            if tensor in producers and tensor not in self.facts.generations:
                self.add(
                    f"{tensor} has no generations",
                    f"init belongs to a line that defines {tensor}[m1+1,...]",
                    ("init", tensor),
                )

    def _generations(self, tensor: str, others: list[int], initial: list[int]) -> None:
        """Generations 0 .. lag-1 have a value: a number, or one line each."""
        main = self.parts.einsums[others[0]] if others else None
        generation = main.generation if main is not None else None
        if generation is None:
            for line in initial:
                self.add(
                    f"nothing computes the further generations of {tensor}",
                    f"add a line that defines {tensor}[m1+1,...]",
                    ("cascade", line),
                )
            return
        self.facts.generations[tensor] = generation
        given: set[int] = set()
        for line in initial:
            einsum = self.parts.einsums[line]
            assert einsum is not None
            assert einsum.initial is not None
            dimension, number = einsum.initial
            if dimension != generation.dimension or number >= generation.lag or number in given:
                self.add(
                    f"{einsum.output} is no initial generation of {tensor}",
                    f"generations 0 to {generation.lag - 1} at index {generation.dimension + 1} start it, "
                    "one line each",
                    ("cascade", line),
                )
            given.add(number)
        if tensor in self.parts.init:
            if given:
                self.add(
                    f"{tensor} is started twice",
                    "keep init, or the lines that define its first generations",
                    ("init", tensor),
                )
            self.facts.init[tensor] = float(self.parts.init[tensor])
        elif len(given) < generation.lag:
            self.add(
                f"generation {min(set(range(generation.lag)) - given)} of {tensor} has no value",
                f'write {{einsum: "{main}", init: {{{tensor}: 0}}}}',
                ("cascade", others[0]),
            )

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
