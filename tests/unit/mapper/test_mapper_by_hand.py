"""Mappings that are known, and numbers that once were wrong."""

import einloom

MACHINE = {
    "clock": "1 GHz",
    "levels": [
        {"memory": "DRAM", "word": "8 b", "read_energy": "64 pJ", "write_energy": "64 pJ"},
        {"memory": "L1", "word": "8 b", "capacity": "64 b", "read_energy": "1 pJ", "write_energy": "1 pJ"},
        {"compute": "MAC", "energy": {"mac": "0 pJ"}},
    ],
}


def design(lines, ranks, architecture=MACHINE):
    workload = {"name": "w", "ranks": ranks, "bits": {"default": 8}, "cascade": lines}
    return einloom.load({"workload": workload, "architecture": architecture})


def test_a_tensor_read_twice_is_mapped_no_worse_than_by_a_nest_written_out():
    gram = {"name": "w", "ranks": {"I": 6, "J": 6}, "bits": {"default": 8}, "cascade": ["Z[j] = sum{i}(A[i] * A[j])"]}
    nest = ["DRAM holds Z, A", "for j in 6", "L1 holds Z, A", "for i in 6", "MAC"]
    written = einloom.load({"workload": gram, "architecture": MACHINE, "mapping": {"Z": nest}}).evaluate()
    assert einloom.load({"workload": gram, "architecture": MACHINE}).map().energy_pj <= written.energy_pj


def test_equal_einsums_whose_tensors_are_switched_differently_are_mapped_apart():
    levels = [MACHINE["levels"][0], {**MACHINE["levels"][1], "capacity": "256 b", "double_buffered": ["C"]},
              MACHINE["levels"][2]]  # fmt: skip
    lines = ["Y[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,n] = sum{k}(C[m,k] * D[k,n])"]
    ranks = {"M": 4, "N": 4, "K": 4}
    machine = {**MACHINE, "levels": levels}
    together = design(lines, ranks, machine).map()
    alone = design(lines, ranks, machine).map(reuse=False)
    assert together.energy_pj == alone.energy_pj


def test_cycles_of_an_operator_beyond_int64_are_exact():
    levels = [*MACHINE["levels"][:2], {"compute": "MAC", "energy": {"mac": "1 pJ"}, "cycles": {"mac": 10**9}}]
    mapped = design(["Z[m] = sum{k}(A[m,k] * B[k])"], {"M": 2**40, "K": 1}, {**MACHINE, "levels": levels}).map()
    assert mapped.cycles == 2**40 * 10**9
