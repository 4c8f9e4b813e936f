"""The mapper on machines that nobody designed: no crash, no illegal mapping, no number that evaluating does not give.

Machines are drawn from a seed: two to five memories in a row, fanouts at one or two places between them or above the
compute, and now and then every constraint that the notation has. Ten kinds of Einsum are mapped on each, over perfect
and over clipped bounds, by one of the objectives. A mapping exists exactly where one element of each tensor that a
memory must hold fits there, so an answer, or an error that names the memory, can be told to be right; and the nest that
holds single elements is a mapping that no proven answer may be worse than.

The file runs as a script too, with a process for each case, and says how long cases take, which overrun the deadline
and which crash: ``python tests/property/test_mapper_on_random_machines.py --machines 100 --deadline 2``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import random
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import pytest

from einloom.arch.tree import UNLIMITED, Amount, Architecture, AxisRule, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mapper import OBJECTIVES, Mapper
from einloom.mappings import Bind, Hold, Loop, Nest, parse_node
from einloom.model.evaluate import evaluate_nest
from einloom.model.result import EinsumResult
from einloom.model.structure import applies
from einloom.workloads.cascade import Cascade
from einloom.workloads.sized import Access, SizedEinsum

CLOSE = 1e-9

SIZES = (4, 5, 6, 7, 8, 12, 13, 16, 23, 24, 31, 32, 36, 47, 48, 61, 64)
EINSUMS = {
    "gemm": ("Z[m,n] = sum{k}(A[m,k] * B[k,n])", {"M": SIZES, "N": SIZES, "K": SIZES}),
    "batched": ("Z[h,m,n] = sum{k}(A[h,m,k] * B[h,k,n])", {"H": SIZES[:6], "M": SIZES, "N": SIZES[:10], "K": SIZES}),
    "mttkrp": (
        "Z[i,j] = sum{k,l}(A[i,k,l] * B[k,j] * C[l,j])",
        {"I": SIZES[:10], "J": SIZES[:10], "K": SIZES[:10], "L": SIZES[:10]},
    ),
    "depthwise": (
        "O[c,p,q] = sum{r,s}(I[c,p+r,q+s] * W[c,r,s])",
        {"C": SIZES, "P": SIZES[:11], "Q": SIZES[:11], "R": (3, 5), "S": (3,)},
    ),
    "grouped": (
        "O[g,k,p,q] = sum{c,r,s}(I[g,c,p+r,q+s] * W[g,k,c,r,s])",
        {"G": SIZES[:5], "K": SIZES[:7], "C": SIZES[:7], "P": SIZES[:7], "Q": SIZES[:7], "R": (3,), "S": (3,)},
    ),
    "strided": (
        "O[k,p,q] = sum{c,r,s}(I[c,2*p+r,2*q+s] * W[k,c,r,s])",
        {"K": SIZES, "C": (3, 4, 8), "P": SIZES[:9], "Q": SIZES[:9], "R": (3, 5), "S": (1, 3)},
    ),
    "outer": ("Z[m,n] = A[m] * B[n]", {"M": SIZES, "N": SIZES}),
    "elementwise": ("Z[m,n] = A[m,n] + B[m,n]", {"M": SIZES, "N": SIZES}),
    "scalar": ("Z[] = sum{m,k}(A[m,k])", {"M": SIZES, "K": SIZES}),
    "matvec": ("Z[m] = sum{k}(A[m,k] * B[k])", {"M": SIZES, "K": SIZES}),
}
SMALL = 6
"""Ranks of the quick cases are cut to this."""


# -- machines and Einsums from a seed


def some(rng: random.Random, choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(rng.sample(choices, rng.randint(1, len(choices))))


def now_and_then(rng: random.Random, once_in: int) -> bool:
    return rng.randrange(once_in) == 0


def share(rng: random.Random, usual: bool) -> bool | frozenset[str]:
    """Mostly ``usual``; now and then the opposite, or on for some roles."""
    if not now_and_then(rng, 4):
        return usual
    return rng.choice((not usual, frozenset(some(rng, ("inputs", "weights", "outputs")))))


def rate(rng: random.Random) -> Amount:
    return Amount(Fraction(rng.choice((4, 8, 20, 64, 128, 1024))))


def memory(rng: random.Random, place: int, capacity: Amount, energy: float) -> Memory:
    """One level; the outermost holds everything and is unlimited."""
    ports = rng.choice(("free", "one", "one", "two", "read"))
    limits = {}
    if place and now_and_then(rng, 3):
        kind = rng.choice(("holds", "must_hold", "may_hold"))
        limits[kind] = some(rng, ("inputs", "weights", "outputs"))
    return Memory(
        name=f"L{place}",
        capacity=capacity,
        word_bits=rng.choice((None, None, Fraction(8), Fraction(64))),
        read_energy_pj=round(energy, 3),
        write_energy_pj=round(energy * rng.choice((1, 1, 0.5, 1.7)), 3),
        bandwidth=rate(rng) if ports == "one" else UNLIMITED,
        read_bandwidth=rate(rng) if ports in ("two", "read") else UNLIMITED,
        write_bandwidth=rate(rng) if ports == "two" else UNLIMITED,
        double_buffered=share(rng, False) if place else False,
        leakage_w=1e-4 if now_and_then(rng, 6) else 0.0,
        **limits,
    )


def fanout(rng: random.Random, place: int) -> Fanout:
    """One or two axes; an axis may be kept to some rank variables or to those that two operands share."""
    axes = {axis: rng.choice((2, 3, 4, 5, 8, 12, 16)) for axis in ("X", "Y")[: rng.randint(1, 2)]}
    only = {}
    for axis in axes:
        if now_and_then(rng, 4):
            by_name = AxisRule(variables=some(rng, ("m", "n", "k", "c", "p", "r", "h")))
            by_role = AxisRule(shared_by=rng.choice((("weights", "outputs"), ("inputs", "weights"))))
            only[axis] = rng.choice((by_name, by_role))
    link = 0.05 if now_and_then(rng, 5) else 0.0
    return Fanout(
        name=f"F{place}", axes=axes, only=only, multicast=share(rng, True), reduce=share(rng, True), link_energy_pj=link
    )


def machine(seed: int) -> Architecture:
    """A machine of two to five memories in a row; capacities mostly fall and energies always do."""
    rng = random.Random(f"machine {seed}")
    count = rng.randint(2, 5)
    places = set(rng.sample(range(1, count + 1), rng.choice((1, min(2, count)))))
    bits = sorted((8 * rng.choice((3, 20, 2**6, 2**9, 2**12, 50_000, 2**17)) for _ in range(count - 1)), reverse=True)
    if now_and_then(rng, 6):
        rng.shuffle(bits)
    energy = rng.uniform(20, 200)
    levels: list[Memory | Fanout | Compute] = []
    for place in range(count):
        if place in places:
            levels.append(fanout(rng, place))
        in_words = now_and_then(rng, 4)
        capacity = Amount(Fraction(bits[place - 1] // (8 if in_words else 1)), in_words) if place else UNLIMITED
        levels.append(memory(rng, place, capacity, energy))
        energy *= rng.uniform(0.02, 0.7)
    if count in places:
        levels.append(fanout(rng, count))
    cycles = {"mac": 2} if now_and_then(rng, 6) else {}
    levels.append(Compute(name="C", energy_pj={"mul": 0.2, "add": 0.1}, cycles=cycles))
    return Architecture(name=f"machine {seed}", clock_hz=1e9, levels=tuple(levels))


def einsum(seed: int, name: str, most: int) -> SizedEinsum:
    """One of `EINSUMS` with sizes from a seed, cut to ``most``."""
    rng = random.Random(f"{name} {seed}")
    line, sizes = EINSUMS[name]
    ranks = {rank: min(most, rng.choice(choices)) for rank, choices in sizes.items()}
    bits = {"default": Fraction(8), line[0]: Fraction(rng.choice((8, 16, 32)))}
    (sized,) = Cascade.parse([line], ranks, bits=bits).sized()
    return sized


@dataclass(frozen=True)
class Case:
    """One Einsum on one machine, both from a seed; the objective turns with the seed."""

    seed: int
    name: str
    most: int = max(SIZES)

    @cached_property
    def architecture(self) -> Architecture:
        return machine(self.seed)

    @cached_property
    def einsum(self) -> SizedEinsum:
        return einsum(self.seed, self.name, self.most)

    @property
    def objective(self) -> str:
        return OBJECTIVES[(self.seed + list(EINSUMS).index(self.name)) % len(OBJECTIVES)]

    def map(self, perfect: bool, deadline_s: float) -> tuple[EinsumResult, ...]:
        """The mapper's answer; empty where it says that nothing is legal."""
        mapper = Mapper(self.architecture, self.objective, perfect, deadline_s, reuse=False)
        try:
            return mapper.map(self.einsum).results
        except MappingError as error:
            self.check_refusal(error)
            return ()

    def check_refusal(self, error: MappingError) -> None:
        """A refusal is right, and names a memory that is too small for what it must hold."""
        assert self.too_small, f"refused, but single elements fit: {error}"
        assert "no mapping of" in str(error)
        assert any(name in str(error) for name in self.too_small), f"{error} does not name {self.too_small}"

    @property
    def too_small(self) -> list[str]:
        """Memories that cannot take one element of each tensor that they must hold."""
        rules = self.architecture.rules_for(self.einsum)
        widths = {access.tensor: access.bits for access in self.einsum.accesses}
        found = []
        for level in self.architecture.memories()[1:]:
            needed = Fraction(0)
            for tensor in rules.holding(level.name).must:
                size = Fraction(1) if level.capacity.in_words else widths[tensor]
                needed += size * (2 if applies(level.double_buffered, self.einsum, tensor) else 1)
            if needed > level.capacity.value:
                found.append(level.name)
        return found

    @cached_property
    def smallest(self) -> EinsumResult:
        """The nest of single elements: all loops stand below the outermost memory."""
        outermost, *inner = self.architecture.memories()
        rules = self.architecture.rules_for(self.einsum)
        tensors = tuple(dict.fromkeys(access.tensor for access in self.einsum.accesses))
        nodes = [Hold(outermost.name, tensors), *(Loop(var, extent) for var, extent in self.einsum.extents.items())]
        for level in inner:
            held = tuple(tensor for tensor in tensors if tensor in rules.holding(level.name).must)
            nodes += [Hold(level.name, held)] if held else []
        (compute,) = self.architecture.computes()
        return evaluate_nest(self.einsum, self.architecture, Nest((*nodes, Bind(compute.name))))

    def score(self, result: EinsumResult) -> float:
        """What is minimized; of a front the energy."""
        cycles, energy = float(result.cycles), result.energy_pj
        return {"latency": cycles, "edp": energy * cycles}.get(self.objective, energy)

    def __str__(self) -> str:
        ranks = "x".join(map(str, self.einsum.extents.values()))
        levels = "".join("LFC"[(Memory, Fanout, Compute).index(type(level))] for level in self.architecture.levels)
        return f"{self.seed} {levels} {self.name} {ranks} {self.objective}"


