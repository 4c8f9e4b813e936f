"""What a study costs beside its evaluations: milliseconds a trial, by sampler and by number of workers.

Run with ``python bench/explore.py [trials]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from einloom.search.metrics import metric
from einloom.search.objectives import Objective
from einloom.search.plan import Plan, SamplerChoice
from einloom.search.space import Finite, Space, powers_of_2
from einloom.search.study import explore, load_study


def build(point: Mapping[str, object]) -> dict[str, float]:
    """A design that costs nothing to evaluate."""
    rows, cols = int(str(point["architecture.rows"])), int(str(point["architecture.cols"]))
    return {"latency_s": 1 / (rows * cols), "energy_pj": 1e6 * (rows + cols), "area_um2": 1.0 * rows * cols}


def plan(sampler: str, trials: int) -> Plan:
    """Two dimensions, a million points, three objectives."""
    return Plan(
        name="bench",
        design="none",
        space=Space((
            Finite("architecture.rows", range(1, 1001), "integers"),
            Finite("architecture.cols", range(1, 1001), "integers"),
            Finite("architecture.buffer", powers_of_2(1, 1024), "steps", "KiB"),
        )),
        objectives=tuple(Objective(metric(name), "min") for name in ("latency_s", "energy_j", "area_mm2")),
        sampler=SamplerChoice(sampler),
        trials=trials,
    )  # fmt: skip


def main() -> None:
    """Print a line for each sampler."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{'sampler':8} {'workers':>7} {'ms/trial':>9} {'read back ms':>13}")
    for sampler in ("grid", "random", "qmc", "nsga2", "nsga3", "tpe"):
        for workers in (1, 2):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place) / "bench"
                start = time.perf_counter()
                explore(plan(sampler, trials), build, folder=folder, workers=workers, progress=False)
                spent = time.perf_counter() - start
                start = time.perf_counter()
                load_study(folder)
                read = time.perf_counter() - start
            print(f"{sampler:8} {workers:7} {1e3 * spent / trials:9.2f} {1e3 * read:13.1f}")


if __name__ == "__main__":
    main()
