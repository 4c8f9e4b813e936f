"""Designs with fused trees: parts of a network, what is printed is read again, what cannot be evaluated."""

import json

import pytest

import einloom as el

ARCHITECTURE = {
    "name": "small", "clock": "1 GHz",
    "levels": [
        {"memory": "DRAM", "bandwidth": "1 words/cycle", "read_energy": "100 pJ", "write_energy": "100 pJ"},
        {"memory": "GLB", "read_energy": "1 pJ", "write_energy": "1 pJ"},
        {"compute": "MAC", "energy": {"mul": "1 pJ", "add": "1 pJ", "exp": "2 pJ"}},
    ],
}  # fmt: skip
PAIR = ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "E[m,n] = exp(T[m,n])", "Z[m] = sum{n}(E[m,n] * C[n])"]
RANKS = {"M": 8, "N": 4, "K": 2}
TREE = [
    "DRAM holds A, B, C, Z",
    "for m in 4",
    "GLB holds T, E in place of T",
    {"sequential": [
        {"T": ["for m in 2", "for n in 4", "for k in 2", "MAC"]},
        {"E": ["for m in 2", "for n in 4", "MAC"]},
        {"Z": ["for m in 2", "for n in 4", "MAC"]},
    ]},
]  # fmt: skip


def design(mapping, workload=None):
    workload = workload or {"name": "pair", "ranks": RANKS, "cascade": PAIR}
    return el.load({"version": 1, "workload": workload, "architecture": ARCHITECTURE, "mapping": mapping})


def network(**parts):
    return {
        "name": "two", "ranks": RANKS,
        "parts": [
            {"name": "soft", "cascade": PAIR, "repeat": 3},
            {"name": "head", "ranks": {"L": 3}, "cascade": ["Y[m,l] = X[m] * W[l]"]},
        ],
    } | parts  # fmt: skip


HEAD = ["DRAM holds X, W, Y", "for m in 8", "for l in 3", "MAC"]


@pytest.mark.parametrize("mapping", [TREE, {"nodes": TREE, "ramp": "steady_state"}])
def test_the_printed_mapping_is_the_mapping(mapping):
    first = design(mapping).evaluate()
    printed = first.to_dict()["mapping"]
    again = design(json.loads(json.dumps(printed))).evaluate()
    assert again.to_dict() == first.to_dict()
    assert printed["nodes"] == TREE


def test_a_part_is_mapped_by_a_tree_and_the_others_by_nests():
    whole = design({"soft": TREE, "head.Y": HEAD}, network()).evaluate()
    alone = design(TREE).evaluate()
    data = whole.to_dict()
    assert data["streamed"].keys() == {"soft"}
    assert data["streamed"]["soft"]["repeat"] == 3
    assert data["cycles"] == 3 * alone.cycles + data["einsums"]["head.Y"]["cycles"]
    assert set(data["einsums"]) == {"soft.T", "soft.E", "soft.Z", "head.Y"}
    again = design(json.loads(json.dumps(data["mapping"])), network()).evaluate()
    assert again.to_dict() == data


def test_the_cycles_of_a_design_are_those_of_its_tree():
    data = design(TREE).evaluate().to_dict()
    (streamed,) = data["streamed"].values()
    # Words of DRAM: T reads A and B 64 times each in 64 cycles of work; Z: C 32, and 32 updates, 24 on partial sums.
    assert streamed["terms_cycles"] == {"compute": 64 + 32 + 32, "drain": 0, "stall": (128 - 64) + (88 - 32), "ramp": 0}
    assert data["cycles"] == streamed["cycles"] == 128 + 32 + 88
    assert sum(data["energy_pj_by"].values()) == pytest.approx(data["energy_pj"])


def test_auto_bounds_are_for_the_mapper():
    lines = json.loads(json.dumps(TREE).replace("for m in 4", "for m in auto"))
    with pytest.raises(el.MappingError, match="auto"):
        design(lines).evaluate()


def test_one_tree_does_not_map_several_parts():
    with pytest.raises(el.SpecError, match="one fused tree stands for a workload of 2 parts"):
        design(TREE, network())


def test_a_forward_that_does_not_reach_its_producer_is_refused():
    children = TREE[-1]["sequential"]
    lines = [
        *TREE[:2], "GLB holds E",
        {"sequential": [children[0], {"rest": ["forward T", {"sequential": children[1:]}]}]},
    ]  # fmt: skip
    with pytest.raises(el.MappingError, match="forward T"):
        design(lines).evaluate()