# -- what every answer is held to


def distinct(case: Case, access: Access) -> int:
    """Elements that an access touches: of each dimension, every value that its index takes."""
    spans = case.einsum.extents
    return math.prod(
        len({sum(values) for values in itertools.product(*(range(0, c * spans[v], c) for v, c in dim))})
        for dim in access.dims
    )


def compulsory_pj(case: Case) -> float:
    """Energy that nothing avoids: all operations, each element once at the outermost memory."""
    outermost = case.architecture.memories()[0]
    (compute,) = case.architecture.computes()
    total = sum(count * compute.operator_energy_pj(op) for op, count in case.einsum.operations().items())
    for access in case.einsum.accesses:
        words = distinct(case, access) * float(access.bits / (outermost.word_bits or access.bits))
        total += words * (outermost.write_energy_pj if access.role == "output" else outermost.read_energy_pj)
    return total


def compulsory_cycles(case: Case) -> float:
    """Cycles with every instance at work all the time."""
    (compute,) = case.architecture.computes()
    busy = sum(count * compute.operator_cycles(op) for op, count in case.einsum.operations().items())
    return busy / case.architecture.instances(compute.name)


def check_answer(case: Case, results: tuple[EinsumResult, ...]) -> None:
    """Legal, evaluates to what it says, states a proof or a gap, and no better than anything can be."""
    assert bool(results) == (not case.too_small)
    for result in results:
        mapping = Nest(tuple(map(parse_node, result.mapping)), result.flatten)
        again = evaluate_nest(case.einsum, case.architecture, mapping)
        assert (again.energy_pj, again.cycles) == (result.energy_pj, result.cycles)
        assert result.proof in ("optimal", "gap")
        assert 0 <= result.gap <= 1
        assert result.proof == "gap" or result.gap == 0
        assert result.energy_pj >= compulsory_pj(case) * (1 - CLOSE)
        assert result.cycles >= compulsory_cycles(case) * (1 - CLOSE)
    if results:
        assert case.score(results[-1]) * (1 - results[-1].gap) <= case.score(case.smallest) * (1 + CLOSE)
    if case.objective == "pareto":
        points = [(result.cycles, result.energy_pj) for result in results]
        assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(points)), f"not a front: {points}"


