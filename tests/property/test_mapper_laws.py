"""Laws of the mapper: its answer is legal, is what it says, and nothing in its declared space is better.

The declared space is written out here a second time, from its description and without any pruning: every rank on
every axis, every ordered factorization, every permutation of loops, every set of holders.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from strategies import expect, law

from einloom.api import combined_front
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mapper import OBJECTIVES, Mapper
from einloom.mapper import search as search_module
from einloom.mapper.bounds import bounds_in, structure_for, tensor_shares
from einloom.mapper.search import search
from einloom.mapper.space import declare
from einloom.mappings import Bind, Hold, Loop, Nest, Spatial, parse_node
from einloom.model import counts
from einloom.model.cost import Priced
from einloom.model.evaluate import evaluate_nest
from einloom.model.result import EinsumResult
from einloom.workloads.cascade import Cascade
from einloom.workloads.sized import SizedEinsum

CLOSE = 1e-9

LINES = (
    "Z[m,n] = sum{k}(A[m,k] * B[k,n])",
    "O[p] = sum{r}(I[p+r] * W[r])",
    "O[p] = sum{r}(I[2*p+r] * W[r])",
    "Z[m,n] = A[m] * B[n]",
    "S[m,n] = A[m,n] * A[n,m]",
    "Z[] = sum{k}(A[k] * B[k])",
)


@dataclass(frozen=True)
class Problem:
    """An Einsum and a machine."""

    einsum: SizedEinsum
    architecture: Architecture

    def answer(self, objective="energy", perfect=False) -> tuple[EinsumResult, ...]:
        """The mapper's; empty where nothing is legal."""
        try:
            return Mapper(self.architecture, objective, perfect).map(self.einsum).results
        except MappingError as error:
            expect(error, "no mapping of")
            return ()

    def with_memories(self, change) -> Problem:
        levels = tuple(change(x) if isinstance(x, Memory) else x for x in self.architecture.levels)
        return replace(self, architecture=replace(self.architecture, levels=levels))

    def __repr__(self) -> str:
        return f"{self.einsum.text} {dict(self.einsum.extents)} on {self.architecture.levels}"


ENERGIES = st.sampled_from((0.0, 0.1, 0.7, 3.0, 20.0))
RATES = st.sampled_from((UNLIMITED, Amount(Fraction(8)), Amount(Fraction(40)), Amount(Fraction(2), in_words=True)))


@st.composite
def problems(draw, most=4, memories=2):
    line = draw(st.sampled_from(LINES))
    ranks = {v.upper(): draw(st.sampled_from(range(1, most + 1))) for v in "mnkpr" if f"{v}" in line.replace("sum", "")}
    if "A[n,m]" in line:
        ranks["N"] = ranks["M"]
    cascade = Cascade.parse([line], ranks, bits={"default": Fraction(8), line[0]: Fraction(32)})
    (einsum,) = cascade.sized()
    levels: list = []
    for place in range(draw(st.integers(1, memories)) + 1):
        if place and draw(st.booleans()):
            levels.append(_fanout(draw, f"F{place}", einsum))
        capacity = Amount(Fraction(draw(st.sampled_from((40, 80, 200, 10_000))))) if place else UNLIMITED
        levels.append(
            Memory(
                name=f"L{place}", capacity=capacity, read_energy_pj=draw(ENERGIES), write_energy_pj=draw(ENERGIES),
                bandwidth=draw(RATES), double_buffered=draw(st.booleans()) if place else False,
                holds=draw(st.sampled_from((None, None, ("outputs",), ("inputs",)))) if place else None,
                leakage_w=draw(st.sampled_from((0.0, 1e-3))),
            )
        )  # fmt: skip
    if draw(st.booleans()):
        levels.append(_fanout(draw, "F9", einsum))
    levels.append(Compute(name="C", energy_pj={"mul": 0.5, "add": 0.25}))
    return Problem(einsum, Architecture(name="drawn", clock_hz=1e9, levels=tuple(levels)))


