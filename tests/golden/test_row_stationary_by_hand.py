"""A convolution on a row-stationary array, every count derived by hand.

``Y[k,p,q] = sum{r,s}(X[p+r,q+s] * F[k,r,s])``, K = 2, P = Q = 3, R = S = 2, on 4 x 3 elements: a set is 2 high (filter
rows) and 3 wide (output rows), and there is room for two, one above the other: one filter each.
"""

import einloom

LAYER = {
    "workload": {
        "name": "layer",
        "ranks": {"K": 2, "P": 3, "Q": 3, "R": 2, "S": 2},
        "cascade": ["Y[k,p,q] = sum{r,s}(X[p+r,q+s] * F[k,r,s])"],
    },
    "architecture": {"template": "systolic", "rows": 4, "cols": 3, "dataflow": "row_stationary"},
}


def test_every_count_of_a_small_layer():
    found = einloom.load(LAYER).map("latency").einsums["Y"]
    mac = found.computes["MAC"]
    assert (mac.operations, mac.instances_used) == (2 * 9 * 4, 12)
    assert found.cycles == 3 * 2  # a row of three outputs, two taps each
    assert found.utilization == 1.0
    tensors = {name: memory.tensors for name, memory in found.memories.items()}
    assert tensors["Filters"]["F"].fills == 12 * 2  # a row of two taps an element
    assert tensors["Window"]["X"].fills == 12 * (2 + 1 + 1)  # the window slides by one word twice
    assert tensors["Filters"]["F"].reads == tensors["Window"]["X"].reads == 72  # one each a multiply
    sums = tensors["Sums"]["Y"]
    assert sums.updates == 72
    assert sums.reads - sums.drains == 72 - 12 * 3  # an element touches each of its three sums first without a read
    assert sums.drains == 12 * 3
    outer = tensors["GLB"] if "GLB" in tensors and len(tensors["GLB"]) == 3 else tensors["DRAM"]
    assert outer["X"].reads == 4 * 4  # along diagonals every input enters the array once
    assert outer["F"].reads == 2 * 4  # a filter row goes to all output rows of its set
    assert outer["Y"].updates == 2 * 9  # the rows of a filter meet on the way up
    assert found.reuse["DRAM"] == {"Y": 4.0, "X": 4.5, "F": 9.0}


def test_a_strip_above_another_serves_output_rows_that_the_columns_have_no_room_for():
    wide = {**LAYER, "workload": {**LAYER["workload"], "ranks": {"K": 2, "P": 5, "Q": 3, "R": 2, "S": 2}}}
    found = einloom.load(wide).map("latency").einsums["Y"]
    assert found.computes["MAC"].instances_used == 5 * 2  # strips of three and two rows
    assert found.cycles == 2 * 3 * 2  # the filters one after the other
