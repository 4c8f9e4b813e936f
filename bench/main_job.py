"""What the main job costs: ``search/bert_systolic.yaml`` from start to front, with one or two workers.

Run with ``python bench/main_job.py [workers] [trials]``; by default 2 workers and all 300 trials. Fewer trials show the
rate. Beside the wall clock it prints process CPU seconds, because other work on the machine does not move those.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from machine import machine

from einloom import api
from einloom.search.study import explore

SEARCH = "search/bert_systolic.yaml"


def cpu_seconds() -> float:
    """User and system time of this process and of its finished workers."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Run the study in an empty folder and print one line."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    plan, build = api.load_study_plan(SEARCH)
    if len(sys.argv) > 2:
        plan = replace(plan, trials=int(sys.argv[2]))
    with tempfile.TemporaryDirectory() as place:
        start, before = time.perf_counter(), cpu_seconds()
        result = explore(plan, build, folder=Path(place) / plan.name, workers=workers, progress=False)
        wall, cpu = time.perf_counter() - start, cpu_seconds() - before
    points = len(result.feasible)
    print(machine())
    print(
        f"{plan.name}: {len(result.trials)} trials, {points} distinct designs, {workers} workers: {wall:.0f} s wall, "
        f"{cpu:.0f} s CPU, {cpu / points:.2f} CPU s a design, {len(result.front)} on the front   (goal: 300 s wall)"
    )


if __name__ == "__main__":
    main()