def _fanout(draw, name, einsum):
    axes = {axis: draw(st.integers(1, 3)) for axis in ("X", "Y")[: draw(st.integers(1, 2))]}
    return Fanout(name=name, axes=axes, multicast=draw(st.booleans()), reduce=draw(st.booleans()))


# -- the declared space, written out


def factorizations(number: int, parts: int):
    """All ordered ways to write ``number`` as a product of ``parts`` factors."""
    if parts == 1:
        return [(number,)]
    heads = [d for d in range(1, number + 1) if number % d == 0]
    return [(d, *rest) for d in heads for rest in factorizations(number // d, parts - 1)]


def axis_choices(problem: Problem, perfect: bool):
    """A rank with its bound on every axis that can carry one: all the instances that it can use."""
    axes = [
        (level.name, axis, size)
        for level in problem.architecture.fanouts()
        for axis, size in level.axes.items()
        if size > 1
    ]
    ranks = [var for var, extent in problem.einsum.extents.items() if extent > 1]

    def choose(place: int, left: dict):
        if place == len(axes) or not ranks:
            yield ()
            return
        fanout, axis, size = axes[place]
        for var in ranks:
            divisor = max(d for d in range(1, size + 1) if left[var] % d == 0)
            slides = any(len(dim) > 1 and var in dict(dim) for a in problem.einsum.accesses for dim in a.dims)
            bounds = {divisor} if perfect or slides else {divisor, min(size, left[var])}
            for bound in bounds:
                for rest in choose(place + 1, {**left, var: -(-left[var] // bound)}):
                    yield ((fanout, axis, var, bound), *rest)

    yield from choose(0, dict(problem.einsum.extents))


def holder_choices(problem: Problem):
    """For each tensor the inner memories that hold it, as the rules allow."""
    rules = problem.architecture.rules_for(problem.einsum)
    inner = [memory.name for memory in problem.architecture.memories()[1:]]
    tensors = list(dict.fromkeys(access.tensor for access in problem.einsum.accesses))
    choices = []
    for tensor in tensors:
        must = {m for m in inner if tensor in rules.holding(m).must}
        may = [m for m in inner if m not in must and rules.holding(m).allows(tensor)]
        choices.append([must.union(some) for n in range(len(may) + 1) for some in itertools.combinations(may, n)])
    for combination in itertools.product(*choices):
        yield dict(zip(tensors, combination, strict=True))


def nest(problem: Problem, axes, splits, orders, holders) -> Nest:
    """One mapping of the space: ``splits`` by rank, ``orders`` by block, ``holders`` by tensor."""
    nodes: list = []
    block = 0
    for level in problem.architecture.path_to("C"):
        if isinstance(level, Memory):
            held = tuple(t for t, memories in holders.items() if level.name in memories or block == 0)
            nodes += [Hold(level.name, held)] if held else []
            nodes += [Loop(var, splits[var][block]) for var in orders[block]]
            block += 1
        elif isinstance(level, Fanout):
            nodes += [Spatial(fanout, axis, var, bound) for fanout, axis, var, bound in axes if fanout == level.name]
    return Nest((*nodes, Bind("C")))


def all_splits(problem: Problem, axes):
    blocks = len(problem.architecture.memories())
    choices = []
    for var, extent in problem.einsum.extents.items():
        taken = math.prod(bound for _, _, name, bound in axes if name == var)
        choices.append(factorizations(-(-extent // taken), blocks))
    for combination in itertools.product(*choices):
        yield dict(zip(problem.einsum.extents, combination, strict=True))


def space(problem: Problem, perfect: bool):
    """Every mapping of the declared space. The order of the innermost block moves nothing and is fixed."""
    ranks = tuple(problem.einsum.extents)
    blocks = len(problem.architecture.memories())
    for axes in axis_choices(problem, perfect):
        for splits, holders in itertools.product(all_splits(problem, axes), holder_choices(problem)):
            for orders in itertools.product(itertools.permutations(ranks), repeat=blocks - 1):
                yield nest(problem, axes, splits, (*orders, ranks), holders)


def legal(problem: Problem, mappings) -> list[EinsumResult]:
    results = []
    for mapping in dict.fromkeys(mappings):
        try:
            results.append(evaluate_nest(problem.einsum, problem.architecture, mapping))
        except MappingError as error:
            expect(error, "the tiles need")
    return results


def score(result, objective: str) -> float:
    cycles, energy = float(result.cycles), float(result.energy_pj)
    return {"energy": energy, "latency": cycles, "edp": energy * cycles}[objective]


# -- exactness

TINY = problems(most=4, memories=1)
SINGLE = tuple(objective for objective in OBJECTIVES if objective != "pareto")


@law(TINY, st.sampled_from(SINGLE), st.booleans(), share=0.5)
def test_no_nest_with_one_block_of_loops_a_memory_beats_the_answer(problem, objective, perfect):
    """All of them, enumerated plainly. A clipped answer with a gap may be beaten, but by no more than its gap."""
    results = legal(problem, space(problem, perfect))
    answer = problem.answer(objective, perfect)
    assert answer or not results
    if results:
        best = min(score(result, objective) for result in results)
        assert score(answer[0], objective) * (1 - answer[0].gap) <= best * (1 + CLOSE)
        assert answer[0].proof == "optimal" or not perfect


def test_an_axis_takes_what_is_left_by_the_bound_chosen_before():
    """m = 3 on axes of 2 and 3 without multicast on the first: 1 x 3 reads B once, 2 x 2 (clipped) twice."""
    (einsum,) = Cascade.parse(["Z[m] = A[m] * B[]"], {"M": 3}).sized()
    levels = (
        Memory(name="D", read_energy_pj=1, write_energy_pj=1),
        Fanout(name="F", axes={"X": 2}, multicast=False),
        Fanout(name="G", axes={"X": 3}),
        Compute(name="C", energy_pj={"mul": 1.0}),
    )
    problem = Problem(einsum, Architecture(name="hand", clock_hz=1e9, levels=levels))
    assert [problem.answer("energy", perfect)[0].energy_pj for perfect in (True, False)] == [10, 10]


@law(TINY, st.sampled_from(SINGLE), share=0.4)
def test_a_tie_goes_to_the_better_in_the_other_objective(problem, objective):
    other = "latency" if objective == "energy" else "energy"
    results, answer = legal(problem, space(problem, True)), problem.answer(objective, perfect=True)
    best = min((score(result, objective) for result in results), default=0.0)
    if results and score(answer[0], objective) >= best * (1 - 1e-12):
        tied = [result for result in results if score(result, objective) <= best * (1 + 1e-12)]
        least = min(score(result, other) for result in tied)
        assert score(answer[0], other) <= least * (1 + CLOSE)


@law(TINY, share=0.4)
def test_the_front_of_the_mapper_covers_plain_enumeration(problem):
    points = {(float(r.cycles), float(r.energy_pj)) for r in legal(problem, space(problem, True))}
    front = [(float(r.cycles), float(r.energy_pj)) for r in problem.answer("pareto", perfect=True)]
    for cycles, energy in points:
        assert any(c <= cycles * (1 + CLOSE) and e <= energy * (1 + CLOSE) for c, e in front)
    assert front == sorted(front)
    assert all(later[1] < earlier[1] for earlier, later in itertools.pairwise(front))


@st.composite
def members(draw, problem):
    """One mapping of the declared space, drawn."""
    axes = draw(st.sampled_from(list(axis_choices(problem, False))))
    blocks = len(problem.architecture.memories())
    orders = [draw(st.permutations(tuple(problem.einsum.extents))) for _ in range(blocks)]
    splits = {}
    for var, extent in problem.einsum.extents.items():
        taken = math.prod(bound for _, _, name, bound in axes if name == var)
        splits[var] = draw(st.sampled_from(factorizations(-(-extent // taken), blocks)))
    return nest(problem, axes, splits, orders, draw(st.sampled_from(list(holder_choices(problem)))))


@law(problems(most=12, memories=2), st.sampled_from(SINGLE), st.data(), share=0.5)
def test_no_mapping_of_the_declared_space_beats_the_answer(problem, objective, data):
    results = legal(problem, [data.draw(members(problem)) for _ in range(16)])
    answer = problem.answer(objective)
    assert answer or not results
    least = score(answer[0], objective) * (1 - answer[0].gap) if answer else 0.0
    assert all(least <= score(result, objective) * (1 + CLOSE) for result in results)


@law(problems(most=4), share=0.5)
def test_the_bound_of_a_tensor_is_at_most_its_cost_in_every_order(problem):
    """What prunes the search never excludes the best: energy, and cycles of every port, tiling by tiling."""
    rules = problem.architecture.rules_for(problem.einsum)
    spaces, _ = declare(problem.einsum, problem.architecture.path_to("C"), rules, perfect=False)
    part = spaces[0]
    rows = np.stack(np.unravel_index(np.arange(min(part.tilings, 40)), [len(c) for c in part.chains.values()]), axis=1)
    for tensor, holdings in part.holdings.items():
        shares = tensor_shares(problem.architecture, part, tensor, rows)
        for holding, share in zip(holdings, shares, strict=True):
            for order in itertools.product(*part.orders):
                structure = structure_for(part, order, {tensor: holding})
                batch = counts.batch_of(structure, bounds_in(part, structure, rows))
                priced = Priced(problem.architecture, batch)
                assert (share.energy_pj <= sum(priced.memory_energy_pj.values()) * (1 + CLOSE)).all()
                for place, busy in priced.port_cycles.items():
                    assert (np.max(share.port_cycles[place], axis=0) <= busy * (1 + CLOSE)).all()


# -- the answer is what it says


@law(problems(most=6), st.sampled_from(OBJECTIVES), share=0.7)
def test_the_answer_evaluates_to_what_it_says(problem, objective):
    for result in problem.answer(objective):
        assert (result.proof == "optimal") == (result.gap == 0.0)
        mapping = Nest(tuple(map(parse_node, result.mapping)))
        again = evaluate_nest(problem.einsum, problem.architecture, mapping)
        said = {"proof": result.proof, "gap": result.gap, "space": result.space, "search": result.search}
        assert replace(again, **said) == result


@law(problems(most=5), share=0.5)
def test_candidates_cost_in_the_search_what_they_cost_alone(problem):
    rules = problem.architecture.rules_for(problem.einsum)
    spaces, _ = declare(problem.einsum, problem.architecture.path_to("C"), rules, perfect=False)
    for candidate in search(problem.architecture, spaces, "pareto").front:
        alone = evaluate_nest(problem.einsum, problem.architecture, Nest(candidate.nodes))
        assert candidate.cycles == pytest.approx(float(alone.cycles), rel=1e-12)
        assert candidate.energy_pj == pytest.approx(alone.energy_pj, rel=1e-12)


@law(problems(most=5), share=0.4)
def test_each_objective_is_best_at_its_own(problem):
    answers = {objective: problem.answer(objective) for objective in SINGLE}
    assume(all(answers.values()))
    for objective, other in itertools.permutations(SINGLE, 2):
        mine, theirs = score(answers[objective][0], objective), score(answers[other][0], objective)
        assert mine <= theirs * (1 + CLOSE)
    front = problem.answer("pareto")
    assert front[0].cycles == pytest.approx(answers["latency"][0].cycles, rel=CLOSE)
    assert front[-1].energy_pj == pytest.approx(answers["energy"][0].energy_pj, rel=CLOSE)
    assert min(score(r, "edp") for r in front) == pytest.approx(score(answers["edp"][0], "edp"), rel=CLOSE)


# -- more room never hurts


def no_worse(problem: Problem, better: Problem, objective: str) -> bool:
    """With perfect factors, where every answer is the optimum."""
    before, after = problem.answer(objective, perfect=True), better.answer(objective, perfect=True)
    if not before:
        return True
    return bool(after) and score(after[0], objective) <= score(before[0], objective) * (1 + CLOSE)


@law(problems(most=6), st.sampled_from(SINGLE), st.sampled_from((2, Fraction(3, 2), 100)), share=0.5)
def test_more_capacity_never_hurts_the_best_mapping(problem, objective, factor):
    def wider(memory):
        bounded = memory.capacity != UNLIMITED
        return replace(memory, capacity=Amount(memory.capacity.value * factor)) if bounded else memory

    assert no_worse(problem, problem.with_memories(wider), objective)


@law(problems(most=6), st.sampled_from(SINGLE), st.sampled_from((2, Fraction(3, 2), 100)), share=0.5)
def test_more_bandwidth_never_hurts_the_best_mapping(problem, objective, factor):
    def wider(memory):
        rate = memory.bandwidth
        return memory if rate == UNLIMITED else replace(memory, bandwidth=Amount(rate.value * factor, rate.in_words))

    assert no_worse(problem, problem.with_memories(wider), objective)


@law(problems(most=6), st.sampled_from(SINGLE), share=0.7)
def test_allowing_clipped_bounds_never_hurts(problem, objective):
    perfect, clipped = problem.answer(objective, perfect=True), problem.answer(objective)
    assert clipped or not perfect
    if perfect:
        assert score(clipped[0], objective) <= score(perfect[0], objective) * (1 + CLOSE)


# -- deterministic


@law(problems(most=4, memories=1), st.sampled_from(OBJECTIVES), st.sampled_from((5, 64)), share=0.4)
def test_the_order_of_spaces_and_the_size_of_blocks_do_not_change_the_answer(problem, objective, block):
    rules = problem.architecture.rules_for(problem.einsum)
    spaces, _ = declare(problem.einsum, problem.architecture.path_to("C"), rules, perfect=False)
    usual = search(problem.architecture, spaces, objective)
    assert search(problem.architecture, spaces, objective).front == usual.front
    with patch.object(search_module, "BLOCK", block):
        other = search(problem.architecture, spaces[::-1], objective)
    assert other.candidates == usual.candidates
    assert len(other.front) == len(usual.front)
    for ours, theirs in zip(other.front, usual.front, strict=True):
        assert ours.key[:2] == pytest.approx(theirs.key[:2], rel=CLOSE)


@law(problems(most=6), st.sampled_from(SINGLE), share=0.5)
def test_an_equal_einsum_in_other_names_gets_the_same_mapping_renamed(problem, objective):
    mapper = Mapper(problem.architecture, objective)
    variables = {var: f"x{i}" for i, var in enumerate(problem.einsum.extents)}
    tensors = {access.tensor: f"T_{access.tensor}" for access in problem.einsum.accesses}
    other = replace(
        problem.einsum,
        name=tensors[problem.einsum.name],
        extents={variables[var]: extent for var, extent in problem.einsum.extents.items()},
        accesses=tuple(
            replace(a, tensor=tensors[a.tensor], dims=tuple(tuple((variables[v], c) for v, c in d) for d in a.dims))
            for a in problem.einsum.accesses
        ),
        work=tuple(replace(w, variables=frozenset(variables[v] for v in w.variables)) for w in problem.einsum.work),
    )
    try:
        first = mapper.map(problem.einsum).results[0]
    except MappingError:
        return
    second = mapper.map(other).results[0]
    fresh = Mapper(problem.architecture, objective, reuse=False).map(other).results[0]
    assert (second.cycles, second.energy_pj) == (first.cycles, first.energy_pj) == (fresh.cycles, fresh.energy_pj)
    assert second.name == other.name
    assert second.mapping == fresh.mapping


@law(
    st.lists(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4), min_size=1, max_size=3)
)
def test_the_front_of_a_design_is_the_front_of_all_choices(einsums):
    @dataclass(frozen=True)
    class Choice:
        cycles: int
        energy_pj: float
        repeat: int

    fronts = {f"T{i}": [Choice(c, float(e), i + 1) for c, e in points] for i, points in enumerate(einsums)}

    def total(chosen):
        return sum(r.cycles * r.repeat for r in chosen), sum(r.energy_pj * r.repeat for r in chosen)

    points = {total(chosen) for chosen in itertools.product(*fronts.values())}
    best = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert [total(chosen.values()) for chosen in combined_front(fronts)] == sorted(best)
