"""Maps the Einsums of a workload: the best binding and nest of each, equal Einsums once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Compute, Fanout, Level, Memory, Share
from einloom.errors import MappingError, Problem
from einloom.mapper.compulsory import gap_to_compulsory
from einloom.mapper.found import Found, Objective
from einloom.mapper.nothing import nothing_fits, too_small
from einloom.mapper.partial import fill
from einloom.mapper.routes import answer
from einloom.mappings import Bind, Hold, Loop, Nest, Nodes, Spatial
from einloom.mappings.legality import check
from einloom.model.evaluate import evaluate_nest
from einloom.model.result import EinsumResult
from einloom.model.structure import applies
from einloom.workloads.sized import SizedEinsum


@dataclass(frozen=True, slots=True)
class Mapped:
    """The answer for one Einsum.

    Attributes:
        results: The best mapping, or the front sorted by cycles; each evaluated anew.
        space: What the declared space holds, in words.
        costed: Candidates that were costed.
    """

    results: tuple[EinsumResult, ...]
    space: str
    costed: int


class Mapper:
    """Maps Einsums on one architecture and remembers what it mapped.

    Args:
        objective: ``energy``, ``latency``, ``edp``, or ``pareto`` for the latency-energy front.
        perfect: Only bounds that multiply to the size of each rank.
        deadline_s: Seconds for one Einsum; past it the best found so far is given with its gap.
        reuse: Equal Einsums are mapped once.
    """

    def __init__(
        self, architecture: Architecture, objective: Objective = "energy", perfect: bool = False,
        deadline_s: float | None = None, reuse: bool = True,
    ) -> None:  # fmt: skip
        self._architecture = architecture
        self._objective: Objective = objective
        self._perfect = perfect
        self._deadline_s = deadline_s
        self._reuse = reuse
        self._known: dict[object, tuple[SizedEinsum, Mapped]] = {}

    def map(self, einsum: SizedEinsum, repeat: int = 1) -> Mapped:
        """The best mappings of ``einsum``.

        Raises:
            MappingError: No compute can cost it, or nothing fits, with the memory that is too small and by how much.
        """
        rules = self._architecture.rules_for(einsum)
        flat = einsum.flattened(rules.flatten) if rules.flatten else einsum
        key = (flat.shape_key, _positional(self._architecture, flat, rules))
        if key not in self._known or not self._reuse:
            self._known[key] = (flat, self._search(einsum, flat, rules))
        model, mapped = self._known[key]
        results = tuple(
            replace(result, name=einsum.name, repeat=repeat)
            if model is flat
            else self._renamed(result, model, flat, einsum, rules, repeat)
            for result in mapped.results
        )
        return replace(mapped, results=results)

    def fill(self, einsum: SizedEinsum, nest: Nest, repeat: int = 1) -> Mapped:
        """The best bounds for the ``auto`` loops of a nest that is given otherwise.

        Raises:
            MappingError: The nest is not legal whatever the bounds, or no bounds fit.
        """
        flat = einsum.flattened(nest.flatten) if nest.flatten else einsum
        path = check(flat, self._architecture, nest.nodes, open_bounds=True)
        found = fill(flat, self._architecture, path, nest.nodes, self._objective)
        if not found.front:
            raise MappingError(too_small(flat, found.smallest))
        results = [
            replace(
                evaluate_nest(einsum, self._architecture, Nest(candidate.nodes, nest.flatten), repeat=repeat),
                proof="optimal",
            )
            for candidate in found.front
        ]
        return Mapped(tuple(results), "the bounds left to the mapper", found.costed)

    def _search(self, einsum: SizedEinsum, flat: SizedEinsum, rules: EinsumRules) -> Mapped:
        best: list[EinsumResult] = []
        texts, costed = [], 0
        paths = self._paths(flat)
        for path in paths:
            answered = answer(
                self._architecture, path, flat, rules, self._objective, self._perfect, self._deadline_s
            )  # fmt: skip
            found = answered.found
            texts.append(answered.space)
            costed += found.costed
            for candidate in found.front:
                result = evaluate_nest(einsum, self._architecture, Nest(_without_ones(candidate.nodes), rules.flatten))
                best.append(
                    replace(
                        result,
                        proof="optimal" if found.complete else "gap",
                        gap=self._gap(found, path, flat, result),
                        space=answered.space,
                    )
                )
        if not best:
            raise MappingError(nothing_fits(flat, paths, rules))
        return Mapped(_select(best, self._objective), "; ".join(dict.fromkeys(texts)), costed)

    def _gap(self, found: Found, path: tuple[Level, ...], einsum: SizedEinsum, result: EinsumResult) -> float:
        """How far the result is from the best, at most: by the bound where the search stopped or the compulsory one."""
        if found.complete:
            return 0.0
        if self._objective == "pareto":
            return gap_to_compulsory(self._architecture, path, einsum, result, self._objective)
        return max(0.0, 1 - found.bound / found.front[0].key[0])

    def _paths(self, einsum: SizedEinsum) -> list[tuple[Level, ...]]:
        """Paths whose compute can cost every operator."""
        missing: dict[str, str] = {}
        paths = []
        for path in self._architecture.paths():
            compute = path[-1]
            assert isinstance(compute, Compute)
            lacks = [op for op in einsum.operations() if compute.operator_energy_pj(op) is None]
            if lacks:
                missing[compute.name] = ", ".join(lacks)
            else:
                paths.append(path)
        if not paths:
            listed = "; ".join(f"{name} lacks {lacks}" for name, lacks in missing.items())
            raise MappingError(
                Problem(
                    f"no compute can execute {einsum.name}: {listed}", "give the operator an energy: `energy: {..}`"
                )
            )
        return paths

    def _renamed(
        self, result: EinsumResult, model: SizedEinsum, flat: SizedEinsum, einsum: SizedEinsum, rules: EinsumRules,
        repeat: int,
    ) -> EinsumResult:  # fmt: skip
        """The mapping of an equal Einsum in the names of this one, evaluated anew."""
        variables = dict(zip(model.extents, flat.extents, strict=True))
        tensors = {a.tensor: b.tensor for a, b in zip(model.accesses, flat.accesses, strict=True)}
        nodes = _rename(_nodes(result), variables, tensors)
        renamed = evaluate_nest(einsum, self._architecture, Nest(nodes, rules.flatten), repeat=repeat)
        return replace(renamed, proof=result.proof, gap=result.gap, space=result.space)


def _without_ones(nodes: Nodes) -> Nodes:
    """The same nest without loops of one iteration."""
    return tuple(node for node in nodes if not (isinstance(node, Loop | Spatial) and node.bound == 1))


def _nodes(result: EinsumResult) -> Nodes:
    from einloom.mappings import parse_node  # noqa: PLC0415 - the text is the mapping

    return tuple(parse_node(line) for line in result.mapping)


def _rename(nodes: Nodes, variables: Mapping[str, str], tensors: Mapping[str, str]) -> Nodes:
    renamed: list[Hold | Loop | Spatial | Bind] = []
    for node in nodes:
        if isinstance(node, Hold):
            renamed.append(replace(node, tensors=tuple(tensors[t] for t in node.tensors)))
        elif isinstance(node, Loop | Spatial):
            renamed.append(replace(node, variable=variables[node.variable]))
        else:
            assert isinstance(node, Bind)
            renamed.append(node)
    return tuple(renamed)


def _positional(architecture: Architecture, einsum: SizedEinsum, rules: EinsumRules) -> object:
    """The rules with variables and tensors by position, so that equal Einsums under equal rules have equal keys."""
    order = {var: i for i, var in enumerate(einsum.extents)}
    place: dict[str, int] = {}
    for i, access in enumerate(einsum.accesses):
        place.setdefault(access.tensor, i)
    axes = tuple((axis, tuple(sorted(order[v] for v in allowed if v in order))) for axis, allowed in rules.axes.items())
    holds = tuple(
        (memory, tuple(t in holding.must for t in place), tuple(holding.allows(t) for t in place))
        for memory, holding in rules.holds.items()
    )
    switches = tuple(
        tuple(tuple(applies(which, einsum, tensor) for tensor in place) for which in _switches(level))
        for level in architecture.walk()
    )
    whole = tuple(sorted(order[v] for v in rules.whole if v in order))
    return axes, holds, switches, whole, tuple(place[a.tensor] for a in einsum.accesses)


def _switches(level: Level) -> tuple[Share, ...]:
    """What a level switches on tensor by tensor."""
    if isinstance(level, Fanout):
        return level.multicast, level.reduce
    return (level.double_buffered,) if isinstance(level, Memory) else ()


def _select(results: list[EinsumResult], objective: Objective) -> tuple[EinsumResult, ...]:
    """The best of all bindings, or their common front."""
    if objective != "pareto":
        keys = {
            "energy": lambda r: (r.energy_pj, r.cycles),
            "latency": lambda r: (r.cycles, r.energy_pj),
            "edp": lambda r: (r.energy_pj * r.cycles, r.energy_pj),
        }
        return (min(results, key=keys[objective]),)
    front: list[EinsumResult] = []
    for result in sorted(results, key=lambda r: (r.cycles, r.energy_pj)):
        if not front or result.energy_pj < front[-1].energy_pj:
            front.append(result)
    return tuple(front)
