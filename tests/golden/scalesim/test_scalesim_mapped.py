"""SCALE-Sim v3's cycles through the whole path: YAML data, template, mapper, timing law (rows as in rows.json)."""

import json
from pathlib import Path

import pytest

import einloom

ROWS = json.loads((Path(__file__).parent / "rows.json").read_text())["rows"]
DATAFLOWS = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}


def mapped_cycles(row: dict[str, object], objective: str) -> int:
    design = {
        "workload": {
            "name": "gemm",
            "ranks": {"M": row["M"], "N": row["N"], "K": row["K"]},
            "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"],
        },
        "architecture": {
            "template": "systolic",
            "rows": row["rows"],
            "cols": row["cols"],
            "dataflow": DATAFLOWS[row["dataflow"]],
            "timing": "scalesim",
        },
    }
    return einloom.load(design).map(objective).cycles


def scalesim_cycles(row: dict[str, int]) -> int:
    """The tool reports the index of the last cycle, stalls included."""
    return row["compute_cycles"] - row["stall_cycles"] + 1


def name(row: dict[str, object]) -> str:
    return f"{row['dataflow']}-{row['rows']}x{row['cols']}-{row['name']}"


@pytest.mark.parametrize("row", ROWS[::9], ids=name)
def test_the_mapper_finds_scalesim_cycles_whatever_it_minimizes(row):
    assert mapped_cycles(row, "latency") == scalesim_cycles(row)
    assert mapped_cycles(row, "energy") == scalesim_cycles(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=name)
@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_every_row_of_scalesim_is_met_whatever_is_minimized(row, objective):
    assert mapped_cycles(row, objective) == scalesim_cycles(row)
