"""What the mapper costs, and whether it finds the known optima: ``python bench/mapper.py [--only TEXT] [--markdown]``.

Each row runs in a fresh process. Imports and compiled kernels are warm (the same Einsum with extents of at most
`WARM_EXTENT` is mapped first); caches of results are cold and the folder for caches is new. Seconds are process CPU;
memory is the peak resident set of that process, and in brackets how far that is above the peak after importing. A row
passes when its optimum is the known one or better, proven (a clipped row may state a gap, which is over nests that
product counts do not price exactly), in the time and within 1 GiB. A second section repeats the hard rows under a
deadline and holds the gap that they state to the known optimum.

Machines: peer16 is ``arch/peer16.yaml``; -ws lets X carry one rank, Y another, and registers hold the weights alone.
tpu_like is ``arch/tpu_like.yaml``, which is wider than the machine on record (rows carry input channels only): its rows
may carry the taps of a filter as well.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from machine import machine

import einloom
from einloom.mapper import Mapper
from einloom.mapper.cache import user_caches
from einloom.mapper.found import Objective
from einloom.model.result import EinsumResult, Evaluation
from einloom.workloads.sized import SizedEinsum

WARM_EXTENT = 4
KERNELS = user_caches()
MOST_MIB = 1024
MOST_ADDRESSES = 12 * 2**30
"""Address space of a row, bytes: a search that runs away is a missed row, not a dead machine."""

OVERRUN = 1.2
"""A deadline is honoured within 20 %."""


@dataclass(frozen=True)
class Known:
    """A known optimum as printed: energy in mJ (its decimals are its precision), cycles where they were given."""

    energy_mj: str
    cycles: int | None = None

    @property
    def unit(self) -> float:
        """One in the last decimal."""
        return 10.0 ** -len(self.energy_mj.partition(".")[2])

    def __str__(self) -> str:
        return self.energy_mj + (f" / {self.cycles:,}" if self.cycles else "")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        case: What is mapped, for what, over which bounds.
        design: Plain data of `einloom.load`.
        changes: Its ``set=``.
        at_most_s: CPU seconds to stay below; None where only a deadline is held.
        known: The optimum, or all points of the front; empty where nobody proved one.
        peers: What other mappers took, on this class of machine.
        network: Map the whole design through `Design.map`, equal layers once.
    """

    case: str
    design: dict[str, Any]
    at_most_s: float | None = None
    known: tuple[Known, ...] = ()
    objective: Objective = "energy"
    perfect: bool = True
    peers: str = "-"
    changes: dict[str, Any] = field(default_factory=dict)
    network: bool = False
    deadline_s: float | None = None


@dataclass(frozen=True)
class Point:
    """One mapping that was found."""

    energy_mj: float
    cycles: float
    proof: str | None
    gap: float
    mapping: dict[str, list[str]]


@dataclass(frozen=True)
class Outcome:
    """What one fresh process measured."""

    points: tuple[Point, ...]
    cpu_s: float
    wall_s: float
    peak_mib: float
    added_mib: float


# -- the rows


def einsum(line: str, **ranks: int) -> dict[str, Any]:
    """A workload of one Einsum with operands of 8 bits."""
    return {"name": "bench", "ranks": ranks, "bits": {"default": 8}, "cascade": [line]}


def gemm(m: int, n: int, k: int, machine_file: str = "arch/peer16.yaml") -> dict[str, Any]:
    return {
        "version": 1,
        "workload": einsum("Z[m,n] = sum{k}(A[m,k] * B[k,n])", M=m, N=n, K=k),
        "architecture": machine_file,
    }


CONV_LINE = "O[k,p,q] = sum{c,r,s}(I[c,p+r,q+s] * F[k,c,r,s])"
CONV = {
    "version": 1,
    "workload": einsum(CONV_LINE, K=128, C=128, P=28, Q=28, R=3, S=3),
    "architecture": "arch/peer16.yaml",
}
CONV_WS = {
    "architecture.levels.PE.only": {"X": ["k"], "Y": ["c"]},
    "architecture.levels.Reg.holds": ["F"],
}
SCORES = {
    "version": 1,
    "workload": einsum("Z[b,h,m,n] = sum{k}(A[b,h,m,k] * B[b,h,k,n])", B=64, H=12, M=1024, N=1024, K=64),
    "architecture": "arch/peer16.yaml",
}
RESNET = {"version": 1, "workload": "workloads/resnet18.yaml", "architecture": "arch/tpu_like.yaml"}
WS = "arch/peer16_ws.yaml"

GEMM_1024 = (Known("1.03704", 4_194_304),)
CONV_BEST = Known("0.0745982", 602_112)
CONV_FAST = Known("0.0781986", 451_584)

