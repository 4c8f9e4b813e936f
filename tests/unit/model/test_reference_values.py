"""The reference executor computes the tensor that the line of the Einsum means, whatever the nest."""

import numpy as np
import pytest

from einloom.arch.tree import Compute, Fanout, Memory
from einloom.mappings import Nodes, parse_node
from einloom.model.reference import execute
from einloom.workloads.cascade import Cascade

PATH = (Memory(name="DRAM"), Fanout(name="PE", axes={"X": 4}), Memory(name="Reg"), Compute(name="MAC"))


def integers(cascade: Cascade) -> dict[str, np.ndarray]:
    """Small whole numbers, so that sums are exact in any order."""
    generator = np.random.default_rng(2)
    return {name: generator.integers(-4, 5, cascade.shape(name)).astype(float) for name in cascade.inputs}


def nodes_of(nest: str) -> Nodes:
    return tuple(parse_node(line) for line in nest.split(";"))


def check(lines: list[str], ranks: dict[str, int], nests: dict[str, str], **parts: object) -> None:
    """Every mapped line of a cascade equals what the interpreter makes of it."""
    cascade = Cascade.parse(lines, ranks, **parts)
    inputs = integers(cascade)
    computed = cascade.run(inputs)
    for einsum in cascade.sized():
        if einsum.name in nests:
            nodes = nodes_of(nests[einsum.name])
            known = {name: array for name, array in {**inputs, **computed}.items() if name != einsum.name}
            execution = execute(einsum, PATH, nodes, known, cascade)
            np.testing.assert_allclose(execution.output, computed[einsum.name])


@pytest.mark.parametrize(
    "nest",
    [
        "DRAM holds A,B,Z; for m in 5; for n in 4; for k in 7; MAC",
        "DRAM holds A,B,Z; for k in 4; spatial PE.X m in 4; Reg holds Z; for n in 4; for k in 2; for m in 2",
        "DRAM holds A,B,Z; for n in 3; for m in 2; spatial PE.X n in 2; for k in 9; for m in 3; MAC",
    ],
)
def test_a_product_whatever_the_order_and_the_clipping(nest: str) -> None:
    check(["Z[m,n] = sum{k}(A[m,k] * B[k,n])"], {"M": 5, "N": 4, "K": 7}, {"Z": nest})


def test_a_padded_strided_convolution() -> None:
    check(
        ["O[k,p] = sum{c,r}(I[c,2*p+r-1] * W[k,c,r])"],
        {"K": 3, "P": 5, "C": 2, "R": 3},
        {"O": "DRAM holds I,W,O; for p in 2; spatial PE.X c in 2; for k in 3; for r in 3; for p in 3; MAC"},
        pad={"I": 0},
        shapes={"I": [2, 10]},
    )


def test_a_guarded_maximum() -> None:
    check(
        ["Z[m] = max{k | k<=m}(A[m,k])"],
        {"M": 5, "K": 5},
        {"Z": "DRAM holds A,Z; for k in 3; spatial PE.X m in 4; for m in 2; for k in 2; MAC"},
    )


def test_a_recurrence_whose_generations_run_in_order() -> None:
    check(
        [
            "L[g,p] = max{i}(B[g,i,p])",
            "R[g+1,p] = max(R[g,p], L[g,p])",
            "S[g,i,p] = exp(B[g,i,p] - R[g+1,p])",
        ],
        {"G": 4, "I": 3, "P": 3},
        {
            "R": "DRAM holds R,L; for g in 4; spatial PE.X p in 3; MAC",
            "S": "DRAM holds S,B,R; for i in 3; spatial PE.X g in 4; for p in 3; MAC",
        },
        init={"R": -np.inf},
    )


def test_generations_out_of_order_compute_something_else() -> None:
    lines, ranks = ["R[g+1,p] = R[g,p] + L[g,p]"], {"G": 4, "P": 3}
    check(
        lines,
        ranks,
        {"R": "DRAM holds R,L; for p in 3; for g in 2; spatial PE.X g in 2; MAC"},
        init={"R": 1.0},
    )
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check(
            lines,
            ranks,
            {"R": "DRAM holds R,L; for p in 3; spatial PE.X g in 2; for g in 2; MAC"},
            init={"R": 1.0},
        )


def test_a_flattened_nest_visits_the_points_of_all_its_ranks() -> None:
    cascade = Cascade.parse(["O[k,p] = sum{c,r}(I[c,p+r] * W[k,c,r])"], {"K": 3, "P": 4, "C": 2, "R": 3})
    (einsum,) = cascade.sized()
    flat = einsum.flattened({"x": ("c", "r")})
    nodes = nodes_of("DRAM holds I,W,O; for k in 3; spatial PE.X x in 4; for x in 2; for p in 4; MAC")
    inputs = integers(cascade)
    execution = execute(flat, PATH, nodes, inputs, cascade)
    np.testing.assert_allclose(execution.output, cascade.run(inputs)["O"])
    assert execution.steps == 3 * 2 * 4
