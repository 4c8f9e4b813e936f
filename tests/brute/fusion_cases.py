"""Random tiny cascades on random tiny machines, and the mapper's answers beside the brute force's.

``judged(drawn(seed))`` gives a `Verdict`: what is wrong, and how many trees the answer was held against.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from brute.fusion import Broken, Point, Space, TooLarge, cost_of, front_of
from einloom.arch.tree import Amount, Architecture, AxisRule, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mapper import Mapper
from einloom.mapper.fusion import map_cascade
from einloom.mapper.tree_result import TreeResult
from einloom.mappings.nodes import Hold, Nodes
from einloom.mappings.text import parse_node
from einloom.model.fused import evaluate_tree
from einloom.model.reference.fused import execute_tree
from einloom.model.result import EinsumResult
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import dataflow

OBJECTIVES = ("energy", "latency", "edp", "pareto")
NEAR = 1 + 1e-9
WORD = 16

CASCADES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "chain": (["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"], {}),
    "batched": (["T[b,m] = sum{k}(A[b,m,k] * B[b,k])", "Z[b,p] = sum{m}(T[b,m] * C[b,m,p])"], {}),
    "short chain": (["T[m] = sum{k}(A[m,k] * B[k])", "Z[m,p] = T[m] * C[p]"], {}),
    "three in a chain": (["T[m] = sum{k}(A[m,k])", "U[m,n] = T[m] * B[n]", "Z[m] = sum{n}(U[m,n])"], {}),
    "attention": (
        ["Q[p,m] = sum{e}(X[p,e] * K[m,e])", "S[p,m] = exp(Q[p,m])", "Z[p] = sum{m}(S[p,m] * V[m])"], {},
    ),
    "element by element": (["T[m,n] = A[m,n] * B[n]", "Z[m,n] = exp(T[m,n])"], {}),
    "reduction": (["G[m] = max{n}(A[m,n])", "Z[m,n] = exp(A[m,n] - G[m])"], {}),
    "softmax": (["E[m,n] = exp(A[m,n])", "G[m] = sum{n}(E[m,n])", "Z[m,n] = E[m,n] * G[m]"], {}),
    "wanted outside": (
        ["T[m,n] = A[m] * B[n]", "Z[m] = sum{n}(T[m,n] * C[n])"], {"outputs": ("T", "Z")},
    ),
    "squared": (["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m] = sum{n}(T[m,n] * T[m,n])"], {}),
    "two readers": (["T[m,n] = A[m] * B[n]", "Y[m] = sum{n}(T[m,n])", "Z[n] = max{m}(T[m,n])"], {}),
    "running sum": (["T[g,m] = sum{k}(A[g,m,k])", "S[g+1,m] = S[g,m] + T[g,m]", "Z[m] = S[G,m] * C[m]"],
                    {"init": {"S": 0.0}}),
    "running sum of two": (["T[g,m] = A[g,m] * B[m]", "S[g+1,m] = S[g,m] + T[g,m]"], {"init": {"S": 0.0}}),
    "running maximum": (
        ["L[g,p] = max{n}(A[g,n,p])", "R[g+1,p] = max(R[g,p], L[g,p])", "E[g,n,p] = exp(A[g,n,p] - R[g+1,p])"],
        {"init": {"R": -np.inf}},
    ),
    "recurrence of two": (["U[g,m] = A[g,m] + S[g,m]", "S[g+1,m] = S[g,m] * U[g,m]", "Z[m] = S[G,m] * C[m]"],
                          {"init": {"S": 1.0}}),
}  # fmt: skip
OPERATORS = ("mul", "add", "max", "exp", "sub")


@dataclass(frozen=True)
class Case:
    """A cascade on a machine."""

    name: str
    cascade: Cascade
    architecture: Architecture

    def __str__(self) -> str:
        lines = "; ".join(line.text for line in self.cascade.einsums)
        return f"{self.name}: {lines} {dict(self.cascade.ranks)}\n  bits {dict(self.cascade.bits)}\n" + "\n".join(
            f"  {_changed(level)}" for level in self.architecture.walk()
        )


def _changed(level: Any) -> str:
    """What is not as by default."""
    values = {f.name: getattr(level, f.name) for f in fields(level)}
    told = {f.name: values[f.name] for f in fields(level) if f.default is MISSING or f.default != values[f.name]}
    said = {
        name: dict(v) if isinstance(v, Mapping) else v.value if isinstance(v, Amount) else v for name, v in told.items()
    }
    return f"{type(level).__name__}({', '.join(f'{name}={value}' for name, value in said.items() if value != {})})"


def drawn(seed: int, kind: str | None = None) -> Case:
    """A random case."""
    rng = Random(seed)
    name = kind or rng.choice(list(CASCADES))
    lines, parts = CASCADES[name]
    ranks = sorted({v.upper() for line in lines for v in _variables(line)})
    while True:
        sizes = {rank: rng.choice((1, 2, 2, 2, 3, 4, 4, 6)) for rank in ranks}
        if math.prod(sizes.values()) <= 48:
            break
    bits = {}
    if rng.random() < 0.3:
        tensors = sorted({name for line in lines for name in _tensors(line)})
        bits = {"bits": {"default": Fraction(WORD)} | {t: Fraction(rng.choice((8, 16, 32))) for t in tensors}}
    cascade = Cascade.parse(lines, sizes, **parts, **bits)
    return Case(f"{name} {seed}", cascade, _machine(rng, cascade))


def _variables(line: str) -> set[str]:
    return {c for index in line.split("[")[1:] for c in index.split("]")[0] if c.islower()}


def _tensors(line: str) -> set[str]:
    return {part[-1] for part in line.split("[")[:-1] if part[-1:].isupper()}


def _machine(rng: Random, cascade: Cascade) -> Architecture:
    einsums = list(cascade.sized())
    tensors = sorted({a.tensor for e in einsums for a in e.accesses})
    short = len(einsums) == 2
    two = rng.random() < 0.4
    plain = rng.random() < 0.4
    leaks = rng.random() < 0.1
    width = None if rng.random() < 0.8 else Fraction(8)

    def rate(chance: float) -> dict[str, Amount]:
        if rng.random() > chance:
            return {}
        if rng.random() < 0.3:
            return {name: Amount(Fraction(WORD * rng.randint(1, 4))) for name in ("read_bandwidth", "write_bandwidth")}
        return {"bandwidth": Amount(Fraction(WORD * rng.randint(1, 6)))}

    def prices(scale: int) -> dict[str, float]:
        return {"read_energy_pj": float(scale * rng.choice((0, 1, 2, 5))),
                "write_energy_pj": float(scale * rng.choice((1, 1, 2, 5)))}  # fmt: skip

    def rules(chance: float) -> dict[str, Any]:
        if plain or rng.random() > chance:
            return {}
        some = tuple(t for t in tensors if rng.random() < 0.6)
        if rng.random() < 0.4:
            return {"may_hold": some}
        few = tuple(t for t in some if rng.random() < 0.4)
        return {"must_hold": few} if rng.random() < 0.5 else {"holds": some}

    def unit(number: int) -> tuple[Any, ...]:
        levels: list[Any] = []
        if rng.random() < 0.75:
            axes = {"X": rng.randint(1, 3)} | ({"Y": rng.randint(1, 3)} if rng.random() < 0.35 else {})
            only = {}
            if not plain and rng.random() < 0.4:
                ranks = sorted({v for e in einsums for v in e.extents})
                only = {"X": AxisRule(variables=tuple(v for v in ranks if rng.random() < 0.6))}
            shares = {s: plain or rng.random() < 0.7 for s in ("multicast", "reduce")}
            hop = rng.choice((1, 2)) if short and rng.random() < 0.12 else 0
            link = 0.0 if plain else rng.choice((0.0, 0.0, 1.0))
            levels.append(
                Fanout(name=f"PE{number}", axes=axes, only=only, hop_cycles=hop, link_energy_pj=link, **shares)
            )
        if rng.random() < 0.65:
            words = Amount(Fraction(WORD * rng.randint(1, 4)))
            levels.append(Memory(name=f"R{number}", capacity=words, word_bits=width,
                                 double_buffered=not plain and rng.random() < 0.1,
                                 **prices(rng.choice((0, 1))), **rules(0.5)))  # fmt: skip
        operators = OPERATORS
        if two and number == 2 and rng.random() < 0.3:
            operators = tuple(o for o in OPERATORS if o != "exp")
        levels.append(Compute(name=f"C{number}", energy_pj={o: float(rng.randint(0, 3)) for o in operators},
                              cycles={"exp": rng.randint(1, 4)}))  # fmt: skip
        return tuple(levels)

    outer = Memory(name="O", word_bits=width, leakage_w=0.001 if leaks else 0.0, **prices(20), **rate(0.6))
    room = Amount(Fraction(WORD * rng.choice((3, 4, 6, 8, 12, 20, 40))))
    buffer = Memory(name="B", capacity=room, word_bits=width,
                    double_buffered=not plain and rng.random() < 0.1, **prices(3), **rate(0.5),
                    **rules(0.25))  # fmt: skip
    units = [unit(1), unit(2)] if two else [unit(1)]
    levels = (outer, buffer, Branches(tuple(units))) if two else (outer, buffer, *units[0])
    return Architecture(name="tiny", clock_hz=1e9, levels=levels)


# -- both answers


@dataclass
class Verdict:
    """What a case showed.

    Attributes:
        trees: Trees of groups that the answer was held against.
        taken: Whether the case had any; otherwise ``why`` it had none.
        wrong: What contradicts the brute force.
        ties: Ties that are broken otherwise, where no ramp and no drain arises.
        gaps: Objectives with an answer that has a gap.
        fused: Objectives for which a fused tree is best.
    """

    trees: int = 0
    taken: bool = True
    why: str = ""
    wrong: list[str] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    fused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Brute:
    """The front of all trees, and of the Einsums one by one."""

    front: list[Point]
    split: list[Point]
    trees: int


def brute_force(case: Case, most: int = 1500, samples: int = 0, residents: bool = True) -> Brute:
    """Every partition of the cascade.

    Raises:
        MappingError: An Einsum has no mapping.
        TooLarge: More than ``most`` parts of trees.
    """
    flow = dataflow(case.cascade)
    names = list(flow.einsums)
    mapper = Mapper(case.architecture, "pareto", perfect=True, reuse=False)
    alone = {name: list(mapper.map(einsum).results) for name, einsum in flow.einsums.items()}
    split = _sums([[_point(result) for result in alone[name]] for name in names])
    points, trees, spaces = list(split), 0, []
    for start, end in itertools.combinations(range(len(names) + 1), 2):
        if end - start < 2:
            continue
        others = {n: _nest(alone[n][0]) for i, n in enumerate(names) if not start <= i < end}
        group = tuple(names[start:end])
        cycles = sum(float(alone[n][0].cycles) for n in others)
        space = Space(case.cascade, case.architecture, group, others, cycles, most, residents)
        most -= space.parts()
        if most < 0:
            raise TooLarge
        spaces.append(space)
    for space in spaces:
        mine = space.front(Random(0), samples)
        trees += space.trees
        rest = [[_point(result) for result in alone[n]] for n in space.others]
        points += _sums([mine, *rest])
    return Brute(front_of(points), split, trees)


def _point(result: EinsumResult | TreeResult) -> Point:
    return Point(result.energy_pj, float(result.cycles))


def _sums(fronts: Sequence[Sequence[Point]]) -> list[Point]:
    total = [Point(0.0, 0.0)]
    for front in fronts:
        total = front_of(
            [Point(a.energy + b.energy, a.cycles + b.cycles, a.nodes or b.nodes) for a in total for b in front]
        )
    return total


def _nest(result: EinsumResult) -> Nodes:
    nodes = tuple(parse_node(line) for line in result.mapping)
    return tuple(node for node in nodes if not (isinstance(node, Hold) and node.memory == "O"))


def mapped(case: Case, objective: str) -> tuple[list[Point], list[TreeResult]]:
    """(totals Einsum by Einsum, fused trees) of the mapper."""
    flow = dataflow(case.cascade)
    asked = "pareto" if objective == "edp" else objective
    mapper = Mapper(case.architecture, asked, perfect=True, reuse=False)
    alone = {name: list(mapper.map(einsum).results) for name, einsum in flow.einsums.items()}
    split = _sums([[_point(result) for result in results] for results in alone.values()])
    return split, list(map_cascade(case.cascade, case.architecture, objective, alone).trees)


def judged(case: Case, most: int = 1500, samples: int = 6, objectives: Sequence[str] = OBJECTIVES) -> Verdict:
    """The mapper's answers for a case against the brute force."""
    try:
        brute = brute_force(case, most, samples)
    except MappingError as error:
        return Verdict(taken=False, why=f"an Einsum has no mapping: {error}".splitlines()[0])
    except TooLarge:
        return Verdict(taken=False, why="too large")
    verdict = Verdict(trees=brute.trees)
    if not brute.trees:
        return Verdict(taken=False, why="no group")
    for objective in objectives:
        split, trees = mapped(case, objective)
        for tree in trees:
            verdict.wrong += [f"{objective}: {text}" for text in _tree_wrong(case, tree, brute)]
        _compare(case, objective, brute, split, trees, verdict)
    return verdict


