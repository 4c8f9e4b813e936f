"""What pricing from sets of counts costs, and whether it says what fresh searches find: ``python bench/repricing.py``.

For each case one set is made, then `MACHINES` machines with random energies and bandwidths are priced from it, for
every objective: energy and cycles are held to a fresh search of the same machine. Microseconds are CPU time of one
answer (the best row and its costs), with the prices of the machine prepared before or not. ``--limit`` bounds the
effort of making a set: where that is not enough, the row says so.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import zlib
from dataclasses import replace
from typing import Any

from machine import machine
from mapper import CONV, CONV_WS, WS, gemm

import einloom
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Compute, Memory
from einloom.mapper import OBJECTIVES, routes
from einloom.mapper.found import Objective
from einloom.mapper.labels.counted import count_front
from einloom.mapper.sets import CountSet, to_data
from einloom.workloads.sized import SizedEinsum

MACHINES = 1000
LIMIT = 20_000_000
CLOSE = 1e-9

CASES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("GEMM 1024^3 -ws", gemm(1024, 1024, 1024, WS), {}),
    ("conv 3x3 K128 C128 28x28 -ws", CONV, CONV_WS),
    ("GEMM 1024^3", gemm(1024, 1024, 1024), {}),
    ("conv 3x3 K128 C128 28x28", CONV, {}),
)


def repriced(architecture: Architecture, draw: random.Random) -> Architecture:
    """The same machine with energies of 0.01 to 100 pJ and rates of 1/4 to 2048 bits a cycle."""

    def rate(amount: Amount) -> Amount:
        return amount if amount == UNLIMITED else Amount(2 ** draw.uniform(-2, 11), amount.in_words)

    levels: list[Any] = []
    for level in architecture.levels:
        if isinstance(level, Memory):
            read, write = (10 ** draw.uniform(-2, 2) for _ in range(2))
            level = replace(  # noqa: PLW2901
                level, read_energy_pj=read, write_energy_pj=write, bandwidth=rate(level.bandwidth)
            )
        elif isinstance(level, Compute):
            energies = {operator: 10 ** draw.uniform(-2, 2) for operator in level.energy_pj}
            level = replace(level, energy_pj=energies)  # noqa: PLW2901
        levels.append(level)
    return replace(architecture, levels=tuple(levels))


class Case:
    """One Einsum on one machine, and its set of counts."""

    def __init__(self, design: dict[str, Any], changes: dict[str, Any]) -> None:
        loaded = einloom.load(design, set=changes)
        ((_, _, einsum),) = loaded.einsums()
        self.einsum: SizedEinsum = einsum
        self.architecture: Architecture = loaded.architecture
        self.rules = self.architecture.rules_for(einsum)

    def build(self, limit: int) -> tuple[CountSet | None, float]:
        """The set and the seconds that it takes; None past ``limit`` labels."""
        start = time.perf_counter()
        path = self.architecture.paths()[0]
        counted = count_front(self.architecture, path, self.einsum, self.rules, limit)
        seconds = time.perf_counter() - start
        return (CountSet.of(counted, self.einsum, 0) if counted else None), seconds

    def fresh(self, architecture: Architecture, objective: Objective) -> list[tuple[float, float]]:
        """Energy and cycles of what a search finds."""
        answered = routes.answer(architecture, architecture.paths()[0], self.einsum, self.rules, objective, True, None)
        return [(point.energy_pj, point.cycles) for point in answered.found.front]

    def compare(self, counts: CountSet, objective: Objective, machines: int) -> tuple[float, float, float, int]:
        """Microseconds of an answer, prices prepared or not; milliseconds of a search; answers that differ."""
        draw = random.Random(0)
        priced = [repriced(self.architecture, draw) for _ in range(machines)]
        paths = [architecture.paths()[0] for architecture in priced]
        t0 = time.process_time()
        prices = [counts.prices(*each, self.einsum) for each in zip(priced, paths, strict=True)]
        t1 = time.process_time()
        best = [counts.best(each, objective) for each in prices]
        t2 = time.process_time()
        found = [self.fresh(architecture, objective) for architecture in priced]
        t3 = time.process_time()
        differ = sum(
            not alike([(energy, cycles) for _, energy, cycles in mine], theirs)
            for mine, theirs in zip(best, found, strict=True)
        )
        return 1e6 * (t2 - t1) / machines, 1e6 * (t2 - t0) / machines, 1e3 * (t3 - t2) / machines, differ


def alike(mine: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> bool:
    """Whether two fronts have the same points."""
    return len(mine) == len(theirs) and all(
        abs(a - b) <= CLOSE * abs(b) for point, other in zip(mine, theirs, strict=True)
        for a, b in zip(point, other, strict=True)
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--machines", type=int, default=MACHINES)
    parser.add_argument("--limit", type=int, default=LIMIT, help="labels that making a set may take")
    asked = parser.parse_args()
    print(machine())
    for name, design, changes in CASES:
        if asked.only in name:
            show(name, Case(design, changes), asked.machines, asked.limit)


def show(name: str, case: Case, machines: int, limit: int) -> None:
    case.build(10_000)  # compiled kernels are warm
    counts, seconds = case.build(limit)
    if counts is None:
        print(f"{name}: no set within {limit:,} labels ({seconds:.1f} s)", flush=True)
        return
    packed = len(zlib.compress(json.dumps(to_data(counts)).encode(), 1))
    print(f"{name}: {len(counts.nests)} nests, {seconds:.2f} s, {counts.nbytes:,} B of arrays, {packed:,} B as a file")
    for objective in OBJECTIVES:
        prepared, whole, search_ms, differ = case.compare(counts, objective, machines)  # type: ignore[arg-type]
        print(
            f"  {objective:8} {prepared:6.1f} us prepared, {whole:6.1f} us with prices; a search {search_ms:7.2f} ms; "
            f"{machines - differ} of {machines} equal", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
