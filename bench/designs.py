"""Published designs: what one costs to evaluate, and the whole of `einloom validate`. Run ``python bench/designs.py``.

Process CPU time of a design that is loaded anew from files that are known, as in a study, and then evaluated (mapped
for latency where it leaves choices open); the best of five. `validate` runs in a process of its own, once with the
mapper's cache as it is and once with an empty one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from machine import machine

import einloom
from einloom.api import Design
from einloom.catalogue import entries
from einloom.spec.design import load_design

GOAL_MS, GOAL_VALIDATE_S = 10.0, 60.0


def run(design: Design) -> str:
    """How the design was costed."""
    try:
        design.evaluate()
    except einloom.MappingError:
        if design.architecture.engine is None:
            return ""  # a search of loop nests is timed by bench/mapper.py
        design.map("latency")
        return "map"
    return "evaluate"


def measured(file: str) -> tuple[str, float, float] | None:
    """How, and milliseconds to load and to cost it; None where the file holds figures alone or nests to be searched."""
    known: dict[str, object] = {}
    try:
        how = run(Design(load_design(file, known=known)))
    except einloom.SpecError:
        return None
    if not how:
        return None
    loads, costs = [], []
    for _ in range(5):
        start = time.process_time()
        design = Design(load_design(file, known=known))
        loads.append(time.process_time() - start)
        start = time.process_time()
        run(design)
        costs.append(time.process_time() - start)
    return how, 1000 * min(loads), 1000 * min(costs)


def validate_seconds(cache: str | None) -> tuple[float, float]:
    """Wall-clock and CPU seconds of `einloom validate`; a cache folder other than the user's own where it is given."""
    environment = {**os.environ, **({"XDG_CACHE_HOME": cache} if cache else {})}
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "einloom.cli", "validate", "--json"], capture_output=True, env=environment,
                   check=True)  # fmt: skip
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - start, used


def main() -> None:
    print(machine())
    print(f"{'design':44} {'':9} load [ms]  cost [ms]  (goal: {GOAL_MS:g} ms)")
    for file in entries("designs"):
        found = measured(file)
        if found is not None:
            how, load, cost = found
            print(f"{file:44} {how:9} {load:9.1f} {cost:10.1f}{'' if cost < GOAL_MS else '  above'}")
    for name, cache in (("the cache as it is", None), ("an empty cache", tempfile.mkdtemp())):
        wall, used = validate_seconds(cache)
        print(f"einloom validate, {name}: {wall:.1f} s, {used:.1f} CPU s (goal: {GOAL_VALIDATE_S:g} s)")


if __name__ == "__main__":
    main()