def value(objective: str, point: Point) -> float:
    return {"energy": point.energy, "latency": point.cycles, "edp": point.energy * point.cycles}[objective]


def _compare(
    case: Case, objective: str, brute: Brute, split: list[Point], trees: list[TreeResult], verdict: Verdict
) -> None:
    exact = len(case.architecture.computes()) == 1 and not any(f.hop_cycles for f in case.architecture.fanouts())
    every = front_of([*split, *map(_point, trees)])
    if objective == "pareto":
        if exact and not all(tree.proof == "optimal" for tree in trees):
            verdict.gaps.append(objective)
        elif exact and not _same_front(every, brute.front):
            verdict.wrong.append(f"pareto: {_told(every)} instead of {_told(brute.front)}")
        return
    best = min(value(objective, p) for p in brute.front)
    mine = min(value(objective, p) for p in every)
    tree = trees[0] if trees else None
    if tree is not None and value(objective, _point(tree)) <= min(value(objective, p) for p in split):
        verdict.fused.append(objective)
    gap = tree.gap if tree is not None else 0.0
    if gap:
        verdict.gaps.append(objective)
    if mine < best / NEAR:
        verdict.wrong.append(f"{objective}: {mine} below the brute force, {best}")
    if not gap and mine > best * NEAR:
        verdict.wrong.append(f"{objective}: 'optimal' {mine}, but there is {best}")
    if gap and tree is not None:
        # what nothing goes below, were it the fused tree or Einsum by Einsum
        bound = min(value(objective, _point(tree)) * (1 - gap), *(value(objective, p) for p in split))
        if bound > best * NEAR:
            verdict.wrong.append(f"{objective}: a bound of {bound} (gap {gap}), but there is {best}")
    if exact and not gap and objective != "edp" and mine <= best * NEAR:
        second = (lambda p: p.cycles) if objective == "energy" else (lambda p: p.energy)
        least = min(second(p) for p in brute.front if value(objective, p) <= best * NEAR)
        own = min(second(p) for p in every if value(objective, p) <= best * NEAR)
        if own > least * NEAR:
            verdict.ties.append(f"{objective}: {own} at a tie, but there is {least}")