ROWS = (
    Row("GEMM 1024^3, energy", gemm(1024, 1024, 1024), 0.3, GEMM_1024, peers="AccelForge 28.3 s"),
    Row("GEMM 4096^3, energy", gemm(4096, 4096, 4096), 0.4, (Known("63.1494", 268_435_456),),
        peers="AccelForge 32.4 s; ZigZag 2.2 s not optimal"),
    Row("GEMM 1024^3, EDP", gemm(1024, 1024, 1024), 0.3, GEMM_1024, "edp", peers="AccelForge 48 s"),
    Row("GEMM 1024^3, front", gemm(1024, 1024, 1024), 0.4, GEMM_1024, "pareto"),
    Row("GEMM 1000x768x3072, energy", gemm(1000, 768, 3072), 1.5, (Known("2.13109"),)),
    Row("batched QK^T 64x12x1024x1024x64, energy", SCORES, 0.1, (Known("79.6700"),)),
    Row("GEMM 1024^3 -ws, energy", gemm(1024, 1024, 1024, WS), 0.02, (Known("1.33756"),), peers="AccelForge 1.4 s"),
    Row("GEMM 4096^3 -ws, energy", gemm(4096, 4096, 4096, WS), 0.02, (Known("82.3828"),), peers="AccelForge 1.4 s"),
    Row("conv 3x3 K128 C128 28x28 -ws, energy", CONV, 0.05, (Known("0.101511", 451_584),),
        peers="AccelForge 52.4 s", changes=CONV_WS),
    Row("conv 3x3 K128 C128 28x28, energy", CONV, 2.0, (CONV_BEST,), peers="AccelForge: none in 282 s"),
    Row("conv 3x3 K128 C128 28x28, EDP", CONV, 4.0, (CONV_FAST,), "edp"),
    Row("conv 3x3 K128 C128 28x28, front", CONV, 4.0, (CONV_FAST, CONV_BEST), "pareto"),
    Row("GEMM 1021^3 -ws clipped, energy", gemm(1021, 1021, 1021, WS), 0.2, (Known("1.19318", 4_182_016),),
        perfect=False, peers="AccelForge averages: unreachable"),
    Row("GEMM 1021^3 clipped, energy", gemm(1021, 1021, 1021), 1.0, (Known("1.0032"),),
        perfect=False, peers="AccelForge perfect: 70.8 mJ"),
    Row("GEMM 197x768x3072 clipped, energy", gemm(197, 768, 3072), 0.5, (Known("0.45049"),), perfect=False),
    Row("GEMM 4095x4097x127 clipped, energy", gemm(4095, 4097, 127), 0.5, (Known("2.1314"),), perfect=False),
    Row("ResNet-18, all layers, tpu_like clipped, energy", RESNET, 1.0, peers="ZigZag 54 s",
        perfect=False, network=True),
    Row("ResNet-18, all layers, tpu_like, energy", RESNET, 1.0, peers="ZigZag 54 s", network=True),
)  # fmt: skip

CLIPPED_CONV = {
    "version": 1,
    "workload": einsum(CONV_LINE, K=127, C=131, P=29, Q=31, R=3, S=3),
    "architecture": "arch/peer16.yaml",
}
HARD = (
    *(row for row in ROWS if not row.network and (row.at_most_s or 0) >= 1),
    Row("conv 3x3 K127 C131 29x31 clipped, energy", CLIPPED_CONV, perfect=False),
)
"""Rows for the deadline: those that may take a second or more, and one that nobody has proven."""


# -- measuring, in the fresh process


def peak_mib() -> float:
    """Peak resident set of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(row: Row) -> Outcome:
    """Map the row once, warm and with cold caches."""
    imported = peak_mib()
    design = einloom.load(row.design, set=row.changes)
    einsums = [sized for _, _, sized in design.einsums()]

    def mapper(reuse: bool) -> Mapper:
        return Mapper(design.architecture, row.objective, row.perfect, row.deadline_s, reuse)

    for sized in einsums:
        mapper(reuse=True).map(
            replace(sized, extents={var: min(extent, WARM_EXTENT) for var, extent in sized.extents.items()})
        )
    wall, cpu = time.perf_counter(), time.process_time()
    points = whole(design, row) if row.network else single(mapper(reuse=False), einsums[0])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Outcome(points, cpu, wall, peak_mib(), peak_mib() - imported)


def single(mapper: Mapper, sized: SizedEinsum) -> tuple[Point, ...]:
    return tuple(point(result, {result.name: list(result.mapping)}) for result in mapper.map(sized).results)


def whole(design: einloom.Design, row: Row) -> tuple[Point, ...]:
    evaluation = design.map(row.objective, "perfect" if row.perfect else "clipped", row.deadline_s)
    assert isinstance(evaluation, Evaluation)
    return (point(evaluation, {key: list(result.mapping) for key, result in evaluation.einsums.items()}),)


def point(result: EinsumResult | Evaluation, mapping: dict[str, list[str]]) -> Point:
    return Point(result.energy_pj / 1e9, float(result.cycles), result.proof, result.gap, mapping)


def child(row: Row, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    sender.send(measure(row))


def in_fresh_process(row: Row, limit_s: float) -> Outcome | str:
    """What a new process measured, or why it did not."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(row, sender))
    with tempfile.TemporaryDirectory() as place:
        os.environ.setdefault("NUMBA_CACHE_DIR", str(KERNELS))  # compiled kernels are warm, answers are not
        os.environ["XDG_CACHE_HOME"] = place
        process.start()
        sender.close()
        try:
            return receiver.recv() if receiver.poll(limit_s) else f"no answer in {limit_s:.0f} s"
        except EOFError:
            process.join()
            return f"crashed, exit code {process.exitcode}"
        finally:
            process.kill()
            process.join()


