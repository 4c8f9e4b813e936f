"""The template, a mapping and the cost model together: cycles of `systolic` equal SCALE-Sim on every row.

Each row runs as the GEMM M, N, K in the mapping that a systolic array has by construction: ranks of the
stationary operand outside and on the axes, the third rank streamed.
"""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from einloom.arch.registry import template
from einloom.arch.templates.systolic import DATAFLOWS, systolic_cycles
from einloom.arch.tree import UNLIMITED
from einloom.mappings import Bind, Hold, Loop, Nest, Spatial
from einloom.model.evaluate import evaluate_nest
from einloom.workloads.sized import Access, SizedEinsum, Work

GOLDEN = json.loads((Path(__file__).parent / "rows.json").read_text(encoding="utf-8"))["rows"]
DATAFLOW = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}
STATIONARY = {  # operand, its rank on the rows, its rank on the columns, the streamed rank
    "weight_stationary": ("B", "k", "n", "m"),
    "input_stationary": ("A", "k", "m", "n"),
    "output_stationary": ("Z", "m", "n", "k"),
}


def gemm(m, n, k):
    def access(tensor, *variables, role="input", **facts):
        return Access(tensor, tuple(((var, 1),) for var in variables), role, Fraction(8), **facts)

    return SizedEinsum(
        name="Z",
        extents={"m": m, "n": n, "k": k},
        accesses=(
            access("Z", "m", "n", role="output", workload_input=False, workload_output=True),
            access("A", "m", "k"),
            access("B", "k", "n", weight=True),
        ),
        work=(Work("mac", frozenset("mnk")),),
    )


def evaluated(shape, dataflow, timing):
    *extents, rows, cols = shape
    einsum = gemm(*extents)
    parameters = {"rows": rows, "cols": cols, "dataflow": dataflow, "timing": timing, "buffer": UNLIMITED}
    machine = template("systolic").architecture(parameters)
    held, on_rows, on_cols, streamed = STATIONARY[dataflow]
    size = einsum.extents
    side = {on_rows: min(size[on_rows], rows), on_cols: min(size[on_cols], cols)}
    nodes = (
        Hold("DRAM", ("Z", "A", "B")),
        Hold("GLB", ("Z", "A", "B")),
        *(Loop(var, -(-size[var] // used)) for var, used in side.items()),
        Spatial("PE", "Y", on_rows, side[on_rows]),
        Spatial("PE", "X", on_cols, side[on_cols]),
        Hold("Reg", (held,)),
        Loop(streamed, size[streamed]),
        Bind("MAC"),
    )
    return evaluate_nest(einsum, machine, Nest(nodes))


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['dataflow']}-{row['rows']}-{row['name']}")
def test_cycles_equal_scale_sim(row):
    published = row["compute_cycles"] - row["stall_cycles"] + 1
    shape = row["M"], row["N"], row["K"], row["rows"], row["cols"]
    assert evaluated(shape, DATAFLOW[row["dataflow"]], "scalesim").cycles == published


@pytest.mark.parametrize("shape", [(7, 5, 9, 4, 2), (3, 4, 8, 4, 2), (1, 1, 1, 4, 4), (2, 9, 17, 5, 3)])
@pytest.mark.parametrize("timing", ["scalesim", "overlapped"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_model_sees_what_the_law_was_proven_on(shape, timing, dataflow):
    terms = systolic_cycles(*shape, dataflow, timing)
    assert evaluated(shape, dataflow, timing).cycles == sum(terms.values())
