"""Random tiny cascades on random tiny machines, mapped by the search and by trying."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from tests.brute.fused_space import every, some, tree

from einloom.arch.tree import Amount, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mapper import Mapper
from einloom.mapper.fusion import map_cascade
from einloom.mapper.tree_result import TreeResult
from einloom.model.fused import evaluate_tree
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import dataflow
from einloom.workloads.einsum import Einsum

CASCADES: list[tuple[list[str], str, dict[str, Any]]] = [
    (["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,l] = sum{n}(T[m,n] * C[n,l])"], "MNKL", {}),
    (["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,n] = exp(T[m,n])"], "MNK", {}),
    (
        ["Q[h,p,m] = sum{e}(X[h,p,e] * K[h,m,e])", "S[h,p,m] = exp(Q[h,p,m])", "Z[h,p] = sum{m}(S[h,p,m] * V[h,m])"],
        "HPME",
        {},
    ),
    (["G[m] = max{n}(A[m,n])", "Z[m,n] = exp(A[m,n] - G[m])"], "MN", {}),
    (
        ["L[g,p] = max{n}(A[g,n,p])", "R[g+1,p] = max(R[g,p], L[g,p])", "Z[g,n,p] = A[g,n,p] * R[g+1,p]"],
        "GNP",
        {"init": {"R": -np.inf}},
    ),
]
ENERGIES = ("mul", "add", "max", "exp", "sub")


@dataclass(frozen=True)
class Outcome:
    """What the search and the trial of one case found.

    Attributes:
        trees: Legal trees that were tried.
        whole: Whether they were all.
        searched, tried: The objective: best of the search (groups or Einsum by Einsum), best of the trees.
        gap: Of the search.
    """

    trees: int
    whole: bool
    searched: float
    tried: float
    gap: float
    result: TreeResult | None
    cascade: Cascade
    machine: Architecture

    @property
    def wrong(self) -> str:
        """What contradicts the search; empty: nothing."""
        if self.searched > self.tried * (1 + 1e-9) and self.gap < 1e-9:
            return f"optimal says {self.searched}, a tree has {self.tried}"
        if self.searched * (1 - self.gap) > self.tried * (1 + 1e-9):
            return f"the bound is {self.searched * (1 - self.gap)}, a tree has {self.tried}"
        if (
            self.whole
            and self.result is not None
            and self.result.proof == "optimal"
            and self.searched < self.tried * (1 - 1e-9)
        ):
            return f"the search has {self.searched}, all trees at least {self.tried}"
        return ""


def draw(generator: np.random.Generator, registers: bool) -> tuple[Cascade, Architecture]:
    """A cascade and a machine."""
    lines, ranks, parts = CASCADES[int(generator.integers(len(CASCADES)))]
    sizes = {rank: int(generator.choice([1, 2, 2, 3, 4])) for rank in ranks}
    cascade = Cascade("tiny", sizes, tuple(Einsum.parse(line) for line in lines), **parts)

    def memory(name: str, words: int | None) -> Memory:
        prices = generator.choice([0.0, 1.0, 2.0, 5.0, 20.0], 2)
        capacity = {} if words is None else {"capacity": Amount(Fraction(16 * words))}
        rate = {"bandwidth": Amount(Fraction(16 * int(generator.integers(1, 5))))} if generator.random() < 0.5 else {}
        return Memory(name=name, read_energy_pj=float(prices[0]), write_energy_pj=float(prices[1]), **capacity, **rate)

    def unit(number: int) -> tuple[Any, ...]:
        levels: list[Any] = []
        if generator.random() < 0.7:
            axes = {"X": int(generator.integers(1, 4))} | ({"Y": 2} if generator.random() < 0.3 else {})
            share = {"multicast": bool(generator.random() < 0.8), "reduce": bool(generator.random() < 0.8)}
            levels.append(
                Fanout(name=f"F{number}", axes=axes, link_energy_pj=float(generator.choice([0, 0, 0.5])), **share)
            )
        if registers and generator.random() < 0.8:
            words = int(generator.integers(1, 5))
            inner = memory(f"R{number}", words)
            levels.append(
                Memory(
                    name=inner.name,
                    capacity=inner.capacity,
                    read_energy_pj=inner.read_energy_pj / 10,
                    write_energy_pj=inner.write_energy_pj / 10,
                )
            )
        cycles = {"exp": int(generator.integers(1, 4))}
        levels.append(Compute(name=f"C{number}", energy_pj=dict.fromkeys(ENERGIES, float(number)), cycles=cycles))
        return tuple(levels)

    head = (memory("O", None), memory("B", int(generator.integers(4, 40))))
    units = [unit(1)] if generator.random() < 0.6 else [unit(1), unit(2)]
    levels = (*head, *units[0]) if len(units) == 1 else (*head, Branches(tuple(units)))
    return cascade, Architecture(name="tiny", clock_hz=1e9, levels=levels)


def outcome(seed: int, objective: str, registers: bool, most: int) -> Outcome | None:
    """One case; None where the search knows no group."""
    generator = np.random.default_rng(seed)
    cascade, machine = draw(generator, registers)
    flow = dataflow(cascade)
    mapper = Mapper(machine, objective, perfect=True, reuse=False)
    try:
        alone = {e.name: mapper.map(e).results for e in flow.einsums.values()}
    except MappingError:
        return None
    found = map_cascade(cascade, machine, objective, lambda e: alone[e.name])
    split = sum(_value(results[0], objective) for results in alone.values())
    best = min([split, *(_value(result, objective) for result in found)])
    result = found[0] if found and _value(found[0], objective) <= split else None
    trees, tried, whole = 0, split, True
    names = list(flow.einsums)

    def build(pick: Any) -> Any:
        return tree(flow, machine, names, pick)

    listed = list(every(build, most + 1))
    if len(listed) > most:
        whole, listed = False, list(some(build, generator, most))
    for nodes in listed:
        try:
            fused = evaluate_tree(cascade, machine, nodes)
        except MappingError:
            continue
        trees += 1
        tried = min(tried, _value(TreeResult(nodes, fused), objective))
    return Outcome(
        trees, whole and len(names) == 2, best, tried, result.gap if result else _gap(found), result, cascade, machine
    )


def _gap(found: tuple[TreeResult, ...]) -> float:
    """Of a search whose best is not fused: what its groups may still hold."""
    return found[0].gap if found else 0.0


def _value(result: Any, objective: str) -> float:
    return float(result.energy_pj if objective == "energy" else result.cycles)
