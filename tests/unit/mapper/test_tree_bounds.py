"""Bounds that a fused tree leaves to the mapper: the best of all, by trying them here too."""

import itertools

import pytest

from einloom.arch.tree import Amount, Architecture, Branches, Compute, Memory
from einloom.errors import MappingError
from einloom.mapper import tree_bounds
from einloom.mapper.tree_bounds import fill_tree
from einloom.mappings import parse_nodes
from einloom.model.fused import evaluate_tree
from einloom.workloads.cascade import Cascade

CASCADE = Cascade.parse(
    ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"], {"M": 12, "K": 2, "N": 6, "P": 2}
)
PRICES = {"mul": 1.0, "add": 1.0}
DRAM = Memory(name="DRAM", read_energy_pj=100.0, write_energy_pj=100.0, bandwidth=Amount(8))


def machine(bits: float) -> Architecture:
    glb = Memory(name="GLB", read_energy_pj=1.0, write_energy_pj=1.0, capacity=Amount(bits))
    computes = Branches(((Compute(name="C1", energy_pj=PRICES),), (Compute(name="C2", energy_pj=PRICES),)))
    return Architecture(name="tiny", clock_hz=1e9, levels=(DRAM, glb, computes))


def tree(outer, inner, middle, rest):
    problems = []
    data = [
        "DRAM holds A, B, C, Z",
        f"for m in {outer}",
        "GLB holds A, T, Z",
        {"pipelined": [
            {"T": [f"for n in {middle}", "GLB holds B", f"for m in {inner}", f"for n in {rest}", "for k in 2", "C1"]},
            {"Z": ["GLB holds C", f"for m in {inner}", "for n in 6", "for p in 2", "C2"]},
        ]},
    ]  # fmt: skip
    nodes = parse_nodes(data, problems)
    assert not problems
    return nodes


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


def everything(architecture):
    """(cycles, energy) of all fillings that fit."""
    for outer, middle in itertools.product(divisors(12), divisors(6)):
        try:
            found = evaluate_tree(CASCADE, architecture, tree(outer, 12 // outer, middle, 6 // middle))
        except MappingError:
            continue
        energy = sum(e.energy_pj for e in found.einsums.values()) + found.streamed.leakage_pj
        yield float(found.streamed.cycles), energy


AUTO = ("auto",) * 4


@pytest.mark.parametrize("bits", [float("inf"), 1500, 800])
@pytest.mark.parametrize("objective", ["energy", "latency", "edp"])
def test_the_best_bounds_are_found(bits, objective):
    architecture = machine(bits)
    (found,) = fill_tree(CASCADE, architecture, tree(*AUTO), objective)
    key = {
        "energy": lambda one: (one[1], one[0]),
        "latency": lambda one: one,
        "edp": lambda one: (one[0] * one[1], one[1]),
    }[objective]
    assert key((float(found.cycles), found.energy_pj)) == pytest.approx(min(map(key, everything(architecture))))
    assert found.proof == "optimal"


def test_the_front_is_what_nothing_beats():
    architecture = machine(float("inf"))
    tried = set(everything(architecture))
    front = {one for one in tried if not any(o != one and o[0] <= one[0] and o[1] <= one[1] for o in tried)}
    found = fill_tree(CASCADE, architecture, tree(*AUTO), "pareto")
    assert [(float(f.cycles), f.energy_pj) for f in found] == sorted(front)


def test_the_answer_is_the_tree_that_costs_so_much():
    architecture = machine(800)
    (found,) = fill_tree(CASCADE, architecture, tree(*AUTO), "latency")
    assert evaluate_tree(CASCADE, architecture, found.nodes).streamed.cycles == found.cycles


def test_given_bounds_stay():
    (found,) = fill_tree(CASCADE, machine(float("inf")), tree(4, "auto", "auto", "auto"), "energy")
    assert str(found.nodes[1]) == "for m in 4"
    inner = [str(node) for child in found.nodes[-1].children for node in child.nodes if str(node).startswith("for m")]
    assert inner == ["for m in 3", "for m in 3"]


def test_where_nothing_fits_the_message_has_both_numbers():
    with pytest.raises(MappingError, match=r"the tiles need \d+ bits, GLB holds 100"):
        fill_tree(CASCADE, machine(100), tree(*AUTO), "energy")


def test_too_many_ways_are_refused(monkeypatch):
    monkeypatch.setattr(tree_bounds, "MAX_FILLINGS", 23)
    with pytest.raises(MappingError, match=r"can be filled in 24 ways"):  # 6 of 12 = outer x inner, 4 of 6
        fill_tree(CASCADE, machine(float("inf")), tree(*AUTO), "energy")


def test_many_loops_of_a_large_rank_are_shared_out_at_once():
    """Each way is built, not looked for among all products of divisors: 48 ** 8 here."""
    problems = []
    loops = [f"for m in {bound}" for bound in (*["auto"] * 7, 2**11 * 3**3, "auto")]
    nodes = parse_nodes(["DRAM holds X, Y", *loops, {"sequential": [{"Y": ["C1"]}]}], problems)
    cascade = Cascade.parse(["Y[m] = X[m] * 2"], {"M": 2**12 * 3**4})
    (found,) = fill_tree(cascade, machine(float("inf")), nodes, "energy")
    assert [str(node) for node in found.nodes[1:8]] == ["for m in 1"] * 7  # ties: the fewest iterations outside
    assert str(found.nodes[9]) == "for m in 6"