def _same_front(mine: list[Point], theirs: list[Point]) -> bool:
    close = [
        any(math.isclose(a.energy, b.energy, rel_tol=1e-9, abs_tol=1e-9) and math.isclose(a.cycles, b.cycles)
            for b in theirs) for a in mine
    ]  # fmt: skip
    return len(mine) == len(theirs) and all(close)


def _told(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(point.energy, point.cycles) for point in points]


COUNTED = ("reads", "writes", "fills", "updates", "drains")


def _tree_wrong(case: Case, tree: TreeResult, brute: Brute) -> list[str]:
    """What a tree of the mapper contradicts: what it says it costs, all trees, the walk step by step."""
    wrong = []
    fused = evaluate_tree(case.cascade, case.architecture, tree.nodes)
    energy = cost_of(fused) + fused.streamed.leakage_pj
    if not math.isclose(energy, tree.energy_pj) or fused.streamed.cycles != tree.cycles:
        wrong.append(f"the tree costs {energy}, {fused.streamed.cycles}: not {tree.energy_pj}, {tree.cycles}")
    if all(p.energy > tree.energy_pj * NEAR or p.cycles > tree.cycles * NEAR for p in brute.front):
        wrong.append(f"no tree is as good as {tree.energy_pj}, {tree.cycles}: {_told(brute.front)}")
    return wrong + executed_wrong(case, tree.nodes)


