"""The machine of the design page (peer16), scaled down to 4x4 PEs and a 16x16x16 GEMM, walked step by step.

By hand: the nest has the shape of the published comparison (GEMM 1024^3 on 16x16, tiles of Z and A in the
GLB, one weight in each register), with the bounds below. Its counts are derived beside each number.
"""

import pytest

from einloom.mappings import parse_plan
from einloom.model.reference import Execution, execute
from einloom.spec.architecture import load_architecture
from einloom.spec.document import parse
from einloom.spec.workload import load_workload

DESIGN = """
version: 1
workload:
  name: gemm
  ranks: {M: 16, N: 16, K: 16}
  bits: {default: 8}
  cascade:
    - "Z[m,n] = sum{k}(A[m,k] * B[k,n])"
architecture:
  name: peer4
  clock: 1 GHz
  levels:
    - {memory: DRAM, word: 8 b, read_energy: 64 pJ, write_energy: 64 pJ, bandwidth: 16 words/cycle}
    - {memory: GLB, capacity: 1 KiB, read_energy: 2 pJ, write_energy: 2 pJ, bandwidth: 64 words/cycle}
    - fanout: PE
      axes: {X: 4, Y: 4}
    - {memory: Reg, word: 8 b, capacity: 64 B, read_energy: 0.1 pJ, write_energy: 0.1 pJ, holds: [B]}
    - {compute: MAC, energy: {mul: 0.1 pJ, add: 0.1 pJ}}
mapping:
  Z:
    - DRAM holds A, B, Z
    - for m in 2
    - for n in 2
    - GLB holds Z
    - for k in 4
    - GLB holds A
    - for n in 2
    - spatial PE.X n in 4
    - spatial PE.Y k in 4
    - Reg holds B
    - for m in 8
    - MAC
"""
A, B, Z = 1, 2, 0

STEPS = 2 * 2 * 4 * 2 * 8  # m, n, k, n, m in time
A_TILES = 2 * 2 * 4  # every k step has another tile, of 8 rows x 4 of k
B_TILES = 2 * 2 * 4 * 2  # every n step has another weight in each of 16 PEs


@pytest.fixture(scope="module")
def execution() -> Execution:
    document = parse(DESIGN)
    (cascade,) = load_workload(document).cascades
    (einsum,) = cascade.sized()
    nest = parse_plan(document.data["mapping"]).nests["Z"]
    return execute(einsum, load_architecture(document).path_to(nest.compute), nest.nodes)


def test_steps_and_operations(execution: Execution) -> None:
    assert execution.steps == STEPS == 256
    assert execution.operations == {"mac": 16**3}
    assert execution.instances_used == 16


def test_words_of_the_dram(execution: Execution) -> None:
    assert execution.counts["DRAM", A].reads == A_TILES * 8 * 4 == 512
    assert execution.counts["DRAM", B].reads == B_TILES * 16 == 512  # past the GLB; no PE shares a weight
    assert execution.counts["DRAM", Z].writes == 16 * 16  # each output once
    assert execution.counts["DRAM", Z].reads == 0


def test_words_of_the_glb(execution: Execution) -> None:
    a, z = execution.counts["GLB", A], execution.counts["GLB", Z]
    assert a.writes == a.fills == 512
    assert a.reads == STEPS * 4 == 1024  # one for each k of the array: multicast along X
    assert z.updates == z.writes == STEPS * 4 == 1024  # one for each n of the array: reduced along Y
    assert z.drains == 256
    assert z.reads == 256 + (1024 - 256) == 1024  # drained once, and added to on all but the first touch
    assert (a.occupancy, z.occupancy) == (8 * 4, 8 * 8)


def test_words_of_the_registers(execution: Execution) -> None:
    b = execution.counts["Reg", B]
    assert b.writes == b.fills == 512
    assert b.reads == 16**3  # on every operation
    assert (b.occupancy, b.busiest_reads, b.busiest_writes) == (1, STEPS, B_TILES)


def test_energy_at_the_prices_of_the_machine(execution: Execution) -> None:
    words = {
        memory: sum(c.reads + c.writes for (name, _), c in execution.counts.items() if name == memory)
        for memory in ("DRAM", "GLB", "Reg")
    }
    assert words == {"DRAM": 1280, "GLB": 3584, "Reg": 4608}
    energy_pj = 64 * words["DRAM"] + 2 * words["GLB"] + 0.1 * words["Reg"] + 0.2 * 16**3
    assert energy_pj == pytest.approx(81920 + 7168 + 460.8 + 819.2)
