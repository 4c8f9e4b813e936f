"""Maps the Einsums of a workload: the best binding and nest of each, equal Einsums once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Compute, Level
from einloom.errors import MappingError
from einloom.mapper.compulsory import gap_to_compulsory
from einloom.mapper.explain import explain
from einloom.mapper.found import Found, checked_objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.keys import positional
from einloom.mapper.nothing import cannot_execute, excluded, not_found, too_small
from einloom.mapper.occupancy import Results, sweep
from einloom.mapper.partial import fill
from einloom.mapper.recall import answer
from einloom.mappings import Bind, Hold, Loop, Nest, Nodes, Spatial
from einloom.mappings.legality import check
from einloom.model.evaluate import evaluate_nest
from einloom.model.result import EinsumResult
from einloom.workloads.sized import SizedEinsum

FILLED = "the bounds left to the mapper"


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


@dataclass(frozen=True, slots=True)
class _OnPath:
    """What one path of levels has to offer: ``results`` are the candidates found, evaluated."""

    path: tuple[Level, ...]
    found: Found
    space: str
    results: Results

    @property
    def narrowed(self) -> bool:
        """Whether a part of the declared space was searched only."""
        return self.space.startswith("narrowed")


class Mapper:
    """Maps Einsums on one architecture and remembers what it mapped.

    Args:
        objective: ``energy``, ``latency``, ``edp``, or ``pareto`` for the latency-energy front, ``pareto:GLB`` for the
            front over latency, energy and the occupancy of that memory.
        perfect: Only bounds that multiply to the size of each rank.
        deadline_s: Seconds for one Einsum; past it the best found so far is given with its gap.
        reuse: Equal Einsums are mapped once, and what was found before, by whatever process, is found again
            (`mapper.recall`).

    Raises:
        MappingError: No such objective, or no memory of that name.
    """

    def __init__(
        self, architecture: Architecture, objective: str = "energy", perfect: bool = False,
        deadline_s: float | None = None, reuse: bool = True,
    ) -> None:  # fmt: skip
        self._architecture = architecture
        self._objective, self._memory = checked_objective(objective, architecture)
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
        key = (flat.shape_key, positional(self._architecture.walk(), flat, rules))
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

        def search(machine: Architecture, levels: tuple[Level, ...], _: float | None) -> tuple[Found, Results]:
            found = fill(flat, machine, levels, nest.nodes, self._objective)
            nests = (Nest(candidate.nodes, nest.flatten) for candidate in found.front)
            return found, [evaluate_nest(einsum, self._architecture, filled, repeat=repeat) for filled in nests]

        if self._memory is None:
            found, results = search(self._architecture, path, None)
        else:
            found, results = sweep(search, self._architecture, path, flat, self._memory, self._deadline_s)
        if not results:
            raise MappingError(too_small(flat, path, nest.nodes, found.smallest))
        return self._explained(flat, EinsumRules(), [_OnPath(path, found, FILLED, results)])

    def _search(self, einsum: SizedEinsum, flat: SizedEinsum, rules: EinsumRules) -> Mapped:
        _same_price_of_drains(self._architecture)
        start, paths = time.monotonic(), self._paths(flat, rules)
        offers: list[_OnPath] = []
        for turn, path in enumerate(paths):
            left = self._deadline_s
            if left is not None:  # the time that is left, in equal parts
                left = max(0.0, left - (time.monotonic() - start)) / (len(paths) - turn)
            offers.append(self._offer(einsum, flat, rules, path, left))
        if not any(offer.results for offer in offers):
            complete = all(offer.found.complete for offer in offers)
            reasons = (not_found(flat, offer.path, offer.found.smallest, complete) for offer in offers)
            raise MappingError(list(dict.fromkeys(problem for found in reasons for problem in found)))
        return self._explained(flat, rules, offers)

    def _offer(
        self, einsum: SizedEinsum, flat: SizedEinsum, rules: EinsumRules, path: tuple[Level, ...], left: float | None
    ) -> _OnPath:
        """The best mappings on one path, evaluated."""
        spaces: dict[str, None] = {}

        def search(machine: Architecture, levels: tuple[Level, ...], seconds: float | None) -> tuple[Found, Results]:
            answered = answer(machine, levels, flat, rules, self._objective, self._perfect, seconds, self._reuse)
            spaces[answered.space] = None
            nests = (Nest(_without_ones(candidate.nodes), rules.flatten) for candidate in answered.found.front)
            return answered.found, [evaluate_nest(einsum, self._architecture, nest) for nest in nests]

        if self._memory is None:
            found, results = search(self._architecture, path, left)
        else:
            found, results = sweep(search, self._architecture, path, flat, self._memory, left)
        return _OnPath(path, found, "; ".join(sorted(spaces, reverse=True)), results)

    def _explained(self, flat: SizedEinsum, rules: EinsumRules, offers: list[_OnPath]) -> Mapped:
        """The best of all paths, with what is proven and known of each."""
        space = "; ".join(dict.fromkeys(offer.space for offer in offers))
        candidates = sum(offer.found.candidates for offer in offers)
        costed = sum(offer.found.costed for offer in offers)
        results = []
        for result in self._select([result for offer in offers for result in offer.results]):
            gap = max(self._gap(offer, flat, result) for offer in offers)
            searched = explain(
                self._architecture, self._architecture.path_to(result.binding), flat, rules, _nodes(result),
                result, self._objective, candidates, costed,
            )  # fmt: skip
            proof = "gap" if gap else "optimal"
            results.append(replace(result, proof=proof, gap=gap, space=space, search=searched))
        return Mapped(tuple(results), space, costed)

    def _gap(self, offer: _OnPath, einsum: SizedEinsum, result: EinsumResult) -> float:
        """How far the result is above what a path may still hold, at most: 1 - bound / value."""
        if offer.found.complete and not offer.narrowed:
            return 0.0
        compulsory = gap_to_compulsory(self._architecture, offer.path, einsum, result, self._objective)
        if self._objective == "pareto" or offer.narrowed:
            return compulsory
        value = key_of(self._objective, result.energy_pj, float(result.cycles))[0]
        return min(compulsory, max(0.0, 1 - offer.found.bound / value)) if value else 0.0

    def _select(self, results: Results) -> Results:
        """The best of all bindings, or their common front; ties go to the least occupancy, outermost memory first."""
        results = sorted(results, key=lambda r: [memory.occupancy for memory in r.memories.values()])
        if self._objective != "pareto":
            return [min(results, key=lambda r: key_of(self._objective, r.energy_pj, float(r.cycles)))]
        return nondominated(results, lambda r: (float(r.cycles), r.energy_pj, self._occupancy(r)))

    def _occupancy(self, result: EinsumResult) -> float:
        """Of the memory that is an objective; 0 where there is none."""
        held = None if self._memory is None else result.memories.get(self._memory)
        return float(held.occupancy) if held else 0.0

    def _paths(self, einsum: SizedEinsum, rules: EinsumRules) -> list[tuple[Level, ...]]:
        """Paths whose compute can cost every operator and whose memories can hold what they must.

        Raises:
            MappingError: There is none, with every reason.
        """
        able, unable = [], []
        for path in self._architecture.paths():
            compute = path[-1]
            assert isinstance(compute, Compute)
            lacks = [op for op in einsum.operations() if compute.operator_energy_pj(op) is None]
            if lacks:
                alone = len(self._architecture.computes()) == 1
                unable.append(cannot_execute(einsum, compute, lacks, alone))
            else:
                able.append(path)
        if not able:
            raise MappingError(unable)
        reasons = [excluded(einsum, path, rules, alone=len(able) == 1) for path in able]
        if all(reasons):
            raise MappingError(list(dict.fromkeys(problem for found in reasons for problem in found)))
        return [path for path, found in zip(able, reasons, strict=True) if not found]

    def _renamed(
        self, result: EinsumResult, model: SizedEinsum, flat: SizedEinsum, einsum: SizedEinsum, rules: EinsumRules,
        repeat: int,
    ) -> EinsumResult:  # fmt: skip
        """The mapping of an equal Einsum in the names of this one, evaluated anew."""
        variables = dict(zip(model.extents, flat.extents, strict=True))
        tensors = {a.tensor: b.tensor for a, b in zip(model.accesses, flat.accesses, strict=True)}
        nodes = _rename(_nodes(result), variables, tensors)
        renamed = evaluate_nest(einsum, self._architecture, Nest(nodes, rules.flatten), repeat=repeat)
        return replace(renamed, proof=result.proof, gap=result.gap, space=result.space, search=result.search)


def _same_price_of_drains(architecture: Architecture) -> None:
    """The searches price a drain as the read that it is."""
    for memory in architecture.memories():
        if memory.drain_energy_pj not in (None, memory.read_energy_pj):
            what = "which the search for the mapping of one Einsum does not price"
            hint = "leave it out, or give the mapping: `evaluate` prices it"
            raise MappingError(f"{memory.name} has a `drain_energy` of its own, {what}", hint)


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