def executed_wrong(case: Case, nodes: Nodes) -> list[str]:
    """Where the closed form and the walk of a tree differ."""
    wrong = []
    fused = evaluate_tree(case.cascade, case.architecture, nodes)
    generator = np.random.default_rng(0)
    inputs = {name: generator.uniform(0.5, 1.5, case.cascade.shape(name)) for name in case.cascade.inputs}
    run = execute_tree(case.cascade, case.architecture, nodes, inputs)
    expected = case.cascade.run(inputs)
    for name in case.cascade.outputs:
        if not np.allclose(run.outputs[name], expected[name]):
            wrong.append(f"the tree computes another {name}")
    counted: dict[tuple[str, str, str], float] = {}
    for result in fused.einsums.values():
        for memory, found in result.memories.items():
            for tensor, counts in found.tensors.items():
                for what in COUNTED:
                    key = memory, tensor, what
                    counted[key] = counted.get(key, 0.0) + float(getattr(counts, what))
    walked = {(*place, what): float(getattr(counts, what)) for place, counts in run.counts.items() for what in COUNTED}
    for key in {*counted, *walked}:
        if counted.get(key, 0.0) != walked.get(key, 0.0):
            wrong.append(f"{key}: counted {counted.get(key, 0.0)}, walked {walked.get(key, 0.0)}")
    ramp = fused.streamed.terms_cycles["ramp"]
    if not math.isclose(float(fused.streamed.cycles - ramp), float(run.cycles), rel_tol=1e-12):
        wrong.append(f"{fused.streamed.cycles - ramp} cycles, walked {run.cycles}")
    used = {name: float(held.used) for name, held in fused.streamed.occupancy.items()}
    if used != {name: float(bits) for name, bits in run.occupancy_bits.items() if bits}:
        wrong.append(f"occupancy {used}, walked {dict(run.occupancy_bits)}")
    return wrong


__all__ = ["Broken", "Brute", "Case", "Verdict", "brute_force", "drawn", "executed_wrong", "judged", "mapped"]
