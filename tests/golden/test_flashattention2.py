"""FlashAttention-2 as a design: what its mapping moves and how long it takes, by hand; and run step by step."""

from __future__ import annotations

import pytest

import einloom as el
from steps import check_step_by_step

DESIGN = "designs/flashattention2/forward.yaml"
B, H, N, D, ROWS, CHUNK = 64, 12, 4096, 64, 128, 64
MULTIPROCESSORS = 3 * N // ROWS
"""Three heads at a time, and all queries of each."""


@pytest.fixture(scope="module")
def forward() -> el.Evaluation:
    return el.load(DESIGN).evaluate()


def moved(found: el.Evaluation, memory: str, tensor: str, way: str = "reads") -> int:
    return sum(getattr(e.memories[memory].tensors[tensor], way) for e in found.einsums.values()
               if memory in e.memories and tensor in e.memories[memory].tensors)  # fmt: skip


def test_memory_off_the_chip_sees_every_operand_once(forward: el.Evaluation) -> None:
    for tensor in ("Q", "BK", "BV"):
        assert moved(forward, "HBM", tensor) == B * H * N * D
    assert moved(forward, "HBM", "AV", "writes") == B * H * N * D


def test_each_block_of_queries_reads_all_keys_and_values(forward: el.Evaluation) -> None:
    """Algorithm 1 of arXiv 2307.08691: N / B_r blocks of queries, each with every chunk; in it, 8 tiles of rows."""
    for tensor in ("BK", "BV"):
        assert moved(forward, "L2", tensor) == B * H * N * D * (N // ROWS)
        assert moved(forward, "SMEM", tensor) == B * H * N * D * (N // ROWS) * (ROWS // 16)


def test_the_tensor_cores_and_shared_memory_are_as_busy(forward: el.Evaluation) -> None:
    """2 x 64 cycles of 1024 products a tile and chunk; 2 chunks of 8 KiB read a tile and written a block, at 128 B."""
    blocks = B * H * (N // ROWS) * (N // CHUNK)
    products = blocks * (ROWS // 16) * 2 * (16 * CHUNK * D // 1024) // MULTIPROCESSORS
    words = blocks * 2 * CHUNK * D * 2 * (ROWS // 16 + 1) // 128 // MULTIPROCESSORS
    assert forward.cycles - forward.streamed[""].terms_cycles["ramp"] == max(products, words) == words
    assert forward.utilization["TENSOR"] == pytest.approx(products / float(forward.cycles) * MULTIPROCESSORS / 108)


def test_it_computes_attention() -> None:
    settings = {f"workload.ranks.{rank}": size for rank, size in {"B": 1, "H": 3, "P": 32, "M": 16}.items()}
    settings |= {"workload.ranks.E": 8, "workload.ranks.F": 8, "workload.split.M.1.M0": 8}
    settings |= {"mapping.5": "spatial SM.X p in 1", "mapping.9": "for p in P/16"}
    design = el.load(DESIGN, set=settings)
    check_step_by_step(design, design.evaluate())