def check_gaps(case: Case, perfect: tuple[EinsumResult, ...], clipped: tuple[EinsumResult, ...]) -> None:
    """Clipped bounds contain the perfect ones: what is proven of them holds for those too."""
    if clipped and case.objective != "pareto":
        bound = case.score(clipped[0]) * (1 - clipped[0].gap)
        assert bound <= case.score(perfect[0]) * (1 + CLOSE), "a perfect mapping is below the bound over clipped ones"


def check(case: Case, deadline_s: float) -> None:
    perfect, clipped = case.map(True, deadline_s), case.map(False, deadline_s)
    for results in (perfect, clipped):
        check_answer(case, results)
    check_gaps(case, perfect, clipped)


QUICK = (1000, 1001, 1002, 1004, 1008)
THOROUGH = range(100)


@pytest.mark.parametrize("name", EINSUMS)
def test_answers_on_random_machines_are_legal_and_what_they_say(name: str) -> None:
    for seed in QUICK:
        check(Case(seed, name, SMALL), deadline_s=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", EINSUMS)
@pytest.mark.parametrize("seed", THOROUGH)
def test_thoroughly(seed: int, name: str) -> None:
    check(Case(seed, name), deadline_s=2.0)


# -- as a script: a process apart, so that what hangs or dies is one line of the report

WARM = ("gemm", "strided")
MOST_ADDRESSES = 8 * 2**30


@dataclass(frozen=True)
class Timed:
    """One answer: its proof, the wall clock that the deadline is on, and CPU seconds."""

    case: str
    proof: str
    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:8.2f} s wall {self.cpu_s:8.2f} s CPU  {self.proof:14} {self.case}"


