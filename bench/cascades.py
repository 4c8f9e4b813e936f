"""Fusion searched: AccelForge's attention case, a GPT-3 block, FuseMax's and FLAT's cascades on their machines.

    python bench/cascades.py [--only TEXT] [--deadline SECONDS] [--json FILE]

Process CPU seconds of the search alone, kernels warm (a first run compiles them). FuseMax's and FLAT's published
figures stand beside ours: cycles as their artifact counts them, without ports of the buffer or ramp; the machines are
arch/fusemax_honest.yaml and arch/flat_honest.yaml with free ports (`free`) and, for FuseMax, with one row read and one
written a cycle (`ports`). A bound says what no mapping of the declared space goes below.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from machine import machine

import einloom as el

PEER_PJ, PEER_CPU_S = 945.816e6, 10.1  # AccelForge 1.0.467 on its attention case
MODELS = {"BERT": (12, 64), "XLM": (16, 128)}  # heads, head dimension; TrXL and T5 are 16/12 and 8/12 of BERT, exactly
LENGTHS = [2**n for n in (10, 12, 14, 16, 18, 20)]
FREE = {"architecture.levels.GLB.read_bandwidth": "inf", "architecture.levels.GLB.write_bandwidth": "inf"}


def published_cycles(machine_name: str, heads: int, e: int, length: int) -> float:
    """Attention of FuseMax and FLAT by the closed forms of the artifact's rows (batch 64, M = P), cycles."""
    tiles, columns = (length // 256) ** 2 * 64 * heads, length // 256 * 64 * heads
    if machine_name == "fusemax":
        return columns * ((2 * e + 10) * (length // 256) + e)
    return 1024.0 * tiles  # up to 64K; beyond, the artifact is bound by DRAM: see designs/fusemax/flat_long.yaml


def cases() -> Iterator[tuple[str, dict[str, Any], dict[str, Any], str, float | None]]:
    """(name, design, settings, objective, published value in the objective)."""
    peer = {"workload": "workloads/attention_softmax1.yaml", "architecture": "arch/peer16_attention.yaml"}
    yield "AccelForge attention", peer, {}, "energy", PEER_PJ
    gemms = {"workload": "workloads/two_gemms.yaml", "architecture": "arch/peer16_attention.yaml"}
    yield "two GEMMs, peer16_attention", gemms, {}, "energy", None
    yield "two GEMMs, peer16", {**gemms, "architecture": "arch/peer16.yaml"}, {}, "energy", None
    block = {"workload": "workloads/gpt3_6.7b_block.yaml", "architecture": "arch/tpu_vector.yaml"}
    yield "GPT-3 6.7B block", block, {}, "energy", None
    for name, (heads, e) in MODELS.items():
        for length in LENGTHS:
            ranks = {"H": heads, "E": e, "F": e, "P": length, "M": length}
            sizes = {f"workload.ranks.{rank}": size for rank, size in ranks.items()}
            one_pass = {"workload": "workloads/attention_1pass.yaml", "architecture": "arch/fusemax_honest.yaml"}
            known = published_cycles("fusemax", heads, e, length)
            yield f"FuseMax {name} {length >> 10}K free", one_pass, {**sizes, **FREE}, "latency", known
            if length in (2**10, 2**16, 2**20):
                yield f"FuseMax {name} {length >> 10}K ports", one_pass, sizes, "latency", known
            three = {"workload": "workloads/attention_3pass.yaml", "architecture": "arch/flat_honest.yaml"}
            known = published_cycles("flat", heads, e, length)
            folded = {**sizes, "workload.operators": {"sub": {"sub": 1}}}  # its array takes the subtraction along
            yield f"FLAT {name} {length >> 10}K free", three, folded, "latency", known


def run(
    name: str,
    design: dict[str, Any],
    settings: dict[str, Any],
    objective: str,
    known: float | None,
    deadline: float | None,
) -> dict[str, Any]:
    """One search, timed without loading."""
    loaded = el.load(design, set=settings)
    hard = "K " in name
    start = time.process_time()
    found = loaded.map(objective, "perfect", deadline_s=deadline if hard else None, reuse=False)
    spent = time.process_time() - start
    value = found.energy_pj if objective == "energy" else float(found.cycles)
    return {
        "case": name,
        "objective": objective,
        "energy_mj": found.energy_pj * 1e-9,
        "cycles": float(found.cycles),
        "proof": found.proof,
        "gap": found.gap,
        "published": known,
        "ratio": value / known if known else None,
        "bound": value * (1 - found.gap),
        "bound_by": found.bound_by,
        "fused": bool(found.streamed),
        "occupancy": {n: h.used for s in found.streamed.values() for n, h in s.occupancy.items() if n != "DRAM"},
        "cpu_s": spent,
        "mapping": found.mapping,
    }


def main() -> None:
    """Print a row for each case."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--deadline", type=float, default=40.0)
    arguments.add_argument("--json", default="")
    options = arguments.parse_args()
    print(machine())
    print(f"{'case':30} {'energy [mJ]':>13} {'cycles':>16} {'published':>14} {'ours / it':>9} {'gap':>7} {'CPU s':>7}")
    rows = []
    for case in cases():
        if options.only in case[0]:
            row = run(*case, options.deadline)
            rows.append(row)
            ratio = f"{row['ratio']:9.4f}" if row["ratio"] else " " * 9
            known = f"{row['published']:14.6g}" if row["published"] else " " * 14
            print(
                f"{row['case']:30} {row['energy_mj']:13.6g} {row['cycles']:16,.0f} {known} {ratio} {row['gap']:7.4f} "
                f"{row['cpu_s']:7.2f}",
                flush=True,
            )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
