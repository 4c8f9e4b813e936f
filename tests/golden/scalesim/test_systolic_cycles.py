"""The cycles of `systolic` against SCALE-Sim v3 and against an array stepped cycle by cycle.

Source of ``rows.json``: *published tool*, SCALE-Sim v3 (PyPI scalesim 3.0.0), as its ``about`` says.
"""

import json
from pathlib import Path

import array_simulator as simulator
import numpy as np
import pytest

from einloom.arch.registry import template
from einloom.arch.templates.systolic import DATAFLOWS, systolic_cycles

GOLDEN = json.loads((Path(__file__).parent / "rows.json").read_text(encoding="utf-8"))["rows"]
DATAFLOW = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}


def label(row):
    return f"{row['dataflow']}-{row['rows']}x{row['cols']}-{row['name']}"


@pytest.mark.parametrize("row", GOLDEN, ids=[f"{i}-{label(row)}" for i, row in enumerate(GOLDEN)])
def test_cycles_equal_scale_sim(row):
    published = row["compute_cycles"] - row["stall_cycles"] + 1
    terms = systolic_cycles(
        row["M"], row["N"], row["K"], row["rows"], row["cols"], DATAFLOW[row["dataflow"]], "scalesim"
    )
    assert sum(terms.values()) == published


def random_gemms(seed, number):
    generator = np.random.default_rng(seed)
    for _ in range(number):
        m, n, k = (int(size) for size in generator.integers(1, 13, 3))
        rows, cols = (int(size) for size in generator.integers(1, 7, 2))
        yield generator.integers(-9, 10, (m, k)), generator.integers(-9, 10, (k, n)), rows, cols


SIMULATED = {
    "weight_stationary": (simulator.weight_stationary, simulator.overlapped_weight_stationary),
    "input_stationary": (simulator.input_stationary, simulator.overlapped_input_stationary),
    "output_stationary": (simulator.output_stationary, simulator.overlapped_output_stationary),
}


@pytest.mark.parametrize("timing", ["scalesim", "overlapped"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_equal_an_array_stepped_cycle_by_cycle(dataflow, timing):
    simulate = SIMULATED[dataflow][timing == "overlapped"]
    for a, b, rows, cols in random_gemms(seed=7, number=200):
        z, cycles = simulate(a, b, rows, cols)
        assert (z == a @ b).all()
        (m, k), n = a.shape, b.shape[1]
        terms = systolic_cycles(m, n, k, rows, cols, dataflow, timing)
        assert sum(terms.values()) == cycles, (m, n, k, rows, cols)


def test_overlapped_by_hand():
    """By hand: M=3 N=4 K=8 on 4 x 2, weights stationary. Folds 2 x 2 = 4 of T = 3; r = 4, c = 2.

    Load 4; three folds of max(3, 4) = 4, then 3; skew 4 + 2 - 2 = 4: 4 + 12 + 3 + 4 = 23.
    """
    terms = systolic_cycles(3, 4, 8, 4, 2, "weight_stationary", "overlapped")
    assert terms == {"compute": 12, "fill": 4, "exchange": 3, "skew": 4}


def test_overlapped_fills_only_what_is_used():
    """By hand: M=10 N=2 K=3 on 16 x 16: one fold, 3 rows and 2 columns: load 3, T = 10, skew 3 + 2 - 2 =
    3."""
    terms = systolic_cycles(10, 2, 3, 16, 16, "weight_stationary", "overlapped")
    assert terms == {"compute": 10, "fill": 3, "exchange": 0, "skew": 3}


def test_overlapped_output_stationary_waits_for_the_exit_of_a_column():
    """By hand: M=4 N=3 K=2 on 4 x 1: 3 folds of T = 2; the 4 sums of a fold leave in 4 cycles: exchange 2 x
    (4 - 2)."""
    terms = systolic_cycles(4, 3, 2, 4, 1, "output_stationary", "overlapped")
    assert terms == {"compute": 6, "fill": 0, "exchange": 4, "skew": 3}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_overlapping_folds_is_never_slower(dataflow):
    for a, b, rows, cols in random_gemms(seed=11, number=300):
        (m, k), n = a.shape, b.shape[1]
        slow, fast = (
            sum(systolic_cycles(m, n, k, rows, cols, dataflow, timing).values())
            for timing in ("scalesim", "overlapped")
        )
        assert fast <= slow


def test_the_template_carries_the_law_that_was_held_to_scale_sim():
    machine = template("systolic").architecture({"rows": 8, "cols": 4, "dataflow": "output_stationary"})
    law = machine.timing
    assert (law.rows, law.cols, law.dataflow, law.overlapped) == (8, 4, "output_stationary", False)