def timed(case: Case, perfect: bool, deadline_s: float) -> tuple[Timed, tuple[EinsumResult, ...]]:
    wall, cpu = time.perf_counter(), time.process_time()
    results = case.map(perfect, deadline_s)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    gap = max((result.gap for result in results), default=0.0)
    proven = all(result.proof == "optimal" for result in results)
    proof = ("optimal" if proven else f"gap {100 * gap:.1f} %") if results else "nothing fits"
    return Timed(f"{case} {'perfect' if perfect else 'clipped'}", proof, wall, cpu), results


def both(case: Case, deadline_s: float) -> tuple[list[Timed], str]:
    """Answers over perfect and over clipped bounds, and what failed, with the last places that it passed."""
    answers = []
    try:
        found = []
        for perfect in (True, False):
            answer, results = timed(case, perfect, deadline_s)
            answers.append(answer)
            found.append(results)
            check_answer(case, results)
        check_gaps(case, *found)
    except Exception as error:  # the report names whatever a case ends in
        places = [f"{Path(at.filename).name}:{at.lineno}" for at in traceback.extract_tb(error.__traceback__)[-4:]]
        return answers, f"{type(error).__name__}: {error}".partition("\n")[0] + " at " + " > ".join(places)
    return answers, ""


def worker(pipe, deadline_s: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    for name in WARM:
        both(Case(QUICK[0], name, 3), deadline_s)
    pipe.send("warm")
    while True:
        pipe.send(both(pipe.recv(), deadline_s))


class Workers:
    """One worker at a time, replaced when it dies or does not answer within the limit."""

    def __init__(self, deadline_s: float, limit_s: float) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._deadline_s, self._limit_s = deadline_s, limit_s
        self._start()

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=worker, args=(other, self._deadline_s), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()

    def run(self, case: Case) -> tuple[list[Timed], str]:
        self._pipe.send(case)
        try:
            if self._pipe.poll(self._limit_s):
                return self._pipe.recv()
            ended = f"no answer in {self._limit_s:g} s"
        except EOFError:
            self._process.join()
            ended = f"the process died, exit code {self._process.exitcode}"
        self._process.kill()
        self._process.join()
        self._start()
        return [], ended


def report(answers: list[Timed], failures: int, deadline_s: float) -> Iterator[str]:
    """Counts, quantiles of CPU seconds, what overran, what was slowest."""
    proven = sum(answer.proof == "optimal" for answer in answers)
    refused = sum(answer.proof == "nothing fits" for answer in answers)
    gaps = len(answers) - proven - refused
    yield f"{len(answers)} answers: {proven} proven, {gaps} with a gap, {refused} nothing fits"
    cpu = sorted(answer.cpu_s for answer in answers) or [0.0]
    quantiles = {q: cpu[min(len(cpu) - 1, len(cpu) * q // 100)] for q in (50, 90, 99, 100)}
    yield "CPU s: " + ", ".join(f"{q} %: {value:.3f}" for q, value in quantiles.items()) + f", in all {sum(cpu):.0f}"
    slowest = sorted(answers, key=lambda answer: -answer.wall_s)
    late = [answer for answer in slowest if answer.wall_s > 1.2 * deadline_s]
    yield f"{len(late)} overran the deadline of {deadline_s:g} s by more than 20 %"
    yield from map(str, slowest[: max(10, min(len(late), 40))])
    yield f"{failures} cases failed"


def main() -> None:
    parser = argparse.ArgumentParser(description="Map ten kinds of Einsum on random machines, perfect and clipped.")
    parser.add_argument("--machines", type=int, default=len(THOROUGH), metavar="N", help="how many")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="seed of the first")
    parser.add_argument("--einsum", choices=EINSUMS, help="one kind only")
    parser.add_argument("--most", type=int, default=max(SIZES), metavar="SIZE", help="ranks are cut to this")
    parser.add_argument("--deadline", type=float, default=2.0, metavar="S")
    parser.add_argument("--limit", type=float, default=60.0, metavar="S", help="for both answers of a case")
    parser.add_argument("--all", action="store_true", help="a line for each answer")
    asked = parser.parse_args()
    workers = Workers(asked.deadline, asked.limit)
    answers: list[Timed] = []
    failures = 0
    for seed in range(asked.first, asked.first + asked.machines):
        for name in [asked.einsum] if asked.einsum else EINSUMS:
            case = Case(seed, name, asked.most)
            new, failure = workers.run(case)
            answers += new
            failures += bool(failure)
            for answer in new if asked.all else ():
                print(answer, flush=True)
            if failure:
                print(f"FAILED {case}: {failure}", flush=True)
    print("\n".join(report(answers, failures, asked.deadline)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
