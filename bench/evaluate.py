"""What counting costs: one mapping, a million candidates, the command line. Run with ``python bench/evaluate.py``.

Process CPU time. A peer on the same task and machine class: AccelForge 1.0.467 takes 36 ms for one fixed mapping.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from machine import machine

import einloom
from einloom.mappings import Nest, resolved
from einloom.model import counts
from einloom.model.cost import Priced
from einloom.model.evaluate import evaluate_nest
from einloom.model.structure import bounds_of, structure_of

BLOCK, MILLION = 16_384, 1_000_000


def cpu_seconds(run: Callable[[], object], repeat: int) -> float:
    """Mean process CPU time of one run, warm."""
    run()
    start = time.process_time()
    for _ in range(repeat):
        run()
    return (time.process_time() - start) / repeat


def one_mapping(changes: dict[str, object]) -> float:
    """Milliseconds to evaluate the design's mapping once more, everything loaded."""
    design = einloom.load("designs/peer16_gemm.yaml", set=changes)
    ((_, _, einsum),) = design.einsums()
    nest = design.loaded.mapping.nests["Z"]
    nest = Nest(resolved(nest.nodes, {}))
    return 1000 * cpu_seconds(lambda: evaluate_nest(einsum, design.architecture, nest), 200)


def candidates(clipped: bool) -> float:
    """CPU seconds to count and price a million candidate mappings of a GEMM: random bounds of the design's nest."""
    size = 1021 if clipped else 1024
    design = einloom.load("designs/peer16_gemm.yaml", set={f"workload.ranks.{rank}": size for rank in "MNK"})
    ((_, _, einsum),) = design.einsums()
    nodes = design.loaded.mapping.nests["Z"].nodes
    path = design.architecture.path_to("MAC")
    structure = structure_of(einsum, path, nodes)
    block = random_bounds(structure, bounds_of(nodes), np.random.default_rng(0))

    def run() -> None:
        priced = Priced(design.architecture, counts.batch_of(structure, block))
        assert priced.energy_pj.shape == priced.cycles.shape == priced.fits.shape == (BLOCK,)

    return cpu_seconds(run, 3 if clipped else 20) * MILLION / BLOCK


def random_bounds(structure: object, bounds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Powers of two moved at random between the temporal loops of each rank: products stay what they are."""
    rows = np.repeat(bounds, BLOCK, axis=0)
    temporal = [i for i, slot in enumerate(structure.slots) if not slot.fanout]
    for variable in structure.extents:
        loops = [i for i in temporal if structure.slots[i].variable == variable]
        exponent = int(np.log2(np.prod(bounds[0, loops])))
        cuts = np.sort(rng.integers(0, exponent + 1, size=(BLOCK, len(loops) - 1)), axis=1)
        ends = np.zeros((BLOCK, 1), int), np.full((BLOCK, 1), exponent)
        parts = np.diff(np.concatenate([ends[0], cuts, ends[1]], axis=1), axis=1)
        rows[:, loops] = 2**parts
    return rows


def help_seconds() -> float:
    """Wall-clock seconds of `einloom --help`, the best of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "einloom.cli", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    print(machine())
    fixed = one_mapping({})
    clipped = one_mapping({f"workload.ranks.{rank}": 1021 for rank in "MNK"})
    print(f"one fixed mapping, GEMM 1024^3         {fixed:8.3f} ms CPU   (goal: under 1 ms)")
    print(f"one fixed mapping, GEMM 1021^3 clipped {clipped:8.3f} ms CPU   ({clipped / fixed:.1f} times)")
    million = candidates(clipped=False)
    print(f"1 M candidates, GEMM 1024^3            {million:8.3f} s CPU    (goal: under 0.2 s)")
    cut = candidates(clipped=True)
    print(f"1 M candidates, GEMM 1021^3 clipped    {cut:8.3f} s CPU    ({cut / million:.1f} times)")
    print(f"einloom --help                         {help_seconds():8.3f} s wall   (goal: under 0.3 s)")


if __name__ == "__main__":
    main()
