"""Designs of fused layers: two convolutions in blocks of rows, by hand and step by step."""

from __future__ import annotations

import numpy as np
import pytest

import einloom as el
from einloom.workloads.cascade import Cascade
from steps import check_step_by_step

CHAIN = "designs/fused_layers/conv_chain.yaml"


def test_convolutions_in_blocks_move_every_word_once() -> None:
    """X has 60 x 60 pixels, the filters 9 taps, Y2 56 x 56 pixels, all of 64 channels; Y1 never leaves the chip."""
    found = el.load(CHAIN).evaluate()
    words = 64 * 60 * 60 + 2 * 64 * 64 * 9 + 64 * 56 * 56
    moved = {
        tensor: counts.reads + counts.writes
        for einsum in found.einsums.values()
        for tensor, counts in einsum.memories["DRAM"].tensors.items()
    }
    assert sum(moved.values()) == words == 504_832
    assert moved.get("Y1", 0) == 0


def test_rows_that_blocks_share_are_computed_twice() -> None:
    """14 blocks of 6 rows of Y1, 58 pixels each; no multiply-accumulate unit is ever idle."""
    found = el.load(CHAIN).evaluate()
    first, second = 14 * 6 * 58 * 64 * 64 * 9, 56 * 56 * 64 * 64 * 9
    assert found.cycles == (first + second) // 256
    assert found.utilization["MAC"] == 1


def test_the_blocks_are_a_convolution() -> None:
    sizes = {"C": 2, "N": 4, "K": 2, "T": 2, "W": 4, "Q": 2}
    settings: dict[str, object] = {f"workload.ranks.{rank}": size for rank, size in sizes.items()}
    for einsum, outer, inner in (("Y1", "n", "c"), ("Y2", "k", "n")):
        nodes = f"mapping.{4}.sequential.{0 if einsum == 'Y1' else 1}.{einsum}"
        settings |= {f"{nodes}.0": f"for {outer} in {outer.upper()}/2"}
        shift = 0 if einsum == "Y1" else 1
        settings |= {f"{nodes}.{1 + shift}": f"for {inner} in {inner.upper()}/2"}
        settings |= {f"{nodes}.{2 + shift}": f"spatial PE.X {outer} in 2"}
        settings |= {f"{nodes}.{3 + shift}": f"spatial PE.Y {inner} in 2"}
    design = el.load(CHAIN, set=settings)
    check_step_by_step(design, design.evaluate())


def test_blocks_and_whole_convolutions_give_the_same() -> None:
    """The workload in blocks has the values of the chain without blocks."""
    sizes = {"C": 2, "N": 3, "K": 2, "W": 6, "Q": 4}
    blocks = cascade_of("conv_chain_blocks", {**sizes, "T": 3})
    whole = cascade_of("conv_chain", {**sizes, "H": 14, "P": 12})
    generator = np.random.default_rng(3)
    inputs = {name: generator.normal(size=whole.shape(name)) for name in whole.inputs}
    rows = blocks.run(inputs)["Y2"].reshape(2, 12, 4)
    np.testing.assert_allclose(rows, whole.run(inputs)["Y2"], rtol=1e-12)


def cascade_of(workload: str, sizes: dict[str, int]) -> Cascade:
    settings = {f"workload.ranks.{rank}": size for rank, size in sizes.items()}
    design = el.load({"workload": f"workloads/{workload}.yaml", "architecture": "arch/peer16.yaml"}, set=settings)
    return design.workload.cascades[0]


@pytest.mark.parametrize(
    ("workload", "fused", "apart"), [("layernorm", 2.79843, 5.33315), ("rmsnorm", 40.9447, 57.0966)]
)
def test_norms_are_fused(workload: str, fused: float, apart: float) -> None:
    """Locked, mJ: what passes between the Einsums of a norm stays on the chip; proven in the declared space."""
    design = el.load({"workload": f"workloads/{workload}.yaml", "architecture": "arch/tpu_vector.yaml"})
    found = design.map(bounds="perfect")
    assert found.proof == "optimal"
    assert (found.energy_pj / 1e9, design.map(bounds="perfect", fusion=False).energy_pj / 1e9) == pytest.approx(
        (fused, apart), rel=1e-5
    )