# -- judging


def leads(objective: str, found: Point, known: Known) -> bool:
    """Whether a found point is at least as good as a known one."""
    energy = float(known.energy_mj)
    cycles = known.cycles or float("inf")
    if objective == "edp":
        return found.energy_mj * found.cycles <= (energy + known.unit) * cycles
    no_slower = found.energy_mj <= energy + known.unit and found.cycles <= cycles
    return no_slower or (objective == "energy" and found.energy_mj < energy - known.unit)


def equals(found: Point, known: Known) -> bool:
    return abs(found.energy_mj - float(known.energy_mj)) <= known.unit and known.cycles in (None, found.cycles)


def optimum(row: Row, outcome: Outcome) -> str:
    """``equal``, ``beaten`` or ``worse`` than what is known; ``-`` where nothing is."""
    if not row.known:
        return "-"
    if not all(any(leads(row.objective, found, known) for found in outcome.points) for known in row.known):
        return "worse"
    same = len(outcome.points) == len(row.known) and all(map(equals, outcome.points, row.known))
    return "equal" if same else "beaten"


def verdict(row: Row, outcome: Outcome | str) -> str:
    """``pass``, or what was missed."""
    if isinstance(outcome, str):
        return "miss: " + outcome
    against = optimum(row, outcome)
    proven = all(p.proof == "optimal" or (not row.perfect and p.proof == "gap") for p in outcome.points)
    missed = [
        name
        for name, held in {
            "optimum": against != "worse",
            "proof": proven,
            "time": row.at_most_s is None or outcome.cpu_s <= row.at_most_s,
            "memory": outcome.peak_mib < MOST_MIB,
        }.items()
        if not held
    ]
    return ("miss: " + ", ".join(missed) if missed else "pass") + (", beaten" if against == "beaten" else "")


def gap_holds(row: Row, outcome: Outcome) -> str:
    """Whether the known optimum lies within the gap of what was found by the deadline."""
    if not row.known:
        return "unknown"
    if row.objective == "pareto":
        return "-"
    found, known = outcome.points[0], row.known[0]
    score, best = found.energy_mj, float(known.energy_mj) + known.unit
    if row.objective == "edp":
        score, best = score * found.cycles, best * (known.cycles or 1)
    return "yes" if best >= (1 - found.gap) * score else "NO"


def deadline_verdict(row: Row, outcome: Outcome | str) -> str:
    """``pass`` where the answer came in time and its gap is true."""
    if isinstance(outcome, str):
        return "miss: " + outcome
    late = row.deadline_s is not None and outcome.wall_s > OVERRUN * row.deadline_s
    missed = ["deadline"] * late + ["gap"] * (gap_holds(row, outcome) == "NO")
    return "miss: " + ", ".join(missed) if missed else "pass"


# -- printing


def cells(row: Row, outcome: Outcome | str) -> list[str]:
    """One line of the table of optima."""
    given = [row.case, row.peers, "; ".join(map(str, row.known)) or "-"]
    target = f"{row.at_most_s:g}"
    if isinstance(outcome, str):
        return [*given, "-", "-", "-", target, "-", verdict(row, outcome)]
    memory = f"{outcome.peak_mib:.0f} (+{outcome.added_mib:.0f})"
    return [*given, values(outcome), proof(outcome), f"{outcome.cpu_s:.3f}", target, memory, verdict(row, outcome)]


def deadline_cells(row: Row, outcome: Outcome | str) -> list[str]:
    """One line of the table of deadlines."""
    known = "; ".join(map(str, row.known)) or "-"
    if isinstance(outcome, str):
        return [row.case, known, *"-----", f"{row.deadline_s:g}", deadline_verdict(row, outcome)]
    return [row.case, known, values(outcome), proof(outcome), gap_holds(row, outcome), f"{outcome.cpu_s:.2f}",
            f"{outcome.wall_s:.2f}", f"{row.deadline_s:g}", deadline_verdict(row, outcome)]  # fmt: skip


