"""Damaged figures end in a comparison or in a message: never in a traceback; what is printed stays JSON."""

from __future__ import annotations

import json
import random

import pytest
from mutations import MUTATIONS

import einloom as el

BLOCK = 25
TEXT = """version: 1
workload:
  ranks: {M: 8, N: 8, K: 8}
  bits: {default: 8}
  cascade: ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]
architecture: arch/peer16.yaml
"""
FIGURES = """published:
  source: {id: paper, title: "A Paper, 2024", url: "https://example.org"}
  cases:
    - name: square
      figures:
        - {figure: latency, value: 0.26, unit: ms, modelled: latency_s * 1e3, class: silicon, tolerance: 100 %}
        - figure: reads
          value: 17/32
          modelled: >-
            total("memories.*.tensors.*.reads")
            / (einsums.Z.cycles + max(1, 2))
          class: exact
          source: table 3
    - name: wide
      set: {workload.ranks.N: 16, architecture.levels.GLB.capacity: 128 KiB, mapping: null}
      run: map
      objective: energy
      figures:
        - {figure: slowdown, value: [3.5, 4.5], modelled: 'cycles / case("square").cycles', class: ratio,
           basis: "calibrated: rate, row 1", how_seen: figure 7}
        - {figure: power, value: 12, unit: mW, class: not_checkable, reason: leakage is not given}
"""


def complaint(seed: int, folder) -> str:
    """What is wrong with the way a case ends; empty if nothing."""
    rng = random.Random(seed)
    text = FIGURES
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = rng.choice(MUTATIONS)(text, rng)
    file = folder / "design.yaml"
    file.write_text(TEXT + text, encoding="utf-8")
    try:
        found = el.validate(file)
        json.dumps(found.to_dict(), allow_nan=False)
        problems = [*found.problems]
        try:
            el.check(file)
        except el.EinloomError as error:
            problems += error.problems
    except Exception as error:  # that there is none is what is tested
        return f"seed {seed}: {type(error).__name__}: {error}"
    unclear = [problem for problem in problems if not problem.message or not problem.file or len(str(problem)) > 3000]
    return f"seed {seed}: says {unclear[0]}" if unclear else ""


@pytest.mark.parametrize("block", [pytest.param(b, marks=() if b < 4 else pytest.mark.slow) for b in range(40)])
def test_damaged_figures_end_in_a_comparison_or_in_a_message(block, tmp_path):
    assert [said for seed in range(block * BLOCK, (block + 1) * BLOCK) if (said := complaint(seed, tmp_path))] == []
