"""A cheap design to explore: an array of rows x columns PEs with a buffer, in closed form."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from einloom.errors import SpecError
from einloom.search.metrics import metric
from einloom.search.objectives import Constraint, Objective, parse_constraint
from einloom.search.plan import Plan, SamplerChoice
from einloom.search.space import Finite, Real, Space, powers_of_2

ROWS = Finite("architecture.rows", powers_of_2(4, 64), "steps")
COLS = Finite("architecture.cols", range(4, 68, 4), "integers")
FLOW = Finite("architecture.dataflow", ("weight_stationary", "output_stationary", "input_stationary"))
BUFFER = Finite("architecture.buffer", ("64 KiB", "128 KiB", "256 KiB"))
CLOCK = Real("architecture.clock", 0.25, 2.0, log=True, unit="GHz")


def array(point: Mapping[str, object]) -> dict[str, float]:
    """Metrics of one array; 64 rows x 64 columns are not possible."""
    rows, cols = int(str(point["architecture.rows"])), int(str(point["architecture.cols"]))
    if rows * cols >= 64 * 64:
        raise SpecError(f"{rows} x {cols} PEs do not fit the die")
    flow = {"weight_stationary": 1.0, "output_stationary": 1.25, "input_stationary": 1.5}
    buffer_kib = int(str(point.get("architecture.buffer", "64 KiB")).split()[0])
    hertz = float(str(point.get("architecture.clock", "1 GHz")).split()[0]) * 1e9
    cycles = -(-(2**20) // (rows * cols)) + rows + cols
    energy_pj = 1e6 * flow[str(point["architecture.dataflow"])] * (1 + 64 / buffer_kib + (rows + cols) / 64)
    return {
        "cycles": cycles,
        "latency_s": cycles / hertz,
        "energy_pj": energy_pj,
        "area_um2": 1000.0 * rows * cols + 500.0 * buffer_kib,
        "utilization": 2**20 / (rows * cols * cycles),
    }


def two_networks(point: Mapping[str, object]) -> dict[str, float]:
    """The array with two networks, the second four times the first."""
    one = array(point)
    area = one.pop("area_um2")
    factors = {"cycles": 4, "latency_s": 4, "energy_pj": 2, "utilization": 1}
    other = {name: factor * one[name] for name, factor in factors.items()}
    return {
        "area_um2": area,
        **{f"small.{name}": value for name, value in one.items()},
        **{f"large.{name}": value for name, value in other.items()},
    }


class Logged:
    """The array, noting every evaluation as a line in a file; each takes ``seconds``."""

    def __init__(self, log: Path, seconds: float = 0.0) -> None:
        self.log, self.seconds = log, seconds

    def __call__(self, point: Mapping[str, object]) -> dict[str, float]:
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()} {sorted(point.items())}\n")
        time.sleep(self.seconds)
        return array(point)


class Murderous:
    """The array, but evaluating one dataflow kills the process: the first time only, or always."""

    def __init__(self, mark: Path, once: bool) -> None:
        self.mark, self.once = mark, once

    def __call__(self, point: Mapping[str, object]) -> dict[str, float]:
        if point["architecture.dataflow"] == "input_stationary" and not (self.once and self.mark.exists()):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return array(point)


def broken(point: Mapping[str, object]) -> dict[str, float]:
    """A programming mistake, not a bad design."""
    raise ZeroDivisionError("a mistake of ours")


def objectives(**directions: str) -> tuple[Objective, ...]:
    return tuple(Objective(metric(name), direction) for name, direction in directions.items())  # type: ignore[arg-type]


def constraints(*texts: str) -> tuple[Constraint, ...]:
    return tuple(map(parse_constraint, texts))


def make_plan(
    sampler: str = "random",
    trials: int | None = 20,
    *,
    seed: int = 0,
    dimensions: tuple[Finite | Real, ...] = (ROWS, COLS, FLOW),
    demands: tuple[str, ...] = (),
    population: int = 8,
    **changes: object,
) -> Plan:
    return Plan(
        name="arrays",
        design="designs/array.yaml",
        space=Space(dimensions),
        constraints=constraints(*demands),
        sampler=SamplerChoice(sampler, seed, population),
        trials=trials,
        **{"objectives": objectives(latency_s="min", energy_uj="min"), **changes},  # type: ignore[arg-type]
    )