def values(outcome: Outcome) -> str:
    """Energy and cycles of the fastest points first; a long front is cut."""
    shown = [f"{p.energy_mj:.7g} / {p.cycles:,.12g}" for p in outcome.points[:3]]
    more = len(outcome.points) - len(shown)
    return "; ".join(shown) + (f"; {more} more" if more else "")


def proof(outcome: Outcome) -> str:
    worst = max(outcome.points, key=lambda p: p.gap)
    return "optimal" if all(p.proof == "optimal" for p in outcome.points) else f"gap {100 * worst.gap:.1f} %"


HEAD = ("case", "peers (record)", "known mJ / cycles", "found mJ / cycles", "proof", "CPU s", "at most",
        "peak MiB (added)", "verdict")  # fmt: skip
DEADLINE_HEAD = ("case", "known mJ / cycles", "found mJ / cycles", "proof", "gap holds", "CPU s", "wall s",
                 "deadline s", "verdict")  # fmt: skip


def table(head: Sequence[str], lines: Sequence[Sequence[str]], markdown: bool) -> str:
    """Aligned columns, or a Markdown table."""
    if markdown:
        return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in (head, *lines)
    )


def peers() -> list[str]:
    """Which peers are installed here. Their numbers in the table are those on record, whichever are."""
    found = []
    for name, package in (("AccelForge", "accelforge"), ("ZigZag", "zigzag-dse")):
        try:
            found.append(f"{name}: {importlib.metadata.version(package)} is installed, the table has the record")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name}: not installed: record")
    return found


def beaten(results: Sequence[tuple[Row, Outcome | str]]) -> list[str]:
    """The mappings that beat a known optimum, line by line."""
    lines = []
    for row, outcome in results:
        if isinstance(outcome, str) or optimum(row, outcome) != "beaten":
            continue
        for p in outcome.points:
            lines.append(f"{row.case}: beaten with {p.energy_mj:.7g} mJ, {p.cycles:,.12g} cycles")
            lines += [f"    {name}: " + " | ".join(nodes) for name, nodes in p.mapping.items()]
    return lines


def run(rows: Sequence[Row], limit_s: float) -> list[tuple[Row, Outcome | str]]:
    """Each row in turn; what is being run is named on stderr."""
    results = []
    for row in rows:
        print(f"... {row.case}", file=sys.stderr, flush=True)
        results.append((row, in_fresh_process(row, limit_s)))
    return results


def as_data(results: Sequence[tuple[Row, Outcome | str]], judge: Callable[[Row, Any], str]) -> list[dict[str, Any]]:
    return [
        {**asdict(row), "outcome": outcome if isinstance(outcome, str) else asdict(outcome),
         "verdict": judge(row, outcome)}
        for row, outcome in results
    ]  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU seconds and peak memory of the mapper, case by case.")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains TEXT, in any case")
    parser.add_argument("--deadline", type=float, default=1.0, metavar="S", help="of the second section, default 1 s")
    parser.add_argument("--limit", type=float, default=120.0, metavar="S", help="give a case up after this, 120 s")
    parser.add_argument("--section", choices=("optima", "deadline"), help="one of the two")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for and print it."""
    asked = arguments()
    chosen = [row for row in ROWS if asked.only.lower() in row.case.lower() and asked.section != "deadline"]
    hard = [
        replace(row, deadline_s=asked.deadline)
        for row in HARD
        if asked.only.lower() in row.case.lower() and asked.section != "optima"
    ]
    results, by_deadline = run(chosen, asked.limit), run(hard, asked.limit)
    where = f"{machine()}, {accelerated()}"
    if asked.json:
        print(json.dumps({"version": 1, "machine": where, "peers": peers(), "rows": as_data(results, verdict),
                          "deadline": as_data(by_deadline, deadline_verdict)}, indent=1))  # fmt: skip
        return
    print(where)
    print("; ".join(peers()))
    if results:
        print("\n" + table(HEAD, [cells(*result) for result in results], asked.markdown))
    for line in beaten(results):
        print(line)
    if by_deadline:
        print("\n" + table(DEADLINE_HEAD, [deadline_cells(*result) for result in by_deadline], asked.markdown))


def accelerated() -> str:
    """The version of numba where it is importable: kernels are compiled then."""
    try:
        return f"numba {importlib.metadata.version('numba')}"
    except importlib.metadata.PackageNotFoundError:
        return "no numba"


if __name__ == "__main__":
    main()
