"""Fusion searched: AccelForge's attention case, chained products, a GPT-3 block, and layers of transformers.

    python bench/cascades.py [--only TEXT] [--deadline SECONDS] [--json FILE]

Process CPU seconds of the whole `map`, kernels warm (a first run compiles them). Beside the answer stand the energy of
the Einsums one by one and the peer's. FuseMax's and FLAT's points: `tests/golden/fusemax/searched.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import machine

import einloom as el

PEER_PJ, PEER_CPU_S = 945.816e6, 10.1  # AccelForge 1.0.467 on its attention case
LAYERS = ("layernorm", "rmsnorm", "gated_mlp", "encoder_layer", "decoder_layer_prefill", "decoder_layer_decode",
          "llama_block_prefill", "llama_block_decode")  # fmt: skip


def cases() -> Iterator[tuple[str, dict[str, Any], float | None]]:
    """(name, design, published energy in pJ)."""
    peer = {"workload": "workloads/attention_softmax1.yaml", "architecture": "arch/peer16_attention.yaml"}
    yield "AccelForge attention", peer, PEER_PJ
    gemms = {"workload": "workloads/two_gemms.yaml", "architecture": "arch/peer16_attention.yaml"}
    yield "two GEMMs, peer16_attention", gemms, None
    yield "two GEMMs, peer16", {**gemms, "architecture": "arch/peer16.yaml"}, None
    for name in ("gpt3_6.7b_block", *LAYERS):
        yield name, {"workload": f"workloads/{name}.yaml", "architecture": "arch/tpu_vector.yaml"}, None


def run(name: str, design: dict[str, Any], known: float | None, deadline: float | None) -> dict[str, Any]:
    """One search for the least energy, timed without loading."""
    loaded = el.load(design)
    apart = loaded.map("energy", "perfect", fusion=False)
    start = time.process_time()
    found = loaded.map("energy", "perfect", deadline_s=deadline, reuse=False)
    spent = time.process_time() - start
    assert isinstance(found, el.Evaluation)
    assert isinstance(apart, el.Evaluation)
    return {
        "case": name,
        "energy_mj": found.energy_pj * 1e-9,
        "apart_mj": apart.energy_pj * 1e-9,
        "cycles": float(found.cycles),
        "apart_cycles": float(apart.cycles),
        "published": known,
        "proof": found.proof,
        "gap": found.gap,
        "bound_by": found.bound_by,
        "fused": bool(found.streamed),
        "cpu_s": spent,
        "mapping": found.mapping,
    }


def main() -> None:
    """Print a row for each case."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="cases whose name contains this")
    arguments.add_argument("--deadline", type=float, help="seconds for a case; none by default")
    arguments.add_argument("--json", default="", help="write the rows, with their mappings")
    options = arguments.parse_args()
    print(machine())
    head = f"{'case':28} {'energy [mJ]':>11} {'apart':>11} {'cycles':>15} {'apart':>15} {'peer':>9}"
    print(head, f"{'gap':>7} {'CPU s':>7}")
    rows = []
    for name, design, known in cases():
        if options.only in name:
            row = run(name, design, known, options.deadline)
            rows.append(row)
            peer = f"{known * 1e-9:9.6g}" if known else " " * 9
            print(
                f"{name:28} {row['energy_mj']:11.6g} {row['apart_mj']:11.6g} {row['cycles']:15,.0f} "
                f"{row['apart_cycles']:15,.0f} {peer} {row['gap']:7.4f} {row['cpu_s']:7.2f}",
                flush=True,
            )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
