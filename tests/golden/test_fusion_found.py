"""What the cascade mapper finds, against a peer's record and by hand."""

from __future__ import annotations

import pytest

import einloom as el
from steps import check_step_by_step


def test_attention_of_the_peer_comparison() -> None:
    """Published: AccelForge 1.0.467 finds 0.945816 mJ for this case (10.1 CPU s); same accounting, drains charged.

    By hand, at the optimum: words of DRAM are Q and AV once, K and V once per half of the queries (64 pJ each).
    """
    found = el.load("designs/peer16_attention_softmax.yaml").map(bounds="perfect")
    assert (found.proof, found.gap) == ("optimal", 0.0)
    assert found.energy_pj == pytest.approx(945.816e6, rel=1e-6)
    heads, tokens, e = 8, 1024, 64
    dram = heads * tokens * e * (1 + 1 + 2 + 2)
    assert found.energy_pj_by["DRAM"] == pytest.approx(64 * dram)
    assert found.cycles == heads * tokens * tokens + found.streamed[""].terms_cycles["ramp"]  # one exponential a cycle


def test_the_tree_that_is_found_computes_attention() -> None:
    """The mapper's tree, scaled down, run step by step: outputs are the cascade's, words those that it counts."""
    ranks = {"H": 2, "P": 8, "M": 8, "E": 4, "F": 4}
    settings = {f"workload.ranks.{rank}": size for rank, size in ranks.items()}
    settings |= {"architecture.levels.GLB.capacity": "64 B", "architecture.levels.PE.axes": {"X": 2, "Y": 2}}
    design = el.load("designs/peer16_attention_softmax.yaml", set=settings)
    found = design.map(bounds="perfect")
    assert found.streamed, "nothing fused was found"
    check_step_by_step(design, found)


def test_two_products_that_a_buffer_cannot_join_stay_apart() -> None:
    """128 KiB do not hold the rows of T for few enough sweeps over B and C: 1024^3 twice costs least one by one."""
    design = el.load({"workload": "workloads/two_gemms.yaml", "architecture": "arch/peer16.yaml"})
    found = design.map(bounds="perfect")
    assert not found.streamed
    assert found.energy_pj == pytest.approx(2 * 1037.0416640e6, rel=1e-6)


def test_two_products_that_it_can_join_are_joined() -> None:
    """By hand: with 8 MiB everything fits; fused, T never reaches DRAM: 2 x 1024^2 words x 64 pJ less."""
    both = {"workload": "workloads/two_gemms.yaml", "architecture": "arch/peer16_attention.yaml"}
    design = el.load(both, set={"architecture.levels.GLB.capacity": "8 MiB"})
    apart, joined = design.map(bounds="perfect", fusion=False), design.map(bounds="perfect")
    assert joined.streamed
    saved = apart.energy_pj_by["DRAM"] - joined.energy_pj_by["DRAM"]
    assert saved == pytest.approx(2 * 1024**2 * 64)
    assert joined.energy_pj <= apart.energy_pj


def test_sub_ranks_left_to_the_mapper_get_the_size_that_is_best() -> None:
    lines = [
        "LM[m1] = max{m0}(X[m1,m0])",
        {"einsum": "RM[m1+1] = max(RM[m1], LM[m1])", "init": {"RM": "-inf"}},
        "Z[m1,m0] = X[m1,m0] - RM[M1]",
    ]
    levels = [
        {"memory": "DRAM", "read_energy": "8 pJ", "write_energy": "8 pJ"},
        {"memory": "GLB", "capacity": "64 B", "read_energy": "1 pJ", "write_energy": "1 pJ"},
        {"compute": "PU", "energy": {"max": "1 pJ", "add": "1 pJ"}},
    ]

    def energy(size: object) -> float:
        workload = {"name": "w", "ranks": {"M": 8}, "bits": {"default": 8}, "split": {"M": ["M1", {"M0": size}]},
                    "cascade": lines, "outputs": ["RM"]}  # fmt: skip
        design = {"workload": workload, "architecture": {"name": "a", "clock": "1 GHz", "levels": levels}}
        return el.load(design).map(bounds="perfect").energy_pj

    assert energy("auto") == min(energy(size) for size in (1, 2, 4, 8))
